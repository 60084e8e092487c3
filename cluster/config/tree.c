/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bottom of the configuration: its memory, its faults, and finding things in it.
 */
#include "cluster/base/text.h"
#include "cluster/config/config.h"
#include "cluster/config/private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *config_tree_alloc(struct config_tree *tree, size_t count, size_t size)
{
	struct config_chunk *chunk = calloc(1, sizeof(*chunk) + count * size + 1);

	if (!chunk)
		abort();
	chunk->next = tree->chunks;
	tree->chunks = chunk;
	return chunk->data;
}

const char *config_tree_text(struct config_tree *tree, const char *text)
{
	size_t length = strlen(text);

	return memcpy(config_tree_alloc(tree, length + 1, 1), text, length);
}

/* ---- faults ---- */

const char *config_shown(const char *text, size_t length, char buffer[CONFIG_SHOWN_SIZE])
{
	size_t shown = length < CONFIG_SHOWN_SIZE ? length : CONFIG_SHOWN_SIZE - 4;

	for (size_t i = 0; i < shown; i++)
		buffer[i] = text[i] ? text[i] : '?';
	/* not in the middle of a UTF-8 character */
	while (shown < length && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
		shown--;
	memcpy(buffer + shown, shown < length ? "..." : "", shown < length ? 4 : 1);
	return text_clean(buffer);
}

void config_fault(struct config_context *context, enum config_severity severity, int line,
		  const char *format, ...)
{
	struct config_faults *faults = context->faults;
	struct config_fault fault = {.severity = severity, .line = line};
	va_list arguments;
	size_t at;

	if (severity == CONFIG_ERROR)
		faults->errors++;
	if (faults->count == CONFIG_FAULTS_MAX) {
		faults->more = true;
		return;
	}
	if (faults->count % 16 == 0)
		faults->list = realloc(faults->list, (faults->count + 16) * sizeof(*faults->list));
	va_start(arguments, format);
	if (!faults->list || vasprintf(&fault.text, format, arguments) < 0 ||
	    !(fault.file = strdup(context->path)))
		abort();
	va_end(arguments);
	/* in the order of lines, and of finding within one */
	for (at = faults->count; at > 0 && faults->list[at - 1].line > line; at--)
		faults->list[at] = faults->list[at - 1];
	faults->list[at] = fault;
	faults->count++;
}

/* ---- finding ---- */

const struct config_node *config_find_node(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->node_count; i++)
		if (strcmp(config->nodes[i].name, name) == 0)
			return &config->nodes[i];
	return NULL;
}

const struct config_node *config_find_host(const struct config *config, const char *host)
{
	const struct config_node *found = config_find_node(config, host);
	size_t label = strcspn(host, "."), count = found ? 1 : 0;
	bool same = found != NULL;

	for (size_t i = 0; i < config->node_count && label > 0 && !same; i++) {
		const char *name = config->nodes[i].name;

		if (strcspn(name, ".") != label || strncmp(name, host, label) != 0 ||
		    (name[label] && host[label]))
			continue;
		found = &config->nodes[i];
		count++;
	}
	return count == 1 ? found : NULL;
}

const struct config_node *config_find_node_id(const struct config *config, uint8_t id)
{
	for (size_t i = 0; i < config->node_count; i++)
		if (config->nodes[i].id == id)
			return &config->nodes[i];
	return NULL;
}

const struct config_lun *config_find_lun(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->lun_count; i++)
		if (strcmp(config->luns[i].name, name) == 0)
			return &config->luns[i];
	return NULL;
}

const struct config_group *config_find_group(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->group_count; i++)
		if (strcmp(config->groups[i].name, name) == 0)
			return &config->groups[i];
	return NULL;
}

int config_group_rank(const struct config_group *group, uint8_t node_id)
{
	for (size_t i = 0; i < group->node_count; i++)
		if (group->nodes[i]->id == node_id)
			return (int)i;
	return -1;
}

int config_param_text(const struct config_param *param, const char *run_folder, char *buffer,
		      size_t size)
{
	const char *value = param->value;
	int length;

	if (value[0] == '@' && value[1] != '@')
		length = snprintf(buffer, size, "%s/dev/%s", run_folder, value + 1);
	else
		length = snprintf(buffer, size, "%s", value[0] == '@' ? value + 1 : value);
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}
