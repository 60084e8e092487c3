/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions of a node's kernel: recovered as they were, or made anew.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/rig_vm.h"

#define ISIDS_MAX 256

/* "PORTAL ISID" of every session, sorted, as the node's kernel has them. */
static int session_isids(struct rig *rig, const struct rig_machine *machine, const char *portal,
			 char isids[ISIDS_MAX])
{
	return vm_shell(
		rig, machine, isids, ISIDS_MAX,
		"for s in /sys/class/iscsi_session/session*; do [ -e $s/isid ] || continue; "
		"n=${s##*session}; grep -qsx '%s' /sys/class/iscsi_connection/connection$n:*/"
		"persistent_address && cat $s/isid; done | sort | tr '\\n' ' '",
		portal);
}

/* Does fn, shell with the portal's address as $p, for each of the networks, and tells of the ISIDs.
 */
static int session_change(struct rig *rig, const struct rig_machine *machine, unsigned network,
			  const char *commands, bool anew, char *told, size_t size)
{
	size_t used = (size_t)snprintf(told, size, "%s:", machine->name);

	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		char before[ISIDS_MAX], after[ISIDS_MAX], portal[16];
		int error;

		if (network != RIG_NETWORKS && network != i)
			continue;
		rig_net_address(0, i, portal);
		error = session_isids(rig, machine, portal, before);
		if (!error && !before[0])
			return rig_fail(rig, ENOTCONN, "%s has no session with %s", machine->name,
					portal);
		if (!error)
			error = vm_shell(rig, machine, NULL, 0, "t='%s' p='%s'; %s", RIG_TARGET_IQN,
					 portal, commands);
		if (!error)
			error = session_isids(rig, machine, portal, after);
		if (error)
			return error;
		if (anew == !strcmp(before, after))
			return rig_fail(rig, EIO, "%s: the session with %s has ISID %s, and had %s",
					machine->name, portal, after, before);
		used += (size_t)snprintf(
			told + used, used < size ? size - used : 0, "%s %s had ISID %s, has %s",
			used > strlen(machine->name) + 1 ? ";" : "", portal, before, after);
	}
	return 0;
}

/* The connection breaks, and iscsid logs in again. */
int vm_relogin(struct rig *rig, struct rig_machine *machine, unsigned network, char *told,
	       size_t size)
{
	return session_change(
		rig, machine, network,
		"n=$(grep -lx $p /sys/class/iscsi_connection/*/persistent_address | "
		"sed 's/.*connection\\([0-9]*\\):.*/\\1/' | head -n 1); "
		"before=$(ss -tnH dst $p dport = :3260); "
		"ss -K -tn dst $p dport = :3260 >/dev/null; "
		"for i in $(seq 150); do now=$(ss -tnH state established dst $p dport = :3260); "
		"[ -n \"$now\" ] && [ \"$now\" != \"$before\" ] && "
		"[ \"$(cat /sys/class/iscsi_session/session$n/state)\" = LOGGED_IN ] && exit 0; "
		"sleep 0.1; done; echo 'no new connection within 15 s'; exit 1",
		false, told, size);
}

int vm_new_session(struct rig *rig, struct rig_machine *machine, unsigned network, char *told,
		   size_t size)
{
	return session_change(rig, machine, network,
			      "iscsiadm -m node -T $t -p $p --logout && "
			      "iscsiadm -m node -T $t -p $p --login && udevadm settle --timeout=10",
			      true, told, size);
}
