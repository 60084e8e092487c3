/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Uevents, as nobody's kernel sends them.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1); /* so that a byte too far is seen */
	struct uevent event;
	int error;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	error = uevent_parse(&event, copy, size);
	assert(error == 0 || error == -EBADMSG);
	if (error == 0) {
		assert(event.action[0] && event.path[0] == '/' && event.subsystem[0]);
		assert(event.name + strlen(event.name) < copy + size || event.name[0] == '\0');
		uevent_is_of_paths(&event);
	}
	free(copy);
	return 0;
}
