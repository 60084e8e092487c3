/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The `sg` kind of path. The giving-up is ours, by a timer on the loop; the kernel's own time-out
 * stays long, because its expiry aborts commands and resets the device. A command that was given up
 * keeps its worker, its copy of the buffers and the descriptor until the kernel ends it, be that
 * after the path is closed.
 */
#include "scsi/path_sg.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/sg_engine.h"

static_assert(sizeof(((struct sg_device *)NULL)->node) <= sizeof(((struct path *)NULL)->name),
	      "a node's name is a path's name");

#define PATH_SG_KERNEL_TIMEOUT_MIN_S 60u
#define PATH_SG_KERNEL_TIMEOUT_MORE_S 30u /* than ours */
#define PATH_SG_SLOTS (PATH_SG_COMMANDS_MAX + 1)
#define PATH_SG_RESET_SLOT PATH_SG_COMMANDS_MAX

/* Requests in order, linked by their path_private.node: 0 next, 1 previous. */
struct path_sg_list {
	struct scsi_request *first, *last;
	unsigned count;
};

struct path_sg {
	struct path base;
	const struct sg_environment *environment;
	struct sg_engine *engine;
	struct sg_descriptor *descriptor; /* NULL unless UP, or about to be */
	struct sg_device device;
	uv_timer_t timer;
	struct {
		struct sg_job *job;           /* NULL: free */
		struct scsi_request *request; /* NULL: given up */
	} slots[PATH_SG_SLOTS];
	struct path_sg_list waiting;
	struct path_sg_list ended; /* result is set; done() is still to be called */
	enum path_state state_next;
	const char *reason;
	bool announce;  /* state_next is still to become the state, and to be told */
	bool reconnect; /* asked for before the last announcement was made */
	bool closing;
	void (*closed)(void *user);
	void *closed_user;
};

static struct scsi_request *path_sg_next(const struct scsi_request *request)
{
	return request->path_private.node[0];
}

static void path_sg_append(struct path_sg_list *list, struct scsi_request *request)
{
	request->path_private.node[0] = NULL;
	request->path_private.node[1] = list->last;
	if (list->last)
		list->last->path_private.node[0] = request;
	else
		list->first = request;
	list->last = request;
	list->count++;
}

static void path_sg_remove(struct path_sg_list *list, struct scsi_request *request)
{
	struct scsi_request *next = request->path_private.node[0];
	struct scsi_request *previous = request->path_private.node[1];

	if (next)
		next->path_private.node[1] = previous;
	else
		list->last = previous;
	if (previous)
		previous->path_private.node[0] = next;
	else
		list->first = next;
	list->count--;
}

static uint64_t path_sg_deadline_us(const struct scsi_request *request)
{
	return request->path_private.sent_at_us + (uint64_t)request->timeout_ms * 1000;
}

/* Ends a request that no worker has, or has any more; the loop's next turn calls done(). */
static void path_sg_end(struct path_sg *sg, struct scsi_request *request, int error)
{
	uint64_t duration_us = uv_hrtime() / 1000 - request->path_private.sent_at_us;

	scsi_result_from_transport(&request->result, error);
	request->result.duration_us = duration_us < UINT32_MAX ? (uint32_t)duration_us : UINT32_MAX;
	path_sg_append(&sg->ended, request);
}

static void path_sg_on_timer(uv_timer_t *timer);

/* Sets the timer for whatever comes next. */
static void path_sg_arm(struct path_sg *sg)
{
	uint64_t now_us = uv_hrtime() / 1000, first_us = UINT64_MAX;

	if (sg->closing)
		return;
	for (unsigned i = 0; i < PATH_SG_SLOTS; i++) {
		if (sg->slots[i].request && path_sg_deadline_us(sg->slots[i].request) < first_us)
			first_us = path_sg_deadline_us(sg->slots[i].request);
	}
	for (struct scsi_request *request = sg->waiting.first; request;
	     request = path_sg_next(request)) {
		if (path_sg_deadline_us(request) < first_us)
			first_us = path_sg_deadline_us(request);
	}
	if (sg->announce || sg->ended.first)
		first_us = 0;
	if (first_us == UINT64_MAX) {
		uv_timer_stop(&sg->timer);
		return;
	}
	uv_update_time(sg->base.loop);
	uv_timer_start(&sg->timer, path_sg_on_timer,
		       first_us > now_us ? (first_us - now_us + 999) / 1000 : 0, 0);
}

static void path_sg_set_state(struct path_sg *sg, enum path_state state, const char *reason)
{
	sg->state_next = state;
	sg->reason = reason;
	sg->announce = true;
}

/* The device is gone: nothing more is sent. What workers have goes on until the kernel or the
 * time-out ends it. */
static void path_sg_go_down(struct path_sg *sg, const char *reason)
{
	struct scsi_request *request;

	if (sg->base.state != PATH_STATE_UP)
		return;
	sg->base.state = PATH_STATE_DOWN;
	path_sg_set_state(sg, PATH_STATE_DOWN, reason);
	sg_descriptor_put(sg->descriptor);
	sg->descriptor = NULL;
	while ((request = sg->waiting.first)) {
		path_sg_remove(&sg->waiting, request);
		path_sg_end(sg, request, -ENOTCONN);
	}
}

static void path_sg_on_finished(struct sg_job *job);

static void path_sg_start(struct path_sg *sg, unsigned slot, struct scsi_request *request)
{
	struct sg_job *job = sg_job_new(sg->descriptor, request->data_length);
	uint32_t timeout_s = request->timeout_ms / 1000 + PATH_SG_KERNEL_TIMEOUT_MORE_S;

	if (!job) {
		path_sg_end(sg, request, -ENOMEM);
		return;
	}
	memcpy(job->exchange.cdb, request->cdb, sizeof(job->exchange.cdb));
	job->exchange.cdb_length = request->cdb_length;
	job->exchange.direction = request->direction;
	if (request->direction == SCSI_DIRECTION_OUT && request->data_length > 0)
		memcpy(job->data, request->data, request->data_length);
	job->exchange.kernel_timeout_s =
		timeout_s > PATH_SG_KERNEL_TIMEOUT_MIN_S ? timeout_s : PATH_SG_KERNEL_TIMEOUT_MIN_S;
	job->reset = slot == PATH_SG_RESET_SLOT;
	job->finished = path_sg_on_finished;
	job->user = sg;
	if (sg_engine_start(sg->engine, job) < 0) {
		sg_job_free(job);
		path_sg_end(sg, request, -ENOMEM);
		return;
	}
	sg->slots[slot].job = job;
	sg->slots[slot].request = request;
}

static int path_sg_free_slot(const struct path_sg *sg)
{
	for (int i = 0; i < PATH_SG_COMMANDS_MAX; i++) {
		if (!sg->slots[i].job)
			return i;
	}
	return -1;
}

static void path_sg_start_waiting(struct path_sg *sg)
{
	int slot;

	while (sg->waiting.first && (slot = path_sg_free_slot(sg)) >= 0) {
		struct scsi_request *request = sg->waiting.first;

		path_sg_remove(&sg->waiting, request);
		path_sg_start(sg, (unsigned)slot, request);
	}
}

static void path_sg_copy_answer(struct scsi_request *request, const struct sg_job *job)
{
	uint32_t length = job->exchange.result.transferred;

	request->result = job->exchange.result;
	request->result.duration_us = job->duration_us;
	if (request->direction != SCSI_DIRECTION_IN || request->data_length == 0)
		return;
	memcpy(request->data, job->data,
	       length < request->data_length ? length : request->data_length);
}

static void path_sg_on_finished(struct sg_job *job)
{
	struct path_sg *sg = job->user;
	struct scsi_request *request = NULL;
	bool gone;

	if (!sg || sg->closing) {
		for (unsigned i = 0; sg && i < PATH_SG_SLOTS; i++) {
			if (sg->slots[i].job == job)
				sg->slots[i].job = NULL;
		}
		sg_job_free(job);
		return;
	}
	for (unsigned i = 0; i < PATH_SG_SLOTS; i++) {
		if (sg->slots[i].job != job)
			continue;
		request = sg->slots[i].request;
		sg->slots[i].job = NULL;
		sg->slots[i].request = NULL;
	}
	/* What a descriptor from before a reconnection says is no news of this one. */
	gone = job->exchange.gone && job->descriptor == sg->descriptor;
	if (request)
		path_sg_copy_answer(request, job);
	else
		sg->base.left_behind--;
	sg_job_free(job);
	if (gone)
		path_sg_go_down(sg, "the device is gone, or the kernel has set it offline");
	path_sg_start_waiting(sg);
	path_sg_arm(sg);
	if (request)
		request->done(request);
}

static struct scsi_request *path_sg_take_expired(struct path_sg *sg, uint64_t now_us)
{
	struct scsi_request *request;

	for (unsigned i = 0; i < PATH_SG_SLOTS; i++) {
		request = sg->slots[i].request;
		if (!request || path_sg_deadline_us(request) > now_us)
			continue;
		atomic_store(&sg->slots[i].job->given_up, true);
		sg->slots[i].request = NULL;
		sg->base.left_behind++;
		return request;
	}
	for (request = sg->waiting.first; request; request = path_sg_next(request)) {
		if (path_sg_deadline_us(request) > now_us)
			continue;
		path_sg_remove(&sg->waiting, request);
		return request;
	}
	return NULL;
}

static void path_sg_announce(struct path_sg *sg)
{
	sg->announce = false;
	sg->base.state = sg->state_next;
	if (sg->base.changed)
		sg->base.changed(&sg->base, sg->base.state, sg->reason, sg->base.user);
}

/* Callbacks may close the path; then its closing ends the rest. */
static void path_sg_on_timer(uv_timer_t *timer)
{
	struct path_sg *sg = timer->data;
	struct scsi_request *request;

	while ((request = path_sg_take_expired(sg, uv_hrtime() / 1000)))
		path_sg_end(sg, request, -ETIMEDOUT);
	if (sg->announce)
		path_sg_announce(sg);
	if (sg->reconnect && !sg->announce)
		path_reconnect(&sg->base);
	/* Those that end meanwhile are for the next turn. */
	for (unsigned left = sg->ended.count; left > 0 && !sg->closing; left--) {
		request = sg->ended.first;
		path_sg_remove(&sg->ended, request);
		request->done(request);
	}
	path_sg_arm(sg);
}

static void path_sg_submit(struct path *path, struct scsi_request *request)
{
	struct path_sg *sg = (struct path_sg *)path;
	int slot;

	if (sg->closing)
		path_sg_end(sg, request, -ECANCELED);
	else if (path->state != PATH_STATE_UP)
		path_sg_end(sg, request, -ENOTCONN);
	else if ((slot = path_sg_free_slot(sg)) >= 0)
		path_sg_start(sg, (unsigned)slot, request);
	else if (sg->waiting.count < PATH_SG_WAITING_MAX)
		path_sg_append(&sg->waiting, request);
	else
		path_sg_end(sg, request, -EBUSY);
	path_sg_arm(sg);
}

/* Not behind commands that hang: it is there to end them. */
static void path_sg_reset(struct path *path, struct scsi_request *request)
{
	struct path_sg *sg = (struct path_sg *)path;

	request->cdb_length = 0;
	request->direction = SCSI_DIRECTION_NONE;
	request->data = NULL;
	request->data_length = 0;
	if (sg->closing)
		path_sg_end(sg, request, -ECANCELED);
	else if (path->state != PATH_STATE_UP)
		path_sg_end(sg, request, -ENOTCONN);
	else if (sg->slots[PATH_SG_RESET_SLOT].job)
		path_sg_end(sg, request, -EBUSY);
	else
		path_sg_start(sg, PATH_SG_RESET_SLOT, request);
	path_sg_arm(sg);
}

static const char *path_sg_open_reason(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return "no permission; run as root";
	case -ENOENT:
		return "no such device node; load the sg driver (modprobe sg)";
	case -ENODEV:
	case -ENXIO:
		return "the device is gone; rescan the bus";
	case -EBUSY:
		return "another program has it open for itself alone; see `fuser -v` on it";
	case -ESTALE:
		return "another device has its name now; open the disk again";
	case -EHOSTDOWN:
		return "the kernel has set the device offline; see dmesg";
	}
	return strerrordesc_np(-error);
}

/* fd: as the backend's open returned it. */
static void path_sg_take_descriptor(struct path_sg *sg, int fd)
{
	if (fd >= 0) {
		sg->descriptor = sg_descriptor_new(sg->environment->backend, fd);
		if (!sg->descriptor) {
			sg->environment->backend->close(fd);
			fd = -ENOMEM;
		}
	}
	if (fd >= 0)
		path_sg_set_state(sg, PATH_STATE_UP, "opened");
	else
		path_sg_set_state(sg, PATH_STATE_DOWN, path_sg_open_reason(fd));
	path_sg_arm(sg);
}

static void path_sg_reconnect(struct path *path)
{
	struct path_sg *sg = (struct path_sg *)path;
	int fd;

	if (sg->closing)
		return;
	/* That the old nexus is gone must be known before a new one is. */
	sg->reconnect = sg->announce;
	if (sg->reconnect)
		return;
	path->state = PATH_STATE_CONNECTING;
	fd = sg_resolve_check(sg->environment->roots, &sg->device);
	if (fd == 0)
		fd = sg->environment->backend->open(sg->device.node);
	path_sg_take_descriptor(sg, fd);
}

static void path_sg_on_closed(uv_handle_t *handle)
{
	struct path_sg *sg = handle->data;
	void (*closed)(void *user) = sg->closed;
	void *user = sg->closed_user;
	struct scsi_request *request;

	for (unsigned i = 0; i < PATH_SG_SLOTS; i++) {
		if (sg->slots[i].job) {
			atomic_store(&sg->slots[i].job->given_up, true);
			sg->slots[i].job->user = NULL;
		}
		if (sg->slots[i].request)
			path_sg_end(sg, sg->slots[i].request, -ECANCELED);
	}
	while ((request = sg->waiting.first)) {
		path_sg_remove(&sg->waiting, request);
		path_sg_end(sg, request, -ECANCELED);
	}
	while ((request = sg->ended.first)) {
		path_sg_remove(&sg->ended, request);
		request->done(request);
	}
	if (sg->descriptor)
		sg_descriptor_put(sg->descriptor);
	sg_engine_put(sg->engine);
	free(sg);
	if (closed)
		closed(user);
}

static void path_sg_close(struct path *path, void (*closed)(void *user), void *user)
{
	struct path_sg *sg = (struct path_sg *)path;

	assert(!sg->closing);
	sg->closing = true;
	sg->closed = closed;
	sg->closed_user = user;
	path->state = PATH_STATE_DOWN;
	uv_close((uv_handle_t *)&sg->timer, path_sg_on_closed);
}

static const struct path_ops path_sg_ops = {
	.kind = "sg",
	.submit = path_sg_submit,
	.reset = path_sg_reset,
	.reconnect = path_sg_reconnect,
	.close = path_sg_close,
};

/* Takes over fd. */
static struct path *path_sg_new(const struct sg_environment *environment, uv_loop_t *loop,
				const struct sg_device *device, int fd,
				const struct path_open_options *options)
{
	struct path_sg *sg = calloc(1, sizeof(*sg));

	if (sg)
		sg->engine = sg_engine_get(loop);
	if (!sg || !sg->engine) {
		if (fd >= 0)
			environment->backend->close(fd);
		free(sg);
		return NULL;
	}
	sg->base.ops = &path_sg_ops;
	sg->base.loop = loop;
	sg->base.state = PATH_STATE_CONNECTING;
	memcpy(sg->base.name, device->node, sizeof(device->node));
	sg->base.changed = options->changed;
	sg->base.user = options->user;
	sg->environment = environment;
	sg->device = *device;
	uv_timer_init(loop, &sg->timer);
	sg->timer.data = sg;
	path_sg_take_descriptor(sg, fd);
	return &sg->base;
}

/* A map with a dead member is still of use; a device none of whose paths can be opened is not. */
static int path_sg_open_nodes(const struct sg_environment *environment, const char *specification,
			      const struct sg_device *devices, size_t count, int *fds,
			      char *message, size_t message_size)
{
	size_t opened = 0;

	for (size_t i = 0; i < count; i++) {
		fds[i] = environment->backend->open(devices[i].node);
		opened += fds[i] >= 0;
	}
	if (opened > 0)
		return 0;
	snprintf(message, message_size, "%s: %s: %s", specification, devices[0].node,
		 path_sg_open_reason(fds[0]));
	return fds[0];
}

int path_sg_open_in(const struct sg_environment *environment, uv_loop_t *loop,
		    const char *specification, const struct path_open_options *options,
		    struct path **paths, size_t *count, char *message, size_t message_size)
{
	struct sg_device devices[PATHS_MAX];
	int fds[PATHS_MAX] = {0}, rc;
	size_t found;

	*count = 0;
	rc = sg_resolve(environment->roots, specification, devices, PATHS_MAX, &found, message,
			message_size);
	if (rc == 0)
		rc = path_sg_open_nodes(environment, specification, devices, found, fds, message,
					message_size);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < found; i++) {
		paths[i] = path_sg_new(environment, loop, &devices[i], fds[i], options);
		if (paths[i])
			continue;
		for (size_t j = i + 1; j < found; j++) {
			if (fds[j] >= 0)
				environment->backend->close(fds[j]);
		}
		while (i > 0)
			path_close(paths[--i], NULL, NULL);
		snprintf(message, message_size, "%s: out of memory or descriptors", specification);
		return -ENOMEM;
	}
	*count = found;
	return 0;
}

int path_sg_open_device(const struct sg_environment *environment, uv_loop_t *loop,
			const struct sg_device *device, const struct path_open_options *options,
			struct path **path)
{
	int fd = sg_resolve_check(environment->roots, device);

	if (fd == 0)
		fd = environment->backend->open(device->node);
	*path = path_sg_new(environment, loop, device, fd, options);
	return *path ? 0 : -ENOMEM;
}

const struct sg_environment sg_environment_system = {&sg_roots_system, &sg_backend_kernel};

static bool path_sg_claims(const char *specification)
{
	return specification[0] == '/';
}

static int path_sg_open(uv_loop_t *loop, const char *specification,
			const struct path_open_options *options, struct path **paths, size_t *count,
			char *message, size_t message_size)
{
	return path_sg_open_in(&sg_environment_system, loop, specification, options, paths, count,
			       message, message_size);
}

const struct path_kind path_kind_sg = {
	.name = "sg",
	.claims = path_sg_claims,
	.open = path_sg_open,
};
