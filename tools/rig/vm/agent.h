/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the rig and the agent in a virtual machine of it say to each other, over TCP in a network
 * that only they use. A connection is one job: the rig sends a line of JSON that says what to do,
 * the agent answers with a line of JSON ({"error": TEXT} if it cannot), and what follows depends on
 * the job.
 *
 *     {"do": "state"}
 *         -> {"boottime_ms": N, "daemon": {"pid": N, "state": "S"}}
 *     {"do": "connect", "path": "/run/lunkeeper/control"}
 *         -> {}, and from then on what that Unix socket says and hears
 *     {"do": "run", "argv": [...], "terminal": [ROWS, COLUMNS]}
 *         -> {}, and then frames: a letter, a length of four bytes (the highest first), and so many
 *         bytes. terminal may be left out.
 */
#ifndef TOOLS_RIG_VM_AGENT_H
#define TOOLS_RIG_VM_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AGENT_PORT 7077
#define AGENT_LINE_MAX (1u << 20) /* of a job; argv and what it may carry */
#define AGENT_FRAME_MAX 65536
#define AGENT_HEADER 5

/* Letters of frames. */
#define AGENT_INPUT 'i'  /* to the program's standard input; empty: its end */
#define AGENT_OUTPUT 'o' /* from it */
#define AGENT_ERRORS 'e'
#define AGENT_EXIT 'x' /* one byte: the exit status, or 128 + the signal; the last frame */

/* Blocking, for both sides. 0 or -errno. */
int agent_write_all(int fd, const void *data, size_t length);
int agent_write_frame(int fd, char letter, const void *data, size_t length);
/* A line without its end, into buffer, 0-ended; nothing behind it is read. Returns its length, 0 at
 * the end of the stream, -ENOBUFS, -ETIMEDOUT (timeout_ms 0: never), -errno. */
ssize_t agent_read_line(int fd, char *buffer, size_t size, unsigned timeout_ms);
/* The next frame; buffer has AGENT_FRAME_MAX bytes. Returns its length with its letter; -EPIPE at
 * the end, -EBADMSG, -errno. */
ssize_t agent_read_frame(int fd, char *letter, void *buffer);

/* The agent's side of one connection, from the job to its end. Runs in a process of its own. */
void agent_serve(int link);

#endif
