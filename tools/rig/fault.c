/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Breaking a rig on purpose, and mending it. Every fault takes effect at once, and says what it
 * did.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/cli.h"
#include "tools/rig/faults.h"

#define DAEMON_STOP_MS 30000

struct fault {
	const char *name;
	const char *arguments; /* "NODE ...", or of the target */
	const char *help;
	/* node: NULL for faults of the target; argument: NULL when not given. */
	int (*run)(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		   size_t size);
};

#define TELL(...) snprintf(told, size, __VA_ARGS__)

static int fault_kill(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		      size_t size)
{
	int error = rig_node_kill(rig, node);

	(void)argument;
	TELL("%s: power cut", node->machine.name);
	return error;
}

static int fault_revive(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			size_t size)
{
	int error;

	(void)argument;
	if (rig_machine_runs(&node->machine))
		return rig_fail(rig, EALREADY, "%s is on", node->machine.name);
	rig_node_clean(rig);
	error = rig_node_boot(rig, node);
	TELL("%s: booted again, with the disk it had", node->machine.name);
	return error;
}

static int fault_stop(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		      size_t size)
{
	(void)argument;
	TELL("%s: every process frozen", node->machine.name);
	return rig_machine_freeze(rig, &node->machine);
}

static int fault_cont(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		      size_t size)
{
	(void)argument;
	TELL("%s: thawed", node->machine.name);
	return rig_machine_thaw(rig, &node->machine);
}

static int fault_stop_daemon(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)argument;
	TELL("%s: lunkeeperd stopped (SIGSTOP)", node->machine.name);
	return rig_daemon_signal(rig, node, SIGSTOP);
}

static int fault_cont_daemon(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)argument;
	TELL("%s: lunkeeperd goes on (SIGCONT)", node->machine.name);
	return rig_daemon_signal(rig, node, SIGCONT);
}

static int fault_end_daemon(struct rig *rig, struct rig_node *node, int number)
{
	uint64_t end = rig_now_ms() + DAEMON_STOP_MS * rig->kind->patience;
	int error = rig_daemon_signal(rig, node, number);

	while (!error && rig_daemon_lives(rig, node) && rig_now_ms() < end)
		rig_sleep_ms(2);
	if (!error && rig_now_ms() >= end)
		return rig_fail(rig, ETIMEDOUT, "lunkeeperd on %s does not end",
				node->machine.name);
	if (!error) {
		node->daemon = (struct rig_process){0};
		error = rig_save(rig);
	}
	return error;
}

static int fault_kill_daemon(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)argument;
	TELL("%s: lunkeeperd killed (SIGKILL); gates and services are left", node->machine.name);
	return fault_end_daemon(rig, node, SIGKILL);
}

static int fault_quit_daemon(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)argument;
	TELL("%s: lunkeeperd ended (SIGTERM)", node->machine.name);
	return fault_end_daemon(rig, node, SIGTERM);
}

static int fault_start_daemon(struct rig *rig, struct rig_node *node, const char *argument,
			      char *told, size_t size)
{
	(void)argument;
	TELL("%s: lunkeeperd started", node->machine.name);
	return rig_node_start_daemon(rig, node);
}

/* It ends, or executes itself anew as the same process: then it has been up for less time than we
 * wait. */
static int fault_await_restart(struct rig *rig, struct rig_node *node, uint64_t began)
{
	uint64_t end = began + DAEMON_STOP_MS * rig->kind->patience;

	while (rig_now_ms() < end) {
		json_t *answer;
		uint64_t waited;
		bool anew;

		if (!rig_daemon_lives(rig, node))
			return rig_node_start_daemon(rig, node);
		waited = rig_now_ms() - began;
		answer = rig_node_ask(rig, node, "status", 500 * rig->kind->patience);
		anew = answer &&
		       (uint64_t)json_integer_value(json_object_get(answer, "uptime_ms")) < waited;
		json_decref(answer);
		if (anew)
			return 0;
		rig_sleep_ms(5);
	}
	return rig_fail(rig, ETIMEDOUT, "lunkeeperd on %s does not start anew", node->machine.name);
}

static int fault_restart_daemon(struct rig *rig, struct rig_node *node, const char *argument,
				char *told, size_t size)
{
	uint64_t began = rig_now_ms();
	json_t *answer = rig_node_ask(rig, node, "restart", 5000 * rig->kind->patience);

	(void)argument;
	if (!answer)
		return -EIO;
	json_decref(answer);
	TELL("%s: lunkeeperd started anew; gates and services were left", node->machine.name);
	return fault_await_restart(rig, node, began);
}

static int fault_network(struct rig *rig, const char *argument, unsigned *network)
{
	char *end;

	*network = RIG_NETWORKS;
	if (!argument)
		return 0;
	*network = (unsigned)strtoul(argument, &end, 10);
	if (*end || *network >= RIG_NETWORKS)
		return rig_fail(rig, EINVAL, "'%s' is no network: 0 to %d are expected", argument,
				RIG_NETWORKS - 1);
	return 0;
}

static int fault_cut(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		     size_t size)
{
	unsigned network;
	int error = fault_network(rig, argument, &network);

	TELL("%s: network %s cut, packets are dropped", node->machine.name,
	     argument ? argument : "");
	return error ? error : rig_net_cut(rig, &node->machine, network, true);
}

static int fault_heal(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		      size_t size)
{
	unsigned network;
	int error = fault_network(rig, argument, &network);

	TELL("%s: network %s whole again", node->machine.name, argument ? argument : "");
	return error ? error : rig_net_cut(rig, &node->machine, network, false);
}

static int fault_drop_session(struct rig *rig, struct rig_node *node, const char *argument,
			      char *told, size_t size)
{
	int count = rig_target_drop(rig, &node->machine);

	(void)argument;
	TELL("%s: %d iSCSI session%s ended by the target", node->machine.name, count,
	     count == 1 ? "" : "s");
	return count < 0 ? count : 0;
}

static int fault_delay(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		       size_t size)
{
	uint32_t milliseconds = 0;

	if (!argument || cli_parse_duration(argument, &milliseconds))
		return rig_fail(rig, EINVAL, "how long? '%s' is no time; say 20ms",
				argument ? argument : "");
	TELL("%s: packets to the SAN take %u ms more", node->machine.name, milliseconds);
	return rig_net_delay(rig, &node->machine, milliseconds);
}

static int fault_stall_target(struct rig *rig, struct rig_node *node, const char *argument,
			      char *told, size_t size)
{
	uint32_t milliseconds = 0;
	int error;

	(void)node;
	if (argument && cli_parse_duration(argument, &milliseconds))
		return rig_fail(rig, EINVAL, "how long? '%s' is no time; say 12s", argument);
	error = rig_target_stall(rig, true);
	if (error || !argument) {
		TELL("target: stalled, it answers nobody");
		return error;
	}
	rig_sleep_ms(milliseconds);
	TELL("target: answered nobody for %u ms", milliseconds);
	return rig_target_stall(rig, false);
}

static int fault_resume_target(struct rig *rig, struct rig_node *node, const char *argument,
			       char *told, size_t size)
{
	(void)node;
	(void)argument;
	TELL("target: answers again");
	return rig_target_stall(rig, false);
}

static int fault_slow_target(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	uint32_t milliseconds = 0;

	(void)node;
	if (!argument || (strcmp(argument, "0") && cli_parse_duration(argument, &milliseconds)))
		return rig_fail(rig, EINVAL, "how slow? '%s' is no time; say 200ms, or 0",
				argument ? argument : "");
	if (milliseconds)
		TELL("target: answers come up to %u ms late", milliseconds);
	else
		TELL("target: prompt again");
	return rig_target_slow(rig, milliseconds);
}

/* LIO keeps what was registered with APTPL. */
static const char *fault_forgets(const struct rig *rig)
{
	return rig->kind == &rig_kind_netns ? "; its reservations and registrations are lost" : "";
}

static int fault_kill_target(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)node;
	(void)argument;
	TELL("target: power cut%s", fault_forgets(rig));
	return rig_target_kill(rig);
}

static int fault_start_target(struct rig *rig, struct rig_node *node, const char *argument,
			      char *told, size_t size)
{
	(void)node;
	(void)argument;
	TELL("target: started, with the LUNs it had");
	return rig_target_start(rig);
}

static int fault_restart_target(struct rig *rig, struct rig_node *node, const char *argument,
				char *told, size_t size)
{
	int error = rig_target_kill(rig);

	(void)node;
	(void)argument;
	TELL("target: power cycled%s", fault_forgets(rig));
	return error ? error : rig_target_start(rig);
}

static int fault_change_link(struct rig *rig, struct rig_node *node, const char *argument, bool up)
{
	unsigned network;
	int error = fault_network(rig, argument, &network);

	if (!error && !rig->kind->link)
		error = rig_kind_cannot(rig, "take a link down: `rig fault cut` drops packets");
	return error ? error : rig->kind->link(rig, &node->machine, network, up);
}

static int fault_link_down(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			   size_t size)
{
	TELL("%s: link%s%s down", node->machine.name, argument ? " " : "",
	     argument ? argument : "");
	return fault_change_link(rig, node, argument, false);
}

static int fault_link_up(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			 size_t size)
{
	TELL("%s: link%s%s up", node->machine.name, argument ? " " : "", argument ? argument : "");
	return fault_change_link(rig, node, argument, true);
}

static int fault_relogin(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			 size_t size)
{
	unsigned network;
	int error = fault_network(rig, argument, &network);

	if (!error && !rig->kind->relogin)
		error = rig_kind_cannot(rig, "have sessions of a kernel recovered");
	return error ? error : rig->kind->relogin(rig, &node->machine, network, told, size);
}

static int fault_new_session(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	unsigned network;
	int error = fault_network(rig, argument, &network);

	if (!error && !rig->kind->new_session)
		error = rig_kind_cannot(rig, "make new sessions of a kernel");
	return error ? error : rig->kind->new_session(rig, &node->machine, network, told, size);
}

static int fault_portal(struct rig *rig, const char *argument, bool on)
{
	unsigned network;
	int error = fault_network(rig, argument, &network);

	if (!error && !rig->kind->portal)
		error = rig_kind_cannot(rig, "disable a portal");
	return error ? error : rig->kind->portal(rig, network, on);
}

static int fault_portal_off(struct rig *rig, struct rig_node *node, const char *argument,
			    char *told, size_t size)
{
	(void)node;
	TELL("target: portal%s%s disabled, its connections reset", argument ? " " : "",
	     argument ? argument : "");
	return fault_portal(rig, argument, false);
}

static int fault_portal_on(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			   size_t size)
{
	(void)node;
	TELL("target: portal%s%s is there again", argument ? " " : "", argument ? argument : "");
	return fault_portal(rig, argument, true);
}

static int fault_resize_lun(struct rig *rig, struct rig_node *node, const char *argument,
			    char *told, size_t size)
{
	unsigned lun = 0;
	char text[32] = "";
	uint64_t bytes;

	(void)node;
	if (!argument || sscanf(argument, "%u %31s", &lun, text) != 2 || !lun ||
	    lun > rig->lun_count)
		return rig_fail(rig, EINVAL, "which LUN, 1 to %u, and what size? Say 1 512M",
				rig->lun_count);
	bytes = cli_parse_size(text);
	if (bytes < rig->lun_size || bytes % 512)
		return rig_fail(rig, EINVAL, "'%s' is no size of whole blocks that makes it larger",
				text);
	if (!rig->kind->resize)
		return rig_kind_cannot(rig, "resize a LUN");
	TELL("target: LUN %u has %s", lun, text);
	return rig->kind->resize(rig, lun, bytes);
}

#define FAULT_OF_PROCESS(function, program, signal, text)                                          \
	static int function(struct rig *rig, struct rig_node *node, const char *argument,          \
			    char *told, size_t size)                                               \
	{                                                                                          \
		(void)argument;                                                                    \
		TELL("%s: %s", node->machine.name, text);                                          \
		return fault_parts_process(rig, node, program, signal);                            \
	}

FAULT_OF_PROCESS(fault_kill_gate, "nbdkit", "KILL", "its gates' processes (nbdkit) killed")
FAULT_OF_PROCESS(fault_stop_gate, "nbdkit", "STOP", "its gates' processes (nbdkit) hang")
FAULT_OF_PROCESS(fault_cont_gate, "nbdkit", "CONT", "its gates' processes (nbdkit) go on")
FAULT_OF_PROCESS(fault_kill_helper, "nbdfuse", "KILL", "its devices' helpers (nbdfuse) killed")
FAULT_OF_PROCESS(fault_stop_helper, "nbdfuse", "STOP", "its devices' helpers (nbdfuse) hang")
FAULT_OF_PROCESS(fault_cont_helper, "nbdfuse", "CONT", "its devices' helpers (nbdfuse) go on")

static int fault_wipe_gate(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			   size_t size)
{
	(void)argument;
	TELL("%s: the tables of its gates wiped", node->machine.name);
	return fault_parts_wipe_gate(rig, node);
}

static int fault_flush_maps(struct rig *rig, struct rig_node *node, const char *argument,
			    char *told, size_t size)
{
	(void)argument;
	TELL("%s: multipath -F: maps that nobody uses are gone", node->machine.name);
	return fault_parts_flush_maps(rig, node);
}

static int fault_lose_run(struct rig *rig, struct rig_node *node, const char *argument, char *told,
			  size_t size)
{
	(void)argument;
	TELL("%s: everything in /run/lunkeeper removed", node->machine.name);
	return fault_parts_lose_run(rig, node);
}

/* lost, full or readonly; mend: as it was before. */
static int fault_state(struct rig *rig, struct rig_node *node, const char *argument, char *told,
		       size_t size)
{
	static const char *const ways[] = {"lost", "full", "readonly", "mend"};

	for (size_t i = 0; argument && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argument, ways[i]) != 0)
			continue;
		TELL("%s: its state folder %s%s", node->machine.name, i == 3 ? "as it was" : "is ",
		     i == 3 ? "" : ways[i]);
		return fault_parts_state(rig, node, argument);
	}
	return rig_fail(rig, EINVAL, "lost, full, readonly or mend is expected");
}

static int fault_replace(struct rig *rig, const char *argument, bool back)
{
	char *end = NULL;
	unsigned long lun = argument ? strtoul(argument, &end, 10) : 0;

	if (!lun || *end || lun > rig->lun_count)
		return rig_fail(rig, EINVAL, "which LUN, 1 to %u?", rig->lun_count);
	return fault_parts_replace(rig, (unsigned)lun, back);
}

static int fault_replace_lun(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)node;
	TELL("target: LUN %s is another logical unit, an empty one", argument ? argument : "");
	return fault_replace(rig, argument, false);
}

static int fault_restore_lun(struct rig *rig, struct rig_node *node, const char *argument,
			     char *told, size_t size)
{
	(void)node;
	TELL("target: LUN %s is the first logical unit again", argument ? argument : "");
	return fault_replace(rig, argument, true);
}

static const struct fault faults[] = {
	{"kill", "NODE", "cut its power: cable out, every process dead", fault_kill},
	{"revive", "NODE", "boot it again with the disk it had", fault_revive},
	{"stop", "NODE", "freeze every process of it", fault_stop},
	{"cont", "NODE", "thaw it", fault_cont},
	{"cut", "NODE [NETWORK]", "drop its packets, both ways", fault_cut},
	{"heal", "NODE [NETWORK]", "stop dropping them", fault_heal},
	{"delay", "NODE TIME", "make its packets late (0ms: prompt again)", fault_delay},
	{"link-down", "NODE [NETWORK]", "its link is down (vm)", fault_link_down},
	{"link-up", "NODE [NETWORK]", "and up again", fault_link_up},
	{"relogin", "NODE [NETWORK]", "its connection breaks, the same session is recovered (vm)",
	 fault_relogin},
	{"new-session", "NODE [NETWORK]", "it logs out and in: a session with a new ISID (vm)",
	 fault_new_session},
	{"drop-session", "NODE", "the target ends its iSCSI sessions", fault_drop_session},
	{"stop-daemon", "NODE", "stop lunkeeperd only", fault_stop_daemon},
	{"cont-daemon", "NODE", "let it go on", fault_cont_daemon},
	{"kill-daemon", "NODE", "kill lunkeeperd; gates and services stay", fault_kill_daemon},
	{"quit-daemon", "NODE", "end lunkeeperd as systemd would", fault_quit_daemon},
	{"start-daemon", "NODE", "start it", fault_start_daemon},
	{"restart-daemon", "NODE", "end it, leaving everything to the next, and start that",
	 fault_restart_daemon},
	{"kill-gate", "NODE", "kill its gates' processes (nbdkit)", fault_kill_gate},
	{"stop-gate", "NODE", "they hang", fault_stop_gate},
	{"cont-gate", "NODE", "they go on", fault_cont_gate},
	{"kill-helper", "NODE", "kill its devices' helpers (nbdfuse)", fault_kill_helper},
	{"stop-helper", "NODE", "they hang", fault_stop_helper},
	{"cont-helper", "NODE", "they go on", fault_cont_helper},
	{"wipe-gate", "NODE", "wipe the tables of its gates (vm)", fault_wipe_gate},
	{"flush-maps", "NODE", "multipath -F (vm)", fault_flush_maps},
	{"lose-run", "NODE", "remove everything in /run/lunkeeper", fault_lose_run},
	{"state", "NODE HOW", "its state folder: lost, full, readonly; mend", fault_state},
	{"stall-target", "[TIME]", "the array answers nobody (for so long)", fault_stall_target},
	{"resume-target", NULL, "it answers again", fault_resume_target},
	{"slow-target", "TIME", "every answer comes up to that much late (0: prompt again)",
	 fault_slow_target},
	{"portal-off", "[NETWORK]", "the portal is disabled (vm)", fault_portal_off},
	{"portal-on", "[NETWORK]", "and enabled", fault_portal_on},
	{"resize-lun", "LUN SIZE", "the LUN grows (vm)", fault_resize_lun},
	{"replace-lun", "LUN", "another logical unit under its number", fault_replace_lun},
	{"restore-lun", "LUN", "the first one again", fault_restore_lun},
	{"restart-target", NULL, "power cycle; tgt loses its reservations", fault_restart_target},
	{"kill-target", NULL, "power cut", fault_kill_target},
	{"start-target", NULL, "power on", fault_start_target},
};

#define FAULT_COUNT (sizeof(faults) / sizeof(faults[0]))

void rig_fault_help(FILE *out)
{
	for (size_t i = 0; i < FAULT_COUNT; i++) {
		char line[64];

		snprintf(line, sizeof(line), "%s %s", faults[i].name,
			 faults[i].arguments ? faults[i].arguments : "");
		fprintf(out, "  %-24s %s\n", line, faults[i].help);
	}
}

static const struct fault *fault_find(struct rig *rig, const char *name)
{
	const char *names[FAULT_COUNT + 1] = {0}, *near;

	for (size_t i = 0; i < FAULT_COUNT; i++) {
		if (!strcmp(faults[i].name, name))
			return &faults[i];
		names[i] = faults[i].name;
	}
	near = cli_nearest(name, names);
	rig_fail(rig, EINVAL, "there is no fault '%s'%s%s%s", name, near ? "; '" : "",
		 near ? near : "", near ? "' perhaps?" : "");
	return NULL;
}

static int fault_words(const struct fault *fault)
{
	int words = fault->arguments != NULL;

	for (const char *at = fault->arguments; at && *at; at++)
		words += *at == ' ';
	return words;
}

int rig_fault(struct rig *rig, int argc, char **argv, char *told, size_t size)
{
	const struct fault *fault = fault_find(rig, argv[0]);
	struct rig_node *node = NULL;
	char argument[128];
	bool of_node;

	if (!fault)
		return -EINVAL;
	of_node = fault->arguments && !strncmp(fault->arguments, "NODE", 4);
	if (of_node && argc < 2)
		return rig_fail(rig, EINVAL, "which node? %s %s", fault->name, fault->arguments);
	if (argc > 1 + fault_words(fault))
		return rig_fail(rig, EINVAL, "too much: %s %s is expected", fault->name,
				fault->arguments ? fault->arguments : "");
	if (of_node) {
		node = rig_find_node(rig, argv[1]);
		if (!node)
			return rig_fail(rig, ENOENT, "rig %s has no node %s", rig->name, argv[1]);
		argc--;
		argv++;
	}
	rig_loops_note(rig);
	rig->fault_ms = rig_now_ms();
	if (argc > 1)
		snprintf(argument, sizeof(argument), "%s%s%s", argv[1], argc > 2 ? " " : "",
			 argc > 2 ? argv[2] : "");
	return fault->run(rig, node, argc > 1 ? argument : NULL, told, size);
}
