/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arbiter: ownership of one LUN group on one node, decided by what the LUNs say. A pure step
 * function: an event goes in with the time, effects come out; no I/O, no clock, no allocation, no
 * globals. The daemon carries the effects out on real paths; the simulator does on simulated ones.
 * The protocol is told in docs/arbitration.md.
 *
 * LUN 0 of a group is its leader, where the race is run; 1..lun_count-1 are its members.
 */
#ifndef CLUSTER_CORE_ARBITER_H
#define CLUSTER_CORE_ARBITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/pr.h"
#include "scsi/scsi.h"

#define ARBITER_NEXUSES_MAX 8 /* registrable nexuses of one LUN on this node */
#define ARBITER_LOOK_KEYS_MAX                                                                      \
	24 /* different keys of one look; which are kept when there are more: arbiter_look_add() */
#define ARBITER_HOLDER_ALL                                                                         \
	UINT64_MAX           /* in place of a holder's key: all registrants hold (types 7 and 8) */
#define ARBITER_CLAIMS_MAX 8 /* own keys written down for one group */
#define ARBITER_LUNS_MAX 1024

struct arbiter;

struct arbiter_config {
	uint32_t cluster;     /* key_cluster_hash() */
	uint8_t node;         /* this node's number */
	uint8_t rank_of[256]; /* by node number: place in the group's list of nodes, 0 first; 255:
				 not in the list */
	uint32_t defend_ms;   /* D */
	uint32_t window_ms;   /* W, at least; the owner's D in its key may ask for more */
	uint32_t probe_ms;    /* P; 0: challenge again as soon as turned away */
	uint32_t loss_ms;     /* L */
	uint32_t request_ms;  /* how long a request waits for its offer, and how long an offer waits
				 for its taker */
	uint32_t cooldown_ms; /* after a takeover that failed half-way */
	uint16_t member_factor; /* members are looked at every D x member_factor */
	uint16_t lun_count;     /* 1..ARBITER_LUNS_MAX */
	uint8_t nexus_count;    /* registrable nexuses of each LUN, 1..ARBITER_NEXUSES_MAX */
	bool automatic;         /* challenges by itself; false: only when an operator asks */
	bool grant_requests;    /* hands over when a request is seen */
#ifdef ARBITER_MUTATION
	int disabled_rule; /* enum arbiter_rule taken out, or -1 */
#endif
};

enum arbiter_state {
	ARBITER_STATE_STANDBY,     /* not registered; gate failed or never opened */
	ARBITER_STATE_CHALLENGING, /* registered with a claim that does not hold; window running */
	ARBITER_STATE_SEIZING,     /* PREEMPT or RESERVE on its way; a later look decides */
	ARBITER_STATE_TAKING,      /* holder of the leader; cleaning up, further nexuses, members */
	ARBITER_STATE_OWNER,
	ARBITER_STATE_REASSERTING, /* owner whose reservation must be renewed under a fresh key;
				      gate held */
	ARBITER_STATE_YIELDING,    /* owner that stops its service in order to offer */
	ARBITER_STATE_OFFERING,    /* holder under an offer key; service stopped, gate failed */
	ARBITER_STATE_REQUESTING,  /* standby that has asked the owner to hand over */
	ARBITER_STATE_CUT_OFF,     /* owner without a completed look for L: gate held, service being
				      stopped */
	ARBITER_STATE_DEPOSED,     /* lost it: gate failed, service being stopped, not yet quiet */
	ARBITER_STATE_RELEASED,    /* shut down: holds nothing, does nothing */
};

enum arbiter_gate { ARBITER_GATE_FAILED, ARBITER_GATE_HELD, ARBITER_GATE_OPEN };

enum arbiter_service {
	ARBITER_SERVICE_STOPPED,
	ARBITER_SERVICE_STARTING,
	ARBITER_SERVICE_RUNNING,
	ARBITER_SERVICE_STOPPING,
};

/* What one look at a LUN showed. */
struct arbiter_look {
	bool ok; /* false: no usable answer; nothing below is valid */
	uint32_t generation;
	bool held;
	uint64_t holder;   /* key, if held; 0: all registrants hold */
	uint8_t key_count; /* different registered keys in keys[] */
	bool truncated;    /* keys of the cluster were left out */
	bool persistent;   /* the LUN never becomes free by a loss of power: APTPL is in force */
	bool differs;      /* READ FULL STATUS shows other keys than READ KEYS, which this look goes
			      by */
	uint32_t left_out; /* different keys that did not fit into keys[] */
	uint64_t keys[ARBITER_LOOK_KEYS_MAX];
};

/* Adds a registered key, unless it is there. When there is no room, it takes the place of one that
 * matters less: this node's own keys are kept before others of the cluster, and those before foreign
 * ones, however many there are. cluster: key_cluster_hash(). */
void arbiter_look_add(struct arbiter_look *look, uint64_t key, uint32_t cluster, uint8_t node);
/* Of what both have room for. */
bool arbiter_look_same_keys(const struct arbiter_look *one, const struct arbiter_look *other);
/* How much a key matters to this node's looks: 2 its own, 1 of its cluster, 0 foreign. */
uint8_t arbiter_key_weight(uint64_t key, uint32_t cluster, uint8_t node);

enum arbiter_event_kind {
	ARBITER_EVENT_START,    /* once, first */
	ARBITER_EVENT_TICK,     /* the deadline has come; may be sent at any time */
	ARBITER_EVENT_LOOKED,   /* an EFFECT_LOOK ended */
	ARBITER_EVENT_ORDERED,  /* an EFFECT_ORDER or EFFECT_RESET ended */
	ARBITER_EVENT_RECORDED, /* an EFFECT_RECORD ended */
	ARBITER_EVENT_GATE, /* the gate has reached a state (also one that nobody ordered). Reports
			       of orders that a later order has overtaken are not passed on: only
			       the last one's */
	ARBITER_EVENT_SERVICE,  /* the service has reached a state */
	ARBITER_EVENT_NEXUS,    /* a registrable nexus came or went */
	ARBITER_EVENT_IDENTITY, /* another logical unit stands where a LUN of the group was, or the
				   right one again. No look of a stranger is ever passed on, and no
				   order of this group is sent to it: who sends them sees to that */
	ARBITER_EVENT_FITNESS,
	ARBITER_EVENT_SUSPECT, /* somebody doubts the owner: heartbeats missing, its last look old,
				  lost by the membership */
	ARBITER_EVENT_OTHER_OWNS, /* the membership says that another node owns */
	ARBITER_EVENT_COMMAND,
};

enum arbiter_command {
	ARBITER_COMMAND_CLAIM,       /* challenge now (a healthy owner will keep it) */
	ARBITER_COMMAND_TAKE,        /* ask the owner to hand over to this node */
	ARBITER_COMMAND_YIELD,       /* hand over to `node` (KEY_NODE_ANY: to anyone) */
	ARBITER_COMMAND_MAINTENANCE, /* defend, but touch nothing and hand over nothing; `on` */
	ARBITER_COMMAND_SHUTDOWN,    /* hand over to anyone; nobody takes it: unregister; ends in
					RELEASED */
	ARBITER_COMMAND_RELEASE,     /* stop the service and unregister, without offering; automatic
					claims are off until CLAIM */
};

enum arbiter_command_answer {
	ARBITER_ANSWER_STARTED,
	ARBITER_ANSWER_ALREADY, /* nothing to do */
	ARBITER_ANSWER_NOT_OWNER,
	ARBITER_ANSWER_UNFIT,   /* this node is unfit or not quiet */
	ARBITER_ANSWER_BUSY,    /* something else is under way */
	ARBITER_ANSWER_FOREIGN, /* held by a key that is not of this cluster */
	ARBITER_ANSWER_MAINTENANCE,
};

/* The key that the holder bears: look->holder, unless that is not registered and one that belongs to
 * the same node is. Some targets go on naming the key under which the LUN was reserved when the
 * holder has changed it since (READ RESERVATION without READ FULL STATUS). own: this node's, or 0. */
uint64_t arbiter_look_borne(const struct arbiter_look *look, uint64_t own);

struct arbiter_event {
	enum arbiter_event_kind kind;
	union {
		struct {
			const uint64_t *claims; /* own keys written down, newest first; copied */
			size_t claim_count;     /* at most ARBITER_CLAIMS_MAX */
			uint16_t incarnation;   /* the first fresh one; counted up from here */
			enum arbiter_gate gate; /* as found: a gate outlives the daemon */
			bool quiet;             /* as found */
			enum arbiter_service service;
			bool fit;
		} start;
		struct {
			uint16_t lun;
			uint32_t id; /* the effect's */
			const struct arbiter_look *look;
		} looked;
		struct {
			uint16_t lun;
			uint32_t id;
			enum scsi_outcome outcome;
			bool illegal_request; /* FAILED with sense ILLEGAL REQUEST: the target does
						 not know this command */
			bool path_unusable;   /* FAILED with 02/04/0B or 02/04/0C, or the nexus is
						 down: try another nexus */
		} ordered;
		struct {
			uint32_t id;
			bool ok; /* false: not durable (disk full, I/O error) */
		} recorded;
		struct {
			enum arbiter_gate state;
			bool quiet; /* nothing in flight below it (HELD), and caches dropped
				       (FAILED) */
		} gate;
		struct {
			enum arbiter_service state;
			bool failed; /* the start failed, or it died beyond local recovery (with
					STOPPED), or its stop is overdue (with STOPPING) */
		} service;
		struct {
			uint16_t lun;
			uint8_t nexus;
			bool up;
			bool fresh; /* with up: a nexus that has not been there before; false: as
				       found after a restart */
			bool ended; /* whatever was given up on it has ended, or its session
				       has, so that no write of this node can come to stand
				       behind it; false: that is not known */
		} nexus;
		struct {
			uint16_t lun;
			bool other;
		} identity;
		struct {
			bool fit;
			bool stuck; /* not fit, and it does not get on even with handing over: it
				       defends no more, and whoever challenges wins */
		} fitness;
		struct {
			enum arbiter_command command;
			uint8_t node;
			bool on;
		} command;
	};
};

enum arbiter_effect_kind {
	ARBITER_EFFECT_LOOK, /* read holder and all keys of `lun`; answer LOOKED. No nexus is named:
				any that can read, registered or not; `attempt` counts up so that
				the next try may use another path */
	ARBITER_EFFECT_ORDER,   /* send PERSISTENT RESERVE OUT by `nexus`; answer ORDERED */
	ARBITER_EFFECT_RESET,   /* LOGICAL UNIT RESET by `nexus`; answer ORDERED */
	ARBITER_EFFECT_RECORD,  /* write `key` down durably as an own key of this group; answer
				   RECORDED */
	ARBITER_EFFECT_STRIKE,  /* strike out `key` (0: all own keys of the group); no answer */
	ARBITER_EFFECT_GATE,    /* bring the gate to `gate`; answer GATE when reached; `drop_caches`
				   before opening */
	ARBITER_EFFECT_SERVICE, /* start or stop; answer SERVICE. Repeated orders for the same thing
				   are not sent */
	ARBITER_EFFECT_ANSWER,  /* the answer to a COMMAND, in the same step */
	ARBITER_EFFECT_STATE,   /* the state changed: for history and status */
	ARBITER_EFFECT_RULE,    /* a rule fired: for history, explain and the simulator's counts */
	ARBITER_EFFECT_ALARM,   /* somebody should look at this */
};

enum arbiter_alarm {
	ARBITER_ALARM_FOREIGN_HOLDER, /* key: not of this cluster; nothing is done against it */
	ARBITER_ALARM_FOREIGN_KEY,    /* registered, does not hold */
	ARBITER_ALARM_OWN_NUMBER, /* key bears this node's number but is not written down here: two
				     nodes with one number */
	ARBITER_ALARM_UNLISTED_NODE, /* key of a node that the group does not list */
	ARBITER_ALARM_MEMBER_KEY,    /* a member's key on the leader, or the reverse: configurations
					differ */
	ARBITER_ALARM_NOT_RECORDED,  /* claims cannot be written down: this node cannot challenge */
	ARBITER_ALARM_KEY_RETURNED,  /* a preempted key came back: the target fell back to an older
					state */
	ARBITER_ALARM_RESERVATION_LOST, /* the target lost its reservations */
	ARBITER_ALARM_CUT_OFF,          /* no completed look for L */
	ARBITER_ALARM_MEMBERS_MISSING,  /* the leader was won, but not all members */
	ARBITER_ALARM_STOP_OVERDUE,     /* deposed, and the service does not stop */
	ARBITER_ALARM_ALL_REGISTRANTS,  /* held by all registrants: not by this cluster */
	ARBITER_ALARM_REGISTER_FUTILE,  /* key: registered with GOOD, and no look shows it */
	ARBITER_ALARM_SEIZE_FUTILE,     /* key: reserved, or preempted the holder, with GOOD, and no
					   look shows it as the holder's */
	ARBITER_ALARM_REMOVE_FUTILE,    /* key: preempted or unregistered with GOOD, and it stays */
	ARBITER_ALARM_REFUSED, /* key: PERSISTENT RESERVE OUT under it is refused each time */
	ARBITER_ALARM_ANSWERS_DIFFER, /* READ FULL STATUS and READ KEYS show different keys */
	ARBITER_ALARM_LOOKS_DIFFER,   /* looks by different paths show different reservations */
	ARBITER_ALARM_LISTS_DIFFER,   /* key: of a node that challenges out of its turn */
	ARBITER_ALARM_OTHER_UNIT, /* another logical unit stands where this LUN was: nothing is sent
				     to it */
	ARBITER_ALARM_COUNT
};

/* Every decision has a name. Those up to OWNER_* and CHALLENGE_* are the tables of
 * docs/arbitration.md; taking any one of them out must make the simulator fail (make
 * check-mutation). */
#define ARBITER_RULES(X)                                                                           \
	/* owner */                                                                                \
	X(OWNER_TURN_AWAY, "a challenge: its key is preempted")                                    \
	X(OWNER_GRANT_REQUEST, "a request: acknowledged, and the LUN will be handed over")         \
	X(OWNER_CLEAN_LEFTOVER, "a leftover or returned key is preempted")                         \
	X(OWNER_RETAKE_RETURNED,                                                                   \
	  "a preempted key came back as the holder: retaken under a fresh key")                    \
	X(OWNER_RESERVE_AGAIN, "registered, but nobody holds: reserved again")                     \
	X(OWNER_REASSERT, "own key and reservation gone: renewed under a fresh key, gate held")    \
	X(OWNER_DEPOSED, "another node holds: gate failed, service stopped")                       \
	X(OWNER_OTHER_UNIT,                                                                        \
	  "another logical unit stands where a LUN was: gate failed, service stopped")             \
	X(OWNER_CUT_OFF, "no completed look for the loss tolerance: gate held, service stopped")   \
	X(OWNER_ASK_AGAIN, "a look without answer: asked again by another path")                   \
	X(OWNER_HOLD_FOR_NEXUS, "a new nexus: gate held while it is registered")                   \
	X(OWNER_SWAP_ORPHAN, "own key belongs to a lost nexus: swapped for a fresh one")           \
	X(OWNER_UNFIT_OFFERS, "unfit: the service is stopped and the LUN offered")                 \
	X(OWNER_OFFER_EXPIRED, "nobody took the offer: claimed again")                             \
	X(OWNER_MEMBER_LOST, "a member LUN is not held any more: taken again, gate held")          \
	X(OWNER_LOOK_AFTER_OUTCOME,                                                                \
	  "a PR OUT did not end well: looked again before anything is believed")                   \
	X(OWNER_OUT_OF_TURN,                                                                       \
	  "challenged by several who each take themselves for the next in rank")                   \
	/* both */                                                                                 \
	X(ORDER_RATE, "many PR OUTs in a short time: the next one waits")                          \
	X(ORDER_FUTILE, "answered GOOD, and no look shows the effect: waits longer each time")     \
	X(ORDER_REFUSED, "refused each time: waits longer each time")                              \
	X(LOOK_CHECK, "orders without an effect: READ FULL STATUS is checked against READ KEYS")   \
	X(LOOKS_CONTRADICT, "looks contradict each other: nothing is begun")                       \
	X(LOOK_STALE_HOLDER, "the holder's key is not registered: the one it was re-keyed to")     \
	/* challenger */                                                                           \
	X(CHALLENGE_PROBE, "a probe was due")                                                      \
	X(CHALLENGE_SUSPECT, "the owner is doubted")                                               \
	X(CHALLENGE_FREE, "nobody holds")                                                          \
	X(CHALLENGE_OPERATOR, "an operator asked")                                                 \
	X(CHALLENGE_OFFER, "an offer: taken at once")                                              \
	X(CHALLENGE_OWN_KEY, "an own earlier key holds: swapped without waiting")                  \
	X(CHALLENGE_NOT_FOREIGN, "a foreign key holds: not challenged")                            \
	X(CHALLENGE_TURNED_AWAY, "own key gone: the owner lives")                                  \
	X(CHALLENGE_HOLDER_CHANGED, "the holder's key changed: started over")                      \
	X(CHALLENGE_WAIT_WINDOW, "the window is not full")                                         \
	X(CHALLENGE_WINDOW_RESTART, "a slow look or a pause: window started again")                \
	X(CHALLENGE_WINDOW_GROWS, "slow answers: the window grows with them")                      \
	X(CHALLENGE_STAND_BACK, "stands back for a better-ranked challenger")                      \
	X(CHALLENGE_STAND_BACK_OVER, "stood back long enough for that key")                        \
	X(CHALLENGE_RANK_DELAY, "waits for better-ranked nodes to go first")                       \
	X(CHALLENGE_RECORD_FIRST, "the claim is written down before the reservation is taken")     \
	X(CHALLENGE_QUIET_FIRST, "not challenged before this node is quiet")                       \
	X(CHALLENGE_LOOK_DECIDES, "only a later look makes an owner")                              \
	X(CHALLENGE_LOSER_UNREGISTERS, "did not win: unregistered")                                \
	X(CHALLENGE_RESET_UNIT,                                                                    \
	  "after winning: the logical unit is reset, so that nothing queued earlier lands later")  \
	X(CHALLENGE_CLEAN_OTHERS,                                                                  \
	  "after winning: every other key is preempted before the gate opens")                     \
	X(CHALLENGE_TAKE_MEMBERS, "after winning: the members are taken")                          \
	X(CHALLENGE_MEMBER_CONFLICT, "a conflict on a member: the leader is looked at first")      \
	X(CHALLENGE_MEMBERS_MISSING, "not all members could be taken: offered to any")             \
	X(CHALLENGE_MEMBER_KEY, "a member's key on the leader: configurations differ")             \
	X(CHALLENGE_SUCCEED_PROBER, "the better-ranked prober has gone quiet")                     \
	/* requests and the rest */                                                                \
	X(REQUEST_SENT, "asked the owner to hand over")                                            \
	X(REQUEST_EXPIRED, "no offer came in time")                                                \
	X(REQUEST_UNANSWERED, "the owner did not take the request: challenged")                    \
	X(STANDBY_UNREGISTER, "an own key is still registered on a standby: removed")              \
	X(RESTART_ADOPT, "the daemon restarted: what the LUN says this node owns is kept")         \
	X(CUT_OFF_RETURN, "storage answers again and this node still holds")

enum arbiter_rule {
#define ARBITER_RULE_ENUM(name, text) ARBITER_RULE_##name,
	ARBITER_RULES(ARBITER_RULE_ENUM)
#undef ARBITER_RULE_ENUM
		ARBITER_RULE_COUNT
};

struct arbiter_effect {
	enum arbiter_effect_kind kind;
	uint16_t lun;
	uint32_t id; /* of LOOK, ORDER, RESET, RECORD: comes back with the answer; never 0 */
	union {
		struct {
			uint32_t attempt;
			uint32_t
				give_up_ms; /* after this the shell ends the look with ok = false */
			bool check; /* compare READ FULL STATUS with READ KEYS; should they differ, go
				       by READ KEYS from now on, and say so: look.differs */
		} look;
		struct {
			uint8_t nexus;
			enum pr_out_action
				action;       /* the shell adds the reservation type and APTPL */
			uint64_t key;         /* RESERVATION KEY */
			uint64_t service_key; /* SERVICE ACTION RESERVATION KEY */
			uint32_t give_up_ms;
		} order; /* RESET: nexus and give_up_ms */
		struct {
			uint64_t key;
		} record; /* and STRIKE */
		struct {
			enum arbiter_gate gate;
			bool drop_caches;
		} gate;
		struct {
			bool start;
			bool deposed; /* stop: the LUN is lost, do not wait for its data */
		} service;
		enum arbiter_command_answer answer;
		struct {
			enum arbiter_state old_state, new_state;
			enum arbiter_rule
				rule; /* why; ARBITER_RULE_COUNT: it was ordered or it followed */
			uint64_t holder; /* the leader's, as last seen; 0 none */
		} state;
		struct {
			enum arbiter_rule rule;
			uint64_t key; /* whom it was about, or 0 */
		} rule;
		struct {
			enum arbiter_alarm alarm;
			uint64_t key;
			uint32_t times; /* so many times in a row; 0: not counted */
			bool over; /* the reason for it has gone; alarms about a key are over when
				      no look shows it */
		} alarm;
	};
};

/* The caller's array, big enough for the worst step: arbiter_effects_max(). */
struct arbiter_effects {
	struct arbiter_effect *items;
	size_t count, capacity;
};

size_t arbiter_effects_max(uint16_t lun_count);

/* Bytes that arbiter_init() needs, and the arbiter made there. memory: aligned as malloc() gives
 * it, arbiter_size() bytes. Returns NULL when the configuration is impossible (lun_count,
 * nexus_count out of range, window below 4 x defend, node not listed). */
size_t arbiter_size(const struct arbiter_config *config);
struct arbiter *arbiter_init(void *memory, const struct arbiter_config *config);

/* One step. now_ms: this node's monotonic clock, never running backwards, suspend counted. Effects
 * are appended in the order in which they must be begun (a gate's failing before everything else).
 * Returns the time at which a TICK is due at the latest. Answers that come late, twice, or for
 * nothing are ignored. */
uint64_t arbiter_step(struct arbiter *arbiter, uint64_t now_ms, const struct arbiter_event *event,
		      struct arbiter_effects *effects);

/* Times and policy may change while it runs; lun_count, nexus_count, cluster and node may not
 * (-EINVAL). */
int arbiter_reconfigure(struct arbiter *arbiter, const struct arbiter_config *config);

/* For status, tests and the simulator. */
struct arbiter_view {
	enum arbiter_state state;
	enum arbiter_gate gate_wanted, gate;
	bool quiet, fit, maintenance, automatic;
	enum arbiter_service service;
	uint64_t key;         /* own, on the leader; 0 none */
	uint16_t incarnation; /* the next fresh one */
	bool held;            /* as last seen on the leader */
	uint64_t holder;
	uint32_t generation;
	uint64_t last_look_ms; /* when the last completed look of the leader was begun; 0 none */
	uint64_t contact_ms;   /* when one was answered last, or waiting for one began */
	uint32_t window_ms, window_done_ms; /* while challenging */
	uint16_t members_owned;
};
void arbiter_get_view(const struct arbiter *arbiter, struct arbiter_view *view);

/* One LUN of the group, as last seen. */
struct arbiter_lun_view {
	uint64_t key; /* own, 0 none */
	bool owned, seen, held;
	uint64_t holder;
	uint32_t generation;
	uint64_t last_look_ms;
	struct {
		bool up, registered;
		uint64_t key;
	} nexus[ARBITER_NEXUSES_MAX];
	uint8_t key_count;
	uint64_t keys[ARBITER_LOOK_KEYS_MAX];
};
/* lun: 0..lun_count-1, else *view is zeroed. */
void arbiter_get_lun_view(const struct arbiter *arbiter, uint16_t lun,
			  struct arbiter_lun_view *view);

/* Whether a node in this state takes the LUNs for its own, be it about to give them up. */
bool arbiter_state_owns(enum arbiter_state state);
const char *arbiter_state_name(enum arbiter_state state); /* "standby" */
const char *arbiter_rule_name(enum arbiter_rule rule);    /* "owner-turn-away" */
const char *arbiter_rule_text(enum arbiter_rule rule);
const char *arbiter_alarm_name(enum arbiter_alarm alarm); /* "foreign-holder" */
const char *arbiter_alarm_text(enum arbiter_alarm alarm); /* what it means and what to do */
/* The arbiter says when it is over; else it is when no look shows its key any more. */
bool arbiter_alarm_ends_itself(enum arbiter_alarm alarm);
const char *arbiter_gate_name(enum arbiter_gate gate);
const char *arbiter_service_name(enum arbiter_service service);
const char *arbiter_answer_text(enum arbiter_command_answer answer);

#endif
