/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PERSISTENT RESERVE parameter data from a target or an initiator that lies. First byte: which
 * decoder; of the rest the PR OUT decoder takes ten bytes as the CDB.
 */
#include <assert.h>
#include <string.h>

#include "scsi/pr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_pr_out(const uint8_t *data, size_t size)
{
	struct pr_out out, again;
	struct scsi_request request = {0};
	uint8_t buffer[4096];
	size_t cdb_length = size < 10 ? size : 10;

	if (pr_out_decode(&out, data, cdb_length, data + cdb_length, size - cdb_length) < 0 ||
	    size > sizeof(buffer))
		return;
	/* What is accepted is sent again as it was meant. */
	assert(pr_out_encode(&request, &out, buffer, sizeof(buffer)) == 0);
	assert(pr_out_decode(&again, request.cdb, request.cdb_length, buffer,
			     request.data_length) == 0);
	assert(again.action == out.action && again.type == out.type && again.key == out.key &&
	       again.service_key == out.service_key && again.aptpl == out.aptpl &&
	       again.transport_id_length == out.transport_id_length);
}

static void fuzz_full_status(const uint8_t *data, size_t size)
{
	struct pr_full_status_entry entries[8];
	struct pr_full_status status = {.entries = entries};
	char text[64];

	if (pr_full_status_decode(&status, 8, data, size) < 0)
		return;
	assert(status.count <= 8);
	for (uint32_t i = 0; i < status.count; i++) {
		assert(entries[i].transport_id_length <= PR_TRANSPORT_ID_MAX);
		pr_transport_id_text(entries[i].transport_id, entries[i].transport_id_length, text,
				     sizeof(text));
		assert(strlen(text) < sizeof(text));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t storage[16];
	struct pr_keys keys = {.keys = storage};
	struct pr_reservation reservation;
	struct pr_capabilities capabilities;
	char text[300];

	if (size == 0)
		return 0;
	switch (data[0] % 6) {
	case 0:
		if (pr_keys_decode(&keys, 16, data + 1, size - 1) == 0)
			assert(keys.count <= 16 && keys.count <= keys.available);
		break;
	case 1:
		if (pr_reservation_decode(&reservation, data + 1, size - 1) == 0)
			assert(reservation.held || reservation.key == 0);
		break;
	case 2:
		if (pr_capabilities_decode(&capabilities, data + 1, size - 1) == 0)
			assert((capabilities.type_mask & ~0x1eau) == 0);
		break;
	case 3:
		fuzz_full_status(data + 1, size - 1);
		break;
	case 4:
		fuzz_pr_out(data + 1, size - 1);
		break;
	case 5:
		pr_transport_id_text(data + 1, size - 1, text, sizeof(text));
		assert(strlen(text) < sizeof(text));
		break;
	}
	return 0;
}
