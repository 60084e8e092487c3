/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the gate's tests stand on: network and mount namespaces of their own with a tgtd inside, a
 * gate driven as the group runner drives it, another node's nexus, and writers whose acknowledged
 * records can be checked.
 */
#ifndef TESTS_RIG_GATE_RIG_H
#define TESTS_RIG_GATE_RIG_H

#include <sys/types.h>

#include "cluster/gate/nbdkit/attach.h"
#include "cluster/gate/nbdkit/gate.h"
#include "scsi/pr.h"

#define RIG_LUNS 2
#define RIG_LUN_SIZE (48u << 20)
#define RIG_SLOTS 64u /* records of a writer, used in turn */
#define RIG_RECORD 4096u
#define RIG_WWID "naa.60000000000000000e0000000001000"

/* In memory that the writer shares with the test. */
struct rig_writer {
	pid_t pid;
	volatile uint64_t acknowledged; /* records 1..acknowledged are on the disk */
	volatile int error;             /* errno that ended it */
	volatile uint64_t failed_ns;    /* when */
	volatile bool stop;
};

struct rig {
	uv_loop_t *loop;
	char folder[64], run[96], image[RIG_LUNS][96];
	pid_t tgtd;
	struct gate *gate;
	struct path *other[RIG_LUNS]; /* another node's nexus */
	struct attach *attach[RIG_LUNS];
	/* What the gate's events said. */
	unsigned ups, downs, fresh[RIG_LUNS], attentions, lost;
	bool found;
	bool autofail; /* answer a conflict as a deposed node does */
	uint32_t give_up_ms, hold_limit_ms;
	const char *wwid[RIG_LUNS];
};

extern struct rig rig;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			rig_fail(__FILE__, __LINE__, #condition);                                  \
	} while (0)
/* Runs the loop until the condition holds; a failure after ms. */
#define WAIT(condition, ms)                                                                        \
	do {                                                                                       \
		uint64_t rig_end = uv_hrtime() + (uint64_t)(ms) * 1000000u;                        \
		while (!(condition)) {                                                             \
			if (uv_hrtime() > rig_end)                                                 \
				rig_fail(__FILE__, __LINE__, "within " #ms " ms: " #condition);    \
			rig_turn();                                                                \
		}                                                                                  \
	} while (0)

__attribute__((noreturn)) void rig_fail(const char *file, int line, const char *what);
void rig_begin(void);
void rig_turn(void);
void rig_run_for(unsigned ms);
/* Runs a command; the loop goes on meanwhile. Returns its exit status; -1: killed, because it took
 * longer. */
int rig_command(unsigned limit_ms, const char *const *arguments);
#define RUN(limit_ms, ...) rig_command(limit_ms, (const char *const[]){__VA_ARGS__, NULL})

void rig_lun_make(int lun, unsigned block_size);
void rig_lun_remove(int lun);
void rig_tgtd_start(void);
void rig_tgtd_kill(void);
/* The target closes the gate's connections. */
void rig_connections_cut(void);
/* The same, while the loop stands still. */
void rig_connections_cut_while_not_looking(void);

void rig_gate_open(void);
void rig_gate_close(bool stop);
struct gate_view rig_view(void);
bool rig_state(enum gate_state state);
bool rig_quiet(void);
bool rig_nexuses_up(void);
struct scsi_result rig_order(struct path *path, enum pr_out_action action, uint64_t key,
			     uint64_t service_key);
/* Registers and reserves all LUNs through the gate, and opens it. */
void rig_own(uint64_t key);
/* The other node takes LUN 0 from `key`. */
void rig_other_preempts(uint64_t key);
/* It unregisters, which frees LUN 0. */
void rig_other_lets_go(void);
void rig_all_clear(void);

void rig_attach(int lun);
void rig_detach(int lun);
const char *rig_device(int lun);

/* Writes records to file (a device, or a file that is made), each behind an fsync. */
struct rig_writer *rig_writer_start(const char *file);
void rig_writer_stop(struct rig_writer *writer);
/* Every acknowledged record is in the file or device. */
void rig_writer_check(const struct rig_writer *writer, const char *file);
uint64_t rig_image_digest(int lun);

#endif
