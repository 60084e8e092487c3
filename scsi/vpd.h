/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One vital product data page, read whole: asked for as much as most devices have, and then, when
 * the page's own length (SPC-5 7.7.2) says that there is more, for all of it. Half an identity may be
 * another one's.
 */
#ifndef SCSI_VPD_H
#define SCSI_VPD_H

#include "scsi/scsi.h"

#define VPD_HEADER 4u
#define VPD_FIRST 252u /* bytes: what devices with a one-byte ALLOCATION LENGTH can say, too */
#define VPD_MOST 65532u

/* Zeroed at first; the caller's, and stays where it is while a request is under way. data and length
 * are the page, once vpd_reader_take() said that it is over: length 0 when it could not be had. */
struct vpd_reader {
	const uint8_t *data;
	size_t length;
	/* Its own: */
	uint8_t page;
	uint32_t asked;
	uint8_t *larger; /* allocated, kept for the next page */
	uint32_t larger_size;
	uint8_t first[VPD_FIRST];
};

/* Begins with `page`, and encodes its first INQUIRY. */
void vpd_reader_begin(struct vpd_reader *reader, uint8_t page, struct scsi_request *request);
/* The INQUIRY has ended, `request` with its result: true when the page is whole, or cannot be had;
 * false when the next one has been encoded and is to be sent. */
bool vpd_reader_take(struct vpd_reader *reader, struct scsi_request *request);
/* Encodes the INQUIRY once more that vpd_reader_begin() or vpd_reader_take() encoded last. */
void vpd_reader_ask(struct vpd_reader *reader, struct scsi_request *request);
/* Frees what is larger than the struct. */
void vpd_reader_free(struct vpd_reader *reader);

#endif
