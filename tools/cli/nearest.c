/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What somebody may have meant: the name that is most like a word.
 */
#include "tools/cli/cli.h"

#include <string.h>

#define CLI_WORD_MAX 64

/* The nearest name: Damerau-Levenshtein distance (adjacent letters exchanged count once). */

static size_t cli_smallest(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static size_t cli_distance(const char *a, const char *b)
{
	size_t rows[3][CLI_WORD_MAX + 1];
	size_t *before = rows[0], *previous = rows[1], *row = rows[2];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > CLI_WORD_MAX || b_length > CLI_WORD_MAX)
		return CLI_WORD_MAX;
	for (size_t j = 0; j <= b_length; j++)
		previous[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *oldest;

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t same = previous[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = cli_smallest(same, previous[j] + 1, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		oldest = before;
		before = previous;
		previous = row;
		row = oldest;
	}
	return previous[b_length];
}

const char *cli_nearest(const char *word, const char *const *names)
{
	size_t length = strlen(word);
	size_t best = length <= 3 ? 2 : length / 3 + 2;
	const char *nearest = NULL;

	for (; *names; names++) {
		size_t distance = cli_distance(word, *names);

		if (length >= 3 && strncmp(word, *names, length) == 0)
			distance = 1; /* the beginning of it */
		if (distance < best && distance < strlen(*names)) {
			best = distance;
			nearest = *names;
		}
	}
	return nearest;
}

/* What people type who want to look, and what shows it here: the first that the table has. */
static const struct {
	const char *word, *command;
} cli_questions[] = {
	{"show", "status"},    {"show", "show"},      {"list", "status"},   {"ls", "status"},
	{"ls", "list"},        {"view", "status"},    {"info", "status"},   {"info", "show"},
	{"get", "status"},     {"print", "status"},   {"state", "status"},  {"stat", "status"},
	{"stats", "status"},   {"what", "status"},    {"where", "status"},  {"describe", "explain"},
	{"why", "explain"},    {"reason", "explain"}, {"who", "ledger"},    {"owner", "ledger"},
	{"keys", "ledger"},    {"who", "keys"},       {"log", "events"},    {"logs", "events"},
	{"history", "events"}, {"journal", "events"}, {"alarms", "status"}, {"health", "status"},
	{"watch", "status"},   {"validate", "check"}, {"verify", "check"},  {"man", "help"},
};

/* Commands that change something: nobody should be led to one by chance. */
static bool cli_is_order(const char *name)
{
	static const char *const orders[] = {
		"move",    "start",    "stop",       "standby", "online",  "maintenance",
		"reload",  "restart",  "shutdown",   "claim",   "take",    "yield",
		"release", "register", "unregister", "reserve", "preempt", "clear",
		"reset",   "fault",    "down",       "up",      "upgrade", "campaign"};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (strcmp(orders[i], name) == 0)
			return true;
	return false;
}

/* One letter wrong, missing, too many, or two exchanged; of long words two. */
static bool cli_is_almost(const char *word, const char *order)
{
	size_t allowed = strlen(order) >= 8 ? 2 : 1;

	return strlen(order) > 2 && word[0] == order[0] && cli_distance(word, order) <= allowed;
}

const char *cli_nearest_command(const char *word, const char *const *names)
{
	const char *looks[128];
	size_t count = 0;

	for (size_t i = 0; i < sizeof(cli_questions) / sizeof(cli_questions[0]); i++)
		for (size_t n = 0; strcmp(word, cli_questions[i].word) == 0 && names[n]; n++)
			if (strcmp(names[n], cli_questions[i].command) == 0)
				return names[n];
	for (size_t n = 0; names[n] && count < 127; n++) {
		if (!cli_is_order(names[n]))
			looks[count++] = names[n];
		else if (cli_is_almost(word, names[n]))
			return names[n];
	}
	looks[count] = NULL;
	return cli_nearest(word, looks);
}
