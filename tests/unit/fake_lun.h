/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A logical unit in memory for unit tests: a few nexuses, persistent reservations as SPC-5 5.14 has
 * them (of the types that are used here), a few blocks, and the departures of real targets by
 * choice. Smaller than the simulated LUN of tests/sim, and free of virtual time.
 */
#ifndef TESTS_UNIT_FAKE_LUN_H
#define TESTS_UNIT_FAKE_LUN_H

#include <string.h>

#include "scsi/bytes.h"
#include "scsi/pr.h"
#include "scsi/scsi.h"

#define FAKE_NEXUSES 60
#define FAKE_BLOCKS 64
#define FAKE_BLOCK_SIZE 512

struct fake_lun {
	/* departures */
	bool no_pr, no_capabilities, no_full_status, no_abort, no_aptpl, aptpl_silent_off;
	bool no_write_same, write_same_uncovered, unmap_uncovered, all_uncovered;
	bool sessions_die;    /* a registration dies with its session */
	bool sessions_orphan; /* it stays listed, but no session bears it any more (tgt) */
	bool tape, unit_attentions;
	unsigned port_designators; /* before the unit's own in page 83h, other ones by each nexus */
	/* state */
	uint64_t key[FAKE_NEXUSES]; /* 0: not registered */
	int holder;                 /* -1: none */
	enum pr_type type;
	bool aptpl;
	uint32_t generation;
	uint8_t blocks[FAKE_BLOCKS][FAKE_BLOCK_SIZE];
	const char *wwid[FAKE_NEXUSES]; /* NULL: the same for all */
	bool attention[FAKE_NEXUSES];
	unsigned writes, commands;
};

static inline void fake_lun_init(struct fake_lun *lun)
{
	memset(lun, 0, sizeof(*lun));
	lun->holder = -1;
	for (unsigned i = 0; i < FAKE_BLOCKS; i++)
		memset(lun->blocks[i], (int)(i + 1), FAKE_BLOCK_SIZE);
	if (lun->unit_attentions)
		memset(lun->attention, 1, sizeof(lun->attention));
}

static inline void fake_sense(struct scsi_request *request, uint8_t key, uint8_t asc, uint8_t ascq)
{
	uint8_t sense[18] = {0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq};

	scsi_result_from_status(&request->result, SCSI_STATUS_CHECK_CONDITION, sense,
				sizeof(sense));
}

static inline void fake_good(struct scsi_request *request, uint32_t transferred)
{
	scsi_result_from_status(&request->result, SCSI_STATUS_GOOD, NULL, 0);
	request->result.transferred = transferred;
}

static inline void fake_conflict(struct scsi_request *request)
{
	scsi_result_from_status(&request->result, SCSI_STATUS_RESERVATION_CONFLICT, NULL, 0);
}

static inline void fake_release(struct fake_lun *lun)
{
	lun->holder = -1;
	lun->type = PR_TYPE_NONE;
}

static inline void fake_unregister(struct fake_lun *lun, unsigned nexus)
{
	lun->key[nexus] = 0;
	if (lun->holder == (int)nexus)
		fake_release(lun);
}

/* The end of a nexus. */
static inline void fake_logout(struct fake_lun *lun, unsigned nexus)
{
	if (lun->sessions_die)
		fake_unregister(lun, nexus);
	for (unsigned i = FAKE_NEXUSES / 2; lun->sessions_orphan && i < FAKE_NEXUSES - 1; i++) {
		if (!lun->key[nexus] || lun->key[i])
			continue;
		lun->key[i] = lun->key[nexus];
		lun->key[nexus] = 0;
		if (lun->holder == (int)nexus)
			lun->holder = (int)i;
	}
}

static inline void fake_register(struct fake_lun *lun, unsigned nexus, const struct pr_out *out,
				 struct scsi_request *request)
{
	if (out->action == PR_OUT_REGISTER && out->key != lun->key[nexus]) {
		fake_conflict(request);
		return;
	}
	if (out->aptpl && lun->no_aptpl) {
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x26, 0);
		return;
	}
	lun->aptpl = out->aptpl && !lun->aptpl_silent_off;
	lun->generation++;
	if (out->service_key)
		lun->key[nexus] = out->service_key;
	else
		fake_unregister(lun, nexus);
	fake_good(request, request->data_length);
}

static inline void fake_preempt(struct fake_lun *lun, unsigned nexus, const struct pr_out *out,
				struct scsi_request *request)
{
	bool found = false;

	if (out->action == PR_OUT_PREEMPT_AND_ABORT && lun->no_abort) {
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x24, 0);
		return;
	}
	for (unsigned i = 0; i < FAKE_NEXUSES; i++)
		found |= lun->key[i] && lun->key[i] == out->service_key;
	if (!found) {
		fake_conflict(request);
		return;
	}
	lun->generation++;
	if (lun->holder >= 0 && lun->key[lun->holder] == out->service_key) {
		lun->holder = (int)nexus;
		lun->type = out->type;
	}
	for (unsigned i = 0; i < FAKE_NEXUSES; i++) {
		if (lun->key[i] == out->service_key && i != nexus)
			lun->key[i] = 0;
	}
	fake_good(request, request->data_length);
}

static inline void fake_pr_out(struct fake_lun *lun, unsigned nexus, struct scsi_request *request)
{
	struct pr_out out;

	if (lun->no_pr || pr_out_decode(&out, request->cdb, request->cdb_length, request->data,
					request->data_length)) {
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0);
		return;
	}
	if (out.action == PR_OUT_REGISTER || out.action == PR_OUT_REGISTER_AND_IGNORE) {
		fake_register(lun, nexus, &out, request);
		return;
	}
	if (!lun->key[nexus] || lun->key[nexus] != out.key) {
		fake_conflict(request);
		return;
	}
	if (out.action == PR_OUT_PREEMPT || out.action == PR_OUT_PREEMPT_AND_ABORT) {
		fake_preempt(lun, nexus, &out, request);
		return;
	}
	if (out.action == PR_OUT_RESERVE) {
		if (lun->holder >= 0 && (lun->holder != (int)nexus || lun->type != out.type)) {
			fake_conflict(request);
			return;
		}
		lun->holder = (int)nexus;
		lun->type = out.type;
	} else if (out.action == PR_OUT_RELEASE) {
		if (lun->holder == (int)nexus)
			fake_release(lun);
	} else if (out.action == PR_OUT_CLEAR) {
		memset(lun->key, 0, sizeof(lun->key));
		fake_release(lun);
		lun->generation++;
	}
	fake_good(request, request->data_length);
}

static inline void fake_pr_in(const struct fake_lun *lun, struct scsi_request *request)
{
	uint8_t data[2048] = {0};
	uint32_t length = 8;
	unsigned action = request->cdb[1] & 0x1f;

	if (lun->no_pr || (action == PR_IN_REPORT_CAPABILITIES && lun->no_capabilities) ||
	    (action == PR_IN_READ_FULL_STATUS && lun->no_full_status)) {
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0);
		return;
	}
	bytes_put_be32(data, lun->generation);
	if (action == PR_IN_READ_RESERVATION && lun->holder >= 0) {
		length = 24;
		bytes_put_be64(data + 8, lun->key[lun->holder]);
		data[21] = (uint8_t)lun->type;
	} else if (action == PR_IN_REPORT_CAPABILITIES) {
		data[1] = 8;
		data[2] = lun->no_aptpl ? 0x04 : 0x05;
		data[3] = (uint8_t)(0x80 | (lun->aptpl ? 1 : 0));
		data[4] = 0xea;
		data[5] = 0x01;
		fake_good(request, 8);
		memcpy(request->data, data, 8);
		return;
	}
	for (unsigned i = 0; i < FAKE_NEXUSES; i++) {
		if (!lun->key[i] || action == PR_IN_READ_RESERVATION)
			continue;
		bytes_put_be64(data + length, lun->key[i]);
		if (action == PR_IN_READ_FULL_STATUS) {
			data[length + 12] = lun->holder == (int)i;
			data[length + 13] = lun->holder == (int)i ? (uint8_t)lun->type : 0;
			length += 16;
		}
		length += 8;
	}
	bytes_put_be32(data + 4, length - 8);
	if (length > request->data_length)
		length = request->data_length;
	memcpy(request->data, data, length);
	fake_good(request, length);
}

/* Page 83h with many designators of the port, and at the end the unit's. */
static inline void fake_long_page(const struct fake_lun *lun, unsigned nexus, const char *wwid,
				  struct scsi_request *request)
{
	static uint8_t data[16384];
	size_t at = 4, own = 8 + strlen(wwid);

	memset(data, 0, sizeof(data));
	for (unsigned i = 0; i < lun->port_designators + nexus; i++, at += 12) {
		data[at] = 0x51;
		data[at + 1] = 0x93;
		data[at + 3] = 8;
		data[at + 4] = 0x50;
		data[at + 11] = (uint8_t)(nexus + 1);
	}
	data[at] = 2;
	data[at + 1] = 1;
	data[at + 3] = (uint8_t)own;
	memcpy(data + at + 4, "FAKE    ", 8);
	memcpy(data + at + 12, wwid, own - 8);
	at += 4 + own;
	data[1] = 0x83;
	bytes_put_be16(data + 2, (uint16_t)(at - 4));
	at = at < request->data_length ? at : request->data_length;
	memcpy(request->data, data, at);
	fake_good(request, (uint32_t)at);
}

static inline void fake_inquiry(const struct fake_lun *lun, unsigned nexus,
				struct scsi_request *request)
{
	const char *wwid = lun->wwid[nexus] ? lun->wwid[nexus] : "fake-1";
	uint8_t data[96] = {0};

	if (request->cdb[1] & 1 && request->cdb[2] == 0x83 && lun->port_designators) {
		fake_long_page(lun, nexus, wwid, request);
		return;
	}
	if (request->cdb[1] & 1) {
		data[1] = request->cdb[2];
		if (data[1] == 0x83) { /* one T10 vendor id designator */
			data[3] = (uint8_t)(4 + 8 + strlen(wwid));
			data[4] = 2;
			data[5] = 1;
			data[7] = (uint8_t)(8 + strlen(wwid));
			memcpy(data + 8, "FAKE    ", 8);
			memcpy(data + 16, wwid, strlen(wwid));
		} else {
			data[3] = 4;
			memcpy(data + 4, "s001", 4);
		}
		memcpy(request->data, data, data[3] + 4u);
		fake_good(request, data[3] + 4u);
		return;
	}
	data[0] = lun->tape ? 1 : 0;
	data[2] = 6;
	data[4] = 31;
	memcpy(data + 8, "FAKE    LUN             0001", 28);
	memcpy(request->data, data, 36);
	fake_good(request, 36);
}

static inline bool fake_shut_out(const struct fake_lun *lun, unsigned nexus, bool write)
{
	if (lun->holder < 0 || lun->key[nexus])
		return false;
	return write || lun->type == PR_TYPE_EXCLUSIVE_ACCESS ||
	       lun->type == PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY ||
	       lun->type == PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS;
}

static inline void fake_blocks(struct fake_lun *lun, unsigned nexus, struct scsi_request *request)
{
	uint8_t operation = request->cdb[0];
	const uint8_t *where =
		operation == 0x42 ? (const uint8_t *)request->data + 8 : request->cdb + 2;
	uint64_t first = bytes_get_be64(where);
	uint32_t count =
		operation == 0x42 ? bytes_get_be32(where + 8) : bytes_get_be32(request->cdb + 10);
	bool uncovered = lun->all_uncovered || (operation == 0x93 && lun->write_same_uncovered) ||
			 (operation == 0x42 && lun->unmap_uncovered);

	if (operation == 0x93 && lun->no_write_same) {
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0);
		return;
	}
	if (!uncovered && fake_shut_out(lun, nexus, operation != 0x88)) {
		fake_conflict(request);
		return;
	}
	if (first + count > FAKE_BLOCKS) {
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x21, 0);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *block = lun->blocks[first + i];
		uint8_t *data = (uint8_t *)request->data + (size_t)i * FAKE_BLOCK_SIZE;

		if (operation == 0x88)
			memcpy(data, block, FAKE_BLOCK_SIZE);
		else if (operation == 0x8a)
			memcpy(block, data, FAKE_BLOCK_SIZE);
		else if (operation == 0x93)
			memcpy(block, request->data, FAKE_BLOCK_SIZE);
		else
			memset(block, 0, FAKE_BLOCK_SIZE);
	}
	lun->writes += operation != 0x88;
	fake_good(request, request->data_length);
}

/* Carries a command out; the result is in the request. */
static inline void fake_execute(struct fake_lun *lun, unsigned nexus, struct scsi_request *request)
{
	lun->commands++;
	memset(&request->result, 0, sizeof(request->result));
	request->result.duration_us = 100 + lun->commands % 7;
	if (lun->attention[nexus] && request->cdb[0] != 0x12) {
		lun->attention[nexus] = false;
		fake_sense(request, SCSI_SENSE_UNIT_ATTENTION, 0x29, 0);
		return;
	}
	switch (request->cdb[0]) {
	case 0x12:
		fake_inquiry(lun, nexus, request);
		break;
	case 0x5e:
		fake_pr_in(lun, request);
		break;
	case 0x5f:
		fake_pr_out(lun, nexus, request);
		break;
	case 0x9e:
		memset(request->data, 0, 32);
		bytes_put_be64(request->data, FAKE_BLOCKS - 1);
		bytes_put_be32((uint8_t *)request->data + 8, FAKE_BLOCK_SIZE);
		fake_good(request, 32);
		break;
	case 0x42:
	case 0x88:
	case 0x8a:
	case 0x93:
		fake_blocks(lun, nexus, request);
		break;
	default:
		fake_sense(request, SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0);
		break;
	}
}

#endif
