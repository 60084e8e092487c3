/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arbiter's inside, shared by its files only: arbiter.c (events, commands, time),
 * arbiter_group.c (rules, keys, gate, service), arbiter_look.c, arbiter_order.c and arbiter_lun.c
 * (looks, orders and the way of one LUN), arbiter_owner.c and arbiter_challenger.c (the two
 * tables).
 */
#ifndef CLUSTER_CORE_ARBITER_PRIVATE_H
#define CLUSTER_CORE_ARBITER_PRIVATE_H

#include "cluster/core/arbiter.h"
#include "cluster/core/key.h"

#define LOOKS_IN_FLIGHT 8 /* answers of older ones are ignored */
#define REMEMBERED_KEYS 8 /* preempted holders, keys stood back for */
#define SEIZE_TRIES 4
#define REGISTER_TRIES 12
#define LEAVE_TRIES (6 + ARBITER_NEXUSES_MAX)
#define FAILURES_IN_A_ROW                                                                          \
	4               /* after so many PR OUTs that did not end well, a short wait before each */
#define FUTILE_TIMES 3  /* in a row without an effect: told, and backed off */
#define REFUSED_TIMES 8 /* the same for what is refused */
#define ORDERS_AT_ONCE 64 /* above the average rate: see effort_exceeds_rate() */
#define CONTRARY_STEP                                                                              \
	4 /* of a look that contradicts the one before; one that does not counts 1
			      back */
#define CONTRARY_ALARM 12
#define CONTRARY_MAX 16
#define OUT_OF_TURN 5 /* challenges beside the better-ranked node's, until that is told */
#define NEVER UINT64_MAX
#define NO_NEXUS 0xff

/* The way of one LUN, drawn downwards; each step is left only as its line says:
 *
 *   IDLE      nothing under way
 *   SURVEY    a fresh look tells whom to preempt         (members; the leader is surveyed by the
 * challenger's table) REGISTER  the own key goes onto one nexus            gate held or failed,
 * nothing in flight WINDOW    leader only: the owner may turn us away SEIZE     RESERVE or PREEMPT
 * AND ABORT               the key is written down RESET     LOGICAL UNIT RESET where there is no
 * ABORT CONFIRM   a look begun later shows the own key as the holder's, or it does not SPREAD the
 * other nexuses get the key, one after the other CLEAN     other keys of the cluster are preempted
 * until a look shows none OWNED     steady state; left for REGISTER when the reservation must be
 * renewed SHRINK    offer: all nexuses but one lose their registration (PREEMPT of the own key)
 *   REKEY     offer: that one gets the offer key
 *   OFFERED
 *   LEAVE     own registrations are being removed; ends in IDLE
 */
enum lun_phase {
	LUN_IDLE,
	LUN_SURVEY,
	LUN_REGISTER,
	LUN_WINDOW,
	LUN_SEIZE,
	LUN_RESET,
	LUN_CONFIRM,
	LUN_SPREAD,
	LUN_CLEAN,
	LUN_OWNED,
	LUN_SHRINK,
	LUN_REKEY,
	LUN_OFFERED,
	LUN_LEAVE,
};

struct arbiter_nexus {
	bool up;
	bool registered; /* with `key`, as far as we know */
	bool fresh; /* made since the registration: whatever the LUN lists under our key is not this
		       one */
	uint64_t key;   /* the last that was registered here, or that may have been; 0 none */
	bool in_doubt;  /* a RESERVE or PREEMPT by it was given up since it was made */
	bool unsettled; /* a REGISTER by it was given up, and its session is still the same: writes
			   must not come to stand behind it */
	uint64_t sure;  /* the key that it bears by a REGISTER that was answered, none having been
			   given up under it since */
	uint64_t retry_ms; /* a REGISTER here failed: not again before this */
};

/* What an order is to achieve. */
enum effort_kind {
	EFFORT_REGISTER,
	EFFORT_SEIZE,  /* RESERVE, or PREEMPT of the holder */
	EFFORT_REMOVE, /* of another's key, or of an own one */
	EFFORT_KINDS,
};

struct effort_stubborn {
	uint64_t key, until_ms; /* preempted in vain; not again before this */
	uint8_t times;
};

struct arbiter_effort {
	uint64_t rate_ms; /* runs ahead of the clock by so much as orders were sent lately */
	uint64_t wait_ms; /* nothing is begun before this */
	bool pending;     /* the last order is to be judged by the next fresh look */
	bool shown;       /* the last REGISTER's key was seen */
	bool check;       /* the next look compares */
	enum effort_kind kind;
	enum pr_out_action action;
	uint8_t nexus;
	bool conflict;
	uint64_t key, service_key, victim;
	uint32_t generation;                                 /* before it */
	uint8_t futile[EFFORT_KINDS], refused[EFFORT_KINDS]; /* in a row */
	struct effort_stubborn stubborn[REMEMBERED_KEYS];
	uint8_t stubborn_next;
	bool stuck; /* a key is there that was preempted in vain */
	uint8_t contrary;
	struct arbiter_look last;
	uint64_t last_ended_ms;
};

struct arbiter_flight {
	uint32_t id; /* 0: free */
	uint32_t epoch;
	uint64_t began_ms;
};

struct arbiter_lun {
	enum lun_phase phase;
	uint64_t key;     /* own key for this LUN, 0 none */
	uint64_t old_key; /* the own key that `key` replaces, 0 none */
	uint64_t victim;  /* the holder's exact key as remembered, 0: nobody held */
	uint8_t seat;     /* the nexus that is registered first and reserves, NO_NEXUS */
	bool seat_holds;  /* the reservation is known to be the seat's */
	bool no_abort;    /* the target refused PREEMPT AND ABORT */
	bool other;       /* another logical unit stands where this one was */
	bool orphan; /* our nexus was not registered although the LUN lists our key: that one is a
			lost nexus's */
	bool need_reset;  /* old writes may still be queued; see lun_needs_reset() */
	uint8_t defended; /* SPREAD: so many were turned away since the last REGISTER; when that were
			     all who may be there, the next order registers */
	bool register_unknown; /* a REGISTER was given up since the LUN was last held */
	bool was_reset;     /* since the LUN was won: whoever registers later has nothing queued */
	bool surveyed;      /* SURVEY: `victim` is what was found */
	uint32_t survey_id; /* looks from this number on began after it was found */
	uint8_t tries;      /* of the present phase */
	uint8_t expect;     /* REGISTER: which expected key is tried next */
	uint8_t unknowns;   /* PR OUTs without an answer in a row */
	uint8_t failures;   /* PR OUTs that did not end well in a row */
	uint64_t wait_ms;   /* no PR OUT before this */
	uint32_t slow_ms;   /* the slowest of the recent answers, fading */
	uint32_t epoch;     /* counts beginnings and ends of PR OUTs */
	uint32_t register_epoch; /* at the end of the last one that registered */
	uint32_t held_epoch;     /* of the last look that showed us as the holder */
	struct arbiter_look look;
	bool look_seen;
	uint32_t look_epoch, look_id;
	uint64_t look_began_ms, look_ended_ms;
	uint64_t contact_ms;   /* when the last answered look ended */
	uint64_t next_look_ms; /* NEVER: none is wanted */
	uint64_t last_sent_ms;
	uint32_t attempt, unanswered;
	uint64_t no_look_before_ms; /* the last look failed at once: not again and again */
	struct arbiter_flight flights[LOOKS_IN_FLIGHT];
	struct {
		uint32_t id; /* 0: none in flight */
		bool reset;
		uint8_t nexus;
		enum pr_out_action action;
		uint64_t key, service_key, began_ms;
	} order;
	struct arbiter_nexus nexus[ARBITER_NEXUSES_MAX];
	struct arbiter_effort effort;
};

/* Why the gate is held. */
enum {
	HOLD_RENEW = 1 << 0, /* a LUN is being registered or reserved again */
	HOLD_NEXUS = 1 << 1, /* a nexus is being registered */
	HOLD_GATE = 1 << 2,  /* the gate stopped by itself: look first */
	HOLD_LOST = 1 << 3,  /* no completed look for L */
};

struct arbiter {
	struct arbiter_config config;
	enum arbiter_state state;
	uint64_t now_ms;
	struct arbiter_effects *effects; /* during a step only */
	uint32_t next_id;

	uint64_t claims[ARBITER_CLAIMS_MAX]; /* written down, newest first */
	uint8_t claim_count;
	uint16_t incarnation;
	uint32_t record_id; /* in flight, 0 none */
	uint64_t record_key;
	uint64_t record_retry_ms;

	enum arbiter_gate gate, gate_wanted;
	bool quiet, gate_broken;
	bool gate_answered; /* a report has come since the last order to the gate */
	uint64_t gate_again_ms;
	unsigned hold;
	uint64_t hold_since_ms, gate_closed_ms;
	enum arbiter_service service;
	bool start_ordered, stop_ordered, stop_deposed, stop_overdue;

	bool fit, maintenance, parked, shutdown, adopting;
	uint64_t cool_until_ms; /* no claim by itself before this */

	/* challenger */
	enum arbiter_rule reason; /* of the challenge under way, or of the one that is wanted */
	bool reason_set, operator_asked, suspect, skip_window;
	bool take_asked; /* TAKE, when nobody was known to hold: should somebody, it is asked */
	uint64_t reason_since_ms, offer_seen, offer_since_ms;
	uint64_t next_probe_ms, generation_moved_ms;
	uint32_t generation_seen;
	bool generation_valid;
	uint64_t window_start_ms; /* 0: not begun */
	uint64_t window_answer_ms;
	uint32_t window_slowest_ms, window_allowed_ms;
	struct {
		uint64_t key, since_ms;
	} stood_back[REMEMBERED_KEYS];
	uint64_t request_key, request_until_ms, request_sent_ms;
	uint64_t stray_keys[REMEMBERED_KEYS]; /* own keys on the LUN that no nexus of ours bears;
						 each tried once */
	uint8_t stray_next;

	/* owner */
	struct arbiter_look won; /* what the leader showed when it was won: what has come since is a
				    challenge, not a leftover */
	uint64_t preempted[REMEMBERED_KEYS]; /* holders that this node took over from */
	uint8_t preempted_next;
	uint64_t challenger; /* the last that was turned away */
	uint64_t prober_ms;  /* when that was the one whose turn it is */
	uint64_t turn_ms;    /* when it was another */
	uint8_t out_of_turn; /* so often that one challenged while the other did */
	uint64_t good_ms; /* began the last look that showed us as the holder, and no other key of
			     the cluster */
	bool yield;       /* stop the service and offer */
	bool release;     /* ... but unregister instead of offering */
	uint8_t offer_to;
	uint64_t offer_until_ms;
	uint32_t members_slow_ms; /* the slowest answer since they are being taken */
	uint64_t members_progress_ms, members_due_ms, members_wake_ms;
	uint16_t members_owned;
	uint64_t alarmed[ARBITER_ALARM_COUNT];
	uint32_t alarm_times[ARBITER_ALARM_COUNT]; /* as last told */
	bool alarm_on[ARBITER_ALARM_COUNT];

	struct arbiter_lun luns[];
};

/* arbiter_group.c */
void arbiter_emit(struct arbiter *a, const struct arbiter_effect *effect);
bool arbiter_rule(struct arbiter *a, enum arbiter_rule rule, uint16_t lun,
		  uint64_t key); /* false: taken out */
void arbiter_alarm(struct arbiter *a, enum arbiter_alarm alarm, uint16_t lun, uint64_t key);
/* Told again when it has come twice as often. */
void arbiter_alarm_counted(struct arbiter *a, enum arbiter_alarm alarm, uint16_t lun, uint64_t key,
			   uint32_t times);
void alarm_foreign_holder(struct arbiter *a, uint16_t lun, uint64_t holder);
void arbiter_alarm_clear(struct arbiter *a, enum arbiter_alarm alarm);
void arbiter_set_state(struct arbiter *a, enum arbiter_state state, enum arbiter_rule why);
void arbiter_gate_fail(struct arbiter *a); /* unless that is what was ordered last */
void arbiter_gate_update(struct arbiter *a);
void arbiter_gate_insist(struct arbiter *a);
uint64_t arbiter_gate_deadline(const struct arbiter *a);
void arbiter_service_update(struct arbiter *a);
bool arbiter_is_owning(const struct arbiter *a); /* holds the leader, as far as it knows */
bool arbiter_key_own(const struct arbiter *a, uint64_t key);
bool arbiter_key_ours(const struct arbiter *a, uint64_t key); /* of this cluster */
bool arbiter_key_same_claim(uint64_t one, uint64_t other);    /* kind and interval aside */
uint64_t arbiter_key_fresh(struct arbiter *a, enum key_kind kind);
uint64_t arbiter_key_as(const struct arbiter *a, uint64_t key,
			enum key_kind kind);            /* same incarnation, other kind */
bool arbiter_recorded(struct arbiter *a, uint64_t key); /* false: and it is being written down */
void arbiter_strike(struct arbiter *a, uint64_t key);
void arbiter_strike_replaced(
	struct arbiter *a); /* own keys that no LUN of the group bears any more */
bool owner_was_preempted(const struct arbiter *a, uint64_t key);
bool arbiter_claim_in_use(const struct arbiter *a, uint64_t claim);
uint32_t arbiter_window_ms(const struct arbiter *a, uint64_t holder);
uint8_t arbiter_rank(const struct arbiter *a, uint64_t key);

/* arbiter_order.c */
uint8_t lun_nexus_after(const struct arbiter_lun *l, uint8_t n); /* the next that is up, around */
/* The next that is up and lacks the key; one whose REGISTER failed has time, unless no other has it:
 * who has no registered nexus cannot defend. */
uint8_t lun_nexus_missing(const struct arbiter *a, const struct arbiter_lun *l);
void lun_forget_key(struct arbiter_lun *l, uint64_t key);
void lun_order_send(struct arbiter *a, uint16_t i, uint8_t nexus, enum pr_out_action action,
		    uint64_t key, uint64_t service_key);
void lun_register_send(struct arbiter *a, uint16_t i, uint8_t n);
void lun_reset_send(struct arbiter *a, uint16_t i, uint8_t nexus);
/* Nothing on this node writes while it registers. */
bool lun_may_register(struct arbiter *a);
bool lun_gate_is_quiet(const struct arbiter *a);
/* Something that was queued earlier, old writes or a REGISTER of ours that was given up, could take
 * effect behind the gate's opening. */
bool lun_needs_reset(const struct arbiter_lun *l);
/* Nothing of that is left, or a reset can do nothing about it. */
void lun_reset_over(struct arbiter_lun *l);

/* arbiter_effort.c */
/* More orders than the rate allows: nothing of this LUN is driven before l->wait_ms. */
bool effort_exceeds_rate(struct arbiter *a, uint16_t i);
bool effort_must_wait(const struct arbiter *a, const struct arbiter_lun *l);
/* It was preempted in vain, and not again yet. */
bool effort_key_waits(const struct arbiter *a, const struct arbiter_lun *l, uint64_t key);
void effort_sent(struct arbiter *a, struct arbiter_lun *l);
/* l->order has ended. unusable: the path was to blame. */
void effort_ended(struct arbiter *a, uint16_t i, enum scsi_outcome outcome, bool unusable);
void effort_judge(struct arbiter *a, uint16_t i); /* by a fresh look, which is l->look */
void effort_turned_away(struct arbiter *a);
/* later: it began when the last one had ended. */
void effort_compare(struct arbiter *a, uint16_t i, const struct arbiter_look *look, bool later);

/* arbiter_look.c and arbiter_lun.c */
bool lun_is_fresh(const struct arbiter_lun *l);
bool lun_has_key(const struct arbiter_lun *l, uint64_t key);
uint64_t lun_holder(const struct arbiter_lun *l); /* 0: nobody */
bool lun_holds(const struct arbiter_lun *l);      /* as last seen, under the own key */
uint8_t lun_nexus_up(const struct arbiter_lun *l, bool registered);
void lun_look_now(struct arbiter *a, uint16_t i);
void lun_looked(struct arbiter *a, uint16_t i, uint32_t id, const struct arbiter_look *look,
		bool *news);
void lun_ordered(struct arbiter *a, const struct arbiter_event *event);
uint64_t lun_wake_ms(const struct arbiter_lun *l); /* when it is to be driven again, or NEVER */
void lun_pump_looks(struct arbiter *a, uint16_t i);
void lun_set_phase(struct arbiter *a, uint16_t i, enum lun_phase phase);
void lun_drive(struct arbiter *a, uint16_t i);
void lun_leave(struct arbiter *a, uint16_t i);
/* An own key holds, whatever brought that about: nothing is unregistered then, or a late command
 * could make that which is the holder, unless an operator wants the LUN free. */
bool lun_is_kept(const struct arbiter *a, const struct arbiter_lun *l);
/* Registers a fresh key of `kind` and seizes from `victim` (0: nobody holds). */
void lun_renew(struct arbiter *a, uint16_t i, uint64_t key, uint64_t victim);

/* arbiter_owner.c */
void owner_judge(struct arbiter *a, bool news);
void owner_judge_member(struct arbiter *a, uint16_t i);
void owner_not_holding(struct arbiter *a, uint16_t i); /* by a look later than all orders */
void owner_tick(struct arbiter *a);
void owner_begin_anew_if_stale(struct arbiter *a);
void owner_stalled(struct arbiter *a, uint64_t gap_ms); /* the leader answers again after so long */
uint64_t owner_deadline(const struct arbiter *a);
/* How long a winner waits for the next member. */
uint64_t owner_members_patience_ms(const struct arbiter *a);
void owner_depose(struct arbiter *a, enum arbiter_rule rule);
void owner_let_go(struct arbiter *a); /* the same, of its own accord: another may take it */
void owner_yield(struct arbiter *a, uint8_t node, enum arbiter_rule rule);
void owner_yield_drive(struct arbiter *a);
/* Holds the gate and takes LUN i again under a fresh key from `victim` (0: nobody holds). */
void owner_renew(struct arbiter *a, uint16_t i, uint64_t victim, enum arbiter_rule rule);
void owner_offered(struct arbiter *a);
void owner_grant(struct arbiter *a, uint64_t request);
void owner_won(struct arbiter *a); /* the leader is held: take the rest */
void owner_lun_owned(struct arbiter *a, uint16_t i);
void owner_check_complete(struct arbiter *a);
/* The next key that the owner of LUN i has to preempt, by its last look; 0 none. */
uint64_t owner_next_victim(struct arbiter *a, uint16_t i, enum arbiter_rule *rule);

/* arbiter_challenger.c */
void standby_judge(struct arbiter *a);
void challenger_judge(struct arbiter *a);
void challenger_registered(struct arbiter *a); /* the leader's REGISTER went through */
void challenger_lost(struct arbiter *a, enum arbiter_rule rule);
void standby_enter(struct arbiter *a, enum arbiter_rule rule);
void standby_check_quiet(struct arbiter *a); /* DEPOSED -> STANDBY */
enum arbiter_command_answer challenger_command(struct arbiter *a, enum arbiter_command command);
void challenger_request_judge(struct arbiter *a);
uint64_t challenger_deadline(const struct arbiter *a);

#endif
