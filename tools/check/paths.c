/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Settings around a LUN's paths, see tools/check/host.h: dm-multipath, open-iscsi's sessions and
 * times, the generic driver; and the machine's watchdog and clock.
 */
#include <ctype.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "cluster/daemon/watchdog.h"
#include "iscsi/sessions.h"
#include "scsi/sysfs.h"
#include "tools/check/host.h"

#define YEAR_2024 1704067200 /* a clock before that was never set */

/* ---- dm-multipath ---- */

struct multipath_conf {
	bool any;             /* there is a file */
	char queue[600];      /* where it says that I/O waits for ever */
	bool reservation_key; /* "file" */
};

static void read_multipath_file(const char *path, const char *shown, struct multipath_conf *conf)
{
	FILE *stream = fopen(path, "re");
	char line[CHECK_LINE_MAX], key[64], value[128];

	if (!stream)
		return;
	conf->any = true;
	for (unsigned number = 1; fgets(line, sizeof(line), stream); number++) {
		line[strcspn(line, "#!")] = '\0';
		if (sscanf(line, " %63s \"%127[^\"]\"", key, value) != 2 &&
		    sscanf(line, " %63s %127s", key, value) != 2)
			continue;
		if (strcmp(key, "reservation_key") == 0 && strcmp(value, "file") == 0)
			conf->reservation_key = true;
		if ((strcmp(key, "no_path_retry") == 0 && strcmp(value, "queue") == 0) ||
		    (strcmp(key, "features") == 0 && strstr(value, "queue_if_no_path")))
			snprintf(conf->queue, sizeof(conf->queue), "%.400s:%u: %s %s", shown,
				 number, key, value);
	}
	fclose(stream);
}

static void read_multipath_conf(const struct check_host *host, struct multipath_conf *conf)
{
	char path[PATH_MAX];
	glob_t files;

	memset(conf, 0, sizeof(*conf));
	read_multipath_file(check_host_path(host, "/etc/multipath.conf", path),
			    "/etc/multipath.conf", conf);
	if (glob(check_host_path(host, "/etc/multipath/conf.d/*.conf", path), 0, NULL, &files) == 0)
		for (size_t i = 0; i < files.gl_pathc; i++)
			read_multipath_file(files.gl_pathv[i],
					    files.gl_pathv[i] + strlen(host->root), conf);
	globfree(&files);
}

/* The map above a path of the LUN: "dm-3 (mailstore)". */
static bool map_above(const struct check_host *host, const struct check_disk *disk, char *map,
		      size_t size)
{
	char pattern[PATH_MAX];
	bool found = false;
	glob_t holders;

	for (size_t i = 0; !found && i < disk->place.count; i++) {
		const char *generic = strrchr(disk->place.devices[i].node, '/');

		snprintf(pattern, sizeof(pattern),
			 "%s/class/scsi_generic/%s/device/block/*/holders/*", host->sg->sysfs,
			 generic ? generic + 1 : "");
		if (glob(pattern, 0, NULL, &holders) == 0) {
			for (size_t k = 0; !found && k < holders.gl_pathc; k++) {
				char uuid[200], name[128];

				sysfs_attribute(holders.gl_pathv[k], "dm/uuid", uuid, sizeof(uuid));
				sysfs_attribute(holders.gl_pathv[k], "dm/name", name, sizeof(name));
				found = strncmp(uuid, "mpath-", 6) == 0;
				if (found)
					snprintf(map, size, "/dev/mapper/%s", name);
			}
		}
		globfree(&holders);
	}
	return found;
}

void check_multipath(const struct check_host *host, const struct check_disk *disk)
{
	const char *name = disk->lun->name;
	struct multipath_conf conf;
	char map[160], remedy[300];

	if (disk->lun->iscsi)
		check_remedy(
			host->run, CHECK_WARNING, name,
			"log this machine out of that target (iscsiadm -m node -T TARGET -u, and "
			"node.startup = manual), or configure the kernel's device instead",
			"is configured as iscsi://, but the kernel has it too, as %s: what opens "
			"that goes past the gate",
			disk->place.block);
	else if (!disk->place.map && disk->place.block[0] &&
		 map_above(host, disk, map, sizeof(map))) {
		snprintf(remedy, sizeof(remedy), "lunkeeper.conf: device = \"%s\"", map);
		check_remedy(host->run, CHECK_ERROR, name, remedy,
			     "%s is one path of the multipath map %s: only that path would be "
			     "registered, and data by the others refused",
			     disk->place.block, map);
	} else if (!disk->place.map && disk->place.count > 1) {
		check_remedy(
			host->run, CHECK_WARNING, name,
			"start multipathd, and configure the map: device = \"/dev/mapper/WWID\"",
			"has %zu paths here and no multipath map: data take one of them only",
			disk->place.count);
	}
	if (!disk->place.map || disk->lun->iscsi)
		return;
	read_multipath_conf(host, &conf);
	if (conf.queue[0])
		check_remedy(
			host->run, CHECK_WARNING, name,
			"/etc/multipath.conf: overrides { no_path_retry fail }",
			"%s: without any path, I/O waits for ever, so a service on a node that is "
			"cut off can be stopped only after its gate has failed",
			conf.queue);
	if (!conf.reservation_key)
		check_remedy(
			host->run, CHECK_ERROR, name,
			"/etc/multipath.conf: defaults { reservation_key file }   (then "
			"multipathd reconfigure)",
			"multipathd does not know the reservation key: a path that comes back is "
			"used before it is registered, and writes by it end with a reservation "
			"conflict");
}

/* ---- open-iscsi ---- */

static long number_attribute(const char *folder, const char *name, long otherwise)
{
	char text[32];

	sysfs_attribute(folder, name, text, sizeof(text));
	if (strcmp(text, "off") == 0) /* as the kernel writes -1 */
		return -1;
	return isdigit((unsigned char)text[text[0] == '-']) ? strtol(text, NULL, 10) : otherwise;
}

static const struct check_disk *disk_of(const struct kernel_session *session,
					const struct check_disk *disks, size_t count)
{
	char name[SG_NODE_MAX + 8];

	for (size_t d = 0; d < count; d++)
		for (size_t p = 0; p < disks[d].place.count; p++)
			for (size_t k = 0; k < session->disk_count; k++) {
				snprintf(name, sizeof(name), "/dev/%s", session->disks[k].generic);
				if (strcmp(name, disks[d].place.devices[p].node) == 0)
					return &disks[d];
			}
	return NULL;
}

static void check_session_times(const struct check_host *host, const struct kernel_session *session,
				const struct check_disk *disk)
{
	const struct config_group *group = check_group_of(host->run->check->config, disk->lun);
	uint32_t loss_ms = group ? group->times.loss_ms : host->run->check->config->times.loss_ms;
	char folder[PATH_MAX], what[64], remedy[CHECK_LINE_MAX];
	long recovery, interval, timeout;

	snprintf(folder, sizeof(folder), "%s/class/iscsi_session/session%u", host->sg->sysfs,
		 session->number);
	recovery = number_attribute(folder, "recovery_tmo", 120);
	snprintf(folder, sizeof(folder), "%s/class/iscsi_connection/connection%u:0",
		 host->sg->sysfs, session->number);
	interval = number_attribute(folder, "recv_tmo", 5);
	timeout = number_attribute(folder, "ping_tmo", 5);
	snprintf(what, sizeof(what), "session %u", session->number);
	snprintf(
		remedy, sizeof(remedy),
		"iscsiadm -m node -T %s -o update -n node.session.timeo.replacement_timeout -v 5   "
		"(and in /etc/iscsi/iscsid.conf; then log in again)",
		session->target);
	if (recovery < 0)
		check_remedy(host->run, CHECK_ERROR, what, remedy,
			     "replacement_timeout %ld: I/O on a lost session to %s waits for ever",
			     recovery, session->address);
	else if ((interval + timeout + recovery) * 1000 >= (long)loss_ms)
		check_remedy(
			host->run, CHECK_WARNING, what, remedy,
			"I/O by the path to %s is given up %ld s after it died (noop %ld + %ld, "
			"replacement_timeout %ld): that is not less than loss = %u s, so data wait "
			"there until this node counts as cut off, although another path may work",
			session->address, interval + timeout + recovery, interval, timeout,
			recovery, loss_ms / 1000);
	else if (!interval || !timeout)
		check_remedy(host->run, CHECK_WARNING, what,
			     "/etc/iscsi/iscsid.conf: node.conn[0].timeo.noop_out_interval = 2, "
			     "node.conn[0].timeo.noop_out_timeout = 3",
			     "no NOP-Out is sent to %s: an idle path that died is noticed late",
			     session->address);
	else
		check_say(host->run, CHECK_GOOD, what,
			  "to %s: a dead path is given up in %ld s, loss = %u s", session->address,
			  interval + timeout + recovery, loss_ms / 1000);
}

/* One of open-iscsi's records: will there be this session after a boot? */
static void check_record(const struct check_host *host, const char *path, const char *target)
{
	FILE *stream = fopen(path, "re");
	char line[CHECK_LINE_MAX], value[128], portal[128] = "", remedy[CHECK_LINE_MAX];
	bool automatic = false;

	while (stream && fgets(line, sizeof(line), stream)) {
		if (sscanf(line, "node.startup = %127s", value) == 1)
			automatic = strcmp(value, "manual") != 0;
		if (sscanf(line, "node.conn[0].address = %127s", value) == 1)
			snprintf(portal, sizeof(portal), "%s", value);
	}
	if (!stream)
		return;
	fclose(stream);
	if (automatic)
		return;
	snprintf(remedy, sizeof(remedy),
		 "iscsiadm -m node -T %s -p %s -o update -n node.startup -v "
		 "automatic",
		 target, *portal ? portal : "PORTAL");
	check_remedy(
		host->run, CHECK_WARNING, "open-iscsi", remedy,
		"nobody logs in to %s at %s after a boot (node.startup = manual): this node could "
		"not even look at its LUNs",
		target, *portal ? portal : "?");
}

static void check_records(const struct check_host *host, const char *target)
{
	char pattern[PATH_MAX], path[PATH_MAX];
	glob_t records;

	snprintf(pattern, sizeof(pattern), "/etc/iscsi/nodes/%s/*/*", target);
	if (glob(check_host_path(host, pattern, path), 0, NULL, &records) == 0)
		for (size_t i = 0; i < records.gl_pathc; i++)
			check_record(host, records.gl_pathv[i], target);
	globfree(&records);
}

void check_sessions(const struct check_host *host, const struct check_disk *disks, size_t count)
{
	struct kernel_sessions sessions;
	const char *told = "";

	if (kernel_sessions_read(&sessions, host->sg->sysfs) != 0)
		return;
	for (size_t s = 0; s < sessions.count; s++) {
		const struct kernel_session *session = &sessions.sessions[s];
		const struct check_disk *disk = disk_of(session, disks, count);

		if (!disk || disk->lun->iscsi)
			continue;
		check_session_times(host, session, disk);
		if (strcmp(told, session->target) != 0)
			check_records(host, session->target);
		told = session->target;
	}
	kernel_sessions_free(&sessions);
}

/* ---- the machine ---- */

void check_watchdog(const struct check_host *host, const struct config *config)
{
	char path[PATH_MAX], user[128], text[16];

	if (!config->watchdog)
		return;
	if (!check_host_has(host, config->watchdog)) {
		check_remedy(
			host->run, CHECK_ERROR, "watchdog",
			"modprobe softdog; echo softdog >/etc/modules-load.d/softdog.conf   (or "
			"the driver of this machine's own)",
			"%s is not there: lunkeeperd will not start", config->watchdog);
		return;
	}
	watchdog_find_user(config->watchdog, user, sizeof(user));
	if (user[0] && strncmp(user, "lunkeeperd ", 11) != 0) {
		check_remedy(host->run, CHECK_ERROR, "watchdog",
			     strncmp(user, "systemd ", 8) == 0
				     ? "/etc/systemd/system.conf: RuntimeWatchdogSec=0   (then "
				       "systemctl daemon-reexec)"
				     : "stop it, or take `watchdog` out of lunkeeper.conf",
			     "%s is in use by %s: lunkeeperd will not start", config->watchdog,
			     user);
		return;
	}
	snprintf(path, sizeof(path), "%s/class/watchdog/watchdog0", host->sg->sysfs);
	sysfs_attribute(path, "nowayout", text, sizeof(text));
	if (strcmp(text, "1") == 0)
		check_say(
			host->run, CHECK_WARNING, "watchdog",
			"it cannot be disarmed (nowayout): this node is reset whenever lunkeeperd "
			"ends, also when it owns nothing");
	else
		check_say(host->run, CHECK_GOOD, "watchdog", "%s%s%s", config->watchdog,
			  user[0] ? ", in use by " : "", user);
}

void check_clock(const struct check_host *host)
{
	struct timex state = {0};

	if (time(NULL) < YEAR_2024)
		check_remedy(host->run, CHECK_WARNING, "clock", "set it, and install chrony",
			     "it was never set: times in the history are wrong");
	else if (adjtimex(&state) == TIME_ERROR || (state.status & STA_UNSYNC))
		check_remedy(
			host->run, CHECK_WARNING, "clock", "install chrony, or systemd-timesyncd",
			"it is not synchronised: no decision depends on it, but histories and logs "
			"of several nodes cannot be laid side by side");
	else
		check_say(host->run, CHECK_GOOD, "clock", "synchronised");
}
