/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A service that has clients: `lunkeeper rig server` acknowledges a request when a stamped record
 * is written and synchronised, `lunkeeper rig client` asks for one record after another, whichever
 * node answers at the address. How long nobody was served is what a client saw, by its own clock.
 *
 * The protocol: a client sends one byte, the server answers with the record's line. A client that
 * waits too long for an answer asks again on a new connection, so records may be there that nobody
 * has seen acknowledged, and never the other way round.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/appender.h"
#include "tools/rig/commands.h"

#define CLIENTS_MAX 16

static volatile sig_atomic_t service_ends;

static void service_end(int number)
{
	(void)number;
	service_ends = 1;
}

static void service_signals(void)
{
	struct sigaction action = {.sa_handler = service_end};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* "10.0.1.100:7000" */
static int service_address(const char *text, struct sockaddr_in *address)
{
	const char *colon = strrchr(text, ':');
	char host[INET_ADDRSTRLEN], *end;
	unsigned long port;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = 0;
	port = strtoul(colon + 1, &end, 10);
	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_port = htons((uint16_t)port);
	if (*end || end == colon + 1 || !port || port > 65535 ||
	    inet_pton(AF_INET, host, &address->sin_addr) != 1)
		return -EINVAL;
	return 0;
}

/* --- the server --- */

struct server {
	const char *file, *listen, *pid_file;
	struct sockaddr_in address;
	struct rig_appender appender;
	struct pollfd polled[1 + CLIENTS_MAX]; /* the first one listens */
	nfds_t count;
	nfds_t next; /* which client gives way when there are too many */
};

static int server_open(struct server *server)
{
	int one = 1, error = rig_appender_open(&server->appender, server->file);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (error) {
		cli_error("cannot open %s: %s", server->file, strerror(-error));
		return error;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 ||
	    bind(fd, (const struct sockaddr *)&server->address, sizeof(server->address)) < 0 ||
	    listen(fd, CLIENTS_MAX) < 0) {
		error = -errno;
		cli_error("cannot listen at %s: %s", server->listen, strerror(-error));
		return error;
	}
	server->polled[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	server->count = server->next = 1;
	return 0;
}

/* Clients that have gone without a word leave their connections behind: the oldest gives way. */
static void server_accept(struct server *server)
{
	int one = 1;
	int fd = accept4(server->polled[0].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (server->count <= CLIENTS_MAX) {
		server->polled[server->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
		return;
	}
	close(server->polled[server->next].fd);
	server->polled[server->next] = (struct pollfd){.fd = fd, .events = POLLIN};
	server->next = server->next % CLIENTS_MAX + 1;
}

/* Returns -errno when the file failed: then the service is over. */
static int server_answer(struct server *server, struct pollfd *client)
{
	char request, line[RIG_RECORD_SIZE];
	ssize_t got = recv(client->fd, &request, 1, 0);
	int error;

	if (got == 1) {
		error = rig_appender_append(&server->appender, line);
		if (error)
			return error;
		if (send(client->fd, line, sizeof(line), 0) == (ssize_t)sizeof(line))
			return 0;
	} else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	close(client->fd);
	client->fd = -1;
	return 0;
}

static void server_forget_closed(struct server *server)
{
	for (nfds_t i = 1; i < server->count;)
		if (server->polled[i].fd < 0)
			server->polled[i] = server->polled[--server->count];
		else
			i++;
	if (server->next >= server->count)
		server->next = 1;
}

static int server_run(void *user, int ready_fd)
{
	struct server *server = user;
	int error = server_open(server);

	if (error)
		return CLI_EXIT_FAILED;
	service_signals();
	if (server->pid_file)
		error = rig_detach(ready_fd, server->pid_file);
	while (!error && !service_ends) {
		nfds_t count = server->count;

		if (poll(server->polled, count, 1000) <= 0)
			continue;
		for (nfds_t i = 1; i < count && !error; i++)
			if (server->polled[i].revents)
				error = server_answer(server, &server->polled[i]);
		server_forget_closed(server);
		if (server->polled[0].revents)
			server_accept(server);
	}
	if (error)
		cli_error("%s: %s", server->file, strerror(-error));
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int cmd_rig_server(int argc, char **argv)
{
	struct server server = {.listen = "0.0.0.0:7000"};
	const struct cli_option table[] = {
		{"file", 0, CLI_OPTION_STRING, &server.file, "FILE", "append to this"},
		{"listen", 0, CLI_OPTION_STRING, &server.listen, "ADDRESS:PORT",
		 "serve there (0.0.0.0:7000)"},
		{"background", 0, CLI_OPTION_STRING, &server.pid_file, "FILE",
		 "go on in the background; write the process number there"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig server",
		.arguments = "--file FILE [OPTION...]",
		.summary = "Appends a stamped record for each request, and acknowledges it when it "
			   "is synchronised.",
		.options = table,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	if (!server.file || service_address(server.listen, &server.address)) {
		cli_error("rig server: %s",
			  server.file ? "--listen takes ADDRESS:PORT" : "--file is needed");
		return CLI_EXIT_USAGE;
	}
	return server.pid_file ? rig_background(server_run, &server) : server_run(&server, -1);
}

/* --- the client --- */

struct client {
	const char *log;
	struct sockaddr_in address;
	uint32_t connect_ms, answer_ms, interval_ms;
	int log_fd, fd;
};

/* For `events` on the connection, until `end_ms`. */
static bool client_wait(const struct client *client, short events, uint64_t end_ms)
{
	struct pollfd polled = {.fd = client->fd, .events = events};
	uint64_t now = rig_now_ms();

	return now < end_ms && poll(&polled, 1, (int)(end_ms - now)) == 1;
}

static void client_disconnect(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

static bool client_connect(struct client *client)
{
	uint64_t end = rig_now_ms() + client->connect_ms;
	int one = 1, error = 0;
	socklen_t size = sizeof(error);

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (client->fd < 0)
		return false;
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(client->fd, (const struct sockaddr *)&client->address,
		    sizeof(client->address)) == 0)
		return true;
	if (errno == EINPROGRESS && client_wait(client, POLLOUT, end) &&
	    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && !error)
		return true;
	client_disconnect(client);
	return false;
}

/* One request. True: it was acknowledged, by the record in line. */
static bool client_ask(struct client *client, char line[RIG_RECORD_SIZE])
{
	uint64_t end = rig_now_ms() + client->answer_ms;
	size_t have = 0;

	if (send(client->fd, "?", 1, 0) != 1)
		return false;
	while (have < RIG_RECORD_SIZE) {
		ssize_t got;

		if (!client_wait(client, POLLIN, end))
			return false;
		got = recv(client->fd, line + have, RIG_RECORD_SIZE - have, 0);
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return true;
}

static int client_run(struct client *client)
{
	client->log_fd = open(client->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (client->log_fd < 0) {
		cli_error("cannot open %s: %s", client->log, strerror(errno));
		return CLI_EXIT_FAILED;
	}
	service_signals();
	client->fd = -1;
	while (!service_ends) {
		char line[RIG_RECORD_SIZE], acknowledged[RIG_ACKNOWLEDGED_SIZE];
		uint64_t began = rig_now_ms();

		if (client->fd < 0 && !client_connect(client)) {
			/* Refused at once: asked again soon, as after a wait in vain. */
			if (rig_now_ms() < began + 20)
				rig_sleep_ms(20);
			continue;
		}
		if (!client_ask(client, line)) {
			client_disconnect(client);
			continue;
		}
		rig_acknowledged_encode(line, rig_now_ms(), acknowledged);
		if (write(client->log_fd, acknowledged, sizeof(acknowledged)) !=
		    (ssize_t)sizeof(acknowledged)) {
			cli_error("cannot write to %s: %s", client->log, strerror(errno));
			return CLI_EXIT_FAILED;
		}
		rig_sleep_ms(client->interval_ms);
	}
	return CLI_EXIT_OK;
}

int cmd_rig_client(int argc, char **argv)
{
	struct client client = {.connect_ms = 100, .answer_ms = 500, .interval_ms = 10};
	const struct cli_option table[] = {
		{"log", 0, CLI_OPTION_STRING, &client.log, "FILE",
		 "note there what is acknowledged"},
		{"connect", 0, CLI_OPTION_DURATION, &client.connect_ms, "TIME",
		 "for a connection, then anew (100ms)"},
		{"answer", 0, CLI_OPTION_DURATION, &client.answer_ms, "TIME",
		 "for an acknowledgement, then on a new connection (500ms)"},
		{"interval", 0, CLI_OPTION_DURATION, &client.interval_ms, "TIME",
		 "rest between requests (10ms)"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig client",
		.arguments = "--log FILE [OPTION...] ADDRESS:PORT",
		.summary = "Asks the rig's server for one record after another.",
		.options = table,
		.arguments_min = 1,
		.arguments_max = 1,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	if (!client.log || service_address(argv[1], &client.address)) {
		cli_error("rig client: %s",
			  client.log ? "where to? ADDRESS:PORT" : "--log is needed");
		return CLI_EXIT_USAGE;
	}
	return client_run(&client);
}
