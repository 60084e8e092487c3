/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kind of rig whose machines are virtual machines, see tools/rig/vm/vm.h: made, and taken away.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/netns/netns.h"
#include "tools/rig/vm/vm.h"

#define DAEMON_ANSWER_MS 120000

/* All at once: the nodes' boots wait for the SAN by themselves. */
static int vm_boot_all(struct rig *rig)
{
	struct rig_machine *machines[RIG_NODES_MAX + 1] = {&rig->san};
	size_t count = 1;
	int error = 0;

	for (size_t i = 0; i < rig->node_count; i++)
		machines[count++] = &rig->nodes[i].machine;
	rig_say(rig, "%zu virtual machines boot", count);
	for (size_t i = 0; i < count && !error; i++) {
		error = vm_net_plug(rig, machines[i]);
		if (!error)
			error = vm_qemu_start(rig, machines[i]);
	}
	rig->target = rig->san.init;
	if (!error)
		error = rig_save(rig);
	return error ? error : vm_await(rig, machines, count);
}

static int vm_up(struct rig *rig, const struct rig_options *options)
{
	int error = vm_make_files(rig, options);

	if (!error)
		error = vm_net_make(rig);
	if (!error)
		error = vm_witness_start(rig);
	if (!error)
		error = vm_boot_all(rig);
	for (size_t i = 0; i < rig->node_count && !error && rig->daemons; i++)
		error = rig_node_await_daemon(rig, &rig->nodes[i], DAEMON_ANSWER_MS);
	return error;
}

static void vm_down(struct rig *rig)
{
	for (size_t i = 0; i < rig->node_count; i++)
		vm_qemu_kill(rig, &rig->nodes[i].machine);
	vm_qemu_kill(rig, &rig->san);
	rig_process_signal(&rig->slow, SIGKILL);
	rig_process_signal(&rig->witness, SIGKILL);
}

static int vm_sweep(struct rig *rig)
{
	char folder[RIG_PATH_MAX], name[64];

	snprintf(folder, sizeof(folder), "/run/netns/%s", vm_net_name(rig, name));
	if (access(folder, F_OK) == 0)
		vm_net_remove(rig);
	vm_disk(rig, folder, "%s", "");
	if (access(folder, F_OK) == 0)
		rig_remove_tree(folder);
	rmdir(VM_DISKS);
	return 0;
}

static int vm_node_boot(struct rig *rig, struct rig_node *node)
{
	struct rig_machine *machine = &node->machine;
	int error = 0;

	if (rig_machine_runs(machine))
		return rig_fail(rig, EALREADY, "%s is on", machine->name);
	if (machine->cut[0] || machine->cut[1])
		error = vm_cut(rig, machine, RIG_NETWORKS, false);
	if (!error)
		error = vm_qemu_start(rig, machine);
	if (!error)
		error = vm_await(rig, &machine, 1);
	if (!error && rig->daemons)
		error = rig_node_await_daemon(rig, node, DAEMON_ANSWER_MS);
	return error;
}

/* QEMU is killed: nothing of the machine's memory is written anywhere, and nothing goes out any
 * more. */
static int vm_node_kill(struct rig *rig, struct rig_node *node)
{
	if (!rig_machine_runs(&node->machine))
		return rig_fail(rig, ESRCH, "%s is off", node->machine.name);
	rig->fault_ms = rig_now_ms();
	return vm_qemu_kill(rig, &node->machine);
}

static int vm_daemon_start(struct rig *rig, struct rig_node *node)
{
	return vm_shell(rig, &node->machine, NULL, 0, "/sbin/lunkeeper-init daemon");
}

static int vm_daemon_signal(struct rig *rig, struct rig_node *node, int number)
{
	pid_t pid;

	if (!vm_daemon_state(rig, node, &pid))
		return rig_fail(rig, ESRCH, "lunkeeperd does not run on %s", node->machine.name);
	return vm_shell(rig, &node->machine, NULL, 0, "kill -%d %d", number, (int)pid);
}

const struct rig_kind rig_kind_vm = {
	.name = "vm",
	.target = "LIO",
	.machines = "virtual machines",
	.patience = 8,
	.poll_ms = 250,
	.check = vm_check,
	.up = vm_up,
	.down = vm_down,
	.sweep = vm_sweep,
	.node_boot = vm_node_boot,
	.node_kill = vm_node_kill,
	.freeze = vm_freeze,
	.exec = vm_exec,
	.run = vm_run,
	.clock = vm_clock,
	.daemon_start = vm_daemon_start,
	.daemon_signal = vm_daemon_signal,
	.daemon_state = vm_daemon_state,
	.control_open = vm_control_open,
	.cut = vm_cut,
	.delay = vm_delay,
	.link = vm_link,
	.relogin = vm_relogin,
	.new_session = vm_new_session,
	.target_start = vm_target_start,
	.target_kill = vm_target_kill,
	.target_stall = vm_target_stall,
	.target_slow =
		netns_target_slow, /* a QEMU can be stopped and continued as well as a tgtd */
	.target_drop = vm_target_drop,
	.portal = vm_portal,
	.resize = vm_resize,
	.replace = vm_replace,
	.wwid = vm_lun_wwid,
	.file = vm_lun_file,
};
