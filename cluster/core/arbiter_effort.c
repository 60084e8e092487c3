/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What orders achieve, and how often they are sent. Every loop of the arbiter sends its orders
 * through here: there is a rate that none of them exceeds, and what the same order has not achieved
 * some times over is told, and tried again after waits that double. docs/arbitration.md, "A target
 * that does not do what it says".
 */
#include <string.h>

#include "cluster/core/arbiter_private.h"

/* --- the rate --- */

/* On the average one order in an eighth of the defend interval; after a pause that many at once, so
 * that neither a takeover by many nexuses nor many challengers have to wait. */
static uint32_t order_period_ms(const struct arbiter *a)
{
	return a->config.defend_ms / 8 > 5 ? a->config.defend_ms / 8 : 5;
}

bool effort_exceeds_rate(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t room_ms = (uint64_t)ORDERS_AT_ONCE * order_period_ms(a);

	if (l->effort.rate_ms <= a->now_ms + room_ms ||
	    !arbiter_rule(a, ARBITER_RULE_ORDER_RATE, i, 0))
		return false;
	l->wait_ms = l->effort.rate_ms - room_ms;
	if (i != 0 && l->wait_ms < a->members_wake_ms)
		a->members_wake_ms = l->wait_ms;
	return true;
}

/* --- waiting --- */

bool effort_must_wait(const struct arbiter *a, const struct arbiter_lun *l)
{
	return l->effort.wait_ms > a->now_ms;
}

/* The next effort of this LUN's waits, twice as long for each time that it has come to nothing, but
 * not longer than an owner goes on without an answer. */
static void back_off(struct arbiter *a, uint16_t i, unsigned times)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t ms = (uint64_t)a->config.defend_ms << (times < 16 ? times : 16);

	if (ms > a->config.loss_ms)
		ms = a->config.loss_ms;
	if (l->effort.wait_ms < a->now_ms + ms)
		l->effort.wait_ms = a->now_ms + ms;
	if (i != 0 && l->effort.wait_ms < a->members_wake_ms)
		a->members_wake_ms = l->effort.wait_ms;
}

static const enum arbiter_alarm futile_alarms[EFFORT_KINDS] = {
	[EFFORT_REGISTER] = ARBITER_ALARM_REGISTER_FUTILE,
	[EFFORT_SEIZE] = ARBITER_ALARM_SEIZE_FUTILE,
	[EFFORT_REMOVE] = ARBITER_ALARM_REMOVE_FUTILE,
};

static void achieved(struct arbiter *a, struct arbiter_lun *l, enum effort_kind kind)
{
	if (l->effort.futile[kind] >= FUTILE_TIMES)
		arbiter_alarm_clear(a, futile_alarms[kind]);
	l->effort.futile[kind] = 0;
}

static void futile(struct arbiter *a, uint16_t i, enum effort_kind kind, uint64_t key)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t times = l->effort.futile[kind];

	l->effort.futile[kind] = times = (uint8_t)(times + (times < 255));
	if (times + 1 == FUTILE_TIMES && arbiter_rule(a, ARBITER_RULE_LOOK_CHECK, i, key))
		l->effort.check = true; /* before it is believed */
	if (times < FUTILE_TIMES || !arbiter_rule(a, ARBITER_RULE_ORDER_FUTILE, i, key))
		return;
	arbiter_alarm_counted(a, futile_alarms[kind], i, key, times);
	if (kind != EFFORT_REMOVE) /* that keeps nothing else from being done */
		back_off(a, i, times - FUTILE_TIMES + 1u);
}

/* --- keys that stay --- */

static struct effort_stubborn *stubborn_find(struct arbiter_lun *l, uint64_t key)
{
	for (size_t k = 0; k < REMEMBERED_KEYS; k++)
		if (l->effort.stubborn[k].key == key)
			return &l->effort.stubborn[k];
	return NULL;
}

bool effort_key_waits(const struct arbiter *a, const struct arbiter_lun *l, uint64_t key)
{
	for (size_t k = 0; k < REMEMBERED_KEYS; k++)
		if (l->effort.stubborn[k].key == key && l->effort.stubborn[k].until_ms > a->now_ms)
			return true;
	return false;
}

static void key_stays(struct arbiter *a, uint16_t i, uint64_t key)
{
	struct arbiter_lun *l = &a->luns[i];
	struct effort_stubborn *s = stubborn_find(l, key);
	uint64_t ms;

	futile(a, i, EFFORT_REMOVE, key);
	if (!s) {
		s = &l->effort.stubborn[l->effort.stubborn_next];
		l->effort.stubborn_next =
			(uint8_t)((l->effort.stubborn_next + 1) % REMEMBERED_KEYS);
		*s = (struct effort_stubborn){.key = key};
	}
	s->times = (uint8_t)(s->times + (s->times < 255));
	if (s->times < FUTILE_TIMES || !arbiter_rule(a, ARBITER_RULE_ORDER_FUTILE, i, key))
		return;
	ms = (uint64_t)a->config.defend_ms << (s->times - 2 < 16 ? s->times - 2 : 16);
	s->until_ms = a->now_ms + (ms < a->config.loss_ms ? ms : a->config.loss_ms);
}

static void key_gone(struct arbiter *a, struct arbiter_lun *l, uint64_t key)
{
	struct effort_stubborn *s = stubborn_find(l, key);

	achieved(a, l, EFFORT_REMOVE);
	if (s)
		*s = (struct effort_stubborn){0};
}

/* --- judging --- */

static bool registers(enum pr_out_action action)
{
	return action == PR_OUT_REGISTER || action == PR_OUT_REGISTER_AND_IGNORE;
}

void effort_sent(struct arbiter *a, struct arbiter_lun *l)
{
	if (l->effort.rate_ms < a->now_ms)
		l->effort.rate_ms = a->now_ms;
	l->effort.rate_ms += order_period_ms(a);
	l->effort.pending = l->effort.pending && l->order.reset; /* which changes no registration */
}

/* Refused: by the target, for a reason of its own. Whose effort it was, the next one waits. */
static void refused(struct arbiter *a, uint16_t i, enum effort_kind kind, uint64_t key)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t times = l->effort.refused[kind];

	l->effort.refused[kind] = times = (uint8_t)(times + (times < 255));
	if (times < REFUSED_TIMES || !arbiter_rule(a, ARBITER_RULE_ORDER_REFUSED, i, key))
		return;
	arbiter_alarm_counted(a, ARBITER_ALARM_REFUSED, i, key, times);
	back_off(a, i, times - REFUSED_TIMES + 1u);
}

void effort_ended(struct arbiter *a, uint16_t i, enum scsi_outcome outcome, bool unusable)
{
	struct arbiter_lun *l = &a->luns[i];
	enum effort_kind kind = registers(l->order.action) ? EFFORT_REGISTER : EFFORT_SEIZE;

	if (outcome == SCSI_OUTCOME_UNKNOWN || unusable)
		return;
	if (l->order.service_key == 0 ? registers(l->order.action)
				      : !registers(l->order.action) && l->phase != LUN_SEIZE)
		kind = EFFORT_REMOVE;
	if (outcome == SCSI_OUTCOME_OK && l->effort.refused[kind] >= REFUSED_TIMES)
		arbiter_alarm_clear(a, ARBITER_ALARM_REFUSED);
	if (outcome == SCSI_OUTCOME_OK)
		l->effort.refused[kind] = 0;
	else if (kind != EFFORT_REMOVE)
		refused(a, i, kind,
			registers(l->order.action) ? l->order.service_key : l->order.key);
	l->effort.pending = outcome == SCSI_OUTCOME_OK || kind == EFFORT_REMOVE;
	l->effort.kind = kind;
	l->effort.conflict = outcome == SCSI_OUTCOME_CONFLICT;
	l->effort.nexus = l->order.nexus;
	l->effort.action = l->order.action;
	l->effort.key = l->order.key;
	l->effort.service_key = l->order.service_key;
	l->effort.victim = l->victim;
	l->effort.generation = l->look.generation;
}

/* Somebody may have undone it: each registration and each preemption moves the generation. */
static bool may_be_undone(const struct arbiter_lun *l)
{
	uint32_t moved = l->look.generation - l->effort.generation;

	return moved >= 2 && moved < UINT32_MAX / 2;
}

static void judge_register(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	l->effort.shown = lun_has_key(l, l->effort.service_key);
	if (!l->effort.shown && !may_be_undone(l))
		futile(a, i, EFFORT_REGISTER, l->effort.service_key);
}

static void judge_seize(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (lun_holder(l) == l->effort.key) {
		achieved(a, l, EFFORT_SEIZE);
		achieved(a, l, EFFORT_REGISTER);
	} else if (lun_holder(l) == l->effort.victim && !may_be_undone(l)) {
		futile(a, i, EFFORT_SEIZE, l->effort.key);
	}
}

static void judge_remove(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	bool unregistered = registers(l->effort.action);
	uint64_t key = unregistered ? l->effort.key : l->effort.service_key;

	if (key == l->key) /* its own, so as to be alone */
		return;
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		if (l->nexus[n].key == key) /* another nexus bears it still */
			return;
	if (l->effort.conflict && lun_has_key(l, key) && !unregistered) /* so it bears no key */
		l->nexus[l->effort.nexus].registered = false;
	if (!lun_has_key(l, key))
		key_gone(a, l, key);
	else if (unregistered)
		futile(a, i, EFFORT_REMOVE, key);
	else
		key_stays(a, i, key);
}

void effort_judge(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (!l->effort.pending)
		return;
	l->effort.pending = false;
	switch (l->effort.kind) {
	case EFFORT_REGISTER:
		judge_register(a, i);
		break;
	case EFFORT_SEIZE:
		judge_seize(a, i);
		break;
	case EFFORT_REMOVE:
		judge_remove(a, i);
		break;
	case EFFORT_KINDS:
		break;
	}
}

/* The leader's claim has gone. An owner turns a challenger away; where nobody holds, nobody does. */
void effort_turned_away(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];

	if (!l->effort.shown)
		return;
	if (lun_holder(l) != 0)
		achieved(a, l, EFFORT_REGISTER);
	else if (!may_be_undone(l))
		futile(a, 0, EFFORT_REGISTER, l->effort.service_key);
}

/* --- looks that contradict each other --- */

bool arbiter_look_same_keys(const struct arbiter_look *one, const struct arbiter_look *other)
{
	if (one->key_count != other->key_count)
		return false;
	for (uint8_t k = 0; k < one->key_count; k++) {
		bool there = false;

		for (uint8_t j = 0; j < other->key_count; j++)
			there = there || other->keys[j] == one->keys[k];
		if (!there)
			return false;
	}
	return true;
}

/* A generation that goes back, or the same one with other keys: once it is a loss of power or a
 * session that took its registration with it; again and again it is two devices that take
 * themselves for one, each with reservations of its own. */
void effort_compare(struct arbiter *a, uint16_t i, const struct arbiter_look *look, bool later)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t was = l->effort.contrary;
	bool contrary = later && ((int32_t)(look->generation - l->effort.last.generation) < 0 ||
				  (look->generation == l->effort.last.generation &&
				   look->left_out + l->effort.last.left_out == 0 &&
				   !arbiter_look_same_keys(look, &l->effort.last)));

	l->effort.last = *look;
	if (!contrary) {
		l->effort.contrary = (uint8_t)(was - (was > 0));
		if (was == 1)
			arbiter_alarm_clear(a, ARBITER_ALARM_LOOKS_DIFFER);
		return;
	}
	l->effort.contrary = (uint8_t)(was < CONTRARY_MAX ? was + CONTRARY_STEP : was);
	if (l->effort.contrary < CONTRARY_ALARM ||
	    !arbiter_rule(a, ARBITER_RULE_LOOKS_CONTRADICT, i, 0))
		return;
	arbiter_alarm(a, ARBITER_ALARM_LOOKS_DIFFER, i, 0);
	back_off(a, i, l->effort.contrary / CONTRARY_STEP);
}

/* --- looks: what is kept of them, and what is read into them --- */

uint8_t arbiter_key_weight(uint64_t key, uint32_t cluster, uint8_t node)
{
	struct key decoded;

	if (!key_is_ours(key, cluster) || !key_decode(&decoded, key))
		return 0;
	return decoded.node == node ? 2 : 1;
}

void arbiter_look_add(struct arbiter_look *look, uint64_t key, uint32_t cluster, uint8_t node)
{
	uint8_t weight = arbiter_key_weight(key, cluster, node), least = weight;
	int place = -1;

	for (uint8_t k = 0; k < look->key_count; k++)
		if (look->keys[k] == key)
			return;
	if (look->key_count < ARBITER_LOOK_KEYS_MAX) {
		look->keys[look->key_count++] = key;
		return;
	}
	look->left_out++;
	for (uint8_t k = 0; k < look->key_count; k++) {
		uint8_t other = arbiter_key_weight(look->keys[k], cluster, node);

		if (other < least) {
			least = other;
			place = k;
		}
	}
	look->truncated = look->truncated || least > 0;
	if (place >= 0)
		look->keys[place] = key;
}

static bool same_node(uint64_t one, uint64_t other)
{
	struct key a, b;

	return key_decode(&a, one) && key_decode(&b, other) && a.cluster == b.cluster &&
	       a.node == b.node;
}

uint64_t arbiter_look_borne(const struct arbiter_look *look, uint64_t own)
{
	uint64_t borne = 0;

	if (look->truncated)
		return look->holder;
	for (uint8_t k = 0; k < look->key_count; k++)
		if (look->keys[k] == look->holder)
			return look->holder;
	for (uint8_t k = 0; k < look->key_count; k++) {
		uint64_t key = look->keys[k];

		if (!same_node(key, look->holder))
			continue;
		if (key == own || arbiter_key_same_claim(key, look->holder))
			return key;
		if (borne == 0) /* of several it may be any: they go one after the other */
			borne = key;
	}
	return borne ? borne : look->holder;
}
