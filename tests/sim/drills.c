/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The drills: single situations that schedules meet too rarely, or in which what is missed shows too
 * late.
 */
#include "tests/sim/drills.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/stage.h"

/* --- the drills: each returns NULL, or what went wrong --- */

static const char *drill_grants_a_request(struct stage *stage)
{
	stage_own(stage);
	stage_lun_add(&stage->luns[0], stage_key(stage, KEY_KIND_REQUEST, 2, 9));
	stage_pass(stage, 3000);
	return stage->state == ARBITER_STATE_OFFERING ? NULL : "a request is not granted";
}

static const char *drill_stops_when_cut_off(struct stage *stage)
{
	stage_own(stage);
	stage->luns[0].mute = true;
	stage_pass(stage, L + 2 * D);
	return stage->gate == ARBITER_GATE_HELD && stage->service_stopped
		       ? NULL
		       : "it serves on without storage";
}

static const char *drill_unfit_offers(struct stage *stage)
{
	const struct arbiter_event unfit = {.kind = ARBITER_EVENT_FITNESS};

	stage_own(stage);
	stage_step(stage, &unfit);
	stage_pass(stage, 3000);
	return stage->state == ARBITER_STATE_OFFERING ? NULL : "an unfit owner does not offer";
}

static const char *drill_starts_over_for_another_holder(struct stage *stage)
{
	uint64_t first, second = stage_key(stage, KEY_KIND_CLAIM, 2, 8);

	stage_tom_holds(stage);
	first = stage->luns[0].holder;
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, P + W / 2);
	if (stage->state != ARBITER_STATE_CHALLENGING)
		return "it does not challenge";
	stage_lun_remove(&stage->luns[0], first);
	stage_lun_add(&stage->luns[0], second);
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

	stage_tom_holds(stage);
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

	stage_tom_holds(stage);
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
	stage_tom_holds(stage);
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

	stage_tom_holds(stage);
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
	stage_tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 100);
	stage_command(stage, ARBITER_COMMAND_TAKE);
	stage_pass(stage, 100);
	for (unsigned k = 0; k < 700;
	     k++) { /* the owner turns every key of ours away, and offers nothing */
		if (stage->luns[0].own)
			stage_lun_remove(&stage->luns[0], stage->luns[0].own);
		stage_pass(stage, 100);
	}
	return stage->told[ARBITER_RULE_REQUEST_EXPIRED] ? NULL
							 : "nobody is told that no offer came";
}

static const char *drill_unanswered_request_becomes_a_challenge(struct stage *stage)
{
	stage_tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 100);
	stage_command(stage, ARBITER_COMMAND_TAKE);
	stage_pass(stage, 3 * (P + W));
	return stage->state == ARBITER_STATE_OWNER ? NULL : "a dead owner is asked for ever";
}

static const char *drill_standby_takes_strays_back(struct stage *stage)
{
	uint64_t stray = stage_key(stage, KEY_KIND_CLAIM, 1, 42);

	stage_tom_holds(stage);
	stage_lun_add(&stage->luns[0], stray);
	stage->luns[0].own = stray;
	stage_start(stage, &stray, 1, false);
	stage_pass(stage, D);
	return stage_lun_lists(&stage->luns[0], stray) ? "an own key stays registered on a standby"
						       : NULL;
}

static const char *drill_restart_adopts(struct stage *stage)
{
	uint64_t claim = stage_key(stage, KEY_KIND_CLAIM, 1, 42);

	stage_lun_add(&stage->luns[0], claim);
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

	stage_own(stage);
	stage->luns[0].lose_preempts = 1;
	stage_lun_add(&stage->luns[0], challenger);
	while (stage->luns[0].lose_preempts > 0 && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	stage_pass(stage, 20);
	return stage_lun_lists(&stage->luns[0], challenger)
		       ? "after an order without an answer it waits for its next beat"
		       : NULL;
}

static const char *drill_reserves_again(struct stage *stage)
{
	stage_own(stage);
	stage->luns[0].holder = 0;
	stage_pass(stage, 2 * D);
	return stage->luns[0].holder != 0 && !stage->service_stopped
		       ? NULL
		       : "a released reservation is not made again";
}

static const char *drill_cleans_before_it_opens(struct stage *stage)
{
	stage_tom_holds(stage);
	stage_lun_add(&stage->luns[0],
		      stage_key(stage, KEY_KIND_CLAIM, 2, 8)); /* an earlier one of his */
	stage_own(stage);
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

	stage_tom_holds(stage);
	tom = lun->holder;
	stage_own(stage);
	lun->key_count = 0; /* the target falls back to what it was before */
	lun->own = 0;
	lun->holder = tom;
	stage_lun_add(lun, tom);
	stage_pass(stage, 2 * D);
	return lun->holder != tom && lun->holder == lun->own
		       ? NULL
		       : "a preempted key that came back stays the holder";
}

/* Tom's LUN is taken; the first REGISTER gets no answer, and its session may end after that. */
static void take_by_second_register(struct stage *stage, bool session_ends)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_NEXUS};

	stage_tom_holds(stage);
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

/* --- targets that do not do what they say --- */

/* So many orders are few: the first tries, and one try or two in each L. */
#define FEW_ORDERS 80u

static const char *drill_gives_up_on_a_deaf_target(struct stage *stage)
{
	stage->luns[0].deaf = true;
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 300000);
	if (!stage->alarmed[ARBITER_ALARM_REGISTER_FUTILE])
		return "nobody is told that REGISTER has no effect";
	if (stage->orders > FEW_ORDERS)
		return "orders without an effect are repeated without end";
	stage->luns[0].deaf = false;
	stage_pass(stage, L + 4 * W);
	return stage->state == ARBITER_STATE_OWNER && !stage->alarmed[ARBITER_ALARM_REGISTER_FUTILE]
		       ? NULL
		       : "a target that has been mended is not taken";
}

static const char *drill_checks_full_status(struct stage *stage)
{
	stage->luns[0].deaf = true;
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 60000);
	return stage->checked ? NULL : "READ FULL STATUS is not doubted";
}

static const char *drill_gives_up_when_refused(struct stage *stage)
{
	stage->luns[0].refuses = true;
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 300000);
	if (!stage->alarmed[ARBITER_ALARM_REFUSED])
		return "nobody is told that every order is refused";
	return stage->orders > FEW_ORDERS ? "refused orders are repeated without end" : NULL;
}

static const char *drill_waits_while_looks_contradict(struct stage *stage)
{
	unsigned orders;

	stage_tom_holds(stage);
	stage->luns[0].contrary = true;
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 60000);
	orders = stage->orders;
	stage_pass(stage, 60000);
	if (!stage->alarmed[ARBITER_ALARM_LOOKS_DIFFER])
		return "nobody is told that looks contradict each other";
	return stage->orders > orders + 20 ? "it goes on although looks contradict each other"
					   : NULL;
}

static const char *drill_keeps_to_the_rate(struct stage *stage)
{
	stage_tom_holds(stage);
	for (uint16_t k = 0; k < 110; k++)
		stage_lun_add(&stage->luns[0],
			      stage_key(stage, KEY_KIND_CLAIM, 2, (uint16_t)(1000 + k)));
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 30000);
	if (stage->most_in_second > 64 + 8 * 1000 / D + 2)
		return "a hundred keys are preempted within a second";
	return stage->state == ARBITER_STATE_OWNER ? NULL : "many keys keep it from owning";
}

static const char *drill_bears_a_crowd(struct stage *stage)
{
	for (uint64_t k = 0; k < 60; k++)
		stage_lun_add(&stage->luns[0], 0x5eed0000 + k);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 10000);
	if (stage->state != ARBITER_STATE_OWNER)
		return "foreign keys keep it from owning";
	stage_lun_add(&stage->luns[0], stage_key(stage, KEY_KIND_CLAIM, 2, 9));
	stage_pass(stage, 2 * D);
	return stage_lun_lists(&stage->luns[0], stage_key(stage, KEY_KIND_CLAIM, 2, 9))
		       ? "a challenger hides in a crowd"
		       : NULL;
}

static const char *drill_leaves_all_registrants_alone(struct stage *stage)
{
	stage->luns[0].all = true;
	stage_lun_add(&stage->luns[0], 0x5eed0001);
	stage_start(stage, NULL, 0, false);
	stage_pass(stage, 20000);
	if (stage->orders > 0)
		return "it sends something to a LUN that all registrants hold";
	return stage->alarmed[ARBITER_ALARM_ALL_REGISTRANTS] ? NULL : "nobody is told who holds";
}

static const char *drill_offers_under_an_old_name(struct stage *stage)
{
	const struct arbiter_event yield = {
		.kind = ARBITER_EVENT_COMMAND,
		.command = {.command = ARBITER_COMMAND_YIELD, .node = KEY_NODE_ANY}};

	stage->luns[0].stale = true;
	stage_own(stage);
	stage_step(stage, &yield);
	for (unsigned k = 0; k < 5000; k++) {
		stage_pass(stage, 1);
		if (stage->luns[0].holder == 0)
			return "a hand-over frees the LUN";
	}
	return stage->state == ARBITER_STATE_OFFERING ? NULL : "it does not offer";
}

static const char *drill_tells_who_challenges_out_of_turn(struct stage *stage)
{
	stage_own(stage);
	for (uint16_t k = 0; k < 10; k++) { /* tom dies, and spike probes in his place */
		stage_lun_add(&stage->luns[0],
			      stage_key(stage, KEY_KIND_CLAIM, k < 2 ? 2 : 3, k + 1));
		stage_pass(stage, k == 1 ? 4 * P : P);
	}
	if (stage->alarmed[ARBITER_ALARM_LISTS_DIFFER])
		return "who probes in a dead node's place is taken for one with another list";
	for (uint16_t k = 0; k < 12; k++) {
		stage_lun_add(&stage->luns[0], stage_key(stage, KEY_KIND_CLAIM, 2, 100 + k));
		stage_pass(stage, P / 2);
		stage_lun_add(&stage->luns[0], stage_key(stage, KEY_KIND_CLAIM, 3, 200 + k));
		stage_pass(stage, P / 2);
	}
	return stage->alarmed[ARBITER_ALARM_LISTS_DIFFER]
		       ? NULL
		       : "nobody is told that the nodes' lists differ";
}

/* --- what single schedules of the simulator have found --- */

static const char *drill_counts_what_began_inside(struct stage *stage)
{
	stage_tom_holds(stage);
	stage_start(stage, NULL, 0, false);
	while (stage->state != ARBITER_STATE_CHALLENGING && stage->now_ms < 1020000)
		stage_pass(stage, 1);
	stage_pass(stage, D);
	stage->luns[0].stalled_until_ms = stage->now_ms + 12000;
	stage_pass(stage, 12000 + 2 * W);
	return stage->state == ARBITER_STATE_OWNER
		       ? NULL
		       : "a stall counts against the window that begins after it";
}

static const char *drill_leaves_under_a_fresh_key(struct stage *stage)
{
	uint64_t stray = stage_key(stage, KEY_KIND_CLAIM, 1, 42);

	stage_tom_holds(stage);
	stage_lun_add(&stage->luns[0], stray);
	stage->luns[0].own = stray;
	stage_start(stage, &stray, 1, false);
	stage_pass(stage, D);
	return stage->left_key != 0 && stage->left_key != stray
		       ? NULL
		       : "a key under which a RESERVE may be on its way is unregistered";
}

static const char *drill_freed_member_asks_the_leader(struct stage *stage)
{
	struct arbiter_event lost = {.kind = ARBITER_EVENT_NEXUS, .nexus = {.lun = 1}};
	unsigned looks;

	stage_own(stage);
	stage->luns[1].own = 0; /* the registration stays behind, with the reservation */
	stage_step(stage, &lost);
	lost.nexus.up = lost.nexus.fresh = true;
	stage_step(stage, &lost);
	stage->luns[1].frees = true;
	while (stage->luns[1].holder != 0 && stage->now_ms < 1050000)
		stage_pass(stage, 1);
	looks = stage->looks[0];
	while (stage->luns[1].holder == 0 && stage->now_ms < 1080000)
		stage_pass(stage, 1);
	if (stage->luns[1].holder == 0)
		return "a member that nobody holds is not taken again";
	return stage->looks[0] > looks ? NULL
				       : "a member is taken again without a look at the leader";
}

static const char *drill_hints_cost_no_member(struct stage *stage)
{
	const struct arbiter_event hint = {.kind = ARBITER_EVENT_OTHER_OWNS};

	stage_own(stage);
	stage->luns[0].mute = stage->luns[1].mute = true;
	stage_pass(stage, 15000);
	stage_step(stage, &hint);
	stage_pass(stage, 40000);
	stage_step(stage, &hint);
	stage->luns[0].mute = false;
	while (stage->state != ARBITER_STATE_OWNER && stage->now_ms < 1080000)
		stage_pass(stage, 1);
	stage->luns[1].mute = false;
	stage_pass(stage, L);
	return stage->told[ARBITER_RULE_OWNER_UNFIT_OFFERS]
		       ? "members are given up for a time in which nothing answered"
		       : NULL;
}

static const char *drill_gives_a_stranger_up(struct stage *stage)
{
	struct arbiter_event other = {.kind = ARBITER_EVENT_IDENTITY,
				      .identity = {.lun = 1, .other = true}};
	struct arbiter_event unfit = {.kind = ARBITER_EVENT_FITNESS};
	unsigned orders;
	uint64_t key;

	stage_own(stage);
	key = stage->luns[0].holder;
	stage_step(stage, &other);
	if (stage->gate != ARBITER_GATE_FAILED || stage->state == ARBITER_STATE_OWNER)
		return "it goes on with another logical unit";
	stage_step(stage, &unfit);
	stage->luns[0].mute = stage->luns[1].mute = true; /* nothing a stranger says is passed on */
	orders = stage->orders;
	stage_pass(stage, 3000);
	if (!stage->service_stopped || stage->state != ARBITER_STATE_STANDBY)
		return "it does not stop its service";
	if (stage->orders > orders || !stage->alarmed[ARBITER_ALARM_OTHER_UNIT])
		return "it sends something, or tells nobody";
	/* The right one is there again, as it was left. */
	other.identity.other = false;
	unfit.fitness.fit = true;
	stage->luns[0].mute = stage->luns[1].mute = false;
	stage_step(stage, &other);
	stage_step(stage, &unfit);
	stage_pass(stage, 3 * D);
	return stage->state == ARBITER_STATE_OWNER && stage->luns[0].holder != key
		       ? NULL
		       : "it does not know its own key again";
}

static const char *drill_orphaned_member_waits(struct stage *stage)
{
	uint64_t claim = stage_key(stage, KEY_KIND_CLAIM, 1, 42);
	uint64_t member = stage_key(stage, KEY_KIND_MEMBER, 1, 42);
	struct arbiter_event fresh = {.kind = ARBITER_EVENT_NEXUS,
				      .nexus = {.lun = 1, .up = true, .fresh = true}};

	stage_lun_add(&stage->luns[0], claim); /* nobody holds, and nothing is answered but looks */
	stage->luns[0].refuses = true;
	stage_lun_add(&stage->luns[1], member);
	stage->luns[1].holder = member;
	stage_start(stage, &claim, 1, true);
	stage_step(stage, &fresh);
	stage_pass(stage, 5000);
	return stage->orders_on[1] > 0 ? "a member is swapped by who does not hold the leader"
				       : NULL;
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
	{"gives up on a deaf target", drill_gives_up_on_a_deaf_target, 1, 0},
	{"checks READ FULL STATUS", drill_checks_full_status, 1, 0},
	{"gives up when refused", drill_gives_up_when_refused, 1, 0},
	{"waits while looks contradict each other", drill_waits_while_looks_contradict, 1, 0},
	{"keeps to the rate", drill_keeps_to_the_rate, 1, 0},
	{"bears a crowd", drill_bears_a_crowd, 1, 0},
	{"leaves all registrants alone", drill_leaves_all_registrants_alone, 1, 0},
	{"offers under an old name", drill_offers_under_an_old_name, 1, 0},
	{"tells who challenges out of turn", drill_tells_who_challenges_out_of_turn, 1, 0},
	{"counts what began inside the window", drill_counts_what_began_inside, 1, 0},
	{"leaves under a fresh key", drill_leaves_under_a_fresh_key, 1, 0},
	{"a freed member: the leader first", drill_freed_member_asks_the_leader, 2, 0},
	{"hints cost no member", drill_hints_cost_no_member, 2, 0},
	{"gives a stranger up", drill_gives_a_stranger_up, 2, 0},
	{"an orphaned member waits for the leader", drill_orphaned_member_waits, 2, 0},
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
