/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's side of a gate: the nbdkit process through which a group's iSCSI LUNs are used (see
 * cluster/gate/plugin/plugin.c). Starts it or finds it running, keeps a connection to its control socket,
 * switches it, and offers the gate's own nexuses as paths. The process outlives the daemon and its
 * restarts; a gate that is open stays open meanwhile.
 */
#ifndef CLUSTER_GATE_NBDKIT_GATE_H
#define CLUSTER_GATE_NBDKIT_GATE_H

#include <uv.h>

#include "cluster/gate/wire.h"
#include "scsi/path.h"

#define GATE_HOLD_LIMIT_DEFAULT_MS 40000u
#define GATE_GIVE_UP_DEFAULT_MS 30000u

struct gate;

struct gate_lun_setup {
	const char *name; /* letters, digits, '.', '_', '-' */
	const char *url;
	const char *wwid; /* NULL: not checked */
	bool header_digest, data_digest;
	bool zero_covered, trim_covered;
};

struct gate_setup {
	const char *run_folder; /* RUN; the gate's files go to RUN/gate/GROUP/ */
	const char *group;
	const char *initiator_name; /* NULL: the system's */
	const char *secrets_file;   /* NULL: none */
	uint32_t hold_limit_ms; /* 0: GATE_HOLD_LIMIT_DEFAULT_MS; say twice the loss tolerance */
	uint32_t give_up_ms;    /* 0: GATE_GIVE_UP_DEFAULT_MS */
	const char *nbdkit;     /* NULL: "nbdkit", by PATH */
	const char *plugin; /* NULL: LUNKEEPER_GATE in the environment, else where it was built or
			       installed */
	const struct gate_lun_setup *luns;
	size_t lun_count; /* 1..GATE_LUNS_MAX */
};

/* All are called from the loop, never from within a gate_...() call. Any may be NULL. */
struct gate_events {
	/* Connected, and the process's snapshot read: gate_view() and gate_lun_view() are valid.
	 * found: the process was there already. Comes again after every `down`. */
	void (*up)(struct gate *gate, bool found, void *user);
	/* No process, or no connection to it. Tried again by itself (a process found dead is
	 * started again); the paths are DOWN meanwhile. Whether the process still lives and serves
	 * is not known here. */
	void (*down)(struct gate *gate, const char *reason, void *user);
	/* State, cause or quiet changed, ordered or not: look at gate_view(). */
	void (*changed)(struct gate *gate, void *user);
	/* The nexus of `lun` came or went, or its reason changed: look at gate_lun_view(). fresh: a
	 * new nexus, not registered; false with a nexus that is up: the one that the previous
	 * connection knew, or as found when the daemon started. */
	void (*nexus)(struct gate *gate, uint16_t lun, bool up, bool fresh, void *user);
	/* A data command took a UNIT ATTENTION (2A/03 and 2A/05: somebody preempted): a good moment
	 * to look. */
	void (*attention)(struct gate *gate, uint16_t lun, uint8_t asc, uint8_t ascq, void *user);
};

/* Begins. Returns 0 or -errno with a message for people. *gate lives until gate_close(). */
int gate_open(uv_loop_t *loop, const struct gate_setup *setup, const struct gate_events *events,
	      void *user, struct gate **gate, char *message, size_t message_size);

/* Orders a state. `changed` follows when it is reached (FAILED and HELD at once; quiet may come
 * later). An OPEN that crosses a change that nobody ordered (a conflict, a lost nexus) is not
 * obeyed: the state stays, and `changed` tells. Not connected: -ENOTCONN; the order is not kept.
 * Returns 0 when it was sent.
 *
 * I/O goes only through NBD connections made since the gate last became FAILED: a device that was
 * attached before stays dead for ever. So attach behind every FAILED, with the gate FAILED, HELD or
 * OPEN. */
int gate_set(struct gate *gate, enum gate_state state);

/* The nexus of `lun` as a path of kind "gate", for PERSISTENT RESERVE OUT, LOGICAL UNIT RESET, and
 * whatever else. It belongs to the gate (path_close() on it is not allowed); its `changed` and
 * `user` are the caller's to fill. path_reconnect() asks the process to try now. PERSISTENT RESERVE
 * OUT that registers a key is refused with -EBUSY (outcome FAILED: it had no effect) unless the
 * gate is not open and quiet. */
struct path *gate_path(struct gate *gate, uint16_t lun);

struct gate_view {
	bool connected;
	bool differs; /* the running process was started with another configuration: gate_restart()
			 when nothing uses it */
	uint32_t pid;
	enum gate_state state;
	enum gate_cause cause;
	uint16_t lun; /* whom the cause is about */
	bool quiet;
	bool refused; /* the last order, OPEN, was not obeyed: it crossed a change, or a nexus is
			 missing */
	uint32_t waiting, in_flight;
	struct gate_counters counters;   /* as of the last snapshot */
	char reason[GATE_WIRE_TEXT_MAX]; /* of the last `down` */
};
void gate_view(const struct gate *gate, struct gate_view *view);

/* No process is there: whatever is attached to it has nothing but errors. */
bool gate_is_gone(const struct gate *gate);

/* NULL: no such LUN. */
const struct gate_message_lun *gate_lun_view(const struct gate *gate, uint16_t lun);

/* Path of the NBD socket; export names are LUN names. */
const char *gate_nbd_socket(const struct gate *gate);

/* Asks for a new snapshot (counters); no event follows. */
void gate_refresh(struct gate *gate);

/* The run folder was removed and is there again: what the daemon keeps there is made anew. False:
 * the process runs, but its lock and sockets are lost, so that only who is connected knows it. */
bool gate_put_back(struct gate *gate);

/* Ends the process (only if it says that it is FAILED) and starts one with the present setup.
 * -EBUSY: not failed. */
int gate_restart(struct gate *gate);

/* stop: end the process too; the gate is failed first. Without it the process goes on as it is.
 * closed() may be NULL. */
void gate_close(struct gate *gate, bool stop, void (*closed)(void *user), void *user);

/* For clean-up without a loop (`rig down`, tests): ends whatever gate processes have their files in
 * RUN/gate. Returns how many were ended, or -errno. */
int gate_kill_all(const char *run_folder);

#endif
