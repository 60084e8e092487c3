/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper events`: the history of this node, and what is added to it.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cluster/control/client.h"
#include "tools/cli/daemon.h"

#define EVENTS_LIMIT_DEFAULT 50
#define EVENTS_LIMIT_MAX 1000

struct events {
	struct cli_daemon daemon;
	bool follow, alarms;
	struct cli_number limit; /* not given: all, or with neither time nor number the newest 50 */
	const char *since, *group, *kind, *node;
	int64_t since_id;   /* -1: the newest */
	int64_t since_time; /* wall clock, ms; 0: all */
	uint64_t left;      /* of the limit */
	bool more;          /* the last answer was not all */
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
	struct timespec now;
	char *end;

	events->since_id = -1;
	events->left = events->limit.given ? events->limit.value
		       : events->since     ? UINT64_MAX
					   : EVENTS_LIMIT_DEFAULT;
	if (!events->since)
		return 0;
	events->since_id = strtoll(events->since, &end, 10);
	if (!*end && end != events->since && events->since_id >= 0)
		return 0;
	events->since_id = -1;
	clock_gettime(CLOCK_REALTIME, &now);
	if (cli_parse_since(events->since, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
			    &events->since_time) == 0)
		return 0;
	cli_error("--since wants a time (10m, 2h, 1d, yesterday, 14:30, 2026-11-27, \"yesterday "
		  "14:30\") or the number of an event, not \"%s\"",
		  events->since);
	return -1;
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
			int verdict = cli_daemon_verdict(&events->daemon, event);

			events->more = cli_json_flag(event, "more");
			json_decref(event);
			return verdict < 0 ? CLI_EXIT_OK : verdict;
		}
		events_print(events, event);
		events->since_id = cli_json_number(event, "id");
		events->left--;
		json_decref(event);
	}
}

static json_t *events_request(const struct events *events)
{
	uint64_t limit = events->left < EVENTS_LIMIT_MAX ? events->left : EVENTS_LIMIT_MAX;
	json_t *request =
		json_pack("{s:s, s:b, s:I, s:I, s:I}", "command", "events", "follow",
			  events->follow, "limit", (json_int_t)limit, "since_id",
			  (json_int_t)events->since_id, "since_ms", (json_int_t)events->since_time);

	if (events->group)
		json_object_set_new(request, "group", json_string(events->group));
	if (events->kind)
		json_object_set_new(request, "kind", json_string(events->kind));
	if (events->node)
		json_object_set_new(request, "node", json_string(events->node));
	return request;
}

/* One answer holds so many at most; the rest is asked for from the last that came. */
static int events_run(struct events *events)
{
	struct control_client *client;
	char message[512];
	int verdict = CLI_EXIT_OK;

	if (control_client_open(&client, cli_daemon_path(&events->daemon), CLI_ANSWER_TIMEOUT_MS,
				message, sizeof(message))) {
		cli_error("%s", message);
		return CLI_EXIT_UNREACHABLE;
	}
	do {
		json_t *request = events_request(events);

		if (control_client_send(client, request, CLI_ANSWER_TIMEOUT_MS, message,
					sizeof(message))) {
			cli_error("%s", message);
			verdict = CLI_EXIT_UNREACHABLE;
		} else {
			verdict = events_receive(events, client);
		}
		json_decref(request);
	} while (verdict == CLI_EXIT_OK && events->more && events->left > 0);
	control_client_close(client);
	return verdict;
}

int cmd_events(int argc, char **argv)
{
	struct events events = {.last_day = -1};
	struct cli_option options[] = {
		{"follow", 'f', CLI_OPTION_FLAG, &events.follow, NULL,
		 "go on with what is added, until Ctrl-C"},
		{"since", 's', CLI_OPTION_STRING, &events.since, "TIME|NUMBER",
		 "those since 10m, 2h, 1d ago, since yesterday, 14:30, 2026-11-27, \"yesterday "
		 "14:30\"; or those after the event with this number"},
		{"limit", 'n', CLI_OPTION_UNSIGNED, &events.limit, "NUMBER",
		 "so many at most (the newest 50, with --since all)"},
		{"alarms", 'a', CLI_OPTION_FLAG, &events.alarms, NULL, "alarms only"},
		{"kind", 'k', CLI_OPTION_STRING, &events.kind, "KIND",
		 "of this kind only: owner, state, rule, order, alarm, command, service, resource, "
		 "gate, path, fitness, config, daemon"},
		{"node", 0, CLI_OPTION_STRING, &events.node, "NODE",
		 "only those that are about this node"},
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
	if (events.limit.given && events.limit.value < 1) {
		cli_error("--limit wants a number from 1 on");
		return CLI_EXIT_USAGE;
	}
	if (events.alarms && events.kind && strcmp(events.kind, "alarm") != 0) {
		cli_error("--alarms and --kind %s leave nothing: give one of them", events.kind);
		return CLI_EXIT_USAGE;
	}
	if (events.alarms)
		events.kind = "alarm";
	if (count > 0)
		events.group = argv[1];
	return events_run(&events);
}
