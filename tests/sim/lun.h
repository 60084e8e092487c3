/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A simulated logical unit with the persistent reservations of SPC-5 (5.14, 6.16, 6.17): bytes in
 * (CDB, parameter data), bytes out (status, sense, data), as a device server does it. It knows I_T
 * nexuses by their identity (initiator name, ISID, target port), keeps registrations and unit
 * attentions for each, checks the access of data commands, and holds writes in a task set until the
 * caller lets them reach the medium. Its personality leaves out what some real targets leave out.
 * Deterministic, without a clock.
 */
#ifndef TESTS_SIM_LUN_H
#define TESTS_SIM_LUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/pr.h"
#include "scsi/scsi.h"

#define LUN_NEXUSES_MAX 96
#define LUN_TASKS_MAX 256
#define LUN_ATTENTIONS_MAX 4
#define LUN_SNAPSHOTS_MAX 6
#define LUN_NEXUS_NONE 0xffffu
#define LUN_TRANSPORT_ID_SIZE 60
#define LUN_DATA_IN_MAX 8192

/* What becomes of a registration when the session of its nexus is lost. */
enum lun_lost_session {
	/* it is the nexus's, and there again when that logs in again (SPC-5 5.14.7) */
	LUN_LOST_KEEPS,
	LUN_LOST_ORPHANS, /* it stays, and holds, but is nobody's any more (measured on tgt) */
	LUN_LOST_REMOVES, /* it goes with the session */
};

struct lun_personality {
	bool preempt_and_abort, register_and_move, full_status, capabilities, aptpl;
	bool attentions; /* establishes unit attention conditions */
	enum lun_lost_session lost_session;
	bool task_aborted_status; /* TAS: an aborted task is answered by TASK ABORTED, else by
				     nothing */
	bool other_writes;        /* has WRITE SAME and UNMAP */
	bool stale_holder; /* READ RESERVATION names the key under which it was reserved, whatever
			      the holder has been re-keyed to since */
	bool swapped;      /* READ FULL STATUS has the keys in another byte order */
};

extern const struct lun_personality lun_personality_standard, lun_personality_lio,
	lun_personality_tgt;

struct lun_identity {
	uint32_t initiator; /* number of the initiator's name */
	uint64_t isid;
	uint16_t target_port;
};

struct lun_nexus {
	bool used, session, registered;
	uint8_t attention_count, transport_id_length;
	uint16_t attentions[LUN_ATTENTIONS_MAX]; /* ASC, ASCQ; oldest first */
	uint32_t login;                          /* counts the sessions of this nexus */
	uint64_t key;
	struct lun_identity identity;
	uint8_t transport_id[LUN_TRANSPORT_ID_SIZE];
};

struct lun_task {
	bool used, aborted;
	uint16_t nexus;
	uint32_t serial;
};

/* What survives a loss of power. */
struct lun_snapshot {
	bool held;
	enum pr_type type;
	uint16_t count, holder; /* index into entries */
	struct {
		struct lun_identity identity;
		uint64_t key;
	} entries[LUN_NEXUSES_MAX];
};

struct lun {
	struct lun_personality personality;
	uint32_t generation;
	bool held, aptpl_active;
	bool deaf;   /* PERSISTENT RESERVE OUT is answered with GOOD and does nothing */
	bool halves; /* what is read by a nexus shows only every second one: two gateways that each
			know half */
	uint64_t reserved_key; /* under which it was reserved */
	enum pr_type type;
	uint16_t holder; /* nexus; LUN_NEXUS_NONE for the all-registrants types */
	uint16_t nexus_count, task_high;
	uint32_t task_serial;
	uint32_t snapshot_count; /* made since the beginning; the last LUN_SNAPSHOTS_MAX are kept */
	struct lun_nexus nexuses[LUN_NEXUSES_MAX];
	struct lun_task tasks[LUN_TASKS_MAX];
	struct lun_snapshot snapshots[LUN_SNAPSHOTS_MAX];
};

struct lun_answer {
	uint8_t status;
	uint8_t sense_length;
	uint8_t sense[18];
	bool pending; /* a write in the task set: `task`, `serial`; answered when it has landed */
	uint16_t task;
	uint32_t serial;
	uint32_t data_length;
	uint8_t data[LUN_DATA_IN_MAX];
};

void lun_init(struct lun *lun, const struct lun_personality *personality);

/* A login: the nexus of that identity, made if it is new. A session that it still has is
 * reinstated: its tasks are aborted (RFC 7143 6.3.5). Returns the nexus, or LUN_NEXUS_NONE when
 * there is no room. */
uint16_t lun_login(struct lun *lun, const struct lun_identity *identity);
/* The target has noticed that the session is gone: its tasks are aborted. */
void lun_logout(struct lun *lun, uint16_t nexus);

/* One command. Writes (READ and WRITE of 10 and 16 bytes) become tasks if `delayed`; everything
 * else is answered at once. */
void lun_execute(struct lun *lun, uint16_t nexus, const uint8_t *cdb, size_t cdb_length,
		 const uint8_t *data, size_t data_length, bool delayed, struct lun_answer *answer);
/* The write reaches the medium, if its task is still there. Returns false when it was aborted. */
bool lun_task_finish(struct lun *lun, uint16_t task, uint32_t serial);

/* LOGICAL UNIT RESET (SAM-5 7.7): every task is aborted, reservations stay. */
void lun_reset(struct lun *lun, uint16_t nexus);
/* ABORT TASK. */
void lun_task_abort(struct lun *lun, uint16_t task, uint32_t serial);

/* Power is lost and returns. Sessions and tasks are gone. Reservations are as they were `age`
 * changes before the last one that was kept (0: the last) if the target keeps them, else gone. */
void lun_power_cycle(struct lun *lun, unsigned age);

/* What is true, for who checks. */
uint64_t lun_holder_key(const struct lun *lun);

#endif
