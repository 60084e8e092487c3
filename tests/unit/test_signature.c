/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Superblocks as the tools write them: the files of tests/fuzz/corpus/signature are the first bytes
 * of disks made by pvcreate and vgcreate, mke2fs, mkfs.xfs, mkswap; md's are made up here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/signature.h"
#include "tests/unit/unit.h"

static uint8_t bytes[SIGNATURE_TAIL_SIZE];
static struct signature found;

static size_t load(const char *name)
{
	char path[200];
	FILE *file;
	size_t length;

	snprintf(path, sizeof(path), "tests/fuzz/corpus/signature/%s", name);
	file = fopen(path, "re");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	length = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	return length;
}

static void expect(const char *name, enum signature_kind kind, const char *type, const char *uuid,
		   const char *label)
{
	size_t length = load(name);

	signature_find(&found, bytes, length, NULL, 0, 1 << 30);
	CU_ASSERT_EQUAL(found.kind, kind);
	CU_ASSERT_STRING_EQUAL(found.type, type);
	CU_ASSERT_STRING_EQUAL(found.uuid, uuid);
	CU_ASSERT_STRING_EQUAL(found.label, label);
}

static void test_tools(void)
{
	expect("ext4", SIGNATURE_FILE_SYSTEM, "ext4", "11111111-2222-3333-4444-555555555555",
	       "maildata");
	expect("xfs", SIGNATURE_FILE_SYSTEM, "xfs", "11111111-2222-3333-4444-666666666666",
	       "spool");
	expect("swap", SIGNATURE_SWAP, "swap", "11111111-2222-3333-4444-777777777777", "sw");
	expect("gpt", SIGNATURE_PARTITIONS, "gpt", "", "");
	expect("md12", SIGNATURE_MD, "linux_raid_member", "10111213:14151617:18191a1b:1c1d1e1f",
	       "tom:archive");
}

static void test_lvm(void)
{
	size_t length = load("lvm");

	signature_find(&found, bytes, length, NULL, 0, 1 << 30);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_LVM);
	CU_ASSERT_STRING_EQUAL(found.type, "LVM2_member");
	CU_ASSERT_EQUAL(strlen(found.uuid), 32);
	CU_ASSERT_STRING_EQUAL(found.volume_group, "data-vg");
	CU_ASSERT_TRUE(found.no_autoactivation);
	signature_find(&found, bytes, 4096, NULL, 0, 1 << 30); /* the label alone */
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_LVM);
	CU_ASSERT_STRING_EQUAL(found.volume_group, "");
	CU_ASSERT_FALSE(found.no_autoactivation);
}

/* 1.0 stands 8 KiB before the end, 0.90 in the last whole 64 KiB. */
static void test_md_at_the_end(void)
{
	static uint8_t head[4096];
	static const uint8_t magic[4] = {0xfc, 0x4e, 0x2b, 0xa9};
	uint64_t size = 256u << 20;
	uint8_t *at = bytes + sizeof(bytes) - 8192;

	memset(bytes, 0, sizeof(bytes));
	memcpy(at, magic, 4);
	at[4] = 1;
	at[16] = 0xab;
	signature_find(&found, head, sizeof(head), bytes, sizeof(bytes), size);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_MD);
	CU_ASSERT_STRING_EQUAL(found.uuid, "ab000000:00000000:00000000:00000000");
	memset(bytes, 0, sizeof(bytes));
	at = bytes + sizeof(bytes) - 65536;
	memcpy(at, magic, 4);
	at[20] = 0x01;
	at[63] = 0xff;
	signature_find(&found, head, sizeof(head), bytes, sizeof(bytes), size);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_MD);
	CU_ASSERT_STRING_EQUAL(found.uuid, "00000001:00000000:00000000:ff000000");
	signature_find(&found, head, sizeof(head), bytes, sizeof(bytes), 1000);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_NONE);
}

static void test_nothing(void)
{
	memset(bytes, 0, sizeof(bytes));
	signature_find(&found, bytes, sizeof(bytes), NULL, 0, 0);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_NONE);
	CU_ASSERT_STRING_EQUAL(found.type, "");
	signature_find(&found, bytes, 0, NULL, 0, 0);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_NONE);
	bytes[510] = 0x55, bytes[511] = 0xaa; /* a boot sector without partitions */
	signature_find(&found, bytes, 512, NULL, 0, 0);
	CU_ASSERT_EQUAL(found.kind, SIGNATURE_NONE);
	bytes[450] = 0x83;
	signature_find(&found, bytes, 512, NULL, 0, 0);
	CU_ASSERT_STRING_EQUAL(found.type, "dos");
}

static CU_TestInfo tests[] = {
	{"tools", test_tools},     {"LVM", test_lvm}, {"md at the end", test_md_at_the_end},
	{"nothing", test_nothing}, CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("signature", tests);
}
