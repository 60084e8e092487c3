/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pages about what people do first.
 */
#ifndef TOOLS_CLUSTER_HELP_H
#define TOOLS_CLUSTER_HELP_H

#include "tools/cli/cli.h"

/* Prints the page that the words mean. Returns an exit status: CLI_EXIT_USAGE when there is none,
 * with the list of them. */
bool help_is_task(const char *name); /* exactly so called */
int help_task(int count, char *const *words);

#endif
