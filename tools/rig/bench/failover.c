/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Benchmark (a): from a node's death to the first acknowledged write on the survivor.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/rig/bench/bench.h"

#define GROUP "mail"
#define WAIT_MS 60000
#define FAILOVERS_MAX 1000

static const struct failover_case {
	const char *name, *text;
	uint32_t defend_ms, window_ms, probe_ms;
} failover_cases[] = {
	{"default", "default times (D 500 ms, W 2 s, P 2 s)", UINT32_MAX, UINT32_MAX, UINT32_MAX},
	{"fast", "D 100 ms, W 400 ms, P 200 ms", 100, 400, 200}};

struct failover_times {
	uint64_t of[RIG_MOMENT_COUNT][FAILOVERS_MAX]; /* since the fault */
	uint64_t writes[FAILOVERS_MAX];               /* from write to write */
	size_t counts[RIG_MOMENT_COUNT], count;
};

static int failover_one(struct rig *rig, unsigned rest_ms, struct failover_times *times)
{
	char *revive[] = {(char *)"revive", NULL, NULL}, told[160];
	struct rig_timeline timeline;
	struct rig_node *owner = NULL, *next;
	int error = rig_wait_running(rig, &owner, GROUP, WAIT_MS);

	if (error)
		return error;
	rig_sleep_ms(rest_ms);
	error = rig_failover(rig, GROUP, "kill", owner, WAIT_MS, &timeline);
	if (error)
		return error;
	next = rig_find_node(rig, timeline.to);
	error = rig_wait_running(rig, &next, GROUP, WAIT_MS);
	for (int i = 0; i < RIG_MOMENT_COUNT; i++)
		if (timeline.at_ms[i] >= timeline.at_ms[RIG_MOMENT_FAULT])
			times->of[i][times->counts[i]++] =
				timeline.at_ms[i] - timeline.at_ms[RIG_MOMENT_FAULT];
	times->writes[times->count++] =
		timeline.at_ms[RIG_MOMENT_FIRST_WRITE] - timeline.at_ms[RIG_MOMENT_LAST_WRITE];
	rig_node_clean(rig);
	revive[1] = owner->machine.name;
	if (!error)
		error = rig_fault(rig, 2, revive, told, sizeof(told));
	return error ? error : rig_wait_state(rig, owner, GROUP, "standby", WAIT_MS);
}

static json_t *failover_json(struct failover_times *times, const struct failover_case *what)
{
	json_t *stages = json_object();

	for (int i = RIG_MOMENT_SUSPICION; i < RIG_MOMENT_COUNT; i++)
		if (times->counts[i])
			json_object_set_new(stages, rig_moment_name((enum rig_moment)i),
					    bench_spread(times->of[i], times->counts[i]));
	return json_pack("{sssssoso}", "name", what->name, "text", what->text, "stages", stages,
			 "write_to_write", bench_spread(times->writes, times->count));
}

int bench_failover(struct bench *bench)
{
	struct failover_times *times;
	json_t *list = json_array();
	int error = 0;

	json_object_set_new(bench->document, "failover", list);
	for (size_t c = 0; c < sizeof(failover_cases) / sizeof(failover_cases[0]) && !error; c++) {
		const struct failover_case *what = &failover_cases[c];
		const struct rig_options options = {.name = "bench",
						    .nodes = 2,
						    .luns = 1,
						    .portals = 1,
						    .io_threads = 4,
						    .size = 256 << 20,
						    .service = "builtin",
						    .file_system = "ext4",
						    .defend_ms = what->defend_ms,
						    .window_ms = what->window_ms,
						    .probe_ms = what->probe_ms,
						    .loss_ms = UINT32_MAX};
		char message[512];

		times = calloc(1, sizeof(*times));
		if (!times)
			return rig_fail(&bench->rig, ENOMEM, "out of memory");
		bench_say(bench, "failover, %s", what->text);
		error = rig_up(&bench->rig, &options);
		for (uint64_t i = 0; i < bench->failovers && i < FAILOVERS_MAX && !error; i++) {
			/* The moments of death are spread over the probe interval. */
			error = failover_one(&bench->rig, 1000 + (unsigned)(i * 617 % 2000), times);
			if (!error)
				bench_say(bench, "  %2llu: %5llu ms", (unsigned long long)i + 1,
					  (unsigned long long)times->writes[i]);
		}
		if (!error)
			json_array_append_new(list, failover_json(times, what));
		free(times);
		rig_close(&bench->rig);
		if (!error)
			error = rig_down(options.name, message, sizeof(message));
	}
	return error;
}
