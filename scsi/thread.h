/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads that answer a loop of real-time priority. uv_async_send() has a moment in which the loop
 * waits for the sender by sched_yield(); a sender of lower priority that was preempted in that
 * moment never gets its turn, on one processor every time, and the loop spins until the kernel's
 * real-time throttling ends it.
 */
#ifndef SCSI_THREAD_H
#define SCSI_THREAD_H

#include <uv.h>

/* Gives the calling thread the scheduling of the process's main thread, if that is real-time;
 * threads do not inherit it, because processes that are started must not. */
void thread_follow_main(void);
/* uv_async_send(), with the main thread's priority as long as it lasts. */
void thread_async_send(uv_async_t *async);

#endif
