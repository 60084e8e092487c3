/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads class/scsi_disk, the holders of each disk, and the iSCSI session that it comes from:
 *
 *     class/scsi_disk/3:0:0:1/device/{vendor,model,state,wwid,block/sdb/{size,holders/dm-0/dm/{name,uuid}},
 *                                     scsi_generic/sg2}
 */
#include "tools/lun/kernel.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/sessions.h"

#define LUN_KERNEL_DISKS_MAX 65536
#define LUN_KERNEL_PATH 1024

static void kernel_read_word(const char *folder, const char *name, char *word, size_t size)
{
	char path[LUN_KERNEL_PATH];
	FILE *file;

	word[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(word, (int)size, file))
		word[0] = '\0';
	fclose(file);
	word[strcspn(word, "\r\n")] = '\0';
	for (size_t length = strlen(word); length > 0 && word[length - 1] == ' '; length--)
		word[length - 1] = '\0';
	for (char *c = word; *c; c++) {
		if (!isprint((unsigned char)*c))
			*c = '?';
	}
}

/* The first entry of a folder that begins so. */
static bool kernel_first_entry(const char *folder, const char *name, const char *prefix,
			       char *entry, size_t size)
{
	char path[LUN_KERNEL_PATH];
	struct dirent *found;
	DIR *dir;

	entry[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((found = readdir(dir)) != NULL) {
		if (found->d_name[0] != '.' &&
		    strncmp(found->d_name, prefix, strlen(prefix)) == 0) {
			snprintf(entry, size, "%.*s", (int)size - 1, found->d_name);
			break;
		}
	}
	closedir(dir);
	return entry[0] != '\0';
}

/* The name of the multipath map that has this disk; false: none has. */
static bool kernel_map_name(const char *device, const char *block, char *name, size_t size)
{
	char holders[LUN_KERNEL_PATH], map[LUN_KERNEL_WORD], folder[LUN_KERNEL_PATH];
	char uuid[2 * LUN_KERNEL_WORD];

	snprintf(holders, sizeof(holders), "block/%s/holders", block);
	if (!kernel_first_entry(device, holders, "dm-", map, sizeof(map)))
		return false;
	snprintf(folder, sizeof(folder), "%.700s/%.200s/%s/dm", device, holders, map);
	kernel_read_word(folder, "uuid", uuid, sizeof(uuid));
	if (strncmp(uuid, "mpath-", 6) != 0)
		return false;
	kernel_read_word(folder, "name", name, size);
	return name[0] != '\0';
}

static struct lun_kernel_disk *kernel_find_disk(struct lun_kernel *kernel, const char *name)
{
	struct lun_kernel_disk *disks;

	for (size_t i = 0; i < kernel->count; i++) {
		if (strcmp(kernel->disks[i].name, name) == 0)
			return &kernel->disks[i];
	}
	disks = reallocarray(kernel->disks, kernel->count + 1, sizeof(*disks));
	if (!disks)
		return NULL;
	kernel->disks = disks;
	memset(&disks[kernel->count], 0, sizeof(*disks));
	snprintf(disks[kernel->count].name, sizeof(disks->name), "%s", name);
	return &disks[kernel->count++];
}

static void kernel_read_where(struct lun_kernel_path *path, const struct kernel_sessions *sessions)
{
	const struct kernel_disk *disk;
	const struct kernel_session *session = kernel_sessions_find(sessions, path->block, &disk);

	if (session)
		snprintf(path->where, sizeof(path->where),
			 "%.60s:%.6s %s LUN %" PRIu64 ", session %u", session->address,
			 session->port, session->target,
			 disk->lun >> 14 == 1 ? disk->lun & 0x3fff : disk->lun, session->number);
}

static int kernel_add_disk(struct lun_kernel *kernel, const char *device, const char *address,
			   const struct kernel_sessions *sessions)
{
	struct lun_kernel_path path = {.block = ""}, *paths;
	struct lun_kernel_disk *disk;
	char name[LUN_KERNEL_WORD + 16], map[LUN_KERNEL_WORD], vendor[LUN_KERNEL_WORD];
	char model[LUN_KERNEL_WORD], size[LUN_KERNEL_WORD], folder[LUN_KERNEL_PATH];

	if (!kernel_first_entry(device, "block", "sd", path.block, sizeof(path.block)))
		return 0;
	if (kernel_map_name(device, path.block, map, sizeof(map)))
		snprintf(name, sizeof(name), "/dev/mapper/%s", map);
	else
		snprintf(name, sizeof(name), "/dev/%s", path.block);
	disk = kernel_find_disk(kernel, name);
	if (!disk)
		return -ENOMEM;
	kernel_first_entry(device, "scsi_generic", "sg", path.generic, sizeof(path.generic));
	kernel_read_word(device, "state", path.state, sizeof(path.state));
	snprintf(path.address, sizeof(path.address), "%.60s", address);
	kernel_read_where(&path, sessions);
	kernel_read_word(device, "vendor", vendor, sizeof(vendor));
	kernel_read_word(device, "model", model, sizeof(model));
	snprintf(disk->model, sizeof(disk->model), "%s %s", vendor, model);
	kernel_read_word(device, "wwid", disk->wwid, sizeof(disk->wwid));
	snprintf(folder, sizeof(folder), "%.900s/block/%s", device, path.block);
	kernel_read_word(folder, "size", size, sizeof(size));
	disk->size = strtoull(size, NULL, 10) * 512;
	paths = reallocarray(disk->paths, disk->path_count + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	disk->paths = paths;
	paths[disk->path_count++] = path;
	return 0;
}

static int kernel_read_disks(struct lun_kernel *kernel, const char *sysfs,
			     const struct kernel_sessions *sessions)
{
	char folder[LUN_KERNEL_PATH / 2], device[LUN_KERNEL_PATH];
	struct dirent **entries;
	int count, error = 0;

	snprintf(folder, sizeof(folder), "%s/class/scsi_disk", sysfs);
	count = scandir(folder, &entries, NULL, versionsort);
	if (count < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.' && !error && i < LUN_KERNEL_DISKS_MAX) {
			snprintf(device, sizeof(device), "%s/%s/device", folder,
				 entries[i]->d_name);
			error = kernel_add_disk(kernel, device, entries[i]->d_name, sessions);
		}
		free(entries[i]);
	}
	free(entries);
	return error;
}

int lun_kernel_read(struct lun_kernel *kernel, const char *sysfs)
{
	struct kernel_sessions sessions;
	int error;

	memset(kernel, 0, sizeof(*kernel));
	error = kernel_sessions_read(&sessions, sysfs);
	if (error)
		return error;
	error = kernel_read_disks(kernel, sysfs, &sessions);
	kernel_sessions_free(&sessions);
	if (error)
		lun_kernel_free(kernel);
	return error;
}

void lun_kernel_free(struct lun_kernel *kernel)
{
	for (size_t i = 0; i < kernel->count; i++)
		free(kernel->disks[i].paths);
	free(kernel->disks);
	memset(kernel, 0, sizeof(*kernel));
}
