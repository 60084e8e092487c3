/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the demo, the campaign and the benchmarks share: waiting for a cluster of a rig to get
 * somewhere, and the timeline of a failover, put together from what the daemons and the writer
 * wrote down. All times are CLOCK_BOOTTIME of this machine in ms; those of virtual machines are
 * translated.
 */
#ifndef TOOLS_RIG_STORY_H
#define TOOLS_RIG_STORY_H

#include "tools/rig/rig.h"
#include "tools/rig/record.h"

/* A group as one node sees it. */
struct rig_group_view {
	bool known; /* the daemon answered and has the group */
	char state[24], service[24], gate[24];
	char holder[RIG_NAME_MAX]; /* node; "": nobody, or foreign */
	int64_t look_age_ms;
};
void rig_group_look(struct rig *rig, struct rig_node *node, const char *group,
		    struct rig_group_view *view);
/* NULL: nobody says that he owns it (or two do). */
struct rig_node *rig_group_owner(struct rig *rig, const char *group);
/* Until the node owns the group and its service runs. node NULL: any. -ETIMEDOUT with what it
 * waited for and how it looked at the end. */
int rig_wait_running(struct rig *rig, struct rig_node **node, const char *group,
		     unsigned timeout_ms);
int rig_wait_state(struct rig *rig, struct rig_node *node, const char *group, const char *state,
		   unsigned timeout_ms);

/* The writer's log. */
struct rig_acknowledged {
	bool any;
	struct rig_record record;
	uint64_t mono_ms;
};
void rig_last_acknowledged(const struct rig *rig, struct rig_acknowledged *last);
/* Waits for one of a later epoch than `after`; the first such, and the last one before it. */
int rig_wait_acknowledged(struct rig *rig, uint32_t after, unsigned timeout_ms,
			  struct rig_acknowledged *last, struct rig_acknowledged *first);

/* What is needed to find out why something went wrong: each node's latest events and the end of its
 * log. */
void rig_dump(struct rig *rig, FILE *out);

/* Events of a node's history with an id above since_id; a new array, or NULL. */
json_t *rig_events(struct rig *rig, struct rig_node *node, int64_t since_id);
int64_t rig_last_event(struct rig *rig, struct rig_node *node);

enum rig_moment {
	RIG_MOMENT_LAST_WRITE, /* acknowledged on the old node */
	RIG_MOMENT_FAULT,
	RIG_MOMENT_SUSPICION, /* the challenger decides to challenge */
	RIG_MOMENT_CHALLENGE, /* it is registered, the window runs */
	RIG_MOMENT_PREEMPT,
	RIG_MOMENT_OWNER,   /* a later look shows it as the holder */
	RIG_MOMENT_MOUNTED, /* the file system's agent has ended well */
	RIG_MOMENT_FIRST_WRITE,
	RIG_MOMENT_COUNT
};

struct rig_timeline {
	char from[RIG_NAME_MAX], to[RIG_NAME_MAX];
	uint64_t at_ms[RIG_MOMENT_COUNT]; /* 0: not known */
	char text[RIG_MOMENT_COUNT][160];
};

/* Fills in what the survivor's history tells; LAST_WRITE, FAULT and FIRST_WRITE are the
 * caller's. */
void rig_timeline_read(struct rig *rig, struct rig_node *survivor, const char *group,
		       int64_t since_id, struct rig_timeline *timeline);
json_t *rig_timeline_json(const struct rig_timeline *timeline);
const char *rig_moment_name(enum rig_moment moment);

/* One failover: the fault is done to the owner (argv as of rig_fault()), and the first write of the
 * successor waited for. */
int rig_failover(struct rig *rig, const char *group, const char *fault, struct rig_node *owner,
		 unsigned timeout_ms, struct rig_timeline *timeline);

#endif
