/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The loop's side of the gate on kernel devices: what is wanted goes to the threads, what they say
 * is shown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/gate/dm/private.h"

struct gate_dm *gate_dm_new(uv_loop_t *loop, const struct gate_dm_setup *setup,
			    void (*changed)(struct gate_dm *gate, void *user), void *user)
{
	struct gate_dm_pool *pool = gate_dm_pool_get(loop, gate_dm_work);
	struct gate_dm *gate = pool ? calloc(1, sizeof(*gate)) : NULL;

	if (!gate)
		return NULL;
	gate->pool = pool;
	gate->changed = changed;
	gate->user = user;
	gate->lun = strdup(setup->name);
	gate->wwid = setup->wwid ? strdup(setup->wwid) : NULL;
	gate->owner = gate_dm_owner(setup->run_folder);
	gate->zero_covered = setup->zero_covered;
	gate->trim_covered = setup->trim_covered;
	gate->next_serial = 1;
	gate->wants.hold_limit_ms =
		setup->hold_limit_ms ? setup->hold_limit_ms : GATE_DM_HOLD_LIMIT_DEFAULT_MS;
	gate->due_ms = GATE_DM_NEVER;
	snprintf(gate->wants.below, sizeof(gate->wants.below), "%s", setup->device);
	snprintf(gate->link, sizeof(gate->link), "%.2000s/dev/%s", setup->run_folder, setup->name);
	if (!gate->lun || (setup->wwid && !gate->wwid)) {
		free(gate->lun);
		free(gate->wwid);
		free(gate);
		return NULL;
	}
	gate_dm_pool_add(gate);
	return gate;
}

uint32_t gate_dm_want(struct gate_dm *gate, enum gate_dm_device_want device, enum gate_state state)
{
	uint32_t order;

	gate_dm_lock(gate);
	gate->wants.device = device;
	gate->wants.state = state;
	order = ++gate->wants.order;
	gate_dm_wake(gate);
	gate_dm_unlock(gate);
	return order;
}

void gate_dm_set_device(struct gate_dm *gate, const char *device)
{
	gate_dm_lock(gate);
	snprintf(gate->wants.below, sizeof(gate->wants.below), "%s", device);
	gate_dm_unlock(gate);
}

void gate_dm_put_back(struct gate_dm *gate)
{
	gate_dm_lock(gate);
	gate->relink = true;
	gate_dm_wake(gate);
	gate_dm_unlock(gate);
}

void gate_dm_set_hold_limit(struct gate_dm *gate, uint32_t hold_limit_ms)
{
	gate_dm_lock(gate);
	gate->wants.hold_limit_ms = hold_limit_ms;
	gate_dm_unlock(gate);
}

const struct gate_dm_view *gate_dm_view(const struct gate_dm *gate)
{
	return &gate->view;
}

const char *gate_dm_link(const struct gate_dm *gate)
{
	return gate->link;
}

const char *gate_dm_cause_text(enum gate_dm_cause cause)
{
	switch (cause) {
	case GATE_DM_CAUSE_ORDERED:
		return "ordered";
	case GATE_DM_CAUSE_ERROR:
		return "I/O ended with an error of the paths below, and waits";
	case GATE_DM_CAUSE_OVER:
		return "I/O has waited for the hold limit";
	case GATE_DM_CAUSE_HOPELESS:
		return "again and again no I/O got through";
	}
	return "";
}

void gate_dm_free(struct gate_dm *gate, bool remove, void (*closed)(void *user), void *user)
{
	gate_dm_lock(gate);
	gate->closed = closed;
	gate->closed_user = user;
	gate->wants.closing = true;
	gate->wants.remove = remove;
	gate_dm_wake(gate);
	gate_dm_unlock(gate);
}
