/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One request's command, and what follows from its outcome: done, sent again, held at the gate, or
 * an error.
 */
#include <errno.h>
#include <string.h>

#include "cluster/gate/plugin/private.h"

static void io_encode(struct gate_io *io)
{
	const struct plugin_geometry *geometry = &io->lun->geometry;
	struct scsi_request *request = &io->request;
	bool flush = io->kind == IO_FLUSH || io->behind;

	memset(request, 0, sizeof(*request));
	if (flush) {
		scsi_synchronize_cache16_encode(request, 0, 0);
		return;
	}
	switch (io->kind) {
	case IO_READ:
		scsi_read16_encode(request, io->block, io->blocks, io->data, io->data_length);
		break;
	case IO_WRITE:
		scsi_write16_encode(request, io->block, io->blocks, io->fua && geometry->fua,
				    io->data, io->data_length);
		break;
	case IO_ZERO:
		scsi_write_same16_encode(request, io->block, io->blocks, false, io->data,
					 geometry->block_size);
		break;
	case IO_TRIM:
		scsi_unmap_encode(request, io->block, io->blocks, io->parameter);
		break;
	case IO_FLUSH:
		break;
	}
}

/* SBC-4 5.29: SYNCHRONIZE CACHE (10), for devices that do not know the other. */
static void io_encode_sync10(struct scsi_request *request)
{
	memset(request, 0, sizeof(*request));
	request->cdb[0] = 0x35;
	request->cdb_length = 10;
}

static bool io_has_more(const struct gate_io *io)
{
	bool writes = io->kind == IO_WRITE || io->kind == IO_ZERO || io->kind == IO_TRIM;
	bool by_command = io->kind == IO_WRITE && io->lun->geometry.fua;
	return writes && io->fua && !io->behind && !by_command;
}

static void io_count(struct plugin *plugin, const struct gate_io *io)
{
	struct gate_counters *counters = &plugin->counters;
	if (io->kind == IO_READ) {
		counters->reads++;
		counters->read_bytes += io->data_length;
	} else if (io->kind == IO_FLUSH) {
		counters->flushes++;
	} else {
		counters->writes++;
		counters->written_bytes += (uint64_t)io->blocks * io->lun->geometry.block_size;
	}
}

static void io_again(struct plugin *plugin, struct gate_io *io, uint32_t wait_ms)
{
	plugin->counters.resent++;
	io->due_ms = wait_ms ? core_now_ms() + wait_ms : 0;
	core_wait(plugin, io);
}

static int io_errno(const struct gate_io *io, const struct scsi_result *result)
{
	if (result->sense_key == SCSI_SENSE_DATA_PROTECT)
		return result->asc == 0x27 && result->ascq == 0x07 ? -ENOSPC : -EPERM;
	if (result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST &&
	    (io->kind == IO_ZERO || io->kind == IO_TRIM))
		return -EOPNOTSUPP;
	return -EIO;
}

static void io_final(struct plugin *plugin, struct gate_io *io, int error)
{
	char text[128];

	plugin_log("LUN %s: command %02Xh at block %llu: %s", io->lun->config.name,
		   io->request.cdb[0], (unsigned long long)io->block,
		   scsi_result_text(&io->request.result, text, sizeof(text)));
	core_finish(plugin, io, error);
}

/* Whatever is sent to this LUN waits until it has proven who it is: another one may stand there
 * now. SPC-5 annex F.2; 25/00: nothing does. */
static void io_doubt(struct gate_io *io)
{
	const struct scsi_result *result = &io->request.result;

	if (result->sense_key == SCSI_SENSE_UNIT_ATTENTION) {
		io->lun->plugin->counters.unit_attentions++;
		control_tell_attention(io->lun, result->asc, result->ascq);
	}
	nexus_attention(io->lun, result);
}

static void io_refused(struct plugin *plugin, struct gate_io *io)
{
	const struct scsi_result *result = &io->request.result;
	bool flush = io->kind == IO_FLUSH || io->behind;
	uint32_t wait_ms = 0;

	io_doubt(io);
	if (gate_budget_again(&io->budget, result, core_now_ms(), plugin->file.give_up_ms,
			      &wait_ms)) {
		io_again(plugin, io, wait_ms);
		return;
	}
	if (flush && result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST && result->asc == 0x20 &&
	    io->lun->has_sync16) {
		io->lun->has_sync16 = false;
		io_again(plugin, io, 0);
		return;
	}
	/* Refused by whoever stands there now; it is sent again when that is known. */
	if (io->lun->doubted && result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST &&
	    io->strange++ < GATE_IO_STRANGE_MAX) {
		io_again(plugin, io, 0);
		return;
	}
	io_final(plugin, io, io_errno(io, result));
}

/* No answer that says what it did. Writing the same again is right as long as this node owns: so it
 * waits for the gate to be opened by somebody who has looked. */
static void io_unknown(struct plugin *plugin, struct gate_io *io)
{
	const struct scsi_result *result = &io->request.result;
	uint32_t wait_ms = 0;

	if (result->has_status) {
		if (gate_budget_again(&io->budget, result, core_now_ms(), plugin->file.give_up_ms,
				      &wait_ms))
			io_again(plugin, io, wait_ms);
		else
			io_final(plugin, io, -EIO);
		return;
	}
	memset(&io->budget, 0, sizeof(io->budget));
	if (result->error == -ETIMEDOUT) {
		core_disturb(plugin, GATE_CAUSE_NO_ANSWER, io->lun->number);
		nexus_drop(io->lun, "dropped: a data command had no answer");
	} else if (plugin->state == GATE_STATE_OPEN) {
		core_disturb(plugin, GATE_CAUSE_NEXUS_LOST, io->lun->number);
	}
	io_again(plugin, io, 0);
}

/* Not acknowledged before it is known who has carried it out: proven, it is sent again, which does no
 * harm; if it was another one, it fails with the gate. */
static void io_good(struct plugin *plugin, struct gate_io *io)
{
	if (io->lun->doubted) {
		io_again(plugin, io, 0);
		return;
	}
	if (io_has_more(io)) {
		io->behind = true;
		memset(&io->budget, 0, sizeof(io->budget));
		core_wait(plugin, io);
		return;
	}
	io_count(plugin, io);
	core_finish(plugin, io, 0);
}

static void io_done(struct scsi_request *request)
{
	struct gate_io *io = request->user;
	struct plugin *plugin = io->lun->plugin;

	plugin->in_flight--;
	io->lun->in_flight--;
	switch (request->result.outcome) {
	case SCSI_OUTCOME_OK:
		io_good(plugin, io);
		break;
	case SCSI_OUTCOME_CONFLICT:
		plugin->counters.conflicts++;
		core_disturb(plugin, GATE_CAUSE_CONFLICT, io->lun->number);
		io_again(plugin, io, 0);
		break;
	case SCSI_OUTCOME_FAILED:
		io_refused(plugin, io);
		break;
	case SCSI_OUTCOME_UNKNOWN:
		io_unknown(plugin, io);
		break;
	}
	core_settle(plugin);
	core_pump(plugin);
}

void io_send(struct gate_io *io)
{
	struct plugin *plugin = io->lun->plugin;
	struct scsi_request *request = &io->request;

	if (io->lun->nexus != GATE_NEXUS_UP || io->lun->closing) {
		/* Can only be when its loss has been told a moment before its requests end. */
		core_disturb(plugin, GATE_CAUSE_NEXUS_LOST, io->lun->number);
		core_wait(plugin, io);
		return;
	}
	if ((io->kind == IO_FLUSH || io->behind) && !io->lun->has_sync16)
		io_encode_sync10(request);
	else
		io_encode(io);
	request->timeout_ms = plugin->file.give_up_ms;
	request->done = io_done;
	request->user = io;
	plugin->in_flight++;
	io->lun->in_flight++;
	path_submit(io->lun->path, request);
}
