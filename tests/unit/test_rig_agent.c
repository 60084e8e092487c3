/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The agent of virtual machines, on one end of a socket pair: jobs as `rig exec` sends them, and
 * what is none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/unit/unit.h"
#include "tools/rig/vm/agent.h"

#define SAID_MAX (4 << 20)

static char said[SAID_MAX], complaints[4096];
static size_t said_length;

/* An agent with one connection; its other end. */
static int begin(const char *job, pid_t *agent)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	fflush(NULL);
	*agent = fork();
	if (*agent == 0) {
		close(ends[0]);
		agent_serve(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	agent_write_all(ends[0], job, strlen(job));
	agent_write_all(ends[0], "\n", 1);
	return ends[0];
}

static void end(int link, pid_t agent)
{
	close(link);
	waitpid(agent, NULL, 0);
}

/* The line of the answer; what its "error" says, or "". */
static const char *answer(int link)
{
	static char line[4096], text[300];
	json_t *object;
	const char *wrong;

	if (agent_read_line(link, line, sizeof(line), 10000) <= 0)
		return "no answer";
	object = json_loads(line, 0, NULL);
	wrong = json_string_value(json_object_get(object, "error"));
	snprintf(text, sizeof(text), "%s", !object ? "no JSON" : wrong ? wrong : "");
	json_decref(object);
	return text;
}

/* Feeds it so many bytes from a process of its own, and gathers what it says. The exit status. */
static int play(const char *job, size_t input)
{
	static char frame[AGENT_FRAME_MAX];
	char letter = 0;
	int link, status = -1;
	size_t complained = 0;
	pid_t agent, feeder;

	said_length = 0;
	memset(complaints, 0, sizeof(complaints));
	link = begin(job, &agent);
	CU_ASSERT_STRING_EQUAL(answer(link), "");
	feeder = fork();
	if (feeder == 0) {
		memset(frame, 'm', sizeof(frame));
		for (; input; input -= input < sizeof(frame) ? input : sizeof(frame))
			agent_write_frame(link, AGENT_INPUT, frame,
					  input < sizeof(frame) ? input : sizeof(frame));
		agent_write_frame(link, AGENT_INPUT, "", 0);
		_exit(0);
	}
	while (letter != AGENT_EXIT) {
		ssize_t got = agent_read_frame(link, &letter, frame);

		if (got < 0)
			break;
		if (letter == AGENT_OUTPUT && said_length + (size_t)got < sizeof(said)) {
			memcpy(said + said_length, frame, (size_t)got);
			said_length += (size_t)got;
		} else if (letter == AGENT_ERRORS &&
			   complained + (size_t)got < sizeof(complaints)) {
			memcpy(complaints + complained, frame, (size_t)got);
			complained += (size_t)got;
		} else if (letter == AGENT_EXIT) {
			status = (unsigned char)frame[0];
		}
	}
	waitpid(feeder, NULL, 0);
	end(link, agent);
	return status;
}

static void test_run(void)
{
	CU_ASSERT_EQUAL(play("{\"do\":\"run\",\"argv\":[\"sh\",\"-c\",\"echo out; echo wrong >&2; "
			     "exit 7\"]}",
			     0),
			7);
	CU_ASSERT_TRUE(said_length == 4 && !memcmp(said, "out\n", 4));
	CU_ASSERT_STRING_EQUAL(complaints, "wrong\n");
	CU_ASSERT_EQUAL(play("{\"do\":\"run\",\"argv\":[\"sh\",\"-c\",\"kill -KILL $$\"]}", 0),
			137);
	CU_ASSERT_EQUAL(play("{\"do\":\"run\",\"argv\":[\"/no/such/program\"]}", 0), 127);
	CU_ASSERT_PTR_NOT_NULL(strstr(complaints, "/no/such/program"));
}

/* More than pipes hold, both ways at once; and a program that does not read what it is given. */
static void test_much(void)
{
	CU_ASSERT_EQUAL(play("{\"do\":\"run\",\"argv\":[\"cat\"]}", 3 << 20), 0);
	CU_ASSERT_EQUAL(said_length, 3 << 20);
	CU_ASSERT_EQUAL(said[(3 << 20) - 1], 'm');
	CU_ASSERT_EQUAL(play("{\"do\":\"run\",\"argv\":[\"true\"]}", 1 << 20), 0);
}

/* What goes on in the background with the program's streams keeps nobody waiting. */
static void test_background(void)
{
	CU_ASSERT_EQUAL(
		play("{\"do\":\"run\",\"argv\":[\"sh\",\"-c\",\"sleep 5 & echo there\"]}", 0), 0);
	CU_ASSERT_TRUE(said_length == 6 && !memcmp(said, "there\n", 6));
}

static void test_refused(void)
{
	static const char *const jobs[] = {
		"",
		"garbage",
		"[]",
		"{}",
		"{\"do\":7}",
		"{\"do\":\"dance\"}",
		"{\"do\":\"run\"}",
		"{\"do\":\"run\",\"argv\":[]}",
		"{\"do\":\"run\",\"argv\":[\"true\",7]}",
		"{\"do\":\"connect\"}",
		"{\"do\":\"connect\",\"path\":\"/no/such/socket\"}",
	};
	pid_t agent;

	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		int link = begin(jobs[i], &agent);
		const char *text = answer(link);

		CU_ASSERT_NOT_EQUAL(text[0], 0);
		end(link, agent);
	}
}

static void test_state(void)
{
	char line[4096];
	pid_t agent;
	int link = begin("{\"do\":\"state\"}", &agent);
	json_t *state;

	CU_ASSERT_TRUE(agent_read_line(link, line, sizeof(line), 10000) > 0);
	state = json_loads(line, 0, NULL);
	CU_ASSERT_TRUE(json_integer_value(json_object_get(state, "boottime_ms")) > 0);
	CU_ASSERT_TRUE(json_is_string(json_object_get(json_object_get(state, "daemon"), "state")));
	json_decref(state);
	end(link, agent);
}

static void test_frames(void)
{
	static const char too_long[] = {'o', 0, 1, 0, 1}, cut_off[] = {'o', 0, 0, 0, 9, 'x'};
	static char data[AGENT_FRAME_MAX + 1];
	char letter, line[4];
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	CU_ASSERT_EQUAL(agent_write_frame(ends[0], 'o', data, sizeof(data)), -EMSGSIZE);
	agent_write_all(ends[0], too_long, sizeof(too_long));
	CU_ASSERT_EQUAL(agent_read_frame(ends[1], &letter, data), -EBADMSG);
	agent_write_all(ends[0], "long line\n", 10);
	CU_ASSERT_EQUAL(agent_read_line(ends[1], line, sizeof(line), 100), -ENOBUFS);
	CU_ASSERT_EQUAL(agent_read_line(ends[1], data, sizeof(data), 100), 5);
	CU_ASSERT_EQUAL(agent_read_line(ends[1], data, sizeof(data), 10), -ETIMEDOUT);
	agent_write_all(ends[0], cut_off, sizeof(cut_off));
	close(ends[0]);
	CU_ASSERT_EQUAL(agent_read_frame(ends[1], &letter, data), -EPIPE);
	CU_ASSERT_EQUAL(agent_read_line(ends[1], data, sizeof(data), 100), 0);
	close(ends[1]);
}

static CU_TestInfo tests[] = {
	{"a program's streams and its end", test_run},
	{"much, both ways", test_much},
	{"a program in the background", test_background},
	{"what is no job", test_refused},
	{"the state", test_state},
	{"frames and lines", test_frames},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("rig agent", tests);
}
