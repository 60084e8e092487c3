/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The service's step function in virtual time. What it does is kept as a line of text, "1000 run
 * store start", and whole stories are compared.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/core/service.h"
#include "tests/unit/unit.h"

static const char *const names[] = {"store", "address", "smtp", "web"};

static struct {
	struct service service;
	uint64_t now_ms, deadline_ms;
	struct {
		uint32_t id;
		uint8_t resource;
		enum service_operation operation;
	} running[256];
	size_t running_count;
	char trace[20000];
	bool traced;
	enum arbiter_service told;
	bool told_failed;
} world;

static void trace(const char *text)
{
	if (world.traced)
		snprintf(world.trace + strlen(world.trace),
			 sizeof(world.trace) - strlen(world.trace), "%llu %s\n",
			 (unsigned long long)world.now_ms, text);
}

static void note(const struct service_effect *effect)
{
	const char *name = effect->resource < 4 ? names[effect->resource] : "-";
	char text[120];

	switch (effect->kind) {
	case SERVICE_EFFECT_RUN:
		CU_ASSERT_FATAL(world.running_count < 256);
		world.running[world.running_count].id = effect->id;
		world.running[world.running_count].resource = effect->resource;
		world.running[world.running_count++].operation = effect->operation;
		CU_ASSERT_NOT_EQUAL(effect->id, 0);
		snprintf(text, sizeof(text), "run %s %s%s", name,
			 service_operation_name(effect->operation),
			 effect->deposed ? " deposed" : "");
		trace(text);
		break;
	case SERVICE_EFFECT_KILL:
		snprintf(text, sizeof(text), "kill %s", name);
		trace(text);
		break;
	case SERVICE_EFFECT_STATE:
		world.told = effect->arbiter_state;
		world.told_failed = effect->failed;
		snprintf(text, sizeof(text), "service %s%s", service_state_name(effect->new_state),
			 effect->failed ? " failed" : "");
		trace(text);
		break;
	case SERVICE_EFFECT_RESOURCE:
		CU_ASSERT_NOT_EQUAL(effect->old_resource, effect->new_resource);
		break;
	}
}

static void step(const struct service_event *event)
{
	struct service_effects effects;

	world.deadline_ms = service_step(&world.service, world.now_ms, event, &effects);
	for (size_t i = 0; i < effects.count; i++)
		note(&effects.items[i]);
}

static void order(enum service_event_kind kind)
{
	struct service_event event = {.kind = kind};

	step(&event);
}

static void stop(bool deposed)
{
	struct service_event event = {.kind = SERVICE_EVENT_STOP, .deposed = deposed};

	step(&event);
}

static void maintenance(bool on)
{
	struct service_event event = {.kind = SERVICE_EVENT_MAINTENANCE, .on = on};

	step(&event);
}

static void held(bool on)
{
	struct service_event event = {.kind = SERVICE_EVENT_HELD, .on = on};

	step(&event);
}

static void end_running(size_t at, enum service_result result)
{
	struct service_event event = {
		.kind = SERVICE_EVENT_ENDED, .id = world.running[at].id, .result = result};

	world.running[at] = world.running[--world.running_count];
	step(&event);
}

/* Ends the operation that is under way for this resource. */
static void ended(const char *name, enum service_result result)
{
	for (size_t i = world.running_count; i-- > 0;)
		if (strcmp(names[world.running[i].resource], name) == 0) {
			end_running(i, result);
			return;
		}
	CU_FAIL_FATAL("nothing is under way for it");
}

static void pass(uint64_t ms)
{
	uint64_t until_ms = world.now_ms + ms;

	while (world.deadline_ms <= until_ms) {
		world.now_ms = world.deadline_ms;
		order(SERVICE_EVENT_TICK);
	}
	world.now_ms = until_ms;
}

/* Compares what happened since the last call. */
static void expect(const char *story)
{
	if (strcmp(world.trace, story) != 0)
		fprintf(stderr, "\nexpected:\n%sgot:\n%s", story, world.trace);
	CU_ASSERT_STRING_EQUAL(world.trace, story);
	world.trace[0] = '\0';
}

/* store and address stand alone, smtp needs both, web needs smtp. */
static void begin(uint8_t count, uint8_t restarts)
{
	struct service_config config = {.resource_count = count};

	for (uint8_t i = 0; i < count; i++)
		config.resources[i] =
			(struct service_resource_config){0, 10000, 20000, 60000, 60000, restarts};
	if (count > 2)
	config.resources[2].
		requires
	= 3;
	if (count > 3)
	config.resources[3].
		requires
	= 4;
	memset(&world, 0, sizeof(world));
	world.now_ms = 1000;
	world.deadline_ms = SERVICE_NEVER;
	world.traced = true;
	CU_ASSERT_EQUAL_FATAL(service_init(&world.service, &config), 0);
}

static void begin_running(uint8_t count, uint8_t restarts)
{
	begin(count, restarts);
	order(SERVICE_EVENT_START);
	while (world.running_count > 0)
		end_running(0, SERVICE_RESULT_OK);
	CU_ASSERT_EQUAL_FATAL(world.service.state, SERVICE_STATE_RUNNING);
	world.trace[0] = '\0';
}

/* ---- stories ---- */

static void starts_in_order_and_in_parallel(void)
{
	begin(4, 3);
	order(SERVICE_EVENT_START);
	expect("1000 service starting\n1000 run store start\n1000 run address start\n");
	world.now_ms = 1100;
	ended("address", SERVICE_RESULT_OK);
	expect("");
	ended("store", SERVICE_RESULT_OK);
	expect("1100 run smtp start\n");
	ended("smtp", SERVICE_RESULT_OK);
	ended("web", SERVICE_RESULT_OK);
	expect("1100 run web start\n1100 service running\n");
	CU_ASSERT_EQUAL(world.told, ARBITER_SERVICE_RUNNING);
	order(SERVICE_EVENT_START); /* again: told again, nothing else */
	expect("1100 service running\n");
}

static void stops_in_reverse(void)
{
	begin_running(4, 3);
	stop(false);
	expect("1000 service stopping\n1000 run web stop\n");
	ended("web", SERVICE_RESULT_OK);
	expect("1000 run smtp stop\n");
	ended("smtp", SERVICE_RESULT_OK);
	expect("1000 run store stop\n1000 run address stop\n");
	ended("store", SERVICE_RESULT_OK);
	expect("");
	ended("address", SERVICE_RESULT_OK);
	expect("1000 service stopped\n");
	stop(false);
	expect("1000 service stopped\n");
}

static void each_is_monitored_at_its_interval(void)
{
	begin_running(2, 3);
	world.service.resources[1].due_ms = SERVICE_NEVER; /* as with monitor = 0 */
	pass(9999);
	expect("");
	pass(1);
	expect("11000 run store monitor\n");
	pass(5000); /* a slow one is not asked again before it has answered */
	ended("store", SERVICE_RESULT_OK);
	expect("");
	pass(10000);
	expect("26000 run store monitor\n");
}

static void a_failed_resource_is_restarted_with_what_needs_it(void)
{
	begin_running(4, 3);
	pass(10000);
	world.trace[0] = '\0';
	ended("address", SERVICE_RESULT_OK);
	ended("web", SERVICE_RESULT_OK);
	ended("smtp", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_NOT_RUNNING);
	expect("11000 service recovering\n11000 run web stop\n");
	CU_ASSERT_EQUAL(world.told, ARBITER_SERVICE_RUNNING); /* the arbiter need not know */
	ended("web", SERVICE_RESULT_OK);
	ended("smtp", SERVICE_RESULT_OK);
	expect("11000 run smtp stop\n11000 run store stop\n"); /* address stays */
	ended("store", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_OK);
	ended("smtp", SERVICE_RESULT_OK);
	ended("web", SERVICE_RESULT_OK);
	expect("11000 run store start\n11000 run smtp start\n11000 run web start\n11000 service "
	       "running\n");
}

static void fail_and_recover(void)
{
	pass(10000);
	ended("store", SERVICE_RESULT_FAILED);
	ended("store", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_OK);
}

static void restarts_are_counted_within_an_hour(void)
{
	begin_running(1, 2);
	fail_and_recover();
	fail_and_recover();
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_RUNNING);
	world.trace[0] = '\0';
	pass(10000);
	ended("store", SERVICE_RESULT_FAILED); /* the third */
	expect("31000 run store monitor\n31000 service stopping\n31000 run store stop\n");
	ended("store", SERVICE_RESULT_OK);
	expect("31000 service stopped failed\n");
	CU_ASSERT_TRUE(world.told_failed);

	/* an hour after the first it may be restarted again */
	begin_running(1, 2);
	fail_and_recover(); /* at 11 s */
	fail_and_recover(); /* at 21 s */
	while (world.now_ms + 10000 < 11000 + SERVICE_RESTART_WINDOW_MS) {
		pass(10000);
		ended("store", SERVICE_RESULT_OK);
	}
	fail_and_recover();
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_RUNNING);
	fail_and_recover();
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_RUNNING);
	pass(10000);
	ended("store", SERVICE_RESULT_FAILED);
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_STOPPING);
}

static void without_restarts_the_first_failure_counts(void)
{
	begin_running(1, 0);
	pass(10000);
	ended("store", SERVICE_RESULT_TIMED_OUT);
	ended("store", SERVICE_RESULT_OK);
	expect("11000 run store monitor\n11000 service stopping\n11000 run store stop\n11000 "
	       "service stopped failed\n");
	/* a new start forgets */
	order(SERVICE_EVENT_START);
	ended("store", SERVICE_RESULT_OK);
	expect("11000 service starting\n11000 run store start\n11000 service running\n");
}

static void a_start_that_fails_stops_everything(void)
{
	begin(3, 3);
	order(SERVICE_EVENT_START);
	ended("store", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	ended("address", SERVICE_RESULT_FAILED);
	expect("1000 service stopping\n1000 run store stop\n1000 run address stop\n");
	ended("address", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_OK);
	expect("1000 service stopped failed\n");
}

static void a_restart_whose_start_fails_is_tried_again(void)
{
	begin_running(1, 2);
	pass(10000);
	ended("store", SERVICE_RESULT_NOT_RUNNING);
	ended("store", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	ended("store", SERVICE_RESULT_FAILED); /* the start */
	expect("11000 run store stop\n");
	ended("store", SERVICE_RESULT_OK);
	expect("11000 run store start\n");
	ended("store", SERVICE_RESULT_FAILED);
	expect("11000 service stopping\n11000 run store stop\n");
	ended("store", SERVICE_RESULT_OK);
	expect("11000 service stopped failed\n");
}

static void a_stop_that_fails_is_told_and_tried_again(void)
{
	begin_running(2, 3);
	stop(false);
	ended("address", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	ended("store", SERVICE_RESULT_TIMED_OUT);
	expect("1000 service stopping failed\n");
	CU_ASSERT_EQUAL(world.told, ARBITER_SERVICE_STOPPING);
	CU_ASSERT_TRUE(world.told_failed);
	pass(SERVICE_STOP_RETRY_MS);
	expect("6000 run store stop\n");
	ended("store", SERVICE_RESULT_FAILED);
	pass(SERVICE_STOP_RETRY_MS);
	ended("store", SERVICE_RESULT_OK);
	expect("6000 service stopping failed\n11000 run store stop\n11000 service stopped\n");
}

static void what_cannot_be_stopped_is_not_restarted(void)
{
	begin_running(2, 3);
	pass(10000);
	ended("address", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_FAILED);
	world.trace[0] = '\0';
	ended("store", SERVICE_RESULT_FAILED); /* the stop */
	expect("11000 service stopping failed\n11000 run address stop\n");
	ended("address", SERVICE_RESULT_OK);
	pass(SERVICE_STOP_RETRY_MS);
	ended("store", SERVICE_RESULT_OK);
	expect("16000 run store stop\n16000 service stopped failed\n");
}

static void deposed_kills_what_would_wait(void)
{
	begin(3, 3);
	order(SERVICE_EVENT_START);
	ended("store", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	stop(true);
	expect("1000 service stopping\n1000 kill address\n1000 run store stop deposed\n");
	stop(true); /* again: not killed twice */
	expect("");
	ended("address", SERVICE_RESULT_FAILED);
	expect("1000 run address stop deposed\n");
	ended("address", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_OK);
	expect("1000 service stopped\n");

	/* an overdue stop is repeated at once, and a monitor is not waited for */
	begin_running(2, 3);
	pass(10000);
	ended("address", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	stop(false);
	expect("11000 service stopping\n11000 kill store\n11000 run store stop\n11000 run address "
	       "stop\n");
	ended("address", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_FAILED);
	stop(true);
	expect("11000 service stopping failed\n11000 run store stop deposed\n");
}

static void a_stop_waits_for_a_start_under_way(void)
{
	begin(2, 3);
	order(SERVICE_EVENT_START);
	ended("address", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	stop(false);
	expect("1000 service stopping\n1000 run address stop\n");
	ended("store", SERVICE_RESULT_OK);
	expect("1000 run store stop\n");
}

static void a_start_during_a_stop_comes_after_it(void)
{
	begin_running(1, 3);
	stop(false);
	order(SERVICE_EVENT_START);
	ended("store", SERVICE_RESULT_OK);
	expect("1000 service stopping\n1000 run store stop\n1000 service stopped\n1000 service "
	       "starting\n"
	       "1000 run store start\n");
	ended("store", SERVICE_RESULT_OK);
	stop(false);
	order(SERVICE_EVENT_START);
	stop(false); /* taken back */
	ended("store", SERVICE_RESULT_OK);
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_STOPPED);
}

static void adopts_what_runs(void)
{
	begin(3, 3);
	order(SERVICE_EVENT_ADOPT);
	expect("1000 service starting\n1000 run store monitor\n1000 run address monitor\n1000 run "
	       "smtp monitor\n");
	ended("smtp", SERVICE_RESULT_OK);
	ended("store", SERVICE_RESULT_OK);
	expect("");
	ended("address", SERVICE_RESULT_OK);
	expect("1000 service running\n");
	pass(10000);
	expect("11000 run store monitor\n11000 run address monitor\n11000 run smtp monitor\n");
}

static void adopts_what_is_stopped(void)
{
	begin(2, 3);
	order(SERVICE_EVENT_ADOPT);
	ended("store", SERVICE_RESULT_NOT_RUNNING);
	world.trace[0] = '\0';
	ended("address", SERVICE_RESULT_NOT_RUNNING);
	expect("1000 service stopped\n");
	CU_ASSERT_FALSE(world.told_failed);
	order(SERVICE_EVENT_START);
	expect("1000 service starting\n1000 run store start\n1000 run address start\n");
}

static void what_runs_in_part_begins_anew(void)
{
	begin(3, 3);
	order(SERVICE_EVENT_ADOPT);
	ended("store", SERVICE_RESULT_OK);
	ended("address", SERVICE_RESULT_FAILED);
	world.trace[0] = '\0';
	ended("smtp", SERVICE_RESULT_NOT_RUNNING);
	expect("1000 service stopping\n1000 run store stop\n1000 run address stop\n");
	ended("store", SERVICE_RESULT_OK);
	ended("address", SERVICE_RESULT_OK);
	expect("1000 service stopped\n");
}

static void deposed_while_adopting(void)
{
	begin(2, 3);
	order(SERVICE_EVENT_ADOPT);
	ended("store", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	stop(true);
	expect("1000 service stopping\n1000 kill address\n1000 run store stop deposed\n1000 run "
	       "address stop deposed\n");
	end_running(0, SERVICE_RESULT_OK); /* the killed monitor: forgotten */
	expect("");
}

static void nothing_is_touched_in_maintenance(void)
{
	begin_running(2, 0);
	pass(10000);
	ended("store", SERVICE_RESULT_OK);
	world.trace[0] = '\0';
	maintenance(true);
	expect("11000 kill address\n");
	end_running(0,
		    SERVICE_RESULT_FAILED); /* what was killed, or what the administrator stopped */
	pass(1000000);
	stop(false);
	pass(1000000);
	expect("");
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_RUNNING);
	order(SERVICE_EVENT_START); /* takes the stop back */
	world.trace[0] = '\0';
	maintenance(false);
	expect("2011000 run store monitor\n2011000 run address monitor\n"); /* is all as it was? */
	ended("store", SERVICE_RESULT_OK);
	ended("address", SERVICE_RESULT_OK);
	maintenance(true);
	world.trace[0] = '\0';
	stop(false);
	maintenance(false);
	expect("2011000 service stopping\n2011000 run store stop\n2011000 run address stop\n");
}

static void a_held_gate_excuses_monitors(void)
{
	begin_running(2, 0);
	pass(10000); /* both monitors are under way */
	world.trace[0] = '\0';
	ended("address", SERVICE_RESULT_OK);
	held(true);
	pass(100000); /* no other begins */
	expect("");
	ended("store", SERVICE_RESULT_TIMED_OUT);
	pass(100000);
	expect("");
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_RUNNING);
	held(false);
	expect("211000 run store monitor\n211000 run address monitor\n");
	held(true); /* one that is under way when it is held for a moment only is excused, too */
	held(false);
	ended("store", SERVICE_RESULT_FAILED);
	ended("address", SERVICE_RESULT_OK);
	expect("211000 run store monitor\n");
	ended("store", SERVICE_RESULT_FAILED); /* the gate is open: it is the service's failure */
	CU_ASSERT_EQUAL(world.service.state, SERVICE_STATE_STOPPING);
}

static void a_lost_lun_ends_maintenance(void)
{
	begin_running(1, 3);
	maintenance(true);
	stop(true);
	ended("store", SERVICE_RESULT_OK);
	expect("1000 service stopping\n1000 run store stop deposed\n1000 service stopped\n");
	order(SERVICE_EVENT_START);
	expect("");
	maintenance(false);
	expect("1000 service starting\n1000 run store start\n");
}

static void a_service_without_resources_runs_at_once(void)
{
	begin(0, 0);
	order(SERVICE_EVENT_ADOPT);
	expect("1000 service starting\n1000 service stopped\n");
	order(SERVICE_EVENT_START);
	expect("1000 service starting\n1000 service running\n");
	stop(true);
	expect("1000 service stopping\n1000 service stopped\n");
}

static void impossible_configurations_are_refused(void)
{
	struct service service;
	struct service_config config = {.resource_count = 2};

	config.resources[0].
		requires
	= 2;
	config.resources[1].
		requires
	= 1;
	CU_ASSERT_EQUAL(service_init(&service, &config), -EINVAL);
	config.resources[1].
		requires
	= 0;
	CU_ASSERT_EQUAL(service_init(&service, &config), 0);
	config.resources[1].
		requires
	= 4; /* there is no third */
	CU_ASSERT_EQUAL(service_init(&service, &config), -EINVAL);
	config.resources[1].
		requires
	= 2;
	CU_ASSERT_EQUAL(service_init(&service, &config), -EINVAL);
	config.resources[1].
		requires
	= 0;
	config.resources[1].restarts = SERVICE_RESTARTS_MAX + 1;
	CU_ASSERT_EQUAL(service_init(&service, &config), -EINVAL);
	config.resource_count = SERVICE_RESOURCES_MAX + 1;
	CU_ASSERT_EQUAL(service_init(&service, &config), -EINVAL);
}

static void times_change_while_it_runs(void)
{
	struct service_config config;

	begin_running(2, 3);
	config = world.service.config;
	config.resources[0].monitor_ms = 2000;
	config.resources[1].monitor_ms = 0;
	CU_ASSERT_EQUAL(service_reconfigure(&world.service, &config), 0);
	order(SERVICE_EVENT_TICK);
	pass(20000);
	expect("3000 run store monitor\n");
	config.resources[1].
		requires
	= 1;
	CU_ASSERT_EQUAL(service_reconfigure(&world.service, &config), -EINVAL);
}

/* ---- any events at all ---- */

static uint64_t seed;

static uint32_t any(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void any_event(void)
{
	static const enum service_result results[] = {
		SERVICE_RESULT_OK,          SERVICE_RESULT_OK,     SERVICE_RESULT_OK,
		SERVICE_RESULT_NOT_RUNNING, SERVICE_RESULT_FAILED, SERVICE_RESULT_TIMED_OUT};
	struct service_event event = {.kind = SERVICE_EVENT_ENDED, .id = any(1000)};

	world.now_ms += any(8000);
	switch (any(13)) {
	case 12:
		held(any(2));
		break;
	case 0:
		order(SERVICE_EVENT_START);
		break;
	case 1:
		stop(any(2));
		break;
	case 2:
		maintenance(any(2));
		break;
	case 3:
		order(SERVICE_EVENT_ADOPT);
		break;
	case 4: /* nonsense, or a second end */
		for (size_t i = 0; i < world.running_count; i++)
			if (world.running[i].id == event.id)
				return;
		step(&event);
		break;
	default:
		if (world.running_count > 0)
			end_running(any((uint32_t)world.running_count), results[any(6)]);
		else
			order(SERVICE_EVENT_TICK);
		break;
	}
}

/* Whatever came before: out of maintenance, told to be up or down, and all going well, it gets
 * there. */
static void settle(bool up)
{
	maintenance(false);
	held(false);
	if (!up)
		stop(any(2));
	for (int round = 0; round < 1000; round++) {
		while (world.running_count > 0)
			end_running(any((uint32_t)world.running_count), SERVICE_RESULT_OK);
		if (up && world.service.state == SERVICE_STATE_RUNNING)
			return;
		if (!up && world.service.state == SERVICE_STATE_STOPPED)
			return;
		if (up)
			order(SERVICE_EVENT_START);
		world.now_ms += 5000;
		order(SERVICE_EVENT_TICK);
	}
	fprintf(stderr, "\nnever %s, now %s\n", up ? "running" : "stopped",
		service_state_name(world.service.state));
	CU_FAIL("it does not settle");
}

static void it_always_settles(void)
{
	for (uint32_t run = 1; run <= 3000; run++) {
		struct service_config config = {0};

		seed = run;
		memset(&world, 0, sizeof(world));
		config.resource_count = (uint8_t)any(9);
		for (uint8_t i = 0; i < config.resource_count; i++) {
			config.resources[i] = (struct service_resource_config){
				0, any(2) * 10000, 1000, 1000, 1000, 2};
			for (uint8_t j = 0; j < i; j++)
				if (any(3) == 0)
			config.resources[i].
				requires
			|= 1ull << j;
		}
		CU_ASSERT_EQUAL_FATAL(service_init(&world.service, &config), 0);
		for (int i = 0; i < 80; i++)
			any_event(); /* the invariants are checked inside */
		settle(any(2));
		settle(false);
		settle(true);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"starts in order and in parallel", starts_in_order_and_in_parallel},
		{"stops in reverse", stops_in_reverse},
		{"each is monitored at its interval", each_is_monitored_at_its_interval},
		{"a failed resource is restarted with what needs it",
		 a_failed_resource_is_restarted_with_what_needs_it},
		{"restarts are counted within an hour", restarts_are_counted_within_an_hour},
		{"without restarts the first failure counts",
		 without_restarts_the_first_failure_counts},
		{"a start that fails stops everything", a_start_that_fails_stops_everything},
		{"a restart whose start fails is tried again",
		 a_restart_whose_start_fails_is_tried_again},
		{"a stop that fails is told and tried again",
		 a_stop_that_fails_is_told_and_tried_again},
		{"what cannot be stopped is not restarted",
		 what_cannot_be_stopped_is_not_restarted},
		{"deposed kills what would wait", deposed_kills_what_would_wait},
		{"a stop waits for a start under way", a_stop_waits_for_a_start_under_way},
		{"a start during a stop comes after it", a_start_during_a_stop_comes_after_it},
		{"adopts what runs", adopts_what_runs},
		{"adopts what is stopped", adopts_what_is_stopped},
		{"what runs in part begins anew", what_runs_in_part_begins_anew},
		{"deposed while adopting", deposed_while_adopting},
		{"nothing is touched in maintenance", nothing_is_touched_in_maintenance},
		{"a held gate excuses monitors", a_held_gate_excuses_monitors},
		{"a lost LUN ends maintenance", a_lost_lun_ends_maintenance},
		{"a service without resources runs at once",
		 a_service_without_resources_runs_at_once},
		{"impossible configurations are refused", impossible_configurations_are_refused},
		{"times change while it runs", times_change_while_it_runs},
		{"it always settles", it_always_settles},
		CU_TEST_INFO_NULL,
	};

	return unit_run("service", tests);
}
