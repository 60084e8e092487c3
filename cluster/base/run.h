/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one way to start a program: start, output, time limits, the end of its whole process group,
 * or leaving it to itself. Programs are begun by the starter process (starter.h): no call here
 * waits, neither for an execve() nor for an end. A program has a session and process group of its
 * own, /dev/null as input, "/" as its folder, and inherits nothing of this process: no descriptor,
 * signal mask, ignored signal, limit, priority, locked memory or OOM score; its environment is what
 * is given.
 *
 * One loop at a time uses it. Without memory, or without a starter (which is made anew when it has
 * died), a program fails to start; nothing else is affected.
 */
#ifndef CLUSTER_BASE_RUN_H
#define CLUSTER_BASE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#include "cluster/base/tail.h"

#define RUN_OUTPUT_MAX TAIL_MAX
#define RUN_KILL_GRACE_MS 3000 /* between SIGTERM and SIGKILL */
#define RUN_START_LIMIT_MS                                                                         \
	10000 /* for an execve(); an on-access scanner may hold one for seconds */

struct run;

enum run_output {
	RUN_OUTPUT_KEEP, /* the last RUN_OUTPUT_MAX bytes are in the result */
	RUN_OUTPUT_FILE  /* standard output and error go to options.output */
};

/* How it went. Exactly one of these is so: start_error; exited; signal; neither (it cannot be
 * killed, or its starter died and its status is not known). */
struct run_result {
	int start_error;     /* errno: it was not begun; ETIMEDOUT: not within start_limit_ms */
	bool starter_silent; /* with ETIMEDOUT: the starter did not answer; else the execve() hung */
	bool ended;
	bool exited;
	int status;          /* its exit status, if exited */
	int signal;          /* 0: none */
	bool timed_out;      /* timeout_ms was over and it was killed */
	bool killed;         /* by run_kill() */
	bool status_unknown; /* ended, but the starter that knew how has died */
	uint64_t duration_ms;
	const char *output; /* as text: '\0' at its end, control characters replaced, UTF-8 */
};

struct run_options {
	const char *path;               /* absolute, or looked for in the starter's PATH */
	const char *const *arguments;   /* with argv[0]; ends with NULL */
	const char *const *environment; /* "NAME=value"; ends with NULL */
	const char *cgroup; /* a control group of its own, "SERVICE"; NULL: the starter's */
	const char *user;   /* NULL: the starter's, root */
	bool io_flusher;    /* a block device hangs on it: PR_SET_IO_FLUSHER */
	bool spare;         /* and the kernel shall not kill it for memory */
	enum run_output output_kind;
	int output;              /* RUN_OUTPUT_FILE; stays the caller's */
	uint32_t start_limit_ms; /* 0: RUN_START_LIMIT_MS */
	uint32_t timeout_ms;     /* from its beginning on; 0: none */
	/* It has been begun. May be NULL. */
	void (*begun)(struct run *run, void *user);
	/* Called on the loop, later, exactly once, also when it could not be begun. The run is gone
	 * after it. */
	void (*done)(const struct run_result *result, void *user);
	void *user_data;
};

/* Makes the starter now: before memory is locked, threads are begun and priority is raised. With
 * LUNKEEPER_STARTER in the environment: the unit's, at that socket, if it is there. Without this
 * call it is made with the first program. Returns 0 or -errno. */
int run_prepare(void);
/* Told whenever the starter was lost, or cannot be had: a sentence for people. */
void run_on_trouble(void (*trouble)(const char *message, void *user), void *user);
/* The socket's end and the starter with it, when no program is watched any more. */
void run_finish(void);

#define RUN_ENVIRONMENT_MAX 255
/* This process's environment, without what its service manager tells it alone. Returns list, which
 * ends with NULL and is true as long as the environment is not changed. */
const char *const *run_environment(const char *list[RUN_ENVIRONMENT_MAX + 1]);

/* Returns NULL only without memory (done is not called then). */
struct run *run_start(uv_loop_t *loop, const struct run_options *options);
/* Ends it: SIGTERM, after RUN_KILL_GRACE_MS SIGKILL, to the process group; at_once: SIGKILL. done
 * comes as always, at the latest 2 s after SIGKILL. */
void run_kill(struct run *run, bool at_once);
/* The loop need not stay for it. done comes if the loop runs long enough. */
void run_leave(struct run *run);
/* Lets go of it: it runs on, and neither callback comes any more. The run is gone. */
void run_forget(struct run *run);
/* Its process number; 0: it has none yet. It is no other process's as long as the run is there. */
pid_t run_pid(const struct run *run);

/* The processes left in a control group of programs begun here; -1: not known. */
int run_group_processes(const char *cgroup, pid_t *pids, int max);
void run_group_kill(const char *cgroup);
/* Removes it, if it is empty. */
void run_group_remove(const char *cgroup);

#endif
