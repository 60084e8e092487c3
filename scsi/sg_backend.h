/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The system calls below the `sg` path, behind one small table, so that tests can put a device
 * there that hangs.
 */
#ifndef SCSI_SG_BACKEND_H
#define SCSI_SG_BACKEND_H

#include "scsi/scsi.h"

/* One command as a worker carries it out: everything is the worker's own copy. */
struct sg_exchange {
	uint8_t cdb[SCSI_CDB_MAX];
	uint8_t cdb_length;
	enum scsi_direction direction;
	uint8_t *data;
	uint32_t data_length;
	uint32_t kernel_timeout_s;
	/* Answer: */
	struct scsi_result result; /* without duration_us */
	bool gone;                 /* the kernel says that there is no such device any more */
};

struct sg_backend {
	int (*open)(const char *device); /* a descriptor, or -errno */
	void (*close)(int fd);
	/* Both block until the kernel has an end. */
	void (*execute)(int fd, struct sg_exchange *exchange);
	void (*reset_logical_unit)(int fd, struct sg_exchange *exchange);
};

/* /dev/sgN by libsgutils2's pass-through. */
extern const struct sg_backend sg_backend_kernel;

#endif
