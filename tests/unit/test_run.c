/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Programs begun by the starter: the loop goes on while an execve() hangs (held by a fanotify
 * listener that does not answer, as an on-access scanner holds it), while the starter stands still
 * and after its death; and nothing of this process is inherited.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/base/cgroup.h"
#include "cluster/base/clock.h"
#include "cluster/base/run.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static uv_timer_t beat;
static unsigned beats;
static uint64_t longest_ms, beat_ms;
static char folder[64], script[96];

struct story {
	int begun, done;
	struct run_result result;
	char output[RUN_OUTPUT_MAX + 1];
	uint64_t at_ms;
};

static unsigned troubles;
static char trouble_text[400];

static void trouble(const char *message, void *user)
{
	(void)user;
	troubles++;
	snprintf(trouble_text, sizeof(trouble_text), "%s", message);
}

static void begun(struct run *run, void *user)
{
	struct story *story = user;

	CU_ASSERT(run_pid(run) > 1);
	story->begun++;
}

static void done(const struct run_result *result, void *user)
{
	struct story *story = user;

	story->done++;
	story->result = *result;
	snprintf(story->output, sizeof(story->output), "%s", result->output);
	story->result.output = story->output;
	story->at_ms = clock_now_ms();
}

static void on_beat(uv_timer_t *timer)
{
	uint64_t now = clock_now_ms();

	(void)timer;
	if (beats++ && now - beat_ms > longest_ms)
		longest_ms = now - beat_ms;
	beat_ms = now;
}

static void write_script(const char *text)
{
	FILE *out = fopen(script, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(out);
	fprintf(out, "#!/bin/sh\n%s\n", text);
	fclose(out);
	CU_ASSERT_EQUAL(chmod(script, 0700), 0);
}

static void begin(const char *text)
{
	snprintf(folder, sizeof(folder), "/tmp/test_run.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(script, sizeof(script), "%s/program", folder);
	write_script(text);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &beat);
	uv_timer_start(&beat, on_beat, 0, 5);
	uv_unref((uv_handle_t *)&beat);
	beats = 0;
	longest_ms = 0;
	troubles = 0;
	trouble_text[0] = '\0';
	run_on_trouble(trouble, NULL);
}

static void end(void)
{
	char command[100];

	CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0);
	uv_close((uv_handle_t *)&beat, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static struct run *start(struct story *story, uint32_t start_limit_ms, uint32_t timeout_ms)
{
	const char *const arguments[] = {script, "word", NULL};
	static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "A=b",
						  NULL};
	const struct run_options options = {.path = script,
					    .arguments = arguments,
					    .environment = environment,
					    .begun = begun,
					    .done = done,
					    .start_limit_ms = start_limit_ms,
					    .timeout_ms = timeout_ms,
					    .user_data = story};
	struct run *run;

	memset(story, 0, sizeof(*story));
	run = run_start(&loop, &options);
	CU_ASSERT_PTR_NOT_NULL_FATAL(run);
	CU_ASSERT_EQUAL(story->done, 0); /* never from within */
	return run;
}

/* The starter: the child of that name. */
static pid_t starter_pid(void)
{
	DIR *folder_of_all = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (folder_of_all && (entry = readdir(folder_of_all))) {
		char path[300], name[64] = "";
		int pid = 0, parent = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%d (%60[^)]) %*c %d", &pid, name, &parent) == 3 &&
		    parent == getpid() && strcmp(name, "lunkeeper-start") == 0)
			found = pid;
		fclose(file);
	}
	if (folder_of_all)
		closedir(folder_of_all);
	return found;
}

static void a_program_is_begun_and_its_end_is_told(void)
{
	struct story story;

	begin("echo $1 $A; exit 5");
	start(&story, 0, 5000);
	end();
	CU_ASSERT_EQUAL(story.begun, 1);
	CU_ASSERT_EQUAL(story.done, 1);
	CU_ASSERT(story.result.ended && story.result.exited);
	CU_ASSERT_EQUAL(story.result.status, 5);
	CU_ASSERT_STRING_EQUAL(story.output, "word b");
}

static void what_is_not_there_is_told(void)
{
	struct story story;

	begin("");
	CU_ASSERT_EQUAL(unlink(script), 0);
	start(&story, 0, 5000);
	end();
	CU_ASSERT_EQUAL(story.begun, 0);
	CU_ASSERT_EQUAL(story.done, 1);
	CU_ASSERT_EQUAL(story.result.start_error, ENOENT);
}

/* Holds every execve() of the script, unanswered, until it is closed. -1: not permitted here. */
static int hold_execve(void)
{
	int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_EXEC_PERM, AT_FDCWD, script) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int held_fd;

static void let_go(uv_timer_t *timer)
{
	close(held_fd);
	uv_close((uv_handle_t *)timer, NULL);
}

static void a_slow_execve_holds_up_nobody(void)
{
	struct story slow, other;
	uv_timer_t timer;
	char saved[sizeof(script)];

	begin("exit 0");
	held_fd = hold_execve();
	if (held_fd < 0) {
		printf("(no fanotify with permissions here: skipped) ");
		end();
		return;
	}
	start(&slow, 5000, 5000);
	/* Another program is begun, and ends, meanwhile. */
	memcpy(saved, script, sizeof(saved));
	snprintf(script, sizeof(script), "%s/other", folder);
	write_script("exit 4");
	start(&other, 5000, 5000);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, let_go, 700, 0);
	end();
	memcpy(script, saved, sizeof(script));
	CU_ASSERT_EQUAL(other.result.status, 4);
	CU_ASSERT(other.at_ms + 300 < slow.at_ms);
	CU_ASSERT_EQUAL(slow.begun, 1);
	CU_ASSERT(slow.result.exited && slow.result.status == 0);
	CU_ASSERT(beats > 50);
	CU_ASSERT(longest_ms < 300);
	CU_ASSERT_EQUAL(troubles, 0);
}

static void an_execve_that_hangs_is_told(void)
{
	struct story story;
	uv_timer_t timer;
	uint64_t began;

	begin("exit 0");
	held_fd = hold_execve();
	if (held_fd < 0) {
		end();
		return;
	}
	began = clock_now_ms();
	start(&story, 300, 5000);
	uv_run(&loop, UV_RUN_DEFAULT); /* is not kept by what may hang for ever */
	CU_ASSERT_EQUAL(story.done, 1);
	/* What was told as hanging is reaped when it has ended. */
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, let_go, 300, 0);
	end();
	CU_ASSERT_EQUAL(story.begun, 0);
	CU_ASSERT_EQUAL(story.done, 1);
	CU_ASSERT_EQUAL(story.result.start_error, ETIMEDOUT);
	CU_ASSERT_FALSE(story.result.starter_silent);
	CU_ASSERT(story.at_ms - began >= 300 && story.at_ms - began < 2000);
	CU_ASSERT_EQUAL(troubles, 0); /* the starter is well */
}

static void a_starter_that_stands_still_is_replaced(void)
{
	struct story story, next;
	pid_t old, now;

	begin("exit 0");
	start(&story, 0, 5000);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(story.done, 1);
	old = starter_pid();
	CU_ASSERT_FATAL(old > 0);
	kill(old, SIGSTOP);
	start(&story, 300, 5000);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(story.done, 1);
	CU_ASSERT_EQUAL(story.result.start_error, ETIMEDOUT);
	CU_ASSERT_TRUE(story.result.starter_silent);
	CU_ASSERT(beats > 20);
	CU_ASSERT(longest_ms < 200);
	CU_ASSERT_EQUAL(troubles, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(trouble_text, "did not answer"));
	start(&next, 0, 5000);
	end();
	now = starter_pid();
	CU_ASSERT(now > 0 && now != old);
	CU_ASSERT(next.result.exited && next.result.status == 0);
}

static void kill_starter(uv_timer_t *timer)
{
	kill(starter_pid(), SIGKILL);
	uv_close((uv_handle_t *)timer, NULL);
}

static void a_starter_that_dies_is_made_anew(void)
{
	struct story story, next;
	uv_timer_t timer;

	begin("sleep 0.6; exit 0");
	start(&story, 0, 5000);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, kill_starter, 200, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	/* It ran on, and its end is known; how it ended is not. */
	CU_ASSERT_EQUAL(story.begun, 1);
	CU_ASSERT_EQUAL(story.done, 1);
	CU_ASSERT_TRUE(story.result.ended);
	CU_ASSERT_TRUE(story.result.status_unknown);
	CU_ASSERT_EQUAL(troubles, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(trouble_text, "has ended"));
	write_script("exit 6");
	start(&next, 0, 5000);
	end();
	CU_ASSERT_EQUAL(next.result.status, 6);
}

static void many_at_once(void)
{
	static struct story stories[200];

	begin("exit 0");
	for (size_t i = 0; i < 200; i++)
		start(&stories[i], 0, 30000);
	end();
	for (size_t i = 0; i < 200; i++)
		CU_ASSERT(stories[i].result.exited && stories[i].result.status == 0);
}

static void one_that_is_forgotten_is_reaped(void)
{
	struct story story;
	char path[64];
	struct run *run;
	pid_t pid;

	begin("sleep 0.2");
	run = start(&story, 0, 0);
	while (story.begun == 0)
		uv_run(&loop, UV_RUN_ONCE);
	pid = run_pid(run);
	run_forget(run);
	end();
	CU_ASSERT_EQUAL(story.done, 0);
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	for (int i = 0; i < 300 && access(path, F_OK) == 0; i++)
		usleep(10000);
	CU_ASSERT(access(path, F_OK) != 0);
}

/* --- what is inherited --- */

/* The line of the output that begins with `name`. */
static const char *line_of(const char *output, const char *name)
{
	static char line[300];
	const char *at = output;

	while (at && strncmp(at, name, strlen(name)) != 0) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	snprintf(line, sizeof(line), "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
	return line;
}

static void nothing_is_inherited(void)
{
	struct rlimit files, limit = {0};
	struct sched_param realtime = {.sched_priority = 1};
	struct story story;
	sigset_t blocked, old;
	char score[32] = "";
	int pair[2], fd;

	run_finish();
	/* A starter of a daemon that is as odd as can be. */
	CU_ASSERT_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0); /* not closed by exec */
	getrlimit(RLIMIT_NOFILE, &files);
	limit = files;
	limit.rlim_cur = files.rlim_max < 777 ? files.rlim_max : 777;
	setrlimit(RLIMIT_NOFILE, &limit);
	sigfillset(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, &old);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	umask(077);
	mlockall(MCL_CURRENT);
	sched_setscheduler(0, SCHED_RR, &realtime);
	fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	CU_ASSERT(fd >= 0);
	CU_ASSERT(read(fd, score, sizeof(score) - 1) > 0);
	if (pwrite(fd, "-500", 4, 0) != 4)
		CU_ASSERT_EQUAL(pwrite(fd, "500", 3, 0), 3);

	begin("for f in /proc/$$/fd/*; do printf '%s ' \"${f##*/}\"; done; echo\n"
	      "echo files $(ulimit -Sn) $(ulimit -Hn)\n"
	      "echo score $(cat /proc/$$/oom_score_adj)\n"
	      "echo mask $(umask)\n"
	      "echo folder $(pwd)\n"
	      "grep -E '^(SigBlk|SigIgn|VmLck)' /proc/$$/status\n"
	      "cut -d' ' -f18,19,41 /proc/$$/stat | sed 's/^/priority /'\n"
	      "grep -E 'locked memory|realtime priority' /proc/$$/limits | tr -s ' '");
	start(&story, 0, 5000);
	uv_run(&loop, UV_RUN_DEFAULT);

	CU_ASSERT_EQUAL(pwrite(fd, score, strlen(score), 0), (ssize_t)strlen(score));
	close(fd);
	realtime.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &realtime);
	munlockall();
	umask(022);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	close(pair[0]);
	close(pair[1]);
	run_finish();
	end();

	CU_ASSERT_EQUAL(story.result.status, 0);
	/* 3 is the folder that is being read, 10 the script. */
	CU_ASSERT(strncmp(story.output, "0 1 10 2 3 \n", 12) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(line_of(story.output, "files"), "files 1024 "));
	CU_ASSERT_STRING_EQUAL(line_of(story.output, "score"), "score 0");
	CU_ASSERT_STRING_EQUAL(line_of(story.output, "mask"), "mask 0022");
	CU_ASSERT_STRING_EQUAL(line_of(story.output, "folder"), "folder /");
	CU_ASSERT_STRING_EQUAL(line_of(story.output, "SigBlk"), "SigBlk:\t0000000000000000");
	CU_ASSERT_STRING_EQUAL(line_of(story.output, "SigIgn"), "SigIgn:\t0000000000000000");
	CU_ASSERT_PTR_NOT_NULL(strstr(line_of(story.output, "VmLck"), " 0 kB"));
	/* priority, nice value, scheduling policy: proc_pid_stat(5) */
	CU_ASSERT_STRING_EQUAL(line_of(story.output, "priority"), "priority 20 0 0");
	CU_ASSERT_PTR_NOT_NULL(
		strstr(line_of(story.output, "Max locked memory"), "memory 8388608 8388608"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(line_of(story.output, "Max realtime priority"), "priority 0 0"));
}

static void a_service_has_a_group_of_its_own(void)
{
	static const char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
	struct story story;
	char root[512], name[64];
	const char *const arguments[] = {script, NULL};
	const struct run_options options = {.path = script,
					    .arguments = arguments,
					    .environment = environment,
					    .cgroup = name,
					    .done = done,
					    .user_data = &story};
	pid_t pids[8];

	if (!cgroup_root(root, sizeof(root))) {
		printf("(no unified hierarchy of control groups here: skipped) ");
		return;
	}
	/* Ends, and leaves one behind that has a session of its own. */
	begin("setsid sleep 300 >/dev/null 2>&1 &\nsleep 0.1; grep ^0:: /proc/self/cgroup");
	snprintf(name, sizeof(name), "lunkeeper-test-%d/service-x", (int)getpid());
	memset(&story, 0, sizeof(story));
	CU_ASSERT_PTR_NOT_NULL_FATAL(run_start(&loop, &options));
	end();
	CU_ASSERT_EQUAL(story.result.status, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(story.output, name));
	CU_ASSERT_EQUAL(run_group_processes(name, pids, 8), 1);
	run_group_kill(name);
	for (int i = 0; i < 200 && run_group_processes(name, pids, 8) > 0; i++)
		usleep(10000);
	CU_ASSERT_EQUAL(run_group_processes(name, pids, 8), 0);
	run_group_remove(name);
	snprintf(root + strlen(root), sizeof(root) - strlen(root), "/lunkeeper-test-%d",
		 (int)getpid());
	CU_ASSERT(access(root, F_OK) != 0);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"a program is begun and its end is told", a_program_is_begun_and_its_end_is_told},
		{"what is not there is told", what_is_not_there_is_told},
		{"a slow execve holds up nobody", a_slow_execve_holds_up_nobody},
		{"an execve that hangs is told", an_execve_that_hangs_is_told},
		{"a starter that stands still is replaced",
		 a_starter_that_stands_still_is_replaced},
		{"a starter that dies is made anew", a_starter_that_dies_is_made_anew},
		{"many at once", many_at_once},
		{"one that is forgotten is reaped", one_that_is_forgotten_is_reaped},
		{"nothing is inherited", nothing_is_inherited},
		{"a service has a group of its own", a_service_has_a_group_of_its_own},
		CU_TEST_INFO_NULL,
	};

	return unit_run("run", tests);
}
