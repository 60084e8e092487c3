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

#include "tests/table/path_driver.h"

struct tgt {
	struct path_driver common;
	int sockets[PR_CASE_NEXUSES];
	char url[PATH_NAME_MAX];
};

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
	if (!drive_wait(&tgt->common.nexuses[nexus], PATH_STATE_DOWN, 2000))
		return -ETIMEDOUT;
	drive_run(&tgt->common.loop, 50); /* tgt's turn */
	return 0;
}

static int tgt_login(void *self, enum pr_case_nexus nexus)
{
	struct tgt *tgt = self;
	int error = 0;

	if (tgt->common.nexuses[nexus].state != PATH_STATE_UP)
		error = drive_reconnect(&tgt->common.nexuses[nexus]);
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
		drive_wait(&tgt->common.nexuses[nexus], PATH_STATE_DOWN, 2000);
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
	struct tgt *tgt = self;

	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES; nexus++) {
		int error = tgt_login(self, nexus);

		if (error)
			return error;
	}
	return path_driver_clean(&tgt->common);
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
		int error =
			drive_open(&tgt->common.nexuses[i], &tgt->common.loop, tgt->url, &options);

		if (error) {
			fprintf(stderr, "%s: %s%s\n", tgt->url, tgt->common.nexuses[i].message,
				tgt->common.nexuses[i].reason);
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
		.out = path_driver_out,
		.read_keys = path_driver_read_keys,
		.read_reservation = path_driver_read_reservation,
		.report_capabilities = path_driver_report_capabilities,
		.access = path_driver_access,
		.reset = path_driver_reset,
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
	uv_loop_init(&tgt.common.loop);
	if (open_nexuses(&tgt) == 0)
		good = pr_cases_run(&driver, argc > 1 + verbose ? argv[1 + verbose] : NULL, verbose,
				    stdout, &report);
	for (int i = 0; i < PR_CASE_NEXUSES; i++)
		drive_close(&tgt.common.nexuses[i]);
	uv_run(&tgt.common.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&tgt.common.loop) == 0 && good ? 0 : 1;
}
