/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The service on top of a LUN group on one node: resources that need each other are started in
 * dependency order (in parallel where nothing stands between them), stopped in reverse, monitored,
 * and recovered here before the arbiter is told that the service has failed. A pure step function:
 * no I/O, no clock, no allocation, no globals. cluster/agents/service_host.h carries its effects out with
 * agents.
 *
 * The whole service:
 *
 *      adopt      +----------+   all run        +---------+  a monitor failed  +------------+
 *     ----------->| STARTING |----------------->| RUNNING |------------------->| RECOVERING |
 *      +--------->|          |                  |         |<-------------------|            |
 *      | start    +----------+                  +---------+      all run       +------------+
 *      |               |                             |                               |
 *      |               | a start failed, stop,       | stop, restarts used up        | the same, or
 * a stop |               v adopted only in part        v                               v failed
 * +---------+     +----------------------------------------------------------------------+
 * | STOPPED |<----|                              STOPPING                                |
 * +---------+     +----------------------------------------------------------------------+
 *           all stopped
 *
 * One resource:
 *
 *               adopt                 found running
 *     STOPPED --------> PROBING ----------------------------+
 *      ^  |  ^             | |                              |
 *      |  |  +-------------+ +-----------+ found failed     |
 *      |  |  found stopped               |                  |
 *      |  |   start              ended   |                  v
 *      |  +--------> STARTING ------------------------> RUNNING
 *      |                 |               |                 | |
 *      | ended           | start failed  v   monitor failed| | stop
 *      |                 +-----------> FAILED <------------+ |
 *      |                stop failed,     |                   |
 *      |                in time again    | ^                 |
 *      +------------- STOPPING <---------+ |                 |
 *                       |  ^               |                 |
 *                       |  +---------------|-----------------+
 *                       +------------------+ stop failed
 */
#ifndef CLUSTER_CORE_SERVICE_H
#define CLUSTER_CORE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/core/arbiter.h"

#define SERVICE_RESOURCES_MAX 64
#define SERVICE_RESTARTS_MAX 16
#define SERVICE_RESTART_WINDOW_MS (60u * 60u * 1000u)
#define SERVICE_STOP_RETRY_MS 5000 /* between a stop that failed and the next try */
#define SERVICE_NEVER UINT64_MAX
#define SERVICE_EFFECTS_MAX (4 * SERVICE_RESOURCES_MAX + 8) /* of one step */

struct service_resource_config {
	uint64_t
		requires;    /* bit i: resource i must run first; no cycles */
	uint32_t monitor_ms; /* 0: not monitored */
	uint32_t monitor_timeout_ms, start_timeout_ms, stop_timeout_ms;
	uint8_t restarts; /* local recoveries within SERVICE_RESTART_WINDOW_MS, at most
			     SERVICE_RESTARTS_MAX */
};

struct service_config {
	uint8_t resource_count; /* 0 is a service that runs as soon as it is started */
	struct service_resource_config resources[SERVICE_RESOURCES_MAX];
};

enum service_state {
	SERVICE_STATE_STOPPED,
	SERVICE_STATE_STARTING,
	SERVICE_STATE_RUNNING,
	SERVICE_STATE_RECOVERING, /* for the arbiter this is RUNNING: still being served, or soon
				     again */
	SERVICE_STATE_STOPPING,
};

enum service_resource_state {
	SERVICE_RESOURCE_STOPPED,
	SERVICE_RESOURCE_PROBING, /* after a restart of the daemon: its state is being asked for */
	SERVICE_RESOURCE_STARTING,
	SERVICE_RESOURCE_RUNNING,
	SERVICE_RESOURCE_STOPPING,
	SERVICE_RESOURCE_FAILED, /* not known to be stopped: a start, a stop or a monitor failed; it
				    will be stopped */
};

enum service_operation {
	SERVICE_OPERATION_START,
	SERVICE_OPERATION_STOP,
	SERVICE_OPERATION_MONITOR
};

enum service_result {
	SERVICE_RESULT_OK,          /* started, stopped, running */
	SERVICE_RESULT_NOT_RUNNING, /* monitor only: cleanly stopped */
	SERVICE_RESULT_FAILED,      /* any other exit, a signal, could not be executed */
	SERVICE_RESULT_TIMED_OUT,   /* and was killed */
};

enum service_event_kind {
	SERVICE_EVENT_START,
	SERVICE_EVENT_STOP,  /* deposed: the LUN is lost, do not wait for its data */
	SERVICE_EVENT_ADOPT, /* first event, after a restart of the daemon: find out what runs. Ends
				in RUNNING or STOPPED */
	SERVICE_EVENT_ENDED, /* an EFFECT_RUN ended */
	SERVICE_EVENT_TICK,
	SERVICE_EVENT_MAINTENANCE, /* on: nothing is monitored, recovered, started or stopped
				      until off, unless deposed */
	SERVICE_EVENT_HELD, /* on: the gate is held, I/O waits. No monitor begins, and one that was
			       under way meanwhile and failed is asked anew when it is off */
};

struct service_event {
	enum service_event_kind kind;
	bool deposed; /* STOP */
	bool on;      /* MAINTENANCE, HELD */
	uint32_t id;  /* ENDED: the effect's */
	enum service_result result;
};

enum service_effect_kind {
	SERVICE_EFFECT_RUN,  /* begin an operation; it is given up after timeout_ms by the one who
				runs it; answer ENDED */
	SERVICE_EFFECT_KILL, /* end the operation `id` at once; answer ENDED as for any other end */
	SERVICE_EFFECT_STATE,    /* the service's state changed: arbiter_state and failed for
				    ARBITER_EVENT_SERVICE */
	SERVICE_EFFECT_RESOURCE, /* a resource's state changed: for history and status */
};

enum service_reason {
	SERVICE_REASON_ORDERED,
	SERVICE_REASON_ENDED_WELL,
	SERVICE_REASON_START_FAILED,
	SERVICE_REASON_STOP_FAILED,
	SERVICE_REASON_MONITOR_FAILED,
	SERVICE_REASON_FOUND_RUNNING,
	SERVICE_REASON_FOUND_STOPPED,
	SERVICE_REASON_REQUIRED_FAILED, /* what it needs failed, so it is restarted with it */
	SERVICE_REASON_RESTARTS_USED_UP,
	SERVICE_REASON_DEPOSED,
	SERVICE_REASON_COUNT
};

struct service_effect {
	enum service_effect_kind kind;
	enum service_reason reason; /* STATE, RESOURCE */
	uint8_t resource;           /* RUN, KILL, RESOURCE; STATE: the one that caused it, or
				       SERVICE_RESOURCES_MAX */
	bool deposed;               /* RUN of a stop: the LUN is lost */
	bool failed; /* STATE: as arbiter.h says: start failed or beyond local recovery (with
			STOPPED), stop overdue (with STOPPING; sent once more when it becomes so) */
	uint32_t id; /* RUN, KILL; never 0 */
	uint32_t timeout_ms;                                    /* RUN */
	enum service_operation operation;                       /* RUN */
	enum service_state old_state, new_state;                /* STATE */
	enum arbiter_service arbiter_state;                     /* STATE */
	enum service_resource_state old_resource, new_resource; /* RESOURCE */
};

struct service_effects {
	struct service_effect items[SERVICE_EFFECTS_MAX];
	size_t count;
};

struct service_resource {
	enum service_resource_state state;
	enum service_operation running;
	uint32_t running_id; /* operation under way; 0: none */
	bool killed;         /* it was told to end */
	bool excused;        /* a monitor: the gate was held while it was under way */
	uint8_t restart_count;
	uint64_t since_ms;
	uint64_t due_ms; /* next monitor (RUNNING) or stop (FAILED); SERVICE_NEVER: none */
	uint64_t restarts_ms[SERVICE_RESTARTS_MAX]; /* oldest first */
};

/* The caller's memory, made by service_init(), changed by service_step() only; readable
 * for status. */
struct service {
	struct service_config config;
	enum service_state state;
	bool failed;  /* start failed, or beyond local recovery; until the next start */
	bool overdue; /* while STOPPING: a stop has failed or timed out */
	bool deposed, maintenance, held, adopting;
	bool start_wanted,
		stop_wanted; /* ordered, but must wait: for STOPPED, for the end of maintenance */
	uint32_t next_id;
	uint64_t since_ms, now_ms;
	struct service_resource resources[SERVICE_RESOURCES_MAX];
};

/* 0, or -EINVAL (too many resources, a cycle, restarts out of range). */
int service_init(struct service *service, const struct service_config *config);
/* Returns the time at which a TICK is due at the latest, SERVICE_NEVER: none. effects->count is
 * set, not appended to. */
uint64_t service_step(struct service *service, uint64_t now_ms, const struct service_event *event,
		      struct service_effects *effects);
/* True when the resources' times or restarts may be changed while it runs; count and dependencies
 * may not (-EINVAL). */
int service_reconfigure(struct service *service, const struct service_config *config);
enum arbiter_service service_arbiter_state(enum service_state state);

const char *service_state_name(enum service_state state);
const char *service_resource_state_name(enum service_resource_state state);
const char *service_operation_name(enum service_operation operation);
const char *service_reason_text(enum service_reason reason);

#endif
