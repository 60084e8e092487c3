/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small asynchronous errands on a path, for the daemon and the command line: one command with the
 * retries that the standard asks for, one look at a LUN's reservation, and the question who a LUN
 * is. Orders that change a reservation: scsi/lun_proof.h.
 *
 * All of them: the struct is the caller's, is zeroed before its first use, and stays where it is
 * and unchanged from the start until done(), which is called exactly once, from the loop, never
 * from within the start. path_close() ends what is under way (UNKNOWN, -ECANCELED); there is no
 * other cancelling. timeout_ms bounds the whole errand, retries and waits included; 0 is
 * SCSI_TIMEOUT_DEFAULT_MS. In done() the struct may be used for the next start, or freed (after
 * pr_look_release()). Nothing is allocated but a larger buffer for looks and a timer while a device
 * is busy.
 */
#ifndef SCSI_PR_EXEC_H
#define SCSI_PR_EXEC_H

#include "scsi/identity.h"
#include "scsi/path.h"
#include "scsi/pr.h"
#include "scsi/vpd.h"

#define PR_ATTENTIONS_KEPT 4
#define PR_LOOK_KEYS_MAX 64
#define PR_LOOK_ATTEMPTS_MAX 3
#define PR_LOOK_BUFFER_SIZE 512   /* in the struct */
#define PR_LOOK_BUFFER_MAX 32768u /* allocated when a target has more to say */

/* Commands sent, retries included; as many errands as like may count into one. */
struct pr_counters {
	uint64_t in[4];  /* by enum pr_in_action */
	uint64_t out[8]; /* by enum pr_out_action */
	uint64_t other;
};

/* Unit attentions that were taken. */
struct pr_attentions {
	uint32_t count;
	struct {
		uint8_t asc, ascq;
	} last[PR_ATTENTIONS_KEPT]; /* the latest first; as many as count says, at most all */
};

struct pr_exec;
typedef void pr_exec_done(struct pr_exec *exec);

/* One command, sent again after unit attentions, and after a wait while the device is busy
 * (scsi_retry_judge()). */
struct pr_exec {
	struct scsi_request request;  /* the caller encodes it before the start; request.result is
					 the last answer */
	struct pr_counters *counters; /* the caller's; NULL: not counted */
	void *user;                   /* the caller's */
	struct pr_attentions attentions; /* of this errand */
	enum scsi_retry_verdict verdict; /* FINAL, or OTHER_PATH: this path cannot be used now */
	/* The caller's: an attention after which this may be another logical unit ends it
	 * (scsi_attention_doubts_identity()), instead of being taken. */
	bool stops_in_doubt;
	/* Its own: */
	struct path *path;
	pr_exec_done *done;
	uint64_t deadline_us;
	uint32_t attempt;
	bool under_way;
};

void pr_exec_start(struct pr_exec *exec, struct path *path, uint32_t timeout_ms,
		   pr_exec_done *done);
/* An errand of several commands under one time-out: begin, then one continue for each request that
 * was encoded, the next from done(). begin alone starts nothing, and clears the attentions. */
void pr_exec_begin(struct pr_exec *exec, struct path *path, uint32_t timeout_ms);
void pr_exec_continue(struct pr_exec *exec, pr_exec_done *done);

struct pr_look;
typedef void pr_look_done(struct pr_look *look);

/* Who holds the LUN, and all keys, as they were at one generation. */
struct pr_look {
	struct pr_exec exec; /* exec.request.result: OK, and what follows is so; else what went
				wrong. Attentions, counters */
	void *user;          /* the caller's */
	/* The caller's, or NULL: each registration of READ FULL STATUS, with its TransportID,
	 * during the call. entry NULL: it begins, and what was told before is void. */
	void (*entry)(struct pr_look *look, const struct pr_full_status_entry *entry);
	/* The caller's, or NULL: how much a key matters. When there are more than fit, one that
	 * matters less makes room. */
	uint8_t (*weigh)(const struct pr_look *look, uint64_t key);

	uint32_t generation;
	bool held;
	enum pr_type type; /* if held */
	uint64_t holder;   /* the holder's key; 0: nobody holds, or all registrants do */
	uint32_t key_count;
	bool truncated; /* there are more keys than these */
	bool unread;    /* the target has more than the largest buffer takes */
	/* Each key once, in the target's order, and how many nexuses bear it (255: that many or
	 * more). */
	uint64_t keys[PR_LOOK_KEYS_MAX];
	uint8_t nexuses[PR_LOOK_KEYS_MAX];
	uint64_t began_us; /* uv_hrtime() / 1000 before the first command went */
	uint32_t duration_us;

	/* Its own: */
	pr_look_done *done;
	uint8_t attempt;
	uint32_t buffer_size;
	uint8_t *buffer; /* allocated, or NULL: `inline_buffer` */
	uint8_t inline_buffer[PR_LOOK_BUFFER_SIZE];
};

/* READ FULL STATUS if the target has it (one command); else READ KEYS and READ RESERVATION, both
 * again (PR_LOOK_ATTEMPTS_MAX) while their generations differ, at last UNKNOWN, -EAGAIN. What does
 * not fit is asked for again with a larger buffer, which is kept for the next look. UNKNOWN,
 * -EBADMSG: the answer is malformed. */
void pr_look_start(struct pr_look *look, struct path *path, bool full_status, uint32_t timeout_ms,
		   pr_look_done *done);
/* Frees the larger buffer, if there is one. Not while it is under way. */
void pr_look_release(struct pr_look *look);
/* How many nexuses bear the key; 0: none. */
unsigned pr_look_nexuses(const struct pr_look *look, uint64_t key);

struct lun_identify;
typedef void lun_identify_done(struct lun_identify *identify);

/* Who the LUN is: INQUIRY, VPD 83h and 80h, READ CAPACITY (16), or (10) where the device has no
 * other. */
struct lun_identify {
	struct pr_exec exec; /* exec.request.result: OK, or why it could not be found out.
				Attentions, counters */
	void *user;          /* the caller's */
	const char *wanted;  /* the caller's: the designator that VPD 83h must hold; NULL: any */

	struct scsi_inquiry inquiry;
	char wwid[SCSI_WWID_MAX];      /* "": it has none, or no page 83h */
	bool wanted_present;           /* page 83h holds `wanted` */
	char serial[64];               /* "": none */
	struct scsi_capacity capacity; /* blocks 0: unknown */

	/* VPD 83h as it came: length 0: none. lun_identify_release() frees it. */
	struct vpd_reader page;

	/* Its own: */
	lun_identify_done *done;
	uint8_t step, rounds;
	uint32_t attentions;
	struct vpd_reader serial_page;
	uint8_t buffer[96];
};

/* OK also for a device that lacks a page or the capacity; a LUN that is not there (peripheral
 * qualifier not 0) is OK, too: the caller looks at inquiry. */
void lun_identify_start(struct lun_identify *identify, struct path *path, uint32_t timeout_ms,
			lun_identify_done *done);
/* Frees the pages. Not while it is under way. */
void lun_identify_release(struct lun_identify *identify);

#endif
