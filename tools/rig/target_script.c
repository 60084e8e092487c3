/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shell script around a batch for targetcli, see tools/rig/target_conf.h. Pure. targetcli goes
 * on behind a line that failed and ends with 0, so the script looks at what the kernel has
 * afterwards.
 */
#include "tools/rig/target_conf.h"

#include <string.h>

static const char script_begin[] =
	"#!/bin/sh\n"
	"# Made by `lunkeeper rig target-conf --script`: makes this machine the SAN of a test "
	"rig.\n"
	"# It installs nothing. To take it back: targetcli /iscsi delete TARGET, then delete the\n"
	"# back stores, then targetcli saveconfig.\n"
	"set -eu\n"
	"umask 077\n"
	"cd /\n"
	"export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C\n";

static const char script_checks[] =
	"\n"
	"fail() {\n"
	"\techo \"$0: $*\" >&2\n"
	"\texit 1\n"
	"}\n"
	"\n"
	"[ \"$(id -u)\" = 0 ] || fail 'run it as root'\n"
	"command -v targetcli >/dev/null || fail 'no targetcli: install the package targetcli-fb'\n"
	"[ -S /run/dbus/system_bus_socket ] ||\n"
	"\tfail 'no D-Bus, which targetcli needs: install and start dbus (dbus-daemon --system "
	"--fork)'\n"
	"modprobe -a target_core_mod iscsi_target_mod || fail 'this kernel has no LIO target'\n"
	"mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config\n"
	"lio=/sys/kernel/config/target\n"
	"tpg=$lio/iscsi/$target/tpgt_1\n"
	"[ ! -d \"$lio/iscsi/$target\" ] ||\n"
	"\tfail \"$target is there already; to begin anew: targetcli /iscsi delete $target\"\n"
	"for store in $stores; do\n"
	"\tfor there in \"$lio\"/core/*/\"$store\"; do\n"
	"\t\t[ ! -d \"$there\" ] || fail \"a back store $store is there already\"\n"
	"\tdone\n"
	"done\n"
	"for device in $devices; do\n"
	"\t[ -b \"$device\" ] || fail \"$device is no block device\"\n"
	"done\n";

/* A home of its own: in root's, targetcli would keep the passwords in log.txt for everybody to
 * read, and the preferences there change what the same lines do. */
static const char script_run[] =
	"\n"
	"TARGETCLI_HOME=$(mktemp -d)\n"
	"export TARGETCLI_HOME\n"
	"trap 'rm -rf \"$TARGETCLI_HOME\"' EXIT\n"
	"said=$(batch | targetcli 2>&1) || fail \"targetcli failed: $said\"\n"
	"\n"
	"# targetcli ends with 0 whatever a line has come to: is all of it there?\n"
	"missing=\n"
	"for portal in $portals; do\n"
	"\t[ -d \"$tpg/np/$portal\" ] || missing=\"$missing portal-$portal\"\n"
	"done\n"
	"for lun in $luns; do\n"
	"\t[ -d \"$tpg/lun/lun_$lun\" ] || missing=\"$missing LUN-$lun\"\n"
	"\tfor initiator in $initiators; do\n"
	"\t\t[ -d \"$tpg/acls/$initiator/lun_$lun\" ] || missing=\"$missing "
	"LUN-$lun-for-$initiator\"\n"
	"\tdone\n"
	"done\n"
	"[ \"$(cat \"$tpg/attrib/authentication\" 2>/dev/null)\" = \"$chap\" ] || "
	"missing=\"$missing "
	"authentication=$chap\"\n"
	"[ \"$(cat \"$tpg/enable\" 2>/dev/null)\" = 1 ] || missing=\"$missing enabled\"\n"
	"[ -z \"$missing\" ] || fail \"not set up:$missing; targetcli said: $said\"\n";

static const char script_aptpl[] =
	"\n"
	"# Reservations that shall outlive a power cut (APTPL) are kept in files in the folder "
	"pr.\n"
	"# Without the folder, registering so fails (02/08/00); without +S on it, LIO answers "
	"before\n"
	"# the file is on the disk, and a power cut brings a preempted key back.\n"
	"folder=$(cat \"$lio/dbroot\")/pr\n"
	"mkdir -p \"$folder\"\n"
	"chattr +S \"$folder\" 2>/dev/null ||\n"
	"\techo \"warning: $folder is on a file system that cannot do chattr +S: put it on ext4 or "
	"xfs\" "
	">&2\n";

static const char script_end[] =
	"\n"
	"if [ -d /run/systemd/system ]; then\n"
	"\tsystemctl is-enabled --quiet rtslib-fb-targetctl 2>/dev/null ||\n"
	"\t\techo 'so that it is there after a boot: systemctl enable rtslib-fb-targetctl' >&2\n"
	"fi\n"
	"targetcli \"/iscsi/$target\" ls\n"
	"echo\n"
	"echo \"reservations: $folder ($(lsattr -d \"$folder\" 2>/dev/null | cut -d ' ' -f 1))\"\n"
	"for lun in $luns; do\n"
	"\tfor serial in \"$tpg/lun/lun_$lun\"/*/wwn/vpd_unit_serial; do\n"
	"\t\t[ -r \"$serial\" ] || continue\n"
	"\t\tid=$(sed 's/.*: *//; s/-//g' \"$serial\" | cut -c 1-25)\n"
	"\t\techo \"LUN $lun: wwid = \\\"naa.6001405$id\\\", "
	"/dev/disk/by-id/wwn-0x6001405$id on a node\"\n"
	"\tdone\n"
	"done\n";

static void write_list(FILE *out, const char *name)
{
	fprintf(out, "%s='", name);
}

void rig_target_conf_write_script(const struct rig_target_conf *conf, FILE *out)
{
	const char *separator = "";
	unsigned folders = 0;

	fputs(script_begin, out);
	fprintf(out, "\ntarget=%s\nchap=%d\n", conf->target,
		conf->acl_count && conf->acls[0].chap.found);
	write_list(out, "stores");
	for (size_t i = 0; i < conf->lun_count; i++)
		fprintf(out, "%s%s", i ? " " : "", conf->luns[i].name);
	fputs("'\n", out);
	write_list(out, "luns");
	for (size_t i = 0; i < conf->lun_count; i++)
		fprintf(out, "%s%u", i ? " " : "", conf->luns[i].number);
	fputs("'\n", out);
	write_list(out, "devices");
	for (size_t i = 0; i < conf->lun_count; i++) {
		if (!conf->luns[i].device)
			continue;
		fprintf(out, "%s%s", separator, conf->luns[i].device);
		separator = " ";
	}
	fputs("'\n", out);
	write_list(out, "portals");
	for (size_t i = 0; i < conf->portal_count; i++)
		fprintf(out, strchr(conf->portals[i].address, ':') ? "%s[%s]:%u" : "%s%s:%u",
			i ? " " : "", conf->portals[i].address, conf->portals[i].port);
	fputs(conf->portal_count ? "'\n" : "0.0.0.0:3260'\n", out);
	write_list(out, "initiators");
	for (size_t i = 0; i < conf->acl_count; i++)
		fprintf(out, "%s%s", i ? " " : "", conf->acls[i].initiator);
	fputs("'\n\nbatch() {\n\tcat <<'BATCH'\n", out);
	rig_target_conf_write_batch(conf, out);
	fputs("BATCH\n}\n", out);
	fputs(script_checks, out);
	for (size_t i = 0; i < conf->lun_count; i++) {
		const char *slash = conf->luns[i].device ? NULL : strrchr(conf->luns[i].file, '/');

		if (slash && !folders++)
			fprintf(out, "mkdir -p '%.*s'\n", (int)(slash - conf->luns[i].file),
				conf->luns[i].file);
	}
	fputs(script_run, out);
	fputs(script_aptpl, out);
	fputs(script_end, out);
}
