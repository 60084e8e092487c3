/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When a LUN is asked for its size, and what follows from its answers: in made-up time.
 */
#include <string.h>

#include "cluster/core/size_policy.h"
#include "tests/unit/unit.h"

#define MIB (1024ull * 1024)

static struct size_policy policy;
static struct size_seen seen;

static void begin(uint64_t lun_mib, uint64_t disk_mib, uint64_t map_mib)
{
	memset(&policy, 0, sizeof(policy));
	seen = (struct size_seen){lun_mib * MIB, disk_mib * MIB, disk_mib * MIB, map_mib * MIB};
	CU_ASSERT_TRUE(size_policy_is_due(&policy, 1000, 0));
}

static void kernel_has(uint64_t least_mib, uint64_t most_mib, uint64_t map_mib)
{
	seen.disk_least = least_mib * MIB;
	seen.disk_most = most_mib * MIB;
	seen.map = map_mib * MIB;
}

static enum size_verdict answer(uint64_t now_ms)
{
	size_policy_asked(&policy);
	CU_ASSERT_FALSE(size_policy_is_due(&policy, now_ms + SIZE_ASK_MOST_MS, 0));
	return size_policy_answered(&policy, &seen, now_ms);
}

static void test_rarely(void)
{
	memset(&policy, 0, sizeof(policy));
	seen = (struct size_seen){96 * MIB, 96 * MIB, 96 * MIB, 96 * MIB};
	size_policy_news(&policy, 500); /* before it has begun: the stagger counts */
	CU_ASSERT_FALSE(size_policy_is_due(&policy, 1000, 700));
	CU_ASSERT_FALSE(size_policy_is_due(&policy, 1699, 0));
	CU_ASSERT_TRUE(size_policy_is_due(&policy, 1700, 0));
	CU_ASSERT_EQUAL(answer(1710), SIZE_VERDICT_NONE);
	CU_ASSERT_FALSE(size_policy_is_due(&policy, 1709 + SIZE_ASK_MS, 0));
	CU_ASSERT_TRUE(size_policy_is_due(&policy, 1710 + SIZE_ASK_MS, 0));
}

static void test_no_answer(void)
{
	uint64_t now = 1000, waits[8];

	begin(96, 96, 96);
	for (size_t i = 0; i < 8; i++) {
		size_policy_asked(&policy);
		size_policy_unanswered(&policy, now);
		waits[i] = policy.ask_ms - now;
		now = policy.ask_ms;
	}
	CU_ASSERT_EQUAL(waits[0], SIZE_ASK_MS);
	CU_ASSERT_EQUAL(waits[1], 2 * SIZE_ASK_MS);
	CU_ASSERT_EQUAL(waits[2], 4 * SIZE_ASK_MS);
	CU_ASSERT_EQUAL(waits[7], SIZE_ASK_MOST_MS);
	CU_ASSERT_EQUAL(answer(now), SIZE_VERDICT_NONE);
	CU_ASSERT_EQUAL(policy.ask_ms, now + SIZE_ASK_MS);
}

static void test_grown(void)
{
	begin(192, 96, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);
	CU_ASSERT_EQUAL(policy.from, 96 * MIB);
	CU_ASSERT_EQUAL(policy.to, 192 * MIB);
	CU_ASSERT_FALSE(size_policy_is_due(&policy, 1000 + SIZE_ASK_MOST_MS, 0));
	kernel_has(192, 192, 192);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 3000), SIZE_VERDICT_GREW);
	CU_ASSERT_TRUE(size_policy_is_due(&policy, 3000 + SIZE_ASK_MS, 0));
	CU_ASSERT_EQUAL(answer(33000), SIZE_VERDICT_NONE);
	seen.lun = 200 * MIB; /* and again, soon after */
	CU_ASSERT_EQUAL(answer(34000), SIZE_VERDICT_RESCAN);
	CU_ASSERT_EQUAL(policy.from, 192 * MIB);
}

/* One disk was rescanned by hand, or all of them but not the map; or there is no map. */
static void test_in_part(void)
{
	begin(192, 96, 0);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);
	kernel_has(192, 192, 0);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 2000), SIZE_VERDICT_GREW);

	begin(192, 96, 96);
	kernel_has(96, 192, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);

	begin(192, 192, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);
	CU_ASSERT_EQUAL(policy.from, 96 * MIB);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 2000), SIZE_VERDICT_STUCK);
}

static void test_stuck(void)
{
	begin(192, 96, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);
	kernel_has(96, 192, 96);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 2000), SIZE_VERDICT_STUCK);
	CU_ASSERT_EQUAL(answer(32000), SIZE_VERDICT_NONE);
	CU_ASSERT_EQUAL(answer(2000 + SIZE_AGAIN_MS), SIZE_VERDICT_RESCAN);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 303000), SIZE_VERDICT_NONE);
	CU_ASSERT_EQUAL(answer(333000), SIZE_VERDICT_NONE);
	seen.lun = 200 * MIB; /* another size is tried, and told, anew */
	CU_ASSERT_EQUAL(answer(334000), SIZE_VERDICT_RESCAN);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 335000), SIZE_VERDICT_STUCK);
	kernel_has(200, 200, 200); /* somebody has seen to it */
	CU_ASSERT_EQUAL(answer(365000), SIZE_VERDICT_SETTLED);
	CU_ASSERT_EQUAL(answer(395000), SIZE_VERDICT_NONE);
}

static void test_news(void)
{
	begin(192, 96, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);
	kernel_has(96, 192, 96);
	size_policy_rescanned(&policy, &seen, 2000);
	size_policy_news(&policy, 3000);
	CU_ASSERT_TRUE(size_policy_is_due(&policy, 3000, 0));
	CU_ASSERT_EQUAL(answer(3000), SIZE_VERDICT_NONE); /* too soon after the last rescan */
	size_policy_news(&policy, 2000 + SIZE_NEWS_MS);
	CU_ASSERT_EQUAL(answer(2000 + SIZE_NEWS_MS), SIZE_VERDICT_RESCAN);
}

static void test_smaller(void)
{
	begin(64, 96, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_NONE);
	CU_ASSERT_EQUAL(policy.ask_ms, 1000 + SIZE_CONFIRM_MS);
	CU_ASSERT_EQUAL(answer(2000), SIZE_VERDICT_SMALLER);
	CU_ASSERT_EQUAL(policy.ask_ms, 2000 + SIZE_ASK_MS);
	CU_ASSERT_EQUAL(answer(32000), SIZE_VERDICT_NONE);
	kernel_has(64, 64, 96); /* the disks were rescanned by hand, the map is what is in use */
	CU_ASSERT_EQUAL(answer(62000), SIZE_VERDICT_NONE);
	seen.lun = 96 * MIB; /* it has its size again: whatever believes less is rescanned */
	CU_ASSERT_EQUAL(answer(92000), SIZE_VERDICT_RESCAN);
	kernel_has(96, 96, 96);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 93000), SIZE_VERDICT_GREW);
	seen.lun = 64 * MIB; /* and smaller once more */
	CU_ASSERT_EQUAL(answer(123000), SIZE_VERDICT_NONE);
	CU_ASSERT_EQUAL(answer(124000), SIZE_VERDICT_SMALLER);
}

/* An answer that the kernel's own rescan overtook. */
static void test_overtaken(void)
{
	begin(96, 192, 192);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_NONE);
	seen.lun = 192 * MIB;
	CU_ASSERT_EQUAL(answer(2000), SIZE_VERDICT_NONE);
	seen.lun = 96 * MIB;
	CU_ASSERT_EQUAL(answer(32000), SIZE_VERDICT_NONE);
}

static void test_unknown(void)
{
	begin(0, 96, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_NONE);
	begin(192, 0, 96);
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_NONE);
	begin(192, 96, 96); /* its paths are lost during the rescan: nothing is known, or said */
	CU_ASSERT_EQUAL(answer(1000), SIZE_VERDICT_RESCAN);
	kernel_has(0, 0, 96);
	CU_ASSERT_EQUAL(size_policy_rescanned(&policy, &seen, 2000), SIZE_VERDICT_NONE);
}

static CU_TestInfo tests[] = {
	{"rarely", test_rarely},   {"no answer", test_no_answer}, {"grown", test_grown},
	{"in part", test_in_part}, {"stuck", test_stuck},         {"news", test_news},
	{"smaller", test_smaller}, {"overtaken", test_overtaken}, {"unknown", test_unknown},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("size policy", tests);
}
