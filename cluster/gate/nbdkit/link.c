/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connection to a gate process: made, greeted, kept, lost and made again; what comes over it
 * goes to the paths and to the group runner.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cluster/gate/nbdkit/private.h"

#define POLL_MS 4u /* for the socket of a process that was just started */
#define PRESENT_POLL_MS 20u
#define START_LIMIT_MS 5000u
#define DELAY_FIRST_MS 100u
#define DELAY_MAX_MS 5000u
#define GREETING_MAX_MS 10000u
#define GREETING_MORE_MS 1000u
#define UNANSWERED_MAX 3u /* refreshings: the process hangs */

struct outgoing {
	uv_write_t write;
	uint8_t bytes[];
};

static void connection_closed(uv_handle_t *handle)
{
	struct gate_connection *connection = handle->data;
	free(connection);
}

void gate_link_forget(struct gate *gate)
{
	struct gate_connection *connection = gate->connection;
	if (!connection)
		return;
	gate->connection = NULL;
	connection->gate = NULL;
	uv_close((uv_handle_t *)&connection->pipe, connection_closed);
}

static void retry_due(uv_timer_t *timer)
{
	gate_link_connect(timer->data);
}

void gate_link_retry(struct gate *gate, uint32_t delay_ms)
{
	if (!gate->closing)
		uv_timer_start(&gate->retry, retry_due, delay_ms, 0);
}

/* The end of a connection, or of an attempt. */
void gate_link_down(struct gate *gate, const char *reason)
{
	bool tell = gate->told_up || strcmp(gate->reason, reason) != 0;

	gate_link_forget(gate);
	gate->link = GATE_LINK_DOWN;
	gate->fail_check_ms = 0;
	gate->pid = 0;
	uv_timer_stop(&gate->beat);
	snprintf(gate->reason, sizeof(gate->reason), "%s", reason);
	gate->link_events->lost(gate);
	gate->told_up = false;
	if (gate->closing) {
		gate->link_events->ended(gate);
		return;
	}
	if (gate->restarting) {
		gate_link_retry(gate, POLL_MS);
		return;
	}
	gate_link_retry(gate, gate->delay_ms);
	gate->delay_ms = gate->delay_ms * 2 < DELAY_MAX_MS ? gate->delay_ms * 2 : DELAY_MAX_MS;
	if (tell && gate->events.down)
		gate->events.down(gate, gate->reason, gate->user);
}

static void written(uv_write_t *write, int status)
{
	struct outgoing *outgoing = (struct outgoing *)write;
	(void)status; /* seen by reading */
	free(outgoing);
}

int gate_link_send(struct gate *gate, const struct gate_message *message)
{
	uv_buf_t buffer;
	struct outgoing *outgoing;
	long length;
	int error;

	if (gate->link != GATE_LINK_UP && gate->link != GATE_LINK_GREETING)
		return -ENOTCONN;
	length = gate_wire_encode(message, gate->output, sizeof(gate->output));
	if (length < 0)
		return (int)length;
	outgoing = malloc(sizeof(*outgoing) + (size_t)length);
	if (!outgoing)
		return -ENOMEM;
	memcpy(outgoing->bytes, gate->output, (size_t)length);
	buffer = uv_buf_init((char *)outgoing->bytes, (unsigned)length);
	error = uv_write(&outgoing->write, (uv_stream_t *)&gate->connection->pipe, &buffer, 1,
			 written);
	if (error < 0)
		free(outgoing);
	return error;
}

void gate_link_greet(struct gate *gate)
{
	gate_link_send(gate, &(struct gate_message){.type = GATE_MESSAGE_HELLO,
						    .version = GATE_WIRE_VERSION});
}

/* --- deadlines --- */

static void deadline_due(uv_timer_t *timer)
{
	struct gate *gate = timer->data;
	uint64_t now = gate_now_ms();
	if (gate->fail_check_ms && now >= gate->fail_check_ms) {
		gate->fail_check_ms = now + GATE_FAIL_CHECK_MS;
		gate->fail_checks++;
	}
	if (gate->fail_check_ms && gate->fail_checks >= GATE_FAIL_CHECKS) {
		/* It does not do the one thing that it is there for: ended, it fails all I/O for
		 * good. */
		gate_process_kill(gate);
		gate_link_down(gate, "it did not fail its I/O when told to; killed");
		return;
	}
	gate_link_watch(gate);
}

void gate_link_watch(struct gate *gate)
{
	uint64_t now = gate_now_ms();
	uint64_t when = gate->link_events->expire(gate, now);
	if (gate->fail_check_ms && (!when || gate->fail_check_ms < when))
		when = gate->fail_check_ms;
	if (!when || gate->closing)
		uv_timer_stop(&gate->deadline);
	else
		uv_timer_start(&gate->deadline, deadline_due, when > now ? when - now : 0, 0);
}

static void beat_due(uv_timer_t *timer)
{
	struct gate *gate = timer->data;
	bool greeting = gate->link == GATE_LINK_GREETING;

	/* Counted, so that a stall of this daemon does not look like one of the process. */
	if (++gate->unanswered > (greeting ? 1 : UNANSWERED_MAX)) {
		/* I/O waits in it, and it would obey nobody: ended, it fails that, and another can
		 * begin. */
		gate_process_kill(gate);
		gate_link_down(gate, "the gate process did not answer; killed");
		return;
	}
	if (greeting) {
		uv_timer_start(&gate->beat, beat_due, GREETING_MORE_MS, 0);
		return;
	}
	gate_link_greet(gate);
}

/* --- what comes in --- */

static void take_state(struct gate *gate, const struct gate_message_state *state)
{
	struct gate_message_state old = gate->state;
	bool differs;

	gate->state = *state;
	if (state->state == GATE_STATE_FAILED && state->sequence == gate->sequence)
		gate->fail_check_ms = 0;
	differs = old.state != state->state || old.cause != state->cause ||
		  old.quiet != state->quiet || old.spontaneous != state->spontaneous ||
		  old.sequence != state->sequence || state->refused;
	if (gate->link == GATE_LINK_UP && differs && gate->events.changed)
		gate->events.changed(gate, gate->user);
}

static void take_lun(struct gate *gate, const struct gate_message_lun *info)
{
	struct gate_path *path;

	if (info->lun >= gate->file.lun_count ||
	    strcmp(info->name, gate->file.luns[info->lun].name) != 0)
		return; /* of a process with another configuration */
	path = &gate->paths[info->lun];
	if (gate->link == GATE_LINK_UP) {
		gate->link_events->lun(path, info, false);
		return;
	}
	path->greeting = *info;
	path->greeted = true;
}

static void take_ready(struct gate *gate)
{
	bool found;

	if (gate->link == GATE_LINK_UP)
		return; /* of a refreshing */
	found = !gate->started;
	gate->link = GATE_LINK_UP;
	gate->delay_ms = DELAY_FIRST_MS;
	gate->reason[0] = '\0';
	gate->told_up = true;
	gate->started = false;
	uv_timer_start(&gate->beat, beat_due, gate->refresh_ms, gate->refresh_ms);
	if (gate->events.up)
		gate->events.up(gate, found, gate->user);
	for (size_t i = 0; i < gate->file.lun_count && gate->link == GATE_LINK_UP; i++) {
		struct gate_path *path = &gate->paths[i];
		if (path->greeted)
			gate->link_events->lun(path, &path->greeting, found);
		path->greeted = false;
	}
}

static void take_message(struct gate *gate, const struct gate_message *message)
{
	char reason[GATE_WIRE_TEXT_MAX];
	switch (message->type) {
	case GATE_MESSAGE_SNAPSHOT:
		gate->snapshot = message->snapshot;
		take_state(gate, &message->snapshot.state);
		return;
	case GATE_MESSAGE_LUN:
		take_lun(gate, &message->info);
		return;
	case GATE_MESSAGE_READY:
		take_ready(gate);
		return;
	case GATE_MESSAGE_STATE:
		take_state(gate, &message->state);
		return;
	case GATE_MESSAGE_DONE:
		gate->link_events->answer(gate, &message->done);
		return;
	case GATE_MESSAGE_ATTENTION:
		if (gate->events.attention && message->attention.lun < gate->file.lun_count)
			gate->events.attention(gate, message->attention.lun, message->attention.asc,
					       message->attention.ascq, gate->user);
		return;
	case GATE_MESSAGE_REFUSED:
		snprintf(reason, sizeof(reason), "refused by the gate process: %.300s",
			 message->reason);
		gate_link_down(gate, reason);
		return;
	case GATE_MESSAGE_HELLO:
	case GATE_MESSAGE_SET:
	case GATE_MESSAGE_COMMAND:
	case GATE_MESSAGE_RESET:
	case GATE_MESSAGE_RECONNECT:
	case GATE_MESSAGE_QUIT:
		break;
	}
	gate_link_down(gate, "the gate process sent what only a daemon may say");
}

static void take_input(struct gate_connection *connection)
{
	struct gate_message message;
	size_t at = 0;
	long length;

	while ((length = gate_wire_frame(connection->input + at, connection->used - at)) > 0) {
		if (gate_wire_decode(&message, connection->input + at, (size_t)length) < 0) {
			length = -EBADMSG;
			break;
		}
		at += (size_t)length;
		take_message(connection->gate, &message);
		if (!connection->gate)
			return;
	}
	if (length < 0) {
		gate_link_down(connection->gate, "the gate process sent a bad frame");
		return;
	}
	connection->used -= at;
	memmove(connection->input, connection->input + at, connection->used);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct gate_connection *connection = handle->data;
	(void)suggested;
	*buffer = uv_buf_init((char *)connection->input + connection->used,
			      (unsigned)(sizeof(connection->input) - connection->used));
}

static void received(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	struct gate_connection *connection = stream->data;
	(void)buffer;
	if (!connection->gate)
		return;
	if (count < 0) {
		gate_link_down(connection->gate, "the connection to the gate process was lost");
		return;
	}
	connection->gate->unanswered = 0;
	connection->used += (size_t)count;
	take_input(connection);
}

/* --- connecting --- */

static void spawn(struct gate *gate)
{
	if (gate_process_spawn(gate) < 0) {
		char reason[GATE_WIRE_TEXT_MAX];
		snprintf(reason, sizeof(reason), "%s", gate->reason);
		gate->reason[0] = '\0';
		gate_link_down(gate, reason);
		return;
	}
	gate->link = GATE_LINK_SPAWNING;
	gate->restarting = false;
	gate->spawned_ms = gate_now_ms();
	gate_link_retry(gate, POLL_MS);
}

static void connect_failed(struct gate *gate, int error)
{
	char reason[GATE_WIRE_TEXT_MAX];
	bool absent;

	gate_link_forget(gate);
	if (gate->link == GATE_LINK_SPAWNING && gate->process &&
	    gate_now_ms() - gate->spawned_ms < START_LIMIT_MS) {
		gate_link_retry(gate, POLL_MS);
		return;
	}
	absent = error == UV_ENOENT || error == UV_ECONNREFUSED;
	if (absent && gate->link == GATE_LINK_CONNECTING && !gate->process) {
		if (!gate_process_present(gate)) {
			gate->refused_ms = 0;
			spawn(gate);
			return;
		}
		/* Starting, or ending. */
		if (!gate->refused_ms)
			gate->refused_ms = gate_now_ms();
		if (gate_now_ms() - gate->refused_ms < START_LIMIT_MS) {
			gate_link_retry(gate, PRESENT_POLL_MS);
			return;
		}
	}
	snprintf(reason, sizeof(reason), "%.250s: %s", gate->file.control, uv_strerror(error));
	gate_link_down(gate, reason);
}

static void connected(uv_connect_t *request, int status)
{
	struct gate_connection *connection = request->data;
	struct gate *gate = connection->gate;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	uv_os_fd_t fd;

	if (!gate)
		return;
	if (status < 0) {
		connect_failed(gate, status);
		return;
	}
	gate->pid = 0;
	gate->refused_ms = 0;
	if (uv_fileno((uv_handle_t *)&connection->pipe, &fd) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		gate->pid = peer.pid;
	gate->link = GATE_LINK_GREETING;
	gate->unanswered = 0;
	uv_timer_start(&gate->beat, beat_due, GREETING_MAX_MS, 0);
	uv_read_start((uv_stream_t *)&connection->pipe, allocate, received);
	gate_link_greet(gate);
}

void gate_link_connect(struct gate *gate)
{
	struct gate_connection *connection;

	if (gate->connection || gate->closing)
		return;
	connection = calloc(1, sizeof(*connection));
	if (!connection) {
		gate_link_down(gate, "out of memory");
		return;
	}
	gate->connection = connection;
	connection->gate = gate;
	connection->pipe.data = connection;
	connection->connect.data = connection;
	uv_pipe_init(gate->loop, &connection->pipe, 0);
	if (gate->link != GATE_LINK_SPAWNING)
		gate->link = GATE_LINK_CONNECTING;
	uv_pipe_connect(&connection->connect, &connection->pipe, gate->file.control, connected);
}
