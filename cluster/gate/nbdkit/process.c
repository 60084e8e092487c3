/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A gate process's folder RUN/gate/GROUP/ and its start and end:
 *
 *     config   what it serves (cluster/gate/wire.h); always what the process now running was started with
 *     lock     locked by it as long as it lives; holds its process number
 *     control  the daemon's socket
 *     nbd      nbdkit's socket
 *     log      its standard error
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cluster/base/log.h"
#include "cluster/base/run.h"
#include "cluster/gate/nbdkit/private.h"
#include "cluster/config/isid.h"

#define FILE_SIZE_MAX (4u * 1024 * 1024)
#define LUN_TEXT_MAX 1200u
#define KILL_WAIT_MS 2000

#ifndef LUNKEEPER_LIBDIR
#define LUNKEEPER_LIBDIR "/usr/local/lib/lunkeeper"
#endif
#define GATE_USER "lunkeeper-gate"
#define PLUGIN_NAME "lunkeeper-gate.so"

static int message_errno(char *message, size_t size, const char *path, int error)
{
	snprintf(message, size, "%s: %s", path, strerror(error));
	return -error;
}

static bool name_good(const char *name)
{
	if (!*name || strlen(name) >= GATE_NAME_MAX || name[0] == '.')
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
	       strlen(name);
}

static int folder_make(const char *path, char *message, size_t size)
{
	struct stat status;
	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return message_errno(message, size, path, errno);
	if (lstat(path, &status) < 0)
		return message_errno(message, size, path, errno);
	if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 022)) {
		snprintf(message, size, "%s: not a folder of this user's alone", path);
		return -EPERM;
	}
	return 0;
}

/* Text of a small file, or NULL. */
static char *file_read(const char *path, size_t *length)
{
	/* Its folder is the gate's user's: who knows what stands there instead. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	char *text = NULL;
	ssize_t count;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_SIZE_MAX)
		text = malloc((size_t)status.st_size + 1);
	count = text ? read(fd, text, (size_t)status.st_size) : -1;
	close(fd);
	if (count < 0) {
		free(text);
		return NULL;
	}
	text[count] = '\0';
	*length = (size_t)count;
	return text;
}

static int qualifier_of(const char *config)
{
	size_t length;
	char *text = file_read(config, &length);
	char *at = text ? strstr(text, "qualifier=") : NULL;
	int value = at && (at == text || at[-1] == '\n') ? atoi(at + strlen("qualifier=")) : 0;
	free(text);
	return value > 0 && value <= (int)ISID_GATE_LAST ? value : 0;
}

static bool qualifier_taken(const struct gate *gate, const char *run_folder, int qualifier)
{
	char path[GATE_PATH_MAX + 300];
	bool taken = false;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/gate", run_folder);
	folder = opendir(path);
	for (struct dirent *entry; folder && !taken && (entry = readdir(folder));) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, gate->group) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/gate/%s/config", run_folder, entry->d_name);
		taken = qualifier_of(path) == qualifier;
	}
	if (folder)
		closedir(folder);
	return taken;
}

/* Two sessions with one ISID to one target push each other out, so each gate has its own; always
 * the same one, also behind a reboot, so that the target knows the nexus again. */
static uint16_t qualifier_choose(const struct gate *gate, const char *run_folder)
{
	int own = qualifier_of(gate->config);
	uint32_t span = ISID_GATE_LAST - ISID_GATE_FIRST + 1;
	uint32_t start = (uint32_t)(gate_wire_digest(gate->group, strlen(gate->group)) % span);
	if (own && !qualifier_taken(gate, run_folder, own))
		return (uint16_t)own;
	for (uint32_t i = 0; i < span; i++) {
		uint32_t qualifier = ISID_GATE_FIRST + (start + i) % span;
		if (!qualifier_taken(gate, run_folder, (int)qualifier))
			return (uint16_t)qualifier;
	}
	return ISID_GATE_FIRST;
}

/* The plugin as installed, or beside a daemon that runs from where it was built. */
static void plugin_find(char *path, size_t size)
{
	char program[PATH_MAX];
	const char *named = getenv("LUNKEEPER_GATE");
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (named) {
		snprintf(path, size, "%s", named);
		return;
	}
	if (length > 0) {
		char *slash;

		program[length] = '\0';
		slash = strrchr(program, '/');
		if (slash)
			*slash = '\0';
		snprintf(path, size, "%.300s/" PLUGIN_NAME, program);
		if (access(path, R_OK) == 0)
			return;
	}
	snprintf(path, size, LUNKEEPER_LIBDIR "/" PLUGIN_NAME);
}

static bool copy(char *to, size_t size, const char *from)
{
	size_t length = from ? strlen(from) : 0;
	if (length >= size)
		return false;
	memcpy(to, from ? from : "", length + 1);
	return true;
}

static int luns_fill(struct gate *gate, const struct gate_setup *setup, char *message, size_t size)
{
	for (size_t i = 0; i < setup->lun_count; i++) {
		const struct gate_lun_setup *from = &setup->luns[i];
		struct gate_lun_config *to = &gate->file.luns[i];
		if (!name_good(from->name) || !copy(to->name, sizeof(to->name), from->name) ||
		    !copy(to->url, sizeof(to->url), from->url) || !to->url[0] ||
		    !copy(to->wwid, sizeof(to->wwid), from->wwid)) {
			snprintf(message, size,
				 "gate of %s: the name, URL or wwid of LUN '%.100s' cannot be used",
				 gate->group, from->name);
			return -EINVAL;
		}
		to->header_digest = from->header_digest;
		to->data_digest = from->data_digest;
		to->zero_covered = from->zero_covered;
		to->trim_covered = from->trim_covered;
	}
	return 0;
}

static int names_fill(struct gate *gate, const struct gate_setup *setup, char *message, size_t size)
{
	struct gate_file *file = &gate->file;
	int length = snprintf(gate->folder, sizeof(gate->folder), "%s/gate/%s", setup->run_folder,
			      gate->group);
	if (length < 0 || (size_t)length + sizeof("/control") > GATE_SOCKET_MAX) {
		snprintf(message, size, "%s/control: too long for a socket's name (at most %d)",
			 gate->folder, GATE_SOCKET_MAX - 1);
		return -ENAMETOOLONG;
	}
	snprintf(gate->config, sizeof(gate->config), "%.300s/config", gate->folder);
	snprintf(gate->log, sizeof(gate->log), "%.300s/log", gate->folder);
	snprintf(file->group, sizeof(file->group), "%s", gate->group);
	snprintf(file->control, sizeof(file->control), "%.300s/control", gate->folder);
	snprintf(file->nbd, sizeof(file->nbd), "%.300s/nbd", gate->folder);
	snprintf(file->lock, sizeof(file->lock), "%.300s/lock", gate->folder);
	if (!copy(file->initiator_name, sizeof(file->initiator_name), setup->initiator_name) ||
	    !copy(file->secrets_file, sizeof(file->secrets_file), setup->secrets_file)) {
		snprintf(message, size,
			 "gate of %s: the initiator's or secrets file's name is too long",
			 gate->group);
		return -ENAMETOOLONG;
	}
	if (gate->own_user[0] && file->secrets_file[0]) {
		copy(gate->secrets, sizeof(gate->secrets), file->secrets_file);
		snprintf(file->secrets_file, sizeof(file->secrets_file), "%.300s/secrets",
			 gate->folder);
	}
	file->hold_limit_ms =
		setup->hold_limit_ms ? setup->hold_limit_ms : GATE_HOLD_LIMIT_DEFAULT_MS;
	file->give_up_ms = setup->give_up_ms ? setup->give_up_ms : GATE_GIVE_UP_DEFAULT_MS;
	return 0;
}

/* A file of the gate's user, which alone may read it. Nothing that stands in the folder is followed
 * or written to. */
static int file_write(const struct gate *gate, const char *path, const char *text, size_t length)
{
	char temporary[GATE_PATH_MAX + 16];
	ssize_t count;
	int fd, error;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	count = write(fd, text, length);
	error = count < 0 ? -errno : (size_t)count < length ? -ENOSPC : 0;
	if (error == 0 && fchown(fd, gate->uid, gate->gid) < 0)
		error = -errno;
	close(fd);
	if (error == 0 && rename(temporary, path) < 0)
		error = -errno;
	return error;
}

/* A user of its own could not read the secrets file: it has a copy. */
static int secrets_copy(const struct gate *gate)
{
	size_t length;
	char *secrets;
	int error;

	if (!gate->secrets[0])
		return 0;
	secrets = file_read(gate->secrets, &length);
	if (!secrets) { /* the process says what it misses */
		unlink(gate->file.secrets_file);
		return 0;
	}
	error = file_write(gate, gate->file.secrets_file, secrets, length);
	explicit_bzero(secrets, length);
	free(secrets);
	return error;
}

static int config_write(const struct gate *gate)
{
	int error = file_write(gate, gate->config, gate->text, gate->text_length);

	/* An earlier process's may have been root's. */
	if (error == 0 && lchown(gate->file.lock, gate->uid, gate->gid) < 0 && errno != ENOENT)
		error = -errno;
	return error ? error : secrets_copy(gate);
}

/* The user of gates' processes. Only /etc/passwd is read: nothing here may wait for a directory
 * service. Without that user, or if this daemon is not root, they have this one's. */
static void user_find(struct gate *gate)
{
	static bool said;
	const char *name = getenv("LUNKEEPER_GATE_USER");
	FILE *file = geteuid() == 0 ? fopen("/etc/passwd", "re") : NULL;
	const struct passwd *entry;

	if (!name || !*name)
		name = GATE_USER;
	gate->uid = geteuid();
	gate->gid = getegid();
	while (file && !gate->own_user[0] && (entry = fgetpwent(file)))
		if (strcmp(entry->pw_name, name) == 0) {
			snprintf(gate->own_user, sizeof(gate->own_user), "%s", name);
			gate->uid = entry->pw_uid;
			gate->gid = entry->pw_gid;
		}
	if (file)
		fclose(file);
	if (!gate->own_user[0] && geteuid() == 0 && !said) {
		log_notice("there is no user %s: the gates' processes run as root", name);
		said = true;
	}
}

/* The gate's own folder, in one that is root's: whoever had it before. */
static int own_folder_make(const struct gate *gate, char *message, size_t size)
{
	struct stat status;

	if (mkdir(gate->folder, 0700) < 0 && errno != EEXIST)
		return message_errno(message, size, gate->folder, errno);
	if (lstat(gate->folder, &status) < 0)
		return message_errno(message, size, gate->folder, errno);
	if (!S_ISDIR(status.st_mode)) {
		snprintf(message, size, "%s: not a folder", gate->folder);
		return -ENOTDIR;
	}
	if (lchown(gate->folder, gate->uid, gate->gid) < 0 || chmod(gate->folder, 0700) < 0)
		return message_errno(message, size, gate->folder, errno);
	return 0;
}

int gate_process_prepare(struct gate *gate, const struct gate_setup *setup, char *message,
			 size_t size)
{
	char parent[GATE_PATH_MAX + 8];
	size_t room = LUN_TEXT_MAX * (setup->lun_count + 2);
	int error;
	long length;

	user_find(gate);
	error = names_fill(gate, setup, message, size);
	gate->file.lun_count = gate->file.lun_capacity = setup->lun_count;
	gate->file.luns = calloc(setup->lun_count, sizeof(*gate->file.luns));
	gate->text = malloc(room);
	if (!gate->file.luns || !gate->text)
		return message_errno(message, size, gate->group, ENOMEM);
	if (error == 0)
		error = luns_fill(gate, setup, message, size);
	snprintf(parent, sizeof(parent), "%s/gate", setup->run_folder);
	if (error == 0)
		error = folder_make(parent, message, size);
	if (error == 0 && chmod(parent, 0711) < 0) /* for users of gates to get to their own */
		error = message_errno(message, size, parent, errno);
	if (error == 0)
		error = own_folder_make(gate, message, size);
	if (error < 0)
		return error;
	gate->file.isid_qualifier = qualifier_choose(gate, setup->run_folder);
	length = gate_wire_file_write(&gate->file, gate->text, room);
	if (length < 0)
		return message_errno(message, size, gate->config, (int)-length);
	gate->text_length = (size_t)length;
	gate->digest = gate_wire_digest(gate->text, gate->text_length);
	copy(gate->nbdkit, sizeof(gate->nbdkit), setup->nbdkit ? setup->nbdkit : "nbdkit");
	if (setup->plugin)
		copy(gate->plugin, sizeof(gate->plugin), setup->plugin);
	else
		plugin_find(gate->plugin, sizeof(gate->plugin));
	error = secrets_copy(gate); /* for one that runs already: they may have changed */
	return error ? message_errno(message, size, gate->file.secrets_file, -error) : 0;
}

int gate_process_put_back(struct gate *gate)
{
	char parent[GATE_PATH_MAX + 8], message[300];
	int error;

	snprintf(parent, sizeof(parent), "%s", gate->folder);
	*strrchr(parent, '/') = '\0';
	error = folder_make(parent, message, sizeof(message));
	if (!error)
		error = own_folder_make(gate, message, sizeof(message));
	return error || access(gate->config, F_OK) == 0 ? error : config_write(gate);
}

/* The last line of the log that tells of an error says why a process did not start. */
static void log_last_line(const struct gate *gate, char *line, size_t size)
{
	char tail[1000], *rest = tail;
	int fd = open(gate->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	off_t start = end > (off_t)sizeof(tail) - 1 ? end - (off_t)sizeof(tail) + 1 : 0;
	ssize_t count = fd < 0 ? 0 : pread(fd, tail, sizeof(tail) - 1, start);
	if (fd >= 0)
		close(fd);
	tail[count > 0 ? count : 0] = '\0';
	snprintf(line, size, "see %.200s", gate->log);
	for (char *one = strsep(&rest, "\n"); one; one = strsep(&rest, "\n"))
		if (strstr(one, "error: "))
			snprintf(line, size, "%.250s", strstr(one, "error: ") + strlen("error: "));
}

static void process_ended(const struct run_result *result, void *user)
{
	struct gate *gate = user;
	char line[300], reason[GATE_WIRE_TEXT_MAX];

	gate->process = NULL;
	if (gate->link != GATE_LINK_SPAWNING || gate->closing)
		return; /* the connection's end tells */
	if (result->start_error) {
		snprintf(reason, sizeof(reason),
			 "the gate process of %s cannot be started: %.200s: %s", gate->group,
			 gate->nbdkit, strerror(result->start_error));
	} else {
		log_last_line(gate, line, sizeof(line));
		snprintf(reason, sizeof(reason), "the gate process ended at its start (%s %d): %s",
			 result->signal ? "signal" : "status",
			 result->signal ? result->signal : result->status, line);
	}
	gate->process_ended(gate, reason);
}

/* It stands between the page cache and the disk: it must not wait for memory that only it can
 * clean, nor be chosen when memory has run out. */
int gate_process_spawn(struct gate *gate)
{
	char parameter[GATE_PATH_MAX + 16];
	int error = config_write(gate);
	int log =
		error < 0
			? -1
			: open(gate->log,
			       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			       0600);
	const char *const arguments[] = {gate->nbdkit, "-f",      "-U", gate->file.nbd,
					 gate->plugin, parameter, NULL};
	const char *environment[RUN_ENVIRONMENT_MAX + 1];
	const struct run_options options = {
		.path = gate->nbdkit,
		.arguments = arguments,
		.environment = run_environment(environment),
		.user = gate->own_user[0] ? gate->own_user : NULL,
		.io_flusher = true,
		.spare = true,
		.output_kind = RUN_OUTPUT_FILE,
		.output = log,
		.done = process_ended,
		.user_data = gate,
	};

	if (error == 0 && log < 0)
		error = -errno;
	snprintf(parameter, sizeof(parameter), "config=%s", gate->config);
	if (error == 0) {
		gate->process = run_start(gate->loop, &options);
		if (gate->process)
			run_leave(gate->process); /* its end keeps no loop */
		else
			error = -ENOMEM;
	}
	if (log >= 0)
		close(log);
	if (error < 0)
		snprintf(gate->reason, sizeof(gate->reason),
			 "the gate process of %s cannot be started: %.200s: %s", gate->group,
			 gate->folder, strerror(-error));
	gate->started = error == 0;
	return error;
}

/* --- the process that is there --- */

/* In clock ticks since boot (field 22 of proc_pid_stat(5)); 0: there is none, or it is dead. With
 * its number it names a process for good. */
static uint64_t process_started(pid_t pid)
{
	char path[40], text[1024];
	ssize_t length;
	char *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
		return 0;
	for (int field = 2; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static bool is_locked(const char *lock)
{
	/* Only asked for, never taken: a process that starts just now must find it free. */
	struct flock ask = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(lock, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool held;

	if (fd < 0)
		return false;
	held = fcntl(fd, F_OFD_GETLK, &ask) == 0 && ask.l_type != F_UNLCK;
	close(fd);
	return held;
}

/* What a gate's user has written may name a process of that user, and no other. */
static bool may_be_named(const char *lock, pid_t pid)
{
	char path[40], line[200];
	struct stat status;
	unsigned uid = 0;
	bool known = false;
	FILE *file;

	if (lstat(lock, &status) < 0)
		return false;
	if (status.st_uid == 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && !known && fgets(line, sizeof(line), file))
		known = sscanf(line, "Uid: %u", &uid) == 1;
	if (file)
		fclose(file);
	return known && uid == status.st_uid;
}

/* Whoever holds the lock is the process. It writes its number and the time of its start into the
 * file when it has the lock: until then these are an earlier one's, which the time tells. *handle,
 * if wanted: a pidfd of it, or -1 where there are none. Returns 0 for none, or one that is not
 * known yet. */
static pid_t lock_holder(const char *lock, int *handle)
{
	unsigned long long started = 0;
	size_t length;
	char *text = is_locked(lock) ? file_read(lock, &length) : NULL;
	int pid = 0, count = text ? sscanf(text, "%d %llu", &pid, &started) : 0;
	int fd = handle && count > 0 && pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	free(text);
	/* With the handle held, what is true now stays true of it. */
	if (count < 1 || pid <= 1 || (count > 1 && process_started(pid) != started) ||
	    !may_be_named(lock, pid)) {
		if (fd >= 0)
			close(fd);
		pid = 0;
		fd = -1;
	}
	if (handle)
		*handle = fd;
	return pid;
}

/* Returns whether there was one. */
static bool lock_holder_kill(const char *lock)
{
	int handle;
	pid_t pid = lock_holder(lock, &handle);

	if (pid == 0)
		return false;
	if (handle < 0) /* no pidfds here */
		return kill(pid, SIGKILL) == 0;
	syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0);
	close(handle);
	return true;
}

pid_t gate_process_present(const struct gate *gate)
{
	return lock_holder(gate->file.lock, NULL);
}

void gate_process_kill(struct gate *gate)
{
	if (!lock_holder_kill(gate->file.lock) && gate->process)
		run_kill(gate->process, true);
}

int gate_kill_all(const char *run_folder)
{
	char path[GATE_PATH_MAX + 300];
	int count = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/gate", run_folder);
	folder = opendir(path);
	if (!folder)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/gate/%s/lock", run_folder, entry->d_name);
		if (!lock_holder_kill(path))
			continue;
		count++;
		for (int waited = 0; is_locked(path) && waited < KILL_WAIT_MS; waited += 5)
			nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	closedir(folder);
	return count;
}
