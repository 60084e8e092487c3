/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The witness: a process on this machine that sees records being acknowledged, as a client of the
 * service would. Machines have clocks of their own, which begin anew at every boot and stand still
 * while a machine is frozen; so writers in virtual machines append what they had acknowledged to
 * shared/written, and the witness copies each line to shared/acknowledged as soon as it is there,
 * with this machine's CLOCK_BOOTTIME as its time. What a killed or frozen machine had not yet said
 * was not acknowledged to anybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/rig/record.h"
#include "tools/rig/vm/vm.h"

#define LOOK_MS 500 /* beside what inotify tells */

static void witness_copy(int from, int to)
{
	char line[RIG_ACKNOWLEDGED_SIZE], copy[RIG_ACKNOWLEDGED_SIZE];
	struct rig_record record;
	uint64_t there_ms;
	static off_t at;

	while (pread(from, line, sizeof(line), at) == (ssize_t)sizeof(line)) {
		at += (off_t)sizeof(line);
		/* What is no record is handed on as it is: `rig verify` counts it. */
		memcpy(copy, line, sizeof(copy));
		if (rig_acknowledged_decode(&record, &there_ms, line))
			rig_acknowledged_encode(line + sizeof(line) - RIG_RECORD_SIZE, rig_now_ms(),
						copy);
		if (write(to, copy, sizeof(copy)) != (ssize_t)sizeof(copy))
			_exit(1);
	}
}

static void __attribute__((noreturn)) witness_loop(const struct rig *rig, int from, int to,
						   int tell)
{
	struct pollfd changed = {.fd = tell, .events = POLLIN};
	char events[4096];

	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	/* Its clock is the measure. */
	setpriority(PRIO_PROCESS, 0, -10);
	while (access(rig->folder, F_OK) == 0) {
		witness_copy(from, to);
		if (poll(&changed, 1, LOOK_MS) > 0 && read(tell, events, sizeof(events)) < 0)
			rig_sleep_ms(1);
	}
	_exit(0);
}

int vm_witness_start(struct rig *rig)
{
	char path[RIG_PATH_MAX];
	int from = open(rig_path(rig, path, "shared/written"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int tell = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), to;
	pid_t pid;

	if (from < 0 || tell < 0 || inotify_add_watch(tell, path, IN_MODIFY) < 0)
		return rig_fail(rig, errno, "%s: %s", path, strerror(errno));
	to = open(rig_path(rig, path, "shared/acknowledged"),
		  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (to < 0)
		return rig_fail(rig, errno, "%s: %s", path, strerror(errno));
	rig_cgroup_make(rig, "witness");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		rig_cgroup_join(rig, "witness");
		setsid();
		dup2(from, 3);
		dup2(to, 4);
		dup2(tell, 5);
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		close_range(6, ~0u, 0);
		witness_loop(rig, 3, 4, 5);
	}
	close(from);
	close(to);
	close(tell);
	if (pid < 0)
		return rig_fail(rig, errno, "no process: %s", strerror(errno));
	rig_process_note(&rig->witness, pid);
	return rig_save(rig);
}
