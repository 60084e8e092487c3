/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From names to SCSI generic devices in a made-up sysfs, and what is told about names that lead to
 * none.
 */
#include <errno.h>

#include "scsi/path.h"
#include "tests/unit/sg_tree.h"

static char message[512];
static struct sg_device devices[PATHS_MAX];
static size_t found;

static int resolve(const char *name)
{
	message[0] = '\0';
	return sg_resolve(&fake_roots, in_root("dev/%s", name), devices, PATHS_MAX, &found, message,
			  sizeof(message));
}

static void test_resolve_disk(void)
{
	static const char *const names[] = {"sdb", "disk/by-id/wwn-0x6001", "sg3"};

	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(resolve(names[i]), 0);
		CU_ASSERT_EQUAL(found, 1);
		CU_ASSERT_STRING_EQUAL(devices[0].node, in_root("dev/sg3"));
		CU_ASSERT_STRING_EQUAL(devices[0].address, "1:0:0:1");
	}
}

static void test_resolve_multipath(void)
{
	static const char *const names[] = {"dm-0", "mapper/mailstore"};

	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(resolve(names[i]), 0);
		CU_ASSERT_EQUAL(found, 2);
		CU_ASSERT_STRING_EQUAL(devices[0].node, in_root("dev/sg3"));
		CU_ASSERT_STRING_EQUAL(devices[1].node, in_root("dev/sg10"));
		CU_ASSERT_STRING_EQUAL(devices[1].address, "2:0:0:1");
	}
	CU_ASSERT_EQUAL(sg_resolve(&fake_roots, in_root("dev/dm-0"), devices, 1, &found, message,
				   sizeof(message)),
			-E2BIG);
	CU_ASSERT_EQUAL(found, 0);
}

static void test_resolve_refusals(void)
{
	static const struct {
		const char *name;
		int error;
		const char *says;
	} cases[] = {
		{"none", -ENOENT, "no such device"},
		{"sdb1", -ENODEV, "of the whole disk: name"},
		{"dm-1", -ENODEV, "no multipath map"},
		{"dm-2", -ENODEV, "name the multipath map 36001405a1b2c3d4e"},
		{"dm-3", -ENODEV, "has no path"},
		{"sr0", -ENODEV, "not a disk, but a SCSI device of type 5"},
		{"sg7", -ENODEV, "not a disk, but a SCSI device of type 5"},
		{"sdd", -ENODEV, "modprobe sg"},
		{"sg99", -ENODEV, "modprobe sg"},
		{"vda", -ENODEV, "not a SCSI disk (it belongs to virtio)"},
		{"ghost", -ENODEV, "no such block device (8:200)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(resolve(cases[i].name), cases[i].error);
		CU_ASSERT_EQUAL(found, 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, cases[i].says));
		CU_ASSERT_EQUAL(strncmp(message, in_root("dev/%s: ", cases[i].name),
					strlen(in_root("dev/%s: ", cases[i].name))),
				0);
	}
	CU_ASSERT_EQUAL(resolve("sdb1"), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, in_root("dev/sdb")));
}

static void test_resolve_check(void)
{
	struct sg_device device;

	CU_ASSERT_EQUAL(resolve("sdb"), 0);
	device = devices[0];
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), 0);
	make_file(in_root("sys/devices/1:0:0:1/state"), "offline\n");
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), -EHOSTDOWN);
	make_file(in_root("sys/devices/1:0:0:1/state"), "running\n");
	strcpy(device.address, "1:0:0:9");
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), -ESTALE);
	strcpy(device.node, "/dev/sg55");
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), -ENODEV);
}

/* On the machine as it is: what is no SCSI disk is told so, whatever the machine has. */
static void test_refusals_of_the_system(void)
{
	const struct path_kind *const kinds[] = {&path_kind_sg, NULL};
	const struct path_open_options options = {0};
	struct path *paths[PATHS_MAX];
	uv_loop_t loop;
	size_t count = 9;

	uv_loop_init(&loop);
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, "/dev/null", &options, paths, &count, message,
				      sizeof(message)),
			-ENODEV);
	CU_ASSERT_STRING_EQUAL(message,
			       "/dev/null: a character device, but no SCSI generic one; name "
			       "a disk, see `lsblk -S`");
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, in_root("sys/devices/1:0:0:1/type"), &options,
				      paths, &count, message, sizeof(message)),
			-ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, ": a regular file, not a SCSI disk"));
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, root, &options, paths, &count, message,
				      sizeof(message)),
			-ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, ": a folder, not a SCSI disk"));
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, "sdb", &options, paths, &count, message,
				      sizeof(message)),
			-ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "sdb: not a device; name one by its path"));
	if (access("/dev/loop0", F_OK) == 0 && access("/sys/dev/block/7:0", F_OK) == 0) {
		CU_ASSERT_EQUAL(path_open_all(kinds, &loop, "/dev/loop0", &options, paths, &count,
					      message, sizeof(message)),
				-ENODEV);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, "/dev/loop0: not a SCSI disk"));
	}
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static CU_TestInfo tests[] = {
	{"resolve a disk", test_resolve_disk},
	{"resolve a multipath map", test_resolve_multipath},
	{"what cannot be resolved", test_resolve_refusals},
	{"still the same device", test_resolve_check},
	{"refusals of the system", test_refusals_of_the_system},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return sg_tree_run("sg_resolve", tests);
}
