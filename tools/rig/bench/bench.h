/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig bench`: each part fills in a JSON object, from which the text, docs/benchmarks.md
 * and the JSON output are made.
 */
#ifndef TOOLS_RIG_BENCH_BENCH_H
#define TOOLS_RIG_BENCH_BENCH_H

#include "tools/rig/story.h"

struct bench {
	struct rig rig;
	json_t *document;
	bool quiet;
	uint64_t failovers, seconds; /* how often, how long */
	uint64_t largest;            /* LUNs of the largest takeover */
};

/* Options of a rig with `luns` LUNs in `groups` groups that nothing runs on, and the file (to be
 * unlinked) with their configuration. */
int bench_groups(struct rig *rig, struct rig_options *options, unsigned luns, unsigned groups,
		 const char *more, char *file, size_t size);
void bench_say(const struct bench *bench, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Sorts, and makes {"count","min","median","max"}. */
json_t *bench_spread(uint64_t *values, size_t count);

int bench_failover(struct bench *bench); /* failover.c: (a) */
int bench_takeover(struct bench *bench); /* takeover.c: (b) */
int bench_steady(struct bench *bench);   /* steady.c: (c) */

#endif
