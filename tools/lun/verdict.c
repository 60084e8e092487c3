/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a probe's findings mean for LunKeeper, in words. Pure.
 */
#include <stdarg.h>
#include <string.h>

#include "scsi/mode.h"
#include "tools/lun/probe.h"

#define VERDICT_DEFEND_DEFAULT_MS 500u

const char *lun_fitness_name(enum lun_fitness fitness)
{
	switch (fitness) {
	case LUN_FITNESS_NO:
		return "no";
	case LUN_FITNESS_LIMITED:
		return "limited";
	case LUN_FITNESS_YES:
		return "yes";
	case LUN_FITNESS_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}

static void verdict_line(struct lun_verdict *verdict, enum lun_fitness at_best, const char *format,
			 ...) __attribute__((format(printf, 3, 4)));

static void verdict_line(struct lun_verdict *verdict, enum lun_fitness at_best, const char *format,
			 ...)
{
	va_list arguments;

	if (at_best < verdict->fitness)
		verdict->fitness = at_best;
	if (verdict->count == LUN_VERDICT_LINES_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(verdict->lines[verdict->count++], sizeof(verdict->lines[0]), format, arguments);
	va_end(arguments);
}

static bool verdict_is(const struct probe_report *report, enum probe_item item,
		       enum probe_answer answer)
{
	return report->items[item].answer == answer;
}

static bool verdict_says_no(const struct probe_report *report, enum probe_item item)
{
	return verdict_is(report, item, PROBE_ANSWER_NO);
}

/* By trying if it was tried, else by what the target claims; a target that claims nothing may know
 * it. */
static bool verdict_has_type(const struct probe_report *report, enum pr_type type)
{
	if (report->types[type].answer != PROBE_ANSWER_NOT_TRIED)
		return report->types[type].answer == PROBE_ANSWER_YES;
	return !verdict_is(report, PROBE_ITEM_CAPABILITIES, PROBE_ANSWER_YES) ||
	       !report->capabilities.type_mask_valid ||
	       (report->capabilities.type_mask & (1u << type)) != 0;
}

uint32_t lun_verdict_defend_ms(const struct probe_report *report)
{
	uint64_t us = (uint64_t)report->look_p99_us * LUN_PROBE_DEFEND_FACTOR;

	if (report->looks == 0)
		return 0;
	return us <= 50000 ? 50 : (uint32_t)((us + 49999) / 50000 * 50);
}

static void verdict_judge_must(struct lun_verdict *verdict, const struct probe_report *report)
{
	if (verdict_says_no(report, PROBE_ITEM_RESERVATIONS))
		verdict_line(verdict, LUN_FITNESS_NO, "it has no persistent reservations");
	if (report->write_protected)
		verdict_line(verdict, LUN_FITNESS_NO, "it is " SCSI_WRITE_PROTECTED_TEXT);
	if (!verdict_has_type(report, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY) &&
	    !verdict_has_type(report, PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY))
		verdict_line(verdict, LUN_FITNESS_NO,
			     "it has neither of the types WE-RO and EA-RO");
	else if (!verdict_has_type(report, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY))
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "no type WE-RO: configure type = \"ea-ro\"");
	if (verdict_says_no(report, PROBE_ITEM_PREEMPT))
		verdict_line(verdict, LUN_FITNESS_NO,
			     "no PREEMPT: nothing can be taken from a dead node");
	if (verdict_says_no(report, PROBE_ITEM_COVERS_WRITE))
		verdict_line(verdict, LUN_FITNESS_NO,
			     "the reservation does not keep others from writing");
	if (verdict_says_no(report, PROBE_ITEM_ALL_PATHS))
		verdict_line(verdict, LUN_FITNESS_NO, "not the same by every path: %s",
			     report->items[PROBE_ITEM_ALL_PATHS].note);
}

static void verdict_judge_limits(struct lun_verdict *verdict, const struct probe_report *report)
{
	if (verdict_says_no(report, PROBE_ITEM_PREEMPT_AND_ABORT))
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "no PREEMPT AND ABORT: a takeover resets the logical unit instead");
	if (verdict_says_no(report, PROBE_ITEM_APTPL))
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "no APTPL: when the target loses power, the owner registers and "
			     "reserves again");
	if (verdict_says_no(report, PROBE_ITEM_OUTLIVES_LOGIN))
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "a registration is worth nothing without its session: after a new "
			     "login the owner registers again, its writes held");
	if (verdict_says_no(report, PROBE_ITEM_FULL_STATUS))
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "no READ FULL STATUS: which path is registered is told from its "
			     "answers only");
	if (verdict_says_no(report, PROBE_ITEM_COVERS_WRITE_SAME) ||
	    verdict_says_no(report, PROBE_ITEM_COVERS_UNMAP))
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "the reservation does not cover %s%s%s: never sent through a gate",
			     verdict_says_no(report, PROBE_ITEM_COVERS_WRITE_SAME) ? "WRITE SAME"
										   : "",
			     verdict_says_no(report, PROBE_ITEM_COVERS_WRITE_SAME) &&
					     verdict_says_no(report, PROBE_ITEM_COVERS_UNMAP)
				     ? " and "
				     : "",
			     verdict_says_no(report, PROBE_ITEM_COVERS_UNMAP) ? "UNMAP" : "");
	if (lun_verdict_defend_ms(report) > VERDICT_DEFEND_DEFAULT_MS)
		verdict_line(verdict, LUN_FITNESS_LIMITED,
			     "slow: it needs defend = %ums at least (4 times the 99th percentile)",
			     lun_verdict_defend_ms(report));
}

void lun_verdict_make(struct lun_verdict *verdict, const struct probe_report *report)
{
	memset(verdict, 0, sizeof(*verdict));
	verdict->fitness = LUN_FITNESS_YES;
	verdict_judge_must(verdict, report);
	verdict_judge_limits(verdict, report);
	if (verdict->fitness == LUN_FITNESS_NO)
		return;
	if (report->end != PROBE_END_DONE ||
	    verdict_is(report, PROBE_ITEM_RESERVATIONS, PROBE_ANSWER_NOT_TRIED)) {
		verdict->fitness = LUN_FITNESS_UNKNOWN;
		return;
	}
	if (verdict_is(report, PROBE_ITEM_COVERS_WRITE, PROBE_ANSWER_NOT_TRIED))
		verdict_line(verdict, LUN_FITNESS_YES,
			     "whether it keeps others from writing was not tried "
			     "(--destructive-range)");
}
