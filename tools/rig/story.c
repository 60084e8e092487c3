/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Waiting for a rig's cluster, and timelines: see tools/rig/story.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/control/client.h"
#include "tools/rig/kind.h"
#include "tools/rig/story.h"

#define ASK_MS 2000u
#define EVENTS_LIMIT 1000
#define DUMP_EVENTS 40
#define DUMP_LINES 20

static void story_text(const json_t *object, const char *name, char *buffer, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));

	snprintf(buffer, size, "%s", text ? text : "");
}

void rig_group_look(struct rig *rig, struct rig_node *node, const char *group,
		    struct rig_group_view *view)
{
	json_t *request, *answer, *item;
	size_t i;

	memset(view, 0, sizeof(*view));
	if (node->machine.frozen)
		return;
	request = json_pack("{ssss}", "command", "status", "group", group);
	answer = rig_node_request(rig, node, request, ASK_MS * rig->kind->patience);
	json_decref(request);
	json_array_foreach(json_object_get(answer, "groups"), i, item)
	{
		const json_t *holder = json_object_get(item, "holder");

		if (strcmp(json_string_value(json_object_get(item, "name")), group))
			continue;
		view->known = true;
		story_text(item, "state", view->state, sizeof(view->state));
		story_text(item, "service", view->service, sizeof(view->service));
		story_text(item, "gate", view->gate, sizeof(view->gate));
		story_text(holder, "node", view->holder, sizeof(view->holder));
		view->look_age_ms = json_integer_value(json_object_get(item, "look_age_ms"));
	}
	json_decref(answer);
}

struct rig_node *rig_group_owner(struct rig *rig, const char *group)
{
	struct rig_node *owner = NULL;
	struct rig_group_view view;

	for (size_t i = 0; i < rig->node_count; i++) {
		if (!rig_machine_runs(&rig->nodes[i].machine))
			continue;
		rig_group_look(rig, &rig->nodes[i], group, &view);
		if (!view.known || strcmp(view.state, "owner"))
			continue;
		if (owner)
			return NULL;
		owner = &rig->nodes[i];
	}
	return owner;
}

static bool story_runs(struct rig *rig, struct rig_node *node, const char *group)
{
	struct rig_group_view view;

	if (!rig_machine_runs(&node->machine))
		return false;
	rig_group_look(rig, node, group, &view);
	return view.known && !strcmp(view.state, "owner") && !strcmp(view.service, "running");
}

int rig_wait_running(struct rig *rig, struct rig_node **node, const char *group,
		     unsigned timeout_ms)
{
	uint64_t end = rig_now_ms() + timeout_ms;

	for (;;) {
		for (size_t i = 0; i < rig->node_count; i++)
			if ((!*node || *node == &rig->nodes[i]) &&
			    story_runs(rig, &rig->nodes[i], group)) {
				*node = &rig->nodes[i];
				return 0;
			}
		if (rig_now_ms() > end)
			return rig_fail(rig, ETIMEDOUT, "%s does not run %s%s after %u s", group,
					*node ? "on " : "",
					*node ? (*node)->machine.name : "anywhere",
					timeout_ms / 1000);
		rig_sleep_ms(rig->kind->poll_ms);
	}
}

int rig_wait_state(struct rig *rig, struct rig_node *node, const char *group, const char *state,
		   unsigned timeout_ms)
{
	uint64_t end = rig_now_ms() + timeout_ms;
	struct rig_group_view view;

	for (;;) {
		rig_group_look(rig, node, group, &view);
		if (view.known && !strcmp(view.state, state))
			return 0;
		if (rig_now_ms() > end)
			return rig_fail(rig, ETIMEDOUT, "%s on %s is not %s after %u s, but %s",
					group, node->machine.name, state, timeout_ms / 1000,
					view.known ? view.state : "unknown");
		rig_sleep_ms(rig->kind->poll_ms);
	}
}

/* The line at `place` of the log, from 0. False: not there, or only in part. */
static bool story_acknowledged_at(int fd, off_t place, struct rig_acknowledged *found)
{
	char line[RIG_ACKNOWLEDGED_SIZE];

	found->any = pread(fd, line, sizeof(line), place * RIG_ACKNOWLEDGED_SIZE) ==
			     (ssize_t)sizeof(line) &&
		     rig_acknowledged_decode(&found->record, &found->mono_ms, line);
	return found->any;
}

static int story_open_log(const struct rig *rig, off_t *lines)
{
	char path[RIG_PATH_MAX];
	struct stat status;
	int fd = open(rig_path(rig, path, "shared/acknowledged"), O_RDONLY | O_CLOEXEC);

	*lines = 0;
	if (fd >= 0 && fstat(fd, &status) == 0)
		*lines = status.st_size / RIG_ACKNOWLEDGED_SIZE;
	return fd;
}

void rig_last_acknowledged(const struct rig *rig, struct rig_acknowledged *last)
{
	off_t lines;
	int fd = story_open_log(rig, &lines);

	memset(last, 0, sizeof(*last));
	if (fd < 0)
		return;
	while (lines > 0 && !story_acknowledged_at(fd, lines - 1, last))
		lines--;
	close(fd);
}

/* From the end back to the first of a later epoch than `after`: by now there may be many. */
static void story_find_change(const struct rig *rig, uint32_t after, struct rig_acknowledged *last,
			      struct rig_acknowledged *first)
{
	off_t lines;
	int fd = story_open_log(rig, &lines);

	memset(last, 0, sizeof(*last));
	for (off_t at = lines - 1; fd >= 0 && at >= 0; at--) {
		struct rig_acknowledged found;

		if (!story_acknowledged_at(fd, at, &found))
			continue;
		if (found.record.epoch <= after) {
			*last = found;
			break;
		}
		*first = found;
	}
	if (fd >= 0)
		close(fd);
}

int rig_wait_acknowledged(struct rig *rig, uint32_t after, unsigned timeout_ms,
			  struct rig_acknowledged *last, struct rig_acknowledged *first)
{
	uint64_t end = rig_now_ms() + timeout_ms;

	for (;;) {
		rig_last_acknowledged(rig, first);
		if (first->any && first->record.epoch > after)
			break;
		if (rig_now_ms() > end)
			return rig_fail(rig, ETIMEDOUT, "no write was acknowledged within %u s",
					timeout_ms / 1000);
		rig_sleep_ms(5);
	}
	story_find_change(rig, after, last, first);
	return 0;
}

/* Its times by this machine's clock. */
static void story_here(json_t *event, int64_t ahead_ms)
{
	json_t *time = json_object_get(event, "mono_ms");

	if (ahead_ms && time)
		json_integer_set(time, json_integer_value(time) + ahead_ms);
}

static json_t *story_events(struct rig *rig, struct rig_node *node, int64_t since_id, int limit)
{
	struct control_client *client;
	int64_t ahead_ms = rig_clock_ahead(rig, &node->machine);
	json_t *request, *line, *events;
	char message[300];
	int error = rig_node_connect(rig, node, ASK_MS * rig->kind->patience, &client);

	if (error)
		return NULL;
	events = json_array();
	request = json_pack("{sssIsi}", "command", "events", "since_id", (json_int_t)since_id,
			    "limit", limit);
	error = control_client_send(client, request, ASK_MS * rig->kind->patience, message,
				    sizeof(message));
	while (!error) {
		error = control_client_receive(client, &line, ASK_MS * rig->kind->patience, message,
					       sizeof(message));
		if (error)
			break;
		if (json_object_get(line, "end") || !json_object_get(line, "id")) {
			json_decref(line);
			break;
		}
		story_here(line, ahead_ms);
		json_array_append_new(events, line);
	}
	json_decref(request);
	control_client_close(client);
	return events;
}

json_t *rig_events(struct rig *rig, struct rig_node *node, int64_t since_id)
{
	return story_events(rig, node, since_id, EVENTS_LIMIT);
}

int64_t rig_last_event(struct rig *rig, struct rig_node *node)
{
	json_t *events = story_events(rig, node, -1, 1);
	size_t count = json_array_size(events);
	int64_t id = 0;

	if (count)
		id = json_integer_value(json_object_get(json_array_get(events, count - 1), "id"));
	json_decref(events);
	return id;
}

static void dump_events(struct rig *rig, struct rig_node *node, FILE *out)
{
	json_t *events = story_events(rig, node, -1, DUMP_EVENTS), *event;
	uint64_t now = rig_now_ms();
	size_t i;

	json_array_foreach(events, i, event)
	{
		const char *kind = json_string_value(json_object_get(event, "kind"));
		const char *text = json_string_value(json_object_get(event, "text"));

		fprintf(out, "  %9.3f s ago  %-8s %s\n",
			(double)(now -
				 (uint64_t)json_integer_value(json_object_get(event, "mono_ms"))) /
				1000,
			kind ? kind : "", text ? text : "");
	}
	json_decref(events);
}

static void dump_log(const char *path, FILE *out)
{
	char *text = rig_read_file(path, NULL), *at = text ? text + strlen(text) : NULL;

	for (int lines = 0; at && at > text && lines < DUMP_LINES; at--)
		lines += at[-1] == '\n' && at[0];
	fprintf(out, "%s\n", at ? at : "(nothing)");
	free(text);
}

void rig_dump(struct rig *rig, FILE *out)
{
	char path[RIG_PATH_MAX];

	for (size_t i = 0; i < rig->node_count; i++) {
		struct rig_node *node = &rig->nodes[i];
		const struct rig_machine *machine = &node->machine;
		char state = rig_daemon_state(rig, node, NULL);

		fprintf(out, "--- %s: %s%s%s, daemon state '%c'\n", machine->name,
			rig_machine_runs(machine) ? "on" : "off", machine->frozen ? ", frozen" : "",
			machine->cut[0] || machine->cut[1] ? ", cut" : "", state ? state : '-');
		if (rig_machine_runs(machine) && !machine->frozen)
			dump_events(rig, node, out);
		fprintf(out, "--- %s: end of lunkeeperd's log\n", machine->name);
		dump_log(rig_node_log(rig, node, path), out);
	}
}
