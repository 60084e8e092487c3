/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Benchmark (c): what it costs to own 1,000 LUNs in 20 groups, and to stand by for them, when
 * nothing happens; and, beside it, with every LUN looked at in the leader's rhythm.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/bench/bench.h"

#define STEADY_LUNS 1000
#define STEADY_GROUPS 20
#define STEADY_SETTLE_MS 15000
#define WAIT_MS 120000

struct steady_sample {
	uint64_t mono_ms, ticks;
	uint64_t resident_kb;
	json_t *counters;
};

/* utime and stime of the whole process: fields 14 and 15 of /proc/PID/stat. */
static uint64_t steady_ticks(pid_t pid)
{
	char path[64], *text, *at;
	unsigned long long user = 0, system = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text = rig_read_file(path, NULL);
	at = text ? strrchr(text, ')') : NULL;
	if (at)
		sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
		       &system);
	free(text);
	return user + system;
}

static uint64_t steady_resident(pid_t pid)
{
	char path[64], *text, *at;
	unsigned long long resident = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	text = rig_read_file(path, NULL);
	at = text ? strstr(text, "VmRSS:") : NULL;
	if (at)
		sscanf(at, "VmRSS: %llu", &resident);
	free(text);
	return resident;
}

static void steady_sample(struct rig *rig, struct rig_node *node, struct steady_sample *sample)
{
	json_t *request = json_pack("{ssss}", "command", "status", "group", "group1"), *status;

	sample->mono_ms = rig_now_ms();
	sample->ticks = steady_ticks(node->daemon.pid);
	sample->resident_kb = steady_resident(node->daemon.pid);
	status = rig_node_request(rig, node, request, 10000);
	sample->counters = json_incref(json_object_get(status, "counters"));
	json_decref(request);
	json_decref(status);
}

/* {"read-keys": per second, ...} of what has grown. */
static json_t *steady_rates(const json_t *before, const json_t *after, double seconds)
{
	static const char *const kinds[] = {"pr_in", "pr_out"};
	json_t *rates = json_object(), *value;
	const char *name;

	for (size_t i = 0; i < 2; i++) {
		const json_t *old = json_object_get(before, kinds[i]);

		json_object_foreach(json_object_get(after, kinds[i]), name, value)
		{
			json_int_t grown = json_integer_value(value) -
					   json_integer_value(json_object_get(old, name));

			if (grown)
				json_object_set_new(rates, name,
						    json_real((double)grown / seconds));
		}
	}
	return rates;
}

static json_t *steady_node(const char *role, const struct steady_sample *before,
			   const struct steady_sample *after)
{
	double seconds = (double)(after->mono_ms - before->mono_ms) / 1000;
	double share = (double)(after->ticks - before->ticks) / (double)sysconf(_SC_CLK_TCK) /
		       seconds * 100;

	return json_pack("{sssfsIso}", "role", role, "cpu_percent", share, "resident_kb",
			 (json_int_t)after->resident_kb, "per_second",
			 steady_rates(before->counters, after->counters, seconds));
}

static int steady_measure(struct bench *bench, json_t *list, const char *text)
{
	struct rig *rig = &bench->rig;
	struct steady_sample samples[2][2];
	struct rig_node *owner = NULL;
	size_t of_owner;
	char group[32];
	int error = 0;

	for (int i = 1; i <= STEADY_GROUPS && !error; i++) {
		snprintf(group, sizeof(group), "group%d", i);
		owner = &rig->nodes[0];
		error = rig_wait_running(rig, &owner, group, WAIT_MS);
	}
	if (error)
		return error;
	of_owner = (size_t)(owner - rig->nodes);
	rig_sleep_ms(STEADY_SETTLE_MS);
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < 2; i++)
			steady_sample(rig, &rig->nodes[i], &samples[turn][i]);
		if (turn == 0)
			rig_sleep_ms((unsigned)bench->seconds * 1000);
	}
	json_array_append_new(
		list,
		json_pack("{sss[oo]}", "text", text, "nodes",
			  steady_node("owner", &samples[0][of_owner], &samples[1][of_owner]),
			  steady_node("standby", &samples[0][!of_owner], &samples[1][!of_owner])));
	for (int i = 0; i < 4; i++)
		json_decref(samples[i / 2][i % 2].counters);
	return 0;
}

int bench_steady(struct bench *bench)
{
	static const struct {
		const char *text, *more;
	} cases[] = {{"default", ""}, {"every LUN every D", "member_factor = 1\n"}};
	json_t *list = json_array();
	int error = 0;

	json_object_set_new(bench->document, "steady", list);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && !error; i++) {
		struct rig_options options = {.name = "bench",
					      .nodes = 2,
					      .luns = STEADY_LUNS,
					      .portals = 1,
					      .io_threads = 1,
					      .size = 1 << 20,
					      .defend_ms = UINT32_MAX,
					      .window_ms = UINT32_MAX,
					      .probe_ms = UINT32_MAX,
					      .loss_ms = UINT32_MAX};
		char file[64], message[512];

		bench_say(bench, "steady state of %d LUNs in %d groups, %s", STEADY_LUNS,
			  STEADY_GROUPS, cases[i].text);
		error = bench_groups(&bench->rig, &options, STEADY_LUNS, STEADY_GROUPS,
				     cases[i].more, file, sizeof(file));
		if (!error)
			error = rig_up(&bench->rig, &options);
		unlink(file);
		if (!error)
			error = steady_measure(bench, list, cases[i].text);
		rig_close(&bench->rig);
		if (!error)
			error = rig_down(options.name, message, sizeof(message));
	}
	return error;
}
