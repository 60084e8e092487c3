/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Agents that behave and agents that do not, as small shell scripts.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/agents/agent.h"
#include "cluster/base/clock.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static char folder[64], script[96];

static struct {
	int count;
	struct agent_result result;
	char error[700], output[AGENT_OUTPUT_MAX + 1];
	uint64_t at_ms;
} got;

static void done(const struct agent_result *result, void *user)
{
	(void)user;
	got.count++;
	got.result = *result;
	snprintf(got.error, sizeof(got.error), "%s", result->error ? result->error : "");
	snprintf(got.output, sizeof(got.output), "%s", result->output);
	got.at_ms = clock_now_ms();
}

static void begin(const char *text)
{
	FILE *out;

	memset(&got, 0, sizeof(got));
	snprintf(folder, sizeof(folder), "/tmp/test_agent.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(script, sizeof(script), "%s/agent", folder);
	out = fopen(script, "w");
	fprintf(out, "#!/bin/sh\n%s\n", text);
	fclose(out);
	CU_ASSERT_EQUAL(chmod(script, 0700), 0);
	uv_loop_init(&loop);
}

static void end(void)
{
	char command[100];

	CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static struct agent *run(enum service_operation operation, uint32_t timeout_ms)
{
	static const char *const environment[] = {"PATH=/usr/bin:/bin", "COLOUR=blue", NULL};
	struct agent_options options = {.path = script,
					.operation = operation,
					.environment = environment,
					.timeout_ms = timeout_ms,
					.done = done};
	struct agent *agent = agent_run(&loop, &options);

	CU_ASSERT_PTR_NOT_NULL_FATAL(agent);
	CU_ASSERT_EQUAL(got.count, 0); /* never from within */
	return agent;
}

/* Runs a script to its end. */
static void story(const char *text, enum service_operation operation)
{
	begin(text);
	run(operation, 5000);
	end();
	CU_ASSERT_EQUAL(got.count, 1);
}

static void exit_statuses_are_judged(void)
{
	static const struct {
		const char *text;
		enum service_operation operation;
		enum service_result result;
		int status;
	} cases[] = {
		{"exit 0", SERVICE_OPERATION_START, SERVICE_RESULT_OK, 0},
		{"exit 1", SERVICE_OPERATION_START, SERVICE_RESULT_FAILED, 1},
		{"exit 7", SERVICE_OPERATION_START, SERVICE_RESULT_FAILED, 7},
		{"exit 3", SERVICE_OPERATION_STOP, SERVICE_RESULT_FAILED, 3},
		{"exit 0", SERVICE_OPERATION_MONITOR, SERVICE_RESULT_OK, 0},
		{"exit 7", SERVICE_OPERATION_MONITOR, SERVICE_RESULT_NOT_RUNNING, 7},
		{"exit 3", SERVICE_OPERATION_MONITOR, SERVICE_RESULT_NOT_RUNNING, 3},
		{"exit 1", SERVICE_OPERATION_MONITOR, SERVICE_RESULT_FAILED, 1},
		{"[ \"$*\" = stop ]", SERVICE_OPERATION_STOP, SERVICE_RESULT_OK, 0},
		{"[ \"$*\" = monitor ]", SERVICE_OPERATION_MONITOR, SERVICE_RESULT_OK, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		story(cases[i].text, cases[i].operation);
		CU_ASSERT_EQUAL(got.result.result, cases[i].result);
		CU_ASSERT_EQUAL(got.result.exit_status, cases[i].status);
		CU_ASSERT_EQUAL(got.result.signal, 0);
	}
}

static void failures_are_told_in_a_sentence(void)
{
	story("echo first; echo mount: no such device >&2; exit 32", SERVICE_OPERATION_START);
	CU_ASSERT_STRING_EQUAL(got.error, "start exited with status 32: mount: no such device");
	CU_ASSERT_STRING_EQUAL(got.output, "first\nmount: no such device");
	story("kill -SEGV $$", SERVICE_OPERATION_MONITOR);
	CU_ASSERT_EQUAL(got.result.signal, SIGSEGV);
	CU_ASSERT_PTR_NOT_NULL(strstr(got.error, "monitor was killed by signal 11"));
	story("echo all is well", SERVICE_OPERATION_MONITOR);
	CU_ASSERT_STRING_EQUAL(got.error, "");
	CU_ASSERT_STRING_EQUAL(got.output, "all is well");
	story("printf 'b\\303\\244d \\377 \\001 \\342\\202'; exit 1", SERVICE_OPERATION_STOP);
	CU_ASSERT_STRING_EQUAL(got.output, "b\xc3\xa4"
					   "d ? ? ??");
}

static void only_the_end_of_long_output_is_kept(void)
{
	story("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exit 1",
	      SERVICE_OPERATION_START);
	CU_ASSERT_EQUAL(strlen(got.output), AGENT_OUTPUT_MAX - 1); /* without the last newline */
	CU_ASSERT_STRING_EQUAL(got.output + strlen(got.output) - 10, "\nline 1999");
	CU_ASSERT_STRING_EQUAL(got.error, "start exited with status 1: line 1999");
}

static void what_cannot_be_run_is_named(void)
{
	char expected[200];

	/* valgrind makes a fork() of posix_spawn(), which then cannot say why it failed */
	if (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "vgpreload"))
		return;
	begin("");
	CU_ASSERT_EQUAL(unlink(script), 0);
	run(SERVICE_OPERATION_START, 0);
	end();
	snprintf(expected, sizeof(expected), "%s cannot be run: No such file or directory", script);
	CU_ASSERT_STRING_EQUAL(got.error, expected);
	CU_ASSERT_EQUAL(got.result.result, SERVICE_RESULT_FAILED);
	begin("");
	CU_ASSERT_EQUAL(chmod(script, 0600), 0);
	run(SERVICE_OPERATION_START, 100);
	end();
	CU_ASSERT_PTR_NOT_NULL(strstr(got.error, "Permission denied"));
}

static void a_time_out_ends_the_whole_group(void)
{
	uint64_t begun_ms = clock_now_ms();
	char command[200];

	begin("sleep 61.5 & sleep 61.5");
	run(SERVICE_OPERATION_START, 200);
	end();
	CU_ASSERT_EQUAL(got.result.result, SERVICE_RESULT_TIMED_OUT);
	CU_ASSERT_STRING_EQUAL(got.error, "start did not end within 200 ms and was killed");
	CU_ASSERT_TRUE(got.at_ms - begun_ms < 2000);
	snprintf(command, sizeof(command), "! ps -eo args | grep -q '^sleep 61[.]5'");
	CU_ASSERT_EQUAL(system(command), 0);
}

static void one_that_ignores_sigterm_is_killed(void)
{
	uint64_t begun_ms = clock_now_ms();

	begin("trap '' TERM; while :; do sleep 0.05; done");
	run(SERVICE_OPERATION_STOP, 100);
	end();
	CU_ASSERT_EQUAL(got.result.result, SERVICE_RESULT_TIMED_OUT);
	CU_ASSERT_EQUAL(got.result.signal, SIGKILL);
	CU_ASSERT_TRUE(got.at_ms - begun_ms >= AGENT_KILL_GRACE_MS);
	CU_ASSERT_TRUE(got.at_ms - begun_ms < AGENT_KILL_GRACE_MS + 1500);
}

static void one_may_be_ended_from_outside(void)
{
	uint64_t begun_ms = clock_now_ms();
	struct agent *agent;

	begin("trap '' TERM; while :; do sleep 0.05; done");
	agent = run(SERVICE_OPERATION_MONITOR, 0);
	agent_kill(agent, true);
	agent_kill(agent, true);
	end();
	CU_ASSERT_EQUAL(got.count, 1);
	CU_ASSERT_EQUAL(got.result.result, SERVICE_RESULT_FAILED);
	CU_ASSERT_STRING_EQUAL(got.error, "monitor was ended");
	CU_ASSERT_TRUE(got.at_ms - begun_ms < 1500);
}

/* A start script that leaves a daemon behind with its output still open must not be waited for. */
static void a_daemon_left_behind_is_not_waited_for(void)
{
	uint64_t begun_ms = clock_now_ms();
	char command[200], *pid;

	story("setsid sleep 30 & echo $!", SERVICE_OPERATION_START);
	CU_ASSERT_EQUAL(got.result.result, SERVICE_RESULT_OK);
	CU_ASSERT_STRING_EQUAL(got.error, "");
	CU_ASSERT_TRUE(got.at_ms - begun_ms < 2000);
	pid = got.output;
	CU_ASSERT_TRUE_FATAL(atoi(pid) > 1);                      /* 0 would be everybody here */
	snprintf(command, sizeof(command), "kill %d", atoi(pid)); /* and it lives */
	CU_ASSERT_EQUAL(system(command), 0);
}

static void nothing_is_inherited(void)
{
	struct sched_param real_time = {.sched_priority = 1};
	bool raised;
	int leak,
		before = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as some library might */

	leak = fcntl(before, F_DUPFD, 100);
	signal(SIGPIPE, SIG_IGN);
	raised = sched_setscheduler(0, SCHED_RR, &real_time) == 0;
	story("ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; pwd; echo $COLOUR $HOME;"
	      " awk '/^SigIgn|^SigBlk/ {print substr($2, 10)}' /proc/self/status; awk '{print "
	      "$41}' "
	      "/proc/self/stat",
	      SERVICE_OPERATION_START);
	if (raised) {
		real_time.sched_priority = 0;
		sched_setscheduler(0, SCHED_OTHER, &real_time);
	} else {
		fprintf(stderr, "\nno real-time priority here: its reset was not tried\n");
	}
	close(before);
	close(leak);
	/* 3 is ls's own; the signals up to 28 (glibc ignores two of its own above); scheduling
	 * policy 0 is SCHED_OTHER */
	CU_ASSERT_STRING_EQUAL(got.output, "0 1 2 3 /dev/null\n/\nblue\n0000000\n0000000\n0");
}

static const char *find(char **environment, const char *name)
{
	for (; *environment; environment++)
		if (strncmp(*environment, name, strlen(name)) == 0 &&
		    (*environment)[strlen(name)] == '=')
			return *environment + strlen(name) + 1;
	return NULL;
}

static void the_environment_tells_everything(void)
{
	static const char text[] =
		"cluster = \"demo\" node \"jerry\" { id = 1 }\n"
		"lun \"mail-store.1\" { device = \"iscsi://h/iqn.2024-01.x:y/1\" wwid = \"t10.x\" "
		"}\n"
		"service \"mail\" { luns = { \"mail-store.1\" } resource \"store\" {\n"
		"agent = \"exec:/bin/true\" params = { \"device=@mail-store.1\", \"opts=a=b, c\" } "
		"} }\n";
	struct config_faults faults = {0};
	struct config *config;
	struct agent_environment_options options = {NULL, NULL, "jerry", "/run/lk", false};
	char **environment;

	CU_ASSERT_EQUAL_FATAL(config_load_text("x", text, strlen(text), &config, &faults), 0);
	options.group = &config->groups[0];
	options.resource = &config->groups[0].resources[0];
	environment = agent_environment(&options);
	CU_ASSERT_STRING_EQUAL(find(environment, "LUNKEEPER_GROUP"), "mail");
	CU_ASSERT_STRING_EQUAL(find(environment, "LUNKEEPER_NODE"), "jerry");
	CU_ASSERT_STRING_EQUAL(find(environment, "LUNKEEPER_RESOURCE"), "store");
	CU_ASSERT_STRING_EQUAL(find(environment, "LUNKEEPER_DEVICE_MAIL_STORE_1"),
			       "/run/lk/dev/mail-store.1");
	CU_ASSERT_STRING_EQUAL(find(environment, "LUNKEEPER_PARAM_device"),
			       "/run/lk/dev/mail-store.1");
	CU_ASSERT_STRING_EQUAL(find(environment, "OCF_RESKEY_opts"), "a=b, c");
	CU_ASSERT_PTR_NULL(find(environment, "LUNKEEPER_DEPOSED"));
	agent_environment_free(environment);
	options.deposed = true;
	environment = agent_environment(&options);
	CU_ASSERT_STRING_EQUAL(find(environment, "LUNKEEPER_DEPOSED"), "1");
	agent_environment_free(environment);
	config_free(config);
	config_faults_free(&faults);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"exit statuses are judged", exit_statuses_are_judged},
		{"failures are told in a sentence", failures_are_told_in_a_sentence},
		{"only the end of long output is kept", only_the_end_of_long_output_is_kept},
		{"what cannot be run is named", what_cannot_be_run_is_named},
		{"a time-out ends the whole group", a_time_out_ends_the_whole_group},
		{"one that ignores SIGTERM is killed", one_that_ignores_sigterm_is_killed},
		{"one may be ended from outside", one_may_be_ended_from_outside},
		{"a daemon left behind is not waited for", a_daemon_left_behind_is_not_waited_for},
		{"nothing is inherited", nothing_is_inherited},
		{"the environment tells everything", the_environment_tells_everything},
		CU_TEST_INFO_NULL,
	};

	return unit_run("agents", tests);
}
