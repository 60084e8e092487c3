/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One device of a fleet, from opening its paths to closing them. A job sends one command at a time
 * and goes on in the function that was named with it:
 *
 *     WAITING -> OPENING -> RUNNING -> IDLE -> (RUNNING ...) -> CLOSING -> DONE
 */
#ifndef TOOLS_LUN_JOB_H
#define TOOLS_LUN_JOB_H

#include "scsi/lun_proof.h"
#include "tools/lun/lun.h"

enum lun_job_state {
	LUN_JOB_WAITING, /* for its turn */
	LUN_JOB_OPENING,
	LUN_JOB_RUNNING,
	LUN_JOB_IDLE, /* all steps done, sessions kept */
	LUN_JOB_CLOSING,
	LUN_JOB_DONE,
};

#define LUN_JOB_BUFFER (8u + 16384u)

struct lun_job;
typedef void lun_job_then(struct lun_job *job);

struct lun_job_path {
	struct path *path;
	bool settled; /* up, or down with a reason */
	bool told;    /* the state below was reported at all */
	char reason[200];
};

struct lun_job {
	struct lun_fleet *fleet;
	const struct lun_device *device;
	enum lun_job_state state;
	struct lun_job_path paths[PATHS_MAX];
	size_t path_count, closing;
	uv_timer_t deadline, wait;
	bool timers;
	const char *doing; /* for "no answer while ..." */

	/* the command under way */
	struct pr_exec exec;
	struct path *sent_to;
	lun_job_then *then;
	struct path *awaited; /* logs in again; then() when it is up, or down for good */
	uint8_t buffer[LUN_JOB_BUFFER];
	uint8_t parameter[PR_OUT_PARAMETER_LENGTH + PR_TRANSPORT_ID_MAX];

	/* identity */
	size_t identified; /* paths */
	bool sized, mode_known, write_protected;
	struct scsi_inquiry inquiry;
	struct scsi_capacity capacity;
	char wwid[SCSI_WWID_MAX], serial[64], own[300];
	struct vpd_reader page;
	struct lun_identity identity; /* what the first path said */

	/* the look under way */
	struct lun_look look;
	struct lun_look before; /* the one that the step under way was planned by */
	bool no_full_status;
	bool full_status_silent; /* READ FULL STATUS got no answer: tried without it */
	unsigned look_attempt;
	uint64_t own_key;
	size_t look_path;
	lun_job_then *looked;

	/* the step under way */
	const struct lun_script *script;
	size_t step;
	struct lun_plan plan;
	size_t order_path;
	json_t *orders, *result;
	bool step_failed;

	void *extra; /* of options.run */

	/* results */
	json_t *steps;
	char error[LUN_MESSAGE_MAX];
};

struct lun_fleet {
	uv_loop_t loop;
	struct lun_fleet_options options;
	struct lun_job *jobs;
	size_t count, next, active, done;
	size_t parallel;
	const struct lun_script *script;
	uv_signal_t signals[2];
	uv_timer_t hold;
	bool interrupted, holding;
	uint64_t began;
};

/* job.c */
void lun_job_begin(struct lun_job *job);
void lun_job_run(struct lun_job *job); /* the script, on open paths */
void lun_job_fail(struct lun_job *job, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void lun_job_close(struct lun_job *job);
/* Fails, or has options.interrupt() end what runs. */
void lun_job_interrupt(struct lun_job *job, const char *why);
/* job->exec.request holds the command; then() is called with its last result, unit attentions
 * taken. */
void lun_job_send(struct lun_job *job, struct path *path, lun_job_then *then);
/* The same for LOGICAL UNIT RESET. */
void lun_job_reset(struct lun_job *job, struct path *path, lun_job_then *then);
void lun_job_wait(struct lun_job *job, uint32_t ms, lun_job_then *then);
/* A path that is down: then() when it is up again, or is not. */
void lun_job_reconnect(struct lun_job *job, struct path *path, lun_job_then *then);
struct path *lun_job_up_path(struct lun_job *job, size_t from, size_t *index);
const char *lun_job_result_text(const struct lun_job *job);
void lun_job_steps_done(struct lun_job *job);

/* look.c: fills job->look by the first path that answers, then calls looked(). */
void lun_job_look(struct lun_job *job, lun_job_then *looked);
/* Size and serial number, once. */
void lun_job_size(struct lun_job *job, lun_job_then *then);

/* exec.c */
void lun_exec_step(struct lun_job *job);

/* fleet.c */
void lun_fleet_job_through(struct lun_job *job); /* it went IDLE or DONE */

#endif
