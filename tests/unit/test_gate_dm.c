/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate on kernel devices: its tables, what the kernel says of them, its names, and the disks
 * below it in a made-up sysfs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/gate/dm/private.h"
#include "tests/unit/unit.h"

/* As Linux 6.12 says it. */
static void test_status(void)
{
	struct gate_dm_status status;

	CU_ASSERT_EQUAL(gate_dm_status_parse("2 0 0 0 1 1 A 0 1 0 253:0 A 3 ", &status), 0);
	CU_ASSERT_TRUE(status.active);
	CU_ASSERT_EQUAL(status.major, 253);
	CU_ASSERT_EQUAL(status.minor, 0);
	CU_ASSERT_EQUAL(status.failures, 3);
	/* a path failed, none chosen */
	CU_ASSERT_EQUAL(gate_dm_status_parse("2 1 0 0 1 1 E 0 1 0 8:16 F 1", &status), 0);
	CU_ASSERT_FALSE(status.active);
	CU_ASSERT_EQUAL(status.major, 8);
	CU_ASSERT_EQUAL(status.minor, 16);
	/* a disk whose hardware handler was kept */
	CU_ASSERT_EQUAL(gate_dm_status_parse("2 0 0 1 alua 1 0 D 0 1 0 65:1048575 F 0", &status),
			0);
	CU_ASSERT_EQUAL(status.minor, 1048575);
}

static void test_status_refused(void)
{
	static const char *const cases[] = {
		"",
		"2 0 0 0 1 1 A 0 1 0 253:0 A",           /* cut off */
		"2 0 0 0 1 1 A 0 1 0 253:0 X 3",         /* no state of a path */
		"2 0 0 0 1 1 Z 0 1 0 253:0 A 3",         /* nor of a group */
		"2 0 0 0 2 1 A 0 1 0 253:0 A 3",         /* two groups */
		"2 0 0 0 1 1 A 0 2 0 253:0 A 3 8:0 A 0", /* two paths */
		"2 0 0 0 1 1 A 0 1 1 253:0 A 3 1",       /* another selector */
		"2 0 0 0 1 1 A 0 1 0 253 A 3",
		"2 0 0 0 1 1 A 0 1 0 253: A 3",
		"2 0 0 0 1 1 A 0 1 0 :0 A 3",
		"2 0 0 0 1 1 A 0 1 0 253:0 A -3",
		"2 0 0 0 1 1 A 0 1 0 253:0 A 99999999999999999999999",
		"2 0 0 0 1 1 A 0 1 0 253:0 A 3 more",
		"18446744073709551616 0",
		"65 0 0 0",
		"0 2097152 linear",
	};
	struct gate_dm_status status;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CU_ASSERT_EQUAL(gate_dm_status_parse(cases[i], &status), -EBADMSG);
}

static void test_table(void)
{
	char text[GATE_DM_TABLE_SIZE];
	bool queues;

	gate_dm_table_text(253, 7, true, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text,
			       "3 queue_if_no_path queue_mode bio 0 1 1 round-robin 0 1 0 253:7");
	CU_ASSERT_EQUAL(gate_dm_queues_parse(text, &queues), 0);
	CU_ASSERT_TRUE(queues);
	gate_dm_table_text(253, 7, false, text, sizeof(text));
	CU_ASSERT_EQUAL(gate_dm_queues_parse(text, &queues), 0);
	CU_ASSERT_FALSE(queues);
	/* what the kernel makes of it */
	CU_ASSERT_EQUAL(gate_dm_queues_parse("4 queue_if_no_path retain_attached_hw_handler "
					     "queue_mode bio 0 1 1 round-robin 0 1 1 253:0 1 ",
					     &queues),
			0);
	CU_ASSERT_TRUE(queues);
	/* a multipath map of somebody else's, and nonsense */
	CU_ASSERT_EQUAL(gate_dm_queues_parse("1 queue_if_no_path 1 alua 1 1 service-time 0 1 2 "
					     "8:0 1 1 ",
					     &queues),
			-EBADMSG);
	CU_ASSERT_EQUAL(gate_dm_queues_parse("3 queue_mode bio", &queues), -EBADMSG);
	CU_ASSERT_EQUAL(gate_dm_queues_parse("2 bio queue_mode", &queues), -EBADMSG);
	CU_ASSERT_EQUAL(gate_dm_queues_parse("", &queues), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(gate_dm_message_text("fail_path", 8, 16, text, sizeof(text)),
			       "fail_path 8:16");
}

static void test_state(void)
{
	CU_ASSERT_EQUAL(gate_dm_state(true, true), GATE_STATE_OPEN);
	CU_ASSERT_EQUAL(gate_dm_state(true, false), GATE_STATE_OPEN);
	CU_ASSERT_EQUAL(gate_dm_state(false, true), GATE_STATE_HELD);
	CU_ASSERT_EQUAL(gate_dm_state(false, false), GATE_STATE_FAILED);
}

static void test_names(void)
{
	static const char *const foreign[] = {
		"",
		"mpath-360014050cce58ad1a08416da74441d4f",
		"LUNKEEPER-0ab0cb9-1-store",
		"LUNKEEPER-0ab0cb99-store",
		"LUNKEEPER-0ab0cb99--store",
		"LUNKEEPER-0ab0cb99-1-",
		"LUNKEEPER-0AB0CB99-1-store",
		"LUNKEEPER-0ab0cb99-99999999-store",
		"LUNKEEPER-0ab0cb99-1x-store",
	};
	char name[GATE_DM_NAME_SIZE], uuid[GATE_DM_UUID_SIZE], longest[64];
	uint32_t owner, serial;
	const char *lun;

	memset(longest, 'l', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CU_ASSERT_STRING_EQUAL(gate_dm_name("mail-store.a", 7, name), "lunkeeper-mail-store.a.7");
	gate_dm_uuid(gate_dm_owner("/run/lunkeeper"), "mail-store.a", 7, uuid);
	CU_ASSERT_EQUAL(gate_dm_uuid_parse(uuid, &owner, &serial, &lun), 0);
	CU_ASSERT_EQUAL(owner, gate_dm_owner("/run/lunkeeper"));
	CU_ASSERT_NOT_EQUAL(owner, gate_dm_owner("/run/other"));
	CU_ASSERT_EQUAL(serial, 7);
	CU_ASSERT_STRING_EQUAL(lun, "mail-store.a");
	gate_dm_uuid(UINT32_MAX, longest, GATE_DM_SERIAL_MAX, uuid);
	CU_ASSERT_EQUAL(gate_dm_uuid_parse(uuid, &owner, &serial, &lun), 0);
	CU_ASSERT_EQUAL(owner, UINT32_MAX);
	CU_ASSERT_EQUAL(serial, GATE_DM_SERIAL_MAX);
	CU_ASSERT_STRING_EQUAL(lun, longest);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		CU_ASSERT_EQUAL(gate_dm_uuid_parse(foreign[i], &owner, &serial, &lun), -ENOENT);
}

/* --- the disks below --- */

static char root[64];

static void put(const char *path, const void *bytes, size_t length)
{
	char full[512], *slash;
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	file = fopen(full, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fwrite(bytes, 1, length, file);
	fclose(file);
}

static void get(const char *path, char *text, size_t size)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	file = fopen(full, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

/* Page 83h with one NAA designator of the logical unit. */
static void put_disk(const char *folder, uint8_t last)
{
	const uint8_t page[] = {0,    0x83, 0,    12,   0x01, 0x03, 0,    8,
				0x50, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, last};
	char path[300];

	snprintf(path, sizeof(path), "%s/device/vpd_pg83", folder);
	put(path, page, sizeof(page));
	snprintf(path, sizeof(path), "%s/device/scsi_disk/0:0:0:%u/max_write_same_blocks", folder,
		 last);
	put(path, "65535\n", 6);
}

/* A map of two disks, and a disk. */
static void test_below(void)
{
	char text[64], message[300];
	struct gate_dm_below below;

	snprintf(root, sizeof(root), "/tmp/test_gate_dm.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	put("dev/block/253:0/size", "131072\n", 7);
	put_disk("dev/block/253:0/slaves/sda", 1);
	put_disk("dev/block/253:0/slaves/sdb", 2);
	put_disk("dev/block/8:32", 3);
	CU_ASSERT_EQUAL(gate_dm_below_sectors(root, 253, 0), 131072);
	CU_ASSERT_EQUAL(gate_dm_below_sectors(root, 253, 1), 0);

	CU_ASSERT_TRUE(gate_dm_below_zeroes(root, 253, 0));
	CU_ASSERT_EQUAL(gate_dm_below_forbid_zeroing(root, 253, 0), 0);
	get("dev/block/253:0/slaves/sda/device/scsi_disk/0:0:0:1/max_write_same_blocks", text,
	    sizeof(text));
	CU_ASSERT_EQUAL(text[0], '0');
	get("dev/block/253:0/slaves/sdb/device/scsi_disk/0:0:0:2/max_write_same_blocks", text,
	    sizeof(text));
	CU_ASSERT_EQUAL(text[0], '0');
	get("dev/block/8:32/device/scsi_disk/0:0:0:3/max_write_same_blocks", text, sizeof(text));
	CU_ASSERT_EQUAL(text[0], '6');
	CU_ASSERT_EQUAL(gate_dm_below_forbid_zeroing(root, 8, 32), 0);
	get("dev/block/8:32/device/scsi_disk/0:0:0:3/max_write_same_blocks", text, sizeof(text));
	CU_ASSERT_EQUAL(text[0], '0');

	CU_ASSERT_EQUAL(gate_dm_below_check(root, 8, 32, "naa.5000112233445503", "x", message,
					    sizeof(message)),
			0);
	CU_ASSERT_EQUAL(gate_dm_below_check(root, 253, 0, "naa.5000112233445501", "map", message,
					    sizeof(message)),
			-ESTALE);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "sdb says naa.5000112233445502"));
	/* where the kernel knows no page, nothing speaks against it */
	CU_ASSERT_EQUAL(gate_dm_below_check(root, 7, 0, "naa.5000112233445501", "x", message,
					    sizeof(message)),
			0);

	CU_ASSERT_EQUAL(
		gate_dm_below_find(root, "/nowhere/sdx", NULL, &below, message, sizeof(message)),
		-ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "/nowhere/sdx"));
	CU_ASSERT_EQUAL(
		gate_dm_below_find(root, "/dev/null", NULL, &below, message, sizeof(message)),
		-ENOTBLK);
	snprintf(message, sizeof(message), "rm -rf %s", root);
	CU_ASSERT_EQUAL(system(message), 0);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"status", test_status}, {"status refused", test_status_refused},
		{"table", test_table},   {"state", test_state},
		{"names", test_names},   {"the disks below", test_below},
		CU_TEST_INFO_NULL,
	};

	return unit_run("gate_dm", tests);
}
