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
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cluster/gate/nbdkit/attach.h"
#include "tools/rig/rig.h"

#define WATCHED_MAX 64

/* What a machine's daemon wrote down; visit() is called for each. The SAN has none. */
static void loop_records(const struct rig *rig, const char *machine,
			 void (*visit)(const struct attach_shown *record, void *user), void *user)
{
	char run[RIG_PATH_MAX], attach[RIG_PATH_MAX];
	struct dirent *entry;
	DIR *folder;

	rig_path(rig, run, "%s/run", machine);
	folder = opendir(rig_path(rig, attach, "%s/run/attach", machine));
	while (folder && (entry = readdir(folder))) {
		struct attach_shown shown;

		if (entry->d_name[0] != '.' && attach_record_show(run, entry->d_name, &shown) == 0)
			visit(&shown, user);
	}
	if (folder)
		closedir(folder);
}

struct loop_list {
	struct rig_loop *loops;
	size_t count, max;
};

static void loop_visit(const struct attach_shown *record, void *user)
{
	struct loop_list *list = user;
	struct rig_loop loop = {.sequence = record->sequence};

	if (list->count < list->max && sscanf(record->device, "/dev/loop%u", &loop.number) == 1)
		list->loops[list->count++] = loop;
}

struct fuse_list {
	struct rig_fuse *items;
	size_t count, max;
};

/* The connection's number is the file system's anonymous device number. */
static void fuse_visit(const struct attach_shown *record, void *user)
{
	struct fuse_list *list = user;

	if (list->count < list->max && record->kind == ATTACH_KIND_LOOP && record->file_device)
		list->items[list->count++].connection = (unsigned)minor(record->file_device);
}

size_t rig_fuse_list(const struct rig *rig, const char *machine, struct rig_fuse *items, size_t max)
{
	struct fuse_list list = {.items = items, .max = max};

	loop_records(rig, machine, fuse_visit, &list);
	return list.count;
}

void rig_fuse_abort_all(const struct rig *rig)
{
	struct rig_fuse list[RIG_LOOPS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < rig->node_count; i++)
		count += rig_fuse_list(rig, rig->nodes[i].machine.name, list + count,
				       RIG_LOOPS_MAX - count);
	rig_fuse_abort(list, count);
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

	snprintf(path, sizeof(path), "/sys/block/loop%u/diskseq", number);
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

	snprintf(path, sizeof(path), "/sys/block/loop%u/loop", loop->number);
	return access(path, F_OK) < 0 ||
	       (loop->sequence && loop_sequence(loop->number) != loop->sequence);
}

static void loop_detach(const struct rig_loop *loop)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/loop%u", loop->number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	ioctl(fd, LOOP_CLR_FD, 0);
	close(fd);
}

static size_t loop_list(const struct rig *rig, const char *machine, struct rig_loop *loops,
			size_t max)
{
	struct loop_list list = {.loops = loops, .max = max};

	loop_records(rig, machine, loop_visit, &list);
	return list.count;
}

void rig_loops_watch(const struct rig *rig, const char *machine)
{
	static struct rig_loop seen[RIG_LOOPS_MAX];
	static size_t seen_count;
	struct rig_loop loops[WATCHED_MAX];
	size_t count = loop_list(rig, machine, loops, WATCHED_MAX);
	char path[RIG_PATH_MAX];
	FILE *out;

	for (size_t i = 0; i < count; i++) {
		if (loop_in(&loops[i], seen, seen_count))
			continue;
		seen[seen_count++ % RIG_LOOPS_MAX] = loops[i];
		seen_count = seen_count > RIG_LOOPS_MAX ? RIG_LOOPS_MAX : seen_count;
		out = fopen(rig_path(rig, path, "%s/loops", machine), "ae");
		if (!out)
			continue;
		fprintf(out, "%u %llu\n", loops[i].number, (unsigned long long)loops[i].sequence);
		fclose(out);
	}
}

static void loop_note(struct rig *rig, const struct rig_loop *loop)
{
	if (rig->loop_count < RIG_LOOPS_MAX && !loop_is_gone(loop) &&
	    !loop_in(loop, rig->loops, rig->loop_count))
		rig->loops[rig->loop_count++] = *loop;
}

/* What the daemon's records say now, and what the init has seen of them before. */
void rig_loops_note(struct rig *rig)
{
	struct rig_loop loops[RIG_LOOPS_MAX], loop;
	char path[RIG_PATH_MAX];

	for (size_t i = 0; i < rig->node_count; i++) {
		const char *machine = rig->nodes[i].machine.name;
		size_t count = loop_list(rig, machine, loops, RIG_LOOPS_MAX);
		unsigned long long sequence;
		FILE *seen = fopen(rig_path(rig, path, "%s/loops", machine), "re");

		for (size_t j = 0; j < count; j++)
			loop_note(rig, &loops[j]);
		while (seen && fscanf(seen, "%u %llu", &loop.number, &sequence) == 2) {
			loop.sequence = sequence;
			loop_note(rig, &loop);
		}
		if (seen)
			fclose(seen);
	}
	rig_save(rig);
}

size_t rig_loops_clear(struct rig *rig)
{
	struct rig_loop used[RIG_LOOPS_MAX];
	struct loop_list list = {.loops = used, .max = RIG_LOOPS_MAX};
	size_t kept = 0, left = 0;

	for (size_t i = 0; i < rig->node_count; i++)
		if (rig_machine_runs(&rig->nodes[i].machine))
			loop_records(rig, rig->nodes[i].machine.name, loop_visit, &list);
	for (size_t i = 0; i < rig->loop_count; i++) {
		struct rig_loop loop = rig->loops[i];
		bool in_use = loop_in(&loop, used, list.count);

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

size_t rig_loops_attached(const struct rig *rig, const char *machine)
{
	struct rig_loop loops[RIG_LOOPS_MAX], loop;
	size_t count = loop_list(rig, machine, loops, RIG_LOOPS_MAX), attached = 0;
	unsigned long long sequence;
	char path[RIG_PATH_MAX];
	FILE *seen = fopen(rig_path(rig, path, "%s/loops", machine), "re");

	while (seen && count < RIG_LOOPS_MAX &&
	       fscanf(seen, "%u %llu", &loop.number, &sequence) == 2) {
		loop.sequence = sequence;
		if (!loop_in(&loop, loops, count))
			loops[count++] = loop;
	}
	if (seen)
		fclose(seen);
	for (size_t i = 0; i < count; i++)
		attached += !loop_is_gone(&loops[i]);
	return attached;
}
