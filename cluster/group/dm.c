/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group's gate on kernel devices: one device-mapper device for each LUN, switched as one. What
 * the arbiter orders is passed on to them, and what they come to, by order or by themselves, is
 * passed back. The nexuses that are registered are the daemon's own paths, which are the data's
 * too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/gate/dm/gate.h"
#include "cluster/group/private.h"
#include "cluster/base/log.h"

#define FAILURES_MOST 5
#define UNFIT_MS 60000

static const struct gate_dm_view *view_of(const struct group *group, size_t i)
{
	return gate_dm_view(group->luns[i].dm);
}

/* --- orders --- */

static void want(struct group *group, enum gate_dm_device_want device, enum gate_state state)
{
	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];

		gate_dm_set_hold_limit(lun->dm, 2 * group->config->times.loss_ms);
		if (lun->device[0])
			gate_dm_set_device(lun->dm, lun->device);
		lun->dm_order = gate_dm_want(lun->dm, device, state);
	}
	group->gate_ordered = state;
	group->gate_told = false;
}

/* Data goes through paths that are registered, or not at all. */
static bool is_registered(const struct group *group, uint16_t i)
{
	struct arbiter_lun_view view;

	arbiter_get_lun_view(group->arbiter, i, &view);
	for (size_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		if (view.nexus[n].up && view.nexus[n].registered)
			return true;
	return false;
}

static void refuse(struct group *group, const struct group_lun *lun)
{
	if (group->open_refused)
		return;
	group->open_refused = true;
	group_note(group, lun->config->name, "gate",
		   "not opened: no path of it is registered at the LUN");
}

/* An OPEN that waits is given when every LUN has a device that can be opened, and may be. */
static void drive(struct group *group)
{
	if (!group->open_wanted || group_identity_in_doubt(group))
		return;
	for (uint16_t i = 0; i < group->lun_count; i++) {
		const struct gate_dm_view *view = view_of(group, i);

		if (!view->present || view->spent || view->order != group->luns[i].dm_order)
			return;
		if (!is_registered(group, i)) {
			refuse(group, &group->luns[i]);
			return;
		}
	}
	group->open_wanted = group->open_refused = false;
	want(group, GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN);
}

static void dm_order(struct group *group, enum arbiter_gate state)
{
	group->open_wanted = group->open_refused = group->gate_paused = false;
	switch (state) {
	case ARBITER_GATE_FAILED:
		want(group, group->devices_wanted ? GATE_DM_DEVICE_KEEP : GATE_DM_DEVICE_NONE,
		     GATE_STATE_FAILED);
		group_note(group, NULL, "gate", "failed: all I/O ends with an error");
		break;
	case ARBITER_GATE_HELD:
		want(group, GATE_DM_DEVICE_KEEP, GATE_STATE_HELD);
		group_note(group, NULL, "gate", "held: I/O waits");
		break;
	case ARBITER_GATE_OPEN:
		if (group->gate_ordered == GATE_STATE_FAILED)
			want(group, GATE_DM_DEVICE_FRESH, GATE_STATE_FAILED);
		group->devices_wanted = true;
		group->open_wanted = true;
		drive(group);
		break;
	}
}

static void dm_prepare(struct group *group)
{
	if (group->devices_wanted)
		return;
	group->devices_wanted = true;
	want(group, GATE_DM_DEVICE_FRESH, GATE_STATE_FAILED);
}

static void dm_settle(struct group *group)
{
	if (group->devices_wanted && group_needs_no_devices(group)) {
		group->devices_wanted = false;
		want(group, GATE_DM_DEVICE_NONE, GATE_STATE_FAILED);
	}
	drive(group);
}

/* --- reports --- */

static void post(struct group *group, enum gate_state state, bool quiet)
{
	struct arbiter_event event = {
		.kind = ARBITER_EVENT_GATE,
		.gate = {.state = group_gate_arbiter_state(state), .quiet = quiet}};

	if (group->gate_told && group->gate_told_state == state && group->gate_told_quiet == quiet)
		return;
	group->gate_told = true;
	group->gate_told_state = state;
	group->gate_told_quiet = quiet;
	group_post(group, &event);
}

/* One of them has left the state that was ordered: so do all. */
static void follow(struct group *group, const struct group_lun *lun,
		   const struct gate_dm_view *view)
{
	log_warning("%s: LUN %s: the gate is %s by itself: %s", group->config->name,
		    lun->config->name, gate_state_name(view->state),
		    *view->problem ? view->problem : gate_dm_cause_text(view->cause));
	group_note(group, lun->config->name, "gate", "%s by itself: %s",
		   gate_state_name(view->state),
		   *view->problem ? view->problem : gate_dm_cause_text(view->cause));
	group->open_wanted = group->gate_paused = false;
	want(group, GATE_DM_DEVICE_KEEP, view->state);
	post(group, view->state, false);
}

/* Another logical unit may stand below: nothing passes before that is known; with `look` not before
 * the arbiter has looked again, and registered by nexuses that are proven. */
static void dm_hold(struct group_lun *lun, const char *why, bool look)
{
	struct group *group = lun->group;

	if (!group->started || (group->gate_ordered != GATE_STATE_OPEN && !group->gate_paused))
		return;
	if (!group->gate_paused) {
		group_note(group, lun->config->name, "gate", "held by itself: %s", why);
		group->open_wanted = false;
		want(group, GATE_DM_DEVICE_KEEP, GATE_STATE_HELD);
	}
	group->gate_paused = !look;
	if (look)
		post(group, GATE_STATE_HELD, false);
}

/* Nothing is in doubt any more. */
static void dm_resume(struct group *group)
{
	if (group->gate_paused) {
		group->gate_paused = false;
		want(group, GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN);
	}
	drive(group);
}

static void report(struct group *group)
{
	enum gate_state ordered = group->gate_ordered;
	bool quiet = true;

	for (size_t i = 0; i < group->lun_count; i++) {
		const struct gate_dm_view *view = view_of(group, i);
		const struct group_lun *lun = &group->luns[i];

		if (view->order != lun->dm_order)
			continue;
		if (view->state < ordered &&
		    (view->cause != GATE_DM_CAUSE_ORDERED || !view->present || view->spent)) {
			follow(group, lun, view);
			return;
		}
	}
	if (group->gate_paused) /* the arbiter does not hear of it */
		return;
	for (size_t i = 0; i < group->lun_count; i++) {
		const struct gate_dm_view *view = view_of(group, i);

		if (view->order != group->luns[i].dm_order || view->state != ordered)
			return;
		quiet = quiet && view->quiet;
	}
	if (ordered == GATE_STATE_OPEN && !(group->gate_told && group->gate_told_state == ordered))
		group_note(group, NULL, "gate", "open");
	post(group, ordered, ordered != GATE_STATE_OPEN && quiet);
}

static void on_unfit_over(uv_timer_t *timer)
{
	group_set_unfit(timer->data, GROUP_UNFIT_ATTACH, NULL);
}

/* No device can be made here: somebody else shall own the group. */
static void judge_devices(struct group_lun *lun, const struct gate_dm_view *view)
{
	struct group *group = lun->group;
	char reason[GROUP_REASON];

	if (lun->dm_unusable && !view->unusable)
		group_set_unfit(group, GROUP_UNFIT_ATTACH, NULL);
	lun->dm_unusable = view->unusable;
	if (view->unusable || view->failures >= FAILURES_MOST) {
		snprintf(reason, sizeof(reason), "LUN %s: %.200s", lun->config->name,
			 view->problem);
		if (!view->unusable)
			uv_timer_start(&group->attach_timer, on_unfit_over, UNFIT_MS, 0);
		if (!*group->unfit[GROUP_UNFIT_ATTACH])
			group_set_unfit(group, GROUP_UNFIT_ATTACH, reason);
	} else if (view->present && *group->unfit[GROUP_UNFIT_ATTACH] && lun->number == 0) {
		group_set_unfit(group, GROUP_UNFIT_ATTACH, NULL);
	}
}

static void note_device(struct group_lun *lun, const struct gate_dm_view *view)
{
	struct group *group = lun->group;

	if (*view->problem && strcmp(view->problem, lun->dm_problem) != 0) {
		log_error("%s: LUN %s: %s", group->config->name, lun->config->name, view->problem);
		group_note(group, lun->config->name, "attach", "%s", view->problem);
	}
	snprintf(lun->dm_problem, sizeof(lun->dm_problem), "%s", view->problem);
	if (view->present && lun->dm_size && view->size > lun->dm_size &&
	    strcmp(lun->dm_device, view->device) == 0)
		group_note(group, lun->config->name, "attach", "grew from %llu to %llu MiB",
			   (unsigned long long)lun->dm_size >> 20,
			   (unsigned long long)view->size >> 20);
	else if (view->present && group->started && strcmp(lun->dm_device, view->device) != 0)
		group_note(group, lun->config->name, "attach", "%s is there after %u ms",
			   view->device, view->made_in_ms);
	lun->dm_size = view->present ? view->size : 0;
	snprintf(lun->dm_device, sizeof(lun->dm_device), "%s", view->device);
}

static void on_changed(struct gate_dm *gate, void *user)
{
	struct group_lun *lun = user;
	struct group *group = lun->group;
	const struct gate_dm_view *view = gate_dm_view(gate);

	if (group->closing)
		return;
	note_device(lun, view);
	judge_devices(lun, view);
	if (!group->gate_seen) {
		for (size_t i = 0; i < group->lun_count; i++)
			if (!view_of(group, i)->known)
				return;
		group->gate_seen = true;
		group_gate_connected(group);
	}
	if (!group->started)
		return;
	drive(group);
	report(group);
}

/* --- beginning and end --- */

static int dm_open(struct group *group, char *message, size_t message_size)
{
	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];
		const struct gate_dm_setup setup = {
			.run_folder = group->home->run_folder,
			.name = lun->config->name,
			.device = lun->device[0]                  ? lun->device
				  : lun->config->device_count > 0 ? lun->config->devices[0]
								  : "",
			.wwid = lun->config->wwid,
			.hold_limit_ms = 2 * group->config->times.loss_ms,
		};

		lun->dm = gate_dm_new(&group->home->loop, &setup, on_changed, lun);
		if (!lun->dm) {
			snprintf(message, message_size, "%s: no memory or threads for its gate",
				 group->config->name);
			return -ENOMEM;
		}
	}
	return 0;
}

/* A gate outlives the daemon. One that is not whole is failed; devices that differ are held. */
static void dm_start_state(struct group *group, struct arbiter_event *event)
{
	enum gate_state least = GATE_STATE_OPEN, most = GATE_STATE_FAILED;
	bool quiet = true;

	for (size_t i = 0; i < group->lun_count; i++) {
		const struct gate_dm_view *view = view_of(group, i);

		least = view->state < least ? view->state : least;
		most = view->state > most ? view->state : most;
		quiet = quiet && view->quiet;
	}
	group->devices_wanted = true;
	group->gate_ordered = least;
	group->gate_told = least == most;
	group->gate_told_state = least;
	group->gate_told_quiet = quiet = quiet && least == most && least != GATE_STATE_OPEN;
	if (least != most || least == GATE_STATE_FAILED)
		want(group, GATE_DM_DEVICE_KEEP, least);
	event->start.gate = group_gate_arbiter_state(least);
	event->start.quiet = quiet;
}

static void dm_close(struct group *group, bool leave)
{
	for (size_t i = 0; i < group->lun_count; i++) {
		if (!group->luns[i].dm)
			continue;
		group->closes++;
		gate_dm_free(group->luns[i].dm, !leave, group_part_closed, group);
		group->luns[i].dm = NULL;
	}
}

/* --- showing --- */

static void dm_lun_json(const struct group_lun *lun, json_t *json)
{
	const struct gate_dm_view *view = lun->dm ? gate_dm_view(lun->dm) : NULL;

	if (!view || !view->present)
		return;
	json_object_set_new(json, "attached", json_string(view->device));
	json_object_set_new(json, "link", json_string(gate_dm_link(lun->dm)));
}

static bool dm_problem(const struct group *group, char *text, size_t size)
{
	for (size_t i = 0; i < group->lun_count; i++) {
		const struct gate_dm_view *view = view_of(group, i);
		const char *name = group->luns[i].config->name;

		if (*view->problem)
			snprintf(text, size, "LUN %s: %s", name, view->problem);
		else if (group->open_refused && !is_registered(group, (uint16_t)i))
			snprintf(text, size,
				 "LUN %s: not opened: no path of it is registered at the LUN",
				 name);
		else if (view->state != GATE_STATE_OPEN && view->in_flight > 0)
			snprintf(text, size,
				 "LUN %s: %llu requests are in flight below the gate still", name,
				 (unsigned long long)view->in_flight);
		else
			continue;
		return true;
	}
	return false;
}

static bool dm_put_back(struct group *group)
{
	for (size_t i = 0; i < group->lun_count; i++)
		if (group->luns[i].dm)
			gate_dm_put_back(group->luns[i].dm);
	return true;
}

const struct group_gate group_gate_dm = {
	.name = "dm",
	.open = dm_open,
	.start_state = dm_start_state,
	.order = dm_order,
	.hold = dm_hold,
	.resume = dm_resume,
	.prepare = dm_prepare,
	.settle = dm_settle,
	.close = dm_close,
	.lun_json = dm_lun_json,
	.problem = dm_problem,
	.put_back = dm_put_back,
};
