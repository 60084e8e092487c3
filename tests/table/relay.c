/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See relay.h. Small amounts, so writes are waited for by libuv and buffers are taken from the heap
 * one by one.
 */
#include "tests/table/relay.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 64

struct connection;

struct end {
	uv_tcp_t tcp;
	struct connection *connection;
	struct end *other;
	bool client;
};

struct connection {
	struct relay *relay;
	struct end client, server;
	uv_connect_t connect;
	unsigned open_ends;
	bool connected, closing;
};

struct relay {
	uv_tcp_t listener;
	uv_loop_t *loop;
	uint16_t port, target;
	enum relay_mode mode;
	unsigned count;
	struct connection *connections[CONNECTIONS_MAX];
};

struct write {
	uv_write_t request;
	char data[];
};

static void end_closed(uv_handle_t *handle)
{
	struct end *end = handle->data;
	struct connection *connection = end->connection;

	if (--connection->open_ends)
		return;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (connection->relay->connections[i] == connection)
			connection->relay->connections[i] = NULL;
	}
	free(connection);
}

static void close_connection(struct connection *connection)
{
	if (connection->closing)
		return;
	connection->closing = true;
	uv_close((uv_handle_t *)&connection->client.tcp, end_closed);
	uv_close((uv_handle_t *)&connection->server.tcp, end_closed);
}

static void get_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	(void)handle;
	buffer->base = malloc(size);
	buffer->len = buffer->base ? size : 0;
}

static void written(uv_write_t *request, int status)
{
	(void)status;
	free(request->data);
}

static void got_data(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	struct end *end = stream->data;
	struct write *write;
	uv_buf_t out;

	if (length < 0)
		close_connection(end->connection);
	if (length > 0 && !(end->client && end->connection->relay->mode == RELAY_SWALLOW) &&
	    (write = malloc(sizeof(*write) + (size_t)length))) {
		memcpy(write->data, buffer->base, (size_t)length);
		write->request.data = write;
		out = uv_buf_init(write->data, (unsigned)length);
		if (uv_write(&write->request, (uv_stream_t *)&end->other->tcp, &out, 1, written) <
		    0)
			free(write);
	}
	free(buffer->base);
}

static void set_reading(struct connection *connection)
{
	if (!connection->connected || connection->closing)
		return;
	if (connection->relay->mode == RELAY_STALL) {
		uv_read_stop((uv_stream_t *)&connection->client.tcp);
		uv_read_stop((uv_stream_t *)&connection->server.tcp);
	} else {
		uv_read_start((uv_stream_t *)&connection->client.tcp, get_buffer, got_data);
		uv_read_start((uv_stream_t *)&connection->server.tcp, get_buffer, got_data);
	}
}

static void server_connected(uv_connect_t *request, int status)
{
	struct connection *connection = request->data;

	if (status < 0) {
		close_connection(connection);
		return;
	}
	connection->connected = true;
	uv_tcp_nodelay(&connection->server.tcp, 1);
	set_reading(connection);
}

static void client_came(uv_stream_t *listener, int status)
{
	struct relay *relay = listener->data;
	struct connection *connection = status < 0 ? NULL : calloc(1, sizeof(*connection));
	struct sockaddr_in address;
	unsigned slot = 0;

	while (slot < CONNECTIONS_MAX && relay->connections[slot])
		slot++;
	if (!connection || slot == CONNECTIONS_MAX) {
		free(connection);
		return;
	}
	relay->connections[slot] = connection;
	relay->count++;
	connection->relay = relay;
	connection->open_ends = 2;
	connection->client = (struct end){
		.connection = connection, .other = &connection->server, .client = true};
	connection->server = (struct end){.connection = connection, .other = &connection->client};
	uv_tcp_init(relay->loop, &connection->client.tcp);
	uv_tcp_init(relay->loop, &connection->server.tcp);
	connection->client.tcp.data = &connection->client;
	connection->server.tcp.data = &connection->server;
	uv_accept(listener, (uv_stream_t *)&connection->client.tcp);
	uv_tcp_nodelay(&connection->client.tcp, 1);
	uv_ip4_addr("127.0.0.1", relay->target, &address);
	connection->connect.data = connection;
	if (uv_tcp_connect(&connection->connect, &connection->server.tcp,
			   (struct sockaddr *)&address, server_connected) < 0)
		close_connection(connection);
}

struct relay *relay_start(uv_loop_t *loop, uint16_t port)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	struct sockaddr_in address;
	int size = sizeof(address);

	if (!relay)
		return NULL;
	relay->loop = loop;
	relay->target = port;
	uv_tcp_init(loop, &relay->listener);
	relay->listener.data = relay;
	uv_ip4_addr("0.0.0.0", 0, &address);
	if (uv_tcp_bind(&relay->listener, (struct sockaddr *)&address, 0) < 0 ||
	    uv_listen((uv_stream_t *)&relay->listener, 16, client_came) < 0 ||
	    uv_tcp_getsockname(&relay->listener, (struct sockaddr *)&address, &size) < 0) {
		relay_stop(relay);
		return NULL;
	}
	relay->port = ntohs(address.sin_port);
	return relay;
}

uint16_t relay_port(const struct relay *relay)
{
	return relay->port;
}

unsigned relay_connections(const struct relay *relay)
{
	return relay->count;
}

void relay_set(struct relay *relay, enum relay_mode mode)
{
	relay->mode = mode;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (relay->connections[i])
			set_reading(relay->connections[i]);
	}
}

void relay_cut(struct relay *relay)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (relay->connections[i])
			close_connection(relay->connections[i]);
	}
}

void relay_reset(struct relay *relay)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *connection = relay->connections[i];

		if (connection && !connection->closing &&
		    uv_tcp_close_reset(&connection->client.tcp, end_closed) == 0) {
			connection->closing = true;
			uv_close((uv_handle_t *)&connection->server.tcp, end_closed);
		}
	}
}

static void listener_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void listener_stopped(uv_handle_t *handle)
{
	struct relay *relay = handle->data;

	for (unsigned i = 0; i < CONNECTIONS_MAX; i++) {
		if (relay->connections[i]) {
			/* Its ends still point here: once more around the loop. */
			uv_tcp_init(relay->loop, &relay->listener);
			relay->listener.data = relay;
			uv_close((uv_handle_t *)&relay->listener, listener_stopped);
			return;
		}
	}
	listener_closed(handle);
}

void relay_stop(struct relay *relay)
{
	relay_cut(relay);
	uv_close((uv_handle_t *)&relay->listener, listener_stopped);
}
