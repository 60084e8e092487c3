/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The threads that switch and make gates on kernel devices, for all LUNs of the daemon: some that
 * work, each on one LUN at a time, and one that waits for device-mapper's events. They end with the
 * last gate; one that hangs in the kernel keeps nobody waiting.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/gate/dm/private.h"
#include "scsi/thread.h"

#define THREADS 16
#define SLOW_MOST 12 /* of these, for what is not urgent */
#define STACK_SIZE (256u * 1024)
#define WATCH_RETRY_MS 1000

struct gate_dm_pool {
	uv_loop_t *loop;
	gate_dm_worker *worker;
	uv_async_t async; /* news for the loop */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct gate_dm *gates;
	unsigned threads; /* alive, the watcher too */
	unsigned slow;    /* on what is not urgent */
	bool ending;      /* no gate is left */
	bool async_closed;
	int kick; /* eventfd: the watcher shall look around */
};

static struct gate_dm_pool *current; /* the loop's alone */

void gate_dm_lock(struct gate_dm *gate)
{
	pthread_mutex_lock(&gate->pool->lock);
}

void gate_dm_unlock(struct gate_dm *gate)
{
	pthread_mutex_unlock(&gate->pool->lock);
}

static void kick_watcher(struct gate_dm_pool *pool)
{
	uint64_t one = 1;

	if (write(pool->kick, &one, sizeof(one)) < 0)
		return; /* it is full of kicks that were not taken yet */
}

void gate_dm_wake(struct gate_dm *gate)
{
	gate->urgent = true;
	if (gate->suspending) /* what it waits for is overtaken */
		kick_watcher(gate->pool);
	pthread_cond_signal(&gate->pool->wake);
}

void gate_dm_tell(struct gate_dm *gate, const struct gate_dm_view *view)
{
	bool news;

	gate_dm_lock(gate);
	news = memcmp(&gate->told, view, sizeof(*view)) != 0;
	if (news) {
		memcpy(&gate->told, view, sizeof(*view));
		gate->news = true;
	}
	gate_dm_unlock(gate);
	if (news)
		thread_async_send(&gate->pool->async);
}

/* --- the end --- */

static void pool_free(struct gate_dm_pool *pool)
{
	close(pool->kick);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* Whoever is the last, thread or loop, frees it. */
static void thread_ends(struct gate_dm_pool *pool)
{
	bool last;

	pthread_mutex_lock(&pool->lock);
	last = --pool->threads == 0 && pool->async_closed;
	pthread_mutex_unlock(&pool->lock);
	if (last)
		pool_free(pool);
}

static void on_async_closed(uv_handle_t *handle)
{
	struct gate_dm_pool *pool = handle->data;
	bool last;

	pthread_mutex_lock(&pool->lock);
	pool->async_closed = true;
	last = pool->threads == 0;
	pthread_mutex_unlock(&pool->lock);
	if (last)
		pool_free(pool);
}

static void pool_end(struct gate_dm_pool *pool)
{
	if (current == pool)
		current = NULL;
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->wake);
	kick_watcher(pool);
	pthread_mutex_unlock(&pool->lock);
	uv_close((uv_handle_t *)&pool->async, on_async_closed);
}

/* --- the loop's side --- */

static void gate_end(struct gate_dm *gate)
{
	struct gate_dm **at = &gate->pool->gates;

	pthread_mutex_lock(&gate->pool->lock);
	while (*at != gate)
		at = &(*at)->next;
	*at = gate->next;
	pthread_mutex_unlock(&gate->pool->lock);
	if (gate->closed)
		gate->closed(gate->closed_user);
	free(gate->lun);
	free(gate->wwid);
	free(gate);
}

/* One that has something to tell; what it is, is copied. */
static struct gate_dm *next_news(struct gate_dm_pool *pool, bool *finished)
{
	struct gate_dm *gate;

	pthread_mutex_lock(&pool->lock);
	for (gate = pool->gates; gate; gate = gate->next)
		if ((gate->finished && !gate->busy) || gate->news)
			break;
	if (gate) {
		*finished = gate->finished && !gate->busy;
		gate->news = false;
		gate->view = gate->told;
	}
	pthread_mutex_unlock(&pool->lock);
	return gate;
}

static void on_news(uv_async_t *async)
{
	struct gate_dm_pool *pool = async->data;
	struct gate_dm *gate;
	bool finished;

	while ((gate = next_news(pool, &finished)))
		if (finished)
			gate_end(gate);
		else if (!gate->wants.closing)
			gate->changed(gate, gate->user);
	if (!pool->gates)
		pool_end(pool);
}

void gate_dm_pool_add(struct gate_dm *gate)
{
	pthread_mutex_lock(&gate->pool->lock);
	gate->next = gate->pool->gates;
	gate->pool->gates = gate;
	gate_dm_wake(gate);
	pthread_mutex_unlock(&gate->pool->lock);
}

/* --- working --- */

/* What was ordered comes before what is merely due. */
static struct gate_dm *next_work(struct gate_dm_pool *pool, uint64_t now, uint64_t *due,
				 bool *urgent)
{
	struct gate_dm *found = NULL;

	*due = GATE_DM_NEVER;
	for (struct gate_dm *gate = pool->gates; gate; gate = gate->next) {
		if (gate->busy || gate->finished)
			continue;
		*urgent = gate->urgent;
		if (gate->urgent)
			return gate;
		if (gate->due_ms < *due)
			*due = gate->due_ms;
		if (!found && gate->due_ms <= now && pool->slow < SLOW_MOST)
			found = gate;
	}
	return found;
}

static void wait_until(struct gate_dm_pool *pool, uint64_t now, uint64_t due)
{
	struct timespec until;
	uint64_t ms;

	if (due == GATE_DM_NEVER || due <= now) { /* or as soon as one of the slow has ended */
		pthread_cond_wait(&pool->wake, &pool->lock);
		return;
	}
	ms = due - now;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
}

static void work(struct gate_dm_pool *pool, struct gate_dm_thread *thread)
{
	char message[GATE_DM_TEXT_MAX];

	pthread_mutex_lock(&pool->lock);
	while (!pool->ending) {
		uint64_t now = clock_now_ms(), due;
		bool urgent = false;
		struct gate_dm *gate = next_work(pool, now, &due, &urgent);

		if (!gate) {
			wait_until(pool, now, due);
			continue;
		}
		gate->busy = true;
		gate->urgent = false;
		gate->due_ms = GATE_DM_NEVER;
		pool->slow += !urgent;
		pthread_cond_signal(&pool->wake); /* another looks for the rest */
		pthread_mutex_unlock(&pool->lock);
		if (thread->control < 0) /* the module may have been loaded meanwhile */
			thread->control = gate_dm_control_open(message, sizeof(message));
		due = pool->worker(gate, thread);
		pthread_mutex_lock(&pool->lock);
		gate->busy = false;
		pool->slow -= !urgent;
		if (due < gate->due_ms)
			gate->due_ms = due;
		if (gate->finished) /* under the lock: behind it, the loop may be gone */
			thread_async_send(&pool->async);
	}
	pthread_mutex_unlock(&pool->lock);
}

/* Memory that these threads ask for must not wait for I/O that waits at a gate. */
static void prepare_thread(void)
{
	thread_follow_main();
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

static void *work_main(void *argument)
{
	struct gate_dm_pool *pool = argument;
	struct gate_dm_thread thread = {.control = -1};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};
	sigset_t signals;

	prepare_thread();
	event._sigev_un._tid = gettid();
	sigemptyset(&signals);
	sigaddset(&signals, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &thread.timer) == 0) {
		work(pool, &thread);
		timer_delete(thread.timer);
	}
	if (thread.control >= 0)
		close(thread.control);
	thread_ends(pool);
	return NULL;
}

/* --- watching --- */

static void on_listed(const char *name, uint32_t events, void *user)
{
	struct gate_dm_pool *pool = user;
	const size_t folder = strlen(GATE_DM_FOLDER);

	pthread_mutex_lock(&pool->lock);
	for (struct gate_dm *gate = pool->gates; gate; gate = gate->next)
		if (gate->events != events && strlen(gate->told.device) > folder &&
		    strcmp(gate->told.device + folder, name) == 0) {
			gate->events = events;
			gate_dm_wake(gate);
		}
	pthread_mutex_unlock(&pool->lock);
}

int gate_dm_suspend_begins(struct gate_dm *gate, struct gate_dm_thread *thread,
			   const struct gate_dm_device *device, uint32_t most_ms)
{
	int error = -EINTR;

	gate_dm_lock(gate);
	if (!gate->urgent) {
		gate->suspending = &thread->timer;
		gate->suspends++;
		gate->suspend_until_ms = clock_now_ms() + most_ms;
		gate->suspend_queues = device->state != GATE_STATE_FAILED;
		memcpy(gate->suspend_name, device->name, sizeof(gate->suspend_name));
		kick_watcher(gate->pool);
		error = 0;
	}
	gate_dm_unlock(gate);
	return error;
}

void gate_dm_suspend_ends(struct gate_dm *gate, struct gate_dm_thread *thread)
{
	static const struct itimerspec off;

	gate_dm_lock(gate);
	gate->suspending = NULL;
	timer_settime(thread->timer, 0, &off, NULL);
	gate_dm_unlock(gate);
}

static bool is_there(const struct gate_dm_pool *pool, const struct gate_dm *gate)
{
	const struct gate_dm *at = pool->gates;

	while (at && at != gate)
		at = at->next;
	return at != NULL;
}

/* A suspend begins with `fail_if_no_path`, and does not take that back when a signal ends it: what
 * came meanwhile would fail. So the device is told first. Under the lock, but for the ioctl, during
 * which the gate may go. */
static void end_suspend(struct gate_dm_pool *pool, struct gate_dm *gate, int control)
{
	/* More than one signal: the first may come before the system call. */
	static const struct itimerspec now = {.it_value = {.tv_nsec = 1},
					      .it_interval = {.tv_nsec = 5000000}};
	char name[GATE_DM_NAME_SIZE];
	uint32_t which = gate->suspends;

	memcpy(name, gate->suspend_name, sizeof(name));
	if (gate->suspend_queues && control >= 0) {
		pthread_mutex_unlock(&pool->lock);
		gate_dm_message(control, name, "queue_if_no_path");
		pthread_mutex_lock(&pool->lock);
	}
	if (is_there(pool, gate) && gate->suspending && gate->suspends == which)
		timer_settime(*gate->suspending, 0, &now, NULL);
}

/* One whose time is over; or how long to wait for the next, in ms; -1: none. */
static struct gate_dm *overdue(struct gate_dm_pool *pool, int *wait_ms)
{
	uint64_t now = clock_now_ms();

	*wait_ms = -1;
	for (struct gate_dm *gate = pool->gates; gate; gate = gate->next) {
		if (!gate->suspending || gate->suspend_until_ms == GATE_DM_NEVER)
			continue;
		if (gate->urgent || gate->suspend_until_ms <= now)
			return gate;
		if (*wait_ms < 0 || gate->suspend_until_ms - now < (uint64_t)*wait_ms)
			*wait_ms = (int)(gate->suspend_until_ms - now);
	}
	return NULL;
}

/* Returns how long the watcher may sleep; -1: until something happens. */
static int end_overdue(struct gate_dm_pool *pool, int control)
{
	struct gate_dm *gate;
	int wait_ms;

	pthread_mutex_lock(&pool->lock);
	while ((gate = overdue(pool, &wait_ms))) {
		gate->suspend_until_ms = GATE_DM_NEVER;
		end_suspend(pool, gate, control);
	}
	pthread_mutex_unlock(&pool->lock);
	return wait_ms;
}

static bool is_ending(struct gate_dm_pool *pool)
{
	bool ending;

	pthread_mutex_lock(&pool->lock);
	ending = pool->ending;
	pthread_mutex_unlock(&pool->lock);
	return ending;
}

/* A path that fails, and whatever else is an event of ours, is told to the thread that has it. And
 * suspends that take too long are ended. */
static void *watch_main(void *argument)
{
	struct gate_dm_pool *pool = argument;
	struct pollfd polls[2] = {{.fd = pool->kick, .events = POLLIN}, {.events = POLLIN}};
	char message[GATE_DM_TEXT_MAX];
	int control = -1;
	bool listed = false;

	prepare_thread();
	while (!is_ending(pool)) {
		int wait_ms = end_overdue(pool, control);
		uint64_t kicks;

		if (control < 0)
			control = gate_dm_control_open(message, sizeof(message));
		if (control < 0 && (wait_ms < 0 || wait_ms > WATCH_RETRY_MS))
			wait_ms = WATCH_RETRY_MS;
		polls[1].fd = control;
		if (!listed && control >= 0 && gate_dm_arm(control) == 0) {
			listed = true;
			gate_dm_list(control, on_listed, pool);
		}
		if (poll(polls, 2, wait_ms) <= 0)
			continue;
		if ((polls[0].revents & POLLIN) && read(pool->kick, &kicks, sizeof(kicks)) < 0)
			continue;
		if (polls[1].revents)
			listed = false;
	}
	if (control >= 0)
		close(control);
	thread_ends(pool);
	return NULL;
}

/* --- the beginning --- */

static void on_signal(int number)
{
	(void)number; /* it ends a suspend that waits, no more */
}

static bool start_thread(struct gate_dm_pool *pool, void *(*run)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_mutex_lock(&pool->lock);
	started = pthread_create(&thread, &attributes, run, pool) == 0;
	pool->threads += started;
	pthread_mutex_unlock(&pool->lock);
	pthread_attr_destroy(&attributes);
	return started;
}

static bool start_threads(struct gate_dm_pool *pool)
{
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: that is the point */
	sigset_t all, before;
	bool started;

	sigaction(SIGURG, &action, NULL);
	sigfillset(&all); /* the daemon's signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	started = start_thread(pool, watch_main);
	for (int i = 0; i < THREADS && started; i++)
		started = start_thread(pool, work_main);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

struct gate_dm_pool *gate_dm_pool_get(uv_loop_t *loop, gate_dm_worker *worker)
{
	pthread_condattr_t attributes;
	struct gate_dm_pool *pool;

	if (current)
		return current;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	pool->loop = loop;
	pool->worker = worker;
	pool->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pool->kick < 0 || uv_async_init(loop, &pool->async, on_news)) {
		free(pool);
		return NULL;
	}
	pool->async.data = pool;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (!start_threads(pool)) {
		pool_end(pool);
		return NULL;
	}
	current = pool;
	return pool;
}
