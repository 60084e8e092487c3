/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks of virtual machines: one namespace a rig, a bridge a network in it, a tap a machine and
 * network. 10.77.0.* and 10.77.1.* are as in rigs of namespaces (tools/rig/netns/net.c); 10.77.2.* is the
 * agents', on which the rig itself is 10.77.2.254. Nothing leads out of the namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/vm/vm.h"

#define PORT_DISABLED 0
#define PORT_FORWARDING 3
#define BATCH_MAX 4096

const char *vm_net_name(const struct rig *rig, char buffer[64])
{
	snprintf(buffer, 64, "lunkeeper-%s", rig->name);
	return buffer;
}

static int net_batch(struct rig *rig, const char *program, const char *commands)
{
	char name[64], output[1024];
	const char *argv[] = {program, "-n", vm_net_name(rig, name), "-batch", "-", NULL};
	int status = rig_run(argv, commands, output, sizeof(output));

	if (status == 0)
		return 0;
	if (status < 0)
		return rig_fail(rig, -status, "cannot run %s: %s", program, strerror(-status));
	return rig_fail(rig, EIO, "%s in the network of rig %s: %s", program, rig->name, output);
}

int vm_net_make(struct rig *rig)
{
	char commands[BATCH_MAX], name[64], output[512];
	const char *argv[] = {"ip", "netns", "add", vm_net_name(rig, name), NULL};
	int used = snprintf(commands, sizeof(commands), "link set lo up\n");

	if (rig_run(argv, NULL, output, sizeof(output)))
		return rig_fail(rig, EIO, "cannot make network namespace %s: %s", name, output);
	for (unsigned i = 0; i < VM_LINKS; i++)
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "link add br%u type bridge\nlink set br%u up\n", i, i);
	snprintf(commands + used, sizeof(commands) - (size_t)used,
		 "addr add 10.77.%d.254/24 dev br%d\n", RIG_NETWORKS, RIG_NETWORKS);
	return net_batch(rig, "ip", commands);
}

int vm_net_plug(struct rig *rig, const struct rig_machine *machine)
{
	char commands[BATCH_MAX] = "";
	int used = 0;

	for (unsigned i = 0; i < VM_LINKS; i++)
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "tuntap add t%u.%u mode tap\nlink set t%u.%u master br%u up\n",
				 machine->number, i, machine->number, i, i);
	return net_batch(rig, "ip", commands);
}

void vm_net_remove(const struct rig *rig)
{
	char name[64], output[512];
	const char *argv[] = {"ip", "netns", "del", vm_net_name(rig, name), NULL};

	rig_run(argv, NULL, output, sizeof(output));
}

int vm_net_enter(const struct rig *rig)
{
	char name[64], path[96];
	int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), fd, error = 0;

	snprintf(path, sizeof(path), "/run/netns/%s", vm_net_name(rig, name));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (before < 0 || fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	if (error && before >= 0)
		close(before);
	return error ? error : before;
}

void vm_net_leave(int before)
{
	if (before < 0)
		return;
	/* Whoever cannot go home must not go on here. */
	if (setns(before, CLONE_NEWNET) < 0)
		_exit(125);
	close(before);
}

int vm_cut(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut)
{
	char commands[BATCH_MAX] = "";
	int used = 0, error;

	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		if (network != RIG_NETWORKS && network != i)
			continue;
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "link set dev t%u.%u state %d\n", machine->number, i,
				 cut ? PORT_DISABLED : PORT_FORWARDING);
		machine->cut[i] = cut;
	}
	error = net_batch(rig, "bridge", commands);
	return error ? error : rig_save(rig);
}

/* The machines' own kernel has what this one may lack. */
int vm_delay(struct rig *rig, struct rig_machine *machine, unsigned milliseconds)
{
	return vm_shell(rig, machine, NULL, 0,
			"modprobe sch_netem; for n in 0 1; do "
			"tc qdisc replace dev eth$n root netem delay %ums || exit 1; done",
			milliseconds);
}
