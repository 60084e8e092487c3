/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A path: one I_T nexus to one logical unit, with commands in flight on a libuv loop. Kinds: `sg`
 * (scsi/path_sg.c), `iscsi` (iscsi/path_iscsi.c), and the gate's nexus (cluster/gate/nbdkit/path.c).
 * Libraries without policy: a path retries nothing, logs nothing, and never makes a new session by
 * itself, because a new session is a new nexus.
 */
#ifndef SCSI_PATH_H
#define SCSI_PATH_H

#include <uv.h>

#include "scsi/scsi.h"

#define PATH_NAME_MAX 400
#define PATHS_MAX 16 /* of one logical unit, on one node */

struct path;

enum path_state {
	PATH_STATE_CONNECTING, /* nothing can be sent yet: path_submit() ends with -ENOTCONN */
	PATH_STATE_UP,
	PATH_STATE_DOWN, /* the nexus is gone; path_reconnect() makes a new one */
};

/* state changed; a change from not-UP to UP is always a *new nexus*, which the target may not know
 * by any registration. reason: for people, "connection refused", "login rejected: authentication
 * failure (0201h)", ...; valid during the call. */
typedef void path_state_changed(struct path *path, enum path_state state, const char *reason,
				void *user);

struct path_ops {
	const char *kind; /* "sg", "iscsi", "gate" */
	void (*submit)(struct path *path, struct scsi_request *request);
	/* LOGICAL UNIT RESET (SAM-5 7.7); request carries timeout_ms, done and result only. */
	void (*reset)(struct path *path, struct scsi_request *request);
	void (*reconnect)(struct path *path);
	void (*close)(struct path *path, void (*closed)(void *user), void *user);
};

/* Kinds embed this first in their own struct. Readable by all, written by the kind only. */
struct path {
	const struct path_ops *ops;
	uv_loop_t *loop;
	enum path_state state;
	char name[PATH_NAME_MAX]; /* "/dev/sg3", "iscsi://10.0.0.1:3260/iqn.x:san/3" (no password
				     ever) */
	uint32_t left_behind; /* commands whose time ran out and which the kernel still has: the sg
				 kind only */
	path_state_changed *changed;
	void *user;
	struct path_later *later; /* of path_submit_later(); kinds leave it zero */
};

/* Sends a command. done() is called exactly once, later, also when the path goes down (UNKNOWN,
 * -ENOTCONN), when the time-out runs out (UNKNOWN, -ETIMEDOUT; the iscsi kind sends ABORT TASK
 * behind it, the sg kind leaves the command to the kernel, which keeps one of the path's workers
 * until it ends), and when the path is closed (UNKNOWN, -ECANCELED). */
void path_submit(struct path *path, struct scsi_request *request);
void path_reset_logical_unit(struct path *path, struct scsi_request *request);
/* The same after wait_ms, out of which no time-out is taken. Until then the request is the path's
 * already: closing the path ends it as it ends the others, but at once. */
void path_submit_later(struct path *path, struct scsi_request *request, uint32_t wait_ms);
/* No effect unless DOWN. The outcome is reported by `changed`. */
void path_reconnect(struct path *path);
/* Ends all requests, then calls closed() (may be NULL) and frees the path. */
void path_close(struct path *path, void (*closed)(void *user), void *user);

/* Ways to open a device specification. The caller that knows all kinds (tools, cluster) passes a
 * NULL-ended list, so that scsi/ need not know iscsi/. */
struct path_open_options {
	const char *initiator_name; /* iscsi; NULL: the system's (/etc/iscsi/initiatorname.iscsi) */
	uint16_t isid_qualifier;    /* iscsi: RFC 7143 11.12.5 qualifier; bytes 0-3 of the ISID are
				       fixed by us */
	const char *secrets_file;   /* iscsi CHAP, see iscsi/secrets.h; NULL: none */
	bool header_digest, data_digest;
	uint32_t login_timeout_ms; /* 0: 5000 */
	path_state_changed *changed;
	void *user;
};

struct path_kind {
	const char *name;
	bool (*claims)(const char *specification);
	/* Opens every path of the device (a dm-multipath map's members; one for a URL). Paths start
	 * CONNECTING and report by options->changed. *paths: capacity PATHS_MAX; *count set.
	 * Returns 0 or -errno, with a message for people that names the device and says what to do.
	 */
	int (*open)(uv_loop_t *loop, const char *specification,
		    const struct path_open_options *options, struct path **paths, size_t *count,
		    char *message, size_t message_size);
};

/* Finds the kind and opens. -ENODEV when no kind claims the specification. */
int path_open_all(const struct path_kind *const *kinds, uv_loop_t *loop, const char *specification,
		  const struct path_open_options *options, struct path **paths, size_t *count,
		  char *message, size_t message_size);

extern const struct path_kind path_kind_sg;

#endif
