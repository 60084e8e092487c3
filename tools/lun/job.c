/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opening, identifying and closing a device, and sending it commands. A device is known before
 * anything is done to it: it is a disk, all its paths lead to one logical unit, and that is the one
 * the configuration means.
 */
#include "tools/lun/job.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "iscsi/transport.h"

#define LUN_COMMAND_TIMEOUT_MS 5000u

static void lun_job_identify(struct lun_job *job);

/* Ends. */

static bool lun_job_is_over(const struct lun_job *job)
{
	return job->state == LUN_JOB_CLOSING || job->state == LUN_JOB_DONE;
}

static void lun_job_path_closed(void *user)
{
	struct lun_job *job = user;

	if (--job->closing > 0)
		return;
	job->state = LUN_JOB_DONE;
	if (job->extra && job->fleet->options.finish)
		job->fleet->options.finish(job);
	lun_fleet_job_through(job);
}

static void lun_job_timer_closed(uv_handle_t *handle)
{
	lun_job_path_closed(handle->data);
}

void lun_job_close(struct lun_job *job)
{
	if (lun_job_is_over(job))
		return;
	job->state = LUN_JOB_CLOSING;
	job->closing = job->path_count + 2;
	uv_close((uv_handle_t *)&job->deadline, lun_job_timer_closed);
	uv_close((uv_handle_t *)&job->wait, lun_job_timer_closed);
	while (job->path_count > 0)
		path_close(job->paths[--job->path_count].path, lun_job_path_closed, job);
}

void lun_job_fail(struct lun_job *job, const char *format, ...)
{
	va_list arguments;

	if (!job->error[0]) {
		va_start(arguments, format);
		vsnprintf(job->error, sizeof(job->error), format, arguments);
		va_end(arguments);
	}
	lun_job_close(job);
}

void lun_job_steps_done(struct lun_job *job)
{
	uv_timer_stop(&job->deadline);
	if (!job->fleet->options.keep) {
		lun_job_close(job);
		return;
	}
	job->state = LUN_JOB_IDLE;
	lun_fleet_job_through(job);
}

void lun_job_interrupt(struct lun_job *job, const char *why)
{
	if (job->state == LUN_JOB_RUNNING && job->extra && job->fleet->options.interrupt)
		job->fleet->options.interrupt(job, why);
	else
		lun_job_fail(job, "%s while %s", why, job->doing);
}

static void lun_job_late(uv_timer_t *timer)
{
	struct lun_job *job = timer->data;
	char time[32], why[64];

	snprintf(why, sizeof(why), "given up after %s",
		 cli_duration_text(job->fleet->options.context->timeout_ms, time, sizeof(time)));
	lun_job_interrupt(job, why);
}

/* Commands. */

static void lun_job_answered(struct pr_exec *exec)
{
	struct lun_job *job = exec->user;

	if (!lun_job_is_over(job))
		job->then(job);
}

void lun_job_send(struct lun_job *job, struct path *path, lun_job_then *then)
{
	uint32_t limit = job->fleet->options.context->timeout_ms;

	job->exec.user = job;
	job->sent_to = path;
	job->then = then;
	pr_exec_start(&job->exec, path,
		      limit < LUN_COMMAND_TIMEOUT_MS ? limit : LUN_COMMAND_TIMEOUT_MS,
		      lun_job_answered);
}

static void lun_job_was_reset(struct scsi_request *request)
{
	struct lun_job *job = request->user;

	if (!lun_job_is_over(job))
		job->then(job);
}

void lun_job_reset(struct lun_job *job, struct path *path, lun_job_then *then)
{
	job->exec.request.timeout_ms = LUN_COMMAND_TIMEOUT_MS;
	job->exec.request.done = lun_job_was_reset;
	job->exec.request.user = job;
	job->sent_to = path;
	job->then = then;
	path_reset_logical_unit(path, &job->exec.request);
}

static void lun_job_waited(uv_timer_t *timer)
{
	struct lun_job *job = timer->data;

	job->then(job);
}

void lun_job_wait(struct lun_job *job, uint32_t ms, lun_job_then *then)
{
	job->then = then;
	uv_timer_start(&job->wait, lun_job_waited, ms, 0);
}

void lun_job_reconnect(struct lun_job *job, struct path *path, lun_job_then *then)
{
	job->then = then;
	job->awaited = path;
	path_reconnect(path);
}

const char *lun_job_result_text(const struct lun_job *job)
{
	static char text[LUN_MESSAGE_MAX / 2];

	return scsi_result_text(&job->exec.request.result, text, sizeof(text));
}

struct path *lun_job_up_path(struct lun_job *job, size_t from, size_t *index)
{
	for (size_t i = from; i < job->path_count; i++) {
		if (job->paths[i].path->state == PATH_STATE_UP) {
			*index = i;
			return job->paths[i].path;
		}
	}
	return NULL;
}

/* Opening. */

/* What to do about a reason that says only what happened. */
static const char *lun_job_advice(const char *reason)
{
	static const struct {
		const char *reason, *advice;
	} advices[] = {
		{"refused",
		 ": nothing listens there; is the target running, and is this its port?"},
		{"nreachable", ": the network does not lead there; is the address right?"},
		{"No route", ": the network does not lead there; is the address right?"},
		{"imed out",
		 ": no answer; is the target up, and does a firewall let this through?"},
		{"Too many open files", ": raise `ulimit -n`, or do fewer at a time (--parallel)"},
		{"the LUN is missing",
		 "; `lunkeeper lun list --target URL` lists the LUNs that the target has"},
		{"no answer", ": is the target up, and does a firewall let this through?"},
	};

	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (strstr(reason, advices[i].reason))
			return advices[i].advice;
	}
	return "";
}

static void lun_job_opened(struct lun_job *job)
{
	const char *reason = job->path_count ? job->paths[0].reason : "no path";
	size_t index;

	if (!lun_job_up_path(job, 0, &index)) {
		lun_job_fail(job, "%s%s", reason, lun_job_advice(reason));
		return;
	}
	if (job->fleet->options.unidentified) {
		lun_job_run(job);
		return;
	}
	job->doing = "identifying it";
	job->identified = 0;
	lun_job_identify(job);
}

static void lun_job_path_changed(struct path *path, enum path_state state, const char *reason,
				 void *user)
{
	struct lun_job *job = user;
	bool all = true;

	if (lun_job_is_over(job))
		return;
	for (size_t i = 0; i < job->path_count; i++) {
		struct lun_job_path *p = &job->paths[i];

		if (p->path == path) {
			p->settled = state != PATH_STATE_CONNECTING;
			snprintf(p->reason, sizeof(p->reason), "%s", reason ? reason : "");
		}
		all &= p->settled;
	}
	if (path == job->awaited && state != PATH_STATE_CONNECTING) {
		job->awaited = NULL;
		job->then(job);
	} else if (all && job->state == LUN_JOB_OPENING) {
		job->state = LUN_JOB_RUNNING;
		lun_job_opened(job);
	} else if (job->state == LUN_JOB_RUNNING && job->extra &&
		   job->fleet->options.path_changed) {
		job->fleet->options.path_changed(job, path);
	}
}

static void lun_job_open_paths(struct lun_job *job, const char *specification)
{
	const struct lun_context *context = job->fleet->options.context;
	const struct config_lun *lun = job->device->lun;
	struct path_open_options options = {
		.initiator_name = context->own_initiator,
		.isid_qualifier = context->qualifier,
		.secrets_file = context->secrets,
		.header_digest = context->header_digest || (lun && lun->header_digest),
		.data_digest = context->data_digest || (lun && lun->data_digest),
		.changed = lun_job_path_changed,
		.user = job,
	};
	struct path *paths[PATHS_MAX];
	char message[LUN_MESSAGE_MAX] = "";
	size_t count = 0;
	int error = path_open_all(lun_path_kinds, &job->fleet->loop, specification, &options, paths,
				  &count, message, sizeof(message));

	if (error && !job->error[0])
		snprintf(job->error, sizeof(job->error), "%.380s%s",
			 message[0] ? message : strerror(-error), lun_job_advice(message));
	for (size_t i = 0; !error && i < count; i++) {
		if (job->path_count == PATHS_MAX) {
			path_close(paths[i], NULL, NULL);
			continue;
		}
		memset(&job->paths[job->path_count], 0, sizeof(job->paths[0]));
		job->paths[job->path_count++].path = paths[i];
	}
}

void lun_job_begin(struct lun_job *job)
{
	uv_timer_init(&job->fleet->loop, &job->deadline);
	uv_timer_init(&job->fleet->loop, &job->wait);
	job->deadline.data = job->wait.data = job;
	job->state = LUN_JOB_OPENING;
	job->doing = "logging in";
	uv_timer_start(&job->deadline, lun_job_late, job->fleet->options.context->timeout_ms, 0);
	for (size_t i = 0; i < job->device->specification_count; i++)
		lun_job_open_paths(job, job->device->specifications[i]);
	if (job->path_count == 0)
		lun_job_fail(job, "no path");
	else
		job->error[0] = '\0'; /* of one portal of several */
}

void lun_job_run(struct lun_job *job)
{
	job->script = job->fleet->script;
	job->step = 0;
	job->state = LUN_JOB_RUNNING;
	job->look_path = 0;
	uv_timer_start(&job->deadline, lun_job_late, job->fleet->options.context->timeout_ms, 0);
	if (job->fleet->options.run)
		job->fleet->options.run(job);
	else
		lun_exec_step(job);
}

/* Identity of every path, one after the other. */

static void lun_job_name_own(struct lun_job *job, const struct path *path)
{
	const struct lun_context *context = job->fleet->options.context;

	if (strcmp(path->ops->kind, "iscsi") == 0 && context->own_initiator)
		snprintf(job->own, sizeof(job->own), "%s,i,0x%02x%06x%04x", context->own_initiator,
			 TRANSPORT_ISID_FORMAT, TRANSPORT_ISID_CONSTANT, context->qualifier);
}

static bool lun_job_check_wwid(struct lun_job *job, const char *path)
{
	const struct vpd_reader *page = &job->page;
	const char *wanted = job->device->wwid;
	char wwid[SCSI_WWID_MAX];

	if (scsi_wwid_decode(wwid, sizeof(wwid), page->data, page->length) < 0)
		wwid[0] = '\0';
	if (job->identified == 0) {
		snprintf(job->wwid, sizeof(job->wwid), "%s", wwid);
		lun_identity_learn(&job->identity, page->data, page->length,
				   &(const struct scsi_capacity){0});
	}
	if (wanted && !scsi_wwid_present(wanted, page->data, page->length)) {
		lun_job_fail(job,
			     "another logical unit: %s is %s, but the configuration says %s; "
			     "check the LUN mapping of this initiator",
			     path, wwid[0] ? wwid : "one without a name", wanted);
		return false;
	}
	if (!lun_identity_is(&job->identity, page->data, page->length)) {
		lun_job_fail(job, "its paths lead to different logical units: %s is %s, not %s",
			     path, wwid[0] ? wwid : "one without a name", job->wwid);
		return false;
	}
	return true;
}

static void lun_job_got_page(struct lun_job *job)
{
	if (!vpd_reader_take(&job->page, &job->exec.request)) {
		lun_job_send(job, job->sent_to, lun_job_got_page);
		return;
	}
	if (!lun_job_check_wwid(job, job->sent_to->name))
		return;
	job->identified++;
	lun_job_identify(job);
}

static void lun_job_got_inquiry(struct lun_job *job)
{
	struct scsi_inquiry inquiry;

	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK ||
	    scsi_inquiry_decode(&inquiry, job->buffer, job->exec.request.result.transferred)) {
		lun_job_fail(job, "INQUIRY: %s", lun_job_result_text(job));
		return;
	}
	if (inquiry.peripheral_qualifier != 0) {
		lun_job_fail(job, "no such LUN: the target has nothing under this number for this "
				  "initiator; `lunkeeper lun list --target` lists what it has");
		return;
	}
	if (inquiry.device_type != 0) {
		lun_job_fail(job, "no disk: %s %s is of peripheral device type %02xh",
			     inquiry.vendor, inquiry.product, inquiry.device_type);
		return;
	}
	if (job->identified == 0)
		job->inquiry = inquiry;
	vpd_reader_begin(&job->page, 0x83, &job->exec.request);
	lun_job_send(job, job->sent_to, lun_job_got_page);
}

static void lun_job_identify(struct lun_job *job)
{
	struct path *path = lun_job_up_path(job, job->identified, &job->identified);

	if (!path) {
		lun_job_run(job);
		return;
	}
	if (!job->own[0])
		lun_job_name_own(job, path);
	memset(job->buffer, 0, 96);
	scsi_inquiry_encode(&job->exec.request, job->buffer, 96);
	lun_job_send(job, path, lun_job_got_inquiry);
}
