/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What belongs to the group as a whole: rules and alarms told, keys and claims, the gate and the
 * service.
 */
#include <string.h>

#include "cluster/core/arbiter_private.h"

#define NODE_AND_INCARNATION                                                                       \
	(~((0xfULL << 32) | (0xffULL << 16))) /* all of a key but kind and interval */

/* --- small things that both tables use --- */

void arbiter_emit(struct arbiter *a, const struct arbiter_effect *effect)
{
	if (a->effects->count < a->effects->capacity)
		a->effects->items[a->effects->count++] = *effect;
}

bool arbiter_rule(struct arbiter *a, enum arbiter_rule rule, uint16_t lun, uint64_t key)
{
	struct arbiter_effect effect = {
		.kind = ARBITER_EFFECT_RULE, .lun = lun, .rule = {.rule = rule, .key = key}};

#ifdef ARBITER_MUTATION
	if (a->config.disabled_rule == (int)rule)
		return false;
#endif
	arbiter_emit(a, &effect);
	return true;
}

void arbiter_alarm(struct arbiter *a, enum arbiter_alarm alarm, uint16_t lun, uint64_t key)
{
	struct arbiter_effect effect = {
		.kind = ARBITER_EFFECT_ALARM, .lun = lun, .alarm = {.alarm = alarm, .key = key}};

	if (a->alarm_on[alarm] && a->alarmed[alarm] == key)
		return;
	a->alarm_on[alarm] = true;
	a->alarmed[alarm] = key;
	arbiter_emit(a, &effect);
}

void arbiter_alarm_counted(struct arbiter *a, enum arbiter_alarm alarm, uint16_t lun, uint64_t key,
			   uint32_t times)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_ALARM,
					.lun = lun,
					.alarm = {.alarm = alarm, .key = key, .times = times}};

	if (a->alarm_on[alarm] && times < 2 * a->alarm_times[alarm] &&
	    times >= a->alarm_times[alarm])
		return;
	a->alarm_on[alarm] = true;
	a->alarmed[alarm] = key;
	a->alarm_times[alarm] = times;
	arbiter_emit(a, &effect);
}

void arbiter_alarm_clear(struct arbiter *a, enum arbiter_alarm alarm)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_ALARM,
					.alarm = {.alarm = alarm, .over = true}};

	if (!a->alarm_on[alarm])
		return;
	a->alarm_on[alarm] = false;
	arbiter_emit(a, &effect);
}

void alarm_foreign_holder(struct arbiter *a, uint16_t lun, uint64_t holder)
{
	if (holder == ARBITER_HOLDER_ALL)
		arbiter_alarm(a, ARBITER_ALARM_ALL_REGISTRANTS, lun, 0);
	else
		arbiter_alarm(a, ARBITER_ALARM_FOREIGN_HOLDER, lun, holder);
}

void arbiter_set_state(struct arbiter *a, enum arbiter_state state, enum arbiter_rule why)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_STATE};

	if (a->state == state)
		return;
	effect.state.old_state = a->state;
	effect.state.new_state = state;
	effect.state.rule = why;
	effect.state.holder = lun_holder(&a->luns[0]);
	a->state = state;
	arbiter_emit(a, &effect);
}

bool arbiter_state_owns(enum arbiter_state state)
{
	switch (state) {
	case ARBITER_STATE_TAKING:
	case ARBITER_STATE_OWNER:
	case ARBITER_STATE_REASSERTING:
	case ARBITER_STATE_YIELDING:
	case ARBITER_STATE_OFFERING:
	case ARBITER_STATE_CUT_OFF:
		return true;
	case ARBITER_STATE_STANDBY:
	case ARBITER_STATE_CHALLENGING:
	case ARBITER_STATE_SEIZING:
	case ARBITER_STATE_REQUESTING:
	case ARBITER_STATE_DEPOSED:
	case ARBITER_STATE_RELEASED:
		return false;
	}
	return false;
}

bool arbiter_is_owning(const struct arbiter *a)
{
	return arbiter_state_owns(a->state);
}

/* --- keys and claims --- */

bool arbiter_key_ours(const struct arbiter *a, uint64_t key)
{
	return key_is_ours(key, a->config.cluster);
}

bool arbiter_key_own(const struct arbiter *a, uint64_t key)
{
	for (uint8_t k = 0; k < a->claim_count; k++)
		if (((a->claims[k] ^ key) & NODE_AND_INCARNATION) == 0)
			return true;
	return false;
}

/* By somebody with the same number, who has come to the same incarnation. */
static bool key_is_borne(const struct arbiter *a, uint64_t key)
{
	for (uint8_t k = 0; k < a->luns[0].look.key_count; k++)
		if (((a->luns[0].look.keys[k] ^ key) & NODE_AND_INCARNATION) == 0)
			return true;
	return false;
}

bool arbiter_key_same_claim(uint64_t one, uint64_t other)
{
	return ((one ^ other) & NODE_AND_INCARNATION) == 0;
}

uint64_t arbiter_key_fresh(struct arbiter *a, enum key_kind kind)
{
	struct key key = {
		.cluster = a->config.cluster,
		.kind = kind,
		.node = a->config.node,
		.interval = (uint8_t)(a->config.defend_ms / KEY_INTERVAL_UNIT_MS),
	};
	uint64_t value;

	do {
		key.incarnation = a->incarnation++;
		value = key_encode(&key);
	} while (key.incarnation == 0 || arbiter_key_own(a, value) || key_is_borne(a, value));
	return value;
}

uint64_t arbiter_key_as(const struct arbiter *a, uint64_t key, enum key_kind kind)
{
	uint8_t interval = kind == KEY_KIND_OFFER
				   ? a->offer_to
				   : (uint8_t)(a->config.defend_ms / KEY_INTERVAL_UNIT_MS);

	return (key & NODE_AND_INCARNATION) | (uint64_t)kind << 32 | (uint64_t)interval << 16;
}

uint8_t arbiter_rank(const struct arbiter *a, uint64_t value)
{
	struct key key;

	return key_decode(&key, value) ? a->config.rank_of[key.node] : 255;
}

void arbiter_strike(struct arbiter *a, uint64_t key)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_STRIKE, .record = {.key = key}};
	uint8_t kept = 0;

	for (uint8_t k = 0; k < a->claim_count; k++)
		if (key != 0 && ((a->claims[k] ^ key) & NODE_AND_INCARNATION) != 0)
			a->claims[kept++] = a->claims[k];
	a->claim_count = kept;
	arbiter_emit(a, &effect);
}

bool arbiter_claim_in_use(const struct arbiter *a, uint64_t claim)
{
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		if (((a->luns[i].key ^ claim) & NODE_AND_INCARNATION) == 0 ||
		    (a->luns[i].old_key != 0 &&
		     ((a->luns[i].old_key ^ claim) & NODE_AND_INCARNATION) == 0))
			return true;
	return false;
}

/* As far as the looks show. */
static bool claim_is_seen(const struct arbiter *a, uint64_t claim)
{
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		for (uint8_t k = 0; a->luns[i].look_seen && k < a->luns[i].look.key_count; k++)
			if (((a->luns[i].look.keys[k] ^ claim) & NODE_AND_INCARNATION) == 0)
				return true;
	return false;
}

/* Room for one more: what is still on a LUN goes last, or its holder were a stranger to us. */
static void make_room(struct arbiter *a)
{
	for (int k = a->claim_count - 1; k >= 0; k--)
		if (!arbiter_claim_in_use(a, a->claims[k]) && !claim_is_seen(a, a->claims[k]))
			arbiter_strike(a, a->claims[k]);
	for (int k = a->claim_count - 1; k >= 0 && a->claim_count == ARBITER_CLAIMS_MAX; k--)
		if (!arbiter_claim_in_use(a, a->claims[k]) &&
		    !arbiter_key_same_claim(a->claims[k], lun_holder(&a->luns[0])))
			arbiter_strike(a, a->claims[k]);
	if (a->claim_count == ARBITER_CLAIMS_MAX)
		arbiter_strike(a, a->claims[a->claim_count - 1]);
}

void arbiter_strike_replaced(struct arbiter *a)
{
	for (int k = a->claim_count - 1; k >= 0; k--)
		if (!arbiter_claim_in_use(a, a->claims[k]))
			arbiter_strike(a, a->claims[k]);
}

bool arbiter_recorded(struct arbiter *a, uint64_t key)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_RECORD};

	if (arbiter_key_own(a, key))
		return true;
	if (a->record_id != 0 || a->record_retry_ms > a->now_ms)
		return false;
	if (a->claim_count == ARBITER_CLAIMS_MAX)
		make_room(a);
	effect.id = a->record_id = a->next_id++;
	if (a->next_id == 0)
		a->next_id = 1;
	a->record_key = arbiter_key_as(a, key, KEY_KIND_CLAIM);
	effect.record.key = a->record_key;
	arbiter_emit(a, &effect);
	return false;
}

uint32_t arbiter_window_ms(const struct arbiter *a, uint64_t holder)
{
	struct key key;
	uint32_t window = a->config.window_ms;

	if (holder != 0 && arbiter_key_ours(a, holder) && key_decode(&key, holder) &&
	    key.kind != KEY_KIND_OFFER && 4 * key.interval * KEY_INTERVAL_UNIT_MS > window)
		window = 4 * key.interval * KEY_INTERVAL_UNIT_MS;
	return window;
}

/* --- gate and service --- */

static enum arbiter_gate gate_for_state(const struct arbiter *a)
{
	enum arbiter_gate running = a->hold ? ARBITER_GATE_HELD : ARBITER_GATE_OPEN;

	switch (a->state) {
	case ARBITER_STATE_OWNER:
	case ARBITER_STATE_REASSERTING:
		return running;
	case ARBITER_STATE_YIELDING:
		return a->service == ARBITER_SERVICE_STOPPED || a->stop_overdue
			       ? ARBITER_GATE_FAILED
			       : running;
	case ARBITER_STATE_CUT_OFF:
		return a->now_ms >= a->hold_since_ms + a->config.loss_ms / 2 ? ARBITER_GATE_FAILED
									     : ARBITER_GATE_HELD;
	case ARBITER_STATE_STANDBY:
	case ARBITER_STATE_CHALLENGING:
	case ARBITER_STATE_SEIZING:
	case ARBITER_STATE_TAKING:
	case ARBITER_STATE_OFFERING:
	case ARBITER_STATE_REQUESTING:
	case ARBITER_STATE_DEPOSED:
	case ARBITER_STATE_RELEASED:
		return ARBITER_GATE_FAILED;
	}
	return ARBITER_GATE_FAILED;
}

/* What has to be seen before the gate opens: this node holds every LUN, and the leader in a look
 * newer than all orders and than the gate's closing. */
static bool group_is_held(struct arbiter *a)
{
	if (!lun_is_fresh(&a->luns[0]) || !lun_holds(&a->luns[0]) ||
	    a->luns[0].look_began_ms < a->gate_closed_ms) {
		lun_look_now(a, 0);
		return false;
	}
	for (uint16_t i = 0; i < a->config.lun_count; i++) {
		const struct arbiter_lun *l = &a->luns[i];

		if (l->phase != LUN_OWNED && l->phase != LUN_IDLE) /* nothing registers meanwhile */
			return false;
		if (!l->look_seen || !lun_holds(l) ||
		    (int32_t)(l->look_epoch - l->register_epoch) < 0) {
			lun_look_now(a, i);
			return false;
		}
	}
	return true;
}

static void gate_order(struct arbiter *a, enum arbiter_gate want, bool drop_caches)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_GATE,
					.gate = {.gate = want, .drop_caches = drop_caches}};

	if (a->gate_wanted == ARBITER_GATE_OPEN)
		a->gate_closed_ms = a->now_ms;
	a->gate_wanted = want;
	a->gate_answered = false;
	a->quiet = false; /* until the report of this order: that of an earlier one says nothing
			     about now */
	arbiter_emit(a, &effect);
}

void arbiter_gate_fail(struct arbiter *a)
{
	if (a->gate_wanted != ARBITER_GATE_FAILED)
		gate_order(a, ARBITER_GATE_FAILED, false);
}

void arbiter_gate_update(struct arbiter *a)
{
	enum arbiter_gate want = gate_for_state(a);

	if (want != ARBITER_GATE_FAILED && a->gate_wanted == ARBITER_GATE_FAILED) {
		if (a->service !=
		    ARBITER_SERVICE_STOPPED) { /* its I/O has been failed: it must begin anew */
			a->gate_broken = true;
			want = ARBITER_GATE_FAILED;
		} else if (want == ARBITER_GATE_HELD) { /* nothing is there to be held */
			want = ARBITER_GATE_FAILED;
		} else if (!a->quiet) { /* I/O that was failed may still land: before anybody starts
					   anew, not after */
			want = ARBITER_GATE_FAILED;
		}
	}
	if (want == ARBITER_GATE_OPEN && a->gate_wanted != ARBITER_GATE_OPEN && !group_is_held(a))
		want = a->gate_wanted;
	if (want == a->gate_wanted)
		return;
	gate_order(a, want, a->gate_wanted == ARBITER_GATE_FAILED);
}

static bool gate_is_too_open(const struct arbiter *a)
{
	return a->gate_answered && a->gate > a->gate_wanted;
}

/* A gate that is more open than it was ordered to be: an order that the daemon's last life had
 * given took effect in this one, or the last one of this life did not. */
void arbiter_gate_insist(struct arbiter *a)
{
	if (!gate_is_too_open(a) || a->gate_again_ms > a->now_ms)
		return;
	a->gate_again_ms = a->now_ms + a->config.defend_ms;
	gate_order(a, a->gate_wanted, false);
}

uint64_t arbiter_gate_deadline(const struct arbiter *a)
{
	return gate_is_too_open(a) ? a->gate_again_ms : NEVER;
}

static bool service_must_stop(const struct arbiter *a)
{
	switch (a->state) {
	case ARBITER_STATE_OWNER:
	case ARBITER_STATE_REASSERTING:
	case ARBITER_STATE_TAKING:
		return a->gate_broken;
	case ARBITER_STATE_YIELDING:
	case ARBITER_STATE_CUT_OFF:
	case ARBITER_STATE_STANDBY:
	case ARBITER_STATE_CHALLENGING:
	case ARBITER_STATE_SEIZING:
	case ARBITER_STATE_OFFERING:
	case ARBITER_STATE_REQUESTING:
	case ARBITER_STATE_DEPOSED:
	case ARBITER_STATE_RELEASED:
		return true;
	}
	return true;
}

void arbiter_service_update(struct arbiter *a)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_SERVICE};
	bool deposed = a->state == ARBITER_STATE_DEPOSED || a->gate_broken;

	if (service_must_stop(a)) {
		if (a->service == ARBITER_SERVICE_STOPPED && !a->start_ordered)
			return;
		if (a->stop_ordered && (a->stop_deposed || !deposed))
			return;
		a->stop_ordered = true;
		a->stop_deposed = deposed;
		a->start_ordered = false;
		effect.service.deposed = deposed;
		arbiter_emit(a, &effect);
	} else if (a->state == ARBITER_STATE_OWNER && a->gate == ARBITER_GATE_OPEN &&
		   a->gate_wanted == ARBITER_GATE_OPEN && a->service == ARBITER_SERVICE_STOPPED &&
		   !a->start_ordered && !a->maintenance) {
		a->start_ordered = true;
		a->stop_ordered = false;
		effect.service.start = true;
		arbiter_emit(a, &effect);
	}
}
