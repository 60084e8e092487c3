/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a LUN on kernel devices is, and which paths lead there. It is known by its wwid, so it may
 * come late, go, come back under another name, and gain or lose paths; what bears its configured
 * name but is another logical unit is left alone. All of this is read from sysfs.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/group/private.h"
#include "cluster/base/log.h"
#include "scsi/path_sg.h"

/* --- the list of paths --- */

/* The lowest number that no path of the LUN has. A gate of our own has the only nexus. */
static uint8_t free_nexus(const struct group_lun *lun)
{
	bool taken[ARBITER_NEXUSES_MAX] = {false};

	if (!group_lun_is_kernel(lun) && lun->group->config->gate != CONFIG_GATE_NONE)
		return NO_GROUP_NEXUS;
	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].path && lun->paths[k].nexus < ARBITER_NEXUSES_MAX)
			taken[lun->paths[k].nexus] = true;
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		if (!taken[n])
			return n;
	return NO_GROUP_NEXUS;
}

static struct group_path *free_place(struct group_lun *lun)
{
	for (size_t k = 0; k < GROUP_PATHS_MAX; k++)
		if (!lun->paths[k].path) {
			if (k >= lun->path_count)
				lun->path_count = k + 1;
			return &lun->paths[k];
		}
	return NULL;
}

int group_lun_add_path(struct group_lun *lun, struct path *p, const struct sg_device *device)
{
	uint8_t nexus = free_nexus(lun);
	struct group_path *path = free_place(lun);

	if (!path) {
		path_close(p, NULL, NULL);
		return -E2BIG;
	}
	*path = (struct group_path){.lun = lun, .path = p, .nexus = nexus};
	if (!device)
		return 0;
	path->device = *device;
	path->late = lun->group->started;
	group_path_read_session(path);
	if (nexus == NO_GROUP_NEXUS) {
		log_error("%s: LUN %s: %s is more than the %u paths that can be registered: data "
			  "must not go through it; take paths out of the map",
			  lun->group->config->name, lun->config->name, p->name,
			  ARBITER_NEXUSES_MAX);
		group_note(lun->group, lun->config->name, "alarm",
			   "%s is more than the %u paths that can be registered", p->name,
			   ARBITER_NEXUSES_MAX);
	}
	return 0;
}

static void on_left(void *user)
{
	struct group_path *path = user;
	struct group *group = path->lun->group;

	free(path->reason);
	*path = (struct group_path){.lun = path->lun, .nexus = NO_GROUP_NEXUS};
	if (group->closing)
		group_part_closed(group);
}

static void drop_path(struct group_path *path, const char *why)
{
	struct group_lun *lun = path->lun;

	log_notice("%s: LUN %s: %s is no path any more: %s", lun->group->config->name,
		   lun->config->name, path->path->name, why);
	group_note(lun->group, lun->config->name, "path", "%s is no path any more: %s",
		   path->path->name, why);
	if (group_path_good(path))
		group_path_post(path, false, false, false);
	path->usable = false;
	path->leaving = true;
	path->nexus = NO_GROUP_NEXUS; /* another may have it */
	path_close(path->path, on_left, path);
}

/* --- looking for it --- */

static bool is_in(const struct sg_place *place, const struct sg_device *device)
{
	for (size_t k = 0; k < place->count; k++)
		if (strcmp(place->devices[k].node, device->node) == 0 &&
		    strcmp(place->devices[k].address, device->address) == 0)
			return true;
	return false;
}

static void drop_lost(struct group_lun *lun, const struct sg_place *place)
{
	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[k];
		int gone;

		if (!path->path || path->leaving || !path->device.node[0])
			continue;
		gone = sg_resolve_check(&sg_roots_system, &path->device);
		if (gone == -ENODEV)
			drop_path(path, "the device is gone");
		else if (gone == -ESTALE)
			drop_path(path, "another device has its name now");
		else if (place->count > 0 && !is_in(place, &path->device))
			drop_path(path, "it leads to another logical unit, or was taken out of the "
					"map");
		else
			group_path_check_session(path);
	}
}

static bool is_there(const struct group_lun *lun, const struct sg_device *device)
{
	for (size_t k = 0; k < lun->path_count; k++) {
		const struct group_path *path = &lun->paths[k];

		if (path->path && !path->leaving && strcmp(path->device.node, device->node) == 0)
			return true;
	}
	return false;
}

/* A place among those that are registered has become free for one that had none. */
static void seat_more(struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[k];

		if (!path->path || path->leaving || path->nexus != NO_GROUP_NEXUS)
			continue;
		path->nexus = free_nexus(lun);
		if (path->nexus == NO_GROUP_NEXUS)
			return;
		path->late = true;
		group_note(lun->group, lun->config->name, "path", "%s can be registered now",
			   path->path->name);
		if (group_path_good(path))
			group_path_post(path, true, true, false);
	}
}

static void add_new(struct group_lun *lun, const struct sg_place *place)
{
	const struct path_open_options options = {.changed = group_path_changed, .user = lun};

	for (size_t k = 0; k < place->count; k++) {
		struct path *path;

		if (is_there(lun, &place->devices[k]))
			continue;
		if (path_sg_open_device(&sg_environment_system, &lun->group->home->loop,
					&place->devices[k], &options, &path) < 0)
			return; /* out of memory; the next look at sysfs tries again */
		if (group_lun_add_path(lun, path, &place->devices[k]) == 0 && lun->group->started)
			group_note(lun->group, lun->config->name, "path", "%s is a new path",
				   place->devices[k].node);
	}
}

/* RUN/dev/NAME of a kernel device without a gate: @NAME of a service's parameters. It stays behind
 * when the daemon ends, because a service may go on without it. */
static void make_link(const struct group_lun *lun)
{
	char folder[PATH_MAX], path[PATH_MAX + 80], fresh[PATH_MAX + 90];

	if (lun->group->config->gate != CONFIG_GATE_NONE)
		return;
	snprintf(folder, sizeof(folder), "%s/dev", lun->group->home->run_folder);
	snprintf(path, sizeof(path), "%s/%s", folder, lun->config->name);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	unlink(fresh);
	if ((mkdir(folder, 0755) == 0 || errno == EEXIST) && symlink(lun->device, fresh) == 0 &&
	    rename(fresh, path) == 0)
		return;
	log_error("%s: LUN %s: cannot make the link %.300s: %s", lun->group->config->name,
		  lun->config->name, path, strerror(errno));
}

static bool is_in_use(const struct group *group)
{
	return group->started && group->state != ARBITER_STATE_STANDBY &&
	       group->state != ARBITER_STATE_CHALLENGING &&
	       group->state != ARBITER_STATE_REQUESTING && group->state != ARBITER_STATE_RELEASED;
}

/* Its name is there, and leads to it still as far as one can tell: a name may become another's. */
static bool is_named_still(const struct group_lun *lun, const struct sg_place *place)
{
	struct sg_device devices[SG_PLACE_DEVICES_MAX];
	char message[SG_PLACE_MESSAGE_MAX];
	size_t count;

	if (place->count == 0 ||
	    sg_resolve(&sg_roots_system, lun->device, devices, SG_PLACE_DEVICES_MAX, &count,
		       message, sizeof(message)) < 0)
		return access(lun->device, F_OK) == 0;
	for (size_t k = 0; k < count; k++)
		if (is_in(place, &devices[k]))
			return true;
	return false;
}

static void take_place(struct group_lun *lun, const struct sg_place *place)
{
	bool news = strcmp(lun->device, place->block) != 0;

	if (place->block[0] == '\0' || !news)
		return;
	/* Whoever has it open goes on with the name that he knows. */
	if (lun->device[0] && is_in_use(lun->group) && is_named_still(lun, place))
		return;
	if (lun->device[0])
		group_note(lun->group, lun->config->name, "path", "it is %s now, and was %s",
			   place->block, lun->device);
	group_multipathd_forget(lun, false);
	snprintf(lun->device, sizeof(lun->device), "%s", place->block);
	lun->is_map = place->map;
	make_link(lun);
}

static void say_place(struct group_lun *lun, const struct sg_place *place)
{
	const char *note = place->message[0] ? place->message : NULL;
	bool news = note ? !lun->place_note || strcmp(note, lun->place_note) != 0 : false;

	if (news) {
		log_warning("%s: LUN %s: %s", lun->group->config->name, lun->config->name, note);
		group_note(lun->group, lun->config->name, "path", "%s", note);
	}
	if (!news && note)
		return;
	free(lun->place_note);
	lun->place_note = note ? strdup(note) : NULL;
}

void group_lun_rescan(struct group_lun *lun, const struct sg_index *index)
{
	const struct sg_wanted wanted = {lun->config->devices, lun->config->device_count,
					 lun->config->wwid};
	struct sg_place place = {.count = 0};

	if (!group_lun_is_kernel(lun))
		return;
	sg_place_find(&sg_roots_system, index, &wanted, &place);
	free(lun->missing);
	lun->missing = place.block[0] ? NULL
				      : strdup(place.message[0] ? place.message
								: "its block device is not there");
	say_place(lun, &place);
	drop_lost(lun, &place);
	take_place(lun, &place);
	seat_more(lun);
	add_new(lun, &place);
}

void group_check_ready(struct group *group)
{
	bool needed = group->config->gate == CONFIG_GATE_DM || group->config->has_service;
	const struct group_lun *missing = NULL;
	char reason[GROUP_REASON];

	for (size_t i = 0; i < group->lun_count && needed && !missing; i++)
		if (group_lun_is_kernel(&group->luns[i]) && group->luns[i].missing)
			missing = &group->luns[i];
	if (!missing) {
		if (needed && group_lun_is_kernel(&group->luns[0]))
			group_set_unfit(group, GROUP_UNFIT_DEVICE, NULL);
		return;
	}
	if (is_in_use(group))
		return;
	snprintf(reason, sizeof(reason), "LUN %s: %.200s", missing->config->name, missing->missing);
	if (!*group->unfit[GROUP_UNFIT_DEVICE])
		log_error("%s: this node could not serve: %s", group->config->name, reason);
	group_set_unfit(group, GROUP_UNFIT_DEVICE, reason);
}

void group_rescan(struct group *group, const struct sg_index *index)
{
	if (group->closing)
		return;
	for (size_t i = 0; i < group->lun_count; i++)
		group_lun_rescan(&group->luns[i], index);
	group_check_ready(group);
}
