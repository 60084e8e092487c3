/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A loop of real-time priority and a thread that tells it something, both on one processor: the
 * loop must not wait for the sender longer than the sending takes.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "scsi/thread.h"
#include "tests/unit/unit.h"

#define MESSAGES 200

static uv_loop_t loop;
static uv_async_t async;
static uv_sem_t answered;
static unsigned arrived;
static uint64_t slowest_ns;
static uint64_t sent_at_ns;

static void on_async(uv_async_t *handle)
{
	uint64_t took = uv_hrtime() - sent_at_ns;

	if (took > slowest_ns)
		slowest_ns = took;
	if (++arrived == MESSAGES)
		uv_close((uv_handle_t *)handle, NULL);
	uv_sem_post(&answered);
}

static void *send_all(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < MESSAGES; i++) {
		sent_at_ns = uv_hrtime();
		thread_async_send(&async);
		uv_sem_wait(&answered);
	}
	return NULL;
}

static void test_one_processor(void)
{
	struct sched_param real_time = {.sched_priority = 5}, none = {.sched_priority = 0};
	cpu_set_t before, one;
	pthread_t thread;

	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &real_time)) {
		printf("no real-time priority here: nothing is tested\n");
		sched_setaffinity(0, sizeof(before), &before);
		return;
	}
	uv_loop_init(&loop);
	uv_async_init(&loop, &async, on_async);
	uv_sem_init(&answered, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, send_all, NULL), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	sched_setscheduler(0, SCHED_OTHER, &none);
	sched_setaffinity(0, sizeof(before), &before);
	CU_ASSERT_EQUAL(arrived, MESSAGES);
	CU_ASSERT(slowest_ns < 300000000); /* the throttling comes after 950 ms of spinning */
	uv_sem_destroy(&answered);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static CU_TestInfo tests[] = {
	{"a real-time loop on one processor", test_one_processor},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("thread", tests);
}
