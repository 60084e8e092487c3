/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disks that the kernel has, for `lun list`: read from sysfs alone, so no device is opened.
 */
#ifndef TOOLS_LUN_KERNEL_H
#define TOOLS_LUN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LUN_KERNEL_WORD 64
#define LUN_KERNEL_WWID 128

struct lun_kernel_path {
	char block[LUN_KERNEL_WORD];   /* "sdb" */
	char generic[LUN_KERNEL_WORD]; /* "sg2"; may be empty */
	char address[LUN_KERNEL_WORD]; /* "3:0:0:1" */
	char state[LUN_KERNEL_WORD];   /* "running", "offline", ... */
	char where[320]; /* "10.0.0.1:3260 iqn.x:san LUN 1, session 4"; empty: no iSCSI disk */
};

/* One logical unit as the kernel sees it: a dm-multipath map with its members, or a disk. */
struct lun_kernel_disk {
	char name[LUN_KERNEL_WORD + 16]; /* "/dev/mapper/mpatha", "/dev/sdb" */
	char model[2 * LUN_KERNEL_WORD]; /* vendor and product */
	char wwid[LUN_KERNEL_WWID];      /* as sysfs has it, "naa.6001..."; may be empty */
	uint64_t size;                   /* bytes */
	size_t path_count;
	struct lun_kernel_path *paths;
};

struct lun_kernel {
	struct lun_kernel_disk *disks;
	size_t count;
};

/* sysfs: "/sys", or a made-up tree. Returns 0 (also on a machine without SCSI) or -errno. */
int lun_kernel_read(struct lun_kernel *kernel, const char *sysfs);
void lun_kernel_free(struct lun_kernel *kernel);

#endif
