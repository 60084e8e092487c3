/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper-rig`: a cluster on one machine, to try and to break; a program of its own, which
 * `lunkeeper rig` runs. See tools/rig/rig.h.
 */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/kind.h"

#define UNSET UINT32_MAX
#define ASK_MS 10000

static int rig_failed(struct rig *rig)
{
	cli_error("%s", rig->message);
	rig_close(rig);
	return CLI_EXIT_FAILED;
}

static void print_up(const struct rig *rig, uint64_t took_ms)
{
	char address[16], text[32];

	printf("rig %s: %zu node%s (", rig->name, rig->node_count, rig->node_count == 1 ? "" : "s");
	for (size_t i = 0; i < rig->node_count; i++)
		printf("%s%s", i ? ", " : "", rig->nodes[i].machine.name);
	printf("), %u LUN%s of %s at iscsi://%s:%d/%s, up in %llu ms\n", rig->lun_count,
	       rig->lun_count == 1 ? "" : "s", cli_size_text(rig->lun_size, text, sizeof(text)),
	       rig_net_address(0, 0, address), RIG_PORT, RIG_TARGET_IQN,
	       (unsigned long long)took_ms);
}

static bool up_in_range(const struct rig_options *options)
{
	if (options->size >= 65536 && options->nodes && options->nodes <= RIG_NODES_MAX &&
	    options->luns && options->luns <= RIG_LUNS_MAX && options->portals &&
	    options->portals <= RIG_NETWORKS && options->io_threads && options->io_threads <= 64)
		return true;
	cli_error("out of range: --size at least 64K, --nodes 1 to %d, --luns 1 to %d, "
		  "--portals 1 to %d, --io-threads 1 to 64",
		  RIG_NODES_MAX, RIG_LUNS_MAX, RIG_NETWORKS);
	return false;
}

static int cmd_rig_up(int argc, char **argv)
{
	struct rig_options options = {
		.defend_ms = UNSET, .window_ms = UNSET, .probe_ms = UNSET, .loss_ms = UNSET};
	struct cli_number nodes = {.value = 2}, luns = {.value = 1}, portals = {.value = 1},
			  threads = {.value = 4}, memory = {0};
	const char *size = "256M", *kind = "netns", *initiator = "kernel";
	bool json = false;
	const struct cli_option table[] = {
		{"name", 'n', CLI_OPTION_STRING, &options.name, "RIG", "name it (default: rig)"},
		{"nodes", 0, CLI_OPTION_UNSIGNED, &nodes, "N", "how many nodes (2)"},
		{"names", 0, CLI_OPTION_STRING, &options.names, "A,B,...",
		 "their names (jerry, tom, spike, ...)"},
		{"luns", 0, CLI_OPTION_UNSIGNED, &luns, "N", "how many LUNs (1)"},
		{"size", 0, CLI_OPTION_STRING, &size, "SIZE", "of a LUN (256M); files are sparse"},
		{"mkfs", 0, CLI_OPTION_STRING, &options.file_system, "TYPE",
		 "make a file system on the first LUN"},
		{"kind", 0, CLI_OPTION_STRING, &kind, "KIND",
		 "netns: namespaces, a tgtd; vm: virtual machines, LIO (netns)"},
		{"portals", 0, CLI_OPTION_UNSIGNED, &portals, "N",
		 "paths to each LUN, 1 or 2 (netns: 1, vm: 2)"},
		{"io-threads", 0, CLI_OPTION_UNSIGNED, &threads, "N", "of tgtd, each LUN (4)"},
		{"initiator", 0, CLI_OPTION_STRING, &initiator, "WHICH",
		 "of vm: kernel (open-iscsi, multipath) or user (libiscsi) (kernel)"},
		{"memory", 0, CLI_OPTION_UNSIGNED, &memory, "MIB", "of vm: of each machine (384)"},
		{"path-timeout", 0, CLI_OPTION_DURATION, &options.path_timeout_ms, "TIME",
		 "of vm: I/O on a dead path waits so long (15s)"},
		{"aptpl-lazy", 0, CLI_OPTION_FLAG, &options.aptpl_lazy, NULL,
		 "of vm: LIO's registrations reach the disk some time later"},
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "Configuration of the nodes"},
		{"service", 0, CLI_OPTION_STRING, &options.service, "FILE",
		 "add this to it; `builtin`: the demo's mail store"},
		{"configuration", 0, CLI_OPTION_STRING, &options.configuration, "FILE",
		 "use this instead"},
		{"cluster", 0, CLI_OPTION_STRING, &options.cluster, "NAME",
		 "of the cluster (default: the rig's)"},
		{"defend", 0, CLI_OPTION_DURATION, &options.defend_ms, "TIME", "defend interval"},
		{"window", 0, CLI_OPTION_DURATION, &options.window_ms, "TIME", "challenge window"},
		{"probe", 0, CLI_OPTION_DURATION, &options.probe_ms, "TIME", "probe interval"},
		{"loss", 0, CLI_OPTION_DURATION, &options.loss_ms, "TIME", "loss tolerance"},
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "Others"},
		{"no-daemons", 0, CLI_OPTION_FLAG, &options.no_daemons, NULL,
		 "nodes without lunkeeperd"},
		{"keep", 0, CLI_OPTION_FLAG, &options.keep, NULL,
		 "leave what was made when it fails half-way"},
		{"json", 0, CLI_OPTION_FLAG, &json, NULL, "print the rig's status as JSON"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig up",
		.arguments = "[OPTION...]",
		.summary = "Boots a SAN and nodes, in namespaces of this machine or in virtual "
			   "machines. "
			   "Needs root.",
		.options = table,
	};
	uint64_t began = rig_now_ms();
	struct rig rig;
	int count, status = cli_parse(&usage, argc, argv, &count);

	if (status >= 0)
		return status;
	options.size = cli_parse_size(size);
	options.nodes = (unsigned)nodes.value;
	options.luns = (unsigned)luns.value;
	options.kind = rig_kind_find(kind);
	if (options.kind == &rig_kind_vm && !portals.given)
		portals.value = RIG_NETWORKS; /* times stay the daemon's own */
	options.portals = (unsigned)portals.value;
	options.user_initiator = !strcmp(initiator, "user");
	options.memory_mb = memory.value > UINT16_MAX ? UINT16_MAX : (unsigned)memory.value;
	options.quiet = json;
	options.io_threads = (unsigned)threads.value;
	options.name = options.name ? options.name : RIG_NAME_DEFAULT;
	if (options.service && !strcmp(options.service, "builtin") && !options.file_system)
		options.file_system = "ext4";
	if (!options.kind || (strcmp(initiator, "kernel") && !options.user_initiator)) {
		cli_error("--kind netns or vm, and --initiator kernel or user, are expected");
		return CLI_EXIT_USAGE;
	}
	if (!up_in_range(&options))
		return CLI_EXIT_USAGE;
	if (rig_up(&rig, &options))
		return rig_failed(&rig);
	if (json)
		cli_json_print(rig_status_json(&rig));
	else
		print_up(&rig, rig_now_ms() - began);
	rig_close(&rig);
	return CLI_EXIT_OK;
}

/* --name of the commands that work on a rig that is there. */
static int parse_simple(const char *command, const char *arguments, const char *summary,
			const char *text, size_t arguments_max, const char **name, bool *json,
			int argc, char **argv, int *count)
{
	struct cli_option table[] = {
		{"name", 'n', CLI_OPTION_STRING, name, "RIG",
		 "which rig, if there is more than one"},
		{"json", 0, CLI_OPTION_FLAG, json, NULL, "for programs"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {.command = command,
					.arguments = arguments,
					.summary = summary,
					.text = text,
					.options = table,
					.arguments_max = arguments_max};

	if (!json)
		table[1] = table[2];
	return cli_parse(&usage, argc, argv, count);
}

static int cmd_rig_status(int argc, char **argv)
{
	char names[32][RIG_NAME_MAX];
	const char *name = NULL;
	bool json = false, failed = false;
	struct rig rig;
	int status, argument_count;
	size_t count;
	json_t *list;

	status = parse_simple("lunkeeper rig status", "[--json]",
			      "Shows the rigs of this machine, what runs and what is broken.", NULL,
			      0, &name, &json, argc, argv, &argument_count);
	if (status >= 0)
		return status;
	count = name ? 1 : rig_list(names, 32);
	if (!count && json)
		cli_json_print(json_array());
	if (!count && !json)
		printf("there is no rig; `lunkeeper rig up` makes one\n");
	list = json_array();

	for (size_t i = 0; i < count; i++) {
		if (rig_open_reading(&rig, name ? name : names[i])) {
			cli_error("%s", rig.message);
			failed = true;
			continue;
		}
		if (json)
			json_array_append_new(list, rig_status_json(&rig));
		else
			rig_status_print(&rig);
	}
	if (json && json_array_size(list) == 1)
		cli_json_print(json_incref(json_array_get(list, 0)));
	else if (json && json_array_size(list))
		cli_json_print(json_incref(list));
	json_decref(list);
	return failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

/* Its options end at the node's name: what follows is the command's. */
static int cmd_rig_exec(int argc, char **argv)
{
	const char *name = NULL;
	struct rig_node *node;
	struct rig rig;
	int at = 1, status;

	if (at + 1 < argc && (!strcmp(argv[at], "--name") || !strcmp(argv[at], "-n"))) {
		name = argv[at + 1];
		at += 2;
	}
	if (at < argc && (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))) {
		printf("Usage: lunkeeper rig exec [--name RIG] NODE COMMAND...\n\nRuns a command "
		       "on a "
		       "node (or on san), and ends with its exit status.\n");
		return CLI_EXIT_OK;
	}
	if (argc - at < 2) {
		cli_error("usage: lunkeeper rig exec [--name RIG] NODE COMMAND...");
		return CLI_EXIT_USAGE;
	}
	if (rig_open_reading(&rig, name))
		return rig_failed(&rig);
	node = rig_find_node(&rig, argv[at]);
	if (!node && strcmp(argv[at], "san")) {
		cli_error("rig %s has no node %s", rig.name, argv[at]);
		return CLI_EXIT_FAILED;
	}
	status = rig_machine_exec(&rig, node ? &node->machine : &rig.san, argv + at + 1);
	return status < 0 ? rig_failed(&rig) : status;
}

/* What a node's daemon answers, without a process there. */
static int cmd_rig_ask(int argc, char **argv)
{
	const char *name = NULL;
	struct rig_node *node;
	struct rig rig;
	json_t *answer;
	int count, status = parse_simple("lunkeeper rig ask", "NODE COMMAND",
					 "Asks a node's lunkeeperd, and prints its answer.", NULL,
					 2, &name, NULL, argc, argv, &count);

	if (status >= 0)
		return status;
	if (count < 2) {
		cli_error("usage: lunkeeper rig ask [--name RIG] NODE COMMAND");
		return CLI_EXIT_USAGE;
	}
	if (rig_open_reading(&rig, name))
		return rig_failed(&rig);
	node = rig_find_node(&rig, argv[1]);
	if (!node) {
		cli_error("rig %s has no node %s", rig.name, argv[1]);
		return CLI_EXIT_FAILED;
	}
	answer = rig_node_ask(&rig, node, argv[2], ASK_MS);
	if (!answer)
		return rig_failed(&rig);
	cli_json_print(answer);
	return CLI_EXIT_OK;
}

static void print_time(uint64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm parts;
	char text[16];

	localtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%H:%M:%S", &parts);
	printf("%s%s.%03u%s ", cli_colour(stdout, CLI_DIM), text, (unsigned)(wall_ms % 1000),
	       cli_colour(stdout, CLI_PLAIN));
}

static int cmd_rig_fault(int argc, char **argv)
{
	char told[300] = "", *text = NULL;
	const char *name = NULL;
	bool json = false;
	uint64_t began, wall;
	struct rig rig;
	size_t length;
	int status, count;
	FILE *help = open_memstream(&text, &length);

	if (!help)
		return CLI_EXIT_FAILED;
	rig_fault_help(help);
	fclose(help);
	status = parse_simple("lunkeeper rig fault", "FAULT [ARGUMENT...]",
			      "Breaks the rig on purpose, or mends it.", text, 3, &name, &json,
			      argc, argv, &count);
	if (status < 0 && !count) {
		printf("%s", text);
		status = CLI_EXIT_USAGE;
	}
	free(text);
	if (status >= 0)
		return status;
	if (rig_open(&rig, name))
		return rig_failed(&rig);
	began = rig_now_ms();
	wall = rig_wall_ms();
	if (rig_fault(&rig, count, argv + 1, told, sizeof(told)))
		return rig_failed(&rig);
	if (json) {
		cli_json_print(json_pack("{sssIsIsI}", "fault", told, "time_ms", (json_int_t)wall,
					 "mono_ms", (json_int_t)began, "took_ms",
					 (json_int_t)(rig_now_ms() - began)));
	} else {
		print_time(wall);
		printf("%s (%llu ms)\n", told, (unsigned long long)(rig_now_ms() - began));
	}
	fflush(stdout);
	if (!strcmp(argv[1], "kill"))
		rig_node_clean(&rig);
	rig_close(&rig);
	return CLI_EXIT_OK;
}

static int cmd_rig_log(int argc, char **argv)
{
	char path[RIG_PATH_MAX];
	const char *name = NULL;
	bool follow = false;
	struct rig_node *node;
	struct rig rig;
	int status, count;
	const struct cli_option table[] = {
		{"name", 'n', CLI_OPTION_STRING, &name, "RIG", "which rig"},
		{"follow", 'f', CLI_OPTION_FLAG, &follow, NULL, "go on showing what comes"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig log",
		.arguments = "[--follow] NODE",
		.summary = "What lunkeeperd of a node (or tgtd of the san) has written.",
		.options = table,
		.arguments_min = 1,
		.arguments_max = 1,
	};

	status = cli_parse(&usage, argc, argv, &count);
	if (status >= 0)
		return status;
	if (rig_open_reading(&rig, name))
		return rig_failed(&rig);
	node = rig_find_node(&rig, argv[1]);
	if (!node && strcmp(argv[1], "san")) {
		cli_error("rig %s has no node %s", rig.name, argv[1]);
		return CLI_EXIT_FAILED;
	}
	if (node)
		rig_node_log(&rig, node, path);
	else
		rig_path(&rig, path, rig.kind == &rig_kind_vm ? "san/boot.log" : "san/tgtd.log");
	execlp("tail", "tail", "-n", "+1", follow ? "-F" : path, follow ? path : NULL, NULL);
	cli_error("cannot run tail: %s", strerror(errno));
	return CLI_EXIT_FAILED;
}

static int cmd_rig_down(int argc, char **argv)
{
	char names[64][RIG_NAME_MAX], message[512];
	const char *name = NULL;
	bool all = false;
	int status, count, failed = 0;
	size_t rigs = 1;
	const struct cli_option table[] = {
		{"name", 'n', CLI_OPTION_STRING, &name, "RIG", "which rig"},
		{"all", 0, CLI_OPTION_FLAG, &all, NULL, "every rig of this machine"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig down",
		.arguments = "[--name RIG | --all]",
		.summary = "Ends a rig and removes all of it, in whatever state it is.",
		.options = table,
	};

	status = cli_parse(&usage, argc, argv, &count);
	if (status >= 0)
		return status;
	if (!all) {
		failed = rig_down(name, message, sizeof(message));
		if (failed)
			cli_error("%s", message);
		return failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
	}
	rigs = rig_list(names, 32);
	rigs += rig_cgroup_list(names + rigs, 32);
	for (size_t i = 0; i < rigs; i++) {
		int error = rig_down(names[i], message, sizeof(message));

		if (error && error != -ENOENT) {
			cli_error("%s", message);
			failed = 1;
		}
	}
	return failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static const struct cli_command rig_commands[] = {
	{"up", cmd_rig_up, "A rig", "[OPTION...]", "boot a SAN and nodes"},
	{"status", cmd_rig_status, NULL, "", "what runs, what is broken"},
	{"exec", cmd_rig_exec, NULL, "NODE COMMAND...", "run a command on a node"},
	{"fault", cmd_rig_fault, NULL, "FAULT ...", "break it, or mend it"},
	{"log", cmd_rig_log, NULL, "NODE", "what a node's daemon has written"},
	{"verify", cmd_rig_verify, NULL, "", "hold what was acknowledged against the LUN"},
	{"down", cmd_rig_down, NULL, "", "take all of it away"},
	{"target-conf", cmd_rig_target_conf, "On machines of your own", "",
	 "what targetcli needs to hear to make a SAN of one"},
	{"demo", cmd_rig_demo, "With a rig of their own", "[--json]",
	 "a hand-over, a power cut, and what becomes of it"},
	{"campaign", cmd_rig_campaign, NULL, "[N]",
	 "failovers in a row, every acknowledged write checked"},
	{"bench", cmd_rig_bench, NULL, "", "figures, each beside its baseline"},
	{"attempt", cmd_rig_attempt, NULL, "URL", NULL},
	{"takeover", cmd_rig_takeover, NULL, "hold|sequence|process", NULL},
	{"ask", cmd_rig_ask, NULL, "NODE COMMAND", NULL},
	{"agent", cmd_rig_agent, NULL, "ADDRESS", NULL},
	{"writer", cmd_rig_writer, NULL, "--file FILE --log FILE", NULL},
	{"server", cmd_rig_server, NULL, "--file FILE", NULL},
	{"client", cmd_rig_client, NULL, "--log FILE ADDRESS:PORT", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	return cli_dispatch(
		"lunkeeper rig",
		"A cluster on one machine: its SAN and nodes are namespaces, or virtual "
		"machines.",
		rig_commands, NULL, argc, argv);
}
