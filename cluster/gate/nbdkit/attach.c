/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device on the daemon's loop: one job at a time, on a worker where it may block, with a timer
 * that ends the helper process, and with it whatever blocks, when the job takes too long.
 *
 *        attach_make()             helper serves            device and link are there
 *   NONE ------------> CLEARING ----------------> STARTING -----> FINISHING -----> ATTACHED
 *    ^                     |                          |               |               |
 *    |                     +------- failed, or too late, or attach_remove() ----------+
 *    |                                                |
 *    |                                                v
 *    +-------------------------------------------- REMOVING
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "cluster/base/run.h"
#include "cluster/gate/nbdkit/attach_private.h"

#define POLL_MS 1u
#define REMOVE_LIMIT_MS 2000u
#define PULSE_MS 1000u

enum step { STEP_IDLE, STEP_CLEARING, STEP_STARTING, STEP_FINISHING, STEP_REMOVING };

struct attach {
	uv_loop_t *loop;
	struct attach_names names;
	char socket[ATTACH_PATH_MAX];
	uint32_t block_size, timeout_ms;
	enum attach_kind wanted, kind;
	void (*lost)(struct attach *attach, const char *reason, void *user);
	void *user;

	enum attach_state state;
	enum step step;
	struct attach_record record;
	char nbd_device[ATTACH_DEVICE_MAX];
	struct run *process; /* the helper, if we started it and it lives */
	uv_poll_t *watch;    /* on the helper of an earlier daemon: a pidfd */
	int watch_fd;
	uv_timer_t timer;
	uv_work_t work;
	uint64_t started_ns, limit_ms;
	uint32_t made_in_ms;

	attach_done *make_done, *remove_done, *flush_done;
	void *make_user, *remove_user, *flush_user;
	int job_error; /* of the worker */
	bool job_busy, working, cancelled, too_late;
	char message[ATTACH_MESSAGE_MAX];

	struct attach_pulse *pulse; /* the question that is open */
	uint64_t pulse_ms;          /* when it was put */

	uv_work_t flush;
	int flush_error;
	bool flushing, freeing;
	void (*closed)(void *user);
	void *closed_user;
};

static void step_clear(struct attach *attach);
static void step_remove(struct attach *attach);
static void free_if_done(struct attach *attach);

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void end_make(struct attach *attach, int status)
{
	attach_done *done = attach->make_done;
	attach->make_done = NULL;
	if (done)
		done(attach, status, status < 0 ? attach->message : "", attach->make_user);
}

static void end_remove(struct attach *attach, const char *remark)
{
	attach_done *done = attach->remove_done;
	attach->remove_done = NULL;
	if (done)
		done(attach, 0, remark, attach->remove_user);
}

/* --- the helper process --- */

static void handle_freed(uv_handle_t *handle)
{
	free(handle);
}

static void watch_stop(struct attach *attach)
{
	if (!attach->watch)
		return;
	uv_poll_stop(attach->watch);
	close(attach->watch_fd);
	uv_close((uv_handle_t *)attach->watch, handle_freed);
	attach->watch = NULL;
}

static void log_last_line(const struct attach *attach, char *line, size_t size)
{
	char text[512];
	int fd = open(attach->names.log, O_RDONLY | O_CLOEXEC);
	ssize_t count = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	const char *newline;

	if (fd >= 0)
		close(fd);
	while (count > 0 && text[count - 1] == '\n')
		count--;
	text[count > 0 ? count : 0] = '\0';
	newline = strrchr(text, '\n');
	snprintf(line, size, "%.280s", newline ? newline + 1 : text);
}

/* why: NULL, or a sentence for people. */
static void helper_gone(struct attach *attach, const char *why)
{
	char line[300];
	if (attach->step == STEP_STARTING) {
		if (!why)
			log_last_line(attach, line, sizeof(line));
		snprintf(attach->message, sizeof(attach->message), "%s: %s%s", attach->names.name,
			 why ? why : "its helper ended: ", why ? "" : line);
		attach->job_error = -EIO;
		step_remove(attach);
	} else if (attach->state == ATTACH_STATE_ATTACHED && attach->lost && !attach->freeing) {
		attach->lost(attach, "the process behind the device has ended", attach->user);
	}
}

static const char *helper_name(const struct attach *attach)
{
	return attach->kind == ATTACH_KIND_NBD ? "nbd-client" : "nbdfuse";
}

static void helper_ended(const struct run_result *result, void *user)
{
	struct attach *attach = user;
	char why[200];

	attach->process = NULL;
	snprintf(why, sizeof(why), "%s cannot be started: %s", helper_name(attach),
		 strerror(result->start_error));
	helper_gone(attach, result->start_error ? why : NULL);
}

static void watch_event(uv_poll_t *watch, int status, int events)
{
	struct attach *attach = watch->data;

	(void)status;
	(void)events;
	watch_stop(attach);
	helper_gone(attach, NULL);
}

static void watch_start(struct attach *attach)
{
	int fd = (int)syscall(SYS_pidfd_open, attach->record.pid, 0);
	uv_poll_t *watch = fd < 0 ? NULL : calloc(1, sizeof(*watch));
	if (!watch) {
		if (fd >= 0)
			close(fd);
		return;
	}
	watch->data = attach;
	if (uv_poll_init(attach->loop, watch, fd) < 0) {
		free(watch);
		close(fd);
		return;
	}
	attach->watch = watch;
	attach->watch_fd = fd;
	uv_poll_start(watch, UV_READABLE, watch_event);
	uv_unref((uv_handle_t *)watch);
}

static void helper_kill(struct attach *attach)
{
	if (attach->process)
		run_kill(attach->process, true);
	else if (attach_process_alive(&attach->record))
		kill(attach->record.pid, SIGKILL);
}

static void pulse_end(struct attach *attach)
{
	attach_pulse_free(attach->pulse);
	attach->pulse = NULL;
}

uint32_t attach_unanswered_ms(struct attach *attach)
{
	uint64_t now = now_ms();

	if (attach->state != ATTACH_STATE_ATTACHED || attach->kind != ATTACH_KIND_LOOP) {
		pulse_end(attach);
		return 0;
	}
	if (attach->pulse && !attach_pulse_is_over(attach->pulse))
		return (uint32_t)(now - attach->pulse_ms);
	pulse_end(attach);
	if (now - attach->pulse_ms >= PULSE_MS) {
		attach->pulse = attach_pulse_begin(attach->names.disk);
		attach->pulse_ms = now;
	}
	return 0;
}

void attach_kill_helper(struct attach *attach)
{
	pulse_end(attach);
	helper_kill(attach);
}

/* RFC 3986: what is not unreserved, and no slash, as %XX. */
static void uri_append(char *uri, size_t size, const char *text)
{
	size_t length = strlen(uri);
	for (; *text && length + 4 < size; text++) {
		bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-._~/",
				    *text) != NULL;
		length += (size_t)snprintf(uri + length, size - length, plain ? "%c" : "%%%02X",
					   (unsigned char)*text);
	}
}

/* Only now is it known by what the device can be found again. */
static void helper_begun(struct run *run, void *user)
{
	struct attach *attach = user;
	int error;

	if (attach->step != STEP_STARTING)
		return;
	attach_record_start(&attach->record, attach->kind, run_pid(run));
	snprintf(attach->record.device, sizeof(attach->record.device), "%s",
		 attach->kind == ATTACH_KIND_NBD ? attach->nbd_device : "");
	error = attach_record_write(&attach->names, &attach->record);
	if (error == 0)
		return;
	snprintf(attach->message, sizeof(attach->message), "cannot write %.300s: %s",
		 attach->names.state, strerror(-error));
	attach->job_error = error;
	step_remove(attach);
}

/* The kernel waits for it while it writes pages back: it is to be spared, and not to wait for
 * memory that only it can free. */
static int spawn(struct attach *attach, const char *const *arguments)
{
	int log =
		open(attach->names.log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	int error = log < 0 ? -errno : 0;
	const char *environment[RUN_ENVIRONMENT_MAX + 1];
	const struct run_options options = {
		.path = arguments[0],
		.arguments = arguments,
		.environment = run_environment(environment),
		.io_flusher = true,
		.spare = true,
		.start_limit_ms = attach->timeout_ms,
		.output_kind = RUN_OUTPUT_FILE,
		.output = log,
		.begun = helper_begun,
		.done = helper_ended,
		.user_data = attach,
	};

	if (error)
		return error;
	attach->process = run_start(attach->loop, &options);
	close(log);
	if (!attach->process)
		return -ENOMEM;
	run_leave(attach->process); /* its end keeps no loop */
	return 0;
}

static int helper_start(struct attach *attach)
{
	char uri[2 * ATTACH_PATH_MAX] = "nbd+unix:///", size[16];
	const char *nbdfuse[] = {"nbdfuse", "-P", attach->names.pid, attach->names.disk, uri, NULL};
	/* By ioctl: with netlink there would be no process to know the device by. */
	const char *client[] = {
		"nbd-client",       "-nonetlink", "-nofork",      "-block-size",      size, "-N",
		attach->names.name, "-unix",      attach->socket, attach->nbd_device, NULL};
	int error;

	uri_append(uri, sizeof(uri), attach->names.name);
	snprintf(uri + strlen(uri), sizeof(uri) - strlen(uri), "?socket=");
	uri_append(uri, sizeof(uri), attach->socket);
	snprintf(size, sizeof(size), "%u", attach->block_size);
	if (attach->kind == ATTACH_KIND_NBD) {
		error = attach_nbd_free(attach->nbd_device, sizeof(attach->nbd_device));
		if (error == 0)
			error = spawn(attach, client);
	} else {
		error = spawn(attach, nbdfuse);
	}
	if (error < 0)
		snprintf(attach->message, sizeof(attach->message), "%s: %s cannot be started: %s",
			 attach->names.name, helper_name(attach), strerror(-error));
	return error;
}

/* --- jobs on a worker --- */

static void job_clear(uv_work_t *work)
{
	struct attach *attach = work->data;
	struct attach_record old;
	bool busy;
	attach_link_remove(&attach->names, NULL);
	if (attach_record_read(&attach->names, &old) == 0) {
		attach_process_end(&old, 0); /* first, so that nothing below can wait for it */
		attach_take_apart(&attach->names, &old, &busy);
	}
	unlink(attach->names.state);
	attach->job_error =
		attach_folders_make(&attach->names, attach->message, sizeof(attach->message));
}

static void job_finish(uv_work_t *work)
{
	struct attach *attach = work->data;
	attach->message[0] = '\0';
	attach->job_error =
		attach->kind == ATTACH_KIND_NBD
			? attach_nbd_make(&attach->names, &attach->record, attach->message,
					  sizeof(attach->message))
			: attach_loop_make(&attach->names, attach->block_size, &attach->record,
					   attach->message, sizeof(attach->message));
	if (attach->job_error == 0)
		attach->job_error = attach_link_make(&attach->names, attach->record.device,
						     attach->message, sizeof(attach->message));
}

static void job_remove(uv_work_t *work)
{
	struct attach *attach = work->data;
	attach_take_apart(&attach->names, &attach->record, &attach->job_busy);
	attach_forget(&attach->names);
}

static void job_ended(uv_work_t *work, int status);

static void job_start(struct attach *attach, enum step step, uv_work_cb job, uint64_t limit_ms)
{
	attach->step = step;
	attach->working = true;
	attach->limit_ms = limit_ms;
	uv_queue_work(attach->loop, &attach->work, job, job_ended);
}

/* --- steps --- */

static void tick(uv_timer_t *timer);

static void step_finish(struct attach *attach)
{
	job_start(attach, STEP_FINISHING, job_finish, attach->limit_ms);
}

static bool helper_ready(const struct attach *attach)
{
	char path[64];

	if (!attach->record.pid) /* it is not known yet that it has begun */
		return false;
	if (attach->kind != ATTACH_KIND_NBD)
		return access(attach->names.pid, F_OK) == 0;
	snprintf(path, sizeof(path), "/sys/block/%.20s/pid", attach->nbd_device + strlen("/dev/"));
	return access(path, F_OK) == 0;
}

static void tick(uv_timer_t *timer)
{
	struct attach *attach = timer->data;
	if (attach->step == STEP_IDLE) {
		uv_timer_stop(timer);
		return;
	}
	if (now_ms() >= attach->limit_ms && !attach->too_late) {
		attach->too_late = true;
		/* Ends what the worker waits for; while it starts, helper_gone() goes on. */
		helper_kill(attach);
	}
	if (attach->step == STEP_STARTING && helper_ready(attach))
		step_finish(attach);
}

static void step_clear(struct attach *attach)
{
	attach->state = ATTACH_STATE_MAKING;
	attach->cancelled = attach->too_late = false;
	attach->started_ns = uv_hrtime();
	memset(&attach->record, 0, sizeof(attach->record));
	attach->message[0] = '\0';
	job_start(attach, STEP_CLEARING, job_clear, now_ms() + attach->timeout_ms);
	uv_timer_start(&attach->timer, tick, POLL_MS, POLL_MS);
}

static void step_remove(struct attach *attach)
{
	pulse_end(attach);
	attach->state = ATTACH_STATE_REMOVING;
	attach->too_late = false;
	watch_stop(attach);
	attach_link_remove(&attach->names, NULL);
	job_start(attach, STEP_REMOVING, job_remove, now_ms() + REMOVE_LIMIT_MS);
	uv_timer_start(&attach->timer, tick, POLL_MS, 50);
}

static void made(struct attach *attach)
{
	attach->pulse_ms = now_ms();
	attach->step = STEP_IDLE;
	attach->state = ATTACH_STATE_ATTACHED;
	attach->made_in_ms = (uint32_t)((uv_hrtime() - attach->started_ns) / 1000000);
	uv_timer_stop(&attach->timer);
	end_make(attach, 0);
}

static void removed(struct attach *attach)
{
	int error = attach->cancelled       ? -ECANCELED
		    : attach->job_error < 0 ? attach->job_error
					    : -EIO;
	const char *remark =
		attach->job_busy ? "the device is still open somewhere; it goes with its last user"
				 : "";
	bool begun = attach->record.pid > 0;

	attach->step = STEP_IDLE;
	attach->state = ATTACH_STATE_NONE;
	memset(&attach->record, 0, sizeof(attach->record));
	uv_timer_stop(&attach->timer);
	if (attach->process) { /* lives on behind a device that is in use, if it ever began */
		if (!begun)
			run_kill(attach->process, true);
		run_forget(attach->process);
		attach->process = NULL;
	}
	if (attach->cancelled)
		snprintf(attach->message, sizeof(attach->message), "%s: removed before it was made",
			 attach->names.name);
	end_make(attach, error);
	end_remove(attach, remark);
}

static void job_ended(uv_work_t *work, int status)
{
	struct attach *attach = work->data;
	enum step step = attach->step;

	(void)status;
	attach->working = false;
	attach->step = STEP_IDLE;
	if (step == STEP_REMOVING) {
		removed(attach);
	} else if (attach->freeing) {
		uv_timer_stop(&attach->timer);
	} else if (attach->cancelled || attach->job_error < 0) {
		if (attach->too_late)
			snprintf(attach->message, sizeof(attach->message),
				 "%s: not made within %u ms", attach->names.name,
				 attach->timeout_ms);
		step_remove(attach);
	} else if (step == STEP_CLEARING) {
		attach->step = STEP_STARTING;
		attach->job_error = helper_start(attach);
		if (attach->job_error < 0)
			step_remove(attach);
	} else if (!attach->process) { /* it died while the device was made */
		snprintf(attach->message, sizeof(attach->message), "%s: its helper ended",
			 attach->names.name);
		attach->job_error = -EIO;
		step_remove(attach);
	} else {
		made(attach);
	}
	free_if_done(attach);
}

/* --- what the daemon calls --- */

struct attach *attach_new(uv_loop_t *loop, const struct attach_setup *setup,
			  void (*lost)(struct attach *attach, const char *reason, void *user),
			  void *user)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	if (!attach)
		return NULL;
	if (attach_names_fill(&attach->names, setup->run_folder, setup->name) < 0 ||
	    strlen(setup->nbd_socket) >= sizeof(attach->socket)) {
		free(attach);
		return NULL;
	}
	snprintf(attach->socket, sizeof(attach->socket), "%s", setup->nbd_socket);
	attach->loop = loop;
	attach->block_size = setup->block_size ? setup->block_size : 512;
	attach->timeout_ms = setup->timeout_ms ? setup->timeout_ms : ATTACH_TIMEOUT_DEFAULT_MS;
	attach->wanted = setup->kind;
	attach->lost = lost;
	attach->user = user;
	attach->work.data = attach->flush.data = attach->timer.data = attach;
	uv_timer_init(loop, &attach->timer);
	return attach;
}

void attach_set_block_size(struct attach *attach, uint32_t block_size)
{
	if (block_size && attach->state == ATTACH_STATE_NONE)
		attach->block_size = block_size;
}

bool attach_adopt(struct attach *attach)
{
	char message[ATTACH_MESSAGE_MAX];
	if (attach->state != ATTACH_STATE_NONE ||
	    attach_record_read(&attach->names, &attach->record) < 0)
		return false;
	if (!attach_process_alive(&attach->record) || !attach->record.device[0] ||
	    !attach_device_present(&attach->names, &attach->record) ||
	    attach_link_make(&attach->names, attach->record.device, message, sizeof(message)) < 0) {
		memset(&attach->record, 0, sizeof(attach->record));
		return false;
	}
	attach->kind = attach->record.kind;
	attach->state = ATTACH_STATE_ATTACHED;
	watch_start(attach);
	return true;
}

int attach_make(struct attach *attach, attach_done *done, void *user)
{
	if (attach->state == ATTACH_STATE_ATTACHED)
		return -EALREADY;
	if (attach->state != ATTACH_STATE_NONE || attach->freeing)
		return -EBUSY;
	attach->kind = attach->wanted;
	if (attach->kind == ATTACH_KIND_BEST)
		attach->kind =
			attach_kind_possible(ATTACH_KIND_NBD) ? ATTACH_KIND_NBD : ATTACH_KIND_LOOP;
	attach->make_done = done;
	attach->make_user = user;
	step_clear(attach);
	return 0;
}

int attach_remove(struct attach *attach, attach_done *done, void *user)
{
	if (attach->state == ATTACH_STATE_REMOVING || attach->freeing)
		return -EBUSY;
	attach->remove_done = done;
	attach->remove_user = user;
	if (attach->state == ATTACH_STATE_NONE)
		attach_record_read(&attach->names,
				   &attach->record); /* perhaps an earlier daemon's, dead */
	if (attach->state == ATTACH_STATE_MAKING) {
		attach->cancelled = true;
		helper_kill(attach);
		if (attach->working)
			return 0; /* it ends soon, and goes on from there */
	}
	attach->job_error = 0;
	step_remove(attach);
	return 0;
}

static void job_flush(uv_work_t *work)
{
	struct attach *attach = work->data;
	int fd = open(attach->record.device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	attach->flush_error = fd < 0 || ioctl(fd, BLKFLSBUF, 0) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
}

static void flush_ended(uv_work_t *work, int status)
{
	struct attach *attach = work->data;
	char message[ATTACH_MESSAGE_MAX] = "";
	(void)status;
	attach->flushing = false;
	if (attach->flush_error < 0)
		snprintf(message, sizeof(message), "%s: caches not dropped: %s", attach->names.name,
			 strerror(-attach->flush_error));
	if (attach->flush_done && !attach->freeing)
		attach->flush_done(attach, attach->flush_error, message, attach->flush_user);
	free_if_done(attach);
}

int attach_drop_caches(struct attach *attach, attach_done *done, void *user)
{
	if (attach->flushing)
		return -EBUSY;
	if (attach->state != ATTACH_STATE_ATTACHED)
		return -ENODEV;
	attach->flush_done = done;
	attach->flush_user = user;
	attach->flushing = true;
	return uv_queue_work(attach->loop, &attach->flush, job_flush, flush_ended);
}

enum attach_state attach_get_state(const struct attach *attach)
{
	return attach->state;
}

enum attach_kind attach_get_kind(const struct attach *attach)
{
	return attach->kind;
}

int attach_put_back(const struct attach *attach)
{
	char message[ATTACH_MESSAGE_MAX];
	int error;

	if (attach->state != ATTACH_STATE_ATTACHED)
		return 0;
	error = attach_folders_make(&attach->names, message, sizeof(message));
	if (!error)
		error = attach_record_write(&attach->names, &attach->record);
	return error ? error
		     : attach_link_make(&attach->names, attach->record.device, message,
					sizeof(message));
}

const char *attach_device(const struct attach *attach)
{
	return attach->state == ATTACH_STATE_ATTACHED ? attach->record.device : "";
}

const char *attach_link(const struct attach *attach)
{
	return attach->names.link;
}

uint32_t attach_made_in_ms(const struct attach *attach)
{
	return attach->made_in_ms;
}

static void timer_closed(uv_handle_t *timer)
{
	struct attach *attach = timer->data;
	if (attach->closed)
		attach->closed(attach->closed_user);
	free(attach);
}

static void free_if_done(struct attach *attach)
{
	if (!attach->freeing || attach->working || attach->flushing ||
	    uv_is_closing((uv_handle_t *)&attach->timer))
		return;
	watch_stop(attach);
	if (attach->process)
		run_forget(attach->process);
	uv_close((uv_handle_t *)&attach->timer, timer_closed);
}

void attach_free(struct attach *attach, void (*closed)(void *user), void *user)
{
	attach->freeing = true;
	pulse_end(attach);
	attach->closed = closed;
	attach->closed_user = user;
	attach->make_done = attach->remove_done = attach->flush_done = NULL;
	free_if_done(attach);
}
