/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig attempt`: one real READ and one real WRITE of a LUN's first block through a
 * session of this node's own that is registered nowhere, to see what the target says. The block is
 * written as it was read, so that no harm is done where nothing stops it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "iscsi/path_iscsi.h"
#include "scsi/identity.h"
#include "scsi/path.h"
#include "tools/cli/cli.h"
#include "tools/rig/commands.h"

#define ATTEMPT_QUALIFIER 0x8c00 /* no other session of the node has it */
#define ATTEMPT_BLOCK 512
#define ATTEMPT_TIMEOUT_MS 5000

struct attempt {
	uv_loop_t loop;
	struct path *path;
	struct scsi_request request;
	uint8_t block[ATTEMPT_BLOCK];
	unsigned tries;
	bool wrote, ended;
	struct scsi_result read, write;
	char message[300];
};

static void attempt_send(struct attempt *attempt);

static void attempt_end(struct attempt *attempt)
{
	if (!attempt->ended)
		path_close(attempt->path, NULL, NULL);
	attempt->ended = true;
}

static void attempt_done(struct scsi_request *request)
{
	struct attempt *attempt = request->user;
	uint32_t wait_ms;

	if (request->result.error != -ECANCELED &&
	    scsi_retry_judge(&request->result, attempt->tries++, &wait_ms) != SCSI_RETRY_FINAL) {
		attempt_send(attempt);
		return;
	}
	*(attempt->wrote ? &attempt->write : &attempt->read) = request->result;
	if (attempt->wrote || request->result.outcome != SCSI_OUTCOME_OK) {
		attempt_end(attempt);
		return;
	}
	attempt->wrote = true;
	attempt->tries = 0;
	attempt_send(attempt);
}

static void attempt_send(struct attempt *attempt)
{
	struct scsi_request *request = &attempt->request;

	memset(request, 0, sizeof(*request));
	if (attempt->wrote)
		scsi_write16_encode(request, 0, 1, false, attempt->block, ATTEMPT_BLOCK);
	else
		scsi_read16_encode(request, 0, 1, attempt->block, ATTEMPT_BLOCK);
	request->timeout_ms = ATTEMPT_TIMEOUT_MS;
	request->done = attempt_done;
	request->user = attempt;
	path_submit(attempt->path, request);
}

static void attempt_changed(struct path *path, enum path_state state, const char *reason,
			    void *user)
{
	struct attempt *attempt = user;

	(void)path;
	if (state == PATH_STATE_UP)
		attempt_send(attempt);
	if (state == PATH_STATE_DOWN && !attempt->ended) {
		snprintf(attempt->message, sizeof(attempt->message), "%s",
			 reason ? reason : "lost");
		attempt_end(attempt);
	}
}

static int attempt_run(struct attempt *attempt, const char *url)
{
	const struct path_open_options options = {
		.isid_qualifier = ATTEMPT_QUALIFIER, .changed = attempt_changed, .user = attempt};
	const struct path_kind *const kinds[] = {&path_kind_iscsi, NULL};
	struct path *paths[PATHS_MAX];
	size_t count;
	int error;

	uv_loop_init(&attempt->loop);
	error = path_open_all(kinds, &attempt->loop, url, &options, paths, &count, attempt->message,
			      sizeof(attempt->message));
	if (!error) {
		attempt->path = paths[0];
		uv_run(&attempt->loop, UV_RUN_DEFAULT);
	}
	uv_loop_close(&attempt->loop);
	return error;
}

int cmd_rig_attempt(int argc, char **argv)
{
	static struct attempt attempt;
	bool json = false;
	char read_text[160], write_text[160];
	const struct cli_option table[] = {
		{"json", 0, CLI_OPTION_FLAG, &json, NULL, "for programs"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig attempt",
		.arguments = "URL",
		.summary =
			"Reads a LUN's first block and writes it back, through a session that is "
			"registered nowhere.",
		.options = table,
		.arguments_min = 1,
		.arguments_max = 1,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	if (attempt_run(&attempt, argv[1]) || attempt.message[0]) {
		cli_error("%s: %s", argv[1], attempt.message);
		return CLI_EXIT_FAILED;
	}
	scsi_result_text(&attempt.read, read_text, sizeof(read_text));
	if (attempt.wrote)
		scsi_result_text(&attempt.write, write_text, sizeof(write_text));
	else
		snprintf(write_text, sizeof(write_text), "not tried");
	if (json)
		cli_json_print(json_pack(
			"{sssssssb}", "read", read_text, "write", write_text, "outcome",
			attempt.wrote ? scsi_outcome_name(attempt.write.outcome) : "not tried",
			"refused",
			attempt.wrote && attempt.write.outcome == SCSI_OUTCOME_CONFLICT));
	else
		printf("READ: %s\nWRITE: %s\n", read_text, write_text);
	return attempt.wrote && attempt.write.outcome == SCSI_OUTCOME_OK ? CLI_EXIT_OK
									 : CLI_EXIT_FAILED;
}
