/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history's database. SQLite in WAL mode with a small cache and no memory map; the file is
 * bounded by deleting the oldest events, whose pages are used again.
 */
#include "cluster/store/history_private.h"

#include "cluster/base/clock.h"
#include "cluster/core/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HISTORY_HEAP_LIMIT (1 << 20)
#define HISTORY_DAY_MS (24ll * 60 * 60 * 1000)
#define HISTORY_TRIM_EVERY 200 /* inserted events */

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS events("
	"id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, mono_ms INTEGER NOT NULL, \"group\" "
	"TEXT, "
	"lun TEXT, kind TEXT, rule TEXT, text TEXT, key TEXT, node TEXT, details TEXT);"
	"CREATE INDEX IF NOT EXISTS events_group ON events(\"group\", id);"
	"PRAGMA user_version = 1;";

static enum history_db_error db_fail(struct history_db *db, const char *step, char *message,
				     size_t size)
{
	int code = db->db ? sqlite3_errcode(db->db) : SQLITE_NOMEM;
	const char *text = db->db ? sqlite3_errmsg(db->db) : "out of memory";
	const char *advice = code == SQLITE_FULL ? ": free space there"
			     : code == SQLITE_CANTOPEN || code == SQLITE_READONLY
				     ? ": is its folder there and writable?"
			     : code == SQLITE_IOERR ? ": is its disk well?"
						    : "";

	snprintf(message, size, "history %s: cannot %s: %s%s", db->file, step, text, advice);
	if (code != SQLITE_CORRUPT && code != SQLITE_NOTADB)
		return HISTORY_DB_TROUBLE;
	history_db_close(db);
	return HISTORY_DB_DAMAGED;
}

void history_db_close(struct history_db *db)
{
	sqlite3_finalize(db->insert);
	sqlite3_close_v2(db->db);
	db->insert = NULL;
	db->db = NULL;
}

static int db_number(struct history_db *db, const char *query, int64_t *number)
{
	sqlite3_stmt *statement;
	int error = sqlite3_prepare_v2(db->db, query, -1, &statement, NULL);

	if (error == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	if (error == SQLITE_OK)
		error = sqlite3_finalize(statement);
	return error;
}

static enum history_db_error db_prepare(struct history_db *db, int64_t *last_id, char *message,
					size_t size)
{
	static const char settings[] =
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0;"
		"PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 128;"
		"PRAGMA journal_size_limit = 1048576;";
	char cache[64];
	int64_t version = 0;

	snprintf(cache, sizeof(cache), "PRAGMA cache_size = -%d;", HISTORY_CACHE_KIB);
	sqlite3_busy_timeout(db->db, 1000);
	if (sqlite3_exec(db->db, cache, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db->db, settings, NULL, NULL, NULL) != SQLITE_OK ||
	    db_number(db, "PRAGMA user_version", &version) != SQLITE_OK)
		return db_fail(db, "be opened", message, size);
	if (version > 1) {
		snprintf(message, size,
			 "history %s: was written by a newer version of lunkeeperd: move it away",
			 db->file);
		return HISTORY_DB_TROUBLE;
	}
	if (sqlite3_exec(db->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
	    db_number(db, "SELECT max(id) FROM events", last_id) != SQLITE_OK ||
	    sqlite3_prepare_v3(db->db,
			       "INSERT OR REPLACE INTO events VALUES(?,?,?,?,?,?,?,?,?,?,?)", -1,
			       SQLITE_PREPARE_PERSISTENT, &db->insert, NULL) != SQLITE_OK)
		return db_fail(db, "be opened", message, size);
	db->inserted = HISTORY_TRIM_EVERY; /* the bounds may have changed meanwhile */
	return HISTORY_DB_OK;
}

enum history_db_error history_db_open(struct history_db *db, int64_t *last_id, char *message,
				      size_t size)
{
	enum history_db_error error;
	int fd = open(db->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

	/* SQLite would make it readable for others; its further files take the mode of this one. */
	if (fd >= 0)
		close(fd);
	*last_id = 0;
	sqlite3_soft_heap_limit64(HISTORY_HEAP_LIMIT);
	if (sqlite3_open_v2(db->file, &db->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		error = db_fail(db, "be opened", message, size);
	else
		error = db_prepare(db, last_id, message, size);
	if (error)
		history_db_close(db);
	return error;
}

bool history_db_move_aside(struct history_db *db, char *message, size_t size)
{
	static const char *const parts[] = {"", "-wal", "-shm"};
	char from[600], to[600];
	int error = 0;

	history_db_close(db);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(from, sizeof(from), "%s%s", db->file, parts[i]);
		snprintf(to, sizeof(to), "%s.damaged%s", db->file, parts[i]);
		if (rename(from, to) != 0 && i == 0)
			error = errno;
		else if (access(from, F_OK) != 0 && i > 0)
			continue;
	}
	if (error)
		snprintf(message, size, "history %s: is damaged, and cannot be moved aside: %s",
			 db->file, strerror(error));
	else
		snprintf(message, size,
			 "history %s: is damaged; it was moved aside to %s.damaged, and a new one "
			 "begun; earlier events "
			 "may be read from there by sqlite3's .recover",
			 db->file, db->file);
	return !error;
}

/* ---- writing ---- */

static void db_bind_text(sqlite3_stmt *statement, int column, const char *text)
{
	if (text)
		sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, column);
}

static int db_insert_one(struct history_db *db, const struct history_event *event)
{
	char key[KEY_TEXT_SIZE];
	int error;

	sqlite3_bind_int64(db->insert, 1, event->id);
	sqlite3_bind_int64(db->insert, 2, event->time_ms);
	sqlite3_bind_int64(db->insert, 3, (int64_t)event->mono_ms);
	db_bind_text(db->insert, 4, event->group);
	db_bind_text(db->insert, 5, event->lun);
	db_bind_text(db->insert, 6, event->kind);
	db_bind_text(db->insert, 7, event->rule);
	db_bind_text(db->insert, 8, event->text);
	db_bind_text(db->insert, 9, event->key ? key_text(event->key, key) : NULL);
	db_bind_text(db->insert, 10, event->node);
	db_bind_text(db->insert, 11, event->details);
	sqlite3_step(db->insert);
	error = sqlite3_reset(db->insert);
	sqlite3_clear_bindings(db->insert);
	return error;
}

enum history_db_error history_db_insert(struct history_db *db, const struct history_item *items,
					size_t count, char *message, size_t size)
{
	enum history_db_error failure;
	int error = sqlite3_exec(db->db, "BEGIN", NULL, NULL, NULL);
	unsigned inserted = 0;

	while (inserted < count && error == SQLITE_OK) {
		error = db_insert_one(db, &items->event);
		/* the loop may be putting the next one behind the last of these just now */
		if (++inserted < count)
			items = items->next;
	}
	if (error == SQLITE_OK)
		error = sqlite3_exec(db->db, "COMMIT", NULL, NULL, NULL);
	if (error == SQLITE_OK) {
		db->inserted += inserted;
		return HISTORY_DB_OK;
	}
	failure = db_fail(db, "be written", message, size);
	if (db->db && !sqlite3_get_autocommit(db->db))
		sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
	return failure;
}

enum history_db_error history_db_trim(struct history_db *db, uint32_t days, uint64_t bytes,
				      char *message, size_t size)
{
	int64_t pages = 0, unused = 0, page_size = 0;
	char old[120];
	/* The oldest twentieth, until it fits again. */
	static const char shorten[] = "DELETE FROM events WHERE id <= (SELECT min(id) + (max(id) - "
				      "min(id)) / 20 FROM events)";

	if (db->inserted < HISTORY_TRIM_EVERY)
		return HISTORY_DB_OK;
	db->inserted = 0;
	snprintf(old, sizeof(old), "DELETE FROM events WHERE time_ms < %lld",
		 (long long)(clock_wall_ms() - (int64_t)days * HISTORY_DAY_MS));
	if (sqlite3_exec(db->db, old, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(db, "be shortened", message, size);
	for (int round = 0; round < 60; round++) {
		if (db_number(db, "PRAGMA page_count", &pages) != SQLITE_OK ||
		    db_number(db, "PRAGMA freelist_count", &unused) != SQLITE_OK ||
		    db_number(db, "PRAGMA page_size", &page_size) != SQLITE_OK)
			return db_fail(db, "be measured", message, size);
		/* an eighth is left for what comes before the next look */
		if ((uint64_t)((pages - unused) * page_size) <= bytes - bytes / 8)
			break;
		if (sqlite3_exec(db->db, shorten, NULL, NULL, NULL) != SQLITE_OK)
			return db_fail(db, "be shortened", message, size);
	}
	return HISTORY_DB_OK;
}

/* ---- reading ---- */

static struct history_item *db_row(sqlite3_stmt *statement)
{
	const char *key = (const char *)sqlite3_column_text(statement, 8);
	struct history_event event = {
		.id = sqlite3_column_int64(statement, 0),
		.time_ms = sqlite3_column_int64(statement, 1),
		.mono_ms = (uint64_t)sqlite3_column_int64(statement, 2),
		.group = (const char *)sqlite3_column_text(statement, 3),
		.lun = (const char *)sqlite3_column_text(statement, 4),
		.kind = (const char *)sqlite3_column_text(statement, 5),
		.rule = (const char *)sqlite3_column_text(statement, 6),
		.text = (const char *)sqlite3_column_text(statement, 7),
		.node = (const char *)sqlite3_column_text(statement, 9),
		.details = (const char *)sqlite3_column_text(statement, 10),
	};

	if (!key || key_parse(key, &event.key) != 0)
		event.key = 0;
	return history_item_copy(&event);
}

enum history_db_error history_db_find(struct history_db *db, const struct history_query *query,
				      struct history_item **items, size_t *count, char *message,
				      size_t size)
{
	bool newest = query->since_id < 0 && query->since_ms <= 0;
	struct history_item *first = NULL, **last = &first;
	sqlite3_stmt *statement;
	char text[300];
	bool memory = true;

	*items = NULL;
	*count = 0;
	snprintf(
		text, sizeof(text),
		"SELECT * FROM events WHERE id > ?1 AND time_ms >= ?4%s%s%s ORDER BY id%s LIMIT ?3",
		query->group ? " AND \"group\" = ?2" : "", query->kind ? " AND kind = ?5" : "",
		query->node ? " AND node = ?6" : "", newest ? " DESC" : "");
	if (sqlite3_prepare_v2(db->db, text, -1, &statement, NULL) != SQLITE_OK)
		return db_fail(db, "be read", message, size);
	sqlite3_bind_int64(statement, 1, query->since_id < 0 ? -1 : query->since_id);
	if (query->group)
		sqlite3_bind_text(statement, 2, query->group, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, query->limit);
	sqlite3_bind_int64(statement, 4, query->since_ms > 0 ? query->since_ms : INT64_MIN);
	if (query->kind)
		sqlite3_bind_text(statement, 5, query->kind, -1, SQLITE_STATIC);
	if (query->node)
		sqlite3_bind_text(statement, 6, query->node, -1, SQLITE_STATIC);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		struct history_item *item = db_row(statement);

		memory = item != NULL;
		if (!memory)
			break;
		++*count;
		if (newest) {
			item->next = first;
			first = item;
		} else {
			*last = item;
			last = &item->next;
		}
	}
	*items = first;
	if (sqlite3_finalize(statement) != SQLITE_OK)
		return db_fail(db, "be read", message, size);
	if (!memory)
		snprintf(message, size, "history %s: out of memory while it was read", db->file);
	return memory ? HISTORY_DB_OK : HISTORY_DB_TROUBLE;
}
