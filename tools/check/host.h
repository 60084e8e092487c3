/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What would touch a LUN that another node owns, or make this node's paths useless: activation at
 * boot or by udev (LVM, md, fstab, units, automounters), and settings of multipathd, open-iscsi and
 * the watchdog. Files, sysfs and one read of each disk; nothing is changed, and nothing is opened
 * for writing, which udev would notice.
 */
#ifndef TOOLS_CHECK_HOST_H
#define TOOLS_CHECK_HOST_H

#include <sys/types.h>

#include "scsi/sg_find.h"
#include "scsi/signature.h"
#include "tools/check/check.h"

#define CHECK_NUMBERS_MAX 64
#define CHECK_NAMES_MAX 64
#define CHECK_LINE_MAX 1024

/* Where to look: this machine, or a made-up tree in tests. */
struct check_host {
	struct check_run *run;
	const char *root; /* in front of /etc, /proc, /run, /lib, /usr, /sbin; "" */
	const struct sg_roots *sg;
	uint32_t timeout_ms; /* of reading a disk */
};

/* One configured LUN as this machine has it. */
struct check_disk {
	const struct config_lun *lun;
	bool owned_here; /* this node's key holds it: what is active is meant to be */
	struct sg_place place;
	/* Everything that is this LUN, or on it: map, paths, partitions, volumes. */
	dev_t numbers[CHECK_NUMBERS_MAX];
	size_t number_count;
	/* All names of the disk itself, as a filter sees them. */
	char names[CHECK_NAMES_MAX][SG_NODE_MAX];
	size_t name_count;
	char active[300]; /* what is built on it now: "dm-3 (vg-data)" */
	struct signature signature;
	int read_error; /* -errno: the signature is what udev remembers, or nothing */
};

/* disk.c: fills all but lun and owned_here. Returns false when this machine has no kernel
 * device for it. index as for sg_place_find(). */
bool check_disk_find(const struct check_host *host, const struct sg_index *index,
		     struct check_disk *disk);
/* Whether a device's name, or UUID=, LABEL=, ... leads to the disk or what is on it. */
bool check_disk_is(const struct check_host *host, const struct check_disk *disk,
		   const char *source);
/* "root/etc/x"; buffer of PATH_MAX. */
const char *check_host_path(const struct check_host *host, const char *path, char *buffer);
bool check_host_has(const struct check_host *host, const char *path);

/* activate.c */
void check_activation(const struct check_host *host, const struct check_disk *disk);

/* lvm.c */
void check_lvm(const struct check_host *host, const struct check_disk *disk);
/* Whether LVM would use a disk of these names, by a filter's patterns ("a|regex|", "r|regex|").
 * Pure. An unusable pattern counts as none. */
bool check_lvm_filter(const char *const *patterns, size_t pattern_count,
		      const char (*names)[SG_NODE_MAX], size_t name_count);

/* paths.c */
void check_multipath(const struct check_host *host, const struct check_disk *disk);
void check_sessions(const struct check_host *host, const struct check_disk *disks, size_t count);
void check_watchdog(const struct check_host *host, const struct config *config);
void check_clock(const struct check_host *host);

/* disk.c: all of it, for the disks of a configuration; owned[i]: this node holds LUN i. */
void check_host_all(const struct check_host *host, const struct config *config, const bool *owned);

#endif
