/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One path of a LUN: who is behind it (VPD 83h), whether it can be used, and what the arbiter is
 * told of its nexus.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/base/log.h"

#define IDENTIFY_TIMEOUT_MS 10000
#define RECONNECT_MOST_MS 2000

bool group_path_good(const struct group_path *path)
{
	return path->path && !path->leaving && path->usable && path->health == GROUP_PATH_GOOD;
}

bool group_lun_is_kernel(const struct group_lun *lun)
{
	return !lun->config->iscsi;
}

void group_path_post(struct group_path *path, bool up, bool fresh, bool ended)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_NEXUS};

	if (path->nexus == NO_GROUP_NEXUS)
		return;
	event.nexus.lun = path->lun->number;
	event.nexus.nexus = path->nexus;
	event.nexus.up = up;
	event.nexus.fresh = fresh;
	event.nexus.ended = ended;
	group_post(path->lun->group, &event);
}

bool group_path_has_ended(struct group_path *path)
{
	path->gave_up = path->gave_up && path->path->left_behind > 0;
	return !path->gave_up;
}

void group_path_reason(struct group_path *path, const char *reason)
{
	bool news = reason && (!path->reason || strcmp(path->reason, reason) != 0);

	if (news) {
		log_warning("%s: LUN %s: %s: %s", path->lun->group->config->name,
			    path->lun->config->name, path->path->name, reason);
		group_note(path->lun->group, path->lun->config->name, "path", "%s: %s",
			   path->path->name, reason);
	}
	if (!news && reason)
		return;
	free(path->reason);
	path->reason = reason ? strdup(reason) : NULL;
}

/* --- its session --- */

void group_path_read_session(struct group_path *path)
{
	const char *name = strrchr(path->device.node, '/');

	path->transport[0] = '\0';
	if (kernel_nexus_read(&path->session, sg_roots_system.sysfs, name ? name + 1 : ""))
		kernel_nexus_transport(&path->session, path->transport, sizeof(path->transport));
}

void group_path_check_session(struct group_path *path)
{
	struct kernel_nexus before = path->session;

	if (!path->device.node[0])
		return;
	group_path_read_session(path);
	if (before.session[0] == '\0' || kernel_nexus_equal(&before, &path->session))
		return;
	group_note(path->lun->group, path->lun->config->name, "path",
		   "%s: its session is another one now (%s, was %s)", path->path->name,
		   path->session.session, before.session);
	path->listed_once = path->actual_known = path->gave_up = false;
	group_path_post(path, false, false, true);
	if (group_path_good(path)) /* else what comes up is new anyway */
		group_path_post(path, true, true, true);
}

/* --- who it is --- */

struct identify {
	struct lun_identify errand;
	struct pr_exec capabilities;
	uint8_t buffer[8];
	struct group_path *path;
};

bool group_path_is_listed(const struct group_path *path)
{
	struct arbiter_lun_view view;

	if (!path->actual_known || path->nexus == NO_GROUP_NEXUS)
		return false;
	arbiter_get_lun_view(path->lun->group->arbiter, path->lun->number, &view);
	return view.owned && path->actual == view.key && view.nexus[path->nexus].registered &&
	       view.nexus[path->nexus].key == view.key;
}

/* A kernel's nexus that was there before this daemon may bear its key already; any that came later
 * is new. So is every session of our own. */
static bool is_fresh(const struct group_path *path)
{
	if (group_path_is_listed(path))
		return false;
	return path->ever_up || path->late || !group_lun_is_kernel(path->lun);
}

void group_path_announce(struct group_path *path)
{
	if (group_path_good(path))
		group_path_post(path, true, !group_lun_is_kernel(path->lun), true);
}

static void path_usable(struct group_path *path)
{
	struct group_lun *lun = path->lun;
	bool fresh = is_fresh(path);

	if (path->gone_meanwhile) { /* what has answered may have been another one */
		group_reconnect_soon(lun->group);
		return;
	}
	if (path->reason)
		group_note(lun->group, lun->config->name, "path", "%s: up", path->path->name);
	group_path_reason(path, NULL);
	path->usable = path->ever_up = true;
	path->health = GROUP_PATH_GOOD;
	path->actual_known = false;
	group_size_news(lun); /* its disk may have an old one */
	group_path_post(path, true, fresh, group_path_has_ended(path));
}

static void identify_free(struct identify *identify)
{
	lun_identify_release(&identify->errand);
	free(identify);
}

static void on_capabilities(struct pr_exec *exec)
{
	struct identify *identify = exec->user;
	struct group_path *path = identify->path;
	struct pr_capabilities capabilities;
	const struct scsi_result *result = &exec->request.result;

	path->identifying = false;
	/* A path that is not accessible now, or fails, says nothing of the logical unit. */
	if (result->outcome == SCSI_OUTCOME_OK ||
	    (result->outcome == SCSI_OUTCOME_FAILED &&
	     result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST)) {
		path->lun->capabilities_known = true;
		path->lun->aptpl = result->outcome == SCSI_OUTCOME_OK &&
				   pr_capabilities_decode(&capabilities, identify->buffer,
							  result->transferred) == 0 &&
				   capabilities.persist_through_power_loss_capable;
	}
	identify_free(identify);
	if (path->path->state == PATH_STATE_UP && !path->lun->group->closing && !path->leaving)
		group_writable_ask(path, path_usable);
}

static const char *identity_problem(const struct group_path *path,
				    const struct lun_identify *errand,
				    enum lun_proof_verdict *verdict, char *text, size_t size)
{
	char result[200];

	*verdict = LUN_VERDICT_UNKNOWN;

	if (errand->exec.request.result.outcome != SCSI_OUTCOME_OK)
		snprintf(text, size, "it does not say who it is: %s",
			 scsi_result_text(&errand->exec.request.result, result, sizeof(result)));
	else if (errand->inquiry.peripheral_qualifier != 0)
		snprintf(text, size,
			 "there is no such logical unit at the target; check the number, and what "
			 "the target maps to "
			 "this initiator");
	else if (errand->inquiry.device_type != 0)
		snprintf(text, size, "it is no disk (device type %02xh)",
			 errand->inquiry.device_type);
	else
		*verdict = lun_identity_judge(&path->lun->identity, errand->page.data,
					      errand->page.length, &errand->capacity, text, size);
	return *verdict == LUN_VERDICT_SAME ? NULL : text;
}

static void on_identified(struct lun_identify *errand)
{
	struct identify *identify = errand->user;
	struct group_path *path = identify->path;
	struct group_lun *lun = path->lun;
	enum lun_proof_verdict verdict;
	char text[600];
	const char *problem = identity_problem(path, errand, &verdict, text, sizeof(text));

	if (lun->group->closing || path->leaving || path->path->state != PATH_STATE_UP || problem) {
		path->identifying = false;
		if (!lun->group->closing && !path->leaving && path->path->state == PATH_STATE_UP) {
			group_path_reason(path, problem);
			group_identity_judged(path, verdict, text);
			group_reconnect_soon(lun->group);
		}
		identify_free(identify);
		return;
	}
	lun_identity_learn(&lun->identity, errand->page.data, errand->page.length,
			   &errand->capacity);
	group_identity_judged(path, verdict, "");
	if (errand->capacity.blocks != 0) {
		lun->size = errand->capacity.blocks * errand->capacity.block_size;
		lun->block_size = errand->capacity.block_size;
	}
	if (!lun->wwid || strcmp(lun->wwid, errand->wwid) != 0) {
		free(lun->wwid);
		lun->wwid = strdup(errand->wwid);
	}
	if (lun->capabilities_known) {
		path->identifying = false;
		identify_free(identify);
		group_writable_ask(path, path_usable);
		return;
	}
	identify->capabilities.user = identify;
	identify->capabilities.counters = &lun->group->home->counters.pr;
	pr_in_encode(&identify->capabilities.request, PR_IN_REPORT_CAPABILITIES, identify->buffer,
		     sizeof(identify->buffer));
	pr_exec_start(&identify->capabilities, path->path, IDENTIFY_TIMEOUT_MS, on_capabilities);
}

void group_path_identify(struct group_path *path)
{
	struct identify *identify = path->identifying ? NULL : calloc(1, sizeof(*identify));

	if (!identify)
		return;
	identify->path = path;
	identify->errand.user = identify;
	path->identifying = true;
	path->gone_meanwhile = false;
	lun_identify_start(&identify->errand, path->path, IDENTIFY_TIMEOUT_MS, on_identified);
}

void group_path_changed(struct path *p, enum path_state state, const char *reason, void *user)
{
	struct group_lun *lun = user;
	struct group_path *path = NULL;
	bool must_post;

	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].path == p)
			path = &lun->paths[k];
	if (!path || path->leaving || lun->group->closing)
		return;
	switch (state) {
	case PATH_STATE_CONNECTING:
		break;
	case PATH_STATE_UP:
		group_path_check_session(path);
		group_path_identify(path);
		break;
	case PATH_STATE_DOWN:
		must_post = group_path_good(path) || path->gave_up;
		path->usable = false;
		path->gone_meanwhile = path->identifying;
		path->health = GROUP_PATH_GOOD; /* as far as one knows: it is down */
		group_path_reason(path, reason);
		if (must_post)
			group_path_post(path, false, false, group_path_has_ended(path));
		group_reconnect_soon(lun->group);
		break;
	}
}

/* --- again --- */

static bool reconnect_paths(struct group *group)
{
	bool down = false;

	for (size_t i = 0; i < group->lun_count; i++)
		for (size_t k = 0; k < group->luns[i].path_count; k++) {
			struct group_path *path = &group->luns[i].paths[k];

			if (!path->path || path->leaving || path->usable)
				continue;
			down = true;
			if (path->path->state == PATH_STATE_DOWN)
				path_reconnect(path->path);
			else if (path->path->state == PATH_STATE_UP)
				group_path_identify(path);
		}
	return down;
}

static void on_reconnect_timer(uv_timer_t *timer)
{
	struct group *group = timer->data;

	if (!reconnect_paths(group)) {
		group->reconnect_ms = GROUP_RECONNECT_FIRST_MS;
		return;
	}
	group->reconnect_ms = group->reconnect_ms * 2 > RECONNECT_MOST_MS ? RECONNECT_MOST_MS
									  : group->reconnect_ms * 2;
	uv_timer_start(&group->reconnect_timer, on_reconnect_timer, group->reconnect_ms, 0);
}

void group_reconnect_soon(struct group *group)
{
	if (!group->closing && !uv_is_active((uv_handle_t *)&group->reconnect_timer))
		uv_timer_start(&group->reconnect_timer, on_reconnect_timer, group->reconnect_ms, 0);
}

/* --- its size --- */

void group_size_news(struct group_lun *lun)
{
	size_policy_news(&lun->size_policy, clock_now_ms());
}
