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
#define VPD_DEVICE_IDENTIFICATION 0x83
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

static bool wwid_fits(struct plugin_lun *lun)
{
	const struct scsi_request *request = &lun->identify.request;
	const uint8_t *page = lun->identify.buffer;
	char reason[GATE_WIRE_TEXT_MAX];

	if (scsi_wwid_decode(lun->wwid, sizeof(lun->wwid), page, request->result.transferred) < 0)
		lun->wwid[0] = '\0';
	if (!lun->config.wwid[0] ||
	    scsi_wwid_present(lun->config.wwid, page, request->result.transferred))
		return true;
	snprintf(reason, sizeof(reason),
		 "another logical unit: its identity is %.100s, the configuration says wwid = "
		 "%.100s; check the "
		 "target's LUN mapping for this node",
		 lun->wwid[0] ? lun->wwid : "not told", lun->config.wwid);
	unusable(lun, reason);
	return false;
}

static bool capacity_fits(struct plugin_lun *lun, int error, const struct scsi_capacity *capacity)
{
	uint32_t size = capacity->block_size;
	if (error < 0 || capacity->blocks == 0 || size < 512 || size > GATE_BLOCK_SIZE_MAX ||
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
	const struct plugin_geometry *found = &lun->identify.found, *old = &lun->geometry;
	char reason[GATE_WIRE_TEXT_MAX];

	/* NBD clients know the size from their connecting on; a device that grew may go on, one
	 * that shrank may not. */
	if (old->blocks && (found->block_size != old->block_size || found->blocks < old->blocks)) {
		snprintf(reason, sizeof(reason),
			 "its size changed from %llu blocks of %u to %llu of %u",
			 (unsigned long long)old->blocks, old->block_size,
			 (unsigned long long)found->blocks, found->block_size);
		unusable(lun, reason);
		return;
	}
	pthread_mutex_lock(&lun->plugin->lock);
	lun->geometry = *found;
	pthread_mutex_unlock(&lun->plugin->lock);
	lun->identify.busy = false;
	nexus_set(lun, GATE_NEXUS_UP, "");
}

/* A good answer to the present step: what it says, and the step behind it. False: it ends here. */
static bool identify_take(struct plugin_lun *lun)
{
	const uint8_t *data = lun->identify.buffer;
	size_t length = lun->identify.request.result.transferred;
	struct scsi_capacity capacity = {0};

	switch (lun->identify.step) {
	case IDENTIFY_READY:
		lun->identify.step = IDENTIFY_WWID;
		return true;
	case IDENTIFY_WWID:
		lun->identify.step = IDENTIFY_CAPACITY;
		return wwid_fits(lun);
	case IDENTIFY_CAPACITY:
		lun->identify.step = IDENTIFY_LIMITS;
		return capacity_fits(lun, scsi_capacity16_decode(&capacity, data, length),
				     &capacity);
	case IDENTIFY_CAPACITY10:
		lun->identify.step = IDENTIFY_LIMITS;
		return capacity_fits(lun, scsi_capacity10_decode(&capacity, data, length),
				     &capacity);
	case IDENTIFY_LIMITS:
		limits_take(lun);
		lun->identify.step = IDENTIFY_MODE;
		return true;
	case IDENTIFY_MODE:
		mode_take(lun);
		lun->identify.step = IDENTIFY_DONE;
		return true;
	case IDENTIFY_DONE:
		break;
	}
	return false;
}

/* The device refused the present step for good. False: it cannot be used. */
static bool identify_do_without(struct plugin_lun *lun)
{
	static const char *const names[] = {"TEST UNIT READY",
					    "VPD page 83h",
					    "READ CAPACITY (16)",
					    "READ CAPACITY (10)",
					    "VPD page B0h",
					    "MODE SENSE",
					    ""};
	char reason[GATE_WIRE_TEXT_MAX], text[128];

	switch (lun->identify.step) {
	case IDENTIFY_CAPACITY:
		lun->identify.step = IDENTIFY_CAPACITY10;
		return true;
	case IDENTIFY_LIMITS:
		lun->identify.step = IDENTIFY_MODE;
		return true;
	case IDENTIFY_MODE:
		lun->identify.step = IDENTIFY_DONE;
		return true;
	case IDENTIFY_WWID:
		if (!lun->config.wwid[0]) {
			lun->identify.step = IDENTIFY_CAPACITY;
			return true;
		}
		break;
	case IDENTIFY_READY:
	case IDENTIFY_CAPACITY10:
	case IDENTIFY_DONE:
		break;
	}
	snprintf(reason, sizeof(reason), "%s: %s", names[lun->identify.step],
		 scsi_result_text(&lun->identify.request.result, text, sizeof(text)));
	unusable(lun, reason);
	return false;
}

static void identify_done(struct scsi_request *request)
{
	struct plugin_lun *lun = request->user;
	const struct scsi_result *result = &request->result;
	uint32_t wait_ms = 0;

	if (!lun->path || !result->has_status) {
		lun->identify.busy = false;
		if (lun->path && lun->path->state == PATH_STATE_UP)
			nexus_drop(lun, "no answer while it was identified");
		return;
	}
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
	if (result->outcome == SCSI_OUTCOME_OK ? !identify_take(lun) : !identify_do_without(lun))
		return;
	if (lun->identify.step == IDENTIFY_DONE)
		identify_end(lun);
	else
		identify_send(lun);
}

static void identify_send(struct plugin_lun *lun)
{
	struct scsi_request *request = &lun->identify.request;
	uint8_t *buffer = lun->identify.buffer;

	memset(request, 0, sizeof(*request));
	memset(buffer, 0, sizeof(lun->identify.buffer));
	switch (lun->identify.step) {
	case IDENTIFY_READY:
		scsi_test_unit_ready_encode(request);
		break;
	case IDENTIFY_WWID:
		scsi_inquiry_page_encode(request, VPD_DEVICE_IDENTIFICATION, buffer,
					 sizeof(lun->identify.buffer));
		break;
	case IDENTIFY_CAPACITY:
		scsi_read_capacity16_encode(request, buffer);
		break;
	case IDENTIFY_CAPACITY10:
		scsi_read_capacity10_encode(request, buffer);
		break;
	case IDENTIFY_LIMITS:
		scsi_inquiry_page_encode(request, VPD_BLOCK_LIMITS, buffer, 64);
		break;
	case IDENTIFY_MODE:
		mode_sense6_encode(request, buffer);
		break;
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
	lun->identify.step = IDENTIFY_READY;
	lun->identify.attempt = 0;
	identify_send(lun);
}
