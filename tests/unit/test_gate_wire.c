/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Frames between daemon and gate process, and the gate's configuration file.
 */
#include <errno.h>
#include <string.h>

#include "cluster/gate/wire.h"
#include "tests/unit/unit.h"

static uint8_t frame[GATE_WIRE_FRAME_MAX];

static long round_trip(const struct gate_message *message, struct gate_message *decoded)
{
	long length = gate_wire_encode(message, frame, sizeof(frame));
	CU_ASSERT_FATAL(length > 0);
	CU_ASSERT_EQUAL(gate_wire_frame(frame, (size_t)length), length);
	CU_ASSERT_EQUAL(gate_wire_decode(decoded, frame, (size_t)length), 0);
	CU_ASSERT_EQUAL(decoded->type, message->type);
	/* Cut short it is no frame; with its length corrected, a bad one. */
	for (long cut = 0; cut < length; cut++)
		CU_ASSERT_EQUAL(gate_wire_frame(frame, (size_t)cut), 0);
	return length;
}

static void test_set(void)
{
	struct gate_message decoded,
		message = {
			.type = GATE_MESSAGE_SET,
			.set = {.sequence = 7, .seen = 0xfffffffeu, .state = GATE_STATE_OPEN},
		};
	long length = round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(decoded.set.sequence, 7);
	CU_ASSERT_EQUAL(decoded.set.seen, 0xfffffffeu);
	CU_ASSERT_EQUAL(decoded.set.state, GATE_STATE_OPEN);
	frame[length - 1] = 3; /* no such state */
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, frame, (size_t)length), -EBADMSG);
}

static void test_state(void)
{
	struct gate_message decoded, message = {
					     .type = GATE_MESSAGE_STATE,
					     .state = {.sequence = 1,
						       .spontaneous = 2,
						       .state = GATE_STATE_HELD,
						       .cause = GATE_CAUSE_CONFLICT,
						       .lun = 513,
						       .quiet = true,
						       .refused = true,
						       .waiting = 70000},
				     };
	round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(memcmp(&decoded.state, &message.state, sizeof(message.state)), 0);
}

static void test_command(void)
{
	uint8_t parameter[24] = {1, 2, 3};
	struct gate_message decoded, message = {
					     .type = GATE_MESSAGE_COMMAND,
					     .command = {.id = 9,
							 .lun = 3,
							 .timeout_ms = 250,
							 .cdb_length = 10,
							 .cdb = {0x5f, 4},
							 .direction = SCSI_DIRECTION_OUT,
							 .data_length = sizeof(parameter),
							 .data = parameter},
				     };
	long length = round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(decoded.command.id, 9);
	CU_ASSERT_EQUAL(decoded.command.cdb_length, 10);
	CU_ASSERT_EQUAL(memcmp(decoded.command.cdb, message.command.cdb, SCSI_CDB_MAX), 0);
	CU_ASSERT_EQUAL(decoded.command.data_length, sizeof(parameter));
	CU_ASSERT_EQUAL(memcmp(decoded.command.data, parameter, sizeof(parameter)), 0);
	/* Lengths that lead out of the frame. */
	frame[GATE_WIRE_HEADER + 11] = SCSI_CDB_MAX + 1;
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, frame, (size_t)length), -EBADMSG);
	frame[GATE_WIRE_HEADER + 11] = 10;
	frame[GATE_WIRE_HEADER + 11 + 1 + 10 + 1 + 3] = 25;
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, frame, (size_t)length), -EBADMSG);
	/* Room for data-in takes no bytes. */
	message.command.direction = SCSI_DIRECTION_IN;
	message.command.data_length = GATE_WIRE_DATA_MAX;
	CU_ASSERT(round_trip(&message, &decoded) < 100);
	CU_ASSERT_EQUAL(decoded.command.data_length, GATE_WIRE_DATA_MAX);
	message.command.data_length = GATE_WIRE_DATA_MAX + 1;
	CU_ASSERT_EQUAL(gate_wire_encode(&message, frame, sizeof(frame)), -EINVAL);
}

static void test_done(void)
{
	static uint8_t data[GATE_WIRE_DATA_MAX];
	struct gate_message decoded,
		message = {.type = GATE_MESSAGE_DONE, .done = {.id = 4, .data = data}};
	uint8_t sense[18] = {0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x2a, 0x03};
	scsi_result_from_status(&message.done.result, SCSI_STATUS_CHECK_CONDITION, sense,
				sizeof(sense));
	message.done.result.transferred = 5;
	message.done.result.duration_us = 123456;
	round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(
		memcmp(&decoded.done.result, &message.done.result, sizeof(decoded.done.result)), 0);
	scsi_result_from_transport(&message.done.result, -ETIMEDOUT);
	message.done.data_length = GATE_WIRE_DATA_MAX; /* the longest frame that there is */
	round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(decoded.done.result.error, -ETIMEDOUT);
	CU_ASSERT_EQUAL(decoded.done.result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_EQUAL(decoded.done.data_length, GATE_WIRE_DATA_MAX);
	CU_ASSERT_EQUAL(gate_wire_encode(&message, frame, 100), -EMSGSIZE);
}

static void test_snapshot(void)
{
	struct gate_message decoded, message = {
					     .type = GATE_MESSAGE_SNAPSHOT,
					     .snapshot = {.version = 1,
							  .pid = 4711,
							  .lun_count = GATE_LUNS_MAX,
							  .in_flight = 3,
							  .configuration = 0x123456789abcdef0u,
							  .uptime_ms = 1ull << 40,
							  .state = {.state = GATE_STATE_OPEN,
								    .cause = GATE_CAUSE_ORDERED},
							  .counters = {1, 2, 3, 4, 5, 6, 7, 8, 9}},
				     };
	long length;

	round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(memcmp(&decoded.snapshot.counters, &message.snapshot.counters,
			       sizeof(struct gate_counters)),
			0);
	CU_ASSERT_EQUAL(decoded.snapshot.configuration, message.snapshot.configuration);
	CU_ASSERT_EQUAL(decoded.snapshot.uptime_ms, message.snapshot.uptime_ms);
	message.snapshot.lun_count++;
	length = gate_wire_encode(&message, frame, sizeof(frame));
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, frame, (size_t)length), -EBADMSG);
}

static void test_lun(void)
{
	struct gate_message decoded, message = {
					     .type = GATE_MESSAGE_LUN,
					     .info = {.lun = 2,
						      .nexus = GATE_NEXUS_UNUSABLE,
						      .serial = 77,
						      .key = 0x4c00000000000001u,
						      .blocks = 1u << 30,
						      .block_size = 4096,
						      .in_flight = 1,
						      .name = "mailstore",
						      .wwid = "naa.6001405a1b2c3d4e"},
				     };
	long length;

	memset(message.info.reason, 'r', sizeof(message.info.reason) - 1);
	round_trip(&message, &decoded);
	CU_ASSERT_EQUAL(memcmp(&decoded.info, &message.info, sizeof(message.info)), 0);
	/* A text longer than its field, and one with a 0 in it. */
	frame[GATE_WIRE_HEADER + 1 + 2 + 1 + 4 + 8 + 8 + 4 + 4 + 1] = 0xff;
	length = gate_wire_frame(frame, sizeof(frame));
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, frame, (size_t)length), -EBADMSG);
	length = gate_wire_encode(&message, frame, sizeof(frame));
	frame[length - 1] = 0;
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, frame, (size_t)length), -EBADMSG);
}

static void test_bad_frames(void)
{
	static const uint8_t none[] = {0, 0, 0, 0}, huge[] = {0xff, 0xff, 0xff, 0xff};
	static const uint8_t unknown[] = {0, 0, 0, 1, 50},
			     behind[] = {0, 0, 0, 2, GATE_MESSAGE_READY, 0};
	struct gate_message decoded;
	CU_ASSERT_EQUAL(gate_wire_frame(none, sizeof(none)), -EBADMSG);
	CU_ASSERT_EQUAL(gate_wire_frame(huge, sizeof(huge)), -EBADMSG);
	CU_ASSERT_EQUAL(gate_wire_frame(unknown, sizeof(unknown)), 5);
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, unknown, sizeof(unknown)), -EBADMSG);
	CU_ASSERT_EQUAL(gate_wire_decode(&decoded, behind, sizeof(behind)), -EBADMSG);
}

static int parse(struct gate_file *file, const char *text, char *message, size_t size)
{
	message[0] = '\0';
	return gate_wire_file_parse(file, text, strlen(text), message, size);
}

#define HEAD                                                                                       \
	"group=mail\ncontrol=/run/c\nnbd=/run/n\nlock=/run/"                                       \
	"l\nhold_limit_ms=40000\ngive_up_ms=30000\n"

static void test_file(void)
{
	struct gate_lun_config luns[2], again_luns[2];
	struct gate_file file = {.luns = luns, .lun_capacity = 2},
			 again = {.luns = again_luns, .lun_capacity = 2};
	char message[200], text[2000];
	long length;

	CU_ASSERT_EQUAL_FATAL(
		parse(&file,
		      HEAD "# a remark\n\nqualifier=65535\ninitiator=iqn.2024-01.x:a\nlun=one\n"
			   "url=iscsi://h/t/"
			   "1?x=y\nwwid=naa.6\nheader_digest=1\nlun=two\nurl=iscsi://h/t/2",
		      message, sizeof(message)),
		0);
	CU_ASSERT_EQUAL(file.lun_count, 2);
	CU_ASSERT_STRING_EQUAL(luns[0].url, "iscsi://h/t/1?x=y");
	CU_ASSERT(luns[0].header_digest && !luns[1].header_digest && !luns[0].zero_covered);
	CU_ASSERT_STRING_EQUAL(luns[1].wwid, "");
	CU_ASSERT_EQUAL(file.isid_qualifier, 65535);
	length = gate_wire_file_write(&file, text, sizeof(text));
	CU_ASSERT_FATAL(length > 0);
	CU_ASSERT_EQUAL(
		gate_wire_file_parse(&again, text, (size_t)length, message, sizeof(message)), 0);
	CU_ASSERT_EQUAL(memcmp(luns, again_luns, sizeof(luns)), 0);
	CU_ASSERT_EQUAL(gate_wire_file_write(&file, text, (size_t)length), -EMSGSIZE);
	strcpy(file.luns[0].url, "iscsi://h\nlun=evil");
	CU_ASSERT_EQUAL(gate_wire_file_write(&file, text, sizeof(text)), -EINVAL);
}

static void test_file_faults(void)
{
	static const struct {
		const char *text;
		int error;
		const char *says;
	} faults[] = {
		{HEAD "nonsense\nlun=a\nurl=x", -EBADMSG, "line 7: not of the form"},
		{HEAD "colour=red\nlun=a\nurl=x", -EBADMSG, "line 7: unknown name"},
		{HEAD "url=x\nlun=a", -EBADMSG, "line 7: stands before any lun="},
		{HEAD "qualifier=65536\nlun=a\nurl=x", -EBADMSG, "line 7: value out of range"},
		{HEAD "qualifier=-1\nlun=a\nurl=x", -EBADMSG, "value out of range"},
		{HEAD "lun=a\nurl=x\nheader_digest=2", -EBADMSG, "line 9: value out of range"},
		{HEAD "lun=a\nurl=x\nlun=b\nurl=y\nlun=c\nurl=z", -E2BIG, "line 11: too many LUNs"},
		{HEAD "lun=a\nurl=x\nlun=b", -EBADMSG, "url is missing"},
		{HEAD, -EBADMSG, "lun is missing"},
		{"group=mail\nlun=a\nurl=x", -EBADMSG, "control is missing"},
		{"", -EBADMSG, "group is missing"},
	};
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct gate_lun_config luns[2];
		struct gate_file file = {.luns = luns, .lun_capacity = 2};
		char message[200];
		CU_ASSERT_EQUAL(parse(&file, faults[i].text, message, sizeof(message)),
				faults[i].error);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, faults[i].says));
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"set", test_set},
		{"state", test_state},
		{"command", test_command},
		{"done", test_done},
		{"snapshot", test_snapshot},
		{"lun", test_lun},
		{"bad frames", test_bad_frames},
		{"file", test_file},
		{"file faults", test_file_faults},
		CU_TEST_INFO_NULL,
	};
	return unit_run("gate_wire", tests);
}
