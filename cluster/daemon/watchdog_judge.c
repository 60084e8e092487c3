/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's watchdog: judges every group (cluster/core/watchdog_policy.h) from a timer of the loop,
 * arms, feeds or disarms the device (cluster/daemon/watchdog.h) accordingly, and tells people, loudly
 * before a reset.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/daemon/daemon.h"
#include "cluster/base/log.h"
#include "cluster/daemon/watchdog.h"

#define TICK_MS 500
#define REPEAT_MS 1000 /* of the warning while it is not fed */
#define LEAVE_MS 30000 /* what still runs for multipathd ends within that, or hangs */

struct daemon_watchdog {
	struct daemon *daemon;
	struct watchdog *device;
	char name[256];
	uv_timer_t timer;
	bool armed, always, overdue;
	int error;
	uint64_t asked_ms; /* to feed it */
	uint64_t told_ms;  /* that it is not fed */
	uint64_t leave_ms; /* nothing is decided any more since then; 0: it is */
	char why[400];     /* not fed */
	uv_work_t sync;
	bool syncing, closing;
};

static void reset_time(const struct watchdog_view *view, uint64_t now_ms, char text[16],
		       uint64_t *in_ms)
{
	uint64_t at = view->fed_ms + view->timeout_ms;
	time_t wall;
	struct tm parts;

	*in_ms = at > now_ms ? at - now_ms : 0;
	wall = (time_t)((clock_wall_ms() + (int64_t)*in_ms) / 1000);
	localtime_r(&wall, &parts);
	strftime(text, 16, "%H:%M:%S", &parts);
}

static void sync_folder(uv_work_t *work)
{
	const struct daemon_watchdog *self = work->data;
	int fd = open(self->daemon->state_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	syncfs(fd);
	close(fd);
}

static void on_synced(uv_work_t *work, int status)
{
	struct daemon_watchdog *self = work->data;

	(void)status;
	self->syncing = false;
	if (self->closing)
		free(self);
}

/* The history is written without waiting for the disk; why there was a reset shall be there after
 * it. The state folder's file system alone: others may hang. */
static void keep_history(struct daemon_watchdog *self)
{
	if (self->syncing)
		return;
	self->sync.data = self;
	self->syncing =
		uv_queue_work(&self->daemon->home.loop, &self->sync, sync_folder, on_synced) == 0;
}

static void tell_overdue(struct daemon_watchdog *self, const struct watchdog_view *view,
			 uint64_t now_ms)
{
	uint64_t in_ms;
	char at[16];

	if (!view->armed || (self->overdue && now_ms - self->told_ms < REPEAT_MS))
		return;
	reset_time(view, now_ms, at, &in_ms);
	if (!self->overdue)
		daemon_note(self->daemon, "watchdog",
			    "watchdog no longer fed, because %s; it resets this node at %s",
			    self->why, at);
	log_error("%s; this node is reset in %llu s, at %s", self->why,
		  (unsigned long long)((in_ms + 999) / 1000), at);
	self->told_ms = now_ms;
	keep_history(self);
}

/* What the device has made of it. */
static void tell_changes(struct daemon_watchdog *self, const struct watchdog_view *view)
{
	if (view->always && !self->always)
		daemon_note(
			self->daemon, "watchdog",
			"watchdog %s (%s) cannot be disarmed: it is fed all the time, and resets "
			"this node whenever the daemon ends",
			self->name, view->identity);
	self->always = view->always;
	if (view->armed != self->armed)
		daemon_note(self->daemon, "watchdog",
			    view->armed ? "watchdog armed: this node owns a LUN, or is about to"
					: "watchdog disarmed: nothing is owned here, everything is "
					  "stopped");
	self->armed = view->armed;
	if (view->error && view->error != self->error)
		log_error("watchdog %s: %s", self->name, strerror(-view->error));
	self->error = view->error;
}

/* The groups are being closed, and what runs on them is left to the next daemon. */
static void feed_leaving(struct daemon_watchdog *self, uint64_t now_ms)
{
	struct watchdog_view view;

	watchdog_get_view(self->device, &view);
	if (self->overdue || !view.armed || now_ms - self->leave_ms > LEAVE_MS)
		return;
	watchdog_feed(self->device);
}

static void on_tick(uv_timer_t *timer)
{
	struct daemon_watchdog *self = timer->data;
	struct daemon *daemon = self->daemon;
	uint64_t now_ms = clock_now_ms(), due_ms;
	bool needed = false, overdue = false;
	struct watchdog_view view;

	if (self->leave_ms) {
		feed_leaving(self, now_ms);
		return;
	}
	for (size_t g = 0; g < daemon->group_count; g++) {
		enum watchdog_verdict verdict;

		if (group_is_closing(daemon->groups[g]))
			continue;
		verdict = group_watch(daemon->groups[g], daemon->home.config->stop_limit_ms, now_ms,
				      &due_ms, self->why, sizeof(self->why));
		needed = needed || verdict != WATCHDOG_VERDICT_REST;
		overdue = overdue || verdict == WATCHDOG_VERDICT_OVERDUE;
	}
	watchdog_get_view(self->device, &view);
	tell_changes(self, &view);
	if (overdue)
		tell_overdue(self, &view, now_ms);
	else if (self->overdue)
		daemon_note(daemon, "watchdog", "watchdog fed again: the stop goes on");
	self->overdue = overdue;
	if (!needed && !view.always)
		watchdog_disarm(self->device);
	else if (!overdue && (!view.armed || now_ms - self->asked_ms + TICK_MS >=
						     watchdog_feed_interval_ms(view.timeout_ms))) {
		watchdog_arm(self->device);
		self->asked_ms = now_ms;
	}
}

int daemon_watchdog_open(struct daemon *daemon)
{
	const struct config *config = daemon->home.config;
	struct daemon_watchdog *self;
	struct watchdog_view view;
	uint32_t tick;
	char message[500];

	if (!config->watchdog)
		return 0;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -1;
	if (watchdog_open(&self->device, config->watchdog, config->watchdog_timeout_ms, message,
			  sizeof(message))) {
		log_error("%s", message);
		free(self);
		return -1;
	}
	self->daemon = daemon;
	snprintf(self->name, sizeof(self->name), "%s", config->watchdog);
	daemon->watchdog = self;
	watchdog_get_view(self->device, &view);
	daemon_note(daemon, "watchdog", "watchdog %s (%s) is ours, %u s%s", self->name,
		    view.identity, view.timeout_ms / 1000,
		    view.reset_before ? "; it had reset this machine before this boot" : "");
	if (view.timeout_ms != config->watchdog_timeout_ms)
		log_warning("watchdog %s: asked for %u ms, it grants %u ms", self->name,
			    config->watchdog_timeout_ms, view.timeout_ms);
	self->armed = true;
	tick = watchdog_feed_interval_ms(view.timeout_ms);
	if (tick > TICK_MS)
		tick = TICK_MS;
	uv_timer_init(&daemon->home.loop, &self->timer);
	self->timer.data = self;
	uv_timer_start(&self->timer, on_tick, tick, tick);
	return 0;
}

void daemon_watchdog_reconfigure(struct daemon *daemon)
{
	struct daemon_watchdog *self = daemon->watchdog;
	const char *wanted = daemon->home.config->watchdog;
	struct watchdog_view view;

	if ((wanted != NULL) != (self != NULL) || (wanted && strcmp(wanted, self->name) != 0)) {
		log_warning("`watchdog` has changed: taken with the next `lunkeeper restart`");
		return;
	}
	if (!self)
		return;
	watchdog_get_view(self->device, &view);
	if (view.timeout_ms != daemon->home.config->watchdog_timeout_ms)
		watchdog_set_timeout(self->device, daemon->home.config->watchdog_timeout_ms);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct daemon_watchdog *self = handle->data;

	self->closing = true;
	if (!self->syncing)
		free(self);
}

void daemon_watchdog_leave(struct daemon *daemon)
{
	if (daemon->watchdog)
		daemon->watchdog->leave_ms = clock_now_ms();
}

void daemon_watchdog_close(struct daemon *daemon)
{
	struct daemon_watchdog *self = daemon->watchdog;
	bool rest = !daemon->leave_running;
	struct watchdog_view view;

	if (!self)
		return;
	daemon->watchdog = NULL;
	watchdog_get_view(self->device, &view);
	if (!rest && !daemon->again)
		log_error("watchdog %s is not fed any more: it resets this node in %u s, unless "
			  "lunkeeperd is started before that",
			  self->name, view.timeout_ms / 1000);
	if (!rest && view.armed && !self->overdue)
		watchdog_feed(self->device);
	watchdog_close(self->device, rest || !view.armed);
	uv_close((uv_handle_t *)&self->timer, on_timer_closed);
}

json_t *daemon_watchdog_json(const struct daemon *daemon)
{
	const struct daemon_watchdog *self = daemon->watchdog;
	uint64_t now_ms = clock_now_ms(), in_ms;
	struct watchdog_view view;
	char at[16];

	if (!self)
		return json_null();
	watchdog_get_view(self->device, &view);
	reset_time(&view, now_ms, at, &in_ms);
	return json_pack(
		"{s:s, s:s, s:I, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "device", self->name,
		"identity", view.identity, "timeout_ms", (json_int_t)view.timeout_ms, "armed",
		view.armed, "always", view.always, "feeding", view.armed && !self->overdue,
		"fed_ms",
		view.fed_ms ? json_integer((json_int_t)(now_ms - view.fed_ms)) : json_null(),
		"reset_ms",
		view.armed && self->overdue ? json_integer((json_int_t)in_ms) : json_null(),
		"reason", self->overdue ? json_string(self->why) : json_null(), "error",
		view.error ? json_string(strerror(-view.error)) : json_null());
}
