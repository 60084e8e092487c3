/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The nbdkit plugin: a group's LUNs as NBD exports, behind the gate. Here are nbdkit's callbacks,
 * called by its worker threads; all they do is to cut requests into commands and hand them to the
 * thread that owns the gate (private.h).
 *
 *     nbdkit -f -U RUN/gate/mail/nbd lunkeeper-gate.so config=RUN/gate/mail/config
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "cluster/gate/plugin/private.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define FILE_MAX (4u * 1024 * 1024)
#define PREFERRED_BLOCK 4096u

static struct plugin plugin = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct connection {
	struct plugin_lun *lun;
	uint32_t epoch;
	struct plugin_geometry geometry;
	void *zeros; /* one block, for WRITE SAME */
};

/* The files that are made from here on, nbdkit's socket among them, are for this user alone. */
static void gate_load(void)
{
	umask(077);
}

static int file_read(const char *path, char **text, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t count = -1;
	struct stat status;

	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size <= FILE_MAX) {
		*text = malloc((size_t)status.st_size + 1);
		if (*text)
			count = read(fd, *text, (size_t)status.st_size);
	}
	if (fd >= 0)
		close(fd);
	*length = count < 0 ? 0 : (size_t)count;
	return count < 0 ? -1 : 0;
}

static int gate_config(const char *key, const char *value)
{
	char *text = NULL, message[200];
	size_t length;

	if (strcmp(key, "config") != 0 || plugin.luns) {
		nbdkit_error("the only parameter is config=FILE, once");
		return -1;
	}
	if (file_read(value, &text, &length) < 0) {
		nbdkit_error("%s cannot be read: %m", value);
		return -1;
	}
	plugin.file.lun_capacity = GATE_LUNS_MAX;
	plugin.file.luns = calloc(GATE_LUNS_MAX, sizeof(*plugin.file.luns));
	if (!plugin.file.luns ||
	    gate_wire_file_parse(&plugin.file, text, length, message, sizeof(message)) < 0) {
		nbdkit_error("%s: %s", value, plugin.file.luns ? message : "out of memory");
		free(text);
		return -1;
	}
	plugin.configuration = gate_wire_digest(text, length);
	free(text);
	plugin.luns = calloc(plugin.file.lun_count, sizeof(*plugin.luns));
	for (size_t i = 0; plugin.luns && i < plugin.file.lun_count; i++) {
		plugin.luns[i].plugin = &plugin;
		plugin.luns[i].number = (uint16_t)i;
		plugin.luns[i].config = plugin.file.luns[i];
	}
	return plugin.luns ? 0 : -1;
}

static int gate_config_complete(void)
{
	if (plugin.luns)
		return 0;
	nbdkit_error("config=FILE is missing");
	return -1;
}

/* When this process was started, in clock ticks since boot: field 22 of proc_pid_stat(5). With the
 * number it names this process for good; whoever wants to end it looks at both. */
static unsigned long long own_start(void)
{
	unsigned long long start = 0;
	FILE *file = fopen("/proc/self/stat", "re");
	char text[1024] = "";
	char *at;

	if (file && !fgets(text, sizeof(text), file))
		text[0] = '\0';
	if (file)
		fclose(file);
	at = strrchr(text, ')');
	for (int field = 2; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	if (at)
		start = strtoull(at, NULL, 10);
	return start;
}

/* Before nbdkit binds its socket: two processes for one group would be two writers. */
static int gate_get_ready(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(plugin.file.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), length;
	char pid[48];

	if (fd < 0) {
		nbdkit_error("%s: %m", plugin.file.lock);
		return -1;
	}
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		nbdkit_error("group %s has a gate process already (%s is locked)",
			     plugin.file.group, plugin.file.lock);
		close(fd);
		return -1;
	}
	length = snprintf(pid, sizeof(pid), "%d %llu\n", (int)getpid(), own_start());
	if (ftruncate(fd, 0) < 0 || write(fd, pid, (size_t)length) != length)
		nbdkit_debug("the lock file has no process number: %m");
	unlink(plugin.file.nbd); /* whoever bound it is gone */
	return 0;                /* fd stays open: it is the lock */
}

/* This process stands between the page cache and the disk: it must not wait for memory that only it
 * can clean, nor be chosen when memory has run out. Both need privileges; without them it works as
 * any other process does. */
static void protect_process(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	char score[16] = "";
	ssize_t count = fd < 0 ? 0 : write(fd, "-1000", 5);

	if (fd >= 0)
		close(fd);
	/* nbdkit in the foreground asks to be ended with its parent: but a daemon's restart must
	 * not end the service. */
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	/* A user of its own is not permitted any of this: whoever began it has seen to it. */
	fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	count = fd < 0 ? 0 : read(fd, score, sizeof(score) - 1);
	if (fd >= 0)
		close(fd);
	(void)count;
	plugin_log("group %s: gate process %d of user %u, version %s; OOM killer %s",
		   plugin.file.group, (int)getpid(), (unsigned)geteuid(), LUNKEEPER_VERSION,
		   strncmp(score, "-1000", 5) == 0 ? "never" : "as others");
}

static int gate_after_fork(void)
{
	int error;

	protect_process();
	error = core_start(&plugin);
	if (error < 0)
		nbdkit_error("group %s: %s: %s", plugin.file.group, plugin.file.control,
			     strerror(-error));
	return error < 0 ? -1 : 0;
}

static void gate_cleanup(void)
{
	core_stop(&plugin);
}

/* Nothing is left to do, and a new process waits for the lock: the destructors of the many
 * libraries that nbdkit brings along (one of p11-kit's has been seen to wait for ever) have nothing
 * to add. */
static void gate_unload(void)
{
	if (plugin.thread)
		_exit(0);
}

static struct plugin_lun *lun_find(const char *name)
{
	for (size_t i = 0; i < plugin.file.lun_count; i++)
		if (strcmp(plugin.luns[i].config.name, name) == 0)
			return &plugin.luns[i];
	return NULL;
}

static int gate_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	(void)readonly;
	(void)is_tls;
	for (size_t i = 0; i < plugin.file.lun_count; i++)
		if (nbdkit_add_export(exports, plugin.luns[i].config.name, NULL) < 0)
			return -1;
	return 0;
}

static void *gate_open_export(int readonly)
{
	const char *name = nbdkit_export_name();
	struct plugin_lun *lun = name ? lun_find(name) : NULL;
	struct connection *connection;

	(void)readonly;
	if (!lun) {
		nbdkit_error("no LUN '%s' here", name ? name : "");
		return NULL;
	}
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return NULL;
	pthread_mutex_lock(&plugin.lock);
	connection->lun = lun;
	connection->epoch = plugin.epoch;
	connection->geometry = lun->geometry;
	pthread_mutex_unlock(&plugin.lock);
	if (connection->geometry.blocks)
		connection->zeros = calloc(1, connection->geometry.block_size);
	if (!connection->zeros) {
		nbdkit_error("LUN %s: its size is not known yet: no session to it so far", name);
		free(connection);
		return NULL;
	}
	return connection;
}

static void gate_close_export(void *handle)
{
	struct connection *connection = handle;
	free(connection->zeros);
	free(connection);
}

static int64_t gate_get_size(void *handle)
{
	const struct plugin_geometry *geometry = &((struct connection *)handle)->geometry;
	return (int64_t)(geometry->blocks * geometry->block_size);
}

static int gate_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	const struct plugin_geometry *geometry = &((struct connection *)handle)->geometry;
	*minimum = geometry->block_size;
	*preferred =
		geometry->block_size > PREFERRED_BLOCK ? geometry->block_size : PREFERRED_BLOCK;
	*maximum = GATE_IO_TRANSFER_MAX > *preferred ? GATE_IO_TRANSFER_MAX : *preferred;
	return 0;
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int gate_can_write(void *handle)
{
	return !((struct connection *)handle)->geometry.read_only;
}

static int gate_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE; /* where the device has none: SYNCHRONIZE CACHE behind the write,
				     in our own hands */
}

/* Without .zero nbdkit writes zeros, which the reservation covers as any other write. */
static int gate_can_zero(void *handle)
{
	return ((struct connection *)handle)->lun->config.zero_covered;
}

static int gate_can_trim(void *handle)
{
	return ((struct connection *)handle)->lun->config.trim_covered;
}

/* One command after another; a client that wants them in parallel sends requests in parallel. */
static int run(struct connection *connection, enum io_kind kind, void *data, uint32_t count,
	       uint64_t offset, bool fua)
{
	uint32_t block_size = connection->geometry.block_size;
	bool carries = kind == IO_READ || kind == IO_WRITE;
	uint32_t most =
		carries ? connection->geometry.transfer_max : GATE_ZERO_BLOCKS_MAX * block_size;
	struct gate_io io;

	if (offset % block_size || count % block_size) {
		nbdkit_error("LUN %s: a request that is not a multiple of its %u byte blocks",
			     connection->lun->config.name, block_size);
		errno = EINVAL;
		return -1;
	}
	do {
		uint32_t part = count < most ? count : most;
		int error;

		io.lun = connection->lun;
		io.kind = kind;
		io.fua = fua;
		io.block = offset / block_size;
		io.blocks = part / block_size;
		io.data = data;
		io.data_length = carries ? part : 0;
		io.epoch = connection->epoch;
		error = core_run(&plugin, &io);
		if (error < 0) {
			errno = -error;
			return -1;
		}
		if (carries)
			data = (char *)data + part;
		offset += part;
		count -= part;
	} while (count > 0);
	return 0;
}

static int gate_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)flags;
	return run(handle, IO_READ, buffer, count, offset, false);
}

static int gate_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
		       uint32_t flags)
{
	return run(handle, IO_WRITE, (void *)(uintptr_t)buffer, count, offset,
		   flags & NBDKIT_FLAG_FUA);
}

static int gate_flush(void *handle, uint32_t flags)
{
	(void)flags;
	return run(handle, IO_FLUSH, NULL, 0, 0, false);
}

static int gate_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct connection *connection = handle;
	if (!connection->lun->config.zero_covered) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return run(connection, IO_ZERO, connection->zeros, count, offset, flags & NBDKIT_FLAG_FUA);
}

static int gate_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct connection *connection = handle;
	if (!connection->lun->config.trim_covered) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return run(connection, IO_TRIM, NULL, count, offset, flags & NBDKIT_FLAG_FUA);
}

static struct nbdkit_plugin nbdkit = {
	.name = "lunkeeper-gate",
	.longname = "LunKeeper's gate to shared LUNs",
	.version = LUNKEEPER_VERSION,
	.description = "LUNs owned through persistent reservations, passed, held or failed as "
		       "lunkeeperd says",
	.config_help = "config=FILE (required)  what to serve, as lunkeeperd writes it",
	.magic_config_key = "config",
	.load = gate_load,
	.config = gate_config,
	.config_complete = gate_config_complete,
	.get_ready = gate_get_ready,
	.after_fork = gate_after_fork,
	.unload = gate_unload,
	.cleanup = gate_cleanup,
	.list_exports = gate_list_exports,
	.open = gate_open_export,
	.close = gate_close_export,
	.get_size = gate_get_size,
	.block_size = gate_block_size,
	.can_write = gate_can_write,
	.can_flush = yes,
	.can_fua = gate_can_fua,
	.can_multi_conn = yes, /* SYNCHRONIZE CACHE covers what any connection wrote */
	.can_zero = gate_can_zero,
	.can_trim = gate_can_trim,
	.pread = gate_pread,
	.pwrite = gate_pwrite,
	.flush = gate_flush,
	.zero = gate_zero,
	.trim = gate_trim,
	.errno_is_preserved = 1,
};

NBDKIT_REGISTER_PLUGIN(nbdkit)
