/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The text of a gate process's configuration file: written by the daemon, parsed by the process.
 * One `name=value` a line, no quoting; a `lun=` line begins a LUN, and what follows belongs to it.
 * Pure code.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cluster/gate/wire.h"

#define LINE_MAX_LENGTH 1024

enum field_type { FIELD_TEXT, FIELD_FLAG, FIELD_U16, FIELD_U32 };

struct field {
	const char *name;
	enum field_type type;
	size_t offset, size;
};

#define TEXT(type, name, member)                                                                   \
	{name, FIELD_TEXT, offsetof(type, member), sizeof(((type *)0)->member)}

static const struct field file_fields[] = {
	TEXT(struct gate_file, "group", group),
	TEXT(struct gate_file, "control", control),
	TEXT(struct gate_file, "nbd", nbd),
	TEXT(struct gate_file, "lock", lock),
	TEXT(struct gate_file, "initiator", initiator_name),
	TEXT(struct gate_file, "secrets", secrets_file),
	{"qualifier", FIELD_U16, offsetof(struct gate_file, isid_qualifier), 0},
	{"hold_limit_ms", FIELD_U32, offsetof(struct gate_file, hold_limit_ms), 0},
	{"give_up_ms", FIELD_U32, offsetof(struct gate_file, give_up_ms), 0},
};
static const struct field lun_fields[] = {
	TEXT(struct gate_lun_config, "lun", name),
	TEXT(struct gate_lun_config, "url", url),
	TEXT(struct gate_lun_config, "wwid", wwid),
	{"header_digest", FIELD_FLAG, offsetof(struct gate_lun_config, header_digest), 0},
	{"data_digest", FIELD_FLAG, offsetof(struct gate_lun_config, data_digest), 0},
	{"zero_covered", FIELD_FLAG, offsetof(struct gate_lun_config, zero_covered), 0},
	{"trim_covered", FIELD_FLAG, offsetof(struct gate_lun_config, trim_covered), 0},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct field *field_find(const struct field *fields, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

static int number_parse(const char *text, uint32_t most, uint32_t *value)
{
	uint64_t number = 0;
	if (!*text || strlen(text) > 10)
		return -EBADMSG;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EBADMSG;
		number = number * 10 + (uint64_t)(*text - '0');
	}
	if (number > most)
		return -EBADMSG;
	*value = (uint32_t)number;
	return 0;
}

static int field_set(const struct field *field, void *base, const char *value)
{
	char *at = (char *)base + field->offset;
	uint32_t number;
	switch (field->type) {
	case FIELD_TEXT:
		if (strlen(value) >= field->size)
			return -EBADMSG;
		memcpy(at, value, strlen(value) + 1);
		return 0;
	case FIELD_FLAG:
		if (number_parse(value, 1, &number) < 0)
			return -EBADMSG;
		*(bool *)at = number != 0;
		return 0;
	case FIELD_U16:
		if (number_parse(value, UINT16_MAX, &number) < 0)
			return -EBADMSG;
		*(uint16_t *)(void *)at = (uint16_t)number;
		return 0;
	case FIELD_U32:
		return number_parse(value, UINT32_MAX, (uint32_t *)(void *)at);
	}
	return -EBADMSG;
}

static int line_parse(struct gate_file *file, char *line, const char **why)
{
	const struct field *field;
	char *value;
	void *base;

	*why = "not of the form name=value";
	value = strchr(line, '=');
	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	*why = "too many LUNs";
	if (strcmp(line, "lun") == 0) {
		if (file->lun_count == file->lun_capacity)
			return -E2BIG;
		memset(&file->luns[file->lun_count++], 0, sizeof(file->luns[0]));
	}
	*why = "unknown name";
	field = field_find(file_fields, COUNT(file_fields), line);
	base = file;
	if (!field) {
		field = field_find(lun_fields, COUNT(lun_fields), line);
		*why = field ? "stands before any lun=" : "unknown name";
		if (!field || file->lun_count == 0)
			return -EBADMSG;
		base = &file->luns[file->lun_count - 1];
	}
	*why = "value out of range";
	return field_set(field, base, value);
}

static int file_check(const struct gate_file *file, char *message, size_t size)
{
	const char *missing = !file->group[0]        ? "group"
			      : !file->control[0]    ? "control"
			      : !file->nbd[0]        ? "nbd"
			      : !file->lock[0]       ? "lock"
			      : file->lun_count == 0 ? "lun"
			      : !file->give_up_ms    ? "give_up_ms"
			      : !file->hold_limit_ms ? "hold_limit_ms"
						     : NULL;
	for (size_t i = 0; i < file->lun_count && !missing; i++)
		missing = !file->luns[i].name[0]  ? "a name of a lun"
			  : !file->luns[i].url[0] ? "url"
						  : NULL;
	if (!missing)
		return 0;
	snprintf(message, size, "gate configuration: %s is missing", missing);
	return -EBADMSG;
}

int gate_wire_file_parse(struct gate_file *file, const char *text, size_t length, char *message,
			 size_t message_size)
{
	struct gate_lun_config *luns = file->luns;
	size_t capacity = file->lun_capacity;
	unsigned number;

	memset(file, 0, sizeof(*file));
	file->luns = luns;
	file->lun_capacity = capacity;
	number = 0;
	for (size_t at = 0; at < length;) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t line_length = end ? (size_t)(end - text) - at : length - at;
		char line[LINE_MAX_LENGTH];
		const char *why = "line too long";
		int error = -EBADMSG;
		number++;
		if (line_length < sizeof(line) && !memchr(text + at, '\0', line_length)) {
			memcpy(line, text + at, line_length);
			line[line_length] = '\0';
			error = line[0] == '\0' || line[0] == '#' ? 0
								  : line_parse(file, line, &why);
		}
		if (error < 0) {
			snprintf(message, message_size, "gate configuration, line %u: %s", number,
				 why);
			return error;
		}
		at += line_length + 1;
	}
	return file_check(file, message, message_size);
}

struct text {
	char *buffer;
	size_t size, length;
	int error;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
							   ...)
{
	va_list arguments;
	int count;

	if (text->error < 0)
		return;
	va_start(arguments, format);
	count = vsnprintf(text->buffer + text->length, text->size - text->length, format,
			  arguments);
	va_end(arguments);
	if (count < 0 || (size_t)count >= text->size - text->length)
		text->error = -EMSGSIZE;
	else
		text->length += (size_t)count;
}

static void fields_write(struct text *text, const struct field *fields, size_t count,
			 const void *base)
{
	for (size_t i = 0; i < count; i++) {
		const char *at = (const char *)base + fields[i].offset;
		switch (fields[i].type) {
		case FIELD_TEXT:
			if (strchr(at, '\n'))
				text->error = -EINVAL;
			else if (*at)
				text_add(text, "%s=%s\n", fields[i].name, at);
			break;
		case FIELD_FLAG:
			if (*(const bool *)at)
				text_add(text, "%s=1\n", fields[i].name);
			break;
		case FIELD_U16:
			text_add(text, "%s=%u\n", fields[i].name,
				 *(const uint16_t *)(const void *)at);
			break;
		case FIELD_U32:
			text_add(text, "%s=%u\n", fields[i].name,
				 *(const uint32_t *)(const void *)at);
			break;
		}
	}
}

long gate_wire_file_write(const struct gate_file *file, char *buffer, size_t size)
{
	struct text text = {.buffer = buffer, .size = size};
	fields_write(&text, file_fields, COUNT(file_fields), file);
	for (size_t i = 0; i < file->lun_count; i++)
		fields_write(&text, lun_fields, COUNT(lun_fields), &file->luns[i]);
	return text.error < 0 ? text.error : (long)text.length;
}

uint64_t gate_wire_digest(const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint64_t digest = 0xcbf29ce484222325u;
	for (size_t i = 0; i < length; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3u;
	return digest;
}
