/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rig's networks. They exist inside the rig's namespaces only: one bridge a network in the
 * SAN's, and for each node a veth pair whose one end is a port of it. So rigs do not see one
 * another, and all use the same addresses: 10.77.NETWORK.1 is the SAN, 10.77.NETWORK.(10 + number)
 * a node.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/rig/netns/netns.h"

/* Port states of a bridge as `bridge link set` takes them. */
#define PORT_DISABLED 0
#define PORT_FORWARDING 3

const char *rig_net_address(unsigned number, unsigned network, char buffer[16])
{
	snprintf(buffer, 16, "10.77.%u.%u", (network & 0xff), number ? (10 + number) & 0xff : 1);
	return buffer;
}

static int net_batch(struct rig *rig, const struct rig_machine *machine, const char *program,
		     const char *commands)
{
	const char *argv[] = {program, "-batch", "-", NULL};
	char output[1024];
	int status = rig_machine_run(rig, machine, RIG_ENTER_NETWORK, argv, commands, output,
				     sizeof(output));

	if (status == 0)
		return 0;
	if (status > 0)
		return rig_fail(rig, EIO, "%s in %s's network: %s", program, machine->name, output);
	return status;
}

int rig_net_make(struct rig *rig)
{
	char commands[512], address[16];
	int used = snprintf(commands, sizeof(commands), "link set lo up\n");

	for (unsigned i = 0; i < RIG_NETWORKS; i++)
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "link add br%u address 02:4c:00:00:00:%02x type bridge\n"
				 "addr add %s/24 dev br%u\n"
				 "link set br%u up\n",
				 i, i, rig_net_address(0, i, address), i, i);
	return net_batch(rig, &rig->san, "ip", commands);
}

int rig_net_plug(struct rig *rig, struct rig_machine *machine)
{
	char outside[1024] = "", inside[512], address[16];
	int out = 0, in = snprintf(inside, sizeof(inside), "link set lo up\n"), error;

	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		out += snprintf(outside + out, sizeof(outside) - (size_t)out,
				"link add p%u.%u type veth peer name eth%u netns %d\n"
				"link set p%u.%u master br%u up\n",
				machine->number, i, i, (int)machine->init.pid, machine->number, i,
				i);
		in += snprintf(inside + in, sizeof(inside) - (size_t)in,
			       "addr add %s/24 dev eth%u\nlink set eth%u up\n",
			       rig_net_address(machine->number, i, address), i, i);
	}
	error = net_batch(rig, &rig->san, "ip", outside);
	return error ? error : net_batch(rig, machine, "ip", inside);
}

int rig_net_unplug(struct rig *rig, struct rig_machine *machine)
{
	char commands[256] = "";
	int used = 0;

	/* A veth pair goes when one end of it does. */
	for (unsigned i = 0; i < RIG_NETWORKS; i++)
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "link del p%u.%u\n", machine->number, i);
	return net_batch(rig, &rig->san, "ip", commands);
}

int netns_cut(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut)
{
	char commands[256] = "";
	int used = 0, error;

	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		if (network != RIG_NETWORKS && network != i)
			continue;
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "link set dev p%u.%u state %d\n", machine->number, i,
				 cut ? PORT_DISABLED : PORT_FORWARDING);
		machine->cut[i] = cut;
	}
	error = net_batch(rig, &rig->san, "bridge", commands);
	return error ? error : rig_save(rig);
}

int netns_delay(struct rig *rig, struct rig_machine *machine, unsigned milliseconds)
{
	char commands[256] = "";
	int used = 0, error;

	for (unsigned i = 0; i < RIG_NETWORKS; i++)
		used += snprintf(commands + used, sizeof(commands) - (size_t)used,
				 "qdisc replace dev eth%u root netem delay %ums\n", i,
				 milliseconds);
	error = net_batch(rig, machine, "tc", commands);
	if (error && strstr(rig->message, "qdisc kind is unknown"))
		return rig_fail(rig, ENOTSUP,
				"this kernel has no netem; `rig fault slow-target` works without");
	return error;
}
