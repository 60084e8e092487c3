/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loop devices that the rig's nodes made. A loop device is the whole machine's: it outlives the
 * namespaces of whoever made it, and keeps what it stands on. So those that stand on a FUSE file
 * system of a node are noted while that node lives, and detached when it is gone.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/rig.h"

#define FUSE_MOUNTS_MAX 256

/* As the kernel writes a device number into 32 bits (new_encode_dev). */
static uint64_t device_number(unsigned major, unsigned minor)
{
	return (minor & 0xffu) | ((uint64_t)major << 8) | ((uint64_t)(minor & ~0xffu) << 12);
}

/* Device numbers of the FUSE file systems mounted in a machine's namespace. */
static size_t loop_fuse_mounts(const struct rig_machine *machine, uint64_t *numbers, size_t max)
{
	char path[64], line[4096];
	unsigned major, minor;
	size_t count = 0;
	FILE *mounts;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)machine->init.pid);
	mounts = fopen(path, "re");
	while (mounts && count < max && fgets(line, sizeof line, mounts))
		if (strstr(line, " - fuse") && sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2)
			numbers[count++] = device_number(major, minor);
	if (mounts)
		fclose(mounts);
	return count;
}

static uint64_t loop_sequence(unsigned number)
{
	char path[64], *text;
	uint64_t sequence = 0;

	snprintf(path, sizeof path, "/sys/block/loop%u/diskseq", number);
	text = rig_read_file(path, NULL);
	if (text)
		sequence = strtoull(text, NULL, 10);
	free(text);
	return sequence;
}

static int loop_open(unsigned number)
{
	char path[32];

	snprintf(path, sizeof path, "/dev/loop%u", number);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static bool loop_stands_on(unsigned number, const uint64_t *numbers, size_t count)
{
	struct loop_info64 info;
	int fd = loop_open(number);
	bool found = false;

	if (fd < 0)
		return false;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		for (size_t i = 0; i < count && !found; i++)
			found = info.lo_device == numbers[i];
	close(fd);
	return found;
}

static void loop_remember(struct rig *rig, unsigned number)
{
	struct rig_loop loop = {.number = number, .sequence = loop_sequence(number)};

	for (size_t i = 0; i < rig->loop_count; i++)
		if (rig->loops[i].number == number) {
			rig->loops[i] = loop;
			return;
		}
	if (rig->loop_count < RIG_LOOPS_MAX)
		rig->loops[rig->loop_count++] = loop;
}

void rig_loops_note(struct rig *rig)
{
	uint64_t numbers[FUSE_MOUNTS_MAX];
	struct dirent *entry;
	size_t count = 0;
	DIR *folder;

	for (size_t i = 0; i < rig->node_count; i++)
		if (rig_machine_runs(&rig->nodes[i].machine))
			count += loop_fuse_mounts(&rig->nodes[i].machine, numbers + count,
						  FUSE_MOUNTS_MAX - count);
	folder = count ? opendir("/sys/block") : NULL;
	while (folder && (entry = readdir(folder))) {
		char path[300];
		unsigned number;

		snprintf(path, sizeof path, "/sys/block/%s/loop", entry->d_name);
		if (sscanf(entry->d_name, "loop%u", &number) == 1 && access(path, F_OK) == 0 &&
		    loop_stands_on(number, numbers, count))
			loop_remember(rig, number);
	}
	if (folder)
		closedir(folder);
	rig_save(rig);
}

/* True when nothing is attached there any more, or something that came later. */
static bool loop_is_gone(const struct rig_loop *loop)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/block/loop%u/loop", loop->number);
	return access(path, F_OK) < 0 || loop_sequence(loop->number) != loop->sequence;
}

size_t rig_loops_clear(struct rig *rig)
{
	uint64_t numbers[FUSE_MOUNTS_MAX];
	size_t kept = 0, count = 0;

	for (size_t i = 0; i < rig->node_count; i++)
		if (rig_machine_runs(&rig->nodes[i].machine))
			count += loop_fuse_mounts(&rig->nodes[i].machine, numbers + count,
						  FUSE_MOUNTS_MAX - count);
	for (size_t i = 0; i < rig->loop_count; i++) {
		struct rig_loop *loop = &rig->loops[i];

		if (!loop_is_gone(loop) && !loop_stands_on(loop->number, numbers, count)) {
			int fd = loop_open(loop->number);

			if (fd >= 0) {
				ioctl(fd, LOOP_CLR_FD, 0);
				close(fd);
			}
		}
		if (!loop_is_gone(loop))
			rig->loops[kept++] = *loop;
	}
	rig->loop_count = kept;
	return kept;
}
