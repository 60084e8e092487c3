/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See thread.h.
 */
#include "scsi/thread.h"

#include <sched.h>
#include <stdbool.h>
#include <unistd.h>

static bool is_real_time(int policy)
{
	return policy == SCHED_RR || policy == SCHED_FIFO;
}

static int policy_of(pid_t thread)
{
	int policy = sched_getscheduler(thread);

	return policy < 0 ? SCHED_OTHER : policy & ~SCHED_RESET_ON_FORK;
}

void thread_follow_main(void)
{
	int policy = policy_of(getpid());
	struct sched_param parameters;

	if (is_real_time(policy) && sched_getparam(getpid(), &parameters) == 0)
		sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &parameters);
}

void thread_async_send(uv_async_t *async)
{
	const struct sched_param none = {.sched_priority = 0};
	int before = policy_of(0);

	if (is_real_time(before)) {
		uv_async_send(async);
		return;
	}
	thread_follow_main();
	uv_async_send(async);
	if (is_real_time(policy_of(0)))
		sched_setscheduler(0, before, &none);
}
