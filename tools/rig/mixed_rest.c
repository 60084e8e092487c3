/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mending a rig, and what must not be left of faults, see tools/rig/mixed_rest.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rig/faults.h"
#include "tools/rig/mixed_rest.h"
#include "tools/rig/record.h"
#include "tools/rig/story.h"

#define POLL_MS 100
#define ASK_MS 5000

/* Counted on a node, by itself. */
#define COUNTS                                                                                     \
	"echo $(grep -c ' /run/mail ' /proc/mounts) $(grep -c '/attach/' /proc/mounts) "           \
	"$(pgrep -c -x nbdkit) $(pgrep -c -x nbdfuse) $(pgrep -c -f '[w]riter --file') "           \
	"$(grep -c '^" FAULTS_MOUNT " ' /proc/mounts)"

static const char *const counted[] = {"file system of the service",
				      "device's mount",
				      "gate's process",
				      "device's helper",
				      "writer",
				      "mount over the state folder"};

#define COUNTED (sizeof(counted) / sizeof(counted[0]))

static int fault(struct rig *rig, const char *name, struct rig_node *node, const char *argument)
{
	char *argv[] = {(char *)name, node ? node->machine.name : (char *)argument,
			(char *)argument, NULL};
	char told[200];

	return rig_fault(rig, 1 + (node != NULL) + (argument != NULL), argv, told, sizeof(told));
}

static bool is_cut(const struct rig_machine *machine)
{
	return machine->cut[0] || machine->cut[1];
}

static int mend_node(struct rig *rig, struct rig_node *node)
{
	int error = 0;

	if (!rig_machine_runs(&node->machine))
		return fault(rig, "revive", node, NULL);
	if (node->machine.frozen)
		error = fault(rig, "cont", node, NULL);
	if (!error && is_cut(&node->machine))
		error = fault(rig, "heal", node, NULL);
	if (!error)
		error = fault(rig, "state", node, "mend");
	if (!error && rig_daemon_state(rig, node, NULL) == 'T')
		error = fault(rig, "cont-daemon", node, NULL);
	if (!error && !rig_daemon_lives(rig, node))
		error = fault(rig, "start-daemon", node, NULL);
	if (!error) { /* there may be none */
		fault(rig, "cont-gate", node, NULL);
		fault(rig, "cont-helper", node, NULL);
	}
	return error;
}

int mixed_mend(struct rig *rig)
{
	int error = 0;

	if (rig->target_stalled)
		error = fault(rig, "resume-target", NULL, NULL);
	if (!error && !rig_process_lives(&rig->target))
		error = fault(rig, "start-target", NULL, NULL);
	if (!error && rig_process_lives(&rig->slow))
		error = rig_target_slow(rig, 0);
	for (size_t i = 0; i < rig->node_count && !error; i++)
		error = mend_node(rig, &rig->nodes[i]);
	return error;
}

/* False, with what is too much or too little in rig->message. */
static bool node_rests(struct rig *rig, struct rig_node *node, bool owns)
{
	const unsigned expected[COUNTED] = {owns, owns, 1, owns, owns, 0};
	const char *argv[] = {"sh", "-c", COUNTS, NULL};
	unsigned found[COUNTED];
	char said[200] = "";
	size_t loops;

	if (rig_machine_run(rig, &node->machine, RIG_ENTER_ALL, argv, NULL, said, sizeof(said)) ||
	    sscanf(said, "%u %u %u %u %u %u", &found[0], &found[1], &found[2], &found[3], &found[4],
		   &found[5]) != (int)COUNTED) {
		rig_fail(rig, EIO, "%s does not say what runs on it: %s", node->machine.name, said);
		return false;
	}
	for (size_t i = 0; i < COUNTED; i++) {
		if (found[i] == expected[i])
			continue;
		rig_fail(rig, EIO, "%s, which %s, has %u times: %s", node->machine.name,
			 owns ? "serves" : "stands by", found[i], counted[i]);
		return false;
	}
	loops = rig_loops_attached(rig, node->machine.name);
	if (loops == (size_t)owns)
		return true;
	rig_fail(rig, EIO, "%s, which %s, has %zu loop devices", node->machine.name,
		 owns ? "serves" : "stands by", loops);
	return false;
}

/* The owner's alone. A standby's is there for a moment, when it asks. */
static bool registrations_rest(struct rig *rig, struct rig_node *owner, const char *group)
{
	json_t *status = rig_node_ask(rig, owner, "status", ASK_MS), *one, *lun;
	size_t i, k;
	bool good = false;

	json_array_foreach(json_object_get(status, "groups"), i, one)
	{
		if (strcmp(json_string_value(json_object_get(one, "name")), group) != 0)
			continue;
		good = true;
		json_array_foreach(json_object_get(one, "luns"), k, lun)
		{
			const json_t *keys = json_object_get(lun, "keys");

			good = good && json_array_size(keys) == 1 &&
			       json_is_true(json_object_get(json_array_get(keys, 0), "self"));
		}
	}
	json_decref(status);
	if (!good)
		rig_fail(rig, EIO, "registrations are left beside that of %s", owner->machine.name);
	return good;
}

static bool all_rest(struct rig *rig, const char *group, struct rig_node **owner)
{
	struct rig_group_view view;

	*owner = rig_group_owner(rig, group);
	if (!*owner) {
		rig_fail(rig, EIO, "no node, or more than one, owns %s", group);
		return false;
	}
	for (size_t i = 0; i < rig->node_count; i++) {
		struct rig_node *node = &rig->nodes[i];
		bool owns = node == *owner;

		rig_group_look(rig, node, group, &view);
		if (!view.known || strcmp(view.service, owns ? "running" : "stopped") != 0 ||
		    (!owns && strcmp(view.state, "standby") != 0 &&
		     strcmp(view.state, "challenging") != 0)) {
			rig_fail(rig, EIO, "%s is %s, its service %s", node->machine.name,
				 view.known ? view.state : "silent", view.service);
			return false;
		}
		if (!node_rests(rig, node, owns))
			return false;
	}
	return registrations_rest(rig, *owner, group);
}

int mixed_rest(struct rig *rig, const char *group, struct rig_node **owner, unsigned timeout_ms)
{
	uint64_t end = rig_now_ms() + timeout_ms;

	while (!all_rest(rig, group, owner)) {
		if (rig_now_ms() > end)
			return -ETIMEDOUT; /* the message says what is left */
		rig_sleep_ms(POLL_MS);
	}
	return 0;
}

unsigned mixed_longest_gap(const struct rig *rig, uint64_t since_ms)
{
	char path[RIG_PATH_MAX], line[RIG_ACKNOWLEDGED_SIZE];
	int fd = open(rig_path(rig, path, "shared/acknowledged"), O_RDONLY | O_CLOEXEC);
	uint64_t later = 0, longest = 0;
	struct rig_record record;
	struct stat status;
	uint64_t mono_ms;
	off_t at;

	if (fd < 0 || fstat(fd, &status) < 0)
		status.st_size = 0;
	at = status.st_size / RIG_ACKNOWLEDGED_SIZE;
	while (at-- > 0) {
		if (pread(fd, line, sizeof(line), at * RIG_ACKNOWLEDGED_SIZE) !=
			    (ssize_t)sizeof(line) ||
		    !rig_acknowledged_decode(&record, &mono_ms, line))
			continue;
		if (later && later > mono_ms && later - mono_ms > longest)
			longest = later - mono_ms;
		later = mono_ms;
		if (mono_ms < since_ms)
			break;
	}
	if (fd >= 0)
		close(fd);
	return (unsigned)longest;
}
