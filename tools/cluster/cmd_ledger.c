/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper ledger` and `lunkeeper explain`: who is registered where, and why things are as they
 * are.
 */
#include <string.h>

#include "tools/cli/daemon.h"

static void ledger_row(struct cli_table *table, const json_t *row, const char *before)
{
	const char *lun = cli_json_text(row, "lun"), *node = cli_json_text(row, "node");
	const json_t *expected = json_object_get(row, "expected");
	const json_t *actual = json_object_get(row, "actual");
	const json_t *holder = json_object_get(row, "holder");
	bool known = json_is_integer(json_object_get(row, "generation"));
	bool agrees = cli_json_flag(row, "agrees");
	bool holds = json_is_object(actual) &&
		     strcmp(cli_json_text(actual, "key"), cli_json_text(holder, "key")) == 0;
	char text[128], age[32];

	cli_table_row(table);
	cli_table_cell(table, CLI_BOLD, "%s", strcmp(lun, before) == 0 ? "" : lun);
	cli_table_cell(table, CLI_PLAIN, "%s", node[0] ? node : "elsewhere");
	cli_table_cell(table, CLI_PLAIN, "%s", cli_json_text(row, "path"));
	cli_table_cell(table, CLI_DIM, "%s", cli_json_text(row, "role"));
	cli_table_cell(table, CLI_PLAIN, "%s",
		       json_is_object(expected) ? cli_json_key(expected, text, sizeof(text))
						: "none");
	cli_table_cell(table,
		       !known   ? CLI_WARNING
		       : agrees ? CLI_PLAIN
				: CLI_BAD,
		       "%s",
		       !known                   ? "unknown"
		       : json_is_object(actual) ? cli_json_key(actual, text, sizeof(text))
						: "none");
	cli_table_cell(table, CLI_GOOD, "%s", holds ? "holds" : "");
	if (known)
		cli_table_cell(table, CLI_PLAIN, "%d", (int)cli_json_number(row, "generation"));
	else
		cli_table_cell(table, CLI_WARNING, "?");
	cli_table_cell(table, CLI_DIM, "%s", cli_json_age(row, "look_age_ms", age, sizeof(age)));
}

static void ledger_print(const json_t *answer)
{
	static const char *const headings[] = {"LUN",    "NODE", "PATH", "ROLE",  "EXPECTED",
					       "ACTUAL", "",     ">GEN", ">SEEN", NULL};
	struct cli_table *table = cli_table_new(headings, 0);
	const json_t *row;
	const char *before = "";
	size_t i, wrong = 0;

	json_array_foreach(json_object_get(answer, "rows"), i, row)
	{
		ledger_row(table, row, before);
		before = cli_json_text(row, "lun");
		wrong += !cli_json_flag(row, "agrees");
	}
	if (cli_table_rows(table) == 0)
		printf("no LUN is configured for this node, or none has a path here: see lunkeeper "
		       "status\n");
	else
		cli_table_print(table, stdout);
	if (wrong)
		printf("%s%zu of %zu differ from what is expected%s\n", cli_colour(stdout, CLI_BAD),
		       wrong, cli_table_rows(table), cli_colour(stdout, CLI_PLAIN));
	cli_table_free(table);
}

int cmd_ledger(int argc, char **argv)
{
	struct cli_daemon daemon = {0};
	struct cli_option options[] = {CLI_DAEMON_OPTIONS(&daemon), {0}};
	struct cli_usage usage = {
		.command = "lunkeeper ledger",
		.arguments = "[OPTION...] [LUN]",
		.summary = "Shows for every LUN and path of this node which key ought to be "
			   "registered, "
			   "and which one is; and the registrations of others.",
		.options = options,
		.arguments_max = 1,
	};
	json_t *request, *answer;
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	request = json_pack("{s:s}", "command", "ledger");
	if (count)
		json_object_set_new(request, "lun", json_string(argv[1]));
	verdict = cli_daemon_ask(&daemon, request, CLI_ANSWER_TIMEOUT_MS, &answer);
	if (verdict >= 0)
		return verdict;
	if (daemon.json)
		cli_json_print(json_incref(answer));
	else
		ledger_print(answer);
	json_decref(answer);
	return CLI_EXIT_OK;
}

static void explain_print(const json_t *answer)
{
	static const char *const headings[] = {"RULE", ">TIMES", ">LAST", "WHAT", NULL};
	struct cli_table *table = cli_table_new(headings, 0);
	const json_t *line, *rule;
	size_t i;
	char age[32];

	json_array_foreach(json_object_get(answer, "explanation"), i, line)
		printf("%s\n", json_string_value(line));
	json_array_foreach(json_object_get(answer, "rules"), i, rule)
	{
		cli_table_row(table);
		cli_table_cell(table, CLI_PLAIN, "%s", cli_json_text(rule, "rule"));
		cli_table_cell(table, CLI_PLAIN, "%lld", (long long)cli_json_number(rule, "count"));
		cli_table_cell(table, CLI_PLAIN, "%s",
			       cli_json_age(rule, "age_ms", age, sizeof(age)));
		cli_table_cell(table, CLI_DIM, "%s", cli_json_text(rule, "text"));
	}
	if (cli_table_rows(table)) {
		printf("\nWhat has been decided since the daemon was started:\n");
		cli_table_indent(table, 2);
		cli_table_print(table, stdout);
	}
	cli_table_free(table);
}

int cmd_explain(int argc, char **argv)
{
	struct cli_daemon daemon = {0};
	struct cli_option options[] = {CLI_DAEMON_OPTIONS(&daemon), {0}};
	struct cli_usage usage = {
		.command = "lunkeeper explain",
		.arguments = "[OPTION...] SERVICE",
		.summary = "Says where a service (or a LUN) is, why, and what would happen next.",
		.options = options,
		.arguments_min = 1,
		.arguments_max = 1,
	};
	json_t *answer;
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	verdict = cli_daemon_ask(&daemon,
				 json_pack("{s:s, s:s}", "command", "explain", "group", argv[1]),
				 CLI_ANSWER_TIMEOUT_MS, &answer);
	if (verdict >= 0)
		return verdict;
	if (daemon.json)
		cli_json_print(json_incref(answer));
	else
		explain_print(answer);
	json_decref(answer);
	return CLI_EXIT_OK;
}
