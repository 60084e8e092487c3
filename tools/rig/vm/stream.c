/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lines and frames between the rig and its virtual machines, see tools/rig/vm/agent.h.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/rig/rig.h"
#include "tools/rig/vm/agent.h"

int agent_write_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t done = send(fd, at, length, MSG_NOSIGNAL);

		if (done < 0 && errno == ENOTSOCK)
			done = write(fd, at, length);
		if (done < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};

			poll(&room, 1, -1);
			continue;
		}
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			at += done;
			length -= (size_t)done;
		}
	}
	return 0;
}

int agent_write_frame(int fd, char letter, const void *data, size_t length)
{
	unsigned char frame[AGENT_HEADER + AGENT_FRAME_MAX];

	if (length > AGENT_FRAME_MAX)
		return -EMSGSIZE;
	frame[0] = (unsigned char)letter;
	for (int i = 0; i < 4; i++)
		frame[1 + i] = (unsigned char)(length >> (24 - 8 * i));
	memcpy(frame + AGENT_HEADER, data, length);
	return agent_write_all(fd, frame, AGENT_HEADER + length);
}

/* One byte at a time: what follows the line is somebody else's. Lines are short and few. */
ssize_t agent_read_line(int fd, char *buffer, size_t size, unsigned timeout_ms)
{
	uint64_t end = rig_now_ms() + timeout_ms;
	size_t used = 0;

	for (;;) {
		uint64_t now = rig_now_ms();
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int left = !timeout_ms ? -1 : now >= end ? 0 : (int)(end - now);
		int got = poll(&ready, 1, left);
		ssize_t done;

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return -ETIMEDOUT;
		done = read(fd, buffer + used, 1);
		if (done < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (done == 0)
			return 0;
		if (done < 0)
			continue;
		if (buffer[used] == '\n') {
			buffer[used] = 0;
			return (ssize_t)used;
		}
		if (++used == size)
			return -ENOBUFS;
	}
}

static int stream_read_all(int fd, void *data, size_t length)
{
	char *at = data;

	while (length) {
		ssize_t done = read(fd, at, length);

		if (done < 0 && errno == EAGAIN) {
			struct pollfd ready = {.fd = fd, .events = POLLIN};

			poll(&ready, 1, -1);
			continue;
		}
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done == 0)
			return -EPIPE;
		if (done > 0) {
			at += done;
			length -= (size_t)done;
		}
	}
	return 0;
}

ssize_t agent_read_frame(int fd, char *letter, void *buffer)
{
	unsigned char header[AGENT_HEADER];
	size_t length = 0;
	int error = stream_read_all(fd, header, sizeof(header));

	if (error)
		return error;
	*letter = (char)header[0];
	for (int i = 0; i < 4; i++)
		length = length << 8 | header[1 + i];
	if (length > AGENT_FRAME_MAX)
		return -EBADMSG;
	error = stream_read_all(fd, buffer, length);
	return error ? error : (ssize_t)length;
}
