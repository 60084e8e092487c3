/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Faults of what a node or the target is made of: processes and tables between the service and the
 * LUN, the daemon's folders, and which logical unit a number leads to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/faults.h"

#define SAID_MAX 400

/* Runs shell commands on a node; exit status 0 is expected. */
static int parts_shell(struct rig *rig, const struct rig_node *node, const char *commands)
{
	const char *argv[] = {"sh", "-c", commands, NULL};
	char said[SAID_MAX] = "";
	int status =
		rig_machine_run(rig, &node->machine, RIG_ENTER_ALL, argv, NULL, said, sizeof(said));

	if (status == 0)
		return 0;
	if (status < 0)
		return status;
	said[strcspn(said, "\n")] = 0;
	return rig_fail(rig, EIO, "%s: %s", node->machine.name,
			said[0] ? said : "there is no such process, or nothing to be done");
}

int fault_parts_process(struct rig *rig, struct rig_node *node, const char *program,
			const char *signal)
{
	char commands[96];

	snprintf(commands, sizeof(commands), "pkill -%s -x %s", signal, program);
	return parts_shell(rig, node, commands);
}

int fault_parts_wipe_gate(struct rig *rig, struct rig_node *node)
{
	if (rig->kind != &rig_kind_vm)
		return rig_kind_cannot(rig, "wipe a gate's table: its gates are processes");
	return parts_shell(rig, node,
			   "list=$(dmsetup ls | sed -n 's/^\\(lunkeeper-[^ \t]*\\).*/\\1/p'); "
			   "[ -n \"$list\" ] || { echo 'it has no gate'; exit 1; }; "
			   "for g in $list; do dmsetup wipe_table --noudevsync $g || exit 1; done");
}

int fault_parts_flush_maps(struct rig *rig, struct rig_node *node)
{
	if (rig->kind != &rig_kind_vm)
		return rig_kind_cannot(rig, "flush maps of multipath");
	return parts_shell(rig, node, "multipath -F");
}

int fault_parts_lose_run(struct rig *rig, struct rig_node *node)
{
	return parts_shell(rig, node,
			   "find /run/lunkeeper -xdev -mindepth 1 -delete 2>/dev/null; "
			   "exit 0");
}

/* Something else is mounted over the folder, under a name by which it is known again; what is in the
 * folder stays. */
int fault_parts_state(struct rig *rig, struct rig_node *node, const char *how)
{
	char commands[320];

	if (!strcmp(how, "mend"))
		return parts_shell(rig, node,
				   "while grep -q '^" FAULTS_MOUNT " ' /proc/mounts; do "
				   "umount -l /var/lib/lunkeeper || exit 1; done");
	snprintf(commands, sizeof(commands),
		 "mount -t tmpfs -o %s " FAULTS_MOUNT " /var/lib/lunkeeper && %s",
		 !strcmp(how, "full") ? "size=4k,mode=0700" : "size=16m,mode=0700",
		 !strcmp(how, "full")
			 ? "{ dd if=/dev/zero of=/var/lib/lunkeeper/full bs=4k count=2 "
			   "2>/dev/null; true; }"
		 : !strcmp(how, "readonly") ? "mount -o remount,ro /var/lib/lunkeeper"
					    : "true");
	return parts_shell(rig, node, commands);
}

int fault_parts_replace(struct rig *rig, unsigned lun, bool back)
{
	if (!rig->kind->replace)
		return rig_kind_cannot(rig, "replace a LUN");
	return rig->kind->replace(rig, lun, back);
}
