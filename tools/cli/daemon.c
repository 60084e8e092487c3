/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asking the daemon, and reading what it answers.
 */
#include "tools/cli/daemon.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/config/config.h"
#include "cluster/control/client.h"

#define CLI_MESSAGE_MAX 600
#define DAEMON_NAMES_MAX 200

const char *cli_daemon_path(const struct cli_daemon *daemon)
{
	static char path[256];
	const char *run = daemon->run ? daemon->run : getenv("LUNKEEPER_RUN");

	snprintf(path, sizeof(path), "%s/control", run && *run ? run : CONFIG_RUN_DEFAULT);
	return path;
}

static int daemon_refusal(const json_t *answer)
{
	const char *code = cli_json_text(answer, "code");

	return strcmp(code, "usage") == 0 || strcmp(code, "unknown") == 0 ? CLI_EXIT_USAGE
									  : CLI_EXIT_FAILED;
}

int cli_daemon_ask_quiet(const struct cli_daemon *daemon, json_t *request, uint32_t timeout_ms,
			 json_t **answer, char *message, size_t size)
{
	int error = control_client_ask(cli_daemon_path(daemon), request, timeout_ms, answer,
				       message, size);

	json_decref(request);
	if (error)
		return CLI_EXIT_UNREACHABLE;
	if (cli_json_flag(*answer, "ok"))
		return -1;
	snprintf(message, size, "%s", cli_json_text(*answer, "error"));
	return daemon_refusal(*answer);
}

/* What there is of names on this node, for whoever mistyped one. */
static void daemon_hint_names(const struct cli_daemon *daemon, const char *word)
{
	const char *names[DAEMON_NAMES_MAX + 1], *nearest;
	json_t *answer = NULL, *item, *lun;
	char message[CLI_MESSAGE_MAX], list[400] = "";
	size_t count = 0, i, j, used = 0;

	if (cli_daemon_ask_quiet(daemon, json_pack("{s:s}", "command", "status"),
				 CLI_ANSWER_TIMEOUT_MS, &answer, message, sizeof(message)) >= 0) {
		json_decref(answer);
		return;
	}
	json_array_foreach(json_object_get(answer, "groups"), i, item)
	{
		if (count < DAEMON_NAMES_MAX)
			names[count++] = cli_json_text(item, "name");
		json_array_foreach(json_object_get(item, "luns"), j, lun)
		{
			const char *name = cli_json_text(lun, "name");

			if (count < DAEMON_NAMES_MAX && strcmp(name, names[count - 1]) != 0)
				names[count++] = name;
		}
	}
	for (i = 0; i < count && i < 6; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%.50s", i ? ", " : "",
					 names[i]);
	json_array_foreach(json_object_get(answer, "nodes"), i, item)
	{
		if (count < DAEMON_NAMES_MAX)
			names[count++] = cli_json_text(item, "name");
	}
	names[count] = NULL;
	nearest = cli_nearest(word, names);
	if (nearest)
		cli_hint("did you mean %s?", nearest);
	else if (list[0])
		cli_hint("there is: %s%s", list, count > 6 ? ", ...; see lunkeeper status" : "");
	json_decref(answer);
}

static void daemon_said(const struct cli_daemon *daemon, const json_t *answer, const char *message)
{
	char word[80];

	cli_error("%s", message);
	if (strcmp(cli_json_text(answer, "code"), "unknown") != 0)
		return;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(message, ":"), message);
	daemon_hint_names(daemon, word);
}

int cli_daemon_verdict(const struct cli_daemon *daemon, const json_t *answer)
{
	if (cli_json_flag(answer, "ok"))
		return -1;
	daemon_said(daemon, answer, cli_json_text(answer, "error"));
	return daemon_refusal(answer);
}

int cli_daemon_ask(const struct cli_daemon *daemon, json_t *request, uint32_t timeout_ms,
		   json_t **answer)
{
	char message[CLI_MESSAGE_MAX] = "";
	int verdict;

	*answer = NULL;
	verdict =
		cli_daemon_ask_quiet(daemon, request, timeout_ms, answer, message, sizeof(message));
	if (verdict < 0)
		return verdict;
	if (daemon->json && *answer)
		cli_json_print(json_incref(*answer));
	daemon_said(daemon, *answer, message);
	json_decref(*answer);
	*answer = NULL;
	return verdict;
}

const char *cli_json_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

json_int_t cli_json_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

bool cli_json_flag(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

const char *cli_json_age(const json_t *object, const char *name, char *buffer, size_t size)
{
	const json_t *age = json_object_get(object, name);

	if (!json_is_integer(age))
		snprintf(buffer, size, "never");
	else
		cli_duration_text((uint64_t)json_integer_value(age), buffer, size);
	return buffer;
}

const char *cli_json_key(const json_t *key, char *buffer, size_t size)
{
	const char *text = cli_json_text(key, "key");

	buffer[0] = '\0';
	if (!json_is_object(key))
		return buffer;
	if (cli_json_flag(key, "all")) { /* types 7 and 8: there is no one holder */
		snprintf(buffer, size, "%s (foreign)", text);
	} else if (!cli_json_flag(key, "ours")) {
		while (text[0] == '0' && text[1])
			text++;
		snprintf(buffer, size, "foreign 0x%s", text);
	} else if (cli_json_text(key, "node")[0]) {
		snprintf(buffer, size, "%s %s %u", cli_json_text(key, "node"),
			 cli_json_text(key, "kind"), (unsigned)cli_json_number(key, "incarnation"));
	} else {
		snprintf(buffer, size, "node %d %s %u", (int)cli_json_number(key, "node_id"),
			 cli_json_text(key, "kind"), (unsigned)cli_json_number(key, "incarnation"));
	}
	return buffer;
}
