/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions: their states, what users are told of them, beginning and end. Callbacks to users (done,
 * changed, closed) are made from run_work() only, never from within a call of theirs or of the
 * transport, so a user may do anything in them.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "iscsi/initiator_session.h"

#define LOGIN_TIMEOUT_DEFAULT_MS 5000
#define LOGOUT_TIMEOUT_MS 500

/* All sessions of all loops; the lock is for processes with a loop per thread, a session itself
 * belongs to its loop. */
TAILQ_HEAD(session_list, session);
static struct session_list sessions = TAILQ_HEAD_INITIALIZER(sessions);
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

static void run_work(uv_idle_t *handle);
static void timer_fired(uv_timer_t *timer);
static void poll_event(uv_poll_t *poll, int status, int events);
static void session_dismantle(struct session *session);

void session_want_work(struct session *session)
{
	if (session->state != SESSION_GONE)
		uv_idle_start(&session->work, run_work);
}

/* The timer may fire too early, never too late. */
void session_want_timer(struct session *session, uint64_t when_us)
{
	uint64_t now;

	if (session->state == SESSION_GONE || (session->timer_us && session->timer_us <= when_us))
		return;
	now = session_now_us();
	session->timer_us = when_us;
	uv_update_time(session->loop);
	uv_timer_start(&session->timer, timer_fired,
		       when_us > now ? (when_us - now + 999) / 1000 : 0, 0);
}

static void announce(struct session *session, struct path_iscsi *path)
{
	if (path->has_news)
		return;
	path->has_news = true;
	TAILQ_INSERT_TAIL(&session->news, path, news);
	session_want_work(session);
}

static void poll_closed(uv_handle_t *handle)
{
	struct session *session = handle->data;

	free(handle);
	session->handles--;
	if (session->state == SESSION_GONE)
		session_free_if_unused(session);
}

void session_close_transport(struct session *session)
{
	if (session->poll) {
		uv_poll_stop(session->poll);
		uv_close((uv_handle_t *)session->poll, poll_closed);
		session->poll = NULL;
	}
	if (session->transport)
		transport_free(session->transport); /* answers what is unanswered, so before the
						       tasks go */
	session->transport = NULL;
	session->transport_error = 0;
	tasks_end_all(session);
}

/* To DOWN, from UP or CONNECTING; session->reason says why. */
void session_down(struct session *session)
{
	struct path_iscsi *path;

	session_close_transport(session);
	login_cancel_race(session);
	if (session->state == SESSION_LEAVING) {
		session_dismantle(session);
		return;
	}
	session->state = SESSION_DOWN;
	session->login_deadline_us = 0;
	for (path = TAILQ_FIRST(&session->paths); path; path = TAILQ_NEXT(path, link)) {
		path->base.state = PATH_STATE_DOWN;
		announce(session, path);
	}
}

static void session_up(struct session *session)
{
	struct path_iscsi *path;

	session->state = SESSION_UP;
	session->login_deadline_us = 0;
	snprintf(session->reason, REASON_MAX, "logged in");
	for (path = TAILQ_FIRST(&session->paths); path; path = TAILQ_NEXT(path, link))
		announce(session, path);
}

static void update_poll(struct session *session)
{
	int events, wanted;

	if (!session->poll)
		return;
	events = transport_events(session->transport);
	wanted = (events & POLLIN ? UV_READABLE : 0) | (events & POLLOUT ? UV_WRITABLE : 0);
	if (wanted != session->poll_events) {
		session->poll_events = wanted;
		uv_poll_start(session->poll, wanted, poll_event);
	}
}

int session_start_poll(struct session *session)
{
	session->poll = calloc(1, sizeof(*session->poll));
	if (!session->poll)
		return -ENOMEM;
	if (uv_poll_init(session->loop, session->poll, transport_fd(session->transport)) < 0) {
		free(session->poll);
		session->poll = NULL;
		return -ENOMEM;
	}
	session->poll->data = session;
	session->handles++;
	session->poll_events = 0;
	update_poll(session);
	return 0;
}

/* After the transport was serviced: what it found out is acted upon here, outside of its
 * callbacks. */
static void after_service(struct session *session, int error)
{
	if (session->login_ended && session->state == SESSION_CONNECTING) {
		session->login_ended = false;
		if (session->login_error == 0) {
			session_up(session);
		} else if (session->login_error == -EREMCHG &&
			   login_follow_redirect(session) == 0) {
			session_close_transport(session);
			login_resolve(session);
			return;
		}
	}
	if (error && !session->transport_error) {
		session->transport_error = error;
		if (session->state == SESSION_CONNECTING)
			login_explain(session, transport_message(session->transport));
		else
			snprintf(session->reason, REASON_MAX, "%s",
				 transport_message(session->transport));
	}
	if (session->transport_error)
		session_down(session);
	update_poll(session);
}

static void service(struct session *session, int revents)
{
	after_service(session, transport_service(session->transport, revents));
	session_want_work(session);
}

static void poll_event(uv_poll_t *poll, int status, int events)
{
	struct session *session = poll->data;

	if (session->poll != poll)
		return;
	if (status < 0) {
		session->poll_events = 0; /* libuv has stopped the handle */
		service(session, POLLERR);
		return;
	}
	service(session,
		(events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0));
}

static void timer_fired(uv_timer_t *timer)
{
	struct session *session = timer->data;
	uint64_t now = session_now_us(), next = session->login_deadline_us;

	session->timer_us = 0;
	if (next && next <= now) {
		if (session->state == SESSION_CONNECTING) {
			char text[100];

			snprintf(text, sizeof(text), "no answer to %s in %u ms",
				 session->resolving ? "the question for the host's address"
						    : "connect and login",
				 session->config.login_timeout_ms);
			session->several = session->several && !session->race;
			login_explain(session, text);
		}
		session_down(session);
		return;
	}
	/* The loop, or the whole process, may have stood still: then answers have come in time and
	 * were not looked at. */
	if (session->state == SESSION_UP && tasks_any_expired(session, now))
		service(session, POLLIN);
	tasks_give_up_expired(session, now, &next);
	if (next)
		session_want_timer(session, next);
	session_want_work(session);
}

static void deliver_ended(struct scsi_request *request)
{
	while (request) {
		struct scsi_request *next = request->path_private.node[0];

		request->done(request);
		request = next;
	}
}

static void deliver_news(struct session *session)
{
	struct path_iscsi *path;
	char reason[REASON_MAX];
	unsigned count = 0;

	for (path = TAILQ_FIRST(&session->news); path; path = TAILQ_NEXT(path, news))
		count++;
	/* What users cause in changed() is told the next time. */
	while (count-- && (path = TAILQ_FIRST(&session->news))) {
		TAILQ_REMOVE(&session->news, path, news);
		path->has_news = false;
		if (session->state == SESSION_UP)
			path->base.state = PATH_STATE_UP;
		memcpy(reason, session->reason, sizeof(reason));
		if (path->base.changed)
			path->base.changed(&path->base, path->base.state, reason, path->base.user);
		/* Freed at the earliest by the next run_work(). */
		if (session->state == SESSION_CONNECTING && !path->closing)
			path->base.state = PATH_STATE_CONNECTING;
	}
}

static void deliver_closed(struct paths *closing)
{
	struct path_iscsi *path;

	while ((path = TAILQ_FIRST(closing))) {
		void (*closed)(void *user) = path->closed;
		void *user = path->closed_user;

		TAILQ_REMOVE(closing, path, link);
		free(path);
		if (closed)
			closed(user);
	}
}

static void run_work(uv_idle_t *handle)
{
	struct session *session = handle->data;
	struct paths closing = TAILQ_HEAD_INITIALIZER(closing);
	struct scsi_request *ended;

	uv_idle_stop(handle);
	if (session->start) {
		session->start = false;
		login_resolve(session);
	}
	if (session->transport_error)
		session_down(session);
	if (session->state == SESSION_UP)
		tasks_dispatch(session);
	if (session->transport && session->dirty) {
		session->dirty = false;
		after_service(session, transport_service(session->transport, POLLOUT));
	}
	tasks_reclaim(session);
	/* A path's requests have ended before it was put into the list of closing ones. */
	if (session->state < SESSION_LEAVING)
		TAILQ_CONCAT(&closing, &session->closing, link);
	ended = session->ended;
	session->ended = NULL;
	session->ended_tail = &session->ended;
	deliver_ended(ended);
	deliver_news(session);
	deliver_closed(&closing);
}

void session_free_if_unused(struct session *session)
{
	if (session->handles || session->resolving)
		return;
	deliver_ended(session->ended);
	deliver_closed(&session->closing);
	free(session);
}

static void handle_closed(uv_handle_t *handle)
{
	struct session *session = handle->data;

	session->handles--;
	session_free_if_unused(session);
}

static void session_dismantle(struct session *session)
{
	if (session->state == SESSION_GONE)
		return;
	session->state = SESSION_GONE;
	session_close_transport(session);
	login_cancel_race(session);
	if (session->resolving)
		uv_cancel((uv_req_t *)&session->resolver);
	uv_close((uv_handle_t *)&session->timer, handle_closed);
	uv_close((uv_handle_t *)&session->work, handle_closed);
}

static void logout_answered(struct transport_management *management, int response)
{
	struct session *session = container_of(management, struct session, logout);

	(void)response;
	session->transport_error = -ESHUTDOWN;
}

static void session_begin_leaving(struct session *session)
{
	pthread_mutex_lock(&sessions_lock);
	TAILQ_REMOVE(&sessions, session, link);
	pthread_mutex_unlock(&sessions_lock);
	if (session->state == SESSION_UP && !session->transport_error) {
		session->state = SESSION_LEAVING;
		session->logout.answered = logout_answered;
		if (transport_logout(session->transport, &session->logout) == 0) {
			session->dirty = true;
			session->login_deadline_us = session_now_us() + LOGOUT_TIMEOUT_MS * 1000;
			session_want_timer(session, session->login_deadline_us);
			session_want_work(session);
			return;
		}
	}
	session_dismantle(session);
}

static bool config_same(const struct session_config *a, const struct session_config *b)
{
	return !strcmp(a->url.host, b->url.host) && a->url.port == b->url.port &&
	       /* however it is spelled: two sessions with one ISID would end each other */
	       !strcasecmp(a->url.target, b->url.target) &&
	       !strcmp(a->initiator_name, b->initiator_name) &&
	       !strcmp(a->secrets_file, b->secrets_file) &&
	       a->isid_qualifier == b->isid_qualifier && a->header_digest == b->header_digest;
}

static struct session *session_find(uv_loop_t *loop, const struct session_config *config)
{
	struct session *session;

	pthread_mutex_lock(&sessions_lock);
	for (session = TAILQ_FIRST(&sessions); session; session = TAILQ_NEXT(session, link)) {
		if (session->loop == loop && config_same(&session->config, config))
			break;
	}
	pthread_mutex_unlock(&sessions_lock);
	return session;
}

/* libiscsi writes data with writev(), so a connection that was reset would end the process. */
static void ignore_broken_pipes(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

static struct session *session_new(uv_loop_t *loop, const struct session_config *config)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	ignore_broken_pipes();
	session->loop = loop;
	session->config = *config;
	if (!session->config.login_timeout_ms)
		session->config.login_timeout_ms = LOGIN_TIMEOUT_DEFAULT_MS;
	TAILQ_INIT(&session->paths);
	TAILQ_INIT(&session->news);
	TAILQ_INIT(&session->closing);
	TAILQ_INIT(&session->queued);
	TAILQ_INIT(&session->sent);
	TAILQ_INIT(&session->given_up);
	session->ended_tail = &session->ended;
	uv_timer_init(loop, &session->timer);
	session->timer.data = session;
	uv_idle_init(loop, &session->work);
	session->work.data = session;
	session->handles = 2;
	pthread_mutex_lock(&sessions_lock);
	TAILQ_INSERT_TAIL(&sessions, session, link);
	pthread_mutex_unlock(&sessions_lock);
	return session;
}

int session_join(uv_loop_t *loop, const struct session_config *config, struct path_iscsi *path)
{
	struct session *session = session_find(loop, config);

	if (!session)
		session = session_new(loop, config);
	if (!session)
		return -ENOMEM;
	path->session = session;
	path->base.state = PATH_STATE_CONNECTING;
	TAILQ_INIT(&path->blocked);
	TAILQ_INSERT_TAIL(&session->paths, path, link);
	if (session->state == SESSION_UP)
		announce(session, path);
	else
		session_reconnect(session);
	return 0;
}

void session_reconnect(struct session *session)
{
	struct path_iscsi *path;

	if (session->state != SESSION_DOWN)
		return;
	login_start(session);
	/* Who has still to be told that it was down becomes CONNECTING behind that. */
	for (path = TAILQ_FIRST(&session->paths); path; path = TAILQ_NEXT(path, link)) {
		if (!path->has_news)
			path->base.state = PATH_STATE_CONNECTING;
	}
}

void session_leave(struct path_iscsi *path)
{
	struct session *session = path->session;

	path->closing = true;
	path->base.state = PATH_STATE_DOWN;
	if (path->has_news)
		TAILQ_REMOVE(&session->news, path, news);
	path->has_news = false;
	tasks_cancel(path);
	TAILQ_REMOVE(&session->paths, path, link);
	TAILQ_INSERT_TAIL(&session->closing, path, link);
	session_want_work(session);
	if (TAILQ_EMPTY(&session->paths))
		session_begin_leaving(session);
}
