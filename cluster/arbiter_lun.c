/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One LUN of a group: its looks, its orders (one PR OUT at a time), and the way from IDLE to OWNED and back, which the
 * leader and every member go alike. See the diagram in arbiter_private.h.
 */
#include <string.h>

#include "cluster/arbiter_private.h"

bool lun_is_fresh(const struct arbiter_lun *l)
{
	return l->look_seen && l->look_epoch == l->epoch && l->order.id == 0;
}

bool lun_has_key(const struct arbiter_lun *l, uint64_t key)
{
	for (size_t k = 0; k < l->look.key_count; k++)
		if (l->look.keys[k] == key)
			return true;
	return false;
}

uint64_t lun_holder(const struct arbiter_lun *l)
{
	return l->look_seen && l->look.held ? l->look.holder : 0;
}

bool lun_holds(const struct arbiter_lun *l)
{
	return l->key != 0 && lun_holder(l) == l->key;
}

uint8_t lun_nexus_up(const struct arbiter_lun *l, bool registered)
{
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		const struct arbiter_nexus *x = &l->nexus[n];

		if (x->up && (!registered || (x->registered && x->key == l->key)))
			return n;
	}
	return NO_NEXUS;
}

/* The next nexus that is up, after `n` and around. */
static uint8_t nexus_after(const struct arbiter_lun *l, uint8_t n)
{
	for (uint8_t k = 1; k <= ARBITER_NEXUSES_MAX; k++) {
		uint8_t next = (uint8_t)((n + k) % ARBITER_NEXUSES_MAX);

		if (l->nexus[next].up)
			return next;
	}
	return NO_NEXUS;
}

void lun_set_phase(struct arbiter *a, uint16_t i, enum lun_phase phase)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->phase == phase)
		return;
	l->phase = phase;
	l->tries = 0;
	l->expect = 0;
	a->members_wake_ms = a->now_ms;
	l->surveyed = l->defended = false;
	if (phase == LUN_SURVEY) /* as it is now, however long it has been left alone */
		l->look_seen = false;
	if (phase == LUN_WINDOW || phase == LUN_IDLE)
		l->next_look_ms = a->now_ms;
}

/* --- looks --- */

/* Steady looks of all LUNs and groups of a node fall on one beat, so that the daemon wakes up once for all of them. */
static uint64_t on_the_beat(const struct arbiter *a, uint64_t due_ms, uint32_t period_ms)
{
	if (period_ms < a->config.defend_ms || a->state == ARBITER_STATE_CHALLENGING ||
	    a->state == ARBITER_STATE_REQUESTING)
		return due_ms;
	return due_ms - due_ms % a->config.defend_ms;
}

static uint32_t look_period(const struct arbiter *a, uint16_t i)
{
	uint32_t d = a->config.defend_ms;

	if (a->state == ARBITER_STATE_RELEASED)
		return UINT32_MAX;
	if (i != 0) /* a standby reads them too: one that cannot is not fit to take them */
		return d * a->config.member_factor;
	if (a->state == ARBITER_STATE_CHALLENGING)
		return arbiter_window_ms(a, a->luns[0].victim) / 8;
	if (a->state == ARBITER_STATE_REQUESTING || a->request_until_ms > a->now_ms)
		return arbiter_window_ms(a, lun_holder(&a->luns[0])) / 8;
	return d;
}

/* When an answer is not to be expected any more: later the longer nothing has been answered. */
static uint64_t flight_overdue_ms(const struct arbiter *a, const struct arbiter_lun *l, const struct arbiter_flight *flight)
{
	uint32_t slow = l->slow_ms > a->luns[0].slow_ms ? l->slow_ms : a->luns[0].slow_ms;

	return flight->began_ms + 2 * (uint64_t)slow + ((uint64_t)a->config.defend_ms << (l->unanswered < 8 ? l->unanswered : 8) / 2);
}

static void look_send(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	struct arbiter_flight *flight = &l->flights[0];
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_LOOK, .lun = i};
	/* An owner that stays away for a window is deposed; others have time. */
	unsigned most = arbiter_is_owning(a) && i == 0 ? 2 : 6, doublings = l->unanswered < most ? l->unanswered : most;

	for (size_t k = 1; k < LOOKS_IN_FLIGHT && flight->id != 0; k++)
		if (l->flights[k].id == 0 || l->flights[k].began_ms < flight->began_ms)
			flight = &l->flights[k];
	if (flight->id != 0 && flight->epoch == l->epoch && a->now_ms < flight_overdue_ms(a, l, flight)) {
		/* The array is slow. Late answers count: were the slowest thrown away, only the lucky ones would be seen. */
		l->next_look_ms = a->now_ms + a->config.defend_ms / 2;
		if (i != 0 && l->next_look_ms < a->members_wake_ms)
			a->members_wake_ms = l->next_look_ms;
		return;
	}
	effect.id = a->next_id++;
	effect.look.attempt = l->attempt++;
	effect.look.give_up_ms = a->config.loss_ms;
	*flight = (struct arbiter_flight){.id = effect.id, .epoch = l->epoch, .began_ms = a->now_ms};
	if (a->next_id == 0)
		a->next_id = 1;
	l->unanswered++;
	l->last_sent_ms = a->now_ms;
	l->next_look_ms = a->now_ms + (((uint64_t)a->config.defend_ms / 2) << doublings);
	if (i != 0 && l->next_look_ms < a->members_wake_ms)
		a->members_wake_ms = l->next_look_ms;
	arbiter_emit(a, &effect);
}

void lun_pump_looks(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->next_look_ms > a->now_ms)
		return;
	if (a->state == ARBITER_STATE_RELEASED) {
		l->next_look_ms = NEVER;
		return;
	}
	if (l->unanswered > 0 && arbiter_is_owning(a) && l->look_seen && i == 0 &&
	    !arbiter_rule(a, ARBITER_RULE_OWNER_ASK_AGAIN, i, 0)) {
		l->next_look_ms = NEVER;
		return;
	}
	look_send(a, i);
}

/* A look that began after what has happened last, unless one is on its way that may still be expected to be answered. */
void lun_look_now(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t due = l->no_look_before_ms > a->now_ms ? l->no_look_before_ms : a->now_ms;
	bool asked = false;

	if (l->order.id != 0)
		return;
	for (size_t k = 0; k < LOOKS_IN_FLIGHT; k++) {
		uint64_t overdue = flight_overdue_ms(a, l, &l->flights[k]);

		if (l->flights[k].id == 0 || l->flights[k].epoch != l->epoch)
			continue;
		asked = true;
		if (overdue > due)
			due = overdue;
	}
	if (asked && l->next_look_ms <= due)
		return;
	if (!asked)
		l->unanswered = 0;
	l->next_look_ms = due;
	if (i != 0 && due < a->members_wake_ms)
		a->members_wake_ms = due;
}

void lun_looked(struct arbiter *a, uint16_t i, uint32_t id, const struct arbiter_look *look, bool *news)
{
	struct arbiter_lun *l = &a->luns[i];
	struct arbiter_flight flight = {0};
	uint32_t took, period = look_period(a, i);

	*news = false;
	for (size_t k = 0; k < LOOKS_IN_FLIGHT && flight.id == 0; k++) {
		if (l->flights[k].id != id)
			continue;
		flight = l->flights[k];
		l->flights[k].id = 0;
	}
	if (flight.id == 0)
		return;
	if (!look->ok) { /* lost or refused: asked again when that is due */
		l->no_look_before_ms = l->last_sent_ms + a->config.defend_ms / 2;
		if (l->next_look_ms == NEVER)
			l->next_look_ms = a->now_ms + a->config.defend_ms;
		return;
	}
	took = (uint32_t)(a->now_ms - flight.began_ms);
	l->slow_ms = l->slow_ms - l->slow_ms / 8;
	if (took > l->slow_ms)
		l->slow_ms = took;
	l->unanswered = 0;
	l->no_look_before_ms = 0;
	if (i == 0 && arbiter_is_owning(a))
		owner_stalled(a, a->now_ms - l->contact_ms);
	l->contact_ms = a->now_ms;
	l->next_look_ms = period == UINT32_MAX ? NEVER : on_the_beat(a, l->last_sent_ms + period, period);
	if (i != 0 && l->next_look_ms < a->members_wake_ms)
		a->members_wake_ms = l->next_look_ms;
	if (flight.epoch != l->epoch || l->order.id != 0 || (l->look_seen && flight.began_ms < l->look_began_ms))
		return;
	l->look = *look;
	if (l->look.key_count > ARBITER_LOOK_KEYS_MAX)
		l->look.key_count = ARBITER_LOOK_KEYS_MAX;
	l->look_seen = true;
	l->look_epoch = flight.epoch;
	l->look_id = id;
	l->look_began_ms = flight.began_ms;
	l->look_ended_ms = a->now_ms;
	*news = true;
}

/* --- orders --- */

/* Twice the defend interval, more where the array answers slowly or did not answer at all. */
static uint32_t give_up_ms(const struct arbiter *a, const struct arbiter_lun *l)
{
	uint64_t ms = 2 * (uint64_t)a->config.defend_ms;

	if (4 * (uint64_t)l->slow_ms > ms)
		ms = 4 * (uint64_t)l->slow_ms;
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
	arbiter_emit(a, effect);
}

static void order_send(struct arbiter *a, uint16_t i, uint8_t nexus, enum pr_out_action action, uint64_t key,
		       uint64_t service_key)
{
	struct arbiter_effect effect = {
		.kind = ARBITER_EFFECT_ORDER,
		.lun = i,
		.order = {.nexus = nexus, .action = action, .key = key, .service_key = service_key},
	};

	send_any(a, &effect);
}

static void reset_send(struct arbiter *a, uint16_t i, uint8_t nexus)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_RESET, .lun = i, .order = {.nexus = nexus}};

	send_any(a, &effect);
}

/* Which key the nexus may bear now, in the order of likelihood; false when all were tried. */
static bool expected_key(const struct arbiter_lun *l, const struct arbiter_nexus *x, uint8_t which, uint64_t *expected)
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

static void register_send(struct arbiter *a, uint16_t i, uint8_t n)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t expected;

	l->tries++;
	l->defended = false;
	if (expected_key(l, &l->nexus[n], l->expect, &expected)) {
		order_send(a, i, n, PR_OUT_REGISTER, expected, l->key);
	} else { /* a key that nobody here knows of; we are quiet, so it may be overwritten */
		l->expect = 0;
		order_send(a, i, n, PR_OUT_REGISTER_AND_IGNORE, 0, l->key);
	}
}

/* Nothing on this node writes while it registers. */
static bool is_quiet(const struct arbiter *a)
{
	return a->gate != ARBITER_GATE_OPEN && a->gate_wanted != ARBITER_GATE_OPEN && a->quiet;
}

static bool may_register(struct arbiter *a)
{
	if (is_quiet(a))
		return true;
	if (!arbiter_rule(a, arbiter_is_owning(a) ? ARBITER_RULE_OWNER_HOLD_FOR_NEXUS
						  : ARBITER_RULE_CHALLENGE_QUIET_FIRST, 0, 0))
		return true;
	if (arbiter_is_owning(a)) {
		a->hold |= HOLD_RENEW;
		arbiter_gate_update(a);
	}
	return false;
}

static void forget_key_in_look(struct arbiter_lun *l, uint64_t key)
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
		x->key = l->order.service_key;
		x->fresh = false;
	} else if (registers(l->order.action) && outcome == SCSI_OUTCOME_UNKNOWN) {
		if (l->order.service_key != 0) {
			x->registered = false; /* with it, with what was there before, or not at all */
			x->key = l->order.service_key;
		}
	} else if (l->order.action == PR_OUT_PREEMPT || l->order.action == PR_OUT_PREEMPT_AND_ABORT) {
		if (outcome == SCSI_OUTCOME_OK)
			for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
				if (n != l->order.nexus && l->nexus[n].key == l->order.service_key) {
					l->nexus[n].registered = false;
					l->nexus[n].key = 0;
				}
		forget_key_in_look(l, l->order.service_key);
	}
}

static void ordered_register(struct arbiter *a, uint16_t i, enum scsi_outcome outcome, bool unusable)
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
		l->need_reset = true; /* so that it cannot take effect behind the gate's opening */
	if (outcome == SCSI_OUTCOME_CONFLICT) {
		l->expect++;
	} else if (outcome != SCSI_OUTCOME_OK) {
		if (unusable || l->tries >= REGISTER_TRIES / 2)
			l->nexus[n].retry_ms = a->now_ms + 20 * (uint64_t)a->config.defend_ms;
		if (l->phase == LUN_REGISTER)
			l->seat = nexus_after(l, n);
	}
	if (l->phase == LUN_REGISTER && outcome == SCSI_OUTCOME_OK) {
		l->seat = n;
		/* A nexus that bore the holder's key may have been the holder: re-keyed, it still is. */
		lun_set_phase(a, i, l->victim != 0 && l->order.key == l->victim ? LUN_CONFIRM : LUN_SEIZE);
		if (i == 0)
			challenger_registered(a);
	} else if (l->phase == LUN_SPREAD && outcome == SCSI_OUTCOME_OK) {
		uint8_t registered = 0;

		for (uint8_t k = 0; k < ARBITER_NEXUSES_MAX; k++)
			registered = (uint8_t)(registered + (l->nexus[k].registered && l->nexus[k].key == l->key));
		l->orphan = l->orphan || (l->order.key == 0 && registered == 1 && lun_has_key(l, l->key));
		l->tries = 0;
		l->expect = 0;
	} else if (l->phase == LUN_REKEY && outcome == SCSI_OUTCOME_OK) {
		lun_set_phase(a, i, LUN_CONFIRM);
	} else if (l->tries >= REGISTER_TRIES) {
		l->tries = 0;
		l->expect = 0;
		l->nexus[n].retry_ms = a->now_ms + 20 * (uint64_t)a->config.defend_ms;
		if (i == 0 && (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING ||
			       a->state == ARBITER_STATE_REQUESTING))
			challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
	}
}

static void ordered_preempt(struct arbiter *a, uint16_t i, enum scsi_outcome outcome, bool illegal)
{
	struct arbiter_lun *l = &a->luns[i];

	l->defended = l->defended && outcome == SCSI_OUTCOME_OK;
	if (outcome == SCSI_OUTCOME_FAILED && illegal && l->order.action == PR_OUT_PREEMPT_AND_ABORT) {
		l->no_abort = true; /* said again, without */
		return;
	}
	if (l->phase == LUN_SEIZE) {
		/* ABORT drops the victim's commands, not those that were let in while nobody held, nor those that a node
		 * between the two left behind when it died before its own reset: a winner always resets. */
		if (a->state != ARBITER_STATE_OWNER || (l->victim != 0 && l->no_abort))
			l->need_reset = true;
		l->seize_unknown = l->seize_unknown || outcome == SCSI_OUTCOME_UNKNOWN;
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
	}
}

void lun_ordered(struct arbiter *a, const struct arbiter_event *event)
{
	uint16_t i = event->ordered.lun;
	enum scsi_outcome outcome = event->ordered.outcome;
	struct arbiter_lun *l;
	uint32_t took;

	if (i >= a->config.lun_count || event->ordered.id == 0 || a->luns[i].order.id != event->ordered.id)
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
		l->tries++;
		if (outcome == SCSI_OUTCOME_OK) {
			l->need_reset = false;
			l->was_reset = true;
		} else if (l->tries >= 2 * SEIZE_TRIES && !l->no_abort) {
			l->need_reset = false; /* PREEMPT AND ABORT has done most of it */
		} else if (outcome == SCSI_OUTCOME_UNKNOWN || event->ordered.path_unusable) {
			l->seat_holds = l->seat_holds && l->seat == l->order.nexus;
		} else if (l->tries >= SEIZE_TRIES) {
			l->need_reset = false; /* the target refuses resets: nothing more can be done */
		}
	} else {
		if (registers(l->order.action))
			l->register_epoch = l->epoch;
		believe_order(a, l, outcome);
		if (registers(l->order.action))
			ordered_register(a, i, outcome, event->ordered.path_unusable);
		else
			ordered_preempt(a, i, outcome, event->ordered.illegal_request);
	}
	if (outcome != SCSI_OUTCOME_OK && arbiter_rule(a, ARBITER_RULE_OWNER_LOOK_AFTER_OUTCOME, i, 0))
		lun_look_now(a, i);
}

/* --- the way --- */

static bool phase_defends(enum lun_phase phase)
{
	return phase == LUN_SPREAD || phase == LUN_CLEAN || phase == LUN_OWNED || phase == LUN_SHRINK ||
	       phase == LUN_OFFERED || phase == LUN_RESET;
}

/* One PREEMPT against whoever the last look showed beside us; true when one was sent. */
static bool lun_defend(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	enum arbiter_rule rule;
	uint64_t victim = owner_next_victim(a, i, &rule);
	uint8_t n = lun_nexus_up(l, true);
	bool abort = rule != ARBITER_RULE_OWNER_TURN_AWAY && rule != ARBITER_RULE_OWNER_GRANT_REQUEST && !l->no_abort;

	if (victim == 0 || n == NO_NEXUS)
		return false;
	if ((int32_t)(l->look_epoch - l->register_epoch) < 0) {
		/* Preempted meanwhile, that REGISTER has let us in again, and this would take the LUN from its new owner. */
		lun_look_now(a, i);
		return true;
	}
	if (l->unknowns > 0) /* the last one got no answer: by another path */
		for (uint8_t k = 0; k < l->unknowns; k++)
			for (n = nexus_after(l, n); !l->nexus[n].registered || l->nexus[n].key != l->key;)
				n = nexus_after(l, n);
	if (!arbiter_rule(a, rule, i, victim)) {
		forget_key_in_look(l, victim);
		return false;
	}
	if (rule == ARBITER_RULE_OWNER_GRANT_REQUEST)
		owner_grant(a, victim);
	l->defended = true;
	order_send(a, i, n, abort ? PR_OUT_PREEMPT_AND_ABORT : PR_OUT_PREEMPT, l->key, victim);
	return true;
}

/* Whom to take this LUN from. Only what was found there before a look at the leader that still shows us as its holder can be
 * anybody older than us; what is found later may be our successor's, if we were away. */
static void drive_survey(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t holder = lun_holder(l);

	if (!lun_is_fresh(l)) {
		lun_look_now(a, i);
		return;
	}
	if (holder != 0 && !arbiter_key_ours(a, holder)) {
		arbiter_alarm(a, ARBITER_ALARM_FOREIGN_HOLDER, i, holder);
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
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) /* whoever held it in between has removed what there was */
		l->nexus[n].registered = false;
	lun_set_phase(a, i, LUN_REGISTER);
	lun_drive(a, i);
}

static void drive_register(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	bool with_window = i == 0 && (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_REQUESTING) &&
			   !a->skip_window;

	if (!may_register(a))
		return;
	if (!with_window && !arbiter_recorded(a, l->key) && /* a re-keyed holder holds at once */
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_RECORD_FIRST, i, l->key))
		return;
	if (l->seat >= ARBITER_NEXUSES_MAX || !l->nexus[l->seat].up)
		l->seat = lun_nexus_up(l, false);
	if (l->seat != NO_NEXUS)
		register_send(a, i, l->seat);
}

static void drive_seize(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true);

	if (n == NO_NEXUS && i == 0 && !arbiter_is_owning(a)) { /* nor is the window worth anything without it */
		challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
		return;
	}
	if (n == NO_NEXUS) { /* the registered nexus has gone */
		lun_set_phase(a, i, i == 0 ? LUN_REGISTER : LUN_SURVEY);
		l->seat = NO_NEXUS;
		return;
	}
	if (!arbiter_recorded(a, l->key) && arbiter_rule(a, ARBITER_RULE_CHALLENGE_RECORD_FIRST, i, l->key))
		return;
	l->seat = n;
	/* What the leader's target does not know, the members' mostly does not either; PREEMPT and a reset do anywhere. */
	l->no_abort = l->no_abort || a->luns[0].no_abort;
	if (l->victim == 0)
		order_send(a, i, n, PR_OUT_RESERVE, l->key, 0);
	else
		order_send(a, i, n, l->no_abort ? PR_OUT_PREEMPT : PR_OUT_PREEMPT_AND_ABORT, l->key, l->victim);
}

static void confirm_failed(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t holder = lun_holder(l);
	/* A challenger whose remembered holder has gone starts over: whoever has lost the reservation may take it again. */
	bool same = holder == l->victim || (holder == 0 && (i != 0 || arbiter_is_owning(a)));
	bool again = l->tries < SEIZE_TRIES && lun_has_key(l, l->key) && same;

	if (again) { /* it did not take effect, or what was preempted left nobody */
		l->victim = holder;
		l->phase = LUN_SEIZE;
		lun_drive(a, i);
	} else if (i != 0) {
		lun_set_phase(a, i, LUN_SURVEY);
		lun_look_now(a, 0);
	} else if (!arbiter_is_owning(a) && l->seize_unknown) {
		/* It may take effect yet, and unregistering would then free the LUN. Under another key it cannot. */
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

/* A member that was preempted without ABORT is reset before the look that decides, so that one look does for both. */
static bool confirm_resets(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true);

	if (i == 0 || !l->need_reset || l->failures > 0 || n == NO_NEXUS)
		return false;
	if (!arbiter_rule(a, ARBITER_RULE_CHALLENGE_RESET_UNIT, i, l->victim)) {
		l->need_reset = false;
		return false;
	}
	reset_send(a, i, n);
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
	l->seat_holds = true;
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

	/* Orders make looks old; whoever only registers does not see who challenges. */
	if (!l->defended && !lun_is_fresh(l) && a->now_ms - l->look_began_ms >= a->config.defend_ms / 2) {
		lun_look_now(a, i);
		return;
	}
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		const struct arbiter_nexus *x = &l->nexus[n];

		if (!x->up || x->retry_ms > a->now_ms || (x->registered && x->key == l->key))
			continue;
		if (may_register(a))
			register_send(a, i, n);
		return;
	}
	lun_set_phase(a, i, LUN_CLEAN);
	lun_drive(a, i);
}

/* Whoever challenges without a pause, and there may be several, must not keep the winner from ever being done. */
static bool only_newcomers(const struct arbiter *a, const struct arbiter_lun *l)
{
	struct key key;

	if (l != &a->luns[0] || l->phase != LUN_CLEAN || !lun_is_fresh(l) || a->won.truncated)
		return false;
	for (uint8_t k = 0; k < l->look.key_count; k++) {
		uint64_t value = l->look.keys[k];

		if (value == l->key || !arbiter_key_ours(a, value))
			continue;
		if (arbiter_key_own(a, value) || !key_decode(&key, value) || key.kind != KEY_KIND_CLAIM)
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
		lun_set_phase(a, i, LUN_CONFIRM);
		confirm_failed(a, i);
		return;
	}
	if (l->orphan) {
		l->orphan = false;
		owner_renew(a, i, l->key, ARBITER_RULE_OWNER_SWAP_ORPHAN);
		return;
	}
	if (l->need_reset) {
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

	if (!l->need_reset) {
		lun_set_phase(a, i, LUN_CLEAN);
		lun_drive(a, i);
		return;
	}
	if (n == NO_NEXUS) {
		register_anew(a, i);
		return;
	}
	if (!arbiter_rule(a, ARBITER_RULE_CHALLENGE_RESET_UNIT, i, l->victim)) {
		l->need_reset = false;
		lun_drive(a, i);
		return;
	}
	for (uint8_t k = 0; k < l->tries; k++)
		n = nexus_after(l, n);
	reset_send(a, i, n);
}

static void drive_offer(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	uint8_t n = lun_nexus_up(l, true), registered = 0;

	if (n == NO_NEXUS) {
		register_anew(a, i);
		return;
	}
	if (!may_register(a))
		return;
	for (uint8_t k = 0; k < ARBITER_NEXUSES_MAX; k++)
		registered = (uint8_t)(registered + (l->nexus[k].registered && l->nexus[k].key == l->key));
	if (l->phase == LUN_SHRINK && (registered > 1 || !l->seat_holds)) {
		/* SPC-5 5.14.11.3: preempting the own key leaves the preempting nexus alone, as the holder */
		if (l->tries++ < SEIZE_TRIES) {
			order_send(a, i, n, PR_OUT_PREEMPT, l->key, l->key);
			return;
		}
		l->seat = n;
	}
	if (l->seat >= ARBITER_NEXUSES_MAX || !l->nexus[l->seat].up)
		l->seat = n;
	lun_set_phase(a, i, LUN_REKEY);
	l->tries++;
	l->old_key = l->key;
	l->key = arbiter_key_as(a, l->key, KEY_KIND_OFFER);
	order_send(a, i, l->seat, PR_OUT_REGISTER, l->old_key, l->key);
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
	} else if (lun_holder(l) == l->old_key && l->tries < LEAVE_TRIES) {
		l->key = l->old_key;
		l->phase = LUN_SHRINK;
		drive_offer(a, i);
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

/* Removes what is registered with any key of ours on any nexus; what cannot be reached is left to the next owner. */
static void drive_leave(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	bool reachable = false;

	if (!lun_is_fresh(l) && l->tries == 0 && lun_nexus_up(l, false) != NO_NEXUS) {
		lun_look_now(a, i);
		return;
	}
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX && l->tries < LEAVE_TRIES; n++) {
		struct arbiter_nexus *x = &l->nexus[n];

		if (x->key == 0)
			continue;
		if (lun_is_fresh(l) && !lun_has_key(l, x->key)) {
			x->key = 0;
			x->registered = false;
			continue;
		}
		if (!x->up)
			continue;
		reachable = true;
		l->tries++;
		order_send(a, i, n, PR_OUT_REGISTER, x->key, 0);
		break;
	}
	if (reachable)
		return;
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
	l->seat_holds = l->orphan = l->was_reset = l->seize_unknown = false;
	l->phase = LUN_IDLE;
	lun_set_phase(a, i, LUN_REGISTER);
}

void lun_drive(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];

	if (l->order.id != 0 || l->wait_ms > a->now_ms || a->state == ARBITER_STATE_RELEASED)
		return;
	if (phase_defends(l->phase) && !only_newcomers(a, l) &&
	    !(l->phase == LUN_SPREAD && l->defended && is_quiet(a)) && lun_defend(a, i))
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
