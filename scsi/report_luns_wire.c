/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * REPORT LUNS on the wire.
 */
#include "scsi/report_luns.h"

#include <errno.h>
#include <string.h>

#include "scsi/bytes.h"

#define REPORT_LUNS_HEADER 8
#define REPORT_LUNS_ENTRY 8

int scsi_report_luns_encode(struct scsi_request *request, void *buffer, uint32_t size)
{
	if (size < REPORT_LUNS_HEADER + REPORT_LUNS_ENTRY)
		return -EINVAL;
	memset(request->cdb, 0, sizeof(request->cdb));
	request->cdb[0] = 0xa0;
	request->cdb_length = 12;
	bytes_put_be32(request->cdb + 6, size);
	request->direction = SCSI_DIRECTION_IN;
	request->data = buffer;
	request->data_length = size;
	return 0;
}

/* SAM-5 4.7.7: -1 for what is no single level of these two methods. */
static int report_luns_number(const uint8_t *entry)
{
	uint16_t first = bytes_get_be16(entry);

	for (unsigned i = 2; i < REPORT_LUNS_ENTRY; i++) {
		if (entry[i])
			return -1;
	}
	if (first >> 14 == 1)
		return first & SCSI_LUN_FLAT_MAX;
	return first <= 0xff ? first : -1;
}

int scsi_report_luns_decode(struct scsi_report_luns *luns, uint32_t capacity, const uint8_t *data,
			    size_t length)
{
	size_t end;

	if (length < REPORT_LUNS_HEADER)
		return -EBADMSG;
	luns->count = luns->other = 0;
	luns->available = bytes_get_be32(data) / REPORT_LUNS_ENTRY;
	end = REPORT_LUNS_HEADER + (size_t)luns->available * REPORT_LUNS_ENTRY;
	if (end > length)
		end = length;
	for (size_t at = REPORT_LUNS_HEADER; at + REPORT_LUNS_ENTRY <= end;
	     at += REPORT_LUNS_ENTRY) {
		int number = report_luns_number(data + at);

		if (number < 0)
			luns->other++;
		else if (luns->count < capacity)
			luns->luns[luns->count++] = (uint16_t)number;
	}
	return 0;
}
