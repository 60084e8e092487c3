/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See vpd.h.
 */
#include "scsi/vpd.h"

#include <stdlib.h>
#include <string.h>

#include "scsi/bytes.h"
#include "scsi/identity.h"

static uint8_t *vpd_buffer(struct vpd_reader *reader)
{
	return reader->asked > VPD_FIRST ? reader->larger : reader->first;
}

void vpd_reader_ask(struct vpd_reader *reader, struct scsi_request *request)
{
	uint8_t *buffer = vpd_buffer(reader);

	memset(buffer, 0, reader->asked);
	scsi_inquiry_page_encode(request, reader->page, buffer, (uint16_t)reader->asked);
}

void vpd_reader_begin(struct vpd_reader *reader, uint8_t page, struct scsi_request *request)
{
	reader->data = NULL;
	reader->length = 0;
	reader->page = page;
	reader->asked = VPD_FIRST;
	vpd_reader_ask(reader, request);
}

static bool vpd_grow(struct vpd_reader *reader, uint32_t size)
{
	uint8_t *larger;

	if (size <= reader->larger_size)
		return true;
	larger = realloc(reader->larger, size);
	if (!larger)
		return false;
	reader->larger = larger;
	reader->larger_size = size;
	return true;
}

bool vpd_reader_take(struct vpd_reader *reader, struct scsi_request *request)
{
	const uint8_t *data = vpd_buffer(reader);
	uint32_t arrived = request->result.transferred < reader->asked ? request->result.transferred
								       : reader->asked;
	uint32_t whole;

	if (request->result.outcome != SCSI_OUTCOME_OK || arrived < VPD_HEADER ||
	    data[1] != reader->page)
		return true;
	whole = VPD_HEADER + bytes_get_be16(data + 2);
	/* A page that grows while it is read is asked for again; one that says more than it gives
	 * is not believed. */
	if (whole > reader->asked && whole <= VPD_MOST && vpd_grow(reader, whole)) {
		reader->asked = whole;
		vpd_reader_ask(reader, request);
		return false;
	}
	if (whole <= arrived) {
		reader->data = data;
		reader->length = whole;
	}
	return true;
}

void vpd_reader_free(struct vpd_reader *reader)
{
	free(reader->larger);
	reader->larger = NULL;
	reader->larger_size = 0;
	reader->data = NULL;
	reader->length = 0;
}
