/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One LUN of a group: the way from IDLE to OWNED and back, which the leader and every member go
 * alike. See the diagram in arbiter_private.h.
 */
#include "cluster/core/arbiter_private.h"

void lun_set_phase(struct arbiter *a, uint16_t i, enum lun_phase phase)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->phase == phase)
		return;
	l->phase = phase;
	l->tries = 0;
	l->expect = 0;
	a->members_wake_ms = a->now_ms;
	l->surveyed = false;
	l->defended = 0;
	if (phase == LUN_SURVEY) /* as it is now, however long it has been left alone */
		l->look_seen = false;
	if (phase == LUN_WINDOW || phase == LUN_IDLE)
		l->next_look_ms = a->now_ms;
}
static bool phase_defends(enum lun_phase phase)
{
	return phase == LUN_SPREAD || phase == LUN_CLEAN || phase == LUN_OWNED ||
	       phase == LUN_SHRINK || phase == LUN_OFFERED || phase == LUN_RESET;
}

/* One PREEMPT against whoever the last look showed beside us; true when one was sent. */
static bool lun_defend(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	enum arbiter_rule rule;
	uint64_t victim = owner_next_victim(a, i, &rule);
	uint8_t n = lun_nexus_up(l, true);
	bool abort = rule != ARBITER_RULE_OWNER_TURN_AWAY &&
		     rule != ARBITER_RULE_OWNER_GRANT_REQUEST && !l->no_abort;

	if (victim == 0 && l->effort.stuck && l->phase != LUN_OWNED && l->phase != LUN_OFFERED)
		return true; /* until a look shows that it has gone */
	if (victim == 0 || n == NO_NEXUS)
		return false;
	if ((int32_t)(l->look_epoch - l->register_epoch) < 0) {
		/* Preempted meanwhile, that REGISTER has let us in again, and this would take the
		 * LUN from its new owner. */
		lun_look_now(a, i);
		return true;
	}
	if (l->unknowns > 0) /* the last one got no answer: by another path */
		for (uint8_t k = 0; k < l->unknowns; k++)
			for (n = lun_nexus_after(l, n);
			     !l->nexus[n].registered || l->nexus[n].key != l->key;)
				n = lun_nexus_after(l, n);
	if (!arbiter_rule(a, rule, i, victim)) {
		lun_forget_key(l, victim);
		return false;
	}
	if (rule == ARBITER_RULE_OWNER_GRANT_REQUEST)
		owner_grant(a, victim);
	l->defended = (uint8_t)(l->defended + (l->defended < 255));
	lun_order_send(a, i, n, abort ? PR_OUT_PREEMPT_AND_ABORT : PR_OUT_PREEMPT, l->key, victim);
	return true;
}

/* Whom to take this LUN from. Only what was found there before a look at the leader that still
 * shows us as its holder can be anybody older than us; what is found later may be our successor's,
 * if we were away. */
static void drive_survey(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t holder = lun_holder(l);

	if (!lun_is_fresh(l)) {
		lun_look_now(a, i);
		return;
	}
	if (holder != 0 && !arbiter_key_ours(a, holder)) {
		alarm_foreign_holder(a, i, holder);
		return;
	}
	if (holder != 0 && !arbiter_key_own(a, holder) && (holder >> 32 & 0xf) == KEY_KIND_CLAIM) {
		/* The leader of somebody who may be well and has not been challenged. */
		arbiter_alarm(a, ARBITER_ALARM_MEMBER_KEY, i, holder);
		if (arbiter_rule(a, ARBITER_RULE_CHALLENGE_MEMBER_KEY, i, holder))
			return;
	}
	if (!l->surveyed || holder != l->victim) {
		l->surveyed = true;
		l->victim = holder;
		l->survey_id = a->next_id;
	}
	if ((int32_t)(a->luns[0].look_id - l->survey_id) < 0 || !lun_holds(&a->luns[0])) {
		lun_look_now(a, 0);
		return;
	}
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX;
	     n++) /* whoever held it in between has removed what there was */
		l->nexus[n].registered = false;
	lun_set_phase(a, i, LUN_REGISTER);
	lun_drive(a, i);
}

static void drive_register(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	bool with_window =
		i == 0 &&
		(a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_REQUESTING) &&
		!a->skip_window;

	if (!lun_may_register(a))
		return;
	if (!with_window && !arbiter_recorded(a, l->key) && /* a re-keyed holder holds at once */
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_RECORD_FIRST, i, l->key))
		return;
	if (l->seat >= ARBITER_NEXUSES_MAX || !l->nexus[l->seat].up)
		l->seat = lun_nexus_up(l, false);
	if (l->seat != NO_NEXUS)
		lun_register_send(a, i, l->seat);
}

static void drive_seize(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true);

	if (n == NO_NEXUS && i == 0 &&
	    !arbiter_is_owning(a)) { /* nor is the window worth anything without it */
		challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
		return;
	}
	if (n == NO_NEXUS) { /* the registered nexus has gone */
		lun_set_phase(a, i, i == 0 ? LUN_REGISTER : LUN_SURVEY);
		l->seat = NO_NEXUS;
		return;
	}
	if (!arbiter_recorded(a, l->key) &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_RECORD_FIRST, i, l->key))
		return;
	l->seat = n;
	/* What the leader's target does not know, the members' mostly does not either; PREEMPT and
	 * a reset do anywhere. */
	l->no_abort = l->no_abort || a->luns[0].no_abort;
	if (l->victim == 0)
		lun_order_send(a, i, n, PR_OUT_RESERVE, l->key, 0);
	else
		lun_order_send(a, i, n, l->no_abort ? PR_OUT_PREEMPT : PR_OUT_PREEMPT_AND_ABORT,
			       l->key, l->victim);
}

/* The key that it bears, or that it may come to bear, may take the LUN yet. */
static bool nexus_may_seize(const struct arbiter_nexus *x)
{
	return x->in_doubt && x->sure != x->key;
}

static bool key_may_seize(const struct arbiter_lun *l)
{
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		if (nexus_may_seize(&l->nexus[n]) && l->nexus[n].key == l->key)
			return true;
	return false;
}

static void confirm_failed(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t holder = lun_holder(l);
	/* A challenger whose remembered holder has gone starts over: whoever has lost the
	 * reservation may take it again. */
	bool same = holder == l->victim || (holder == 0 && i == 0 && arbiter_is_owning(a));
	bool again = l->tries < SEIZE_TRIES && lun_has_key(l, l->key) && same;

	if (again) { /* it did not take effect, or what was preempted left nobody */
		l->victim = holder;
		l->phase = LUN_SEIZE;
		lun_drive(a, i);
	} else if (i != 0) {
		lun_set_phase(a, i, LUN_SURVEY);
		lun_look_now(a, 0);
	} else if (!arbiter_is_owning(a) && key_may_seize(l)) {
		/* It may take effect yet, and unregistering would then free the LUN. Under another
		 * key it cannot. */
		lun_renew(a, i, arbiter_key_fresh(a, KEY_KIND_CLAIM), l->key);
		lun_drive(a, i);
	} else if (arbiter_is_owning(a)) {
		if (holder != 0) {
			owner_depose(a, ARBITER_RULE_OWNER_DEPOSED);
		} else {
			owner_renew(a, i, 0, ARBITER_RULE_OWNER_REASSERT);
		}
	} else {
		challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
	}
}

/* A member that was preempted without ABORT is reset before the look that decides, so that one look
 * does for both. */
static bool confirm_resets(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true);

	if (i == 0 || !lun_needs_reset(l) || l->failures > 0 || n == NO_NEXUS)
		return false;
	if (!arbiter_rule(a, ARBITER_RULE_CHALLENGE_RESET_UNIT, i, l->victim)) {
		lun_reset_over(l);
		return false;
	}
	lun_reset_send(a, i, n);
	return true;
}

static void drive_confirm(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (confirm_resets(a, i))
		return;
	if (arbiter_rule(a, ARBITER_RULE_CHALLENGE_LOOK_DECIDES, i, l->key)) {
		if (!lun_is_fresh(l)) {
			lun_look_now(a, i);
			return;
		}
		if (!lun_holds(l)) {
			confirm_failed(a, i);
			return;
		}
	}
	if (i == 0 && arbiter_is_owning(a) &&
	    !arbiter_key_own(a, l->victim)) /* the way here may have taken long */
		owner_begin_anew_if_stale(a);
	l->seat_holds = true;
	/* It may be that one which took effect late, and the others have been preempted since. */
	for (uint8_t n = 0; l->register_unknown && n < ARBITER_NEXUSES_MAX; n++)
		l->nexus[n].registered = false;
	l->register_unknown = false;
	if (i == 0)
		a->won = l->look;
	if (i == 0 && (l->key >> 32 & 0xf) == KEY_KIND_OFFER) {
		lun_set_phase(a, i, LUN_OFFERED);
		owner_offered(a);
		return;
	}
	lun_set_phase(a, i, LUN_SPREAD);
	if (i == 0)
		owner_won(a);
	lun_drive(a, i);
}

static void drive_spread(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n;

	/* Orders make looks old; whoever only registers does not see who challenges. */
	if (!l->defended && !lun_is_fresh(l) &&
	    a->now_ms - l->look_began_ms >= a->config.defend_ms / 2) {
		lun_look_now(a, i);
		return;
	}
	n = lun_nexus_missing(a, l);
	if (n != NO_NEXUS) {
		if (lun_may_register(a))
			lun_register_send(a, i, n);
		return;
	}
	lun_set_phase(a, i, LUN_CLEAN);
	lun_drive(a, i);
}

/* Whoever challenges without a pause, and there may be several, must not keep the winner from ever
 * being done. */
static bool only_newcomers(const struct arbiter *a, const struct arbiter_lun *l)
{
	struct key key;

	if (l != &a->luns[0] || l->phase != LUN_CLEAN || !lun_is_fresh(l) || a->won.truncated)
		return false;
	for (uint8_t k = 0; k < l->look.key_count; k++) {
		uint64_t value = l->look.keys[k];

		if (value == l->key || !arbiter_key_ours(a, value))
			continue;
		if (arbiter_key_own(a, value) || !key_decode(&key, value) ||
		    key.kind != KEY_KIND_CLAIM)
			return false;
		for (uint8_t j = 0; j < a->won.key_count; j++)
			if (a->won.keys[j] == value)
				return false;
	}
	return true;
}

static void drive_clean(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (!lun_is_fresh(l)) {
		lun_look_now(a, i);
		return;
	}
	if (!lun_holds(l)) {
		owner_not_holding(a, i);
		return;
	}
	if (l->orphan) {
		l->orphan = false;
		owner_renew(a, i, l->key, ARBITER_RULE_OWNER_SWAP_ORPHAN);
		return;
	}
	if (lun_needs_reset(l)) {
		lun_set_phase(a, i, LUN_RESET);
		lun_drive(a, i);
		return;
	}
	l->old_key = 0;
	lun_set_phase(a, i, LUN_OWNED);
	owner_lun_owned(a, i);
}

/* The nexus that was registered has gone on the way, and another is there. */
static void register_anew(struct arbiter *a, uint16_t i)
{
	if (arbiter_is_owning(a) && lun_nexus_up(&a->luns[i], false) != NO_NEXUS)
		owner_renew(a, i, a->luns[i].key, ARBITER_RULE_OWNER_SWAP_ORPHAN);
}

static void drive_reset(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true);

	if (!lun_needs_reset(l)) {
		lun_set_phase(a, i, LUN_CLEAN);
		lun_drive(a, i);
		return;
	}
	if (n == NO_NEXUS) {
		register_anew(a, i);
		return;
	}
	if (!arbiter_rule(a, ARBITER_RULE_CHALLENGE_RESET_UNIT, i, l->victim)) {
		lun_reset_over(l);
		lun_drive(a, i);
		return;
	}
	for (uint8_t k = 0; k < l->tries; k++)
		n = lun_nexus_after(l, n);
	lun_reset_send(a, i, n);
}

static void drive_offer(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true), registered = 0;

	if (n == NO_NEXUS) {
		register_anew(a, i);
		return;
	}
	if (!lun_may_register(a))
		return;
	for (uint8_t k = 0; k < ARBITER_NEXUSES_MAX; k++)
		registered = (uint8_t)(registered +
				       (l->nexus[k].registered && l->nexus[k].key == l->key));
	if (l->phase == LUN_SHRINK && (registered > 1 || !l->seat_holds)) {
		/* SPC-5 5.14.11.3: preempting the own key leaves the preempting nexus alone, as the
		 * holder */
		if (l->tries < SEIZE_TRIES) {
			l->tries++;
			lun_order_send(a, i, n, PR_OUT_PREEMPT, l->key, l->key);
			return;
		}
		l->seat = n;
	}
	if (l->seat >= ARBITER_NEXUSES_MAX || !l->nexus[l->seat].up)
		l->seat = n;
	lun_set_phase(a, i, LUN_REKEY);
	l->old_key = l->key;
	l->key = arbiter_key_as(a, l->key, KEY_KIND_OFFER);
	lun_order_send(a, i, l->seat, PR_OUT_REGISTER, l->old_key, l->key);
}

/* After a REKEY without an answer: a look tells which key holds. */
static void drive_rekey(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (!lun_is_fresh(l)) {
		lun_look_now(a, i);
	} else if (lun_holds(l)) {
		l->nexus[l->seat].registered = true;
		l->nexus[l->seat].key = l->key;
		lun_set_phase(a, i, LUN_CONFIRM);
		lun_drive(a, i);
	} else if (lun_holder(l) == l->old_key) { /* said again, ever more rarely */
		l->key = l->old_key;
		l->phase = LUN_SHRINK;
		lun_drive(a, i);
	} else {
		owner_depose(a, ARBITER_RULE_OWNER_DEPOSED);
	}
}

void lun_leave(struct arbiter *a, uint16_t i)
{
	lun_set_phase(a, i, LUN_LEAVE);
	lun_look_now(a, i);
	lun_drive(a, i);
}

/* One order of drive_leave(). A RESERVE or PREEMPT under this key may take effect yet, and
 * unregistering would then free the LUN: under another key it cannot. */
static void leave_nexus(struct arbiter *a, uint16_t i, uint8_t n)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t key = l->nexus[n].key;

	if (!nexus_may_seize(&l->nexus[n])) {
		l->tries++;
		lun_order_send(a, i, n, PR_OUT_REGISTER, key, 0);
		return;
	}
	if (!lun_gate_is_quiet(a))
		return;
	l->tries++;
	l->old_key = key;
	l->key = arbiter_key_fresh(a, i == 0 ? KEY_KIND_CLAIM : KEY_KIND_MEMBER);
	lun_order_send(a, i, n, PR_OUT_REGISTER, key, l->key);
}

bool lun_is_kept(const struct arbiter *a, const struct arbiter_lun *l)
{
	uint64_t holder = lun_holder(l);
	bool own = holder != 0 && arbiter_key_own(a, holder);

	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		own = own || (holder != 0 && l->nexus[n].key == holder);
	return own && !a->parked && !a->shutdown;
}

/* Removes what is registered with any key of ours on any nexus; what cannot be reached is left to
 * the next owner. */
static void drive_leave(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (!lun_is_fresh(l) && lun_nexus_up(l, false) != NO_NEXUS) {
		lun_look_now(a, i);
		return;
	}
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX && l->tries < LEAVE_TRIES; n++) {
		struct arbiter_nexus *x = &l->nexus[n];

		if (x->key == 0 || (lun_is_fresh(l) && lun_is_kept(a, l)))
			continue;
		if (lun_is_fresh(l) && !lun_has_key(l, x->key)) {
			x->key = 0;
			x->registered = false;
			continue;
		}
		if (!x->up)
			continue;
		leave_nexus(a, i, n);
		return;
	}
	l->key = l->old_key = l->victim = 0;
	l->seat_holds = false;
	lun_set_phase(a, i, LUN_IDLE);
}

void lun_renew(struct arbiter *a, uint16_t i, uint64_t key, uint64_t victim)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->key != 0)
		l->old_key = l->key;
	l->key = key;
	l->victim = victim;
	l->seat_holds = l->orphan = l->was_reset = false;
	l->phase = LUN_IDLE;
	lun_set_phase(a, i, LUN_REGISTER);
}

/* What a target that does not do what it says could be asked for ever. */
static bool phase_is_effort(enum lun_phase phase)
{
	return phase == LUN_SURVEY || phase == LUN_REGISTER || phase == LUN_SEIZE ||
	       phase == LUN_SHRINK;
}

/* Nodes that may challenge, at least one. */
static unsigned others(const struct arbiter *a)
{
	unsigned count = 0;

	for (unsigned node = 1; node <= KEY_NODE_MAX; node++)
		count += a->config.rank_of[node] != 255;
	return count > 2 ? count - 1 : 1;
}

uint64_t lun_wake_ms(const struct arbiter_lun *l)
{
	uint64_t wait = l->wait_ms != 0 ? l->wait_ms : NEVER;
	uint64_t effort = l->effort.wait_ms != 0 ? l->effort.wait_ms : NEVER;

	return wait < effort ? wait : effort;
}

void lun_drive(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->order.id != 0 || l->wait_ms > a->now_ms || a->state == ARBITER_STATE_RELEASED ||
	    effort_exceeds_rate(a, i))
		return;
	if (phase_defends(l->phase) && !only_newcomers(a, l) &&
	    !(l->phase == LUN_SPREAD && l->defended >= others(a) && lun_gate_is_quiet(a)) &&
	    lun_defend(a, i))
		return;
	if (effort_must_wait(a, l) && phase_is_effort(l->phase))
		return;
	switch (l->phase) {
	case LUN_IDLE:
	case LUN_WINDOW:
	case LUN_OWNED:
	case LUN_OFFERED:
		return;
	case LUN_SURVEY:
		drive_survey(a, i);
		return;
	case LUN_REGISTER:
		drive_register(a, i);
		return;
	case LUN_SEIZE:
		drive_seize(a, i);
		return;
	case LUN_RESET:
		drive_reset(a, i);
		return;
	case LUN_CONFIRM:
		drive_confirm(a, i);
		return;
	case LUN_SPREAD:
		drive_spread(a, i);
		return;
	case LUN_CLEAN:
		drive_clean(a, i);
		return;
	case LUN_SHRINK:
		drive_offer(a, i);
		return;
	case LUN_REKEY:
		drive_rekey(a, i);
		return;
	case LUN_LEAVE:
		drive_leave(a, i);
		return;
	}
}
