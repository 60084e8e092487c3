/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tasks: one for each request that was submitted, from the queue to the last that libiscsi knows of
 * it.
 *
 * A task that its user has given up stays at the target until ABORT TASK, or the answer, or the
 * session's end; its memory stays here as long, with a copy of the data in place of the user's
 * buffer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/initiator_session.h"

static void end_request(struct session *session, struct scsi_request *request)
{
	request->path_private.node[0] = NULL;
	*session->ended_tail = request;
	session->ended_tail = (struct scsi_request **)&request->path_private.node[0];
	session_want_work(session);
}

static void end_request_failed(struct session *session, struct scsi_request *request, int error)
{
	uint64_t sent = request->path_private.sent_at_us;

	scsi_result_from_transport(&request->result, error);
	request->result.transferred = 0;
	request->result.duration_us = sent ? (uint32_t)(session_now_us() - sent) : 0;
	end_request(session, request);
}

static void task_free(struct task *task)
{
	transport_release(&task->transport);
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
	session_want_work(session);
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
	session_want_work(task->session);
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

void tasks_reclaim(struct session *session)
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
		return; /* session_close_transport() or tasks_reclaim() is at work, or will be */
	task->request = NULL;
	if (request && answer->error) {
		end_request_failed(session, request, answer->error);
	} else if (request) {
		scsi_result_from_status(&request->result, answer->status, answer->sense,
					answer->sense_length);
		request->result.error = 0;
		request->result.transferred = answer->transferred;
		request->result.duration_us = (uint32_t)(session_now_us() - task->sent_us);
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
		request->result.duration_us = (uint32_t)(session_now_us() - task->sent_us);
		if (response == 0)
			end_reset_tasks(task);
		task->request = NULL;
		end_request(task->session, request);
	}
	task_end(task);
}

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

void tasks_dispatch(struct session *session)
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

	request->path_private.sent_at_us = session_now_us();
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
	session_want_timer(session, task->deadline_us);
	session_want_work(session);
}

static void end_all_in(struct session *session, struct tasks *tasks, int error)
{
	struct task *task;

	while ((task = TAILQ_FIRST(tasks))) {
		TAILQ_REMOVE(tasks, task, link);
		if (task->request)
			end_request_failed(session, task->request, error);
		task_free(task);
	}
}

void tasks_end_all(struct session *session)
{
	struct path_iscsi *path;

	session->sent_count = 0;
	end_all_in(session, &session->sent, -ENOTCONN);
	end_all_in(session, &session->queued, -ENOTCONN);
	end_all_in(session, &session->given_up, -ENOTCONN);
	for (path = TAILQ_FIRST(&session->paths); path; path = TAILQ_NEXT(path, link)) {
		end_all_in(session, &path->blocked, -ENOTCONN);
		path->given_up = 0;
	}
}

static void cancel_in(struct tasks *tasks, struct path_iscsi *path)
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

void tasks_cancel(struct path_iscsi *path)
{
	struct session *session = path->session;
	struct task *task;

	cancel_in(&session->queued, path);
	cancel_in(&path->blocked, path);
	cancel_in(&session->sent, path);
	for (task = TAILQ_FIRST(&session->given_up); task; task = TAILQ_NEXT(task, link)) {
		if (task->path == path)
			task->path = NULL;
	}
}

bool tasks_any_expired(const struct session *session, uint64_t now)
{
	const struct task *task;

	for (task = TAILQ_FIRST(&session->sent); task; task = TAILQ_NEXT(task, link)) {
		if (task->deadline_us <= now)
			return true;
	}
	return false;
}

static void give_up_expired_in(struct tasks *tasks, uint64_t now, uint64_t *next)
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

void tasks_give_up_expired(struct session *session, uint64_t now, uint64_t *next)
{
	struct path_iscsi *path;

	give_up_expired_in(&session->sent, now, next);
	give_up_expired_in(&session->queued, now, next);
	for (path = TAILQ_FIRST(&session->paths); path; path = TAILQ_NEXT(path, link))
		give_up_expired_in(&path->blocked, now, next);
}
