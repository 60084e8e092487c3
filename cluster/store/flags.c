/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An operator's flags: empty files RUN/NAME and RUN/NAME.GROUP.
 */
#include "cluster/store/flags.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster/base/log.h"

#define FLAG_PATH_MAX (PATH_MAX + 200)

static void flag_path(char path[FLAG_PATH_MAX], const char *run_folder, const char *name,
		      const char *group)
{
	snprintf(path, FLAG_PATH_MAX, "%s/%s%s%s", run_folder, name, group ? "." : "",
		 group ? group : "");
}

void flag_set(const char *run_folder, const char *name, const char *group, bool on)
{
	char path[FLAG_PATH_MAX];
	int fd;

	flag_path(path, run_folder, name, group);
	if (!on) {
		unlink(path);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		log_warning("%s: %s: a restart of the daemon will forget that", path,
			    strerror(errno));
	else
		close(fd);
}

bool flag_is_set(const char *run_folder, const char *name, const char *group)
{
	char path[FLAG_PATH_MAX];

	flag_path(path, run_folder, name, group);
	return access(path, F_OK) == 0;
}
