/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A claims file of any bytes. What is accepted must come back the same after being written. If the
 * first byte is '!', the check sum is made right, so that what is behind it is reached.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/store/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* FNV-1a, as in the format. */
static uint64_t sum(const char *data, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)data[i]) * 0x100000001b3u;
	return hash;
}

static void check(const char *data, size_t size)
{
	struct claims_file claims, again;
	char reason[200] = "", text[CLAIMS_FILE_MAX];
	size_t length;

	if (claims_decode(&claims, data, size, reason, sizeof(reason)) != 0) {
		assert(reason[0] != '\0');
		return;
	}
	assert(claims.count <= CLAIMS_KEYS_MAX && claims.node != 0);
	length = claims_encode(&claims, text, sizeof(text));
	assert(length > 0);
	assert(claims_decode(&again, text, length, reason, sizeof(reason)) == 0);
	assert(memcmp(&claims, &again, sizeof(claims)) == 0);
	/* a part of it is never taken for the whole */
	for (size_t cut = 0; cut < length; cut++)
		assert(claims_decode(&again, text, cut, reason, sizeof(reason)) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size == 0 || data[0] != '!') {
		check((const char *)data, size);
		return 0;
	}
	copy = malloc(size + 32);
	assert(copy);
	memcpy(copy, data + 1, size - 1);
	size -= 1;
	size += (size_t)sprintf(copy + size, "check %016llx\n",
				(unsigned long long)sum(copy, size));
	check(copy, size);
	free(copy);
	return 0;
}
