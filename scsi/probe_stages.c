/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe's stages on the paths that it was given: identity, occupants, answer times, and what
 * can be tried by registering alone. With them stands the table of all stages.
 */
#include <stdlib.h>
#include <string.h>

#include "scsi/mode.h"
#include "scsi/probe_stage.h"

/* Identity. */

static bool probe_begin_inquiry(struct probe *probe, struct probe_action *action)
{
	memset(probe->buffer, 0, sizeof(probe->buffer));
	scsi_inquiry_encode(&action->request, probe->buffer, 96);
	return probe_send(probe, action, 0);
}

static void probe_end_inquiry(struct probe *probe, const struct scsi_request *request)
{
	struct scsi_inquiry *inquiry = &probe->report.inquiry;

	if (request->result.outcome != SCSI_OUTCOME_OK ||
	    scsi_inquiry_decode(inquiry, probe->buffer, request->result.transferred))
		probe_refuse(probe, "no SCSI disk: INQUIRY was answered by %s",
			     probe_text(&request->result));
	else if (inquiry->peripheral_qualifier != 0)
		probe_refuse(probe, "no such logical unit (peripheral qualifier %u)",
			     inquiry->peripheral_qualifier);
	else if (inquiry->device_type != 0)
		probe_refuse(probe, "no disk: peripheral device type %02xh (%s %s)",
			     inquiry->device_type, inquiry->vendor, inquiry->product);
}

static bool probe_begin_page(struct probe *probe, struct probe_action *action, unsigned nexus,
			     uint8_t page)
{
	if (probe->page_goes_on)
		vpd_reader_ask(&probe->page, &action->request);
	else
		vpd_reader_begin(&probe->page, page, &action->request);
	probe->page_goes_on = false;
	return probe_send(probe, action, nexus);
}

/* The page is there, whole; else the same stage goes on. */
static bool probe_page_over(struct probe *probe, const struct scsi_request *request)
{
	struct scsi_request next = *request;

	if (vpd_reader_take(&probe->page, &next))
		return true;
	probe->page_goes_on = true;
	probe->index--;
	probe_repeat(probe);
	return false;
}

static bool probe_begin_serial(struct probe *probe, struct probe_action *action)
{
	return probe_begin_page(probe, action, 0, 0x80);
}

static void probe_end_serial(struct probe *probe, const struct scsi_request *request)
{
	if (probe_page_over(probe, request))
		scsi_serial_decode(probe->report.serial, sizeof(probe->report.serial),
				   probe->page.data, probe->page.length);
}

static bool probe_begin_wwid(struct probe *probe, struct probe_action *action)
{
	return probe_begin_page(probe, action, 0, 0x83);
}

static void probe_end_wwid(struct probe *probe, const struct scsi_request *request)
{
	if (!probe_page_over(probe, request))
		return;
	if (scsi_wwid_decode(probe->report.wwid, sizeof(probe->report.wwid), probe->page.data,
			     probe->page.length))
		probe->report.wwid[0] = '\0';
	lun_identity_learn(&probe->identity, probe->page.data, probe->page.length,
			   &(const struct scsi_capacity){0});
}

static bool probe_begin_capacity16(struct probe *probe, struct probe_action *action)
{
	memset(probe->buffer, 0, 32);
	scsi_read_capacity16_encode(&action->request, probe->buffer);
	return probe_send(probe, action, 0);
}

static void probe_end_capacity16(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		scsi_capacity16_decode(&probe->report.capacity, probe->buffer,
				       request->result.transferred);
}

static bool probe_begin_capacity10(struct probe *probe, struct probe_action *action)
{
	if (probe->report.capacity.blocks)
		return false;
	memset(probe->buffer, 0, 8);
	scsi_read_capacity10_encode(&action->request, probe->buffer);
	return probe_send(probe, action, 0);
}

static void probe_end_capacity10(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		scsi_capacity10_decode(&probe->report.capacity, probe->buffer,
				       request->result.transferred);
}

static bool probe_begin_mode(struct probe *probe, struct probe_action *action)
{
	memset(probe->buffer, 0, SCSI_MODE_HEADER_SIZE);
	scsi_mode_sense6_encode(&action->request, probe->buffer);
	return probe_send(probe, action, 0);
}

static void probe_end_mode(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		scsi_mode_protected_decode(&probe->report.write_protected, probe->buffer,
					   request->result.transferred);
}

/* index 0: nexus 1, ...; after the paths the second nexus. */
static unsigned probe_other_nexus(const struct probe *probe)
{
	if (probe->index + 1 < probe->options.path_count)
		return probe->index + 1;
	if (probe->index + 1 == probe->options.path_count && probe->options.second)
		return PROBE_NEXUS_SECOND;
	return PROBE_NEXUSES;
}

static bool probe_begin_other_identity(struct probe *probe, struct probe_action *action)
{
	unsigned nexus = probe_other_nexus(probe);

	if (nexus == PROBE_NEXUSES)
		return false;
	return probe_begin_page(probe, action, nexus, 0x83);
}

static void probe_end_other_identity(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = &probe->report.items[PROBE_ITEM_ALL_PATHS];
	unsigned nexus = probe_other_nexus(probe);
	char wwid[SCSI_WWID_MAX] = "";

	if (!probe_page_over(probe, request))
		return;
	probe_repeat(probe);
	scsi_wwid_decode(wwid, sizeof(wwid), probe->page.data, probe->page.length);
	if (request->result.outcome == SCSI_OUTCOME_UNKNOWN && nexus != PROBE_NEXUS_SECOND) {
		probe_find(finding, PROBE_ANSWER_NO, "path %u: %s", nexus,
			   probe_text(&request->result));
		return;
	}
	if (lun_identity_is(&probe->identity, probe->page.data, probe->page.length))
		return;
	if (nexus == PROBE_NEXUS_SECOND)
		probe_refuse(probe, "the second nexus leads to another logical unit: %s, not %s",
			     wwid[0] ? wwid : "one without a name", probe->report.wwid);
	else
		probe_refuse(probe, "path %u leads to another logical unit: %s, not %s", nexus,
			     wwid[0] ? wwid : "one without a name", probe->report.wwid);
}

/* Who is there? */

static bool probe_begin_keys(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_in(probe, action, 0, PR_IN_READ_KEYS);
}

static void probe_end_keys(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = &probe->report.items[PROBE_ITEM_RESERVATIONS];

	if (probe_take_keys(probe, request))
		return;
	probe_find_result(finding, PROBE_ANSWER_NO, &request->result);
	if (probe_illegal(&request->result))
		probe_refuse(probe, "no persistent reservations: READ KEYS was answered by %s",
			     probe_text(&request->result));
	else
		probe_refuse(probe, "READ KEYS was answered by %s", probe_text(&request->result));
}

static bool probe_begin_reservation(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_in(probe, action, 0, PR_IN_READ_RESERVATION);
}

static void probe_end_reservation(struct probe *probe, const struct scsi_request *request)
{
	if (!probe_take_reservation(probe, request))
		probe_refuse(probe, "READ RESERVATION was answered by %s",
			     probe_text(&request->result));
}

static void probe_report_occupants(struct probe *probe)
{
	struct probe_report *report = &probe->report;

	report->generation_before = probe->seen.generation;
	report->generation_after = probe->seen.generation;
	report->key_count = probe->seen.count;
	report->reservation = probe->seen.reservation;
	memcpy(report->keys, probe->seen.keys, sizeof(report->keys));
}

static bool probe_sees_only_probes(const struct probe *probe)
{
	for (unsigned i = 0; i < probe->seen.count; i++) {
		if (!probe_key_is_probe(probe->seen.keys[i]))
			return false;
	}
	return probe->seen.available == probe->seen.count;
}

#define PROBE_STILL_LOOKS 4

/* Probe keys that lie still belong to a killed probe: a running one changes the generation with
 * everything that it does while it is registered. */
static bool probe_begin_occupants(struct probe *probe, struct probe_action *action)
{
	struct probe_occupants *seen = &probe->seen;

	if (seen->count == 0 && !seen->reservation.held) {
		probe_report_occupants(probe);
		return probe_goto(probe, PROBE_STAGE_CAPABILITIES);
	}
	probe_report_occupants(probe);
	/* The key is 0 where all registrants hold. */
	if (seen->reservation.held && seen->reservation.key &&
	    !probe_key_is_probe(seen->reservation.key)) {
		probe_refuse(probe, "somebody holds it");
		return false;
	}
	if (!probe_sees_only_probes(probe)) {
		probe_refuse(probe, seen->reservation.held && !seen->reservation.key
					    ? "all who are registered hold it together"
					    : "somebody is registered");
		return false;
	}
	if (probe->leftovers_tried) {
		probe_refuse(probe, "what an earlier probe left behind could not be removed");
		return false;
	}
	if (probe->options.ask_only) {
		probe_refuse(probe, "an earlier probe left registrations behind");
		return false;
	}
	if (probe->lying_still && probe->still_generation != seen->generation) {
		probe_refuse(probe, "another probe is running on it");
		return false;
	}
	probe->lying_still = true;
	probe->still_generation = seen->generation;
	if (++probe->still_looks >= PROBE_STILL_LOOKS) {
		probe->leftovers_tried = true;
		probe->report.leftovers_removed = seen->count;
		return false;
	}
	action->kind = PROBE_ACTION_WAIT;
	action->wait_ms = probe->options.leftover_ms / (PROBE_STILL_LOOKS - 1);
	probe_goto(probe, PROBE_STAGE_KEYS);
	return true;
}

/* This nexus may bear one of the leftovers itself (the same initiator port as the killed
 * probe's). */
static bool probe_begin_leftover_register(struct probe *probe, struct probe_action *action)
{
	probe->key[0] = probe_key(probe, PROBE_ROLE_FIRST);
	return probe_send_pr_out(probe, action, 0, PR_OUT_REGISTER_AND_IGNORE, 0, probe->key[0],
				 PR_TYPE_NONE, false);
}

static void probe_end_register(struct probe *probe, const struct scsi_request *request)
{
	if (request->result.outcome == SCSI_OUTCOME_OK)
		return;
	probe->key[0] = 0;
	probe_fail(probe, "REGISTER was answered by %s", probe_text(&request->result));
}

static bool probe_begin_leftover_preempt(struct probe *probe, struct probe_action *action)
{
	const struct pr_reservation *reservation = &probe->seen.reservation;
	enum pr_type type =
		reservation->held ? reservation->type : PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;

	if (probe->index >= probe->seen.count)
		return false;
	if (reservation->held)
		probe->reserved = reservation->type;
	return probe_send_pr_out(probe, action, 0, PR_OUT_PREEMPT, probe->key[0],
				 probe->seen.keys[probe->index], type, false);
}

static void probe_end_leftover_preempt(struct probe *probe, const struct scsi_request *request)
{
	(void)request; /* a conflict says that it has gone; the look that follows decides */
	probe_repeat(probe);
}

static bool probe_begin_leftover_unregister(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_out(probe, action, 0, PR_OUT_REGISTER, probe->key[0], 0, PR_TYPE_NONE,
				 false);
}

static void probe_end_leftover_unregister(struct probe *probe, const struct scsi_request *request)
{
	(void)request;
	probe->key[0] = 0;
	probe->reserved = PR_TYPE_NONE;
	probe_goto(probe, PROBE_STAGE_KEYS);
}

/* What is there to read. */

static bool probe_begin_capabilities(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_in(probe, action, 0, PR_IN_REPORT_CAPABILITIES);
}

static void probe_end_capabilities(struct probe *probe, const struct scsi_request *request)
{
	bool ok = request->result.outcome == SCSI_OUTCOME_OK &&
		  pr_capabilities_decode(&probe->report.capabilities, probe->buffer,
					 request->result.transferred) == 0;

	probe_find_result(&probe->report.items[PROBE_ITEM_CAPABILITIES],
			  ok ? PROBE_ANSWER_YES : PROBE_ANSWER_NO, &request->result);
}

static bool probe_begin_full_status(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_in(probe, action, 0, PR_IN_READ_FULL_STATUS);
}

static void probe_end_full_status(struct probe *probe, const struct scsi_request *request)
{
	struct pr_full_status_cursor cursor;
	bool ok = request->result.outcome == SCSI_OUTCOME_OK &&
		  pr_full_status_begin(&cursor, probe->buffer, request->result.transferred) == 0;

	probe_find_result(&probe->report.items[PROBE_ITEM_FULL_STATUS],
			  ok ? PROBE_ANSWER_YES : PROBE_ANSWER_NO, &request->result);
}

/* Answer times: looks as the daemon makes them, READ FULL STATUS or else the two other reads. */

static bool probe_has_full_status(const struct probe *probe)
{
	return probe->report.items[PROBE_ITEM_FULL_STATUS].answer == PROBE_ANSWER_YES;
}

static int probe_compare_times(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void probe_report_times(struct probe *probe)
{
	struct probe_report *report = &probe->report;
	unsigned count = report->looks;

	if (!count)
		return;
	qsort(probe->looks_us, count, sizeof(*probe->looks_us), probe_compare_times);
	report->look_min_us = probe->looks_us[0];
	report->look_median_us = probe->looks_us[count / 2];
	report->look_p99_us = probe->looks_us[(count * 99 + 99) / 100 - 1];
	report->look_max_us = probe->looks_us[count - 1];
}

static bool probe_begin_look(struct probe *probe, struct probe_action *action)
{
	if (probe->report.looks == probe->options.looks)
		return false;
	if (probe->options.look_interval_ms && probe->looks_waited < probe->report.looks &&
	    !probe->look_us) {
		probe->looks_waited = probe->report.looks;
		action->kind = PROBE_ACTION_WAIT;
		action->wait_ms = probe->options.look_interval_ms;
		probe->again = true;
		probe->index--;
		return true;
	}
	if (probe_has_full_status(probe))
		return probe_send_pr_in(probe, action, 0, PR_IN_READ_FULL_STATUS);
	return probe_send_pr_in(probe, action, 0,
				probe->index % 2 ? PR_IN_READ_RESERVATION : PR_IN_READ_KEYS);
}

static bool probe_look_shows_nobody(struct probe *probe, const struct scsi_request *request)
{
	struct pr_full_status_cursor cursor;
	struct pr_full_status_entry entry;

	if (probe_has_full_status(probe))
		return pr_full_status_begin(&cursor, probe->buffer, request->result.transferred) ==
			       0 &&
		       pr_full_status_next(&cursor, &entry) == 0;
	if (probe->index % 2)
		return probe_take_reservation(probe, request) && !probe->seen.reservation.held;
	return probe_take_keys(probe, request) && probe->seen.count == 0;
}

static void probe_end_look(struct probe *probe, const struct scsi_request *request)
{
	bool whole = probe_has_full_status(probe) || probe->index % 2;

	if (request->result.outcome != SCSI_OUTCOME_OK) {
		probe_fail(probe, "a look was answered by %s", probe_text(&request->result));
		return;
	}
	if (!probe_look_shows_nobody(probe, request)) {
		probe_refuse(probe, "somebody registered while its answer times were measured");
		return;
	}
	probe->look_us += request->result.duration_us;
	if (whole) {
		probe->looks_us[probe->report.looks++] = probe->look_us;
		probe->look_us = 0;
	}
	if (probe->report.looks == probe->options.looks)
		probe_report_times(probe);
	probe_repeat(probe);
}

/* Registering. */

static bool probe_stop_asking(struct probe *probe)
{
	for (enum probe_item item = 0; item < PROBE_ITEMS; item++) {
		struct probe_finding *finding = &probe->report.items[item];

		if (finding->answer == PROBE_ANSWER_NOT_TRIED)
			probe_find(finding, PROBE_ANSWER_NOT_TRIED, "only asked, not tried");
	}
	return probe_goto(probe, PROBE_STAGE_CLEAN);
}

static bool probe_begin_register_aptpl(struct probe *probe, struct probe_action *action)
{
	if (probe->options.ask_only)
		return probe_stop_asking(probe);
	probe->key[0] = probe_key(probe, PROBE_ROLE_FIRST);
	return probe_send_pr_out(probe, action, 0, PR_OUT_REGISTER, 0, probe->key[0], PR_TYPE_NONE,
				 true);
}

static void probe_end_register_aptpl(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = &probe->report.items[PROBE_ITEM_APTPL];

	switch (request->result.outcome) {
	case SCSI_OUTCOME_OK:
		probe_find(finding, PROBE_ANSWER_YES, "REGISTER with APTPL is accepted");
		return;
	case SCSI_OUTCOME_FAILED:
		probe->key[0] = 0;
		probe_find_result(finding, PROBE_ANSWER_NO, &request->result);
		return;
	case SCSI_OUTCOME_CONFLICT:
	case SCSI_OUTCOME_UNKNOWN:
		break;
	}
	probe->key[0] = 0;
	probe_fail(probe, "REGISTER was answered by %s", probe_text(&request->result));
}

/* Accepted is not yet granted: PTPL_A says whether it is on. */
static bool probe_begin_aptpl_seen(struct probe *probe, struct probe_action *action)
{
	if (probe->report.items[PROBE_ITEM_APTPL].answer != PROBE_ANSWER_YES ||
	    probe->report.items[PROBE_ITEM_CAPABILITIES].answer != PROBE_ANSWER_YES)
		return false;
	return probe_send_pr_in(probe, action, 0, PR_IN_REPORT_CAPABILITIES);
}

static void probe_end_aptpl_seen(struct probe *probe, const struct scsi_request *request)
{
	struct pr_capabilities now;
	struct probe_finding *finding = &probe->report.items[PROBE_ITEM_APTPL];

	if (request->result.outcome != SCSI_OUTCOME_OK ||
	    pr_capabilities_decode(&now, probe->buffer, request->result.transferred))
		return;
	if (!now.persist_through_power_loss_activated)
		probe_find(finding, PROBE_ANSWER_NO,
			   "REGISTER with APTPL is accepted, but REPORT CAPABILITIES does not show "
			   "it as active (PTPL_A 0)");
	else
		probe_find(finding, PROBE_ANSWER_YES,
			   "active after REGISTER with APTPL (PTPL_A 1)");
}

static bool probe_begin_register(struct probe *probe, struct probe_action *action)
{
	if (probe->key[0])
		return false;
	probe->key[0] = probe_key(probe, PROBE_ROLE_FIRST);
	return probe_send_pr_out(probe, action, 0, PR_OUT_REGISTER, 0, probe->key[0], PR_TYPE_NONE,
				 false);
}

/* Every nexus must show the registration that was made on path 0. */
static bool probe_begin_seen(struct probe *probe, struct probe_action *action)
{
	unsigned nexus = probe->index;

	if (nexus == probe->options.path_count && probe->options.second)
		nexus = PROBE_NEXUS_SECOND;
	else if (nexus >= probe->options.path_count)
		return false;
	return probe_send_pr_in(probe, action, nexus, PR_IN_READ_KEYS);
}

static void probe_end_seen(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = &probe->report.items[PROBE_ITEM_ALL_PATHS];
	unsigned nexus = probe->index;

	probe_repeat(probe);
	if (!probe_take_keys(probe, request)) {
		probe_find(finding, PROBE_ANSWER_NO, "path %u: READ KEYS was answered by %s", nexus,
			   probe_text(&request->result));
		return;
	}
	if (probe_sees_stranger(probe)) {
		probe_fail(probe, "somebody else registered while it was probed");
		return;
	}
	if (!probe_sees_key(probe, probe->key[0])) {
		if (nexus == 0)
			probe_fail(probe, "REGISTER was answered by GOOD, but READ KEYS does not "
					  "show the key");
		else
			probe_find(finding, PROBE_ANSWER_NO,
				   "path %u does not show the key registered on path 0", nexus);
		return;
	}
	if (nexus == 0)
		probe_find(&probe->report.items[PROBE_ITEM_RESERVATIONS], PROBE_ANSWER_YES, "%s",
			   "");
	if (nexus == 0 && probe->options.path_count == 1)
		probe_find(finding, PROBE_ANSWER_NOT_TRIED, "there is one path only");
	else if (nexus > 0 && nexus < probe->options.path_count &&
		 finding->answer == PROBE_ANSWER_NOT_TRIED)
		probe_find(finding, PROBE_ANSWER_YES, "%u paths", probe->options.path_count);
}

static bool probe_begin_register_and_ignore(struct probe *probe, struct probe_action *action)
{
	return probe_send_pr_out(probe, action, 0, PR_OUT_REGISTER_AND_IGNORE, 0,
				 probe_key(probe, PROBE_ROLE_REKEYED), PR_TYPE_NONE, false);
}

static void probe_end_register_and_ignore(struct probe *probe, const struct scsi_request *request)
{
	bool ok = request->result.outcome == SCSI_OUTCOME_OK;

	if (ok)
		probe->key[0] = probe_key(probe, PROBE_ROLE_REKEYED);
	probe_find_result(&probe->report.items[PROBE_ITEM_REGISTER_AND_IGNORE],
			  ok ? PROBE_ANSWER_YES : PROBE_ANSWER_NO, &request->result);
}

/* One path after the other: some arrays hold a second concurrent REGISTER for seconds. */
static bool probe_begin_register_paths(struct probe *probe, struct probe_action *action)
{
	unsigned nexus = probe->index + 1;

	if (nexus >= probe->options.path_count)
		return false;
	probe->key[nexus] = probe->key[0];
	return probe_send_pr_out(probe, action, nexus, PR_OUT_REGISTER, 0, probe->key[nexus],
				 PR_TYPE_NONE, false);
}

static void probe_end_register_paths(struct probe *probe, const struct scsi_request *request)
{
	struct probe_finding *finding = &probe->report.items[PROBE_ITEM_ALL_PATHS];
	unsigned nexus = probe->index + 1;

	probe_repeat(probe);
	switch (request->result.outcome) {
	case SCSI_OUTCOME_OK:
		return;
	case SCSI_OUTCOME_CONFLICT: /* registered already, by path 0: one registration for both */
		probe->key[nexus] = 0;
		return;
	case SCSI_OUTCOME_UNKNOWN:
	case SCSI_OUTCOME_FAILED:
		break;
	}
	probe_find(finding, PROBE_ANSWER_NO, "path %u: REGISTER was answered by %s", nexus,
		   probe_text(&request->result));
}

/* A PREEMPT whose victim is not there harms nobody, and shows whether the command is known:
 * SPC-5 5.14.11.4 answers it by RESERVATION CONFLICT. */

static bool probe_begin_preempt_as(struct probe *probe, struct probe_action *action,
				   enum pr_out_action what)
{
	return probe_send_pr_out(probe, action, 0, what, probe->key[0],
				 probe_key(probe, PROBE_ROLE_NOBODY),
				 PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, false);
}

static void probe_judge_preempt(struct probe *probe, enum probe_item item,
				const struct scsi_request *request)
{
	bool known = request->result.outcome == SCSI_OUTCOME_OK ||
		     request->result.outcome == SCSI_OUTCOME_CONFLICT;

	probe_find(&probe->report.items[item], known ? PROBE_ANSWER_YES : PROBE_ANSWER_NO, "%s",
		   known ? "known; a victim that is not registered was named"
			 : probe_text(&request->result));
}

static bool probe_begin_preempt(struct probe *probe, struct probe_action *action)
{
	return probe_begin_preempt_as(probe, action, PR_OUT_PREEMPT);
}

static void probe_end_preempt(struct probe *probe, const struct scsi_request *request)
{
	probe_judge_preempt(probe, PROBE_ITEM_PREEMPT, request);
}

static bool probe_begin_preempt_and_abort(struct probe *probe, struct probe_action *action)
{
	return probe_begin_preempt_as(probe, action, PR_OUT_PREEMPT_AND_ABORT);
}

static void probe_end_preempt_and_abort(struct probe *probe, const struct scsi_request *request)
{
	probe_judge_preempt(probe, PROBE_ITEM_PREEMPT_AND_ABORT, request);
}

/* Types: RESERVE, READ RESERVATION, RELEASE for each. */

static const enum pr_type probe_types[] = {
	PR_TYPE_WRITE_EXCLUSIVE,
	PR_TYPE_EXCLUSIVE_ACCESS,
	PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
	PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
	PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS,
	PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
};
#define PROBE_TYPES_TRIED (sizeof(probe_types) / sizeof(probe_types[0]))

static bool probe_begin_types(struct probe *probe, struct probe_action *action)
{
	enum pr_type type;

	if (!probe->options.try_types || probe->index / 3 >= PROBE_TYPES_TRIED)
		return false;
	type = probe_types[probe->index / 3];
	if (probe->index % 3 == 1)
		return probe_send_pr_in(probe, action, 0, PR_IN_READ_RESERVATION);
	probe->reserved = type;
	return probe_send_pr_out(probe, action, 0,
				 probe->index % 3 == 0 ? PR_OUT_RESERVE : PR_OUT_RELEASE,
				 probe->key[0], 0, type, false);
}

static void probe_end_types(struct probe *probe, const struct scsi_request *request)
{
	enum pr_type type = probe_types[probe->index / 3];
	struct probe_finding *finding = &probe->report.types[type];
	bool ok = request->result.outcome == SCSI_OUTCOME_OK;

	switch (probe->index % 3) {
	case 0:
		probe_find_result(finding, ok ? PROBE_ANSWER_YES : PROBE_ANSWER_NO,
				  &request->result);
		if (!ok) {
			probe->reserved = PR_TYPE_NONE;
			probe->index += 2; /* nothing to release */
		}
		break;
	case 1:
		if (!probe_take_reservation(probe, request) || !probe->seen.reservation.held ||
		    probe->seen.reservation.type != type)
			probe_find(finding, PROBE_ANSWER_NO,
				   "RESERVE was answered by GOOD, but no such reservation is seen");
		break;
	case 2:
		if (ok)
			probe->reserved = PR_TYPE_NONE;
		else
			probe_fail(probe, "RELEASE was answered by %s",
				   probe_text(&request->result));
		break;
	}
	probe_repeat(probe);
}

const struct probe_stage probe_stages[PROBE_STAGE_END + 1] = {
	[PROBE_STAGE_INQUIRY] = {"INQUIRY", false, probe_begin_inquiry, probe_end_inquiry},
	[PROBE_STAGE_SERIAL] = {"serial number", false, probe_begin_serial, probe_end_serial},
	[PROBE_STAGE_WWID] = {"identity", false, probe_begin_wwid, probe_end_wwid},
	[PROBE_STAGE_CAPACITY16] = {"READ CAPACITY(16)", false, probe_begin_capacity16,
				    probe_end_capacity16},
	[PROBE_STAGE_CAPACITY10] = {"READ CAPACITY(10)", false, probe_begin_capacity10,
				    probe_end_capacity10},
	[PROBE_STAGE_MODE] = {"MODE SENSE", false, probe_begin_mode, probe_end_mode},
	[PROBE_STAGE_OTHER_IDENTITY] = {"identity by every path", true, probe_begin_other_identity,
					probe_end_other_identity},
	[PROBE_STAGE_KEYS] = {"READ KEYS", false, probe_begin_keys, probe_end_keys},
	[PROBE_STAGE_RESERVATION] = {"READ RESERVATION", false, probe_begin_reservation,
				     probe_end_reservation},
	[PROBE_STAGE_OCCUPANTS] = {"waiting whether another probe runs", false,
				   probe_begin_occupants, NULL},
	[PROBE_STAGE_LEFTOVER_REGISTER] = {"removing leftovers", false,
					   probe_begin_leftover_register, probe_end_register},
	[PROBE_STAGE_LEFTOVER_PREEMPT] = {"removing leftovers", false, probe_begin_leftover_preempt,
					  probe_end_leftover_preempt},
	[PROBE_STAGE_LEFTOVER_UNREGISTER] = {"removing leftovers", false,
					     probe_begin_leftover_unregister,
					     probe_end_leftover_unregister},
	[PROBE_STAGE_CAPABILITIES] = {"REPORT CAPABILITIES", false, probe_begin_capabilities,
				      probe_end_capabilities},
	[PROBE_STAGE_FULL_STATUS] = {"READ FULL STATUS", false, probe_begin_full_status,
				     probe_end_full_status},
	[PROBE_STAGE_LOOK] = {"answer times", false, probe_begin_look, probe_end_look},
	[PROBE_STAGE_REGISTER_APTPL] = {"REGISTER with APTPL", false, probe_begin_register_aptpl,
					probe_end_register_aptpl},
	[PROBE_STAGE_APTPL_SEEN] = {"REPORT CAPABILITIES", false, probe_begin_aptpl_seen,
				    probe_end_aptpl_seen},
	[PROBE_STAGE_REGISTER] = {"REGISTER", false, probe_begin_register, probe_end_register},
	[PROBE_STAGE_SEEN] = {"READ KEYS by every path", true, probe_begin_seen, probe_end_seen},
	[PROBE_STAGE_REGISTER_AND_IGNORE] = {"REGISTER AND IGNORE EXISTING KEY", false,
					     probe_begin_register_and_ignore,
					     probe_end_register_and_ignore},
	[PROBE_STAGE_REGISTER_PATHS] = {"REGISTER by every path", true, probe_begin_register_paths,
					probe_end_register_paths},
	[PROBE_STAGE_PREEMPT] = {"PREEMPT", false, probe_begin_preempt, probe_end_preempt},
	[PROBE_STAGE_PREEMPT_AND_ABORT] = {"PREEMPT AND ABORT", false,
					   probe_begin_preempt_and_abort,
					   probe_end_preempt_and_abort},
	[PROBE_STAGE_SECOND_REGISTER] = {"REGISTER by a second session", true,
					 probe_begin_second_register, probe_end_second_register},
	[PROBE_STAGE_SECOND_RELOGIN] = {"login again", false, probe_begin_second_relogin, NULL},
	[PROBE_STAGE_SECOND_KEPT] = {"READ KEYS", false, probe_begin_second_kept,
				     probe_end_second_kept},
	[PROBE_STAGE_SECOND_UNREGISTER] = {"REGISTER by a second session", true,
					   probe_begin_second_unregister,
					   probe_end_second_unregister},
	[PROBE_STAGE_SECOND_PREEMPT] = {"PREEMPT", false, probe_begin_second_preempt,
					probe_end_second_preempt},
	[PROBE_STAGE_TYPES] = {"RESERVE of each type", false, probe_begin_types, probe_end_types},
	[PROBE_STAGE_READ_BLOCKS] = {"READ of the range", false, probe_begin_read_blocks,
				     probe_end_read_blocks},
	[PROBE_STAGE_SAVE] = {"keeping the blocks", false, probe_begin_save, NULL},
	[PROBE_STAGE_RESERVE_WE] = {"RESERVE", false, probe_begin_reserve_we, probe_end_reserve},
	[PROBE_STAGE_WRITES] = {"writes by a second session", false, probe_begin_writes,
				probe_end_writes},
	[PROBE_STAGE_RELEASE_WE] = {"RELEASE", false, probe_begin_release_we, probe_end_release},
	[PROBE_STAGE_RESERVE_EA] = {"RESERVE", false, probe_begin_reserve_ea, probe_end_reserve},
	[PROBE_STAGE_READ] = {"READ by a second session", true, probe_begin_read, probe_end_read},
	[PROBE_STAGE_CLEAN] = {"cleaning up", true, probe_begin_clean, NULL},
	[PROBE_STAGE_CLEAN_RESTORE] = {"writing the blocks back", true, probe_begin_clean_restore,
				       probe_end_clean_restore},
	[PROBE_STAGE_CLEAN_CHECK] = {"reading the blocks again", true, probe_begin_clean_check,
				     probe_end_clean_check},
	[PROBE_STAGE_CLEAN_FORGET] = {"cleaning up", true, probe_begin_clean_forget, NULL},
	[PROBE_STAGE_CLEAN_RELEASE] = {"RELEASE", true, probe_begin_clean_release,
				       probe_end_clean_release},
	[PROBE_STAGE_CLEAN_UNREGISTER] = {"unregistering", true, probe_begin_clean_unregister,
					  probe_end_clean_unregister},
	[PROBE_STAGE_CLEAN_KEYS] = {"READ KEYS", true, probe_begin_clean_keys,
				    probe_end_clean_keys},
	[PROBE_STAGE_CLEAN_RESERVATION] = {"READ RESERVATION", true, probe_begin_clean_reservation,
					   probe_end_clean_reservation},
	[PROBE_STAGE_CLEAN_TAKE] = {"removing what is left", true, probe_begin_clean_take,
				    probe_end_clean_take},
	[PROBE_STAGE_CLEAN_PREEMPT] = {"removing what is left", true, probe_begin_clean_preempt,
				       probe_end_clean_preempt},
	[PROBE_STAGE_END] = {"end", true, NULL, NULL},
};
