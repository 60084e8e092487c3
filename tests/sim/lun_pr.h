/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the two halves of the simulated logical unit; nobody else includes this.
 */
#ifndef TESTS_SIM_LUN_PR_H
#define TESTS_SIM_LUN_PR_H

#include "tests/sim/lun.h"

/* lun.c */
void lun_answer_good(struct lun_answer *answer);
void lun_answer_conflict(struct lun_answer *answer);
void lun_answer_check(struct lun_answer *answer, enum scsi_sense_key key, uint16_t code);
void lun_attention(struct lun *lun, uint16_t nexus, uint16_t code);
/* Of every nexus if LUN_NEXUS_NONE. */
void lun_abort_tasks(struct lun *lun, uint16_t nexus);
void lun_snapshot_take(struct lun *lun);

/* lun_pr.c */
void lun_reserve_in(struct lun *lun, uint16_t asker, const uint8_t *cdb, size_t cdb_length,
		    struct lun_answer *answer);
void lun_reserve_out(struct lun *lun, uint16_t nexus, const uint8_t *cdb, size_t cdb_length,
		     const uint8_t *data, size_t data_length, struct lun_answer *answer);
/* Unregisters a nexus, with what that means for the reservation (SPC-5 5.14.11.3). */
void lun_registration_remove(struct lun *lun, uint16_t nexus);

#endif
