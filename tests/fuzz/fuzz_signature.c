/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Superblocks: the first half of the input is a disk's head, the rest its tail. Its first byte says
 * how large the disk is.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy(const uint8_t *data, size_t length)
{
	uint8_t *bytes = malloc(length ? length : 1);

	if (bytes && length)
		memcpy(bytes, data, length);
	return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head_length = size / 2, tail_length = size - head_length;
	uint8_t *head = copy(data, head_length), *tail = copy(data + head_length, tail_length);
	struct signature signature;

	signature_find(&signature, head, head_length, tail, tail_length,
		       size ? (uint64_t)data[0] << 12 : 0);
	assert(signature.type);
	assert((signature.kind == SIGNATURE_NONE) == !signature.type[0]);
	assert(memchr(signature.uuid, 0, sizeof(signature.uuid)));
	assert(memchr(signature.label, 0, sizeof(signature.label)));
	assert(memchr(signature.volume_group, 0, sizeof(signature.volume_group)));
	free(head);
	free(tail);
	return 0;
}
