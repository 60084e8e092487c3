/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What must fit together in a configuration: names, numbers, times, groups. Completes the tree:
 * names become pointers, and LUNs that no service names become groups of their own. Pure.
 */
#include "cluster/core/arbiter.h"
#include "cluster/config/private.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "iscsi/url.h"

static const char *check_shown(const char *text, char buffer[CONFIG_SHOWN_SIZE])
{
	return config_shown(text, strlen(text), buffer);
}

static void check_nodes(struct config_context *context)
{
	const struct config *config = &context->tree->config;

	for (size_t i = 0; i < config->node_count; i++) {
		const struct config_node *node = &config->nodes[i];

		for (size_t j = 0; j < i; j++) {
			const struct config_node *other = &config->nodes[j];

			if (node->id != 0 && node->id == other->id)
				config_error(context, node->line,
					     "node \"%s\" has id %u, which node \"%s\" in line %d "
					     "has: two nodes with one "
					     "number could not tell their keys apart",
					     node->name, node->id, other->name, other->line);
			if (node->initiator && other->initiator &&
			    strcasecmp(node->initiator, other->initiator) == 0)
				config_error(context, node->line,
					     "node \"%s\" has the initiator name of node \"%s\" in "
					     "line %d: a target would "
					     "take them for one",
					     node->name, other->name, other->line);
		}
	}
}

static void check_times(struct config_context *context, const char *where,
			const struct config_times *times, int window_line, int loss_line)
{
	if (times->window_ms < 4 * times->defend_ms)
		config_error(context, window_line,
			     "%s: window is %ums and defend %ums: expected window to be at least 4 "
			     "x defend (%ums), or a "
			     "healthy owner could miss a challenge",
			     where, times->window_ms, times->defend_ms, 4 * times->defend_ms);
	if (times->loss_ms < 4 * times->defend_ms)
		config_error(context, loss_line,
			     "%s: loss is %ums and defend %ums: expected loss to be at least 4 x "
			     "defend (%ums), or a few "
			     "slow answers would stop the service",
			     where, times->loss_ms, times->defend_ms, 4 * times->defend_ms);
}

/* Two LUNs that are one: they would be owned twice. */
static void check_luns(struct config_context *context)
{
	const struct config_tree *tree = context->tree;
	char shown[CONFIG_SHOWN_SIZE];

	for (size_t i = 0; i < tree->config.lun_count; i++) {
		const struct config_lun *lun = &tree->luns[i];

		if (lun->device_count == 0 && !lun->wwid)
			config_error(context, lun->line,
				     "lun \"%s\" has neither 'device' nor 'wwid': expected an "
				     "iscsi:// URL or a block device, or the wwid by which the "
				     "kernel's device is found",
				     lun->name);
		else if (!lun->wwid)
			config_warn(context, lun->line,
				    "lun \"%s\" has no wwid: a node whose device of this name "
				    "leads to another LUN would own "
				    "that one; 'lunkeeper lun show DEVICE' prints it",
				    lun->name);
		for (size_t j = 0; j < i; j++) {
			const struct config_lun *other = &tree->luns[j];

			if (lun->wwid && other->wwid && strcasecmp(lun->wwid, other->wwid) == 0)
				config_error(context, tree->raw_luns[i].wwid_line,
					     "lun \"%s\" has the wwid of lun \"%s\" in line %d: "
					     "one LUN under two names",
					     lun->name, other->name, other->line);
			if (lun->device_count && other->device_count &&
			    strcmp(lun->devices[0], other->devices[0]) == 0)
				config_error(context, lun->line,
					     "lun \"%s\" has the device of lun \"%s\" in line %d, "
					     "'%s': one LUN under two "
					     "names",
					     lun->name, other->name, other->line,
					     check_shown(lun->devices[0], shown));
		}
	}
}

/* ---- names ---- */

static void check_unknown(struct config_context *context, const char *kind, const char *name,
			  int line)
{
	char shown[CONFIG_SHOWN_SIZE];

	config_error(context, line, "unknown %s '%s': expected the name of a %s block", kind,
		     check_shown(name, shown), kind);
}

static bool check_repeated(struct config_context *context, const char *kind,
			   const struct config_names *names, size_t index)
{
	char shown[CONFIG_SHOWN_SIZE];

	for (size_t i = 0; i < index; i++) {
		if (strcmp(names->list[i], names->list[index]) != 0)
			continue;
		config_error(context, names->lines[index], "%s '%s' is listed twice", kind,
			     check_shown(names->list[index], shown));
		return true;
	}
	return false;
}

static void check_group_nodes(struct config_context *context, struct config_group *group,
			      const struct config_names *names)
{
	struct config *config = &context->tree->config;
	size_t room = names->given ? names->count : config->node_count;
	const struct config_node **nodes = config_tree_alloc(context->tree, room, sizeof(*nodes));

	group->nodes = nodes;
	for (size_t i = 0; i < room; i++) {
		const struct config_node *node;

		if (!names->given) {
			nodes[group->node_count++] = &config->nodes[i];
			continue;
		}
		node = config_find_node(config, names->list[i]);
		if (!node)
			check_unknown(context, "node", names->list[i], names->lines[i]);
		else if (!check_repeated(context, "node", names, i))
			nodes[group->node_count++] = node;
	}
}

/* A LUN of a service takes these from the service. */
static void check_service_lun(struct config_context *context, const struct config_group *group,
			      size_t index)
{
	const struct config_raw_lun *raw = &context->tree->raw_luns[index];
	const char *name = context->tree->luns[index].name;

	if (raw->automatic_line)
		config_error(context, raw->automatic_line,
			     "lun \"%s\" belongs to service \"%s\": expected 'automatic' there",
			     name, group->name);
	if (raw->nodes.given)
		config_error(context, raw->nodes.lines[0],
			     "lun \"%s\" belongs to service \"%s\": expected 'nodes' there", name,
			     group->name);
	if (raw->attach_line)
		config_error(context, raw->attach_line,
			     "lun \"%s\" belongs to service \"%s\", which attaches its LUNs: "
			     "expected no 'attach'",
			     name, group->name);
}

/* The gate has one session for each target; two of them would have one ISID, and end each other.
 * True when both are of one target: then the others of it need no look. */
static bool check_one_session(struct config_context *context, const struct config_lun *first,
			      const struct config_lun *lun, int line)
{
	struct lun_url a, b;
	const char *problem;

	if (!first->iscsi || !lun->iscsi || !first->device_count || !lun->device_count ||
	    lun_url_parse(&a, first->devices[0], &problem) ||
	    lun_url_parse(&b, lun->devices[0], &problem) || strcasecmp(a.target, b.target) != 0)
		return false;
	if (strcmp(a.host, b.host) != 0 || a.port != b.port)
		config_error(
			context, line,
			"luns '%s' and '%s' are of one target, but their first devices name "
			"different portals: expected the same one first, because the service's "
			"gate has one session for a target",
			first->name, lun->name);
	else if (first->header_digest != lun->header_digest)
		config_error(context, line,
			     "luns '%s' and '%s' are of one target, one with header_digest and one "
			     "without: expected both alike, because they share a session",
			     first->name, lun->name);
	return true;
}

static void check_group_luns(struct config_context *context, struct config_group *group,
			     const struct config_names *names, const struct config_group **user_of)
{
	struct config_tree *tree = context->tree;
	const struct config_lun **luns = config_tree_alloc(tree, names->count, sizeof(*luns));

	group->luns = luns;
	for (size_t i = 0; i < names->count; i++) {
		const struct config_lun *lun = config_find_lun(&tree->config, names->list[i]);
		size_t index = lun ? (size_t)(lun - tree->luns) : 0;

		if (!lun) {
			check_unknown(context, "lun", names->list[i], names->lines[i]);
			continue;
		}
		if (check_repeated(context, "lun", names, i))
			continue;
		if (user_of[index]) {
			config_error(context, names->lines[i],
				     "lun '%s' is used by service \"%s\" in line %d already: "
				     "expected it in one service",
				     lun->name, user_of[index]->name, user_of[index]->line);
			continue;
		}
		user_of[index] = group;
		check_service_lun(context, group, index);
		if (group->lun_count > 0 && lun->iscsi != luns[0]->iscsi)
			config_error(context, names->lines[i],
				     "lun '%s' is %s and lun '%s' is %s: expected one kind in a "
				     "service, which has one gate",
				     lun->name, lun->iscsi ? "an iscsi:// URL" : "a kernel device",
				     luns[0]->name,
				     luns[0]->iscsi ? "an iscsi:// URL" : "a kernel device");
		for (size_t k = group->lun_count; k > 0; k--)
			if (check_one_session(context, luns[k - 1], lun, names->lines[i]))
				break;
		luns[group->lun_count++] = lun;
	}
	if (group->lun_count > ARBITER_LUNS_MAX)
		config_error(context, group->line,
			     "service \"%s\" has %zu LUNs: expected at most %d", group->name,
			     group->lun_count, ARBITER_LUNS_MAX);
}

/* ---- resources ---- */

static void check_params(struct config_context *context, const struct config_group *group,
			 const struct config_resource *resource, const int *lines)
{
	char shown[CONFIG_SHOWN_SIZE];

	for (size_t i = 0; i < resource->param_count; i++) {
		const char *value = resource->params[i].value;
		bool found = false;

		if (value[0] != '@' || value[1] == '@')
			continue;
		for (size_t j = 0; j < group->lun_count; j++)
			found = found || strcmp(group->luns[j]->name, value + 1) == 0;
		if (!found)
			config_error(context, lines[i],
				     "params: '%s' in %s names no lun of service \"%s\": expected "
				     "one of its luns, or '@@' "
				     "for a value that begins with '@'",
				     check_shown(value, shown), resource->params[i].key,
				     group->name);
	}
}

static void check_requires(struct config_context *context, const struct config_group *group,
			   size_t index, const struct config_names *names)
{
	/* the tree's, which is not const before it is given away */
	struct config_resource *resource = (struct config_resource *)&group->resources[index];
	char shown[CONFIG_SHOWN_SIZE];

	for (size_t i = 0; i < names->count; i++) {
		size_t other = 0;

		while (other < group->resource_count &&
		       strcmp(group->resources[other].name, names->list[i]) != 0)
			other++;
		if (other == group->resource_count)
			config_error(
				context, names->lines[i],
				"requires: unknown resource '%s': expected one of service \"%s\"",
				check_shown(names->list[i], shown), group->name);
		else
		resource->
			requires
		|= 1ull << other;
	}
}

/* Takes away, again and again, what needs nothing that is left; what cannot be taken away goes
 * round in a circle. */
static void check_cycles(struct config_context *context, const struct config_group *group)
{
	uint64_t left = 0, before;

	for (size_t i = 0; i < group->resource_count; i++)
		left |= 1ull << i;
	do {
		before = left;
		for (size_t i = 0; i < group->resource_count; i++)
			if (!(group->resources[i].requires & left))
				left &= ~(1ull << i);
	} while (left != before);
	for (size_t i = 0; i < group->resource_count; i++)
		if (left & 1ull << i)
			config_error(context, group->resources[i].line,
				     "resource \"%s\" of service \"%s\" needs itself, directly or "
				     "through others: expected "
				     "'requires' without a circle",
				     group->resources[i].name, group->name);
}

/* The gate stands on one device: more than one path to it is what dm-multipath is for. */
static void check_gate(struct config_context *context, const struct config_group *group)
{
	for (size_t i = 0; i < group->lun_count && group->gate == CONFIG_GATE_DM; i++)
		if (group->luns[i]->device_count > 1)
			config_warn(context, group->luns[i]->line,
				    "lun \"%s\" has %zu devices: its data uses only the first; "
				    "expected a dm-multipath map of its paths",
				    group->luns[i]->name, group->luns[i]->device_count);
}

static void check_service(struct config_context *context, size_t index,
			  const struct config_group **user_of)
{
	struct config_tree *tree = context->tree;
	struct config_group *group = &tree->groups[index];
	const struct config_raw_service *raw = &tree->raw_services[index];
	char where[CONFIG_NAME_MAX + 16];

	for (size_t i = 0; i < index; i++)
		if (strcmp(tree->groups[i].name, group->name) == 0)
			config_error(context, group->line, "service \"%s\" is there twice",
				     group->name);
	check_group_luns(context, group, &raw->luns, user_of);
	check_group_nodes(context, group, &raw->nodes);
	snprintf(where, sizeof(where), "service \"%s\"", group->name);
	if (raw->window_line || raw->loss_line)
		check_times(context, where, &group->times,
			    raw->window_line ? raw->window_line : group->line,
			    raw->loss_line ? raw->loss_line : group->line);
	for (size_t i = 0; i < group->resource_count; i++) {
		check_params(context, group, &group->resources[i], raw->resources[i].param_lines);
		check_requires(context, group, i, &raw->resources[i].requires);
	}
	check_cycles(context, group);
	group->gate = CONFIG_GATE_NONE;
	for (size_t i = 0; i < group->lun_count; i++)
		/* Without resources nothing uses the LUNs here: they are only held. */
		if (group->resource_count || group->luns[i]->attach)
			group->gate = group->luns[i]->iscsi ? CONFIG_GATE_NBDKIT : CONFIG_GATE_DM;
	check_gate(context, group);
}

/* A LUN that no service names. */
static void check_lone_lun(struct config_context *context, size_t index)
{
	struct config_tree *tree = context->tree;
	const struct config_lun *lun = &tree->luns[index];
	struct config_group *group = &tree->groups[tree->config.group_count];
	const struct config_lun **luns = config_tree_alloc(tree, 1, sizeof(*luns));

	for (size_t i = 0; i < tree->service_count; i++)
		if (strcmp(tree->groups[i].name, lun->name) == 0)
			config_error(context, lun->line,
				     "lun \"%s\" is in no service, but service \"%s\" in line %d "
				     "bears its name: expected "
				     "another name for one of them, because both are groups",
				     lun->name, lun->name, tree->groups[i].line);
	luns[0] = lun;
	group->name = lun->name;
	group->line = lun->line;
	group->automatic = tree->raw_luns[index].automatic;
	group->times = tree->config.times;
	group->luns = luns;
	group->lun_count = 1;
	group->gate = !lun->attach ? CONFIG_GATE_NONE
		      : lun->iscsi ? CONFIG_GATE_NBDKIT
				   : CONFIG_GATE_DM;
	check_gate(context, group);
	check_group_nodes(context, group, &tree->raw_luns[index].nodes);
	tree->config.group_count++;
}

void config_check(struct config_context *context)
{
	struct config_tree *tree = context->tree;
	const struct config_group **user_of =
		config_tree_alloc(tree, tree->config.lun_count, sizeof(*user_of));

	check_nodes(context);
	check_times(context, "the file", &tree->config.times, tree->window_line, tree->loss_line);
	check_luns(context);
	for (size_t i = 0; i < tree->service_count; i++)
		check_service(context, i, user_of);
	for (size_t i = 0; i < tree->config.lun_count; i++)
		if (!user_of[i])
			check_lone_lun(context, i);
}
