/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A changed configuration is taken without disturbing what did not change: the difference is found
 * group by group, and only a group whose LUNs, devices or gate changed is handed over and begun
 * again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/daemon/daemon.h"
#include "cluster/base/log.h"

static json_t *faults_json(const struct config_faults *faults)
{
	json_t *texts = json_array(); /* the errors first */
	size_t errors = 0;
	char text[600];

	for (size_t k = 0; k < faults->count; k++) {
		config_fault_text(&faults->list[k], text, sizeof(text));
		if (faults->list[k].severity == CONFIG_ERROR)
			log_error("%s", text);
		else
			log_warning("%s", text);
		if (faults->list[k].severity == CONFIG_ERROR)
			json_array_insert_new(texts, errors++, json_string(text));
		else
			json_array_append_new(texts, json_string(text));
	}
	return texts;
}

static struct group *group_of(struct daemon *daemon, const struct config_group *config)
{
	for (size_t g = 0; config && g < daemon->group_count; g++)
		if (!strcmp(group_name(daemon->groups[g]), config->name))
			return daemon->groups[g];
	return NULL;
}

static bool is_for_this_node(const struct daemon *daemon, const struct config_group *config)
{
	return config && config_group_rank(config, daemon->home.self->id) >= 0;
}

/* Begins to give up what must go. First, because others may want its LUNs. */
static void drop_group(struct daemon *daemon, const struct config_diff_group *difference)
{
	struct group *group = group_of(daemon, difference->old_group);

	if (group && (difference->change == CONFIG_CHANGE_CHANGED ||
		      !is_for_this_node(daemon, difference->new_group)))
		group_give_up(group);
}

/* What is given up keeps the configuration that it has, and is begun again with the new one. */
static int change_group(struct daemon *daemon, const struct config_diff_group *difference,
			const char **what)
{
	struct group *group = group_of(daemon, difference->new_group ? difference->new_group
								     : difference->old_group);
	int error;

	if (!difference->new_group || (group && group_is_leaving(group)))
		return 0;
	if (!group)
		return daemon_add_group(daemon, difference->new_group);
	switch (difference->change) {
	case CONFIG_CHANGE_SAME:
		group_rebase(group, difference->new_group);
		return 0;
	case CONFIG_CHANGE_POLICY:
	case CONFIG_CHANGE_SERVICE:
		error = group_reconfigure(group, difference->new_group, difference->change);
		if (error == -EBUSY) {
			*what = "its resources changed, which needs its service stopped: it is "
				"handed over and begun again";
			group_give_up(group);
			return 0;
		}
		return error;
	case CONFIG_CHANGE_CHANGED:
	case CONFIG_CHANGE_GONE:
	case CONFIG_CHANGE_NEW:
		return 0;
	}
	return 0;
}

static void apply_group(struct daemon *daemon, const struct config_diff_group *difference,
			json_t *changes)
{
	const struct config_group *config =
		difference->new_group ? difference->new_group : difference->old_group;
	const char *what = config_change_name(difference->change);

	if (change_group(daemon, difference, &what))
		what = "it could not be opened or changed; see the log";
	else if (difference->change == CONFIG_CHANGE_SAME)
		return;
	log_notice("configuration: %s: %s", config->name, what);
	json_array_append_new(changes,
			      json_pack("{s:s, s:s}", "name", config->name, "change", what));
}

int daemon_reload(struct daemon *daemon, json_t **answer)
{
	struct config_faults faults = {0};
	struct config_diff diff = {0};
	struct config *config = NULL;
	struct daemon_retired *retired;
	json_t *changes;
	int error;

	if (daemon->phase != DAEMON_PHASE_RUNNING || daemon->leave_running) {
		*answer = json_pack("{s:[s]}", "faults", "the daemon is stopping");
		return -EINVAL;
	}
	retired = calloc(1, sizeof(*retired));
	changes = json_array();
	error = retired ? config_load(daemon->config_path, &config, &faults) : -ENOMEM;

	*answer = json_pack("{s:o}", "faults", faults_json(&faults));
	config_faults_free(&faults);
	if (!error && config_diff(daemon->home.config, config, daemon->home.node_name, &diff))
		error = -ENOMEM;
	if (!error && diff.restart_needed) {
		log_error("the configuration cannot be reloaded: %s", diff.restart_reason);
		json_array_insert_new(json_object_get(*answer, "faults"), 0,
				      json_string(diff.restart_reason));
		error = -EINVAL;
	}
	if (error) {
		daemon_note(daemon, "config", "reload refused; the configuration in force stays");
		config_diff_free(&diff);
		config_free(config);
		free(retired);
		json_decref(changes);
		return -EINVAL;
	}
	retired->config = daemon->home.config;
	retired->next = daemon->retired;
	daemon->retired = retired;
	daemon->home.config = config;
	daemon->home.self = config_find_node(config, daemon->home.node_name);
	history_set_bounds(daemon->home.history, config->history_days, config->history_size);
	daemon_watchdog_reconfigure(daemon);
	for (size_t g = 0; g < diff.group_count; g++)
		drop_group(daemon, &diff.groups[g]);
	daemon->home.index = sg_index_read(&sg_roots_system);
	for (size_t g = 0; g < diff.group_count; g++)
		apply_group(daemon, &diff.groups[g], changes);
	sg_index_free(daemon->home.index);
	daemon->home.index = NULL;
	config_diff_free(&diff);
	daemon_free_retired(daemon);
	daemon_note(daemon, "config", "reloaded: %zu groups changed", json_array_size(changes));
	json_object_set_new(*answer, "groups", changes);
	return 0;
}
