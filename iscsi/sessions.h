/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's iSCSI sessions (open-iscsi) and the disks behind them, read from sysfs: which
 * /dev/sdX comes from which portal and target, by which session. From sysfs and not through
 * libopeniscsiusr, because the files are stable kernel interface (Documentation/ABI, iscsi
 * transport class), need no further library, and can be shown a made-up tree in tests.
 */
#ifndef ISCSI_SESSIONS_H
#define ISCSI_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_NAME_MAX 224
#define KERNEL_WORD_MAX 64

struct kernel_disk {
	char block[KERNEL_WORD_MAX];   /* "sdb"; empty: not a disk, or none yet */
	char generic[KERNEL_WORD_MAX]; /* "sg2"; empty without the sg module */
	char state[KERNEL_WORD_MAX];   /* "running", "offline", "transport-offline", ... */
	unsigned host, channel, target;
	uint64_t lun; /* as the kernel numbers it: 4000h + LUN from 256 on, with most targets */
};

/* What a file that is not there, or unreadable, would have said is empty. */
struct kernel_session {
	unsigned number; /* sessionN, as iscsiadm -m session shows it */
	char target[KERNEL_NAME_MAX];
	char initiator[KERNEL_NAME_MAX];
	char state[KERNEL_WORD_MAX];   /* "LOGGED_IN", "FAILED", "FREE" */
	char isid[KERNEL_WORD_MAX];    /* "00023d000001": six bytes in hex */
	char address[KERNEL_WORD_MAX]; /* of the portal, as it was given to iscsiadm */
	char port[KERNEL_WORD_MAX];
	char interface[KERNEL_WORD_MAX]; /* iface name, "default" */
	unsigned portal_group;
	size_t disk_count;
	struct kernel_disk *disks; /* ordered by LUN */
};

struct kernel_sessions {
	size_t count;
	struct kernel_session *sessions; /* ordered by number */
};

/* Reads all sessions. sysfs: "/sys", or another folder with the same tree. A machine without iSCSI
 * has none, which is no error; neither is a session that disappears while it is read. Returns 0,
 * -ENOMEM, or -errno of an unreadable folder. */
int kernel_sessions_read(struct kernel_sessions *sessions, const char *sysfs);
void kernel_sessions_free(struct kernel_sessions *sessions);

/* The session that /dev/NAME ("sdb", "sg2") comes from, with its disk in *disk. NULL: it is no
 * iSCSI disk. */
const struct kernel_session *kernel_sessions_find(const struct kernel_sessions *sessions,
						  const char *name,
						  const struct kernel_disk **disk);

/* "iscsi://10.0.0.1:3260/iqn.x:san/3": where the same logical unit is for the path kind iscsi.
 * Returns buffer. */
const char *kernel_disk_url(const struct kernel_session *session, const struct kernel_disk *disk,
			    char *buffer, size_t size);

/* The I_T nexus of a kernel session, as the target's registrations name it. */
struct kernel_nexus {
	char session[KERNEL_WORD_MAX]; /* "session3" */
	uint64_t inode;                /* of its folder in sysfs: never the same for another one */
	char target[KERNEL_NAME_MAX];
	char initiator[KERNEL_NAME_MAX];
	/* "00023d000003". Where the kernel does not show it (iscsi_tcp), as open-iscsi makes it:
	 * its own OUI and the session's number. */
	char isid[KERNEL_WORD_MAX];
};

/* The nexus behind /dev/NAME, NAME being a generic device ("sg3"). False: it is no iSCSI disk, or
 * it is gone; *nexus is then empty. */
bool kernel_nexus_read(struct kernel_nexus *nexus, const char *sysfs, const char *name);
/* Whether it is the same session. Numbers begin again when the driver is loaded anew, so that is
 * not enough: what became of the registration in between is not known. */
bool kernel_nexus_equal(const struct kernel_nexus *a, const struct kernel_nexus *b);
/* Its TransportID, written as pr_transport_id_text() writes it: "iqn.x:jerry,i,0x00023d000003". ""
 * when a part of it is not known. Returns buffer. */
const char *kernel_nexus_transport(const struct kernel_nexus *nexus, char *buffer, size_t size);

#endif
