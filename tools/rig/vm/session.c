/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions of a node's kernel: recovered as they were, or made anew.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/rig/vm/vm.h"

#define ISID_MAX 32
#define NUMBER_TEXT                                                                                \
	"n=$(grep -lx %s /sys/class/iscsi_connection/*/persistent_address 2>/dev/null | "          \
	"sed 's/.*connection\\([0-9]*\\):.*/\\1/' | head -n 1)"

/* open-iscsi puts the number of the kernel's session into the ISID that it sends: 00023d, 0, and
 * the number in two bytes. */
static int session_isid(struct rig *rig, const struct rig_machine *machine, const char *portal,
			char isid[ISID_MAX])
{
	int error = vm_shell(rig, machine, isid, ISID_MAX,
			     NUMBER_TEXT "; [ -z \"$n\" ] || printf 00023d00%%04x $n", portal);

	if (!error && !isid[0])
		return rig_fail(rig, ENOTCONN, "%s has no session with %s", machine->name, portal);
	return error;
}

/* The target tells of the newest session of each initiator. */
static int session_isid_there(struct rig *rig, const struct rig_machine *machine,
			      char isid[ISID_MAX])
{
	char initiator[RIG_PATH_MAX];

	return vm_shell(
		rig, &rig->san, isid, ISID_MAX,
		"sed -n 's/.*ISID: 0x\\(.*\\)  TSIH.*/\\1/p' '/sys/kernel/config/target/iscsi/%s/"
		"tpgt_1/acls/%s/info' | tr -d ' '",
		RIG_TARGET_IQN, rig_initiator(rig, machine->name, initiator));
}

/* Does the commands (shell, with the portal's address as $p) for each of the networks. Both sides
 * have to agree about the ISID afterwards. */
static int session_change(struct rig *rig, const struct rig_machine *machine, unsigned network,
			  const char *commands, bool anew, char *told, size_t size)
{
	size_t used = (size_t)snprintf(told, size, "%s:", machine->name);

	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		char before[ISID_MAX], after[ISID_MAX], there[ISID_MAX], portal[16];
		int error;

		if (network != RIG_NETWORKS && network != i)
			continue;
		rig_net_address(0, i, portal);
		error = session_isid(rig, machine, portal, before);
		if (!error)
			error = vm_shell(rig, machine, NULL, 0, "t='%s' p='%s'; %s", RIG_TARGET_IQN,
					 portal, commands);
		if (!error)
			error = session_isid(rig, machine, portal, after);
		if (!error)
			error = session_isid_there(rig, machine, there);
		if (error)
			return error;
		if (anew == !strcmp(before, after) || strcmp(after, there))
			return rig_fail(
				rig, EIO,
				"%s: the session with %s had ISID %s, has %s, and %s for the "
				"target",
				machine->name, portal, before, after, there);
		used += (size_t)snprintf(told + used, used < size ? size - used : 0,
					 "%s %s, ISID %s%s%s",
					 i && network == RIG_NETWORKS ? ";" : "", portal, before,
					 anew ? ", now " : " as before", anew ? after : "");
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
		"for i in $(seq 300); do now=$(ss -tnH state established dst $p dport = :3260); "
		"[ -n \"$now\" ] && [ \"$now\" != \"$before\" ] && "
		"[ \"$(cat /sys/class/iscsi_session/session$n/state)\" = LOGGED_IN ] && exit 0; "
		"sleep 0.1; done; echo 'no new connection within 30 s'; exit 1",
		false, told, size);
}

int vm_new_session(struct rig *rig, struct rig_machine *machine, unsigned network, char *told,
		   size_t size)
{
	return session_change(rig, machine, network,
			      "iscsiadm -m node -T $t -p $p --logout && "
			      "iscsiadm -m node -T $t -p $p --login; status=$?; udevadm settle "
			      "--timeout=10; exit $status",
			      true, told, size);
}
