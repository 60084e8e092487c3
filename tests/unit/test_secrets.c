/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The secrets file: its lines, who may be able to read it, and that no message has a secret in it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iscsi/secrets.h"
#include "tests/unit/unit.h"

#define TARGET "iqn.2024-01.example:san"

static struct secrets secrets;
static unsigned line;
static const char *problem;

static int parse(const char *text)
{
	return secrets_parse(&secrets, TARGET, text, strlen(text), &line, &problem);
}

static void test_one_way(void)
{
	CU_ASSERT_EQUAL(parse("# all\n\n  \t\n" TARGET " jerry twelve-letters # why\n"), 0);
	CU_ASSERT_TRUE(secrets.found);
	CU_ASSERT_FALSE(secrets.mutual);
	CU_ASSERT_STRING_EQUAL(secrets.user, "jerry");
	CU_ASSERT_STRING_EQUAL(secrets.secret, "twelve-letters");
}

static void test_mutual(void)
{
	CU_ASSERT_EQUAL(parse("IQN.2024-01.EXAMPLE:SAN\tjerry \"twelve letters\" san \"a "
			      "\\\"quoted\\\" \\\\ one\"\r\n"),
			0);
	CU_ASSERT_TRUE(secrets.found && secrets.mutual);
	CU_ASSERT_STRING_EQUAL(secrets.secret, "twelve letters");
	CU_ASSERT_STRING_EQUAL(secrets.target_user, "san");
	CU_ASSERT_STRING_EQUAL(secrets.target_secret, "a \"quoted\" \\ one");
}

static void test_first_fit(void)
{
	CU_ASSERT_EQUAL(
		parse("other a aaaaaaaaaaaa\niqn.2024-01.* b bbbbbbbbbbbb\n* c cccccccccccc"), 0);
	CU_ASSERT_STRING_EQUAL(secrets.user, "b");
	CU_ASSERT_EQUAL(parse("other a aaaaaaaaaaaa\n* c cccccccccccc"), 0);
	CU_ASSERT_STRING_EQUAL(secrets.user, "c");
	CU_ASSERT_EQUAL(parse("other a aaaaaaaaaaaa\n" TARGET "2 c cccccccccccc"), 0);
	CU_ASSERT_FALSE(secrets.found);
	CU_ASSERT_EQUAL(parse(""), 0);
	CU_ASSERT_FALSE(secrets.found);
}

static void refuse(const char *text, unsigned where, const char *words)
{
	CU_ASSERT_EQUAL(parse(text), -EINVAL);
	CU_ASSERT_EQUAL(line, where);
	CU_ASSERT_PTR_NOT_NULL_FATAL(problem);
	CU_ASSERT_PTR_NOT_NULL(strstr(problem, words));
	CU_ASSERT_FALSE(secrets.found);
	CU_ASSERT_STRING_EQUAL(secrets.secret, "");
}

static void test_faults(void)
{
	char text[600] = "* a ";

	refuse("* a aaaaaaaaaaaa\n* a\n", 2, "expected: target user secret");
	refuse("* a b c\n", 1, "expected");
	refuse("* a b c d e\n", 1, "expected");
	refuse("* a b c d e f g h\n", 1, "expected");
	refuse("\n\n* a \"b\n", 3, "no closing");
	refuse("* a \"b\\n\"\n", 1, "'\\'");
	refuse("* a \"\"\n", 1, "empty");
	refuse("* a \"b\"c\n", 1, "blank");
	refuse("* a b\"c\n", 1, "quotes");
	refuse("* a same-secret-12 b same-secret-12\n", 1, "must differ");
	memset(text + 4, 'x', 256);
	refuse(text, 1, "longer than 255");
	text[4 + 255] = 0;
	CU_ASSERT_EQUAL(parse(text), 0);
	CU_ASSERT_EQUAL(secrets_parse(&secrets, TARGET, "* a b\0c", 7, &line, &problem), -EINVAL);
}

static char file[64], message[300];

static int load(const char *text, mode_t mode)
{
	FILE *stream = fopen(file, "we");

	if (!stream)
		return -errno;
	fputs(text, stream);
	fclose(stream);
	chmod(file, mode);
	message[0] = 0;
	return secrets_load(&secrets, TARGET, file, message, sizeof(message));
}

static void test_file(void)
{
	char folder[] = "/tmp/lunkeeper-secrets.XXXXXX", big[SECRETS_FILE_MAX + 100];

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/secrets", folder);
	CU_ASSERT_EQUAL(load("* jerry open-sesame-open\n", 0600), 0);
	CU_ASSERT_STRING_EQUAL(secrets.secret, "open-sesame-open");
	CU_ASSERT_EQUAL(load("* jerry open-sesame-open\n", 0400), 0);
	unlink(file);
	CU_ASSERT_EQUAL(load("* jerry open-sesame-open\n", 0640), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "mode 0640"));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, file));
	CU_ASSERT_FALSE(secrets.found);
	CU_ASSERT_EQUAL(load("* jerry open-sesame-open\n", 0604), -EPERM);
	CU_ASSERT_EQUAL(load("* jerry open-sesame-open extra\n", 0600), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "line 1"));
	CU_ASSERT_PTR_NULL(strstr(message, "sesame"));
	memset(big, '#', sizeof(big));
	big[sizeof(big) - 1] = 0;
	CU_ASSERT_EQUAL(load(big, 0600), -EFBIG);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(load("* jerry open-sesame-open\n", 0600), 0);
		CU_ASSERT_EQUAL(chown(file, 12345, 0), 0);
		CU_ASSERT_EQUAL(secrets_load(&secrets, TARGET, file, message, sizeof(message)),
				-EPERM);
		CU_ASSERT_PTR_NOT_NULL(strstr(message, "user 12345"));
	}
	unlink(file);
	CU_ASSERT_EQUAL(secrets_load(&secrets, TARGET, file, message, sizeof(message)), -ENOENT);
	CU_ASSERT_EQUAL(secrets_load(&secrets, TARGET, folder, message, sizeof(message)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "not a regular file"));
	CU_ASSERT_EQUAL(mkfifo(file, 0600), 0);
	CU_ASSERT_EQUAL(secrets_load(&secrets, TARGET, file, message, sizeof(message)), -EINVAL);
	unlink(file);
	rmdir(folder);
}

static CU_TestInfo tests[] = {
	{"one-way", test_one_way},     {"mutual, quoted", test_mutual},
	{"first fit", test_first_fit}, {"faults", test_faults},
	{"file", test_file},           CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("secrets", tests);
}
