/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The machine's watchdog, /dev/watchdog: a timer that resets the machine unless it is fed (Linux,
 * Documentation/watchdog/watchdog-api). Opened, disarmed and closed here; a thread of its own does
 * the calls, because some hardware (IPMI) answers late, and feeds only when it is told to: who
 * tells it is the daemon's loop, so that a loop that stands still feeds nothing.
 */
#ifndef CLUSTER_DAEMON_WATCHDOG_H
#define CLUSTER_DAEMON_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watchdog;

struct watchdog_view {
	char identity[33];   /* what the driver calls itself */
	bool armed;          /* the machine is reset when it is not fed */
	bool always;         /* it cannot be disarmed (nowayout) */
	uint32_t timeout_ms; /* as the device has granted it */
	uint64_t fed_ms;     /* CLOCK_BOOTTIME; 0: never */
	int error;           /* -errno of the last call, 0 */
	bool reset_before;   /* the driver says that it had reset the machine before this boot */
};

/* Opens the device, which arms it, and asks for a timeout in whole seconds, rounded up. Blocks as
 * long as the driver does. Returns 0, or -errno with a message that says what to do; it is not
 * armed then. */
int watchdog_open(struct watchdog **watchdog, const char *device, uint32_t timeout_ms,
		  char *message, size_t size);
/* These order, and return at once. */
void watchdog_arm(struct watchdog *watchdog); /* and feeds */
void watchdog_disarm(struct watchdog *watchdog);
void watchdog_feed(struct watchdog *watchdog);
void watchdog_set_timeout(struct watchdog *watchdog, uint32_t timeout_ms);
/* What has been done so far. */
void watchdog_get_view(struct watchdog *watchdog, struct watchdog_view *view);
/* disarm: with the magic close; otherwise it goes on running, for the daemon that comes next. Waits
 * for the device for two seconds at most. */
void watchdog_close(struct watchdog *watchdog, bool disarm);

/* Who has that device open: "systemd (pid 1)"; "" when nobody is found. */
void watchdog_find_user(const char *device, char *text, size_t size);
/* Whether these are names of the same device, as far as names tell. */
bool watchdog_is_same(const char *device, const char *path);

#endif
