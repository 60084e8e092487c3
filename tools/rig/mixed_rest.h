/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How a rig comes to rest after a round of faults (tools/rig/mixed.h), and what must not be left.
 */
#ifndef TOOLS_RIG_MIXED_REST_H
#define TOOLS_RIG_MIXED_REST_H

#include "tools/rig/rig.h"

/* Everything on, whole, thawed and prompt again. */
int mixed_mend(struct rig *rig);
/* Until the group is served by one node, every other stands by, and nothing is left over:
 * registrations, mounts, loop devices, processes. *owner: who serves. */
int mixed_rest(struct rig *rig, const char *group, struct rig_node **owner, unsigned timeout_ms);
/* The longest time between two acknowledgements, the later of which came after since_ms
 * (CLOCK_BOOTTIME), in ms. */
unsigned mixed_longest_gap(const struct rig *rig, uint64_t since_ms);

#endif
