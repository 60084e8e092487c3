/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rigs of namespaces, tools/rig/kind.h: what netns.c puts together.
 */
#ifndef TOOLS_RIG_NETNS_NETNS_H
#define TOOLS_RIG_NETNS_NETNS_H

#include "tools/rig/kind.h"

/* machine.c */
/* -EXDEV: this process's root is not that of its mount namespace (a plain chroot); -EPERM. */
int rig_machine_check_root(struct rig *rig);
int netns_exec(struct rig *rig, const struct rig_machine *machine, char *const argv[]);
int netns_run(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
	      const char *const argv[], const char *input, char *output, size_t size);
int netns_freeze(struct rig *rig, struct rig_machine *machine, bool frozen);

/* net.c */
int netns_cut(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut);
int netns_delay(struct rig *rig, struct rig_machine *machine, unsigned milliseconds);

/* target.c */
int netns_target_check(struct rig *rig);
int netns_target_start(struct rig *rig);
int netns_target_kill(struct rig *rig);
int netns_target_stall(struct rig *rig, bool stalled);
int netns_target_slow(struct rig *rig, unsigned milliseconds);
int netns_target_drop(struct rig *rig, const struct rig_machine *machine);
int netns_target_replace(struct rig *rig, unsigned lun, bool back);
const char *netns_target_wwid(unsigned lun, char buffer[RIG_PATH_MAX]);
const char *netns_target_file(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX]);

/* node.c */
int netns_node_boot(struct rig *rig, struct rig_node *node);
int netns_node_kill(struct rig *rig, struct rig_node *node);
int netns_node_clean(struct rig *rig);
int netns_daemon_start(struct rig *rig, struct rig_node *node);
int netns_daemon_signal(struct rig *rig, struct rig_node *node, int number);
char netns_daemon_state(struct rig *rig, struct rig_node *node, pid_t *pid);
int netns_control_open(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
		       struct control_client **client);

#endif
