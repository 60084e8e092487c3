/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rig's stamped records and the checker: every kind of loss and of intrusion must be seen,
 * since this is what the campaign of failovers believes.
 */
#include <string.h>

#include "tests/unit/unit.h"
#include "tools/rig/record.h"
#include "tools/rig/verify.h"

#define RECORDS 64

static char file[RECORDS * RIG_RECORD_SIZE], records_log[RECORDS * RIG_ACKNOWLEDGED_SIZE];
static size_t file_length, log_length;
static struct rig_verdict verdict;

static void put(uint64_t place, uint64_t sequence, uint32_t epoch, const char *node)
{
	struct rig_record record = {
		.sequence = sequence, .epoch = epoch, .mono_ms = 5, .wall_ms = 6};

	strcpy(record.node, node);
	rig_record_encode(&record, file + (place - 1) * RIG_RECORD_SIZE);
	if (place * RIG_RECORD_SIZE > file_length)
		file_length = place * RIG_RECORD_SIZE;
}

static void acknowledge(uint64_t place, uint64_t mono_ms)
{
	rig_acknowledged_encode(file + (place - 1) * RIG_RECORD_SIZE, mono_ms,
				records_log + log_length);
	log_length += RIG_ACKNOWLEDGED_SIZE;
}

/* 1..10 by jerry, 11..20 by tom, all acknowledged but for the last; jerry's last at 109, tom's
 * first at 510. */
static void story(void)
{
	file_length = log_length = 0;
	for (unsigned i = 1; i <= 20; i++) {
		put(i, i, i <= 10 ? 1 : 2, i <= 10 ? "jerry" : "tom");
		if (i < 20)
			acknowledge(i, (i <= 10 ? 99 : 499) + i);
	}
}

static void verify(void)
{
	rig_verify_texts(&verdict, records_log, log_length, file, file_length);
	verdict.file_system_clean = true;
}

static void test_record(void)
{
	struct rig_record record = {.sequence = 42, .epoch = 3, .mono_ms = 77, .wall_ms = 88}, back;
	char line[RIG_RECORD_SIZE];

	strcpy(record.node, "a-name-of-16-chr");
	rig_record_encode(&record, line);
	CU_ASSERT_EQUAL(line[RIG_RECORD_SIZE - 1], '\n');
	CU_ASSERT_TRUE(rig_record_decode(&back, line));
	CU_ASSERT_EQUAL(back.sequence, 42);
	CU_ASSERT_EQUAL(back.epoch, 3);
	CU_ASSERT_EQUAL(back.mono_ms, 77);
	CU_ASSERT_EQUAL(back.wall_ms, 88);
	CU_ASSERT_STRING_EQUAL(back.node, "a-name-of-16-chr");
	for (size_t i = 0; i < sizeof(line); i++) {
		line[i] ^= 1;
		CU_ASSERT_FALSE(rig_record_decode(&back, line));
		line[i] ^= 1;
	}
	memset(line, 0, sizeof(line));
	CU_ASSERT_FALSE(rig_record_decode(&back, line));
}

static void test_good(void)
{
	story();
	verify();
	CU_ASSERT_TRUE(rig_verdict_good(&verdict));
	CU_ASSERT_EQUAL(verdict.acknowledged, 19);
	CU_ASSERT_EQUAL(verdict.records, 20);
	CU_ASSERT_EQUAL(verdict.change_count, 1);
	CU_ASSERT_STRING_EQUAL(verdict.changes[0].from, "jerry");
	CU_ASSERT_STRING_EQUAL(verdict.changes[0].to, "tom");
	CU_ASSERT_EQUAL(verdict.changes[0].first_ms - verdict.changes[0].last_ms, 401);
	CU_ASSERT_EQUAL(verdict.longest_ms, 401);
	verdict.file_system_clean = false;
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
}

static void test_lost(void)
{
	story();
	file_length -= 5 * RIG_RECORD_SIZE;
	verify();
	CU_ASSERT_EQUAL(verdict.lost, 4);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	/* Another record of the right number is not the one that was acknowledged. */
	story();
	put(15, 15, 3, "tom");
	verify();
	CU_ASSERT_EQUAL(verdict.lost, 1);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	story();
	log_length = 0;
	verify();
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
}

static void test_damaged(void)
{
	story();
	file[12 * RIG_RECORD_SIZE + 40] ^= 1;
	verify();
	CU_ASSERT_EQUAL(verdict.damaged, 1);
	CU_ASSERT_EQUAL(verdict.lost, 1);
	CU_ASSERT_EQUAL(verdict.gaps, 0);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	/* The last record, torn by a power cut, was not acknowledged. */
	story();
	memset(file + 19 * RIG_RECORD_SIZE, 0, RIG_RECORD_SIZE);
	verify();
	CU_ASSERT_TRUE(rig_verdict_good(&verdict));
}

static void test_deposed(void)
{
	/* The deposed one overwrote what its successor had written. */
	story();
	put(13, 13, 1, "jerry");
	verify();
	CU_ASSERT_EQUAL(verdict.deposed, 1);
	CU_ASSERT_EQUAL(verdict.lost, 1);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	/* Or wrote behind it. */
	story();
	put(21, 21, 1, "jerry");
	verify();
	CU_ASSERT_EQUAL(verdict.deposed, 1);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	/* It noted late what it had written in time. */
	story();
	log_length = 0;
	for (unsigned i = 1; i <= 20; i++)
		if (i != 10)
			acknowledge(i, i);
	acknowledge(10, 500);
	verify();
	CU_ASSERT_TRUE(rig_verdict_good(&verdict));
}

static void test_order(void)
{
	story();
	for (unsigned i = 15; i <= 20; i++)
		put(i, i + 1, 2, "tom");
	verify();
	CU_ASSERT_EQUAL(verdict.gaps, 1);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	story();
	for (unsigned i = 15; i <= 20; i++)
		put(i, i - 1, 2, "tom");
	verify();
	CU_ASSERT_EQUAL(verdict.repeated, 1);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
	story();
	records_log[3] = 'x';
	verify();
	CU_ASSERT_EQUAL(verdict.bad_log, 1);
	CU_ASSERT_FALSE(rig_verdict_good(&verdict));
}

static CU_TestInfo tests[] = {
	{"a record, and any bit of it changed", test_record},
	{"a good story", test_good},
	{"what was lost is missed", test_lost},
	{"what is damaged is seen", test_damaged},
	{"a deposed writer is seen", test_deposed},
	{"gaps and repetitions are seen", test_order},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("rig records", tests);
}
