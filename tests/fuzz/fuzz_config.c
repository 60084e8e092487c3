/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A configuration of any bytes: no crash, either a tree or a fault with a line of the file, and
 * never both an error and a tree.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "cluster/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_group(const struct config *config, const struct config_group *group)
{
	char text[512];

	assert(config_name_valid(group->name) && config_find_group(config, group->name) == group);
	assert(group->lun_count > 0 && group->node_count > 0 && group->times.defend_ms % 50 == 0);
	assert(group->times.window_ms >= 4 * group->times.defend_ms);
	assert(config_group_equal(group, group));
	for (size_t i = 0; i < group->resource_count; i++) {
		const struct config_resource *resource = &group->resources[i];

		assert(resource->agent_path[0] == '/' && !(resource->requires & 1ull << i));
		for (size_t j = 0; j < resource->param_count; j++)
			config_param_text(&resource->params[j], "/run", text, sizeof(text));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_faults faults = {0};
	struct config_diff diff;
	struct config *config;
	char text[2000];
	int lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	if (config_load_text("f", (const char *)data, size, &config, &faults) == 0) {
		assert(config && faults.errors == 0 && config->node_count > 0);
		for (size_t i = 0; i < config->group_count; i++)
			check_group(config, &config->groups[i]);
		assert(config_diff(config, config, config->nodes[0].name, &diff) == 0);
		for (size_t i = 0; i < diff.group_count; i++)
			assert(diff.groups[i].change == CONFIG_CHANGE_SAME);
		config_diff_free(&diff);
	} else {
		assert(!config && faults.errors > 0 && faults.count > 0);
	}
	for (size_t i = 0; i < faults.count; i++) {
		assert(faults.list[i].line >= 0 && faults.list[i].line <= lines);
		assert(strlen(config_fault_text(&faults.list[i], text, sizeof(text))) > 4);
	}
	config_free(config);
	config_faults_free(&faults);
	return 0;
}
