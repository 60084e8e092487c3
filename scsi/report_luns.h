/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * REPORT LUNS (SPC-5 6.33): which logical units a target port has for this initiator. Pure.
 */
#ifndef SCSI_REPORT_LUNS_H
#define SCSI_REPORT_LUNS_H

#include "scsi/scsi.h"

#define SCSI_LUN_FLAT_MAX 16383 /* flat space addressing, SAM-5 4.7.7.4 */

struct scsi_report_luns {
	uint32_t count;     /* LUNs stored */
	uint32_t available; /* LUNs that the target says it has; more: ask again with a larger
			       buffer */
	uint32_t other;     /* of these, in an addressing method that has no plain number */
	uint16_t *luns;     /* the caller's */
};

/* size: bytes of buffer, at least 16. Returns 0 or -EINVAL. */
int scsi_report_luns_encode(struct scsi_request *request, void *buffer, uint32_t size);
/* Peripheral device addressing on bus 0 and flat space addressing become numbers, in the order that
 * the target gives. capacity: of luns->luns. Returns 0, or -EBADMSG (shorter than its header). */
int scsi_report_luns_decode(struct scsi_report_luns *luns, uint32_t capacity, const uint8_t *data,
			    size_t length);

#endif
