/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What one node may do, judged by what it has seen: the local half of the invariants. It follows
 * each node's looks and orders by itself and knows nothing of the arbiter's inside, so that a rule
 * taken out of the arbiter shows here as an order, or an opening of the gate, that
 * docs/arbitration.md forbids.
 */
#include "tests/sim/world.h"

#include <string.h>

/* Four answers, each rounded to a millisecond at both ends. */
#define ORACLE_TOLERANCE_US (8 * MS)

void oracle_reset(struct node *node)
{
	memset(node->watches, 0, sizeof(node->watches));
}

/* Has this node taken the LUN from that key? Then it may do so again, should the target fall back
 * to an older state. */
static bool oracle_preempted(const struct watch *watch, uint64_t key)
{
	for (unsigned i = 0; i < sizeof(watch->preempted) / sizeof(watch->preempted[0]); i++) {
		if (key != 0 && watch->preempted[i] == key)
			return true;
	}
	return false;
}

static bool oracle_owning(const struct node *node)
{
	return node->state == ARBITER_STATE_TAKING || node->state == ARBITER_STATE_OWNER ||
	       node->state == ARBITER_STATE_REASSERTING || node->state == ARBITER_STATE_YIELDING ||
	       node->state == ARBITER_STATE_OFFERING || node->state == ARBITER_STATE_CUT_OFF;
}

/* Written down once for all kinds: a claim, its members' keys and its offer share the incarnation.
 */
static bool oracle_recorded(const struct node *node, uint64_t key)
{
	for (unsigned i = 0; i < node->claim_count; i++) {
		if (((node->claims[i] ^ key) & ~((0xfULL << 32) | (0xffULL << 16))) == 0)
			return true;
	}
	return false;
}

static bool oracle_shows(const struct watch *watch, uint64_t key)
{
	for (unsigned i = 0; i < watch->key_count; i++) {
		if (watch->keys[i] == key)
			return true;
	}
	return false;
}

/* At any time not long ago. */
static bool oracle_has_seen(const struct watch *watch, uint64_t key)
{
	for (unsigned i = 0; i < sizeof(watch->seen) / sizeof(watch->seen[0]); i++) {
		if (watch->seen[i].key == key)
			return true;
	}
	return false;
}

/* At least W, and four times the defend interval that the holder's key tells. */
static uint64_t oracle_window_ms(const struct node *node, uint64_t holder)
{
	uint64_t window_ms = node->config.window_ms;
	struct key key;

	if (key_decode(&key, holder) && key.kind != KEY_KIND_OFFER &&
	    4u * KEY_INTERVAL_UNIT_MS * key.interval > window_ms)
		window_ms = 4ull * KEY_INTERVAL_UNIT_MS * key.interval;
	return window_ms;
}

/* Among the last `count` looks, of those that began no earlier than that. */
static uint64_t oracle_slowest_us(const struct watch *watch, uint32_t count, uint64_t from_us)
{
	uint64_t slowest_us = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = (watch->window_looks - 1 - i) % WATCH_LOOKS;
		uint64_t took_us = watch->window[at].ended_us - watch->window[at].began_us;

		if (watch->window[at].began_us >= from_us + ORACLE_TOLERANCE_US &&
		    took_us > slowest_us)
			slowest_us = took_us;
	}
	return slowest_us;
}

/* Is there a moment, the end of the REGISTER or of one of the looks, from which on looks have been
 * answered without a gap, and which is a window ago? Whatever restarted the window, it began at one
 * of these. The slowest answer since makes it longer; an array that is always slow makes the gaps
 * that are allowed longer too. */
static bool oracle_window_full(const struct node *node, const struct watch *watch,
			       uint64_t window_ms)
{
	uint32_t kept = watch->window_looks < WATCH_LOOKS ? watch->window_looks : WATCH_LOOKS;
	uint64_t gap_us = (window_ms / 4 + node->config.defend_ms) * MS;
	uint64_t last_us = watch->window[(watch->window_looks - 1) % WATCH_LOOKS].began_us;

	for (uint32_t i = 0; i < kept; i++) {
		uint32_t at = (watch->window_looks - 1 - i) % WATCH_LOOKS;
		uint64_t took_us = watch->window[at].ended_us - watch->window[at].began_us;

		if (2 * took_us > gap_us)
			gap_us = 2 * took_us;
	}
	for (uint32_t i = 0; i < kept; i++) {
		uint32_t at = (watch->window_looks - 1 - i) % WATCH_LOOKS;
		uint64_t before_us;

		if (i + 1 < watch->window_looks && i + 1 < WATCH_LOOKS)
			before_us =
				watch->window[(watch->window_looks - 2 - i) % WATCH_LOOKS].ended_us;
		else
			before_us = watch->window_from_us;
		if (watch->window[at].ended_us > before_us + gap_us + ORACLE_TOLERANCE_US)
			return false;
		if (last_us + ORACLE_TOLERANCE_US >= before_us + window_ms * MS &&
		    last_us + ORACLE_TOLERANCE_US >=
			    before_us + 4 * oracle_slowest_us(watch, i + 1, before_us))
			return true;
	}
	return false;
}

/* Looks have contradicted each other, or orders had no effect: what a node has seen is no measure. */
static bool oracle_lied_to(const struct world *world)
{
	return world->now_us < world->lies_until_us;
}

/* Takes over from `victim` (0: nobody held). */
static void oracle_takeover(struct world *world, struct node *node, uint64_t own, uint64_t victim)
{
	struct watch *watch = &node->watches[0];
	uint64_t window_ms = oracle_window_ms(node, victim);
	char text[32];
	struct key key;

	if (victim != 0 && key_decode(&key, victim)) {
		if (oracle_recorded(node, victim))
			return; /* an own key: swapped without waiting */
		if (key.kind == KEY_KIND_OFFER &&
		    (key.interval == node->number || key.interval == KEY_NODE_ANY))
			return;
	}
	if (watch->owns || oracle_preempted(watch, victim) || oracle_lied_to(world))
		return; /* an owner that takes back what came back, or lost its reservation */
	if (victim == 0 && oracle_owning(node))
		return; /* it has not heard yet that it has lost: then the target refuses */
	if (watch->passed && watch->passed_key == own && watch->passed_victim == victim)
		return; /* said again: an owner that has reacted since has removed the own key, and
			   the target refuses */
	if (watch->window_key != own || watch->window_holder != victim ||
	    watch->window_looks == 0) {
		world_fail(
			world, "window",
			"%s takes over from %s without having looked at it with its own key there",
			trace_node_name(node), trace_key(victim, text, sizeof(text)));
		return;
	}
	if (!oracle_window_full(node, watch, window_ms))
		world_fail(world, "window",
			   "%s takes over from %s %.1f ms after its REGISTER, before a window of "
			   "%llu ms is full",
			   trace_node_name(node), trace_key(victim, text, sizeof(text)),
			   (double)(world->now_us - watch->window_from_us) / 1e3,
			   (unsigned long long)window_ms);
	watch->passed = true;
	watch->passed_key = own;
	watch->passed_victim = victim;
}

static void oracle_stand_back(struct world *world, struct node *node, uint64_t victim)
{
	struct watch *watch = &node->watches[0];
	char text[32];
	struct key key;

	if (watch->owns || (victim == 0 && oracle_owning(node)) || world->same_numbers ||
	    oracle_lied_to(world) || oracle_recorded(node, victim) ||
	    (key_decode(&key, victim) && key.kind == KEY_KIND_OFFER))
		return;
	for (unsigned i = 0; i < watch->key_count; i++) {
		uint64_t value = watch->keys[i];
		unsigned j = 0;

		if (value == victim || value == watch->holder ||
		    !key_is_ours(value, world->cluster) || !key_decode(&key, value) ||
		    key.kind != KEY_KIND_CLAIM || node->config.rank_of[key.node] >= node->rank)
			continue;
		while (j < sizeof(watch->seen) / sizeof(watch->seen[0]) &&
		       watch->seen[j].key != value)
			j++;
		if (j < sizeof(watch->seen) / sizeof(watch->seen[0]) &&
		    world->now_us - watch->seen[j].since_us + ORACLE_TOLERANCE_US <
			    2 * MS * node->config.window_ms)
			world_fail(world, "rank",
				   "%s takes over beside the better-ranked challenger %s",
				   trace_node_name(node), trace_key(value, text, sizeof(text)));
	}
}

static void oracle_register(struct world *world, struct node *node,
			    const struct arbiter_effect *effect)
{
	struct watch *watch = &node->watches[effect->lun];
	char text[32];
	struct key key;

	if (effect->order.service_key == 0)
		return;
	if (!key_is_ours(effect->order.service_key, world->cluster) ||
	    !key_decode(&key, effect->order.service_key) || key.node != node->number)
		world_fail(world, "own-keys", "%s registers %s", trace_node_name(node),
			   trace_key(effect->order.service_key, text, sizeof(text)));
	if (node->gate == ARBITER_GATE_OPEN || node->in_flight > 0)
		world_fail(world, "registers-quietly",
			   "%s registers while its gate is %s with %u writes in flight",
			   trace_node_name(node), arbiter_gate_name(node->gate), node->in_flight);
	else if (!node->gate_quiet || (node->gate == ARBITER_GATE_HELD && !oracle_owning(node)))
		world_fail(world, "registers-quietly", "%s registers before it is quiet",
			   trace_node_name(node));
	if (effect->order.key != 0 && effect->order.key != effect->order.service_key &&
	    oracle_recorded(node, effect->order.key) && !oracle_preempted(watch, effect->order.key))
		watch->preempted[watch->preempted_next++ % 8] = effect->order.key;
	watch->registered = UINT32_MAX; /* until it ends */
	watch->window_key = effect->order.service_key;
	watch->window_looks = 0;
}

/* A claim of the node that the leader was taken from: it is nobody's afterwards, so it cannot be a
 * successor's, whenever it was found on a member. */
static bool oracle_predecessor(const struct watch *leader, uint64_t victim)
{
	const uint64_t claim = ~((0xfULL << 32) | (0xffULL << 16)); /* all but kind and interval */

	for (unsigned i = 0; i < sizeof(leader->preempted) / sizeof(leader->preempted[0]); i++)
		if (leader->preempted[i] != 0 && ((leader->preempted[i] ^ victim) & claim) == 0)
			return true;
	return false;
}

/* The members follow the leader: what is taken was found there before a look that still showed this
 * node as the leader's holder. What is found later may be the successor's. */
static void oracle_member(struct world *world, struct node *node, unsigned lun, uint64_t own,
			  uint64_t victim)
{
	const struct watch *leader = &node->watches[0], *watch = &node->watches[lun];
	char text[32];

	if (oracle_lied_to(world))
		return;
	if (leader->held_own_us == 0) {
		world_fail(world, "leader-first",
			   "%s takes member %u without having held the leader",
			   trace_node_name(node), lun);
		return;
	}
	/* The same of a member that nobody holds; but who is still registered there since it held
	 * has not been preempted. */
	if (victim == 0 && watch->order_ended == watch->registered &&
	    !(watch->held_own >= watch->registered && oracle_shows(watch, own)) &&
	    leader->held_own < watch->lost_found)
		world_fail(world, "leader-first",
			   "%s takes member %u, which a successor may have lost",
			   trace_node_name(node), lun);
	for (unsigned i = 0; i < sizeof(watch->seen) / sizeof(watch->seen[0]) && victim != 0; i++) {
		if (oracle_recorded(node, victim) || oracle_predecessor(leader, victim))
			break;
		if (watch->seen[i].key == victim && watch->seen[i].since_us > leader->held_own_us)
			world_fail(world, "leader-first",
				   "%s takes member %u from %s, which may be its successor's",
				   trace_node_name(node), lun,
				   trace_key(victim, text, sizeof(text)));
	}
}

/* An order that is about holding the LUN, after which only a look can tell who does. A PREEMPT that
 * turns somebody else away leaves the holder as it is, whatever becomes of it. */
static bool oracle_claims(const struct watch *watch, const struct arbiter_effect *effect)
{
	if (effect->kind == ARBITER_EFFECT_RESET)
		return false;
	if (effect->order.action == PR_OUT_PREEMPT ||
	    effect->order.action == PR_OUT_PREEMPT_AND_ABORT)
		return !watch->held || watch->holder != effect->order.key ||
		       effect->order.service_key == effect->order.key;
	return true;
}

static void oracle_order(struct world *world, struct node *node,
			 const struct arbiter_effect *effect)
{
	struct watch *watch = &node->watches[effect->lun];
	char text[32];

	if (!node->nexuses[node->lun_of[effect->lun]][effect->order.nexus].told_up)
		world_fail(world, "nexus-up",
			   "%s sends an order by nexus %u of lun %u, which is down",
			   trace_node_name(node), effect->order.nexus, effect->lun);
	watch->orders++;
	if (oracle_claims(watch, effect))
		watch->claims++;
	if (effect->kind == ARBITER_EFFECT_RESET)
		return;
	switch (effect->order.action) {
	case PR_OUT_REGISTER:
	case PR_OUT_REGISTER_AND_IGNORE:
		oracle_register(world, node, effect);
		return;
	case PR_OUT_RESERVE:
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		break;
	case PR_OUT_RELEASE:
	case PR_OUT_CLEAR:
	case PR_OUT_REGISTER_AND_MOVE:
		return;
	}
	if (!oracle_recorded(node, effect->order.key))
		world_fail(world, "written-down", "%s sends %s under %s, which is not durable",
			   trace_node_name(node), pr_out_action_name(effect->order.action),
			   trace_key(effect->order.key, text, sizeof(text)));
	if (effect->order.action == PR_OUT_RESERVE) {
		if (effect->lun == 0) {
			if (!(watch->passed && watch->passed_key == effect->order.key))
				oracle_stand_back(world, node, 0);
			oracle_takeover(world, node, effect->order.key, 0);
		} else {
			oracle_member(world, node, effect->lun, effect->order.key, 0);
		}
		return;
	}
	if (!key_is_ours(effect->order.service_key, world->cluster))
		world_fail(world, "strangers", "%s preempts the foreign key %s",
			   trace_node_name(node),
			   trace_key(effect->order.service_key, text, sizeof(text)));
	if (!oracle_has_seen(watch, effect->order.service_key) && !oracle_lied_to(world) &&
	    !oracle_recorded(node, effect->order.service_key))
		world_fail(world, "exact-keys", "%s preempts %s, which it has not seen",
			   trace_node_name(node),
			   trace_key(effect->order.service_key, text, sizeof(text)));
	/* Who has not registered since it saw itself hold turns others away: should it have been
	 * preempted meanwhile, it is not registered any more and the target refuses. A REGISTER in
	 * between would make that PREEMPT a takeover. */
	if (watch->held_own != 0 && watch->held_own > watch->registered)
		return;
	if (effect->lun == 0) {
		if (!(watch->passed && watch->passed_key == effect->order.key))
			oracle_stand_back(world, node, effect->order.service_key);
		oracle_takeover(world, node, effect->order.key, effect->order.service_key);
		if (!oracle_preempted(watch, effect->order.service_key))
			watch->preempted[watch->preempted_next++ % 8] = effect->order.service_key;
	} else {
		oracle_member(world, node, effect->lun, effect->order.key,
			      effect->order.service_key);
	}
}

/* The gate opens only on what a look begun after the last order shows. */
static void oracle_gate(struct world *world, struct node *node, const struct arbiter_effect *effect)
{
	char text[32];
	struct key key;

	if (effect->gate.gate == ARBITER_GATE_FAILED)
		node->tenure_valid = false;
	if (effect->gate.gate != ARBITER_GATE_OPEN) {
		if (node->gate_ordered == ARBITER_GATE_OPEN)
			node->gate_closed_us = world->now_us;
		return;
	}
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		const struct watch *watch = &node->watches[lun];

		if (!watch->looked || !watch->held || !oracle_recorded(node, watch->holder) ||
		    !key_decode(&key, watch->holder) || key.kind == KEY_KIND_OFFER)
			world_fail(world, "gate-after-look",
				   "%s opens its gate, and has seen %s hold lun %u",
				   trace_node_name(node),
				   watch->looked ? trace_key(watch->holder, text, sizeof(text))
						 : "nothing",
				   lun);
		else if (watch->claims > 0 || watch->look_serial < watch->claim_ended)
			world_fail(world, "gate-after-look",
				   "%s opens its gate without a look at lun %u later than its last "
				   "order",
				   trace_node_name(node), lun);
	}
	if (node->watches[0].look_began_us + MS < node->gate_closed_us)
		world_fail(
			world, "gate-after-look",
			"%s opens its gate, and has not looked at the leader since it was closed",
			trace_node_name(node));
	/* As long as the gate is only held the service runs on, with what it knows of the disk:
	 * should another node have written meanwhile, its next write is one of a deposed owner. */
	if (!node->tenure_valid) {
		node->tenure = ++world->tenure;
		node->tenure_valid = true;
	}
}

void oracle_effect(struct world *world, struct node *node, const struct arbiter_effect *effect)
{
	switch (effect->kind) {
	case ARBITER_EFFECT_ORDER:
	case ARBITER_EFFECT_RESET:
		oracle_order(world, node, effect);
		break;
	case ARBITER_EFFECT_GATE:
		oracle_gate(world, node, effect);
		break;
	case ARBITER_EFFECT_SERVICE:
		if (effect->service.start && node->gate_ordered != ARBITER_GATE_OPEN)
			world_fail(world, "service-behind-gate",
				   "%s starts its service with the gate %s", trace_node_name(node),
				   arbiter_gate_name(node->gate_ordered));
		break;
	case ARBITER_EFFECT_STRIKE:
		if (effect->record.key == 0) { /* lost, or handed over */
			for (unsigned lun = 0; lun < world->lun_count; lun++)
				node->watches[lun].owns = false;
		}
		break;
	case ARBITER_EFFECT_LOOK:
	case ARBITER_EFFECT_RECORD:
	case ARBITER_EFFECT_ANSWER:
	case ARBITER_EFFECT_STATE:
	case ARBITER_EFFECT_RULE:
	case ARBITER_EFFECT_ALARM:
		break;
	}
}

void oracle_order_ended(struct world *world, struct node *node, unsigned lun)
{
	struct watch *watch = &node->watches[lun];

	watch->orders--;
	watch->order_ended_us = world->now_us;
	watch->order_ended = world_serial(world);
	if (watch->registered == UINT32_MAX)
		watch->registered = watch->order_ended;
	if (watch->claims > 0) { /* there is one order at a time */
		watch->claims--;
		watch->claim_ended = watch->order_ended;
	}
}

static void oracle_window_look(struct world *world, struct watch *watch, const struct op *op)
{
	uint64_t holder = watch->held ? watch->holder : 0;

	if (op->serial < watch->order_ended || watch->orders > 0)
		return;
	if (!oracle_shows(watch, watch->window_key)) {
		watch->window_looks = 0;
		return;
	}
	if (watch->window_looks == 0 || holder != watch->window_holder) {
		watch->window_from_us = watch->order_ended_us;
		watch->window_holder = holder;
		watch->window_looks = 0;
	}
	watch->window[watch->window_looks % WATCH_LOOKS].began_us = op->began_us;
	watch->window[watch->window_looks++ % WATCH_LOOKS].ended_us = world->now_us;
}

static void oracle_seen(struct world *world, struct watch *watch, const struct arbiter_look *look)
{
	unsigned count = sizeof(watch->seen) / sizeof(watch->seen[0]);

	for (unsigned i = 0; i < look->key_count; i++) {
		unsigned j = 0, oldest = 0;

		while (j < count && watch->seen[j].key != look->keys[i])
			j++;
		if (j == count) {
			for (j = 0; j < count; j++) {
				if (watch->seen[j].last_us < watch->seen[oldest].last_us)
					oldest = j;
			}
			j = oldest;
			watch->seen[j].key = look->keys[i];
			watch->seen[j].since_us = world->now_us;
		}
		watch->seen[j].last_us = world->now_us;
	}
}

void oracle_looked(struct world *world, struct node *node, unsigned lun, const struct op *op,
		   const struct arbiter_look *look)
{
	struct watch *watch = &node->watches[lun];

	if (!look->ok)
		return;
	oracle_seen(world, watch, look); /* also what a later look has overtaken */
	if (watch->looked && op->serial < watch->look_serial)
		return;
	watch->looked = true;
	watch->look_began_us = op->began_us;
	watch->look_serial = op->serial;
	watch->look_ended_us = world->now_us;
	watch->held = look->held;
	watch->holder = look->held && look->holder != 0 ? arbiter_look_borne(look, 0)
			: look->held                    ? ARBITER_HOLDER_ALL
							: 0;
	watch->key_count = look->key_count;
	memcpy(watch->keys, look->keys, look->key_count * sizeof(look->keys[0]));
	if (look->held && oracle_recorded(node, watch->holder)) {
		watch->held_own_us = op->began_us;
		watch->held_own = op->serial;
		watch->owns = true;
		watch->lost_found = 0;
	} else if (look->held && !oracle_preempted(watch, watch->holder)) {
		watch->owns = false;
	}
	if (!(look->held && oracle_recorded(node, watch->holder)) && watch->lost_found == 0)
		watch->lost_found = world_serial(world);
	if (lun == 0)
		oracle_window_look(world, watch, op);
}
