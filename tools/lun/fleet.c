/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All devices of a command, on one loop, so many at a time.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "iscsi/url.h"
#include "tools/lun/job.h"

#define LUN_PARALLEL_DEFAULT 256u
/* The loop's, the terminal's, configuration and name look-ups. */
#define LUN_FLEET_OWN_DESCRIPTORS 24u

static void lun_fleet_start_jobs(struct lun_fleet *fleet)
{
	while (!fleet->interrupted && fleet->active < fleet->parallel &&
	       fleet->next < fleet->count) {
		struct lun_job *job = &fleet->jobs[fleet->next++];

		if (job->state == LUN_JOB_WAITING) {
			fleet->active++;
			lun_job_begin(job);
		} else if (job->state == LUN_JOB_IDLE) {
			fleet->active++;
			lun_job_run(job);
		}
	}
}

void lun_fleet_job_through(struct lun_job *job)
{
	struct lun_fleet *fleet = job->fleet;

	if (fleet->holding || fleet->active == 0)
		return; /* closed at the end */
	fleet->active--;
	fleet->done++;
	if (fleet->options.doing && fleet->count > 1 && uv_now(&fleet->loop) - fleet->began > 300)
		cli_progress(fleet->options.doing, fleet->done, fleet->count);
	lun_fleet_start_jobs(fleet);
}

static void lun_fleet_signalled(uv_signal_t *handle, int number)
{
	struct lun_fleet *fleet = handle->data;

	(void)number;
	fleet->interrupted = true;
	uv_stop(&fleet->loop);
	for (size_t i = 0; !fleet->holding && i < fleet->count; i++) {
		if (fleet->jobs[i].state == LUN_JOB_OPENING ||
		    fleet->jobs[i].state == LUN_JOB_RUNNING)
			lun_job_interrupt(&fleet->jobs[i], "interrupted");
	}
}

/* --- descriptors --- */

/* Of a disk of the kernel's: each path has a descriptor and a thread's wake-up; how many paths there
 * are is known when it is open. */
#define LUN_FLEET_DISK_DESCRIPTORS 24u
/* A session, and a connection that is being tried beside it. */
#define LUN_FLEET_SESSION_DESCRIPTORS 2u

static size_t lun_fleet_cost(const struct lun_device *device)
{
	size_t cost = 0;

	for (size_t i = 0; i < device->specification_count; i++)
		cost += lun_url_claims(device->specifications[i]) ? LUN_FLEET_SESSION_DESCRIPTORS
								  : LUN_FLEET_DISK_DESCRIPTORS;
	return cost;
}

/* As many devices at a time as there are descriptors for. LUNs of one target share a session, which
 * is not counted on: fewer at a time are as fast there. */
static size_t lun_fleet_bound(const struct lun_fleet *fleet, const struct lun_devices *devices,
			      size_t parallel)
{
	size_t most = 1, own = LUN_FLEET_OWN_DESCRIPTORS, room;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return parallel;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (getrlimit(RLIMIT_NOFILE, &limit))
			return parallel;
	}
	for (size_t i = 0; i < devices->count; i++) {
		size_t cost = lun_fleet_cost(&devices->items[i]);

		most = cost > most ? cost : most;
	}
	if (fleet->options.run)
		most *= 2; /* a second nexus beside each */
	room = limit.rlim_cur > own ? (limit.rlim_cur - own) / most : 1;
	return room == 0 ? 1 : room < parallel ? room : parallel;
}

struct lun_fleet *lun_fleet_new(const struct lun_devices *devices,
				const struct lun_fleet_options *options)
{
	static const int numbers[2] = {SIGINT, SIGTERM};
	struct lun_fleet *fleet = calloc(1, sizeof(*fleet));

	if (!fleet)
		abort();
	fleet->options = *options;
	fleet->count = devices->count;
	fleet->jobs = calloc(devices->count, sizeof(*fleet->jobs));
	if (!fleet->jobs || uv_loop_init(&fleet->loop))
		abort();
	fleet->parallel = options->context->parallel.given ? options->context->parallel.value
							   : LUN_PARALLEL_DEFAULT;
	if (fleet->parallel == 0)
		fleet->parallel = 1;
	fleet->parallel = lun_fleet_bound(fleet, devices, fleet->parallel);
	for (size_t i = 0; i < fleet->count; i++) {
		fleet->jobs[i].fleet = fleet;
		fleet->jobs[i].device = &devices->items[i];
		fleet->jobs[i].steps = json_array();
	}
	for (size_t i = 0; i < 2; i++) {
		uv_signal_init(&fleet->loop, &fleet->signals[i]);
		fleet->signals[i].data = fleet;
		uv_signal_start(&fleet->signals[i], lun_fleet_signalled, numbers[i]);
		uv_unref((uv_handle_t *)&fleet->signals[i]);
	}
	uv_timer_init(&fleet->loop, &fleet->hold);
	fleet->hold.data = fleet;
	return fleet;
}

void lun_fleet_run(struct lun_fleet *fleet, const struct lun_script *script)
{
	fleet->script = script;
	fleet->next = fleet->done = 0;
	uv_update_time(&fleet->loop);
	fleet->began = uv_now(&fleet->loop);
	lun_fleet_start_jobs(fleet);
	while (fleet->active > 0)
		uv_run(&fleet->loop, UV_RUN_ONCE);
	cli_progress_end();
}

static void lun_fleet_held(uv_timer_t *timer)
{
	struct lun_fleet *fleet = timer->data;

	uv_stop(&fleet->loop);
}

void lun_fleet_hold(struct lun_fleet *fleet, uint32_t ms)
{
	if (fleet->interrupted)
		return;
	fleet->holding = true;
	uv_timer_start(&fleet->hold, lun_fleet_held, ms ? ms : UINT64_MAX / 2, 0);
	uv_run(&fleet->loop, UV_RUN_DEFAULT);
	uv_timer_stop(&fleet->hold);
	fleet->holding = false;
}

bool lun_fleet_interrupted(const struct lun_fleet *fleet)
{
	return fleet->interrupted;
}

uv_loop_t *lun_fleet_loop(struct lun_fleet *fleet)
{
	return &fleet->loop;
}

static json_t *lun_job_json(struct lun_job *job, bool *ok)
{
	json_t *object = json_object(), *step;
	size_t index;

	*ok = job->error[0] == '\0' && job->state != LUN_JOB_WAITING;
	json_array_foreach(job->steps, index, step) *ok &=
		json_is_true(json_object_get(step, "ok"));
	json_object_set_new(object, "device", json_string(job->device->name));
	if (job->device->lun)
		json_object_set_new(object, "specification",
				    json_string(job->device->specifications[0]));
	json_object_set_new(object, "ok", json_boolean(*ok));
	if (job->state == LUN_JOB_WAITING)
		json_object_set_new(object, "error",
				    json_string("interrupted, before it was tried"));
	else if (job->error[0])
		json_object_set_new(object, "error", json_string(job->error));
	json_object_set(object, "steps", job->steps);
	json_decref(job->steps);
	job->steps = json_array();
	return object;
}

json_t *lun_fleet_results(struct lun_fleet *fleet)
{
	json_t *devices = json_array();
	size_t good = 0;

	for (size_t i = 0; i < fleet->count; i++) {
		bool ok;

		json_array_append_new(devices, lun_job_json(&fleet->jobs[i], &ok));
		good += ok;
	}
	uv_update_time(&fleet->loop);
	return json_pack("{s:o,s:{s:I,s:I,s:I,s:I}}", "devices", devices, "summary", "devices",
			 (json_int_t)fleet->count, "ok", (json_int_t)good, "failed",
			 (json_int_t)(fleet->count - good), "elapsed_ms",
			 (json_int_t)(uv_now(&fleet->loop) - fleet->began));
}

static void lun_fleet_close_any(uv_handle_t *handle, void *user)
{
	(void)user;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void lun_fleet_free(struct lun_fleet *fleet)
{
	if (!fleet)
		return;
	fleet->active = 0;
	for (size_t i = 0; i < fleet->count; i++) {
		if (fleet->jobs[i].state != LUN_JOB_WAITING)
			lun_job_close(&fleet->jobs[i]);
	}
	for (size_t i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&fleet->signals[i], NULL);
	uv_close((uv_handle_t *)&fleet->hold, NULL);
	uv_run(&fleet->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&fleet->loop)) {
		uv_walk(&fleet->loop, lun_fleet_close_any, NULL);
		uv_run(&fleet->loop, UV_RUN_DEFAULT);
		uv_loop_close(&fleet->loop);
	}
	for (size_t i = 0; i < fleet->count; i++) {
		json_decref(fleet->jobs[i].steps);
		json_decref(fleet->jobs[i].result);
		json_decref(fleet->jobs[i].orders);
		vpd_reader_free(&fleet->jobs[i].page);
		lun_identity_free(&fleet->jobs[i].identity);
	}
	free(fleet->jobs);
	free(fleet);
}
