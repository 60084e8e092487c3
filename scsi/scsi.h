/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One SCSI command and what became of it. Every layer above hands this result on unchanged, so that
 * the person who reads a message sees the status and the sense data that the device gave.
 */
#ifndef SCSI_SCSI_H
#define SCSI_SCSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCSI_SENSE_MAX 64
#define SCSI_CDB_MAX 16

/* What the issuer may believe of a command. */
enum scsi_outcome {
	SCSI_OUTCOME_OK,       /* GOOD (also RECOVERED ERROR): it took effect */
	SCSI_OUTCOME_CONFLICT, /* RESERVATION CONFLICT: it had no effect */
	SCSI_OUTCOME_FAILED,   /* the device refused it with any other status: it had no effect */
	SCSI_OUTCOME_UNKNOWN,  /* no answer, transport error, lost session, aborted: it may have
				* taken effect, or may yet;  also MEDIUM and HARDWARE ERROR, ABORTED
				* COMMAND, 02/08/xx, CHECK CONDITION without sense */
};

/* SAM-5 5.3.1 status codes. */
enum scsi_status {
	SCSI_STATUS_GOOD = 0x00,
	SCSI_STATUS_CHECK_CONDITION = 0x02,
	SCSI_STATUS_BUSY = 0x08,
	SCSI_STATUS_RESERVATION_CONFLICT = 0x18,
	SCSI_STATUS_TASK_SET_FULL = 0x28,
	SCSI_STATUS_TASK_ABORTED = 0x40,
};

/* SPC-5 4.4.8 sense keys, those that we decide by. */
enum scsi_sense_key {
	SCSI_SENSE_NO_SENSE = 0x0,
	SCSI_SENSE_RECOVERED_ERROR = 0x1,
	SCSI_SENSE_NOT_READY = 0x2,
	SCSI_SENSE_MEDIUM_ERROR = 0x3,
	SCSI_SENSE_HARDWARE_ERROR = 0x4,
	SCSI_SENSE_ILLEGAL_REQUEST = 0x5,
	SCSI_SENSE_UNIT_ATTENTION = 0x6,
	SCSI_SENSE_DATA_PROTECT = 0x7,
	SCSI_SENSE_ABORTED_COMMAND = 0xb,
};

struct scsi_result {
	enum scsi_outcome outcome;
	int error; /* 0, or -errno of the transport: -ETIMEDOUT given up, -ENOTCONN session lost,
		      -ECANCELED path closed, -EBUSY too many on the path (not sent), -EBADMSG
		      malformed answer, -EAGAIN answers that contradict each other, -EIO other */
	bool has_status;   /* the device answered */
	uint8_t status;    /* enum scsi_status, if has_status */
	uint8_t sense_key; /* enum scsi_sense_key; 0 if sense_length is 0 */
	uint8_t asc, ascq; /* 0 if sense_length is 0 */
	uint8_t sense_length;
	uint8_t sense[SCSI_SENSE_MAX]; /* as the device sent it, fixed or descriptor format, cut at
					  SCSI_SENSE_MAX */
	uint32_t transferred;          /* bytes of data-in that arrived, or of data-out that went */
	uint32_t duration_us; /* from the moment of sending to the answer or the giving-up */
};

enum scsi_direction { SCSI_DIRECTION_NONE, SCSI_DIRECTION_IN, SCSI_DIRECTION_OUT };

struct scsi_request;
typedef void scsi_request_done(struct scsi_request *request);

/* A command to be sent down a path. The caller owns the memory, data buffer included, and keeps
 * both unchanged from path_submit() until done() is called. done() is called exactly once, from the
 * loop's thread, never from within path_submit(). */
struct scsi_request {
	uint8_t cdb[SCSI_CDB_MAX];
	uint8_t cdb_length;
	enum scsi_direction direction;
	void *data;
	uint32_t data_length;
	uint32_t
		timeout_ms; /* given up after this time, from sending; 0: SCSI_TIMEOUT_DEFAULT_MS */
	scsi_request_done *done;
	void *user;
	struct scsi_result result; /* valid in done() */
	struct {                   /* the path's own; nobody else touches it */
		void *node[2];
		uint64_t sent_at_us;
		void *extra;
		uint32_t serial;
	} path_private;
};

#define SCSI_TIMEOUT_DEFAULT_MS 30000u

/* Fills outcome, sense_key, asc and ascq from status and sense bytes that a device returned
 * (SPC-5 4.4). sense may be NULL if sense_length is 0; lengths are in bytes; malformed sense data
 * leaves sense_key 0. Sets has_status; leaves error, transferred and duration_us alone. Pure. */
void scsi_result_from_status(struct scsi_result *result, uint8_t status, const uint8_t *sense,
			     size_t sense_length);

/* A result for a command that the transport could not finish: outcome UNKNOWN, error as given
 * (-errno). Pure. */
void scsi_result_from_transport(struct scsi_result *result, int error);

/* One line for people: "RESERVATION CONFLICT", "CHECK CONDITION: ILLEGAL REQUEST, 20/00 invalid
 * command operation code", "no answer in 250 ms", ... Writes at most size bytes including the 0;
 * returns buffer. */
const char *scsi_result_text(const struct scsi_result *result, char *buffer, size_t size);
const char *scsi_outcome_name(enum scsi_outcome outcome);

/* What to do about a result, before anybody believes it (SPC-5 4.4, SAM-5 5.3). Pure. */
enum scsi_retry_verdict {
	SCSI_RETRY_FINAL,     /* believe it */
	SCSI_RETRY_AT_ONCE,   /* a UNIT ATTENTION was taken: send again */
	SCSI_RETRY_LATER,     /* BUSY, TASK SET FULL, 02/04/0A: send again after wait_ms */
	SCSI_RETRY_OTHER_PATH /* 02/04/0B, 02/04/0C: this path cannot be used now */
};
#define SCSI_RETRY_MAX 10
/* attempt counts from 0; from SCSI_RETRY_MAX on the verdict is always FINAL. *wait_ms is set with
 * LATER. */
enum scsi_retry_verdict scsi_retry_judge(const struct scsi_result *result, unsigned attempt,
					 uint32_t *wait_ms);

#endif
