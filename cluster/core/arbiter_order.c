/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Orders to one LUN: PERSISTENT RESERVE OUT and LOGICAL UNIT RESET, one at a time, and what their
 * outcomes make us believe.
 */
#include <string.h>

#include "cluster/core/arbiter_private.h"

uint8_t lun_nexus_up(const struct arbiter_lun *l, bool registered)
{
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		const struct arbiter_nexus *x = &l->nexus[n];

		if (x->up && (!registered || (x->registered && x->key == l->key)))
			return n;
	}
	return NO_NEXUS;
}

uint8_t lun_nexus_missing(const struct arbiter *a, const struct arbiter_lun *l)
{
	bool none = lun_nexus_up(l, true) == NO_NEXUS;
	uint8_t found = NO_NEXUS;

	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		const struct arbiter_nexus *x = &l->nexus[n];

		if (!x->up || (x->registered && x->key == l->key) ||
		    (x->retry_ms > a->now_ms && !none))
			continue;
		if (found == NO_NEXUS || (none && x->retry_ms < l->nexus[found].retry_ms))
			found = n;
	}
	return found;
}

/* The next nexus that is up, after `n` and around. */
uint8_t lun_nexus_after(const struct arbiter_lun *l, uint8_t n)
{
	for (uint8_t k = 1; k <= ARBITER_NEXUSES_MAX; k++) {
		uint8_t next = (uint8_t)((n + k) % ARBITER_NEXUSES_MAX);

		if (l->nexus[next].up)
			return next;
	}
	return NO_NEXUS;
}

/* Twice the defend interval, more where the array answers slowly or did not answer at all. A member
 * that has been slow once, perhaps long ago, does not use up all the time that a winner has. */
static uint32_t give_up_ms(const struct arbiter *a, const struct arbiter_lun *l)
{
	uint64_t ms = 2 * (uint64_t)a->config.defend_ms;

	if (4 * (uint64_t)l->slow_ms > ms)
		ms = 4 * (uint64_t)l->slow_ms;
	if (l != &a->luns[0] && a->state == ARBITER_STATE_TAKING &&
	    ms > owner_members_patience_ms(a) / 4)
		ms = owner_members_patience_ms(a) / 4;
	ms <<= l->unknowns < 6 ? l->unknowns : 6;
	return (uint32_t)(ms > a->config.loss_ms ? a->config.loss_ms : ms);
}

static void send_any(struct arbiter *a, struct arbiter_effect *effect)
{
	struct arbiter_lun *l = &a->luns[effect->lun];

	effect->id = a->next_id++;
	if (a->next_id == 0)
		a->next_id = 1;
	effect->order.give_up_ms = give_up_ms(a, l);
	l->order.id = effect->id;
	l->order.reset = effect->kind == ARBITER_EFFECT_RESET;
	l->order.nexus = effect->order.nexus;
	l->order.action = effect->order.action;
	l->order.key = effect->order.key;
	l->order.service_key = effect->order.service_key;
	l->order.began_ms = a->now_ms;
	l->epoch++;
	effort_sent(a, l);
	arbiter_emit(a, effect);
}

void lun_order_send(struct arbiter *a, uint16_t i, uint8_t nexus, enum pr_out_action action,
		    uint64_t key, uint64_t service_key)
{
	struct arbiter_effect effect = {
		.kind = ARBITER_EFFECT_ORDER,
		.lun = i,
		.order = {.nexus = nexus, .action = action, .key = key, .service_key = service_key},
	};

	send_any(a, &effect);
}

void lun_reset_send(struct arbiter *a, uint16_t i, uint8_t nexus)
{
	struct arbiter_effect effect = {
		.kind = ARBITER_EFFECT_RESET, .lun = i, .order = {.nexus = nexus}};

	send_any(a, &effect);
}

/* Which key the nexus may bear now, in the order of likelihood; false when all were tried. */
static bool expected_key(const struct arbiter_lun *l, const struct arbiter_nexus *x, uint8_t which,
			 uint64_t *expected)
{
	uint64_t likely[4] = {x->key, 0, l->key, l->old_key};

	if (!x->registered && x->fresh) {
		likely[0] = 0;
		likely[1] = x->key;
	}
	for (size_t k = 0; k < 4; k++) {
		bool before = false;

		for (size_t j = 0; j < k; j++)
			before = before || likely[j] == likely[k];
		if (before)
			continue;
		if (which-- == 0) {
			*expected = likely[k];
			return true;
		}
	}
	return false;
}

void lun_register_send(struct arbiter *a, uint16_t i, uint8_t n)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t expected;

	l->tries++;
	l->defended = 0;
	if (expected_key(l, &l->nexus[n], l->expect, &expected)) {
		lun_order_send(a, i, n, PR_OUT_REGISTER, expected, l->key);
	} else { /* a key that nobody here knows of; we are quiet, so it may be overwritten */
		l->expect = 0;
		lun_order_send(a, i, n, PR_OUT_REGISTER_AND_IGNORE, 0, l->key);
	}
}

/* Nothing on this node writes while it registers. */
bool lun_gate_is_quiet(const struct arbiter *a)
{
	return a->gate != ARBITER_GATE_OPEN && a->gate_wanted != ARBITER_GATE_OPEN && a->quiet;
}

bool lun_may_register(struct arbiter *a)
{
	if (lun_gate_is_quiet(a))
		return true;
	if (!arbiter_rule(a,
			  arbiter_is_owning(a) ? ARBITER_RULE_OWNER_HOLD_FOR_NEXUS
					       : ARBITER_RULE_CHALLENGE_QUIET_FIRST,
			  0, 0))
		return true;
	if (arbiter_is_owning(a)) {
		a->hold |= HOLD_RENEW;
		arbiter_gate_update(a);
	}
	return false;
}

void lun_forget_key(struct arbiter_lun *l, uint64_t key)
{
	uint8_t kept = 0;

	for (uint8_t k = 0; k < l->look.key_count; k++)
		if (l->look.keys[k] != key)
			l->look.keys[kept++] = l->look.keys[k];
	l->look.key_count = kept;
}

static bool registers(enum pr_out_action action)
{
	return action == PR_OUT_REGISTER || action == PR_OUT_REGISTER_AND_IGNORE;
}

static void believe_order(struct arbiter *a, struct arbiter_lun *l, enum scsi_outcome outcome)
{
	struct arbiter_nexus *x = &l->nexus[l->order.nexus];
	(void)a;
	if (registers(l->order.action) && outcome == SCSI_OUTCOME_OK) {
		x->registered = l->order.service_key != 0;
		x->key = x->sure = l->order.service_key;
		x->fresh = false;
	} else if (registers(l->order.action) && outcome == SCSI_OUTCOME_UNKNOWN) {
		if (l->order.service_key != 0) {
			x->registered =
				false; /* with it, with what was there before, or not at all */
			x->key = l->order.service_key;
			x->sure = 0;
		}
	} else if (l->order.action == PR_OUT_PREEMPT ||
		   l->order.action == PR_OUT_PREEMPT_AND_ABORT) {
		if (outcome == SCSI_OUTCOME_OK)
			for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
				if (n != l->order.nexus &&
				    l->nexus[n].key == l->order.service_key) {
					l->nexus[n].registered = false;
					l->nexus[n].key = 0;
				}
		lun_forget_key(l, l->order.service_key);
	}
}

bool lun_needs_reset(const struct arbiter_lun *l)
{
	bool unsettled = false;

	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		unsettled = unsettled || l->nexus[n].unsettled;
	return l->need_reset || unsettled;
}

void lun_reset_over(struct arbiter_lun *l)
{
	l->need_reset = false;
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
		l->nexus[n].unsettled = false;
}

static void ordered_reset(struct arbiter_lun *l, enum scsi_outcome outcome, bool unusable)
{
	l->tries++;
	if (outcome == SCSI_OUTCOME_OK) {
		lun_reset_over(l);
		l->was_reset = true;
	} else if (l->tries >= 2 * SEIZE_TRIES && !l->no_abort) {
		lun_reset_over(l); /* PREEMPT AND ABORT has done most of it */
	} else if (outcome == SCSI_OUTCOME_UNKNOWN || unusable) {
		l->seat_holds = l->seat_holds && l->seat == l->order.nexus;
	} else if (l->tries >= SEIZE_TRIES) {
		lun_reset_over(l); /* the target refuses resets: nothing more can be done */
	}
}

static void ordered_register(struct arbiter *a, uint16_t i, enum scsi_outcome outcome,
			     bool unusable)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = l->order.nexus;

	if (l->order.service_key == 0) { /* leaving */
		if (outcome != SCSI_OUTCOME_UNKNOWN) {
			l->nexus[n].registered = false;
			l->nexus[n].key = 0;
		}
		return;
	}
	if (outcome == SCSI_OUTCOME_UNKNOWN)
		l->nexus[n].unsettled = l->register_unknown = true;
	if (outcome == SCSI_OUTCOME_CONFLICT && l->phase == LUN_LEAVE) {
		l->nexus[n].key = 0; /* what it does bear, a look will tell */
	} else if (outcome == SCSI_OUTCOME_CONFLICT) {
		if (l->phase == LUN_REKEY) /* it does not bear what it was taken to bear */
			l->nexus[n].registered = false;
		l->expect++;
	} else if (outcome != SCSI_OUTCOME_OK) {
		if (unusable || l->tries >= REGISTER_TRIES / 2)
			l->nexus[n].retry_ms = a->now_ms + 20 * (uint64_t)a->config.defend_ms;
		if (l->phase == LUN_REGISTER)
			l->seat = lun_nexus_after(l, n);
	}
	if (l->phase == LUN_REGISTER && outcome == SCSI_OUTCOME_OK) {
		l->seat = n;
		/* A nexus that bore the holder's key may have been the holder: re-keyed, it still
		 * is. Whoever came to hold so may have died before its reset. */
		l->need_reset = l->need_reset || a->state != ARBITER_STATE_OWNER;
		lun_set_phase(a, i,
			      l->victim != 0 && l->order.key == l->victim ? LUN_CONFIRM
									  : LUN_SEIZE);
		if (i == 0)
			challenger_registered(a);
	} else if (l->phase == LUN_SPREAD && outcome == SCSI_OUTCOME_OK) {
		uint8_t registered = 0;

		for (uint8_t k = 0; k < ARBITER_NEXUSES_MAX; k++)
			registered = (uint8_t)(registered + (l->nexus[k].registered &&
							     l->nexus[k].key == l->key));
		l->orphan = l->orphan ||
			    (l->order.key == 0 && registered == 1 && lun_has_key(l, l->key));
		l->tries = 0;
		l->expect = 0;
	} else if (l->phase == LUN_REKEY && outcome == SCSI_OUTCOME_OK) {
		lun_look_now(a, i); /* which decides */
	} else if (l->tries >= REGISTER_TRIES) {
		l->tries = 0;
		l->expect = 0;
		l->nexus[n].retry_ms = a->now_ms + 20 * (uint64_t)a->config.defend_ms;
		if (i == 0 &&
		    (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING ||
		     a->state == ARBITER_STATE_REQUESTING))
			challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
	}
}

static void ordered_preempt(struct arbiter *a, uint16_t i, enum scsi_outcome outcome, bool illegal)
{
	struct arbiter_lun *l = &a->luns[i];

	if (outcome != SCSI_OUTCOME_OK)
		l->defended = 0;
	/* Whatever it was for: it may take the LUN yet. */
	if (outcome == SCSI_OUTCOME_UNKNOWN &&
	    (l->order.action == PR_OUT_RESERVE || !lun_holds(l) || l->phase == LUN_SEIZE)) {
		l->nexus[l->order.nexus].in_doubt = true;
		l->nexus[l->order.nexus].sure = 0;
	}
	if (outcome == SCSI_OUTCOME_FAILED && illegal &&
	    l->order.action == PR_OUT_PREEMPT_AND_ABORT) {
		l->no_abort = true; /* said again, without */
		return;
	}
	if (l->phase == LUN_SEIZE) {
		/* ABORT drops the victim's commands, not those that were let in while nobody held,
		 * nor those that a node between the two left behind when it died before its own
		 * reset: a winner resets. But where the LUN is never free, each takeover has
		 * aborted what the one before it left, and nothing is in the way of the gate
		 * (docs/arbitration.md). */
		if (l->order.action == PR_OUT_PREEMPT_AND_ABORT && outcome == SCSI_OUTCOME_OK &&
		    l->look.persistent)
			l->need_reset = false;
		else if (a->state != ARBITER_STATE_OWNER || (l->victim != 0 && l->no_abort))
			l->need_reset = true;
		if (i != 0 && outcome == SCSI_OUTCOME_CONFLICT &&
		    arbiter_rule(a, ARBITER_RULE_CHALLENGE_MEMBER_CONFLICT, i, l->victim)) {
			lun_look_now(a, 0);
			lun_set_phase(a, i, LUN_SURVEY);
			return;
		}
		l->tries++;
		l->phase = LUN_CONFIRM; /* tries are counted over both */
	} else if (l->phase == LUN_CLEAN && l->no_abort && !l->was_reset) {
		l->need_reset = true;
	} else if (l->phase == LUN_SHRINK && outcome == SCSI_OUTCOME_OK) {
		l->seat = l->order.nexus; /* alone now, and the holder: it is re-keyed next */
		l->seat_holds = true;
	} else if (l->phase == LUN_SHRINK && outcome == SCSI_OUTCOME_CONFLICT) {
		l->nexus[l->order.nexus].registered = false; /* it bears another key, or none */
	}
}

void lun_ordered(struct arbiter *a, const struct arbiter_event *event)
{
	uint16_t i = event->ordered.lun;
	enum scsi_outcome outcome = event->ordered.outcome;
	struct arbiter_lun *l;
	uint32_t took;

	if (i >= a->config.lun_count || event->ordered.id == 0 ||
	    a->luns[i].order.id != event->ordered.id)
		return;
	l = &a->luns[i];
	took = (uint32_t)(a->now_ms - l->order.began_ms);
	l->order.id = 0;
	l->epoch++;
	if (outcome == SCSI_OUTCOME_UNKNOWN)
		l->unknowns++;
	else
		l->unknowns = 0;
	l->failures = outcome == SCSI_OUTCOME_OK ? 0 : (uint8_t)(l->failures + (l->failures < 255));
	if (l->failures >= FAILURES_IN_A_ROW)
		l->wait_ms = a->now_ms + a->config.defend_ms / 2 + 1;
	if (i != 0 && l->wait_ms > a->now_ms)
		a->members_wake_ms = a->now_ms;
	if (outcome == SCSI_OUTCOME_OK && took > l->slow_ms)
		l->slow_ms = took;
	if (outcome == SCSI_OUTCOME_OK && took > a->members_slow_ms)
		a->members_slow_ms = took;
	if (l->order.reset) {
		ordered_reset(l, outcome, event->ordered.path_unusable);
	} else {
		effort_ended(a, i, outcome, event->ordered.path_unusable);
		if (registers(l->order.action))
			l->register_epoch = l->epoch;
		believe_order(a, l, outcome);
		if (registers(l->order.action))
			ordered_register(a, i, outcome, event->ordered.path_unusable);
		else
			ordered_preempt(a, i, outcome, event->ordered.illegal_request);
	}
	if (outcome != SCSI_OUTCOME_OK &&
	    arbiter_rule(a, ARBITER_RULE_OWNER_LOOK_AFTER_OUTCOME, i, 0))
		lun_look_now(a, i);
}
