/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/base/tail.h"

void tail_keep(struct tail *tail, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		tail->kept[tail->written++ % TAIL_MAX] = data[i];
}

/* Bytes of a UTF-8 character at text, or 0 when there is none (RFC 3629). */
static size_t utf8(const unsigned char *text, size_t length)
{
	size_t count = text[0] >= 0xc2 && text[0] <= 0xdf   ? 2
		       : (text[0] & 0xf0) == 0xe0           ? 3
		       : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
							    : 0;

	if (count == 0 || count > length)
		return 0;
	for (size_t i = 1; i < count; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return count;
}

void tail_text(const struct tail *tail, char *buffer)
{
	size_t length = tail->written < TAIL_MAX ? tail->written : TAIL_MAX;
	size_t begin = tail->written - length, at = 0;

	for (size_t i = 0; i < length; i++)
		buffer[i] = tail->kept[(begin + i) % TAIL_MAX];
	while (at < length) {
		unsigned char c = (unsigned char)buffer[at];
		size_t count = utf8((unsigned char *)buffer + at, length - at);

		if (count == 0 && (c >= 0x7f || (c < ' ' && c != '\n' && c != '\t')))
			buffer[at] = '?';
		at += count ? count : 1;
	}
	while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == ' '))
		length--;
	buffer[length] = '\0';
}
