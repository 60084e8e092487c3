/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Points of time as people write them: "10m", "1d", "yesterday", "14:30", "2026-11-27 14:30:05".
 */
#include "tools/cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "90m", "1d", "1h30m": so long ago. */
static int since_ago(const char *text, int64_t *ms)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = {{"ms", 1},     {"min", 60e3},  {"m", 60e3},       {"s", 1e3},
		     {"h", 3600e3}, {"d", 86400e3}, {"w", 7 * 86400e3}};
	double all = 0;

	while (*text) {
		double value;
		char *end;
		size_t i;

		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		value = strtod(text, &end);
		for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (strncmp(end, units[i].unit, strlen(units[i].unit)) == 0)
				break;
		if (i == sizeof(units) / sizeof(units[0]))
			return -EINVAL;
		all += value * units[i].factor;
		text = end + strlen(units[i].unit);
	}
	if (!(all < 1e15))
		return -ERANGE;
	*ms = (int64_t)all;
	return 0;
}

/* "14:30" or "14:30:05". */
static bool since_clock(const char *text, struct tm *at)
{
	const char *end = strptime(text, "%H:%M:%S", at);

	if (!end || *end) {
		at->tm_sec = 0;
		end = strptime(text, "%H:%M", at);
	}
	return end && !*end;
}

static void since_midnight(struct tm *at)
{
	at->tm_hour = at->tm_min = at->tm_sec = 0;
	at->tm_isdst = -1;
}

/* The day at the beginning of text, at its midnight; NULL: there is none. */
static const char *since_day(const char *text, struct tm *at)
{
	struct tm day = {0};
	const char *end;

	if (strncmp(text, "today", 5) == 0) {
		since_midnight(at);
		return text + 5;
	}
	if (strncmp(text, "yesterday", 9) == 0) {
		since_midnight(at);
		at->tm_mday--;
		return text + 9;
	}
	end = strptime(text, "%Y-%m-%d", &day);
	if (!end)
		return NULL;
	*at = day;
	since_midnight(at);
	return end;
}

int cli_parse_since(const char *text, int64_t now_ms, int64_t *ms)
{
	time_t now = (time_t)(now_ms / 1000), then;
	const char *rest;
	struct tm at;
	int64_t ago;

	if (!*text)
		return -EINVAL;
	if (since_ago(text, &ago) == 0) {
		*ms = now_ms > ago ? now_ms - ago : 0;
		return 0;
	}
	localtime_r(&now, &at);
	rest = since_day(text, &at);
	if (!rest) {
		since_midnight(&at);
		if (!since_clock(text, &at))
			return -EINVAL;
		then = mktime(&at);
		if (then > now) { /* "23:50" in the morning is yesterday's */
			at.tm_mday--;
			at.tm_isdst = -1;
			then = mktime(&at);
		}
	} else {
		if ((*rest == ' ' || *rest == 'T') && rest[1]) {
			if (!since_clock(rest + 1, &at))
				return -EINVAL;
		} else if (*rest) {
			return -EINVAL;
		}
		then = mktime(&at);
	}
	if (then == (time_t)-1)
		return -EINVAL;
	*ms = (int64_t)then * 1000;
	return 0;
}
