/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Paths driven one call at a time, for tests and measurements: each call runs the loop until its
 * own end.
 */
#ifndef TESTS_TABLE_DRIVE_H
#define TESTS_TABLE_DRIVE_H

#include <uv.h>

#include "scsi/path.h"
#include "scsi/scsi.h"

struct drive {
	uv_loop_t *loop;
	struct path *path;
	enum path_state state; /* as last reported */
	unsigned changes;      /* how often a state was reported */
	char reason[400];
	char message[400]; /* of an open that failed */
};

/* Opens and waits until UP or DOWN is reported. Returns 0 if UP, -ENOTCONN if DOWN, or what open
 * returned. */
int drive_open(struct drive *drive, uv_loop_t *loop, const char *url,
	       const struct path_open_options *options);
/* The same for every path of a disk's name (`sg` paths), in drives[0] and on. *count: how many; all
 * are to be closed, also after an error. Returns 0 if all are UP, -ENOTCONN, -E2BIG, or what open
 * returned (message in drives[0]). */
int drive_open_disk(struct drive *drives, size_t capacity, uv_loop_t *loop, const char *disk,
		    size_t *count);
/* Waits until the reported state is this one. False after `timeout_ms`. */
bool drive_wait(struct drive *drive, enum path_state state, unsigned timeout_ms);
/* path_reconnect(), and waits for the outcome. Returns 0 or -ENOTCONN. */
int drive_reconnect(struct drive *drive);
void drive_close(struct drive *drive);

/* Sends and waits; request->result is set. */
void drive_command(struct drive *drive, struct scsi_request *request);
/* Sends and returns; *done becomes true. */
void drive_start(struct drive *drive, struct scsi_request *request, bool *done);
void drive_reset(struct drive *drive, struct scsi_request *request);
/* The same, taking unit attentions. */
void drive_command_retried(struct drive *drive, struct scsi_request *request);
void drive_run(uv_loop_t *loop, unsigned milliseconds);

#endif
