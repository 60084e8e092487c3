/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PERSISTENT RESERVE IN and OUT of the simulated logical unit (SPC-5 5.14, 6.16, 6.17).
 */
#include "tests/sim/lun_pr.h"

#include <string.h>

#include <scsi/sg_unaligned.h>

#define LUN_ATTENTION_RESERVATIONS_PREEMPTED 0x2a03
#define LUN_ATTENTION_RESERVATIONS_RELEASED 0x2a04
#define LUN_ATTENTION_REGISTRATIONS_PREEMPTED 0x2a05

static bool lun_type_all_registrants(enum pr_type type)
{
	return type == PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS ||
	       type == PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS;
}

static bool lun_type_registrants(enum pr_type type)
{
	return lun_type_all_registrants(type) || type == PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY ||
	       type == PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY;
}

static bool lun_holds(const struct lun *lun, uint16_t nexus)
{
	if (!lun->held)
		return false;
	return lun_type_all_registrants(lun->type) ? lun->nexuses[nexus].registered
						   : lun->holder == nexus;
}

static void lun_attention_registered(struct lun *lun, uint16_t except, uint16_t code)
{
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (i != except && lun->nexuses[i].registered)
			lun_attention(lun, i, code);
	}
}

static bool lun_registered_any(const struct lun *lun)
{
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (lun->nexuses[i].registered)
			return true;
	}
	return false;
}

static void lun_reservation_drop(struct lun *lun)
{
	lun->held = false;
	lun->type = PR_TYPE_NONE;
	lun->holder = LUN_NEXUS_NONE;
}

void lun_registration_remove(struct lun *lun, uint16_t index)
{
	bool held = lun_holds(lun, index);

	lun->nexuses[index].registered = false;
	lun->nexuses[index].key = 0;
	if (!held || (lun_type_all_registrants(lun->type) && lun_registered_any(lun)))
		return;
	/* SPC-5 5.14.11.3: the others are told when the type gave them access. */
	if (lun_type_registrants(lun->type))
		lun_attention_registered(lun, index, LUN_ATTENTION_RESERVATIONS_RELEASED);
	lun_reservation_drop(lun);
}

/* SPC-5 5.14.7 */
static void lun_out_register(struct lun *lun, uint16_t index, const struct pr_out *out,
			     struct lun_answer *answer)
{
	struct lun_nexus *nexus = &lun->nexuses[index];

	if (out->action == PR_OUT_REGISTER && out->key != (nexus->registered ? nexus->key : 0)) {
		lun_answer_conflict(answer);
		return;
	}
	if (lun->personality.aptpl)
		lun->aptpl_active = out->aptpl;
	if (out->aptpl && !lun->personality.aptpl) {
		lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2600);
		return;
	}
	if (out->service_key == 0) {
		if (nexus->registered)
			lun_registration_remove(lun, index);
	} else {
		nexus->registered = true;
		nexus->key = out->service_key;
	}
	lun->generation++;
	lun_answer_good(answer);
}

/* SPC-5 5.14.9 */
static void lun_out_reserve(struct lun *lun, uint16_t index, const struct pr_out *out,
			    struct lun_answer *answer)
{
	if (lun->held && (!lun_holds(lun, index) || lun->type != out->type)) {
		lun_answer_conflict(answer);
		return;
	}
	if (!lun->held)
		lun->reserved_key = out->key;
	lun->held = true;
	lun->type = out->type;
	lun->holder = lun_type_all_registrants(out->type) ? LUN_NEXUS_NONE : index;
	lun_answer_good(answer);
}

/* SPC-5 5.14.11.2 */
static void lun_out_release(struct lun *lun, uint16_t index, const struct pr_out *out,
			    struct lun_answer *answer)
{
	if (lun_holds(lun, index)) {
		if (lun->type != out->type) {
			lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2604);
			return;
		}
		if (lun_type_registrants(lun->type))
			lun_attention_registered(lun, index, LUN_ATTENTION_RESERVATIONS_RELEASED);
		lun_reservation_drop(lun);
	}
	lun_answer_good(answer);
}

/* SPC-5 5.14.11.5 */
static void lun_out_clear(struct lun *lun, uint16_t index, struct lun_answer *answer)
{
	lun_attention_registered(lun, index, LUN_ATTENTION_RESERVATIONS_PREEMPTED);
	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		lun->nexuses[i].registered = false;
		lun->nexuses[i].key = 0;
	}
	lun_reservation_drop(lun);
	lun->generation++;
	lun_answer_good(answer);
}

/* Removes the registrations under `victim` (0: all), but for that of `except`. */
static unsigned lun_preempt_registrations(struct lun *lun, uint16_t sender, uint16_t except,
					  uint64_t victim, bool abort)
{
	unsigned removed = 0;

	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		struct lun_nexus *nexus = &lun->nexuses[i];

		if (!nexus->registered || i == except || (victim != 0 && nexus->key != victim))
			continue;
		nexus->registered = false;
		nexus->key = 0;
		removed++;
		if (abort)
			lun_abort_tasks(lun, i);
		if (i != sender)
			lun_attention(lun, i, LUN_ATTENTION_REGISTRATIONS_PREEMPTED);
	}
	return removed;
}

/* SPC-5 5.14.11.4: the reservation goes to the sender. */
static void lun_preempt_reservation(struct lun *lun, uint16_t index, const struct pr_out *out,
				    uint64_t victim)
{
	bool abort = out->action == PR_OUT_PREEMPT_AND_ABORT;
	bool type_changes = lun->type != out->type;

	lun_preempt_registrations(lun, index, index, victim, abort);
	lun->reserved_key = out->key;
	lun->held = true;
	lun->type = out->type;
	lun->holder = lun_type_all_registrants(out->type) ? LUN_NEXUS_NONE : index;
	if (type_changes)
		lun_attention_registered(lun, index, LUN_ATTENTION_RESERVATIONS_RELEASED);
}

static void lun_out_preempt(struct lun *lun, uint16_t index, const struct pr_out *out,
			    struct lun_answer *answer)
{
	bool abort = out->action == PR_OUT_PREEMPT_AND_ABORT;
	bool all = lun->held && lun_type_all_registrants(lun->type);

	if (out->service_key == 0 && lun->held && !all) {
		lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2600);
		return;
	}
	if (lun->held && (all ? out->service_key == 0 : lun_holder_key(lun) == out->service_key)) {
		lun_preempt_reservation(lun, index, out, out->service_key);
	} else if (out->service_key == 0 ||
		   lun_preempt_registrations(lun, index, LUN_NEXUS_NONE, out->service_key, abort) ==
			   0) {
		lun_answer_conflict(answer);
		return;
	} else if (all && !lun_registered_any(lun)) {
		lun_reservation_drop(lun);
	}
	lun->generation++;
	lun_answer_good(answer);
}

/* SPC-5 5.14.8 */
static void lun_out_move(struct lun *lun, uint16_t index, const struct pr_out *out,
			 struct lun_answer *answer)
{
	uint16_t target = 0;

	if (lun->held && (lun_type_all_registrants(lun->type) || lun->holder != index)) {
		lun_answer_conflict(answer);
		return;
	}
	while (target < lun->nexus_count &&
	       (!lun->nexuses[target].used ||
		lun->nexuses[target].identity.target_port != out->relative_target_port ||
		lun->nexuses[target].transport_id_length != out->transport_id_length ||
		memcmp(lun->nexuses[target].transport_id, out->transport_id,
		       out->transport_id_length) != 0))
		target++;
	if (target == lun->nexus_count || target == index || out->service_key == 0) {
		lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2600);
		return;
	}
	if (lun->personality.aptpl)
		lun->aptpl_active = out->aptpl;
	lun->nexuses[target].registered = true;
	lun->nexuses[target].key = out->service_key;
	if (lun->held)
		lun->holder = target;
	if (out->unregister) {
		lun->nexuses[index].registered = false;
		lun->nexuses[index].key = 0;
	}
	lun->generation++;
	lun_answer_good(answer);
}

static bool lun_action_known(const struct lun *lun, enum pr_out_action action)
{
	if (action == PR_OUT_PREEMPT_AND_ABORT)
		return lun->personality.preempt_and_abort;
	if (action == PR_OUT_REGISTER_AND_MOVE)
		return lun->personality.register_and_move;
	return true;
}

void lun_reserve_out(struct lun *lun, uint16_t index, const uint8_t *cdb, size_t cdb_length,
		     const uint8_t *data, size_t data_length, struct lun_answer *answer)
{
	const struct lun_nexus *nexus = &lun->nexuses[index];
	struct pr_out out;

	if (lun->deaf) {
		lun_answer_good(answer);
		return;
	}

	if (pr_out_decode(&out, cdb, cdb_length, data, data_length) < 0 ||
	    !lun_action_known(lun, out.action)) {
		lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2400);
		return;
	}
	if (out.action != PR_OUT_REGISTER && out.action != PR_OUT_REGISTER_AND_IGNORE &&
	    (!nexus->registered || nexus->key != out.key)) {
		lun_answer_conflict(answer);
		return;
	}
	switch (out.action) {
	case PR_OUT_REGISTER:
	case PR_OUT_REGISTER_AND_IGNORE:
		lun_out_register(lun, index, &out, answer);
		break;
	case PR_OUT_RESERVE:
		lun_out_reserve(lun, index, &out, answer);
		break;
	case PR_OUT_RELEASE:
		lun_out_release(lun, index, &out, answer);
		break;
	case PR_OUT_CLEAR:
		lun_out_clear(lun, index, answer);
		break;
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		lun_out_preempt(lun, index, &out, answer);
		break;
	case PR_OUT_REGISTER_AND_MOVE:
		lun_out_move(lun, index, &out, answer);
		break;
	}
	if (answer->status == SCSI_STATUS_GOOD && lun->personality.aptpl)
		lun_snapshot_take(lun);
}

/* To who asks by nexus `asker`. */
static bool lun_in_shows(const struct lun *lun, uint16_t index, uint16_t asker)
{
	return lun->nexuses[index].registered && (!lun->halves || (index ^ asker) % 2 == 0);
}

/* SPC-5 6.16.2 */
static uint32_t lun_in_keys(const struct lun *lun, uint16_t asker, uint8_t *data)
{
	uint32_t length = 8;

	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		if (!lun_in_shows(lun, i, asker))
			continue;
		sg_put_unaligned_be64(lun->nexuses[i].key, data + length);
		length += 8;
	}
	sg_put_unaligned_be32(length - 8, data + 4);
	return length;
}

/* SPC-5 6.16.3 */
static uint32_t lun_in_reservation(const struct lun *lun, uint16_t asker, uint8_t *data)
{
	uint64_t key = lun_holder_key(lun);

	memset(data + 4, 0, 20);
	if (!lun->held || (key != 0 && !lun_in_shows(lun, lun->holder, asker)))
		return 8;
	if (lun->personality.stale_holder && key != 0)
		key = lun->reserved_key;
	sg_put_unaligned_be32(16, data + 4);
	sg_put_unaligned_be64(key, data + 8);
	data[21] = (uint8_t)lun->type;
	return 24;
}

/* SPC-5 6.16.4 */
static uint32_t lun_in_capabilities(const struct lun *lun, uint8_t *data)
{
	memset(data, 0, 8);
	data[1] = 8;
	data[2] = lun->personality.aptpl ? 0x01 : 0;
	data[3] = (uint8_t)(0x80 | (lun->aptpl_active ? 0x01 : 0));
	data[4] = 0xea; /* types 7, 6, 5, 3, 1 */
	data[5] = 0x01; /* type 8 */
	return 8;
}

/* SPC-5 6.16.5 */
static uint32_t lun_in_full_status(const struct lun *lun, uint16_t asker, uint8_t *data)
{
	uint32_t length = 8;

	for (uint16_t i = 0; i < lun->nexus_count; i++) {
		const struct lun_nexus *nexus = &lun->nexuses[i];
		uint8_t *entry = data + length;

		if (!lun_in_shows(lun, i, asker) ||
		    length + 24 + nexus->transport_id_length > LUN_DATA_IN_MAX)
			continue;
		memset(entry, 0, 24);
		if (lun->personality.swapped)
			sg_put_unaligned_le64(nexus->key, entry);
		else
			sg_put_unaligned_be64(nexus->key, entry);
		if (lun_holds(lun, i)) {
			entry[12] = 0x01;
			entry[13] = (uint8_t)lun->type;
		}
		sg_put_unaligned_be16(nexus->identity.target_port, entry + 18);
		sg_put_unaligned_be32(nexus->transport_id_length, entry + 20);
		memcpy(entry + 24, nexus->transport_id, nexus->transport_id_length);
		length += 24u + nexus->transport_id_length;
	}
	sg_put_unaligned_be32(length - 8, data + 4);
	return length;
}

void lun_reserve_in(struct lun *lun, uint16_t asker, const uint8_t *cdb, size_t cdb_length,
		    struct lun_answer *answer)
{
	uint32_t length = 0, allocated;

	lun_answer_good(answer);
	if (cdb_length >= 10) {
		sg_put_unaligned_be32(lun->generation, answer->data);
		switch (cdb[1] & 0x1f) {
		case PR_IN_READ_KEYS:
			length = lun_in_keys(lun, asker, answer->data);
			break;
		case PR_IN_READ_RESERVATION:
			length = lun_in_reservation(lun, asker, answer->data);
			break;
		case PR_IN_REPORT_CAPABILITIES:
			if (lun->personality.capabilities)
				length = lun_in_capabilities(lun, answer->data);
			break;
		case PR_IN_READ_FULL_STATUS:
			if (lun->personality.full_status)
				length = lun_in_full_status(lun, asker, answer->data);
			break;
		}
	}
	if (length == 0) {
		lun_answer_check(answer, SCSI_SENSE_ILLEGAL_REQUEST, 0x2400);
		return;
	}
	allocated = sg_get_unaligned_be16(cdb + 7);
	answer->data_length = length < allocated ? length : allocated;
}
