/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sim: runs schedules of the simulated cluster. One seed is one schedule, and replays with a
 * readable trace; many are a campaign over all cores, which also counts how often each rule of the
 * arbiter fired. Built with -DARBITER_MUTATION it takes the rules out one by one and expects every
 * one to be missed.
 */
#include "tests/sim/drills.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIM_JOBS_MAX 64
#define SIM_FAILURES_MAX 8   /* of one worker; then it stops */
#define SIM_RULES_FROM 20000 /* schedules from which on a rule that never fired is a failure */
#define SIM_MUTATION_SCHEDULES 6000

struct sim_options {
	uint64_t seed, start, count;
	bool one, json, mutation, verbose;
	unsigned jobs;
	const struct profile *profile;
	int rule;
};

struct sim_failure {
	uint64_t seed;
	char profile[24];
	char text[WORLD_MESSAGE_SIZE];
};

/* In memory that the workers share. */
struct sim_worker {
	uint64_t schedules, steps, orders, writes, virtual_us, changes, settle_longest_us;
	uint64_t challenges, challenges_lost;
	uint64_t rules[ARBITER_RULE_COUNT];
	unsigned failures;
	struct sim_failure failed[SIM_FAILURES_MAX];
};

static const struct profile *sim_profile(const struct sim_options *options, uint64_t seed)
{
	return options->profile ? options->profile
				: &profiles[rng_mix(seed * 2 + 1) % profile_count];
}

static bool sim_schedule(struct world *world, const struct sim_options *options, uint64_t seed,
			 struct sim_worker *worker)
{
	bool ok = world_run(world, seed, sim_profile(options, seed), false, options->rule);

	worker->schedules++;
	worker->steps += world->steps;
	worker->orders += world->orders;
	worker->writes += world->writes;
	worker->virtual_us += world->now_us;
	worker->changes += world->ownership_changes;
	worker->challenges += world->challenges;
	worker->challenges_lost += world->challenges_lost;
	if (world->settle_longest_us > worker->settle_longest_us)
		worker->settle_longest_us = world->settle_longest_us;
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++)
		worker->rules[i] += world->rule_count[i];
	if (!ok && worker->failures < SIM_FAILURES_MAX) {
		struct sim_failure *failure = &worker->failed[worker->failures++];

		failure->seed = seed;
		snprintf(failure->profile, sizeof(failure->profile), "%s", world->profile->name);
		memcpy(failure->text, world->failure, sizeof(failure->text));
	}
	return ok;
}

static void sim_work(const struct sim_options *options, unsigned job, struct sim_worker *worker)
{
	struct world *world = world_new();

	if (!world)
		_exit(2);
	for (uint64_t i = job; i < options->count && worker->failures < SIM_FAILURES_MAX;
	     i += options->jobs)
		sim_schedule(world, options, options->start + i, worker);
	_exit(0);
}

static struct sim_worker *sim_fork(const struct sim_options *options)
{
	struct sim_worker *workers =
		mmap(NULL, options->jobs * sizeof(*workers), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (workers == MAP_FAILED)
		return NULL;
	fflush(stdout);
	for (unsigned i = 0; i < options->jobs; i++) {
		pid_t pid = fork();

		if (pid == 0)
			sim_work(options, i, &workers[i]);
		if (pid < 0)
			return NULL;
	}
	while (wait(&status) > 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			fprintf(stderr, "sim: a worker died (status %d)\n", status);
			return NULL;
		}
	}
	return workers;
}

static void sim_sum(struct sim_worker *sum, const struct sim_worker *worker)
{
	sum->schedules += worker->schedules;
	sum->steps += worker->steps;
	sum->orders += worker->orders;
	sum->writes += worker->writes;
	sum->virtual_us += worker->virtual_us;
	sum->changes += worker->changes;
	sum->challenges += worker->challenges;
	sum->challenges_lost += worker->challenges_lost;
	if (worker->settle_longest_us > sum->settle_longest_us)
		sum->settle_longest_us = worker->settle_longest_us;
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++)
		sum->rules[i] += worker->rules[i];
	sum->failures += worker->failures;
}

static double sim_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void sim_print_json(const struct sim_worker *sum, double seconds, unsigned silent)
{
	printf("{\"schedules\":%" PRIu64
	       ",\"seconds\":%.1f,\"virtual_hours\":%.1f,\"steps\":%" PRIu64 ",\"orders\":%" PRIu64
	       ",\"writes\":%" PRIu64 ",\"ownership_changes\":%" PRIu64 ",\"challenges\":%" PRIu64
	       ",\"challenges_lost\":%" PRIu64 ",\"failures\":%u,\"silent_rules\":%u,\"rules\":{",
	       sum->schedules, seconds, (double)sum->virtual_us / 3.6e9, sum->steps, sum->orders,
	       sum->writes, sum->changes, sum->challenges, sum->challenges_lost, sum->failures,
	       silent);
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", arbiter_rule_name((enum arbiter_rule)i),
		       sum->rules[i]);
	printf("}}\n");
}

static void sim_print(const struct sim_options *options, const struct sim_worker *sum,
		      double seconds)
{
	printf("%" PRIu64 " schedules, %.1f hours of virtual time, in %.1f s: %" PRIu64
	       " steps, %" PRIu64 " orders, %" PRIu64 " writes, %" PRIu64 " changes of ownership\n",
	       sum->schedules, (double)sum->virtual_us / 3.6e9, seconds, sum->steps, sum->orders,
	       sum->writes, sum->changes);
	printf("longest settling %.1f s; %" PRIu64 " challenges, %" PRIu64
	       " lost without a fault of the owner's (answers were being lost)\n",
	       (double)sum->settle_longest_us / 1e6, sum->challenges, sum->challenges_lost);
	if (!options->verbose)
		return;
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++)
		printf("  %-28s %10" PRIu64 "\n", arbiter_rule_name((enum arbiter_rule)i),
		       sum->rules[i]);
}

static int sim_campaign(const struct sim_options *options)
{
	double begun = sim_seconds();
	struct sim_worker *workers = sim_fork(options), sum = {0};
	unsigned silent = 0;
	char problem[200];
	const char *drill = drills_run(-1, problem, sizeof(problem));

	if (!workers)
		return 2;
	if (drill)
		fprintf(stderr, "drill %s: %s\n", drill, problem);
	for (unsigned i = 0; i < options->jobs; i++) {
		sim_sum(&sum, &workers[i]);
		for (unsigned j = 0; j < workers[i].failures; j++) {
			const struct sim_failure *failure = &workers[i].failed[j];

			fprintf(stderr,
				"seed %" PRIu64 " (%s): %s\n  replay: sim --seed %" PRIu64
				" --profile %s\n",
				failure->seed, failure->profile, failure->text, failure->seed,
				failure->profile);
		}
	}
	/* No schedule exchanges a LUN; a drill does. */
	sum.rules[ARBITER_RULE_OWNER_OTHER_UNIT]++;
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++)
		silent += sum.rules[i] == 0;
	if (options->json)
		sim_print_json(&sum, sim_seconds() - begun, silent);
	else
		sim_print(options, &sum, sim_seconds() - begun);
	if (sum.failures > 0 || drill)
		return 1;
	if (silent == 0 || options->count < SIM_RULES_FROM || options->profile)
		return 0;
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++) {
		if (sum.rules[i] == 0)
			fprintf(stderr, "rule %s never fired\n",
				arbiter_rule_name((enum arbiter_rule)i));
	}
	return 1;
}

static int sim_replay(const struct sim_options *options)
{
	static const char *const lost[] = {"keeps registrations of lost sessions",
					   "orphans registrations of lost sessions",
					   "removes registrations of lost sessions"};
	struct world *world = world_new();
	const struct profile *profile = sim_profile(options, options->seed);
	bool ok;

	if (!world)
		return 2;
	printf("seed %" PRIu64 ", profile %s: %s\n", options->seed, profile->name, profile->about);
	ok = world_run(world, options->seed, profile, true, options->rule);
	printf("%u nodes, %u nexuses, %u LUNs, %s%s%s; %.1f s of virtual time\n", world->node_count,
	       world->nexus_count, world->lun_count,
	       lost[world->luns[0].lun.personality.lost_session], world->aptpl ? ", APTPL" : "",
	       world->timing.slow_max_ms ? ", slow" : "", (double)world->now_us / 1e6);
	printf(ok ? "every invariant held\n" : "FAILED: %s\n", world->failure);
	return ok ? 0 : 1;
}

#ifdef ARBITER_MUTATION
/* Every rule is taken out in turn; the invariants must notice. */
#define SIM_DRILL UINT64_MAX /* found by a drill, not in a schedule */

static void sim_mutate_work(const struct sim_options *options, unsigned job, uint64_t *found,
			    char (*how)[160])
{
	struct world *world = world_new();
	char failure[WORLD_MESSAGE_SIZE];

	if (!world)
		_exit(2);
	for (int rule = (int)job; rule < ARBITER_RULE_COUNT; rule += (int)options->jobs) {
		const char *drill;

		if (options->rule >= 0 && rule != options->rule)
			continue;
		drill = drills_run(rule, failure, sizeof(failure));
		if (drill) {
			found[rule] = SIM_DRILL;
			snprintf(how[rule], sizeof(how[rule]), "%s: %.100s", drill, failure);
		}
		for (uint64_t i = 0; i < options->count && found[rule] == 0; i++) {
			const struct profile *profile = sim_profile(options, options->start + i);

			if (world_run(world, options->start + i, profile, false, rule))
				continue;
			memcpy(failure, world->failure, sizeof(failure));
			if (!world_run(world, options->start + i, profile, false, -1))
				continue; /* fails with the rule, too: that is for the campaign to
					     say */
			found[rule] = i + 1;
			snprintf(how[rule], sizeof(how[rule]), "%s: %.140s", profile->name,
				 failure);
		}
	}
	_exit(0);
}

static int sim_mutation(const struct sim_options *options)
{
	size_t size = ARBITER_RULE_COUNT * (sizeof(uint64_t) + 160);
	uint64_t *found =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char(*how)[160] = (char(*)[160])(found + ARBITER_RULE_COUNT);
	unsigned survivors = 0;
	int status;

	if (found == MAP_FAILED)
		return 2;
	fflush(stdout);
	for (unsigned i = 0; i < options->jobs; i++) {
		if (fork() == 0)
			sim_mutate_work(options, i, found, how);
	}
	while (wait(&status) > 0) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			return 2;
	}
	for (unsigned i = 0; i < ARBITER_RULE_COUNT; i++) {
		if (options->rule >= 0 && (int)i != options->rule)
			continue;
		if (found[i] == 0) {
			survivors++;
			printf("%-28s NOT MISSED in %" PRIu64 " schedules\n",
			       arbiter_rule_name((enum arbiter_rule)i), options->count);
		} else if (found[i] == SIM_DRILL) {
			printf("%-28s missed in drill: %s\n",
			       arbiter_rule_name((enum arbiter_rule)i), how[i]);
		} else {
			printf("%-28s missed in schedule %5" PRIu64 ", %s\n",
			       arbiter_rule_name((enum arbiter_rule)i), found[i], how[i]);
		}
	}
	printf("%u rules taken out in turn, %u of them not missed\n",
	       options->rule >= 0 ? 1u : (unsigned)ARBITER_RULE_COUNT, survivors);
	return survivors ? 1 : 0;
}
#endif

static void sim_usage(FILE *out)
{
	fprintf(out, "usage: sim [--schedules N] [--start SEED] [--jobs N] [--profile NAME] "
		     "[--json] [--verbose]\n"
		     "       sim --seed SEED [--profile NAME]     one schedule, with its trace\n"
		     "       sim --mutation [--schedules N]       (mutation build) every rule "
		     "taken out in turn\n"
		     "profiles:\n");
	for (unsigned i = 0; i < profile_count; i++)
		fprintf(out, "  %-14s %s\n", profiles[i].name, profiles[i].about);
}

static int sim_find_rule(const char *name)
{
	for (int i = 0; i < ARBITER_RULE_COUNT; i++) {
		if (strcmp(arbiter_rule_name((enum arbiter_rule)i), name) == 0)
			return i;
	}
	fprintf(stderr, "sim: no rule is called %s\n", name);
	exit(2);
}

static const struct profile *sim_find_profile(const char *name)
{
	for (unsigned i = 0; i < profile_count; i++) {
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	}
	fprintf(stderr, "sim: no profile is called %s\n", name);
	exit(2);
}

static void sim_parse(struct sim_options *options, int argc, char **argv)
{
	static const struct option longs[] = {{"seed", required_argument, NULL, 's'},
					      {"schedules", required_argument, NULL, 'n'},
					      {"start", required_argument, NULL, 'b'},
					      {"jobs", required_argument, NULL, 'j'},
					      {"profile", required_argument, NULL, 'p'},
					      {"json", no_argument, NULL, 'J'},
					      {"mutation", no_argument, NULL, 'm'},
					      {"verbose", no_argument, NULL, 'v'},
					      {"without", required_argument, NULL, 'w'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			options->one = true;
			options->seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			options->count = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			options->start = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			options->jobs = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'p':
			options->profile = sim_find_profile(optarg);
			break;
		case 'J':
			options->json = true;
			break;
		case 'm':
			options->mutation = true;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'w':
			options->rule = sim_find_rule(optarg);
			break;
		case 'h':
			sim_usage(stdout);
			exit(0);
		default:
			sim_usage(stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sim_options options = {.start = 1, .rule = -1};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	sim_parse(&options, argc, argv);
	if (options.jobs == 0)
		options.jobs = cores > 0 ? (unsigned)cores : 1;
	if (options.jobs > SIM_JOBS_MAX)
		options.jobs = SIM_JOBS_MAX;
	if (options.one)
		return sim_replay(&options);
	if (options.mutation) {
#ifdef ARBITER_MUTATION
		if (options.count == 0)
			options.count = SIM_MUTATION_SCHEDULES;
		return sim_mutation(&options);
#else
		fprintf(stderr, "sim: built without -DARBITER_MUTATION\n");
		return 2;
#endif
	}
	if (options.count == 0)
		options.count = SIM_RULES_FROM;
	return sim_campaign(&options);
}
