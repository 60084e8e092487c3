/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group's gate of kind nbdkit and its devices: what the arbiter orders is passed on to the gate
 * process, what the gate reports is passed back, and for each time that this node owns the group
 * its LUNs become fresh block devices.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/base/log.h"

#define ATTACH_RETRY_MS 300
#define ATTACH_TRIES 5
#define ATTACH_UNFIT_MS 60000
#define DEATHS_MOST 5u
#define DEATHS_WITHIN_MS 60000u
#define READY_EACH_MS 1000u
#define READY_PATIENCE_MS 5000u
#define HANGS_MS                                                                                   \
	5000u /* a helper that answers nothing for so long, while nothing keeps it waiting */

enum arbiter_gate group_gate_arbiter_state(enum gate_state state)
{
	switch (state) {
	case GATE_STATE_FAILED:
		return ARBITER_GATE_FAILED;
	case GATE_STATE_HELD:
		return ARBITER_GATE_HELD;
	case GATE_STATE_OPEN:
		return ARBITER_GATE_OPEN;
	}
	return ARBITER_GATE_FAILED;
}

/* --- devices --- */

static void drive_devices(struct group *group);

static void on_attach_timer(uv_timer_t *timer)
{
	struct group *group = timer->data;

	if (group->attach_failures >= ATTACH_TRIES) {
		group->attach_failures = 0;
		group_set_unfit(group, GROUP_UNFIT_ATTACH, NULL);
	}
	drive_devices(group);
}

static void attach_failed(struct group *group, struct group_lun *lun, const char *message)
{
	char reason[GROUP_REASON];

	log_error("%s: LUN %s: %s", group->config->name, lun->config->name, message);
	group_note(group, lun->config->name, "attach", "%s", message);
	if (++group->attach_failures < ATTACH_TRIES) {
		uv_timer_start(&group->attach_timer, on_attach_timer, ATTACH_RETRY_MS, 0);
		return;
	}
	uv_timer_start(&group->attach_timer, on_attach_timer, ATTACH_UNFIT_MS, 0);
	snprintf(reason, sizeof(reason), "LUN %s cannot be attached: %.180s", lun->config->name,
		 message);
	group_set_unfit(group, GROUP_UNFIT_ATTACH, reason);
}

static void on_attached(struct attach *attach, int status, const char *message, void *user)
{
	struct group_lun *lun = user;
	struct group *group = lun->group;

	if (group->closing)
		return;
	if (status == 0) {
		group->attach_failures = 0;
		group_note(group, lun->config->name, "attach", "%s is there after %u ms",
			   attach_link(attach), attach_made_in_ms(attach));
	} else if (status != -ECANCELED && group->devices_wanted) {
		attach_failed(group, lun, message);
		return;
	}
	drive_devices(group);
}

static void on_removed(struct attach *attach, int status, const char *message, void *user)
{
	struct group_lun *lun = user;

	(void)attach;
	if (lun->group->closing)
		return;
	if (message && *message)
		log_notice("%s: LUN %s: %s", lun->group->config->name, lun->config->name, message);
	lun->stale = status != 0;
	drive_devices(lun->group);
}

/* What was attached so far is dead: the arbiter is told that the gate has failed, so that the
 * service is stopped, and begins anew on devices made anew. */
static void break_devices(struct group *group)
{
	for (size_t i = 0; i < group->lun_count; i++)
		group->luns[i].stale = group->luns[i].attach != NULL;
	group->open_wanted = false;
	group->gate_ordered = GATE_STATE_FAILED;
}

/* A device that dies again and again cannot be used here. */
static void count_death(struct group *group, const char *lun, const char *reason)
{
	uint64_t now = clock_now_ms();
	char text[GROUP_REASON];

	if (group->deaths == 0 || now - group->death_ms > DEATHS_WITHIN_MS) {
		group->deaths = 0;
		group->death_ms = now;
	}
	if (++group->deaths < DEATHS_MOST)
		return;
	group->deaths = 0;
	group->attach_failures = ATTACH_TRIES;
	uv_timer_start(&group->attach_timer, on_attach_timer, ATTACH_UNFIT_MS, 0);
	snprintf(text, sizeof(text), "LUN %s: its device has died %u times within %u s: %.120s",
		 lun, DEATHS_MOST, DEATHS_WITHIN_MS / 1000, reason);
	group_set_unfit(group, GROUP_UNFIT_ATTACH, text);
}

static void on_device_lost(struct attach *attach, const char *reason, void *user)
{
	struct group_lun *lun = user;
	struct group *group = lun->group;
	bool opened = group->gate_ordered != GATE_STATE_FAILED && !group->open_wanted;

	(void)attach;
	if (group->closing)
		return;
	lun->stale = true;
	log_warning("%s: LUN %s: its device is dead: %s", group->config->name, lun->config->name,
		    reason);
	group_note(group, lun->config->name, "attach", "the device is dead: %s", reason);
	if (!group->started)
		return;
	if (group->gate_ordered != GATE_STATE_FAILED)
		count_death(group, lun->config->name, reason);
	if (opened) {
		break_devices(group);
		gate_set(group->gate, GATE_STATE_FAILED);
	} else {
		drive_devices(group);
	}
}

static struct attach *make_attach(struct group_lun *lun)
{
	const struct gate_message_lun *info = gate_lun_view(lun->group->gate, lun->number);
	struct attach_setup setup = {
		.run_folder = lun->group->home->run_folder,
		.name = lun->config->name,
		.nbd_socket = gate_nbd_socket(lun->group->gate),
		.block_size = info ? info->block_size : 0,
	};

	if (!lun->attach)
		lun->attach = attach_new(&lun->group->home->loop, &setup, on_device_lost, lun);
	else
		attach_set_block_size(lun->attach, setup.block_size);
	return lun->attach;
}

static bool gate_is_connected(const struct group *group)
{
	struct gate_view view;

	gate_view(group->gate, &view);
	return view.connected;
}

/* Brings every LUN's device a step nearer to what is wanted; with all there, an OPEN that waits
 * goes to the gate. */
static void drive_devices(struct group *group)
{
	bool complete = true;

	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];
		enum attach_state state =
			lun->attach ? attach_get_state(lun->attach) : ATTACH_STATE_NONE;

		switch (state) {
		case ATTACH_STATE_NONE:
			complete = false;
			lun->stale = false;
			if (group->devices_wanted && gate_is_connected(group) &&
			    !uv_is_active((uv_handle_t *)&group->attach_timer) && make_attach(lun))
				attach_make(lun->attach, on_attached, lun);
			break;
		case ATTACH_STATE_ATTACHED:
			if (lun->stale || !group->devices_wanted) {
				complete = false;
				attach_remove(lun->attach, on_removed, lun);
			}
			break;
		case ATTACH_STATE_MAKING:
			complete = false;
			if (lun->stale || !group->devices_wanted)
				attach_remove(lun->attach, on_removed, lun);
			break;
		case ATTACH_STATE_REMOVING:
			complete = false;
			break;
		}
	}
	if (complete && group->open_wanted) {
		group->open_wanted = false;
		gate_set(group->gate, GATE_STATE_OPEN);
	}
}

static void nbdkit_prepare(struct group *group)
{
	if (group->devices_wanted)
		return;
	group->devices_wanted = true;
	drive_devices(group);
}

/* A helper that answers nothing, although the gate has nothing of it under way: its device hangs,
 * and whoever uses that would hang for ever. It is killed, and another takes its place. */
static void check_helpers(struct group *group)
{
	struct gate_view view;

	gate_view(group->gate, &view);
	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];
		uint32_t silent_ms = lun->attach ? attach_unanswered_ms(lun->attach) : 0;

		if (silent_ms < HANGS_MS || !view.connected || view.state == GATE_STATE_HELD ||
		    view.in_flight > 0 || view.waiting > 0)
			continue;
		log_error("%s: LUN %s: the process behind its device has not answered for %u ms: "
			  "it is killed",
			  group->config->name, lun->config->name, silent_ms);
		group_note(group, lun->config->name, "alarm",
			   "the process behind the device has not answered for %u ms: it is killed",
			   silent_ms);
		attach_kill_helper(lun->attach);
	}
}

/* A node without the gate's process, or without what its devices are made of, could not serve: it is
 * not fit, and says so. An owner is judged by whether it gets on. */
static void check_ready(struct group *group)
{
	uint64_t now = clock_now_ms();
	char reason[GROUP_REASON];
	struct gate_view view;

	if (now - group->ready_ms < READY_EACH_MS)
		return;
	group->ready_ms = now;
	gate_view(group->gate, &view);
	if (view.connected)
		group->gate_down_ms = 0;
	else if (group->gate_down_ms == 0)
		group->gate_down_ms = now;
	if (!view.connected && now - group->gate_down_ms >= READY_PATIENCE_MS)
		snprintf(reason, sizeof(reason), "its gate has no process: %.200s", view.reason);
	else if (!attach_kind_possible(ATTACH_KIND_BEST))
		snprintf(reason, sizeof(reason),
			 "no block device can be made of a LUN here: neither /dev/nbd0 and "
			 "nbd-client "
			 "are there, nor /dev/fuse, /dev/loop-control and nbdfuse");
	else
		reason[0] = '\0';
	if (*reason && group->state != ARBITER_STATE_STANDBY)
		return;
	if (*reason && !*group->unfit[GROUP_UNFIT_DEVICE])
		log_error("%s: this node could not serve: %s", group->config->name, reason);
	group_set_unfit(group, GROUP_UNFIT_DEVICE, *reason ? reason : NULL);
}

static void nbdkit_settle(struct group *group)
{
	check_helpers(group);
	check_ready(group);
	if (!group->devices_wanted || !group_needs_no_devices(group))
		return;
	group->devices_wanted = false;
	drive_devices(group);
}

/* --- the gate's reports --- */

static void post_gate(struct group *group)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_GATE};
	struct gate_view view;

	gate_view(group->gate, &view);
	if (view.state ==
	    GATE_STATE_FAILED) /* the arbiter takes back an OPEN that it had ordered */
		group->open_wanted = false;
	event.gate.state = group_gate_arbiter_state(view.state);
	event.gate.quiet = view.quiet;
	group_post(group, &event);
}

static void on_gate_changed(struct gate *gate, void *user)
{
	struct group *group = user;
	struct gate_view view;

	gate_view(gate, &view);
	if (view.cause != GATE_CAUSE_ORDERED && view.state != group->gate_ordered) {
		const char *lun =
			view.lun < group->lun_count ? group->luns[view.lun].config->name : NULL;

		group_note(group, lun, "gate", "%s: %s", gate_state_name(view.state),
			   gate_cause_text(view.cause));
	}
	/* Overtaken by a later order. One that was refused is told: whoever gave it waits. */
	if (view.cause == GATE_CAUSE_ORDERED && view.state != group->gate_ordered && !view.refused)
		return;
	if (view.state == GATE_STATE_OPEN)
		group_note(group, NULL, "gate", "open");
	post_gate(group);
}

static void set_gate_path(struct group *group, uint16_t number, bool up, bool fresh)
{
	struct group_lun *lun = &group->luns[number];
	const struct gate_message_lun *info = gate_lun_view(group->gate, number);
	struct arbiter_event event = {
		.kind = ARBITER_EVENT_NEXUS,
		.nexus = {.lun = number, .up = up, .fresh = fresh, .ended = !up || fresh}};
	struct gate_view view;

	lun->gate_path.usable = up;
	gate_view(group->gate, &view);
	if (up || (info && info->nexus == GATE_NEXUS_UNUSABLE &&
		   view.cause == GATE_CAUSE_OTHER_UNIT && view.lun == number))
		group_identity_found(&lun->gate_path, !up, info ? info->reason : "");
	free(lun->gate_path.reason);
	lun->gate_path.reason = !up && info && *info->reason ? strdup(info->reason) : NULL;
	if (lun->gate_path.reason)
		group_note(group, lun->config->name, "path", "the gate's nexus: %s",
			   lun->gate_path.reason);
	if (info && info->blocks) {
		lun->size = info->blocks * info->block_size;
		lun->block_size = info->block_size;
	}
	group_post(group, &event);
}

static void on_gate_nexus(struct gate *gate, uint16_t number, bool up, bool fresh, void *user)
{
	struct group *group = user;

	(void)gate;
	if (number < group->lun_count)
		set_gate_path(group, number, up, fresh);
}

static void on_gate_up(struct gate *gate, bool found, void *user)
{
	struct group *group = user;
	bool first = !group->gate_seen;
	struct gate_view view;

	gate_view(gate, &view);
	group->gate_seen = true;
	for (uint16_t i = 0; i < group->lun_count; i++) {
		const struct gate_message_lun *info = gate_lun_view(gate, i);
		bool up = info && info->nexus == GATE_NEXUS_UP;

		if (first)
			group->luns[i].gate_path.usable = up;
		else if (up)
			set_gate_path(group, i, true, !found);
	}
	if (first) {
		group_gate_connected(group);
		return;
	}
	log_notice("%s: the gate process %u is %s", group->config->name, view.pid,
		   found ? "connected again" : "new");
	/* What was attached to the process before has lost its server for good. */
	for (size_t i = 0; !found && i < group->lun_count; i++)
		group->luns[i].stale = group->luns[i].attach != NULL;
	/* An order that found no connection was not kept. */
	if (group->gate_ordered < view.state)
		gate_set(gate, group->gate_ordered);
	else
		post_gate(group);
	drive_devices(group);
}

static void on_gate_down(struct gate *gate, const char *reason, void *user)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_GATE,
				      .gate = {.state = ARBITER_GATE_FAILED}};
	struct group *group = user;

	if (group->closing)
		return;
	log_warning("%s: no connection to the gate process: %s", group->config->name, reason);
	group_note(group, NULL, "gate", "no connection to its process: %s", reason);
	for (uint16_t i = 0; i < group->lun_count; i++)
		if (group->luns[i].gate_path.usable)
			set_gate_path(group, i, false, false);
	if (!group->started || !gate_is_gone(gate))
		return;
	if (group->gate_ordered != GATE_STATE_FAILED)
		count_death(group, group->luns[0].config->name, reason);
	break_devices(group);
	group_post(group, &event);
}

static void on_gate_attention(struct gate *gate, uint16_t lun, uint8_t asc, uint8_t ascq,
			      void *user)
{
	struct group *group = user;
	struct arbiter_event event = {.kind = ARBITER_EVENT_TICK};

	(void)gate;
	group->home->counters.unit_attentions++;
	if (lun < group->lun_count)
		group_note(group, group->luns[lun].config->name, "attention",
			   "unit attention %02x/%02x on the gate's nexus", asc, ascq);
	group_post(group, &event);
}

/* --- for the group --- */

static int nbdkit_open(struct group *group, char *message, size_t message_size)
{
	struct group_home *home = group->home;
	struct gate_lun_setup *luns = calloc(group->lun_count, sizeof(*luns));
	const struct gate_events events = {on_gate_up, on_gate_down, on_gate_changed, on_gate_nexus,
					   on_gate_attention};
	struct gate_setup setup = {
		.run_folder = home->run_folder,
		.group = group->config->name,
		.initiator_name = *home->initiator ? home->initiator : NULL,
		.secrets_file = home->config->secrets,
		.hold_limit_ms = 2 * group->config->times.loss_ms,
		.luns = luns,
		.lun_count = group->lun_count,
	};
	int error;

	if (!luns)
		return -ENOMEM;
	for (size_t i = 0; i < group->lun_count; i++) {
		const struct config_lun *config = group->luns[i].config;

		luns[i] = (struct gate_lun_setup){
			.name = config->name,
			.url = config->devices[0],
			.wwid = config->wwid,
			.header_digest = config->header_digest,
			.data_digest = config->data_digest,
		};
	}
	error = gate_open(&home->loop, &setup, &events, group, &group->gate, message, message_size);
	free(luns);
	if (error) {
		group->gate = NULL;
		return error;
	}
	for (uint16_t i = 0; i < group->lun_count; i++)
		group->luns[i].gate_path = (struct group_path){
			.lun = &group->luns[i], .path = gate_path(group->gate, i), .nexus = 0};
	return 0;
}

static void nbdkit_order(struct group *group, enum arbiter_gate state)
{
	group->open_wanted = false;
	switch (state) {
	case ARBITER_GATE_FAILED:
		group->gate_ordered = GATE_STATE_FAILED;
		gate_set(group->gate, GATE_STATE_FAILED);
		for (size_t i = 0; i < group->lun_count; i++)
			group->luns[i].stale = group->luns[i].attach != NULL;
		group_note(group, NULL, "gate", "failed: all I/O ends with an error");
		break;
	case ARBITER_GATE_HELD:
		group->gate_ordered = GATE_STATE_HELD;
		gate_set(group->gate, GATE_STATE_HELD);
		group_note(group, NULL, "gate", "held: I/O waits");
		break;
	case ARBITER_GATE_OPEN:
		group->gate_ordered = GATE_STATE_OPEN;
		group->open_wanted = true;
		group->devices_wanted = true;
		drive_devices(group);
		break;
	}
}

static void nbdkit_start_state(struct group *group, struct arbiter_event *event)
{
	struct gate_view view;
	bool devices = true;

	gate_view(group->gate, &view);
	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];

		if (!make_attach(lun) || !attach_adopt(lun->attach))
			devices = false;
		lun->stale = view.state == GATE_STATE_FAILED;
	}
	group->devices_wanted = view.state != GATE_STATE_FAILED;
	group->gate_ordered = view.state;
	event->start.gate = group_gate_arbiter_state(view.state);
	event->start.quiet = view.quiet;
	if (view.state != GATE_STATE_FAILED && !devices) { /* open, but what used it is gone */
		nbdkit_order(group, ARBITER_GATE_FAILED);
		event->start.gate = ARBITER_GATE_FAILED;
		event->start.quiet = false;
		group->devices_wanted = false;
	}
	if (!group->devices_wanted)
		drive_devices(group);
}

static void nbdkit_close(struct group *group, bool leave)
{
	for (size_t i = 0; i < group->lun_count; i++) {
		free(group->luns[i].gate_path.reason);
		if (!group->luns[i].attach)
			continue;
		group->closes++;
		attach_free(group->luns[i].attach, group_part_closed, group);
		group->luns[i].attach = NULL;
	}
	if (!group->gate)
		return;
	group->closes++;
	gate_close(group->gate, !leave, group_part_closed, group);
}

static bool nbdkit_put_back(struct group *group)
{
	bool good = !group->gate || gate_put_back(group->gate);

	/* nothing uses it: a fresh one has its lock and sockets where they belong */
	if (!good && group->gate_ordered == GATE_STATE_FAILED)
		gate_restart(group->gate);
	for (size_t i = 0; i < group->lun_count; i++)
		if (group->luns[i].attach && attach_put_back(group->luns[i].attach))
			good = false;
	return good;
}

static void nbdkit_lun_json(const struct group_lun *lun, json_t *json)
{
	if (!lun->attach || attach_get_state(lun->attach) != ATTACH_STATE_ATTACHED)
		return;
	json_object_set_new(json, "attached", json_string(attach_device(lun->attach)));
	json_object_set_new(json, "link", json_string(attach_link(lun->attach)));
}

static bool nbdkit_problem(const struct group *group, char *text, size_t size)
{
	struct gate_view view;

	if (!group->gate)
		return false;
	gate_view(group->gate, &view);
	snprintf(text, size, "%s", view.reason);
	return !view.connected;
}

const struct group_gate group_gate_nbdkit = {
	.name = "nbdkit",
	.open = nbdkit_open,
	.start_state = nbdkit_start_state,
	.order = nbdkit_order,
	.prepare = nbdkit_prepare,
	.settle = nbdkit_settle,
	.close = nbdkit_close,
	.lun_json = nbdkit_lun_json,
	.problem = nbdkit_problem,
	.put_back = nbdkit_put_back,
};
