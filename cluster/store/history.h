/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history of this node: every change of ownership, every decision with its reason, every
 * foreign change seen on a LUN; in SQLite (STATE/history.db), written by a worker thread. Adding
 * never blocks: the queue is bounded, and what does not fit is counted and the count recorded.
 * Bounded on disk by age and size. Without a working database the daemon goes on.
 */
#ifndef CLUSTER_STORE_HISTORY_H
#define CLUSTER_STORE_HISTORY_H

#include <jansson.h>
#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_QUEUE_MAX 4096    /* events waiting for the disk */
#define HISTORY_QUERY_LIMIT 1000  /* events of one answer */
#define HISTORY_DETAILS_MAX 65536 /* bytes of one event's details */

struct history;

/* Strings may be NULL. */
struct history_event {
	int64_t id;       /* counts up by 1; set by history */
	int64_t time_ms;  /* wall clock; 0: now */
	uint64_t mono_ms; /* clock_now_ms(); 0: now */
	const char *group;
	const char *lun;
	const char *kind;    /* "state", "rule", "alarm", "command", "service", "resource", "gate",
				"path", "daemon", ... */
	const char *rule;    /* why */
	const char *text;    /* for people */
	const char *node;    /* whom it is about, if another */
	const char *details; /* JSON object */
	uint64_t key;        /* 0: none */
};

struct history_options {
	const char *file; /* absolute */
	uint32_t days;
	uint64_t size; /* bytes of the database file */
	/* Trouble and its end, in words, on the loop: disk full, database damaged and moved aside,
	 * events dropped. */
	void (*notice)(bool trouble, const char *message, void *user);
	void *user;
};

/* Opens or makes the database; a damaged one is moved aside (FILE.damaged) with a notice. Blocks;
 * for the start. Returns 0, or -errno with a message; then *history is set nevertheless and keeps
 * events in memory only (watchers work, queries fail), unless -ENOMEM. */
int history_open(struct history **history, uv_loop_t *loop, const struct history_options *options,
		 char *message, size_t message_size);
/* Writes what is queued (bounded: gives up after timeout_ms), ends queries with -ECANCELED, frees.
 * Needs one more turn of the loop before uv_loop_close(). */
void history_close(struct history *history, uint32_t timeout_ms);
void history_set_bounds(struct history *history, uint32_t days, uint64_t size);

/* Copies the event. Returns its id; it is numbered also when it was dropped. */
int64_t history_add(struct history *history, const struct history_event *event);
uint64_t history_dropped(const struct history *history);
/* The id of the newest event; 0: none yet. */
int64_t history_last_id(const struct history *history);

/* Called by history_add(), before the event is on disk. */
typedef void history_watcher(const struct history_event *event, void *user);
struct history_watch;
struct history_watch *history_watch_add(struct history *history, history_watcher *watcher,
					void *user);
void history_watch_remove(struct history_watch *watch);

struct history_query {
	int64_t since_id;  /* events with a greater id, oldest first; below 0: the newest `limit`,
			      oldest of them first */
	const char *group; /* NULL: all */
	uint32_t limit;    /* 0: HISTORY_QUERY_LIMIT; at most one more, which tells that there are
			      more */
	int64_t since_ms;  /* above 0: events of this wall clock time or later, oldest first */
	const char *kind;  /* NULL: all */
	const char *node;  /* whom they are about; NULL: all */
};
/* events are valid during the call; error 0 or -errno with a message. Events added before the call
 * are among them. */
typedef void history_answer(int error, const char *message, const struct history_event *events,
			    size_t count, void *user);
void history_find(struct history *history, const struct history_query *query,
		  history_answer *answer, void *user);

/* {"id":1,"time_ms":...,"mono_ms":...,"group":...,"lun":...,"kind":...,"rule":...,"text":...,"key":"4c..","node":...,
 * "details":{...}}; what is not set is left out. New reference, NULL without memory. */
json_t *history_event_json(const struct history_event *event);

#endif
