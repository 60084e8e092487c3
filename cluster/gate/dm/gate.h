/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate of one LUN on a kernel device: a device-mapper device of our own on top of the
 * configured one, through which the service uses the LUN (docs/architecture.md, "The gate on kernel
 * devices"). What is wanted is told from the loop; threads bring it about, whatever the storage
 * below does, and tell when they have. The device outlives the daemon.
 */
#ifndef CLUSTER_GATE_DM_GATE_H
#define CLUSTER_GATE_DM_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "cluster/gate/wire.h"

#define GATE_DM_HOLD_LIMIT_DEFAULT_MS 40000u
#define GATE_DM_TEXT_MAX 300
#define GATE_DM_PATH_MAX 144

struct gate_dm;

struct gate_dm_setup {
	const char *run_folder; /* RUN; the link is RUN/dev/NAME */
	const char *name;       /* of the LUN: letters, digits, '.', '_', '-' */
	const char *device;     /* /dev/...: a disk, or a dm-multipath map */
	const char *wwid;       /* NULL: not checked */
	uint32_t hold_limit_ms; /* how long I/O waits at most; 0: the default; say twice the loss
				   tolerance */
	/* The reservation covers WRITE SAME, and UNMAP, too; without, they are not let through. */
	bool zero_covered, trim_covered;
};

enum gate_dm_device_want {
	GATE_DM_DEVICE_NONE,  /* failed and removed; somebody who has it open still keeps one that
				 fails  everything */
	GATE_DM_DEVICE_KEEP,  /* what is there, if anything */
	GATE_DM_DEVICE_FRESH, /* one that was not used before it failed; else it is made */
};

enum gate_dm_cause {
	GATE_DM_CAUSE_ORDERED,
	GATE_DM_CAUSE_ERROR,   /* HELD: I/O ended with an error of the path below; it waits */
	GATE_DM_CAUSE_OVER,    /* FAILED: I/O has waited for the hold limit */
	GATE_DM_CAUSE_HOPELESS /* FAILED: again and again no I/O got through */
};

struct gate_dm_view {
	bool known;            /* it was looked at what an earlier daemon left */
	uint32_t order;        /* the last one that was obeyed as far as `state` goes */
	bool present;          /* the device is there, with its link */
	enum gate_state state; /* FAILED without a device */
	enum gate_dm_cause cause;
	bool quiet;        /* not OPEN, and nothing that passed before is in flight: proven */
	bool spent;        /* failed after it was used: it never opens again */
	uint64_t size;     /* bytes; 0: unknown */
	bool unusable;     /* device-mapper cannot be used on this machine: see `problem` */
	uint32_t failures; /* to make the device, one after the other */
	uint32_t made_in_ms;
	uint32_t old;                   /* devices of earlier terms with I/O in flight */
	uint64_t in_flight;             /* below the gate, when last looked at */
	char device[GATE_DM_PATH_MAX];  /* "/dev/mapper/lunkeeper-mailstore.1"; "" */
	char problem[GATE_DM_TEXT_MAX]; /* why what is wanted is not so yet; "" */
};

/* Begins to look at what is there; `changed` is called from the loop, whenever gate_dm_view() has
 * something new, first when it is known. Returns NULL for want of memory or threads. */
struct gate_dm *gate_dm_new(uv_loop_t *loop, const struct gate_dm_setup *setup,
			    void (*changed)(struct gate_dm *gate, void *user), void *user);

/* What shall be so from now on; the last order counts. Nothing is touched before the first. state:
 * of the device, FAILED while it is being made. A state that came by itself is left only by a later
 * order, and one that was used never opens again once it was FAILED. Returns the order's number. */
uint32_t gate_dm_want(struct gate_dm *gate, enum gate_dm_device_want device, enum gate_state state);

/* It stands on this one from now on, when a device is made. */
void gate_dm_set_device(struct gate_dm *gate, const char *device);
/* The run folder was removed and is there again: the link is made anew. */
void gate_dm_put_back(struct gate_dm *gate);
/* Times of the configuration have changed. */
void gate_dm_set_hold_limit(struct gate_dm *gate, uint32_t hold_limit_ms);

const struct gate_dm_view *gate_dm_view(const struct gate_dm *gate);
const char *gate_dm_link(const struct gate_dm *gate); /* "/run/lunkeeper/dev/mailstore" */
const char *gate_dm_cause_text(enum gate_dm_cause cause);

/* remove: fails and removes the device too. closed() may be NULL; `changed` is not called
 * any more. */
void gate_dm_free(struct gate_dm *gate, bool remove, void (*closed)(void *user), void *user);

/* Whether gates on kernel devices can be made here: text says with what, or why not. Loads the
 * kernel's module. 0 or -errno. */
int gate_dm_possible(char *text, size_t size);

#endif
