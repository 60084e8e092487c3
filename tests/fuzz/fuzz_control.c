/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bytes on the control socket, arriving in pieces (the first byte says of what size): lines come
 * out whole and in order, and whatever a line holds, it is a request with a command or a refusal in
 * words.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line, size_t length)
{
	char reason[200] = "";
	json_t *request;

	assert(!memchr(line, '\n', length));
	if (control_request_parse(line, length, &request, reason, sizeof(reason)) == 0) {
		const char *command = json_string_value(json_object_get(request, "command"));

		assert(command && *command);
		json_decref(request);
	} else {
		assert(!request && reason[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_lines lines = {0};
	size_t piece = size ? data[0] % 64 + 1u : 1, given = 1, seen = 0, wanted = 0, length;
	const char *line;

	for (size_t i = 1; i < size; i++)
		wanted += data[i] == '\n';
	while (given < size) {
		size_t now = size - given < piece ? size - given : piece;

		if (control_lines_append(&lines, (const char *)data + given, now) != 0)
			break;
		given += now;
		while (control_lines_next(&lines, &line, &length)) {
			check_line(line, length);
			seen++;
		}
	}
	assert(given < size || seen == wanted);
	control_lines_free(&lines);
	return 0;
}
