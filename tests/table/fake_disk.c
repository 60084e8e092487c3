/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See fake_disk.h.
 */
#include "tests/table/fake_disk.h"

#include <stdio.h>
#include <string.h>

#include "scsi/bytes.h"

#define FOREIGN_KEY 0xf00d000000000001ull
#define LONG_PAGE 6000u
#define DISK_BYTES (64ull << 20)

static const struct {
	const char *name, *says;
} oddities[] = {
#define FAKE_ODDITY(enumerator, name, says) {name, says},
	FAKE_ODDITIES(FAKE_ODDITY)
#undef FAKE_ODDITY
};

const char *fake_oddity_name(enum fake_oddity oddity)
{
	return oddities[oddity].name;
}

const char *fake_oddity_says(enum fake_oddity oddity)
{
	return oddities[oddity].says;
}

enum fake_oddity fake_oddity_find(const char *name)
{
	unsigned i = 0;

	while (i < FAKE_ODDITY_COUNT && strcmp(oddities[i].name, name) != 0)
		i++;
	return (enum fake_oddity)i;
}

static void say_sense(struct fake_reply *reply, enum scsi_sense_key key, uint16_t code)
{
	reply->status = SCSI_STATUS_CHECK_CONDITION;
	reply->sense_length = sizeof(reply->sense);
	reply->sense[0] = 0x70;
	reply->sense[2] = (uint8_t)key;
	reply->sense[7] = sizeof(reply->sense) - 8;
	bytes_put_be16(reply->sense + 12, code);
}

static void pr_out(struct lun *lun, uint16_t nexus, enum pr_out_action action, enum pr_type type,
		   uint64_t key, uint64_t service_key)
{
	struct pr_out out = {
		.action = action, .type = type, .key = key, .service_key = service_key};
	struct scsi_request request = {.timeout_ms = 0};
	uint8_t parameters[PR_OUT_PARAMETER_LENGTH];
	static struct lun_answer answer;

	pr_out_encode(&request, &out, parameters, sizeof(parameters));
	lun_execute(lun, nexus, request.cdb, request.cdb_length, parameters, sizeof(parameters),
		    false, &answer);
}

static void add_foreigners(struct lun *lun, unsigned count, enum pr_type type)
{
	for (unsigned i = 0; i < count; i++) {
		const struct lun_identity identity = {.initiator = 1000 + i, .isid = i + 1};
		uint16_t nexus = lun_login(lun, &identity);

		lun->nexuses[nexus].attention_count = 0;
		pr_out(lun, nexus, PR_OUT_REGISTER, type, 0, FOREIGN_KEY + i);
		if (i == 0 && type != PR_TYPE_NONE)
			pr_out(lun, nexus, PR_OUT_RESERVE, type, FOREIGN_KEY, 0);
	}
}

void fake_disk_init(struct fake_disk *disk, const bool odd[FAKE_ODDITY_COUNT])
{
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->odd, odd, sizeof(disk->odd));
	for (unsigned i = 0; i < 2; i++) {
		lun_init(&disk->gateways[i], &lun_personality_lio);
		if (odd[FAKE_FOREIGN_HOLDER])
			add_foreigners(&disk->gateways[i], 1,
				       PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
		if (odd[FAKE_ALL_REGISTRANTS])
			add_foreigners(&disk->gateways[i], 2,
				       PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS);
		if (odd[FAKE_FOREIGN_24])
			add_foreigners(&disk->gateways[i], 24, PR_TYPE_NONE);
	}
}

/* As registrations name it, where there is room for the name. */
static void name_nexus(struct lun_nexus *nexus, const char *initiator, uint64_t isid)
{
	char text[LUN_TRANSPORT_ID_SIZE - 4];
	int length =
		snprintf(text, sizeof(text), "%s,i,0x%012llx", initiator, (unsigned long long)isid);
	size_t padded = ((size_t)length + 1 + 3) & ~(size_t)3;

	if (length < 0 || padded > sizeof(text))
		return;
	memset(nexus->transport_id, 0, sizeof(nexus->transport_id));
	nexus->transport_id[0] = 0x45;
	bytes_put_be16(nexus->transport_id + 2, (uint16_t)padded);
	memcpy(nexus->transport_id + 4, text, (size_t)length);
	nexus->transport_id_length = (uint8_t)(padded + 4);
}

unsigned fake_disk_login(struct fake_disk *disk, const char *initiator, const uint8_t isid[6])
{
	struct lun_identity identity = {.initiator = 2166136261u, .isid = 0};
	unsigned gateway = disk->odd[FAKE_TWO_GATEWAYS] ? disk->sessions % 2 : 0;
	struct lun *lun = &disk->gateways[gateway];
	uint16_t nexus;

	for (const char *c = initiator; *c; c++)
		identity.initiator = (identity.initiator ^ (unsigned char)*c) * 16777619u;
	for (unsigned i = 0; i < 6; i++)
		identity.isid = identity.isid << 8 | isid[i];
	nexus = lun_login(lun, &identity);
	name_nexus(&lun->nexuses[nexus], initiator, identity.isid);
	return disk->sessions++ << 16 | (unsigned)nexus << 1 | gateway;
}

/* --- what it is --- */

static uint32_t put_designator(uint8_t *at, uint8_t code_set, uint8_t type, const void *bytes,
			       uint8_t length)
{
	at[0] = code_set;
	at[1] = type;
	at[2] = 0;
	at[3] = length;
	memcpy(at + 4, bytes, length);
	return 4u + length;
}

static void answer_page_83(const struct fake_disk *disk, unsigned session, struct fake_reply *reply)
{
	static const uint8_t naa[16] = {0x60, 0x01, 0x40, 0x5f, 0xa4, 0xe0, 0x00, 0x01,
					0,    0,    0,    0,    0,    0,    0,    0x01};
	static const uint8_t nothing[16] = {0x60};
	static const char name[] = "FAKE    disk one", blanks[] = "                ";
	bool zero = disk->odd[FAKE_ZERO_IDENTITY];
	bool reversed = disk->odd[FAKE_REVERSED_PAGE] && ((session >> 16) & 1);
	uint8_t *data = reply->data, filler[252];
	uint32_t length = 4;

	if (disk->odd[FAKE_LONG_PAGE]) {
		memset(filler, 'x', sizeof(filler));
		while (length + 256 < LONG_PAGE) /* association 1: of the port, not of the unit */
			length += put_designator(data + length, 0x02, 0x10, filler, 252);
	}
	if (reversed)
		length += put_designator(data + length, 0x02, 0x01, name, 16);
	length += put_designator(data + length, 0x01, 0x03, zero ? nothing : naa, 16);
	if (!reversed)
		length += put_designator(data + length, 0x02, 0x01, zero ? blanks : name, 16);
	data[1] = 0x83;
	bytes_put_be16(data + 2, (uint16_t)(length - 4));
	reply->length = length;
}

static void answer_inquiry(const struct fake_disk *disk, unsigned session, const uint8_t *cdb,
			   struct fake_reply *reply)
{
	uint8_t *data = reply->data;

	if (!(cdb[1] & 1)) {
		data[2] = 6;
		data[3] = 2;
		data[4] = 91;
		memcpy(data + 8, "FAKE    ODD DISK        1   ", 28);
		reply->length = 96;
		return;
	}
	data[1] = cdb[2];
	switch (cdb[2]) {
	case 0x00:
		memcpy(data + 4, (uint8_t[]){0x00, 0x80, 0x83}, 3);
		data[3] = 3;
		reply->length = 7;
		return;
	case 0x80:
		memcpy(data + 4, "ODD1", 4);
		data[3] = 4;
		reply->length = 8;
		return;
	case 0x83:
		answer_page_83(disk, session, reply);
		return;
	}
	say_sense(reply, SCSI_SENSE_ILLEGAL_REQUEST, 0x2400);
}

static void answer_capacity(const struct fake_disk *disk, bool sixteen, struct fake_reply *reply)
{
	uint32_t block = disk->odd[FAKE_BLOCKS_4K] ? 4096 : 512;
	uint64_t last = DISK_BYTES / block - 1;

	if (disk->odd[FAKE_NO_CAPACITY]) {
		say_sense(reply, SCSI_SENSE_NOT_READY, 0x0403);
		return;
	}
	if (sixteen) {
		bytes_put_be64(reply->data, last);
		bytes_put_be32(reply->data + 8, block);
		reply->length = 32;
	} else {
		bytes_put_be32(reply->data, (uint32_t)last);
		bytes_put_be32(reply->data + 4, block);
		reply->length = 8;
	}
}

static bool is_protected(const struct fake_disk *disk)
{
	return disk->odd[FAKE_READ_ONLY] || disk->odd[FAKE_THIN_FULL];
}

/* MODE SENSE (6) and (10), SPC-5 6.14: a header, whose device-specific parameter has WP (SBC-4
 * 6.4.1), and no page. */
static void answer_mode(const struct fake_disk *disk, bool ten, struct fake_reply *reply)
{
	reply->data[ten ? 3 : 2] = is_protected(disk) ? 0x80 : 0;
	reply->data[ten ? 1 : 0] = ten ? 6 : 3;
	reply->length = ten ? 8 : 4;
}

/* --- reservations --- */

static void swap_full_status(struct fake_reply *reply)
{
	for (uint32_t at = 8; at + 24 <= reply->length;
	     at += 24 + bytes_get_be32(reply->data + at + 20)) {
		for (unsigned i = 0; i < 4; i++) {
			uint8_t byte = reply->data[at + i];

			reply->data[at + i] = reply->data[at + 7 - i];
			reply->data[at + 7 - i] = byte;
		}
	}
}

static void add_keys(struct fake_reply *reply, unsigned count, uint64_t first, uint64_t step)
{
	for (unsigned i = 0; i < count; i++, reply->length += 8)
		bytes_put_be64(reply->data + reply->length, first + step * i);
	bytes_put_be32(reply->data + 4, reply->length - 8);
}

static void add_full_status(struct fake_reply *reply, unsigned count)
{
	static const uint8_t id[24] = {0x45, 0, 0, 20, 'i', 'q', 'n', '.', 'x'};

	for (unsigned i = 0; i < count; i++, reply->length += 24 + sizeof(id)) {
		bytes_put_be64(reply->data + reply->length, FOREIGN_KEY + i);
		bytes_put_be32(reply->data + reply->length + 20, sizeof(id));
		memcpy(reply->data + reply->length + 24, id, sizeof(id));
	}
	bytes_put_be32(reply->data + 4, reply->length - 8);
}

static void take_answer(struct fake_reply *reply, const struct lun_answer *answer)
{
	reply->status = answer->status;
	reply->sense_length = answer->sense_length;
	memcpy(reply->sense, answer->sense, answer->sense_length);
	memcpy(reply->data, answer->data, answer->data_length);
	reply->length = answer->data_length;
}

static void answer_pr_in(struct fake_disk *disk, struct lun *lun, uint16_t nexus,
			 const uint8_t *cdb, struct fake_reply *reply)
{
	static struct lun_answer answer;
	uint8_t whole[10], action = cdb[1] & 0x1f;
	bool full = action == PR_IN_READ_FULL_STATUS;

	if (disk->odd[FAKE_NO_PR] || (full && disk->odd[FAKE_NO_FULL_STATUS])) {
		say_sense(reply, SCSI_SENSE_ILLEGAL_REQUEST, full ? 0x2400 : 0x2000);
		return;
	}
	if (full && disk->odd[FAKE_FULL_STATUS_CONFLICT]) {
		reply->status = SCSI_STATUS_RESERVATION_CONFLICT;
		return;
	}
	if (full && (disk->odd[FAKE_FULL_STATUS_SILENT] || disk->odd[FAKE_FULL_STATUS_CLOSES])) {
		reply->kind =
			disk->odd[FAKE_FULL_STATUS_SILENT] ? FAKE_REPLY_SILENCE : FAKE_REPLY_CLOSE;
		return;
	}
	memcpy(whole, cdb, sizeof(whole));
	bytes_put_be16(whole + 7, 0xffff);
	lun_execute(lun, nexus, whole, sizeof(whole), NULL, 0, false, &answer);
	take_answer(reply, &answer);
	if (reply->status != SCSI_STATUS_GOOD)
		return;
	if (full && disk->odd[FAKE_FOREIGN_300])
		add_full_status(reply, 300);
	if (full && disk->odd[FAKE_FULL_STATUS_SWAPPED])
		swap_full_status(reply);
	if (action == PR_IN_READ_KEYS && disk->odd[FAKE_FOREIGN_300])
		add_keys(reply, 300, FOREIGN_KEY, 1);
	if (action == PR_IN_READ_KEYS && disk->odd[FAKE_ZERO_KEYS])
		add_keys(reply, 3, 0, 0);
	if (action == PR_IN_READ_RESERVATION && reply->length >= 24 &&
	    disk->odd[FAKE_STALE_HOLDER] && disk->shown_holder)
		bytes_put_be64(reply->data + 8, disk->shown_holder);
}

static void answer_pr_out(struct fake_disk *disk, struct lun *lun, uint16_t nexus,
			  const uint8_t *cdb, const uint8_t *data, uint32_t length,
			  struct fake_reply *reply)
{
	static struct lun_answer answer;
	uint8_t action = cdb[1] & 0x1f;

	disk->orders++;
	if (disk->odd[FAKE_NO_PR]) {
		say_sense(reply, SCSI_SENSE_ILLEGAL_REQUEST, 0x2000);
		return;
	}
	if (disk->odd[FAKE_PR_OUT_IGNORED])
		return;
	if (disk->odd[FAKE_NO_RESOURCES] &&
	    (action == PR_OUT_REGISTER || action == PR_OUT_REGISTER_AND_IGNORE)) {
		say_sense(reply, SCSI_SENSE_ILLEGAL_REQUEST, 0x5504);
		return;
	}
	lun_execute(lun, nexus, cdb, 10, data, length, false, &answer);
	take_answer(reply, &answer);
	if (reply->status == SCSI_STATUS_GOOD && action != PR_OUT_REGISTER &&
	    action != PR_OUT_REGISTER_AND_IGNORE)
		disk->shown_holder = lun_holder_key(lun);
}

static void answer_access(struct fake_disk *disk, struct lun *lun, uint16_t nexus,
			  const uint8_t *cdb, struct fake_reply *reply)
{
	static struct lun_answer answer;
	bool write = cdb[0] != 0x00 && cdb[0] != 0x28 && cdb[0] != 0x88;

	lun_execute(lun, nexus, cdb, 16, NULL, 0, false, &answer);
	take_answer(reply, &answer);
	if (reply->status == SCSI_STATUS_GOOD && write && is_protected(disk))
		say_sense(reply, SCSI_SENSE_DATA_PROTECT,
			  disk->odd[FAKE_READ_ONLY] ? 0x2700 : 0x2707);
}

void fake_disk_command(struct fake_disk *disk, unsigned session, const uint8_t *cdb,
		       const uint8_t *data, uint32_t length, struct fake_reply *reply)
{
	struct lun *lun = &disk->gateways[session & 1];
	uint16_t nexus = (session >> 1) & 0x7fff;

	memset(reply, 0, sizeof(*reply));
	switch (cdb[0]) {
	case 0x12:
		answer_inquiry(disk, session, cdb, reply);
		return;
	case 0x1a:
	case 0x5a:
		answer_mode(disk, cdb[0] == 0x5a, reply);
		return;
	case 0x25:
	case 0x9e:
		answer_capacity(disk, cdb[0] == 0x9e, reply);
		return;
	case 0x5e:
		answer_pr_in(disk, lun, nexus, cdb, reply);
		return;
	case 0x5f:
		answer_pr_out(disk, lun, nexus, cdb, data, length, reply);
		return;
	case 0xa0: /* LUN 1, and no other */
		reply->data[3] = 8;
		reply->data[9] = 1;
		reply->length = 16;
		return;
	case 0x00:
	case 0x28:
	case 0x88:
	case 0x2a:
	case 0x8a:
		answer_access(disk, lun, nexus, cdb, reply);
		return;
	}
	say_sense(reply, SCSI_SENSE_ILLEGAL_REQUEST, 0x2000);
}
