/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one reading of a configuration: libconfuse parses the text and calls back for each block and
 * value, here they are noted with their lines, and what libconfuse finds wrong is said in our words.
 * Every value is a text and every key a list for it, so that a list where one value is expected can
 * be named; keys that are not in the table are taken as well (CFGF_KEYSTRVAL), so that one typing
 * error does not hide the next.
 */
#include "cluster/base/text.h"
#include "cluster/config/private.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key whose default libconfuse parses when a block begins: the one call back that it makes there.
 * It is the last of each table. */
#define READ_BEGIN_KEY "@begin"

const struct config_key config_keys_resource[] = {
	{.name = "agent", .required = true},
	{.name = "params", .list = true},
	{.name = "requires", .list = true},
	{.name = "monitor"},
	{.name = "monitor_timeout"},
	{.name = "start_timeout"},
	{.name = "stop_timeout"},
	{.name = "restarts"},
	{.name = NULL},
};

const struct config_key config_keys_service[] = {
	{.name = "luns", .list = true, .required = true},
	{.name = "nodes", .list = true},
	{.name = "failback"},
	{.name = "automatic"},
	{.name = "defend"},
	{.name = "window"},
	{.name = "probe"},
	{.name = "loss"},
	{.name = "request"},
	{.name = "member_factor"},
	{.name = "resource", .section = config_keys_resource},
	{.name = NULL},
};

const struct config_key config_keys_lun[] = {
	{.name = "device", .list = true},
	{.name = "wwid"},
	{.name = "automatic"},
	{.name = "attach"},
	{.name = "type"},
	{.name = "header_digest"},
	{.name = "data_digest"},
	{.name = "nodes", .list = true},
	{.name = NULL},
};

const struct config_key config_keys_node[] = {
	{.name = "id", .required = true}, {.name = "initiator"}, {.name = NULL}};

const struct config_key config_keys_top[] = {
	{.name = "cluster", .required = true},
	{.name = "defend"},
	{.name = "window"},
	{.name = "probe"},
	{.name = "loss"},
	{.name = "request"},
	{.name = "member_factor"},
	{.name = "type"},
	{.name = "secrets"},
	{.name = "control_group"},
	{.name = "history_days"},
	{.name = "history_size"},
	{.name = "watchdog"},
	{.name = "watchdog_timeout"},
	{.name = "stop_limit"},
	{.name = "node", .section = config_keys_node, .required = true},
	{.name = "lun", .section = config_keys_lun, .required = true},
	{.name = "service", .section = config_keys_service},
	{.name = NULL},
};

/* libconfuse passes no user pointer to its callbacks, and its lexer is global anyway. */
static struct {
	struct config_context *context;
	struct config_block *block;      /* that is being read */
	const cfg_t *section;            /* libconfuse's of the block */
	const struct config_value *last; /* where one value is expected */
} reader;

static int read_find(const struct config_key *keys, const char *name)
{
	for (int i = 0; keys[i].name; i++)
		if (strcmp(keys[i].name, name) == 0)
			return i;
	return -1;
}

static const char *read_shown(const char *text, char buffer[CONFIG_SHOWN_SIZE])
{
	return config_shown(text, strlen(text), buffer);
}

/* "service "mail"", or "the file". */
static const char *read_block_name(const struct config_block *block,
				   char buffer[2 * CONFIG_SHOWN_SIZE])
{
	char shown[CONFIG_SHOWN_SIZE];

	snprintf(buffer, 2 * CONFIG_SHOWN_SIZE, "%s \"%s\"", block->kind,
		 read_shown(block->title, shown));
	return block->parent ? buffer : "the file";
}

/* ---- what is wrong ---- */

/* Nothing after this can be read. */
static void read_break(int line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void read_break(int line, const char *format, ...)
{
	char text[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	config_error(reader.context, line, "%s; nothing after it was checked", text);
	reader.context->broken = true;
}

/* `cluster =` and a new line that begins something else: its first word became the value. */
static bool read_value_forgotten(int line)
{
	const struct config_value *last = reader.last;

	if (!last || last->line != line || read_find(reader.block->keys, last->text) < 0)
		return false;
	read_break(line, "found '%s': expected a value after '='", last->text);
	return true;
}

static void read_unknown(const char *name, int line)
{
	const struct config_block *block = reader.block;
	char shown[CONFIG_SHOWN_SIZE], where[2 * CONFIG_SHOWN_SIZE], known[400] = "";
	size_t used = 0;
	int outer = read_find(config_keys_top, name);

	if (read_value_forgotten(line))
		return;
	if (block->parent && outer >= 0 && config_keys_top[outer].section) {
		read_break(line, "found '%s': expected '}' for the block that begins in line %d",
			   name, block->line);
		return;
	}
	if (strcmp(name, "include") == 0) {
		config_error(reader.context, line,
			     "found 'include': a configuration is one file, the same on every "
			     "node; there is no include");
		return;
	}
	for (int i = 0; block->keys[i].name; i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
					 block->keys[i].name);
	config_error(reader.context, line, "unknown key '%s' in %s: expected one of %s",
		     read_shown(name, shown), read_block_name(block, where), known);
}

static void read_no_equals(const char *name, int line)
{
	char shown[CONFIG_SHOWN_SIZE];

	if (read_find(reader.block->keys, name) >= 0)
		read_break(line, "'%s' is a value: expected %s = ...", name, name);
	else if (!read_value_forgotten(line))
		read_break(line, "found no '=' after '%s'", read_shown(name, shown));
}

/* A token where libconfuse has no use for it. A text is that only between the values of a list. */
static void read_unexpected(const char *token, int line)
{
	char shown[CONFIG_SHOWN_SIZE];
	const char *expected = strcmp(token, "}") == 0 ? "a value"
			       : strlen(token) == 1 && strchr("{}()=,", token[0])
				       ? "a key, or one value after each '=' or ','"
				       : "',' or '}' after a value of a list";

	read_break(line, "found '%s': expected %s", read_shown(token, shown), expected);
}

/* libconfuse's error function. */
static void read_report(cfg_t *section, const char *format, va_list arguments)
{
	const char *word = strstr(format, "'%s'") ? va_arg(arguments, const char *) : "";
	int line = section->line;
	char shown[CONFIG_SHOWN_SIZE];

	if (reader.context->broken)
		return;
	if (strncmp(format, "no such option", 14) == 0 ||
	    strncmp(format, "no sub-section", 14) == 0)
		read_unknown(word, line);
	else if (strncmp(format, "missing equal sign", 18) == 0)
		read_no_equals(word, line);
	else if (strncmp(format, "missing title", 13) == 0)
		read_break(line, "'%s' is a block with a name: expected %s \"name\" { ... }", word,
			   word);
	else if (strncmp(format, "missing opening brace", 21) == 0)
		read_break(line, "'%s' is a block: expected '{' after its name", word);
	else if (strncmp(format, "unexpected token", 16) == 0)
		read_unexpected(word, line);
	else if (strncmp(format, "unexpected closing", 18) == 0)
		read_break(line, "found '}': expected a key, or the beginning of a block");
	else if (strncmp(format, "premature end", 13) == 0)
		read_break(line, "found the end of the file: expected a value, or a block");
	else
		read_break(line, "cannot be read: %s '%s'", format, read_shown(word, shown));
}

/* ---- blocks and values ---- */

static struct config_block *read_block_new(const struct config_key *keys, const char *kind,
					   const char *title, int line)
{
	struct config_block *block = config_tree_alloc(reader.context->tree, 1, sizeof(*block));

	block->keys = keys;
	block->kind = kind;
	block->title = config_tree_text(reader.context->tree, title);
	block->line = line;
	block->parent = reader.block;
	return block;
}

/* A block begins. An error here would make libconfuse abort(), so that it is told at the next key.
 */
static int read_begin(cfg_t *section, cfg_opt_t *option, const char *value, void *result)
{
	struct config_block *outer = reader.block, *block, **end = &outer->first;
	int index = read_find(outer->keys, section->name);
	char shown[CONFIG_SHOWN_SIZE];

	*(const char **)result = value;
	reader.last = NULL;
	if (section == reader.section || index < 0 || !outer->keys[index].section) {
		/* the key itself was set, or "service=mail|resource", libconfuse's way into
		 * another block */
		read_unknown(section == reader.section ? option->name : section->name,
			     section->line);
		reader.context->broken = true;
		return 0;
	}
	block = read_block_new(outer->keys[index].section, outer->keys[index].name, section->title,
			       section->line);
	reader.block = block;
	reader.section = section;
	for (; *end; end = &(*end)->next) {
		if ((*end)->keys != block->keys || strcmp((*end)->title, block->title) != 0)
			continue;
		/* libconfuse puts it in the place of the first; here it is checked, and left out */
		config_error(reader.context, block->line,
			     "%s \"%s\" is there twice: the first is in line %d", block->kind,
			     read_shown(block->title, shown), (*end)->line);
		block->twice = true;
		return 0;
	}
	*end = block;
	return 0;
}

static struct config_setting *read_setting(const cfg_t *section, const cfg_opt_t *option)
{
	size_t index = (size_t)(option - section->opts);

	/* another block's, see read_begin() */
	if (option < section->opts || index >= CONFIG_KEYS_MAX ||
	    read_find(reader.block->keys, option->name) != (int)index)
		return NULL;
	return &reader.block->settings[index];
}

/* A value was read. */
static int read_value(cfg_t *section, cfg_opt_t *option, const char *text, void *result)
{
	struct config_setting *setting = read_setting(section, option);
	struct config_value *value;
	char shown[CONFIG_SHOWN_SIZE];

	*(const char **)result = text;
	if (reader.context->broken)
		return -1;
	if (!setting) {
		read_unknown(option->name, section->line);
		reader.context->broken = true;
		return -1;
	}
	/* libconfuse drops the values before when the key is there again */
	if (option->nvalues == 1 && setting->first) {
		config_error(reader.context, section->line,
			     "'%s' is set twice: expected it once, it is set in line %d",
			     option->name, setting->first->line);
		setting->twice = true;
	}
	if (!text_is_clean(text))
		config_error(reader.context, section->line,
			     "%s: found '%s', which holds a control character or is no UTF-8: "
			     "expected text that can be shown",
			     option->name, read_shown(text, shown));
	value = config_tree_alloc(reader.context->tree, 1, sizeof(*value));
	value->text = config_tree_text(reader.context->tree, text);
	value->line = section->line;
	reader.last = reader.block->keys[setting - reader.block->settings].list ? NULL : value;
	if (setting->twice)
		return 0;
	if (setting->last)
		setting->last->next = value;
	else
		setting->first = value;
	setting->last = value;
	setting->count++;
	return 0;
}

/* Called after each value, and once more at the brace that ends a list. */
static int read_valid(cfg_t *section, cfg_opt_t *option)
{
	struct config_setting *setting = read_setting(section, option);

	if (!setting || setting->twice)
		return 0;
	if (++setting->seen > setting->count &&
	    !reader.block->keys[setting - reader.block->settings].list)
		config_error(reader.context, section->line, "'%s' has one value: found a list",
			     option->name);
	return 0;
}

/* What a block that ended does not have. */
static void read_missing(const cfg_t *section, const struct config_block *block, int line)
{
	char where[2 * CONFIG_SHOWN_SIZE];

	for (size_t i = 0; block->keys[i].name; i++) {
		const struct config_key *key = &block->keys[i];
		bool seen = key->section ? section->opts[i].nvalues > 0
					 : block->settings[i].first != NULL;

		if (!key->section && !seen && (section->opts[i].flags & CFGF_MODIFIED))
			config_error(reader.context, line,
				     "'%s' is an empty list: expected at least one value",
				     key->name);
		else if (key->required && !seen)
			config_error(reader.context, block->line, "%s has no '%s': expected %s",
				     read_block_name(block, where), key->name,
				     key->section ? "at least one" : "it to be set");
	}
	for (const cfg_opt_t *option = section->opts; option->name; option++)
		if (!option->name[0])
			config_error(reader.context, line, "found a key without a name in %s",
				     read_block_name(block, where));
}

/* A block ends. */
static int read_end(cfg_t *section, cfg_opt_t *option)
{
	struct config_block *block = reader.block;

	if (reader.context->broken)
		return -1;
	read_missing(cfg_opt_gettsec(option, block->title), block, section->line);
	reader.block = block->parent;
	reader.section = section;
	reader.last = NULL;
	return 0;
}

/* libconfuse's table from ours. Freed by read_options_free(). */
static cfg_opt_t *read_options(const struct config_key *keys)
{
	cfg_opt_t *options, end = CFG_END(), begin = CFG_STR(READ_BEGIN_KEY, NULL, CFGF_NONE);
	size_t count = 0;

	while (keys[count].name)
		count++;
	options = calloc(count + 2, sizeof(*options));
	if (!options)
		abort();
	for (size_t i = 0; i < count; i++) {
		cfg_opt_t value = CFG_STR_LIST(keys[i].name, NULL, CFGF_NONE),
			  section = CFG_SEC(keys[i].name, NULL,
					    CFGF_MULTI | CFGF_TITLE | CFGF_KEYSTRVAL);

		options[i] = keys[i].section ? section : value;
		if (keys[i].section)
			options[i].subopts = read_options(keys[i].section);
		else
			options[i].parsecb = read_value;
		options[i].validcb = keys[i].section ? read_end : read_valid;
	}
	begin.def.parsed = "x";
	begin.parsecb = read_begin;
	options[count] = keys == config_keys_top ? end : begin;
	options[count + 1] = end;
	return options;
}

static void read_options_free(cfg_opt_t *options)
{
	for (cfg_opt_t *option = options; option->name; option++)
		if (option->type == CFGT_SEC)
			read_options_free(option->subopts);
	free(options);
}

const struct config_block *config_read(struct config_context *context, const char *text)
{
	cfg_opt_t *options = read_options(config_keys_top);
	cfg_t *file;
	struct config_block *block;
	int result;

	memset(&reader, 0, sizeof(reader));
	reader.context = context;
	reader.block = block = read_block_new(config_keys_top, "file", "", 0);
	file = cfg_init(options, CFGF_KEYSTRVAL);
	if (!file)
		abort();
	cfg_set_error_function(file, read_report);
	result = cfg_parse_buf(file, text);
	if (result != CFG_SUCCESS && context->faults->errors == 0)
		config_error(context, file->line, "cannot be read: libconfuse gave no reason");
	if (result != CFG_SUCCESS)
		context->broken = true;
	if (!context->broken)
		read_missing(file, block, 0);
	cfg_free(file);
	read_options_free(options);
	memset(&reader, 0, sizeof(reader));
	return block;
}
