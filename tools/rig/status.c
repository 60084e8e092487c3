/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a rig looks like now: asked of the processes, not remembered.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/kind.h"

static const char *state_text(char state)
{
	if (!state || state == 'Z' || state == 'X')
		return "off";
	if (state == '?')
		return "unknown";
	return state == 'T' ? "stopped" : "running";
}

static const char *target_text(const struct rig *rig)
{
	if (!rig_machine_runs(&rig->san) || !rig_process_lives(&rig->target))
		return "off";
	return rig->target_stalled ? "stopped" : state_text(rig_process_state(&rig->target));
}

static const char *daemon_text(struct rig *rig, struct rig_node *node, pid_t *pid)
{
	*pid = 0;
	if (node->machine.frozen)
		return "frozen";
	if (!rig_machine_runs(&node->machine))
		return "off";
	return state_text(rig_daemon_state(rig, node, pid));
}

static const char *machine_text(const struct rig_machine *machine)
{
	if (!rig_machine_runs(machine))
		return "off";
	return machine->frozen ? "frozen" : "running";
}

static json_t *node_json(struct rig *rig, struct rig_node *node)
{
	pid_t pid;
	const char *daemon = daemon_text(rig, node, &pid);
	char initiator[RIG_PATH_MAX], address[2][16];
	struct rig_machine *machine = &node->machine;

	return json_pack("{sssIsssIs[ss]s[bb]sss{sssI}}", "name", machine->name, "id",
			 (json_int_t)machine->number, "state", machine_text(machine), "init",
			 (json_int_t)machine->init.pid, "addresses",
			 rig_net_address(machine->number, 0, address[0]),
			 rig_net_address(machine->number, 1, address[1]), "cut", machine->cut[0],
			 machine->cut[1], "initiator", rig_initiator(rig, machine->name, initiator),
			 "daemon", "state", daemon, "pid", (json_int_t)pid);
}

json_t *rig_status_json(struct rig *rig)
{
	char url[RIG_PATH_MAX], file[RIG_PATH_MAX], name[RIG_NAME_MAX];
	json_t *nodes = json_array(), *luns = json_array();

	for (size_t i = 0; i < rig->node_count; i++)
		json_array_append_new(nodes, node_json(rig, &rig->nodes[i]));
	for (unsigned lun = 1; lun <= rig->lun_count; lun++)
		json_array_append_new(luns,
				      json_pack("{sssIssss}", "name", rig_lun_name(rig, lun, name),
						"number", (json_int_t)lun, "url",
						rig_target_url(lun, 0, url), "file",
						rig_target_file(rig, lun, file)));
	return json_pack("{sssssssssbsbs{sssssIsIsb}soso}", "rig", rig->name, "kind",
			 rig->kind->name, "folder", rig->folder, "cluster", rig->cluster,
			 "complete", rig->complete, "daemons", rig->daemons, "target", "kind",
			 rig->kind->target, "state", target_text(rig), "pid",
			 (json_int_t)rig->target.pid, "lun_size", (json_int_t)rig->lun_size, "slow",
			 rig_process_lives(&rig->slow), "nodes", nodes, "luns", luns);
}

static enum cli_colour state_colour(const char *state)
{
	if (!strcmp(state, "running"))
		return CLI_GOOD;
	return !strcmp(state, "off") ? CLI_BAD : CLI_WARNING;
}

static void print_node(struct cli_table *table, struct rig *rig, struct rig_node *node)
{
	const struct rig_machine *machine = &node->machine;
	pid_t pid;
	const char *daemon = daemon_text(rig, node, &pid);
	char address[16], initiator[RIG_PATH_MAX];

	cli_table_row(table);
	cli_table_cell(table, CLI_BOLD, "%s", machine->name);
	cli_table_cell(table, CLI_PLAIN, "%u", machine->number);
	cli_table_cell(table, state_colour(machine_text(machine)), "%s", machine_text(machine));
	cli_table_cell(table, rig->daemons ? state_colour(daemon) : CLI_DIM, "%s",
		       rig->daemons || pid ? daemon : "none");
	cli_table_cell(table, machine->cut[0] || machine->cut[1] ? CLI_BAD : CLI_PLAIN, "%s",
		       machine->cut[0] && machine->cut[1] ? "cut"
		       : machine->cut[0]                  ? "0 cut"
		       : machine->cut[1]                  ? "1 cut"
							  : "whole");
	cli_table_cell(table, CLI_PLAIN, "%s", rig_net_address(machine->number, 0, address));
	cli_table_cell(table, CLI_DIM, "%s", rig_initiator(rig, machine->name, initiator));
}

void rig_status_print(struct rig *rig)
{
	static const char *const headings[] = {"NODE",    ">ID",     "STATE",     "DAEMON",
					       "NETWORK", "ADDRESS", "INITIATOR", NULL};
	const char *target = target_text(rig);
	char size[32], url[RIG_PATH_MAX], age[32];
	struct cli_table *table = cli_table_new(headings, 0);

	printf("%srig %s%s%s of %s, up for %s, %s\n", cli_colour(stdout, CLI_BOLD), rig->name,
	       cli_colour(stdout, CLI_PLAIN), rig->complete ? "" : " (incomplete)",
	       rig->kind->machines,
	       cli_duration_text(rig_wall_ms() - rig->created_ms, age, sizeof(age)), rig->folder);
	printf("target %s is %s%s%s%s: %u LUN%s of %s, %s%s\n", rig->kind->target,
	       cli_colour(stdout, state_colour(target)), target, cli_colour(stdout, CLI_PLAIN),
	       rig_process_lives(&rig->slow) ? " (slow)" : "", rig->lun_count,
	       rig->lun_count == 1 ? "" : "s", cli_size_text(rig->lun_size, size, sizeof(size)),
	       rig_target_url(1, 0, url), rig->lun_count > 1 ? " and on" : "");
	for (size_t i = 0; i < rig->node_count; i++)
		print_node(table, rig, &rig->nodes[i]);
	cli_table_print(table, stdout);
	cli_table_free(table);
}
