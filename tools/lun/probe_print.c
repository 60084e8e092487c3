/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A probe's report as JSON, and that as text.
 */
#include <string.h>
#include <time.h>

#include "tools/lun/probe.h"

static json_t *probe_finding_json(const struct probe_finding *finding)
{
	static const char *const answers[] = {
		[PROBE_ANSWER_NOT_TRIED] = NULL,
		[PROBE_ANSWER_NO] = "no",
		[PROBE_ANSWER_YES] = "yes",
	};

	return json_pack("{s:s?, s:s}", "answer", answers[finding->answer], "note", finding->note);
}

static json_t *probe_types_json(const struct probe_report *report)
{
	bool told = report->items[PROBE_ITEM_CAPABILITIES].answer == PROBE_ANSWER_YES &&
		    report->capabilities.type_mask_valid;
	json_t *types = json_object();

	for (unsigned i = 1; i < PROBE_TYPES; i++) {
		json_t *type;

		if (i == 2 || i == 4)
			continue;
		type = probe_finding_json(&report->types[i]);
		json_object_set_new(type, "claimed",
				    told ? json_boolean((report->capabilities.type_mask >> i) & 1)
					 : json_null());
		json_object_set_new(types, pr_type_short_name((enum pr_type)i), type);
	}
	return types;
}

static json_t *probe_verdict_json(const struct probe_report *report)
{
	struct lun_verdict verdict;
	json_t *lines = json_array();

	lun_verdict_make(&verdict, report);
	for (unsigned i = 0; i < verdict.count; i++)
		json_array_append_new(lines, json_string(verdict.lines[i]));
	return json_pack("{s:s, s:o}", "fit", lun_fitness_name(verdict.fitness), "lines", lines);
}

static void probe_add_occupants(json_t *object, const struct probe_report *report,
				const struct lun_context *context)
{
	json_t *keys = json_array();
	const struct pr_reservation *reservation = &report->reservation;

	for (unsigned i = 0; i < report->key_count; i++)
		json_array_append_new(keys, lun_key_json(report->keys[i], context));
	json_object_set_new(object, "keys", keys);
	if (reservation->held && lun_type_is_all_registrants(reservation->type)) {
		json_object_set_new(object, "holder",
				    json_pack("{s:b, s:s, s:s, s:s}", "all_registrants", 1, "key",
					      "0000000000000000", "who",
					      "every registrant holds it", "type",
					      pr_type_short_name(reservation->type)));
	} else if (reservation->held) {
		json_t *holder = lun_key_json(reservation->key, context);

		json_object_set_new(holder, "type",
				    json_string(pr_type_short_name(reservation->type)));
		json_object_set_new(object, "holder", holder);
	} else {
		json_object_set_new(object, "holder", json_null());
	}
}

json_t *lun_probe_json(const struct probe_report *report, const struct lun_context *context)
{
	json_t *object = json_object(), *items = json_object();

	json_object_set_new(object, "end", json_string(probe_end_name(report->end)));
	json_object_set_new(object, "message", json_string(report->message));
	json_object_set_new(object, "clean", json_boolean(report->clean));
	json_object_set_new(object, "clean_note", json_string(report->clean_note));
	json_object_set_new(object, "leftovers_removed", json_integer(report->leftovers_removed));
	json_object_set_new(object, "time", json_integer((json_int_t)time(NULL)));
	json_object_set_new(object, "vendor", json_string(report->inquiry.vendor));
	json_object_set_new(object, "product", json_string(report->inquiry.product));
	json_object_set_new(object, "revision", json_string(report->inquiry.revision));
	json_object_set_new(object, "wwid", json_string(report->wwid));
	json_object_set_new(object, "serial", json_string(report->serial));
	json_object_set_new(
		object, "size",
		json_integer((json_int_t)(report->capacity.blocks * report->capacity.block_size)));
	json_object_set_new(object, "block_size", json_integer(report->capacity.block_size));
	json_object_set_new(object, "write_protected", json_boolean(report->write_protected));
	probe_add_occupants(object, report, context);
	for (enum probe_item item = 0; item < PROBE_ITEMS; item++)
		json_object_set_new(items, probe_item_name(item),
				    probe_finding_json(&report->items[item]));
	json_object_set_new(object, "items", items);
	json_object_set_new(object, "types", probe_types_json(report));
	json_object_set_new(object, "looks",
			    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "count",
				      (json_int_t)report->looks, "min_us",
				      (json_int_t)report->look_min_us, "median_us",
				      (json_int_t)report->look_median_us, "p99_us",
				      (json_int_t)report->look_p99_us, "max_us",
				      (json_int_t)report->look_max_us, "smallest_defend_ms",
				      (json_int_t)lun_verdict_defend_ms(report)));
	json_object_set_new(object, "verdict", probe_verdict_json(report));
	return object;
}

/* Text. */

static const char *probe_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static uint64_t probe_number(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

static const char *probe_bullet(void)
{
	return cli_utf8() ? "\u2022" : "-";
}

static void probe_print_verdict(const json_t *device)
{
	const json_t *verdict = json_object_get(device, "verdict"), *line;
	const char *fit = probe_text(verdict, "fit");
	size_t i;

	if (strcmp(fit, "yes") == 0)
		printf("  %sfit for LunKeeper%s\n", cli_colour(stdout, CLI_GOOD),
		       cli_colour(stdout, CLI_PLAIN));
	else if (strcmp(fit, "limited") == 0)
		printf("  %sfit for LunKeeper%s, with limits:\n", cli_colour(stdout, CLI_GOOD),
		       cli_colour(stdout, CLI_PLAIN));
	else if (strcmp(fit, "no") == 0)
		printf("  %snot fit for LunKeeper:%s\n", cli_colour(stdout, CLI_BAD),
		       cli_colour(stdout, CLI_PLAIN));
	else
		printf("  %swhether it is fit for LunKeeper is not known%s\n",
		       cli_colour(stdout, CLI_WARNING), cli_colour(stdout, CLI_PLAIN));
	json_array_foreach(json_object_get(verdict, "lines"), i, line)
		printf("    %s %s\n", probe_bullet(), json_string_value(line));
	putchar('\n');
}

static void probe_answer_cell(struct cli_table *table, const json_t *finding)
{
	const char *answer = probe_text(finding, "answer");

	if (strcmp(answer, "yes") == 0)
		cli_table_cell(table, CLI_GOOD, "yes");
	else if (strcmp(answer, "no") == 0)
		cli_table_cell(table, CLI_WARNING, "no");
	else
		cli_table_cell(table, CLI_DIM, "not tried");
}

static void probe_add_types(struct cli_table *table, const json_t *device)
{
	const char *name;
	const json_t *type;

	json_object_foreach((json_t *)(uintptr_t)json_object_get(device, "types"), name, type)
	{
		const json_t *claimed = json_object_get(type, "claimed");

		cli_table_row(table);
		cli_table_cell(table, CLI_PLAIN, "type %s", name);
		probe_answer_cell(table, type);
		cli_table_cell(table, CLI_DIM, "%s%s%s",
			       json_is_null(claimed)   ? ""
			       : json_is_true(claimed) ? "claimed by REPORT CAPABILITIES"
						       : "not claimed by REPORT CAPABILITIES",
			       probe_text(type, "note")[0] ? "; " : "", probe_text(type, "note"));
	}
}

static void probe_print_items(const json_t *device)
{
	struct cli_table *table = cli_table_new(NULL, 3);
	const json_t *items = json_object_get(device, "items");

	cli_table_indent(table, 2);
	for (enum probe_item item = 0; item < PROBE_ITEMS; item++) {
		const json_t *finding = json_object_get(items, probe_item_name(item));

		cli_table_row(table);
		cli_table_cell(table, CLI_PLAIN, "%s", probe_item_text(item));
		probe_answer_cell(table, finding);
		cli_table_cell(table, CLI_DIM, "%s", probe_text(finding, "note"));
	}
	probe_add_types(table, device);
	cli_table_print(table, stdout);
	cli_table_free(table);
}

static void probe_print_times(const json_t *device)
{
	const json_t *looks = json_object_get(device, "looks");
	char minimum[32], median[32], p99[32], maximum[32];

	if (!probe_number(looks, "count"))
		return;
	printf("\n  answer times         %u looks: min %s, median %s, p99 %s, max %s\n",
	       (unsigned)probe_number(looks, "count"),
	       cli_micros_text(probe_number(looks, "min_us"), minimum, sizeof(minimum)),
	       cli_micros_text(probe_number(looks, "median_us"), median, sizeof(median)),
	       cli_micros_text(probe_number(looks, "p99_us"), p99, sizeof(p99)),
	       cli_micros_text(probe_number(looks, "max_us"), maximum, sizeof(maximum)));
	printf("  defend interval      %u ms at least\n",
	       (unsigned)probe_number(looks, "smallest_defend_ms"));
}

static void probe_print_occupants(const json_t *device)
{
	const json_t *holder = json_object_get(device, "holder"), *key;
	struct cli_table *table = cli_table_new(NULL, 3);
	size_t i;

	cli_table_indent(table, 4);
	json_array_foreach(json_object_get(device, "keys"), i, key)
	{
		const char *text = probe_text(key, "key");
		bool holds = json_is_object(holder) &&
			     (json_is_true(json_object_get(holder, "all_registrants")) ||
			      strcmp(probe_text(holder, "key"), text) == 0);

		while (text[0] == '0' && text[1])
			text++;
		cli_table_row(table);
		cli_table_cell(table, CLI_BOLD, "0x%s", text);
		cli_table_cell(table, CLI_GOOD, "%s%s", holds ? "holds " : "registered",
			       holds ? probe_text(holder, "type") : "");
		cli_table_cell(table, CLI_PLAIN, "%s", probe_text(key, "who"));
	}
	if (cli_table_rows(table))
		cli_table_print(table, stderr);
	cli_table_free(table);
}

static void probe_print_device(const json_t *device)
{
	const char *name = probe_text(device, "device"), *error = probe_text(device, "error");
	bool done = strcmp(probe_text(device, "end"), "done") == 0;
	const json_t *warning;
	char size[32];
	size_t i;

	if (done) {
		printf("%s%s%s\n  %s %s %s, %s, %s\n\n", cli_colour(stdout, CLI_BOLD), name,
		       cli_colour(stdout, CLI_PLAIN), probe_text(device, "vendor"),
		       probe_text(device, "product"), probe_text(device, "revision"),
		       probe_number(device, "size")
			       ? cli_size_text(probe_number(device, "size"), size, sizeof(size))
			       : "size not known",
		       probe_text(device, "wwid"));
		probe_print_verdict(device);
		probe_print_items(device);
		probe_print_times(device);
		if (probe_number(device, "leftovers_removed"))
			printf("  removed              %u registration(s) of an earlier, killed "
			       "probe\n",
			       (unsigned)probe_number(device, "leftovers_removed"));
		if (json_is_true(json_object_get(device, "clean")))
			printf("  left                 as it was found\n");
		if (probe_text(device, "saved")[0])
			printf("  saved                %s\n", probe_text(device, "saved"));
	}
	if (error[0]) {
		cli_error("%s%s%s", strstr(error, name) ? "" : name,
			  strstr(error, name) ? "" : ": ", error);
		if (json_array_size(json_object_get(device, "keys")))
			probe_print_occupants(device);
	}
	json_array_foreach(json_object_get(device, "warnings"), i, warning)
		cli_warn("%s: %s", name, json_string_value(warning));
}

static void probe_add_row(struct cli_table *table, const json_t *device)
{
	static const enum probe_item items[] = {PROBE_ITEM_FULL_STATUS,
						PROBE_ITEM_PREEMPT_AND_ABORT, PROBE_ITEM_APTPL,
						PROBE_ITEM_OUTLIVES_LOGIN, PROBE_ITEM_COVERS_WRITE};
	const char *fit = probe_text(json_object_get(device, "verdict"), "fit");
	const json_t *looks = json_object_get(device, "looks");
	char time[32];

	cli_table_row(table);
	cli_table_cell(table, CLI_BOLD, "%s", probe_text(device, "device"));
	cli_table_cell(table, strcmp(fit, "no") == 0 ? CLI_BAD : CLI_GOOD, "%s", fit);
	cli_table_cell(table, CLI_PLAIN, "%s",
		       cli_micros_text(probe_number(looks, "p99_us"), time, sizeof(time)));
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		const json_t *finding = json_object_get(json_object_get(device, "items"),
							probe_item_name(items[i]));

		probe_answer_cell(table, finding);
	}
}

#define PROBE_BLOCKS_MAX_SHOWN 3

static void probe_print_table(const json_t *devices)
{
	static const char *const headings[] = {"DEVICE",           "FIT",           ">P99",
					       "FULL STATUS",      "PREEMPT+ABORT", "APTPL",
					       "OUTLIVES SESSION", "COVERS WRITE",  NULL};
	struct cli_table *table = cli_table_new(headings, 0);
	const json_t *device;
	size_t i;

	json_array_foreach(devices, i, device)
	{
		if (strcmp(probe_text(device, "end"), "done") == 0)
			probe_add_row(table, device);
	}
	if (cli_table_rows(table))
		cli_table_print(table, stdout);
	cli_table_free(table);
}

void lun_probe_print(json_t *results, bool json)
{
	const json_t *devices = json_object_get(results, "devices"), *device;
	const json_t *summary = json_object_get(results, "summary");
	bool table = json_array_size(devices) > PROBE_BLOCKS_MAX_SHOWN;
	size_t i;

	if (json) {
		cli_json_print(json_incref(results));
		return;
	}
	if (table)
		probe_print_table(devices);
	json_array_foreach(devices, i, device)
	{
		if (!table || strcmp(probe_text(device, "end"), "done") != 0 ||
		    probe_text(device, "error")[0])
			probe_print_device(device);
	}
	if (json_array_size(devices) > 1)
		printf("%s%zu devices%s: %u probed, %u failed\n", cli_colour(stdout, CLI_BOLD),
		       json_array_size(devices), cli_colour(stdout, CLI_PLAIN),
		       (unsigned)probe_number(summary, "ok"),
		       (unsigned)probe_number(summary, "failed"));
}

void lun_probe_print_restored(const json_t *results)
{
	const json_t *device;
	size_t i;

	json_array_foreach(json_object_get(results, "devices"), i, device)
	{
		const char *error = probe_text(device, "error");

		if (error[0])
			cli_error("%s: %s", probe_text(device, "device"), error);
		else
			printf("%s: %u blocks written back\n", probe_text(device, "device"),
			       (unsigned)probe_number(device, "restored_blocks"));
	}
}
