/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate on kernel devices against a real device-mapper: run_gate_dm DISK. DISK (which is
 * overwritten, 32 MiB of it are enough) is put below a `linear` table, whose suspension makes a
 * hanging storage, and whose replacement makes one that fails. Needs root, dmsetup, blockdev.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/gate/dm/gate.h"

#define RUN "/run/lunkeeper-gate-test"
#define BELOW "gate-test-below"
#define BLOCK 4096
#define SECTORS 32768
#define SECTORS_GROWN 49152
#define PATIENCE_MS 60000 /* on emulated machines that others use, too */

static uv_loop_t loop;
static uv_timer_t ticker;
static struct gate_dm *gate;
static const char *disk;
static unsigned passed, failed;
static bool is_closed;

static void result(bool good, const char *what)
{
	printf("%s  %s\n", good ? "passed" : "FAILED", what);
	if (!good) {
		const struct gate_dm_view *view = gate ? gate_dm_view(gate) : NULL;

		if (view)
			printf("        %s, %spresent, %squiet, %sspent, cause %d, %u old, %s %s\n",
			       gate_state_name(view->state), view->present ? "" : "not ",
			       view->quiet ? "" : "not ", view->spent ? "" : "not ", view->cause,
			       view->old, view->device, view->problem);
		failed++;
	} else {
		passed++;
	}
	fflush(stdout);
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
	char command[600];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (system(command) != 0) {
		printf("FAILED  %s\n", command);
		exit(1);
	}
}

static void below(const char *action)
{
	shell("dmsetup %s --noudevsync --noflush --nolockfs " BELOW, action);
}

static void below_table(const char *action, uint64_t sectors, bool fails)
{
	char target[200] = "error";

	if (!fails)
		snprintf(target, sizeof(target), "linear %s 0", disk);
	shell("dmsetup %s --noudevsync " BELOW " --table '0 %llu %s'", action,
	      (unsigned long long)sectors, target);
	if (strcmp(action, "load") == 0)
		below("resume");
}

/* --- the loop --- */

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void on_changed(struct gate_dm *changed, void *user)
{
	(void)changed;
	(void)user;
}

static void run_for(uint32_t ms)
{
	uint64_t until = clock_now_ms() + ms;

	while (clock_now_ms() < until)
		uv_run(&loop, UV_RUN_ONCE);
}

static bool reaches(enum gate_state state, bool quiet)
{
	uint64_t until = clock_now_ms() + PATIENCE_MS;
	const struct gate_dm_view *view = gate_dm_view(gate);

	while (clock_now_ms() < until && (view->state != state || (quiet && !view->quiet)))
		uv_run(&loop, UV_RUN_ONCE);
	return view->state == state && (!quiet || view->quiet);
}

static bool obeys(enum gate_dm_device_want device, enum gate_state state)
{
	uint32_t order = gate_dm_want(gate, device, state);
	uint64_t until = clock_now_ms() + PATIENCE_MS;
	const struct gate_dm_view *view = gate_dm_view(gate);

	while (clock_now_ms() < until &&
	       (view->order != order || view->state != state ||
		(device == GATE_DM_DEVICE_FRESH && (!view->present || view->spent))))
		uv_run(&loop, UV_RUN_ONCE);
	return view->order == order && view->state == state;
}

static void begin(uint32_t hold_limit_ms)
{
	const struct gate_dm_setup setup = {.run_folder = RUN,
					    .name = "test",
					    .device = "/dev/mapper/" BELOW,
					    .hold_limit_ms = hold_limit_ms};
	uint64_t until = clock_now_ms() + PATIENCE_MS;

	gate = gate_dm_new(&loop, &setup, on_changed, NULL);
	while (clock_now_ms() < until && !gate_dm_view(gate)->known)
		uv_run(&loop, UV_RUN_ONCE);
}

static void on_closed(void *user)
{
	(void)user;
	is_closed = true;
}

static void end(bool remove)
{
	is_closed = false;
	gate_dm_free(gate, remove, on_closed, NULL);
	while (!is_closed)
		uv_run(&loop, UV_RUN_ONCE);
	gate = NULL;
}

/* --- I/O --- */

struct io {
	pthread_t thread;
	int file, error; /* error: -1 while it is under way */
	pthread_mutex_t lock;
};

static void *io_main(void *argument)
{
	struct io *io = argument;
	void *block;
	int error = ENOMEM;

	if (posix_memalign(&block, BLOCK, BLOCK) == 0) {
		memset(block, 'x', BLOCK);
		error = pwrite(io->file, block, BLOCK, 0) == BLOCK ? 0 : errno;
		free(block);
	}
	pthread_mutex_lock(&io->lock);
	io->error = error;
	pthread_mutex_unlock(&io->lock);
	return NULL;
}

static int open_device(void)
{
	return open(gate_dm_link(gate), O_RDWR | O_DIRECT | O_CLOEXEC);
}

static void io_start(struct io *io, int file)
{
	io->file = file;
	io->error = -1;
	pthread_mutex_init(&io->lock, NULL);
	pthread_create(&io->thread, NULL, io_main, io);
}

static int io_state(struct io *io)
{
	int error;

	pthread_mutex_lock(&io->lock);
	error = io->error;
	pthread_mutex_unlock(&io->lock);
	return error;
}

/* The loop goes on meanwhile. */
static int io_end(struct io *io)
{
	uint64_t until = clock_now_ms() + PATIENCE_MS;

	while (clock_now_ms() < until && io_state(io) < 0)
		uv_run(&loop, UV_RUN_ONCE);
	if (io_state(io) >= 0)
		pthread_join(io->thread, NULL);
	return io_state(io);
}

static int write_once(int file)
{
	struct io io;

	io_start(&io, file);
	return io_end(&io);
}

/* --- the cases --- */

static void case_states(void)
{
	uint64_t range[2] = {0, 1 << 20};
	struct io io;
	int file;

	result(obeys(GATE_DM_DEVICE_FRESH, GATE_STATE_FAILED) && gate_dm_view(gate)->quiet,
	       "a fresh device is failed, and quiet");
	file = open_device();
	result(file >= 0 && write_once(file) == EIO, "failed: a write ends with EIO");
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN) && write_once(file) == 0,
	       "open: a write passes");
	result(ioctl(file, BLKDISCARD, range) < 0 && errno == EOPNOTSUPP,
	       "open: a discard is not let through");
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_HELD), "held");
	io_start(&io, file);
	run_for(300);
	result(io_state(&io) < 0 && reaches(GATE_STATE_HELD, true),
	       "held: a write waits, and it is quiet");
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN) && io_end(&io) == 0,
	       "open again: the write that waited passes");
	obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_HELD);
	io_start(&io, file);
	run_for(300);
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_FAILED) && io_end(&io) == EIO,
	       "failed: the write that waited ends with EIO");
	result(reaches(GATE_STATE_FAILED, true) && gate_dm_view(gate)->spent,
	       "failed: quiet, and spent");
	gate_dm_want(gate, GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN);
	run_for(1000);
	result(gate_dm_view(gate)->state == GATE_STATE_FAILED && write_once(file) == EIO,
	       "a device that was used and failed never opens again");
	close(file);
}

/* To the kernel; udev's link may come and go later. */
static bool is_known(const char *device)
{
	char command[300];

	snprintf(command, sizeof(command), "dmsetup info %s >/dev/null 2>&1",
		 strrchr(device, '/') + 1);
	return system(command) == 0;
}

static void case_next_term(void)
{
	char before[GATE_DM_PATH_MAX], page[BLOCK];
	int old = open(gate_dm_link(gate), O_RDWR | O_CLOEXEC), file;

	snprintf(before, sizeof(before), "%s", gate_dm_view(gate)->device);
	result(obeys(GATE_DM_DEVICE_FRESH, GATE_STATE_FAILED) &&
		       obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN) &&
		       strcmp(before, gate_dm_view(gate)->device) != 0,
	       "the next term has another device");
	file = open_device();
	result(write_once(file) == 0 && pread(old, page, BLOCK, 1 << 20) < 0,
	       "who has the old one open gets errors, the new one works");
	result(is_known(before), "the old one is there as long as somebody has it");
	close(old);
	run_for(1000);
	result(!is_known(before), "and then goes");
	close(file);
}

static void case_hanging(void)
{
	struct io below_it, waiting;
	int file = open_device();

	below("suspend");
	io_start(&below_it, file);
	run_for(500);
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_HELD), "held while a write hangs below");
	io_start(&waiting, file);
	run_for(2000);
	result(!gate_dm_view(gate)->quiet && io_state(&waiting) < 0 && io_state(&below_it) < 0,
	       "held: not quiet, nothing has failed");
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_FAILED) && io_end(&waiting) == EIO,
	       "failed while a write hangs below: what waited ends with EIO");
	result(write_once(file) == EIO, "failed while a write hangs below: a new write ends");
	run_for(2000);
	result(!gate_dm_view(gate)->quiet && io_state(&below_it) < 0, "failed: not quiet");
	below("resume");
	result(io_end(&below_it) == 0 && reaches(GATE_STATE_FAILED, true),
	       "quiet when the storage has answered");
	close(file);
}

static void case_errors(void)
{
	struct io io;
	int file;

	obeys(GATE_DM_DEVICE_FRESH, GATE_STATE_FAILED);
	obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN);
	file = open_device();
	below_table("load", SECTORS, true);
	io_start(&io, file);
	result(reaches(GATE_STATE_HELD, true) && gate_dm_view(gate)->cause == GATE_DM_CAUSE_ERROR &&
		       io_state(&io) < 0,
	       "an error below: held by itself, and the write waits");
	below_table("load", SECTORS, false);
	run_for(500);
	result(gate_dm_view(gate)->state == GATE_STATE_HELD, "it does not open by itself");
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN) && io_end(&io) == 0,
	       "open again: the write passes");
	close(file);
}

static void case_adopted(void)
{
	char before[GATE_DM_PATH_MAX], name[GATE_DM_PATH_MAX];
	int file = open_device();

	snprintf(before, sizeof(before), "%s", gate_dm_view(gate)->device);
	end(false);
	begin(PATIENCE_MS);
	result(gate_dm_view(gate)->state == GATE_STATE_OPEN &&
		       strcmp(before, gate_dm_view(gate)->device) == 0 && write_once(file) == 0,
	       "a new daemon finds it open");
	obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_HELD);
	end(false);
	/* As if it had been killed between a suspend and the resume of a larger table. */
	snprintf(name, sizeof(name), "%s", strrchr(before, '/') + 1);
	shell("dmsetup load --noudevsync %s --table \"$(dmsetup table %s)\"", name, name);
	shell("dmsetup suspend --noudevsync --noflush --nolockfs %s", name);
	begin(PATIENCE_MS);
	run_for(500);
	result(gate_dm_view(gate)->state == GATE_STATE_HELD,
	       "what was left half done does not open it");
	result(obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN) && write_once(file) == 0,
	       "and is cleared away");
	close(file);
}

static void case_grown(void)
{
	uint64_t until = clock_now_ms() + PATIENCE_MS, range[2] = {0, 1 << 20};
	uint64_t size = gate_dm_view(gate)->size;
	int file = open_device();

	below_table("load", SECTORS_GROWN, false);
	while (clock_now_ms() < until && gate_dm_view(gate)->size == size)
		uv_run(&loop, UV_RUN_ONCE);
	result(size == SECTORS * 512 && gate_dm_view(gate)->size == SECTORS_GROWN * 512 &&
		       gate_dm_view(gate)->state == GATE_STATE_OPEN && write_once(file) == 0,
	       "grown below: so does it, open all the time");
	result(ioctl(file, BLKDISCARD, range) < 0 && errno == EOPNOTSUPP,
	       "and a discard is not let through then");
	close(file);
}

static void case_limits(void)
{
	struct io io;
	int file = open_device();

	gate_dm_set_hold_limit(gate, 1500);
	obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_HELD);
	io_start(&io, file);
	result(reaches(GATE_STATE_FAILED, true) &&
		       gate_dm_view(gate)->cause == GATE_DM_CAUSE_OVER && io_end(&io) == EIO,
	       "nobody waits for longer than the limit");
	close(file);
}

static const char *name_of_gate(void)
{
	return strrchr(gate_dm_view(gate)->device, '/') + 1;
}

static int next_open(void)
{
	bool fresh = obeys(GATE_DM_DEVICE_FRESH, GATE_STATE_FAILED);
	int file = open_device();

	result(fresh && obeys(GATE_DM_DEVICE_KEEP, GATE_STATE_OPEN) && write_once(file) == 0,
	       "the next one opens");
	return file;
}

/* Whatever somebody does to the device itself: it is failed and quiet, or as it was. */
static void case_usurped(void)
{
	int file = next_open();
	struct io io;

	shell("dmsetup suspend --noudevsync --noflush --nolockfs %s", name_of_gate());
	io_start(&io, file);
	result(io_end(&io) == 0 && gate_dm_view(gate)->state == GATE_STATE_OPEN,
	       "somebody suspended it: resumed");
	shell("dmsetup wipe_table --noudevsync %s", name_of_gate());
	result(reaches(GATE_STATE_FAILED, true) && gate_dm_view(gate)->spent &&
		       gate_dm_view(gate)->cause != GATE_DM_CAUSE_ORDERED &&
		       write_once(file) == EIO,
	       "its table was wiped: failed by itself, and quiet");
	close(file);
	close(next_open());
	shell("dmsetup remove --noudevsync --force %s", name_of_gate());
	result(reaches(GATE_STATE_FAILED, true) && !gate_dm_view(gate)->present,
	       "it was removed: failed by itself, and quiet");
	close(next_open());
}

int main(int argc, char **argv)
{
	if (argc != 2 || geteuid() != 0) {
		fprintf(stderr, "run_gate_dm DISK (as root; it is overwritten)\n");
		return 2;
	}
	disk = argv[1];
	uv_loop_init(&loop);
	uv_timer_init(&loop, &ticker);
	uv_timer_start(&ticker, on_tick, 20, 20);
	mkdir(RUN, 0755);
	below_table("create", SECTORS, false);
	begin(PATIENCE_MS);
	case_states();
	case_next_term();
	case_hanging();
	case_errors();
	case_adopted();
	case_grown();
	case_limits();
	case_usurped();
	end(true);
	shell("! dmsetup ls | grep -q ^lunkeeper-test");
	result(access(RUN "/dev/test", F_OK) < 0, "closed: nothing is left");
	shell("dmsetup remove --noudevsync " BELOW);
	uv_close((uv_handle_t *)&ticker, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
