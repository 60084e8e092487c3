/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The owner's table: what the holder of the leader does about what it sees, from the moment it has
 * won until it has handed over or lost. docs/arbitration.md, "Owner".
 */
#include "cluster/core/arbiter_private.h"

bool owner_was_preempted(const struct arbiter *a, uint64_t key)
{
	for (size_t k = 0; k < REMEMBERED_KEYS; k++)
		if (key != 0 && a->preempted[k] == key)
			return true;
	return false;
}

static void remember_preempted(struct arbiter *a, uint64_t key)
{
	if (key == 0 || owner_was_preempted(a, key) || arbiter_key_own(a, key))
		return;
	a->preempted[a->preempted_next] = key;
	a->preempted_next = (uint8_t)((a->preempted_next + 1) % REMEMBERED_KEYS);
}

/* While offering, those for whom the offer is may register. */
static bool may_take_offer(const struct arbiter *a, const struct key *key)
{
	return a->state == ARBITER_STATE_OFFERING && key->kind == KEY_KIND_CLAIM &&
	       a->config.rank_of[key->node] != 255 && key->node != a->config.node &&
	       (a->offer_to == KEY_NODE_ANY || a->offer_to == key->node);
}

static void alarm_other_key(struct arbiter *a, uint16_t i, uint64_t value, const struct key *key)
{
	if (key->node == a->config.node && !arbiter_key_own(a, value) &&
	    !owner_was_preempted(a, value))
		arbiter_alarm(a, ARBITER_ALARM_OWN_NUMBER, i, value);
	else if (a->config.rank_of[key->node] == 255)
		arbiter_alarm(a, ARBITER_ALARM_UNLISTED_NODE, i, value);
	if ((i == 0) == (key->kind == KEY_KIND_MEMBER) && !arbiter_key_own(a, value))
		arbiter_alarm(a, ARBITER_ALARM_MEMBER_KEY, i, value);
}

/* Is a better-ranked standby listed than this node's? */
static bool is_next_in_rank(const struct arbiter *a, uint8_t node)
{
	for (unsigned other = 1; other <= KEY_NODE_MAX; other++)
		if (other != a->config.node && a->config.rank_of[other] < a->config.rank_of[node])
			return false;
	return true;
}

/* Only the best-ranked standby probes; another does when that one has been silent for three
 * intervals. Two that probe side by side, again and again, each take themselves for the next: their
 * lists differ. That is all which can be seen of a list: a key has no room for it. */
static void watch_turns(struct arbiter *a, uint64_t value, const struct key *key)
{
	uint64_t interval_ms =
		a->config.probe_ms > a->config.window_ms ? a->config.probe_ms : a->config.window_ms;

	if (value == a->challenger || a->config.rank_of[key->node] == 255)
		return;
	a->challenger = value;
	if (a->turn_ms + 12 * interval_ms < a->now_ms && a->out_of_turn > 0) {
		a->out_of_turn = 0;
		arbiter_alarm_clear(a, ARBITER_ALARM_LISTS_DIFFER);
	}
	if (is_next_in_rank(a, key->node)) {
		a->prober_ms = a->now_ms;
		return;
	}
	if (a->prober_ms == 0 || a->prober_ms + 2 * interval_ms < a->now_ms)
		return;
	a->turn_ms = a->now_ms;
	a->out_of_turn = (uint8_t)(a->out_of_turn + (a->out_of_turn < 255));
	if (a->out_of_turn >= OUT_OF_TURN &&
	    arbiter_rule(a, ARBITER_RULE_OWNER_OUT_OF_TURN, 0, value))
		arbiter_alarm_counted(a, ARBITER_ALARM_LISTS_DIFFER, 0, value, a->out_of_turn);
}

uint64_t owner_next_victim(struct arbiter *a, uint16_t i, enum arbiter_rule *rule)
{
	struct arbiter_lun *l = &a->luns[i];

	*rule = ARBITER_RULE_OWNER_TURN_AWAY;
	l->effort.stuck = false;
	if (!l->look_seen || !lun_holds(l))
		return 0;
	for (uint8_t k = 0; k < l->look.key_count; k++) {
		uint64_t value = l->look.keys[k];
		struct key key;

		if (value == l->key)
			continue;
		if (!arbiter_key_ours(a, value) || !key_decode(&key, value)) {
			arbiter_alarm(a, ARBITER_ALARM_FOREIGN_KEY, i, value);
			continue;
		}
		if (effort_key_waits(a, l, value)) {
			l->effort.stuck = true;
			continue;
		}
		if (arbiter_key_own(a, value)) {
			if (l->phase == LUN_SPREAD) /* a nexus of ours may still bear it, and is
						       re-keyed in its turn */
				continue;
			*rule = ARBITER_RULE_OWNER_CLEAN_LEFTOVER;
			return value;
		}
		if (i == 0 && may_take_offer(a, &key))
			continue;
		alarm_other_key(a, i, value, &key);
		if (l->phase == LUN_SPREAD || l->phase == LUN_CLEAN || l->phase == LUN_RESET)
			*rule = ARBITER_RULE_CHALLENGE_CLEAN_OTHERS;
		else if (key.kind == KEY_KIND_REQUEST && i == 0)
			*rule = ARBITER_RULE_OWNER_GRANT_REQUEST;
		else if (owner_was_preempted(a, value) || key.kind != KEY_KIND_CLAIM)
			*rule = ARBITER_RULE_OWNER_CLEAN_LEFTOVER;
		if (i == 0 && *rule == ARBITER_RULE_OWNER_TURN_AWAY)
			watch_turns(a, value, &key);
		return value;
	}
	return 0;
}

/* --- losing --- */

static void lose(struct arbiter *a, enum arbiter_rule rule)
{
	arbiter_gate_fail(a); /* before everything else */
	a->hold = 0;
	a->yield = a->release = a->adopting = a->gate_broken = false;
	arbiter_alarm_clear(a, ARBITER_ALARM_RESERVATION_LOST);
	for (uint16_t i = 0; i < a->config.lun_count; i++) {
		struct arbiter_lun *l = &a->luns[i];

		l->key = l->old_key = l->victim = 0;
		l->seat_holds = l->need_reset = false;
		lun_set_phase(a, i, LUN_IDLE);
	}
	arbiter_set_state(a, ARBITER_STATE_DEPOSED, rule);
}

void owner_depose(struct arbiter *a, enum arbiter_rule rule)
{
	uint64_t holder = lun_holder(&a->luns[0]);

	if (rule != ARBITER_RULE_COUNT && !arbiter_rule(a, rule, 0, holder))
		return;
	lose(a, rule);
	/* What a stranger shows says nothing of who holds the LUN that is meant: should that come
	 * back, its reservation may still be this node's. */
	if (rule != ARBITER_RULE_OWNER_OTHER_UNIT)
		arbiter_strike(a, 0);
	arbiter_service_update(a);
	standby_check_quiet(a);
}

/* Its key holds until somebody preempts it, and stays known as its own. */
void owner_let_go(struct arbiter *a)
{
	lose(a, ARBITER_RULE_COUNT);
	arbiter_service_update(a);
	standby_check_quiet(a);
}

static void cut_off(struct arbiter *a)
{
	if (a->state == ARBITER_STATE_CUT_OFF || a->state == ARBITER_STATE_OFFERING ||
	    !arbiter_rule(a, ARBITER_RULE_OWNER_CUT_OFF, 0, 0))
		return;
	a->hold |= HOLD_LOST;
	a->hold_since_ms = a->now_ms;
	arbiter_set_state(a, ARBITER_STATE_CUT_OFF, ARBITER_RULE_OWNER_CUT_OFF);
	arbiter_gate_update(a);
	arbiter_alarm(a, ARBITER_ALARM_CUT_OFF, 0, 0);
	arbiter_service_update(a);
}

/* --- renewing --- */

void owner_renew(struct arbiter *a, uint16_t i, uint64_t victim, enum arbiter_rule rule)
{
	uint64_t key = arbiter_key_fresh(a, i == 0 ? KEY_KIND_CLAIM : KEY_KIND_MEMBER);

	if (!arbiter_rule(a, rule, i, victim))
		return;
	a->hold |= HOLD_RENEW;
	if (i == 0 && a->state == ARBITER_STATE_OWNER)
		arbiter_set_state(a, ARBITER_STATE_REASSERTING, rule);
	lun_renew(a, i, key, victim);
	arbiter_gate_update(a);
	lun_drive(a, i);
}

/* So long without a look that somebody else may have owned the LUN, written, and lost it with the
 * reservation: it is taken again, but what the service has cached may be old, and what waits at the
 * gate must not be written. It begins anew. */
void owner_begin_anew_if_stale(struct arbiter *a)
{
	if (a->now_ms - a->good_ms < a->config.window_ms || a->gate_wanted == ARBITER_GATE_FAILED)
		return;
	arbiter_gate_fail(a);
	a->gate_broken = a->service != ARBITER_SERVICE_STOPPED;
	arbiter_service_update(a);
}

/* Another key holds this LUN, or none does. Returns true when it was dealt with. A member that has
 * to be taken anew is not: whether it is still ours to take, the leader says. */
static bool judge_not_holding(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t holder = lun_holder(l);

	if (holder != 0) {
		if (arbiter_key_own(a, holder)) {
			owner_renew(a, i, holder, ARBITER_RULE_OWNER_SWAP_ORPHAN);
		} else if (owner_was_preempted(a, holder)) {
			arbiter_alarm(a, ARBITER_ALARM_KEY_RETURNED, i, holder);
			owner_begin_anew_if_stale(a);
			owner_renew(a, i, holder, ARBITER_RULE_OWNER_RETAKE_RETURNED);
		} else {
			return false;
		}
		return true;
	}
	arbiter_alarm(a, ARBITER_ALARM_RESERVATION_LOST, i, 0);
	/* Registered still, and not again: then nobody has preempted us. */
	if (lun_has_key(l, l->key) && lun_nexus_up(l, true) != NO_NEXUS &&
	    (int32_t)(l->held_epoch - l->register_epoch) >= 0) {
		if (!arbiter_rule(a, ARBITER_RULE_OWNER_RESERVE_AGAIN, i, l->key))
			return true;
		l->victim = 0;
		lun_set_phase(a, i, LUN_SEIZE);
		lun_drive(a, i);
		return true;
	}
	if (i != 0)
		return false;
	owner_begin_anew_if_stale(a);
	owner_renew(a, i, 0, ARBITER_RULE_OWNER_REASSERT);
	return true;
}

void owner_not_holding(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (judge_not_holding(a, i))
		return;
	if (i == 0) {
		owner_depose(a, ARBITER_RULE_OWNER_DEPOSED);
		return;
	}
	if (!arbiter_rule(a, ARBITER_RULE_OWNER_MEMBER_LOST, i, lun_holder(l)))
		return;
	a->hold |= HOLD_RENEW;
	lun_renew(a, i, arbiter_key_fresh(a, KEY_KIND_MEMBER), 0);
	lun_set_phase(a, i, LUN_SURVEY);
	lun_look_now(a, 0);
	arbiter_gate_update(a);
}

/* The LUN is held by us: are all our nexuses registered? */
static void judge_nexuses(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	bool fresh = false;

	if (l->phase != LUN_OWNED || a->state == ARBITER_STATE_OFFERING)
		return;
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		const struct arbiter_nexus *x = &l->nexus[n];

		fresh = fresh || (x->up && !(x->registered && x->key == l->key) &&
				  x->retry_ms <= a->now_ms && x->fresh);
	}
	if (lun_nexus_missing(a, l) == NO_NEXUS) {
		if (a->hold & HOLD_NEXUS)
			owner_check_complete(a);
		return;
	}
	if (fresh && lun_nexus_up(l, true) == NO_NEXUS) {
		if (i != 0 && !lun_holds(&a->luns[0])) { /* is it still ours to take? */
			lun_look_now(a, 0);
			return;
		}
		owner_renew(a, i, l->key, ARBITER_RULE_OWNER_SWAP_ORPHAN);
		return;
	}
	if (arbiter_rule(a, ARBITER_RULE_OWNER_HOLD_FOR_NEXUS, i, l->key)) {
		a->hold |= HOLD_NEXUS;
		arbiter_gate_update(a);
	}
	lun_set_phase(a, i, LUN_SPREAD);
	lun_drive(a, i);
}

/* --- judging --- */

static void adopt(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t key = lun_holder(l);

	a->adopting = false;
	if (key == 0 &&
	    lun_has_key(l, l->key)) /* registered still, and nobody holds: reserved again next */
		key = l->key;
	if (!arbiter_key_own(a, key) || !arbiter_rule(a, ARBITER_RULE_RESTART_ADOPT, 0, key)) {
		owner_depose(a, ARBITER_RULE_OWNER_DEPOSED);
		return;
	}
	for (uint16_t i = 0; i < a->config.lun_count; i++) {
		struct arbiter_lun *m = &a->luns[i];

		m->key = i == 0 ? key : arbiter_key_as(a, key, KEY_KIND_MEMBER);
		for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
			if (m->nexus[n].registered)
				m->nexus[n].key = m->key;
		m->phase = LUN_OWNED;
		lun_look_now(a, i);
	}
	a->members_owned = a->config.lun_count; /* until their looks say otherwise; a gate that is
						   held waits for these */
	if (key >> 32 == arbiter_key_as(a, key, KEY_KIND_OFFER) >> 32) { /* died while offering */
		l->phase = LUN_OFFERED;
		l->seat = lun_nexus_up(l, true);
		owner_offered(a);
	}
	arbiter_service_update(a); /* the last daemon may have died before it started it */
}

static void judge_offering(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t holder = lun_holder(l);

	if (holder != 0 && holder != l->key) { /* taken: that is what it was for */
		owner_depose(a, ARBITER_RULE_COUNT);
	} else if (holder == 0 && lun_has_key(l, l->key) && l->phase == LUN_OFFERED) {
		l->victim = 0;
		lun_set_phase(a, 0, LUN_SEIZE);
		lun_drive(a, 0);
	} else if (holder == 0 && l->phase == LUN_OFFERED) {
		standby_enter(a, ARBITER_RULE_COUNT);
	} else {
		lun_drive(a, 0);
	}
}

static void gate_hold_over(struct arbiter *a)
{
	if (!(a->hold & HOLD_GATE))
		return;
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		if (a->luns[i].look_began_ms < a->hold_since_ms || !lun_holds(&a->luns[i])) {
			if (a->luns[i].look_began_ms < a->hold_since_ms)
				lun_look_now(a, i);
			return;
		}
	a->hold &= ~(unsigned)HOLD_GATE;
	arbiter_gate_update(a);
}

static void storage_returned(struct arbiter *a)
{
	if (!(a->hold & HOLD_LOST) ||
	    !arbiter_rule(a, ARBITER_RULE_CUT_OFF_RETURN, 0, a->luns[0].key))
		return;
	a->hold &= ~(unsigned)HOLD_LOST;
	arbiter_alarm_clear(a, ARBITER_ALARM_CUT_OFF);
	if (a->state == ARBITER_STATE_CUT_OFF) {
		bool complete = a->members_owned == a->config.lun_count;

		a->members_progress_ms = a->now_ms; /* nothing could progress meanwhile */
		arbiter_set_state(a,
				  a->yield                        ? ARBITER_STATE_YIELDING
				  : !complete                     ? ARBITER_STATE_TAKING
				  : a->luns[0].phase == LUN_OWNED ? ARBITER_STATE_OWNER
								  : ARBITER_STATE_REASSERTING,
				  ARBITER_RULE_CUT_OFF_RETURN);
	}
	arbiter_gate_update(a);
	arbiter_service_update(a);
}

/* The last look showed no other key of the cluster. */
static bool is_alone(const struct arbiter *a, const struct arbiter_lun *l)
{
	for (uint8_t k = 0; k < l->look.key_count; k++)
		if (l->look.keys[k] != l->key && arbiter_key_ours(a, l->look.keys[k]))
			return false;
	return true;
}

void owner_judge(struct arbiter *a, bool news)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t holder = lun_holder(l);

	if (!news)
		return;
	if (a->adopting)
		adopt(a);
	if (!arbiter_is_owning(a))
		return;
	if (a->state == ARBITER_STATE_OFFERING) {
		judge_offering(a);
		return;
	}
	if (l->phase == LUN_REGISTER ||
	    l->phase == LUN_SEIZE) { /* being renewed; has somebody else come first? */
		if (holder != 0 && holder != l->victim && !arbiter_key_own(a, holder) &&
		    !owner_was_preempted(a, holder))
			owner_depose(a, ARBITER_RULE_OWNER_DEPOSED);
		else
			l->victim = l->phase == LUN_REGISTER ? holder : l->victim;
		lun_drive(a, 0);
		return;
	}
	if (l->phase == LUN_CONFIRM || l->phase == LUN_REKEY) {
		lun_drive(a, 0);
		return;
	}
	if (!lun_holds(l)) {
		owner_not_holding(a, 0);
		return;
	}
	if (is_alone(a, l))
		a->good_ms = l->look_began_ms;
	arbiter_alarm_clear(a, ARBITER_ALARM_RESERVATION_LOST);
	storage_returned(a);
	for (uint16_t i = 1; i < a->config.lun_count;
	     i++) /* before an order makes this look an old one */
		if (a->luns[i].phase == LUN_SURVEY)
			lun_drive(a, i);
	judge_nexuses(a, 0);
	gate_hold_over(a);
	arbiter_gate_update(a);
	arbiter_service_update(a);
	lun_drive(a, 0);
	owner_yield_drive(a);
}

void owner_judge_member(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->phase != LUN_OWNED) {
		lun_drive(a, i);
		return;
	}
	if (lun_holds(l)) {
		judge_nexuses(a, i);
		gate_hold_over(a);
		lun_drive(a, i);
		return;
	}
	if (a->state == ARBITER_STATE_OFFERING ||
	    (a->state == ARBITER_STATE_YIELDING && a->service == ARBITER_SERVICE_STOPPED))
		return;                /* it will be taken, or given up, with the leader */
	if (!lun_holds(&a->luns[0])) { /* the leader first */
		lun_look_now(a, 0);
		return;
	}
	owner_not_holding(a, i);
}

/* --- winning --- */

void owner_won(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];

	remember_preempted(a, l->victim);
	storage_returned(a);
	arbiter_alarm_clear(a, ARBITER_ALARM_MEMBERS_MISSING);
	if (a->state != ARBITER_STATE_SEIZING && a->state != ARBITER_STATE_TAKING)
		return;
	a->good_ms = l->look_began_ms;
	arbiter_set_state(a, ARBITER_STATE_TAKING, a->reason);
	a->reason_set = a->operator_asked = a->take_asked = a->suspect = a->skip_window = false;
	a->request_until_ms = 0;
	a->hold = 0;
	a->gate_broken = false;
	a->members_progress_ms = a->now_ms;
	a->members_slow_ms = l->slow_ms;
	if (!arbiter_rule(a, ARBITER_RULE_CHALLENGE_TAKE_MEMBERS, 0, l->key))
		return;
	for (uint16_t i = 1; i < a->config.lun_count; i++) {
		struct arbiter_lun *m = &a->luns[i];

		m->old_key = m->key;
		m->key = arbiter_key_as(a, l->key, KEY_KIND_MEMBER);
		m->phase = LUN_IDLE;
		if (l->victim != 0 && lun_holder(m) != 0 &&
		    arbiter_key_same_claim(lun_holder(m), l->victim)) {
			/* The predecessor's, as seen while it owned: no need to look again. Should
			 * it be another by now, the PREEMPT of this one ends in a conflict, and
			 * that in a survey. */
			m->victim = lun_holder(m);
			for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
				m->nexus[n].registered = false;
			lun_set_phase(a, i, LUN_REGISTER);
		} else {
			lun_set_phase(a, i, LUN_SURVEY);
		}
		lun_drive(a, i);
	}
}

void owner_lun_owned(struct arbiter *a, uint16_t i)
{
	if (i != 0)
		a->luns[i].next_look_ms = a->now_ms + (uint64_t)a->config.defend_ms *
							      a->config.member_factor * i /
							      a->config.lun_count;
	a->members_progress_ms = a->now_ms;
	owner_check_complete(a);
}

static bool nexus_is_missing(const struct arbiter *a, const struct arbiter_lun *l)
{
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		const struct arbiter_nexus *x = &l->nexus[n];

		if (x->up && !(x->registered && x->key == l->key) && x->retry_ms <= a->now_ms)
			return true;
	}
	return false;
}

void owner_check_complete(struct arbiter *a)
{
	uint16_t owned = 0;

	for (uint16_t i = 0; i < a->config.lun_count; i++)
		owned = (uint16_t)(owned + (a->luns[i].phase == LUN_OWNED));
	a->members_owned = owned;
	if (owned != a->config.lun_count &&
	    !(a->luns[0].phase == LUN_OWNED && a->luns[a->config.lun_count - 1].phase == LUN_IDLE))
		return;
	for (uint16_t i = 0; (a->hold & HOLD_NEXUS) && i < a->config.lun_count; i++)
		if (nexus_is_missing(a, &a->luns[i])) {
			lun_look_now(a, i); /* which has it registered */
			return;
		}
	a->hold &= ~(unsigned)(HOLD_RENEW | HOLD_NEXUS);
	if (a->state == ARBITER_STATE_TAKING || a->state == ARBITER_STATE_REASSERTING) {
		arbiter_strike_replaced(a);
		arbiter_set_state(a, a->yield ? ARBITER_STATE_YIELDING : ARBITER_STATE_OWNER,
				  a->state == ARBITER_STATE_TAKING ? a->reason
								   : ARBITER_RULE_COUNT);
	}
	arbiter_gate_update(a);
	arbiter_service_update(a);
	owner_yield_drive(a);
}

/* --- handing over --- */

void owner_grant(struct arbiter *a, uint64_t request)
{
	struct key key;

	if (a->maintenance || !a->config.grant_requests || a->yield || !key_decode(&key, request) ||
	    a->config.rank_of[key.node] == 255)
		return;
	owner_yield(a, key.node, ARBITER_RULE_OWNER_GRANT_REQUEST);
}

void owner_yield(struct arbiter *a, uint8_t node, enum arbiter_rule rule)
{
	a->yield = true;
	a->offer_to = node;
	if (a->state == ARBITER_STATE_OWNER || a->state == ARBITER_STATE_TAKING)
		arbiter_set_state(a, ARBITER_STATE_YIELDING, rule);
	arbiter_service_update(a);
	owner_yield_drive(a);
}

void owner_yield_drive(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];

	/* A stop that is overdue does not keep the LUN: its gate is failed, so nothing of it can
	 * write any more. */
	if (a->state != ARBITER_STATE_YIELDING ||
	    (a->service != ARBITER_SERVICE_STOPPED && (!a->stop_overdue || a->release)))
		return;
	arbiter_gate_update(a);
	if (a->gate != ARBITER_GATE_FAILED || !a->quiet || l->phase != LUN_OWNED)
		return;
	for (uint16_t i = 1; i < a->config.lun_count; i++)
		if (a->release || a->luns[i].phase != LUN_OWNED)
			lun_leave(a, i);
	if (a->release) {
		a->yield = a->release = false;
		standby_enter(a, ARBITER_RULE_COUNT);
		return;
	}
	lun_set_phase(a, 0, LUN_SHRINK);
	lun_drive(a, 0);
}

void owner_offered(struct arbiter *a)
{
	uint32_t wait = a->config.request_ms;

	if (a->shutdown)
		wait = (2 * a->config.probe_ms > a->config.window_ms ? 2 * a->config.probe_ms
								     : a->config.window_ms) +
		       a->config.window_ms;
	a->yield = false;
	a->offer_until_ms = a->now_ms + wait;
	arbiter_set_state(a, ARBITER_STATE_OFFERING, ARBITER_RULE_COUNT);
	arbiter_gate_update(a);
}

static void offer_expired(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];

	if (l->phase != LUN_OFFERED || l->order.id != 0)
		return;
	if (a->shutdown) {
		standby_enter(a, ARBITER_RULE_COUNT);
		return;
	}
	a->offer_until_ms = a->now_ms + a->config.request_ms;
	if (a->fit && a->service == ARBITER_SERVICE_STOPPED && a->cool_until_ms <= a->now_ms &&
	    arbiter_rule(a, ARBITER_RULE_OWNER_OFFER_EXPIRED, 0, l->key)) {
		arbiter_set_state(a, ARBITER_STATE_TAKING, ARBITER_RULE_OWNER_OFFER_EXPIRED);
		a->reason = ARBITER_RULE_OWNER_OFFER_EXPIRED;
		a->members_owned = 0;
		lun_renew(a, 0, arbiter_key_fresh(a, KEY_KIND_CLAIM), l->key);
		lun_drive(a, 0);
	} else if (a->offer_to != KEY_NODE_ANY) {
		a->offer_to = KEY_NODE_ANY;
		l->phase = LUN_SHRINK;
		lun_drive(a, 0);
	}
}

/* --- time --- */

uint64_t owner_members_patience_ms(const struct arbiter *a)
{
	uint64_t ms = 4 * (uint64_t)a->config.window_ms;

	if (a->config.loss_ms / 2 > ms)
		ms = a->config.loss_ms / 2;
	if (16 * (uint64_t)a->members_slow_ms >
	    ms) /* so many commands follow each other for one LUN */
		ms = 16 * (uint64_t)a->members_slow_ms;
	return ms;
}

static uint64_t members_until(const struct arbiter *a)
{
	return a->members_progress_ms + owner_members_patience_ms(a);
}

/* The whole array may have stalled: then that time does not count against the members, whose
 * answers come with the leader's or after. */
void owner_stalled(struct arbiter *a, uint64_t gap_ms)
{
	if (gap_ms <= 2 * (uint64_t)a->config.defend_ms)
		return;
	for (uint16_t i = 1; i < a->config.lun_count; i++) {
		struct arbiter_lun *l = &a->luns[i];

		l->contact_ms =
			l->contact_ms + gap_ms < a->now_ms ? l->contact_ms + gap_ms : a->now_ms;
		if (l->unanswered > 0) { /* and has not to wait for its turn */
			l->unanswered = 0;
			l->next_look_ms = a->now_ms;
			a->members_wake_ms = a->now_ms;
		}
	}
	a->members_progress_ms = a->members_progress_ms + gap_ms < a->now_ms
					 ? a->members_progress_ms + gap_ms
					 : a->now_ms;
}

static void check_members(struct arbiter *a)
{
	bool stalled = a->luns[0].contact_ms + 2 * (uint64_t)a->config.defend_ms < a->now_ms;

	uint64_t tolerance =
		a->config.loss_ms + (uint64_t)a->config.defend_ms * a->config.member_factor;

	if (stalled)
		return;
	if (a->state == ARBITER_STATE_TAKING && a->luns[0].phase == LUN_OWNED &&
	    members_until(a) <= a->now_ms &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_MEMBERS_MISSING, 0, 0)) {
		a->cool_until_ms = a->now_ms + a->config.cooldown_ms;
		arbiter_alarm(a, ARBITER_ALARM_MEMBERS_MISSING, 0, 0);
		owner_yield(a, KEY_NODE_ANY, ARBITER_RULE_CHALLENGE_MEMBERS_MISSING);
		return;
	}
	if (a->state != ARBITER_STATE_OWNER || a->maintenance || a->now_ms < a->members_due_ms)
		return;
	a->members_due_ms = a->now_ms + a->config.loss_ms / 4;
	for (uint16_t i = 1; i < a->config.lun_count; i++)
		if (a->luns[i].contact_ms + tolerance < a->now_ms &&
		    arbiter_rule(a, ARBITER_RULE_OWNER_UNFIT_OFFERS, i, 0)) {
			a->cool_until_ms = a->now_ms + a->config.cooldown_ms;
			owner_yield(a, KEY_NODE_ANY, ARBITER_RULE_OWNER_UNFIT_OFFERS);
			return;
		}
}

void owner_tick(struct arbiter *a)
{
	if (!arbiter_is_owning(a))
		return;
	if (a->luns[0].contact_ms + a->config.loss_ms <= a->now_ms)
		cut_off(a);
	if (a->state == ARBITER_STATE_OFFERING && a->offer_until_ms <= a->now_ms)
		offer_expired(a);
	check_members(a);
	if ((a->hold & HOLD_LOST) && a->hold_since_ms + a->config.loss_ms / 2 <= a->now_ms)
		arbiter_gate_update(a);
	if (arbiter_is_owning(a) && a->state != ARBITER_STATE_OFFERING)
		owner_yield_drive(a);
}

static uint64_t sooner(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

uint64_t owner_deadline(const struct arbiter *a)
{
	uint64_t due = NEVER;

	if (!arbiter_is_owning(a))
		return NEVER;
	if (a->state != ARBITER_STATE_CUT_OFF && a->state != ARBITER_STATE_OFFERING)
		due = a->luns[0].contact_ms + a->config.loss_ms;
	if (a->state == ARBITER_STATE_OFFERING)
		due = sooner(due, a->offer_until_ms);
	if (a->state == ARBITER_STATE_TAKING)
		due = sooner(due, members_until(a));
	if ((a->hold & HOLD_LOST) && a->gate_wanted == ARBITER_GATE_HELD)
		due = sooner(due, a->hold_since_ms + a->config.loss_ms / 2);
	return due;
}
