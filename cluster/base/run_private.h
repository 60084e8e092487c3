/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside run: the link to the starter (run_link.c), over which run.c asks. There is one.
 */
#ifndef CLUSTER_BASE_RUN_PRIVATE_H
#define CLUSTER_BASE_RUN_PRIVATE_H

#include "cluster/base/run.h"
#include "cluster/base/starter.h"

/* The socket; 0: there is none. */
int link_fd(void);
/* The starter, if it is a child of this process; else 0. */
pid_t link_pid(void);
/* Ends the starter with the link: what was asked of it and not answered is not carried out. */
void link_close(void);
/* fd: goes with it; -1: none. 0; -EAGAIN: later; else the link is broken. */
int link_send(const void *data, size_t length, int fd);
/* 1: a message, with the descriptor that came with it (the caller's now), or -1; 0: none now; -1: the
 * link is broken. */
int link_receive(struct starter_message *message, int *fd);
/* To run_on_trouble()'s. */
void link_say(const char *message);

#endif
