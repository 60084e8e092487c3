/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See lun_proof.h.
 */
#include "scsi/lun_proof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LUN_PROOF_ROUNDS 4
#define LUN_PROOF_PAGE 0x83

enum lun_proof_step { LUN_PROOF_CAPACITY_16, LUN_PROOF_CAPACITY_10, LUN_PROOF_DESIGNATORS };

static const char *lun_identity_name(const uint8_t *page, size_t length, char name[SCSI_WWID_MAX])
{
	if (!page || scsi_wwid_decode(name, SCSI_WWID_MAX, page, length) < 0)
		snprintf(name, SCSI_WWID_MAX, "without a name");
	return name;
}

static bool lun_identity_size_fits(const struct lun_identity *identity,
				   const struct scsi_capacity *capacity)
{
	return identity->blocks == 0 || capacity->blocks == 0 ||
	       (capacity->block_size == identity->block_size &&
		capacity->blocks >= identity->blocks);
}

enum lun_proof_verdict lun_identity_judge(const struct lun_identity *identity, const uint8_t *page,
					  size_t length, const struct scsi_capacity *capacity,
					  char *text, size_t size)
{
	char found[SCSI_WWID_MAX];
	struct scsi_difference difference = {"", ""};

	if (length == 0)
		page = NULL;
	lun_identity_name(page, length, found);
	if (*identity->wanted && (!page || !scsi_wwid_present(identity->wanted, page, length))) {
		snprintf(text, size,
			 "another logical unit stands here: VPD 83h says %.80s, the "
			 "configuration wants %.80s; nothing is sent to it. Check the target's "
			 "mapping, or correct wwid",
			 found, identity->wanted);
		return LUN_VERDICT_OTHER;
	}
	if (identity->page &&
	    (!page || scsi_identity_compare(identity->page, identity->page_length, page, length,
					    &difference) == SCSI_SAME_NO)) {
		if (!page)
			lun_identity_name(identity->page, identity->page_length, difference.one);
		snprintf(text, size,
			 "another logical unit stands here: VPD 83h says %.80s, it was %.80s; "
			 "nothing is sent to it. Check the target's mapping",
			 page ? difference.other : found, difference.one);
		return LUN_VERDICT_OTHER;
	}
	if (!lun_identity_size_fits(identity, capacity)) {
		snprintf(
			text, size,
			"another logical unit stands here, or it has lost its end: %.80s has "
			"%" PRIu64 " blocks of %u bytes, it had %" PRIu64
			" of %u; nothing is sent to it. Check the target's mapping, or give it its "
			"size back",
			found, capacity->blocks, capacity->block_size, identity->blocks,
			identity->block_size);
		return LUN_VERDICT_OTHER;
	}
	return LUN_VERDICT_SAME;
}

bool lun_identity_is(const struct lun_identity *identity, const uint8_t *page, size_t length)
{
	if (!identity->page || length == 0)
		return !identity->page && length == 0;
	return scsi_identity_compare(identity->page, identity->page_length, page, length, NULL) !=
	       SCSI_SAME_NO;
}

int lun_identity_learn(struct lun_identity *identity, const uint8_t *page, size_t length,
		       const struct scsi_capacity *capacity)
{
	if (capacity->blocks > 0) {
		identity->blocks = capacity->blocks;
		identity->block_size = capacity->block_size;
	}
	if (identity->page || length == 0)
		return 0;
	identity->page = malloc(length);
	if (!identity->page)
		return -ENOMEM;
	memcpy(identity->page, page, length);
	identity->page_length = length;
	return 0;
}

void lun_identity_free(struct lun_identity *identity)
{
	free(identity->page);
	memset(identity, 0, sizeof(*identity));
}

static void lun_proof_on_done(struct pr_exec *exec);

static void lun_proof_end(struct lun_proof *proof, enum lun_proof_verdict verdict)
{
	proof->verdict = verdict;
	proof->done(proof);
}

static void lun_proof_ask(struct lun_proof *proof, enum lun_proof_step step)
{
	struct scsi_request *request = &proof->exec.request;

	proof->step = (uint8_t)step;
	memset(proof->buffer, 0, sizeof(proof->buffer));
	switch (step) {
	case LUN_PROOF_CAPACITY_16:
		scsi_read_capacity16_encode(request, proof->buffer);
		break;
	case LUN_PROOF_CAPACITY_10:
		scsi_read_capacity10_encode(request, proof->buffer);
		break;
	case LUN_PROOF_DESIGNATORS:
		proof->attentions = proof->exec.attentions.count;
		vpd_reader_begin(&proof->page, LUN_PROOF_PAGE, request);
		break;
	}
	pr_exec_continue(&proof->exec, lun_proof_on_done);
}

static void lun_proof_gone(struct lun_proof *proof)
{
	snprintf(proof->text, sizeof(proof->text),
		 "there is no such logical unit at the target any more; check what the target maps "
		 "to this initiator");
	lun_proof_end(proof, LUN_VERDICT_GONE);
}

/* The device has no such command. */
static bool lun_proof_lacks(const struct scsi_result *result)
{
	return result->outcome == SCSI_OUTCOME_FAILED &&
	       result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST;
}

static void lun_proof_got_page(struct lun_proof *proof)
{
	const struct scsi_result *result = &proof->exec.request.result;
	enum lun_proof_verdict verdict;

	if (!vpd_reader_take(&proof->page, &proof->exec.request)) {
		pr_exec_continue(&proof->exec, lun_proof_on_done);
		return;
	}
	if (result->outcome != SCSI_OUTCOME_OK && !lun_proof_lacks(result)) {
		lun_proof_end(proof, LUN_VERDICT_UNKNOWN);
		return;
	}
	/* SPC-5 6.6.2: the peripheral qualifier is in every page. */
	if (proof->page.length > 0 && proof->page.data[0] >> 5 != 0) {
		lun_proof_gone(proof);
		return;
	}
	if (result->outcome == SCSI_OUTCOME_OK && proof->page.length == 0) {
		scsi_result_from_transport(&proof->exec.request.result, -EBADMSG);
		lun_proof_end(proof, LUN_VERDICT_UNKNOWN);
		return;
	}
	if (proof->exec.attentions.count != proof->attentions &&
	    proof->rounds++ < LUN_PROOF_ROUNDS) {
		lun_proof_ask(proof, LUN_PROOF_CAPACITY_16);
		return;
	}
	verdict = lun_identity_judge(proof->identity, proof->page.data, proof->page.length,
				     &proof->capacity, proof->text, sizeof(proof->text));
	if (verdict == LUN_VERDICT_SAME &&
	    lun_identity_learn(proof->identity, proof->page.data, proof->page.length,
			       &proof->capacity) < 0) {
		scsi_result_from_transport(&proof->exec.request.result, -ENOMEM);
		verdict = LUN_VERDICT_UNKNOWN;
	}
	lun_proof_end(proof, verdict);
}

static void lun_proof_on_done(struct pr_exec *exec)
{
	struct lun_proof *proof = exec->user;
	const struct scsi_result *result = &exec->request.result;
	size_t length = result->transferred;

	if (result->outcome == SCSI_OUTCOME_FAILED && result->asc == 0x25 &&
	    result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST) {
		lun_proof_gone(proof);
		return;
	}
	if (proof->step == LUN_PROOF_DESIGNATORS) {
		lun_proof_got_page(proof);
		return;
	}
	if (result->outcome != SCSI_OUTCOME_OK && !lun_proof_lacks(result)) {
		lun_proof_end(proof, LUN_VERDICT_UNKNOWN);
		return;
	}
	if (result->outcome == SCSI_OUTCOME_OK && proof->step == LUN_PROOF_CAPACITY_16)
		scsi_capacity16_decode(&proof->capacity, proof->buffer, length);
	else if (result->outcome == SCSI_OUTCOME_OK)
		scsi_capacity10_decode(&proof->capacity, proof->buffer, length);
	lun_proof_ask(proof, proof->capacity.blocks == 0 && proof->step == LUN_PROOF_CAPACITY_16
				     ? LUN_PROOF_CAPACITY_10
				     : LUN_PROOF_DESIGNATORS);
}

void lun_proof_start(struct lun_proof *proof, struct path *path, struct lun_identity *identity,
		     uint32_t timeout_ms, lun_proof_done *done)
{
	pr_exec_begin(&proof->exec, path, timeout_ms);
	proof->exec.user = proof;
	proof->identity = identity;
	proof->done = done;
	proof->verdict = LUN_VERDICT_UNKNOWN;
	proof->text[0] = '\0';
	proof->rounds = 0;
	proof->capacity = (struct scsi_capacity){0};
	lun_proof_ask(proof, LUN_PROOF_CAPACITY_16);
}

void lun_proof_release(struct lun_proof *proof)
{
	vpd_reader_free(&proof->page);
}

/* ---- orders ---- */

#define PR_ORDER_ROUNDS 8

static void pr_order_prove(struct pr_order *order);

static void pr_order_end(struct pr_order *order)
{
	struct pr_attentions *sum = &order->exec.attentions;
	const struct pr_attentions *proof = &order->proof.exec.attentions;

	if (proof->count > 0 && sum->count < PR_ATTENTIONS_KEPT)
		sum->last[sum->count] = proof->last[0];
	sum->count += proof->count;
	order->done(order);
}

static void pr_order_on_done(struct pr_exec *exec)
{
	struct pr_order *order = exec->user;
	const struct scsi_result *result = &exec->request.result;

	if (order->proof.identity && result->outcome == SCSI_OUTCOME_FAILED &&
	    result->sense_key == SCSI_SENSE_UNIT_ATTENTION &&
	    scsi_attention_doubts_identity(result->asc, result->ascq) &&
	    order->rounds++ < PR_ORDER_ROUNDS) {
		pr_order_prove(order);
		return;
	}
	pr_order_end(order);
}

/* The proof has used the time in which nothing was sent yet: the command gets its own. */
static void pr_order_send(struct pr_order *order)
{
	struct pr_attentions taken = order->exec.attentions;
	struct path *path = order->exec.path;

	pr_out_encode(&order->exec.request, &order->out, order->parameters,
		      sizeof(order->parameters));
	pr_exec_begin(&order->exec, path, order->timeout_ms);
	order->exec.attentions = taken;
	order->exec.stops_in_doubt = order->proof.identity != NULL;
	pr_exec_continue(&order->exec, pr_order_on_done);
}

static void pr_order_on_proven(struct lun_proof *proof)
{
	struct pr_order *order = proof->user;
	struct scsi_result *result = &order->exec.request.result;

	if (proof->verdict == LUN_VERDICT_SAME) {
		pr_order_send(order);
		return;
	}
	*result = proof->exec.request.result;
	order->exec.verdict = proof->exec.verdict;
	result->outcome = SCSI_OUTCOME_FAILED; /* the order itself was not sent */
	result->error = proof->verdict == LUN_VERDICT_UNKNOWN ? -ENOTCONN : -ESTALE;
	pr_order_end(order);
}

static void pr_order_prove(struct pr_order *order)
{
	struct lun_identity *identity = order->proof.identity;
	struct pr_attentions taken = order->proof.exec.attentions;

	order->proof.user = order;
	order->proof.exec.counters = order->exec.counters;
	lun_proof_start(&order->proof, order->exec.path, identity, order->timeout_ms,
			pr_order_on_proven);
	order->proof.exec.attentions = taken;
	order->proof.attentions = taken.count;
}

int pr_order_start(struct pr_order *order, struct path *path, const struct pr_out *out,
		   struct lun_identity *identity, uint32_t timeout_ms, pr_order_done *done)
{
	if (pr_out_encode(&order->exec.request, out, order->parameters, sizeof(order->parameters)) <
	    0)
		return -EINVAL;
	pr_exec_begin(&order->exec, path, timeout_ms);
	order->exec.user = order;
	order->done = done;
	order->out = *out;
	order->timeout_ms = timeout_ms;
	order->rounds = 0;
	order->proof.identity = identity;
	memset(&order->proof.exec.attentions, 0, sizeof(order->proof.exec.attentions));
	if (identity)
		pr_order_prove(order);
	else
		pr_order_send(order);
	return 0;
}

void pr_order_release(struct pr_order *order)
{
	lun_proof_release(&order->proof);
}
