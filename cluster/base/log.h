/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages to stderr, one line each: "<6>text" where a journal reads them, "17:42:53.125 text" on a
 * terminal. Never blocks: what the reader does not take is counted, and the count is told when it
 * takes again.
 */
#ifndef CLUSTER_BASE_LOG_H
#define CLUSTER_BASE_LOG_H

#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* Before the first message; otherwise up to INFO goes to file descriptor 2. Messages above `level`
 * are left out. */
void log_open(int fd, enum log_level level);
void log_set_level(enum log_level level);
/* Control characters are shown as '?', a line ends after 1000 bytes. Loop thread and workers may
 * call it. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Lines lost so far. */
uint64_t log_lost(void);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
