/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads links and attributes of sysfs.
 */
#include "scsi/sysfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool sysfs_join(char path[PATH_MAX], const char *folder, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

void sysfs_link_name(const char *folder, const char *name, char *target, size_t size)
{
	char path[PATH_MAX], link[PATH_MAX];
	const char *last;
	ssize_t length =
		sysfs_join(path, folder, name) ? readlink(path, link, sizeof(link) - 1) : -1;

	target[0] = '\0';
	if (length <= 0)
		return;
	link[length] = '\0';
	last = strrchr(link, '/');
	last = last ? last + 1 : link;
	if (strlen(last) < size)
		memcpy(target, last, strlen(last) + 1);
}

size_t sysfs_bytes(const char *folder, const char *name, void *data, size_t size)
{
	char path[PATH_MAX];
	ssize_t length = -1;
	int fd;

	if (!sysfs_join(path, folder, name))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, data, size);
	close(fd);
	return length > 0 ? (size_t)length : 0;
}

void sysfs_attribute(const char *folder, const char *name, char *value, size_t size)
{
	size_t length = sysfs_bytes(folder, name, value, size - 1);

	value[length] = '\0';
	value[strcspn(value, "\n")] = '\0';
}

bool sysfs_exists(const char *folder, const char *name)
{
	char path[PATH_MAX];

	return sysfs_join(path, folder, name) && access(path, F_OK) == 0;
}
