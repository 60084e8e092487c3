/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group on this node: the shell around one arbiter. It opens the paths of its LUNs, carries the
 * arbiter's effects out (looks, orders, claims, gate, device, service) and brings the answers back,
 * and tells people what goes on.
 */
#ifndef CLUSTER_GROUP_GROUP_H
#define CLUSTER_GROUP_GROUP_H

#include <jansson.h>
#include <uv.h>

#include "cluster/config/config.h"
#include "cluster/control/control.h"
#include "cluster/core/arbiter.h"
#include "cluster/core/watchdog_policy.h"
#include "cluster/store/claims.h"
#include "cluster/store/history.h"
#include "scsi/path.h"
#include "scsi/pr_exec.h"
#include "scsi/sg_find.h"

struct group;

/* Since the start, for `status` and the bench. */
struct group_counters {
	struct pr_counters pr;
	uint64_t looks, looks_failed, resets, unit_attentions;
};

/* What the groups of a daemon share: where they live. One loop; whatever can block runs on
 * workers. */
struct group_home {
	uv_loop_t loop;
	struct config *config;
	const struct config_node *self;
	const char *node_name, *run_folder;
	char initiator[224]; /* "" if no iSCSI LUN is configured */
	struct claims *claims;
	struct history *history;
	struct group_counters counters;
	struct arbiter_effects effects; /* of the groups' steps, which never nest */
	bool standby;                   /* an operator made this node unfit */
	/* The kernel's devices, read once while many groups are opened: for each LUN anew takes
	 * longer than a window where there are hundreds. NULL: it is. */
	struct sg_index *index;
	const struct path_kind *const *path_kinds; /* of the LUNs that are no kernel devices; NULL
						      ends it */
	void (*released)(void *user);              /* a group has reached RELEASED */
	void *user;
};

/* --- its life --- */

/* Opens everything; the arbiter starts when claims, gate and service are known. Returns 0 or -errno
 * with a message. */
int group_open(struct group_home *home, const struct config_group *config, struct group **group,
	       char *message, size_t message_size);
/* The run folder was removed and is there again: links, records and flags are made anew. False: a
 * daemon that begins now would not find the gate. */
bool group_put_back(struct group *group);
/* leave: gate, device and service stay as they are. Otherwise the gate process is ended, the
 * devices removed. */
void group_close(struct group *group, bool leave, void (*closed)(struct group *group, void *user),
		 void *user);
/* Its configuration has changed or is gone: it hands over, and is to be closed when it is done. */
void group_give_up(struct group *group);

/* Times and policy of a running group, or its resources (only while the service is stopped:
 * -EBUSY). */
int group_reconfigure(struct group *group, const struct config_group *config,
		      enum config_change change);
/* The tree that the group points into is replaced by one in which it is the same. */
void group_rebase(struct group *group, const struct config_group *config);

/* --- what it is --- */

const char *group_name(const struct group *group);
/* The configuration in force for it, which may be one that the daemon has replaced meanwhile. */
const struct config_group *group_config(const struct group *group);
bool group_has_lun(const struct group *group, const char *name);
bool group_has_kernel_lun(const struct group *group);
/* It has the name of that one, or is being given up and has one of its LUNs still: gate, sessions
 * and devices would be taken from under it. */
bool group_meets(const struct group *group, const struct config_group *config);
bool group_is_started(const struct group *group); /* its arbiter knows what was there */
bool group_is_leaving(const struct group *group); /* given up */
bool group_is_released(const struct group *group);
bool group_is_done(const struct group *group); /* released, and its devices taken apart */
bool group_is_closing(const struct group *group);

/* --- what is asked of it --- */

/* A command to its arbiter: the answer comes back at once. */
enum arbiter_command_answer group_command(struct group *group, enum arbiter_command command,
					  uint8_t node, bool on);
/* A command for somebody who waits: the request is ended at once, or with wait_ms when the command
 * has reached its end, has failed, or that time is over. */
void group_obey(struct group *group, struct control_request *request, enum arbiter_command command,
		uint8_t node, bool on, uint32_t wait_ms);
/* Its service is left alone, by this daemon and the next; the arbiter is told by a command. */
void group_set_maintenance(struct group *group, bool on);
void group_set_standby(struct group *group, bool standby); /* this node may not own it */
/* The kernel's devices are others; index: as in group_home. */
void group_rescan(struct group *group, const struct sg_index *index);

/* What the watchdog is to make of it (cluster/core/watchdog_policy.h). due_ms: when it is overdue,
 * if it is stopping; why: what is still there, if it is stopping or overdue. Times in ms, as
 * clock_now_ms(). */
enum watchdog_verdict group_watch(struct group *group, uint32_t stop_limit_ms, uint64_t now_ms,
				  uint64_t *due_ms, char *why, size_t why_size);

/* Writes into the history, and into the log. lun NULL: of the group as a whole. */
void group_note(struct group *group, const char *lun, const char *kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

json_t *group_status_json(const struct group *group);
json_t *group_ledger_json(const struct group *group, const char *lun); /* array; lun NULL: all */
json_t *group_explain_json(const struct group *group);

#endif
