/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions and the tasks on them. Callbacks to users (done, changed, closed) are made from
 * run_work() only, never from within a call of theirs or of the transport, so a user may do
 * anything in them.
 *
 * A task that its user has given up stays at the target until ABORT TASK, or the answer, or the
 * session's end; its memory stays here as long, with a copy of the data in place of the user's
 * buffer.
 */
#include "iscsi/initiator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/secrets.h"
#include "iscsi/transport.h"

/* Commands on their way in one session. tgt grants a window of 128, LIO 64 to 128; more would only
 * wait in libiscsi's queues, where each is searched for one by one. */
#define SESSION_DEPTH 128
/* Given-up commands of one logical unit that the target has not ended yet. A hung logical unit may
 * not use up the session's window: further commands wait here, unsent, until they are given up too.
 */
#define PATH_GIVEN_UP_MAX 8
#define LOGIN_TIMEOUT_DEFAULT_MS 5000
#define LOGOUT_TIMEOUT_MS 500
#define REDIRECTS_MAX 4
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
	bool start; /* the login is to be started */
	bool dirty; /* something was queued in the transport */
	bool resolving, login_ended;
	int login_error;
	int transport_error; /* the transport is to be ended at the next chance; session->reason
				says why */
	unsigned redirects, handles;
	char host[LUN_URL_HOST_MAX]; /* of the portal, or of where it redirected us */
	uint16_t port;
	char address[ADDRESS_MAX]; /* the same, numeric */
	char reason[REASON_MAX];
};

/* All sessions of all loops; the lock is for processes with a loop per thread, a session itself
 * belongs to its loop. */
static TAILQ_HEAD(, session) sessions = TAILQ_HEAD_INITIALIZER(sessions);
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static void run_work(uv_idle_t *handle);
static void session_free_if_unused(struct session *session);
static void session_dismantle(struct session *session);
static void start_resolving(struct session *session);

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

static void want_work(struct session *session)
{
	if (session->state != SESSION_GONE)
		uv_idle_start(&session->work, run_work);
}

static void timer_fired(uv_timer_t *timer);

/* The timer may fire too early, never too late. */
static void want_timer(struct session *session, uint64_t when_us)
{
	uint64_t now;

	if (session->state == SESSION_GONE || (session->timer_us && session->timer_us <= when_us))
		return;
	now = now_us();
	session->timer_us = when_us;
	uv_update_time(session->loop);
	uv_timer_start(&session->timer, timer_fired,
		       when_us > now ? (when_us - now + 999) / 1000 : 0, 0);
}

/* --- ends of requests and tasks --- */

static void end_request(struct session *session, struct scsi_request *request)
{
	request->path_private.node[0] = NULL;
	*session->ended_tail = request;
	session->ended_tail = (struct scsi_request **)&request->path_private.node[0];
	want_work(session);
}

static void end_request_failed(struct session *session, struct scsi_request *request, int error)
{
	uint64_t sent = request->path_private.sent_at_us;

	scsi_result_from_transport(&request->result, error);
	request->result.transferred = 0;
	request->result.duration_us = sent ? (uint32_t)(now_us() - sent) : 0;
	end_request(session, request);
}

static void task_free(struct task *task)
{
	free(task->copy);
	free(task);
}

/* Nobody outside knows the task any more: not the user, not libiscsi. */
static void task_end(struct task *task)
{
	struct session *session = task->session;

	if (task->state == TASK_SENT) {
		TAILQ_REMOVE(&session->sent, task, link);
		session->sent_count--;
	} else {
		TAILQ_REMOVE(&session->given_up, task, link);
		if (task->path && --task->path->given_up < PATH_GIVEN_UP_MAX)
			TAILQ_CONCAT(&session->queued, &task->path->blocked, link);
	}
	want_work(session);
	task_free(task);
}

/* The user's buffer is out of reach for libiscsi from here on. */
static int task_detach_data(struct task *task)
{
	if (!task->transport.data.iov_len || task->copy)
		return 0;
	task->copy = malloc(task->transport.data.iov_len);
	if (!task->copy)
		return -ENOMEM;
	if (task->transport.direction == TRANSPORT_OUT)
		memcpy(task->copy, task->transport.data.iov_base, task->transport.data.iov_len);
	task->transport.data.iov_base = task->copy;
	return 0;
}

/* Whether the task was found and aborted or not: no answer is to be expected any more, run_work()
 * takes it back. */
static void abort_answered(struct transport_management *management, int response)
{
	struct task *task = container_of(management, struct task, management);

	(void)response;
	task->managed = false;
	want_work(task->session);
}

/* Ends the request of a task that was sent; the task stays until the target has ended it. */
static void task_give_up(struct task *task, int error, bool abort)
{
	struct session *session = task->session;

	end_request_failed(session, task->request, error);
	task->request = NULL;
	TAILQ_REMOVE(&session->sent, task, link);
	session->sent_count--;
	task->state = TASK_GIVEN_UP;
	TAILQ_INSERT_TAIL(&session->given_up, task, link);
	if (task->path)
		task->path->given_up++;
	if (task->reset)
		return; /* a management function cannot be aborted */
	if (task_detach_data(task) < 0) {
		/* No other way is left to keep libiscsi out of the user's memory. */
		session->transport_error = -ENOMEM;
		snprintf(session->reason, REASON_MAX, "out of memory");
		return;
	}
	if (!abort)
		return;
	task->management.answered = abort_answered;
	task->managed =
		transport_abort(session->transport, &task->transport, &task->management) == 0;
	session->dirty = true;
}

/* Given-up tasks of which the target has spoken its last word are taken back from libiscsi. */
static void reclaim(struct session *session)
{
	struct task *task, *next;

	if (TAILQ_EMPTY(&session->given_up) || session->state != SESSION_UP ||
	    !transport_flushed(session->transport))
		return;
	for (task = TAILQ_FIRST(&session->given_up); task; task = next) {
		next = TAILQ_NEXT(task, link);
		if (task->managed)
			continue;
		if (!task->answered)
			transport_forget(session->transport, &task->transport);
		task_end(task);
	}
}

static void task_answered(struct transport_task *transport_task,
			  const struct transport_answer *answer)
{
	struct task *task = container_of(transport_task, struct task, transport);
	struct session *session = task->session;
	struct scsi_request *request = task->request;

	task->answered = true;
	if (answer->error == -ENOTCONN)
		return; /* close_transport() or reclaim() is at work, or will be */
	task->request = NULL;
	if (request && answer->error) {
		end_request_failed(session, request, answer->error);
	} else if (request) {
		scsi_result_from_status(&request->result, answer->status, answer->sense,
					answer->sense_length);
		request->result.error = 0;
		request->result.transferred = answer->transferred;
		request->result.duration_us = (uint32_t)(now_us() - task->sent_us);
		end_request(session, request);
	}
	if (!task->managed)
		task_end(task);
}

/* LOGICAL UNIT RESET done: what was sent to the logical unit before is ended there, and will not be
 * answered. */
static void end_reset_tasks(const struct task *reset)
{
	struct task *task, *next;

	for (task = TAILQ_FIRST(&reset->session->sent); task && task != reset; task = next) {
		next = TAILQ_NEXT(task, link);
		if (task->lun_field == reset->lun_field && !task->reset)
			task_give_up(task, -EIO, false);
	}
}

static void reset_answered(struct transport_management *management, int response)
{
	struct task *task = container_of(management, struct task, management);
	struct scsi_request *request = task->request;

	task->managed = false;
	if (response < 0)
		return; /* the session has ended */
	if (request) {
		memset(&request->result, 0, sizeof(request->result));
		request->result.outcome = response == 0 ? SCSI_OUTCOME_OK : SCSI_OUTCOME_FAILED;
		/* RFC 7143 11.6.1: 5 not supported, 2 no such LUN, 255 rejected. */
		request->result.error = response == 0   ? 0
					: response == 5 ? -EOPNOTSUPP
					: response == 2 ? -ENXIO
							: -EIO;
		request->result.duration_us = (uint32_t)(now_us() - task->sent_us);
		if (response == 0)
			end_reset_tasks(task);
		task->request = NULL;
		end_request(task->session, request);
	}
	task_end(task);
}

/* --- sending --- */

static void task_send(struct task *task)
{
	struct session *session = task->session;
	int error;

	if (task->reset) {
		task->answered = true; /* there is no command that libiscsi knows */
		task->management.answered = reset_answered;
		error = transport_reset(session->transport, task->lun_field, &task->management);
		task->managed = error == 0;
	} else {
		error = transport_send(session->transport, &task->transport);
	}
	if (error) {
		end_request_failed(session, task->request, error);
		task_free(task);
		return;
	}
	session->dirty = true;
	task->state = TASK_SENT;
	session->sent_count++;
	TAILQ_INSERT_TAIL(&session->sent, task, link);
}

static void dispatch(struct session *session)
{
	struct task *task;

	while (session->sent_count < SESSION_DEPTH && (task = TAILQ_FIRST(&session->queued))) {
		TAILQ_REMOVE(&session->queued, task, link);
		if (task->path->given_up >= PATH_GIVEN_UP_MAX && !task->reset)
			TAILQ_INSERT_TAIL(&task->path->blocked, task, link);
		else
			task_send(task);
	}
}

void session_submit(struct path_iscsi *path, struct scsi_request *request, bool reset)
{
	struct session *session = path->session;
	uint32_t timeout_ms = request->timeout_ms ? request->timeout_ms : SCSI_TIMEOUT_DEFAULT_MS;
	struct task *task;

	request->path_private.sent_at_us = now_us();
	if (path->closing || path->base.state != PATH_STATE_UP) {
		end_request_failed(session, request, path->closing ? -ECANCELED : -ENOTCONN);
		return;
	}
	task = calloc(1, sizeof(*task));
	if (!task) {
		end_request_failed(session, request, -ENOMEM);
		return;
	}
	task->session = session;
	task->path = path;
	task->request = request;
	task->reset = reset;
	task->lun_field = path->lun_field;
	task->sent_us = request->path_private.sent_at_us;
	task->deadline_us = task->sent_us + (uint64_t)timeout_ms * 1000;
	if (!reset) {
		task->transport.cdb = request->cdb;
		task->transport.cdb_length = request->cdb_length;
		task->transport.lun_field = path->lun_field;
		task->transport.direction = request->direction == SCSI_DIRECTION_IN ? TRANSPORT_IN
					    : request->direction == SCSI_DIRECTION_OUT
						    ? TRANSPORT_OUT
						    : TRANSPORT_NONE;
		task->transport.data.iov_base = request->data;
		task->transport.data.iov_len =
			request->direction == SCSI_DIRECTION_NONE ? 0 : request->data_length;
		task->transport.answered = task_answered;
	}
	TAILQ_INSERT_TAIL(&session->queued, task, link);
	want_timer(session, task->deadline_us);
	want_work(session);
}

/* --- states --- */

static void announce(struct session *session, struct path_iscsi *path)
{
	if (path->has_news)
		return;
	path->has_news = true;
	TAILQ_INSERT_TAIL(&session->news, path, news);
	want_work(session);
}

static void poll_closed(uv_handle_t *handle)
{
	struct session *session = handle->data;

	free(handle);
	session->handles--;
	if (session->state == SESSION_GONE)
		session_free_if_unused(session);
}

/* Every task ends here, whether libiscsi still knew it or not. */
static void end_all_tasks(struct session *session, struct tasks *tasks, int error)
{
	struct task *task;

	while ((task = TAILQ_FIRST(tasks))) {
		TAILQ_REMOVE(tasks, task, link);
		if (task->request)
			end_request_failed(session, task->request, error);
		task_free(task);
	}
}

static void close_transport(struct session *session)
{
	struct path_iscsi *path;

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
	session->sent_count = 0;
	end_all_tasks(session, &session->sent, -ENOTCONN);
	end_all_tasks(session, &session->queued, -ENOTCONN);
	end_all_tasks(session, &session->given_up, -ENOTCONN);
	TAILQ_FOREACH (path, &session->paths, link) {
		end_all_tasks(session, &path->blocked, -ENOTCONN);
		path->given_up = 0;
	}
}

/* To DOWN, from UP or CONNECTING; session->reason says why. */
static void session_down(struct session *session)
{
	struct path_iscsi *path;

	close_transport(session);
	if (session->state == SESSION_LEAVING) {
		session_dismantle(session);
		return;
	}
	session->state = SESSION_DOWN;
	session->login_deadline_us = 0;
	TAILQ_FOREACH (path, &session->paths, link) {
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
	TAILQ_FOREACH (path, &session->paths, link)
		announce(session, path);
}

/* --- logging in --- */

static void login_ended(void *user, int error)
{
	struct session *session = user;

	session->login_ended = true;
	session->login_error = error;
}

static void poll_event(uv_poll_t *poll, int status, int events);

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

static int start_poll(struct session *session)
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

static int make_transport(struct session *session)
{
	const struct session_config *config = &session->config;
	struct transport_config wanted = {
		.initiator_name = config->initiator_name,
		.target = config->url.target,
		.isid_qualifier = config->isid_qualifier,
		.header_digest = config->header_digest,
	};
	struct secrets secrets;
	int error;

	memset(&secrets, 0, sizeof(secrets));
	if (config->secrets_file[0]) {
		error = secrets_load(&secrets, config->url.target, config->secrets_file,
				     session->reason, REASON_MAX);
		if (error)
			return error;
	}
	if (secrets.found) {
		wanted.user = secrets.user;
		wanted.secret = secrets.secret;
	}
	if (secrets.mutual) {
		wanted.target_user = secrets.target_user;
		wanted.target_secret = secrets.target_secret;
	}
	session->transport = transport_new(&wanted);
	secrets_forget(&secrets);
	snprintf(session->reason, REASON_MAX, "out of memory");
	return session->transport ? 0 : -ENOMEM;
}

static void start_connecting(struct session *session)
{
	int error = make_transport(session);

	session->login_ended = false;
	if (!error) {
		error = transport_connect(session->transport, session->address, login_ended,
					  session);
		if (error)
			snprintf(session->reason, REASON_MAX, "%s",
				 transport_message(session->transport));
		else
			error = start_poll(session);
	}
	if (error)
		session_down(session);
}

/* Brackets an IPv6 address. */
static void set_address(struct session *session, const char *numeric, uint16_t port)
{
	bool v6 = strchr(numeric, ':') != NULL;

	snprintf(session->address, ADDRESS_MAX, "%s%s%s:%u", v6 ? "[" : "", numeric, v6 ? "]" : "",
		 port);
}

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *answer)
{
	struct session *session = request->data;
	char text[INET6_ADDRSTRLEN] = "";

	session->resolving = false;
	for (struct addrinfo *entry = answer; entry && !text[0]; entry = entry->ai_next) {
		if (entry->ai_family == AF_INET)
			uv_ip4_name((struct sockaddr_in *)(void *)entry->ai_addr, text,
				    sizeof(text));
		else if (entry->ai_family == AF_INET6)
			uv_ip6_name((struct sockaddr_in6 *)(void *)entry->ai_addr, text,
				    sizeof(text));
	}
	uv_freeaddrinfo(answer);
	if (session->state == SESSION_GONE) {
		session_free_if_unused(session);
		return;
	}
	if (session->state != SESSION_CONNECTING || !session->login_deadline_us)
		return; /* timed out meanwhile */
	if (!text[0]) {
		snprintf(session->reason, REASON_MAX, "host name %s: %s", session->host,
			 status < 0 ? uv_strerror(status) : "has no address");
		session_down(session);
		return;
	}
	set_address(session, text, session->port);
	start_connecting(session);
}

/* Names are resolved by libuv's workers, because a name server that does not answer must not stop
 * the loop. */
static void start_resolving(struct session *session)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	unsigned char binary[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, session->host, binary) == 1 ||
	    inet_pton(AF_INET6, session->host, binary) == 1) {
		set_address(session, session->host, session->port);
		start_connecting(session);
		return;
	}
	session->resolver.data = session;
	if (uv_getaddrinfo(session->loop, &session->resolver, resolved, session->host, NULL,
			   &hints) < 0) {
		snprintf(session->reason, REASON_MAX, "host name %s: cannot be resolved now",
			 session->host);
		session_down(session);
		return;
	}
	session->resolving = true;
}

static void start_login(struct session *session)
{
	uint32_t timeout_ms = session->config.login_timeout_ms;

	session->state = SESSION_CONNECTING;
	session->redirects = 0;
	session->reason[0] = 0;
	snprintf(session->host, sizeof(session->host), "%s", session->config.url.host);
	session->port = session->config.url.port;
	session->login_deadline_us = now_us() + (uint64_t)timeout_ms * 1000;
	want_timer(session, session->login_deadline_us);
	session->start = true; /* from run_work(): a fault is then reported later, as promised */
	want_work(session);
}

/* "10.0.0.2:3260,1": the portal group tag is cut off, the rest is the beginning of a URL. */
static int take_redirect(struct session *session)
{
	char text[LUN_URL_HOST_MAX + LUN_URL_TARGET_MAX + 40];
	const char *address = transport_redirect(session->transport);
	int length = (int)strcspn(address, ",");
	struct lun_url url;
	const char *problem;

	snprintf(text, sizeof(text), "iscsi://%.*s/%s/0", length < LUN_URL_HOST_MAX ? length : 0,
		 address, session->config.url.target);
	if (++session->redirects > REDIRECTS_MAX || lun_url_parse(&url, text, &problem) < 0)
		return -EPROTO;
	snprintf(session->host, sizeof(session->host), "%s", url.host);
	session->port = url.port;
	return 0;
}

/* After the transport was serviced: what it found out is acted upon here, outside of its callbacks.
 */
static void after_service(struct session *session, int error)
{
	if (session->login_ended && session->state == SESSION_CONNECTING) {
		session->login_ended = false;
		if (session->login_error == 0) {
			session_up(session);
		} else if (session->login_error == -EREMCHG && take_redirect(session) == 0) {
			close_transport(session);
			start_resolving(session);
			return;
		}
	}
	if (error && !session->transport_error) {
		session->transport_error = error;
		snprintf(session->reason, REASON_MAX, "%s", transport_message(session->transport));
	}
	if (session->transport_error)
		session_down(session);
	update_poll(session);
}

static void service(struct session *session, int revents)
{
	after_service(session, transport_service(session->transport, revents));
	want_work(session);
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

/* --- time --- */

static void give_up_expired(struct tasks *tasks, uint64_t now, uint64_t *next)
{
	struct task *task, *following;

	for (task = TAILQ_FIRST(tasks); task; task = following) {
		following = TAILQ_NEXT(task, link);
		if (task->deadline_us > now) {
			if (!*next || task->deadline_us < *next)
				*next = task->deadline_us;
		} else if (task->state == TASK_SENT) {
			task_give_up(task, -ETIMEDOUT, true);
		} else {
			TAILQ_REMOVE(tasks, task, link);
			end_request_failed(task->session, task->request, -ETIMEDOUT);
			task_free(task);
		}
	}
}

static bool any_expired(const struct session *session, uint64_t now)
{
	const struct task *task;

	TAILQ_FOREACH (task, &session->sent, link) {
		if (task->deadline_us <= now)
			return true;
	}
	return false;
}

static void timer_fired(uv_timer_t *timer)
{
	struct session *session = timer->data;
	uint64_t now = now_us(), next = session->login_deadline_us;
	struct path_iscsi *path;

	session->timer_us = 0;
	if (next && next <= now) {
		if (session->state == SESSION_CONNECTING)
			snprintf(session->reason, REASON_MAX,
				 "no answer to connect and login in %u ms",
				 session->config.login_timeout_ms);
		session_down(session);
		return;
	}
	/* The loop, or the whole process, may have stood still: then answers have come in time and
	 * were not looked at. */
	if (session->state == SESSION_UP && any_expired(session, now))
		service(session, POLLIN);
	give_up_expired(&session->sent, now, &next);
	give_up_expired(&session->queued, now, &next);
	TAILQ_FOREACH (path, &session->paths, link)
		give_up_expired(&path->blocked, now, &next);
	if (next)
		want_timer(session, next);
	want_work(session);
}

/* --- what users are told --- */

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

	TAILQ_FOREACH (path, &session->news, news)
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
		start_resolving(session);
	}
	if (session->transport_error)
		session_down(session);
	if (session->state == SESSION_UP)
		dispatch(session);
	if (session->transport && session->dirty) {
		session->dirty = false;
		after_service(session, transport_service(session->transport, POLLOUT));
	}
	reclaim(session);
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

/* --- beginning and end --- */

static void session_free_if_unused(struct session *session)
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
	close_transport(session);
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
			session->login_deadline_us = now_us() + LOGOUT_TIMEOUT_MS * 1000;
			want_timer(session, session->login_deadline_us);
			want_work(session);
			return;
		}
	}
	session_dismantle(session);
}

static bool config_same(const struct session_config *a, const struct session_config *b)
{
	return !strcmp(a->url.host, b->url.host) && a->url.port == b->url.port &&
	       !strcmp(a->url.target, b->url.target) &&
	       !strcmp(a->initiator_name, b->initiator_name) &&
	       !strcmp(a->secrets_file, b->secrets_file) &&
	       a->isid_qualifier == b->isid_qualifier && a->header_digest == b->header_digest;
}

static struct session *session_find(uv_loop_t *loop, const struct session_config *config)
{
	struct session *session;

	pthread_mutex_lock(&sessions_lock);
	TAILQ_FOREACH (session, &sessions, link) {
		if (session->loop == loop && config_same(&session->config, config))
			break;
	}
	pthread_mutex_unlock(&sessions_lock);
	return session;
}

static struct session *session_new(uv_loop_t *loop, const struct session_config *config)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
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
	start_login(session);
	TAILQ_FOREACH (path, &session->paths, link)
		path->base.state = PATH_STATE_CONNECTING;
}

static void cancel_tasks(struct tasks *tasks, struct path_iscsi *path)
{
	struct task *task, *next;

	for (task = TAILQ_FIRST(tasks); task; task = next) {
		next = TAILQ_NEXT(task, link);
		if (task->path != path)
			continue;
		if (task->state == TASK_SENT) {
			task_give_up(task, -ECANCELED, true);
		} else if (task->state == TASK_QUEUED) {
			TAILQ_REMOVE(tasks, task, link);
			end_request_failed(task->session, task->request, -ECANCELED);
			task_free(task);
		}
	}
}

void session_leave(struct path_iscsi *path)
{
	struct session *session = path->session;
	struct task *task;

	path->closing = true;
	path->base.state = PATH_STATE_DOWN;
	if (path->has_news)
		TAILQ_REMOVE(&session->news, path, news);
	path->has_news = false;
	cancel_tasks(&session->queued, path);
	cancel_tasks(&path->blocked, path);
	cancel_tasks(&session->sent, path);
	TAILQ_FOREACH (task, &session->given_up, link) {
		if (task->path == path)
			task->path = NULL;
	}
	TAILQ_REMOVE(&session->paths, path, link);
	TAILQ_INSERT_TAIL(&session->closing, path, link);
	want_work(session);
	if (TAILQ_EMPTY(&session->paths))
		session_begin_leaving(session);
}
