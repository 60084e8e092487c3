/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a changed configuration means for what is running, group by group, so that a reload leaves
 * alone what did not change. Pure but for memory.
 */
#include "cluster/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool diff_text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool diff_times_equal(const struct config_times *a, const struct config_times *b)
{
	return a->defend_ms == b->defend_ms && a->window_ms == b->window_ms &&
	       a->probe_ms == b->probe_ms && a->loss_ms == b->loss_ms &&
	       a->request_ms == b->request_ms && a->member_factor == b->member_factor;
}

static bool diff_lun_equal(const struct config_lun *a, const struct config_lun *b)
{
	if (strcmp(a->name, b->name) != 0 || !diff_text_equal(a->wwid, b->wwid) ||
	    a->type != b->type || a->iscsi != b->iscsi || a->attach != b->attach ||
	    a->header_digest != b->header_digest || a->data_digest != b->data_digest ||
	    a->device_count != b->device_count)
		return false;
	for (size_t i = 0; i < a->device_count; i++)
		if (strcmp(a->devices[i], b->devices[i]) != 0)
			return false;
	return true;
}

static bool diff_luns_equal(const struct config_group *a, const struct config_group *b)
{
	if (a->lun_count != b->lun_count)
		return false;
	for (size_t i = 0; i < a->lun_count; i++)
		if (!diff_lun_equal(a->luns[i], b->luns[i]))
			return false;
	return true;
}

static bool diff_nodes_equal(const struct config_group *a, const struct config_group *b)
{
	if (a->node_count != b->node_count)
		return false;
	for (size_t i = 0; i < a->node_count; i++)
		if (a->nodes[i]->id != b->nodes[i]->id ||
		    strcmp(a->nodes[i]->name, b->nodes[i]->name) != 0)
			return false;
	return true;
}

static bool diff_resource_equal(const struct config_resource *a, const struct config_resource *b)
{
	if (strcmp(a->name, b->name) != 0 || a->agent != b->agent ||
	    strcmp(a->agent_path, b->agent_path) != 0 || a->requires != b->requires ||
	    a->monitor_ms != b->monitor_ms || a->monitor_timeout_ms != b->monitor_timeout_ms ||
	    a->start_timeout_ms != b->start_timeout_ms ||
	    a->stop_timeout_ms != b->stop_timeout_ms || a->restarts != b->restarts ||
	    a->param_count != b->param_count)
		return false;
	for (size_t i = 0; i < a->param_count; i++)
		if (strcmp(a->params[i].key, b->params[i].key) != 0 ||
		    strcmp(a->params[i].value, b->params[i].value) != 0)
			return false;
	return true;
}

static bool diff_resources_equal(const struct config_group *a, const struct config_group *b)
{
	if (a->resource_count != b->resource_count)
		return false;
	for (size_t i = 0; i < a->resource_count; i++)
		if (!diff_resource_equal(&a->resources[i], &b->resources[i]))
			return false;
	return true;
}

static enum config_change diff_group(const struct config_group *a, const struct config_group *b)
{
	if (!diff_luns_equal(a, b) || a->gate != b->gate || a->has_service != b->has_service)
		return CONFIG_CHANGE_CHANGED;
	if (!diff_resources_equal(a, b))
		return CONFIG_CHANGE_SERVICE;
	if (!diff_nodes_equal(a, b) || !diff_times_equal(&a->times, &b->times) ||
	    a->automatic != b->automatic || a->failback != b->failback)
		return CONFIG_CHANGE_POLICY;
	return CONFIG_CHANGE_SAME;
}

bool config_group_equal(const struct config_group *a, const struct config_group *b)
{
	return strcmp(a->name, b->name) == 0 && diff_group(a, b) == CONFIG_CHANGE_SAME;
}

static void diff_restart(const struct config *a, const struct config *b, const char *self,
			 struct config_diff *diff)
{
	const struct config_node *before = config_find_node(a, self),
				 *after = config_find_node(b, self);

	if (strcmp(a->cluster, b->cluster) != 0)
		snprintf(diff->restart_reason, sizeof(diff->restart_reason),
			 "the cluster's name changed from %s to %s", a->cluster, b->cluster);
	else if (before && !after)
		snprintf(diff->restart_reason, sizeof(diff->restart_reason),
			 "node %s is not listed any more", self);
	else if (before && before->id != after->id)
		snprintf(diff->restart_reason, sizeof(diff->restart_reason),
			 "the id of node %s changed from %u to %u", self, before->id, after->id);
	else if (before && !diff_text_equal(before->initiator, after->initiator))
		snprintf(diff->restart_reason, sizeof(diff->restart_reason),
			 "the initiator name of node %s changed", self);
	diff->restart_needed = diff->restart_reason[0] != '\0';
}

int config_diff(const struct config *old_config, const struct config *new_config, const char *self,
		struct config_diff *diff)
{
	memset(diff, 0, sizeof(*diff));
	diff->groups = calloc(old_config->group_count + new_config->group_count + 1,
			      sizeof(*diff->groups));
	if (!diff->groups)
		return -ENOMEM;
	diff_restart(old_config, new_config, self, diff);
	diff->settings_changed =
		old_config->history_days != new_config->history_days ||
		old_config->history_size != new_config->history_size ||
		!diff_text_equal(old_config->secrets, new_config->secrets) ||
		!diff_text_equal(old_config->control_group, new_config->control_group) ||
		!diff_text_equal(old_config->watchdog, new_config->watchdog) ||
		old_config->watchdog_timeout_ms != new_config->watchdog_timeout_ms ||
		old_config->stop_limit_ms != new_config->stop_limit_ms;
	for (size_t i = 0; i < new_config->group_count; i++) {
		const struct config_group *after = &new_config->groups[i];
		const struct config_group *before = config_find_group(old_config, after->name);

		diff->groups[diff->group_count++] = (struct config_diff_group){
			before ? diff_group(before, after) : CONFIG_CHANGE_NEW, before, after};
	}
	for (size_t i = 0; i < old_config->group_count; i++)
		if (!config_find_group(new_config, old_config->groups[i].name))
			diff->groups[diff->group_count++] = (struct config_diff_group){
				CONFIG_CHANGE_GONE, &old_config->groups[i], NULL};
	return 0;
}

void config_diff_free(struct config_diff *diff)
{
	free(diff->groups);
	memset(diff, 0, sizeof(*diff));
}

const char *config_change_name(enum config_change change)
{
	switch (change) {
	case CONFIG_CHANGE_SAME:
		return "same";
	case CONFIG_CHANGE_POLICY:
		return "policy";
	case CONFIG_CHANGE_SERVICE:
		return "service";
	case CONFIG_CHANGE_CHANGED:
		return "changed";
	case CONFIG_CHANGE_NEW:
		return "new";
	case CONFIG_CHANGE_GONE:
		return "gone";
	}
	return "unknown";
}
