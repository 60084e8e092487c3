/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of `lunkeeper check` share: how a finding is said, and the questions that are
 * asked about this machine (tools/check/host.h).
 */
#ifndef TOOLS_CHECK_CHECK_H
#define TOOLS_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cluster/config/config.h"

struct check {
	const char *path, *name, *state, *run;
	bool node, json;
	uint32_t timeout_ms;
	const struct config *config;
};

enum check_verdict { CHECK_GOOD, CHECK_WARNING, CHECK_ERROR };

struct check_run {
	const struct check *check;
	json_t *findings; /* [{"verdict","what","text","remedy"}] */
	size_t errors, warnings;
};

/* Adds a finding, and prints it unless check->json. */
void check_say(struct check_run *run, enum check_verdict verdict, const char *what,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same with what to do about it: a line for a file, or a command. */
void check_remedy(struct check_run *run, enum check_verdict verdict, const char *what,
		  const char *remedy, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Looks at this machine. Returns how many findings are errors. */
size_t check_node(const struct check *check, json_t *findings);
size_t check_service_count(const struct config *config);
/* NULL: no group has it. */
const struct config_group *check_group_of(const struct config *config,
					  const struct config_lun *lun);

#endif
