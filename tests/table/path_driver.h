/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the drivers of the table that go through paths have in common: four nexuses, and the
 * commands on them.
 */
#ifndef TESTS_TABLE_PATH_DRIVER_H
#define TESTS_TABLE_PATH_DRIVER_H

#include "tests/table/drive.h"
#include "tests/table/pr_cases.h"

/* `self` of the functions below; first in a driver's own struct. */
struct path_driver {
	uv_loop_t loop;
	struct drive nexuses[PR_CASE_NEXUSES];
};

void path_driver_out(void *self, enum pr_case_nexus nexus, const struct pr_out *out,
		     struct scsi_result *result);
void path_driver_read_keys(void *self, enum pr_case_nexus nexus, struct pr_keys *keys,
			   size_t capacity, struct scsi_result *result);
void path_driver_read_reservation(void *self, enum pr_case_nexus nexus,
				  struct pr_reservation *reservation, struct scsi_result *result);
void path_driver_report_capabilities(void *self, enum pr_case_nexus nexus,
				     struct pr_capabilities *capabilities,
				     struct scsi_result *result);
void path_driver_read_full_status(void *self, enum pr_case_nexus nexus,
				  struct pr_full_status *status, size_t capacity,
				  struct scsi_result *result);
void path_driver_access(void *self, enum pr_case_nexus nexus, enum pr_case_access access,
			struct scsi_result *result);
void path_driver_reset(void *self, enum pr_case_nexus nexus, struct scsi_result *result);
/* Takes pending unit attentions; then nothing is registered and nothing held. Returns 0 or -EIO. */
int path_driver_clean(struct path_driver *driver);

#endif
