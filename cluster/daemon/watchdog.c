/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The watchdog device and its thread, see cluster/daemon/watchdog.h.
 */
#include "cluster/daemon/watchdog.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uv.h>

#include "cluster/base/clock.h"
#include "scsi/thread.h"

#define CLOSE_WAIT_MS 2000

struct watchdog {
	int fd;
	uv_thread_t thread;
	uv_mutex_t mutex;
	uv_cond_t changed;
	/* Under the mutex: what is wanted, and what is so. */
	bool want_armed, want_feed, want_close, close_disarmed, closed;
	uint32_t want_timeout_ms; /* 0: as it is */
	struct watchdog_view view;
};

static uint32_t seconds_of(uint32_t timeout_ms)
{
	return (uint32_t)(((uint64_t)timeout_ms + 999) / 1000);
}

/* Returns 0 or -errno; *granted_ms is what the driver made of it. */
static int set_timeout(int fd, uint32_t timeout_ms, uint32_t *granted_ms)
{
	int seconds = (int)seconds_of(timeout_ms), error = 0;

	if (ioctl(fd, WDIOC_SETTIMEOUT, &seconds) != 0)
		error = -errno;
	if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0 && seconds > 0)
		*granted_ms = (uint32_t)seconds * 1000;
	return error;
}

static int set_armed(int fd, bool armed)
{
	int options = armed ? WDIOS_ENABLECARD : WDIOS_DISABLECARD;

	return ioctl(fd, WDIOC_SETOPTIONS, &options) == 0 ? 0 : -errno;
}

/* One round of orders, outside the mutex. */
static void obey(struct watchdog *watchdog, const struct watchdog *orders)
{
	struct watchdog_view view = orders->view;
	int error = 0;

	if (orders->want_timeout_ms)
		error = set_timeout(watchdog->fd, orders->want_timeout_ms, &view.timeout_ms);
	if (orders->want_armed && !view.armed) {
		error = set_armed(watchdog->fd, true);
		view.armed = !error;
	}
	if (!orders->want_armed && view.armed && !view.always) {
		if (set_armed(watchdog->fd, false) == 0)
			view.armed = false;
		else
			view.always = true; /* nowayout, or a driver without the option */
	}
	if (orders->want_feed && view.armed) {
		if (ioctl(watchdog->fd, WDIOC_KEEPALIVE, 0) == 0)
			view.fed_ms = clock_now_ms();
		else
			error = -errno;
	}
	view.error = error;
	uv_mutex_lock(&watchdog->mutex);
	watchdog->view = view;
	uv_mutex_unlock(&watchdog->mutex);
}

static void thread_main(void *user)
{
	struct watchdog *watchdog = user, orders;

	thread_follow_main();
	for (;;) {
		uv_mutex_lock(&watchdog->mutex);
		while (!watchdog->want_close && !watchdog->want_feed &&
		       !watchdog->want_timeout_ms &&
		       (watchdog->want_armed == watchdog->view.armed ||
			(watchdog->view.always && watchdog->view.armed)))
			uv_cond_wait(&watchdog->changed, &watchdog->mutex);
		orders = *watchdog;
		watchdog->want_feed = false;
		watchdog->want_timeout_ms = 0;
		uv_mutex_unlock(&watchdog->mutex);
		if (orders.want_close)
			break;
		obey(watchdog, &orders);
		if (orders.want_armed && !watchdog->view.armed)
			usleep(100000); /* it cannot be armed: not tried all the time */
	}
	if (orders.close_disarmed)
		(void)!write(watchdog->fd, "V", 1); /* magic close */
	close(watchdog->fd);
	uv_mutex_lock(&watchdog->mutex);
	watchdog->closed = true;
	uv_cond_broadcast(&watchdog->changed);
	uv_mutex_unlock(&watchdog->mutex);
}

/* "0" of /dev/watchdog0, and of /dev/watchdog, which is the same one; NULL: no watchdog's name. */
static const char *number_of(const char *path)
{
	static const char name[] = "/dev/watchdog";
	const char *number = path + sizeof(name) - 1;

	if (strncmp(path, name, sizeof(name) - 1) != 0 ||
	    number[strspn(number, "0123456789")] != '\0')
		return NULL;
	return *number ? number : "0";
}

bool watchdog_is_same(const char *device, const char *path)
{
	const char *one = number_of(device), *other = number_of(path);

	/* A link by another name may lead to any. */
	return other && (!one || strcmp(one, other) == 0);
}

static bool process_has_watchdog(const char *pid, const char *device)
{
	char folder[64], path[400], target[256];
	const struct dirent *entry;
	bool found = false;
	DIR *fds;

	snprintf(folder, sizeof(folder), "/proc/%.20s/fd", pid);
	fds = opendir(folder);
	while (fds && !found && (entry = readdir(fds)) != NULL) {
		ssize_t length;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		found = watchdog_is_same(device, target);
	}
	if (fds)
		closedir(fds);
	return found;
}

void watchdog_find_user(const char *device, char *text, size_t size)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;

	*text = '\0';
	while (processes && !*text && (entry = readdir(processes)) != NULL) {
		char path[64], name[64] = "?";
		FILE *file;

		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !process_has_watchdog(entry->d_name, device))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		file = fopen(path, "re");
		if (file && fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		if (file)
			fclose(file);
		snprintf(text, size, "%s (pid %.20s)", name, entry->d_name);
	}
	if (processes)
		closedir(processes);
}

static void explain(const char *device, int error, char *message, size_t size)
{
	char user[128];

	switch (-error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		snprintf(message, size,
			 "watchdog %s: there is none: load the driver of this machine's watchdog, "
			 "or `modprobe softdog` (and name it in /etc/modules-load.d for the next "
			 "boot)",
			 device);
		break;
	case EBUSY:
		watchdog_find_user(device, user, sizeof(user));
		snprintf(
			message, size,
			"watchdog %s is in use by %s: only one program can feed it. systemd has it "
			"with RuntimeWatchdogSec= in system.conf; others are found by `fuser -v "
			"/dev/watchdog*`. Free it, or take `watchdog` out of the configuration",
			device, *user ? user : "somebody");
		break;
	default:
		snprintf(message, size, "watchdog %s: %s", device, strerror(-error));
	}
}

/* Not armed any more after a failed start. */
static int give_up(int fd, int error)
{
	(void)!write(fd, "V", 1);
	close(fd);
	return error;
}

static int open_device(struct watchdog *watchdog, const char *device, uint32_t timeout_ms,
		       char *message, size_t size)
{
	struct watchdog_info info = {0};
	int error, status = 0;

	watchdog->fd = open(device, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (watchdog->fd < 0) {
		error = -errno;
		explain(device, error, message, size);
		return error;
	}
	if (ioctl(watchdog->fd, WDIOC_GETSUPPORT, &info) != 0) {
		snprintf(message, size, "watchdog %s: this is no watchdog device (%s)", device,
			 strerror(errno));
		return give_up(watchdog->fd, -ENOTTY);
	}
	memcpy(watchdog->view.identity, info.identity, sizeof(info.identity));
	error = set_timeout(watchdog->fd, timeout_ms, &watchdog->view.timeout_ms);
	if (error == -EINVAL || !watchdog->view.timeout_ms) {
		snprintf(message, size,
			 "watchdog %s (%s): it refuses watchdog_timeout = %us; it has %us", device,
			 watchdog->view.identity, seconds_of(timeout_ms),
			 watchdog->view.timeout_ms / 1000);
		return give_up(watchdog->fd, error ? error : -EIO);
	}
	if (ioctl(watchdog->fd, WDIOC_GETBOOTSTATUS, &status) == 0)
		watchdog->view.reset_before = status & WDIOF_CARDRESET;
	return 0;
}

int watchdog_open(struct watchdog **result, const char *device, uint32_t timeout_ms, char *message,
		  size_t size)
{
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
	int error;

	*result = NULL;
	if (!watchdog) {
		snprintf(message, size, "watchdog %s: out of memory", device);
		return -ENOMEM;
	}
	error = open_device(watchdog, device, timeout_ms, message, size);
	if (error) {
		free(watchdog);
		return error;
	}
	watchdog->want_armed = watchdog->view.armed = true; /* opening did that */
	watchdog->view.fed_ms = clock_now_ms();
	uv_mutex_init(&watchdog->mutex);
	uv_cond_init(&watchdog->changed);
	error = uv_thread_create(&watchdog->thread, thread_main, watchdog);
	if (error) {
		snprintf(message, size, "watchdog %s: no thread: %s", device, uv_strerror(error));
		give_up(watchdog->fd, 0);
		free(watchdog);
		return error;
	}
	*result = watchdog;
	return 0;
}

static void order(struct watchdog *watchdog, bool armed, bool feed)
{
	uv_mutex_lock(&watchdog->mutex);
	watchdog->want_armed = armed;
	watchdog->want_feed = watchdog->want_feed || feed;
	uv_cond_broadcast(&watchdog->changed);
	uv_mutex_unlock(&watchdog->mutex);
}

void watchdog_arm(struct watchdog *watchdog)
{
	order(watchdog, true, true);
}

void watchdog_disarm(struct watchdog *watchdog)
{
	order(watchdog, false, false);
}

void watchdog_feed(struct watchdog *watchdog)
{
	order(watchdog, watchdog->want_armed, true); /* want_armed is written by this thread only */
}

void watchdog_set_timeout(struct watchdog *watchdog, uint32_t timeout_ms)
{
	uv_mutex_lock(&watchdog->mutex);
	watchdog->want_timeout_ms = timeout_ms;
	uv_cond_broadcast(&watchdog->changed);
	uv_mutex_unlock(&watchdog->mutex);
}

void watchdog_get_view(struct watchdog *watchdog, struct watchdog_view *view)
{
	uv_mutex_lock(&watchdog->mutex);
	*view = watchdog->view;
	uv_mutex_unlock(&watchdog->mutex);
}

void watchdog_close(struct watchdog *watchdog, bool disarm)
{
	bool closed;

	uv_mutex_lock(&watchdog->mutex);
	watchdog->want_close = true;
	watchdog->close_disarmed = disarm;
	uv_cond_broadcast(&watchdog->changed);
	while (!watchdog->closed && uv_cond_timedwait(&watchdog->changed, &watchdog->mutex,
						      CLOSE_WAIT_MS * (uint64_t)1000000) == 0)
		;
	closed = watchdog->closed;
	uv_mutex_unlock(&watchdog->mutex);
	if (!closed)
		/* the device hangs, and its thread with it: left to the end of the process */
		return;
	uv_thread_join(&watchdog->thread);
	uv_cond_destroy(&watchdog->changed);
	uv_mutex_destroy(&watchdog->mutex);
	free(watchdog);
}
