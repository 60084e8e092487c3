/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * LIO on the SAN's virtual machine. A LUN's back store is a disk of that machine, and so a file
 * here, which holds all that LIO has ever answered: the disk is written through.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/vm/vm.h"

#define TPG "/sys/kernel/config/target/iscsi/" RIG_TARGET_IQN "/tpgt_1"

int vm_target_start(struct rig *rig)
{
	struct rig_machine *san = &rig->san;
	int error;

	if (rig_machine_runs(san))
		return rig_fail(rig, EALREADY, "the target is on");
	error = vm_qemu_start(rig, san);
	rig->target = san->init;
	rig->target_stalled = false;
	if (!error)
		error = rig_save(rig);
	return error ? error : vm_await(rig, &san, 1);
}

int vm_target_kill(struct rig *rig)
{
	int error = rig_target_slow(rig, 0);

	if (!error)
		error = vm_qemu_kill(rig, &rig->san);
	if (error)
		return error;
	rig->target = (struct rig_process){0};
	rig->target_stalled = false;
	return rig_save(rig);
}

int vm_target_stall(struct rig *rig, bool stalled)
{
	int error = vm_freeze(rig, &rig->san, stalled);

	if (error)
		return error;
	rig->target_stalled = stalled;
	return rig_save(rig);
}

/* Connections are reset; the node's initiator logs in again as the same session. */
int vm_target_drop(struct rig *rig, const struct rig_machine *machine)
{
	char output[64], address[2][16];
	int error =
		vm_shell(rig, &rig->san, output, sizeof(output),
			 "ss -KHtn state established '( dst %s or dst %s )' sport = :%d | wc -l",
			 rig_net_address(machine->number, 0, address[0]),
			 rig_net_address(machine->number, 1, address[1]), RIG_PORT);

	return error ? error : atoi(output);
}

/* Off: the portal goes, and the connections through it. */
int vm_portal(struct rig *rig, unsigned network, bool on)
{
	for (unsigned i = 0; i < RIG_NETWORKS; i++) {
		char address[16];
		int error;

		if (network != RIG_NETWORKS && network != i)
			continue;
		rig_net_address(0, i, address);
		error = on ? vm_shell(rig, &rig->san, NULL, 0, "mkdir -p '%s/np/%s:%d'", TPG,
				      address, RIG_PORT)
			   : vm_shell(rig, &rig->san, NULL, 0,
				      "rmdir '%s/np/%s:%d' && "
				      "ss -KHtn state established src %s sport = :%d",
				      TPG, address, RIG_PORT, address, RIG_PORT);
		if (error)
			return error;
	}
	return 0;
}

int vm_resize(struct rig *rig, unsigned lun, uint64_t size)
{
	char path[RIG_PATH_MAX], drive[32];
	int error;

	if (truncate(vm_lun_file(rig, lun, path), (off_t)size) < 0)
		return rig_fail(rig, errno, "cannot resize %s: %s", path, strerror(errno));
	snprintf(drive, sizeof(drive), "lun%u", lun);
	error = vm_qmp(rig, &rig->san, "block_resize",
		       json_pack("{sssI}", "device", drive, "size", (json_int_t)size));
	/* The SAN's own kernel has to see it before LIO tells its initiators. */
	if (!error)
		error = vm_shell(
			rig, &rig->san, NULL, 0,
			"d=$(basename $(readlink -f /dev/disk/by-id/"
			"scsi-0QEMU_QEMU_HARDDISK_lun%u)); "
			"echo 1 >/sys/block/$d/device/rescan; "
			"for n in 1 2 3 4 5 6 7 8 9 10; do "
			"[ $(cat /sys/block/$d/size) = %llu ] && exit; sleep 0.2; done; exit 1",
			lun, (unsigned long long)size / 512);
	return error;
}

/* Mapped for every node again, as targetcli does it by itself. */
int vm_replace(struct rig *rig, unsigned lun, bool back)
{
	return vm_shell(rig, &rig->san, NULL, 0,
			"l=%u; size=%llu; o='%s'; t=/iscsi/" RIG_TARGET_IQN "/tpg1/luns; "
			"[ $o = lun ] || targetcli /backstores/fileio create other$l /root/other$l "
			"$size sparse=true >/dev/null || exit 1; "
			"targetcli $t delete lun$l >/dev/null && "
			"targetcli $t create /backstores/%s$l lun=$l >/dev/null",
			lun, (unsigned long long)rig->lun_size, back ? "lun" : "other",
			back ? "block/lun" : "fileio/other");
}
