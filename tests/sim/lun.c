/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulated logical unit: nexuses, unit attentions, access, the task set, power. Its PERSISTENT
 * RESERVE commands are in lun_pr.c.
 */
#include "tests/sim/lun.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/lun_pr.h"

/* Beside the 48 bits of an ISID: no login finds this nexus again. */
#define LUN_ORPHAN (1ull << 63)

const struct lun_personality lun_personality_standard = {
	.preempt_and_abort = true,
	.register_and_move = true,
	.full_status = true,
	.capabilities = true,
	.aptpl = true,
	.attentions = true,
	.task_aborted_status = true,
	.other_writes = true,
};

const struct lun_personality lun_personality_lio = {
	.preempt_and_abort = true,
	.register_and_move = true,
	.full_status = true,
	.capabilities = true,
	.aptpl = true,
	.attentions = true,
	.task_aborted_status = true,
};

const struct lun_personality lun_personality_tgt = {
	.capabilities = true,
	.register_and_move = true,
	.lost_session = LUN_LOST_ORPHANS,
	.other_writes = true,
};

void lun_init(struct lun *lun, const struct lun_personality *personality)
{
	/* Tasks and snapshots are read only below their counts. */
	memset(lun, 0, offsetof(struct lun, nexuses));
	lun->personality = *personality;
	lun->holder = LUN_NEXUS_NONE;
}

void lun_answer_good(struct lun_answer *answer)
{
	answer->status = SCSI_STATUS_GOOD;
	answer->sense_length = 0;
	answer->pending = false;
	answer->data_length = 0;
}

void lun_answer_conflict(struct lun_answer *answer)
{
	lun_answer_good(answer);
	answer->status = SCSI_STATUS_RESERVATION_CONFLICT;
}

void lun_answer_check(struct lun_answer *answer, enum scsi_sense_key key, uint16_t code)
{
	lun_answer_good(answer);
	answer->status = SCSI_STATUS_CHECK_CONDITION;
	answer->sense_length = sizeof(answer->sense);
	memset(answer->sense, 0, sizeof(answer->sense));
	answer->sense[0] = 0x70;
	answer->sense[2] = (uint8_t)key;
	answer->sense[7] = sizeof(answer->sense) - 8;
	answer->sense[12] = (uint8_t)(code >> 8);
	answer->sense[13] = (uint8_t)code;
}

void lun_attention(struct lun *lun, uint16_t index, uint16_t code)
{
	struct lun_nexus *nexus = &lun->nexuses[index];

	if (!lun->personality.attentions || !nexus->session)
		return;
	if (code >> 8 == 0x29)
		nexus->attention_count = 0; /* SAM-5 5.14: it takes the place of those before */
	for (unsigned i = 0; i < nexus->attention_count; i++) {
		if (nexus->attentions[i] == code)
			return;
	}
	if (nexus->attention_count == LUN_ATTENTIONS_MAX) {
		memmove(nexus->attentions, nexus->attentions + 1,
			sizeof(nexus->attentions) - sizeof(nexus->attentions[0]));
		nexus->attention_count--;
	}
	nexus->attentions[nexus->attention_count++] = code;
}

void lun_abort_tasks(struct lun *lun, uint16_t nexus)
{
	for (unsigned i = 0; i < lun->task_high; i++) {
		if (lun->tasks[i].used && (nexus == LUN_NEXUS_NONE || lun->tasks[i].nexus == nexus))
			lun->tasks[i].aborted = true;
	}
}

static bool lun_identity_equal(const struct lun_identity *a, const struct lun_identity *b)
{
	return a->initiator == b->initiator && a->isid == b->isid &&
	       a->target_port == b->target_port;
}

/* SPC-5 7.6.4.6: an iSCSI initiator port, with the ISID. */
static void lun_transport_id_make(struct lun_nexus *nexus)
{
	int length;
	size_t padded;

	memset(nexus->transport_id, 0, sizeof(nexus->transport_id));
	length = snprintf((char *)nexus->transport_id + 4, sizeof(nexus->transport_id) - 4,
			  "iqn.2024-01.sim:n%u,i,0x%012llx", nexus->identity.initiator,
			  (unsigned long long)nexus->identity.isid);
	padded = ((size_t)length + 1 + 3) / 4 * 4;
	if (padded < 20)
		padded = 20;
	nexus->transport_id[0] = 0x45;
	nexus->transport_id[2] = (uint8_t)(padded >> 8);
	nexus->transport_id[3] = (uint8_t)padded;
	nexus->transport_id_length = (uint8_t)(padded + 4);
}

static uint16_t lun_nexus_find(const struct lun *lun, const struct lun_identity *identity)
{
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (lun->nexuses[i].used && lun_identity_equal(&lun->nexuses[i].identity, identity))
			return i;
	}
	return LUN_NEXUS_NONE;
}

static uint16_t lun_nexus_make(struct lun *lun, const struct lun_identity *identity)
{
	uint16_t index = 0;
	struct lun_nexus *nexus;

	while (index < lun->nexus_count &&
	       (lun->nexuses[index].used &&
		(lun->nexuses[index].session || lun->nexuses[index].registered)))
		index++;
	if (index == LUN_NEXUSES_MAX)
		return LUN_NEXUS_NONE;
	if (index == lun->nexus_count) {
		lun->nexus_count++;
		lun->nexuses[index].login = 0;
	}
	nexus = &lun->nexuses[index];
	nexus->used = true;
	nexus->session = nexus->registered = false;
	nexus->attention_count = 0;
	nexus->key = 0;
	nexus->identity = *identity;
	lun_transport_id_make(nexus);
	return index;
}

uint16_t lun_login(struct lun *lun, const struct lun_identity *identity)
{
	uint16_t index = lun_nexus_find(lun, identity);

	if (index != LUN_NEXUS_NONE && lun->nexuses[index].session)
		lun_logout(lun, index);
	if (index != LUN_NEXUS_NONE && lun->nexuses[index].registered &&
	    lun->personality.lost_session == LUN_LOST_ORPHANS) {
		lun->nexuses[index].identity.isid |= LUN_ORPHAN;
		index = LUN_NEXUS_NONE;
	}
	if (index == LUN_NEXUS_NONE)
		index = lun_nexus_make(lun, identity);
	if (index == LUN_NEXUS_NONE)
		return index;
	lun->nexuses[index].session = true;
	lun->nexuses[index].login++;
	lun_attention(lun, index, 0x2900);
	return index;
}

void lun_logout(struct lun *lun, uint16_t index)
{
	struct lun_nexus *nexus = &lun->nexuses[index];

	if (!nexus->session)
		return;
	lun_abort_tasks(lun, index);
	nexus->session = false;
	if (lun->personality.lost_session == LUN_LOST_REMOVES && nexus->registered)
		lun_registration_remove(lun, index);
}

enum lun_access { LUN_ACCESS_FREE, LUN_ACCESS_READ, LUN_ACCESS_WRITE };

/* SPC-5 table 66, SBC-4 table 14: what a command is to a reservation. */
static enum lun_access lun_access_of(uint8_t opcode)
{
	switch (opcode) {
	case 0x28: /* READ (10) */
	case 0x88: /* READ (16) */
		return LUN_ACCESS_READ;
	case 0x2a: /* WRITE (10) */
	case 0x8a: /* WRITE (16) */
	case 0x35: /* SYNCHRONIZE CACHE (10) */
	case 0x91: /* SYNCHRONIZE CACHE (16) */
	case 0x41: /* WRITE SAME (10) */
	case 0x93: /* WRITE SAME (16) */
	case 0x42: /* UNMAP */
		return LUN_ACCESS_WRITE;
	}
	return LUN_ACCESS_FREE;
}

static bool lun_access_allowed(const struct lun *lun, uint16_t nexus, enum lun_access access)
{
	if (!lun->held || access == LUN_ACCESS_FREE)
		return true;
	switch (lun->type) {
	case PR_TYPE_WRITE_EXCLUSIVE:
		return access == LUN_ACCESS_READ || nexus == lun->holder;
	case PR_TYPE_EXCLUSIVE_ACCESS:
		return nexus == lun->holder;
	case PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY:
	case PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS:
		return access == LUN_ACCESS_READ || lun->nexuses[nexus].registered;
	case PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY:
	case PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS:
		return lun->nexuses[nexus].registered;
	case PR_TYPE_NONE:
		break;
	}
	return true;
}

static void lun_task_begin(struct lun *lun, uint16_t nexus, struct lun_answer *answer)
{
	unsigned index = 0;

	while (index < lun->task_high && lun->tasks[index].used)
		index++;
	if (index == LUN_TASKS_MAX) {
		lun_answer_good(answer);
		answer->status = SCSI_STATUS_TASK_SET_FULL;
		return;
	}
	if (index == lun->task_high)
		lun->task_high++;
	lun->tasks[index] =
		(struct lun_task){.used = true, .nexus = nexus, .serial = ++lun->task_serial};
	lun_answer_good(answer);
	answer->pending = true;
	answer->task = (uint16_t)index;
	answer->serial = lun->task_serial;
}

bool lun_task_finish(struct lun *lun, uint16_t task, uint32_t serial)
{
	struct lun_task *entry = &lun->tasks[task];

	if (task >= lun->task_high || !entry->used || entry->serial != serial)
		return false;
	entry->used = false;
	while (lun->task_high > 0 && !lun->tasks[lun->task_high - 1].used)
		lun->task_high--;
	return !entry->aborted;
}

void lun_task_abort(struct lun *lun, uint16_t task, uint32_t serial)
{
	if (task < lun->task_high && lun->tasks[task].used && lun->tasks[task].serial == serial)
		lun->tasks[task].aborted = true;
}

static void lun_access(struct lun *lun, uint16_t nexus, uint8_t opcode, bool delayed,
		       struct lun_answer *answer)
{
	if (!lun_access_allowed(lun, nexus, lun_access_of(opcode))) {
		lun_answer_conflict(answer);
		return;
	}
	switch (opcode) {
	case 0x41:
	case 0x93:
	case 0x42:
		if (!lun->personality.other_writes) {
			lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2000);
			return;
		}
		break;
	case 0x2a:
	case 0x8a:
		if (delayed) {
			lun_task_begin(lun, nexus, answer);
			return;
		}
		break;
	}
	lun_answer_good(answer);
}

void lun_execute(struct lun *lun, uint16_t index, const uint8_t *cdb, size_t cdb_length,
		 const uint8_t *data, size_t data_length, bool delayed, struct lun_answer *answer)
{
	struct lun_nexus *nexus = &lun->nexuses[index];

	if (nexus->attention_count > 0 && cdb[0] != 0x12 && cdb[0] != 0xa0 && cdb[0] != 0x03) {
		lun_answer_check(answer, SCSI_SENSE_UNIT_ATTENTION, nexus->attentions[0]);
		nexus->attention_count--;
		memmove(nexus->attentions, nexus->attentions + 1,
			nexus->attention_count * sizeof(nexus->attentions[0]));
		return;
	}
	switch (cdb[0]) {
	case 0x5e:
		lun_reserve_in(lun, index, cdb, cdb_length, answer);
		return;
	case 0x5f:
		lun_reserve_out(lun, index, cdb, cdb_length, data, data_length, answer);
		return;
	case 0x00: /* TEST UNIT READY */
	case 0x28:
	case 0x88:
	case 0x2a:
	case 0x8a:
	case 0x35:
	case 0x91:
	case 0x41:
	case 0x93:
	case 0x42:
		lun_access(lun, index, cdb[0], delayed, answer);
		return;
	}
	lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST,
			 0x2000); /* invalid command operation code */
}

void lun_reset(struct lun *lun, uint16_t nexus)
{
	lun_abort_tasks(lun, LUN_NEXUS_NONE);
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (i != nexus)
			lun_attention(lun, i, 0x2903);
	}
}

void lun_snapshot_take(struct lun *lun)
{
	struct lun_snapshot *snapshot = &lun->snapshots[lun->snapshot_count++ % LUN_SNAPSHOTS_MAX];

	snapshot->held = lun->held;
	snapshot->type = lun->type;
	snapshot->holder = LUN_NEXUS_NONE;
	snapshot->count = 0;
	if (!lun->aptpl_active) {
		snapshot->held = false;
		return;
	}
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (!lun->nexuses[i].registered)
			continue;
		if (i == lun->holder)
			snapshot->holder = snapshot->count;
		snapshot->entries[snapshot->count].identity = lun->nexuses[i].identity;
		snapshot->entries[snapshot->count++].key = lun->nexuses[i].key;
	}
}

static void lun_snapshot_restore(struct lun *lun, const struct lun_snapshot *snapshot)
{
	lun->held = snapshot->held;
	lun->type = snapshot->type;
	for (uint16_t i = 0; i < snapshot->count; i++) {
		uint16_t index = lun_nexus_find(lun, &snapshot->entries[i].identity);

		if (index == LUN_NEXUS_NONE)
			index = lun_nexus_make(lun, &snapshot->entries[i].identity);
		if (index == LUN_NEXUS_NONE)
			continue;
		lun->nexuses[index].registered = true;
		lun->nexuses[index].key = snapshot->entries[i].key;
		if (i == snapshot->holder) {
			lun->holder = index;
			lun->reserved_key = snapshot->entries[i].key;
		}
	}
}

void lun_power_cycle(struct lun *lun, unsigned age)
{
	unsigned kept =
		lun->snapshot_count < LUN_SNAPSHOTS_MAX ? lun->snapshot_count : LUN_SNAPSHOTS_MAX;

	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		lun->nexuses[i].session = lun->nexuses[i].registered = false;
		lun->nexuses[i].attention_count = 0;
	}
	lun_abort_tasks(lun, LUN_NEXUS_NONE);
	lun->held = false;
	lun->type = PR_TYPE_NONE;
	lun->holder = LUN_NEXUS_NONE;
	lun->generation = 0;
	if (kept > 0 && lun->personality.aptpl) {
		if (age >= kept)
			age = kept - 1;
		lun_snapshot_restore(
			lun, &lun->snapshots[(lun->snapshot_count - 1 - age) % LUN_SNAPSHOTS_MAX]);
	}
	lun->aptpl_active = false;
	for (uint16_t i = 0; i < lun->nexus_count; i++)
		lun->aptpl_active |= lun->nexuses[i].registered;
}

uint64_t lun_holder_key(const struct lun *lun)
{
	return lun->held && lun->holder != LUN_NEXUS_NONE ? lun->nexuses[lun->holder].key : 0;
}
