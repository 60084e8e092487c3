/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether an owner gets on, see cluster/core/owner_progress.h. Pure.
 */
#include "cluster/core/owner_progress.h"

#define GAP_MOST_MS 2000u /* between two judgements; a longer one was a stall of this daemon */

static enum owner_progress_cause owner_waits_for(const struct owner_progress_group *group)
{
	if (group->service == ARBITER_SERVICE_STOPPING)
		return OWNER_PROGRESS_STOPS;
	if (group->gate != ARBITER_GATE_OPEN)
		return group->service == ARBITER_SERVICE_STOPPED ? OWNER_PROGRESS_GATE_OPENS
		       : group->gate == ARBITER_GATE_HELD        ? OWNER_PROGRESS_GATE_OPENS
								 : OWNER_PROGRESS_STOPS;
	return group->service == ARBITER_SERVICE_RUNNING ? OWNER_PROGRESS_NOTHING
							 : OWNER_PROGRESS_STARTS;
}

static enum owner_progress_cause waits_for(const struct owner_progress_group *group)
{
	switch (group->state) {
	case ARBITER_STATE_TAKING:
	case ARBITER_STATE_REASSERTING:
		return OWNER_PROGRESS_MEMBERS;
	case ARBITER_STATE_OWNER:
		return owner_waits_for(group);
	case ARBITER_STATE_YIELDING:
		if (group->service != ARBITER_SERVICE_STOPPED)
			return OWNER_PROGRESS_STOPS;
		return group->gate == ARBITER_GATE_FAILED && group->quiet
			       ? OWNER_PROGRESS_OFFERS
			       : OWNER_PROGRESS_GATE_FAILS;
	case ARBITER_STATE_OFFERING:
		return OWNER_PROGRESS_NOBODY_TAKES;
	case ARBITER_STATE_CUT_OFF: /* has an alarm and an end of its own, and defends nothing */
	case ARBITER_STATE_STANDBY:
	case ARBITER_STATE_CHALLENGING:
	case ARBITER_STATE_SEIZING:
	case ARBITER_STATE_REQUESTING:
	case ARBITER_STATE_DEPOSED: /* the watchdog's (cluster/core/watchdog_policy.h) */
	case ARBITER_STATE_RELEASED:
		break;
	}
	return OWNER_PROGRESS_NOTHING;
}

/* A service that moves has time-outs of its own, and each resource that it starts or stops is
 * progress; a group that gains LUNs likewise. */
static bool goes_on(struct owner_progress_watch *watch, const struct owner_progress_group *group,
		    enum owner_progress_cause cause, uint64_t now_ms)
{
	bool moves = group->service == ARBITER_SERVICE_STARTING ||
		     group->service == ARBITER_SERVICE_STOPPING;
	bool gained = cause == OWNER_PROGRESS_MEMBERS && group->members > watch->members;

	if (group->service != watch->service || group->resources != watch->resources)
		watch->agent_since_ms = now_ms;
	watch->service = group->service;
	watch->resources = group->resources;
	watch->members = group->members;
	return gained || (moves && now_ms - watch->agent_since_ms <= group->agent_ms);
}

static void pass_time(struct owner_progress_watch *watch, const struct owner_progress_group *group,
		      enum owner_progress_cause cause, uint64_t now_ms)
{
	uint64_t gap = watch->seen_ms ? now_ms - watch->seen_ms : 0;

	watch->seen_ms = now_ms;
	if (goes_on(watch, group, cause, now_ms) || !group->storage)
		return;
	watch->waited_ms += gap > GAP_MOST_MS ? GAP_MOST_MS : (uint32_t)gap;
}

enum owner_progress_verdict owner_progress_judge(struct owner_progress_watch *watch,
						 const struct owner_progress_group *group,
						 uint64_t now_ms, enum owner_progress_cause *cause)
{
	*cause = waits_for(group);
	if (*cause == OWNER_PROGRESS_NOTHING || group->maintenance) {
		*watch = (struct owner_progress_watch){.seen_ms = now_ms,
						       .members = group->members,
						       .resources = group->resources,
						       .service = group->service,
						       .agent_since_ms = now_ms};
		*cause = OWNER_PROGRESS_NOTHING;
		return OWNER_PROGRESS_REST;
	}
	pass_time(watch, group, *cause, now_ms);
	watch->alarm = watch->alarm || watch->waited_ms >= group->alarm_ms;
	if (watch->waited_ms >= group->give_up_ms && *cause != OWNER_PROGRESS_NOBODY_TAKES) {
		if (!watch->gave_up) {
			watch->gave_up = true;
			watch->waited_ms = 0;
			return OWNER_PROGRESS_GIVE_UP;
		}
		if (!watch->let_go) {
			watch->let_go = true;
			return OWNER_PROGRESS_LET_GO;
		}
	}
	return watch->alarm ? OWNER_PROGRESS_ALARM : OWNER_PROGRESS_WAITS;
}

const char *owner_progress_text(enum owner_progress_cause cause)
{
	switch (cause) {
	case OWNER_PROGRESS_NOTHING:
		break;
	case OWNER_PROGRESS_MEMBERS:
		return "its LUNs do not become its own";
	case OWNER_PROGRESS_GATE_OPENS:
		return "its gate does not open";
	case OWNER_PROGRESS_GATE_FAILS:
		return "its gate does not close, or something is in flight below it";
	case OWNER_PROGRESS_STARTS:
		return "its service does not start";
	case OWNER_PROGRESS_STOPS:
		return "its service does not stop";
	case OWNER_PROGRESS_OFFERS:
		return "it cannot offer the LUN";
	case OWNER_PROGRESS_NOBODY_TAKES:
		return "it offers the LUN, and nobody takes it";
	}
	return "";
}
