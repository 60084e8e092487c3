/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe's stages that need a second nexus: whether sessions are told apart, whether a
 * registration outlives its session, and what the reservation keeps a non-registrant from doing to
 * a range of blocks that the user named. The blocks are read and kept before the first write, and
 * written back after every write that went through.
 */
#include <stdlib.h>
#include <string.h>

#include "scsi/probe_stage.h"

static struct probe_finding *probe_item(struct probe *probe, enum probe_item item)
{
	return &probe->report.items[item];
}

/* Registration of the second session. */

bool probe_begin_second_register(struct probe *probe, struct probe_action *action)
{
	if (!probe->options.second) {
		probe_find(probe_item(probe, PROBE_ITEM_NEXUS_APART), PROBE_ANSWER_NOT_TRIED,
			   "needs a second session");
		probe_find(probe_item(probe, PROBE_ITEM_OUTLIVES_LOGIN), PROBE_ANSWER_NOT_TRIED,
			   "needs a second session");
		return probe_goto(probe, PROBE_STAGE_TYPES);
	}
	probe->key[PROBE_NEXUS_SECOND] = probe_key(probe, PROBE_ROLE_SECOND);
	return probe_send_pr_out(probe, action, PROBE_NEXUS_SECOND, PR_OUT_REGISTER, 0,
				 probe->key[PROBE_NEXUS_SECOND], PR_TYPE_NONE, false);
}

void probe_end_second_register(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = probe_item(probe, PROBE_ITEM_NEXUS_APART);

	switch (request->result.outcome) {
	case SCSI_OUTCOME_OK:
		probe_find(finding, PROBE_ANSWER_YES, "%s", "");
		break;
	case SCSI_OUTCOME_CONFLICT:
		probe->key[PROBE_NEXUS_SECOND] = 0;
		probe_find(finding, PROBE_ANSWER_NO,
			   "the second session was taken as registered already");
		break;
	case SCSI_OUTCOME_FAILED:
	case SCSI_OUTCOME_UNKNOWN:
		probe_find_result(finding, PROBE_ANSWER_NOT_TRIED, &request->result);
		break;
	}
	if (request->result.outcome != SCSI_OUTCOME_OK)
		probe_find(probe_item(probe, PROBE_ITEM_OUTLIVES_LOGIN), PROBE_ANSWER_NOT_TRIED,
			   "the second session could not be registered by itself");
}

bool probe_begin_second_relogin(struct probe *probe, struct probe_action *action)
{
	if (!probe->key[PROBE_NEXUS_SECOND])
		return false;
	if (!probe->options.second_reopens) {
		probe_find(probe_item(probe, PROBE_ITEM_OUTLIVES_LOGIN), PROBE_ANSWER_NOT_TRIED,
			   "the second nexus cannot be logged out");
		return false;
	}
	action->kind = PROBE_ACTION_RELOGIN;
	action->nexus = PROBE_NEXUS_SECOND;
	return true;
}

void probe_relogged(struct probe *probe, bool up)
{
	if (!up)
		probe->options.second = false;
}

bool probe_begin_second_kept(struct probe *probe, struct probe_action *action)
{
	if (!probe->key[PROBE_NEXUS_SECOND] || !probe->options.second_reopens)
		return false;
	return probe_send_pr_in(probe, action, 0, PR_IN_READ_KEYS);
}

void probe_end_second_kept(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = probe_item(probe, PROBE_ITEM_OUTLIVES_LOGIN);

	if (!probe_take_keys(probe, request)) {
		probe_find_result(finding, PROBE_ANSWER_NOT_TRIED, &request->result);
	} else if (probe_sees_key(probe, probe->key[PROBE_NEXUS_SECOND])) {
		probe_find(finding, PROBE_ANSWER_YES, "%s", "");
	} else {
		probe->key[PROBE_NEXUS_SECOND] = 0;
		probe_find(finding, PROBE_ANSWER_NO, "it was gone after a new login");
	}
}

bool probe_begin_second_unregister(struct probe *probe, struct probe_action *action)
{
	if (!probe->key[PROBE_NEXUS_SECOND] || !probe->options.second)
		return false;
	return probe_send_pr_out(probe, action, PROBE_NEXUS_SECOND, PR_OUT_REGISTER,
				 probe->key[PROBE_NEXUS_SECOND], 0, PR_TYPE_NONE, false);
}

void probe_end_second_unregister(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = probe_item(probe, PROBE_ITEM_OUTLIVES_LOGIN);

	if (request->result.outcome == SCSI_OUTCOME_OK)
		probe->key[PROBE_NEXUS_SECOND] = 0;
	else if (request->result.outcome == SCSI_OUTCOME_CONFLICT &&
		 finding->answer == PROBE_ANSWER_YES)
		probe_find(finding, PROBE_ANSWER_NO,
			   "after a new login the key was listed still, but the session was not "
			   "registered with it");
}

bool probe_begin_second_preempt(struct probe *probe, struct probe_action *action)
{
	if (!probe->key[PROBE_NEXUS_SECOND])
		return false;
	return probe_send_pr_out(probe, action, 0, PR_OUT_PREEMPT, probe->key[0],
				 probe->key[PROBE_NEXUS_SECOND],
				 PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, false);
}

void probe_end_second_preempt(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK ||
	    request->result.outcome == SCSI_OUTCOME_CONFLICT)
		probe->key[PROBE_NEXUS_SECOND] = 0;
}

/* The range. */

static void probe_not_tried(struct probe *probe, const char *why)
{
	for (enum probe_item item = PROBE_ITEM_COVERS_WRITE; item <= PROBE_ITEM_COVERS_READ; item++)
		probe_find(probe_item(probe, item), PROBE_ANSWER_NOT_TRIED, "%s", why);
}

static bool probe_second_usable(struct probe *probe)
{
	if (!probe->options.second)
		probe_not_tried(probe, "needs a second session");
	else if (probe_item(probe, PROBE_ITEM_NEXUS_APART)->answer != PROBE_ANSWER_YES)
		probe_not_tried(probe, "the second session counts as registered");
	else
		return true;
	return false;
}

static bool probe_range_usable(struct probe *probe)
{
	const struct scsi_capacity *capacity = &probe->report.capacity;
	uint64_t first = probe->options.first_block, count = probe->options.block_count;
	char *why = NULL;

	if (!capacity->blocks || !capacity->block_size)
		why = "its size is unknown";
	else if (first >= capacity->blocks || count > capacity->blocks - first)
		why = "the range ends behind its last block";
	else if (capacity->block_size > PROBE_BLOCK_SIZE_MAX ||
		 count * capacity->block_size > PROBE_RANGE_BYTES_MAX)
		why = "the range is larger than 1 MiB";
	if (why)
		probe_fail(probe, "%s", why);
	return !why;
}

bool probe_begin_read_blocks(struct probe *probe, struct probe_action *action)
{
	size_t size;

	if (!probe->options.destructive) {
		probe_not_tried(probe, "needs a range of blocks that may be written to");
		if (probe->options.try_types && probe_second_usable(probe))
			return probe_goto(probe, PROBE_STAGE_RESERVE_EA);
		return probe_goto(probe, PROBE_STAGE_CLEAN);
	}
	if (!probe_second_usable(probe))
		return probe_goto(probe, PROBE_STAGE_CLEAN);
	if (!probe_range_usable(probe))
		return false;
	size = (size_t)probe->options.block_count * probe->report.capacity.block_size;
	probe->saved = malloc(size);
	probe->pattern = malloc(size);
	probe->scratch = malloc(size);
	if (!probe->saved || !probe->pattern || !probe->scratch) {
		probe_fail(probe, "no memory for %zu bytes", size);
		return false;
	}
	probe->range_size = size;
	scsi_read16_encode(&action->request, probe->options.first_block, probe->options.block_count,
			   probe->saved, (uint32_t)size);
	return probe_send(probe, action, 0);
}

void probe_end_read_blocks(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome != SCSI_OUTCOME_OK ||
	    request->result.transferred != probe->range_size) {
		probe_fail(probe, "READ of the range was answered by %s",
			   probe_text(&request->result));
		return;
	}
	for (size_t i = 0; i < probe->range_size; i++)
		probe->pattern[i] = (uint8_t)~probe->saved[i];
}

bool probe_begin_save(struct probe *probe, struct probe_action *action)
{
	(void)probe;
	action->kind = PROBE_ACTION_SAVE;
	return true;
}

void probe_kept(struct probe *probe, bool durable, const char *why)
{
	probe->blocks_saved = durable;
	if (!durable)
		probe_fail(probe, "the blocks could not be kept before writing to them: %s", why);
}

static bool probe_begin_reserve(struct probe *probe, struct probe_action *action, enum pr_type type)
{
	probe->reserved = type;
	return probe_send_pr_out(probe, action, 0, PR_OUT_RESERVE, probe->key[0], 0, type, false);
}

bool probe_begin_reserve_we(struct probe *probe, struct probe_action *action)
{
	return probe_begin_reserve(probe, action, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
}

bool probe_begin_reserve_ea(struct probe *probe, struct probe_action *action)
{
	return probe_begin_reserve(probe, action, PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY);
}

void probe_end_reserve(struct probe *probe, const struct scsi_request *request)
{
	bool access = probe->reserved == PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY;

	if (request->result.outcome == SCSI_OUTCOME_OK)
		return;
	probe->reserved = PR_TYPE_NONE;
	if (!access) {
		probe_fail(probe, "RESERVE (WE-RO) was answered by %s",
			   probe_text(&request->result));
		return;
	}
	probe_find(probe_item(probe, PROBE_ITEM_COVERS_READ), PROBE_ANSWER_NOT_TRIED,
		   "RESERVE (EA-RO) was answered by %s", probe_text(&request->result));
	probe_goto(probe, PROBE_STAGE_CLEAN);
}

/* Three kinds of write; of each: 0 the second session writes, 1 what is there now?, 2 write it
 * back, 3 read again. */
enum probe_write_step { PROBE_WRITE_TRY, PROBE_WRITE_LOOK, PROBE_WRITE_BACK, PROBE_WRITE_CHECK };

static enum probe_item probe_write_item(const struct probe *probe)
{
	return PROBE_ITEM_COVERS_WRITE + probe->index / 4;
}

static bool probe_begin_write_try(struct probe *probe, struct probe_action *action)
{
	const struct probe_options *options = &probe->options;

	if (probe_write_item(probe) == PROBE_ITEM_COVERS_WRITE_SAME)
		scsi_write_same16_encode(&action->request, options->first_block,
					 options->block_count, false, probe->pattern,
					 probe->report.capacity.block_size);
	else if (probe_write_item(probe) == PROBE_ITEM_COVERS_UNMAP)
		scsi_unmap_encode(&action->request, options->first_block, options->block_count,
				  probe->parameter);
	else
		scsi_write16_encode(&action->request, options->first_block, options->block_count,
				    false, probe->pattern, (uint32_t)probe->range_size);
	probe->blocks_dirty = true;
	probe->changed = true;
	return probe_send(probe, action, PROBE_NEXUS_SECOND);
}

bool probe_begin_writes(struct probe *probe, struct probe_action *action)
{
	if (probe->index / 4 > PROBE_ITEM_COVERS_UNMAP - PROBE_ITEM_COVERS_WRITE)
		return false;
	switch ((enum probe_write_step)(probe->index % 4)) {
	case PROBE_WRITE_TRY:
		return probe_begin_write_try(probe, action);
	case PROBE_WRITE_BACK:
		scsi_write16_encode(&action->request, probe->options.first_block,
				    probe->options.block_count, false, probe->saved,
				    (uint32_t)probe->range_size);
		return probe_send(probe, action, 0);
	case PROBE_WRITE_LOOK:
	case PROBE_WRITE_CHECK:
		break;
	}
	memset(probe->scratch, 0, probe->range_size);
	scsi_read16_encode(&action->request, probe->options.first_block, probe->options.block_count,
			   probe->scratch, (uint32_t)probe->range_size);
	return probe_send(probe, action, 0);
}

static bool probe_range_same(const struct probe *probe, const struct scsi_request *request)
{
	return request->result.outcome == SCSI_OUTCOME_OK &&
	       request->result.transferred == probe->range_size &&
	       memcmp(probe->scratch, probe->saved, probe->range_size) == 0;
}

static void probe_note_write(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = probe_item(probe, probe_write_item(probe));

	switch (request->result.outcome) {
	case SCSI_OUTCOME_CONFLICT:
		probe_find(finding, PROBE_ANSWER_YES, "RESERVATION CONFLICT");
		break;
	case SCSI_OUTCOME_OK:
		probe_find(finding, PROBE_ANSWER_NO, "carried out");
		break;
	case SCSI_OUTCOME_FAILED:
		probe_find_result(finding, PROBE_ANSWER_NOT_TRIED, &request->result);
		break;
	case SCSI_OUTCOME_UNKNOWN: /* the engine has failed already */
		break;
	}
}

void probe_end_writes(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = probe_item(probe, probe_write_item(probe));
	bool same;

	switch ((enum probe_write_step)(probe->index % 4)) {
	case PROBE_WRITE_TRY:
		probe_note_write(probe, request);
		break;
	case PROBE_WRITE_LOOK:
		same = probe_range_same(probe, request);
		if (!same && finding->answer != PROBE_ANSWER_NO)
			probe_find(finding, PROBE_ANSWER_NO, "refused, yet the blocks changed");
		if (same) {
			probe->blocks_dirty = false;
			probe->index += 2;
		}
		break;
	case PROBE_WRITE_BACK:
		if (request->result.outcome != SCSI_OUTCOME_OK)
			probe_fail(probe, "WRITE by the registered session was answered by %s",
				   probe_text(&request->result));
		break;
	case PROBE_WRITE_CHECK:
		if (probe_range_same(probe, request))
			probe->blocks_dirty = false;
		else
			probe_fail(probe, "the blocks do not read as they were written back");
		break;
	}
	probe_repeat(probe);
}

bool probe_begin_release_we(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_out(probe, action, 0, PR_OUT_RELEASE, probe->key[0], 0,
				 probe->reserved, false);
}

void probe_end_release(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		probe->reserved = PR_TYPE_NONE;
	else
		probe_fail(probe, "RELEASE was answered by %s", probe_text(&request->result));
}

bool probe_begin_read(struct probe *probe, struct probe_action *action)
{
	uint32_t block = probe->report.capacity.block_size;

	if (!block || block > PROBE_BUFFER_SIZE)
		return false;
	scsi_read16_encode(&action->request, probe->options.first_block, 1, probe->buffer, block);
	return probe_send(probe, action, PROBE_NEXUS_SECOND);
}

void probe_end_read(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = probe_item(probe, PROBE_ITEM_COVERS_READ);

	switch (request->result.outcome) {
	case SCSI_OUTCOME_CONFLICT:
		probe_find(finding, PROBE_ANSWER_YES, "RESERVATION CONFLICT");
		break;
	case SCSI_OUTCOME_OK:
		probe_find(finding, PROBE_ANSWER_NO, "carried out");
		break;
	case SCSI_OUTCOME_FAILED:
	case SCSI_OUTCOME_UNKNOWN:
		probe_find_result(finding, PROBE_ANSWER_NOT_TRIED, &request->result);
		break;
	}
}
