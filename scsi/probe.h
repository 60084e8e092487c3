/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The capability probe: what a logical unit can do with persistent reservations, found by asking
 * and by careful trying. It refuses a logical unit that somebody uses through reservations, takes
 * no reservation and writes no block unless it is told to, and leaves everything as it found it,
 * also when it is interrupted. A pure step function (probe_next) decides what to send; probe_run
 * (scsi/probe_run.h) sends it down paths.
 *
 * While it runs, its registrations bear keys of a pattern of their own: the letters "probe" in
 * ASCII, two bytes that are drawn for the run, and one for the role. What a killed probe leaves
 * behind is recognised by it and removed by the next one.
 */
#ifndef SCSI_PROBE_H
#define SCSI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/identity.h"
#include "scsi/path.h"
#include "scsi/pr.h"
#include "scsi/scsi.h"

#define PROBE_KEY_MAGIC 0x70726f6265u /* "probe" */
#define PROBE_KEY_SHIFT 24
#define PROBE_NEXUS_SECOND PATHS_MAX /* the number of the second nexus, beside paths 0.. */
#define PROBE_NEXUSES (PATHS_MAX + 1)
#define PROBE_LOOKS_DEFAULT 100u
#define PROBE_LOOKS_MAX 100000u
#define PROBE_BLOCKS_MAX 2048u
#define PROBE_BLOCK_SIZE_MAX 4096u
#define PROBE_KEYS_MAX 64
#define PROBE_TYPES 9 /* index by enum pr_type */
#define PROBE_TEXT_MAX 320

bool probe_key_is_probe(uint64_t key);

struct probe_options {
	unsigned path_count;       /* 1..PATHS_MAX; all up */
	bool second;               /* a second nexus is there, from an initiator port of its own */
	bool second_reopens;       /* it can be logged out and in again (PROBE_ACTION_RELOGIN) */
	uint16_t run;              /* drawn for this run; part of its keys */
	unsigned looks;            /* whose answer times are measured; 0: PROBE_LOOKS_DEFAULT */
	uint32_t look_interval_ms; /* between two of them */
	uint32_t timeout_ms;       /* of each command; 0: 5000 */
	uint32_t leftover_ms; /* how long another probe's keys must lie still to be leftovers; 0:
				 3000 */
	bool ask_only;        /* send no PERSISTENT RESERVE OUT at all */
	bool try_types;       /* reserve and release each type: locks others out for moments */
	bool destructive;     /* let the second nexus write to the range, in vain if all is well */
	uint64_t first_block;
	uint32_t block_count; /* 1..PROBE_BLOCKS_MAX */
};

enum probe_answer { PROBE_ANSWER_NOT_TRIED, PROBE_ANSWER_NO, PROBE_ANSWER_YES };

enum probe_item {
	PROBE_ITEM_RESERVATIONS, /* READ KEYS, READ RESERVATION and REGISTER are there */
	PROBE_ITEM_CAPABILITIES, /* REPORT CAPABILITIES */
	PROBE_ITEM_FULL_STATUS,  /* READ FULL STATUS */
	PROBE_ITEM_REGISTER_AND_IGNORE,
	PROBE_ITEM_PREEMPT,
	PROBE_ITEM_PREEMPT_AND_ABORT,
	PROBE_ITEM_APTPL, /* registrations and the reservation outlive a loss of power */
	/* every path shows the same logical unit and the same registrations */
	PROBE_ITEM_ALL_PATHS,
	PROBE_ITEM_NEXUS_APART, /* a second session of this initiator is not taken as registered */
	PROBE_ITEM_OUTLIVES_LOGIN, /* a registration outlives its session */
	PROBE_ITEM_COVERS_WRITE,   /* a non-registrant's WRITE is refused under WE-RO */
	PROBE_ITEM_COVERS_WRITE_SAME,
	PROBE_ITEM_COVERS_UNMAP,
	PROBE_ITEM_COVERS_READ, /* a non-registrant's READ is refused under EA-RO */
	PROBE_ITEMS,
};

struct probe_finding {
	enum probe_answer answer;
	char note[PROBE_TEXT_MAX]; /* what the device said; why it was not tried; may be empty */
};

enum probe_end {
	PROBE_END_DONE,
	PROBE_END_REFUSED, /* not begun, nothing was changed: held, registered, not a disk, no PR,
			      ... */
	PROBE_END_FAILED,  /* a command got no usable answer */
	PROBE_END_INTERRUPTED, /* probe_interrupt() */
};

/* What was found. Items that were not reached are PROBE_ANSWER_NOT_TRIED. */
struct probe_report {
	enum probe_end end;
	char message[PROBE_TEXT_MAX]; /* why it was refused or failed */
	bool clean; /* the logical unit is as it was found, seen by a later look */
	char clean_note[PROBE_TEXT_MAX]; /* what is left, if it is not clean */
	unsigned leftovers_removed;      /* registrations of an earlier, killed probe */

	struct scsi_inquiry inquiry;
	struct scsi_capacity capacity;
	char wwid[SCSI_WWID_MAX], serial[64];
	bool write_protected; /* the target says so */

	/* Who was there, when it was refused; generation always. */
	uint32_t generation_before, generation_after;
	unsigned key_count;
	uint64_t keys[PROBE_KEYS_MAX];
	struct pr_reservation reservation;

	struct pr_capabilities capabilities; /* valid if PROBE_ITEM_CAPABILITIES is YES */
	struct probe_finding items[PROBE_ITEMS];
	struct probe_finding types[PROBE_TYPES]; /* by trying; what is claimed is in capabilities */

	unsigned looks; /* the times below are of this many looks as the daemon makes them */
	uint32_t look_min_us, look_median_us, look_p99_us, look_max_us;
};

const char *probe_item_name(enum probe_item item);       /* "preempt-and-abort", for JSON */
const char *probe_item_text(enum probe_item item);       /* for people */
const char *probe_answer_name(enum probe_answer answer); /* "yes", "no", "not tried" */
const char *probe_end_name(enum probe_end end);

/* The pure core. */
enum probe_action_kind {
	PROBE_ACTION_SEND,      /* request to nexus; answer: probe_answered() */
	PROBE_ACTION_WAIT,      /* wait_ms; then probe_next(); an interrupt may cut it short */
	PROBE_ACTION_RECONNECT, /* make nexus anew if it is down, wait for it 5 s at most; then
				   probe_next() */
	PROBE_ACTION_RELOGIN,   /* log the second nexus out and in again; probe_relogged() */
	PROBE_ACTION_SAVE,      /* keep the blocks (probe_saved_blocks()) durably; probe_kept() */
	/* the blocks are as they were: what was kept can go; then probe_next() */
	PROBE_ACTION_FORGET,
	PROBE_ACTION_END,
};

struct probe_action {
	enum probe_action_kind kind;
	unsigned nexus;
	uint32_t wait_ms;
	struct scsi_request request; /* CDB, direction, data, time-out; data lives in the probe */
	const char *stage;           /* for progress */
};

struct probe;

/* options is copied. NULL with errno EINVAL when a number is out of range, or ENOMEM. */
struct probe *probe_new(const struct probe_options *options);
void probe_free(struct probe *probe);
/* What to do next. */
void probe_next(struct probe *probe, struct probe_action *action);
/* What became of it. */
void probe_answered(struct probe *probe, const struct scsi_request *request);
void probe_relogged(struct probe *probe, bool up);
void probe_kept(struct probe *probe, bool durable, const char *why);
/* From now on only what brings the logical unit back to what it was. */
void probe_interrupt(struct probe *probe);
const struct probe_report *probe_get_report(const struct probe *probe);
/* The saved contents of the range, *size bytes, and whether they may have to be written back. */
const void *probe_saved_blocks(const struct probe *probe, size_t *size, bool *dirty);

#endif
