/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Initiators that are not of this cluster: one that registers, or takes the LUN, and crowds.
 */
#include "tests/sim/world.h"

static void stranger_out(struct world *world, unsigned lun, uint16_t port,
			 enum pr_out_action action, uint64_t key, uint64_t service_key)
{
	struct pr_out out = {.action = action,
			     .type = action == PR_OUT_RELEASE ? world->luns[lun].lun.type
				     : world->strangers % 3 == 2
					     ? PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS
					     : world->type,
			     .key = key,
			     .service_key = service_key,
			     .aptpl = world->aptpl};
	uint8_t parameters[PR_OUT_PARAMETER_LENGTH];
	struct scsi_request request = {0};
	static struct lun_answer answer;

	pr_out_encode(&request, &out, parameters, sizeof(parameters));
	for (unsigned i = 0; i < 4; i++) {
		lun_execute(&world->luns[lun].lun, port, request.cdb, request.cdb_length,
			    parameters, sizeof(parameters), false, &answer);
		if (answer.status != SCSI_STATUS_CHECK_CONDITION)
			break;
	}
	trace_line(world, NULL, "stranger: %s %s: %s", pr_out_action_name(action),
		   service_key ? "" : "(0)",
		   answer.status == SCSI_STATUS_GOOD ? "good" : "refused");
	invariants_lun_changed(world, lun);
}

#define STRANGER_KEY 0x5eed000000000001u

void strangers_one_comes(struct world *world, bool holds)
{
	unsigned lun = rng_below(&world->rng, world->lun_count);
	struct lun_identity identity = {
		.initiator = STRANGER, .isid = ++world->strangers, .target_port = 1};
	uint64_t until = world->now_us + world_between_ms(world, 500, 8000);
	uint64_t key = STRANGER_KEY + world->strangers;
	uint16_t port;

	if (!world->luns[lun].powered)
		return;
	port = lun_login(&world->luns[lun].lun, &identity);
	if (port == LUN_NEXUS_NONE)
		return;
	stranger_out(world, lun, port, PR_OUT_REGISTER, 0, key);
	if (holds) {
		faults_excuse_all(world, until + 2 * SECOND, "a stranger took it");
		if (world->luns[lun].lun.held)
			stranger_out(world, lun, port, PR_OUT_PREEMPT, key,
				     lun_holder_key(&world->luns[lun].lun));
		else
			stranger_out(world, lun, port, PR_OUT_RESERVE, key, 0);
	}
	faults_later(world, until, FAULT_STRANGER_KEY, (unsigned)world->strangers, lun, 0);
}

/* With the reservation: all registrants hold it until the last has gone. */
static void stranger_leaves(struct world *world, unsigned lun, uint16_t port)
{
	struct lun *unit = &world->luns[lun].lun;

	if (unit->held && unit->holder == LUN_NEXUS_NONE)
		stranger_out(world, lun, port, PR_OUT_RELEASE, unit->nexuses[port].key, 0);
	stranger_out(world, lun, port, PR_OUT_REGISTER_AND_IGNORE, 0, 0);
}

void strangers_one_leaves(struct world *world, const struct lasting *lasting)
{
	struct lun *lun = &world->luns[lasting->lun].lun;

	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (lun->nexuses[i].used && lun->nexuses[i].identity.initiator == STRANGER &&
		    lun->nexuses[i].identity.isid == lasting->node) {
			if (lun->nexuses[i].registered)
				stranger_leaves(world, lasting->lun, i);
			lun_logout(lun, i);
		}
	}
	invariants_lun_changed(world, lasting->lun);
}

void strangers_crowd_comes(struct world *world)
{
	unsigned lun = rng_below(&world->rng, world->lun_count);
	unsigned count = 20 + rng_below(&world->rng, 20);

	if (!world->luns[lun].powered)
		return;
	trace_line(world, NULL, "a crowd of %u registers on lun %u", count, lun);
	for (unsigned i = 0; i < count; i++) {
		struct lun_identity identity = {
			.initiator = STRANGER_CROWD, .isid = i + 1, .target_port = 1};
		uint16_t port = lun_login(&world->luns[lun].lun, &identity);

		if (port != LUN_NEXUS_NONE)
			stranger_out(world, lun, port, PR_OUT_REGISTER_AND_IGNORE, 0,
				     STRANGER_KEY + 0x10000 + i);
	}
	faults_later(world, world->now_us + world_between_ms(world, 1000, 20000), FAULT_CROWD, 0,
		     lun, 0);
}

void strangers_crowd_leaves(struct world *world, unsigned lun)
{
	struct lun *unit = &world->luns[lun].lun;

	for (uint16_t i = 0; i < unit->nexus_count; i++) {
		if (!unit->nexuses[i].used || unit->nexuses[i].identity.initiator != STRANGER_CROWD)
			continue;
		if (unit->nexuses[i].registered)
			stranger_out(world, lun, i, PR_OUT_REGISTER_AND_IGNORE, 0, 0);
		lun_logout(unit, i);
	}
}

/* What a target that fell back has brought back of strangers who have left, somebody removes in the
 * end. */
void strangers_remove(struct world *world)
{
	for (unsigned i = 0; i < sizeof(world->lasting_faults) / sizeof(world->lasting_faults[0]);
	     i++) {
		if (world->lasting_faults[i].used &&
		    (world->lasting_faults[i].kind == FAULT_STRANGER_KEY ||
		     world->lasting_faults[i].kind == FAULT_CROWD))
			return;
	}
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		struct lun *unit = &world->luns[lun].lun;

		for (uint16_t i = 0; i < unit->nexus_count && world->luns[lun].powered; i++) {
			if (!unit->nexuses[i].registered ||
			    (unit->nexuses[i].identity.initiator != STRANGER &&
			     unit->nexuses[i].identity.initiator != STRANGER_CROWD))
				continue;
			stranger_leaves(world, lun, i);
			faults_excuse_all(world, world->now_us, "a stranger's key came back");
		}
	}
}
