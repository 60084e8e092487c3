/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Identity, capacity and the probe's block commands on the wire, against bytes laid out by hand
 * from SPC-5 and SBC-4.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/identity.h"
#include "tests/unit/unit.h"

#define CDB_IS(request, ...)                                                                       \
	do {                                                                                       \
		static const uint8_t expected_[] = {__VA_ARGS__};                                  \
		CU_ASSERT_EQUAL((request).cdb_length, sizeof(expected_));                          \
		CU_ASSERT_EQUAL(memcmp((request).cdb, expected_, sizeof(expected_)), 0);           \
	} while (0)

static void test_encoders(void)
{
	struct scsi_request request = {0};
	uint8_t buffer[512];

	scsi_inquiry_encode(&request, buffer, 0x124);
	CDB_IS(request, 0x12, 0, 0, 0x01, 0x24, 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_IN);
	CU_ASSERT_EQUAL(request.data_length, 0x124);
	scsi_inquiry_page_encode(&request, 0x83, buffer, 512);
	CDB_IS(request, 0x12, 1, 0x83, 0x02, 0, 0);
	scsi_test_unit_ready_encode(&request);
	CDB_IS(request, 0, 0, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_NONE);
	CU_ASSERT_EQUAL(request.data_length, 0);
	scsi_read_capacity10_encode(&request, buffer);
	CDB_IS(request, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(request.data_length, 8);
	scsi_read_capacity16_encode(&request, buffer);
	CDB_IS(request, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0);
	scsi_read16_encode(&request, 0x0102030405060708, 0x1a, buffer, 512);
	CDB_IS(request, 0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0x1a, 0, 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_IN);
	scsi_write16_encode(&request, 5, 1, true, buffer, 512);
	CDB_IS(request, 0x8a, 0x08, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_OUT);
	scsi_write16_encode(&request, 5, 1, false, buffer, 512);
	CU_ASSERT_EQUAL(request.cdb[1], 0);
	scsi_write_same16_encode(&request, 5, 9, true, buffer, 512);
	CDB_IS(request, 0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0);
	CU_ASSERT_EQUAL(request.data_length, 512);
	scsi_synchronize_cache16_encode(&request, 0, 0);
	CDB_IS(request, 0x91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_NONE);
}

static void test_unmap(void)
{
	static const uint8_t list[24] = {0, 22, 0, 16, 0, 0, 0, 0, 0, 0,
					 0, 0,  0, 0,  0, 7, 0, 0, 0, 3};
	struct scsi_request request = {0};
	uint8_t buffer[24];

	scsi_unmap_encode(&request, 7, 3, buffer);
	CDB_IS(request, 0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	CU_ASSERT_EQUAL(memcmp(buffer, list, sizeof(list)), 0);
	CU_ASSERT_EQUAL(request.data_length, 24);
}

static void test_inquiry(void)
{
	uint8_t data[40] = {0x00, 0, 0x06, 0x02, 31, 0x30};
	struct scsi_inquiry inquiry;

	memcpy(data + 8, "IET     VIRTUAL\tDISK    0001XXXX", 32);
	CU_ASSERT_EQUAL(scsi_inquiry_decode(&inquiry, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(inquiry.device_type, 0);
	CU_ASSERT_EQUAL(inquiry.version, 6);
	CU_ASSERT_EQUAL(inquiry.tpgs, 3);
	CU_ASSERT_STRING_EQUAL(inquiry.vendor, "IET");
	CU_ASSERT_STRING_EQUAL(inquiry.product, "VIRTUAL.DISK");
	CU_ASSERT_STRING_EQUAL(inquiry.revision, "0001");
	data[0] = 0x7f;
	data[4] = 11; /* ends behind the vendor */
	CU_ASSERT_EQUAL(scsi_inquiry_decode(&inquiry, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(inquiry.peripheral_qualifier, 3);
	CU_ASSERT_EQUAL(inquiry.device_type, 0x1f);
	CU_ASSERT_STRING_EQUAL(inquiry.vendor, "IET");
	CU_ASSERT_STRING_EQUAL(inquiry.product, "");
	CU_ASSERT_EQUAL(scsi_inquiry_decode(&inquiry, data, 4), -EBADMSG);
}

static void test_serial(void)
{
	static const uint8_t page[] = {0,   0x80, 0,   10,  ' ', ' ', 'b',
				       'e', 'a',  'f', '1', 0,   ' ', ' '};
	char serial[16];

	CU_ASSERT_EQUAL(scsi_serial_decode(serial, sizeof(serial), page, sizeof(page)), 0);
	CU_ASSERT_STRING_EQUAL(serial, "beaf1");
	CU_ASSERT_EQUAL(scsi_serial_decode(serial, sizeof(serial), page, sizeof(page) - 1),
			-EBADMSG);
	CU_ASSERT_STRING_EQUAL(serial, "");
	CU_ASSERT_EQUAL(scsi_serial_decode(serial, 5, page, sizeof(page)), -EBADMSG);
	CU_ASSERT_EQUAL(scsi_serial_decode(serial, 6, page, sizeof(page)), 0);
	CU_ASSERT_EQUAL(scsi_serial_decode(serial, sizeof(serial), page, 3), -EBADMSG);
}

/* A page as LIO and tgt send it: T10 vendor id, then NAA 6, and one of the target port, which is
 * not the LUN's. */
static const uint8_t page83[] = {
	0,    0x83, 0,    24 + 20 + 12,
	0x02, 0x01, 0,    20,
	'I',  'E',  'T',  ' ',
	' ',  ' ',  ' ',  ' ',
	'0',  '0',  '0',  '1',
	'0',  '0',  '0',  '1',
	0,    0,    0,    0,
	0x01, 0x03, 0,    16,
	0x60, 0x01, 0x40, 0x5a,
	0x1b, 0x2c, 0x3d, 0x4e,
	0,    0,    0,    0,
	0,    0,    0,    0xff,
	0x51, 0x93, 0,    8,
	0x50, 1,    2,    3,
	4,    5,    6,    7,
};

static void test_wwid(void)
{
	char wwid[SCSI_WWID_MAX];
	uint8_t page[sizeof(page83)];

	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), page83, sizeof(page83)), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "naa.6001405a1b2c3d4e00000000000000ff");
	memcpy(page, page83, sizeof(page));
	page[29] = 0x13; /* the NAA designator is a port's */
	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), page, sizeof(page)), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "t10.IET     00010001");
	page[5] = 0x11;
	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), page, sizeof(page)), -ENOENT);
	CU_ASSERT_STRING_EQUAL(wwid, "");
	page[31] = 29; /* reaches one byte beyond the page */
	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), page, sizeof(page)), -EBADMSG);
}

static void test_wwid_is_never_cut(void)
{
	char wwid[20];

	for (size_t length = 0; length < sizeof(page83); length++) {
		uint8_t *copy = malloc(length ? length : 1);

		memcpy(copy, page83, length);
		CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), copy, length), -EBADMSG);
		CU_ASSERT_FALSE(
			scsi_wwid_present("naa.6001405a1b2c3d4e00000000000000ff", copy, length));
		free(copy);
	}
	/* Room for neither. */
	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), page83, sizeof(page83)), -ENOENT);
}

static int rank_of(const uint8_t *descriptors, size_t length, char *wwid)
{
	uint8_t page[128] = {0, 0x83, 0, (uint8_t)length};

	memcpy(page + 4, descriptors, length);
	return scsi_wwid_decode(wwid, SCSI_WWID_MAX, page, length + 4);
}

static void test_wwid_ranks(void)
{
	static const uint8_t all[] = {
		0x01, 0x00, 0, 2, 0xab, 0xcd, /* vendor specific */
		0x01, 0x01, 0, 10, 'A', 'C', 'M', 'E', ' ', ' ', ' ', ' ', 0x12, 0x34,
		/* SCSI name string */
		0x03, 0x08, 0, 8, 'i', 'q', 'n', '.', 'a', ':', 'b', 0, 0x01, 0x02, 0, 8, 0, 0x11,
		0x22, 0x33, 0x44, 0x55, 0x66, 0x77,          /* EUI-64 */
		0x01, 0x03, 0, 8, 0x31, 2, 3, 4, 5, 6, 7, 8, /* NAA 3h */
		0x01, 0x03, 0, 8, 0x51, 2, 3, 4, 5, 6, 7, 8, /* NAA 5h */
	};
	char wwid[SCSI_WWID_MAX];

	CU_ASSERT_EQUAL(rank_of(all, 6, wwid), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "vendor.abcd");
	CU_ASSERT_EQUAL(rank_of(all, 20, wwid), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "t10.ACME    1234");
	CU_ASSERT_EQUAL(rank_of(all, 32, wwid), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "iqn.a:b");
	CU_ASSERT_EQUAL(rank_of(all, 44, wwid), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "eui.0011223344556677");
	CU_ASSERT_EQUAL(rank_of(all, 56, wwid), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "naa.3102030405060708");
	CU_ASSERT_EQUAL(rank_of(all, 68, wwid), 0);
	CU_ASSERT_STRING_EQUAL(wwid, "naa.5102030405060708");
}

static void test_wwid_present(void)
{
	static const char *const yes[] = {
		"naa.6001405a1b2c3d4e00000000000000ff",   "NAA.6001405A1B2C3D4E00000000000000FF",
		"0x6001405a1b2c3d4e00000000000000ff",     "wwn-0x6001405a1b2c3d4e00000000000000ff",
		"6001405a1b2c3d4e00000000000000ff",       "36001405a1b2c3d4e00000000000000ff",
		"scsi-36001405a1b2c3d4e00000000000000ff", "t10.IET     00010001",
	};
	static const char *const no[] = {
		"",
		"naa.",
		"naa.6001405a1b2c3d4e00000000000000fe",
		"naa.6001405a1b2c3d4e00000000000000f",
		"eui.6001405a1b2c3d4e00000000000000ff",
		"26001405a1b2c3d4e00000000000000ff",
		"naa.5001020304050607", /* the port's */
		"t10.IET     0001000",
	};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		CU_ASSERT_TRUE(scsi_wwid_present(yes[i], page83, sizeof(page83)));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		CU_ASSERT_FALSE(scsi_wwid_present(no[i], page83, sizeof(page83)));
}

static void test_capacity(void)
{
	uint8_t ten[8] = {0, 0, 0x0f, 0xff, 0, 0, 2, 0};
	uint8_t sixteen[32] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0x80};
	struct scsi_capacity capacity;

	CU_ASSERT_EQUAL(scsi_capacity10_decode(&capacity, ten, 8), 0);
	CU_ASSERT_EQUAL(capacity.blocks, 4096);
	CU_ASSERT_EQUAL(capacity.block_size, 512);
	CU_ASSERT_EQUAL(scsi_capacity10_decode(&capacity, ten, 7), -EBADMSG);
	memset(ten, 0xff, 4);
	CU_ASSERT_EQUAL(scsi_capacity10_decode(&capacity, ten, 8), 0);
	CU_ASSERT_EQUAL(capacity.blocks, 0);
	ten[6] = 0;
	CU_ASSERT_EQUAL(scsi_capacity10_decode(&capacity, ten, 8), -EBADMSG);

	CU_ASSERT_EQUAL(scsi_capacity16_decode(&capacity, sixteen, 32), 0);
	CU_ASSERT_EQUAL(capacity.blocks, 0x100000001);
	CU_ASSERT_EQUAL(capacity.block_size, 4096);
	CU_ASSERT_TRUE(capacity.thin_provisioned);
	CU_ASSERT_EQUAL(scsi_capacity16_decode(&capacity, sixteen, 14), -EBADMSG);
	memset(sixteen, 0xff, 8);
	CU_ASSERT_EQUAL(scsi_capacity16_decode(&capacity, sixteen, 32), -EBADMSG);
}

/* One page of designators, each {header..., data...}. */
#define DESIGNATORS(name, ...)                                                                     \
	static const uint8_t name[] = {0, 0x83, 0, sizeof((uint8_t[]){__VA_ARGS__}), __VA_ARGS__}

static void test_compare(void)
{
	struct scsi_difference difference;

	DESIGNATORS(one, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7, 2, 1, 0, 9, 'I', 'E', 'T', ' ', ' ',
		    ' ', ' ', ' ', '1');
	/* the other way around, and of another port */
	DESIGNATORS(turned, 0x51, 0x93, 0, 8, 0x50, 9, 9, 9, 9, 9, 9, 9, 2, 1, 0, 9, 'I', 'E', 'T',
		    ' ', ' ', ' ', ' ', ' ', '1', 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7);
	/* one more of the best kind */
	DESIGNATORS(more, 1, 3, 0, 8, 0x50, 8, 8, 8, 8, 8, 8, 8, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6,
		    7);
	/* the same number and vendor, but another unit */
	DESIGNATORS(other, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 8, 2, 1, 0, 9, 'I', 'E', 'T', ' ',
		    ' ', ' ', ' ', ' ', '1');
	/* only the lesser kind */
	DESIGNATORS(lesser, 2, 1, 0, 9, 'I', 'E', 'T', ' ', ' ', ' ', ' ', ' ', '1');
	/* a target that names by its own numbers puts another one under one of them */
	DESIGNATORS(renumbered, 1, 3, 0, 8, 0x50, 1, 2, 3, 4, 5, 6, 7, 2, 1, 0, 9, 'I', 'E', 'T',
		    ' ', ' ', ' ', ' ', ' ', '2');
	DESIGNATORS(eui, 1, 2, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);

#define COMPARED(a, b) scsi_identity_compare(a, sizeof(a), b, sizeof(b), &difference)
	CU_ASSERT_EQUAL(COMPARED(one, one), SCSI_SAME_YES);
	CU_ASSERT_EQUAL(COMPARED(one, turned), SCSI_SAME_YES);
	CU_ASSERT_EQUAL(COMPARED(turned, one), SCSI_SAME_YES);
	CU_ASSERT_EQUAL(COMPARED(one, more), SCSI_SAME_YES);
	CU_ASSERT_EQUAL(COMPARED(one, other), SCSI_SAME_NO);
	CU_ASSERT_EQUAL(COMPARED(one, lesser), SCSI_SAME_YES);
	CU_ASSERT_EQUAL(COMPARED(one, eui), SCSI_SAME_UNKNOWN);
	CU_ASSERT_EQUAL(COMPARED(one, renumbered), SCSI_SAME_NO);
	CU_ASSERT_STRING_EQUAL(difference.one, "t10.IET     1");
	CU_ASSERT_STRING_EQUAL(difference.other, "t10.IET     2");
	CU_ASSERT_EQUAL(scsi_identity_compare(one, 3, one, sizeof(one), NULL), SCSI_SAME_UNKNOWN);
#undef COMPARED
}

static void test_void_identity(void)
{
	char wwid[SCSI_WWID_MAX];

	DESIGNATORS(zeroes, 1, 3, 0, 8, 0x50, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 8, 0, 0, 0, 0, 0, 0, 0,
		    0);
	DESIGNATORS(blanks, 2, 1, 0, 10, 'I', 'E', 'T', ' ', ' ', ' ', ' ', ' ', ' ', ' ', 2, 0, 0,
		    2, ' ', ' ');

	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), zeroes, sizeof(zeroes)), -ENOENT);
	CU_ASSERT_EQUAL(scsi_wwid_decode(wwid, sizeof(wwid), blanks, sizeof(blanks)), -ENOENT);
	CU_ASSERT_FALSE(scsi_wwid_present("naa.5000000000000000", zeroes, sizeof(zeroes)));
	CU_ASSERT_EQUAL(scsi_identity_compare(zeroes, sizeof(zeroes), zeroes, sizeof(zeroes), NULL),
			SCSI_SAME_UNKNOWN);
}

static void test_attentions(void)
{
	static const uint8_t doubtful[][2] = {{0x3f, 0x03}, {0x3f, 0x0e}, {0x29, 0x00},
					      {0x29, 0x07}, {0x2a, 0x01}, {0x2a, 0x09},
					      {0x3f, 0x05}};
	static const uint8_t harmless[][2] = {
		{0x2a, 0x03}, {0x2a, 0x04}, {0x2a, 0x05}, {0x2a, 0x06}};

	for (size_t i = 0; i < sizeof(doubtful) / sizeof(doubtful[0]); i++)
		CU_ASSERT_TRUE(scsi_attention_doubts_identity(doubtful[i][0], doubtful[i][1]));
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		CU_ASSERT_FALSE(scsi_attention_doubts_identity(harmless[i][0], harmless[i][1]));
}

static CU_TestInfo tests[] = {
	{"compare", test_compare},
	{"an identity of zeroes or blanks", test_void_identity},
	{"attentions", test_attentions},
	{"encoders", test_encoders},
	{"UNMAP", test_unmap},
	{"INQUIRY", test_inquiry},
	{"serial number", test_serial},
	{"WWID", test_wwid},
	{"WWID is never cut", test_wwid_is_never_cut},
	{"WWID ranks", test_wwid_ranks},
	{"WWID present", test_wwid_present},
	{"capacity", test_capacity},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("identity", tests);
}
