/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A simulated cluster in virtual time: nodes (an arbiter each, and a shell that carries its effects
 * out as the daemon does), their nexuses, the LUNs of one group, and what befalls them. Everything
 * follows from the seed.
 *
 * world.c    the queue of events, beginning and end
 * net.c      sessions and commands on their way to a LUN and back
 * shell.c    effects of the arbiter, looks, orders
 * host.c     gate, service, disk: what lives on a node beside the daemon
 * faults.c   profiles, and what they make happen
 * strangers.c  initiators of no cluster of ours
 * invariants.c, oracle.c   what must always hold
 * trace.c    the readable account
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/core/arbiter.h"
#include "cluster/core/key.h"
#include "tests/sim/lun.h"
#include "tests/sim/rng.h"

#define WORLD_NODES_MAX 5
#define WORLD_NEXUSES_MAX 4 /* registrable ones of a LUN on a node; one more only looks */
#define WORLD_LUNS_MAX 4
#define WORLD_SESSIONS_MAX 1024
#define WORLD_COMMANDS_MAX 1024
#define WORLD_OPS_MAX 1024
#define WORLD_MAILS_MAX 512
#define WORLD_EVENTS_MAX 8192
#define WORLD_LATE_MAX 16384 /* a power of two */
#define WORLD_WRITES_MAX 4   /* of one node, in flight */
#define WORLD_ARBITER_SIZE 65536
#define WORLD_EFFECTS_MAX 1024
#define WORLD_MESSAGE_SIZE 512
#define NONE 0xffffu
#define WATCH_LOOKS 128
#define NEVER_US UINT64_MAX
#define HOST_WRITE_TIMEOUT_US (12 * SECOND)

#define MS 1000ull
#define SECOND 1000000ull

enum world_event_kind {
	WORLD_ARRIVE,       /* index: command */
	WORLD_ANSWER,       /* index: command */
	WORLD_LAND,         /* index: command; a write reaches the medium */
	WORLD_SESSION_END,  /* index: session; the target notices */
	WORLD_SESSION_LOST, /* index: session; the initiator notices */
	WORLD_NEXUS_LOGIN,  /* index: LUN and nexus */
	WORLD_GIVE_UP,      /* index: op */
	WORLD_RETRY,        /* index: op */
	WORLD_OP_END,       /* index: op; without having been sent */
	WORLD_TICK,
	WORLD_MAIL, /* index: mail */
	WORLD_DISK, /* index: disk entry */
	WORLD_GATE, /* index: gate wanted; serial: node's boot */
	WORLD_GATE_QUIET,
	WORLD_SERVICE,
	WORLD_SERVICE_OVERDUE,
	WORLD_WRITE,
	WORLD_WRITE_TIMEOUT, /* index: command */
	WORLD_START,         /* a node or a daemon begins */
	WORLD_FAULT,         /* the next one */
	WORLD_FAULT_END,     /* index: entry of the list of lasting faults */
	WORLD_HINT,
	WORLD_CHECK,
};

struct world_event {
	uint64_t at_us, order;
	uint32_t serial;
	uint16_t index;
	uint8_t kind, node;
};

/* One login of one nexus. */
struct session {
	bool used, initiator_up;
	uint8_t node, lun, nexus;
	uint16_t port;  /* the LUN's number for this nexus */
	uint32_t login; /* which of its sessions */
	uint32_t serial;
	uint64_t cut_until_us;         /* nothing passes before this */
	uint64_t arrive_us, answer_us; /* the last so far: commands and answers keep their order */
	uint32_t commands;             /* that refer to it */
};

enum command_kind {
	COMMAND_READ_KEYS,
	COMMAND_READ_RESERVATION,
	COMMAND_FULL_STATUS,
	COMMAND_OUT,
	COMMAND_RESET,
	COMMAND_WRITE,
};

struct command {
	bool used;
	bool dropped; /* never arrives */
	uint8_t kind, node, lun;
	uint16_t session, op; /* WRITE: op is the slot of the node's write */
	uint32_t serial, op_serial;
	uint32_t tenure;  /* WRITE */
	uint32_t opening; /* WRITE: which time that its gate was open */
	bool unaware;     /* WRITE: its node had been deposed and could not know */
	uint8_t cdb[SCSI_CDB_MAX];
	uint8_t cdb_length, data_length;
	uint8_t data[PR_OUT_PARAMETER_LENGTH];
	struct lun_answer answer;
};

enum op_kind { OP_LOOK, OP_ORDER, OP_RESET };

/* A look or an order on its way through the shell. */
struct op {
	bool used;
	uint8_t kind, node, lun, nexus;
	uint8_t attempt, rereads;
	bool plain;                /* by READ KEYS and READ RESERVATION, whatever the target has */
	bool check;                /* and to be compared with READ FULL STATUS, which is `full` */
	uint16_t command, session; /* by which it was sent; NONE: nothing is outstanding */
	uint32_t serial, daemon_boot, effect_id, look_attempt;
	uint64_t began_us, give_up_us;
	struct pr_out out;
	struct arbiter_look look; /* of READ KEYS so far */
	struct arbiter_look full;
	enum scsi_outcome outcome;
	bool illegal_request, path_unusable;
};

/* Something that the daemon is told. */
struct mail {
	bool used;
	uint16_t session;     /* NEXUS up: which login it tells of */
	uint32_t gate_orders; /* GATE: how many had been given */
	uint32_t daemon_boot;
	struct arbiter_event event;
};

struct nexus {
	uint16_t session; /* NONE: down */
	uint64_t isid;
	bool told_up;              /* to the arbiter */
	bool told_fresh;           /* since its last login */
	bool data;                 /* data may use it */
	uint64_t blocked_until_us; /* a fault keeps it down */
	bool standby;              /* the port answers 02/04/0B */
	uint32_t login_serial;
};

struct write {
	bool used;
	uint8_t lun;
	uint16_t session;
	uint32_t serial;
};

/* What the oracle has seen one node do to one LUN. */
struct watch {
	uint32_t orders;         /* outstanding */
	uint64_t order_ended_us; /* the last one */
	/* Which came first, of things in one microsecond too: serial numbers of operations. */
	uint32_t order_ended, claim_ended, registered, look_serial, held_own;
	uint32_t claims; /* those of them that are about holding the LUN */
	bool looked, held;
	bool owns; /* has seen itself hold, and nobody else since but whom it had taken the LUN from
		    */
	uint64_t preempted[8];
	unsigned preempted_next;
	uint64_t look_began_us, look_ended_us, holder;
	uint64_t held_own_us; /* the last look that showed an own key hold */
	uint32_t lost_found;  /* when the first look ended that showed an own key not to hold */
	/* Looks since the last REGISTER that showed the own key beside the same holder. */
	uint64_t window_key, window_holder, window_from_us;
	bool passed; /* a window was full for that takeover, and the order that followed may have to
			be repeated */
	uint64_t passed_key, passed_victim;
	uint32_t window_looks; /* the last WATCH_LOOKS of them are kept */
	struct {
		uint64_t began_us, ended_us;
	} window[WATCH_LOOKS];
	uint8_t key_count;
	uint64_t keys[ARBITER_LOOK_KEYS_MAX];
	struct {
		uint64_t key, since_us, last_us;
	} seen[32]; /* when a key was first seen */
};

struct disk_entry {
	bool used, strike;
	uint32_t id, daemon_boot, boot;
	uint64_t key;
};

struct node {
	uint8_t index, number, rank;
	struct arbiter_config config;
	struct arbiter *arbiter;
	uint64_t clock_offset_us;
	uint8_t lun_of[WORLD_LUNS_MAX]; /* by the order of its own configuration */
	/* of each LUN, since its daemon began: */
	bool checked[WORLD_LUNS_MAX];    /* READ FULL STATUS was compared with READ KEYS */
	bool distrusted[WORLD_LUNS_MAX]; /* and shows other keys */
	uint64_t rate_second[WORLD_LUNS_MAX];
	uint32_t rate_orders[WORLD_LUNS_MAX]; /* in that second */
	/* daemon */
	bool running, daemon_running, gone; /* gone: will not come back */
	uint32_t boot, daemon_boot;
	uint64_t frozen_until_us, daemon_paused_until_us;
	uint64_t deadline_us, tick_at_us, mail_at_us;
	uint32_t tick_serial;
	int crash_after_effects; /* -1: not */
	bool crash_takes_node;
	bool fit, want_fit, automatic_off;
	enum arbiter_state state;
	uint64_t state_since_us;
	/* disk */
	uint64_t claims[ARBITER_CLAIMS_MAX];
	unsigned claim_count;
	uint16_t counter;
	uint64_t disk_at_us;
	bool disk_full;
	struct disk_entry disk[16];
	/* gate and service */
	enum arbiter_gate gate, gate_ordered;
	uint64_t gate_at_us, gate_since_us;
	bool gate_quiet, gate_told_quiet, gate_drop_caches;
	bool freed; /* an operator has had it unregister what it holds */
	uint32_t gate_serial;
	unsigned in_flight, waiting;
	uint8_t data_nexuses[WORLD_LUNS_MAX]; /* that the arbiter took for registered when it opened
						 the gate: a bit each */
	struct write writes[WORLD_WRITES_MAX];
	uint32_t gate_changes; /* those that nobody ordered */
	uint32_t gate_openings;
	uint32_t gate_orders, gate_orders_reached;
	uint32_t tenure;
	bool tenure_valid;
	uint64_t gate_closed_us; /* since when the arbiter has not wanted it open, or known it so */
	enum arbiter_service service;
	uint32_t service_serial, write_serial;
	bool service_wanted, service_deposed, service_fails, stop_hangs;
	uint64_t acknowledged, refused;
	/* paths */
	struct nexus nexuses[WORLD_LUNS_MAX][WORLD_NEXUSES_MAX + 1];
	struct watch watches[WORLD_LUNS_MAX];
	/* causes for which it may lose what it owns, and until when they count */
	uint64_t excused_until_us;
	const char *excuse;
	uint32_t forgiven_tenure;  /* of a service that the target has made believe it still owns */
	uint64_t deposed_us;       /* when another node began to hold the leader after it */
	uint64_t healthy_since_us; /* running, not paused, with paths */
	uint64_t quiet_rule_us;
};

struct sim_lun {
	struct lun lun;
	bool powered;
	uint32_t power_serial;
	uint32_t lost_opening[WORLD_NODES_MAX]; /* how often its gate had been opened at the last
						   loss of power */
	uint64_t stalled_until_us;
	uint32_t landed_tenure;
	uint8_t landed_node;
	uint8_t holder_node; /* in truth; NONE8: nobody or a stranger */
	uint64_t holder_since_us;
	bool held; /* by anybody */
	uint64_t registered_us[LUN_NEXUSES_MAX];
	uint64_t registered_key[LUN_NEXUSES_MAX];
};

#define NONE8 0xff
#define STRANGER 200 /* initiator number of somebody who is not of this cluster */
#define STRANGER_CROWD 201

struct profile;

struct timing {
	uint32_t latency_us, jitter_us;    /* one way */
	uint32_t slow_min_ms, slow_max_ms; /* added by the array, 0: prompt */
};

struct world {
	uint64_t seed;
	struct rng rng;
	const struct profile *profile;
	uint64_t now_us, order;
	bool trace, done, ceased;
	/* shape */
	uint8_t node_count, nexus_count, lun_count;
	bool look_apart; /* looks have a nexus of their own, which is never registered */
	bool full_status, aptpl, late_execution, keep_isid, gate_stops_itself;
	uint32_t gate_slow_ms; /* so long it may take until a gate is quiet, 0: promptly */
	enum pr_type type;
	uint32_t cluster;
	uint8_t misfit;    /* a node whose configuration differs; NONE8: none */
	bool storage_only; /* nobody sends SUSPECT */
	bool same_numbers;
	uint32_t defend_max_ms, window_max_ms, probe_max_ms, request_max_ms, cooldown_ms,
		loss_max_ms;
	struct timing timing;
	/* faults */
	uint32_t weights[32]; /* the profile's, or drawn */
	uint32_t interval_ms;
	uint64_t faults_until_us, end_us;
	uint64_t disturbed_us; /* the last moment at which something was wrong */
	uint32_t lost_command, lost_answer, busy, delayed; /* parts of a million */
	unsigned fault_count, failed_starts, ownership_changes;
	uint64_t commanded_until_us, unreliable_until_us;
	struct lasting {
		bool used;
		uint8_t kind, node, lun, nexus;
		uint16_t port;
	} lasting_faults[32];
	uint64_t strangers, tidied_us;
	uint64_t lies_until_us; /* what nodes have seen need not be so */
	/* parts */
	struct node nodes[WORLD_NODES_MAX];
	struct sim_lun luns[WORLD_LUNS_MAX];
	bool vanished_excused;
	uint8_t owner; /* the last that held the leader in truth */
	uint32_t tenure;
	uint64_t settled_since_us, unsettled_since_us;
	/* pools */
	uint16_t session_high, command_high, op_high, mail_high;
	uint32_t serial;
	uint32_t event_count;
	uint32_t late_first, late_count; /* of `late`, a ring */
	struct session sessions[WORLD_SESSIONS_MAX];
	struct command commands[WORLD_COMMANDS_MAX];
	struct op ops[WORLD_OPS_MAX];
	struct mail mails[WORLD_MAILS_MAX];
	struct world_event events[WORLD_EVENTS_MAX];
	/* Times to give up: far away, mostly in vain, and nearly always in the order in which they are
	 * set. */
	struct world_event late[WORLD_LATE_MAX];
	/* outcome */
	bool failed;
	char failure[WORLD_MESSAGE_SIZE];
	uint64_t rule_count[ARBITER_RULE_COUNT];
	uint64_t steps, orders, writes, settle_longest_us;
	unsigned challenges, challenges_lost;
};

struct profile {
	const char *name;
	const char *about;
	uint32_t interval_ms; /* between faults, on the average; 0: none */
	unsigned faults_max;  /* 0: as many as come */
	uint32_t weights[32]; /* by enum fault_kind */
	uint32_t lost_command, lost_answer, delayed, busy; /* parts of a million */
	unsigned nodes_min;
	bool slow;  /* the array may be slow throughout */
	bool hints; /* SUSPECT and OTHER_OWNS at any time, true or not */
	bool same_numbers;
	bool multipath; /* at least two nexuses */
	bool differ;    /* the last node has another LUN as its leader */
	bool odd;       /* the target's answers are odd throughout */
	bool mixed;     /* each schedule has a few kinds of faults of its own, and often */
};

enum fault_kind {
	FAULT_CRASH,
	FAULT_CRASH_IN_STEP,
	FAULT_DAEMON_CRASH,
	FAULT_DAEMON_CRASH_IN_STEP,
	FAULT_FREEZE,
	FAULT_DAEMON_PAUSE,
	FAULT_PATH_DROP,
	FAULT_PATH_CUT,
	FAULT_NODE_CUT,
	FAULT_POWER,
	FAULT_POWER_FALLBACK,
	FAULT_STALL,
	FAULT_SLOW,
	FAULT_LOSSY,
	FAULT_UNFIT,
	FAULT_SERVICE_DIES,
	FAULT_SERVICE_REFUSES,
	FAULT_DISK_FULL,
	FAULT_COMMAND,
	FAULT_HINT,
	FAULT_STRANGER_KEY,
	FAULT_STRANGER_HOLDS,
	FAULT_GATE_STOPS,
	FAULT_PATH_STANDBY,
	FAULT_DEAF,   /* PERSISTENT RESERVE OUT has no effect */
	FAULT_HALVES, /* looks by different nexuses contradict each other */
	FAULT_CROWD,  /* many strangers register */
	FAULT_COUNT,
};

extern const struct profile profiles[];
extern const unsigned profile_count;

/* world.c */
struct world *world_new(void);
/* Runs the schedule of `seed`. Returns true when every invariant held; else world->failure tells.
 */
bool world_run(struct world *world, uint64_t seed, const struct profile *profile, bool trace,
	       int disabled_rule);
void world_push(struct world *world, uint64_t at_us, enum world_event_kind kind, unsigned node,
		unsigned index, uint32_t serial);
/* The same event later, in its place among those that wait for the same moment. */
void world_push_again(struct world *world, uint64_t at_us, const struct world_event *event);
uint32_t world_serial(struct world *world);
void world_fail(struct world *world, const char *invariant, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
uint64_t world_between_ms(struct world *world, uint64_t from_ms, uint64_t to_ms); /* microseconds */

/* net.c */
struct nexus *net_nexus(struct world *world, unsigned node, unsigned lun, unsigned nexus);
bool net_nexus_up(struct world *world, unsigned node, unsigned lun, unsigned nexus);
void net_login(struct world *world, unsigned node, unsigned lun, unsigned nexus);
void net_login_later(struct world *world, unsigned node, unsigned lun, unsigned nexus,
		     uint64_t after_us);
/* The initiator has lost the session. orphan: the target does not notice for a long time. */
void net_session_lost(struct world *world, unsigned session, bool orphan);
void net_session_end(struct world *world, unsigned session, uint32_t serial);
/* NONE: the nexus is down. */
uint16_t net_send(struct world *world, enum command_kind kind, unsigned node, unsigned lun,
		  unsigned nexus, const struct scsi_request *request, uint16_t op,
		  uint32_t op_serial);
void net_arrive(struct world *world, const struct world_event *event);
void net_answer(struct world *world, const struct world_event *event);
void net_land(struct world *world, const struct world_event *event);
void net_abort(struct world *world, unsigned session, uint16_t op, uint32_t op_serial);
void net_node_gone(struct world *world, unsigned node);
void net_power_loss(struct world *world, unsigned lun, unsigned age, uint64_t until_us);
uint8_t net_port_node(const struct world *world, unsigned lun, uint16_t port);

/* shell.c */
uint64_t node_now_ms(const struct world *world, const struct node *node);
/* True: the daemon cannot see this event now; it comes again later, or never. */
bool shell_defers(struct world *world, const struct world_event *event);
bool host_defers(struct world *world, const struct world_event *event);
void shell_step(struct world *world, struct node *node, const struct arbiter_event *event);
void shell_start(struct world *world, struct node *node);
void shell_mail(struct world *world, struct node *node, uint64_t delay_us,
		const struct arbiter_event *event);
void shell_mail_nexus(struct world *world, struct node *node, unsigned lun, unsigned nexus, bool up,
		      bool fresh);
void shell_command_done(struct world *world, struct command *command,
			const struct scsi_result *result);
void shell_session_lost(struct world *world, unsigned session);
void shell_event(struct world *world, const struct world_event *event);
void node_boot(struct world *world, struct node *node);
void node_crash(struct world *world, struct node *node, bool whole, uint64_t for_us);

/* host.c */
void host_reset(struct world *world, struct node *node);
void host_gate_order(struct world *world, struct node *node, enum arbiter_gate gate,
		     bool drop_caches);
void host_gate_stops(struct world *world, struct node *node, enum arbiter_gate gate);
void host_service_order(struct world *world, struct node *node, bool start, bool deposed);
void host_service_dies(struct world *world, struct node *node);
void host_disk(struct world *world, struct node *node, uint32_t id, uint64_t key);
void host_write_done(struct world *world, struct command *command,
		     const struct scsi_result *result);
void host_session_lost(struct world *world, struct node *node, unsigned session);
void host_event(struct world *world, const struct world_event *event);

/* faults.c */
void faults_shape(struct world *world);
void faults_begin(struct world *world);
void faults_event(struct world *world, const struct world_event *event);
/* Why a node is excused that has been started for the first time. */
extern const char faults_begun[];
void faults_excuse(struct world *world, struct node *node, uint64_t until_us, const char *why);
uint64_t faults_slack_us(const struct world *world);
void faults_tidy(struct world *world);
void faults_disturb(struct world *world, uint64_t until_us);

void faults_later(struct world *world, uint64_t at_us, enum fault_kind kind, unsigned node,
		  unsigned lun, unsigned nexus); /* it ends then */
void faults_excuse_all(struct world *world, uint64_t until_us, const char *why);

/* strangers.c */
void strangers_one_comes(struct world *world, bool holds);
void strangers_one_leaves(struct world *world, const struct lasting *lasting);
void strangers_crowd_comes(struct world *world);
void strangers_crowd_leaves(struct world *world, unsigned lun);
void strangers_remove(struct world *world); /* those that a target has brought back */

/* oracle.c: what one node may do, judged by what it could know */
void oracle_reset(struct node *node);
void oracle_effect(struct world *world, struct node *node, const struct arbiter_effect *effect);
void oracle_order_ended(struct world *world, struct node *node, unsigned lun);
void oracle_looked(struct world *world, struct node *node, unsigned lun, const struct op *op,
		   const struct arbiter_look *look);

/* invariants.c: what must hold in truth */
void invariants_lun_changed(struct world *world, unsigned lun);
void invariants_refused(struct world *world, const struct command *command);
void invariants_freed(struct world *world, const struct command *command);
void invariants_admitted(struct world *world, struct command *command, unsigned port);
void invariants_landed(struct world *world, const struct command *command);
void invariants_yields(struct world *world, struct node *node);
void invariants_forgive(struct world *world, unsigned lun);
void invariants_ordered(struct world *world, struct node *node, unsigned lun);
bool invariants_unaware(const struct world *world, const struct node *node);
void invariants_check(struct world *world);
uint64_t invariants_bound_us(const struct world *world);

/* trace.c */
void trace_line(struct world *world, const struct node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void trace_event(struct world *world, const struct node *node, const struct arbiter_event *event);
void trace_effect(struct world *world, const struct node *node,
		  const struct arbiter_effect *effect);
void trace_command(struct world *world, const struct command *command, const char *what);
void trace_lun(struct world *world, unsigned lun);
const char *trace_key(uint64_t key, char *buffer, size_t size);
const char *trace_node_name(const struct node *node);

#endif
