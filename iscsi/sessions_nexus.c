/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which session a generic device belongs to, and how a target names its nexus. A session that was
 * logged out and in again is another one with another number and, by that, another ISID: what was
 * registered before belongs to nobody any more.
 */
#include "iscsi/sessions.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scsi/sysfs.h"

#define OPEN_ISCSI_OUI "00023d"
#define NEXUS_SESSION_MAX 0xffffffu /* what open-iscsi has room for in an ISID */

/* "session3" out of ".../host6/session3/target6:0:0/6:0:0:1". */
static bool nexus_session(const char *path, char *session, size_t size, unsigned *number)
{
	const char *at = path;
	int end = 0;

	while ((at = strstr(at, "/session"))) {
		if (sscanf(at, "/session%u%n", number, &end) == 1 && at[end] == '/') {
			snprintf(session, size, "session%u", *number);
			return true;
		}
		at++;
	}
	return false;
}

bool kernel_nexus_read(struct kernel_nexus *nexus, const char *sysfs, const char *name)
{
	char folder[PATH_MAX], device[PATH_MAX];
	struct stat status;
	unsigned number;

	memset(nexus, 0, sizeof(*nexus));
	if (snprintf(folder, sizeof(folder), "%s/class/scsi_generic/%s/device", sysfs, name) >=
		    (int)sizeof(folder) ||
	    !realpath(folder, device) ||
	    !nexus_session(device, nexus->session, sizeof(nexus->session), &number))
		return false;
	snprintf(folder, sizeof(folder), "%s/class/iscsi_session/%s", sysfs, nexus->session);
	nexus->inode = stat(folder, &status) == 0 ? status.st_ino : 0;
	sysfs_attribute(folder, "targetname", nexus->target, sizeof(nexus->target));
	sysfs_attribute(folder, "initiatorname", nexus->initiator, sizeof(nexus->initiator));
	sysfs_attribute(folder, "isid", nexus->isid, sizeof(nexus->isid));
	if (strlen(nexus->isid) != 12 || strspn(nexus->isid, "0123456789abcdefABCDEF") != 12)
		nexus->isid[0] = '\0';
	if (nexus->isid[0] == '\0' && number <= NEXUS_SESSION_MAX)
		snprintf(nexus->isid, sizeof(nexus->isid), OPEN_ISCSI_OUI "%06x", number);
	return true;
}

bool kernel_nexus_equal(const struct kernel_nexus *a, const struct kernel_nexus *b)
{
	return a->inode == b->inode && strcmp(a->session, b->session) == 0 &&
	       strcmp(a->target, b->target) == 0 && strcmp(a->initiator, b->initiator) == 0 &&
	       strcmp(a->isid, b->isid) == 0;
}

const char *kernel_nexus_transport(const struct kernel_nexus *nexus, char *buffer, size_t size)
{
	buffer[0] = '\0';
	if (nexus->initiator[0] && nexus->isid[0] &&
	    snprintf(buffer, size, "%s,i,0x%s", nexus->initiator, nexus->isid) >= (int)size)
		buffer[0] = '\0';
	return buffer;
}
