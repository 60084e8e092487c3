/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the name of a disk to its SCSI generic devices, by sysfs alone: no block device is opened,
 * so nothing disturbs its users and udev sees no change.
 */
#ifndef SCSI_SG_RESOLVE_H
#define SCSI_SG_RESOLVE_H

#include <stddef.h>
#include <sys/stat.h>

#define SG_NODE_MAX 128
#define SG_ADDRESS_MAX 48

/* Where to look: the system's in production, a made-up tree in tests. */
struct sg_roots {
	const char *sysfs;                                  /* "/sys" */
	const char *dev;                                    /* "/dev" */
	int (*stat)(const char *path, struct stat *result); /* as stat(2) */
	const char *udev; /* udev's records of devices; NULL: not asked */
};

struct sg_device {
	char node[SG_NODE_MAX];       /* "/dev/sg3" */
	char address[SG_ADDRESS_MAX]; /* "3:0:0:1": host, channel, target, LUN */
};

extern const struct sg_roots sg_roots_system;

/* specification: /dev/sdX, /dev/sgN, a dm-multipath map (its members, in the order of their names),
 * or any link to one of them. Returns 0, or -errno with a message for people that names the
 * specification and says what to do: -ENOENT no such file, -EACCES, -ENODEV not a SCSI disk, a
 * partition, a map without paths, the sg driver missing, -E2BIG more members than capacity. */
int sg_resolve(const struct sg_roots *roots, const char *specification, struct sg_device *devices,
	       size_t capacity, size_t *count, char *message, size_t message_size);

/* Whether the node still is that device, and can be used: 0, -ENODEV it is gone, -ESTALE another
 * device has its name, -EHOSTDOWN the kernel has set it offline. */
int sg_resolve_check(const struct sg_roots *roots, const struct sg_device *device);

#endif
