/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group from inside: for the files of this folder. From the bottom up: queue, history, waiter, post,
 * path, identity and writable (one matter: who is there, and what is told of it), health, multipathd, size,
 * place, lun, gate and dm, group; about, status, progress and watch stand beside. Nobody calls
 * upward, but through group_top and the calls in struct group_lun.
 */
#ifndef CLUSTER_GROUP_PRIVATE_H
#define CLUSTER_GROUP_PRIVATE_H

#include <limits.h>

#include "cluster/gate/nbdkit/attach.h"
#include "cluster/group/group.h"
#include "cluster/group/queue.h"
#include "cluster/gate/nbdkit/gate.h"
#include "cluster/gate/dm/gate.h"
#include "cluster/agents/service_host.h"
#include "cluster/core/owner_progress.h"
#include "cluster/core/size_policy.h"
#include "cluster/group/told_private.h"
#include "iscsi/sessions.h"
#include "scsi/lun_proof.h"

#define GROUP_STANDBY_REASON "this node was set to standby by an operator"

#define GROUP_RECONNECT_FIRST_MS 100
#define GROUP_WAITERS 16 /* control requests waiting for an end */
#define GROUP_ALARMS ARBITER_ALARM_COUNT
#define GROUP_REASON 256
#define GROUP_TRANSPORT_MAX (KERNEL_NAME_MAX + 20)

struct group_lun;
struct group_errand;
struct order;

/* Whether a path that is UP and the right logical unit is used. Only a good one's nexus is there
 * for the arbiter; the others are asked from time to time whether they are good again. */
enum group_path_health {
	GROUP_PATH_GOOD,
	GROUP_PATH_SILENT,       /* what was sent stays unanswered, while another path answers */
	GROUP_PATH_INACCESSIBLE, /* the target says: not by this path (ALUA: 02/04/0B, 02/04/0C) */
};

/* One path of a LUN as the group uses it. It stays where it is from its opening to its end, because
 * commands point to it. */
struct group_path {
	struct group_lun *lun;
	struct path *path; /* NULL: this place of the list is free */
	bool leaving;      /* being closed: used no more */
	bool usable;       /* UP, and VPD 83h says that it is the right logical unit */
	bool identifying;
	bool proving;        /* it is being asked so while it is usable */
	bool doubted;        /* another one may stand there now */
	uint32_t doubts;     /* counted */
	bool other;          /* another logical unit stands where it led to */
	bool gone_meanwhile; /* it went down while it was asked who it is */
	uint8_t nexus;       /* the arbiter's number, or NO_GROUP_NEXUS: it looks only */
	bool ever_up;
	bool late;            /* appeared while the group was running: a new nexus from the start */
	bool write_protected; /* the target says so */
	bool gave_up;         /* an order by it was given up, and may not have ended yet */
	uint16_t looking;     /* looks in flight on it */
	char *reason;         /* why it is not usable; NULL: not known, or usable */

	enum group_path_health health;
	bool probing;
	uint64_t answered_ms; /* when that was begun which was answered last; 0: nothing yet */
	uint64_t probed_ms;

	/* Kernel devices only. */
	struct sg_device device;
	struct kernel_nexus session;         /* empty: no iSCSI session */
	char transport[GROUP_TRANSPORT_MAX]; /* as registrations name the nexus; "": not known */
	bool actual_known;                   /* the last look listed nexuses */
	bool listed_once;                    /* a look has named it as we do */
	uint64_t actual;                     /* the key that is registered for it; 0 none */
	uint8_t repairs;
	uint64_t repaired_ms;
};

#define NO_GROUP_NEXUS 0xff
#define GROUP_PATHS_MAX (CONFIG_DEVICES_MAX * 2 > PATHS_MAX ? CONFIG_DEVICES_MAX * 2 : PATHS_MAX)

#define GROUP_NO_ROOM                                                                              \
	"the target has no room for another registration (55/04, insufficient registration "       \
	"resources): remove registrations that nobody needs (lunkeeper lun keys, lun preempt), "   \
	"or raise its limit"

#define GROUP_OTHERS_MAX 8

/* What READ FULL STATUS lists. */
struct group_listed {
	struct {
		bool there;
		uint64_t key;
	} path[GROUP_PATHS_MAX]; /* by the path's place */
	struct {
		uint64_t key;
		char transport[GROUP_TRANSPORT_MAX];
	} others[GROUP_OTHERS_MAX]; /* nexuses of no path of ours; more are left out */
	size_t other_count;
};

struct group_lun {
	struct group *group;
	const struct config_lun *config;
	uint16_t number;
	struct group_path *paths;    /* the daemon's own: GROUP_PATHS_MAX places */
	size_t path_count;           /* places that were ever used; some may be free again */
	struct group_path gate_path; /* the gate's, if there is one; only orders go there */
	struct order *waiting;       /* an order that is not sent yet; NULL: none */
	void (*resume)(struct group_lun *lun); /* sends it, if there is one */
	uint16_t resuming;            /* orders that wait no more, and are about to be sent */
	struct group_errand *errands; /* looks and orders in flight */
	uint32_t order_epoch;         /* counts beginnings and ends of orders */
	uint16_t orders;              /* in flight */
	bool full_status;             /* READ FULL STATUS works */
	bool full_status_known;
	bool full_status_checked; /* it shows the keys that READ KEYS shows */
	bool full_proven;         /* it was answered once */
	bool plain_next;          /* the last one got no answer: the next look is a plain one */
	uint8_t full_doubts;      /* times that this was answered then */
	uint64_t plain_ms;        /* the last time */
	uint64_t writable_ms;     /* when it was asked whether it may be written to */
	bool no_room;             /* REGISTER is refused: no room for another registration */
	bool no_pr;               /* PERSISTENT RESERVE IN is refused: told once */
	bool aptpl;               /* REPORT CAPABILITIES: PTPL_C */
	bool capabilities_known;
	uint64_t size; /* bytes; 0 unknown */
	uint32_t block_size;
	char *wwid;                   /* NULL: not known */
	struct lun_identity identity; /* who is meant */
	bool other;                   /* another one stands there: nothing is sent to it */
	char other_text[LUN_PROOF_TEXT];
	uint64_t prove_ms;     /* not before: the next path is asked who it is */
	uint16_t prove_next;   /* that one */
	struct attach *attach; /* NULL: never needed yet */
	bool stale;            /* attached before the gate failed: dead for ever */
	struct gate_dm *dm;    /* NULL: its gate is of another kind */
	uint32_t dm_order;     /* the last one given */
	uint64_t dm_size;      /* and what was told last */
	char dm_device[GATE_DM_PATH_MAX], dm_problem[GATE_DM_TEXT_MAX];
	bool dm_unusable;

	/* Kernel devices only: where the LUN is now, which may be elsewhere than its configured
	 * name says. Kept while this node owns it. */
	char device[SG_NODE_MAX]; /* "/dev/mapper/mailstore", "/dev/sdb"; "": not found yet */
	bool is_map;              /* that is a multipath map */
	char *place_note;         /* what was last said of it; NULL: nothing */
	char *missing; /* why there is no block device for its data; NULL: there is one */
	/* Nexuses of no path of ours that the last READ FULL STATUS listed. */
	struct {
		uint64_t key;
		char transport[GROUP_TRANSPORT_MAX];
	} others[GROUP_OTHERS_MAX];
	size_t other_count;
	char refusal[160]; /* why its reservations cannot be read, in words; with no_pr */
	char *orphans;     /* nexuses that bear our key, and are none of ours; NULL: none */
	uint64_t orphans_since_ms, orphans_swapped_ms;
	struct multipathd_map *multipathd; /* NULL: no map yet */
	uint64_t told_key;                 /* what multipathd was told last; 0 none */
	struct size_policy size_policy;
	struct agent *size_agent; /* rescans its disks, or resizes the map; NULL: nothing does */
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
	GROUP_UNFIT_STANDBY,   /* an operator said so */
	GROUP_UNFIT_ATTACH,    /* its devices cannot be made */
	GROUP_UNFIT_DEVICE,    /* what its devices are made of is not there: it could not serve */
	GROUP_UNFIT_IDENTITY,  /* another logical unit stands where a LUN of it was */
	GROUP_UNFIT_PROGRESS,  /* it owned the LUN and did not get on */
	GROUP_UNFIT_READ_ONLY, /* a LUN of it may not be written to from here */
	GROUP_UNFIT_COUNT,
};

struct group_record;

struct group;

/* How a kind of gate does for a group what the arbiter wants; `status` shows it as gate_kind. */
struct group_gate {
	const char *name;
	/* Begins; group_gate_connected() follows when it is known what is there already. 0 or
	 * -errno with a message. */
	int (*open)(struct group *group, char *message, size_t message_size);
	void (*start_state)(struct group *group, struct arbiter_event *event); /* fills start */
	void (*order)(struct group *group, enum arbiter_gate state);
	/* Holds by itself until resume(), or with `look`, as if its storage had failed, until the
	 * arbiter opens it again; both NULL: it sees to that alone. */
	void (*hold)(struct group_lun *lun, const char *why, bool look);
	void (*resume)(struct group *group);
	void (*prepare)(struct group *group); /* the LUN is about to be ours: make the devices */
	void (*settle)(struct group *group);  /* after every step: devices of no use are removed */
	void (*close)(struct group *group, bool leave);              /* counts in `closes` */
	void (*lun_json)(const struct group_lun *lun, json_t *json); /* for `status` */
	bool (*problem)(const struct group *group, char *text, size_t size); /* false: none */
	bool (*put_back)(struct group *group); /* see group_put_back() */
};

extern const struct group_gate group_gate_nbdkit, group_gate_dm;

struct group {
	struct group_home *home;
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

	const struct group_top *top;
	struct group_queue queue; /* events that effects answered at once */
	bool stepping;
	uint64_t due_ms; /* when the arbiter is to be stepped, as its last step has said */
	uv_timer_t timer, reconnect_timer;
	uint32_t reconnect_ms;

	struct claims_group *claims;
	struct group_record *records; /* claims being written down */
	uint16_t noted_incarnation;

	const struct group_gate *gate_kind; /* NULL: none */
	struct gate *gate;                  /* of kind nbdkit */
	enum gate_state gate_ordered;
	bool gate_seen;   /* what an earlier daemon left is known */
	bool open_wanted; /* OPEN ordered, waiting for the devices */
	bool devices_wanted;
	bool open_refused; /* of kind dm: no nexus is registered; told once */
	bool gate_paused;  /* of kind dm: held, and only until nothing is in doubt */
	bool gate_told;    /* since the last order */
	enum gate_state gate_told_state;
	bool gate_told_quiet;
	unsigned attach_failures;
	unsigned deaths; /* of devices in use, since death_ms */
	uint64_t death_ms;
	uint64_t gate_down_ms, ready_ms; /* since when it is; when it was asked last */
	uv_timer_t attach_timer;

	struct service_host *service; /* NULL: none */
	enum arbiter_service service_state;
	bool service_known;
	struct watchdog_watch watch; /* watch.c's */
	bool watch_told;
	struct owner_progress_watch progress; /* progress.c's, as is what follows */
	enum owner_progress_cause progress_cause;
	bool progress_alarm;
	uint64_t progress_since_ms, gave_up_ms;

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
	struct group_told told;
	struct group_waiter waiters[GROUP_WAITERS];
	bool later; /* an order came in the middle of a probe, and is given again behind that */
	enum arbiter_command later_command;
};

/* --- post.c: at the bottom; what is above it in this folder is called through group_top --- */

struct group_top {
	void (*carry_out)(struct group *group, const struct arbiter_effect *effect,
			  enum arbiter_command_answer *answer);
	void (*settle)(struct group *group);    /* after every step */
	void (*connected)(struct group *group); /* the gate was seen for the first time */
};

/* Feeds the arbiter and carries out what follows. */
void group_post(struct group *group, const struct arbiter_event *event);
/* For after the step that is under way. */
void group_enqueue(struct group *group, const struct arbiter_event *event);
/* reason NULL: it is none any more. */
void group_set_unfit(struct group *group, enum group_unfit cause, const char *reason);
const char *group_unfit_reason(const struct group *group); /* NULL: fit */
void group_set_released(struct group *group);              /* and tells the daemon */
void group_gate_connected(struct group *group); /* the gate was seen for the first time */
bool group_needs_no_devices(const struct group *group);
void group_part_closed(void *user); /* one of `closes` is done; with the last the group is gone */

/* --- history.c --- */

void group_note_effect(struct group *group, const struct arbiter_effect *effect);
const char *group_key_text(const struct group_home *home, uint64_t key, char *buffer,
			   size_t size); /* "jerry (claim 3)" */

/* lun.c */
int group_lun_open(struct group_lun *lun, char *message, size_t message_size);
void group_lun_close(struct group_lun *lun);
void group_lun_look(struct group_lun *lun, const struct arbiter_effect *effect);
void group_lun_order(struct group_lun *lun, const struct arbiter_effect *effect);
void group_lun_announce(struct group_lun *lun); /* after START: which nexuses are there */

/* path.c */
void group_path_changed(struct path *path, enum path_state state, const char *reason, void *lun);
void group_path_reason(struct group_path *path, const char *reason); /* NULL: none any more */
/* Whatever was given up on it has ended: with a session of our own, when that is over; else when
 * the kernel says so, which it does when the command was aborted or its session was. */
bool group_path_has_ended(struct group_path *path);
/* Tells the arbiter of the path's nexus, if it has one; `ended` as in its event. */
void group_path_post(struct group_path *path, bool up, bool fresh, bool ended);
/* The last look has shown that the key which it ought to bear is registered for this very nexus: it
 * is no new one, wherever it has been. */
bool group_path_is_listed(const struct group_path *path);
bool group_path_good(const struct group_path *path);
void group_path_announce(struct group_path *path);
void group_path_identify(struct group_path *path);
void group_reconnect_soon(struct group *group); /* those that are down */
bool group_lun_is_kernel(const struct group_lun *lun);
void group_path_read_session(struct group_path *path);
void group_path_check_session(struct group_path *path); /* a new session is a new nexus */
void group_size_news(struct group_lun *lun);            /* its size may be another now */

/* identity.c */
void group_identity_open(struct group_lun *lun);
void group_identity_announce(struct group_lun *lun); /* after START */
void group_identity_check(struct group_lun *lun);    /* at every look */
/* What a path was found to lead to; one that is not the right one is used no more before it was
 * asked again. */
void group_identity_judged(struct group_path *path, enum lun_proof_verdict verdict,
			   const char *text);
/* The same of the gate's own nexus, or when it is known that the path had led to the right one. */
void group_identity_found(struct group_path *path, bool other, const char *text);
/* Another one may stand there now: the gate is held, and the path asked again. */
void group_identity_doubt(struct group_path *path);
/* Sees to the unit attentions that a command on the path has taken. */
void group_path_attentions(struct group_path *path, const struct pr_exec *exec);
bool group_identity_in_doubt(const struct group *group); /* some path of it is */

/* health.c: errands on a path, and what follows from their answers. */
struct group_errand {
	struct group_errand *next;
	struct group_path *path; /* NULL: not under way */
	uint64_t began_ms;
};
void group_errand_begin(struct group_errand *errand, struct group_path *path);
void group_errand_end(struct group_errand *errand, const struct pr_exec *exec);
void group_health_check(struct group_lun *lun); /* at every look: who is silent, who is back */
/* What READ FULL STATUS lists, by the path's place: the truth against what the arbiter believes. */
void group_lun_compare(struct group_lun *lun, const struct group_listed *listed);

/* place.c: kernel devices; index NULL: read if it is needed. */
void group_lun_rescan(struct group_lun *lun, const struct sg_index *index);
/* A node whose devices are not there could not serve: it is not fit, and challenges nobody. One that
 * serves is not judged by names. */
void group_check_ready(struct group *group);
int group_lun_add_path(struct group_lun *lun, struct path *path, const struct sg_device *device);

/* writable.c: whether a LUN may be written to. */
/* then, which may be NULL, is called behind the answer if the path is still up. */
void group_writable_ask(struct group_path *path, void (*then)(struct group_path *path));
void group_writable_check(struct group_lun *lun); /* at every look: asks a LUN that is due */
bool group_lun_write_protected(const struct group_lun *lun);

/* size.c: whether the kernel has the size that the LUN has. */
void group_size_check(struct group *group);   /* at every look: asks a LUN that is due */
void group_size_close(struct group_lun *lun); /* one of `closes`, if a rescan is under way */

/* multipathd.c */
/* Of the map, whatever link leads to it: its folder in sysfs, and its own name. False: it is not
 * there. */
bool group_multipathd_folder(const struct group_lun *lun, char folder[PATH_MAX]);
bool group_multipathd_name(const struct group_lun *lun, char *name, size_t size);
void group_multipathd_settle(struct group *group); /* after each step */
void group_multipathd_untell(struct group *group); /* before anything else is stopped */
/* An order must not be sent before multipathd has let go of the key that it was told: it would
 * write that over what is registered meanwhile. lun->resume() is called when it has. */
bool group_multipathd_must_wait(struct group_lun *lun, const struct pr_out *out);
void group_multipathd_forget(struct group_lun *lun, bool wait); /* wait: one of `closes` */

/* progress.c: after each step of a group that has begun. */
void group_progress_check(struct group *group);

/* A gate's state in the arbiter's words. */
enum arbiter_gate group_gate_arbiter_state(enum gate_state state);

/* waiter.c: requests that wait until what they ordered is done */
void group_waiters_check(struct group *group); /* answers those whose end has come */
bool group_waiters_any(const struct group *group);
/* False: too many wait already. */
bool group_waiter_add(struct group *group, const struct group_waiter *waiter);
void group_waiters_close(struct group *group);

/* status.c */
json_t *group_key_json(const struct group_home *home, uint64_t key); /* null for 0 */

#endif
