/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Worker threads for blocking pass-through commands: one engine per loop, one thread per command in
 * flight.
 */
#include "scsi/sg_engine.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "scsi/thread.h"

#define SG_WORKER_STACK_SIZE (64u * 1024u)
#define SG_WORKER_IDLE_S 10

struct sg_descriptor {
	const struct sg_backend *backend;
	int fd;
	atomic_uint references;
};

/* Lives on its thread's stack. */
struct sg_worker {
	pthread_cond_t wake;
	struct sg_job *job;
	struct sg_worker *next, **link; /* in the engine's stack of idle workers */
};

struct sg_engine {
	struct sg_engine *next;
	uv_loop_t *loop;
	unsigned users; /* the loop's thread only, as next and loop */
	uv_async_t async;

	pthread_mutex_t mutex; /* for all below */
	struct sg_worker *idle;
	struct sg_job *finished; /* last first */
	unsigned threads;
	bool closing;       /* no more async, no more finished() */
	bool handle_closed; /* libuv has let go of async */
};

struct sg_worker_start {
	struct sg_engine *engine;
	struct sg_job *job;
};

static pthread_mutex_t sg_engines_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sg_engine *sg_engines;

struct sg_descriptor *sg_descriptor_new(const struct sg_backend *backend, int fd)
{
	struct sg_descriptor *descriptor = malloc(sizeof(*descriptor));

	if (!descriptor)
		return NULL;
	descriptor->backend = backend;
	descriptor->fd = fd;
	atomic_init(&descriptor->references, 1);
	return descriptor;
}

void sg_descriptor_put(struct sg_descriptor *descriptor)
{
	if (atomic_fetch_sub(&descriptor->references, 1) > 1)
		return;
	descriptor->backend->close(descriptor->fd);
	free(descriptor);
}

struct sg_job *sg_job_new(struct sg_descriptor *descriptor, uint32_t data_length)
{
	struct sg_job *job = calloc(1, sizeof(*job) + data_length);

	if (!job)
		return NULL;
	atomic_fetch_add(&descriptor->references, 1);
	job->descriptor = descriptor;
	job->exchange.data = job->data;
	job->exchange.data_length = data_length;
	return job;
}

void sg_job_free(struct sg_job *job)
{
	sg_descriptor_put(job->descriptor);
	free(job);
}

static void sg_job_execute(struct sg_job *job)
{
	uint64_t began = uv_hrtime();
	const struct sg_descriptor *descriptor = job->descriptor;

	if (atomic_load(&job->given_up))
		scsi_result_from_transport(&job->exchange.result, -ECANCELED);
	else if (job->reset)
		descriptor->backend->reset_logical_unit(descriptor->fd, &job->exchange);
	else
		descriptor->backend->execute(descriptor->fd, &job->exchange);
	job->duration_us = (uint32_t)((uv_hrtime() - began) / 1000);
}

static void sg_worker_push(struct sg_engine *engine, struct sg_worker *worker)
{
	worker->next = engine->idle;
	worker->link = &engine->idle;
	if (worker->next)
		worker->next->link = &worker->next;
	engine->idle = worker;
}

static void sg_worker_unlink(struct sg_worker *worker)
{
	*worker->link = worker->next;
	if (worker->next)
		worker->next->link = worker->link;
}

/* With the mutex held. Waits for a job; NULL: the thread is to end. Whoever hands over a job
 * unlinks the worker. */
static struct sg_job *sg_worker_wait(struct sg_engine *engine, struct sg_worker *worker)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SG_WORKER_IDLE_S;
	worker->job = NULL;
	sg_worker_push(engine, worker);
	while (!worker->job && !engine->closing && rc == 0)
		rc = pthread_cond_timedwait(&worker->wake, &engine->mutex, &until);
	if (!worker->job)
		sg_worker_unlink(worker);
	return worker->job;
}

static void sg_engine_free(struct sg_engine *engine)
{
	pthread_mutex_destroy(&engine->mutex);
	free(engine);
}

/* With the mutex held. */
static void sg_job_deliver(struct sg_engine *engine, struct sg_job *job)
{
	if (engine->closing) {
		sg_job_free(job);
		return;
	}
	job->next = engine->finished;
	engine->finished = job;
	if (!job->next)
		uv_async_send(&engine->async);
}

static void *sg_worker_main(void *argument)
{
	struct sg_worker_start *start = argument;
	struct sg_engine *engine = start->engine;
	struct sg_worker worker = {.job = start->job};
	pthread_condattr_t attributes;
	bool last;

	free(start);
	thread_follow_main();
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&worker.wake, &attributes);
	pthread_condattr_destroy(&attributes);
	do {
		sg_job_execute(worker.job);
		pthread_mutex_lock(&engine->mutex);
		sg_job_deliver(engine, worker.job);
		sg_worker_wait(engine, &worker);
		pthread_mutex_unlock(&engine->mutex);
	} while (worker.job);
	pthread_cond_destroy(&worker.wake);
	pthread_mutex_lock(&engine->mutex);
	engine->threads--;
	last = engine->threads == 0 && engine->handle_closed;
	pthread_mutex_unlock(&engine->mutex);
	if (last)
		sg_engine_free(engine);
	return NULL;
}

/* Signals are the loop's business: one that hit a worker would break off its command. */
static int sg_thread_create(struct sg_worker_start *start)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, SG_WORKER_STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attributes, sg_worker_main, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -rc;
}

static int sg_engine_start_thread(struct sg_engine *engine, struct sg_job *job)
{
	struct sg_worker_start *start = malloc(sizeof(*start));
	int rc;

	if (!start)
		return -EAGAIN;
	start->engine = engine;
	start->job = job;
	pthread_mutex_lock(&engine->mutex);
	engine->threads++;
	pthread_mutex_unlock(&engine->mutex);
	rc = sg_thread_create(start);
	if (rc == 0)
		return 0;
	free(start);
	pthread_mutex_lock(&engine->mutex);
	engine->threads--;
	pthread_mutex_unlock(&engine->mutex);
	return -EAGAIN;
}

int sg_engine_start(struct sg_engine *engine, struct sg_job *job)
{
	struct sg_worker *worker;

	pthread_mutex_lock(&engine->mutex);
	worker = engine->idle;
	if (worker) {
		sg_worker_unlink(worker);
		worker->job = job;
		pthread_cond_signal(&worker->wake);
	}
	pthread_mutex_unlock(&engine->mutex);
	return worker ? 0 : sg_engine_start_thread(engine, job);
}

static void sg_engine_on_async(uv_async_t *async)
{
	struct sg_engine *engine = async->data;
	struct sg_job *job, *next, *in_order = NULL;

	pthread_mutex_lock(&engine->mutex);
	job = engine->finished;
	engine->finished = NULL;
	pthread_mutex_unlock(&engine->mutex);
	for (; job; job = next) {
		next = job->next;
		job->next = in_order;
		in_order = job;
	}
	for (job = in_order; job; job = next) {
		next = job->next;
		job->finished(job);
	}
}

struct sg_engine *sg_engine_get(uv_loop_t *loop)
{
	struct sg_engine *engine;

	pthread_mutex_lock(&sg_engines_mutex);
	for (engine = sg_engines; engine && engine->loop != loop; engine = engine->next)
		;
	if (engine) {
		engine->users++;
		goto out;
	}
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		goto out;
	if (uv_async_init(loop, &engine->async, sg_engine_on_async) < 0) {
		free(engine);
		engine = NULL;
		goto out;
	}
	engine->async.data = engine;
	pthread_mutex_init(&engine->mutex, NULL);
	engine->loop = loop;
	engine->users = 1;
	engine->next = sg_engines;
	sg_engines = engine;
out:
	pthread_mutex_unlock(&sg_engines_mutex);
	return engine;
}

static void sg_engine_on_handle_closed(uv_handle_t *handle)
{
	struct sg_engine *engine = handle->data;
	bool last;

	pthread_mutex_lock(&engine->mutex);
	engine->handle_closed = true;
	last = engine->threads == 0;
	pthread_mutex_unlock(&engine->mutex);
	if (last)
		sg_engine_free(engine);
}

void sg_engine_put(struct sg_engine *engine)
{
	struct sg_engine **link;
	struct sg_job *job, *next;

	assert(engine->users > 0);
	if (--engine->users > 0)
		return;
	pthread_mutex_lock(&sg_engines_mutex);
	for (link = &sg_engines; *link != engine; link = &(*link)->next)
		;
	*link = engine->next;
	pthread_mutex_unlock(&sg_engines_mutex);

	pthread_mutex_lock(&engine->mutex);
	engine->closing = true;
	job = engine->finished;
	engine->finished = NULL;
	for (struct sg_worker *worker = engine->idle; worker; worker = worker->next)
		pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&engine->mutex);
	for (; job; job = next) {
		next = job->next;
		sg_job_free(job);
	}
	uv_close((uv_handle_t *)&engine->async, sg_engine_on_handle_closed);
}

unsigned sg_engine_threads(struct sg_engine *engine)
{
	unsigned threads;

	pthread_mutex_lock(&engine->mutex);
	threads = engine->threads;
	pthread_mutex_unlock(&engine->mutex);
	return threads;
}
