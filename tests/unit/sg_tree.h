/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A made-up /sys and /dev in a temporary folder: disks, a multipath map, and what is neither.
 * Device nodes are files that say "b MAJOR MINOR", so that no test needs root.
 */
#ifndef TESTS_UNIT_SG_TREE_H
#define TESTS_UNIT_SG_TREE_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "scsi/sg_resolve.h"
#include "tests/unit/unit.h"

static char root[64], sysfs[80], dev[80], udev[80];

__attribute__((format(printf, 1, 2))) static inline const char *in_root(const char *format, ...)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	va_list arguments;
	int used = snprintf(path, PATH_MAX, "%s/", root);

	va_start(arguments, format);
	vsnprintf(path + used, (size_t)(PATH_MAX - used), format, arguments);
	va_end(arguments);
	return path;
}

static inline void make_folders(const char *path)
{
	char partial[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(partial, sizeof(partial), "%.*s", (int)(slash - path), path);
		mkdir(partial, 0700);
	}
}

static inline void make_file(const char *path, const char *text)
{
	FILE *file;

	make_folders(path);
	file = fopen(path, "w");
	if (file) {
		fputs(text, file);
		fclose(file);
	}
}

static inline void make_link(const char *path, const char *target)
{
	make_folders(path);
	if (symlink(target, path) < 0)
		perror(path);
}

static inline int fake_stat(const char *path, struct stat *result)
{
	unsigned major_number, minor_number;
	char kind;
	FILE *file;

	if (stat(path, result) < 0)
		return -1;
	file = fopen(path, "r");
	if (file && fscanf(file, "%c %u %u", &kind, &major_number, &minor_number) == 3) {
		result->st_mode = kind == 'b' ? S_IFBLK : S_IFCHR;
		result->st_rdev = makedev(major_number, minor_number);
	}
	if (file)
		fclose(file);
	return 0;
}

static const struct sg_roots fake_roots = {
	.sysfs = sysfs, .dev = dev, .stat = fake_stat, .udev = udev};

static inline void make_node(const char *name, char kind, unsigned major_number,
			     unsigned minor_number)
{
	char text[32];

	snprintf(text, sizeof(text), "%c %u %u\n", kind, major_number, minor_number);
	make_file(in_root("dev/%s", name), text);
}

/* sg < 0: the sg driver is not loaded. */
static inline void make_disk(const char *name, unsigned minor_number, const char *address, int sg,
			     const char *type)
{
	make_node(name, 'b', 8, minor_number);
	make_file(in_root("sys/devices/%s/type", address), type);
	make_file(in_root("sys/devices/%s/state", address), "running\n");
	make_link(in_root("sys/devices/%s/subsystem", address), "../../bus/scsi");
	make_file(in_root("sys/devices/%s/block/%s/size", address, name), "2048\n");
	make_link(in_root("sys/devices/%s/block/%s/device", address, name),
		  in_root("sys/devices/%s", address));
	make_link(in_root("sys/dev/block/8:%u", minor_number),
		  in_root("sys/devices/%s/block/%s", address, name));
	if (sg < 0)
		return;
	make_node(in_root("dev/sg%d", sg) + strlen(dev) + 1, 'c', 21, (unsigned)sg);
	make_link(in_root("sys/devices/%s/scsi_generic/sg%d/device", address, sg),
		  in_root("sys/devices/%s", address));
	make_link(in_root("sys/dev/char/21:%d", sg),
		  in_root("sys/devices/%s/scsi_generic/sg%d", address, sg));
	make_link(in_root("sys/class/scsi_generic/sg%d", sg),
		  in_root("sys/devices/%s/scsi_generic/sg%d", address, sg));
}

static inline void make_map(unsigned minor_number, const char *uuid)
{
	char name[16];

	snprintf(name, sizeof(name), "dm-%u", minor_number);
	make_node(name, 'b', 253, minor_number);
	make_file(in_root("sys/devices/virtual/%s/dm/uuid", name), uuid);
	make_file(in_root("sys/devices/virtual/%s/slaves/.hidden", name), "");
	make_link(in_root("sys/dev/block/253:%u", minor_number),
		  in_root("sys/devices/virtual/%s", name));
}

static inline int make_tree(void)
{
	snprintf(root, sizeof(root), "/tmp/lunkeeper-sg-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(sysfs, sizeof(sysfs), "%s/sys", root);
	snprintf(dev, sizeof(dev), "%s/dev", root);
	snprintf(udev, sizeof(udev), "%s/udev", root);
	make_disk("sdb", 16, "1:0:0:1", 3, "0\n");
	make_disk("sdc", 32, "2:0:0:1", 10, "0\n");
	make_disk("sdd", 48, "1:0:0:2", -1, "0\n");
	make_disk("sr0", 64, "5:0:0:0", 7, "5\n");
	make_node("sdb1", 'b', 8, 17);
	make_file(in_root("sys/devices/1:0:0:1/block/sdb/sdb1/partition"), "1\n");
	make_link(in_root("sys/dev/block/8:17"), in_root("sys/devices/1:0:0:1/block/sdb/sdb1"));
	make_link(in_root("dev/disk/by-id/wwn-0x6001"), "../../sdb");
	make_map(0, "mpath-36001405a1b2c3d4e\n");
	make_link(in_root("sys/devices/virtual/dm-0/slaves/sdc"),
		  in_root("sys/devices/2:0:0:1/block/sdc"));
	make_link(in_root("sys/devices/virtual/dm-0/slaves/sdb"),
		  in_root("sys/devices/1:0:0:1/block/sdb"));
	make_link(in_root("dev/mapper/mailstore"), "../dm-0");
	make_map(1, "LVM-abcdef\n");
	make_map(2, "part1-mpath-36001405a1b2c3d4e\n");
	make_map(3, "mpath-3600empty\n");
	make_node("vda", 'b', 252, 0);
	make_file(in_root("sys/devices/virtio0/block/vda/size"), "1\n");
	make_link(in_root("sys/devices/virtio0/subsystem"), "../../bus/virtio");
	make_link(in_root("sys/devices/virtio0/block/vda/device"), in_root("sys/devices/virtio0"));
	make_link(in_root("sys/dev/block/252:0"), in_root("sys/devices/virtio0/block/vda"));
	make_node("ghost", 'b', 8, 200);
	make_node("sg99", 'c', 21, 99);
	return 0;
}

static inline int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
	(void)status, (void)flag, (void)ftw;
	return remove(path);
}

/* main() of a suite that needs the tree. */
static inline int sg_tree_run(const char *name, CU_TestInfo *tests)
{
	int status;

	if (make_tree() < 0) {
		perror("a temporary folder");
		return 1;
	}
	status = unit_run(name, tests);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return status;
}

#endif
