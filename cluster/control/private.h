/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Making the control socket, for control.c.
 */
#ifndef CLUSTER_CONTROL_PRIVATE_H
#define CLUSTER_CONTROL_PRIVATE_H

#include "cluster/control/control.h"

/* A bound Unix stream socket with its mode and group set. group may be NULL; else *gid is set.
 * Returns a descriptor, or -errno with a message. */
int control_socket_open(const char *path, const char *group, gid_t *gid, char *message,
			size_t message_size);

#endif
