/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The capability probe against a logical unit in memory: what it finds on targets of several kinds,
 * and above all that the logical unit is as it was, wherever it is interrupted, an answer is lost,
 * a session ends, or the probe is killed.
 */
#include "scsi/probe.h"

#include <stdlib.h>

#include "tests/unit/fake_lun.h"
#include "tests/unit/unit.h"

enum trouble {
	TROUBLE_NONE,
	TROUBLE_INTERRUPT,
	TROUBLE_LOST_ANSWER,  /* carried out, but the answer never comes */
	TROUBLE_LOST_COMMAND, /* not carried out either */
	TROUBLE_LOST_SESSION, /* that of the nexus; it comes back when asked for */
	TROUBLE_KILL,
	TROUBLE_STRANGER, /* somebody else registers */
};

struct run {
	struct fake_lun *lun;
	struct probe_options options;
	enum trouble trouble;
	unsigned at; /* the action at which it comes */
	bool down[PROBE_NEXUSES];
	bool cannot_save, cannot_relogin;
	bool kept;  /* a file with the blocks is there */
	bool ended; /* not killed */
	unsigned actions;
	uint64_t waited_ms;
	struct probe_report report;
};

static const struct probe_options thorough = {
	.path_count = 1,
	.second = true,
	.second_reopens = true,
	.run = 0x1234,
	.looks = 5,
	.try_types = true,
	.destructive = true,
	.first_block = 8,
	.block_count = 4,
};

static void lose(struct scsi_request *request, int error)
{
	memset(&request->result, 0, sizeof(request->result));
	scsi_result_from_transport(&request->result, error);
}

static void run_command(struct run *run, struct probe_action *action, bool now)
{
	unsigned nexus = action->nexus;

	if (now && run->trouble == TROUBLE_LOST_SESSION) {
		fake_logout(run->lun, nexus);
		run->down[nexus] = true;
	}
	if (run->down[nexus]) {
		lose(&action->request, -ENOTCONN);
		return;
	}
	if (now && run->trouble == TROUBLE_LOST_COMMAND) {
		lose(&action->request, -ETIMEDOUT);
		return;
	}
	fake_execute(run->lun, nexus, &action->request);
	if (now && run->trouble == TROUBLE_LOST_ANSWER)
		lose(&action->request, -ETIMEDOUT);
}

/* False: the probe is over (or was killed). */
static bool run_action(struct run *run, struct probe *probe, struct probe_action *action)
{
	bool now = run->actions++ == run->at && run->trouble != TROUBLE_NONE;

	if (now && run->trouble == TROUBLE_KILL)
		return false;
	if (now && run->trouble == TROUBLE_INTERRUPT)
		probe_interrupt(probe);
	if (now && run->trouble == TROUBLE_STRANGER) {
		run->lun->key[FAKE_NEXUSES - 1] = 0x99;
		run->lun->generation++;
	}
	switch (action->kind) {
	case PROBE_ACTION_SEND:
		CU_ASSERT_TRUE_FATAL(action->nexus < PROBE_NEXUSES);
		run_command(run, action, now);
		probe_answered(probe, &action->request);
		return true;
	case PROBE_ACTION_WAIT:
		run->waited_ms += action->wait_ms;
		return true;
	case PROBE_ACTION_RECONNECT:
		run->down[action->nexus] = false;
		return true;
	case PROBE_ACTION_RELOGIN:
		fake_logout(run->lun, action->nexus);
		probe_relogged(probe, !run->cannot_relogin);
		return true;
	case PROBE_ACTION_SAVE:
		run->kept = !run->cannot_save;
		probe_kept(probe, run->kept, "disk full");
		return true;
	case PROBE_ACTION_FORGET:
		run->kept = false;
		return true;
	case PROBE_ACTION_END:
		run->ended = true;
		return false;
	}
	return false;
}

static void run_probe(struct run *run)
{
	struct probe *probe = probe_new(&run->options);
	struct probe_action action;

	CU_ASSERT_PTR_NOT_NULL_FATAL(probe);
	do {
		probe_next(probe, &action);
		CU_ASSERT_TRUE_FATAL(run->actions < 1000);
	} while (run_action(run, probe, &action));
	run->report = *probe_get_report(probe);
	probe_free(probe);
}

static struct run run_on(struct fake_lun *lun)
{
	struct run run = {.lun = lun, .options = thorough};

	run_probe(&run);
	return run;
}

static unsigned registrations(const struct fake_lun *lun)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FAKE_NEXUSES; i++)
		count += lun->key[i] != 0;
	return count;
}

static bool untouched(const struct fake_lun *lun)
{
	for (unsigned i = 0; i < FAKE_BLOCKS; i++) {
		for (unsigned j = 0; j < FAKE_BLOCK_SIZE; j++) {
			if (lun->blocks[i][j] != i + 1)
				return false;
		}
	}
	return true;
}

#define ANSWER(run, item) ((run).report.items[PROBE_ITEM_##item].answer)

static void test_all_there(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_STRING_EQUAL(run.report.message, "");
	CU_ASSERT_TRUE(run.report.clean);
	for (enum probe_item item = 0; item < PROBE_ITEMS; item++) {
		if (item != PROBE_ITEM_ALL_PATHS)
			CU_ASSERT_EQUAL(run.report.items[item].answer, PROBE_ANSWER_YES);
	}
	CU_ASSERT_EQUAL(ANSWER(run, ALL_PATHS), PROBE_ANSWER_NOT_TRIED);
	CU_ASSERT_EQUAL(run.report.types[PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS].answer,
			PROBE_ANSWER_YES);
	CU_ASSERT_STRING_EQUAL(run.report.wwid, "t10.FAKE    fake-1");
	CU_ASSERT_EQUAL(run.report.looks, 5);
	CU_ASSERT_TRUE(run.report.look_min_us <= run.report.look_median_us);
	CU_ASSERT_TRUE(run.report.look_median_us <= run.report.look_p99_us);
	CU_ASSERT_EQUAL(run.report.look_p99_us, run.report.look_max_us);
	CU_ASSERT_EQUAL(registrations(&lun), 0);
	CU_ASSERT_EQUAL(lun.holder, -1);
	CU_ASSERT_FALSE(lun.aptpl);
	CU_ASSERT_EQUAL(lun.writes, 0);
	CU_ASSERT_FALSE(run.kept);
}

static void test_looks_are_spaced(void)
{
	struct fake_lun lun;
	struct run run = {.lun = &lun, .options = thorough};

	for (int poor = 0; poor < 2; poor++) {
		fake_lun_init(&lun);
		lun.no_full_status = poor;
		run = (struct run){.lun = &lun, .options = thorough};
		run.options.look_interval_ms = 10;
		run_probe(&run);
		CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
		CU_ASSERT_EQUAL(run.report.looks, 5);
		CU_ASSERT_EQUAL(run.waited_ms, 40);
	}
}

static void test_unit_attentions_are_taken(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	memset(lun.attention, 1, sizeof(lun.attention));
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_WRITE), PROBE_ANSWER_YES);
	CU_ASSERT_FALSE(lun.attention[0]);
}

static void test_poor_target(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.no_full_status = lun.no_abort = lun.no_aptpl = lun.sessions_die = true;
	lun.write_same_uncovered = lun.unmap_uncovered = true;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_EQUAL(ANSWER(run, FULL_STATUS), PROBE_ANSWER_NO);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.items[PROBE_ITEM_FULL_STATUS].note, "20/00"));
	CU_ASSERT_EQUAL(ANSWER(run, PREEMPT), PROBE_ANSWER_YES);
	CU_ASSERT_EQUAL(ANSWER(run, PREEMPT_AND_ABORT), PROBE_ANSWER_NO);
	CU_ASSERT_EQUAL(ANSWER(run, APTPL), PROBE_ANSWER_NO);
	CU_ASSERT_EQUAL(ANSWER(run, OUTLIVES_LOGIN), PROBE_ANSWER_NO);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_WRITE), PROBE_ANSWER_YES);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_WRITE_SAME), PROBE_ANSWER_NO);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_UNMAP), PROBE_ANSWER_NO);
	CU_ASSERT_TRUE(run.report.clean);
	CU_ASSERT_TRUE(lun.writes > 0);
	CU_ASSERT_TRUE(untouched(&lun));
	CU_ASSERT_EQUAL(registrations(&lun), 0);
}

static void test_registration_that_nobody_bears_any_more(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.sessions_orphan = true;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_EQUAL(ANSWER(run, OUTLIVES_LOGIN), PROBE_ANSWER_NO);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.items[PROBE_ITEM_OUTLIVES_LOGIN].note, "listed"));
	CU_ASSERT_EQUAL(registrations(&lun), 0);
}

static void test_aptpl_that_is_only_said(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.aptpl_silent_off = true;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(ANSWER(run, APTPL), PROBE_ANSWER_NO);
}

static void test_command_that_is_not_there_is_not_a_hole(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.no_write_same = true;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_WRITE_SAME), PROBE_ANSWER_NOT_TRIED);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_UNMAP), PROBE_ANSWER_YES);
}

static void test_takes_nothing_unless_told(void)
{
	struct fake_lun lun;
	struct run run = {.lun = &lun, .options = thorough};

	fake_lun_init(&lun);
	run.options.destructive = run.options.try_types = false;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_EQUAL(run.report.types[PR_TYPE_WRITE_EXCLUSIVE].answer, PROBE_ANSWER_NOT_TRIED);
	CU_ASSERT_EQUAL(ANSWER(run, COVERS_WRITE), PROBE_ANSWER_NOT_TRIED);
	CU_ASSERT_NOT_EQUAL(run.report.items[PROBE_ITEM_COVERS_WRITE].note[0], '\0');
	CU_ASSERT_EQUAL(lun.writes, 0);
}

static void test_sends_no_order_when_told_to_ask_only(void)
{
	struct fake_lun lun;
	struct run run = {.lun = &lun, .options = thorough};

	fake_lun_init(&lun);
	run.options.ask_only = true;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_EQUAL(lun.generation, 0);
	CU_ASSERT_EQUAL(lun.writes, 0);
	CU_ASSERT_EQUAL(ANSWER(run, FULL_STATUS), PROBE_ANSWER_YES);
	CU_ASSERT_EQUAL(ANSWER(run, PREEMPT), PROBE_ANSWER_NOT_TRIED);
	CU_ASSERT_EQUAL(run.report.looks, 5);
}

static void test_refuses_what_is_used(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.key[5] = 0x4c1a2b31020a0a01u;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_REFUSED);
	CU_ASSERT_EQUAL(run.report.key_count, 1);
	CU_ASSERT_EQUAL(run.report.keys[0], 0x4c1a2b31020a0a01u);
	CU_ASSERT_EQUAL(lun.generation, 0);
	lun.holder = 5;
	lun.type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_REFUSED);
	CU_ASSERT_TRUE(run.report.reservation.held);
	CU_ASSERT_EQUAL(run.report.reservation.key, 0x4c1a2b31020a0a01u);
	CU_ASSERT_EQUAL(lun.generation, 0);
	CU_ASSERT_EQUAL(lun.key[5], 0x4c1a2b31020a0a01u);
}

static void test_refuses_what_is_no_lun_for_it(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.tape = true;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.message, "no disk"));
	fake_lun_init(&lun);
	lun.no_pr = true;
	run = run_on(&lun);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.message, "no persistent reservations"));
}

static void test_range_is_checked_before_anything_is_written(void)
{
	struct fake_lun lun;
	struct run run = {.lun = &lun, .options = thorough};

	fake_lun_init(&lun);
	run.options.first_block = FAKE_BLOCKS - 1;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.message, "last block"));
	CU_ASSERT_TRUE(run.report.clean);
	CU_ASSERT_EQUAL(registrations(&lun), 0);
	CU_ASSERT_EQUAL(lun.writes, 0);
}

static void test_blocks_that_cannot_be_kept_are_not_written_to(void)
{
	struct fake_lun lun;
	struct run run = {.lun = &lun, .options = thorough, .cannot_save = true};

	fake_lun_init(&lun);
	lun.all_uncovered = true;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.message, "disk full"));
	CU_ASSERT_EQUAL(lun.writes, 0);
	CU_ASSERT_EQUAL(registrations(&lun), 0);
}

static void test_paths(void)
{
	struct fake_lun lun;
	struct run run = {.lun = &lun, .options = thorough};

	fake_lun_init(&lun);
	run.options.path_count = 3;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_EQUAL(ANSWER(run, ALL_PATHS), PROBE_ANSWER_YES);
	CU_ASSERT_EQUAL(registrations(&lun), 0);

	fake_lun_init(&lun);
	lun.wwid[2] = "other";
	run = (struct run){.lun = &lun, .options = thorough};
	run.options.path_count = 3;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.report.message, "another logical unit"));
	CU_ASSERT_EQUAL(lun.generation, 0);
}

/* The unit's designator stands behind many of the ports', which differ from path to path. */
static void test_long_identity(void)
{
	struct fake_lun lun;
	struct run run;

	fake_lun_init(&lun);
	lun.port_designators = 400;
	run = (struct run){.lun = &lun, .options = thorough};
	run.options.path_count = 3;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_STRING_EQUAL(run.report.wwid, "t10.FAKE    fake-1");

	fake_lun_init(&lun);
	lun.port_designators = 400;
	lun.wwid[2] = "other";
	run = (struct run){.lun = &lun, .options = thorough};
	run.options.path_count = 3;
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_REFUSED);
	CU_ASSERT_EQUAL(lun.generation, 0);
}

/* Every action of a whole run is the moment of trouble once. */

struct kind {
	const char *name;
	bool uncovered, poor, orphan;
	unsigned paths;
};

static const struct kind kinds[] = {
	{"good", false, false, false, 1},        {"uncovered", true, false, false, 1},
	{"poor", true, true, false, 1},          {"orphans", true, false, true, 1},
	{"three paths", false, false, false, 3},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void make_kind(struct fake_lun *lun, struct run *run, const struct kind *kind)
{
	fake_lun_init(lun);
	lun->all_uncovered = kind->uncovered;
	lun->sessions_die = lun->no_full_status = lun->no_abort = kind->poor;
	lun->sessions_orphan = kind->orphan;
	*run = (struct run){.lun = lun, .options = thorough};
	run->options.path_count = kind->paths;
}

static unsigned count_actions(const struct kind *kind)
{
	struct fake_lun lun;
	struct run run;

	make_kind(&lun, &run, kind);
	run_probe(&run);
	CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
	CU_ASSERT_TRUE(untouched(&lun));
	return run.actions;
}

static void check_left_as_found(const struct fake_lun *lun, const struct run *run,
				const struct kind *kind, unsigned strangers)
{
	if (registrations(lun) != strangers || lun->holder >= 0 || !untouched(lun) || run->kept ||
	    !run->report.clean || !run->ended) {
		CU_FAIL("not left as found");
		printf("\n    %s, trouble %d at action %u of %u: %u keys, holder %d, blocks %s, "
		       "kept %d, clean %d (%s) end %s: %s\n",
		       kind->name, (int)run->trouble, run->at, run->actions, registrations(lun),
		       lun->holder, untouched(lun) ? "same" : "changed", run->kept,
		       run->report.clean, run->report.clean_note, probe_end_name(run->report.end),
		       run->report.message);
	}
}

static void trouble_everywhere(enum trouble trouble, unsigned strangers)
{
	for (size_t i = 0; i < KINDS; i++) {
		unsigned actions = count_actions(&kinds[i]);

		for (unsigned at = 0; at < actions; at++) {
			struct fake_lun lun;
			struct run run;

			make_kind(&lun, &run, &kinds[i]);
			run.trouble = trouble;
			run.at = at;
			run_probe(&run);
			check_left_as_found(&lun, &run, &kinds[i], strangers);
		}
	}
}

static void test_interrupted_anywhere(void)
{
	trouble_everywhere(TROUBLE_INTERRUPT, 0);
}

static void test_answer_lost_anywhere(void)
{
	trouble_everywhere(TROUBLE_LOST_ANSWER, 0);
}

static void test_command_lost_anywhere(void)
{
	trouble_everywhere(TROUBLE_LOST_COMMAND, 0);
}

static void test_session_lost_anywhere(void)
{
	trouble_everywhere(TROUBLE_LOST_SESSION, 0);
}

static void test_stranger_comes_anywhere(void)
{
	trouble_everywhere(TROUBLE_STRANGER, 1);
}

/* What a killed probe leaves is removed by the next one, from whatever nexus that one comes. */
static void test_killed_anywhere(void)
{
	for (size_t i = 0; i < KINDS; i++) {
		unsigned actions = count_actions(&kinds[i]);

		for (unsigned at = 0; at < actions; at++) {
			struct fake_lun lun;
			struct run run;
			unsigned left;

			make_kind(&lun, &run, &kinds[i]);
			run.trouble = TROUBLE_KILL;
			run.at = at;
			run_probe(&run);
			CU_ASSERT_FALSE(run.ended);
			CU_ASSERT_TRUE(untouched(&lun) || run.kept);
			left = registrations(&lun);
			if (at % 2) { /* another machine, other nexuses */
				memcpy(lun.key + 4, lun.key, 3 * sizeof(lun.key[0]));
				memset(lun.key, 0, 3 * sizeof(lun.key[0]));
				lun.holder += lun.holder >= 0 ? 4 : 0;
			}
			left = registrations(&lun);
			run = (struct run){.lun = &lun, .options = thorough};
			run.options.run = 0x4321;
			run.options.destructive = false;
			run_probe(&run);
			if (run.report.end != PROBE_END_DONE)
				printf("\n    %s, killed at %u: %s\n", kinds[i].name, at,
				       run.report.message);
			CU_ASSERT_EQUAL(run.report.end, PROBE_END_DONE);
			CU_ASSERT_TRUE(run.report.clean);
			CU_ASSERT_EQUAL(registrations(&lun), 0);
			CU_ASSERT_EQUAL(lun.holder, -1);
			CU_ASSERT_EQUAL(run.report.leftovers_removed != 0, left != 0);
			CU_ASSERT_TRUE(left == 0 || run.waited_ms >= 3000);
		}
	}
}

/* A probe that is at work on the same logical unit is let alone. */
static void test_running_probe_is_let_alone(void)
{
	struct fake_lun lun;
	struct probe_options options = thorough;
	struct probe *probe;
	struct probe_action action;
	bool waited = false;

	fake_lun_init(&lun);
	lun.key[7] = (uint64_t)PROBE_KEY_MAGIC << PROBE_KEY_SHIFT | 0x777701;
	probe = probe_new(&options);
	for (probe_next(probe, &action); action.kind != PROBE_ACTION_END;
	     probe_next(probe, &action)) {
		if (action.kind == PROBE_ACTION_WAIT) {
			lun.generation++;
			waited = true;
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(action.kind, PROBE_ACTION_SEND);
		fake_execute(&lun, action.nexus, &action.request);
		probe_answered(probe, &action.request);
	}
	CU_ASSERT_TRUE(waited);
	CU_ASSERT_EQUAL(probe_get_report(probe)->end, PROBE_END_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(probe_get_report(probe)->message, "another probe"));
	CU_ASSERT_EQUAL(registrations(&lun), 1);
	probe_free(probe);
}

static void test_numbers_out_of_range(void)
{
	struct probe_options options = thorough;

	options.path_count = 0;
	CU_ASSERT_PTR_NULL(probe_new(&options));
	options.path_count = PATHS_MAX + 1;
	CU_ASSERT_PTR_NULL(probe_new(&options));
	options = thorough;
	options.block_count = PROBE_BLOCKS_MAX + 1;
	CU_ASSERT_PTR_NULL(probe_new(&options));
	options.block_count = 0;
	CU_ASSERT_PTR_NULL(probe_new(&options));
}

static CU_TestInfo tests[] = {
	{"everything is there", test_all_there},
	{"looks are spaced", test_looks_are_spaced},
	{"unit attentions are taken", test_unit_attentions_are_taken},
	{"a poor target", test_poor_target},
	{"a registration nobody bears", test_registration_that_nobody_bears_any_more},
	{"APTPL that is only said", test_aptpl_that_is_only_said},
	{"a missing command is no hole", test_command_that_is_not_there_is_not_a_hole},
	{"takes nothing unless told", test_takes_nothing_unless_told},
	{"only asks when told", test_sends_no_order_when_told_to_ask_only},
	{"refuses what is used", test_refuses_what_is_used},
	{"an identity behind those of the ports", test_long_identity},
	{"refuses no disk, no reservations", test_refuses_what_is_no_lun_for_it},
	{"range is checked", test_range_is_checked_before_anything_is_written},
	{"blocks that cannot be kept", test_blocks_that_cannot_be_kept_are_not_written_to},
	{"paths", test_paths},
	{"interrupted anywhere", test_interrupted_anywhere},
	{"answer lost anywhere", test_answer_lost_anywhere},
	{"command lost anywhere", test_command_lost_anywhere},
	{"session lost anywhere", test_session_lost_anywhere},
	{"a stranger comes anywhere", test_stranger_comes_anywhere},
	{"killed anywhere", test_killed_anywhere},
	{"a running probe is let alone", test_running_probe_is_let_alone},
	{"numbers out of range", test_numbers_out_of_range},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("probe", tests);
}
