/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two folders of the daemon. Without them it goes on defending what it owns: what is wrong with
 * the state folder stands in the status until it has ended, and a run folder that is removed is put
 * back.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/daemon/daemon.h"
#include "cluster/store/claims.h"
#include "cluster/store/flags.h"

#define FOLDERS_CHECK_MS 1000

static const char *const alarm_names[] = {
	[DAEMON_ALARM_STATE_FOLDER] = "state-folder",
	[DAEMON_ALARM_RUN_FOLDER] = "run-folder",
};

static void set_alarm(struct daemon *daemon, enum daemon_alarm which, const char *text)
{
	struct daemon_alarm_text *alarm = &daemon->alarms[which];

	if (!text) {
		alarm->text[0] = '\0';
		return;
	}
	if (!alarm->text[0])
		alarm->since_ms = clock_now_ms();
	snprintf(alarm->text, sizeof(alarm->text), "%s", text);
}

json_t *daemon_alarms_json(const struct daemon *daemon)
{
	json_t *alarms = json_array();

	for (size_t i = 0; i < DAEMON_ALARMS; i++)
		if (daemon->alarms[i].text[0])
			json_array_append_new(alarms,
					      json_pack("{s:s, s:s, s:I}", "name", alarm_names[i],
							"text", daemon->alarms[i].text, "since_ms",
							(json_int_t)(clock_now_ms() -
								     daemon->alarms[i].since_ms)));
	return alarms;
}

/* ---- the state folder ---- */

void daemon_state_trouble(const char *message, void *user)
{
	struct daemon *daemon = user;

	set_alarm(daemon, DAEMON_ALARM_STATE_FOLDER, message);
	if (message)
		log_error("%s", message);
	daemon_note(daemon, message ? "alarm" : "daemon", "%s",
		    message ? message : "the state folder can be written again");
}

/* ---- the run folder ---- */

static int make_folder(const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	log_error("cannot make the folder %s: %s", path, strerror(errno));
	return -1;
}

static int make_device_folder(const struct daemon *daemon)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/dev", daemon->home.run_folder);
	return make_folder(path);
}

/* Absolute from here on: other processes find their files there too. */
int daemon_folders_make(struct daemon *daemon)
{
	static char folder[PATH_MAX];

	if (make_folder(daemon->home.run_folder))
		return -1;
	if (!realpath(daemon->home.run_folder, folder)) {
		log_error("the folder %s: %s", daemon->home.run_folder, strerror(errno));
		return -1;
	}
	daemon->home.run_folder = folder;
	return make_device_folder(daemon);
}

static void control_path(const struct daemon *daemon, char path[PATH_MAX + 16])
{
	snprintf(path, PATH_MAX + 16, "%s/control", daemon->home.run_folder);
}

int daemon_control_open(struct daemon *daemon, char *message, size_t size)
{
	char path[PATH_MAX + 16];
	struct control_options control = {.path = path,
					  .group = daemon->home.config->control_group,
					  .commands = daemon_commands,
					  .user = daemon};
	struct stat status;
	int error;

	control_path(daemon, path);
	error = control_open(&daemon->control, &daemon->home.loop, &control, message, size);
	if (!error && lstat(path, &status) == 0)
		daemon->control_inode = status.st_ino;
	return error;
}

static bool is_there(const struct daemon *daemon)
{
	char path[PATH_MAX + 16];
	struct stat status;

	control_path(daemon, path);
	if (!daemon->control || lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode) ||
	    status.st_ino != daemon->control_inode)
		return false;
	snprintf(path, sizeof(path), "%s/dev", daemon->home.run_folder);
	return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Whoever is connected stays so only by the old socket; a request that waits is asked anew. */
static int put_back(struct daemon *daemon, char *message, size_t size)
{
	int error;

	if (make_folder(daemon->home.run_folder) || make_device_folder(daemon)) {
		snprintf(message, size, "the run folder %s was removed, and cannot be made: %s",
			 daemon->home.run_folder, strerror(errno));
		return -1;
	}
	if (daemon->control)
		control_close(daemon->control);
	daemon->control = NULL;
	error = daemon_control_open(daemon, message, size);
	if (daemon->home.standby)
		flag_set(daemon->home.run_folder, "standby", NULL, true);
	claims_copy_again(daemon->home.claims);
	return error;
}

/* What groups have there. Names of those that another daemon could not find. */
static size_t put_groups_back(struct daemon *daemon, char *names, size_t size)
{
	size_t count = 0, used = 0;

	names[0] = '\0';
	for (size_t g = 0; g < daemon->group_count; g++) {
		if (group_is_closing(daemon->groups[g]) || group_put_back(daemon->groups[g]))
			continue;
		if (used < size)
			used += (size_t)snprintf(names + used, size - used, "%s%s",
						 count ? ", " : "", group_name(daemon->groups[g]));
		count++;
	}
	return count;
}

/* An alarm stands as long as a gate runs that only this daemon knows. */
static void check_groups(struct daemon *daemon)
{
	char names[400], text[900];

	if (put_groups_back(daemon, names, sizeof(names)) == 0) {
		set_alarm(daemon, DAEMON_ALARM_RUN_FOLDER, NULL);
		daemon->run_folder_lost = false;
		return;
	}
	snprintf(text, sizeof(text),
		 "the run folder %s was removed and put back; the gate of %s goes on, but a daemon "
		 "that begins anew could not find it: before the next restart, hand it over "
		 "(lunkeeper move)",
		 daemon->home.run_folder, names);
	set_alarm(daemon, DAEMON_ALARM_RUN_FOLDER, text);
}

static void on_check_timer(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;
	char message[600] = "";

	if (daemon->phase == DAEMON_PHASE_CLOSING)
		return;
	if (is_there(daemon)) {
		if (daemon->run_folder_lost)
			check_groups(daemon);
		return;
	}
	if (!daemon->run_folder_lost)
		daemon_note(daemon, "alarm", "what is in the run folder %s was removed",
			    daemon->home.run_folder);
	daemon->run_folder_lost = true;
	if (put_back(daemon, message, sizeof(message))) {
		if (strcmp(message, daemon->alarms[DAEMON_ALARM_RUN_FOLDER].text) != 0)
			log_error("%s", message);
		set_alarm(daemon, DAEMON_ALARM_RUN_FOLDER, message);
		return;
	}
	daemon_note(daemon, "daemon", "the run folder %s was put back", daemon->home.run_folder);
	check_groups(daemon);
}

void daemon_folders_watch(struct daemon *daemon)
{
	uv_timer_init(&daemon->home.loop, &daemon->folders_timer);
	daemon->folders_timer.data = daemon;
	uv_timer_start(&daemon->folders_timer, on_check_timer, FOLDERS_CHECK_MS, FOLDERS_CHECK_MS);
}
