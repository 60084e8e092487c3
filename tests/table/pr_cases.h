/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One table of persistent reservation cases (SPC-5 5.14, 6.16, 6.17) and what runs it. A case is a
 * list of steps on four I_T nexuses of one logical unit. The same table runs against every target
 * for which somebody writes a driver: a real one through paths, and the simulated LUN. So the
 * simulator is held to what real targets do, and real targets' departures from the standard are
 * written down in the table, step by step.
 */
#ifndef TESTS_TABLE_PR_CASES_H
#define TESTS_TABLE_PR_CASES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "scsi/pr.h"
#include "scsi/scsi.h"

enum pr_case_nexus { PR_CASE_A, PR_CASE_B, PR_CASE_C, PR_CASE_D, PR_CASE_NEXUSES };

#define PR_CASE_KEYS_MAX 16

/* Whose behaviour a step describes. A driver names exactly one. */
enum pr_case_target {
	PR_CASE_STANDARD = 1, /* what SPC says; the simulated LUN */
	PR_CASE_TGT = 2,      /* tgt 1.0.85, or a simulated LUN that imitates it */
	PR_CASE_LIO = 4,      /* the kernel's target, 6.12 */
	PR_CASE_ANY = 7,
};

/* What a target can do; a case that needs more is skipped, with the reason. */
enum pr_case_ability {
	PR_CASE_CAN_PREEMPT_AND_ABORT = 1 << 0,
	PR_CASE_CAN_READ_FULL_STATUS = 1 << 1,
	PR_CASE_CAN_APTPL = 1 << 2,
	PR_CASE_CAN_REGISTER_AND_MOVE = 1 << 3,
	PR_CASE_CAN_POWER_CYCLE = 1 << 4,
	PR_CASE_CAN_UNIT_ATTENTION = 1
				     << 5, /* establishes unit attention conditions for PR events */
	PR_CASE_CAN_DROP_SESSION = 1 << 6, /* the driver can lose a session and log in again */
	PR_CASE_KEEPS_LOST_REGISTRATION =
		1 << 7, /* a nexus that logs in again (same initiator port) is still registered */
	PR_CASE_CAN_RESET = 1 << 8, /* LOGICAL UNIT RESET */
	PR_CASE_CAN_REPORT_CAPABILITIES = 1 << 9,
	PR_CASE_CAN_OTHER_WRITES = 1 << 10, /* has WRITE SAME and UNMAP */
};

enum pr_case_access {
	PR_CASE_TEST_UNIT_READY,
	PR_CASE_READ,  /* one block */
	PR_CASE_WRITE, /* one block */
	PR_CASE_WRITE_SAME,
	PR_CASE_UNMAP,
	PR_CASE_SYNCHRONIZE_CACHE,
};

/* What a target is driven by. All calls are synchronous; `self` is the driver's own. Commands send
 * exactly one command, and hand back its result as it came: no retry, also not of a UNIT ATTENTION
 * (the runner does that). Optional calls may be NULL when the ability that needs them is not set.
 */
struct pr_case_driver {
	const char *name;
	enum pr_case_target target;
	unsigned abilities; /* enum pr_case_ability */
	void *self;

	/* Before every case: all nexuses logged in, nothing registered, nothing held. Pending unit
	 * attentions may remain, the runner takes them. Returns 0, or -errno: then the whole run
	 * ends as failed. */
	int (*fresh)(void *self);
	void (*out)(void *self, enum pr_case_nexus nexus, const struct pr_out *out,
		    struct scsi_result *result);
	/* READ KEYS, READ RESERVATION, REPORT CAPABILITIES, READ FULL STATUS: decode into what pr.h
	 * has. keys->keys and status->entries are the runner's, with that capacity. Data that does
	 * not decode: FAILED with error -EBADMSG. */
	void (*read_keys)(void *self, enum pr_case_nexus nexus, struct pr_keys *keys,
			  size_t capacity, struct scsi_result *result);
	void (*read_reservation)(void *self, enum pr_case_nexus nexus,
				 struct pr_reservation *reservation, struct scsi_result *result);
	void (*report_capabilities)(void *self, enum pr_case_nexus nexus,
				    struct pr_capabilities *capabilities,
				    struct scsi_result *result);
	void (*read_full_status)(void *self, enum pr_case_nexus nexus,
				 struct pr_full_status *status, size_t capacity,
				 struct scsi_result *result);
	void (*access)(void *self, enum pr_case_nexus nexus, enum pr_case_access access,
		       struct scsi_result *result);
	void (*reset)(void *self, enum pr_case_nexus nexus, struct scsi_result *result);
	/* The session of one nexus breaks, without a logout, and the target has noticed when this
	 * returns. */
	int (*drop)(void *self, enum pr_case_nexus nexus);
	/* Logs in again with the same initiator port name and ISID. */
	int (*login)(void *self, enum pr_case_nexus nexus);
	/* The target loses power and comes back; all nexuses are logged in again when this
	 * returns. */
	int (*power_cycle)(void *self);
	/* The nexus's TransportID in wire format, for REGISTER AND MOVE. Returns its length. */
	uint32_t (*transport_id)(void *self, enum pr_case_nexus nexus, uint8_t *id, uint32_t size);
	uint16_t (*relative_target_port)(void *self);
};

struct pr_case_report {
	unsigned passed, failed, skipped;
};

/* Runs all cases whose name contains `only` (NULL: all), prints a line for each to `out`, and a
 * last one "N passed, N failed, N skipped". verbose: every step too. Returns true when none failed
 * and some passed. */
bool pr_cases_run(const struct pr_case_driver *driver, const char *only, bool verbose, FILE *out,
		  struct pr_case_report *report);

/* The table, for whoever wants to walk it. */

enum pr_step_kind {
	/* the next step is for .targets; .why: a departure from the standard in words */
	PR_STEP_ONLY,
	PR_STEP_OUT,   /* PERSISTENT RESERVE OUT: result must be .outcome (and .key_asc_ascq, if not
			 0) */
	PR_STEP_SHOWS, /* READ KEYS and READ RESERVATION on .nexus show exactly .keys (each as often
			  as written), .held, .type, .holder */
	PR_STEP_ACCESS, /* .access on .nexus ends as .outcome */
	PR_STEP_MARK,   /* remembers the generation */
	/* the generation has grown by .grown since MARK or the last GENERATION */
	PR_STEP_GENERATION,
	PR_STEP_ATTENTION, /* the next command on .nexus is answered by UNIT ATTENTION
			       .key_asc_ascq, and only by that; 0: by none */
	PR_STEP_DROP,
	PR_STEP_LOGIN,
	PR_STEP_POWER_CYCLE,
	PR_STEP_RESET,
	PR_STEP_CAPABILITIES, /* .type_mask of types must be reported; .ptpl_active, if APTPL is
				 there */
	PR_STEP_STATUS, /* READ FULL STATUS has exactly .keys, and every entry with .holder as its
			   key is the holder */
};

struct pr_step {
	enum pr_step_kind kind;
	/* ONLY */
	unsigned targets; /* enum pr_case_target */
	const char *why;
	enum pr_case_nexus nexus;
	/* OUT */
	struct pr_out out;
	bool move_to_nexus; /* REGISTER AND MOVE: to .destination */
	enum pr_case_nexus destination;
	/* OUT, ACCESS */
	enum scsi_outcome outcome;
	uint32_t key_asc_ascq; /* 0xKKAACC: sense key, ASC, ASCQ */
	enum pr_case_access access;
	/* SHOWS, STATUS */
	unsigned key_count;
	uint64_t keys[PR_CASE_KEYS_MAX];
	bool held;
	uint64_t holder;
	enum pr_type type;
	/* GENERATION, CAPABILITIES */
	uint32_t grown;
	uint16_t type_mask;
	bool ptpl_active;
};

struct pr_case {
	const char *name;
	unsigned needs;   /* enum pr_case_ability */
	unsigned targets; /* 0: all */
	const struct pr_step *steps;
	unsigned step_count;
};

extern const struct pr_case pr_cases[];
extern const unsigned pr_case_count;

#endif
