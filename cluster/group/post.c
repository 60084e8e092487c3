/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What every file of a group stands on: the arbiter is fed and stepped, deadlines are kept, commands
 * are answered, fitness is known, and what must close before the group is gone is counted. What is
 * above is called through group->top.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/group/private.h"

#define START_LIMIT_MS 5000
#define INCARNATIONS_UNNOTED 256
#define WAITERS_EVERY_MS 250

/* --- stepping --- */

void group_enqueue(struct group *group, const struct arbiter_event *event)
{
	if (group_queue_put(&group->queue, event) == 0)
		return;
	log_error("%s: out of memory: an event would be lost; this daemon ends, and the next one "
		  "adopts what it leaves",
		  group->config->name);
	abort();
}

void group_gate_connected(struct group *group)
{
	group->top->connected(group);
}

bool group_needs_no_devices(const struct group *group)
{
	struct arbiter_view view;

	arbiter_get_view(group->arbiter, &view);
	return view.gate_wanted == ARBITER_GATE_FAILED && view.service == ARBITER_SERVICE_STOPPED &&
	       view.state != ARBITER_STATE_SEIZING && view.state != ARBITER_STATE_TAKING &&
	       view.state != ARBITER_STATE_OWNER;
}

void group_set_released(struct group *group)
{
	group->released = true;
	group->home->released(group->home->user);
}

static void on_timer(uv_timer_t *timer)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_TICK};

	group_post(timer->data, &event);
}

/* For whatever comes first: what the arbiter waits for, as its last step has said, and the limits
 * of those who wait for an answer. */
static void arm(struct group *group)
{
	uint64_t now = clock_now_ms(), due = group->due_ms;

	if (group_waiters_any(group) && due > now + WAITERS_EVERY_MS)
		due = now + WAITERS_EVERY_MS;
	uv_update_time(&group->home->loop);
	uv_timer_start(&group->timer, on_timer, due > now ? due - now : 0, 0);
}

static void step(struct group *group, const struct arbiter_event *event,
		 enum arbiter_command_answer *answer)
{
	struct arbiter_effects *effects = &group->home->effects;

	effects->count = 0;
	group->due_ms = arbiter_step(group->arbiter, clock_now_ms(), event, effects);
	for (size_t k = 0; k < effects->count; k++)
		group->top->carry_out(group, &effects->items[k], answer);
	if (event->kind == ARBITER_EVENT_GATE && group->service)
		service_host_held(group->service, event->gate.state == ARBITER_GATE_HELD);
}

static enum arbiter_command_answer post(struct group *group, const struct arbiter_event *event)
{
	enum arbiter_command_answer answer = ARBITER_ANSWER_BUSY, ignored;
	struct arbiter_event next;
	struct arbiter_view view;

	if (group->closing || !group->started)
		return answer;
	if (group->stepping) {
		group_enqueue(group, event);
		return answer;
	}
	group->stepping = true;
	step(group, event, &answer);
	while (group_queue_take(&group->queue, &next))
		step(group, &next, &ignored);
	group->stepping = false;
	arbiter_get_view(group->arbiter, &view);
	if ((uint16_t)(view.incarnation - group->noted_incarnation) >= INCARNATIONS_UNNOTED) {
		group->noted_incarnation = view.incarnation;
		claims_group_used_incarnation(group->claims, view.incarnation);
	}
	group->top->settle(group); /* may post, too: what is due by then counts */
	if (group_waiters_any(group))
		group_waiters_check(group);
	arm(group);
	return answer;
}

/* --- commands --- */

static bool waiter_add(struct group *group, const struct group_waiter *waiter)
{
	if (!group_waiter_add(group, waiter))
		return false;
	if (group_waiters_any(group)) /* the timer knows nothing of it yet */
		uv_timer_start(&group->timer, on_timer, 1, 0);
	return true;
}

/* A standby that is just probing, or tidying up behind a probe, would otherwise let an operator's
 * order get lost in that. */
static bool is_for_later(const struct group *group, enum arbiter_command command,
			 enum arbiter_command_answer answer)
{
	bool probing =
		group->state == ARBITER_STATE_CHALLENGING || group->state == ARBITER_STATE_SEIZING;

	if (answer == ARBITER_ANSWER_BUSY && group->state == ARBITER_STATE_STANDBY)
		return command == ARBITER_COMMAND_CLAIM || command == ARBITER_COMMAND_TAKE;
	return answer == ARBITER_ANSWER_ALREADY && probing && command == ARBITER_COMMAND_TAKE;
}

/* What an earlier daemon left is not known, and somebody waits for the end. */
static void on_start_limit(uv_timer_t *timer)
{
	group_set_released(timer->data);
}

void group_post(struct group *group, const struct arbiter_event *event)
{
	struct arbiter_event again = {.kind = ARBITER_EVENT_COMMAND};

	post(group, event);
	if (!group->later || group->stepping)
		return;
	again.command.command = group->later_command;
	group->later = false;
	group->later = is_for_later(group, group->later_command, post(group, &again));
}

enum arbiter_command_answer group_command(struct group *group, enum arbiter_command command,
					  uint8_t node, bool on)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_COMMAND};

	event.command.command = command;
	event.command.node = node;
	event.command.on = on;
	group->later = false;
	if (command == ARBITER_COMMAND_SHUTDOWN && !group->started) {
		group->shutdown_wanted = true;
		uv_timer_start(&group->timer, on_start_limit, START_LIMIT_MS, 0);
		return ARBITER_ANSWER_STARTED;
	}
	return post(group, &event);
}

/* Who could do it, and what can be done here. */
static void refuse_not_owner(const struct group *group, struct control_request *request,
			     enum arbiter_command command)
{
	const char *owner = group_owner_name(group), *name = group->config->name;

	if (!owner)
		control_fail(request, "not-owner",
			     "%s: this node does not own it, and no look shows another node that "
			     "does; to claim it for this node: lunkeeper start %s",
			     name, name);
	else if (command == ARBITER_COMMAND_YIELD)
		control_fail(request, "not-owner",
			     "%s: this node does not own it, %s does: on %s, lunkeeper move %s; to "
			     "have it here: lunkeeper lun take %s",
			     name, owner, owner, name, name);
	else
		control_fail(request, "not-owner",
			     "%s: this node does not own it, %s does: give the command on %s", name,
			     owner, owner);
}

void group_obey(struct group *group, struct control_request *request, enum arbiter_command command,
		uint8_t node, bool on, uint32_t wait_ms)
{
	static const char *const codes[] = {
		[ARBITER_ANSWER_STARTED] = "started",
		[ARBITER_ANSWER_ALREADY] = "already",
		[ARBITER_ANSWER_NOT_OWNER] = "not-owner",
		[ARBITER_ANSWER_UNFIT] = "unfit",
		[ARBITER_ANSWER_BUSY] = "busy",
		[ARBITER_ANSWER_FOREIGN] = "foreign",
		[ARBITER_ANSWER_MAINTENANCE] = "maintenance",
	};
	const struct group_waiter waiter = {
		.request = request,
		.command = command,
		.until_ms = clock_now_ms() + wait_ms,
		.state_changes = group->state_changes,
		.requests_expired = group->rule_counts[ARBITER_RULE_REQUEST_EXPIRED],
	};
	enum arbiter_command_answer answer = group_command(group, command, node, on);

	group->later = is_for_later(group, command, answer);
	group->later_command = command;
	if (group->later)
		answer = ARBITER_ANSWER_STARTED;
	if (answer == ARBITER_ANSWER_NOT_OWNER)
		refuse_not_owner(group, request, command);
	else if (answer != ARBITER_ANSWER_STARTED && answer != ARBITER_ANSWER_ALREADY)
		control_fail(request, codes[answer], "%s: %s", group->config->name,
			     arbiter_answer_text(answer));
	else if (answer != ARBITER_ANSWER_STARTED || wait_ms == 0 || !waiter_add(group, &waiter))
		control_reply(request, json_pack("{s:s}", "result", codes[answer]));
}

/* --- fitness --- */

const char *group_unfit_reason(const struct group *group)
{
	for (size_t cause = 0; cause < GROUP_UNFIT_COUNT; cause++)
		if (*group->unfit[cause])
			return group->unfit[cause];
	return NULL;
}

void group_set_unfit(struct group *group, enum group_unfit cause, const char *reason)
{
	bool was_fit = !group_unfit_reason(group), fit;
	struct arbiter_event event = {.kind = ARBITER_EVENT_FITNESS};

	snprintf(group->unfit[cause], sizeof(group->unfit[cause]), "%s", reason ? reason : "");
	fit = !group_unfit_reason(group);
	if (fit == was_fit)
		return;
	group_note(group, NULL, "fitness", fit ? "fit again" : "unfit: %s", reason);
	event.fitness.fit = fit;
	group_post(group, &event);
}

/* --- the end --- */

void group_part_closed(void *user)
{
	struct group *group = user;

	if (--group->closes > 0)
		return;
	if (group->closed)
		group->closed(group, group->closed_user);
	group_queue_free(&group->queue);
	free(group->arbiter);
	for (size_t i = 0; i < group->lun_count; i++) {
		free(group->luns[i].paths);
		lun_identity_free(&group->luns[i].identity);
	}
	free(group->luns);
	free(group);
}
