/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who a LUN is, asked step by step: what a device lacks is left empty, what gets no answer ends it.
 */
#include "scsi/pr_exec.h"

#include <errno.h>

#define LUN_IDENTIFY_ROUNDS 4
#define LUN_IDENTIFY_INQUIRY_SIZE 96

enum lun_identify_step {
	LUN_IDENTIFY_INQUIRY,
	LUN_IDENTIFY_PAGE_83,
	LUN_IDENTIFY_PAGE_80,
	LUN_IDENTIFY_CAPACITY_16,
	LUN_IDENTIFY_CAPACITY_10,
	LUN_IDENTIFY_END,
};

static void lun_identify_on_done(struct pr_exec *exec);

static void lun_identify_ask(struct lun_identify *identify, enum lun_identify_step step)
{
	struct scsi_request *request = &identify->exec.request;

	identify->step = (uint8_t)step;
	switch (step) {
	case LUN_IDENTIFY_INQUIRY:
		scsi_inquiry_encode(request, identify->buffer, LUN_IDENTIFY_INQUIRY_SIZE);
		break;
	case LUN_IDENTIFY_PAGE_83:
		identify->attentions = identify->exec.attentions.count;
		vpd_reader_begin(&identify->page, 0x83, request);
		break;
	case LUN_IDENTIFY_PAGE_80:
		vpd_reader_begin(&identify->serial_page, 0x80, request);
		break;
	case LUN_IDENTIFY_CAPACITY_16:
		scsi_read_capacity16_encode(request, identify->buffer);
		break;
	case LUN_IDENTIFY_CAPACITY_10:
		scsi_read_capacity10_encode(request, identify->buffer);
		break;
	case LUN_IDENTIFY_END:
		/* Whatever the last step said of what the device lacks. */
		scsi_result_from_status(&request->result, SCSI_STATUS_GOOD, NULL, 0);
		identify->done(identify);
		return;
	}
	pr_exec_continue(&identify->exec, lun_identify_on_done);
}

/* Takes what arrived; returns the next step. */
static enum lun_identify_step lun_identify_take(struct lun_identify *identify, size_t length)
{
	const uint8_t *data = identify->buffer;

	switch ((enum lun_identify_step)identify->step) {
	case LUN_IDENTIFY_INQUIRY:
		return identify->inquiry.peripheral_qualifier == 0 ? LUN_IDENTIFY_PAGE_83
								   : LUN_IDENTIFY_END;
	case LUN_IDENTIFY_PAGE_83:
		scsi_wwid_decode(identify->wwid, sizeof(identify->wwid), identify->page.data,
				 identify->page.length);
		identify->wanted_present =
			identify->wanted && scsi_wwid_present(identify->wanted, identify->page.data,
							      identify->page.length);
		return LUN_IDENTIFY_PAGE_80;
	case LUN_IDENTIFY_PAGE_80:
		scsi_serial_decode(identify->serial, sizeof(identify->serial),
				   identify->serial_page.data, identify->serial_page.length);
		return LUN_IDENTIFY_CAPACITY_16;
	case LUN_IDENTIFY_CAPACITY_16:
		return scsi_capacity16_decode(&identify->capacity, data, length) == 0
			       ? LUN_IDENTIFY_END
			       : LUN_IDENTIFY_CAPACITY_10;
	case LUN_IDENTIFY_CAPACITY_10:
		scsi_capacity10_decode(&identify->capacity, data, length);
		return LUN_IDENTIFY_END;
	case LUN_IDENTIFY_END:
		break;
	}
	return LUN_IDENTIFY_END;
}

static bool lun_identify_page_over(struct lun_identify *identify)
{
	struct scsi_request *request = &identify->exec.request;

	if (identify->step == LUN_IDENTIFY_PAGE_83)
		return vpd_reader_take(&identify->page, request);
	if (identify->step == LUN_IDENTIFY_PAGE_80)
		return vpd_reader_take(&identify->serial_page, request);
	return true;
}

static void lun_identify_on_done(struct pr_exec *exec)
{
	struct lun_identify *identify = exec->user;
	struct scsi_request *request = &exec->request;
	size_t length = 0; /* of a refused command: decodes to nothing */
	enum lun_identify_step next;

	if (request->result.outcome == SCSI_OUTCOME_UNKNOWN) {
		identify->done(identify);
		return;
	}
	if (request->result.outcome == SCSI_OUTCOME_OK)
		length = request->result.transferred < request->data_length
				 ? request->result.transferred
				 : request->data_length;
	if (identify->step == LUN_IDENTIFY_INQUIRY &&
	    scsi_inquiry_decode(&identify->inquiry, identify->buffer, length) < 0) {
		if (request->result.outcome == SCSI_OUTCOME_OK)
			scsi_result_from_transport(&request->result, -EBADMSG);
		identify->done(identify);
		return;
	}
	if (!lun_identify_page_over(identify)) {
		pr_exec_continue(exec, lun_identify_on_done);
		return;
	}
	next = lun_identify_take(identify, length);
	/* An attention behind the page: what it said may be another one's. */
	if (next == LUN_IDENTIFY_END && identify->step >= LUN_IDENTIFY_PAGE_83 &&
	    exec->attentions.count != identify->attentions &&
	    identify->rounds++ < LUN_IDENTIFY_ROUNDS)
		next = LUN_IDENTIFY_INQUIRY;
	lun_identify_ask(identify, next);
}

void lun_identify_start(struct lun_identify *identify, struct path *path, uint32_t timeout_ms,
			lun_identify_done *done)
{
	pr_exec_begin(&identify->exec, path, timeout_ms);
	identify->exec.user = identify;
	identify->done = done;
	identify->wwid[0] = identify->serial[0] = '\0';
	identify->wanted_present = false;
	identify->capacity = (struct scsi_capacity){0};
	identify->rounds = 0;
	lun_identify_ask(identify, LUN_IDENTIFY_INQUIRY);
}

void lun_identify_release(struct lun_identify *identify)
{
	vpd_reader_free(&identify->page);
	vpd_reader_free(&identify->serial_page);
}
