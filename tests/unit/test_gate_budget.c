/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How long a data command is sent again, by what it was answered.
 */
#include "cluster/gate/budget.h"
#include "tests/unit/unit.h"

#define GIVE_UP_MS 20000u

static struct scsi_result checked(uint8_t key, uint8_t asc, uint8_t ascq)
{
	const uint8_t sense[18] = {0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq};
	struct scsi_result result = {0};

	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, sense, sizeof(sense));
	return result;
}

static struct scsi_result bare(uint8_t status)
{
	struct scsi_result result = {0};

	scsi_result_from_status(&result, status, NULL, 0);
	return result;
}

/* The same answer until the time is over; returns whether it is to be sent again to the end. */
static bool lasts(struct gate_budget *budget, struct scsi_result result, uint64_t *now_ms,
		  uint64_t for_ms)
{
	uint64_t until = *now_ms + for_ms;
	uint32_t wait_ms = 0;

	while (*now_ms < until) {
		if (!gate_budget_again(budget, &result, *now_ms, GIVE_UP_MS, &wait_ms))
			return false;
		*now_ms += wait_ms ? wait_ms : 1;
	}
	return true;
}

static void test_each_kind_has_its_own(void)
{
	struct gate_budget budget = {0};
	uint64_t now = 1000;

	/* An ALUA transition, then the attention that tells of its end. */
	CU_ASSERT_TRUE(lasts(&budget, checked(SCSI_SENSE_NOT_READY, 0x04, 0x0a), &now, 3100));
	CU_ASSERT_TRUE(lasts(&budget, checked(SCSI_SENSE_UNIT_ATTENTION, 0x2a, 0x06), &now, 1));
	/* Busy for long, and once aborted. */
	CU_ASSERT_TRUE(lasts(&budget, bare(SCSI_STATUS_BUSY), &now, 6000));
	CU_ASSERT_TRUE(lasts(&budget, checked(SCSI_SENSE_ABORTED_COMMAND, 0x4b, 0x00), &now, 1));
	CU_ASSERT_TRUE(lasts(&budget, bare(SCSI_STATUS_TASK_ABORTED), &now, 1000));
}

static void test_time_alone(void)
{
	const struct scsi_result transient[] = {checked(SCSI_SENSE_NOT_READY, 0x04, 0x0a),
						checked(SCSI_SENSE_NOT_READY, 0x04, 0x0b),
						checked(SCSI_SENSE_UNIT_ATTENTION, 0x29, 0x00),
						checked(SCSI_SENSE_ABORTED_COMMAND, 0x00, 0x00),
						bare(SCSI_STATUS_TASK_SET_FULL)};

	for (size_t i = 0; i < sizeof(transient) / sizeof(transient[0]); i++) {
		struct gate_budget budget = {0};
		uint64_t now = 5;

		CU_ASSERT_TRUE(lasts(&budget, transient[i], &now, GIVE_UP_MS - 1000));
		CU_ASSERT_FALSE(lasts(&budget, transient[i], &now, 4000));
	}
}

static void test_final(void)
{
	struct gate_budget budget = {0};
	uint32_t wait_ms;
	const struct scsi_result final[] = {checked(SCSI_SENSE_MEDIUM_ERROR, 0x11, 0x00),
					    checked(SCSI_SENSE_HARDWARE_ERROR, 0x44, 0x00),
					    checked(SCSI_SENSE_ILLEGAL_REQUEST, 0x21, 0x00),
					    checked(SCSI_SENSE_DATA_PROTECT, 0x27, 0x00)};

	for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
		CU_ASSERT_FALSE(gate_budget_again(&budget, &final[i], 1, GIVE_UP_MS, &wait_ms));
}

/* A device that gives nothing but attentions is not asked at full speed for 20 s. */
static void test_rate(void)
{
	struct gate_budget budget = {0};
	const struct scsi_result result = checked(SCSI_SENSE_UNIT_ATTENTION, 0x29, 0x00);
	uint32_t wait_ms, sent = 0;
	uint64_t now = 0;

	while (gate_budget_again(&budget, &result, now, GIVE_UP_MS, &wait_ms)) {
		now += wait_ms;
		sent++;
	}
	CU_ASSERT_TRUE(sent < 80);
}

static CU_TestInfo tests[] = {
	{"each kind has its own", test_each_kind_has_its_own},
	{"what passes by itself is bounded by time alone", test_time_alone},
	{"final answers", test_final},
	{"rate", test_rate},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("gate budget", tests);
}
