/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log never waits, loses nothing without saying so, and lets nobody forge a line.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "tests/unit/unit.h"

static char got[1 << 20];

/* What can be read now. */
static const char *take(int fd)
{
	size_t used = 0;
	ssize_t count;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((count = read(fd, got + used, sizeof(got) - 1 - used)) > 0)
		used += (size_t)count;
	got[used] = '\0';
	return got;
}

static void lines_have_a_level_and_no_control_characters(void)
{
	int ends[2];
	char long_text[3000];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	log_open(ends[1], LOG_LEVEL_INFO);
	log_warning("disk %d is full", 3);
	log_debug("not shown");
	CU_ASSERT_STRING_EQUAL(take(ends[0]), "<4>disk 3 is full\n");
	log_info("a\nb\tc\033[1md\x7f");
	CU_ASSERT_STRING_EQUAL(take(ends[0]), "<6>a?b?c?[1md?\n");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	log_error("%s", long_text);
	CU_ASSERT_EQUAL(strlen(take(ends[0])), 1000);
	CU_ASSERT_EQUAL(got[999], '\n');
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("not shown");
	CU_ASSERT_STRING_EQUAL(take(ends[0]), "");
	close(ends[0]);
	close(ends[1]);
}

/* Writes more than fits, reads, writes on. */
static void check_full(int reader, int writer)
{
	uint64_t begun_ms = clock_now_ms();
	unsigned lines = 0;
	char told[100];

	log_open(writer, LOG_LEVEL_INFO);
	for (int i = 0; i < 5000; i++)
		log_info("line %d %0200d", i, 0);
	CU_ASSERT_TRUE(clock_now_ms() - begun_ms < 1000);
	CU_ASSERT_TRUE(log_lost() > 100);
	take(reader);
	for (char *at = got; (at = strchr(at, '\n')); at++)
		lines++;
	CU_ASSERT_EQUAL(lines + log_lost(), 5000);
	CU_ASSERT_EQUAL(strncmp(got, "<6>line 0 ", 10), 0); /* whole lines only */
	snprintf(told, sizeof(told), "<4>%u lines of this log were lost", (unsigned)log_lost());
	log_info("again");
	CU_ASSERT_EQUAL(strncmp(take(reader), told, strlen(told)), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "\n<6>again\n"));
	log_info("and again");
	CU_ASSERT_STRING_EQUAL(take(reader), "<6>and again\n");
}

static void a_reader_that_does_not_read_is_not_waited_for(void)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	check_full(ends[0], ends[1]);
	close(ends[0]);
	close(ends[1]);
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	check_full(ends[0], ends[1]);
	close(ends[0]);
	log_info("nobody is there"); /* and no SIGPIPE */
	CU_ASSERT_TRUE(log_lost() > 0);
	close(ends[1]);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"lines have a level and no control characters",
		 lines_have_a_level_and_no_control_characters},
		{"a reader that does not read is not waited for",
		 a_reader_that_does_not_read_is_not_waited_for},
		CU_TEST_INFO_NULL,
	};

	return unit_run("log", tests);
}
