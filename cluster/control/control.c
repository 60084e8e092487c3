/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket's clients: who they are, their lines, their requests one after the other, and
 * their answers. Making the socket itself is in socket.c.
 */
#include "cluster/base/text.h"
#include "cluster/control/private.h"

#include "cluster/base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_READ_SIZE 4096
#define CONTROL_CHECKS 10 /* of slow readers, within stall_ms */
#define CONTROL_BACKLOG 16

struct control_client_state;

struct control_request {
	struct control_client_state *client; /* NULL: gone */
	json_t *arguments;
	void (*gone)(struct control_request *request, void *user);
	void *gone_user;
	uid_t uid;
	pid_t pid;
};

struct control_client_state {
	struct control_client_state *next;
	struct control *control;
	uv_pipe_t pipe;
	struct control_lines lines;
	struct control_request *request; /* being carried out */
	bool processing, paused, closing, last_words;
	bool placed, member; /* it has a place; one of those who are not root */
	uid_t uid;
	pid_t pid;
	size_t queued_before; /* bytes that waited at the last check, and those sent since */
	uint64_t stalled_since_ms;
};

struct control {
	uv_loop_t *loop;
	uv_pipe_t listener;
	uv_timer_t check; /* of slow readers; runs while somebody has unread answers */
	struct control_client_state *clients;
	size_t client_count;
	size_t placed_count, member_count; /* who was not refused; of them, who is not root */
	size_t handles;                    /* not yet closed */
	bool closing;
	uint32_t stall_ms;
	char path[108];
	const struct control_command *commands;
	void *user;
	gid_t group;
	bool has_group;
	char read_buffer[CONTROL_READ_SIZE];
};

struct control_write {
	uv_write_t request;
	char *data;
};

static void client_process(struct control_client_state *client);

/* ---- closing ---- */

static void control_handle_closed(struct control *control)
{
	if (--control->handles == 0)
		free(control);
}

static void client_closed(uv_handle_t *handle)
{
	struct control_client_state *client = handle->data;
	struct control *control = client->control;

	control_lines_free(&client->lines);
	free(client);
	control_handle_closed(control);
}

static void client_close(struct control_client_state *client)
{
	struct control_client_state **link = &client->control->clients;
	struct control_request *request = client->request;

	if (client->closing)
		return;
	client->closing = true;
	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	client->control->client_count--;
	client->control->placed_count -= client->placed ? 1 : 0;
	client->control->member_count -= client->placed && client->member ? 1 : 0;
	client->request = NULL;
	uv_close((uv_handle_t *)&client->pipe, client_closed);
	if (!request)
		return;
	request->client = NULL;
	if (request->gone)
		request->gone(request, request->gone_user);
}

/* ---- answers ---- */

static void client_written(uv_write_t *write, int status)
{
	struct control_write *sent = (struct control_write *)write;
	struct control_client_state *client = write->handle->data;

	free(sent->data);
	free(sent);
	if (client->closing)
		return;
	if (status != 0 || (client->last_words &&
			    uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) == 0))
		client_close(client);
	else if (!client->request && !client->last_words)
		client_process(client); /* lines may have waited for the reader */
}

/* Drops who has let answers wait for CONTROL_STALL_MS without taking a byte of them. */
static void control_check(uv_timer_t *timer)
{
	struct control *control = timer->data;
	struct control_client_state *client = control->clients, *next;
	uint64_t now_ms = clock_now_ms();
	bool waiting = false;

	for (; client; client = next) {
		size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe);

		next = client->next;
		if (queued == 0 || queued < client->queued_before)
			client->stalled_since_ms = now_ms;
		client->queued_before = queued;
		if (queued > 0 && now_ms - client->stalled_since_ms >= control->stall_ms)
			client_close(client);
		else
			waiting = waiting || queued > 0;
	}
	if (!waiting)
		uv_timer_stop(timer);
}

/* Sends a line; takes the reference. */
static int client_send(struct control_client_state *client, json_t *object)
{
	struct control_write *sent = calloc(1, sizeof(*sent));
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	size_t length = text ? strlen(text) : 0;
	uv_buf_t buffer;
	int error;

	json_decref(object);
	if (!sent || !text) {
		free(sent);
		free(text);
		client_close(client);
		return -ENOMEM;
	}
	text[length] = '\n'; /* in place of the closing zero */
	sent->data = text;
	buffer = uv_buf_init(text, (unsigned)length + 1);
	if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) == 0) {
		client->stalled_since_ms = clock_now_ms();
		client->queued_before = 0;
	}
	client->queued_before += length + 1;
	error = uv_write(&sent->request, (uv_stream_t *)&client->pipe, &buffer, 1, client_written);
	if (error) {
		free(sent->data);
		free(sent);
		client_close(client);
		return -EPIPE;
	}
	if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > 0 &&
	    !uv_is_active((uv_handle_t *)&client->control->check))
		uv_timer_start(&client->control->check, control_check,
			       client->control->stall_ms / CONTROL_CHECKS,
			       client->control->stall_ms / CONTROL_CHECKS);
	return 0;
}

static json_t *control_refusal(const char *code, const char *text)
{
	/* text may quote what the sender wrote */
	return json_pack("{s:b, s:o, s:s}", "ok", 0, "error", text_json(text), "code", code);
}

/* Ends the request with this line. */
static void request_end(struct control_request *request, json_t *line)
{
	struct control_client_state *client = request->client;
	json_t *id = json_object_get(request->arguments, "id");

	if (client && line && id)
		json_object_set(line, "id", id);
	if (client) {
		client->request = NULL;
		client_send(client, line);
	} else {
		json_decref(line);
	}
	json_decref(request->arguments);
	free(request);
	if (client && !client->closing)
		client_process(client);
}

void control_reply(struct control_request *request, json_t *answer)
{
	json_t *line = json_pack("{s:b}", "ok", 1);

	if (answer && line) {
		json_object_update(line, answer);
		json_object_set_new(line, "ok", json_true());
	}
	json_decref(answer);
	request_end(request, line);
}

void control_fail(struct control_request *request, const char *code, const char *format, ...)
{
	char text[800];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	request_end(request, control_refusal(code, text));
}

int control_stream(struct control_request *request, json_t *object)
{
	struct control_client_state *client = request->client;

	if (!client) {
		json_decref(object);
		return -EPIPE;
	}
	if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) >
	    CONTROL_STREAM_QUEUE_MAX) {
		json_decref(object);
		client_close(client);
		return -EPIPE;
	}
	return client_send(client, object);
}

void control_on_gone(struct control_request *request,
		     void (*gone)(struct control_request *request, void *user), void *user)
{
	request->gone = gone;
	request->gone_user = user;
}

bool control_is_gone(const struct control_request *request)
{
	return !request->client;
}

uid_t control_peer_uid(const struct control_request *request)
{
	return request->uid;
}

pid_t control_peer_pid(const struct control_request *request)
{
	return request->pid;
}

/* ---- members ---- */

static const json_t *request_member(const struct control_request *request, const char *name)
{
	const json_t *member = json_object_get(request->arguments, name);

	return json_is_null(member) ? NULL : member;
}

bool control_take_text(struct control_request *request, const char *name, bool optional,
		       const char **text)
{
	const json_t *member = request_member(request, name);

	*text = json_string_value(member);
	if (*text || (!member && optional))
		return true;
	control_fail(request, "usage", "\"%s\" %s", name, member ? "must be a text" : "is missing");
	return false;
}

bool control_take_number(struct control_request *request, const char *name, int64_t minimum,
			 int64_t maximum, int64_t otherwise, int64_t *number)
{
	const json_t *member = request_member(request, name);

	*number = member ? json_integer_value(member) : otherwise;
	if (!member || (json_is_integer(member) && *number >= minimum && *number <= maximum))
		return true;
	control_fail(request, "usage", "\"%s\" must be a whole number from %lld to %lld", name,
		     (long long)minimum, (long long)maximum);
	return false;
}

bool control_take_flag(struct control_request *request, const char *name, bool otherwise,
		       bool *flag)
{
	const json_t *member = request_member(request, name);

	*flag = member ? json_is_true(member) : otherwise;
	if (!member || json_is_boolean(member))
		return true;
	control_fail(request, "usage", "\"%s\" must be true or false", name);
	return false;
}

/* ---- requests ---- */

static void client_refuse(struct control_client_state *client, const char *code, const char *text)
{
	client_send(client, control_refusal(code, text));
}

static void client_begin(struct control_client_state *client, json_t *arguments)
{
	const char *name = json_string_value(json_object_get(arguments, "command"));
	const struct control_command *command = client->control->commands;
	struct control_request *request;
	char text[120];

	while (command->name && strcmp(command->name, name) != 0)
		command++;
	request = command->name ? calloc(1, sizeof(*request)) : NULL;
	if (!request) {
		snprintf(text, sizeof(text), "unknown command \"%s\"", name);
		client_refuse(client, command->name ? "memory" : "unknown-command", text);
		json_decref(arguments);
		return;
	}
	request->client = client;
	request->arguments = arguments;
	request->uid = client->uid;
	request->pid = client->pid;
	client->request = request;
	command->handler(request, arguments, client->control->user);
}

static void client_line(struct control_client_state *client, const char *line, size_t length)
{
	char reason[200];
	json_t *arguments;

	if (length == 0)
		return;
	if (control_request_parse(line, length, &arguments, reason, sizeof(reason)) == 0)
		client_begin(client, arguments);
	else
		client_refuse(client, "bad-request", reason);
}

static void client_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer);
static void client_allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer);

/* Carries out what has arrived, until a request takes longer or the sender must wait for its
 * reader. */
static void client_process(struct control_client_state *client)
{
	const char *line;
	size_t length;

	if (client->processing) /* an answer came from within the handler; the loop below goes on */
		return;
	client->processing = true;
	while (!client->closing && !client->request &&
	       uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) <=
		       CONTROL_PAUSE_QUEUE &&
	       control_lines_next(&client->lines, &line, &length))
		client_line(client, line, length);
	client->processing = false;
	if (client->closing || client->last_words)
		return;
	/* A client that sends on while its request is open, or without reading, is not read from
	 * meanwhile. */
	if (!client->paused && client->lines.used > CONTROL_LINE_MAX) {
		client->paused = true;
		uv_read_stop((uv_stream_t *)&client->pipe);
	} else if (client->paused && client->lines.used <= CONTROL_LINE_MAX) {
		client->paused = false;
		uv_read_start((uv_stream_t *)&client->pipe, client_allocate, client_read);
	}
}

static void client_allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	struct control_client_state *client = handle->data;

	(void)size;
	/* one for all: what is read is taken out of it at once */
	*buffer = uv_buf_init(client->control->read_buffer, sizeof(client->control->read_buffer));
}

static void client_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct control_client_state *client = stream->data;
	int error;

	if (got < 0) {
		client_close(client);
		return;
	}
	error = control_lines_append(&client->lines, buffer->base, (size_t)got);
	client_process(client);
	if (!error || client->closing)
		return;
	/* There is no finding the next line of one who does not end this one. */
	client->last_words = true;
	uv_read_stop(stream);
	client_refuse(client, "bad-request",
		      error == -EMSGSIZE ? "the line is longer than 65536 bytes; good bye"
					 : "out of memory; good bye");
}

/* ---- connections ---- */

/* The kernel's word for who is at the other end; unix(7). */
static bool client_permitted(struct control_client_state *client, int fd)
{
	const struct control *control = client->control;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	gid_t groups[256];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	client->uid = peer.uid;
	client->pid = peer.pid;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	if (!control->has_group)
		return false;
	if (peer.gid == control->group)
		return true;
	size = sizeof(groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0)
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == control->group)
			return true;
	return false;
}

/* Members of the group must not be able to keep root out, nor those who are being refused. */
static bool client_take_place(struct control_client_state *client)
{
	struct control *control = client->control;

	client->member = client->uid != 0 && client->uid != geteuid();
	if (control->placed_count >= CONTROL_CLIENTS_MAX ||
	    (client->member && control->member_count >= CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_ROOT))
		return false;
	client->placed = true;
	control->placed_count++;
	control->member_count += client->member ? 1 : 0;
	return true;
}

static void control_connected(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	struct control_client_state *client = status == 0 ? calloc(1, sizeof(*client)) : NULL;
	uv_os_fd_t fd;

	if (!client)
		return;
	client->control = control;
	uv_pipe_init(control->loop, &client->pipe, 0);
	client->pipe.data = client;
	control->handles++;
	client->next = control->clients;
	control->clients = client;
	control->client_count++;
	if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0 ||
	    uv_fileno((uv_handle_t *)&client->pipe, &fd) != 0) {
		client_close(client);
	} else if (!client_permitted(client, fd)) {
		client->last_words = true;
		client_refuse(client, "denied",
			      "permission denied: expected root, or a member of the control_group");
	} else if (!client_take_place(client)) {
		client->last_words = true;
		client_refuse(client, "busy",
			      "too many clients: try again when others have closed");
	} else {
		uv_read_start((uv_stream_t *)&client->pipe, client_allocate, client_read);
	}
}

static void control_listener_closed(uv_handle_t *handle)
{
	control_handle_closed(handle->data);
}

int control_open(struct control **result, uv_loop_t *loop, const struct control_options *options,
		 char *message, size_t message_size)
{
	struct control *control = calloc(1, sizeof(*control));
	int fd, error;

	*result = NULL;
	if (!control)
		return -ENOMEM;
	fd = control_socket_open(options->path, options->group, &control->group, message,
				 message_size);
	if (fd < 0) {
		free(control);
		return fd;
	}
	signal(SIGPIPE, SIG_IGN);
	control->loop = loop;
	control->has_group = options->group != NULL;
	control->commands = options->commands;
	control->user = options->user;
	control->stall_ms = options->stall_ms ? options->stall_ms : CONTROL_STALL_MS;
	snprintf(control->path, sizeof(control->path), "%s", options->path);
	uv_pipe_init(loop, &control->listener, 0);
	uv_timer_init(loop, &control->check);
	control->listener.data = control->check.data = control;
	control->handles = 2;
	error = uv_pipe_open(&control->listener, fd);
	if (error)
		close(fd);
	else
		error = uv_listen((uv_stream_t *)&control->listener, CONTROL_BACKLOG,
				  control_connected);
	if (error) {
		snprintf(message, message_size, "control socket %s: cannot listen: %s",
			 options->path, strerror(-error));
		control_close(control);
		return error;
	}
	*result = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control || control->closing)
		return;
	control->closing = true;
	unlink(control->path);
	uv_close((uv_handle_t *)&control->listener, control_listener_closed);
	uv_close((uv_handle_t *)&control->check, control_listener_closed);
	/* uv_write() has given the kernel at once what it would take */
	while (control->clients)
		client_close(control->clients);
}

size_t control_clients(const struct control *control)
{
	return control->client_count;
}
