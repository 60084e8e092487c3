/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside the gate process. nbdkit's worker threads hand requests over (plugin.c); one thread
 * with a libuv loop owns everything else: the gate's state and the requests that wait at it
 * (core.c), what became of each command (io.c), the nexuses
 * (nexus.c, identify.c), the daemon's connection (control.c).
 *
 *                 SET open
 *        HELD -----------------> OPEN     a request is sent when the gate is OPEN, and only then
 *      waits in <---------------- |
 *      its order    SET held, nexus lost, conflict, no answer: what comes back unfinished waits
 *         |                       |
 *         | SET failed, or alone  | SET failed
 *         | for the hold limit    |
 *         v                       |
 *       FAILED <------------------+
 *      waiting requests end with EIO; in flight: their nexus is dropped, so they end too.
 *      Connections made before this moment stay dead (epoch).
 *
 * Invariants, checked at every change: FAILED: nothing waits. Not OPEN: in_flight never grows.
 */
#ifndef CLUSTER_GATE_PLUGIN_PRIVATE_H
#define CLUSTER_GATE_PLUGIN_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>

#include <uv.h>

#include "cluster/gate/budget.h"
#include "cluster/gate/wire.h"
#include "scsi/identity.h"
#include "scsi/lun_proof.h"
#include "scsi/path.h"

/* One command's data in bytes, unless VPD B0h asks for less. */
#define GATE_IO_TRANSFER_MAX (1024u * 1024u)
/* Times that a command is sent again that was refused while nobody knew who stands there. */
#define GATE_IO_STRANGE_MAX 5u
/* While nothing happens, each LUN is asked who it is this often. */
#define GATE_PROVE_MS 5000u
#define GATE_ZERO_BLOCKS_MAX 8192u /* blocks of one WRITE SAME or UNMAP */
#define GATE_BLOCK_SIZE_MAX 65536u
#define GATE_IDENTIFY_BUFFER 256

struct plugin;
struct plugin_lun;
struct control;

enum io_kind { IO_READ, IO_WRITE, IO_FLUSH, IO_ZERO, IO_TRIM };

/* One request, at most one command in flight; lives on its worker's stack. */
struct gate_io {
	struct gate_io *next; /* in the inbox, or waiting */
	struct plugin_lun *lun;
	enum io_kind kind;
	bool fua;
	bool behind; /* second step: SYNCHRONIZE CACHE after a write, if the device knows no FUA */
	uint64_t block;
	uint32_t blocks;
	void *data;
	uint32_t data_length;
	uint32_t epoch;  /* of the NBD connection */
	uint64_t order;  /* of arrival: kept when it is sent again */
	uint64_t due_ms; /* not sent before */
	struct gate_budget budget;
	unsigned strange; /* refusals while its LUN was in doubt */
	int error;        /* result: 0 or -errno */
	sem_t finished;
	struct scsi_request request;
	uint8_t parameter[24]; /* UNMAP */
};

/* What is known of the device; read by workers under the plugin's lock. */
struct plugin_geometry {
	uint64_t blocks; /* 0: not known yet */
	uint32_t block_size;
	uint32_t transfer_max; /* bytes, a multiple of block_size */
	bool fua;              /* DPOFUA */
	bool read_only;        /* WP */
};

enum identify_step {
	IDENTIFY_PROOF,  /* READ CAPACITY and VPD 83h: is it the one that is meant? */
	IDENTIFY_LIMITS, /* VPD B0h */
	IDENTIFY_MODE,   /* MODE SENSE (6): DPOFUA, WP */
	IDENTIFY_DONE,
};

struct plugin_lun {
	struct plugin *plugin;
	uint16_t number;
	struct gate_lun_config config;
	struct plugin_geometry geometry;
	/* The loop's alone: */
	struct path *path;
	enum gate_nexus nexus;
	bool closing; /* path_close() was called and has not ended */
	uint32_t serial;
	uint64_t key;
	uint32_t in_flight;
	uint32_t delay_ms; /* before the next try */
	uv_timer_t retry;
	bool written;    /* something was to be written to it since the gate was last FAILED */
	bool has_sync16; /* SYNCHRONIZE CACHE (16), not known not to be there */
	char wwid[SCSI_WWID_MAX];
	char reason[GATE_WIRE_TEXT_MAX];
	struct lun_identity identity; /* who is meant; kept for as long as this process lives */
	bool doubted;     /* another one may stand there: nothing is sent, nothing acknowledged */
	uint32_t doubts;  /* counted */
	uv_timer_t prove; /* from time to time while nothing happens */
	struct {
		struct lun_proof proof;
		uint32_t doubts; /* at its beginning */
		bool short_one;  /* the nexus is UP: only the proof */
		struct scsi_request request;
		enum identify_step step;
		unsigned attempt;
		bool busy;
		struct plugin_geometry found;
		uint8_t buffer[GATE_IDENTIFY_BUFFER];
	} identify;
};

struct plugin {
	struct gate_file file;
	uint64_t configuration; /* digest of the file's text */
	struct plugin_lun *luns;
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* guards what follows, up to the loop's own */
	struct gate_io *inbox, **inbox_end;
	bool stopping;
	uint32_t epoch; /* counts how often the gate became FAILED */

	/* The loop's alone: */
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t pump_timer; /* for requests that wait for their time */
	uv_timer_t drop_timer; /* what is in flight when the gate fails ends then at the latest */
	uv_timer_t alone_timer;
	uv_signal_t terminate;
	enum gate_state state;
	enum gate_cause cause;
	uint16_t cause_lun;
	uint32_t sequence, spontaneous;
	struct gate_io *waiting; /* by order */
	uint32_t waiting_count, in_flight, closing_count;
	uint64_t next_order;
	uint32_t next_serial;
	uint32_t alone_checks,
		alone_heard; /* checks in a row that found us held and the daemon silent */
	uint64_t started_ms;
	struct gate_counters counters;
	struct control *control;
	bool told_quiet;
};

/* core.c */
int core_start(struct plugin *plugin);
void core_stop(struct plugin *plugin);
/* From a worker: runs the request and waits for its end. Returns 0 or -errno. */
int core_run(struct plugin *plugin, struct gate_io *io);
void core_set(struct plugin *plugin, enum gate_state state, enum gate_cause cause, uint16_t lun);
/* Nobody ordered it: from OPEN to HELD; otherwise it is only counted, so that an OPEN on its way is
 * refused. */
void core_disturb(struct plugin *plugin, enum gate_cause cause, uint16_t lun);
bool core_quiet(const struct plugin *plugin);
/* To be called whenever something that core_quiet() looks at has changed. */
void core_settle(struct plugin *plugin);
void core_wait(struct plugin *plugin, struct gate_io *io);
void core_finish(struct plugin *plugin, struct gate_io *io, int error);
void core_pump(struct plugin *plugin);
uint64_t core_now_ms(void);
__attribute__((format(printf, 1, 2))) void plugin_log(const char *format, ...);

/* io.c */
void io_send(struct gate_io *io);

/* nexus.c */
int nexus_start(struct plugin_lun *lun);
void nexus_stop(struct plugin_lun *lun);
void nexus_retry_now(struct plugin_lun *lun);
/* Gives up the nexus, with all that share its session: its commands end, and a new one is made. */
void nexus_drop(struct plugin_lun *lun, const char *reason);
/* A command through it was refused so: when that may mean that another logical unit stands there
 * (scsi_attention_doubts_identity(), or 25/00: none), nothing is sent to it before it is proven. */
void nexus_attention(struct plugin_lun *lun, const struct scsi_result *result);
/* The same for those that a proof has taken: what they say of the session's other LUNs. */
void nexus_attentions(struct plugin_lun *lun, const struct pr_attentions *taken);
/* Another logical unit stands there: the gate fails. */
void nexus_other(struct plugin_lun *lun, const char *reason);
void nexus_set(struct plugin_lun *lun, enum gate_nexus nexus, const char *reason);
void nexus_try_later(struct plugin_lun *lun);

/* identify.c */
void identify_start(struct plugin_lun *lun);

/* control.c */
int control_start(struct plugin *plugin);
void control_stop(struct plugin *plugin);
void control_tell_state(struct plugin *plugin, bool refused);
void control_tell_lun(struct plugin_lun *lun);
void control_tell_attention(struct plugin_lun *lun, uint8_t asc, uint8_t ascq);
/* Moves whenever the daemon says something. */
uint32_t control_heard(const struct plugin *plugin);

#endif
