/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A service with real agents: small scripts that keep their state in files and write a diary.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/base/cgroup.h"
#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/agents/service_host.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static char folder[64];
static struct config *config;
static struct service_host *host;

static struct {
	char story[500];
	const char *until; /* the loop is stopped when this is the end of the story */
} told;

static void changed(enum arbiter_service state, bool failed, void *user)
{
	(void)user;
	snprintf(told.story + strlen(told.story), sizeof(told.story) - strlen(told.story), "%s%s ",
		 arbiter_service_name(state), failed ? "!" : "");
	if (told.until && strlen(told.story) >= strlen(told.until) &&
	    strcmp(told.story + strlen(told.story) - strlen(told.until), told.until) == 0)
		uv_stop(&loop);
}

static struct config *load(const char *more)
{
	char text[2000];
	struct config_faults faults = {0};
	struct config *loaded;

	snprintf(text, sizeof(text),
		 "cluster = \"demo\" window = 2s node \"jerry\" { id = 1 }\n"
		 "lun \"data\" { device = \"iscsi://h/iqn.2024-01.x:y/1\" wwid = \"t10.x\" }\n"
		 "service \"app\" { luns = { \"data\" }\n"
		 "resource \"store\" { agent = \"exec:%s/agent\" monitor = 100ms params = { "
		 "\"folder=%s\" %s } }\n"
		 "resource \"daemon\" { agent = \"exec:%s/agent\" monitor = 100ms requires = { "
		 "\"store\" } restarts = 1\n"
		 "stop_timeout = 500ms params = { \"folder=%s\" } } }\n",
		 folder, folder, more, folder, folder);
	if (config_load_text("x", text, strlen(text), &loaded, &faults) != 0)
		fprintf(stderr, "%s\n", faults.list[0].text);
	config_faults_free(&faults);
	CU_ASSERT_PTR_NOT_NULL_FATAL(loaded);
	return loaded;
}

static void write_file(const char *name, const char *text)
{
	char path[100];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "w");
	fputs(text, out);
	fclose(out);
	chmod(path, 0700);
}

static void remove_file(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

/* What the agents have done, monitors left out; then forgets it. */
static const char *diary(void)
{
	static char text[2000];
	char path[100];
	FILE *in;

	snprintf(path, sizeof(path), "%s/diary", folder);
	in = fopen(path, "r");
	memset(text, 0, sizeof(text));
	if (in) {
		text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
		fclose(in);
		unlink(path);
	}
	return text;
}

static void begin(void)
{
	struct service_host_options options = {&loop, NULL, "jerry", folder, NULL, changed, NULL};

	log_open(2, LOG_LEVEL_ERROR);
	memset(&told, 0, sizeof(told));
	snprintf(folder, sizeof(folder), "/tmp/test_host.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	write_file("agent",
		   "#!/bin/sh\n"
		   "cd $LUNKEEPER_PARAM_folder || exit 9\n"
		   "r=$LUNKEEPER_RESOURCE\n"
		   "[ $1 = monitor ] || echo \"$1 $r${LUNKEEPER_DEPOSED:+ deposed}\" >>diary\n"
		   "[ -e $1.$r.hangs ] && { echo $$ >pid; exec sleep 60; }\n"
		   "[ -e $1.$r.fails ] && { echo \"no $1 today\"; exit 1; }\n"
		   "[ -e $1.$r.leaves ] && { setsid sleep 300 >/dev/null 2>&1 & echo $! >left; }\n"
		   "case $1 in\n"
		   "start) touch $r.runs ;;\n"
		   "stop) rm -f $r.runs ;;\n"
		   "monitor) [ -e $r.runs ] || exit 7 ;;\n"
		   "esac\n");
	uv_loop_init(&loop);
	config = load("");
	options.group = config_find_group(config, "app");
	host = service_host_open(&options);
	CU_ASSERT_PTR_NOT_NULL_FATAL(host);
	config_free(config); /* nothing of it is needed any more */
	config = NULL;
}

static void end(void)
{
	char command[100];
	int closed;

	service_host_close(host);
	uv_run(&loop, UV_RUN_DEFAULT);
	/* Agents under way were left to themselves; the loop is not kept by them. */
	for (int i = 0; (closed = uv_loop_close(&loop)) == UV_EBUSY && i < 1000; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(10000);
	}
	CU_ASSERT_EQUAL(closed, 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static bool late;

static void give_up(uv_timer_t *timer)
{
	late = true;
	uv_stop(timer->loop);
}

static void freed(uv_handle_t *handle)
{
	free(handle);
}

/* Runs the loop until `told` stops it or this time has passed. */
static void run_for(uint32_t ms)
{
	uv_timer_t *limit = malloc(sizeof(*limit));

	late = false;
	uv_timer_init(&loop, limit);
	uv_timer_start(limit, give_up, ms, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)limit, freed);
}

/* Runs the loop until this is what was told since the last call; 8 s at most. */
static void until(const char *story)
{
	told.until = story;
	if (strcmp(told.story, story) != 0) {
		run_for(8000);
		CU_ASSERT_FALSE(late);
	}
	CU_ASSERT_STRING_EQUAL(told.story, story);
	if (strcmp(told.story, story) != 0)
		fprintf(stderr, "\nexpected '%s', got '%s'\n", story, told.story);
	told.story[0] = '\0';
}

static void pass(uint32_t ms)
{
	told.until = NULL;
	run_for(ms);
}

static void begin_running(void)
{
	begin();
	service_host_adopt(host);
	CU_ASSERT_STRING_EQUAL(told.story, ""); /* never from within */
	until("stopped ");
	service_host_start(host);
	until("starting running ");
	CU_ASSERT_STRING_EQUAL(diary(), "start store\nstart daemon\n");
}

static void starts_and_stops_in_order(void)
{
	begin_running();
	service_host_stop(host, false);
	until("stopping stopped ");
	CU_ASSERT_STRING_EQUAL(diary(), "stop daemon\nstop store\n");
	CU_ASSERT_EQUAL(service_host_state(host), SERVICE_STATE_STOPPED);
	end();
}

static void a_restarted_daemon_finds_it_running(void)
{
	begin();
	write_file("store.runs", "");
	write_file("daemon.runs", "");
	service_host_adopt(host);
	until("running ");
	service_host_stop(host, true);
	until("stopping stopped ");
	CU_ASSERT_STRING_EQUAL(diary(), "stop daemon deposed\nstop store deposed\n");
	end();
}

static void one_that_does_not_say_what_runs_is_not_waited_for(void)
{
	uint64_t begun_ms = clock_now_ms();

	begin();
	write_file("monitor.daemon.hangs", "");
	service_host_adopt(host);
	until("starting ");
	CU_ASSERT_TRUE(clock_now_ms() - begun_ms >= 450); /* a quarter of 2 s */
	CU_ASSERT_TRUE(clock_now_ms() - begun_ms < 1500);
	service_host_stop(host, true);
	until("stopping stopped ");
	end();
}

static void the_arbiter_does_not_hear_of_a_recovery(void)
{
	json_t *json;

	begin_running();
	remove_file("store.runs");
	pass(800);
	CU_ASSERT_STRING_EQUAL(diary(), "stop daemon\nstop store\nstart store\nstart daemon\n");
	CU_ASSERT_STRING_EQUAL(told.story, "");
	CU_ASSERT_EQUAL(service_host_state(host), SERVICE_STATE_RUNNING);
	/* daemon may be restarted once */
	remove_file("daemon.runs");
	pass(500);
	CU_ASSERT_STRING_EQUAL(diary(), "stop daemon\nstart daemon\n");
	remove_file("daemon.runs");
	until("stopping stopped! ");
	CU_ASSERT_TRUE(service_host_failed(host));
	json = service_host_resources_json(host);
	CU_ASSERT_EQUAL(json_array_size(json), 2);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(json, 1), "state")),
			       "stopped");
	json_decref(json);
	end();
}

static void errors_are_kept_for_the_status(void)
{
	json_t *json, *daemon;

	begin();
	write_file("start.daemon.fails", "");
	service_host_start(host);
	until("starting stopping stopped! ");
	json = service_host_resources_json(host);
	daemon = json_array_get(json, 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(daemon, "name")), "daemon");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(daemon, "last_error")),
			       "start exited with status 1: no start today");
	CU_ASSERT_TRUE(json_is_null(json_object_get(json_array_get(json, 0), "last_error")));
	json_decref(json);
	end();
}

static void an_overdue_stop_is_told(void)
{
	begin_running();
	write_file("stop.daemon.hangs", "");
	service_host_stop(host, false);
	until("stopping stopping! ");
	remove_file("stop.daemon.hangs");
	service_host_stop(host, true); /* at once */
	until("stopped ");
	end();
}

static void a_reload_takes_times_at_once_and_agents_when_stopped(void)
{
	struct config *other;

	begin_running();
	other = load(", \"x=1\"");
	CU_ASSERT_EQUAL(service_host_reconfigure(host, config_find_group(other, "app")), -EBUSY);
	config_free(other);
	other = load("");
	CU_ASSERT_EQUAL(service_host_reconfigure(host, config_find_group(other, "app")), 0);
	config_free(other);
	service_host_stop(host, false);
	until("stopping stopped ");
	other = load(", \"x=1\"");
	CU_ASSERT_EQUAL(service_host_reconfigure(host, config_find_group(other, "app")), 0);
	config_free(other);
	service_host_start(host);
	until("starting running ");
	end();
}

static void count_handle(uv_handle_t *handle, void *user)
{
	unsigned *count = user;

	*count += !uv_is_closing(handle);
}

static unsigned handles(void)
{
	unsigned count = 0;

	uv_walk(&loop, count_handle, &count);
	return count;
}

static void it_can_be_forgotten_at_any_time(void)
{
	char command[100], pid[100];

	begin();
	write_file("start.store.hangs", "");
	service_host_start(host);
	snprintf(pid, sizeof(pid), "%s/pid", folder);
	for (int turn = 0; turn < 100 && access(pid, R_OK) != 0; turn++)
		pass(50);
	service_host_close(host);
	host = NULL;
	told.story[0] = '\0';
	remove_file("start.store.hangs");
	pass(100);
	CU_ASSERT_STRING_EQUAL(told.story, "");
	/* nothing waits for it: a daemon that begins itself anew defends nothing meanwhile */
	uv_run(&loop, UV_RUN_NOWAIT); /* what is closing goes */
	CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_NOWAIT), 0);
	/* it goes on by itself */
	snprintf(command, sizeof(command), "kill $(cat %s/pid)", folder);
	CU_ASSERT_EQUAL(system(command), 0);
	for (int turn = 0; turn < 100 && handles() > 0; turn++)
		pass(50); /* where the loop goes on its end is taken */
	end();
}

/* In a session of its own, no signal to the agent's group reaches it. */
static void what_a_stop_leaves_behind_is_killed(void)
{
	char root[512], path[100];
	int left = 0;
	FILE *in;

	if (!cgroup_root(root, sizeof(root))) {
		printf("(no unified hierarchy of control groups here: skipped) ");
		return;
	}
	begin();
	write_file("start.daemon.leaves", "");
	service_host_adopt(host);
	until("stopped ");
	service_host_start(host);
	until("starting running ");
	snprintf(path, sizeof(path), "%s/left", folder);
	in = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	CU_ASSERT_EQUAL(fscanf(in, "%d", &left), 1);
	fclose(in);
	snprintf(path, sizeof(path), "/proc/%d/exe", left);
	CU_ASSERT(readlink(path, root, sizeof(root)) > 0);
	service_host_stop(host, false);
	until("stopping stopped ");
	/* One that is dead and not yet reaped has none. */
	CU_ASSERT(readlink(path, root, sizeof(root)) < 0);
	end();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"starts and stops in order", starts_and_stops_in_order},
		{"a restarted daemon finds it running", a_restarted_daemon_finds_it_running},
		{"one that does not say what runs is not waited for",
		 one_that_does_not_say_what_runs_is_not_waited_for},
		{"the arbiter does not hear of a recovery",
		 the_arbiter_does_not_hear_of_a_recovery},
		{"errors are kept for the status", errors_are_kept_for_the_status},
		{"an overdue stop is told", an_overdue_stop_is_told},
		{"a reload takes times at once and agents when stopped",
		 a_reload_takes_times_at_once_and_agents_when_stopped},
		{"what a stop leaves behind is killed", what_a_stop_leaves_behind_is_killed},
		{"it can be forgotten at any time", it_can_be_forgotten_at_any_time},
		CU_TEST_INFO_NULL,
	};

	return unit_run("services with agents", tests);
}
