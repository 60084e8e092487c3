/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Alarms: each is shown as long as what it says is so, whatever ends it, and its end is noted as its
 * beginning was. An alarm about keys names all of them that the last looks showed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/core/key.h"
#include "cluster/group/private.h"

#define SILENT_LEAST_MS 1500 /* no answer for so long, and for 3 x D, is worth a line */
#define ALARM_KEYS_SHOWN 3

static bool is_foreign(const struct group *group, uint64_t value)
{
	struct key key;

	return group_owner_of(group, value, &key) == GROUP_OWNER_FOREIGN;
}

static bool is_unlisted(const struct group *group, uint64_t value)
{
	struct key key;

	return group_owner_of(group, value, &key) > 0 &&
	       config_group_rank(group->config, key.node) < 0;
}

/* What a look shows that the alarm is about. */
static bool is_about(const struct group *group, enum arbiter_alarm kind, uint64_t alarmed,
		     uint64_t value, bool holds)
{
	switch (kind) {
	case ARBITER_ALARM_FOREIGN_HOLDER:
		return holds && value != ARBITER_HOLDER_ALL && is_foreign(group, value);
	case ARBITER_ALARM_FOREIGN_KEY:
		return value != ARBITER_HOLDER_ALL && is_foreign(group, value);
	case ARBITER_ALARM_UNLISTED_NODE:
		return is_unlisted(group, value);
	case ARBITER_ALARM_OWN_NUMBER:
	case ARBITER_ALARM_MEMBER_KEY:
	case ARBITER_ALARM_KEY_RETURNED:
	case ARBITER_ALARM_NOT_RECORDED:
	case ARBITER_ALARM_RESERVATION_LOST:
	case ARBITER_ALARM_CUT_OFF:
	case ARBITER_ALARM_MEMBERS_MISSING:
	case ARBITER_ALARM_STOP_OVERDUE:
	case ARBITER_ALARM_ALL_REGISTRANTS:
	case ARBITER_ALARM_REGISTER_FUTILE:
	case ARBITER_ALARM_SEIZE_FUTILE:
	case ARBITER_ALARM_REMOVE_FUTILE:
	case ARBITER_ALARM_REFUSED:
	case ARBITER_ALARM_ANSWERS_DIFFER:
	case ARBITER_ALARM_LOOKS_DIFFER:
	case ARBITER_ALARM_LISTS_DIFFER:
	case ARBITER_ALARM_OTHER_UNIT:
	case ARBITER_ALARM_COUNT:
		return value == alarmed;
	}
	return false;
}

struct alarm_keys {
	size_t count;
	struct {
		uint64_t key;
		uint16_t lun;
	} list[ARBITER_LOOK_KEYS_MAX];
};

static void keys_add(struct alarm_keys *keys, uint64_t key, uint16_t lun)
{
	for (size_t k = 0; k < keys->count; k++)
		if (keys->list[k].key == key)
			return;
	if (keys->count == ARBITER_LOOK_KEYS_MAX)
		return;
	keys->list[keys->count].key = key;
	keys->list[keys->count++].lun = lun;
}

static void keys_find(const struct group *group, enum arbiter_alarm kind, struct alarm_keys *keys)
{
	uint64_t alarmed = group->alarms[kind].key;

	keys->count = 0;
	for (uint16_t i = 0; i < group->lun_count; i++) {
		struct arbiter_lun_view view;

		arbiter_get_lun_view(group->arbiter, i, &view);
		if (view.holder && is_about(group, kind, alarmed, view.holder, true))
			keys_add(keys, view.holder, i);
		for (uint8_t k = 0; k < view.key_count; k++)
			if (is_about(group, kind, alarmed, view.keys[k], false))
				keys_add(keys, view.keys[k], i);
	}
}

static bool owns_all(const struct group *group)
{
	for (uint16_t i = 0; i < group->lun_count; i++) {
		struct arbiter_lun_view view;

		arbiter_get_lun_view(group->arbiter, i, &view);
		if (!view.owned)
			return false;
	}
	return true;
}

/* A reservation that was lost is one no more when somebody has it. */
static bool is_lost(const struct group *group, uint16_t lun)
{
	struct arbiter_lun_view view;

	arbiter_get_lun_view(group->arbiter, lun, &view);
	return view.seen && !view.held;
}

static bool any_holder(const struct group *group, uint64_t holder)
{
	for (uint16_t i = 0; i < group->lun_count; i++) {
		struct arbiter_lun_view view;

		arbiter_get_lun_view(group->arbiter, i, &view);
		if (view.seen && view.held && view.holder == holder)
			return true;
	}
	return false;
}

static bool other_owns(const struct group *group)
{
	struct arbiter_view view;
	struct key key;
	int owner;

	arbiter_get_view(group->arbiter, &view);
	owner = group_owner_of(group, view.holder, &key);
	return owner > 0 && owner != group->home->self->id && key.kind != KEY_KIND_OFFER;
}

/* Is what it says so, by what is known now? The arbiter ends some of them itself. */
static bool alarm_is_so(const struct group *group, enum arbiter_alarm kind)
{
	const struct group_alarm *alarm = &group->alarms[kind];
	struct alarm_keys keys;

	if (!alarm->on)
		return false;
	switch (kind) {
	case ARBITER_ALARM_FOREIGN_HOLDER:
	case ARBITER_ALARM_FOREIGN_KEY:
	case ARBITER_ALARM_OWN_NUMBER:
	case ARBITER_ALARM_UNLISTED_NODE:
	case ARBITER_ALARM_MEMBER_KEY:
	case ARBITER_ALARM_KEY_RETURNED:
	case ARBITER_ALARM_REMOVE_FUTILE:
		keys_find(group, kind, &keys);
		return keys.count > 0;
	case ARBITER_ALARM_ALL_REGISTRANTS:
		return any_holder(group, ARBITER_HOLDER_ALL);
	case ARBITER_ALARM_RESERVATION_LOST:
		return is_lost(group, alarm->lun);
	case ARBITER_ALARM_MEMBERS_MISSING:
		return !owns_all(group) && !other_owns(group);
	case ARBITER_ALARM_NOT_RECORDED:
	case ARBITER_ALARM_CUT_OFF:
	case ARBITER_ALARM_STOP_OVERDUE:
	case ARBITER_ALARM_REGISTER_FUTILE:
	case ARBITER_ALARM_SEIZE_FUTILE:
	case ARBITER_ALARM_REFUSED:
	case ARBITER_ALARM_ANSWERS_DIFFER:
	case ARBITER_ALARM_LOOKS_DIFFER:
	case ARBITER_ALARM_LISTS_DIFFER:
	case ARBITER_ALARM_OTHER_UNIT:
	case ARBITER_ALARM_COUNT:
		return true;
	}
	return true;
}

bool group_alarm_is_noted(struct group *group, enum arbiter_alarm alarm, uint64_t key)
{
	if (key == 0)
		return false;
	for (size_t k = 0; k < GROUP_KEYS_NOTED; k++)
		if (group->told.noted[k].key == key && group->told.noted[k].alarm == alarm)
			return true;
	group->told.noted[group->told.noted_next].key = key;
	group->told.noted[group->told.noted_next].alarm = (uint8_t)alarm;
	group->told.noted_next = (uint8_t)((group->told.noted_next + 1) % GROUP_KEYS_NOTED);
	return false;
}

/* What comes again is told again. */
static void forget_noted(struct group *group, enum arbiter_alarm alarm)
{
	for (size_t k = 0; k < GROUP_KEYS_NOTED; k++)
		if (group->told.noted[k].alarm == alarm)
			group->told.noted[k].key = 0;
}

void group_alarms_settle(struct group *group)
{
	for (unsigned k = 0; k < ARBITER_ALARM_COUNT; k++) {
		struct group_alarm *alarm = &group->alarms[k];
		bool so = (alarm->on || alarm->shown) && alarm_is_so(group, (enum arbiter_alarm)k);

		if (so == alarm->shown)
			continue;
		alarm->shown = so;
		if (so) {
			alarm->since_ms = clock_now_ms();
		} else {
			forget_noted(group, (enum arbiter_alarm)k);
			if (alarm->key == 0) /* the arbiter raises it anew */
				alarm->on = false;
		}
		if (so && alarm->noted)
			continue;
		alarm->noted = so;
		group_note(group, group->luns[alarm->lun].config->name, "alarm", "%s%s",
			   so ? "" : "over: ", arbiter_alarm_text((enum arbiter_alarm)k));
	}
}

/* Whose session it was registered by, where the target says it. */
static const char *initiator_of(const struct group_lun *lun, uint64_t key)
{
	for (size_t k = 0; k < lun->other_count; k++)
		if (lun->others[k].key == key)
			return lun->others[k].transport;
	return NULL;
}

static json_t *keys_json(const struct group *group, const struct alarm_keys *keys)
{
	json_t *list = json_array();

	for (size_t k = 0; k < keys->count && k < ALARM_KEYS_SHOWN; k++) {
		const struct group_lun *lun = &group->luns[keys->list[k].lun];
		const char *initiator = initiator_of(lun, keys->list[k].key);
		json_t *key = group_key_json(group->home, keys->list[k].key);

		json_object_set_new(key, "lun", json_string(lun->config->name));
		json_object_set_new(key, "initiator",
				    initiator ? json_string(initiator) : json_null());
		json_array_append_new(list, key);
	}
	return list;
}

static json_t *alarm_json(const struct group *group, enum arbiter_alarm kind)
{
	const struct group_alarm *alarm = &group->alarms[kind];
	struct alarm_keys keys = {0};

	if (alarm->key && !arbiter_alarm_ends_itself(kind))
		keys_find(group, kind, &keys);
	return json_pack("{s:s, s:s, s:o, s:i, s:o, s:s, s:I}", "name", arbiter_alarm_name(kind),
			 "text", arbiter_alarm_text(kind), "key",
			 group_key_json(group->home, keys.count ? keys.list[0].key : alarm->key),
			 "key_count", (int)keys.count, "keys", keys_json(group, &keys), "lun",
			 group->luns[alarm->lun].config->name, "since_ms",
			 (json_int_t)(clock_now_ms() - alarm->since_ms));
}

/* --- storage that does not answer --- */

static void silent_text(const struct group *group, const struct arbiter_view *view,
			uint64_t silent_ms, char *text, size_t size)
{
	uint32_t loss_ms = group->config->times.loss_ms;
	double left = silent_ms < loss_ms ? (double)(loss_ms - silent_ms) / 1000 : 0;

	switch (view->state) {
	case ARBITER_STATE_TAKING:
	case ARBITER_STATE_OWNER:
	case ARBITER_STATE_REASSERTING:
	case ARBITER_STATE_YIELDING:
		snprintf(text, size, "no answer for %.1f s: %s in %.1f s", (double)silent_ms / 1000,
			 group->config->has_service ? "the service is stopped" : "the gate is held",
			 left);
		return;
	case ARBITER_STATE_CUT_OFF:
		return; /* an alarm of its own */
	case ARBITER_STATE_STANDBY:
	case ARBITER_STATE_CHALLENGING:
	case ARBITER_STATE_SEIZING:
	case ARBITER_STATE_REQUESTING:
	case ARBITER_STATE_OFFERING:
	case ARBITER_STATE_DEPOSED:
	case ARBITER_STATE_RELEASED:
		snprintf(text, size, "no answer for %.1f s: this node cannot take it over",
			 (double)silent_ms / 1000);
		return;
	}
}

/* Looks are sent every D by an owner; a standby looks when it probes. */
static json_t *silent_json(const struct group *group)
{
	const struct config_times *times = &group->config->times;
	uint64_t now = clock_now_ms(), least = 3 * (uint64_t)times->defend_ms;
	char text[160] = "";
	struct arbiter_view view;

	arbiter_get_view(group->arbiter, &view);
	if (view.state == ARBITER_STATE_STANDBY || view.state == ARBITER_STATE_RELEASED)
		least += 3 * ((uint64_t)times->probe_ms + times->window_ms);
	if (least < SILENT_LEAST_MS)
		least = SILENT_LEAST_MS;
	if (!group->started || view.contact_ms == 0 || now - view.contact_ms < least)
		return NULL;
	silent_text(group, &view, now - view.contact_ms, text, sizeof(text));
	if (!text[0])
		return NULL;
	return json_pack("{s:s, s:s, s:n, s:i, s:[], s:s, s:I}", "name", "storage-silent", "text",
			 text, "key", "key_count", 0, "keys", "lun", group->luns[0].config->name,
			 "since_ms", (json_int_t)(now - view.contact_ms));
}

static json_t *progress_json(const struct group *group)
{
	char text[160];

	snprintf(text, sizeof(text), "it owns the LUN and does not serve: %s",
		 owner_progress_text(group->progress_cause));
	return json_pack("{s:s, s:s, s:n, s:i, s:[], s:s, s:I}", "name", "no-progress", "text",
			 text, "key", "key_count", 0, "keys", "lun", group->luns[0].config->name,
			 "since_ms", (json_int_t)(clock_now_ms() - group->progress_since_ms));
}

json_t *group_alarms_json(const struct group *group)
{
	json_t *alarms = json_array(), *silent = silent_json(group);

	if (silent)
		json_array_append_new(alarms, silent);
	if (group->progress_alarm)
		json_array_append_new(alarms, progress_json(group));
	for (unsigned k = 0; k < ARBITER_ALARM_COUNT; k++)
		if (alarm_is_so(group, (enum arbiter_alarm)k))
			json_array_append_new(alarms, alarm_json(group, (enum arbiter_alarm)k));
	return alarms;
}
