/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Status and sense data from a device that lies. First byte: the status.
 */
#include <assert.h>
#include <string.h>

#include "scsi/scsi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scsi_result result = {0};
	uint32_t wait_ms = 0;
	char text[80];

	if (size == 0)
		return 0;
	scsi_result_from_status(&result, data[0], data + 1, size - 1);
	assert(result.sense_length <= SCSI_SENSE_MAX && result.sense_key <= 0xf);
	assert(result.outcome != SCSI_OUTCOME_OK || data[0] != SCSI_STATUS_BUSY);
	scsi_result_text(&result, text, sizeof(text));
	assert(text[0] != '\0' && strlen(text) < sizeof(text));
	for (unsigned attempt = 0; attempt <= SCSI_RETRY_MAX; attempt++) {
		enum scsi_retry_verdict verdict = scsi_retry_judge(&result, attempt, &wait_ms);

		/* What took effect, or may have, is never sent twice. */
		assert(verdict == SCSI_RETRY_FINAL || result.outcome == SCSI_OUTCOME_FAILED);
		assert(verdict == SCSI_RETRY_FINAL || attempt < SCSI_RETRY_MAX);
		assert(wait_ms <= 500);
	}
	return 0;
}
