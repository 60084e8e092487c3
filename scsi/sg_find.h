/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a logical unit is among the kernel's devices, by what it is (VPD 83h) and not by what it is
 * called: names change with every reboot. By sysfs alone, as sg_resolve.h; the kernel has read
 * page 83h when it found the disk.
 */
#ifndef SCSI_SG_FIND_H
#define SCSI_SG_FIND_H

#include <stdbool.h>

#include "scsi/sg_resolve.h"

#define SG_PLACE_DEVICES_MAX 16
#define SG_PLACE_MESSAGE_MAX 600

/* All disks and multipath maps with their designators: read once to find many. */
struct sg_index;

/* NULL: no memory. A machine without block devices has an empty one. */
struct sg_index *sg_index_read(const struct sg_roots *roots);
void sg_index_free(struct sg_index *index);

/* Whether sysfs says that the device is this logical unit: 1 it is, 0 it is another one, -ENOENT
 * not known. seen: its own name for itself, "" if not known. */
int sg_device_is(const struct sg_roots *roots, const struct sg_device *device, const char *wwid,
		 char *seen, size_t size);

struct sg_wanted {
	const char *const *specifications; /* device names as configured; may be none with a wwid */
	size_t count;
	const char *wwid; /* NULL: whatever has that name */
};

struct sg_place {
	/* What its data goes through: "/dev/mapper/mailstore", "/dev/sdb"; "" if only a generic
	 * device was named, or there is none. */
	char block[SG_NODE_MAX];
	bool map;       /* that is a multipath map */
	bool elsewhere; /* not where the specification says: found by its wwid */
	struct sg_device devices[SG_PLACE_DEVICES_MAX];
	size_t count;
	/* For people: why there is none, or what is odd about those found; "" if nothing is. */
	char message[SG_PLACE_MESSAGE_MAX];
};

/* The specifications that are this logical unit (or may be: nothing is known of them); if none is,
 * the multipath map of that wwid, else the disks. index: NULL reads one if it is needed. Returns 0,
 * or -errno with count 0. */
int sg_place_find(const struct sg_roots *roots, const struct sg_index *index,
		  const struct sg_wanted *wanted, struct sg_place *place);

#endif
