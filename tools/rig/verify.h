/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Proof that nothing acknowledged was lost and that nobody wrote who had no right to: the log of
 * what was acknowledged is held against what is on the target's disk.
 */
#ifndef TOOLS_RIG_VERIFY_H
#define TOOLS_RIG_VERIFY_H

#include "tools/rig/rig.h"

#define RIG_CHANGES_MAX 4096

/* One writer followed another. */
struct rig_change {
	char from[RIG_NAME_MAX], to[RIG_NAME_MAX];
	uint32_t epoch;             /* of the later one */
	uint64_t last_ms, first_ms; /* CLOCK_BOOTTIME of the last and the first acknowledgement */
};

struct rig_verdict {
	uint64_t acknowledged, records; /* in the log; in the file */
	uint64_t lost;                  /* acknowledged, but not in the file as it was written */
	uint64_t damaged;               /* places of the file without an intact record */
	uint64_t gaps, repeated;        /* sequence numbers left out, or there again */
	uint64_t deposed;               /* records behind one of a later epoch */
	uint64_t bad_log;               /* lines of the log that make no sense */
	bool file_system_clean;
	char file_system[400]; /* what its checker said */
	uint64_t longest_ms;   /* between two acknowledgements */
	struct rig_change changes[RIG_CHANGES_MAX];
	size_t change_count;
};

/* Pure but for memory: the two files as they are. */
void rig_verify_texts(struct rig_verdict *verdict, const char *log, size_t log_length,
		      const char *file, size_t file_length);
/* Copies the first LUN as it is on the target at one instant (the target is stopped for it),
 * replays its journal, checks the file system and the records in `inside` ("/records"). Returns 0
 * when it could be judged, well or not. */
int rig_verify(struct rig *rig, const char *inside, struct rig_verdict *verdict);
bool rig_verdict_good(const struct rig_verdict *verdict);
json_t *rig_verdict_json(const struct rig_verdict *verdict);

#endif
