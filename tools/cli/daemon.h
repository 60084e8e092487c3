/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asking the daemon on this node through its control socket, for the commands that need it.
 */
#ifndef TOOLS_CLI_DAEMON_H
#define TOOLS_CLI_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "tools/cli/cli.h"

#define CLI_ANSWER_TIMEOUT_MS 5000u

struct cli_daemon {
	const char *run; /* folder; NULL: LUNKEEPER_RUN, or /run/lunkeeper */
	bool json;
};

#define CLI_DAEMON_OPTIONS(daemon)                                                                 \
	{"run",                                                                                    \
	 0,                                                                                        \
	 CLI_OPTION_STRING,                                                                        \
	 &(daemon)->run,                                                                           \
	 "DIR",                                                                                    \
	 "the daemon's run folder, with its control socket; without it $LUNKEEPER_RUN or "         \
	 "/run/lunkeeper"},                                                                        \
		{"json", 0, CLI_OPTION_FLAG, &(daemon)->json, NULL, "JSON instead of text"}

/* RUN/control, in a buffer that stays until the next call. */
const char *cli_daemon_path(const struct cli_daemon *daemon);
/* Asks (request: reference taken over), waits so long for the answer. Returns -1 with *answer (new
 * reference) if the daemon said "ok"; else an exit status, with the fault said. */
int cli_daemon_ask(const struct cli_daemon *daemon, json_t *request, uint32_t timeout_ms,
		   json_t **answer);
/* The same, silent; message holds what would be said. */
int cli_daemon_ask_quiet(const struct cli_daemon *daemon, json_t *request, uint32_t timeout_ms,
			 json_t **answer, char *message, size_t size);

/* An answer that came otherwise: -1 for "ok", else the exit status, with the fault said. A name that
 * is not known is one of usage, and the nearest one is told. */
int cli_daemon_verdict(const struct cli_daemon *daemon, const json_t *answer);

/* Members of an answer; "" or 0 or false where they are missing. */
const char *cli_json_text(const json_t *object, const char *name);
json_int_t cli_json_number(const json_t *object, const char *name);
bool cli_json_flag(const json_t *object, const char *name);
/* "120 ms", or "never" for null. */
const char *cli_json_age(const json_t *object, const char *name, char *buffer, size_t size);
/* "jerry claim 3", "foreign 0x1", "nobody" from a key object; "" for null. */
const char *cli_json_key(const json_t *key, char *buffer, size_t size);

#endif
