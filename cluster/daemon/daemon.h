/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon as a whole: what its groups share. One libuv loop; whatever can block runs on workers.
 */
#ifndef CLUSTER_DAEMON_DAEMON_H
#define CLUSTER_DAEMON_DAEMON_H

#include <jansson.h>
#include <sys/types.h>
#include <uv.h>

#include "cluster/config/config.h"
#include "cluster/control/control.h"
#include "cluster/group/group.h"

struct daemon_devices;
struct daemon_watchdog;

enum daemon_phase {
	DAEMON_PHASE_RUNNING,
	DAEMON_PHASE_HANDING_OVER, /* clean stop: groups are handing over */
	DAEMON_PHASE_CLOSING,
};

enum daemon_end {
	DAEMON_END_HAND_OVER, /* a clean stop: every group hands over */
	DAEMON_END_AGAIN,     /* what runs is left running, and this program is begun anew */
};

/* What is wrong with the daemon itself, in the status until it has ended. */
enum daemon_alarm { DAEMON_ALARM_STATE_FOLDER, DAEMON_ALARM_RUN_FOLDER, DAEMON_ALARMS };

struct daemon_alarm_text {
	char text[1024]; /* empty: nothing */
	uint64_t since_ms;
};

struct daemon {
	struct group_home home; /* what groups see of it */
	struct daemon_retired
		*retired; /* trees that groups which are being given up still point into */
	const char *config_path, *state_folder;
	bool node_given; /* by --node: it is no host name */
	bool check_only;
	void (*end)(struct daemon *daemon, enum daemon_end how); /* begins it, and returns */
	struct control *control;
	struct daemon_watchdog *watchdog; /* NULL: none is configured */
	struct group **groups;
	size_t group_count;
	enum daemon_phase phase;
	bool leave_running; /* CLOSING: gates and services stay; another daemon adopts them */
	bool again;         /* ... and that one is made at once, in this process */
	uint64_t started_ms, closing_since_ms;
	struct control_request
		*stop_request; /* who asked for the clean stop, to be told when it is done */
	uv_timer_t closing_timer, alive_timer, folders_timer;
	struct daemon_alarm_text alarms[DAEMON_ALARMS];
	ino_t control_inode;  /* of the socket's file */
	bool run_folder_lost; /* and not everything in it is as it was */
	struct daemon_devices *devices;
	uv_signal_t signals[3];
	unsigned closing_groups;
};

/* devices.c: groups are told when the kernel's devices have changed. 0 or -ENOMEM. */
int daemon_devices_open(struct daemon *daemon);
void daemon_devices_close(struct daemon *daemon);

/* folders.c. Makes the run folder, whose name is absolute then. 0, or -1 after a message. */
int daemon_folders_make(struct daemon *daemon);
/* Looks every second whether the run folder is there, and puts it back. */
void daemon_folders_watch(struct daemon *daemon);
int daemon_control_open(struct daemon *daemon, char *message, size_t size); /* see control_open() */
void daemon_state_trouble(const char *message, void *user); /* for claims_on_trouble() */
json_t *daemon_alarms_json(const struct daemon *daemon);    /* new reference */

/* commands.c */
extern const struct control_command daemon_commands[];

struct daemon_retired {
	struct daemon_retired *next;
	struct config *config;
};

/* reload.c: reads the configuration again and applies the difference. Returns 0, or -EINVAL
 * with nothing changed; answer (new reference) tells what was done, or every fault. */
int daemon_reload(struct daemon *daemon, json_t **answer);

/* watchdog_judge.c. Returns 0, also when none is configured, or -1 after a message. */
int daemon_watchdog_open(struct daemon *daemon);
/* Takes the configuration in force; another device only with the next start. */
void daemon_watchdog_reconfigure(struct daemon *daemon);
/* The groups are about to be closed, with their services left running: until then it is fed on. */
void daemon_watchdog_leave(struct daemon *daemon);
/* Disarms it, or, when services are left running, leaves it to the daemon that comes next. */
void daemon_watchdog_close(struct daemon *daemon);
json_t *daemon_watchdog_json(const struct daemon *daemon); /* new reference; null: none */

/* daemon.c */
struct group *daemon_find_group(const struct daemon *daemon,
				const char *name); /* a group's or one of its LUNs' name */
/* Opens it, if it is for this node and no group that is there still meets it. 0 or -errno. */
int daemon_add_group(struct daemon *daemon, const struct config_group *config);
void daemon_forget_group(struct daemon *daemon, const struct group *group); /* it is closed */
/* Closes the groups that were given up and are done; each is opened anew if the configuration then
 * has one of its name. True: some are released, and not done yet. */
bool daemon_close_dropped(struct daemon *daemon);
/* Frees the retired trees that no group points into any more. */
void daemon_free_retired(struct daemon *daemon);

/* Records an event of the daemon itself. */
void daemon_note(struct daemon *daemon, const char *kind, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
