/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an operator has set, until it is taken back or the machine boots: a file in the run folder,
 * so that a restart of the daemon does not forget it.
 */
#ifndef CLUSTER_STORE_FLAGS_H
#define CLUSTER_STORE_FLAGS_H

#include <stdbool.h>

/* name: "standby" with group NULL, or "maintenance" with the group's name. A flag that cannot be
 * written is logged: it is in force, and forgotten by a restart. */
void flag_set(const char *run_folder, const char *name, const char *group, bool on);
/* Whether it is set; a run folder that cannot be read says no. */
bool flag_is_set(const char *run_folder, const char *name, const char *group);

#endif
