/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the watchdog is armed and when it may be fed. Pure. The watchdog guards against what no
 * protocol can end: a node that lost its LUN, or its storage, and cannot stop what runs on it. It
 * is armed only while this node owns something or has not come to rest, so that a daemon that dies
 * on an idle node resets nothing; and it is fed unless a stop that must come to its end has made no
 * progress for a group's limit. A slow stop that goes on is progress.
 */
#ifndef CLUSTER_CORE_WATCHDOG_POLICY_H
#define CLUSTER_CORE_WATCHDOG_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/core/arbiter.h"

/* One group now. */
struct watchdog_group {
	bool known; /* its arbiter has begun: before that, what runs is not known */
	bool maintenance;
	enum arbiter_state state;
	enum arbiter_service service;
	enum arbiter_gate gate;
	bool quiet;
	unsigned resources; /* of its service that are not stopped */
	uint32_t limit_ms;  /* how long a stop may go on without progress */
};

/* What is remembered of a group; zeroed at first. */
struct watchdog_watch {
	bool stopping;
	unsigned least;    /* what was left of it when it last got less */
	uint64_t since_ms; /* when that was */
};

enum watchdog_verdict {
	WATCHDOG_VERDICT_REST,     /* owns nothing, everything is stopped, its gate is quiet */
	WATCHDOG_VERDICT_UNKNOWN,  /* not begun yet */
	WATCHDOG_VERDICT_OWNS,     /* or is about to, or hands over: the LUN is still its own */
	WATCHDOG_VERDICT_STOPPING, /* lost it or its storage, and is coming to rest */
	WATCHDOG_VERDICT_OVERDUE,  /* the same, without progress beyond its limit */
};

/* due_ms: with STOPPING and OVERDUE, when the limit ends or ended. */
enum watchdog_verdict watchdog_judge(struct watchdog_watch *watch,
				     const struct watchdog_group *group, uint64_t now_ms,
				     uint64_t *due_ms);

/* The limit of a group whose slowest stop may take that long. A group that is cut off waits for its
 * storage first. */
uint32_t watchdog_limit_ms(uint32_t stop_limit_ms, uint32_t slowest_stop_ms,
			   enum arbiter_state state, uint32_t loss_ms);

/* How often it is fed: four times within its timeout. */
uint32_t watchdog_feed_interval_ms(uint32_t timeout_ms);

#endif
