/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files initiator*.c share: a session, its tasks, and who may change them.
 */
#ifndef ISCSI_INITIATOR_SESSION_H
#define ISCSI_INITIATOR_SESSION_H

#include <stddef.h>

#include "iscsi/initiator.h"
#include "iscsi/race.h"
#include "iscsi/transport.h"

/* Commands on their way in one session. tgt grants a window of 128, LIO 64 to 128; more would only
 * wait in libiscsi's queues, where each is searched for one by one. */
#define SESSION_DEPTH 128
/* Given-up commands of one logical unit that the target has not ended yet. A hung logical unit may
 * not use up the session's window: further commands wait here, unsent, until they are given up too.
 */
#define PATH_GIVEN_UP_MAX 8
#define REASON_MAX 400
#define ADDRESS_MAX 300

enum task_state {
	TASK_QUEUED,   /* in session->queued or path->blocked */
	TASK_SENT,     /* in session->sent: its user waits */
	TASK_GIVEN_UP, /* in session->given_up: nobody waits, the target may still work on it */
};

struct task {
	TAILQ_ENTRY(task) link;
	struct session *session;
	struct path_iscsi *path;      /* NULL once the path is closed */
	struct scsi_request *request; /* NULL once it is ended */
	struct transport_task transport;
	struct transport_management
		management; /* ABORT TASK, or the LOGICAL UNIT RESET that this is */
	uint64_t sent_us, deadline_us;
	void *copy; /* stands in for the user's buffer */
	enum task_state state;
	uint16_t lun_field;
	bool reset;
	bool answered; /* libiscsi no longer knows the command */
	bool managed;  /* libiscsi still knows the management function */
};

enum session_state { SESSION_DOWN, SESSION_CONNECTING, SESSION_UP, SESSION_LEAVING, SESSION_GONE };

TAILQ_HEAD(paths, path_iscsi);

struct session {
	TAILQ_ENTRY(session) link; /* sessions */
	uv_loop_t *loop;
	struct session_config config;
	enum session_state state;
	struct paths paths, news;
	struct paths closing; /* their user has to be told closed() */
	struct tasks queued, sent, given_up;
	struct scsi_request *ended,
		**ended_tail; /* linked by path_private.node[0]; done() has to be called */
	unsigned sent_count;
	struct transport *transport;
	struct transport_management logout;
	uv_poll_t *poll; /* of the transport's socket */
	int poll_events;
	uv_timer_t timer;
	uint64_t timer_us; /* when it fires; 0: not running */
	uint64_t login_deadline_us;
	uv_idle_t work; /* running while there is something for run_work() to do */
	uv_getaddrinfo_t resolver;
	struct race *race; /* among the host's addresses; NULL: none is on */
	bool start;        /* the login is to be started */
	bool dirty;        /* something was queued in the transport */
	bool resolving, resolve_again, login_ended;
	bool several; /* addresses, behind the host's name */
	int login_error;
	int transport_error; /* the transport is to be ended at the next chance; session->reason
				says why */
	unsigned redirects, handles;
	char host[LUN_URL_HOST_MAX]; /* of the portal, or of where it redirected us */
	uint16_t port;
	char address[ADDRESS_MAX]; /* the same, numeric */
	char reason[REASON_MAX];
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

static inline uint64_t session_now_us(void)
{
	return uv_hrtime() / 1000;
}

/* initiator.c */

/* run_work() is called soon, from the loop. */
void session_want_work(struct session *session);
/* The timer fires at that time; it may fire too early, never too late. */
void session_want_timer(struct session *session, uint64_t when_us);
/* To DOWN, from UP or CONNECTING; session->reason says why. */
void session_down(struct session *session);
void session_close_transport(struct session *session);
int session_start_poll(struct session *session);
void session_free_if_unused(struct session *session);

/* initiator_tasks.c */

/* Sends what is queued, as far as the session's depth allows. */
void tasks_dispatch(struct session *session);
/* Given-up tasks of which the target has spoken its last word are taken back from libiscsi. */
void tasks_reclaim(struct session *session);
/* Ends every task, whether libiscsi still knew it or not: the transport is gone. */
void tasks_end_all(struct session *session);
/* Ends the requests of a path that is being closed. */
void tasks_cancel(struct path_iscsi *path);
bool tasks_any_expired(const struct session *session, uint64_t now);
/* Gives up what has expired; *next becomes the earliest deadline of the others, if that is earlier
 * or *next is 0. */
void tasks_give_up_expired(struct session *session, uint64_t now, uint64_t *next);

/* initiator_login.c */

/* To CONNECTING; the rest follows from run_work(), which calls login_resolve(). */
void login_start(struct session *session);
void login_resolve(struct session *session);
/* session->reason becomes this text, with the address that it is about if the target sent us there,
 * or the host's name has several. */
void login_explain(struct session *session, const char *text);
/* The race is over for us, if there is one. */
void login_cancel_race(struct session *session);
/* Sets the host that the target named. Returns 0, or -EPROTO: nonsense, or once too often. */
int login_follow_redirect(struct session *session);

#endif
