/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The timeline of one failover, from the survivor's history and the writer's log.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/rig/story.h"

const char *rig_moment_name(enum rig_moment moment)
{
	switch (moment) {
	case RIG_MOMENT_LAST_WRITE:
		return "last_write";
	case RIG_MOMENT_FAULT:
		return "fault";
	case RIG_MOMENT_SUSPICION:
		return "suspicion";
	case RIG_MOMENT_CHALLENGE:
		return "challenge";
	case RIG_MOMENT_PREEMPT:
		return "preempt";
	case RIG_MOMENT_OWNER:
		return "owner";
	case RIG_MOMENT_MOUNTED:
		return "mounted";
	case RIG_MOMENT_FIRST_WRITE:
		return "first_write";
	case RIG_MOMENT_COUNT:
		break;
	}
	return "?";
}

static const char *event_text(const json_t *event, const char *name)
{
	const char *text = json_string_value(json_object_get(event, name));

	return text ? text : "";
}

/* Which moment an event of the history is; RIG_MOMENT_COUNT: none. The text of a state's change
 * begins with "OLD -> NEW: ". */
static enum rig_moment timeline_moment(const json_t *event)
{
	static const struct {
		const char *state;
		enum rig_moment moment;
	} states[] = {{"challenging", RIG_MOMENT_SUSPICION},
		      {"seizing", RIG_MOMENT_PREEMPT},
		      {"taking", RIG_MOMENT_OWNER}};
	const char *kind = event_text(event, "kind"), *text = event_text(event, "text");
	char state[32] = "";

	if (!strcmp(kind, "state") && sscanf(text, "%*s -> %31[a-z-]", state) == 1)
		for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
			if (!strcmp(state, states[i].state))
				return states[i].moment;
	if (!strcmp(kind, "order") && !strncmp(text, "REGISTER as a challenger", 24))
		return RIG_MOMENT_CHALLENGE;
	if (!strcmp(kind, "resource") && strstr(text, "store") && strstr(text, "running"))
		return RIG_MOMENT_MOUNTED;
	return RIG_MOMENT_COUNT;
}

/* "OLD -> NEW: why; holder: who" is cut down to "why". */
static void timeline_why(const char *text, char *buffer, size_t size)
{
	const char *why = strstr(text, ": ");

	why = why ? why + 2 : text;
	snprintf(buffer, size, "%.*s", (int)strcspn(why, ";"), why);
}

/* A challenge that was turned away is not the one that won: every later one takes its place, until
 * the LUN is owned. */
void rig_timeline_read(struct rig *rig, struct rig_node *survivor, const char *group,
		       int64_t since_id, struct rig_timeline *timeline)
{
	json_t *events = rig_events(rig, survivor, since_id), *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		enum rig_moment moment = timeline_moment(event);
		bool before = moment == RIG_MOMENT_SUSPICION || moment == RIG_MOMENT_CHALLENGE ||
			      moment == RIG_MOMENT_PREEMPT;

		if (moment == RIG_MOMENT_COUNT || strcmp(event_text(event, "group"), group) ||
		    (before && timeline->at_ms[RIG_MOMENT_OWNER]) ||
		    (!before && timeline->at_ms[moment]))
			continue;
		timeline->at_ms[moment] =
			(uint64_t)json_integer_value(json_object_get(event, "mono_ms"));
		timeline_why(event_text(event, "text"), timeline->text[moment],
			     sizeof(timeline->text[moment]));
	}
	json_decref(events);
}

json_t *rig_timeline_json(const struct rig_timeline *timeline)
{
	json_t *moments = json_array();
	uint64_t zero = timeline->at_ms[RIG_MOMENT_FAULT];

	for (int i = 0; i < RIG_MOMENT_COUNT; i++)
		if (timeline->at_ms[i])
			json_array_append_new(
				moments,
				json_pack("{sssIsIss}", "moment",
					  rig_moment_name((enum rig_moment)i), "ms",
					  (json_int_t)timeline->at_ms[i] - (json_int_t)zero,
					  "mono_ms", (json_int_t)timeline->at_ms[i], "text",
					  timeline->text[i]));
	return json_pack("{sssssIso}", "from", timeline->from, "to", timeline->to, "outage_ms",
			 (json_int_t)timeline->at_ms[RIG_MOMENT_FIRST_WRITE] -
				 (json_int_t)timeline->at_ms[RIG_MOMENT_LAST_WRITE],
			 "moments", moments);
}

int rig_failover(struct rig *rig, const char *group, const char *fault, struct rig_node *owner,
		 unsigned timeout_ms, struct rig_timeline *timeline)
{
	char *argv[] = {(char *)fault, owner->machine.name, NULL}, told[160];
	struct rig_acknowledged last, first;
	int64_t since[RIG_NODES_MAX];
	struct rig_node *survivor;
	int error;

	memset(timeline, 0, sizeof(*timeline));
	for (size_t i = 0; i < rig->node_count; i++)
		since[i] = &rig->nodes[i] != owner && rig_machine_runs(&rig->nodes[i].machine)
				   ? rig_last_event(rig, &rig->nodes[i])
				   : 0;
	/* Before the fault: some take so long that the successor writes when they are done. */
	rig_last_acknowledged(rig, &last);
	error = rig_fault(rig, 2, argv, told, sizeof(told));
	if (error)
		return error;
	timeline->at_ms[RIG_MOMENT_FAULT] = rig->fault_ms;
	snprintf(timeline->text[RIG_MOMENT_FAULT], sizeof(timeline->text[0]), "%s", told);
	error = rig_wait_acknowledged(rig, last.record.epoch, timeout_ms, &last, &first);
	if (error)
		return error;
	timeline->at_ms[RIG_MOMENT_LAST_WRITE] = last.mono_ms;
	timeline->at_ms[RIG_MOMENT_FIRST_WRITE] = first.mono_ms;
	snprintf(timeline->from, sizeof(timeline->from), "%s", last.record.node);
	snprintf(timeline->to, sizeof(timeline->to), "%s", first.record.node);
	survivor = rig_find_node(rig, timeline->to);
	if (!survivor)
		return rig_fail(rig, EIO, "a writer on '%s', which is no node of the rig",
				timeline->to);
	rig_timeline_read(rig, survivor, group, since[survivor - rig->nodes], timeline);
	return 0;
}
