/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * INQUIRY data, VPD pages and capacities from a device that lies. First byte: which decoder.
 */
#include <assert.h>
#include <string.h>

#include "scsi/identity.h"
#include "scsi/mode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scsi_inquiry inquiry;
	struct scsi_capacity capacity;
	char wwid[SCSI_WWID_MAX], serial[32];
	bool write_protected;

	if (size == 0)
		return 0;
	switch (data[0] % 6) {
	case 0:
		if (scsi_inquiry_decode(&inquiry, data + 1, size - 1) == 0)
			assert(strlen(inquiry.product) <= 16);
		break;
	case 1:
		if (scsi_serial_decode(serial, sizeof(serial), data + 1, size - 1) == 0)
			assert(strlen(serial) < sizeof(serial));
		break;
	case 2:
		/* What a LUN is called by is found there again. */
		if (scsi_wwid_decode(wwid, sizeof(wwid), data + 1, size - 1) == 0)
			assert(scsi_wwid_present(wwid, data + 1, size - 1));
		else
			assert(wwid[0] == '\0');
		break;
	case 3:
		if (scsi_capacity10_decode(&capacity, data + 1, size - 1) == 0)
			assert(capacity.block_size != 0);
		break;
	case 4:
		if (scsi_capacity16_decode(&capacity, data + 1, size - 1) == 0)
			assert(capacity.block_size != 0 && capacity.blocks != 0);
		break;
	case 5:
		scsi_mode_protected_decode(&write_protected, data + 1, size - 1);
		break;
	}
	return 0;
}
