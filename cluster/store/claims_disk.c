/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state folder on disk: making and checking it, its lock, and the thread that replaces files
 * durably: written under another name, synced, renamed, and the folder synced, so that after a
 * power cut there is the old file or the new one.
 */
#include "cluster/store/claims_private.h"
#include "scsi/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- messages ---- */

static const char *disk_advice(int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT:
		return "free space there; until then this node cannot claim a LUN";
	case EROFS:
		return "mount its file system writable; until then this node cannot claim a LUN";
	case EACCES:
	case EPERM:
		return "run lunkeeperd as root, or give it a folder of its own user by --state";
	case ENOENT:
		return "make the folder above it (mkdir -p), or name another by --state";
	case ENOTDIR:
		return "expected a folder; move away what is there, or name another by --state";
	case EIO:
		return "its disk fails; replace it, or name another folder by --state";
	default:
		return "name another folder by --state if this one cannot be repaired";
	}
}

void claims_trouble_text(char *message, size_t size, const char *folder, const char *step,
			 const char *name, int error)
{
	snprintf(message, size, "state folder %s: cannot %s%s%s: %s: %s", folder, step,
		 *name ? " " : "", name, strerror(-error), disk_advice(error));
}

/* ---- replacing files ---- */

static int disk_fail(struct claims_job *job, const char *step)
{
	job->error = errno ? -errno : -EIO;
	job->step = step;
	return job->error;
}

static int disk_write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			errno = written < 0 ? errno : ENOSPC;
			return -1;
		}
		data += written;
		length -= (size_t)written;
	}
	return 0;
}

static void disk_new_name(const struct claims_job *job, char name[96])
{
	snprintf(name, 96, "%s.new", job->name);
}

static void disk_write_new(struct claims_disk *disk, struct claims_job *job)
{
	char name[96];

	disk_new_name(job, name);
	job->fd = openat(disk->folder_fd, name,
			 O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (job->fd < 0)
		disk_fail(job, "make");
	else if (disk_write_all(job->fd, job->data, job->length) != 0)
		disk_fail(job, "write");
}

static void disk_sync_new(struct claims_disk *disk, struct claims_job *job)
{
	char name[96];

	if (job->fd < 0)
		return;
	if (!job->error && fsync(job->fd) != 0)
		disk_fail(job, "sync");
	/* some file systems report a full disk only here */
	if (close(job->fd) != 0 && !job->error)
		disk_fail(job, "write");
	job->fd = -1;
	disk_new_name(job, name);
	if (job->error)
		unlinkat(disk->folder_fd, name, 0);
}

static void disk_rename(struct claims_disk *disk, struct claims_job *job)
{
	char name[96], aside[96];

	disk_new_name(job, name);
	snprintf(aside, sizeof(aside), "%s.unusable", job->name);
	if (job->keep_aside && renameat(disk->folder_fd, job->name, disk->folder_fd, aside) != 0 &&
	    errno != ENOENT)
		disk_fail(job, "move aside");
	else if (renameat(disk->folder_fd, name, disk->folder_fd, job->name) != 0)
		disk_fail(job, "rename");
	if (job->error)
		unlinkat(disk->folder_fd, name, 0);
}

/* All at once: the first sync commits the journal for the others too, and one sync of the folder
 * serves them all. */
static void disk_write_files(struct claims_disk *disk, struct claims_job *jobs)
{
	for (struct claims_job *job = jobs; job; job = job->next)
		disk_write_new(disk, job);
	for (struct claims_job *job = jobs; job; job = job->next)
		disk_sync_new(disk, job);
	for (struct claims_job *job = jobs; job; job = job->next)
		if (!job->error)
			disk_rename(disk, job);
	if (fsync(disk->folder_fd) == 0)
		return;
	for (struct claims_job *job = jobs; job; job = job->next)
		if (!job->error)
			disk_fail(job, "sync the folder after writing");
}

static int disk_prepare(struct claims_disk *disk);

static void disk_unprove(struct claims_disk *disk, const struct claims_job *job)
{
	disk->proven = false;
	uv_mutex_lock(&disk->lock);
	claims_trouble_text(disk->why, sizeof(disk->why), disk->folder, job->step, job->name,
			    job->error);
	uv_mutex_unlock(&disk->lock);
}

/* A folder that failed is opened anew: it may have been removed, or mounted again, meanwhile. */
static void disk_write_jobs(struct claims_disk *disk, struct claims_job *jobs)
{
	int error = disk->proven ? 0 : disk_prepare(disk);

	if (!error)
		disk_write_files(disk, jobs);
	for (struct claims_job *job = jobs; job; job = job->next) {
		if (error) {
			job->error = error;
			job->step = "use it for";
		} else if (job->error) {
			disk_unprove(disk, job);
		} else if (job->probe) {
			unlinkat(disk->folder_fd, job->name, 0);
		} else {
			claims_disk_write_copy(disk, job->name, job->data, job->length);
		}
	}
}

/* Under the lock: takes a batch of what was submitted, if anything was. */
static struct claims_job *disk_take_batch(struct claims_disk *disk, struct claims_job **last)
{
	struct claims_job *jobs = disk->submitted;

	if (!jobs)
		return NULL;
	*last = jobs;
	for (unsigned count = 1; count < CLAIMS_BATCH_MAX && (*last)->next; count++)
		*last = (*last)->next;
	disk->submitted = (*last)->next;
	if (!disk->submitted)
		disk->submitted_last = &disk->submitted;
	(*last)->next = NULL;
	return jobs;
}

static void disk_thread(void *user)
{
	struct claims_disk *disk = user;

	thread_follow_main();
	uv_mutex_lock(&disk->lock);
	while (disk->submitted || !disk->stop) {
		struct claims_job *last = NULL, *jobs = disk_take_batch(disk, &last);

		if (!jobs) {
			disk->busy = false;
			uv_cond_broadcast(&disk->idle);
			uv_cond_wait(&disk->wanted, &disk->lock);
			continue;
		}
		uv_mutex_unlock(&disk->lock);
		disk_write_jobs(disk, jobs);
		uv_mutex_lock(&disk->lock);
		*disk->ended_last = jobs;
		disk->ended_last = &last->next;
		disk->wake(disk->wake_user);
	}
	disk->busy = false;
	uv_cond_broadcast(&disk->idle);
	uv_mutex_unlock(&disk->lock);
}

int claims_disk_start(struct claims_disk *disk, void (*wake)(void *user), void *user)
{
	const uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE,
					     .stack_size = CLAIMS_STACK_SIZE};
	int error;

	disk->wake = wake;
	disk->wake_user = user;
	error = uv_thread_create_ex(&disk->thread, &options, disk_thread, disk);
	disk->running = error == 0;
	return error;
}

void claims_disk_stop(struct claims_disk *disk)
{
	if (!disk->running)
		return;
	uv_mutex_lock(&disk->lock);
	disk->stop = true;
	uv_cond_signal(&disk->wanted);
	uv_mutex_unlock(&disk->lock);
	uv_thread_join(&disk->thread);
	disk->running = false;
}

void claims_disk_submit(struct claims_disk *disk, struct claims_job *job)
{
	uv_mutex_lock(&disk->lock);
	job->next = NULL;
	*disk->submitted_last = job;
	disk->submitted_last = &job->next;
	disk->busy = true;
	uv_cond_signal(&disk->wanted);
	uv_mutex_unlock(&disk->lock);
}

struct claims_job *claims_disk_take_ended(struct claims_disk *disk)
{
	struct claims_job *jobs;

	uv_mutex_lock(&disk->lock);
	jobs = disk->ended;
	disk->ended = NULL;
	disk->ended_last = &disk->ended;
	uv_mutex_unlock(&disk->lock);
	return jobs;
}

void claims_disk_drain(struct claims_disk *disk)
{
	if (!disk->running)
		return;
	uv_mutex_lock(&disk->lock);
	while (disk->busy)
		uv_cond_wait(&disk->idle, &disk->lock);
	uv_mutex_unlock(&disk->lock);
}

/* ---- reading ---- */

static ssize_t disk_read(int folder_fd, const char *name, char *data, size_t size)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	size_t used = 0;
	ssize_t got = 1;
	int error;

	if (fd < 0)
		return -errno;
	while (got > 0 && used < size) {
		got = read(fd, data + used, size - used);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			used += (size_t)got;
	}
	error = errno;
	close(fd);
	if (got < 0)
		return -error;
	return used == size ? -EFBIG : (ssize_t)used;
}

ssize_t claims_disk_read(struct claims_disk *disk, const char *name, char *data, size_t size)
{
	int fd;
	ssize_t got;

	/* the thread may open the folder anew meanwhile */
	uv_mutex_lock(&disk->lock);
	fd = disk->folder_fd >= 0 ? fcntl(disk->folder_fd, F_DUPFD_CLOEXEC, 3) : -1;
	uv_mutex_unlock(&disk->lock);
	if (fd < 0)
		return -ENOENT;
	got = disk_read(fd, name, data, size);
	close(fd);
	return got;
}

/* ---- the copy ---- */

/* -1: there is none, or somebody else's. */
static int disk_open_copies(const struct claims_disk *disk)
{
	struct stat status;
	int fd;

	if (!disk->copies[0])
		return -1;
	fd = open(disk->copies, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 &&
	    (fstat(fd, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 022))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

ssize_t claims_disk_read_copy(const struct claims_disk *disk, const char *name, char *data,
			      size_t size)
{
	int folder = disk_open_copies(disk);
	ssize_t got;

	if (folder < 0)
		return -ENOENT;
	got = disk_read(folder, name, data, size);
	close(folder);
	return got;
}

void claims_disk_write_copy(const struct claims_disk *disk, const char *name, const char *data,
			    size_t length)
{
	char made[96];
	int folder, fd;
	bool good;

	if (disk->copies[0])
		mkdir(disk->copies, 0700);
	folder = disk_open_copies(disk);
	if (folder < 0)
		return;
	snprintf(made, sizeof(made), "%s.new", name);
	fd = openat(folder, made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	good = fd >= 0 && disk_write_all(fd, data, length) == 0;
	if (fd >= 0)
		good = close(fd) == 0 && good;
	/* an old one would say less than none */
	if (!good || renameat(folder, made, folder, name) != 0) {
		unlinkat(folder, made, 0);
		unlinkat(folder, name, 0);
	}
	close(folder);
}

void claims_disk_why(struct claims_disk *disk, char message[CLAIMS_MESSAGE_SIZE])
{
	uv_mutex_lock(&disk->lock);
	snprintf(message, CLAIMS_MESSAGE_SIZE, "%s", disk->why);
	uv_mutex_unlock(&disk->lock);
}

static uint64_t disk_fingerprint(const char *path)
{
	char text[128] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return claims_fingerprint(text);
}

void claims_disk_fingerprints(uint64_t *machine, uint64_t *hardware)
{
	*machine = disk_fingerprint("/etc/machine-id");
	*hardware = disk_fingerprint("/sys/class/dmi/id/product_uuid");
}

/* ---- opening ---- */

/* Returns the descriptor, or -errno. */
static int disk_open_folder(const struct claims_disk *disk, char *message, size_t size)
{
	struct stat status;
	int fd, error;

	if (mkdir(disk->folder, 0700) != 0 && errno != EEXIST) {
		error = -errno;
		claims_trouble_text(message, size, disk->folder, "make it", "", error);
		return error;
	}
	fd = open(disk->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0) {
		error = -errno;
		claims_trouble_text(message, size, disk->folder, "open it", "", error);
	} else if (status.st_uid != 0 && status.st_uid != geteuid()) {
		error = -EPERM;
		snprintf(message, size,
			 "state folder %s: belongs to user %u: expected root or user %u (chown it)",
			 disk->folder, status.st_uid, geteuid());
	} else if (status.st_mode & 022) {
		error = -EPERM;
		snprintf(message, size,
			 "state folder %s: others may write to it (mode %04o): expected 0700 "
			 "(chmod it)",
			 disk->folder, status.st_mode & 07777);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return error;
}

static bool disk_is_same(int a, int b)
{
	struct stat first, second;

	return a >= 0 && fstat(a, &first) == 0 && fstat(b, &second) == 0 &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* Returns the descriptor, or -errno. Where no lock file can be made, the folder itself is locked: a
 * file system that is full or read-only must not keep a daemon from what it owns. */
static int disk_take_lock(const struct claims_disk *disk, int folder, char *message, size_t size)
{
	char pid[24] = "";
	ssize_t got;
	int fd, error;

	fd = openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		fd = openat(folder, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && (disk_is_same(disk->lock_fd, fd) || flock(fd, LOCK_EX | LOCK_NB) == 0))
		return fd;
	error = -errno;
	if (error != -EWOULDBLOCK) {
		claims_trouble_text(message, size, disk->folder, "lock", "lock", error);
	} else {
		got = pread(fd, pid, sizeof(pid) - 1, 0);
		pid[got > 0 ? got : 0] = '\0';
		pid[strspn(pid, "0123456789")] = '\0';
		snprintf(message, size,
			 "state folder %s: another lunkeeperd has it (pid %s): stop that one "
			 "first, or give this one a folder of its own by --state",
			 disk->folder, *pid ? pid : "unknown");
		error = -EBUSY;
	}
	if (fd >= 0)
		close(fd);
	return error;
}

/* For whoever wonders who has the lock; the lock's own descriptor may be read-only. */
static void disk_write_pid(const struct claims_disk *disk, const char *text, size_t length)
{
	int fd = openat(disk->folder_fd, "lock", O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	disk_write_all(fd, text, length);
	close(fd);
}

/* That a claim can be made durable is found out now, not in the middle of a challenge. Leaves the
 * pid in the lock. */
static int disk_try_writing(struct claims_disk *disk, char *message, size_t size)
{
	struct claims_job *job = calloc(1, sizeof(*job) + 32);
	int error;

	if (!job)
		return -ENOMEM;
	snprintf(job->name, sizeof(job->name), CLAIMS_PROBE_NAME);
	job->length = (size_t)snprintf(job->data, 32, "%d\n", (int)getpid());
	disk_write_files(disk, job);
	if (!job->error && unlinkat(disk->folder_fd, job->name, 0) != 0)
		disk_fail(job, "remove");
	if (!job->error)
		disk_write_pid(disk, job->data, job->length);
	if (job->error)
		claims_trouble_text(message, size, disk->folder, job->step, job->name, job->error);
	error = job->error;
	free(job);
	return error;
}

/* Opens the folder that is there now, and its lock if it is another one than before. */
static int disk_use_folder(struct claims_disk *disk, char *message, size_t size)
{
	int folder = disk_open_folder(disk, message, size), lock, old_folder;

	if (folder < 0)
		return folder;
	lock = disk_take_lock(disk, folder, message, size);
	if (lock < 0) {
		close(folder);
		return lock;
	}
	uv_mutex_lock(&disk->lock);
	old_folder = disk->folder_fd;
	disk->folder_fd = folder;
	uv_mutex_unlock(&disk->lock);
	if (old_folder >= 0)
		close(old_folder);
	if (disk_is_same(disk->lock_fd, lock)) {
		close(lock); /* the lock is the first one's */
		return 0;
	}
	if (disk->lock_fd >= 0)
		close(disk->lock_fd);
	disk->lock_fd = lock;
	return 0;
}

/* The folder, its lock and a try. -errno, and then `why` says it. */
static int disk_prepare(struct claims_disk *disk)
{
	char message[CLAIMS_MESSAGE_SIZE] = "";
	int error = disk_use_folder(disk, message, sizeof(message));

	if (!error)
		error = disk_try_writing(disk, message, sizeof(message));
	disk->proven = error == 0;
	uv_mutex_lock(&disk->lock);
	snprintf(disk->why, sizeof(disk->why), "%s", error ? message : "");
	uv_mutex_unlock(&disk->lock);
	return error;
}

int claims_disk_open(struct claims_disk *disk, const char *folder, const char *copies,
		     char *message, size_t message_size)
{
	int error;

	disk->folder_fd = disk->lock_fd = -1;
	disk->submitted_last = &disk->submitted;
	disk->ended_last = &disk->ended;
	if ((size_t)snprintf(disk->folder, sizeof(disk->folder), "%s", folder) >=
	    sizeof(disk->folder)) {
		snprintf(message, message_size,
			 "state folder %s: its name is longer than %zu bytes", folder,
			 sizeof(disk->folder) - 1);
		return -ENAMETOOLONG;
	}
	if (copies && strlen(copies) < sizeof(disk->copies))
		snprintf(disk->copies, sizeof(disk->copies), "%s", copies);
	uv_mutex_init(&disk->lock);
	uv_cond_init(&disk->wanted);
	uv_cond_init(&disk->idle);
	error = disk_prepare(disk);
	if (error != -EBUSY)
		return 0;
	snprintf(message, message_size, "%s", disk->why);
	claims_disk_close(disk);
	return error;
}

void claims_disk_close(struct claims_disk *disk)
{
	if (disk->lock_fd >= 0)
		close(disk->lock_fd);
	if (disk->folder_fd >= 0)
		close(disk->folder_fd);
	uv_cond_destroy(&disk->wanted);
	uv_cond_destroy(&disk->idle);
	uv_mutex_destroy(&disk->lock);
}
