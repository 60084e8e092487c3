/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See mode.h.
 */
#include "scsi/mode.h"

#include <errno.h>
#include <string.h>

void scsi_mode_sense6_encode(struct scsi_request *request, void *buffer)
{
	memset(request->cdb, 0, sizeof(request->cdb));
	request->cdb[0] = 0x1a;
	request->cdb[1] = 0x08; /* DBD: no block descriptors */
	request->cdb[2] = 0x3f; /* as the kernel asks */
	request->cdb[4] = SCSI_MODE_HEADER_SIZE;
	request->cdb_length = 6;
	request->direction = SCSI_DIRECTION_IN;
	request->data = buffer;
	request->data_length = SCSI_MODE_HEADER_SIZE;
}

int scsi_mode_protected_decode(bool *write_protected, const uint8_t *data, size_t length)
{
	if (length < 3)
		return -EBADMSG;
	*write_protected = (data[2] & 0x80) != 0;
	return 0;
}
