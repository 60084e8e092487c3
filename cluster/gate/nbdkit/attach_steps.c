/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making a block device out of what the helper process offers, and taking it apart again: the calls
 * that may block. They never block for longer than that process lives; who wants an end kills it,
 * and the kernel fails what waits for it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/loop.h>
#include <linux/nbd.h>

#include "cluster/gate/nbdkit/attach_private.h"

#define LOOP_TRIES 16 /* others may take the free device that we were told of */
#define KILL_WAIT_MS 1000
/* For a helper to end by itself, as it does when its mount is gone. */
#define LEFTOVER_WAIT_MS 300
#define DELETED " (deleted)" /* what the kernel appends to a path that leads nowhere */

static int failed(char *message, size_t size, const char *what, const char *name, int error)
{
	snprintf(message, size, "%s %.300s: %s", what, name, strerror(error));
	return -error;
}

static int folder_make(const char *path, mode_t mode, char *message, size_t size)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return failed(message, size, "cannot make folder", path, errno);
	return 0;
}

int attach_folders_make(const struct attach_names *names, char *message, size_t size)
{
	char parent[ATTACH_PATH_MAX];
	int error;

	snprintf(parent, sizeof(parent), "%s", names->folder);
	*strrchr(parent, '/') = '\0';
	error = folder_make(parent, 0700, message, size);
	if (error == 0)
		error = folder_make(names->folder, 0700, message, size);
	if (error == 0)
		error = folder_make(names->mount, 0700, message, size);
	if (error == 0)
		error = folder_make(names->link_folder, 0755, message, size);
	unlink(names->pid);
	return error;
}

static bool program_found(const char *name)
{
	char path[ATTACH_PATH_MAX], places[2048];
	const char *list = getenv("PATH");
	char *rest;

	snprintf(places, sizeof(places), "%s", list ? list : "/usr/sbin:/usr/bin:/sbin:/bin");
	rest = places;
	for (char *place = strsep(&rest, ":"); place; place = strsep(&rest, ":")) {
		snprintf(path, sizeof(path), "%.300s/%s", place, name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

bool attach_kind_possible(enum attach_kind kind)
{
	switch (kind) {
	case ATTACH_KIND_LOOP:
		return access("/dev/loop-control", F_OK) == 0 && access("/dev/fuse", F_OK) == 0 &&
		       program_found("nbdfuse");
	case ATTACH_KIND_NBD:
		return access("/dev/nbd0", F_OK) == 0 && program_found("nbd-client");
	case ATTACH_KIND_BEST:
		return attach_kind_possible(ATTACH_KIND_NBD) ||
		       attach_kind_possible(ATTACH_KIND_LOOP);
	}
	return false;
}

/* --- loop --- */

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* The backing file's path as sysfs tells it: from another mount namespace only its end. */
static bool loop_file_is(const char *device, const char *end)
{
	char path[64], text[ATTACH_PATH_MAX + 20] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%.20s/loop/backing_file",
		 device + strlen("/dev/"));
	file = fopen(path, "re");
	if (file && !fgets(text, sizeof(text), file))
		text[0] = '\0';
	if (file)
		fclose(file);
	text[strcspn(text, "\n")] = '\0';
	if (ends_with(text, DELETED)) /* its file system is dead */
		text[strlen(text) - strlen(DELETED)] = '\0';
	return ends_with(text, end);
}

/* Each use of a loop device has its own number. */
static uint64_t loop_sequence(const char *device)
{
	char path[64];
	unsigned long long sequence = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%.20s/diskseq", device + strlen("/dev/"));
	file = fopen(path, "re");
	if (file && fscanf(file, "%llu", &sequence) != 1)
		sequence = 0;
	if (file)
		fclose(file);
	return sequence;
}

/* Asking a device for its status asks its file, which may be another node's, with a server that is
 * stopped: so only where there is no number. On a dead file the kernel cannot tell device and inode
 * (ENOTCONN, not ENXIO): the recorded device with a dead file of that name is ours, or another
 * node's that is as dead. */
static bool loop_open_is(int fd, const struct attach_record *record)
{
	struct loop_info64 info;
	if (!loop_file_is(record->device, "/disk"))
		return false;
	if (record->sequence)
		return loop_sequence(record->device) == record->sequence;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		return info.lo_device == record->file_device && info.lo_inode == record->file_inode;
	return errno != ENXIO;
}

static bool loop_is(const char *device, const struct attach_record *record)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is = fd >= 0 && loop_open_is(fd, record);
	if (fd >= 0)
		close(fd);
	return is;
}

/* A device that was made, but the crash came before it was written down. */
static void loop_search(const struct attach_names *names, struct attach_record *record)
{
	DIR *folder = opendir("/sys/block");
	for (struct dirent *entry; folder && !record->device[0] && (entry = readdir(folder));) {
		char device[ATTACH_DEVICE_MAX];
		struct attach_record candidate = *record;
		if (strncmp(entry->d_name, "loop", 4) != 0 || strlen(entry->d_name) > 16)
			continue;
		snprintf(device, sizeof(device), "/dev/%.16s", entry->d_name);
		memcpy(candidate.device, device, sizeof(device));
		if (loop_file_is(device, names->disk) && loop_is(device, &candidate)) {
			candidate.sequence = loop_sequence(device);
			*record = candidate;
		}
	}
	if (folder)
		closedir(folder);
}

static int loop_configure(int control, int file, uint32_t block_size,
			  const struct attach_names *names, char *device, size_t size)
{
	struct loop_config config = {.fd = (uint32_t)file, .block_size = block_size};
	int error = -EBUSY;

	config.info.lo_flags = LO_FLAGS_DIRECT_IO; /* else every page would be cached twice */
	snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "lunkeeper:%.40s", names->name);
	for (int i = 0; i < LOOP_TRIES && error == -EBUSY; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		int loop;

		if (number < 0)
			return -errno;
		snprintf(device, size, "/dev/loop%d", number);
		loop = open(device, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return -errno;
		error = ioctl(loop, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
		close(loop);
	}
	return error;
}

int attach_loop_make(const struct attach_names *names, uint32_t block_size,
		     struct attach_record *record, char *message, size_t size)
{
	struct stat status;
	int file = open(names->disk, O_RDWR | O_CLOEXEC), error = 0;
	int control;

	if (file < 0)
		return failed(message, size, "cannot open", names->disk, errno);
	if (fstat(file, &status) < 0)
		error = failed(message, size, "cannot look at", names->disk, errno);
	record->file_device = status.st_dev;
	record->file_inode = status.st_ino;
	if (error == 0)
		error = attach_record_write(names, record);
	control = error < 0 ? -1 : open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (error == 0 && control < 0)
		error = failed(message, size, "cannot open", "/dev/loop-control", errno);
	if (error == 0) {
		char device[ATTACH_DEVICE_MAX];
		error = loop_configure(control, file, block_size, names, device, sizeof(device));
		if (error < 0)
			failed(message, size, "cannot set up a loop device on", names->disk,
			       -error);
		else
			memcpy(record->device, device, sizeof(device));
	}
	if (error == 0) {
		record->sequence = loop_sequence(record->device);
		error = attach_record_write(names, record);
	}
	if (error < 0 && !message[0])
		failed(message, size, "cannot write", names->state, -error);
	if (control >= 0)
		close(control);
	close(file);
	return error;
}

/* LOOP_CLR_FD takes it apart at once, or, if somebody has it open, at the last close. A dead file
 * system is not asked whose device it is: it could not tell, and the device would stay for ever. */
static bool loop_clear(const struct attach_record *record)
{
	int fd = open(record->device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool ours;

	if (fd < 0)
		return false;
	ours = loop_open_is(fd, record);
	if (ours)
		ioctl(fd, LOOP_CLR_FD, 0);
	close(fd);
	return ours && loop_is(record->device, record);
}

/* --- nbd --- */

int attach_nbd_free(char *device, size_t size)
{
	for (int number = 0; number < 256; number++) {
		char path[64];
		snprintf(path, sizeof(path), "/sys/block/nbd%d", number);
		if (access(path, F_OK) < 0)
			return -ENODEV;
		snprintf(path, sizeof(path), "/sys/block/nbd%d/pid", number);
		if (access(path, F_OK) < 0) {
			snprintf(device, size, "/dev/nbd%d", number);
			return 0;
		}
	}
	return -ENODEV;
}

/* True when the kernel's client of this device is served by the recorded process. */
static bool nbd_is(const struct attach_record *record)
{
	char path[64];
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/sys/block/%.20s/pid", record->device + strlen("/dev/"));
	file = fopen(path, "re");
	pid = 0;
	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	return pid == (int)record->pid;
}

int attach_nbd_make(const struct attach_names *names, struct attach_record *record, char *message,
		    size_t size)
{
	int error = nbd_is(record) ? attach_record_write(names, record) : -EAGAIN;
	if (error < 0 && error != -EAGAIN)
		failed(message, size, "cannot write", names->state, -error);
	return error;
}

static bool nbd_clear(const struct attach_record *record)
{
	int fd = nbd_is(record) ? open(record->device, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd < 0)
		return false;
	ioctl(fd, NBD_DISCONNECT);
	ioctl(fd, NBD_CLEAR_SOCK);
	close(fd);
	return false;
}

/* --- all kinds --- */

bool attach_device_present(const struct attach_names *names, struct attach_record *record)
{
	if (record->kind == ATTACH_KIND_NBD)
		return record->device[0] && nbd_is(record);
	if (!record->device[0])
		loop_search(names, record);
	return record->device[0] && loop_is(record->device, record);
}

int attach_link_make(const struct attach_names *names, const char *device, char *message,
		     size_t size)
{
	char temporary[ATTACH_PATH_MAX + 160];
	snprintf(temporary, sizeof(temporary), "%s/.%s.new", names->link_folder, names->name);
	unlink(temporary);
	if (symlink(device, temporary) < 0)
		return failed(message, size, "cannot make", temporary, errno);
	if (rename(temporary, names->link) < 0) {
		int error = errno;
		unlink(temporary);
		return failed(message, size, "cannot make", names->link, error);
	}
	return 0;
}

void attach_link_remove(const struct attach_names *names, const char *device)
{
	char target[ATTACH_DEVICE_MAX + 1] = "";
	ssize_t length = readlink(names->link, target, sizeof(target) - 1);
	if (length > 0 && (!device || strcmp(target, device) == 0))
		unlink(names->link);
}

void attach_process_end(const struct attach_record *record, int wait_ms)
{
	for (int waited = 0; attach_process_alive(record) && waited < wait_ms; waited += 5)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	if (!attach_process_alive(record))
		return;
	kill(record->pid, SIGKILL);
	for (int waited = 0; attach_process_alive(record) && waited < KILL_WAIT_MS; waited += 5)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

void attach_take_apart(const struct attach_names *names, const struct attach_record *record,
		       bool *busy)
{
	struct attach_record found = *record;
	*busy = false;
	if (attach_device_present(names, &found))
		*busy = found.kind == ATTACH_KIND_LOOP ? loop_clear(&found) : nbd_clear(&found);
	if (found.kind == ATTACH_KIND_LOOP)
		while (umount2(names->mount, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			;
	/* Behind a device that is in use the helper goes on, until the last user lets go; it only
	 * has errors to tell. */
	if (!*busy)
		attach_process_end(&found, LEFTOVER_WAIT_MS);
}

void attach_forget(const struct attach_names *names)
{
	unlink(names->pid);
	unlink(names->state);
	unlink(names->log);
	rmdir(names->mount);
	rmdir(names->folder);
}

int attach_remove_leftovers(const char *run_folder, const char *const *keep)
{
	char path[ATTACH_PATH_MAX];
	int count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "%.390s/attach", run_folder);
	folder = opendir(path);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		struct attach_names names;
		struct attach_record record;
		bool busy, kept = false;
		for (const char *const *name = keep; name && *name; name++)
			kept |= strcmp(*name, entry->d_name) == 0;
		if (kept || attach_names_fill(&names, run_folder, entry->d_name) < 0)
			continue;
		attach_link_remove(&names, NULL);
		if (attach_record_read(&names, &record) == 0) {
			/* First of all, so that nothing below can wait for it. */
			attach_process_end(&record, 0);
			attach_take_apart(&names, &record, &busy);
			count++;
		}
		attach_forget(&names);
	}
	if (folder)
		closedir(folder);
	return count;
}
