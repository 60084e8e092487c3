/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What arrives on a gate's control socket, and a gate's configuration file. First byte: which. What
 * is decoded must be in range, and encode to what it was decoded from.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/gate/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_frames(const uint8_t *data, size_t size)
{
	static uint8_t again[GATE_WIRE_FRAME_MAX];
	struct gate_message message;
	long length;

	while ((length = gate_wire_frame(data, size)) > 0) {
		assert((size_t)length <= size && length <= (long)GATE_WIRE_FRAME_MAX);
		if (gate_wire_decode(&message, data, (size_t)length) == 0) {
			long encoded;

			if (message.type == GATE_MESSAGE_COMMAND)
				assert(message.command.cdb_length <= SCSI_CDB_MAX);
			if (message.type == GATE_MESSAGE_DONE)
				assert(message.done.data_length <= GATE_WIRE_DATA_MAX &&
				       message.done.result.error <= 0);
			if (message.type == GATE_MESSAGE_LUN)
				assert(strlen(message.info.reason) < sizeof(message.info.reason));
			encoded = gate_wire_encode(&message, again, sizeof(again));
			/* An error beyond -4095 is none that we would send. */
			assert(encoded == length ||
			       (encoded < 0 && message.type == GATE_MESSAGE_DONE));
			assert(encoded < 0 || memcmp(again, data, (size_t)length) == 0);
		}
		data += length;
		size -= (size_t)length;
	}
}

static void fuzz_file(const uint8_t *data, size_t size)
{
	static char text[1 << 17], again[1 << 17];
	static struct gate_lun_config luns[64], luns_again[64];
	struct gate_file file = {.luns = luns, .lun_capacity = 64};
	struct gate_file second = {.luns = luns_again, .lun_capacity = 64};
	char message[200] = "";
	long length;

	if (gate_wire_file_parse(&file, (const char *)data, size, message, sizeof(message)) < 0) {
		assert(message[0] && strlen(message) < sizeof(message));
		return;
	}
	assert(file.lun_count >= 1 && file.lun_count <= 64 && file.luns == luns);
	length = gate_wire_file_write(&file, text, sizeof(text));
	assert(length > 0);
	assert(gate_wire_file_parse(&second, text, (size_t)length, message, sizeof(message)) == 0);
	assert(gate_wire_file_write(&second, again, sizeof(again)) == length);
	assert(memcmp(text, again, (size_t)length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size == 0)
		return 0;
	/* A copy without anything behind it, so that reading too far is seen. */
	copy = malloc(size);
	memcpy(copy, data, size);
	if (copy[0] & 1)
		fuzz_file(copy + 1, size - 1);
	else
		fuzz_frames(copy + 1, size - 1);
	free(copy);
	return 0;
}
