/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/base/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUP_PATH_MAX 1024
#define CGROUP_KILL_ROUNDS 10 /* where the kernel has no cgroup.kill (before Linux 5.14) */

/* Mount point of the hierarchy. See proc_pid_mountinfo(5): the file system's type is behind the
 * dash. */
static bool find_mount(char *mount, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], place[CGROUP_PATH_MAX];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *dash = strstr(line, " - ");

		if (!dash || strncmp(dash + 3, "cgroup2 ", 8) != 0 ||
		    sscanf(line, "%*s %*s %*s %*s %1023s", place) != 1 || strchr(place, '\\'))
			continue;
		found = snprintf(mount, size, "%s", place) < (int)size;
	}
	if (file)
		fclose(file);
	return found;
}

bool cgroup_root(char *root, size_t size)
{
	char mount[CGROUP_PATH_MAX], line[CGROUP_PATH_MAX];
	FILE *file;
	bool found = false;

	if (!find_mount(mount, sizeof(mount)))
		return false;
	file = fopen("/proc/self/cgroup", "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) != 0 || strstr(line, "/.."))
			continue;
		found = snprintf(root, size, "%s%s", mount, line[4] ? line + 3 : "") < (int)size;
	}
	if (file)
		fclose(file);
	return found && access(root, W_OK) == 0;
}

static bool path_of(char *path, const char *root, const char *name, const char *file)
{
	return *root && *name && !strstr(name, "..") &&
	       snprintf(path, CGROUP_PATH_MAX, "%s/%s%s%s", root, name, *file ? "/" : "", file) <
		       CGROUP_PATH_MAX;
}

/* The folder and those between it and the root. */
static int make_folders(const char *root, const char *name)
{
	char path[CGROUP_PATH_MAX];

	if (!path_of(path, root, name, ""))
		return -ENAMETOOLONG;
	for (char *slash = strchr(path + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0755) != 0 && errno != EEXIST ? -errno : 0;
}

int cgroup_join(const char *root, const char *name)
{
	char path[CGROUP_PATH_MAX];
	int error = -ENOENT;

	if (!path_of(path, root, name, "cgroup.procs"))
		return -ENAMETOOLONG;
	/* Somebody may remove the empty group between the two. */
	for (int turn = 0; turn < 5 && error == -ENOENT; turn++) {
		int fd;

		error = make_folders(root, name);
		if (error)
			continue;
		fd = open(path, O_WRONLY | O_CLOEXEC);
		error = fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
		if (error == -ENODEV)
			error = -ENOENT;
		if (fd >= 0)
			close(fd);
	}
	return error;
}

/* A process that is dead and not yet reaped holds nothing any more. */
static bool is_dead(int pid)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT;
	/* The name may hold anything; the last ')' ends it. */
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(file);
	return state == 'Z' || state == 'X';
}

int cgroup_processes(const char *root, const char *name, pid_t *pids, int max)
{
	char path[CGROUP_PATH_MAX];
	FILE *file;
	int count = 0, pid;

	if (!path_of(path, root, name, "cgroup.procs"))
		return -1;
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : -1;
	while (fscanf(file, "%d", &pid) == 1) {
		if (is_dead(pid))
			continue;
		if (count < max)
			pids[count] = pid;
		count++;
	}
	fclose(file);
	return count;
}

void cgroup_kill(const char *root, const char *name)
{
	char path[CGROUP_PATH_MAX];
	pid_t pids[256];
	int fd, count;

	if (!path_of(path, root, name, "cgroup.kill"))
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		bool done = write(fd, "1", 1) == 1;

		close(fd);
		if (done)
			return;
	}
	for (int round = 0; round < CGROUP_KILL_ROUNDS; round++) {
		count = cgroup_processes(root, name, pids, 256);
		if (count <= 0)
			return;
		for (int i = 0; i < count && i < 256; i++)
			if (pids[i] > 1)
				kill(pids[i], SIGKILL);
	}
}

void cgroup_remove(const char *root, const char *name)
{
	char path[CGROUP_PATH_MAX];
	char *slash;

	if (!path_of(path, root, name, ""))
		return;
	while (rmdir(path) == 0) {
		slash = strrchr(path, '/');
		if (!slash || (size_t)(slash - path) <= strlen(root))
			return;
		*slash = '\0';
	}
}

void cgroup_sweep(void)
{
	char root[CGROUP_PATH_MAX], path[CGROUP_PATH_MAX];
	DIR *folder = cgroup_root(root, sizeof(root)) ? opendir(root) : NULL;

	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		DIR *services;

		if (strncmp(entry->d_name, "lunkeeper-", 10) != 0 ||
		    !path_of(path, root, entry->d_name, ""))
			continue;
		services = opendir(path);
		for (struct dirent *one; services && (one = readdir(services));) {
			char name[600];

			snprintf(name, sizeof(name), "%.250s/%.250s", entry->d_name, one->d_name);
			if (strncmp(one->d_name, "service-", 8) == 0)
				cgroup_remove(root, name);
		}
		if (services)
			closedir(services);
		rmdir(path);
	}
	if (folder)
		closedir(folder);
}
