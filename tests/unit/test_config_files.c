/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every tests/config/NAME.conf is loaded, and what it yields, the tree or the faults word by word,
 * must be what NAME.out says. `UPDATE=1 build/tests/unit/test_config_files` writes the .out files
 * anew, to be looked at before they are kept.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/config/config.h"
#include "tests/unit/unit.h"

#define FOLDER "tests/config"

static void dump_group(FILE *out, const struct config_group *group)
{
	const struct config_times *times = &group->times;

	fprintf(out, "group %s line=%d service=%d automatic=%d failback=%s gate=%s\n", group->name,
		group->line, group->has_service, group->automatic,
		group->failback == CONFIG_FAILBACK_AUTO ? "auto" : "manual",
		group->gate == CONFIG_GATE_NBDKIT ? "nbdkit"
		: group->gate == CONFIG_GATE_DM   ? "dm"
						  : "none");
	fprintf(out, "  times defend=%u window=%u probe=%u loss=%u request=%u member_factor=%u\n",
		times->defend_ms, times->window_ms, times->probe_ms, times->loss_ms,
		times->request_ms, times->member_factor);
	fprintf(out, "  luns");
	for (size_t i = 0; i < group->lun_count; i++)
		fprintf(out, " %s", group->luns[i]->name);
	fprintf(out, "\n  nodes");
	for (size_t i = 0; i < group->node_count; i++)
		fprintf(out, " %s", group->nodes[i]->name);
	fprintf(out, "\n");
	for (size_t i = 0; i < group->resource_count; i++) {
		const struct config_resource *resource = &group->resources[i];

		fprintf(out,
			"  resource %s line=%d path=%s requires=%llx monitor=%u/%u start=%u "
			"stop=%u restarts=%u\n",
			resource->name, resource->line, resource->agent_path,
			(unsigned long long)resource->requires, resource->monitor_ms,
			resource->monitor_timeout_ms, resource->start_timeout_ms,
			resource->stop_timeout_ms, resource->restarts);
		for (size_t j = 0; j < resource->param_count; j++) {
			char text[400];

			config_param_text(&resource->params[j], "/run/lunkeeper", text,
					  sizeof(text));
			fprintf(out, "    %s=%s\n", resource->params[j].key, text);
		}
	}
}

static void dump(FILE *out, const struct config *config)
{
	fprintf(out, "cluster %s secrets=%s control_group=%s history=%u/%llu\n", config->cluster,
		config->secrets ? config->secrets : "-",
		config->control_group ? config->control_group : "-", config->history_days,
		(unsigned long long)config->history_size);
	if (config->watchdog)
		fprintf(out, "watchdog %s timeout=%u stop_limit=%u\n", config->watchdog,
			config->watchdog_timeout_ms, config->stop_limit_ms);
	for (size_t i = 0; i < config->node_count; i++)
		fprintf(out, "node %s id=%u line=%d initiator=%s\n", config->nodes[i].name,
			config->nodes[i].id, config->nodes[i].line,
			config->nodes[i].initiator ? config->nodes[i].initiator : "-");
	for (size_t i = 0; i < config->lun_count; i++) {
		const struct config_lun *lun = &config->luns[i];

		fprintf(out, "lun %s line=%d wwid=%s type=%d iscsi=%d attach=%d digests=%d%d\n",
			lun->name, lun->line, lun->wwid ? lun->wwid : "-", (int)lun->type,
			lun->iscsi, lun->attach, lun->header_digest, lun->data_digest);
		for (size_t j = 0; j < lun->device_count; j++)
			fprintf(out, "  device %s\n", lun->devices[j]);
	}
	for (size_t i = 0; i < config->group_count; i++)
		dump_group(out, &config->groups[i]);
}

/* The whole file; "" when it is not there. Its owner and mode are not looked at. */
static char *contents(const char *path, size_t *length)
{
	char *text = calloc(1, 1 << 16);
	FILE *in = fopen(path, "r");

	*length = 0;
	if (in) {
		*length = fread(text, 1, (1 << 16) - 1, in);
		fclose(in);
	}
	return text;
}

/* What loading the file yields, as text. */
static char *outcome(const char *name)
{
	struct config_faults faults = {0};
	struct config *config;
	char path[300], line[1200], *text = NULL, *data;
	size_t length, size;
	FILE *out = open_memstream(&text, &length);
	int error;

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	data = contents(path, &size);
	error = config_load_text(path, data, size, &config, &faults);
	free(data);
	for (size_t i = 0; i < faults.count; i++)
		fprintf(out, "%s\n",
			config_fault_text(&faults.list[i], line, sizeof(line)) + strlen(FOLDER) +
				1);
	if (faults.more)
		fprintf(out, "and more\n");
	CU_ASSERT_EQUAL(error != 0, faults.errors > 0);
	CU_ASSERT_EQUAL(error != 0, config == NULL);
	if (config)
		dump(out, config);
	config_free(config);
	config_faults_free(&faults);
	fclose(out);
	return text;
}

/* What was wrong with one file must not show in the next: libconfuse's lexer is one for all. */
static void check_next_file(void)
{
	static const char good[] = "cluster=demo node a{id=1} lun l{device=/dev/sdb wwid=naa."
				   "5000000000000001}";
	struct config_faults faults = {0};
	struct config *config;

	CU_ASSERT_EQUAL(config_load_text("next", good, sizeof(good) - 1, &config, &faults), 0);
	CU_ASSERT_EQUAL(faults.count, 0);
	config_free(config);
	config_faults_free(&faults);
}

static void compare(const char *name)
{
	char path[300], *got = outcome(name), *want;
	size_t length;

	snprintf(path, sizeof(path), FOLDER "/%.*s.out", (int)(strlen(name) - strlen(".conf")),
		 name);
	if (getenv("UPDATE")) {
		FILE *out = fopen(path, "w");

		fputs(got, out);
		fclose(out);
	}
	want = contents(path, &length);
	if (strcmp(got, want) != 0)
		fprintf(stderr, "\n%s/%s yields:\n%s--- but %s says:\n%s---\n", FOLDER, name, got,
			path, want);
	CU_ASSERT_STRING_EQUAL(got, want);
	free(got);
	free(want);
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static void every_file_yields_what_its_out_says(void)
{
	struct dirent **entries;
	int count = scandir(FOLDER, &entries, is_conf, alphasort);

	CU_ASSERT_FATAL(count >= 20);
	for (int i = 0; i < count; i++) {
		compare(entries[i]->d_name);
		check_next_file();
		free(entries[i]);
	}
	free(entries);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"every file yields what its .out says", every_file_yields_what_its_out_says},
		CU_TEST_INFO_NULL,
	};

	return unit_run("configuration files", tests);
}
