/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bottom of a group: no event is lost, and the earliest deadline is kept, also when what
 * follows a step posts something itself.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "tests/unit/unit.h"

/* --- the queue --- */

static void put(struct group_queue *queue, uint32_t id)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_RECORDED, .recorded = {.id = id}};

	CU_ASSERT_EQUAL(group_queue_put(queue, &event), 0);
}

static uint32_t take(struct group_queue *queue)
{
	struct arbiter_event event;

	return group_queue_take(queue, &event) ? event.recorded.id : 0;
}

static void test_queue_order(void)
{
	struct group_queue queue = {0};
	uint32_t in = 0, out = 0;

	CU_ASSERT_EQUAL(take(&queue), 0);
	CU_ASSERT_EQUAL(group_queue_reserve(&queue, 5), 0);
	for (unsigned round = 0; round < 40; round++) { /* past its end, and growing */
		for (unsigned k = 0; k < 3 + round / 4; k++)
			put(&queue, ++in);
		for (unsigned k = 0; k < 3; k++)
			CU_ASSERT_EQUAL(take(&queue), ++out);
	}
	while (out < in)
		CU_ASSERT_EQUAL(take(&queue), ++out);
	CU_ASSERT_EQUAL(take(&queue), 0);
	group_queue_free(&queue);
}

/* What cannot grow keeps what it has, and says so. */
static void test_queue_full(void)
{
	struct group_queue queue = {0};

	CU_ASSERT_EQUAL(group_queue_reserve(&queue, 2), 0);
	put(&queue, 1);
	put(&queue, 2);
	CU_ASSERT_EQUAL(take(&queue), 1);
	put(&queue, 3);
	CU_ASSERT(group_queue_reserve(&queue, SIZE_MAX / 2) < 0);
	CU_ASSERT_EQUAL(take(&queue), 2);
	CU_ASSERT_EQUAL(take(&queue), 3);
	group_queue_free(&queue);
}

/* --- the group --- */

static struct group_home home;
static struct group group;
static unsigned settled;
static uint32_t look_id;

static void carry_out(struct group *of, const struct arbiter_effect *effect,
		      enum arbiter_command_answer *answer)
{
	(void)of;
	if (effect->kind == ARBITER_EFFECT_ANSWER)
		*answer = effect->answer;
	if (effect->kind == ARBITER_EFFECT_LOOK)
		look_id = effect->id;
}

static void connected(struct group *of)
{
	(void)of;
}

/* As a gate does that comes to something at once. */
static void settle(struct group *of)
{
	if (settled++ == 0)
		group_command(of, ARBITER_COMMAND_CLAIM, 0, false);
}

static const struct group_top top = {carry_out, settle, connected};

static void group_begin(void)
{
	struct arbiter_config config = {.cluster = 1,
					.node = 1,
					.defend_ms = 250,
					.window_ms = 1000,
					.probe_ms = 60000,
					.loss_ms = 4000,
					.request_ms = 10000,
					.member_factor = 2,
					.cooldown_ms = 30000,
					.lun_count = 1,
					.grant_requests = true,
					.nexus_count = 1};
	const struct arbiter_look free_lun = {.ok = true};
	struct arbiter_event start = {.kind = ARBITER_EVENT_START};
	struct arbiter_event looked = {.kind = ARBITER_EVENT_LOOKED};

	memset(config.rank_of, 255, sizeof(config.rank_of));
	config.rank_of[1] = 0;
	config.rank_of[2] = 1;
	uv_loop_init(&home.loop);
	home.effects.capacity = arbiter_effects_max(1);
	home.effects.items = calloc(home.effects.capacity, sizeof(*home.effects.items));
	group.home = &home;
	group.top = &top;
	group.arbiter = arbiter_init(malloc(arbiter_size(&config)), &config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(group.arbiter);
	uv_timer_init(&home.loop, &group.timer);
	group.timer.data = &group;
	group.started = true;
	start.start.incarnation = 1;
	start.start.service = ARBITER_SERVICE_STOPPED;
	start.start.fit = start.start.quiet = true;
	settled = 1; /* nothing follows these */
	group_post(&group, &start);
	looked.looked.id = look_id;
	looked.looked.look = &free_lun;
	group_post(&group, &looked);
}

static void group_end(void)
{
	uv_close((uv_handle_t *)&group.timer, NULL);
	uv_run(&home.loop, UV_RUN_DEFAULT);
	uv_loop_close(&home.loop);
	group_queue_free(&group.queue);
	free(group.arbiter);
	free(home.effects.items);
}

/* A step is over and its deadline known; what settles then gives a command, whose own deadline is
 * much nearer. */
static void test_nested_deadline(void)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_TICK};
	uint64_t due, now = clock_now_ms();
	struct arbiter_effects none;

	group_begin();
	settled = 0;
	group_post(&group, &event);
	CU_ASSERT(settled >= 2);
	none = home.effects;
	none.count = 0;
	due = arbiter_step(group.arbiter, now, &event, &none);
	CU_ASSERT(uv_timer_get_due_in(&group.timer) <= (due > now ? due - now : 0) + 5);
	group_end();
}

static CU_TestInfo tests[] = {
	{"the queue keeps the order", test_queue_order},
	{"a full queue loses nothing", test_queue_full},
	{"a nested command's earlier deadline is kept", test_nested_deadline},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("group_post", tests);
}
