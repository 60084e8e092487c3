/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * iscsi:// URLs: what is taken, what is refused and with which words, and that no password is ever
 * repeated.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/path_iscsi.h"
#include "iscsi/url.h"
#include "tests/unit/unit.h"

static void expect(const char *text, const char *host, unsigned port, const char *target,
		   unsigned lun)
{
	const char *problem = NULL;
	struct lun_url url;

	CU_ASSERT_EQUAL(lun_url_parse(&url, text, &problem), 0);
	CU_ASSERT_STRING_EQUAL(url.host, host);
	CU_ASSERT_EQUAL(url.port, port);
	CU_ASSERT_STRING_EQUAL(url.target, target);
	CU_ASSERT_EQUAL(url.lun, lun);
}

static void refuse(const char *text, const char *words)
{
	const char *problem = NULL;
	struct lun_url url;

	CU_ASSERT_EQUAL(lun_url_parse(&url, text, &problem), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(problem);
	CU_ASSERT_PTR_NOT_NULL(strstr(problem, words));
}

static void test_taken(void)
{
	expect("iscsi://10.0.0.1/iqn.2024-01.example:san/3", "10.0.0.1", 3260,
	       "iqn.2024-01.example:san", 3);
	expect("iscsi://san.example:860/iqn.2024-01.example:san/0", "san.example", 860,
	       "iqn.2024-01.example:san", 0);
	expect("ISCSI://h/IQN.2024-01.Example:San/16383", "h", 3260, "IQN.2024-01.Example:San",
	       16383); /* as the target offers it */
	expect("iscsi://[fe80::1%eth0]:3261/iqn.x:y/1", "fe80::1%eth0", 3261, "iqn.x:y", 1);
	expect("iscsi://[FE80::1%25bond0.12]/iqn.x:y/1", "FE80::1%bond0.12", 3260, "iqn.x:y", 1);
	expect("iscsi://[fd80::1]:3261/eui.0123456789abcdef/257", "fd80::1", 3261,
	       "eui.0123456789abcdef", 257);
	expect("iscsi://[::1]/naa.6001405a1b2c3d4e/1", "::1", 3260, "naa.6001405a1b2c3d4e", 1);
	expect("iscsi://h/iqn.2024-01.example%3asan%2D1/1", "h", 3260, "iqn.2024-01.example:san-1",
	       1);
}

static void test_refused(void)
{
	refuse("", "iscsi://");
	refuse("/dev/sdb", "iscsi://");
	refuse("iscsi://", "host is missing");
	refuse("iscsi:///iqn.2024-01.x:y/1", "host is missing");
	refuse("iscsi://h", "target's name is missing");
	refuse("iscsi://h/", "target's name is missing");
	refuse("iscsi://h/iqn.2024-01.x:y", "LUN is missing");
	refuse("iscsi://h/iqn.2024-01.x:y/", "LUN is missing");
	refuse("iscsi://h/iqn.2024-01.x:y/-1", "0 to 16383");
	refuse("iscsi://h/iqn.2024-01.x:y/16384", "0 to 16383");
	refuse("iscsi://h/iqn.2024-01.x:y/99999999999999999999", "0 to 16383");
	refuse("iscsi://h/iqn.2024-01.x:y/1x", "0 to 16383");
	refuse("iscsi://h/iqn.2024-01.x:y/1/2", "0 to 16383");
	refuse("iscsi://h:0/iqn.2024-01.x:y/1", "port");
	refuse("iscsi://h:65536/iqn.2024-01.x:y/1", "port");
	refuse("iscsi://h:/iqn.2024-01.x:y/1", "port");
	refuse("iscsi://h:32x/iqn.2024-01.x:y/1", "'/'");
	refuse("iscsi://h$(id)/iqn.2024-01.x:y/1", "character");
	refuse("iscsi://[::1/iqn.2024-01.x:y/1", "no closing ']'");
	refuse("iscsi://[]/iqn.2024-01.x:y/1", "no IPv6 address");
	refuse("iscsi://[10.0.0.1]/iqn.2024-01.x:y/1", "no IPv6 address");
	refuse("iscsi://h/san/1", "no iSCSI name");
	refuse("iscsi://h/iqn.2024-01.x:y z/1", "has ' '");
	refuse("iscsi://h/iqn.2024-01.x:my_san/1",
	       "the target's name has '_': an iSCSI name has letters");
	refuse("iscsi://h/iqn.2024-01.x:y%07/1", "has the byte 07h");
	refuse("iscsi://h$(id)/iqn.2024-01.x:y/1", "the character '$'");
	refuse("iscsi://[fe80::1]/iqn.2024-01.x:y/1", "needs its name: [fe80::1%eth0]");
	refuse("iscsi://[fd00::1%eth0]/iqn.2024-01.x:y/1", "only a link-local address");
	refuse("iscsi://[fe80::1%]/iqn.2024-01.x:y/1", "interface");
	refuse("iscsi://[fe80::1%a/b]/iqn.2024-01.x:y/1", "interface");
	refuse("iscsi://[fe80::1%0123456789abcdef]/iqn.2024-01.x:y/1", "interface");
	refuse("iscsi://h/iqn.2024-01.x%3/1", "'%'");
	refuse("iscsi://h/iqn.2024-01.x%00y/1", "'%'");
	refuse("iscsi://h/iqn.2024-01.x%", "'%'");
}

static void test_too_long(void)
{
	char text[800] = "iscsi://";

	memset(text + 8, 'h', 300);
	strcpy(text + 308, "/iqn.2024-01.x:y/1");
	refuse(text, "host's name is too long");
	strcpy(text, "iscsi://h/iqn.");
	memset(text + 14, 'y', 300);
	strcpy(text + 314, "/1");
	refuse(text, "longer than 223");
	strcpy(text + 14 + 219, "/1"); /* 223 bytes */
	expect(text, "h", 3260, memcpy(text + 400, text + 10, 223), 1);
}

static void test_no_users(void)
{
	struct path_open_options options = {.initiator_name = "iqn.2024-01.x:jerry"};
	char message[300];
	struct path *paths[PATHS_MAX];
	size_t count;

	refuse("iscsi://jerry%sesame@h/iqn.2024-01.x:y/1", "secrets file");
	refuse("iscsi://jerry@h/iqn.2024-01.x:y/1", "secrets file");
	CU_ASSERT_EQUAL(path_kind_iscsi.open(NULL, "iscsi://jerry%sesame@h/iqn.2024-01.x:y/1",
					     &options, paths, &count, message, sizeof(message)),
			-EINVAL);
	CU_ASSERT_PTR_NULL(strstr(message, "sesame"));
}

static void test_text(void)
{
	char text[PATH_NAME_MAX];
	const char *problem;
	struct lun_url url;

	CU_ASSERT_EQUAL(lun_url_parse(&url, "iscsi://[fd80::1]/iqn.2024-01.x:y/257", &problem), 0);
	CU_ASSERT_STRING_EQUAL(lun_url_text(&url, text, sizeof(text)),
			       "iscsi://[fd80::1]:3260/iqn.2024-01.x:y/257");
	CU_ASSERT_EQUAL(lun_url_parse(&url, "iscsi://10.0.0.1:1/iqn.2024-01.x:y/0", &problem), 0);
	CU_ASSERT_STRING_EQUAL(lun_url_text(&url, text, sizeof(text)),
			       "iscsi://10.0.0.1:1/iqn.2024-01.x:y/0");
}

/* SAM-5 4.7.7: peripheral device addressing as long as it can, flat space addressing
 * behind that. */
static void test_lun_field(void)
{
	CU_ASSERT_EQUAL(lun_url_field(0), 0x0000);
	CU_ASSERT_EQUAL(lun_url_field(255), 0x00ff);
	CU_ASSERT_EQUAL(lun_url_field(256), 0x4100);
	CU_ASSERT_EQUAL(lun_url_field(257), 0x4101);
	CU_ASSERT_EQUAL(lun_url_field(16383), 0x7fff);
}

static void test_claims(void)
{
	CU_ASSERT_TRUE(path_kind_iscsi.claims("iscsi://"));
	CU_ASSERT_TRUE(path_kind_iscsi.claims("ISCSI://x"));
	CU_ASSERT_FALSE(path_kind_iscsi.claims("/dev/sdb"));
	CU_ASSERT_FALSE(path_kind_iscsi.claims("iscsi:/"));
}

static void test_initiator_file(void)
{
	char file[] = "/tmp/lunkeeper-initiator.XXXXXX", name[224], message[300];
	int fd = mkstemp(file);
	FILE *stream = fdopen(fd, "w");

	fputs("## comment\n  # InitiatorName=iqn.no\nInitiatorName=iqn.1993-08.org.debian:01:abc\n",
	      stream);
	fflush(stream);
	CU_ASSERT_EQUAL(
		iscsi_initiator_name_read(file, name, sizeof(name), message, sizeof(message)), 0);
	CU_ASSERT_STRING_EQUAL(name, "iqn.1993-08.org.debian:01:abc");
	rewind(stream);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	fputs("InitiatorName=jerry\n", stream);
	fflush(stream);
	CU_ASSERT_EQUAL(
		iscsi_initiator_name_read(file, name, sizeof(name), message, sizeof(message)),
		-EINVAL);
	rewind(stream);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	fclose(stream);
	CU_ASSERT_EQUAL(
		iscsi_initiator_name_read(file, name, sizeof(name), message, sizeof(message)),
		-ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, file));
	unlink(file);
	CU_ASSERT_EQUAL(
		iscsi_initiator_name_read(file, name, sizeof(name), message, sizeof(message)),
		-ENOENT);
}

static CU_TestInfo tests[] = {
	{"taken", test_taken},       {"refused", test_refused},
	{"too long", test_too_long}, {"no users", test_no_users},
	{"text", test_text},         {"LUN field", test_lun_field},
	{"claims", test_claims},     {"initiator name file", test_initiator_file},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("iscsi url", tests);
}
