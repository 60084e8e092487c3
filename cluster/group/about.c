/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What others may know of a group, and set from outside.
 */
#include <string.h>
#include <strings.h>

#include "cluster/group/private.h"
#include "cluster/store/flags.h"

const char *group_name(const struct group *group)
{
	return group->config->name;
}

const struct config_group *group_config(const struct group *group)
{
	return group->config;
}

bool group_has_lun(const struct group *group, const char *name)
{
	for (size_t i = 0; i < group->lun_count; i++)
		if (!strcmp(group->luns[i].config->name, name))
			return true;
	return false;
}

bool group_has_kernel_lun(const struct group *group)
{
	for (size_t i = 0; i < group->lun_count; i++)
		if (group_lun_is_kernel(&group->luns[i]))
			return true;
	return false;
}

static bool luns_meet(const struct config_lun *a, const struct config_lun *b)
{
	if (!strcmp(a->name, b->name) || (a->wwid && b->wwid && !strcasecmp(a->wwid, b->wwid)))
		return true;
	for (size_t i = 0; i < a->device_count; i++)
		for (size_t k = 0; k < b->device_count; k++)
			if (!strcmp(a->devices[i], b->devices[k]))
				return true;
	return false;
}

bool group_meets(const struct group *group, const struct config_group *config)
{
	if (!strcmp(group->config->name, config->name))
		return true;
	for (size_t i = 0; i < group->lun_count && group->leaving; i++)
		for (size_t k = 0; k < config->lun_count; k++)
			if (luns_meet(group->luns[i].config, config->luns[k]))
				return true;
	return false;
}

bool group_is_started(const struct group *group)
{
	return group->started;
}

bool group_is_leaving(const struct group *group)
{
	return group->leaving;
}

bool group_is_released(const struct group *group)
{
	return group->released;
}

bool group_is_done(const struct group *group)
{
	if (!group->released)
		return false;
	for (size_t i = 0; i < group->lun_count; i++)
		if (group->luns[i].attach &&
		    attach_get_state(group->luns[i].attach) != ATTACH_STATE_NONE)
			return false;
	return true;
}

bool group_is_closing(const struct group *group)
{
	return group->closing;
}

void group_give_up(struct group *group)
{
	if (group->leaving)
		return;
	group->leaving = true;
	group_command(group, ARBITER_COMMAND_SHUTDOWN, 0, false);
}

void group_set_maintenance(struct group *group, bool on)
{
	flag_set(group->home->run_folder, "maintenance", group->config->name, on);
	if (group->service)
		service_host_maintenance(group->service, on);
}

void group_set_standby(struct group *group, bool standby)
{
	group_set_unfit(group, GROUP_UNFIT_STANDBY, standby ? GROUP_STANDBY_REASON : NULL);
}
