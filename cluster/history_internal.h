/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What history.c (on the loop) and history_disk.c (on the worker) share.
 */
#ifndef CLUSTER_HISTORY_INTERNAL_H
#define CLUSTER_HISTORY_INTERNAL_H

#include <sqlite3.h>

#include "cluster/history.h"

/* An event that owns its strings. */
struct history_entry {
	struct history_event event;
};

/* An event to be written (entry), or a query. */
struct history_task {
	struct history_task *next;
	struct history_entry *entry;
	int64_t since_id;
	uint32_t limit;
	char *query_group;
	history_answer *answer;
	void *user;
	int error;
	char message[256];
	struct history_entry **found;
	size_t found_count;
};

struct history_notice {
	struct history_notice *next;
	bool trouble;
	char text[400];
};

struct history {
	struct history_options options;
	char *file;
	int64_t next_id;
	uint64_t dropped_noted; /* of `dropped`: told by an event of its own */
	struct history_watch *watches;
	uv_async_t async;
	uv_thread_t thread;
	bool threaded;
	/* Under the mutex: */
	uv_mutex_t mutex;
	uv_cond_t wake;
	struct history_task *first, *last, *done_first, *done_last;
	struct history_notice *notices;
	size_t waiting;
	uint64_t dropped;
	bool stop;
	uint64_t stop_by_ms;
	/* The worker's (and history_open()'s and history_close()'s, when it does not run): */
	sqlite3 *database;
	sqlite3_stmt *insert;
	bool in_trouble;
	uint64_t writes_since_trim, retry_ms;
};

struct history_entry *history_entry_copy(const struct history_event *event);
void history_entry_free(struct history_entry *entry);

/* history_disk.c */
int history_disk_open(struct history *history, char *message, size_t message_size);
void history_disk_close(struct history *history);
void history_disk_work(void *history);

#endif
