/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a gate on a kernel device stands on, as sysfs shows it: the device's numbers and size, and
 * the disks that it leads to.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cluster/gate/dm/private.h"
#include "scsi/identity.h"

#define DEPTH_MAX 4
#define PAGE_MAX 4096

/* Returns the number of bytes, or -errno. */
static ssize_t read_file(const char *path, void *buffer, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (file < 0)
		return -errno;
	length = read(file, buffer, size);
	if (length < 0)
		length = -errno;
	close(file);
	return length;
}

/* Calls leaf() with the sysfs folder of every device below `folder` that stands on no other. */
static void walk_leaves(const char *folder, unsigned depth,
			void (*leaf)(const char *folder, void *user), void *user)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool any = false;
	DIR *slaves;

	snprintf(path, sizeof(path), "%s/slaves", folder);
	slaves = depth < DEPTH_MAX ? opendir(path) : NULL;
	while (slaves && (entry = readdir(slaves))) {
		if (entry->d_name[0] == '.')
			continue;
		any = true;
		snprintf(path, sizeof(path), "%.2000s/slaves/%s", folder, entry->d_name);
		walk_leaves(path, depth + 1, leaf, user);
	}
	if (slaves)
		closedir(slaves);
	if (!any)
		leaf(folder, user);
}

static void block_folder(const char *sysfs, uint32_t major, uint32_t minor, char *path, size_t size)
{
	snprintf(path, size, "%s/dev/block/%u:%u", sysfs, major, minor);
}

uint64_t gate_dm_below_sectors(const char *sysfs, uint32_t major, uint32_t minor)
{
	char folder[PATH_MAX], path[PATH_MAX + 8], text[32];
	ssize_t length;

	block_folder(sysfs, major, minor, folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/size", folder);
	length = read_file(path, text, sizeof(text) - 1);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return strtoull(text, NULL, 10);
}

struct identity {
	const char *wwid;
	char wrong[SCSI_WWID_MAX], disk[64];
};

static void check_leaf(const char *folder, void *user)
{
	struct identity *identity = user;
	uint8_t page[PAGE_MAX];
	char path[PATH_MAX], wwid[SCSI_WWID_MAX];
	const char *name = strrchr(folder, '/');
	ssize_t length;

	snprintf(path, sizeof(path), "%.4000s/device/vpd_pg83", folder);
	length = read_file(path, page, sizeof(page));
	if (length <= 0 || scsi_wwid_present(identity->wwid, page, (size_t)length))
		return;
	if (scsi_wwid_decode(wwid, sizeof(wwid), page, (size_t)length))
		snprintf(wwid, sizeof(wwid), "nothing");
	snprintf(identity->wrong, sizeof(identity->wrong), "%s", wwid);
	snprintf(identity->disk, sizeof(identity->disk), "%.60s", name ? name + 1 : folder);
}

int gate_dm_below_check(const char *sysfs, uint32_t major, uint32_t minor, const char *wwid,
			const char *device, char *message, size_t message_size)
{
	struct identity identity = {.wwid = wwid};
	char folder[PATH_MAX];

	block_folder(sysfs, major, minor, folder, sizeof(folder));
	walk_leaves(folder, 0, check_leaf, &identity);
	if (!*identity.wrong)
		return 0;
	snprintf(message, message_size,
		 "%.80s leads to another logical unit (%.30s says %.70s): nothing is sent to it",
		 device, identity.disk, identity.wrong);
	return -ESTALE;
}

int gate_dm_below_find(const char *sysfs, const char *device, const char *wwid,
		       struct gate_dm_below *below, char *message, size_t message_size)
{
	struct stat status;

	if (stat(device, &status) < 0) {
		int error = -errno;

		snprintf(message, message_size, "%.120s: %s", device, strerror(-error));
		return error;
	}
	if (!S_ISBLK(status.st_mode)) {
		snprintf(message, message_size, "%.120s is no block device", device);
		return -ENOTBLK;
	}
	below->major = major(status.st_rdev);
	below->minor = minor(status.st_rdev);
	below->sectors = gate_dm_below_sectors(sysfs, below->major, below->minor);
	if (below->sectors == 0) {
		snprintf(message, message_size, "%.120s has no size", device);
		return -ENXIO;
	}
	return wwid ? gate_dm_below_check(sysfs, below->major, below->minor, wwid, device, message,
					  message_size)
		    : 0;
}

struct zeroing {
	bool forbid;
	unsigned found, refused;
};

static void forbid_leaf(const char *folder, void *user)
{
	struct zeroing *zeroing = user;
	char path[PATH_MAX], value[16];
	struct dirent *entry;
	DIR *disks;

	snprintf(path, sizeof(path), "%.4000s/device/scsi_disk", folder);
	disks = opendir(path);
	while (disks && (entry = readdir(disks))) {
		int file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%.3000s/device/scsi_disk/%s/max_write_same_blocks",
			 folder, entry->d_name);
		if (read_file(path, value, sizeof(value)) >= 2 && value[0] == '0' &&
		    value[1] == '\n')
			continue;
		zeroing->found++;
		if (!zeroing->forbid)
			continue;
		file = open(path, O_WRONLY | O_CLOEXEC);
		if (file < 0 || write(file, "0", 1) != 1)
			zeroing->refused++;
		if (file >= 0)
			close(file);
	}
	if (disks)
		closedir(disks);
}

bool gate_dm_below_zeroes(const char *sysfs, uint32_t major, uint32_t minor)
{
	struct zeroing zeroing = {0};
	char folder[PATH_MAX];

	block_folder(sysfs, major, minor, folder, sizeof(folder));
	walk_leaves(folder, 0, forbid_leaf, &zeroing);
	return zeroing.found > 0;
}

unsigned gate_dm_below_forbid_zeroing(const char *sysfs, uint32_t major, uint32_t minor)
{
	struct zeroing zeroing = {.forbid = true};
	char folder[PATH_MAX];

	block_folder(sysfs, major, minor, folder, sizeof(folder));
	walk_leaves(folder, 0, forbid_leaf, &zeroing);
	return zeroing.refused;
}
