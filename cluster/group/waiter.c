/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests that wait until what they ordered is done: a command says only what a look shows.
 */
#include "cluster/base/clock.h"
#include "cluster/core/key.h"
#include "cluster/group/private.h"

static void waiter_end(struct group_waiter *waiter, const struct group *group, const char *code,
		       const char *problem)
{
	struct control_request *request = waiter->request;

	waiter->request = NULL;
	if (problem)
		control_fail(request, code, "%s: %s", group->config->name, problem);
	else
		control_reply(request, json_pack("{s:s, s:s, s:s?}", "result", "done", "state",
						 arbiter_state_name(group->state), "owner",
						 group_owner_name(group)));
}

static bool is_serving(const struct group *group)
{
	struct arbiter_view view;

	arbiter_get_view(group->arbiter, &view);
	return view.state == ARBITER_STATE_OWNER && view.gate == ARBITER_GATE_OPEN &&
	       view.service == ARBITER_SERVICE_RUNNING;
}

/* A look that ended after this node had given it up shows another node of the cluster as the holder. */
static bool is_handed_over(const struct group *group)
{
	struct arbiter_view view;
	struct key key;

	arbiter_get_view(group->arbiter, &view);
	return view.held && view.last_look_ms >= group->since_ms &&
	       key_is_ours(view.holder, key_cluster_hash(group->home->config->cluster)) &&
	       key_decode(&key, view.holder) && key.node != group->home->self->id &&
	       key.kind != KEY_KIND_OFFER;
}

static bool is_held_here(const struct group *group)
{
	struct arbiter_view view;
	struct key key;

	arbiter_get_view(group->arbiter, &view);
	return group_owner_of(group, view.holder, &key) == group->home->self->id;
}

/* 1: the command has reached its end; -1: it has failed, and why; 0: not yet */
static int waiter_verdict(const struct group *group, const struct group_waiter *waiter,
			  const char **problem)
{
	bool standby = group->state == ARBITER_STATE_STANDBY;
	bool changed = group->state_changes != waiter->state_changes;

	switch (waiter->command) {
	case ARBITER_COMMAND_CLAIM:
		*problem = "turned away: its owner lives and is fit; to have it handed over: "
			   "lunkeeper lun take";
		if (is_serving(group))
			return 1;
		return changed && standby && group->reason == ARBITER_RULE_CHALLENGE_TURNED_AWAY
			       ? -1
			       : 0;
	case ARBITER_COMMAND_TAKE:
		*problem = "its owner did not hand it over in time; it may be in maintenance";
		if (is_serving(group))
			return 1;
		return group->rule_counts[ARBITER_RULE_REQUEST_EXPIRED] != waiter->requests_expired
			       ? -1
			       : 0;
	case ARBITER_COMMAND_YIELD:
		*problem = group->reason == ARBITER_RULE_OWNER_OFFER_EXPIRED
				   ? "nobody took it, so it was claimed again here"
				   : "it has come back to this node; see lunkeeper events";
		if (standby)
			return is_handed_over(group);
		return changed && is_serving(group) ? -1 : 0;
	case ARBITER_COMMAND_RELEASE:
		return (standby || group->state == ARBITER_STATE_RELEASED) && !is_held_here(group);
	case ARBITER_COMMAND_SHUTDOWN:
		return group->state == ARBITER_STATE_RELEASED ? 1 : 0;
	case ARBITER_COMMAND_MAINTENANCE:
		return 1;
	}
	return 0;
}

void group_waiters_check(struct group *group)
{
	uint64_t now = clock_now_ms();

	for (size_t w = 0; w < GROUP_WAITERS; w++) {
		struct group_waiter *waiter = &group->waiters[w];
		const char *problem = NULL;
		int verdict;

		if (!waiter->request)
			continue;
		verdict = waiter_verdict(group, waiter, &problem);
		if (verdict > 0)
			waiter_end(waiter, group, NULL, NULL);
		else if (verdict < 0)
			waiter_end(waiter, group, "failed", problem);
		else if (now >= waiter->until_ms)
			waiter_end(waiter, group, "timeout",
				   "not done in the time given; it goes on (see lunkeeper status)");
	}
}

bool group_waiters_any(const struct group *group)
{
	for (size_t w = 0; w < GROUP_WAITERS; w++)
		if (group->waiters[w].request)
			return true;
	return false;
}

/* Who asked has gone; the command goes on. */
static void on_waiter_gone(struct control_request *request, void *user)
{
	struct group *group = user;

	for (size_t w = 0; w < GROUP_WAITERS; w++)
		if (group->waiters[w].request == request)
			group->waiters[w].request = NULL;
	control_reply(request, NULL);
}

bool group_waiter_add(struct group *group, const struct group_waiter *waiter)
{
	for (size_t w = 0; w < GROUP_WAITERS; w++) {
		if (group->waiters[w].request)
			continue;
		group->waiters[w] = *waiter;
		control_on_gone(waiter->request, on_waiter_gone, group);
		group_waiters_check(group);
		return true;
	}
	return false;
}

void group_waiters_close(struct group *group)
{
	for (size_t w = 0; w < GROUP_WAITERS; w++)
		if (group->waiters[w].request)
			waiter_end(&group->waiters[w], group, "closing", "it is being closed");
}
