/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a logical unit says of itself: INQUIRY (SPC-5 6.6), VPD pages 80h and 83h
 * (SPC-5 7.7.16, 7.7.6), READ CAPACITY (SBC-4 5.20, 5.21). A LUN's identity is its designator, not
 * its name.
 */
#ifndef SCSI_IDENTITY_H
#define SCSI_IDENTITY_H

#include "scsi/scsi.h"

#define SCSI_WWID_MAX 280

struct scsi_inquiry {
	uint8_t peripheral_qualifier; /* 0: connected; 3: no such logical unit */
	uint8_t device_type;          /* 0: direct access block device */
	uint8_t version;
	uint8_t tpgs; /* ALUA: bits IMPLICIT 1, EXPLICIT 2 */
	char vendor[9], product[17],
		revision[5]; /* trailing blanks cut; unprintable bytes as '.' */
};

struct scsi_capacity {
	uint64_t blocks; /* 0: unknown */
	uint32_t block_size;
	bool thin_provisioned; /* LBPME */
};

/* Encoders: fill the CDB, direction and data of *request; size in bytes. */
void scsi_inquiry_encode(struct scsi_request *request, void *buffer, uint16_t size);
void scsi_inquiry_page_encode(struct scsi_request *request, uint8_t page, void *buffer,
			      uint16_t size);
void scsi_test_unit_ready_encode(struct scsi_request *request);
void scsi_read_capacity10_encode(struct scsi_request *request, void *buffer /* 8 bytes */);
void scsi_read_capacity16_encode(struct scsi_request *request, void *buffer /* 32 bytes */);
void scsi_read16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks, void *buffer,
			uint32_t size);
void scsi_write16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks, bool fua,
			 const void *buffer, uint32_t size);
void scsi_write_same16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks,
			      bool unmap, const void *buffer /* one block */, uint32_t block_size);
/* buffer: 24 bytes, filled with one UNMAP block descriptor. */
void scsi_unmap_encode(struct scsi_request *request, uint64_t block, uint32_t blocks,
		       uint8_t *buffer);
void scsi_synchronize_cache16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks);

/* Decoders: 0 or -EBADMSG; length in bytes. */
int scsi_inquiry_decode(struct scsi_inquiry *inquiry, const uint8_t *data, size_t length);
int scsi_serial_decode(char *serial, size_t size, const uint8_t *data, size_t length);
/* The best designator of the logical unit (association 0): NAA 6h/5h/3h before EUI-64 before SCSI
 * name string before T10 vendor id before vendor specific; written as "naa.6001405...",
 * "eui.0123...", "t10.IET     00010001", the way udev and multipathd name them. -ENOENT when the
 * page has none. */
int scsi_wwid_decode(char *wwid, size_t size, const uint8_t *data, size_t length);
/* True when the page holds this designator, in whichever place (text compared without case,
 * "0x"/"wwn-0x" accepted). */
bool scsi_wwid_present(const char *wwid, const uint8_t *data, size_t length);
enum scsi_same {
	SCSI_SAME_UNKNOWN, /* a page is missing or malformed, or they have no designator of one kind */
	SCSI_SAME_YES,
	SCSI_SAME_NO,
};
struct scsi_difference {
	char one[SCSI_WWID_MAX], other[SCSI_WWID_MAX];
};
/* Do two pages 83h tell of one logical unit? Their order, their number and those of the port do not
 * matter. Of each kind of designator of the logical unit that both have, they must have one in
 * common; those that are the vendor's own only where there are no better ones. One of zeroes or
 * blanks is none. NO: *difference (NULL: not wanted) has the two that differ. */
enum scsi_same scsi_identity_compare(const uint8_t *one, size_t one_length, const uint8_t *other,
				     size_t other_length, struct scsi_difference *difference);
/* Behind a UNIT ATTENTION of this code another logical unit may stand under the same number, or
 * this one may have lost its reservations or its size (SPC-5 annex F.2): 28/xx, 29/xx, 2A/01, 2A/09,
 * 3F/xx. */
bool scsi_attention_doubts_identity(uint8_t asc, uint8_t ascq);
int scsi_capacity10_decode(struct scsi_capacity *capacity, const uint8_t *data, size_t length);
int scsi_capacity16_decode(struct scsi_capacity *capacity, const uint8_t *data, size_t length);

#endif
