/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What device-mapper says of a gate: whatever it is, it is understood or refused.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/gate/dm/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gate_dm_status status;
	uint32_t owner, serial;
	const char *lun;
	bool queues;
	/* Of exactly this size, so that a byte read too far is seen. */
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (gate_dm_status_parse(text, &status))
		assert(!status.active || size > 20);
	gate_dm_queues_parse(text, &queues);
	if (gate_dm_uuid_parse(text, &owner, &serial, &lun) == 0) {
		char again[GATE_DM_UUID_SIZE];

		assert(lun > text && lun < text + size && serial <= GATE_DM_SERIAL_MAX);
		gate_dm_uuid(owner, lun, serial, again);
		assert(strncmp(again, text, 19) == 0);
	}
	free(text);
	return 0;
}
