/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `rig up` and `rig down`. Up goes forward step by step and leaves in rig.json what it made; down
 * needs none of that to be true: it ends what rig.json knows, then whatever is left in the rig's
 * control groups, detaches the nodes' loop devices, and removes the folder and what else may bear
 * its name.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rig/kind.h"

static const char *const up_names[] = {"jerry", "tom",     "spike",   "tyke",
				       "butch", "toodles", "quacker", "nibbles"};

static int up_add_node(struct rig *rig, const char *name, size_t length)
{
	struct rig_node *node = &rig->nodes[rig->node_count];
	char text[RIG_NAME_MAX];

	snprintf(text, sizeof(text), "%.*s", (int)length, name);
	if (length >= sizeof(text) || !rig_name_is_good(text) || !strcmp(text, "san"))
		return rig_fail(
			rig, EINVAL,
			"'%s' cannot name a node: 1 to 15 of a-z, 0-9 and '-' are expected, "
			"and 'san' is taken",
			text);
	if (rig_find_node(rig, text))
		return rig_fail(rig, EINVAL, "two nodes are named '%s'", text);
	if (rig->node_count == RIG_NODES_MAX)
		return rig_fail(rig, EINVAL, "a rig has at most %d nodes", RIG_NODES_MAX);
	rig->node_count++;
	snprintf(node->machine.name, sizeof(node->machine.name), "%s", text);
	node->machine.number = (unsigned)rig->node_count;
	return 0;
}

static int up_name_nodes(struct rig *rig, const struct rig_options *options)
{
	const char *at = options->names;
	int error = 0;

	while (at && *at && !error) {
		size_t length = strcspn(at, ",");

		error = up_add_node(rig, at, length);
		at += length + (at[length] == ',');
	}
	while (!error && rig->node_count < options->nodes) {
		size_t i = rig->node_count;
		char name[RIG_NAME_MAX];

		snprintf(name, sizeof(name), "node%zu", i + 1);
		error = i < sizeof(up_names) / sizeof(up_names[0])
				? up_add_node(rig, up_names[i], strlen(up_names[i]))
				: up_add_node(rig, name, strlen(name));
	}
	return error;
}

int rig_make_disks(struct rig *rig, const struct rig_options *options)
{
	char path[RIG_PATH_MAX];

	for (unsigned lun = 1; lun <= rig->lun_count; lun++) {
		int fd = open(rig_target_file(rig, lun, path),
			      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		if (fd < 0 || ftruncate(fd, (off_t)rig->lun_size) < 0)
			return rig_fail(rig, errno, "cannot make %s: %s", path, strerror(errno));
		close(fd);
	}
	if (options->file_system) {
		char program[64], output[1024];
		const char *argv[] = {program, "-q", path, NULL};

		snprintf(program, sizeof(program), "mkfs.%s", options->file_system);
		rig_target_file(rig, 1, path);
		if (rig_run(argv, NULL, output, sizeof(output)))
			return rig_fail(rig, EIO, "%s: %s", program, output);
	}
	return 0;
}

static int up_make_folders(struct rig *rig)
{
	char path[RIG_PATH_MAX];

	if (mkdir(rig_path(rig, path, "san"), 0755) < 0 ||
	    mkdir(rig_path(rig, path, "shared"), 0755) < 0)
		return rig_fail(rig, errno, "cannot make %s: %s", path, strerror(errno));
	for (size_t i = 0; i < rig->node_count; i++)
		if (mkdir(rig_path(rig, path, "%s", rig->nodes[i].machine.name), 0755) < 0 ||
		    mkdir(rig_path(rig, path, "%s/etc", rig->nodes[i].machine.name), 0755) < 0)
			return rig_fail(rig, errno, "cannot make %s: %s", path, strerror(errno));
	return 0;
}

static int up_steps(struct rig *rig, const struct rig_options *options)
{
	int error;

	snprintf(rig->cluster, sizeof(rig->cluster), "%s",
		 options->cluster ? options->cluster : rig->name);
	if (options->service && !strcmp(options->service, "builtin"))
		snprintf(rig->first_lun, sizeof(rig->first_lun), "mailstore");
	rig->lun_count = options->luns;
	rig->lun_size = options->size;
	rig->io_threads = options->io_threads;
	rig->daemons = !options->no_daemons;
	snprintf(rig->san.name, sizeof(rig->san.name), "san");
	error = up_name_nodes(rig, options);
	if (!error)
		error = up_make_folders(rig);
	if (!error)
		error = rig_write_configuration(rig, options);
	if (!error)
		error = rig->kind->up(rig, options);
	rig->complete = !error;
	return error ? error : rig_save(rig);
}

int rig_up(struct rig *rig, const struct rig_options *options)
{
	char message[sizeof(rig->message)], ignored[sizeof(rig->message)];
	int error;

	if (geteuid() != 0) {
		memset(rig, 0, sizeof(*rig));
		rig->lock = -1;
		return rig_fail(rig, EPERM, "making namespaces needs root: run it with sudo");
	}
	error = rig_create(rig, options->name, options->kind ? options->kind : &rig_kind_netns);
	if (error)
		return error;
	rig->talks = !options->quiet;
	error = rig->kind->check(rig, options);
	if (!error)
		error = up_steps(rig, options);
	if (error && !options->keep) {
		snprintf(message, sizeof(message), "%s", rig->message);
		rig_close(rig);
		rig_down(options->name, ignored, sizeof(ignored));
		snprintf(rig->message, sizeof(rig->message), "%s", message);
	}
	return error;
}

int rig_down(const char *name, char *message, size_t size)
{
	struct rig rig;
	int error = rig_open(&rig, name);
	bool known = !error;

	snprintf(message, size, "%s", rig.message);
	if (!rig.name[0] || (error && error != -ENOENT))
		return error;
	if (known)
		rig.kind->down(&rig);
	error = rig_cgroup_sweep(rig.name);
	if (error < 0) {
		rig_fuse_abort_all(&rig);
		error = rig_cgroup_sweep(rig.name);
	}
	if (!known && error == 0 && access(rig.folder, F_OK) < 0)
		return -ENOENT;
	if (error < 0) {
		snprintf(message, size,
			 "processes of rig %s do not end; `ps` shows them in state D", rig.name);
		rig_close(&rig);
		return error;
	}
	for (int i = 0; i < 100 && rig_loops_clear(&rig); i++)
		rig_sleep_ms(20);
	if (rig.loop_count) {
		snprintf(message, size,
			 "/dev/loop%u of rig %s cannot be detached: something uses it",
			 rig.loops[0].number, rig.name);
		rig_save(&rig);
		rig_close(&rig);
		return -EBUSY;
	}
	rig_kind_vm.sweep(&rig);
	error = access(rig.folder, F_OK) == 0 ? rig_remove_tree(rig.folder) : 0;
	rig_close(&rig);
	rmdir(RIG_ROOT);
	if (error)
		snprintf(message, size, "cannot remove %s: %s", rig.folder, strerror(-error));
	return error;
}
