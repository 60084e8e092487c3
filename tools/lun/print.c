/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The results of `lun` commands as text, made from their JSON alone. What went well stands on
 * stdout; every failure is one line on stderr that names the device.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/mode.h"
#include "tools/lun/lun.h"

#define LUN_BLOCKS_MAX 4 /* more devices than this are shown as a table */

static const char *lun_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* "4c..." as 0x without leading zeros, as sg_persist writes them. */
static const char *lun_key_short(const json_t *object, const char *name, char buffer[20])
{
	const char *text = lun_text(object, name);

	if (json_is_true(json_object_get(object, "all_registrants")))
		return "all registrants";
	while (text[0] == '0' && text[1])
		text++;
	snprintf(buffer, 20, "0x%.16s", text);
	return buffer;
}

static const char *lun_mark(bool ok)
{
	if (cli_utf8())
		return ok ? "\u2713" : "\u2717";
	return ok ? "ok" : "failed";
}

int lun_results_exit(json_t *results)
{
	const json_t *failed = json_object_get(json_object_get(results, "summary"), "failed");

	return json_integer_value(failed) ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* Failures. */

static void lun_print_effects(const json_t *step, FILE *out)
{
	struct cli_table *table = cli_table_new(NULL, 3);
	json_t *effect;
	size_t index;
	char key[20];

	cli_table_indent(table, 4);
	json_array_foreach(json_object_get(step, "effects"), index, effect)
	{
		cli_table_row(table);
		cli_table_cell(table, CLI_BOLD, "%s", lun_key_short(effect, "key", key));
		cli_table_cell(table, CLI_WARNING, "%s", lun_text(effect, "effect"));
		cli_table_cell(table, CLI_PLAIN, "%s", lun_text(effect, "who"));
	}
	cli_table_print(table, out);
	cli_table_free(table);
}

static void lun_print_device_error(const char *device, const char *error)
{
	if (strstr(error, device))
		cli_error("%s", error);
	else
		cli_error("%s: %s", device, error);
}

static void lun_print_step_error(const char *device, const json_t *step)
{
	const char *error = lun_text(step, "error"), *explanation = lun_text(step, "explanation");
	const char *danger = lun_text(step, "danger"), *name = lun_text(step, "step");
	bool undone = danger[0] && !json_object_get(step, "orders");

	if (undone)
		cli_error("%s: %s: %s: %s", device, name, error, danger);
	else if (explanation[0])
		cli_error("%s: %s: %s: %s", device, name, error, explanation);
	else if (strcmp(name, "show") == 0 || strcmp(name, "keys") == 0)
		cli_error("%s: %s", device, error);
	else
		cli_error("%s: %s: %s", device, name, error);
	if (undone)
		lun_print_effects(step, stderr);
}

/* show */

static void lun_field(const char *name, enum cli_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void lun_field(const char *name, enum cli_colour colour, const char *format, ...)
{
	va_list arguments;

	printf("  %s%-11s%s %s", cli_colour(stdout, CLI_DIM), name, cli_colour(stdout, CLI_PLAIN),
	       cli_colour(stdout, colour));
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("%s\n", cli_colour(stdout, CLI_PLAIN));
}

/* How often this key stands in the list; 0: it stood there before. Without READ FULL STATUS nothing
 * tells equal keys apart. */
static size_t lun_count_key(const json_t *keys, size_t from)
{
	const char *text = lun_text(json_array_get(keys, from), "key");
	const json_t *key;
	size_t index, count = 0;

	json_array_foreach(keys, index, key)
	{
		if (strcmp(lun_text(key, "key"), text) != 0)
			continue;
		if (index < from)
			return 0;
		count++;
	}
	return count;
}

static void lun_add_key_row(struct cli_table *table, const json_t *key, bool full, size_t count)
{
	char text[20];

	cli_table_cell(table, CLI_BOLD, "%s", lun_key_short(key, "key", text));
	if (count > 1)
		cli_table_cell(table, CLI_PLAIN, "%s%zu", cli_utf8() ? "\u00d7" : "x", count);
	else
		cli_table_cell(table, CLI_PLAIN, "%s", "");
	cli_table_cell(table, CLI_GOOD, "%s",
		       json_is_true(json_object_get(key, "holds")) ? "holds" : "");
	cli_table_cell(table, CLI_PLAIN, "%s", lun_text(key, "who"));
	if (full)
		cli_table_cell(table, CLI_DIM, "%s", lun_text(key, "initiator"));
}

/* Keys that are registered, shown or not. */
static size_t lun_key_total(const json_t *step)
{
	return json_array_size(json_object_get(step, "keys")) +
	       (size_t)json_integer_value(json_object_get(step, "keys_not_shown"));
}

static void lun_print_not_shown(const json_t *step, unsigned indent)
{
	json_int_t more = json_integer_value(json_object_get(step, "keys_not_shown"));

	if (more)
		printf("%*s%lld more %s not shown\n", (int)indent, "", (long long)more,
		       more == 1 ? "is" : "are");
}

static void lun_print_key_table(const json_t *step, unsigned indent)
{
	bool full = json_is_true(json_object_get(step, "full_status"));
	struct cli_table *table = cli_table_new(NULL, full ? 5 : 4);
	const json_t *keys = json_object_get(step, "keys"), *key;
	size_t index;

	cli_table_indent(table, indent);
	json_array_foreach(keys, index, key)
	{
		size_t count = full ? 1 : lun_count_key(keys, index);

		if (count == 0)
			continue;
		cli_table_row(table);
		lun_add_key_row(table, key, full, count);
	}
	if (cli_table_rows(table))
		cli_table_print(table, stdout);
	cli_table_free(table);
	lun_print_not_shown(step, indent);
}

static void lun_print_holder_field(const json_t *step)
{
	const json_t *holder = json_object_get(step, "holder");
	char key[20];

	if (!json_is_object(holder)) {
		lun_field("holder", CLI_PLAIN, "nobody");
		return;
	}
	lun_field("holder", CLI_BOLD, "%s%s  %s%s%s", lun_key_short(holder, "key", key),
		  cli_colour(stdout, CLI_PLAIN), lun_text(holder, "type"),
		  lun_text(holder, "who")[0] ? "  " : "", lun_text(holder, "who"));
}

static void lun_print_paths_field(const json_t *step)
{
	json_t *path;
	size_t index;

	json_array_foreach(json_object_get(step, "paths"), index, path)
	{
		bool up = strcmp(lun_text(path, "state"), "up") == 0;

		lun_field(index ? "" : "paths", CLI_PLAIN, "%zu  %s  %s%s%s", index,
			  lun_text(path, "name"), cli_colour(stdout, up ? CLI_GOOD : CLI_BAD),
			  lun_text(path, "state"), cli_colour(stdout, CLI_PLAIN));
		if (!up)
			lun_field("", CLI_PLAIN, "   %s", lun_text(path, "reason"));
	}
}

static const char *lun_size_text(const json_t *step, char *buffer, size_t size)
{
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(step, "size"));

	if (bytes == 0)
		return "not known";
	return cli_size_text(bytes, buffer, size);
}

/* "64 MiB, blocks of 512 bytes", "1 TiB, 4Kn (blocks of 4096 bytes)", "size not known" */
static const char *lun_capacity_text(const json_t *step, char *buffer, size_t size)
{
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(step, "size"));
	json_int_t block = json_integer_value(json_object_get(step, "block_size"));
	char text[32];

	if (bytes == 0)
		snprintf(buffer, size, "size not known");
	else
		snprintf(buffer, size, "%s, %sblocks of %lld bytes%s",
			 cli_size_text(bytes, text, sizeof(text)), block == 4096 ? "4Kn (" : "",
			 (long long)block, block == 4096 ? ")" : "");
	return buffer;
}

static void lun_print_device_name(const json_t *device)
{
	printf("%s%s%s\n", cli_colour(stdout, CLI_BOLD), lun_text(device, "device"),
	       cli_colour(stdout, CLI_PLAIN));
}

static void lun_print_show(const json_t *device, const json_t *step)
{
	size_t keys = lun_key_total(step);
	char size[80], time[32];

	if (lun_text(device, "specification")[0])
		lun_field("device", CLI_PLAIN, "%s", lun_text(device, "specification"));
	lun_field("disk", CLI_PLAIN, "%s %s %s, %s", lun_text(step, "vendor"),
		  lun_text(step, "product"), lun_text(step, "revision"),
		  lun_capacity_text(step, size, sizeof(size)));
	if (json_is_true(json_object_get(step, "write_protected")))
		lun_field("access", CLI_BAD, SCSI_WRITE_PROTECTED_TEXT);
	lun_field("identity", CLI_PLAIN, "%s%s%s",
		  lun_text(step, "wwid")[0] ? lun_text(step, "wwid") : "none",
		  lun_text(step, "serial")[0] ? ", serial " : "", lun_text(step, "serial"));
	if (json_object_get(step, "holder")) {
		lun_print_holder_field(step);
		lun_field("registered", CLI_PLAIN, "%zu key%s, generation %lld, read in %s", keys,
			  keys == 1 ? "" : "s",
			  (long long)json_integer_value(json_object_get(step, "generation")),
			  cli_micros_text(
				  (uint64_t)json_integer_value(json_object_get(step, "answer_us")),
				  time, sizeof(time)));
		if (keys)
			lun_print_key_table(step, 14);
	}
	lun_print_paths_field(step);
}

static void lun_add_show_row(struct cli_table *table, const json_t *device, const json_t *step)
{
	const json_t *holder = json_object_get(step, "holder");
	bool held = json_is_object(holder);
	char key[20], size[32];

	cli_table_row(table);
	cli_table_cell(table, CLI_BOLD, "%s", lun_text(device, "device"));
	cli_table_cell(table, CLI_PLAIN, "%s", lun_size_text(step, size, sizeof(size)));
	cli_table_cell(table, held ? CLI_GOOD : CLI_DIM, "%s",
		       held ? lun_key_short(holder, "key", key) : "nobody");
	cli_table_cell(table, CLI_PLAIN, "%s", held ? lun_text(holder, "type") : "");
	cli_table_cell(table, CLI_PLAIN, "%zu", lun_key_total(step));
	cli_table_cell(table, CLI_PLAIN, "%lld",
		       (long long)json_integer_value(json_object_get(step, "generation")));
	cli_table_cell(table, CLI_PLAIN, "%s", held ? lun_text(holder, "who") : "");
}

/* capabilities */

static const char *lun_yes(const json_t *step, const char *name)
{
	return json_is_true(json_object_get(step, name)) ? "yes" : "no";
}

static void lun_print_capabilities(const json_t *step)
{
	char types[128] = "";
	json_t *type;
	size_t index, used = 0;

	json_array_foreach(json_object_get(step, "types"), index, type) used +=
		(size_t)snprintf(types + used, sizeof(types) - used, "%s%s", index ? " " : "",
				 json_string_value(type));
	lun_field("types", CLI_PLAIN, "%s",
		  json_is_null(json_object_get(step, "types")) ? "not told" : types);
	lun_field("APTPL", CLI_PLAIN, "%s, active: %s", lun_yes(step, "aptpl_capable"),
		  lun_yes(step, "aptpl_active"));
	lun_field("all ports", CLI_PLAIN, "%s", lun_yes(step, "all_target_ports"));
	lun_field("initiators", CLI_PLAIN, "%s",
		  json_is_true(json_object_get(step, "specify_initiator_ports"))
			  ? "other ports may be named in REGISTER"
			  : "only its own port");
}

/* Orders. */

/* "nobody holds it", "0x5 holds it (WE-RO)" */
static const char *lun_holds_text(const json_t *holder, char *buffer, size_t size)
{
	bool all = json_is_true(json_object_get(holder, "all_registrants"));
	char key[20];

	if (!json_is_object(holder))
		snprintf(buffer, size, "nobody holds it");
	else
		snprintf(buffer, size, "%s hold%s it (%s)", lun_key_short(holder, "key", key),
			 all ? "" : "s", lun_text(holder, "type"));
	return buffer;
}

/* A RELEASE by who does not hold is answered GOOD and does nothing (SPC-5 5.14.11.2). */
static void lun_release_text(const json_t *before, const json_t *after, const char *key,
			     char *buffer, size_t size)
{
	const json_t *held = json_object_get(before, "holder"),
		     *holds = json_object_get(after, "holder");
	char was[20], text[80];
	bool ours =
		json_is_object(held) && (json_is_true(json_object_get(held, "all_registrants")) ||
					 strcmp(lun_key_short(held, "key", was), key) == 0);

	if (!ours)
		snprintf(buffer, size, "%s did not hold it: %s", key,
			 lun_holds_text(holds, text, sizeof(text)));
	else if (json_is_object(holds))
		snprintf(buffer, size, "released; %s", lun_holds_text(holds, text, sizeof(text)));
	else
		snprintf(buffer, size, "released");
}

static void lun_order_text(const json_t *step, char *buffer, size_t size)
{
	const char *name = lun_text(step, "step");
	const json_t *after = json_object_get(step, "after"),
		     *before = json_object_get(step, "before");
	const json_t *holder = json_object_get(after, "holder");
	size_t paths = json_array_size(json_object_get(step, "orders"));
	char key[20], service[20], on[32] = "", text[80];

	lun_key_short(step, "reservation_key", key);
	lun_key_short(step, "service_action_key", service);
	if (paths > 1)
		snprintf(on, sizeof(on), " by %zu paths", paths);
	if (strcmp(name, "register") == 0 && strcmp(service, "0x0") != 0)
		snprintf(buffer, size, "registered %s%s", service, on);
	else if (strcmp(name, "unregister") == 0 || strcmp(name, "register") == 0)
		snprintf(buffer, size, "unregistered%s%s%s", strcmp(key, "0x0") ? " " : "",
			 strcmp(key, "0x0") ? key : "", on);
	else if (strcmp(name, "reserve") == 0)
		snprintf(buffer, size, "%s", lun_holds_text(holder, text, sizeof(text)));
	else if (strcmp(name, "release") == 0)
		lun_release_text(before, after, key, buffer, size);
	else if (strcmp(name, "preempt") == 0)
		snprintf(buffer, size, "preempted %s; %s", service,
			 lun_holds_text(holder, text, sizeof(text)));
	else if (strcmp(name, "clear") == 0)
		snprintf(buffer, size, "cleared: %zu registration%s gone", lun_key_total(before),
			 lun_key_total(before) == 1 ? "" : "s");
	else if (strcmp(name, "reset") == 0)
		snprintf(buffer, size, "logical unit reset");
	else
		snprintf(buffer, size, "%s", lun_text(step, "answer"));
}

static void lun_print_dry_run(const char *device, const json_t *step)
{
	char key[20], service[20];
	const char *danger = lun_text(step, "danger");

	if (lun_text(step, "action")[0])
		printf("%s  would send %s, key %s, service action key %s, type %s\n", device,
		       lun_text(step, "action"), lun_key_short(step, "reservation_key", key),
		       lun_key_short(step, "service_action_key", service), lun_text(step, "type"));
	else
		printf("%s  would send LOGICAL UNIT RESET\n", device);
	if (danger[0])
		printf("    %sneeds --force:%s %s\n", cli_colour(stdout, CLI_WARNING),
		       cli_colour(stdout, CLI_PLAIN), danger);
	lun_print_effects(step, stdout);
}

/* grouped: the device's name stands above. */
static void lun_add_order_row(struct cli_table *table, const char *device, const json_t *step,
			      bool grouped)
{
	const json_t *after = json_object_get(step, "after");
	char text[160];

	lun_order_text(step, text, sizeof(text));
	cli_table_row(table);
	cli_table_cell(table, CLI_GOOD, "%s", lun_mark(true));
	cli_table_cell(table, grouped ? CLI_PLAIN : CLI_BOLD, "%s",
		       grouped ? lun_text(step, "step") : device);
	cli_table_cell(table, CLI_PLAIN, "%s", text);
	if (json_is_object(after))
		cli_table_cell(table, CLI_DIM, "generation %lld",
			       (long long)json_integer_value(json_object_get(after, "generation")));
}

static bool lun_step_is(const json_t *step, const char *name)
{
	return strcmp(lun_text(step, "step"), name) == 0;
}

static void lun_print_keys(const json_t *device, const json_t *step, bool grouped)
{
	size_t keys = lun_key_total(step);

	if (grouped)
		printf("  ");
	else
		printf("%s%s%s  ", cli_colour(stdout, CLI_BOLD), lun_text(device, "device"),
		       cli_colour(stdout, CLI_PLAIN));
	printf("%zu registration%s, generation %lld\n", keys, keys == 1 ? "" : "s",
	       (long long)json_integer_value(json_object_get(step, "generation")));
	lun_print_key_table(step, grouped ? 4 : 2);
}

/* One result after the other, for a few devices or several steps. */
static void lun_print_step(const json_t *device, const json_t *step, struct cli_table **lines,
			   bool grouped)
{
	const char *name = lun_text(device, "device");
	bool ok = json_is_true(json_object_get(step, "ok"));

	if (json_is_true(json_object_get(step, "dry_run"))) {
		lun_print_dry_run(name, step);
	} else if (lun_step_is(step, "show") && (ok || lun_text(step, "wwid")[0])) {
		if (!grouped)
			lun_print_device_name(device);
		lun_print_show(device, step);
	} else if (ok && lun_step_is(step, "capabilities")) {
		if (!grouped)
			lun_print_device_name(device);
		lun_print_capabilities(step);
	} else if (ok && lun_step_is(step, "keys")) {
		lun_print_keys(device, step, grouped);
	} else if (ok && !lun_step_is(step, "sleep")) {
		if (!*lines) {
			*lines = cli_table_new(NULL, 4);
			cli_table_indent(*lines, grouped ? 2 : 0);
		}
		lun_add_order_row(*lines, name, step, grouped);
	}
	if (!ok)
		lun_print_step_error(name, step);
}

static void lun_flush_lines(struct cli_table **lines)
{
	if (*lines)
		cli_table_print(*lines, stdout);
	cli_table_free(*lines);
	*lines = NULL;
}

static bool lun_all_shown(const json_t *devices)
{
	const json_t *device, *step;
	size_t i;

	json_array_foreach(devices, i, device)
	{
		const json_t *steps = json_object_get(device, "steps");

		step = json_array_get(steps, 0);
		if (json_array_size(steps) > 1 || (step && !lun_step_is(step, "show")))
			return false;
	}
	return json_array_size(devices) > LUN_BLOCKS_MAX;
}

static void lun_print_show_table(const json_t *devices)
{
	static const char *const headings[] = {"DEVICE", ">SIZE", "HOLDER", "TYPE",
					       ">KEYS",  ">GEN",  "WHO",    NULL};
	struct cli_table *table = cli_table_new(headings, 0);
	const json_t *device;
	size_t i;

	json_array_foreach(devices, i, device)
	{
		const json_t *step = json_array_get(json_object_get(device, "steps"), 0);

		if (step && json_is_true(json_object_get(step, "ok")))
			lun_add_show_row(table, device, step);
	}
	if (cli_table_rows(table))
		cli_table_print(table, stdout);
	cli_table_free(table);
}

static bool lun_is_orderly(const json_t *step)
{
	return json_is_true(json_object_get(step, "ok")) &&
	       !json_is_true(json_object_get(step, "dry_run")) && !lun_step_is(step, "show") &&
	       !lun_step_is(step, "keys") && !lun_step_is(step, "capabilities");
}

static void lun_print_each(const json_t *devices, bool table)
{
	struct cli_table *lines = NULL;
	const json_t *device, *step;
	size_t i, j;

	json_array_foreach(devices, i, device)
	{
		const char *error = lun_text(device, "error");
		const json_t *steps = json_object_get(device, "steps");
		bool grouped = json_array_size(steps) > 1;

		if (grouped)
			lun_print_device_name(device);
		json_array_foreach(steps, j, step)
		{
			if (table && json_is_true(json_object_get(step, "ok")))
				continue;
			if (!lun_is_orderly(step))
				lun_flush_lines(&lines);
			lun_print_step(device, step, &lines, grouped);
		}
		if (error[0]) {
			lun_flush_lines(&lines);
			lun_print_device_error(lun_text(device, "device"), error);
		}
		if (grouped)
			lun_flush_lines(&lines);
	}
	lun_flush_lines(&lines);
}

/* Each hint once, however many devices have it. */
static void lun_print_hints(const json_t *devices)
{
	json_t *said = json_object();
	const json_t *device, *step;
	size_t i, j;

	json_array_foreach(devices, i, device)
	{
		json_array_foreach(json_object_get(device, "steps"), j, step)
		{
			const char *hint = lun_text(step, "hint");

			if (!hint[0] || json_object_get(said, hint))
				continue;
			json_object_set_new(said, hint, json_true());
			cli_hint("%s", hint);
		}
	}
	json_decref(said);
}

static void lun_print_summary(const json_t *results)
{
	const json_t *summary = json_object_get(results, "summary");
	json_int_t count = json_integer_value(json_object_get(summary, "devices"));
	json_int_t failed = json_integer_value(json_object_get(summary, "failed"));
	char time[32];

	if (count < 2)
		return;
	fflush(stderr);
	printf("%s%lld devices%s: %lld ok", cli_colour(stdout, CLI_BOLD), (long long)count,
	       cli_colour(stdout, CLI_PLAIN), (long long)(count - failed));
	if (failed)
		printf(", %s%lld failed%s", cli_colour(stdout, CLI_BAD), (long long)failed,
		       cli_colour(stdout, CLI_PLAIN));
	printf(", in %s\n", cli_duration_text((uint64_t)json_integer_value(
						      json_object_get(summary, "elapsed_ms")),
					      time, sizeof(time)));
}

void lun_print_results(json_t *results, const struct lun_context *context)
{
	const json_t *devices = json_object_get(results, "devices");
	bool table = lun_all_shown(devices) && !context->verbose;

	if (context->json) {
		cli_json_print(json_incref(results));
		return;
	}
	if (table)
		lun_print_show_table(devices);
	lun_print_each(devices, table);
	lun_print_hints(devices);
	lun_print_summary(results);
	fflush(stdout);
}
