/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * REPORT LUNS: both ways in which a target writes a number, and lists that are cut off or lie.
 */
#include <errno.h>

#include "scsi/report_luns.h"
#include "tests/unit/unit.h"

static void test_both_addressings(void)
{
	static const uint8_t data[8 + 5 * 8] = {
		0,    0,    0,    40,   0,    0,    0, 0, /* five */
		0x00, 0x00, 0,    0,    0,    0,    0, 0, 0x00, 0xff, 0,    0,    0, 0,
		0,    0,    0x41, 0x01, 0,    0,    0, 0, 0,    0,    0x7f, 0xff, 0, 0,
		0,    0,    0,    0,    0xc1, 0x01, 0, 0, 0,    0,    0,    0, /* a well known
										  logical unit */
	};
	uint16_t numbers[8];
	struct scsi_report_luns luns = {.luns = numbers};

	CU_ASSERT_EQUAL(scsi_report_luns_decode(&luns, 8, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(luns.count, 4);
	CU_ASSERT_EQUAL(luns.available, 5);
	CU_ASSERT_EQUAL(luns.other, 1);
	CU_ASSERT_EQUAL(numbers[0], 0);
	CU_ASSERT_EQUAL(numbers[1], 255);
	CU_ASSERT_EQUAL(numbers[2], 257);
	CU_ASSERT_EQUAL(numbers[3], 16383);
}

static void test_cut_off(void)
{
	static const uint8_t data[] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0};
	uint16_t numbers[1];
	struct scsi_report_luns luns = {.luns = numbers};

	CU_ASSERT_EQUAL(scsi_report_luns_decode(&luns, 1, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(luns.count, 1);
	CU_ASSERT_EQUAL(luns.available, 32);
	CU_ASSERT_EQUAL(numbers[0], 1);
	CU_ASSERT_EQUAL(scsi_report_luns_decode(&luns, 1, data, 7), -EBADMSG);
	CU_ASSERT_EQUAL(scsi_report_luns_decode(&luns, 0, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(luns.count, 0);
}

static void test_command(void)
{
	struct scsi_request request = {0};
	uint8_t buffer[256];

	CU_ASSERT_EQUAL(scsi_report_luns_encode(&request, buffer, 8), -EINVAL);
	CU_ASSERT_EQUAL(scsi_report_luns_encode(&request, buffer, sizeof(buffer)), 0);
	CU_ASSERT_EQUAL(request.cdb[0], 0xa0);
	CU_ASSERT_EQUAL(request.cdb_length, 12);
	CU_ASSERT_EQUAL(request.cdb[8], 1);
	CU_ASSERT_EQUAL(request.cdb[9], 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_IN);
	CU_ASSERT_EQUAL(request.data_length, sizeof(buffer));
}

static CU_TestInfo tests[] = {
	{"both addressings", test_both_addressings},
	{"cut off", test_cut_off},
	{"command", test_command},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("report luns", tests);
}
