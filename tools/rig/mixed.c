/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rounds of two faults at a time, see tools/rig/mixed.h. A round is replayed by its seed: which
 * faults, on which nodes, when they begin and how long they last are drawn before it begins.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/kind.h"
#include "tools/rig/mixed.h"
#include "tools/rig/mixed_rest.h"
#include "tools/rig/story.h"
#include "tools/rig/verify.h"

#define GROUP "mail"
#define SETTLE_MS 90000
#define SERVE_MS 600
#define BEGIN_MOST_MS 1500
#define ROUND_STEPS 4

enum whom { OWNER, OTHER, TARGET };

/* moves: the owner may lose the LUN by it. */
static const struct mixed_fault {
	const char *name, *begin, *begin_argument, *end, *end_argument;
	enum whom whom;
	bool moves;
	unsigned least_ms, most_ms; /* from begin to end; without an end 0 */
} mixed_faults[] = {
	{"power cut", "kill", NULL, "revive", NULL, OWNER, true, 3000, 8000},
	{"power cut of a standby", "kill", NULL, "revive", NULL, OTHER, false, 1000, 6000},
	{"frozen", "stop", NULL, "cont", NULL, OWNER, true, 300, 8000},
	{"frozen standby", "stop", NULL, "cont", NULL, OTHER, false, 300, 8000},
	{"cut off", "cut", NULL, "heal", NULL, OWNER, true, 300, 8000},
	{"standby cut off", "cut", NULL, "heal", NULL, OTHER, false, 300, 8000},
	{"daemon hangs", "stop-daemon", NULL, "cont-daemon", NULL, OWNER, true, 300, 6000},
	{"daemon of a standby hangs", "stop-daemon", NULL, "cont-daemon", NULL, OTHER, false, 300,
	 6000},
	{"daemon killed", "kill-daemon", NULL, "start-daemon", NULL, OWNER, true, 50, 6000},
	{"daemon of a standby killed", "kill-daemon", NULL, "start-daemon", NULL, OTHER, false, 50,
	 6000},
	{"daemon ended", "quit-daemon", NULL, "start-daemon", NULL, OWNER, true, 50, 4000},
	{"daemon restarted", "restart-daemon", NULL, NULL, NULL, OWNER, false, 0, 0},
	{"sessions dropped", "drop-session", NULL, NULL, NULL, OWNER, false, 0, 0},
	{"sessions of a standby dropped", "drop-session", NULL, NULL, NULL, OTHER, false, 0, 0},
	{"gate's process killed", "kill-gate", NULL, NULL, NULL, OWNER, false, 0, 0},
	{"gate's process of a standby killed", "kill-gate", NULL, NULL, NULL, OTHER, false, 0, 0},
	{"gate's process hangs", "stop-gate", NULL, "cont-gate", NULL, OWNER, true, 300, 9000},
	{"device's helper killed", "kill-helper", NULL, NULL, NULL, OWNER, false, 0, 0},
	{"device's helper hangs", "stop-helper", NULL, "cont-helper", NULL, OWNER, false, 1000,
	 9000},
	{"state folder lost", "state", "lost", "state", "mend", OWNER, false, 500, 5000},
	{"state folder full", "state", "full", "state", "mend", OWNER, false, 500, 5000},
	{"state folder read-only", "state", "readonly", "state", "mend", OTHER, false, 500, 5000},
	{"target stalled", "stall-target", NULL, "resume-target", NULL, TARGET, false, 300, 6000},
	{"target slow", "slow-target", "100ms", "slow-target", "0", TARGET, false, 1000, 6000},
	{"target's power cycled", "restart-target", NULL, NULL, NULL, TARGET, true, 0, 0},
};

#define FAULTS (sizeof(mixed_faults) / sizeof(mixed_faults[0]))

struct step {
	uint64_t at_ms;
	const struct mixed_fault *fault;
	struct rig_node *node; /* NULL: the target */
	bool end;
};

struct mixed {
	const struct mixed_options *options;
	struct rig rig;
	uint64_t random;
	const struct mixed_fault *pair[2];
	struct step steps[ROUND_STEPS];
	size_t step_count;
	unsigned *outages[FAULTS];
	size_t done[FAULTS], moved[FAULTS];
	json_t *rounds;
	struct rig_verdict verdict;
	uint64_t completed, begun_ms;
};

bool mixed_knows(const char *name)
{
	for (size_t i = 0; i < FAULTS; i++)
		if (!strcmp(mixed_faults[i].name, name))
			return true;
	return false;
}

const char *mixed_names(void)
{
	static char names[1200];

	for (size_t i = 0; i < FAULTS && !names[sizeof(names) - 2]; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i ? ", " : "", mixed_faults[i].name);
	return names;
}

/* splitmix64 */
static uint64_t draw(struct mixed *mixed)
{
	uint64_t z = mixed->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void step_add(struct mixed *mixed, const struct step *step)
{
	size_t at = mixed->step_count++;

	while (at > 0 && mixed->steps[at - 1].at_ms > step->at_ms) {
		mixed->steps[at] = mixed->steps[at - 1];
		at--;
	}
	mixed->steps[at] = *step;
}

static struct rig_node *choose_node(struct mixed *mixed, const struct mixed_fault *fault,
				    struct rig_node *owner)
{
	struct rig *rig = &mixed->rig;
	size_t which;

	if (fault->whom == TARGET)
		return NULL;
	if (fault->whom == OWNER)
		return owner;
	which = (size_t)(draw(mixed) % (rig->node_count - 1));
	for (size_t i = 0; i < rig->node_count; i++)
		if (&rig->nodes[i] != owner && which-- == 0)
			return &rig->nodes[i];
	return owner;
}

static void draw_round(struct mixed *mixed, uint64_t seed, struct rig_node *owner)
{
	mixed->random = seed;
	mixed->step_count = 0;
	for (size_t k = 0; k < 2; k++) {
		const struct mixed_fault *fault;
		struct step step;
		bool fixed = k == 0 && mixed->options->only;

		do {
			fault = &mixed_faults[draw(mixed) % FAULTS];
		} while ((k == 1 && fault == mixed->pair[0]) ||
			 (fixed && strcmp(fault->name, mixed->options->only) != 0));
		mixed->pair[k] = fault;
		step = (struct step){.at_ms = draw(mixed) % BEGIN_MOST_MS,
				     .fault = fault,
				     .node = choose_node(mixed, fault, owner)};
		step_add(mixed, &step);
		if (!fault->end)
			continue;
		step.end = true;
		step.at_ms += fault->least_ms + draw(mixed) % (fault->most_ms - fault->least_ms);
		step_add(mixed, &step);
	}
}

/* What is not possible now, because the other fault came first, is left out. */
static void do_step(struct mixed *mixed, const struct step *step)
{
	const struct mixed_fault *fault = step->fault;
	const char *word = step->end ? fault->end : fault->begin;
	const char *argument = step->end ? fault->end_argument : fault->begin_argument;
	char *argv[4] = {(char *)word, NULL, NULL, NULL}, told[200] = "";
	int argc = 1, error;

	if (step->node)
		argv[argc++] = step->node->machine.name;
	if (argument)
		argv[argc++] = (char *)argument;
	error = rig_fault(&mixed->rig, argc, argv, told, sizeof(told));
	if (!mixed->options->json)
		printf("        %6.1f s  %s%s%s\n", (double)(rig_now_ms() - mixed->begun_ms) / 1000,
		       error ? word : told, error ? ": " : "", error ? mixed->rig.message : "");
}

static int judge_round(struct mixed *mixed, struct rig_node *owner_before,
		       const struct rig_acknowledged *before, unsigned *outage, bool *moved)
{
	struct rig_verdict *verdict = &mixed->verdict;
	struct rig_acknowledged after;
	int error;

	rig_last_acknowledged(&mixed->rig, &after);
	*moved = strcmp(after.record.node, owner_before->machine.name) != 0;
	*outage = mixed_longest_gap(&mixed->rig, before->mono_ms);
	if (*moved && !mixed->pair[0]->moves && !mixed->pair[1]->moves)
		return rig_fail(&mixed->rig, EIO,
				"a failover that neither fault called for: %s to %s",
				owner_before->machine.name, after.record.node);
	error = rig_verify(&mixed->rig, "/records", verdict);
	if (error || rig_verdict_good(verdict))
		return error;
	return rig_fail(&mixed->rig, EIO,
			"%llu acknowledged records lost, %llu damaged, %llu left out, %llu "
			"repeated, %llu by a deposed writer; file system %s",
			(unsigned long long)verdict->lost, (unsigned long long)verdict->damaged,
			(unsigned long long)verdict->gaps, (unsigned long long)verdict->repeated,
			(unsigned long long)verdict->deposed,
			verdict->file_system_clean ? "clean" : verdict->file_system);
}

static void count_round(struct mixed *mixed, uint64_t seed, unsigned outage, bool moved)
{
	for (size_t k = 0; k < 2; k++) {
		size_t which = (size_t)(mixed->pair[k] - mixed_faults);

		mixed->outages[which][mixed->done[which]++] = outage;
		mixed->moved[which] += moved;
	}
	json_array_append_new(mixed->rounds,
			      json_pack("{sIs[ss]sIsb}", "seed", (json_int_t)seed, "faults",
					mixed->pair[0]->name, mixed->pair[1]->name, "outage_ms",
					(json_int_t)outage, "moved", moved));
	mixed->completed++;
	if (!mixed->options->json)
		printf("%5llu/%llu  seed %llu  %s + %s: %u ms%s; %llu records, all there\n",
		       (unsigned long long)mixed->completed,
		       (unsigned long long)mixed->options->rounds, (unsigned long long)seed,
		       mixed->pair[0]->name, mixed->pair[1]->name, outage,
		       moved ? ", on another node" : "",
		       (unsigned long long)mixed->verdict.acknowledged);
	fflush(stdout);
}

static int one_round(struct mixed *mixed, uint64_t seed)
{
	struct rig *rig = &mixed->rig;
	struct rig_node *owner = NULL, *next = NULL;
	struct rig_acknowledged before;
	unsigned outage = 0;
	bool moved = false;
	int error = rig_wait_running(rig, &owner, GROUP, SETTLE_MS * rig->kind->patience);

	if (error)
		return error;
	rig_sleep_ms(SERVE_MS);
	draw_round(mixed, seed, owner);
	rig_last_acknowledged(rig, &before);
	mixed->begun_ms = rig_now_ms();
	for (size_t i = 0; i < mixed->step_count; i++) {
		uint64_t due = mixed->begun_ms + mixed->steps[i].at_ms, now = rig_now_ms();

		if (due > now)
			rig_sleep_ms((unsigned)(due - now));
		do_step(mixed, &mixed->steps[i]);
	}
	error = mixed_mend(rig);
	if (!error)
		error = rig_wait_running(rig, &next, GROUP, SETTLE_MS * rig->kind->patience);
	if (!error)
		error = mixed_rest(rig, GROUP, &next, SETTLE_MS * rig->kind->patience);
	if (!error)
		error = judge_round(mixed, owner, &before, &outage, &moved);
	if (!error)
		count_round(mixed, seed, outage, moved);
	return error;
}

static int compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void summary(struct mixed *mixed, json_t *document)
{
	json_t *kinds = json_object();
	bool markdown = mixed->options->markdown;

	if (markdown)
		printf("\n| fault, with one other | rounds | served on by another node | median | "
		       "max "
		       "|\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < FAULTS; i++) {
		unsigned *list = mixed->outages[i];
		size_t count = mixed->done[i];

		if (!count)
			continue;
		qsort(list, count, sizeof(*list), compare);
		json_object_set_new(kinds, mixed_faults[i].name,
				    json_pack("{sIsIsIsI}", "count", (json_int_t)count, "moved",
					      (json_int_t)mixed->moved[i], "median_ms",
					      (json_int_t)list[count / 2], "max_ms",
					      (json_int_t)list[count - 1]));
		if (markdown)
			printf("| %s | %zu | %zu | %u ms | %u ms |\n", mixed_faults[i].name, count,
			       mixed->moved[i], list[count / 2], list[count - 1]);
		else if (!mixed->options->json)
			printf("%-36s %3zu rounds, %3zu moved, median %5u, max %5u ms\n",
			       mixed_faults[i].name, count, mixed->moved[i], list[count / 2],
			       list[count - 1]);
	}
	json_object_set_new(document, "faults", kinds);
}

static int play(void *user)
{
	struct mixed *mixed = user;
	const struct mixed_options *options = mixed->options;
	json_t *document = json_object();
	uint64_t seed = options->seed;
	int error;

	mixed->rounds = json_array();
	for (size_t i = 0; i < FAULTS; i++)
		mixed->outages[i] = calloc(options->rounds, sizeof(unsigned));
	if (!options->json)
		printf("%llu rounds of two faults, seeds %llu and on\n",
		       (unsigned long long)options->rounds, (unsigned long long)seed);
	error = rig_up(&mixed->rig, options->rig);
	mixed->rig.talks = false;
	for (uint64_t i = 0; i < options->rounds && !error; i++)
		error = one_round(mixed, seed++);
	if (error) {
		cli_error("seed %llu: %s", (unsigned long long)seed - 1, mixed->rig.message);
		if (mixed->rig.complete)
			rig_dump(&mixed->rig, stderr);
		json_object_set_new(document, "error", json_string(mixed->rig.message));
		json_object_set_new(document, "error_seed", json_integer((json_int_t)seed - 1));
	}
	summary(mixed, document);
	json_object_set_new(document, "ok", json_boolean(!error));
	json_object_set_new(document, "seed", json_integer((json_int_t)options->seed));
	json_object_set_new(document, "acknowledged",
			    json_integer((json_int_t)mixed->verdict.acknowledged));
	json_object_set_new(document, "rounds", mixed->rounds);
	if (options->json)
		cli_json_print(document);
	else
		json_decref(document);
	rig_close(&mixed->rig);
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int mixed_run(const struct mixed_options *options)
{
	static struct mixed mixed;

	mixed.options = options;
	return rig_guarded(options->rig->name, options->keep, play, &mixed);
}
