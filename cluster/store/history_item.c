/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A copy of one event, in one piece of memory: what waits in the history's queue, and what comes
 * back from its database.
 */
#include "cluster/store/history_private.h"

#include <stdlib.h>
#include <string.h>

static size_t item_text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *item_text(char **to, const char *text)
{
	char *copy = *to;

	if (!text)
		return NULL;
	memcpy(copy, text, strlen(text) + 1);
	*to += strlen(text) + 1;
	return copy;
}

struct history_item *history_item_copy(const struct history_event *event)
{
	size_t bytes = sizeof(struct history_item) + item_text_size(event->group) +
		       item_text_size(event->lun) + item_text_size(event->kind) +
		       item_text_size(event->rule) + item_text_size(event->text) +
		       item_text_size(event->node) + item_text_size(event->details);
	struct history_item *item = malloc(bytes);
	char *to;

	if (!item)
		return NULL;
	to = (char *)(item + 1);
	item->next = NULL;
	item->bytes = bytes;
	item->event = *event;
	item->event.group = item_text(&to, event->group);
	item->event.lun = item_text(&to, event->lun);
	item->event.kind = item_text(&to, event->kind);
	item->event.rule = item_text(&to, event->rule);
	item->event.text = item_text(&to, event->text);
	item->event.node = item_text(&to, event->node);
	item->event.details = item_text(&to, event->details);
	return item;
}

void history_items_free(struct history_item *items)
{
	while (items) {
		struct history_item *next = items->next;

		free(items);
		items = next;
	}
}
