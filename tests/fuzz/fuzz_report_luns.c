/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * REPORT LUNS from a target that lies.
 */
#include <assert.h>
#include <errno.h>

#include "scsi/report_luns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint16_t numbers[16];
	struct scsi_report_luns luns = {.luns = numbers};
	int error = scsi_report_luns_decode(&luns, 16, data, size);

	assert(error == 0 || error == -EBADMSG);
	if (error)
		return 0;
	assert(luns.count <= 16 && (size_t)(luns.count + luns.other) * 8 + 8 <= size);
	for (uint32_t i = 0; i < luns.count; i++)
		assert(numbers[i] <= SCSI_LUN_FLAT_MAX);
	return 0;
}
