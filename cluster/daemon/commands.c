/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control protocol's commands; docs/control.md tells them from outside.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/daemon/daemon.h"
#include "cluster/store/flags.h"
#include "cluster/core/key.h"

#define WAIT_MAX_MS (24 * 3600 * 1000)

static struct group *take_group(struct control_request *request, struct daemon *daemon)
{
	const char *name;
	struct group *group;

	if (!control_take_text(request, "group", false, &name))
		return NULL;
	group = daemon_find_group(daemon, name);
	if (!group)
		control_fail(request, "unknown",
			     "%s: no service, group or LUN of this name on this node", name);
	return group;
}

static void note_command(struct control_request *request, struct group *group, const char *what)
{
	group_note(group, NULL, "command", "%s, by uid %u (pid %d)", what,
		   (unsigned)control_peer_uid(request), (int)control_peer_pid(request));
}

static void group_order(struct control_request *request, struct daemon *daemon, const char *what,
			enum arbiter_command command, uint8_t node, bool on)
{
	struct group *group;
	int64_t wait_ms;

	if (!control_take_number(request, "wait_ms", 0, WAIT_MAX_MS, 0, &wait_ms))
		return;
	group = take_group(request, daemon);
	if (!group)
		return;
	if (group_is_leaving(group) || daemon->phase != DAEMON_PHASE_RUNNING) {
		control_fail(request, "closing", "%s: it is being handed over for good",
			     group_name(group));
		return;
	}
	if (!group_is_started(group)) {
		control_fail(request, "starting",
			     "%s: not started yet: its gate or service is not known; see lunkeeper "
			     "status",
			     group_name(group));
		return;
	}
	note_command(request, group, what);
	if (command == ARBITER_COMMAND_MAINTENANCE) {
		group_set_maintenance(group, on);
	}
	group_obey(group, request, command, node, on, (uint32_t)wait_ms);
}

static void do_claim(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	group_order(request, user, "claim", ARBITER_COMMAND_CLAIM, 0, false);
}

static void do_take(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	group_order(request, user, "take", ARBITER_COMMAND_TAKE, 0, false);
}

static void do_release(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	group_order(request, user, "release", ARBITER_COMMAND_RELEASE, 0, false);
}

static void do_yield(struct control_request *request, const json_t *arguments, void *user)
{
	struct daemon *daemon = user;
	const struct config_node *node = NULL;
	struct group *group;
	const char *name;

	(void)arguments;
	if (!control_take_text(request, "node", true, &name))
		return;
	if (name) {
		node = config_find_node(daemon->home.config, name);
		if (!node) {
			control_fail(request, "unknown", "%s: no node of this name is configured",
				     name);
			return;
		}
		group = take_group(request, daemon);
		if (!group)
			return;
		if (config_group_rank(group_config(group), node->id) < 0) {
			control_fail(request, "unlisted", "%s: node %s is not in its list of nodes",
				     group_name(group), name);
			return;
		}
	}
	group_order(request, daemon, name ? name : "to any node", ARBITER_COMMAND_YIELD,
		    node ? node->id : KEY_NODE_ANY, false);
}

static void do_maintenance(struct control_request *request, const json_t *arguments, void *user)
{
	bool on;

	(void)arguments;
	if (control_take_flag(request, "on", true, &on))
		group_order(request, user, on ? "maintenance on" : "maintenance off",
			    ARBITER_COMMAND_MAINTENANCE, 0, on);
}

static void set_standby(struct control_request *request, struct daemon *daemon, bool standby)
{
	bool was = daemon->home.standby;

	daemon->home.standby = standby;
	flag_set(daemon->home.run_folder, "standby", NULL, standby);
	for (size_t g = 0; g < daemon->group_count; g++)
		group_set_standby(daemon->groups[g], standby);
	daemon_note(daemon, "command", "node set to %s, by uid %u", standby ? "standby" : "online",
		    (unsigned)control_peer_uid(request));
	control_reply(request,
		      json_pack("{s:s}", "result", was == standby ? "already" : "started"));
}

static void do_standby(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	set_standby(request, user, true);
}

static void do_online(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	set_standby(request, user, false);
}

static json_t *counters_json(const struct group_counters *counters)
{
	static const char *const in[] = {"read-keys", "read-reservation", "report-capabilities",
					 "read-full-status"};
	static const char *const out[] = {"register",
					  "reserve",
					  "release",
					  "clear",
					  "preempt",
					  "preempt-and-abort",
					  "register-and-ignore",
					  "register-and-move"};
	json_t *pr_in = json_object(), *pr_out = json_object();

	for (size_t k = 0; k < sizeof(in) / sizeof(in[0]); k++)
		json_object_set_new(pr_in, in[k], json_integer((json_int_t)counters->pr.in[k]));
	for (size_t k = 0; k < sizeof(out) / sizeof(out[0]); k++)
		json_object_set_new(pr_out, out[k], json_integer((json_int_t)counters->pr.out[k]));
	return json_pack("{s:I, s:I, s:o, s:o, s:I, s:I}", "looks", (json_int_t)counters->looks,
			 "looks_failed", (json_int_t)counters->looks_failed, "pr_in", pr_in,
			 "pr_out", pr_out, "resets", (json_int_t)counters->resets,
			 "unit_attentions", (json_int_t)counters->unit_attentions);
}

static void do_status(struct control_request *request, const json_t *arguments, void *user)
{
	struct daemon *daemon = user;
	json_t *nodes = json_array(), *groups = json_array(), *json;
	const char *only;

	(void)arguments;
	if (!control_take_text(request, "group", true, &only) ||
	    (only && !take_group(request, daemon))) {
		json_decref(nodes);
		json_decref(groups);
		return;
	}
	for (size_t n = 0; n < daemon->home.config->node_count; n++)
		json_array_append_new(
			nodes,
			json_pack("{s:s, s:i, s:b}", "name", daemon->home.config->nodes[n].name,
				  "id", daemon->home.config->nodes[n].id, "self",
				  &daemon->home.config->nodes[n] == daemon->home.self));
	for (size_t g = 0; g < daemon->group_count; g++)
		if (!group_is_closing(daemon->groups[g]) &&
		    (!only || daemon_find_group(daemon, only) == daemon->groups[g]))
			json_array_append_new(groups, group_status_json(daemon->groups[g]));
	json = json_pack("{s:s, s:s, s:s, s:i, s:I, s:b, s:o, s:o, s:o, s:o, s:o}", "cluster",
			 daemon->home.config->cluster, "node", daemon->home.node_name, "version",
			 LUNKEEPER_VERSION, "pid", (int)getpid(), "uptime_ms",
			 (json_int_t)(clock_now_ms() - daemon->started_ms), "standby",
			 daemon->home.standby, "alarms", daemon_alarms_json(daemon), "watchdog",
			 daemon_watchdog_json(daemon), "nodes", nodes, "groups", groups, "counters",
			 counters_json(&daemon->home.counters));
	control_reply(request, json);
}

static void do_ledger(struct control_request *request, const json_t *arguments, void *user)
{
	struct daemon *daemon = user;
	json_t *rows;
	const char *lun;

	(void)arguments;
	if (!control_take_text(request, "lun", true, &lun))
		return;
	if (lun && !daemon_find_group(daemon, lun)) {
		control_fail(request, "unknown",
			     "%s: no service, group or LUN of this name on this node", lun);
		return;
	}
	rows = json_array();
	for (size_t g = 0; g < daemon->group_count; g++) {
		json_t *some = group_is_closing(daemon->groups[g])
				       ? NULL
				       : group_ledger_json(daemon->groups[g], lun);

		if (some)
			json_array_extend(rows, some);
		json_decref(some);
	}
	control_reply(request,
		      json_pack("{s:s, s:o}", "node", daemon->home.node_name, "rows", rows));
}

static void do_explain(struct control_request *request, const json_t *arguments, void *user)
{
	struct group *group = take_group(request, user);

	(void)arguments;
	if (group)
		control_reply(request, group_explain_json(group));
}

static void do_ping(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	(void)user;
	control_reply(request, NULL);
}

/* --- events --- */

struct follow {
	struct control_request *request;
	struct daemon *daemon;
	struct history_watch *watch;
	char *group, *kind, *node;
	bool following, gone;
	bool unknown;     /* no group has this name; an earlier one may have had it */
	uint32_t limit;   /* events of one answer */
	int64_t since_ms; /* wall clock; 0: whenever */
	int64_t last_id;
	int64_t asked_id; /* the newest event when the query was made */
};

static void follow_free(struct follow *follow)
{
	if (follow->watch)
		history_watch_remove(follow->watch);
	free(follow->group);
	free(follow->kind);
	free(follow->node);
	free(follow);
}

static bool follow_wants(const char *wanted, const char *value)
{
	return !wanted || (value && strcmp(wanted, value) == 0);
}

static void on_event(const struct history_event *event, void *user)
{
	struct follow *follow = user;

	if (event->id <= follow->last_id || follow->gone || event->time_ms < follow->since_ms ||
	    !follow_wants(follow->group, event->group) ||
	    !follow_wants(follow->kind, event->kind) || !follow_wants(follow->node, event->node))
		return;
	follow->last_id = event->id;
	control_stream(follow->request, history_event_json(event));
}

static void on_follower_gone(struct control_request *request, void *user)
{
	struct follow *follow = user;

	follow->gone = true;
	if (!follow->watch)
		return; /* the query is still under way */
	control_reply(request, NULL);
	follow_free(follow);
}

static void follow_find(struct follow *follow, int64_t since, int64_t since_ms);

static void follow_end(struct follow *follow, bool more)
{
	control_reply(follow->request, json_pack("{s:b, s:b, s:I}", "end", 1, "more", more,
						 "last_id", (json_int_t)follow->last_id));
	follow_free(follow);
}

/* One event more than an answer may have tells that there are more: who wants them asks again from
 * the last one that it has got, at its own pace. */
static void on_found(int error, const char *message, const struct history_event *events,
		     size_t count, void *user)
{
	struct follow *follow = user;
	bool more = count > follow->limit;

	if (error) {
		control_fail(follow->request, "history", "%s", message);
		follow_free(follow);
		return;
	}
	if (count == 0 && follow->unknown) {
		control_fail(follow->request, "unknown",
			     "%s: no service, group or LUN of this name on this node, and no event "
			     "of one",
			     follow->group);
		follow_free(follow);
		return;
	}
	for (size_t k = 0; k < count - more; k++)
		on_event(&events[k], follow);
	if (more || !follow->following || follow->gone) {
		follow_end(follow, more);
		return;
	}
	/* what was added while the query was under way is in neither */
	if (history_last_id(follow->daemon->home.history) > follow->asked_id) {
		follow_find(follow, follow->asked_id, 0);
		return;
	}
	follow->watch = history_watch_add(follow->daemon->home.history, on_event, follow);
	if (!follow->watch)
		follow_end(follow, true);
}

static void follow_find(struct follow *follow, int64_t since, int64_t since_ms)
{
	struct history_query query = {.since_id = since,
				      .since_ms = since_ms,
				      .group = follow->group,
				      .kind = follow->kind,
				      .node = follow->node,
				      .limit = follow->limit};

	if (since >= 0 || since_ms > 0)
		query.limit++;
	follow->asked_id = history_last_id(follow->daemon->home.history);
	history_find(follow->daemon->home.history, &query, on_found, follow);
}

static struct follow *follow_make(struct control_request *request, struct daemon *daemon,
				  const char *group, const char *kind, const char *node)
{
	struct follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return NULL;
	*follow = (struct follow){.request = request,
				  .daemon = daemon,
				  .last_id = -1,
				  .group = group ? strdup(group) : NULL,
				  .kind = kind ? strdup(kind) : NULL,
				  .node = node ? strdup(node) : NULL};
	if (!group == !follow->group && !kind == !follow->kind && !node == !follow->node)
		return follow;
	follow_free(follow);
	return NULL;
}

static void do_events(struct control_request *request, const json_t *arguments, void *user)
{
	struct daemon *daemon = user;
	struct follow *follow;
	int64_t since, since_ms, limit;
	const char *name, *kind, *node;
	bool following;

	(void)arguments;
	if (!control_take_number(request, "since_id", -1, INT64_MAX, -1, &since) ||
	    !control_take_number(request, "since_ms", 0, INT64_MAX, 0, &since_ms) ||
	    !control_take_number(request, "limit", 1, HISTORY_QUERY_LIMIT, HISTORY_QUERY_LIMIT,
				 &limit) ||
	    !control_take_flag(request, "follow", false, &following) ||
	    !control_take_text(request, "group", true, &name) ||
	    !control_take_text(request, "kind", true, &kind) ||
	    !control_take_text(request, "node", true, &node))
		return;
	if (name && daemon_find_group(daemon, name))
		name = group_name(daemon_find_group(daemon, name));
	follow = follow_make(request, daemon, name, kind, node);
	if (!follow) {
		control_fail(request, "memory", "out of memory");
		return;
	}
	follow->following = following;
	follow->unknown = name && !daemon_find_group(daemon, name);
	follow->since_ms = since_ms;
	follow->limit = (uint32_t)limit;
	control_on_gone(request, on_follower_gone, follow);
	follow_find(follow, since, since_ms);
}

/* --- the daemon itself --- */

static void do_reload(struct control_request *request, const json_t *arguments, void *user)
{
	json_t *answer = NULL, *texts;

	(void)arguments;
	if (daemon_reload(user, &answer) == 0) {
		control_reply(request, answer);
		return;
	}
	texts = json_object_get(answer, "faults");
	control_fail(request, "configuration",
		     "the configuration has faults, nothing was changed: %s",
		     json_array_size(texts) ? json_string_value(json_array_get(texts, 0))
					    : "see the log");
	json_decref(answer);
}

/* The daemon that comes next must be able to start. Ends the request if it would not. */
static bool configuration_is_good(struct control_request *request, const struct daemon *daemon)
{
	struct config_faults faults = {0};
	struct config *config = NULL;
	char text[600] = "see the log";
	int error = config_load(daemon->config_path, &config, &faults);

	for (size_t k = 0; k < faults.count && error; k++)
		if (faults.list[k].severity == CONFIG_ERROR) {
			config_fault_text(&faults.list[k], text, sizeof(text));
			break;
		}
	if (error)
		control_fail(request, "configuration",
			     "the configuration has faults, with which no daemon starts: %s", text);
	config_faults_free(&faults);
	config_free(config);
	return !error;
}

static void do_restart(struct control_request *request, const json_t *arguments, void *user)
{
	struct daemon *daemon = user;

	(void)arguments;
	if (daemon->phase != DAEMON_PHASE_RUNNING) {
		control_fail(request, "closing", "the daemon is stopping");
	} else if (configuration_is_good(request, daemon)) {
		control_reply(request, json_pack("{s:s}", "result", "started"));
		daemon->end(daemon, DAEMON_END_AGAIN);
	}
}

static void do_shutdown(struct control_request *request, const json_t *arguments, void *user)
{
	struct daemon *daemon = user;
	int64_t wait_ms;

	(void)arguments;
	if (!control_take_number(request, "wait_ms", 0, WAIT_MAX_MS, 0, &wait_ms))
		return;
	if (wait_ms > 0 && !daemon->stop_request)
		daemon->stop_request = request;
	else
		control_reply(request, json_pack("{s:s}", "result", "started"));
	daemon->end(daemon, DAEMON_END_HAND_OVER);
}

const struct control_command daemon_commands[] = {
	{"claim", do_claim},
	{"events", do_events},
	{"explain", do_explain},
	{"ledger", do_ledger},
	{"maintenance", do_maintenance},
	{"online", do_online},
	{"ping", do_ping},
	{"release", do_release},
	{"reload", do_reload},
	{"restart", do_restart},
	{"shutdown", do_shutdown},
	{"standby", do_standby},
	{"start", do_claim},
	{"status", do_status},
	{"stop", do_release},
	{"take", do_take},
	{"yield", do_yield},
	{NULL, NULL},
};
