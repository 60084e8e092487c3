/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The drills' stage: what its LUNs answer, and how time passes on it.
 */
#include "tests/sim/stage.h"

#include <stdlib.h>
#include <string.h>

uint64_t stage_key(const struct stage *stage, enum key_kind kind, uint8_t node,
		   uint16_t incarnation)
{
	const struct key key = {stage->cluster, kind, node, D / KEY_INTERVAL_UNIT_MS, incarnation};

	return key_encode(&key);
}

bool stage_lun_lists(const struct stage_lun *lun, uint64_t key)
{
	for (size_t k = 0; k < lun->key_count; k++)
		if (lun->keys[k] == key)
			return true;
	return false;
}

void stage_lun_add(struct stage_lun *lun, uint64_t key)
{
	lun->keys[lun->key_count++] = key;
	lun->generation++;
}

void stage_lun_remove(struct stage_lun *lun, uint64_t key)
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
		stage_lun_remove(lun, victim);
		stage_lun_add(lun, lun->usurper);
		lun->holder = lun->usurper;
		return SCSI_OUTCOME_CONFLICT;
	}
	if (lun->own != key || !stage_lun_lists(lun, victim))
		return SCSI_OUTCOME_CONFLICT;
	if (lun->holder == victim)
		lun->holder = lun->reserved = key;
	if (victim != key)
		stage_lun_remove(lun, victim);
	return SCSI_OUTCOME_OK;
}

static enum scsi_outcome lun_order(struct stage_lun *lun, const struct arbiter_effect *effect)
{
	uint64_t key = effect->order.key, service_key = effect->order.service_key, old = lun->own;

	if (lun->deaf)
		return SCSI_OUTCOME_OK;
	if (lun->refuses)
		return SCSI_OUTCOME_CONFLICT;

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
			stage_lun_remove(lun, old);
		if (service_key)
			stage_lun_add(lun, service_key);
		if (old && lun->holder == old)
			lun->holder = service_key;
		lun->own = service_key;
		if (lun->frees)
			lun->holder = 0;
		lun->frees = false;
		return SCSI_OUTCOME_OK;
	case PR_OUT_RESERVE:
		if (lun->own != key || (lun->holder && lun->holder != key))
			return SCSI_OUTCOME_CONFLICT;
		lun->holder = lun->reserved = key;
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
	uint64_t stalled_ms = stage->luns[0].stalled_until_ms;

	stage->queue[stage->tail % QUEUE].at_ms =
		(stalled_ms > stage->now_ms ? stalled_ms : stage->now_ms) + 1;
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
	look.held = lun->holder != 0 || lun->all;
	if (lun->stale && lun->holder)
		look.holder = lun->reserved;
	for (size_t k = 0; k < lun->key_count; k++)
		arbiter_look_add(&look, lun->keys[k], stage->cluster, 1);
	if (lun->contrary && stage->looks[effect->lun] % 2 == 0) {
		look.held = false;
		look.holder = look.key_count = 0;
	}
	stage->checked = stage->checked || effect->look.check;
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

	if (stage->second != stage->now_ms / 1000)
		stage->orders_in_second = 0;
	stage->second = stage->now_ms / 1000;
	stage->orders++;
	stage->orders_on[effect->lun]++;
	if (++stage->orders_in_second > stage->most_in_second)
		stage->most_in_second = stage->orders_in_second;
	if (effect->kind == ARBITER_EFFECT_ORDER) {
		bool registers = effect->order.action == PR_OUT_REGISTER;

		if (registers && effect->order.service_key == 0 && stage->left_key == 0)
			stage->left_key = effect->order.key;
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
	case ARBITER_EFFECT_ALARM:
		stage->alarmed[effect->alarm.alarm] = !effect->alarm.over;
		break;
	case ARBITER_EFFECT_STRIKE:
	case ARBITER_EFFECT_ANSWER:
		break;
	}
}

void stage_step(struct stage *stage, const struct arbiter_event *event)
{
	stage->effects.count = 0;
	stage->due_ms = arbiter_step(stage->arbiter, stage->now_ms, event, &stage->effects);
	for (size_t k = 0; k < stage->effects.count; k++)
		stage_effect(stage, &stage->effects.items[k]);
}

void stage_pass(struct stage *stage, uint64_t ms)
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

void stage_command(struct stage *stage, enum arbiter_command command)
{
	const struct arbiter_event event = {.kind = ARBITER_EVENT_COMMAND,
					    .command = {.command = command}};

	stage_step(stage, &event);
}

void stage_start(struct stage *stage, const uint64_t *claims, size_t count, bool serving)
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

bool stage_open(struct stage *stage, unsigned lun_count, uint8_t rank, int disabled_rule)
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
	config.rank_of[3] = 2;
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

void stage_close(struct stage *stage)
{
	free(stage->effects.items);
	free(stage->arbiter);
}

void stage_tom_holds(struct stage *stage)
{
	for (unsigned lun = 0; lun < stage->lun_count; lun++) {
		uint64_t key = stage_key(stage, lun ? KEY_KIND_MEMBER : KEY_KIND_CLAIM, 2, 7);

		stage_lun_add(&stage->luns[lun], key);
		stage->luns[lun].holder = key;
	}
}

void stage_own(struct stage *stage)
{
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 10000);
}
