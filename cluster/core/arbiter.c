/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arbiter's step: events and the operator's commands come in and are handed to the tables, time
 * passes, effects go out.
 */
#include <errno.h>
#include <string.h>

#include "cluster/core/arbiter_private.h"

/* --- events --- */

static void on_start(struct arbiter *a, const struct arbiter_event *event)
{
	size_t count = event->start.claim_count;

	a->claim_count = (uint8_t)(count > ARBITER_CLAIMS_MAX ? ARBITER_CLAIMS_MAX : count);
	for (uint8_t k = 0; k < a->claim_count; k++)
		a->claims[k] = event->start.claims[k];
	a->incarnation = event->start.incarnation;
	a->gate = a->gate_wanted = event->start.gate;
	a->quiet = event->start.quiet;
	a->service = event->start.service;
	a->fit = event->start.fit;
	a->luns[0].contact_ms = a->now_ms;
	a->next_probe_ms = a->now_ms + a->config.probe_ms;
	if (a->claim_count > 0 &&
	    (a->gate != ARBITER_GATE_FAILED || a->service != ARBITER_SERVICE_STOPPED)) {
		a->adopting = true;
		a->state = ARBITER_STATE_OWNER;
		a->luns[0].key = a->claims[0];
		if (a->gate == ARBITER_GATE_HELD) {
			a->hold = HOLD_GATE;
			a->hold_since_ms = a->now_ms;
		}
		for (uint16_t i = 0; i < a->config.lun_count; i++)
			a->luns[i].contact_ms = a->now_ms;
	} else if (a->gate != ARBITER_GATE_FAILED || a->service != ARBITER_SERVICE_STOPPED ||
		   !a->quiet) {
		a->state = ARBITER_STATE_DEPOSED; /* something is left that nobody answers for */
		arbiter_gate_update(a);
		arbiter_service_update(a);
	}
}

static void on_looked(struct arbiter *a, const struct arbiter_event *event)
{
	uint16_t i = event->looked.lun;
	bool news;

	if (i >= a->config.lun_count)
		return;
	lun_looked(a, i, event->looked.id, event->looked.look, &news);
	if (!news) {
		if (a->luns[i].phase != LUN_IDLE && a->luns[i].phase != LUN_OWNED &&
		    a->luns[i].phase != LUN_WINDOW)
			lun_drive(a, i);
		return;
	}
	if (arbiter_is_owning(a)) {
		if (i == 0)
			owner_judge(a, news);
		else
			owner_judge_member(a, i);
	} else if (i != 0) {
		lun_drive(a, i);
	} else if (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING) {
		challenger_judge(a);
	} else if (a->state == ARBITER_STATE_REQUESTING) {
		challenger_request_judge(a);
	} else if (a->state != ARBITER_STATE_RELEASED) {
		standby_judge(a);
	}
}

static void drive_all(struct arbiter *a)
{
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		lun_drive(a, i);
}

static void on_recorded(struct arbiter *a, const struct arbiter_event *event)
{
	uint64_t key = a->record_key;

	if (event->recorded.id == 0 || event->recorded.id != a->record_id)
		return;
	a->record_id = 0;
	if (!event->recorded.ok) {
		a->record_retry_ms = a->now_ms + 4 * (uint64_t)a->config.defend_ms;
		arbiter_alarm(a, ARBITER_ALARM_NOT_RECORDED, 0, key);
		if (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING)
			challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
		return;
	}
	arbiter_alarm_clear(a, ARBITER_ALARM_NOT_RECORDED);
	if (a->claim_count < ARBITER_CLAIMS_MAX)
		a->claim_count++;
	for (uint8_t k = (uint8_t)(a->claim_count - 1); k > 0; k--)
		a->claims[k] = a->claims[k - 1];
	a->claims[0] = key;
	if (!arbiter_claim_in_use(a, key)) {
		arbiter_strike(a, key);
		return;
	}
	if (a->state == ARBITER_STATE_CHALLENGING && a->luns[0].phase == LUN_WINDOW &&
	    lun_is_fresh(&a->luns[0]))
		challenger_judge(a);
	drive_all(a);
}

static void on_gate(struct arbiter *a, const struct arbiter_event *event)
{
	a->gate = event->gate.state;
	a->quiet = event->gate.quiet;
	a->gate_answered = true;
	if (a->gate == ARBITER_GATE_FAILED &&
	    a->gate_wanted != ARBITER_GATE_FAILED) { /* by itself */
		a->gate_closed_ms = a->now_ms;
		a->gate_wanted = ARBITER_GATE_FAILED;
		a->gate_broken = a->service != ARBITER_SERVICE_STOPPED;
		arbiter_gate_update(a);
	} else if (a->gate == ARBITER_GATE_HELD && a->gate_wanted == ARBITER_GATE_OPEN) {
		a->gate_wanted = ARBITER_GATE_HELD;
		a->hold |= HOLD_GATE;
		a->hold_since_ms = a->gate_closed_ms = a->now_ms;
		for (uint16_t i = 0; i < a->config.lun_count; i++) {
			for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++)
				a->luns[i].nexus[n].registered = false; /* to be verified */
			lun_look_now(a, i);
		}
	}
	arbiter_gate_update(a);
	arbiter_service_update(a);
	standby_check_quiet(a);
	owner_yield_drive(a);
	drive_all(a);
}

static void on_service(struct arbiter *a, const struct arbiter_event *event)
{
	bool failed = event->service.failed;

	a->service = event->service.state;
	switch (a->service) {
	case ARBITER_SERVICE_STOPPED:
		a->start_ordered = a->stop_ordered = a->stop_deposed = a->stop_overdue =
			a->gate_broken = false;
		arbiter_alarm_clear(a, ARBITER_ALARM_STOP_OVERDUE);
		break;
	case ARBITER_SERVICE_RUNNING:
		a->start_ordered = false;
		break;
	case ARBITER_SERVICE_STOPPING:
		if (failed) {
			a->stop_overdue = true;
			arbiter_alarm(a, ARBITER_ALARM_STOP_OVERDUE, 0, 0);
		}
		break;
	case ARBITER_SERVICE_STARTING:
		break;
	}
	if (a->service == ARBITER_SERVICE_STOPPED && failed && a->state == ARBITER_STATE_OWNER &&
	    !a->maintenance) {
		a->cool_until_ms = a->now_ms + a->config.cooldown_ms;
		if (arbiter_rule(a, ARBITER_RULE_OWNER_UNFIT_OFFERS, 0, a->luns[0].key))
			owner_yield(a, KEY_NODE_ANY, ARBITER_RULE_OWNER_UNFIT_OFFERS);
	}
	arbiter_gate_update(a);
	arbiter_service_update(a);
	standby_check_quiet(a);
	owner_yield_drive(a);
}

static void on_nexus(struct arbiter *a, const struct arbiter_event *event)
{
	struct arbiter_lun *l;
	struct arbiter_nexus *x;

	if (event->nexus.lun >= a->config.lun_count || event->nexus.nexus >= a->config.nexus_count)
		return;
	l = &a->luns[event->nexus.lun];
	x = &l->nexus[event->nexus.nexus];
	x->up = event->nexus.up;
	if (event->nexus.ended)
		x->unsettled = false;
	if (!x->up)
		return;
	x->retry_ms = 0;
	l->wait_ms = l->no_look_before_ms = 0;
	if (event->nexus.fresh) {
		if (x->in_doubt) /* what was given up ended with the session, but may have taken
				    effect before: only a look that begins now can tell */
			l->epoch++;
		x->registered = false;
		x->in_doubt = x->in_doubt && !event->nexus.ended;
		x->fresh = true;
		if (arbiter_is_owning(a) && a->state != ARBITER_STATE_OFFERING &&
		    l->phase >= LUN_OWNED &&
		    arbiter_rule(a, ARBITER_RULE_OWNER_HOLD_FOR_NEXUS, event->nexus.lun, l->key)) {
			a->hold |= HOLD_NEXUS;
			arbiter_gate_update(a);
		}
	} else if (a->adopting) {
		x->registered = true;
		x->key = a->luns[0].key;
	}
	lun_look_now(a, event->nexus.lun);
	lun_drive(a, event->nexus.lun);
}

static void on_fitness(struct arbiter *a, const struct arbiter_event *event)
{
	bool was = a->fit;

	a->fit = event->fitness.fit;
	if (event->fitness.stuck && arbiter_is_owning(a)) {
		owner_let_go(a);
		return;
	}
	if (!a->fit && arbiter_is_owning(a) && a->state != ARBITER_STATE_OFFERING &&
	    !a->maintenance && !a->yield &&
	    arbiter_rule(a, ARBITER_RULE_OWNER_UNFIT_OFFERS, 0, a->luns[0].key))
		owner_yield(a, KEY_NODE_ANY, ARBITER_RULE_OWNER_UNFIT_OFFERS);
	if (a->fit && !was && a->state == ARBITER_STATE_OFFERING &&
	    a->offer_until_ms > a->now_ms + a->config.window_ms)
		a->offer_until_ms = a->now_ms + a->config.window_ms;
}

static void on_identity(struct arbiter *a, const struct arbiter_event *event)
{
	bool others = false;

	if (event->identity.lun >= a->config.lun_count)
		return;
	a->luns[event->identity.lun].other = event->identity.other;
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		others = others || a->luns[i].other;
	if (!others) {
		arbiter_alarm_clear(a, ARBITER_ALARM_OTHER_UNIT);
		return;
	}
	if (!event->identity.other)
		return;
	arbiter_alarm(a, ARBITER_ALARM_OTHER_UNIT, event->identity.lun, 0);
	if (arbiter_is_owning(a))
		owner_depose(a, ARBITER_RULE_OWNER_OTHER_UNIT);
	else if (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING ||
		 a->state == ARBITER_STATE_REQUESTING)
		challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
}

static enum arbiter_command_answer command_release(struct arbiter *a)
{
	a->parked = true;
	if (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING ||
	    a->state == ARBITER_STATE_REQUESTING) {
		challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
		return ARBITER_ANSWER_STARTED;
	}
	if (a->state == ARBITER_STATE_OFFERING) {
		standby_enter(a, ARBITER_RULE_COUNT);
		return ARBITER_ANSWER_STARTED;
	}
	if (!arbiter_is_owning(a))
		return ARBITER_ANSWER_ALREADY;
	a->release = true;
	owner_yield(a, KEY_NODE_ANY, ARBITER_RULE_COUNT);
	return ARBITER_ANSWER_STARTED;
}

static enum arbiter_command_answer command_shutdown(struct arbiter *a)
{
	a->shutdown = true;
	if (a->state == ARBITER_STATE_CHALLENGING || a->state == ARBITER_STATE_SEIZING ||
	    a->state == ARBITER_STATE_REQUESTING)
		challenger_lost(a, ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS);
	else if (a->state == ARBITER_STATE_OFFERING)
		owner_offered(a);
	else if (arbiter_is_owning(a))
		owner_yield(a, KEY_NODE_ANY, ARBITER_RULE_COUNT);
	return ARBITER_ANSWER_STARTED;
}

static enum arbiter_command_answer command_yield(struct arbiter *a, uint8_t node)
{
	if (!arbiter_is_owning(a))
		return ARBITER_ANSWER_NOT_OWNER;
	if (a->maintenance)
		return ARBITER_ANSWER_MAINTENANCE;
	if (node == a->config.node)
		return ARBITER_ANSWER_ALREADY;
	if (a->state == ARBITER_STATE_OFFERING || a->yield)
		return ARBITER_ANSWER_BUSY;
	owner_yield(a, node, ARBITER_RULE_COUNT);
	return ARBITER_ANSWER_STARTED;
}

static void on_command(struct arbiter *a, const struct arbiter_event *event)
{
	struct arbiter_effect effect = {.kind = ARBITER_EFFECT_ANSWER,
					.answer = ARBITER_ANSWER_STARTED};

	switch (event->command.command) {
	case ARBITER_COMMAND_CLAIM:
	case ARBITER_COMMAND_TAKE:
		effect.answer = challenger_command(a, event->command.command);
		break;
	case ARBITER_COMMAND_YIELD:
		effect.answer = command_yield(a, event->command.node);
		break;
	case ARBITER_COMMAND_MAINTENANCE:
		effect.answer = a->maintenance == event->command.on ? ARBITER_ANSWER_ALREADY
								    : ARBITER_ANSWER_STARTED;
		a->maintenance = event->command.on;
		arbiter_service_update(a);
		break;
	case ARBITER_COMMAND_SHUTDOWN:
		effect.answer = command_shutdown(a);
		break;
	case ARBITER_COMMAND_RELEASE:
		effect.answer = command_release(a);
		break;
	}
	arbiter_emit(a, &effect);
}

static void on_hint(struct arbiter *a, const struct arbiter_event *event)
{
	uint64_t lost_ms = a->now_ms > a->config.loss_ms ? a->now_ms - a->config.loss_ms : 0;

	if (event->kind == ARBITER_EVENT_SUSPECT) {
		if (a->state == ARBITER_STATE_STANDBY && !a->suspect) {
			a->suspect = true;
			lun_look_now(a, 0);
		}
	} else if (arbiter_is_owning(a)) {
		/* Believed only by an owner whose own looks have stopped; one that sees the LUN
		 * goes by what it sees. */
		if (a->luns[0].contact_ms + 4 * (uint64_t)a->config.defend_ms +
			    4 * (uint64_t)a->luns[0].slow_ms <
		    a->now_ms)
			a->luns[0].contact_ms =
				lost_ms < a->luns[0].contact_ms ? lost_ms : a->luns[0].contact_ms;
		lun_look_now(a, 0);
	}
}

/* --- time --- */

static void lun_wake(struct arbiter *a, uint16_t i)
{
	struct arbiter_lun *l = &a->luns[i];
	bool due = false;

	if (l->wait_ms != 0 && l->wait_ms <= a->now_ms) {
		l->wait_ms = 0;
		due = true;
	}
	if (l->effort.wait_ms != 0 && l->effort.wait_ms <= a->now_ms) {
		l->effort.wait_ms = 0;
		due = true;
	}
	if (due)
		lun_drive(a, i);
}

static void pass_time(struct arbiter *a)
{
	struct arbiter_lun *leader = &a->luns[0];

	arbiter_gate_insist(a);
	owner_tick(a);
	if (a->request_until_ms != 0 && a->request_until_ms <= a->now_ms) {
		a->request_until_ms = 0;
		arbiter_rule(a, ARBITER_RULE_REQUEST_EXPIRED, 0, lun_holder(leader));
	}
	lun_wake(a, 0);
	if (a->record_retry_ms != 0 && a->record_retry_ms <= a->now_ms) {
		a->record_retry_ms = 0;
		drive_all(a);
	}
	if (a->members_wake_ms <= a->now_ms) {
		a->members_wake_ms = NEVER;
		for (uint16_t i = 1; i < a->config.lun_count; i++) {
			struct arbiter_lun *l = &a->luns[i];

			lun_wake(a, i);
			lun_pump_looks(a, i);
			if (l->next_look_ms < a->members_wake_ms)
				a->members_wake_ms = l->next_look_ms;
			if (lun_wake_ms(l) < a->members_wake_ms)
				a->members_wake_ms = lun_wake_ms(l);
		}
	}
	lun_pump_looks(a, 0);
}

static void finish_shutdown(struct arbiter *a)
{
	if (!a->shutdown || a->state != ARBITER_STATE_STANDBY || a->record_id != 0)
		return;
	for (uint16_t i = 0; i < a->config.lun_count; i++)
		if (a->luns[i].phase != LUN_IDLE || a->luns[i].order.id != 0)
			return;
	if (a->claim_count > 0 && !arbiter_key_own(a, lun_holder(&a->luns[0])))
		arbiter_strike(a, 0);
	arbiter_set_state(a, ARBITER_STATE_RELEASED, ARBITER_RULE_COUNT);
}

static uint64_t deadline(const struct arbiter *a)
{
	uint64_t candidates[] = {
		a->luns[0].next_look_ms,  lun_wake_ms(&a->luns[0]),
		a->members_wake_ms,       a->record_retry_ms != 0 ? a->record_retry_ms : NEVER,
		owner_deadline(a),        challenger_deadline(a),
		arbiter_gate_deadline(a),
	};
	uint64_t due = a->now_ms + a->config.loss_ms;

	if (a->state == ARBITER_STATE_RELEASED)
		return due;
	for (size_t k = 0; k < sizeof(candidates) / sizeof(candidates[0]); k++)
		if (candidates[k] < due)
			due = candidates[k];
	return due > a->now_ms ? due : a->now_ms + 1 + a->config.defend_ms / 8;
}

uint64_t arbiter_step(struct arbiter *a, uint64_t now_ms, const struct arbiter_event *event,
		      struct arbiter_effects *effects)
{
	if (now_ms > a->now_ms)
		a->now_ms = now_ms;
	a->effects = effects;
	switch (event->kind) {
	case ARBITER_EVENT_START:
		on_start(a, event);
		break;
	case ARBITER_EVENT_TICK:
		break;
	case ARBITER_EVENT_LOOKED:
		on_looked(a, event);
		break;
	case ARBITER_EVENT_ORDERED:
		lun_ordered(a, event);
		if (event->ordered.lun < a->config.lun_count)
			lun_drive(a, event->ordered.lun);
		break;
	case ARBITER_EVENT_RECORDED:
		on_recorded(a, event);
		break;
	case ARBITER_EVENT_GATE:
		on_gate(a, event);
		break;
	case ARBITER_EVENT_SERVICE:
		on_service(a, event);
		break;
	case ARBITER_EVENT_NEXUS:
		on_nexus(a, event);
		break;
	case ARBITER_EVENT_IDENTITY:
		on_identity(a, event);
		break;
	case ARBITER_EVENT_FITNESS:
		on_fitness(a, event);
		break;
	case ARBITER_EVENT_SUSPECT:
	case ARBITER_EVENT_OTHER_OWNS:
		on_hint(a, event);
		break;
	case ARBITER_EVENT_COMMAND:
		on_command(a, event);
		break;
	}
	pass_time(a);
	finish_shutdown(a);
	a->effects = NULL;
	return deadline(a);
}

/* --- making and seeing --- */

size_t arbiter_effects_max(uint16_t lun_count)
{
	return 128 + 16 * (size_t)lun_count;
}

size_t arbiter_size(const struct arbiter_config *config)
{
	return sizeof(struct arbiter) + config->lun_count * sizeof(struct arbiter_lun);
}

static bool config_is_possible(const struct arbiter_config *config)
{
	return config->lun_count >= 1 && config->lun_count <= ARBITER_LUNS_MAX &&
	       config->nexus_count >= 1 && config->nexus_count <= ARBITER_NEXUSES_MAX &&
	       config->node >= 1 && config->node <= KEY_NODE_MAX &&
	       config->rank_of[config->node] != 255 && config->defend_ms >= KEY_INTERVAL_UNIT_MS &&
	       config->defend_ms <= 255 * KEY_INTERVAL_UNIT_MS &&
	       config->window_ms >= 4 * config->defend_ms && config->member_factor >= 1 &&
	       config->loss_ms > config->window_ms;
}

struct arbiter *arbiter_init(void *memory, const struct arbiter_config *config)
{
	struct arbiter *a = memory;

	if (!config_is_possible(config))
		return NULL;
	memset(a, 0, arbiter_size(config));
	a->config = *config;
	a->next_id = 1;
	a->incarnation = 1;
	a->members_wake_ms = NEVER;
	for (uint16_t i = 0; i < config->lun_count; i++) {
		a->luns[i].seat = NO_NEXUS;
		a->luns[i].next_look_ms = i == 0 ? 0 : NEVER;
	}
	return a;
}

int arbiter_reconfigure(struct arbiter *a, const struct arbiter_config *config)
{
	if (!config_is_possible(config) || config->lun_count != a->config.lun_count ||
	    config->nexus_count != a->config.nexus_count || config->cluster != a->config.cluster ||
	    config->node != a->config.node)
		return -EINVAL;
	a->config = *config;
	return 0;
}

void arbiter_get_view(const struct arbiter *a, struct arbiter_view *view)
{
	const struct arbiter_lun *l = &a->luns[0];

	memset(view, 0, sizeof(*view));
	view->state = a->state;
	view->gate_wanted = a->gate_wanted;
	view->gate = a->gate;
	view->quiet = a->quiet;
	view->fit = a->fit;
	view->maintenance = a->maintenance;
	view->automatic = a->config.automatic && !a->parked;
	view->service = a->service;
	view->key = l->key;
	view->incarnation = a->incarnation;
	view->held = l->look_seen && l->look.held;
	view->holder = lun_holder(l);
	view->generation = l->look.generation;
	view->last_look_ms = l->look_began_ms;
	view->contact_ms = l->contact_ms;
	view->members_owned = a->members_owned;
	if (a->state == ARBITER_STATE_CHALLENGING && l->phase == LUN_WINDOW) {
		view->window_ms = arbiter_window_ms(a, l->victim);
		view->window_done_ms = (uint32_t)(a->now_ms - a->window_start_ms);
	}
}

void arbiter_get_lun_view(const struct arbiter *a, uint16_t lun, struct arbiter_lun_view *view)
{
	const struct arbiter_lun *l;

	memset(view, 0, sizeof(*view));
	if (lun >= a->config.lun_count)
		return;
	l = &a->luns[lun];
	view->key = l->key;
	view->owned = arbiter_is_owning(a) && lun_holds(l);
	view->seen = l->look_seen;
	view->held = l->look_seen && l->look.held;
	view->holder = lun_holder(l);
	view->generation = l->look.generation;
	view->last_look_ms = l->look_began_ms;
	for (uint8_t n = 0; n < ARBITER_NEXUSES_MAX; n++) {
		view->nexus[n].up = l->nexus[n].up;
		view->nexus[n].registered = l->nexus[n].registered;
		view->nexus[n].key = l->nexus[n].key;
	}
	view->key_count = l->look.key_count;
	memcpy(view->keys, l->look.keys, sizeof(view->keys));
}
