/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a disk's first (and last) bytes say it is used for: LVM, md, a file system, swap, a
 * partition table. Pure: the bytes are read by somebody else, and are anybody's.
 */
#ifndef SCSI_SIGNATURE_H
#define SCSI_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_HEAD_SIZE (2u << 20)   /* as much as LVM's metadata of a disk takes, usually */
#define SIGNATURE_TAIL_SIZE (128u << 10) /* where md 0.90 and 1.0 keep theirs */
#define SIGNATURE_TEXT_MAX 128

enum signature_kind {
	SIGNATURE_NONE,
	SIGNATURE_LVM,
	SIGNATURE_MD,
	SIGNATURE_FILE_SYSTEM,
	SIGNATURE_SWAP,
	SIGNATURE_PARTITIONS,
};

struct signature {
	enum signature_kind kind;
	const char *type;               /* "LVM2_member", "linux_raid_member", "ext4", "gpt", ... */
	char uuid[SIGNATURE_TEXT_MAX];  /* as blkid shows it; "" without one */
	char label[SIGNATURE_TEXT_MAX]; /* of a file system; the name of an array */
	/* LVM: "" when its metadata is not within the head. */
	char volume_group[SIGNATURE_TEXT_MAX];
	int no_autoactivation; /* LVM: the volume group says so itself */
};

/* head: the first bytes, as many as there are. tail: the last bytes of a device of `size` bytes;
 * may be NULL. Fills *signature; kind SIGNATURE_NONE when nothing is known of it. */
void signature_find(struct signature *signature, const uint8_t *head, size_t head_length,
		    const uint8_t *tail, size_t tail_length, uint64_t size);

#endif
