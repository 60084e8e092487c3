/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What all kinds of path have in common: preparing a request, and finding the kind that opens a
 * device specification.
 */
#include "scsi/path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request that waits to be sent; rare (a busy target), so it is allocated. */
struct path_later {
	uv_timer_t timer;
	struct path *path;
	struct scsi_request *request;
	struct path_later *next, **link;
};

static void path_request_prepare(struct scsi_request *request)
{
	if (request->timeout_ms == 0)
		request->timeout_ms = SCSI_TIMEOUT_DEFAULT_MS;
	memset(&request->result, 0, sizeof(request->result));
	memset(&request->path_private, 0, sizeof(request->path_private));
	request->path_private.sent_at_us = uv_hrtime() / 1000;
}

void path_submit(struct path *path, struct scsi_request *request)
{
	path_request_prepare(request);
	path->ops->submit(path, request);
}

void path_reset_logical_unit(struct path *path, struct scsi_request *request)
{
	path_request_prepare(request);
	path->ops->reset(path, request);
}

static void path_later_on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* Takes the request out of those that wait. */
static struct scsi_request *path_later_take(struct path_later *later)
{
	*later->link = later->next;
	if (later->next)
		later->next->link = later->link;
	uv_close((uv_handle_t *)&later->timer, path_later_on_closed);
	return later->request;
}

static void path_later_on_timer(uv_timer_t *timer)
{
	struct path_later *later = timer->data;

	path_submit(later->path, path_later_take(later));
}

void path_submit_later(struct path *path, struct scsi_request *request, uint32_t wait_ms)
{
	struct path_later *later = malloc(sizeof(*later));

	if (!later) {
		path_submit(path, request);
		return;
	}
	later->path = path;
	later->request = request;
	later->next = path->later;
	later->link = &path->later;
	if (later->next)
		later->next->link = &later->next;
	path->later = later;
	uv_timer_init(path->loop, &later->timer);
	later->timer.data = later;
	uv_update_time(path->loop);
	uv_timer_start(&later->timer, path_later_on_timer, wait_ms, 0);
}

void path_reconnect(struct path *path)
{
	if (path->state == PATH_STATE_DOWN)
		path->ops->reconnect(path);
}

void path_close(struct path *path, void (*closed)(void *user), void *user)
{
	while (path->later) {
		struct scsi_request *request = path_later_take(path->later);

		path_request_prepare(request);
		scsi_result_from_transport(&request->result, -ECANCELED);
		request->done(request);
	}
	path->ops->close(path, closed, user);
}

int path_open_all(const struct path_kind *const *kinds, uv_loop_t *loop, const char *specification,
		  const struct path_open_options *options, struct path **paths, size_t *count,
		  char *message, size_t message_size)
{
	*count = 0;
	for (; *kinds; kinds++) {
		if ((*kinds)->claims(specification))
			return (*kinds)->open(loop, specification, options, paths, count, message,
					      message_size);
	}
	snprintf(message, message_size,
		 "%s: not a device; name one by its path, such as /dev/disk/by-id/wwn-0x..., or by "
		 "a URL, "
		 "iscsi://HOST[:PORT]/IQN/LUN",
		 specification);
	return -ENODEV;
}
