/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two clocks. Durations and deadlines use the monotonic one with suspend counted; wall-clock
 * time is for people.
 */
#ifndef CLUSTER_BASE_CLOCK_H
#define CLUSTER_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_BOOTTIME in ms, never 0, never running backwards. */
uint64_t clock_now_ms(void);
/* Since 1970, UTC, in ms. */
int64_t clock_wall_ms(void);
/* "2026-11-22 17:42:53.125" in local time, at least 24 bytes. Returns buffer. */
const char *clock_wall_text(int64_t wall_ms, char *buffer, size_t size);

#endif
