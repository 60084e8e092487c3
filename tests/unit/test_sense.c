/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From status and sense data to an outcome, a line for people and the verdict about sending again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/scsi.h"
#include "tests/unit/unit.h"

static struct scsi_result check_condition(uint8_t key, uint8_t asc, uint8_t ascq)
{
	uint8_t sense[18] = {0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq};
	struct scsi_result result = {0};

	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, sense, sizeof(sense));
	return result;
}

static struct scsi_result bare_status(uint8_t status)
{
	struct scsi_result result = {0};

	scsi_result_from_status(&result, status, NULL, 0);
	return result;
}

static void test_outcomes_of_statuses(void)
{
	static const struct {
		uint8_t status;
		enum scsi_outcome outcome;
	} cases[] = {
		{0x00, SCSI_OUTCOME_OK},       {0x02, SCSI_OUTCOME_UNKNOWN},
		{0x04, SCSI_OUTCOME_OK},       {0x08, SCSI_OUTCOME_FAILED},
		{0x18, SCSI_OUTCOME_CONFLICT}, {0x28, SCSI_OUTCOME_FAILED},
		{0x30, SCSI_OUTCOME_FAILED},   {0x40, SCSI_OUTCOME_UNKNOWN},
		{0xff, SCSI_OUTCOME_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scsi_result result = bare_status(cases[i].status);

		CU_ASSERT_EQUAL(result.outcome, cases[i].outcome);
		CU_ASSERT_TRUE(result.has_status);
		CU_ASSERT_EQUAL(result.status, cases[i].status);
	}
}

static void test_outcomes_of_sense_keys(void)
{
	static const enum scsi_outcome outcomes[16] = {
		[SCSI_SENSE_NO_SENSE] = SCSI_OUTCOME_UNKNOWN,
		[SCSI_SENSE_RECOVERED_ERROR] = SCSI_OUTCOME_OK,
		[SCSI_SENSE_NOT_READY] = SCSI_OUTCOME_FAILED,
		[SCSI_SENSE_MEDIUM_ERROR] = SCSI_OUTCOME_UNKNOWN,
		[SCSI_SENSE_HARDWARE_ERROR] = SCSI_OUTCOME_UNKNOWN,
		[SCSI_SENSE_ILLEGAL_REQUEST] = SCSI_OUTCOME_FAILED,
		[SCSI_SENSE_UNIT_ATTENTION] = SCSI_OUTCOME_FAILED,
		[SCSI_SENSE_DATA_PROTECT] = SCSI_OUTCOME_FAILED,
		[0x8] = SCSI_OUTCOME_FAILED,
		[0x9] = SCSI_OUTCOME_FAILED,
		[0xa] = SCSI_OUTCOME_FAILED,
		[SCSI_SENSE_ABORTED_COMMAND] = SCSI_OUTCOME_UNKNOWN,
		[0xc] = SCSI_OUTCOME_FAILED,
		[0xd] = SCSI_OUTCOME_FAILED,
		[0xe] = SCSI_OUTCOME_FAILED,
		[0xf] = SCSI_OUTCOME_OK,
	};

	for (uint8_t key = 0; key < 16; key++) {
		struct scsi_result result = check_condition(key, 0x44, 0);

		CU_ASSERT_EQUAL(result.outcome, outcomes[key]);
		CU_ASSERT_EQUAL(result.sense_key, key);
	}
}

/* Measured: LIO (6.1) registers the key, cannot write its APTPL file, and answers NOT
 * READY, 08/00. */
static void test_communication_failure_may_have_taken_effect(void)
{
	struct scsi_result result = check_condition(SCSI_SENSE_NOT_READY, 0x08, 0x00);
	uint32_t wait_ms;

	CU_ASSERT_EQUAL(result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_FINAL);
	result = check_condition(SCSI_SENSE_NOT_READY, 0x04, 0x0a);
	CU_ASSERT_EQUAL(result.outcome, SCSI_OUTCOME_FAILED);
}

static void test_fixed_format(void)
{
	uint8_t sense[18] = {0xf0, 0, 0x65, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 0x05};
	struct scsi_result result = {.error = 3, .transferred = 4, .duration_us = 5};

	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, sense, sizeof(sense));
	CU_ASSERT_EQUAL(result.sense_key, 5); /* without ILI, EOM, FILEMARK beside it */
	CU_ASSERT_EQUAL(result.asc, 0x2a);
	CU_ASSERT_EQUAL(result.ascq, 0x05);
	CU_ASSERT_EQUAL(result.sense_length, 18);
	CU_ASSERT_EQUAL(memcmp(result.sense, sense, 18), 0);
	CU_ASSERT_EQUAL(result.error, 3);
	CU_ASSERT_EQUAL(result.transferred, 4);
	CU_ASSERT_EQUAL(result.duration_us, 5);
	sense[7] = 4; /* says that it ends before its additional sense code */
	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, sense, sizeof(sense));
	CU_ASSERT_EQUAL(result.sense_key, 5);
	CU_ASSERT_EQUAL(result.asc, 0);
	CU_ASSERT_EQUAL(result.ascq, 0);
}

static void test_descriptor_format(void)
{
	static const uint8_t sense[8] = {0x72, 0x06, 0x2a, 0x03};
	struct scsi_result result = {0};

	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, sense, sizeof(sense));
	CU_ASSERT_EQUAL(result.sense_key, SCSI_SENSE_UNIT_ATTENTION);
	CU_ASSERT_EQUAL(result.asc, 0x2a);
	CU_ASSERT_EQUAL(result.ascq, 0x03);
}

static void test_deferred_error_is_not_this_commands(void)
{
	static const uint8_t fixed[18] = {0x71, 0, 0x03, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x0c, 0};
	static const uint8_t descriptor[8] = {0x73, 0x03, 0x0c, 0};
	struct scsi_result result = {0};
	char text[96];
	uint32_t wait_ms;

	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, fixed, sizeof(fixed));
	CU_ASSERT_EQUAL(result.outcome, SCSI_OUTCOME_FAILED);
	CU_ASSERT_EQUAL(result.sense_key, 0);
	CU_ASSERT_EQUAL(result.asc, 0);
	CU_ASSERT_EQUAL(result.sense_length, 18);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_AT_ONCE);
	scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, descriptor, 8);
	CU_ASSERT_EQUAL(result.sense_key, 0);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "CHECK CONDITION: deferred error of an earlier command");
}

static void test_malformed_sense(void)
{
	static const uint8_t kinds[] = {0x00, 0x70, 0x71, 0x72, 0x73, 0x7f, 0xff};
	struct scsi_result result = {0};

	for (size_t k = 0; k < sizeof(kinds); k++) {
		for (size_t length = 0; length <= 252; length++) {
			uint8_t *sense = malloc(length ? length : 1);

			memset(sense, 0xff, length);
			if (length > 0)
				sense[0] = kinds[k];
			scsi_result_from_status(&result, SCSI_STATUS_CHECK_CONDITION, sense,
						length);
			CU_ASSERT_EQUAL(result.sense_length, length < 64 ? length : 64);
			free(sense);
		}
	}
	CU_ASSERT_EQUAL(result.sense_key, 0); /* FFh is no format */
	CU_ASSERT_EQUAL(result.outcome, SCSI_OUTCOME_UNKNOWN);
}

static void test_transport_results(void)
{
	struct scsi_result result = check_condition(5, 0x20, 0);
	char text[96];

	result.duration_us = 250400;
	scsi_result_from_transport(&result, -ETIMEDOUT);
	CU_ASSERT_EQUAL(result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_FALSE(result.has_status);
	CU_ASSERT_EQUAL(result.sense_length, 0);
	CU_ASSERT_EQUAL(result.sense_key, 0);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "no answer in 250 ms");
	scsi_result_from_transport(&result, -ENOTCONN);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "the connection to the device is lost");
	scsi_result_from_transport(&result, -EIO);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "transport error: Input/output error");
	scsi_result_from_transport(&result, -99999);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "transport error -99999");
}

static void test_texts(void)
{
	struct scsi_result result = check_condition(SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0);
	char text[96], small[6];

	CU_ASSERT_STRING_EQUAL(
		scsi_result_text(&result, text, sizeof(text)),
		"CHECK CONDITION: ILLEGAL REQUEST, 20/00 invalid command operation code");
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, small, sizeof(small)), "CHECK");
	result = check_condition(SCSI_SENSE_HARDWARE_ERROR, 0x80, 0xa1);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "CHECK CONDITION: HARDWARE ERROR, 80/A1");
	result = bare_status(SCSI_STATUS_RESERVATION_CONFLICT);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)),
			       "RESERVATION CONFLICT");
	result = bare_status(0x3c);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)), "status 3Ch");
	result = bare_status(SCSI_STATUS_CHECK_CONDITION);
	CU_ASSERT_STRING_EQUAL(scsi_result_text(&result, text, sizeof(text)), "CHECK CONDITION");
	CU_ASSERT_STRING_EQUAL(scsi_outcome_name(SCSI_OUTCOME_UNKNOWN), "UNKNOWN");
}

static void test_retry_verdicts(void)
{
	uint32_t wait_ms = 0;
	struct scsi_result result = check_condition(SCSI_SENSE_UNIT_ATTENTION, 0x2a, 0x03);

	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_AT_ONCE);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, SCSI_RETRY_MAX - 1, &wait_ms),
			SCSI_RETRY_AT_ONCE);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, SCSI_RETRY_MAX, &wait_ms), SCSI_RETRY_FINAL);
	CU_ASSERT_EQUAL(wait_ms, 0);
	result = check_condition(SCSI_SENSE_NOT_READY, 0x04, 0x0a);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_LATER);
	CU_ASSERT_EQUAL(wait_ms, 10);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 2, &wait_ms), SCSI_RETRY_LATER);
	CU_ASSERT_EQUAL(wait_ms, 40);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 9, &wait_ms), SCSI_RETRY_LATER);
	CU_ASSERT_EQUAL(wait_ms, 500);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, UINT32_MAX, &wait_ms), SCSI_RETRY_FINAL);
	result = check_condition(SCSI_SENSE_NOT_READY, 0x04, 0x0b);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_OTHER_PATH);
	result = check_condition(SCSI_SENSE_NOT_READY, 0x04, 0x0c);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_OTHER_PATH);
	result = check_condition(SCSI_SENSE_NOT_READY, 0x3a, 0x00);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_FINAL);
	result = check_condition(SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0x00);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_FINAL);
	result = bare_status(SCSI_STATUS_BUSY);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_LATER);
	result = bare_status(SCSI_STATUS_TASK_SET_FULL);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_LATER);
	result = bare_status(SCSI_STATUS_RESERVATION_CONFLICT);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_FINAL);
	result = bare_status(SCSI_STATUS_TASK_ABORTED);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_FINAL);
	scsi_result_from_transport(&result, -ETIMEDOUT);
	CU_ASSERT_EQUAL(scsi_retry_judge(&result, 0, &wait_ms), SCSI_RETRY_FINAL);
}

static CU_TestInfo tests[] = {
	{"outcomes of statuses", test_outcomes_of_statuses},
	{"outcomes of sense keys", test_outcomes_of_sense_keys},
	{"communication failure", test_communication_failure_may_have_taken_effect},
	{"fixed format", test_fixed_format},
	{"descriptor format", test_descriptor_format},
	{"deferred errors", test_deferred_error_is_not_this_commands},
	{"malformed sense", test_malformed_sense},
	{"transport results", test_transport_results},
	{"texts", test_texts},
	{"retry verdicts", test_retry_verdicts},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("sense", tests);
}
