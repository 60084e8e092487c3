/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the two halves of `lunkeeper check` share.
 */
#ifndef TOOLS_CHECK_H
#define TOOLS_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "cluster/config.h"

struct check {
	const char *path, *name, *state, *run;
	bool node, json;
	uint32_t timeout_ms;
	const struct config *config;
};

/* Looks at this machine; appends {"what","ok","severity","text"} to findings and prints them unless
 * check->json. Returns how many are errors. */
size_t check_node(const struct check *check, json_t *findings);
size_t check_service_count(const struct config *config);

#endif
