/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The link to the starter: forked, or the unit's; its messages; its loss.
 */
#include "cluster/base/run_private.h"

#include "cluster/base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define STARTERS_LOST_MAX 8
#define FINISH_LIMIT_MS 500

static struct {
	int fd;     /* 0: none; it is never standard input */
	pid_t pid;  /* 0: it is no child of ours */
	int pid_fd; /* as it has told itself; 0: not yet, or there are none here */
	char root[STARTER_PATH_MAX];
	pid_t lost[STARTERS_LOST_MAX]; /* not yet reaped */
	void (*trouble)(const char *message, void *user);
	void *trouble_user;
} the_link;

int link_fd(void)
{
	return the_link.fd;
}

pid_t link_pid(void)
{
	return the_link.pid;
}

void link_say(const char *message)
{
	if (the_link.trouble)
		the_link.trouble(message, the_link.trouble_user);
}

static void reap_lost(void)
{
	for (size_t i = 0; i < STARTERS_LOST_MAX; i++)
		if (the_link.lost[i] && waitpid(the_link.lost[i], NULL, WNOHANG) != 0)
			the_link.lost[i] = 0;
}

static int link_fork(void)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int error = errno;

		close(ends[0]);
		close(ends[1]);
		return -error;
	}
	if (pid == 0) {
		/* Nothing of the daemon's stays open here. */
		int fd = ends[1] == 3 ? 3 : dup3(ends[1], 3, O_CLOEXEC);

		if (syscall(SYS_close_range, 4U, ~0U, 0) != 0)
			for (int other = 4; other < 65536; other++)
				close(other);
		starter_serve(fd);
	}
	close(ends[1]);
	the_link.fd = ends[0];
	the_link.pid = pid;
	return 0;
}

/* The unit's, which is free of what confines this one. */
static int link_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	the_link.fd = fd;
	the_link.pid = 0;
	return 0;
}

int run_prepare(void)
{
	const char *unit = getenv("LUNKEEPER_STARTER");
	int buffer = 1 << 20, error = -ENOENT;
	char message[400];

	reap_lost();
	if (the_link.fd > 0)
		return 0;
	the_link.root[0] = '\0';
	if (unit && *unit)
		error = link_connect(unit);
	if (unit && *unit && error) {
		snprintf(
			message, sizeof(message),
			"%.150s: %.60s: programs are started from here and are as confined as this "
			"daemon; is lunkeeper-link.socket active?",
			unit, strerror(-error));
		link_say(message);
	}
	if (error)
		error = link_fork();
	if (error)
		return error;
	fcntl(the_link.fd, F_SETFL, O_NONBLOCK);
	if (setsockopt(the_link.fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)) != 0)
		setsockopt(the_link.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return 0;
}

void run_on_trouble(void (*trouble)(const char *message, void *user), void *user)
{
	the_link.trouble = trouble;
	the_link.trouble_user = user;
}

void link_close(void)
{
	if (the_link.fd <= 0)
		return;
	close(the_link.fd);
	the_link.fd = 0;
	/* What was sent to one that stands still must not be carried out later. */
	if (the_link.pid_fd > 0) {
		syscall(SYS_pidfd_send_signal, the_link.pid_fd, SIGKILL, NULL, 0);
		close(the_link.pid_fd);
		the_link.pid_fd = 0;
	}
	if (the_link.pid > 0) {
		kill(the_link.pid, SIGKILL);
		for (size_t i = 0; i < STARTERS_LOST_MAX; i++)
			if (!the_link.lost[i]) {
				the_link.lost[i] = the_link.pid;
				break;
			}
	}
	the_link.pid = 0;
	reap_lost();
}

void run_finish(void)
{
	pid_t pid = the_link.pid;

	if (the_link.fd <= 0)
		return;
	/* It ends by itself, and with it what has not begun yet. */
	close(the_link.fd);
	the_link.fd = 0;
	for (int waited = 0; pid > 0 && waited < FINISH_LIMIT_MS; waited++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			pid = 0;
		else
			usleep(1000);
	}
	if (pid > 0)
		kill(pid, SIGKILL);
	if (the_link.pid_fd > 0)
		close(the_link.pid_fd);
	the_link.pid_fd = 0;
	the_link.pid = 0;
	reap_lost();
}

/* --- messages --- */

int link_send(const void *data, size_t length, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights = {0};
	struct iovec part = {(void *)data, length};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};

	if (the_link.fd <= 0)
		return -ENOTCONN;
	if (fd >= 0) {
		packet.msg_control = rights.bytes;
		packet.msg_controllen = sizeof(rights.bytes);
		rights.head.cmsg_level = SOL_SOCKET;
		rights.head.cmsg_type = SCM_RIGHTS;
		rights.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&rights.head), &fd, sizeof(fd));
	}
	if (sendmsg(the_link.fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return errno == EINTR || errno == ENOBUFS ? -EAGAIN : -errno;
	return 0;
}

int link_receive(struct starter_message *message, int *fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} rights;
	struct iovec part = {message, sizeof(*message)};
	struct msghdr packet = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = rights.bytes,
				.msg_controllen = sizeof(rights.bytes)};
	ssize_t length = recvmsg(the_link.fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *control = length > 0 ? CMSG_FIRSTHDR(&packet) : NULL;

	*fd = -1;
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (length <= 0)
		return -1;
	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(control), sizeof(*fd));
	if (length != sizeof(*message) || message->magic != STARTER_MAGIC) {
		if (*fd >= 0)
			close(*fd);
		return -1; /* of another version */
	}
	message->text[sizeof(message->text) - 1] = '\0';
	if (message->kind == STARTER_HELLO && the_link.pid_fd == 0) {
		snprintf(the_link.root, sizeof(the_link.root), "%s", message->text);
		the_link.pid_fd = *fd > 0 ? *fd : 0;
		*fd = -1;
	}
	return 1;
}

/* --- what else it knows --- */

const char *const *run_environment(const char *list[RUN_ENVIRONMENT_MAX + 1])
{
	static const char *const private[] = {"NOTIFY_SOCKET=", "WATCHDOG_",        "LISTEN_",
					      "INVOCATION_ID=", "JOURNAL_STREAM=",  "MAINPID=",
					      "MANAGERPID=",    "SYSTEMD_EXEC_PID="};
	size_t count = 0;

	for (char **one = environ; one && *one && count < RUN_ENVIRONMENT_MAX; one++) {
		bool is_private = false;

		for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++)
			is_private =
				is_private || strncmp(*one, private[i], strlen(private[i])) == 0;
		if (!is_private)
			list[count++] = *one;
	}
	list[count] = NULL;
	return list;
}

/* --- control groups --- */

int run_group_processes(const char *cgroup, pid_t *pids, int max)
{
	return *the_link.root ? cgroup_processes(the_link.root, cgroup, pids, max) : -1;
}

void run_group_kill(const char *cgroup)
{
	if (*the_link.root)
		cgroup_kill(the_link.root, cgroup);
}

void run_group_remove(const char *cgroup)
{
	if (*the_link.root)
		cgroup_remove(the_link.root, cgroup);
}
