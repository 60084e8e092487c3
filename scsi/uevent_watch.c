/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Listens to the kernel's uevents on a loop. Any process of the network namespace with
 * CAP_NET_ADMIN may send to that group, so the sender is checked: the kernel has port 0, and its
 * credentials are root's.
 */
#include "scsi/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UEVENT_GROUP_KERNEL 1
#define UEVENT_BUFFER (1 << 20) /* of the socket: a thousand LUNs that come at once */
#define UEVENT_BATCH 64         /* messages of one turn of the loop */

struct uevent_watch {
	uv_poll_t poll;
	int fd;
	uevent_seen *seen;
	void *user;
	void (*closed)(void *user);
	void *closed_user;
	char buffer[UEVENT_SIZE_MAX + 1];
};

static bool uevent_is_from_kernel(const struct msghdr *message, const struct sockaddr_nl *sender)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct ucred credentials;

	if (message->msg_namelen != sizeof(*sender) || sender->nl_family != AF_NETLINK ||
	    sender->nl_pid != 0 || sender->nl_groups != UEVENT_GROUP_KERNEL)
		return false;
	if (!control || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_CREDENTIALS)
		return false;
	memcpy(&credentials, CMSG_DATA(control), sizeof(credentials));
	return credentials.uid == 0;
}

/* False: nothing more is there now. */
static bool uevent_receive(struct uevent_watch *watch)
{
	struct sockaddr_nl sender = {0};
	char control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec part = {watch->buffer, sizeof(watch->buffer)};
	struct msghdr message = {.msg_name = &sender,
				 .msg_namelen = sizeof(sender),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(watch->fd, &message, MSG_DONTWAIT);
	struct uevent event;

	if (length < 0) {
		if (errno == ENOBUFS)
			watch->seen(NULL, watch->user);
		return errno == ENOBUFS || errno == EINTR;
	}
	if (!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    uevent_is_from_kernel(&message, &sender) &&
	    uevent_parse(&event, watch->buffer, (size_t)length) == 0)
		watch->seen(&event, watch->user);
	return true;
}

static void uevent_on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	for (unsigned i = 0; i < UEVENT_BATCH && uevent_receive(poll->data); i++)
		;
	/* That messages were lost is an error of the socket, at which libuv stops watching it. */
	if (status < 0 && !uv_is_closing((uv_handle_t *)poll))
		uv_poll_start(poll, UV_READABLE, uevent_on_readable);
}

static int uevent_socket(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_GROUP_KERNEL};
	int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	int on = 1, size = UEVENT_BUFFER, error;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int uevent_watch_open(uv_loop_t *loop, uevent_seen *seen, void *user, struct uevent_watch **result)
{
	struct uevent_watch *watch = calloc(1, sizeof(*watch));
	int error;

	*result = NULL;
	if (!watch)
		return -ENOMEM;
	watch->fd = uevent_socket();
	error = watch->fd < 0 ? watch->fd : uv_poll_init(loop, &watch->poll, watch->fd);
	if (error < 0) {
		if (watch->fd >= 0)
			close(watch->fd);
		free(watch);
		return error;
	}
	watch->poll.data = watch;
	watch->seen = seen;
	watch->user = user;
	uv_poll_start(&watch->poll, UV_READABLE, uevent_on_readable);
	*result = watch;
	return 0;
}

static void uevent_on_closed(uv_handle_t *handle)
{
	struct uevent_watch *watch = handle->data;

	close(watch->fd);
	if (watch->closed)
		watch->closed(watch->closed_user);
	free(watch);
}

void uevent_watch_close(struct uevent_watch *watch, void (*closed)(void *user), void *user)
{
	watch->closed = closed;
	watch->closed_user = user;
	uv_close((uv_handle_t *)&watch->poll, uevent_on_closed);
}
