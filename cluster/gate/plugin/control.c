/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's connection to the gate process: one at a time, a newer one takes the older one's
 * place (a daemon that was restarted, while the old one's connection has not been noticed to be
 * dead). A new daemon is told the snapshot only when the commands that its predecessor sent have
 * ended, so that it looks at a LUN on which nothing of them is on its way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "cluster/gate/plugin/private.h"
#include "scsi/pr.h"

#define BACKLOG 4
#define WRITE_QUEUE_MAX (8u * 1024 * 1024) /* a daemon that does not read is cut off */
#define COMMANDS_MAX 4096u
#define PR_OUT_OPERATION 0x5f
#define COMMAND_TIMEOUT_MAX_MS 60000u

struct client {
	uv_pipe_t pipe;
	struct plugin *plugin;
	bool greeted, ready;
	size_t used;
	uint8_t input[GATE_WIRE_FRAME_MAX];
};

struct control {
	uv_pipe_t listener;
	struct client *client; /* NULL: no daemon */
	uint32_t heard;
	uint32_t commands;   /* in flight, of this daemon and of earlier ones */
	uint32_t generation; /* counts the connections */
	uint8_t output[GATE_WIRE_FRAME_MAX];
};

struct command {
	struct scsi_request request;
	struct plugin_lun *lun;
	uint32_t id, generation;
	bool registers;
	uint64_t new_key;
	uint8_t data[];
};

struct outgoing {
	uv_write_t write;
	uint8_t bytes[];
};

uint32_t control_heard(const struct plugin *plugin)
{
	return plugin->control->heard;
}

static void client_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void client_drop(struct client *client, const char *why)
{
	struct control *control = client->plugin->control;
	if (control->client != client)
		return;
	plugin_log("daemon disconnected: %s", why);
	control->client = NULL;
	uv_close((uv_handle_t *)&client->pipe, client_closed);
}

static void written(uv_write_t *write, int status)
{
	struct outgoing *outgoing = (struct outgoing *)write;
	(void)status; /* a broken connection is seen by reading */
	free(outgoing);
}

static void send_message(struct client *client, const struct gate_message *message)
{
	struct control *control = client->plugin->control;
	long length = gate_wire_encode(message, control->output, sizeof(control->output));
	struct outgoing *outgoing = length > 0 ? malloc(sizeof(*outgoing) + (size_t)length) : NULL;
	uv_buf_t buffer;

	if (!outgoing) {
		client_drop(client, "a message could not be made");
		return;
	}
	memcpy(outgoing->bytes, control->output, (size_t)length);
	buffer = uv_buf_init((char *)outgoing->bytes, (unsigned)length);
	if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > WRITE_QUEUE_MAX ||
	    uv_write(&outgoing->write, (uv_stream_t *)&client->pipe, &buffer, 1, written) < 0) {
		free(outgoing);
		client_drop(client, "it does not read");
	}
}

static struct client *ready_client(const struct plugin *plugin)
{
	struct client *client = plugin->control ? plugin->control->client : NULL;
	return client && client->ready ? client : NULL;
}

static void fill_state(const struct plugin *plugin, struct gate_message_state *state)
{
	*state = (struct gate_message_state){
		.sequence = plugin->sequence,
		.spontaneous = plugin->spontaneous,
		.state = plugin->state,
		.cause = plugin->cause,
		.lun = plugin->cause_lun,
		.quiet = plugin->state != GATE_STATE_OPEN && core_quiet(plugin),
		.waiting = plugin->waiting_count,
	};
}

void control_tell_state(struct plugin *plugin, bool refused)
{
	struct client *client = ready_client(plugin);
	struct gate_message message = {.type = GATE_MESSAGE_STATE};
	if (!client)
		return;
	fill_state(plugin, &message.state);
	message.state.refused = refused;
	send_message(client, &message);
}

static void send_lun(struct client *client, const struct plugin_lun *lun)
{
	struct gate_message message = {.type = GATE_MESSAGE_LUN};
	struct gate_message_lun *info = &message.info;

	info->lun = lun->number;
	info->nexus = lun->nexus;
	info->serial = lun->serial;
	info->key = lun->key;
	info->blocks = lun->geometry.blocks;
	info->block_size = lun->geometry.block_size;
	info->in_flight = lun->in_flight;
	snprintf(info->name, sizeof(info->name), "%s", lun->config.name);
	snprintf(info->wwid, sizeof(info->wwid), "%s", lun->wwid);
	snprintf(info->reason, sizeof(info->reason), "%s", lun->reason);
	send_message(client, &message);
}

void control_tell_lun(struct plugin_lun *lun)
{
	struct client *client = ready_client(lun->plugin);
	if (client)
		send_lun(client, lun);
}

void control_tell_attention(struct plugin_lun *lun, uint8_t asc, uint8_t ascq)
{
	struct client *client = ready_client(lun->plugin);
	struct gate_message message = {
		.type = GATE_MESSAGE_ATTENTION,
		.attention = {.lun = lun->number, .asc = asc, .ascq = ascq},
	};
	if (client)
		send_message(client, &message);
}

static void send_snapshot(struct client *client)
{
	struct plugin *plugin = client->plugin;
	struct gate_message message = {
		.type = GATE_MESSAGE_SNAPSHOT,
		.snapshot =
			{
				.version = GATE_WIRE_VERSION,
				.pid = (uint32_t)getpid(),
				.lun_count = (uint32_t)plugin->file.lun_count,
				.in_flight = plugin->in_flight,
				.configuration = plugin->configuration,
				.uptime_ms = core_now_ms() - plugin->started_ms,
				.counters = plugin->counters,
			},
	};
	fill_state(plugin, &message.snapshot.state);
	client->ready = true;
	send_message(client, &message);
	for (size_t i = 0; i < plugin->file.lun_count && ready_client(plugin) == client; i++)
		send_lun(client, &plugin->luns[i]);
	if (ready_client(plugin) == client)
		send_message(client, &(struct gate_message){.type = GATE_MESSAGE_READY});
}

/* --- commands --- */

static void command_free(struct command *command)
{
	struct control *control = command->lun->plugin->control;
	struct client *client;

	control->commands--;
	free(command);
	client = control->client;
	if (client && client->greeted && !client->ready && control->commands == 0)
		send_snapshot(client);
}

static void command_end(struct command *command)
{
	struct control *control = command->lun->plugin->control;
	const struct scsi_request *request = &command->request;
	struct gate_message message = {
		.type = GATE_MESSAGE_DONE,
		.done = {.id = command->id, .result = request->result},
	};
	if (request->direction == SCSI_DIRECTION_IN && request->result.outcome == SCSI_OUTCOME_OK) {
		message.done.data = request->data;
		message.done.data_length = request->result.transferred < request->data_length
						   ? request->result.transferred
						   : request->data_length;
	}
	if (control->client && control->client->ready && command->generation == control->generation)
		send_message(control->client, &message);
	command_free(command);
}

static void command_done(struct scsi_request *request)
{
	struct command *command = request->user;

	/* Taken here, it is told to no data command any more. */
	nexus_attention(command->lun, &request->result);
	/* A key that is known to be there; what another node does to it later is seen by
	 * looking. */
	if (command->registers && request->result.outcome == SCSI_OUTCOME_OK &&
	    command->lun->key != command->new_key) {
		command->lun->key = command->new_key;
		control_tell_lun(command->lun);
	}
	command_end(command);
}

/* Nothing writes while it registers: what was written under no right must not get one while it is
 * on its way. */
static bool command_allowed(struct command *command)
{
	struct plugin *plugin = command->lun->plugin;
	struct pr_out out;
	const struct scsi_request *request = &command->request;

	if (request->cdb_length == 0 || request->cdb[0] != PR_OUT_OPERATION)
		return true;
	if (pr_out_decode(&out, request->cdb, request->cdb_length, request->data,
			  request->data_length) < 0)
		return true;
	command->registers =
		out.action == PR_OUT_REGISTER || out.action == PR_OUT_REGISTER_AND_IGNORE;
	command->new_key = out.service_key;
	if (!command->registers || out.service_key == 0)
		return true;
	return plugin->state != GATE_STATE_OPEN && core_quiet(plugin);
}

static void command_refuse(struct command *command, enum scsi_outcome outcome, int error)
{
	scsi_result_from_transport(&command->request.result, error);
	command->request.result.outcome = outcome;
	command_end(command);
}

static void command_start(struct client *client, const struct gate_message *message)
{
	struct plugin *plugin = client->plugin;
	struct control *control = plugin->control;
	const struct gate_message_command *order = &message->command;
	struct command *command;

	if (order->lun >= plugin->file.lun_count || control->commands >= COMMANDS_MAX ||
	    order->timeout_ms > COMMAND_TIMEOUT_MAX_MS) {
		client_drop(client, "a command out of range");
		return;
	}
	command = calloc(1, sizeof(*command) + order->data_length);
	if (!command) {
		client_drop(client, "out of memory");
		return;
	}
	control->commands++;
	command->lun = &plugin->luns[order->lun];
	command->id = order->id;
	command->generation = control->generation;
	command->request.cdb_length = order->cdb_length;
	memcpy(command->request.cdb, order->cdb, order->cdb_length);
	command->request.direction = order->direction;
	command->request.data = order->data_length ? command->data : NULL;
	command->request.data_length = order->data_length;
	if (order->direction == SCSI_DIRECTION_OUT && order->data_length)
		memcpy(command->data, order->data, order->data_length);
	command->request.timeout_ms = order->timeout_ms;
	command->request.done = command_done;
	command->request.user = command;
	if (command->lun->nexus != GATE_NEXUS_UP || !command->lun->path)
		command_refuse(command, SCSI_OUTCOME_UNKNOWN, -ENOTCONN);
	else if (message->type == GATE_MESSAGE_RESET)
		path_reset_logical_unit(command->lun->path, &command->request);
	else if (!command_allowed(command))
		command_refuse(command, SCSI_OUTCOME_FAILED, -EBUSY);
	else
		path_submit(command->lun->path, &command->request);
}

/* --- orders --- */

/* The first LUN that cannot be used, or -1. */
static int nexus_missing(const struct plugin *plugin)
{
	for (size_t i = 0; i < plugin->file.lun_count; i++)
		if (plugin->luns[i].nexus != GATE_NEXUS_UP)
			return (int)i;
	return -1;
}

static void order_set(struct plugin *plugin, const struct gate_message_set *set)
{
	int missing = set->state == GATE_STATE_OPEN ? nexus_missing(plugin) : -1;

	plugin->sequence = set->sequence;
	if (missing >= 0 && plugin->cause == GATE_CAUSE_ORDERED) {
		plugin->cause = GATE_CAUSE_NEXUS_LOST;
		plugin->cause_lun = (uint16_t)missing;
	}
	if (missing >= 0 || (set->state == GATE_STATE_OPEN && set->seen != plugin->spontaneous))
		control_tell_state(plugin, true);
	else if (set->state == plugin->state)
		control_tell_state(plugin, false);
	else
		core_set(plugin, set->state, GATE_CAUSE_ORDERED, 0);
}

static void refuse(struct client *client, const char *why)
{
	struct gate_message message = {.type = GATE_MESSAGE_REFUSED};
	snprintf(message.reason, sizeof(message.reason), "%s", why);
	send_message(client, &message);
	client_drop(client, why);
}

static void greet(struct client *client, uint32_t version)
{
	struct control *control = client->plugin->control;
	if (version != GATE_WIRE_VERSION) {
		refuse(client, "another version of the gate's protocol");
		return;
	}
	client->greeted = true;
	if (client->ready || control->commands == 0)
		send_snapshot(client);
}

static void obey(struct client *client, const struct gate_message *message)
{
	struct plugin *plugin = client->plugin;

	if (message->type != GATE_MESSAGE_HELLO && !client->ready) {
		refuse(client, "a message before READY");
		return;
	}
	switch (message->type) {
	case GATE_MESSAGE_HELLO:
		greet(client, message->version);
		return;
	case GATE_MESSAGE_SET:
		order_set(plugin, &message->set);
		return;
	case GATE_MESSAGE_COMMAND:
	case GATE_MESSAGE_RESET:
		command_start(client, message);
		return;
	case GATE_MESSAGE_RECONNECT:
		if (message->lun < plugin->file.lun_count)
			nexus_retry_now(&plugin->luns[message->lun]);
		return;
	case GATE_MESSAGE_QUIT:
		if (plugin->state != GATE_STATE_FAILED) {
			refuse(client, "only a failed gate can be ended");
			return;
		}
		plugin_log("ended by the daemon");
		nbdkit_shutdown();
		return;
	case GATE_MESSAGE_SNAPSHOT:
	case GATE_MESSAGE_LUN:
	case GATE_MESSAGE_READY:
	case GATE_MESSAGE_STATE:
	case GATE_MESSAGE_DONE:
	case GATE_MESSAGE_ATTENTION:
	case GATE_MESSAGE_REFUSED:
		break;
	}
	refuse(client, "a message that is not for the gate");
}

static void take_input(struct client *client)
{
	struct control *control = client->plugin->control;
	size_t at = 0;
	long length;
	struct gate_message message;

	while ((length = gate_wire_frame(client->input + at, client->used - at)) > 0) {
		if (gate_wire_decode(&message, client->input + at, (size_t)length) < 0) {
			client_drop(client, "a bad frame");
			return;
		}
		at += (size_t)length;
		obey(client, &message);
		if (control->client != client)
			return;
	}
	if (length < 0) {
		client_drop(client, "a bad frame");
		return;
	}
	client->used -= at;
	memmove(client->input, client->input + at, client->used);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct client *client = handle->data;
	(void)suggested;
	*buffer = uv_buf_init((char *)client->input + client->used,
			      (unsigned)(sizeof(client->input) - client->used));
}

static void received(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
	struct client *client = stream->data;
	(void)buffer;
	if (client->plugin->control->client != client)
		return;
	if (count < 0) {
		client_drop(client, count == UV_EOF ? "closed" : uv_strerror((int)count));
		return;
	}
	client->plugin->control->heard++;
	client->used += (size_t)count;
	take_input(client);
}

static bool peer_allowed(uv_pipe_t *pipe)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)pipe, &fd) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static void connection(uv_stream_t *listener, int status)
{
	struct plugin *plugin = listener->data;
	struct control *control = plugin->control;
	struct client *client = status < 0 ? NULL : calloc(1, sizeof(*client));

	if (!client)
		return;
	client->plugin = plugin;
	uv_pipe_init(&plugin->loop, &client->pipe, 0);
	client->pipe.data = client;
	if (uv_accept(listener, (uv_stream_t *)&client->pipe) < 0 || !peer_allowed(&client->pipe) ||
	    uv_read_start((uv_stream_t *)&client->pipe, allocate, received) < 0) {
		uv_close((uv_handle_t *)&client->pipe, client_closed);
		return;
	}
	if (control->client)
		client_drop(control->client, "another took its place");
	control->client = client;
	control->generation++;
	control->heard++;
	plugin->sequence = 0;
}

int control_start(struct plugin *plugin)
{
	struct control *control = calloc(1, sizeof(*control));
	int error;

	if (!control)
		return -ENOMEM;
	plugin->control = control;
	uv_pipe_init(&plugin->loop, &control->listener, 0);
	control->listener.data = plugin;
	if (strlen(plugin->file.control) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -ENAMETOOLONG;
	unlink(plugin->file.control); /* the lock is ours, so whoever made it is gone */
	error = uv_pipe_bind(&control->listener, plugin->file.control);
	return error < 0 ? error
			 : uv_listen((uv_stream_t *)&control->listener, BACKLOG, connection);
}

void control_stop(struct plugin *plugin)
{
	struct control *control = plugin->control;
	if (control->client)
		client_drop(control->client, "the gate process ends");
	if (!uv_is_closing((uv_handle_t *)&control->listener))
		uv_close((uv_handle_t *)&control->listener, NULL);
	unlink(plugin->file.control);
}
