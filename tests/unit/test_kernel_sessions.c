/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel's sessions, read from a made-up sysfs: two sessions (one of them down, one by IPv6),
 * disks out of order, a LUN in flat addressing, entries that are none of ours.
 */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iscsi/sessions.h"
#include "tests/unit/unit.h"

static char root[64];

static void make(const char *name, const char *content)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		mkdir(path, 0755);
		*slash = '/';
	}
	if (!content) {
		mkdir(path, 0755);
		return;
	}
	file = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs(content, file);
	fclose(file);
}

static void link_to(const char *name, const char *where)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	CU_ASSERT_EQUAL(symlink(where, path), 0);
}

static void make_tree(void)
{
	static const char session[] = "devices/platform/host2/session12";
	char name[200];

	make("devices/platform/host2/session12/iscsi_session/session12/targetname",
	     "iqn.2024-01.example:san\n");
	make("devices/platform/host2/session12/iscsi_session/session12/initiatorname",
	     "iqn.2024-01.example:jerry\n");
	make("devices/platform/host2/session12/iscsi_session/session12/state", "LOGGED_IN\n");
	make("devices/platform/host2/session12/iscsi_session/session12/isid", "00023d000001\n");
	make("devices/platform/host2/session12/iscsi_session/session12/ifacename", "default\n");
	make("devices/platform/host2/session12/iscsi_session/session12/tpgt", "1\n");
	link_to("devices/platform/host2/session12/iscsi_session/session12/device",
		"../../../session12");
	snprintf(name, sizeof(name), "%s/target2:0:0/2:0:0:16641/block/sdc", session);
	make(name, NULL);
	snprintf(name, sizeof(name), "%s/target2:0:0/2:0:0:16641/state", session);
	make(name, "transport-offline\n");
	snprintf(name, sizeof(name), "%s/target2:0:0/2:0:0:1/block/sdb", session);
	make(name, NULL);
	snprintf(name, sizeof(name), "%s/target2:0:0/2:0:0:1/scsi_generic/sg3", session);
	make(name, NULL);
	snprintf(name, sizeof(name), "%s/target2:0:0/2:0:0:1/state", session);
	make(name, "running\n");
	snprintf(name, sizeof(name), "%s/target2:0:0/2:0:0:0/scsi_generic/sg2",
		 session); /* a controller: no disk */
	make(name, NULL);
	snprintf(name, sizeof(name), "%s/target2:0:0/power/control", session);
	make(name, "auto\n");
	snprintf(name, sizeof(name), "%s/target2:0:0x/2:0:0:9/block/sdx", session);
	make(name, NULL);
	make("class/iscsi_connection/connection12:0/address", "10.0.0.7\n");
	make("class/iscsi_connection/connection12:0/persistent_address", "10.0.0.1\n");
	make("class/iscsi_connection/connection12:0/persistent_port", "3260\n");
	make("class/iscsi_session/session3/targetname", "iqn.2024-01.example:other\n");
	make("class/iscsi_session/session3/state", "FAILED\n");
	make("class/iscsi_session/session3/isid", "<NULL>\n");
	make("class/iscsi_session/sessionX/targetname", "iqn.no\n");
	make("class/iscsi_connection/connection3:0/persistent_address", "fd00::1\n");
	link_to("class/iscsi_session/session12",
		"../../devices/platform/host2/session12/iscsi_session/session12");
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void test_tree(void)
{
	struct kernel_sessions sessions;
	const struct kernel_session *session;
	const struct kernel_disk *disk;
	char url[400];

	strcpy(root, "/tmp/lunkeeper-sysfs.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	make_tree();
	CU_ASSERT_EQUAL(kernel_sessions_read(&sessions, root), 0);
	CU_ASSERT_EQUAL_FATAL(sessions.count, 2);
	session = &sessions.sessions[0];
	CU_ASSERT_EQUAL(session->number, 3);
	CU_ASSERT_STRING_EQUAL(session->state, "FAILED");
	CU_ASSERT_STRING_EQUAL(session->isid, "");
	CU_ASSERT_STRING_EQUAL(session->address, "fd00::1");
	CU_ASSERT_EQUAL(session->disk_count, 0);
	session = &sessions.sessions[1];
	CU_ASSERT_EQUAL(session->number, 12);
	CU_ASSERT_STRING_EQUAL(session->target, "iqn.2024-01.example:san");
	CU_ASSERT_STRING_EQUAL(session->initiator, "iqn.2024-01.example:jerry");
	CU_ASSERT_STRING_EQUAL(session->isid, "00023d000001");
	CU_ASSERT_STRING_EQUAL(session->address, "10.0.0.1");
	CU_ASSERT_EQUAL(session->portal_group, 1);
	CU_ASSERT_EQUAL_FATAL(session->disk_count, 3);
	CU_ASSERT_STRING_EQUAL(session->disks[0].block, "");
	CU_ASSERT_STRING_EQUAL(session->disks[0].generic, "sg2");
	CU_ASSERT_STRING_EQUAL(session->disks[1].block, "sdb");
	CU_ASSERT_STRING_EQUAL(session->disks[1].state, "running");
	CU_ASSERT_STRING_EQUAL(session->disks[2].block, "sdc");
	CU_ASSERT_STRING_EQUAL(session->disks[2].state, "transport-offline");

	CU_ASSERT_PTR_EQUAL(kernel_sessions_find(&sessions, "/dev/sdc", &disk), session);
	CU_ASSERT_STRING_EQUAL(kernel_disk_url(session, disk, url, sizeof(url)),
			       "iscsi://10.0.0.1:3260/iqn.2024-01.example:san/257");
	CU_ASSERT_PTR_EQUAL(kernel_sessions_find(&sessions, "sg3", &disk), session);
	CU_ASSERT_EQUAL(disk->lun, 1);
	CU_ASSERT_PTR_NULL(kernel_sessions_find(&sessions, "sdx", &disk));
	CU_ASSERT_PTR_NULL(kernel_sessions_find(&sessions, "", &disk));
	CU_ASSERT_PTR_NULL(disk);
	CU_ASSERT_STRING_EQUAL(
		kernel_disk_url(&sessions.sessions[0], &session->disks[1], url, sizeof(url)),
		"iscsi://[fd00::1]:3260/iqn.2024-01.example:other/1");
	kernel_sessions_free(&sessions);
	CU_ASSERT_EQUAL(nftw(root, remove_one, 10, FTW_DEPTH | FTW_PHYS), 0);
}

static void test_none(void)
{
	struct kernel_sessions sessions;

	CU_ASSERT_EQUAL(kernel_sessions_read(&sessions, "/nonexistent"), 0);
	CU_ASSERT_EQUAL(sessions.count, 0);
	kernel_sessions_free(&sessions);
}

static CU_TestInfo tests[] = {
	{"a tree", test_tree},
	{"no iSCSI", test_none},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("kernel sessions", tests);
}
