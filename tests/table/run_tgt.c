/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of PR cases against tgt, through iscsi paths: each nexus an initiator name and a
 * session of its own. Run it beside a tgtd: tests/table/tgt.sh 1 build/tests/table/run_tgt [-v]
 * [part of a case's name]
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "scsi/identity.h"
#include "tests/table/drive.h"
#include "tests/table/pr_cases.h"

#define BLOCK 512
#define COMMAND_TIMEOUT_MS 5000
#define FRESH_KEY 0xfe

struct tgt {
	uv_loop_t loop;
	struct drive nexuses[PR_CASE_NEXUSES];
	int sockets[PR_CASE_NEXUSES];
	char url[PATH_NAME_MAX];
};

static void command(struct tgt *tgt, enum pr_case_nexus nexus, struct scsi_request *request,
		    struct scsi_result *result)
{
	request->timeout_ms = COMMAND_TIMEOUT_MS;
	drive_command(&tgt->nexuses[nexus], request);
	*result = request->result;
}

static void tgt_out(void *self, enum pr_case_nexus nexus, const struct pr_out *out,
		    struct scsi_result *result)
{
	uint8_t buffer[PR_OUT_PARAMETER_LENGTH + PR_TRANSPORT_ID_MAX];
	struct scsi_request request = {0};
	struct pr_out known = *out;

	if (pr_out_encode(&request, out, buffer, sizeof(buffer)) < 0) {
		/* Types that the standard does not know; a case wants to see what the target says
		 * to them. */
		known.type = PR_TYPE_WRITE_EXCLUSIVE;
		if (pr_out_encode(&request, &known, buffer, sizeof(buffer)) < 0) {
			scsi_result_from_transport(result, -EINVAL);
			return;
		}
		request.cdb[2] = (uint8_t)out->type;
	}
	command(self, nexus, &request, result);
}

/* Returns the bytes that arrived, or -1. */
static int read_in(void *self, enum pr_case_nexus nexus, enum pr_in_action action, uint8_t *buffer,
		   size_t size, struct scsi_result *result)
{
	struct scsi_request request = {0};

	memset(buffer, 0, size);
	pr_in_encode(&request, action, buffer, size);
	command(self, nexus, &request, result);
	return result->outcome == SCSI_OUTCOME_OK ? (int)result->transferred : -1;
}

static void check_decoded(int error, struct scsi_result *result)
{
	if (error) {
		result->outcome = SCSI_OUTCOME_FAILED;
		result->error = error;
	}
}

static void tgt_read_keys(void *self, enum pr_case_nexus nexus, struct pr_keys *keys,
			  size_t capacity, struct scsi_result *result)
{
	uint8_t buffer[8 + 8 * 64];
	int length = read_in(self, nexus, PR_IN_READ_KEYS, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_keys_decode(keys, capacity, buffer, (size_t)length), result);
}

static void tgt_read_reservation(void *self, enum pr_case_nexus nexus,
				 struct pr_reservation *reservation, struct scsi_result *result)
{
	uint8_t buffer[64];
	int length = read_in(self, nexus, PR_IN_READ_RESERVATION, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_reservation_decode(reservation, buffer, (size_t)length), result);
}

static void tgt_report_capabilities(void *self, enum pr_case_nexus nexus,
				    struct pr_capabilities *capabilities,
				    struct scsi_result *result)
{
	uint8_t buffer[64];
	int length =
		read_in(self, nexus, PR_IN_REPORT_CAPABILITIES, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_capabilities_decode(capabilities, buffer, (size_t)length), result);
}

static void tgt_access(void *self, enum pr_case_nexus nexus, enum pr_case_access access,
		       struct scsi_result *result)
{
	struct scsi_request request = {0};
	uint8_t block[BLOCK] = {0};

	switch (access) {
	case PR_CASE_TEST_UNIT_READY:
		scsi_test_unit_ready_encode(&request);
		break;
	case PR_CASE_READ:
		scsi_read16_encode(&request, 0, 1, block, BLOCK);
		break;
	case PR_CASE_WRITE:
		scsi_write16_encode(&request, 0, 1, false, block, BLOCK);
		break;
	case PR_CASE_WRITE_SAME:
		scsi_write_same16_encode(&request, 8, 1, false, block, BLOCK);
		break;
	case PR_CASE_UNMAP:
		scsi_unmap_encode(&request, 8, 8, block);
		break;
	case PR_CASE_SYNCHRONIZE_CACHE:
		scsi_synchronize_cache16_encode(&request, 0, 1);
		break;
	}
	command(self, nexus, &request, result);
}

static void tgt_reset(void *self, enum pr_case_nexus nexus, struct scsi_result *result)
{
	struct tgt *tgt = self;
	struct scsi_request request = {.timeout_ms = COMMAND_TIMEOUT_MS};

	drive_reset(&tgt->nexuses[nexus], &request);
	*result = request.result;
}

/* Which of our descriptors is the connection that nobody has noted yet. */
static int find_socket(const struct tgt *tgt)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;

	while (folder && found < 0 && (entry = readdir(folder))) {
		struct sockaddr_in peer;
		socklen_t size = sizeof(peer);
		int fd = atoi(entry->d_name);
		bool known = false;

		for (int i = 0; i < PR_CASE_NEXUSES; i++)
			known = known || tgt->sockets[i] == fd;
		if (!known && fd > 2 && getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
		    peer.sin_family == AF_INET)
			found = fd;
	}
	if (folder)
		closedir(folder);
	return found;
}

static int tgt_drop(void *self, enum pr_case_nexus nexus)
{
	struct tgt *tgt = self;

	if (shutdown(tgt->sockets[nexus], SHUT_RDWR) < 0)
		return -errno;
	tgt->sockets[nexus] = -1;
	if (!drive_wait(&tgt->nexuses[nexus], PATH_STATE_DOWN, 2000))
		return -ETIMEDOUT;
	drive_run(&tgt->loop, 50); /* tgt's turn */
	return 0;
}

static int tgt_login(void *self, enum pr_case_nexus nexus)
{
	struct tgt *tgt = self;
	int error = 0;

	if (tgt->nexuses[nexus].state != PATH_STATE_UP)
		error = drive_reconnect(&tgt->nexuses[nexus]);
	if (tgt->sockets[nexus] < 0)
		tgt->sockets[nexus] = find_socket(tgt);
	return error;
}

/* tgtd is killed: what it remembered is gone. */
static int tgt_power_cycle(void *self)
{
	struct tgt *tgt = self;
	char text[300];
	FILE *file;
	int pid = 0;

	snprintf(text, sizeof(text), "%s/pid", getenv("TGT_DIR"));
	file = fopen(text, "re");
	if (!file || fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	if (pid <= 1)
		return -ESRCH;
	kill(pid, SIGKILL);
	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES; nexus++) {
		drive_wait(&tgt->nexuses[nexus], PATH_STATE_DOWN, 2000);
		tgt->sockets[nexus] = -1;
	}
	if (system(getenv("TGT_START")) != 0)
		return -EIO;
	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES; nexus++) {
		int error = tgt_login(self, nexus);

		if (error)
			return error;
	}
	return 0;
}

static int tgt_fresh(void *self)
{
	struct pr_out ignore = {.action = PR_OUT_REGISTER_AND_IGNORE, .service_key = FRESH_KEY};
	struct pr_out clear = {.action = PR_OUT_CLEAR, .key = FRESH_KEY};
	struct scsi_result result;

	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES; nexus++) {
		int error = tgt_login(self, nexus);

		if (error)
			return error;
		for (int i = 0; i < 20; i++) {
			memset(&result, 0, sizeof(result));
			tgt_access(self, nexus, PR_CASE_TEST_UNIT_READY, &result);
			if (result.outcome == SCSI_OUTCOME_OK)
				break;
		}
	}
	tgt_out(self, PR_CASE_D, &ignore, &result);
	if (result.outcome == SCSI_OUTCOME_OK)
		tgt_out(self, PR_CASE_D, &clear, &result);
	return result.outcome == SCSI_OUTCOME_OK ? 0 : -EIO;
}

static int open_nexuses(struct tgt *tgt)
{
	static const char *const initiators[PR_CASE_NEXUSES] = {
		"iqn.2024-01.test.lunkeeper:a", "iqn.2024-01.test.lunkeeper:b",
		"iqn.2024-01.test.lunkeeper:c", "iqn.2024-01.test.lunkeeper:d"};

	for (int i = 0; i < PR_CASE_NEXUSES; i++)
		tgt->sockets[i] = -1;
	for (int i = 0; i < PR_CASE_NEXUSES; i++) {
		struct path_open_options options = {.initiator_name = initiators[i],
						    .isid_qualifier = 1};
		int error = drive_open(&tgt->nexuses[i], &tgt->loop, tgt->url, &options);

		if (error) {
			fprintf(stderr, "%s: %s%s\n", tgt->url, tgt->nexuses[i].message,
				tgt->nexuses[i].reason);
			return error;
		}
		tgt->sockets[i] = find_socket(tgt);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct tgt tgt = {.url = ""};
	struct pr_case_driver driver = {
		.name = "tgt",
		.target = PR_CASE_TGT,
		.abilities = PR_CASE_CAN_POWER_CYCLE | PR_CASE_CAN_UNIT_ATTENTION |
			     PR_CASE_CAN_DROP_SESSION | PR_CASE_CAN_RESET |
			     PR_CASE_CAN_REPORT_CAPABILITIES | PR_CASE_CAN_OTHER_WRITES,
		.self = &tgt,
		.fresh = tgt_fresh,
		.out = tgt_out,
		.read_keys = tgt_read_keys,
		.read_reservation = tgt_read_reservation,
		.report_capabilities = tgt_report_capabilities,
		.access = tgt_access,
		.reset = tgt_reset,
		.drop = tgt_drop,
		.login = tgt_login,
		.power_cycle = tgt_power_cycle,
	};
	struct pr_case_report report;
	bool verbose = argc > 1 && !strcmp(argv[1], "-v"), good = false;

	if (!getenv("TGT_PORTAL") || !getenv("TGT_TARGET")) {
		fprintf(stderr, "%s: run it by tests/table/tgt.sh\n", argv[0]);
		return 2;
	}
	snprintf(tgt.url, sizeof(tgt.url), "iscsi://%s/%s/1", getenv("TGT_PORTAL"),
		 getenv("TGT_TARGET"));
	uv_loop_init(&tgt.loop);
	if (open_nexuses(&tgt) == 0)
		good = pr_cases_run(&driver, argc > 1 + verbose ? argv[1 + verbose] : NULL, verbose,
				    stdout, &report);
	for (int i = 0; i < PR_CASE_NEXUSES; i++)
		drive_close(&tgt.nexuses[i]);
	uv_run(&tgt.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&tgt.loop) == 0 && good ? 0 : 1;
}
