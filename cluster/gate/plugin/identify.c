/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a nexus leads to, asked of the device itself before any data or PERSISTENT RESERVE OUT
 * passes: is it the logical unit that the configuration means, how large is it, what does it know.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/gate/plugin/private.h"

#define IDENTIFY_TIMEOUT_MS 5000u
#define VPD_BLOCK_LIMITS 0xb0

static void identify_send(struct plugin_lun *lun);

static void unusable(struct plugin_lun *lun, const char *reason)
{
	lun->identify.busy = false;
	nexus_set(lun, GATE_NEXUS_UNUSABLE, reason);
	nexus_try_later(lun);
}

/* SPC-5 6.11, all pages' header is enough. */
static void mode_sense6_encode(struct scsi_request *request, void *buffer)
{
	memset(request, 0, sizeof(*request));
	request->cdb[0] = 0x1a;
	request->cdb[1] = 0x08; /* DBD */
	request->cdb[2] = 0x3f;
	request->cdb[4] = 192;
	request->cdb_length = 6;
	request->direction = SCSI_DIRECTION_IN;
	request->data = buffer;
	request->data_length = 192;
}

static bool capacity_fits(struct plugin_lun *lun, const struct scsi_capacity *capacity)
{
	uint32_t size = capacity->block_size;
	if (capacity->blocks == 0 || size < 512 || size > GATE_BLOCK_SIZE_MAX ||
	    (size & (size - 1)) || capacity->blocks > INT64_MAX / size) {
		unusable(lun, "READ CAPACITY tells no usable size");
		return false;
	}
	lun->identify.found = (struct plugin_geometry){
		.blocks = capacity->blocks,
		.block_size = size,
		.transfer_max = GATE_IO_TRANSFER_MAX,
	};
	return true;
}

/* SBC-4 6.6.4: bytes 8-11, MAXIMUM TRANSFER LENGTH in blocks; 0: no limit told. */
static void limits_take(struct plugin_lun *lun)
{
	const uint8_t *page = lun->identify.buffer;
	struct plugin_geometry *found = &lun->identify.found;
	uint64_t most;

	if (lun->identify.request.result.transferred < 12 || page[1] != VPD_BLOCK_LIMITS)
		return;
	most = (uint64_t)page[8] << 24 | (uint64_t)page[9] << 16 | (uint64_t)page[10] << 8 |
	       page[11];
	if (most > 0 && most * found->block_size < found->transfer_max)
		found->transfer_max = (uint32_t)most * found->block_size;
}

static void mode_take(struct plugin_lun *lun)
{
	if (lun->identify.request.result.transferred < 4)
		return;
	lun->identify.found.read_only = lun->identify.buffer[2] & 0x80;
	lun->identify.found.fua = lun->identify.buffer[2] & 0x10;
}

static void identify_end(struct plugin_lun *lun)
{
	pthread_mutex_lock(&lun->plugin->lock);
	lun->geometry = lun->identify.found;
	pthread_mutex_unlock(&lun->plugin->lock);
	lun->identify.busy = false;
	if (lun->doubts != lun->identify.doubts) { /* since the proof */
		identify_start(lun);
		return;
	}
	lun->doubted = false;
	nexus_set(lun, GATE_NEXUS_UP, "");
	core_pump(lun->plugin);
}

/* A good answer to the present step: what it says, and the step behind it. */
static void identify_take(struct plugin_lun *lun)
{
	switch (lun->identify.step) {
	case IDENTIFY_LIMITS:
		limits_take(lun);
		lun->identify.step = IDENTIFY_MODE;
		break;
	case IDENTIFY_MODE:
		mode_take(lun);
		lun->identify.step = IDENTIFY_DONE;
		break;
	case IDENTIFY_PROOF:
	case IDENTIFY_DONE:
		break;
	}
}

/* The device has no such page. */
static void identify_do_without(struct plugin_lun *lun)
{
	lun->identify.step = lun->identify.step == IDENTIFY_LIMITS ? IDENTIFY_MODE : IDENTIFY_DONE;
}

static void no_answer(struct plugin_lun *lun)
{
	lun->identify.busy = false;
	if (lun->path && lun->path->state == PATH_STATE_UP)
		nexus_drop(lun, "no answer while it was identified");
}

static void identify_done(struct scsi_request *request)
{
	struct plugin_lun *lun = request->user;
	const struct scsi_result *result = &request->result;
	uint32_t wait_ms = 0;

	if (!lun->path || !result->has_status) {
		no_answer(lun);
		return;
	}
	nexus_attention(lun, result);
	switch (scsi_retry_judge(result, lun->identify.attempt++, &wait_ms)) {
	case SCSI_RETRY_AT_ONCE:
		identify_send(lun);
		return;
	case SCSI_RETRY_LATER:
	case SCSI_RETRY_OTHER_PATH:
		lun->identify.busy = false;
		nexus_try_later(lun);
		return;
	case SCSI_RETRY_FINAL:
		break;
	}
	lun->identify.attempt = 0;
	if (result->outcome == SCSI_OUTCOME_OK)
		identify_take(lun);
	else
		identify_do_without(lun);
	if (lun->identify.step == IDENTIFY_DONE)
		identify_end(lun);
	else
		identify_send(lun);
}

/* The unit said nothing that helps: it cannot be used now. One that was UP is not any more. */
static void not_proven(struct plugin_lun *lun)
{
	const struct lun_proof *proof = &lun->identify.proof;
	const struct scsi_result *result = &proof->exec.request.result;
	char reason[GATE_WIRE_TEXT_MAX], text[128];

	if (!result->has_status && result->error != -EBADMSG && result->error != -ENOMEM) {
		no_answer(lun);
		return;
	}
	snprintf(reason, sizeof(reason), "it does not say who it is: %s",
		 proof->verdict == LUN_VERDICT_GONE ? proof->text
						    : scsi_result_text(result, text, sizeof(text)));
	unusable(lun, reason);
}

static void identify_proven(struct lun_proof *proof)
{
	struct plugin_lun *lun = proof->user;
	const struct lun_identity *identity = &lun->identity;
	bool answered = proof->exec.request.result.has_status;

	if (!lun->path) {
		lun->identify.busy = false;
		return;
	}
	nexus_attentions(lun, &proof->exec.attentions);
	if (proof->verdict == LUN_VERDICT_UNKNOWN &&
	    proof->exec.request.result.sense_key == SCSI_SENSE_UNIT_ATTENTION) {
		lun->identify.busy = false;
		nexus_attention(lun, &proof->exec.request.result);
		if (!lun->identify.busy)
			nexus_try_later(lun);
		return;
	}
	if (proof->verdict == LUN_VERDICT_OTHER) {
		lun->identify.busy = false;
		if (proof->page.length == 0 ||
		    scsi_wwid_decode(lun->wwid, sizeof(lun->wwid), proof->page.data,
				     proof->page.length) < 0)
			lun->wwid[0] = '\0';
		nexus_other(lun, proof->text);
		return;
	}
	if (proof->verdict != LUN_VERDICT_SAME || !answered) {
		not_proven(lun);
		return;
	}
	if (!identity->page || scsi_wwid_decode(lun->wwid, sizeof(lun->wwid), identity->page,
						identity->page_length) < 0)
		lun->wwid[0] = '\0';
	if (!lun->identify.short_one) {
		if (!capacity_fits(lun, &proof->capacity))
			return;
		lun->identify.step = IDENTIFY_LIMITS;
		identify_send(lun);
		return;
	}
	lun->identify.found = lun->geometry;
	if (proof->capacity.blocks > lun->geometry.blocks)
		lun->identify.found.blocks = proof->capacity.blocks;
	identify_end(lun);
}

static void identify_send(struct plugin_lun *lun)
{
	struct scsi_request *request = &lun->identify.request;
	uint8_t *buffer = lun->identify.buffer;

	memset(request, 0, sizeof(*request));
	memset(buffer, 0, sizeof(lun->identify.buffer));
	switch (lun->identify.step) {
	case IDENTIFY_LIMITS:
		scsi_inquiry_page_encode(request, VPD_BLOCK_LIMITS, buffer, 64);
		break;
	case IDENTIFY_MODE:
		mode_sense6_encode(request, buffer);
		break;
	case IDENTIFY_PROOF:
	case IDENTIFY_DONE:
		return;
	}
	request->timeout_ms = IDENTIFY_TIMEOUT_MS;
	request->done = identify_done;
	request->user = lun;
	path_submit(lun->path, request);
}

void identify_start(struct plugin_lun *lun)
{
	if (lun->identify.busy || !lun->path || lun->closing)
		return;
	lun->identify.busy = true;
	lun->identify.short_one = lun->nexus == GATE_NEXUS_UP;
	lun->identify.doubts = lun->doubts;
	lun->identify.step = IDENTIFY_PROOF;
	lun->identify.attempt = 0;
	lun->identify.proof.user = lun;
	/* Data goes on meanwhile: not behind an attention. */
	lun->identify.proof.exec.stops_in_doubt = lun->identify.short_one && !lun->doubted;
	lun_proof_start(&lun->identify.proof, lun->path, &lun->identity, IDENTIFY_TIMEOUT_MS,
			identify_proven);
}
