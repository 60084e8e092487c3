/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig campaign --mixed N`: rounds of two faults at a time, drawn from all that a rig of
 * namespaces has, at random moments. After each round everything is mended, and must be as it was:
 * nothing acknowledged lost, no deposed writer's record, no failover that the faults did not call
 * for, and nothing left over.
 */
#ifndef TOOLS_RIG_MIXED_H
#define TOOLS_RIG_MIXED_H

#include "tools/rig/rig.h"

struct mixed_options {
	struct rig_options *rig;
	uint64_t rounds;
	uint64_t seed;    /* of the first round; the next one's is one more */
	const char *only; /* a fault that is in every round; NULL: none */
	bool json, markdown, keep;
};

/* Exit status. */
int mixed_run(const struct mixed_options *options);
/* Names of all faults, for messages. */
const char *mixed_names(void);
bool mixed_knows(const char *name);

#endif
