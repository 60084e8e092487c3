/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A simulated daemon: it hands events to the arbiter and carries its effects out as lunkeeperd
 * does. A look is two reads at different times, repeated while the generation moves (or one READ
 * FULL STATUS); a command is repeated as scsi_retry_judge() says; whoever gives up knows nothing.
 * It may die between any two effects.
 */
#include <errno.h>
#include <string.h>

#include "tests/sim/world.h"

#define SHELL_REREADS_MAX 8
#define SHELL_KEYS_MAX 96

uint64_t node_now_ms(const struct world *world, const struct node *node)
{
	return (world->now_us + node->clock_offset_us) / MS;
}

static uint64_t node_us_of(const struct node *node, uint64_t ms)
{
	return ms > UINT64_MAX / MS - 1 || ms == UINT64_MAX ? NEVER_US
							    : ms * MS - node->clock_offset_us;
}

/* The node's processes other than the daemon. */
bool host_defers(struct world *world, const struct world_event *event)
{
	const struct node *node = &world->nodes[event->node];

	if (!node->running)
		return true;
	if (node->frozen_until_us <= world->now_us)
		return false;
	world_push_again(world, node->frozen_until_us, event);
	return true;
}

bool shell_defers(struct world *world, const struct world_event *event)
{
	const struct node *node = &world->nodes[event->node];

	if (!node->daemon_running) /* who drops it must not see it again when a frozen node thaws */
		return true;
	if (host_defers(world, event))
		return true;
	if (node->daemon_paused_until_us <= world->now_us)
		return false;
	world_push_again(world, node->daemon_paused_until_us, event);
	return true;
}

/* ---- looks and orders ---- */

static struct op *op_make(struct world *world)
{
	for (uint16_t i = 0; i < WORLD_OPS_MAX; i++) {
		if (i == world->op_high) {
			world->op_high++;
			world->ops[i].used = false;
		}
		if (world->ops[i].used)
			continue;
		memset(&world->ops[i], 0, offsetof(struct op, look));
		world->ops[i].used = true;
		world->ops[i].serial = world_serial(world);
		return &world->ops[i];
	}
	world_fail(world, "bounded-queues", "more than %u looks and orders are outstanding",
		   WORLD_OPS_MAX);
	return NULL;
}

static unsigned op_index(const struct world *world, const struct op *op)
{
	return (unsigned)(op - world->ops);
}

static void op_free(struct world *world, struct op *op)
{
	op->used = false;
	while (world->op_high > 0 && !world->ops[world->op_high - 1].used)
		world->op_high--;
}

/* The arbiter is told, and the operation is over. */
static void op_end(struct world *world, struct op *op)
{
	struct node *node = &world->nodes[op->node];
	struct arbiter_event event = {0};
	struct op ended = *op;

	op_free(world, op);
	if (ended.kind == OP_LOOK) {
		event.kind = ARBITER_EVENT_LOOKED;
		event.looked.lun = ended.lun;
		event.looked.id = ended.effect_id;
		ended.look.persistent = world->aptpl;
		event.looked.look = &ended.look;
		oracle_looked(world, node, ended.lun, &ended, &ended.look);
	} else {
		event.kind = ARBITER_EVENT_ORDERED;
		event.ordered.lun = ended.lun;
		event.ordered.id = ended.effect_id;
		event.ordered.outcome = ended.outcome;
		event.ordered.illegal_request = ended.illegal_request;
		event.ordered.path_unusable = ended.path_unusable;
		oracle_order_ended(world, node, ended.lun);
	}
	shell_step(world, node, &event);
}

/* By which nexus: 0..nexus_count-1 are registrable, WORLD_NEXUSES_MAX only looks. */
static unsigned op_look_nexus(struct world *world, const struct op *op)
{
	unsigned candidates[WORLD_NEXUSES_MAX + 1], count = 0;
	unsigned lun = world->nodes[op->node].lun_of[op->lun];

	if (world->look_apart && net_nexus_up(world, op->node, lun, WORLD_NEXUSES_MAX))
		candidates[count++] = WORLD_NEXUSES_MAX;
	for (unsigned i = 0; i < world->nexus_count; i++) {
		if (net_nexus_up(world, op->node, lun, i))
			candidates[count++] = i;
	}
	return count == 0 ? NONE : candidates[op->look_attempt % count];
}

static void op_send(struct world *world, struct op *op)
{
	uint8_t buffer[LUN_DATA_IN_MAX];
	uint8_t parameters[PR_OUT_PARAMETER_LENGTH];
	struct scsi_request request = {0};
	enum command_kind kind = COMMAND_RESET;
	unsigned nexus = op->nexus;

	switch ((enum op_kind)op->kind) {
	case OP_LOOK:
		nexus = op_look_nexus(world, op);
		kind = !op->plain    ? COMMAND_FULL_STATUS
		       : op->look.ok ? COMMAND_READ_RESERVATION
				     : COMMAND_READ_KEYS;
		pr_in_encode(&request,
			     kind == COMMAND_FULL_STATUS        ? PR_IN_READ_FULL_STATUS
			     : kind == COMMAND_READ_RESERVATION ? PR_IN_READ_RESERVATION
								: PR_IN_READ_KEYS,
			     buffer, sizeof(buffer));
		break;
	case OP_ORDER:
		kind = COMMAND_OUT;
		if (pr_out_encode(&request, &op->out, parameters, sizeof(parameters)) < 0)
			world_fail(world, "encodable", "a PR OUT cannot be encoded");
		break;
	case OP_RESET:
		break;
	}
	op->command = nexus == NONE ? NONE
				    : net_send(world, kind, op->node,
					       world->nodes[op->node].lun_of[op->lun], nexus,
					       &request, (uint16_t)op_index(world, op), op->serial);
	op->session = op->command == NONE ? NONE : world->commands[op->command].session;
	if (op->command == NONE)
		world_push(world, world->now_us + MS, WORLD_OP_END, op->node, op_index(world, op),
			   op->serial);
	else if (kind == COMMAND_OUT)
		trace_command(world, &world->commands[op->command], "sent");
}

/* READ KEYS: its answer waits for that of READ RESERVATION. */
static bool op_look_keys(const struct world *world, struct op *op, const struct command *command)
{
	const struct node *node = &world->nodes[op->node];
	uint64_t values[SHELL_KEYS_MAX];
	struct pr_keys keys = {.keys = values};

	if (pr_keys_decode(&keys, SHELL_KEYS_MAX, command->answer.data,
			   command->answer.data_length) < 0)
		return false;
	op->look.generation = keys.generation;
	op->look.key_count = 0;
	op->look.left_out = 0;
	op->look.truncated = keys.available > keys.count;
	for (uint32_t i = 0; i < keys.count; i++)
		arbiter_look_add(&op->look, values[i], world->cluster, node->number);
	op->look.ok = true;
	return true;
}

static bool op_look_full(const struct world *world, struct op *op, const struct command *command)
{
	const struct node *node = &world->nodes[op->node];
	static struct pr_full_status_entry entries[SHELL_KEYS_MAX];
	struct pr_full_status status = {.entries = entries};

	if (pr_full_status_decode(&status, SHELL_KEYS_MAX, command->answer.data,
				  command->answer.data_length) < 0)
		return false;
	op->look.generation = status.generation;
	op->look.held = false;
	op->look.holder = 0;
	op->look.key_count = 0;
	op->look.left_out = 0;
	op->look.truncated = !status.complete;
	for (uint32_t i = 0; i < status.count; i++) {
		if (entries[i].holder) {
			bool all = entries[i].type == PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS ||
				   entries[i].type == PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS;

			op->look.held = true;
			op->look.holder = all ? 0 : entries[i].key;
		}
		arbiter_look_add(&op->look, entries[i].key, world->cluster, node->number);
	}
	op->look.ok = true;
	return true;
}

/* READ FULL STATUS against READ KEYS: of the same generation they show the same keys. */
static void op_look_compare(struct world *world, struct op *op)
{
	struct node *node = &world->nodes[op->node];

	if (!op->check || op->full.generation != op->look.generation || op->look.key_count == 0)
		return;
	node->checked[op->lun] = true;
	if (arbiter_look_same_keys(&op->full, &op->look))
		return;
	node->distrusted[op->lun] = op->look.differs = true;
}

/* Returns true when the look is complete, successful or not. */
static bool op_look_answer(struct world *world, struct op *op, const struct command *command)
{
	struct pr_reservation reservation;

	switch ((enum command_kind)command->kind) {
	case COMMAND_FULL_STATUS:
		op->look.ok = op_look_full(world, op, command);
		if (!op->look.ok || !op->check)
			return true;
		op->full = op->look;
		op->look.ok = false;
		op->plain = true;
		op_send(world, op);
		return false;
	case COMMAND_READ_KEYS:
		if (!op_look_keys(world, op, command))
			return true;
		op_send(world, op);
		return false;
	case COMMAND_READ_RESERVATION:
		op->look.ok = false;
		if (pr_reservation_decode(&reservation, command->answer.data,
					  command->answer.data_length) < 0)
			return true;
		if (reservation.generation != op->look.generation) {
			if (++op->rereads > SHELL_REREADS_MAX)
				return true;
			op_send(world, op);
			return false;
		}
		op->look.ok = true;
		op->look.held = reservation.held;
		op->look.holder = reservation.key;
		op_look_compare(world, op);
		return true;
	case COMMAND_OUT:
	case COMMAND_RESET:
	case COMMAND_WRITE:
		break;
	}
	return true;
}

void shell_command_done(struct world *world, struct command *command,
			const struct scsi_result *result)
{
	struct op *op = &world->ops[command->op];
	uint32_t wait_ms = 0;

	if (!op->used || op->serial != command->op_serial)
		return;
	op->session = NONE;
	switch (scsi_retry_judge(result, op->attempt, &wait_ms)) {
	case SCSI_RETRY_AT_ONCE:
		op->attempt++;
		op_send(world, op);
		return;
	case SCSI_RETRY_LATER:
		op->attempt++;
		world_push(world, world->now_us + wait_ms * MS, WORLD_RETRY, op->node,
			   op_index(world, op), op->serial);
		return;
	case SCSI_RETRY_OTHER_PATH:
		op->outcome = SCSI_OUTCOME_FAILED;
		op->path_unusable = true;
		op->look.ok = false;
		op_end(world, op);
		return;
	case SCSI_RETRY_FINAL:
		break;
	}
	op->outcome = result->outcome;
	op->illegal_request = result->outcome == SCSI_OUTCOME_FAILED &&
			      result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;
	if (op->kind == OP_LOOK) {
		if (result->outcome != SCSI_OUTCOME_OK)
			op->look.ok = false;
		else if (!op_look_answer(world, op, command))
			return;
	}
	op_end(world, op);
}

/* What was outstanding on the session ends as unknown; the daemon sees it soon. */
void shell_session_lost(struct world *world, unsigned session)
{
	for (unsigned i = 0; i < world->op_high; i++) {
		struct op *op = &world->ops[i];

		/* also one whose command has vanished in a target without power */
		if (!op->used || op->session != session)
			continue;
		op->session = NONE;
		op->outcome = SCSI_OUTCOME_UNKNOWN;
		op->look.ok = false;
		op->command = NONE - 1;
		world_push(world, world->now_us + MS / 10, WORLD_OP_END, op->node, i, op->serial);
	}
}

static void shell_op_event(struct world *world, const struct world_event *event)
{
	struct op *op = &world->ops[event->index];

	if (!op->used || op->serial != event->serial ||
	    op->daemon_boot != world->nodes[op->node].daemon_boot)
		return;
	switch ((enum world_event_kind)event->kind) {
	case WORLD_GIVE_UP:
		op->outcome = SCSI_OUTCOME_UNKNOWN;
		op->look.ok = false;
		op_end(world, op);
		break;
	case WORLD_OP_END:
		if (op->command == NONE) {
			/* No session: it has not been sent. */
			op->outcome = SCSI_OUTCOME_FAILED;
			op->path_unusable = true;
		}
		op->look.ok = false;
		op_end(world, op);
		break;
	default:
		op_send(world, op);
		break;
	}
}

/* ---- mail ---- */

/* Messages keep their order. */
void shell_mail(struct world *world, struct node *node, uint64_t delay_us,
		const struct arbiter_event *event)
{
	uint64_t at = world->now_us + delay_us;

	if (!node->daemon_running)
		return;
	if (at < node->mail_at_us)
		at = node->mail_at_us;
	node->mail_at_us = at;
	for (uint16_t i = 0; i < WORLD_MAILS_MAX; i++) {
		struct mail *mail = &world->mails[i];

		if (i == world->mail_high) {
			world->mail_high++;
			mail->used = false;
		}
		if (mail->used)
			continue;
		mail->used = true;
		mail->daemon_boot = node->daemon_boot;
		mail->event = *event;
		if (event->kind == ARBITER_EVENT_NEXUS)
			mail->session = node->nexuses[event->nexus.lun][event->nexus.nexus].session;
		mail->gate_orders = node->gate_orders_reached;
		world_push(world, at, WORLD_MAIL, node->index, i, node->daemon_boot);
		return;
	}
	world_fail(world, "bounded-queues", "more than %u messages to daemons", WORLD_MAILS_MAX);
}

void shell_mail_nexus(struct world *world, struct node *node, unsigned lun, unsigned nexus, bool up,
		      bool fresh)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_NEXUS};

	if (nexus >= world->nexus_count)
		return;                      /* it only looks */
	event.nexus.lun = node->lun_of[lun]; /* two that are exchanged: the way back is the same */
	event.nexus.nexus = (uint8_t)nexus;
	event.nexus.up = up;
	event.nexus.fresh = up && fresh;
	event.nexus.ended = !up || fresh;
	shell_mail(world, node, rng_between(&world->rng, 10, 2000), &event);
}

static void shell_mail_event(struct world *world, const struct world_event *event)
{
	struct mail *mail = &world->mails[event->index];
	struct node *node = &world->nodes[event->node];
	struct arbiter_event told = mail->event;
	struct nexus *nexus;

	mail->used = false;
	if (mail->daemon_boot != node->daemon_boot)
		return;
	if (told.kind == ARBITER_EVENT_NEXUS) {
		nexus = &node->nexuses[node->lun_of[told.nexus.lun]][told.nexus.nexus];
		nexus->told_up = told.nexus.up;
		nexus->told_fresh = told.nexus.up && nexus->session == mail->session;
	}
	/* A report that a later order has overtaken is not passed on. */
	if (told.kind == ARBITER_EVENT_GATE && mail->gate_orders != node->gate_orders)
		return;
	shell_step(world, node, &told);
}

/* ---- effects ---- */

static void shell_begin_op(struct world *world, struct node *node,
			   const struct arbiter_effect *effect)
{
	struct op *op = op_make(world);
	uint32_t give_up_ms;

	if (!op)
		return;
	op->node = node->index;
	op->lun = (uint8_t)effect->lun;
	op->daemon_boot = node->daemon_boot;
	op->effect_id = effect->id;
	op->began_us = world->now_us;
	op->look.ok = false;
	op->illegal_request = op->path_unusable = false;
	if (effect->kind == ARBITER_EFFECT_LOOK) {
		op->kind = OP_LOOK;
		op->look_attempt = effect->look.attempt;
		op->plain = !world->full_status || node->distrusted[op->lun];
		op->check = !op->plain && (effect->look.check || !node->checked[op->lun]);
		op->look.differs = false;
		give_up_ms = effect->look.give_up_ms;
	} else {
		op->kind = effect->kind == ARBITER_EFFECT_ORDER ? OP_ORDER : OP_RESET;
		op->nexus = effect->order.nexus;
		op->out.action = effect->order.action;
		op->out.type = world->type;
		op->out.key = effect->order.key;
		op->out.service_key = effect->order.service_key;
		op->out.aptpl =
			world->aptpl && (effect->order.action == PR_OUT_REGISTER ||
					 effect->order.action == PR_OUT_REGISTER_AND_IGNORE);
		give_up_ms = effect->order.give_up_ms;
		world->orders++;
		invariants_ordered(world, node, op->lun);
	}
	world_push(world, world->now_us + give_up_ms * MS, WORLD_GIVE_UP, node->index,
		   op_index(world, op), op->serial);
	op_send(world, op);
}

/* Data uses only nexuses that are registered; the daemon asks the arbiter which these are. */
static void shell_data_nexuses(struct world *world, struct node *node)
{
	struct arbiter_lun_view view;

	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		arbiter_get_lun_view(node->arbiter, node->lun_of[lun], &view);
		node->data_nexuses[lun] = 0;
		for (unsigned i = 0; i < world->nexus_count; i++) {
			if (view.nexus[i].registered && view.nexus[i].key == view.key)
				node->data_nexuses[lun] |= (uint8_t)(1u << i);
		}
	}
}

static void shell_effect(struct world *world, struct node *node,
			 const struct arbiter_effect *effect)
{
	oracle_effect(world, node, effect);
	switch (effect->kind) {
	case ARBITER_EFFECT_LOOK:
	case ARBITER_EFFECT_ORDER:
	case ARBITER_EFFECT_RESET:
		shell_begin_op(world, node, effect);
		break;
	case ARBITER_EFFECT_RECORD:
		host_disk(world, node, effect->id, effect->record.key);
		break;
	case ARBITER_EFFECT_STRIKE:
		host_disk(world, node, 0, effect->record.key);
		break;
	case ARBITER_EFFECT_GATE:
		shell_data_nexuses(world, node);
		host_gate_order(world, node, effect->gate.gate, effect->gate.drop_caches);
		break;
	case ARBITER_EFFECT_SERVICE:
		host_service_order(world, node, effect->service.start, effect->service.deposed);
		break;
	case ARBITER_EFFECT_STATE:
		node->state = effect->state.new_state;
		if (node->state == ARBITER_STATE_YIELDING)
			invariants_yields(world, node);
		node->state_since_us = world->now_us;
		break;
	case ARBITER_EFFECT_RULE:
		world->rule_count[effect->rule.rule]++;
		break;
	case ARBITER_EFFECT_ANSWER:
	case ARBITER_EFFECT_ALARM:
		break;
	}
}

static void shell_schedule_tick(struct world *world, struct node *node, uint64_t deadline_ms)
{
	node->deadline_us = node_us_of(node, deadline_ms);
	if (node->deadline_us == NEVER_US || node->deadline_us >= node->tick_at_us)
		return;
	node->tick_at_us = node->deadline_us;
	node->tick_serial = world_serial(world);
	world_push(world, node->deadline_us, WORLD_TICK, node->index, 0, node->tick_serial);
}

void shell_step(struct world *world, struct node *node, const struct arbiter_event *event)
{
	static struct arbiter_effect items[WORLD_EFFECTS_MAX];
	struct arbiter_effects effects = {.items = items, .capacity = WORLD_EFFECTS_MAX};
	uint64_t deadline_ms;
	uint32_t boot = node->daemon_boot;

	if (world->trace)
		trace_event(world, node, event);
	deadline_ms = arbiter_step(node->arbiter, node_now_ms(world, node), event, &effects);
	world->steps++;
	if (effects.count > arbiter_effects_max(world->lun_count))
		world_fail(world, "bounded-effects", "%zu effects of one step", effects.count);
	for (size_t i = 0; i < effects.count && !world->failed; i++) {
		if (node->crash_after_effects == 0) {
			trace_line(world, node, "dies between two effects of one step");
			node_crash(world, node, node->crash_takes_node,
				   world_between_ms(world, 100, 9000));
			return;
		}
		if (node->crash_after_effects > 0)
			node->crash_after_effects--;
		if (world->trace)
			trace_effect(world, node, &items[i]);
		shell_effect(world, node, &items[i]);
		if (node->daemon_boot != boot)
			return;
	}
	shell_schedule_tick(world, node, deadline_ms);
}

static void shell_tick(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];
	struct arbiter_event tick = {.kind = ARBITER_EVENT_TICK};

	if (event->serial != node->tick_serial)
		return;
	node->tick_at_us = NEVER_US;
	if (node->deadline_us > world->now_us) {
		shell_schedule_tick(world, node, (node->deadline_us + node->clock_offset_us) / MS);
		return;
	}
	shell_step(world, node, &tick);
}

/* ---- beginning and end of a daemon ---- */

void shell_start(struct world *world, struct node *node)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_START};

	node->daemon_running = true;
	node->daemon_boot = world_serial(world);
	node->daemon_paused_until_us = 0;
	node->crash_after_effects = -1;
	node->tick_at_us = NEVER_US;
	node->mail_at_us = 0;
	node->tick_serial = 0;
	node->state = ARBITER_STATE_STANDBY;
	node->state_since_us = world->now_us;
	node->counter = (uint16_t)(node->counter + 4096 + rng_below(&world->rng, 512));
	if (node->counter == 0)
		node->counter = 1;
	oracle_reset(node);
	memset(node->checked, 0, sizeof(node->checked));
	memset(node->distrusted, 0, sizeof(node->distrusted));
	memset(node->rate_orders, 0, sizeof(node->rate_orders));
	if (arbiter_size(&node->config) > WORLD_ARBITER_SIZE ||
	    !arbiter_init(node->arbiter, &node->config)) {
		world_fail(world, "starts", "the configuration is refused");
		return;
	}
	event.start.claims = node->claims;
	event.start.claim_count = node->claim_count;
	event.start.incarnation = node->counter;
	event.start.gate = node->gate;
	event.start.quiet = node->gate_quiet;
	event.start.service = node->service;
	event.start.fit = node->want_fit;
	node->fit = node->want_fit;
	shell_step(world, node, &event);
	if (node->daemon_running) {
		struct arbiter_view view;

		arbiter_get_view(node->arbiter, &view); /* it may have adopted what it found */
		node->state = view.state;
	}
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		for (unsigned i = 0; i < world->nexus_count && node->daemon_running; i++) {
			struct nexus *nexus = &node->nexuses[lun][i];
			struct arbiter_event up = {.kind = ARBITER_EVENT_NEXUS};

			if (nexus->session == NONE)
				continue;
			up.nexus.lun = node->lun_of[lun];
			up.nexus.nexus = (uint8_t)i;
			up.nexus.up = true;
			up.nexus.fresh =
				!nexus->data; /* no data has used it: it need not be registered */
			nexus->told_up = nexus->told_fresh = true;
			shell_step(world, node, &up);
		}
		if (world->look_apart && node->daemon_running &&
		    node->nexuses[lun][WORLD_NEXUSES_MAX].session == NONE)
			net_login_later(world, node->index, lun, WORLD_NEXUSES_MAX,
					world_between_ms(world, 5, 200));
	}
}

/* The machine starts: gate failed, service stopped, its own disk as it was. */
void node_boot(struct world *world, struct node *node)
{
	node->running = true;
	node->boot = world_serial(world);
	node->frozen_until_us = 0;
	host_reset(world, node);
	for (unsigned lun = 0; lun < world->lun_count; lun++) {
		for (unsigned i = 0; i < world->nexus_count; i++) {
			if (!world->keep_isid)
				node->nexuses[lun][i].isid += 0x100;
			net_login_later(world, node->index, lun, i,
					world_between_ms(world, 20, 1500));
		}
	}
	faults_disturb(world, world->now_us + 2 * SECOND);
	shell_start(world, node);
}

void node_crash(struct world *world, struct node *node, bool whole, uint64_t for_us)
{
	trace_line(world, node, "%s dies", whole ? "node" : "daemon");
	node->daemon_running = false;
	node->daemon_boot = world_serial(world);
	node->tick_serial = 0;
	node->crash_after_effects = -1;
	for (unsigned lun = 0; lun < world->lun_count && !whole; lun++) {
		struct nexus *look = &node->nexuses[lun][WORLD_NEXUSES_MAX];

		if (look->session != NONE)
			net_session_lost(world, look->session, false);
		look->login_serial = 0;
	}
	for (unsigned i = 0; i < world->op_high; i++) {
		if (world->ops[i].used && world->ops[i].node == node->index)
			world->ops[i].used = false;
	}
	if (whole) {
		node->running = false;
		node->boot = world_serial(world);
		host_reset(world, node);
		net_node_gone(world, node->index);
	}
	if (for_us != NEVER_US)
		world_push(world, world->now_us + for_us, WORLD_START, node->index, whole,
			   node->daemon_boot);
	faults_excuse(world, node, for_us == NEVER_US ? world->now_us : world->now_us + for_us,
		      whole ? "it died" : "its daemon died");
	faults_disturb(world, for_us == NEVER_US ? world->now_us : world->now_us + for_us);
	node->healthy_since_us = NEVER_US;
}

void shell_event(struct world *world, const struct world_event *event)
{
	struct node *node = &world->nodes[event->node];

	if (event->kind == WORLD_START) {
		if (event->serial != node->daemon_boot || node->daemon_running)
			return;
		/* A LUN that is free is anybody's, also that of a node which takes it for something
		 * else: then nobody can tell who is right. */
		if (node->index == world->misfit && world->luns[0].holder_node == NONE8) {
			world_push_again(world, world->now_us + SECOND, event);
			faults_disturb(world, world->now_us + SECOND);
			return;
		}
		if (event->index || !node->running)
			node_boot(world, node);
		else if (!host_defers(world, event))
			shell_start(world, node);
		return;
	}
	if (shell_defers(world, event)) {
		if (event->kind == WORLD_MAIL && (!node->running || !node->daemon_running))
			world->mails[event->index].used = false;
		return;
	}
	if (event->kind == WORLD_TICK)
		shell_tick(world, event);
	else if (event->kind == WORLD_MAIL)
		shell_mail_event(world, event);
	else
		shell_op_event(world, event);
}
