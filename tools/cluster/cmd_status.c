/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper status`: one screen, a tree of services, LUNs and resources by nodes, as this node
 * knows it. Every state stands beside its age; what nobody has read is "unknown".
 */
#include <stdarg.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/daemon.h"

#define STATUS_NODES_MAX 8      /* columns; of more nodes only those that are somewhere are shown */
#define STATUS_OLD_LOOK_MS 5000 /* looks older than this stand out */

struct status {
	struct cli_daemon daemon;
	bool watch, verbose;
	uint32_t interval_ms;
};

struct status_nodes {
	const json_t *items[STATUS_NODES_MAX];
	size_t count, left_out;
};

static const char *status_dash(void)
{
	return cli_utf8() ? "\u00b7" : "-";
}

/* Nodes that have a column: this one, and as many as there is room for. */
static struct status_nodes status_columns(const json_t *answer)
{
	struct status_nodes nodes = {.count = 0};
	const json_t *node;
	size_t i;

	json_array_foreach(json_object_get(answer, "nodes"), i, node)
	{
		if (nodes.count < STATUS_NODES_MAX - 1 ||
		    (nodes.count < STATUS_NODES_MAX && cli_json_flag(node, "self")))
			nodes.items[nodes.count++] = node;
		else
			nodes.left_out++;
	}
	return nodes;
}

static bool status_lists_node(const json_t *group, const char *name)
{
	const json_t *node;
	size_t i;

	json_array_foreach(json_object_get(group, "nodes"), i, node)
	{
		if (strcmp(json_string_value(node), name) == 0)
			return true;
	}
	return !json_object_get(group, "nodes");
}

/* What a key on a LUN says about its node. */
static const char *status_role(const json_t *key, bool holds)
{
	const char *kind = cli_json_text(key, "kind");

	if (strcmp(kind, "request") == 0)
		return "asks for it";
	if (strcmp(kind, "offer") == 0)
		return "offers it";
	return holds ? "owner" : "challenges";
}

static bool status_key_of(const json_t *key, const char *node)
{
	return cli_json_flag(key, "ours") && strcmp(cli_json_text(key, "node"), node) == 0;
}

static enum cli_colour status_state_colour(const char *state)
{
	if (strcmp(state, "owner") == 0)
		return CLI_GOOD;
	if (strcmp(state, "standby") == 0 || strcmp(state, "released") == 0)
		return CLI_PLAIN;
	if (strcmp(state, "deposed") == 0 || strcmp(state, "cut-off") == 0)
		return CLI_BAD;
	return CLI_WARNING;
}

/* Cells: one for each node. */

static void status_group_self(struct cli_table *table, const json_t *group)
{
	const char *state = cli_json_text(group, "state");
	char age[32];

	cli_table_cell(table, status_state_colour(state), "%s%s%s %s", state,
		       cli_json_flag(group, "maintenance") ? ", maintenance" : "",
		       cli_json_flag(group, "fit") ? "" : ", unfit",
		       cli_json_age(group, "since_ms", age, sizeof(age)));
}

static void status_group_other(struct cli_table *table, const json_t *group, const char *node)
{
	const json_t *holder = json_object_get(group, "holder");
	const json_t *lun = json_array_get(json_object_get(group, "luns"), 0), *key;
	size_t i;

	if (!cli_json_flag(group, "known")) {
		cli_table_cell(table, CLI_WARNING, "unknown");
		return;
	}
	if (status_key_of(holder, node)) {
		cli_table_cell(table, CLI_GOOD, "%s", status_role(holder, true));
		return;
	}
	json_array_foreach(json_object_get(lun, "keys"), i, key)
	{
		if (!status_key_of(key, node))
			continue;
		cli_table_cell(table, CLI_WARNING, "%s", status_role(key, false));
		return;
	}
	cli_table_cell(table, CLI_DIM, "%s", status_lists_node(group, node) ? status_dash() : "");
}

static void status_seen(struct cli_table *table, const json_t *object)
{
	json_int_t ms = cli_json_number(object, "look_age_ms");
	bool known = json_is_integer(json_object_get(object, "look_age_ms"));
	char age[32];

	cli_table_cell(table, !known || ms > STATUS_OLD_LOOK_MS ? CLI_BAD : CLI_DIM, "%s",
		       cli_json_age(object, "look_age_ms", age, sizeof(age)));
}

static void status_group_row(struct cli_table *table, const json_t *group,
			     const struct status_nodes *nodes)
{
	const json_t *holder = json_object_get(group, "holder");
	char text[128];

	cli_table_row(table);
	cli_table_cell(table, CLI_BOLD, "%s", cli_json_text(group, "name"));
	for (size_t i = 0; i < nodes->count; i++) {
		if (cli_json_flag(nodes->items[i], "self"))
			status_group_self(table, group);
		else
			status_group_other(table, group, cli_json_text(nodes->items[i], "name"));
	}
	status_seen(table, group);
	if (json_is_object(holder) && !cli_json_flag(holder, "ours"))
		cli_table_cell(table, CLI_BAD, "held by %s",
			       cli_json_key(holder, text, sizeof(text)));
	else if (cli_json_text(group, "unfit_reason")[0])
		cli_table_cell(table, CLI_WARNING, "unfit: %s",
			       cli_json_text(group, "unfit_reason"));
	else
		cli_table_cell(table, CLI_DIM, "%s", cli_json_text(group, "reason"));
}

static void status_lun_self(struct cli_table *table, const json_t *group, const json_t *lun)
{
	const char *gate = cli_json_text(group, "gate");

	if (!cli_json_flag(lun, "known"))
		cli_table_cell(table, CLI_WARNING, "unknown");
	else if (cli_json_flag(lun, "owned"))
		cli_table_cell(table, strcmp(gate, "open") == 0 ? CLI_PLAIN : CLI_WARNING,
			       "holds, gate %s", gate);
	else
		cli_table_cell(table, CLI_DIM, "gate %s", gate);
}

static void status_lun_row(struct cli_table *table, const json_t *group, const json_t *lun,
			   const struct status_nodes *nodes, const char *branch)
{
	const json_t *holder = json_object_get(lun, "holder");
	char size[32], text[128];

	cli_table_row(table);
	cli_table_cell(
		table, CLI_PLAIN, "%s%s  %s", branch, cli_json_text(lun, "name"),
		cli_json_number(lun, "size")
			? cli_size_text((uint64_t)cli_json_number(lun, "size"), size, sizeof(size))
			: "");
	for (size_t i = 0; i < nodes->count; i++) {
		const char *node = cli_json_text(nodes->items[i], "name");

		if (cli_json_flag(nodes->items[i], "self"))
			status_lun_self(table, group, lun);
		else if (!cli_json_flag(lun, "known"))
			cli_table_cell(table, CLI_WARNING, "unknown");
		else
			cli_table_cell(table, CLI_PLAIN, "%s",
				       status_key_of(holder, node) ? "holds" : "");
	}
	status_seen(table, lun);
	if (cli_json_text(lun, "problem")[0])
		cli_table_cell(table, CLI_BAD, "%s", cli_json_text(lun, "problem"));
	else if (json_is_object(holder) && !cli_json_flag(holder, "ours"))
		cli_table_cell(table, CLI_BAD, "held by %s",
			       cli_json_key(holder, text, sizeof(text)));
	else if (cli_json_text(lun, "attached")[0])
		cli_table_cell(table, CLI_DIM, "%s", cli_json_text(lun, "attached"));
}

static void status_path_rows(struct cli_table *table, const json_t *lun,
			     const struct status_nodes *nodes, const char *branch)
{
	const json_t *path;
	size_t i;

	json_array_foreach(json_object_get(lun, "paths"), i, path)
	{
		bool up = strcmp(cli_json_text(path, "state"), "up") == 0;

		cli_table_row(table);
		cli_table_cell(table, CLI_DIM, "%s  %s by %s", branch, cli_json_text(path, "role"),
			       cli_json_text(path, "kind"));
		for (size_t n = 0; n < nodes->count; n++) {
			if (cli_json_flag(nodes->items[n], "self"))
				cli_table_cell(table, up ? CLI_DIM : CLI_BAD, "%s%s",
					       cli_json_text(path, "state"),
					       cli_json_flag(path, "registered") ? ", registered"
										 : "");
			else
				cli_table_cell(table, CLI_PLAIN, "%s", "");
		}
		cli_table_cell(table, CLI_PLAIN, "%s", "");
		cli_table_cell(table, up ? CLI_DIM : CLI_BAD, "%s%s%s", cli_json_text(path, "name"),
			       cli_json_text(path, "reason")[0] ? ": " : "",
			       cli_json_text(path, "reason"));
	}
}

static void status_resource_row(struct cli_table *table, const json_t *resource,
				const struct status_nodes *nodes, const char *branch)
{
	const char *state = cli_json_text(resource, "state");
	const char *error = cli_json_text(resource, "last_error");
	bool bad = strcmp(state, "failed") == 0;
	char age[32];

	cli_table_row(table);
	cli_table_cell(table, CLI_PLAIN, "%s%s", branch, cli_json_text(resource, "name"));
	for (size_t i = 0; i < nodes->count; i++) {
		if (!cli_json_flag(nodes->items[i], "self"))
			cli_table_cell(table, CLI_PLAIN, "%s", "");
		else
			cli_table_cell(table,
				       bad                             ? CLI_BAD
				       : strcmp(state, "running") == 0 ? CLI_GOOD
				       : strcmp(state, "stopped") == 0 ? CLI_DIM
								       : CLI_WARNING,
				       "%s %s", state,
				       cli_json_age(resource, "since_ms", age, sizeof(age)));
	}
	cli_table_cell(table, CLI_PLAIN, "%s", "");
	cli_table_cell(table, bad ? CLI_BAD : CLI_DIM, "%s", error);
}

static void status_group_rows(struct cli_table *table, const json_t *group,
			      const struct status_nodes *nodes, bool verbose)
{
	const json_t *luns = json_object_get(group, "luns"), *lun;
	const json_t *resources = json_object_get(group, "resources"), *resource;
	size_t i, left = json_array_size(luns) + json_array_size(resources);
	bool utf8 = cli_utf8();

	status_group_row(table, group, nodes);
	json_array_foreach(luns, i, lun)
	{
		const char *branch = --left ? (utf8 ? "\u251c\u2500 " : "|- ")
					    : (utf8 ? "\u2514\u2500 " : "`- ");

		status_lun_row(table, group, lun, nodes, branch);
		if (verbose)
			status_path_rows(table, lun, nodes,
					 left ? (utf8 ? "\u2502  " : "|  ") : "   ");
	}
	json_array_foreach(resources, i, resource)
	{
		const char *branch = --left ? (utf8 ? "\u251c\u2500 " : "|- ")
					    : (utf8 ? "\u2514\u2500 " : "`- ");

		status_resource_row(table, resource, nodes, branch);
	}
}

/* Around the tree. */

static void status_print_head(const json_t *answer)
{
	char up[32];

	printf("%s%s%s, as %s%s%s sees it%s  %sup %s, lunkeeperd %s, pid %d%s\n\n",
	       cli_colour(stdout, CLI_BOLD), cli_json_text(answer, "cluster"),
	       cli_colour(stdout, CLI_PLAIN), cli_colour(stdout, CLI_BOLD),
	       cli_json_text(answer, "node"), cli_colour(stdout, CLI_PLAIN),
	       cli_json_flag(answer, "standby") ? " (standby)" : "", cli_colour(stdout, CLI_DIM),
	       cli_json_age(answer, "uptime_ms", up, sizeof(up)), cli_json_text(answer, "version"),
	       (int)cli_json_number(answer, "pid"), cli_colour(stdout, CLI_PLAIN));
}

/* One line below the tree, in the colour of what is bad. */
static void status_print_bad(bool *any, const char *about, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void status_print_bad(bool *any, const char *about, const char *format, ...)
{
	va_list arguments;

	printf("%s%s! %s: ", *any ? "" : "\n", cli_colour(stdout, CLI_BAD), about);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("%s\n", cli_colour(stdout, CLI_PLAIN));
	*any = true;
}

/* Why a path cannot be used. */
static void status_print_paths(const json_t *group, bool *any)
{
	const json_t *lun, *path;
	size_t i, j;

	json_array_foreach(json_object_get(group, "luns"), i, lun)
	{
		json_array_foreach(json_object_get(lun, "paths"), j, path)
		{
			const char *reason = cli_json_text(path, "reason");

			if (reason[0])
				status_print_bad(any, cli_json_text(lun, "name"), "%s: %s",
						 cli_json_text(path, "name"), reason);
		}
	}
}

static void status_print_watchdog(const json_t *answer, bool *any)
{
	const json_t *watchdog = json_object_get(answer, "watchdog");
	const char *reason = cli_json_text(watchdog, "reason");
	const char *error = cli_json_text(watchdog, "error");

	if (reason[0])
		status_print_bad(any, "watchdog", "not fed: %s; this node is reset in %lld s",
				 reason,
				 ((long long)cli_json_number(watchdog, "reset_ms") + 999) / 1000);
	if (error[0])
		status_print_bad(any, "watchdog", "%s: %s", cli_json_text(watchdog, "device"),
				 error);
}

static void status_print_alarms(const json_t *answer)
{
	const json_t *group, *alarm;
	size_t i, j;
	char age[32], key[128];
	bool any = false;

	status_print_watchdog(answer, &any);
	json_array_foreach(json_object_get(answer, "alarms"), i, alarm)
	{
		status_print_bad(&any, cli_json_text(alarm, "name"), "%s (for %s)",
				 cli_json_text(alarm, "text"),
				 cli_json_age(alarm, "since_ms", age, sizeof(age)));
	}
	json_array_foreach(json_object_get(answer, "groups"), i, group)
	{
		const char *problem = cli_json_text(group, "gate_problem");
		const char *name = cli_json_text(group, "name");

		json_array_foreach(json_object_get(group, "alarms"), j, alarm)
		{
			const char *lun = cli_json_text(alarm, "lun");

			cli_json_key(json_object_get(alarm, "key"), key, sizeof(key));
			status_print_bad(&any, lun[0] ? lun : name, "%s%s%s%s (for %s)",
					 cli_json_text(alarm, "text"), key[0] ? " [" : "", key,
					 key[0] ? "]" : "",
					 cli_json_age(alarm, "since_ms", age, sizeof(age)));
		}
		if (problem[0])
			status_print_bad(&any, name, "gate: %s", problem);
		status_print_paths(group, &any);
	}
}

static void status_print_watchdog_line(const json_t *answer)
{
	const json_t *watchdog = json_object_get(answer, "watchdog");
	char age[32];

	if (!json_is_object(watchdog)) {
		printf("\n%swatchdog none%s", cli_colour(stdout, CLI_DIM),
		       cli_colour(stdout, CLI_PLAIN));
		return;
	}
	printf("\n%swatchdog %s (%s), %lld s, %s%s%s%s", cli_colour(stdout, CLI_DIM),
	       cli_json_text(watchdog, "device"), cli_json_text(watchdog, "identity"),
	       (long long)cli_json_number(watchdog, "timeout_ms") / 1000,
	       cli_json_flag(watchdog, "armed") ? "armed, fed "
						: "not armed: nothing is owned here",
	       cli_json_flag(watchdog, "armed") ? cli_json_age(watchdog, "fed_ms", age, sizeof(age))
						: "",
	       cli_json_flag(watchdog, "armed") ? " ago" : "", cli_colour(stdout, CLI_PLAIN));
}

static void status_print_counters(const json_t *answer)
{
	const json_t *counters = json_object_get(answer, "counters"), *value;
	const char *sets[] = {"pr_in", "pr_out"};
	const char *name;

	printf("\n%slooks %lld, failed %lld; ", cli_colour(stdout, CLI_DIM),
	       (long long)cli_json_number(counters, "looks"),
	       (long long)cli_json_number(counters, "looks_failed"));
	for (size_t i = 0; i < 2; i++) {
		json_object_foreach((json_t *)(uintptr_t)json_object_get(counters, sets[i]), name,
				    value)
		{
			if (json_integer_value(value))
				printf("%s %lld, ", name, (long long)json_integer_value(value));
		}
	}
	printf("unit attentions %lld%s\n", (long long)cli_json_number(counters, "unit_attentions"),
	       cli_colour(stdout, CLI_PLAIN));
}

static void status_print(const struct status *status, const json_t *answer)
{
	struct status_nodes nodes = status_columns(answer);
	const char *headings[STATUS_NODES_MAX + 4];
	char names[STATUS_NODES_MAX][80];
	struct cli_table *table;
	const json_t *group;
	size_t i, used = 0;

	headings[used++] = "";
	for (i = 0; i < nodes.count; i++) {
		snprintf(names[i], sizeof(names[i]), "%s%s", cli_json_text(nodes.items[i], "name"),
			 cli_json_flag(nodes.items[i], "self") ? " (here)" : "");
		headings[used++] = names[i];
	}
	headings[used++] = ">SEEN";
	headings[used++] = "WHY";
	headings[used] = NULL;
	status_print_head(answer);
	table = cli_table_new(headings, 0);
	json_array_foreach(json_object_get(answer, "groups"), i, group)
		status_group_rows(table, group, &nodes, status->verbose);
	if (cli_table_rows(table))
		cli_table_print(table, stdout);
	else
		printf("no LUN is configured\n");
	cli_table_free(table);
	if (nodes.left_out)
		printf("%zu more nodes are configured\n", nodes.left_out);
	status_print_alarms(answer);
	if (status->verbose) {
		status_print_watchdog_line(answer);
		status_print_counters(answer);
	}
}

/* Watching goes on while the daemon is away: that it is unknown then is what there is to show. */
static int status_watch(const struct status *status)
{
	const struct timespec pause = {.tv_sec = status->interval_ms / 1000,
				       .tv_nsec = (long)(status->interval_ms % 1000) * 1000000L};
	bool terminal = isatty(STDOUT_FILENO);

	for (;;) {
		char message[600] = "";
		json_t *answer = NULL;
		int verdict = cli_daemon_ask_quiet(
			&status->daemon, json_pack("{s:s}", "command", "status"),
			CLI_ANSWER_TIMEOUT_MS, &answer, message, sizeof(message));

		if (terminal)
			printf("\033[H\033[J");
		if (verdict >= 0)
			printf("%sunknown:%s %s\n", cli_colour(stdout, CLI_BAD),
			       cli_colour(stdout, CLI_PLAIN), message);
		else if (status->daemon.json)
			cli_json_line(answer);
		else
			status_print(status, answer);
		json_decref(answer);
		if (!terminal && !status->daemon.json)
			putchar('\n');
		if (fflush(stdout) != 0)
			return CLI_EXIT_OK; /* nobody reads any more */
		nanosleep(&pause, NULL);
	}
}

int cmd_status(int argc, char **argv)
{
	struct status status = {.interval_ms = 1000};
	struct cli_option options[] = {
		{"watch", 'w', CLI_OPTION_FLAG, &status.watch, NULL,
		 "again and again, until Ctrl-C"},
		{"interval", 'i', CLI_OPTION_DURATION, &status.interval_ms, "TIME",
		 "with --watch, so often (1s)"},
		{"verbose", 'v', CLI_OPTION_FLAG, &status.verbose, NULL, "paths and counters, too"},
		CLI_DAEMON_OPTIONS(&status.daemon),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper status",
		.arguments = "[OPTION...] [SERVICE]",
		.summary =
			"Shows services, LUNs and resources by nodes, as this node knows them. "
			"SEEN is the age "
			"of the look that shows it; what nobody has read is \"unknown\"; a dot "
			"stands "
			"for a node of which the LUN shows nothing (a standby is not registered).",
		.options = options,
		.arguments_max = 1,
	};
	json_t *request, *answer;
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	if (status.watch)
		return status_watch(&status);
	request = json_pack("{s:s}", "command", "status");
	if (count)
		json_object_set_new(request, "group", json_string(argv[1]));
	verdict = cli_daemon_ask(&status.daemon, request, CLI_ANSWER_TIMEOUT_MS, &answer);
	if (verdict >= 0)
		return verdict;
	if (status.daemon.json)
		cli_json_print(json_incref(answer));
	else
		status_print(&status, answer);
	json_decref(answer);
	return CLI_EXIT_OK;
}
