/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A gate as the group runner sees it: begun, switched, viewed, closed. The connection is in
 * link.c, the process in process.c, the paths in path.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/gate/nbdkit/private.h"

#define REFRESH_MAX_MS 2000u
#define REFRESHES_PER_HOLD 8u
#define HANDLES 4u
#define QUIT_LIMIT_MS 2000u

static void gate_free(struct gate *gate)
{
	free(gate->paths);
	free(gate->file.luns);
	free(gate->text);
	free(gate);
}

/* --- the end --- */

static void handle_closed(uv_handle_t *handle)
{
	struct gate *gate = handle->data;
	if (--gate->handles > 0)
		return;
	path_gate_run_ended(gate);
	if (gate->closed)
		gate->closed(gate->closed_user);
	gate_free(gate);
}

static void close_all(struct gate *gate)
{
	gate_link_forget(gate);
	path_gate_end_all(gate, -ECANCELED);
	if (gate->process)
		run_forget(gate->process);
	uv_close((uv_handle_t *)&gate->retry, handle_closed);
	uv_close((uv_handle_t *)&gate->beat, handle_closed);
	uv_close((uv_handle_t *)&gate->deadline, handle_closed);
	uv_close((uv_handle_t *)&gate->work, handle_closed);
}

static void stop_ended(uv_timer_t *timer)
{
	struct gate *gate = timer->data;
	if (gate->connection) /* it did not end by itself */
		gate_process_kill(gate);
	close_all(gate);
}

static void link_ended(struct gate *gate)
{
	uv_timer_start(&gate->retry, stop_ended, 0, 0);
}

/* --- the beginning --- */

static void link_lost(struct gate *gate)
{
	path_gate_end_all(gate, -ENOTCONN);
	for (size_t i = 0; i < gate->file.lun_count; i++)
		path_gate_lost(&gate->paths[i], gate->reason);
}

static const struct gate_link_events link_events = {
	.lost = link_lost,
	.ended = link_ended,
	.lun = path_gate_update,
	.answer = path_gate_answer,
	.expire = path_gate_expire,
};

static void begin(uv_timer_t *timer)
{
	gate_link_connect(timer->data);
}

static void gate_init(struct gate *gate, uv_loop_t *loop)
{
	uint32_t refresh;

	gate->loop = loop;
	gate->link_events = &link_events;
	gate->process_ended = gate_link_down;
	uv_timer_init(loop, &gate->retry);
	uv_timer_init(loop, &gate->beat);
	uv_timer_init(loop, &gate->deadline);
	uv_idle_init(loop, &gate->work);
	gate->handles = HANDLES;
	gate->retry.data = gate->beat.data = gate->deadline.data = gate->work.data = gate;
	gate->delay_ms = 100;
	refresh = gate->file.hold_limit_ms / REFRESHES_PER_HOLD;
	gate->refresh_ms = refresh > REFRESH_MAX_MS ? REFRESH_MAX_MS : refresh + 1;
	gate->state.state = GATE_STATE_FAILED;
	for (size_t i = 0; i < gate->file.lun_count; i++)
		path_gate_init(gate, (uint16_t)i);
}

int gate_open(uv_loop_t *loop, const struct gate_setup *setup, const struct gate_events *events,
	      void *user, struct gate **gate, char *message, size_t message_size)
{
	struct gate *made = calloc(1, sizeof(*made));
	int error = -EINVAL;

	snprintf(message, message_size, "gate of %s: %s", setup->group,
		 made ? "1 to 1024 LUNs, no more" : "out of memory");
	if (!made)
		return -ENOMEM;
	if (setup->lun_count >= 1 && setup->lun_count <= GATE_LUNS_MAX &&
	    strlen(setup->group) < sizeof(made->group)) {
		snprintf(made->group, sizeof(made->group), "%s", setup->group);
		made->paths = calloc(setup->lun_count, sizeof(*made->paths));
		error = made->paths ? gate_process_prepare(made, setup, message, message_size)
				    : -ENOMEM;
	}
	if (error < 0) {
		gate_free(made);
		return error;
	}
	made->events = *events;
	made->user = user;
	gate_init(made, loop);
	uv_timer_start(&made->retry, begin, 0, 0);
	message[0] = '\0';
	*gate = made;
	return 0;
}

int gate_set(struct gate *gate, enum gate_state state)
{
	struct gate_message message = {
		.type = GATE_MESSAGE_SET,
		.set = {.sequence = gate->sequence + 1,
			.seen = gate->state.spontaneous,
			.state = state},
	};
	int error;

	if (gate->link != GATE_LINK_UP)
		return -ENOTCONN;
	error = gate_link_send(gate, &message);
	if (error < 0)
		return error;
	gate->sequence++;
	gate->fail_check_ms = state == GATE_STATE_FAILED ? gate_now_ms() + GATE_FAIL_CHECK_MS : 0;
	gate->fail_checks = 0;
	gate_link_watch(gate);
	return 0;
}

struct path *gate_path(struct gate *gate, uint16_t lun)
{
	return lun < gate->file.lun_count ? &gate->paths[lun].base : NULL;
}

void gate_view(const struct gate *gate, struct gate_view *view)
{
	*view = (struct gate_view){
		.connected = gate->link == GATE_LINK_UP,
		.differs =
			gate->link == GATE_LINK_UP && gate->snapshot.configuration != gate->digest,
		.pid = (uint32_t)gate->pid,
		.state = gate->state.state,
		.cause = gate->state.cause,
		.lun = gate->state.lun,
		.quiet = gate->state.quiet,
		.refused = gate->state.refused && gate->state.sequence == gate->sequence,
		.waiting = gate->state.waiting,
		.in_flight = gate->snapshot.in_flight,
		.counters = gate->snapshot.counters,
	};
	snprintf(view->reason, sizeof(view->reason), "%s", gate->reason);
}

bool gate_is_gone(const struct gate *gate)
{
	return gate->link != GATE_LINK_UP && gate_process_present(gate) == 0;
}

bool gate_put_back(struct gate *gate)
{
	return gate_process_put_back(gate) == 0 &&
	       (gate->link != GATE_LINK_UP || gate_process_present(gate) > 0);
}

const struct gate_message_lun *gate_lun_view(const struct gate *gate, uint16_t lun)
{
	const struct gate_path *path;

	if (lun >= gate->file.lun_count)
		return NULL;
	path = &gate->paths[lun];
	return path->greeted ? &path->greeting : &path->info;
}

const char *gate_nbd_socket(const struct gate *gate)
{
	return gate->file.nbd;
}

void gate_refresh(struct gate *gate)
{
	gate_link_greet(gate);
}

int gate_restart(struct gate *gate)
{
	if (gate->link != GATE_LINK_UP)
		return -ENOTCONN;
	if (gate->state.state != GATE_STATE_FAILED)
		return -EBUSY;
	gate->restarting = true;
	return gate_link_send(gate, &(struct gate_message){.type = GATE_MESSAGE_QUIT});
}

void gate_close(struct gate *gate, bool stop, void (*closed)(void *user), void *user)
{
	gate->closing = true;
	gate->closed = closed;
	gate->closed_user = user;
	memset(&gate->events, 0, sizeof(gate->events));
	for (size_t i = 0; i < gate->file.lun_count; i++)
		gate->paths[i].base.changed = NULL;
	uv_timer_stop(&gate->beat);
	if (stop && gate->link == GATE_LINK_UP) {
		struct gate_message fail = {
			.type = GATE_MESSAGE_SET,
			.set = {.sequence = ++gate->sequence, .state = GATE_STATE_FAILED},
		};
		gate_link_send(gate, &fail);
		gate_link_send(gate, &(struct gate_message){.type = GATE_MESSAGE_QUIT});
		uv_timer_start(&gate->retry, stop_ended, QUIT_LIMIT_MS, 0);
		return;
	}
	if (stop)
		gate_process_kill(gate);
	close_all(gate);
}
