/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An iSCSI target (RFC 7143) on the test's own loop that says what it is told to say: every status,
 * odd sense data, short data, rejects, messages out of turn, silence. It lets everybody in and
 * knows nothing of SCSI; with a disk (fake_disk.h) it answers discovery and commands as that does.
 */
#ifndef TESTS_TABLE_FAKE_TARGET_H
#define TESTS_TABLE_FAKE_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "tests/table/fake_disk.h"

enum fake_answer {
	FAKE_STATUS,  /* a SCSI Response with .status and the .data as data segment (SenseLength and
			 sense) */
	FAKE_DATA_IN, /* a Data-In with .data, GOOD and .residual */
	FAKE_REJECT,  /* a Reject with reason .status */
	FAKE_SILENCE,
	FAKE_CLOSE,
	FAKE_GARBAGE,     /* 48 bytes that are no PDU of RFC 7143 */
	FAKE_DATA_BEYOND, /* a Data-In behind the end of what was asked for */
};

struct fake_target {
	/* what is said to commands, and to ABORT TASK and LOGICAL UNIT RESET */
	enum fake_answer answer;
	uint8_t status;
	uint8_t data[512];
	uint32_t data_length, residual;
	bool underflow, overflow;
	enum fake_answer management_answer; /* FAKE_STATUS, FAKE_SILENCE */
	uint8_t management_response;
	uint32_t window; /* commands that MaxCmdSN allows; 0: 64 */
	uint16_t login_status;
	struct fake_disk *disk; /* NULL: none */
	const char *name;       /* with a disk: the only target here; letters count */
	/* what was seen */
	uint8_t lun[8], cdb[16], management_lun[8], isid[6];
	uint32_t last_tag, management_tag;
	unsigned logins, commands, managements, nops, logouts;
	char initiator[224];
	/* the target's own */
	uv_tcp_t listener;
	uv_loop_t *loop;
	struct fake_connection *connection; /* the last one */
	uint16_t port;
};

/* Returns 0 or a libuv error. The struct must stay where it is until fake_stop() has ended. */
int fake_start(struct fake_target *target, uv_loop_t *loop);
/* The same at that address, instead of 127.0.0.1. */
int fake_start_at(struct fake_target *target, uv_loop_t *loop, const char *where);
/* Out of turn, to the last connection. */
void fake_send_async(struct fake_target *target, uint8_t event);
void fake_send_ping(struct fake_target *target);
void fake_close(struct fake_target *target);
/* Run the loop afterwards. */
void fake_stop(struct fake_target *target);

#endif
