/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * INQUIRY, vital product data, capacity and the block commands of the capability probe, on the
 * wire. Pure; every length that a device names is checked against the bytes that arrived.
 */
#include "scsi/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "scsi/bytes.h"

#define SCSI_PAGE_HEADER_LENGTH 4

static uint8_t *scsi_cdb_begin(struct scsi_request *request, uint8_t opcode, uint8_t cdb_length,
			       enum scsi_direction direction, const void *data,
			       uint32_t data_length)
{
	memset(request->cdb, 0, sizeof(request->cdb));
	request->cdb[0] = opcode;
	request->cdb_length = cdb_length;
	request->direction = direction;
	request->data = (void *)(uintptr_t)data; /* data-out is only read */
	request->data_length = data_length;
	return request->cdb;
}

void scsi_inquiry_encode(struct scsi_request *request, void *buffer, uint16_t size)
{
	uint8_t *cdb = scsi_cdb_begin(request, 0x12, 6, SCSI_DIRECTION_IN, buffer, size);

	bytes_put_be16(cdb + 3, size);
}

void scsi_inquiry_page_encode(struct scsi_request *request, uint8_t page, void *buffer,
			      uint16_t size)
{
	scsi_inquiry_encode(request, buffer, size);
	request->cdb[1] = 0x01; /* EVPD */
	request->cdb[2] = page;
}

void scsi_test_unit_ready_encode(struct scsi_request *request)
{
	scsi_cdb_begin(request, 0x00, 6, SCSI_DIRECTION_NONE, NULL, 0);
}

void scsi_read_capacity10_encode(struct scsi_request *request, void *buffer)
{
	scsi_cdb_begin(request, 0x25, 10, SCSI_DIRECTION_IN, buffer, 8);
}

void scsi_read_capacity16_encode(struct scsi_request *request, void *buffer)
{
	uint8_t *cdb = scsi_cdb_begin(request, 0x9e, 16, SCSI_DIRECTION_IN, buffer, 32);

	cdb[1] = 0x10;
	bytes_put_be32(cdb + 10, 32);
}

/* READ(16), WRITE(16), WRITE SAME(16) and SYNCHRONIZE CACHE(16) share one layout
 * (SBC-4 5.18, 5.41, 5.54, 5.34). */
static uint8_t *scsi_block16_encode(struct scsi_request *request, uint8_t opcode, uint64_t block,
				    uint32_t blocks, enum scsi_direction direction,
				    const void *buffer, uint32_t size)
{
	uint8_t *cdb = scsi_cdb_begin(request, opcode, 16, direction, buffer, size);

	bytes_put_be64(cdb + 2, block);
	bytes_put_be32(cdb + 10, blocks);
	return cdb;
}

void scsi_read16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks, void *buffer,
			uint32_t size)
{
	scsi_block16_encode(request, 0x88, block, blocks, SCSI_DIRECTION_IN, buffer, size);
}

void scsi_write16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks, bool fua,
			 const void *buffer, uint32_t size)
{
	uint8_t *cdb =
		scsi_block16_encode(request, 0x8a, block, blocks, SCSI_DIRECTION_OUT, buffer, size);

	cdb[1] = fua ? 0x08 : 0;
}

void scsi_write_same16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks,
			      bool unmap, const void *buffer, uint32_t block_size)
{
	uint8_t *cdb = scsi_block16_encode(request, 0x93, block, blocks, SCSI_DIRECTION_OUT, buffer,
					   block_size);

	cdb[1] = unmap ? 0x08 : 0;
}

/* SBC-4 5.35. */
void scsi_unmap_encode(struct scsi_request *request, uint64_t block, uint32_t blocks,
		       uint8_t *buffer)
{
	uint8_t *cdb = scsi_cdb_begin(request, 0x42, 10, SCSI_DIRECTION_OUT, buffer, 24);

	bytes_put_be16(cdb + 7, 24);
	memset(buffer, 0, 24);
	bytes_put_be16(buffer, 22);     /* UNMAP DATA LENGTH: what follows it */
	bytes_put_be16(buffer + 2, 16); /* of block descriptors */
	bytes_put_be64(buffer + 8, block);
	bytes_put_be32(buffer + 16, blocks);
}

void scsi_synchronize_cache16_encode(struct scsi_request *request, uint64_t block, uint32_t blocks)
{
	scsi_block16_encode(request, 0x91, block, blocks, SCSI_DIRECTION_NONE, NULL, 0);
}

/* Device text: ends at its first zero byte, leading and trailing blanks cut, unprintable bytes as
 * '.'. False: it does not fit. */
static bool scsi_text_copy(char *text, size_t size, const uint8_t *data, size_t length)
{
	const uint8_t *zero = memchr(data, 0, length);

	if (zero)
		length = (size_t)(zero - data);
	while (length > 0 && data[length - 1] == ' ')
		length--;
	for (; length > 0 && data[0] == ' '; length--)
		data++;
	if (length >= size)
		return false;
	for (size_t i = 0; i < length; i++)
		text[i] = data[i] >= ' ' && data[i] < 0x7f ? (char)data[i] : '.';
	text[length] = '\0';
	return true;
}

int scsi_inquiry_decode(struct scsi_inquiry *inquiry, const uint8_t *data, size_t length)
{
	memset(inquiry, 0, sizeof(*inquiry));
	if (length < 5)
		return -EBADMSG;
	if (length > (size_t)data[4] + 5)
		length = (size_t)data[4] + 5;
	inquiry->peripheral_qualifier = data[0] >> 5;
	inquiry->device_type = data[0] & 0x1f;
	inquiry->version = data[2];
	if (length > 5)
		inquiry->tpgs = data[5] >> 4 & 0x3;
	if (length >= 16)
		scsi_text_copy(inquiry->vendor, sizeof(inquiry->vendor), data + 8, 8);
	if (length >= 32)
		scsi_text_copy(inquiry->product, sizeof(inquiry->product), data + 16, 16);
	if (length >= 36)
		scsi_text_copy(inquiry->revision, sizeof(inquiry->revision), data + 32, 4);
	return 0;
}

/* The bytes behind the header of a VPD page. A page that did not arrive whole is not believed: half
 * an identity may be another one's. */
static int scsi_page_body(uint8_t page, const uint8_t *data, size_t length, const uint8_t **body,
			  size_t *body_length)
{
	if (length < SCSI_PAGE_HEADER_LENGTH || data[1] != page)
		return -EBADMSG;
	*body = data + SCSI_PAGE_HEADER_LENGTH;
	*body_length = bytes_get_be16(data + 2);
	return *body_length <= length - SCSI_PAGE_HEADER_LENGTH ? 0 : -EBADMSG;
}

int scsi_serial_decode(char *serial, size_t size, const uint8_t *data, size_t length)
{
	const uint8_t *body;
	size_t body_length;

	if (size == 0)
		return -EBADMSG;
	serial[0] = '\0';
	if (scsi_page_body(0x80, data, length, &body, &body_length) < 0)
		return -EBADMSG;
	return scsi_text_copy(serial, size, body, body_length) ? 0 : -EBADMSG;
}

#define SCSI_DESIGNATOR_RANK_MOST 9
#define SCSI_DESIGNATOR_RANK_VENDOR 2

enum scsi_designator_type {
	SCSI_DESIGNATOR_VENDOR_SPECIFIC = 0,
	SCSI_DESIGNATOR_T10_VENDOR_ID = 1,
	SCSI_DESIGNATOR_EUI64 = 2,
	SCSI_DESIGNATOR_NAA = 3,
	SCSI_DESIGNATOR_NAME_STRING = 8,
};

/* SPC-5 7.7.6.1: one designation descriptor. */
struct scsi_designator {
	bool binary; /* CODE SET */
	uint8_t association, type;
	uint8_t length;
	const uint8_t *data;
};

/* 1 with a designator, 0 at the end, -EBADMSG when it reaches beyond the page. */
static int scsi_designator_next(const uint8_t *body, size_t length, size_t *offset,
				struct scsi_designator *designator)
{
	const uint8_t *descriptor = body + *offset;
	size_t left = length - *offset;

	if (left == 0)
		return 0;
	if (left < 4 || descriptor[3] > left - 4)
		return -EBADMSG;
	designator->binary = (descriptor[0] & 0x0f) == 1;
	designator->association = descriptor[1] >> 4 & 0x3;
	designator->type = descriptor[1] & 0x0f;
	designator->length = descriptor[3];
	designator->data = descriptor + 4;
	*offset += 4 + (size_t)descriptor[3];
	return 1;
}

/* Zeroes (behind the first digit of an NAA) or blanks: it was never set, and thousands bear it. */
static bool scsi_designator_is_void(const struct scsi_designator *designator)
{
	bool naa = designator->type == SCSI_DESIGNATOR_NAA;
	size_t begin = designator->type == SCSI_DESIGNATOR_T10_VENDOR_ID ? 8 : 0;

	for (size_t i = begin; i < designator->length; i++) {
		uint8_t byte = naa && i == 0 ? designator->data[i] & 0x0f : designator->data[i];

		if (byte != 0 && byte != ' ')
			return false;
	}
	return true;
}

/* How good a designator is as an identity: the higher the better, 0 not at all. */
static unsigned scsi_designator_rank(const struct scsi_designator *designator)
{
	unsigned naa;

	if (designator->association != 0 || designator->length == 0 ||
	    scsi_designator_is_void(designator))
		return 0;
	switch (designator->type) {
	case SCSI_DESIGNATOR_NAA:
		naa = designator->data[0] >> 4;
		if (!designator->binary || designator->length != (naa == 6 ? 16 : 8))
			return 0;
		return naa == 6 ? 9 : naa == 5 ? 8 : naa == 3 ? 7 : naa == 2 ? 6 : 0;
	case SCSI_DESIGNATOR_EUI64:
		if (!designator->binary || (designator->length != 8 && designator->length != 12 &&
					    designator->length != 16))
			return 0;
		return 5;
	case SCSI_DESIGNATOR_NAME_STRING:
		return designator->binary ? 0 : 4;
	case SCSI_DESIGNATOR_T10_VENDOR_ID:
		return designator->length > 8 ? 3 : 0;
	case SCSI_DESIGNATOR_VENDOR_SPECIFIC:
		return 2;
	}
	return 0;
}

static const char *scsi_designator_prefix(uint8_t type)
{
	switch (type) {
	case SCSI_DESIGNATOR_NAA:
		return "naa.";
	case SCSI_DESIGNATOR_EUI64:
		return "eui.";
	case SCSI_DESIGNATOR_T10_VENDOR_ID:
		return "t10.";
	case SCSI_DESIGNATOR_VENDOR_SPECIFIC:
		return "vendor.";
	}
	return ""; /* a SCSI name string carries its own */
}

/* False: it has no text or does not fit; a cut identity would be worse than none. */
static bool scsi_designator_text(const struct scsi_designator *designator, char *text, size_t size)
{
	const uint8_t *data = designator->data;
	size_t length = designator->length, used;

	used = (size_t)snprintf(text, size, "%s", scsi_designator_prefix(designator->type));
	if (used >= size)
		return false;
	if (!designator->binary)
		return scsi_text_copy(text + used, size - used, data, length) && text[used] != '\0';
	/* T10 vendor identification: eight characters before the binary part. */
	if (designator->type == SCSI_DESIGNATOR_T10_VENDOR_ID) {
		if (size - used < 9)
			return false;
		for (unsigned i = 0; i < 8; i++)
			text[used++] = data[i] >= ' ' && data[i] < 0x7f ? (char)data[i] : '.';
		data += 8;
		length -= 8;
	}
	if (size - used < 2 * length + 1)
		return false;
	for (size_t i = 0; i < length; i++)
		used += (size_t)snprintf(text + used, size - used, "%02x", data[i]);
	return true;
}

int scsi_wwid_decode(char *wwid, size_t size, const uint8_t *data, size_t length)
{
	struct scsi_designator designator;
	const uint8_t *body;
	size_t body_length, offset = 0;
	char text[SCSI_WWID_MAX];
	unsigned best = 0;
	int rc;

	if (size == 0)
		return -EBADMSG;
	wwid[0] = '\0';
	if (scsi_page_body(0x83, data, length, &body, &body_length) < 0)
		return -EBADMSG;
	while ((rc = scsi_designator_next(body, body_length, &offset, &designator)) > 0) {
		unsigned rank = scsi_designator_rank(&designator);

		if (rank <= best || !scsi_designator_text(&designator, text, sizeof(text)) ||
		    strlen(text) >= size)
			continue;
		best = rank;
		memcpy(wwid, text, strlen(text) + 1);
	}
	if (rc < 0) {
		wwid[0] = '\0';
		return rc;
	}
	return best > 0 ? 0 : -ENOENT;
}

/* "wwn-0x6001..." and "scsi-36001...", the names under /dev/disk/by-id, without what is not the
 * identity. */
static const char *scsi_wwid_bare(const char *wwid)
{
	static const char *const prefixes[] = {"scsi-", "wwn-", "0x"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncasecmp(wwid, prefixes[i], strlen(prefixes[i])) == 0)
			wwid += strlen(prefixes[i]);
	}
	return wwid;
}

/* wanted: as a person writes it; the form of multipathd and scsi_id has the designator's type as
 * its first digit. */
static bool scsi_wwid_match(const char *wanted, const char *text, uint8_t type)
{
	const char *bare = scsi_wwid_bare(wanted), *hex = text + 4;

	if (strcasecmp(wanted, text) == 0)
		return true;
	if (type != SCSI_DESIGNATOR_NAA && type != SCSI_DESIGNATOR_EUI64)
		return false;
	return strcasecmp(bare, hex) == 0 ||
	       (bare[0] == '0' + (char)type && strcasecmp(bare + 1, hex) == 0);
}

bool scsi_wwid_present(const char *wwid, const uint8_t *data, size_t length)
{
	struct scsi_designator designator;
	const uint8_t *body;
	size_t body_length, offset = 0;
	char text[SCSI_WWID_MAX];

	if (scsi_page_body(0x83, data, length, &body, &body_length) < 0)
		return false;
	while (scsi_designator_next(body, body_length, &offset, &designator) > 0) {
		if (scsi_designator_rank(&designator) > 0 &&
		    scsi_designator_text(&designator, text, sizeof(text)) &&
		    scsi_wwid_match(wwid, text, designator.type))
			return true;
	}
	return false;
}

/* Of one page: the next designator of this rank, from *offset on. */
static bool scsi_designator_of_rank(const uint8_t *body, size_t length, size_t *offset,
				    unsigned rank, struct scsi_designator *designator)
{
	while (scsi_designator_next(body, length, offset, designator) > 0)
		if (scsi_designator_rank(designator) == rank)
			return true;
	return false;
}

static bool scsi_designator_equal(const struct scsi_designator *one,
				  const struct scsi_designator *other)
{
	char first[SCSI_WWID_MAX], second[SCSI_WWID_MAX];

	return one->type == other->type && scsi_designator_text(one, first, sizeof(first)) &&
	       scsi_designator_text(other, second, sizeof(second)) &&
	       strcasecmp(first, second) == 0;
}

/* Of one rank: have they one in common? NO: and the first of each. */
static enum scsi_same scsi_rank_compare(const uint8_t *one, size_t one_length, const uint8_t *other,
					size_t other_length, unsigned rank,
					struct scsi_designator *a, struct scsi_designator *b)
{
	enum scsi_same same = SCSI_SAME_UNKNOWN;
	size_t at = 0, from;

	while (scsi_designator_of_rank(one, one_length, &at, rank, a)) {
		from = 0;

		while (scsi_designator_of_rank(other, other_length, &from, rank, b)) {
			if (scsi_designator_equal(a, b))
				return SCSI_SAME_YES;
			same = SCSI_SAME_NO;
		}
	}
	at = from = 0;
	if (same == SCSI_SAME_NO)
		same = scsi_designator_of_rank(one, one_length, &at, rank, a) &&
				       scsi_designator_of_rank(other, other_length, &from, rank, b)
			       ? SCSI_SAME_NO
			       : SCSI_SAME_UNKNOWN;
	return same;
}

enum scsi_same scsi_identity_compare(const uint8_t *one, size_t one_length, const uint8_t *other,
				     size_t other_length, struct scsi_difference *difference)
{
	const uint8_t *first, *second;
	size_t first_length, second_length;
	enum scsi_same same = SCSI_SAME_UNKNOWN;

	if (scsi_page_body(0x83, one, one_length, &first, &first_length) < 0 ||
	    scsi_page_body(0x83, other, other_length, &second, &second_length) < 0)
		return SCSI_SAME_UNKNOWN;
	for (unsigned rank = SCSI_DESIGNATOR_RANK_MOST; rank > 0; rank--) {
		struct scsi_designator a, b;

		/* What a vendor alone understands may be a name that people give. */
		if (rank == SCSI_DESIGNATOR_RANK_VENDOR && same != SCSI_SAME_UNKNOWN)
			continue;
		switch (scsi_rank_compare(first, first_length, second, second_length, rank, &a,
					  &b)) {
		case SCSI_SAME_UNKNOWN:
			break;
		case SCSI_SAME_YES:
			same = SCSI_SAME_YES;
			break;
		case SCSI_SAME_NO:
			if (difference) {
				scsi_designator_text(&a, difference->one, sizeof(difference->one));
				scsi_designator_text(&b, difference->other,
						     sizeof(difference->other));
			}
			return SCSI_SAME_NO;
		}
	}
	return same;
}

bool scsi_attention_doubts_identity(uint8_t asc, uint8_t ascq)
{
	switch (asc) {
	case 0x29: /* power on, reset, I_T nexus loss */
	case 0x3f: /* operating conditions: INQUIRY data, identifier, REPORT LUNS data */
		return true;
	case 0x28: /* medium may have changed */
		return true;
	case 0x2a:
		return ascq == 0x01 || ascq == 0x09; /* mode parameters, capacity */
	}
	return false;
}

int scsi_capacity10_decode(struct scsi_capacity *capacity, const uint8_t *data, size_t length)
{
	uint32_t last;

	memset(capacity, 0, sizeof(*capacity));
	if (length < 8 || bytes_get_be32(data + 4) == 0)
		return -EBADMSG;
	last = bytes_get_be32(data);
	/* SBC-4 5.20.2: FFFFFFFFh says that READ CAPACITY (16) must be asked. */
	capacity->blocks = last == UINT32_MAX ? 0 : (uint64_t)last + 1;
	capacity->block_size = bytes_get_be32(data + 4);
	return 0;
}

int scsi_capacity16_decode(struct scsi_capacity *capacity, const uint8_t *data, size_t length)
{
	uint64_t last;

	memset(capacity, 0, sizeof(*capacity));
	if (length < 15)
		return -EBADMSG;
	last = bytes_get_be64(data);
	if (last == UINT64_MAX || bytes_get_be32(data + 8) == 0)
		return -EBADMSG;
	capacity->blocks = last + 1;
	capacity->block_size = bytes_get_be32(data + 8);
	capacity->thin_provisioned = data[14] & 0x80;
	return 0;
}
