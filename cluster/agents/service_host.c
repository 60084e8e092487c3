/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A service's shell: effects become agents, ends of agents become events, and what happens is
 * written down. Everything that an agent needs is copied out of the configuration, so that a reload
 * may free that at any time.
 */
#include "cluster/agents/service_host.h"

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/base/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define HOST_LEFT_LIMIT_MS 5000 /* for what was left behind to go, killed */
#define HOST_LEFT_LOOK_MS 10
#define HOST_LEFT_NAMED 5
#define HOST_NEWS_MAX 16
#define HOST_PATIENCE_MIN_MS 50
#define HOST_PATIENCE_MAX_MS 1000

struct host_resource {
	char name[CONFIG_NAME_MAX + 1];
	char *path;
	char **environment, **environment_deposed;
	char *last_error; /* NULL: the last operation went well */
};

/* One agent under way. Outlives the host if need be. */
struct host_operation {
	struct host_operation *next;
	struct service_host *host; /* NULL: closed meanwhile */
	struct agent *agent;
	uint32_t id;
	uint8_t resource;
};

struct host_news {
	enum arbiter_service state;
	bool failed;
};

struct service_host {
	struct service service;
	struct service_host_options options;
	char name[CONFIG_NAME_MAX + 1], node[CONFIG_NAME_MAX + 1];
	char *run_folder;
	uv_timer_t deadline, deliver, patience;
	unsigned handles;
	struct host_resource *resources;
	struct host_operation *operations;
	struct host_news news[HOST_NEWS_MAX]; /* not yet delivered, oldest first */
	size_t news_count;
	uint32_t patience_ms;
	bool held_back; /* STARTING, while it may soon be known what runs */
	/* The control group of all of the service's processes, unique on this machine: it holds
	 * several nodes when it is the rig's. */
	char cgroup[CONFIG_NAME_MAX + 64];
	uv_timer_t left; /* the last stop is over, but for what it left behind */
	uint32_t left_id;
	uint8_t left_resource;
	uint64_t left_until_ms;
};

static void host_step(struct service_host *host, const struct service_event *event);

/* ---- what agents need ---- */

static void host_free_resources(struct host_resource *resources, size_t count)
{
	for (size_t i = 0; resources && i < count; i++) {
		free(resources[i].path);
		free(resources[i].last_error);
		agent_environment_free(resources[i].environment);
		agent_environment_free(resources[i].environment_deposed);
	}
	free(resources);
}

/* NULL without memory. */
static struct host_resource *host_make_resources(const struct service_host *host,
						 const struct config_group *group)
{
	struct host_resource *resources = calloc(group->resource_count + 1, sizeof(*resources));

	for (size_t i = 0; resources && i < group->resource_count; i++) {
		struct agent_environment_options options = {group, &group->resources[i], host->node,
							    host->run_folder, false};

		snprintf(resources[i].name, sizeof(resources[i].name), "%s",
			 group->resources[i].name);
		resources[i].path = strdup(group->resources[i].agent_path);
		resources[i].environment = agent_environment(&options);
		options.deposed = true;
		resources[i].environment_deposed = agent_environment(&options);
		if (!resources[i].path || !resources[i].environment ||
		    !resources[i].environment_deposed) {
			host_free_resources(resources, group->resource_count);
			return NULL;
		}
	}
	return resources;
}

static void host_make_config(const struct config_group *group, struct service_config *config)
{
	memset(config, 0, sizeof(*config));
	config->resource_count = (uint8_t)group->resource_count;
	for (size_t i = 0; i < group->resource_count; i++) {
		const struct config_resource *from = &group->resources[i];

		config->resources[i] = (struct service_resource_config){
			.requires = from->requires,
			.monitor_ms = from->monitor_ms,
			.monitor_timeout_ms = from->monitor_timeout_ms,
			.start_timeout_ms = from->start_timeout_ms,
			.stop_timeout_ms = from->stop_timeout_ms,
			.restarts = (uint8_t)from->restarts,
		};
	}
}

/* ---- history ---- */

static void host_record(struct service_host *host, const char *kind, const char *rule,
			const char *text, json_t *details)
{
	char *json = details ? json_dumps(details, JSON_COMPACT) : NULL;
	struct history_event event = {
		.group = host->name, .kind = kind, .rule = rule, .text = text, .details = json};

	if (host->options.history)
		history_add(host->options.history, &event);
	free(json);
	json_decref(details);
}

static void host_record_resource(struct service_host *host, const struct service_effect *effect)
{
	const struct host_resource *resource = &host->resources[effect->resource];
	const char *from = service_resource_state_name(effect->old_resource);
	const char *to = service_resource_state_name(effect->new_resource);
	char text[300];

	/* a start of the daemon that finds nothing is no news */
	if (effect->new_resource == SERVICE_RESOURCE_PROBING ||
	    effect->reason == SERVICE_REASON_FOUND_STOPPED)
		return;
	snprintf(text, sizeof(text), "%s: resource %s is %s (was %s): %s", host->name,
		 resource->name, to, from, service_reason_text(effect->reason));
	log_write(effect->new_resource == SERVICE_RESOURCE_FAILED ? LOG_LEVEL_WARNING
								  : LOG_LEVEL_INFO,
		  "%s", text);
	host_record(
		host, "resource", NULL, text,
		json_pack("{s:s, s:s, s:s}", "resource", resource->name, "from", from, "to", to));
}

static void host_record_service(struct service_host *host, const struct service_effect *effect)
{
	const char *cause = effect->resource < host->service.config.resource_count
				    ? host->resources[effect->resource].name
				    : NULL;
	char text[300];

	if (effect->old_state == effect->new_state && !effect->failed)
		return; /* an answer */
	if (effect->reason == SERVICE_REASON_FOUND_STOPPED &&
	    effect->new_state == SERVICE_STATE_STOPPED)
		return;
	snprintf(text, sizeof(text), "%s: service is %s%s (was %s): %s%s%s", host->name,
		 service_state_name(effect->new_state),
		 !effect->failed                               ? ""
		 : effect->new_state == SERVICE_STATE_STOPPING ? ", overdue"
							       : ", failed",
		 service_state_name(effect->old_state), cause ? cause : "", cause ? ": " : "",
		 service_reason_text(effect->reason));
	log_write(effect->failed ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", text);
	host_record(host, "service", NULL, text, NULL);
}

/* ---- telling the group ---- */

static void host_deliver(uv_timer_t *timer)
{
	struct service_host *host = timer->data;
	struct host_news news[HOST_NEWS_MAX];
	size_t count = host->news_count;

	memcpy(news, host->news, count * sizeof(news[0]));
	host->news_count = 0;
	/* the one who is told may close the host: handles closed later keep its memory
	 * until then */
	for (size_t i = 0; i < count && host->options.changed; i++)
		host->options.changed(news[i].state, news[i].failed, host->options.user);
}

static void host_tell(struct service_host *host, enum arbiter_service state, bool failed)
{
	if (host->news_count == HOST_NEWS_MAX) { /* the newest counts */
		memmove(host->news, host->news + 1, (HOST_NEWS_MAX - 1) * sizeof(host->news[0]));
		host->news_count--;
	}
	host->news[host->news_count++] = (struct host_news){state, failed};
	uv_timer_start(&host->deliver, host_deliver, 0, 0);
}

static void host_patience(uv_timer_t *timer)
{
	struct service_host *host = timer->data;

	if (host->held_back)
		host_tell(host, ARBITER_SERVICE_STARTING, false);
	host->held_back = false;
}

static void host_state_changed(struct service_host *host, const struct service_effect *effect)
{
	host_record_service(host, effect);
	if (host->service.adopting && effect->new_state == SERVICE_STATE_STARTING) {
		/* monitors answer in milliseconds as a rule; nobody need know that it was
		 * not known */
		host->held_back = true;
		uv_timer_start(&host->patience, host_patience, host->patience_ms, 0);
		return;
	}
	host->held_back = false;
	uv_timer_stop(&host->patience);
	if (effect->new_state == SERVICE_STATE_RECOVERING ||
	    (effect->old_state == SERVICE_STATE_RECOVERING &&
	     effect->new_state == SERVICE_STATE_RUNNING))
		return; /* to the arbiter it has been running all the time */
	host_tell(host, effect->arbiter_state, effect->failed);
}

/* ---- operations ---- */

static void host_keep_error(struct service_host *host, uint8_t index,
			    const struct agent_result *result)
{
	struct host_resource *resource = &host->resources[index];
	char text[900];

	if (!result->error) {
		/* a good monitor does not wipe out why the last start failed before somebody has
		 * seen it; a start does */
		if (result->operation == SERVICE_OPERATION_START &&
		    result->result == SERVICE_RESULT_OK) {
			free(resource->last_error);
			resource->last_error = NULL;
		}
		return;
	}
	free(resource->last_error);
	resource->last_error = strdup(result->error);
	snprintf(text, sizeof(text), "%s: resource %s: %s", host->name, resource->name,
		 result->error);
	log_warning("%s", text);
	host_record(host, "agent", NULL, text,
		    json_pack("{s:s, s:s, s:i, s:i, s:I, s:s}", "resource", resource->name,
			      "operation", service_operation_name(result->operation), "status",
			      result->exit_status, "signal", result->signal, "duration_ms",
			      (json_int_t)result->duration_ms, "output", result->output));
}

static void host_unlink(struct host_operation *operation)
{
	struct host_operation **link = &operation->host->operations;

	while (*link != operation)
		link = &(*link)->next;
	*link = operation->next;
}

/* ---- what a stop has left behind ---- */

static bool host_awaits(const struct service_host *host, uint32_t id)
{
	for (uint8_t i = 0; i < host->service.config.resource_count; i++)
		if (host->service.resources[i].running_id == id)
			return true;
	return false;
}

/* "123 (sleep), 124 (sh)" of those still in the service's control group; returns how many, -1: not
 * known. */
static int host_left_behind(const struct service_host *host, char *names, size_t size)
{
	pid_t pids[HOST_LEFT_NAMED];
	int count = run_group_processes(host->cgroup, pids, HOST_LEFT_NAMED);
	size_t used = 0;

	*names = '\0';
	for (int i = 0; i < count && i < HOST_LEFT_NAMED && used < size; i++) {
		char path[64], name[32] = "?";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/comm", (int)pids[i]);
		file = fopen(path, "re");
		if (file && fscanf(file, "%31[^\n]", name) != 1)
			memcpy(name, "?", 2);
		if (file)
			fclose(file);
		for (char *c = name; *c; c++)
			if (*c < ' ' || *c > '~')
				*c = '?';
		used += (size_t)snprintf(names + used, size - used, "%s%d (%s)", i ? ", " : "",
					 (int)pids[i], name);
	}
	if (count > HOST_LEFT_NAMED && used < size)
		snprintf(names + used, size - used, " and %d more", count - HOST_LEFT_NAMED);
	return count;
}

static void host_left_over(struct service_host *host, enum service_result result)
{
	struct service_event event = {
		.kind = SERVICE_EVENT_ENDED, .id = host->left_id, .result = result};

	uv_timer_stop(&host->left);
	if (host_awaits(host, host->left_id))
		host_step(host, &event);
}

static void host_left_look(uv_timer_t *timer)
{
	struct service_host *host = timer->data;
	char names[300], text[500];
	struct agent_result result = {.operation = SERVICE_OPERATION_STOP,
				      .result = SERVICE_RESULT_FAILED,
				      .exit_status = -1,
				      .error = text,
				      .output = ""};

	if (host_left_behind(host, names, sizeof(names)) <= 0) {
		run_group_remove(host->cgroup);
		host_left_over(host, SERVICE_RESULT_OK);
		return;
	}
	run_group_kill(host->cgroup);
	if (clock_now_ms() < host->left_until_ms)
		return;
	snprintf(text, sizeof(text),
		 "stop succeeded, but left processes behind that cannot be killed: %s", names);
	host_keep_error(host, host->left_resource, &result);
	host_left_over(host, SERVICE_RESULT_FAILED);
}

/* The last resource says that it is stopped: true when that is not so yet. */
static bool host_stop_proven_later(struct service_host *host,
				   const struct host_operation *operation,
				   const struct agent_result *result)
{
	char names[300], text[500];

	if (result->operation != SERVICE_OPERATION_STOP || result->result != SERVICE_RESULT_OK)
		return false;
	for (uint8_t i = 0; i < host->service.config.resource_count; i++)
		if (i != operation->resource &&
		    host->service.resources[i].state != SERVICE_RESOURCE_STOPPED)
			return false;
	if (host_left_behind(host, names, sizeof(names)) <= 0) {
		run_group_remove(host->cgroup);
		return false;
	}
	snprintf(text, sizeof(text),
		 "%s: stopped, but these processes of the service were left behind, and are "
		 "killed: %s",
		 host->name, names);
	log_warning("%s", text);
	host_record(host, "agent", NULL, text,
		    json_pack("{s:s, s:s}", "resource", host->resources[operation->resource].name,
			      "left_behind", names));
	host->left_id = operation->id;
	host->left_resource = operation->resource;
	host->left_until_ms = clock_now_ms() + HOST_LEFT_LIMIT_MS;
	run_group_kill(host->cgroup);
	uv_timer_start(&host->left, host_left_look, HOST_LEFT_LOOK_MS, HOST_LEFT_LOOK_MS);
	return true;
}

static void host_ended(const struct agent_result *result, void *user)
{
	struct host_operation *operation = user;
	struct service_host *host = operation->host;
	struct service_event event = {
		.kind = SERVICE_EVENT_ENDED, .id = operation->id, .result = result->result};

	if (host) {
		host_unlink(operation);
		/* the ends of those that were forgotten are no errors of their resources */
		if (host_awaits(host, operation->id)) {
			host_keep_error(host, operation->resource, result);
			if (!host_stop_proven_later(host, operation, result))
				host_step(host, &event);
		}
	}
	free(operation);
}

static void host_run(struct service_host *host, const struct service_effect *effect)
{
	const struct host_resource *resource = &host->resources[effect->resource];
	struct host_operation *operation = calloc(1, sizeof(*operation));
	struct agent_options options = {
		.path = resource->path,
		.operation = effect->operation,
		.environment = (const char *const *)(effect->deposed ? resource->environment_deposed
								     : resource->environment),
		.timeout_ms = effect->timeout_ms,
		.cgroup = host->cgroup,
		.done = host_ended,
		.user = operation,
	};

	if (operation) {
		operation->host = host;
		operation->id = effect->id;
		operation->resource = effect->resource;
		operation->agent = agent_run(host->options.loop, &options);
	}
	if (!operation || !operation->agent)
		abort(); /* a service whose operation never ends could never be stopped */
	operation->next = host->operations;
	host->operations = operation;
	log_debug("%s: resource %s: %s%s", host->name, resource->name,
		  service_operation_name(effect->operation), effect->deposed ? " (deposed)" : "");
}

static void host_kill(struct service_host *host, const struct service_effect *effect)
{
	for (struct host_operation *operation = host->operations; operation;
	     operation = operation->next)
		if (operation->id == effect->id) /* a monitor leaves nothing half done */
			agent_kill(operation->agent,
				   host->service.resources[effect->resource].state !=
					   SERVICE_RESOURCE_STARTING);
}

/* ---- steps ---- */

static void host_deadline(uv_timer_t *timer)
{
	static const struct service_event tick = {.kind = SERVICE_EVENT_TICK};

	host_step(timer->data, &tick);
}

static void host_step(struct service_host *host, const struct service_event *event)
{
	struct service_effects effects;
	uint64_t now_ms = clock_now_ms(), deadline_ms;

	effects.count = 0;
	deadline_ms = service_step(&host->service, now_ms, event, &effects);
	for (size_t i = 0; i < effects.count; i++) {
		const struct service_effect *effect = &effects.items[i];

		switch (effect->kind) {
		case SERVICE_EFFECT_RUN:
			host_run(host, effect);
			break;
		case SERVICE_EFFECT_KILL:
			host_kill(host, effect);
			break;
		case SERVICE_EFFECT_STATE:
			host_state_changed(host, effect);
			break;
		case SERVICE_EFFECT_RESOURCE:
			host_record_resource(host, effect);
			break;
		}
	}
	if (deadline_ms == SERVICE_NEVER) {
		uv_timer_stop(&host->deadline);
	} else {
		uv_update_time(host->options.loop);
		uv_timer_start(&host->deadline, host_deadline,
			       deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0);
	}
}

/* ---- the interface ---- */

static void host_handle_closed(uv_handle_t *handle)
{
	struct service_host *host = handle->data;

	if (--host->handles > 0)
		return;
	host_free_resources(host->resources, host->service.config.resource_count);
	free(host->run_folder);
	free(host);
}

/* The run folder is this node's alone, and the same one to the next daemon. */
static void host_name_cgroup(struct service_host *host)
{
	struct stat status = {0};

	if (stat(host->run_folder, &status) == 0)
		snprintf(host->cgroup, sizeof(host->cgroup), "lunkeeper-%u.%u-%llu/service-%s",
			 major(status.st_dev), minor(status.st_dev),
			 (unsigned long long)status.st_ino, host->name);
}

static void host_set_patience(struct service_host *host, const struct config_group *group)
{
	host->patience_ms = group->times.window_ms / 4;
	if (host->patience_ms < HOST_PATIENCE_MIN_MS)
		host->patience_ms = HOST_PATIENCE_MIN_MS;
	if (host->patience_ms > HOST_PATIENCE_MAX_MS)
		host->patience_ms = HOST_PATIENCE_MAX_MS;
}

struct service_host *service_host_open(const struct service_host_options *options)
{
	const struct config_group *group = options->group;
	struct service_host *host = group->has_service ? calloc(1, sizeof(*host)) : NULL;
	struct service_config config;

	if (!host)
		return NULL;
	host->options = *options;
	host->options.group = NULL; /* everything was copied */
	snprintf(host->name, sizeof(host->name), "%s", group->name);
	snprintf(host->node, sizeof(host->node), "%s", options->node);
	host->run_folder = strdup(options->run_folder);
	host->resources = host->run_folder ? host_make_resources(host, group) : NULL;
	if (host->run_folder)
		host_name_cgroup(host);
	host_make_config(group, &config);
	if (!host->resources || service_init(&host->service, &config) != 0) {
		host_free_resources(host->resources, group->resource_count);
		free(host->run_folder);
		free(host);
		return NULL;
	}
	host->service.since_ms = host->service.now_ms = clock_now_ms();
	for (size_t i = 0; i < group->resource_count; i++)
		host->service.resources[i].since_ms = host->service.now_ms;
	host_set_patience(host, group);
	uv_timer_init(options->loop, &host->deadline);
	uv_timer_init(options->loop, &host->deliver);
	uv_timer_init(options->loop, &host->patience);
	uv_timer_init(options->loop, &host->left);
	host->deadline.data = host->deliver.data = host->patience.data = host->left.data = host;
	host->handles = 4;
	return host;
}

void service_host_close(struct service_host *host)
{
	if (!host)
		return;
	host->options.changed = NULL;
	host->options.history = NULL;
	for (struct host_operation *operation = host->operations, *next; operation;
	     operation = next) {
		next = operation->next;
		operation->host = NULL;
		agent_leave(operation->agent);
	}
	host->operations = NULL;
	uv_close((uv_handle_t *)&host->deadline, host_handle_closed);
	uv_close((uv_handle_t *)&host->deliver, host_handle_closed);
	uv_close((uv_handle_t *)&host->patience, host_handle_closed);
	uv_close((uv_handle_t *)&host->left, host_handle_closed);
}

void service_host_adopt(struct service_host *host)
{
	host_step(host, &(struct service_event){.kind = SERVICE_EVENT_ADOPT});
}

void service_host_start(struct service_host *host)
{
	host_step(host, &(struct service_event){.kind = SERVICE_EVENT_START});
}

void service_host_stop(struct service_host *host, bool deposed)
{
	host_step(host, &(struct service_event){.kind = SERVICE_EVENT_STOP, .deposed = deposed});
}

void service_host_maintenance(struct service_host *host, bool on)
{
	host_step(host, &(struct service_event){.kind = SERVICE_EVENT_MAINTENANCE, .on = on});
}

void service_host_held(struct service_host *host, bool on)
{
	if (host->service.held != on)
		host_step(host, &(struct service_event){.kind = SERVICE_EVENT_HELD, .on = on});
}

static bool host_text_lists_equal(char **a, char **b)
{
	size_t i = 0;

	while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
		i++;
	return !a[i] && !b[i];
}

/* The same agents with the same parameters. */
static bool host_resources_equal(const struct service_host *host, const struct host_resource *other,
				 size_t count)
{
	if (count != host->service.config.resource_count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(host->resources[i].name, other[i].name) != 0 ||
		    strcmp(host->resources[i].path, other[i].path) != 0 ||
		    !host_text_lists_equal(host->resources[i].environment, other[i].environment))
			return false;
	return true;
}

int service_host_reconfigure(struct service_host *host, const struct config_group *group)
{
	static const struct service_event tick = {.kind = SERVICE_EVENT_TICK};
	struct host_resource *resources = host_make_resources(host, group);
	bool same, idle = host->service.state == SERVICE_STATE_STOPPED && !host->operations;
	struct service_config config;
	struct service fresh;

	if (!resources)
		return -ENOMEM;
	host_make_config(group, &config);
	same = host_resources_equal(host, resources, group->resource_count) &&
	       service_reconfigure(&host->service, &config) == 0;
	if (same || !idle) {
		host_free_resources(resources, group->resource_count);
		if (!same)
			return -EBUSY;
		host_set_patience(host, group);
		host_step(host, &tick); /* for the new deadline */
		return 0;
	}
	if (service_init(&fresh, &config) != 0) {
		host_free_resources(resources, group->resource_count);
		return -EINVAL;
	}
	fresh.maintenance = host->service.maintenance;
	fresh.start_wanted = host->service.start_wanted;
	fresh.failed = host->service.failed;
	fresh.next_id = host->service.next_id;
	fresh.since_ms = host->service.since_ms;
	fresh.now_ms = clock_now_ms();
	for (size_t i = 0; i < group->resource_count; i++)
		fresh.resources[i].since_ms = fresh.now_ms;
	host_free_resources(host->resources, host->service.config.resource_count);
	host->resources = resources;
	host->service = fresh;
	host_set_patience(host, group);
	return 0;
}

enum service_state service_host_state(const struct service_host *host)
{
	return host->service.state;
}

unsigned service_host_left(const struct service_host *host, char *names, size_t size)
{
	unsigned left = 0;
	size_t used = 0;

	*names = '\0';
	for (uint8_t i = 0; i < host->service.config.resource_count; i++) {
		if (host->service.resources[i].state == SERVICE_RESOURCE_STOPPED)
			continue;
		if (used < size)
			used += (size_t)snprintf(names + used, size - used, "%s%s",
						 left ? ", " : "", host->resources[i].name);
		left++;
	}
	return left;
}

bool service_host_failed(const struct service_host *host)
{
	return host->service.failed;
}

json_t *service_host_resources_json(const struct service_host *host)
{
	json_t *list = json_array();
	uint64_t now_ms = clock_now_ms();

	for (uint8_t i = 0; i < host->service.config.resource_count; i++) {
		const struct host_resource *resource = &host->resources[i];
		const struct service_resource *state = &host->service.resources[i];
		char agent[300];

		snprintf(agent, sizeof(agent), "exec:%s", resource->path);
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s, s:I, s:s?}", "name", resource->name, "agent",
				  agent, "state", service_resource_state_name(state->state),
				  "since_ms",
				  (json_int_t)(now_ms > state->since_ms ? now_ms - state->since_ms
									: 0),
				  "last_error", resource->last_error));
	}
	return list;
}
