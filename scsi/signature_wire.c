/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Superblocks, see scsi/signature.h. Pure; nothing is read beyond the lengths that are given, and
 * no offset found in the bytes is believed. LVM2's label and metadata area are as its library's
 * format_text writes them; md's as in Linux, include/uapi/linux/raid/md_p.h.
 */
#include "scsi/signature.h"

#include <stdio.h>
#include <stdbool.h>
#include <string.h>

#define SECTOR 512u
#define MD_MAGIC 0xa92b4efcu

struct bytes {
	const uint8_t *data;
	size_t length;
};

static bool has(const struct bytes *bytes, uint64_t offset, const char *magic, size_t length)
{
	return offset <= bytes->length && bytes->length - offset >= length &&
	       memcmp(bytes->data + offset, magic, length) == 0;
}

/* 0 beyond the end. */
static uint64_t little(const struct bytes *bytes, uint64_t offset, unsigned count)
{
	uint64_t value = 0;

	if (offset > bytes->length || bytes->length - offset < count)
		return 0;
	for (unsigned i = count; i-- > 0;)
		value = value << 8 | bytes->data[offset + i];
	return value;
}

/* A name in a field of a fixed size; what is not printable ends it. */
static void copy_text(char *out, const struct bytes *bytes, uint64_t offset, size_t count)
{
	size_t used = 0;

	while (used < count && used + 1 < SIGNATURE_TEXT_MAX && offset + used < bytes->length &&
	       bytes->data[offset + used] > ' ' && bytes->data[offset + used] < 0x7f) {
		out[used] = (char)bytes->data[offset + used];
		used++;
	}
	out[used] = '\0';
}

static void copy_uuid(char *out, const struct bytes *bytes, uint64_t offset)
{
	size_t used = 0;

	*out = '\0';
	if (offset > bytes->length || bytes->length - offset < 16)
		return;
	for (unsigned i = 0; i < 16; i++)
		used += (size_t)snprintf(out + used, SIGNATURE_TEXT_MAX - used, "%s%02x",
					 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
					 bytes->data[offset + i]);
}

/* mdadm's own way: four groups of eight digits. */
static void copy_array_uuid(char *out, const uint8_t parts[16])
{
	size_t used = 0;

	for (unsigned i = 0; i < 16; i++)
		used += (size_t)snprintf(out + used, SIGNATURE_TEXT_MAX - used, "%s%02x",
					 i && i % 4 == 0 ? ":" : "", parts[i]);
}

/* ---- LVM ---- */

static bool contains(const struct bytes *bytes, uint64_t offset, uint64_t length, const char *word)
{
	size_t word_length = strlen(word);

	if (offset > bytes->length || length > bytes->length - offset || length < word_length)
		return false;
	for (uint64_t i = offset; i <= offset + length - word_length; i++)
		if (memcmp(bytes->data + i, word, word_length) == 0)
			return true;
	return false;
}

/* The metadata's text begins with the volume group's name. */
static void lvm_metadata(struct signature *signature, const struct bytes *head, uint64_t area)
{
	uint64_t text, length;

	if (!has(head, area + 4, " LVM2 x[5A%r0N*>", 16))
		return;
	text = area + little(head, area + 40, 8);
	length = little(head, area + 48, 8);
	copy_text(signature->volume_group, head, text, SIGNATURE_TEXT_MAX);
	signature->no_autoactivation = contains(head, text, length, "NOAUTOACTIVATE");
}

static bool find_lvm(struct signature *signature, const struct bytes *head)
{
	for (uint64_t sector = 0; sector < 4; sector++) {
		uint64_t label = sector * SECTOR, header, at;
		unsigned lists = 0;

		if (!has(head, label, "LABELONE", 8) || !has(head, label + 24, "LVM2 001", 8))
			continue;
		signature->kind = SIGNATURE_LVM;
		signature->type = "LVM2_member";
		header = label + little(head, label + 20, 4);
		copy_text(signature->uuid, head, header, 32);
		/* Data areas, a pair of zeros, metadata areas, a pair of zeros. */
		for (at = header + 40; at + 16 <= head->length && lists < 2; at += 16) {
			uint64_t offset = little(head, at, 8);

			if (!offset)
				lists++;
			else if (lists == 1 && offset < head->length && !*signature->volume_group)
				lvm_metadata(signature, head, offset);
		}
		return true;
	}
	return false;
}

/* ---- md ---- */

static bool md_version_1(struct signature *signature, const struct bytes *bytes, uint64_t offset)
{
	uint8_t uuid[16];

	if (little(bytes, offset, 4) != MD_MAGIC || little(bytes, offset + 4, 4) != 1 ||
	    offset + 64 > bytes->length)
		return false;
	memcpy(uuid, bytes->data + offset + 16, sizeof(uuid));
	copy_array_uuid(signature->uuid, uuid);
	copy_text(signature->label, bytes, offset + 32, 32);
	return true;
}

static bool md_version_0(struct signature *signature, const struct bytes *bytes, uint64_t offset)
{
	static const uint8_t words[4] = {20, 52, 56, 60}; /* set_uuid0..3 */
	uint8_t uuid[16];

	if (little(bytes, offset, 4) != MD_MAGIC || little(bytes, offset + 4, 4) != 0 ||
	    offset + 64 > bytes->length)
		return false;
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 4; k++) /* shown as numbers: the highest byte first */
			uuid[4 * i + k] = bytes->data[offset + words[i] + 3 - k];
	copy_array_uuid(signature->uuid, uuid);
	return true;
}

static bool find_md(struct signature *signature, const struct bytes *head, const struct bytes *tail,
		    uint64_t size)
{
	uint64_t begin = size - tail->length;
	uint64_t old = size >= (128u << 10) ? (size & ~(uint64_t)0xffff) - 0x10000 : 0;
	uint64_t last = size >= 16 * SECTOR ? (size / SECTOR - 16) / 8 * 8 * SECTOR : 0;

	if (md_version_1(signature, head, 4096) || md_version_1(signature, head, 0) ||
	    (last && last >= begin && md_version_1(signature, tail, last - begin)) ||
	    (old && old >= begin && md_version_0(signature, tail, old - begin))) {
		signature->kind = SIGNATURE_MD;
		signature->type = "linux_raid_member";
		return true;
	}
	return false;
}

/* ---- the others ---- */

static bool find_ext(struct signature *signature, const struct bytes *head)
{
	uint64_t compatible = little(head, 1024 + 0x5c, 4),
		 incompatible = little(head, 1024 + 0x60, 4);

	if (little(head, 1024 + 0x38, 2) != 0xef53)
		return false;
	/* Extents and what came with them; a journal. */
	signature->type = incompatible & 0x2c0 ? "ext4" : compatible & 4 ? "ext3" : "ext2";
	copy_uuid(signature->uuid, head, 1024 + 0x68);
	copy_text(signature->label, head, 1024 + 0x78, 16);
	return true;
}

static bool find_file_system(struct signature *signature, const struct bytes *head)
{
	if (has(head, 0, "XFSB", 4)) {
		signature->type = "xfs";
		copy_uuid(signature->uuid, head, 32);
		copy_text(signature->label, head, 108, 12);
	} else if (has(head, 0x10040, "_BHRfS_M", 8)) {
		signature->type = "btrfs";
		copy_uuid(signature->uuid, head, 0x10020);
		copy_text(signature->label, head, 0x1012b, 100);
	} else if (!find_ext(signature, head)) {
		return false;
	}
	signature->kind = SIGNATURE_FILE_SYSTEM;
	return true;
}

static bool find_swap(struct signature *signature, const struct bytes *head)
{
	if (!has(head, 4086, "SWAPSPACE2", 10))
		return false;
	signature->kind = SIGNATURE_SWAP;
	signature->type = "swap";
	copy_uuid(signature->uuid, head, 1024 + 12);
	copy_text(signature->label, head, 1024 + 28, 16);
	return true;
}

static bool find_partitions(struct signature *signature, const struct bytes *head)
{
	bool used = false;

	if (has(head, SECTOR, "EFI PART", 8) || has(head, 4096, "EFI PART", 8)) {
		signature->type = "gpt";
	} else if (has(head, 510, "\x55\xaa", 2)) {
		for (unsigned i = 0; i < 4; i++)
			used = used || little(head, 446 + 16 * i + 4, 1) != 0;
		if (!used)
			return false;
		signature->type = "dos";
	} else {
		return false;
	}
	signature->kind = SIGNATURE_PARTITIONS;
	return true;
}

void signature_find(struct signature *signature, const uint8_t *head, size_t head_length,
		    const uint8_t *tail, size_t tail_length, uint64_t size)
{
	struct bytes first = {head, head_length};
	struct bytes last = {tail, tail && tail_length <= size ? tail_length : 0};

	memset(signature, 0, sizeof(*signature));
	signature->type = "";
	if (find_lvm(signature, &first) || find_md(signature, &first, &last, size) ||
	    find_file_system(signature, &first) || find_swap(signature, &first))
		return;
	find_partitions(signature, &first);
}
