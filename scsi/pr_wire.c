/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PERSISTENT RESERVE IN and OUT on the wire (SPC-5 6.16, 6.17). Pure; every length that a target
 * names is checked against the bytes that arrived.
 */
#include "scsi/pr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "scsi/bytes.h"

#define PR_IN_OPCODE 0x5e
#define PR_OUT_OPCODE 0x5f
#define PR_CDB_LENGTH 10
#define PR_HEADER_LENGTH 8
#define PR_RESERVATION_DESCRIPTOR_LENGTH 16
#define PR_FULL_STATUS_DESCRIPTOR_LENGTH 24
#define PR_TRANSPORT_ID_MIN 24 /* SPC-5 7.6.4: at least 24 bytes, a multiple of 4 */

static bool pr_type_known(enum pr_type type)
{
	switch (type) {
	case PR_TYPE_WRITE_EXCLUSIVE:
	case PR_TYPE_EXCLUSIVE_ACCESS:
	case PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY:
	case PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY:
	case PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS:
	case PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS:
		return true;
	case PR_TYPE_NONE:
		break;
	}
	return false;
}

static bool pr_out_action_has_type(enum pr_out_action action)
{
	return action == PR_OUT_RESERVE || action == PR_OUT_RELEASE || action == PR_OUT_PREEMPT ||
	       action == PR_OUT_PREEMPT_AND_ABORT;
}

static bool pr_out_action_registers(enum pr_out_action action)
{
	return action == PR_OUT_REGISTER || action == PR_OUT_REGISTER_AND_IGNORE;
}

int pr_in_encode(struct scsi_request *request, enum pr_in_action action, void *buffer, size_t size)
{
	if (size < PR_HEADER_LENGTH || size > UINT16_MAX ||
	    (unsigned)action > PR_IN_READ_FULL_STATUS)
		return -EINVAL;
	memset(request->cdb, 0, sizeof(request->cdb));
	request->cdb[0] = PR_IN_OPCODE;
	request->cdb[1] = (uint8_t)action;
	bytes_put_be16(request->cdb + 7, (uint16_t)size);
	request->cdb_length = PR_CDB_LENGTH;
	request->direction = SCSI_DIRECTION_IN;
	request->data = buffer;
	request->data_length = (uint32_t)size;
	return 0;
}

/* SPC-5 6.17.4: the parameter list of REGISTER AND MOVE has a form of its own. */
static int pr_out_encode_move(const struct pr_out *out, uint8_t *data, size_t size, size_t *length)
{
	if (!out->transport_id || out->transport_id_length < PR_TRANSPORT_ID_MIN ||
	    out->transport_id_length % 4 != 0 || size < PR_OUT_PARAMETER_LENGTH ||
	    size - PR_OUT_PARAMETER_LENGTH < out->transport_id_length)
		return -EINVAL;
	data[17] = (uint8_t)((out->unregister ? 0x02 : 0) | (out->aptpl ? 0x01 : 0));
	bytes_put_be16(data + 18, out->relative_target_port);
	bytes_put_be32(data + 20, out->transport_id_length);
	memcpy(data + PR_OUT_PARAMETER_LENGTH, out->transport_id, out->transport_id_length);
	*length = PR_OUT_PARAMETER_LENGTH + out->transport_id_length;
	return 0;
}

int pr_out_encode(struct scsi_request *request, const struct pr_out *out, void *buffer, size_t size)
{
	uint8_t *data = buffer;
	size_t length = PR_OUT_PARAMETER_LENGTH;

	if (size < PR_OUT_PARAMETER_LENGTH || (unsigned)out->action > PR_OUT_REGISTER_AND_MOVE)
		return -EINVAL;
	if (pr_out_action_has_type(out->action) && !pr_type_known(out->type))
		return -EINVAL;
	memset(data, 0, PR_OUT_PARAMETER_LENGTH);
	bytes_put_be64(data, out->key);
	bytes_put_be64(data + 8, out->service_key);
	if (pr_out_action_registers(out->action))
		data[20] = (uint8_t)((out->all_target_ports ? 0x04 : 0) | (out->aptpl ? 0x01 : 0));
	if (out->action == PR_OUT_REGISTER_AND_MOVE &&
	    pr_out_encode_move(out, data, size, &length) < 0)
		return -EINVAL;

	memset(request->cdb, 0, sizeof(request->cdb));
	request->cdb[0] = PR_OUT_OPCODE;
	request->cdb[1] = (uint8_t)out->action;
	if (pr_out_action_has_type(out->action))
		request->cdb[2] = (uint8_t)out->type; /* scope 0h: the logical unit */
	bytes_put_be32(request->cdb + 5, (uint32_t)length);
	request->cdb_length = PR_CDB_LENGTH;
	request->direction = SCSI_DIRECTION_OUT;
	request->data = buffer;
	request->data_length = (uint32_t)length;
	return 0;
}

static int pr_out_decode_move(struct pr_out *out, const uint8_t *data, size_t length)
{
	out->unregister = data[17] & 0x02;
	out->aptpl = data[17] & 0x01;
	out->relative_target_port = bytes_get_be16(data + 18);
	out->transport_id_length = bytes_get_be32(data + 20);
	if (out->transport_id_length != length - PR_OUT_PARAMETER_LENGTH ||
	    out->transport_id_length < PR_TRANSPORT_ID_MIN || out->transport_id_length % 4 != 0)
		return -EBADMSG;
	out->transport_id = data + PR_OUT_PARAMETER_LENGTH;
	return 0;
}

int pr_out_decode(struct pr_out *out, const uint8_t *cdb, size_t cdb_length, const uint8_t *data,
		  size_t length)
{
	memset(out, 0, sizeof(*out));
	if (cdb_length < PR_CDB_LENGTH || cdb[0] != PR_OUT_OPCODE ||
	    length < PR_OUT_PARAMETER_LENGTH || bytes_get_be32(cdb + 5) != length)
		return -EBADMSG;
	if ((cdb[1] & 0x1f) > PR_OUT_REGISTER_AND_MOVE)
		return -EBADMSG;
	out->action = (enum pr_out_action)(cdb[1] & 0x1f);
	if (pr_out_action_has_type(out->action)) {
		out->type = (enum pr_type)(cdb[2] & 0x0f);
		if (cdb[2] >> 4 != 0 || !pr_type_known(out->type))
			return -EBADMSG;
	}
	out->key = bytes_get_be64(data);
	out->service_key = bytes_get_be64(data + 8);
	if (out->action == PR_OUT_REGISTER_AND_MOVE)
		return pr_out_decode_move(out, data, length);
	/* SPEC_I_PT, the registration of others' nexuses, is a form that this project
	 * never sends. */
	if (length != PR_OUT_PARAMETER_LENGTH || data[20] & 0x08)
		return -EBADMSG;
	if (pr_out_action_registers(out->action)) {
		out->all_target_ports = data[20] & 0x04;
		out->aptpl = data[20] & 0x01;
	}
	return 0;
}

uint64_t pr_keys_at(const uint8_t *data, uint32_t index)
{
	return bytes_get_be64(data + PR_HEADER_LENGTH + 8ull * index);
}

int pr_keys_decode(struct pr_keys *keys, size_t capacity, const uint8_t *data, size_t length)
{
	uint64_t additional, arrived;

	keys->generation = keys->count = keys->available = keys->arrived = 0;
	if (length < PR_HEADER_LENGTH)
		return -EBADMSG;
	keys->generation = bytes_get_be32(data);
	additional = bytes_get_be32(data + 4);
	/* Rounded up: part of a key means that a key is there which has not been read. */
	keys->available = (uint32_t)((additional + 7) / 8);
	arrived = length - PR_HEADER_LENGTH;
	keys->arrived = (uint32_t)((arrived < additional ? arrived : additional) / 8);
	for (; keys->count < keys->arrived && keys->count < capacity; keys->count++)
		keys->keys[keys->count] = pr_keys_at(data, keys->count);
	return 0;
}

int pr_reservation_decode(struct pr_reservation *reservation, const uint8_t *data, size_t length)
{
	uint32_t additional;

	memset(reservation, 0, sizeof(*reservation));
	if (length < PR_HEADER_LENGTH)
		return -EBADMSG;
	reservation->generation = bytes_get_be32(data);
	additional = bytes_get_be32(data + 4);
	if (additional == 0)
		return 0;
	if (additional < PR_RESERVATION_DESCRIPTOR_LENGTH ||
	    length < PR_HEADER_LENGTH + PR_RESERVATION_DESCRIPTOR_LENGTH)
		return -EBADMSG;
	reservation->held = true;
	reservation->type = (enum pr_type)(data[21] & 0x0f);
	/* SPC-5 6.16.3.3: every registrant holds, so no single key does, whatever the target writes
	 * here. */
	if (reservation->type != PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS &&
	    reservation->type != PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS)
		reservation->key = bytes_get_be64(data + 8);
	return 0;
}

/* SPC-5 6.16.4. LENGTH counts the whole (8); 6, as if it left itself out, still covers the type
 * mask. */
int pr_capabilities_decode(struct pr_capabilities *capabilities, const uint8_t *data, size_t length)
{
	memset(capabilities, 0, sizeof(*capabilities));
	if (length < 6 || bytes_get_be16(data) < 6)
		return -EBADMSG;
	capabilities->replace_lost_reservation_capable = data[2] & 0x80;
	capabilities->compatible_reservation_handling = data[2] & 0x10;
	capabilities->specify_initiator_ports = data[2] & 0x08;
	capabilities->all_target_ports = data[2] & 0x04;
	capabilities->persist_through_power_loss_capable = data[2] & 0x01;
	capabilities->type_mask_valid = data[3] & 0x80;
	capabilities->allow_commands = data[3] >> 4 & 0x7;
	capabilities->persist_through_power_loss_activated = data[3] & 0x01;
	/* The wire's bits 7, 6, 5, 3 and 1 of byte 4 are the types' own numbers; type 8 is bit 0 of
	 * byte 5. */
	if (capabilities->type_mask_valid)
		capabilities->type_mask = (uint16_t)((data[4] & 0xea) | (data[5] & 0x01) << 8);
	return 0;
}

int pr_full_status_begin(struct pr_full_status_cursor *cursor, const uint8_t *data, size_t length)
{
	uint64_t end;

	memset(cursor, 0, sizeof(*cursor));
	if (length < PR_HEADER_LENGTH)
		return -EBADMSG;
	cursor->generation = bytes_get_be32(data);
	end = (uint64_t)bytes_get_be32(data + 4) + PR_HEADER_LENGTH;
	cursor->complete = end <= length;
	cursor->data = data;
	cursor->end = cursor->complete ? (size_t)end : length;
	cursor->offset = PR_HEADER_LENGTH;
	return 0;
}

int pr_full_status_next(struct pr_full_status_cursor *cursor, struct pr_full_status_entry *entry)
{
	const uint8_t *descriptor = cursor->data + cursor->offset;
	size_t left = cursor->end - cursor->offset;
	uint64_t additional;

	if (left == 0)
		return 0;
	if (left < PR_FULL_STATUS_DESCRIPTOR_LENGTH)
		return cursor->complete ? -EBADMSG : 0;
	additional = bytes_get_be32(descriptor + 20);
	if (additional > left - PR_FULL_STATUS_DESCRIPTOR_LENGTH)
		return cursor->complete ? -EBADMSG : 0;
	entry->key = bytes_get_be64(descriptor);
	entry->all_target_ports = descriptor[12] & 0x02;
	entry->holder = descriptor[12] & 0x01;
	entry->type = entry->holder ? (enum pr_type)(descriptor[13] & 0x0f) : PR_TYPE_NONE;
	entry->relative_target_port = bytes_get_be16(descriptor + 18);
	entry->transport_id_length =
		(uint16_t)(additional < PR_TRANSPORT_ID_MAX ? additional : PR_TRANSPORT_ID_MAX);
	memcpy(entry->transport_id, descriptor + PR_FULL_STATUS_DESCRIPTOR_LENGTH,
	       entry->transport_id_length);
	cursor->offset += PR_FULL_STATUS_DESCRIPTOR_LENGTH + (size_t)additional;
	return 1;
}

int pr_full_status_decode(struct pr_full_status *status, size_t capacity, const uint8_t *data,
			  size_t length)
{
	struct pr_full_status_cursor cursor;
	struct pr_full_status_entry spare;
	int rc = pr_full_status_begin(&cursor, data, length);

	status->generation = cursor.generation;
	status->count = 0;
	status->complete = cursor.complete;
	while (rc == 0) {
		bool room = status->count < capacity;
		int got = pr_full_status_next(&cursor,
					      room ? &status->entries[status->count] : &spare);

		if (got <= 0)
			return got;
		if (!room) {
			status->complete = false;
			return 0;
		}
		status->count++;
	}
	return rc;
}

/* SPC-5 7.6.4.5: formats 00b (name) and 01b (name, ",i,0x", ISID); either way text, ended and
 * padded by zeroes. */
static bool pr_transport_id_iscsi(const uint8_t *id, size_t length, char *buffer, size_t size)
{
	size_t end, n = 0;

	if (length < 4 || id[0] >> 6 > 1)
		return false;
	end = 4 + (size_t)bytes_get_be16(id + 2);
	if (end > length)
		end = length;
	for (size_t i = 4; i < end && id[i] != '\0'; i++) {
		if (n + 1 < size)
			buffer[n++] = id[i] > ' ' && id[i] < 0x7f ? (char)id[i] : '.';
	}
	buffer[n] = '\0';
	return n > 0;
}

const char *pr_transport_id_text(const uint8_t *id, size_t length, char *buffer, size_t size)
{
	unsigned protocol = length > 0 ? id[0] & 0x0f : 0;
	size_t n = 0;

	if (size == 0)
		return buffer;
	buffer[0] = '\0';
	if (protocol == 5 && pr_transport_id_iscsi(id, length, buffer, size))
		return buffer;
	/* SPC-5 7.6.4.2 FC: N_Port_Name in bytes 8 to 15; 7.6.4.6 SAS: address in bytes 4 to 11. */
	if ((protocol == 0 && length >= 16) || (protocol == 6 && length >= 12)) {
		snprintf(buffer, size, "naa.%016llx",
			 (unsigned long long)bytes_get_be64(id + (protocol == 0 ? 8 : 4)));
		return buffer;
	}
	for (size_t i = 0; i < length && n + 2 < size; i++, n += 2)
		snprintf(buffer + n, size - n, "%02x", id[i]);
	return buffer;
}

static const struct {
	enum pr_type type;
	const char *name, *short_name;
} pr_types[] = {
	{PR_TYPE_NONE, "none", "none"},
	{PR_TYPE_WRITE_EXCLUSIVE, "WRITE EXCLUSIVE", "WE"},
	{PR_TYPE_EXCLUSIVE_ACCESS, "EXCLUSIVE ACCESS", "EA"},
	{PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY, "WRITE EXCLUSIVE, REGISTRANTS ONLY", "WE-RO"},
	{PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY, "EXCLUSIVE ACCESS, REGISTRANTS ONLY", "EA-RO"},
	{PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS, "WRITE EXCLUSIVE, ALL REGISTRANTS", "WE-AR"},
	{PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS, "EXCLUSIVE ACCESS, ALL REGISTRANTS", "EA-AR"},
};
#define PR_TYPES (sizeof(pr_types) / sizeof(pr_types[0]))

/* What the standard leaves free: four bits on the wire. */
static const char *const pr_type_unknown[16] = {
	"type 0h", "type 1h", "type 2h", "type 3h", "type 4h", "type 5h", "type 6h", "type 7h",
	"type 8h", "type 9h", "type Ah", "type Bh", "type Ch", "type Dh", "type Eh", "type Fh",
};

const char *pr_type_name(enum pr_type type)
{
	for (size_t i = 0; i < PR_TYPES; i++) {
		if (pr_types[i].type == type)
			return pr_types[i].name;
	}
	return pr_type_unknown[(unsigned)type & 0xf];
}

const char *pr_type_short_name(enum pr_type type)
{
	for (size_t i = 0; i < PR_TYPES; i++) {
		if (pr_types[i].type == type)
			return pr_types[i].short_name;
	}
	return pr_type_unknown[(unsigned)type & 0xf];
}

int pr_type_parse(const char *text, enum pr_type *type)
{
	for (size_t i = 1; i < PR_TYPES; i++) {
		bool number = text[0] == '0' + (char)pr_types[i].type && text[1] == '\0';

		if (number || strcasecmp(text, pr_types[i].short_name) == 0) {
			*type = pr_types[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

const char *pr_out_action_name(enum pr_out_action action)
{
	switch (action) {
	case PR_OUT_REGISTER:
		return "REGISTER";
	case PR_OUT_RESERVE:
		return "RESERVE";
	case PR_OUT_RELEASE:
		return "RELEASE";
	case PR_OUT_CLEAR:
		return "CLEAR";
	case PR_OUT_PREEMPT:
		return "PREEMPT";
	case PR_OUT_PREEMPT_AND_ABORT:
		return "PREEMPT AND ABORT";
	case PR_OUT_REGISTER_AND_IGNORE:
		return "REGISTER AND IGNORE EXISTING KEY";
	case PR_OUT_REGISTER_AND_MOVE:
		return "REGISTER AND MOVE";
	}
	return "unknown service action";
}
