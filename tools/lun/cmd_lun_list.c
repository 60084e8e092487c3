/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper lun list`: the LUNs that this machine sees: kernel disks with the session they come
 * from, the LUNs of the configuration, and what a target or a portal has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/discovery.h"
#include "iscsi/url.h"
#include "scsi/report_luns.h"
#include "tools/lun/job.h"
#include "tools/lun/kernel.h"

#define LIST_NO_DISK "no disk"
#define LIST_REPORT_LUNS_SIZE (8u + 16384u * 8u)

struct list {
	struct lun_context context;
	struct cli_list targets, portals;
	bool no_look;
	struct lun_kernel kernel;
	char **urls; /* of targets and portals */
	size_t url_count;
	size_t faults; /* targets and portals that could not be asked */
	json_t *rows;
	/* REPORT LUNS, one target at a time on a fleet of "target/0" */
	uint8_t *buffer;
};

/* What a target has. */

static int list_add_url(struct list *list, const char *url)
{
	char **urls = reallocarray(list->urls, list->url_count + 1, sizeof(*urls));

	if (!urls)
		return -ENOMEM;
	list->urls = urls;
	urls[list->url_count] = strdup(url);
	if (!urls[list->url_count])
		return -ENOMEM;
	list->url_count++;
	return 0;
}

static void list_got_luns(struct lun_job *job)
{
	struct list *list = job->fleet->options.user;
	uint16_t numbers[SCSI_LUN_FLAT_MAX + 1];
	struct scsi_report_luns luns = {.luns = numbers};
	const char *base = job->device->name;
	char url[PATH_NAME_MAX];

	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK ||
	    scsi_report_luns_decode(&luns, SCSI_LUN_FLAT_MAX + 1, list->buffer,
				    job->exec.request.result.transferred)) {
		lun_job_fail(job, "REPORT LUNS: %s", lun_job_result_text(job));
		return;
	}
	for (uint32_t i = 0; i < luns.count; i++) {
		/* "iscsi://host/iqn/0" without its 0 */
		snprintf(url, sizeof(url), "%.*s%u", (int)strlen(base) - 1, base, luns.luns[i]);
		list_add_url(list, url);
	}
	lun_job_steps_done(job);
}

static void list_report_luns(struct lun_job *job)
{
	struct list *list = job->fleet->options.user;
	size_t index = 0;

	job->doing = "sending REPORT LUNS";
	scsi_report_luns_encode(&job->exec.request, list->buffer, LIST_REPORT_LUNS_SIZE);
	lun_job_send(job, lun_job_up_path(job, 0, &index), list_got_luns);
}

static int list_ask_target(struct list *list, const char *target)
{
	struct lun_fleet_options options = {
		.context = &list->context,
		.run = list_report_luns,
		.unidentified = true,
		.user = list,
	};
	char url[PATH_NAME_MAX], *words[1] = {url};
	struct lun_devices devices = {0};
	struct lun_fleet *fleet;
	json_t *results;
	size_t length = strlen(target);
	const char *problem;
	struct lun_url parsed;

	if (lun_url_parse(&parsed, target, &problem) == 0) /* a LUN's URL: its target is meant */
		length = (size_t)(strrchr(target, '/') - target);
	while (length > 0 && target[length - 1] == '/')
		length--;
	snprintf(url, sizeof(url), "%.*s/0", (int)length, target);
	if (lun_devices_make(&devices, &list->context, words, 1) >= 0) {
		lun_devices_free(&devices);
		return CLI_EXIT_USAGE;
	}
	fleet = lun_fleet_new(&devices, &options);
	lun_fleet_run(fleet, NULL);
	results = lun_fleet_results(fleet);
	if (lun_results_exit(results)) {
		const json_t *device = json_array_get(json_object_get(results, "devices"), 0);

		cli_error("%.*s: %s", (int)length, target,
			  json_string_value(json_object_get(device, "error")));
		list->faults++;
	}
	json_decref(results);
	lun_fleet_free(fleet);
	lun_devices_free(&devices);
	return -1;
}

static int list_ask_portal(struct list *list, const char *portal)
{
	struct discovery_options options = {
		.portal = portal,
		.initiator_name = list->context.own_initiator,
		.secrets_file = list->context.secrets,
		.timeout_ms = list->context.timeout_ms,
	};
	struct discovery discovery;
	char message[LUN_MESSAGE_MAX], target[PATH_NAME_MAX];

	if (!options.initiator_name) {
		cli_error("%s: no initiator name on this machine; give one by --initiator", portal);
		return CLI_EXIT_FAILED;
	}
	if (discovery_read(&discovery, &options, message, sizeof(message))) {
		cli_error("%s", message);
		list->faults++;
		return -1;
	}
	/* By the portal that was asked: others may lie in networks that do not lead here. */
	for (size_t i = 0; i < discovery.count; i++) {
		snprintf(target, sizeof(target), "iscsi://%s/%s", portal,
			 discovery.targets[i].name);
		list_ask_target(list, target);
	}
	if (discovery.count == 0)
		cli_warn("%s offers no target to this initiator (%s)", portal,
			 options.initiator_name);
	discovery_free(&discovery);
	return -1;
}

/* Rows. */

static json_t *list_add_row(struct list *list, const char *name, const char *source)
{
	json_t *row = json_pack("{s:s, s:s}", "device", name, "source", source);

	json_array_append_new(list->rows, row);
	return row;
}

static void list_add_kernel_rows(struct list *list)
{
	for (size_t i = 0; i < list->kernel.count; i++) {
		const struct lun_kernel_disk *disk = &list->kernel.disks[i];
		json_t *row = list_add_row(list, disk->name, "kernel"), *paths = json_array();

		json_object_set_new(row, "model", json_string(disk->model));
		json_object_set_new(row, "wwid", json_string(disk->wwid));
		json_object_set_new(row, "size", json_integer((json_int_t)disk->size));
		for (size_t p = 0; p < disk->path_count; p++) {
			const struct lun_kernel_path *path = &disk->paths[p];

			json_array_append_new(
				paths, json_pack("{s:s, s:s, s:s, s:s, s:s}", "block", path->block,
						 "generic", path->generic, "address", path->address,
						 "state", path->state, "where", path->where));
		}
		json_object_set_new(row, "paths", paths);
	}
}

static void list_add_config_rows(struct list *list)
{
	const struct config *config = list->context.config;

	for (size_t i = 0; config && i < config->lun_count; i++) {
		json_t *row = list_add_row(list, config->luns[i].name, "configuration");
		json_t *paths = json_array();

		for (size_t d = 0; d < config->luns[i].device_count; d++)
			json_array_append_new(
				paths, json_pack("{s:s}", "where", config->luns[i].devices[d]));
		if (config->luns[i].device_count == 0)
			json_array_append_new(paths,
					      json_pack("{s:s}", "where", config->luns[i].wwid));
		json_object_set_new(row, "paths", paths);
	}
}

static void list_add_url_rows(struct list *list)
{
	for (size_t i = 0; i < list->url_count; i++)
		json_object_set_new(list_add_row(list, list->urls[i], "target"), "paths",
				    json_array());
}

static const char *list_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* Looks at all of them in parallel. */
static void list_look(struct list *list)
{
	struct lun_fleet_options options = {.context = &list->context, .doing = "looking"};
	struct lun_script script = {.count = 1, .steps = {{.verb = LUN_VERB_SHOW}}};
	size_t count = json_array_size(list->rows), i;
	char **words = calloc(count ? count : 1, sizeof(*words));
	struct lun_devices devices = {0};
	struct lun_fleet *fleet;
	json_t *row, *results;

	if (!words)
		abort();
	json_array_foreach(list->rows, i, row) words[i] =
		(char *)(uintptr_t)json_string_value(json_object_get(row, "device"));
	if (count > 0 && lun_devices_make(&devices, &list->context, words, count) < 0) {
		fleet = lun_fleet_new(&devices, &options);
		lun_fleet_run(fleet, &script);
		results = lun_fleet_results(fleet);
		json_array_foreach(list->rows, i, row)
		{
			json_t *device = json_array_get(json_object_get(results, "devices"), i);
			json_t *step = json_array_get(json_object_get(device, "steps"), 0);

			json_object_set(row, "ok", json_object_get(device, "ok"));
			json_object_set(row, "look", step ? step : json_null());
			/* A target's controller, an enclosure: there, and nothing to reserve. */
			if (strncmp(list_text(device, "error"), LIST_NO_DISK,
				    strlen(LIST_NO_DISK)) == 0)
				json_object_set_new(row, "ok", json_null());
			if (json_object_get(device, "error"))
				json_object_set(row, "error", json_object_get(device, "error"));
			else if (json_object_get(step, "error"))
				json_object_set(row, "error", json_object_get(step, "error"));
		}
		json_decref(results);
		lun_fleet_free(fleet);
	}
	lun_devices_free(&devices);
	free(words);
}

/* Output. */

static const char *list_shown_key(const json_t *holder, char buffer[20])
{
	const char *text = list_text(holder, "key");

	if (json_is_true(json_object_get(holder, "all_registrants")))
		return "all registrants";
	while (text[0] == '0' && text[1])
		text++;
	snprintf(buffer, 20, "0x%.16s", text);
	return buffer;
}

static const char *list_either(const json_t *row, const char *name)
{
	const char *text = list_text(json_object_get(row, "look"), name);

	return text[0] ? text : list_text(row, name);
}

static void list_add_holder_cells(struct cli_table *table, const json_t *row)
{
	const json_t *look = json_object_get(row, "look");
	const json_t *holder = json_object_get(look, "holder");
	char key[20];

	if (!look || json_is_null(look)) {
		const json_t *ok = json_object_get(row, "ok");

		cli_table_cell(table, json_is_null(ok) ? CLI_DIM : CLI_WARNING, "%s",
			       !ok                ? ""
			       : json_is_null(ok) ? LIST_NO_DISK
						  : "unknown");
		cli_table_cell(table, CLI_PLAIN, "%s", "");
	} else if (!holder) {
		cli_table_cell(table, CLI_WARNING, "unknown");
		cli_table_cell(table, CLI_PLAIN, "%s", "");
	} else if (json_is_object(holder)) {
		cli_table_cell(table, CLI_GOOD, "%s", list_shown_key(holder, key));
		cli_table_cell(table, CLI_PLAIN, "%s", list_text(holder, "type"));
	} else {
		cli_table_cell(table, CLI_DIM, "nobody");
		cli_table_cell(table, CLI_PLAIN, "%s", "");
	}
}

static void list_add_path_rows(struct cli_table *table, const json_t *row)
{
	const json_t *path;
	size_t i;

	json_array_foreach(json_object_get(row, "paths"), i, path)
	{
		const char *where = list_text(path, "where"), *block = list_text(path, "block");
		const char *state = list_text(path, "state");

		cli_table_row(table);
		cli_table_cell(table, CLI_DIM, "  %s%s%s%s%s%s", block, block[0] ? " " : "",
			       list_text(path, "generic"), block[0] ? "  " : "",
			       where[0] ? where : list_text(path, "address"),
			       state[0] && strcmp(state, "running") != 0 ? "  " : "");
		if (state[0] && strcmp(state, "running") != 0)
			cli_table_cell(table, CLI_BAD, "%s", state);
	}
}

static void list_print(const struct list *list)
{
	static const char *const headings[] = {"DEVICE", ">SIZE",    "HOLDER", "TYPE",
					       "WHO",    "IDENTITY", NULL};
	struct cli_table *table = cli_table_new(headings, 0);
	const json_t *row;
	size_t i;
	char size[32];

	json_array_foreach(list->rows, i, row)
	{
		const json_t *look = json_object_get(row, "look");
		json_int_t bytes = json_integer_value(
			json_object_get(json_is_object(look) ? look : row, "size"));
		const json_t *holder = json_object_get(look, "holder");

		cli_table_row(table);
		cli_table_cell(table, CLI_BOLD, "%s", list_text(row, "device"));
		cli_table_cell(table, CLI_PLAIN, "%s",
			       bytes ? cli_size_text((uint64_t)bytes, size, sizeof(size)) : "");
		list_add_holder_cells(table, row);
		cli_table_cell(table, CLI_PLAIN, "%s", list_text(holder, "who"));
		cli_table_cell(table, CLI_PLAIN, "%s", list_either(row, "wwid"));
		list_add_path_rows(table, row);
	}
	if (cli_table_rows(table)) {
		cli_table_print(table, stdout);
	} else if (list->faults == 0) {
		printf("this machine sees no LUN\n");
		cli_hint("--target iscsi://HOST/TARGET and --portal HOST ask a target; --config "
			 "FILE names LUNs");
	}
	cli_table_free(table);
	json_array_foreach(list->rows, i, row)
	{
		const char *error = list_text(row, "error"), *name = list_text(row, "device");

		if (error[0] && !json_is_null(json_object_get(row, "ok")))
			cli_error("%s%s%s", strstr(error, name) ? "" : name,
				  strstr(error, name) ? "" : ": ", error);
	}
}

static int list_gather(struct list *list)
{
	bool asked = list->targets.count || list->portals.count;
	int verdict = -1, error;

	for (size_t i = 0; verdict < 0 && i < list->targets.count; i++)
		verdict = list_ask_target(list, list->targets.items[i]);
	for (size_t i = 0; verdict < 0 && i < list->portals.count; i++)
		verdict = list_ask_portal(list, list->portals.items[i]);
	if (verdict >= 0)
		return verdict;
	if (!asked) {
		error = lun_kernel_read(&list->kernel, "/sys");
		if (error)
			cli_warn("the kernel's disks cannot be read: %s", strerror(-error));
		list_add_kernel_rows(list);
		list_add_config_rows(list);
	}
	list_add_url_rows(list);
	return -1;
}

static int list_run(struct list *list)
{
	const json_t *row;
	size_t i, failed = list->faults;
	int verdict;

	list->rows = json_array();
	list->buffer = malloc(LIST_REPORT_LUNS_SIZE);
	if (!list->buffer)
		abort();
	verdict = list_gather(list);
	if (verdict < 0) {
		failed = list->faults;
		if (!list->no_look)
			list_look(list);
		json_array_foreach(list->rows, i, row) failed +=
			json_is_false(json_object_get(row, "ok"));
		if (list->context.json)
			cli_json_print(json_pack("{s:O}", "luns", list->rows));
		else
			list_print(list);
		verdict = failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
	}
	json_decref(list->rows);
	free(list->buffer);
	for (i = 0; i < list->url_count; i++)
		free(list->urls[i]);
	free(list->urls);
	lun_kernel_free(&list->kernel);
	return verdict;
}

/* A word that is no option: a target's URL. A host alone is a portal, which is asked otherwise. */
static int list_add_word(struct list *list, const char *word)
{
	if (lun_url_claims(word) && list->targets.count < CLI_LIST_MAX) {
		list->targets.items[list->targets.count++] = word;
		return -1;
	}
	if (lun_url_claims(word))
		cli_error("more than %d targets", CLI_LIST_MAX);
	else if (strchr(word, '/'))
		cli_error("\"%s\" is no target's URL; `lunkeeper lun show %s` shows a device", word,
			  word);
	else
		cli_error("\"%s\" is no target's URL; `lunkeeper lun list --portal %s` asks the "
			  "portal there which targets it has, and lists their LUNs",
			  word, word);
	return CLI_EXIT_USAGE;
}

int cmd_lun_list(int argc, char **argv)
{
	struct list list = {.url_count = 0};
	struct cli_option options[] = {
		{"target", 0, CLI_OPTION_LIST, &list.targets, "iscsi://HOST/TARGET",
		 "what this target has (REPORT LUNS)"},
		{"portal", 0, CLI_OPTION_LIST, &list.portals, "HOST[:PORT]",
		 "what the targets have that this portal offers (SendTargets)"},
		{"no-look", 0, CLI_OPTION_FLAG, &list.no_look, NULL,
		 "ask no LUN who holds it; only what is known without"},
		LUN_CONTEXT_OPTIONS(&list.context),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper lun list",
		.arguments = "[OPTION...] [TARGET...]",
		.summary =
			"Lists the LUNs that this machine sees: the kernel's disks with the "
			"portal, "
			"target and session they come from, and the LUNs of the configuration; "
			"with "
			"--target or --portal what these have instead. A TARGET is the URL of one, "
			"with or without a LUN at its end, as for --target.",
		.options = options,
		.arguments_max = SIZE_MAX,
	};
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	for (int i = 1; verdict < 0 && i <= count; i++)
		verdict = list_add_word(&list, argv[i]);
	if (verdict < 0)
		verdict = lun_context_begin(&list.context, true);
	if (verdict < 0)
		verdict = list_run(&list);
	lun_context_end(&list.context);
	return verdict;
}
