/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside the daemon's side of a gate, from the bottom up: process.c (files and the process), link.c
 * (the connection and its frames), path.c (the paths), gate.c (what the group runner calls). What
 * is told upward is told by gate->process_ended and gate->link_events.
 *
 *     connect refused               connected         READY
 *  +-- SPAWNING <---- CONNECTING ------------> GREETING -----> UP
 *  |  (connects again and again) ^                 |            |
 *  +------------------> DOWN ----+ (after a delay) |            |
 *    ended, or too late  ^  ^----------------------+------------+  connection lost
 */
#ifndef CLUSTER_GATE_NBDKIT_PRIVATE_H
#define CLUSTER_GATE_NBDKIT_PRIVATE_H

#include "cluster/base/run.h"
#include "cluster/gate/nbdkit/gate.h"

#define GATE_SOCKET_MAX 108 /* sun_path */
#define GATE_FAIL_CHECK_MS 1000u
#define GATE_FAIL_CHECKS                                                                           \
	2u /* so that a daemon that was stopped for a while reads its messages first */

enum gate_link_state {
	GATE_LINK_DOWN,
	GATE_LINK_CONNECTING,
	GATE_LINK_SPAWNING,
	GATE_LINK_GREETING,
	GATE_LINK_UP
};

struct gate_path {
	struct path base; /* first */
	struct gate *gate;
	uint16_t lun;
	struct gate_message_lun info;
	bool seen; /* info is filled */
	struct gate_message_lun
		greeting; /* told while the snapshot comes in; taken over behind `up` */
	bool greeted;
};

/* One connection, with its own memory: it ends when libuv has closed it, which may be after its
 * gate. */
struct gate_connection {
	uv_pipe_t pipe;
	uv_connect_t connect;
	struct gate *gate; /* NULL: the gate has let go of it */
	size_t used;
	uint8_t input[GATE_WIRE_FRAME_MAX];
};

struct gate_link_events;

struct gate {
	uv_loop_t *loop;
	const struct gate_link_events *link_events;
	void (*process_ended)(struct gate *gate, const char *reason); /* at its very start */
	struct gate_events events;
	void *user;
	char group[GATE_NAME_MAX];
	char folder[GATE_PATH_MAX], config[GATE_PATH_MAX], log[GATE_PATH_MAX];
	char own_user[32]; /* of its process; "": this one's */
	uid_t uid;
	gid_t gid;
	char secrets[GATE_PATH_MAX]; /* what file.secrets_file is a copy of; "": none */
	struct gate_file file;
	char *text; /* of the configuration file */
	size_t text_length;
	uint64_t digest;
	char nbdkit[GATE_PATH_MAX], plugin[GATE_PATH_MAX];
	uint32_t refresh_ms;

	enum gate_link_state link;
	struct gate_connection *connection;
	struct run *process; /* the one that we started, while it lives */
	uv_timer_t retry;    /* connects again */
	uv_timer_t beat;     /* refreshes; finds out that the process does not answer */
	uv_timer_t deadline; /* of the earliest request, and of an unconfirmed FAILED */
	uv_idle_t work;      /* callbacks that must not be made from within a call */
	uint32_t delay_ms;
	uint64_t spawned_ms, refused_ms; /* refused_ms: since when a process is there that takes no
					    connection; 0: none is */
	unsigned unanswered;             /* refreshings */
	bool started; /* the process is one that we started since the last `up` */
	bool closing, quitting, restarting;
	unsigned handles; /* not yet closed */
	void (*closed)(void *user);
	void *closed_user;

	struct gate_message_snapshot snapshot;
	struct gate_message_state state;
	uint32_t sequence;
	uint64_t fail_check_ms; /* a FAILED is not confirmed: when to see about it; 0: none */
	unsigned fail_checks;
	pid_t pid; /* of the process at the other end; 0: not known */
	char reason[GATE_WIRE_TEXT_MAX];
	bool told_up;

	struct gate_path *paths;
	struct scsi_request *pending, *ended; /* linked by path_private.node[0] */
	uint32_t next_id;
	uint8_t output[GATE_WIRE_FRAME_MAX];
};

static inline uint64_t gate_now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* link.c */
/* What the connection tells, to gate and paths. */
struct gate_link_events {
	void (*lost)(struct gate *gate);  /* it is over, or an attempt was: gate->reason says why */
	void (*ended)(struct gate *gate); /* the same while the gate is closing */
	/* Of a LUN; found: in the first snapshot of a connection to a process that was there. */
	void (*lun)(struct gate_path *path, const struct gate_message_lun *info, bool found);
	void (*answer)(struct gate *gate, const struct gate_message_done *done);
	/* Ends what has waited long enough; returns when the next one has (ms), 0: none. */
	uint64_t (*expire)(struct gate *gate, uint64_t now_ms);
};

void gate_link_connect(struct gate *gate);
void gate_link_down(struct gate *gate, const char *reason);
void gate_link_greet(struct gate *gate); /* asks for a snapshot */
void gate_link_retry(struct gate *gate, uint32_t delay_ms);
int gate_link_send(struct gate *gate, const struct gate_message *message);
/* Something has a deadline now. */
void gate_link_watch(struct gate *gate);
/* Drops the connection without a word to anybody. */
void gate_link_forget(struct gate *gate);

/* process.c */
/* Fills folder, files and configuration text. */
int gate_process_prepare(struct gate *gate, const struct gate_setup *setup, char *message,
			 size_t size);
/* Writes the configuration and starts the process. Returns 0 or -errno with gate->reason. */
int gate_process_spawn(struct gate *gate);
/* The process that has the group's lock; 0: none. */
/* Folders and configuration, which were removed. 0 or -errno. */
int gate_process_put_back(struct gate *gate);
pid_t gate_process_present(const struct gate *gate);
void gate_process_kill(struct gate *gate);

/* path.c */
void path_gate_init(struct gate *gate, uint16_t lun);
/* What the gate process says of the LUN. found: told in the first snapshot of a connection. */
void path_gate_update(struct gate_path *path, const struct gate_message_lun *info, bool found);
void path_gate_lost(struct gate_path *path, const char *reason);
void path_gate_answer(struct gate *gate, const struct gate_message_done *done);
/* Ends all requests of all paths: UNKNOWN with this error. */
void path_gate_end_all(struct gate *gate, int error);
void path_gate_run_ended(struct gate *gate);
/* Ends those whose time has come; returns when the next one's comes (ms), 0: none. */
uint64_t path_gate_expire(struct gate *gate, uint64_t now_ms);

#endif
