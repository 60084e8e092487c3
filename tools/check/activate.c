/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who would use a LUN by himself, see tools/check/host.h: md, fstab, systemd's units, automounters,
 * udisks; and who does so now.
 */
#include <ctype.h>
#include <dirent.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sysmacros.h>

#include "tools/check/host.h"

static FILE *open_file(const struct check_host *host, const char *name)
{
	char path[PATH_MAX];

	return fopen(check_host_path(host, name, path), "re");
}

/* A line without its end; false at the end of the file. */
static bool next_line(FILE *stream, char line[CHECK_LINE_MAX])
{
	if (!stream || !fgets(line, CHECK_LINE_MAX, stream))
		return false;
	line[strcspn(line, "\r\n")] = '\0';
	return true;
}

/* ---- now ---- */

static void check_mounted(const struct check_host *host, const struct check_disk *disk)
{
	FILE *stream = open_file(host, "/proc/self/mountinfo");
	char line[CHECK_LINE_MAX], where[512];
	unsigned major_number, minor_number;

	while (next_line(stream, line)) {
		if (sscanf(line, "%*u %*u %u:%u %*s %511s", &major_number, &minor_number, where) !=
		    3)
			continue;
		for (size_t i = 0; i < disk->number_count; i++)
			if (disk->numbers[i] == makedev(major_number, minor_number))
				check_remedy(host->run, CHECK_ERROR, disk->lun->name,
					     "unmount it, and see what mounted it",
					     "is mounted on %s although this node does not own it: "
					     "another node may write to it at any moment",
					     where);
	}
	if (stream)
		fclose(stream);
}

static void check_now(const struct check_host *host, const struct check_disk *disk)
{
	if (disk->owned_here)
		return;
	if (disk->active[0])
		check_remedy(host->run, CHECK_ERROR, disk->lun->name,
			     "deactivate it (vgchange -an VG; mdadm --stop /dev/mdN), and see what "
			     "activated it",
			     "%s is active on it although this node does not own it", disk->active);
	check_mounted(host, disk);
}

/* ---- md ---- */

static bool md_left_alone(const struct check_host *host, const char *uuid, const char *file)
{
	FILE *stream = open_file(host, file);
	char line[CHECK_LINE_MAX];
	bool alone = false;

	while (next_line(stream, line)) {
		const char *given = strstr(line, "UUID=");

		if (strncasecmp(line, "AUTO", 4) == 0)
			alone = alone || (strstr(line, "-all") && !strchr(line, '+'));
		else if (strncasecmp(line, "ARRAY", 5) == 0 && strstr(line, "<ignore>") && given)
			alone = alone || strncasecmp(given + 5, uuid, strlen(uuid)) == 0;
	}
	if (stream)
		fclose(stream);
	return alone;
}

static void check_md(const struct check_host *host, const struct check_disk *disk)
{
	const char *uuid = disk->signature.uuid;
	char remedy[CHECK_LINE_MAX];

	if (!check_host_has(host, "/lib/udev/rules.d/64-md-raid-assembly.rules") &&
	    !check_host_has(host, "/usr/lib/udev/rules.d/64-md-raid-assembly.rules")) {
		check_say(host->run, CHECK_GOOD, disk->lun->name,
			  "holds a part of an md array; this machine has no mdadm");
		return;
	}
	if (*uuid && (md_left_alone(host, uuid, "/etc/mdadm/mdadm.conf") ||
		      md_left_alone(host, uuid, "/etc/mdadm.conf"))) {
		check_say(host->run, CHECK_GOOD, disk->lun->name,
			  "holds a part of the md array %s; mdadm.conf leaves it alone", uuid);
		return;
	}
	snprintf(remedy, sizeof(remedy),
		 "/etc/mdadm/mdadm.conf: ARRAY <ignore> UUID=%s   (then update-initramfs -u)",
		 *uuid ? uuid : "...");
	check_remedy(
		host->run, CHECK_ERROR, disk->lun->name, remedy,
		"holds a part of an md array, which udev assembles when the disk appears: md then "
		"writes its superblocks here, and may resynchronise, while another node owns it");
}

/* ---- fstab ---- */

static bool has_option(const char *options, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
		if (!*at)
			break;
	}
	return false;
}

static void check_fstab(const struct check_host *host, const struct check_disk *disk)
{
	FILE *stream = open_file(host, "/etc/fstab");
	char line[CHECK_LINE_MAX], source[512], where[512], type[64], options[256],
		remedy[2 * CHECK_LINE_MAX];

	for (unsigned number = 1; next_line(stream, line); number++) {
		bool automount, noauto;

		strcpy(options, "defaults"); /* the last three fields may be left out */
		if (sscanf(line, " %511s %511s %63s %255s", source, where, type, options) < 3 ||
		    source[0] == '#' || !check_disk_is(host, disk, source))
			continue;
		automount = has_option(options, "x-systemd.automount");
		noauto = has_option(options, "noauto");
		if (noauto && !automount) {
			check_say(host->run, CHECK_GOOD, disk->lun->name,
				  "/etc/fstab:%u names it with noauto", number);
			continue;
		}
		snprintf(remedy, sizeof(remedy), "/etc/fstab:%u: %s %s %s %s%s 0 0", number, source,
			 where, type, automount ? "noauto" : options, automount ? "" : ",noauto");
		check_remedy(
			host->run, CHECK_ERROR, disk->lun->name, remedy,
			"/etc/fstab:%u mounts it on %s %s: on a standby that reads, replays the "
			"journal of and may damage what another node has mounted",
			number, where, automount ? "when somebody looks there" : "at boot");
	}
	if (stream)
		fclose(stream);
}

/* ---- systemd's units, automounters ---- */

static bool unit_wanted(const struct check_host *host, const char *unit, const char *by)
{
	char pattern[2 * PATH_MAX];
	glob_t matches;
	bool found;

	snprintf(pattern, sizeof(pattern), "%s/etc/systemd/system/*.%s/%s", host->root, by, unit);
	found = glob(pattern, 0, NULL, &matches) == 0 && matches.gl_pathc > 0;
	globfree(&matches);
	return found;
}

/* Something wants it, or its automount unit. */
static bool unit_enabled(const struct check_host *host, const char *unit)
{
	const char *dot = strrchr(unit, '.');
	char automount[512];

	snprintf(automount, sizeof(automount), "%.*s.automount", (int)(dot ? dot - unit : 0), unit);
	return unit_wanted(host, unit, "wants") || unit_wanted(host, unit, "requires") ||
	       unit_wanted(host, automount, "wants") || unit_wanted(host, automount, "requires");
}

static void check_unit(const struct check_host *host, const struct check_disk *disk,
		       const char *folder, const char *unit)
{
	char path[512], line[CHECK_LINE_MAX], remedy[512];
	bool names = false;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s", folder, unit);
	stream = open_file(host, path);
	while (next_line(stream, line))
		names = names ||
			(strncmp(line, "What=", 5) == 0 && check_disk_is(host, disk, line + 5));
	if (stream)
		fclose(stream);
	if (!names || !unit_enabled(host, unit))
		return;
	snprintf(remedy, sizeof(remedy), "systemctl disable --now %s", unit);
	check_remedy(
		host->run, CHECK_ERROR, disk->lun->name, remedy,
		"systemd's unit %s mounts it by itself: on a standby that may damage what another "
		"node has mounted",
		path);
}

static void check_units(const struct check_host *host, const struct check_disk *disk)
{
	static const char *const folders[] = {"/etc/systemd/system", "/run/systemd/system",
					      "/usr/local/lib/systemd/system"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char path[PATH_MAX];
		DIR *list = opendir(check_host_path(host, folders[i], path));
		const struct dirent *entry;

		while (list && (entry = readdir(list)) != NULL) {
			const char *dot = strrchr(entry->d_name, '.');

			if (dot && (strcmp(dot, ".mount") == 0 || strcmp(dot, ".swap") == 0))
				check_unit(host, disk, folders[i], entry->d_name);
		}
		if (list)
			closedir(list);
	}
}

/* autofs: "key  -fstype=ext4  :/dev/sdb1". */
static void check_autofs(const struct check_host *host, const struct check_disk *disk)
{
	char pattern[PATH_MAX], line[CHECK_LINE_MAX], source[512];
	glob_t files;

	if (glob(check_host_path(host, "/etc/auto.*", pattern), 0, NULL, &files) != 0)
		return;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *stream = fopen(files.gl_pathv[i], "re");
		const char *file = files.gl_pathv[i] + strlen(host->root);

		for (unsigned number = 1; next_line(stream, line); number++) {
			const char *colon = strstr(line, ":/dev/");

			if (line[0] == '#' || !colon || sscanf(colon + 1, "%511s", source) != 1 ||
			    !check_disk_is(host, disk, source))
				continue;
			check_remedy(host->run, CHECK_ERROR, disk->lun->name,
				     "take the line out: the service's own agent mounts it",
				     "%s:%u mounts it when somebody looks there", file, number);
		}
		if (stream)
			fclose(stream);
	}
	globfree(&files);
}

/* ---- udisks ---- */

static bool udisks_told(const struct check_host *host, const struct check_disk *disk)
{
	char pattern[PATH_MAX], line[CHECK_LINE_MAX];
	const char *wwid = disk->lun->wwid ? strchr(disk->lun->wwid, '.') : NULL;
	bool told = false;
	glob_t files;

	if (!wwid ||
	    glob(check_host_path(host, "/etc/udev/rules.d/*.rules", pattern), 0, NULL, &files) != 0)
		return false;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *stream = fopen(files.gl_pathv[i], "re");

		while (next_line(stream, line))
			told = told || (line[0] != '#' && strstr(line, "UDISKS_IGNORE") &&
					strstr(line, wwid + 1));
		if (stream)
			fclose(stream);
	}
	globfree(&files);
	return told;
}

static void check_udisks(const struct check_host *host, const struct check_disk *disk)
{
	const char *wwid = disk->lun->wwid ? strchr(disk->lun->wwid, '.') : NULL;
	char remedy[CHECK_LINE_MAX];

	if (disk->signature.kind != SIGNATURE_FILE_SYSTEM ||
	    (!check_host_has(host, "/usr/libexec/udisks2/udisksd") &&
	     !check_host_has(host, "/usr/lib/udisks2/udisksd")) ||
	    udisks_told(host, disk))
		return;
	snprintf(remedy, sizeof(remedy),
		 "/etc/udev/rules.d/61-lunkeeper.rules: SUBSYSTEM==\"block\", "
		 "ENV{ID_SERIAL}==\"3%s\", ENV{UDISKS_IGNORE}=\"1\"",
		 wwid ? wwid + 1 : "WWID");
	check_remedy(
		host->run, CHECK_WARNING, disk->lun->name, remedy,
		"udisks is installed: a desktop's file manager, or whoever may ask it, mounts the "
		"%s on it",
		disk->signature.type);
}

void check_activation(const struct check_host *host, const struct check_disk *disk)
{
	size_t before = host->run->errors + host->run->warnings;

	if (disk->read_error)
		check_say(
			host->run, CHECK_WARNING, disk->lun->name,
			"could not be read (%s): what is on it is taken from udev's memory, or not "
			"known",
			strerror(-disk->read_error));
	check_now(host, disk);
	switch (disk->signature.kind) {
	case SIGNATURE_LVM:
		check_lvm(host, disk);
		break;
	case SIGNATURE_MD:
		check_md(host, disk);
		break;
	case SIGNATURE_NONE:
	case SIGNATURE_FILE_SYSTEM:
	case SIGNATURE_SWAP:
	case SIGNATURE_PARTITIONS:
		break;
	}
	check_fstab(host, disk);
	check_units(host, disk);
	check_autofs(host, disk);
	check_udisks(host, disk);
	if (before == host->run->errors + host->run->warnings)
		check_say(host->run, CHECK_GOOD, disk->lun->name,
			  "nothing here would use it by itself%s%s",
			  *disk->signature.type ? "; on it: " : "", disk->signature.type);
}
