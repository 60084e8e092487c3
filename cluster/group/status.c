/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group as JSON, for `status`, `ledger` and `explain`. Everything shown was read, and its age
 * stands beside it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/core/key.h"
#include "scsi/mode.h"

json_t *group_key_json(const struct group_home *home, uint64_t value)
{
	const struct config_node *node;
	char text[KEY_TEXT_SIZE];
	struct key key;
	json_t *json;

	if (value == 0)
		return json_null();
	if (value == ARBITER_HOLDER_ALL)
		return json_pack("{s:s, s:b, s:b}", "key", "all registrants", "ours", 0, "all", 1);
	key_text(value, text);
	if (!key_is_ours(value, key_cluster_hash(home->config->cluster)) ||
	    !key_decode(&key, value))
		return json_pack("{s:s, s:b}", "key", text, "ours", 0);
	node = config_find_node_id(home->config, key.node);
	json = json_pack("{s:s, s:b, s:s, s:s?, s:i, s:i, s:b}", "key", text, "ours", 1, "kind",
			 key_kind_name(key.kind), "node", node ? node->name : NULL, "node_id",
			 key.node, "incarnation", key.incarnation, "self",
			 key.node == home->self->id);
	if (json && key.kind == KEY_KIND_OFFER)
		json_object_set_new(json, "offered_to", json_integer(key.interval));
	return json;
}

static json_t *age(uint64_t then_ms)
{
	return then_ms ? json_integer((json_int_t)(clock_now_ms() - then_ms)) : json_null();
}

static json_t *path_json(const struct group_path *path, const char *role,
			 const struct arbiter_lun_view *view, const struct group_home *home)
{
	static const char *const states[] = {"connecting", "up", "down"};
	const char *state = path->health == GROUP_PATH_SILENT         ? "silent"
			    : path->health == GROUP_PATH_INACCESSIBLE ? "inaccessible"
			    : path->usable                            ? "up"
			    : path->path->state == PATH_STATE_UP      ? "unusable"
								      : states[path->path->state];
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s?}", "name", path->path->name, "kind",
				 path->path->ops->kind, "role", role, "state", state, "reason",
				 path->reason);

	if (path->nexus == NO_GROUP_NEXUS) {
		json_object_set_new(json, "registered", json_false());
		return json;
	}
	json_object_set_new(json, "registered", json_boolean(view->nexus[path->nexus].registered));
	json_object_set_new(json, "key",
			    group_key_json(home, view->nexus[path->nexus].registered
							 ? view->nexus[path->nexus].key
							 : 0));
	return json;
}

/* Where it is, or where it ought to be. */
static const char *lun_device(const struct group_lun *lun)
{
	if (lun->device[0])
		return lun->device;
	return lun->config->device_count ? lun->config->devices[0] : NULL;
}

static json_t *lun_json(const struct group *group, uint16_t i)
{
	const struct group_lun *lun = &group->luns[i];
	json_t *keys = json_array(), *paths = json_array(), *json;
	struct arbiter_lun_view view;

	arbiter_get_lun_view(group->arbiter, i, &view);
	for (uint8_t k = 0; k < view.key_count; k++)
		json_array_append_new(keys, group_key_json(group->home, view.keys[k]));
	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].path)
			json_array_append_new(
				paths,
				path_json(&lun->paths[k],
					  lun->paths[k].nexus == NO_GROUP_NEXUS ? "look" : "data",
					  &view, group->home));
	if (group->gate)
		json_array_append_new(paths,
				      path_json(&lun->gate_path, "data", &view, group->home));
	json = json_pack("{s:s, s:s?, s:s?, s:s?, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "name",
			 lun->config->name, "device", lun_device(lun), "wwid", lun->wwid,
			 "wwid_wanted", lun->config->wwid, "size",
			 lun->size ? json_integer((json_int_t)lun->size) : json_null(), "owned",
			 view.owned, "holder",
			 view.seen ? group_key_json(group->home, view.holder) : json_null(),
			 "generation", view.seen ? json_integer(view.generation) : json_null(),
			 "look_age_ms", age(view.last_look_ms), "keys", keys, "paths", paths);
	json_object_set_new(json, "known", json_boolean(view.seen));
	json_object_set_new(json, "block_size",
			    lun->block_size ? json_integer(lun->block_size) : json_null());
	json_object_set_new(json, "aptpl",
			    lun->capabilities_known ? json_boolean(lun->aptpl) : json_null());
	if (lun->no_pr)
		json_object_set_new(json, "problem", json_string(lun->refusal));
	else if (group_lun_write_protected(lun))
		json_object_set_new(json, "problem", json_string(SCSI_WRITE_PROTECTED_TEXT));
	else if (lun->no_room)
		json_object_set_new(json, "problem", json_string(GROUP_NO_ROOM));
	if (group->gate_kind)
		group->gate_kind->lun_json(lun, json);
	return json;
}

json_t *group_status_json(const struct group *group)
{
	struct arbiter_view view;
	json_t *luns = json_array(), *nodes = json_array(), *json;
	const char *unfit = group_unfit_reason(group);
	char problem[GATE_WIRE_TEXT_MAX];

	arbiter_get_view(group->arbiter, &view);
	for (uint16_t i = 0; i < group->lun_count; i++)
		json_array_append_new(luns, lun_json(group, i));
	for (size_t n = 0; n < group->config->node_count; n++)
		json_array_append_new(nodes, json_string(group->config->nodes[n]->name));
	json = json_pack("{s:s, s:b, s:s, s:s, s:o, s:s, s:s, s:s, s:b, s:s?, s:b, s:b}", "name",
			 group->config->name, "has_service", group->config->has_service, "state",
			 group->started ? arbiter_state_name(view.state) : "starting", "reason",
			 arbiter_rule_text(group->reason), "since_ms", age(group->since_ms), "gate",
			 arbiter_gate_name(view.gate), "gate_kind",
			 group->gate_kind ? group->gate_kind->name : "none", "service",
			 arbiter_service_name(view.service), "fit", !unfit, "unfit_reason", unfit,
			 "maintenance", view.maintenance, "automatic", view.automatic);
	json_object_set_new(json, "key", group_key_json(group->home, view.key));
	json_object_set_new(json, "holder",
			    view.last_look_ms ? group_key_json(group->home, view.holder)
					      : json_null());
	json_object_set_new(json, "known", json_boolean(view.last_look_ms != 0));
	json_object_set_new(json, "look_age_ms", age(view.last_look_ms));
	json_object_set_new(json, "generation", json_integer(view.generation));
	json_object_set_new(json, "window_ms", json_integer(view.window_ms));
	json_object_set_new(json, "window_done_ms", json_integer(view.window_done_ms));
	json_object_set_new(json, "members_owned", json_integer(view.members_owned));
	json_object_set_new(json, "nodes", nodes);
	json_object_set_new(json, "luns", luns);
	json_object_set_new(json, "resources",
			    group->service ? service_host_resources_json(group->service)
					   : json_array());
	group_cause_json(group, json);
	json_object_set_new(json, "peers", group_peers_json(group));
	json_object_set_new(json, "standby_ms", age(group->told.standby_ms));
	json_object_set_new(json, "alarms", group_alarms_json(group));
	if (group->gate_kind && group->gate_kind->problem(group, problem, sizeof(problem)))
		json_object_set_new(json, "gate_problem", json_string(problem));
	return json;
}

/* One row a path: what ought to be registered there, and what the LUN lists. */
static json_t *ledger_row(const struct group *group, const struct group_lun *lun,
			  const struct group_path *path, const struct arbiter_lun_view *view)
{
	bool data = path->nexus != NO_GROUP_NEXUS, listed = false;
	uint64_t expected = data && view->owned ? view->key : 0;
	uint64_t actual =
		data && view->nexus[path->nexus].registered ? view->nexus[path->nexus].key : 0;

	for (uint8_t k = 0; k < view->key_count; k++)
		listed = listed || view->keys[k] == actual;
	if (!listed)
		actual = 0;
	if (path->actual_known) /* as READ FULL STATUS lists it, nexus by nexus */
		actual = path->actual;
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o}", "group",
			 group->config->name, "lun", lun->config->name, "node",
			 group->home->node_name, "path", path->path->name, "role",
			 data ? "data" : "look", "expected", group_key_json(group->home, expected),
			 "actual", group_key_json(group->home, actual), "agrees",
			 expected == actual, "holder", group_key_json(group->home, view->holder),
			 "generation", view->seen ? json_integer(view->generation) : json_null(),
			 "look_age_ms", age(view->last_look_ms));
}

json_t *group_ledger_json(const struct group *group, const char *name)
{
	json_t *rows = json_array();

	for (uint16_t i = 0; i < group->lun_count; i++) {
		const struct group_lun *lun = &group->luns[i];
		struct arbiter_lun_view view;

		if (name && strcmp(name, lun->config->name) != 0 &&
		    strcmp(name, group->config->name) != 0)
			continue;
		arbiter_get_lun_view(group->arbiter, i, &view);
		for (size_t k = 0; k < lun->path_count; k++)
			if (lun->paths[k].path)
				json_array_append_new(
					rows, ledger_row(group, lun, &lun->paths[k], &view));
		if (group->gate)
			json_array_append_new(rows, ledger_row(group, lun, &lun->gate_path, &view));
		if (lun->orphans)
			json_array_append_new(
				rows,
				json_pack("{s:s, s:s, s:n, s:s, s:s, s:n, s:o, s:b, s:o, s:I, s:o}",
					  "group", group->config->name, "lun", lun->config->name,
					  "node", "path", lun->orphans, "role", "orphan",
					  "expected", "actual",
					  group_key_json(group->home, view.key), "agrees", false,
					  "holder", group_key_json(group->home, view.holder),
					  "generation", (json_int_t)view.generation, "look_age_ms",
					  age(view.last_look_ms)));
		for (uint8_t k = 0; k < view.key_count;
		     k++) /* registered, but by no path of this node */
			if (view.keys[k] != view.key || !view.owned)
				json_array_append_new(
					rows,
					json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:n, s:o, s:b, s:o, "
						  "s:I, s:o}",
						  "group", group->config->name, "lun",
						  lun->config->name, "node", NULL, "path", NULL,
						  "role", "other", "expected", "actual",
						  group_key_json(group->home, view.keys[k]),
						  "agrees", view.keys[k] == view.holder, "holder",
						  group_key_json(group->home, view.holder),
						  "generation", (json_int_t)view.generation,
						  "look_age_ms", age(view.last_look_ms)));
	}
	return rows;
}

static void add_line(json_t *lines, const char *text)
{
	json_array_append_new(lines, json_string(text));
}

static const char *wall_text(int64_t wall_ms, char *buffer, size_t size)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm local;

	localtime_r(&seconds, &local);
	strftime(buffer, size, "%Y-%m-%d %H:%M:%S", &local);
	return buffer;
}

static void explain_place(const struct group *group, const struct arbiter_view *view, json_t *lines)
{
	char text[700], holder[64], when[40];

	group_key_text(group->home, view->holder, holder, sizeof(holder));
	if (!view->last_look_ms) {
		add_line(lines, "Nothing is known yet: no look at the leader has been answered.");
		return;
	}
	if (view->state == ARBITER_STATE_OWNER)
		snprintf(text, sizeof(text),
			 "This node (%s) owns it: its key holds the reservation of %s, seen %llu "
			 "ms ago.",
			 group->home->node_name, group->luns[0].config->name,
			 (unsigned long long)(clock_now_ms() - view->last_look_ms));
	else
		snprintf(text, sizeof(text),
			 "This node (%s) is %s. The reservation of %s is held by %s, seen %llu ms "
			 "ago.",
			 group->home->node_name, arbiter_state_name(view->state),
			 group->luns[0].config->name, holder,
			 (unsigned long long)(clock_now_ms() - view->last_look_ms));
	add_line(lines, text);
	if (group->told.cause.text[0]) {
		snprintf(text, sizeof(text), "Why it is there: %s (%s).", group->told.cause.text,
			 wall_text(group->told.cause.wall_ms, when, sizeof(when)));
		add_line(lines, text);
	}
	if (view->state != ARBITER_STATE_OWNER && view->state != ARBITER_STATE_STANDBY) {
		snprintf(text, sizeof(text), "What is going on: %s.",
			 arbiter_rule_text(group->reason));
		add_line(lines, text);
	}
}

/* A path that cannot be used, and why: perhaps all that there is to be said. */
static void explain_paths(const struct group *group, json_t *lines)
{
	char text[1200];

	for (size_t i = 0; i < group->lun_count; i++) {
		const struct group_lun *lun = &group->luns[i];

		if (lun->place_note) {
			snprintf(text, sizeof(text), "LUN %s: %s.", lun->config->name,
				 lun->place_note);
			add_line(lines, text);
		}
		if (lun->no_room) {
			snprintf(text, sizeof(text), "LUN %s: %s.", lun->config->name,
				 GROUP_NO_ROOM);
			add_line(lines, text);
		}
		for (size_t k = 0; k <= lun->path_count; k++) {
			const struct group_path *path =
				k < lun->path_count ? &lun->paths[k] : &lun->gate_path;

			if (!path->path || !path->reason)
				continue;
			snprintf(text, sizeof(text), "LUN %s cannot be used by %s%s: %s.",
				 lun->config->name, k < lun->path_count ? "" : "the gate's ",
				 path->path->name, path->reason);
			add_line(lines, text);
		}
	}
}

static void explain_future(const struct group *group, const struct arbiter_view *view,
			   json_t *lines)
{
	const char *unfit = group_unfit_reason(group);
	char text[700];

	if (unfit) {
		snprintf(text, sizeof(text), "This node may not own it now: %s.", unfit);
		add_line(lines, text);
	} else if (view->maintenance) {
		add_line(lines, "Maintenance: it is defended, but nothing is started, stopped or "
				"handed over.");
	} else if (view->state == ARBITER_STATE_OWNER) {
		snprintf(text, sizeof(text),
			 "It stays here as long as this node answers challenges within %u ms; "
			 "should it fall silent, the next node "
			 "takes over about %u ms later.",
			 group->config->times.window_ms,
			 group->config->times.probe_ms + group->config->times.window_ms);
		add_line(lines, text);
	} else if (view->state == ARBITER_STATE_STANDBY && !view->automatic) {
		add_line(
			lines,
			"This node does not claim it by itself: use lunkeeper lun claim, or take.");
	} else if (view->state == ARBITER_STATE_STANDBY) {
		snprintf(text, sizeof(text),
			 "This node asks the owner every %u ms whether it is alive, and takes over "
			 "when it has "
			 "no answer for %u ms.",
			 group->config->times.probe_ms, group->config->times.window_ms);
		add_line(lines, text);
	}
}

json_t *group_explain_json(const struct group *group)
{
	json_t *lines = json_array(), *rules = json_array();
	struct arbiter_view view;

	arbiter_get_view(group->arbiter, &view);
	explain_place(group, &view, lines);
	explain_paths(group, lines);
	explain_future(group, &view, lines);
	for (unsigned r = 0; r < ARBITER_RULE_COUNT; r++)
		if (group->rule_counts[r])
			json_array_append_new(
				rules, json_pack("{s:s, s:s, s:I, s:o}", "rule",
						 arbiter_rule_name((enum arbiter_rule)r), "text",
						 arbiter_rule_text((enum arbiter_rule)r), "count",
						 (json_int_t)group->rule_counts[r], "age_ms",
						 age(group->rule_last_ms[r])));
	return json_pack("{s:s, s:o, s:o}", "group", group->config->name, "explanation", lines,
			 "rules", rules);
}
