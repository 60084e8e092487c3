/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The path kind `iscsi`: a logical unit behind an iscsi://HOST[:PORT]/TARGET/LUN URL, without any
 * kernel session.
 *
 * - One session carries all logical units of a target and portal (see initiator.h); it is the I_T
 * nexus. Initiator name and ISID are ours (transport.h), so a login with the same options is the
 * same initiator port.
 * - A lost session is reported, and never made again without path_reconnect(). One path_reconnect()
 * logs in for all its paths.
 * - Each request's time-out is its own. Behind a request that was given up, ABORT TASK is sent.
 * - The first path of a process makes it ignore SIGPIPE, unless it has a handler for that.
 * - Host names are resolved at every login, on libuv's workers.
 */
#ifndef ISCSI_PATH_ISCSI_H
#define ISCSI_PATH_ISCSI_H

#include "scsi/path.h"

extern const struct path_kind path_kind_iscsi;

/* The system's initiator name: InitiatorName= in a file like /etc/iscsi/initiatorname.iscsi.
 * Returns 0, or -errno with a message. size: at least 224. */
int iscsi_initiator_name_read(const char *file, char *name, size_t size, char *message,
			      size_t message_size);

#endif
