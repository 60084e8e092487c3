/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One device of a gate: how it is made, switched, and proven quiet. Everything that goes wrong half
 * way is taken back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/gate/dm/private.h"

#define SYSFS "/sys"
#define SERIAL_TRIES 64
#define FORBID_WAIT_MS 200
#define FORBID_THREADS_MOST 32
#define TRIES_FOR_NONE 20
#define SUSPEND_MOST_MS 250 /* new I/O waits meanwhile */

/* --- switching --- */

static int message(struct gate_dm_thread *thread, const struct gate_dm_device *device,
		   const char *verb)
{
	char text[GATE_DM_TABLE_SIZE];
	bool with_path = strchr(verb, '_') && strstr(verb, "path") == verb + strlen(verb) - 4 &&
			 !strstr(verb, "if_no");
	int error;

	snprintf(text, sizeof(text), "%s", verb);
	if (with_path)
		gate_dm_message_text(verb, device->below_major, device->below_minor, text,
				     sizeof(text));
	error = gate_dm_message(thread->control, device->name, text);
	if (error != -EBUSY)
		return error;
	/* Suspended: by a daemon that died just then, or by somebody else. */
	gate_dm_resume(thread->control, device->name);
	return gate_dm_message(thread->control, device->name, text);
}

int gate_dm_device_switch(struct gate_dm_thread *thread, struct gate_dm_device *device,
			  enum gate_state state)
{
	/* In this order no moment lets through, or fails, what the state before or behind
	 * does not. */
	static const char *const verbs[][2] = {
		[GATE_STATE_FAILED] = {"fail_path", "fail_if_no_path"},
		[GATE_STATE_HELD] = {"queue_if_no_path", "fail_path"},
		[GATE_STATE_OPEN] = {"queue_if_no_path", "reinstate_path"},
	};

	if (device->retired || device->strange)
		return state == GATE_STATE_FAILED ? 0 : -ESTALE;
	for (int i = 0; i < 2; i++) {
		int error = message(thread, device, verbs[state][i]);

		if (error)
			return error;
	}
	device->state = state;
	device->proven = false;
	device->used = device->used || state != GATE_STATE_FAILED;
	return 0;
}

/* Nobody else of ours suspends it while this thread has it. What somebody loaded meanwhile must not
 * become its table by being resumed. */
static void end_foreign_suspend(struct gate_dm_thread *thread, const struct gate_dm_device *device)
{
	struct gate_dm_info info;

	if (gate_dm_info(thread->control, device->name, &info) || !info.suspended)
		return;
	if (info.inactive_table)
		gate_dm_clear(thread->control, device->name);
	gate_dm_resume(thread->control, device->name);
}

int gate_dm_device_observe(struct gate_dm_thread *thread, const struct gate_dm_device *device,
			   enum gate_state *state)
{
	char target[16], text[GATE_DM_TABLE_SIZE];
	struct gate_dm_status status = {0};
	int error;

	*state = GATE_STATE_FAILED;
	if (device->strange)
		return 0;
	end_foreign_suspend(thread, device);
	error = gate_dm_status(thread->control, device->name, false, target, text, sizeof(text));
	if (error == -ENODATA || (error == 0 && strcmp(target, GATE_DM_TARGET) != 0))
		return -ESTALE;
	if (error)
		return error;
	if (gate_dm_status_parse(text, &status))
		return -EBADMSG;
	if (status.major != device->below_major || status.minor != device->below_minor)
		return -ESTALE;
	*state = gate_dm_state(status.active, device->state != GATE_STATE_FAILED);
	return 0;
}

/* Requests that a block device has not ended yet, as the kernel counts them. */
static uint64_t in_flight_at(uint32_t major, uint32_t minor)
{
	unsigned long long reads = 0, writes = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), SYSFS "/dev/block/%u:%u/inflight", major, minor);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &reads, &writes) != 2)
		reads = writes = 0;
	fclose(file);
	return reads + writes;
}

uint64_t gate_dm_device_ios(const struct gate_dm_device *device)
{
	char path[64];
	unsigned long long reads = 0, writes = 0;
	FILE *file;

	snprintf(path, sizeof(path), SYSFS "/dev/block/%u:%u/stat", device->major, device->minor);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu %*u %*u %*u %llu", &reads, &writes) != 2)
		reads = writes = 0;
	fclose(file);
	return reads + writes;
}

/* --- waiting for what is below --- */

static int suspend_bounded(struct gate_dm *gate, struct gate_dm_thread *thread,
			   const struct gate_dm_device *device)
{
	int error = gate_dm_suspend_begins(gate, thread, device, SUSPEND_MOST_MS);

	if (error)
		return error;
	error = gate_dm_suspend(thread->control, device->name);
	gate_dm_suspend_ends(gate, thread);
	if (error && device->state != GATE_STATE_FAILED)
		gate_dm_message(thread->control, device->name, "queue_if_no_path");
	return error;
}

/* A hint, so that the proof need not be tried in vain: new I/O waits while that goes on. What waits
 * at a gate that is held counts as its own, but not as the device's below. What fails all the time
 * because somebody goes on trying must not delay the proof for ever. */
static bool seems_quiet(struct gate_dm *gate, const struct gate_dm_device *device)
{
	uint64_t below = in_flight_at(device->below_major, device->below_minor);
	uint64_t own = in_flight_at(device->major, device->minor);

	gate->in_flight = device->state == GATE_STATE_FAILED ? own : below;
	if (device->state == GATE_STATE_FAILED && own > 0 && ++gate->tries < TRIES_FOR_NONE)
		return false;
	gate->tries = 0;
	return below == 0;
}

/* The path is failed, so no request takes it any more. Those that took it before are back when the
 * kernel has suspended the device: it waits for each that came in, counted or not yet, and for none
 * that waits for a path (these are put back). */
int gate_dm_device_prove(struct gate_dm *gate, struct gate_dm_thread *thread,
			 struct gate_dm_device *device)
{
	bool retire = device->state == GATE_STATE_FAILED && device->used;
	enum gate_state state;
	int error = gate_dm_device_observe(thread, device, &state);

	/* With a table that is not ours it leads to what is not known, until it gets one of ours. */
	if (error == -ESTALE && retire)
		state = GATE_STATE_FAILED;
	else if (error)
		return error;
	if (state == GATE_STATE_OPEN || !seems_quiet(gate, device))
		return -EAGAIN;
	if (retire) {
		error = gate_dm_load(thread->control, device->name, device->sectors, "error", "");
		if (error)
			return error;
	}
	error = suspend_bounded(gate, thread, device);
	if (error == 0)
		error = gate_dm_resume(thread->control, device->name);
	if (error) {
		if (retire)
			gate_dm_clear(thread->control, device->name);
		return error == -EINTR ? -EAGAIN : error;
	}
	device->proven = true;
	device->retired = retire;
	return 0;
}

/* --- making --- */

/* Who waits for it, and the thread that does it; the later of them frees it. */
struct forbidding {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	uint32_t major, minor;
	bool over, left;
};

static atomic_uint forbidding_threads;

static void forbidding_free(struct forbidding *forbidding)
{
	pthread_cond_destroy(&forbidding->ended);
	pthread_mutex_destroy(&forbidding->lock);
	free(forbidding);
}

static void *forbid_main(void *argument)
{
	struct forbidding *forbidding = argument;
	bool left;

	gate_dm_below_forbid_zeroing(SYSFS, forbidding->major, forbidding->minor);
	pthread_mutex_lock(&forbidding->lock);
	forbidding->over = true;
	left = forbidding->left;
	pthread_cond_signal(&forbidding->ended);
	pthread_mutex_unlock(&forbidding->lock);
	if (left)
		forbidding_free(forbidding);
	atomic_fetch_sub(&forbidding_threads, 1);
	return NULL;
}

static void forbidding_wait(struct forbidding *forbidding)
{
	struct timespec until;
	bool over;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += FORBID_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&forbidding->lock);
	while (!forbidding->over && pthread_cond_clockwait(&forbidding->ended, &forbidding->lock,
							   CLOCK_MONOTONIC, &until) == 0)
		;
	over = forbidding->over;
	forbidding->left = !over;
	pthread_mutex_unlock(&forbidding->lock);
	if (over)
		forbidding_free(forbidding);
}

void gate_dm_device_forbid_zeroing(const struct gate_dm *gate, const struct gate_dm_device *device)
{
	struct forbidding *forbidding;
	pthread_attr_t attributes;
	pthread_t thread;

	if (gate->zero_covered ||
	    !gate_dm_below_zeroes(SYSFS, device->below_major, device->below_minor) ||
	    atomic_load(&forbidding_threads) >= FORBID_THREADS_MOST)
		return;
	forbidding = calloc(1, sizeof(*forbidding));
	if (!forbidding)
		return;
	forbidding->major = device->below_major;
	forbidding->minor = device->below_minor;
	pthread_mutex_init(&forbidding->lock, NULL);
	pthread_cond_init(&forbidding->ended, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&forbidding_threads, 1);
	if (pthread_create(&thread, &attributes, forbid_main, forbidding) == 0) {
		forbidding_wait(forbidding);
	} else {
		atomic_fetch_sub(&forbidding_threads, 1);
		forbidding_free(forbidding);
	}
	pthread_attr_destroy(&attributes);
}

/* What the reservation is not known to cover is not let through. */
int gate_dm_device_forbid(const struct gate_dm *gate, struct gate_dm_device *device)
{
	char path[96], value[32] = "";
	int file, error = 0;

	gate_dm_device_forbid_zeroing(gate, device);
	device->trims = false;
	if (gate->trim_covered)
		return 0;
	device->trims = true;
	snprintf(path, sizeof(path), SYSFS "/dev/block/%u:%u/queue/discard_max_bytes",
		 device->major, device->minor);
	file = open(path, O_RDWR | O_CLOEXEC);
	if (file < 0)
		return -errno;
	if (read(file, value, sizeof(value) - 1) <= 0 ||
	    (strcmp(value, "0\n") != 0 && pwrite(file, "0", 1, 0) != 1))
		error = -EIO;
	close(file);
	device->trims = error != 0;
	return error;
}

int gate_dm_device_link(const struct gate_dm *gate, const struct gate_dm_device *device)
{
	char fresh[PATH_MAX + 8], target[32], *slash;

	snprintf(fresh, sizeof(fresh), "%s", gate->link);
	slash = strrchr(fresh, '/');
	*slash = '\0';
	if (mkdir(fresh, 0755) < 0 && errno != EEXIST)
		return -errno;
	snprintf(fresh, sizeof(fresh), "%s.new", gate->link);
	snprintf(target, sizeof(target), "/dev/dm-%u", device->minor);
	unlink(fresh);
	return symlink(target, fresh) < 0 || rename(fresh, gate->link) < 0 ? -errno : 0;
}

static int create(struct gate_dm *gate, struct gate_dm_thread *thread,
		  struct gate_dm_device *device)
{
	char uuid[GATE_DM_UUID_SIZE];
	struct gate_dm_info info;
	int error = -EBUSY;

	for (int i = 0; i < SERIAL_TRIES && error == -EBUSY; i++) {
		device->serial = gate->next_serial++;
		if (gate->next_serial > GATE_DM_SERIAL_MAX)
			gate->next_serial = 1;
		gate_dm_name(gate->lun, device->serial, device->name);
		error = gate_dm_create(thread->control, device->name,
				       gate_dm_uuid(gate->owner, gate->lun, device->serial, uuid),
				       &info);
	}
	if (error)
		return error;
	device->major = info.major;
	device->minor = info.minor;
	return 0;
}

static int fill(struct gate_dm *gate, struct gate_dm_thread *thread, struct gate_dm_device *device,
		const char **what)
{
	char table[GATE_DM_TABLE_SIZE];
	int error;

	*what = "the table cannot be loaded";
	gate_dm_table_text(device->below_major, device->below_minor, false, table, sizeof(table));
	error = gate_dm_load(thread->control, device->name, device->sectors, GATE_DM_TARGET, table);
	if (error == -EBUSY)
		*what = "something else on this machine uses the device below";
	else if (error == -EINVAL)
		*what = "the kernel does not take the table: are the modules dm_multipath and "
			"dm_round_robin there?";
	if (error)
		return error;
	*what = "it cannot be resumed";
	error = gate_dm_resume(thread->control, device->name);
	if (error)
		return error;
	/* Nobody knows it yet, and its first state is FAILED. */
	*what = "it cannot be switched";
	error = gate_dm_device_switch(thread, device, GATE_STATE_FAILED);
	if (error)
		return error;
	*what = "discards cannot be kept out";
	error = gate_dm_device_forbid(gate, device);
	if (error)
		return error;
	*what = "the link cannot be made";
	return gate_dm_device_link(gate, device);
}

int gate_dm_device_make(struct gate_dm *gate, struct gate_dm_thread *thread, const char *on,
			char *text, size_t text_size)
{
	struct gate_dm_device device = {.state = GATE_STATE_FAILED};
	struct gate_dm_below below;
	const char *what = "it cannot be created";
	int error = gate_dm_below_find(SYSFS, on, gate->wwid, &below, text, text_size);

	if (error)
		return error;
	device.below_major = below.major;
	device.below_minor = below.minor;
	device.sectors = below.sectors;
	error = create(gate, thread, &device);
	if (error == 0) {
		error = fill(gate, thread, &device, &what);
		if (error)
			gate_dm_remove(thread->control, device.name, true);
	}
	if (error) {
		snprintf(text, text_size, "no gate on %.80s: %s: %s", on, what, strerror(-error));
		return error;
	}
	device.there = device.proven = true;
	gate->now = device;
	return 0;
}

int gate_dm_device_resize(struct gate_dm *gate, struct gate_dm_thread *thread,
			  struct gate_dm_device *device, uint64_t sectors)
{
	char table[GATE_DM_TABLE_SIZE];
	int error;

	gate_dm_table_text(device->below_major, device->below_minor, true, table, sizeof(table));
	error = gate_dm_load(thread->control, device->name, sectors, GATE_DM_TARGET, table);
	if (error)
		return error;
	error = suspend_bounded(gate, thread, device);
	if (error == 0)
		error = gate_dm_resume(thread->control, device->name);
	if (error) { /* the table must not become live with a later resume */
		gate_dm_clear(thread->control, device->name);
		return error;
	}
	device->sectors = sectors;
	return gate_dm_device_forbid(gate, device);
}
