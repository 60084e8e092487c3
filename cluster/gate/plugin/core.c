/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate itself: its state, the requests that wait at it, and the thread that owns both.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <signal.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "cluster/gate/plugin/private.h"

#define LOG_MAX (1024 * 1024)
#define ANSWER_GRACE_MS 20
#define STOP_LIMIT_S 3
#define ALONE_CHECKS 8 /* times within the hold limit */

uint64_t core_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Standard error is a file of our own, opened for appending; it starts again when it has grown too
 * long. */
void plugin_log(const char *format, ...)
{
	struct stat status;
	struct timespec now;
	struct tm parts;
	char when[32];
	va_list arguments;

	if (fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size > LOG_MAX && ftruncate(STDERR_FILENO, 0) < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	strftime(when, sizeof(when), "%F %T", gmtime_r(&now.tv_sec, &parts));
	va_start(arguments, format);
	flockfile(stderr);
	fprintf(stderr, "%s.%03ld ", when, now.tv_nsec / 1000000);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	funlockfile(stderr);
	va_end(arguments);
}

bool core_quiet(const struct plugin *plugin)
{
	return plugin->in_flight == 0 && plugin->closing_count == 0;
}

void core_settle(struct plugin *plugin)
{
	bool quiet = plugin->state != GATE_STATE_OPEN && core_quiet(plugin);
	if (quiet == plugin->told_quiet)
		return;
	plugin->told_quiet = quiet;
	if (plugin->state != GATE_STATE_OPEN)
		control_tell_state(plugin, false);
}

void core_finish(struct plugin *plugin, struct gate_io *io, int error)
{
	if (error < 0)
		plugin->counters.errors++;
	io->error = error;
	sem_post(&io->finished);
}

/* A flush behind which there is nothing need not wait: a file's closing sends one while its device
 * is being made, with the gate held perhaps. */
void core_wait(struct plugin *plugin, struct gate_io *io)
{
	struct gate_io **at;

	if (plugin->state == GATE_STATE_FAILED || io->epoch != plugin->epoch) {
		core_finish(plugin, io, -EIO);
		return;
	}
	if (io->kind == IO_FLUSH && !io->lun->written) {
		core_finish(plugin, io, 0);
		return;
	}
	io->lun->written = io->lun->written || (io->kind != IO_FLUSH && io->kind != IO_READ);
	at = &plugin->waiting;
	while (*at && (*at)->order < io->order)
		at = &(*at)->next;
	io->next = *at;
	*at = io;
	plugin->waiting_count++;
}

static void pump_again(uv_timer_t *timer)
{
	core_pump(timer->data);
}

void core_pump(struct plugin *plugin)
{
	struct gate_io **at = &plugin->waiting;
	uint64_t now = core_now_ms(), due = UINT64_MAX;

	while (*at && plugin->state == GATE_STATE_OPEN) {
		struct gate_io *io = *at;
		if (io->due_ms > now || io->lun->doubted) {
			if (!io->lun->doubted)
				due = io->due_ms < due ? io->due_ms : due;
			at = &io->next;
			continue;
		}
		*at = io->next;
		plugin->waiting_count--;
		io_send(io);
	}
	if (due != UINT64_MAX && plugin->state == GATE_STATE_OPEN)
		uv_timer_start(&plugin->pump_timer, pump_again, due - now, 0);
}

static void waiting_fail(struct plugin *plugin)
{
	struct gate_io *io = plugin->waiting;
	plugin->waiting = NULL;
	plugin->waiting_count = 0;
	while (io) {
		struct gate_io *next = io->next; /* io is gone once its worker knows */
		core_finish(plugin, io, -EIO);
		io = next;
	}
}

/* What is in flight now came through the gate before it failed, and has had its chance to be
 * answered. */
static void drop_in_flight(uv_timer_t *timer)
{
	struct plugin *plugin = timer->data;
	for (size_t i = 0; i < plugin->file.lun_count && plugin->state != GATE_STATE_OPEN; i++)
		if (plugin->luns[i].in_flight > 0)
			nexus_drop(&plugin->luns[i],
				   "dropped with what was in flight when the gate failed");
}

/* A target that answers shall not lose its session for a command that was on its way just then. */
static void enter_failed(struct plugin *plugin)
{
	pthread_mutex_lock(&plugin->lock);
	plugin->epoch++;
	pthread_mutex_unlock(&plugin->lock);
	waiting_fail(plugin);
	for (size_t i = 0; i < plugin->file.lun_count; i++)
		plugin->luns[i].written = false;
	if (plugin->in_flight > 0)
		uv_timer_start(&plugin->drop_timer, drop_in_flight, ANSWER_GRACE_MS, 0);
}

/* The only place where the state changes. */
void core_set(struct plugin *plugin, enum gate_state state, enum gate_cause cause, uint16_t lun)
{
	enum gate_state old = plugin->state;
	if (old != state)
		plugin_log("gate %s -> %s: %s%s%s; %u in flight, %u waiting", gate_state_name(old),
			   gate_state_name(state), gate_cause_text(cause),
			   cause == GATE_CAUSE_ORDERED || cause == GATE_CAUSE_ALONE ? "" : ", LUN ",
			   cause == GATE_CAUSE_ORDERED || cause == GATE_CAUSE_ALONE
				   ? ""
				   : plugin->luns[lun].config.name,
			   plugin->in_flight, plugin->waiting_count);
	plugin->state = state;
	plugin->cause = cause;
	plugin->cause_lun = lun;
	if (old != state)
		plugin->alone_checks = 0;
	if (state == GATE_STATE_FAILED && old != GATE_STATE_FAILED)
		enter_failed(plugin);
	plugin->told_quiet = state != GATE_STATE_OPEN && core_quiet(plugin);
	assert(state != GATE_STATE_FAILED || !plugin->waiting);
	control_tell_state(plugin, false);
	if (state == GATE_STATE_OPEN)
		core_pump(plugin);
}

void core_disturb(struct plugin *plugin, enum gate_cause cause, uint16_t lun)
{
	plugin->spontaneous++;
	if (plugin->state == GATE_STATE_OPEN) {
		core_set(plugin, GATE_STATE_HELD, cause, lun);
		return;
	}
	/* An OPEN on its way will be refused, and who ordered it shall see why. */
	if (plugin->state == GATE_STATE_HELD && plugin->cause == GATE_CAUSE_ORDERED) {
		plugin->cause = cause;
		plugin->cause_lun = lun;
	}
	control_tell_state(plugin, false);
}

/* A daemon that is gone, or stopped, must not leave I/O waiting for ever. Counted, not timed:
 * behind a stall of this process the daemon's messages are read before another check comes. */
static void check_alone(uv_timer_t *timer)
{
	struct plugin *plugin = timer->data;
	uint32_t heard = control_heard(plugin);
	if (plugin->state != GATE_STATE_HELD || heard != plugin->alone_heard) {
		plugin->alone_heard = heard;
		plugin->alone_checks = 0;
		return;
	}
	if (++plugin->alone_checks < ALONE_CHECKS)
		return;
	plugin->alone_checks = 0;
	plugin->spontaneous++;
	core_set(plugin, GATE_STATE_FAILED, GATE_CAUSE_ALONE, 0);
}

static void take_inbox(struct plugin *plugin)
{
	struct gate_io *io;

	pthread_mutex_lock(&plugin->lock);
	io = plugin->inbox;
	plugin->inbox = NULL;
	plugin->inbox_end = &plugin->inbox;
	pthread_mutex_unlock(&plugin->lock);

	while (io) {
		struct gate_io *next = io->next;
		io->order = plugin->next_order++;
		core_wait(plugin, io);
		io = next;
	}
	core_pump(plugin);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void stop_when_closed(struct plugin *plugin)
{
	if (plugin->closing_count == 0)
		uv_walk(&plugin->loop, close_handle, NULL);
}

static void on_wake(uv_async_t *wake)
{
	struct plugin *plugin = wake->data;
	bool stopping;

	take_inbox(plugin);
	pthread_mutex_lock(&plugin->lock);
	stopping = plugin->stopping;
	pthread_mutex_unlock(&plugin->lock);
	if (!stopping)
		return;
	core_set(plugin, GATE_STATE_FAILED, GATE_CAUSE_ORDERED, 0);
	control_stop(plugin);
	for (size_t i = 0; i < plugin->file.lun_count; i++)
		nexus_stop(&plugin->luns[i]);
	stop_when_closed(plugin);
}

/* nbdkit would wait for requests that wait at the gate. */
static void on_terminate(uv_signal_t *signal, int number)
{
	struct plugin *plugin = signal->data;
	plugin_log("signal %d: ending", number);
	core_set(plugin, GATE_STATE_FAILED, GATE_CAUSE_ORDERED, 0);
	nbdkit_shutdown();
}

static void *core_main(void *argument)
{
	struct plugin *plugin = argument;
	uv_run(&plugin->loop, UV_RUN_DEFAULT);
	return NULL;
}

static int core_prepare(struct plugin *plugin)
{
	int error = uv_loop_init(&plugin->loop);
	uint64_t period;

	if (error < 0)
		return error;
	plugin->inbox_end = &plugin->inbox;
	plugin->started_ms = core_now_ms();
	plugin->told_quiet = true;
	/* Another process's nexuses must not bear the numbers of this one's. */
	if (getrandom(&plugin->next_serial, sizeof(plugin->next_serial), GRND_NONBLOCK) < 0)
		plugin->next_serial = (uint32_t)uv_hrtime();
	uv_async_init(&plugin->loop, &plugin->wake, on_wake);
	uv_timer_init(&plugin->loop, &plugin->pump_timer);
	uv_timer_init(&plugin->loop, &plugin->drop_timer);
	uv_timer_init(&plugin->loop, &plugin->alone_timer);
	uv_signal_init(&plugin->loop, &plugin->terminate);
	plugin->drop_timer.data = plugin;
	plugin->wake.data = plugin->pump_timer.data = plugin->alone_timer.data =
		plugin->terminate.data = plugin;
	period = plugin->file.hold_limit_ms / ALONE_CHECKS + 1;
	uv_timer_start(&plugin->alone_timer, check_alone, period, period);
	return uv_signal_start(&plugin->terminate, on_terminate, SIGTERM);
}

int core_start(struct plugin *plugin)
{
	int error = core_prepare(plugin);
	for (size_t i = 0; i < plugin->file.lun_count && error == 0; i++)
		error = nexus_start(&plugin->luns[i]);
	if (error == 0)
		error = control_start(plugin);
	if (error == 0)
		error = -pthread_create(&plugin->thread, NULL, core_main, plugin);
	plugin->running = error == 0;
	return error;
}

void core_stop(struct plugin *plugin)
{
	struct timespec limit;
	if (!plugin->running)
		return;
	pthread_mutex_lock(&plugin->lock);
	plugin->stopping = true;
	pthread_mutex_unlock(&plugin->lock);
	uv_async_send(&plugin->wake);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += STOP_LIMIT_S;
	/* A target that does not answer the logout does not keep the process: the socket's closing
	 * ends the session too. */
	if (pthread_timedjoin_np(plugin->thread, NULL, &limit) != 0)
		_exit(0);
	plugin->running = false;
}

int core_run(struct plugin *plugin, struct gate_io *io)
{
	sem_init(&io->finished, 0, 0);
	io->next = NULL;
	io->due_ms = 0;
	io->strange = 0;
	memset(&io->budget, 0, sizeof(io->budget));
	io->behind = false;
	pthread_mutex_lock(&plugin->lock);
	*plugin->inbox_end = io;
	plugin->inbox_end = &io->next;
	pthread_mutex_unlock(&plugin->lock);
	uv_async_send(&plugin->wake);
	while (sem_wait(&io->finished) < 0)
		;
	sem_destroy(&io->finished);
	return io->error;
}
