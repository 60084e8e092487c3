/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * MODE SENSE (SPC-5 6.14) as far as it says whether a logical unit may be written to: the WP bit of
 * the device-specific parameter (SBC-4 6.4.1). A target sets it where a LUN is mapped read-only to
 * this initiator, and some where a thin pool is full.
 */
#ifndef SCSI_MODE_H
#define SCSI_MODE_H

#include "scsi/scsi.h"

#define SCSI_MODE_HEADER_SIZE 4

/* MODE SENSE (6) of all pages, the header only. buffer: SCSI_MODE_HEADER_SIZE bytes, the caller's
 * until the request is done. */
void scsi_mode_sense6_encode(struct scsi_request *request, void *buffer);
/* Sets *write_protected. Returns 0, or -EBADMSG: shorter than the parameter. */
int scsi_mode_protected_decode(bool *write_protected, const uint8_t *data, size_t length);

/* What is wrong with such a LUN, for people. */
#define SCSI_WRITE_PROTECTED_TEXT                                                                  \
	"write protected: mapped read-only to this initiator, or its thin pool is full"

#endif
