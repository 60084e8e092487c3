/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asking a daemon through its control socket, with a limit of time for each step.
 */
#include "cluster/base/text.h"
#include "cluster/control/client.h"
#include "cluster/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT_BUFFER_BEGIN 4096
#define CLIENT_CONNECT_PAUSE_MS 20

struct control_client {
	int fd;
	char path[108];
	char *data;
	size_t used, size, taken; /* taken: bytes of lines that were given out */
};

static int client_fail(const struct control_client *client, int error, char *message, size_t size,
		       const char *format, ...) __attribute__((format(printf, 5, 6)));

static int client_fail(const struct control_client *client, int error, char *message, size_t size,
		       const char *format, ...)
{
	va_list arguments;
	int used = snprintf(message, size, "lunkeeperd at %s: ", client->path);

	if (used > 0 && (size_t)used < size) {
		va_start(arguments, format);
		vsnprintf(message + used, size - (size_t)used, format, arguments);
		va_end(arguments);
	}
	return error;
}

static int client_fail_connect(const struct control_client *client, int error, char *message,
			       size_t size)
{
	const char *advice = "";

	if (error == -ENOENT || error == -ECONNREFUSED)
		advice = ": is lunkeeperd running?";
	else if (error == -EACCES || error == -EPERM)
		advice = ": expected root, or a member of the control_group";
	else if (error == -EAGAIN)
		advice = ": is lunkeeperd hung?";
	snprintf(message, size, "cannot reach lunkeeperd at %s: %s%s", client->path,
		 strerror(-error), advice);
	return error;
}

/* Milliseconds left until the deadline for poll(); -1: no limit. */
static int client_left(uint64_t deadline_ms)
{
	uint64_t now_ms = clock_now_ms();

	if (deadline_ms == 0)
		return -1;
	if (now_ms >= deadline_ms)
		return 0;
	return deadline_ms - now_ms > 86400000 ? 86400000 : (int)(deadline_ms - now_ms);
}

/* 0, or -ETIMEDOUT, -errno. */
static int client_wait(const struct control_client *client, short events, uint64_t deadline_ms)
{
	struct pollfd ready = {.fd = client->fd, .events = events};
	int got;

	do {
		got = poll(&ready, 1, client_left(deadline_ms));
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return got == 0 ? -ETIMEDOUT : 0;
}

int control_client_open(struct control_client **result, const char *path, uint32_t timeout_ms,
			char *message, size_t message_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_client *client = calloc(1, sizeof(*client));
	uint64_t deadline_ms = clock_now_ms() + timeout_ms;
	int error = 0;

	*result = NULL;
	if (!client)
		return -ENOMEM;
	snprintf(client->path, sizeof(client->path), "%s", path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		error = -errno;
	else if (strlen(path) >= sizeof(address.sun_path))
		error = -ENAMETOOLONG;
	else
		memcpy(address.sun_path, path, strlen(path) + 1);
	/* a Unix socket connects at once, or its queue is full: EAGAIN */
	while (!error && connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		error = -errno;
		if (error == -EINTR || (error == -EAGAIN && client_left(deadline_ms) > 0)) {
			error = 0;
			poll(NULL, 0, CLIENT_CONNECT_PAUSE_MS);
		}
	}
	if (error) {
		client_fail_connect(client, error, message, message_size);
		control_client_close(client);
		return error;
	}
	*result = client;
	return 0;
}

int control_client_adopt(struct control_client **result, int fd, const char *name)
{
	struct control_client *client = calloc(1, sizeof(*client));

	*result = client;
	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	client->fd = fd;
	snprintf(client->path, sizeof(client->path), "%s", name);
	return 0;
}

void control_client_close(struct control_client *client)
{
	if (!client)
		return;
	if (client->fd >= 0)
		close(client->fd);
	free(client->data);
	free(client);
}

int control_client_send(struct control_client *client, const json_t *request, uint32_t timeout_ms,
			char *message, size_t message_size)
{
	uint64_t deadline_ms = timeout_ms ? clock_now_ms() + timeout_ms : 0;
	char *line = json_dumps(request, JSON_COMPACT);
	size_t length = line ? strlen(line) + 1 : 0, sent = 0;
	int error = line ? 0 : -EINVAL;

	if (line)
		line[length - 1] = '\n';
	while (!error && sent < length) {
		ssize_t count = send(client->fd, line + sent, length - sent, MSG_NOSIGNAL);

		if (count >= 0)
			sent += (size_t)count;
		else if (errno == EAGAIN)
			error = client_wait(client, POLLOUT, deadline_ms);
		else if (errno != EINTR)
			error = -errno;
	}
	free(line);
	if (error)
		client_fail(client, error, message, message_size,
			    "the request could not be sent: %s", strerror(-error));
	return error;
}

/* A complete line that has arrived, or NULL. */
static char *client_line(struct control_client *client, size_t *length)
{
	char *line, *end;

	if (client->taken > 0)
		memmove(client->data, client->data + client->taken, client->used - client->taken);
	client->used -= client->taken;
	client->taken = 0;
	line = client->data;
	end = client->used ? memchr(line, '\n', client->used) : NULL;
	if (!end)
		return NULL;
	*length = (size_t)(end - line);
	client->taken = *length + 1;
	return line;
}

/* 0: something came; -EPIPE: the end. */
static int client_fill(struct control_client *client, uint64_t deadline_ms)
{
	ssize_t got;
	int error;

	if (client->used == client->size) {
		size_t size = client->size ? 2 * client->size : CLIENT_BUFFER_BEGIN;
		char *larger =
			size <= 2 * (size_t)CONTROL_ANSWER_MAX ? realloc(client->data, size) : NULL;

		if (!larger)
			return size <= 2 * (size_t)CONTROL_ANSWER_MAX ? -ENOMEM : -EMSGSIZE;
		client->data = larger;
		client->size = size;
	}
	for (;;) {
		got = recv(client->fd, client->data + client->used, client->size - client->used, 0);
		if (got > 0)
			break;
		if (got == 0 || errno == ECONNRESET)
			return -EPIPE;
		if (errno == EINTR)
			continue;
		error = errno == EAGAIN ? client_wait(client, POLLIN, deadline_ms) : -errno;
		if (error)
			return error;
	}
	client->used += (size_t)got;
	return 0;
}

int control_client_receive(struct control_client *client, json_t **answer, uint32_t timeout_ms,
			   char *message, size_t message_size)
{
	uint64_t deadline_ms = timeout_ms ? clock_now_ms() + timeout_ms : 0;
	json_error_t fault;
	size_t length = 0;
	char *line;

	*answer = NULL;
	while (!(line = client_line(client, &length))) {
		int error = client_fill(client, deadline_ms);

		if (error == -EPIPE)
			return client_fail(client, error, message, message_size,
					   "it closed the connection without an answer: it was "
					   "stopped, or this client "
					   "read too slowly");
		if (error == -ETIMEDOUT)
			return client_fail(client, error, message, message_size,
					   "no answer within %u ms: is it hung?", timeout_ms);
		if (error)
			return client_fail(client, error, message, message_size, "no answer: %s",
					   strerror(-error));
	}
	*answer = json_loadb(line, length, 0, &fault);
	text_clean_json(*answer);
	if (json_is_object(*answer))
		return 0;
	json_decref(*answer);
	*answer = NULL;
	return client_fail(client, -EBADMSG, message, message_size,
			   "its answer is no JSON object: is something else there?");
}

int control_client_ask(const char *path, const json_t *request, uint32_t timeout_ms,
		       json_t **answer, char *message, size_t message_size)
{
	struct control_client *client;
	int error = control_client_open(&client, path, timeout_ms, message, message_size);

	*answer = NULL;
	if (error)
		return error;
	error = control_client_send(client, request, timeout_ms, message, message_size);
	/* one who is refused at once finds the refusal there, though the connection is closed */
	if (!error || error == -EPIPE)
		error = control_client_receive(client, answer, timeout_ms, message, message_size);
	control_client_close(client);
	return error;
}
