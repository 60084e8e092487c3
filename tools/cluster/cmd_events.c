/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper events`: the history of this node, and what is added to it.
 */
#include <string.h>
#include <time.h>

#include "cluster/control/client.h"
#include "tools/cli/daemon.h"

#define EVENTS_LIMIT_DEFAULT 50
#define EVENTS_LIMIT_MAX 1000

struct events {
	struct cli_daemon daemon;
	bool follow;
	struct cli_number limit;
	const char *since, *group;
	int64_t since_id;   /* -1: the newest */
	int64_t since_time; /* wall clock, ms; 0: all */
	int last_day;
};

static enum cli_colour events_colour(const char *kind)
{
	if (strcmp(kind, "alarm") == 0)
		return CLI_BAD;
	if (strcmp(kind, "state") == 0)
		return CLI_BOLD;
	if (strcmp(kind, "command") == 0)
		return CLI_NOTE;
	return CLI_PLAIN;
}

static void events_print_time(struct events *events, json_int_t time_ms)
{
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm local;
	char text[40];

	localtime_r(&seconds, &local);
	if (events->last_day != local.tm_year * 400 + local.tm_yday) {
		events->last_day = local.tm_year * 400 + local.tm_yday;
		strftime(text, sizeof(text), "%A, %e %B %Y", &local);
		printf("%s%s%s\n", cli_colour(stdout, CLI_DIM), text,
		       cli_colour(stdout, CLI_PLAIN));
	}
	strftime(text, sizeof(text), "%H:%M:%S", &local);
	printf("%s%s.%03d%s  ", cli_colour(stdout, CLI_DIM), text, (int)(time_ms % 1000),
	       cli_colour(stdout, CLI_PLAIN));
}

static void events_print(struct events *events, const json_t *event)
{
	const char *kind = cli_json_text(event, "kind"), *group = cli_json_text(event, "group");
	const char *lun = cli_json_text(event, "lun");
	char where[160];

	if (cli_json_number(event, "time_ms") < events->since_time)
		return;
	if (events->daemon.json) {
		cli_json_line(event);
		return;
	}
	snprintf(where, sizeof(where), "%s%s%s", group,
		 group[0] && lun[0] && strcmp(group, lun) != 0 ? "/" : "",
		 strcmp(group, lun) != 0 ? lun : "");
	events_print_time(events, cli_json_number(event, "time_ms"));
	printf("%-18s %s%-9s%s  %s%s%s\n", where[0] ? where : "daemon",
	       cli_colour(stdout, events_colour(kind)), kind, cli_colour(stdout, CLI_PLAIN),
	       strcmp(kind, "alarm") == 0 ? cli_colour(stdout, CLI_BAD) : "",
	       cli_json_text(event, "text"),
	       strcmp(kind, "alarm") == 0 ? cli_colour(stdout, CLI_PLAIN) : "");
	fflush(stdout);
}

/* "42" is an event's number, "10m" a time. */
static int events_parse_since(struct events *events)
{
	uint32_t ms;
	char *end;
	struct timespec now;

	events->since_id = -1;
	if (!events->since)
		return 0;
	if (cli_parse_duration(events->since, &ms) == 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		events->since_time = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - ms;
		if (!events->limit.given)
			events->limit.value = EVENTS_LIMIT_MAX;
		return 0;
	}
	events->since_id = strtoll(events->since, &end, 10);
	if (*end || end == events->since || events->since_id < 0) {
		cli_error("--since wants a time (10m, 2h) or the number of an event, not \"%s\"",
			  events->since);
		return -1;
	}
	return 0;
}

static int events_receive(struct events *events, struct control_client *client)
{
	char message[512];

	for (;;) {
		json_t *event;
		int error = control_client_receive(client, &event,
						   events->follow ? 0 : CLI_ANSWER_TIMEOUT_MS,
						   message, sizeof(message));

		if (error) {
			cli_error("%s", message);
			return CLI_EXIT_UNREACHABLE;
		}
		if (json_object_get(event, "ok")) {
			bool ok = cli_json_flag(event, "ok");

			if (!ok)
				cli_error("%s", cli_json_text(event, "error"));
			json_decref(event);
			return ok ? CLI_EXIT_OK : CLI_EXIT_FAILED;
		}
		events_print(events, event);
		json_decref(event);
	}
}

static int events_run(struct events *events)
{
	struct control_client *client;
	char message[512];
	json_t *request = json_pack("{s:s, s:b, s:I, s:I}", "command", "events", "follow",
				    events->follow, "limit", (json_int_t)events->limit.value,
				    "since_id", (json_int_t)events->since_id);
	int verdict = CLI_EXIT_UNREACHABLE;

	if (events->group)
		json_object_set_new(request, "group", json_string(events->group));
	if (control_client_open(&client, cli_daemon_path(&events->daemon), CLI_ANSWER_TIMEOUT_MS,
				message, sizeof(message))) {
		cli_error("%s", message);
		json_decref(request);
		return CLI_EXIT_UNREACHABLE;
	}
	if (control_client_send(client, request, CLI_ANSWER_TIMEOUT_MS, message, sizeof(message)))
		cli_error("%s", message);
	else
		verdict = events_receive(events, client);
	json_decref(request);
	control_client_close(client);
	return verdict;
}

int cmd_events(int argc, char **argv)
{
	struct events events = {.limit = {.value = EVENTS_LIMIT_DEFAULT}, .last_day = -1};
	struct cli_option options[] = {
		{"follow", 'f', CLI_OPTION_FLAG, &events.follow, NULL,
		 "go on with what is added, until Ctrl-C"},
		{"since", 's', CLI_OPTION_STRING, &events.since, "TIME|NUMBER",
		 "of the last 10m, 2h, ...; or those after the event with this number"},
		{"limit", 'n', CLI_OPTION_UNSIGNED, &events.limit, "NUMBER",
		 "so many at most (50, with --since 1000)"},
		CLI_DAEMON_OPTIONS(&events.daemon),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper events",
		.arguments = "[OPTION...] [SERVICE]",
		.summary = "Shows the history: every change of ownership, every decision with its "
			   "reason, "
			   "every foreign change seen on a LUN. With --json one object a line.",
		.options = options,
		.arguments_max = 1,
	};
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	if (events_parse_since(&events))
		return CLI_EXIT_USAGE;
	if (events.limit.value < 1 || events.limit.value > EVENTS_LIMIT_MAX) {
		cli_error("--limit wants 1 to %d", EVENTS_LIMIT_MAX);
		return CLI_EXIT_USAGE;
	}
	if (count > 0)
		events.group = argv[1];
	return events_run(&events);
}
