/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looks at one LUN: when they are sent and sent again, which answers count, and what the last one
 * showed.
 */
#include <string.h>

#include "cluster/core/arbiter_private.h"

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
	if (!l->look_seen || !l->look.held)
		return 0;
	return l->look.holder ? l->look.holder : ARBITER_HOLDER_ALL;
}

bool lun_holds(const struct arbiter_lun *l)
{
	return l->key != 0 && lun_holder(l) == l->key;
}

/* Steady looks of all LUNs and groups of a node fall on one beat, so that the daemon wakes up once
 * for all of them. */
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
static uint64_t flight_overdue_ms(const struct arbiter *a, const struct arbiter_lun *l,
				  const struct arbiter_flight *flight)
{
	uint32_t slow = l->slow_ms > a->luns[0].slow_ms ? l->slow_ms : a->luns[0].slow_ms;

	return flight->began_ms + 2 * (uint64_t)slow +
	       ((uint64_t)a->config.defend_ms << (l->unanswered < 8 ? l->unanswered : 8) / 2);
}

static void look_send(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	struct arbiter_flight *flight = &l->flights[0];
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_LOOK, .lun = i};
	/* An owner that stays away for a window is deposed; others have time. */
	unsigned most = arbiter_is_owning(a) && i == 0 ? 2 : 6,
		 doublings = l->unanswered < most ? l->unanswered : most;

	for (size_t k = 1; k < LOOKS_IN_FLIGHT && flight->id != 0; k++)
		if (l->flights[k].id == 0 || l->flights[k].began_ms < flight->began_ms)
			flight = &l->flights[k];
	if (flight->id != 0 && flight->epoch == l->epoch &&
	    a->now_ms < flight_overdue_ms(a, l, flight)) {
		/* The array is slow. Late answers count: were the slowest thrown away, only the
		 * lucky ones would be seen. */
		l->next_look_ms = a->now_ms + a->config.defend_ms / 2;
		if (i != 0 && l->next_look_ms < a->members_wake_ms)
			a->members_wake_ms = l->next_look_ms;
		return;
	}
	effect.id = a->next_id++;
	effect.look.attempt = l->attempt++;
	effect.look.give_up_ms = a->config.loss_ms;
	effect.look.check = l->effort.check;
	l->effort.check = false;
	*flight =
		(struct arbiter_flight){.id = effect.id, .epoch = l->epoch, .began_ms = a->now_ms};
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

/* A look that began after what has happened last, unless one is on its way that may still be
 * expected to be answered. */
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

/* An owner's look that is out of date by an order of its own, or meets one that is still without
 * an answer, says nothing of what the LUN is like now. Two things it says all the same. Somebody
 * else has come to hold: that is not undone by an order that only turns others away, and may not
 * wait until one that stays without an answer is given up. And whoever it shows has challenged
 * meanwhile: one after the other they are turned away without a look in between, or on a slow
 * array the last of several is kept waiting for longer than its window. */
static void notice_overtaken(struct arbiter *a, const struct arbiter_flight *flight,
			     const struct arbiter_look *look)
{
	struct arbiter_lun *l = &a->luns[0];
	struct key key;

	if (!arbiter_is_owning(a) || !lun_holds(l) || !look->held ||
	    flight->began_ms < l->look_began_ms || (int32_t)(flight->epoch - l->look_epoch) < 0 ||
	    (int32_t)(flight->epoch - l->register_epoch) < 0)
		return;
	if (look->holder != l->key) {
		if (!arbiter_key_own(a, look->holder) && !owner_was_preempted(a, look->holder)) {
			l->look = *look;
			owner_depose(a, a->state == ARBITER_STATE_OFFERING
						? ARBITER_RULE_COUNT
						: ARBITER_RULE_OWNER_DEPOSED);
		}
		return;
	}
	for (size_t k = 0; k < look->key_count && k < ARBITER_LOOK_KEYS_MAX; k++) {
		uint64_t value = look->keys[k];

		if (!lun_has_key(l, value) && arbiter_key_ours(a, value) &&
		    key_decode(&key, value) && key.kind == KEY_KIND_CLAIM &&
		    !arbiter_key_own(a, value) && !owner_was_preempted(a, value) &&
		    value != l->order.service_key && l->look.key_count < ARBITER_LOOK_KEYS_MAX)
			l->look.keys[l->look.key_count++] = value;
	}
}

/* What the answer says beside the reservation itself. */
static void read_answer(struct arbiter *a, uint16_t i, struct arbiter_look *look)
{
	struct arbiter_lun *l = &a->luns[i];
	uint64_t borne;

	if (look->key_count > ARBITER_LOOK_KEYS_MAX)
		look->key_count = ARBITER_LOOK_KEYS_MAX;
	if (look->differs)
		arbiter_alarm(a, ARBITER_ALARM_ANSWERS_DIFFER, i, 0);
	borne = look->held && arbiter_key_ours(a, look->holder) ? arbiter_look_borne(look, l->key)
								: look->holder;
	if (borne != look->holder && arbiter_rule(a, ARBITER_RULE_LOOK_STALE_HOLDER, i, borne))
		look->holder = borne;
}

void lun_looked(struct arbiter *a, uint16_t i, uint32_t id, const struct arbiter_look *answer,
		bool *news)
{
	struct arbiter_lun *l = &a->luns[i];
	struct arbiter_look mended = *answer, *look = &mended;
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
	read_answer(a, i, look);
	effort_compare(a, i, look, flight.began_ms > l->effort.last_ended_ms);
	l->effort.last_ended_ms = a->now_ms;
	took = (uint32_t)(a->now_ms - flight.began_ms);
	l->slow_ms = l->slow_ms - l->slow_ms / 8;
	if (took > l->slow_ms)
		l->slow_ms = took;
	l->unanswered = 0;
	l->no_look_before_ms = 0;
	if (i == 0 && arbiter_is_owning(a))
		owner_stalled(a, a->now_ms - l->contact_ms);
	l->contact_ms = a->now_ms;
	if (i == 0) /* whatever it shows, and whoever owns by now */
		arbiter_alarm_clear(a, ARBITER_ALARM_CUT_OFF);
	l->next_look_ms =
		period == UINT32_MAX ? NEVER : on_the_beat(a, l->last_sent_ms + period, period);
	if (i != 0 && l->next_look_ms < a->members_wake_ms)
		a->members_wake_ms = l->next_look_ms;
	if (flight.epoch != l->epoch || l->order.id != 0 ||
	    (l->look_seen && flight.began_ms < l->look_began_ms)) {
		if (i == 0)
			notice_overtaken(a, &flight, look);
		/* one overtaken by a later look tells how slow the array is all the same */
		if (i == 0 && l->phase == LUN_WINDOW && flight.epoch == l->epoch &&
		    flight.began_ms >= a->window_start_ms && took > a->window_slowest_ms)
			a->window_slowest_ms = took;
		return;
	}
	l->look = *look;
	l->look_seen = true;
	l->look_epoch = flight.epoch;
	l->look_id = id;
	l->look_began_ms = flight.began_ms;
	l->look_ended_ms = a->now_ms;
	if (lun_holds(l))
		l->held_epoch = flight.epoch;
	effort_judge(a, i);
	*news = true;
}
