/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A ring of events.
 */
#include "cluster/group/queue.h"

#include <errno.h>
#include <stdlib.h>

int group_queue_reserve(struct group_queue *queue, size_t room)
{
	struct arbiter_event *events;

	if (room <= queue->size)
		return 0;
	events = calloc(room, sizeof(*events));
	if (!events)
		return -ENOMEM;
	for (size_t k = 0; k < queue->count; k++)
		events[k] = queue->events[(queue->head + k) % queue->size];
	free(queue->events);
	queue->events = events;
	queue->size = room;
	queue->head = 0;
	return 0;
}

int group_queue_put(struct group_queue *queue, const struct arbiter_event *event)
{
	if (queue->count == queue->size &&
	    group_queue_reserve(queue, queue->size ? 2 * queue->size : 16))
		return -ENOMEM;
	queue->events[(queue->head + queue->count++) % queue->size] = *event;
	return 0;
}

bool group_queue_take(struct group_queue *queue, struct arbiter_event *event)
{
	if (queue->count == 0)
		return false;
	*event = queue->events[queue->head];
	queue->head = (queue->head + 1) % queue->size;
	queue->count--;
	return true;
}

void group_queue_free(struct group_queue *queue)
{
	free(queue->events);
	*queue = (struct group_queue){0};
}
