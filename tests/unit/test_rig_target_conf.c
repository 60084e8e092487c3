/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The generator of targetcli set-ups: its text, line by line, what it refuses, and that a shell can
 * parse the script.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/unit.h"
#include "tools/cli/cli.h"
#include "tools/rig/target_conf.h"

static struct rig_target_portal portals[2];
static struct rig_target_lun luns[2];
static struct rig_target_acl acls[2];
static struct rig_target_conf conf;
static char message[500], *text;

static void fresh(void)
{
	portals[0] = (struct rig_target_portal){"10.0.1.10", 3260};
	portals[1] = (struct rig_target_portal){"fd00::10", 3261};
	luns[0] = (struct rig_target_lun){
		.number = 1, .name = "lun1", .device = "/dev/disk/by-id/x-1", .file = ""};
	luns[1] = (struct rig_target_lun){
		.number = 7, .name = "lun7", .file = "/srv/a/lun7.img", .size = 1 << 30};
	memset(acls, 0, sizeof(acls));
	acls[0].initiator = "iqn.2024-01.com.example:jerry";
	acls[1].initiator = "iqn.2024-01.com.example:tom";
	for (size_t i = 0; i < 2; i++) {
		acls[i].chap = (struct secrets){.found = true, .mutual = true};
		strcpy(acls[i].chap.user, "in");
		strcpy(acls[i].chap.secret, "one-and-two!");
		strcpy(acls[i].chap.target_user, "out");
		strcpy(acls[i].chap.target_secret, "two-and-one!");
	}
	conf = (struct rig_target_conf){
		"iqn.2024-01.com.example:san", portals, 2, luns, 2, acls, 2};
}

static const char *written(void (*write)(const struct rig_target_conf *, FILE *))
{
	size_t length;
	FILE *out;

	free(text);
	text = NULL;
	out = open_memstream(&text, &length);
	write(&conf, out);
	fclose(out);
	return text;
}

static void test_batch(void)
{
	fresh();
	acls[1].chap.mutual = false;
	CU_ASSERT_EQUAL(rig_target_conf_check(&conf, message, sizeof(message)), 0);
	CU_ASSERT_STRING_EQUAL(
		written(rig_target_conf_write_batch),
		"# Back stores: what the LUNs are kept on\n"
		"/backstores/block create name=lun1 dev=/dev/disk/by-id/x-1\n"
		"# write_back=false: a write is on the disk before it is acknowledged\n"
		"/backstores/fileio create name=lun7 file_or_dev=/srv/a/lun7.img size=1073741824 "
		"write_back=false sparse=true\n"
		"# The target, and where it listens\n"
		"/iscsi create iqn.2024-01.com.example:san\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/portals delete 0.0.0.0 3260\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/portals create 10.0.1.10 3260\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/portals create fd00::10 3261\n"
		"# Nobody without an ACL; authentication=1 asks for CHAP\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1 set attribute generate_node_acls=0 "
		"authentication=1\n"
		"# LUNs\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/luns create /backstores/block/lun1 lun=1\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/luns create /backstores/fileio/lun7 "
		"lun=7\n"
		"# The nodes: each sees all LUNs under their numbers\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/acls create "
		"iqn.2024-01.com.example:jerry add_mapped_luns=true\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/acls/iqn.2024-01.com.example:jerry set "
		"auth userid=in password=one-and-two! mutual_userid=out "
		"mutual_password=two-and-one!\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/acls create "
		"iqn.2024-01.com.example:tom add_mapped_luns=true\n"
		"/iscsi/iqn.2024-01.com.example:san/tpg1/acls/iqn.2024-01.com.example:tom set "
		"auth userid=in password=one-and-two!\n"
		"# For the next boot\n"
		"saveconfig\n"
		"exit\n");
	conf.portal_count = 0;
	acls[0].chap.found = acls[1].chap.found = false;
	CU_ASSERT_EQUAL(rig_target_conf_check(&conf, message, sizeof(message)), 0);
	written(rig_target_conf_write_batch);
	CU_ASSERT_PTR_NULL(strstr(text, "portals"));
	CU_ASSERT_PTR_NULL(strstr(text, "password"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "authentication=0"));
}

/* A shell reads it, and what it looks for afterwards is what was asked for. */
static void test_script(void)
{
	FILE *shell = popen("sh -n", "we");

	fresh();
	CU_ASSERT_PTR_NOT_NULL_FATAL(shell);
	fputs(written(rig_target_conf_write_script), shell);
	CU_ASSERT_EQUAL(pclose(shell), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntarget=iqn.2024-01.com.example:san\nchap=1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nluns='1 7'\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nportals='10.0.1.10:3260 [fd00::10]:3261'\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndevices='/dev/disk/by-id/x-1'\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nmkdir -p '/srv/a'\n"));
	conf.portal_count = 0;
	CU_ASSERT_PTR_NOT_NULL(
		strstr(written(rig_target_conf_write_script), "\nportals='0.0.0.0:3260'\n"));
}

static void portal_is(const char *given, const char *address, unsigned port)
{
	struct rig_target_portal portal;
	const char *problem = NULL;
	int error = rig_target_portal_parse(&portal, given, &problem);

	CU_ASSERT_EQUAL(error, address ? 0 : -EINVAL);
	if (!address) {
		CU_ASSERT_PTR_NOT_NULL(problem);
		return;
	}
	CU_ASSERT_STRING_EQUAL(portal.address, address);
	CU_ASSERT_EQUAL(portal.port, port);
}

static void test_portals(void)
{
	portal_is("10.0.1.10", "10.0.1.10", 3260);
	portal_is("10.0.1.10:1", "10.0.1.10", 1);
	portal_is("fd00::1", "fd00::1", 3260);
	portal_is("[fd00::1]", "fd00::1", 3260);
	portal_is("[fd00::1]:65535", "fd00::1", 65535);
	portal_is("", NULL, 0);
	portal_is(":3260", NULL, 0);
	portal_is("san.example.com", NULL, 0);
	portal_is("10.0.1.10:", NULL, 0);
	portal_is("10.0.1.10:0", NULL, 0);
	portal_is("10.0.1.10:65536", NULL, 0);
	portal_is("10.0.1.10:3260x", NULL, 0);
	portal_is("[fd00::1", NULL, 0);
	portal_is("[fd00::1]x", NULL, 0);
	portal_is("[10.0.1.10]:3260", NULL, 0);
	portal_is("fd00::1%eth0", NULL, 0);
	portal_is("10.0.1.10000000000000000000000000000000000000000000000000000", NULL, 0);
}

static void test_names(void)
{
	CU_ASSERT_TRUE(rig_target_iqn_valid("iqn.2024-01.com.example:san"));
	CU_ASSERT_TRUE(rig_target_iqn_valid("iqn.2024-12.com.example"));
	CU_ASSERT_TRUE(rig_target_iqn_valid("naa.5001405000000001"));
	CU_ASSERT_FALSE(rig_target_iqn_valid("iqn.2024-01.example:san"));
	CU_ASSERT_FALSE(rig_target_iqn_valid("iqn.2024-01.com.Example:san"));
	CU_ASSERT_FALSE(rig_target_iqn_valid("iqn.2024-01.com.example:my_san"));
	CU_ASSERT_FALSE(rig_target_iqn_valid("iqn.2024-21.com.example:san"));
	CU_ASSERT_FALSE(rig_target_iqn_valid("iqn.2024"));
	CU_ASSERT_FALSE(rig_target_iqn_valid("san"));
	CU_ASSERT_FALSE(rig_target_iqn_valid(""));
}

static void refused(const char *words)
{
	message[0] = 0;
	CU_ASSERT_EQUAL(rig_target_conf_check(&conf, message, sizeof(message)), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, words));
	CU_ASSERT_PTR_NULL(strstr(message, "one-and"));
	fresh();
}

static void test_refused(void)
{
	fresh();
	conf.target = "san";
	refused("target \"san\"");
	conf.lun_count = 0;
	refused("no LUN");
	conf.acl_count = 0;
	refused("no node");
	luns[1].number = 1;
	refused("same number");
	luns[1].name = "lun1";
	refused("same name");
	luns[1].device = luns[0].device;
	refused("same back store");
	luns[1].number = 256;
	refused("0 to 255");
	luns[0].device = "vdb";
	refused("absolute path");
	luns[0].device = "/dev/a b";
	refused("absolute path");
	luns[0].device = "/dev/$(reboot)";
	refused("absolute path");
	luns[1].size = 1000;
	refused("at least 1M");
	luns[0].name = "seventeen-letters";
	refused("no name for a back store");
	acls[1].initiator = acls[0].initiator;
	refused("given twice");
	acls[1].initiator = conf.target;
	refused("target's name and an initiator's");
	acls[1].chap.found = false;
	refused("tom has none");
	strcpy(acls[1].chap.secret, "short");
	refused("at least 12");
	strcpy(acls[1].chap.secret, "one-and two!");
	refused("CHAP password");
	strcpy(acls[1].chap.secret, "one-and'two!");
	refused("CHAP password");
	strcpy(acls[1].chap.secret, "one-and-tw\xc3\xb6!");
	refused("CHAP password");
	strcpy(acls[1].chap.secret, "NULL-one-and-two");
	refused("NULL");
	strcpy(acls[1].chap.target_user, "");
	refused("mutual user");
	strcpy(acls[1].chap.target_secret, "one-and-two!");
	refused("must differ");
	portals[1] = portals[0];
	refused("portal 10.0.1.10:3260 is given twice");
}

static void test_size(void)
{
	CU_ASSERT_EQUAL(cli_parse_size("512"), 512);
	CU_ASSERT_EQUAL(cli_parse_size("64k"), 65536);
	CU_ASSERT_EQUAL(cli_parse_size("2T"), 2ull << 40);
	CU_ASSERT_EQUAL(cli_parse_size("16777216T"), 0);
	CU_ASSERT_EQUAL(cli_parse_size("99999999999999999999999T"), 0);
	CU_ASSERT_EQUAL(cli_parse_size("1 G"), 0);
	CU_ASSERT_EQUAL(cli_parse_size("1GB"), 0);
	CU_ASSERT_EQUAL(cli_parse_size("-1"), 0);
	CU_ASSERT_EQUAL(cli_parse_size(""), 0);
}

static CU_TestInfo tests[] = {
	{"batch", test_batch}, {"script", test_script},   {"portals", test_portals},
	{"names", test_names}, {"refused", test_refused}, {"sizes", test_size},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	int status = unit_run("rig target-conf", tests);

	free(text);
	return status;
}
