/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See fake_target.h. PDUs are written out by hand: RFC 7143 11.2 to 11.17.
 */
#include "tests/table/fake_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 48
#define INPUT_MAX 65536

struct fake_connection {
	uv_tcp_t tcp;
	struct fake_target *target;
	uint8_t input[INPUT_MAX];
	size_t input_length;
	uint32_t stat_sn, exp_cmd_sn;
	unsigned session; /* at the disk */
	bool logged_in, closing;
};

struct output {
	uv_write_t request;
	uint8_t bytes[];
};

static void put32(uint8_t *at, uint32_t value)
{
	for (int i = 3; i >= 0; i--, value >>= 8)
		at[i] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void written(uv_write_t *request, int status)
{
	(void)status;
	free(request->data);
}

static void connection_closed(uv_handle_t *handle)
{
	struct fake_connection *connection = handle->data;

	if (connection->target->connection == connection)
		connection->target->connection = NULL;
	free(connection);
}

static void close_connection(struct fake_connection *connection)
{
	if (!connection->closing)
		uv_close((uv_handle_t *)&connection->tcp, connection_closed);
	connection->closing = true;
}

/* Fills in lengths and sequence numbers. counted: the PDU has a StatSN of its own. */
static void send_pdu(struct fake_connection *connection, const uint8_t header[HEADER],
		     const uint8_t *data, uint32_t length, bool counted)
{
	struct output *output = calloc(1, sizeof(*output) + HEADER + length + 4);
	uint32_t window = connection->target->window ? connection->target->window : 64;
	uv_buf_t buffer;

	if (!output || connection->closing) {
		free(output);
		return;
	}
	memcpy(output->bytes, header, HEADER);
	if (length)
		memcpy(output->bytes + HEADER, data, length);
	output->bytes[5] = (uint8_t)(length >> 16);
	output->bytes[6] = (uint8_t)(length >> 8);
	output->bytes[7] = (uint8_t)length;
	put32(output->bytes + 24, counted ? connection->stat_sn++ : connection->stat_sn);
	put32(output->bytes + 28, connection->exp_cmd_sn);
	put32(output->bytes + 32, connection->exp_cmd_sn + window - 1);
	output->request.data = output;
	buffer = uv_buf_init((char *)output->bytes, HEADER + ((length + 3) & ~3u));
	if (uv_write(&output->request, (uv_stream_t *)&connection->tcp, &buffer, 1, written) < 0)
		free(output);
}

/* The value of a key in a login or text request; "" if it is not there. */
static void find_key(const uint8_t *request, uint32_t length, const char *key, char *value,
		     size_t size)
{
	const char *text = (const char *)request + HEADER, *end = text + length;
	size_t key_length = strlen(key);

	value[0] = '\0';
	for (; text < end; text += strnlen(text, (size_t)(end - text)) + 1) {
		if ((size_t)(end - text) > key_length && !memcmp(text, key, key_length) &&
		    text[key_length] == '=') {
			snprintf(value, size, "%.*s", (int)(end - text) - (int)key_length - 1,
				 text + key_length + 1);
			return;
		}
	}
}

/* What the disk's target says to a login. */
static uint16_t judge_login(struct fake_connection *connection, const uint8_t *request,
			    uint32_t length)
{
	struct fake_target *target = connection->target;
	char type[32], name[256];

	find_key(request, length, "SessionType", type, sizeof(type));
	find_key(request, length, "TargetName", name, sizeof(name));
	if (connection->logged_in || !strcmp(type, "Discovery"))
		return 0;
	if (strcmp(name, target->name) != 0)
		return 0x0203;
	if (target->disk->odd[FAKE_REDIRECT_DEAD])
		return 0x0101;
	connection->session = fake_disk_login(target->disk, target->initiator, request + 8);
	return 0;
}

static void answer_login(struct fake_connection *connection, const uint8_t *request,
			 uint32_t length)
{
	struct fake_target *target = connection->target;
	static const char keys[] =
		"TargetPortalGroupTag=1\0HeaderDigest=None\0DataDigest=None\0ImmediateData=Yes\0"
		"InitialR2T=No\0MaxRecvDataSegmentLength=8192";
	static const char elsewhere[] = "TargetAddress=127.0.0.2:1,1";
	uint16_t status = target->login_status;
	uint8_t header[HEADER] = {0x23, request[1]};
	char name[sizeof(target->initiator)];

	find_key(request, length, "InitiatorName", name, sizeof(name));
	if (name[0])
		memcpy(target->initiator, name, sizeof(name));
	target->logins++;
	if (target->disk)
		status = judge_login(connection, request, length);
	connection->logged_in = status == 0;
	memcpy(target->isid, request + 8, 6);
	memcpy(header + 8, request + 8, 6);
	header[15] = 1; /* TSIH */
	memcpy(header + 16, request + 16, 4);
	header[36] = (uint8_t)(status >> 8);
	header[37] = (uint8_t)status;
	connection->exp_cmd_sn = get32(request + 24);
	if (status >> 8 == 1)
		send_pdu(connection, header, (const uint8_t *)elsewhere, sizeof(elsewhere), true);
	else
		send_pdu(connection, header, (const uint8_t *)keys, status ? 0 : sizeof(keys),
			 true);
}

/* SendTargets (RFC 7143 appendix C). */
static void answer_text(struct fake_connection *connection, const uint8_t *request)
{
	const struct fake_target *target = connection->target;
	uint8_t header[HEADER] = {0x24, 0x80};
	char keys[400];
	int length = snprintf(keys, sizeof(keys), "TargetName=%s%cTargetAddress=127.0.0.1:%u,1",
			      target->name ? target->name : "", 0, target->port);

	connection->exp_cmd_sn = get32(request + 24) + 1;
	memcpy(header + 16, request + 16, 4);
	put32(header + 20, 0xffffffff);
	send_pdu(connection, header, (const uint8_t *)keys, (uint32_t)length + 1, true);
}

/* As its disk does. */
static void answer_from_disk(struct fake_connection *connection, const uint8_t *request,
			     uint32_t length)
{
	static struct fake_reply reply;
	uint32_t wanted = request[1] & 0x40 ? get32(request + 20) : 0;
	uint8_t header[HEADER] = {0x21, 0x80}, sense[2 + sizeof(reply.sense)] = {0};

	fake_disk_command(connection->target->disk, connection->session, request + 32,
			  request + HEADER, length, &reply);
	if (request[32] == 0x12 && request[9] != 1)
		reply.data[0] = 0x7f; /* no such LUN */
	if (reply.kind == FAKE_REPLY_CLOSE)
		close_connection(connection);
	if (reply.kind != FAKE_REPLY_ANSWER)
		return;
	memcpy(header + 16, request + 16, 4);
	header[3] = reply.status;
	if (reply.sense_length) {
		sense[1] = reply.sense_length;
		memcpy(sense + 2, reply.sense, reply.sense_length);
		send_pdu(connection, header, sense, 2u + reply.sense_length, true);
		return;
	}
	if (reply.length < wanted) {
		header[1] |= 0x02; /* underflow */
		put32(header + 44, wanted - reply.length);
	} else if (reply.length > wanted && wanted) {
		header[1] |= 0x04;
		put32(header + 44, reply.length - wanted);
		reply.length = wanted;
	}
	if (reply.length && wanted) {
		header[0] = 0x25;
		header[1] |= 0x01;
		put32(header + 20, 0xffffffff);
	}
	send_pdu(connection, header, reply.data, wanted ? reply.length : 0, true);
}

static void answer_command(struct fake_connection *connection, const uint8_t *request,
			   uint32_t length)
{
	struct fake_target *target = connection->target;
	uint8_t header[HEADER] = {0x21, 0x80}, garbage[HEADER];

	target->commands++;
	memcpy(target->lun, request + 8, 8);
	memcpy(target->cdb, request + 32, 16);
	target->last_tag = get32(request + 16);
	connection->exp_cmd_sn = get32(request + 24) + 1;
	if (target->disk) {
		answer_from_disk(connection, request, length);
		return;
	}
	memcpy(header + 16, request + 16, 4);
	header[1] |= (uint8_t)((target->underflow ? 0x02 : 0) | (target->overflow ? 0x04 : 0));
	put32(header + 44, target->residual);
	switch (target->answer) {
	case FAKE_STATUS:
		header[3] = target->status;
		send_pdu(connection, header, target->data, target->data_length, true);
		break;
	case FAKE_DATA_BEYOND:
	case FAKE_DATA_IN:
		header[0] = 0x25;
		header[1] |= 0x01; /* status included */
		put32(header + 20, 0xffffffff);
		if (target->answer == FAKE_DATA_BEYOND)
			put32(header + 40, 1 << 20);
		send_pdu(connection, header, target->data, target->data_length, true);
		break;
	case FAKE_REJECT:
		memset(header, 0, sizeof(header));
		header[0] = 0x3f;
		header[1] = 0x80;
		header[2] = target->status;
		put32(header + 16, 0xffffffff);
		send_pdu(connection, header, request, HEADER, true);
		break;
	case FAKE_SILENCE:
		break;
	case FAKE_CLOSE:
		close_connection(connection);
		break;
	case FAKE_GARBAGE:
		memset(garbage, 0xee, sizeof(garbage));
		send_pdu(connection, garbage, NULL, 0, true);
		break;
	}
}

static void answer_management(struct fake_connection *connection, const uint8_t *request)
{
	struct fake_target *target = connection->target;
	uint8_t header[HEADER] = {0x22, 0x80, target->management_response};

	target->managements++;
	target->management_tag = get32(request + 20);
	memcpy(target->management_lun, request + 8, 8);
	memcpy(header + 16, request + 16, 4);
	if (target->management_answer == FAKE_STATUS)
		send_pdu(connection, header, NULL, 0, true);
}

static void answer_pdu(struct fake_connection *connection, const uint8_t *request, uint32_t length)
{
	uint8_t header[HEADER] = {0x26, 0x80};

	switch (request[0] & 0x3f) {
	case 0x00:
		connection->target->nops++;
		break;
	case 0x01:
		answer_command(connection, request, length);
		break;
	case 0x02:
		answer_management(connection, request);
		break;
	case 0x03:
		answer_login(connection, request, length);
		break;
	case 0x04:
		answer_text(connection, request);
		break;
	case 0x06:
		connection->target->logouts++;
		memcpy(header + 16, request + 16, 4);
		send_pdu(connection, header, NULL, 0, true);
		break;
	default: /* Data-Out */
		break;
	}
}

static void get_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	struct fake_connection *connection = handle->data;

	(void)size;
	*buffer = uv_buf_init((char *)connection->input + connection->input_length,
			      (unsigned)(INPUT_MAX - connection->input_length));
}

static void got_input(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct fake_connection *connection = stream->data;

	(void)buffer;
	if (got < 0) {
		close_connection(connection);
		return;
	}
	connection->input_length += (size_t)got;
	while (connection->input_length >= HEADER && !connection->closing) {
		uint32_t length = get32(connection->input + 4) & 0xffffff,
			 whole = HEADER + ((length + 3) & ~3u);

		if (whole > INPUT_MAX) {
			close_connection(connection);
			return;
		}
		if (connection->input_length < whole)
			return;
		answer_pdu(connection, connection->input, length);
		connection->input_length -= whole;
		memmove(connection->input, connection->input + whole, connection->input_length);
	}
}

static void client_came(uv_stream_t *listener, int status)
{
	struct fake_target *target = listener->data;
	struct fake_connection *connection = status < 0 ? NULL : calloc(1, sizeof(*connection));

	if (!connection)
		return;
	connection->target = target;
	connection->stat_sn = 1;
	uv_tcp_init(target->loop, &connection->tcp);
	connection->tcp.data = connection;
	uv_accept(listener, (uv_stream_t *)&connection->tcp);
	uv_tcp_nodelay(&connection->tcp, 1);
	target->connection = connection;
	uv_read_start((uv_stream_t *)&connection->tcp, get_buffer, got_input);
}

int fake_start(struct fake_target *target, uv_loop_t *loop)
{
	return fake_start_at(target, loop, "127.0.0.1");
}

int fake_start_at(struct fake_target *target, uv_loop_t *loop, const char *where)
{
	struct sockaddr_in address;
	int size = sizeof(address), error;

	memset(target, 0, sizeof(*target));
	target->loop = loop;
	uv_tcp_init(loop, &target->listener);
	target->listener.data = target;
	uv_ip4_addr(where, 0, &address);
	error = uv_tcp_bind(&target->listener, (struct sockaddr *)&address, 0);
	if (!error)
		error = uv_listen((uv_stream_t *)&target->listener, 256, client_came);
	if (!error)
		error = uv_tcp_getsockname(&target->listener, (struct sockaddr *)&address, &size);
	target->port = ntohs(address.sin_port);
	return error;
}

void fake_send_async(struct fake_target *target, uint8_t event)
{
	uint8_t header[HEADER] = {0x32, 0x80};

	put32(header + 16, 0xffffffff);
	header[36] = event;
	if (target->connection)
		send_pdu(target->connection, header, NULL, 0, true);
}

void fake_send_ping(struct fake_target *target)
{
	uint8_t header[HEADER] = {0x20, 0x80};

	put32(header + 16, 0xffffffff);
	put32(header + 20, 7);
	if (target->connection)
		send_pdu(target->connection, header, NULL, 0, false);
}

void fake_close(struct fake_target *target)
{
	if (target->connection)
		close_connection(target->connection);
}

void fake_stop(struct fake_target *target)
{
	fake_close(target);
	uv_close((uv_handle_t *)&target->listener, NULL);
}
