/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ending FUSE connections. A process that waits for an answer of a FUSE server cannot be killed,
 * and that server may be the very process (its last thread unmounts a file system that stands on
 * itself). An aborted connection answers everything with an error. Only connections that the nodes'
 * daemons wrote down (RUN/attach) are touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/rig/rig.h"

#define CONNECTIONS "/sys/fs/fuse/connections"

static void fuse_abort(const struct rig_fuse *fuse)
{
	char path[RIG_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), CONNECTIONS "/%u/abort", fuse->connection);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		dprintf(STDERR_FILENO, "lunkeeper: %s: %s\n", path, strerror(errno));
	close(fd);
}

/* fusectl need not be mounted; here it is, where only this child sees it. */
void rig_fuse_abort(const struct rig_fuse *list, size_t count)
{
	pid_t pid = count ? fork() : -1;

	if (pid < 0)
		return;
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return;
	}
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		mount("fusectl", CONNECTIONS, "fusectl", 0, NULL);
	for (size_t i = 0; i < count; i++)
		fuse_abort(&list[i]);
	_exit(0);
}
