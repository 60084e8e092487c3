/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The stamped record that `lunkeeper rig writer` appends and `lunkeeper rig verify` checks: one
 * line of text of a fixed length, so that record N stands at (N - 1) * RIG_RECORD_SIZE.
 *
 *     seq=00000000000000000042 epoch=000003 node=jerry            mono=000000012345678
 * wall=1700000000000 crc=1a2b3c4d
 */
#ifndef TOOLS_RIG_RECORD_H
#define TOOLS_RIG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RIG_RECORD_SIZE 128
#define RIG_RECORD_NODE_MAX 16

struct rig_record {
	uint64_t sequence;                  /* from 1, one more in every record */
	uint32_t epoch;                     /* one more whenever a writer begins */
	char node[RIG_RECORD_NODE_MAX + 1]; /* its host name */
	uint64_t mono_ms;                   /* CLOCK_BOOTTIME when it was made */
	uint64_t wall_ms;
	uint32_t checksum; /* CRC-32 of what stands before it */
};

/* Pure, both. encode: fills line, which ends with a newline and is not 0-ended, and the
 * checksum. */
void rig_record_encode(struct rig_record *record, char line[RIG_RECORD_SIZE]);
/* False: no record, or one that is not intact. */
bool rig_record_decode(struct rig_record *record, const char line[RIG_RECORD_SIZE]);

/* A line of the log of what was acknowledged: the record's line, after "ack=TIME ", the moment
 * (CLOCK_BOOTTIME) when it was known to be on the LUN. */
#define RIG_ACKNOWLEDGED_SIZE (RIG_RECORD_SIZE + 20)
void rig_acknowledged_encode(const char record[RIG_RECORD_SIZE], uint64_t mono_ms,
			     char line[RIG_ACKNOWLEDGED_SIZE]);
bool rig_acknowledged_decode(struct rig_record *record, uint64_t *mono_ms,
			     const char line[RIG_ACKNOWLEDGED_SIZE]);

#endif
