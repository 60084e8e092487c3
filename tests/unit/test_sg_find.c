/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A LUN is found by what it is, in a made-up sysfs: under other names than before, as a map, as a
 * disk, as two, and not at all.
 */
#include <errno.h>

#include "iscsi/sessions.h"
#include "scsi/sg_find.h"
#include "tests/unit/sg_tree.h"

#define MINE "naa.60014050000000010000000000000001"
#define OTHER "naa.60014050000000020000000000000002"

/* VPD 83h of one NAA designator. */
static void set_identity(const char *address, const char *naa)
{
	uint8_t page[24] = {0, 0x83, 0, 20, 0x01, 0x03, 0, 16};
	char text[64];
	FILE *file;

	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		sscanf(naa + 4 + 2 * i, "%2x", &byte);
		page[8 + i] = (uint8_t)byte;
	}
	file = fopen(in_root("sys/devices/%s/vpd_pg83", address), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fwrite(page, 1, sizeof(page), file);
	fclose(file);
	snprintf(text, sizeof(text), "%s\n", naa);
	make_file(in_root("sys/devices/%s/wwid", address), text);
}

/* Below sys/block, where one looks for all of them. */
static void show_block(const char *name, const char *where)
{
	remove(in_root("sys/block/%s", name));
	make_link(in_root("sys/block/%s", name), in_root("sys/devices/%s", where));
}

static struct sg_place place;

static int find(const char *device, const char *wwid)
{
	const char *const devices[] = {device};
	const struct sg_wanted wanted = {devices, device != NULL, wwid};

	return sg_place_find(&fake_roots, NULL, &wanted, &place);
}

/* sdb and sdc of the tree are one LUN with a map over them; sdd, once it has a generic device, is
 * another. */
static void arrange(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	set_identity("1:0:0:1", MINE);
	set_identity("2:0:0:1", MINE);
	show_block("sdb", "1:0:0:1/block/sdb");
	show_block("sdc", "2:0:0:1/block/sdc");
	make_disk("sde", 80, "3:0:0:1", 5, "0\n");
	set_identity("3:0:0:1", OTHER);
	show_block("sde", "3:0:0:1/block/sde");
	make_node("sde1", 'b', 8, 81);
	show_block("dm-7", "virtual/dm-7");
}

static void test_without_a_map(void)
{
	arrange();
	CU_ASSERT_EQUAL(find(NULL, OTHER), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sde"));
	CU_ASSERT_EQUAL(place.count, 1);
	CU_ASSERT_STRING_EQUAL(place.devices[0].node, in_root("dev/sg5"));
	CU_ASSERT_FALSE(place.map);
	CU_ASSERT_FALSE(place.elsewhere);
	CU_ASSERT_STRING_EQUAL(place.message, "");
	/* Two disks, but no map that would bring them together. */
	CU_ASSERT_EQUAL(find(NULL, MINE), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sdb"));
	CU_ASSERT_EQUAL(place.count, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(place.message, "no multipath map"));
	/* However the configuration writes it. */
	CU_ASSERT_EQUAL(find(NULL, "wwn-0x60014050000000020000000000000002"), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sde"));
}

static void test_named(void)
{
	char device[PATH_MAX];

	arrange();
	snprintf(device, sizeof(device), "%s", in_root("dev/sde"));
	CU_ASSERT_EQUAL(find(device, NULL), 0);
	CU_ASSERT_STRING_EQUAL(place.block, device);
	CU_ASSERT_EQUAL(find(device, OTHER), 0);
	CU_ASSERT_STRING_EQUAL(place.block, device);
	CU_ASSERT_FALSE(place.elsewhere);
}

/* After a reboot: the name is another LUN's. */
static void test_names_changed(void)
{
	char device[PATH_MAX];

	arrange();
	snprintf(device, sizeof(device), "%s", in_root("dev/sdb"));
	CU_ASSERT_EQUAL(find(device, OTHER), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sde"));
	CU_ASSERT_EQUAL(place.count, 1);
	CU_ASSERT_STRING_EQUAL(place.devices[0].node, in_root("dev/sg5"));
	CU_ASSERT(place.elsewhere);
	CU_ASSERT_PTR_NOT_NULL(strstr(place.message, "another logical unit: " MINE));
	/* A name that is gone. */
	snprintf(device, sizeof(device), "%s", in_root("dev/sdz"));
	CU_ASSERT_EQUAL(find(device, OTHER), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sde"));
	CU_ASSERT(place.elsewhere);
}

/* Multipath is to have it: taken as a disk, the map could not be made any more. */
static void test_claimed(void)
{
	arrange();
	make_file(in_root("sys/devices/3:0:0:1/block/sde/dev"), "8:80\n");
	make_file(in_root("udev/b8:99"), "E:ID_BUS=scsi\n");
	CU_ASSERT_EQUAL(find(NULL, OTHER), -ENODEV); /* udev has not seen it yet */
	make_file(in_root("udev/b8:80"),
		  "S:disk/by-id/x\nE:DM_MULTIPATH_DEVICE_PATH=1\nE:ID_BUS=scsi\n");
	CU_ASSERT_EQUAL(find(NULL, OTHER), -ENODEV);
	CU_ASSERT_EQUAL(place.count, 0);
	CU_ASSERT_STRING_EQUAL(place.block, "");
	CU_ASSERT_PTR_NOT_NULL(strstr(place.message, "no multipath map of them yet"));
	make_file(in_root("udev/b8:80"), "S:disk/by-id/x\nE:DM_MULTIPATH_DEVICE_PATH=0\n");
	CU_ASSERT_EQUAL(find(NULL, OTHER), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sde"));
}

static void test_nowhere(void)
{
	char device[PATH_MAX];

	arrange();
	CU_ASSERT_EQUAL(find(NULL, "naa.60014050000000030000000000000003"), -ENODEV);
	CU_ASSERT_EQUAL(place.count, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(place.message, "no disk says that it is"));
	snprintf(device, sizeof(device), "%s", in_root("dev/sdb"));
	CU_ASSERT_EQUAL(find(device, "naa.60014050000000030000000000000003"), -ESTALE);
	CU_ASSERT_EQUAL(place.count, 0);
	CU_ASSERT_STRING_EQUAL(place.block, "");
	snprintf(device, sizeof(device), "%s", in_root("dev/nothing"));
	CU_ASSERT_EQUAL(find(device, NULL), -ENOENT);
}

/* The last one: it makes the map. */
static void test_map(void)
{
	arrange();
	make_map(7, "mpath-360014050000000010000000000000001\n");
	make_file(in_root("sys/devices/virtual/dm-7/dm/name"), "mailstore\n");
	make_link(in_root("sys/devices/virtual/dm-7/slaves/sdc"),
		  in_root("sys/devices/2:0:0:1/block/sdc"));
	make_link(in_root("dev/mapper/seven"), "../dm-7");
	CU_ASSERT_EQUAL(find(NULL, MINE), 0);
	/* udev has not made its name yet. */
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/dm-7"));
	CU_ASSERT(place.map);
	/* sdb is no member yet, but will be: it is registered before data goes through it. */
	CU_ASSERT_EQUAL(place.count, 2);
	CU_ASSERT_STRING_EQUAL(place.devices[0].node, in_root("dev/sg10"));
	CU_ASSERT_STRING_EQUAL(place.devices[1].node, in_root("dev/sg3"));
	CU_ASSERT_STRING_EQUAL(place.message, "");
	make_file(in_root("sys/devices/virtual/dm-7/dm/name"), "seven\n");
	CU_ASSERT_EQUAL(find(NULL, MINE), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/mapper/seven"));
	CU_ASSERT_EQUAL(find(in_root("dev/mapper/seven"), NULL), 0);
	CU_ASSERT_EQUAL(place.count, 2);
	CU_ASSERT(place.map);
}

/* A volume of LVM, or a gate of ours: the disk that is listed behind it is one all the same. */
static void test_behind_other_devices(void)
{
	arrange();
	make_file(in_root("sys/devices/virtual/dm-7/dm/uuid"), "LVM-abcdefgh\n");
	make_disk("sda", 0, "4:0:0:1", 6, "0\n");
	set_identity("4:0:0:1", "naa.60014050000000040000000000000004");
	show_block("sda", "4:0:0:1/block/sda");
	make_file(in_root("sys/devices/4:0:0:1/block/sda/dev"), "8:0\n");
	make_file(in_root("udev/b8:0"), "E:ID_BUS=scsi\n");
	CU_ASSERT_EQUAL(find(NULL, "naa.60014050000000040000000000000004"), 0);
	CU_ASSERT_STRING_EQUAL(place.block, in_root("dev/sda"));
	CU_ASSERT_EQUAL(place.count, 1);
}

static void make_session(const char *session, const char *isid)
{
	make_file(in_root("sys/class/iscsi_session/%s/targetname", session), "iqn.2024-01.x:san\n");
	make_file(in_root("sys/class/iscsi_session/%s/initiatorname", session),
		  "iqn.2024-01.x:jerry\n");
	if (isid)
		make_file(in_root("sys/class/iscsi_session/%s/isid", session), isid);
}

static void test_session(void)
{
	struct kernel_nexus nexus, before;
	char text[300];

	make_file(in_root("sys/devices/platform/host6/session12/target6:0:0/6:0:0:1/state"),
		  "running\n");
	make_link(in_root("sys/class/scsi_generic/sg20/device"),
		  in_root("sys/devices/platform/host6/session12/target6:0:0/6:0:0:1"));
	make_session("session12", NULL);
	CU_ASSERT(kernel_nexus_read(&nexus, sysfs, "sg20"));
	CU_ASSERT_STRING_EQUAL(nexus.session, "session12");
	CU_ASSERT_STRING_EQUAL(kernel_nexus_transport(&nexus, text, sizeof(text)),
			       "iqn.2024-01.x:jerry,i,0x00023d00000c");
	before = nexus;
	CU_ASSERT(kernel_nexus_read(&nexus, sysfs, "sg20"));
	CU_ASSERT(kernel_nexus_equal(&before, &nexus));
	/* The kernel's own word comes before what is assumed. */
	make_session("session12", "4000013d0002\n");
	CU_ASSERT(kernel_nexus_read(&nexus, sysfs, "sg20"));
	CU_ASSERT_FALSE(kernel_nexus_equal(&before, &nexus));
	CU_ASSERT_STRING_EQUAL(kernel_nexus_transport(&nexus, text, sizeof(text)),
			       "iqn.2024-01.x:jerry,i,0x4000013d0002");
	CU_ASSERT_STRING_EQUAL(kernel_nexus_transport(&nexus, text, 10), "");
	CU_ASSERT_FALSE(kernel_nexus_read(&nexus, sysfs, "sg3"));
	CU_ASSERT_STRING_EQUAL(kernel_nexus_transport(&nexus, text, sizeof(text)), "");
	CU_ASSERT_FALSE(kernel_nexus_read(&nexus, sysfs, "sg99"));
}

int main(void)
{
	CU_TestInfo tests[] = {{"without a map", test_without_a_map},
			       {"named", test_named},
			       {"names changed", test_names_changed},
			       {"nowhere", test_nowhere},
			       {"claimed", test_claimed},
			       {"map", test_map},
			       {"behind other devices", test_behind_other_devices},
			       {"session", test_session},
			       CU_TEST_INFO_NULL};

	return sg_tree_run("sg_find", tests);
}
