/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The values of a configuration: each text that was read is turned into what it must be, or into a
 * fault that says what was found and what was expected.
 */
#include "cluster/config/private.h"
#include "cluster/core/service.h"
#include "iscsi/url.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MINUTE 60000u
#define DURATION_HOUR 3600000u

/* ---- one value ---- */

static const struct config_setting *parse_setting(const struct config_block *block,
						  const char *name)
{
	size_t i = 0;

	while (strcmp(block->keys[i].name, name) != 0)
		i++;
	return &block->settings[i];
}

/* NULL when it is not set. */
static const char *parse_value(const struct config_block *block, const char *name, int *line)
{
	const struct config_value *value = parse_setting(block, name)->first;

	*line = value ? value->line : 0;
	return value ? value->text : NULL;
}

static bool parse_is(const struct config_block *block, const char *kind)
{
	return strcmp(block->kind, kind) == 0;
}

static unsigned parse_count(const struct config_block *block, const char *kind)
{
	unsigned count = 0;

	for (const struct config_block *inner = block->first; inner; inner = inner->next)
		count += parse_is(inner, kind);
	return count;
}

static const char *parse_shown(const char *text, char buffer[CONFIG_SHOWN_SIZE])
{
	return config_shown(text, strlen(text), buffer);
}

struct duration_range {
	uint32_t minimum, maximum;
	const char *expected;
};

static void parse_duration(struct config_context *context, const struct config_block *section,
			   const char *name, const struct duration_range *range, uint32_t *value,
			   int *where)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(section, name, &line);
	uint64_t ms;

	if (!text)
		return;
	if (where)
		*where = line;
	if (config_duration_parse(text, &ms) == 0 && ms >= range->minimum && ms <= range->maximum) {
		*value = (uint32_t)ms;
		return;
	}
	if (*text && strspn(text, "0123456789") == strlen(text))
		config_error(context, line,
			     "%s = %s has no unit: expected a number and ms, s or m, such as %sms",
			     name, parse_shown(text, shown), shown);
	else
		config_error(context, line, "%s: found '%s', expected %s", name,
			     parse_shown(text, shown), range->expected);
}

static void parse_number(struct config_context *context, const struct config_block *section,
			 const char *name, uint32_t minimum, uint32_t maximum, uint32_t *value)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(section, name, &line);
	unsigned long number;

	if (!text)
		return;
	number = strlen(text) <= 9 ? strtoul(text, NULL, 10) : ULONG_MAX;
	if (!*text || strspn(text, "0123456789") != strlen(text) || number < minimum ||
	    number > maximum)
		config_error(context, line, "%s: found '%s', expected a whole number from %u to %u",
			     name, parse_shown(text, shown), minimum, maximum);
	else
		*value = (uint32_t)number;
}

static int parse_flag(struct config_context *context, const struct config_block *section,
		      const char *name, bool *value)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(section, name, &line);

	if (!text)
		return 0;
	if (strcmp(text, "true") == 0)
		*value = true;
	else if (strcmp(text, "false") == 0)
		*value = false;
	else
		config_error(context, line, "%s: found '%s', expected true or false", name,
			     parse_shown(text, shown));
	return line;
}

static int parse_type(struct config_context *context, const struct config_block *section,
		      enum pr_type *type)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(section, "type", &line);

	if (!text)
		return 0;
	if (strcmp(text, "we-ro") == 0)
		*type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
	else if (strcmp(text, "ea-ro") == 0)
		*type = PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY;
	else
		config_error(context, line,
			     "type: found '%s', expected we-ro (Write Exclusive, Registrants Only) "
			     "or ea-ro (Exclusive "
			     "Access, Registrants Only); with any other type the holder's second "
			     "path could not write",
			     parse_shown(text, shown));
	return line;
}

static void parse_times(struct config_context *context, const struct config_block *section,
			struct config_times *times, int *window_line, int *loss_line)
{
	static const struct duration_range defend = {50, 12750,
						     "a multiple of 50ms from 50ms to 12750ms"},
					   window = {200, 10 * DURATION_MINUTE, "200ms to 10m"},
					   probe = {0, DURATION_HOUR, "0ms to 60m"},
					   loss = {200, DURATION_HOUR, "200ms to 60m"},
					   request = {1000, DURATION_HOUR, "1s to 60m"};
	uint32_t before = times->defend_ms;
	int line = 0;

	parse_duration(context, section, "defend", &defend, &times->defend_ms, &line);
	if (times->defend_ms % 50 != 0) {
		config_error(context, line,
			     "defend: found %ums, expected %s, because the key carries it in units "
			     "of 50ms",
			     times->defend_ms, defend.expected);
		times->defend_ms = before;
	}
	*window_line = *loss_line = line;
	parse_duration(context, section, "window", &window, &times->window_ms, window_line);
	parse_duration(context, section, "probe", &probe, &times->probe_ms, NULL);
	parse_duration(context, section, "loss", &loss, &times->loss_ms, loss_line);
	parse_duration(context, section, "request", &request, &times->request_ms, NULL);
	parse_number(context, section, "member_factor", 1, 10000, &times->member_factor);
}

/* An absolute path. */
static const char *parse_path(struct config_context *context, const struct config_block *section,
			      const char *name)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(section, name, &line);

	if (!text)
		return NULL;
	if (text[0] == '/')
		return config_tree_text(context->tree, text);
	config_error(context, line,
		     "%s: found '%s', expected an absolute path (beginning with '/')", name,
		     parse_shown(text, shown));
	return NULL;
}

static void parse_names(struct config_context *context, const struct config_block *section,
			const char *name, struct config_names *names)
{
	const struct config_setting *setting = parse_setting(section, name);
	const char **list;
	int *lines;

	if (!setting->first)
		return;
	names->given = true;
	names->list = list = config_tree_alloc(context->tree, setting->count, sizeof(*list));
	names->lines = lines = config_tree_alloc(context->tree, setting->count, sizeof(*lines));
	for (const struct config_value *value = setting->first; value; value = value->next) {
		list[names->count] = value->text;
		lines[names->count++] = value->line;
	}
}

/* A section's title as a name; NULL after a fault. */
static const char *parse_title(struct config_context *context, const struct config_block *section)
{
	char shown[CONFIG_SHOWN_SIZE];

	if (config_name_valid(section->title))
		return section->title;
	config_error(context, section->line,
		     "%s \"%s\": expected a name of 1 to %d letters, digits, '.', '_' and '-', not "
		     "beginning with '.' or "
		     "'-', because it becomes a file name",
		     section->kind, parse_shown(section->title, shown), CONFIG_NAME_MAX);
	return NULL;
}

/* ---- blocks ---- */

static void parse_initiator(struct config_context *context, const struct config_block *section,
			    struct config_node *node)
{
	char shown[CONFIG_SHOWN_SIZE], problem[120];
	int line;
	const char *text = parse_value(section, "initiator", &line);

	if (!text)
		return;
	if (iscsi_name_valid(text))
		node->initiator = config_tree_text(context->tree, text);
	else
		config_error(context, line,
			     "initiator: found '%s': it %s; expected an iSCSI name (iqn., eui. or "
			     "naa., at most 223 characters)",
			     parse_shown(text, shown),
			     iscsi_name_problem(text, problem, sizeof(problem)));
}

static void parse_nodes(struct config_context *context, const struct config_block *file)
{
	unsigned count = parse_count(file, "node");
	struct config *config = &context->tree->config;

	context->tree->nodes =
		config_tree_alloc(context->tree, count, sizeof(*context->tree->nodes));
	for (const struct config_block *section = file->first; section; section = section->next) {
		struct config_node *node = &context->tree->nodes[config->node_count];
		uint32_t id = 0;

		if (!parse_is(section, "node"))
			continue;
		memset(node, 0, sizeof(*node)); /* one without a usable name was here */
		node->line = section->line;
		node->name = parse_title(context, section);
		parse_number(context, section, "id", 1, 254, &id);
		node->id = (uint8_t)id;
		parse_initiator(context, section, node);
		if (node->name)
			config->node_count++;
	}
	config->nodes = context->tree->nodes;
}

static void parse_devices(struct config_context *context, const struct config_block *section,
			  struct config_lun *lun)
{
	struct config_names names = {0};

	parse_names(context, section, "device", &names);
	if (names.count > CONFIG_DEVICES_MAX)
		config_error(context, names.lines[CONFIG_DEVICES_MAX],
			     "device: found %zu, expected at most %d", names.count,
			     CONFIG_DEVICES_MAX);
	lun->devices = names.list;
	lun->device_count = names.count < CONFIG_DEVICES_MAX ? names.count : CONFIG_DEVICES_MAX;
	for (size_t i = 0; i < lun->device_count; i++) {
		bool iscsi = strncmp(names.list[i], "iscsi:", 6) == 0;

		config_check_device(context, names.list[i], names.lines[i]);
		if (i > 0 && iscsi != lun->iscsi)
			config_error(context, names.lines[i],
				     "device: found iscsi:// URLs and kernel devices for one LUN, "
				     "expected one kind");
		for (size_t j = 0; j < i; j++)
			if (strcmp(names.list[i], names.list[j]) == 0)
				config_error(context, names.lines[i],
					     "device: '%s' is listed twice",
					     config_shown(names.list[i], strlen(names.list[i]),
							  (char[CONFIG_SHOWN_SIZE]){0}));
		lun->iscsi = iscsi;
	}
}

static void parse_luns(struct config_context *context, const struct config_block *file,
		       enum pr_type type)
{
	unsigned count = parse_count(file, "lun");
	struct config *config = &context->tree->config;
	struct config_raw_lun *raws = config_tree_alloc(context->tree, count, sizeof(*raws));

	context->tree->luns = config_tree_alloc(context->tree, count, sizeof(*context->tree->luns));
	for (const struct config_block *section = file->first; section; section = section->next) {
		struct config_lun *lun = &context->tree->luns[config->lun_count];
		struct config_raw_lun *raw = &raws[config->lun_count];
		const char *wwid;

		if (!parse_is(section, "lun"))
			continue;
		memset(lun, 0, sizeof(*lun));
		memset(raw, 0, sizeof(*raw));
		lun->line = section->line;
		lun->name = parse_title(context, section);
		lun->type = type;
		parse_devices(context, section, lun);
		wwid = parse_value(section, "wwid", &raw->wwid_line);
		if (wwid) {
			config_check_wwid(context, wwid, raw->wwid_line);
			lun->wwid = config_tree_text(context->tree, wwid);
		}
		raw->type_line = parse_type(context, section, &lun->type);
		raw->attach_line = parse_flag(context, section, "attach", &lun->attach);
		raw->automatic_line = parse_flag(context, section, "automatic", &raw->automatic);
		parse_flag(context, section, "header_digest", &lun->header_digest);
		parse_flag(context, section, "data_digest", &lun->data_digest);
		parse_names(context, section, "nodes", &raw->nodes);
		if (lun->name)
			config->lun_count++;
	}
	config->luns = context->tree->luns;
	context->tree->raw_luns = raws;
}

static bool parse_param_key_valid(const char *text, size_t length)
{
	if (length == 0 || length > CONFIG_NAME_MAX || (text[0] >= '0' && text[0] <= '9'))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!(text[i] == '_' || (text[i] >= '0' && text[i] <= '9') ||
		      (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z')))
			return false;
	return true;
}

static void parse_params(struct config_context *context, const struct config_block *section,
			 struct config_resource *resource, struct config_raw_resource *raw)
{
	struct config_names texts = {0};
	struct config_param *params;
	char shown[CONFIG_SHOWN_SIZE];

	parse_names(context, section, "params", &texts);
	if (texts.count > CONFIG_PARAMS_MAX) {
		config_error(context, texts.lines[CONFIG_PARAMS_MAX],
			     "params: found %zu, expected at most %d", texts.count,
			     CONFIG_PARAMS_MAX);
		return;
	}
	resource->params = params = config_tree_alloc(context->tree, texts.count, sizeof(*params));
	raw->param_lines = texts.lines;
	for (size_t i = 0; i < texts.count; i++) {
		const char *text = texts.list[i], *equals = strchr(text, '=');
		size_t length = equals ? (size_t)(equals - text) : 0;
		char *key;

		if (!equals || !parse_param_key_valid(text, length)) {
			config_error(context, texts.lines[i],
				     "params: found '%s', expected \"key=value\" with a key of "
				     "letters, digits and '_', "
				     "because it becomes the name of an environment variable",
				     parse_shown(text, shown));
			continue;
		}
		if (strlen(equals) > CONFIG_PARAM_MAX)
			config_error(
				context, texts.lines[i],
				"params: the value of '%.*s' has %zu bytes, expected at most %d",
				(int)length, text, strlen(equals + 1), CONFIG_PARAM_MAX);
		key = config_tree_alloc(context->tree, length + 1, 1);
		memcpy(key, text, length);
		for (size_t j = 0; j < resource->param_count; j++)
			if (strcmp(params[j].key, key) == 0)
				config_error(context, texts.lines[i], "params: '%s' is set twice",
					     key);
		params[resource->param_count++] = (struct config_param){key, equals + 1};
	}
}

static void parse_resource(struct config_context *context, const struct config_block *section,
			   struct config_resource *resource, struct config_raw_resource *raw)
{
	static const struct duration_range monitor = {0, 24 * DURATION_HOUR,
						      "0ms (never) to 1440m"},
					   timeout = {100, 24 * DURATION_HOUR, "100ms to 1440m"};
	int line;
	const char *agent;

	memset(resource, 0, sizeof(*resource));
	memset(raw, 0, sizeof(*raw));
	resource->monitor_ms = 10000;
	resource->monitor_timeout_ms = 20000;
	resource->start_timeout_ms = resource->stop_timeout_ms = 60000;
	resource->restarts = 3;
	resource->line = section->line;
	resource->name = parse_title(context, section);
	agent = parse_value(section, "agent", &line);
	if (agent)
		resource->agent_path = config_parse_agent(context, agent, line);
	parse_params(context, section, resource, raw);
	parse_names(context, section, "requires", &raw->requires);
	parse_duration(context, section, "monitor", &monitor, &resource->monitor_ms, NULL);
	parse_duration(context, section, "monitor_timeout", &timeout, &resource->monitor_timeout_ms,
		       NULL);
	parse_duration(context, section, "start_timeout", &timeout, &resource->start_timeout_ms,
		       NULL);
	parse_duration(context, section, "stop_timeout", &timeout, &resource->stop_timeout_ms,
		       NULL);
	parse_number(context, section, "restarts", 0, SERVICE_RESTARTS_MAX, &resource->restarts);
}

static void parse_resources(struct config_context *context, const struct config_block *service,
			    struct config_group *group, struct config_raw_service *raw)
{
	unsigned count = parse_count(service, "resource");
	struct config_resource *resources;
	struct config_raw_resource *raws;

	if (count > CONFIG_RESOURCES_MAX) {
		config_error(context, group->line,
			     "service \"%s\": found %u resources, expected at most %d",
			     service->title, count, CONFIG_RESOURCES_MAX);
		return;
	}
	group->resources = resources = config_tree_alloc(context->tree, count, sizeof(*resources));
	raw->resources = raws = config_tree_alloc(context->tree, count, sizeof(*raws));
	for (const struct config_block *inner = service->first; inner; inner = inner->next) {
		parse_resource(context, inner, &resources[group->resource_count],
			       &raws[group->resource_count]);
		if (resources[group->resource_count].name)
			group->resource_count++;
	}
}

static void parse_failback(struct config_context *context, const struct config_block *section,
			   struct config_group *group)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(section, "failback", &line);

	if (text && strcmp(text, "auto") == 0)
		group->failback = CONFIG_FAILBACK_AUTO;
	else if (text && strcmp(text, "manual") != 0)
		config_error(context, line, "failback: found '%s', expected manual or auto",
			     parse_shown(text, shown));
}

static void parse_services(struct config_context *context, const struct config_block *file)
{
	struct config_tree *tree = context->tree;
	unsigned count = parse_count(file, "service");
	struct config_raw_service *raws = config_tree_alloc(tree, count, sizeof(*raws));

	/* room for the LUNs that no service names */
	tree->groups =
		config_tree_alloc(tree, count + tree->config.lun_count, sizeof(*tree->groups));
	for (const struct config_block *section = file->first; section; section = section->next) {
		struct config_group *group = &tree->groups[tree->service_count];
		struct config_raw_service *raw = &raws[tree->service_count];

		if (!parse_is(section, "service"))
			continue;
		memset(group, 0, sizeof(*group));
		memset(raw, 0, sizeof(*raw));
		group->line = section->line;
		group->name = parse_title(context, section);
		group->has_service = true;
		group->automatic = true;
		group->times = tree->config.times;
		parse_names(context, section, "luns", &raw->luns);
		parse_names(context, section, "nodes", &raw->nodes);
		parse_failback(context, section, group);
		parse_flag(context, section, "automatic", &group->automatic);
		parse_times(context, section, &group->times, &raw->window_line, &raw->loss_line);
		parse_resources(context, section, group, raw);
		if (group->name)
			tree->service_count++;
	}
	tree->config.groups = tree->groups;
	tree->config.group_count = tree->service_count;
	tree->raw_services = raws;
}

static void parse_history(struct config_context *context, const struct config_block *file,
			  struct config *config)
{
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text;

	config->history_days = 90;
	config->history_size = 64u << 20;
	parse_number(context, file, "history_days", 1, 36500, &config->history_days);
	text = parse_value(file, "history_size", &line);
	if (text && config_size_parse(text, &config->history_size) != 0)
		config_error(
			context, line,
			"history_size: found '%s', expected a number and K, M or G, from 1M to 64G",
			parse_shown(text, shown));
}

static void parse_watchdog(struct config_context *context, const struct config_block *file,
			   struct config *config)
{
	static const struct duration_range timeout = {2000, 10 * DURATION_MINUTE, "2s to 10m"},
					   limit = {1000, DURATION_HOUR, "1s to 60m"};

	config->watchdog = parse_path(context, file, "watchdog");
	config->watchdog_timeout_ms = 10000;
	config->stop_limit_ms = 30000;
	parse_duration(context, file, "watchdog_timeout", &timeout, &config->watchdog_timeout_ms,
		       NULL);
	parse_duration(context, file, "stop_limit", &limit, &config->stop_limit_ms, NULL);
}

/* The file's own settings. */
static enum pr_type parse_settings(struct config_context *context, const struct config_block *file)
{
	struct config_tree *tree = context->tree;
	struct config *config = &tree->config;
	enum pr_type type = PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
	char shown[CONFIG_SHOWN_SIZE];
	int line;
	const char *text = parse_value(file, "cluster", &line);

	if (text && !config_name_valid(text))
		config_error(context, line,
			     "cluster: found '%s', expected a name of 1 to %d letters, digits, "
			     "'.', '_', '-'",
			     parse_shown(text, shown), CONFIG_NAME_MAX);
	config->cluster = text ? config_tree_text(tree, text) : NULL;
	config->times = (struct config_times){500, 2000, 2000, 20000, 60000, 20};
	parse_times(context, file, &config->times, &tree->window_line, &tree->loss_line);
	parse_type(context, file, &type);
	config->secrets = parse_path(context, file, "secrets");
	text = parse_value(file, "control_group", &line);
	if (text && !config_name_valid(text))
		config_error(
			context, line,
			"control_group: found '%s', expected the name of a group of this system",
			parse_shown(text, shown));
	else if (text)
		config->control_group = config_tree_text(tree, text);
	parse_history(context, file, config);
	parse_watchdog(context, file, config);
	return type;
}

void config_parse(struct config_context *context, const struct config_block *file)
{
	enum pr_type type = parse_settings(context, file);

	parse_nodes(context, file);
	parse_luns(context, file, type);
	parse_services(context, file);
}
