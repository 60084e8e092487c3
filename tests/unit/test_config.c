/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Durations, names, parameters, finding things, files that cannot be read, and what a changed
 * configuration means.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/config/config.h"
#include "tests/unit/unit.h"

static const char base[] =
	"cluster = \"demo\"\n"
	"node \"a\" { id = 1 initiator = \"iqn.2024-01.x:a\" }\n"
	"node \"b\" { id = 2 }\n"
	"lun \"l\" { device = \"iscsi://h/iqn.2024-01.x:y/1\" wwid = \"naa.5000000000000001\" }\n"
	"lun \"m\" { device = \"/dev/sdc\" wwid = \"naa.5000000000000002\" }\n"
	"service \"s\" { luns = { \"l\" } nodes = { \"a\", \"b\" }\n"
	"  resource \"r\" { agent = \"exec:/bin/true\" params = { \"device=@l\" } } }\n";

static struct config *load(const char *text)
{
	struct config_faults faults = {0};
	struct config *config;

	if (config_load_text("test.conf", text, strlen(text), &config, &faults) != 0)
		fprintf(stderr, "%s\n", faults.list[0].text);
	config_faults_free(&faults);
	CU_ASSERT_PTR_NOT_NULL_FATAL(config);
	return config;
}

/* base with one piece replaced by another */
static struct config *changed(const char *piece, const char *by)
{
	const char *at = strstr(base, piece);
	char text[4000];

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - base), base, by, at + strlen(piece));
	return load(text);
}

static void durations_need_a_unit(void)
{
	static const struct {
		const char *text;
		int error;
		uint64_t ms;
	} cases[] = {
		{"500ms", 0, 500},
		{"2s", 0, 2000},
		{"1m", 0, 60000},
		{"0ms", 0, 0},
		{"43200m", 0, 2592000000u},
		{"43201m", -ERANGE, 0},
		{"999999999999999s", -ERANGE, 0},
		{"1", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"ms", -EINVAL, 0},
		{"1h", -EINVAL, 0},
		{"1.5s", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"+1s", -EINVAL, 0},
		{"1S", -EINVAL, 0},
		{"9999999999999999999999ms", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ms = 0;

		CU_ASSERT_EQUAL(config_duration_parse(cases[i].text, &ms), cases[i].error);
		CU_ASSERT_EQUAL(ms, cases[i].ms);
	}
}

static void names_are_safe_as_files(void)
{
	static const char *const good[] = {
		"a", "mail-store_2.old", "9",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"};
	static const char *const bad[] = {
		"",
		".",
		"..",
		".x",
		"-x",
		"a/b",
		"a b",
		"a\n",
		"\xc3\xa4",
		"a$b",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CU_ASSERT_TRUE(config_name_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(config_name_valid(bad[i]));
}

static void things_are_found_by_name(void)
{
	struct config *config = load(base);
	const struct config_group *group = config_find_group(config, "s");
	char text[64];

	CU_ASSERT_PTR_NOT_NULL_FATAL(group);
	CU_ASSERT_EQUAL(config->group_count, 2);
	CU_ASSERT_PTR_EQUAL(config_find_group(config, "m"), &config->groups[1]);
	CU_ASSERT_PTR_NULL(config_find_group(config, "l"));
	CU_ASSERT_PTR_EQUAL(config_find_node_id(config, 2), config_find_node(config, "b"));
	CU_ASSERT_PTR_NULL(config_find_node_id(config, 3));
	CU_ASSERT_PTR_EQUAL(config_find_lun(config, "l"), group->luns[0]);
	CU_ASSERT_EQUAL(config_group_rank(group, 2), 1);
	CU_ASSERT_EQUAL(config_group_rank(group, 9), -1);
	CU_ASSERT_EQUAL(
		config_param_text(&group->resources[0].params[0], "/run/x", text, sizeof(text)), 0);
	CU_ASSERT_STRING_EQUAL(text, "/run/x/dev/l");
	CU_ASSERT_EQUAL(config_param_text(&group->resources[0].params[0], "/run/x", text, 12),
			-ENAMETOOLONG);
	config_free(config);
}

static void check_host(const char *nodes, const char *host, int id)
{
	char text[400];
	struct config *config;
	const struct config_node *node;

	snprintf(text, sizeof(text), "cluster = c %s lun l { device = /dev/sdb }", nodes);
	config = load(text);
	node = config_find_host(config, host);
	CU_ASSERT_EQUAL(node ? node->id : 0, id);
	config_free(config);
}

static void a_node_may_be_named_with_its_domain(void)
{
	static const char both[] = "node jerry { id = 1 } node tom.example.org { id = 2 }";

	check_host(both, "jerry", 1);
	check_host(both, "jerry.example.org", 1);
	check_host(both, "tom", 2);
	check_host(both, "tom.example.org", 2);
	check_host(both, "tom.example.net", 0);
	check_host(both, "jer", 0);
	check_host(both, "", 0);
	/* two that it could be are none */
	check_host("node a.x { id = 1 } node a.y { id = 2 }", "a", 0);
	check_host("node a.x { id = 1 } node a.y { id = 2 }", "a.y", 2);
	check_host("node a { id = 1 } node a.y { id = 2 }", "a", 1);
}

/* Compares base with base in which one piece is replaced. */
static struct config_diff diff_of(const char *piece, const char *by, struct config **before,
				  struct config **after)
{
	struct config_diff diff;

	*before = load(base);
	*after = changed(piece, by);
	CU_ASSERT_EQUAL_FATAL(config_diff(*before, *after, "a", &diff), 0);
	return diff;
}

static void a_change_is_named_by_what_it_needs(void)
{
	static const struct {
		const char *piece, *by;
		enum config_change service, lone;
		bool restart, settings;
	} cases[] = {
		{"cluster", "cluster", CONFIG_CHANGE_SAME, CONFIG_CHANGE_SAME, false, false},
		{"cluster", "defend = 100ms cluster", CONFIG_CHANGE_POLICY, CONFIG_CHANGE_POLICY,
		 false, false},
		{"{ \"a\", \"b\" }", "{ \"b\", \"a\" }", CONFIG_CHANGE_POLICY, CONFIG_CHANGE_SAME,
		 false, false},
		{"  resource", "failback = auto resource", CONFIG_CHANGE_POLICY, CONFIG_CHANGE_SAME,
		 false, false},
		{"/bin/true", "/bin/false", CONFIG_CHANGE_SERVICE, CONFIG_CHANGE_SAME, false,
		 false},
		{"@l", "@l\", \"x=1", CONFIG_CHANGE_SERVICE, CONFIG_CHANGE_SAME, false, false},
		{"/1\"", "/2\"", CONFIG_CHANGE_CHANGED, CONFIG_CHANGE_SAME, false, false},
		{"{ \"l\" }", "{ \"l\" } defend = 100ms", CONFIG_CHANGE_POLICY, CONFIG_CHANGE_SAME,
		 false, false},
		{"/dev/sdc", "/dev/sdd", CONFIG_CHANGE_SAME, CONFIG_CHANGE_CHANGED, false, false},
		{"0002\"", "0003\"", CONFIG_CHANGE_SAME, CONFIG_CHANGE_CHANGED, false, false},
		{"demo", "omed", CONFIG_CHANGE_SAME, CONFIG_CHANGE_SAME, true, false},
		{"id = 1", "id = 7", CONFIG_CHANGE_POLICY, CONFIG_CHANGE_POLICY, true, false},
		{"x:a", "x:b", CONFIG_CHANGE_SAME, CONFIG_CHANGE_SAME, true, false},
		{"cluster", "history_days = 3 cluster", CONFIG_CHANGE_SAME, CONFIG_CHANGE_SAME,
		 false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *before, *after;
		struct config_diff diff = diff_of(cases[i].piece, cases[i].by, &before, &after);

		CU_ASSERT_EQUAL_FATAL(diff.group_count, 2);
		CU_ASSERT_STRING_EQUAL(config_change_name(diff.groups[0].change),
				       config_change_name(cases[i].service));
		CU_ASSERT_STRING_EQUAL(config_change_name(diff.groups[1].change),
				       config_change_name(cases[i].lone));
		CU_ASSERT_EQUAL(diff.restart_needed, cases[i].restart);
		CU_ASSERT_EQUAL(diff.restart_reason[0] != '\0', cases[i].restart);
		CU_ASSERT_EQUAL(diff.settings_changed, cases[i].settings);
		CU_ASSERT_EQUAL(
			config_group_equal(diff.groups[0].old_group, diff.groups[0].new_group),
			cases[i].service == CONFIG_CHANGE_SAME);
		config_diff_free(&diff);
		config_free(before);
		config_free(after);
	}
}

static void groups_come_and_go(void)
{
	struct config *before, *after;
	struct config_diff diff = diff_of("lun \"m\"", "lun \"n\"", &before, &after);

	CU_ASSERT_EQUAL_FATAL(diff.group_count, 3);
	CU_ASSERT_EQUAL(diff.groups[1].change, CONFIG_CHANGE_NEW);
	CU_ASSERT_PTR_NULL(diff.groups[1].old_group);
	CU_ASSERT_EQUAL(diff.groups[2].change, CONFIG_CHANGE_GONE);
	CU_ASSERT_STRING_EQUAL(diff.groups[2].old_group->name, "m");
	config_diff_free(&diff);
	config_free(before);
	config_free(after);
}

static void check_unreadable(const char *path, const char *says)
{
	struct config_faults faults = {0};
	struct config *config = (struct config *)&faults;

	CU_ASSERT_EQUAL(config_load(path, &config, &faults), -EINVAL);
	CU_ASSERT_PTR_NULL(config);
	CU_ASSERT_EQUAL_FATAL(faults.count, 1);
	CU_ASSERT_EQUAL(faults.list[0].line, 0);
	CU_ASSERT_STRING_EQUAL(faults.list[0].file, path);
	CU_ASSERT_PTR_NOT_NULL(strstr(faults.list[0].text, says));
	config_faults_free(&faults);
}

static void what_is_no_readable_file_is_said(void)
{
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, CONFIG_FILE_MAX + 1), 0);
	close(fd);
	check_unreadable("/nowhere/lunkeeper.conf", "No such file");
	check_unreadable("/tmp", "no file");
	check_unreadable("/dev/zero", "no file");
	check_unreadable(path, "at most");
	unlink(path);
	CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
	check_unreadable(path, "no file"); /* and does not wait for a writer */
	unlink(path);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"durations need a unit", durations_need_a_unit},
		{"names are safe as files", names_are_safe_as_files},
		{"things are found by name", things_are_found_by_name},
		{"a change is named by what it needs", a_change_is_named_by_what_it_needs},
		{"groups come and go", groups_come_and_go},
		{"a node may be named with its domain", a_node_may_be_named_with_its_domain},
		{"what is no readable file is said", what_is_no_readable_file_is_said},
		CU_TEST_INFO_NULL,
	};

	return unit_run("configuration", tests);
}
