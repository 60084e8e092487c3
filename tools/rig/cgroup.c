/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A control group for each machine of a rig, in the unified hierarchy or in version 1's freezer. It
 * freezes a machine in one stroke, and it is the list of all its processes when nothing else is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rig/rig.h"

#define FREEZE_WAIT_MS 300

struct hierarchy {
	const char *root; /* NULL: none */
	bool unified;
};

static struct hierarchy cgroup_hierarchy(void)
{
	if (access("/sys/fs/cgroup/freezer/cgroup.procs", W_OK) == 0)
		return (struct hierarchy){"/sys/fs/cgroup/freezer/lunkeeper-rig", false};
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
		return (struct hierarchy){"/sys/fs/cgroup/lunkeeper-rig", true};
	return (struct hierarchy){NULL, false};
}

static int cgroup_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		error = -errno;
	close(fd);
	return error;
}

int rig_cgroup_make(const struct rig *rig, const char *machine)
{
	struct hierarchy hierarchy = cgroup_hierarchy();
	char path[RIG_PATH_MAX];

	if (!hierarchy.root)
		return -ENOTSUP;
	mkdir(hierarchy.root, 0755);
	snprintf(path, sizeof(path), "%s/%s", hierarchy.root, rig->name);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", hierarchy.root, rig->name, machine);
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int rig_cgroup_join(const struct rig *rig, const char *machine)
{
	struct hierarchy hierarchy = cgroup_hierarchy();
	char path[RIG_PATH_MAX];

	if (!hierarchy.root)
		return -ENOTSUP;
	snprintf(path, sizeof(path), "%s/%s/%s/cgroup.procs", hierarchy.root, rig->name, machine);
	return cgroup_write(path, "0");
}

static bool cgroup_is_frozen(const struct hierarchy *hierarchy, const char *group, bool *frozen)
{
	char path[RIG_PATH_MAX], *text;

	snprintf(path, sizeof(path), "%s/%s", group,
		 hierarchy->unified ? "cgroup.events" : "freezer.state");
	text = rig_read_file(path, NULL);
	if (!text)
		return false;
	*frozen = hierarchy->unified ? strstr(text, "frozen 1") != NULL
				     : strncmp(text, "FROZEN", 6) == 0;
	free(text);
	return true;
}

/* A task that waits in the kernel freezes when it would return to its program. Until then the group
 * counts as freezing, but runs nothing of its own. */
static int cgroup_freeze(const struct hierarchy *hierarchy, const char *group, bool frozen)
{
	uint64_t end = rig_now_ms() + FREEZE_WAIT_MS;
	char path[RIG_PATH_MAX];
	bool now = !frozen;
	int error;

	snprintf(path, sizeof(path), "%s/%s", group,
		 hierarchy->unified ? "cgroup.freeze" : "freezer.state");
	error = hierarchy->unified ? cgroup_write(path, frozen ? "1" : "0")
				   : cgroup_write(path, frozen ? "FROZEN" : "THAWED");
	if (error)
		return error;
	while (cgroup_is_frozen(hierarchy, group, &now) && now != frozen && rig_now_ms() < end)
		rig_sleep_ms(1);
	return 0;
}

int rig_cgroup_freeze(const struct rig *rig, const char *machine, bool frozen)
{
	struct hierarchy hierarchy = cgroup_hierarchy();
	char group[RIG_PATH_MAX];

	if (!hierarchy.root)
		return -ENOTSUP;
	snprintf(group, sizeof(group), "%s/%s/%s", hierarchy.root, rig->name, machine);
	return cgroup_freeze(&hierarchy, group, frozen);
}

/* Kills every process of one group; returns how many there were. */
static int cgroup_kill(const char *group)
{
	char path[RIG_PATH_MAX * 3], *text, *at, *end;
	int count = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	text = rig_read_file(path, NULL);
	for (at = text; at && *at; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0 is a process of a namespace above ours: not to be reached from here. */
		if (pid > 0 && pid != getpid() && kill((pid_t)pid, SIGKILL) == 0)
			count++;
		while (*end == '\n')
			end++;
	}
	free(text);
	return count;
}

static int cgroup_clear(const struct hierarchy *hierarchy, const char *group)
{
	uint64_t end = rig_now_ms() + 5000;
	int killed = 0, count;

	cgroup_freeze(hierarchy, group, false);
	while ((count = cgroup_kill(group)) > 0 && rig_now_ms() < end) {
		if (!killed)
			killed = count;
		rig_sleep_ms(5);
	}
	while (rmdir(group) < 0 && errno == EBUSY && rig_now_ms() < end)
		rig_sleep_ms(5);
	return killed;
}

int rig_cgroup_sweep(const char *rig_name)
{
	struct hierarchy hierarchy = cgroup_hierarchy();
	char path[RIG_PATH_MAX], group[RIG_PATH_MAX * 2];
	struct dirent *entry;
	int killed = 0;
	DIR *folder;

	if (!hierarchy.root)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", hierarchy.root, rig_name);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(group, sizeof(group), "%s/%s", path, entry->d_name);
		killed += cgroup_clear(&hierarchy, group);
	}
	if (folder)
		closedir(folder);
	if (rmdir(path) < 0 && errno != ENOENT)
		return -errno;
	rmdir(hierarchy.root);
	return killed;
}

size_t rig_cgroup_list(char names[][RIG_NAME_MAX], size_t max)
{
	struct hierarchy hierarchy = cgroup_hierarchy();
	DIR *folder = hierarchy.root ? opendir(hierarchy.root) : NULL;
	struct dirent *entry;
	size_t count = 0;

	while (folder && count < max && (entry = readdir(folder)))
		if (entry->d_type == DT_DIR && rig_name_is_good(entry->d_name))
			snprintf(names[count++], RIG_NAME_MAX, "%.*s", RIG_NAME_MAX - 1,
				 entry->d_name);
	if (folder)
		closedir(folder);
	return count;
}
