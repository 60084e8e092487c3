/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemons of a rig's nodes: started, and asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/rig/kind.h"

#define DAEMON_WAIT_MS 5000

const char *rig_node_log(const struct rig *rig, const struct rig_node *node,
			 char buffer[RIG_PATH_MAX])
{
	return rig_path(rig, buffer, "%s/lunkeeperd.log", node->machine.name);
}

/* The last line of a log, for a message. */
static void node_last_line(const char *path, char *line, size_t size)
{
	size_t length;
	char *text = rig_read_file(path, &length), *at;

	line[0] = 0;
	while (text && length && text[length - 1] == '\n')
		text[--length] = 0;
	at = text ? strrchr(text, '\n') : NULL;
	if (text)
		snprintf(line, size, "%s", at ? at + 1 : text);
	free(text);
}

int rig_node_await_daemon(struct rig *rig, struct rig_node *node, unsigned timeout_ms)
{
	uint64_t end = rig_now_ms() + timeout_ms;
	char log[RIG_PATH_MAX], last[200];
	bool lives = true;
	json_t *answer;

	while (lives && rig_now_ms() < end) {
		answer = rig_node_ask(rig, node, "ping", 500 * rig->kind->patience);
		if (answer) {
			json_decref(answer);
			rig->message[0] = 0;
			return 0;
		}
		rig_sleep_ms(10);
		lives = rig_daemon_lives(rig, node);
	}
	node_last_line(rig_node_log(rig, node, log), last, sizeof(last));
	return rig_fail(rig, EIO, "lunkeeperd on %s %s; the last line of %s: %s",
			node->machine.name, lives ? "does not answer" : "ended", log, last);
}

int rig_node_start_daemon(struct rig *rig, struct rig_node *node)
{
	int error;

	if (rig_daemon_lives(rig, node))
		return rig_fail(rig, EALREADY, "lunkeeperd runs on %s", node->machine.name);
	error = rig_daemon_start(rig, node);
	return error ? error
		     : rig_node_await_daemon(rig, node, DAEMON_WAIT_MS * rig->kind->patience);
}

int rig_node_connect(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
		     struct control_client **client)
{
	if (!rig_machine_runs(&node->machine))
		return rig_fail(rig, ESRCH, "%s is off", node->machine.name);
	return rig->kind->control_open(rig, node, timeout_ms, client);
}

json_t *rig_node_request(struct rig *rig, struct rig_node *node, const json_t *request,
			 unsigned timeout_ms)
{
	struct control_client *client;
	char message[300];
	json_t *answer = NULL;
	int error = rig_node_connect(rig, node, timeout_ms, &client);

	if (error)
		return NULL;
	error = control_client_send(client, request, timeout_ms, message, sizeof(message));
	if (!error)
		error = control_client_receive(client, &answer, timeout_ms, message,
					       sizeof(message));
	control_client_close(client);
	if (error)
		rig_fail(rig, EIO, "%s: %s", node->machine.name, message);
	return error ? NULL : answer;
}

json_t *rig_node_ask(struct rig *rig, struct rig_node *node, const char *command,
		     unsigned timeout_ms)
{
	json_t *request = json_pack("{ss}", "command", command);
	json_t *answer = rig_node_request(rig, node, request, timeout_ms);

	json_decref(request);
	return answer;
}
