/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One group's service on the daemon's loop: feeds cluster/core/service.h with time and the ends of
 * agents, runs its agents, and tells the group's runner and the history what happened.
 */
#ifndef CLUSTER_AGENTS_SERVICE_HOST_H
#define CLUSTER_AGENTS_SERVICE_HOST_H

#include <jansson.h>
#include <uv.h>

#include "cluster/agents/agent.h"
#include "cluster/config/config.h"
#include "cluster/store/history.h"
#include "cluster/core/service.h"

struct service_host;

struct service_host_options {
	uv_loop_t *loop;
	const struct config_group *group; /* read during the call only */
	const char *node;
	const char *run_folder;
	struct history *history; /* may be NULL */
	/* For ARBITER_EVENT_SERVICE. Called on the loop, never from within a call of this
	 * interface. */
	void (*changed)(enum arbiter_service state, bool failed, void *user);
	void *user;
};

/* Returns NULL without memory or when the group has no service. */
struct service_host *service_host_open(const struct service_host_options *options);
/* Forgets the service without stopping anything (the daemon restarts): agents under way are left to
 * themselves. */
void service_host_close(struct service_host *host);

/* Finds out what runs; `changed` is called when known, also when it is STOPPED. At most once,
 * first. */
void service_host_adopt(struct service_host *host);
void service_host_start(struct service_host *host);
void service_host_stop(struct service_host *host, bool deposed);
void service_host_maintenance(struct service_host *host, bool on);
/* The gate is held or not: while it is, monitors that fail are not the service's failure. */
void service_host_held(struct service_host *host, bool on);
/* Takes a changed group. 0; -EBUSY when its resources changed and it is not stopped (nothing is
 * taken then). */
int service_host_reconfigure(struct service_host *host, const struct config_group *group);

enum service_state service_host_state(const struct service_host *host);
/* How many resources are not stopped; their names, separated by ", ", as far as they fit. */
unsigned service_host_left(const struct service_host *host, char *names, size_t size);
bool service_host_failed(const struct service_host *host);
/* [{"name","agent","state","since_ms","last_error"}] for status; new reference. */
json_t *service_host_resources_json(const struct service_host *host);

#endif
