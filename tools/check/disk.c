/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A configured LUN on this machine, see tools/check/host.h: its kernel devices and all that is
 * built on them, by sysfs; its signature, by one read without the page cache (what is cached of a
 * standby's disk would be served when this node owns it).
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "scsi/sysfs.h"
#include "tools/check/host.h"

#define DEPTH_MAX 4 /* of what is built on a disk */
#define ALIGNMENT 4096u

const char *check_host_path(const struct check_host *host, const char *path, char *buffer)
{
	snprintf(buffer, PATH_MAX, "%s%s", host->root, path);
	return buffer;
}

bool check_host_has(const struct check_host *host, const char *path)
{
	char buffer[PATH_MAX];

	return access(check_host_path(host, path, buffer), F_OK) == 0;
}

/* "/dev/x" where the tree has it. */
static const char *device_path(const struct check_host *host, const char *name, char *buffer)
{
	size_t length = strlen(host->sg->dev);

	if (strncmp(name, host->sg->dev, length) == 0 && name[length] == '/')
		snprintf(buffer, PATH_MAX, "%s", name);
	else
		snprintf(buffer, PATH_MAX, "%s/%s", host->sg->dev,
			 strncmp(name, "/dev/", 5) == 0 ? name + 5 : name);
	return buffer;
}

static dev_t number_of(const struct check_host *host, const char *name)
{
	char path[PATH_MAX];
	struct stat status;

	if (host->sg->stat(device_path(host, name, path), &status) != 0 || !S_ISBLK(status.st_mode))
		return 0;
	return status.st_rdev;
}

static bool has_number(const struct check_disk *disk, dev_t number)
{
	for (size_t i = 0; number && i < disk->number_count; i++)
		if (disk->numbers[i] == number)
			return true;
	return false;
}

/* ---- what is on it ---- */

static void note_holder(struct check_disk *disk, const char *folder, const char *name)
{
	char uuid[160], label[160];
	size_t used = strlen(disk->active);

	sysfs_attribute(folder, "dm/uuid", uuid, sizeof(uuid));
	sysfs_attribute(folder, "dm/name", label, sizeof(label));
	/* A map of paths, its partitions and a gate are not somebody's use of it. */
	if (strncmp(name, "md", 2) != 0 && strncmp(uuid, "LVM-", 4) != 0 &&
	    strncmp(uuid, "CRYPT-", 6) != 0)
		return;
	snprintf(disk->active + used, sizeof(disk->active) - used, "%s%s%s%s%s", used ? ", " : "",
		 name, *label ? " (" : "", label, *label ? ")" : "");
}

static void add_number(const struct check_host *host, struct check_disk *disk, dev_t number,
		       unsigned depth)
{
	char folder[PATH_MAX], holders[PATH_MAX + 16], inner[PATH_MAX + 300];
	const struct dirent *entry;
	DIR *list;

	if (!number || has_number(disk, number) || disk->number_count == CHECK_NUMBERS_MAX ||
	    depth > DEPTH_MAX)
		return;
	disk->numbers[disk->number_count++] = number;
	snprintf(folder, sizeof(folder), "%s/dev/block/%u:%u", host->sg->sysfs, major(number),
		 minor(number));
	list = opendir(folder);
	while (list && (entry = readdir(list)) != NULL) { /* partitions */
		snprintf(inner, sizeof(inner), "%s/%s/partition", folder, entry->d_name);
		if (entry->d_name[0] != '.' && access(inner, F_OK) == 0)
			add_number(host, disk, number_of(host, entry->d_name), depth + 1);
	}
	if (list)
		closedir(list);
	snprintf(holders, sizeof(holders), "%s/holders", folder);
	list = opendir(holders);
	while (list && (entry = readdir(list)) != NULL) {
		dev_t holder = entry->d_name[0] == '.' ? 0 : number_of(host, entry->d_name);

		if (!holder || has_number(disk, holder))
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", holders, entry->d_name);
		note_holder(disk, inner, entry->d_name);
		add_number(host, disk, holder, depth + 1);
	}
	if (list)
		closedir(list);
}

static void add_name(struct check_disk *disk, const char *name)
{
	for (size_t i = 0; i < disk->name_count; i++)
		if (strcmp(disk->names[i], name) == 0)
			return;
	if (disk->name_count < CHECK_NAMES_MAX && strlen(name) < sizeof(disk->names[0]))
		strcpy(disk->names[disk->name_count++], name);
}

/* Links in a folder of /dev that lead to one of these numbers. */
static void add_links(const struct check_host *host, struct check_disk *disk, const char *folder,
		      const dev_t *numbers, size_t count)
{
	char path[PATH_MAX], name[SG_NODE_MAX];
	const struct dirent *entry;
	DIR *list = opendir(device_path(host, folder, path));

	while (list && (entry = readdir(list)) != NULL) {
		dev_t number;

		if (entry->d_name[0] == '.' || snprintf(name, sizeof(name), "/dev/%s/%s", folder,
							entry->d_name) >= (int)sizeof(name))
			continue;
		number = number_of(host, name);
		for (size_t i = 0; number && i < count; i++)
			if (numbers[i] == number)
				add_name(disk, name);
	}
	if (list)
		closedir(list);
}

/* The disk of a generic device: /sys/class/scsi_generic/sg3/device/block/sdb. */
static void path_disk(const struct check_host *host, const struct sg_device *device, char *name,
		      size_t size)
{
	const char *generic = strrchr(device->node, '/');
	char folder[PATH_MAX];
	const struct dirent *entry;
	DIR *list;

	*name = '\0';
	snprintf(folder, sizeof(folder), "%s/class/scsi_generic/%s/device/block", host->sg->sysfs,
		 generic ? generic + 1 : device->node);
	list = opendir(folder);
	while (list && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] != '.')
			snprintf(name, size, "/dev/%.*s", (int)size - 6, entry->d_name);
	if (list)
		closedir(list);
}

static void find_all(const struct check_host *host, struct check_disk *disk)
{
	static const char *const folders[] = {"mapper", "disk/by-id", "disk/by-path"};
	dev_t own[SG_PLACE_DEVICES_MAX + 1];
	char name[SG_NODE_MAX], kernel[SG_NODE_MAX];
	size_t count = 0;

	own[count] = disk->place.block[0] ? number_of(host, disk->place.block) : 0;
	if (own[count])
		count++;
	if (disk->place.block[0])
		add_name(disk, disk->place.block);
	for (size_t i = 0; i < disk->place.count; i++) {
		path_disk(host, &disk->place.devices[i], name, sizeof(name));
		if (!name[0])
			continue;
		add_name(disk, name);
		own[count] = number_of(host, name);
		if (own[count])
			count++;
	}
	if (count && major(own[0]) && disk->place.map) {
		snprintf(kernel, sizeof(kernel), "/dev/dm-%u", minor(own[0]));
		add_name(disk, kernel);
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		add_links(host, disk, folders[i], own, count);
	for (size_t i = 0; i < count; i++)
		add_number(host, disk, own[i], 0);
}

/* ---- its signature ---- */

static size_t read_at(int fd, uint8_t *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = pread(fd, buffer + done, length - done, (off_t)(offset + done));

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

struct read_result {
	int error;
	struct signature signature;
	char type[32];
};

/* In a process of its own, whose memory this is. */
static void read_signature(const char *path, struct read_result *result)
{
	static uint8_t head[SIGNATURE_HEAD_SIZE] __attribute__((aligned(ALIGNMENT)));
	static uint8_t tail[SIGNATURE_TAIL_SIZE] __attribute__((aligned(ALIGNMENT)));
	uint64_t size = 0, tail_at = 0;
	size_t head_length, tail_length = 0;
	struct stat status;
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0 && errno == EINVAL) /* a file system without O_DIRECT */
		fd = open(path, O_RDONLY | O_CLOEXEC);
	result->error = fd < 0 ? -errno : 0;
	if (result->error)
		return;
	if (ioctl(fd, BLKGETSIZE64, &size) != 0 && fstat(fd, &status) == 0)
		size = (uint64_t)status.st_size;
	errno = 0;
	head_length = read_at(fd, head,
			      size < SIGNATURE_HEAD_SIZE ? (size_t)(size & ~(uint64_t)511)
							 : SIGNATURE_HEAD_SIZE,
			      0);
	if (!head_length) {
		result->error = errno ? -errno : -ENODATA;
		return;
	}
	if (size > SIGNATURE_TAIL_SIZE) {
		tail_at = (size - SIGNATURE_TAIL_SIZE) & ~(uint64_t)(ALIGNMENT - 1);
		tail_length = read_at(fd, tail, SIGNATURE_TAIL_SIZE, tail_at);
	}
	signature_find(&result->signature, head, head_length, tail, tail_length,
		       tail_at + tail_length);
	snprintf(result->type, sizeof(result->type), "%s", result->signature.type);
}

/* In a child, because a dead path may keep a read for minutes. */
static int read_bounded(const char *path, uint32_t timeout_ms, struct read_result *result)
{
	struct pollfd ready;
	int pipes[2];
	pid_t child;
	ssize_t got = -1;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		read_signature(path, result);
		(void)!write(pipes[1], result, sizeof(*result));
		_exit(0);
	}
	close(pipes[1]);
	ready = (struct pollfd){.fd = pipes[0], .events = POLLIN};
	if (child > 0 && poll(&ready, 1, (int)timeout_ms) == 1)
		got = read(pipes[0], result, sizeof(*result));
	close(pipes[0]);
	if (child > 0 && got != (ssize_t)sizeof(*result))
		kill(child, SIGKILL);
	else if (child > 0)
		waitpid(child, NULL, 0);
	return got == (ssize_t)sizeof(*result) ? result->error : -ETIMEDOUT;
}

static const char *type_name(const char *type)
{
	static const char *const types[] = {"LVM2_member", "linux_raid_member",
					    "ext2",        "ext3",
					    "ext4",        "xfs",
					    "btrfs",       "swap",
					    "gpt",         "dos"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i], type) == 0)
			return types[i];
	return "unknown";
}

/* What udev saw when the disk appeared; it may be old. */
static void remembered_signature(const struct check_host *host, struct check_disk *disk)
{
	char file[64], path[PATH_MAX], line[CHECK_LINE_MAX];
	struct signature *signature = &disk->signature;
	FILE *stream = NULL;

	signature->type = "";
	for (size_t i = 0; !stream && i < disk->number_count; i++) {
		snprintf(file, sizeof(file), "/run/udev/data/b%u:%u", major(disk->numbers[i]),
			 minor(disk->numbers[i]));
		stream = fopen(check_host_path(host, file, path), "re");
	}
	while (stream && fgets(line, sizeof(line), stream)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "E:ID_FS_TYPE=", 13) == 0)
			signature->type = type_name(line + 13);
		else if (strncmp(line, "E:ID_FS_UUID=", 13) == 0)
			snprintf(signature->uuid, sizeof(signature->uuid), "%.100s", line + 13);
		else if (strncmp(line, "E:ID_FS_LABEL=", 14) == 0)
			snprintf(signature->label, sizeof(signature->label), "%.100s", line + 14);
	}
	if (stream)
		fclose(stream);
	signature->kind = !*signature->type                                   ? SIGNATURE_NONE
			  : strcmp(signature->type, "LVM2_member") == 0       ? SIGNATURE_LVM
			  : strcmp(signature->type, "linux_raid_member") == 0 ? SIGNATURE_MD
			  : strcmp(signature->type, "swap") == 0              ? SIGNATURE_SWAP
								 : SIGNATURE_FILE_SYSTEM;
}

bool check_disk_find(const struct check_host *host, const struct sg_index *index,
		     struct check_disk *disk)
{
	const struct config_lun *lun = disk->lun;
	struct sg_wanted wanted = {lun->iscsi ? NULL : lun->devices,
				   lun->iscsi ? 0 : lun->device_count, lun->wwid};
	struct read_result result = {0};
	char path[PATH_MAX];

	if ((!wanted.count && !wanted.wwid) ||
	    sg_place_find(host->sg, index, &wanted, &disk->place) != 0)
		return false;
	find_all(host, disk);
	disk->read_error = disk->place.block[0]
				   ? read_bounded(device_path(host, disk->place.block, path),
						  host->timeout_ms, &result)
				   : -ENODEV;
	if (disk->read_error) {
		remembered_signature(host, disk);
	} else {
		disk->signature = result.signature;
		disk->signature.type = *result.type ? type_name(result.type) : "";
	}
	return true;
}

/* ---- names ---- */

static bool is_volume_of(const char *name, const char *group)
{
	char mapped[2 * SIGNATURE_TEXT_MAX + 2];
	size_t length = strlen(group), used = 0;

	if (!length)
		return false;
	if (strncmp(name, "/dev/", 5) == 0 && strncmp(name + 5, group, length) == 0 &&
	    name[5 + length] == '/')
		return true;
	for (size_t i = 0; i < length; i++) { /* dm names double a '-' */
		mapped[used++] = group[i];
		if (group[i] == '-')
			mapped[used++] = '-';
	}
	mapped[used++] = '-';
	return strncmp(name, "/dev/mapper/", 12) == 0 && strncmp(name + 12, mapped, used) == 0 &&
	       name[12 + used] != '-';
}

bool check_disk_is(const struct check_host *host, const struct check_disk *disk, const char *source)
{
	static const struct {
		const char *tag, *folder;
	} tags[] = {{"UUID=", "disk/by-uuid"},
		    {"LABEL=", "disk/by-label"},
		    {"PARTUUID=", "disk/by-partuuid"},
		    {"PARTLABEL=", "disk/by-partlabel"},
		    {"ID=", "disk/by-id"}};
	char name[PATH_MAX], value[256];

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		size_t length = strlen(tags[i].tag);

		if (strncmp(source, tags[i].tag, length) != 0)
			continue;
		snprintf(value, sizeof(value), "%s", source + length + (source[length] == '"'));
		value[strcspn(value, "\"")] = '\0';
		if ((i == 0 && *value && strcasecmp(value, disk->signature.uuid) == 0) ||
		    (i == 1 && *value && strcmp(value, disk->signature.label) == 0))
			return true;
		snprintf(name, sizeof(name), "/dev/%s/%s", tags[i].folder, value);
		return has_number(disk, number_of(host, name));
	}
	if (strncmp(source, "/dev/", 5) != 0)
		return false;
	return has_number(disk, number_of(host, source)) ||
	       is_volume_of(source, disk->signature.volume_group);
}

void check_host_all(const struct check_host *host, const struct config *config, const bool *owned)
{
	struct check_disk *disks = calloc(config->lun_count + 1, sizeof(*disks));
	struct sg_index *index = sg_index_read(host->sg);
	size_t count = 0;

	for (size_t i = 0; disks && i < config->lun_count; i++) {
		struct check_disk *disk = &disks[count];

		memset(disk, 0, sizeof(*disk));
		disk->lun = &config->luns[i];
		disk->owned_here = owned[i];
		if (!check_disk_find(host, index, disk))
			continue;
		check_activation(host, disk);
		check_multipath(host, disk);
		count++;
	}
	if (disks)
		check_sessions(host, disks, count);
	check_watchdog(host, config);
	check_clock(host);
	sg_index_free(index);
	free(disks);
}
