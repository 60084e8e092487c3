/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kind of rig whose machines are namespaces of this one.
 */
#include <signal.h>

#include "tools/rig/netns/netns.h"

static int netns_check(struct rig *rig, const struct rig_options *options)
{
	int error = rig_machine_check_root(rig);

	(void)options;
	return error ? error : netns_target_check(rig);
}

static int netns_up(struct rig *rig, const struct rig_options *options)
{
	int error = rig_make_disks(rig, options);

	if (!error)
		error = rig_machine_boot(rig, &rig->san, rig_node_setup);
	if (!error)
		error = rig_net_make(rig);
	if (!error)
		error = rig_target_start(rig);
	for (size_t i = 0; i < rig->node_count && !error; i++)
		error = rig_node_boot(rig, &rig->nodes[i]);
	return error;
}

static void netns_down(struct rig *rig)
{
	rig_loops_note(rig);
	rig_process_signal(&rig->slow, SIGKILL);
	rig_process_signal(&rig->target, SIGCONT);
	for (size_t i = 0; i < rig->node_count; i++)
		rig_machine_kill(rig, &rig->nodes[i].machine);
	rig_machine_kill(rig, &rig->san);
}

const struct rig_kind rig_kind_netns = {
	.name = "netns",
	.target = "tgt",
	.machines = "namespaces of this machine",
	.patience = 1,
	.poll_ms = 25,
	.check = netns_check,
	.up = netns_up,
	.down = netns_down,
	.node_boot = netns_node_boot,
	.node_kill = netns_node_kill,
	.node_clean = netns_node_clean,
	.freeze = netns_freeze,
	.exec = netns_exec,
	.run = netns_run,
	.daemon_start = netns_daemon_start,
	.daemon_signal = netns_daemon_signal,
	.daemon_state = netns_daemon_state,
	.control_open = netns_control_open,
	.cut = netns_cut,
	.delay = netns_delay,
	.target_start = netns_target_start,
	.target_kill = netns_target_kill,
	.target_stall = netns_target_stall,
	.target_slow = netns_target_slow,
	.target_drop = netns_target_drop,
	.replace = netns_target_replace,
	.wwid = netns_target_wwid,
	.file = netns_target_file,
};
