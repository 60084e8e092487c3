/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a thread does about one LUN's gate: it sees what is there, and brings that nearer to what is
 * wanted, step by step; the state comes before everything else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/gate/dm/private.h"

#define ROUNDS_MOST 32
#define CHECK_MS 2000 /* size, and whether it is still there */
#define MAKE_AGAIN_MS 300
#define POLL_FIRST_MS 2
#define POLL_MOST_MS 50
#define CLOSE_LIMIT_MS 3000
#define NO_CONTROL_MS 1000

/* --- telling --- */

static void tell(struct gate_dm *gate, const struct gate_dm_wants *wants)
{
	const struct gate_dm_device *now = &gate->now;
	struct gate_dm_view view;

	memset(&view, 0, sizeof(view));
	view.known = gate->known;
	view.order = wants->order;
	view.present = now->there;
	view.state = now->there ? now->state : GATE_STATE_FAILED;
	view.cause = gate->by_itself ? gate->cause : GATE_DM_CAUSE_ORDERED;
	view.old = (uint32_t)gate->old_count;
	view.quiet = !now->there || now->proven;
	for (size_t i = 0; i < gate->old_count; i++)
		view.quiet = view.quiet && gate->old[i].retired;
	view.unusable = gate->unusable;
	view.spent = now->there && now->used && now->state == GATE_STATE_FAILED;
	view.size = now->there ? now->sectors * 512 : 0;
	view.failures = gate->failures;
	view.made_in_ms = gate->made_in_ms;
	view.in_flight = view.quiet ? 0 : gate->in_flight;
	if (now->there)
		snprintf(view.device, sizeof(view.device), GATE_DM_FOLDER "%s", now->name);
	snprintf(view.problem, sizeof(view.problem), "%s", gate->problem);
	gate_dm_tell(gate, &view);
}

/* --- what an earlier daemon left --- */

struct found {
	struct gate_dm *gate;
	struct gate_dm_thread *thread;
};

static bool link_leads_to(const struct gate_dm *gate, const struct gate_dm_device *device)
{
	char target[64], wanted[32];
	ssize_t length = readlink(gate->link, target, sizeof(target) - 1);

	if (length < 0)
		return false;
	target[length] = '\0';
	snprintf(wanted, sizeof(wanted), "/dev/dm-%u", device->minor);
	return strcmp(target, wanted) == 0;
}

static int read_device(struct gate_dm_thread *thread, struct gate_dm_device *device)
{
	char target[16], text[GATE_DM_TABLE_SIZE];
	struct gate_dm_status status;
	bool queues;
	int error = gate_dm_status(thread->control, device->name, true, target, text, sizeof(text));

	if (error == 0 && strcmp(target, GATE_DM_TARGET) != 0) {
		device->retired = device->proven = true;
		return 0;
	}
	if (error == 0)
		error = gate_dm_queues_parse(text, &queues);
	if (error == 0)
		error = gate_dm_status(thread->control, device->name, false, target, text,
				       sizeof(text));
	if (error == 0)
		error = gate_dm_status_parse(text, &status);
	if (error)
		return error;
	device->below_major = status.major;
	device->below_minor = status.minor;
	device->state = gate_dm_state(status.active, queues);
	return 0;
}

static void on_found(const char *name, uint32_t events, void *user)
{
	struct found *found = user;
	struct gate_dm *gate = found->gate;
	struct gate_dm_device device = {.there = true, .used = true, .state = GATE_STATE_FAILED};
	int control = found->thread->control;
	struct gate_dm_info info;
	const char *lun;
	uint32_t owner;

	(void)events;
	if (gate_dm_info(control, name, &info) ||
	    gate_dm_uuid_parse(info.uuid, &owner, &device.serial, &lun) || owner != gate->owner ||
	    strcmp(lun, gate->lun) != 0)
		return;
	if (device.serial >= gate->next_serial)
		gate->next_serial = device.serial + 1;
	snprintf(device.name, sizeof(device.name), "%s", name);
	device.major = info.major;
	device.minor = info.minor;
	/* The daemon died in the middle of something: a table that it had not made live never
	 * becomes so. */
	if (info.inactive_table)
		gate_dm_clear(control, name);
	if (info.suspended)
		gate_dm_resume(control, name);
	if (!info.has_table) {
		gate_dm_remove(control, name, true);
		return;
	}
	device.sectors = gate_dm_below_sectors("/sys", info.major, info.minor);
	device.strange = read_device(found->thread, &device) != 0;
	if (!gate->now.there && !device.retired && !device.strange && link_leads_to(gate, &device))
		gate->now = device;
	else if (gate->old_count < GATE_DM_OLD_MAX)
		gate->old[gate->old_count++] = device;
}

static void find(struct gate_dm *gate, struct gate_dm_thread *thread)
{
	struct found found = {gate, thread};

	gate_dm_list(thread->control, on_found, &found);
	if (!gate->now.there)
		unlink(gate->link);
	else if (gate->now.state == GATE_STATE_HELD)
		gate->held_since_ms = clock_now_ms();
	gate->known = gate->searched = true;
}

/* --- the state --- */

static void came_by_itself(struct gate_dm *gate, const struct gate_dm_wants *wants,
			   enum gate_dm_cause cause)
{
	gate->by_itself = true;
	gate->by_itself_order = wants->order;
	gate->cause = cause;
}

static bool lost(struct gate_dm *gate, const struct gate_dm_wants *wants)
{
	snprintf(gate->problem, sizeof(gate->problem), "%.140s is gone: somebody removed it",
		 gate->now.name);
	unlink(gate->link);
	memset(&gate->now, 0, sizeof(gate->now));
	came_by_itself(gate, wants, GATE_DM_CAUSE_HOPELESS);
	return true;
}

/* Somebody wiped its table, or loaded another: nothing of it can be relied upon, so it counts as
 * failed, and gets a table that fails everything (gate_dm_device_prove()). It never opens again. */
static bool usurped(struct gate_dm *gate, const struct gate_dm_wants *wants)
{
	struct gate_dm_device *device = &gate->now;

	if (device->state == GATE_STATE_FAILED && device->used)
		return false;
	snprintf(gate->problem, sizeof(gate->problem),
		 "%.140s has another table: somebody wiped or replaced it", device->name);
	device->state = GATE_STATE_FAILED;
	device->used = true;
	device->proven = false;
	gate->poll_ms = POLL_FIRST_MS;
	came_by_itself(gate, wants, GATE_DM_CAUSE_HOPELESS);
	return true;
}

static int switch_to(struct gate_dm *gate, struct gate_dm_thread *thread, enum gate_state state)
{
	int error = gate_dm_device_switch(thread, &gate->now, state);

	gate->poll_ms = POLL_FIRST_MS;
	if (error)
		return error;
	if (state == GATE_STATE_HELD)
		gate->held_since_ms = clock_now_ms();
	if (state == GATE_STATE_OPEN) {
		gate->opened_ms = clock_now_ms();
		gate->ios_at_open = gate_dm_device_ios(&gate->now);
	}
	return 0;
}

/* I/O failed on the path, and waits. Has any got through since the gate was opened last? */
static enum gate_dm_cause judge_error(struct gate_dm *gate, const struct gate_dm_wants *wants,
				      uint64_t now)
{
	if (gate_dm_device_ios(&gate->now) != gate->ios_at_open || gate->trouble_since_ms == 0)
		gate->trouble_since_ms = now;
	return now - gate->trouble_since_ms > wants->hold_limit_ms ? GATE_DM_CAUSE_HOPELESS
								   : GATE_DM_CAUSE_ERROR;
}

/* What has changed without us. */
static bool see(struct gate_dm *gate, struct gate_dm_thread *thread,
		const struct gate_dm_wants *wants)
{
	struct gate_dm_device *device = &gate->now;
	uint64_t now = clock_now_ms();
	enum gate_state state;
	int error;

	if (!device->there || device->retired)
		return false;
	error = gate_dm_device_observe(thread, device, &state);
	if (error == -ENXIO)
		return lost(gate, wants);
	if (error == -ESTALE)
		return usurped(gate, wants);
	if (error == 0 && state != device->state && device->state == GATE_STATE_OPEN) {
		enum gate_dm_cause cause = judge_error(gate, wants, now);

		device->state = GATE_STATE_HELD;
		device->proven = false;
		gate->held_since_ms = now;
		gate->poll_ms = POLL_FIRST_MS;
		came_by_itself(gate, wants, cause);
		if (cause == GATE_DM_CAUSE_HOPELESS)
			switch_to(gate, thread, GATE_STATE_FAILED);
		return true;
	}
	if (error == 0 && state == GATE_STATE_OPEN && device->state != GATE_STATE_OPEN) {
		/* Somebody reinstated the path: not without us. */
		switch_to(gate, thread, device->state);
		return true;
	}
	if (device->state == GATE_STATE_HELD && now - gate->held_since_ms > wants->hold_limit_ms) {
		switch_to(gate, thread, GATE_STATE_FAILED);
		came_by_itself(gate, wants, GATE_DM_CAUSE_OVER);
		return true;
	}
	return false;
}

static bool set_state(struct gate_dm *gate, struct gate_dm_thread *thread,
		      const struct gate_dm_wants *wants)
{
	struct gate_dm_device *device = &gate->now;
	enum gate_state state = wants->state;
	bool again = gate->unswitched;
	int error;

	if (wants->order == 0)
		return false;
	if (wants->device == GATE_DM_DEVICE_NONE)
		state = GATE_STATE_FAILED;
	if (gate->by_itself && gate->by_itself_order != wants->order)
		gate->by_itself = false;
	if (gate->by_itself && state > device->state)
		state = device->state;
	if (device->there && device->used && device->state == GATE_STATE_FAILED)
		state = GATE_STATE_FAILED; /* never again */
	gate->unswitched = false;
	if (!device->there || state == device->state)
		return false;
	/* What a growth has left: see check_size(). */
	if (state == GATE_STATE_OPEN && device->trims && gate_dm_device_forbid(gate, device)) {
		gate->unswitched = true;
		return false;
	}
	error = switch_to(gate, thread, state);
	if (error == -ENXIO)
		return lost(gate, wants);
	gate->unswitched = error != 0;
	if (error)
		snprintf(gate->problem, sizeof(gate->problem), "%.120s cannot be switched: %s",
			 device->name, strerror(-error));
	else if (again)
		gate->problem[0] = '\0';
	return error == 0;
}

/* --- the devices --- */

static bool prove(struct gate_dm *gate, struct gate_dm_thread *thread)
{
	struct gate_dm_device *device = &gate->now;

	if (!device->there || device->proven || device->state == GATE_STATE_OPEN)
		return false;
	return gate_dm_device_prove(gate, thread, device) == 0;
}

/* Devices that nobody shall use any more: each keeps failing whatever comes, and goes when its last
 * user does. */
static bool clear_old(struct gate_dm *gate, struct gate_dm_thread *thread)
{
	bool progress = false;

	for (size_t i = 0; i < gate->old_count;) {
		struct gate_dm_device *old = &gate->old[i];
		int error = 0;

		if (!old->retired && old->state != GATE_STATE_FAILED)
			error = gate_dm_device_switch(thread, old, GATE_STATE_FAILED);
		if (error == 0 && !old->retired)
			error = gate_dm_device_prove(gate, thread, old);
		if (error == 0)
			error = gate_dm_remove(thread->control, old->name, true);
		if (error && error != -ENXIO) {
			i++;
			continue;
		}
		gate->old[i] = gate->old[--gate->old_count];
		progress = true;
	}
	return progress;
}

/* The device is of no use any more. */
static bool put_away(struct gate_dm *gate, const struct gate_dm_wants *wants)
{
	struct gate_dm_device *device = &gate->now;

	if (!device->there || device->state != GATE_STATE_FAILED || wants->order == 0 ||
	    wants->device == GATE_DM_DEVICE_KEEP || gate->old_count >= GATE_DM_OLD_MAX)
		return false;
	if (wants->device == GATE_DM_DEVICE_FRESH && !device->used)
		return false;
	unlink(gate->link);
	if (!device->used) /* nobody ever did; so there is nothing to wait for */
		device->retired = true;
	gate->old[gate->old_count++] = *device;
	memset(device, 0, sizeof(*device));
	return true;
}

static bool make(struct gate_dm *gate, struct gate_dm_thread *thread,
		 const struct gate_dm_wants *wants)
{
	uint64_t began = clock_now_ms();

	if (gate->now.there || wants->device != GATE_DM_DEVICE_FRESH || gate->by_itself ||
	    gate->retry_ms > began)
		return false;
	if (gate_dm_device_make(gate, thread, wants->below, gate->problem, sizeof(gate->problem)) ==
	    0) {
		gate->failures = 0;
		gate->problem[0] = '\0';
		gate->retry_ms = 0;
		gate->trouble_since_ms = 0;
		gate->made_in_ms = (uint32_t)(clock_now_ms() - began);
		return true;
	}
	gate->failures++;
	gate->retry_ms = clock_now_ms() + MAKE_AGAIN_MS;
	return false;
}

/* Grown below: so does it. One that has become smaller is left as it is. */
static void check_size(struct gate_dm *gate, struct gate_dm_thread *thread,
		       const struct gate_dm_wants *wants, uint64_t now)
{
	struct gate_dm_device *device = &gate->now;
	uint64_t sectors;
	int error = 0;

	if (!device->there || device->state != GATE_STATE_OPEN || now - gate->checked_ms < CHECK_MS)
		return;
	gate->checked_ms = now;
	gate_dm_device_forbid_zeroing(gate, device);
	sectors = gate_dm_below_sectors("/sys", device->below_major, device->below_minor);
	if (sectors > device->sectors)
		error = gate_dm_device_resize(gate, thread, device, sectors);
	if (error == 0 || device->sectors != sectors || !device->trims)
		return;
	snprintf(gate->problem, sizeof(gate->problem),
		 "%.100s has grown, and discards cannot be kept out of it now: %s", device->name,
		 strerror(-error));
	switch_to(gate, thread, GATE_STATE_HELD);
	came_by_itself(gate, wants, GATE_DM_CAUSE_ERROR);
}

static uint64_t next_due(struct gate_dm *gate, const struct gate_dm_wants *wants)
{
	uint64_t now = clock_now_ms(), due = GATE_DM_NEVER;
	bool waiting = gate->old_count > 0 ||
		       (gate->now.there && !gate->now.proven && gate->now.state != GATE_STATE_OPEN);

	if (gate->now.there)
		due = now + CHECK_MS;
	if (waiting) {
		gate->poll_ms = gate->poll_ms < POLL_FIRST_MS      ? POLL_FIRST_MS
				: gate->poll_ms * 2 > POLL_MOST_MS ? POLL_MOST_MS
								   : gate->poll_ms * 2;
		due = now + gate->poll_ms;
	}
	if (wants->device == GATE_DM_DEVICE_FRESH && !gate->now.there && !gate->by_itself &&
	    gate->retry_ms < due)
		due = gate->retry_ms;
	if ((wants->closing || gate->unswitched) && due > now + POLL_MOST_MS)
		due = now + POLL_MOST_MS;
	return due;
}

static bool is_finished(struct gate_dm *gate, struct gate_dm_thread *thread,
			const struct gate_dm_wants *wants)
{
	if (!wants->closing)
		return false;
	if (!wants->remove || thread->control < 0 || (!gate->now.there && gate->old_count == 0))
		return true;
	if (gate->close_by_ms == 0)
		gate->close_by_ms = clock_now_ms() + CLOSE_LIMIT_MS;
	if (clock_now_ms() < gate->close_by_ms)
		return false;
	for (size_t i = 0; i < gate->old_count; i++)
		gate_dm_remove(thread->control, gate->old[i].name, true);
	return true;
}

static void read_wants(struct gate_dm *gate, struct gate_dm_wants *wants)
{
	gate_dm_lock(gate);
	*wants = gate->wants;
	gate_dm_unlock(gate);
	if (wants->closing && wants->remove) {
		wants->order++;
		wants->device = GATE_DM_DEVICE_NONE;
		wants->state = GATE_STATE_FAILED;
	}
}

static bool take_relink(struct gate_dm *gate)
{
	bool wanted;

	gate_dm_lock(gate);
	wanted = gate->relink;
	gate->relink = false;
	gate_dm_unlock(gate);
	return wanted;
}

uint64_t gate_dm_work(struct gate_dm *gate, struct gate_dm_thread *thread)
{
	struct gate_dm_wants wants;
	bool progress = true;

	read_wants(gate, &wants);
	gate->unusable = thread->control < 0;
	if (gate->unusable) {
		gate_dm_control_open(gate->problem, sizeof(gate->problem));
		gate->known = true;
		gate->failures += wants.device == GATE_DM_DEVICE_FRESH;
	} else if (!gate->searched) {
		find(gate, thread);
	}
	for (int round = 0; progress && thread->control >= 0 && round < ROUNDS_MOST; round++) {
		read_wants(gate, &wants);
		if (wants.closing && !wants.remove)
			break;
		progress = see(gate, thread, &wants);
		progress |= set_state(gate, thread, &wants);
		tell(gate, &wants);
		if (progress)
			continue;
		progress = prove(gate, thread) || put_away(gate, &wants) ||
			   clear_old(gate, thread) || make(gate, thread, &wants);
	}
	if (!wants.closing && gate->now.there && take_relink(gate))
		gate_dm_device_link(gate, &gate->now);
	if (!wants.closing && thread->control >= 0)
		check_size(gate, thread, &wants, clock_now_ms());
	tell(gate, &wants);
	if (is_finished(gate, thread, &wants)) {
		gate_dm_lock(gate);
		gate->finished = true;
		gate_dm_unlock(gate);
		return GATE_DM_NEVER;
	}
	return thread->control < 0 ? clock_now_ms() + NO_CONTROL_MS : next_due(gate, &wants);
}
