/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PERSISTENT RESERVE IN and OUT on the wire, against bytes laid out by hand from SPC-5 6.16
 * and 6.17.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/pr.h"
#include "tests/unit/unit.h"

/* A copy of exactly this length on the heap, so that a sanitizer sees every byte read beyond it. */
static uint8_t *exact(const void *data, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);

	memcpy(copy, data, length);
	return copy;
}

static void test_in_encode(void)
{
	static const uint8_t cdb[10] = {0x5e, 0x03, 0, 0, 0, 0, 0, 0x04, 0x10, 0};
	struct scsi_request request = {.timeout_ms = 77};
	uint8_t buffer[1040];

	CU_ASSERT_EQUAL(pr_in_encode(&request, PR_IN_READ_FULL_STATUS, buffer, sizeof(buffer)), 0);
	CU_ASSERT_EQUAL(memcmp(request.cdb, cdb, sizeof(cdb)), 0);
	CU_ASSERT_EQUAL(request.cdb_length, 10);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_IN);
	CU_ASSERT_PTR_EQUAL(request.data, buffer);
	CU_ASSERT_EQUAL(request.data_length, 1040);
	CU_ASSERT_EQUAL(request.timeout_ms, 77);
	CU_ASSERT_EQUAL(pr_in_encode(&request, PR_IN_READ_KEYS, buffer, 7), -EINVAL);
	CU_ASSERT_EQUAL(pr_in_encode(&request, PR_IN_READ_KEYS, buffer, 65536), -EINVAL);
	CU_ASSERT_EQUAL(pr_in_encode(&request, (enum pr_in_action)4, buffer, 8), -EINVAL);
}

static void test_out_encode_register(void)
{
	static const uint8_t cdb[10] = {0x5f, 0x00, 0, 0, 0, 0, 0, 0, 24, 0};
	static const uint8_t list[24] = {1,    2,    3,    4,    5,    6, 7, 8, 0xf1, 0xf2, 0xf3,
					 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0, 0, 0, 0,    0x05};
	struct pr_out out = {.action = PR_OUT_REGISTER,
			     .key = 0x0102030405060708,
			     .service_key = 0xf1f2f3f4f5f6f7f8,
			     .aptpl = true,
			     .all_target_ports = true,
			     .type = PR_TYPE_EXCLUSIVE_ACCESS};
	struct scsi_request request = {0};
	uint8_t buffer[24];

	memset(buffer, 0xee, sizeof(buffer));
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), 0);
	CU_ASSERT_EQUAL(memcmp(request.cdb, cdb, sizeof(cdb)), 0);
	CU_ASSERT_EQUAL(memcmp(buffer, list, sizeof(list)), 0);
	CU_ASSERT_EQUAL(request.direction, SCSI_DIRECTION_OUT);
	CU_ASSERT_EQUAL(request.data_length, 24);
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, 23), -EINVAL);
}

static void test_out_encode_preempt_and_abort(void)
{
	static const uint8_t cdb[10] = {0x5f, 0x05, 0x05, 0, 0, 0, 0, 0, 24, 0};
	struct pr_out out = {.action = PR_OUT_PREEMPT_AND_ABORT,
			     .key = 1,
			     .service_key = 2,
			     .type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
			     .aptpl = true};
	struct scsi_request request = {0};
	uint8_t buffer[24];

	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), 0);
	CU_ASSERT_EQUAL(memcmp(request.cdb, cdb, sizeof(cdb)), 0);
	CU_ASSERT_EQUAL(buffer[20], 0); /* APTPL belongs to registrations */
	out.type = PR_TYPE_NONE;
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), -EINVAL);
	out.type = (enum pr_type)2;
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), -EINVAL);
	out.action = (enum pr_out_action)8;
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), -EINVAL);
}

static void test_out_register_and_move(void)
{
	static const uint8_t id[24] = {0x05, 0, 0, 20, 'i', 'q', 'n', '.', 'x', ':', 'a', 'b'};
	static const uint8_t tail[8] = {0, 0x03, 0x12, 0x34, 0, 0, 0, 24};
	struct pr_out out = {.action = PR_OUT_REGISTER_AND_MOVE,
			     .key = 1,
			     .service_key = 2,
			     .aptpl = true,
			     .unregister = true,
			     .relative_target_port = 0x1234,
			     .transport_id = id,
			     .transport_id_length = sizeof(id)},
		      back;
	struct scsi_request request = {0};
	uint8_t buffer[48];

	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), 0);
	CU_ASSERT_EQUAL(request.data_length, 48);
	CU_ASSERT_EQUAL(request.cdb[8], 48);
	CU_ASSERT_EQUAL(memcmp(buffer + 16, tail, sizeof(tail)), 0);
	CU_ASSERT_EQUAL(memcmp(buffer + 24, id, sizeof(id)), 0);
	CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 10, buffer, 48), 0);
	CU_ASSERT_TRUE(back.unregister && back.aptpl);
	CU_ASSERT_EQUAL(back.relative_target_port, 0x1234);
	CU_ASSERT_PTR_EQUAL(back.transport_id, buffer + 24);
	CU_ASSERT_EQUAL(back.transport_id_length, 24);

	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, 47), -EINVAL);
	out.transport_id_length = 22;
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, 48), -EINVAL);
	out.transport_id = NULL;
	CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, 48), -EINVAL);
	buffer[23] = 20; /* contradicts the list's length */
	CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 10, buffer, 48), -EBADMSG);
}

static void test_out_round_trip(void)
{
	uint8_t buffer[24];
	struct scsi_request request = {0};

	for (int action = PR_OUT_REGISTER; action <= PR_OUT_REGISTER_AND_IGNORE; action++) {
		bool has_type = action != PR_OUT_REGISTER && action != PR_OUT_CLEAR &&
				action != PR_OUT_REGISTER_AND_IGNORE;
		struct pr_out out = {.action = (enum pr_out_action)action,
				     .key = 3,
				     .service_key = 4,
				     .type = PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY},
			      back;

		CU_ASSERT_EQUAL(pr_out_encode(&request, &out, buffer, sizeof(buffer)), 0);
		CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 10, buffer, 24), 0);
		CU_ASSERT_EQUAL(back.action, out.action);
		CU_ASSERT_EQUAL(back.key, 3);
		CU_ASSERT_EQUAL(back.service_key, 4);
		CU_ASSERT_EQUAL(back.type, has_type ? out.type : PR_TYPE_NONE);
	}
}

static void test_out_decode_refuses(void)
{
	struct pr_out out = {.action = PR_OUT_RESERVE, .type = PR_TYPE_WRITE_EXCLUSIVE}, back;
	struct scsi_request request = {0};
	uint8_t buffer[24], cdb[10];

	pr_out_encode(&request, &out, buffer, sizeof(buffer));
	CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 10, buffer, 24), 0);
	CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 9, buffer, 24), -EBADMSG);
	CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 10, buffer, 23), -EBADMSG);
	memcpy(cdb, request.cdb, 10);
	cdb[0] = 0x5e;
	CU_ASSERT_EQUAL(pr_out_decode(&back, cdb, 10, buffer, 24), -EBADMSG);
	memcpy(cdb, request.cdb, 10);
	cdb[1] = 8;
	CU_ASSERT_EQUAL(pr_out_decode(&back, cdb, 10, buffer, 24), -EBADMSG);
	memcpy(cdb, request.cdb, 10);
	cdb[2] = 0x15; /* scope 1h */
	CU_ASSERT_EQUAL(pr_out_decode(&back, cdb, 10, buffer, 24), -EBADMSG);
	cdb[2] = 0x04;
	CU_ASSERT_EQUAL(pr_out_decode(&back, cdb, 10, buffer, 24), -EBADMSG);
	buffer[20] = 0x08; /* SPEC_I_PT */
	CU_ASSERT_EQUAL(pr_out_decode(&back, request.cdb, 10, buffer, 24), -EBADMSG);
}

static void test_keys(void)
{
	static const uint8_t data[] = {0,    0, 1, 2, 0, 0, 0, 24, 1,    2, 3, 4, 5, 6, 7, 8,
				       0x4c, 0, 0, 0, 0, 0, 0, 1,  0xff, 0, 0, 0, 0, 0, 0, 2};
	uint64_t storage[4] = {0};
	struct pr_keys keys = {.keys = storage};
	uint8_t *copy;

	CU_ASSERT_EQUAL(pr_keys_decode(&keys, 4, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(keys.generation, 0x102);
	CU_ASSERT_EQUAL(keys.count, 3);
	CU_ASSERT_EQUAL(keys.available, 3);
	CU_ASSERT_EQUAL(storage[0], 0x0102030405060708);
	CU_ASSERT_EQUAL(storage[2], 0xff00000000000002);

	CU_ASSERT_EQUAL(pr_keys_decode(&keys, 2, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(keys.count, 2);
	CU_ASSERT_EQUAL(keys.available, 3);
	for (size_t length = 0; length <= sizeof(data); length++) {
		copy = exact(data, length);
		CU_ASSERT_EQUAL(pr_keys_decode(&keys, 4, copy, length), length < 8 ? -EBADMSG : 0);
		CU_ASSERT_EQUAL(keys.count, length < 8 ? 0 : (length - 8) / 8);
		free(copy);
	}
}

static void test_keys_of_odd_length_are_not_all_there(void)
{
	static const uint8_t data[] = {0, 0, 0, 1, 0, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9};
	uint64_t storage[4];
	struct pr_keys keys = {.keys = storage};

	CU_ASSERT_EQUAL(pr_keys_decode(&keys, 4, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(keys.count, 1);
	CU_ASSERT_EQUAL(keys.available, 2);
}

static void test_keys_of_absurd_length(void)
{
	static const uint8_t data[] = {0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8};
	uint64_t storage[4];
	struct pr_keys keys = {.keys = storage};

	CU_ASSERT_EQUAL(pr_keys_decode(&keys, 4, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(keys.count, 1);
	CU_ASSERT_EQUAL(keys.available, 0x20000000);
}

static void test_reservation(void)
{
	uint8_t data[24] = {0, 0, 0, 9, 0, 0, 0, 16, 0x4c, 1, 2,
			    3, 4, 5, 6, 7, 0, 0, 0,  0,    0, 0x05};
	struct pr_reservation reservation;

	CU_ASSERT_EQUAL(pr_reservation_decode(&reservation, data, 24), 0);
	CU_ASSERT_TRUE(reservation.held);
	CU_ASSERT_EQUAL(reservation.generation, 9);
	CU_ASSERT_EQUAL(reservation.key, 0x4c01020304050607);
	CU_ASSERT_EQUAL(reservation.type, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
	CU_ASSERT_EQUAL(pr_reservation_decode(&reservation, data, 23), -EBADMSG);
	CU_ASSERT_EQUAL(pr_reservation_decode(&reservation, data, 7), -EBADMSG);
	data[21] = 0x07;
	CU_ASSERT_EQUAL(pr_reservation_decode(&reservation, data, 24), 0);
	CU_ASSERT_EQUAL(reservation.key, 0);
	data[7] = 8;
	CU_ASSERT_EQUAL(pr_reservation_decode(&reservation, data, 24), -EBADMSG);
	data[7] = 0;
	CU_ASSERT_EQUAL(pr_reservation_decode(&reservation, data, 8), 0);
	CU_ASSERT_FALSE(reservation.held);
	CU_ASSERT_EQUAL(reservation.key, 0);
	CU_ASSERT_EQUAL(reservation.generation, 9);
}

static void test_capabilities(void)
{
	uint8_t data[8] = {0, 8, 0x9d, 0xb1, 0xff, 0xff};
	struct pr_capabilities caps;

	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 8), 0);
	CU_ASSERT_TRUE(caps.replace_lost_reservation_capable &&
		       caps.compatible_reservation_handling);
	CU_ASSERT_TRUE(caps.specify_initiator_ports && caps.all_target_ports);
	CU_ASSERT_TRUE(caps.persist_through_power_loss_capable);
	CU_ASSERT_TRUE(caps.persist_through_power_loss_activated);
	CU_ASSERT_EQUAL(caps.allow_commands, 3);
	CU_ASSERT_TRUE(caps.type_mask_valid);
	CU_ASSERT_EQUAL(caps.type_mask, 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8);
	data[4] = 0x20;
	data[5] = 0;
	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 8), 0);
	CU_ASSERT_EQUAL(caps.type_mask, 1 << PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
	data[4] = 0;
	data[5] = 1;
	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 8), 0);
	CU_ASSERT_EQUAL(caps.type_mask, 1 << PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
	data[3] = 0;
	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 8), 0);
	CU_ASSERT_EQUAL(caps.type_mask, 0); /* TMV 0: the mask says nothing */
	data[1] = 6;
	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 6), 0);
	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 5), -EBADMSG);
	data[1] = 0;
	CU_ASSERT_EQUAL(pr_capabilities_decode(&caps, data, 8), -EBADMSG);
}

/* Two registrants: jerry's iSCSI nexus, which holds, and one of another protocol without a
 * TransportID. */
static const uint8_t full_status[] = {
	0,    0,    0,   7,   0,    0,    0,   24 + 28 + 24,
	0x4c, 0,    0,   0,   0,    0,    0,   1,
	0,    0,    0,   0,   0x03, 0x05, 0,   0,
	0,    0,    0,   2,   0,    0,    0,   28,
	0x45, 0,    0,   24,  'i',  'q',  'n', '.',
	'x',  ':',  'j', ',', 'i',  ',',  '0', 'x',
	'4',  'c',  '4', 'b', '0',  '0',  '0', '0',
	'0',  '0',  0,   0,   0x4c, 0,    0,   0,
	0,    0,    0,   2,   0,    0,    0,   0,
	0x00, 0x05, 0,   0,   0,    0,    0,   1,
	0,    0,    0,   0,
};

static void test_full_status(void)
{
	struct pr_full_status_entry entries[3];
	struct pr_full_status status = {.entries = entries};
	char text[64];

	CU_ASSERT_EQUAL(pr_full_status_decode(&status, 3, full_status, sizeof(full_status)), 0);
	CU_ASSERT_EQUAL(status.generation, 7);
	CU_ASSERT_TRUE(status.complete);
	CU_ASSERT_EQUAL_FATAL(status.count, 2);
	CU_ASSERT_EQUAL(entries[0].key, 0x4c00000000000001);
	CU_ASSERT_TRUE(entries[0].holder && entries[0].all_target_ports);
	CU_ASSERT_EQUAL(entries[0].type, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
	CU_ASSERT_EQUAL(entries[0].relative_target_port, 2);
	CU_ASSERT_EQUAL(entries[0].transport_id_length, 28);
	CU_ASSERT_STRING_EQUAL(pr_transport_id_text(entries[0].transport_id,
						    entries[0].transport_id_length, text,
						    sizeof(text)),
			       "iqn.x:j,i,0x4c4b000000");
	CU_ASSERT_FALSE(entries[1].holder || entries[1].all_target_ports);
	CU_ASSERT_EQUAL(entries[1].type, PR_TYPE_NONE);
	CU_ASSERT_EQUAL(entries[1].key, 0x4c00000000000002);

	CU_ASSERT_EQUAL(pr_full_status_decode(&status, 1, full_status, sizeof(full_status)), 0);
	CU_ASSERT_EQUAL(status.count, 1);
	CU_ASSERT_FALSE(status.complete);
}

static void test_full_status_cut_short(void)
{
	struct pr_full_status_entry entries[3];
	struct pr_full_status status = {.entries = entries};

	for (size_t length = 0; length < sizeof(full_status); length++) {
		uint8_t *copy = exact(full_status, length);
		int rc = pr_full_status_decode(&status, 3, copy, length);

		CU_ASSERT_EQUAL(rc, length < 8 ? -EBADMSG : 0);
		CU_ASSERT_FALSE(status.complete);
		CU_ASSERT_EQUAL(status.count, length >= 8 + 24 + 28);
		free(copy);
	}
}

static void test_full_status_contradictions(void)
{
	struct pr_full_status_entry entries[3];
	struct pr_full_status status = {.entries = entries};
	uint8_t data[sizeof(full_status)];

	memcpy(data, full_status, sizeof(data));
	data[8 + 20] = 0xff; /* the first entry is longer than the list */
	CU_ASSERT_EQUAL(pr_full_status_decode(&status, 3, data, sizeof(data)), -EBADMSG);
	memcpy(data, full_status, sizeof(data));
	data[7] = 24 + 28 + 5; /* the list ends within the second entry */
	CU_ASSERT_EQUAL(pr_full_status_decode(&status, 3, data, sizeof(data)), -EBADMSG);
	data[7] = 0;
	CU_ASSERT_EQUAL(pr_full_status_decode(&status, 3, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(status.count, 0);
	CU_ASSERT_TRUE(status.complete);
}

static void test_full_status_long_transport_id_is_cut(void)
{
	struct pr_full_status_entry entries[1];
	struct pr_full_status status = {.entries = entries};
	uint8_t data[8 + 24 + 400] = {0, 0, 0, 1, 0, 0, 1, 0xa8};

	data[8 + 22] = 1;
	data[8 + 23] = 0x90;
	CU_ASSERT_EQUAL(pr_full_status_decode(&status, 1, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(status.count, 1);
	CU_ASSERT_TRUE(status.complete);
	CU_ASSERT_EQUAL(entries[0].transport_id_length, PR_TRANSPORT_ID_MAX);
}

static const char *id_text(const void *id, size_t length, char *text, size_t size)
{
	uint8_t *copy = exact(id, length);

	pr_transport_id_text(copy, length, text, size);
	free(copy);
	return text;
}

static void test_transport_ids(void)
{
	static const uint8_t name_only[] = {0x05, 0, 0, 20, 'i', 'q', 'n', '.', 'a', 0, 0, 0};
	static const uint8_t unended[] = {0x05, 0, 0, 4, 'i', 'q', 0xff, '.', 'a', 'b'};
	static const uint8_t fc[24] = {0x00, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0x24, 0xff, 1, 2, 3};
	static const uint8_t sas[24] = {0x06, 0, 0, 0, 0x50, 1, 2, 3, 4, 5, 6, 7};
	static const uint8_t srp[6] = {0x04, 0, 0xab, 1, 2, 3};
	char text[64], small[6];

	CU_ASSERT_STRING_EQUAL(id_text(name_only, sizeof(name_only), text, sizeof(text)), "iqn.a");
	CU_ASSERT_STRING_EQUAL(id_text(unended, sizeof(unended), text, sizeof(text)), "iq..");
	CU_ASSERT_STRING_EQUAL(id_text(fc, sizeof(fc), text, sizeof(text)), "naa.21000024ff010203");
	CU_ASSERT_STRING_EQUAL(id_text(sas, sizeof(sas), text, sizeof(text)),
			       "naa.5001020304050607");
	CU_ASSERT_STRING_EQUAL(id_text(srp, sizeof(srp), text, sizeof(text)), "0400ab010203");
	CU_ASSERT_STRING_EQUAL(id_text(fc, 15, text, sizeof(text)),
			       "000000000000000021000024ff0102");
	CU_ASSERT_STRING_EQUAL(id_text(name_only, 3, text, sizeof(text)), "050000");
	CU_ASSERT_STRING_EQUAL(id_text("", 0, text, sizeof(text)), "");
	CU_ASSERT_STRING_EQUAL(id_text(name_only, sizeof(name_only), small, 4), "iqn");
	CU_ASSERT_STRING_EQUAL(id_text(srp, sizeof(srp), small, sizeof(small)), "0400");
}

static void test_types(void)
{
	enum pr_type type = PR_TYPE_NONE;

	CU_ASSERT_STRING_EQUAL(pr_type_name(PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY),
			       "WRITE EXCLUSIVE, REGISTRANTS ONLY");
	CU_ASSERT_STRING_EQUAL(pr_type_short_name(PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS),
			       "EA-AR");
	CU_ASSERT_STRING_EQUAL(pr_type_name((enum pr_type)9), "type 9h");
	CU_ASSERT_EQUAL(pr_type_parse("we-ro", &type), 0);
	CU_ASSERT_EQUAL(type, PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
	CU_ASSERT_EQUAL(pr_type_parse("6", &type), 0);
	CU_ASSERT_EQUAL(type, PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY);
	CU_ASSERT_EQUAL(pr_type_parse("EA", &type), 0);
	CU_ASSERT_EQUAL(type, PR_TYPE_EXCLUSIVE_ACCESS);
	CU_ASSERT_EQUAL(pr_type_parse("0", &type), -EINVAL);
	CU_ASSERT_EQUAL(pr_type_parse("none", &type), -EINVAL);
	CU_ASSERT_EQUAL(pr_type_parse("2", &type), -EINVAL);
	CU_ASSERT_EQUAL(pr_type_parse("", &type), -EINVAL);
	CU_ASSERT_EQUAL(pr_type_parse("55", &type), -EINVAL);
	CU_ASSERT_STRING_EQUAL(pr_out_action_name(PR_OUT_PREEMPT_AND_ABORT), "PREEMPT AND ABORT");
}

static CU_TestInfo tests[] = {
	{"PR IN encoded", test_in_encode},
	{"REGISTER encoded", test_out_encode_register},
	{"PREEMPT AND ABORT encoded", test_out_encode_preempt_and_abort},
	{"REGISTER AND MOVE", test_out_register_and_move},
	{"PR OUT round trip", test_out_round_trip},
	{"PR OUT refused", test_out_decode_refuses},
	{"keys", test_keys},
	{"keys of odd length", test_keys_of_odd_length_are_not_all_there},
	{"keys of absurd length", test_keys_of_absurd_length},
	{"reservation", test_reservation},
	{"capabilities", test_capabilities},
	{"full status", test_full_status},
	{"full status cut short", test_full_status_cut_short},
	{"full status contradicts itself", test_full_status_contradictions},
	{"full status with a long TransportID", test_full_status_long_transport_id_is_cut},
	{"TransportIDs", test_transport_ids},
	{"types", test_types},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("pr_wire", tests);
}
