/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A rig's folder, its lock, and rig.json, which tells later commands what was made. It is written
 * before and after every step that makes something, so that `rig down` finds it all after a crash.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/rig/kind.h"

int rig_fail(struct rig *rig, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(rig->message, sizeof(rig->message), format, arguments);
	va_end(arguments);
	return error < 0 ? error : -error;
}

void rig_say(const struct rig *rig, const char *format, ...)
{
	uint64_t since_ms = rig_wall_ms() - rig->created_ms;
	va_list arguments;

	if (!rig->talks)
		return;
	fprintf(stderr, "%4llu.%llu s  ", (unsigned long long)since_ms / 1000,
		(unsigned long long)since_ms % 1000 / 100);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

bool rig_name_is_good(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length && !name[length] && length < 16 && name[0] != '-';
}

const char *rig_path(const struct rig *rig, char buffer[RIG_PATH_MAX], const char *format, ...)
{
	size_t used = strlen(rig->folder);
	va_list arguments;

	memcpy(buffer, rig->folder, used);
	buffer[used++] = '/';
	va_start(arguments, format);
	vsnprintf(buffer + used, RIG_PATH_MAX - used, format, arguments);
	va_end(arguments);
	return buffer;
}

int rig_write_file(struct rig *rig, const char *path, const char *text)
{
	char temporary[RIG_PATH_MAX + 8];
	size_t length = strlen(text);
	int fd;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return rig_fail(rig, errno, "cannot write %s: %s", temporary, strerror(errno));
	if (write(fd, text, length) != (ssize_t)length || close(fd) < 0 ||
	    rename(temporary, path) < 0)
		return rig_fail(rig, errno ? errno : EIO, "cannot write %s: %s", path,
				strerror(errno));
	return 0;
}

char *rig_read_file(const char *path, size_t *length)
{
	size_t size = 65536, used = 0;
	char *text = malloc(size), *more;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	while (text && fd >= 0) {
		got = read(fd, text + used, size - used - 1);
		if (got <= 0)
			break;
		used += (size_t)got;
		if (size - used > 1)
			continue;
		size *= 2;
		more = realloc(text, size);
		if (!more)
			free(text);
		text = more;
	}
	if (fd < 0) {
		free(text);
		return NULL;
	}
	close(fd);
	if (text)
		text[used] = 0;
	if (length)
		*length = used;
	return text;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* Never leaves the folder's own file system: what might still be mounted below it is not ours to
 * empty. */
int rig_remove_tree(const char *path)
{
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

struct rig_node *rig_find_node(struct rig *rig, const char *name)
{
	for (size_t i = 0; i < rig->node_count; i++)
		if (!strcmp(rig->nodes[i].machine.name, name))
			return &rig->nodes[i];
	return NULL;
}

static json_t *process_json(const struct rig_process *process)
{
	return json_pack("{sIsI}", "pid", (json_int_t)process->pid, "start_time",
			 (json_int_t)process->start_time);
}

static json_t *machine_json(const struct rig_machine *machine)
{
	return json_pack("{sssIsosbs[bb]s[bb]}", "name", machine->name, "number",
			 (json_int_t)machine->number, "init", process_json(&machine->init),
			 "frozen", machine->frozen, "cut", machine->cut[0], machine->cut[1],
			 "unlinked", machine->unlinked[0], machine->unlinked[1]);
}

static json_t *state_json(const struct rig *rig)
{
	json_t *nodes = json_array(), *loops = json_array();

	for (size_t i = 0; i < rig->node_count; i++)
		json_array_append_new(
			nodes, json_pack("{soso}", "machine", machine_json(&rig->nodes[i].machine),
					 "daemon", process_json(&rig->nodes[i].daemon)));
	for (size_t i = 0; i < rig->loop_count; i++)
		json_array_append_new(loops, json_pack("{sIsI}", "number",
						       (json_int_t)rig->loops[i].number, "sequence",
						       (json_int_t)rig->loops[i].sequence));
	return json_pack("{sssssssssbsbsbsIsIsIsIsIsososososbsoso}", "name", rig->name, "kind",
			 rig->kind->name, "cluster", rig->cluster, "first_lun", rig->first_lun,
			 "complete", rig->complete, "daemons", rig->daemons, "user_initiator",
			 rig->user_initiator, "created_ms", (json_int_t)rig->created_ms, "lun_size",
			 (json_int_t)rig->lun_size, "lun_count", (json_int_t)rig->lun_count,
			 "io_threads", (json_int_t)rig->io_threads, "memory_mb",
			 (json_int_t)rig->memory_mb, "san", machine_json(&rig->san), "target",
			 process_json(&rig->target), "slow", process_json(&rig->slow), "witness",
			 process_json(&rig->witness), "target_stalled", rig->target_stalled,
			 "nodes", nodes, "loops", loops);
}

int rig_save(struct rig *rig)
{
	char path[RIG_PATH_MAX], *text;
	json_t *state = state_json(rig);
	int error;

	text = state ? json_dumps(state, JSON_INDENT(1)) : NULL;
	json_decref(state);
	if (!text)
		return rig_fail(rig, ENOMEM, "out of memory");
	error = rig_write_file(rig, rig_path(rig, path, "rig.json"), text);
	free(text);
	return error;
}

static uint64_t get_number(const json_t *object, const char *name)
{
	json_int_t value = json_integer_value(json_object_get(object, name));

	return value < 0 ? 0 : (uint64_t)value;
}

static void get_text(const json_t *object, const char *name, char *buffer, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));

	snprintf(buffer, size, "%s", text ? text : "");
}

static void get_process(const json_t *object, const char *name, struct rig_process *process)
{
	const json_t *item = json_object_get(object, name);

	process->pid = (pid_t)get_number(item, "pid");
	process->start_time = get_number(item, "start_time");
}

static void get_machine(const json_t *object, const char *name, struct rig_machine *machine)
{
	const json_t *item = json_object_get(object, name), *cut = json_object_get(item, "cut");

	get_text(item, "name", machine->name, sizeof(machine->name));
	machine->number = (unsigned)get_number(item, "number");
	get_process(item, "init", &machine->init);
	machine->frozen = json_is_true(json_object_get(item, "frozen"));
	for (size_t i = 0; i < RIG_NETWORKS; i++) {
		machine->cut[i] = json_is_true(json_array_get(cut, i));
		machine->unlinked[i] =
			json_is_true(json_array_get(json_object_get(item, "unlinked"), i));
	}
}

static int state_load(struct rig *rig)
{
	char path[RIG_PATH_MAX], kind[RIG_NAME_MAX];
	json_t *state = json_load_file(rig_path(rig, path, "rig.json"), 0, NULL), *item;
	size_t i;

	if (!state)
		return rig_fail(rig, ENOENT,
				"rig %s was never made to its end; `lunkeeper rig down --name %s` "
				"takes the rest away",
				rig->name, rig->name);
	get_text(state, "kind", kind, sizeof(kind));
	if (rig_kind_find(kind))
		rig->kind = rig_kind_find(kind);
	get_text(state, "cluster", rig->cluster, sizeof(rig->cluster));
	get_text(state, "first_lun", rig->first_lun, sizeof(rig->first_lun));
	rig->complete = json_is_true(json_object_get(state, "complete"));
	rig->daemons = json_is_true(json_object_get(state, "daemons"));
	rig->created_ms = get_number(state, "created_ms");
	rig->lun_size = get_number(state, "lun_size");
	rig->lun_count = (unsigned)get_number(state, "lun_count");
	rig->io_threads = (unsigned)get_number(state, "io_threads");
	rig->memory_mb = (unsigned)get_number(state, "memory_mb");
	get_machine(state, "san", &rig->san);
	get_process(state, "target", &rig->target);
	get_process(state, "slow", &rig->slow);
	get_process(state, "witness", &rig->witness);
	rig->user_initiator = json_is_true(json_object_get(state, "user_initiator"));
	rig->target_stalled = json_is_true(json_object_get(state, "target_stalled"));
	json_array_foreach(json_object_get(state, "nodes"), i, item)
	{
		if (i == RIG_NODES_MAX)
			break;
		get_machine(item, "machine", &rig->nodes[i].machine);
		get_process(item, "daemon", &rig->nodes[i].daemon);
		rig->node_count = i + 1;
	}
	json_array_foreach(json_object_get(state, "loops"), i, item)
	{
		if (i == RIG_LOOPS_MAX)
			break;
		rig->loops[i].number = (unsigned)get_number(item, "number");
		rig->loops[i].sequence = get_number(item, "sequence");
		rig->loop_count = i + 1;
	}
	json_decref(state);
	return 0;
}

size_t rig_list(char names[][RIG_NAME_MAX], size_t max)
{
	DIR *folder = opendir(RIG_ROOT);
	struct dirent *entry;
	size_t count = 0;

	while (folder && count < max && (entry = readdir(folder)))
		if (rig_name_is_good(entry->d_name))
			snprintf(names[count++], RIG_NAME_MAX, "%.*s", RIG_NAME_MAX - 1,
				 entry->d_name);
	if (folder)
		closedir(folder);
	return count;
}

static int rig_name(struct rig *rig, const char *name)
{
	char names[64][RIG_NAME_MAX];
	size_t count;

	memset(rig, 0, sizeof(*rig));
	rig->lock = -1;
	rig->kind = &rig_kind_netns;
	if (!name || !*name) {
		count = rig_list(names, 64);
		if (!count)
			return rig_fail(rig, ENOENT,
					"there is no rig; `lunkeeper rig up` makes one");
		name = names[0];
		for (size_t i = 0; i < count && count > 1; i++)
			if (!strcmp(names[i], RIG_NAME_DEFAULT))
				name = names[i];
		if (count > 1 && strcmp(name, RIG_NAME_DEFAULT))
			return rig_fail(rig, EINVAL,
					"there is more than one rig (%s, %s%s); say "
					"which with --name",
					names[0], names[1], count > 2 ? ", ..." : "");
	}
	if (!rig_name_is_good(name))
		return rig_fail(rig, EINVAL,
				"'%s' cannot name a rig: 1 to 15 of a-z, 0-9 and '-' are expected",
				name);
	snprintf(rig->name, sizeof(rig->name), "%s", name);
	snprintf(rig->folder, sizeof(rig->folder), "%s/%s", RIG_ROOT, name);
	return 0;
}

static int rig_lock(struct rig *rig)
{
	char path[RIG_PATH_MAX];

	rig->lock = open(rig_path(rig, path, "lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (rig->lock < 0)
		return rig_fail(rig, errno, errno == ENOENT ? "there is no rig %s" : "rig %s: %m",
				rig->name);
	while (flock(rig->lock, LOCK_EX) < 0)
		if (errno != EINTR)
			return rig_fail(rig, errno, "cannot lock rig %s: %s", rig->name,
					strerror(errno));
	return 0;
}

int rig_open(struct rig *rig, const char *name)
{
	int error = rig_name(rig, name);

	if (!error)
		error = rig_lock(rig);
	if (!error)
		error = state_load(rig);
	if (error)
		rig_close(rig);
	return error;
}

int rig_open_reading(struct rig *rig, const char *name)
{
	int error = rig_name(rig, name);

	if (!error && access(rig->folder, F_OK) < 0)
		return rig_fail(rig, errno, "there is no rig %s", rig->name);
	return error ? error : state_load(rig);
}

int rig_create(struct rig *rig, const char *name, const struct rig_kind *kind)
{
	int error = rig_name(rig, name);

	if (error)
		return error;
	if (mkdir(RIG_ROOT, 0755) < 0 && errno != EEXIST)
		return rig_fail(rig, errno, "cannot make %s: %s", RIG_ROOT, strerror(errno));
	if (mkdir(rig->folder, 0755) < 0) {
		if (errno == EEXIST)
			return rig_fail(rig, EEXIST,
					"there is a rig %s already; `lunkeeper rig down --name %s` "
					"takes it away",
					rig->name, rig->name);
		return rig_fail(rig, errno, "cannot make %s: %s", rig->folder, strerror(errno));
	}
	rig->kind = kind;
	rig->created_ms = rig_wall_ms();
	error = rig_lock(rig);
	return error ? error : rig_save(rig);
}

void rig_close(struct rig *rig)
{
	if (rig->lock >= 0)
		close(rig->lock);
	rig->lock = -1;
}
