/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The standby's and challenger's table: when to challenge, how long to wait for the owner's answer,
 * when to stand back, and how to leave nothing behind. docs/arbitration.md, "Challenger".
 */
#include <string.h>

#include "cluster/core/arbiter_private.h"

/* How many better-ranked nodes might go first; the holder's node is not among them. */
static unsigned rank_order(const struct arbiter *a)
{
	uint64_t holder = lun_holder(&a->luns[0]);
	uint8_t mine = a->config.rank_of[a->config.node];
	struct key key;
	unsigned order = 0;

	if (holder == 0 || !arbiter_key_ours(a, holder) || !key_decode(&key, holder))
		key.node = 0;
	for (unsigned node = 1; node <= KEY_NODE_MAX; node++)
		order += a->config.rank_of[node] < mine && node != key.node;
	return order;
}

/* A better-ranked challenger is registered, and was not stood back for long enough yet. */
static bool must_stand_back(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint8_t mine = a->config.rank_of[a->config.node];

	for (uint8_t k = 0; k < l->look.key_count; k++) {
		uint64_t value = l->look.keys[k];
		struct key key;
		size_t slot = 0;

		if (value == l->key || value == lun_holder(l) || arbiter_key_own(a, value) ||
		    !arbiter_key_ours(a, value) || !key_decode(&key, value) ||
		    key.kind != KEY_KIND_CLAIM || a->config.rank_of[key.node] >= mine)
			continue;
		for (size_t s = 0; s < REMEMBERED_KEYS; s++) {
			if (a->stood_back[s].key == value) {
				slot = s;
				break;
			}
			if (a->stood_back[s].since_ms < a->stood_back[slot].since_ms)
				slot = s;
		}
		if (a->stood_back[slot].key != value) {
			a->stood_back[slot].key = value;
			a->stood_back[slot].since_ms = a->now_ms;
		}
		if (a->now_ms - a->stood_back[slot].since_ms >=
			    2 * (uint64_t)arbiter_window_ms(a, lun_holder(l)) &&
		    arbiter_rule(a, ARBITER_RULE_CHALLENGE_STAND_BACK_OVER, 0, value))
			continue;
		if (arbiter_rule(a, ARBITER_RULE_CHALLENGE_STAND_BACK, 0, value))
			return true;
	}
	return false;
}

static uint32_t probe_interval(const struct arbiter *a)
{
	return a->config.probe_ms > a->config.window_ms ? a->config.probe_ms : a->config.window_ms;
}

/* The best-ranked standby probes; the others watch the generation move, and the next takes over
 * when it does not. */
static bool probe_due(struct arbiter *a)
{
	unsigned order = rank_order(a);

	if (a->now_ms < a->next_probe_ms)
		return false;
	if (order == 0)
		return true;
	return a->now_ms - a->generation_moved_ms >= 3 * (uint64_t)probe_interval(a) * order &&
	       arbiter_rule(a, ARBITER_RULE_CHALLENGE_SUCCEED_PROBER, 0, 0);
}

static void watch_generation(struct arbiter *a)
{
	uint32_t generation = a->luns[0].look.generation;

	if (!a->generation_valid || generation != a->generation_seen)
		a->generation_moved_ms = a->now_ms;
	a->generation_valid = true;
	a->generation_seen = generation;
}

static bool challenge_begin(struct arbiter *a, enum arbiter_rule reason, uint64_t victim,
			    bool skip_window)
{
	bool quiet =
		a->state == ARBITER_STATE_STANDBY && a->gate == ARBITER_GATE_FAILED && a->quiet;

	if (!quiet && arbiter_rule(a, ARBITER_RULE_CHALLENGE_QUIET_FIRST, 0, victim))
		return false;
	if (a->record_retry_ms > a->now_ms) /* the claim cannot be written down */
		return false;
	if (effort_must_wait(a, &a->luns[0]))
		return false;
	if (!arbiter_rule(a, reason, 0, victim))
		return false;
	a->reason = reason;
	a->skip_window = skip_window;
	a->luns[0].key = 0;
	lun_renew(a, 0, arbiter_key_fresh(a, KEY_KIND_CLAIM), victim);
	arbiter_set_state(a, ARBITER_STATE_CHALLENGING, reason);
	lun_drive(a, 0);
	return true;
}

void standby_enter(struct arbiter *a, enum arbiter_rule rule)
{
	arbiter_set_state(a, ARBITER_STATE_STANDBY, rule);
	arbiter_gate_update(a);
	a->next_probe_ms = a->now_ms + a->config.probe_ms;
	arbiter_alarm_clear(a, ARBITER_ALARM_RESERVATION_LOST);
	a->generation_valid = false;
	a->members_owned = 0;
	memset(a->stray_keys, 0, sizeof(a->stray_keys));
	a->reason_set = false;
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		if (a->luns[i].phase != LUN_LEAVE)
			lun_leave(a, i);
	a->luns[0].next_look_ms = a->now_ms;
	arbiter_service_update(a);
}

void standby_check_quiet(struct arbiter *a)
{
	if (a->state == ARBITER_STATE_DEPOSED && a->service == ARBITER_SERVICE_STOPPED &&
	    a->gate == ARBITER_GATE_FAILED && a->quiet)
		standby_enter(a, ARBITER_RULE_COUNT);
}

static bool stray_tried(const struct arbiter *a, uint64_t key)
{
	for (size_t k = 0; k < REMEMBERED_KEYS; k++)
		if (a->stray_keys[k] == key)
			return true;
	return false;
}

/* It may bear that key. By whom it was registered is not known: a RESERVE or PREEMPT under it by an
 * earlier life of the daemon may be on its way still. */
static void nexus_found(struct arbiter_nexus *x, uint64_t key)
{
	if (x->key == key)
		return;
	x->key = key;
	x->sure = 0;
	x->in_doubt = true;
}

/* An own key that no challenge of ours put there: a dead incarnation's, or one whose removal got no
 * answer. */
static bool remove_strays(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	bool any = false;

	if (lun_is_kept(a, l))
		return false;
	for (uint8_t k = 0; k < l->look.key_count; k++) {
		uint64_t value = l->look.keys[k];
		bool own = arbiter_key_own(a, value);

		for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
			own = own || l->nexus[n].key == value;
		if (!own)
			continue;
		any = true;
		if (stray_tried(a, value))
			continue;
		if (!arbiter_rule(a, ARBITER_RULE_STANDBY_UNREGISTER, 0, value))
			continue;
		a->stray_keys[a->stray_next] = value;
		a->stray_next = (uint8_t)((a->stray_next + 1) % REMEMBERED_KEYS);
		for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
			if (l->nexus[n].up)
				nexus_found(&l->nexus[n], value);
		lun_leave(a, 0);
		return true;
	}
	if (!any && a->claim_count > 0)
		arbiter_strike(a, 0);
	return false;
}

/* True when the offer is for this node to take now. */
static bool offer_is_ours(struct arbiter *a, const struct key *key, uint64_t value)
{
	if (key->kind != KEY_KIND_OFFER)
		return false;
	if (key->interval == a->config.node)
		return true;
	if (key->interval != KEY_NODE_ANY || !a->config.automatic || a->parked ||
	    a->cool_until_ms > a->now_ms)
		return false;
	if (a->offer_seen != value) {
		a->offer_seen = value;
		a->offer_since_ms = a->now_ms;
	}
	return a->now_ms - a->offer_since_ms >= (uint64_t)rank_order(a) * a->config.window_ms / 2;
}

/* Reading every member is part of being fit. */
static bool members_answer(const struct arbiter *a)
{
	uint64_t tolerance =
		a->config.loss_ms + (uint64_t)a->config.defend_ms * a->config.member_factor;

	for (uint16_t i = 1; i < a->config.lun_count; i++)
		if (!a->luns[i].look_seen || a->luns[i].contact_ms + tolerance < a->now_ms)
			return false;
	return true;
}

static bool find_reason(struct arbiter *a, enum arbiter_rule *reason)
{
	struct arbiter_lun *l = &a->luns[0];
	bool by_itself = a->config.automatic && !a->parked && !a->maintenance &&
			 a->cool_until_ms <= a->now_ms;

	if (a->operator_asked)
		*reason = ARBITER_RULE_CHALLENGE_OPERATOR;
	else if (!by_itself)
		return false;
	else if (!members_answer(a))
		return false;
	else if (!l->look.held)
		*reason = ARBITER_RULE_CHALLENGE_FREE;
	else if (a->suspect)
		*reason = ARBITER_RULE_CHALLENGE_SUSPECT;
	else if (probe_due(a))
		*reason = ARBITER_RULE_CHALLENGE_PROBE;
	else
		return false;
	return true;
}

static void look_in_time(struct arbiter *a, uint64_t due_ms)
{
	struct arbiter_lun *l = &a->luns[0];

	if (due_ms <= a->now_ms)
		due_ms = a->now_ms + 1;
	if (due_ms < l->next_look_ms)
		l->next_look_ms = due_ms;
}

static void judge_by_reason(struct arbiter *a, uint64_t holder)
{
	enum arbiter_rule reason;
	uint64_t delay = (uint64_t)rank_order(a) * a->config.window_ms / 2;

	if (!find_reason(a, &reason)) {
		uint64_t due =
			a->next_probe_ms > a->cool_until_ms ? a->next_probe_ms : a->cool_until_ms;

		a->reason_set = false;
		if (a->config.automatic && rank_order(a) == 0 && !a->maintenance && !a->parked &&
		    due > a->now_ms)
			look_in_time(a, due);
		return;
	}
	if (!a->reason_set || a->reason != reason) {
		a->reason_set = true;
		a->reason = reason;
		a->reason_since_ms = a->now_ms;
	}
	if (reason != ARBITER_RULE_CHALLENGE_OPERATOR && reason != ARBITER_RULE_CHALLENGE_PROBE &&
	    a->now_ms - a->reason_since_ms < delay &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_RANK_DELAY, 0, holder)) {
		look_in_time(a, a->reason_since_ms + delay);
		return;
	}
	if (!must_stand_back(a))
		challenge_begin(a, reason, holder, false);
}

static void request_send(struct arbiter *a, uint64_t holder)
{
	a->take_asked = a->operator_asked = false;
	if (!arbiter_rule(a, ARBITER_RULE_REQUEST_SENT, 0, holder))
		return;
	arbiter_set_state(a, ARBITER_STATE_REQUESTING, ARBITER_RULE_REQUEST_SENT);
	a->luns[0].key = 0;
	lun_renew(a, 0, arbiter_key_fresh(a, KEY_KIND_REQUEST), holder);
	lun_drive(a, 0);
}

void standby_judge(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t holder = lun_holder(l);
	struct key key = {0};

	watch_generation(a);
	if (l->phase != LUN_IDLE) {
		lun_drive(a, 0);
		return;
	}
	if (a->state == ARBITER_STATE_STANDBY && remove_strays(a))
		return;
	if (!a->fit || a->shutdown)
		return;
	if (holder != ARBITER_HOLDER_ALL)
		arbiter_alarm_clear(a, ARBITER_ALARM_ALL_REGISTRANTS);
	if (holder != 0 && (!arbiter_key_ours(a, holder) || !key_decode(&key, holder))) {
		if (arbiter_rule(a, ARBITER_RULE_CHALLENGE_NOT_FOREIGN, 0, holder)) {
			alarm_foreign_holder(a, 0, holder);
			a->operator_asked = a->reason_set = false;
			return;
		}
	} else {
		arbiter_alarm_clear(a, ARBITER_ALARM_FOREIGN_HOLDER);
	}
	if (holder != 0 && arbiter_key_own(a, holder)) {
		if (!a->parked)
			challenge_begin(a, ARBITER_RULE_CHALLENGE_OWN_KEY, holder, true);
		return;
	}
	if (holder != 0 && key.node == a->config.node)
		arbiter_alarm(a, ARBITER_ALARM_OWN_NUMBER, 0, holder);
	if (holder != 0 && key.kind == KEY_KIND_MEMBER) {
		arbiter_alarm(a, ARBITER_ALARM_MEMBER_KEY, 0, holder);
		if (arbiter_rule(a, ARBITER_RULE_CHALLENGE_MEMBER_KEY, 0, holder))
			return;
	}
	if (holder != 0 && offer_is_ours(a, &key, holder) && members_answer(a)) {
		challenge_begin(a, ARBITER_RULE_CHALLENGE_OFFER, holder, true);
		return;
	}
	if (a->take_asked && holder != 0 && a->state == ARBITER_STATE_STANDBY) {
		request_send(a, holder);
		return;
	}
	judge_by_reason(a, holder);
}

/* --- challenging --- */

void challenger_registered(struct arbiter *a)
{
	uint64_t holder = a->luns[0].victim;

	if (a->state == ARBITER_STATE_REQUESTING) {
		a->request_sent_ms = a->now_ms;
		lun_set_phase(a, 0, LUN_WINDOW);
	} else if (a->state == ARBITER_STATE_CHALLENGING && a->skip_window) {
		arbiter_set_state(a, ARBITER_STATE_SEIZING, a->reason);
	} else if (a->state == ARBITER_STATE_CHALLENGING) {
		lun_set_phase(a, 0, LUN_WINDOW);
		a->window_start_ms = a->window_answer_ms = a->now_ms;
		a->window_slowest_ms = 0;
		a->window_allowed_ms = arbiter_window_ms(a, holder) / 4 + a->config.defend_ms;
	}
}

static void challenge_over(struct arbiter *a)
{
	a->reason_set = a->operator_asked = a->suspect = a->skip_window = false;
	a->next_probe_ms = a->now_ms + a->config.probe_ms;
	a->generation_seen = a->luns[0].look.generation; /* moved by our own probe */
}

void challenger_lost(struct arbiter *a, enum arbiter_rule rule)
{
	if (!arbiter_rule(a, rule, 0, lun_holder(&a->luns[0]))) {
		lun_set_phase(a, 0, LUN_IDLE);
		arbiter_set_state(a, ARBITER_STATE_STANDBY, rule);
		return;
	}
	a->skip_window = a->operator_asked = false;
	a->next_probe_ms = a->now_ms + a->config.probe_ms;
	arbiter_set_state(a, ARBITER_STATE_STANDBY, rule);
	lun_leave(a, 0);
}

static void turned_away(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];

	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		l->nexus[n].registered = false;
		l->nexus[n].key = 0;
	}
	l->key = l->victim = l->old_key = 0;
	effort_turned_away(a);
	challenge_over(a);
	lun_set_phase(a, 0, LUN_IDLE);
	arbiter_set_state(a, ARBITER_STATE_STANDBY, ARBITER_RULE_CHALLENGE_TURNED_AWAY);
}

/* Takes the answered look into the window; returns true when the window is full. */
static bool window_is_full(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint32_t took = (uint32_t)(l->look_ended_ms - l->look_began_ms);
	uint64_t gap = l->look_ended_ms - a->window_answer_ms;
	uint64_t window = arbiter_window_ms(a, l->victim);

	if (gap > a->window_allowed_ms &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_WINDOW_RESTART, 0, l->victim)) {
		a->window_start_ms = l->look_ended_ms;
		a->window_slowest_ms = 0;
		if (took > a->window_allowed_ms) /* an array that is always so slow must not keep
						    everybody out */
			a->window_allowed_ms *= 2;
	} else if (l->look_began_ms >= a->window_start_ms && took > a->window_slowest_ms) {
		a->window_slowest_ms = took; /* of what began inside of it */
	}
	a->window_answer_ms = l->look_ended_ms;
	if (4 * (uint64_t)a->window_slowest_ms > window &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_WINDOW_GROWS, 0, l->victim))
		window = 4 * (uint64_t)a->window_slowest_ms;
	if (2 * (l->look_began_ms - a->window_start_ms) >= window)
		arbiter_recorded(a, l->key); /* in good time */
	if (l->look_began_ms >= a->window_start_ms + window)
		return true;
	if (!arbiter_rule(a, ARBITER_RULE_CHALLENGE_WAIT_WINDOW, 0, l->victim))
		return true;
	look_in_time(a, a->window_start_ms + window);
	return false;
}

/* An own key holds, by whatever late command or other nexus: then this node is the holder, and to
 * start over would free the LUN. Returns true when it was dealt with. */
static bool own_key_holds(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t holder = lun_holder(l);

	if (holder == 0 || (l->phase != LUN_WINDOW && l->phase != LUN_SEIZE) ||
	    (holder != l->key && (holder == l->victim || !arbiter_key_own(a, holder))) ||
	    !arbiter_rule(a, ARBITER_RULE_CHALLENGE_OWN_KEY, 0, holder))
		return false;
	if (holder == l->key && !arbiter_recorded(a, l->key))
		return true;
	if (holder != l->key)
		l->victim = holder;
	else
		l->epoch++; /* a look decides that began after the key was written down */
	a->reason = ARBITER_RULE_CHALLENGE_OWN_KEY;
	arbiter_set_state(a, ARBITER_STATE_SEIZING, a->reason);
	lun_set_phase(a, 0, holder == l->key ? LUN_CONFIRM : LUN_SEIZE);
	lun_drive(a, 0);
	return true;
}

void challenger_judge(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t holder = lun_holder(l);

	if (own_key_holds(a))
		return;
	if (((l->phase == LUN_REGISTER && a->skip_window) || l->phase == LUN_SEIZE) &&
	    holder != l->victim && holder != l->key) {
		challenger_lost(a, ARBITER_RULE_CHALLENGE_HOLDER_CHANGED);
		return;
	}
	if (l->phase != LUN_WINDOW) {
		lun_drive(a, 0);
		return;
	}
	if (!lun_has_key(l, l->key) &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_TURNED_AWAY, 0, holder)) {
		turned_away(a);
		return;
	}
	if (holder != l->victim &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_HOLDER_CHANGED, 0, holder)) {
		a->next_probe_ms = a->now_ms;
		arbiter_set_state(a, ARBITER_STATE_STANDBY, ARBITER_RULE_CHALLENGE_HOLDER_CHANGED);
		lun_leave(a, 0);
		return;
	}
	if (!a->fit || must_stand_back(a)) {
		a->next_probe_ms = a->now_ms;
		arbiter_set_state(a, ARBITER_STATE_STANDBY, ARBITER_RULE_CHALLENGE_STAND_BACK);
		lun_leave(a, 0);
		return;
	}
	if (!window_is_full(a))
		return;
	if (!arbiter_recorded(a, l->key) &&
	    arbiter_rule(a, ARBITER_RULE_CHALLENGE_RECORD_FIRST, 0, l->key))
		return;
	lun_set_phase(a, 0, LUN_SEIZE);
	arbiter_set_state(a, ARBITER_STATE_SEIZING, a->reason);
	lun_drive(a, 0);
}

/* --- requests --- */

void challenger_request_judge(struct arbiter *a)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t window = arbiter_window_ms(a, l->victim);

	if (l->phase != LUN_WINDOW) {
		lun_drive(a, 0);
		return;
	}
	if (4 * (uint64_t)l->slow_ms > window)
		window = 4 * (uint64_t)l->slow_ms;
	if (!lun_has_key(l, l->key)) { /* that is the acknowledgement */
		a->request_until_ms = a->now_ms + a->config.request_ms;
		turned_away(a);
	} else if (lun_holder(l) != l->victim) {
		a->request_until_ms = a->now_ms + a->config.request_ms;
		arbiter_set_state(a, ARBITER_STATE_STANDBY, ARBITER_RULE_CHALLENGE_HOLDER_CHANGED);
		lun_leave(a, 0);
	} else if (l->look_began_ms >= a->request_sent_ms + window &&
		   arbiter_rule(a, ARBITER_RULE_REQUEST_UNANSWERED, 0, l->victim)) {
		a->operator_asked = true;
		arbiter_set_state(a, ARBITER_STATE_STANDBY, ARBITER_RULE_REQUEST_UNANSWERED);
		lun_leave(a, 0);
	}
}

enum arbiter_command_answer challenger_command(struct arbiter *a, enum arbiter_command command)
{
	struct arbiter_lun *l = &a->luns[0];
	uint64_t holder = lun_holder(l);

	if (arbiter_is_owning(a)) {
		a->parked = a->parked && (command != ARBITER_COMMAND_CLAIM || a->release);
		return ARBITER_ANSWER_ALREADY;
	}
	if (a->state == ARBITER_STATE_DEPOSED || !a->fit || a->shutdown)
		return ARBITER_ANSWER_UNFIT;
	if (holder != 0 && !arbiter_key_ours(a, holder)) /* all registrants are not, either */
		return ARBITER_ANSWER_FOREIGN;
	a->parked = false;
	if (a->state != ARBITER_STATE_STANDBY || l->phase != LUN_IDLE)
		return a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING
			       ? ARBITER_ANSWER_ALREADY
			       : ARBITER_ANSWER_BUSY;
	if (command == ARBITER_COMMAND_TAKE && holder != 0) {
		request_send(a, holder);
	} else {
		a->take_asked = command == ARBITER_COMMAND_TAKE;
		a->operator_asked = true;
		lun_look_now(a, 0);
	}
	return ARBITER_ANSWER_STARTED;
}

uint64_t challenger_deadline(const struct arbiter *a)
{
	return a->request_until_ms != 0 ? a->request_until_ms : NEVER;
}
