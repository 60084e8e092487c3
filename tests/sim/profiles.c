/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a schedule may suffer, and the shape of its world: how many nodes, which kind of target,
 * which times.
 */
#include "tests/sim/world.h"

#include <string.h>

const struct profile profiles[] = {
	{.name = "healthy", .about = "nothing happens", .slow = true},
	{.name = "hints",
	 .about = "only the membership talks nonsense",
	 .hints = true,
	 .slow = true},
	{.name = "death",
	 .about = "one node dies, once",
	 .interval_ms = 6000,
	 .faults_max = 1,
	 .weights = {[FAULT_CRASH] = 1}},
	{.name = "deaths",
	 .about = "nodes and daemons die at any point and come back",
	 .interval_ms = 5000,
	 .slow = true,
	 .weights = {[FAULT_CRASH] = 3,
		     [FAULT_CRASH_IN_STEP] = 4,
		     [FAULT_DAEMON_CRASH] = 2,
		     [FAULT_DAEMON_CRASH_IN_STEP] = 3}},
	{.name = "pauses",
	 .about = "nodes and daemons stand still",
	 .interval_ms = 5000,
	 .slow = true,
	 .weights = {[FAULT_FREEZE] = 3, [FAULT_DAEMON_PAUSE] = 3}},
	{.name = "stalls",
	 .about = "the array answers late or stalls",
	 .interval_ms = 7000,
	 .busy = 5000,
	 .slow = true,
	 .weights = {[FAULT_STALL] = 3, [FAULT_SLOW] = 2}},
	{.name = "paths",
	 .about = "sessions break and return, ports go to standby",
	 .interval_ms = 4000,
	 .slow = true,
	 .weights = {[FAULT_PATH_DROP] = 4,
		     [FAULT_PATH_CUT] = 2,
		     [FAULT_NODE_CUT] = 1,
		     [FAULT_PATH_STANDBY] = 2,
		     [FAULT_GATE_STOPS] = 1}},
	{.name = "multipath",
	 .about = "several nexuses each: they hang, break and return; gates stop and are slow",
	 .interval_ms = 3000,
	 .multipath = true,
	 .slow = true,
	 .weights = {[FAULT_PATH_DROP] = 5,
		     [FAULT_PATH_CUT] = 5,
		     [FAULT_PATH_STANDBY] = 2,
		     [FAULT_GATE_STOPS] = 3,
		     [FAULT_NODE_CUT] = 1,
		     [FAULT_DAEMON_CRASH] = 1,
		     [FAULT_FREEZE] = 1}},
	{.name = "power",
	 .about = "the target loses power, and perhaps its memory",
	 .interval_ms = 12000,
	 .weights = {[FAULT_POWER] = 4,
		     [FAULT_POWER_FALLBACK] = 3,
		     [FAULT_CRASH] = 1,
		     [FAULT_FREEZE] = 1}},
	{.name = "commands",
	 .about = "operators are busy",
	 .interval_ms = 6000,
	 .slow = true,
	 .weights = {[FAULT_COMMAND] = 1}},
	{.name = "services",
	 .about = "services die, do not start, do not stop; nodes become unfit",
	 .interval_ms = 8000,
	 .weights = {[FAULT_UNFIT] = 3,
		     [FAULT_SERVICE_DIES] = 2,
		     [FAULT_SERVICE_REFUSES] = 2,
		     [FAULT_COMMAND] = 2,
		     [FAULT_CRASH] = 1}},
	{.name = "lost-answers",
	 .about = "commands and answers are lost",
	 .interval_ms = 8000,
	 .lost_answer = 15000,
	 .lost_command = 5000,
	 .weights = {[FAULT_CRASH] = 1, [FAULT_FREEZE] = 1, [FAULT_LOSSY] = 2}},
	{.name = "strangers",
	 .about = "keys of others, full disks, one number twice",
	 .interval_ms = 7000,
	 .weights = {[FAULT_STRANGER_KEY] = 2,
		     [FAULT_STRANGER_HOLDS] = 2,
		     [FAULT_DISK_FULL] = 2,
		     [FAULT_CRASH] = 2,
		     [FAULT_UNFIT] = 1}},
	{.name = "twins",
	 .about = "two nodes are configured with one number",
	 .interval_ms = 9000,
	 .same_numbers = true,
	 .weights = {[FAULT_CRASH] = 2, [FAULT_FREEZE] = 1, [FAULT_DAEMON_CRASH] = 1}},
	{.name = "differ",
	 .about = "one node is configured with another LUN as the leader",
	 .interval_ms = 9000,
	 .differ = true,
	 .weights = {[FAULT_CRASH] = 2, [FAULT_PATH_DROP] = 1, [FAULT_DAEMON_CRASH] = 1}},
	{.name = "odd",
	 .about = "the target's answers contradict each other; orders have no effect; crowds",
	 .interval_ms = 9000,
	 .odd = true,
	 .weights = {[FAULT_DEAF] = 2,
		     [FAULT_HALVES] = 2,
		     [FAULT_CROWD] = 3,
		     [FAULT_CRASH] = 2,
		     [FAULT_DAEMON_CRASH] = 1,
		     [FAULT_UNFIT] = 1,
		     [FAULT_STRANGER_HOLDS] = 1,
		     [FAULT_COMMAND] = 3}},
	{.name = "mixed",
	 .about = "two to four kinds of faults, drawn from all, close together",
	 .interval_ms = 3000,
	 .slow = true,
	 .mixed = true},
	{.name = "storm",
	 .about = "everything",
	 .interval_ms = 2500,
	 .lost_answer = 3000,
	 .lost_command = 1500,
	 .delayed = 1500,
	 .busy = 2000,
	 .slow = true,
	 .hints = true,
	 .weights = {[FAULT_CRASH] = 3,
		     [FAULT_CRASH_IN_STEP] = 3,
		     [FAULT_DAEMON_CRASH] = 2,
		     [FAULT_DAEMON_CRASH_IN_STEP] = 2,
		     [FAULT_FREEZE] = 3,
		     [FAULT_DAEMON_PAUSE] = 2,
		     [FAULT_PATH_DROP] = 3,
		     [FAULT_PATH_CUT] = 2,
		     [FAULT_NODE_CUT] = 2,
		     [FAULT_POWER] = 2,
		     [FAULT_POWER_FALLBACK] = 1,
		     [FAULT_STALL] = 2,
		     [FAULT_SLOW] = 1,
		     [FAULT_LOSSY] = 2,
		     [FAULT_UNFIT] = 2,
		     [FAULT_SERVICE_DIES] = 1,
		     [FAULT_SERVICE_REFUSES] = 1,
		     [FAULT_DISK_FULL] = 1,
		     [FAULT_COMMAND] = 3,
		     [FAULT_STRANGER_KEY] = 1,
		     [FAULT_STRANGER_HOLDS] = 1,
		     [FAULT_GATE_STOPS] = 1,
		     [FAULT_PATH_STANDBY] = 1}},
};
const unsigned profile_count = sizeof(profiles) / sizeof(profiles[0]);

static uint32_t pick(struct world *world, const uint32_t *values, unsigned count)
{
	return values[rng_below(&world->rng, count)];
}
#define PICK(world, ...)                                                                           \
	pick(world, (const uint32_t[]){__VA_ARGS__},                                               \
	     sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static bool flip(struct world *world, uint32_t percent)
{
	return rng_chance(&world->rng, percent * 10000);
}

static void shape_target(struct world *world)
{
	const struct lun_personality *personality = flip(world, 35)   ? &lun_personality_tgt
						    : flip(world, 40) ? &lun_personality_lio
								      : &lun_personality_standard;
	struct lun_personality own = *personality;

	/* A LUN that becomes free is anybody's, also that of a node which takes it for something
	 * else. */
	if (own.lost_session == LUN_LOST_ORPHANS && flip(world, 30) && !world->profile->differ)
		own.lost_session = LUN_LOST_REMOVES;
	if (world->profile->odd) {
		own.stale_holder = flip(world, 40);
		own.swapped = !own.stale_holder && flip(world, 50);
	}
	if (!flip(world, 80))
		own.task_aborted_status = false;
	for (unsigned i = 0; i < world->lun_count; i++) {
		struct sim_lun *unit = &world->luns[i];

		lun_init(&unit->lun, &own);
		unit->powered = true;
		unit->power_serial = unit->landed_tenure = 0;
		unit->stalled_until_us = 0;
		unit->holder_node = NONE8;
		unit->holder_since_us = 0;
		unit->held = false;
		memset(unit->registered_key, 0, sizeof(unit->registered_key));
		memset(unit->lost_opening, 0, sizeof(unit->lost_opening));
	}
	world->full_status = own.full_status && flip(world, 70) && !own.stale_holder;
	world->aptpl = own.aptpl && flip(world, 75);
	world->type = flip(world, 75) ? PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY
				      : PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY;
}

static void shape_node(struct world *world, struct node *node, const struct arbiter_config *common,
		       bool differ)
{
	struct arbiter_config *config = &node->config;

	*config = *common;
	config->node = node->number;
	if (differ) {
		config->defend_ms = PICK(world, 100, 200, 500, 1000);
		config->probe_ms = PICK(world, 0, 300, 1000, 2000);
		config->window_ms = 4 * config->defend_ms * PICK(world, 1, 2);
		config->loss_ms = 20000;
	}
	if (config->defend_ms > world->defend_max_ms)
		world->defend_max_ms = config->defend_ms;
	if (config->window_ms > world->window_max_ms)
		world->window_max_ms = config->window_ms;
	if (config->probe_ms > world->probe_max_ms)
		world->probe_max_ms = config->probe_ms;
}

static void shape_nodes(struct world *world)
{
	struct arbiter_config common = {.cluster = world->cluster};
	bool differ = flip(world, 20);

	common.defend_ms = PICK(world, 100, 200, 500, 500, 1000);
	common.window_ms = 4 * common.defend_ms * PICK(world, 1, 1, 2);
	common.probe_ms = PICK(world, 0, 200, 1000, 2000, 2000);
	common.loss_ms =
		world->timing.slow_max_ms > 0 ? 20000 : PICK(world, 3000, 6000, 12000, 20000);
	if (common.loss_ms < 2 * common.window_ms + 1000)
		common.loss_ms = 2 * common.window_ms + 1000;
	common.request_ms = PICK(world, 6000, 15000) + 12 * world->timing.slow_max_ms;
	common.cooldown_ms = PICK(world, 1000, 4000);
	common.member_factor = (uint16_t)PICK(world, 1, 4, 10);
	common.lun_count = world->lun_count;
	common.nexus_count = world->nexus_count;
	common.automatic = true;
	common.grant_requests = !flip(world, 10);
	world->request_max_ms = common.request_ms;
	world->cooldown_ms = common.cooldown_ms;
	world->loss_max_ms = common.loss_ms;
	memset(common.rank_of, 255, sizeof(common.rank_of));
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];

		node->index = (uint8_t)i;
		for (unsigned lun = 0; lun < WORLD_LUNS_MAX; lun++)
			node->lun_of[lun] = (uint8_t)lun;
		node->rank = (uint8_t)i;
		node->number =
			(uint8_t)(world->same_numbers && i == world->node_count - 1u ? i : i + 1);
		common.rank_of[node->number] = world->same_numbers && i == world->node_count - 1u
						       ? (uint8_t)(i - 1)
						       : (uint8_t)i;
	}
	for (unsigned i = 0; i < world->node_count; i++)
		shape_node(world, &world->nodes[i], &common, differ);
}

/* Were every kind as likely in every schedule, two rare ones would hardly ever meet, and never often
 * enough in one to meet in the narrow moment that matters. */
static void shape_faults(struct world *world)
{
	const struct profile *profile = world->profile;
	unsigned kinds;

	memcpy(world->weights, profile->weights, sizeof(world->weights));
	world->interval_ms = profile->interval_ms;
	if (!profile->mixed)
		return;
	kinds = 2 + rng_below(&world->rng, 3);
	for (unsigned i = 0; i < kinds; i++) {
		unsigned kind = rng_below(&world->rng, FAULT_COUNT);

		while (kind == FAULT_HINT)
			kind = rng_below(&world->rng, FAULT_COUNT);
		world->weights[kind] += 1 + rng_below(&world->rng, 3);
	}
	world->interval_ms = PICK(world, 800, 1500, 3000, 6000);
}

void faults_shape(struct world *world)
{
	const struct profile *profile = world->profile;

	world->node_count = (uint8_t)PICK(world, 2, 2, 2, 3, 3, 4, 5);
	if (world->node_count < profile->nodes_min)
		world->node_count = (uint8_t)profile->nodes_min;
	world->nexus_count = (uint8_t)PICK(world, 1, 1, 2, 2, 3, 4);
	world->lun_count = (uint8_t)PICK(world, 1, 1, 1, 2, 2, 3, 4);
	if (profile->multipath)
		world->nexus_count = (uint8_t)PICK(world, 2, 3, 4);
	world->cluster = key_cluster_hash("simulated");
	world->same_numbers = profile->same_numbers;
	world->timing.latency_us = PICK(world, 50, 150, 400);
	world->timing.jitter_us = PICK(world, 100, 500, 3000);
	if (profile->slow && flip(world, 25)) {
		world->timing.slow_max_ms = PICK(world, 100, 300, 600, 1500, 3000);
		world->timing.slow_min_ms = flip(world, 50) ? world->timing.slow_max_ms / 2 : 10;
	}
	world->look_apart = flip(world, 50);
	world->late_execution = flip(world, 40);
	world->keep_isid = flip(world, 60);
	world->gate_stops_itself = flip(world, 50);
	world->gate_slow_ms =
		flip(world, profile->multipath ? 60 : 30) ? PICK(world, 500, 3000, 12000) : 0;
	world->storage_only = flip(world, 50);
	shape_faults(world);
	world->lost_command = profile->lost_command;
	world->lost_answer = profile->lost_answer;
	world->delayed = profile->delayed;
	world->busy = profile->busy;
	if (profile->differ && world->lun_count < 2)
		world->lun_count = 2;
	shape_target(world);
	shape_nodes(world);
	world->misfit = NONE8;
	if (profile->differ) {
		world->misfit = (uint8_t)(world->node_count - 1);
		world->nodes[world->misfit].lun_of[0] = 1;
		world->nodes[world->misfit].lun_of[1] = 0;
	}
}
