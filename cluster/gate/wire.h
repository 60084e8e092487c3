/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the daemon and a gate process say to each other over the gate's control socket, and the file
 * that tells a gate process what to serve. Pure code: bytes in, values out; neither side trusts the
 * other's lengths.
 *
 * A frame is a 32-bit length (of what follows), an 8-bit type and the type's fields, all numbers
 * big-endian, texts with a 16-bit length before them. The daemon speaks first (HELLO); the gate
 * answers with SNAPSHOT, one LUN frame for each of its LUNs, and READY.
 */
#ifndef CLUSTER_GATE_WIRE_H
#define CLUSTER_GATE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/identity.h"
#include "scsi/scsi.h"

#define GATE_WIRE_VERSION 1
#define GATE_WIRE_HEADER 4
#define GATE_WIRE_DATA_MAX 65535u /* bytes of parameter data of one command */
#define GATE_WIRE_FRAME_MAX (GATE_WIRE_DATA_MAX + 512u)
#define GATE_WIRE_TEXT_MAX 400

#define GATE_LUNS_MAX 1024
#define GATE_NAME_MAX 128
#define GATE_URL_MAX 400
#define GATE_PATH_MAX 400

enum gate_state {
	GATE_STATE_FAILED, /* all I/O, waiting and new, ends with EIO */
	GATE_STATE_HELD,   /* I/O waits; what is below the gate drains */
	GATE_STATE_OPEN,   /* I/O passes */
};

/* Why the gate is in its state. */
enum gate_cause {
	GATE_CAUSE_STARTED,    /* FAILED: a new gate process */
	GATE_CAUSE_ORDERED,    /* the daemon said so */
	GATE_CAUSE_NEXUS_LOST, /* HELD: the session of `lun` was lost */
	GATE_CAUSE_CONFLICT,   /* HELD: a data command of `lun` got RESERVATION CONFLICT */
	GATE_CAUSE_NO_ANSWER,  /* HELD: a data command of `lun` had no answer for the give-up time;
				  its session was dropped */
	GATE_CAUSE_ALONE,      /* FAILED: held, and no daemon connected for the hold limit */
	GATE_CAUSE_OTHER_UNIT, /* FAILED: another logical unit stands where `lun` was */
	GATE_CAUSE_COUNT,
};

enum gate_message_type {
	/* daemon to gate */
	GATE_MESSAGE_HELLO = 1, /* version */
	GATE_MESSAGE_SET,       /* sequence, seen, state */
	GATE_MESSAGE_COMMAND,   /* a SCSI command through the nexus of `lun` */
	GATE_MESSAGE_RESET,     /* LOGICAL UNIT RESET through the nexus of `lun` */
	/* try the lost nexus of `lun` now, not after the plugin's own delay */
	GATE_MESSAGE_RECONNECT,
	GATE_MESSAGE_QUIT, /* end the process; only obeyed while the gate is FAILED */
	/* gate to daemon */
	GATE_MESSAGE_SNAPSHOT = 64,
	GATE_MESSAGE_LUN, /* all that is known of one LUN: in a snapshot, and at every change of its
			     nexus */
	GATE_MESSAGE_READY, /* the snapshot is complete */
	GATE_MESSAGE_STATE, /* at every change of state, cause or quiet, and as the answer to SET */
	GATE_MESSAGE_DONE,  /* a COMMAND or RESET ended */
	GATE_MESSAGE_ATTENTION, /* a data command took a UNIT ATTENTION */
	GATE_MESSAGE_REFUSED,   /* HELLO or a frame was not acceptable; the connection ends */
};

enum gate_nexus {
	GATE_NEXUS_CONNECTING,
	GATE_NEXUS_UP,
	GATE_NEXUS_DOWN,     /* tried again by itself, with growing delays */
	GATE_NEXUS_UNUSABLE, /* logged in, but this is the wrong logical unit, or none that can be
				served; `reason` says so */
};

struct gate_message_set {
	uint32_t sequence; /* comes back in STATE */
	uint32_t seen;     /* `spontaneous` of the last STATE seen; an OPEN with an older one is not
			      obeyed */
	enum gate_state state;
};

struct gate_message_state {
	uint32_t sequence;    /* of the last SET obeyed or refused; 0: none of this connection */
	uint32_t spontaneous; /* counts the changes that nobody ordered */
	enum gate_state state;
	enum gate_cause cause;
	uint16_t lun;     /* whom the cause is about, else 0 */
	bool quiet;       /* nothing is in flight below the gate */
	bool refused;     /* the SET of this sequence came too late: something changed meanwhile */
	uint32_t waiting; /* requests held */
};

struct gate_message_command {
	uint32_t id;
	uint16_t lun;
	uint32_t timeout_ms;
	uint8_t cdb_length;
	uint8_t cdb[SCSI_CDB_MAX];
	enum scsi_direction direction;
	uint32_t data_length; /* of data-out, or room for data-in */
	const uint8_t *data;  /* OUT: points into the frame */
};

struct gate_message_done {
	uint32_t id;
	struct scsi_result result;
	uint32_t data_length; /* of data-in */
	const uint8_t *data;  /* points into the frame */
};

struct gate_counters {
	uint64_t reads, writes, flushes;
	uint64_t read_bytes, written_bytes;
	uint64_t errors;    /* NBD requests that ended with an error */
	uint64_t resent;    /* commands sent again: unit attention, busy, conflict, lost session */
	uint64_t conflicts; /* RESERVATION CONFLICT on data commands */
	uint64_t unit_attentions; /* on data commands */
};

struct gate_message_snapshot {
	uint32_t version;
	uint32_t pid;
	uint32_t lun_count;
	uint32_t in_flight;
	uint64_t configuration; /* gate_wire_digest() of the configuration file that the process was
				   started with */
	uint64_t uptime_ms;
	struct gate_message_state state;
	struct gate_counters counters;
};

struct gate_message_lun {
	uint16_t lun;
	enum gate_nexus nexus;
	uint32_t serial; /* counts the logins of this process: another number is another nexus */
	uint64_t key; /* that this nexus was last registered with through this process; 0: none */
	uint64_t blocks; /* 0: not known yet */
	uint32_t block_size;
	uint32_t in_flight;
	char name[GATE_NAME_MAX];
	char wwid[SCSI_WWID_MAX]; /* as the device says it; "" not known yet */
	char reason[GATE_WIRE_TEXT_MAX];
};

struct gate_message_attention {
	uint16_t lun;
	uint8_t asc, ascq;
};

struct gate_message {
	enum gate_message_type type;
	union {
		uint32_t version; /* HELLO */
		struct gate_message_set set;
		struct gate_message_command command; /* RESET uses id, lun and timeout_ms */
		uint16_t lun;                        /* RECONNECT */
		struct gate_message_snapshot snapshot;
		struct gate_message_lun info; /* LUN */
		struct gate_message_state state;
		struct gate_message_done done;
		struct gate_message_attention attention;
		char reason[GATE_WIRE_TEXT_MAX]; /* REFUSED */
	};
};

/* Looks for a frame at the start of data. Returns its length, header included; 0 when more bytes
 * are needed; -EBADMSG when no frame can begin so. */
long gate_wire_frame(const uint8_t *data, size_t length);

/* data: one whole frame as gate_wire_frame() found it. Returns 0 or -EBADMSG. */
int gate_wire_decode(struct gate_message *message, const uint8_t *data, size_t length);

/* Writes one frame; returns its length, or -EMSGSIZE (buffer too small) or -EINVAL (a field out of
 * range). */
long gate_wire_encode(const struct gate_message *message, uint8_t *buffer, size_t size);

/* What a gate process serves. */
struct gate_lun_config {
	char name[GATE_NAME_MAX]; /* also the NBD export's name */
	char url[GATE_URL_MAX];   /* iscsi://..., without a password */
	char wwid[SCSI_WWID_MAX]; /* what VPD 83h must say; "": not checked */
	bool header_digest, data_digest;
	bool zero_covered,
		trim_covered; /* the probe proved that the reservation covers WRITE SAME, UNMAP */
};

struct gate_file {
	char group[GATE_NAME_MAX];
	char control[GATE_PATH_MAX]; /* the control socket */
	char nbd[GATE_PATH_MAX];     /* the NBD socket, which nbdkit binds */
	char lock[GATE_PATH_MAX];
	char initiator_name[224];
	char secrets_file[GATE_PATH_MAX]; /* "": none */
	uint16_t isid_qualifier;
	uint32_t hold_limit_ms; /* held without a daemon for so long: failed */
	uint32_t give_up_ms;    /* for data commands */
	size_t lun_count;
	struct gate_lun_config *luns; /* room for lun_capacity */
	size_t lun_capacity;
};

/* The text of a configuration file: one `name=value` a line; every `lun=` begins a LUN. parse: 0,
 * -EBADMSG (message says which line and why), -E2BIG (more LUNs than lun_capacity). write: length,
 * or -EMSGSIZE, or -EINVAL for a value that a line cannot hold. */
int gate_wire_file_parse(struct gate_file *file, const char *text, size_t length, char *message,
			 size_t message_size);
long gate_wire_file_write(const struct gate_file *file, char *buffer, size_t size);

/* FNV-1a. */
uint64_t gate_wire_digest(const void *data, size_t length);

const char *gate_state_name(enum gate_state state);
const char *gate_cause_text(enum gate_cause cause);
const char *gate_nexus_name(enum gate_nexus nexus);

#endif
