/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The screen of `lunkeeper status`, from an answer of the daemon: what people read of each state.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "tools/cluster/status.h"

static char screen[8000];

/* jerry asks; %s: state and more members of the group, peers, members of the LUN. */
static json_t *answer_of(const char *group, const char *peers, const char *lun)
{
	char text[4000];
	json_error_t error;
	json_t *answer;

	snprintf(text, sizeof(text),
		 "{\"ok\":true,\"cluster\":\"farm\",\"node\":\"jerry\",\"version\":\"0.1\",\"pid\":"
		 "7,"
		 "\"uptime_ms\":5000,\"nodes\":[{\"name\":\"jerry\",\"self\":true},{\"name\":"
		 "\"tom\"},"
		 "{\"name\":\"spike\"}],\"groups\":[{\"name\":\"mail\",\"known\":true,\"fit\":true,"
		 "\"look_age_ms\":100,\"nodes\":[\"jerry\",\"tom\"],\"peers\":[%s],%s,\"luns\":[{"
		 "\"name\":\"store\",\"known\":true,\"look_age_ms\":100,%s}]}]}",
		 peers, group, lun);
	answer = json_loads(text, 0, &error);
	if (!answer)
		fprintf(stderr, "%s\n%s\n", error.text, text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
	return answer;
}

static void print(json_t *answer, unsigned width, unsigned height)
{
	struct status_view view = {.width = width, .height = height};
	FILE *out = fmemopen(screen, sizeof(screen), "w");

	if (height)
		status_print_fitting(out, &view, answer, "\n");
	else {
		status_print_tree(out, &view, answer);
		status_print_alarms(out, &view, answer);
	}
	fclose(out);
	json_decref(answer);
}

static void shows(const char *text)
{
	if (strstr(screen, text))
		return;
	fprintf(stderr, "\"%s\" is not in:\n%s", text, screen);
	CU_FAIL("the screen lacks something");
}

static void lacks(const char *text)
{
	if (!strstr(screen, text))
		return;
	fprintf(stderr, "\"%s\" is in:\n%s", text, screen);
	CU_FAIL("the screen has what it should not");
}

#define JERRY "{\"key\":\"4c1\",\"ours\":true,\"kind\":\"claim\",\"node\":\"jerry\",\"self\":true}"
#define TOM "{\"key\":\"4c2\",\"ours\":true,\"kind\":\"claim\",\"node\":\"tom\",\"self\":false}"
#define OWNER                                                                                      \
	"\"state\":\"owner\",\"since_ms\":1600,\"gate\":\"open\",\"reason\":\"a probe was due\","  \
	"\"cause\":\"tom did not answer for 2.0 s\",\"holder\":" JERRY
#define HELD "\"owned\":true,\"holder\":" JERRY ",\"size\":268435456,\"block_size\":512"
#define AWAY "\"owned\":false,\"holder\":" TOM

static void an_owner_says_why_and_who_is_ready(void)
{
	print(answer_of(OWNER, "{\"node\":\"tom\",\"state\":\"ready\",\"age_ms\":1300}", HELD), 0,
	      0);
	shows("owner 1.6 s");
	shows("ready 1.3 s ago");
	shows("tom did not answer for 2.0 s");
	lacks("a probe was due");
	shows("256 MiB (512 B)");
	shows("holds, gate open");
	lacks("not known"); /* spike is not listed for it */
	print(answer_of(OWNER, "{\"node\":\"tom\",\"state\":\"silent\",\"age_ms\":240000}", HELD),
	      0, 0);
	shows("silent 4 min");
	print(answer_of(OWNER, "{\"node\":\"tom\",\"state\":\"unknown\",\"age_ms\":null}",
			"\"owned\":true,\"holder\":" JERRY ",\"size\":null,\"block_size\":null"),
	      0, 0);
	shows("not known");
	shows("size not known");
	lacks("0 B");
	print(answer_of(OWNER, "",
			"\"owned\":true,\"holder\":" JERRY
			",\"size\":1073741824,\"block_size\":4096"),
	      0, 0);
	shows("1 GiB (4Kn)");
}

static void a_standby_that_asks_is_a_standby(void)
{
	static const char asks[] =
		"\"state\":\"challenging\",\"since_ms\":300,\"standby_ms\":90000,\"gate\":"
		"\"failed\","
		"\"window_ms\":2000,\"window_done_ms\":%d,\"reason\":\"a probe was due\","
		"\"cause\":\"handed over by jerry, as ordered\",\"holder\":" TOM;
	char group[600];

	snprintf(group, sizeof(group), asks, 300);
	print(answer_of(group, "{\"node\":\"tom\",\"state\":\"answers\",\"age_ms\":1700}", AWAY), 0,
	      0);
	shows("standby (asks)");
	shows("owner, alive 1.7 s ago");
	shows("handed over by jerry, as ordered");
	shows("closed");
	lacks("challenging");
	lacks("failed");
	snprintf(group, sizeof(group), asks, 1500);
	print(answer_of(group, "{\"node\":\"tom\",\"state\":\"silent\",\"age_ms\":1500}", AWAY), 0,
	      0);
	shows("challenging 300 ms");
	shows("owner, silent 1.5 s");
	shows("a probe was due");
	print(answer_of("\"state\":\"standby\",\"since_ms\":200,\"standby_ms\":90000,"
			"\"gate\":\"failed\",\"cause\":null,\"reason\":\"own key "
			"gone\",\"holder\":" TOM,
			"{\"node\":\"tom\",\"state\":\"unknown\",\"age_ms\":null}", AWAY),
	      0, 0);
	shows("standby 1 min");
	shows("own key gone");
}

static void alarms_name_keys_and_what_will_happen(void)
{
	print(answer_of(OWNER
			",\"alarms\":[{\"name\":\"storage-silent\",\"text\":\"no answer for 6.5 s: "
			"the "
			"service is stopped in 13.5 "
			"s\",\"key\":null,\"lun\":\"store\",\"since_ms\":6500},"
			"{\"name\":\"foreign-key\",\"text\":\"a key is "
			"registered\",\"lun\":\"store\","
			"\"since_ms\":4000,\"key\":{\"key\":\"01\",\"ours\":false},\"key_count\":5,"
			"\"keys\":[{\"key\":\"01\",\"ours\":false,\"initiator\":\"iqn.a\"},"
			"{\"key\":\"02\",\"ours\":false,\"initiator\":null}]}]",
			"", HELD),
	      0, 0);
	shows("! store: no answer for 6.5 s: the service is stopped in 13.5 s\n");
	shows("! store: a key is registered (5 keys: foreign 0x1 of iqn.a, foreign 0x2, ...; for "
	      "4.0 s)\n");
}

static size_t widest(void)
{
	size_t most = 0;

	for (char *line = strtok(screen, "\n"); line; line = strtok(NULL, "\n"))
		if (cli_text_width(line) > most)
			most = cli_text_width(line);
	return most;
}

static void it_fits_into_80_by_24(void)
{
	json_t *answer =
		answer_of(OWNER ",\"alarms\":[{\"name\":\"x\",\"text\":\"an alarm that is seen\","
				"\"lun\":\"store\",\"since_ms\":1}]",
			  "{\"node\":\"tom\",\"state\":\"ready\",\"age_ms\":1300}", HELD);
	json_t *groups = json_object_get(answer, "groups");
	size_t lines = 0;

	for (int i = 0; i < 20; i++)
		json_array_append(groups, json_array_get(groups, 0));
	for (size_t i = 1; i < json_array_size(groups); i++) {
		json_t *copy = json_deep_copy(json_array_get(groups, i));

		json_object_del(copy, "alarms");
		json_array_set_new(groups, i, copy);
	}
	print(answer, 80, 24);
	shows("an alarm that is seen");
	shows("more lines; lunkeeper status SERVICE");
	shows("      tom did not answer for 2.0 s\n"); /* below the row */
	for (const char *at = screen; *at; at++)
		lines += *at == '\n';
	CU_ASSERT_TRUE(lines <= 23);
	CU_ASSERT_TRUE(widest() <= 80);
	print(answer_of(OWNER, "", HELD), 20, 6);
	CU_ASSERT_TRUE(widest() <= 20);
}

static size_t column_of(const char *text)
{
	const char *at = strstr(screen, text);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	while (at > screen && at[-1] != '\n')
		at--;
	return (size_t)(strstr(at, text) - at);
}

static void columns_stay_where_they_are(void)
{
	struct status_view view = {0};
	size_t before;

	for (int turn = 0; turn < 2; turn++) {
		json_t *answer = answer_of(
			OWNER,
			turn ? "" : "{\"node\":\"tom\",\"state\":\"ready\",\"age_ms\":13000}",
			HELD);
		FILE *out = fmemopen(screen, sizeof(screen), "w");

		status_print_tree(out, &view, answer);
		fclose(out);
		json_decref(answer);
		if (turn)
			CU_ASSERT_EQUAL(column_of("SEEN"), before);
		before = column_of("SEEN");
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"an owner says why, and who is ready", an_owner_says_why_and_who_is_ready},
		{"a standby that asks is a standby", a_standby_that_asks_is_a_standby},
		{"alarms name keys and what will happen", alarms_name_keys_and_what_will_happen},
		{"it fits into 80 by 24", it_fits_into_80_by_24},
		{"columns stay where they are", columns_stay_where_they_are},
		CU_TEST_INFO_NULL,
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return unit_run("status_print", tests);
}
