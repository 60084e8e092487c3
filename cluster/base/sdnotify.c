/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Telling systemd, through libsystemd. sd_notify() sends one datagram and does not wait.
 */
#include "cluster/base/sdnotify.h"

#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void sdnotify_ready(void)
{
	sd_notify(0, "READY=1");
}

void sdnotify_reloading(void)
{
	struct timespec now;

	/* systemd.service(5), Type=notify-reload: the time tells this reload from an earlier one */
	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)now.tv_sec * 1000000 +
			   (unsigned long long)now.tv_nsec / 1000);
}

void sdnotify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void sdnotify_status(const char *format, ...)
{
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	sd_notifyf(0, "STATUS=%s", text);
}

void sdnotify_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

uint64_t sdnotify_interval_ms(void)
{
	uint64_t limit_us = 0;

	return sd_watchdog_enabled(0, &limit_us) > 0 ? limit_us / 2000 : 0;
}
