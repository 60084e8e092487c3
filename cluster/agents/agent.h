/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Agents: the programs that start, stop and monitor a resource. exec:PATH is run as `PATH
 * start|stop|monitor` as cluster/base/run.h says: nothing is inherited but the environment that it is
 * given, what it writes is kept to its last 4 KiB, its time-out ends the whole process group. LSB's
 * exit statuses count: monitor 0 running, 7 or 3 not running.
 */
#ifndef CLUSTER_AGENTS_AGENT_H
#define CLUSTER_AGENTS_AGENT_H

#include <uv.h>

#include <stddef.h>
#include <stdint.h>

#include "cluster/base/run.h"
#include "cluster/config/config.h"
#include "cluster/core/service.h"

#define AGENT_OUTPUT_MAX RUN_OUTPUT_MAX
#define AGENT_KILL_GRACE_MS RUN_KILL_GRACE_MS /* between SIGTERM and SIGKILL */

struct agent;

struct agent_result {
	enum service_operation operation;
	enum service_result result;
	int exit_status; /* -1: it did not exit by itself */
	int signal;      /* 0: none */
	uint64_t duration_ms;
	const char *error; /* one sentence for people when it did not go well: "start exited with
			      status 1: mount: ..."; else NULL */
	const char *
		output; /* the last of what it wrote, text with '\0', control characters replaced */
};

struct agent_options {
	const char *path;
	enum service_operation operation;
	const char *const *environment; /* "NAME=value", ends with NULL */
	uint32_t timeout_ms;            /* 0: none */
	/* Called on the loop, later, exactly once, also when the program could not be begun. The
	 * agent is gone after it. */
	void (*done)(const struct agent_result *result, void *user);
	void *user;
	const char *const *arguments; /* behind the path, ends with NULL; NULL: the operation */
	const char *cgroup;           /* as in struct run_options */
};

/* Begins the program. Returns NULL only without memory (done is not called then). */
struct agent *agent_run(uv_loop_t *loop, const struct agent_options *options);
/* Ends it: SIGTERM, after AGENT_KILL_GRACE_MS SIGKILL, to the process group; at_once: SIGKILL. done
 * comes as always. */
void agent_kill(struct agent *agent, bool at_once);
/* Leaves it to itself: the loop need not stay for it. done comes if the loop runs long enough. */
void agent_leave(struct agent *agent);

struct agent_environment_options {
	const struct config_group *group;
	const struct config_resource *resource;
	const char *node;
	const char *run_folder;
	bool deposed;
};
/* LUNKEEPER_GROUP, LUNKEEPER_NODE, LUNKEEPER_RESOURCE, OCF_RESOURCE_INSTANCE, LUNKEEPER_DEPOSED=1
 * (when stopping without the LUN), LUNKEEPER_DEVICE_<NAME> for each LUN (in capitals, what is no
 * letter or digit becomes
 * '_'), each parameter as LUNKEEPER_PARAM_key and OCF_RESKEY_key, PATH, LANG=C.UTF-8. Ends with
 * NULL; agent_environment_free(). NULL without memory. */
char **agent_environment(const struct agent_environment_options *options);
void agent_environment_free(char **environment);

#endif
