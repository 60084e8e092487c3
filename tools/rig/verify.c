/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig verify`, see tools/rig/verify.h. What a node has in its page cache proves nothing,
 * so the records are read from the target's own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/record.h"
#include "tools/rig/verify.h"

static void verify_file(struct rig_verdict *verdict, const char *file, size_t length)
{
	uint64_t expected = 1;
	uint32_t epoch = 0;

	for (size_t at = 0; at + RIG_RECORD_SIZE <= length; at += RIG_RECORD_SIZE) {
		struct rig_record record;

		verdict->records++;
		if (!rig_record_decode(&record, file + at)) {
			/* A tail that was not acknowledged may be torn; the log tells whether it
			 * was. */
			verdict->damaged += at + 2 * RIG_RECORD_SIZE <= length;
			expected++;
			continue;
		}
		verdict->gaps += record.sequence > expected;
		verdict->repeated += record.sequence < expected;
		verdict->deposed += record.epoch < epoch;
		expected = record.sequence + 1;
		epoch = record.epoch > epoch ? record.epoch : epoch;
	}
}

static bool verify_is_there(const struct rig_record *record, const char *file, size_t length)
{
	struct rig_record found;
	size_t at = (size_t)(record->sequence - 1) * RIG_RECORD_SIZE;

	return record->sequence && at + RIG_RECORD_SIZE <= length &&
	       rig_record_decode(&found, file + at) && found.sequence == record->sequence &&
	       found.epoch == record->epoch && found.checksum == record->checksum;
}

static void verify_change(struct rig_verdict *verdict, const struct rig_record *last,
			  const struct rig_record *record, uint64_t last_ms, uint64_t first_ms)
{
	struct rig_change *change = &verdict->changes[verdict->change_count];

	if (verdict->change_count == RIG_CHANGES_MAX)
		return;
	verdict->change_count++;
	snprintf(change->from, sizeof(change->from), "%s", last->node);
	snprintf(change->to, sizeof(change->to), "%s", record->node);
	change->epoch = record->epoch;
	change->last_ms = last_ms;
	change->first_ms = first_ms;
}

void rig_verify_texts(struct rig_verdict *verdict, const char *log, size_t log_length,
		      const char *file, size_t file_length)
{
	struct rig_record last = {0}, record;
	uint64_t last_ms = 0, now_ms;

	memset(verdict, 0, sizeof(*verdict));
	verify_file(verdict, file, file_length);
	for (size_t at = 0; at + RIG_ACKNOWLEDGED_SIZE <= log_length; at += RIG_ACKNOWLEDGED_SIZE) {
		if (!rig_acknowledged_decode(&record, &now_ms, log + at)) {
			verdict->bad_log++;
			continue;
		}
		verdict->acknowledged++;
		verdict->lost += !verify_is_there(&record, file, file_length);
		if (last_ms && now_ms > last_ms + verdict->longest_ms)
			verdict->longest_ms = now_ms - last_ms;
		if (last_ms && record.epoch > last.epoch)
			verify_change(verdict, &last, &record, last_ms, now_ms);
		/* A paused writer may note an old record late; it stands in the file before the
		 * others. */
		if (record.epoch >= last.epoch) {
			last = record;
			last_ms = now_ms;
		}
	}
}

bool rig_verdict_good(const struct rig_verdict *verdict)
{
	return !verdict->lost && !verdict->damaged && !verdict->gaps && !verdict->repeated &&
	       !verdict->deposed && !verdict->bad_log && verdict->file_system_clean &&
	       verdict->acknowledged;
}

/* Only what is there is copied: the files are sparse. */
static int verify_copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), error = 0;
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t data = 0, end;
	struct stat status;

	if (in < 0 || out < 0 || fstat(in, &status) < 0 || ftruncate(out, status.st_size) < 0)
		error = -errno;
	while (!error && (data = lseek(in, data, SEEK_DATA)) >= 0) {
		end = lseek(in, data, SEEK_HOLE);
		while (!error && data < end) {
			off_t target = data;
			ssize_t done =
				copy_file_range(in, &data, out, &target, (size_t)(end - target), 0);

			if (done <= 0)
				error = done < 0 ? -errno : -EIO;
		}
	}
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return error;
}

/* All threads of tgtd stand still meanwhile, so the copy is what a power cut would have left. */
static int verify_snapshot(struct rig *rig, const char *copy)
{
	bool runs = rig_process_lives(&rig->target) && !rig->target_stalled;
	char disk[RIG_PATH_MAX];
	int error = 0;

	if (rig_process_lives(&rig->slow))
		return rig_fail(rig, EBUSY, "the target is slow; make it prompt first");
	rig_target_file(rig, 1, disk);
	if (runs)
		error = rig_target_stall(rig, true);
	if (error)
		return error;
	error = verify_copy(disk, copy);
	if (runs)
		rig_target_stall(rig, false);
	return error ? rig_fail(rig, -error, "cannot copy %s: %s", disk, strerror(-error)) : 0;
}

static int verify_file_system(struct rig *rig, const char *copy, const char *inside,
			      const char *records, struct rig_verdict *verdict)
{
	const char *replay[] = {"e2fsck", "-E", "journal_only", "-y", copy, NULL};
	const char *check[] = {"e2fsck", "-f", "-n", copy, NULL};
	char request[RIG_PATH_MAX * 2], output[4096];
	const char *dump[] = {"debugfs", "-R", request, copy, NULL};
	int status = rig_run(replay, NULL, output, sizeof(output));

	if (status < 0 || status > 2)
		return rig_fail(rig, EIO, "the journal cannot be replayed: %s", output);
	status = rig_run(check, NULL, output, sizeof(output));
	verdict->file_system_clean = status == 0;
	snprintf(verdict->file_system, sizeof(verdict->file_system), "%.399s", output);
	snprintf(request, sizeof(request), "dump %s %s", inside, records);
	unlink(records);
	if (rig_run(dump, NULL, output, sizeof(output)) || access(records, R_OK) < 0)
		return rig_fail(rig, EIO, "cannot read %s from the file system: %s", inside,
				output);
	return 0;
}

int rig_verify(struct rig *rig, const char *inside, struct rig_verdict *verdict)
{
	char path[RIG_PATH_MAX], copy[RIG_PATH_MAX], records[RIG_PATH_MAX];
	struct rig_verdict *found = calloc(1, sizeof(*found));
	size_t log_length = 0, file_length = 0;
	char *log, *file = NULL;
	int error;

	/* The log first: what is acknowledged after it was read cannot be missed in the copy. */
	log = rig_read_file(rig_path(rig, path, "shared/acknowledged"), &log_length);
	rig_path(rig, copy, "verify.lun");
	rig_path(rig, records, "verify.records");
	if (!found || !log)
		error = rig_fail(rig, ENOENT, "nothing was acknowledged yet: %s is not there",
				 path);
	else
		error = verify_snapshot(rig, copy);
	if (!error)
		error = verify_file_system(rig, copy, inside, records, found);
	if (!error) {
		file = rig_read_file(records, &file_length);
		rig_verify_texts(verdict, log, log_length, file ? file : "", file_length);
		verdict->file_system_clean = found->file_system_clean;
		memcpy(verdict->file_system, found->file_system, sizeof(found->file_system));
	}
	unlink(copy);
	unlink(records);
	free(found);
	free(file);
	free(log);
	return error;
}

json_t *rig_verdict_json(const struct rig_verdict *verdict)
{
	json_t *changes = json_array();

	for (size_t i = 0; i < verdict->change_count; i++) {
		const struct rig_change *change = &verdict->changes[i];

		json_array_append_new(changes,
				      json_pack("{sssssIsIsIsI}", "from", change->from, "to",
						change->to, "epoch", (json_int_t)change->epoch,
						"last_acknowledged_ms", (json_int_t)change->last_ms,
						"first_acknowledged_ms",
						(json_int_t)change->first_ms, "outage_ms",
						(json_int_t)(change->first_ms - change->last_ms)));
	}
	return json_pack("{sbsIsIsIsIsIsIsIsIsbsIso}", "good", rig_verdict_good(verdict),
			 "acknowledged", (json_int_t)verdict->acknowledged, "records",
			 (json_int_t)verdict->records, "lost", (json_int_t)verdict->lost, "damaged",
			 (json_int_t)verdict->damaged, "gaps", (json_int_t)verdict->gaps,
			 "repeated", (json_int_t)verdict->repeated, "deposed",
			 (json_int_t)verdict->deposed, "bad_log", (json_int_t)verdict->bad_log,
			 "file_system_clean", verdict->file_system_clean, "longest_ms",
			 (json_int_t)verdict->longest_ms, "changes", changes);
}

static void verdict_print(const struct rig_verdict *verdict)
{
	bool good = rig_verdict_good(verdict);

	printf("%s%s%s: %llu records acknowledged, %llu in the file; %llu lost, %llu damaged, %llu "
	       "left out, %llu repeated, %llu by a deposed writer\n",
	       cli_colour(stdout, good ? CLI_GOOD : CLI_BAD), good ? "good" : "NOT GOOD",
	       cli_colour(stdout, CLI_PLAIN), (unsigned long long)verdict->acknowledged,
	       (unsigned long long)verdict->records, (unsigned long long)verdict->lost,
	       (unsigned long long)verdict->damaged, (unsigned long long)verdict->gaps,
	       (unsigned long long)verdict->repeated, (unsigned long long)verdict->deposed);
	printf("file system: %s\n", verdict->file_system_clean ? "clean" : verdict->file_system);
	for (size_t i = 0; i < verdict->change_count; i++)
		printf("  %s to %s: %llu ms without an acknowledged write\n",
		       verdict->changes[i].from, verdict->changes[i].to,
		       (unsigned long long)(verdict->changes[i].first_ms -
					    verdict->changes[i].last_ms));
}

int cmd_rig_verify(int argc, char **argv)
{
	const char *name = NULL, *inside = "/records";
	struct rig_verdict *verdict;
	bool json = false, good;
	struct rig rig;
	const struct cli_option table[] = {
		{"name", 'n', CLI_OPTION_STRING, &name, "RIG", "which rig"},
		{"file", 0, CLI_OPTION_STRING, &inside, "PATH",
		 "of the records inside the file system (/records)"},
		{"json", 0, CLI_OPTION_FLAG, &json, NULL, "for programs"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig verify",
		.arguments = "[OPTION...]",
		.summary = "Holds what the writer had acknowledged against what is on the target's "
			   "disk.",
		.options = table,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	verdict = calloc(1, sizeof(*verdict));
	if (!verdict || rig_open(&rig, name) || rig_verify(&rig, inside, verdict)) {
		cli_error("%s", verdict ? rig.message : "out of memory");
		free(verdict);
		return CLI_EXIT_FAILED;
	}
	good = rig_verdict_good(verdict);
	if (json)
		cli_json_print(rig_verdict_json(verdict));
	else
		verdict_print(verdict);
	free(verdict);
	rig_close(&rig);
	return good ? CLI_EXIT_OK : CLI_EXIT_FAILED;
}
