/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe's engine: walks the table of stages, repeats commands after unit attentions, turns to
 * the cleaning stages when something fails or an interrupt comes, and keeps the report. Pure but
 * for the memory it is made in.
 */
#include "scsi/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/probe_stage.h"

#define PROBE_TIMEOUT_DEFAULT_MS 5000u
#define PROBE_LEFTOVER_DEFAULT_MS 3000u

static const struct {
	const char *name, *text;
} probe_item_names[PROBE_ITEMS] = {
	[PROBE_ITEM_RESERVATIONS] = {"persistent-reservations", "persistent reservations"},
	[PROBE_ITEM_CAPABILITIES] = {"report-capabilities", "REPORT CAPABILITIES"},
	[PROBE_ITEM_FULL_STATUS] = {"read-full-status", "READ FULL STATUS"},
	[PROBE_ITEM_REGISTER_AND_IGNORE] = {"register-and-ignore", "REGISTER AND IGNORE"},
	[PROBE_ITEM_PREEMPT] = {"preempt", "PREEMPT"},
	[PROBE_ITEM_PREEMPT_AND_ABORT] = {"preempt-and-abort", "PREEMPT AND ABORT"},
	[PROBE_ITEM_APTPL] = {"aptpl", "kept through power loss (APTPL)"},
	[PROBE_ITEM_ALL_PATHS] = {"all-paths", "the same by every path"},
	[PROBE_ITEM_NEXUS_APART] = {"nexus-apart", "registers each session by itself"},
	[PROBE_ITEM_OUTLIVES_LOGIN] = {"outlives-login", "registration outlives its session"},
	[PROBE_ITEM_COVERS_WRITE] = {"covers-write", "WRITE of others is refused"},
	[PROBE_ITEM_COVERS_WRITE_SAME] = {"covers-write-same", "WRITE SAME of others is refused"},
	[PROBE_ITEM_COVERS_UNMAP] = {"covers-unmap", "UNMAP of others is refused"},
	[PROBE_ITEM_COVERS_READ] = {"covers-read", "READ of others is refused (EA-RO)"},
};

const char *probe_item_name(enum probe_item item)
{
	return probe_item_names[item].name;
}

const char *probe_item_text(enum probe_item item)
{
	return probe_item_names[item].text;
}

const char *probe_answer_name(enum probe_answer answer)
{
	switch (answer) {
	case PROBE_ANSWER_NOT_TRIED:
		return "not tried";
	case PROBE_ANSWER_NO:
		return "no";
	case PROBE_ANSWER_YES:
		return "yes";
	}
	return "unknown";
}

const char *probe_end_name(enum probe_end end)
{
	switch (end) {
	case PROBE_END_DONE:
		return "done";
	case PROBE_END_REFUSED:
		return "refused";
	case PROBE_END_FAILED:
		return "failed";
	case PROBE_END_INTERRUPTED:
		return "interrupted";
	}
	return "unknown";
}

/* Keys. */

bool probe_key_is_probe(uint64_t key)
{
	return key >> PROBE_KEY_SHIFT == PROBE_KEY_MAGIC;
}

uint64_t probe_key(const struct probe *probe, enum probe_role role)
{
	return (uint64_t)PROBE_KEY_MAGIC << PROBE_KEY_SHIFT | (uint64_t)probe->options.run << 8 |
	       (uint64_t)role;
}

bool probe_key_of_run(const struct probe *probe, uint64_t key)
{
	return key >> 8 == probe_key(probe, 0) >> 8;
}

/* Making. */

struct probe *probe_new(const struct probe_options *options)
{
	struct probe *probe;

	if (options->path_count < 1 || options->path_count > PATHS_MAX ||
	    options->looks > PROBE_LOOKS_MAX ||
	    (options->destructive &&
	     (options->block_count < 1 || options->block_count > PROBE_BLOCKS_MAX))) {
		errno = EINVAL;
		return NULL;
	}
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return NULL;
	probe->options = *options;
	if (!probe->options.looks)
		probe->options.looks = PROBE_LOOKS_DEFAULT;
	if (!probe->options.timeout_ms)
		probe->options.timeout_ms = PROBE_TIMEOUT_DEFAULT_MS;
	if (!probe->options.leftover_ms)
		probe->options.leftover_ms = PROBE_LEFTOVER_DEFAULT_MS;
	probe->looks_us = calloc(probe->options.looks, sizeof(*probe->looks_us));
	if (!probe->looks_us) {
		probe_free(probe);
		return NULL;
	}
	probe->report.clean = true;
	return probe;
}

void probe_free(struct probe *probe)
{
	if (!probe)
		return;
	free(probe->looks_us);
	free(probe->saved);
	free(probe->pattern);
	free(probe->scratch);
	vpd_reader_free(&probe->page);
	lun_identity_free(&probe->identity);
	free(probe);
}

const struct probe_report *probe_get_report(const struct probe *probe)
{
	return &probe->report;
}

const void *probe_saved_blocks(const struct probe *probe, size_t *size, bool *dirty)
{
	*size = probe->range_size;
	*dirty = probe->blocks_dirty;
	return probe->saved;
}

/* What stages use. */

bool probe_goto(struct probe *probe, enum probe_stage_id stage)
{
	probe->jump = stage;
	probe->jumping = true;
	return false;
}

void probe_repeat(struct probe *probe)
{
	probe->again = true;
}

static void probe_stop(struct probe *probe, enum probe_end end, const char *format,
		       va_list arguments)
{
	if (probe->report.end == PROBE_END_DONE) {
		probe->report.end = end;
		vsnprintf(probe->report.message, sizeof(probe->report.message), format, arguments);
	}
	probe_goto(probe, PROBE_STAGE_CLEAN);
}

void probe_refuse(struct probe *probe, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	probe_stop(probe, PROBE_END_REFUSED, format, arguments);
	va_end(arguments);
}

void probe_fail(struct probe *probe, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	probe_stop(probe, PROBE_END_FAILED, format, arguments);
	va_end(arguments);
}

void probe_find(struct probe_finding *finding, enum probe_answer answer, const char *format, ...)
{
	va_list arguments;

	finding->answer = answer;
	va_start(arguments, format);
	vsnprintf(finding->note, sizeof(finding->note), format, arguments);
	va_end(arguments);
}

const char *probe_text(const struct scsi_result *result)
{
	static _Thread_local char text[PROBE_TEXT_MAX / 2];

	return scsi_result_text(result, text, sizeof(text));
}

void probe_find_result(struct probe_finding *finding, enum probe_answer answer,
		       const struct scsi_result *result)
{
	probe_find(finding, answer, "%s",
		   result->outcome == SCSI_OUTCOME_OK ? "" : probe_text(result));
}

bool probe_illegal(const struct scsi_result *result)
{
	return result->outcome == SCSI_OUTCOME_FAILED &&
	       result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;
}

bool probe_send(struct probe *probe, struct probe_action *action, unsigned nexus)
{
	action->kind = PROBE_ACTION_SEND;
	action->nexus = nexus;
	action->request.timeout_ms = probe->options.timeout_ms;
	return true;
}

bool probe_send_pr_in(struct probe *probe, struct probe_action *action, unsigned nexus,
		      enum pr_in_action what)
{
	memset(probe->buffer, 0, sizeof(probe->buffer));
	pr_in_encode(&action->request, what, probe->buffer, sizeof(probe->buffer));
	return probe_send(probe, action, nexus);
}

bool probe_send_pr_out(struct probe *probe, struct probe_action *action, unsigned nexus,
		       enum pr_out_action what, uint64_t key, uint64_t service_key,
		       enum pr_type type, bool aptpl)
{
	struct pr_out out = {
		.action = what,
		.type = type,
		.key = key,
		.service_key = service_key,
		.aptpl = aptpl,
	};

	pr_out_encode(&action->request, &out, probe->parameter, sizeof(probe->parameter));
	probe->changed = true;
	return probe_send(probe, action, nexus);
}

bool probe_take_keys(struct probe *probe, const struct scsi_request *request)
{
	struct pr_keys keys = {.keys = probe->seen.keys};

	if (request->result.outcome != SCSI_OUTCOME_OK ||
	    pr_keys_decode(&keys, PROBE_KEYS_MAX, probe->buffer, request->result.transferred))
		return false;
	probe->seen.generation = keys.generation;
	probe->seen.count = 0;
	probe->seen.available = keys.available;
	for (uint32_t i = 0; i < keys.count; i++) {
		if (keys.keys[i])
			probe->seen.keys[probe->seen.count++] = keys.keys[i];
		else /* no registration has it: a list filled up with zeroes */
			probe->seen.available--;
	}
	return true;
}

bool probe_take_reservation(struct probe *probe, const struct scsi_request *request)
{
	return request->result.outcome == SCSI_OUTCOME_OK &&
	       pr_reservation_decode(&probe->seen.reservation, probe->buffer,
				     request->result.transferred) == 0;
}

bool probe_sees_key(const struct probe *probe, uint64_t key)
{
	for (unsigned i = 0; i < probe->seen.count; i++) {
		if (probe->seen.keys[i] == key)
			return true;
	}
	return false;
}

bool probe_sees_stranger(const struct probe *probe)
{
	for (unsigned i = 0; i < probe->seen.count; i++) {
		if (!probe_key_of_run(probe, probe->seen.keys[i]))
			return true;
	}
	return false;
}

/* Walking. */

static void probe_enter(struct probe *probe, enum probe_stage_id stage)
{
	if (probe->stage != stage)
		probe->index = 0;
	probe->stage = stage;
	probe->attempt = 0;
	probe->jumping = false;
}

static void probe_advance(struct probe *probe)
{
	if (probe->jumping) {
		enum probe_stage_id stage = probe->jump;

		probe->index = 0;
		probe_enter(probe, stage);
	} else if (probe->again) {
		probe->index++;
		probe->attempt = 0;
	} else {
		probe_enter(probe, probe->stage + 1);
	}
	probe->again = false;
}

/* A command that is only to be repeated; false: it is not. */
static bool probe_next_resend(struct probe *probe, struct probe_action *action)
{
	if (!probe->resend)
		return false;
	if (probe->resend_after_ms) {
		action->kind = PROBE_ACTION_WAIT;
		action->wait_ms = probe->resend_after_ms;
		probe->resend_after_ms = 0;
		return true;
	}
	probe->resend = false;
	action->kind = PROBE_ACTION_SEND;
	action->nexus = probe->sent_nexus;
	action->request = probe->sent;
	return true;
}

void probe_next(struct probe *probe, struct probe_action *action)
{
	memset(action, 0, sizeof(*action));
	action->stage = probe_stages[probe->stage].name;
	if (probe_next_resend(probe, action))
		return;
	if (probe->jumping) /* what a WAIT, RELOGIN, SAVE ... brought */
		probe_advance(probe);
	if (probe->interrupted && probe->stage < PROBE_STAGE_CLEAN) {
		if (probe->report.end == PROBE_END_DONE)
			probe->report.end = PROBE_END_INTERRUPTED;
		probe_enter(probe, PROBE_STAGE_CLEAN);
	}
	for (;;) {
		const struct probe_stage *stage = &probe_stages[probe->stage];

		if (probe->stage == PROBE_STAGE_END) {
			action->kind = PROBE_ACTION_END;
			return;
		}
		action->stage = stage->name;
		if (stage->begin(probe, action))
			break;
		probe_advance(probe);
	}
	if (action->kind == PROBE_ACTION_SEND) {
		probe->sent = action->request;
		probe->sent_nexus = action->nexus;
	} else {
		/* What has no answer to judge leads on by itself, unless the stage says where. */
		probe_advance(probe);
	}
}

void probe_answered(struct probe *probe, const struct scsi_request *request)
{
	const struct probe_stage *stage = &probe_stages[probe->stage];
	uint32_t wait_ms = 0;

	switch (scsi_retry_judge(&request->result, probe->attempt, &wait_ms)) {
	case SCSI_RETRY_AT_ONCE:
		wait_ms = 0;
		/* fall through */
	case SCSI_RETRY_LATER:
		probe->attempt++;
		probe->resend = true;
		probe->resend_after_ms = wait_ms;
		return;
	case SCSI_RETRY_OTHER_PATH:
	case SCSI_RETRY_FINAL:
		break;
	}
	if (request->result.outcome == SCSI_OUTCOME_UNKNOWN && !stage->tolerant)
		probe_fail(probe, "%s: %s", stage->name, probe_text(&request->result));
	else
		stage->end(probe, request);
	probe_advance(probe);
}

void probe_interrupt(struct probe *probe)
{
	probe->interrupted = true;
}
