/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of the gate on kernel devices share: the threads, and what they work on.
 */
#ifndef CLUSTER_GATE_DM_PRIVATE_H
#define CLUSTER_GATE_DM_PRIVATE_H

#include <limits.h>
#include <pthread.h>
#include <time.h>

#include "cluster/gate/dm/gate.h"
#include "cluster/gate/dm/ioctl.h"
#include "cluster/gate/dm/table.h"

#define GATE_DM_FOLDER "/dev/mapper/"
#define GATE_DM_OLD_MAX 8
#define GATE_DM_NEVER UINT64_MAX

/* One device of ours. */
struct gate_dm_device {
	bool there;
	char name[GATE_DM_NAME_SIZE];
	uint32_t serial, minor, major;     /* its own numbers */
	uint32_t below_major, below_minor; /* what it leads to */
	uint64_t sectors;
	enum gate_state state;
	bool used;    /* it was OPEN or HELD once, or may have been */
	bool proven;  /* not OPEN since, and nothing in flight */
	bool strange; /* its table is not understood: of another version, or somebody changed it */
	bool retired; /* its table is one that fails everything, and leads nowhere */
	bool trims;   /* discards are not known to be kept out, and the reservation need not cover
			 them */
};

struct gate_dm_wants {
	enum gate_dm_device_want device;
	enum gate_state state;
	uint32_t order; /* 0: none yet */
	uint32_t hold_limit_ms;
	char below[GATE_DM_PATH_MAX]; /* the device that the next one stands on */
	bool closing, remove;
};

struct gate_dm_pool;

struct gate_dm {
	struct gate_dm *next;
	struct gate_dm_pool *pool;
	void (*changed)(struct gate_dm *gate, void *user);
	void (*closed)(void *user);
	void *user, *closed_user;
	struct gate_dm_view view; /* the loop's copy */

	char *lun, *wwid;
	char link[PATH_MAX];
	uint32_t owner;
	bool zero_covered, trim_covered;

	/* under the pool's lock */
	struct gate_dm_wants wants;
	struct gate_dm_view told;
	bool news, busy, urgent, finished;
	uint64_t due_ms;
	timer_t *suspending; /* of the thread that waits in a suspend, NULL: none does */
	uint32_t suspends;   /* so far: tells one from the next */
	uint64_t suspend_until_ms;
	bool suspend_queues; /* I/O shall wait, not fail, when it is ended */
	char suspend_name[GATE_DM_NAME_SIZE];
	uint32_t events; /* of the device, as last listed */

	/* of the thread that has it (busy) */
	bool relink; /* under the lock: the link was removed by somebody else */
	struct gate_dm_device now;
	struct gate_dm_device old[GATE_DM_OLD_MAX];
	size_t old_count;
	uint32_t next_serial;
	bool known, searched, unusable;
	bool unswitched; /* the state that is wanted was refused: soon again */
	bool by_itself;  /* `now` came to its state by itself, under ... */
	uint32_t by_itself_order;
	enum gate_dm_cause cause;
	uint64_t held_since_ms, opened_ms, trouble_since_ms, checked_ms, retry_ms, close_by_ms;
	uint64_t ios_at_open;
	uint32_t failures, made_in_ms, poll_ms;
	uint64_t in_flight;
	uint32_t tries;
	char problem[GATE_DM_TEXT_MAX];
};

/* What a thread brings along. */
struct gate_dm_thread {
	int control;
	timer_t timer;
};

/* Brings one nearer to what is wanted. Returns when it is to be looked at again. */
typedef uint64_t gate_dm_worker(struct gate_dm *gate, struct gate_dm_thread *thread);

/* pool.c: threads that do `worker` on whatever is due. NULL: no memory or threads. */
struct gate_dm_pool *gate_dm_pool_get(uv_loop_t *loop, gate_dm_worker *worker);
void gate_dm_pool_add(struct gate_dm *gate);
void gate_dm_lock(struct gate_dm *gate);
void gate_dm_unlock(struct gate_dm *gate);
/* Under the lock: a thread shall look at it, now. */
void gate_dm_wake(struct gate_dm *gate);
/* By the thread that has it, around a suspend: it is ended when the time is over, or at once by a
 * new order. -EINTR: there is one already; the suspend must not begin. */
int gate_dm_suspend_begins(struct gate_dm *gate, struct gate_dm_thread *thread,
			   const struct gate_dm_device *device, uint32_t most_ms);
void gate_dm_suspend_ends(struct gate_dm *gate, struct gate_dm_thread *thread);
/* By the thread that has it: what the loop shall see. */
void gate_dm_tell(struct gate_dm *gate, const struct gate_dm_view *view);

/* work.c */
gate_dm_worker gate_dm_work;

/* device.c: one device, by the thread. 0 or -errno. */
int gate_dm_device_make(struct gate_dm *gate, struct gate_dm_thread *thread, const char *on,
			char *message, size_t message_size);
/* The link to it, and the folder of the link. */
int gate_dm_device_link(const struct gate_dm *gate, const struct gate_dm_device *device);
int gate_dm_device_switch(struct gate_dm_thread *thread, struct gate_dm_device *device,
			  enum gate_state state);
/* As the kernel sees it; one that somebody suspended is resumed. -ENXIO: it is gone; -ESTALE: its
 * table is not ours any more. */
int gate_dm_device_observe(struct gate_dm_thread *thread, const struct gate_dm_device *device,
			   enum gate_state *state);
/* Nothing is in flight: proven, or -EAGAIN. A used one that is FAILED is retired on the way. */
int gate_dm_device_prove(struct gate_dm *gate, struct gate_dm_thread *thread,
			 struct gate_dm_device *device);
/* Keeps discards and WRITE SAME out, unless the reservation covers them. 0 or -errno: discards may get
 * through (`trims`). */
int gate_dm_device_forbid(const struct gate_dm *gate, struct gate_dm_device *device);
/* 0 or -errno; when it has grown all the same, discards may get through. */
int gate_dm_device_resize(struct gate_dm *gate, struct gate_dm_thread *thread,
			  struct gate_dm_device *device, uint64_t sectors);
/* Has the disks below refuse WRITE SAME, unless the reservation covers it. Bounded: a disk on which
 * a request hangs refuses it when that has ended. */
void gate_dm_device_forbid_zeroing(const struct gate_dm *gate, const struct gate_dm_device *device);
/* I/O requests that have come to their end. */
uint64_t gate_dm_device_ios(const struct gate_dm_device *device);

/* below.c: the device below, by sysfs alone. */
struct gate_dm_below {
	uint32_t major, minor;
	uint64_t sectors; /* of 512 bytes */
};

/* device: its name. wwid: every disk below must bear it, where the kernel knows its page 83h; NULL:
 * not checked. 0, or -errno with a message. */
int gate_dm_below_find(const char *sysfs, const char *device, const char *wwid,
		       struct gate_dm_below *below, char *message, size_t message_size);
/* The check alone, of a device by its numbers. */
int gate_dm_below_check(const char *sysfs, uint32_t major, uint32_t minor, const char *wwid,
			const char *device, char *message, size_t message_size);
/* 0: unknown */
uint64_t gate_dm_below_sectors(const char *sysfs, uint32_t major, uint32_t minor);
/* Whether a disk below takes WRITE SAME, as far as the kernel is concerned. */
bool gate_dm_below_zeroes(const char *sysfs, uint32_t major, uint32_t minor);
/* Has the kernel send none to any of them. It waits for what is in flight on a disk. Returns how
 * many could not be told. */
unsigned gate_dm_below_forbid_zeroing(const char *sysfs, uint32_t major, uint32_t minor);

#endif
