/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether an owner gets on. Whoever holds a LUN keeps everybody else from it, so it either serves or
 * is on its way: to serving, or to handing over. Pure. The arbiter, the gate, the devices and the
 * service each have deadlines of their own; this one is behind all of them, for what they do not
 * know of each other: no state is "owner" for ever without progress.
 *
 *     serves ----> waits ------> alarm ----------> give up ------------> let go
 *        ^           |  alarm_ms       give_up_ms   (unfit: offers)  give_up_ms (stops defending)
 *        +-----------+ ...
 *
 * Time counts only while this node waits for itself: not while its storage does not answer (that has
 * an alarm and an end of its own), not in maintenance, and not while an agent is within its time.
 */
#ifndef CLUSTER_CORE_OWNER_PROGRESS_H
#define CLUSTER_CORE_OWNER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/core/arbiter.h"

/* One group now. */
struct owner_progress_group {
	enum arbiter_state state;
	enum arbiter_gate gate;
	bool quiet;
	enum arbiter_service service;
	bool maintenance;
	bool storage;       /* a look at the leader was answered lately */
	uint16_t members;   /* LUNs of the group that are its own already */
	unsigned resources; /* of its service that are not stopped */
	uint32_t agent_ms;  /* how long one start or stop of an agent may take */
	uint32_t alarm_ms, give_up_ms;
};

/* What is remembered of it; zeroed at first. */
struct owner_progress_watch {
	uint64_t seen_ms;   /* when it was judged last; 0: not yet */
	uint32_t waited_ms; /* so far, in this stage */
	bool alarm;
	bool gave_up, let_go; /* said already, since it served last or owned nothing */
	uint16_t members;
	unsigned resources;
	enum arbiter_service service;
	uint64_t agent_since_ms; /* when the service last moved */
};

enum owner_progress_verdict {
	OWNER_PROGRESS_REST,    /* it serves, or owns nothing */
	OWNER_PROGRESS_WAITS,   /* it is on its way */
	OWNER_PROGRESS_ALARM,   /* for too long */
	OWNER_PROGRESS_GIVE_UP, /* said once: it shall be unfit, so that it hands over */
	OWNER_PROGRESS_LET_GO, /* said once: it does not even hand over, and shall defend no more */
};

/* What it waits for. */
enum owner_progress_cause {
	OWNER_PROGRESS_NOTHING,
	OWNER_PROGRESS_MEMBERS,     /* to hold every LUN of the group, under a confirmed key */
	OWNER_PROGRESS_GATE_OPENS,  /* that its gate opens, on devices that are there */
	OWNER_PROGRESS_GATE_FAILS,  /* that its gate is failed and nothing is in flight below it */
	OWNER_PROGRESS_STARTS,      /* that its service starts */
	OWNER_PROGRESS_STOPS,       /* that its service stops */
	OWNER_PROGRESS_OFFERS,      /* that the offer is registered at the LUN */
	OWNER_PROGRESS_NOBODY_TAKES /* that somebody takes what it offers; never given up */
};

enum owner_progress_verdict owner_progress_judge(struct owner_progress_watch *watch,
						 const struct owner_progress_group *group,
						 uint64_t now_ms, enum owner_progress_cause *cause);

const char *owner_progress_text(enum owner_progress_cause cause); /* "its gate does not open" */

#endif
