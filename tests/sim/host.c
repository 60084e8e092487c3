/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What lives on a node beside its daemon: the disk with the own keys, the gate (a process of its
 * own, which outlives the daemon), and the service, which writes stamped records through the gate.
 */
#include <errno.h>
#include <string.h>

#include "tests/sim/world.h"

#define HOST_WAITING_MAX 4
#define HOST_SERVICE_POLL_US (100 * MS)

/* ---- disk ---- */

void host_disk(struct world *world, struct node *node, uint32_t id, uint64_t key)
{
	for (unsigned i = 0; i < sizeof(node->disk) / sizeof(node->disk[0]); i++) {
		struct disk_entry *entry = &node->disk[i];

		if (entry->used)
			continue;
		*entry = (struct disk_entry){.used = true,
					     .strike = id == 0,
					     .id = id,
					     .daemon_boot = node->daemon_boot,
					     .boot = node->boot,
					     .key = key};
		if (node->disk_at_us < world->now_us)
			node->disk_at_us = world->now_us;
		node->disk_at_us += rng_chance(&world->rng, 30000)
					    ? world_between_ms(world, 50, 600)
					    : rng_between(&world->rng, 300, 12000);
		world_push(world, node->disk_at_us, WORLD_DISK, node->index, i, node->boot);
		return;
	}
	world_fail(world, "bounded-queues", "more than 16 records wait for %s's disk",
		   trace_node_name(node));
}

static void host_claim_strike(struct node *node, uint64_t key)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < node->claim_count; i++) {
		if (key != 0 && node->claims[i] != key)
			node->claims[kept++] = node->claims[i];
	}
	node->claim_count = kept;
}

static void host_claim_record(struct node *node, uint64_t key)
{
	host_claim_strike(node, key);
	if (node->claim_count == ARBITER_CLAIMS_MAX)
		node->claim_count--;
	memmove(node->claims + 1, node->claims, node->claim_count * sizeof(node->claims[0]));
	node->claims[0] = key;
	node->claim_count++;
}

static void host_disk_event(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];
	struct disk_entry *entry = &node->disk[event->index];
	struct arbiter_event told = {.kind = ARBITER_EVENT_RECORDED};
	bool ok = !node->disk_full;

	if (event->serial != node->boot) {
		return; /* the machine went down before it was durable */
	}
	entry->used = false;
	/* A strike needs no room: the file only becomes shorter. */
	if (entry->strike)
		host_claim_strike(node, entry->key);
	else if (ok)
		host_claim_record(node, entry->key);
	if (entry->strike || entry->daemon_boot != node->daemon_boot)
		return;
	told.recorded.id = entry->id;
	told.recorded.ok = ok;
	shell_mail(world, node, 0, &told);
}

/* ---- gate ---- */

static void host_gate_tell(struct world *world, struct node *node)
{
	struct arbiter_event told = {.kind = ARBITER_EVENT_GATE};

	told.gate.state = node->gate;
	told.gate.quiet = node->gate_quiet;
	shell_mail(world, node, rng_between(&world->rng, 50, 1500), &told);
}

/* Nothing in flight any more: HELD is quiet at once, FAILED when the caches are dropped too. A gate
 * in the kernel may take longer to say so, up to what the storage takes to time out. */
static void host_gate_drained(struct world *world, struct node *node)
{
	uint64_t after = node->gate == ARBITER_GATE_HELD ? 0 : rng_between(&world->rng, 100, 20000);

	if (node->gate == ARBITER_GATE_OPEN || node->gate_quiet || node->in_flight > 0)
		return;
	if (world->gate_slow_ms > 0 && rng_chance(&world->rng, 500000))
		after += rng_between(&world->rng, 0, world->gate_slow_ms * MS);
	if (after == 0) {
		node->gate_quiet = true;
		host_gate_tell(world, node);
		return;
	}
	node->gate_serial = world_serial(world);
	world_push(world, world->now_us + after, WORLD_GATE_QUIET, node->index, 0,
		   node->gate_serial);
}

static void host_gate_change(struct world *world, struct node *node, enum arbiter_gate gate)
{
	node->gate = gate;
	node->gate_since_us = world->now_us;
	node->gate_quiet = false;
	node->gate_serial = world_serial(world);
	if (gate == ARBITER_GATE_FAILED) {
		node->waiting = 0; /* ended with an error */
		node->tenure_valid = false;
	}
	if (gate == ARBITER_GATE_OPEN) {
		node->waiting = 0;
		node->gate_openings++;
		for (unsigned lun = 0; lun < world->lun_count; lun++) {
			for (unsigned i = 0; i < world->nexus_count; i++) {
				struct nexus *nexus = &node->nexuses[lun][i];

				nexus->data = nexus->session != NONE && nexus->told_fresh &&
					      (node->data_nexuses[lun] & 1u << i);
			}
		}
	}
	trace_line(world, node, "gate is %s, %u in flight", arbiter_gate_name(gate),
		   node->in_flight);
	if (node->in_flight > 0 || gate != ARBITER_GATE_HELD)
		host_gate_tell(world, node);
	host_gate_drained(world, node);
}

void host_gate_order(struct world *world, struct node *node, enum arbiter_gate gate,
		     bool drop_caches)
{
	uint64_t at = world->now_us + rng_between(&world->rng, 100, 3000);

	if (drop_caches)
		at += rng_between(&world->rng, 100, 30000);
	if (at <= node->gate_at_us)
		at = node->gate_at_us + 1;
	node->gate_at_us = at;
	node->gate_ordered = gate;
	node->gate_orders++;
	/* An opening that crosses a change nobody ordered is not obeyed. */
	world_push(world, at, WORLD_GATE, node->index,
		   (unsigned)gate | (node->gate_changes & 0x3fffu) << 2, node->boot);
}

void host_gate_stops(struct world *world, struct node *node, enum arbiter_gate gate)
{
	if (node->gate != ARBITER_GATE_OPEN)
		return;
	node->gate_changes++;
	trace_line(world, node, "the gate stops by itself");
	host_gate_change(world, node, gate);
}

static void host_gate_event(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];
	enum arbiter_gate gate = (enum arbiter_gate)(event->index & 3);

	if (event->serial != node->boot)
		return;
	node->gate_orders_reached++;
	if (gate == node->gate ||
	    (gate == ARBITER_GATE_OPEN && event->index >> 2 != (node->gate_changes & 0x3fffu))) {
		host_gate_tell(world, node);
		return;
	}
	host_gate_change(world, node, gate);
}

/* ---- service ---- */

static void host_service_tell(struct world *world, struct node *node, bool failed)
{
	struct arbiter_event told = {.kind = ARBITER_EVENT_SERVICE};

	told.service.state = node->service;
	told.service.failed = failed;
	trace_line(world, node, "service is %s%s", arbiter_service_name(node->service),
		   failed ? ", failed" : "");
	shell_mail(world, node, rng_between(&world->rng, 50, 3000), &told);
}

void host_service_order(struct world *world, struct node *node, bool start, bool deposed)
{
	uint64_t after = world_between_ms(world, start ? 20 : 10, start ? 1500 : 800);

	if (start == (node->service == ARBITER_SERVICE_RUNNING ||
		      node->service == ARBITER_SERVICE_STARTING) &&
	    start != (node->service == ARBITER_SERVICE_STOPPING)) {
		host_service_tell(world, node, false);
		return;
	}
	node->service = start ? ARBITER_SERVICE_STARTING : ARBITER_SERVICE_STOPPING;
	node->service_deposed = deposed;
	node->service_serial = world_serial(world);
	node->write_serial = 0;
	if (!start && rng_chance(&world->rng, node->stop_hangs ? 1000000 : 3000)) {
		after += world_between_ms(world, 3000, 9000);
		faults_disturb(world, world->now_us + after);
	}
	world_push(world, world->now_us + after, WORLD_SERVICE, node->index, 0,
		   node->service_serial);
	if (!start)
		world_push(world, world->now_us + 2 * SECOND, WORLD_SERVICE_OVERDUE, node->index, 0,
			   node->service_serial);
}

void host_service_dies(struct world *world, struct node *node)
{
	if (node->service != ARBITER_SERVICE_RUNNING)
		return;
	node->service = ARBITER_SERVICE_STOPPED;
	node->service_serial = world_serial(world);
	node->write_serial = 0;
	host_service_tell(world, node, true);
}

static void host_service_event(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];
	bool fails;

	if (event->serial != node->service_serial)
		return;
	if (event->kind == WORLD_SERVICE_OVERDUE) {
		if (node->service == ARBITER_SERVICE_STOPPING)
			host_service_tell(world, node, true);
		return;
	}
	/* Mounting and unmounting hang in a gate that is held. */
	if (node->gate == ARBITER_GATE_HELD &&
	    (node->service == ARBITER_SERVICE_STARTING || node->waiting > 0)) {
		world_push(world, world->now_us + HOST_SERVICE_POLL_US, WORLD_SERVICE, node->index,
			   0, node->service_serial);
		return;
	}
	if (node->service == ARBITER_SERVICE_STOPPING) {
		node->service = ARBITER_SERVICE_STOPPED;
		host_service_tell(world, node, false);
		return;
	}
	fails = node->service_fails || node->gate == ARBITER_GATE_FAILED;
	node->service = fails ? ARBITER_SERVICE_STOPPED : ARBITER_SERVICE_RUNNING;
	host_service_tell(world, node, fails);
	world->failed_starts += fails;
	if (fails)
		return;
	node->write_serial = world_serial(world);
	world_push(world, world->now_us + MS, WORLD_WRITE, node->index, 0, node->write_serial);
}

/* ---- writes ---- */

static bool host_write_send(struct world *world, struct node *node, unsigned lun)
{
	static const uint8_t zeros[PR_OUT_PARAMETER_LENGTH];
	struct scsi_request request = {.cdb = {0x8a, [13] = 1},
				       .cdb_length = 16,
				       .direction = SCSI_DIRECTION_OUT,
				       .data = (void *)zeros,
				       .data_length = 0};
	unsigned slot = 0, first = rng_below(&world->rng, world->nexus_count), nexus;
	struct write *write;

	while (slot < WORLD_WRITES_MAX && node->writes[slot].used)
		slot++;
	if (slot == WORLD_WRITES_MAX)
		return true; /* as many as there may be */
	for (unsigned i = 0; i < world->nexus_count; i++) {
		nexus = (first + i) % world->nexus_count;
		if (!node->nexuses[lun][nexus].data ||
		    !net_nexus_up(world, node->index, lun, nexus))
			continue;
		write = &node->writes[slot];
		write->serial = world_serial(world);
		write->lun = (uint8_t)lun;
		write->session = node->nexuses[lun][nexus].session;
		{
			uint16_t index = net_send(world, COMMAND_WRITE, node->index, lun, nexus,
						  &request, (uint16_t)slot, write->serial);
			if (index == NONE)
				continue;
			world->commands[index].tenure = node->tenure;
			world->commands[index].opening = node->gate_openings;
			world->commands[index].unaware = invariants_unaware(world, node);
		}
		write->used = true;
		node->in_flight++;
		world->writes++;
		world_push(world, world->now_us + HOST_WRITE_TIMEOUT_US, WORLD_WRITE_TIMEOUT,
			   node->index, slot, write->serial);
		return true;
	}
	return false;
}

static void host_write_event(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];

	if (event->serial != node->write_serial)
		return;
	world_push(world, world->now_us + rng_between(&world->rng, 30 * MS, 400 * MS), WORLD_WRITE,
		   node->index, 0, node->write_serial);
	if (node->gate == ARBITER_GATE_FAILED)
		return; /* an error for who wrote */
	if (node->gate == ARBITER_GATE_HELD) {
		if (node->waiting < HOST_WAITING_MAX)
			node->waiting++;
		return;
	}
	host_write_send(world, node, rng_below(&world->rng, world->lun_count));
}

static void host_write_end(struct world *world, struct node *node, unsigned slot)
{
	node->writes[slot].used = false;
	node->in_flight--;
	host_gate_drained(world, node);
}

void host_write_done(struct world *world, struct command *command, const struct scsi_result *result)
{
	struct node *node = &world->nodes[command->node];
	struct write *write = &node->writes[command->op];

	if (!write->used || write->serial != command->op_serial)
		return;
	if (result->outcome == SCSI_OUTCOME_OK)
		node->acknowledged++;
	if (result->outcome == SCSI_OUTCOME_CONFLICT) {
		node->refused++;
		trace_line(world, node, "a write is refused");
		if (world->gate_stops_itself || world->lies_until_us > 0)
			host_gate_stops(world, node, ARBITER_GATE_HELD);
	}
	host_write_end(world, node, command->op);
}

static void host_write_timeout(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];
	struct write *write = &node->writes[event->index];

	if (!write->used || write->serial != event->serial)
		return;
	/* The kernel and libiscsi abort what they give up. */
	net_abort(world, write->session, event->index, write->serial);
	host_write_end(world, node, event->index);
}

void host_session_lost(struct world *world, struct node *node, unsigned session)
{
	bool data = false;

	for (unsigned i = 0; i < WORLD_WRITES_MAX; i++) {
		if (node->writes[i].used && node->writes[i].session == session)
			host_write_end(world, node, i);
	}
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		for (unsigned i = 0; i < world->nexus_count; i++)
			data |= node->nexuses[lun][i].data;
	}
	if (world->gate_stops_itself && !data)
		host_gate_stops(world, node, ARBITER_GATE_HELD);
}

void host_reset(struct world *world, struct node *node)
{
	node->gate = node->gate_ordered = ARBITER_GATE_FAILED;
	node->gate_quiet = true;
	node->gate_at_us = world->now_us;
	node->gate_orders = node->gate_orders_reached = 0;
	node->gate_serial = node->service_serial = node->write_serial = 0;
	node->in_flight = node->waiting = 0;
	node->tenure_valid = false;
	node->service = ARBITER_SERVICE_STOPPED;
	node->disk_at_us = world->now_us;
	memset(node->writes, 0, sizeof(node->writes));
	memset(node->disk, 0, sizeof(node->disk));
}

void host_event(struct world *world, const struct world_event *event)
{
	if (host_defers(world, event))
		return;
	switch ((enum world_event_kind)event->kind) {
	case WORLD_DISK:
		host_disk_event(world, event);
		break;
	case WORLD_GATE:
		host_gate_event(world, event);
		break;
	case WORLD_GATE_QUIET: {
		struct node *node = &world->nodes[event->node];

		if (event->serial == node->gate_serial && node->gate != ARBITER_GATE_OPEN &&
		    node->in_flight == 0) {
			node->gate_quiet = true;
			host_gate_tell(world, node);
		}
		break;
	}
	case WORLD_SERVICE:
	case WORLD_SERVICE_OVERDUE:
		host_service_event(world, event);
		break;
	case WORLD_WRITE:
		host_write_event(world, event);
		break;
	default:
		host_write_timeout(world, event);
		break;
	}
}
