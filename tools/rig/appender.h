/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the rig's services have in common: a file of stamped records, each one synchronised before
 * it counts, and going into the background once there is something to serve.
 */
#ifndef TOOLS_RIG_APPENDER_H
#define TOOLS_RIG_APPENDER_H

#include "tools/rig/record.h"

struct rig_appender {
	int fd;
	struct rig_record record; /* the last one */
};

/* Opens the file, or makes it, and goes behind its last good record; what stands beyond that was
 * never acknowledged and is cut off. Returns 0 or -errno; nothing is to be closed then. */
int rig_appender_open(struct rig_appender *appender, const char *file);
/* Appends the next record and synchronises it; `line` is what was written. Returns 0 or -errno:
 * after a failed fsync() nobody knows what is on the disk, so an error is the end. */
int rig_appender_append(struct rig_appender *appender, char line[RIG_RECORD_SIZE]);

/* Runs `run` in a child and waits until it has called rig_detach() with the descriptor it was
 * given, or has ended. Returns an exit status. */
int rig_background(int (*run)(void *user, int ready_fd), void *user);
/* Writes the process number to the file, tells who waits in rig_background(), and lets go of the
 * terminal. Returns 0 or -errno. */
int rig_detach(int ready_fd, const char *pid_file);

#endif
