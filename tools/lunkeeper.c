/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper`, the command line: the table of its commands.
 */
#include <locale.h>
#include <signal.h>
#include <string.h>

#include "tools/cli/cli.h"
#include "tools/cluster/help.h"

static const struct cli_command lunkeeper_commands[] = {
	{"help", cmd_help, "To begin with", "TASK",
	 "a page for: own, who, stale-key, move, maintenance, failback, replace-node, grow, "
	 "add-path, "
	 "alarm"},
	{"lun", cmd_lun, "LUNs", "SUBCOMMAND ...",
	 "look at LUNs, reserve, probe, own them (needs no daemon)"},
	{"status", cmd_status, "This cluster, through the daemon", "[--watch]",
	 "services, LUNs and nodes on one screen"},
	{"ledger", cmd_ledger, NULL, "[LUN]", "who is registered where: expected against actual"},
	{"explain", cmd_explain, NULL, "SERVICE", "why it is where it is"},
	{"events", cmd_events, NULL, "[--follow]", "what happened"},
	{"move", cmd_order, "Operations", "SERVICE [NODE]", "hand a service over to another node"},
	{"start", cmd_order, NULL, "SERVICE", "claim a service's LUNs for this node and start it"},
	{"stop", cmd_order, NULL, "SERVICE", "stop a service and give its LUNs back"},
	{"standby", cmd_order, NULL, "", "hand everything over and own nothing until `online`"},
	{"online", cmd_order, NULL, "", "take part again after `standby`"},
	{"maintenance", cmd_order, NULL, "SERVICE on|off",
	 "defend the LUNs, touch nothing, hand over nothing"},
	{"ping", cmd_daemon, "The daemon on this node", "", "is it there?"},
	{"reload", cmd_daemon, NULL, "", "read the configuration again"},
	{"restart", cmd_daemon, NULL, "",
	 "end, leaving gates and services for the next one to adopt"},
	{"shutdown", cmd_daemon, NULL, "", "hand the LUNs over and end"},
	{"version", cmd_version, NULL, "", "of this program, and of the daemon on this node"},
	{"check", cmd_check, "Before it runs", "[FILE]",
	 "validate the configuration, and with --node this machine"},
	{"rig", cmd_rig, NULL, "SUBCOMMAND ...", "a cluster on one machine, to try and to break"},
	{NULL, NULL, NULL, NULL, NULL},
};

static bool is_command(const char *name)
{
	for (const struct cli_command *c = lunkeeper_commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	if (argc > 2 && strcmp(argv[1], "help") == 0 &&
	    (!is_command(argv[2]) || (argc == 3 && help_is_task(argv[2]))))
		return help_task(argc - 2, argv + 2);
	return cli_dispatch("lunkeeper",
			    "LunKeeper " LUNKEEPER_VERSION
			    ": who owns which LUN, as the LUN itself says.",
			    lunkeeper_commands,
			    "`lunkeeper COMMAND --help` tells more; lunkeeper(1) tells all. Exit "
			    "status: 0 done, "
			    "1 failed,\n2 wrong usage, 3 the daemon cannot be reached.",
			    argc, argv);
}
