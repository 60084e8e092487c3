/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe on real paths: sends what scsi/probe.h decides, on a libuv loop. The paths stay the
 * caller's, who reports their changes of state here.
 */
#ifndef SCSI_PROBE_RUN_H
#define SCSI_PROBE_RUN_H

#include <uv.h>

#include "scsi/path.h"
#include "scsi/probe.h"

struct probe_run;

struct probe_run_options {
	struct probe_options probe;    /* path_count and second are taken from the members below */
	struct path *paths[PATHS_MAX]; /* all up */
	size_t path_count;
	struct path *second; /* up; NULL: none */
	/* Close the second path and open it again; then probe_run_relogged(). NULL: it cannot. */
	void (*relogin)(void *user);
	/* Keep the blocks durably. Returns 0 or -errno with a message. */
	int (*save)(const void *blocks, size_t size, char *message, size_t message_size,
		    void *user);
	/* They are as they were. */
	void (*forget)(void *user);
	/* May be NULL. What it is about to do; for progress. */
	void (*progress)(const char *stage, void *user);
	/* Called once, from the loop; the report is valid until probe_run_free(). */
	void (*done)(struct probe_run *run, const struct probe_report *report, void *user);
	void *user;
};

/* Returns 0, -EINVAL or -ENOMEM. done() is never called from within. */
int probe_run_start(struct probe_run **run, uv_loop_t *loop,
		    const struct probe_run_options *options);
/* second: the new path, up; NULL: it could not be made. */
void probe_run_relogged(struct probe_run *run, struct path *second);
void probe_run_path_changed(struct probe_run *run, const struct path *path);
/* Cleans up and ends; done() comes when that is over. */
void probe_run_interrupt(struct probe_run *run);
const struct probe *probe_run_probe(const struct probe_run *run);
/* After done(). */
void probe_run_free(struct probe_run *run);

#endif
