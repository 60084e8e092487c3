/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How often and how long a data command is sent again. Each kind of answer has a budget of its own:
 * an ALUA transition of some seconds, and the unit attention that follows it, are two things. What
 * passes by itself is bounded by time alone. Pure.
 */
#ifndef CLUSTER_GATE_BUDGET_H
#define CLUSTER_GATE_BUDGET_H

#include "scsi/scsi.h"

enum gate_budget_kind {
	GATE_BUDGET_ATTENTION,  /* UNIT ATTENTION, deferred errors */
	GATE_BUDGET_BUSY,       /* BUSY, TASK SET FULL, 02/04/01, 02/04/0A */
	GATE_BUDGET_OTHER_PATH, /* 02/04/0B, 02/04/0C: there is no other path */
	GATE_BUDGET_ABORTED,    /* ABORTED COMMAND, TASK ABORTED, and what says nothing */
	GATE_BUDGET_KINDS,
};

/* Of one command; zeroed when it is new, or when its session has been made anew. */
struct gate_budget {
	struct {
		uint32_t count;
		uint64_t since_ms; /* of the first such answer */
	} kind[GATE_BUDGET_KINDS];
};

/* The command ended with a status that is not GOOD and not RESERVATION CONFLICT. True: it is to be
 * sent again after *wait_ms. False: the answer is final, or that kind has come for give_up_ms. */
bool gate_budget_again(struct gate_budget *budget, const struct scsi_result *result,
		       uint64_t now_ms, uint32_t give_up_ms, uint32_t *wait_ms);

#endif
