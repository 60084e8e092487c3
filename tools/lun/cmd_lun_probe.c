/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper lun probe`: runs scsi/probe.h on devices, many at once. It opens a second session of
 * its own for each iscsi:// device, keeps the blocks of a range before anything is written there,
 * and stores what was found.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cluster/config/config.h"
#include "scsi/probe_run.h"
#include "tools/lun/job.h"
#include "tools/lun/probe.h"

#define PROBE_TIMEOUT_DEFAULT_MS 60000u
#define PROBE_COMMAND_TIMEOUT_MS 5000u
#define PROBE_PARALLEL_DEFAULT 64u

struct probe_command {
	struct lun_context context;
	struct probe_options options;
	struct cli_number looks;
	const char *range, *second, *state;
	bool save, restore;
	json_t *devices; /* results */
	size_t failed;
};

/* One device. */
struct probing {
	struct probe_command *command;
	struct lun_job *job;
	struct probe_run *run;
	struct path *second;
	enum { SECOND_NONE, SECOND_OPENING, SECOND_UP, SECOND_RELOGIN } second_state;
	char second_specification[PATH_NAME_MAX], second_reason[LUN_MESSAGE_MAX];
	char interrupted[128];
	struct lun_kept restoring;
	json_t *result, *warnings;
};

static void probing_start(struct probing *probing);

/* Results. */

static void probing_end(struct probing *probing, const char *error)
{
	struct lun_job *job = probing->job;

	if (!probing->result)
		probing->result = json_object();
	json_object_set_new(probing->result, "device", json_string(job->device->name));
	json_object_set_new(probing->result, "ok", json_boolean(!error[0]));
	if (error[0])
		json_object_set_new(probing->result, "error", json_string(error));
	if (json_array_size(probing->warnings))
		json_object_set(probing->result, "warnings", probing->warnings);
}

static void probing_save(struct probing *probing, const struct probe_report *report)
{
	const char *wwid = report->wwid[0] ? report->wwid : probing->job->device->name;
	char message[LUN_MESSAGE_MAX], file[768];

	if (!probing->command->save || report->end != PROBE_END_DONE)
		return;
	if (lun_probe_store(probing->command->state, wwid, probing->result, message,
			    sizeof(message))) {
		json_array_append_new(probing->warnings, json_string(message));
		return;
	}
	lun_probe_file(file, sizeof(file), probing->command->state, wwid, ".json");
	json_object_set_new(probing->result, "saved", json_string(file));
}

static void probing_done(struct probe_run *run, const struct probe_report *report, void *user)
{
	struct probing *probing = user;
	char error[2 * PROBE_TEXT_MAX] = "";

	(void)run;
	probing->result = lun_probe_json(report, &probing->command->context);
	switch (report->end) {
	case PROBE_END_DONE:
		break;
	case PROBE_END_REFUSED:
		snprintf(error, sizeof(error), "not probed: %s", report->message);
		break;
	case PROBE_END_FAILED:
		snprintf(error, sizeof(error), "%s%s", report->message,
			 report->clean ? "; it is as it was found" : "");
		break;
	case PROBE_END_INTERRUPTED:
		snprintf(error, sizeof(error), "%s%s",
			 probing->interrupted[0] ? probing->interrupted : "interrupted",
			 report->clean ? "; it is as it was found" : "");
		break;
	}
	if (!report->clean) {
		size_t used = strlen(error);

		snprintf(error + used, sizeof(error) - used, "%snot left as it was found: %s",
			 used ? "; " : "", report->clean_note);
	}
	if (probing->second_reason[0])
		json_array_append_new(probing->warnings, json_string(probing->second_reason));
	probing_end(probing, error);
	probing_save(probing, report);
	lun_job_steps_done(probing->job);
}

/* The second session. */

static void probing_second_changed(struct path *path, enum path_state state, const char *reason,
				   void *user)
{
	struct probing *probing = user;

	if (state == PATH_STATE_CONNECTING || path != probing->second)
		return;
	if (probing->second_state == SECOND_UP) {
		if (probing->run)
			probe_run_path_changed(probing->run, path);
		return;
	}
	if (state != PATH_STATE_UP) {
		snprintf(probing->second_reason, sizeof(probing->second_reason),
			 "no second session: %s", reason ? reason : "");
		path_close(path, NULL, NULL);
		probing->second = NULL;
	}
	if (probing->second_state == SECOND_OPENING) {
		probing->second_state = probing->second ? SECOND_UP : SECOND_NONE;
		probing_start(probing);
	} else {
		probing->second_state = probing->second ? SECOND_UP : SECOND_NONE;
		probe_run_relogged(probing->run, probing->second);
	}
}

static bool probing_open_second(struct probing *probing)
{
	const struct lun_context *context = &probing->command->context;
	const struct lun_job *job = probing->job;
	struct path_open_options options = {
		.initiator_name = context->own_initiator,
		.isid_qualifier = (uint16_t)(LUN_ISID_SECOND + (size_t)(job - job->fleet->jobs) %
								       LUN_ISID_LOOK_COUNT),
		.secrets_file = context->secrets,
		.header_digest = context->header_digest,
		.data_digest = context->data_digest,
		.changed = probing_second_changed,
		.user = probing,
	};
	struct path *paths[PATHS_MAX];
	char message[LUN_MESSAGE_MAX / 2] = "";
	size_t count = 0;

	if (path_open_all(lun_path_kinds, &job->fleet->loop, probing->second_specification,
			  &options, paths, &count, message, sizeof(message)) ||
	    count == 0) {
		snprintf(probing->second_reason, sizeof(probing->second_reason),
			 "no second session: %s", message);
		return false;
	}
	for (size_t i = 1; i < count; i++)
		path_close(paths[i], NULL, NULL);
	probing->second = paths[0];
	return true;
}

static void probing_second_closed(void *user)
{
	struct probing *probing = user;

	if (probing->job->state != LUN_JOB_RUNNING)
		return;
	probing->second_state = SECOND_RELOGIN;
	if (!probing_open_second(probing)) {
		probing->second_state = SECOND_NONE;
		probe_run_relogged(probing->run, NULL);
	}
}

static void probing_relogin(void *user)
{
	struct probing *probing = user;
	struct path *path = probing->second;

	probing->second = NULL;
	path_close(path, probing_second_closed, probing);
}

/* Blocks. */

static const char *probing_name(const struct probing *probing)
{
	return probing->job->wwid[0] ? probing->job->wwid : probing->job->device->name;
}

static int probing_keep(const void *blocks, size_t size, char *message, size_t message_size,
			void *user)
{
	struct probing *probing = user;
	const struct probe_options *options = &probing->command->options;
	struct lun_kept kept = {
		.first_block = options->first_block,
		.block_count = options->block_count,
		.block_size = (uint32_t)(size / options->block_count),
		.blocks = (void *)(uintptr_t)blocks,
	};

	return lun_kept_write(probing->command->state, probing_name(probing), &kept, message,
			      message_size);
}

static void probing_forget(void *user)
{
	struct probing *probing = user;

	lun_kept_remove(probing->command->state, probing_name(probing));
}

/* What a killed probe left of this LUN's blocks. False: it is refused, said. */
static bool probing_check_kept(struct probing *probing)
{
	char message[LUN_MESSAGE_MAX] = "", text[2 * LUN_MESSAGE_MAX], file[768];
	struct lun_kept kept;
	int error = lun_kept_read(probing->command->state, probing_name(probing), &kept, message,
				  sizeof(message));

	if (error == -ENOENT || error == -EACCES)
		return true;
	lun_probe_file(file, sizeof(file), probing->command->state, probing_name(probing),
		       ".blocks");
	snprintf(text, sizeof(text),
		 "an earlier probe was killed while it wrote to blocks of this LUN; what was there "
		 "before is in %s: `lunkeeper lun probe --restore` writes it back, or remove the "
		 "file",
		 file);
	free(kept.blocks);
	if (!probing->command->options.destructive) {
		json_array_append_new(probing->warnings, json_string(text));
		return true;
	}
	probing_end(probing, text);
	lun_job_steps_done(probing->job);
	return false;
}

/* Running. */

static void probing_progress(const char *stage, void *user)
{
	struct probing *probing = user;

	if (probing->job->fleet->count == 1 && probing->job->doing != stage)
		cli_progress_text("probing", stage);
	probing->job->doing = stage;
}

static void probing_start(struct probing *probing)
{
	struct lun_job *job = probing->job;
	struct probe_run_options options = {
		.probe = probing->command->options,
		.second = probing->second,
		.relogin = probing->second ? probing_relogin : NULL,
		.save = probing_keep,
		.forget = probing_forget,
		.progress = probing_progress,
		.done = probing_done,
		.user = probing,
	};
	int error;

	for (size_t i = 0; i < job->path_count; i++) {
		if (job->paths[i].path->state == PATH_STATE_UP)
			options.paths[options.path_count++] = job->paths[i].path;
	}
	/* Of a kernel device with several paths, the last one is the second nexus. */
	if (!options.second && options.path_count > 1 && probing->command->options.destructive) {
		options.second = options.paths[--options.path_count];
		options.relogin = NULL;
	}
	if (getrandom(&options.probe.run, sizeof(options.probe.run), 0) < 0)
		options.probe.run = (uint16_t)uv_hrtime();
	error = probe_run_start(&probing->run, &job->fleet->loop, &options);
	if (error)
		lun_job_fail(job, "cannot probe: %s", strerror(-error));
}

static void probing_restored(struct probing *probing, const char *error)
{
	if (!error[0])
		lun_kept_remove(probing->command->state, probing_name(probing));
	probing_end(probing, error);
	json_object_set_new(probing->result, "restored_blocks",
			    json_integer(error[0] ? 0 : probing->restoring.block_count));
	lun_job_steps_done(probing->job);
}

static void probing_restore_wrote(struct lun_job *job)
{
	struct probing *probing = job->extra;
	char text[LUN_MESSAGE_MAX] = "";

	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK)
		snprintf(text, sizeof(text), "WRITE: %s", lun_job_result_text(job));
	probing_restored(probing, text);
}

static void probing_restore(struct probing *probing)
{
	struct lun_job *job = probing->job;
	struct lun_kept *kept = &probing->restoring;
	char message[LUN_MESSAGE_MAX];
	size_t index = 0;
	struct path *path = lun_job_up_path(job, 0, &index);
	int error = lun_kept_read(probing->command->state, probing_name(probing), kept, message,
				  sizeof(message));

	if (error == -ENOENT)
		snprintf(message, sizeof(message), "no blocks of this LUN are kept in %s/%s",
			 probing->command->state, LUN_PROBE_FOLDER);
	if (error || !path) {
		probing_restored(probing, path ? message : "no path is up");
		return;
	}
	scsi_write16_encode(&job->exec.request, kept->first_block, kept->block_count, false,
			    kept->blocks, kept->block_count * kept->block_size);
	lun_job_send(job, path, probing_restore_wrote);
}

static void probing_run(struct lun_job *job)
{
	struct probe_command *command = job->fleet->options.user;
	struct probing *probing = calloc(1, sizeof(*probing));
	size_t index = 0;
	struct path *path = lun_job_up_path(job, 0, &index);

	if (!probing)
		abort();
	job->extra = probing;
	job->doing = "probing";
	probing->command = command;
	probing->job = job;
	probing->warnings = json_array();
	if (command->restore) {
		probing_restore(probing);
		return;
	}
	if (!probing_check_kept(probing))
		return;
	if (command->second)
		snprintf(probing->second_specification, sizeof(probing->second_specification), "%s",
			 command->second);
	else if (path && strcmp(path->ops->kind, "iscsi") == 0)
		snprintf(probing->second_specification, sizeof(probing->second_specification), "%s",
			 path->name);
	probing->second_state = SECOND_OPENING;
	if (command->options.ask_only || !probing->second_specification[0] ||
	    !probing_open_second(probing)) {
		probing->second_state = SECOND_NONE;
		probing_start(probing);
	}
}

static void probing_interrupt(struct lun_job *job, const char *why)
{
	struct probing *probing = job->extra;

	if (!probing->run) {
		lun_job_fail(job, "%s", why);
		return;
	}
	snprintf(probing->interrupted, sizeof(probing->interrupted), "%s, at \"%s\"", why,
		 job->doing);
	probe_run_interrupt(probing->run);
}

static void probing_path_changed(struct lun_job *job, struct path *path)
{
	struct probing *probing = job->extra;

	if (probing->run)
		probe_run_path_changed(probing->run, path);
}

static void probing_free(void *user)
{
	struct probing *probing = user;

	if (probing->run)
		probe_run_free(probing->run);
	json_decref(probing->warnings);
	free(probing->restoring.blocks);
	free(probing);
}

/* The job's own paths are closed. */
static void probing_finish(struct lun_job *job)
{
	struct probing *probing = job->extra;

	if (!probing->result)
		probing_end(probing, job->error);
	json_array_append_new(probing->command->devices, probing->result);
	job->extra = NULL;
	if (probing->second)
		path_close(probing->second, probing_free, probing);
	else
		probing_free(probing);
}

/* The command. */

static int probe_parse_range(struct probe_command *command)
{
	const char *text = command->range;
	char *end;
	unsigned long long first, count;

	if (!text)
		return 0;
	first = strtoull(text, &end, 0);
	count = end != text && *end == '+' ? strtoull(end + 1, &end, 0) : 0;
	if (*end || count < 1 || count > PROBE_BLOCKS_MAX || text[0] == '-') {
		cli_error("--destructive-range wants FIRST+COUNT, a block and how many (1 to %u), "
			  "not \"%s\"",
			  PROBE_BLOCKS_MAX, text);
		return -EINVAL;
	}
	command->options.destructive = true;
	command->options.try_types = true;
	command->options.first_block = first;
	command->options.block_count = (uint32_t)count;
	return 0;
}

static json_t *probe_collect(struct probe_command *command, struct lun_fleet *fleet)
{
	json_t *unopened = lun_fleet_results(fleet), *device, *found, *ordered = json_array();
	size_t i, j, failed = 0;

	/* In the order of the command line; those that were never probed have only an error. */
	json_array_foreach(json_object_get(unopened, "devices"), i, device)
	{
		const char *name = json_string_value(json_object_get(device, "device"));
		json_t *result = device;

		json_array_foreach(command->devices, j, found)
		{
			if (strcmp(json_string_value(json_object_get(found, "device")), name) == 0)
				result = found;
		}
		json_object_del(result, "steps");
		failed += !json_is_true(json_object_get(result, "ok"));
		json_array_append(ordered, result);
	}
	json_decref(unopened);
	command->failed = failed;
	return json_pack("{s:o, s:{s:I, s:I, s:I}}", "devices", ordered, "summary", "devices",
			 (json_int_t)json_array_size(ordered), "ok",
			 (json_int_t)(json_array_size(ordered) - failed), "failed",
			 (json_int_t)failed);
}

static int probe_carry_out(struct probe_command *command, const struct lun_devices *devices)
{
	struct lun_fleet_options options = {
		.context = &command->context,
		.run = probing_run,
		.interrupt = probing_interrupt,
		.path_changed = probing_path_changed,
		.finish = probing_finish,
		.user = command,
		.doing = "probing",
	};
	struct lun_fleet *fleet = lun_fleet_new(devices, &options);
	json_t *results;

	command->devices = json_array();
	lun_fleet_run(fleet, NULL);
	results = probe_collect(command, fleet);
	lun_fleet_free(fleet);
	if (command->restore && !command->context.json)
		lun_probe_print_restored(results);
	else
		lun_probe_print(results, command->context.json);
	json_decref(results);
	json_decref(command->devices);
	return command->failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int cmd_lun_probe(int argc, char **argv)
{
	struct probe_command command = {.state = CONFIG_STATE_DEFAULT};
	struct lun_devices devices = {0};
	struct cli_option options[] = {
		{"looks", 'n', CLI_OPTION_UNSIGNED, &command.looks, "NUMBER",
		 "measure the answer times of so many looks (100)"},
		{"interval", 'i', CLI_OPTION_DURATION, &command.options.look_interval_ms, "TIME",
		 "and wait so long between two of them (0)"},
		{"dry-run", 0, CLI_OPTION_FLAG, &command.options.ask_only, NULL,
		 "only ask: send no PERSISTENT RESERVE OUT, not even REGISTER"},
		{"try-types", 0, CLI_OPTION_FLAG, &command.options.try_types, NULL,
		 "reserve and release the LUN with every type; whoever uses it without a "
		 "reservation is locked out for these moments"},
		{"destructive-range", 'd', CLI_OPTION_STRING, &command.range, "FIRST+COUNT",
		 "see what happens to WRITE, WRITE SAME and UNMAP of a session that is not "
		 "registered, on these blocks; they are kept before and written back after. "
		 "Implies "
		 "--try-types"},
		{"second", 0, CLI_OPTION_STRING, &command.second, "DEVICE",
		 "another way to the same LUN, for the second nexus (iscsi:// devices have one by "
		 "themselves)"},
		{"save", 0, CLI_OPTION_FLAG, &command.save, NULL,
		 "keep what was found in the state folder, where `check` reads it"},
		{"restore", 0, CLI_OPTION_FLAG, &command.restore, NULL,
		 "do not probe, but write back the blocks that a killed probe has kept"},
		{"state", 0, CLI_OPTION_STRING, &command.state, "DIR",
		 "the state folder (" CONFIG_STATE_DEFAULT ")"},
		LUN_CONTEXT_OPTIONS(&command.context),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper lun probe",
		.arguments = "[OPTION...] DEVICE...",
		.summary =
			"Finds out what a LUN can do with persistent reservations: by asking, by "
			"registering keys of its own, and by measuring how fast it answers. It "
			"refuses a LUN that somebody holds or is registered on, and leaves it as "
			"it was, also when it is interrupted. What a killed probe leaves (keys "
			"that "
			"begin with 70726f6265, \"probe\") the next one removes.",
		.options = options,
		.arguments_max = SIZE_MAX,
	};
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	if (probe_parse_range(&command))
		return CLI_EXIT_USAGE;
	if (command.looks.given &&
	    (command.looks.value < 1 || command.looks.value > PROBE_LOOKS_MAX)) {
		cli_error("--looks wants 1 to %u", PROBE_LOOKS_MAX);
		return CLI_EXIT_USAGE;
	}
	command.options.looks = (unsigned)command.looks.value;
	if (!command.context.timeout_ms)
		command.context.timeout_ms = PROBE_TIMEOUT_DEFAULT_MS;
	if (!command.context.parallel.given)
		command.context.parallel =
			(struct cli_number){.given = true, .value = PROBE_PARALLEL_DEFAULT};
	command.options.timeout_ms = command.context.timeout_ms < PROBE_COMMAND_TIMEOUT_MS
					     ? command.context.timeout_ms
					     : PROBE_COMMAND_TIMEOUT_MS;
	verdict = lun_context_begin(&command.context, true);
	if (verdict < 0)
		verdict = lun_devices_make(&devices, &command.context, argv + 1, (size_t)count);
	if (verdict < 0)
		verdict = probe_carry_out(&command, &devices);
	lun_devices_free(&devices);
	lun_context_end(&command.context);
	return verdict;
}
