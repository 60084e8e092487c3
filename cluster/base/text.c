/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cleaning text from outside. Pure but for jansson's memory.
 */
#include "cluster/base/text.h"

#include <stdlib.h>
#include <string.h>

/* Length of the character at text if it is one that may be shown, else 0. RFC 3629 4: no overlong
 * forms, no surrogates, nothing above U+10FFFF. */
static size_t text_character(const unsigned char *text)
{
	unsigned char first = text[0], low = 0x80, high = 0xbf;
	size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;

	if (first < 0x80)
		return first >= ' ' && first != 0x7f ? 1 : 0;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	if (first == 0xc2) /* U+0080 to U+009F are controls */
		low = 0xa0;
	else if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* The first byte that is not clean, or NULL. */
static const char *text_next_bad(const char *text)
{
	size_t length;

	for (; *text; text += length) {
		length = text_character((const unsigned char *)text);
		if (!length)
			return text;
	}
	return NULL;
}

bool text_is_clean(const char *text)
{
	return text_next_bad(text) == NULL;
}

static char *text_clean_but(char *text, const char *kept)
{
	char *bad = text;

	while ((bad = (char *)text_next_bad(bad))) {
		if (!strchr(kept, *bad))
			*bad = '?';
		bad++;
	}
	return text;
}

char *text_clean(char *text)
{
	return text_clean_but(text, "");
}

json_t *text_json(const char *text)
{
	char *copy = text ? strdup(text) : NULL;
	json_t *json = copy ? json_string(text_clean(copy)) : json_null();

	free(copy);
	return json;
}

static void text_clean_string(json_t *json)
{
	char *copy;

	if (text_is_clean(json_string_value(json)))
		return;
	copy = strdup(json_string_value(json));
	if (copy)
		json_string_set(json, text_clean_but(copy, "\n\t"));
	free(copy);
}

void text_clean_json(json_t *json)
{
	const char *name;
	json_t *value;
	size_t i;

	if (json_is_string(json))
		text_clean_string(json);
	json_array_foreach(json, i, value) text_clean_json(value);
	json_object_foreach(json, name, value) text_clean_json(value);
}
