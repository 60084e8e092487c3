/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the watchdog is armed and fed: groups through their lives, in made-up time. And what the
 * device's opener says about files that are no watchdog.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/daemon/watchdog.h"
#include "cluster/core/watchdog_policy.h"
#include "tests/unit/unit.h"

static struct watchdog_watch watch;
static struct watchdog_group group;
static uint64_t due;

static enum watchdog_verdict at(uint64_t now_ms)
{
	return watchdog_judge(&watch, &group, now_ms, &due);
}

static void begin(enum arbiter_state state, enum arbiter_service service, enum arbiter_gate gate,
		  bool quiet, unsigned resources)
{
	group = (struct watchdog_group){.known = true,
					.state = state,
					.service = service,
					.gate = gate,
					.quiet = quiet,
					.resources = resources,
					.limit_ms = 10000};
}

static void test_rest(void)
{
	memset(&watch, 0, sizeof(watch));
	memset(&group, 0, sizeof(group));
	CU_ASSERT_EQUAL(at(1), WATCHDOG_VERDICT_UNKNOWN);
	begin(ARBITER_STATE_STANDBY, ARBITER_SERVICE_STOPPED, ARBITER_GATE_FAILED, true, 0);
	CU_ASSERT_EQUAL(at(2), WATCHDOG_VERDICT_REST);
	group.state = ARBITER_STATE_CHALLENGING;
	CU_ASSERT_EQUAL(at(3), WATCHDOG_VERDICT_REST);
	group.state = ARBITER_STATE_REQUESTING;
	CU_ASSERT_EQUAL(at(4), WATCHDOG_VERDICT_REST);
	group.state = ARBITER_STATE_RELEASED;
	CU_ASSERT_EQUAL(at(5), WATCHDOG_VERDICT_REST);
	CU_ASSERT_EQUAL(due, UINT64_MAX);
}

/* However long: whose LUN it is, that is what counts. */
static void test_owner(void)
{
	static const enum arbiter_state owning[] = {
		ARBITER_STATE_SEIZING,     ARBITER_STATE_TAKING,   ARBITER_STATE_OWNER,
		ARBITER_STATE_REASSERTING, ARBITER_STATE_YIELDING, ARBITER_STATE_OFFERING};

	memset(&watch, 0, sizeof(watch));
	for (size_t i = 0; i < sizeof(owning) / sizeof(owning[0]); i++) {
		begin(owning[i], ARBITER_SERVICE_STOPPING, ARBITER_GATE_HELD, false, 3);
		CU_ASSERT_EQUAL(at(1000), WATCHDOG_VERDICT_OWNS);
		CU_ASSERT_EQUAL(at(100000000), WATCHDOG_VERDICT_OWNS);
	}
}

static void test_overdue(void)
{
	memset(&watch, 0, sizeof(watch));
	begin(ARBITER_STATE_OWNER, ARBITER_SERVICE_RUNNING, ARBITER_GATE_OPEN, false, 2);
	at(1000);
	begin(ARBITER_STATE_DEPOSED, ARBITER_SERVICE_STOPPING, ARBITER_GATE_OPEN, false, 2);
	CU_ASSERT_EQUAL(at(50000), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(due, 60000);
	group.gate = ARBITER_GATE_FAILED; /* progress */
	CU_ASSERT_EQUAL(at(51000), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(due, 61000);
	CU_ASSERT_EQUAL(at(60999), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(at(61000), WATCHDOG_VERDICT_OVERDUE);
	CU_ASSERT_EQUAL(at(70000), WATCHDOG_VERDICT_OVERDUE);
	CU_ASSERT_EQUAL(due, 61000);
	group.resources = 1; /* it goes on in the last moment */
	CU_ASSERT_EQUAL(at(70500), WATCHDOG_VERDICT_STOPPING);
	group.resources = 0;
	group.service = ARBITER_SERVICE_STOPPED;
	group.quiet = true;
	CU_ASSERT_EQUAL(at(71000), WATCHDOG_VERDICT_REST);
}

/* A resource that fails to stop again and again comes and goes; that is no progress. */
static void test_slow_and_stuck(void)
{
	memset(&watch, 0, sizeof(watch));
	begin(ARBITER_STATE_DEPOSED, ARBITER_SERVICE_STOPPING, ARBITER_GATE_FAILED, true, 4);
	for (unsigned i = 0; i < 3; i++) { /* slow: each takes nearly the limit */
		CU_ASSERT_EQUAL(at(1000 + i * 9999), WATCHDOG_VERDICT_STOPPING);
		group.resources--;
	}
	CU_ASSERT_EQUAL(at(1000 + 3 * 9999), WATCHDOG_VERDICT_STOPPING);
	group.resources = 2;
	CU_ASSERT_EQUAL(at(36000), WATCHDOG_VERDICT_STOPPING);
	group.resources = 1;
	CU_ASSERT_EQUAL(at(40996), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(at(40997), WATCHDOG_VERDICT_OVERDUE);
}

/* A standby that is not at rest, as after a restart of the daemon, and one that came
 * back to own. */
static void test_return(void)
{
	memset(&watch, 0, sizeof(watch));
	begin(ARBITER_STATE_STANDBY, ARBITER_SERVICE_STOPPED, ARBITER_GATE_FAILED, false, 0);
	CU_ASSERT_EQUAL(at(5000), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(at(15000), WATCHDOG_VERDICT_OVERDUE);
	begin(ARBITER_STATE_CUT_OFF, ARBITER_SERVICE_STOPPING, ARBITER_GATE_HELD, true, 1);
	memset(&watch, 0, sizeof(watch));
	CU_ASSERT_EQUAL(at(20000), WATCHDOG_VERDICT_STOPPING);
	begin(ARBITER_STATE_OWNER, ARBITER_SERVICE_RUNNING, ARBITER_GATE_OPEN, true, 1);
	CU_ASSERT_EQUAL(at(29000), WATCHDOG_VERDICT_OWNS);
	begin(ARBITER_STATE_CUT_OFF, ARBITER_SERVICE_STOPPING, ARBITER_GATE_HELD, true, 1);
	CU_ASSERT_EQUAL(at(31000), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(due, 41000);
}

/* Somebody works on the storage: the service is not stopped, and is not to be. What another node
 * has taken meanwhile is. */
static void test_maintenance(void)
{
	memset(&watch, 0, sizeof(watch));
	begin(ARBITER_STATE_CUT_OFF, ARBITER_SERVICE_RUNNING, ARBITER_GATE_HELD, false, 2);
	group.maintenance = true;
	CU_ASSERT_EQUAL(at(1000), WATCHDOG_VERDICT_OWNS);
	group.gate = ARBITER_GATE_FAILED;
	CU_ASSERT_EQUAL(at(1000000), WATCHDOG_VERDICT_OWNS);
	group.state = ARBITER_STATE_DEPOSED;
	CU_ASSERT_EQUAL(at(1000500), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(at(1010500), WATCHDOG_VERDICT_OVERDUE);
	/* It is over: now it is stopped. */
	memset(&watch, 0, sizeof(watch));
	begin(ARBITER_STATE_CUT_OFF, ARBITER_SERVICE_STOPPING, ARBITER_GATE_FAILED, true, 2);
	CU_ASSERT_EQUAL(at(2000000), WATCHDOG_VERDICT_STOPPING);
	CU_ASSERT_EQUAL(at(2010000), WATCHDOG_VERDICT_OVERDUE);
}

static void test_times(void)
{
	CU_ASSERT_EQUAL(watchdog_limit_ms(30000, 60000, ARBITER_STATE_DEPOSED, 20000), 90000);
	CU_ASSERT_EQUAL(watchdog_limit_ms(30000, 60000, ARBITER_STATE_CUT_OFF, 20000), 100000);
	CU_ASSERT_EQUAL(watchdog_limit_ms(UINT32_MAX, UINT32_MAX, ARBITER_STATE_CUT_OFF, 2),
			UINT32_MAX);
	CU_ASSERT_EQUAL(watchdog_feed_interval_ms(10000), 2500);
	CU_ASSERT_EQUAL(watchdog_feed_interval_ms(1), 1);
}

static void test_no_device(void)
{
	char message[500];
	struct watchdog *watchdog;

	CU_ASSERT_EQUAL(
		watchdog_open(&watchdog, "/nonexistent/watchdog", 10000, message, sizeof(message)),
		-ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "softdog"));
	CU_ASSERT_PTR_NULL(watchdog);
	CU_ASSERT_EQUAL(watchdog_open(&watchdog, "/dev/null", 10000, message, sizeof(message)),
			-ENOTTY);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "/dev/null: this is no watchdog device"));
}

/* systemd may have the other one. */
static void test_two_devices(void)
{
	CU_ASSERT_TRUE(watchdog_is_same("/dev/watchdog", "/dev/watchdog0"));
	CU_ASSERT_TRUE(watchdog_is_same("/dev/watchdog1", "/dev/watchdog1"));
	CU_ASSERT_FALSE(watchdog_is_same("/dev/watchdog1", "/dev/watchdog"));
	CU_ASSERT_FALSE(watchdog_is_same("/dev/watchdog1", "/dev/watchdog10"));
	CU_ASSERT_TRUE(watchdog_is_same("/dev/by-name/softdog", "/dev/watchdog1"));
	CU_ASSERT_FALSE(watchdog_is_same("/dev/watchdog", "/dev/watchdogx"));
	CU_ASSERT_FALSE(watchdog_is_same("/dev/watchdog", "/dev/null"));
}

static CU_TestInfo tests[] = {
	{"at rest", test_rest},
	{"owner", test_owner},
	{"overdue", test_overdue},
	{"slow and stuck", test_slow_and_stuck},
	{"return", test_return},
	{"maintenance", test_maintenance},
	{"times", test_times},
	{"no device", test_no_device},
	{"two devices", test_two_devices},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("watchdog", tests);
}
