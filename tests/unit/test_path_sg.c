/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of an `sg` path, on a device that answers, hangs and goes as a test wants it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "scsi/path_sg.h"
#include "scsi/sg_engine.h"
#include "tests/unit/sg_tree.h"

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

static char message[512];
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
	hung = request_new(FAKE_HANG, 400);
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
	CU_ASSERT_TRUE(hung->result.duration_us >= 400000 && hung->result.duration_us < 3000000);
	CU_ASSERT_TRUE(uv_hrtime() - began < 4000000000);
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
	waiting = send_command(FAKE_GOOD, 300);
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
	return sg_tree_run("path_sg", tests);
}
