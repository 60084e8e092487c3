/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper lun shell`: steps, line by line from the terminal, a pipe or a file, on sessions that
 * stay open from one line to the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/lun/lun.h"

#define SHELL_LINE_MAX 4096

struct shell {
	struct lun_context context;
	struct lun_fleet *fleet;
	bool prompting, keep_going, readable;
	bool pollable; /* a file is not: it is always readable */
	char buffer[SHELL_LINE_MAX];
	size_t used;
	bool ended;
};

static const char shell_help[] =
	"  show, keys, capabilities, test         look\n"
	"  register --key K [--new-key K] ...     register --help and the others tell more\n"
	"  unregister, reserve, release, preempt, clear, reset\n"
	"  sleep TIME                             500ms, 2s\n"
	"  several steps on a line: STEP; STEP    the first that fails is the last\n"
	"  quit                                   or the end of the input\n";

/* Lines. */

static void shell_readable(uv_poll_t *poll, int status, int events)
{
	struct shell *shell = poll->data;

	(void)status;
	(void)events;
	shell->readable = true;
	uv_stop(poll->loop);
}

/* The loop goes on while nobody types, so that the sessions live. */
static bool shell_wait(struct shell *shell)
{
	uv_loop_t *loop = lun_fleet_loop(shell->fleet);
	uv_poll_t poll;

	if (!shell->pollable)
		return true;
	shell->readable = false;
	uv_poll_init(loop, &poll, STDIN_FILENO);
	poll.data = shell;
	uv_poll_start(&poll, UV_READABLE | UV_DISCONNECT, shell_readable);
	while (!shell->readable && !lun_fleet_interrupted(shell->fleet))
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	return shell->readable;
}

static char *shell_take_line(struct shell *shell)
{
	char *end = memchr(shell->buffer, '\n', shell->used);
	size_t length = end ? (size_t)(end - shell->buffer) : shell->used;
	char *line;

	if (!end && !(shell->ended && shell->used) && shell->used < sizeof(shell->buffer))
		return NULL;
	line = strndup(shell->buffer, length);
	length += end != NULL;
	shell->used -= length;
	memmove(shell->buffer, shell->buffer + length, shell->used);
	return line;
}

/* NULL: the input has ended. */
static char *shell_line(struct shell *shell)
{
	char *line;

	if (shell->prompting) {
		fputs("lun> ", stdout);
		fflush(stdout);
	}
	while ((line = shell_take_line(shell)) == NULL && !shell->ended) {
		ssize_t got;

		if (!shell_wait(shell))
			return NULL;
		got = read(STDIN_FILENO, shell->buffer + shell->used,
			   sizeof(shell->buffer) - shell->used);
		if (got <= 0)
			shell->ended = true;
		else
			shell->used += (size_t)got;
	}
	return line;
}

/* One line. False: that was the last. */
static bool shell_do(struct shell *shell, const char *line, int *verdict)
{
	struct lun_script script;
	char message[LUN_MESSAGE_MAX];
	json_t *results;
	int failed;

	line += strspn(line, " \t");
	if (strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0)
		return false;
	if (strcmp(line, "help") == 0 || strcmp(line, "?") == 0) {
		fputs(shell_help, stdout);
		return true;
	}
	if (lun_script_parse(&script, line, message, sizeof(message))) {
		cli_error("%s", message);
		*verdict = CLI_EXIT_USAGE;
		return shell->prompting || shell->keep_going;
	}
	if (script.count == 0)
		return true;
	lun_fleet_run(shell->fleet, &script);
	results = lun_fleet_results(shell->fleet);
	failed = lun_results_exit(results);
	if (failed)
		*verdict = failed;
	if (shell->context.json)
		cli_json_line(results);
	else
		lun_print_results(results, &shell->context);
	json_decref(results);
	lun_script_free(&script);
	return !failed || shell->prompting || shell->keep_going;
}

static int shell_run(struct shell *shell, const struct lun_devices *devices)
{
	struct lun_fleet_options options = {.context = &shell->context, .keep = true};
	struct lun_script nothing = {.count = 0};
	int verdict = CLI_EXIT_OK;
	json_t *results;
	char *line;

	shell->fleet = lun_fleet_new(devices, &options);
	lun_fleet_run(shell->fleet, &nothing); /* logs in */
	results = lun_fleet_results(shell->fleet);
	if (lun_results_exit(results)) {
		verdict = CLI_EXIT_FAILED;
		lun_print_results(results, &shell->context);
	} else if (shell->prompting) {
		printf("%zu device%s open; `help` lists the steps\n", devices->count,
		       devices->count == 1 ? " is" : "s are");
	}
	json_decref(results);
	if (verdict == CLI_EXIT_OK || shell->prompting || shell->keep_going) {
		while ((line = shell_line(shell)) != NULL) {
			bool more = shell_do(shell, line, &verdict);

			free(line);
			if (!more)
				break;
		}
	}
	lun_fleet_free(shell->fleet);
	return verdict;
}

int cmd_lun_shell(int argc, char **argv)
{
	struct shell shell = {.used = 0};
	struct lun_devices devices = {0};
	struct stat input;
	struct cli_option options[] = {
		{"keep-going", 0, CLI_OPTION_FLAG, &shell.keep_going, NULL,
		 "go on after a line that failed (a terminal does)"},
		{"force", 'f', CLI_OPTION_FLAG, &shell.context.force, NULL,
		 "do what was asked although somebody loses something by it"},
		LUN_CONTEXT_OPTIONS(&shell.context),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper lun shell",
		.arguments = "[OPTION...] DEVICE...",
		.summary =
			"Reads steps, a line at a time, and carries them out on every device in "
			"sessions that stay open until the end: what one line registers is there "
			"for the next, also on targets that drop a registration with its session. "
			"With --json every line is answered by one line.",
		.text = "Steps:\n"
			"  show, keys, capabilities, test, register, unregister, reserve, release, "
			"preempt, clear, reset,\n  sleep TIME; with the options of `lunkeeper lun "
			"STEP`. From a file, the first line that fails is\n  the last.",
		.options = options,
		.arguments_max = SIZE_MAX,
	};
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	shell.pollable =
		fstat(STDIN_FILENO, &input) == 0 &&
		(S_ISFIFO(input.st_mode) || S_ISSOCK(input.st_mode) || isatty(STDIN_FILENO));
	shell.prompting = isatty(STDIN_FILENO);
	verdict = lun_context_begin(&shell.context, false);
	if (verdict < 0)
		verdict = lun_devices_make(&devices, &shell.context, argv + 1, (size_t)count);
	if (verdict < 0)
		verdict = shell_run(&shell, &devices);
	lun_devices_free(&devices);
	lun_context_end(&shell.context);
	return verdict;
}
