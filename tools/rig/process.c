/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processes of a rig: telling a process from another one that got its number later, and running
 * programs.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/rig/rig.h"

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t rig_now_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

uint64_t rig_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

void rig_sleep_ms(unsigned milliseconds)
{
	struct timespec rest = {.tv_sec = milliseconds / 1000,
				.tv_nsec = (long)(milliseconds % 1000) * 1000000};

	while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
		;
}

/* proc(5): pid (comm) state ppid ... starttime is field 22. comm may hold anything, so the fields
 * are counted from its last parenthesis. */
static int process_stat(pid_t pid, char *state, uint64_t *start_time)
{
	char path[64], text[1024], *at;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return -ESRCH;
	text[got] = 0;
	at = strrchr(text, ')');
	if (!at || at[1] != ' ')
		return -EINVAL;
	*state = at[2];
	at += 2;
	for (int field = 3; field < 22; field++) {
		at = strchr(at, ' ');
		if (!at)
			return -EINVAL;
		at++;
	}
	*start_time = strtoull(at, NULL, 10);
	return 0;
}

char rig_process_state(const struct rig_process *process)
{
	uint64_t start_time;
	char state;

	if (process->pid <= 0 || process_stat(process->pid, &state, &start_time) ||
	    start_time != process->start_time)
		return 0;
	return state;
}

bool rig_process_lives(const struct rig_process *process)
{
	char state = rig_process_state(process);

	return state && state != 'Z' && state != 'X';
}

int rig_process_note(struct rig_process *process, pid_t pid)
{
	char state;
	int error = process_stat(pid, &state, &process->start_time);

	process->pid = error ? 0 : pid;
	return error;
}

int rig_process_signal(const struct rig_process *process, int signal_number)
{
	if (!rig_process_state(process))
		return -ESRCH;
	return kill(process->pid, signal_number) < 0 ? -errno : 0;
}

/* A zombie counts as gone: whoever should reap it may take his time, and a dead init's namespaces
 * are gone before it becomes one. */
bool rig_process_wait_gone(const struct rig_process *process, unsigned timeout_ms)
{
	uint64_t end = rig_now_ms() + timeout_ms;

	while (rig_process_lives(process)) {
		if (rig_now_ms() >= end)
			return !rig_process_lives(process);
		rig_sleep_ms(1);
	}
	/* Our own child, if it was this command that started it. */
	if (process->pid > 0)
		waitpid(process->pid, NULL, WNOHANG);
	return true;
}

static void run_child(const char *const argv[], int in, int out)
{
	/* Whoever is killed while it waits leaves nothing that goes on making what `down`
	 * removes. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execvp(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_collect(int fd, char *output, size_t size)
{
	char scrap[1024] = {0};
	size_t used = 0;

	for (;;) {
		bool room = used + 1 < size;
		ssize_t got = read(fd, room ? output + used : scrap,
				   room ? size - 1 - used : sizeof(scrap));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (room)
			used += (size_t)got;
	}
	if (size)
		output[used] = 0;
}

/* The input goes through a file without a name: a pipe could fill while nobody reads. */
static int run_input(const char *input)
{
	char path[] = "/tmp/lunkeeper-rig.XXXXXX";
	size_t length;
	int fd;

	if (!input)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	unlink(path);
	length = strlen(input);
	if (write(fd, input, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int rig_run(const char *const argv[], const char *input, char *output, size_t size)
{
	int pipes[2], in = run_input(input);
	pid_t pid;

	if (in < 0)
		return -errno;
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		close(in);
		return -errno;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_child(argv, in, pipes[1]);
	close(in);
	close(pipes[1]);
	if (pid < 0) {
		close(pipes[0]);
		return -errno;
	}
	run_collect(pipes[0], output, size);
	close(pipes[0]);
	return wait_status(pid);
}

const char *rig_self(void)
{
	static char path[RIG_PATH_MAX];

	if (!path[0]) {
		ssize_t got = readlink("/proc/self/exe", path, sizeof(path) - 1);

		path[got > 0 ? got : 0] = 0;
	}
	return path;
}

const char *rig_programs(void)
{
	static char folder[RIG_PATH_MAX];
	char *slash;

	if (!folder[0]) {
		snprintf(folder, sizeof(folder), "%s", rig_self());
		slash = strrchr(folder, '/');
		if (slash)
			*slash = 0;
	}
	return folder;
}
