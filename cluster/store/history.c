/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history's queue: events go in on the loop and are numbered there, a thread of its own carries
 * them to the database, and answers come back on the loop. Whatever the disk does, the loop waits
 * for nothing.
 */
#include "cluster/store/history_private.h"

#include "cluster/base/clock.h"
#include "cluster/core/key.h"
#include "scsi/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HISTORY_STACK_SIZE (256u << 10)
#define HISTORY_QUEUE_BYTES_MAX (1u << 20)
#define HISTORY_RETRY_MS 5000
#define HISTORY_MESSAGE_SIZE 1200

struct history_watch {
	struct history_watch *next;
	struct history *history;
	history_watcher *watcher; /* NULL: removed */
	void *user;
};

/* On its way to the thread and back. */
struct history_find {
	struct history_find *next;
	struct history_query query;
	char *group, *kind, *node;
	history_answer *answer;
	void *user;
	int error;
	char *message;
	struct history_item *items;
	size_t count;
};

struct history_notice {
	struct history_notice *next;
	bool trouble;
	char message[HISTORY_MESSAGE_SIZE];
};

struct history {
	/* the loop's */
	uv_loop_t *loop;
	uv_async_t wake;
	struct history_options options;
	struct history_watch *watches;
	unsigned watching; /* watchers are being called */
	int64_t last_id;   /* under the lock */
	size_t finding;    /* queries without their answer */
	bool has_thread;
	pthread_t thread;
	/* the thread's */
	struct history_db db;
	bool troubled;
	bool opened; /* the database has been open: what was numbered before lies behind its events */
	/* both, under the lock */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct history_item *queue, **queue_last;
	size_t queued, queued_bytes;
	uint64_t dropped, dropped_recorded;
	struct history_find *finds, **finds_last, *found, **found_last;
	struct history_notice *notices, **notices_last;
	uint32_t days;
	uint64_t size;
	bool stop;
};

/* ---- events ---- */

/* Under the lock. Takes the item. */
static void queue_put(struct history *history, struct history_item *item)
{
	*history->queue_last = item;
	history->queue_last = &item->next;
	history->queued++;
	history->queued_bytes += item->bytes;
	pthread_cond_signal(&history->work);
}

/* Under the lock: what was lost is itself an event, as soon as there is room again. */
static void queue_put_dropped(struct history *history)
{
	uint64_t count = history->dropped - history->dropped_recorded;
	char text[120];
	struct history_event event = {.kind = "history", .text = text};
	struct history_item *item;

	if (count == 0 || history->queued >= HISTORY_QUEUE_MAX / 2)
		return;
	snprintf(text, sizeof(text),
		 "%llu events before this one were dropped, because the disk did not take them in "
		 "time",
		 (unsigned long long)count);
	event.time_ms = clock_wall_ms();
	event.mono_ms = clock_now_ms();
	event.id = ++history->last_id;
	item = history_item_copy(&event);
	if (!item)
		return;
	history->dropped_recorded = history->dropped;
	queue_put(history, item);
}

static void watchers_call(struct history *history, const struct history_event *event)
{
	struct history_watch **link = &history->watches;

	history->watching++;
	for (struct history_watch *watch = history->watches; watch; watch = watch->next)
		if (watch->watcher)
			watch->watcher(event, watch->user);
	if (--history->watching > 0)
		return;
	while (*link) {
		struct history_watch *watch = *link;

		if (watch->watcher) {
			link = &watch->next;
		} else {
			*link = watch->next;
			free(watch);
		}
	}
}

int64_t history_add(struct history *history, const struct history_event *event)
{
	struct history_event numbered = *event;
	struct history_item *item;

	if (numbered.time_ms == 0)
		numbered.time_ms = clock_wall_ms();
	if (numbered.mono_ms == 0)
		numbered.mono_ms = clock_now_ms();
	if (numbered.details && strlen(numbered.details) > HISTORY_DETAILS_MAX)
		numbered.details = NULL;
	pthread_mutex_lock(&history->lock);
	queue_put_dropped(history);
	numbered.id = ++history->last_id;
	item = history->queued < HISTORY_QUEUE_MAX &&
			       history->queued_bytes < HISTORY_QUEUE_BYTES_MAX
		       ? history_item_copy(&numbered)
		       : NULL;
	if (item)
		queue_put(history, item);
	else
		history->dropped++;
	pthread_mutex_unlock(&history->lock);
	watchers_call(history, &numbered);
	return numbered.id;
}

uint64_t history_dropped(const struct history *history)
{
	struct history *unlocked = (struct history *)history; /* only its lock is touched */
	uint64_t dropped;

	pthread_mutex_lock(&unlocked->lock);
	dropped = history->dropped;
	pthread_mutex_unlock(&unlocked->lock);
	return dropped;
}

int64_t history_last_id(const struct history *history)
{
	struct history *unlocked = (struct history *)history; /* only its lock is touched */
	int64_t last_id;

	pthread_mutex_lock(&unlocked->lock);
	last_id = history->last_id;
	pthread_mutex_unlock(&unlocked->lock);
	return last_id;
}

struct history_watch *history_watch_add(struct history *history, history_watcher *watcher,
					void *user)
{
	struct history_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	*watch = (struct history_watch){history->watches, history, watcher, user};
	history->watches = watch;
	return watch;
}

void history_watch_remove(struct history_watch *watch)
{
	struct history_watch **link = &watch->history->watches;

	watch->watcher = NULL;
	if (watch->history->watching > 0)
		return; /* its turn to be freed comes */
	while (*link != watch)
		link = &(*link)->next;
	*link = watch->next;
	free(watch);
}

void history_set_bounds(struct history *history, uint32_t days, uint64_t size)
{
	pthread_mutex_lock(&history->lock);
	history->days = days;
	history->size = size;
	pthread_mutex_unlock(&history->lock);
}

/* ---- the thread ---- */

static void thread_notice(struct history *history, bool trouble, const char *message)
{
	struct history_notice *notice = calloc(1, sizeof(*notice));

	if (!notice)
		return;
	notice->trouble = trouble;
	snprintf(notice->message, sizeof(notice->message), "%s", message);
	pthread_mutex_lock(&history->lock);
	*history->notices_last = notice;
	history->notices_last = &notice->next;
	thread_async_send(&history->wake);
	pthread_mutex_unlock(&history->lock);
}

/* True: well. Trouble is told once, and its end. */
static bool thread_judge(struct history *history, enum history_db_error error, const char *message)
{
	char moved[HISTORY_MESSAGE_SIZE];

	switch (error) {
	case HISTORY_DB_OK:
		if (history->troubled)
			thread_notice(history, false, "the history is being written again");
		history->troubled = false;
		return true;
	case HISTORY_DB_TROUBLE:
		if (!history->troubled)
			thread_notice(history, true, message);
		history->troubled = true;
		return false;
	case HISTORY_DB_DAMAGED:
		if (!history_db_move_aside(&history->db, moved, sizeof(moved)) && history->troubled)
			return false; /* it stays where it is, and that has been told */
		thread_notice(history, true, moved);
		history->troubled = true;
		return false;
	}
	return false;
}

/* Before the database could be opened for the first time, nobody knew its last number: events were
 * counted from 1. They come behind those that it has, and overwrite none. */
static void thread_renumber(struct history *history, int64_t last_id)
{
	if (history->opened)
		return;
	history->opened = true;
	pthread_mutex_lock(&history->lock);
	for (struct history_item *item = history->queue; item; item = item->next)
		item->event.id += last_id;
	history->last_id += last_id;
	pthread_mutex_unlock(&history->lock);
}

static bool thread_open(struct history *history)
{
	char message[HISTORY_MESSAGE_SIZE];
	enum history_db_error error = HISTORY_DB_OK;
	int64_t last_id;

	/* a damaged one is moved aside, and then the new one is tried at once */
	for (int tries = 0; tries < 2 && !history->db.db; tries++) {
		error = history_db_open(&history->db, &last_id, message, sizeof(message));
		if (error == HISTORY_DB_OK)
			thread_renumber(history, last_id);
		if (!thread_judge(history, error, message) && error != HISTORY_DB_DAMAGED)
			return false;
	}
	return history->db.db != NULL;
}

/* Writes one batch; true when the next may be tried at once. The queue keeps the items until they
 * are on disk; new ones are only put behind them. */
static bool thread_write(struct history *history)
{
	char message[HISTORY_MESSAGE_SIZE];
	struct history_item *first, *rest;
	enum history_db_error error;
	size_t count, bytes = 0;
	uint32_t days;
	uint64_t size;

	pthread_mutex_lock(&history->lock);
	first = history->queue;
	count = history->queued < HISTORY_BATCH_MAX ? history->queued : HISTORY_BATCH_MAX;
	days = history->days;
	size = history->size;
	pthread_mutex_unlock(&history->lock);
	if (!thread_open(history))
		return false;
	error = history_db_insert(&history->db, first, count, message, sizeof(message));
	if (!thread_judge(history, error, message))
		return error == HISTORY_DB_DAMAGED && thread_open(history);
	pthread_mutex_lock(&history->lock);
	rest = first;
	for (size_t i = 0; i < count; i++) {
		struct history_item *next = rest->next;

		bytes += rest->bytes;
		free(rest);
		rest = next;
	}
	history->queue = rest;
	if (!rest)
		history->queue_last = &history->queue;
	history->queued -= count;
	history->queued_bytes -= bytes;
	queue_put_dropped(history);
	pthread_mutex_unlock(&history->lock);
	thread_judge(history, history_db_trim(&history->db, days, size, message, sizeof(message)),
		     message);
	return true;
}

static void thread_find(struct history *history, struct history_find *find)
{
	char message[HISTORY_MESSAGE_SIZE] = "";
	enum history_db_error error = HISTORY_DB_TROUBLE;

	if (thread_open(history))
		error = history_db_find(&history->db, &find->query, &find->items, &find->count,
					message, sizeof(message));
	else
		snprintf(message, sizeof(message),
			 "history %s: cannot be opened; see the log of lunkeeperd",
			 history->db.file);
	if (error) {
		thread_judge(history, error, message);
		find->error = -EIO;
		find->message = strdup(message);
	}
	pthread_mutex_lock(&history->lock);
	find->next = NULL;
	*history->found_last = find;
	history->found_last = &find->next;
	thread_async_send(&history->wake);
	pthread_mutex_unlock(&history->lock);
}

/* Under the lock; false at the end. */
static bool thread_wait(struct history *history, uint64_t retry_at_ms)
{
	struct timespec until;

	while (!history->finds && !history->stop) {
		uint64_t now_ms = clock_now_ms();

		if (history->queue && now_ms >= retry_at_ms)
			return true;
		if (!history->queue) {
			pthread_cond_wait(&history->work, &history->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += (time_t)((retry_at_ms - now_ms) / 1000 + 1);
		pthread_cond_timedwait(&history->work, &history->lock, &until);
	}
	return history->finds || history->queue;
}

static void *thread_main(void *user)
{
	struct history *history = user;
	uint64_t retry_at_ms = 0;
	bool last_try = false;

	pthread_mutex_lock(&history->lock);
	while (!last_try && thread_wait(history, retry_at_ms)) {
		struct history_find *find = history->finds;
		bool write = history->queue != NULL, stop = history->stop;

		if (find) {
			history->finds = find->next;
			if (!history->finds)
				history->finds_last = &history->finds;
		}
		pthread_mutex_unlock(&history->lock);
		/* before a query is answered, what was added before it is written */
		while (write) {
			bool more = thread_write(history);

			retry_at_ms = more ? 0 : clock_now_ms() + HISTORY_RETRY_MS;
			last_try = stop && !more;
			pthread_mutex_lock(&history->lock);
			write = more && history->queue != NULL;
			pthread_mutex_unlock(&history->lock);
		}
		if (find)
			thread_find(history, find);
		pthread_mutex_lock(&history->lock);
	}
	pthread_mutex_unlock(&history->lock);
	history_db_close(&history->db);
	return NULL;
}

static int thread_begin(struct history *history)
{
	pthread_attr_t attributes;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, HISTORY_STACK_SIZE);
	error = pthread_create(&history->thread, &attributes, thread_main, history);
	pthread_attr_destroy(&attributes);
	history->has_thread = error == 0;
	return error;
}

/* ---- queries ---- */

static void history_hold_loop(struct history *history)
{
	if (history->finding > 0)
		uv_ref((uv_handle_t *)&history->wake);
	else
		uv_unref((uv_handle_t *)&history->wake);
}

static void find_free(struct history_find *find)
{
	history_items_free(find->items);
	free(find->message);
	free(find->group);
	free(find->kind);
	free(find->node);
	free(find);
}

/* False without memory. */
static bool find_copy(struct history_find *find, const struct history_query *query)
{
	find->query = *query;
	find->query.group = find->group = query->group ? strdup(query->group) : NULL;
	find->query.kind = find->kind = query->kind ? strdup(query->kind) : NULL;
	find->query.node = find->node = query->node ? strdup(query->node) : NULL;
	if (find->query.limit == 0 || find->query.limit > HISTORY_QUERY_LIMIT + 1)
		find->query.limit = HISTORY_QUERY_LIMIT;
	return !query->group == !find->group && !query->kind == !find->kind &&
	       !query->node == !find->node;
}

static void find_answer(struct history *history, struct history_find *find)
{
	struct history_event *events = calloc(find->count + 1, sizeof(*events));
	size_t count = 0;

	if (!events && !find->error)
		find->error = -ENOMEM;
	for (struct history_item *item = find->items; item && !find->error; item = item->next)
		events[count++] = item->event;
	history->finding--;
	find->answer(find->error, find->message ? find->message : "", events, count, find->user);
	free(events);
	find_free(find);
}

static void history_woken(uv_async_t *async)
{
	struct history *history = async->data;
	struct history_find *found;
	struct history_notice *notices;

	pthread_mutex_lock(&history->lock);
	found = history->found;
	history->found = NULL;
	history->found_last = &history->found;
	notices = history->notices;
	history->notices = NULL;
	history->notices_last = &history->notices;
	pthread_mutex_unlock(&history->lock);
	while (notices) {
		struct history_notice *next = notices->next;

		if (history->options.notice)
			history->options.notice(notices->trouble, notices->message,
						history->options.user);
		free(notices);
		notices = next;
	}
	while (found) {
		struct history_find *next = found->next;

		find_answer(history, found);
		found = next;
	}
	history_hold_loop(history);
}

void history_find(struct history *history, const struct history_query *query,
		  history_answer *answer, void *user)
{
	struct history_find *find = calloc(1, sizeof(*find));

	if (!find || !find_copy(find, query)) {
		if (find)
			find_free(find);
		answer(-ENOMEM, "out of memory", NULL, 0, user);
		return;
	}
	find->answer = answer;
	find->user = user;
	history->finding++;
	history_hold_loop(history);
	pthread_mutex_lock(&history->lock);
	if (history->has_thread) {
		*history->finds_last = find;
		history->finds_last = &find->next;
		pthread_cond_signal(&history->work);
	} else {
		find->error = -EIO;
		find->message = strdup("there is no history: its thread could not be started");
		*history->found_last = find;
		history->found_last = &find->next;
		thread_async_send(&history->wake);
	}
	pthread_mutex_unlock(&history->lock);
}

/* ---- opening and closing ---- */

static struct history *history_make(uv_loop_t *loop, const struct history_options *options)
{
	struct history *history = calloc(1, sizeof(*history));
	pthread_condattr_t monotonic;

	if (!history)
		return NULL;
	history->loop = loop;
	history->options = *options;
	history->options.file = NULL;
	history->days = options->days;
	history->size = options->size;
	history->queue_last = &history->queue;
	history->finds_last = &history->finds;
	history->found_last = &history->found;
	history->notices_last = &history->notices;
	snprintf(history->db.file, sizeof(history->db.file), "%s", options->file);
	pthread_mutex_init(&history->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&history->work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	uv_async_init(loop, &history->wake, history_woken);
	history->wake.data = history;
	uv_unref((uv_handle_t *)&history->wake);
	return history;
}

int history_open(struct history **result, uv_loop_t *loop, const struct history_options *options,
		 char *message, size_t message_size)
{
	struct history *history = history_make(loop, options);
	enum history_db_error error;
	int failed;

	*result = history;
	if (!history)
		return -ENOMEM;
	if (strlen(options->file) >= sizeof(history->db.file)) {
		snprintf(message, message_size, "history %s: its name is too long", options->file);
		return -ENAMETOOLONG;
	}
	error = history_db_open(&history->db, &history->last_id, message, message_size);
	if (error == HISTORY_DB_DAMAGED) {
		if (history_db_move_aside(&history->db, message, message_size)) {
			thread_notice(history, true, message);
			error = history_db_open(&history->db, &history->last_id, message,
						message_size);
		}
	}
	history->troubled = error != HISTORY_DB_OK;
	history->opened = !error;
	failed = thread_begin(history);
	if (failed)
		snprintf(message, message_size, "history %s: no thread can be started for it: %s",
			 options->file, strerror(failed));
	return failed ? -failed : error ? -EIO : 0;
}

static void history_freed(uv_handle_t *handle)
{
	struct history *history = handle->data;

	pthread_cond_destroy(&history->work);
	pthread_mutex_destroy(&history->lock);
	free(history);
}

/* 0, or -ETIMEDOUT: the disk hangs, and the thread with it. */
static int history_join(struct history *history, uint32_t timeout_ms)
{
	struct timespec until;

	if (!history->has_thread)
		return 0;
	pthread_mutex_lock(&history->lock);
	history->stop = true;
	pthread_cond_signal(&history->work);
	pthread_mutex_unlock(&history->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return pthread_timedjoin_np(history->thread, NULL, &until) == 0 ? 0 : -ETIMEDOUT;
}

void history_close(struct history *history, uint32_t timeout_ms)
{
	if (!history)
		return;
	if (history_join(history, timeout_ms) != 0) {
		/* It still uses all this, and the process is about to end. */
		uv_unref((uv_handle_t *)&history->wake);
		return;
	}
	history_woken(&history->wake);
	for (struct history_find *find = history->finds, *next; find; find = next) {
		next = find->next;
		find->error = -ECANCELED;
		find->message = strdup("the history was closed");
		find_answer(history, find);
	}
	history_items_free(history->queue);
	while (history->watches)
		history_watch_remove(history->watches);
	uv_ref((uv_handle_t *)&history->wake);
	uv_close((uv_handle_t *)&history->wake, history_freed);
}

/* ---- JSON ---- */

static void json_add_text(json_t *object, const char *name, const char *text)
{
	/* what is no UTF-8 is left out */
	if (text)
		json_object_set_new(object, name, json_string(text));
}

json_t *history_event_json(const struct history_event *event)
{
	json_t *object =
		json_pack("{s:I, s:I, s:I}", "id", (json_int_t)event->id, "time_ms",
			  (json_int_t)event->time_ms, "mono_ms", (json_int_t)event->mono_ms);
	json_t *details =
		event->details ? json_loads(event->details, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char key[KEY_TEXT_SIZE];

	if (object) {
		json_add_text(object, "group", event->group);
		json_add_text(object, "lun", event->lun);
		json_add_text(object, "kind", event->kind);
		json_add_text(object, "rule", event->rule);
		json_add_text(object, "text", event->text);
		json_add_text(object, "key", event->key ? key_text(event->key, key) : NULL);
		json_add_text(object, "node", event->node);
		if (json_is_object(details))
			json_object_set(object, "details", details);
	}
	json_decref(details);
	return object;
}
