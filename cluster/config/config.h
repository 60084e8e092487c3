/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * lunkeeper.conf: one file, the same on every node, read into a plain tree. Every fault is reported
 * with file, line, what was found and what was expected; nothing is guessed, and a file with an
 * error yields no tree. `${...}` is refused rather than expanded, and there is no include: what a
 * node does must not depend on its environment.
 */
#ifndef CLUSTER_CONFIG_CONFIG_H
#define CLUSTER_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/pr.h"

#define CONFIG_PATH_DEFAULT "/etc/lunkeeper/lunkeeper.conf"
#define CONFIG_STATE_DEFAULT "/var/lib/lunkeeper" /* the state folder */
#define CONFIG_RUN_DEFAULT "/run/lunkeeper"       /* the run folder */
#define CONFIG_SECRETS_DEFAULT                                                                     \
	"/etc/lunkeeper/secrets" /* where `secrets` is not set and this file is there */
#define CONFIG_NAME_MAX                                                                            \
	63 /* names of nodes, LUNs, services and resources: letters, digits, '.', '_', '-' */
#define CONFIG_FILE_MAX (1 << 20) /* bytes */
#define CONFIG_FAULTS_MAX 200
#define CONFIG_DEVICES_MAX 8    /* portals or paths of one LUN */
#define CONFIG_RESOURCES_MAX 64 /* of one service */
#define CONFIG_PARAM_MAX 2000   /* bytes of a parameter's value */
#define CONFIG_PARAMS_MAX 64    /* of one resource */

enum config_severity { CONFIG_WARNING, CONFIG_ERROR };

struct config_fault {
	enum config_severity severity;
	int line;   /* 0: the file as a whole */
	char *file; /* as it was given to config_load() */
	char *text; /* one sentence */
};

/* In the order of the lines. All-zero before the first use. */
struct config_faults {
	struct config_fault *list;
	size_t count, errors;
	bool more; /* there were more than CONFIG_FAULTS_MAX */
};

struct config_node {
	const char *name;
	const char *initiator; /* iSCSI initiator name; NULL: the system's */
	int line;
	uint8_t id; /* 1..254 */
};

struct config_lun {
	const char *name;
	const char **devices; /* as written */
	const char *wwid;     /* NULL: not checked */
	size_t device_count;  /* 0: a kernel device that is found by its wwid */
	enum pr_type type;    /* WRITE_EXCLUSIVE_ or EXCLUSIVE_ACCESS_REGISTRANTS_ONLY */
	bool iscsi;           /* devices are iscsi:// URLs (all of them, or none) */
	bool attach;
	bool header_digest, data_digest;
	int line;
};

enum config_agent { CONFIG_AGENT_EXEC };

struct config_param {
	const char *key, *value; /* value as written: "@mailstore" not yet replaced, see
				    config_param_text() */
};

struct config_resource {
	const char *name;
	const char *agent_path; /* absolute */
	const struct config_param *params;
	size_t param_count;
	uint64_t
		requires; /* bit i: resources[i] of the same group */
	uint32_t monitor_ms, monitor_timeout_ms, start_timeout_ms, stop_timeout_ms;
	uint32_t restarts; /* local recoveries within an hour before the service counts as failed */
	enum config_agent agent;
	int line;
};

enum config_failback { CONFIG_FAILBACK_MANUAL, CONFIG_FAILBACK_AUTO };

enum config_gate {
	CONFIG_GATE_NONE,   /* nothing here uses the LUNs: they are only held */
	CONFIG_GATE_NBDKIT, /* iscsi:// devices with resources on them, or `attach = true` */
	CONFIG_GATE_DM,     /* the same with kernel devices */
};

struct config_times {
	uint32_t defend_ms; /* a multiple of 50, 50..12750 */
	uint32_t window_ms, probe_ms, loss_ms, request_ms;
	uint32_t member_factor;
};

/* What is arbitrated as one: a service with its LUNs, or a LUN that no service names. */
struct config_group {
	const char *name; /* the service's or the LUN's; unique, a safe file name */
	bool has_service;
	bool automatic; /* claims by itself; without: only when an operator asks */
	enum config_failback failback;
	enum config_gate gate;
	struct config_times times;
	const struct config_lun *const *luns; /* the first is the leader */
	size_t lun_count;
	const struct config_node *const *nodes; /* in order of preference */
	size_t node_count;
	const struct config_resource *resources; /* in the order of the file */
	size_t resource_count;
	int line;
};

/* All memory belongs to the tree; nothing in it changes after config_load(). */
struct config {
	const char *path;
	const char *cluster;
	const char *secrets; /* absolute path; NULL: none */
	const char *
		control_group; /* Unix group that may use the control socket too; NULL: root only */
	struct config_times times; /* defaults of the groups */
	uint32_t history_days;     /* 1..36500 */
	uint64_t history_size;     /* bytes, at least 1 MiB */
	const char *watchdog;      /* absolute path of the device; NULL: none */
	uint32_t watchdog_timeout_ms, stop_limit_ms;
	const struct config_node *nodes;
	size_t node_count;
	const struct config_lun *luns;
	size_t lun_count;
	const struct config_group
		*groups; /* services in the order of the file, then the LUNs without one */
	size_t group_count;
};

/* Reads and checks path, a file of root's (or the caller's) that nobody else may write. Returns 0 with *config set (faults may hold warnings), or -EINVAL with
 * *config NULL and at least one error in *faults, also when the file cannot be read. The caller
 * frees both. Not reentrant (libconfuse's lexer is global): one thread at a time. */
int config_load(const char *path, struct config **config, struct config_faults *faults);
/* The same from memory; path is only named in faults. */
int config_load_text(const char *path, const char *text, size_t length, struct config **config,
		     struct config_faults *faults);
void config_free(struct config *config);
void config_faults_free(struct config_faults *faults);
/* "lunkeeper.conf:12: error: ..." without a newline. Returns buffer. */
const char *config_fault_text(const struct config_fault *fault, char *buffer, size_t size);

/* NULL when there is none. */
const struct config_node *config_find_node(const struct config *config, const char *name);
/* The node that a machine with this host name is: of that name, or the only one whose name differs
 * just in that one of both has no domain. */
const struct config_node *config_find_host(const struct config *config, const char *host);
const struct config_node *config_find_node_id(const struct config *config, uint8_t id);
const struct config_lun *config_find_lun(const struct config *config, const char *name);
const struct config_group *config_find_group(const struct config *config, const char *name);
/* Place in the group's list of nodes, 0 first; -1: the group does not list it. */
int config_group_rank(const struct config_group *group, uint8_t node_id);

/* The value of a parameter with "@NAME" replaced by RUN/dev/NAME, and a leading "@@" by "@".
 * Returns 0 or -ENAMETOOLONG. */
int config_param_text(const struct config_param *param, const char *run_folder, char *buffer,
		      size_t size);

/* Safe as a file name and in a shell: 1..CONFIG_NAME_MAX letters, digits, '.', '_', '-', not
 * beginning with '.' or '-'. */
bool config_name_valid(const char *name);
/* "500ms", "2s", "1m". Returns 0, -EINVAL, or -ERANGE (above 30 days). */
int config_duration_parse(const char *text, uint64_t *ms);

enum config_change {
	CONFIG_CHANGE_SAME,
	CONFIG_CHANGE_POLICY,  /* only times, failback, automatic, rank of nodes:
				  arbiter_reconfigure() takes it while running */
	CONFIG_CHANGE_SERVICE, /* (perhaps with the above) resources changed; LUNs, nodes' numbers
				  and gate did not */
	CONFIG_CHANGE_CHANGED, /* LUNs, their devices, the gate: the group must be stopped and begun
				  again */
	CONFIG_CHANGE_NEW,
	CONFIG_CHANGE_GONE,
};

struct config_diff_group {
	enum config_change change;
	const struct config_group *old_group, *new_group; /* NULL where it does not exist */
};

struct config_diff {
	bool restart_needed; /* cluster name, or this node's number or initiator changed: no reload
				can do that */
	char restart_reason[160];
	bool settings_changed;            /* history, secrets, control group, watchdog */
	struct config_diff_group *groups; /* new ones' order, then those that are gone */
	size_t group_count;
};

bool config_group_equal(const struct config_group *a, const struct config_group *b);
/* self: this node's name. Points into both trees. Returns 0 or -ENOMEM. */
int config_diff(const struct config *old_config, const struct config *new_config, const char *self,
		struct config_diff *diff);
void config_diff_free(struct config_diff *diff);
const char *config_change_name(
	enum config_change change); /* "same", "policy", "service", "changed", "new", "gone" */

#endif
