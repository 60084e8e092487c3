/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig`: runs lunkeeper-rig, a program of its own that a cluster's node does not need and
 * that is installed by itself.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/cli.h"

#define RIG_PROGRAM "lunkeeper-rig"

/* Beside this program, where it was built or installed; false: its place is not known. */
static bool rig_beside(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (length <= 0)
		return false;
	self[length] = 0;
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = 0;
	return snprintf(path, PATH_MAX, "%s/" RIG_PROGRAM, self) < PATH_MAX;
}

int cmd_rig(int argc, char **argv)
{
	char beside[PATH_MAX];
	char program[] = RIG_PROGRAM;
	int error = ENOENT;

	(void)argc;
	argv[0] = program;
	if (rig_beside(beside)) {
		execv(beside, argv);
		error = errno;
	}
	if (error == ENOENT) {
		execv(LUNKEEPER_SBINDIR "/" RIG_PROGRAM, argv);
		error = errno;
	}
	if (error == ENOENT) {
		execvp(RIG_PROGRAM, argv);
		error = errno;
	}
	if (error != ENOENT) {
		cli_error("cannot run %s: %s", RIG_PROGRAM, strerror(error));
		return CLI_EXIT_FAILED;
	}
	cli_error("%s is not installed: not beside this program, in %s or in PATH", RIG_PROGRAM,
		  LUNKEEPER_SBINDIR);
	cli_hint("`make install-rig` in LunKeeper's source installs it");
	return CLI_EXIT_FAILED;
}
