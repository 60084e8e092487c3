/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writing messages without ever waiting for their reader. A socket (the journal's) is sent to with
 * MSG_DONTWAIT, a pipe is written to only when it has room for a whole line, and files and
 * terminals are written to. The descriptor's own flags stay, because it is shared with others.
 */
#include "cluster/base/log.h"
#include "cluster/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINE_MAX 1000

static struct {
	pthread_mutex_t lock;
	int fd;
	enum log_level level;
	bool opened, terminal, socket;
	uint64_t lost, lost_told;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = 2, .level = LOG_LEVEL_INFO};

static void log_open_locked(int fd, enum log_level level)
{
	struct stat status;

	sink.fd = fd;
	sink.level = level;
	sink.terminal = isatty(fd) == 1;
	sink.socket = fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
	sink.lost = sink.lost_told = 0;
	sink.opened = true;
}

void log_open(int fd, enum log_level level)
{
	pthread_mutex_lock(&sink.lock);
	log_open_locked(fd, level);
	pthread_mutex_unlock(&sink.lock);
}

void log_set_level(enum log_level level)
{
	pthread_mutex_lock(&sink.lock);
	sink.level = level;
	pthread_mutex_unlock(&sink.lock);
}

uint64_t log_lost(void)
{
	uint64_t lost;

	pthread_mutex_lock(&sink.lock);
	lost = sink.lost;
	pthread_mutex_unlock(&sink.lock);
	return lost;
}

/* False: not taken. A line is shorter than PIPE_BUF, so a pipe that polls writable takes it whole
 * (pipe(7)). */
static bool log_send(const char *line, size_t length)
{
	struct pollfd ready = {.fd = sink.fd, .events = POLLOUT};
	ssize_t sent;

	if (sink.socket)
		sent = send(sink.fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) && !(ready.revents & POLLERR))
		sent = write(sink.fd, line, length);
	else
		sent = -1;
	return sent == (ssize_t)length;
}

static size_t log_format(char *line, enum log_level level, const char *text)
{
	char time[32] = "";
	int used;

	if (sink.terminal)
		/* the time of day is enough for a person who watches */
		used = snprintf(line, LOG_LINE_MAX, "%s %s%s",
				clock_wall_text(clock_wall_ms(), time, sizeof(time)) + 11,
				level <= LOG_LEVEL_ERROR     ? "ERROR: "
				: level == LOG_LEVEL_WARNING ? "warning: "
							     : "",
				text);
	else
		used = snprintf(line, LOG_LINE_MAX, "<%d>%s", (int)level, text);
	if (used < 0)
		return 0;
	if (used >= LOG_LINE_MAX)
		used = LOG_LINE_MAX - 1;
	for (int i = 0; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[used] = '\n';
	return (size_t)used + 1;
}

static void log_emit(enum log_level level, const char *text)
{
	char line[LOG_LINE_MAX + 1];

	if (sink.lost > sink.lost_told) {
		char told[80];

		snprintf(told, sizeof(told),
			 "%llu lines of this log were lost, because nobody took them",
			 (unsigned long long)(sink.lost - sink.lost_told));
		if (log_send(line, log_format(line, LOG_LEVEL_WARNING, told)))
			sink.lost_told = sink.lost;
	}
	if (!log_send(line, log_format(line, level, text)))
		sink.lost++;
}

void log_write(enum log_level level, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	va_list arguments;
	int saved = errno;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&sink.lock);
	if (!sink.opened)
		log_open_locked(2, sink.level);
	if (level <= sink.level)
		log_emit(level, text);
	pthread_mutex_unlock(&sink.lock);
	errno = saved;
}
