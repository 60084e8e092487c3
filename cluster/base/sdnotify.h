/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What systemd is told: ready, reloading, stopping, one line of status, and the watchdog's beat.
 * Nothing happens where no systemd listens.
 */
#ifndef CLUSTER_BASE_SDNOTIFY_H
#define CLUSTER_BASE_SDNOTIFY_H

#include <stdint.h>

void sdnotify_ready(void);
void sdnotify_reloading(void); /* then sdnotify_ready() again */
void sdnotify_stopping(void);
void sdnotify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sdnotify_alive(void);
/* How often systemd wants to hear sdnotify_alive(), half of its limit; 0: not at all. */
uint64_t sdnotify_interval_ms(void);

#endif
