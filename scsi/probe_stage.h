/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probe's inside, shared by its engine (scsi/probe.c) and its stages (scsi/probe_stages.c,
 * scsi/probe_clean.c). A stage begins one action and judges its answer; the table of stages is in
 * the order in which they run.
 */
#ifndef SCSI_PROBE_STAGE_H
#define SCSI_PROBE_STAGE_H

#include "scsi/lun_proof.h"
#include "scsi/probe.h"

#define PROBE_BUFFER_SIZE 32768u
#define PROBE_RANGE_BYTES_MAX (1024u * 1024u)
#define PROBE_CLEAN_ROUNDS 3

enum probe_stage_id {
	PROBE_STAGE_INQUIRY,
	PROBE_STAGE_SERIAL,
	PROBE_STAGE_WWID,
	PROBE_STAGE_CAPACITY16,
	PROBE_STAGE_CAPACITY10,
	PROBE_STAGE_MODE,
	PROBE_STAGE_OTHER_IDENTITY, /* of every other path, and of the second nexus */
	PROBE_STAGE_KEYS,
	PROBE_STAGE_RESERVATION,
	PROBE_STAGE_OCCUPANTS, /* refuse, wait whether they are leftovers, or go on */
	PROBE_STAGE_LEFTOVER_REGISTER,
	PROBE_STAGE_LEFTOVER_PREEMPT,
	PROBE_STAGE_LEFTOVER_UNREGISTER,
	PROBE_STAGE_CAPABILITIES,
	PROBE_STAGE_FULL_STATUS,
	PROBE_STAGE_LOOK, /* measured */
	PROBE_STAGE_REGISTER_APTPL,
	PROBE_STAGE_APTPL_SEEN,
	PROBE_STAGE_REGISTER,
	PROBE_STAGE_SEEN, /* by every path */
	PROBE_STAGE_REGISTER_AND_IGNORE,
	PROBE_STAGE_REGISTER_PATHS,
	PROBE_STAGE_PREEMPT,
	PROBE_STAGE_PREEMPT_AND_ABORT,
	PROBE_STAGE_SECOND_REGISTER,
	PROBE_STAGE_SECOND_RELOGIN,
	PROBE_STAGE_SECOND_KEPT,
	PROBE_STAGE_SECOND_UNREGISTER,
	PROBE_STAGE_SECOND_PREEMPT,
	PROBE_STAGE_TYPES,
	PROBE_STAGE_READ_BLOCKS,
	PROBE_STAGE_SAVE,
	PROBE_STAGE_RESERVE_WE,
	PROBE_STAGE_WRITES,
	PROBE_STAGE_RELEASE_WE,
	PROBE_STAGE_RESERVE_EA,
	PROBE_STAGE_READ,
	PROBE_STAGE_CLEAN, /* from here on nothing is interrupted */
	PROBE_STAGE_CLEAN_RESTORE,
	PROBE_STAGE_CLEAN_CHECK,
	PROBE_STAGE_CLEAN_FORGET,
	PROBE_STAGE_CLEAN_RELEASE,
	PROBE_STAGE_CLEAN_UNREGISTER,
	PROBE_STAGE_CLEAN_KEYS,
	PROBE_STAGE_CLEAN_RESERVATION,
	PROBE_STAGE_CLEAN_TAKE,
	PROBE_STAGE_CLEAN_PREEMPT,
	PROBE_STAGE_END,
};

enum probe_role {
	PROBE_ROLE_FIRST = 1,
	PROBE_ROLE_SECOND = 2,
	PROBE_ROLE_NOBODY = 3, /* never registered: the victim of a PREEMPT that has none */
	PROBE_ROLE_REKEYED = 4,
	PROBE_ROLE_CLEANER = 5, /* and a fresh one for every round of cleaning */
};

/* What one look showed; the present one and the first. */
struct probe_occupants {
	uint32_t generation;
	unsigned count, available;
	uint64_t keys[PROBE_KEYS_MAX];
	struct pr_reservation reservation;
};

struct probe {
	struct probe_options options;
	struct probe_report report;
	enum probe_stage_id stage;
	unsigned index;   /* of a stage that repeats itself */
	unsigned attempt; /* at the same command: UNIT ATTENTION, BUSY */
	uint32_t resend_after_ms;
	bool resend, again, interrupted;
	bool changed; /* a PR OUT or a write went out: there is something to clean */
	bool reconnecting;
	enum probe_stage_id jump;
	bool jumping;
	uint64_t key[PROBE_NEXUSES]; /* that this nexus may be registered with; 0: none */
	enum pr_type reserved;       /* what path 0 may hold */
	struct probe_occupants seen;
	bool lying_still; /* the occupants are probe keys; the generation is watched */
	uint32_t still_generation;
	bool leftovers_tried;
	unsigned still_looks;
	uint32_t look_us; /* of a look in two commands, the first's share */
	uint32_t *looks_us;
	unsigned looks_waited; /* after so many of them */
	bool blocks_saved, blocks_dirty;
	uint8_t *saved, *pattern, *scratch; /* of the range */
	size_t range_size;
	unsigned clean_path, clean_rounds;
	struct scsi_request sent;
	unsigned sent_nexus;
	uint8_t buffer[PROBE_BUFFER_SIZE];
	struct vpd_reader page;
	bool page_goes_on;
	struct lun_identity identity; /* what path 0 said */
	uint8_t parameter[PR_OUT_PARAMETER_LENGTH];
};

struct probe_stage {
	const char *name; /* for people */
	bool tolerant;    /* takes an UNKNOWN outcome itself */
	/* Fills the action; false: nothing to do, on to the next stage. */
	bool (*begin)(struct probe *probe, struct probe_action *action);
	/* Judges what became of it (SEND only). */
	void (*end)(struct probe *probe, const struct scsi_request *request);
};

extern const struct probe_stage probe_stages[PROBE_STAGE_END + 1];

/* For stages. */
uint64_t probe_key(const struct probe *probe, enum probe_role role);
bool probe_key_of_run(const struct probe *probe, uint64_t key);
bool probe_goto(struct probe *probe, enum probe_stage_id stage); /* returns false, for begin() */
void probe_repeat(struct probe *probe); /* the same stage again, index one higher */
void probe_refuse(struct probe *probe, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void probe_fail(struct probe *probe, const char *format, ...) __attribute__((format(printf, 2, 3)));
void probe_find(struct probe_finding *finding, enum probe_answer answer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* With the result's text as the note. */
void probe_find_result(struct probe_finding *finding, enum probe_answer answer,
		       const struct scsi_result *result);
bool probe_send_pr_in(struct probe *probe, struct probe_action *action, unsigned nexus,
		      enum pr_in_action what);
bool probe_send_pr_out(struct probe *probe, struct probe_action *action, unsigned nexus,
		       enum pr_out_action what, uint64_t key, uint64_t service_key,
		       enum pr_type type, bool aptpl);
bool probe_send(struct probe *probe, struct probe_action *action, unsigned nexus);
bool probe_illegal(const struct scsi_result *result);
const char *probe_text(const struct scsi_result *result);
/* Decodes into probe->seen. */
bool probe_take_keys(struct probe *probe, const struct scsi_request *request);
bool probe_take_reservation(struct probe *probe, const struct scsi_request *request);
bool probe_sees_key(const struct probe *probe, uint64_t key);
bool probe_sees_stranger(const struct probe *probe);

/* scsi/probe_clean.c */
bool probe_begin_clean(struct probe *probe, struct probe_action *action);
bool probe_begin_clean_restore(struct probe *probe, struct probe_action *action);
void probe_end_clean_restore(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_check(struct probe *probe, struct probe_action *action);
void probe_end_clean_check(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_forget(struct probe *probe, struct probe_action *action);
bool probe_begin_clean_release(struct probe *probe, struct probe_action *action);
void probe_end_clean_release(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_unregister(struct probe *probe, struct probe_action *action);
void probe_end_clean_unregister(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_keys(struct probe *probe, struct probe_action *action);
void probe_end_clean_keys(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_reservation(struct probe *probe, struct probe_action *action);
void probe_end_clean_reservation(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_take(struct probe *probe, struct probe_action *action);
void probe_end_clean_take(struct probe *probe, const struct scsi_request *request);
bool probe_begin_clean_preempt(struct probe *probe, struct probe_action *action);
void probe_end_clean_preempt(struct probe *probe, const struct scsi_request *request);

/* scsi/probe_second.c: what needs a second nexus. */
bool probe_begin_second_register(struct probe *probe, struct probe_action *action);
void probe_end_second_register(struct probe *probe, const struct scsi_request *request);
bool probe_begin_second_relogin(struct probe *probe, struct probe_action *action);
bool probe_begin_second_kept(struct probe *probe, struct probe_action *action);
void probe_end_second_kept(struct probe *probe, const struct scsi_request *request);
bool probe_begin_second_unregister(struct probe *probe, struct probe_action *action);
void probe_end_second_unregister(struct probe *probe, const struct scsi_request *request);
bool probe_begin_second_preempt(struct probe *probe, struct probe_action *action);
void probe_end_second_preempt(struct probe *probe, const struct scsi_request *request);
bool probe_begin_read_blocks(struct probe *probe, struct probe_action *action);
void probe_end_read_blocks(struct probe *probe, const struct scsi_request *request);
bool probe_begin_save(struct probe *probe, struct probe_action *action);
bool probe_begin_reserve_we(struct probe *probe, struct probe_action *action);
bool probe_begin_reserve_ea(struct probe *probe, struct probe_action *action);
void probe_end_reserve(struct probe *probe, const struct scsi_request *request);
bool probe_begin_writes(struct probe *probe, struct probe_action *action);
void probe_end_writes(struct probe *probe, const struct scsi_request *request);
bool probe_begin_release_we(struct probe *probe, struct probe_action *action);
void probe_end_release(struct probe *probe, const struct scsi_request *request);
bool probe_begin_read(struct probe *probe, struct probe_action *action);
void probe_end_read(struct probe *probe, const struct scsi_request *request);

#endif
