/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether the group gets on while it is this node's (cluster/core/owner_progress.h): judged behind
 * every step, told as an alarm, and given up when it does not.
 */
#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/group/private.h"

#define ALARM_LEAST_MS 10000u
#define GIVE_UP_LEAST_MS 20000u
#define FIT_AGAIN_MS 60000u
#define AGENT_MORE_MS 5000u /* a stop that failed is tried again after so long */

static uint32_t longest_agent_ms(const struct config_group *config)
{
	uint32_t longest = 0;

	for (size_t r = 0; r < config->resource_count; r++) {
		const struct config_resource *resource = &config->resources[r];

		if (resource->start_timeout_ms > longest)
			longest = resource->start_timeout_ms;
		if (resource->stop_timeout_ms > longest)
			longest = resource->stop_timeout_ms;
	}
	return longest + AGENT_MORE_MS;
}

static uint32_t at_least(uint32_t ms, uint32_t least_ms)
{
	return ms > least_ms ? ms : least_ms;
}

static struct owner_progress_group progress_now(const struct group *group, uint64_t now_ms)
{
	const struct config_times *times = &group->config->times;
	struct arbiter_view view;
	char names[8];

	arbiter_get_view(group->arbiter, &view);
	return (struct owner_progress_group){
		.state = view.state,
		.gate = view.gate,
		.quiet = view.quiet,
		.service = view.service,
		.maintenance = view.maintenance,
		.storage = view.last_look_ms &&
			   now_ms - view.last_look_ms <= 2 * times->defend_ms + times->window_ms,
		.members = view.members_owned,
		.resources = group->service
				     ? service_host_left(group->service, names, sizeof(names))
				     : 0,
		.agent_ms = longest_agent_ms(group->config),
		.alarm_ms = at_least(2 * times->window_ms, ALARM_LEAST_MS),
		.give_up_ms = at_least(times->loss_ms, GIVE_UP_LEAST_MS),
	};
}

static void tell(struct group *group, enum owner_progress_cause cause, const char *consequence)
{
	log_error("%s: it owns the LUN and does not serve: %s%s", group->config->name,
		  owner_progress_text(cause), consequence);
	group_note(group, NULL, "alarm", "it owns the LUN and does not serve: %s%s",
		   owner_progress_text(cause), consequence);
}

static void give_up(struct group *group, enum owner_progress_cause cause)
{
	char reason[GROUP_REASON];

	tell(group, cause, ": this node is unfit, and hands it over");
	snprintf(reason, sizeof(reason), "it owned the LUN and did not serve: %s",
		 owner_progress_text(cause));
	group->gave_up_ms = clock_now_ms();
	group_set_unfit(group, GROUP_UNFIT_PROGRESS, reason);
}

static void let_go(struct group *group, enum owner_progress_cause cause)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_FITNESS, .fitness = {.stuck = true}};

	tell(group, cause, ": it cannot be handed over either, and is not defended any more");
	group->gave_up_ms = clock_now_ms();
	group_post(group, &event);
}

void group_progress_check(struct group *group)
{
	uint64_t now = clock_now_ms();
	struct owner_progress_group state = progress_now(group, now);
	enum owner_progress_cause cause;
	enum owner_progress_verdict verdict =
		owner_progress_judge(&group->progress, &state, now, &cause);
	bool alarm = verdict > OWNER_PROGRESS_WAITS;

	if (alarm && !group->progress_alarm) {
		group->progress_since_ms = now;
		if (verdict == OWNER_PROGRESS_ALARM)
			tell(group, cause, "");
	}
	group->progress_alarm = alarm;
	group->progress_cause = cause;
	if (verdict == OWNER_PROGRESS_GIVE_UP)
		give_up(group, cause);
	else if (verdict == OWNER_PROGRESS_LET_GO)
		let_go(group, cause);
	else if (verdict == OWNER_PROGRESS_REST && *group->unfit[GROUP_UNFIT_PROGRESS] &&
		 now - group->gave_up_ms >= FIT_AGAIN_MS)
		group_set_unfit(group, GROUP_UNFIT_PROGRESS, NULL);
}
