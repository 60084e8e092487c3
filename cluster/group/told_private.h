/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a group keeps in order to tell people of the ownership: the cause of it, who else is there,
 * and what is wrong.
 */
#ifndef CLUSTER_GROUP_TOLD_PRIVATE_H
#define CLUSTER_GROUP_TOLD_PRIVATE_H

#include <jansson.h>

#include "cluster/core/arbiter.h"
#include "cluster/core/key.h"

struct group;

struct group_alarm {
	bool on;    /* raised, and not taken back, by the arbiter */
	bool shown; /* ... and what it says is so */
	bool noted; /* its beginning is in the history */
	uint64_t key, since_ms;
	uint16_t lun;
};

/* Whose a LUN is, by the number of a node. */
#define GROUP_OWNER_NOBODY 0
#define GROUP_OWNER_UNKNOWN (-1)
#define GROUP_OWNER_FOREIGN (-2)

#define GROUP_CAUSE_MAX 200
#define GROUP_PEERS 16      /* nodes that were seen lately */
#define GROUP_KEYS_NOTED 32 /* alarms about keys that the history has */

struct group_cause {
	int owner;                  /* since then, and for this: */
	char text[GROUP_CAUSE_MAX]; /* "jerry did not answer for 2.0 s"; "": not known */
	int64_t wall_ms;
};

/* What people are told of the ownership: cause.c, peers.c, alarms.c. */
struct group_told {
	struct group_cause cause, remembered; /* by the history, before this daemon */
	struct group_recall *recall;          /* ... which is being asked; NULL: not */
	struct group_road {
		enum arbiter_rule rule;
		uint64_t victim; /* the key that held, 0 none */
		uint64_t waited_ms;
	} road;       /* to the ownership that this node is about to have */
	bool asked;   /* this node has asked the owner to hand over */
	bool offered; /* the holder's key was an offer when it was seen last */
	char why_yield[128];
	uint64_t answered_ms; /* the owner turned this node away; 0: not yet */
	uint64_t owner_ms;    /* since when this node owns, as far as this daemon knows; 0: not */
	uint64_t standby_ms;  /* since when it does not, probes being none of a change */
	uint64_t peers_look_ms;
	int silenced;         /* this node took over from that one, which did not answer ... */
	uint64_t silenced_ms; /* ... since then; 0: from none */
	struct group_peer {
		uint8_t node;     /* 0: none */
		uint64_t seen_ms; /* when a look began that showed its challenge */
	} peers[GROUP_PEERS];
	struct {
		uint64_t key;
		uint8_t alarm;
	} noted[GROUP_KEYS_NOTED];
	uint8_t noted_next;
};

/* cause.c: why the owner is who it is */
/* Whose key it is: a node's number, or GROUP_OWNER_*; with a node, *key is decoded. */
int group_owner_of(const struct group *group, uint64_t holder, struct key *key);
/* As the last look shows it; NULL: nobody of this cluster. */
const char *group_owner_name(const struct group *group);
void group_cause_state(struct group *group, const struct arbiter_effect *effect);
void group_cause_settle(struct group *group); /* after each step: has somebody else come to own? */
void group_cause_recall(struct group *group); /* asks the history, once */
void group_cause_forget(struct group *group); /* the group goes */
void group_cause_json(const struct group *group, json_t *json);

/* peers.c: who is ready, who is silent */
void group_peers_settle(struct group *group); /* after each step */
json_t *group_peers_json(const struct group *group);

/* alarms.c */
void group_alarms_settle(struct group *group); /* after each step: notes which have ended */
/* Whether the history has this alarm about this key; if not, it is taken as noted. */
bool group_alarm_is_noted(struct group *group, enum arbiter_alarm alarm, uint64_t key);
json_t *group_alarms_json(const struct group *group);

#endif
