/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The baseline of the takeover benchmark, as fence_scsi does it: the PR commands that take a LUN
 * from a dead node, one LUN after another; either all in this process, or with a process begun and
 * waited for before each command, as when sg_persist is called. All of it through one session that
 * is logged in before the clock starts, as a kernel's would be.
 *
 * `lunkeeper rig takeover hold` makes the state to begin with: it registers and reserves all LUNs,
 * and stays.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "iscsi/path_iscsi.h"
#include "scsi/path.h"
#include "scsi/pr.h"
#include "tools/cli/cli.h"
#include "tools/rig/commands.h"

#define TAKEOVER_QUALIFIER 0x4c01
#define TAKEOVER_TYPE PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY
#define TAKEOVER_TIMEOUT_MS 10000

extern char **environ;

struct takeover {
	uv_loop_t loop;
	struct path **paths;
	size_t count, up, down;
	bool process; /* begin a process before each command */
	char *program[3];
	uint64_t commands, processes_us, failed;
	struct scsi_request request;
	bool done;
	char message[300];
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void takeover_changed(struct path *path, enum path_state state, const char *reason,
			     void *user)
{
	struct takeover *takeover = user;

	(void)path;
	takeover->up += state == PATH_STATE_UP;
	if (state == PATH_STATE_DOWN) {
		takeover->down++;
		snprintf(takeover->message, sizeof(takeover->message), "%s",
			 reason ? reason : "lost");
	}
}

static void takeover_done(struct scsi_request *request)
{
	((struct takeover *)request->user)->done = true;
}

/* The process that a script would begin for the command. */
static void takeover_process(struct takeover *takeover)
{
	uint64_t began = now_us();
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1 /* O_WRONLY */, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0);
	if (posix_spawnp(&pid, takeover->program[0], &actions, NULL, takeover->program, environ) ==
	    0)
		waitpid(pid, NULL, 0);
	posix_spawn_file_actions_destroy(&actions);
	takeover->processes_us += now_us() - began;
}

/* Sends takeover->request, with the retries that a unit attention asks for. */
static enum scsi_outcome takeover_send(struct takeover *takeover, size_t lun, bool reset)
{
	struct scsi_request *request = &takeover->request;
	uint32_t wait_ms = 0;
	unsigned attempt = 0;

	if (takeover->process)
		takeover_process(takeover);
	takeover->commands++;
	request->timeout_ms = TAKEOVER_TIMEOUT_MS;
	request->done = takeover_done;
	request->user = takeover;
	do {
		takeover->done = false;
		if (reset)
			path_reset_logical_unit(takeover->paths[lun], request);
		else
			path_submit(takeover->paths[lun], request);
		while (!takeover->done && uv_run(&takeover->loop, UV_RUN_ONCE))
			;
	} while (!reset &&
		 scsi_retry_judge(&request->result, attempt++, &wait_ms) == SCSI_RETRY_AT_ONCE);
	return request->result.outcome;
}

static void takeover_order(struct takeover *takeover, size_t lun, const struct pr_out *out)
{
	uint8_t data[PR_OUT_PARAMETER_LENGTH];

	memset(&takeover->request, 0, sizeof(takeover->request));
	pr_out_encode(&takeover->request, out, data, sizeof(data));
	takeover->failed += takeover_send(takeover, lun, false) != SCSI_OUTCOME_OK;
}

static bool takeover_look(struct takeover *takeover, size_t lun, uint64_t key)
{
	struct pr_reservation reservation;
	uint8_t data[256];

	memset(&takeover->request, 0, sizeof(takeover->request));
	pr_in_encode(&takeover->request, PR_IN_READ_KEYS, data, sizeof(data));
	if (takeover_send(takeover, lun, false) != SCSI_OUTCOME_OK)
		return false;
	memset(&takeover->request, 0, sizeof(takeover->request));
	pr_in_encode(&takeover->request, PR_IN_READ_RESERVATION, data, sizeof(data));
	if (takeover_send(takeover, lun, false) != SCSI_OUTCOME_OK)
		return false;
	return pr_reservation_decode(&reservation, data, takeover->request.result.transferred) ==
		       0 &&
	       reservation.held && reservation.key == key;
}

/* What LunKeeper does with a member LUN on a target without PREEMPT AND ABORT, known to be so. */
static void takeover_take(struct takeover *takeover, size_t lun, uint64_t dead, uint64_t key)
{
	const struct pr_out enrol = {.action = PR_OUT_REGISTER, .service_key = key};
	const struct pr_out preempt = {
		.action = PR_OUT_PREEMPT, .type = TAKEOVER_TYPE, .key = key, .service_key = dead};

	takeover_order(takeover, lun, &enrol);
	takeover_order(takeover, lun, &preempt);
	memset(&takeover->request, 0, sizeof(takeover->request));
	takeover->failed += takeover_send(takeover, lun, true) != SCSI_OUTCOME_OK;
	takeover->failed += !takeover_look(takeover, lun, key);
}

static void takeover_hold(struct takeover *takeover, size_t lun, uint64_t key)
{
	const struct pr_out enrol = {.action = PR_OUT_REGISTER, .service_key = key};
	const struct pr_out reserve = {.action = PR_OUT_RESERVE, .type = TAKEOVER_TYPE, .key = key};

	takeover_order(takeover, lun, &enrol);
	takeover_order(takeover, lun, &reserve);
}

static int takeover_open(struct takeover *takeover)
{
	const struct path_open_options options = {.isid_qualifier = TAKEOVER_QUALIFIER,
						  .changed = takeover_changed,
						  .user = takeover};
	const struct path_kind *const kinds[] = {&path_kind_iscsi, NULL};
	char url[RIG_PATH_MAX];

	takeover->paths = calloc(takeover->count, sizeof(*takeover->paths));
	if (!takeover->paths || uv_loop_init(&takeover->loop))
		return -ENOMEM;
	for (size_t i = 0; i < takeover->count; i++) {
		struct path *paths[PATHS_MAX];
		size_t count;
		int error = path_open_all(kinds, &takeover->loop,
					  rig_target_url((unsigned)i + 1, 0, url), &options, paths,
					  &count, takeover->message, sizeof(takeover->message));

		if (error)
			return error;
		takeover->paths[i] = paths[0];
	}
	while (takeover->up < takeover->count && !takeover->down)
		uv_run(&takeover->loop, UV_RUN_ONCE);
	return takeover->down ? -EIO : 0;
}

static int takeover_run(struct takeover *takeover, bool hold, uint64_t dead, uint64_t key)
{
	uint64_t began, took;
	json_t *line;

	/* The target greets a new session with a unit attention on every LUN; that is not what is
	 * measured. */
	for (size_t i = 0; i < takeover->count; i++)
		takeover_look(takeover, i, 0);
	takeover->commands = takeover->failed = takeover->processes_us = 0;
	began = now_us();
	for (size_t i = 0; i < takeover->count; i++) {
		if (hold)
			takeover_hold(takeover, i, key);
		else
			takeover_take(takeover, i, dead, key);
	}
	took = now_us() - began;
	line = json_pack("{sIsIsIsIsI}", "luns", (json_int_t)takeover->count, "commands",
			 (json_int_t)takeover->commands, "took_us", (json_int_t)took,
			 "processes_us", (json_int_t)takeover->processes_us, "failed",
			 (json_int_t)takeover->failed);
	cli_json_line(line);
	json_decref(line);
	fflush(stdout);
	while (hold)
		pause();
	return takeover->failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int cmd_rig_takeover(int argc, char **argv)
{
	static struct takeover takeover = {.program = {(char *)"sg_persist", (char *)"-V", NULL}};
	const char *program = NULL;
	struct cli_number luns = {.value = 1}, key = {.value = 1}, dead = {.value = 2};
	const struct cli_option table[] = {
		{"luns", 0, CLI_OPTION_UNSIGNED, &luns, "N", "LUNs 1 to N"},
		{"key", 0, CLI_OPTION_KEY, &key, "KEY", "own"},
		{"dead", 0, CLI_OPTION_KEY, &dead, "KEY", "of the dead node"},
		{"program", 0, CLI_OPTION_STRING, &program, "PROGRAM",
		 "begun for each command (sg_persist)"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig takeover",
		.arguments = "hold|sequence|process",
		.summary = "The baseline of the takeover benchmark.",
		.options = table,
		.arguments_min = 1,
		.arguments_max = 1,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	takeover.count = luns.value && luns.value <= RIG_LUNS_MAX ? luns.value : 1;
	if (program)
		takeover.program[0] = (char *)program;
	takeover.process = !strcmp(argv[1], "process");
	if (takeover_open(&takeover)) {
		cli_error("%s", takeover.message);
		return CLI_EXIT_FAILED;
	}
	return takeover_run(&takeover, !strcmp(argv[1], "hold"), dead.value, key.value);
}
