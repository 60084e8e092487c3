/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Worker threads for blocking pass-through commands. A job gets a thread at once, an idle one or a
 * new one, so a command that hangs in the kernel holds its own thread and nothing else. Idle
 * threads end after a while; the most recently used one is taken first, so that a thousand quietly
 * watched LUNs need a few threads only. How many jobs run at a time is bounded by those who start
 * them.
 */
#ifndef SCSI_SG_ENGINE_H
#define SCSI_SG_ENGINE_H

#include <stdatomic.h>

#include <uv.h>

#include "scsi/sg_backend.h"

/* An open descriptor, kept until nobody uses it any more: a hung command outlives its path. */
struct sg_descriptor;

struct sg_engine;

struct sg_job {
	struct sg_job *next; /* the engine's */
	struct sg_descriptor *descriptor;
	bool reset;
	atomic_bool given_up; /* not yet on its way: need not be sent */
	struct sg_exchange exchange;
	uint32_t duration_us;
	/* On the loop's thread. The job, and what user points to, are the callee's then. Not called
	 * when the engine is gone before the job ends: the job is freed, user is not looked at. */
	void (*finished)(struct sg_job *job);
	void *user;
	uint8_t data[];
};

/* The loop's engine, made by the first call; each call wants an sg_engine_put(). NULL: no memory or
 * no descriptors. */
struct sg_engine *sg_engine_get(uv_loop_t *loop);
/* After the last one no `finished` is called any more; jobs that still run are freed when they end.
 * Never blocks. */
void sg_engine_put(struct sg_engine *engine);
/* 0, or -EAGAIN when no thread can be made: the job is the caller's again. */
int sg_engine_start(struct sg_engine *engine, struct sg_job *job);
/* Threads that exist, for tests. */
unsigned sg_engine_threads(struct sg_engine *engine);

/* Takes over fd; one reference, the caller's. NULL: no memory. */
struct sg_descriptor *sg_descriptor_new(const struct sg_backend *backend, int fd);
/* Closes it with the last reference. Any thread. */
void sg_descriptor_put(struct sg_descriptor *descriptor);

/* A job on the descriptor (takes a reference), with room for data_length bytes. NULL: no memory. */
struct sg_job *sg_job_new(struct sg_descriptor *descriptor, uint32_t data_length);
void sg_job_free(struct sg_job *job);

#endif
