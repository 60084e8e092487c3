/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See drive.h.
 */
#include "tests/table/drive.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/path_iscsi.h"

#define OPEN_TIMEOUT_MS 10000

static void changed(struct path *path, enum path_state state, const char *reason, void *user)
{
	struct drive *drive = user;

	(void)path;
	drive->state = state;
	drive->changes++;
	snprintf(drive->reason, sizeof(drive->reason), "%s", reason);
}

static void ring(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Runs the loop until *done, or time is up. */
static void run_until(uv_loop_t *loop, const bool *done, unsigned timeout_ms)
{
	uv_timer_t timer;
	bool expired = false;

	uv_timer_init(loop, &timer);
	timer.data = &expired;
	uv_update_time(loop);
	uv_timer_start(&timer, ring, timeout_ms, 0);
	while (!*done && !expired)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

void drive_run(uv_loop_t *loop, unsigned milliseconds)
{
	bool never = false;

	run_until(loop, &never, milliseconds);
}

static bool wait_change(struct drive *drive, unsigned before, unsigned timeout_ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)timeout_ms * 1000000;

	while (drive->changes == before && uv_hrtime() < end)
		drive_run(drive->loop, 1);
	return drive->changes != before;
}

int drive_open(struct drive *drive, uv_loop_t *loop, const char *url,
	       const struct path_open_options *options)
{
	struct path_open_options mine = *options;
	struct path *paths[PATHS_MAX];
	size_t count;
	int error;

	memset(drive, 0, sizeof(*drive));
	drive->loop = loop;
	mine.changed = changed;
	mine.user = drive;
	error = path_kind_iscsi.open(loop, url, &mine, paths, &count, drive->message,
				     sizeof(drive->message));
	if (error)
		return error;
	drive->path = paths[0];
	wait_change(drive, 0, OPEN_TIMEOUT_MS);
	return drive->state == PATH_STATE_UP ? 0 : -ENOTCONN;
}

int drive_open_disk(struct drive *drives, size_t capacity, uv_loop_t *loop, const char *disk,
		    size_t *count)
{
	struct path_open_options options = {.changed = changed, .user = &drives[0]};
	struct path *paths[PATHS_MAX];
	size_t found;
	int error;

	*count = 0;
	error = path_kind_sg.open(loop, disk, &options, paths, &found, drives[0].message,
				  sizeof(drives[0].message));
	if (error)
		return error;
	for (size_t i = 0; i < found; i++) {
		if (i >= capacity) {
			path_close(paths[i], NULL, NULL);
			error = -E2BIG;
			continue;
		}
		drives[i] = (struct drive){.loop = loop, .path = paths[i]};
		paths[i]->user = &drives[i]; /* nothing is reported before the loop runs */
		(*count)++;
	}
	for (size_t i = 0; i < *count && !error; i++) {
		wait_change(&drives[i], 0, OPEN_TIMEOUT_MS);
		if (drives[i].state != PATH_STATE_UP)
			error = -ENOTCONN;
	}
	return error;
}

bool drive_wait(struct drive *drive, enum path_state state, unsigned timeout_ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)timeout_ms * 1000000;

	while (drive->state != state && uv_hrtime() < end)
		drive_run(drive->loop, 1);
	return drive->state == state;
}

int drive_reconnect(struct drive *drive)
{
	unsigned before = drive->changes;

	path_reconnect(drive->path);
	wait_change(drive, before, OPEN_TIMEOUT_MS);
	return drive->state == PATH_STATE_UP ? 0 : -ENOTCONN;
}

static void flag_closed(void *user)
{
	*(bool *)user = true;
}

void drive_close(struct drive *drive)
{
	bool closed = false;

	if (!drive->path)
		return;
	path_close(drive->path, flag_closed, &closed);
	run_until(drive->loop, &closed, OPEN_TIMEOUT_MS);
	drive->path = NULL;
}

static void flag_done(struct scsi_request *request)
{
	*(bool *)request->user = true;
}

static void run_request(struct drive *drive, struct scsi_request *request,
			void (*send)(struct path *path, struct scsi_request *request))
{
	bool done = false;

	request->done = flag_done;
	request->user = &done;
	send(drive->path, request);
	while (!done)
		uv_run(drive->loop, UV_RUN_ONCE);
}

void drive_start(struct drive *drive, struct scsi_request *request, bool *done)
{
	*done = false;
	request->done = flag_done;
	request->user = done;
	path_submit(drive->path, request);
}

void drive_command(struct drive *drive, struct scsi_request *request)
{
	run_request(drive, request, path_submit);
}

void drive_reset(struct drive *drive, struct scsi_request *request)
{
	run_request(drive, request, path_reset_logical_unit);
}

void drive_command_retried(struct drive *drive, struct scsi_request *request)
{
	for (unsigned attempt = 0;; attempt++) {
		uint32_t wait_ms = 0;
		enum scsi_retry_verdict verdict;

		drive_command(drive, request);
		verdict = scsi_retry_judge(&request->result, attempt, &wait_ms);
		if (verdict != SCSI_RETRY_AT_ONCE && verdict != SCSI_RETRY_LATER)
			return;
		if (wait_ms)
			drive_run(drive->loop, wait_ms);
	}
}
