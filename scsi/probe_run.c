/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe's shell: one action of the pure probe at a time, down a path or on a timer. Every
 * action ends through probe_run_later(), so that nothing recurses and done() comes from the loop.
 */
#include "scsi/probe_run.h"

#include <errno.h>
#include <stdlib.h>

#define PROBE_RECONNECT_MS 5000u

struct probe_run {
	struct probe_run_options options;
	struct probe *probe;
	struct probe_action action;
	struct scsi_request request;
	uv_timer_t timer;
	bool reconnecting, waiting, ended;
};

static void probe_run_next(uv_timer_t *timer);

static void probe_run_later(struct probe_run *run, uint32_t ms)
{
	uv_timer_start(&run->timer, probe_run_next, ms, 0);
}

static struct path *probe_run_path(const struct probe_run *run, unsigned nexus)
{
	return nexus == PROBE_NEXUS_SECOND ? run->options.second : run->options.paths[nexus];
}

static void probe_run_answered(struct scsi_request *request)
{
	struct probe_run *run = request->user;

	probe_answered(run->probe, request);
	probe_run_later(run, 0);
}

static void probe_run_send(struct probe_run *run)
{
	struct path *path = probe_run_path(run, run->action.nexus);

	run->request = run->action.request;
	run->request.done = probe_run_answered;
	run->request.user = run;
	if (path) {
		path_submit(path, &run->request);
		return;
	}
	scsi_result_from_transport(&run->request.result, -ENOTCONN);
	probe_answered(run->probe, &run->request);
	probe_run_later(run, 0);
}

static void probe_run_save(struct probe_run *run)
{
	char message[PROBE_TEXT_MAX] = "";
	size_t size;
	bool dirty;
	const void *blocks = probe_saved_blocks(run->probe, &size, &dirty);
	int error = run->options.save(blocks, size, message, sizeof(message), run->options.user);

	probe_kept(run->probe, error == 0, message);
	probe_run_later(run, 0);
}

static void probe_run_reconnect(struct probe_run *run)
{
	struct path *path = probe_run_path(run, run->action.nexus);

	if (!path || path->state == PATH_STATE_UP) {
		probe_run_later(run, 0);
		return;
	}
	run->reconnecting = true;
	path_reconnect(path);
	probe_run_later(run, PROBE_RECONNECT_MS);
}

static void probe_run_next(uv_timer_t *timer)
{
	struct probe_run *run = timer->data;
	const struct probe_run_options *options = &run->options;

	run->reconnecting = run->waiting = false;
	probe_next(run->probe, &run->action);
	if (options->progress)
		options->progress(run->action.stage, options->user);
	switch (run->action.kind) {
	case PROBE_ACTION_SEND:
		probe_run_send(run);
		break;
	case PROBE_ACTION_WAIT:
		run->waiting = true;
		probe_run_later(run, run->action.wait_ms);
		break;
	case PROBE_ACTION_RECONNECT:
		probe_run_reconnect(run);
		break;
	case PROBE_ACTION_RELOGIN:
		run->options.second = NULL;
		options->relogin(options->user);
		break;
	case PROBE_ACTION_SAVE:
		probe_run_save(run);
		break;
	case PROBE_ACTION_FORGET:
		options->forget(options->user);
		probe_run_later(run, 0);
		break;
	case PROBE_ACTION_END:
		run->ended = true;
		options->done(run, probe_get_report(run->probe), options->user);
		break;
	}
}

int probe_run_start(struct probe_run **result, uv_loop_t *loop,
		    const struct probe_run_options *options)
{
	struct probe_run *run;

	if (options->path_count > PATHS_MAX || !options->done ||
	    (options->probe.destructive && (!options->save || !options->forget)))
		return -EINVAL;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->options = *options;
	run->options.probe.path_count = (unsigned)options->path_count;
	run->options.probe.second = options->second != NULL;
	run->options.probe.second_reopens = options->second && options->relogin;
	run->probe = probe_new(&run->options.probe);
	if (!run->probe) {
		free(run);
		return -errno;
	}
	uv_timer_init(loop, &run->timer);
	run->timer.data = run;
	probe_run_later(run, 0);
	*result = run;
	return 0;
}

void probe_run_relogged(struct probe_run *run, struct path *second)
{
	run->options.second = second;
	probe_relogged(run->probe, second != NULL);
	probe_run_later(run, 0);
}

void probe_run_path_changed(struct probe_run *run, const struct path *path)
{
	if (run->reconnecting && path == probe_run_path(run, run->action.nexus) &&
	    path->state != PATH_STATE_CONNECTING)
		probe_run_later(run, 0);
}

void probe_run_interrupt(struct probe_run *run)
{
	if (run->ended)
		return;
	probe_interrupt(run->probe);
	if (run->waiting)
		probe_run_later(run, 0);
}

const struct probe *probe_run_probe(const struct probe_run *run)
{
	return run->probe;
}

static void probe_run_closed(uv_handle_t *handle)
{
	struct probe_run *run = handle->data;

	probe_free(run->probe);
	free(run);
}

void probe_run_free(struct probe_run *run)
{
	uv_close((uv_handle_t *)&run->timer, probe_run_closed);
}
