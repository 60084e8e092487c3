/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Notices that the kernel's devices change: by its own messages, gathered for a moment because they
 * come in crowds, and by a slow look of our own in case one was lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/daemon/daemon.h"
#include "cluster/base/log.h"
#include "scsi/uevent.h"

#define GATHER_MS 100       /* quiet for so long */
#define GATHER_MOST_MS 1000 /* but not longer than this after the first */
#define LOOK_MS 15000
#define LOOK_DEAF_MS 2000 /* without the kernel's messages */

struct daemon_devices {
	struct daemon *daemon;
	struct uevent_watch *watch; /* NULL: deaf */
	uv_timer_t timer;
	uint64_t first_ms; /* of the messages that are being gathered; 0 none */
	unsigned closes;
	void (*closed)(void *user);
	void *user;
};

static bool any_kernel_lun(const struct daemon *daemon)
{
	for (size_t g = 0; g < daemon->group_count; g++)
		if (group_has_kernel_lun(daemon->groups[g]))
			return true;
	return false;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct daemon_devices *devices, uint64_t wait_ms)
{
	uv_timer_start(&devices->timer, on_timer, wait_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct daemon_devices *devices = timer->data;
	struct daemon *daemon = devices->daemon;
	struct sg_index *index;

	devices->first_ms = 0;
	arm(devices, devices->watch ? LOOK_MS : LOOK_DEAF_MS);
	if (!any_kernel_lun(daemon))
		return;
	index = sg_index_read(&sg_roots_system);
	for (size_t g = 0; g < daemon->group_count && index; g++)
		group_rescan(daemon->groups[g], index);
	sg_index_free(index);
}

static void on_uevent(const struct uevent *event, void *user)
{
	struct daemon_devices *devices = user;
	uint64_t now = clock_now_ms();

	if (event && !uevent_is_of_paths(event))
		return;
	if (devices->first_ms == 0)
		devices->first_ms = now;
	if (now - devices->first_ms + GATHER_MS <= GATHER_MOST_MS)
		arm(devices, GATHER_MS);
}

int daemon_devices_open(struct daemon *daemon)
{
	struct daemon_devices *devices = calloc(1, sizeof(*devices));
	int error;

	if (!devices)
		return -ENOMEM;
	devices->daemon = daemon;
	uv_timer_init(&daemon->home.loop, &devices->timer);
	devices->timer.data = devices;
	error = uevent_watch_open(&daemon->home.loop, on_uevent, devices, &devices->watch);
	if (error)
		log_warning("the kernel's messages about devices cannot be heard: %s; sysfs is "
			    "looked at every %u s instead",
			    strerror(-error), LOOK_DEAF_MS / 1000);
	arm(devices, devices->watch ? LOOK_MS : LOOK_DEAF_MS);
	daemon->devices = devices;
	return 0;
}

static void part_closed(struct daemon_devices *devices)
{
	if (--devices->closes == 0)
		free(devices);
}

static void on_watch_closed(void *user)
{
	part_closed(user);
}

static void on_timer_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

void daemon_devices_close(struct daemon *daemon)
{
	struct daemon_devices *devices = daemon->devices;

	if (!devices)
		return;
	daemon->devices = NULL;
	devices->closes = devices->watch ? 2 : 1;
	if (devices->watch)
		uevent_watch_close(devices->watch, on_watch_closed, devices);
	uv_close((uv_handle_t *)&devices->timer, on_timer_closed);
}
