/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Machines: an init process in namespaces of its own (network, mount, PID, UTS, IPC;
 * namespaces(7)). When the init is killed, the kernel kills every process of its PID namespace in
 * the same stroke, which is as near to a power cut as one kernel can come.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/rig/netns/netns.h"

#define BOOT_WAIT_MS 10000
#define DEATH_WAIT_MS 10000
#define FUSE_MAX 1024
#define LOOPS_WATCH_MS 250
#define RUN_OUTPUT_MAX 65536
#define SPAWN_REPORT_MAX 4096

/* Whoever enters a mount namespace gets that namespace's root, so in a plain chroot(2) machines
 * would look for everything in another tree. */
int rig_machine_check_root(struct rig *rig)
{
	struct stat here, there;
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			_exit(errno);
		if (stat("/", &here) < 0 || setns(fd, CLONE_NEWNS) < 0 || stat("/", &there) < 0)
			_exit(errno);
		_exit(here.st_dev == there.st_dev && here.st_ino == there.st_ino ? 0 : EXDEV);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status))
		return rig_fail(rig, EAGAIN, "no process to look at namespaces");
	if (WEXITSTATUS(status) == EXDEV)
		return rig_fail(
			rig, EXDEV,
			"this is a chroot: the rig's machines would see the tree outside of "
			"it. Enter it by pivot_root(2), as systemd-nspawn does and "
			"tests/fresh shows");
	if (WEXITSTATUS(status) == EPERM)
		return rig_fail(rig, EPERM, "a rig makes namespaces: this needs root");
	if (WEXITSTATUS(status))
		return rig_fail(rig, WEXITSTATUS(status),
				"/proc/self/ns/mnt: %s (is /proc mounted?)",
				strerror(WEXITSTATUS(status)));
	return 0;
}

bool rig_machine_runs(const struct rig_machine *machine)
{
	return rig_process_lives(&machine->init);
}

/* Reaps, and says what ended. */
static void machine_reap(const char *name)
{
	siginfo_t info = {0};

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid) {
		if (info.si_code != CLD_EXITED || info.si_status)
			dprintf(STDERR_FILENO, "%llu %s: process %d ended with %s %d\n",
				(unsigned long long)rig_wall_ms(), name, (int)info.si_pid,
				info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
		info.si_pid = 0;
	}
}

/* PID 1 of a namespace takes no signal that it has no handler for, but for SIGKILL and SIGSTOP from
 * outside (pid_namespaces(7)). Between the deaths of its children it writes down which loop devices
 * there are. */
static void __attribute__((noreturn)) machine_init_loop(const struct rig *rig, const char *name)
{
	const struct timespec rest = {.tv_nsec = LOOPS_WATCH_MS * 1000000L};
	sigset_t children;

	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	for (;;) {
		sigtimedwait(&children, NULL, &rest);
		machine_reap(name);
		rig_loops_watch(rig, name);
	}
}

static void machine_streams(const struct rig *rig, const struct rig_machine *machine, int keep)
{
	char path[RIG_PATH_MAX];
	int null = open("/dev/null", O_RDWR);
	int log = open(rig_path(rig, path, "%s/machine.log", machine->name),
		       O_WRONLY | O_CREAT | O_APPEND, 0644);

	dup2(null, STDIN_FILENO);
	dup2(log >= 0 ? log : null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	if (keep != 3)
		dup2(keep, 3);
	close_range(4, ~0u, 0);
}

static void __attribute__((noreturn)) machine_init(struct rig *rig, struct rig_machine *machine,
						   rig_machine_setup *setup, int go, int ready)
{
	char byte, title[16], message[sizeof(rig->message)] = "";
	sigset_t children;

	/* Nothing is begun before rig.json knows this process: who made it may have died by now. */
	if (read(go, &byte, 1) != 1)
		_exit(1);
	machine_streams(rig, machine, ready);
	setsid();
	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	snprintf(title, sizeof(title), "rig:%.11s", machine->name);
	prctl(PR_SET_NAME, title);
	umask(022);
	rig_cgroup_join(rig, machine->name);
	if (sethostname(machine->name, strlen(machine->name)) < 0 || chdir("/") < 0)
		snprintf(message, sizeof(message), "cannot set the host name: %s", strerror(errno));
	else if (setup(rig, machine, message, sizeof(message)) == 0)
		message[0] = 0;
	if (write(3, message, strlen(message) + 1) < 0 || message[0])
		_exit(1);
	close(3);
	machine_init_loop(rig, machine->name);
}

/* Waits for the sentence that the new init says: empty when all is well. */
static int machine_wait_ready(struct rig *rig, struct rig_machine *machine, int ready)
{
	char message[sizeof(rig->message)];
	ssize_t got;

	do
		got = read(ready, message, sizeof(message) - 1);
	while (got < 0 && errno == EINTR);
	if (got > 0 && !message[0])
		return 0;
	message[got > 0 ? got : 0] = 0;
	return rig_fail(rig, EIO, "%s does not boot: %s", machine->name,
			got > 0 ? message : "its init ended");
}

static int machine_fork(struct rig *rig, struct rig_machine *machine, rig_machine_setup *setup,
			const int go[2], const int ready[2])
{
	unsigned long flags =
		CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD;
	long pid;

	fflush(NULL);
	pid = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		close(go[1]);
		close(ready[0]);
		machine_init(rig, machine, setup, go[0], ready[1]);
	}
	if (pid < 0)
		return rig_fail(rig, errno, "cannot make namespaces for %s: %s%s", machine->name,
				strerror(errno), errno == EPERM ? " (this needs root)" : "");
	machine->frozen = false;
	memset(machine->cut, 0, sizeof(machine->cut));
	rig_process_note(&machine->init, (pid_t)pid);
	return rig_save(rig);
}

int rig_machine_boot(struct rig *rig, struct rig_machine *machine, rig_machine_setup *setup)
{
	int go[2], ready[2], error;

	if (rig_machine_runs(machine))
		return rig_fail(rig, EALREADY, "%s is on", machine->name);
	if (pipe2(go, O_CLOEXEC) < 0)
		return rig_fail(rig, errno, "no pipe: %s", strerror(errno));
	if (pipe2(ready, O_CLOEXEC) < 0) {
		error = rig_fail(rig, errno, "no pipe: %s", strerror(errno));
		close(go[0]);
		close(go[1]);
		return error;
	}
	rig_cgroup_make(rig, machine->name);
	error = machine_fork(rig, machine, setup, go, ready);
	close(go[0]);
	close(ready[1]);
	if (!error && write(go[1], "g", 1) == 1)
		error = machine_wait_ready(rig, machine, ready[0]);
	close(go[1]);
	close(ready[0]);
	return error;
}

/* The mount namespace is kept until every process is dead. Otherwise a dying FUSE server could be
 * the last one in it, and would unmount a file system that waits for that very server. */
static int machine_hold_mounts(const struct rig_machine *machine)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)machine->init.pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int rig_machine_kill(struct rig *rig, struct rig_machine *machine)
{
	int mounts;
	bool gone;

	if (!rig_machine_runs(machine))
		return 0;
	mounts = machine_hold_mounts(machine);
	rig_process_signal(&machine->init, SIGKILL);
	/* Version 1's freezer keeps even SIGKILL waiting; the thawed die before they run on. */
	if (machine->frozen)
		rig_machine_thaw(rig, machine);
	gone = rig_process_wait_gone(&machine->init, DEATH_WAIT_MS / 4);
	if (!gone) {
		struct rig_fuse list[FUSE_MAX];

		rig_fuse_abort(list, rig_fuse_list(rig, machine->name, list, FUSE_MAX));
		gone = rig_process_wait_gone(&machine->init, DEATH_WAIT_MS);
	}
	if (mounts >= 0)
		close(mounts);
	if (!gone)
		return rig_fail(rig, EBUSY, "%s does not die: a process of it hangs in the kernel",
				machine->name);
	machine->init = (struct rig_process){0};
	return rig_save(rig);
}

int rig_machine_enter(const struct rig *rig, const struct rig_machine *machine,
		      enum rig_enter enter)
{
	int flags = CLONE_NEWNET, fd, error = 0;

	if (!rig_machine_runs(machine))
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, machine->init.pid, 0);
	if (fd < 0)
		return -errno;
	if (enter == RIG_ENTER_ALL) {
		flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
		rig_cgroup_join(rig, machine->name);
	}
	if (setns(fd, flags) < 0)
		error = -errno;
	close(fd);
	if (!error && enter == RIG_ENTER_ALL && chdir("/") < 0)
		error = -errno;
	return error;
}

static int machine_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int rig_machine_call(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
		     int (*fn)(void *user), void *user)
{
	pid_t pid;
	int error;

	if (!rig_machine_runs(machine))
		return rig_fail(rig, ESRCH, "%s is off", machine->name);
	if (machine->frozen && enter == RIG_ENTER_ALL)
		return rig_fail(rig, EBUSY, "%s is frozen", machine->name);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return rig_fail(rig, errno, "no process: %s", strerror(errno));
	if (pid > 0)
		return machine_wait(pid);
	error = rig_machine_enter(rig, machine, enter);
	if (error) {
		dprintf(STDERR_FILENO, "cannot enter %s: %s\n", machine->name, strerror(-error));
		_exit(125);
	}
	if (enter == RIG_ENTER_NETWORK)
		_exit(fn(user));
	/* A PID namespace is for children; this process only waits for one. */
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(fn(user));
	}
	_exit(pid < 0 ? 125 : machine_wait(pid));
}

/* Our own programs are found first. */
static void machine_set_path(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s:%s", rig_programs(),
		 getenv("PATH") ? getenv("PATH") : "/usr/sbin:/usr/bin:/sbin:/bin");
	setenv("PATH", path, 1);
}

static int exec_program(void *user)
{
	char *const *argv = user;

	machine_set_path();
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

int netns_exec(struct rig *rig, const struct rig_machine *machine, char *const argv[])
{
	rig_programs();
	return rig_machine_call(rig, machine, RIG_ENTER_ALL, exec_program, (void *)argv);
}

struct machine_run {
	const char *const *argv;
	const char *input;
	char *output;
	size_t size;
	int out;
};

static int run_inside(void *user)
{
	struct machine_run *run = user;
	char *output = calloc(1, RUN_OUTPUT_MAX);
	int status;

	if (!output)
		return 125;
	machine_set_path();
	status = rig_run(run->argv, run->input, output, RUN_OUTPUT_MAX);
	if (write(run->out, output, strlen(output)) < 0)
		return 125;
	return status < 0 ? 125 : status;
}

int netns_run(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
	      const char *const argv[], const char *input, char *output, size_t size)
{
	struct machine_run run = {.argv = argv, .input = input};
	int file = memfd_create("output", MFD_CLOEXEC), status;
	ssize_t got;

	if (file < 0)
		return rig_fail(rig, errno, "no memory file: %s", strerror(errno));
	run.out = file;
	rig_programs();
	status = rig_machine_call(rig, machine, enter, run_inside, &run);
	got = pread(file, output, size - 1, 0);
	output[got > 0 ? got : 0] = 0;
	close(file);
	return status;
}

struct machine_spawn {
	const char *const *argv;
	const char *log;
	int report; /* pipe: the number of the new process outside */
	int proc;   /* the outer /proc */
};

/* Ends the child; what is behind the first line's end is the reason why nothing was started. */
static void __attribute__((noreturn, format(printf, 2, 3)))
spawn_failed(const struct machine_spawn *spawn, const char *format, ...)
{
	char text[SPAWN_REPORT_MAX] = "\n";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + 1, sizeof(text) - 1, format, arguments);
	va_end(arguments);
	_exit(write(spawn->report, text, strlen(text)) < 0 ? 125 : 126);
}

/* Twice forked, so that the machine's init is its parent. The outer /proc tells it its own number
 * there. */
static int spawn_inside(void *user)
{
	struct machine_spawn *spawn = user;
	char number[32];
	int log, null;
	ssize_t got;
	pid_t pid = fork();

	if (pid)
		return pid < 0 ? 125 : 0;
	prctl(PR_SET_PDEATHSIG, 0);
	setsid();
	log = open(spawn->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log < 0)
		spawn_failed(spawn, "its log %s: %s", spawn->log, strerror(errno));
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		spawn_failed(spawn, "/dev/null: %s", strerror(errno));
	got = readlinkat(spawn->proc, "self", number, sizeof(number));
	if (got <= 0)
		spawn_failed(spawn, "its number in /proc: %s", strerror(errno));
	if (write(spawn->report, number, (size_t)got) != got)
		_exit(125);
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	machine_set_path();
	execvp(spawn->argv[0], (char *const *)spawn->argv);
	if (strchr(spawn->argv[0], '/'))
		spawn_failed(spawn, "%s", strerror(errno));
	spawn_failed(spawn, "%s (looked for in %s)", strerror(errno), getenv("PATH"));
}

int rig_machine_spawn(struct rig *rig, const struct rig_machine *machine, const char *const argv[],
		      const char *log, struct rig_process *process)
{
	struct machine_spawn spawn = {.argv = argv, .log = log};
	char said[SPAWN_REPORT_MAX] = "", *reason;
	size_t length = 0;
	ssize_t got = 1;
	int report[2], status;

	if (pipe2(report, O_CLOEXEC) < 0)
		return rig_fail(rig, errno, "no pipe: %s", strerror(errno));
	spawn.report = report[1];
	spawn.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	rig_programs();
	status = rig_machine_call(rig, machine, RIG_ENTER_ALL, spawn_inside, &spawn);
	close(report[1]);
	close(spawn.proc);
	/* The other end is closed by a successful execve(). */
	while (status == 0 && got > 0 && length < sizeof(said) - 1) {
		got = read(report[0], said + length, sizeof(said) - 1 - length);
		length += got > 0 ? (size_t)got : 0;
	}
	close(report[0]);
	if (status < 0)
		return status;
	reason = strchr(said, '\n');
	if (status || !length || reason)
		return rig_fail(rig, EIO, "cannot start %s on %s: %s", argv[0], machine->name,
				reason ? reason + 1 : "no process for it");
	if (rig_process_note(process, (pid_t)atoi(said)))
		return rig_fail(rig, ESRCH, "%s on %s ended at once; see %s", argv[0],
				machine->name, log);
	return rig_save(rig);
}

int netns_freeze(struct rig *rig, struct rig_machine *machine, bool frozen)
{
	int error = rig_cgroup_freeze(rig, machine->name, frozen);

	if (error)
		return rig_fail(rig, -error, "cannot %s %s: %s", frozen ? "freeze" : "thaw",
				machine->name,
				error == -ENOTSUP ? "this kernel has no freezer control group"
						  : strerror(-error));
	machine->frozen = frozen;
	return rig_save(rig);
}
