/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A LUN on kernel devices is asked for its size now and then; when it has grown, the disks of its
 * paths are rescanned and its multipath map is resized, on every node by itself. The gate's device
 * follows its map by its own means. What decides is in size_policy.c. Nothing here is a look: the
 * arbiter hears nothing of it, and a path that does not answer is none the worse for it.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agents/agent.h"
#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/base/log.h"
#include "cluster/agents/multipathd.h"
#include "scsi/sysfs.h"

#define ASK_TIMEOUT_MS 10000
#define RESCAN_LIMIT_MS 30000
#define SECTOR 512

/* --- what the kernel believes --- */

/* The kernel's folder of the path's SCSI device; false: not a name that the kernel gives. */
static bool device_folder(const struct group_path *path, char folder[PATH_MAX])
{
	const char *name = strrchr(path->device.node, '/');

	if (!name || !name[1])
		return false;
	for (const char *c = ++name; *c; c++)
		if (!isalnum((unsigned char)*c))
			return false;
	return snprintf(folder, PATH_MAX, "%s/class/scsi_generic/%s/device", sg_roots_system.sysfs,
			name) < PATH_MAX;
}

static uint64_t size_in(const char *folder)
{
	char text[32];

	sysfs_attribute(folder, "size", text, sizeof(text));
	return strtoull(text, NULL, 10) * SECTOR;
}

/* 0: it has no disk, or none with a size. */
static uint64_t disk_size(const struct group_path *path)
{
	char folder[PATH_MAX], block[PATH_MAX], disk[PATH_MAX];
	struct dirent *entry;
	uint64_t size = 0;
	DIR *disks;

	if (!device_folder(path, folder) || !sysfs_join(block, folder, "block"))
		return 0;
	disks = opendir(block);
	while (disks && (entry = readdir(disks)))
		if (entry->d_name[0] != '.' && sysfs_join(disk, block, entry->d_name))
			size = size_in(disk);
	if (disks)
		closedir(disks);
	return size;
}

static uint64_t map_size(const struct group_lun *lun)
{
	char folder[PATH_MAX];

	return lun->is_map && group_multipathd_folder(lun, folder) ? size_in(folder) : 0;
}

static void see(const struct group_lun *lun, struct size_seen *seen)
{
	*seen = (struct size_seen){.lun = lun->size, .map = map_size(lun)};
	for (size_t k = 0; k < lun->path_count; k++) {
		uint64_t size = group_path_good(&lun->paths[k]) ? disk_size(&lun->paths[k]) : 0;

		if (size && (seen->disk_least == 0 || size < seen->disk_least))
			seen->disk_least = size;
		if (size > seen->disk_most)
			seen->disk_most = size;
	}
}

/* --- telling --- */

static const char *size_text(uint64_t bytes, char text[32])
{
	bool whole = bytes % (1024 * 1024) == 0;

	snprintf(text, 32, "%llu %s", (unsigned long long)(whole ? bytes >> 20 : bytes),
		 whole ? "MiB" : "bytes");
	return text;
}

static void tell_grown(const struct group_lun *lun)
{
	char from[32], to[32];

	log_notice("%s: LUN %s has grown to %s; the kernel knows it now", lun->group->config->name,
		   lun->config->name, size_text(lun->size_policy.to, to));
	group_note(lun->group, lun->config->name, "size",
		   "grew from %s to %s; its disks were rescanned%s",
		   size_text(lun->size_policy.from, from), size_text(lun->size_policy.to, to),
		   lun->is_map ? ", its multipath map was resized" : "");
}

static void tell_stuck(const struct group_lun *lun, const struct size_seen *seen)
{
	char to[32], least[32], text[400];
	bool disks = seen->disk_least < lun->size_policy.to;

	snprintf(text, sizeof(text),
		 "it has %s, but %s has %s still, after a rescan: a file system on it that has "
		 "grown elsewhere cannot be mounted here. See: %s. It is tried again every %d min",
		 size_text(lun->size_policy.to, to),
		 disks ? "a disk of the kernel's" : "its multipath map",
		 size_text(disks ? seen->disk_least : seen->map, least),
		 disks ? "echo 1 >/sys/block/sdX/device/rescan, dmesg"
		       : "multipathd resize map, multipath -ll (all paths must be up)",
		 SIZE_AGAIN_MS / 60000);
	log_warning("%s: LUN %s: %s", lun->group->config->name, lun->config->name, text);
	group_note(lun->group, lun->config->name, "alarm", "%s", text);
}

static void tell_smaller(const struct group_lun *lun, const struct size_seen *seen)
{
	char is[32], was[32], text[400];
	uint64_t believed = seen->map > seen->disk_most ? seen->map : seen->disk_most;

	snprintf(text, sizeof(text),
		 "it has shrunk to %s, while the kernel believes %s: what was stored behind its "
		 "end is lost, and a file system on it is damaged. Nothing is changed here; give "
		 "it its size back on the array before anything is written",
		 size_text(seen->lun, is), size_text(believed, was));
	log_error("%s: LUN %s: %s", lun->group->config->name, lun->config->name, text);
	group_note(lun->group, lun->config->name, "alarm", "%s", text);
}

static void tell(const struct group_lun *lun, enum size_verdict verdict,
		 const struct size_seen *seen)
{
	char to[32];

	switch (verdict) {
	case SIZE_VERDICT_NONE:
	case SIZE_VERDICT_RESCAN:
		break;
	case SIZE_VERDICT_GREW:
		tell_grown(lun);
		break;
	case SIZE_VERDICT_STUCK:
		tell_stuck(lun, seen);
		break;
	case SIZE_VERDICT_SETTLED:
		group_note(lun->group, lun->config->name, "size", "the kernel has its size now: %s",
			   size_text(seen->lun, to));
		break;
	case SIZE_VERDICT_SMALLER:
		tell_smaller(lun, seen);
		break;
	}
}

/* --- the rescan: processes, because a write to a disk's rescan lasts as long as its path
 * hangs --- */

static void rescan_over(struct group_lun *lun)
{
	struct size_seen seen;

	lun->size_agent = NULL;
	if (lun->group->closing) {
		group_part_closed(lun->group); /* counted by group_size_close() */
		return;
	}
	see(lun, &seen);
	tell(lun, size_policy_rescanned(&lun->size_policy, &seen, clock_now_ms()), &seen);
}

static void on_resized(const struct agent_result *result, void *user)
{
	(void)result; /* what it came to is seen in sysfs */
	rescan_over(user);
}

static void on_rescanned(const struct agent_result *result, void *user)
{
	struct group_lun *lun = user;
	char name[MULTIPATHD_MAP_MAX];

	(void)result;
	lun->size_agent = NULL;
	if (!lun->group->closing && lun->is_map && group_multipathd_name(lun, name, sizeof(name)))
		lun->size_agent =
			multipathd_resize(&lun->group->home->loop, NULL, name, on_resized, lun);
	if (!lun->size_agent)
		rescan_over(lun);
}

/* All at once: one that hangs keeps no other waiting. */
static void script_of(const struct group_lun *lun, char *script, size_t size)
{
	size_t used = 0;

	script[0] = '\0';
	for (size_t k = 0; k < lun->path_count; k++) {
		char folder[PATH_MAX];
		int length;

		if (!group_path_good(&lun->paths[k]) || !device_folder(&lun->paths[k], folder))
			continue;
		length = snprintf(script + used, size - used, "echo 1 >%s/rescan & ", folder);
		if (length < 0 || (size_t)length >= size - used) {
			script[used] = '\0';
			break;
		}
		used += (size_t)length;
	}
	if (used + sizeof("wait") <= size)
		memcpy(script + used, "wait", sizeof("wait"));
}

static void rescan(struct group_lun *lun)
{
	static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	char script[GROUP_PATHS_MAX * 96];
	const char *const words[] = {"-c", script, NULL};
	const struct agent_options options = {.path = "/bin/sh",
					      .operation = SERVICE_OPERATION_START,
					      .arguments = words,
					      .environment = environment,
					      .timeout_ms = RESCAN_LIMIT_MS,
					      .done = on_rescanned,
					      .user = lun};

	script_of(lun, script, sizeof(script));
	lun->size_agent = agent_run(&lun->group->home->loop, &options);
	if (!lun->size_agent)
		rescan_over(lun); /* no memory: as if it had not helped */
}

/* --- the question --- */

struct ask {
	struct pr_exec exec;
	struct group_path *path;
	bool ten; /* READ CAPACITY (10): the device has no other */
	uint8_t buffer[32];
};

static void take_answer(struct group_lun *lun, const struct scsi_capacity *capacity)
{
	struct size_seen seen;
	enum size_verdict verdict;

	lun->size = capacity->blocks * capacity->block_size;
	lun->block_size = capacity->block_size;
	see(lun, &seen);
	verdict = size_policy_answered(&lun->size_policy, &seen, clock_now_ms());
	tell(lun, verdict, &seen);
	if (verdict == SIZE_VERDICT_RESCAN)
		rescan(lun);
}

static void on_asked(struct pr_exec *exec)
{
	struct ask *ask = exec->user;
	struct group_path *path = ask->path;
	struct group_lun *lun = path->lun;
	const struct scsi_result *result = &exec->request.result;
	struct scsi_capacity capacity = {0};
	bool gone = lun->group->closing || path->leaving;
	bool refused = result->outcome == SCSI_OUTCOME_FAILED &&
		       result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;

	if (!gone && refused && !ask->ten) {
		ask->ten = true;
		scsi_read_capacity10_encode(&exec->request, ask->buffer);
		pr_exec_continue(exec, on_asked);
		return;
	}
	lun->group->home->counters.unit_attentions += exec->attentions.count;
	if (!gone && result->outcome == SCSI_OUTCOME_OK) {
		if (ask->ten)
			scsi_capacity10_decode(&capacity, ask->buffer, result->transferred);
		else
			scsi_capacity16_decode(&capacity, ask->buffer, result->transferred);
	}
	if (capacity.blocks)
		take_answer(lun, &capacity);
	else
		size_policy_unanswered(&lun->size_policy, clock_now_ms());
	/* An attention that it was given is nobody else's any more. */
	if (!gone)
		group_path_attentions(path, exec);
	free(ask);
}

/* One that has nothing unanswered: what hangs there already shall not get more. */
static struct group_path *choose_path(struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++)
		if (group_path_good(&lun->paths[k]) && lun->paths[k].looking == 0)
			return &lun->paths[k];
	return NULL;
}

static bool ask_size(struct group_lun *lun)
{
	struct group_path *path = choose_path(lun);
	struct ask *ask = path ? calloc(1, sizeof(*ask)) : NULL;

	if (!ask)
		return false;
	size_policy_asked(&lun->size_policy);
	ask->path = path;
	ask->exec.user = ask;
	ask->exec.counters = &lun->group->home->counters.pr;
	pr_exec_begin(&ask->exec, path->path, ASK_TIMEOUT_MS);
	scsi_read_capacity16_encode(&ask->exec.request, ask->buffer);
	pr_exec_continue(&ask->exec, on_asked);
	return true;
}

void group_size_check(struct group *group)
{
	uint64_t now = clock_now_ms();

	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];
		uint64_t stagger_ms = SIZE_ASK_MS * (i + 1) / (group->lun_count + 1);

		if (group_lun_is_kernel(lun) &&
		    size_policy_is_due(&lun->size_policy, now, stagger_ms) && ask_size(lun))
			return; /* one at a time */
	}
}

void group_size_close(struct group_lun *lun)
{
	if (!lun->size_agent)
		return;
	lun->group->closes++;
	agent_kill(lun->size_agent, true);
}
