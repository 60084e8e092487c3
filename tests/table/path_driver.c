/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See path_driver.h.
 */
#include "tests/table/path_driver.h"

#include <errno.h>
#include <string.h>

#include "scsi/identity.h"

#define BLOCK 512
#define COMMAND_TIMEOUT_MS 5000
#define FRESH_KEY 0xfe

static void command(struct path_driver *driver, enum pr_case_nexus nexus,
		    struct scsi_request *request, struct scsi_result *result)
{
	request->timeout_ms = COMMAND_TIMEOUT_MS;
	drive_command(&driver->nexuses[nexus], request);
	*result = request->result;
}

void path_driver_out(void *self, enum pr_case_nexus nexus, const struct pr_out *out,
		     struct scsi_result *result)
{
	uint8_t buffer[PR_OUT_PARAMETER_LENGTH + PR_TRANSPORT_ID_MAX];
	struct scsi_request request = {0};
	struct pr_out known = *out;

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
	command(self, nexus, &request, result);
}

/* Returns the bytes that arrived, or -1. */
static int read_in(void *self, enum pr_case_nexus nexus, enum pr_in_action action, uint8_t *buffer,
		   size_t size, struct scsi_result *result)
{
	struct scsi_request request = {0};

	memset(buffer, 0, size);
	pr_in_encode(&request, action, buffer, size);
	command(self, nexus, &request, result);
	return result->outcome == SCSI_OUTCOME_OK ? (int)result->transferred : -1;
}

static void check_decoded(int error, struct scsi_result *result)
{
	if (error) {
		result->outcome = SCSI_OUTCOME_FAILED;
		result->error = error;
	}
}

void path_driver_read_keys(void *self, enum pr_case_nexus nexus, struct pr_keys *keys,
			   size_t capacity, struct scsi_result *result)
{
	uint8_t buffer[8 + 8 * 64];
	int length = read_in(self, nexus, PR_IN_READ_KEYS, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_keys_decode(keys, capacity, buffer, (size_t)length), result);
}

void path_driver_read_reservation(void *self, enum pr_case_nexus nexus,
				  struct pr_reservation *reservation, struct scsi_result *result)
{
	uint8_t buffer[64];
	int length = read_in(self, nexus, PR_IN_READ_RESERVATION, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_reservation_decode(reservation, buffer, (size_t)length), result);
}

void path_driver_report_capabilities(void *self, enum pr_case_nexus nexus,
				     struct pr_capabilities *capabilities,
				     struct scsi_result *result)
{
	uint8_t buffer[64];
	int length =
		read_in(self, nexus, PR_IN_REPORT_CAPABILITIES, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_capabilities_decode(capabilities, buffer, (size_t)length), result);
}

void path_driver_access(void *self, enum pr_case_nexus nexus, enum pr_case_access access,
			struct scsi_result *result)
{
	struct scsi_request request = {0};
	uint8_t block[BLOCK] = {0};

	switch (access) {
	case PR_CASE_TEST_UNIT_READY:
		scsi_test_unit_ready_encode(&request);
		break;
	case PR_CASE_READ:
		scsi_read16_encode(&request, 0, 1, block, BLOCK);
		break;
	case PR_CASE_WRITE:
		scsi_write16_encode(&request, 0, 1, false, block, BLOCK);
		break;
	case PR_CASE_WRITE_SAME:
		scsi_write_same16_encode(&request, 8, 1, false, block, BLOCK);
		break;
	case PR_CASE_UNMAP:
		scsi_unmap_encode(&request, 8, 8, block);
		break;
	case PR_CASE_SYNCHRONIZE_CACHE:
		scsi_synchronize_cache16_encode(&request, 0, 1);
		break;
	}
	command(self, nexus, &request, result);
}

void path_driver_reset(void *self, enum pr_case_nexus nexus, struct scsi_result *result)
{
	struct path_driver *driver = self;
	struct scsi_request request = {.timeout_ms = COMMAND_TIMEOUT_MS};

	drive_reset(&driver->nexuses[nexus], &request);
	*result = request.result;
}

void path_driver_read_full_status(void *self, enum pr_case_nexus nexus,
				  struct pr_full_status *status, size_t capacity,
				  struct scsi_result *result)
{
	uint8_t buffer[4096];
	int length = read_in(self, nexus, PR_IN_READ_FULL_STATUS, buffer, sizeof(buffer), result);

	if (length >= 0)
		check_decoded(pr_full_status_decode(status, capacity, buffer, (size_t)length),
			      result);
}

int path_driver_clean(struct path_driver *driver)
{
	struct pr_out ignore = {.action = PR_OUT_REGISTER_AND_IGNORE, .service_key = FRESH_KEY};
	struct pr_out clear = {.action = PR_OUT_CLEAR, .key = FRESH_KEY};
	struct scsi_result result;

	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES; nexus++) {
		for (int i = 0; i < 20; i++) {
			memset(&result, 0, sizeof(result));
			path_driver_access(driver, nexus, PR_CASE_TEST_UNIT_READY, &result);
			if (result.outcome == SCSI_OUTCOME_OK)
				break;
		}
	}
	path_driver_out(driver, PR_CASE_D, &ignore, &result);
	if (result.outcome == SCSI_OUTCOME_OK)
		path_driver_out(driver, PR_CASE_D, &clear, &result);
	return result.outcome == SCSI_OUTCOME_OK ? 0 : -EIO;
}
