/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * lunkeeperd: decides, on this node, which LUNs it owns, and runs what lives on them. Starts up,
 * makes itself hard to delay, runs the loop, and stops: clean (everything is handed over), or
 * leaving all as it is for the daemon that comes after it.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/daemon/daemon.h"
#include "cluster/gate/nbdkit/attach.h"
#include "cluster/store/flags.h"
#include "cluster/base/log.h"
#include "cluster/base/run.h"
#include "cluster/base/sdnotify.h"
#include "cluster/base/starter.h"
#include "iscsi/path_iscsi.h"

#define INITIATOR_FILE "/etc/iscsi/initiatorname.iscsi"
#define REALTIME_PRIORITY 20
#define HAND_OVER_LIMIT_MS 300000

static const struct path_kind *const path_kinds[] = {&path_kind_iscsi, &path_kind_sg, NULL};

/* --- stopping --- */

static void on_handle_closed(uv_handle_t *handle)
{
	(void)handle;
}

static void close_rest(struct daemon *daemon)
{
	for (size_t s = 0; s < sizeof(daemon->signals) / sizeof(daemon->signals[0]); s++)
		uv_close((uv_handle_t *)&daemon->signals[s], on_handle_closed);
	uv_close((uv_handle_t *)&daemon->closing_timer, on_handle_closed);
	uv_close((uv_handle_t *)&daemon->alive_timer, on_handle_closed);
	uv_close((uv_handle_t *)&daemon->folders_timer, on_handle_closed);
	daemon_devices_close(daemon);
	if (daemon->control)
		control_close(daemon->control);
	daemon->control = NULL;
	if (daemon->home.claims)
		claims_close(daemon->home.claims);
	if (daemon->home.history)
		history_close(daemon->home.history, 2000);
	daemon_watchdog_close(daemon); /* the next daemon's time begins now */
}

static void on_group_closed(struct group *group, void *user)
{
	struct daemon *daemon = user;

	daemon_forget_group(daemon, group);
	if (--daemon->closing_groups == 0)
		close_rest(daemon);
}

static void close_all(struct daemon *daemon)
{
	if (daemon->phase == DAEMON_PHASE_CLOSING)
		return;
	daemon->phase = DAEMON_PHASE_CLOSING;
	uv_timer_stop(&daemon->closing_timer);
	if (daemon->leave_running)
		daemon_watchdog_leave(daemon);
	else
		daemon_watchdog_close(daemon);
	daemon_note(daemon, "daemon",
		    daemon->leave_running ? "stopping; what runs is left running"
					  : "stopped; everything was handed over or given up");
	if (daemon->stop_request)
		control_reply(daemon->stop_request, json_pack("{s:s}", "result", "done"));
	daemon->stop_request = NULL;
	daemon->closing_groups = 1;
	for (size_t g = 0; g < daemon->group_count; g++)
		if (!group_is_closing(daemon->groups[g])) {
			daemon->closing_groups++;
			group_close(daemon->groups[g], daemon->leave_running, on_group_closed,
				    daemon);
		}
	if (--daemon->closing_groups == 0)
		close_rest(daemon);
}

static bool all_done(const struct daemon *daemon)
{
	for (size_t g = 0; g < daemon->group_count; g++)
		if (group_is_closing(daemon->groups[g]) || !group_is_done(daemon->groups[g]))
			return false;
	return true;
}

static void on_closing_timer(uv_timer_t *timer)
{
	struct daemon *daemon = timer->data;

	if (daemon->leave_running) {
		close_all(daemon);
		return;
	}
	if (!daemon_close_dropped(daemon) && daemon->phase != DAEMON_PHASE_HANDING_OVER)
		uv_timer_stop(&daemon->closing_timer);
	if (daemon->phase != DAEMON_PHASE_HANDING_OVER)
		return;
	if (all_done(daemon)) {
		close_all(daemon);
	} else if (clock_now_ms() - daemon->closing_since_ms > HAND_OVER_LIMIT_MS) {
		log_error("not everything could be handed over in %u s; what runs is left running",
			  HAND_OVER_LIMIT_MS / 1000);
		daemon->leave_running = true;
		close_all(daemon);
	}
}

/* A group has reached RELEASED, or was closed. */
static void on_group_released(void *user)
{
	struct daemon *daemon = user;

	if (daemon->phase != DAEMON_PHASE_CLOSING && !daemon->leave_running)
		uv_timer_start(&daemon->closing_timer, on_closing_timer, 1, 50);
}

/* Begins a clean stop: every group hands over; then everything is closed. */
static void hand_over(struct daemon *daemon)
{
	if (daemon->phase != DAEMON_PHASE_RUNNING || daemon->leave_running)
		return;
	sdnotify_stopping();
	daemon->phase = DAEMON_PHASE_HANDING_OVER;
	daemon->closing_since_ms = clock_now_ms();
	daemon_note(daemon, "daemon", "stopping: handing over");
	for (size_t g = 0; g < daemon->group_count; g++)
		group_command(daemon->groups[g], ARBITER_COMMAND_SHUTDOWN, 0, false);
	uv_timer_start(&daemon->closing_timer, on_closing_timer, 1, 50);
}

/* Closes at once; what runs is left running. */
static void leave(struct daemon *daemon, bool again)
{
	daemon->leave_running = true;
	daemon->again = again;
	if (daemon->phase != DAEMON_PHASE_CLOSING) /* the answer to whoever asked goes first */
		uv_timer_start(&daemon->closing_timer, on_closing_timer, 20, 0);
}

static void end(struct daemon *daemon, enum daemon_end how)
{
	if (how == DAEMON_END_HAND_OVER)
		hand_over(daemon);
	else
		leave(daemon, how == DAEMON_END_AGAIN);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;
	json_t *answer = NULL;

	if (number == SIGHUP) {
		sdnotify_reloading();
		daemon_reload(daemon, &answer);
		json_decref(answer);
		sdnotify_ready();
	} else {
		hand_over(daemon);
	}
}

/* --- starting --- */

static void usage(FILE *out)
{
	fputs("usage: lunkeeperd [--config FILE] [--node NAME] [--state DIR] [--run DIR] [--debug] "
	      "[--no-realtime]\n"
	      "\n"
	      "Owns LUNs for this node by SCSI-3 persistent reservations, as the configuration "
	      "says. Runs in the foreground.\n"
	      "  --config FILE    default " CONFIG_PATH_DEFAULT "\n"
	      "  --node NAME      this node's name in the configuration; default: the host name\n"
	      "  --state DIR      default " CONFIG_STATE_DEFAULT "\n"
	      "  --run DIR        default " CONFIG_RUN_DEFAULT "\n"
	      "  --check          only read the configuration, say what is wrong with it, and end\n"
	      "  --debug          say more\n"
	      "  --no-realtime    no real-time priority, no locked memory\n"
	      "  --starter        only start programs for another one: lunkeeper-starter.service\n"
	      "SIGHUP takes a changed configuration; SIGTERM hands everything over and stops. See "
	      "lunkeeperd(8).\n",
	      out);
}

static void begin_workers(uv_work_t *work)
{
	(void)work;
}

/* The loop that defends must not wait for memory or for others. */
static void harden(uv_loop_t *loop)
{
	static uv_work_t no_work;
	struct sched_param parameters = {.sched_priority = REALTIME_PRIORITY};
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, files;

	mallopt(M_ARENA_MAX, 1);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		log_notice("memory is not locked (%s): under memory pressure this node may answer "
			   "late",
			   strerror(errno));
	/* libuv's workers are begun while threads still inherit: see scsi/thread.h. */
	if (sched_setscheduler(0, SCHED_RR, &parameters) == 0)
		uv_queue_work(loop, &no_work, begin_workers, NULL);
	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameters))
		log_notice("no real-time priority (%s): under load this node may answer late",
			   strerror(errno));
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int load_config(struct daemon *daemon)
{
	static char name[CONFIG_NAME_MAX + 1];
	struct config_faults faults = {0};
	int error = config_load(daemon->config_path, &daemon->home.config, &faults);
	char text[600];

	for (size_t k = 0; k < faults.count; k++) {
		config_fault_text(&faults.list[k], text, sizeof(text));
		log_write(faults.list[k].severity == CONFIG_ERROR ? LOG_LEVEL_ERROR
								  : LOG_LEVEL_WARNING,
			  "%s", text);
	}
	config_faults_free(&faults);
	if (error)
		return -1;
	daemon->home.self = daemon->node_given
				    ? config_find_node(daemon->home.config, daemon->home.node_name)
				    : config_find_host(daemon->home.config, daemon->home.node_name);
	if (!daemon->home.self) {
		log_error("%s: this node, %s, is not configured there; add: node \"%s\" { id = ... "
			  "}, or start with --node NAME",
			  daemon->config_path, daemon->home.node_name, daemon->home.node_name);
		return -1;
	}
	/* another tree may come with a reload */
	snprintf(name, sizeof(name), "%s", daemon->home.self->name);
	daemon->home.node_name = name;
	return 0;
}

static int find_initiator(struct daemon *daemon)
{
	char message[400];
	bool wanted = false;

	for (size_t i = 0; i < daemon->home.config->lun_count; i++)
		wanted = wanted || daemon->home.config->luns[i].iscsi;
	if (daemon->home.self->initiator) {
		snprintf(daemon->home.initiator, sizeof(daemon->home.initiator), "%s",
			 daemon->home.self->initiator);
	} else if (wanted && iscsi_initiator_name_read(INITIATOR_FILE, daemon->home.initiator,
						       sizeof(daemon->home.initiator), message,
						       sizeof(message))) {
		log_error("%s; or name it in the configuration: node \"%s\" { initiator = "
			  "\"iqn...\" }",
			  message, daemon->home.node_name);
		return -1;
	}
	return 0;
}

static void on_history_notice(bool trouble, const char *message, void *user)
{
	(void)user;
	log_write(trouble ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTICE, "%s", message);
}

static int open_parts(struct daemon *daemon)
{
	char copies[PATH_MAX + 16], path[PATH_MAX + 16], message[CLAIMS_MESSAGE_SIZE];
	struct claims_options state = {daemon->state_folder, copies, daemon->home.config->cluster,
				       daemon->home.self->id};
	struct history_options history = {.days = daemon->home.config->history_days,
					  .size = daemon->home.config->history_size,
					  .notice = on_history_notice,
					  .user = daemon};

	snprintf(copies, sizeof(copies), "%s/claims", daemon->home.run_folder);
	if (claims_open(&daemon->home.claims, &daemon->home.loop, &state, message,
			sizeof(message))) {
		log_error("%s", message);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/history.db", daemon->state_folder);
	history.file = path;
	if (history_open(&daemon->home.history, &daemon->home.loop, &history, message,
			 sizeof(message)))
		log_error("%s", message);
	if (!daemon->home.history)
		return -1;
	claims_on_trouble(daemon->home.claims, daemon_state_trouble, daemon);
	if (daemon_control_open(daemon, message, sizeof(message))) {
		log_error("%s", message);
		return -1;
	}
	return 0;
}

static void on_alive_timer(uv_timer_t *timer)
{
	(void)timer;
	sdnotify_alive();
}

static void open_handles(struct daemon *daemon)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	uint64_t interval = sdnotify_interval_ms();

	for (size_t s = 0; s < sizeof(numbers) / sizeof(numbers[0]); s++) {
		uv_signal_init(&daemon->home.loop, &daemon->signals[s]);
		daemon->signals[s].data = daemon;
		uv_signal_start(&daemon->signals[s], on_signal, numbers[s]);
	}
	uv_timer_init(&daemon->home.loop, &daemon->closing_timer);
	uv_timer_init(&daemon->home.loop, &daemon->alive_timer);
	daemon->closing_timer.data = daemon->alive_timer.data = daemon;
	daemon_devices_open(daemon);
	daemon_folders_watch(daemon);
	if (interval)
		uv_timer_start(&daemon->alive_timer, on_alive_timer, interval, interval);
}

static int parse_options(struct daemon *daemon, int argc, char **argv, bool *realtime)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"node", required_argument, NULL, 'n'},
		{"state", required_argument, NULL, 's'},  {"run", required_argument, NULL, 'r'},
		{"check", no_argument, NULL, 'C'},        {"debug", no_argument, NULL, 'd'},
		{"no-realtime", no_argument, NULL, 'R'},  {"foreground", no_argument, NULL, 'f'},
		{"starter", no_argument, NULL, 'S'},      {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:n:s:r:hV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			daemon->config_path = optarg;
			break;
		case 'n':
			daemon->home.node_name = optarg;
			daemon->node_given = true;
			break;
		case 's':
			daemon->state_folder = optarg;
			break;
		case 'r':
			daemon->home.run_folder = optarg;
			break;
		case 'd':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'C':
			daemon->check_only = true;
			break;
		case 'R':
			*realtime = false;
			break;
		case 'f':
			break;
		case 'S':
			exit(starter_listen());
		case 'h':
			usage(stdout);
			exit(0);
		case 'V':
			puts("lunkeeperd " LUNKEEPER_VERSION);
			exit(0);
		default:
			usage(stderr);
			return -1;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "lunkeeperd: unexpected argument %s\n", argv[optind]);
	usage(stderr);
	return -1;
}

static void run(struct daemon *daemon)
{
	daemon_note(daemon, "daemon",
		    "started: cluster %s, node %s (%u), version " LUNKEEPER_VERSION,
		    daemon->home.config->cluster, daemon->home.node_name, daemon->home.self->id);
	daemon->home.standby = flag_is_set(daemon->home.run_folder, "standby", NULL);
	daemon->home.index = sg_index_read(&sg_roots_system);
	for (size_t g = 0; g < daemon->home.config->group_count; g++)
		daemon_add_group(daemon, &daemon->home.config->groups[g]);
	sg_index_free(daemon->home.index);
	daemon->home.index = NULL;
	sdnotify_ready();
	sdnotify_status("%zu groups", daemon->group_count);
	uv_run(&daemon->home.loop, UV_RUN_DEFAULT);
	uv_loop_close(&daemon->home.loop);
	daemon_free_retired(daemon);
	free(daemon->groups);
	free(daemon->home.effects.items);
	if (!daemon->leave_running)
		attach_remove_leftovers(daemon->home.run_folder, NULL);
	config_free(daemon->home.config);
}

static void on_starter_trouble(const char *message, void *user)
{
	daemon_note(user, "daemon", "%s", message);
}

int main(int argc, char **argv)
{
	static struct daemon daemon;
	char host[256], program[PATH_MAX] = "";
	bool realtime = true;

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		program[0] = 0;
	gethostname(host, sizeof(host));
	host[sizeof(host) - 1] = 0;
	daemon.home.node_name = host;
	daemon.config_path = CONFIG_PATH_DEFAULT;
	daemon.state_folder = CONFIG_STATE_DEFAULT;
	daemon.home.run_folder = CONFIG_RUN_DEFAULT;
	daemon.started_ms = clock_now_ms();
	log_open(2, LOG_LEVEL_INFO);
	if (parse_options(&daemon, argc, argv, &realtime))
		return 2;
	umask(022);
	if (daemon.check_only)
		return load_config(&daemon) ? 2 : 0;
	/* Now: what it forks must have nothing of what follows. */
	run_on_trouble(on_starter_trouble, &daemon);
	run_prepare();
	if (load_config(&daemon) || find_initiator(&daemon) || daemon_folders_make(&daemon))
		return 2;
	daemon.end = end;
	daemon.home.path_kinds = path_kinds;
	daemon.home.released = on_group_released;
	daemon.home.user = &daemon;
	uv_loop_init(&daemon.home.loop);
	if (realtime)
		harden(&daemon.home.loop);
	if (open_parts(&daemon))
		return 1;
	open_handles(&daemon);
	/* The last thing that can fail: once it is open it is armed. */
	if (daemon_watchdog_open(&daemon))
		return 1;
	run(&daemon);
	run_finish();
	if (daemon.again) {
		execv(program, argv); /* perhaps a newer one by now */
		execv("/proc/self/exe", argv);
	}
	return 0;
}
