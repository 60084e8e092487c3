/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names of a LUN's files, and the record of what has been attached: written before the device is
 * made and completed behind it, so that a crash at any moment leaves enough to clear away.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/gate/nbdkit/attach_private.h"

#define RECORD_MAX 1024
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static bool name_good(const char *name)
{
	if (!*name || name[0] == '.' || strlen(name) >= sizeof(((struct attach_names *)0)->name))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	       strlen(name);
}

int attach_names_fill(struct attach_names *names, const char *run_folder, const char *name)
{
	if (!name_good(name) || strlen(run_folder) + strlen(name) + 16 > ATTACH_PATH_MAX ||
	    strchr(run_folder, '\n'))
		return -EINVAL;
	snprintf(names->name, sizeof(names->name), "%s", name);
	snprintf(names->folder, sizeof(names->folder), "%s/attach/%s", run_folder, name);
	snprintf(names->mount, sizeof(names->mount), "%s/mnt", names->folder);
	snprintf(names->disk, sizeof(names->disk), "%s/mnt/disk", names->folder);
	snprintf(names->pid, sizeof(names->pid), "%s/pid", names->folder);
	snprintf(names->state, sizeof(names->state), "%s/state", names->folder);
	snprintf(names->log, sizeof(names->log), "%s/log", names->folder);
	snprintf(names->link_folder, sizeof(names->link_folder), "%s/dev", run_folder);
	snprintf(names->link, sizeof(names->link), "%s/dev/%s", run_folder, name);
	return 0;
}

static int small_file_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t count;
	int error;

	if (fd < 0)
		return -errno;
	count = read(fd, text, size - 1);
	error = count < 0 ? -errno : 0;
	close(fd);
	text[count < 0 ? 0 : count] = '\0';
	return error;
}

static void boot_id(char *boot, size_t size)
{
	char text[64] = "";
	small_file_read(BOOT_ID, text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	snprintf(boot, size, "%.36s", text);
}

/* proc(5): the name in field 2 may hold blanks and brackets, so count from the last bracket; field
 * 3 is the state, field 22 the start time. */
uint64_t attach_process_started(pid_t pid)
{
	char path[40], text[1024];
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (pid <= 0 || small_file_read(path, text, sizeof(text)) < 0)
		return 0;
	at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	for (int field = 2; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

bool attach_process_alive(const struct attach_record *record)
{
	uint64_t started = attach_process_started(record->pid);
	return started && started == record->pid_started;
}

void attach_record_start(struct attach_record *record, enum attach_kind kind, pid_t pid)
{
	memset(record, 0, sizeof(*record));
	boot_id(record->boot, sizeof(record->boot));
	record->kind = kind;
	record->pid = pid;
	record->pid_started = attach_process_started(pid);
}

int attach_record_write(const struct attach_names *names, const struct attach_record *record)
{
	char path[ATTACH_PATH_MAX + 16], text[RECORD_MAX];
	int length = snprintf(text, sizeof(text),
			      "lunkeeper-attach 1 %s %d %d %" PRIu64 " %" PRIu64 " %" PRIu64
			      " %" PRIu64 " %s\n",
			      record->boot, (int)record->kind, (int)record->pid,
			      record->pid_started, record->file_device, record->file_inode,
			      record->sequence, record->device[0] ? record->device : "-");
	ssize_t count;
	int fd;
	int error;

	snprintf(path, sizeof(path), "%s.new", names->state);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	count = write(fd, text, (size_t)length);
	error = count < 0 ? -errno : count < length ? -ENOSPC : 0;
	close(fd);
	if (error == 0 && rename(path, names->state) < 0)
		error = -errno;
	return error;
}

static bool device_good(const struct attach_record *record)
{
	const char *prefix = record->kind == ATTACH_KIND_LOOP ? "/dev/loop" : "/dev/nbd";
	const char *number = record->device + strlen(prefix);
	if (strncmp(record->device, prefix, strlen(prefix)) != 0)
		return false;
	return *number && strlen(number) <= 7 && strspn(number, "0123456789") == strlen(number);
}

int attach_record_read(const struct attach_names *names, struct attach_record *record)
{
	char text[RECORD_MAX], boot[40];
	int kind, pid;
	int error;

	memset(record, 0, sizeof(*record));
	error = small_file_read(names->state, text, sizeof(text));
	if (error < 0)
		return error;
	if (sscanf(text,
		   "lunkeeper-attach 1 %39s %d %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %63s",
		   record->boot, &kind, &pid, &record->pid_started, &record->file_device,
		   &record->file_inode, &record->sequence, record->device) != 8)
		return -EBADMSG;
	boot_id(boot, sizeof(boot));
	if (strcmp(boot, record->boot) != 0)
		return -ENOENT;
	record->kind = (enum attach_kind)kind;
	record->pid = pid;
	if (strcmp(record->device, "-") == 0)
		record->device[0] = '\0';
	if ((record->kind != ATTACH_KIND_LOOP && record->kind != ATTACH_KIND_NBD) ||
	    (record->device[0] && !device_good(record)))
		return -EBADMSG;
	return 0;
}

int attach_record_show(const char *run_folder, const char *name, struct attach_shown *shown)
{
	struct attach_record record;
	struct attach_names names;
	int error = attach_names_fill(&names, run_folder, name);

	if (!error)
		error = attach_record_read(&names, &record);
	if (error)
		return error;
	*shown = (struct attach_shown){.kind = record.kind,
				       .pid = record.pid,
				       .file_device = record.file_device,
				       .sequence = record.sequence};
	memcpy(shown->device, record.device, sizeof(shown->device));
	return 0;
}
