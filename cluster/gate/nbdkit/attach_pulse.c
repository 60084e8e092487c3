/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether a FUSE server answers: a question that it has to answer itself, without its storage. One
 * that hangs answers none, and whoever asked would hang with it, for as long as the server lives: so
 * a thread asks that nobody waits for, neither the loop nor its workers.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cluster/gate/nbdkit/attach_private.h"

#define STACK_SIZE (64u * 1024)

struct attach_pulse {
	atomic_int holders; /* who asked, and the thread */
	atomic_bool over;
	char path[ATTACH_PATH_MAX + 16];
};

void attach_pulse_free(struct attach_pulse *pulse)
{
	if (pulse && atomic_fetch_sub(&pulse->holders, 1) == 1)
		free(pulse);
}

static void *pulse_main(void *argument)
{
	struct attach_pulse *pulse = argument;
	struct statx status;

	/* Not what the kernel remembers of it. Whatever the answer, it is one. */
	statx(AT_FDCWD, pulse->path, AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, STATX_SIZE,
	      &status);
	atomic_store(&pulse->over, true);
	attach_pulse_free(pulse);
	return NULL;
}

struct attach_pulse *attach_pulse_begin(const char *path)
{
	struct attach_pulse *pulse = calloc(1, sizeof(*pulse));
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	bool started;

	if (!pulse)
		return NULL;
	snprintf(pulse->path, sizeof(pulse->path), "%s", path);
	atomic_init(&pulse->holders, 2);
	sigfillset(&all); /* the daemon's signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	started = pthread_create(&thread, &attributes, pulse_main, pulse) == 0;
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started)
		return pulse;
	free(pulse);
	return NULL;
}

bool attach_pulse_is_over(const struct attach_pulse *pulse)
{
	return atomic_load(&pulse->over);
}
