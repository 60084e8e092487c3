/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Why the owner is who it is: the cause of every change of owner, as this node saw it, in words. It
 * is written into the history (kind "owner"), and found there again after a restart of the daemon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/core/key.h"
#include "cluster/group/private.h"

#define OWNS_IT " owns it: " /* between the node's name and the cause, in an event's text */

/* A query of the history under way; it may be answered when the group has gone. */
struct group_recall {
	struct group *group; /* NULL: gone */
};

static const char *node_name(const struct group *group, int node, char *buffer, size_t size)
{
	const struct config_node *found =
		node > 0 ? config_find_node_id(group->home->config, (uint8_t)node) : NULL;

	if (found)
		snprintf(buffer, size, "%s", found->name);
	else if (node > 0)
		snprintf(buffer, size, "node %d", node);
	else
		snprintf(buffer, size, "%s",
			 node == GROUP_OWNER_FOREIGN ? "somebody foreign" : "nobody");
	return buffer;
}

int group_owner_of(const struct group *group, uint64_t holder, struct key *key)
{
	if (holder == 0)
		return GROUP_OWNER_NOBODY;
	if (!key_is_ours(holder, key_cluster_hash(group->home->config->cluster)) ||
	    !key_decode(key, holder))
		return GROUP_OWNER_FOREIGN;
	return key->node;
}

const char *group_owner_name(const struct group *group)
{
	const struct config_node *node;
	struct arbiter_view view;
	struct key key;
	int owner;

	arbiter_get_view(group->arbiter, &view);
	owner = group_owner_of(group, view.holder, &key);
	node = owner > 0 ? config_find_node_id(group->home->config, (uint8_t)owner) : NULL;
	return node ? node->name : NULL;
}

static void cause_set(struct group *group, int owner, const char *text)
{
	struct group_cause *cause = &group->told.cause;
	char name[80], line[GROUP_CAUSE_MAX + 100];
	struct history_event event = {.kind = "owner", .group = group->config->name, .text = line};

	cause->owner = owner;
	cause->wall_ms = clock_wall_ms();
	snprintf(cause->text, sizeof(cause->text), "%s", text);
	node_name(group, owner, name, sizeof(name));
	event.node = owner > 0 ? name : NULL;
	snprintf(line, sizeof(line), "%s" OWNS_IT "%s", name, text);
	history_add(group->home->history, &event);
	log_notice("%s: %s", group->config->name, line);
}

/* --- this node takes it --- */

/* The window has passed, or there was none: what it was about is known now, not later. */
static void note_road(struct group *group, const struct arbiter_effect *effect)
{
	struct group_road *road = &group->told.road;
	uint64_t asked_ms = group->challenge.register_mono_ms;

	road->rule = effect->state.rule;
	road->victim = effect->state.holder;
	road->waited_ms = asked_ms ? clock_now_ms() - asked_ms : 0;
}

static void cause_of_taking(const struct group *group, enum arbiter_rule rule, char *text,
			    size_t size)
{
	const struct group_road *road = &group->told.road;
	char name[80];
	struct key key = {0};
	int victim = group_owner_of(group, road->victim, &key);
	double waited = (double)road->waited_ms / 1000;

	node_name(group, victim, name, sizeof(name));
	if (rule == ARBITER_RULE_OWNER_OFFER_EXPIRED)
		snprintf(text, size, "nobody took what this node offered: claimed again");
	else if (rule == ARBITER_RULE_CHALLENGE_OWN_KEY)
		snprintf(text, size, "an earlier key of this node held it");
	else if (victim == GROUP_OWNER_NOBODY && rule == ARBITER_RULE_CHALLENGE_OPERATOR)
		snprintf(text, size, "claimed by an operator; nobody held it");
	else if (victim == GROUP_OWNER_NOBODY)
		snprintf(text, size, "the LUN was free: nobody held it");
	else if (key.kind == KEY_KIND_OFFER && key.interval == KEY_NODE_ANY)
		snprintf(text, size, "offered by %s to any node", name);
	else if (key.kind == KEY_KIND_OFFER)
		snprintf(text, size, "handed over by %s, as %s", name,
			 group->told.asked ? "this node asked for it" : "ordered");
	else if (rule == ARBITER_RULE_CHALLENGE_OPERATOR)
		snprintf(text, size, "claimed by an operator; %s did not answer for %.1f s", name,
			 waited);
	else
		snprintf(text, size, "%s did not answer for %.1f s", name, waited);
}

/* Whom it was taken from because of its silence is silent, and no turn is waited for. */
static void note_silence(struct group *group)
{
	const struct group_road *road = &group->told.road;
	struct key key;
	int victim = group_owner_of(group, road->victim, &key);

	if (victim <= 0 || key.kind == KEY_KIND_OFFER || victim == group->home->self->id)
		return;
	group->told.silenced = victim;
	group->told.silenced_ms = clock_now_ms() - road->waited_ms;
}

/* --- this node loses it --- */

static void note_yield(struct group *group, enum arbiter_rule rule)
{
	const char *unfit = group_unfit_reason(group);

	if (rule == ARBITER_RULE_OWNER_GRANT_REQUEST)
		snprintf(group->told.why_yield, sizeof(group->told.why_yield),
			 ", which another node asked for");
	else if (rule == ARBITER_RULE_CHALLENGE_MEMBERS_MISSING)
		snprintf(group->told.why_yield, sizeof(group->told.why_yield),
			 ", which could not take all of its LUNs");
	else if (unfit)
		snprintf(group->told.why_yield, sizeof(group->told.why_yield),
			 ", which was unfit: %.80s", unfit);
	else if (rule == ARBITER_RULE_OWNER_UNFIT_OFFERS)
		snprintf(group->told.why_yield, sizeof(group->told.why_yield),
			 ", which could not run it any more");
	else
		snprintf(group->told.why_yield, sizeof(group->told.why_yield), ", as ordered");
}

static void cause_of_losing(struct group *group, const struct arbiter_effect *effect)
{
	const char *self = group->home->node_name;
	char text[GROUP_CAUSE_MAX];
	struct key key;
	int owner = group_owner_of(group, effect->state.holder, &key);

	if (owner == group->home->self->id) /* it is not seen yet who comes next */
		owner = GROUP_OWNER_NOBODY;
	if (effect->state.rule == ARBITER_RULE_OWNER_DEPOSED)
		snprintf(text, sizeof(text), "it took over from %s, which had not answered", self);
	else if (owner == GROUP_OWNER_NOBODY)
		snprintf(text, sizeof(text), "given up by %s%s", self, group->told.why_yield);
	else
		snprintf(text, sizeof(text), "handed over by %s%s", self, group->told.why_yield);
	cause_set(group, owner, text);
}

void group_cause_state(struct group *group, const struct arbiter_effect *effect)
{
	enum arbiter_state state = effect->state.new_state, old = effect->state.old_state;
	char text[GROUP_CAUSE_MAX];

	if (state == ARBITER_STATE_SEIZING) {
		note_road(group, effect);
	} else if (state == ARBITER_STATE_REQUESTING) {
		group->told.asked = true;
	} else if (state == ARBITER_STATE_YIELDING) {
		note_yield(group, effect->state.rule);
	} else if (state == ARBITER_STATE_TAKING && old != ARBITER_STATE_CUT_OFF) {
		cause_of_taking(group, effect->state.rule, text, sizeof(text));
		note_silence(group);
		cause_set(group, group->home->self->id, text);
		group->told.asked = false;
	} else if (arbiter_state_owns(old) && !arbiter_state_owns(state)) {
		cause_of_losing(group, effect);
	}
	if (state == ARBITER_STATE_STANDBY &&
	    effect->state.rule == ARBITER_RULE_CHALLENGE_TURNED_AWAY)
		group->told.answered_ms = clock_now_ms();
}

/* --- others --- */

static void cause_of_other(struct group *group, int owner)
{
	const struct group_cause *cause = &group->told.cause;
	char text[GROUP_CAUSE_MAX], before[80];

	node_name(group, cause->owner, before, sizeof(before));
	if (cause->owner == GROUP_OWNER_UNKNOWN && owner == group->home->self->id)
		snprintf(text, sizeof(text), "it held the LUN when the daemon was started: kept");
	else if (cause->owner == GROUP_OWNER_UNKNOWN)
		snprintf(text, sizeof(text), "so it was when this node looked first");
	else if (owner == GROUP_OWNER_NOBODY)
		snprintf(text, sizeof(text), "given up by %s, or the target has lost it", before);
	else if (cause->owner == GROUP_OWNER_NOBODY)
		snprintf(text, sizeof(text), "the LUN was free: nobody held it");
	else
		snprintf(text, sizeof(text), "%s by %s",
			 group->told.offered ? "handed over" : "taken over from", before);
	if (owner > 0 && cause->owner > 0 && !group->told.offered)
		snprintf(text, sizeof(text), "it took over from %s", before);
	cause_set(group, owner, text);
}

/* What was remembered holds as long as the same node owns. */
static bool cause_remembered(struct group *group, int owner)
{
	struct group_cause *cause = &group->told.cause;

	if (cause->owner != GROUP_OWNER_UNKNOWN || group->told.remembered.owner != owner)
		return false;
	*cause = group->told.remembered;
	return true;
}

void group_cause_settle(struct group *group)
{
	struct arbiter_view view;
	struct key key = {0};
	int owner;

	arbiter_get_view(group->arbiter, &view);
	if (view.last_look_ms == 0 || group->told.recall)
		return;
	owner = group_owner_of(group, view.holder, &key);
	if (owner == group->told.cause.owner) {
		group->told.offered = owner > 0 && key.kind == KEY_KIND_OFFER;
		return;
	}
	/* Ours is told by the arbiter's states; what an owner sees of others is its own matter. */
	if ((arbiter_state_owns(view.state) && group->told.cause.owner != GROUP_OWNER_UNKNOWN) ||
	    view.state == ARBITER_STATE_SEIZING ||
	    (owner == group->home->self->id && !arbiter_state_owns(view.state)))
		return;
	if (!cause_remembered(group, owner))
		cause_of_other(group, owner);
	group->told.offered = owner > 0 && key.kind == KEY_KIND_OFFER;
}

/* --- across a restart --- */

static void on_recalled(int error, const char *message, const struct history_event *events,
			size_t count, void *user)
{
	struct group_recall *recall = user;
	struct group *group = recall->group;
	const struct config_node *node = NULL;
	struct group_cause *found;
	const char *text;

	(void)message;
	free(recall);
	if (!group)
		return;
	group->told.recall = NULL;
	if (!error && count > 0 && events[count - 1].text) {
		found = &group->told.remembered;
		text = strstr(events[count - 1].text, OWNS_IT);
		if (events[count - 1].node)
			node = config_find_node(group->home->config, events[count - 1].node);
		if (text && (node || !events[count - 1].node)) {
			found->owner = node ? node->id : GROUP_OWNER_NOBODY;
			found->wall_ms = events[count - 1].time_ms;
			snprintf(found->text, sizeof(found->text), "%s", text + strlen(OWNS_IT));
		}
	}
	group_cause_settle(group);
}

void group_cause_recall(struct group *group)
{
	struct history_query query = {
		.since_id = -1, .kind = "owner", .group = group->config->name, .limit = 1};
	struct group_recall *recall = malloc(sizeof(*recall));

	group->told.cause.owner = group->told.remembered.owner = GROUP_OWNER_UNKNOWN;
	if (!recall)
		return;
	recall->group = group;
	group->told.recall = recall;
	history_find(group->home->history, &query, on_recalled, recall);
}

void group_cause_forget(struct group *group)
{
	if (group->told.recall)
		group->told.recall->group = NULL;
	group->told.recall = NULL;
}

void group_cause_json(const struct group *group, json_t *json)
{
	const struct group_cause *cause = &group->told.cause;
	int64_t age_ms = clock_wall_ms() - cause->wall_ms;

	if (!cause->text[0]) {
		json_object_set_new(json, "cause", json_null());
		json_object_set_new(json, "cause_age_ms", json_null());
		return;
	}
	json_object_set_new(json, "cause", json_string(cause->text));
	json_object_set_new(json, "cause_age_ms", json_integer(age_ms > 0 ? age_ms : 0));
}
