/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's device-mapper, as a gate needs it. Not through libdevmapper: its state is global and
 * not made for threads, it waits for udev, and a suspend that takes too long could not be ended.
 * Everything here may block for a moment, so it is called from workers only.
 */
#ifndef CLUSTER_GATE_DM_IOCTL_H
#define CLUSTER_GATE_DM_IOCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/gate/dm/table.h"

struct gate_dm_info {
	uint32_t major, minor;
	char uuid[GATE_DM_UUID_SIZE];
	int32_t open_count;
	bool suspended, has_table, inactive_table;
};

/* Opens /dev/mapper/control and checks the version. Returns a file descriptor, or -errno with a
 * message for people. */
int gate_dm_control_open(char *message, size_t message_size);

/* All return 0 or -errno as the kernel says: -ENXIO there is no such device, -EBUSY the name or
 * UUID is taken, or the device is open. */
int gate_dm_create(int control, const char *name, const char *uuid, struct gate_dm_info *info);
/* Into the inactive slot; a resume makes it the live one. sectors: of 512 bytes. */
int gate_dm_load(int control, const char *name, uint64_t sectors, const char *target,
		 const char *parameters);
/* Empties the inactive slot. */
int gate_dm_clear(int control, const char *name);
/* Waits until nothing is in flight below (new I/O waits meanwhile), without writing back and
 * without freezing a file system. -EINTR: a signal came first; then it is not suspended. */
int gate_dm_suspend(int control, const char *name);
int gate_dm_resume(int control, const char *name);
int gate_dm_message(int control, const char *name, const char *text);
int gate_dm_info(int control, const char *name, struct gate_dm_info *info);
/* The parameters of the first target of the live table, as a status or as a table; target: its
 * type, at least 16 bytes. -ENODATA: no table. */
int gate_dm_status(int control, const char *name, bool table, char *target, char *text,
		   size_t text_size);
/* deferred: if it is open, as soon as it is not. */
int gate_dm_remove(int control, const char *name, bool deferred);
/* Calls each() for every device whose name begins with `lunkeeper-`, with the number of its events
 * so far. */
int gate_dm_list(int control, void (*each)(const char *name, uint32_t events, void *user),
		 void *user);
/* After this poll() on `control` tells when any device had an event. */
int gate_dm_arm(int control);

#endif
