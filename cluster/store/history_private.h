/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the history's queue (history.c), its database (history_db.c) and what passes between these
 * (history_item.c).
 */
#ifndef CLUSTER_STORE_HISTORY_PRIVATE_H
#define CLUSTER_STORE_HISTORY_PRIVATE_H

#include <sqlite3.h>

#include "cluster/store/history.h"

#define HISTORY_CACHE_KIB 128
#define HISTORY_BATCH_MAX 256

/* A copied event; its strings lie behind it. */
struct history_item {
	struct history_item *next;
	size_t bytes;
	struct history_event event;
};

/* NULL without memory. */
struct history_item *history_item_copy(const struct history_event *event);
/* A list of them; NULL: none. */
void history_items_free(struct history_item *items);

/* Used by one thread at a time. */
struct history_db {
	char file[512];
	sqlite3 *db; /* NULL: not open */
	sqlite3_stmt *insert;
	unsigned inserted; /* since the bounds were looked at */
};

enum history_db_error {
	HISTORY_DB_OK,
	HISTORY_DB_TROUBLE, /* disk full, I/O error, ...: try again later */
	HISTORY_DB_DAMAGED, /* was closed: move it aside and open a new one */
};

/* Opens or makes it and finds the greatest id. message says what is wrong, with what to do. */
enum history_db_error history_db_open(struct history_db *db, int64_t *last_id, char *message,
				      size_t size);
void history_db_close(struct history_db *db);
/* To FILE.damaged; an earlier one of these is replaced. False: it stays where it is; message says
 * either. */
bool history_db_move_aside(struct history_db *db, char *message, size_t size);
/* All of them, or none. */
enum history_db_error history_db_insert(struct history_db *db, const struct history_item *items,
					size_t count, char *message, size_t size);
/* Deletes what is too old or too much. Cheap when there is nothing to do. */
enum history_db_error history_db_trim(struct history_db *db, uint32_t days, uint64_t bytes,
				      char *message, size_t size);
/* A list in the order of ids, for history_items_free(). All that the query wants, or an error. */
enum history_db_error history_db_find(struct history_db *db, const struct history_query *query,
				      struct history_item **items, size_t *count, char *message,
				      size_t size);

#endif
