/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading the clocks.
 */
#include "cluster/base/clock.h"

#include <stdio.h>
#include <time.h>

uint64_t clock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	/* 0 means "never" to everybody who stores a time */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

int64_t clock_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *clock_wall_text(int64_t wall_ms, char *buffer, size_t size)
{
	int64_t ms = wall_ms % 1000;
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm local;
	char date[32];

	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	if (!localtime_r(&seconds, &local) ||
	    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local) == 0)
		snprintf(buffer, size, "%lld", (long long)wall_ms);
	else
		snprintf(buffer, size, "%s.%03d", date, (int)ms);
	return buffer;
}
