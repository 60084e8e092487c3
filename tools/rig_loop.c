/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loop devices that the rig's nodes made. A loop device is the whole machine's: it outlives the
 * namespaces of whoever made it. Each node's daemon writes down what it attached (RUN/attach), and
 * a node's RUN is in the rig's folder, so that this can be read when the node is dead. Nothing here
 * asks a loop device for what it stands on: the answer would wait for a FUSE server that may be
 * stuck.
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

#include "cluster/attach_private.h"
#include "tools/rig.h"

/* Loop devices that a node's records name; returns how many, at most max. */
static size_t loop_records(const struct rig *rig, const struct rig_node *node,
			   struct rig_loop *loops, size_t max)
{
	char run[RIG_PATH_MAX], attach[RIG_PATH_MAX];
	struct dirent *entry;
	size_t count = 0;
	DIR *folder;

	rig_path(rig, run, "%s/run", node->machine.name);
	folder = opendir(rig_path(rig, attach, "%s/run/attach", node->machine.name));
	while (folder && count < max && (entry = readdir(folder))) {
		struct attach_record record;
		struct attach_names names;

		if (entry->d_name[0] != '.' && attach_names_fill(&names, run, entry->d_name) == 0 &&
		    attach_record_read(&names, &record) == 0 &&
		    sscanf(record.device, "/dev/loop%u", &loops[count].number) == 1)
			loops[count++].sequence = record.sequence;
	}
	if (folder)
		closedir(folder);
	return count;
}

static bool loop_in(const struct rig_loop *loop, const struct rig_loop *loops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (loops[i].number == loop->number && loops[i].sequence == loop->sequence)
			return true;
	return false;
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

/* True when nothing is attached there any more, or something that came later. */
static bool loop_is_gone(const struct rig_loop *loop)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/block/loop%u/loop", loop->number);
	return access(path, F_OK) < 0 ||
	       (loop->sequence && loop_sequence(loop->number) != loop->sequence);
}

static void loop_detach(const struct rig_loop *loop)
{
	char path[32];
	int fd;

	snprintf(path, sizeof path, "/dev/loop%u", loop->number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	ioctl(fd, LOOP_CLR_FD, 0);
	close(fd);
}

void rig_loops_note(struct rig *rig)
{
	struct rig_loop loops[RIG_LOOPS_MAX];

	for (size_t i = 0; i < rig->node_count; i++) {
		size_t count = loop_records(rig, &rig->nodes[i], loops, RIG_LOOPS_MAX);

		for (size_t j = 0; j < count && rig->loop_count < RIG_LOOPS_MAX; j++)
			if (!loop_in(&loops[j], rig->loops, rig->loop_count))
				rig->loops[rig->loop_count++] = loops[j];
	}
	rig_save(rig);
}

size_t rig_loops_clear(struct rig *rig)
{
	struct rig_loop used[RIG_LOOPS_MAX];
	size_t used_count = 0, kept = 0, left = 0;

	for (size_t i = 0; i < rig->node_count; i++)
		if (rig_machine_runs(&rig->nodes[i].machine))
			used_count += loop_records(rig, &rig->nodes[i], used + used_count,
						   RIG_LOOPS_MAX - used_count);
	for (size_t i = 0; i < rig->loop_count; i++) {
		struct rig_loop loop = rig->loops[i];
		bool in_use = loop_in(&loop, used, used_count);

		if (!in_use && !loop_is_gone(&loop))
			loop_detach(&loop);
		if (loop_is_gone(&loop))
			continue;
		rig->loops[kept++] = loop;
		left += !in_use;
	}
	rig->loop_count = kept;
	return left;
}
