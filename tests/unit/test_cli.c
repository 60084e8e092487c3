/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line's parser and layout: what users type, and what they see.
 */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "tools/cli/cli.h"

struct parsed {
	bool flag;
	const char *text;
	struct cli_number number, key;
	uint32_t duration;
	struct cli_list list;
	char message[200];
	char *argv[16];
	int count, verdict;
};

static struct parsed parse(const char *line, size_t minimum, size_t maximum)
{
	static char **words;
	struct parsed p = {.count = 0};
	const struct cli_option options[] = {
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "A heading"},
		{"force", 'f', CLI_OPTION_FLAG, &p.flag, NULL, "force it"},
		{"name", 'n', CLI_OPTION_STRING, &p.text, "NAME", "a name"},
		{"count", 'c', CLI_OPTION_UNSIGNED, &p.number, "NUMBER", "how many"},
		{"key", 'k', CLI_OPTION_KEY, &p.key, "KEY", "a key"},
		{"param-rk", 0, CLI_OPTION_KEY, &p.key, NULL, NULL},
		{"wait", 'w', CLI_OPTION_DURATION, &p.duration, "TIME", "how long"},
		{"item", 'i', CLI_OPTION_LIST, &p.list, "ITEM", "one of many"},
		{0},
	};
	const struct cli_usage usage = {
		.command = "test",
		.arguments = "DEVICE",
		.options = options,
		.arguments_min = minimum,
		.arguments_max = maximum,
	};
	int argc;

	free(words);
	words = cli_split(line, &argc);
	CU_ASSERT_PTR_NOT_NULL_FATAL(words);
	p.verdict = cli_parse_quiet(&usage, argc, words, &p.count, p.message, sizeof(p.message));
	for (int i = 0; i < p.count && i < 16; i++)
		p.argv[i] = words[1 + i];
	return p;
}

static void test_options_and_arguments_in_any_order(void)
{
	struct parsed p =
		parse("x a -f b --name=n c --count 12 -k1f --wait 1.5s -i 1 -i2 --item=3", 1, 9);

	CU_ASSERT_EQUAL(p.verdict, -1);
	CU_ASSERT_EQUAL(p.count, 3);
	CU_ASSERT_STRING_EQUAL(p.argv[0], "a");
	CU_ASSERT_STRING_EQUAL(p.argv[1], "b");
	CU_ASSERT_STRING_EQUAL(p.argv[2], "c");
	CU_ASSERT_TRUE(p.flag);
	CU_ASSERT_STRING_EQUAL(p.text, "n");
	CU_ASSERT_EQUAL(p.number.value, 12);
	CU_ASSERT_EQUAL(p.key.value, 0x1f);
	CU_ASSERT_EQUAL(p.duration, 1500);
	CU_ASSERT_EQUAL(p.list.count, 3);
	CU_ASSERT_STRING_EQUAL(p.list.items[2], "3");
}

static void test_options_end(void)
{
	struct parsed p = parse("x -f -- --name -n -", 0, 9);

	CU_ASSERT_EQUAL(p.verdict, -1);
	CU_ASSERT_EQUAL(p.count, 3);
	CU_ASSERT_STRING_EQUAL(p.argv[0], "--name");
	CU_ASSERT_STRING_EQUAL(p.argv[2], "-");
	CU_ASSERT_PTR_NULL(p.text);
}

static void test_hidden_alias_works(void)
{
	struct parsed p = parse("x --param-rk 0xAB", 0, 0);

	CU_ASSERT_EQUAL(p.verdict, -1);
	CU_ASSERT_TRUE(p.key.given);
	CU_ASSERT_EQUAL(p.key.value, 0xab);
}

static void expect_refused(const char *line, const char *says)
{
	struct parsed p = parse(line, 0, 1);

	CU_ASSERT_EQUAL(p.verdict, CLI_EXIT_USAGE);
	if (!strstr(p.message, says)) {
		CU_FAIL("another message");
		printf("\n    %s: \"%s\", not \"%s\"\n", line, p.message, says);
	}
}

static void test_wrong_usage_is_named(void)
{
	expect_refused("x --forec", "did you mean --force?");
	expect_refused("x --quatsch", "unknown option --quatsch");
	expect_refused("x -z", "unknown option -z");
	expect_refused("x --name", "--name needs NAME");
	expect_refused("x -k", "-k needs KEY");
	expect_refused("x --force=1", "takes no value");
	expect_refused("x --count=-1", "a number");
	expect_refused("x --count 1x", "a number");
	expect_refused("x --key 12345678123456781", "16 hex digits");
	expect_refused("x --key 0xg", "hex");
	expect_refused("x --wait 5", "with its unit");
	expect_refused("x --count 1 --count 1", "--count is given twice");
	expect_refused("x -f --force", "--force is given twice");
	expect_refused("x -k1 -k2", "--key is given twice");
	expect_refused("x a b", "\"b\" is one argument too many");
	CU_ASSERT_EQUAL(parse("x", 1, 1).verdict, CLI_EXIT_USAGE);
	CU_ASSERT_EQUAL(parse("x --help", 1, 1).verdict, CLI_EXIT_OK);
	CU_ASSERT_EQUAL(parse("x -fh a b", 1, 1).verdict, CLI_EXIT_OK);
}

static void test_durations(void)
{
	uint32_t ms = 7;

	CU_ASSERT_EQUAL(cli_parse_duration("500ms", &ms), 0);
	CU_ASSERT_EQUAL(ms, 500);
	CU_ASSERT_EQUAL(cli_parse_duration("2s", &ms), 0);
	CU_ASSERT_EQUAL(ms, 2000);
	CU_ASSERT_EQUAL(cli_parse_duration("3m", &ms), 0);
	CU_ASSERT_EQUAL(ms, 180000);
	CU_ASSERT_EQUAL(cli_parse_duration("1h", &ms), 0);
	CU_ASSERT_EQUAL(ms, 3600000);
	CU_ASSERT_EQUAL(cli_parse_duration("", &ms), -EINVAL);
	CU_ASSERT_EQUAL(cli_parse_duration("s", &ms), -EINVAL);
	CU_ASSERT_EQUAL(cli_parse_duration("-1s", &ms), -EINVAL);
	CU_ASSERT_EQUAL(cli_parse_duration("nan", &ms), -EINVAL);
	CU_ASSERT_EQUAL(cli_parse_duration("5 s", &ms), -EINVAL);
	CU_ASSERT_EQUAL(cli_parse_duration("99999h", &ms), -ERANGE);
	CU_ASSERT_EQUAL(ms, 3600000);
}

static void test_words(void)
{
	int count;
	char **words = cli_split("  a 'b  c'  \"d \\\" e\" f\\ g  ''", &count);

	CU_ASSERT_EQUAL_FATAL(count, 5);
	CU_ASSERT_STRING_EQUAL(words[0], "a");
	CU_ASSERT_STRING_EQUAL(words[1], "b  c");
	CU_ASSERT_STRING_EQUAL(words[2], "d \" e");
	CU_ASSERT_STRING_EQUAL(words[3], "f g");
	CU_ASSERT_STRING_EQUAL(words[4], "");
	CU_ASSERT_PTR_NULL(words[5]);
	free(words);
	errno = 0;
	CU_ASSERT_PTR_NULL(cli_split("a 'b", &count));
	CU_ASSERT_EQUAL(errno, EINVAL);
	words = cli_split("   ", &count);
	CU_ASSERT_EQUAL(count, 0);
	free(words);
}

static void test_nearest_name(void)
{
	static const char *const names[] = {"status", "standby", "start", "stop", "rig", NULL};

	CU_ASSERT_STRING_EQUAL(cli_nearest("statsu", names), "status");
	CU_ASSERT_STRING_EQUAL(cli_nearest("strat", names), "start");
	CU_ASSERT_STRING_EQUAL(cli_nearest("stand", names), "standby");
	CU_ASSERT_STRING_EQUAL(cli_nearest("rgi", names), "rig");
	CU_ASSERT_PTR_NULL(cli_nearest("probe", names));
	CU_ASSERT_PTR_NULL(cli_nearest("x", names));
}

static void test_orders_need_more_likeness_than_looks(void)
{
	static const char *const names[] = {
		"lun",     "status", "ledger",      "explain", "events",   "move",  "start", "stop",
		"standby", "online", "maintenance", "ping",    "shutdown", "check", NULL};
	static const char *const lun[] = {"list",  "show",  "keys", "register", "reserve",
					  "clear", "reset", "take", NULL};
	static const struct {
		const char *word, *command;
	} cases[] = {{"show", "status"},   {"shwo", NULL},           {"list", "status"},
		     {"why", "explain"},   {"log", "events"},        {"who", "ledger"},
		     {"statsu", "status"}, {"stat", "status"},       {"stpo", "stop"},
		     {"mvoe", "move"},     {"strat", "start"},       {"stand", NULL},
		     {"shut", NULL},       {"shutdonw", "shutdown"}, {"maintenence", "maintenance"},
		     {"even", "events"},   {"shop", "stop"},         {"onlien", "online"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *nearest = cli_nearest_command(cases[i].word, names);

		if (!cases[i].command && !nearest)
			continue;
		if (!nearest || !cases[i].command || strcmp(nearest, cases[i].command) != 0)
			CU_FAIL_FATAL("a word leads elsewhere");
	}
	CU_ASSERT_STRING_EQUAL(cli_nearest_command("regsiter", lun), "register");
	CU_ASSERT_STRING_EQUAL(cli_nearest_command("info", lun), "show");
	CU_ASSERT_PTR_NULL(cli_nearest_command("read", lun)); /* not reset */
	CU_ASSERT_PTR_NULL(cli_nearest_command("resume", lun));
}

static void expect_missing(const char *arguments, size_t minimum, const char *given,
			   const char *says)
{
	char program[] = "x", word[40], message[200] = "";
	char *argv[] = {program, word, NULL};
	struct cli_usage usage = {.command = "x",
				  .arguments = arguments,
				  .arguments_min = minimum,
				  .arguments_max = 9};
	int count;

	snprintf(word, sizeof(word), "%s", given ? given : "");
	CU_ASSERT_EQUAL(
		cli_parse_quiet(&usage, given ? 2 : 1, argv, &count, message, sizeof(message)),
		CLI_EXIT_USAGE);
	CU_ASSERT_STRING_EQUAL(message, says);
}

static void test_what_is_missing_is_named(void)
{
	expect_missing("[OPTION...] SERVICE [NODE]", 1, NULL, "SERVICE is missing");
	expect_missing("[OPTION...] SERVICE on|off", 2, NULL, "SERVICE is missing");
	expect_missing("[OPTION...] SERVICE on|off", 2, "mail", "on|off is missing");
	expect_missing("[--key KEY [AND]] DEVICE...", 1, NULL, "DEVICE is missing");
	expect_missing(NULL, 1, NULL, "an argument is missing");
}

static void expect_since(const char *text, const char *expected)
{
	struct tm now = {.tm_year = 126,
			 .tm_mon = 10,
			 .tm_mday = 28,
			 .tm_hour = 9,
			 .tm_min = 15,
			 .tm_isdst = -1};
	int64_t ms = -1;
	time_t then;
	char found[40] = "refused";

	if (cli_parse_since(text, (int64_t)mktime(&now) * 1000, &ms) == 0) {
		then = (time_t)(ms / 1000);
		strftime(found, sizeof(found), "%Y-%m-%d %H:%M:%S", localtime_r(&then, &now));
	}
	CU_ASSERT_STRING_EQUAL(found, expected);
}

static void test_points_of_time(void)
{
	expect_since("10m", "2026-11-28 09:05:00");
	expect_since("90min", "2026-11-28 07:45:00");
	expect_since("2h", "2026-11-28 07:15:00");
	expect_since("1h30m", "2026-11-28 07:45:00");
	expect_since("1d", "2026-11-27 09:15:00");
	expect_since("2w", "2026-11-14 09:15:00");
	expect_since("today", "2026-11-28 00:00:00");
	expect_since("yesterday", "2026-11-27 00:00:00");
	expect_since("yesterday 14:30", "2026-11-27 14:30:00");
	expect_since("08:00", "2026-11-28 08:00:00");
	expect_since("08:00:07", "2026-11-28 08:00:07");
	expect_since("23:50", "2026-11-27 23:50:00");
	expect_since("2026-11-01", "2026-11-01 00:00:00");
	expect_since("2026-11-01 13:14:15", "2026-11-01 13:14:15");
	expect_since("2026-11-01T13:14", "2026-11-01 13:14:00");
	expect_since("", "refused");
	expect_since("42", "refused");
	expect_since("1x", "refused");
	expect_since("h", "refused");
	expect_since("yesterday at noon", "refused");
	expect_since("2026-13-01", "refused");
	expect_since("99999999999999999999d", "refused");
}

static void test_table_is_aligned(void)
{
	static const char *const headings[] = {"NAME", ">SIZE", "WHO", NULL};
	struct cli_table *table = cli_table_new(headings, 0);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	cli_table_row(table);
	cli_table_cell(table, CLI_BOLD, "m\u00e4il");
	cli_table_cell(table, CLI_PLAIN, "%d", 12345);
	cli_table_row(table);
	cli_table_cell(table, CLI_PLAIN, "a longer one");
	cli_table_cell(table, CLI_GOOD, "7");
	cli_table_cell(table, CLI_PLAIN, "jerry");
	cli_table_indent(table, 2);
	CU_ASSERT_EQUAL(cli_table_rows(table), 2);
	cli_table_print(table, out);
	fclose(out);
	CU_ASSERT_STRING_EQUAL(text, "  NAME           SIZE  WHO\n"
				     "  m\u00e4il          12345\n"
				     "  a longer one      7  jerry\n");
	free(text);
	cli_table_free(table);
}

static void test_text_width(void)
{
	CU_ASSERT_EQUAL(cli_text_width("abc"), 3);
	CU_ASSERT_EQUAL(cli_text_width("\033[1;31mabc\033[0m"), 3);
	CU_ASSERT_EQUAL(cli_text_width("\u2713 \u00d72"), 4);
	CU_ASSERT_EQUAL(cli_text_width("a\xff"), 2);
}

static void test_values_as_text(void)
{
	char text[40];

	CU_ASSERT_STRING_EQUAL(cli_size_text(512, text, sizeof(text)), "512 B");
	CU_ASSERT_STRING_EQUAL(cli_size_text(8 << 20, text, sizeof(text)), "8 MiB");
	CU_ASSERT_STRING_EQUAL(cli_size_text(1610612736, text, sizeof(text)), "1.5 GiB");
	CU_ASSERT_STRING_EQUAL(cli_size_text(UINT64_MAX, text, sizeof(text)), "16 EiB");
	CU_ASSERT_STRING_EQUAL(cli_duration_text(120, text, sizeof(text)), "120 ms");
	CU_ASSERT_STRING_EQUAL(cli_duration_text(3200, text, sizeof(text)), "3.2 s");
	CU_ASSERT_STRING_EQUAL(cli_duration_text(300000, text, sizeof(text)), "5 min");
	CU_ASSERT_STRING_EQUAL(cli_duration_text(5400000, text, sizeof(text)), "1 h 30 min");
	CU_ASSERT_STRING_EQUAL(cli_duration_text(259200000, text, sizeof(text)), "3 days");
	CU_ASSERT_STRING_EQUAL(cli_micros_text(85, text, sizeof(text)), "85 us");
	CU_ASSERT_STRING_EQUAL(cli_micros_text(1200, text, sizeof(text)), "1.20 ms");
}

static int run_seen;

static int run_command(int argc, char **argv)
{
	run_seen = argc;
	return strcmp(argv[0], "one") == 0 ? 41 : 42;
}

static int dispatch(const char *line)
{
	static const struct cli_command commands[] = {
		{"one", run_command, "Group", "ARGUMENT", "the first"},
		{"two", run_command, NULL, NULL, "the second"},
		{NULL, NULL, NULL, NULL, NULL},
	};
	int argc, saved = dup(STDERR_FILENO), verdict;
	char **argv = cli_split(line, &argc);

	CU_ASSERT_PTR_NOT_NULL_FATAL(freopen("/dev/null", "w", stderr));
	run_seen = 0;
	verdict = cli_dispatch("test", "A test.", commands, NULL, argc, argv);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	free(argv);
	return verdict;
}

static void test_dispatch(void)
{
	CU_ASSERT_EQUAL(dispatch("test one a b"), 41);
	CU_ASSERT_EQUAL(run_seen, 3);
	CU_ASSERT_EQUAL(dispatch("test two"), 42);
	CU_ASSERT_EQUAL(dispatch("test help one"), 41);
	CU_ASSERT_EQUAL(run_seen, 2);
	CU_ASSERT_EQUAL(dispatch("test tow"), CLI_EXIT_USAGE);
	CU_ASSERT_EQUAL(run_seen, 0);
	CU_ASSERT_EQUAL(dispatch("test"), CLI_EXIT_USAGE);
	CU_ASSERT_EQUAL(dispatch("test help tow"), CLI_EXIT_USAGE);
}

static CU_TestInfo tests[] = {
	{"options and arguments in any order", test_options_and_arguments_in_any_order},
	{"options end", test_options_end},
	{"hidden alias", test_hidden_alias_works},
	{"wrong usage is named", test_wrong_usage_is_named},
	{"durations", test_durations},
	{"words", test_words},
	{"nearest name", test_nearest_name},
	{"orders need more likeness than looks", test_orders_need_more_likeness_than_looks},
	{"what is missing is named", test_what_is_missing_is_named},
	{"points of time", test_points_of_time},
	{"table is aligned", test_table_is_aligned},
	{"text width", test_text_width},
	{"values as text", test_values_as_text},
	{"dispatch", test_dispatch},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	return unit_run("command line", tests);
}
