/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See table.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/gate/dm/table.h"

#define PREFIX "LUNKEEPER-"
#define ARGUMENTS_MAX 64 /* of one feature or handler list */

const char *gate_dm_table_text(uint32_t major, uint32_t minor, bool queue, char *buffer,
			       size_t size)
{
	snprintf(buffer, size, "%s queue_mode bio 0 1 1 round-robin 0 1 0 %u:%u",
		 queue ? "3 queue_if_no_path" : "2", major, minor);
	return buffer;
}

const char *gate_dm_message_text(const char *verb, uint32_t major, uint32_t minor, char *buffer,
				 size_t size)
{
	snprintf(buffer, size, "%s %u:%u", verb, major, minor);
	return buffer;
}

/* --- what the kernel says --- */

struct word {
	const char *start;
	size_t length;
};

static bool next_word(const char **at, struct word *word)
{
	*at += strspn(*at, " \n");
	word->start = *at;
	word->length = strcspn(*at, " \n");
	*at += word->length;
	return word->length > 0;
}

static bool word_is(const struct word *word, const char *text)
{
	return strlen(text) == word->length && memcmp(word->start, text, word->length) == 0;
}

/* text: the decimal number is all of it, up to end */
static bool parse_number(const char *text, size_t length, uint64_t most, uint64_t *value)
{
	if (length == 0)
		return false;
	*value = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		if (*value > (UINT64_MAX - 9) / 10)
			return false;
		*value = *value * 10 + (uint64_t)(text[i] - '0');
	}
	return *value <= most;
}

static bool next_number(const char **at, uint64_t most, uint64_t *value)
{
	struct word word;

	return next_word(at, &word) && parse_number(word.start, word.length, most, value);
}

/* A count, and so many words behind it. */
static bool skip_list(const char **at)
{
	uint64_t count;
	struct word word;

	if (!next_number(at, ARGUMENTS_MAX, &count))
		return false;
	while (count-- > 0)
		if (!next_word(at, &word))
			return false;
	return true;
}

static bool parse_device(const struct word *word, uint32_t *major, uint32_t *minor)
{
	const char *colon = memchr(word->start, ':', word->length);
	uint64_t first, second;

	if (!colon ||
	    !parse_number(word->start, (size_t)(colon - word->start), UINT32_MAX, &first) ||
	    !parse_number(colon + 1, word->length - (size_t)(colon + 1 - word->start), UINT32_MAX,
			  &second))
		return false;
	*major = (uint32_t)first;
	*minor = (uint32_t)second;
	return true;
}

/* "2 0 0 0 1 1 A 0 1 0 253:0 A 3 ": features, handler, one group and which is the next or current;
 * its state, its selector's status, one path with no number of the selector's. */
int gate_dm_status_parse(const char *text, struct gate_dm_status *status)
{
	uint64_t groups, group, paths, numbers, failures;
	struct word word;

	memset(status, 0, sizeof(*status));
	if (!skip_list(&text) || !skip_list(&text) || !next_number(&text, 1, &groups) ||
	    groups != 1 || !next_number(&text, 1, &group))
		return -EBADMSG;
	if (!next_word(&text, &word) ||
	    !(word_is(&word, "A") || word_is(&word, "E") || word_is(&word, "D")) ||
	    !skip_list(&text))
		return -EBADMSG;
	if (!next_number(&text, 1, &paths) || paths != 1 || !next_number(&text, 0, &numbers))
		return -EBADMSG;
	if (!next_word(&text, &word) || !parse_device(&word, &status->major, &status->minor) ||
	    !next_word(&text, &word) || !(word_is(&word, "A") || word_is(&word, "F")))
		return -EBADMSG;
	status->active = word_is(&word, "A");
	if (!next_number(&text, UINT32_MAX, &failures) || next_word(&text, &word))
		return -EBADMSG;
	status->failures = (uint32_t)failures;
	return 0;
}

int gate_dm_queues_parse(const char *text, bool *queues)
{
	uint64_t count;
	struct word word;
	bool bio = false, mode = false;

	*queues = false;
	if (!next_number(&text, ARGUMENTS_MAX, &count))
		return -EBADMSG;
	while (count-- > 0) {
		if (!next_word(&text, &word))
			return -EBADMSG;
		*queues = *queues || word_is(&word, "queue_if_no_path");
		bio = bio || (mode && word_is(&word, "bio"));
		mode = word_is(&word, "queue_mode");
	}
	return bio ? 0 : -EBADMSG;
}

enum gate_state gate_dm_state(bool active, bool queues)
{
	if (active)
		return GATE_STATE_OPEN;
	return queues ? GATE_STATE_HELD : GATE_STATE_FAILED;
}

/* --- names --- */

const char *gate_dm_name(const char *lun, uint32_t serial, char buffer[GATE_DM_NAME_SIZE])
{
	snprintf(buffer, GATE_DM_NAME_SIZE, "lunkeeper-%.80s.%u", lun, serial);
	return buffer;
}

const char *gate_dm_uuid(uint32_t owner, const char *lun, uint32_t serial,
			 char buffer[GATE_DM_UUID_SIZE])
{
	snprintf(buffer, GATE_DM_UUID_SIZE, PREFIX "%08x-%u-%.80s", owner, serial, lun);
	return buffer;
}

int gate_dm_uuid_parse(const char *uuid, uint32_t *owner, uint32_t *serial, const char **lun)
{
	const char *at = uuid + strlen(PREFIX), *end;
	uint64_t number;

	if (strncmp(uuid, PREFIX, strlen(PREFIX)) != 0)
		return -ENOENT;
	*owner = 0;
	for (int i = 0; i < 8; i++, at++) {
		const char *digits = "0123456789abcdef", *digit = *at ? strchr(digits, *at) : NULL;

		if (!digit)
			return -ENOENT;
		*owner = *owner << 4 | (uint32_t)(digit - digits);
	}
	if (*at++ != '-')
		return -ENOENT;
	end = strchr(at, '-');
	if (!end || !parse_number(at, (size_t)(end - at), GATE_DM_SERIAL_MAX, &number) ||
	    end[1] == '\0')
		return -ENOENT;
	*serial = (uint32_t)number;
	*lun = end + 1;
	return 0;
}

/* FNV-1a. */
uint32_t gate_dm_owner(const char *run_folder)
{
	uint32_t hash = 2166136261u;

	for (; *run_folder; run_folder++)
		hash = (hash ^ (uint8_t)*run_folder) * 16777619u;
	return hash;
}
