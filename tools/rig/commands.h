/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The subcommands of `lunkeeper rig`, each int cmd_rig_NAME(int argc, char **argv) with an exit
 * status, and what they print of a rig.
 */
#ifndef TOOLS_RIG_COMMANDS_H
#define TOOLS_RIG_COMMANDS_H

#include <jansson.h>

#include "tools/rig/rig.h"

/* status.c */
json_t *rig_status_json(struct rig *rig);
void rig_status_print(struct rig *rig);

/* Runs play() in a child and takes the rig away when that has ended, in whatever way, signals
 * included. */
int rig_guarded(const char *name, bool keep, int (*play)(void *user), void *user);

int cmd_rig_writer(int argc, char **argv);
int cmd_rig_server(int argc, char **argv);
int cmd_rig_client(int argc, char **argv);
int cmd_rig_attempt(int argc, char **argv);
int cmd_rig_demo(int argc, char **argv);
int cmd_rig_campaign(int argc, char **argv);
int cmd_rig_takeover(int argc, char **argv);
int cmd_rig_bench(int argc, char **argv);
int cmd_rig_agent(int argc, char **argv);
int cmd_rig_verify(int argc, char **argv);
int cmd_rig_target_conf(int argc, char **argv);

#endif
