/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket's file: a stale one is replaced, one in use is not, and at no moment may
 * anybody but root (and the named group) connect.
 */
#include "cluster/control/private.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int socket_fail(const char *path, const char *step, char *message, size_t size)
{
	int error = errno ? -errno : -EIO;

	snprintf(message, size, "control socket %s: cannot %s: %s%s", path, step, strerror(-error),
		 error == -ENOENT ? "; make its folder, or name another by --run"
		 : error == -EACCES
			 ? "; run lunkeeperd as root, or name a folder of its own user by --run"
			 : "");
	return error;
}

/* Removes what an earlier daemon left. */
static int socket_clear(const char *path, const struct sockaddr_un *address, char *message,
			size_t size)
{
	struct stat status;
	int fd, error;

	if (lstat(path, &status) != 0)
		return errno == ENOENT ? 0 : socket_fail(path, "look at it", message, size);
	if (!S_ISSOCK(status.st_mode)) {
		snprintf(message, size, "control socket %s: something else is there: move it away",
			 path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return socket_fail(path, "make a socket", message, size);
	error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 0 : errno;
	close(fd);
	if (error == 0 || error == EAGAIN) { /* EAGAIN: its queue is full */
		snprintf(message, size,
			 "control socket %s: another lunkeeperd listens there: stop that one "
			 "first, or give this one a "
			 "folder of its own by --run",
			 path);
		return -EADDRINUSE;
	}
	if (unlink(path) != 0)
		return socket_fail(path, "remove the stale one", message, size);
	return 0;
}

static int socket_group(const char *name, gid_t *gid, const char *path, char *message, size_t size)
{
	struct group group, *found = NULL;
	char buffer[16384];

	if (getgrnam_r(name, &group, buffer, sizeof(buffer), &found) != 0 || !found) {
		snprintf(message, size,
			 "control socket %s: there is no group '%s' on this system: make it, or "
			 "correct "
			 "control_group",
			 path, name);
		return -EINVAL;
	}
	*gid = group.gr_gid;
	return 0;
}

static int socket_bind(int fd, const struct sockaddr_un *address)
{
	/* chmod() after bind() would leave a moment in which others could connect */
	mode_t before = umask(0177);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(before);
	return error;
}

int control_socket_open(const char *path, const char *group, gid_t *gid, char *message,
			size_t message_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(message, message_size,
			 "control socket %s: its name has %zu bytes: expected at most %zu", path,
			 strlen(path), sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	error = group ? socket_group(group, gid, path, message, message_size) : 0;
	if (!error)
		error = socket_clear(path, &address, message, message_size);
	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || socket_bind(fd, &address) != 0) {
		error = socket_fail(path, "make it", message, message_size);
		if (fd >= 0)
			close(fd);
		return error;
	}
	if (group && (chown(path, (uid_t)-1, *gid) != 0 || chmod(path, 0660) != 0)) {
		error = socket_fail(path, "give it to its group", message, message_size);
		unlink(path);
		close(fd);
		return error;
	}
	return fd;
}
