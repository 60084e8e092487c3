/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Benchmark (b): taking all LUNs of a dead node, after the decision: by LunKeeper, by the same PR
 * commands one LUN after another, and by those with a process for each command.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/bench/bench.h"

#define WAIT_MS 60000
#define JERRY_KEY "0x1111"
#define TOM_KEY "0x2222"

static const struct rig_options takeover_rig = {.name = "bench",
						.nodes = 2,
						.portals = 1,
						.io_threads = 1,
						.size = 1 << 20,
						.defend_ms = UINT32_MAX,
						.window_ms = UINT32_MAX,
						.probe_ms = UINT32_MAX,
						.loss_ms = UINT32_MAX};

/* When the state changed last from `old` to `new`; 0: never. */
static uint64_t takeover_moment(const json_t *events, const char *change)
{
	uint64_t at = 0;
	json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		const char *text = json_string_value(json_object_get(event, "text"));
		const char *kind = json_string_value(json_object_get(event, "kind"));

		if (text && kind && !strcmp(kind, "state") && strstr(text, change))
			at = (uint64_t)json_integer_value(json_object_get(event, "mono_ms"));
	}
	return at;
}

static json_t *takeover_counters(struct rig *rig, struct rig_node *node)
{
	json_t *status = rig_node_ask(rig, node, "status", 10000);
	json_t *counters = json_incref(json_object_get(status, "counters"));

	json_decref(status);
	return counters;
}

/* One group of `luns` LUNs; its owner's power is cut, and the other takes it. */
static int takeover_by_daemon(struct bench *bench, unsigned luns, json_t *row)
{
	struct rig_options options = takeover_rig;
	struct rig *rig = &bench->rig;
	struct rig_node *owner = NULL, *next;
	char file[64];
	int64_t since;
	json_t *events;
	int error;

	options.luns = luns;
	error = bench_groups(rig, &options, luns, 1, "", file, sizeof(file));
	if (!error)
		error = rig_up(rig, &options);
	unlink(file);
	if (!error)
		error = rig_wait_running(rig, &owner, "group1", WAIT_MS);
	if (error)
		return error;
	next = &rig->nodes[owner == &rig->nodes[0]];
	error = rig_wait_state(rig, next, "group1", "standby", WAIT_MS);
	/* A standby reads every member once in member_factor x D, which is 10 s. */
	rig_sleep_ms(luns > 1 ? 12000 : 1000);
	since = rig_last_event(rig, next);
	if (!error)
		error = rig_node_kill(rig, owner);
	if (!error)
		error = rig_wait_running(rig, &next, "group1", WAIT_MS);
	if (error)
		return error;
	events = rig_events(rig, next, since);
	json_object_set_new(row, "lunkeeper_ms",
			    json_integer((json_int_t)(takeover_moment(events, "-> owner") -
						      takeover_moment(events, "-> seizing"))));
	json_object_set_new(row, "counters", takeover_counters(rig, next));
	json_decref(events);
	return 0;
}

/* `rig takeover` on a node; its one line of JSON. */
static json_t *takeover_helper(struct rig *rig, struct rig_node *node, const char *mode,
			       unsigned luns)
{
	char count[16], output[4096], *brace;
	const char *argv[] = {rig_self(), "takeover", mode,     "--luns",  count,
			      "--key",    TOM_KEY,    "--dead", JERRY_KEY, NULL};
	json_t *answer;

	snprintf(count, sizeof(count), "%u", luns);
	rig_machine_run(rig, &node->machine, RIG_ENTER_ALL, argv, NULL, output, sizeof(output));
	brace = strchr(output, '{');
	answer = brace ? json_loads(brace, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	if (!answer || json_integer_value(json_object_get(answer, "failed"))) {
		rig_fail(rig, EIO, "takeover %s on %s: %.300s", mode, node->machine.name, output);
		json_decref(answer);
		return NULL;
	}
	return answer;
}

/* Reserves all LUNs for jerry, and cuts its power. */
static int takeover_prepare(struct rig *rig, unsigned luns)
{
	char count[16], log[RIG_PATH_MAX], *text = NULL;
	const char *argv[] = {rig_self(), "takeover", "hold",    "--luns",
			      count,      "--key",    JERRY_KEY, NULL};
	uint64_t end = rig_now_ms() + WAIT_MS;
	struct rig_process process;
	int error;

	snprintf(count, sizeof(count), "%u", luns);
	rig_path(rig, log, "hold.log");
	unlink(log);
	error = rig_machine_spawn(rig, &rig->nodes[0].machine, argv, log, &process);
	while (!error && !(text && strstr(text, "\"failed\":0}"))) {
		free(text);
		text = rig_read_file(log, NULL);
		if (rig_now_ms() > end || !rig_process_lives(&process))
			error = rig_fail(rig, EIO, "jerry cannot reserve the LUNs: %s",
					 text ? text : "");
		rig_sleep_ms(20);
	}
	free(text);
	return error ? error : rig_node_kill(rig, &rig->nodes[0]);
}

static int takeover_baselines(struct bench *bench, unsigned luns, json_t *row)
{
	static const char *const modes[] = {"sequence", "process"};
	struct rig_options options = takeover_rig;
	struct rig *rig = &bench->rig;
	int error;

	options.luns = luns;
	options.no_daemons = true;
	error = rig_up(rig, &options);
	for (size_t i = 0; i < 2 && !error; i++) {
		json_t *answer;

		if (i) { /* as at the beginning */
			error = rig_target_kill(rig);
			if (!error)
				error = rig_target_start(rig);
			if (!error)
				error = rig_node_boot(rig, &rig->nodes[0]);
		}
		if (!error)
			error = takeover_prepare(rig, luns);
		if (error)
			break;
		answer = takeover_helper(rig, &rig->nodes[1], modes[i], luns);
		if (!answer)
			return -EIO;
		json_object_set_new(row, modes[i], answer);
	}
	return error;
}

static int takeover_rig_ends(struct bench *bench, int error)
{
	char message[512];

	rig_close(&bench->rig);
	if (error)
		return error;
	error = rig_down(takeover_rig.name, message, sizeof(message));
	return error ? rig_fail(&bench->rig, error, "%s", message) : 0;
}

int bench_takeover(struct bench *bench)
{
	static const unsigned sizes[] = {1, 64, 256, 1024};
	json_t *list = json_array();
	int error = 0;

	json_object_set_new(bench->document, "takeover", list);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !error; i++) {
		json_t *row = json_pack("{sI}", "luns", (json_int_t)sizes[i]);

		if (sizes[i] > bench->largest) {
			json_decref(row);
			break;
		}
		bench_say(bench, "takeover of %u LUNs", sizes[i]);
		error = takeover_rig_ends(bench, takeover_by_daemon(bench, sizes[i], row));
		if (!error)
			error = takeover_rig_ends(bench, takeover_baselines(bench, sizes[i], row));
		json_array_append_new(list, row);
	}
	return error;
}
