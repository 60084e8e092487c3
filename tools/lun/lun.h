/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the `lunkeeper lun` commands share. Devices come from the command line and the configuration
 * (device.c), steps from the command's options or from the text of `lun do` (step.c). A
 * fleet opens all devices in parallel and carries the steps out on each (fleet.c): it looks,
 * plans (plan.c, pure), orders and looks again. Every step leaves a JSON object; text for
 * people is made from these objects alone (print.c).
 */
#ifndef TOOLS_LUN_LUN_H
#define TOOLS_LUN_LUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <uv.h>

#include "cluster/config/config.h"
#include "scsi/identity.h"
#include "scsi/path.h"
#include "scsi/pr.h"
#include "tools/cli/cli.h"

#define LUN_DEVICES_MAX 65536
#define LUN_KEYS_MAX 256 /* of one look; more are counted, not shown */
#define LUN_MESSAGE_MAX 512
#define LUN_STEPS_MAX 64
#define LUN_ORDERS_MAX (PATHS_MAX)
/* ISID qualifiers from 8000h on; what is below is the daemon's and its gates', whose sessions would
 * end if a command took one of theirs. */
#define LUN_ISID_DEFAULT 0x8000u /* so that a registration lasts from one command to the next */
/* Commands that only look take one by their process number, so that they do not end each other's
 * sessions. */
#define LUN_ISID_LOOK_FIRST 0x9000u
#define LUN_ISID_LOOK_COUNT 0x3000u
#define LUN_ISID_SECOND 0xc000u /* the probe's second nexus: one for each device */
#define LUN_ISID_SECOND_COUNT 0x4000u

/* Devices. */

struct lun_device {
	char *name;                  /* as shown */
	const char **specifications; /* of one logical unit; several portals or one */
	size_t specification_count;
	char *found;      /* the only specification, if it was found by its wwid; else NULL */
	const char *wwid; /* what the configuration says; NULL: not checked */
	const struct config_lun *lun; /* NULL: not from the configuration */
};

struct lun_devices {
	struct lun_device *items;
	size_t count;
};

/* "iscsi://host/iqn/{1-64}", "/dev/sd{b,c}" to its words; a range counts with the digits it is
 * written in
 * ({01-10}). Words are malloc()ed, in a NULL-ended array. NULL with a message: an open brace, more
 * than LUN_DEVICES_MAX words, no memory. */
char **lun_expand(const char *pattern, size_t *count, char *message, size_t size);
void lun_expand_free(char **words);

/* Options that all `lun` commands have, and what became of them. */
struct lun_context {
	const char *config_path, *node_name, *initiator, *secrets;
	struct cli_number isid;
	bool header_digest, data_digest, json, force, dry_run, all, verbose;
	uint32_t timeout_ms; /* for each device, all steps */
	struct cli_number parallel;

	struct config *config;          /* NULL: none */
	const struct config_node *node; /* this machine's, if the configuration has it */
	bool has_cluster;
	uint32_t cluster; /* hash */
	uint16_t qualifier;
	char *own_initiator; /* NULL: unknown (no iSCSI initiator name on this machine) */
};

/* The rows of an option table for them. */
#define LUN_CONTEXT_OPTIONS(context)                                                               \
	{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "Devices and sessions"},                         \
		{"config",                                                                         \
		 'c',                                                                              \
		 CLI_OPTION_STRING,                                                                \
		 &(context)->config_path,                                                          \
		 "FILE",                                                                           \
		 "names of LUNs and nodes from this configuration; without it from "               \
		 "/etc/lunkeeper/lunkeeper.conf, if it is there"},                                 \
		{"all",           'a',  CLI_OPTION_FLAG,                                           \
		 &(context)->all, NULL, "all LUNs of the configuration"},                          \
		{"node",                                                                           \
		 0,                                                                                \
		 CLI_OPTION_STRING,                                                                \
		 &(context)->node_name,                                                            \
		 "NAME",                                                                           \
		 "this machine's name in the configuration; without it the host name"},            \
		{"initiator",                                                                      \
		 'I',                                                                              \
		 CLI_OPTION_STRING,                                                                \
		 &(context)->initiator,                                                            \
		 "IQN",                                                                            \
		 "iSCSI initiator name for iscsi:// devices; without it the configuration's, or "  \
		 "the system's"},                                                                  \
		{"isid",                                                                           \
		 0,                                                                                \
		 CLI_OPTION_UNSIGNED,                                                              \
		 &(context)->isid,                                                                 \
		 "NUMBER",                                                                         \
		 "qualifier of the ISID: the same initiator name and qualifier is the same I_T "   \
		 "nexus"},                                                                         \
		{"secrets",           0,      CLI_OPTION_STRING,                                   \
		 &(context)->secrets, "FILE", "CHAP users and secrets (mode 0600)"},               \
		{"header-digest",           0,    CLI_OPTION_FLAG,                                 \
		 &(context)->header_digest, NULL, "iSCSI header digests"},                         \
		{"data-digest",           0,    CLI_OPTION_FLAG,                                   \
		 &(context)->data_digest, NULL, "iSCSI data digests"},                             \
		{"timeout",                                                                        \
		 't',                                                                              \
		 CLI_OPTION_DURATION,                                                              \
		 &(context)->timeout_ms,                                                           \
		 "TIME",                                                                           \
		 "give a device up after this time (15s)"},                                        \
		{"parallel",           'j',      CLI_OPTION_UNSIGNED,                              \
		 &(context)->parallel, "NUMBER", "devices at work at a time (256)"},               \
		{"json", 0, CLI_OPTION_FLAG, &(context)->json, NULL, "JSON instead of text"}

/* Reads the configuration (if one is named, or the default one is there) and settles initiator name
 * and qualifier. looks_only: nothing will be registered. Returns -1 to go on, else an exit status
 * with the fault said. */
int lun_context_begin(struct lun_context *context, bool looks_only);
void lun_context_end(struct lun_context *context);
/* The devices that `words` name. Returns -1 or an exit status. */
int lun_devices_make(struct lun_devices *devices, const struct lun_context *context, char **words,
		     size_t count);
void lun_devices_free(struct lun_devices *devices);

/* Keys, for people and programs. */

/* "jerry (1), claim 0a01, defends every 500 ms"; "foreign"; "" for a key that says nothing. */
const char *lun_key_who(uint64_t key, const struct lun_context *context, char *buffer, size_t size);
/* {"key":"4c...","ours":true,"kind":"claim","node":"jerry","node_id":1,"incarnation":3,...} */
json_t *lun_key_json(uint64_t key, const struct lun_context *context);
/* Of this cluster; without a configuration: of any cluster. */
bool lun_key_is_lunkeeper(uint64_t key);

/* A look: holder and all registrations. */
struct lun_registration {
	uint64_t key;
	bool holder, all_ports;
	uint16_t port;
	char transport_id[PR_TRANSPORT_ID_MAX]; /* text; empty: unknown */
};

struct lun_look {
	bool ok;
	char failure[LUN_MESSAGE_MAX]; /* why not: "READ KEYS: CHECK CONDITION: ..." */
	bool no_reservations;          /* the device does not know PERSISTENT RESERVE IN */
	bool full;                     /* by READ FULL STATUS: transport ids and ports are known */
	uint32_t generation, duration_us;
	bool held;
	uint64_t holder; /* 0: all registrants hold it, or nobody does */
	enum pr_type type;
	uint64_t own_key; /* this nexus' key as far as we registered it ourselves; 0: unknown */
	unsigned count, available;
	struct lun_registration registrations[LUN_KEYS_MAX];
};

json_t *lun_look_json(const struct lun_look *look, const struct lun_context *context);
bool lun_look_has_key(const struct lun_look *look, uint64_t key);
/* The key is the holder's, or, with the all-registrants types, any registrant's. */
bool lun_look_holds(const struct lun_look *look, uint64_t key);
bool lun_type_is_all_registrants(enum pr_type type);

/* Steps. */
enum lun_verb {
	LUN_VERB_SHOW,
	LUN_VERB_KEYS,
	LUN_VERB_CAPABILITIES,
	LUN_VERB_REGISTER,
	LUN_VERB_UNREGISTER,
	LUN_VERB_RESERVE,
	LUN_VERB_RELEASE,
	LUN_VERB_PREEMPT,
	LUN_VERB_CLEAR,
	LUN_VERB_TEST,  /* TEST UNIT READY */
	LUN_VERB_RESET, /* LOGICAL UNIT RESET */
	LUN_VERB_SLEEP,
	LUN_VERBS,
};

struct lun_step {
	enum lun_verb verb;
	struct cli_number key, new_key, victim, raw_key, raw_service_key;
	const char *type_text;
	enum pr_type type; /* NONE: not given */
	bool aptpl, all_ports, abort, ignore, all_paths, force, verbose;
	bool move, unregister_after_move;
	const char *path;
	const char *to_initiator, *to_transport_id;
	struct cli_number to_isid, target_port;
	uint32_t sleep_ms;
	uint8_t transport_id[PR_TRANSPORT_ID_MAX];
	uint32_t transport_id_length;
};

const char *lun_verb_name(enum lun_verb verb);
const char *lun_verb_doing(enum lun_verb verb); /* "sending RESERVE", for "given up while ..." */
bool lun_verb_orders(enum lun_verb verb);       /* sends PERSISTENT RESERVE OUT, or a reset */

/* The rows of an option table for what a step of this verb may say; at most LUN_STEP_OPTIONS_MAX
 * with the end. */
#define LUN_STEP_OPTIONS_MAX 32
size_t lun_step_options(struct lun_step *step, struct cli_option *options);
/* After parsing: numbers and names made of texts, what is missing said. 0 or -EINVAL with a
 * message. */
int lun_step_check(struct lun_step *step, char *message, size_t size);
/* "register --key 1; reserve --key 1 --type we-ro; keys", from text that must outlive the steps
 * (words points into it). Returns 0 or -EINVAL with a message that names the step. */
struct lun_script {
	struct lun_step steps[LUN_STEPS_MAX];
	size_t count;
	char **words[LUN_STEPS_MAX];
};
int lun_script_parse(struct lun_script *script, const char *text, char *message, size_t size);
void lun_script_free(struct lun_script *script);

/* What a step is going to do, given what a look showed. Pure. */
struct lun_effect {
	uint64_t key;
	char text[160]; /* "loses its registration and the reservation" */
};

struct lun_plan {
	struct pr_out order;       /* key, service key, type; the same for every path */
	bool dangerous;            /* needs --force */
	char why[LUN_MESSAGE_MAX]; /* what is dangerous about it, or why it is refused */
	bool refused;
	struct lun_effect effects[LUN_KEYS_MAX];
	unsigned effect_count;
	char hint[LUN_MESSAGE_MAX]; /* may be empty */
};

/* own: the transport id of this nexus as text, or "" if it is not known. */
void lun_plan_make(struct lun_plan *plan, const struct lun_step *step, const struct lun_look *look,
		   const struct lun_context *context, const char *own);
/* A sentence about an order that was answered by RESERVATION CONFLICT or refused. Pure. */
const char *lun_plan_explain(const struct lun_step *step, const struct pr_out *order,
			     const struct scsi_result *result, const struct lun_look *look,
			     const struct lun_context *context, char *buffer, size_t size);

/* An order that was answered GOOD: "" when the look behind it shows what it says, else what it
 * shows instead. own: as for lun_plan_make(). Returns text. Pure. */
const char *lun_plan_prove(const struct pr_out *order, const struct lun_look *before,
			   const struct lun_look *after, const char *own, char *text, size_t size);

/* Fleet. */
struct lun_fleet;

struct lun_job;

struct lun_fleet_options {
	const struct lun_context *context;
	/* Instead of a script: on a device that is open and identified. It ends by
	 * lun_job_steps_done() or lun_job_fail(). */
	void (*run)(struct lun_job *job);
	void (*interrupt)(struct lun_job *job, const char *why); /* end soon */
	void (*path_changed)(struct lun_job *job, struct path *path);
	void (*finish)(struct lun_job *job); /* it is closed: free job->extra */
	bool unidentified;                   /* run() on whatever answers there */
	void *user;
	bool keep;         /* sessions stay open between runs (shell, --hold) */
	const char *doing; /* for progress; NULL: none is shown */
};

struct lun_fleet *lun_fleet_new(const struct lun_devices *devices,
				const struct lun_fleet_options *options);
/* Carries the steps out on every device, returns when all are through (or were interrupted).
 * Results are appended to each device's. */
void lun_fleet_run(struct lun_fleet *fleet, const struct lun_script *script);
/* Keeps the sessions until a signal comes, or for ms (0: for ever). */
void lun_fleet_hold(struct lun_fleet *fleet, uint32_t ms);
/* {"devices":[{"device":...,"ok":...,"steps":[...]}],"summary":{...}}; new reference. Results are
 * forgotten. */
json_t *lun_fleet_results(struct lun_fleet *fleet);
bool lun_fleet_interrupted(const struct lun_fleet *fleet);
uv_loop_t *lun_fleet_loop(struct lun_fleet *fleet);
void lun_fleet_free(struct lun_fleet *fleet);

/* All path kinds that tools know. */
extern const struct path_kind *const lun_path_kinds[];

/* Text from results (cli_exit to end with is in the summary). */
void lun_print_results(json_t *results, const struct lun_context *context);
int lun_results_exit(json_t *results);

/* Subcommands in files of their own. */
int cmd_lun_list(int argc, char **argv);
int cmd_lun_probe(int argc, char **argv);
int cmd_lun_shell(int argc, char **argv);

#endif
