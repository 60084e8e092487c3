/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The starter process. It never waits for a child: not for its execve(), of which a pipe tells that
 * closes with it, and not for its end. A child's number is kept (it is not reaped) until the daemon
 * lets go of it, so that no signal can reach another process.
 */
#include "cluster/base/starter.h"

#include "cluster/base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define STARTER_CHILDREN_MAX 1024
#define STATUS_FD 3

struct child {
	uint64_t id;
	pid_t pid;     /* 0: this place is free */
	int status;    /* closes with its execve(); -1: it has */
	bool ended;    /* and the daemon knows it */
	bool released; /* the daemon wants to know nothing more of it */
};

struct starter {
	int daemon;
	struct child children[STARTER_CHILDREN_MAX];
	struct pollfd polled[STARTER_CHILDREN_MAX + 2];
	char message[STARTER_MESSAGE_MAX + 1];
	char root[STARTER_PATH_MAX]; /* of control groups */
};

/* A START, taken apart. */
struct program {
	const char *path, *cgroup, *user;
	char *arguments[STARTER_WORDS_MAX + 1], *variables[STARTER_WORDS_MAX + 1];
	uint32_t flags;
	int output; /* -1: /dev/null */
};

static void tell(struct starter *starter, enum starter_kind kind, const struct child *child,
		 int code, int value, int fd)
{
	struct starter_message message = {
		.magic = STARTER_MAGIC, .kind = kind, .code = code, .value = value};
	struct iovec part = {&message, sizeof(message)};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights = {0};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};

	if (child && child->released)
		return;
	if (child) {
		message.id = child->id;
		message.pid = child->pid;
	} else {
		message.pid = getpid();
		memcpy(message.text, starter->root, sizeof(message.text));
	}
	if (fd >= 0) {
		packet.msg_control = rights.bytes;
		packet.msg_controllen = sizeof(rights.bytes);
		rights.head.cmsg_level = SOL_SOCKET;
		rights.head.cmsg_type = SCM_RIGHTS;
		rights.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&rights.head), &fd, sizeof(fd));
	}
	while (sendmsg(starter->daemon, &packet, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* --- in the child --- */

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t count;

	if (fd < 0)
		return;
	count = write(fd, text, strlen(text));
	(void)count; /* where it is not permitted it works as any other process */
	close(fd);
}

/* What a service manager would give; nothing that the daemon has for itself. */
static void ordinary_limits(void)
{
	static const struct {
		int what;
		struct rlimit limit;
	} limits[] = {
		{RLIMIT_NOFILE, {1024, 524288}}, {RLIMIT_MEMLOCK, {8u << 20, 8u << 20}},
		{RLIMIT_RTPRIO, {0, 0}},         {RLIMIT_RTTIME, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_NICE, {0, 0}},           {RLIMIT_CORE, {0, RLIM_INFINITY}},
	};
	const struct sched_param ordinary = {0};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit old, limit = limits[i].limit;

		if (setrlimit((__rlimit_resource_t)limits[i].what, &limit) == 0 ||
		    getrlimit((__rlimit_resource_t)limits[i].what, &old) != 0)
			continue;
		if (limit.rlim_max > old.rlim_max) /* not permitted to have more */
			limit.rlim_max = old.rlim_max;
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		setrlimit((__rlimit_resource_t)limits[i].what, &limit);
	}
	sched_setscheduler(0, SCHED_OTHER, &ordinary);
	setpriority(PRIO_PROCESS, 0, 0);
	syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 0);
	umask(022);
}

/* By the kernel's own call: the C library keeps signals 32 and 33 for itself, but whoever started
 * the daemon may have left them ignored. */
static void ordinary_signals(void)
{
	static const uint64_t standard[8]; /* SIG_DFL, and no flag; larger than the kernel's */
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, standard, NULL, (size_t)NSIG / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 or errno. */
static int take_descriptors(int status, int output)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), own;

	if (nothing < 0)
		return errno;
	/* None of the three may be one of those that they become. */
	own = fcntl(status, F_DUPFD_CLOEXEC, 10);
	output = fcntl(output < 0 ? nothing : output, F_DUPFD_CLOEXEC, 10);
	nothing = fcntl(nothing, F_DUPFD_CLOEXEC, 10);
	if (own < 0 || output < 0 || nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 ||
	    dup2(output, 2) < 0 || dup3(own, STATUS_FD, O_CLOEXEC) < 0)
		return errno;
	if (syscall(SYS_close_range, STATUS_FD + 1, ~0U, 0) == 0)
		return 0;
	for (int fd = STATUS_FD + 1; fd < 65536; fd++) /* before Linux 5.9 */
		close(fd);
	return 0;
}

/* 0 or errno. */
static int become(const char *user)
{
	const struct passwd *entry;

	if (!*user)
		return 0;
	errno = 0;
	entry = getpwnam(user);
	if (!entry)
		return errno ? errno : ENOENT;
	if (initgroups(user, entry->pw_gid) || setgid(entry->pw_gid) || setuid(entry->pw_uid))
		return errno;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return 0;
}

static void begin(const struct starter *starter, const struct program *program, int status)
	__attribute__((noreturn));

static void begin(const struct starter *starter, const struct program *program, int status)
{
	int error;
	ssize_t count;

	setsid();
	ordinary_signals();
	ordinary_limits();
	write_text("/proc/self/oom_score_adj", program->flags & STARTER_FLAG_SPARE ? "-1000" : "0");
	prctl(PR_SET_IO_FLUSHER, program->flags & STARTER_FLAG_IO_FLUSHER ? 1 : 0, 0, 0, 0);
	if (*program->cgroup && *starter->root)
		cgroup_join(starter->root, program->cgroup); /* without one it runs too */
	error = take_descriptors(status, program->output);
	if (!error)
		error = become(program->user);
	if (!error && chdir("/") != 0)
		error = errno;
	if (!error) {
		execvpe(program->path, program->arguments, program->variables);
		error = errno;
	}
	count = write(STATUS_FD, &error, sizeof(error));
	(void)count;
	_exit(127);
}

/* --- requests --- */

static const char *next_text(char **at, const char *end)
{
	char *text = *at, *zero = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;

	if (!zero)
		return NULL;
	*at = zero + 1;
	return text;
}

static bool take_apart(struct starter *starter, size_t length, const struct starter_start *head,
		       struct program *program)
{
	char *at = starter->message + sizeof(*head), *end = starter->message + length;

	program->flags = head->flags;
	program->path = next_text(&at, end);
	program->cgroup = next_text(&at, end);
	program->user = next_text(&at, end);
	if (!program->path || !program->cgroup || !program->user ||
	    head->argument_count > STARTER_WORDS_MAX || head->variable_count > STARTER_WORDS_MAX)
		return false;
	for (uint16_t i = 0; i < head->argument_count; i++)
		if (!(program->arguments[i] = (char *)next_text(&at, end)))
			return false;
	for (uint16_t i = 0; i < head->variable_count; i++)
		if (!(program->variables[i] = (char *)next_text(&at, end)))
			return false;
	program->arguments[head->argument_count] = NULL;
	program->variables[head->variable_count] = NULL;
	return true;
}

static struct child *free_place(struct starter *starter)
{
	for (size_t i = 0; i < STARTER_CHILDREN_MAX; i++)
		if (starter->children[i].pid == 0)
			return &starter->children[i];
	return NULL;
}

static void start(struct starter *starter, size_t length, int output)
{
	static struct program program;
	struct starter_start head;
	struct child *child = free_place(starter), refused = {0};
	int ends[2] = {-1, -1}, error = 0, pid_fd;

	memcpy(&head, starter->message, sizeof(head));
	refused.id = head.id;
	program.output = output;
	if (!take_apart(starter, length, &head, &program))
		error = EBADMSG;
	else if (!child)
		error = EAGAIN;
	else if (pipe2(ends, O_CLOEXEC) != 0)
		error = errno;
	if (!error) {
		pid_t pid = fork();

		if (pid == 0)
			begin(starter, &program, ends[1]);
		if (pid < 0)
			error = errno;
		else
			*child = (struct child){.id = head.id, .pid = pid, .status = ends[0]};
	}
	if (ends[1] >= 0)
		close(ends[1]);
	if (error) {
		if (ends[0] >= 0)
			close(ends[0]);
		tell(starter, STARTER_FAILED, &refused, 0, error, -1);
		return;
	}
	pid_fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	tell(starter, STARTER_FORKED, child, 0, 0, pid_fd);
	if (pid_fd >= 0)
		close(pid_fd);
}

static void reap(struct child *child)
{
	waitpid(child->pid, NULL, WNOHANG);
	if (child->status >= 0)
		close(child->status);
	child->pid = 0;
}

static void release(struct starter *starter, uint64_t id)
{
	for (size_t i = 0; i < STARTER_CHILDREN_MAX; i++) {
		struct child *child = &starter->children[i];

		if (child->pid == 0 || child->id != id)
			continue;
		child->released = true;
		if (child->ended)
			reap(child);
	}
}

/* The daemon has gone: nothing begins any more, and what has begun is not ours to end. */
static void end(const struct starter *starter) __attribute__((noreturn));

static void end(const struct starter *starter)
{
	for (size_t i = 0; i < STARTER_CHILDREN_MAX; i++)
		if (starter->children[i].pid && starter->children[i].status >= 0)
			kill(starter->children[i].pid, SIGKILL);
	cgroup_sweep();
	_exit(0);
}

static void receive(struct starter *starter)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights;
	struct iovec part = {starter->message, STARTER_MESSAGE_MAX};
	struct msghdr packet = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = rights.bytes,
				.msg_controllen = sizeof(rights.bytes)};
	ssize_t length = recvmsg(starter->daemon, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *control = length > 0 ? CMSG_FIRSTHDR(&packet) : NULL;
	struct starter_start head;
	int output = -1;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0)
		end(starter);
	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
		memcpy(&output, CMSG_DATA(control), sizeof(output));
	if ((size_t)length >= sizeof(head)) {
		memcpy(&head, starter->message, sizeof(head));
		if (head.magic != STARTER_MAGIC)
			end(starter); /* it is told by the end that another one is needed */
		if (head.kind == STARTER_START)
			start(starter, (size_t)length, output);
		else if (head.kind == STARTER_RELEASE)
			release(starter, head.id);
	}
	if (output >= 0)
		close(output);
}

/* --- what becomes of children --- */

static void look_at_execve(struct starter *starter, struct child *child)
{
	int error = 0;
	ssize_t count = read(child->status, &error, sizeof(error));

	if (count < 0 && errno == EINTR)
		return;
	close(child->status);
	child->status = -1;
	tell(starter, count == sizeof(error) ? STARTER_FAILED : STARTER_BEGUN, child, 0, error, -1);
}

static void look_at_ends(struct starter *starter)
{
	for (size_t i = 0; i < STARTER_CHILDREN_MAX; i++) {
		struct child *child = &starter->children[i];
		siginfo_t ended = {0};

		if (child->pid == 0 || child->ended ||
		    waitid(P_PID, (id_t)child->pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
		    ended.si_pid == 0)
			continue;
		if (child->status >= 0)
			look_at_execve(starter, child);
		child->ended = true;
		tell(starter, STARTER_ENDED, child, ended.si_code, ended.si_status, -1);
		if (child->released)
			reap(child);
	}
}

/* SIGCHLD comes by a descriptor; nothing that is meant for the daemon ends its starter. Returns
 * that descriptor, or -1. */
static int serving_signals(void)
{
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM};
	sigset_t children;

	ordinary_signals();
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_SETMASK, &children, NULL);
	return signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Waits until something has happened, and looks at the children's execve()s. */
static void wait_for_news(struct starter *starter, int ends)
{
	struct signalfd_siginfo told;
	nfds_t count = 2;

	starter->polled[0] = (struct pollfd){.fd = starter->daemon, .events = POLLIN};
	starter->polled[1] = (struct pollfd){.fd = ends, .events = POLLIN};
	for (size_t i = 0; i < STARTER_CHILDREN_MAX; i++)
		if (starter->children[i].pid && starter->children[i].status >= 0)
			starter->polled[count++] = (struct pollfd){
				.fd = starter->children[i].status, .events = POLLIN};
	/* Without signalfd(): now and then. */
	if (poll(starter->polled, count, ends < 0 ? 20 : -1) < 0 && errno != EINTR)
		end(starter);
	for (nfds_t k = 2; k < count; k++) {
		struct child *child = starter->children;

		while (child->pid == 0 || child->status != starter->polled[k].fd)
			child++;
		if (starter->polled[k].revents)
			look_at_execve(starter, child);
	}
	while (ends >= 0 && read(ends, &told, sizeof(told)) > 0)
		;
}

void starter_serve(int fd)
{
	static struct starter starter;
	int ends = serving_signals(), self;

	memset(&starter, 0, sizeof(starter));
	starter.daemon = fd;
	prctl(PR_SET_NAME, "lunkeeper-start");
	cgroup_sweep();
	if (!cgroup_root(starter.root, sizeof(starter.root)))
		starter.root[0] = '\0';
	self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	tell(&starter, STARTER_HELLO, NULL, 0, 0, self);
	for (;;) {
		wait_for_news(&starter, ends);
		look_at_ends(&starter);
		if (starter.polled[0].revents)
			receive(&starter);
	}
}

int starter_listen(void)
{
	signal(SIGCHLD, SIG_IGN); /* those that serve are nobody's to wait for */
	if (sd_listen_fds(1) != 1) {
		fprintf(stderr, "lunkeeperd --starter: wants one listening socket from the service "
				"manager\n");
		return 2;
	}
	sd_notify(0, "READY=1");
	for (;;) {
		int fd = accept4(SD_LISTEN_FDS_START, NULL, NULL, SOCK_CLOEXEC);
		pid_t pid;

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED || errno == EMFILE)
				continue;
			return 1;
		}
		pid = fork();
		if (pid == 0) {
			close(SD_LISTEN_FDS_START);
			starter_serve(fd);
		}
		close(fd);
	}
}
