/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The readable account of one schedule: time in milliseconds, who, what.
 */
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>

const char *trace_node_name(const struct node *node)
{
	static const char *const names[WORLD_NODES_MAX] = {"jerry", "tom", "spike", "tyke",
							   "butch"};

	return names[node->index];
}

/* "jerry claim 3" for a key of this protocol, else hex. */
const char *trace_key(uint64_t value, char *buffer, size_t size)
{
	struct key key;

	if (value == 0)
		snprintf(buffer, size, "nobody");
	else if (!key_decode(&key, value))
		snprintf(buffer, size, "%016llx", (unsigned long long)value);
	else
		snprintf(buffer, size, "%u.%s.%04x", key.node, key_kind_name(key.kind),
			 key.incarnation);
	return buffer;
}

static void trace_begin(const struct world *world, const struct node *node)
{
	printf("%10.1f %-6s ", (double)world->now_us / 1e3, node ? trace_node_name(node) : "-");
}

void trace_line(struct world *world, const struct node *node, const char *format, ...)
{
	va_list list;

	if (!world->trace)
		return;
	trace_begin(world, node);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
}

static void trace_look(struct world *world, const struct node *node,
		       const struct arbiter_event *event)
{
	const struct arbiter_look *look = event->looked.look;
	char text[32];

	trace_begin(world, node);
	if (!look->ok) {
		printf("look %u of lun %u: no answer\n", event->looked.id, event->looked.lun);
		return;
	}
	printf("look %u of lun %u: holder %s, generation %u, keys", event->looked.id,
	       event->looked.lun,
	       look->held ? trace_key(look->holder, text, sizeof(text)) : "nobody",
	       look->generation);
	for (unsigned i = 0; i < look->key_count; i++)
		printf(" %s", trace_key(look->keys[i], text, sizeof(text)));
	putchar('\n');
}

void trace_event(struct world *world, const struct node *node, const struct arbiter_event *event)
{
	static const char *const commands[] = {"claim",       "take",     "yield",
					       "maintenance", "shutdown", "release"};

	if (!world->trace)
		return;
	switch (event->kind) {
	case ARBITER_EVENT_START:
		trace_line(world, node, "starts: %zu claims, gate %s%s, service %s",
			   event->start.claim_count, arbiter_gate_name(event->start.gate),
			   event->start.quiet ? ", quiet" : "",
			   arbiter_service_name(event->start.service));
		break;
	case ARBITER_EVENT_TICK:
		break;
	case ARBITER_EVENT_LOOKED:
		trace_look(world, node, event);
		break;
	case ARBITER_EVENT_ORDERED:
		trace_line(world, node, "order %u to lun %u: %s%s%s", event->ordered.id,
			   event->ordered.lun, scsi_outcome_name(event->ordered.outcome),
			   event->ordered.illegal_request ? ", illegal request" : "",
			   event->ordered.path_unusable ? ", path unusable" : "");
		break;
	case ARBITER_EVENT_RECORDED:
		trace_line(world, node, "record %u: %s", event->recorded.id,
			   event->recorded.ok ? "durable" : "failed");
		break;
	case ARBITER_EVENT_GATE:
		trace_line(world, node, "told: gate %s%s", arbiter_gate_name(event->gate.state),
			   event->gate.quiet ? ", quiet" : "");
		break;
	case ARBITER_EVENT_SERVICE:
		trace_line(world, node, "told: service %s%s",
			   arbiter_service_name(event->service.state),
			   event->service.failed ? ", failed" : "");
		break;
	case ARBITER_EVENT_NEXUS:
		trace_line(world, node, "told: lun %u nexus %u %s%s%s", event->nexus.lun,
			   event->nexus.nexus, event->nexus.up ? "up" : "down",
			   event->nexus.fresh ? ", fresh" : "",
			   event->nexus.ended ? ", what was given up has ended" : "");
		break;
	case ARBITER_EVENT_IDENTITY:
		trace_line(world, node, "told: lun %u is %s", event->identity.lun,
			   event->identity.other ? "another logical unit" : "the right one again");
		break;
	case ARBITER_EVENT_FITNESS:
		trace_line(world, node, "told: %s", event->fitness.fit ? "fit" : "unfit");
		break;
	case ARBITER_EVENT_SUSPECT:
		trace_line(world, node, "told: the owner is doubted");
		break;
	case ARBITER_EVENT_OTHER_OWNS:
		trace_line(world, node, "told: another node owns");
		break;
	case ARBITER_EVENT_COMMAND:
		trace_line(world, node, "command: %s %u%s", commands[event->command.command],
			   event->command.node, event->command.on ? " on" : "");
		break;
	}
}

void trace_effect(struct world *world, const struct node *node, const struct arbiter_effect *effect)
{
	char one[32], two[32];

	if (!world->trace)
		return;
	switch (effect->kind) {
	case ARBITER_EFFECT_LOOK:
		trace_line(world, node, "  look %u at lun %u, attempt %u, at most %u ms",
			   effect->id, effect->lun, effect->look.attempt, effect->look.give_up_ms);
		break;
	case ARBITER_EFFECT_ORDER:
		trace_line(world, node,
			   "  order %u to lun %u by nexus %u: %s, key %s, service key %s",
			   effect->id, effect->lun, effect->order.nexus,
			   pr_out_action_name(effect->order.action),
			   trace_key(effect->order.key, one, sizeof(one)),
			   trace_key(effect->order.service_key, two, sizeof(two)));
		break;
	case ARBITER_EFFECT_RESET:
		trace_line(world, node, "  order %u to lun %u by nexus %u: LOGICAL UNIT RESET",
			   effect->id, effect->lun, effect->order.nexus);
		break;
	case ARBITER_EFFECT_RECORD:
		trace_line(world, node, "  record %u: %s", effect->id,
			   trace_key(effect->record.key, one, sizeof(one)));
		break;
	case ARBITER_EFFECT_STRIKE:
		trace_line(world, node, "  strike %s",
			   effect->record.key ? trace_key(effect->record.key, one, sizeof(one))
					      : "all");
		break;
	case ARBITER_EFFECT_GATE:
		trace_line(world, node, "  gate: %s%s", arbiter_gate_name(effect->gate.gate),
			   effect->gate.drop_caches ? ", caches dropped" : "");
		break;
	case ARBITER_EFFECT_SERVICE:
		trace_line(world, node, "  service: %s%s", effect->service.start ? "start" : "stop",
			   effect->service.deposed ? ", deposed" : "");
		break;
	case ARBITER_EFFECT_ANSWER:
		trace_line(world, node, "  answer: %s", arbiter_answer_text(effect->answer));
		break;
	case ARBITER_EFFECT_STATE:
		trace_line(world, node, "  state: %s -> %s (%s)",
			   arbiter_state_name(effect->state.old_state),
			   arbiter_state_name(effect->state.new_state),
			   effect->state.rule < ARBITER_RULE_COUNT
				   ? arbiter_rule_name(effect->state.rule)
				   : "ordered");
		break;
	case ARBITER_EFFECT_RULE:
		trace_line(world, node, "  rule: %s (%s)", arbiter_rule_name(effect->rule.rule),
			   trace_key(effect->rule.key, one, sizeof(one)));
		break;
	case ARBITER_EFFECT_ALARM:
		trace_line(world, node, "  alarm: %s (%s)", arbiter_alarm_name(effect->alarm.alarm),
			   trace_key(effect->alarm.key, one, sizeof(one)));
		break;
	}
}

void trace_command(struct world *world, const struct command *command, const char *what)
{
	const struct node *node = &world->nodes[command->node];
	struct pr_out out;

	if (!world->trace)
		return;
	if (command->kind == COMMAND_OUT &&
	    pr_out_decode(&out, command->cdb, command->cdb_length, command->data,
			  command->data_length) == 0) {
		bool executed = what[0] == 'e';

		trace_line(world, node, "    %s on lun %u: %s%s%s", pr_out_action_name(out.action),
			   command->lun, what, executed ? ", status " : "",
			   !executed                                    ? ""
			   : command->answer.status == SCSI_STATUS_GOOD ? "good"
			   : command->answer.status == SCSI_STATUS_CHECK_CONDITION
				   ? "check condition"
				   : "conflict");
		if (executed)
			trace_lun(world, command->lun);
		return;
	}
	trace_line(world, node, "    %s on lun %u: %s",
		   command->kind == COMMAND_WRITE   ? "write"
		   : command->kind == COMMAND_RESET ? "reset"
						    : "read",
		   command->lun, what);
}

void trace_lun(struct world *world, unsigned index)
{
	const struct lun *lun = &world->luns[index].lun;
	char text[32];

	if (!world->trace)
		return;
	trace_begin(world, NULL);
	printf("      lun %u: holder %s;", index,
	       trace_key(lun_holder_key(lun), text, sizeof(text)));
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (lun->nexuses[i].registered)
			printf(" [%u/%llx%s %s]", lun->nexuses[i].identity.initiator,
			       (unsigned long long)(lun->nexuses[i].identity.isid & 0xffffffff),
			       lun->nexuses[i].session ? "" : " gone",
			       trace_key(lun->nexuses[i].key, text, sizeof(text)));
	}
	putchar('\n');
}
