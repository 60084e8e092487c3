/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Parser of the secrets file's text. Pure; every write is bounded by SECRETS_FIELD_MAX.
 */
#include "iscsi/secrets.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { FIELD_TARGET, FIELD_USER, FIELD_SECRET, FIELD_TARGET_USER, FIELD_TARGET_SECRET, FIELDS };

struct cursor {
	const char *at, *end; /* of one line */
	const char *problem;
};

static void skip_blanks(struct cursor *cursor)
{
	while (cursor->at < cursor->end &&
	       (*cursor->at == ' ' || *cursor->at == '\t' || *cursor->at == '\r'))
		cursor->at++;
}

static int put(char *field, size_t *length, char c, struct cursor *cursor)
{
	if (c == 0) {
		cursor->problem = "a field holds a zero byte";
		return -EINVAL;
	}
	if (*length + 1 >= SECRETS_FIELD_MAX) {
		cursor->problem = "a field is longer than 255 bytes";
		return -EINVAL;
	}
	field[(*length)++] = c;
	return 0;
}

static int parse_quoted(struct cursor *cursor, char *field, size_t *length)
{
	cursor->at++;
	while (cursor->at < cursor->end && *cursor->at != '"') {
		char c = *cursor->at++;

		if (c == '\\') {
			if (cursor->at == cursor->end ||
			    (*cursor->at != '"' && *cursor->at != '\\')) {
				cursor->problem = "'\\' in quotes must be followed by '\"' or '\\'";
				return -EINVAL;
			}
			c = *cursor->at++;
		}
		if (put(field, length, c, cursor) < 0)
			return -EINVAL;
	}
	if (cursor->at == cursor->end) {
		cursor->problem = "a quoted field has no closing '\"'";
		return -EINVAL;
	}
	cursor->at++;
	if (cursor->at < cursor->end && !strchr(" \t\r", *cursor->at)) {
		cursor->problem = "a blank is expected behind a quoted field";
		return -EINVAL;
	}
	return 0;
}

/* The next field. Returns 1, 0 at the end of the line, or -EINVAL. */
static int parse_field(struct cursor *cursor, char field[SECRETS_FIELD_MAX])
{
	size_t length = 0;

	skip_blanks(cursor);
	if (cursor->at == cursor->end || *cursor->at == '#')
		return 0;
	if (*cursor->at == '"') {
		if (parse_quoted(cursor, field, &length) < 0)
			return -EINVAL;
	} else {
		while (cursor->at < cursor->end && *cursor->at != ' ' && *cursor->at != '\t' &&
		       *cursor->at != '\r') {
			if (*cursor->at == '"' || *cursor->at == '#') {
				cursor->problem = "a field with '\"' or '#' must stand in quotes";
				return -EINVAL;
			}
			if (put(field, &length, *cursor->at++, cursor) < 0)
				return -EINVAL;
		}
	}
	field[length] = 0;
	if (length == 0) {
		cursor->problem = "a field is empty";
		return -EINVAL;
	}
	return 1;
}

static bool target_fits(const char *pattern, const char *target)
{
	size_t length = strlen(pattern);

	if (length && pattern[length - 1] == '*')
		return strncasecmp(pattern, target, length - 1) == 0;
	return strcasecmp(pattern, target) == 0;
}

/* Returns how many fields the line has, or -EINVAL. */
static int parse_line(struct cursor *cursor, char fields[FIELDS][SECRETS_FIELD_MAX])
{
	char surplus[SECRETS_FIELD_MAX] = "";
	int count = 0, got;

	for (;;) {
		got = parse_field(cursor, count < FIELDS ? fields[count] : surplus);
		if (got <= 0)
			break;
		count++;
	}
	explicit_bzero(surplus, sizeof(surplus));
	if (got < 0)
		return got;
	if (count != 0 && count != FIELD_SECRET + 1 && count != FIELDS) {
		cursor->problem = "expected: target user secret [target's user, target's secret]";
		return -EINVAL;
	}
	if (count == FIELDS && strcmp(fields[FIELD_SECRET], fields[FIELD_TARGET_SECRET]) == 0) {
		cursor->problem = "the two secrets of mutual CHAP must differ (RFC 7143 12.1.3)";
		return -EINVAL;
	}
	return count;
}

int secrets_parse(struct secrets *secrets, const char *target, const char *text, size_t length,
		  unsigned *line, const char **problem)
{
	char fields[FIELDS][SECRETS_FIELD_MAX];
	const char *end = text + length;
	int count = 0;

	memset(secrets, 0, sizeof(*secrets));
	*problem = NULL;
	*line = 0;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct cursor cursor = {.at = text, .end = newline ? newline : end};

		(*line)++;
		count = parse_line(&cursor, fields);
		if (count < 0) {
			*problem = cursor.problem;
			break;
		}
		if (count > 0 && !secrets->found && target_fits(fields[FIELD_TARGET], target)) {
			secrets->found = true;
			memcpy(secrets->user, fields[FIELD_USER], SECRETS_FIELD_MAX);
			memcpy(secrets->secret, fields[FIELD_SECRET], SECRETS_FIELD_MAX);
			if (count == FIELDS) {
				secrets->mutual = true;
				memcpy(secrets->target_user, fields[FIELD_TARGET_USER],
				       SECRETS_FIELD_MAX);
				memcpy(secrets->target_secret, fields[FIELD_TARGET_SECRET],
				       SECRETS_FIELD_MAX);
			}
		}
		text = newline ? newline + 1 : end;
	}
	explicit_bzero(fields, sizeof(fields));
	if (*problem) {
		secrets_forget(secrets);
		return -EINVAL;
	}
	return 0;
}

void secrets_forget(struct secrets *secrets)
{
	explicit_bzero(secrets, sizeof(*secrets));
}
