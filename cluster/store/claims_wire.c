/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The text of a claims file, pure: a line per member in a fixed order, and a check sum over all
 * before it, so that a file of which only a part reached the disk is known for what it is.
 */
#include "cluster/store/claims.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CLAIMS_FIRST_LINE "lunkeeper claims 1"

static uint64_t claims_hash(const char *data, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (uint8_t)data[i]) * 0x100000001b3u;
	return hash;
}

uint64_t claims_fingerprint(const char *text)
{
	uint64_t hash = claims_hash(text, strlen(text));

	if (!*text)
		return 0;
	return hash ? hash : 1;
}

size_t claims_encode(const struct claims_file *claims, char *buffer, size_t size)
{
	size_t used;

	if (size < 512 || claims->count > CLAIMS_KEYS_MAX)
		return 0;
	/* the longest: 5 lines of at most 80 bytes, 8 claims of 23, the sum of 23 */
	used = (size_t)snprintf(buffer, size,
				CLAIMS_FIRST_LINE
				"\ncluster %s\ngroup %s\nnode %u\nincarnation %04x\n"
				"machine %016" PRIx64 "\nhardware %016" PRIx64 "\n",
				claims->cluster, claims->group, claims->node, claims->incarnation,
				claims->machine, claims->hardware);
	for (size_t i = 0; i < claims->count; i++)
		if (used < size)
			used += (size_t)snprintf(buffer + used, size - used,
						 "claim %016" PRIx64 "\n", claims->keys[i]);
	if (used < size)
		used += (size_t)snprintf(buffer + used, size - used, "check %016" PRIx64 "\n",
					 claims_hash(buffer, used));
	return used < size ? used : 0;
}

struct reader {
	const char *next, *end;
	char *reason;
	size_t reason_size;
	unsigned line;
};

static int read_fail(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int read_fail(struct reader *reader, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reader->reason, reader->reason_size, format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

/* True when the next line begins with `name` and a blank. */
static bool read_has(const struct reader *reader, const char *name)
{
	size_t length = strlen(name);

	return (size_t)(reader->end - reader->next) > length &&
	       memcmp(reader->next, name, length) == 0 && reader->next[length] == ' ';
}

/* The rest of the next line, which must be `name` and a value. */
static int read_value(struct reader *reader, const char *name, char *value, size_t size)
{
	const char *end = memchr(reader->next, '\n', (size_t)(reader->end - reader->next)), *begin;

	reader->line++;
	if (!end)
		return read_fail(reader, "it ends in line %u, where '%s' is expected", reader->line,
				 name);
	if (!read_has(reader, name))
		return read_fail(reader, "line %u is not '%s'", reader->line, name);
	begin = reader->next + strlen(name) + 1;
	if (begin >= end || (size_t)(end - begin) >= size ||
	    memchr(begin, '\0', (size_t)(end - begin)))
		return read_fail(reader, "line %u has no proper '%s'", reader->line, name);
	memcpy(value, begin, (size_t)(end - begin));
	value[end - begin] = '\0';
	reader->next = end + 1;
	return 0;
}

static int read_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static int read_number(struct reader *reader, const char *name, unsigned base, uint64_t maximum,
		       uint64_t *number)
{
	char text[24];
	int error = read_value(reader, name, text, sizeof(text));

	*number = 0;
	if (error)
		return error;
	for (const char *next = text; *next; next++) {
		unsigned digit = (unsigned)read_digit(*next);

		if (digit >= base || *number > (UINT64_MAX - digit) / base)
			return read_fail(reader, "line %u has no proper '%s'", reader->line, name);
		*number = *number * base + digit;
	}
	if (*number > maximum)
		return read_fail(reader, "line %u has no proper '%s'", reader->line, name);
	return 0;
}

static int read_claims(struct reader *reader, struct claims_file *claims)
{
	while (read_has(reader, "claim")) {
		uint64_t key;
		int error = read_number(reader, "claim", 16, UINT64_MAX, &key);

		if (error)
			return error;
		if (claims->count == CLAIMS_KEYS_MAX || key == 0)
			return read_fail(reader, "line %u has a claim too many, or a zero one",
					 reader->line);
		claims->keys[claims->count++] = key;
	}
	return 0;
}

static int read_all(struct reader *reader, struct claims_file *claims)
{
	uint64_t node = 0, incarnation = 0;
	char version[16];
	int error = read_value(reader, "lunkeeper claims", version, sizeof(version));

	if (!error && strcmp(version, "1") != 0)
		error = read_fail(reader,
				  "it is of version '%.8s', and this lunkeeperd knows version 1",
				  version);
	if (!error)
		error = read_value(reader, "cluster", claims->cluster, sizeof(claims->cluster));
	if (!error)
		error = read_value(reader, "group", claims->group, sizeof(claims->group));
	if (!error)
		error = read_number(reader, "node", 10, 254, &node);
	if (!error)
		error = read_number(reader, "incarnation", 16, UINT16_MAX, &incarnation);
	if (!error)
		error = read_number(reader, "machine", 16, UINT64_MAX, &claims->machine);
	if (!error)
		error = read_number(reader, "hardware", 16, UINT64_MAX, &claims->hardware);
	if (!error)
		error = read_claims(reader, claims);
	claims->node = (uint8_t)node;
	claims->incarnation = (uint16_t)incarnation;
	return error;
}

int claims_decode(struct claims_file *claims, const char *data, size_t length, char *reason,
		  size_t reason_size)
{
	struct reader reader = {data, data + length, reason, reason_size, 0};
	uint64_t check = 0, wanted;
	size_t summed;
	int error;

	memset(claims, 0, sizeof(*claims));
	if (length == 0)
		return read_fail(&reader, "it is empty");
	if (length > CLAIMS_FILE_MAX)
		return read_fail(&reader, "it is longer than a claims file can be");
	error = read_all(&reader, claims);
	if (error)
		return error;
	summed = (size_t)(reader.next - data);
	error = read_number(&reader, "check", 16, UINT64_MAX, &check);
	if (error)
		return error;
	wanted = claims_hash(data, summed);
	if (check != wanted)
		return read_fail(&reader, "its check sum is wrong");
	if (reader.next != reader.end)
		return read_fail(&reader, "something follows its check sum");
	if (claims->node == 0)
		return read_fail(&reader, "its node is 0");
	return 0;
}
