/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe's way back: blocks as they were, no reservation, no registration of its own, seen by a
 * later look. Every step may meet a lost session or a command whose outcome is unknown; so it ends
 * with a look, and takes away by PREEMPT what is still there, a bounded number of times.
 */
#include <string.h>

#include "scsi/probe_stage.h"

static void probe_not_clean(struct probe *probe, const char *note)
{
	char *text = probe->report.clean_note;
	size_t used = strlen(text), size = sizeof(probe->report.clean_note);

	probe->report.clean = false;
	if (used + 3 < size)
		snprintf(text + used, size - used, "%s%s", used ? "; " : "", note);
}

/* After a step without answer: another path, a new session, a bounded number of times. */
static bool probe_clean_again(struct probe *probe, const struct scsi_request *request)
{
	if (probe->clean_rounds++ == PROBE_CLEAN_ROUNDS)
		return false;
	if (request->result.outcome == SCSI_OUTCOME_UNKNOWN) {
		probe->clean_path = (probe->clean_path + 1) % probe->options.path_count;
		probe->reconnecting = true;
	}
	return true;
}

static bool probe_clean_reconnect(struct probe *probe, struct probe_action *action)
{
	if (!probe->reconnecting)
		return false;
	probe->reconnecting = false;
	action->kind = PROBE_ACTION_RECONNECT;
	action->nexus = probe->clean_path;
	probe_goto(probe, probe->stage);
	return true;
}

bool probe_begin_clean(struct probe *probe, struct probe_action *action)
{
	(void)action;
	return probe->changed ? false : probe_goto(probe, PROBE_STAGE_END);
}

/* Blocks. */

bool probe_begin_clean_restore(struct probe *probe, struct probe_action *action)
{
	if (!probe->blocks_dirty)
		return probe_goto(probe, PROBE_STAGE_CLEAN_FORGET);
	if (probe_clean_reconnect(probe, action))
		return true;
	/* FUA may be unknown to the target. */
	scsi_write16_encode(&action->request, probe->options.first_block,
			    probe->options.block_count, probe->clean_rounds == 0, probe->saved,
			    (uint32_t)probe->range_size);
	return probe_send(probe, action, probe->clean_path);
}

void probe_end_clean_restore(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		return;
	if (probe_clean_again(probe, request)) {
		probe_goto(probe, PROBE_STAGE_CLEAN_RESTORE);
		return;
	}
	probe_not_clean(probe, "the blocks could not be written back");
	probe_goto(probe, PROBE_STAGE_CLEAN_FORGET);
}

bool probe_begin_clean_check(struct probe *probe, struct probe_action *action)
{
	memset(probe->scratch, 0, probe->range_size);
	scsi_read16_encode(&action->request, probe->options.first_block, probe->options.block_count,
			   probe->scratch, (uint32_t)probe->range_size);
	return probe_send(probe, action, probe->clean_path);
}

void probe_end_clean_check(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK &&
	    request->result.transferred == probe->range_size &&
	    memcmp(probe->scratch, probe->saved, probe->range_size) == 0) {
		probe->blocks_dirty = false;
		return;
	}
	if (probe_clean_again(probe, request))
		probe_goto(probe, PROBE_STAGE_CLEAN_RESTORE);
	else
		probe_not_clean(probe, "the blocks do not read as they were written back");
}

bool probe_begin_clean_forget(struct probe *probe, struct probe_action *action)
{
	probe->clean_rounds = 0;
	if (!probe->blocks_saved || probe->blocks_dirty)
		return false;
	action->kind = PROBE_ACTION_FORGET;
	return true;
}

/* Reservation and registrations. */

bool probe_begin_clean_release(struct probe *probe, struct probe_action *action)
{
	if (probe->reserved == PR_TYPE_NONE || !probe->key[0])
		return false;
	return probe_send_pr_out(probe, action, 0, PR_OUT_RELEASE, probe->key[0], 0,
				 probe->reserved, false);
}

void probe_end_clean_release(struct probe *probe, const struct scsi_request *request)
{
	(void)request; /* unregistering releases too, and the look decides */
	probe->reserved = PR_TYPE_NONE;
}

bool probe_begin_clean_unregister(struct probe *probe, struct probe_action *action)
{
	for (unsigned nexus = PROBE_NEXUSES; nexus-- > 0;) {
		bool there = nexus != PROBE_NEXUS_SECOND || probe->options.second;

		if (probe->key[nexus] && there)
			return probe_send_pr_out(probe, action, nexus, PR_OUT_REGISTER,
						 probe->key[nexus], 0, PR_TYPE_NONE, false);
	}
	return false;
}

void probe_end_clean_unregister(struct probe *probe, const struct scsi_request *request)
{
	(void)request; /* the look decides */
	probe->key[probe->sent_nexus] = 0;
	probe_repeat(probe);
}

bool probe_begin_clean_keys(struct probe *probe, struct probe_action *action)
{
	if (probe_clean_reconnect(probe, action))
		return true;
	return probe_send_pr_in(probe, action, probe->clean_path, PR_IN_READ_KEYS);
}

static void probe_clean_blind(struct probe *probe, const struct scsi_request *request)
{
	if (probe_clean_again(probe, request)) {
		probe_goto(probe, PROBE_STAGE_CLEAN_KEYS);
		return;
	}
	probe_not_clean(probe, "no look succeeded after the last command, so a registration with a "
			       "key that begins with 70726f6265 may be left; the next probe "
			       "removes it");
	probe_goto(probe, PROBE_STAGE_END);
}

void probe_end_clean_keys(struct probe *probe, const struct scsi_request *request)
{
	if (!probe_take_keys(probe, request))
		probe_clean_blind(probe, request);
}

bool probe_begin_clean_reservation(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_in(probe, action, probe->clean_path, PR_IN_READ_RESERVATION);
}

void probe_end_clean_reservation(struct probe *probe, const struct scsi_request *request)
{
	const struct probe_occupants *seen = &probe->seen;
	bool left = false;

	if (!probe_take_reservation(probe, request)) {
		probe_clean_blind(probe, request);
		return;
	}
	probe->report.generation_after = seen->generation;
	for (unsigned i = 0; i < seen->count; i++)
		left |= probe_key_of_run(probe, seen->keys[i]);
	if (left && probe->clean_rounds++ < PROBE_CLEAN_ROUNDS)
		return;
	if (left)
		probe_not_clean(probe, "a registration with a key that begins with 70726f6265 is "
				       "left; the next probe removes it");
	probe_goto(probe, PROBE_STAGE_END);
}

static uint64_t probe_cleaner_key(const struct probe *probe)
{
	return probe_key(probe, PROBE_ROLE_CLEANER + probe->clean_rounds);
}

/* Some nexus of ours bears a key that we do not know to be its. Take one registration, preempt the
 * others by it, give it up. index 0 does not ask what is registered; then each key that is seen is
 * tried. Its key is new, so that a PREEMPT can tell it from what other nexuses bear. */
bool probe_begin_clean_take(struct probe *probe, struct probe_action *action)
{
	uint64_t key = 0;

	if (probe->index > probe->seen.count) {
		probe_not_clean(probe, "a registration with a key that begins with 70726f6265 is "
				       "left; the next probe removes it");
		return probe_goto(probe, PROBE_STAGE_END);
	}
	if (probe->index > 0)
		key = probe->seen.keys[probe->index - 1];
	return probe_send_pr_out(probe, action, probe->clean_path,
				 probe->index ? PR_OUT_REGISTER : PR_OUT_REGISTER_AND_IGNORE, key,
				 probe_cleaner_key(probe), PR_TYPE_NONE, false);
}

void probe_end_clean_take(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		probe->key[probe->clean_path] = probe_cleaner_key(probe);
	else if (request->result.outcome == SCSI_OUTCOME_UNKNOWN)
		probe_clean_blind(probe, request);
	else
		probe_repeat(probe);
}

bool probe_begin_clean_preempt(struct probe *probe, struct probe_action *action)
{
	const struct probe_occupants *seen = &probe->seen;

	while (probe->index < seen->count) {
		uint64_t victim = seen->keys[probe->index];

		if (probe_key_of_run(probe, victim) && victim != probe->key[probe->clean_path])
			return probe_send_pr_out(probe, action, probe->clean_path, PR_OUT_PREEMPT,
						 probe->key[probe->clean_path], victim,
						 seen->reservation.held
							 ? seen->reservation.type
							 : PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
						 false);
		probe->index++;
	}
	return probe_goto(probe, PROBE_STAGE_CLEAN_UNREGISTER);
}

void probe_end_clean_preempt(struct probe *probe, const struct scsi_request *request)
{
	(void)request; /* the look decides */
	probe_repeat(probe);
}
