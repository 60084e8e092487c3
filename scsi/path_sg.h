/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The `sg` path with its surroundings as a parameter: path_kind_sg is this on the system's own,
 * tests put a made-up sysfs and a device that hangs below it.
 */
#ifndef SCSI_PATH_SG_H
#define SCSI_PATH_SG_H

#include "scsi/path.h"
#include "scsi/sg_backend.h"
#include "scsi/sg_resolve.h"

#define PATH_SG_COMMANDS_MAX                                                                       \
	4 /* in the kernel at a time, hung ones included; a reset comes on top */
#define PATH_SG_WAITING_MAX 64 /* behind them; more end with -EBUSY */

struct sg_environment {
	const struct sg_roots *roots;
	const struct sg_backend *backend;
};

/* As path_kind's open; environment must outlive the paths. */
int path_sg_open_in(const struct sg_environment *environment, uv_loop_t *loop,
		    const char *specification, const struct path_open_options *options,
		    struct path **paths, size_t *count, char *message, size_t message_size);

extern const struct sg_environment sg_environment_system;

/* One generic device that sg_place_find() or sg_resolve() told of, by itself: a path that cannot be
 * opened is DOWN, and says why. Returns 0 or -ENOMEM. */
int path_sg_open_device(const struct sg_environment *environment, uv_loop_t *loop,
			const struct sg_device *device, const struct path_open_options *options,
			struct path **path);

#endif
