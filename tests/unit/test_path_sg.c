/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The `sg` path: names resolved in a made-up sysfs, and the life of a path on a device that
 * answers, hangs and goes, as a test wants it.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "scsi/path_sg.h"
#include "scsi/sg_engine.h"
#include "tests/unit/unit.h"

/* ---- a made-up /sys and /dev ---- */

static char root[64], sysfs[80], dev[80];

__attribute__((format(printf, 1, 2))) static const char *in_root(const char *format, ...)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	va_list arguments;
	int used = snprintf(path, PATH_MAX, "%s/", root);

	va_start(arguments, format);
	vsnprintf(path + used, (size_t)(PATH_MAX - used), format, arguments);
	va_end(arguments);
	return path;
}

static void make_folders(const char *path)
{
	char partial[PATH_MAX];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(partial, sizeof(partial), "%.*s", (int)(slash - path), path);
		mkdir(partial, 0700);
	}
}

static void make_file(const char *path, const char *text)
{
	FILE *file;

	make_folders(path);
	file = fopen(path, "w");
	if (file) {
		fputs(text, file);
		fclose(file);
	}
}

static void make_link(const char *path, const char *target)
{
	make_folders(path);
	if (symlink(target, path) < 0)
		perror(path);
}

/* Device nodes are files that say "b MAJOR MINOR", so that no test needs root. */
static int fake_stat(const char *path, struct stat *result)
{
	unsigned major_number, minor_number;
	char kind;
	FILE *file;

	if (stat(path, result) < 0)
		return -1;
	file = fopen(path, "r");
	if (file && fscanf(file, "%c %u %u", &kind, &major_number, &minor_number) == 3) {
		result->st_mode = kind == 'b' ? S_IFBLK : S_IFCHR;
		result->st_rdev = makedev(major_number, minor_number);
	}
	if (file)
		fclose(file);
	return 0;
}

static const struct sg_roots fake_roots = {.sysfs = sysfs, .dev = dev, .stat = fake_stat};

static void make_node(const char *name, char kind, unsigned major_number, unsigned minor_number)
{
	char text[32];

	snprintf(text, sizeof(text), "%c %u %u\n", kind, major_number, minor_number);
	make_file(in_root("dev/%s", name), text);
}

/* sg < 0: the sg driver is not loaded. */
static void make_disk(const char *name, unsigned minor_number, const char *address, int sg,
		      const char *type)
{
	make_node(name, 'b', 8, minor_number);
	make_file(in_root("sys/devices/%s/type", address), type);
	make_file(in_root("sys/devices/%s/state", address), "running\n");
	make_link(in_root("sys/devices/%s/subsystem", address), "../../bus/scsi");
	make_file(in_root("sys/devices/%s/block/%s/size", address, name), "2048\n");
	make_link(in_root("sys/devices/%s/block/%s/device", address, name),
		  in_root("sys/devices/%s", address));
	make_link(in_root("sys/dev/block/8:%u", minor_number),
		  in_root("sys/devices/%s/block/%s", address, name));
	if (sg < 0)
		return;
	make_node(in_root("dev/sg%d", sg) + strlen(dev) + 1, 'c', 21, (unsigned)sg);
	make_link(in_root("sys/devices/%s/scsi_generic/sg%d/device", address, sg),
		  in_root("sys/devices/%s", address));
	make_link(in_root("sys/dev/char/21:%d", sg),
		  in_root("sys/devices/%s/scsi_generic/sg%d", address, sg));
	make_link(in_root("sys/class/scsi_generic/sg%d", sg),
		  in_root("sys/devices/%s/scsi_generic/sg%d", address, sg));
}

static void make_map(unsigned minor_number, const char *uuid)
{
	char name[16];

	snprintf(name, sizeof(name), "dm-%u", minor_number);
	make_node(name, 'b', 253, minor_number);
	make_file(in_root("sys/devices/virtual/%s/dm/uuid", name), uuid);
	make_file(in_root("sys/devices/virtual/%s/slaves/.hidden", name), "");
	make_link(in_root("sys/dev/block/253:%u", minor_number),
		  in_root("sys/devices/virtual/%s", name));
}

static int make_tree(void)
{
	snprintf(root, sizeof(root), "/tmp/lunkeeper-sg-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	snprintf(sysfs, sizeof(sysfs), "%s/sys", root);
	snprintf(dev, sizeof(dev), "%s/dev", root);
	make_disk("sdb", 16, "1:0:0:1", 3, "0\n");
	make_disk("sdc", 32, "2:0:0:1", 10, "0\n");
	make_disk("sdd", 48, "1:0:0:2", -1, "0\n");
	make_disk("sr0", 64, "5:0:0:0", 7, "5\n");
	make_node("sdb1", 'b', 8, 17);
	make_file(in_root("sys/devices/1:0:0:1/block/sdb/sdb1/partition"), "1\n");
	make_link(in_root("sys/dev/block/8:17"), in_root("sys/devices/1:0:0:1/block/sdb/sdb1"));
	make_link(in_root("dev/disk/by-id/wwn-0x6001"), "../../sdb");
	make_map(0, "mpath-36001405a1b2c3d4e\n");
	make_link(in_root("sys/devices/virtual/dm-0/slaves/sdc"),
		  in_root("sys/devices/2:0:0:1/block/sdc"));
	make_link(in_root("sys/devices/virtual/dm-0/slaves/sdb"),
		  in_root("sys/devices/1:0:0:1/block/sdb"));
	make_link(in_root("dev/mapper/mailstore"), "../dm-0");
	make_map(1, "LVM-abcdef\n");
	make_map(2, "part1-mpath-36001405a1b2c3d4e\n");
	make_map(3, "mpath-3600empty\n");
	make_node("vda", 'b', 252, 0);
	make_file(in_root("sys/devices/virtio0/block/vda/size"), "1\n");
	make_link(in_root("sys/devices/virtio0/subsystem"), "../../bus/virtio");
	make_link(in_root("sys/devices/virtio0/block/vda/device"), in_root("sys/devices/virtio0"));
	make_link(in_root("sys/dev/block/252:0"), in_root("sys/devices/virtio0/block/vda"));
	make_node("ghost", 'b', 8, 200);
	make_node("sg99", 'c', 21, 99);
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw)
{
	(void)status, (void)flag, (void)ftw;
	return remove(path);
}

/* ---- resolving ---- */

static char message[512];
static struct sg_device devices[PATHS_MAX];
static size_t found;

static int resolve(const char *name)
{
	message[0] = '\0';
	return sg_resolve(&fake_roots, in_root("dev/%s", name), devices, PATHS_MAX, &found, message,
			  sizeof(message));
}

static void test_resolve_disk(void)
{
	static const char *const names[] = {"sdb", "disk/by-id/wwn-0x6001", "sg3"};

	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(resolve(names[i]), 0);
		CU_ASSERT_EQUAL(found, 1);
		CU_ASSERT_STRING_EQUAL(devices[0].node, in_root("dev/sg3"));
		CU_ASSERT_STRING_EQUAL(devices[0].address, "1:0:0:1");
	}
}

static void test_resolve_multipath(void)
{
	static const char *const names[] = {"dm-0", "mapper/mailstore"};

	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(resolve(names[i]), 0);
		CU_ASSERT_EQUAL(found, 2);
		CU_ASSERT_STRING_EQUAL(devices[0].node, in_root("dev/sg3"));
		CU_ASSERT_STRING_EQUAL(devices[1].node, in_root("dev/sg10"));
		CU_ASSERT_STRING_EQUAL(devices[1].address, "2:0:0:1");
	}
	CU_ASSERT_EQUAL(sg_resolve(&fake_roots, in_root("dev/dm-0"), devices, 1, &found, message,
				   sizeof(message)),
			-E2BIG);
	CU_ASSERT_EQUAL(found, 0);
}

static void test_resolve_refusals(void)
{
	static const struct {
		const char *name;
		int error;
		const char *says;
	} cases[] = {
		{"none", -ENOENT, "no such device"},
		{"sdb1", -ENODEV, "of the whole disk: name"},
		{"dm-1", -ENODEV, "no multipath map"},
		{"dm-2", -ENODEV, "name the multipath map 36001405a1b2c3d4e"},
		{"dm-3", -ENODEV, "has no path"},
		{"sr0", -ENODEV, "not a disk, but a SCSI device of type 5"},
		{"sg7", -ENODEV, "not a disk, but a SCSI device of type 5"},
		{"sdd", -ENODEV, "modprobe sg"},
		{"sg99", -ENODEV, "modprobe sg"},
		{"vda", -ENODEV, "not a SCSI disk (it belongs to virtio)"},
		{"ghost", -ENODEV, "no such block device (8:200)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CU_ASSERT_EQUAL(resolve(cases[i].name), cases[i].error);
		CU_ASSERT_EQUAL(found, 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, cases[i].says));
		CU_ASSERT_EQUAL(strncmp(message, in_root("dev/%s: ", cases[i].name),
					strlen(in_root("dev/%s: ", cases[i].name))),
				0);
	}
	CU_ASSERT_EQUAL(resolve("sdb1"), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, in_root("dev/sdb")));
}

static void test_resolve_check(void)
{
	struct sg_device device;

	CU_ASSERT_EQUAL(resolve("sdb"), 0);
	device = devices[0];
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), 0);
	make_file(in_root("sys/devices/1:0:0:1/state"), "offline\n");
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), -EHOSTDOWN);
	make_file(in_root("sys/devices/1:0:0:1/state"), "running\n");
	strcpy(device.address, "1:0:0:9");
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), -ESTALE);
	strcpy(device.node, "/dev/sg55");
	CU_ASSERT_EQUAL(sg_resolve_check(&fake_roots, &device), -ENODEV);
}

/* On the machine as it is: what is no SCSI disk is told so, whatever the machine has. */
static void test_refusals_of_the_system(void)
{
	const struct path_kind *const kinds[] = {&path_kind_sg, NULL};
	const struct path_open_options options = {0};
	struct path *paths[PATHS_MAX];
	uv_loop_t loop;
	size_t count = 9;

	uv_loop_init(&loop);
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, "/dev/null", &options, paths, &count, message,
				      sizeof(message)),
			-ENODEV);
	CU_ASSERT_STRING_EQUAL(message,
			       "/dev/null: a character device, but no SCSI generic one; name "
			       "a disk, see `lsblk -S`");
	CU_ASSERT_EQUAL(count, 0);
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, in_root("sys/devices/1:0:0:1/type"), &options,
				      paths, &count, message, sizeof(message)),
			-ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, ": a regular file, not a SCSI disk"));
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, root, &options, paths, &count, message,
				      sizeof(message)),
			-ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, ": a folder, not a SCSI disk"));
	CU_ASSERT_EQUAL(path_open_all(kinds, &loop, "sdb", &options, paths, &count, message,
				      sizeof(message)),
			-ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "sdb: not a device; name one by its path"));
	if (access("/dev/loop0", F_OK) == 0 && access("/sys/dev/block/7:0", F_OK) == 0) {
		CU_ASSERT_EQUAL(path_open_all(kinds, &loop, "/dev/loop0", &options, paths, &count,
					      message, sizeof(message)),
				-ENODEV);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, "/dev/loop0: not a SCSI disk"));
	}
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

/* ---- a device that does as it is told ---- */

enum fake_command { FAKE_GOOD = 0x00, FAKE_DATA = 0x12, FAKE_HANG = 0xf0, FAKE_GONE = 0xf1 };

static pthread_mutex_t fake_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fake_wake = PTHREAD_COND_INITIALIZER;
static bool fake_hangs;
static int fake_open_error;
static atomic_int fake_opened, fake_closed, fake_executed, fake_resets;

static int fake_open(const char *device)
{
	if (fake_open_error < 0 && strstr(device, "/sg3"))
		return fake_open_error;
	fake_opened++;
	return 1000;
}

static void fake_close(int fd)
{
	if (fd == 1000)
		fake_closed++;
}

static void fake_execute(int fd, struct sg_exchange *exchange)
{
	(void)fd;
	fake_executed++;
	pthread_mutex_lock(&fake_mutex);
	while (exchange->cdb[0] == FAKE_HANG && fake_hangs)
		pthread_cond_wait(&fake_wake, &fake_mutex);
	pthread_mutex_unlock(&fake_mutex);
	if (exchange->cdb[0] == FAKE_GONE) {
		exchange->gone = true;
		scsi_result_from_transport(&exchange->result, -ENOTCONN);
		return;
	}
	scsi_result_from_status(&exchange->result, SCSI_STATUS_GOOD, NULL, 0);
	if (exchange->direction == SCSI_DIRECTION_IN) {
		memset(exchange->data, 0x5a, exchange->data_length);
		exchange->result.transferred = exchange->data_length / 2;
	}
}

static void fake_reset(int fd, struct sg_exchange *exchange)
{
	(void)fd;
	fake_resets++;
	scsi_result_from_status(&exchange->result, SCSI_STATUS_GOOD, NULL, 0);
}

static const struct sg_backend fake_backend = {fake_open, fake_close, fake_execute, fake_reset};
static const struct sg_environment fake = {&fake_roots, &fake_backend};

static void fake_release(void)
{
	pthread_mutex_lock(&fake_mutex);
	fake_hangs = false;
	pthread_cond_broadcast(&fake_wake);
	pthread_mutex_unlock(&fake_mutex);
}

/* ---- the life of a path ---- */

static uv_loop_t test_loop;
static struct path *paths[PATHS_MAX];
static size_t path_count;
static unsigned changes, closings, dones;
static char last_reason[128];

static void on_changed(struct path *path, enum path_state state, const char *reason, void *user)
{
	CU_ASSERT_PTR_EQUAL(user, &test_loop);
	CU_ASSERT_EQUAL(path->state, state);
	snprintf(last_reason, sizeof(last_reason), "%s", reason);
	changes++;
}

static void on_closed(void *user)
{
	CU_ASSERT_PTR_EQUAL(user, &closings);
	closings++;
}

static void on_done(struct scsi_request *request)
{
	CU_ASSERT_PTR_NOT_NULL(request->user);
	request->user = NULL; /* a second time is an error */
	dones++;
}

static struct scsi_request *request_new(uint8_t command, uint32_t timeout_ms)
{
	struct scsi_request *request = calloc(1, sizeof(*request));

	request->cdb[0] = command;
	request->cdb_length = 6;
	request->timeout_ms = timeout_ms;
	request->done = on_done;
	request->user = request;
	return request;
}

static struct scsi_request *send_command(uint8_t command, uint32_t timeout_ms)
{
	struct scsi_request *request = request_new(command, timeout_ms);
	unsigned before = dones;

	path_submit(paths[0], request);
	CU_ASSERT_EQUAL(dones, before); /* never from within */
	return request;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

/* Turns the loop until the counter is there; false after that time. */
static bool run_limited(const unsigned *counter, unsigned wanted, uint64_t limit_ms)
{
	uint64_t end_ns = uv_hrtime() + limit_ms * 1000000;
	uv_timer_t tick;

	uv_timer_init(&test_loop, &tick);
	uv_timer_start(&tick, on_tick, 1, 5);
	while (*counter < wanted && uv_hrtime() < end_ns)
		uv_run(&test_loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&test_loop, UV_RUN_NOWAIT);
	return *counter >= wanted;
}

static bool run_until(const unsigned *counter, unsigned wanted)
{
	return run_limited(counter, wanted, 5000);
}

static void run_for(uint64_t ms)
{
	static const unsigned never = 0;

	run_limited(&never, 1, ms);
}

static bool begin(const char *name)
{
	struct path_open_options options = {.changed = on_changed, .user = &test_loop};

	uv_loop_init(&test_loop);
	changes = closings = dones = 0;
	fake_open_error = 0;
	fake_opened = fake_closed = fake_executed = fake_resets = 0;
	fake_hangs = true;
	if (path_sg_open_in(&fake, &test_loop, in_root("dev/%s", name), &options, paths,
			    &path_count, message, sizeof(message)) < 0)
		return false;
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_CONNECTING);
	return run_until(&changes, (unsigned)path_count);
}

/* Everything is let go of: the loop has no handle left, every descriptor is closed. */
static void end(void)
{
	for (size_t i = 0; i < path_count; i++)
		path_close(paths[i], on_closed, &closings);
	CU_ASSERT_TRUE(run_until(&closings, (unsigned)path_count));
	while (uv_run(&test_loop, UV_RUN_DEFAULT) != 0)
		;
	CU_ASSERT_EQUAL(uv_loop_close(&test_loop), 0);
	fake_release();
	for (unsigned i = 0; i < 200 && fake_closed < fake_opened; i++)
		usleep(10000);
	CU_ASSERT_EQUAL(fake_closed, fake_opened);
}

static void test_answers(void)
{
	struct scsi_request *early, *good, *data;
	uint8_t buffer[8] = {0};
	struct path_open_options options = {.changed = on_changed, .user = &test_loop};

	uv_loop_init(&test_loop);
	changes = closings = dones = 0;
	fake_opened = fake_closed = fake_executed = 0;
	CU_ASSERT_EQUAL_FATAL(path_sg_open_in(&fake, &test_loop, in_root("dev/sdb"), &options,
					      paths, &path_count, message, sizeof(message)),
			      0);
	early = send_command(FAKE_GOOD, 1000);
	CU_ASSERT_TRUE(run_until(&dones, 1));
	CU_ASSERT_EQUAL(early->result.error, -ENOTCONN);
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_UP);
	CU_ASSERT_STRING_EQUAL(paths[0]->name, in_root("dev/sg3"));

	good = send_command(FAKE_GOOD, 0);
	data = request_new(FAKE_DATA, 1000);
	data->direction = SCSI_DIRECTION_IN;
	data->data = buffer;
	data->data_length = sizeof(buffer);
	path_submit(paths[0], data);
	CU_ASSERT_TRUE(run_until(&dones, 3));
	CU_ASSERT_EQUAL(good->result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_TRUE(good->result.has_status);
	CU_ASSERT_EQUAL(data->result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(data->result.transferred, 4);
	CU_ASSERT_EQUAL(memcmp(buffer, "\x5a\x5a\x5a\x5a\0\0\0\0", 8), 0);
	free(early);
	free(good);
	free(data);
	end();
}

static void test_hang_is_given_up_and_delays_nothing(void)
{
	struct scsi_request *hung, *good;
	uint64_t began = uv_hrtime();

	CU_ASSERT_TRUE_FATAL(begin("sdb"));
	hung = request_new(FAKE_HANG, 60);
	hung->direction = SCSI_DIRECTION_IN;
	hung->data = malloc(512);
	hung->data_length = 512;
	path_submit(paths[0], hung);
	good = send_command(FAKE_GOOD, 1000);
	CU_ASSERT_TRUE(run_until(&dones, 1));
	CU_ASSERT_PTR_NULL(good->user);
	CU_ASSERT_PTR_NOT_NULL(hung->user);
	CU_ASSERT_TRUE(run_until(&dones, 2));
	CU_ASSERT_EQUAL(hung->result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_EQUAL(hung->result.error, -ETIMEDOUT);
	CU_ASSERT_TRUE(hung->result.duration_us >= 60000 && hung->result.duration_us < 1000000);
	CU_ASSERT_TRUE(uv_hrtime() - began < 1500000000);
	free(hung->data); /* the late answer must not go there */
	free(hung);
	fake_release();
	run_for(50);
	CU_ASSERT_EQUAL(dones, 2);
	free(good);
	end();
}

static void test_full_of_hung_commands(void)
{
	struct scsi_request *hung[PATH_SG_COMMANDS_MAX], *waiting, *late, *reset;

	CU_ASSERT_TRUE_FATAL(begin("sdb"));
	for (unsigned i = 0; i < PATH_SG_COMMANDS_MAX; i++)
		hung[i] = send_command(FAKE_HANG, 1500);
	waiting = send_command(FAKE_GOOD, 40);
	CU_ASSERT_TRUE(run_until(&dones, 1));
	CU_ASSERT_EQUAL(waiting->result.error, -ETIMEDOUT);
	CU_ASSERT_EQUAL(fake_executed, PATH_SG_COMMANDS_MAX);

	reset = request_new(0, 1000);
	path_reset_logical_unit(paths[0], reset);
	CU_ASSERT_TRUE(run_until(&dones, 2));
	CU_ASSERT_EQUAL(reset->result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(fake_resets, 1);

	late = send_command(FAKE_GOOD, 1500);
	run_for(20);
	CU_ASSERT_EQUAL(dones, 2);
	fake_release();
	CU_ASSERT_TRUE(run_until(&dones, 3 + PATH_SG_COMMANDS_MAX));
	CU_ASSERT_EQUAL(late->result.outcome, SCSI_OUTCOME_OK);
	/* What was given up while it waited is never sent. */
	CU_ASSERT_EQUAL(fake_executed, PATH_SG_COMMANDS_MAX + 1);
	for (unsigned i = 0; i < PATH_SG_COMMANDS_MAX; i++) {
		CU_ASSERT_EQUAL(hung[i]->result.outcome, SCSI_OUTCOME_OK);
		free(hung[i]);
	}
	free(waiting);
	free(late);
	free(reset);
	end();
}

static void test_queue_is_bounded(void)
{
	struct scsi_request *requests[PATH_SG_COMMANDS_MAX + PATH_SG_WAITING_MAX + 1];
	const unsigned all = PATH_SG_COMMANDS_MAX + PATH_SG_WAITING_MAX + 1;

	CU_ASSERT_TRUE_FATAL(begin("sdb"));
	for (unsigned i = 0; i < all; i++)
		requests[i] = send_command(FAKE_HANG, 1500);
	CU_ASSERT_TRUE(run_until(&dones, 1));
	CU_ASSERT_EQUAL(requests[all - 1]->result.error, -EBUSY);
	fake_release();
	CU_ASSERT_TRUE(run_until(&dones, all));
	for (unsigned i = 0; i < all; i++) {
		if (i < all - 1)
			CU_ASSERT_EQUAL(requests[i]->result.outcome, SCSI_OUTCOME_OK);
		free(requests[i]);
	}
	end();
}

static void test_closing_does_not_wait_for_the_kernel(void)
{
	struct scsi_request *requests[PATH_SG_COMMANDS_MAX + 2];
	const unsigned all = PATH_SG_COMMANDS_MAX + 2;
	uint64_t began;

	CU_ASSERT_TRUE_FATAL(begin("sdb"));
	for (unsigned i = 0; i < all; i++) {
		requests[i] = request_new(FAKE_HANG, 5000);
		requests[i]->direction = SCSI_DIRECTION_OUT;
		requests[i]->data = malloc(64);
		requests[i]->data_length = 64;
		memset(requests[i]->data, 1, 64);
		path_submit(paths[0], requests[i]);
	}
	run_for(20);
	began = uv_hrtime();
	path_close(paths[0], on_closed, &closings);
	CU_ASSERT_TRUE(run_until(&closings, 1));
	CU_ASSERT_TRUE(uv_hrtime() - began < 500000000);
	CU_ASSERT_EQUAL(dones, all);
	for (unsigned i = 0; i < all; i++) {
		CU_ASSERT_EQUAL(requests[i]->result.outcome, SCSI_OUTCOME_UNKNOWN);
		CU_ASSERT_EQUAL(requests[i]->result.error, -ECANCELED);
		free(requests[i]->data);
		free(requests[i]);
	}
	path_count = 0;
	CU_ASSERT_EQUAL(fake_closed, 0); /* the hung commands keep it */
	end();
}

/* Other paths of the loop stay: the answers of an abandoned path's commands find nobody. */
static void test_closing_one_of_two(void)
{
	struct scsi_request *hung, *good;

	CU_ASSERT_TRUE_FATAL(begin("dm-0"));
	CU_ASSERT_EQUAL_FATAL(path_count, 2);
	hung = send_command(FAKE_HANG, 5000);
	run_for(20);
	path_close(paths[0], on_closed, &closings);
	CU_ASSERT_TRUE(run_until(&dones, 1));
	free(hung);
	fake_release();
	run_for(50);
	paths[0] = paths[1];
	path_count = 1;
	closings = 0;
	good = send_command(FAKE_GOOD, 1000);
	CU_ASSERT_TRUE(run_until(&dones, 2));
	CU_ASSERT_EQUAL(good->result.outcome, SCSI_OUTCOME_OK);
	CU_ASSERT_EQUAL(fake_closed, 1);
	free(good);
	end();
}

static void test_device_goes_and_comes(void)
{
	struct scsi_request *gone, *after, *good;

	CU_ASSERT_TRUE_FATAL(begin("sdb"));
	path_reconnect(paths[0]); /* UP: no effect */
	gone = send_command(FAKE_GONE, 1000);
	CU_ASSERT_TRUE(run_until(&dones, 1));
	CU_ASSERT_EQUAL(gone->result.error, -ENOTCONN);
	CU_ASSERT_TRUE(run_until(&changes, 2));
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_DOWN);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_reason, "gone"));
	CU_ASSERT_EQUAL(fake_closed, 1);
	after = send_command(FAKE_GOOD, 1000);
	CU_ASSERT_TRUE(run_until(&dones, 2));
	CU_ASSERT_EQUAL(after->result.error, -ENOTCONN);

	fake_open_error = -EBUSY;
	path_reconnect(paths[0]);
	CU_ASSERT_TRUE(run_until(&changes, 3));
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_DOWN);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_reason, "another program"));
	fake_open_error = 0;
	path_reconnect(paths[0]);
	CU_ASSERT_TRUE(run_until(&changes, 4));
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_UP);
	good = send_command(FAKE_GOOD, 1000);
	CU_ASSERT_TRUE(run_until(&dones, 3));
	CU_ASSERT_EQUAL(good->result.outcome, SCSI_OUTCOME_OK);
	free(gone);
	free(after);
	free(good);
	end();
}

static void reconnect_when_done(struct scsi_request *request)
{
	path_reconnect(request->user);
	dones++;
}

/* Whoever reconnects at once still learns that the nexus was lost in between. */
static void test_reconnecting_at_once_tells_of_the_loss(void)
{
	struct scsi_request *gone;

	CU_ASSERT_TRUE_FATAL(begin("sdb"));
	gone = request_new(FAKE_GONE, 1000);
	gone->done = reconnect_when_done;
	gone->user = paths[0];
	path_submit(paths[0], gone);
	CU_ASSERT_TRUE(run_until(&changes, 3)); /* up, down, up */
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_UP);
	CU_ASSERT_EQUAL(fake_opened, 2);
	free(gone);
	end();
}

static void test_map_with_a_dead_member(void)
{
	struct path_open_options options = {.changed = on_changed, .user = &test_loop};

	uv_loop_init(&test_loop);
	changes = closings = dones = 0;
	fake_opened = fake_closed = 0;
	fake_open_error = -ENXIO;
	CU_ASSERT_EQUAL(path_sg_open_in(&fake, &test_loop, in_root("dev/dm-0"), &options, paths,
					&path_count, message, sizeof(message)),
			0);
	CU_ASSERT_EQUAL_FATAL(path_count, 2);
	CU_ASSERT_TRUE(run_until(&changes, 2));
	CU_ASSERT_EQUAL(paths[0]->state, PATH_STATE_DOWN);
	CU_ASSERT_EQUAL(paths[1]->state, PATH_STATE_UP);
	end();
}

static void test_no_permission(void)
{
	struct path_open_options options = {.changed = on_changed, .user = &test_loop};

	uv_loop_init(&test_loop);
	fake_open_error = -EACCES;
	CU_ASSERT_EQUAL(path_sg_open_in(&fake, &test_loop, in_root("dev/sdb"), &options, paths,
					&path_count, message, sizeof(message)),
			-EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "/dev/sg3: no permission; run as root"));
	CU_ASSERT_EQUAL(path_count, 0);
	CU_ASSERT_EQUAL(uv_loop_close(&test_loop), 0);
	fake_open_error = 0;
}

static void test_threads_are_used_again(void)
{
	struct sg_engine *engine;

	CU_ASSERT_TRUE_FATAL(begin("dm-0"));
	engine = sg_engine_get(&test_loop);
	for (unsigned i = 0; i < 100; i++) {
		struct scsi_request *request = request_new(FAKE_GOOD, 1000);

		path_submit(paths[i % 2], request);
		CU_ASSERT_TRUE(run_until(&dones, i + 1));
		free(request);
	}
	/* One, or two when the second command came before the first worker had sat down. */
	CU_ASSERT_TRUE(sg_engine_threads(engine) <= 2);
	sg_engine_put(engine);
	end();
}

/* The library's own pass-through, on what is no SCSI device: an error, neither an answer nor a lost
 * device. */
static void test_kernel_backend_without_a_device(void)
{
	struct sg_exchange exchange = {.cdb_length = 6, .kernel_timeout_s = 60};
	int fd = sg_backend_kernel.open("/dev/null");

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	sg_backend_kernel.execute(fd, &exchange);
	CU_ASSERT_EQUAL(exchange.result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_TRUE(exchange.result.error < 0);
	CU_ASSERT_FALSE(exchange.result.has_status || exchange.gone);
	memset(&exchange.result, 0, sizeof(exchange.result));
	sg_backend_kernel.reset_logical_unit(fd, &exchange);
	CU_ASSERT_EQUAL(exchange.result.outcome, SCSI_OUTCOME_UNKNOWN);
	CU_ASSERT_EQUAL(exchange.result.error, -ENOTTY);
	sg_backend_kernel.close(fd);
	CU_ASSERT_EQUAL(sg_backend_kernel.open("/nonexistent/sg0"), -ENOENT);
}

static CU_TestInfo tests[] = {
	{"resolve a disk", test_resolve_disk},
	{"resolve a multipath map", test_resolve_multipath},
	{"what cannot be resolved", test_resolve_refusals},
	{"still the same device", test_resolve_check},
	{"refusals of the system", test_refusals_of_the_system},
	{"answers", test_answers},
	{"a hang is given up and delays nothing", test_hang_is_given_up_and_delays_nothing},
	{"full of hung commands", test_full_of_hung_commands},
	{"the queue is bounded", test_queue_is_bounded},
	{"closing does not wait for the kernel", test_closing_does_not_wait_for_the_kernel},
	{"closing one of two", test_closing_one_of_two},
	{"device goes and comes", test_device_goes_and_comes},
	{"reconnecting at once", test_reconnecting_at_once_tells_of_the_loss},
	{"map with a dead member", test_map_with_a_dead_member},
	{"no permission", test_no_permission},
	{"the kernel's pass-through without a device", test_kernel_backend_without_a_device},
	{"threads are used again", test_threads_are_used_again},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	int status;

	if (make_tree() < 0) {
		perror("a temporary folder");
		return 1;
	}
	status = unit_run("path_sg", tests);
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return status;
}
