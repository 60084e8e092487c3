/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walks sysfs from a device number to the SCSI generic devices: the disk's own, or one for each
 * member of a dm-multipath map.
 */
#include "scsi/sg_resolve.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "scsi/sysfs.h"

#define SG_CHARACTER_MAJOR 21
#define SG_FOLDER_MAX 512

const struct sg_roots sg_roots_system = {
	.sysfs = "/sys", .dev = "/dev", .stat = stat, .udev = "/run/udev/data"};

/* What one resolution carries around. */
struct sg_search {
	const struct sg_roots *roots;
	const char *specification;
	char *message;
	size_t message_size;
};

static int sg_refuse(const struct sg_search *search, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int sg_refuse(const struct sg_search *search, int error, const char *format, ...)
{
	int used = snprintf(search->message, search->message_size, "%s: ", search->specification);

	if (used >= 0 && (size_t)used < search->message_size) {
		va_list arguments;

		va_start(arguments, format);
		vsnprintf(search->message + used, search->message_size - (size_t)used, format,
			  arguments);
		va_end(arguments);
	}
	return error;
}

/* The peripheral device types with the block commands (SPC-5 table 142): direct access, simplified,
 * zoned. */
static int sg_check_disk(const struct sg_search *search, const char *folder)
{
	char type[16];

	sysfs_attribute(folder, "device/type", type, sizeof(type));
	if (type[0] == '\0' || strcmp(type, "0") == 0 || strcmp(type, "14") == 0 ||
	    strcmp(type, "20") == 0)
		return 0;
	return sg_refuse(search, -ENODEV, "not a disk, but a SCSI device of type %s; name a disk",
			 type);
}

static int sg_select(const struct dirent *entry)
{
	return strncmp(entry->d_name, "sg", 2) == 0;
}

static int sg_set_node(const struct sg_search *search, struct sg_device *device, const char *name)
{
	if (snprintf(device->node, sizeof(device->node), "%s/%s", search->roots->dev, name) >=
	    (int)sizeof(device->node))
		return sg_refuse(search, -ENAMETOOLONG,
				 "the name of its generic device is too long");
	return 0;
}

/* folder: a disk's in sysfs, with the link `device`. */
static int sg_resolve_disk(const struct sg_search *search, const char *folder,
			   struct sg_device *device)
{
	char path[PATH_MAX], subsystem[32];
	struct dirent **entries;
	int found, rc;

	sysfs_link_name(folder, "device/subsystem", subsystem, sizeof(subsystem));
	if (strcmp(subsystem, "scsi") != 0)
		return sg_refuse(search, -ENODEV,
				 "not a SCSI disk (%s%s); persistent reservations need one, see "
				 "`lsblk -S`",
				 subsystem[0] ? "it belongs to " : "it has no device below it",
				 subsystem);
	rc = sg_check_disk(search, folder);
	if (rc < 0)
		return rc;
	sysfs_link_name(folder, "device", device->address, sizeof(device->address));
	found = sysfs_join(path, folder, "device/scsi_generic")
			? scandir(path, &entries, sg_select, alphasort)
			: 0;
	if (found <= 0)
		return sg_refuse(
			search, -ENODEV,
			"the SCSI disk has no generic device: load the sg driver (modprobe sg)");
	rc = sg_set_node(search, device, entries[0]->d_name);
	while (found > 0)
		free(entries[--found]);
	free(entries);
	return rc;
}

static int sg_select_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int sg_resolve_members(const struct sg_search *search, const char *folder,
			      struct sg_device *devices, size_t capacity, size_t *count)
{
	char path[PATH_MAX], member[PATH_MAX];
	struct dirent **entries = NULL;
	int found, rc = 0;

	found = sysfs_join(path, folder, "slaves")
			? scandir(path, &entries, sg_select_visible, versionsort)
			: 0;
	if (found <= 0)
		rc = sg_refuse(search, -ENODEV,
			       "the multipath map has no path; see `multipath -ll`");
	else if ((size_t)found > capacity)
		rc = sg_refuse(search, -E2BIG,
			       "the multipath map has %d paths, at most %zu are used", found,
			       capacity);
	for (int i = 0; i < found && rc != -E2BIG; i++) {
		rc = sysfs_join(member, path, entries[i]->d_name)
			     ? sg_resolve_disk(search, member, &devices[*count])
			     : sg_refuse(search, -ENAMETOOLONG, "the name of a path is too long");
		*count += rc == 0;
	}
	if (*count > 0) /* one that is just coming or going does not matter */
		rc = 0;
	while (found > 0)
		free(entries[--found]);
	free(entries);
	return rc;
}

static int sg_refuse_partition(const struct sg_search *search, const char *link)
{
	char target[PATH_MAX];
	ssize_t length = readlink(link, target, sizeof(target) - 1);
	char *slash, *disk;

	target[length > 0 ? length : 0] = '\0';
	slash = strrchr(target, '/');
	if (slash)
		*slash = '\0';
	disk = strrchr(target, '/');
	return sg_refuse(search, -ENODEV,
			 "a partition, but reservations are of the whole disk: name %s/%s",
			 search->roots->dev, disk ? disk + 1 : "sdX");
}

static int sg_resolve_block(const struct sg_search *search, dev_t number, struct sg_device *devices,
			    size_t capacity, size_t *count)
{
	char folder[SG_FOLDER_MAX], uuid[160];
	const char *map;
	int rc;

	snprintf(folder, sizeof(folder), "%s/dev/block/%u:%u", search->roots->sysfs, major(number),
		 minor(number));
	if (access(folder, F_OK) < 0)
		return sg_refuse(search, -ENODEV, "the kernel knows no such block device (%u:%u)",
				 major(number), minor(number));
	if (sysfs_exists(folder, "partition"))
		return sg_refuse_partition(search, folder);
	sysfs_attribute(folder, "dm/uuid", uuid, sizeof(uuid));
	if (strncmp(uuid, "mpath-", 6) == 0)
		return sg_resolve_members(search, folder, devices, capacity, count);
	map = strstr(uuid, "-mpath-");
	if (strncmp(uuid, "part", 4) == 0 && map)
		return sg_refuse(search, -ENODEV,
				 "a partition, but reservations are of the whole disk: name the "
				 "multipath map %s",
				 map + strlen("-mpath-"));
	if (sysfs_exists(folder, "dm"))
		return sg_refuse(
			search, -ENODEV,
			"a device-mapper device, but no multipath map: name the disk or the map "
			"below it, see `lsblk -s %s`",
			search->specification);
	rc = sg_resolve_disk(search, folder, &devices[0]);
	*count = rc == 0;
	return rc;
}

static int sg_resolve_character(const struct sg_search *search, dev_t number,
				struct sg_device *device)
{
	char folder[SG_FOLDER_MAX], name[32], numbers[32];
	int rc;

	if (major(number) != SG_CHARACTER_MAJOR)
		return sg_refuse(
			search, -ENODEV,
			"a character device, but no SCSI generic one; name a disk, see `lsblk -S`");
	snprintf(folder, sizeof(folder), "%s/dev/char", search->roots->sysfs);
	snprintf(numbers, sizeof(numbers), "%u:%u", major(number), minor(number));
	sysfs_link_name(folder, numbers, name, sizeof(name));
	if (name[0] == '\0')
		return sg_refuse(search, -ENODEV,
				 "the kernel knows no such SCSI generic device: load the sg driver "
				 "(modprobe sg), see `lsscsi -g`");
	snprintf(folder, sizeof(folder), "%s/dev/char/%s", search->roots->sysfs, numbers);
	sysfs_link_name(folder, "device", device->address, sizeof(device->address));
	rc = sg_check_disk(search, folder);
	return rc < 0 ? rc : sg_set_node(search, device, name);
}

int sg_resolve(const struct sg_roots *roots, const char *specification, struct sg_device *devices,
	       size_t capacity, size_t *count, char *message, size_t message_size)
{
	struct sg_search search = {roots, specification, message, message_size};
	struct stat node;

	*count = 0;
	if (roots->stat(specification, &node) < 0) {
		int error = -errno;

		if (error == -ENOENT || error == -ENOTDIR)
			return sg_refuse(
				&search, error,
				"no such device; see `lsblk -S` and /dev/disk/by-id, or rescan the "
				"bus");
		if (error == -EACCES || error == -EPERM)
			return sg_refuse(&search, error, "no permission; run as root");
		return sg_refuse(&search, error, "%s", strerrordesc_np(-error));
	}
	if (S_ISBLK(node.st_mode))
		return sg_resolve_block(&search, node.st_rdev, devices, capacity, count);
	if (S_ISCHR(node.st_mode)) {
		int rc = sg_resolve_character(&search, node.st_rdev, &devices[0]);

		*count = rc == 0;
		return rc;
	}
	return sg_refuse(&search, -ENODEV, "%s, not a SCSI disk; name a disk, see `lsblk -S`",
			 S_ISREG(node.st_mode)   ? "a regular file"
			 : S_ISDIR(node.st_mode) ? "a folder"
						 : "no device");
}

int sg_resolve_check(const struct sg_roots *roots, const struct sg_device *device)
{
	char folder[SG_FOLDER_MAX], address[SG_ADDRESS_MAX], state[32];
	const char *name = strrchr(device->node, '/');

	snprintf(folder, sizeof(folder), "%s/class/scsi_generic/%s", roots->sysfs,
		 name ? name + 1 : device->node);
	sysfs_link_name(folder, "device", address, sizeof(address));
	if (address[0] == '\0')
		return -ENODEV;
	if (strcmp(address, device->address) != 0)
		return -ESTALE;
	sysfs_attribute(folder, "device/state", state, sizeof(state));
	return strcmp(state, "offline") == 0 || strcmp(state, "transport-offline") == 0 ? -EHOSTDOWN
											: 0;
}
