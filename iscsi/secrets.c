/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The secrets file: who may read it is checked on the opened file, before a byte of it is looked
 * at.
 */
#include "iscsi/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_file(int fd, const char *file, char *message, size_t message_size)
{
	struct stat status;

	if (fstat(fd, &status) < 0) {
		snprintf(message, message_size, "secrets file %s: %s", file, strerror(errno));
		return -errno;
	}
	if (!S_ISREG(status.st_mode)) {
		snprintf(message, message_size, "secrets file %s: not a regular file", file);
		return -EINVAL;
	}
	if (status.st_uid != 0 && status.st_uid != geteuid()) {
		snprintf(message, message_size,
			 "secrets file %s: belongs to user %u, must belong to root (chown root %s)",
			 file, (unsigned)status.st_uid, file);
		return -EPERM;
	}
	if (status.st_mode & 077) {
		snprintf(message, message_size,
			 "secrets file %s: mode %04o lets others than its owner at the secrets "
			 "(chmod 0600 %s)",
			 file, (unsigned)status.st_mode & 07777, file);
		return -EPERM;
	}
	if (status.st_size > SECRETS_FILE_MAX) {
		snprintf(message, message_size, "secrets file %s: larger than %d bytes", file,
			 SECRETS_FILE_MAX);
		return -EFBIG;
	}
	return 0;
}

static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = read(fd, text + length, size - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

int secrets_load(struct secrets *secrets, const char *target, const char *file, char *message,
		 size_t message_size)
{
	char text[SECRETS_FILE_MAX];
	const char *problem;
	unsigned line;
	ssize_t length;
	int error, fd;

	memset(secrets, 0, sizeof(*secrets));
	/* O_NONBLOCK: a FIFO in the file's place must not hang us. */
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		error = -errno;
		snprintf(message, message_size, "secrets file %s: %s", file, strerror(-error));
		return error;
	}
	error = check_file(fd, file, message, message_size);
	if (error) {
		close(fd);
		return error;
	}
	length = read_all(fd, text, sizeof(text));
	close(fd);
	if (length < 0) {
		snprintf(message, message_size, "secrets file %s: %s", file,
			 strerror((int)-length));
		return (int)length;
	}
	error = secrets_parse(secrets, target, text, (size_t)length, &line, &problem);
	explicit_bzero(text, sizeof(text));
	if (error)
		snprintf(message, message_size, "secrets file %s, line %u: %s", file, line,
			 problem);
	return error;
}
