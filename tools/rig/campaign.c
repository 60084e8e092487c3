/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig campaign`: one failover after the other on a rig, by power cut, pause and network
 * cut in turn, each at a moment of its own; after each, every acknowledged record is looked for on
 * the target's disk, the old owner is brought back, has to stand by, and everything is looked for
 * again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/kind.h"
#include "tools/rig/mixed.h"
#include "tools/rig/story.h"
#include "tools/rig/verify.h"

#define GROUP "mail"
#define CAMPAIGN_MAX 100000
#define FAILOVER_MS 60000
#define RETURN_MS 60000
#define SERVE_MS 400 /* at least so long the new owner serves before the next fault */

static const struct campaign_kind {
	const char *name, *fault, *cure;
} campaign_kinds[] = {
	{"kill", "kill", "revive"}, {"pause", "stop", "cont"}, {"cut", "cut", "heal"}};

#define KINDS (sizeof(campaign_kinds) / sizeof(campaign_kinds[0]))

struct campaign {
	struct rig rig;
	struct rig_options options;
	bool json, keep;
	const char *only;
	uint64_t count, seed;
	unsigned *outages[KINDS];
	size_t done[KINDS];
	json_t *list;
	struct rig_verdict verdict;
};

/* splitmix64: the same moments for the same seed. */
static uint64_t campaign_random(struct campaign *campaign)
{
	uint64_t z = campaign->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static int campaign_verify(struct campaign *campaign, const char *when)
{
	struct rig_verdict *verdict = &campaign->verdict;
	int error = rig_verify(&campaign->rig, "/records", verdict);

	if (error || rig_verdict_good(verdict))
		return error;
	return rig_fail(&campaign->rig, EIO,
			"%s: %llu acknowledged records lost, %llu damaged, %llu left out, %llu "
			"repeated, %llu by a deposed writer; file system %s",
			when, (unsigned long long)verdict->lost,
			(unsigned long long)verdict->damaged, (unsigned long long)verdict->gaps,
			(unsigned long long)verdict->repeated, (unsigned long long)verdict->deposed,
			verdict->file_system_clean ? "clean" : verdict->file_system);
}

/* Brings the old owner back; without a reboot, where it was not killed. */
static int campaign_cure(struct campaign *campaign, const struct campaign_kind *kind,
			 struct rig_node *node)
{
	char *argv[] = {(char *)kind->cure, node->machine.name, NULL}, told[160];
	unsigned wait_ms = RETURN_MS * campaign->rig.kind->patience;
	uint64_t end = rig_now_ms() + wait_ms;
	struct rig_group_view view;
	int error = rig_fault(&campaign->rig, 2, argv, told, sizeof(told));

	while (!error) {
		rig_group_look(&campaign->rig, node, GROUP, &view);
		if (view.known && !strcmp(view.state, "standby") &&
		    !strcmp(view.service, "stopped"))
			return 0;
		if (rig_now_ms() > end)
			return rig_fail(&campaign->rig, ETIMEDOUT,
					"%s does not stand by %u s after %s: %s, service %s",
					node->machine.name, wait_ms / 1000, kind->cure,
					view.known ? view.state : "no answer", view.service);
		rig_sleep_ms(2 * campaign->rig.kind->poll_ms);
	}
	return error;
}

static void campaign_print(struct campaign *campaign, uint64_t number,
			   const struct campaign_kind *kind, const struct rig_timeline *timeline)
{
	uint64_t outage =
		timeline->at_ms[RIG_MOMENT_FIRST_WRITE] - timeline->at_ms[RIG_MOMENT_LAST_WRITE];
	size_t which = (size_t)(kind - campaign_kinds);

	campaign->outages[which][campaign->done[which]++] = (unsigned)outage;
	json_array_append_new(campaign->list,
			      json_pack("{sssssssI}", "fault", kind->name, "from", timeline->from,
					"to", timeline->to, "outage_ms", (json_int_t)outage));
	if (!campaign->json)
		printf("%5llu/%llu  %-5s  %s -> %s  %6llu ms  %8llu acknowledged records, all "
		       "there\n",
		       (unsigned long long)number, (unsigned long long)campaign->count, kind->name,
		       timeline->from, timeline->to, (unsigned long long)outage,
		       (unsigned long long)campaign->verdict.acknowledged);
	fflush(stdout);
}

static int campaign_one(struct campaign *campaign, uint64_t number)
{
	const struct campaign_kind *kind = &campaign_kinds[(number - 1) % KINDS];
	struct rig *rig = &campaign->rig;
	struct rig_timeline timeline;
	struct rig_node *owner = NULL, *next = NULL;
	unsigned wait_ms = FAILOVER_MS * rig->kind->patience;
	int error;

	for (size_t i = 0; campaign->only && i < KINDS; i++)
		if (!strcmp(campaign_kinds[i].name, campaign->only))
			kind = &campaign_kinds[i];
	error = rig_wait_running(rig, &owner, GROUP, wait_ms);
	if (error)
		return error;
	rig_sleep_ms(SERVE_MS + (unsigned)(campaign_random(campaign) % 2000));
	error = rig_failover(rig, GROUP, kind->fault, owner, wait_ms, &timeline);
	if (!error && !strcmp(timeline.from, timeline.to))
		error = rig_fail(rig, EIO, "%s was %s, and went on writing", owner->machine.name,
				 kind->name);
	if (!error) {
		next = rig_find_node(rig, timeline.to);
		error = rig_wait_running(rig, &next, GROUP, wait_ms);
	}
	if (!error)
		error = campaign_verify(campaign, "after the failover");
	if (!error)
		error = campaign_cure(campaign, kind, owner);
	if (!error)
		error = campaign_verify(campaign, "after the old owner's return");
	if (!error)
		campaign_print(campaign, number, kind, &timeline);
	return error;
}

static int compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void campaign_summary(struct campaign *campaign, bool good, json_t *document)
{
	json_t *kinds = json_object();

	for (size_t i = 0; i < KINDS; i++) {
		unsigned *list = campaign->outages[i];
		size_t count = campaign->done[i];

		if (!count)
			continue;
		qsort(list, count, sizeof(*list), compare);
		json_object_set_new(kinds, campaign_kinds[i].name,
				    json_pack("{sIsIsIsI}", "count", (json_int_t)count, "min_ms",
					      (json_int_t)list[0], "median_ms",
					      (json_int_t)list[count / 2], "max_ms",
					      (json_int_t)list[count - 1]));
		if (!campaign->json)
			printf("%-5s  %zu failovers, from write to write: min %u, median %u, max "
			       "%u ms\n",
			       campaign_kinds[i].name, count, list[0], list[count / 2],
			       list[count - 1]);
	}
	if (!campaign->json && good)
		printf("%sNo acknowledged write was lost, and no deposed owner wrote: %llu "
		       "records%s\n",
		       cli_colour(stdout, CLI_GOOD),
		       (unsigned long long)campaign->verdict.acknowledged,
		       cli_colour(stdout, CLI_PLAIN));
	json_object_set_new(document, "kinds", kinds);
	json_object_set_new(document, "acknowledged",
			    json_integer((json_int_t)campaign->verdict.acknowledged));
}

static int campaign_play(void *user)
{
	struct campaign *campaign = user;
	json_t *document = json_object();
	uint64_t seed = campaign->seed;
	int error;

	campaign->list = json_array();
	for (size_t i = 0; i < KINDS; i++)
		campaign->outages[i] = calloc(campaign->count, sizeof(unsigned));
	if (!campaign->json)
		printf("%llu failovers, seed %llu\n", (unsigned long long)campaign->count,
		       (unsigned long long)seed);
	error = rig_up(&campaign->rig, &campaign->options);
	campaign->rig.talks = false;
	for (uint64_t i = 1; i <= campaign->count && !error; i++)
		error = campaign_one(campaign, i);
	if (error) {
		cli_error("campaign: %s", campaign->rig.message);
		if (campaign->rig.complete)
			rig_dump(&campaign->rig, stderr);
	}
	campaign_summary(campaign, !error, document);
	json_object_set_new(document, "ok", json_boolean(!error));
	json_object_set_new(document, "seed", json_integer((json_int_t)seed));
	json_object_set_new(document, "failovers", campaign->list);
	if (error)
		json_object_set_new(document, "error", json_string(campaign->rig.message));
	if (campaign->json)
		cli_json_print(document);
	else
		json_decref(document);
	rig_close(&campaign->rig);
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

int cmd_rig_campaign(int argc, char **argv)
{
	static struct campaign campaign = {.options = {.name = "campaign",
						       .nodes = 2,
						       .luns = 1,
						       .portals = 1,
						       .io_threads = 4,
						       .size = 256 << 20,
						       .service = "builtin",
						       .file_system = "ext4",
						       .defend_ms = UINT32_MAX,
						       .window_ms = UINT32_MAX,
						       .probe_ms = UINT32_MAX,
						       .loss_ms = UINT32_MAX}};
	const char *kind = "netns";
	struct cli_number seed = {.value = rig_wall_ms() % 1000000}, nodes = {.value = 2},
			  mixed = {0};
	bool markdown = false;
	const struct cli_option table[] = {
		{"kind", 0, CLI_OPTION_STRING, &kind, "KIND",
		 "netns, or vm: virtual machines (netns)"},
		{"mixed", 0, CLI_OPTION_UNSIGNED, &mixed, "N",
		 "N rounds of two faults at a time, drawn from all that the rig has"},
		{"only", 0, CLI_OPTION_STRING, &campaign.only, "FAULT",
		 "kill, pause or cut; with --mixed: one that is in every round"},
		{"seed", 0, CLI_OPTION_UNSIGNED, &seed, "N",
		 "of the moments at which faults come; of the first of --mixed rounds"},
		{"nodes", 0, CLI_OPTION_UNSIGNED, &nodes, "N", "of the rig (2)"},
		{"defend", 0, CLI_OPTION_DURATION, &campaign.options.defend_ms, "TIME",
		 "defend interval"},
		{"window", 0, CLI_OPTION_DURATION, &campaign.options.window_ms, "TIME",
		 "challenge window"},
		{"probe", 0, CLI_OPTION_DURATION, &campaign.options.probe_ms, "TIME",
		 "probe interval"},
		{"name", 'n', CLI_OPTION_STRING, &campaign.options.name, "RIG", "(campaign)"},
		{"keep", 0, CLI_OPTION_FLAG, &campaign.keep, NULL, "leave the rig"},
		{"json", 0, CLI_OPTION_FLAG, &campaign.json, NULL, "for programs"},
		{"markdown", 0, CLI_OPTION_FLAG, &markdown, NULL, "with --mixed: a table as well"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig campaign",
		.arguments = "[OPTION...] [N]",
		.summary = "N failovers (100) on a rig of its own; every acknowledged write is "
			   "checked.",
		.options = table,
		.arguments_max = 1,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);
	bool known;

	if (status >= 0)
		return status;
	known = !campaign.only || (mixed.given && mixed_knows(campaign.only));
	for (size_t i = 0; campaign.only && !mixed.given && i < KINDS; i++)
		known = known || !strcmp(campaign.only, campaign_kinds[i].name);
	if (mixed.given && (!known || mixed.value < 1 || mixed.value > CAMPAIGN_MAX ||
			    strcmp(kind, "netns") != 0)) {
		cli_error("campaign --mixed: 1 to %d rounds on a rig of namespaces; --only one of: "
			  "%s",
			  CAMPAIGN_MAX, mixed_names());
		return CLI_EXIT_USAGE;
	}
	campaign.count = count ? strtoull(argv[1], NULL, 10) : 100;
	if (!known || campaign.count < 1 || campaign.count > CAMPAIGN_MAX || nodes.value < 2 ||
	    nodes.value > RIG_NODES_MAX) {
		cli_error("campaign: 1 to %d failovers, 2 to %d nodes, --only kill, pause or cut "
			  "are expected",
			  CAMPAIGN_MAX, RIG_NODES_MAX);
		return CLI_EXIT_USAGE;
	}
	if (rig_kind_choose(&campaign.options, kind)) {
		cli_error("--kind netns or vm is expected");
		return CLI_EXIT_USAGE;
	}
	campaign.options.quiet = campaign.json;
	campaign.seed = seed.value;
	campaign.options.nodes = (unsigned)nodes.value;
	if (mixed.given)
		return mixed_run(&(struct mixed_options){.rig = &campaign.options,
							 .rounds = mixed.value,
							 .seed = seed.value,
							 .only = campaign.only,
							 .json = campaign.json,
							 .markdown = markdown,
							 .keep = campaign.keep});
	return rig_guarded(campaign.options.name, campaign.keep, campaign_play, &campaign);
}
