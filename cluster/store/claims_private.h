/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the state folder's groups (claims.c) and its disk (claims_disk.c).
 */
#ifndef CLUSTER_STORE_CLAIMS_PRIVATE_H
#define CLUSTER_STORE_CLAIMS_PRIVATE_H

#include "cluster/store/claims.h"

#define CLAIMS_STACK_SIZE (128u << 10)
#define CLAIMS_PROBE_NAME "write-test"
#define CLAIMS_BATCH_MAX 64 /* files made durable together */

/* One file to be replaced. The loop's until it is submitted and after it was taken back; the
 * thread's in between. */
struct claims_job {
	struct claims_job *next;
	struct claims_group *group; /* the loop's */
	uint64_t version;
	uint16_t incarnation;
	bool keep_aside;
	bool lazy; /* nobody waits for it */
	int fd;    /* the thread's */
	char name[80];
	const char *step; /* what failed */
	int error;        /* 0 or -errno */
	bool probe;       /* only whether the folder can be written; group is NULL */
	size_t length;
	char data[];
};

struct claims_disk {
	char folder[512];
	char copies[512];              /* a folder of this boot; empty: none */
	int folder_fd, lock_fd;        /* -1: not there, or not to be trusted */
	bool proven;                   /* writing there went well, and nothing has failed since */
	char why[CLAIMS_MESSAGE_SIZE]; /* it is not proven; under the lock */
	uv_thread_t thread;
	uv_mutex_t lock;
	uv_cond_t wanted, idle;
	struct claims_job *submitted, **submitted_last, *ended, **ended_last;
	bool running, stop, busy;
	void (*wake)(void *user); /* from the thread, after jobs have ended */
	void *wake_user;
};

/* See claims_open(): 0 also when the folder cannot be used now, with `why` set; it is tried again
 * with each job. copies may be NULL. */
int claims_disk_open(struct claims_disk *disk, const char *folder, const char *copies,
		     char *message, size_t message_size);
void claims_disk_close(struct claims_disk *disk);
int claims_disk_start(struct claims_disk *disk, void (*wake)(void *user), void *user);
/* Ends the thread when all that was submitted has ended. */
void claims_disk_stop(struct claims_disk *disk);
void claims_disk_submit(struct claims_disk *disk, struct claims_job *job);
/* Jobs that ended since the last call, oldest first. */
struct claims_job *claims_disk_take_ended(struct claims_disk *disk);
/* Waits until all that was submitted has ended. */
void claims_disk_drain(struct claims_disk *disk);
/* Bytes read, or -errno; a file that is longer than size counts as -EFBIG. */
ssize_t claims_disk_read(struct claims_disk *disk, const char *name, char *data, size_t size);
/* The same of the copy. */
ssize_t claims_disk_read_copy(const struct claims_disk *disk, const char *name, char *data,
			      size_t size);
/* Replaces the copy; it need not survive a power cut, and that it cannot be made hurts only if the
 * folder is lost, too. */
void claims_disk_write_copy(const struct claims_disk *disk, const char *name, const char *data,
			    size_t length);
/* Why jobs fail, as it was last found; empty: they do not. */
void claims_disk_why(struct claims_disk *disk, char message[CLAIMS_MESSAGE_SIZE]);
/* Of this machine; 0 where it cannot be known. */
void claims_disk_fingerprints(uint64_t *machine, uint64_t *hardware);
/* One sentence that names folder and file, and says what to do. error: -errno. */
void claims_trouble_text(char *message, size_t size, const char *folder, const char *step,
			 const char *name, int error);

#endif
