/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the watchdog is to make of a group: whether this node owns something, stops it, or ought to
 * have stopped it by now. What decides is in cluster/core/watchdog_policy.h.
 */
#include <stdio.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/group/private.h"

static uint32_t slowest_stop(const struct config_group *config)
{
	uint32_t slowest = 0;

	for (size_t r = 0; r < config->resource_count; r++)
		if (config->resources[r].stop_timeout_ms > slowest)
			slowest = config->resources[r].stop_timeout_ms;
	return slowest;
}

/* What is still there, for people. */
static void describe(const struct group *group, const struct watchdog_group *now,
		     const char *resources, uint64_t since_ms, char *text, size_t size)
{
	snprintf(text, size,
		 "%s: %s, and for %llu s its stop has made no progress (%s%s%sgate %s%s)",
		 group->config->name,
		 now->state == ARBITER_STATE_CUT_OFF ? "the storage does not answer"
						     : "it lost its LUN",
		 (unsigned long long)((clock_now_ms() - since_ms) / 1000),
		 *resources ? "not stopped: " : "", resources, *resources ? "; " : "",
		 arbiter_gate_name(now->gate), now->quiet ? "" : ", not quiet");
}

enum watchdog_verdict group_watch(struct group *group, uint32_t stop_limit_ms, uint64_t now_ms,
				  uint64_t *due_ms, char *why, size_t why_size)
{
	struct watchdog_group now = {.known = group->started};
	struct arbiter_view view;
	char resources[200] = "";
	enum watchdog_verdict verdict;

	if (group->started) {
		arbiter_get_view(group->arbiter, &view);
		now.state = view.state;
		now.service = view.service;
		now.gate = view.gate;
		now.quiet = view.quiet;
		now.maintenance = view.maintenance;
		now.resources = group->service ? service_host_left(group->service, resources,
								   sizeof(resources))
					       : 0;
		now.limit_ms = watchdog_limit_ms(stop_limit_ms, slowest_stop(group->config),
						 view.state, group->config->times.loss_ms);
	}
	verdict = watchdog_judge(&group->watch, &now, now_ms, due_ms);
	if (verdict == WATCHDOG_VERDICT_OVERDUE)
		describe(group, &now, resources, group->watch.since_ms, why, why_size);
	if (verdict == WATCHDOG_VERDICT_STOPPING && !group->watch_told &&
	    now_ms - group->watch.since_ms > now.limit_ms / 2) {
		group->watch_told = true;
		describe(group, &now, resources, group->watch.since_ms, why, why_size);
		group_note(
			group, NULL, "watchdog",
			"%s; after %llu more seconds the watchdog is not fed any more, and resets "
			"this node",
			why, (unsigned long long)((*due_ms - now_ms) / 1000));
		log_warning("%s; in %llu s the watchdog is not fed any more", why,
			    (unsigned long long)((*due_ms - now_ms) / 1000));
	}
	if (verdict != WATCHDOG_VERDICT_STOPPING && verdict != WATCHDOG_VERDICT_OVERDUE)
		group->watch_told = false;
	return verdict;
}
