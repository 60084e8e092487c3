/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions on a libuv loop, shared: all logical units of a target and portal that are opened with
 * the same initiator name, qualifier, digest and secrets file on the same loop use one session.
 * This is the machinery of path_iscsi.c.
 *
 *              open, reconnect          logged in
 *     DOWN ---------------------> CONNECTING ------> UP
 *      ^                              |               |
 *      +------------------------------+---------------+   refused, login failed, timed out;
 * connection lost
 *
 * A session is never made again by itself. Its timer runs only while something can run out.
 */
#ifndef ISCSI_INITIATOR_H
#define ISCSI_INITIATOR_H

#include <sys/queue.h>

#include "iscsi/url.h"
#include "scsi/path.h"

struct session;
struct task;
TAILQ_HEAD(tasks, task);

/* One logical unit on a session: the path of kind iscsi. */
struct path_iscsi {
	struct path base;
	struct session *session;
	TAILQ_ENTRY(path_iscsi) link; /* session's list of paths */
	TAILQ_ENTRY(path_iscsi)
	news;                 /* session's list of paths whose user has to be told the state */
	struct tasks blocked; /* not sent, because too many given-up ones are still at the target */
	void (*closed)(void *user);
	void *closed_user;
	uint16_t lun_field;
	uint16_t given_up; /* tasks of this path that the target still has to end */
	bool has_news, closing;
};

struct session_config {
	struct lun_url url; /* lun is not used */
	char initiator_name[LUN_URL_TARGET_MAX];
	char secrets_file[256]; /* empty: none */
	uint16_t isid_qualifier;
	bool header_digest;
	uint32_t login_timeout_ms;
};

/* Puts the path on the session that fits, which is made and logged in if need be. path->base is
 * filled in, with state CONNECTING. Returns 0 or -ENOMEM. */
int session_join(uv_loop_t *loop, const struct session_config *config, struct path_iscsi *path);
/* Ends the path's requests, calls path->closed and frees the path; the last path logs the session
 * out first. */
void session_leave(struct path_iscsi *path);
void session_submit(struct path_iscsi *path, struct scsi_request *request, bool reset);
void session_reconnect(struct session *session);

#endif
