/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of PR cases against LIO, the kernel's target, from inside a node:
 *
 *     run_lio [-v] [-c PART] DISK...   four paths in the order of their names: /dev/sdX, /dev/sgN,
 * or a dm-multipath map with four members run_lio [-v] [-c PART] URL       iscsi://..., by sessions
 * of its own
 *
 * -v: every step; -c: only the cases whose name contains PART.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/table/path_driver.h"

static int lio_fresh(void *self)
{
	return path_driver_clean(self);
}

static int open_sessions(struct path_driver *lio, const char *url)
{
	static const char *const initiators[PR_CASE_NEXUSES] = {
		"iqn.2024-01.test.lunkeeper:a", "iqn.2024-01.test.lunkeeper:b",
		"iqn.2024-01.test.lunkeeper:c", "iqn.2024-01.test.lunkeeper:d"};

	for (int i = 0; i < PR_CASE_NEXUSES; i++) {
		struct path_open_options options = {.initiator_name = initiators[i],
						    .isid_qualifier = 7};
		int error = drive_open(&lio->nexuses[i], &lio->loop, url, &options);

		if (error) {
			fprintf(stderr, "%s: %s%s\n", url, lio->nexuses[i].message,
				lio->nexuses[i].reason);
			return error;
		}
	}
	return 0;
}

static int open_disks(struct path_driver *lio, char **disks, int disk_count)
{
	size_t have = 0, found;

	for (int i = 0; i < disk_count; i++) {
		struct drive *first = &lio->nexuses[have < PR_CASE_NEXUSES ? have : 0];
		int error = drive_open_disk(first, PR_CASE_NEXUSES - have, &lio->loop, disks[i],
					    &found);

		have += found;
		if (error) {
			fprintf(stderr, "%s: %s%s\n", disks[i], first->message, first->reason);
			return error;
		}
	}
	if (have == PR_CASE_NEXUSES)
		return 0;
	fprintf(stderr, "%zu paths, but the table needs %d\n", have, PR_CASE_NEXUSES);
	return -EINVAL;
}

int main(int argc, char **argv)
{
	struct path_driver lio = {0};
	struct pr_case_driver driver = {
		.name = "lio",
		.target = PR_CASE_LIO,
		.abilities = PR_CASE_CAN_PREEMPT_AND_ABORT | PR_CASE_CAN_READ_FULL_STATUS |
			     PR_CASE_CAN_APTPL | PR_CASE_CAN_RESET |
			     PR_CASE_CAN_REPORT_CAPABILITIES | PR_CASE_CAN_OTHER_WRITES,
		.self = &lio,
		.fresh = lio_fresh,
		.out = path_driver_out,
		.read_keys = path_driver_read_keys,
		.read_reservation = path_driver_read_reservation,
		.report_capabilities = path_driver_report_capabilities,
		.read_full_status = path_driver_read_full_status,
		.access = path_driver_access,
		.reset = path_driver_reset,
	};
	struct pr_case_report report;
	const char *only = NULL;
	bool verbose = false, sessions, good;
	int option, error;

	while ((option = getopt(argc, argv, "vc:")) != -1) {
		if (option == 'v')
			verbose = true;
		else if (option == 'c')
			only = optarg;
		else
			return 2;
	}
	if (optind == argc) {
		fprintf(stderr, "usage: %s [-v] [-c PART] DISK... | URL\n", argv[0]);
		return 2;
	}
	uv_loop_init(&lio.loop);
	sessions = strncmp(argv[optind], "iscsi://", 8) == 0;
	/* On the kernel's nexuses a command of its own, or of udev's, may take a unit attention. */
	if (sessions)
		driver.abilities |= PR_CASE_CAN_UNIT_ATTENTION;
	error = sessions ? open_sessions(&lio, argv[optind])
			 : open_disks(&lio, argv + optind, argc - optind);
	good = !error && pr_cases_run(&driver, only, verbose, stdout, &report);
	for (int i = 0; i < PR_CASE_NEXUSES; i++)
		drive_close(&lio.nexuses[i]);
	uv_run(&lio.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&lio.loop) == 0 && good ? 0 : 1;
}
