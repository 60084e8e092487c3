/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The service's step function, pure. An event changes states; then one pass over the resources
 * begins whatever is possible now; then the service as a whole settles. Diagrams of both machines
 * are in service.h.
 */
#include "cluster/core/service.h"

#include <errno.h>
#include <string.h>

/* Stays on in production: a service in an impossible state must not go on starting and stopping
 * things. No assert(): pure code refers to nothing outside. */
#define SERVICE_CHECK(condition)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_trap();                                                          \
	} while (0)

/* ---- tables ---- */

static const struct {
	enum service_resource_state from, to;
} resource_moves[] = {
	{SERVICE_RESOURCE_STOPPED, SERVICE_RESOURCE_PROBING},  /* adopt */
	{SERVICE_RESOURCE_STOPPED, SERVICE_RESOURCE_STARTING}, /* start */
	{SERVICE_RESOURCE_PROBING, SERVICE_RESOURCE_RUNNING},  /* found running */
	{SERVICE_RESOURCE_PROBING, SERVICE_RESOURCE_STOPPED},  /* found stopped */
	{SERVICE_RESOURCE_PROBING,
	 SERVICE_RESOURCE_FAILED}, /* found failed, or nobody waits for the answer */
	{SERVICE_RESOURCE_STARTING, SERVICE_RESOURCE_RUNNING}, /* ended well */
	{SERVICE_RESOURCE_STARTING, SERVICE_RESOURCE_FAILED},  /* start failed */
	{SERVICE_RESOURCE_RUNNING, SERVICE_RESOURCE_FAILED},   /* monitor failed */
	{SERVICE_RESOURCE_RUNNING, SERVICE_RESOURCE_STOPPING}, /* stop */
	{SERVICE_RESOURCE_FAILED, SERVICE_RESOURCE_STOPPING},  /* in time */
	{SERVICE_RESOURCE_STOPPING, SERVICE_RESOURCE_STOPPED}, /* ended well */
	{SERVICE_RESOURCE_STOPPING, SERVICE_RESOURCE_FAILED},  /* stop failed */
};

static const struct {
	enum service_state from, to;
} service_moves[] = {
	{SERVICE_STATE_STOPPED, SERVICE_STATE_STARTING},
	{SERVICE_STATE_STARTING, SERVICE_STATE_RUNNING},
	{SERVICE_STATE_STARTING, SERVICE_STATE_STOPPING},
	{SERVICE_STATE_STARTING, SERVICE_STATE_STOPPED},
	{SERVICE_STATE_RUNNING, SERVICE_STATE_RECOVERING},
	{SERVICE_STATE_RUNNING, SERVICE_STATE_STOPPING},
	{SERVICE_STATE_RECOVERING, SERVICE_STATE_RUNNING},
	{SERVICE_STATE_RECOVERING, SERVICE_STATE_STOPPING},
	{SERVICE_STATE_STOPPING, SERVICE_STATE_STOPPED},
};

enum arbiter_service service_arbiter_state(enum service_state state)
{
	switch (state) {
	case SERVICE_STATE_STOPPED:
		return ARBITER_SERVICE_STOPPED;
	case SERVICE_STATE_STARTING:
		return ARBITER_SERVICE_STARTING;
	case SERVICE_STATE_RUNNING:
	case SERVICE_STATE_RECOVERING:
		return ARBITER_SERVICE_RUNNING;
	case SERVICE_STATE_STOPPING:
		return ARBITER_SERVICE_STOPPING;
	}
	return ARBITER_SERVICE_STOPPED;
}

/* ---- what is so ---- */

/* One step. */
struct step {
	struct service *service;
	struct service_effects *effects;
};

static bool service_wants_up(const struct service *service)
{
	return service->state == SERVICE_STATE_STARTING ||
	       service->state == SERVICE_STATE_RUNNING ||
	       service->state == SERVICE_STATE_RECOVERING;
}

/* Bit i: resource i is in this state. */
static uint64_t service_in_state(const struct service *service, enum service_resource_state state)
{
	uint64_t set = 0;

	for (uint8_t i = 0; i < service->config.resource_count; i++)
		if (service->resources[i].state == state)
			set |= 1ull << i;
	return set;
}

static uint64_t service_all(const struct service *service)
{
	return service->config.resource_count == 64 ? UINT64_MAX
						    : (1ull << service->config.resource_count) - 1;
}

static uint64_t service_dependents(const struct service *service, uint8_t index)
{
	uint64_t set = 0;

	for (uint8_t i = 0; i < service->config.resource_count; i++)
		if (service->config.resources[i].requires & 1ull << index)
			set |= 1ull << i;
	return set;
}

/* Resources that need, directly or through others, one that does not run. */
static uint64_t service_unsupported(const struct service *service)
{
	uint64_t down = service_all(service) & ~service_in_state(service, SERVICE_RESOURCE_RUNNING),
		 set = 0, before;

	do {
		before = set;
		for (uint8_t i = 0; i < service->config.resource_count; i++)
			if (service->config.resources[i].requires & (down | set))
				set |= 1ull << i;
	} while (set != before);
	return set;
}

/* ---- one function each that changes a state ---- */

static struct service_effect *step_emit(struct step *step, enum service_effect_kind kind)
{
	struct service_effect *effect;

	SERVICE_CHECK(step->effects->count < SERVICE_EFFECTS_MAX);
	effect = &step->effects->items[step->effects->count++];
	memset(effect, 0, sizeof(*effect));
	effect->kind = kind;
	return effect;
}

static void resource_check(const struct service *service, uint8_t index)
{
	const struct service_resource *resource = &service->resources[index];
	uint64_t above = service_dependents(service, index);

	if (resource->state == SERVICE_RESOURCE_STARTING)
		SERVICE_CHECK(!(service->config.resources[index].requires &
				~service_in_state(service, SERVICE_RESOURCE_RUNNING)));
	if (resource->state == SERVICE_RESOURCE_STOPPING)
		SERVICE_CHECK(!(above & ~service_in_state(service, SERVICE_RESOURCE_STOPPED)));
}

static void resource_move(struct step *step, uint8_t index, enum service_resource_state to,
			  enum service_reason reason)
{
	struct service_resource *resource = &step->service->resources[index];
	struct service_effect *effect = step_emit(step, SERVICE_EFFECT_RESOURCE);
	bool allowed = false;

	for (size_t i = 0; i < sizeof(resource_moves) / sizeof(resource_moves[0]); i++)
		allowed = allowed ||
			  (resource_moves[i].from == resource->state && resource_moves[i].to == to);
	SERVICE_CHECK(allowed);
	effect->resource = index;
	effect->reason = reason;
	effect->old_resource = resource->state;
	effect->new_resource = to;
	resource->state = to;
	resource->since_ms = step->service->now_ms;
	resource->due_ms = SERVICE_NEVER;
	if (to == SERVICE_RESOURCE_RUNNING && step->service->config.resources[index].monitor_ms > 0)
		resource->due_ms =
			step->service->now_ms + step->service->config.resources[index].monitor_ms;
	resource_check(step->service, index);
}

static void service_tell(struct step *step, enum service_state from, enum service_reason reason,
			 uint8_t cause)
{
	struct service *service = step->service;
	struct service_effect *effect = step_emit(step, SERVICE_EFFECT_STATE);

	effect->reason = reason;
	effect->resource = cause;
	effect->old_state = from;
	effect->new_state = service->state;
	effect->arbiter_state = service_arbiter_state(service->state);
	effect->failed = service->state == SERVICE_STATE_STOPPING  ? service->overdue
			 : service->state == SERVICE_STATE_STOPPED ? service->failed
								   : false;
}

static void service_move(struct step *step, enum service_state to, enum service_reason reason,
			 uint8_t cause)
{
	struct service *service = step->service;
	enum service_state from = service->state;
	bool allowed = false;

	for (size_t i = 0; i < sizeof(service_moves) / sizeof(service_moves[0]); i++)
		allowed = allowed || (service_moves[i].from == from && service_moves[i].to == to);
	SERVICE_CHECK(allowed);
	service->state = to;
	service->since_ms = service->now_ms;
	if (to == SERVICE_STATE_STOPPED)
		SERVICE_CHECK(service_in_state(service, SERVICE_RESOURCE_STOPPED) ==
			      service_all(service));
	if (to == SERVICE_STATE_RUNNING)
		SERVICE_CHECK(service_in_state(service, SERVICE_RESOURCE_RUNNING) ==
			      service_all(service));
	if (to == SERVICE_STATE_STOPPED)
		service->overdue = service->deposed = false;
	service_tell(step, from, reason, cause);
}

/* ---- operations ---- */

/* What waits for storage that is away says nothing of the service. */
static bool service_is_held(const struct service *service, enum service_operation operation)
{
	return service->held && operation == SERVICE_OPERATION_MONITOR;
}

static void resource_run(struct step *step, uint8_t index, enum service_operation operation)
{
	const struct service_resource_config *config = &step->service->config.resources[index];
	struct service_resource *resource = &step->service->resources[index];
	struct service_effect *effect = step_emit(step, SERVICE_EFFECT_RUN);

	if (++step->service->next_id == 0)
		step->service->next_id = 1;
	resource->running_id = step->service->next_id;
	resource->running = operation;
	resource->killed = false;
	resource->excused = service_is_held(step->service, operation);
	effect->resource = index;
	effect->id = resource->running_id;
	effect->operation = operation;
	effect->deposed = operation == SERVICE_OPERATION_STOP && step->service->deposed;
	switch (operation) {
	case SERVICE_OPERATION_START:
		effect->timeout_ms = config->start_timeout_ms;
		break;
	case SERVICE_OPERATION_STOP:
		effect->timeout_ms = config->stop_timeout_ms;
		break;
	case SERVICE_OPERATION_MONITOR:
		effect->timeout_ms = config->monitor_timeout_ms;
		break;
	}
}

/* forget: its end does not matter, and something else may be begun at once. */
static void resource_kill(struct step *step, uint8_t index, bool forget)
{
	struct service_resource *resource = &step->service->resources[index];
	struct service_effect *effect;

	if (resource->running_id == 0)
		return;
	if (!resource->killed) {
		effect = step_emit(step, SERVICE_EFFECT_KILL);
		effect->resource = index;
		effect->id = resource->running_id;
		resource->killed = true;
	}
	if (forget)
		resource->running_id = 0;
}

/* ---- failure and recovery ---- */

static void service_fail(struct step *step, enum service_reason reason, uint8_t cause)
{
	struct service *service = step->service;

	if (!service_wants_up(service))
		return;
	service->adopting = false;
	service->failed = true;
	service_move(step, SERVICE_STATE_STOPPING, reason, cause);
}

/* True, and counted, when this resource may be restarted here once more. */
static bool resource_restart(struct service *service, uint8_t index)
{
	struct service_resource *resource = &service->resources[index];
	uint8_t old = 0;

	while (old < resource->restart_count &&
	       service->now_ms - resource->restarts_ms[old] >= SERVICE_RESTART_WINDOW_MS)
		old++;
	resource->restart_count = (uint8_t)(resource->restart_count - old);
	memmove(resource->restarts_ms, resource->restarts_ms + old,
		resource->restart_count * sizeof(resource->restarts_ms[0]));
	if (resource->restart_count >= service->config.resources[index].restarts)
		return false;
	resource->restarts_ms[resource->restart_count++] = service->now_ms;
	return true;
}

/* It is in state FAILED now; what follows for the service? */
static void service_recover(struct step *step, uint8_t index, enum service_reason reason)
{
	struct service *service = step->service;

	step->service->resources[index].due_ms = service->now_ms;
	if (!service_wants_up(service) || service->adopting)
		return;
	/* a service that cannot even be started here may be startable elsewhere */
	if (service->state == SERVICE_STATE_STARTING)
		service_fail(step, reason, index);
	else if (!resource_restart(service, index))
		service_fail(step, SERVICE_REASON_RESTARTS_USED_UP, index);
	else if (service->state == SERVICE_STATE_RUNNING)
		service_move(step, SERVICE_STATE_RECOVERING, reason, index);
}

/* ---- ends of operations ---- */

static void ended_start(struct step *step, uint8_t index, enum service_result result)
{
	if (result == SERVICE_RESULT_OK) {
		resource_move(step, index, SERVICE_RESOURCE_RUNNING, SERVICE_REASON_ENDED_WELL);
		return;
	}
	resource_move(step, index, SERVICE_RESOURCE_FAILED, SERVICE_REASON_START_FAILED);
	service_recover(step, index, SERVICE_REASON_START_FAILED);
}

static void ended_stop(struct step *step, uint8_t index, enum service_result result)
{
	struct service *service = step->service;
	struct service_resource *resource = &service->resources[index];

	if (result == SERVICE_RESULT_OK) {
		resource_move(step, index, SERVICE_RESOURCE_STOPPED, SERVICE_REASON_ENDED_WELL);
		return;
	}
	resource_move(step, index, SERVICE_RESOURCE_FAILED, SERVICE_REASON_STOP_FAILED);
	resource->due_ms = service->now_ms + SERVICE_STOP_RETRY_MS;
	/* what cannot be stopped cannot be restarted */
	service->overdue = true;
	if (service_wants_up(service))
		service_fail(step, SERVICE_REASON_STOP_FAILED, index);
	else
		service_tell(step, service->state, SERVICE_REASON_STOP_FAILED, index);
}

static void ended_probe(struct step *step, uint8_t index, enum service_result result)
{
	switch (result) {
	case SERVICE_RESULT_OK:
		resource_move(step, index, SERVICE_RESOURCE_RUNNING, SERVICE_REASON_FOUND_RUNNING);
		break;
	case SERVICE_RESULT_NOT_RUNNING:
		resource_move(step, index, SERVICE_RESOURCE_STOPPED, SERVICE_REASON_FOUND_STOPPED);
		break;
	case SERVICE_RESULT_FAILED:
	case SERVICE_RESULT_TIMED_OUT:
		resource_move(step, index, SERVICE_RESOURCE_FAILED, SERVICE_REASON_MONITOR_FAILED);
		step->service->resources[index].due_ms = step->service->now_ms;
		break;
	}
}

static void ended_monitor(struct step *step, uint8_t index, enum service_result result)
{
	struct service_resource *resource = &step->service->resources[index];

	if (result == SERVICE_RESULT_OK) {
		if (step->service->config.resources[index].monitor_ms > 0)
			resource->due_ms = step->service->now_ms +
					   step->service->config.resources[index].monitor_ms;
		return;
	}
	if (resource->excused) { /* is asked anew as soon as the gate is open */
		resource->due_ms = step->service->now_ms;
		return;
	}
	resource_move(step, index, SERVICE_RESOURCE_FAILED, SERVICE_REASON_MONITOR_FAILED);
	service_recover(step, index, SERVICE_REASON_MONITOR_FAILED);
}

static void on_ended(struct step *step, const struct service_event *event)
{
	struct service *service = step->service;
	uint8_t index = 0;

	while (index < service->config.resource_count &&
	       (event->id == 0 || service->resources[index].running_id != event->id))
		index++;
	if (index == service->config.resource_count)
		return; /* forgotten */
	service->resources[index].running_id = 0;
	switch (service->resources[index].state) {
	case SERVICE_RESOURCE_PROBING:
		ended_probe(step, index, event->result);
		break;
	case SERVICE_RESOURCE_STARTING:
		ended_start(step, index, event->result);
		break;
	case SERVICE_RESOURCE_STOPPING:
		ended_stop(step, index, event->result);
		break;
	case SERVICE_RESOURCE_RUNNING:
		ended_monitor(step, index, event->result);
		break;
	case SERVICE_RESOURCE_STOPPED:
	case SERVICE_RESOURCE_FAILED:
		break;
	}
}

/* ---- orders ---- */

static void service_begin(struct step *step)
{
	struct service *service = step->service;

	service->start_wanted = service->failed = service->overdue = service->deposed = false;
	for (uint8_t i = 0; i < service->config.resource_count; i++)
		service->resources[i].restart_count = 0;
	service_move(step, SERVICE_STATE_STARTING, SERVICE_REASON_ORDERED, SERVICE_RESOURCES_MAX);
}

static void on_start(struct step *step)
{
	struct service *service = step->service;

	service->stop_wanted = false;
	if (service->state == SERVICE_STATE_STOPPED && !service->maintenance)
		service_begin(step);
	else if (service_wants_up(service) && !service->adopting)
		service_tell(step, service->state, SERVICE_REASON_ORDERED, SERVICE_RESOURCES_MAX);
	else
		service->start_wanted = true;
}

/* The LUN is gone: nothing is waited for that could wait for it. */
static void service_hurry(struct step *step)
{
	struct service *service = step->service;

	for (uint8_t i = 0; i < service->config.resource_count; i++) {
		struct service_resource *resource = &service->resources[i];

		if (resource->state == SERVICE_RESOURCE_PROBING) {
			resource_kill(step, i, true);
			resource_move(step, i, SERVICE_RESOURCE_FAILED, SERVICE_REASON_DEPOSED);
		}
		if (resource->state == SERVICE_RESOURCE_STARTING)
			resource_kill(step, i, false);
		if (resource->state == SERVICE_RESOURCE_FAILED)
			resource->due_ms = service->now_ms;
	}
}

static void on_stop(struct step *step, bool deposed)
{
	struct service *service = step->service;
	enum service_reason reason = deposed ? SERVICE_REASON_DEPOSED : SERVICE_REASON_ORDERED;

	service->start_wanted = false;
	if (service->state == SERVICE_STATE_STOPPED) {
		service->failed = false;
		service_tell(step, service->state, reason, SERVICE_RESOURCES_MAX);
		return;
	}
	service->deposed = service->deposed || deposed;
	if (service->maintenance && !deposed) {
		service->stop_wanted = true;
		return;
	}
	service->stop_wanted = service->adopting = false;
	if (service_wants_up(service)) {
		service->failed = false;
		service_move(step, SERVICE_STATE_STOPPING, reason, SERVICE_RESOURCES_MAX);
	}
	if (deposed)
		service_hurry(step);
}

static void on_adopt(struct step *step)
{
	struct service *service = step->service;

	if (service->state != SERVICE_STATE_STOPPED)
		return;
	service->adopting = true;
	service_move(step, SERVICE_STATE_STARTING, SERVICE_REASON_ORDERED, SERVICE_RESOURCES_MAX);
	for (uint8_t i = 0; i < service->config.resource_count; i++) {
		resource_move(step, i, SERVICE_RESOURCE_PROBING, SERVICE_REASON_ORDERED);
		resource_run(step, i, SERVICE_OPERATION_MONITOR);
	}
}

static void on_maintenance(struct step *step, bool on)
{
	struct service *service = step->service;

	if (service->maintenance == on)
		return;
	service->maintenance = on;
	for (uint8_t i = 0; i < service->config.resource_count; i++) {
		struct service_resource *resource = &service->resources[i];

		if (resource->state != SERVICE_RESOURCE_RUNNING)
			continue;
		if (on) /* what it finds is what is being worked on */
			resource_kill(step, i, true);
		else if (service->config.resources[i].monitor_ms > 0)
			resource->due_ms = service->now_ms;
	}
	if (!on && service->stop_wanted)
		on_stop(step, service->deposed);
}

static void on_held(struct step *step, bool on)
{
	struct service *service = step->service;

	if (service->held == on)
		return;
	service->held = on;
	for (uint8_t i = 0; i < service->config.resource_count; i++) {
		struct service_resource *resource = &service->resources[i];

		if (resource->state != SERVICE_RESOURCE_RUNNING)
			continue;
		if (resource->running_id != 0)
			resource->excused = true;
		else if (!on && service->config.resources[i].monitor_ms > 0)
			resource->due_ms = service->now_ms;
	}
}

/* ---- what can be done now ---- */

static void resource_stop(struct step *step, uint8_t index, enum service_reason reason)
{
	resource_kill(step, index, true); /* a monitor */
	resource_move(step, index, SERVICE_RESOURCE_STOPPING, reason);
	resource_run(step, index, SERVICE_OPERATION_STOP);
}

static enum service_reason service_stop_reason(const struct service *service)
{
	if (service->deposed)
		return SERVICE_REASON_DEPOSED;
	return service_wants_up(service) ? SERVICE_REASON_REQUIRED_FAILED : SERVICE_REASON_ORDERED;
}

static void resource_advance(struct step *step, uint8_t index)
{
	struct service *service = step->service;
	struct service_resource *resource = &service->resources[index];
	uint64_t
		requires
	= service->config.resources[index].
		  requires;
	bool up = service_wants_up(service), due = resource->due_ms <= service->now_ms;
	bool free = !(service_dependents(service, index) &
		      ~service_in_state(service, SERVICE_RESOURCE_STOPPED));

	switch (resource->state) {
	case SERVICE_RESOURCE_STOPPED:
		if (up && !(requires & ~service_in_state(service, SERVICE_RESOURCE_RUNNING))) {
			resource_move(step, index, SERVICE_RESOURCE_STARTING,
				      SERVICE_REASON_ORDERED);
			resource_run(step, index, SERVICE_OPERATION_START);
		}
		break;
	case SERVICE_RESOURCE_RUNNING:
		if (!up || (service_unsupported(service) & 1ull << index)) {
			if (free)
				resource_stop(step, index, service_stop_reason(service));
		} else if (due && resource->running_id == 0 &&
			   !service_is_held(service, SERVICE_OPERATION_MONITOR)) {
			resource_run(step, index, SERVICE_OPERATION_MONITOR);
		}
		break;
	case SERVICE_RESOURCE_FAILED:
		if (free && due)
			resource_stop(step, index, service_stop_reason(service));
		break;
	case SERVICE_RESOURCE_PROBING:
	case SERVICE_RESOURCE_STARTING:
	case SERVICE_RESOURCE_STOPPING:
		break;
	}
}

static void service_advance(struct step *step)
{
	struct service *service = step->service;

	if (service->adopting || (service->maintenance && !service->deposed))
		return;
	for (uint8_t i = 0; i < service->config.resource_count; i++)
		resource_advance(step, i);
}

/* All is known: runs as a whole, is stopped as a whole, or is stopped to begin anew. */
static void service_settle_adoption(struct step *step)
{
	struct service *service = step->service;
	uint64_t all = service_all(service);

	if (service_in_state(service, SERVICE_RESOURCE_PROBING))
		return;
	service->adopting = false;
	if (service_in_state(service, SERVICE_RESOURCE_RUNNING) == all && all != 0)
		service->start_wanted = false;
	if (service_in_state(service, SERVICE_RESOURCE_STOPPED) == all)
		service_move(step, SERVICE_STATE_STOPPED, SERVICE_REASON_FOUND_STOPPED,
			     SERVICE_RESOURCES_MAX);
	else if (service_in_state(service, SERVICE_RESOURCE_RUNNING) == all)
		service_move(step, SERVICE_STATE_RUNNING, SERVICE_REASON_FOUND_RUNNING,
			     SERVICE_RESOURCES_MAX);
	else
		service_move(step, SERVICE_STATE_STOPPING, SERVICE_REASON_FOUND_STOPPED,
			     SERVICE_RESOURCES_MAX);
}

static void service_settle(struct step *step)
{
	struct service *service = step->service;
	uint64_t all = service_all(service);

	if (service->adopting) {
		service_settle_adoption(step);
	} else if (service->state == SERVICE_STATE_STARTING ||
		   service->state == SERVICE_STATE_RECOVERING) {
		if (service_in_state(service, SERVICE_RESOURCE_RUNNING) == all)
			service_move(step, SERVICE_STATE_RUNNING, SERVICE_REASON_ENDED_WELL,
				     SERVICE_RESOURCES_MAX);
	} else if (service->state == SERVICE_STATE_STOPPING) {
		if (service_in_state(service, SERVICE_RESOURCE_STOPPED) == all)
			service_move(step, SERVICE_STATE_STOPPED, SERVICE_REASON_ENDED_WELL,
				     SERVICE_RESOURCES_MAX);
	}
	if (service->state == SERVICE_STATE_STOPPED && service->start_wanted &&
	    !service->maintenance)
		service_begin(step);
}

/* ---- the step ---- */

static uint64_t service_deadline(const struct service *service)
{
	uint64_t deadline_ms = SERVICE_NEVER;

	if (service->maintenance && !service->deposed)
		return SERVICE_NEVER;
	for (uint8_t i = 0; i < service->config.resource_count; i++) {
		const struct service_resource *resource = &service->resources[i];
		bool waits =
			resource->state == SERVICE_RESOURCE_FAILED ||
			(resource->state == SERVICE_RESOURCE_RUNNING && resource->running_id == 0);

		/* what is due already waits for something else than time */
		if (waits && resource->due_ms > service->now_ms && resource->due_ms < deadline_ms)
			deadline_ms = resource->due_ms;
	}
	return deadline_ms;
}

uint64_t service_step(struct service *service, uint64_t now_ms, const struct service_event *event,
		      struct service_effects *effects)
{
	struct step step = {service, effects};
	enum service_state before;

	effects->count = 0;
	if (now_ms > service->now_ms)
		service->now_ms = now_ms;
	switch (event->kind) {
	case SERVICE_EVENT_START:
		on_start(&step);
		break;
	case SERVICE_EVENT_STOP:
		on_stop(&step, event->deposed);
		break;
	case SERVICE_EVENT_ADOPT:
		on_adopt(&step);
		break;
	case SERVICE_EVENT_ENDED:
		on_ended(&step, event);
		break;
	case SERVICE_EVENT_MAINTENANCE:
		on_maintenance(&step, event->on);
		break;
	case SERVICE_EVENT_HELD:
		on_held(&step, event->on);
		break;
	case SERVICE_EVENT_TICK:
		break;
	}
	do {
		before = service->state;
		service_advance(&step);
		service_settle(&step);
	} while (service->state != before);
	return service_deadline(service);
}

int service_init(struct service *service, const struct service_config *config)
{
	uint64_t left, before;

	if (config->resource_count > SERVICE_RESOURCES_MAX)
		return -EINVAL;
	memset(service, 0, sizeof(*service));
	service->config = *config;
	left = service_all(service);
	for (uint8_t i = 0; i < config->resource_count; i++) {
		if ((config->resources[i].requires & ~left) ||
		    config->resources[i].restarts > SERVICE_RESTARTS_MAX)
			return -EINVAL;
		service->resources[i].due_ms = SERVICE_NEVER;
	}
	do { /* takes away what needs nothing that is left */
		before = left;
		for (uint8_t i = 0; i < config->resource_count; i++)
			if (!(config->resources[i].requires & left))
				left &= ~(1ull << i);
	} while (left != before);
	return left ? -EINVAL : 0;
}

int service_reconfigure(struct service *service, const struct service_config *config)
{
	if (config->resource_count != service->config.resource_count)
		return -EINVAL;
	for (uint8_t i = 0; i < config->resource_count; i++)
		if (config->resources[i].requires != service->config.resources[i].requires ||
		    config->resources[i].restarts > SERVICE_RESTARTS_MAX)
			return -EINVAL;
	service->config = *config;
	for (uint8_t i = 0; i < config->resource_count; i++) {
		struct service_resource *resource = &service->resources[i];
		uint32_t monitor_ms = config->resources[i].monitor_ms;

		if (resource->state == SERVICE_RESOURCE_RUNNING)
			resource->due_ms =
				monitor_ms ? service->now_ms + monitor_ms : SERVICE_NEVER;
	}
	return 0;
}
