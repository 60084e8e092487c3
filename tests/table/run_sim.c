/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of PR cases against the simulated logical unit, in each of its personalities: what the
 * simulator plays is held to the same table as real targets are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/lun.h"
#include "tests/table/pr_cases.h"

#define BUFFER_SIZE 4096

struct table_sim {
	struct lun lun;
	uint16_t nexuses[PR_CASE_NEXUSES];
};

static void command(struct table_sim *sim, enum pr_case_nexus nexus,
		    const struct scsi_request *request, struct lun_answer *answer,
		    struct scsi_result *result)
{
	lun_execute(
		&sim->lun, sim->nexuses[nexus], request->cdb, request->cdb_length, request->data,
		request->direction == SCSI_DIRECTION_OUT ? request->data_length : 0, false, answer);
	scsi_result_from_status(result, answer->status, answer->sense, answer->sense_length);
}

static void sim_out(void *self, enum pr_case_nexus nexus, const struct pr_out *out,
		    struct scsi_result *result)
{
	uint8_t buffer[PR_OUT_PARAMETER_LENGTH + PR_TRANSPORT_ID_MAX];
	struct scsi_request request = {0};
	struct pr_out known = *out;
	struct lun_answer answer;

	if (pr_out_encode(&request, out, buffer, sizeof(buffer)) < 0) {
		/* Types that the standard does not know; a case wants to see what the target says
		 * to them. */
		known.type = PR_TYPE_WRITE_EXCLUSIVE;
		if (pr_out_encode(&request, &known, buffer, sizeof(buffer)) < 0) {
			scsi_result_from_transport(result, -EINVAL);
			return;
		}
		request.cdb[2] = (uint8_t)out->type;
	}
	command(self, nexus, &request, &answer, result);
}

static void read_in(void *self, enum pr_case_nexus nexus, enum pr_in_action action,
		    struct lun_answer *answer, struct scsi_result *result)
{
	uint8_t buffer[BUFFER_SIZE];
	struct scsi_request request = {0};

	pr_in_encode(&request, action, buffer, sizeof(buffer));
	command(self, nexus, &request, answer, result);
}

static void decoded(int error, struct scsi_result *result)
{
	if (error) {
		result->outcome = SCSI_OUTCOME_FAILED;
		result->error = error;
	}
}

static void sim_read_keys(void *self, enum pr_case_nexus nexus, struct pr_keys *keys,
			  size_t capacity, struct scsi_result *result)
{
	struct lun_answer answer;

	read_in(self, nexus, PR_IN_READ_KEYS, &answer, result);
	if (result->outcome == SCSI_OUTCOME_OK)
		decoded(pr_keys_decode(keys, capacity, answer.data, answer.data_length), result);
}

static void sim_read_reservation(void *self, enum pr_case_nexus nexus,
				 struct pr_reservation *reservation, struct scsi_result *result)
{
	struct lun_answer answer;

	read_in(self, nexus, PR_IN_READ_RESERVATION, &answer, result);
	if (result->outcome == SCSI_OUTCOME_OK)
		decoded(pr_reservation_decode(reservation, answer.data, answer.data_length),
			result);
}

static void sim_report_capabilities(void *self, enum pr_case_nexus nexus,
				    struct pr_capabilities *capabilities,
				    struct scsi_result *result)
{
	struct lun_answer answer;

	read_in(self, nexus, PR_IN_REPORT_CAPABILITIES, &answer, result);
	if (result->outcome == SCSI_OUTCOME_OK)
		decoded(pr_capabilities_decode(capabilities, answer.data, answer.data_length),
			result);
}

static void sim_read_full_status(void *self, enum pr_case_nexus nexus,
				 struct pr_full_status *status, size_t capacity,
				 struct scsi_result *result)
{
	struct lun_answer answer;

	read_in(self, nexus, PR_IN_READ_FULL_STATUS, &answer, result);
	if (result->outcome == SCSI_OUTCOME_OK)
		decoded(pr_full_status_decode(status, capacity, answer.data, answer.data_length),
			result);
}

static void sim_access(void *self, enum pr_case_nexus nexus, enum pr_case_access access,
		       struct scsi_result *result)
{
	static const uint8_t opcodes[] = {
		[PR_CASE_TEST_UNIT_READY] = 0x00, [PR_CASE_READ] = 0x88,
		[PR_CASE_WRITE] = 0x8a,           [PR_CASE_WRITE_SAME] = 0x93,
		[PR_CASE_UNMAP] = 0x42,           [PR_CASE_SYNCHRONIZE_CACHE] = 0x91};
	struct scsi_request request = {.cdb = {opcodes[access]}, .cdb_length = 16};
	struct lun_answer answer;

	command(self, nexus, &request, &answer, result);
}

static void sim_reset(void *self, enum pr_case_nexus nexus, struct scsi_result *result)
{
	struct table_sim *sim = self;

	lun_reset(&sim->lun, sim->nexuses[nexus]);
	scsi_result_from_status(result, SCSI_STATUS_GOOD, NULL, 0);
}

static int sim_drop(void *self, enum pr_case_nexus nexus)
{
	struct table_sim *sim = self;

	lun_logout(&sim->lun, sim->nexuses[nexus]);
	return 0;
}

static int sim_login(void *self, enum pr_case_nexus nexus)
{
	struct table_sim *sim = self;
	struct lun_identity identity = {.initiator = nexus, .isid = 1, .target_port = 1};

	sim->nexuses[nexus] = lun_login(&sim->lun, &identity);
	return sim->nexuses[nexus] == LUN_NEXUS_NONE ? -ENOSPC : 0;
}

static int sim_login_all(struct table_sim *sim)
{
	int error = 0;

	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES && !error; nexus++)
		error = sim_login(sim, nexus);
	return error;
}

static int sim_power_cycle(void *self)
{
	struct table_sim *sim = self;

	lun_power_cycle(&sim->lun, 0);
	return sim_login_all(sim);
}

static int sim_fresh(void *self)
{
	struct table_sim *sim = self;
	struct lun_personality personality = sim->lun.personality;

	lun_init(&sim->lun, &personality);
	return sim_login_all(sim);
}

static uint32_t sim_transport_id(void *self, enum pr_case_nexus nexus, uint8_t *id, uint32_t size)
{
	const struct table_sim *sim = self;
	const struct lun_nexus *entry = &sim->lun.nexuses[sim->nexuses[nexus]];

	if (entry->transport_id_length > size)
		return 0;
	memcpy(id, entry->transport_id, entry->transport_id_length);
	return entry->transport_id_length;
}

static uint16_t sim_relative_target_port(void *self)
{
	(void)self;
	return 1;
}

static unsigned abilities_of(const struct lun_personality *personality)
{
	unsigned abilities = PR_CASE_CAN_POWER_CYCLE | PR_CASE_CAN_DROP_SESSION | PR_CASE_CAN_RESET;

	abilities |= personality->preempt_and_abort ? PR_CASE_CAN_PREEMPT_AND_ABORT : 0;
	abilities |= personality->full_status ? PR_CASE_CAN_READ_FULL_STATUS : 0;
	abilities |= personality->aptpl ? PR_CASE_CAN_APTPL : 0;
	abilities |= personality->register_and_move ? PR_CASE_CAN_REGISTER_AND_MOVE : 0;
	abilities |= personality->attentions ? PR_CASE_CAN_UNIT_ATTENTION : 0;
	abilities |= personality->capabilities ? PR_CASE_CAN_REPORT_CAPABILITIES : 0;
	abilities |= personality->other_writes ? PR_CASE_CAN_OTHER_WRITES : 0;
	abilities |=
		personality->lost_session == LUN_LOST_KEEPS ? PR_CASE_KEEPS_LOST_REGISTRATION : 0;
	return abilities;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		const struct lun_personality *personality;
	} kinds[] = {{"the simulated LUN", &lun_personality_standard},
		     {"the simulated LUN like LIO", &lun_personality_lio},
		     {"the simulated LUN like tgt", &lun_personality_tgt}};
	bool verbose = argc > 1 && !strcmp(argv[1], "-v"), good = true;
	struct table_sim *sim = malloc(sizeof(*sim));
	struct pr_case_report report;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && sim; i++) {
		struct pr_case_driver driver = {
			.name = kinds[i].name,
			.target = PR_CASE_STANDARD,
			.abilities = abilities_of(kinds[i].personality),
			.self = sim,
			.fresh = sim_fresh,
			.out = sim_out,
			.read_keys = sim_read_keys,
			.read_reservation = sim_read_reservation,
			.report_capabilities = sim_report_capabilities,
			.read_full_status = sim_read_full_status,
			.access = sim_access,
			.reset = sim_reset,
			.drop = sim_drop,
			.login = sim_login,
			.power_cycle = sim_power_cycle,
			.transport_id = sim_transport_id,
			.relative_target_port = sim_relative_target_port,
		};

		lun_init(&sim->lun, kinds[i].personality);
		good = pr_cases_run(&driver, argc > 1 + verbose ? argv[1 + verbose] : NULL, verbose,
				    stdout, &report) &&
		       good;
	}
	if (!sim)
		good = false;
	free(sim);
	return good ? 0 : 1;
}
