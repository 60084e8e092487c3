/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The frames between daemon and gate process, encoded and decoded. Every read and write is checked
 * against the frame's bounds in one place (wire_take, wire_room); a field out of its range makes
 * the frame bad.
 */
#include <errno.h>
#include <string.h>

#include "cluster/gate/wire.h"

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

struct writer {
	uint8_t *at, *end;
	bool full;
};

static const uint8_t *wire_take(struct reader *reader, size_t count)
{
	const uint8_t *taken;

	if (reader->bad || (size_t)(reader->end - reader->at) < count) {
		reader->bad = true;
		return NULL;
	}
	taken = reader->at;
	reader->at += count;
	return taken;
}

static uint64_t wire_get(struct reader *reader, size_t width)
{
	const uint8_t *bytes = wire_take(reader, width);
	uint64_t value = 0;
	for (size_t i = 0; bytes && i < width; i++)
		value = value << 8 | bytes[i];
	return value;
}

static uint8_t get8(struct reader *reader)
{
	return (uint8_t)wire_get(reader, 1);
}

static uint16_t get16(struct reader *reader)
{
	return (uint16_t)wire_get(reader, 2);
}

static uint32_t get32(struct reader *reader)
{
	return (uint32_t)wire_get(reader, 4);
}

static uint64_t get64(struct reader *reader)
{
	return wire_get(reader, 8);
}

/* One byte, at most `most`. */
static uint8_t get_below(struct reader *reader, unsigned most)
{
	uint8_t value = get8(reader);
	if (value > most)
		reader->bad = true;
	return reader->bad ? 0 : value;
}

static void get_text(struct reader *reader, char *text, size_t size)
{
	size_t length = get16(reader);
	const uint8_t *bytes = wire_take(reader, length);
	text[0] = '\0';
	if (!bytes)
		return;
	if (length >= size || memchr(bytes, '\0', length)) {
		reader->bad = true;
		return;
	}
	memcpy(text, bytes, length);
	text[length] = '\0';
}

static uint8_t *wire_room(struct writer *writer, size_t count)
{
	uint8_t *room;

	if (writer->full || (size_t)(writer->end - writer->at) < count) {
		writer->full = true;
		return NULL;
	}
	room = writer->at;
	writer->at += count;
	return room;
}

static void wire_put(struct writer *writer, uint64_t value, size_t width)
{
	uint8_t *room = wire_room(writer, width);
	for (size_t i = 0; room && i < width; i++)
		room[i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

static void put_bytes(struct writer *writer, const void *bytes, size_t count)
{
	uint8_t *room = wire_room(writer, count);
	if (room && count)
		memcpy(room, bytes, count);
}

static void put_text(struct writer *writer, const char *text, size_t size)
{
	size_t length = strnlen(text, size - 1);
	wire_put(writer, length, 2);
	put_bytes(writer, text, length);
}

long gate_wire_frame(const uint8_t *data, size_t length)
{
	struct reader reader = {.at = data, .end = data + length};
	uint32_t body;

	if (length < GATE_WIRE_HEADER)
		return 0;
	body = get32(&reader);
	if (body == 0 || body > GATE_WIRE_FRAME_MAX - GATE_WIRE_HEADER)
		return -EBADMSG;
	return length - GATE_WIRE_HEADER < body ? 0 : (long)(body + GATE_WIRE_HEADER);
}

static void get_state(struct reader *reader, struct gate_message_state *state)
{
	state->sequence = get32(reader);
	state->spontaneous = get32(reader);
	state->state = (enum gate_state)get_below(reader, GATE_STATE_OPEN);
	state->cause = (enum gate_cause)get_below(reader, GATE_CAUSE_COUNT - 1);
	state->lun = get16(reader);
	state->quiet = get_below(reader, 1);
	state->refused = get_below(reader, 1);
	state->waiting = get32(reader);
}

static void put_state(struct writer *writer, const struct gate_message_state *state)
{
	wire_put(writer, state->sequence, 4);
	wire_put(writer, state->spontaneous, 4);
	wire_put(writer, state->state, 1);
	wire_put(writer, state->cause, 1);
	wire_put(writer, state->lun, 2);
	wire_put(writer, state->quiet, 1);
	wire_put(writer, state->refused, 1);
	wire_put(writer, state->waiting, 4);
}

static void get_command(struct reader *reader, struct gate_message_command *command)
{
	const uint8_t *cdb;

	command->id = get32(reader);
	command->lun = get16(reader);
	command->timeout_ms = get32(reader);
	command->cdb_length = get_below(reader, SCSI_CDB_MAX);
	cdb = wire_take(reader, command->cdb_length);
	if (cdb)
		memcpy(command->cdb, cdb, command->cdb_length);
	command->direction = (enum scsi_direction)get_below(reader, SCSI_DIRECTION_OUT);
	command->data_length = get32(reader);
	if (command->data_length > GATE_WIRE_DATA_MAX)
		reader->bad = true;
	if (command->direction == SCSI_DIRECTION_OUT)
		command->data = wire_take(reader, command->data_length);
}

static void put_command(struct writer *writer, const struct gate_message_command *command)
{
	wire_put(writer, command->id, 4);
	wire_put(writer, command->lun, 2);
	wire_put(writer, command->timeout_ms, 4);
	wire_put(writer, command->cdb_length, 1);
	put_bytes(writer, command->cdb, command->cdb_length);
	wire_put(writer, command->direction, 1);
	wire_put(writer, command->data_length, 4);
	if (command->direction == SCSI_DIRECTION_OUT)
		put_bytes(writer, command->data, command->data_length);
}

static void get_done(struct reader *reader, struct gate_message_done *done)
{
	struct scsi_result *result = &done->result;
	const uint8_t *sense;

	done->id = get32(reader);
	result->outcome = (enum scsi_outcome)get_below(reader, SCSI_OUTCOME_UNKNOWN);
	result->error = -(int)get16(reader);
	result->has_status = get_below(reader, 1);
	result->status = get8(reader);
	result->sense_key = get_below(reader, 0xf);
	result->asc = get8(reader);
	result->ascq = get8(reader);
	result->sense_length = get_below(reader, SCSI_SENSE_MAX);
	sense = wire_take(reader, result->sense_length);
	if (sense)
		memcpy(result->sense, sense, result->sense_length);
	result->transferred = get32(reader);
	result->duration_us = get32(reader);
	done->data_length = get32(reader);
	if (done->data_length > GATE_WIRE_DATA_MAX)
		reader->bad = true;
	done->data = wire_take(reader, done->data_length);
}

static void put_done(struct writer *writer, const struct gate_message_done *done)
{
	const struct scsi_result *result = &done->result;
	wire_put(writer, done->id, 4);
	wire_put(writer, result->outcome, 1);
	wire_put(writer, (uint64_t)-result->error, 2);
	wire_put(writer, result->has_status, 1);
	wire_put(writer, result->status, 1);
	wire_put(writer, result->sense_key, 1);
	wire_put(writer, result->asc, 1);
	wire_put(writer, result->ascq, 1);
	wire_put(writer, result->sense_length, 1);
	put_bytes(writer, result->sense, result->sense_length);
	wire_put(writer, result->transferred, 4);
	wire_put(writer, result->duration_us, 4);
	wire_put(writer, done->data_length, 4);
	put_bytes(writer, done->data, done->data_length);
}

/* Offsets of the counters in the order in which they travel. */
static const size_t counter_offsets[] = {
	offsetof(struct gate_counters, reads),           offsetof(struct gate_counters, writes),
	offsetof(struct gate_counters, flushes),         offsetof(struct gate_counters, read_bytes),
	offsetof(struct gate_counters, written_bytes),   offsetof(struct gate_counters, errors),
	offsetof(struct gate_counters, resent),          offsetof(struct gate_counters, conflicts),
	offsetof(struct gate_counters, unit_attentions),
};
#define COUNTERS (sizeof(counter_offsets) / sizeof(counter_offsets[0]))

static void get_snapshot(struct reader *reader, struct gate_message_snapshot *snapshot)
{
	snapshot->version = get32(reader);
	snapshot->pid = get32(reader);
	snapshot->lun_count = get32(reader);
	if (snapshot->lun_count > GATE_LUNS_MAX)
		reader->bad = true;
	snapshot->in_flight = get32(reader);
	snapshot->configuration = get64(reader);
	snapshot->uptime_ms = get64(reader);
	get_state(reader, &snapshot->state);
	for (size_t i = 0; i < COUNTERS; i++) {
		uint64_t value = get64(reader);
		memcpy((char *)&snapshot->counters + counter_offsets[i], &value, sizeof(value));
	}
}

static void put_snapshot(struct writer *writer, const struct gate_message_snapshot *snapshot)
{
	wire_put(writer, snapshot->version, 4);
	wire_put(writer, snapshot->pid, 4);
	wire_put(writer, snapshot->lun_count, 4);
	wire_put(writer, snapshot->in_flight, 4);
	wire_put(writer, snapshot->configuration, 8);
	wire_put(writer, snapshot->uptime_ms, 8);
	put_state(writer, &snapshot->state);
	for (size_t i = 0; i < COUNTERS; i++) {
		uint64_t value;
		memcpy(&value, (const char *)&snapshot->counters + counter_offsets[i],
		       sizeof(value));
		wire_put(writer, value, 8);
	}
}

static void get_lun(struct reader *reader, struct gate_message_lun *lun)
{
	lun->lun = get16(reader);
	lun->nexus = (enum gate_nexus)get_below(reader, GATE_NEXUS_UNUSABLE);
	lun->serial = get32(reader);
	lun->key = get64(reader);
	lun->blocks = get64(reader);
	lun->block_size = get32(reader);
	lun->in_flight = get32(reader);
	get_text(reader, lun->name, sizeof(lun->name));
	get_text(reader, lun->wwid, sizeof(lun->wwid));
	get_text(reader, lun->reason, sizeof(lun->reason));
}

static void put_lun(struct writer *writer, const struct gate_message_lun *lun)
{
	wire_put(writer, lun->lun, 2);
	wire_put(writer, lun->nexus, 1);
	wire_put(writer, lun->serial, 4);
	wire_put(writer, lun->key, 8);
	wire_put(writer, lun->blocks, 8);
	wire_put(writer, lun->block_size, 4);
	wire_put(writer, lun->in_flight, 4);
	put_text(writer, lun->name, sizeof(lun->name));
	put_text(writer, lun->wwid, sizeof(lun->wwid));
	put_text(writer, lun->reason, sizeof(lun->reason));
}

static void get_body(struct reader *reader, struct gate_message *message)
{
	switch (message->type) {
	case GATE_MESSAGE_HELLO:
		message->version = get32(reader);
		return;
	case GATE_MESSAGE_SET:
		message->set.sequence = get32(reader);
		message->set.seen = get32(reader);
		message->set.state = (enum gate_state)get_below(reader, GATE_STATE_OPEN);
		return;
	case GATE_MESSAGE_COMMAND:
	case GATE_MESSAGE_RESET:
		get_command(reader, &message->command);
		return;
	case GATE_MESSAGE_RECONNECT:
		message->lun = get16(reader);
		return;
	case GATE_MESSAGE_SNAPSHOT:
		get_snapshot(reader, &message->snapshot);
		return;
	case GATE_MESSAGE_LUN:
		get_lun(reader, &message->info);
		return;
	case GATE_MESSAGE_STATE:
		get_state(reader, &message->state);
		return;
	case GATE_MESSAGE_DONE:
		get_done(reader, &message->done);
		return;
	case GATE_MESSAGE_ATTENTION:
		message->attention.lun = get16(reader);
		message->attention.asc = get8(reader);
		message->attention.ascq = get8(reader);
		return;
	case GATE_MESSAGE_REFUSED:
		get_text(reader, message->reason, sizeof(message->reason));
		return;
	case GATE_MESSAGE_QUIT:
	case GATE_MESSAGE_READY:
		return;
	}
	reader->bad = true;
}

int gate_wire_decode(struct gate_message *message, const uint8_t *data, size_t length)
{
	struct reader reader = {.end = data + length};

	memset(message, 0, sizeof(*message));
	if (gate_wire_frame(data, length) != (long)length)
		return -EBADMSG;
	reader.at = data + GATE_WIRE_HEADER;
	message->type = (enum gate_message_type)get8(&reader);
	get_body(&reader, message);
	/* What follows the fields would be a newer version's: HELLO has settled the version, so it
	 * is garbage. */
	return reader.bad || reader.at != reader.end ? -EBADMSG : 0;
}

static bool lengths_fit(const struct gate_message *message)
{
	if (message->type == GATE_MESSAGE_COMMAND || message->type == GATE_MESSAGE_RESET)
		return message->command.cdb_length <= SCSI_CDB_MAX &&
		       message->command.data_length <= GATE_WIRE_DATA_MAX;
	if (message->type == GATE_MESSAGE_DONE)
		return message->done.data_length <= GATE_WIRE_DATA_MAX &&
		       message->done.result.sense_length <= SCSI_SENSE_MAX &&
		       message->done.result.error <= 0 && message->done.result.error > -4096;
	return true;
}

static void put_body(struct writer *writer, const struct gate_message *message)
{
	switch (message->type) {
	case GATE_MESSAGE_HELLO:
		wire_put(writer, message->version, 4);
		break;
	case GATE_MESSAGE_SET:
		wire_put(writer, message->set.sequence, 4);
		wire_put(writer, message->set.seen, 4);
		wire_put(writer, message->set.state, 1);
		break;
	case GATE_MESSAGE_COMMAND:
	case GATE_MESSAGE_RESET:
		put_command(writer, &message->command);
		break;
	case GATE_MESSAGE_RECONNECT:
		wire_put(writer, message->lun, 2);
		break;
	case GATE_MESSAGE_SNAPSHOT:
		put_snapshot(writer, &message->snapshot);
		break;
	case GATE_MESSAGE_LUN:
		put_lun(writer, &message->info);
		break;
	case GATE_MESSAGE_STATE:
		put_state(writer, &message->state);
		break;
	case GATE_MESSAGE_DONE:
		put_done(writer, &message->done);
		break;
	case GATE_MESSAGE_ATTENTION:
		wire_put(writer, message->attention.lun, 2);
		wire_put(writer, message->attention.asc, 1);
		wire_put(writer, message->attention.ascq, 1);
		break;
	case GATE_MESSAGE_REFUSED:
		put_text(writer, message->reason, sizeof(message->reason));
		break;
	case GATE_MESSAGE_QUIT:
	case GATE_MESSAGE_READY:
		break;
	}
}

long gate_wire_encode(const struct gate_message *message, uint8_t *buffer, size_t size)
{
	struct writer header = {.at = buffer, .end = buffer + GATE_WIRE_HEADER};
	struct writer writer = {.end = buffer + size};
	size_t length;

	if (!lengths_fit(message))
		return -EINVAL;
	if (size < GATE_WIRE_HEADER)
		return -EMSGSIZE;
	writer.at = buffer + GATE_WIRE_HEADER;
	wire_put(&writer, message->type, 1);
	put_body(&writer, message);
	if (writer.full)
		return -EMSGSIZE;
	length = (size_t)(writer.at - buffer);
	wire_put(&header, length - GATE_WIRE_HEADER, 4);
	return (long)length;
}

const char *gate_state_name(enum gate_state state)
{
	switch (state) {
	case GATE_STATE_FAILED:
		return "failed";
	case GATE_STATE_HELD:
		return "held";
	case GATE_STATE_OPEN:
		return "open";
	}
	return "unknown";
}

const char *gate_cause_text(enum gate_cause cause)
{
	switch (cause) {
	case GATE_CAUSE_STARTED:
		return "a new gate process";
	case GATE_CAUSE_ORDERED:
		return "as ordered";
	case GATE_CAUSE_NEXUS_LOST:
		return "its session was lost";
	case GATE_CAUSE_CONFLICT:
		return "a reservation conflict";
	case GATE_CAUSE_NO_ANSWER:
		return "the device did not answer";
	case GATE_CAUSE_ALONE:
		return "held for too long without a daemon";
	case GATE_CAUSE_OTHER_UNIT:
		return "another logical unit stands where it was";
	case GATE_CAUSE_COUNT:
		break;
	}
	return "unknown";
}

const char *gate_nexus_name(enum gate_nexus nexus)
{
	switch (nexus) {
	case GATE_NEXUS_CONNECTING:
		return "connecting";
	case GATE_NEXUS_UP:
		return "up";
	case GATE_NEXUS_DOWN:
		return "down";
	case GATE_NEXUS_UNUSABLE:
		return "unusable";
	}
	return "unknown";
}
