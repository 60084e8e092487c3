/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The groups of a state folder and their changes, on the loop; a thread of its own makes them
 * durable (claims_disk.c), all that wait at once, because a disk syncs ten files nearly as fast as
 * one. A hung disk holds up that thread, never the loop.
 */
#include "cluster/store/claims_private.h"

#include "cluster/base/clock.h"
#include "cluster/core/key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CLAIMS_RETRY_MS 1000
#define CLAIMS_PROBE_MS 5000 /* while writing fails and nothing is to be written */
#define CLAIMS_LAZY_MAX 16   /* writes under way that nobody waits for; a claim waits behind them */

struct claims_waiter {
	struct claims_waiter *next;
	uint64_t version, key; /* key: recorded, and taken back if that fails; 0: a strike */
	claims_recorded *done;
	void *user;
};

struct claims_group {
	struct claims_group *next;
	struct claims *state;
	struct claims_file claims; /* incarnation: the highest used */
	uint16_t stored_incarnation;
	bool fresh;      /* no incarnation has been given out since the start */
	bool keep_aside; /* what is on disk is not ours to overwrite */
	bool closed;
	uint64_t version, durable; /* of the claims in memory, and on disk */
	struct claims_job *job;    /* being written */
	struct claims_waiter *waiters, **last_waiter;
};

struct claims {
	struct claims_disk disk; /* first: claims_disk.c knows only this */
	uv_loop_t *loop;
	uv_async_t ended;
	uv_timer_t retry, probe;
	struct claims_group *groups;
	size_t writing; /* jobs under way */
	size_t lazy;    /* those of them that nobody waits for */
	bool troubled, closing;
	unsigned open_handles;
	void (*trouble)(const char *message, void *user);
	void *trouble_user;
	char cluster[64];
	uint8_t node;
	uint64_t machine, hardware;
};

/* Below `below`, 0: any. */
static uint16_t claims_random(uint16_t below)
{
	uint64_t value;

	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != (ssize_t)sizeof(value))
		value = clock_now_ms() * 0x9e3779b97f4a7c15u >>
			16; /* too early in the boot; numbers need not be secret */
	return (uint16_t)(below ? value % below : value);
}

/* ---- writing ---- */

/* The loop must stay while something is being written, and only then. */
static void claims_hold_loop(struct claims *state)
{
	if (state->writing > 0)
		uv_ref((uv_handle_t *)&state->ended);
	else
		uv_unref((uv_handle_t *)&state->ended);
}

static void claims_group_write(struct claims_group *group)
{
	struct claims *state = group->state;
	char text[CLAIMS_FILE_MAX];
	struct claims_job *job;
	size_t length;

	if (group->job || group->version == group->durable)
		return;
	if (!group->waiters && !group->closed && !state->closing && state->lazy >= CLAIMS_LAZY_MAX)
		return; /* when others have ended */
	length = claims_encode(&group->claims, text, sizeof(text));
	job = calloc(1, sizeof(*job) + length);
	if (!job) {
		uv_timer_start(&state->retry, state->retry.timer_cb, CLAIMS_RETRY_MS, 0);
		return;
	}
	snprintf(job->name, sizeof(job->name), "%s.claims", group->claims.group);
	job->group = group;
	job->version = group->version;
	job->incarnation = group->claims.incarnation;
	job->keep_aside = group->keep_aside;
	job->lazy = !group->waiters;
	job->length = length;
	memcpy(job->data, text, length);
	group->job = job;
	state->writing++;
	state->lazy += job->lazy ? 1 : 0;
	claims_hold_loop(state);
	claims_disk_submit(&state->disk, job);
}

static void claims_retry(uv_timer_t *timer)
{
	struct claims *state = timer->data;

	for (struct claims_group *group = state->groups; group; group = group->next)
		claims_group_write(group);
}

/* That a folder can be written again is found out also when nothing is to be written there. */
static void claims_probe(uv_timer_t *timer)
{
	struct claims *state = timer->data;
	struct claims_job *job = state->writing ? NULL : calloc(1, sizeof(*job) + 32);

	if (!job)
		return;
	snprintf(job->name, sizeof(job->name), CLAIMS_PROBE_NAME);
	job->probe = job->lazy = true;
	job->length = (size_t)snprintf(job->data, 32, "%d\n", (int)getpid());
	state->writing++;
	state->lazy++;
	claims_hold_loop(state);
	claims_disk_submit(&state->disk, job);
}

static void claims_tell(struct claims *state, const char *message)
{
	bool troubled = message != NULL;

	if (troubled == state->troubled)
		return;
	state->troubled = troubled;
	if (troubled && !state->closing)
		uv_timer_start(&state->probe, claims_probe, CLAIMS_PROBE_MS, CLAIMS_PROBE_MS);
	else
		uv_timer_stop(&state->probe);
	if (state->trouble)
		state->trouble(message, state->trouble_user);
}

static void group_forget_key(struct claims_group *group, uint64_t key)
{
	size_t kept = 0;

	for (size_t i = 0; i < group->claims.count; i++)
		if (key != 0 && group->claims.keys[i] != key)
			group->claims.keys[kept++] = group->claims.keys[i];
	if (kept != group->claims.count)
		group->version++;
	group->claims.count = kept;
}

static void group_free(struct claims_group *group)
{
	struct claims_group **link = &group->state->groups;

	while (*link != group)
		link = &(*link)->next;
	*link = group->next;
	free(group);
}

/* Calls those who wait for `version` or an earlier one. A strike that failed is not over: it is
 * written again. */
static void group_answer(struct claims_group *group, uint64_t version, int error,
			 const char *message)
{
	while (group->waiters && group->waiters->version <= version) {
		struct claims_waiter *waiter = group->waiters;

		group->waiters = waiter->next;
		if (!group->waiters)
			group->last_waiter = &group->waiters;
		if (error && waiter->key)
			group_forget_key(group, waiter->key);
		if (waiter->done)
			waiter->done(error, message, waiter->user);
		free(waiter);
	}
}

/* One that nobody's claims were in. */
static void claims_probe_ended(struct claims *state, struct claims_job *job)
{
	if (!job->error)
		claims_tell(state, NULL);
	if (!job->error && !state->closing)
		claims_retry(&state->retry);
	free(job);
}

static void claims_job_ended(struct claims *state, struct claims_job *job)
{
	struct claims_group *group = job->group;
	char message[CLAIMS_MESSAGE_SIZE] = "";

	state->writing--;
	state->lazy -= job->lazy ? 1 : 0;
	if (job->probe) {
		claims_probe_ended(state, job);
		return;
	}
	if (job->error) {
		claims_disk_why(&state->disk, message);
		if (!message[0]) /* it went well since */
			claims_trouble_text(message, sizeof(message), state->disk.folder, job->step,
					    job->name, job->error);
		claims_tell(state, message);
		if (!state->closing)
			uv_timer_start(&state->retry, claims_retry, CLAIMS_RETRY_MS, 0);
	} else {
		group->durable = job->version;
		group->stored_incarnation = job->incarnation;
		group->keep_aside = false;
		claims_tell(state, NULL);
	}
	/* Those who are called may record, strike and close: with job still set they only
	 * note it. */
	group_answer(group, job->version, job->error, job->error ? message : "");
	group->job = NULL;
	if (!state->closing && (!job->error || group->waiters))
		claims_group_write(group); /* what changed meanwhile */
	if (group->closed && !group->job && (group->durable == group->version || job->error))
		group_free(group);
	free(job);
}

static void claims_jobs_ended(struct claims *state)
{
	struct claims_job *job = claims_disk_take_ended(&state->disk);

	while (job) {
		struct claims_job *next = job->next;

		claims_job_ended(state, job);
		job = next;
	}
	/* those that had to wait for their turn */
	for (struct claims_group *group = state->groups; group && !state->troubled;
	     group = group->next)
		if (state->lazy < CLAIMS_LAZY_MAX)
			claims_group_write(group);
	claims_hold_loop(state);
}

static void claims_ended(uv_async_t *async)
{
	claims_jobs_ended(async->data);
}

static void claims_wake(void *user)
{
	struct claims *state = user;

	uv_async_send(&state->ended);
}

/* ---- the folder ---- */

int claims_open(struct claims **result, uv_loop_t *loop, const struct claims_options *options,
		char *message, size_t message_size)
{
	struct claims *state = calloc(1, sizeof(*state));
	int error;

	*result = NULL;
	if (!state)
		return -ENOMEM;
	snprintf(state->cluster, sizeof(state->cluster), "%s", options->cluster);
	state->node = options->node;
	state->loop = loop;
	claims_disk_fingerprints(&state->machine, &state->hardware);
	error = claims_disk_open(&state->disk, options->folder, options->copies, message,
				 message_size);
	if (error) {
		free(state);
		return error;
	}
	uv_async_init(loop, &state->ended, claims_ended);
	uv_timer_init(loop, &state->retry);
	uv_timer_init(loop, &state->probe);
	state->ended.data = state->retry.data = state->probe.data = state;
	state->retry.timer_cb = claims_retry;
	state->open_handles = 3;
	uv_unref((uv_handle_t *)&state->ended);
	uv_unref((uv_handle_t *)&state->retry);
	uv_unref((uv_handle_t *)&state->probe);
	error = claims_disk_start(&state->disk, claims_wake, state);
	if (error) {
		snprintf(message, message_size,
			 "state folder %s: no thread can be started for it: %s", options->folder,
			 strerror(-error));
		claims_close(state);
		return error;
	}
	*result = state;
	return 0;
}

static void claims_handle_closed(uv_handle_t *handle)
{
	struct claims *state = handle->data;

	if (--state->open_handles == 0)
		free(state);
}

void claims_close(struct claims *state)
{
	if (!state)
		return;
	state->closing = true;
	for (struct claims_group *group = state->groups; group; group = group->next)
		claims_group_write(group);
	/* What changed while the first round was being written needs a second. */
	for (int round = 0; round < 2; round++) {
		claims_disk_drain(&state->disk);
		claims_jobs_ended(state);
		for (struct claims_group *group = state->groups; group && round == 0;
		     group = group->next)
			claims_group_write(group);
	}
	claims_disk_stop(&state->disk);
	while (state->groups) {
		group_answer(state->groups, UINT64_MAX, -ECANCELED, "the state folder was closed");
		group_free(state->groups);
	}
	claims_disk_close(&state->disk);
	uv_ref((uv_handle_t *)&state->ended);
	uv_close((uv_handle_t *)&state->ended, claims_handle_closed);
	uv_close((uv_handle_t *)&state->retry, claims_handle_closed);
	uv_close((uv_handle_t *)&state->probe, claims_handle_closed);
}

void claims_on_trouble(struct claims *state, void (*trouble)(const char *message, void *user),
		       void *user)
{
	char message[CLAIMS_MESSAGE_SIZE];

	state->trouble = trouble;
	state->trouble_user = user;
	claims_disk_why(&state->disk, message);
	if (message[0])
		claims_tell(state, message);
}

static void group_copy(const struct claims_group *group)
{
	char text[CLAIMS_FILE_MAX], file[80];
	size_t length = claims_encode(&group->claims, text, sizeof(text));

	snprintf(file, sizeof(file), "%s.claims", group->claims.group);
	claims_disk_write_copy(&group->state->disk, file, text, length);
}

void claims_copy_again(struct claims *state)
{
	for (struct claims_group *group = state->groups; group; group = group->next)
		if (!group->closed)
			group_copy(group);
}

/* ---- groups ---- */

/* Why claims that were read well are not this node's; false: they are. */
static bool group_is_foreign(const struct claims *state, const char *name,
			     const struct claims_file *found, char *reason, size_t size)
{
	if (strcmp(found->cluster, state->cluster) != 0)
		snprintf(reason, size, "it belongs to cluster %s, and this is cluster %s",
			 found->cluster, state->cluster);
	else if (strcmp(found->group, name) != 0)
		snprintf(reason, size, "it belongs to group %s, so it was copied or renamed",
			 found->group);
	else if (found->node != state->node)
		snprintf(reason, size, "it belongs to node %u, and this is node %u", found->node,
			 state->node);
	else if (found->machine && state->machine && found->machine != state->machine)
		snprintf(reason, size,
			 "it was written on another machine (another /etc/machine-id): this disk "
			 "is a copy");
	else if (found->hardware && state->hardware && found->hardware != state->hardware)
		snprintf(reason, size,
			 "it was written on other hardware (another DMI product UUID): this disk "
			 "is a copy, "
			 "or was moved");
	else
		return false;
	return true;
}

/* Takes what was read; false: it is not this node's, and why. */
static bool group_take(struct claims_group *group, const char *data, ssize_t length, char *reason,
		       size_t size)
{
	struct claims_file found;

	if (length < 0) {
		snprintf(reason, size, "%s", strerror((int)-length));
		return false;
	}
	if (claims_decode(&found, data, (size_t)length, reason, size) != 0 ||
	    group_is_foreign(group->state, group->claims.group, &found, reason, size))
		return false;
	group->claims.count = found.count;
	memcpy(group->claims.keys, found.keys, sizeof(found.keys));
	group->claims.incarnation = group->stored_incarnation = found.incarnation;
	return true;
}

/* What the run folder has is of this boot, so that what it speaks of may run here still; and it is
 * no copy of another machine's. */
static bool group_load_copy(struct claims_group *group, const char *file)
{
	char data[CLAIMS_FILE_MAX + 1], reason[200];
	ssize_t length = claims_disk_read_copy(&group->state->disk, file, data, sizeof(data));

	if (!group_take(group, data, length, reason, sizeof(reason)) || !group->claims.count)
		return false;
	group->version++; /* to be written where it belongs */
	return true;
}

static enum claims_found group_load(struct claims_group *group, const char *name, char *message,
				    size_t size)
{
	struct claims *state = group->state;
	char data[CLAIMS_FILE_MAX + 1], file[80], reason[200];
	ssize_t length;

	snprintf(file, sizeof(file), "%s.claims", name);
	length = claims_disk_read(&state->disk, file, data, sizeof(data));
	if (group_take(group, data, length, reason, sizeof(reason)))
		return CLAIMS_FOUND_CLAIMS;
	if (group_load_copy(group, file)) {
		snprintf(message, size,
			 "%s/%s cannot be used: %s; this node goes on with the copy of its keys in "
			 "%s, which an earlier daemon has left since the machine booted; nothing "
			 "need be done for group %s",
			 state->disk.folder, file, reason, state->disk.copies, name);
		return CLAIMS_FOUND_COPY;
	}
	if (length == -ENOENT)
		return CLAIMS_FOUND_NOTHING;
	snprintf(message, size,
		 "%s/%s cannot be used: %s; this node takes no key for its own and stands by for "
		 "group %s; if it owned it, "
		 "another node or this one will take it after a challenge; nothing need be done, "
		 "the file will be kept as "
		 "%s.unusable",
		 state->disk.folder, file, reason, name, file);
	return CLAIMS_FOUND_UNUSABLE;
}

/* One that was closed and is being written still: what is on the disk is older than what
 * it holds. */
static struct claims_group *group_reopen(struct claims *state, const char *name)
{
	struct claims_group *group = state->groups;

	while (group && (!group->closed || strcmp(group->claims.group, name) != 0))
		group = group->next;
	if (group) {
		group->closed = false;
		group->fresh = true;
	}
	return group;
}

struct claims_group *claims_group_open(struct claims *state, const char *name,
				       enum claims_found *found, char *message, size_t message_size)
{
	struct claims_group *group = group_reopen(state, name);

	if (message_size)
		message[0] = '\0';
	if (group) {
		*found = CLAIMS_FOUND_CLAIMS;
		return group;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->state = state;
	group->fresh = true;
	group->last_waiter = &group->waiters;
	snprintf(group->claims.cluster, sizeof(group->claims.cluster), "%s", state->cluster);
	snprintf(group->claims.group, sizeof(group->claims.group), "%s", name);
	group->claims.node = state->node;
	group->claims.machine = state->machine;
	group->claims.hardware = state->hardware;
	*found = group_load(group, name, message, message_size);
	/* of a copy: if there is a file, it is not ours to overwrite either */
	group->keep_aside = *found == CLAIMS_FOUND_UNUSABLE || *found == CLAIMS_FOUND_COPY;
	if (*found == CLAIMS_FOUND_NOTHING || *found == CLAIMS_FOUND_UNUSABLE)
		group->claims.incarnation = group->stored_incarnation = claims_random(0);
	group->next = state->groups;
	state->groups = group;
	if (*found == CLAIMS_FOUND_CLAIMS)
		group_copy(group);
	else if (*found == CLAIMS_FOUND_COPY)
		claims_group_write(group);
	return group;
}

void claims_group_close(struct claims_group *group)
{
	if (!group)
		return;
	group->closed = true;
	claims_group_write(group);
	if (!group->job)
		group_free(group);
}

const uint64_t *claims_group_keys(const struct claims_group *group, size_t *count)
{
	*count = group->claims.count;
	return group->claims.keys;
}

void claims_group_used_incarnation(struct claims_group *group, uint16_t incarnation)
{
	/* the counter wraps: ahead is what is less than half of it away */
	if ((uint16_t)(incarnation - group->claims.incarnation) < 0x8000)
		group->claims.incarnation = incarnation;
	if ((uint16_t)(group->claims.incarnation - group->stored_incarnation) <
	    CLAIMS_INCARNATION_AHEAD / 2)
		return;
	if (group->version == group->durable ||
	    (group->job && group->job->version == group->version))
		group->version++;
	claims_group_write(group);
}

uint16_t claims_group_next_incarnation(struct claims_group *group)
{
	uint16_t step =
		group->fresh ? (uint16_t)(CLAIMS_INCARNATION_AHEAD + 1 + claims_random(256)) : 1;
	uint16_t next = (uint16_t)(group->claims.incarnation + step);

	group->fresh = false;
	next = next ? next : 1;
	claims_group_used_incarnation(group, next);
	return next;
}

static void group_wait(struct claims_group *group, uint64_t key, claims_recorded *done, void *user)
{
	struct claims_waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		/* a claim whose durability nobody learns of would block its group for ever */
		abort();
	waiter->version = group->version;
	waiter->key = key;
	waiter->done = done;
	waiter->user = user;
	*group->last_waiter = waiter;
	group->last_waiter = &waiter->next;
}

void claims_group_record(struct claims_group *group, uint64_t key, claims_recorded *done,
			 void *user)
{
	struct claims_file *claims = &group->claims;
	struct key fields;

	group_forget_key(group, key);
	if (claims->count == CLAIMS_KEYS_MAX)
		claims->count--;
	memmove(claims->keys + 1, claims->keys, claims->count * sizeof(claims->keys[0]));
	claims->keys[0] = key;
	claims->count++;
	if (key_decode(&fields, key) &&
	    (uint16_t)(fields.incarnation - claims->incarnation) < 0x8000)
		claims->incarnation = fields.incarnation;
	group->version++;
	group_wait(group, key, done, user);
	claims_group_write(group);
}

void claims_group_strike(struct claims_group *group, uint64_t key, claims_recorded *done,
			 void *user)
{
	group_forget_key(group, key);
	if (done) {
		/* an answer comes later also when there was nothing to strike out */
		if (group->version == group->durable)
			group->version++;
		group_wait(group, 0, done, user);
	}
	claims_group_write(group);
}
