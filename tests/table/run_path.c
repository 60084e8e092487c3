/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an iscsi path promises, seen against tgt: addressing, one session for all, login failures in
 * words, CHAP, digests, time-outs, lost sessions. Run it beside a tgtd: tests/table/tgt.sh 300
 * build/tests/table/run_path [part of a name]
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iscsi/path_iscsi.h"
#include "scsi/identity.h"
#include "scsi/pr.h"
#include "tests/table/drive.h"
#include "tests/table/relay.h"

#define BLOCK 512
#define MANY 300

static uv_loop_t loop;
static const char *failed_check;
static int failed_line;
static char detail[1400];

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition) && !failed_check) {                                               \
			failed_check = #condition;                                                 \
			failed_line = __LINE__;                                                    \
		}                                                                                  \
	} while (0)

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static const char *url_of(const char *portal, const char *target, unsigned lun)
{
	static char text[PATH_NAME_MAX];

	snprintf(text, sizeof(text), "iscsi://%s/%s/%u", portal, target, lun);
	return text;
}

static const char *url(unsigned lun)
{
	return url_of(environment("TGT_PORTAL"), environment("TGT_TARGET"), lun);
}

static struct path_open_options options_of(const char *secrets_file)
{
	return (struct path_open_options){
		.initiator_name = "iqn.2024-01.test.lunkeeper:path",
		.isid_qualifier = 7,
		.secrets_file = secrets_file,
		.login_timeout_ms = 3000,
	};
}

static bool open_up(struct drive *drive, const char *where)
{
	struct path_open_options options = options_of(NULL);
	bool up = drive_open(drive, &loop, where, &options) == 0;

	if (!up)
		snprintf(detail, sizeof(detail), "%s%s", drive->message, drive->reason);
	return up;
}

static struct scsi_request test_unit_ready(void)
{
	struct scsi_request request = {0};

	scsi_test_unit_ready_encode(&request);
	return request;
}

static void become_ready(struct drive *drive)
{
	struct scsi_request request = test_unit_ready();

	drive_command_retried(drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK);
}

static struct scsi_request block_request(bool write, uint64_t number, void *block,
					 uint32_t timeout_ms)
{
	struct scsi_request request = {.timeout_ms = timeout_ms};

	if (write)
		scsi_write16_encode(&request, number, 1, false, block, BLOCK);
	else
		scsi_read16_encode(&request, number, 1, block, BLOCK);
	return request;
}

/* A request that runs while the test goes on. */
struct pending {
	struct scsi_request request;
	unsigned done;
};

static void pending_done(struct scsi_request *request)
{
	((struct pending *)request->user)->done++;
}

static void send_pending(struct drive *drive, struct pending *pending, struct scsi_request request)
{
	pending->request = request;
	pending->request.done = pending_done;
	pending->request.user = pending;
	pending->done = 0;
	path_submit(drive->path, &pending->request);
}

static void wait_pending(const struct pending *pending, unsigned timeout_ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)timeout_ms * 1000000;

	while (!pending->done && uv_hrtime() < end)
		drive_run(&loop, 1);
	CHECK(pending->done == 1);
}

static unsigned sockets_open(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned count = 0;

	while (folder && (entry = readdir(folder))) {
		struct stat status;

		if (fstat(atoi(entry->d_name), &status) == 0 && S_ISSOCK(status.st_mode))
			count++;
	}
	if (folder)
		closedir(folder);
	return count;
}

/* --- addressing and sharing --- */

static void serial_of(struct drive *drive, char *serial, size_t size)
{
	uint8_t buffer[252] = {0};
	struct scsi_request request = {0};

	serial[0] = 0;
	scsi_inquiry_page_encode(&request, 0x80, buffer, sizeof(buffer));
	drive_command_retried(drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK);
	CHECK(scsi_serial_decode(serial, size, buffer, request.result.transferred) == 0);
}

static void test_flat_addressing(void)
{
	static const unsigned luns[] = {1, 2, 255, 256, 257, 300};
	char serial[64], expected[64];

	for (size_t i = 0; i < sizeof(luns) / sizeof(luns[0]); i++) {
		struct drive drive;

		if (!open_up(&drive, url(luns[i]))) {
			CHECK(!"open");
			return;
		}
		become_ready(&drive);
		serial_of(&drive, serial, sizeof(serial));
		snprintf(expected, sizeof(expected), "beaf1%u", luns[i]);
		snprintf(detail, sizeof(detail), "LUN %u has serial number '%s'", luns[i], serial);
		CHECK(strstr(serial, expected) &&
		      strlen(strstr(serial, expected)) == strlen(expected));
		drive_close(&drive);
	}
}

static void test_one_session(void)
{
	struct drive *drives = calloc(MANY, sizeof(*drives));
	unsigned before = sockets_open();

	for (unsigned i = 0; i < MANY; i++)
		CHECK(open_up(&drives[i], url(i + 1)));
	CHECK(sockets_open() == before + 1);
	for (unsigned i = 0; i < MANY; i++)
		become_ready(&drives[i]);
	for (unsigned i = 0; i < MANY; i++)
		drive_close(&drives[i]);
	drive_run(&loop, 20);
	CHECK(sockets_open() == before);
	free(drives);
}

static void test_sessions_apart(void)
{
	struct path_open_options options = options_of(NULL);
	unsigned before = sockets_open();
	struct drive a, b, c;

	CHECK(drive_open(&a, &loop, url(1), &options) == 0);
	options.isid_qualifier = 8;
	CHECK(drive_open(&b, &loop, url(1), &options) == 0);
	options.initiator_name = "iqn.2024-01.test.lunkeeper:other";
	CHECK(drive_open(&c, &loop, url(1), &options) == 0);
	CHECK(sockets_open() == before + 3);
	drive_run(&loop, 100);
	CHECK(a.state == PATH_STATE_UP && b.state == PATH_STATE_UP && c.state == PATH_STATE_UP);
	drive_close(&a);
	drive_close(&b);
	drive_close(&c);
}

/* --- what does not open, and what is said --- */

static void expect_down(const char *where, const struct path_open_options *options,
			const char *words)
{
	struct drive drive;
	int error = drive_open(&drive, &loop, where, options);

	snprintf(detail, sizeof(detail), "%s: '%s' '%s', expected '%s'", where, drive.message,
		 drive.reason, words);
	CHECK(error != 0);
	CHECK(strstr(drive.message, words) || strstr(drive.reason, words));
	drive_close(&drive);
}

static void test_refusals(void)
{
	struct path_open_options options = options_of(NULL);

	expect_down(url_of("127.0.0.1:1", environment("TGT_TARGET"), 1), &options,
		    "Connection refused");
	expect_down(url_of("127.0.0.1:3260", "iqn.2024-01.test.lunkeeper:none", 1), &options,
		    "target not found: the portal does not offer this name (0203h)");
	expect_down("iscsi://203.0.113.9/iqn.2024-01.x:y/1", &options, "Network is unreachable");
	expect_down("iscsi://no-such-host.invalid/iqn.2024-01.x:y/1", &options,
		    "host name no-such-host.invalid");
	expect_down("iscsi://jerry%secret@127.0.0.1/iqn.2024-01.x:y/1", &options, "secrets file");
	CHECK(!strstr(detail + strlen("iscsi://jerry%secret@127.0.0.1/iqn.2024-01.x:y/1"),
		      "jerry%secret"));
	expect_down("iscsi://127.0.0.1/iqn.2024-01.x:y/16384", &options, "0 to 16383");
	options.data_digest = true;
	expect_down(url(1), &options, "data digests are not supported");
	options.data_digest = false;
	options.initiator_name = "jerry";
	expect_down(url(1), &options, "is no iSCSI name");
}

static void test_login_timeout(void)
{
	struct path_open_options options = options_of(NULL);
	struct relay *relay = relay_start(&loop, 3260);
	char portal[64];
	uint64_t start;

	relay_set(relay, RELAY_STALL);
	snprintf(portal, sizeof(portal), "127.0.0.1:%u", relay_port(relay));
	options.login_timeout_ms = 300;
	start = uv_hrtime();
	expect_down(url_of(portal, environment("TGT_TARGET"), 1), &options,
		    "no answer to connect and login in 300 ms");
	CHECK(uv_hrtime() - start < 1000000000ull);
	relay_stop(relay);
}

/* --- CHAP and digests --- */

static const char *write_secrets(const char *text, mode_t mode)
{
	static char name[300];
	FILE *file;

	snprintf(name, sizeof(name), "%s/secrets", environment("TGT_DIR"));
	unlink(name);
	file = fopen(name, "we");
	if (file) {
		fputs(text, file);
		fclose(file);
	}
	chmod(name, mode);
	return name;
}

static void expect_chap(const char *secrets, mode_t mode, const char *words)
{
	struct path_open_options options = options_of(write_secrets(secrets, mode));
	const char *where = url_of(environment("TGT_PORTAL"), environment("TGT_CHAP_TARGET"), 1);
	struct drive drive;

	if (words) {
		expect_down(where, &options, words);
		CHECK(!strstr(detail, "letters") && !strstr(detail, "chars"));
		return;
	}
	CHECK(drive_open(&drive, &loop, where, &options) == 0);
	snprintf(detail, sizeof(detail), "%s%s", drive.message, drive.reason);
	become_ready(&drive);
	drive_close(&drive);
}

static void test_chap(void)
{
	expect_chap("* jerry twelve-letters\n", 0600, NULL);
	expect_chap("# both ways\niqn.2024-01.test.lunkeeper:chap jerry twelve-letters san "
		    "thirteen-chars\n",
		    0400, NULL);
	expect_chap("* jerry wrong-letters\n", 0600, "authentication failure");
	expect_chap("* jerry wrong-letters\n", 0600, "(0201h)");
	expect_chap("* tom twelve-letters\n", 0600, "(0201h)");
	expect_chap("other jerry twelve-letters\n", 0600, "(0201h)");
	expect_chap("* jerry twelve-letters san wrong-chars-too\n", 0600, "mutual CHAP");
	expect_chap("* jerry twelve-letters nas thirteen-chars\n", 0600, "mutual CHAP");
	expect_chap("* jerry twelve-letters\n", 0644, "mode 0644");
	expect_chap("* jerry twelve-letters san\n", 0600, "line 1: expected");
}

static void test_header_digest(void)
{
	struct path_open_options options = options_of(NULL);
	uint8_t block[BLOCK], back[BLOCK];
	struct scsi_request request;
	struct drive drive;

	options.header_digest = true;
	CHECK(drive_open(&drive, &loop, url(2), &options) == 0);
	become_ready(&drive);
	memset(block, 0x5a, sizeof(block));
	request = block_request(true, 3, block, 1000);
	drive_command(&drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK);
	request = block_request(false, 3, back, 1000);
	drive_command(&drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK && request.result.transferred == BLOCK);
	CHECK(memcmp(block, back, BLOCK) == 0);
	drive_close(&drive);
}

static void redirect_to(const char *address, unsigned port)
{
	char command[300];

	snprintf(command, sizeof(command),
		 "for i in RedirectReason=Temporary RedirectPort=%u RedirectAddress=%s; do tgtadm "
		 "--lld iscsi --op update "
		 "--mode target --tid 1 --name ${i%%=*} --value \"${i#*=}\" || exit 1; done",
		 port, address);
	CHECK(system(command) == 0);
}

static void test_redirect(void)
{
	struct relay *relay = relay_start(&loop, 3260);
	struct drive drive;

	/* tgt sends us to the relay, which leads back to tgt, and so on. (An address that it is
	 * asked from, it does not send us to.) */
	redirect_to("127.0.0.2", relay_port(relay));
	CHECK(!open_up(&drive, url(1)));
	CHECK(strstr(drive.reason, "the target redirects to 127.0.0.2:"));
	CHECK(relay_connections(relay) > 1 && relay_connections(relay) < 10);
	/* Once is followed. */
	relay_set(relay, RELAY_STALL);
	path_reconnect(drive.path);
	for (unsigned i = 0, before = relay_connections(relay);
	     i < 100 && relay_connections(relay) == before; i++)
		drive_run(&loop, 10);
	redirect_to("", 0);
	relay_set(relay, RELAY_PASS);
	CHECK(drive_wait(&drive, PATH_STATE_UP, 1000));
	become_ready(&drive);
	drive_close(&drive);
	relay_stop(relay);
}

/* --- time-outs --- */

static struct relay *open_through_relay(struct drive *drive, unsigned lun)
{
	struct relay *relay = relay_start(&loop, 3260);
	char portal[64];

	snprintf(portal, sizeof(portal), "127.0.0.1:%u", relay_port(relay));
	CHECK(open_up(drive, url_of(portal, environment("TGT_TARGET"), lun)));
	become_ready(drive);
	return relay;
}

static void test_given_up_read(void)
{
	uint8_t *block = malloc(BLOCK), pattern[BLOCK];
	struct pending pending;
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 3);
	uint64_t start;

	relay_set(relay, RELAY_STALL);
	start = uv_hrtime();
	send_pending(&drive, &pending, block_request(false, 0, block, 200));
	wait_pending(&pending, 1000);
	CHECK(uv_hrtime() - start >= 199000000ull && uv_hrtime() - start < 400000000ull);
	CHECK(pending.request.result.outcome == SCSI_OUTCOME_UNKNOWN);
	CHECK(pending.request.result.error == -ETIMEDOUT);
	memset(block, 0xa5, BLOCK);
	memset(pattern, 0xa5, BLOCK);
	relay_set(relay, RELAY_PASS); /* the answer comes now, too late */
	drive_run(&loop, 100);
	CHECK(memcmp(block, pattern, BLOCK) == 0);
	free(block);
	CHECK(drive.state == PATH_STATE_UP);
	become_ready(&drive);
	drive_close(&drive);
	relay_stop(relay);
}

/* The data must go out as they were when the request was given up, whatever the caller does with
 * its buffer then. */
static void test_given_up_write(void)
{
	uint32_t size = 1024 * 1024;
	uint8_t *data = malloc(size), back[BLOCK];
	struct scsi_request request = {.timeout_ms = 200}, read;
	struct pending pending;
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 3);

	memset(data, 0x11, size);
	relay_set(relay, RELAY_STALL);
	scsi_write16_encode(&request, 0, size / BLOCK, false, data, size);
	send_pending(&drive, &pending, request);
	wait_pending(&pending, 1000);
	CHECK(pending.request.result.error == -ETIMEDOUT);
	memset(data, 0x22, size);
	free(data);
	relay_set(relay, RELAY_PASS);
	drive_run(&loop, 200);
	CHECK(drive.state == PATH_STATE_UP);
	for (uint64_t number = 0; number < size / BLOCK; number += 100) {
		read = block_request(false, number, back, 1000);
		drive_command_retried(&drive, &read);
		CHECK(read.result.outcome == SCSI_OUTCOME_OK);
		CHECK(back[0] != 0x22 && back[BLOCK - 1] != 0x22);
	}
	drive_close(&drive);
	relay_stop(relay);
}

static void test_many_given_up(void)
{
	struct pending pending[40];
	struct drive drive, other;
	struct relay *relay = open_through_relay(&drive, 4);
	char portal[64];

	snprintf(portal, sizeof(portal), "127.0.0.1:%u", relay_port(relay));
	CHECK(open_up(&other, url_of(portal, environment("TGT_TARGET"), 5)));
	become_ready(&other);
	relay_set(relay, RELAY_STALL);
	for (int i = 0; i < 40; i++) {
		struct scsi_request request = test_unit_ready();

		request.timeout_ms = 50;
		send_pending(&drive, &pending[i], request);
		if (i % 10 == 9)
			drive_run(&loop, 100);
	}
	for (int i = 0; i < 40; i++) {
		wait_pending(&pending[i], 500);
		CHECK(pending[i].request.result.error == -ETIMEDOUT);
	}
	relay_set(relay, RELAY_PASS);
	become_ready(&drive);
	become_ready(&other);
	drive_close(&drive);
	become_ready(&other);
	drive_close(&other);
	relay_stop(relay);
}

/* The process stood still for longer than the time-out, but the answer was there in time. */
static void test_paused_process(void)
{
	struct pending pending;
	struct scsi_request request = test_unit_ready();
	struct drive drive;

	CHECK(open_up(&drive, url(1)));
	become_ready(&drive);
	request.timeout_ms = 100;
	send_pending(&drive, &pending, request);
	uv_run(&loop, UV_RUN_NOWAIT);
	usleep(300000);
	wait_pending(&pending, 1000);
	CHECK(pending.request.result.outcome == SCSI_OUTCOME_OK);
	drive_close(&drive);
}

static void test_reset(void)
{
	struct scsi_request request = {.timeout_ms = 1000}, ready = test_unit_ready();
	struct pending pending;
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 6);

	drive_reset(&drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK && request.result.error == 0);
	/* Given up while the target is silent, and taken back when it answers. */
	relay_set(relay, RELAY_STALL);
	request.timeout_ms = 100;
	drive_reset(&drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_UNKNOWN && request.result.error == -ETIMEDOUT);
	send_pending(&drive, &pending, ready);
	relay_set(relay, RELAY_PASS);
	wait_pending(&pending, 1000);
	become_ready(&drive);
	drive_close(&drive);
	relay_stop(relay);
}

/* --- lost sessions --- */

static void test_lost_session(void)
{
	struct pending pending[3];
	struct drive drives[3];
	struct relay *relay = open_through_relay(&drives[0], 1);
	char portal[64];

	snprintf(portal, sizeof(portal), "127.0.0.1:%u", relay_port(relay));
	for (unsigned i = 1; i < 3; i++) {
		CHECK(open_up(&drives[i], url_of(portal, environment("TGT_TARGET"), i + 1)));
		become_ready(&drives[i]);
	}
	CHECK(relay_connections(relay) == 1);
	relay_set(relay, RELAY_STALL);
	for (int i = 0; i < 3; i++)
		send_pending(&drives[i], &pending[i], test_unit_ready());
	drive_run(&loop, 20);
	relay_cut(relay);
	relay_set(relay, RELAY_PASS);
	for (int i = 0; i < 3; i++) {
		wait_pending(&pending[i], 1000);
		CHECK(pending[i].request.result.outcome == SCSI_OUTCOME_UNKNOWN);
		CHECK(pending[i].request.result.error == -ENOTCONN);
		CHECK(drive_wait(&drives[i], PATH_STATE_DOWN, 1000));
		CHECK(drives[i].reason[0] != 0);
	}
	drive_run(&loop, 1500);
	CHECK(relay_connections(relay) == 1); /* nobody has logged in again */
	for (int i = 0; i < 3; i++) {
		send_pending(&drives[i], &pending[i], test_unit_ready());
		CHECK(pending[i].done == 0); /* never from within path_submit() */
		wait_pending(&pending[i], 100);
		CHECK(pending[i].request.result.error == -ENOTCONN);
	}
	CHECK(drive_reconnect(&drives[1]) == 0);
	CHECK(drive_wait(&drives[0], PATH_STATE_UP, 1000) &&
	      drive_wait(&drives[2], PATH_STATE_UP, 1000));
	CHECK(relay_connections(relay) == 2); /* one login for all */
	for (int i = 0; i < 3; i++) {
		become_ready(&drives[i]);
		CHECK(drives[i].changes == 3);
		drive_close(&drives[i]);
	}
	relay_stop(relay);
}

/* A write that was on its way when the session was lost must not be sent on the next one. */
static void test_no_resend(void)
{
	uint8_t old[BLOCK], new[BLOCK], back[BLOCK];
	struct scsi_request request;
	struct pending pending;
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 7);

	memset(old, 1, BLOCK);
	memset(new, 2, BLOCK);
	request = block_request(true, 9, old, 1000);
	drive_command(&drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK);
	relay_set(relay, RELAY_SWALLOW);
	send_pending(&drive, &pending, block_request(true, 9, new, 10000));
	drive_run(&loop, 50);
	relay_cut(relay);
	relay_set(relay, RELAY_PASS);
	wait_pending(&pending, 1000);
	CHECK(pending.request.result.error == -ENOTCONN);
	CHECK(drive_reconnect(&drive) == 0);
	drive_run(&loop, 200);
	request = block_request(false, 9, back, 1000);
	drive_command_retried(&drive, &request);
	CHECK(request.result.outcome == SCSI_OUTCOME_OK);
	CHECK(memcmp(back, old, BLOCK) == 0);
	drive_close(&drive);
	relay_stop(relay);
}

/* Much data on its way when the connection is reset: nothing that is written then may end the
 * process. */
static void test_reset_connection(void)
{
	uint32_t size = 8 * 1024 * 1024;
	uint8_t *data = calloc(1, size);
	struct scsi_request request = {.timeout_ms = 5000};
	struct pending pending[3];
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 7);

	relay_set(relay, RELAY_STALL);
	scsi_write16_encode(&request, 0, size / BLOCK, false, data, size);
	send_pending(&drive, &pending[0], request);
	drive_run(&loop, 50);
	relay_reset(relay);
	usleep(20000);
	/* Sent at once, before anybody looks at what has become of the connection. */
	send_pending(&drive, &pending[1], request);
	send_pending(&drive, &pending[2], test_unit_ready());
	relay_set(relay, RELAY_PASS);
	for (int i = 0; i < 3; i++) {
		wait_pending(&pending[i], 1000);
		CHECK(pending[i].request.result.error == -ENOTCONN);
	}
	snprintf(detail, sizeof(detail), "%s", drive.reason);
	CHECK(drive_wait(&drive, PATH_STATE_DOWN, 100));
	CHECK(strstr(drive.reason, "reset") || strstr(drive.reason, "closed") ||
	      strstr(drive.reason, "pipe"));
	CHECK(drive_reconnect(&drive) == 0);
	become_ready(&drive);
	drive_close(&drive);
	relay_stop(relay);
	free(data);
}

static void test_down_target(void)
{
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 1);

	relay_set(relay, RELAY_STALL);
	relay_cut(relay);
	CHECK(drive_wait(&drive, PATH_STATE_DOWN, 1000));
	/* Connects, and then nothing: the login's own time-out. */
	CHECK(drive_reconnect(&drive) == -ENOTCONN);
	CHECK(strstr(drive.reason, "no answer to connect and login in 3000 ms"));
	relay_set(relay, RELAY_PASS);
	relay_cut(relay);
	CHECK(drive_reconnect(&drive) == 0);
	become_ready(&drive);
	drive_close(&drive);
	relay_stop(relay);
}

static void note_closed(void *user)
{
	*(bool *)user = true;
}

static void test_close_with_commands(void)
{
	struct pending pending[5];
	struct drive drive;
	struct relay *relay = open_through_relay(&drive, 1);
	uint8_t *block = malloc(BLOCK);
	bool closed = false;

	relay_set(relay, RELAY_STALL);
	for (int i = 0; i < 5; i++) {
		send_pending(&drive, &pending[i], block_request(false, 0, block, 10000));
		if (i == 2)
			drive_run(&loop, 10);
	}
	path_close(drive.path, note_closed, &closed);
	CHECK(!closed);
	for (int i = 0; i < 5; i++)
		CHECK(pending[i].done == 0); /* never from within path_close() */
	for (int i = 0; i < 5; i++) {
		wait_pending(&pending[i], 1000);
		CHECK(pending[i].request.result.outcome == SCSI_OUTCOME_UNKNOWN);
		CHECK(pending[i].request.result.error == -ECANCELED);
	}
	free(block);
	drive_run(&loop, 1000);
	CHECK(closed);
	relay_stop(relay);
}

static void test_close_while_connecting(void)
{
	struct path_open_options options = options_of(NULL);
	char message[200];
	struct path *paths[PATHS_MAX];
	bool closed = false;
	size_t count;

	CHECK(path_kind_iscsi.open(&loop, url(1), &options, paths, &count, message,
				   sizeof(message)) == 0);
	path_close(paths[0], note_closed, &closed);
	drive_run(&loop, 100);
	CHECK(closed);
	closed = false;
	CHECK(path_kind_iscsi.open(&loop, "iscsi://no-such-host.invalid/iqn.2024-01.x:y/1",
				   &options, paths, &count, message, sizeof(message)) == 0);
	drive_run(&loop, 1);
	path_close(paths[0], note_closed, &closed);
	for (int i = 0; i < 100 && !closed; i++)
		drive_run(&loop, 100);
	CHECK(closed);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"LUNs above 255 by flat addressing", test_flat_addressing},
	{"one session for all LUNs", test_one_session},
	{"another qualifier or initiator, another session", test_sessions_apart},
	{"what cannot be opened is said in words", test_refusals},
	{"a login has its time-out", test_login_timeout},
	{"CHAP, one-way and mutual", test_chap},
	{"header digest", test_header_digest},
	{"a read given up leaves the buffer alone", test_given_up_read},
	{"a write given up sends what it was given", test_given_up_write},
	{"a silent logical unit does not fill the session", test_many_given_up},
	{"a pause of the process is no time-out", test_paused_process},
	{"LOGICAL UNIT RESET", test_reset},
	{"a lost session: all down, no login by itself, one for all", test_lost_session},
	{"a lost session: nothing is sent again", test_no_resend},
	{"a lost session: reset with data on its way", test_reset_connection},
	{"a portal that accepts and stays silent", test_down_target},
	{"close with commands outstanding", test_close_with_commands},
	{"close while connecting", test_close_while_connecting},
	{"redirection is bounded", test_redirect},
};

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	if (!getenv("TGT_PORTAL") || !getenv("TGT_DIR")) {
		fprintf(stderr, "%s: run it by tests/table/tgt.sh\n", argv[0]);
		return 2;
	}
	uv_loop_init(&loop);
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
