/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How fast PR commands are over one iSCSI session, and what a path costs: one command on every
 * logical unit at once, round after round. tests/table/tgt.sh 1024 build/tests/table/run_speed 1024
 * [rounds]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "scsi/identity.h"
#include "scsi/pr.h"
#include "tests/table/drive.h"

#define KEY 0x4c00000000000001u

struct unit {
	struct drive drive;
	struct scsi_request request;
	uint8_t buffer[264];
	unsigned outstanding;
};

static uv_loop_t loop;
static struct unit *units;
static unsigned count, outstanding, failures;
static uint32_t *durations;
static size_t duration_count;

static void done(struct scsi_request *request)
{
	outstanding--;
	durations[duration_count++] = request->result.duration_us;
	if (request->result.outcome != SCSI_OUTCOME_OK)
		failures++;
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void encode(struct unit *unit, const struct pr_out *out)
{
	memset(&unit->request, 0, sizeof(unit->request));
	if (out)
		pr_out_encode(&unit->request, out, unit->buffer, sizeof(unit->buffer));
	else
		pr_in_encode(&unit->request, PR_IN_READ_KEYS, unit->buffer, sizeof(unit->buffer));
	unit->request.done = done;
	unit->request.user = unit;
}

static double processor_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void run(const char *name, const struct pr_out *out, unsigned rounds)
{
	uint64_t start = uv_hrtime();
	double processor = processor_seconds(), seconds, total = (double)count * rounds;

	failures = 0;
	duration_count = 0;
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < count; i++) {
			encode(&units[i], out);
			outstanding++;
			path_submit(units[i].drive.path, &units[i].request);
		}
		while (outstanding)
			uv_run(&loop, UV_RUN_ONCE);
	}
	seconds = (double)(uv_hrtime() - start) / 1e9;
	processor = processor_seconds() - processor;
	qsort(durations, duration_count, sizeof(*durations), compare);
	printf("%-24s %7.0f a second, %5.1f us of processor each; of a round of %u: median %u us, "
	       "last %u us; %u failed\n",
	       name, total / seconds, processor * 1e6 / total, count, durations[duration_count / 2],
	       durations[duration_count - 1], failures);
}

static long resident_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[200];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "VmRSS:", 6))
			kib = atol(line + 6);
	}
	if (file)
		fclose(file);
	return kib;
}

static int open_units(void)
{
	struct path_open_options options = {.initiator_name = "iqn.2024-01.test.lunkeeper:speed",
					    .isid_qualifier = 1};
	struct scsi_request request = {0};
	char url[PATH_NAME_MAX];
	long before = 0;

	for (unsigned i = 0; i < count; i++) {
		snprintf(url, sizeof(url), "iscsi://%s/%s/%u", getenv("TGT_PORTAL"),
			 getenv("TGT_TARGET"), i + 1);
		if (drive_open(&units[i].drive, &loop, url, &options) < 0) {
			fprintf(stderr, "%s: %s%s\n", url, units[i].drive.message,
				units[i].drive.reason);
			return -1;
		}
		scsi_test_unit_ready_encode(&request);
		drive_command_retried(&units[i].drive, &request);
		if (i == 0)
			before = resident_kib();
	}
	printf("%u paths on one session: %ld KiB more than one path (test's own buffers "
	       "included)\n",
	       count, resident_kib() - before);
	return 0;
}

int main(int argc, char **argv)
{
	struct pr_out enter = {.action = PR_OUT_REGISTER, .service_key = KEY};
	struct pr_out reserve = {.action = PR_OUT_RESERVE,
				 .type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
				 .key = KEY};
	struct pr_out preempt = {.action = PR_OUT_PREEMPT,
				 .type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
				 .key = KEY,
				 .service_key = KEY};
	struct pr_out leave = {.action = PR_OUT_REGISTER, .key = KEY};
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 20;

	count = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
	units = calloc(count, sizeof(*units));
	durations = calloc((size_t)count * rounds, sizeof(*durations));
	if (!getenv("TGT_PORTAL") || !units || !durations || !count || !rounds) {
		fprintf(stderr, "usage: tests/table/tgt.sh LUNS %s LUNS [ROUNDS]\n", argv[0]);
		return 2;
	}
	uv_loop_init(&loop);
	if (open_units() < 0)
		return 1;
	run("READ KEYS", NULL, rounds);
	run("REGISTER", &enter, 1);
	run("RESERVE", &reserve, rounds);
	run("PREEMPT of the own key", &preempt, rounds);
	run("REGISTER to leave", &leave, 1);
	for (unsigned i = 0; i < count; i++)
		drive_close(&units[i].drive);
	uv_run(&loop, UV_RUN_DEFAULT);
	free(units);
	free(durations);
	return failures ? 1 : 0;
}
