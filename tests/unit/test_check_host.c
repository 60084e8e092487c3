/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper check --node` on made-up machines: who would use a standby's LUN by himself, and what
 * is said to do about it. A device node is a file that begins with its numbers; behind them stands
 * what the disk holds.
 */
#include <sys/stat.h>

#include "tests/unit/sg_tree.h"
#include "tools/check/host.h"

#define WWID "naa.6001405a1b2c3d4e"

static struct config *config;
static struct check check = {.json = true};
static struct check_run run = {.check = &check};
static struct check_host host = {.run = &run, .root = root, .sg = &fake_roots, .timeout_ms = 5000};
static struct check_disk disk;

/* What the map's disk holds: the corpus file, from its first sector on. */
static void hold(const char *corpus)
{
	static char content[SIGNATURE_HEAD_SIZE];
	char path[200];
	FILE *file;

	memset(content, 0, sizeof(content));
	if (corpus) {
		snprintf(path, sizeof(path), "tests/fuzz/corpus/signature/%s", corpus);
		file = fopen(path, "re");
		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		(void)!fread(content, 1, sizeof(content), file);
		fclose(file);
	}
	memcpy(content, "b 253 0\n", 8);
	file = fopen(in_root("dev/dm-0"), "we");
	fwrite(content, 1, sizeof(content), file);
	fclose(file);
}

/* The configured device is the tree's. */
static void configure(void)
{
	struct config_faults faults = {0};
	char text[600];

	snprintf(text, sizeof(text),
		 "cluster = \"c\"\nwatchdog = \"/dev/watchdog9\"\nnode \"jerry\" { id = 1 }\n"
		 "lun \"mail\" { device = \"%s/mapper/mailstore\" wwid = \"" WWID "\" }\n",
		 dev);
	CU_ASSERT_EQUAL_FATAL(config_load_text("c", text, strlen(text), &config, &faults), 0);
	config_faults_free(&faults);
	check.config = config;
}

static void begin(void)
{
	if (!config)
		configure();
	json_decref(run.findings);
	run.findings = json_array();
	run.errors = run.warnings = 0;
	memset(&disk, 0, sizeof(disk));
	disk.lun = &check.config->luns[0];
	CU_ASSERT_TRUE_FATAL(check_disk_find(&host, NULL, &disk));
}

/* A finding of that verdict whose text and remedy have these words. */
static bool said(const char *verdict, const char *words, const char *remedy)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(run.findings, i, finding)
	{
		const char *does = json_string_value(json_object_get(finding, "remedy"));

		if (strcmp(json_string_value(json_object_get(finding, "verdict")), verdict) == 0 &&
		    strstr(json_string_value(json_object_get(finding, "text")), words) &&
		    (!remedy || (does && strstr(does, remedy))))
			return true;
	}
	return false;
}

static void put(const char *name, const char *text)
{
	make_file(in_root("%s", name), text);
}

static void test_disk(void)
{
	bool path = false, by_id = false;

	hold("ext4");
	begin();
	CU_ASSERT_TRUE(disk.place.map);
	CU_ASSERT_EQUAL(disk.read_error, 0);
	CU_ASSERT_STRING_EQUAL(disk.signature.type, "ext4");
	for (size_t i = 0; i < disk.name_count; i++) {
		path = path || strcmp(disk.names[i], "/dev/sdb") == 0;
		by_id = by_id || strcmp(disk.names[i], "/dev/disk/by-id/wwn-0x6001") == 0;
	}
	CU_ASSERT_TRUE(path && by_id);
	CU_ASSERT_TRUE(check_disk_is(&host, &disk, "/dev/mapper/mailstore"));
	CU_ASSERT_TRUE(check_disk_is(&host, &disk, "/dev/sdc"));
	CU_ASSERT_TRUE(check_disk_is(&host, &disk, "/dev/sdb1"));
	CU_ASSERT_TRUE(check_disk_is(&host, &disk, "LABEL=maildata"));
	CU_ASSERT_TRUE(
		check_disk_is(&host, &disk, "UUID=\"11111111-2222-3333-4444-555555555555\""));
	CU_ASSERT_FALSE(check_disk_is(&host, &disk, "/dev/vda"));
	CU_ASSERT_FALSE(check_disk_is(&host, &disk, "LABEL=other"));
	CU_ASSERT_FALSE(check_disk_is(&host, &disk, "tmpfs"));
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors + run.warnings, 0);
	CU_ASSERT_TRUE(said("good", "nothing here would use it by itself; on it: ext4", NULL));
}

static void test_fstab(void)
{
	hold("ext4");
	put("etc/fstab", "# LABEL=maildata /a ext4 defaults 0 0\n"
			 "LABEL=maildata /srv/mail ext4 defaults,nofail 0 0\n"
			 "/dev/vda / ext4 defaults 0 1\n"
			 "/dev/mapper/mailstore /b ext4 noauto 0 0\n"
			 "/dev/sdb1\t/c\txfs\trw,noauto,x-systemd.automount 0 0\n"
			 "/dev/sdc /d ext4\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 3);
	CU_ASSERT_TRUE(said("error", "/etc/fstab:6 mounts it on /d at boot",
			    "/dev/sdc /d ext4 defaults,noauto 0 0"));
	CU_ASSERT_TRUE(said("error", "/etc/fstab:2 mounts it on /srv/mail at boot",
			    "LABEL=maildata /srv/mail ext4 defaults,nofail,noauto 0 0"));
	CU_ASSERT_TRUE(said("good", "/etc/fstab:4 names it with noauto", NULL));
	CU_ASSERT_TRUE(said("error", "/etc/fstab:5 mounts it on /c when somebody looks there",
			    "/dev/sdb1 /c xfs noauto 0 0"));
	put("etc/fstab", "");
}

static void test_lvm(void)
{
	hold("lvm");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_TRUE(said("good", "this machine has no LVM", NULL));
	put("sbin/lvm", "");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_TRUE(said("good", "the volume group says that nobody activates it", NULL));
	disk.signature.no_autoactivation = false;
	put("etc/fstab", "/dev/data-vg/mail /srv/mail ext4 defaults 0 0\n"
			 "/dev/mapper/data--vg-mail /x ext4 defaults 0 0\n"
			 "/dev/mapper/data--vg--2-mail /y ext4 defaults 0 0\n");
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 3);
	CU_ASSERT_TRUE(said("error", "physical volume of the volume group data-vg",
			    "vgchange --setautoactivation n data-vg"));
	CU_ASSERT_TRUE(said("error", "/etc/fstab:1", NULL) && said("error", "/etc/fstab:2", NULL));
	put("etc/fstab", "");
}

static void lvm_is(const char *conf, const char *verdict, const char *words)
{
	put("etc/lvm/lvm.conf", conf);
	begin();
	disk.signature.no_autoactivation = false;
	check_lvm(&host, &disk);
	CU_ASSERT_TRUE(said(verdict, words, NULL));
}

static void test_lvm_conf(void)
{
	hold("lvm");
	put("sbin/lvm", "");
	lvm_is("devices {\n\t# global_filter = [ \"r|.*|\" ]\n\tdir = \"/dev\"\n}\n", "error",
	       "activates by itself");
	lvm_is("devices {\n\tglobal_filter = [ \"a|^/dev/vda|\", \"r|.*|\" ] # ours\n}\n", "good",
	       "global_filter keeps");
	lvm_is("devices {\n\tglobal_filter = [ \"r|^/dev/sd[bc]$|\",\n \"a|.*|\" ]\n}\n", "error",
	       "activates by itself"); /* by its other names it is accepted */
	lvm_is("activation { auto_activation_volume_list = [ \"root\", \"data-vg-2\" ] }\n", "good",
	       "leaves it out");
	lvm_is("activation { auto_activation_volume_list = [ \"@tag\" ] }\n", "error",
	       "activates by itself");
	lvm_is("activation/auto_activation_volume_list = []\n", "good", "leaves it out");
	lvm_is("devices { use_devicesfile = 1 }\n", "error", "activates by itself");
	put("etc/lvm/devices/system.devices", "# PVs\nIDTYPE=sys_wwid IDNAME=naa.1 PVID=abc\n");
	lvm_is("devices { use_devicesfile = 1 }\n", "good", "not in LVM's devices file");
	put("etc/lvm/devices/system.devices", "IDTYPE=mpath_uuid IDNAME=mpath-36001405a1b2c3d4e\n");
	lvm_is("devices { use_devicesfile = 1 }\n", "error", "activates by itself");
	lvm_is("devices { global_filter = [ \"r|", "error", "activates by itself");
	put("etc/lvm/lvm.conf", "");
}

static void test_lvm_filter(void)
{
	static const char names[][SG_NODE_MAX] = {"/dev/sda", "/dev/disk/by-id/x"};
	static const char *const accept[] = {"a|/by-id/|", "r|.*|"};
	static const char *const reject[] = {"r/sda/", "r{by-id}"};
	static const char *const broken[] = {"", "x|y|", "r|(|", "r"};

	CU_ASSERT_TRUE(check_lvm_filter(accept, 2, names, 2));
	CU_ASSERT_FALSE(check_lvm_filter(accept, 2, names, 1));
	CU_ASSERT_FALSE(check_lvm_filter(reject, 2, names, 2));
	CU_ASSERT_FALSE(check_lvm_filter(reject, 1, names, 2)); /* one rejected, none accepted */
	CU_ASSERT_TRUE(check_lvm_filter(reject, 1, names + 1, 1));
	CU_ASSERT_TRUE(check_lvm_filter(broken, 4, names, 2));
	CU_ASSERT_TRUE(check_lvm_filter(NULL, 0, names, 2));
}

static void test_md(void)
{
	hold("md12");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_TRUE(said("good", "this machine has no mdadm", NULL));
	put("lib/udev/rules.d/64-md-raid-assembly.rules", "");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_TRUE(said("error", "md array",
			    "ARRAY <ignore> UUID=10111213:14151617:18191a1b:1c1d1e1f"));
	put("etc/mdadm/mdadm.conf", "ARRAY <ignore> UUID=10111213:14151617:18191a1b:1c1d1e1f\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 0);
	put("etc/mdadm/mdadm.conf", "AUTO +1.x -all\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 1);
	put("etc/mdadm/mdadm.conf", "AUTO -all\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 0);
}

static void test_units(void)
{
	hold("ext4");
	put("etc/systemd/system/srv-mail.mount",
	    "[Mount]\nWhat=/dev/disk/by-id/wwn-0x6001\nWhere=/srv/mail\n");
	put("etc/auto.misc", "cd -fstype=iso9660 :/dev/sr0\nmail -fstype=ext4 :/dev/sdb\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 1);
	CU_ASSERT_TRUE(said("error", "/etc/auto.misc:2", NULL));
	put("etc/systemd/system/multi-user.target.wants/srv-mail.automount", "");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 2);
	CU_ASSERT_TRUE(said("error", "unit /etc/systemd/system/srv-mail.mount",
			    "systemctl disable --now srv-mail.mount"));
	unlink(in_root("etc/systemd/system/srv-mail.mount"));
	unlink(in_root("etc/auto.misc"));
	put("usr/libexec/udisks2/udisksd", "");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_TRUE(said("warning", "udisks", "ENV{ID_SERIAL}==\"36001405a1b2c3d4e\""));
	put("etc/udev/rules.d/61-x.rules",
	    "ENV{ID_SERIAL}==\"36001405a1b2c3d4e\", ENV{UDISKS_IGNORE}=\"1\"\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_EQUAL(run.warnings, 0);
}

static void test_now(void)
{
	hold("lvm");
	put("proc/self/mountinfo", "30 1 252:0 / / rw - ext4 /dev/vda rw\n"
				   "31 1 253:1 / /srv/mail rw - ext4 /dev/dm-1 rw\n");
	make_link(in_root("sys/devices/virtual/dm-0/holders/dm-1"),
		  in_root("sys/devices/virtual/dm-1"));
	make_file(in_root("sys/devices/virtual/dm-1/dm/name"), "data--vg-mail\n");
	begin();
	check_activation(&host, &disk);
	CU_ASSERT_TRUE(said("error", "dm-1 (data--vg-mail) is active on it", NULL));
	CU_ASSERT_TRUE(said("error", "is mounted on /srv/mail although", NULL));
	begin();
	disk.owned_here = true;
	check_activation(&host, &disk);
	CU_ASSERT_FALSE(said("error", "although", NULL));
	unlink(in_root("sys/devices/virtual/dm-0/holders/dm-1"));
}

static void test_multipath(void)
{
	hold(NULL);
	put("etc/multipath.conf", "defaults {\n\treservation_key file\n}\noverrides {\n"
				  "\tno_path_retry \"queue\"\n}\n");
	begin();
	check_multipath(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 0);
	CU_ASSERT_TRUE(said("warning", "/etc/multipath.conf:5: no_path_retry queue",
			    "no_path_retry fail"));
	put("etc/multipath.conf", "# reservation_key file\ndefaults {\n}\n");
	begin();
	check_multipath(&host, &disk);
	CU_ASSERT_EQUAL(run.warnings, 0);
	CU_ASSERT_TRUE(said("error", "reservation key", "reservation_key file"));
	put("etc/multipath/conf.d/lunkeeper.conf", "defaults {\n reservation_key \"file\"\n}\n");
	begin();
	check_multipath(&host, &disk);
	CU_ASSERT_EQUAL(run.errors, 0);
}

static void test_watchdog(void)
{
	begin();
	check_watchdog(&host, check.config);
	CU_ASSERT_TRUE(said("error", "/dev/watchdog9 is not there", "modprobe softdog"));
}

static CU_TestInfo tests[] = {
	{"disk", test_disk},         {"fstab", test_fstab},       {"LVM", test_lvm},
	{"lvm.conf", test_lvm_conf}, {"filter", test_lvm_filter}, {"md", test_md},
	{"units", test_units},       {"now", test_now},           {"multipath", test_multipath},
	{"watchdog", test_watchdog}, CU_TEST_INFO_NULL,
};

int main(void)
{
	int status = sg_tree_run("check --node", tests);

	json_decref(run.findings);
	config_free(config);
	return status;
}
