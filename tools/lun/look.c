/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looks: READ FULL STATUS, or READ KEYS and READ RESERVATION where the target does not know it; and
 * the logical unit's size. By the next path when one does not answer.
 */
#include <string.h>

#include "scsi/mode.h"
#include "tools/lun/job.h"

#define LUN_LOOK_ATTEMPTS_MAX 3

/* The holder of a reservation of all registrants is none of the keys. */
static void lun_look_settle(struct lun_look *look)
{
	bool all = look->held && lun_type_is_all_registrants(look->type);

	if (all)
		look->holder = 0;
	for (unsigned i = 0; i < look->count; i++)
		look->registrations[i].holder =
			all ||
			(look->held && (look->full ? look->registrations[i].holder
						   : look->registrations[i].key == look->holder));
	look->ok = true;
}

static void lun_look_send(struct lun_job *job, enum pr_in_action what, lun_job_then *then)
{
	struct path *path = lun_job_up_path(job, job->look_path, &job->look_path);

	if (!path) {
		job->look.ok = false;
		snprintf(job->look.failure, sizeof(job->look.failure), "no path is up");
		job->looked(job);
		return;
	}
	memset(job->buffer, 0, sizeof(job->buffer));
	pr_in_encode(&job->exec.request, what, job->buffer, sizeof(job->buffer));
	lun_job_send(job, path, then);
}

static void lun_look_failed(struct lun_job *job, const char *command)
{
	const struct scsi_result *result = &job->exec.request.result;

	if (result->outcome == SCSI_OUTCOME_UNKNOWN && job->look_path + 1 < job->path_count) {
		job->look_path++;
		lun_job_look(job, job->looked);
		return;
	}
	job->look.ok = false;
	job->look.no_reservations = result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;
	if (job->look.no_reservations)
		snprintf(job->look.failure, sizeof(job->look.failure),
			 "no persistent reservations: %s was answered by %s", command,
			 lun_job_result_text(job));
	else
		snprintf(job->look.failure, sizeof(job->look.failure), "%s: %s", command,
			 lun_job_result_text(job));
	job->looked(job);
}

/* Keys that must be seen although there are more than have a place: the step's, and our own. */
static bool lun_look_matters(const struct lun_job *job, uint64_t key)
{
	const struct lun_step *step = job->script && job->step < job->script->count
					      ? &job->script->steps[job->step]
					      : NULL;

	return key == job->own_key || (job->look.held && key == job->look.holder) ||
	       (step && ((step->key.given && key == step->key.value) ||
			 (step->new_key.given && key == step->new_key.value) ||
			 (step->victim.given && key == step->victim.value)));
}

static void lun_look_take_entry(struct lun_job *job, const struct pr_full_status_entry *entry)
{
	struct lun_look *look = &job->look;
	struct lun_registration *registration;

	if (entry->key == 0)
		return; /* no registration has it: a list filled up with zeroes */
	if (entry->holder) {
		look->held = true;
		look->holder = entry->key;
		look->type = entry->type;
	}
	look->available++;
	if (look->count == LUN_KEYS_MAX && !lun_look_matters(job, entry->key))
		return;
	if (look->count == LUN_KEYS_MAX)
		look->count--;
	registration = &look->registrations[look->count++];
	memset(registration, 0, sizeof(*registration));
	registration->key = entry->key;
	registration->holder = entry->holder;
	registration->all_ports = entry->all_target_ports;
	registration->port = entry->relative_target_port;
	pr_transport_id_text(entry->transport_id, entry->transport_id_length,
			     registration->transport_id, sizeof(registration->transport_id));
}

/* READ KEYS and READ RESERVATION */

static void lun_look_again(struct lun_job *job);

static void lun_look_got_reservation(struct lun_job *job)
{
	struct lun_look *look = &job->look;
	struct pr_reservation reservation;

	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK ||
	    pr_reservation_decode(&reservation, job->buffer,
				  job->exec.request.result.transferred)) {
		lun_look_failed(job, "READ RESERVATION");
		return;
	}
	/* Somebody ordered something in between: the two would not belong together. */
	if (reservation.generation != look->generation &&
	    ++job->look_attempt < LUN_LOOK_ATTEMPTS_MAX) {
		lun_look_again(job);
		return;
	}
	look->duration_us += job->exec.request.result.duration_us;
	look->held = reservation.held;
	look->holder = reservation.key;
	look->type = reservation.type;
	lun_look_settle(look);
	job->looked(job);
}

static void lun_look_got_keys(struct lun_job *job)
{
	struct lun_look *look = &job->look;
	struct pr_keys keys = {.count = 0};

	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK ||
	    pr_keys_decode(&keys, 0, job->buffer, job->exec.request.result.transferred)) {
		lun_look_failed(job, "READ KEYS");
		return;
	}
	look->duration_us += job->exec.request.result.duration_us;
	look->generation = keys.generation;
	look->available = keys.available;
	for (unsigned i = 0; i < keys.arrived; i++) {
		struct pr_full_status_entry entry = {.key = pr_keys_at(job->buffer, i)};

		look->available -= 1; /* counted by the entry, if it is one */
		lun_look_take_entry(job, &entry);
	}
	lun_look_send(job, PR_IN_READ_RESERVATION, lun_look_got_reservation);
}

/* READ FULL STATUS */

/* It got no answer: perhaps the target knows it not. Where it ended the connection there is a new
 * one first. */
static void lun_look_reconnected(struct lun_job *job)
{
	size_t index;

	if (lun_job_up_path(job, 0, &index))
		lun_look_send(job, PR_IN_READ_KEYS, lun_look_got_keys);
	else
		lun_look_failed(job, "READ FULL STATUS");
}

static void lun_look_reconnect(struct lun_job *job)
{
	lun_job_reconnect(job, job->sent_to, lun_look_reconnected);
}

static void lun_look_without_full_status(struct lun_job *job)
{
	job->no_full_status = true;
	memset(&job->look, 0, offsetof(struct lun_look, registrations));
	if (job->sent_to->state == PATH_STATE_UP)
		lun_look_send(job, PR_IN_READ_KEYS, lun_look_got_keys);
	else /* when its end has been told */
		lun_job_wait(job, 20, lun_look_reconnect);
}

static void lun_look_got_full_status(struct lun_job *job)
{
	struct lun_look *look = &job->look;
	struct pr_full_status_cursor cursor;
	struct pr_full_status_entry entry;
	int more = -1;

	if (job->exec.request.result.outcome == SCSI_OUTCOME_OK &&
	    pr_full_status_begin(&cursor, job->buffer, job->exec.request.result.transferred) == 0) {
		look->generation = cursor.generation;
		while ((more = pr_full_status_next(&cursor, &entry)) > 0)
			lun_look_take_entry(job, &entry);
	}
	if (more == 0 && cursor.complete) {
		look->duration_us = job->exec.request.result.duration_us;
		look->full = true;
		lun_look_settle(look);
		job->looked(job);
		return;
	}
	if (job->exec.request.result.outcome == SCSI_OUTCOME_UNKNOWN) {
		if (job->full_status_silent) {
			lun_look_failed(job, "READ FULL STATUS");
			return;
		}
		job->full_status_silent = true;
		lun_look_without_full_status(job);
		return;
	}
	/* Not known, more than the buffer holds, or garbled: the plain reads. */
	job->no_full_status = true;
	memset(look, 0, offsetof(struct lun_look, registrations));
	lun_look_send(job, PR_IN_READ_KEYS, lun_look_got_keys);
}

static void lun_look_again(struct lun_job *job)
{
	memset(&job->look, 0, offsetof(struct lun_look, registrations));
	if (job->no_full_status)
		lun_look_send(job, PR_IN_READ_KEYS, lun_look_got_keys);
	else
		lun_look_send(job, PR_IN_READ_FULL_STATUS, lun_look_got_full_status);
}

void lun_job_look(struct lun_job *job, lun_job_then *looked)
{
	job->looked = looked;
	job->doing = "looking at it";
	job->look_attempt = 0;
	lun_look_again(job);
}

/* Size. */

static void lun_size_got_mode(struct lun_job *job)
{
	job->mode_known = job->exec.request.result.outcome == SCSI_OUTCOME_OK &&
			  scsi_mode_protected_decode(&job->write_protected, job->buffer,
						     job->exec.request.result.transferred) == 0;
	job->sized = true;
	job->looked(job);
}

static void lun_size_got_serial(struct lun_job *job)
{
	if (job->exec.request.result.outcome == SCSI_OUTCOME_OK)
		scsi_serial_decode(job->serial, sizeof(job->serial), job->buffer,
				   job->exec.request.result.transferred);
	memset(job->buffer, 0, SCSI_MODE_HEADER_SIZE);
	scsi_mode_sense6_encode(&job->exec.request, job->buffer);
	lun_job_send(job, job->sent_to, lun_size_got_mode);
}

static void lun_size_ask_serial(struct lun_job *job)
{
	memset(job->buffer, 0, 256);
	scsi_inquiry_page_encode(&job->exec.request, 0x80, job->buffer, 255);
	lun_job_send(job, job->sent_to, lun_size_got_serial);
}

static void lun_size_got_capacity10(struct lun_job *job)
{
	if (job->exec.request.result.outcome == SCSI_OUTCOME_OK)
		scsi_capacity10_decode(&job->capacity, job->buffer,
				       job->exec.request.result.transferred);
	lun_size_ask_serial(job);
}

static void lun_size_got_capacity16(struct lun_job *job)
{
	if (job->exec.request.result.outcome == SCSI_OUTCOME_OK &&
	    scsi_capacity16_decode(&job->capacity, job->buffer,
				   job->exec.request.result.transferred) == 0) {
		lun_size_ask_serial(job);
		return;
	}
	memset(job->buffer, 0, 8);
	scsi_read_capacity10_encode(&job->exec.request, job->buffer);
	lun_job_send(job, job->sent_to, lun_size_got_capacity10);
}

void lun_job_size(struct lun_job *job, lun_job_then *then)
{
	size_t index = 0;
	struct path *path = lun_job_up_path(job, 0, &index);

	job->looked = then;
	if (job->sized || !path) {
		then(job);
		return;
	}
	memset(job->buffer, 0, 32);
	scsi_read_capacity16_encode(&job->exec.request, job->buffer);
	lun_job_send(job, path, lun_size_got_capacity16);
}
