/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The drills' stage: an arbiter of node 1 (jerry; tom is 2) with one nexus, and two LUNs of which
 * it knows only what its looks and orders answer after a millisecond.
 */
#ifndef TESTS_SIM_STAGE_H
#define TESTS_SIM_STAGE_H

#include "cluster/core/arbiter.h"
#include "cluster/core/key.h"

#define D 500u
#define W 2000u
#define P 2000u
#define L 20000u
#define QUEUE 256
#define KEYS 128

struct stage_lun {
	uint64_t own, holder, keys[KEYS];
	size_t key_count;
	uint32_t generation;
	bool mute; /* looks stay without an answer */
	/* PREEMPT of this one ends in CONFLICT, after which `usurper` holds */
	uint64_t conflict_key;
	uint64_t usurper;
	unsigned lose_preempts; /* so many get no answer and have no effect */
	unsigned lose_registers;
	bool persistent; /* it has APTPL */
	/* oddities */
	bool deaf;     /* orders are answered with GOOD and do nothing */
	bool refuses;  /* orders end in CONFLICT */
	bool contrary; /* every second look shows neither keys nor a holder */
	bool stale; /* looks name the holder's key of when it was reserved, which is `reserved` */
	bool all;   /* held by all registrants */
	bool frees; /* a REGISTER loses the reservation, once */
	uint64_t reserved;
	uint64_t stalled_until_ms; /* nothing is answered before */
};

struct stage {
	struct arbiter *arbiter;
	struct arbiter_effects effects;
	uint64_t now_ms, due_ms;
	uint32_t cluster;
	unsigned lun_count;
	struct stage_lun luns[2];
	struct {
		uint64_t at_ms;
		struct arbiter_event event;
		struct arbiter_look look;
	} queue[QUEUE];
	size_t head, tail;
	/* what was seen */
	enum arbiter_state state;
	enum arbiter_gate gate;
	bool service_stopped, told[ARBITER_RULE_COUNT];
	unsigned looks[2];
	size_t keys_at_opening;    /* on LUN 0, when the gate was ordered to open */
	unsigned looks_at_leaving; /* how many there had been on LUN 0 when the own key was taken
				      back; 0: it was not */
	uint64_t preempted[KEYS];
	size_t preempted_count;
	uint64_t registered; /* the last key registered on LUN 0 */
	bool alarmed[ARBITER_ALARM_COUNT], checked;
	unsigned orders, orders_on[2];
	unsigned orders_in_second, most_in_second;
	uint64_t second;
	uint64_t left_key; /* the first that was taken back */
};

uint64_t stage_key(const struct stage *stage, enum key_kind kind, uint8_t node,
		   uint16_t incarnation);
bool stage_lun_lists(const struct stage_lun *lun, uint64_t key);
void stage_lun_add(struct stage_lun *lun, uint64_t key);
void stage_lun_remove(struct stage_lun *lun, uint64_t key);
void stage_step(struct stage *stage, const struct arbiter_event *event);
/* So much time passes. */
void stage_pass(struct stage *stage, uint64_t ms);
void stage_command(struct stage *stage, enum arbiter_command command);
/* claims: of this node; holding and serving already if `serving`. */
void stage_start(struct stage *stage, const uint64_t *claims, size_t count, bool serving);
/* False: no memory. */
bool stage_open(struct stage *stage, unsigned lun_count, uint8_t rank, int disabled_rule);
void stage_close(struct stage *stage);
/* Tom owns, and answers nothing: his keys just lie there. */
void stage_tom_holds(struct stage *stage);
/* Jerry comes to own. */
void stage_own(struct stage *stage);

#endif
