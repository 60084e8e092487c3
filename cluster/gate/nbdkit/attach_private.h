/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside attach: what is written down of a device (attach_state.c), whether its helper answers
 * (attach_pulse.c), and the blocking steps, which
 * run on libuv's workers or in a program without a loop (attach_steps.c). A LUN's files are in
 * RUN/attach/NAME/:
 *
 *     mnt/disk   nbdfuse's one file, when that is the kind
 *     pid        written by nbdfuse when it serves
 *     state      what has been attached
 *     log        the helper's standard error
 */
#ifndef CLUSTER_GATE_NBDKIT_ATTACH_PRIVATE_H
#define CLUSTER_GATE_NBDKIT_ATTACH_PRIVATE_H

#include <sys/types.h>

#include "cluster/gate/nbdkit/attach.h"

#define ATTACH_PATH_MAX 400
#define ATTACH_MESSAGE_MAX 500

struct attach_names {
	char name[128];
	char folder[ATTACH_PATH_MAX], mount[ATTACH_PATH_MAX + 8], disk[ATTACH_PATH_MAX + 16];
	char pid[ATTACH_PATH_MAX + 8], state[ATTACH_PATH_MAX + 8], log[ATTACH_PATH_MAX + 8];
	char link[ATTACH_PATH_MAX], link_folder[ATTACH_PATH_MAX];
};

/* What there is, or was. */
struct attach_record {
	char boot[40]; /* the kernel's boot_id: of another boot, nothing is left of it */
	enum attach_kind kind;
	pid_t pid;            /* nbdfuse, or nbd-client */
	uint64_t pid_started; /* in clock ticks since boot: tells it from a later process of the
				 same number */
	uint64_t file_device, file_inode; /* LOOP: of mnt/disk; no other file system has the number
					     as long as it is there */
	/* LOOP: the kernel's number for this use of the device; 0: not told (before Linux 5.15) */
	uint64_t sequence;
	char device[ATTACH_DEVICE_MAX]; /* "" when it is not made yet */
};

/* attach_state.c. A name that cannot be a file's, or too long a path: -EINVAL. */
int attach_names_fill(struct attach_names *names, const char *run_folder, const char *name);
/* 0, -ENOENT (none, or of another boot), -EBADMSG. */
int attach_record_read(const struct attach_names *names, struct attach_record *record);
int attach_record_write(const struct attach_names *names, const struct attach_record *record);
void attach_record_start(struct attach_record *record, enum attach_kind kind, pid_t pid);
uint64_t attach_process_started(pid_t pid); /* 0: there is no such process, or it is dead */
bool attach_process_alive(const struct attach_record *record);

/* attach_pulse.c: one question to a FUSE file system that may never answer. NULL: no memory or no
 * thread. */
struct attach_pulse;
struct attach_pulse *attach_pulse_begin(const char *path);
bool attach_pulse_is_over(const struct attach_pulse *pulse);
/* Whoever asked does not wait any more. NULL is allowed. */
void attach_pulse_free(struct attach_pulse *pulse);

/* attach_steps.c; all may block, but for no longer than the helper process lives. */
int attach_folders_make(const struct attach_names *names, char *message, size_t size);
/* The device from mnt/disk; fills record and writes it down. */
int attach_loop_make(const struct attach_names *names, uint32_t block_size,
		     struct attach_record *record, char *message, size_t size);
int attach_nbd_make(const struct attach_names *names, struct attach_record *record, char *message,
		    size_t size);
int attach_link_make(const struct attach_names *names, const char *device, char *message,
		     size_t size);
/* Removes the link if it names this device, or whatever when device is NULL. */
void attach_link_remove(const struct attach_names *names, const char *device);
/* The device is there, and it is the one that was recorded. */
bool attach_device_present(const struct attach_names *names, struct attach_record *record);
/* Takes everything apart that the record names. *busy: somebody has the device open; it goes with
 * its last user. */
void attach_take_apart(const struct attach_names *names, const struct attach_record *record,
		       bool *busy);
/* Waits so long for the helper to end by itself, then kills it. */
void attach_process_end(const struct attach_record *record, int wait_ms);
/* What is left when nothing is attached any more. */
void attach_forget(const struct attach_names *names);
/* A free /dev/nbdN; -ENODEV. */
int attach_nbd_free(char *device, size_t size);

#endif
