/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether an owner gets on: every pair of states of arbiter, gate and service, held for ten minutes,
 * and the ways out of the states that may last.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/core/key.h"
#include "cluster/core/owner_progress.h"
#include "tests/unit/unit.h"

#define STEP_MS 250u
#define ALARM_MS 10000u
#define GIVE_UP_MS 20000u
#define AGENT_MS 30000u
#define NODE 1
#define CLUSTER 0x1234567

static struct owner_progress_watch watch;
static struct owner_progress_group group;

static void begin(enum arbiter_state state, enum arbiter_gate gate, bool quiet,
		  enum arbiter_service service)
{
	memset(&watch, 0, sizeof(watch));
	group = (struct owner_progress_group){.state = state,
					      .gate = gate,
					      .quiet = quiet,
					      .service = service,
					      .storage = true,
					      .agent_ms = AGENT_MS,
					      .alarm_ms = ALARM_MS,
					      .give_up_ms = GIVE_UP_MS};
}

struct lasted {
	uint64_t alarm_ms, give_up_ms, let_go_ms; /* when first; 0: never */
	unsigned give_ups, let_gos;
	bool rested;
};

static struct lasted last(uint64_t from_ms, uint64_t ms)
{
	struct lasted lasted = {0};
	enum owner_progress_cause cause;

	for (uint64_t now = from_ms; now < from_ms + ms; now += STEP_MS)
		switch (owner_progress_judge(&watch, &group, now, &cause)) {
		case OWNER_PROGRESS_REST:
			lasted.rested = true;
			break;
		case OWNER_PROGRESS_WAITS:
			break;
		case OWNER_PROGRESS_ALARM:
			if (!lasted.alarm_ms)
				lasted.alarm_ms = now - from_ms;
			CU_ASSERT_NOT_EQUAL(owner_progress_text(cause)[0], '\0');
			break;
		case OWNER_PROGRESS_GIVE_UP:
			lasted.give_ups++;
			lasted.give_up_ms = now - from_ms;
			break;
		case OWNER_PROGRESS_LET_GO:
			lasted.let_gos++;
			lasted.let_go_ms = now - from_ms;
			break;
		}
	return lasted;
}

/* Whoever keeps others from the LUN; one that is cut off looks at nothing and turns nobody away. */
static bool defends(enum arbiter_state state)
{
	return state == ARBITER_STATE_TAKING || state == ARBITER_STATE_OWNER ||
	       state == ARBITER_STATE_REASSERTING || state == ARBITER_STATE_YIELDING;
}

static void check_pair(enum arbiter_state state, enum arbiter_gate gate, bool quiet,
		       enum arbiter_service service)
{
	bool serves = state == ARBITER_STATE_OWNER && gate == ARBITER_GATE_OPEN &&
		      service == ARBITER_SERVICE_RUNNING;
	bool moves = service == ARBITER_SERVICE_STARTING || service == ARBITER_SERVICE_STOPPING;
	uint64_t extra = moves ? AGENT_MS + STEP_MS : 0;
	struct lasted lasted;

	begin(state, gate, quiet, service);
	lasted = last(1000, 600000);
	if (!defends(state) || serves) {
		CU_ASSERT_EQUAL(lasted.give_ups + lasted.let_gos, 0);
		CU_ASSERT_EQUAL(lasted.rested, state != ARBITER_STATE_OFFERING);
		CU_ASSERT_EQUAL(lasted.alarm_ms != 0, state == ARBITER_STATE_OFFERING);
		return;
	}
	CU_ASSERT_FALSE(lasted.rested);
	CU_ASSERT(lasted.alarm_ms > 0 && lasted.alarm_ms <= ALARM_MS + extra + STEP_MS);
	CU_ASSERT_EQUAL(lasted.give_ups, 1);
	CU_ASSERT(lasted.give_up_ms <= GIVE_UP_MS + extra + STEP_MS);
	CU_ASSERT_EQUAL(lasted.let_gos, 1);
	CU_ASSERT(lasted.let_go_ms <= 2 * GIVE_UP_MS + extra + 2 * STEP_MS);
}

static void test_every_pair(void)
{
	for (int state = 0; state <= ARBITER_STATE_RELEASED; state++)
		for (int gate = 0; gate <= ARBITER_GATE_OPEN; gate++)
			for (int service = 0; service <= ARBITER_SERVICE_STOPPING; service++)
				for (int quiet = 0; quiet < 2; quiet++)
					check_pair((enum arbiter_state)state,
						   (enum arbiter_gate)gate, quiet,
						   (enum arbiter_service)service);
}

/* It waits for its storage, or for whoever works on it: neither is its fault. */
static void test_not_its_fault(void)
{
	struct lasted lasted;

	begin(ARBITER_STATE_OWNER, ARBITER_GATE_HELD, false, ARBITER_SERVICE_RUNNING);
	group.storage = false;
	lasted = last(1000, 600000);
	CU_ASSERT_EQUAL(lasted.alarm_ms + lasted.give_ups, 0);
	group.storage = true;
	lasted = last(601000, 600000);
	CU_ASSERT_EQUAL(lasted.give_ups, 1);

	begin(ARBITER_STATE_OWNER, ARBITER_GATE_FAILED, true, ARBITER_SERVICE_STOPPED);
	group.maintenance = true;
	lasted = last(1000, 600000);
	CU_ASSERT_TRUE(lasted.rested);
	CU_ASSERT_EQUAL(lasted.alarm_ms + lasted.give_ups, 0);
}

/* A stall of the daemon itself is not the group's. */
static void test_daemon_stalled(void)
{
	enum owner_progress_cause cause;

	begin(ARBITER_STATE_OWNER, ARBITER_GATE_FAILED, true, ARBITER_SERVICE_STOPPED);
	CU_ASSERT_EQUAL(owner_progress_judge(&watch, &group, 1000, &cause), OWNER_PROGRESS_WAITS);
	CU_ASSERT_EQUAL(owner_progress_judge(&watch, &group, 100000, &cause), OWNER_PROGRESS_WAITS);
	CU_ASSERT_EQUAL(cause, OWNER_PROGRESS_GATE_OPENS);
}

/* A service of twenty slow resources, and a group that gains one LUN after the other. */
static void test_slow_but_sure(void)
{
	struct lasted lasted;
	uint64_t now = 1000;

	begin(ARBITER_STATE_OWNER, ARBITER_GATE_OPEN, false, ARBITER_SERVICE_STARTING);
	for (group.resources = 1; group.resources <= 20; group.resources++, now += 25000) {
		lasted = last(now, 25000);
		CU_ASSERT_EQUAL(lasted.alarm_ms + lasted.give_ups, 0);
	}
	group.service = ARBITER_SERVICE_RUNNING;
	CU_ASSERT_TRUE(last(now, 1000).rested);

	begin(ARBITER_STATE_TAKING, ARBITER_GATE_FAILED, true, ARBITER_SERVICE_STOPPED);
	for (group.members = 1; group.members <= 400; group.members++, now += STEP_MS)
		CU_ASSERT_EQUAL(last(now, STEP_MS).give_ups, 0);
}

/* What has served again begins anew. */
static void test_served_again(void)
{
	begin(ARBITER_STATE_OWNER, ARBITER_GATE_FAILED, true, ARBITER_SERVICE_STOPPED);
	CU_ASSERT_EQUAL(last(1000, 21000).give_ups, 1);
	group.gate = ARBITER_GATE_OPEN;
	group.service = ARBITER_SERVICE_RUNNING;
	CU_ASSERT_TRUE(last(22000, 1000).rested);
	group.gate = ARBITER_GATE_FAILED;
	group.service = ARBITER_SERVICE_STOPPED;
	CU_ASSERT_EQUAL(last(23000, 19000).give_ups, 0);
	CU_ASSERT_EQUAL(last(42000, 5000).give_ups, 1);
}

/* What the arbiter makes of the last verdict: it defends no more, and keeps its keys written down,
 * because one of them holds still. */
static void test_let_go(void)
{
	static struct arbiter_effect items[1024];
	struct arbiter_effects effects = {.items = items, .capacity = 1024};
	struct arbiter_config config = {.cluster = CLUSTER,
					.node = NODE,
					.defend_ms = 500,
					.window_ms = 2000,
					.probe_ms = 2000,
					.loss_ms = 20000,
					.request_ms = 10000,
					.cooldown_ms = 30000,
					.member_factor = 4,
					.lun_count = 1,
					.nexus_count = 1,
					.automatic = true};
	const struct key key = {.cluster = CLUSTER,
				.kind = KEY_KIND_CLAIM,
				.node = NODE,
				.incarnation = 7,
				.interval = 10};
	uint64_t claim = key_encode(&key);
	struct arbiter_event event = {.kind = ARBITER_EVENT_START,
				      .start = {.claims = &claim,
						.claim_count = 1,
						.incarnation = 8,
						.gate = ARBITER_GATE_OPEN,
						.service = ARBITER_SERVICE_RUNNING,
						.fit = true}};
	bool failed = false, struck = false;
	struct arbiter_view view;
	struct arbiter *arbiter;

	memset(config.rank_of, 255, sizeof(config.rank_of));
	config.rank_of[NODE] = 0;
#ifdef ARBITER_MUTATION
	config.disabled_rule = -1;
#endif
	arbiter = arbiter_init(malloc(arbiter_size(&config)), &config);
	CU_ASSERT_PTR_NOT_NULL_FATAL(arbiter);
	arbiter_step(arbiter, 1000, &event, &effects);
	arbiter_get_view(arbiter, &view);
	CU_ASSERT_EQUAL(view.state, ARBITER_STATE_OWNER);
	event = (struct arbiter_event){.kind = ARBITER_EVENT_FITNESS,
				       .fitness = {.fit = false, .stuck = true}};
	effects.count = 0;
	arbiter_step(arbiter, 2000, &event, &effects);
	arbiter_get_view(arbiter, &view);
	CU_ASSERT_EQUAL(view.state, ARBITER_STATE_DEPOSED);
	for (size_t i = 0; i < effects.count; i++) {
		failed |= items[i].kind == ARBITER_EFFECT_GATE &&
			  items[i].gate.gate == ARBITER_GATE_FAILED;
		struck |= items[i].kind == ARBITER_EFFECT_STRIKE;
	}
	CU_ASSERT_TRUE(failed);
	CU_ASSERT_FALSE(struck);
	free(arbiter);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"every pair of states", test_every_pair},
		{"not its fault", test_not_its_fault},
		{"the daemon stalled", test_daemon_stalled},
		{"slow but sure", test_slow_but_sure},
		{"served again", test_served_again},
		{"let go", test_let_go},
		CU_TEST_INFO_NULL,
	};
	return unit_run("owner progress", tests);
}
