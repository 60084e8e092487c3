/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel says of devices that come, go and change (NETLINK_KOBJECT_UEVENT, its own
 * multicast group, before udev): parsed, and watched on a loop.
 */
#ifndef SCSI_UEVENT_H
#define SCSI_UEVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <uv.h>

#define UEVENT_SIZE_MAX 8192 /* the kernel's own limit is 2048 bytes of variables and a path */

/* Points into the message. What it does not say is "". */
struct uevent {
	const char *action;    /* "add", "remove", "change", "offline", ... */
	const char *path;      /* below /sys: "/devices/platform/host6/session1/..." */
	const char *subsystem; /* "block", "scsi", "iscsi_session", ... */
	const char *type;      /* DEVTYPE: "disk", "partition", "scsi_device" */
	const char *name;      /* DEVNAME: "sdb", "sg3" */
};

/* A message as it was received: "ACTION@PATH", then variables, each ended by a zero byte. Returns
 * 0, or -EBADMSG for anything else, udev's own messages included. The last byte must be zero: it is
 * checked. */
int uevent_parse(struct uevent *event, const char *data, size_t length);

/* Whether paths to a logical unit may have come, gone or changed. */
bool uevent_is_of_paths(const struct uevent *event);

struct uevent_watch;
/* event NULL: some were lost, so anything may have changed. */
typedef void uevent_seen(const struct uevent *event, void *user);

/* Returns 0, or -errno: without it, who wants to know must look. Only what the kernel itself sends
 * is passed on. */
int uevent_watch_open(uv_loop_t *loop, uevent_seen *seen, void *user, struct uevent_watch **watch);
void uevent_watch_close(struct uevent_watch *watch, void (*closed)(void *user), void *user);

#endif
