/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An iscsi path against a target that says odd things: every status must come through as it is,
 * nothing may be believed that was not said, and nothing that a target sends may do harm. Needs no
 * root and no tgt.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scsi/identity.h"
#include "tests/table/drive.h"
#include "tests/table/fake_target.h"

#define TARGET "iqn.2024-01.test.lunkeeper:fake"

static uv_loop_t loop;
static const char *failed_check;
static int failed_line;
static char detail[300];

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition) && !failed_check) {                                               \
			failed_check = #condition;                                                 \
			failed_line = __LINE__;                                                    \
		}                                                                                  \
	} while (0)

static bool open_fake(struct fake_target *target, struct drive *drive, unsigned lun)
{
	struct path_open_options options = {.initiator_name = "iqn.2024-01.test.lunkeeper:jerry",
					    .isid_qualifier = 0x1234,
					    .login_timeout_ms = 1000};
	char url[PATH_NAME_MAX];
	bool up;

	if (fake_start(target, &loop) < 0)
		return false;
	snprintf(url, sizeof(url), "iscsi://127.0.0.1:%u/%s/%u", target->port, TARGET, lun);
	up = drive_open(drive, &loop, url, &options) == 0;
	snprintf(detail, sizeof(detail), "%.140s %.140s", drive->message, drive->reason);
	return up;
}

static void end(struct fake_target *target, struct drive *drive)
{
	drive_close(drive);
	fake_stop(target);
	drive_run(&loop, 5);
}

static struct scsi_result ask(struct drive *drive, void *data, uint32_t size)
{
	struct scsi_request request = {.timeout_ms = 100};

	if (data)
		scsi_inquiry_page_encode(&request, 0x83, data, (uint16_t)size);
	else
		scsi_test_unit_ready_encode(&request);
	drive_command(drive, &request);
	return request.result;
}

static void say_status(struct fake_target *target, uint8_t status)
{
	target->answer = FAKE_STATUS;
	target->status = status;
	target->data_length = 0;
}

static void say_sense(struct fake_target *target, const uint8_t *sense, uint32_t length,
		      uint32_t said)
{
	say_status(target, SCSI_STATUS_CHECK_CONDITION);
	target->data[0] = (uint8_t)(said >> 8);
	target->data[1] = (uint8_t)said;
	memcpy(target->data + 2, sense, length);
	target->data_length = length + 2;
}

static void test_login(void)
{
	static const uint8_t isid[6] = {0x80, 0x4c, 0x4b, 0x50, 0x12, 0x34};
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 257));
	CHECK(memcmp(target.isid, isid, sizeof(isid)) == 0);
	CHECK(!strcmp(target.initiator, "iqn.2024-01.test.lunkeeper:jerry"));
	CHECK(target.commands ==
	      0); /* not even a TEST UNIT READY: it would take a unit attention away */
	CHECK(ask(&drive, NULL, 0).outcome == SCSI_OUTCOME_OK);
	CHECK(target.lun[0] == 0x41 && target.lun[1] == 0x01);
	drive_close(&drive);
	CHECK(target.logouts == 1);
	end(&target, &drive);
}

static void test_login_statuses(void)
{
	static const struct {
		uint16_t status;
		const char *words;
	} statuses[] = {{0x0201, "authentication failure"},
			{0x0202, "authorization failure"},
			{0x0203, "target not found"},
			{0x0301, "service unavailable"},
			{0x0302, "(0302h)"},
			{0x02ff, "(02ffh)"}};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct fake_target target;
		struct drive drive;
		char url[PATH_NAME_MAX];
		struct path_open_options options = {.initiator_name =
							    "iqn.2024-01.test.lunkeeper:jerry"};

		CHECK(fake_start(&target, &loop) == 0);
		target.login_status = statuses[i].status;
		snprintf(url, sizeof(url), "iscsi://127.0.0.1:%u/%s/1", target.port, TARGET);
		CHECK(drive_open(&drive, &loop, url, &options) == -ENOTCONN);
		snprintf(detail, sizeof(detail), "%04x: %.200s", statuses[i].status, drive.reason);
		CHECK(strstr(drive.reason, statuses[i].words));
		target.login_status = 0;
		CHECK(drive_reconnect(&drive) == 0);
		end(&target, &drive);
	}
}

static void test_statuses(void)
{
	static const struct {
		uint8_t status;
		enum scsi_outcome outcome;
	} statuses[] = {
		{SCSI_STATUS_GOOD, SCSI_OUTCOME_OK},
		{SCSI_STATUS_RESERVATION_CONFLICT, SCSI_OUTCOME_CONFLICT},
		{SCSI_STATUS_BUSY, SCSI_OUTCOME_FAILED},
		{SCSI_STATUS_TASK_SET_FULL, SCSI_OUTCOME_FAILED},
		{SCSI_STATUS_TASK_ABORTED, SCSI_OUTCOME_UNKNOWN},
	};
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 1));
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct scsi_result result;

		say_status(&target, statuses[i].status);
		result = ask(&drive, NULL, 0);
		snprintf(detail, sizeof(detail), "status %02x: outcome %d, error %d",
			 statuses[i].status, result.outcome, result.error);
		CHECK(result.outcome == statuses[i].outcome);
		CHECK(result.has_status && result.status == statuses[i].status &&
		      result.error == 0);
	}
	CHECK(drive.state == PATH_STATE_UP && target.logins == 1);
	end(&target, &drive);
}

/* What the standard does not know is no answer, but no reason to lose the session either. */
static void test_unknown_status(void)
{
	struct fake_target target;
	struct drive drive;
	struct scsi_result result;

	CHECK(open_fake(&target, &drive, 1));
	say_status(&target, 0x77);
	result = ask(&drive, NULL, 0);
	CHECK(result.outcome == SCSI_OUTCOME_UNKNOWN && result.error == -EIO);
	say_status(&target, SCSI_STATUS_GOOD);
	CHECK(ask(&drive, NULL, 0).outcome == SCSI_OUTCOME_OK);
	CHECK(drive.state == PATH_STATE_UP && target.logins == 1);
	end(&target, &drive);
}

static void test_sense(void)
{
	static const uint8_t fixed[18] = {0x70, 0, 6, [7] = 10, [12] = 0x2a, 0x03};
	static const uint8_t descriptor[8] = {0x72, 6, 0x2a, 0x05};
	uint8_t large[252] = {0x70, 0, 5, [7] = 244, [12] = 0x24};
	struct scsi_result result;
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 1));
	say_sense(&target, fixed, sizeof(fixed), sizeof(fixed));
	result = ask(&drive, NULL, 0);
	CHECK(result.outcome == SCSI_OUTCOME_FAILED && result.sense_key == 6 &&
	      result.asc == 0x2a && result.ascq == 3);
	CHECK(result.sense_length == sizeof(fixed) && !memcmp(result.sense, fixed, sizeof(fixed)));
	say_sense(&target, descriptor, sizeof(descriptor), sizeof(descriptor));
	result = ask(&drive, NULL, 0);
	CHECK(result.sense_key == 6 && result.asc == 0x2a && result.ascq == 5);
	say_sense(&target, large, sizeof(large), sizeof(large));
	result = ask(&drive, NULL, 0);
	CHECK(result.sense_key == 5 && result.asc == 0x24 && result.sense_length == SCSI_SENSE_MAX);
	/* A SenseLength that is longer than the segment, sense that is cut, none at all. */
	say_sense(&target, fixed, sizeof(fixed), 0xffff);
	result = ask(&drive, NULL, 0);
	CHECK(result.outcome == SCSI_OUTCOME_FAILED && result.sense_length >= sizeof(fixed) &&
	      result.sense_length <= 20);
	say_sense(&target, fixed, 3, 18);
	result = ask(&drive, NULL, 0);
	CHECK(result.outcome == SCSI_OUTCOME_FAILED && result.asc == 0);
	CHECK(drive.state == PATH_STATE_UP && target.logins == 1);
	end(&target, &drive);
}

static void test_data(void)
{
	struct scsi_result result;
	struct fake_target target;
	struct drive drive;
	uint8_t data[100];

	CHECK(open_fake(&target, &drive, 1));
	target.answer = FAKE_DATA_IN;
	memset(target.data, 0x5a, sizeof(target.data));
	target.data_length = 60;
	target.underflow = true;
	target.residual = 40;
	memset(data, 0xee, sizeof(data));
	result = ask(&drive, data, sizeof(data));
	CHECK(result.outcome == SCSI_OUTCOME_OK && result.transferred == 60);
	CHECK(data[59] == 0x5a && data[60] == 0xee);
	/* A residual that cannot be. */
	target.residual = 4000;
	result = ask(&drive, data, sizeof(data));
	CHECK(result.transferred == 0);
	/* More than asked for, and some of it lost. */
	target.underflow = false;
	target.overflow = true;
	target.residual = 11;
	target.data_length = 100;
	result = ask(&drive, data, sizeof(data));
	CHECK(result.outcome == SCSI_OUTCOME_OK && result.transferred == 100);
	/* GOOD without a byte. */
	target.overflow = false;
	say_status(&target, SCSI_STATUS_GOOD);
	target.underflow = true;
	target.residual = 100;
	result = ask(&drive, data, sizeof(data));
	CHECK(result.outcome == SCSI_OUTCOME_OK && result.transferred == 0);
	CHECK(drive.state == PATH_STATE_UP && target.logins == 1);
	end(&target, &drive);
}

/* Whatever it is: the request ends once, as UNKNOWN, and the path works again, after a new login at
 * the latest. */
static void expect_survival(enum fake_answer answer, uint8_t status, const char *words)
{
	struct scsi_result result;
	struct fake_target target;
	struct drive drive;
	uint8_t *data = malloc(100);

	CHECK(open_fake(&target, &drive, 1));
	target.answer = answer;
	target.status = status;
	target.data_length = 200;
	memset(data, 0xee, 100);
	result = ask(&drive, data, 100);
	snprintf(detail, sizeof(detail), "answer %d: outcome %d, error %d", answer, result.outcome,
		 result.error);
	CHECK(result.outcome == SCSI_OUTCOME_UNKNOWN && result.error != 0);
	free(data);
	drive_run(&loop, 20);
	say_status(&target, SCSI_STATUS_GOOD);
	CHECK((drive.state == PATH_STATE_DOWN) == (words != NULL));
	snprintf(detail, sizeof(detail), "answer %d: '%.200s'", answer, drive.reason);
	CHECK(!words || strstr(drive.reason, words));
	if (drive.state == PATH_STATE_DOWN)
		CHECK(drive_reconnect(&drive) == 0);
	CHECK(ask(&drive, NULL, 0).outcome == SCSI_OUTCOME_OK);
	end(&target, &drive);
}

static void test_odd_answers(void)
{
	expect_survival(FAKE_REJECT, 0x04, NULL);
	expect_survival(FAKE_REJECT, 0x09, NULL);
	expect_survival(FAKE_SILENCE, 0, NULL);
	expect_survival(FAKE_CLOSE, 0, "connection closed by the target");
	expect_survival(FAKE_GARBAGE, 0, "protocol error");
	expect_survival(FAKE_DATA_BEYOND, 0, "protocol error");
	expect_survival(FAKE_DATA_IN, 0, "protocol error"); /* 200 bytes into a buffer of 100 */
}

static void test_abort(void)
{
	struct scsi_result result;
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 300));
	target.answer = FAKE_SILENCE;
	result = ask(&drive, NULL, 0);
	CHECK(result.outcome == SCSI_OUTCOME_UNKNOWN && result.error == -ETIMEDOUT);
	drive_run(&loop, 20);
	CHECK(target.managements == 1 && target.management_tag == target.last_tag);
	CHECK(target.management_lun[0] == 0x41 && target.management_lun[1] == 0x2c);
	say_status(&target, SCSI_STATUS_GOOD);
	CHECK(ask(&drive, NULL, 0).outcome == SCSI_OUTCOME_OK);
	end(&target, &drive);
}

/* ABORT TASK is not answered either: eight commands go out, the others end unsent. Another LUN is
 * served all the same. */
static void test_abort_unanswered(void)
{
	struct path_open_options options = {.initiator_name = "iqn.2024-01.test.lunkeeper:jerry",
					    .isid_qualifier = 0x1234};
	struct fake_target target;
	struct drive drive, other;
	char url[PATH_NAME_MAX];
	unsigned before;

	CHECK(open_fake(&target, &drive, 1));
	snprintf(url, sizeof(url), "iscsi://127.0.0.1:%u/%s/2", target.port, TARGET);
	CHECK(drive_open(&other, &loop, url, &options) == 0 && target.logins == 1);
	target.answer = FAKE_SILENCE;
	target.management_answer = FAKE_SILENCE;
	for (int i = 0; i < 12; i++)
		CHECK(ask(&drive, NULL, 0).error == -ETIMEDOUT);
	CHECK(target.commands == 8);
	before = target.commands;
	say_status(&target, SCSI_STATUS_GOOD);
	CHECK(ask(&other, NULL, 0).outcome == SCSI_OUTCOME_OK);
	CHECK(target.commands == before + 1);
	drive_close(&other);
	end(&target, &drive);
}

static void test_reset_responses(void)
{
	static const struct {
		uint8_t response;
		enum scsi_outcome outcome;
		int error;
	} responses[] = {{0, SCSI_OUTCOME_OK, 0},
			 {2, SCSI_OUTCOME_FAILED, -ENXIO},
			 {5, SCSI_OUTCOME_FAILED, -EOPNOTSUPP},
			 {255, SCSI_OUTCOME_FAILED, -EIO}};
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 300));
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++) {
		struct scsi_request request = {.timeout_ms = 500};

		target.management_response = responses[i].response;
		drive_reset(&drive, &request);
		CHECK(request.result.outcome == responses[i].outcome &&
		      request.result.error == responses[i].error);
		CHECK(target.management_lun[0] == 0x41 && target.management_lun[1] == 0x2c);
	}
	end(&target, &drive);
}

/* A reset ends this logical unit's commands, and leaves the others' of the same session alone. */
static void test_reset_others(void)
{
	struct path_open_options options = {.initiator_name = "iqn.2024-01.test.lunkeeper:jerry",
					    .isid_qualifier = 0x1234};
	struct scsi_request reset = {.timeout_ms = 500};
	struct fake_target target;
	struct drive drive, other;
	char url[PATH_NAME_MAX];
	uint64_t start;

	CHECK(open_fake(&target, &drive, 1));
	snprintf(url, sizeof(url), "iscsi://127.0.0.1:%u/%s/2", target.port, TARGET);
	CHECK(drive_open(&other, &loop, url, &options) == 0);
	target.answer = FAKE_SILENCE;
	for (int i = 0; i < 2; i++) {
		struct drive *victim = i ? &other : &drive;
		struct scsi_request request = {.timeout_ms = 300};
		bool done = false;

		scsi_test_unit_ready_encode(&request);
		drive_start(victim, &request, &done);
		drive_run(&loop, 10);
		start = uv_hrtime();
		drive_reset(&drive, &reset);
		CHECK(reset.result.outcome == SCSI_OUTCOME_OK);
		while (!done)
			drive_run(&loop, 1);
		CHECK(request.result.outcome == SCSI_OUTCOME_UNKNOWN);
		CHECK(request.result.error == (i ? -ETIMEDOUT : -EIO));
		CHECK(i ? uv_hrtime() - start > 200000000ull : uv_hrtime() - start < 100000000ull);
	}
	drive_close(&other);
	end(&target, &drive);
}

/* The window is four commands: the rest waits, and comes through. */
static void test_small_window(void)
{
	static struct scsi_request requests[50];
	static bool done[50];
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 1));
	target.window = 4;
	for (int i = 0; i < 50; i++) {
		memset(&requests[i], 0, sizeof(requests[i]));
		scsi_test_unit_ready_encode(&requests[i]);
		requests[i].timeout_ms = 2000;
		drive_start(&drive, &requests[i], &done[i]);
	}
	for (int i = 0; i < 50; i++) {
		while (!done[i])
			drive_run(&loop, 1);
		CHECK(requests[i].result.outcome == SCSI_OUTCOME_OK);
	}
	end(&target, &drive);
}

static void test_out_of_turn(void)
{
	struct fake_target target;
	struct drive drive;

	CHECK(open_fake(&target, &drive, 1));
	fake_send_ping(&target);
	drive_run(&loop, 20);
	CHECK(target.nops == 1 && drive.state == PATH_STATE_UP);
	fake_send_async(&target, 0); /* a SCSI event: nothing to us */
	drive_run(&loop, 20);
	CHECK(drive.state == PATH_STATE_UP);
	CHECK(ask(&drive, NULL, 0).outcome == SCSI_OUTCOME_OK);
	fake_send_async(&target,
			1); /* "log out, please": the session ends, and nobody logs in again */
	CHECK(drive_wait(&drive, PATH_STATE_DOWN, 1000));
	drive_run(&loop, 300);
	CHECK(target.logins == 1 && drive.state == PATH_STATE_DOWN);
	CHECK(drive_reconnect(&drive) == 0);
	fake_close(&target);
	CHECK(drive_wait(&drive, PATH_STATE_DOWN, 1000));
	CHECK(!strcmp(drive.reason, "connection closed by the target"));
	end(&target, &drive);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"login: name, ISID, flat LUN, logout", test_login},
	{"login statuses in words", test_login_statuses},
	{"statuses come through", test_statuses},
	{"a status that nobody knows", test_unknown_status},
	{"sense comes through, also malformed", test_sense},
	{"data and residuals", test_data},
	{"odd answers", test_odd_answers},
	{"ABORT TASK behind a command given up", test_abort},
	{"ABORT TASK unanswered", test_abort_unanswered},
	{"LOGICAL UNIT RESET: responses", test_reset_responses},
	{"LOGICAL UNIT RESET: others of the session", test_reset_others},
	{"a small command window", test_small_window},
	{"messages out of turn", test_out_of_turn},
};

/* `run_fake --serve ODDITY...`: a disk with these oddities, for the commands of odd_cases.sh. It says
 * where it is, and is there until its input ends. */
static void input_over(uv_poll_t *poll, int status, int events)
{
	char byte;

	(void)status;
	(void)events;
	if (read(STDIN_FILENO, &byte, 1) <= 0)
		uv_stop(poll->loop);
}

static int serve(int count, char **names)
{
	static struct fake_disk disk;
	static struct fake_target target;
	bool odd[FAKE_ODDITY_COUNT] = {false};
	uv_poll_t input;

	for (int i = 0; i < count; i++) {
		enum fake_oddity oddity = fake_oddity_find(names[i]);

		if (oddity == FAKE_ODDITY_COUNT) {
			fprintf(stderr, "%s: no such oddity; there are:\n", names[i]);
			for (unsigned k = 0; k < FAKE_ODDITY_COUNT; k++)
				fprintf(stderr, "  %-22s %s\n", fake_oddity_name(k),
					fake_oddity_says(k));
			return 2;
		}
		odd[oddity] = true;
	}
	fake_disk_init(&disk, odd);
	if (fake_start_at(&target, &loop, "0.0.0.0") < 0) /* all of 127/8: many portals */
		return 1;
	target.disk = &disk;
	target.name = odd[FAKE_CAPITAL_NAME] ? "iqn.2024-01.test.LunKeeper:Fake" : TARGET;
	printf("%u %s\n", target.port, target.name);
	fflush(stdout);
	uv_poll_init(&loop, &input, STDIN_FILENO);
	uv_poll_start(&input, UV_READABLE | UV_DISCONNECT, input_over);
	uv_run(&loop, UV_RUN_DEFAULT);
	printf("%u orders, %u logins\n", disk.orders, target.logins);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	uv_loop_init(&loop);
	if (argc > 1 && !strcmp(argv[1], "--serve"))
		return serve(argc - 2, argv + 2);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		failed_check = NULL;
		detail[0] = 0;
		tests[i].run();
		drive_run(&loop, 10);
		printf("%s  %s\n", failed_check ? "FAILED" : "passed", tests[i].name);
		if (failed_check)
			printf("        line %d: %s\n        %s\n", failed_line, failed_check,
			       detail);
		failed_check ? failed++ : passed++;
		fflush(stdout);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&loop) != 0) {
		printf("FAILED  something is left on the loop\n");
		failed++;
	}
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed || !passed ? 1 : 0;
}
