/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this node knows of the others: an owner sees who challenges it, and when it did so last; a
 * standby knows when the owner turned it away. Who has asked for nothing may be dead, or may have
 * no turn to ask: that is said apart.
 */
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/core/key.h"
#include "cluster/group/private.h"

static struct group_peer *peer_of(struct group *group, uint8_t node)
{
	struct group_peer *oldest = &group->told.peers[0];

	for (size_t k = 0; k < GROUP_PEERS; k++) {
		struct group_peer *peer = &group->told.peers[k];

		if (peer->node == node)
			return peer;
		if (peer->seen_ms < oldest->seen_ms)
			oldest = peer;
	}
	*oldest = (struct group_peer){.node = node};
	return oldest;
}

/* A challenger's key, or a request: its node is alive and fit. That somebody holds says nothing. */
void group_peers_settle(struct group *group)
{
	struct arbiter_lun_view view;
	struct key key;

	arbiter_get_lun_view(group->arbiter, 0, &view);
	if (!view.seen || view.last_look_ms == group->told.peers_look_ms)
		return;
	group->told.peers_look_ms = view.last_look_ms;
	for (uint8_t k = 0; k < view.key_count; k++) {
		int node = group_owner_of(group, view.keys[k], &key);

		if (node <= 0 || view.keys[k] == view.holder || node == group->home->self->id ||
		    (key.kind != KEY_KIND_CLAIM && key.kind != KEY_KIND_REQUEST))
			continue;
		peer_of(group, (uint8_t)node)->seen_ms = view.last_look_ms;
	}
}

static uint64_t peer_seen_ms(const struct group *group, uint8_t node)
{
	for (size_t k = 0; k < GROUP_PEERS; k++)
		if (group->told.peers[k].node == node)
			return group->told.peers[k].seen_ms;
	return 0;
}

/* The best-ranked standby asks every P; the next ones only when those before them do not. */
static uint64_t asks_within_ms(const struct group *group, unsigned turn)
{
	const struct config_times *times = &group->config->times;
	uint64_t interval = times->probe_ms > times->window_ms ? times->probe_ms : times->window_ms;

	return times->probe_ms + times->window_ms + 2 * (uint64_t)times->defend_ms +
	       3 * interval * turn;
}

static json_t *peer_json(const char *node, const char *state, uint64_t since_ms)
{
	return json_pack("{s:s, s:s, s:o}", "node", node, "state", state, "age_ms",
			 since_ms ? json_integer((json_int_t)(clock_now_ms() - since_ms))
				  : json_null());
}

/* The owner, as a standby knows it. */
static json_t *owner_json(const struct group *group, const struct arbiter_view *view,
			  const char *node)
{
	if (view->state == ARBITER_STATE_CHALLENGING &&
	    view->window_done_ms > 2 * group->config->times.defend_ms)
		return peer_json(node, "silent", clock_now_ms() - view->window_done_ms);
	return peer_json(node, group->told.answered_ms ? "answers" : "unknown",
			 group->told.answered_ms);
}

/* A standby, as the owner knows it. *turn: how many better-ranked ones do not ask. */
static json_t *standby_json(const struct group *group, const struct arbiter_view *view,
			    const struct config_node *node, unsigned *turn)
{
	bool owning = view->state == ARBITER_STATE_OWNER;
	uint64_t now = clock_now_ms(), seen = peer_seen_ms(group, node->id);
	uint64_t since = seen > group->told.owner_ms ? seen : group->told.owner_ms;

	if (seen && now - seen <= asks_within_ms(group, *turn)) {
		*turn = UINT16_MAX; /* those behind it have no turn */
		return peer_json(node->name, "ready", seen);
	}
	if (group->told.silenced_ms && group->told.silenced == node->id &&
	    seen < group->told.silenced_ms) {
		++*turn;
		return peer_json(node->name, "silent", group->told.silenced_ms);
	}
	if (!owning || !group->config->automatic || *turn == UINT16_MAX || !group->told.owner_ms ||
	    now - since <= asks_within_ms(group, *turn))
		return peer_json(node->name, "unknown", seen);
	++*turn;
	return peer_json(node->name, "silent", since);
}

json_t *group_peers_json(const struct group *group)
{
	json_t *peers = json_array();
	struct arbiter_view view;
	struct key key;
	unsigned turn = 0;
	int owner;

	arbiter_get_view(group->arbiter, &view);
	owner = group_owner_of(group, view.holder, &key);
	for (size_t n = 0; n < group->config->node_count; n++) {
		const struct config_node *node = group->config->nodes[n];

		if (node->id == group->home->self->id)
			continue;
		json_array_append_new(peers, node->id == owner
						     ? owner_json(group, &view, node->name)
						     : standby_json(group, &view, node, &turn));
	}
	return peers;
}
