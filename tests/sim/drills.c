/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The drills' stage: an arbiter of node 1 (jerry; tom is 2) with one nexus, and two LUNs of which
 * it knows only what its looks and orders answer after a millisecond.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/core/arbiter.h"
#include "cluster/core/key.h"
#include "tests/sim/drills.h"

#define D 500u
#define W 2000u
#define P 2000u
#define L 20000u
#define QUEUE 256
#define KEYS 8

struct stage_lun {
	uint64_t own, holder, keys[KEYS];
	size_t key_count;
	uint32_t generation;
	bool mute; /* looks stay without an answer */
	/* PREEMPT of this one ends in CONFLICT, after which `usurper` holds */
	uint64_t conflict_key;
	uint64_t usurper;
	unsigned lose_preempts; /* so many get no answer and have no effect */
	unsigned lose_registers;
	bool persistent; /* it has APTPL */
};

struct stage {
	struct arbiter *arbiter;
	struct arbiter_effects effects;
	uint64_t now_ms, due_ms;
	uint32_t cluster;
	unsigned lun_count;
	struct stage_lun luns[2];
	struct {
		uint64_t at_ms;
		struct arbiter_event event;
		struct arbiter_look look;
	} queue[QUEUE];
	size_t head, tail;
	/* what was seen */
	enum arbiter_state state;
	enum arbiter_gate gate;
	bool service_stopped, told[ARBITER_RULE_COUNT];
	unsigned looks[2];
	size_t keys_at_opening;    /* on LUN 0, when the gate was ordered to open */
	unsigned looks_at_leaving; /* how many there had been on LUN 0 when the own key was taken
				      back; 0: it was not */
	uint64_t preempted[KEYS];
	size_t preempted_count;
	uint64_t registered; /* the last key registered on LUN 0 */
};

static uint64_t stage_key(const struct stage *stage, enum key_kind kind, uint8_t node,
			  uint16_t incarnation)
{
	const struct key key = {stage->cluster, kind, node, D / KEY_INTERVAL_UNIT_MS, incarnation};

	return key_encode(&key);
}

static bool lun_lists(const struct stage_lun *lun, uint64_t key)
{
	for (size_t k = 0; k < lun->key_count; k++)
		if (lun->keys[k] == key)
			return true;
	return false;
}

static void lun_add(struct stage_lun *lun, uint64_t key)
{
	lun->keys[lun->key_count++] = key;
	lun->generation++;
}

static void lun_remove(struct stage_lun *lun, uint64_t key)
{
	size_t kept = 0;

	for (size_t k = 0; k < lun->key_count; k++)
		if (lun->keys[k] != key)
			lun->keys[kept++] = lun->keys[k];
	lun->key_count = kept;
	if (lun->own == key)
		lun->own = 0;
	lun->generation++;
}

static enum scsi_outcome lun_preempt(struct stage_lun *lun, uint64_t key, uint64_t victim)
{
	if (lun->lose_preempts > 0) {
		lun->lose_preempts--;
		return SCSI_OUTCOME_UNKNOWN;
	}
	if (victim == lun->conflict_key && lun->usurper) {
		lun_remove(lun, victim);
		lun_add(lun, lun->usurper);
		lun->holder = lun->usurper;
		return SCSI_OUTCOME_CONFLICT;
	}
	if (lun->own != key || !lun_lists(lun, victim))
		return SCSI_OUTCOME_CONFLICT;
	if (lun->holder == victim)
		lun->holder = key;
	if (victim != key)
		lun_remove(lun, victim);
	return SCSI_OUTCOME_OK;
}

static enum scsi_outcome lun_order(struct stage_lun *lun, const struct arbiter_effect *effect)
{
	uint64_t key = effect->order.key, service_key = effect->order.service_key, old = lun->own;

	switch (effect->order.action) {
	case PR_OUT_REGISTER:
		if (lun->lose_registers > 0) {
			lun->lose_registers--;
			return SCSI_OUTCOME_UNKNOWN;
		}
		if (lun->own != key)
			return SCSI_OUTCOME_CONFLICT;
		/* fall through */
	case PR_OUT_REGISTER_AND_IGNORE:
		if (old)
			lun_remove(lun, old);
		if (service_key)
			lun_add(lun, service_key);
		if (old && lun->holder == old)
			lun->holder = service_key;
		lun->own = service_key;
		return SCSI_OUTCOME_OK;
	case PR_OUT_RESERVE:
		if (lun->own != key || (lun->holder && lun->holder != key))
			return SCSI_OUTCOME_CONFLICT;
		lun->holder = key;
		return SCSI_OUTCOME_OK;
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		return lun_preempt(lun, key, service_key);
	case PR_OUT_RELEASE:
	case PR_OUT_CLEAR:
	case PR_OUT_REGISTER_AND_MOVE:
		break;
	}
	return SCSI_OUTCOME_FAILED;
}

static void stage_post(struct stage *stage, const struct arbiter_event *event)
{
	stage->queue[stage->tail % QUEUE].at_ms = stage->now_ms + 1;
	stage->queue[stage->tail % QUEUE].event = *event;
	stage->tail++;
}

static void stage_look(struct stage *stage, const struct arbiter_effect *effect)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_LOOKED};
	const struct stage_lun *lun = &stage->luns[effect->lun];
	struct arbiter_look look = {.ok = true,
				    .persistent = lun->persistent,
				    .generation = lun->generation,
				    .holder = lun->holder};

	stage->looks[effect->lun]++;
	if (lun->mute)
		return;
	look.held = lun->holder != 0;
	for (size_t k = 0; k < lun->key_count; k++)
		look.keys[look.key_count++] = lun->keys[k];
	event.looked.lun = effect->lun;
	event.looked.id = effect->id;
	stage->queue[stage->tail % QUEUE].look = look;
	event.looked.look = &stage->queue[stage->tail % QUEUE].look;
	stage_post(stage, &event);
}

static void stage_order(struct stage *stage, const struct arbiter_effect *effect)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_ORDERED,
				      .ordered = {.lun = effect->lun, .id = effect->id}};

	if (effect->kind == ARBITER_EFFECT_ORDER) {
		bool registers = effect->order.action == PR_OUT_REGISTER;

		if (effect->lun == 0 && registers && effect->order.service_key == 0)
			stage->looks_at_leaving = stage->looks[0];
		if (effect->lun == 0 && registers && effect->order.service_key != 0)
			stage->registered = effect->order.service_key;
		if (!registers && stage->preempted_count < KEYS && effect->order.service_key)
			stage->preempted[stage->preempted_count++] = effect->order.service_key;
		event.ordered.outcome = lun_order(&stage->luns[effect->lun], effect);
	}
	stage_post(stage, &event);
}

static void stage_effect(struct stage *stage, const struct arbiter_effect *effect)
{
	struct arbiter_event event = {0};

	switch (effect->kind) {
	case ARBITER_EFFECT_LOOK:
		stage_look(stage, effect);
		break;
	case ARBITER_EFFECT_ORDER:
	case ARBITER_EFFECT_RESET:
		stage_order(stage, effect);
		break;
	case ARBITER_EFFECT_RECORD:
		event.kind = ARBITER_EVENT_RECORDED;
		event.recorded.id = effect->id;
		event.recorded.ok = true;
		stage_post(stage, &event);
		break;
	case ARBITER_EFFECT_GATE:
		stage->gate = effect->gate.gate;
		if (effect->gate.gate == ARBITER_GATE_OPEN)
			stage->keys_at_opening = stage->luns[0].key_count;
		event.kind = ARBITER_EVENT_GATE;
		event.gate.state = effect->gate.gate;
		event.gate.quiet = effect->gate.gate != ARBITER_GATE_OPEN;
		stage_post(stage, &event);
		break;
	case ARBITER_EFFECT_SERVICE:
		stage->service_stopped = stage->service_stopped || !effect->service.start;
		event.kind = ARBITER_EVENT_SERVICE;
		event.service.state =
			effect->service.start ? ARBITER_SERVICE_RUNNING : ARBITER_SERVICE_STOPPED;
		stage_post(stage, &event);
		break;
	case ARBITER_EFFECT_STATE:
		stage->state = effect->state.new_state;
		break;
	case ARBITER_EFFECT_RULE:
		stage->told[effect->rule.rule] = true;
		break;
	case ARBITER_EFFECT_STRIKE:
	case ARBITER_EFFECT_ANSWER:
	case ARBITER_EFFECT_ALARM:
		break;
	}
}

static void stage_step(struct stage *stage, const struct arbiter_event *event)
{
	stage->effects.count = 0;
	stage->due_ms = arbiter_step(stage->arbiter, stage->now_ms, event, &stage->effects);
	for (size_t k = 0; k < stage->effects.count; k++)
		stage_effect(stage, &stage->effects.items[k]);
}

static void stage_pass(struct stage *stage, uint64_t ms)
{
	const struct arbiter_event tick = {.kind = ARBITER_EVENT_TICK};
	uint64_t until = stage->now_ms + ms;

	for (;;) {
		bool waiting = stage->head < stage->tail;
		uint64_t next = waiting ? stage->queue[stage->head % QUEUE].at_ms : UINT64_MAX;

		if (stage->due_ms < next) {
			next = stage->due_ms;
			waiting = false;
		}
		if (next > until)
			break;
		stage->now_ms = next > stage->now_ms ? next : stage->now_ms;
		if (waiting)
			stage_step(stage, &stage->queue[stage->head++ % QUEUE].event);
		else
			stage_step(stage, &tick);
	}
	stage->now_ms = until;
}

static void stage_command(struct stage *stage, enum arbiter_command command)
{
	const struct arbiter_event event = {.kind = ARBITER_EVENT_COMMAND,
					    .command = {.command = command}};

	stage_step(stage, &event);
}

/* claims: of this node; holding and serving already if `serving`. */
static void stage_start(struct stage *stage, const uint64_t *claims, size_t count, bool serving)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_START};

	event.start.claims = claims;
	event.start.claim_count = count;
	event.start.incarnation = 100;
	event.start.fit = true;
	event.start.quiet = !serving;
	event.start.gate = serving ? ARBITER_GATE_OPEN : ARBITER_GATE_FAILED;
	event.start.service = serving ? ARBITER_SERVICE_RUNNING : ARBITER_SERVICE_STOPPED;
	stage->gate = event.start.gate;
	stage_step(stage, &event);
	for (unsigned lun = 0; lun < stage->lun_count; lun++) {
		event = (struct arbiter_event){.kind = ARBITER_EVENT_NEXUS};
		event.nexus.lun = (uint16_t)lun;
		event.nexus.up = true;
		event.nexus.fresh = !serving;
		stage_step(stage, &event);
	}
}

static bool stage_open(struct stage *stage, unsigned lun_count, uint8_t rank, int disabled_rule)
{
	struct arbiter_config config = {
		.node = 1,
		.defend_ms = D,
		.window_ms = W,
		.probe_ms = P,
		.loss_ms = L,
		.request_ms = 60000,
		.cooldown_ms = 30000,
		.member_factor = 20,
		.lun_count = (uint16_t)lun_count,
		.nexus_count = 1,
		.automatic = true,
		.grant_requests = true,
	};

	memset(stage, 0, sizeof(*stage));
	stage->lun_count = lun_count;
	stage->cluster = config.cluster = key_cluster_hash("drill");
	memset(config.rank_of, 255, sizeof(config.rank_of));
	config.rank_of[1] = rank;
	config.rank_of[2] = (uint8_t)!rank;
#ifdef ARBITER_MUTATION
	config.disabled_rule = disabled_rule;
#else
	(void)disabled_rule;
#endif
	stage->now_ms = 1000000;
	stage->due_ms = UINT64_MAX;
	stage->effects.capacity = arbiter_effects_max(2);
	stage->effects.items = calloc(stage->effects.capacity, sizeof(*stage->effects.items));
	stage->arbiter = arbiter_init(calloc(1, arbiter_size(&config)), &config);
	return stage->effects.items && stage->arbiter;
}

static void stage_close(struct stage *stage)
{
	free(stage->effects.items);
	free(stage->arbiter);
}

/* Tom owns, and answers nothing: his keys just lie there. */
static void tom_holds(struct stage *stage)
{
	for (unsigned lun = 0; lun < stage->lun_count; lun++) {
		uint64_t key = stage_key(stage, lun ? KEY_KIND_MEMBER : KEY_KIND_CLAIM, 2, 7);

		lun_add(&stage->luns[lun], key);
		stage->luns[lun].holder = key;
	}
}

static void own(struct stage *stage)
{
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 10000);
}

/* --- the drills: each returns NULL, or what went wrong --- */

static const char *drill_grants_a_request(struct stage *stage)
{
	own(stage);
	lun_add(&stage->luns[0], stage_key(stage, KEY_KIND_REQUEST, 2, 9));
	stage_pass(stage, 3000);
	return stage->state == ARBITER_STATE_OFFERING ? NULL : "a request is not granted";
}

static const char *drill_stops_when_cut_off(struct stage *stage)
{
	own(stage);
	stage->luns[0].mute = true;
	stage_pass(stage, L + 2 * D);
	return stage->gate == ARBITER_GATE_HELD && stage->service_stopped
		       ? NULL
		       : "it serves on without storage";
}

static const char *drill_unfit_offers(struct stage *stage)
{
	const struct arbiter_event unfit = {.kind = ARBITER_EVENT_FITNESS};

	own(stage);
	stage_step(stage, &unfit);
	stage_pass(stage, 3000);
	return stage->state == ARBITER_STATE_OFFERING ? NULL : "an unfit owner does not offer";
}

static const char *drill_starts_over_for_another_holder(struct stage *stage)
{
	uint64_t first, second = stage_key(stage, KEY_KIND_CLAIM, 2, 8);

	tom_holds(stage);
	first = stage->luns[0].holder;
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, P + W / 2);
	if (stage->state != ARBITER_STATE_CHALLENGING)
		return "it does not challenge";
	lun_remove(&stage->luns[0], first);
	lun_add(&stage->luns[0], second);
	stage->luns[0].holder = second;
	stage_pass(stage, W / 2 + D);
	for (size_t k = 0; k < stage->preempted_count; k++)
		if (stage->preempted[k] == first)
			return "it goes on against a holder that has gone";
	return stage->preempted_count == 0 ? NULL : "the new holder has no window of his own";
}

static const char *drill_loser_leaves_at_once(struct stage *stage)
{
	struct stage_lun *lun = &stage->luns[0];
	unsigned looks;

	tom_holds(stage);
	lun->conflict_key = lun->holder;
	lun->usurper = stage_key(stage, KEY_KIND_CLAIM, 2, 8);
	stage_start(stage, NULL, 0, false);
	while (stage->preempted_count == 0 && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	looks = stage->looks[0];
	stage_pass(stage, 10);
	return stage->looks_at_leaving == looks + 1
		       ? NULL
		       : "the look that shows a loss does not end in unregistering";
}

static const char *drill_member_conflict_looks_at_the_leader(struct stage *stage)
{
	unsigned leader, member;

	tom_holds(stage);
	stage->luns[1].conflict_key = stage->luns[1].holder;
	stage->luns[1].usurper = stage_key(stage, KEY_KIND_MEMBER, 2, 8);
	stage_start(stage, NULL, 0, false);
	while (stage->preempted_count < 2 && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	leader = stage->looks[0];
	member = stage->looks[1];
	while (stage->preempted_count < 3 && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	if (stage->looks[0] == leader)
		return "a conflict on a member is not followed by a look at the leader";
	return stage->looks[1] == member + 1 ? NULL
					     : "a conflict on a member is not taken for what it is";
}

static const char *drill_offers_without_its_members(struct stage *stage)
{
	tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	while (stage->state != ARBITER_STATE_SEIZING && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	stage->luns[1].mute = true;
	stage_pass(stage, L);
	return stage->state == ARBITER_STATE_OFFERING ? NULL
						      : "it keeps a leader without its members";
}

static const char *drill_take_asks(struct stage *stage)
{
	struct key key;

	tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 100);
	stage_command(stage, ARBITER_COMMAND_TAKE);
	stage_pass(stage, 100);
	return key_decode(&key, stage->registered) && key.kind == KEY_KIND_REQUEST
		       ? NULL
		       : "take does not ask the owner";
}

static const char *drill_tells_that_no_offer_came(struct stage *stage)
{
	tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 100);
	stage_command(stage, ARBITER_COMMAND_TAKE);
	stage_pass(stage, 100);
	for (unsigned k = 0; k < 700;
	     k++) { /* the owner turns every key of ours away, and offers nothing */
		if (stage->luns[0].own)
			lun_remove(&stage->luns[0], stage->luns[0].own);
		stage_pass(stage, 100);
	}
	return stage->told[ARBITER_RULE_REQUEST_EXPIRED] ? NULL
							 : "nobody is told that no offer came";
}

static const char *drill_unanswered_request_becomes_a_challenge(struct stage *stage)
{
	tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 100);
	stage_command(stage, ARBITER_COMMAND_TAKE);
	stage_pass(stage, 3 * (P + W));
	return stage->state == ARBITER_STATE_OWNER ? NULL : "a dead owner is asked for ever";
}

static const char *drill_standby_takes_strays_back(struct stage *stage)
{
	uint64_t stray = stage_key(stage, KEY_KIND_CLAIM, 1, 42);

	tom_holds(stage);
	lun_add(&stage->luns[0], stray);
	stage->luns[0].own = stray;
	stage_start(stage, &stray, 1, false);
	stage_pass(stage, D);
	return lun_lists(&stage->luns[0], stray) ? "an own key stays registered on a standby"
						 : NULL;
}

static const char *drill_restart_adopts(struct stage *stage)
{
	uint64_t claim = stage_key(stage, KEY_KIND_CLAIM, 1, 42);

	lun_add(&stage->luns[0], claim);
	stage->luns[0].own = stage->luns[0].holder = claim;
	stage_start(stage, &claim, 1, true);
	stage_pass(stage, 5000);
	return !stage->service_stopped && stage->gate == ARBITER_GATE_OPEN
		       ? NULL
		       : "a restart stops what it should adopt";
}

static const char *drill_looks_after_no_answer(struct stage *stage)
{
	uint64_t challenger = stage_key(stage, KEY_KIND_CLAIM, 2, 9);

	own(stage);
	stage->luns[0].lose_preempts = 1;
	lun_add(&stage->luns[0], challenger);
	while (stage->luns[0].lose_preempts > 0 && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	stage_pass(stage, 20);
	return lun_lists(&stage->luns[0], challenger)
		       ? "after an order without an answer it waits for its next beat"
		       : NULL;
}

static const char *drill_reserves_again(struct stage *stage)
{
	own(stage);
	stage->luns[0].holder = 0;
	stage_pass(stage, 2 * D);
	return stage->luns[0].holder != 0 && !stage->service_stopped
		       ? NULL
		       : "a released reservation is not made again";
}

static const char *drill_cleans_before_it_opens(struct stage *stage)
{
	tom_holds(stage);
	lun_add(&stage->luns[0],
		stage_key(stage, KEY_KIND_CLAIM, 2, 8)); /* an earlier one of his */
	own(stage);
	return stage->keys_at_opening == 1 ? NULL
					   : "the gate opens while another key is registered";
}

static const char *drill_waits_for_its_rank(struct stage *stage)
{
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, W / 2 - 100);
	if (stage->registered != 0)
		return "a free LUN is challenged before the better-ranked had their turn";
	stage_pass(stage, 2 * W);
	return stage->state == ARBITER_STATE_OWNER ? NULL : "nobody takes a free LUN";
}

static const char *drill_retakes_what_came_back(struct stage *stage)
{
	struct stage_lun *lun = &stage->luns[0];
	uint64_t tom;

	tom_holds(stage);
	tom = lun->holder;
	own(stage);
	lun->key_count = 0; /* the target falls back to what it was before */
	lun->own = 0;
	lun->holder = tom;
	lun_add(lun, tom);
	stage_pass(stage, 2 * D);
	return lun->holder != tom && lun->holder == lun->own
		       ? NULL
		       : "a preempted key that came back stays the holder";
}

/* Tom's LUN is taken; the first REGISTER gets no answer, and its session may end after that. */
static void take_by_second_register(struct stage *stage, bool session_ends)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_NEXUS};

	tom_holds(stage);
	stage->luns[0].persistent = true;
	stage->luns[0].lose_registers = 1;
	stage_start(stage, NULL, 0, false);
	while (stage->luns[0].lose_registers > 0 && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	stage_pass(stage, 10);
	if (session_ends) {
		event.nexus.ended = true;
		stage_step(stage, &event);
		event.nexus.up = event.nexus.fresh = true;
		stage_step(stage, &event);
	}
	stage_pass(stage, 20000);
}

static const char *drill_resets_after_a_lost_register(struct stage *stage)
{
	take_by_second_register(stage, false);
	return stage->told[ARBITER_RULE_CHALLENGE_RESET_UNIT] && stage->state == ARBITER_STATE_OWNER
		       ? NULL
		       : "the gate opens while a REGISTER that was given up may take effect yet";
}

static const char *drill_spares_the_reset(struct stage *stage)
{
	take_by_second_register(stage, true);
	return !stage->told[ARBITER_RULE_CHALLENGE_RESET_UNIT] &&
			       stage->state == ARBITER_STATE_OWNER
		       ? NULL
		       : "the unit is reset although nothing that was queued can take effect";
}

static const struct drill {
	const char *name;
	const char *(*run)(struct stage *stage);
	unsigned lun_count;
	uint8_t rank; /* of jerry; tom has the other */
} drills[] = {
	{"grants a request", drill_grants_a_request, 1, 0},
	{"stops when cut off", drill_stops_when_cut_off, 1, 0},
	{"offers when unfit", drill_unfit_offers, 1, 0},
	{"starts over for another holder", drill_starts_over_for_another_holder, 1, 0},
	{"a loser leaves at once", drill_loser_leaves_at_once, 1, 0},
	{"a member's conflict: the leader first", drill_member_conflict_looks_at_the_leader, 2, 0},
	{"offers without its members", drill_offers_without_its_members, 2, 0},
	{"take asks", drill_take_asks, 1, 0},
	{"tells that no offer came", drill_tells_that_no_offer_came, 1, 0},
	{"an unanswered request becomes a challenge", drill_unanswered_request_becomes_a_challenge,
	 1, 0},
	{"a standby takes strays back", drill_standby_takes_strays_back, 1, 0},
	{"a restart adopts", drill_restart_adopts, 1, 0},
	{"looks after an order without an answer", drill_looks_after_no_answer, 1, 0},
	{"reserves again", drill_reserves_again, 1, 0},
	{"cleans before it opens", drill_cleans_before_it_opens, 1, 0},
	{"leaves a free LUN to the better-ranked first", drill_waits_for_its_rank, 1, 1},
	{"retakes what came back", drill_retakes_what_came_back, 1, 0},
	{"resets after a lost REGISTER", drill_resets_after_a_lost_register, 1, 0},
	{"spares the reset", drill_spares_the_reset, 1, 0},
};

const char *drills_run(int disabled_rule, char *reason, size_t size)
{
	for (size_t k = 0; k < sizeof(drills) / sizeof(drills[0]); k++) {
		struct stage stage;
		const char *problem = "no memory";

		if (stage_open(&stage, drills[k].lun_count, drills[k].rank, disabled_rule))
			problem = drills[k].run(&stage);
		stage_close(&stage);
		if (problem) {
			snprintf(reason, size, "%s", problem);
			return drills[k].name;
		}
	}
	return NULL;
}
