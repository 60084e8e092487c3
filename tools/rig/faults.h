/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside the faults: what fault.c's table calls. All return 0 or -errno with rig->message.
 */
#ifndef TOOLS_RIG_FAULTS_H
#define TOOLS_RIG_FAULTS_H

#include "tools/rig/kind.h"

#define FAULTS_MOUNT "lunkeeper-fault" /* source of what is mounted over a folder */

/* signal: "KILL", "STOP", "CONT". */
int fault_parts_process(struct rig *rig, struct rig_node *node, const char *program,
			const char *signal);
int fault_parts_wipe_gate(struct rig *rig, struct rig_node *node);
int fault_parts_flush_maps(struct rig *rig, struct rig_node *node);
/* Everything below /run/lunkeeper. */
int fault_parts_lose_run(struct rig *rig, struct rig_node *node);
/* how: "lost", "full", "readonly", "mend". */
int fault_parts_state(struct rig *rig, struct rig_node *node, const char *how);
/* Another, empty logical unit under the LUN's number; back: the first again. */
int fault_parts_replace(struct rig *rig, unsigned lun, bool back);

#endif
