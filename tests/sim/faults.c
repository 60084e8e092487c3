/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What happens to nodes, paths, targets and people. Every fault says until when it disturbs, and
 * for which nodes it is an excuse for losing what they own.
 */
#include "tests/sim/world.h"

#include <string.h>

void faults_disturb(struct world *world, uint64_t until_us)
{
	if (until_us > world->disturbed_us)
		world->disturbed_us = until_us;
}

/* How long what a fault has set going may take to show: a challenge under way, the owner's next
 * looks, a takeover. */
uint64_t faults_slack_us(const struct world *world)
{
	return 2 * MS * (world->window_max_ms + 8 * (uint64_t)world->timing.slow_max_ms) +
	       4 * MS * world->defend_max_ms + MS * world->gate_slow_ms + 3 * SECOND;
}

/* Until the fault is over and what it left behind has had time to show. */
const char faults_begun[] = "it has only begun";

void faults_excuse(struct world *world, struct node *node, uint64_t until_us, const char *why)
{
	uint64_t slack = faults_slack_us(world);

	if (until_us + slack > node->excused_until_us) {
		node->excused_until_us = until_us + slack;
		node->excuse = why;
	}
}

void faults_excuse_all(struct world *world, uint64_t until_us, const char *why)
{
	for (unsigned i = 0; i < world->node_count; i++)
		faults_excuse(world, &world->nodes[i], until_us, why);
	faults_disturb(world, until_us);
}

void faults_later(struct world *world, uint64_t at_us, enum fault_kind kind, unsigned node,
		  unsigned lun, unsigned nexus)
{
	for (unsigned i = 0; i < sizeof(world->lasting_faults) / sizeof(world->lasting_faults[0]);
	     i++) {
		struct lasting *lasting = &world->lasting_faults[i];

		if (lasting->used)
			continue;
		*lasting = (struct lasting){.used = true,
					    .kind = (uint8_t)kind,
					    .node = (uint8_t)node,
					    .lun = (uint8_t)lun,
					    .nexus = (uint8_t)nexus};
		world_push(world, at_us, WORLD_FAULT_END, node, i, 0);
		faults_disturb(world, at_us);
		return;
	}
	world_fail(world, "bounded-queues", "too many lasting faults");
}

/* ---- nodes ---- */

static bool fault_others_remain(const struct world *world, unsigned node)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		if (i != node && !world->nodes[i].gone)
			return true;
	}
	return false;
}

static void fault_crash(struct world *world, struct node *node, bool in_step, bool whole)
{
	uint64_t down = world_between_ms(world, 100, whole ? 12000 : 4000);

	if (!node->running || (!whole && !node->daemon_running))
		return;
	if (in_step) {
		node->crash_after_effects = (int)rng_below(&world->rng, 6);
		node->crash_takes_node = whole;
		return;
	}
	if (whole && world->misfit == NONE8 && fault_others_remain(world, node->index) &&
	    rng_chance(&world->rng, 200000)) {
		node->gone = true;
		down = NEVER_US;
	}
	node_crash(world, node, whole, down);
}

static void fault_pause(struct world *world, struct node *node, bool whole)
{
	uint64_t until = world->now_us + (rng_chance(&world->rng, 500000)
						  ? world_between_ms(world, 50, 3000)
						  : world_between_ms(world, 1000, 15000));

	if (!node->running)
		return;
	trace_line(world, node, "%s stands still for %.1f s", whole ? "node" : "daemon",
		   (double)(until - world->now_us) / 1e6);
	if (whole && until > node->frozen_until_us)
		node->frozen_until_us = until;
	if (!whole && until > node->daemon_paused_until_us)
		node->daemon_paused_until_us = until;
	faults_excuse(world, node, until, "it stood still");
	faults_disturb(world, until);
}

static void fault_unfit(struct world *world, struct node *node)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_FITNESS};
	uint64_t until = world->now_us + world_between_ms(world, 3000, 15000);

	if (!node->want_fit)
		return;
	trace_line(world, node, "unfit for %.1f s", (double)(until - world->now_us) / 1e6);
	node->want_fit = event.fitness.fit = false;
	shell_mail(world, node, MS, &event);
	faults_excuse(world, node, until + world->request_max_ms * MS, "it was unfit");
	faults_later(world, until, FAULT_UNFIT, node->index, 0, 0);
}

static void fault_fit_again(struct world *world, struct node *node)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_FITNESS, .fitness.fit = true};

	node->want_fit = true;
	trace_line(world, node, "fit again");
	shell_mail(world, node, MS, &event);
}

/* ---- paths ---- */

/* Another registrable path of the node to that LUN. */
static bool fault_other_path(struct world *world, unsigned node, unsigned lun, unsigned nexus)
{
	for (unsigned i = 0; i < world->nexus_count; i++) {
		if (i != nexus && net_nexus_up(world, node, lun, i) &&
		    !net_nexus(world, node, lun, i)->standby &&
		    world->sessions[net_nexus(world, node, lun, i)->session].cut_until_us <=
			    world->now_us)
			return true;
	}
	return false;
}

static void fault_session_lost(struct world *world, unsigned session, bool orphan,
			       uint64_t login_after_us)
{
	unsigned node = world->sessions[session].node, lun = world->sessions[session].lun,
		 nexus = world->sessions[session].nexus;

	trace_line(world, &world->nodes[node], "session lost: lun %u nexus %u", lun, nexus);
	shell_session_lost(world, session);
	net_session_lost(world, session, orphan);
	host_session_lost(world, &world->nodes[node], session);
	shell_mail_nexus(world, &world->nodes[node], lun, nexus, false, false);
	if (!world->keep_isid)
		net_nexus(world, node, lun, nexus)->isid += 0x100;
	net_login_later(world, node, lun, nexus, login_after_us);
}

static void fault_path_drop(struct world *world, struct node *node, unsigned lun, unsigned nexus)
{
	uint16_t session = node->nexuses[lun][nexus].session;
	uint64_t after = rng_chance(&world->rng, 500000) ? world_between_ms(world, 5, 500)
							 : world_between_ms(world, 500, 8000);

	if (session == NONE)
		return;
	if (nexus < world->nexus_count && !fault_other_path(world, node->index, lun, nexus))
		faults_excuse(world, node, world->now_us + after, "its only path was lost");
	if (nexus < world->nexus_count)
		faults_excuse(world, node, world->now_us, "a path was lost");
	faults_disturb(world, world->now_us + after + 300 * MS);
	fault_session_lost(world, session, rng_chance(&world->rng, 300000), after);
}

static void fault_path_cut(struct world *world, struct node *node, unsigned lun, unsigned nexus,
			   uint64_t until_us)
{
	uint16_t session = node->nexuses[lun][nexus].session;
	uint64_t notice = world->now_us + world_between_ms(world, 300, 4000);

	if (session == NONE)
		return;
	trace_line(world, node, "cut: lun %u nexus %u for %.1f s", lun, nexus,
		   (double)(until_us - world->now_us) / 1e6);
	world->sessions[session].cut_until_us = until_us;
	node->nexuses[lun][nexus].blocked_until_us = until_us;
	if (notice < until_us)
		world_push(world, notice, WORLD_SESSION_LOST, node->index, session,
			   world->sessions[session].serial);
	faults_excuse(world, node, until_us, "a path was cut");
	faults_disturb(world, until_us + 300 * MS);
}

static void fault_node_cut(struct world *world, struct node *node)
{
	uint64_t until = world->now_us + world_between_ms(world, 300, 12000);

	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		for (unsigned nexus = 0; nexus <= WORLD_NEXUSES_MAX; nexus++)
			fault_path_cut(world, node, lun, nexus, until);
	}
}

static void fault_path_standby(struct world *world, struct node *node, unsigned lun, unsigned nexus)
{
	uint64_t until = world->now_us + world_between_ms(world, 500, 8000);

	if (node->nexuses[lun][nexus].standby)
		return;
	trace_line(world, node, "standby port: lun %u nexus %u", lun, nexus);
	node->nexuses[lun][nexus].standby = true;
	faults_excuse(world, node, until, "a port was in standby");
	faults_later(world, until, FAULT_PATH_STANDBY, node->index, lun, nexus);
}

/* ---- the array ---- */

static void fault_power(struct world *world, bool fallback)
{
	uint64_t until = world->now_us + world_between_ms(world, 200, 9000);
	unsigned only = rng_below(&world->rng, world->lun_count + 2),
		 age = fallback ? 1 + rng_below(&world->rng, 5) : 0;

	faults_excuse_all(world, until + 4 * SECOND, "the target lost power");
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		if (!world->luns[lun].powered || (only < world->lun_count && only != lun))
			continue;
		trace_line(world, NULL, "lun %u loses power for %.1f s%s", lun,
			   (double)(until - world->now_us) / 1e6,
			   fallback ? ", and falls back" : "");
		net_power_loss(world, lun, age, until);
		faults_later(world, until, FAULT_POWER, 0, lun, 0);
		trace_lun(world, lun);
	}
}

static void fault_stall(struct world *world)
{
	uint64_t until = world->now_us + (rng_chance(&world->rng, 600000)
						  ? world_between_ms(world, 200, 4000)
						  : world_between_ms(world, 2000, 14000));

	trace_line(world, NULL, "the array stalls for %.1f s",
		   (double)(until - world->now_us) / 1e6);
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		if (until > world->luns[lun].stalled_until_us)
			world->luns[lun].stalled_until_us = until;
	}
	faults_disturb(world, until + SECOND + 8 * MS * world->timing.slow_max_ms);
}

static void fault_slow(struct world *world)
{
	if (world->timing.slow_max_ms > 0)
		return;
	world->timing.slow_max_ms = 50u << rng_below(&world->rng, 6);
	world->timing.slow_min_ms = 10;
	trace_line(world, NULL, "answers take up to %u ms", world->timing.slow_max_ms);
	faults_later(world, world->now_us + world_between_ms(world, 1000, 15000), FAULT_SLOW, 0, 0,
		     0);
}

static void fault_lossy(struct world *world)
{
	uint64_t until = world->now_us + world_between_ms(world, 1000, 8000);

	if (world->lost_answer > world->profile->lost_answer)
		return;
	world->lost_answer = 100000;
	world->lost_command = 50000;
	trace_line(world, NULL, "answers are lost");
	faults_later(world, until, FAULT_LOSSY, 0, 0, 0);
	world->unreliable_until_us = until + 10 * SECOND;
}

/* ---- people and strangers ---- */

static void fault_order(struct world *world, struct node *node, enum arbiter_command command,
			unsigned to, bool on)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_COMMAND};

	event.command.command = command;
	event.command.node = (uint8_t)to;
	event.command.on = on;
	shell_mail(world, node, MS, &event);
	faults_disturb(world, world->now_us + MS);
}

static void fault_command(struct world *world, struct node *node)
{
	uint64_t until = world->now_us + (2 * world->request_max_ms + 12000) * MS;
	unsigned other = rng_below(&world->rng, world->node_count);

	switch (rng_below(&world->rng, 9)) {
	case 0:
		fault_order(world, node, ARBITER_COMMAND_CLAIM, 0, false);
		return; /* no excuse: a healthy owner keeps it */
	case 1:
	case 2:
	case 3:
		fault_order(world, &world->nodes[other], ARBITER_COMMAND_TAKE, 0, false);
		break;
	case 4:
		fault_order(world, node, ARBITER_COMMAND_YIELD, KEY_NODE_ANY, false);
		break;
	case 5:
		fault_order(world, node, ARBITER_COMMAND_YIELD, world->nodes[other].number, false);
		break;
	case 6:
		fault_order(world, node, ARBITER_COMMAND_MAINTENANCE, 0, true);
		faults_later(world, world->now_us + world_between_ms(world, 2000, 12000),
			     FAULT_COMMAND, node->index, 0, 0);
		break;
	case 7:
		node->freed = true;
		fault_order(world, node, ARBITER_COMMAND_SHUTDOWN, 0, false);
		faults_later(world, world->now_us + world_between_ms(world, 4000, 25000),
			     FAULT_COMMAND, node->index, 1, 0);
		break;
	case 8:
		node->freed = true;
		fault_order(world, node, ARBITER_COMMAND_RELEASE, 0, false);
		faults_later(world, world->now_us + world_between_ms(world, 2000, 15000),
			     FAULT_COMMAND, node->index, 2, 0);
		break;
	}
	faults_excuse_all(world, until, "an operator commanded");
	world->commanded_until_us = until;
}

static void fault_command_end(struct world *world, const struct lasting *lasting)
{
	struct node *node = &world->nodes[lasting->node];

	switch (lasting->lun) {
	case 0:
		fault_order(world, node, ARBITER_COMMAND_MAINTENANCE, 0, false);
		break;
	case 1:
		if (node->daemon_running)
			node_crash(world, node, false, world_between_ms(world, 50, 2000));
		break;
	case 2:
		fault_order(world, node, ARBITER_COMMAND_CLAIM, 0, false);
		break;
	}
	faults_excuse_all(world, world->now_us, "an operator commanded");
}

/* For a while. Whoever has been backed off meanwhile begins again within L. */
static void fault_odd(struct world *world, enum fault_kind kind)
{
	unsigned lun = rng_below(&world->rng, world->lun_count);
	uint64_t until = world->now_us + world_between_ms(world, 1000, 30000);

	trace_line(world, NULL, "lun %u %s for %.1f s", lun,
		   kind == FAULT_DEAF ? "ignores orders" : "shows one half by each nexus",
		   (double)(until - world->now_us) / 1e6);
	if (kind == FAULT_DEAF)
		world->luns[lun].lun.deaf = true;
	else
		world->luns[lun].lun.halves = true;
	faults_excuse_all(world, until + 2 * MS * world->loss_max_ms, "the target answered oddly");
	if (world->lies_until_us < until + 2 * MS * world->loss_max_ms)
		world->lies_until_us = until + 2 * MS * world->loss_max_ms;
	faults_later(world, until, kind, 0, lun, 0);
}

/* In the end the operators see to it that nothing stays as they had wanted it only for a while. A
 * command may have come to a daemon that was dead, or that could not carry it out then. */
void faults_tidy(struct world *world)
{
	struct arbiter_view view;

	if (world->now_us < world->tidied_us + SECOND)
		return;
	world->tidied_us = world->now_us;
	if (world->strangers > 0 || world->weights[FAULT_CROWD] > 0)
		strangers_remove(world);
	for (unsigned i = 0; i < sizeof(world->lasting_faults) / sizeof(world->lasting_faults[0]);
	     i++) {
		if (world->lasting_faults[i].used && world->lasting_faults[i].kind == FAULT_COMMAND)
			return;
	}
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];

		if (!node->daemon_running || world->commanded_until_us == 0)
			continue;
		arbiter_get_view(node->arbiter, &view);
		if (view.maintenance)
			fault_order(world, node, ARBITER_COMMAND_MAINTENANCE, 0, false);
		if (view.state == ARBITER_STATE_RELEASED)
			node_crash(world, node, false, SECOND);
		else if (!view.automatic)
			fault_order(world, node, ARBITER_COMMAND_CLAIM, 0, false);
	}
}

static void fault_service_refuses(struct world *world, struct node *node)
{
	node->service_fails = true;
	faults_excuse(world, node, world->now_us + 40 * SECOND, "its service does not start");
	faults_later(world, world->now_us + world_between_ms(world, 3000, 12000),
		     FAULT_SERVICE_REFUSES, node->index, 0, 0);
}

/* ---- beginning, choice, end ---- */

static void fault_apply(struct world *world, enum fault_kind kind, struct node *node)
{
	unsigned lun = rng_below(&world->rng, world->lun_count),
		 nexus = rng_below(&world->rng, world->nexus_count);

	switch (kind) {
	case FAULT_CRASH:
	case FAULT_CRASH_IN_STEP:
		fault_crash(world, node, kind == FAULT_CRASH_IN_STEP, true);
		break;
	case FAULT_DAEMON_CRASH:
	case FAULT_DAEMON_CRASH_IN_STEP:
		fault_crash(world, node, kind == FAULT_DAEMON_CRASH_IN_STEP, false);
		break;
	case FAULT_FREEZE:
	case FAULT_DAEMON_PAUSE:
		fault_pause(world, node, kind == FAULT_FREEZE);
		break;
	case FAULT_PATH_DROP:
		if (world->look_apart && rng_chance(&world->rng, 250000))
			nexus = WORLD_NEXUSES_MAX;
		fault_path_drop(world, node, lun, nexus);
		break;
	case FAULT_PATH_CUT:
		fault_path_cut(world, node, lun, nexus,
			       world->now_us + world_between_ms(world, 300, 8000));
		break;
	case FAULT_NODE_CUT:
		fault_node_cut(world, node);
		break;
	case FAULT_POWER:
	case FAULT_POWER_FALLBACK:
		fault_power(world, kind == FAULT_POWER_FALLBACK);
		break;
	case FAULT_STALL:
		fault_stall(world);
		break;
	case FAULT_SLOW:
		fault_slow(world);
		break;
	case FAULT_LOSSY:
		fault_lossy(world);
		break;
	case FAULT_UNFIT:
		fault_unfit(world, node);
		break;
	case FAULT_SERVICE_DIES:
		host_service_dies(world, node);
		faults_excuse(world, node, world->now_us + (world->request_max_ms + 10000) * MS,
			      "its service died");
		faults_disturb(world, world->now_us + 3 * MS);
		break;
	case FAULT_SERVICE_REFUSES:
		fault_service_refuses(world, node);
		break;
	case FAULT_DISK_FULL:
		node->disk_full = true;
		faults_later(world, world->now_us + world_between_ms(world, 2000, 12000), kind,
			     node->index, 0, 0);
		faults_excuse(world, node, world->now_us + 12 * SECOND, "its disk is full");
		break;
	case FAULT_COMMAND:
		fault_command(world, node);
		break;
	case FAULT_STRANGER_KEY:
	case FAULT_STRANGER_HOLDS:
		strangers_one_comes(world, kind == FAULT_STRANGER_HOLDS);
		break;
	case FAULT_GATE_STOPS:
		host_gate_stops(world, node,
				rng_chance(&world->rng, 500000) ? ARBITER_GATE_HELD
								: ARBITER_GATE_FAILED);
		faults_excuse(world, node, world->now_us + 20 * SECOND, "its gate stopped");
		faults_disturb(world, world->now_us);
		break;
	case FAULT_PATH_STANDBY:
		fault_path_standby(world, node, lun, nexus);
		break;
	case FAULT_DEAF:
	case FAULT_HALVES:
		fault_odd(world, kind);
		break;
	case FAULT_CROWD:
		strangers_crowd_comes(world);
		break;
	case FAULT_HINT:
	case FAULT_COUNT:
		break;
	}
}

static void fault_next(struct world *world)
{
	const struct profile *profile = world->profile;
	uint32_t sum = 0, at;
	unsigned kind = 0, node;

	if (world->interval_ms == 0 || world->now_us >= world->faults_until_us ||
	    (profile->faults_max > 0 && world->fault_count >= profile->faults_max))
		return;
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		sum += world->weights[i];
	at = rng_below(&world->rng, sum);
	while (at >= world->weights[kind])
		at -= world->weights[kind++];
	node = world->owner != NONE8 && rng_chance(&world->rng, 600000)
		       ? world->owner
		       : rng_below(&world->rng, world->node_count);
	world->fault_count++;
	fault_apply(world, (enum fault_kind)kind, &world->nodes[node]);
	/* Often something else happens while the first is still under way. */
	world_push(world,
		   world->now_us +
			   (rng_chance(&world->rng, 300000)
				    ? rng_between(&world->rng, 0, 1500 * MS)
				    : rng_between(&world->rng, 0, 2ull * world->interval_ms * MS)),
		   WORLD_FAULT, 0, 0, 0);
}

static void fault_end(struct world *world, const struct world_event *event)
{
	struct lasting lasting = world->lasting_faults[event->index];
	struct node *node = &world->nodes[lasting.node < WORLD_NODES_MAX ? lasting.node : 0];

	world->lasting_faults[event->index].used = false;
	faults_disturb(world, world->now_us);
	switch ((enum fault_kind)lasting.kind) {
	case FAULT_POWER:
		world->luns[lasting.lun].powered = true;
		trace_line(world, NULL, "lun %u has power again", lasting.lun);
		break;
	case FAULT_SLOW:
		/* What is on its way, and the session behind it, is as slow as before: for some
		 * longer than for others. */
		faults_excuse_all(world,
				  world->now_us + 2 * SECOND + 8 * MS * world->timing.slow_max_ms,
				  "the array was slow");
		world->timing.slow_max_ms = world->timing.slow_min_ms = 0;
		break;
	case FAULT_LOSSY:
		world->lost_answer = world->ceased ? 0 : world->profile->lost_answer;
		world->lost_command = world->ceased ? 0 : world->profile->lost_command;
		break;
	case FAULT_UNFIT:
		fault_fit_again(world, node);
		break;
	case FAULT_SERVICE_REFUSES:
		node->service_fails = false;
		break;
	case FAULT_DISK_FULL:
		node->disk_full = false;
		break;
	case FAULT_COMMAND:
		fault_command_end(world, &lasting);
		break;
	case FAULT_STRANGER_KEY:
		strangers_one_leaves(world, &lasting);
		break;
	case FAULT_DEAF:
	case FAULT_HALVES:
		if (lasting.kind == FAULT_DEAF)
			world->luns[lasting.lun].lun.deaf = false;
		else
			world->luns[lasting.lun].lun.halves = false;
		/* Who opened its gate meanwhile, went by what it was told. */
		for (unsigned i = 0; i < world->node_count; i++)
			world->luns[lasting.lun].lost_opening[i] = world->nodes[i].gate_openings;
		faults_disturb(world, world->now_us + 2 * MS * world->loss_max_ms);
		break;
	case FAULT_CROWD:
		strangers_crowd_leaves(world, lasting.lun);
		break;
	case FAULT_PATH_STANDBY:
		node->nexuses[lasting.lun][lasting.nexus].standby = false;
		break;
	default:
		break;
	}
}

/* What a membership says, rightly or not. */
static void fault_hint(struct world *world)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_SUSPECT};
	const struct node *owner = world->owner == NONE8 ? NULL : &world->nodes[world->owner];
	bool silent = owner && (!owner->daemon_running || owner->frozen_until_us > world->now_us ||
				owner->daemon_paused_until_us > world->now_us || !owner->want_fit);

	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];

		if (silent && !world->storage_only && node != owner &&
		    rng_chance(&world->rng, 700000))
			shell_mail(world, node, world_between_ms(world, 1, 60), &event);
		if (!world->profile->hints || !rng_chance(&world->rng, 60000))
			continue;
		event.kind = rng_chance(&world->rng, 600000) ? ARBITER_EVENT_SUSPECT
							     : ARBITER_EVENT_OTHER_OWNS;
		shell_mail(world, node, world_between_ms(world, 1, 60), &event);
		event.kind = ARBITER_EVENT_SUSPECT;
	}
	world_push(world, world->now_us + 500 * MS, WORLD_HINT, 0, 0, 0);
}

void faults_event(struct world *world, const struct world_event *event)
{
	struct session *session;
	struct nexus *nexus;
	unsigned lun, index;

	switch ((enum world_event_kind)event->kind) {
	case WORLD_SESSION_LOST:
		session = &world->sessions[event->index];
		if (!session->used || session->serial != event->serial || !session->initiator_up)
			return;
		if (host_defers(world, event))
			return;
		fault_session_lost(world, event->index, rng_chance(&world->rng, 300000),
				   world_between_ms(world, 20, 800));
		break;
	case WORLD_NEXUS_LOGIN:
		lun = event->index / (WORLD_NEXUSES_MAX + 1);
		index = event->index % (WORLD_NEXUSES_MAX + 1);
		nexus = net_nexus(world, event->node, lun, index);
		if (event->serial != nexus->login_serial || nexus->session != NONE ||
		    host_defers(world, event))
			return;
		net_login(world, event->node, lun, index);
		break;
	case WORLD_FAULT:
		fault_next(world);
		break;
	case WORLD_FAULT_END:
		fault_end(world, event);
		break;
	default:
		fault_hint(world);
		break;
	}
}

void faults_begin(struct world *world)
{
	const struct profile *profile = world->profile;

	world->faults_until_us =
		profile->interval_ms == 0 ? 15 * SECOND : world_between_ms(world, 10000, 40000);
	world->disturbed_us = 0;
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];

		node->want_fit = true;
		node->counter = (uint16_t)rng_next(&world->rng);
		node->clock_offset_us = rng_below(&world->rng, 1000000) * MS;
		node->crash_after_effects = -1;
		for (unsigned lun = 0; lun < WORLD_LUNS_MAX; lun++) {
			for (unsigned j = 0; j <= WORLD_NEXUSES_MAX; j++) {
				node->nexuses[lun][j].session = NONE;
				node->nexuses[lun][j].isid = 0x4c4b00000000u + (j << 16);
			}
		}
		node->daemon_boot = world_serial(world);
		world_push(world,
			   i == world->misfit                ? 20 * SECOND
			   : rng_chance(&world->rng, 500000) ? i * MS / 4
							     : world_between_ms(world, 0, 5000),
			   WORLD_START, i, true, node->daemon_boot);
	}
	faults_disturb(world, 6 * SECOND);
	for (unsigned i = 0; i < world->node_count; i++)
		faults_excuse(world, &world->nodes[i], 3 * SECOND, faults_begun);
	world_push(world, world_between_ms(world, 3000, 12000), WORLD_FAULT, 0, 0, 0);
	world_push(world, 500 * MS, WORLD_HINT, 0, 0, 0);
	world->end_us = world->faults_until_us + 25 * SECOND + 10 * invariants_bound_us(world);
}
