/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the watchdog may be fed, see cluster/core/watchdog_policy.h. Pure.
 */
#include "cluster/core/watchdog_policy.h"

static bool state_owns(enum arbiter_state state)
{
	switch (state) {
	case ARBITER_STATE_SEIZING: /* a PREEMPT that is on its way may make it the owner */
	case ARBITER_STATE_TAKING:
	case ARBITER_STATE_OWNER:
	case ARBITER_STATE_REASSERTING:
	case ARBITER_STATE_YIELDING:
	case ARBITER_STATE_OFFERING:
		return true;
	case ARBITER_STATE_STANDBY:
	case ARBITER_STATE_CHALLENGING:
	case ARBITER_STATE_REQUESTING:
	case ARBITER_STATE_CUT_OFF:
	case ARBITER_STATE_DEPOSED:
	case ARBITER_STATE_RELEASED:
		break;
	}
	return false;
}

enum watchdog_verdict watchdog_judge(struct watchdog_watch *watch,
				     const struct watchdog_group *group, uint64_t now_ms,
				     uint64_t *due_ms)
{
	unsigned left = group->resources + (group->service != ARBITER_SERVICE_STOPPED) +
			(group->gate != ARBITER_GATE_FAILED) + !group->quiet;

	*due_ms = UINT64_MAX;
	if (!group->known)
		return WATCHDOG_VERDICT_UNKNOWN;
	/* In maintenance nothing is stopped for a storage that is away: somebody works on it. */
	if (state_owns(group->state) ||
	    (group->maintenance && group->state == ARBITER_STATE_CUT_OFF)) {
		watch->stopping = false;
		return WATCHDOG_VERDICT_OWNS;
	}
	if (!left) {
		watch->stopping = false;
		return WATCHDOG_VERDICT_REST;
	}
	if (!watch->stopping || left < watch->least) {
		watch->stopping = true;
		watch->least = left;
		watch->since_ms = now_ms;
	}
	*due_ms = watch->since_ms + group->limit_ms;
	return now_ms >= *due_ms ? WATCHDOG_VERDICT_OVERDUE : WATCHDOG_VERDICT_STOPPING;
}

uint32_t watchdog_limit_ms(uint32_t stop_limit_ms, uint32_t slowest_stop_ms,
			   enum arbiter_state state, uint32_t loss_ms)
{
	uint64_t limit = (uint64_t)stop_limit_ms + slowest_stop_ms;

	/* Its gate is held for L/2, and so is what waits there (owner-cut-off). */
	if (state == ARBITER_STATE_CUT_OFF)
		limit += loss_ms / 2;
	return limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

uint32_t watchdog_feed_interval_ms(uint32_t timeout_ms)
{
	return timeout_ms >= 4 ? timeout_ms / 4 : 1;
}
