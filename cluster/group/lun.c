/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One LUN of a group: it is opened, looked at, and given orders.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/config/isid.h"
#include "cluster/base/log.h"
#include "cluster/core/key.h"

static const struct arbiter_look no_look;

static void resume(struct group_lun *lun);

/* --- opening and closing --- */

static int open_urls(struct group_lun *lun, char *message, size_t message_size)
{
	struct group_home *home = lun->group->home;
	struct path_open_options options = {
		.initiator_name = *home->initiator ? home->initiator : NULL,
		.secrets_file = home->config->secrets,
		.header_digest = lun->config->header_digest,
		.data_digest = lun->config->data_digest,
		.changed = group_path_changed,
		.user = lun,
	};
	struct path *paths[PATHS_MAX];
	size_t count;

	for (size_t d = 0; d < lun->config->device_count; d++) {
		int error;

		options.isid_qualifier = isid_look_qualifier(lun->config, d);
		error = path_open_all(home->path_kinds, &home->loop, lun->config->devices[d],
				      &options, paths, &count, message, message_size);
		if (error)
			return error;
		for (size_t k = 0; k < count; k++)
			group_lun_add_path(lun, paths[k], NULL);
	}
	return 0;
}

/* A kernel device need not be there yet. */
int group_lun_open(struct group_lun *lun, char *message, size_t message_size)
{
	lun->resume = resume;
	lun->paths = calloc(GROUP_PATHS_MAX, sizeof(*lun->paths));
	if (!lun->paths) {
		snprintf(message, message_size, "%s: out of memory", lun->config->name);
		return -ENOMEM;
	}
	group_identity_open(lun);
	if (!group_lun_is_kernel(lun))
		return open_urls(lun, message, message_size);
	group_lun_rescan(lun, lun->group->home->index);
	return 0;
}

void group_lun_close(struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[k];

		if (!path->path)
			continue;
		lun->group->closes++;
		free(path->reason);
		path->reason = NULL;
		if (!path->leaving) /* else its end is near, and told by whoever began it */
			path_close(path->path, group_part_closed, lun->group);
	}
	resume(lun);
	lun->group->closes += lun->resuming;
	group_multipathd_forget(lun, true);
	group_size_close(lun);
	free(lun->wwid);
	free(lun->place_note);
	free(lun->missing);
	free(lun->orphans);
	lun->wwid = lun->place_note = lun->missing = lun->orphans = NULL;
}

void group_lun_announce(struct group_lun *lun)
{
	group_identity_announce(lun);
	for (size_t k = 0; k < lun->path_count; k++)
		group_path_announce(&lun->paths[k]);
	if (lun->gate_path
		    .usable) { /* a nexus that never bore a key is new, whoever logged it in */
		const struct gate_message_lun *info = gate_lun_view(lun->group->gate, lun->number);

		group_path_post(&lun->gate_path, true, !info || info->key == 0, true);
	}
}

/* --- looks --- */

struct look {
	struct pr_look errand;
	struct lun_proof proof; /* of what has answered */
	bool doubted;           /* that may be another one */
	struct arbiter_look seen;
	struct group_errand under_way;
	struct group_path *path;
	uint32_t id, timeout_ms, order_epoch;
	uint64_t began_ms;
	uint8_t moves; /* to another path */
	bool full;     /* by READ FULL STATUS */
	bool still;    /* no order was in flight when it began */
	bool plain;    /* not by READ FULL STATUS, whatever the target has */
	bool check;    /* READ FULL STATUS, which showed `shown`, is compared with READ KEYS */
	struct arbiter_look shown;
	struct group_listed listed;
};

static bool may_look(const struct group_path *path)
{
	return path->path && !path->leaving && path->usable;
}

/* A good one before the others, and the one with the fewest looks unanswered; among equals, another
 * at each attempt. */
static struct group_path *choose_path(struct group_lun *lun, uint32_t attempt,
				      const struct group_path *but)
{
	struct group_path *best = NULL;

	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[(k + attempt) % lun->path_count];

		if (path == but || !may_look(path))
			continue;
		if (!best || path->health < best->health ||
		    (path->health == best->health && path->looking < best->looking))
			best = path;
	}
	if (lun->gate_path.usable && but != &lun->gate_path &&
	    (!best || lun->gate_path.looking < best->looking))
		best = &lun->gate_path;
	return best;
}

/* READ FULL STATUS: whose nexus is registered with which key. */
static void on_entry(struct pr_look *errand, const struct pr_full_status_entry *entry)
{
	struct look *look = errand->user;
	const struct group_lun *lun = look->path->lun;
	struct group_listed *listed = &look->listed;
	char transport[GROUP_TRANSPORT_MAX];
	bool ours = false;

	if (!entry) {
		memset(listed, 0, sizeof(*listed));
		return;
	}
	pr_transport_id_text(entry->transport_id, entry->transport_id_length, transport,
			     sizeof(transport));
	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].transport[0] &&
		    strcasecmp(lun->paths[k].transport, transport) == 0) {
			listed->path[k].key = entry->key;
			listed->path[k].there = ours = true;
		}
	if (!ours && listed->other_count < GROUP_OTHERS_MAX) {
		listed->others[listed->other_count].key = entry->key;
		memcpy(listed->others[listed->other_count++].transport, transport,
		       sizeof(transport));
	}
}

static void post_look(struct group_lun *lun, uint32_t id, const struct arbiter_look *look)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_LOOKED};

	event.looked.lun = lun->number;
	event.looked.id = id;
	event.looked.look = look;
	group_post(lun->group, &event);
}

/* A LUN that is not mapped answers INQUIRY, and nothing else: 05/25/00. */
static void tell_refusal(struct group_lun *lun, const struct scsi_result *result)
{
	char text[200];

	if (lun->no_pr || result->outcome != SCSI_OUTCOME_FAILED ||
	    result->sense_key != SCSI_SENSE_ILLEGAL_REQUEST)
		return;
	lun->no_pr = true;
	scsi_result_text(result, text, sizeof(text));
	if (result->asc == 0x25)
		snprintf(lun->refusal, sizeof(lun->refusal),
			 "the target has no such LUN for this node: is it still mapped?");
	else if (result->asc == 0x20 || result->asc == 0x24)
		snprintf(lun->refusal, sizeof(lun->refusal),
			 "it supports no persistent reservations; see: lunkeeper lun probe %.40s",
			 lun->config->name);
	else
		snprintf(lun->refusal, sizeof(lun->refusal),
			 "its reservations cannot be read: %.100s", text);
	log_error("%s: LUN %s: %s (%s): it cannot be arbitrated", lun->group->config->name,
		  lun->config->name, lun->refusal, text);
	group_note(lun->group, lun->config->name, "alarm", "%s (%s)", lun->refusal, text);
}

static void tell_refusal_over(struct group_lun *lun)
{
	if (!lun->no_pr)
		return;
	lun->no_pr = false;
	group_note(lun->group, lun->config->name, "alarm", "over: %s", lun->refusal);
}

/* For alarms: whose the keys are. */
static void keep_others(struct group_lun *lun, const struct group_listed *listed)
{
	lun->other_count = listed->other_count;
	for (size_t k = 0; k < listed->other_count; k++) {
		lun->others[k].key = listed->others[k].key;
		memcpy(lun->others[k].transport, listed->others[k].transport,
		       sizeof(lun->others[k].transport));
	}
}

/* --- whether READ FULL STATUS works --- */

/* Twice unanswered, while the plain reads behind each time were answered: it is the command. One
 * time may be a target that stood still. */
#define FULL_STATUS_DOUBTS 2
/* Until it was answered once it is waited for only so long; then the plain reads have the rest of
 * the look's time. */
#define FULL_STATUS_UNPROVEN_MS 1000

static void full_status_give_up(struct group_lun *lun, const char *why)
{
	lun->full_status = false;
	log_info("%s: LUN %s: READ FULL STATUS %s: READ KEYS and READ RESERVATION are used instead",
		 lun->group->config->name, lun->config->name, why);
	group_note(lun->group, lun->config->name, "look",
		   "READ FULL STATUS %s: READ KEYS and READ RESERVATION are used instead", why);
}

/* The target does not give it, whatever it says for that: true, and the plain reads take its place
 * at once. A path that cannot be used now, or a device that is not ready, says nothing of it. */
static bool full_status_refused(struct look *look)
{
	const struct scsi_result *result = &look->errand.exec.request.result;
	struct group_lun *lun = look->path->lun;
	bool illegal = result->outcome == SCSI_OUTCOME_FAILED &&
		       result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;
	char text[200], why[240];

	if (!look->full ||
	    (!illegal && result->outcome != SCSI_OUTCOME_CONFLICT && result->error != -EBADMSG))
		return false;
	snprintf(why, sizeof(why), "was answered by %s",
		 scsi_result_text(result, text, sizeof(text)));
	if (lun->full_status)
		full_status_give_up(lun, why);
	return true;
}

/* No answer, or the end of the connection: the next look goes without it, and shows whether that
 * was the reason. */
static void full_status_judge(const struct look *look)
{
	const struct scsi_result *result = &look->errand.exec.request.result;
	struct group_lun *lun = look->path->lun;

	if (look->full && result->outcome == SCSI_OUTCOME_OK) {
		lun->full_doubts = 0;
		lun->full_proven = true;
	} else if (look->full && result->outcome == SCSI_OUTCOME_UNKNOWN) {
		lun->plain_next = look->began_ms > lun->plain_ms;
	} else if (!look->full && lun->plain_next) {
		lun->plain_next = false;
		if (result->outcome != SCSI_OUTCOME_OK)
			return;
		lun->plain_ms = clock_now_ms();
		if (++lun->full_doubts >= FULL_STATUS_DOUBTS && lun->full_status)
			full_status_give_up(lun, "gets no answer, while the plain reads do");
	}
}

static void on_looked(struct pr_look *errand);

static void look_start(struct look *look, uint32_t timeout_ms)
{
	struct group_lun *lun = look->path->lun;

	look->path->looking++;
	look->full = lun->full_status && !lun->plain_next && !look->plain;
	look->order_epoch = lun->order_epoch;
	look->still = lun->orders == 0;
	group_errand_begin(&look->under_way, look->path);
	if (look->full && !lun->full_proven && timeout_ms > FULL_STATUS_UNPROVEN_MS)
		timeout_ms = FULL_STATUS_UNPROVEN_MS;
	pr_look_start(&look->errand, look->path->path, look->full, timeout_ms, on_looked);
}

/* The rest of a look whose READ FULL STATUS got no answer in the time for one that is not proven. */
static bool look_plainly(struct look *look)
{
	struct group_lun *lun = look->path->lun;
	uint64_t gone_ms = clock_now_ms() - look->began_ms;

	if (lun->group->closing || !look->full || lun->full_proven || !may_look(look->path) ||
	    look->errand.exec.request.result.error != -ETIMEDOUT || gone_ms + 10 > look->timeout_ms)
		return false;
	lun->plain_next = true;
	look_start(look, look->timeout_ms - (uint32_t)gone_ms);
	return true;
}

/* What one path cannot say now, another may: the target's refusal of this one costs no time. */
static bool look_elsewhere(struct look *look)
{
	struct group_lun *lun = look->path->lun;
	const struct scsi_result *result = &look->errand.exec.request.result;
	uint64_t gone_ms = clock_now_ms() - look->began_ms;
	struct group_path *other;

	if (lun->group->closing || gone_ms + 10 > look->timeout_ms ||
	    look->moves >= GROUP_PATHS_MAX ||
	    (look->errand.exec.verdict != SCSI_RETRY_OTHER_PATH && result->error != -ENOTCONN))
		return false;
	other = choose_path(lun, look->moves, look->path);
	if (!other || (other->health != GROUP_PATH_GOOD && other->looking > 0))
		return false;
	look->moves++;
	look->path = other;
	look_start(look, look->timeout_ms - (uint32_t)gone_ms);
	return true;
}

static uint8_t weigh(const struct pr_look *errand, uint64_t key)
{
	const struct look *look = errand->user;
	const struct group_home *home = look->path->lun->group->home;

	return arbiter_key_weight(key, key_cluster_hash(home->config->cluster), home->self->id);
}

static void look_fill(struct arbiter_look *seen, const struct pr_look *errand)
{
	const struct look *look = errand->user;
	const struct group_home *home = look->path->lun->group->home;
	uint32_t cluster = key_cluster_hash(home->config->cluster);

	seen->ok = true;
	seen->generation = errand->generation;
	seen->held = errand->held;
	seen->holder = errand->holder;
	seen->truncated = errand->unread;
	seen->left_out = errand->truncated;
	for (uint32_t k = 0; k < errand->key_count; k++)
		arbiter_look_add(seen, errand->keys[k], cluster, home->self->id);
}

/* READ FULL STATUS is not what every target that has it is good at: of the same generation it must
 * show the keys of READ KEYS. Returns true when the look goes on. */
static bool look_check(struct look *look, struct arbiter_look *seen)
{
	struct group_lun *lun = look->path->lun;
	uint64_t gone_ms = clock_now_ms() - look->began_ms;

	if (!look->check || (!look->full && !look->plain) || seen->key_count == 0 ||
	    gone_ms + 10 > look->timeout_ms)
		return false;
	if (look->full) {
		look->shown = *seen;
		look->plain = true;
		look_start(look, look->timeout_ms - (uint32_t)gone_ms);
		return true;
	}
	if (look->shown.generation != seen->generation)
		return false;
	lun->full_status_checked = true;
	if (arbiter_look_same_keys(&look->shown, seen))
		return false;
	full_status_give_up(lun, "shows other keys than READ KEYS");
	seen->differs = true;
	return false;
}

static void look_end(struct look *look, const struct arbiter_look *seen)
{
	struct group_lun *lun = look->path->lun;
	bool good = seen->ok && !lun->other;

	post_look(lun, look->id, good ? seen : &no_look);
	if (good && group_lun_is_kernel(lun) && look->full && seen->left_out == 0 && look->still &&
	    look->order_epoch == lun->order_epoch && !lun->group->closing)
		group_lun_compare(lun, &look->listed);
	pr_look_release(&look->errand);
	lun_proof_release(&look->proof);
	free(look);
}

/* An attention came with it after which this may be another one. */
static void look_doubt(struct look *look)
{
	const struct pr_attentions *taken = &look->errand.exec.attentions;

	for (uint32_t k = 0; k < taken->count && k < PR_ATTENTIONS_KEPT; k++)
		if (scsi_attention_doubts_identity(taken->last[k].asc, taken->last[k].ascq))
			look->doubted = true;
}

/* What was seen may be another one's: for that, or because this node's reservation is gone. */
static bool look_is_doubtful(const struct look *look, const struct arbiter_look *seen)
{
	struct arbiter_lun_view view;

	arbiter_get_lun_view(look->path->lun->group->arbiter, look->path->lun->number, &view);
	return look->doubted || (view.owned && !seen->held);
}

static void on_look_proven(struct lun_proof *proof)
{
	struct look *look = proof->user;
	struct group_path *path = look->path;

	path->looking--;
	if (!path->lun->group->closing && !path->leaving)
		group_identity_judged(path, proof->verdict, proof->text);
	look_end(look, proof->verdict == LUN_VERDICT_SAME ? &look->seen : &no_look);
}

static void look_prove(struct look *look)
{
	uint64_t gone_ms = clock_now_ms() - look->began_ms;

	look->path->looking++;
	look->proof.user = look;
	look->proof.exec.counters = &look->path->lun->group->home->counters.pr;
	lun_proof_start(&look->proof, look->path->path, &look->path->lun->identity,
			gone_ms + 10 < look->timeout_ms ? look->timeout_ms - (uint32_t)gone_ms : 10,
			on_look_proven);
}

static void on_looked(struct pr_look *errand)
{
	struct look *look = errand->user;
	struct group_path *path = look->path;
	struct group_lun *lun = path->lun;
	struct group_home *home = lun->group->home;
	const struct scsi_result *result = &errand->exec.request.result;
	struct arbiter_look seen = {0};

	path->looking--;
	home->counters.looks++;
	home->counters.unit_attentions += errand->exec.attentions.count;
	group_errand_end(&look->under_way, &errand->exec);
	look_doubt(look);
	if (!lun->group->closing && full_status_refused(look)) {
		look_start(look, look->timeout_ms);
		return;
	}
	if (look_plainly(look))
		return;
	full_status_judge(look);
	if (result->outcome == SCSI_OUTCOME_OK && errand->unread && look->full &&
	    !lun->group->closing) {
		look->plain = true; /* a key alone takes less room than with its TransportID */
		look_start(look, look->timeout_ms);
		return;
	}
	if (result->outcome == SCSI_OUTCOME_OK) {
		look_fill(&seen, errand);
		if (!lun->group->closing && look_check(look, &seen))
			return;
		seen.persistent = lun->aptpl;
		tell_refusal_over(lun);
		keep_others(lun, &look->listed);
	} else if (look->check && look->plain && look->shown.ok) {
		/* What READ FULL STATUS showed stands; only the comparison has failed. */
		seen = look->shown;
		seen.persistent = lun->aptpl;
		lun->full_status_checked = result->outcome == SCSI_OUTCOME_FAILED;
	} else {
		home->counters.looks_failed++;
		if (look_elsewhere(look))
			return;
		if (!lun->group->closing)
			tell_refusal(lun, result);
	}
	if (seen.ok && !lun->group->closing && !path->leaving && look_is_doubtful(look, &seen)) {
		look->seen = seen;
		look_prove(look);
		return;
	}
	look_end(look, &seen);
}

void group_lun_look(struct group_lun *lun, const struct arbiter_effect *effect)
{
	struct group_path *path;
	struct look *look;

	group_health_check(lun);
	group_size_check(lun->group);
	group_writable_check(lun);
	group_identity_check(lun);
	path = lun->other ? NULL : choose_path(lun, effect->look.attempt, NULL);
	look = path ? calloc(1, sizeof(*look)) : NULL;
	if (!look) {
		post_look(lun, effect->id, &no_look);
		return;
	}
	if (!lun->full_status_known) { /* members are mostly of the leader's target */
		const struct group_lun *leader = &lun->group->luns[0];

		lun->full_status = !leader->full_status_known || leader->full_status;
		lun->full_status_known = true;
	}
	look->path = path;
	look->id = effect->id;
	look->timeout_ms = effect->look.give_up_ms;
	look->began_ms = clock_now_ms();
	look->check = lun->full_status && (effect->look.check || !lun->full_status_checked);
	look->errand.user = look;
	look->errand.weigh = weigh;
	look->errand.entry = on_entry;
	look->errand.exec.counters = &lun->group->home->counters.pr;
	look_start(look, look->timeout_ms);
}

/* --- orders --- */

struct order {
	struct pr_order errand;
	struct group_errand under_way;
	struct scsi_request reset;
	struct group_lun *lun;
	uint32_t id;
	/* While it waits for multipathd. */
	struct pr_out out;
	uint8_t nexus;
	uint32_t give_up_ms;
	uint64_t begun_ms;
	uv_timer_t limit;
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

/* SPC-5 6.17.2: no room for another registration. It is the target's trouble, and nothing here can
 * end it, so that it has to be said; over when a registration has found room. */
static void tell_no_room(struct group_lun *lun, const struct pr_out *out,
			 const struct scsi_result *result)
{
	bool registers =
		(out->action == PR_OUT_REGISTER || out->action == PR_OUT_REGISTER_AND_IGNORE) &&
		out->service_key != 0;

	if (!registers || result->outcome == SCSI_OUTCOME_UNKNOWN)
		return;
	if (result->outcome == SCSI_OUTCOME_FAILED && result->asc == 0x55 && result->ascq >= 0x02 &&
	    result->ascq <= 0x04) {
		if (!lun->no_room) {
			log_error("%s: LUN %s: " GROUP_NO_ROOM, lun->group->config->name,
				  lun->config->name);
			group_note(lun->group, lun->config->name, "alarm", GROUP_NO_ROOM);
		}
		lun->no_room = true;
	} else if (result->outcome == SCSI_OUTCOME_OK) {
		if (lun->no_room)
			group_note(lun->group, lun->config->name, "alarm",
				   "over: the target has room for registrations again");
		lun->no_room = false;
	}
}

static void on_ordered(struct pr_order *errand)
{
	struct order *order = errand->user;
	struct scsi_result result = errand->exec.request.result;
	bool other_path = errand->exec.verdict == SCSI_RETRY_OTHER_PATH;
	struct group_path *path = order->under_way.path;

	order->lun->group->home->counters.unit_attentions += errand->exec.attentions.count;
	order->lun->orders--;
	order->lun->order_epoch++;
	if (!order->lun->group->closing)
		tell_no_room(order->lun, &order->out, &result);
	if (result.outcome == SCSI_OUTCOME_UNKNOWN)
		path->gave_up = true;
	group_errand_end(&order->under_way, &errand->exec);
	if (result.error == -ESTALE && !order->lun->group->closing && !path->leaving) {
		if (path == &order->lun->gate_path)
			group_identity_found(path, errand->proof.verdict == LUN_VERDICT_OTHER,
					     errand->proof.text);
		else
			group_identity_judged(path, errand->proof.verdict, errand->proof.text);
	}
	post_ordered(order->lun, order->id, &result, other_path || result.error == -ESTALE);
	pr_order_release(errand);
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
	if (!group_lun_is_kernel(lun) && lun->group->gate)
		return nexus == 0 && lun->gate_path.usable ? &lun->gate_path : NULL;
	for (size_t k = 0; k < lun->path_count; k++)
		if (may_look(&lun->paths[k]) && lun->paths[k].nexus == nexus)
			return &lun->paths[k];
	return NULL;
}

static void order_refuse(struct order *order, int error)
{
	const struct scsi_result refused = {.outcome = SCSI_OUTCOME_FAILED, .error = error};

	post_ordered(order->lun, order->id, &refused, error == -ENOTCONN);
	free(order);
}

static void order_send(struct order *order)
{
	struct group_lun *lun = order->lun;
	struct group_path *path = lun->other ? NULL : path_of_nexus(lun, order->nexus);
	uint64_t gone_ms = clock_now_ms() - order->begun_ms;
	uint32_t left_ms = gone_ms < order->give_up_ms ? order->give_up_ms - (uint32_t)gone_ms : 1;

	if (!path) {
		order_refuse(order, -ENOTCONN);
		return;
	}
	order->errand.user = order;
	order->errand.exec.counters = &lun->group->home->counters.pr;
	if (pr_order_start(&order->errand, path->path, &order->out, &lun->identity, left_ms,
			   on_ordered)) {
		order_refuse(order, -EINVAL);
		return;
	}
	lun->orders++;
	lun->order_epoch++;
	group_errand_begin(&order->under_way, path);
}

static void on_limit_closed(uv_handle_t *handle)
{
	struct order *order = handle->data;
	struct group *group = order->lun->group;

	order->lun->resuming--;
	if (!group->closing) {
		order_send(order);
		return;
	}
	free(order);
	group_part_closed(group);
}

/* Sends the order that waits, if there is one. */
static void resume(struct group_lun *lun)
{
	struct order *order = lun->waiting;

	lun->waiting = NULL;
	if (!order)
		return;
	lun->resuming++;
	uv_close((uv_handle_t *)&order->limit, on_limit_closed);
}

static void on_limit(uv_timer_t *timer)
{
	struct order *order = timer->data;

	resume(order->lun);
}

static void order_wait(struct order *order)
{
	uv_timer_init(&order->lun->group->home->loop, &order->limit);
	order->limit.data = order;
	uv_timer_start(&order->limit, on_limit, order->give_up_ms / 2, 0);
	order->lun->waiting = order;
}

void group_lun_order(struct group_lun *lun, const struct arbiter_effect *effect)
{
	struct group_path *path = lun->other ? NULL : path_of_nexus(lun, effect->order.nexus);
	struct order *order = path && !lun->waiting ? calloc(1, sizeof(*order)) : NULL;
	const struct scsi_result refused = {.outcome = SCSI_OUTCOME_FAILED,
					    .error = -ENOTCONN}; /* it was not even sent */

	if (!order) {
		post_ordered(lun, effect->id, &refused, true);
		return;
	}
	order->lun = lun;
	order->id = effect->id;
	order->nexus = effect->order.nexus;
	order->give_up_ms = effect->order.give_up_ms;
	order->begun_ms = clock_now_ms();
	if (effect->kind == ARBITER_EFFECT_RESET) {
		order->reset.timeout_ms = effect->order.give_up_ms;
		order->reset.done = on_reset;
		order->reset.user = order;
		lun->group->home->counters.resets++;
		path_reset_logical_unit(path->path, &order->reset);
		return;
	}
	order->out = (struct pr_out){.action = effect->order.action,
				     .type = lun->config->type,
				     .key = effect->order.key,
				     .service_key = effect->order.service_key,
				     .aptpl = lun->aptpl};
	if (group_multipathd_must_wait(lun, &order->out))
		order_wait(order);
	else
		order_send(order);
}
