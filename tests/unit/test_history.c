/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The history: what was added is found again, and neither a hung, nor a full, nor a damaged
 * database holds anybody up.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/store/history.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static char folder[64], file[96], message[600];
static struct history *history;

static struct {
	int count;
	bool trouble;
	char message[1200];
} noticed;

static struct {
	int count, error;
	size_t events;
	int64_t first, last;
	char text[4000]; /* of all, with blanks between */
	char message[1200];
} found;

static void notice(bool trouble, const char *text, void *user)
{
	(void)user;
	noticed.count++;
	noticed.trouble = trouble;
	snprintf(noticed.message, sizeof(noticed.message), "%s", text);
}

static void answer(int error, const char *text, const struct history_event *events, size_t count,
		   void *user)
{
	(void)user;
	found.count++;
	found.error = error;
	found.events = count;
	found.first = count ? events[0].id : 0;
	found.last = count ? events[count - 1].id : 0;
	snprintf(found.message, sizeof(found.message), "%s", text);
	found.text[0] = '\0';
	for (size_t i = 0; i < count && strlen(found.text) < 3000; i++)
		snprintf(found.text + strlen(found.text), 500, "%s ",
			 events[i].text ? events[i].text : "-");
}

static int open_history(uint32_t days, uint64_t size)
{
	struct history_options options = {file, days, size, notice, NULL};

	return history_open(&history, &loop, &options, message, sizeof(message));
}

static void begin(void)
{
	memset(&noticed, 0, sizeof(noticed));
	memset(&found, 0, sizeof(found));
	snprintf(folder, sizeof(folder), "/tmp/test_history.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/history.db", folder);
	uv_loop_init(&loop);
}

static void close_history(void)
{
	history_close(history, 5000);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void end(void)
{
	char command[100];

	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static int64_t add(const char *group, const char *text)
{
	struct history_event event = {.group = group, .kind = "test", .text = text};

	return history_add(history, &event);
}

/* Waits for the answer. */
static void find(int64_t since, const char *group, uint32_t limit)
{
	struct history_query query = {.since_id = since, .group = group, .limit = limit};

	found.count = 0;
	history_find(history, &query, answer, NULL);
	CU_ASSERT_EQUAL(found.count, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found.count, 1);
}

static void turned(uv_timer_t *timer)
{
	uv_close((uv_handle_t *)timer, NULL);
}

/* The loop takes what has come for it. */
static void turn(void)
{
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, turned, 10, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void what_was_added_is_found(void)
{
	begin();
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	CU_ASSERT_EQUAL(add("mail", "one"), 1);
	CU_ASSERT_EQUAL(add("web", "two"), 2);
	CU_ASSERT_EQUAL(add(NULL, "three"), 3);
	CU_ASSERT_EQUAL(add("mail", "four"), 4);
	find(0, NULL, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "one two three four ");
	find(2, NULL, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "three four ");
	find(0, NULL, 2);
	CU_ASSERT_STRING_EQUAL(found.text, "one two ");
	find(-1, NULL, 2);
	CU_ASSERT_STRING_EQUAL(found.text, "three four ");
	find(0, "mail", 0);
	CU_ASSERT_STRING_EQUAL(found.text, "one four ");
	find(-1, "mail", 1);
	CU_ASSERT_STRING_EQUAL(found.text, "four ");
	find(0, "nobody", 0);
	CU_ASSERT_EQUAL(found.error, 0);
	CU_ASSERT_EQUAL(found.events, 0);
	add("mail", "last"); /* is written while it closes */
	close_history();
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	CU_ASSERT_EQUAL(add("mail", "six"), 6);
	find(4, NULL, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "last six ");
	CU_ASSERT_EQUAL(noticed.count, 0);
	close_history();
	end();
}

static struct {
	struct history_event event;
	char json[1000];
} seen;

static void see(int error, const char *text, const struct history_event *events, size_t count,
		void *user)
{
	char *line;
	json_t *json;

	(void)error;
	(void)text;
	(void)user;
	CU_ASSERT_EQUAL_FATAL(count, 1);
	json = history_event_json(&events[0]);
	line = json_dumps(json, JSON_COMPACT);
	snprintf(seen.json, sizeof(seen.json), "%s", line);
	free(line);
	json_decref(json);
	seen.event = events[0];
}

static void every_member_comes_back(void)
{
	struct history_event event = {.time_ms = 1700000000123,
				      .mono_ms = 55,
				      .group = "mail",
				      .lun = "store",
				      .kind = "rule",
				      .rule = "owner-turn-away",
				      .text = "it's \"so\"",
				      .node = "tom",
				      .details = "{\"a\":[1]}",
				      .key = 0x4c1a2b3101000a01};
	struct history_query query = {0};

	begin();
	CU_ASSERT_EQUAL_FATAL(open_history(36500, 1 << 20), 0);
	history_add(history, &event);
	history_find(history, &query, see, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(seen.event.time_ms, event.time_ms);
	CU_ASSERT_EQUAL(seen.event.key, event.key);
	CU_ASSERT_STRING_EQUAL(
		seen.json,
		"{\"id\":1,\"time_ms\":1700000000123,\"mono_ms\":55,\"group\":\"mail\","
		"\"lun\":\"store\",\"kind\":\"rule\",\"rule\":\"owner-turn-away\","
		"\"text\":\"it's \\\"so\\\"\",\"key\":\"4c1a2b3101000a01\",\"node\":\"tom\","
		"\"details\":{\"a\":[1]}}");
	close_history();
	end();
}

static struct {
	int64_t ids[10];
	size_t count;
	struct history_watch *first, *second;
} watched;

static void watch_second(const struct history_event *event, void *user)
{
	(void)event;
	(void)user;
	watched.ids[watched.count++] = -1;
}

static void watch_first(const struct history_event *event, void *user)
{
	(void)user;
	watched.ids[watched.count++] = event->id;
	history_watch_remove(watched.second);
	history_watch_remove(watched.first);
}

static void watchers_may_go_while_they_are_called(void)
{
	begin();
	memset(&watched, 0, sizeof(watched));
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	watched.second = history_watch_add(history, watch_second, NULL);
	watched.first = history_watch_add(history, watch_first, NULL); /* is called first */
	add(NULL, "one");
	add(NULL, "two");
	CU_ASSERT_EQUAL(watched.count, 1);
	CU_ASSERT_EQUAL(watched.ids[0], 1);
	history_watch_add(history, watch_second, NULL);
	close_history(); /* frees what is left */
	end();
}

static void garbage(const char *path, size_t size)
{
	FILE *out = fopen(path, "w");

	for (size_t i = 0; i < size; i++)
		fputc((int)(i * 7919 % 251), out);
	fclose(out);
}

static bool exists(const char *suffix)
{
	char path[120];

	snprintf(path, sizeof(path), "%s%s", file, suffix);
	return access(path, F_OK) == 0;
}

static void a_damaged_file_is_moved_aside(void)
{
	static char rubbish[40000];
	int fd;

	memset(rubbish, 0x55, sizeof(rubbish));

	begin();
	garbage(file, 20000);
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	add(NULL, "new");
	find(0, NULL, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "new ");
	CU_ASSERT_EQUAL(noticed.count, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(noticed.message, "moved aside"));
	CU_ASSERT_PTR_NOT_NULL(strstr(noticed.message, file));
	CU_ASSERT_TRUE(exists(".damaged"));
	for (int i = 0; i < 2000; i++)
		add("g", "some text that fills pages of the database");
	find(-1, NULL, 1);
	close_history();
	/* damaged behind the first page, so it is found out only later */
	fd = open(file, O_RDWR);
	CU_ASSERT_EQUAL(pwrite(fd, rubbish, sizeof(rubbish), 4096), (ssize_t)sizeof(rubbish));
	close(fd);
	noticed.count = 0;
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	add("g", "after");
	for (int i = 0; i < 3 && !noticed.count; i++)
		find(0, NULL, 0);
	CU_ASSERT_TRUE(noticed.count > 0);
	add("g", "and after");
	find(-1, NULL, 1);
	CU_ASSERT_EQUAL(found.error, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "and after ");
	close_history();
	end();
}

static void what_cannot_be_opened_is_told_and_does_not_matter(void)
{
	begin();
	snprintf(file, sizeof(file), "%s/missing/history.db", folder);
	CU_ASSERT_EQUAL(open_history(90, 1 << 20), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, file));
	CU_ASSERT_PTR_NOT_NULL_FATAL(history);
	CU_ASSERT_EQUAL(add(NULL, "one"), 1);
	find(0, NULL, 0);
	CU_ASSERT_EQUAL(found.error, -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(found.message, file));
	close_history();
	end();
}

static void numbers_go_on_behind_those_of_a_database_that_opens_late(void)
{
	char aside[120];

	begin();
	snprintf(aside, sizeof(aside), "%s.aside", file);
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	add(NULL, "old-1");
	add(NULL, "old-2");
	add(NULL, "old-3");
	close_history();
	CU_ASSERT_EQUAL_FATAL(rename(file, aside), 0);
	CU_ASSERT_EQUAL_FATAL(mkdir(file, 0700), 0); /* what cannot be opened */
	CU_ASSERT_EQUAL(open_history(90, 1 << 20), -EIO);
	add(NULL, "new-1");
	find(0, NULL, 0);
	CU_ASSERT_EQUAL(found.error, -EIO);
	CU_ASSERT_EQUAL_FATAL(rmdir(file), 0);
	CU_ASSERT_EQUAL_FATAL(rename(aside, file), 0);
	add(NULL, "new-2");
	find(0, NULL, 0);
	CU_ASSERT_EQUAL(found.error, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "old-1 old-2 old-3 new-1 new-2 ");
	CU_ASSERT_EQUAL(found.last, 5);
	CU_ASSERT_EQUAL(history_last_id(history), 5);
	CU_ASSERT_EQUAL(add(NULL, "new-3"), 6);
	CU_ASSERT_FALSE(noticed.trouble);
	close_history();
	end();
}

static void a_damaged_file_that_stays_is_told_once(void)
{
	char blocked[160], command[200];

	begin();
	snprintf(blocked, sizeof(blocked), "%s.damaged", file);
	garbage(file, 20000);
	CU_ASSERT_EQUAL_FATAL(mkdir(blocked, 0700), 0);
	CU_ASSERT_EQUAL(open_history(90, 1 << 20), -EIO);
	add(NULL, "one");
	for (int i = 0; i < 3; i++)
		find(0, NULL, 0);
	CU_ASSERT_TRUE(noticed.count <= 1);
	CU_ASSERT_EQUAL_FATAL(rmdir(blocked), 0);
	find(0, NULL, 0);
	CU_ASSERT_EQUAL(found.error, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "one ");
	CU_ASSERT_FALSE(noticed.trouble); /* its end is told, too */
	snprintf(command, sizeof(command), "rm -rf %s", blocked);
	CU_ASSERT_EQUAL(system(command), 0);
	close_history();
	end();
}

static void ask(struct history_query query)
{
	found.count = 0;
	history_find(history, &query, answer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(found.count, 1);
}

static void it_is_asked_by_time_kind_and_node(void)
{
	begin();
	CU_ASSERT_EQUAL_FATAL(open_history(36500, 1 << 20), 0);
	for (int i = 1; i <= 1200; i++) {
		char text[20];
		struct history_event event = {.time_ms = 1700000000000 + i,
					      .group = "mail",
					      .kind = i % 100 ? "state" : "alarm",
					      .node = i % 2 ? "jerry" : "tom",
					      .text = text};

		snprintf(text, sizeof(text), "%d", i);
		history_add(history, &event);
	}
	ask((struct history_query){.since_id = -1, .since_ms = 1700000001198});
	CU_ASSERT_STRING_EQUAL(found.text, "1198 1199 1200 ");
	ask((struct history_query){.since_id = -1, .kind = "alarm", .limit = 2});
	CU_ASSERT_STRING_EQUAL(found.text, "1100 1200 ");
	ask((struct history_query){.since_id = 1000, .kind = "alarm", .node = "tom"});
	CU_ASSERT_STRING_EQUAL(found.text, "1100 1200 ");
	ask((struct history_query){.since_id = 0, .kind = "alarm", .node = "jerry"});
	CU_ASSERT_EQUAL(found.events, 0);
	/* one more than a reader may have: there are more */
	ask((struct history_query){.since_id = 0, .limit = HISTORY_QUERY_LIMIT + 1});
	CU_ASSERT_EQUAL(found.events, HISTORY_QUERY_LIMIT + 1);
	CU_ASSERT_EQUAL(found.first, 1);
	ask((struct history_query){.since_id = 1000, .limit = HISTORY_QUERY_LIMIT + 1});
	CU_ASSERT_EQUAL(found.events, 200);
	CU_ASSERT_EQUAL(found.last, 1200);
	close_history();
	end();
}

static void a_hung_database_costs_events_but_no_time(void)
{
	uint64_t begun_ms;
	sqlite3 *other;
	char told[80];

	begin();
	CU_ASSERT_EQUAL_FATAL(open_history(90, 64 << 20), 0);
	add(NULL, "before");
	find(0, NULL, 0);
	CU_ASSERT_EQUAL(sqlite3_open(file, &other), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	begun_ms = clock_now_ms();
	for (int i = 0; i < HISTORY_QUEUE_MAX + 1000; i++)
		add("g", "x");
	CU_ASSERT_TRUE(clock_now_ms() - begun_ms < 500);
	CU_ASSERT_EQUAL(history_dropped(history), 1000);
	usleep(1500000); /* beyond SQLite's own patience */
	turn();
	CU_ASSERT_EQUAL(noticed.count, 1);
	CU_ASSERT_TRUE(noticed.trouble);
	CU_ASSERT_PTR_NOT_NULL(strstr(noticed.message, "locked"));
	CU_ASSERT_EQUAL(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	/* a query makes it try again at once */
	find(-1, NULL, 2);
	CU_ASSERT_EQUAL(noticed.count, 2);
	CU_ASSERT_FALSE(noticed.trouble);
	snprintf(told, sizeof(told), "x %d events before this one were dropped", 1000);
	CU_ASSERT_EQUAL(strncmp(found.text, told, strlen(told)), 0);
	find(0, NULL, 0);
	CU_ASSERT_EQUAL(found.events, HISTORY_QUERY_LIMIT);
	close_history();
	end();
}

static void it_is_bounded_by_size(void)
{
	struct stat status;
	static char text[400];

	begin();
	memset(text, 'x', sizeof(text) - 1);
	CU_ASSERT_EQUAL_FATAL(open_history(90, 1 << 20), 0);
	for (int i = 0; i < 12; i++) {
		for (int j = 0; j < 1000; j++) /* 400 KiB */
			add("g", text);
		find(-1, NULL, 1);
	}
	CU_ASSERT_EQUAL(found.last, 12000);
	find(0, NULL, 1);
	CU_ASSERT_TRUE(found.first > 8000);
	CU_ASSERT_TRUE(found.first < 11900);
	close_history();
	CU_ASSERT_EQUAL(stat(file, &status), 0);
	CU_ASSERT_TRUE(status.st_size <= 1200000);
	end();
}

static void it_is_bounded_by_age(void)
{
	begin();
	CU_ASSERT_EQUAL_FATAL(open_history(2, 1 << 20), 0);
	for (int day = 5; day >= 0; day--) {
		char text[16];
		struct history_event event = {.kind = "test",
					      .text = text,
					      .time_ms =
						      clock_wall_ms() - day * 86400000ll + 60000};

		snprintf(text, sizeof(text), "%d", day);
		history_add(history, &event);
	}
	find(0, NULL, 0);
	close_history();
	CU_ASSERT_EQUAL_FATAL(open_history(2, 1 << 20), 0);
	add(NULL, "now"); /* the first to be written after a start looks at the bounds */
	find(-1, NULL, 1);
	find(0, NULL, 0);
	CU_ASSERT_STRING_EQUAL(found.text, "2 1 0 now ");
	close_history();
	end();
}

static int full_disk(void)
{
	unsigned failed_before = CU_get_number_of_failures();
	static char filler[1 << 20];
	char path[100];
	int fd;

	begin();
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
	    mount("tmpfs", folder, "tmpfs", 0, "size=256k,mode=0700") != 0)
		return 77;
	CU_ASSERT_EQUAL_FATAL(open_history(90, 64 << 20), 0);
	add("g", "before");
	find(0, NULL, 0);
	snprintf(path, sizeof(path), "%s/filler", folder);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CU_ASSERT_TRUE(write(fd, filler, sizeof(filler)) > 0);
	for (int i = 0; i < 400; i++)
		add("g", "this is longer than what is left of the last page of the file, when "
			 "there are some of it");
	find(-1, NULL, 1);
	CU_ASSERT_TRUE(noticed.trouble);
	CU_ASSERT_PTR_NOT_NULL(strstr(noticed.message, "free space"));
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	close(fd);
	find(-1, NULL, 1); /* tries again at once */
	CU_ASSERT_EQUAL(found.last, 401);
	CU_ASSERT_FALSE(noticed.trouble);
	CU_ASSERT_EQUAL(history_dropped(history), 0);
	close_history();
	umount(folder);
	end();
	for (CU_pFailureRecord failure = CU_get_failure_list(); failure; failure = failure->pNext)
		fprintf(stderr, "\nfull disk: line %u: %s\n", failure->uiLineNumber,
			failure->strCondition);
	return CU_get_number_of_failures() != failed_before;
}

static void a_full_disk_is_told_and_outlived(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(full_disk());
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		fprintf(stderr, "\nno mount namespace here: a full disk was not tried\n");
	else
		CU_ASSERT_EQUAL(status, 0);
}

static long resident_kib(void)
{
	long pages = 0, resident = 0;
	FILE *in = fopen("/proc/self/statm", "r");

	CU_ASSERT_EQUAL(fscanf(in, "%ld %ld", &pages, &resident), 2);
	fclose(in);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void it_stays_small(void)
{
	long before;

	begin();
	before = resident_kib();
	CU_ASSERT_EQUAL_FATAL(open_history(90, 64 << 20), 0);
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 1000; j++)
			add("group", "node jerry turned away the challenge of node tom, as it "
				     "should, once more");
		find(-1, "group", 100);
	}
	fprintf(stderr, "\nthe history of 20000 events takes %ld KiB resident\n",
		resident_kib() - before);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* valgrind's own memory counts there */
	if (!getenv("LD_PRELOAD") || !strstr(getenv("LD_PRELOAD"), "vgpreload"))
		CU_ASSERT_TRUE(resident_kib() - before < 4096);
#endif
	close_history();
	end();
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"it stays small",
		 it_stays_small}, /* first: measures what is added to an empty process */
		{"what was added is found", what_was_added_is_found},
		{"every member comes back", every_member_comes_back},
		{"watchers may go while they are called", watchers_may_go_while_they_are_called},
		{"a damaged file is moved aside", a_damaged_file_is_moved_aside},
		{"what cannot be opened is told and does not matter",
		 what_cannot_be_opened_is_told_and_does_not_matter},
		{"numbers go on behind those of a database that opens late",
		 numbers_go_on_behind_those_of_a_database_that_opens_late},
		{"a damaged file that stays is told once", a_damaged_file_that_stays_is_told_once},
		{"it is asked by time, kind and node", it_is_asked_by_time_kind_and_node},
		{"a hung database costs events but no time",
		 a_hung_database_costs_events_but_no_time},
		{"it is bounded by size", it_is_bounded_by_size},
		{"it is bounded by age", it_is_bounded_by_age},
		{"a full disk is told and outlived", a_full_disk_is_told_and_outlived},
		CU_TEST_INFO_NULL,
	};

	return unit_run("history", tests);
}
