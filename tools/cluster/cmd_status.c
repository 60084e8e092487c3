/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper status`: asks the daemon once, or again and again.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cluster/status.h"

struct status {
	struct cli_daemon daemon;
	struct status_view view;
	bool watch;
	uint32_t interval_ms;
	const char *service; /* NULL: all */
};

static json_t *status_request(const struct status *status)
{
	json_t *request = json_pack("{s:s}", "command", "status");

	if (status->service)
		json_object_set_new(request, "group", json_string(status->service));
	return request;
}

/* The terminal may have become another. */
static void status_measure(struct status_view *view)
{
	unsigned width = cli_width();

	if (width != view->width)
		memset(view->widths, 0, sizeof(view->widths));
	view->width = width;
	view->height = cli_height();
}

/* One picture over the other, line by line, so that nothing flickers; a terminal that cannot do
 * that, and what is none, gets one after the other. */
static void status_picture(struct status *status, const json_t *answer, const char *message,
			   bool in_place)
{
	const char *line_end = in_place ? "\033[K\n" : "\n";

	if (in_place)
		fputs("\033[H", stdout);
	if (!answer)
		printf("%snot known:%s %s%s", cli_colour(stdout, CLI_BAD),
		       cli_colour(stdout, CLI_PLAIN), message, line_end);
	else
		status_print_fitting(stdout, &status->view, answer, line_end);
	fputs(in_place ? "\033[J" : "\n", stdout);
}

/* Watching goes on while the daemon is away: that nothing is known then is what there is to show. */
static int status_watch(struct status *status)
{
	const struct timespec pause = {.tv_sec = status->interval_ms / 1000,
				       .tv_nsec = (long)(status->interval_ms % 1000) * 1000000L};
	bool in_place = cli_redraws(stdout) && !status->daemon.json;

	if (in_place)
		fputs("\033[H\033[J", stdout);
	for (;;) {
		char message[600] = "";
		json_t *answer = NULL;
		int verdict = cli_daemon_ask_quiet(&status->daemon, status_request(status),
						   CLI_ANSWER_TIMEOUT_MS, &answer, message,
						   sizeof(message));

		if (verdict == CLI_EXIT_USAGE) { /* no service of that name: now, or no more */
			verdict = cli_daemon_verdict(&status->daemon, answer);
			json_decref(answer);
			return verdict;
		}
		status_measure(&status->view);
		if (status->daemon.json && verdict < 0)
			cli_json_line(answer);
		else
			status_picture(status, verdict < 0 ? answer : NULL, message, in_place);
		json_decref(answer);
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
		{"verbose", 'v', CLI_OPTION_FLAG, &status.view.verbose, NULL,
		 "paths and counters, too"},
		CLI_DAEMON_OPTIONS(&status.daemon),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper status",
		.arguments = "[OPTION...] [SERVICE]",
		.summary = "Shows services, LUNs and resources by nodes, as this node knows them. "
			   "SEEN is the age of the look that shows it. An owner knows which "
			   "standby has "
			   "asked lately (\"ready 1.3 s ago\") and which does not ask any more "
			   "(\"silent\"); a standby knows when the owner has answered (\"alive\"). "
			   "What "
			   "nobody has read, and who has no turn to ask, is \"not known\".",
		.options = options,
		.arguments_max = 1,
	};
	json_t *answer;
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	status.service = count ? argv[1] : NULL;
	if (status.watch)
		return status_watch(&status);
	verdict = cli_daemon_ask(&status.daemon, status_request(&status), CLI_ANSWER_TIMEOUT_MS,
				 &answer);
	if (verdict >= 0)
		return verdict;
	status.view.width = cli_width();
	if (status.daemon.json) {
		cli_json_print(json_incref(answer));
	} else {
		status_print_tree(stdout, &status.view, answer);
		status_print_alarms(stdout, &status.view, answer);
	}
	json_decref(answer);
	return CLI_EXIT_OK;
}
