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
static void disk_write_jobs(struct claims_disk *disk, struct claims_job *jobs)
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

ssize_t claims_disk_read(struct claims_disk *disk, const char *name, char *data, size_t size)
{
	int fd = openat(disk->folder_fd, name,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
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

static int disk_open_folder(struct claims_disk *disk, char *message, size_t size)
{
	struct stat status;
	int error;

	if (mkdir(disk->folder, 0700) != 0 && errno != EEXIST) {
		error = -errno;
		claims_trouble_text(message, size, disk->folder, "make it", "", error);
		return error;
	}
	disk->folder_fd = open(disk->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (disk->folder_fd < 0 || fstat(disk->folder_fd, &status) != 0) {
		error = -errno;
		claims_trouble_text(message, size, disk->folder, "open it", "", error);
		return error;
	}
	if (status.st_uid != 0 && status.st_uid != geteuid()) {
		snprintf(message, size,
			 "state folder %s: belongs to user %u: expected root or user %u (chown it)",
			 disk->folder, status.st_uid, geteuid());
		return -EPERM;
	}
	if (status.st_mode & 022) {
		snprintf(message, size,
			 "state folder %s: others may write to it (mode %04o): expected 0700 "
			 "(chmod it)",
			 disk->folder, status.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

static int disk_take_lock(struct claims_disk *disk, char *message, size_t size)
{
	char pid[24] = "";
	ssize_t got;
	int error;

	disk->lock_fd =
		openat(disk->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (disk->lock_fd < 0) {
		error = -errno;
		claims_trouble_text(message, size, disk->folder, "make", "lock", error);
		return error;
	}
	if (flock(disk->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	error = -errno;
	if (error != -EWOULDBLOCK) {
		claims_trouble_text(message, size, disk->folder, "lock", "lock", error);
		return error;
	}
	got = pread(disk->lock_fd, pid, sizeof(pid) - 1, 0);
	pid[got > 0 ? got : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	snprintf(message, size,
		 "state folder %s: another lunkeeperd has it (pid %s): stop that one first, or "
		 "give this one a folder of its "
		 "own by --state",
		 disk->folder, *pid ? pid : "unknown");
	return -EBUSY;
}

/* That a claim can be made durable is found out now, not in the middle of a challenge. Leaves the
 * pid in the lock. */
static int disk_try_writing(struct claims_disk *disk, char *message, size_t size)
{
	struct claims_job *job = calloc(1, sizeof(*job) + 32);
	int error;

	if (!job)
		return -ENOMEM;
	snprintf(job->name, sizeof(job->name), "write-test");
	job->length = (size_t)snprintf(job->data, 32, "%d\n", (int)getpid());
	disk_write_jobs(disk, job);
	if (!job->error && unlinkat(disk->folder_fd, job->name, 0) != 0)
		disk_fail(job, "remove");
	if (!job->error && (ftruncate(disk->lock_fd, 0) != 0 ||
			    pwrite(disk->lock_fd, job->data, job->length, 0) < 0)) {
		disk_fail(job, "write");
		snprintf(job->name, sizeof(job->name), "lock");
	}
	if (job->error)
		claims_trouble_text(message, size, disk->folder, job->step, job->name, job->error);
	error = job->error;
	free(job);
	return error;
}

int claims_disk_open(struct claims_disk *disk, const char *folder, char *message,
		     size_t message_size)
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
	error = disk_open_folder(disk, message, message_size);
	if (!error)
		error = disk_take_lock(disk, message, message_size);
	if (!error)
		error = disk_try_writing(disk, message, message_size);
	if (error) {
		if (disk->lock_fd >= 0)
			close(disk->lock_fd);
		if (disk->folder_fd >= 0)
			close(disk->folder_fd);
		return error;
	}
	uv_mutex_init(&disk->lock);
	uv_cond_init(&disk->wanted);
	uv_cond_init(&disk->idle);
	return 0;
}

void claims_disk_close(struct claims_disk *disk)
{
	close(disk->lock_fd);
	close(disk->folder_fd);
	uv_cond_destroy(&disk->wanted);
	uv_cond_destroy(&disk->idle);
	uv_mutex_destroy(&disk->lock);
}
