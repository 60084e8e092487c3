/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig bench`: runs the benchmarks and prints what came out, as text, as JSON, or as
 * docs/benchmarks.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/bench/bench.h"
#include "tools/rig/commands.h"

struct bench_run {
	struct bench bench;
	const char *only, *write;
	bool json;
};

void bench_say(const struct bench *bench, const char *format, ...)
{
	va_list arguments;

	if (bench->quiet)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

json_t *bench_spread(uint64_t *values, size_t count)
{
	if (!count)
		return json_null();
	qsort(values, count, sizeof(*values), compare);
	return json_pack("{sIsIsIsI}", "count", (json_int_t)count, "min", (json_int_t)values[0],
			 "median", (json_int_t)values[count / 2], "max",
			 (json_int_t)values[count - 1]);
}

int bench_groups(struct rig *rig, struct rig_options *options, unsigned luns, unsigned groups,
		 const char *more, char *file, size_t size)
{
	unsigned lun = 1, each = luns / groups;
	FILE *out;
	int fd;

	snprintf(file, size, "/tmp/lunkeeper-bench.XXXXXX");
	fd = mkostemp(file, O_CLOEXEC);
	out = fd >= 0 ? fdopen(fd, "w") : NULL;
	rig->lock = -1;
	if (!out)
		return rig_fail(rig, errno, "cannot write %s: %s", file, strerror(errno));
	fprintf(out, "%s", more);
	for (unsigned group = 1; group <= groups; group++) {
		fprintf(out, "service \"group%u\" { nodes = { \"jerry\", \"tom\" } luns = { ",
			group);
		for (unsigned i = 0; i < each; i++, lun++)
			fprintf(out, "%s\"lun%u\"", i ? ", " : "", lun);
		fprintf(out, " } }\n");
	}
	options->service = file;
	return fclose(out) ? rig_fail(rig, EIO, "cannot write %s", file) : 0;
}

static long long number(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void print_failover(FILE *out, const json_t *document)
{
	json_t *row, *stage;
	const char *name;
	size_t i;

	fprintf(out, "## Node death to the first acknowledged write on the survivor\n\n"
		     "`lunkeeper rig bench --only failover`: two nodes and a tgt on one machine, "
		     "ext4 on "
		     "the LUN, a writer that\ncalls fsync() for each record; the owner's power is "
		     "cut at "
		     "moments spread over the probe interval. Milliseconds\nsince the power cut; "
		     "the last "
		     "line of each is from the last acknowledged write to the next one.\n");
	json_array_foreach(json_object_get(document, "failover"), i, row)
	{
		fprintf(out,
			"\n%s, %lld failovers:\n\n| moment | min | median | max "
			"|\n|---|--:|--:|--:|\n",
			text_of(row, "text"),
			number(json_object_get(row, "write_to_write"), "count"));
		json_object_foreach(json_object_get(row, "stages"), name, stage)
			fprintf(out, "| %s | %lld | %lld | %lld |\n", name, number(stage, "min"),
				number(stage, "median"), number(stage, "max"));
		stage = json_object_get(row, "write_to_write");
		fprintf(out, "| **write to write** | **%lld** | **%lld** | **%lld** |\n",
			number(stage, "min"), number(stage, "median"), number(stage, "max"));
	}
}

static void print_takeover(FILE *out, const json_t *document)
{
	json_t *row;
	size_t i;

	fprintf(out,
		"\n## Taking over all LUNs of a dead node\n\n"
		"`lunkeeper rig bench --only takeover`: from the decision to the confirmed "
		"ownership "
		"of all LUNs, on one tgt with one\nI/O thread a LUN. The baselines send the same "
		"five "
		"commands for each LUN (REGISTER, PREEMPT, LOGICAL UNIT RESET,\nREAD KEYS, READ "
		"RESERVATION) through one session that is already logged in, one LUN after "
		"another: "
		"*sequence* from one\nprocess; *process* with a process begun and waited for "
		"before "
		"each command, as when sg_persist is called for each.\nThis machine has no kernel "
		"SCSI "
		"device that sg_persist could be used on, so that process is `sg_persist -V`, "
		"which\n"
		"starts and does nothing; the command itself is sent as in *sequence*. What an "
		"sg_persist would need on top of its\nstart (opening the device, its own INQUIRY) "
		"is "
		"not counted against the baseline.\n\n"
		"| LUNs | LunKeeper ms | sequence ms | process ms | of it starting processes ms | "
		"sequence / LunKeeper | process / LunKeeper |\n|--:|--:|--:|--:|--:|--:|--:|\n");
	json_array_foreach(json_object_get(document, "takeover"), i, row)
	{
		const json_t *sequence = json_object_get(row, "sequence");
		const json_t *process = json_object_get(row, "process");
		double own = (double)number(row, "lunkeeper_ms");
		double one = (double)number(sequence, "took_us") / 1000;
		double many = (double)number(process, "took_us") / 1000;

		/* The history counts in whole milliseconds: less than one is shown as one. */
		own = own < 1 ? 1 : own;
		fprintf(out, "| %lld | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f |\n",
			number(row, "luns"), own, one, many,
			(double)number(process, "processes_us") / 1000, one / own, many / own);
	}
}

static void print_steady(FILE *out, const json_t *document, uint64_t seconds)
{
	json_t *row, *node, *rate;
	const char *name;
	size_t i, j;

	fprintf(out,
		"\n## Steady state\n\n`lunkeeper rig bench --only steady`: 1,000 LUNs in 20 "
		"groups, "
		"default times, %llu s. CPU is that of lunkeeperd, in\npercent of one core; "
		"commands "
		"are those that the node's lunkeeperd sends in a second. *every LUN every D* is "
		"the\n"
		"baseline: `member_factor = 1`, every LUN looked at as often as a leader.\n\n"
		"| | node | CPU %% | resident MiB | PR commands a second "
		"|\n|---|---|--:|--:|---|\n",
		(unsigned long long)seconds);
	json_array_foreach(json_object_get(document, "steady"), i, row)
	{
		json_array_foreach(json_object_get(row, "nodes"), j, node)
		{
			fprintf(out, "| %s | %s | %.2f | %.1f |", text_of(row, "text"),
				text_of(node, "role"),
				json_real_value(json_object_get(node, "cpu_percent")),
				(double)number(node, "resident_kb") / 1024);
			json_object_foreach(json_object_get(node, "per_second"), name, rate)
				fprintf(out, " %s %.1f", name, json_real_value(rate));
			fprintf(out, " |\n");
		}
	}
}

static void print_all(FILE *out, const struct bench_run *run)
{
	struct utsname system;
	char date[32];
	time_t now = time(NULL);
	struct tm parts;

	uname(&system);
	gmtime_r(&now, &parts);
	strftime(date, sizeof(date), "%Y-%m-%d", &parts);
	fprintf(out,
		"# Benchmarks\n\nMade by `make bench` on %s: Linux %s, %ld cores, everything "
		"(target, "
		"nodes, daemons) on one machine. Every figure\nstands beside its baseline from the "
		"same run; compare ratios, not milliseconds of different machines.\n\n",
		date, system.release, sysconf(_SC_NPROCESSORS_ONLN));
	if (json_object_get(run->bench.document, "failover"))
		print_failover(out, run->bench.document);
	if (json_object_get(run->bench.document, "takeover"))
		print_takeover(out, run->bench.document);
	if (json_object_get(run->bench.document, "steady"))
		print_steady(out, run->bench.document, run->bench.seconds);
}

static int bench_write(const struct bench_run *run)
{
	FILE *out = fopen(run->write, "we");

	if (!out) {
		cli_error("cannot write %s: %s", run->write, strerror(errno));
		return CLI_EXIT_FAILED;
	}
	print_all(out, run);
	return fclose(out) ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static const struct bench_part {
	const char *name;
	int (*run)(struct bench *bench);
} bench_parts[] = {
	{"failover", bench_failover}, {"takeover", bench_takeover}, {"steady", bench_steady}};

#define PARTS (sizeof(bench_parts) / sizeof(bench_parts[0]))

static int bench_play(void *user)
{
	struct bench_run *run = user;
	int error = 0;

	run->bench.document = json_object();
	for (size_t i = 0; i < PARTS && !error; i++)
		if (!run->only || !strcmp(run->only, bench_parts[i].name))
			error = bench_parts[i].run(&run->bench);
	if (error)
		cli_error("bench: %s", run->bench.rig.message);
	if (error && run->bench.rig.complete)
		rig_dump(&run->bench.rig, stderr);
	if (run->json)
		cli_json_print(json_incref(run->bench.document));
	else
		print_all(stdout, run);
	if (!error && run->write)
		error = bench_write(run);
	json_decref(run->bench.document);
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int cmd_rig_bench(int argc, char **argv)
{
	static struct bench_run run;
	struct cli_number failovers = {.value = 20}, seconds = {.value = 30},
			  largest = {.value = 1024};
	const struct cli_option table[] = {
		{"only", 0, CLI_OPTION_STRING, &run.only, "PART", "failover, takeover or steady"},
		{"failovers", 0, CLI_OPTION_UNSIGNED, &failovers, "N", "of each kind (20)"},
		{"seconds", 0, CLI_OPTION_UNSIGNED, &seconds, "N", "of steady state (30)"},
		{"largest", 0, CLI_OPTION_UNSIGNED, &largest, "N", "takeover, in LUNs (1024)"},
		{"write", 0, CLI_OPTION_STRING, &run.write, "FILE", "write it there, too"},
		{"json", 0, CLI_OPTION_FLAG, &run.json, NULL, "for programs"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig bench",
		.arguments = "[OPTION...]",
		.summary = "Measures failover, takeover of many LUNs, and the steady state, on "
			   "rigs of "
			   "its own.",
		.options = table,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);
	bool known = !run.only;

	if (status >= 0)
		return status;
	for (size_t i = 0; i < PARTS && run.only; i++)
		known = known || !strcmp(run.only, bench_parts[i].name);
	if (!known || !failovers.value || !seconds.value) {
		cli_error(
			"bench: --only failover, takeover or steady; --failovers and --seconds at "
			"least 1");
		return CLI_EXIT_USAGE;
	}
	run.bench.failovers = failovers.value;
	run.bench.seconds = seconds.value;
	run.bench.largest = largest.value;
	run.bench.quiet = run.json;
	return rig_guarded("bench", false, bench_play, &run);
}
