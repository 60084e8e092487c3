/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One screen, a tree of services, LUNs and resources by nodes, as the asked node knows it. Every
 * state stands beside its age; what nobody has read is "not known".
 */
#include "tools/cluster/status.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_NODES_MAX 8      /* columns; of more nodes only those that are somewhere are shown */
#define STATUS_OLD_LOOK_MS 5000 /* looks older than this stand out */

struct status_nodes {
	const json_t *items[STATUS_NODES_MAX];
	size_t count, left_out;
};

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

/* A healthy standby asks the owner again and again whether it lives, and is turned away: that is no
 * state of its own until half of the window has passed without an answer. */
static bool status_only_asks(const json_t *group)
{
	const json_t *holder = json_object_get(group, "holder");

	return strcmp(cli_json_text(group, "state"), "challenging") == 0 &&
	       cli_json_flag(holder, "ours") && !cli_json_flag(holder, "self") &&
	       2 * cli_json_number(group, "window_done_ms") <= cli_json_number(group, "window_ms");
}

/* Cells: one for each node. */

static void status_group_self(struct cli_table *table, const json_t *group)
{
	const char *state = cli_json_text(group, "state");
	const char *maintenance = cli_json_flag(group, "maintenance") ? ", maintenance" : "";
	const char *unfit = cli_json_flag(group, "fit") ? "" : ", unfit";
	char age[32];

	if (status_only_asks(group))
		cli_table_cell(table, CLI_PLAIN, "standby (asks)%s%s", maintenance, unfit);
	else
		cli_table_cell(
			table, status_state_colour(state), "%s%s%s %s", state, maintenance, unfit,
			cli_json_age(group,
				     strcmp(state, "standby") == 0 ? "standby_ms" : "since_ms", age,
				     sizeof(age)));
}

static const json_t *status_peer(const json_t *group, const char *node)
{
	const json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(group, "peers"), i, peer)
	{
		if (strcmp(cli_json_text(peer, "node"), node) == 0)
			return peer;
	}
	return NULL;
}

/* A key that asks for the LUN, or offers it. */
static const char *status_wish(const json_t *group, const char *node)
{
	const json_t *lun = json_array_get(json_object_get(group, "luns"), 0), *key;
	size_t i;

	json_array_foreach(json_object_get(lun, "keys"), i, key)
	{
		if (!status_key_of(key, node))
			continue;
		if (strcmp(cli_json_text(key, "kind"), "request") == 0)
			return "asks for it";
		if (strcmp(cli_json_text(key, "kind"), "offer") == 0)
			return "offers it";
	}
	return NULL;
}

static void status_owner_cell(struct cli_table *table, const json_t *peer)
{
	const char *state = cli_json_text(peer, "state");
	char age[32];

	cli_json_age(peer, "age_ms", age, sizeof(age));
	if (strcmp(state, "answers") == 0)
		cli_table_cell(table, CLI_GOOD, "owner, alive %s ago", age);
	else if (strcmp(state, "silent") == 0)
		cli_table_cell(table, CLI_BAD, "owner, silent %s", age);
	else
		cli_table_cell(table, CLI_GOOD, "owner");
}

static void status_group_other(struct cli_table *table, const json_t *group, const char *node)
{
	const json_t *peer = status_peer(group, node);
	const char *state = cli_json_text(peer, "state"), *wish = status_wish(group, node);
	char age[32];

	cli_json_age(peer, "age_ms", age, sizeof(age));
	if (!status_lists_node(group, node))
		cli_table_cell(table, CLI_PLAIN, "%s", "");
	else if (!cli_json_flag(group, "known"))
		cli_table_cell(table, CLI_WARNING, "not known");
	else if (wish)
		cli_table_cell(table, CLI_WARNING, "%s", wish);
	else if (status_key_of(json_object_get(group, "holder"), node))
		status_owner_cell(table, peer);
	else if (strcmp(state, "ready") == 0)
		cli_table_cell(table, CLI_PLAIN, "ready %s ago", age);
	else if (strcmp(state, "silent") == 0)
		cli_table_cell(table, CLI_WARNING, "silent %s", age);
	else
		cli_table_cell(table, CLI_DIM, "not known");
}

static void status_seen(struct cli_table *table, const json_t *object)
{
	json_int_t ms = cli_json_number(object, "look_age_ms");
	bool known = json_is_integer(json_object_get(object, "look_age_ms"));
	char age[32];

	cli_table_cell(table, !known || ms > STATUS_OLD_LOOK_MS ? CLI_BAD : CLI_DIM, "%s",
		       cli_json_age(object, "look_age_ms", age, sizeof(age)));
}

/* The last column, or on a narrow screen a line below the row. */
static void status_why(struct cli_table *table, const struct status_view *view,
		       enum cli_colour colour, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void status_why(struct cli_table *table, const struct status_view *view,
		       enum cli_colour colour, const char *format, ...)
{
	char text[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!text[0])
		return;
	if (view->width && view->width < STATUS_WIDE)
		cli_table_note(table, colour, "%s", text);
	else
		cli_table_cell(table, colour, "%s", text);
}

/* Who owns it and why, unless something is going on. */
static const char *status_reason(const json_t *group)
{
	const char *state = cli_json_text(group, "state"), *cause = cli_json_text(group, "cause");
	bool settled = strcmp(state, "owner") == 0 || strcmp(state, "standby") == 0 ||
		       status_only_asks(group);

	return settled && cause[0] ? cause : cli_json_text(group, "reason");
}

static void status_group_row(struct cli_table *table, const struct status_view *view,
			     const json_t *group, const struct status_nodes *nodes)
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
		status_why(table, view, CLI_BAD, "held by %s",
			   cli_json_key(holder, text, sizeof(text)));
	else if (cli_json_text(group, "unfit_reason")[0])
		status_why(table, view, CLI_WARNING, "unfit: %s",
			   cli_json_text(group, "unfit_reason"));
	else
		status_why(table, view, CLI_DIM, "%s", status_reason(group));
}

static void status_lun_self(struct cli_table *table, const json_t *group, const json_t *lun)
{
	const char *gate = cli_json_text(group, "gate");
	bool closed = strcmp(gate, "failed") == 0;

	if (!cli_json_flag(lun, "known"))
		cli_table_cell(table, CLI_WARNING, "not known");
	else if (cli_json_flag(lun, "owned"))
		cli_table_cell(table, strcmp(gate, "open") == 0 ? CLI_PLAIN : CLI_WARNING,
			       "holds, gate %s", closed ? "closed" : gate);
	else if (closed)
		cli_table_cell(table, CLI_DIM, "closed");
	else
		cli_table_cell(table, CLI_WARNING, "gate %s", gate);
}

static const char *status_size(const json_t *lun, char *buffer, size_t size)
{
	json_int_t bytes = cli_json_number(lun, "size"), block = cli_json_number(lun, "block_size");
	char text[32];

	if (bytes <= 0)
		snprintf(buffer, size, "size not known");
	else if (block == 4096)
		snprintf(buffer, size, "%s (4Kn)",
			 cli_size_text((uint64_t)bytes, text, sizeof(text)));
	else if (block > 0)
		snprintf(buffer, size, "%s (%lld B)",
			 cli_size_text((uint64_t)bytes, text, sizeof(text)), (long long)block);
	else
		snprintf(buffer, size, "%s", cli_size_text((uint64_t)bytes, text, sizeof(text)));
	return buffer;
}

static void status_lun_row(struct cli_table *table, const struct status_view *view,
			   const json_t *group, const json_t *lun, const struct status_nodes *nodes,
			   const char *branch)
{
	const json_t *holder = json_object_get(lun, "holder");
	char size[64], text[128];

	cli_table_row(table);
	cli_table_cell(table, CLI_PLAIN, "%s%s  %s", branch, cli_json_text(lun, "name"),
		       status_size(lun, size, sizeof(size)));
	for (size_t i = 0; i < nodes->count; i++) {
		const char *node = cli_json_text(nodes->items[i], "name");

		if (cli_json_flag(nodes->items[i], "self"))
			status_lun_self(table, group, lun);
		else if (!cli_json_flag(lun, "known"))
			cli_table_cell(table, CLI_WARNING, "not known");
		else
			cli_table_cell(table, CLI_PLAIN, "%s",
				       status_key_of(holder, node) ? "holds" : "");
	}
	status_seen(table, lun);
	if (cli_json_text(lun, "problem")[0])
		status_why(table, view, CLI_BAD, "%s", cli_json_text(lun, "problem"));
	else if (json_is_object(holder) && !cli_json_flag(holder, "ours"))
		status_why(table, view, CLI_BAD, "held by %s",
			   cli_json_key(holder, text, sizeof(text)));
	else if (cli_json_text(lun, "attached")[0])
		status_why(table, view, CLI_DIM, "%s", cli_json_text(lun, "attached"));
}

static void status_path_rows(struct cli_table *table, const struct status_view *view,
			     const json_t *lun, const struct status_nodes *nodes,
			     const char *branch)
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
		status_why(table, view, up ? CLI_DIM : CLI_BAD, "%s%s%s",
			   cli_json_text(path, "name"),
			   cli_json_text(path, "reason")[0] ? ": " : "",
			   cli_json_text(path, "reason"));
	}
}

static void status_resource_row(struct cli_table *table, const struct status_view *view,
				const json_t *resource, const struct status_nodes *nodes,
				const char *branch)
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
	status_why(table, view, bad ? CLI_BAD : CLI_DIM, "%s", error);
}

static void status_group_rows(struct cli_table *table, const struct status_view *view,
			      const json_t *group, const struct status_nodes *nodes)
{
	const json_t *luns = json_object_get(group, "luns"), *lun;
	const json_t *resources = json_object_get(group, "resources"), *resource;
	size_t i, left = json_array_size(luns) + json_array_size(resources);
	bool utf8 = cli_utf8();

	status_group_row(table, view, group, nodes);
	json_array_foreach(luns, i, lun)
	{
		const char *branch = --left ? (utf8 ? "\u251c\u2500 " : "|- ")
					    : (utf8 ? "\u2514\u2500 " : "`- ");

		status_lun_row(table, view, group, lun, nodes, branch);
		if (view->verbose)
			status_path_rows(table, view, lun, nodes,
					 left ? (utf8 ? "\u2502  " : "|  ") : "   ");
	}
	json_array_foreach(resources, i, resource)
	{
		const char *branch = --left ? (utf8 ? "\u251c\u2500 " : "|- ")
					    : (utf8 ? "\u2514\u2500 " : "`- ");

		status_resource_row(table, view, resource, nodes, branch);
	}
}

/* Around the tree. */

static void status_print_head(FILE *out, const json_t *answer)
{
	char up[32];

	fprintf(out, "%s%s%s, as %s%s%s sees it%s  %sup %s, lunkeeperd %s, pid %d%s\n\n",
		cli_colour(stdout, CLI_BOLD), cli_json_text(answer, "cluster"),
		cli_colour(stdout, CLI_PLAIN), cli_colour(stdout, CLI_BOLD),
		cli_json_text(answer, "node"), cli_colour(stdout, CLI_PLAIN),
		cli_json_flag(answer, "standby") ? " (standby)" : "", cli_colour(stdout, CLI_DIM),
		cli_json_age(answer, "uptime_ms", up, sizeof(up)), cli_json_text(answer, "version"),
		(int)cli_json_number(answer, "pid"), cli_colour(stdout, CLI_PLAIN));
}

/* One line below the tree, in the colour of what is bad. */
static void status_print_bad(FILE *out, bool *any, const char *about, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void status_print_bad(FILE *out, bool *any, const char *about, const char *format, ...)
{
	va_list arguments;

	fprintf(out, "%s%s! %s: ", *any ? "" : "\n", cli_colour(stdout, CLI_BAD), about);
	va_start(arguments, format);
	vfprintf(out, format, arguments);
	va_end(arguments);
	fprintf(out, "%s\n", cli_colour(stdout, CLI_PLAIN));
	*any = true;
}

/* Why a path cannot be used. */
static void status_print_paths(FILE *out, const json_t *group, bool *any)
{
	const json_t *lun, *path;
	size_t i, j;

	json_array_foreach(json_object_get(group, "luns"), i, lun)
	{
		json_array_foreach(json_object_get(lun, "paths"), j, path)
		{
			const char *reason = cli_json_text(path, "reason");

			if (reason[0])
				status_print_bad(out, any, cli_json_text(lun, "name"), "%s: %s",
						 cli_json_text(path, "name"), reason);
		}
	}
}

static void status_print_watchdog(FILE *out, const json_t *answer, bool *any)
{
	const json_t *watchdog = json_object_get(answer, "watchdog");
	const char *reason = cli_json_text(watchdog, "reason");
	const char *error = cli_json_text(watchdog, "error");

	if (reason[0])
		status_print_bad(out, any, "watchdog", "not fed: %s; this node is reset in %lld s",
				 reason,
				 ((long long)cli_json_number(watchdog, "reset_ms") + 999) / 1000);
	if (error[0])
		status_print_bad(out, any, "watchdog", "%s: %s", cli_json_text(watchdog, "device"),
				 error);
}

/* "3 keys: foreign 0x1 of iqn.2024-01.example:a, foreign 0x2, ..., " */
static void status_alarm_keys(const json_t *alarm, char *buffer, size_t size)
{
	const json_t *keys = json_object_get(alarm, "keys"), *key;
	json_int_t count = cli_json_number(alarm, "key_count");
	size_t used = 0, i;
	char text[128];

	buffer[0] = '\0';
	if (count > 0)
		used = (size_t)snprintf(buffer, size, "%lld key%s: ", (long long)count,
					count == 1 ? "" : "s");
	json_array_foreach(keys, i, key)
	{
		const char *initiator = cli_json_text(key, "initiator");

		if (used < size)
			used += (size_t)snprintf(buffer + used, size - used, "%s%s%s%s",
						 i ? ", " : "",
						 cli_json_key(key, text, sizeof(text)),
						 initiator[0] ? " of " : "", initiator);
	}
	if (used && used < size)
		snprintf(buffer + used, size - used, "%s; ",
			 (size_t)count > json_array_size(keys) ? ", ..." : "");
}

static void status_print_alarm(FILE *out, const json_t *group, const json_t *alarm, bool *any)
{
	const char *lun = cli_json_text(alarm, "lun"),
		   *about = lun[0] ? lun : cli_json_text(group, "name");
	char age[32], keys[600];

	if (strcmp(cli_json_text(alarm, "name"), "storage-silent") == 0) {
		/* it says itself for how long */
		status_print_bad(out, any, about, "%s", cli_json_text(alarm, "text"));
		return;
	}
	status_alarm_keys(alarm, keys, sizeof(keys));
	status_print_bad(out, any, about, "%s (%sfor %s)", cli_json_text(alarm, "text"), keys,
			 cli_json_age(alarm, "since_ms", age, sizeof(age)));
}

static bool status_print_problems(FILE *out, const json_t *answer)
{
	const json_t *group, *alarm;
	size_t i, j;
	char age[32];
	bool any = false;

	status_print_watchdog(out, answer, &any);
	json_array_foreach(json_object_get(answer, "alarms"), i, alarm) status_print_bad(
		out, &any, cli_json_text(alarm, "name"), "%s (for %s)",
		cli_json_text(alarm, "text"), cli_json_age(alarm, "since_ms", age, sizeof(age)));
	json_array_foreach(json_object_get(answer, "groups"), i, group)
	{
		const char *problem = cli_json_text(group, "gate_problem");

		json_array_foreach(json_object_get(group, "alarms"), j, alarm)
			status_print_alarm(out, group, alarm, &any);
		if (problem[0])
			status_print_bad(out, &any, cli_json_text(group, "name"), "gate: %s",
					 problem);
		status_print_paths(out, group, &any);
	}
	return any;
}

static void status_print_watchdog_line(FILE *out, const json_t *answer)
{
	const json_t *watchdog = json_object_get(answer, "watchdog");
	char age[32];

	if (!json_is_object(watchdog)) {
		fprintf(out, "\n%swatchdog none%s", cli_colour(stdout, CLI_DIM),
			cli_colour(stdout, CLI_PLAIN));
		return;
	}
	fprintf(out, "\n%swatchdog %s (%s), %lld s, %s%s%s%s", cli_colour(stdout, CLI_DIM),
		cli_json_text(watchdog, "device"), cli_json_text(watchdog, "identity"),
		(long long)cli_json_number(watchdog, "timeout_ms") / 1000,
		cli_json_flag(watchdog, "armed") ? "armed, fed "
						 : "not armed: nothing is owned here",
		cli_json_flag(watchdog, "armed")
			? cli_json_age(watchdog, "fed_ms", age, sizeof(age))
			: "",
		cli_json_flag(watchdog, "armed") ? " ago" : "", cli_colour(stdout, CLI_PLAIN));
}

static void status_print_counters(FILE *out, const json_t *answer)
{
	const json_t *counters = json_object_get(answer, "counters"), *value;
	const char *sets[] = {"pr_in", "pr_out"};
	const char *name;

	fprintf(out, "\n%slooks %lld, failed %lld; ", cli_colour(stdout, CLI_DIM),
		(long long)cli_json_number(counters, "looks"),
		(long long)cli_json_number(counters, "looks_failed"));
	for (size_t i = 0; i < 2; i++) {
		json_object_foreach((json_t *)(uintptr_t)json_object_get(counters, sets[i]), name,
				    value)
		{
			if (json_integer_value(value))
				fprintf(out, "%s %lld, ", name,
					(long long)json_integer_value(value));
		}
	}
	fprintf(out, "unit attentions %lld%s\n",
		(long long)cli_json_number(counters, "unit_attentions"),
		cli_colour(stdout, CLI_PLAIN));
}

void status_print_tree(FILE *out, struct status_view *view, const json_t *answer)
{
	bool wide = !view->width || view->width >= STATUS_WIDE;
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
	if (wide)
		headings[used++] = "WHY";
	headings[used] = NULL;
	status_print_head(out, answer);
	table = cli_table_new(headings, 0);
	cli_table_keep(table, view->widths);
	json_array_foreach(json_object_get(answer, "groups"), i, group)
		status_group_rows(table, view, group, &nodes);
	if (cli_table_rows(table))
		cli_table_print(table, out);
	else
		fprintf(out, "no LUN is configured\n");
	cli_table_free(table);
	if (nodes.left_out)
		fprintf(out, "%zu more nodes are configured\n", nodes.left_out);
}

void status_print_alarms(FILE *out, const struct status_view *view, const json_t *answer)
{
	status_print_problems(out, answer);
	if (view->verbose) {
		status_print_watchdog_line(out, answer);
		status_print_counters(out, answer);
	}
}

/* --- within a screen --- */

static size_t status_count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Of `text` so many lines; returns what is left of it. */
static const char *status_put_lines(FILE *out, const char *text, size_t lines, unsigned width,
				    const char *line_end)
{
	for (; lines > 0 && *text; lines--) {
		size_t length = strcspn(text, "\n");

		cli_print_clipped(out, text, length, width);
		fputs(line_end, out);
		text += length + (text[length] == '\n');
	}
	return text;
}

void status_print_fitting(FILE *out, struct status_view *view, const json_t *answer,
			  const char *line_end)
{
	char *tree = NULL, *alarms = NULL;
	size_t tree_size, alarms_size, room, tree_lines, alarm_lines;
	FILE *trees = open_memstream(&tree, &tree_size);
	FILE *alarmed = open_memstream(&alarms, &alarms_size);

	if (!trees || !alarmed)
		abort();
	status_print_tree(trees, view, answer);
	status_print_alarms(alarmed, view, answer);
	fclose(trees);
	fclose(alarmed);
	tree_lines = status_count_lines(tree);
	alarm_lines = status_count_lines(alarms);
	room = view->height > 1 ? view->height - 1
				: SIZE_MAX; /* the cursor has a line of its own */
	if (alarm_lines > room / 2 && tree_lines + alarm_lines > room)
		alarm_lines = room / 2;
	if (tree_lines + alarm_lines > room) {
		size_t shown = room - alarm_lines > 1 ? room - alarm_lines - 1 : 0;
		char more[100];

		snprintf(more, sizeof(more),
			 "... %zu more lines; lunkeeper status SERVICE shows one",
			 tree_lines - shown);
		status_put_lines(out, tree, shown, view->width, line_end);
		status_put_lines(out, more, 1, view->width, line_end);
	} else {
		status_put_lines(out, tree, tree_lines, view->width, line_end);
	}
	status_put_lines(out, alarms, alarm_lines, view->width, line_end);
	free(tree);
	free(alarms);
}
