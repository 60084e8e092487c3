/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history's worker: writes what waits in one transaction, answers queries, keeps the database
 * within its bounds, and goes on when the disk does not: events are then counted as lost, and the
 * count is written when it works again.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/clock.h"
#include "cluster/history_internal.h"

#define BATCH_MAX 256
#define TRIM_EVERY 1000
#define RETRY_MS 5000
#define PAGE_SIZE 4096

static void notify(struct history *history, bool trouble, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void notify(struct history *history, bool trouble, const char *format, ...)
{
	struct history_notice *notice = calloc(1, sizeof *notice);
	va_list arguments;

	if (!notice)
		return;
	notice->trouble = trouble;
	va_start(arguments, format);
	vsnprintf(notice->text, sizeof notice->text, format, arguments);
	va_end(arguments);
	uv_mutex_lock(&history->mutex);
	notice->next = history->notices;
	history->notices = notice;
	uv_mutex_unlock(&history->mutex);
	uv_async_send(&history->async);
}

/* --- opening --- */

static int prepare(struct history *history)
{
	static const char *const setup =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-128; "
		"PRAGMA mmap_size=0;"
		"PRAGMA journal_size_limit=1048576; PRAGMA auto_vacuum=INCREMENTAL;"
		"CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, time_ms INTEGER NOT "
		"NULL, mono_ms INTEGER NOT NULL,"
		" \"group\" TEXT, lun TEXT, kind TEXT, rule TEXT, text TEXT, key TEXT, node TEXT, "
		"details TEXT);"
		"CREATE INDEX IF NOT EXISTS events_by_group ON events(\"group\", id);";
	sqlite3_stmt *newest = NULL;
	int status = sqlite3_exec(history->database, setup, NULL, NULL, NULL);

	if (status == SQLITE_OK)
		status = sqlite3_prepare_v2(history->database,
					    "SELECT coalesce(max(id), 0) FROM events", -1, &newest,
					    NULL);
	if (status == SQLITE_OK && sqlite3_step(newest) == SQLITE_ROW &&
	    sqlite3_column_int64(newest, 0) >= history->next_id)
		history->next_id = sqlite3_column_int64(newest, 0) + 1;
	sqlite3_finalize(newest);
	if (status == SQLITE_OK)
		status = sqlite3_prepare_v2(history->database,
					    "INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?,?)", -1,
					    &history->insert, NULL);
	return status;
}

static int open_once(struct history *history)
{
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int status = sqlite3_open_v2(history->file, &history->database, flags, NULL);

	if (status == SQLITE_OK) {
		sqlite3_busy_timeout(history->database, 1000);
		status = prepare(history);
	}
	if (status != SQLITE_OK) {
		sqlite3_finalize(history->insert);
		sqlite3_close_v2(history->database);
		history->insert = NULL;
		history->database = NULL;
	}
	return status & 0xff;
}

static void move_aside(const struct history *history, char *aside, size_t size)
{
	char from[512], to[512];

	snprintf(aside, size, "%s.damaged-%lld", history->file, (long long)clock_wall_ms());
	rename(history->file, aside);
	for (int k = 0; k < 2; k++) {
		snprintf(from, sizeof from, "%s%s", history->file, k ? "-wal" : "-shm");
		snprintf(to, sizeof to, "%s%s", aside, k ? "-wal" : "-shm");
		rename(from, to);
	}
}

int history_disk_open(struct history *history, char *message, size_t message_size)
{
	int status = open_once(history);
	char aside[480];

	if (message_size)
		*message = 0;
	if (status == SQLITE_NOTADB || status == SQLITE_CORRUPT) {
		move_aside(history, aside, sizeof aside);
		status = open_once(history);
		if (status == SQLITE_OK && history->options.notice) {
			char text[1000];

			snprintf(text, sizeof text,
				 "the history %s was damaged; it is kept as %s, and a new one is "
				 "begun",
				 history->file, aside);
			history->options.notice(true, text, history->options.user);
		}
	}
	if (status == SQLITE_OK)
		return 0;
	snprintf(message, message_size,
		 "cannot open the history %s: %s; check the folder's rights and space. Events are "
		 "not kept",
		 history->file, sqlite3_errstr(status));
	history->in_trouble = true;
	return -EIO;
}

void history_disk_close(struct history *history)
{
	sqlite3_finalize(history->insert);
	sqlite3_close_v2(history->database);
	history->insert = NULL;
	history->database = NULL;
}

/* --- writing --- */

static void bind_text(sqlite3_stmt *statement, int column, const char *text)
{
	if (text)
		sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, column);
}

static int insert(struct history *history, const struct history_event *event)
{
	sqlite3_stmt *statement = history->insert;
	char key[20];
	int status;

	snprintf(key, sizeof key, "%016llx", (unsigned long long)event->key);
	sqlite3_bind_int64(statement, 1, event->id);
	sqlite3_bind_int64(statement, 2, event->time_ms);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)event->mono_ms);
	bind_text(statement, 4, event->group);
	bind_text(statement, 5, event->lun);
	bind_text(statement, 6, event->kind);
	bind_text(statement, 7, event->rule);
	bind_text(statement, 8, event->text);
	bind_text(statement, 9, event->key ? key : NULL);
	bind_text(statement, 10, event->node);
	bind_text(statement, 11, event->details);
	status = sqlite3_step(statement);
	sqlite3_reset(statement);
	return status == SQLITE_DONE || status == SQLITE_CONSTRAINT ? SQLITE_OK : status;
}

static void trim(struct history *history)
{
	uint64_t size;
	uint32_t days;
	char sql[400];

	uv_mutex_lock(&history->mutex);
	size = history->options.size;
	days = history->options.days;
	uv_mutex_unlock(&history->mutex);
	history->writes_since_trim = 0;
	snprintf(sql, sizeof sql,
		 "DELETE FROM events WHERE time_ms < %lld; PRAGMA incremental_vacuum;",
		 (long long)(clock_wall_ms() - (int64_t)days * 86400000));
	sqlite3_exec(history->database, sql, NULL, NULL, NULL);
	for (int k = 0; k < 20; k++) {
		sqlite3_stmt *pages = NULL;
		uint64_t used = 0;

		if (sqlite3_prepare_v2(history->database, "PRAGMA page_count", -1, &pages, NULL) ==
			    SQLITE_OK &&
		    sqlite3_step(pages) == SQLITE_ROW)
			used = (uint64_t)sqlite3_column_int64(pages, 0) * PAGE_SIZE;
		sqlite3_finalize(pages);
		if (used <= size)
			return;
		sqlite3_exec(
			history->database,
			"DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT "
			"(SELECT count(*) / 10 + 1 FROM events)); PRAGMA incremental_vacuum;",
			NULL, NULL, NULL);
	}
}

static void write_failed(struct history *history, int status, size_t lost)
{
	sqlite3_exec(history->database, "ROLLBACK", NULL, NULL, NULL);
	uv_mutex_lock(&history->mutex);
	history->dropped += lost;
	uv_mutex_unlock(&history->mutex);
	if (!history->in_trouble)
		notify(history, true,
		       "the history %s cannot be written (%s); events are lost until it can",
		       history->file, sqlite3_errstr(status));
	history->in_trouble = true;
}

static void write_batch(struct history *history, struct history_task **tasks, size_t count)
{
	int status = SQLITE_CANTOPEN;

	if (!history->database && clock_now_ms() >= history->retry_ms) {
		history->retry_ms = clock_now_ms() + RETRY_MS;
		open_once(history);
	}
	if (history->database) {
		status = sqlite3_exec(history->database, "BEGIN", NULL, NULL, NULL);
		for (size_t k = 0; k < count && status == SQLITE_OK; k++)
			status = insert(history, &tasks[k]->entry->event);
		if (status == SQLITE_OK)
			status = sqlite3_exec(history->database, "COMMIT", NULL, NULL, NULL);
	}
	if (status != SQLITE_OK) {
		write_failed(history, status, count);
	} else if (history->in_trouble) {
		history->in_trouble = false;
		notify(history, false, "the history %s can be written again", history->file);
	}
	history->writes_since_trim += count;
	if (status == SQLITE_OK && history->writes_since_trim >= TRIM_EVERY)
		trim(history);
	for (size_t k = 0; k < count; k++) {
		history_entry_free(tasks[k]->entry);
		free(tasks[k]);
	}
}

/* --- queries --- */

static const char *column(sqlite3_stmt *statement, int which)
{
	return (const char *)sqlite3_column_text(statement, which);
}

static struct history_entry *read_row(sqlite3_stmt *row)
{
	struct history_event event = {
		.id = sqlite3_column_int64(row, 0),
		.time_ms = sqlite3_column_int64(row, 1),
		.mono_ms = (uint64_t)sqlite3_column_int64(row, 2),
		.group = column(row, 3),
		.lun = column(row, 4),
		.kind = column(row, 5),
		.rule = column(row, 6),
		.text = column(row, 7),
		.node = column(row, 9),
		.details = column(row, 10),
	};

	if (column(row, 8))
		event.key = strtoull(column(row, 8), NULL, 16);
	return history_entry_copy(&event);
}

static void find(struct history *history, struct history_task *task)
{
	static const char *const newest =
		"SELECT * FROM (SELECT * FROM events WHERE ?1 IS NULL OR \"group\" = ?1 "
		"ORDER BY id DESC LIMIT ?2) ORDER BY id";
	static const char *const since =
		"SELECT * FROM events WHERE id > ?3 AND (?1 IS NULL OR \"group\" = ?1) "
		"ORDER BY id LIMIT ?2";
	sqlite3_stmt *rows = NULL;
	int status = SQLITE_CANTOPEN;

	task->found = calloc(task->limit, sizeof *task->found);
	if (history->database && task->found)
		status = sqlite3_prepare_v2(history->database, task->since_id < 0 ? newest : since,
					    -1, &rows, NULL);
	if (status == SQLITE_OK) {
		bind_text(rows, 1, task->query_group);
		sqlite3_bind_int64(rows, 2, task->limit);
		if (task->since_id >= 0)
			sqlite3_bind_int64(rows, 3, task->since_id);
		while ((status = sqlite3_step(rows)) == SQLITE_ROW &&
		       task->found_count < task->limit) {
			task->found[task->found_count] = read_row(rows);
			if (task->found[task->found_count])
				task->found_count++;
		}
		status = status == SQLITE_ROW || status == SQLITE_DONE ? SQLITE_OK : status;
	}
	sqlite3_finalize(rows);
	if (status != SQLITE_OK) {
		task->error = -EIO;
		snprintf(task->message, sizeof task->message,
			 "the history %.160s cannot be read: %s", history->file,
			 sqlite3_errstr(status));
	}
	uv_mutex_lock(&history->mutex);
	task->next = NULL;
	if (history->done_last)
		history->done_last->next = task;
	else
		history->done_first = task;
	history->done_last = task;
	uv_mutex_unlock(&history->mutex);
	uv_async_send(&history->async);
}

/* --- the worker --- */

/* The next query, or up to BATCH_MAX events; 0: it is time to end. */
static size_t take(struct history *history, struct history_task **tasks)
{
	size_t count = 0;

	uv_mutex_lock(&history->mutex);
	while (!history->first && !history->stop)
		uv_cond_wait(&history->wake, &history->mutex);
	if (history->stop && clock_now_ms() > history->stop_by_ms) {
		uv_mutex_unlock(&history->mutex);
		return 0;
	}
	while (history->first && count < BATCH_MAX &&
	       (count == 0 || (tasks[0]->entry && history->first->entry))) {
		tasks[count] = history->first;
		history->first = history->first->next;
		if (!history->first)
			history->last = NULL;
		history->waiting--;
		count++;
	}
	uv_mutex_unlock(&history->mutex);
	return count;
}

void history_disk_work(void *user)
{
	struct history *history = user;
	struct history_task *tasks[BATCH_MAX];
	size_t count;

	if (history->database)
		trim(history);
	while ((count = take(history, tasks)) > 0) {
		if (tasks[0]->entry)
			write_batch(history, tasks, count);
		else
			find(history, tasks[0]);
	}
}
