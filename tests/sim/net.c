/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SAN: logins, commands on their way to a logical unit and answers on their way back. Commands
 * of one session keep their order, those of different sessions do not; any may be lost, late, or
 * executed without an answer.
 */
#include <errno.h>
#include <string.h>

#include "tests/sim/world.h"

struct nexus *net_nexus(struct world *world, unsigned node, unsigned lun, unsigned nexus)
{
	return &world->nodes[node].nexuses[lun][nexus];
}

bool net_nexus_up(struct world *world, unsigned node, unsigned lun, unsigned nexus)
{
	uint16_t session = net_nexus(world, node, lun, nexus)->session;

	return session != NONE && world->sessions[session].initiator_up;
}

uint8_t net_port_node(const struct world *world, unsigned lun, uint16_t port)
{
	uint32_t initiator;

	if (port == LUN_NEXUS_NONE)
		return NONE8;
	initiator = world->luns[lun].lun.nexuses[port].identity.initiator;
	return initiator < WORLD_NODES_MAX ? (uint8_t)initiator : NONE8;
}

static bool net_session_valid(const struct world *world, const struct session *session)
{
	const struct lun_nexus *nexus = &world->luns[session->lun].lun.nexuses[session->port];

	return nexus->used && nexus->session && nexus->login == session->login &&
	       nexus->identity.initiator == session->node;
}

static uint16_t net_session_make(struct world *world)
{
	uint16_t i = world->session_high;

	if (i < WORLD_SESSIONS_MAX) {
		world->session_high++;
	} else {
		i = 0;
		while (i < WORLD_SESSIONS_MAX &&
		       (world->sessions[i].initiator_up || world->sessions[i].commands > 0))
			i++;
	}
	if (i < WORLD_SESSIONS_MAX) {
		world->sessions[i] = (struct session){.used = true, .serial = world_serial(world)};
		return i;
	}
	world_fail(world, "bounded-queues", "no room for another session");
	return NONE;
}

void net_login_later(struct world *world, unsigned node, unsigned lun, unsigned nexus,
		     uint64_t after_us)
{
	struct nexus *entry = net_nexus(world, node, lun, nexus);

	entry->login_serial = world_serial(world);
	world_push(world, world->now_us + after_us, WORLD_NEXUS_LOGIN, node,
		   lun * (WORLD_NEXUSES_MAX + 1) + nexus, entry->login_serial);
}

void net_login(struct world *world, unsigned node, unsigned lun, unsigned nexus)
{
	struct nexus *entry = net_nexus(world, node, lun, nexus);
	struct sim_lun *unit = &world->luns[lun];
	struct lun_identity identity = {
		.initiator = node, .isid = entry->isid, .target_port = (uint16_t)(1 + nexus % 2)};
	uint16_t index, port;

	if (!unit->powered || entry->blocked_until_us > world->now_us) {
		net_login_later(world, node, lun, nexus, world_between_ms(world, 50, 300));
		return;
	}
	port = lun_login(&unit->lun, &identity);
	if (port == LUN_NEXUS_NONE) {
		net_login_later(world, node, lun, nexus, world_between_ms(world, 500, 1500));
		return;
	}
	invariants_lun_changed(world,
			       lun); /* a reinstated session's registration may have died with it */
	index = net_session_make(world);
	if (index == NONE)
		return;
	world->sessions[index].initiator_up = true;
	world->sessions[index].node = (uint8_t)node;
	world->sessions[index].lun = (uint8_t)lun;
	world->sessions[index].nexus = (uint8_t)nexus;
	world->sessions[index].port = port;
	world->sessions[index].login = unit->lun.nexuses[port].login;
	entry->session = index;
	entry->data = false;
	entry->told_fresh = false;
	if (world->trace)
		trace_line(world, &world->nodes[node], "login: lun %u nexus %u%s", lun, nexus,
			   unit->lun.nexuses[port].registered ? ", still registered" : "");
	shell_mail_nexus(world, &world->nodes[node], lun, nexus, true, true);
}

void net_session_end(struct world *world, unsigned index, uint32_t serial)
{
	struct session *session = &world->sessions[index];

	if (!session->used || session->serial != serial || !net_session_valid(world, session))
		return;
	lun_logout(&world->luns[session->lun].lun, session->port);
	invariants_lun_changed(world, session->lun);
}

void net_session_lost(struct world *world, unsigned index, bool orphan)
{
	struct session *session = &world->sessions[index];

	if (!session->used || !session->initiator_up)
		return;
	session->initiator_up = false;
	net_nexus(world, session->node, session->lun, session->nexus)->session = NONE;
	net_nexus(world, session->node, session->lun, session->nexus)->data = false;
	for (unsigned i = 0; i < world->command_high; i++) {
		struct command *command = &world->commands[i];

		if (command->used && command->session == index &&
		    (!world->late_execution || rng_chance(&world->rng, 500000)))
			command->dropped = true;
	}
	if (!orphan)
		world_push(world, world->now_us + world_between_ms(world, 0, 3000),
			   WORLD_SESSION_END, session->node, index, session->serial);
}

void net_node_gone(struct world *world, unsigned node)
{
	bool orphan = rng_chance(&world->rng, 300000);

	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		for (unsigned nexus = 0; nexus <= WORLD_NEXUSES_MAX; nexus++) {
			struct nexus *entry = net_nexus(world, node, lun, nexus);

			if (entry->session != NONE)
				net_session_lost(world, entry->session, orphan);
			entry->login_serial = 0;
			entry->told_up = entry->told_fresh = false;
		}
	}
}

static struct command *net_command_make(struct world *world)
{
	for (uint16_t i = 0; i < WORLD_COMMANDS_MAX; i++) {
		if (i == world->command_high) {
			world->command_high++;
			world->commands[i].used = false;
		}
		if (!world->commands[i].used)
			return &world->commands[i];
	}
	return NULL;
}

static void net_command_free(struct world *world, struct command *command)
{
	command->used = false;
	world->sessions[command->session].commands--;
	while (world->command_high > 0 && !world->commands[world->command_high - 1].used)
		world->command_high--;
}

/* How long a command or an answer is on its way. */
static uint64_t net_delay_us(struct world *world)
{
	uint64_t delay =
		world->timing.latency_us + rng_below(&world->rng, world->timing.jitter_us + 1);

	if (world->timing.slow_max_ms > 0)
		delay += rng_between(&world->rng, world->timing.slow_min_ms * MS / 2,
				     world->timing.slow_max_ms * MS / 2);
	return delay;
}

uint16_t net_send(struct world *world, enum command_kind kind, unsigned node, unsigned lun,
		  unsigned nexus, const struct scsi_request *request, uint16_t op,
		  uint32_t op_serial)
{
	struct command *command;
	struct session *session;
	uint64_t arrive;

	if (!net_nexus_up(world, node, lun, nexus))
		return NONE;
	command = net_command_make(world);
	if (!command) {
		world_fail(world, "bounded-queues", "more than %u commands in flight",
			   WORLD_COMMANDS_MAX);
		return NONE;
	}
	command->used = true;
	command->dropped = false;
	command->answer.pending = false;
	command->kind = (uint8_t)kind;
	command->node = (uint8_t)node;
	command->lun = (uint8_t)lun;
	command->session = net_nexus(world, node, lun, nexus)->session;
	command->op = op;
	command->op_serial = op_serial;
	command->serial = world_serial(world);
	command->cdb_length = request->cdb_length;
	memcpy(command->cdb, request->cdb, sizeof(command->cdb));
	command->data_length = 0;
	if (request->direction == SCSI_DIRECTION_OUT &&
	    request->data_length <= sizeof(command->data)) {
		command->data_length = (uint8_t)request->data_length;
		memcpy(command->data, request->data, request->data_length);
	}
	session = &world->sessions[command->session];
	session->commands++;
	arrive = world->now_us + net_delay_us(world);
	if (rng_chance(&world->rng, world->delayed)) {
		/* Stuck in the fabric: half of the time everything behind it waits too. */
		arrive += world_between_ms(world, 100, 6000);
		if (arrive < session->arrive_us)
			arrive = session->arrive_us;
		if (rng_chance(&world->rng, 500000))
			session->arrive_us = arrive;
		faults_excuse(world, &world->nodes[node], arrive, "its commands were stuck");
	} else {
		if (arrive < session->arrive_us)
			arrive = session->arrive_us;
		session->arrive_us = arrive;
	}
	if (rng_chance(&world->rng, world->lost_command)) {
		command->dropped = true;
		trace_command(world, command, "lost on its way");
	}
	world_push(world, arrive, WORLD_ARRIVE, node, (unsigned)(command - world->commands),
		   command->serial);
	return (uint16_t)(command - world->commands);
}

static void net_reply(struct world *world, struct command *command)
{
	struct session *session = &world->sessions[command->session];
	uint64_t at = world->now_us + net_delay_us(world);

	if (rng_chance(&world->rng, command->kind == COMMAND_WRITE ? world->lost_answer / 16
								   : world->lost_answer)) {
		trace_command(world, command, "answer lost");
		net_command_free(world, command);
		return;
	}
	if (at < session->answer_us)
		at = session->answer_us;
	session->answer_us = at;
	world_push(world, at, WORLD_ANSWER, command->node, (unsigned)(command - world->commands),
		   command->serial);
}

static void net_status(struct lun_answer *answer, uint8_t status, uint8_t key, uint8_t asc,
		       uint8_t ascq)
{
	answer->status = status;
	answer->pending = false;
	answer->data_length = 0;
	answer->sense_length = 0;
	if (status != SCSI_STATUS_CHECK_CONDITION)
		return;
	answer->sense_length = 18;
	memset(answer->sense, 0, sizeof(answer->sense));
	answer->sense[0] = 0x70;
	answer->sense[2] = key;
	answer->sense[7] = 10;
	answer->sense[12] = asc;
	answer->sense[13] = ascq;
}

/* The target refuses before it looks at the command. */
static bool net_refuses(struct world *world, struct command *command, struct session *session)
{
	struct nexus *nexus = net_nexus(world, session->node, session->lun, session->nexus);

	if (nexus->standby && nexus->session == command->session &&
	    command->kind != COMMAND_RESET) {
		net_status(&command->answer, SCSI_STATUS_CHECK_CONDITION, SCSI_SENSE_NOT_READY,
			   0x04, 0x0b);
		return true;
	}
	if (command->kind == COMMAND_RESET || !rng_chance(&world->rng, world->busy))
		return false;
	switch (rng_below(&world->rng, 3)) {
	case 0:
		net_status(&command->answer, SCSI_STATUS_BUSY, 0, 0, 0);
		break;
	case 1:
		net_status(&command->answer, SCSI_STATUS_TASK_SET_FULL, 0, 0, 0);
		break;
	case 2:
		net_status(&command->answer, SCSI_STATUS_CHECK_CONDITION, SCSI_SENSE_NOT_READY,
			   0x04, 0x0a);
		break;
	}
	return true;
}

static void net_execute(struct world *world, struct command *command)
{
	struct session *session = &world->sessions[command->session];
	struct lun *lun = &world->luns[command->lun].lun;

	if (net_refuses(world, command, session)) {
		net_reply(world, command);
		return;
	}
	if (command->kind == COMMAND_RESET) {
		lun_reset(lun, session->port);
		net_status(&command->answer, SCSI_STATUS_GOOD, 0, 0, 0);
		trace_command(world, command, "executed");
		net_reply(world, command);
		return;
	}
	lun_execute(lun, session->port, command->cdb, command->cdb_length, command->data,
		    command->data_length, true, &command->answer);
	if (command->kind == COMMAND_WRITE &&
	    command->answer.status == SCSI_STATUS_RESERVATION_CONFLICT)
		invariants_refused(world, command);
	if (command->kind == COMMAND_OUT) {
		trace_command(world, command, "executed");
		if (command->answer.status == SCSI_STATUS_GOOD)
			invariants_freed(world, command);
		if (command->answer.status == SCSI_STATUS_GOOD)
			invariants_lun_changed(world, command->lun);
	}
	if (!command->answer.pending) {
		net_reply(world, command);
		return;
	}
	invariants_admitted(world, command, session->port);
	world_push(world,
		   world->now_us + (rng_chance(&world->rng, 20000)
					    ? world_between_ms(world, 50, 2500)
					    : rng_between(&world->rng, 100, 8000)),
		   WORLD_LAND, command->node, (unsigned)(command - world->commands),
		   command->serial);
}

/* Nothing passes a cut link or a stalled array; it comes when these are over. */
static bool net_waits(struct world *world, const struct world_event *event,
		      const struct command *command, bool array)
{
	uint64_t until = world->sessions[command->session].cut_until_us;

	if (array && world->luns[command->lun].stalled_until_us > until)
		until = world->luns[command->lun].stalled_until_us;
	if (until <= world->now_us)
		return false;
	world_push(world, until, (enum world_event_kind)event->kind, event->node, event->index,
		   event->serial);
	return true;
}

void net_arrive(struct world *world, const struct world_event *event)
{
	struct command *command = &world->commands[event->index];

	if (net_waits(world, event, command, true))
		return;
	if (command->dropped || !world->luns[command->lun].powered ||
	    !net_session_valid(world, &world->sessions[command->session])) {
		net_command_free(world, command);
		return;
	}
	net_execute(world, command);
}

void net_land(struct world *world, const struct world_event *event)
{
	struct command *command = &world->commands[event->index];
	struct sim_lun *unit = &world->luns[command->lun];

	if (unit->powered && unit->stalled_until_us > world->now_us) {
		world_push(world, unit->stalled_until_us, WORLD_LAND, event->node, event->index,
			   event->serial);
		return;
	}
	if (lun_task_finish(&unit->lun, command->answer.task, command->answer.serial)) {
		invariants_landed(world, command);
		net_status(&command->answer, SCSI_STATUS_GOOD, 0, 0, 0);
		net_reply(world, command);
		return;
	}
	trace_command(world, command, "aborted");
	if (unit->lun.personality.task_aborted_status && unit->powered &&
	    net_session_valid(world, &world->sessions[command->session])) {
		net_status(&command->answer, SCSI_STATUS_TASK_ABORTED, 0, 0, 0);
		net_reply(world, command);
		return;
	}
	net_command_free(world, command);
}

void net_answer(struct world *world, const struct world_event *event)
{
	struct command *command = &world->commands[event->index];
	struct scsi_result result = {0};

	if (net_waits(world, event, command, false))
		return;
	if (!world->sessions[command->session].initiator_up) {
		net_command_free(world, command);
		return;
	}
	if (command->kind == COMMAND_WRITE ? host_defers(world, event)
					   : shell_defers(world, event)) {
		/* The daemon that asked may be gone: then nobody takes the answer. */
		if (!world->nodes[command->node].running ||
		    (command->kind != COMMAND_WRITE && !world->nodes[command->node].daemon_running))
			net_command_free(world, command);
		return;
	}
	scsi_result_from_status(&result, command->answer.status, command->answer.sense,
				command->answer.sense_length);
	if (command->kind == COMMAND_WRITE)
		host_write_done(world, command, &result);
	else
		shell_command_done(world, command, &result);
	net_command_free(world, command);
}

/* ABORT TASK for the command of one operation: what has not been executed will not be. */
void net_abort(struct world *world, unsigned session, uint16_t op, uint32_t op_serial)
{
	for (unsigned i = 0; i < world->command_high; i++) {
		struct command *command = &world->commands[i];

		if (!command->used || command->session != session || command->op != op ||
		    command->op_serial != op_serial)
			continue;
		command->dropped = true;
		if (command->answer.pending)
			lun_task_abort(&world->luns[command->lun].lun, command->answer.task,
				       command->answer.serial);
	}
}

void net_power_loss(struct world *world, unsigned lun, unsigned age, uint64_t until_us)
{
	struct sim_lun *unit = &world->luns[lun];

	unit->powered = false;
	unit->power_serial = world_serial(world);
	for (unsigned i = 0; i < world->node_count; i++)
		unit->lost_opening[i] = world->nodes[i].gate_openings;
	unit->stalled_until_us = 0;
	lun_power_cycle(&unit->lun, age);
	invariants_forgive(world, lun);
	for (unsigned i = 0; i < world->session_high; i++) {
		struct session *session = &world->sessions[i];

		if (!session->used || !session->initiator_up || session->lun != lun)
			continue;
		session->cut_until_us = 0;
		world_push(world, rng_between(&world->rng, world->now_us, until_us + 2 * SECOND),
			   WORLD_SESSION_LOST, session->node, i, session->serial);
	}
	invariants_lun_changed(world, lun);
}
