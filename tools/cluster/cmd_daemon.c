/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands about the daemon itself: ping, reload, restart, shutdown.
 */
#include <string.h>
#include <time.h>

#include "tools/cli/daemon.h"

static const struct {
	const char *name, *summary;
} daemon_kinds[] = {
	{"ping", "Asks whether the daemon is there; says how long its answer took."},
	{"reload",
	 "Has the daemon read its configuration again. LUNs and services whose configuration "
	 "did not change are not touched; a configuration with faults changes nothing."},
	{"restart",
	 "Ends the daemon and leaves gates and services as they are; the next daemon (started by "
	 "systemd) takes them over."},
	{"shutdown", "Stops the services, hands the LUNs over and ends the daemon."},
};

static uint64_t daemon_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void daemon_print_changes(const json_t *answer)
{
	const json_t *change;
	size_t i;

	json_array_foreach(json_object_get(answer, "groups"), i, change)
	{
		const char *what = cli_json_text(change, "change");

		if (strcmp(what, "same") != 0)
			printf("  %s: %s\n", cli_json_text(change, "name"), what);
	}
}

static int daemon_say(const char *name, const json_t *answer, uint64_t took_us)
{
	char time[32];

	if (strcmp(name, "ping") == 0)
		printf("the daemon answers, in %s\n", cli_micros_text(took_us, time, sizeof(time)));
	else if (strcmp(name, "reload") == 0)
		printf("the configuration was read again\n");
	else if (strcmp(name, "restart") == 0)
		printf("the daemon ends; gates and services go on\n");
	else
		printf("the daemon hands over and ends\n");
	daemon_print_changes(answer);
	return CLI_EXIT_OK;
}

int cmd_daemon(int argc, char **argv)
{
	struct cli_daemon daemon = {0};
	uint32_t wait_ms = 0;
	bool shutdown = strcmp(argv[0], "shutdown") == 0;
	struct cli_option options[] = {
		CLI_DAEMON_OPTIONS(&daemon),
		{shutdown ? "wait-for" : NULL, 0, shutdown ? CLI_OPTION_DURATION : CLI_OPTION_FLAG,
		 &wait_ms, "TIME", "return when it has ended, or after this time"},
		{0},
	};
	char command[64];
	struct cli_usage usage = {
		.command = command, .arguments = "[OPTION...]", .options = options};
	uint64_t began = daemon_now_us();
	json_t *request, *answer;
	int count = 0, verdict;

	for (size_t i = 0; i < sizeof(daemon_kinds) / sizeof(daemon_kinds[0]); i++) {
		if (strcmp(daemon_kinds[i].name, argv[0]) == 0)
			usage.summary = daemon_kinds[i].summary;
	}
	snprintf(command, sizeof(command), "lunkeeper %s", argv[0]);
	verdict = cli_parse(&usage, argc, argv, &count);
	if (verdict >= 0)
		return verdict;
	request = json_pack("{s:s}", "command", argv[0]);
	if (wait_ms)
		json_object_set_new(request, "wait_ms", json_integer(wait_ms));
	verdict = cli_daemon_ask(&daemon, request, CLI_ANSWER_TIMEOUT_MS + wait_ms, &answer);
	if (verdict >= 0)
		return verdict;
	if (daemon.json)
		cli_json_print(json_incref(answer));
	else
		daemon_say(argv[0], answer, daemon_now_us() - began);
	json_decref(answer);
	return CLI_EXIT_OK;
}

int cmd_version(int argc, char **argv)
{
	struct cli_daemon daemon = {0};
	struct cli_option options[] = {CLI_DAEMON_OPTIONS(&daemon), {0}};
	struct cli_usage usage = {
		.command = "lunkeeper version",
		.arguments = "[OPTION...]",
		.summary = "Says which version this program is, and which one the daemon on this "
			   "node, if it answers.",
		.options = options,
	};
	char message[600];
	json_t *answer = NULL;
	const char *theirs = NULL;
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	if (cli_daemon_ask_quiet(&daemon, json_pack("{s:s}", "command", "status"),
				 CLI_ANSWER_TIMEOUT_MS, &answer, message, sizeof(message)) < 0)
		theirs = cli_json_text(answer, "version");
	if (daemon.json)
		cli_json_print(
			json_pack("{s:s, s:s?}", "version", LUNKEEPER_VERSION, "daemon", theirs));
	else if (theirs)
		printf("lunkeeper %s, lunkeeperd %s\n", LUNKEEPER_VERSION, theirs);
	else
		printf("lunkeeper %s (%s)\n", LUNKEEPER_VERSION, message);
	json_decref(answer);
	return CLI_EXIT_OK;
}
