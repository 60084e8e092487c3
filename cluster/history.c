/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history's side on the loop: numbers events, tells the watchers, puts copies into a bounded
 * queue, and calls back with what the worker (history_disk.c) found.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/clock.h"
#include "cluster/history_internal.h"
#include "cluster/key.h"

struct history_watch {
	struct history_watch *next;
	struct history *history;
	history_watcher *watcher;
	void *user;
};

static char *copy_text(const char *text)
{
	return text ? strdup(text) : NULL;
}

void history_entry_free(struct history_entry *entry)
{
	if (!entry)
		return;
	free((char *)entry->event.group);
	free((char *)entry->event.lun);
	free((char *)entry->event.kind);
	free((char *)entry->event.rule);
	free((char *)entry->event.text);
	free((char *)entry->event.node);
	free((char *)entry->event.details);
	free(entry);
}

struct history_entry *history_entry_copy(const struct history_event *event)
{
	struct history_entry *entry = calloc(1, sizeof *entry);

	if (!entry)
		return NULL;
	entry->event = *event;
	entry->event.group = copy_text(event->group);
	entry->event.lun = copy_text(event->lun);
	entry->event.kind = copy_text(event->kind);
	entry->event.rule = copy_text(event->rule);
	entry->event.text = copy_text(event->text);
	entry->event.node = copy_text(event->node);
	entry->event.details = event->details && strlen(event->details) <= HISTORY_DETAILS_MAX
				       ? strdup(event->details)
				       : NULL;
	return entry;
}

/* --- what the worker has done, on the loop --- */

static void answer_query(struct history_task *task)
{
	struct history_event *events =
		calloc(task->found_count ? task->found_count : 1, sizeof *events);
	size_t count = events ? task->found_count : 0;

	for (size_t k = 0; k < count; k++)
		events[k] = task->found[k]->event;
	task->answer(task->error, task->message, events, count, task->user);
	free(events);
	for (size_t k = 0; k < task->found_count; k++)
		history_entry_free(task->found[k]);
	free(task->found);
	free(task->query_group);
	free(task);
}

static void on_async(uv_async_t *async)
{
	struct history *history = async->data;
	struct history_task *done, *next;
	struct history_notice *notice, *next_notice;

	uv_mutex_lock(&history->mutex);
	done = history->done_first;
	history->done_first = history->done_last = NULL;
	notice = history->notices;
	history->notices = NULL;
	uv_mutex_unlock(&history->mutex);
	for (; notice; notice = next_notice) {
		next_notice = notice->next;
		if (history->options.notice)
			history->options.notice(notice->trouble, notice->text,
						history->options.user);
		free(notice);
	}
	for (; done; done = next) {
		next = done->next;
		answer_query(done);
	}
}

static void enqueue(struct history *history, struct history_task *task)
{
	uv_mutex_lock(&history->mutex);
	if (history->last)
		history->last->next = task;
	else
		history->first = task;
	history->last = task;
	history->waiting++;
	uv_cond_signal(&history->wake);
	uv_mutex_unlock(&history->mutex);
}

/* --- the interface --- */

int history_open(struct history **result, uv_loop_t *loop, const struct history_options *options,
		 char *message, size_t message_size)
{
	const uv_thread_options_t thread = {.flags = UV_THREAD_HAS_STACK_SIZE,
					    .stack_size = 256 << 10};
	struct history *history = calloc(1, sizeof *history);
	int error;

	*result = NULL;
	if (!history)
		return -ENOMEM;
	history->options = *options;
	history->file = strdup(options->file);
	if (!history->file) {
		free(history);
		return -ENOMEM;
	}
	history->next_id = 1;
	error = history_disk_open(history, message, message_size);
	uv_mutex_init(&history->mutex);
	uv_cond_init(&history->wake);
	uv_async_init(loop, &history->async, on_async);
	history->async.data = history;
	if (uv_thread_create_ex(&history->thread, &thread, history_disk_work, history) == 0) {
		history->threaded = true;
	} else if (!error) {
		snprintf(message, message_size,
			 "the history's thread cannot be started; events are kept in memory only");
		error = -EAGAIN;
	}
	*result = history;
	return error;
}

static void on_async_closed(uv_handle_t *handle)
{
	struct history *history = handle->data;

	uv_cond_destroy(&history->wake);
	uv_mutex_destroy(&history->mutex);
	free(history->file);
	free(history);
}

void history_close(struct history *history, uint32_t timeout_ms)
{
	struct history_task *task, *next;

	uv_mutex_lock(&history->mutex);
	history->stop = true;
	history->stop_by_ms = clock_now_ms() + timeout_ms;
	uv_cond_signal(&history->wake);
	uv_mutex_unlock(&history->mutex);
	if (history->threaded)
		uv_thread_join(&history->thread);
	on_async(&history->async);
	for (task = history->first; task; task = next) { /* not written in time */
		next = task->next;
		if (task->entry) {
			history_entry_free(task->entry);
			free(task);
		} else {
			task->error = -ECANCELED;
			snprintf(task->message, sizeof task->message, "the daemon is stopping");
			answer_query(task);
		}
	}
	history_disk_close(history);
	while (history->watches)
		history_watch_remove(history->watches);
	uv_close((uv_handle_t *)&history->async, on_async_closed);
}

void history_set_bounds(struct history *history, uint32_t days, uint64_t size)
{
	uv_mutex_lock(&history->mutex);
	history->options.days = days;
	history->options.size = size;
	uv_mutex_unlock(&history->mutex);
}

static int64_t add(struct history *history, const struct history_event *event, bool full)
{
	struct history_event numbered = *event;
	struct history_task *task = calloc(1, sizeof *task);
	struct history_watch *watch, *next;

	numbered.id = history->next_id++;
	if (!numbered.time_ms)
		numbered.time_ms = clock_wall_ms();
	if (!numbered.mono_ms)
		numbered.mono_ms = clock_now_ms();
	for (watch = history->watches; watch; watch = next) {
		next = watch->next;
		watch->watcher(&numbered, watch->user);
	}
	if (task && !full)
		task->entry = history_entry_copy(&numbered);
	if (task && task->entry)
		enqueue(history, task);
	else
		free(task);
	return numbered.id;
}

int64_t history_add(struct history *history, const struct history_event *event)
{
	struct history_event note = {.kind = "history"};
	uint64_t dropped;
	char text[80];
	bool full;

	uv_mutex_lock(&history->mutex);
	full = history->waiting >= HISTORY_QUEUE_MAX || !history->threaded;
	if (full)
		history->dropped++;
	dropped = history->dropped;
	uv_mutex_unlock(&history->mutex);
	if (!full && dropped != history->dropped_noted) {
		snprintf(text, sizeof text, "%llu events before this one were lost",
			 (unsigned long long)(dropped - history->dropped_noted));
		history->dropped_noted = dropped;
		note.text = text;
		add(history, &note, false);
	}
	return add(history, event, full);
}

uint64_t history_dropped(const struct history *history)
{
	return history->dropped;
}

struct history_watch *history_watch_add(struct history *history, history_watcher *watcher,
					void *user)
{
	struct history_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	*watch = (struct history_watch){history->watches, history, watcher, user};
	history->watches = watch;
	return watch;
}

void history_watch_remove(struct history_watch *watch)
{
	struct history_watch **link = &watch->history->watches;

	while (*link && *link != watch)
		link = &(*link)->next;
	if (*link)
		*link = watch->next;
	free(watch);
}

void history_find(struct history *history, const struct history_query *query,
		  history_answer *answer, void *user)
{
	struct history_task *task = calloc(1, sizeof *task);

	if (!task) {
		answer(-ENOMEM, "out of memory", NULL, 0, user);
		return;
	}
	task->since_id = query->since_id;
	task->limit = query->limit == 0 || query->limit > HISTORY_QUERY_LIMIT ? HISTORY_QUERY_LIMIT
									      : query->limit;
	task->query_group = copy_text(query->group);
	task->answer = answer;
	task->user = user;
	if (!history->threaded) {
		task->error = -EIO;
		snprintf(task->message, sizeof task->message,
			 "there is no history: %s could not be opened", history->file);
		task->next = NULL;
		answer_query(task);
		return;
	}
	enqueue(history, task);
}

static void put_text(json_t *json, const char *name, const char *text)
{
	if (text)
		json_object_set_new(json, name, json_string(text));
}

json_t *history_event_json(const struct history_event *event)
{
	json_t *json = json_pack("{s:I, s:I, s:I}", "id", (json_int_t)event->id, "time_ms",
				 (json_int_t)event->time_ms, "mono_ms", (json_int_t)event->mono_ms);
	json_t *details = event->details ? json_loads(event->details, 0, NULL) : NULL;
	char key[KEY_TEXT_SIZE];

	if (!json)
		return NULL;
	put_text(json, "group", event->group);
	put_text(json, "lun", event->lun);
	put_text(json, "kind", event->kind);
	put_text(json, "rule", event->rule);
	put_text(json, "text", event->text);
	put_text(json, "node", event->node);
	if (event->key)
		put_text(json, "key", key_text(event->key, key));
	if (details)
		json_object_set_new(json, "details", details);
	return json;
}
