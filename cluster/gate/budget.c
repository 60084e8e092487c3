/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See budget.h.
 */
#include "cluster/gate/budget.h"

#define AT_ONCE_MOST 10u /* attentions that follow each other without a wait */
#define ATTENTION_WAIT_MS 10u
#define ABORTED_WAIT_MS 20u
#define OTHER_PATH_WAIT_MS 500u
#define WAIT_MOST_MS 500u

static uint32_t doubled(uint32_t first_ms, uint32_t times)
{
	uint32_t wait_ms = times < 16 ? first_ms << times : WAIT_MOST_MS;

	return wait_ms < WAIT_MOST_MS ? wait_ms : WAIT_MOST_MS;
}

/* Broken off, or without a cause: what it did cannot be told, and doing the same again does no
 * harm. */
static bool is_aborted(const struct scsi_result *result)
{
	return result->outcome == SCSI_OUTCOME_UNKNOWN &&
	       result->sense_key != SCSI_SENSE_MEDIUM_ERROR &&
	       result->sense_key != SCSI_SENSE_HARDWARE_ERROR;
}

bool gate_budget_again(struct gate_budget *budget, const struct scsi_result *result,
		       uint64_t now_ms, uint32_t give_up_ms, uint32_t *wait_ms)
{
	enum scsi_retry_verdict verdict = scsi_retry_judge(result, 0, wait_ms);
	enum gate_budget_kind kind = GATE_BUDGET_BUSY;
	uint32_t count;

	if (is_aborted(result))
		kind = GATE_BUDGET_ABORTED;
	else if (verdict == SCSI_RETRY_FINAL)
		return false;
	else if (verdict == SCSI_RETRY_AT_ONCE)
		kind = GATE_BUDGET_ATTENTION;
	else if (verdict == SCSI_RETRY_OTHER_PATH)
		kind = GATE_BUDGET_OTHER_PATH;
	count = budget->kind[kind].count++;
	if (count == 0)
		budget->kind[kind].since_ms = now_ms;
	if (now_ms - budget->kind[kind].since_ms >= give_up_ms && count > 0)
		return false;
	switch (kind) {
	case GATE_BUDGET_ATTENTION:
		*wait_ms =
			count < AT_ONCE_MOST ? 0 : doubled(ATTENTION_WAIT_MS, count - AT_ONCE_MOST);
		break;
	case GATE_BUDGET_OTHER_PATH:
		*wait_ms = OTHER_PATH_WAIT_MS;
		break;
	case GATE_BUDGET_ABORTED:
		*wait_ms = doubled(ABORTED_WAIT_MS, count);
		break;
	case GATE_BUDGET_BUSY:
	case GATE_BUDGET_KINDS:
		*wait_ms = doubled(*wait_ms, count);
		break;
	}
	return true;
}
