/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The screen of `lunkeeper status`, made from the daemon's answer alone.
 */
#ifndef TOOLS_CLUSTER_STATUS_H
#define TOOLS_CLUSTER_STATUS_H

#include "tools/cli/daemon.h"

/* Below this many columns the reasons stand under the rows, not beside them. */
#define STATUS_WIDE 100

struct status_view {
	bool verbose;
	unsigned width, height; /* of the terminal; 0: none */
	/* Kept from one picture to the next, so that columns do not move; for another width all 0. */
	size_t widths[CLI_TABLE_COLUMNS_MAX];
};

/* Head and tree, as long as they are. */
void status_print_tree(FILE *out, struct status_view *view, const json_t *answer);
/* What is wrong, and what will happen when; nothing when all is well. With verbose, watchdog and
 * counters, too. */
void status_print_alarms(FILE *out, const struct status_view *view, const json_t *answer);
/* Both, within width and height: what is cut off is said, and alarms come before rows. Every line
 * ends with `line_end`. */
void status_print_fitting(FILE *out, struct status_view *view, const json_t *answer,
			  const char *line_end);

#endif
