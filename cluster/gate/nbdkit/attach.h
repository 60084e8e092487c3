/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A block device for one LUN behind a gate, under RUN/dev/NAME: /dev/nbdN where the kernel
 * has them, else nbdfuse and a loop device on its one file. What was attached is written down in
 * RUN/attach/NAME, so that another daemon, or a clean-up after a crash, finds it again. Everything
 * here ends within a bounded time, also when the device is in use or its gate is held: what cannot
 * be taken apart now is detached lazily and goes when its last user does.
 */
#ifndef CLUSTER_GATE_NBDKIT_ATTACH_H
#define CLUSTER_GATE_NBDKIT_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

#define ATTACH_TIMEOUT_DEFAULT_MS 5000u
#define ATTACH_DEVICE_MAX 64

enum attach_kind { ATTACH_KIND_BEST, ATTACH_KIND_LOOP, ATTACH_KIND_NBD };

/* This machine has what the kind needs: device nodes and helper program. */
bool attach_kind_possible(enum attach_kind kind);

struct attach_setup {
	const char *run_folder; /* RUN */
	const char *name;       /* of the LUN: the link's name and the NBD export's */
	const char *nbd_socket; /* gate_nbd_socket() */
	uint32_t block_size;    /* of the LUN; 0: 512 */
	enum attach_kind kind;  /* BEST: what the kernel has */
	uint32_t timeout_ms;    /* for making it; 0: ATTACH_TIMEOUT_DEFAULT_MS */
};

struct attach;

enum attach_state {
	ATTACH_STATE_NONE,
	ATTACH_STATE_MAKING,
	ATTACH_STATE_ATTACHED,
	ATTACH_STATE_REMOVING,
};

/* status: 0 or -errno; message: for people, "" with 0 (a removal may have a remark even so). */
typedef void attach_done(struct attach *attach, int status, const char *message, void *user);

/* lost: the helper process (nbdfuse, nbd-client) ended; the device answers everything with errors:
 * remove it. May be NULL. (That the gate process ended is told by the gate; behind it, too, the
 * device has nothing but errors, and is removed and made again.) Returns NULL only for want of
 * memory or for an impossible name. */
struct attach *attach_new(uv_loop_t *loop, const struct attach_setup *setup,
			  void (*lost)(struct attach *attach, const char *reason, void *user),
			  void *user);

/* For the next attach_make(): known only now, or changed. 0: as it is. */
void attach_set_block_size(struct attach *attach, uint32_t block_size);

/* Looks for what an earlier daemon left: true when a living device of this LUN is there, attached
 * (state ATTACHED). What is dead is left for attach_make() or attach_remove() to clear away. Does
 * not block. */
bool attach_adopt(struct attach *attach);

/* Makes the device, fresh (what an earlier daemon left is removed first), then the link. -EBUSY:
 * something is under way; -EALREADY: attached. Otherwise done() is called once, later. Works with
 * the gate failed, held or open: no data is read. */
int attach_make(struct attach *attach, attach_done *done, void *user);

/* The link goes first, then the device. With the gate failed nothing of it waits. Also ends an
 * attach_make() on its way, whose done() then gets -ECANCELED. -EBUSY: already being removed.
 * Otherwise done() is called once, later; a device that somebody still has open is detached lazily
 * (status 0 with a remark). */
int attach_remove(struct attach *attach, attach_done *done, void *user);

/* Writes back and drops the device's cached pages (BLKFLSBUF), on a worker. A fresh device has
 * none. While the gate is held this may take as long as that lasts; at most one at a time (-EBUSY).
 */
int attach_drop_caches(struct attach *attach, attach_done *done, void *user);

/* Asks the helper process for something that it answers by itself (nbdfuse: the attributes of its
 * file), again and again, on threads of its own. Returns for how many milliseconds the question that
 * is open now is unanswered, 0: none is. To be called from time to time. It may be late because all
 * its threads wait for storage. */
uint32_t attach_unanswered_ms(struct attach *attach);
/* Kills a helper that hangs: the device is dead then, and `lost` follows. */
void attach_kill_helper(struct attach *attach);

enum attach_state attach_get_state(const struct attach *attach);
enum attach_kind attach_get_kind(const struct attach *attach);
/* The run folder was removed and is there again: link and record of an attached device are made
 * anew. 0 or -errno. */
int attach_put_back(const struct attach *attach);
const char *attach_device(const struct attach *attach); /* "/dev/loop7"; "" when there is none */
const char *attach_link(const struct attach *attach);   /* "/run/lunkeeper/dev/mailstore" */
/* How long the last attach_make() took. */
uint32_t attach_made_in_ms(const struct attach *attach);

/* Frees it and leaves the device as it is (the next daemon adopts it). closed() may be NULL. */
void attach_free(struct attach *attach, void (*closed)(void *user), void *user);

/* What a daemon wrote down of a LUN's device, for whoever counts or clears away what is left of it. */
struct attach_shown {
	enum attach_kind kind;
	pid_t pid;            /* of the helper: nbdfuse, or nbd-client */
	uint64_t file_device; /* LOOP: st_dev of nbdfuse's file system */
	uint64_t sequence;    /* LOOP: the kernel's number of this use (diskseq); 0: not told */
	char device[ATTACH_DEVICE_MAX]; /* "/dev/loop7"; "" when it is not made yet */
};

/* Of the LUN name under RUN. Reads the record alone and asks nothing that is attached. 0; -EINVAL: no
 * name of a LUN; -ENOENT: none, or of another boot; -EBADMSG: not readable; other -errno. */
int attach_record_show(const char *run_folder, const char *name, struct attach_shown *shown);

/* Without a loop, for `rig down`, the daemon's start and tests: removes everything that RUN/attach
 * says was attached; names: a NULL-ended list to keep, or NULL. Bounded in time. Returns the number
 * removed. */
int attach_remove_leftovers(const char *run_folder, const char *const *keep);

#endif
