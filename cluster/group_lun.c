/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One LUN of a group: its paths, who it is (VPD 83h), looks and orders.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/group.h"
#include "cluster/isid.h"
#include "cluster/log.h"
#include "iscsi/path_iscsi.h"

#define IDENTIFY_TIMEOUT_MS 10000

static const struct arbiter_look no_look;

static void post_nexus(struct group_path *path, bool up, bool fresh)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_NEXUS};

	if (path->nexus == NO_GROUP_NEXUS)
		return;
	event.nexus.lun = path->lun->number;
	event.nexus.nexus = path->nexus;
	event.nexus.up = up;
	event.nexus.fresh = fresh;
	group_post(path->lun->group, &event);
}

static void set_reason(struct group_path *path, const char *reason)
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

/* --- who it is --- */

struct identify {
	struct lun_identify errand;
	struct pr_exec capabilities;
	uint8_t buffer[8];
	struct group_path *path;
	char wanted[SCSI_WWID_MAX]; /* a reload may free the configuration meanwhile */
};

static void path_usable(struct group_path *path)
{
	struct group_lun *lun = path->lun;
	bool fresh = path->ever_up || strcmp(path->path->ops->kind, "sg") != 0;

	if (path->reason)
		group_note(lun->group, lun->config->name, "path", "%s: up", path->path->name);
	set_reason(path, NULL);
	path->usable = path->ever_up = true;
	post_nexus(path, true, fresh);
}

static void on_capabilities(struct pr_exec *exec)
{
	struct identify *identify = exec->user;
	struct group_path *path = identify->path;
	struct pr_capabilities capabilities;
	const struct scsi_result *result = &exec->request.result;

	path->identifying = false;
	if (result->outcome != SCSI_OUTCOME_UNKNOWN) {
		path->lun->capabilities_known = true;
		path->lun->aptpl = result->outcome == SCSI_OUTCOME_OK &&
				   pr_capabilities_decode(&capabilities, identify->buffer,
							  result->transferred) == 0 &&
				   capabilities.persist_through_power_loss_capable;
	}
	free(identify);
	if (path->path->state == PATH_STATE_UP && !path->lun->group->closing)
		path_usable(path);
}

static const char *identity_problem(const struct group_path *path,
				    const struct lun_identify *errand, char *text, size_t size)
{
	char result[200];

	if (errand->exec.request.result.outcome != SCSI_OUTCOME_OK)
		snprintf(text, size, "it does not say who it is: %s",
			 scsi_result_text(&errand->exec.request.result, result, sizeof result));
	else if (errand->inquiry.peripheral_qualifier != 0)
		snprintf(text, size,
			 "there is no such logical unit at the target; check the number, and what "
			 "the target maps to "
			 "this initiator");
	else if (errand->inquiry.device_type != 0)
		snprintf(text, size, "it is no disk (device type %02xh)",
			 errand->inquiry.device_type);
	else if (errand->wanted && !errand->wanted_present)
		snprintf(text, size,
			 "it is another logical unit: VPD 83h says %s, the configuration wants %s; "
			 "nothing is sent "
			 "to it. Check the target's mapping, or correct wwid",
			 *errand->wwid ? errand->wwid : "nothing", errand->wanted);
	else
		return NULL;
	return text;
	(void)path;
}

static void on_identified(struct lun_identify *errand)
{
	struct identify *identify = errand->user;
	struct group_path *path = identify->path;
	struct group_lun *lun = path->lun;
	char text[600];
	const char *problem = identity_problem(path, errand, text, sizeof text);

	if (lun->group->closing || path->path->state != PATH_STATE_UP || problem) {
		path->identifying = false;
		if (!lun->group->closing && path->path->state == PATH_STATE_UP) {
			set_reason(path, problem);
			group_reconnect_soon(lun->group);
		}
		free(identify);
		return;
	}
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
		free(identify);
		path_usable(path);
		return;
	}
	identify->capabilities.user = identify;
	identify->capabilities.counters = &lun->group->daemon->counters.pr;
	pr_in_encode(&identify->capabilities.request, PR_IN_REPORT_CAPABILITIES, identify->buffer,
		     sizeof identify->buffer);
	pr_exec_start(&identify->capabilities, path->path, IDENTIFY_TIMEOUT_MS, on_capabilities);
}

static void path_identify(struct group_path *path)
{
	struct identify *identify = path->identifying ? NULL : calloc(1, sizeof *identify);

	if (!identify)
		return;
	identify->path = path;
	identify->errand.user = identify;
	if (path->lun->config->wwid) {
		snprintf(identify->wanted, sizeof identify->wanted, "%s", path->lun->config->wwid);
		identify->errand.wanted = identify->wanted;
	}
	path->identifying = true;
	lun_identify_start(&identify->errand, path->path, IDENTIFY_TIMEOUT_MS, on_identified);
}

static void on_path_changed(struct path *p, enum path_state state, const char *reason, void *user)
{
	struct group_lun *lun = user;
	struct group_path *path = NULL;
	bool was_usable;

	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].path == p)
			path = &lun->paths[k];
	if (!path || lun->group->closing)
		return;
	switch (state) {
	case PATH_STATE_CONNECTING:
		break;
	case PATH_STATE_UP:
		path_identify(path);
		break;
	case PATH_STATE_DOWN:
		was_usable = path->usable;
		path->usable = false;
		set_reason(path, reason);
		if (was_usable)
			post_nexus(path, false, false);
		group_reconnect_soon(lun->group);
		break;
	}
}

bool group_reconnect_paths(struct group *group)
{
	bool down = false;

	for (size_t i = 0; i < group->lun_count; i++)
		for (size_t k = 0; k < group->luns[i].path_count; k++) {
			struct group_path *path = &group->luns[i].paths[k];

			if (path->usable)
				continue;
			down = true;
			if (path->path->state == PATH_STATE_DOWN)
				path_reconnect(path->path);
			else if (path->path->state == PATH_STATE_UP)
				path_identify(path);
		}
	return down;
}

/* --- opening and closing --- */

/* RUN/dev/NAME of a kernel device: @NAME of a service's parameters. It stays behind when the daemon
 * ends, because a service may go on without it. */
static void link_path(const struct group_lun *lun, const char *suffix, char *path, size_t size)
{
	snprintf(path, size, "%s/dev/%s%s", lun->group->daemon->run_folder, lun->config->name,
		 suffix);
}

static bool is_kernel_device(const struct group_lun *lun)
{
	return lun->group->config->gate == CONFIG_GATE_NONE && lun->config->device_count > 0 &&
	       lun->config->devices[0][0] == '/';
}

static int make_link(const struct group_lun *lun, char *message, size_t message_size)
{
	char folder[PATH_MAX], path[PATH_MAX], fresh[PATH_MAX];

	snprintf(folder, sizeof folder, "%s/dev", lun->group->daemon->run_folder);
	link_path(lun, "", path, sizeof path);
	link_path(lun, ".new", fresh, sizeof fresh);
	unlink(fresh);
	if ((mkdir(folder, 0755) == 0 || errno == EEXIST) &&
	    symlink(lun->config->devices[0], fresh) == 0 && rename(fresh, path) == 0)
		return 0;
	snprintf(message, message_size, "cannot make the link %.300s: %s", path, strerror(errno));
	return -EIO;
}

int group_lun_open(struct group_lun *lun, char *message, size_t message_size)
{
	struct daemon *daemon = lun->group->daemon;
	struct path_open_options options = {
		.initiator_name = *daemon->initiator ? daemon->initiator : NULL,
		.secrets_file = daemon->config->secrets,
		.header_digest = lun->config->header_digest,
		.data_digest = lun->config->data_digest,
		.changed = on_path_changed,
		.user = lun,
	};
	bool gated = lun->group->config->gate != CONFIG_GATE_NONE;
	struct path *paths[PATHS_MAX];
	size_t count;

	for (size_t d = 0; d < lun->config->device_count; d++) {
		struct group_path *grown;
		int error;

		options.isid_qualifier = isid_look_qualifier(lun->config, d);
		error = path_open_all(daemon_path_kinds, &daemon->loop, lun->config->devices[d],
				      &options, paths, &count, message, message_size);
		if (error)
			return error;
		grown = realloc(lun->paths, (lun->path_count + count) * sizeof *grown);
		if (!grown) {
			for (size_t k = 0; k < count; k++)
				path_close(paths[k], NULL, NULL);
			return -ENOMEM;
		}
		lun->paths = grown;
		for (size_t k = 0; k < count; k++) {
			size_t n = lun->path_count++;

			lun->paths[n] = (struct group_path){
				.lun = lun,
				.path = paths[k],
				.nexus = gated || n >= ARBITER_NEXUSES_MAX ? NO_GROUP_NEXUS
									   : (uint8_t)n,
			};
		}
	}
	return is_kernel_device(lun) ? make_link(lun, message, message_size) : 0;
}

void group_lun_close(struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++) {
		lun->group->closes++;
		free(lun->paths[k].reason);
		lun->paths[k].reason = NULL;
		path_close(lun->paths[k].path, group_part_closed, lun->group);
	}
	free(lun->wwid);
	lun->wwid = NULL;
}

void group_lun_announce(struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].usable)
			post_nexus(&lun->paths[k], true,
				   strcmp(lun->paths[k].path->ops->kind, "sg") != 0);
	if (lun->gate_path
		    .usable) { /* a nexus that never bore a key is new, whoever logged it in */
		const struct gate_message_lun *info = gate_lun_view(lun->group->gate, lun->number);

		post_nexus(&lun->gate_path, true, !info || info->key == 0);
	}
}

/* --- looks --- */

struct look {
	struct pr_look errand;
	struct group_path *path;
	uint32_t id, timeout_ms;
};

/* The one with the fewest looks unanswered; among equals, another at each attempt. */
static struct group_path *choose_path(struct group_lun *lun, uint32_t attempt)
{
	struct group_path *best = NULL;

	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[(k + attempt) % lun->path_count];

		if (path->usable && (!best || path->looking < best->looking))
			best = path;
	}
	if (lun->gate_path.usable && (!best || lun->gate_path.looking < best->looking))
		best = &lun->gate_path;
	return best;
}

static void post_look(struct group_lun *lun, uint32_t id, const struct arbiter_look *look)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_LOOKED};

	event.looked.lun = lun->number;
	event.looked.id = id;
	event.looked.look = look;
	group_post(lun->group, &event);
}

static void tell_refusal(struct group_lun *lun, const struct scsi_result *result)
{
	char text[200];

	if (lun->no_pr || result->outcome != SCSI_OUTCOME_FAILED ||
	    result->sense_key != SCSI_SENSE_ILLEGAL_REQUEST)
		return;
	lun->no_pr = true;
	scsi_result_text(result, text, sizeof text);
	log_error("%s: LUN %s supports no persistent reservations (%s): it cannot be arbitrated. "
		  "See: lunkeeper lun probe %s",
		  lun->group->config->name, lun->config->name, text, lun->config->devices[0]);
	group_note(lun->group, lun->config->name, "alarm",
		   "it supports no persistent reservations: %s", text);
}

static void on_looked(struct pr_look *errand)
{
	struct look *look = errand->user;
	struct group_path *path = look->path;
	struct group_lun *lun = path->lun;
	struct daemon *daemon = lun->group->daemon;
	const struct scsi_result *result = &errand->exec.request.result;
	struct arbiter_look seen = {0};
	uint32_t id = look->id;

	path->looking--;
	daemon->counters.looks++;
	daemon->counters.unit_attentions += errand->exec.attentions.count;
	if (result->outcome == SCSI_OUTCOME_FAILED &&
	    result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST && lun->full_status &&
	    !lun->group->closing) {
		lun->full_status = false;
		path->looking++;
		pr_look_start(errand, path->path, false, look->timeout_ms, on_looked);
		return;
	}
	if (result->outcome == SCSI_OUTCOME_OK) {
		seen.ok = true;
		seen.generation = errand->generation;
		seen.held = errand->held;
		seen.holder = errand->holder;
		seen.truncated = errand->truncated || errand->key_count > ARBITER_LOOK_KEYS_MAX;
		for (uint32_t k = 0; k < errand->key_count && k < ARBITER_LOOK_KEYS_MAX; k++)
			seen.keys[seen.key_count++] = errand->keys[k];
		lun->no_pr = false;
	} else {
		daemon->counters.looks_failed++;
		if (!lun->group->closing)
			tell_refusal(lun, result);
	}
	pr_look_release(errand);
	free(look);
	post_look(lun, id, &seen);
}

void group_lun_look(struct group_lun *lun, const struct arbiter_effect *effect)
{
	struct group_path *path = choose_path(lun, effect->look.attempt);
	struct look *look = path ? calloc(1, sizeof *look) : NULL;

	if (!look) {
		post_look(lun, effect->id, &no_look);
		return;
	}
	if (!lun->full_status_known) { /* members are mostly of the leader's target */
		const struct group_lun *leader = &lun->group->luns[0];

		lun->full_status_known = true;
		lun->full_status = !leader->full_status_known || leader->full_status;
	}
	look->path = path;
	look->id = effect->id;
	look->timeout_ms = effect->look.give_up_ms;
	look->errand.user = look;
	look->errand.exec.counters = &lun->group->daemon->counters.pr;
	path->looking++;
	pr_look_start(&look->errand, path->path, lun->full_status, look->timeout_ms, on_looked);
}

/* --- orders --- */

struct order {
	struct pr_order errand;
	struct scsi_request reset;
	struct group_lun *lun;
	uint32_t id;
};

static void post_ordered(struct group_lun *lun, uint32_t id, const struct scsi_result *result,
			 bool other_path)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_ORDERED};

	event.ordered.lun = lun->number;
	event.ordered.id = id;
	event.ordered.outcome = result->outcome;
	event.ordered.illegal_request = result->outcome == SCSI_OUTCOME_FAILED &&
					result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;
	event.ordered.path_unusable = other_path || result->error == -ENOTCONN;
	group_post(lun->group, &event);
}

static void on_ordered(struct pr_order *errand)
{
	struct order *order = errand->user;
	struct scsi_result result = errand->exec.request.result;
	bool other_path = errand->exec.verdict == SCSI_RETRY_OTHER_PATH;

	order->lun->group->daemon->counters.unit_attentions += errand->exec.attentions.count;
	post_ordered(order->lun, order->id, &result, other_path);
	free(order);
}

static void on_reset(struct scsi_request *request)
{
	struct order *order = request->user;

	post_ordered(order->lun, order->id, &request->result, false);
	free(order);
}

static struct group_path *path_of_nexus(struct group_lun *lun, uint8_t nexus)
{
	if (lun->group->gate)
		return nexus == 0 && lun->gate_path.usable ? &lun->gate_path : NULL;
	return nexus < lun->path_count && lun->paths[nexus].usable ? &lun->paths[nexus] : NULL;
}

void group_lun_order(struct group_lun *lun, const struct arbiter_effect *effect)
{
	struct group_path *path = path_of_nexus(lun, effect->order.nexus);
	struct order *order = path ? calloc(1, sizeof *order) : NULL;
	struct scsi_result refused = {.outcome = SCSI_OUTCOME_FAILED,
				      .error = -ENOTCONN}; /* it was not even sent */
	struct pr_out out = {
		.action = effect->order.action,
		.type = lun->config->type,
		.key = effect->order.key,
		.service_key = effect->order.service_key,
		.aptpl = lun->aptpl,
	};

	if (!order) {
		post_ordered(lun, effect->id, &refused, true);
		return;
	}
	order->lun = lun;
	order->id = effect->id;
	if (effect->kind == ARBITER_EFFECT_RESET) {
		order->reset.timeout_ms = effect->order.give_up_ms;
		order->reset.done = on_reset;
		order->reset.user = order;
		lun->group->daemon->counters.resets++;
		path_reset_logical_unit(path->path, &order->reset);
		return;
	}
	order->errand.user = order;
	order->errand.exec.counters = &lun->group->daemon->counters.pr;
	if (pr_order_start(&order->errand, path->path, &out, effect->order.give_up_ms,
			   on_ordered)) {
		refused.error = -EINVAL;
		post_ordered(lun, effect->id, &refused, false);
		free(order);
	}
}
