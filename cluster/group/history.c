/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a group writes into the history: everything that somebody may ask about later, and not what
 * happens every two seconds. A probe that is turned away leaves nothing; one that becomes a
 * takeover is written with the time at which it began.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cluster/base/text.h"
#include "cluster/base/clock.h"
#include "cluster/core/key.h"
#include "cluster/group/private.h"
#include "cluster/base/log.h"

static const char *node_name(uint8_t id, const void *user)
{
	const struct config_node *node = config_find_node_id(user, id);

	return node ? node->name : NULL;
}

const char *group_key_text(const struct group_home *home, uint64_t key, char *buffer, size_t size)
{
	return key_describe(key, key_cluster_hash(home->config->cluster), node_name, home->config,
			    buffer, size);
}

static void add(struct group *group, struct history_event *event)
{
	event->group = group->config->name;
	history_add(group->home->history, event);
}

void group_note(struct group *group, const char *lun, const char *kind, const char *format, ...)
{
	struct history_event event = {.lun = lun, .kind = kind};
	char text[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	event.text = text_clean(text);
	add(group, &event);
	log_info("%s%s%s: %s: %s", group->config->name, lun ? "/" : "", lun ? lun : "", kind, text);
}

/* What happens all the time in a healthy cluster. */
static const bool routine[ARBITER_RULE_COUNT] = {
	[ARBITER_RULE_OWNER_TURN_AWAY] = true,
	[ARBITER_RULE_OWNER_ASK_AGAIN] = true,
	[ARBITER_RULE_OWNER_LOOK_AFTER_OUTCOME] = true,
	[ARBITER_RULE_CHALLENGE_PROBE] = true,
	[ARBITER_RULE_CHALLENGE_TURNED_AWAY] = true,
	[ARBITER_RULE_CHALLENGE_WAIT_WINDOW] = true,
	[ARBITER_RULE_CHALLENGE_RECORD_FIRST] = true,
	[ARBITER_RULE_CHALLENGE_QUIET_FIRST] = true,
	[ARBITER_RULE_CHALLENGE_RANK_DELAY] = true,
	[ARBITER_RULE_CHALLENGE_STAND_BACK] = true,
	[ARBITER_RULE_CHALLENGE_LOOK_DECIDES] = true,
	[ARBITER_RULE_CHALLENGE_NOT_FOREIGN] = true,
	[ARBITER_RULE_CHALLENGE_SUCCEED_PROBER] = true,
	[ARBITER_RULE_CHALLENGE_WINDOW_GROWS] = true,
	[ARBITER_RULE_CHALLENGE_MEMBER_KEY] = true,
};

static void note_rule(struct group *group, const struct arbiter_effect *effect)
{
	struct history_event event = {.kind = "rule"};
	enum arbiter_rule rule = effect->rule.rule;

	if (routine[rule] || (effect->lun != 0 && group->lun_count > 8))
		return;
	event.lun = group->luns[effect->lun].config->name;
	event.rule = arbiter_rule_name(rule);
	event.text = arbiter_rule_text(rule);
	event.key = effect->rule.key;
	add(group, &event);
	log_info("%s/%s: %s", group->config->name, event.lun, event.text);
}

/* The REGISTER that began the window. */
static void note_challenge(struct group *group)
{
	struct history_event event = {
		.kind = "order",
		.lun = group->luns[0].config->name,
		.text = "REGISTER as a challenger; the owner has the window's time to answer",
		.mono_ms = group->challenge.register_mono_ms,
		.time_ms = group->challenge.register_wall_ms,
	};

	if (event.mono_ms)
		add(group, &event);
}

static void note_state(struct group *group, const struct arbiter_effect *effect)
{
	enum arbiter_state state = effect->state.new_state, old = effect->state.old_state;
	struct history_event event = {.kind = "state", .key = effect->state.holder};
	char text[200], holder[64];

	group_cause_state(group, effect);
	if (state == ARBITER_STATE_CHALLENGING) {
		group->challenge.mono_ms = clock_now_ms();
		group->challenge.wall_ms = clock_wall_ms();
		group->challenge.rule = effect->state.rule;
		group->challenge.holder = effect->state.holder;
		group->challenge.register_mono_ms = 0;
		return;
	}
	if (old == ARBITER_STATE_CHALLENGING && state == ARBITER_STATE_STANDBY) {
		group->challenge.mono_ms = 0;
		return;
	}
	if (state == ARBITER_STATE_SEIZING && group->challenge.mono_ms) {
		snprintf(text, sizeof(text), "standby -> challenging: %s; holder: %s",
			 arbiter_rule_text(group->challenge.rule),
			 group_key_text(group->home, group->challenge.holder, holder,
					sizeof(holder)));
		event.mono_ms = group->challenge.mono_ms;
		event.time_ms = group->challenge.wall_ms;
		event.rule = arbiter_rule_name(group->challenge.rule);
		event.text = text;
		add(group, &event);
		note_challenge(group);
		event.mono_ms = 0;
		event.time_ms = 0;
		group->challenge.mono_ms = 0;
	}
	event.rule = effect->state.rule == ARBITER_RULE_COUNT
			     ? NULL
			     : arbiter_rule_name(effect->state.rule);
	snprintf(text, sizeof(text), "%s -> %s: %s", arbiter_state_name(old),
		 arbiter_state_name(state), arbiter_rule_text(effect->state.rule));
	event.text = text;
	add(group, &event);
	log_notice("%s: %s", group->config->name, text);
}

static void note_alarm(struct group *group, const struct arbiter_effect *effect)
{
	struct history_event event = {.kind = "alarm", .key = effect->alarm.key};
	char text[600], key[64], times[40] = "";

	if (effect->alarm.over ||
	    (effect->alarm.times == 0 &&
	     group_alarm_is_noted(group, effect->alarm.alarm, effect->alarm.key)))
		return;
	event.lun = group->luns[effect->lun].config->name;
	event.rule = arbiter_alarm_name(effect->alarm.alarm);
	if (effect->alarm.times > 0)
		snprintf(times, sizeof(times), ", %u times in a row", effect->alarm.times);
	snprintf(text, sizeof(text), "%s%s%s%s", arbiter_alarm_text(effect->alarm.alarm),
		 effect->alarm.key ? "; key " : "",
		 effect->alarm.key
			 ? group_key_text(group->home, effect->alarm.key, key, sizeof(key))
			 : "",
		 times);
	event.text = text;
	add(group, &event);
	log_warning("%s: LUN %s: %s", group->config->name, event.lun, text);
}

static void note_order(struct group *group, const struct arbiter_effect *effect)
{
	char key[64];

	if (effect->kind == ARBITER_EFFECT_RESET) {
		if (effect->lun == 0)
			group_note(group, group->luns[0].config->name, "order",
				   "LOGICAL UNIT RESET");
		return;
	}
	if (effect->lun == 0 && effect->order.action == PR_OUT_REGISTER &&
	    group->state == ARBITER_STATE_CHALLENGING && !group->challenge.register_mono_ms) {
		group->challenge.register_mono_ms = clock_now_ms();
		group->challenge.register_wall_ms = clock_wall_ms();
	}
	if (effect->lun != 0 || effect->order.action == PR_OUT_REGISTER ||
	    effect->order.action == PR_OUT_REGISTER_AND_IGNORE ||
	    group->state == ARBITER_STATE_OWNER)
		return;
	if (effect->order.action == PR_OUT_RESERVE)
		group_note(group, group->luns[0].config->name, "order", "RESERVE");
	else
		group_note(
			group, group->luns[0].config->name, "order", "%s of %s",
			pr_out_action_name(effect->order.action),
			group_key_text(group->home, effect->order.service_key, key, sizeof(key)));
}

void group_note_effect(struct group *group, const struct arbiter_effect *effect)
{
	switch (effect->kind) {
	case ARBITER_EFFECT_RULE:
		note_rule(group, effect);
		break;
	case ARBITER_EFFECT_STATE:
		note_state(group, effect);
		break;
	case ARBITER_EFFECT_ALARM:
		note_alarm(group, effect);
		break;
	case ARBITER_EFFECT_ORDER:
	case ARBITER_EFFECT_RESET:
		note_order(group, effect);
		break;
	case ARBITER_EFFECT_SERVICE:
		if (group->service)
			group_note(group, NULL, "service",
				   effect->service.start ? "starting" : "stopping%s",
				   effect->service.deposed ? ", without waiting for its data" : "");
		break;
	case ARBITER_EFFECT_LOOK:
	case ARBITER_EFFECT_RECORD:
	case ARBITER_EFFECT_STRIKE:
	case ARBITER_EFFECT_GATE:
	case ARBITER_EFFECT_ANSWER:
		break;
	}
}
