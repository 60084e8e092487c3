/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bytes of the control socket: cut into lines, and each line parsed by jansson into a request
 * that has a command.
 */
#include "cluster/control/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL_COMMAND_MAX 63
#define CONTROL_LINES_BEGIN 512

/* ---- lines ---- */

int control_lines_append(struct control_lines *lines, const char *data, size_t length)
{
	const char *end = NULL;

	if (length == 0)
		return 0;
	if (lines->size - lines->used < length) {
		size_t size = lines->size ? lines->size : CONTROL_LINES_BEGIN;
		char *larger;

		while (size - lines->used < length)
			size *= 2;
		larger = realloc(lines->data, size);
		if (!larger)
			return -ENOMEM;
		lines->data = larger;
		lines->size = size;
	}
	memcpy(lines->data + lines->used, data, length);
	lines->used += length;
	/* the last, unfinished line must not grow without bound */
	end = memrchr(lines->data, '\n', lines->used);
	if (lines->used - (size_t)(end ? end + 1 - lines->data : 0) > CONTROL_LINE_MAX)
		return -EMSGSIZE;
	return 0;
}

bool control_lines_next(struct control_lines *lines, const char **line, size_t *length)
{
	const char *end;

	/* what the last call gave out is done with */
	if (lines->scanned > 0)
		memmove(lines->data, lines->data + lines->scanned, lines->used - lines->scanned);
	lines->used -= lines->scanned;
	lines->scanned = 0;
	end = lines->used ? memchr(lines->data, '\n', lines->used) : NULL;
	if (!end) {
		if (lines->used == 0)
			control_lines_free(lines);
		return false;
	}
	*line = lines->data;
	*length = (size_t)(end - lines->data);
	lines->scanned = *length + 1;
	if (*length > 0 && lines->data[*length - 1] == '\r')
		--*length;
	return true;
}

void control_lines_free(struct control_lines *lines)
{
	free(lines->data);
	memset(lines, 0, sizeof(*lines));
}

/* ---- requests ---- */

static int request_refuse(char *reason, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int request_refuse(char *reason, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, size, format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

/* How deep brackets are nested outside of strings; jansson follows them by recursion. */
static unsigned request_depth(const char *line, size_t length)
{
	unsigned depth = 0, deepest = 0;
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		char c = line[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			deepest = ++depth > deepest ? depth : deepest;
		else if (!quoted && depth > 0 && (c == '}' || c == ']'))
			depth--;
	}
	return deepest;
}

int control_request_parse(const char *line, size_t length, json_t **request, char *reason,
			  size_t reason_size)
{
	json_error_t error;
	json_t *parsed, *command;

	*request = NULL;
	if (length > CONTROL_LINE_MAX)
		return request_refuse(reason, reason_size, "the line is longer than %d bytes",
				      CONTROL_LINE_MAX);
	if (request_depth(line, length) > CONTROL_DEPTH_MAX)
		return request_refuse(reason, reason_size, "the line is nested deeper than %d",
				      CONTROL_DEPTH_MAX);
	parsed = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	if (!parsed)
		return request_refuse(reason, reason_size,
				      "the line is no JSON object: %.80s (at byte %d)", error.text,
				      error.position);
	command = json_object_get(parsed, "command");
	if (!json_is_object(parsed))
		request_refuse(reason, reason_size,
			       "the line is JSON, but no object: expected {\"command\": ...}");
	else if (!json_is_string(command))
		request_refuse(reason, reason_size,
			       "the request has no \"command\" that is a text");
	else if (json_string_length(command) == 0 ||
		 json_string_length(command) > CONTROL_COMMAND_MAX)
		request_refuse(reason, reason_size, "\"command\" has %zu bytes: expected 1 to %d",
			       json_string_length(command), CONTROL_COMMAND_MAX);
	else
		*request = parsed;
	if (*request)
		return 0;
	json_decref(parsed);
	return -EBADMSG;
}
