/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state folder: for each group the keys that this node has written down as its own, and the
 * counter of incarnations, in one small text file that is replaced atomically and durably. A key
 * that is not written here is not this node's, so a file that is torn, of another node or copied
 * from another machine is never used, never taken as empty in silence, and never overwritten
 * without being kept aside.
 */
#ifndef CLUSTER_STORE_CLAIMS_H
#define CLUSTER_STORE_CLAIMS_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLAIMS_KEYS_MAX 8 /* of one group; = ARBITER_CLAIMS_MAX */
#define CLAIMS_FILE_MAX 4096
#define CLAIMS_INCARNATION_AHEAD 4096 /* a fresh start begins this far beyond the number on disk */
#define CLAIMS_MESSAGE_SIZE 1024

/* One claims file. */
struct claims_file {
	char cluster[64];
	char group[64];
	uint8_t node;
	uint16_t incarnation; /* the highest one used (as far as it was noted) */
	uint64_t machine;     /* fingerprint of machine-id; 0: unknown */
	uint64_t hardware;    /* fingerprint of the DMI product UUID; 0: unknown */
	size_t count;
	uint64_t keys[CLAIMS_KEYS_MAX]; /* newest first */
};

/* The file's bytes, pure (cluster/store/claims_wire.c). encode: returns the length, or 0 when it does not
 * fit. decode: 0, or -EBADMSG with what is wrong in `reason`; reads at most length bytes. */
size_t claims_encode(const struct claims_file *claims, char *buffer, size_t size);
int claims_decode(struct claims_file *claims, const char *data, size_t length, char *reason,
		  size_t reason_size);
/* 64-bit fingerprint of a text, 0 only for an empty one. */
uint64_t claims_fingerprint(const char *text);

struct claims;
struct claims_group;

struct claims_options {
	const char *folder;
	const char
		*copies; /* a folder of this boot (RUN/claims), made if it is missing; NULL: none */
	const char *cluster;
	uint8_t node;
};

/* Makes the folder (0700) if it is missing (not its parents), checks that it is owned by root or
 * the caller and not writable by others, that a file can be written there durably, and takes its
 * lock. Blocks; for the start. A folder that cannot be used is no reason not to start: who owns a
 * LUN must go on defending it. Then claims_on_trouble() is told why, recording fails, what can be
 * read is read, and the folder is tried again until it can be used. Returns 0, or -errno with one
 * clear sentence in `message` (-EBUSY: another daemon has it, with its pid; -ENAMETOOLONG). */
int claims_open(struct claims **state, uv_loop_t *loop, const struct claims_options *options,
		char *message, size_t message_size);
/* Waits for what is being written; callbacks that are still due are called with -ECANCELED or their
 * result. Closes its groups. Needs one more turn of the loop before uv_loop_close(). */
void claims_close(struct claims *state);

enum claims_found {
	CLAIMS_FOUND_NOTHING, /* first start of this group on this node */
	CLAIMS_FOUND_CLAIMS,
	CLAIMS_FOUND_COPY, /* the file is lost or cannot be used; the keys are from the copy that an
			      earlier daemon of this boot has left. The message says so. */
	CLAIMS_FOUND_UNUSABLE, /* torn, unreadable, of another node, cluster or machine: no key is
				 this node's own. The file is kept as NAME.claims.unusable when the
				 first new one is written. Alarm with the message. */
};

/* Loads a group's claims; blocks (one small file). message: filled for UNUSABLE and COPY, else
 * empty. The
 * group lives until claims_group_close() or claims_close(). Returns NULL only without memory. */
struct claims_group *claims_group_open(struct claims *state, const char *name,
				       enum claims_found *found, char *message,
				       size_t message_size);
/* Waits for nothing; pending callbacks come still. Removes nothing. */
void claims_group_close(struct claims_group *group);

/* Own keys as they are in memory, newest first; valid until the next call on this group. */
const uint64_t *claims_group_keys(const struct claims_group *group, size_t *count);
/* For the arbiter's start: number on disk + CLAIMS_INCARNATION_AHEAD + something random, never 0;
 * random on a first start. Every call gives another. */
uint16_t claims_group_next_incarnation(struct claims_group *group);
/* The arbiter has used numbers up to this one. Written down by itself before the distance to the
 * disk reaches CLAIMS_INCARNATION_AHEAD / 2; nobody waits for it. */
void claims_group_used_incarnation(struct claims_group *group, uint16_t incarnation);

/* error: 0 (durable now) or -errno, with a sentence that names folder, errno and what to do. Called
 * on the loop, later, exactly once. */
typedef void claims_recorded(int error, const char *message, void *user);
/* Writes key down as the newest own key; already there: moved to the front. When there are
 * CLAIMS_KEYS_MAX the oldest goes. Notes its incarnation too. After an error the key is not own.
 */
void claims_group_record(struct claims_group *group, uint64_t key, claims_recorded *done,
			 void *user);
/* Strikes out a key, or all (0). Effective in memory at once, on disk soon; done may be NULL. */
void claims_group_strike(struct claims_group *group, uint64_t key, claims_recorded *done,
			 void *user);

/* Writes the copies anew: their folder was removed. */
void claims_copy_again(struct claims *state);
/* Called on the loop whenever writing begins to fail (message) or works again (NULL); at once if
 * the folder could not be used at the start. */
void claims_on_trouble(struct claims *state, void (*trouble)(const char *message, void *user),
		       void *user);

#endif
