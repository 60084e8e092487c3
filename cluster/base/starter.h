/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The starter: a small process that begins programs for the daemon, so that the daemon's loop never
 * waits for somebody's execve(), and so that they inherit nothing of the daemon's. It is forked
 * before the daemon locks its memory and becomes real-time; or it is a unit of its own
 * (`lunkeeperd --starter`), so that what it begins is free of what confines lunkeeperd.service. The
 * two talk over a SOCK_SEQPACKET socket, one message a packet:
 *
 *     daemon  --START id, program, output (SCM_RIGHTS)-->  starter
 *            <--FORKED id, pid, pidfd (SCM_RIGHTS)-------            the process is there
 *            <--BEGUN id  or  FAILED id, errno-----------            its execve() is over
 *            <--ENDED id, how----------------------------            it has ended; its number is kept
 *             --RELEASE id------------------------------->           until nobody needs it any more
 *                                                            (or, before ENDED: wants to know it)
 *
 * run.h is how programs are started; this is what both ends of the socket share.
 */
#ifndef CLUSTER_BASE_STARTER_H
#define CLUSTER_BASE_STARTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STARTER_MAGIC 0x4c4b5231u         /* another number with every change of the messages */
#define STARTER_MESSAGE_MAX (128u * 1024) /* of a START; below the least buffer of a socket */
#define STARTER_WORDS_MAX 1024            /* arguments and variables together */
#define STARTER_PATH_MAX 512

enum starter_kind {
	STARTER_HELLO, /* the starter's first: itself (pid, pidfd); text: where it makes control
			  groups, or "" */
	STARTER_START,
	STARTER_RELEASE,
	STARTER_FORKED,
	STARTER_BEGUN,
	STARTER_FAILED, /* value: errno */
	STARTER_ENDED   /* code: CLD_EXITED, ...; value: status or signal */
};

#define STARTER_FLAG_IO_FLUSHER 1u /* prctl(PR_SET_IO_FLUSHER): a block device hangs on it */
#define STARTER_FLAG_SPARE 2u      /* the kernel shall not kill it for memory */

/* Behind the head of a START: path, cgroup, user, then arguments, then variables, each ended by
 * '\0'. cgroup, user: "" for none. */
struct starter_start {
	uint32_t magic;
	uint32_t kind;
	uint64_t id;
	uint32_t flags;
	uint16_t argument_count, variable_count;
};

struct starter_message {
	uint32_t magic;
	uint32_t kind;
	uint64_t id;
	int32_t pid, code, value;
	char text[STARTER_PATH_MAX];
};

/* Serves one daemon at the other end of `fd` until that is closed; then what has not begun yet is
 * ended, and the rest is left to itself. Does not return. */
void starter_serve(int fd) __attribute__((noreturn));
/* For a unit: accepts daemons on the listening socket that the service manager has passed
 * (sd_listen_fds(3)), each with a process of its own. Returns an exit status. */
int starter_listen(void);

#endif
