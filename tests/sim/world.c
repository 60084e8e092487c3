/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The queue of events in virtual time, and the run of one schedule from its beginning to the end of
 * its settling.
 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_STEPS_MAX 400000 /* events of a schedule; more is a loop without end */

struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return NULL;
	for (unsigned i = 0; i < WORLD_NODES_MAX; i++) {
		world->nodes[i].arbiter = malloc(WORLD_ARBITER_SIZE);
		if (!world->nodes[i].arbiter)
			return NULL;
	}
	return world;
}

uint32_t world_serial(struct world *world)
{
	return ++world->serial;
}

uint64_t world_between_ms(struct world *world, uint64_t from_ms, uint64_t to_ms)
{
	return rng_between(&world->rng, from_ms * MS, to_ms * MS);
}

void world_fail(struct world *world, const char *invariant, const char *format, ...)
{
	va_list list;
	int length;

	if (world->failed)
		return;
	world->failed = true;
	length = snprintf(world->failure, sizeof(world->failure), "%s at %.3f s: ", invariant,
			  (double)world->now_us / 1e6);
	va_start(list, format);
	vsnprintf(world->failure + length, sizeof(world->failure) - (size_t)length, format, list);
	va_end(list);
	trace_line(world, NULL, "*** %s", world->failure);
}

static bool world_event_before(const struct world_event *a, const struct world_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void world_insert(struct world *world, struct world_event event)
{
	uint32_t i = world->event_count;

	if (i == WORLD_EVENTS_MAX) {
		world_fail(world, "bounded-queues", "more than %u events are waiting",
			   WORLD_EVENTS_MAX);
		return;
	}
	world->event_count++;
	while (i > 0 && world_event_before(&event, &world->events[(i - 1) / 2])) {
		world->events[i] = world->events[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	world->events[i] = event;
}

static bool world_is_last(const struct world *world, const struct world_event *event)
{
	uint32_t last = (world->late_first + world->late_count - 1) % WORLD_LATE_MAX;

	return world->late_count == 0 || (world->late_count < WORLD_LATE_MAX &&
					  world_event_before(&world->late[last], event));
}

void world_push(struct world *world, uint64_t at_us, enum world_event_kind kind, unsigned node,
		unsigned index, uint32_t serial)
{
	struct world_event event = {.at_us = at_us < world->now_us ? world->now_us : at_us,
				    .order = ++world->order,
				    .serial = serial,
				    .index = (uint16_t)index,
				    .kind = (uint8_t)kind,
				    .node = (uint8_t)node};

	if (kind == WORLD_GIVE_UP && world_is_last(world, &event))
		world->late[(world->late_first + world->late_count++) % WORLD_LATE_MAX] = event;
	else
		world_insert(world, event);
}

void world_push_again(struct world *world, uint64_t at_us, const struct world_event *event)
{
	struct world_event again = *event;

	again.at_us = at_us < world->now_us ? world->now_us : at_us;
	world_insert(world, again);
}

static struct world_event world_pop(struct world *world)
{
	struct world_event first, last;
	uint32_t i = 0;

	if (world->late_count > 0 &&
	    (world->event_count == 0 ||
	     world_event_before(&world->late[world->late_first], &world->events[0]))) {
		first = world->late[world->late_first];
		world->late_first = (world->late_first + 1) % WORLD_LATE_MAX;
		world->late_count--;
		return first;
	}
	first = world->events[0];
	last = world->events[--world->event_count];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= world->event_count)
			break;
		if (child + 1 < world->event_count &&
		    world_event_before(&world->events[child + 1], &world->events[child]))
			child++;
		if (!world_event_before(&world->events[child], &last))
			break;
		world->events[i] = world->events[child];
		i = child;
	}
	if (world->event_count > 0)
		world->events[i] = last;
	return first;
}

static void world_dispatch(struct world *world, const struct world_event *event)
{
	switch ((enum world_event_kind)event->kind) {
	case WORLD_ARRIVE:
		net_arrive(world, event);
		break;
	case WORLD_ANSWER:
		net_answer(world, event);
		break;
	case WORLD_LAND:
		net_land(world, event);
		break;
	case WORLD_SESSION_END:
		net_session_end(world, event->index, event->serial);
		break;
	case WORLD_SESSION_LOST:
	case WORLD_NEXUS_LOGIN:
	case WORLD_FAULT:
	case WORLD_FAULT_END:
	case WORLD_HINT:
		faults_event(world, event);
		break;
	case WORLD_GIVE_UP:
	case WORLD_RETRY:
	case WORLD_OP_END:
	case WORLD_TICK:
	case WORLD_MAIL:
	case WORLD_START:
		shell_event(world, event);
		break;
	case WORLD_DISK:
	case WORLD_GATE:
	case WORLD_GATE_QUIET:
	case WORLD_SERVICE:
	case WORLD_SERVICE_OVERDUE:
	case WORLD_WRITE:
	case WORLD_WRITE_TIMEOUT:
		host_event(world, event);
		break;
	case WORLD_CHECK:
		invariants_check(world);
		if (world->now_us >= world->end_us)
			world->done = true;
		world_push(world, world->now_us + 250 * MS, WORLD_CHECK, 0, 0, 0);
		break;
	}
}

static void world_reset(struct world *world)
{
	struct arbiter *arbiters[WORLD_NODES_MAX];

	for (unsigned i = 0; i < WORLD_NODES_MAX; i++)
		arbiters[i] = world->nodes[i].arbiter;
	memset(world, 0, offsetof(struct world, luns));
	for (unsigned i = 0; i < WORLD_NODES_MAX; i++)
		world->nodes[i].arbiter = arbiters[i];
	memset(&world->vanished_excused, 0,
	       offsetof(struct world, sessions) - offsetof(struct world, vanished_excused));
	memset(&world->failed, 0, sizeof(*world) - offsetof(struct world, failed));
}

bool world_run(struct world *world, uint64_t seed, const struct profile *profile, bool trace,
	       int disabled_rule)
{
	unsigned count = 0;

	world_reset(world);
	world->seed = seed;
	world->profile = profile;
	world->trace = trace;
	world->owner = NONE8;
	rng_seed(&world->rng, seed);
	faults_shape(world);
	for (unsigned i = 0; i < world->node_count; i++) {
#ifdef ARBITER_MUTATION
		world->nodes[i].config.disabled_rule = disabled_rule;
#else
		(void)disabled_rule;
#endif
	}
	faults_begin(world);
	world_push(world, 250 * MS, WORLD_CHECK, 0, 0, 0);
	while (!world->failed && !world->done && world->event_count + world->late_count > 0) {
		struct world_event event = world_pop(world);

		world->now_us = event.at_us;
		world_dispatch(world, &event);
		if (++count > WORLD_STEPS_MAX)
			world_fail(world, "bounded-work", "more than %u events", WORLD_STEPS_MAX);
	}
	return !world->failed;
}
