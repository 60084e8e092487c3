/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A node of the rig: its own file system view (/run, /dev/shm, /etc/lunkeeper, /var/lib/lunkeeper,
 * /etc/hosts, the initiator's name; the rest is this machine's), its network, and lunkeeperd. Its
 * "disk" is a folder of the rig's that survives a power cut; /run does not.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rig/netns/netns.h"

#define ORIGINALS "/run/.machine" /* where a machine finds what it has covered */

static int node_say(char *message, size_t size, const char *what, const char *path)
{
	int error = errno;

	snprintf(message, size, "cannot %s %s: %s", what, path, strerror(error));
	return -1;
}

static int node_mount_fresh(const char *path, const char *kind, const char *options, char *message,
			    size_t size)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return node_say(message, size, "make", path);
	if (mount(kind, path, kind, 0, options) < 0)
		return node_say(message, size, "mount", path);
	return 0;
}

static int node_bind(const char *from, const char *to, char *message, size_t size)
{
	if (mkdir(to, 0755) < 0 && errno != EEXIST)
		return node_say(message, size, "make", to);
	if (mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0)
		return node_say(message, size, "bind", to);
	return 0;
}

/* Covers a folder by one that is empty but for links to everything in the original, so that single
 * entries can be the machine's own. */
static int node_cover(const char *path, const char *name, char *message, size_t size)
{
	char original[RIG_PATH_MAX], from[RIG_PATH_MAX * 3], to[RIG_PATH_MAX * 3];
	struct dirent *entry;
	DIR *folder;

	snprintf(original, sizeof(original), "%s/%s", ORIGINALS, name);
	if (node_bind(path, original, message, size) ||
	    node_mount_fresh(path, "tmpfs", "mode=755,size=16m", message, size))
		return -1;
	folder = opendir(original);
	if (!folder)
		return node_say(message, size, "read", path);
	while ((entry = readdir(folder))) {
		char link[RIG_PATH_MAX * 2];
		ssize_t got;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(from, sizeof(from), "%s/%s", original, entry->d_name);
		snprintf(to, sizeof(to), "%s/%s", path, entry->d_name);
		got = readlink(from, link, sizeof(link) - 1);
		link[got > 0 ? got : 0] = 0;
		if (symlink(got > 0 ? link : from, to) < 0) {
			closedir(folder);
			return node_say(message, size, "link", to);
		}
	}
	closedir(folder);
	return 0;
}

static int node_own_file(const char *path, const char *text, char *message, size_t size)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return node_say(message, size, "write", path);
	close(fd);
	return 0;
}

/* /run is new at every boot; in it the rig's folder at the path that it has outside. */
static int node_make_run(struct rig *rig, struct rig_machine *machine, char *message, size_t size)
{
	char self[64], path[RIG_PATH_MAX];
	int folder = open(rig->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)machine;
	if (folder < 0)
		return node_say(message, size, "open", rig->folder);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", folder);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return node_say(message, size, "make private", "/");
	if (node_mount_fresh("/run", "tmpfs", "mode=755", message, size) ||
	    mkdir("/run/lock", 01777) < 0 || mkdir(ORIGINALS, 0755) < 0 ||
	    mkdir(RIG_ROOT, 0755) < 0 || node_bind(self, rig->folder, message, size) ||
	    node_mount_fresh("/dev/shm", "tmpfs", "mode=1777", message, size) ||
	    node_mount_fresh("/proc", "proc", NULL, message, size)) {
		if (!message[0])
			node_say(message, size, "make", "/run");
		close(folder);
		return -1;
	}
	close(folder);
	if (machine->number == 0)
		return 0;
	/* What a daemon leaves in its run folder is of no use after a reboot. */
	rig_remove_tree(rig_path(rig, path, "%s/run", machine->name));
	mkdir(path, 0755);
	return node_bind(path, "/run/lunkeeper", message, size);
}

static int node_make_etc(struct rig *rig, struct rig_machine *machine, char *message, size_t size)
{
	char text[4096], path[RIG_PATH_MAX], address[16];
	uint64_t hash = 1469598103934665603u;
	int used = snprintf(text, sizeof(text), "127.0.0.1 localhost\n%s san\n",
			    rig_net_address(0, 0, address));

	for (size_t i = 0; i < rig->node_count; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used, "%s %s\n",
				 rig_net_address(rig->nodes[i].machine.number, 0, address),
				 rig->nodes[i].machine.name);
	if (node_cover("/etc", "etc", message, size) ||
	    node_own_file("/etc/hosts", text, message, size))
		return -1;
	snprintf(text, sizeof(text), "%s\n", machine->name);
	if (node_own_file("/etc/hostname", text, message, size))
		return -1;
	/* FNV-1a: the same at every boot, another one on every node. */
	snprintf(text, sizeof(text), "%s/%s", rig->name, machine->name);
	for (const char *at = text; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 1099511628211u;
	snprintf(text, sizeof(text), "%016llx%016llx\n", (unsigned long long)hash,
		 (unsigned long long)~hash);
	if (node_own_file("/etc/machine-id", text, message, size))
		return -1;
	unlink("/etc/iscsi");
	unlink("/etc/lunkeeper");
	if (mkdir("/etc/iscsi", 0755) < 0)
		return node_say(message, size, "make", "/etc/iscsi");
	snprintf(text, sizeof(text), "InitiatorName=%s\n", rig_initiator(rig, machine->name, path));
	if (node_own_file("/etc/iscsi/initiatorname.iscsi", text, message, size))
		return -1;
	return node_bind(rig_path(rig, path, "%s/etc", machine->name), "/etc/lunkeeper", message,
			 size);
}

int rig_node_setup(struct rig *rig, struct rig_machine *machine, char *message, size_t size)
{
	char path[RIG_PATH_MAX];

	if (node_make_run(rig, machine, message, size))
		return -1;
	if (machine->number == 0)
		return 0;
	if (node_make_etc(rig, machine, message, size) ||
	    node_cover("/var/lib", "lib", message, size))
		return -1;
	unlink("/var/lib/lunkeeper");
	return node_bind(rig_path(rig, path, "%s/state", machine->name), "/var/lib/lunkeeper",
			 message, size);
}

int netns_node_boot(struct rig *rig, struct rig_node *node)
{
	static const char *const folders[] = {"", "/etc", "/state", "/run"};
	char path[RIG_PATH_MAX];
	int error;

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(rig_path(rig, path, "%s%s", node->machine.name, folders[i]), 0755) < 0 &&
		    errno != EEXIST)
			return rig_fail(rig, errno, "cannot make %s: %s", path, strerror(errno));
	node->daemon = (struct rig_process){0};
	/* Its records of devices go with its run folder. */
	rig_loops_note(rig);
	error = rig_machine_boot(rig, &node->machine, rig_node_setup);
	if (!error)
		error = rig_net_plug(rig, &node->machine);
	if (!error && rig->daemons)
		error = rig_node_start_daemon(rig, node);
	return error;
}

int netns_node_kill(struct rig *rig, struct rig_node *node)
{
	int error;

	if (!rig_machine_runs(&node->machine))
		return rig_fail(rig, ESRCH, "%s is off", node->machine.name);
	rig_loops_note(rig);
	if (rig_machine_runs(&rig->san)) {
		error = rig_net_unplug(rig, &node->machine);
		if (error)
			return error;
	}
	rig->fault_ms = rig_now_ms();
	error = rig_machine_kill(rig, &node->machine);
	node->daemon = (struct rig_process){0};
	return error;
}

/* Afterwards, off the clock: what the dead node has left in this machine's kernel. */
int netns_node_clean(struct rig *rig)
{
	for (int i = 0; i < 50 && rig_loops_clear(rig); i++)
		rig_sleep_ms(20);
	return rig_save(rig);
}

int netns_daemon_start(struct rig *rig, struct rig_node *node)
{
	const char *argv[] = {"lunkeeperd", NULL};
	char log[RIG_PATH_MAX];

	rig_node_log(rig, node, log);
	return rig_machine_spawn(rig, &node->machine, argv, log, &node->daemon);
}

int netns_daemon_signal(struct rig *rig, struct rig_node *node, int number)
{
	if (rig_process_signal(&node->daemon, number))
		return rig_fail(rig, ESRCH, "lunkeeperd does not run on %s", node->machine.name);
	return 0;
}

char netns_daemon_state(struct rig *rig, struct rig_node *node, pid_t *pid)
{
	(void)rig;
	*pid = node->daemon.pid;
	return rig_process_state(&node->daemon);
}

/* The node's own view of its files, from outside. */
int netns_control_open(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
		       struct control_client **client)
{
	char path[64], message[300];
	int error;

	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)node->machine.init.pid,
		 CONTROL_PATH_DEFAULT);
	error = control_client_open(client, path, timeout_ms, message, sizeof(message));
	return error ? rig_fail(rig, -error, "%s: %s", node->machine.name, message) : 0;
}
