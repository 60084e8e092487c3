/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's groups, and its words to people: what everything else in this folder stands on.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/text.h"
#include "cluster/base/log.h"
#include "cluster/daemon/daemon.h"

void daemon_note(struct daemon *daemon, const char *kind, const char *format, ...)
{
	struct history_event event = {.kind = kind};
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	event.text = text_clean(text);
	if (daemon->home.history)
		history_add(daemon->home.history, &event);
	log_notice("%s", text);
}

struct group *daemon_find_group(const struct daemon *daemon, const char *name)
{
	for (size_t g = 0; g < daemon->group_count; g++)
		if (!group_is_closing(daemon->groups[g]) &&
		    !strcmp(group_name(daemon->groups[g]), name))
			return daemon->groups[g];
	for (size_t g = 0; g < daemon->group_count; g++)
		if (!group_is_closing(daemon->groups[g]) && group_has_lun(daemon->groups[g], name))
			return daemon->groups[g];
	return NULL;
}

int daemon_add_group(struct daemon *daemon, const struct config_group *config)
{
	char message[600] = "";
	struct group **groups;
	struct arbiter_effect *items;
	size_t effects = arbiter_effects_max((uint16_t)config->lun_count);
	int error;

	if (config_group_rank(config, daemon->home.self->id) < 0)
		return 0; /* not for this node */
	for (size_t g = 0; g < daemon->group_count; g++)
		if (group_meets(daemon->groups[g], config))
			return 0; /* until that is closed */
	if (config->lun_count > ARBITER_LUNS_MAX) {
		log_error("%s: more than %u LUNs in one group", config->name, ARBITER_LUNS_MAX);
		return -E2BIG;
	}
	groups = realloc(daemon->groups, (daemon->group_count + 1) * sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	daemon->groups = groups;
	if (effects > daemon->home.effects.capacity) {
		items = realloc(daemon->home.effects.items, effects * sizeof(*items));
		if (!items)
			return -ENOMEM;
		daemon->home.effects.items = items;
		daemon->home.effects.capacity = effects;
	}
	error = group_open(&daemon->home, config, &daemon->groups[daemon->group_count], message,
			   sizeof(message));
	if (error) {
		log_error("%s: %s", config->name, *message ? message : strerror(-error));
		daemon_note(daemon, "daemon", "group %s could not be opened: %s", config->name,
			    message);
		return error;
	}
	daemon->group_count++;
	return 0;
}

void daemon_forget_group(struct daemon *daemon, const struct group *group)
{
	for (size_t g = 0; g < daemon->group_count; g++)
		if (daemon->groups[g] == group) {
			memmove(&daemon->groups[g], &daemon->groups[g + 1],
				(daemon->group_count - g - 1) * sizeof(daemon->groups[0]));
			daemon->group_count--;
			return;
		}
}

void daemon_free_retired(struct daemon *daemon)
{
	struct daemon_retired **link = &daemon->retired;

	while (*link) {
		struct daemon_retired *retired = *link;
		bool used = false;

		for (size_t g = 0; g < daemon->group_count; g++) {
			const struct config_group *config = group_config(daemon->groups[g]);

			used = used ||
			       (config >= retired->config->groups &&
				config < retired->config->groups + retired->config->group_count);
		}
		if (used) {
			link = &retired->next;
			continue;
		}
		*link = retired->next;
		config_free(retired->config);
		free(retired);
	}
}

static void on_group_dropped(struct group *group, void *user)
{
	struct daemon *daemon = user;

	daemon_forget_group(daemon, group);
	daemon_free_retired(daemon);
	if (daemon->phase != DAEMON_PHASE_RUNNING || daemon->leave_running)
		return;
	for (size_t g = 0; g < daemon->home.config->group_count; g++)
		daemon_add_group(daemon, &daemon->home.config->groups[g]);
}

bool daemon_close_dropped(struct daemon *daemon)
{
	bool waiting = false;

	for (size_t g = 0; g < daemon->group_count; g++) {
		struct group *group = daemon->groups[g];

		if (!group_is_leaving(group) || group_is_closing(group))
			continue;
		if (group_is_done(group))
			group_close(group, false, on_group_dropped, daemon);
		else
			waiting = waiting || group_is_released(group);
	}
	return waiting;
}
