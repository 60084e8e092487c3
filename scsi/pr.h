/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PERSISTENT RESERVE IN and OUT (SPC-5 6.16, 6.17): CDBs and parameter data, encoded and decoded.
 * Pure code: bytes in, values out; what a target returns is not trusted.
 */
#ifndef SCSI_PR_H
#define SCSI_PR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/scsi.h"

/* SPC-5 table 132: PERSISTENT RESERVE IN service actions. */
enum pr_in_action {
	PR_IN_READ_KEYS = 0x00,
	PR_IN_READ_RESERVATION = 0x01,
	PR_IN_REPORT_CAPABILITIES = 0x02,
	PR_IN_READ_FULL_STATUS = 0x03,
};

/* SPC-5 table 145: PERSISTENT RESERVE OUT service actions. */
enum pr_out_action {
	PR_OUT_REGISTER = 0x00,
	PR_OUT_RESERVE = 0x01,
	PR_OUT_RELEASE = 0x02,
	PR_OUT_CLEAR = 0x03,
	PR_OUT_PREEMPT = 0x04,
	PR_OUT_PREEMPT_AND_ABORT = 0x05,
	PR_OUT_REGISTER_AND_IGNORE = 0x06,
	PR_OUT_REGISTER_AND_MOVE = 0x07,
};

/* SPC-5 table 134: persistent reservation types. */
enum pr_type {
	PR_TYPE_NONE = 0x0,
	PR_TYPE_WRITE_EXCLUSIVE = 0x1,
	PR_TYPE_EXCLUSIVE_ACCESS = 0x3,
	PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 0x5,
	PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 0x6,
	PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS = 0x7,
	PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 0x8,
};

#define PR_OUT_PARAMETER_LENGTH 24 /* without TransportIDs */
#define PR_TRANSPORT_ID_MAX 256

/* One PERSISTENT RESERVE OUT command, decoded. */
struct pr_out {
	enum pr_out_action action;
	enum pr_type type;    /* RESERVE, RELEASE, PREEMPT, PREEMPT AND ABORT; otherwise ignored */
	uint64_t key;         /* RESERVATION KEY: what this nexus is registered with */
	uint64_t service_key; /* SERVICE ACTION RESERVATION KEY: the new key, or the victim's */
	bool aptpl;           /* REGISTER*, REGISTER AND MOVE */
	bool all_target_ports;
	/* REGISTER AND MOVE only (SPC-5 6.17.4): */
	bool unregister;
	uint16_t relative_target_port;
	const uint8_t *transport_id; /* in wire format */
	uint32_t transport_id_length;
};

struct pr_keys {
	uint32_t generation;
	uint32_t count;     /* keys stored in keys[], at most the capacity that was given */
	uint32_t available; /* keys that the target says it has; more than count: the buffer was too
			       small, ask again */
	uint32_t arrived;   /* keys among the bytes that arrived, whatever the capacity: see
			       pr_keys_at() */
	uint64_t *keys;     /* the caller's */
};

struct pr_reservation {
	uint32_t generation;
	bool held;
	uint64_t key; /* 0 for the all-registrants types */
	enum pr_type type;
};

struct pr_capabilities {
	bool compatible_reservation_handling, specify_initiator_ports, all_target_ports;
	bool persist_through_power_loss_capable;   /* PTPL_C */
	bool persist_through_power_loss_activated; /* PTPL_A */
	bool replace_lost_reservation_capable;     /* RLR_C */
	uint8_t allow_commands;
	bool type_mask_valid;
	uint16_t type_mask; /* bit n: type n is supported (bit 1 WR_EX ... bit 8 EX_AC_AR), remapped
			       from the wire */
};

struct pr_full_status_entry {
	uint64_t key;
	bool holder, all_target_ports;
	enum pr_type type; /* valid if holder */
	uint16_t relative_target_port;
	uint8_t transport_id[PR_TRANSPORT_ID_MAX];
	uint16_t transport_id_length; /* cut at PR_TRANSPORT_ID_MAX */
};

struct pr_full_status {
	uint32_t generation;
	uint32_t count;
	bool complete;                        /* false: the buffer or entries[] was too small */
	struct pr_full_status_entry *entries; /* the caller's */
};

/* Each fills request's CDB, direction, data and data_length; the rest of *request stays. buffer is
 * the caller's. */

/* size: bytes of buffer, 8..65535 (ALLOCATION LENGTH). Returns 0 or -EINVAL. */
int pr_in_encode(struct scsi_request *request, enum pr_in_action action, void *buffer, size_t size);

/* size must be at least PR_OUT_PARAMETER_LENGTH (REGISTER AND MOVE: 24 + transport_id_length).
 * Returns 0 or -EINVAL. */
int pr_out_encode(struct scsi_request *request, const struct pr_out *out, void *buffer,
		  size_t size);

/* The reverse of pr_out_encode, for the simulated LUN, traces and tests. Returns 0, or -EBADMSG. */
int pr_out_decode(struct pr_out *out, const uint8_t *cdb, size_t cdb_length, const uint8_t *data,
		  size_t length);

/* Decoders take the bytes that arrived (result.transferred, at most the buffer's size). Return 0,
 * or -EBADMSG (shorter than its own header, lengths that contradict each other). Out-structs with
 * arrays: the caller sets keys/entries and passes their capacity in elements. */
int pr_keys_decode(struct pr_keys *keys, size_t capacity, const uint8_t *data, size_t length);
/* The key at index, from 0 to below what pr_keys_decode() said of the same bytes as `arrived`. */
uint64_t pr_keys_at(const uint8_t *data, uint32_t index);
int pr_reservation_decode(struct pr_reservation *reservation, const uint8_t *data, size_t length);
int pr_capabilities_decode(struct pr_capabilities *capabilities, const uint8_t *data,
			   size_t length);
int pr_full_status_decode(struct pr_full_status *status, size_t capacity, const uint8_t *data,
			  size_t length);

/* The same entry by entry, for those who want no array of them. begin: 0 or -EBADMSG. next: 1 with
 * an entry, 0 at the end (of the list if cursor->complete, else of what arrived of it), -EBADMSG
 * when the list contradicts its own length. */
struct pr_full_status_cursor {
	uint32_t generation;
	bool complete; /* the whole list arrived */
	const uint8_t *data;
	size_t offset, end;
};
int pr_full_status_begin(struct pr_full_status_cursor *cursor, const uint8_t *data, size_t length);
int pr_full_status_next(struct pr_full_status_cursor *cursor, struct pr_full_status_entry *entry);

/* "iqn.2024-01.x:jerry,i,0x4c4b00000001" for iSCSI, "naa.5..." for FC and SAS, else hex. Returns
 * buffer. */
const char *pr_transport_id_text(const uint8_t *id, size_t length, char *buffer, size_t size);

/* "WRITE EXCLUSIVE, REGISTRANTS ONLY"; short: "WE-RO". "type 9h" for what the standard does not
 * know. */
const char *pr_type_name(enum pr_type type);
const char *pr_type_short_name(enum pr_type type);
/* Takes the short name in any case or the number ("5"). Returns 0 or -EINVAL. */
int pr_type_parse(const char *text, enum pr_type *type);
const char *pr_out_action_name(enum pr_out_action action);

#endif
