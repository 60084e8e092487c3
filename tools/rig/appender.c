/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Files of stamped records and background processes, see tools/rig/appender.h.
 */
#include "tools/rig/appender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/rig.h"

static int appender_find_end(struct rig_appender *appender)
{
	char line[RIG_RECORD_SIZE];
	struct rig_record last = {0};
	struct stat status;
	off_t records;

	if (fstat(appender->fd, &status) < 0)
		return -errno;
	for (records = status.st_size / RIG_RECORD_SIZE; records > 0; records--) {
		ssize_t got =
			pread(appender->fd, line, sizeof(line), (records - 1) * RIG_RECORD_SIZE);

		if (got < 0)
			return -errno;
		if (got == sizeof(line) && rig_record_decode(&last, line))
			break;
	}
	if (!records)
		last = (struct rig_record){0};
	appender->record.sequence = last.sequence;
	appender->record.epoch = last.epoch + 1;
	if (ftruncate(appender->fd, records * RIG_RECORD_SIZE) < 0)
		return -errno;
	return lseek(appender->fd, 0, SEEK_END) < 0 ? -errno : 0;
}

int rig_appender_open(struct rig_appender *appender, const char *file)
{
	int error;

	memset(appender, 0, sizeof(*appender));
	appender->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (appender->fd < 0)
		return -errno;
	if (gethostname(appender->record.node, sizeof(appender->record.node)) < 0)
		appender->record.node[0] = 0;
	appender->record.node[RIG_RECORD_NODE_MAX] = 0;
	error = appender_find_end(appender);
	if (error)
		close(appender->fd);
	return error;
}

int rig_appender_append(struct rig_appender *appender, char line[RIG_RECORD_SIZE])
{
	ssize_t written;

	appender->record.sequence++;
	appender->record.mono_ms = rig_now_ms();
	appender->record.wall_ms = rig_wall_ms();
	rig_record_encode(&appender->record, line);
	written = write(appender->fd, line, RIG_RECORD_SIZE);
	if (written != RIG_RECORD_SIZE)
		return written < 0 ? -errno : -EIO;
	return fsync(appender->fd) < 0 ? -errno : 0;
}

int rig_background(int (*run)(void *user, int ready_fd), void *user)
{
	int pipes[2], status = 0;
	char byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		cli_error("no pipe: %s", strerror(errno));
		return CLI_EXIT_FAILED;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		setsid();
		_exit(run(user, pipes[1]));
	}
	close(pipes[1]);
	if (pid > 0 && read(pipes[0], &byte, 1) == 1)
		return CLI_EXIT_OK;
	if (pid > 0)
		waitpid(pid, &status, 0);
	return CLI_EXIT_FAILED;
}

static int note_pid(const char *pid_file)
{
	char text[16];
	int fd = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), length;

	if (fd < 0)
		return -errno;
	length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (write(fd, text, (size_t)length) != length) {
		close(fd);
		return -EIO;
	}
	return close(fd) < 0 ? -errno : 0;
}

int rig_detach(int ready_fd, const char *pid_file)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), error = note_pid(pid_file);

	if (error || null < 0 || write(ready_fd, "", 1) != 1)
		return error ? error : -EIO;
	close(ready_fd);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close(null);
	return 0;
}
