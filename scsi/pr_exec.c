/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One command with its retries, and looks: sequences of requests on a path, one callback at
 * the end.
 */
#include "scsi/pr_exec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The longest iSCSI TransportID (SPC-5 7.6.4.5: 223 bytes of name, ",i,0x", 12 digits, 0, padded)
 * and its descriptor. */
#define PR_FULL_STATUS_ENTRY_MAX (24 + 4 + 244)

static void pr_exec_count(struct pr_counters *counters, const struct scsi_request *request)
{
	uint8_t action = request->cdb[1] & 0x1f;

	if (!counters)
		return;
	if (request->cdb[0] == 0x5e && action < sizeof(counters->in) / sizeof(counters->in[0]))
		counters->in[action]++;
	else if (request->cdb[0] == 0x5f &&
		 action < sizeof(counters->out) / sizeof(counters->out[0]))
		counters->out[action]++;
	else
		counters->other++;
}

static void pr_exec_attend(struct pr_attentions *attentions, const struct scsi_result *result)
{
	memmove(&attentions->last[1], &attentions->last[0],
		sizeof(attentions->last) - sizeof(attentions->last[0]));
	attentions->last[0].asc = result->asc;
	attentions->last[0].ascq = result->ascq;
	attentions->count++;
}

static void pr_exec_send(struct pr_exec *exec, uint32_t left_ms, uint32_t wait_ms)
{
	pr_exec_count(exec->counters, &exec->request);
	exec->request.timeout_ms = left_ms;
	if (wait_ms > 0)
		path_submit_later(exec->path, &exec->request, wait_ms);
	else
		path_submit(exec->path, &exec->request);
}

static void pr_exec_on_done(struct scsi_request *request)
{
	struct pr_exec *exec = request->user;
	const struct scsi_result *result = &request->result;
	uint64_t now_us = uv_hrtime() / 1000;
	uint32_t wait_ms = 0;

	exec->verdict = scsi_retry_judge(result, exec->attempt, &wait_ms);
	if (result->status == SCSI_STATUS_CHECK_CONDITION &&
	    result->sense_key == SCSI_SENSE_UNIT_ATTENTION)
		pr_exec_attend(&exec->attentions, result);
	if (exec->verdict == SCSI_RETRY_AT_ONCE && exec->stops_in_doubt &&
	    result->sense_key == SCSI_SENSE_UNIT_ATTENTION &&
	    scsi_attention_doubts_identity(result->asc, result->ascq))
		exec->verdict = SCSI_RETRY_FINAL;
	if (exec->verdict == SCSI_RETRY_AT_ONCE || exec->verdict == SCSI_RETRY_LATER) {
		uint64_t next_us = now_us + (uint64_t)wait_ms * 1000;

		/* At least a millisecond must be left; else the answer there is stands. */
		if (next_us + 1000 <= exec->deadline_us) {
			exec->attempt++;
			pr_exec_send(exec, (uint32_t)((exec->deadline_us - next_us) / 1000),
				     wait_ms);
			return;
		}
		exec->verdict = SCSI_RETRY_FINAL;
	}
	exec->under_way = false;
	exec->done(exec);
}

/* The next command of an errand that has begun. */
void pr_exec_continue(struct pr_exec *exec, pr_exec_done *done)
{
	uint64_t now_us = uv_hrtime() / 1000;

	exec->done = done;
	exec->attempt = 0;
	exec->under_way = true;
	exec->request.user = exec;
	exec->request.done = pr_exec_on_done;
	/* With nothing left the path still owes a call of done(): one millisecond, which is not a
	 * default. */
	pr_exec_send(exec,
		     now_us + 1000 < exec->deadline_us
			     ? (uint32_t)((exec->deadline_us - now_us + 999) / 1000)
			     : 1,
		     0);
}

void pr_exec_begin(struct pr_exec *exec, struct path *path, uint32_t timeout_ms)
{
	assert(!exec->under_way);
	exec->path = path;
	exec->deadline_us = uv_hrtime() / 1000 +
			    (uint64_t)(timeout_ms ? timeout_ms : SCSI_TIMEOUT_DEFAULT_MS) * 1000;
	memset(&exec->attentions, 0, sizeof(exec->attentions));
}

void pr_exec_start(struct pr_exec *exec, struct path *path, uint32_t timeout_ms, pr_exec_done *done)
{
	pr_exec_begin(exec, path, timeout_ms);
	pr_exec_continue(exec, done);
}

/* ---- looks ---- */

static uint8_t *pr_look_buffer(struct pr_look *look)
{
	return look->buffer ? look->buffer : look->inline_buffer;
}

static void pr_look_end(struct pr_look *look)
{
	uint64_t duration_us = uv_hrtime() / 1000 - look->began_us;

	look->duration_us = duration_us < UINT32_MAX ? (uint32_t)duration_us : UINT32_MAX;
	look->done(look);
}

static void pr_look_fail(struct pr_look *look, int error)
{
	scsi_result_from_transport(&look->exec.request.result, error);
	pr_look_end(look);
}

static size_t pr_look_arrived(const struct pr_look *look)
{
	const struct scsi_request *request = &look->exec.request;

	return request->result.transferred < request->data_length ? request->result.transferred
								  : request->data_length;
}

static void pr_look_clear(struct pr_look *look)
{
	look->generation = 0;
	look->held = false;
	look->type = PR_TYPE_NONE;
	look->holder = 0;
	look->key_count = 0;
	look->truncated = look->unread = false;
}

/* In the place of the first that matters least, if it matters less. */
static void pr_look_replace_key(struct pr_look *look, uint64_t key)
{
	uint8_t least = look->weigh ? look->weigh(look, key) : 0;
	uint32_t place = PR_LOOK_KEYS_MAX;

	for (uint32_t i = 0; i < PR_LOOK_KEYS_MAX && least > 0; i++) {
		uint8_t weight = look->weigh(look, look->keys[i]);

		if (weight < least) {
			least = weight;
			place = i;
		}
	}
	if (place == PR_LOOK_KEYS_MAX)
		return;
	look->keys[place] = key;
	look->nexuses[place] = 1;
}

static void pr_look_add_key(struct pr_look *look, uint64_t key)
{
	uint32_t i;

	if (key == 0)
		return; /* no registration has it (SPC-5 5.14.7): a list filled up with zeroes */
	for (i = 0; i < look->key_count && look->keys[i] != key; i++)
		;
	if (i == PR_LOOK_KEYS_MAX) {
		look->truncated = true;
		pr_look_replace_key(look, key);
		return;
	}
	if (i == look->key_count) {
		look->keys[i] = key;
		look->nexuses[i] = 0;
		look->key_count++;
	}
	if (look->nexuses[i] < UINT8_MAX)
		look->nexuses[i]++;
}

/* A larger buffer; false: there is none. */
static bool pr_look_grow(struct pr_look *look)
{
	uint32_t size = look->buffer_size < 4096 ? look->buffer_size * 2 : PR_LOOK_BUFFER_MAX;
	uint8_t *buffer;

	if (look->buffer_size >= PR_LOOK_BUFFER_MAX)
		return false;
	buffer = realloc(look->buffer, size);
	if (!buffer)
		return false;
	look->buffer = buffer;
	look->buffer_size = size;
	return true;
}

static void pr_look_ask(struct pr_look *look, enum pr_in_action action, pr_exec_done *done)
{
	int rc = pr_in_encode(&look->exec.request, action, pr_look_buffer(look), look->buffer_size);

	assert(rc == 0);
	(void)rc;
	pr_exec_continue(&look->exec, done);
}

static void pr_look_ask_keys(struct pr_look *look);
static void pr_look_ask_full_status(struct pr_look *look);

static void pr_look_on_reservation(struct pr_exec *exec)
{
	struct pr_look *look = exec->user;
	struct pr_reservation reservation;

	if (exec->request.result.outcome != SCSI_OUTCOME_OK) {
		pr_look_end(look);
		return;
	}
	if (pr_reservation_decode(&reservation, pr_look_buffer(look), pr_look_arrived(look)) < 0) {
		pr_look_fail(look, -EBADMSG);
		return;
	}
	if (reservation.generation != look->generation) {
		if (++look->attempt < PR_LOOK_ATTEMPTS_MAX)
			pr_look_ask_keys(look);
		else
			pr_look_fail(look, -EAGAIN);
		return;
	}
	look->held = reservation.held;
	look->holder = reservation.key;
	look->type = reservation.type;
	pr_look_end(look);
}

static void pr_look_on_keys(struct pr_exec *exec)
{
	struct pr_look *look = exec->user;
	const uint8_t *data = pr_look_buffer(look);
	struct pr_keys keys = {0};

	if (exec->request.result.outcome != SCSI_OUTCOME_OK) {
		pr_look_end(look);
		return;
	}
	pr_look_clear(look);
	if (pr_keys_decode(&keys, 0, data, pr_look_arrived(look)) < 0) {
		pr_look_fail(look, -EBADMSG);
		return;
	}
	/* Some targets tell of no more keys than fit: a buffer filled to its end may hide some. */
	if ((keys.arrived < keys.available ||
	     look->buffer_size - 8 < 8 * ((uint64_t)keys.arrived + 1)) &&
	    pr_look_grow(look)) {
		pr_look_ask_keys(look);
		return;
	}
	look->generation = keys.generation;
	for (uint32_t i = 0; i < keys.arrived; i++)
		pr_look_add_key(look, pr_keys_at(data, i));
	look->unread = keys.arrived < keys.available;
	look->truncated |= look->unread;
	pr_look_ask(look, PR_IN_READ_RESERVATION, pr_look_on_reservation);
}

static void pr_look_ask_keys(struct pr_look *look)
{
	pr_look_ask(look, PR_IN_READ_KEYS, pr_look_on_keys);
}

static void pr_look_take_entry(struct pr_look *look, const struct pr_full_status_entry *entry)
{
	pr_look_add_key(look, entry->key);
	if (!entry->holder)
		return;
	look->held = true;
	look->type = entry->type;
	/* SPC-5 6.16.5: with the all-registrants types every entry is a holder's. */
	if (entry->type != PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS &&
	    entry->type != PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS)
		look->holder = entry->key;
}

static void pr_look_on_full_status(struct pr_exec *exec)
{
	struct pr_look *look = exec->user;
	struct pr_full_status_cursor cursor;
	struct pr_full_status_entry entry;
	int rc;

	if (exec->request.result.outcome != SCSI_OUTCOME_OK) {
		pr_look_end(look);
		return;
	}
	pr_look_clear(look);
	if (look->entry)
		look->entry(look, NULL);
	rc = pr_full_status_begin(&cursor, pr_look_buffer(look), pr_look_arrived(look));
	look->generation = cursor.generation;
	while (rc == 0 && (rc = pr_full_status_next(&cursor, &entry)) > 0) {
		pr_look_take_entry(look, &entry);
		if (look->entry)
			look->entry(look, &entry);
		rc = 0;
	}
	if (rc < 0) {
		pr_look_fail(look, -EBADMSG);
		return;
	}
	/* LIO leaves out the descriptor that does not fit and says nothing of it. */
	if ((!cursor.complete || look->buffer_size - cursor.offset < PR_FULL_STATUS_ENTRY_MAX) &&
	    pr_look_grow(look)) {
		pr_look_ask_full_status(look);
		return;
	}
	look->unread = !cursor.complete;
	look->truncated |= look->unread;
	pr_look_end(look);
}

static void pr_look_ask_full_status(struct pr_look *look)
{
	pr_look_ask(look, PR_IN_READ_FULL_STATUS, pr_look_on_full_status);
}

void pr_look_start(struct pr_look *look, struct path *path, bool full_status, uint32_t timeout_ms,
		   pr_look_done *done)
{
	pr_exec_begin(&look->exec, path, timeout_ms);
	look->exec.user = look;
	look->done = done;
	look->attempt = 0;
	look->began_us = uv_hrtime() / 1000;
	if (!look->buffer)
		look->buffer_size = sizeof(look->inline_buffer);
	pr_look_clear(look);
	if (full_status)
		pr_look_ask_full_status(look);
	else
		pr_look_ask_keys(look);
}

void pr_look_release(struct pr_look *look)
{
	assert(!look->exec.under_way);
	free(look->buffer);
	look->buffer = NULL;
}

unsigned pr_look_nexuses(const struct pr_look *look, uint64_t key)
{
	for (uint32_t i = 0; i < look->key_count; i++) {
		if (look->keys[i] == key)
			return look->nexuses[i];
	}
	return 0;
}
