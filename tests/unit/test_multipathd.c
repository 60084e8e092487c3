/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What multipathd is told, by a program in its place that writes down its arguments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/agents/multipathd.h"
#include "tests/unit/unit.h"

static uv_loop_t loop;
static char folder[64], program[96], said[96];
static unsigned problems, solved, settlings, closings;
static char last_problem[500];

static void on_problem(const char *problem, void *user)
{
	(void)user;
	problems += problem != NULL;
	solved += problem == NULL;
	if (problem)
		snprintf(last_problem, sizeof(last_problem), "%s", problem);
}

static void on_settled(void *user)
{
	(void)user;
	settlings++;
}

static void on_closed(void *user)
{
	(void)user;
	closings++;
}

static struct multipathd_map *begin(const char *script)
{
	struct multipathd_map *map;
	FILE *out;

	problems = solved = settlings = closings = 0;
	snprintf(folder, sizeof(folder), "/tmp/test_multipathd.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(program, sizeof(program), "%s/multipathd", folder);
	snprintf(said, sizeof(said), "%s/said", folder);
	out = fopen(program, "w");
	fprintf(out, "#!/bin/sh\necho \"$*\" >>%s\n%s\n", said, script);
	fclose(out);
	CU_ASSERT_EQUAL(chmod(program, 0700), 0);
	uv_loop_init(&loop);
	map = multipathd_map_new(&loop, program, "mailstore", on_problem, on_settled, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	return map;
}

/* Until it is told, or a second has passed. */
static void settle(const struct multipathd_map *map)
{
	uint64_t end = uv_hrtime() + 1000000000;

	while (!multipathd_is_told(map) && uv_hrtime() < end) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(500);
	}
}

static void end(struct multipathd_map *map, const char *expected)
{
	char text[2000] = "", command[100];
	FILE *in;

	multipathd_map_free(map, on_closed, NULL);
	CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	CU_ASSERT_EQUAL(closings, 1);
	in = fopen(said, "r");
	if (in) {
		text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
		fclose(in);
	}
	CU_ASSERT_STRING_EQUAL(text, expected);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CU_ASSERT_EQUAL(system(command), 0);
}

static void test_told_and_untold(void)
{
	struct multipathd_map *map = begin("exit 0");

	multipathd_tell(map, 0x4c86f8c10114e746, true);
	CU_ASSERT_FALSE(multipathd_is_told(map));
	settle(map);
	CU_ASSERT(multipathd_is_told(map));
	multipathd_tell(map, 0x4c86f8c10114e746, true); /* known already */
	settle(map);
	multipathd_tell(map, 1, false);
	settle(map);
	CU_ASSERT_EQUAL(settlings, 2);
	CU_ASSERT_FALSE(multipathd_is_untelling(map));
	multipathd_tell(map, 0, false);
	CU_ASSERT(multipathd_is_untelling(map));
	settle(map);
	CU_ASSERT(multipathd_is_told(map));
	CU_ASSERT_FALSE(multipathd_is_untelling(map));
	CU_ASSERT_EQUAL(settlings, 4); /* it has let go; it has forgotten */
	CU_ASSERT_EQUAL(problems, 0);
	end(map, "setprkey map mailstore key 0x4c86f8c10114e746:aptpl\n"
		 "setprstatus map mailstore\n"
		 "setprkey map mailstore key 0x0000000000000001\n"
		 "setprstatus map mailstore\n"
		 "unsetprstatus map mailstore\n"
		 "unsetprkey map mailstore\n");
}

/* The node is deposed while the key is being told: what was begun ends, and then the opposite. */
static void test_overtaken(void)
{
	struct multipathd_map *map = begin("sleep 0.05");

	multipathd_tell(map, 7, true);
	multipathd_tell(map, 0, false);
	settle(map);
	end(map, "setprkey map mailstore key 0x0000000000000007:aptpl\n"
		 "unsetprstatus map mailstore\n"
		 "unsetprkey map mailstore\n");
}

/* Untold at the very end: the process stays for that. */
static void test_closed(void)
{
	struct multipathd_map *map = begin("exit 0");

	multipathd_tell(map, 0, false);
	end(map, "unsetprstatus map mailstore\nunsetprkey map mailstore\n");
}

static void test_refused(void)
{
	struct multipathd_map *map = begin("echo fail; exit 1");

	multipathd_tell(map, 7, true);
	settle(map);
	CU_ASSERT_FALSE(multipathd_is_told(map));
	CU_ASSERT_EQUAL(problems, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(last_problem, "reservation_key file"));
	multipathd_tell(map, 0, false); /* what was never taken may well fail to be taken back */
	settle(map);
	CU_ASSERT(multipathd_is_told(map));
	CU_ASSERT_EQUAL(problems, 1);
	end(map, "setprkey map mailstore key 0x0000000000000007:aptpl\n"
		 "unsetprstatus map mailstore\n"
		 "unsetprkey map mailstore\n");
}

static void test_absent(void)
{
	struct multipathd_map *map;

	uv_loop_init(&loop);
	problems = closings = 0;
	map = multipathd_map_new(&loop, "", "mailstore", on_problem, on_settled, NULL);
	multipathd_tell(map, 7, true);
	uv_run(&loop, UV_RUN_NOWAIT);
	multipathd_map_free(map, on_closed, NULL);
	CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	CU_ASSERT_EQUAL(closings, 1);
	CU_ASSERT_EQUAL(problems, 0);
}

static unsigned resized;

static void on_resized(const struct agent_result *result, void *user)
{
	(void)user;
	CU_ASSERT_EQUAL(result->exit_status, 0);
	resized++;
}

static void test_resize(void)
{
	struct multipathd_map *map = begin("");

	resized = 0;
	CU_ASSERT_PTR_NOT_NULL(multipathd_resize(&loop, program, "mailstore", on_resized, NULL));
	CU_ASSERT_EQUAL(uv_run(&loop, UV_RUN_DEFAULT), 0);
	CU_ASSERT_EQUAL(resized, 1);
	CU_ASSERT_PTR_NULL(multipathd_resize(&loop, "", "mailstore", on_resized, NULL));
	end(map, "resize map mailstore\n");
}

int main(void)
{
	CU_TestInfo tests[] = {{"told and untold", test_told_and_untold},
			       {"overtaken", test_overtaken},
			       {"closed", test_closed},
			       {"refused", test_refused},
			       {"absent", test_absent},
			       {"resize", test_resize},
			       CU_TEST_INFO_NULL};

	return unit_run("multipathd", tests);
}
