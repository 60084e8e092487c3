/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must hold in truth: the invariants of docs/arbitration.md ("What must always hold"), judged
 * from outside with full knowledge of every LUN and node. What excuses a node is written beside the
 * check, with the reason.
 */
#include "tests/sim/world.h"

#include <stdio.h>
#include <string.h>

#define INVARIANTS_GATE_US (100 * MS) /* from a look to the gate that fails because of it */

/* ---- 1: who may write ---- */

/* Under "registrants only" the target admits everybody who is registered, so the reservation alone
 * does not keep the rule: the nodes must. Excuses: while nobody holds the LUN the target admits
 * anybody, and no node can prevent that; it is closed again by whoever reserves, and what lands
 * later is judged by invariants_landed(). Who had been registered before that somebody reserved is
 * admitted until the new holder has removed it, which it does before its gate opens. */
void invariants_admitted(struct world *world, struct command *command, unsigned port)
{
	const struct sim_lun *unit = &world->luns[command->lun];
	const struct node *node = &world->nodes[command->node];
	char text[32];
	struct key key;

	if (!unit->lun.held) {
		/* Sent in time, stuck on the way, and let in because its successor's reservation is
		 * lost. */
		command->unaware |= command->tenure < unit->landed_tenure;
		return;
	}
	if (unit->holder_node != command->node && unit->holder_node != NONE8 &&
	    world->nodes[unit->holder_node].gate != ARBITER_GATE_OPEN &&
	    command->tenure >= unit->landed_tenure &&
	    unit->registered_us[port] < unit->holder_since_us)
		return;
	/* A stranger has come to hold it, and left whom it found registered: nobody could know. */
	if (unit->holder_node == NONE8 && unit->registered_us[port] < unit->holder_since_us &&
	    (node->watches[command->lun].look_began_us < unit->holder_since_us ||
	     world->now_us < node->watches[command->lun].look_ended_us + INVARIANTS_GATE_US))
		return;
	if (unit->holder_node != command->node) {
		world_fail(world, "writes-of-the-owner",
			   "a write of %s is admitted to lun %u by nexus %u, which %s holds",
			   trace_node_name(node), command->lun, port,
			   trace_key(lun_holder_key(&unit->lun), text, sizeof(text)));
		return;
	}
	if (key_decode(&key, lun_holder_key(&unit->lun)) && key.kind == KEY_KIND_OFFER)
		world_fail(world, "writes-of-the-owner",
			   "a write of %s is admitted to lun %u under its offer",
			   trace_node_name(node), command->lun);
}

/* Data goes only through nexuses that are registered: whose nexuses are, says the arbiter when it
 * opens the gate. Excuse: the LUN has lost its power since, and the registrations with it. */
void invariants_refused(struct world *world, const struct command *command)
{
	const struct sim_lun *unit = &world->luns[command->lun];
	const struct node *node = &world->nodes[command->node];

	if (!unit->lun.held || unit->holder_node != command->node ||
	    node->gate != ARBITER_GATE_OPEN || command->opening != node->gate_openings ||
	    unit->lost_opening[command->node] == node->gate_openings ||
	    world->now_us < world->lies_until_us)
		return;
	world_fail(world, "registered-nexuses",
		   "a write of %s, who holds lun %u, is refused on its nexus %u",
		   trace_node_name(node), command->lun, world->sessions[command->session].nexus);
}

/* A node does not give up the registration that holds, or whoever is let in then writes beside its
 * successor. Excuse: an operator wants the LUN free. */
void invariants_freed(struct world *world, const struct command *command)
{
	const struct sim_lun *unit = &world->luns[command->lun];
	const struct node *node = &world->nodes[command->node];

	if (unit->holder_node == command->node && !unit->lun.held && !node->freed &&
	    world->now_us >= world->lies_until_us)
		world_fail(world, "never-free", "%s unregisters from lun %u, which it holds",
			   trace_node_name(node), command->lun);
}

/* It has lost the LUN and has not had a look since, by which it could know (it, or its daemon, has
 * been dead to the world). */
bool invariants_unaware(const struct world *world, const struct node *node)
{
	const struct watch *watch = &node->watches[0];

	if (node->deposed_us == 0)
		return false;
	return !watch->looked || watch->look_began_us < node->deposed_us ||
	       world->now_us < watch->look_ended_us + INVARIANTS_GATE_US;
}

/* The leader's target has lost power, and with it all traces of who had owned since a node was
 * deposed without knowing it (cut off, not asleep: who has slept is more careful). Or it has fallen
 * back to a state in which that node still holds. Either way the node finds the LUN as if nobody
 * had been there. Nobody can tell it otherwise. */
void invariants_forgive(struct world *world, unsigned lun)
{
	const struct sim_lun *unit = &world->luns[lun];

	for (unsigned i = 0; i < world->node_count && lun == 0; i++) {
		struct node *node = &world->nodes[i];
		bool asleep = node->frozen_until_us > world->now_us ||
			      node->daemon_paused_until_us > world->now_us || !node->daemon_running;

		if (!node->tenure_valid || i == world->owner)
			continue;
		if (unit->lun.held ? net_port_node(world, lun, unit->lun.holder) == i : !asleep)
			node->forgiven_tenure = node->tenure;
	}
}

/* Excuse: a write that a deposed node sent while it could not know, and that the target admitted
 * all the same. It does so only when it has lost the successor's reservation: because nobody holds
 * (power, or on targets that forget a registration with its session), or because it fell back to an
 * older state in which that node holds. Nobody can prevent that. */
void invariants_landed(struct world *world, const struct command *command)
{
	struct sim_lun *unit = &world->luns[command->lun];
	const struct node *node = &world->nodes[command->node];
	const struct write *write = &node->writes[command->op];
	bool in_flight = write->used && write->serial == command->op_serial;

	/* A node's own earlier write is late only if the node still knew of it when it began anew:
	 * one that ended with its session may still come, and nobody can tell. */
	if (command->tenure < unit->landed_tenure && !command->unaware &&
	    command->tenure != node->forgiven_tenure &&
	    (unit->landed_node != command->node || in_flight))
		world_fail(world, "late-writes",
			   "a write of %s (tenure %u) lands on lun %u after the first one of %s "
			   "(tenure %u)",
			   trace_node_name(node), command->tenure, command->lun,
			   trace_node_name(&world->nodes[unit->landed_node]), unit->landed_tenure);
	if (command->tenure > unit->landed_tenure) {
		unit->landed_tenure = command->tenure;
		unit->landed_node = command->node;
	}
}

/* ---- 2 and 5: who may lose, and how often ---- */

/* It is, or was a moment ago, in a state in which it need not keep what it owns. */
static bool invariants_excused(const struct world *world, const struct node *node)
{
	return world->now_us <= node->excused_until_us || !node->running || !node->daemon_running ||
	       node->frozen_until_us > world->now_us ||
	       node->daemon_paused_until_us > world->now_us || !node->want_fit ||
	       node->state == ARBITER_STATE_YIELDING || node->state == ARBITER_STATE_OFFERING;
}

static bool invariants_candidate(struct world *world, struct node *node)
{
	if (!node->running || !node->daemon_running || node->frozen_until_us > world->now_us ||
	    node->daemon_paused_until_us > world->now_us || !node->want_fit ||
	    node->index == world->misfit)
		return false;
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		bool up = false;

		for (unsigned i = 0; i < world->nexus_count; i++)
			up |= net_nexus_up(world, node->index, lun, i) &&
			      !node->nexuses[lun][i].standby;
		if (!up)
			return false;
	}
	return true;
}

/* An owner that hands over by itself has a reason when it begins to; what follows is no loss. */
void invariants_yields(struct world *world, struct node *node)
{
	if (world->now_us > node->excused_until_us && invariants_candidate(world, node) &&
	    world->now_us > world->unreliable_until_us &&
	    world->lost_answer + world->lost_command == 0)
		world_fail(world, "healthy-owner", "%s yields, and nothing was wrong with it",
			   trace_node_name(node));
}

static bool invariants_owning(const struct node *node)
{
	return node->state == ARBITER_STATE_TAKING || node->state == ARBITER_STATE_OWNER ||
	       node->state == ARBITER_STATE_REASSERTING || node->state == ARBITER_STATE_CUT_OFF;
}

/* Excuse: it lost the reservation to nobody while it was excused, and has given up since. */
static void invariants_owner(struct world *world, uint8_t holder)
{
	struct node *loser, *winner = &world->nodes[holder];

	if (world->owner == holder)
		return;
	if (world->owner != NONE8) {
		loser = &world->nodes[world->owner];
		/* who has only begun, may be at odds for long on a slow array */
		world->ownership_changes +=
			!(invariants_excused(world, loser) && loser->excuse == faults_begun);
		trace_line(world, winner, "*** owns, after %s (%s)", trace_node_name(loser),
			   invariants_excused(world, loser) ? loser->excuse : "no excuse");
		if (world->now_us <= world->unreliable_until_us ||
		    world->lost_answer + world->lost_command > 0)
			world->challenges_lost += !invariants_excused(world, loser);
		else if (!invariants_excused(world, loser) &&
			 !(world->vanished_excused && !invariants_owning(loser)))
			world_fail(world, "healthy-owner",
				   "%s loses lun 0 to %s, and nothing was wrong with it",
				   trace_node_name(loser), trace_node_name(winner));
	}
	if (world->owner != NONE8)
		world->nodes[world->owner].deposed_us = world->now_us;
	winner->deposed_us = 0;
	world->owner = holder;
	world->vanished_excused = false;
}

/* Called after everything that may have changed registrations or reservation. */
void invariants_lun_changed(struct world *world, unsigned lun)
{
	struct sim_lun *unit = &world->luns[lun];
	uint8_t holder = unit->lun.held ? net_port_node(world, lun, unit->lun.holder) : NONE8;
	uint8_t was = unit->holder_node;

	for (uint16_t i = 0; i < unit->lun.nexus_count; i++) {
		uint64_t key = unit->lun.nexuses[i].registered ? unit->lun.nexuses[i].key : 0;

		if (key == unit->registered_key[i])
			continue;
		if (lun == 0 && key != 0 && net_port_node(world, lun, i) != world->owner)
			world->challenges++;
		unit->registered_key[i] = key;
		unit->registered_us[i] = world->now_us;
	}
	if (holder != unit->holder_node || unit->held != unit->lun.held) {
		unit->held = unit->lun.held;
		unit->holder_node = holder;
		unit->holder_since_us = world->now_us;
	}
	if (lun == 0 && holder != NONE8)
		invariants_owner(world, holder);
	else if (lun == 0 && was != NONE8 && world->owner != NONE8)
		world->vanished_excused = invariants_excused(world, &world->nodes[world->owner]) ||
					  !invariants_owning(&world->nodes[world->owner]);
}

/* ---- no storms ---- */

/* PR OUT and resets of one node to one LUN in one second, in whatever schedule: some 64 at once, and
 * one in an eighth of its defend interval. */
void invariants_ordered(struct world *world, struct node *node, unsigned lun)
{
	uint64_t second = world->now_us / SECOND;
	uint32_t period_ms = node->config.defend_ms / 8 > 5 ? node->config.defend_ms / 8 : 5;
	uint32_t most = 64 + 1000 / period_ms + 2;

	if (node->rate_second[lun] != second) {
		node->rate_second[lun] = second;
		node->rate_orders[lun] = 0;
	}
	if (++node->rate_orders[lun] > most)
		world_fail(world, "order-rate", "%s sends more than %u orders a second to lun %u",
			   trace_node_name(node), most, lun);
}

/* ---- 3 and 4: what must come about ---- */

/* One look: two reads, each perhaps behind a unit attention or two. */
static uint64_t invariants_look_us(const struct world *world)
{
	uint64_t trip = 2 * (world->timing.latency_us + world->timing.jitter_us) +
			world->timing.slow_max_ms * MS;

	return 4 * trip + MS;
}

/* How long until some fit node owns, runs the service, and nothing is left over, once nothing
 * disturbs any more: the owner is found missing    P, and 3 P for every better-ranked prober that
 * has gone too; the challenge                 rank delay W/2 and standing back 2 W for every
 * better-ranked node, the window twice (it is started again once when answers have been slow), each
 * at least 4 looks; what was under way            an offer or a request that is waited for, a
 * cool-down, a service that does not stop, a login; the takeover                  some 12 commands
 * for each nexus of each LUN; and where answers are lost, each of these may have to be given up for
 * a time first. */
uint64_t invariants_bound_us(const struct world *world)
{
	uint64_t look = invariants_look_us(world), others = world->node_count - 1u;
	uint64_t window =
		world->window_max_ms * MS > 4 * look ? world->window_max_ms * MS : 4 * look;
	uint64_t probe = world->probe_max_ms * MS > window ? world->probe_max_ms * MS : window;
	uint64_t bound = probe * (1 + 3 * others) + window * (3 + 3 * others) +
			 12 * look * world->lun_count * (world->nexus_count + 1u);

	bound += (2 * world->request_max_ms + world->cooldown_ms + 4 * world->gate_slow_ms) * MS +
		 15 * SECOND;
	if (world->profile->lost_answer > 0)
		bound = 2 * bound + 15 * SECOND;
	return bound;
}

/* How long a write may be on its way to the medium: a gate is not quiet before. */
#define INVARIANTS_WRITE_US (2500 * MS)

/* How long another node's registration may stay on a LUN whose owner is well: until its next look,
 * and the PREEMPT. */
static uint64_t invariants_linger_us(const struct world *world, const struct node *owner)
{
	uint64_t us = owner->config.defend_ms * MS + 4 * invariants_look_us(world) + 100 * MS;

	return world->profile->lost_answer > 0 ? 4 * us + 10 * SECOND : us;
}

static bool invariants_calm(struct world *world)
{
	bool candidate = false;

	for (unsigned i = 0; i < world->node_count; i++)
		candidate |= invariants_candidate(world, &world->nodes[i]);
	for (unsigned i = 0; i < sizeof(world->lasting_faults) / sizeof(world->lasting_faults[0]);
	     i++) {
		if (world->lasting_faults[i].used)
			return false;
	}
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		if (!world->luns[lun].powered || world->luns[lun].stalled_until_us > world->now_us)
			return false;
	}
	return candidate;
}

static const char *unsettled_registrations(struct world *world, const struct node *owner,
					   unsigned lun)
{
	const struct sim_lun *unit = &world->luns[lun];
	uint64_t own = lun_holder_key(&unit->lun);
	static char text[WORLD_MESSAGE_SIZE];
	uint64_t since;
	char name[32];

	for (uint16_t i = 0; i < unit->lun.nexus_count; i++) {
		const struct lun_nexus *nexus = &unit->lun.nexuses[i];

		if (!nexus->registered || net_port_node(world, lun, i) == NONE8)
			continue;
		if (net_port_node(world, lun, i) == owner->index && nexus->key == own)
			continue;
		since = unit->registered_us[i] > world->disturbed_us ? unit->registered_us[i]
								     : world->disturbed_us;
		if (world->now_us - since < invariants_linger_us(world, owner))
			continue;
		snprintf(text, sizeof(text), "lun %u: %s has been registered for %.1f s", lun,
			 trace_key(nexus->key, name, sizeof(name)),
			 (double)(world->now_us - unit->registered_us[i]) / 1e6);
		return text;
	}
	for (unsigned i = 0; i < world->nexus_count; i++) {
		uint16_t session = owner->nexuses[lun][i].session;

		if (session == NONE || unit->lun.nexuses[world->sessions[session].port].registered)
			continue;
		snprintf(text, sizeof(text), "lun %u: nexus %u of the owner is not registered", lun,
			 i);
		return text;
	}
	return NULL;
}

/* NULL: one fit owner, its gate open, its service running, nothing left over. Else what is
 * missing. */
static const char *invariants_unsettled(struct world *world)
{
	const struct node *owner = world->owner == NONE8 ? NULL : &world->nodes[world->owner];
	static char text[WORLD_MESSAGE_SIZE];
	const char *why;

	if (!owner || world->luns[0].holder_node != owner->index)
		return "nobody holds lun 0";
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		if (world->luns[lun].holder_node != owner->index) {
			snprintf(text, sizeof(text), "lun %u is not held by %s", lun,
				 trace_node_name(owner));
			return text;
		}
		why = unsettled_registrations(world, owner, lun);
		if (why)
			return why;
	}
	if (!owner->running || !owner->daemon_running || !owner->want_fit)
		return "the owner is dead or unfit";
	if (owner->state != ARBITER_STATE_OWNER || owner->gate != ARBITER_GATE_OPEN ||
	    owner->service != ARBITER_SERVICE_RUNNING) {
		snprintf(text, sizeof(text), "%s is %s, its gate %s, its service %s",
			 trace_node_name(owner), arbiter_state_name(owner->state),
			 arbiter_gate_name(owner->gate), arbiter_service_name(owner->service));
		return text;
	}
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct node *node = &world->nodes[i];

		if (node == owner || !node->running || !node->daemon_running ||
		    node->frozen_until_us > world->now_us ||
		    node->daemon_paused_until_us > world->now_us)
			continue;
		if (node->gate != ARBITER_GATE_FAILED || node->service != ARBITER_SERVICE_STOPPED) {
			snprintf(text, sizeof(text),
				 "%s is not the owner, its gate is %s, its service %s",
				 trace_node_name(node), arbiter_gate_name(node->gate),
				 arbiter_service_name(node->service));
			return text;
		}
	}
	return NULL;
}

/* A gate that was held, or stopped by itself, is opened again: what was in flight below it ends (or
 * times out), it says that it is quiet, the nexuses are registered, and a look shows the owner. */
static void invariants_reopens(struct world *world)
{
	const struct node *owner = world->owner == NONE8 ? NULL : &world->nodes[world->owner];
	uint64_t bound, since;

	if (!owner || owner->state != ARBITER_STATE_OWNER || owner->gate != ARBITER_GATE_HELD)
		return;
	bound = HOST_WRITE_TIMEOUT_US + world->gate_slow_ms * MS +
		2 * invariants_linger_us(world, owner) +
		12 * invariants_look_us(world) * world->lun_count * world->nexus_count;
	since = owner->gate_since_us > world->disturbed_us ? owner->gate_since_us
							   : world->disturbed_us;
	if (world->now_us - since > bound)
		world_fail(world, "reopens", "%s owns, and its gate has been held for %.1f s",
			   trace_node_name(owner), (double)(world->now_us - since) / 1e6);
}

static void invariants_settle(struct world *world)
{
	uint64_t calm_us = world->now_us - world->disturbed_us;
	const char *why = invariants_unsettled(world);
	uint64_t enough_us = faults_slack_us(world) + 8 * SECOND;

	if (!why) {
		world->unsettled_since_us = 0;
		if (world->settled_since_us == 0) {
			world->settled_since_us = world->now_us;
			if (calm_us > world->settle_longest_us)
				world->settle_longest_us = calm_us;
		}
		if (world->now_us > world->faults_until_us &&
		    world->now_us - world->settled_since_us > enough_us)
			world->done = true;
		return;
	}
	/* A nexus that was left out for a while is registered behind a gate that is held for a
	 * moment. */
	if (world->settled_since_us > world->disturbed_us &&
	    world->now_us - world->settled_since_us > faults_slack_us(world)) {
		if (world->unsettled_since_us == 0)
			world->unsettled_since_us = world->now_us;
		if (world->now_us - world->unsettled_since_us >
		    invariants_linger_us(world, &world->nodes[world->owner]) +
			    (world->nodes[world->owner].gate == ARBITER_GATE_HELD
				     ? INVARIANTS_WRITE_US + world->gate_slow_ms * MS
				     : 0))
			world_fail(world, "stays-settled",
				   "%s, and nothing has happened for %.1f s", why,
				   (double)calm_us / 1e6);
		return;
	}
	if (calm_us > invariants_bound_us(world))
		world_fail(world, "bounded-time", "%s, %.1f s after the last disturbance", why,
			   (double)calm_us / 1e6);
	world->settled_since_us = 0;
}

static void invariants_changes(struct world *world)
{
	/* A fault may cost the owner its place, and the next one again while it lasts; without any
	 * nothing changes. */
	unsigned allowed = 3 * (world->fault_count + world->failed_starts) +
			   (world->profile->lost_answer > 0 ? 2 : 0);

	if (world->ownership_changes > allowed && world->lies_until_us == 0)
		world_fail(world, "changes", "%u changes of ownership for %u faults",
			   world->ownership_changes, world->fault_count);
}

/* Faults cease: from here on nothing is lost or stuck any more. */
static void invariants_cease(struct world *world)
{
	if (world->ceased || world->now_us < world->faults_until_us)
		return;
	world->ceased = true;
	if (world->lost_answer + world->lost_command + world->delayed == 0)
		return;
	world->lost_answer = world->lost_command = world->delayed = 0;
	world->unreliable_until_us =
		world->now_us + 10 * SECOND; /* what was lost has yet to be given up */
	faults_disturb(world,
		       world->now_us +
			       12 * SECOND); /* the last writes without an answer are given up */
}

void invariants_check(struct world *world)
{
	invariants_cease(world);
	if (world->ceased)
		faults_tidy(world);
	invariants_changes(world);
	if (!invariants_calm(world) ||
	    world->lost_answer + world->lost_command + world->delayed > 0) {
		world->disturbed_us =
			world->disturbed_us > world->now_us ? world->disturbed_us : world->now_us;
		world->settled_since_us = 0;
		return;
	}
	if (world->now_us <= world->disturbed_us) {
		world->settled_since_us = 0;
		return;
	}
	invariants_reopens(world);
	invariants_settle(world);
}
