/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stamped records, see tools/rig/record.h. Pure.
 */
#include "tools/rig/record.h"

#include <stdio.h>
#include <string.h>

#define CHECKED (RIG_RECORD_SIZE - 13) /* before "crc=xxxxxxxx\n" */

static uint32_t record_checksum(const char *data, size_t length)
{
	uint32_t value = ~0u;

	for (size_t i = 0; i < length; i++) {
		value ^= (unsigned char)data[i];
		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
	}
	return ~value;
}

void rig_record_encode(struct rig_record *record, char line[RIG_RECORD_SIZE])
{
	char text[RIG_RECORD_SIZE + 64];
	int used = snprintf(text, sizeof(text),
			    "seq=%020llu epoch=%06u node=%-16s mono=%015llu wall=%013llu ",
			    (unsigned long long)record->sequence, record->epoch % 1000000,
			    record->node, (unsigned long long)(record->mono_ms % 1000000000000000),
			    (unsigned long long)(record->wall_ms % 10000000000000));

	memset(line, ' ', CHECKED);
	memcpy(line, text, used < CHECKED ? (size_t)used : CHECKED);
	record->checksum = record_checksum(line, CHECKED);
	snprintf(text, sizeof(text), "crc=%08x\n", record->checksum);
	memcpy(line + CHECKED, text, 13);
}

bool rig_record_decode(struct rig_record *record, const char line[RIG_RECORD_SIZE])
{
	char text[RIG_RECORD_SIZE + 1];
	unsigned long long sequence, mono, wall;
	unsigned epoch, checksum;
	int end = 0;

	memcpy(text, line, RIG_RECORD_SIZE);
	text[RIG_RECORD_SIZE] = 0;
	if (line[RIG_RECORD_SIZE - 1] != '\n' || strlen(text) != RIG_RECORD_SIZE ||
	    sscanf(text, "seq=%20llu epoch=%6u node=%16s mono=%15llu wall=%13llu crc=%8x%n",
		   &sequence, &epoch, record->node, &mono, &wall, &checksum, &end) != 6 ||
	    end != RIG_RECORD_SIZE - 1 || checksum != record_checksum(line, CHECKED))
		return false;
	record->sequence = sequence;
	record->epoch = epoch;
	record->mono_ms = mono;
	record->wall_ms = wall;
	record->checksum = checksum;
	return true;
}

void rig_acknowledged_encode(const char record[RIG_RECORD_SIZE], uint64_t mono_ms,
			     char line[RIG_ACKNOWLEDGED_SIZE])
{
	char text[32];

	snprintf(text, sizeof(text), "ack=%015llu ",
		 (unsigned long long)(mono_ms % 1000000000000000));
	memcpy(line, text, 20);
	memcpy(line + 20, record, RIG_RECORD_SIZE);
}

bool rig_acknowledged_decode(struct rig_record *record, uint64_t *mono_ms,
			     const char line[RIG_ACKNOWLEDGED_SIZE])
{
	unsigned long long mono;
	char text[21];

	memcpy(text, line, 20);
	text[20] = 0;
	if (sscanf(text, "ack=%15llu ", &mono) != 1 || !rig_record_decode(record, line + 20))
		return false;
	*mono_ms = mono;
	return true;
}
