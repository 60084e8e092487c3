/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group on this node: the shell around one arbiter. It opens the paths of its LUNs, carries the
 * arbiter's effects out (looks, orders, claims, gate, device, service) and brings the answers back,
 * and tells people what goes on.
 */
#ifndef CLUSTER_GROUP_H
#define CLUSTER_GROUP_H

#include "cluster/attach.h"
#include "cluster/daemon.h"
#include "cluster/gate.h"
#include "cluster/service_host.h"
#include "scsi/path.h"
#include "scsi/pr_exec.h"

#define GROUP_WAITERS 16 /* control requests waiting for an end */
#define GROUP_ALARMS 16
#define GROUP_REASON 256

struct group_lun;

/* One path of a LUN as the group uses it. */
struct group_path {
	struct group_lun *lun;
	struct path *path;
	bool usable; /* UP, and VPD 83h says that it is the right logical unit */
	bool identifying;
	uint8_t nexus; /* the arbiter's number, or NO_GROUP_NEXUS: it looks only */
	bool ever_up;
	uint16_t looking; /* looks in flight on it */
	char *reason;     /* why it is not usable; NULL: not known, or usable */
};

#define NO_GROUP_NEXUS 0xff

struct group_lun {
	struct group *group;
	const struct config_lun *config;
	uint16_t number;
	struct group_path *paths; /* the daemon's own */
	size_t path_count;
	struct group_path gate_path; /* the gate's, if there is one; only orders go there */
	bool full_status;            /* READ FULL STATUS works */
	bool full_status_known;
	bool no_pr; /* PERSISTENT RESERVE IN is refused: told once */
	bool aptpl; /* REPORT CAPABILITIES: PTPL_C */
	bool capabilities_known;
	uint64_t size; /* bytes; 0 unknown */
	uint32_t block_size;
	char *wwid;            /* NULL: not known */
	struct attach *attach; /* NULL: never needed yet */
	bool stale;            /* attached before the gate failed: dead for ever */
};

struct group_waiter {
	struct control_request *request; /* NULL: free */
	enum arbiter_command command;
	uint64_t until_ms;
	/* What had happened before the command: a verdict rests on what came after it. */
	uint64_t state_changes;
	uint32_t requests_expired;
};

/* Why this node may not own the group now; fit when none is set. */
enum group_unfit {
	GROUP_UNFIT_STANDBY, /* an operator said so */
	GROUP_UNFIT_ATTACH,  /* its devices cannot be made */
	GROUP_UNFIT_COUNT,
};

struct group_record;

struct group_alarm {
	bool on;
	uint64_t key, since_ms;
	uint16_t lun;
};

struct group {
	struct daemon *daemon;
	const struct config_group *config;
	struct arbiter *arbiter;
	struct group_lun *luns;
	size_t lun_count;
	uint32_t rule_counts[ARBITER_RULE_COUNT];
	uint64_t rule_last_ms[ARBITER_RULE_COUNT];
	bool started; /* the arbiter has its START */
	bool closing, released;
	bool shutdown_wanted; /* before it was started */
	bool leaving;         /* the configuration has changed: closed as soon as it is released */
	unsigned closes;      /* things that still close */
	void (*closed)(struct group *group, void *user);
	void *closed_user;

	struct arbiter_event *queue; /* events that effects answered at once */
	size_t queue_head, queue_count, queue_size;
	bool stepping;
	uv_timer_t timer, reconnect_timer;
	uint32_t reconnect_ms;

	struct state_group *claims;
	struct group_record *records; /* claims being written down */
	uint16_t noted_incarnation;

	struct gate *gate; /* NULL: none */
	enum gate_state gate_ordered;
	bool gate_seen;   /* connected at least once */
	bool open_wanted; /* OPEN ordered, waiting for the devices */
	bool devices_wanted;
	unsigned attach_failures;
	uv_timer_t attach_timer;

	struct service_host *service; /* NULL: none */
	enum arbiter_service service_state;
	bool service_known;

	enum arbiter_state state;
	enum arbiter_rule reason;
	uint64_t since_ms, state_changes;
	struct {
		uint64_t mono_ms;
		int64_t wall_ms;
		enum arbiter_rule rule;
		uint64_t holder;
		uint64_t register_mono_ms; /* 0: not registered yet */
		int64_t register_wall_ms;
	} challenge; /* the one under way; written to the history only when it becomes more than a
			probe */
	char unfit[GROUP_UNFIT_COUNT][GROUP_REASON]; /* all "": fit */
	struct group_alarm alarms[GROUP_ALARMS];
	struct group_waiter waiters[GROUP_WAITERS];
	bool later; /* an order came in the middle of a probe, and is given again behind that */
	enum arbiter_command later_command;
};

/* Opens everything; the arbiter starts when claims, gate and service are known. Returns 0 or -errno
 * with a message. */
int group_open(struct daemon *daemon, const struct config_group *config, struct group **group,
	       char *message, size_t message_size);
/* leave: gate, device and service stay as they are. Otherwise the gate process is ended, the
 * devices removed. */
void group_close(struct group *group, bool leave, void (*closed)(struct group *group, void *user),
		 void *user);

/* Times and policy of a running group, or its resources (only while the service is stopped:
 * -EBUSY). */
int group_reconfigure(struct group *group, const struct config_group *config,
		      enum config_change change);
/* The tree that the group points into is replaced by one in which it is the same. */
void group_rebase(struct group *group, const struct config_group *config);

/* Feeds the arbiter and carries out what follows. */
void group_post(struct group *group, const struct arbiter_event *event);
/* The same for a command: its answer comes back at once. */
enum arbiter_command_answer group_command(struct group *group, enum arbiter_command command,
					  uint8_t node, bool on);
/* reason NULL: it is none any more. */
void group_set_unfit(struct group *group, enum group_unfit cause, const char *reason);
const char *group_unfit_reason(const struct group *group); /* NULL: fit */

/* A command for somebody who waits: the request is ended at once, or with wait_ms when the command
 * has reached its end, has failed, or that time is over. */
void group_obey(struct group *group, struct control_request *request, enum arbiter_command command,
		uint8_t node, bool on, uint32_t wait_ms);

/* group_status.c */
json_t *group_status_json(const struct group *group);
json_t *group_ledger_json(const struct group *group, const char *lun); /* array; lun NULL: all */
json_t *group_explain_json(const struct group *group);
json_t *group_key_json(const struct daemon *daemon, uint64_t key); /* null for 0 */
const char *group_key_text(const struct daemon *daemon, uint64_t key, char *buffer,
			   size_t size); /* "jerry (claim 3)" */

/* group.c, for its neighbours */
void group_gate_connected(struct group *group); /* the gate was seen for the first time */
void group_reconnect_soon(struct group *group);
void group_part_closed(void *user); /* one of `closes` is done */

/* group_lun.c */
int group_lun_open(struct group_lun *lun, char *message, size_t message_size);
void group_lun_close(struct group_lun *lun);
void group_lun_look(struct group_lun *lun, const struct arbiter_effect *effect);
void group_lun_order(struct group_lun *lun, const struct arbiter_effect *effect);
void group_lun_announce(struct group_lun *lun);  /* after START: which nexuses are there */
bool group_reconnect_paths(struct group *group); /* true: some are down still */

/* group_gate.c */
int group_gate_open(struct group *group, char *message, size_t message_size);
void group_gate_order(struct group *group, enum arbiter_gate state);
void group_gate_prepare(struct group *group); /* the LUN is about to be ours: make the devices */
void group_gate_settle(struct group *group);  /* remove devices that are of no use any more */
void group_gate_close(struct group *group, bool leave);
void group_gate_start_state(struct group *group, struct arbiter_event *event);

/* group_history.c */
void group_note_effect(struct group *group, const struct arbiter_effect *effect);
void group_note(struct group *group, const char *lun, const char *kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
