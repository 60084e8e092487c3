/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rig's SAN: one tgtd with one target, whose LUNs are sparse files in the rig's folder. It runs
 * in the SAN's namespaces, so that its control socket below /run and its port are the rig's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/rig/netns/netns.h"

#define START_WAIT_MS 20000
#define SLOW_PROMPT_MS 4 /* how long a slow target works between two stalls */

const char *rig_target_url(unsigned lun, unsigned network, char buffer[RIG_PATH_MAX])
{
	char address[16];

	snprintf(buffer, RIG_PATH_MAX, "iscsi://%s:%d/%s/%u", rig_net_address(0, network, address),
		 RIG_PORT, RIG_TARGET_IQN, lun);
	return buffer;
}

const char *netns_target_wwid(unsigned lun, char buffer[RIG_PATH_MAX])
{
	snprintf(buffer, RIG_PATH_MAX, "naa.60000000000000000e0000000001%04x", lun);
	return buffer;
}

const char *netns_target_file(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX])
{
	return rig_path(rig, buffer, "san/lun%u", lun);
}

const char *rig_initiator(const struct rig *rig, const char *node, char buffer[RIG_PATH_MAX])
{
	snprintf(buffer, RIG_PATH_MAX, "iqn.2026-01.test.rig.%s:%s", rig->name, node);
	return buffer;
}

int netns_target_check(struct rig *rig)
{
	static const char *const programs[][2] = {
		{"tgtd", "tgt"}, {"tgtadm", "tgt"}, {"ip", "iproute2"}, {"bridge", "iproute2"}};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		char command[64];
		const char *argv[] = {"sh", "-c", command, NULL};
		char output[64];

		snprintf(command, sizeof(command), "command -v %s", programs[i][0]);
		if (rig_run(argv, NULL, output, sizeof(output)) != 0)
			return rig_fail(rig, ENOENT,
					"%s is not here (looked for in %s); `apt-get install %s` "
					"brings it",
					programs[i][0], getenv("PATH"), programs[i][1]);
	}
	return 0;
}

/* Runs in the SAN. Returns 0, or the place where it failed (for the message). */
static int tgtadm(const char *const arguments[])
{
	const char *argv[24] = {"tgtadm", "--lld", "iscsi"};
	char output[512];
	size_t count = 3;
	int status;

	while (*arguments && count < 23)
		argv[count++] = *arguments++;
	argv[count] = NULL;
	status = rig_run(argv, NULL, output, sizeof(output));
	if (status)
		dprintf(STDERR_FILENO, "%s", output);
	return status;
}

/* The target answers its control port a moment after it was started. */
static int target_wait(void)
{
	const char *argv[] = {"tgtadm", "--mode", "sys", "--op", "show", NULL};
	uint64_t end = rig_now_ms() + START_WAIT_MS;
	char output[4096];

	while (rig_run(argv, NULL, output, sizeof(output)) != 0) {
		if (rig_now_ms() > end)
			return -1;
		rig_sleep_ms(5);
	}
	return 0;
}

/* Nobody may log in before all is there: access is given last. */
static int target_fill(void *user)
{
	const struct rig *rig = user;
	const char *target[] = {"--mode", "target",       "--op",         "new", "--tid",
				"1",      "--targetname", RIG_TARGET_IQN, NULL};
	const char *bind[] = {"--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL", NULL};
	char number[16], file[RIG_PATH_MAX];
	const char *lun[] = {"--mode", "logicalunit",     "--op", "new", "--tid", "1", "--lun",
			     number,   "--backing-store", file,   NULL};

	if (target_wait())
		return 2;
	if (tgtadm(target))
		return 3;
	for (unsigned i = 1; i <= rig->lun_count; i++) {
		snprintf(number, sizeof(number), "%u", i);
		netns_target_file(rig, i, file);
		if (tgtadm(lun))
			return 4;
	}
	return tgtadm(bind) ? 5 : 0;
}

int netns_target_start(struct rig *rig)
{
	char threads[16], log[RIG_PATH_MAX];
	const char *argv[] = {"tgtd", "--foreground", "--nr_iothreads", threads, NULL};
	int status;

	if (rig_process_lives(&rig->target))
		return rig_fail(rig, EALREADY, "the target is on");
	snprintf(threads, sizeof(threads), "%u", rig->io_threads);
	rig_path(rig, log, "san/tgtd.log");
	rig->target_stalled = false;
	status = rig_machine_spawn(rig, &rig->san, argv, log, &rig->target);
	if (status)
		return status;
	status = rig_machine_call(rig, &rig->san, RIG_ENTER_ALL, target_fill, rig);
	if (status == 2)
		return rig_fail(rig, EIO, "tgtd does not answer; see %s", log);
	if (status > 0)
		return rig_fail(rig, EIO, "tgtd could not be set up; see %s", log);
	return status;
}

int netns_target_kill(struct rig *rig)
{
	int error = netns_target_slow(rig, 0);

	if (error)
		return error;
	rig_process_signal(&rig->target, SIGKILL);
	if (!rig_process_wait_gone(&rig->target, START_WAIT_MS))
		return rig_fail(rig, EBUSY, "tgtd (process %d) does not die", (int)rig->target.pid);
	rig->target = (struct rig_process){0};
	rig->target_stalled = false;
	return rig_save(rig);
}

int netns_target_stall(struct rig *rig, bool stalled)
{
	if (rig_process_signal(&rig->target, stalled ? SIGSTOP : SIGCONT))
		return rig_fail(rig, ESRCH, "the target is off");
	rig->target_stalled = stalled;
	return rig_save(rig);
}

/* A slow array without a queueing discipline in the kernel: the target is stopped for the whole
 * delay and runs for an instant, again and again, so that hardly any answer comes sooner. */
static int __attribute__((noreturn)) slow_loop(struct rig_process target, unsigned milliseconds)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	setsid();
	close_range(0, ~0u, 0);
	while (rig_process_lives(&target)) {
		rig_process_signal(&target, SIGSTOP);
		rig_sleep_ms(milliseconds);
		rig_process_signal(&target, SIGCONT);
		rig_sleep_ms(SLOW_PROMPT_MS);
	}
	_exit(0);
}

int netns_target_slow(struct rig *rig, unsigned milliseconds)
{
	pid_t pid;

	if (rig_process_lives(&rig->slow)) {
		rig_process_signal(&rig->slow, SIGKILL);
		rig_process_wait_gone(&rig->slow, START_WAIT_MS);
		rig_process_signal(&rig->target, SIGCONT);
	}
	rig->slow = (struct rig_process){0};
	if (!milliseconds)
		return rig_save(rig);
	if (!rig_process_lives(&rig->target))
		return rig_fail(rig, ESRCH, "the target is off");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* In the SAN's group, so that nothing is left when the rig goes. */
		rig_cgroup_join(rig, rig->san.name);
		slow_loop(rig->target, milliseconds);
	}
	if (pid < 0)
		return rig_fail(rig, errno, "no process: %s", strerror(errno));
	rig_process_note(&rig->slow, pid);
	for (int i = 0; i < START_WAIT_MS && rig_process_state(&rig->target) != 'T'; i++)
		rig_sleep_ms(1);
	return rig_save(rig);
}

/* `tgtadm --op show --mode target` lists, below each target:
 *         I_T nexus: 3
 *             Initiator: iqn... alias: ...
 *             Connection: 0
 *                 IP Address: 10.77.0.11 */
struct target_drop {
	const struct rig *rig;
	const struct rig_machine *machine;
};

static int target_drop(void *user)
{
	static const char *const show[] = {"tgtadm", "--lld", "iscsi", "--mode",
					   "target", "--op",  "show",  NULL};
	static char output[1 << 20];
	const struct target_drop *drop = user;
	char initiator[RIG_PATH_MAX], nexus[32] = "", *save = NULL, *line;
	const char *arguments[] = {"--mode", "conn", "--op",  "delete", "--tid", "1",
				   "--sid",  nexus,  "--cid", "0",      NULL};
	int count = 0;

	rig_initiator(drop->rig, drop->machine->name, initiator);
	if (rig_run(show, NULL, output, sizeof(output)))
		return 255;
	for (line = strtok_r(output, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *at = strstr(line, "I_T nexus: ");

		if (at)
			snprintf(nexus, sizeof(nexus), "%s", at + strlen("I_T nexus: "));
		at = strstr(line, "Initiator: ");
		if (!at)
			continue;
		at += strlen("Initiator: ");
		if (!strncmp(at, initiator, strlen(initiator)) &&
		    strchr(" \t", at[strlen(initiator)]) && tgtadm(arguments) == 0)
			count++;
	}
	return count > 200 ? 200 : count;
}

int netns_target_drop(struct rig *rig, const struct rig_machine *machine)
{
	struct target_drop drop = {.rig = rig, .machine = machine};
	int count;

	if (rig->target_stalled || !rig_process_lives(&rig->target))
		return rig_fail(rig, ESRCH, "the target does not run");
	count = rig_machine_call(rig, &rig->san, RIG_ENTER_ALL, target_drop, &drop);
	if (count == 255)
		return rig_fail(rig, EIO, "tgtadm does not answer");
	return count;
}

struct target_replace {
	const struct rig *rig;
	unsigned lun;
	bool back;
};

/* A LUN goes only while no command is in flight on it. */
static int target_replace(void *user)
{
	const struct target_replace *replace = user;
	char number[16], file[RIG_PATH_MAX], parameters[64];
	const char *gone[] = {"--mode", "logicalunit", "--op", "delete", "--tid",
			      "1",      "--lun",       number, NULL};
	const char *made[] = {"--mode", "logicalunit",     "--op", "new", "--tid", "1", "--lun",
			      number,   "--backing-store", file,   NULL};
	const char *named[] = {"--mode", "logicalunit", "--op",     "update",   "--tid", "1",
			       "--lun",  number,        "--params", parameters, NULL};
	uint64_t end = rig_now_ms() + START_WAIT_MS;

	snprintf(number, sizeof(number), "%u", replace->lun);
	snprintf(parameters, sizeof(parameters), "scsi_id=REPLACED%u,scsi_sn=other%u", replace->lun,
		 replace->lun);
	if (replace->back)
		netns_target_file(replace->rig, replace->lun, file);
	else
		rig_path(replace->rig, file, "san/other%u", replace->lun);
	while (tgtadm(gone))
		if (rig_now_ms() > end)
			return 2;
	if (tgtadm(made))
		return 3;
	return replace->back || tgtadm(named) == 0 ? 0 : 4;
}

int netns_target_replace(struct rig *rig, unsigned lun, bool back)
{
	struct target_replace replace = {.rig = rig, .lun = lun, .back = back};
	char path[RIG_PATH_MAX];
	int status;
	FILE *file;

	if (rig->target_stalled || !rig_process_lives(&rig->target))
		return rig_fail(rig, ESRCH, "the target does not run");
	file = fopen(rig_path(rig, path, "san/other%u", lun), "we");
	if (!file || ftruncate(fileno(file), (off_t)rig->lun_size) < 0) {
		if (file)
			fclose(file);
		return rig_fail(rig, errno, "cannot make %s: %s", path, strerror(errno));
	}
	fclose(file);
	status = rig_machine_call(rig, &rig->san, RIG_ENTER_ALL, target_replace, &replace);
	if (status > 0)
		return rig_fail(rig, EIO, "tgtd does not replace LUN %u (step %d)", lun, status);
	return status;
}
