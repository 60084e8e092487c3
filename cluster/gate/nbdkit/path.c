/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The path kind `gate`: commands that go through the gate process's own session, which is the nexus
 * that registers. The give-up time of a command is the process's; the daemon gives up a little
 * later only in case the process does not answer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/gate/nbdkit/private.h"

#define GRACE_MS 250u

static struct gate_path *gate_path_of(struct path *path)
{
	return (struct gate_path *)path;
}

static struct scsi_request *next_of(const struct scsi_request *request)
{
	return request->path_private.node[0];
}

static void run_ended(uv_idle_t *work)
{
	struct gate *gate = work->data;
	uv_idle_stop(work);
	path_gate_run_ended(gate);
}

static void request_end(struct gate *gate, struct scsi_request *request)
{
	request->path_private.node[0] = gate->ended;
	gate->ended = request;
	if (!uv_is_closing((uv_handle_t *)&gate->work))
		uv_idle_start(&gate->work, run_ended);
}

static void request_fail(struct gate *gate, struct scsi_request *request, int error)
{
	scsi_result_from_transport(&request->result, error);
	request->result.transferred = 0;
	request->result.duration_us =
		(uint32_t)(uv_hrtime() / 1000 - request->path_private.sent_at_us);
	request_end(gate, request);
}

void path_gate_run_ended(struct gate *gate)
{
	struct scsi_request *request = gate->ended, *first = NULL;
	gate->ended = NULL;
	while (request) { /* they were put in front of each other */
		struct scsi_request *next = next_of(request);
		request->path_private.node[0] = first;
		first = request;
		request = next;
	}
	while (first) {
		request = first;
		first = next_of(request);
		request->done(request);
	}
}

static uint64_t give_up_at_ms(const struct scsi_request *request)
{
	uint32_t timeout_ms = request->timeout_ms ? request->timeout_ms : SCSI_TIMEOUT_DEFAULT_MS;
	return request->path_private.sent_at_us / 1000 + timeout_ms + GRACE_MS;
}

uint64_t path_gate_expire(struct gate *gate, uint64_t now_ms)
{
	struct scsi_request **at = &gate->pending;
	uint64_t earliest = 0;
	while (*at) {
		struct scsi_request *request = *at;
		uint64_t when = give_up_at_ms(request);
		if (when <= now_ms) {
			*at = next_of(request);
			request_fail(gate, request, -ETIMEDOUT);
			continue;
		}
		earliest = !earliest || when < earliest ? when : earliest;
		at = (struct scsi_request **)&request->path_private.node[0];
	}
	return earliest;
}

void path_gate_end_all(struct gate *gate, int error)
{
	struct scsi_request *request = gate->pending;
	gate->pending = NULL;
	while (request) {
		struct scsi_request *next = next_of(request);
		request_fail(gate, request, error);
		request = next;
	}
}

void path_gate_answer(struct gate *gate, const struct gate_message_done *done)
{
	struct scsi_request **at = &gate->pending;
	struct scsi_request *request;

	while (*at && (*at)->path_private.serial != done->id)
		at = (struct scsi_request **)&(*at)->path_private.node[0];
	request = *at;
	if (!request)
		return; /* given up here a moment before */
	*at = next_of(request);
	request->result = done->result;
	if (request->direction == SCSI_DIRECTION_IN && request->data) {
		uint32_t count = done->data_length < request->data_length ? done->data_length
									  : request->data_length;
		memcpy(request->data, done->data, count);
		request->result.transferred = count;
	}
	request_end(gate, request);
}

static void send_request(struct path *path, struct scsi_request *request,
			 enum gate_message_type type)
{
	struct gate_path *own = gate_path_of(path);
	struct gate *gate = own->gate;
	struct gate_message message = {
		.type = type,
		.command =
			{
				.id = ++gate->next_id,
				.lun = own->lun,
				.timeout_ms = request->timeout_ms ? request->timeout_ms
								  : SCSI_TIMEOUT_DEFAULT_MS,
			},
	};
	int error;

	request->path_private.sent_at_us = uv_hrtime() / 1000;
	request->path_private.serial = gate->next_id;
	if (type == GATE_MESSAGE_COMMAND) {
		message.command.cdb_length = request->cdb_length;
		memcpy(message.command.cdb, request->cdb, sizeof(message.command.cdb));
		message.command.direction = request->direction;
		message.command.data_length =
			request->direction == SCSI_DIRECTION_NONE ? 0 : request->data_length;
		message.command.data = request->data;
	}
	error = path->state == PATH_STATE_UP ? gate_link_send(gate, &message) : -ENOTCONN;
	if (error < 0) {
		request_fail(gate, request, error);
		return;
	}
	request->path_private.node[0] = gate->pending;
	gate->pending = request;
	gate_link_watch(gate);
}

static void submit(struct path *path, struct scsi_request *request)
{
	send_request(path, request, GATE_MESSAGE_COMMAND);
}

static void reset(struct path *path, struct scsi_request *request)
{
	send_request(path, request, GATE_MESSAGE_RESET);
}

static void reconnect(struct path *path)
{
	struct gate_path *own = gate_path_of(path);
	struct gate_message message = {.type = GATE_MESSAGE_RECONNECT, .lun = own->lun};
	gate_link_send(own->gate, &message);
}

/* The gate owns its paths; closing one ends nothing but what the caller waits for. */
static void close_path(struct path *path, void (*closed)(void *user), void *user)
{
	path->changed = NULL;
	if (closed)
		closed(user);
}

static const struct path_ops operations = {
	.kind = "gate",
	.submit = submit,
	.reset = reset,
	.reconnect = reconnect,
	.close = close_path,
};

void path_gate_init(struct gate *gate, uint16_t lun)
{
	struct gate_path *path = &gate->paths[lun];
	const struct gate_lun_config *config = &gate->file.luns[lun];

	path->gate = gate;
	path->lun = lun;
	path->base.ops = &operations;
	path->base.loop = gate->loop;
	path->base.state = PATH_STATE_CONNECTING;
	snprintf(path->base.name, sizeof(path->base.name), "%s", config->url);
	path->info.lun = lun;
	path->info.nexus = GATE_NEXUS_CONNECTING;
	snprintf(path->info.name, sizeof(path->info.name), "%s", config->name);
	snprintf(path->info.reason, sizeof(path->info.reason),
		 "the gate process is not connected yet");
}

static void state_set(struct gate_path *path, enum path_state state, const char *reason)
{
	if (path->base.state == state)
		return;
	path->base.state = state;
	if (path->base.changed)
		path->base.changed(&path->base, state, reason, path->base.user);
}

void path_gate_update(struct gate_path *path, const struct gate_message_lun *info, bool found)
{
	struct gate *gate = path->gate;
	bool was_up = path->base.state == PATH_STATE_UP;
	bool up = info->nexus == GATE_NEXUS_UP;
	bool other = !path->seen || path->info.serial != info->serial;
	bool fresh = up && other && !(found && info->key != 0);
	bool reason =
		strcmp(path->info.reason, info->reason) != 0 || path->info.nexus != info->nexus;

	path->info = *info;
	path->seen = true;
	/* A loss and a new login between two messages: the loss is told too. */
	if (was_up && up && other)
		state_set(path, PATH_STATE_DOWN, "session lost");
	state_set(path,
		  up                                     ? PATH_STATE_UP
		  : info->nexus == GATE_NEXUS_CONNECTING ? PATH_STATE_CONNECTING
							 : PATH_STATE_DOWN,
		  info->reason);
	if (gate->events.nexus && (reason || up != was_up || (up && other)))
		gate->events.nexus(gate, path->lun, up, fresh, gate->user);
}

void path_gate_lost(struct gate_path *path, const char *reason)
{
	state_set(path, PATH_STATE_DOWN, reason);
}
