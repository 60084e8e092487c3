/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a status and its sense data mean (SAM-5 5.3, SPC-5 4.4): the outcome, the words for people,
 * and whether to send the command again. Pure.
 */
#include "scsi/scsi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SCSI_STATUS_CONDITION_MET 0x04
#define SCSI_STATUS_ACA_ACTIVE 0x30
#define SCSI_SENSE_COMPLETED 0xf
#define SCSI_RETRY_WAIT_FIRST_MS 10u
#define SCSI_RETRY_WAIT_MAX_MS 500u

/* SPC-5 4.4.7: 71h and 73h tell of an earlier command that had already been answered. */
static bool scsi_sense_deferred(const struct scsi_result *result)
{
	uint8_t code = result->sense_length > 0 ? result->sense[0] & 0x7f : 0;

	return code == 0x71 || code == 0x73;
}

/* SPC-5 4.4.2 descriptor format (72h), 4.4.3 fixed format (70h). */
static void scsi_sense_decode(struct scsi_result *result, const uint8_t *sense, size_t length)
{
	if (length == 0)
		return;
	switch (sense[0] & 0x7f) {
	case 0x70:
		if (length < 3)
			return;
		result->sense_key = sense[2] & 0x0f;
		if (length < 8)
			return;
		if (length > (size_t)sense[7] + 8)
			length = (size_t)sense[7] + 8;
		result->asc = length > 12 ? sense[12] : 0;
		result->ascq = length > 13 ? sense[13] : 0;
		return;
	case 0x72:
		if (length < 4)
			return;
		result->sense_key = sense[1] & 0x0f;
		result->asc = sense[2];
		result->ascq = sense[3];
		return;
	}
}

static enum scsi_outcome scsi_outcome_from_check_condition(const struct scsi_result *result)
{
	/* The command that a deferred error is reported on was not performed. */
	if (scsi_sense_deferred(result))
		return SCSI_OUTCOME_FAILED;
	/* 02/08/xx, logical unit communication failure: LIO answers a REGISTER so that it carried
	 * out but could not write to its APTPL file. */
	if (result->sense_key == SCSI_SENSE_NOT_READY && result->asc == 0x08)
		return SCSI_OUTCOME_UNKNOWN;
	switch (result->sense_key) {
	case SCSI_SENSE_RECOVERED_ERROR:
	case SCSI_SENSE_COMPLETED:
		return SCSI_OUTCOME_OK;
	/* Without a cause, or broken off half way: what it did cannot be told. */
	case SCSI_SENSE_NO_SENSE:
	case SCSI_SENSE_MEDIUM_ERROR:
	case SCSI_SENSE_HARDWARE_ERROR:
	case SCSI_SENSE_ABORTED_COMMAND:
		return SCSI_OUTCOME_UNKNOWN;
	}
	return SCSI_OUTCOME_FAILED;
}

void scsi_result_from_status(struct scsi_result *result, uint8_t status, const uint8_t *sense,
			     size_t sense_length)
{
	result->has_status = true;
	result->status = status;
	result->sense_key = result->asc = result->ascq = 0;
	if (sense_length > SCSI_SENSE_MAX)
		sense_length = SCSI_SENSE_MAX;
	result->sense_length = (uint8_t)sense_length;
	memset(result->sense, 0, sizeof(result->sense));
	if (sense_length > 0) {
		memcpy(result->sense, sense, sense_length);
		scsi_sense_decode(result, sense, sense_length);
	}
	switch (status) {
	case SCSI_STATUS_GOOD:
	case SCSI_STATUS_CONDITION_MET:
		result->outcome = SCSI_OUTCOME_OK;
		break;
	case SCSI_STATUS_CHECK_CONDITION:
		result->outcome = scsi_outcome_from_check_condition(result);
		break;
	case SCSI_STATUS_RESERVATION_CONFLICT:
		result->outcome = SCSI_OUTCOME_CONFLICT;
		break;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL:
	case SCSI_STATUS_ACA_ACTIVE:
		result->outcome = SCSI_OUTCOME_FAILED;
		break;
	default: /* TASK ABORTED, and what no standard knows */
		result->outcome = SCSI_OUTCOME_UNKNOWN;
	}
}

void scsi_result_from_transport(struct scsi_result *result, int error)
{
	result->outcome = SCSI_OUTCOME_UNKNOWN;
	result->error = error;
	result->has_status = false;
	result->status = 0;
	result->sense_key = result->asc = result->ascq = 0;
	result->sense_length = 0;
	memset(result->sense, 0, sizeof(result->sense));
}

/* The additional sense codes that a storage administrator meets (SPC-5 annex F.2). */
static const struct {
	uint8_t asc, ascq;
	const char *text;
} scsi_asc_texts[] = {
	{0x00, 0x00, "no additional sense information"},
	{0x02, 0x00, "no seek complete"},
	{0x03, 0x00, "peripheral device write fault"},
	{0x04, 0x00, "logical unit not ready, cause not reportable"},
	{0x04, 0x01, "logical unit is in process of becoming ready"},
	{0x04, 0x02, "logical unit not ready, initializing command required"},
	{0x04, 0x03, "logical unit not ready, manual intervention required"},
	{0x04, 0x04, "logical unit not ready, format in progress"},
	{0x04, 0x05, "logical unit not ready, rebuild in progress"},
	{0x04, 0x07, "logical unit not ready, operation in progress"},
	{0x04, 0x09, "logical unit not ready, self-test in progress"},
	{0x04, 0x0a, "logical unit not accessible, asymmetric access state transition"},
	{0x04, 0x0b, "logical unit not accessible, target port in standby state"},
	{0x04, 0x0c, "logical unit not accessible, target port in unavailable state"},
	{0x04, 0x1b, "logical unit not ready, sanitize in progress"},
	{0x05, 0x00, "logical unit does not respond to selection"},
	{0x08, 0x00, "logical unit communication failure"},
	{0x08, 0x01, "logical unit communication time-out"},
	{0x0b, 0x00, "warning"},
	{0x0b, 0x01, "warning - specified temperature exceeded"},
	{0x0b, 0x14, "warning - physical element status change"},
	{0x0c, 0x00, "write error"},
	{0x0c, 0x02, "write error - auto reallocation failed"},
	{0x10, 0x01, "logical block guard check failed"},
	{0x11, 0x00, "unrecovered read error"},
	{0x15, 0x00, "random positioning error"},
	{0x1a, 0x00, "parameter list length error"},
	{0x1d, 0x00, "miscompare during verify operation"},
	{0x20, 0x00, "invalid command operation code"},
	{0x20, 0x02, "access denied - no access rights"},
	{0x21, 0x00, "logical block address out of range"},
	{0x24, 0x00, "invalid field in CDB"},
	{0x25, 0x00, "logical unit not supported"},
	{0x26, 0x00, "invalid field in parameter list"},
	{0x26, 0x01, "parameter not supported"},
	{0x26, 0x02, "parameter value invalid"},
	{0x26, 0x04, "invalid release of persistent reservation"},
	{0x27, 0x00, "write protected"},
	{0x27, 0x01, "hardware write protected"},
	{0x27, 0x02, "logical unit software write protected"},
	{0x27, 0x07, "space allocation failed write protect"},
	{0x28, 0x00, "not ready to ready change, medium may have changed"},
	{0x29, 0x00, "power on, reset, or bus device reset occurred"},
	{0x29, 0x01, "power on occurred"},
	{0x29, 0x02, "SCSI bus reset occurred"},
	{0x29, 0x03, "bus device reset function occurred"},
	{0x29, 0x04, "device internal reset"},
	{0x29, 0x05, "transceiver mode changed to single-ended"},
	{0x29, 0x07, "I_T nexus loss occurred"},
	{0x2a, 0x00, "parameters changed"},
	{0x2a, 0x01, "mode parameters changed"},
	{0x2a, 0x02, "log parameters changed"},
	{0x2a, 0x03, "reservations preempted"},
	{0x2a, 0x04, "reservations released"},
	{0x2a, 0x05, "registrations preempted"},
	{0x2a, 0x06, "asymmetric access state changed"},
	{0x2a, 0x07, "implicit asymmetric access state transition failed"},
	{0x2a, 0x09, "capacity data has changed"},
	{0x2c, 0x00, "command sequence error"},
	{0x2c, 0x09, "previous reservation conflict status"},
	{0x2f, 0x00, "commands cleared by another initiator"},
	{0x2f, 0x01, "commands cleared by power loss notification"},
	{0x2f, 0x02, "commands cleared by device server"},
	{0x30, 0x00, "incompatible medium installed"},
	{0x31, 0x00, "medium format corrupted"},
	{0x38, 0x07, "thin provisioning soft threshold reached"},
	{0x39, 0x00, "saving parameters not supported"},
	{0x3a, 0x00, "medium not present"},
	{0x3e, 0x00, "logical unit has not self-configured yet"},
	{0x3e, 0x01, "logical unit failure"},
	{0x3f, 0x00, "target operating conditions have changed"},
	{0x3f, 0x01, "microcode has been changed"},
	{0x3f, 0x03, "inquiry data has changed"},
	{0x3f, 0x05, "device identifier changed"},
	{0x3f, 0x0e, "reported luns data has changed"},
	{0x44, 0x00, "internal target failure"},
	{0x45, 0x00, "select or reselect failure"},
	{0x47, 0x00, "SCSI parity error"},
	{0x47, 0x05, "protocol service CRC error"},
	{0x47, 0x7f, "some commands cleared by iSCSI protocol event"},
	{0x48, 0x00, "initiator detected error message received"},
	{0x49, 0x00, "invalid message error"},
	{0x4b, 0x00, "data phase error"},
	{0x4e, 0x00, "overlapped commands attempted"},
	{0x55, 0x01, "system buffer full"},
	{0x55, 0x02, "insufficient reservation resources"},
	{0x55, 0x03, "insufficient resources"},
	{0x55, 0x04, "insufficient registration resources"},
	{0x5d, 0x00, "failure prediction threshold exceeded"},
	{0x67, 0x02, "logical unit failed to be configured"},
	{0x68, 0x00, "logical unit not configured"},
	{0x74, 0x00, "security error"},
};

static const char *scsi_asc_text(uint8_t asc, uint8_t ascq)
{
	for (size_t i = 0; i < sizeof(scsi_asc_texts) / sizeof(scsi_asc_texts[0]); i++) {
		if (scsi_asc_texts[i].asc == asc && scsi_asc_texts[i].ascq == ascq)
			return scsi_asc_texts[i].text;
	}
	return NULL;
}

static const char *const scsi_sense_key_names[16] = {
	"NO SENSE",       "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
	"HARDWARE ERROR", "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
	"BLANK CHECK",    "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
	"sense key Ch",   "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED",
};

static const char *scsi_status_name(uint8_t status)
{
	switch (status) {
	case SCSI_STATUS_GOOD:
		return "GOOD";
	case SCSI_STATUS_CHECK_CONDITION:
		return "CHECK CONDITION";
	case SCSI_STATUS_CONDITION_MET:
		return "CONDITION MET";
	case SCSI_STATUS_BUSY:
		return "BUSY";
	case SCSI_STATUS_RESERVATION_CONFLICT:
		return "RESERVATION CONFLICT";
	case SCSI_STATUS_TASK_SET_FULL:
		return "TASK SET FULL";
	case SCSI_STATUS_ACA_ACTIVE:
		return "ACA ACTIVE";
	case SCSI_STATUS_TASK_ABORTED:
		return "TASK ABORTED";
	}
	return NULL;
}

static void scsi_result_text_transport(const struct scsi_result *result, char *buffer, size_t size)
{
	const char *description;

	switch (result->error) {
	case 0:
		snprintf(buffer, size, "no answer");
		return;
	case -ETIMEDOUT:
		snprintf(buffer, size, "no answer in %u ms", (result->duration_us + 500) / 1000);
		return;
	case -ENOTCONN:
		snprintf(buffer, size, "the connection to the device is lost");
		return;
	case -ECANCELED:
		snprintf(buffer, size, "broken off: the path was closed");
		return;
	case -EBUSY:
		snprintf(buffer, size, "not sent: too many commands wait on this path");
		return;
	case -EBADMSG:
		snprintf(buffer, size, "the device's answer is malformed");
		return;
	case -EAGAIN:
		snprintf(buffer, size, "the reservations changed while they were read");
		return;
	}
	description = result->error < 0 ? strerrordesc_np(-result->error) : NULL;
	if (description)
		snprintf(buffer, size, "transport error: %s", description);
	else
		snprintf(buffer, size, "transport error %d", result->error);
}

const char *scsi_result_text(const struct scsi_result *result, char *buffer, size_t size)
{
	const char *name, *cause;
	char status[24];

	if (!result->has_status) {
		scsi_result_text_transport(result, buffer, size);
		return buffer;
	}
	name = scsi_status_name(result->status);
	if (!name) {
		snprintf(status, sizeof(status), "status %02Xh", result->status);
		name = status;
	}
	if (result->sense_length == 0 || result->status != SCSI_STATUS_CHECK_CONDITION) {
		snprintf(buffer, size, "%s", name);
		return buffer;
	}
	if (scsi_sense_deferred(result)) {
		snprintf(buffer, size, "%s: deferred error of an earlier command", name);
		return buffer;
	}
	cause = scsi_asc_text(result->asc, result->ascq);
	snprintf(buffer, size, "%s: %s, %02X/%02X%s%s", name,
		 scsi_sense_key_names[result->sense_key & 0xf], result->asc, result->ascq,
		 cause ? " " : "", cause ? cause : "");
	return buffer;
}

const char *scsi_outcome_name(enum scsi_outcome outcome)
{
	switch (outcome) {
	case SCSI_OUTCOME_OK:
		return "OK";
	case SCSI_OUTCOME_CONFLICT:
		return "CONFLICT";
	case SCSI_OUTCOME_FAILED:
		return "FAILED";
	case SCSI_OUTCOME_UNKNOWN:
		return "UNKNOWN";
	}
	return "?";
}

static enum scsi_retry_verdict scsi_retry_judge_not_ready(const struct scsi_result *result)
{
	if (result->asc != 0x04)
		return SCSI_RETRY_FINAL;
	switch (result->ascq) {
	case 0x01:
	case 0x0a:
		return SCSI_RETRY_LATER;
	case 0x0b:
	case 0x0c:
		return SCSI_RETRY_OTHER_PATH;
	}
	return SCSI_RETRY_FINAL;
}

static enum scsi_retry_verdict scsi_retry_judge_status(const struct scsi_result *result)
{
	if (!result->has_status)
		return SCSI_RETRY_FINAL;
	if (result->status == SCSI_STATUS_BUSY || result->status == SCSI_STATUS_TASK_SET_FULL)
		return SCSI_RETRY_LATER;
	if (result->status != SCSI_STATUS_CHECK_CONDITION)
		return SCSI_RETRY_FINAL;
	if (scsi_sense_deferred(result) || result->sense_key == SCSI_SENSE_UNIT_ATTENTION)
		return SCSI_RETRY_AT_ONCE;
	if (result->sense_key == SCSI_SENSE_NOT_READY)
		return scsi_retry_judge_not_ready(result);
	return SCSI_RETRY_FINAL;
}

enum scsi_retry_verdict scsi_retry_judge(const struct scsi_result *result, unsigned attempt,
					 uint32_t *wait_ms)
{
	enum scsi_retry_verdict verdict =
		attempt < SCSI_RETRY_MAX ? scsi_retry_judge_status(result) : SCSI_RETRY_FINAL;

	if (verdict == SCSI_RETRY_LATER) {
		*wait_ms = SCSI_RETRY_WAIT_FIRST_MS << attempt;
		if (*wait_ms > SCSI_RETRY_WAIT_MAX_MS)
			*wait_ms = SCSI_RETRY_WAIT_MAX_MS;
	}
	return verdict;
}
