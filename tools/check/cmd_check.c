/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper check`: the configuration, every fault with its line; with --node this machine too
 * (tools/check/node.c).
 */
#include <string.h>
#include <unistd.h>

#include "cluster/config/config.h"
#include "tools/check/check.h"
#include "tools/cli/cli.h"

static void check_print_faults(const struct config_faults *faults)
{
	char text[700];

	for (size_t i = 0; i < faults->count; i++)
		fprintf(stderr, "%s\n", config_fault_text(&faults->list[i], text, sizeof(text)));
	if (faults->more)
		fprintf(stderr, "and more\n");
}

static json_t *check_faults_json(const struct config_faults *faults)
{
	json_t *list = json_array();

	for (size_t i = 0; i < faults->count; i++) {
		const struct config_fault *fault = &faults->list[i];

		json_array_append_new(
			list,
			json_pack("{s:s, s:i, s:s, s:s}", "file", fault->file, "line", fault->line,
				  "severity", fault->severity == CONFIG_ERROR ? "error" : "warning",
				  "text", fault->text));
	}
	return list;
}

static void check_print_good(const struct config *config, const struct config_faults *faults)
{
	printf("%s: %sgood%s: cluster %s, %zu node%s, %zu LUN%s, %zu service%s", config->path,
	       cli_colour(stdout, CLI_GOOD), cli_colour(stdout, CLI_PLAIN), config->cluster,
	       config->node_count, config->node_count == 1 ? "" : "s", config->lun_count,
	       config->lun_count == 1 ? "" : "s", check_service_count(config),
	       check_service_count(config) == 1 ? "" : "s");
	if (faults->count)
		printf(", %zu warning%s", faults->count, faults->count == 1 ? "" : "s");
	putchar('\n');
}

size_t check_service_count(const struct config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->group_count; i++)
		count += config->groups[i].has_service;
	return count;
}

static int check_run(struct check *check)
{
	struct config_faults faults = {0};
	struct config *config = NULL;
	int error = config_load(check->path, &config, &faults);
	json_t *document = json_pack("{s:s, s:b, s:o}", "file", check->path, "ok", !error, "faults",
				     check_faults_json(&faults));
	int verdict = error ? CLI_EXIT_FAILED : CLI_EXIT_OK;

	if (!check->json) {
		check_print_faults(&faults);
		if (!error)
			check_print_good(config, &faults);
		else
			cli_error("%s: %zu error%s", check->path, faults.errors,
				  faults.errors == 1 ? "" : "s");
	}
	if (!error && check->node) {
		json_t *findings = json_array();

		check->config = config;
		if (check_node(check, findings))
			verdict = CLI_EXIT_FAILED;
		json_object_set_new(document, "ok", json_boolean(verdict == CLI_EXIT_OK));
		json_object_set_new(document, "node", findings);
	}
	if (check->json)
		cli_json_print(json_incref(document));
	json_decref(document);
	config_faults_free(&faults);
	config_free(config);
	return verdict;
}

int cmd_check(int argc, char **argv)
{
	struct check check = {.path = CONFIG_PATH_DEFAULT};
	struct cli_option options[] = {
		{"node", 'n', CLI_OPTION_FLAG, &check.node, NULL,
		 "look at this machine too: programs, folders, initiator name, LUNs, their answer "
		 "times, what the daemon may do, and what would use a standby's LUN by itself "
		 "(LVM, "
		 "md, fstab, ...)"},
		{"as", 0, CLI_OPTION_STRING, &check.name, "NAME",
		 "this machine's name in the configuration; without it the host name"},
		{"state", 0, CLI_OPTION_STRING, &check.state, "DIR",
		 "the daemon's state folder (/var/lib/lunkeeper)"},
		{"run", 0, CLI_OPTION_STRING, &check.run, "DIR", "its run folder (/run/lunkeeper)"},
		{"timeout", 't', CLI_OPTION_DURATION, &check.timeout_ms, "TIME",
		 "give a LUN up after this time (15s)"},
		{"json", 0, CLI_OPTION_FLAG, &check.json, NULL, "JSON instead of text"},
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper check",
		.arguments = "[OPTION...] [FILE]",
		.summary = "Validates a configuration (" CONFIG_PATH_DEFAULT
			   " without FILE) and names every "
			   "fault with file and line. Needs no daemon.",
		.options = options,
		.arguments_max = 1,
	};
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	if (count)
		check.path = argv[1];
	return check_run(&check);
}
