/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Events for an arbiter that is in the middle of a step. Room is taken before it is needed, because
 * an event that is lost is never made good: the arbiter would wait for its answer for ever.
 */
#ifndef CLUSTER_GROUP_QUEUE_H
#define CLUSTER_GROUP_QUEUE_H

#include "cluster/core/arbiter.h"

/* All 0: empty. */
struct group_queue {
	struct arbiter_event *events;
	size_t size, head, count;
};

/* Room for so many events at once. 0 or -ENOMEM, with everything as it was. */
int group_queue_reserve(struct group_queue *queue, size_t room);
/* Takes a copy. 0, or -ENOMEM when it is full and cannot grow: the event is not in it. */
int group_queue_put(struct group_queue *queue, const struct arbiter_event *event);
/* The oldest; false: it is empty. */
bool group_queue_take(struct group_queue *queue, struct arbiter_event *event);
void group_queue_free(struct group_queue *queue);

#endif
