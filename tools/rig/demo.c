/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig demo`: two nodes, one iSCSI LUN with a file system, a writer that counts what was
 * acknowledged; a planned hand-over and back, a power cut, the proof that nothing was lost, and the
 * dead node's return. The story runs in a child, so that whatever ends it, the rig is taken away.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/kind.h"
#include "tools/rig/story.h"
#include "tools/rig/verify.h"

#define DEMO_GROUP "mail"
#define DEMO_WAIT_MS 30000
#define DEMO_WATCH_MS 1500 /* how long one watches the writer between two acts */
#define DEMO_SCALE 32      /* columns of the timeline */

struct demo {
	struct rig rig;
	struct rig_options options;
	bool json, pause;
	unsigned wait_ms;
	unsigned act;
	json_t *document;
	struct rig_node *jerry, *tom;
	struct rig_timeline timeline;
};

static void __attribute__((format(printf, 2, 3))) say(const struct demo *demo, const char *format,
						      ...)
{
	va_list arguments;

	if (demo->json)
		return;
	va_start(arguments, format);
	printf("%s", strcmp(format, "%s") ? "   " : "");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	fflush(stdout);
}

static void act(struct demo *demo, const char *title)
{
	demo->act++;
	if (demo->json)
		return;
	printf("\n%s%u  %s%s\n\n", cli_colour(stdout, CLI_BOLD), demo->act, title,
	       cli_colour(stdout, CLI_PLAIN));
	fflush(stdout);
}

static const char *colour(enum cli_colour which)
{
	return cli_colour(stdout, which);
}

/* A command of the node's, with what it prints, as a person there would see it. */
static int demo_show(struct demo *demo, struct rig_node *node, const char *const argv[])
{
	char line[200] = "";

	if (demo->json)
		return 0;
	for (size_t i = 0; argv[i]; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s", argv[i]);
	printf("   %s%s#%s%s\n", colour(CLI_DIM), node->machine.name, colour(CLI_PLAIN), line);
	fflush(stdout);
	return rig_machine_exec(&demo->rig, &node->machine, (char *const *)argv);
}

static int demo_up(struct demo *demo)
{
	struct rig_node *owner = NULL;
	struct rig_acknowledged last, first;
	uint64_t began = rig_now_ms();
	int error;

	act(demo, "A cluster of two nodes on one iSCSI LUN");
	error = rig_up(&demo->rig, &demo->options);
	if (error)
		return error;
	demo->rig.talks = false;
	demo->jerry = &demo->rig.nodes[0];
	demo->tom = &demo->rig.nodes[1];
	json_object_set_new(demo->document, "up_ms",
			    json_integer((json_int_t)(rig_now_ms() - began)));
	if (demo->options.kind == &rig_kind_vm) {
		say(demo,
		    "jerry and tom are virtual machines with a kernel of their own, and so is");
		say(demo,
		    "their SAN: LIO, set up by targetcli. open-iscsi logs in over two networks,");
		say(demo, "dm-multipath makes a disk of the two paths. Emulation is slow: an owner "
			  "looks at");
		say(demo, "its LUN every %u ms, and has %u ms to answer.", demo->options.defend_ms,
		    demo->options.window_ms);
	} else {
		say(demo, "jerry and tom are namespaces of this machine, their SAN is a tgtd of "
			  "their own:");
	}
	say(demo,
	    "up in %llu ms. The service `mail` is an ext4 on the LUN and a writer on it, which",
	    (unsigned long long)(rig_now_ms() - began));
	say(demo, "counts a record as acknowledged only when fsync() has come back.");
	error = rig_wait_running(&demo->rig, &owner, DEMO_GROUP, demo->wait_ms);
	if (!error)
		error = rig_wait_acknowledged(&demo->rig, 0, demo->wait_ms, &last, &first);
	json_object_set_new(demo->document, "serving_ms",
			    json_integer((json_int_t)(rig_now_ms() - began)));
	if (error)
		return error;
	rig_sleep_ms(DEMO_WATCH_MS);
	say(demo, "%s", "");
	demo_show(demo, owner, (const char *const[]){"lunkeeper", "status", NULL});
	if (owner == demo->tom) {
		demo->tom = demo->jerry;
		demo->jerry = owner;
	}
	return 0;
}

static int demo_move(struct demo *demo, struct rig_node *from, struct rig_node *to)
{
	const char *argv[] = {"lunkeeper", "move", DEMO_GROUP, to->machine.name, NULL};
	struct rig_acknowledged last, first;
	json_t *moves = json_object_get(demo->document, "moves");
	char output[1024];
	int error;

	rig_last_acknowledged(&demo->rig, &last);
	error = rig_machine_run(&demo->rig, &from->machine, RIG_ENTER_ALL, argv, NULL, output,
				sizeof(output));
	if (error)
		return error < 0 ? error
				 : rig_fail(&demo->rig, EIO, "move %s %s ended with status %d: %s",
					    DEMO_GROUP, to->machine.name, error, output);
	error = rig_wait_acknowledged(&demo->rig, last.record.epoch, demo->wait_ms, &last, &first);
	if (!error)
		error = rig_wait_running(&demo->rig, &to, DEMO_GROUP, demo->wait_ms);
	if (error)
		return error;
	json_array_append_new(moves, json_pack("{sssssI}", "from", from->machine.name, "to",
					       to->machine.name, "outage_ms",
					       (json_int_t)(first.mono_ms - last.mono_ms)));
	snprintf(output, sizeof(output), "lunkeeper move %s %s", DEMO_GROUP, to->machine.name);
	say(demo, "%s%s#%s %-*s  %s%llu ms%s from %s's last acknowledged write to %s's first",
	    colour(CLI_DIM), from->machine.name, colour(CLI_PLAIN),
	    30 - (int)strlen(from->machine.name), output, colour(CLI_BOLD),
	    (unsigned long long)(first.mono_ms - last.mono_ms), colour(CLI_PLAIN),
	    from->machine.name, to->machine.name);
	rig_sleep_ms(DEMO_WATCH_MS / 2);
	return 0;
}

static int demo_moves(struct demo *demo)
{
	int error;

	act(demo, "A planned hand-over, and back");
	json_object_set_new(demo->document, "moves", json_array());
	error = demo_move(demo, demo->jerry, demo->tom);
	if (!error)
		error = demo_move(demo, demo->tom, demo->jerry);
	if (!error)
		say(demo, "The LUN is free at no moment: it is offered, and taken.");
	return error;
}

static const char *demo_moment_text(const struct demo *demo, enum rig_moment moment, char *buffer,
				    size_t size)
{
	const struct rig_timeline *timeline = &demo->timeline;
	const char *from = timeline->from, *to = timeline->to;

	switch (moment) {
	case RIG_MOMENT_LAST_WRITE:
		snprintf(buffer, size, "the last write of %s is acknowledged", from);
		break;
	case RIG_MOMENT_FAULT:
		snprintf(buffer, size, "%s loses its power", from);
		break;
	case RIG_MOMENT_SUSPICION:
		snprintf(buffer, size, "%s asks whether %s lives: %s", to, from,
			 timeline->text[moment]);
		break;
	case RIG_MOMENT_CHALLENGE:
		snprintf(buffer, size,
			 "%s is registered as a challenger; a living owner would answer", to);
		break;
	case RIG_MOMENT_PREEMPT:
		snprintf(buffer, size, "nobody answered: %s preempts %s's key", to, from);
		break;
	case RIG_MOMENT_OWNER:
		snprintf(buffer, size, "a look shows %s as the holder", to);
		break;
	case RIG_MOMENT_MOUNTED:
		snprintf(buffer, size, "checked and mounted on %s", to);
		break;
	case RIG_MOMENT_FIRST_WRITE:
		snprintf(buffer, size, "the first write of %s is acknowledged", to);
		break;
	case RIG_MOMENT_COUNT:
		buffer[0] = 0;
		break;
	}
	return buffer;
}

/* A line with a dot at one column. */
static void demo_scale(uint64_t dot, enum cli_colour which)
{
	const char *line = cli_utf8() ? "─" : "-";

	printf("%s", colour(CLI_DIM));
	for (uint64_t c = 0; c <= DEMO_SCALE; c++) {
		if (c == dot)
			printf("%s%s%s%s%s", colour(CLI_PLAIN), colour(which),
			       cli_utf8() ? "●" : "*", colour(CLI_PLAIN), colour(CLI_DIM));
		else
			printf("%s", line);
	}
	printf("%s", colour(CLI_PLAIN));
}

/* Where the time went. */
static void demo_account(const struct demo *demo)
{
	const uint64_t *at = demo->timeline.at_ms;
	uint64_t asked = at[RIG_MOMENT_SUSPICION], preempted = at[RIG_MOMENT_PREEMPT];
	uint64_t outage = at[RIG_MOMENT_FIRST_WRITE] - at[RIG_MOMENT_LAST_WRITE];

	say(demo, "%s%llu.%03llu s%s from write to write.", colour(CLI_BOLD),
	    (unsigned long long)outage / 1000, (unsigned long long)outage % 1000,
	    colour(CLI_PLAIN));
	if (!asked || !preempted || asked < at[RIG_MOMENT_LAST_WRITE])
		return;
	say(demo, "Of these, %llu ms until it was %s's turn to ask, %llu ms in which %s could have",
	    (unsigned long long)(asked - at[RIG_MOMENT_LAST_WRITE]), demo->timeline.to,
	    (unsigned long long)(preempted - asked), demo->timeline.from);
	say(demo, "answered, and %llu ms to take the LUN, check and mount it, and write.",
	    (unsigned long long)(at[RIG_MOMENT_FIRST_WRITE] - preempted));
}

static void demo_timeline(const struct demo *demo)
{
	const struct rig_timeline *timeline = &demo->timeline;
	uint64_t begin = timeline->at_ms[RIG_MOMENT_LAST_WRITE];
	uint64_t length = timeline->at_ms[RIG_MOMENT_FIRST_WRITE] - begin;
	char text[300];

	printf("      ms\n");
	for (int i = 0; i < RIG_MOMENT_COUNT; i++) {
		enum rig_moment moment = (enum rig_moment)i;
		bool write = moment == RIG_MOMENT_LAST_WRITE || moment == RIG_MOMENT_FIRST_WRITE;
		int64_t at =
			(int64_t)timeline->at_ms[i] - (int64_t)timeline->at_ms[RIG_MOMENT_FAULT];
		uint64_t column = length ? (timeline->at_ms[i] - begin) * DEMO_SCALE / length : 0;

		if (!timeline->at_ms[i])
			continue;
		printf("   %s%5lld  %s", write ? colour(CLI_GOOD) : "", (long long)at,
		       colour(CLI_PLAIN));
		demo_scale(column, write                        ? CLI_GOOD
				   : moment == RIG_MOMENT_FAULT ? CLI_BAD
								: CLI_NOTE);
		printf("  %s\n", demo_moment_text(demo, moment, text, sizeof(text)));
	}
}

static int demo_kill(struct demo *demo)
{
	int error;

	act(demo, "Power cut");
	error = rig_failover(&demo->rig, DEMO_GROUP, "kill", demo->jerry, demo->wait_ms,
			     &demo->timeline);
	if (!error)
		error = rig_wait_running(&demo->rig, &demo->tom, DEMO_GROUP, demo->wait_ms);
	if (error)
		return error;
	/* The agent's end comes into the history a moment behind the writer's first record. */
	json_object_set_new(demo->document, "failover", rig_timeline_json(&demo->timeline));
	say(demo,
	    "%s loses its power: every process of it is dead in an instant, and no packet tells",
	    demo->jerry->machine.name);
	say(demo, "anybody. Only the LUN can say whether it still lives.");
	if (!demo->json) {
		printf("\n");
		demo_timeline(demo);
		printf("\n");
	}
	demo_account(demo);
	rig_node_clean(&demo->rig);
	return 0;
}

static int demo_verify(struct demo *demo)
{
	struct rig_verdict *verdict = calloc(1, sizeof(*verdict));
	bool good;
	int error;

	act(demo, "Is everything there?");
	rig_sleep_ms(DEMO_WATCH_MS / 3);
	error = verdict ? rig_verify(&demo->rig, "/records", verdict) : -ENOMEM;
	if (error) {
		free(verdict);
		return error;
	}
	good = rig_verdict_good(verdict);
	json_object_set_new(demo->document, "verify", rig_verdict_json(verdict));
	say(demo, "The LUN, copied as it is on the target's disk, against what the writers had");
	say(demo,
	    "acknowledged: %s%llu of %llu records are there%s, %llu damaged, %llu out of order,",
	    colour(good ? CLI_GOOD : CLI_BAD),
	    (unsigned long long)(verdict->acknowledged - verdict->lost),
	    (unsigned long long)verdict->acknowledged, colour(CLI_PLAIN),
	    (unsigned long long)verdict->damaged,
	    (unsigned long long)(verdict->gaps + verdict->repeated));
	say(demo, "%llu written by a deposed owner. The file system is %s.",
	    (unsigned long long)verdict->deposed, verdict->file_system_clean ? "clean" : "DAMAGED");
	free(verdict);
	return good ? 0 : rig_fail(&demo->rig, EIO, "the check of the records failed");
}

/* Back from the dead: it finds another owner, stands by, and the target keeps it out. */
static int demo_return(struct demo *demo)
{
	char *revive[] = {(char *)"revive", demo->jerry->machine.name, NULL};
	char told[160], url[RIG_PATH_MAX], output[2048] = "";
	const char *argv[] = {rig_self(), "attempt", "--json", rig_target_url(1, 0, url), NULL};
	struct rig_group_view view;
	json_t *attempt;
	bool refused, said;
	int error;

	act(demo, "The dead node comes back");
	error = rig_fault(&demo->rig, 2, revive, told, sizeof(told));
	if (!error)
		error = rig_wait_state(&demo->rig, demo->jerry, DEMO_GROUP, "standby",
				       demo->wait_ms);
	if (error)
		return error;
	demo_show(demo, demo->jerry, (const char *const[]){"lunkeeper", "status", NULL});
	rig_machine_run(&demo->rig, &demo->jerry->machine, RIG_ENTER_ALL, argv, NULL, output,
			sizeof(output));
	attempt = json_loads(output, 0, NULL);
	refused = json_is_true(json_object_get(attempt, "refused"));
	rig_group_look(&demo->rig, demo->jerry, DEMO_GROUP, &view);
	say(demo, "%s", "");
	say(demo,
	    "%s stands by: it is not registered, so the target itself keeps it out. A real WRITE",
	    demo->jerry->machine.name);
	say(demo, "through a session of its own: %s%s%s", colour(refused ? CLI_GOOD : CLI_BAD),
	    attempt ? json_string_value(json_object_get(attempt, "write")) : output,
	    colour(CLI_PLAIN));
	json_object_set_new(demo->document, "return",
			    json_pack("{sssssO?}", "state", view.state, "holder", view.holder,
				      "attempt", attempt));
	said = attempt != NULL;
	json_decref(attempt);
	if (!said)
		return rig_fail(&demo->rig, EIO, "%s cannot try a write: %.300s",
				demo->jerry->machine.name, output);
	if (!refused)
		return rig_fail(&demo->rig, EIO,
				"the target took a write from a node that owns nothing");
	return 0;
}

static int demo_play(struct demo *demo)
{
	static int (*const acts[])(struct demo *) = {demo_up, demo_moves, demo_kill, demo_verify,
						     demo_return};
	uint64_t began = rig_now_ms();
	int error = 0;

	demo->document = json_object();
	if (!demo->json)
		printf("%sLunKeeper: who owns which LUN, as the LUN itself says%s\n",
		       colour(CLI_BOLD), colour(CLI_PLAIN));
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]) && !error; i++)
		error = acts[i](demo);
	if (error)
		cli_error("demo: %s", demo->rig.message);
	if (error && demo->rig.complete)
		rig_dump(&demo->rig, stderr);
	json_object_set_new(demo->document, "ok", json_boolean(!error));
	json_object_set_new(demo->document, "took_ms",
			    json_integer((json_int_t)(rig_now_ms() - began)));
	if (error)
		json_object_set_new(demo->document, "error", json_string(demo->rig.message));
	if (demo->json)
		cli_json_print(json_incref(demo->document));
	else if (!error)
		printf("\nThat was the demo, in %llu s; its rig is taken away. `lunkeeper rig up "
		       "%s--service builtin`\nmakes one to play with.\n",
		       (unsigned long long)(rig_now_ms() - began) / 1000,
		       demo->options.kind == &rig_kind_vm ? "--kind vm " : "");
	json_decref(demo->document);
	rig_close(&demo->rig);
	return error ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static volatile sig_atomic_t demo_signal;
static pid_t demo_child;

static void demo_end(int number)
{
	demo_signal = number;
	if (demo_child > 0)
		kill(demo_child, SIGKILL);
}

int rig_guarded(const char *name, bool keep, int (*play)(void *user), void *user)
{
	struct sigaction action = {.sa_handler = demo_end};
	char message[512];
	int status = 0;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	fflush(NULL);
	demo_child = fork();
	if (demo_child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		status = play(user);
		fflush(NULL);
		_exit(status);
	}
	if (demo_child < 0) {
		cli_error("no process: %s", strerror(errno));
		return CLI_EXIT_FAILED;
	}
	while (waitpid(demo_child, &status, 0) < 0 && errno == EINTR)
		;
	if (!keep && geteuid() == 0) {
		int error = rig_down(name, message, sizeof(message));

		if (error && error != -ENOENT)
			cli_error("%s", message);
	}
	if (demo_signal)
		return 128 + demo_signal;
	return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_EXIT_FAILED;
}

static int demo_child_play(void *user)
{
	return demo_play(user);
}

int cmd_rig_demo(int argc, char **argv)
{
	static struct demo demo = {.options = {.name = "demo",
					       .nodes = 2,
					       .luns = 1,
					       .portals = 1,
					       .io_threads = 4,
					       .size = 256 << 20,
					       .service = "builtin",
					       .file_system = "ext4",
					       .names = "jerry,tom",
					       .defend_ms = UINT32_MAX,
					       .window_ms = UINT32_MAX,
					       .probe_ms = UINT32_MAX,
					       .loss_ms = UINT32_MAX}};
	const char *kind = "netns";
	bool keep = false;
	const struct cli_option table[] = {
		{"kind", 0, CLI_OPTION_STRING, &kind, "KIND",
		 "netns, or vm: virtual machines, LIO, multipath (netns)"},
		{"json", 0, CLI_OPTION_FLAG, &demo.json, NULL, "for programs"},
		{"keep", 0, CLI_OPTION_FLAG, &keep, NULL,
		 "leave the rig (`lunkeeper rig down` ends it)"},
		{"defend", 0, CLI_OPTION_DURATION, &demo.options.defend_ms, "TIME",
		 "defend interval (500ms)"},
		{"window", 0, CLI_OPTION_DURATION, &demo.options.window_ms, "TIME",
		 "challenge window (2s)"},
		{"probe", 0, CLI_OPTION_DURATION, &demo.options.probe_ms, "TIME",
		 "probe interval (2s)"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig demo",
		.arguments = "[--json]",
		.summary = "Shows a hand-over, a power cut and what becomes of it, on a rig of its "
			   "own.",
		.options = table,
	};
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	if (rig_kind_choose(&demo.options, kind)) {
		cli_error("--kind netns or vm is expected");
		return CLI_EXIT_USAGE;
	}
	demo.wait_ms = DEMO_WAIT_MS * demo.options.kind->patience;
	demo.options.quiet = demo.json;
	return rig_guarded(demo.options.name, keep, demo_child_play, &demo);
}
