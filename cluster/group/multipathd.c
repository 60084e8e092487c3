/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What multipathd is told of a group's LUNs: the key while this node owns them and the gate is not
 * failed, and nothing from the moment on at which it is. See docs/architecture.md, "Paths".
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/group/private.h"
#include "cluster/base/log.h"
#include "cluster/agents/multipathd.h"
#include "scsi/sysfs.h"

static void on_problem(const char *problem, void *user)
{
	const struct group_lun *lun = user;

	if (!problem) {
		log_notice("%s: LUN %s: multipathd has taken the key", lun->group->config->name,
			   lun->config->name);
		return;
	}
	log_warning("%s: LUN %s: %s", lun->group->config->name, lun->config->name, problem);
	group_note(lun->group, lun->config->name, "path", "%s", problem);
}

static void on_settled(void *user)
{
	struct group_lun *lun = user;

	lun->resume(lun);
}

bool group_multipathd_folder(const struct group_lun *lun, char folder[PATH_MAX])
{
	char node[PATH_MAX];
	const char *block;

	if (!realpath(lun->device, node))
		return false;
	block = strrchr(node, '/');
	return block &&
	       snprintf(folder, PATH_MAX, "%s/block%s", sg_roots_system.sysfs, block) < PATH_MAX;
}

bool group_multipathd_name(const struct group_lun *lun, char *name, size_t size)
{
	char folder[PATH_MAX];

	if (!group_multipathd_folder(lun, folder))
		return false;
	sysfs_attribute(folder, "dm/name", name, size);
	return name[0] != '\0';
}

static void tell(struct group_lun *lun, uint64_t key)
{
	char name[MULTIPATHD_MAP_MAX];

	if (!lun->multipathd && group_multipathd_name(lun, name, sizeof(name)))
		lun->multipathd = multipathd_map_new(&lun->group->home->loop, NULL, name,
						     on_problem, on_settled, lun);
	if (!lun->multipathd)
		return;
	lun->told_key = key;
	multipathd_tell(lun->multipathd, key, lun->aptpl);
}

void group_multipathd_settle(struct group *group)
{
	struct arbiter_view view;

	if (!group->started || group->closing)
		return;
	arbiter_get_view(group->arbiter, &view);
	for (size_t i = 0; i < group->lun_count; i++) {
		struct group_lun *lun = &group->luns[i];
		struct arbiter_lun_view at;

		if (!lun->is_map)
			continue;
		arbiter_get_lun_view(group->arbiter, lun->number, &at);
		if (view.gate_wanted == ARBITER_GATE_FAILED)
			tell(lun, 0);
		else if (at.owned)
			tell(lun, at.key);
		else if (lun->told_key && lun->told_key != at.key)
			tell(lun, 0); /* under the old one nothing may be registered any more */
	}
}

bool group_multipathd_must_wait(struct group_lun *lun, const struct pr_out *out)
{
	bool registers =
		out->action == PR_OUT_REGISTER || out->action == PR_OUT_REGISTER_AND_IGNORE;

	if (!lun->multipathd)
		return false;
	if (registers && lun->told_key && out->service_key != lun->told_key)
		tell(lun, 0);
	return multipathd_is_untelling(lun->multipathd);
}

void group_multipathd_untell(struct group *group)
{
	for (size_t i = 0; i < group->lun_count; i++)
		if (group->luns[i].is_map)
			tell(&group->luns[i], 0);
}

void group_multipathd_forget(struct group_lun *lun, bool wait)
{
	if (!lun->multipathd)
		return;
	lun->group->closes += wait;
	multipathd_map_free(lun->multipathd, wait ? group_part_closed : NULL, lun->group);
	lun->multipathd = NULL;
	lun->told_key = 0;
}
