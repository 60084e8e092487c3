/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The outline of a configuration file, pure. libconfuse stops at the first thing that it does not
 * know, replaces
 * `${NAME}` from the environment, skips characters that it has no use for, and takes the later of
 * two settings without a word. So the file is cut into tokens here first, held against the table of
 * keys, and only what fits is handed on, each token on its own line, so that libconfuse's line
 * numbers are the file's.
 */
#include "cluster/config/private.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_SEEN_MAX 32 /* keys of one block; more than any table has */

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

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,   /* without quotes */
	TOKEN_STRING, /* with its quotes */
	TOKEN_MARK,   /* one of { } = , ( ) + where + stands for += */
};

struct token {
	const char *text;
	size_t length;
	int line;
	enum token_kind kind;
	char mark;
	bool dropped;
	int opens; /* '{' of a section: the line where the section's name is */
};

struct tokens {
	struct token *list; /* ends with TOKEN_END */
	size_t count, size;
};

struct scanner {
	struct config_context *context;
	const char *next, *end;
	int line;
};

static bool token_is(const struct token *token, char mark)
{
	return token->kind == TOKEN_MARK && token->mark == mark;
}

static bool token_is_text(const struct token *token)
{
	return token->kind == TOKEN_WORD || token->kind == TOKEN_STRING;
}

/* The text of a word or string without its quotes. */
static const char *token_inner(const struct token *token, size_t *length)
{
	size_t quotes = token->kind == TOKEN_STRING ? 1 : 0;

	*length = token->length - 2 * quotes;
	return token->text + quotes;
}

static const char *token_shown(const struct token *token, char buffer[CONFIG_SHOWN_SIZE])
{
	size_t length;
	const char *text;

	if (token->kind == TOKEN_END)
		return "the end of the file";
	text = token_inner(token, &length);
	return config_shown(text, length, buffer);
}

static void token_add(struct tokens *tokens, struct token token)
{
	if (tokens->count == tokens->size) {
		tokens->size = tokens->size ? 2 * tokens->size : 256;
		tokens->list = realloc(tokens->list, tokens->size * sizeof(*tokens->list));
		if (!tokens->list)
			abort();
	}
	tokens->list[tokens->count++] = token;
}

static bool scan_is_word(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !strchr("#\"'={}(),+", c);
}

static void scan_skip_block_comment(struct scanner *scan)
{
	int line = scan->line;

	for (scan->next += 2; scan->next < scan->end; scan->next++) {
		if (*scan->next == '\n')
			scan->line++;
		if (scan->next[0] == '*' && scan->end - scan->next > 1 && scan->next[1] == '/') {
			scan->next += 2;
			return;
		}
	}
	config_error(scan->context, line, "comment is not ended: expected '*/'");
	scan->context->broken = true;
}

/* Blanks and comments. */
static void scan_skip(struct scanner *scan)
{
	while (scan->next < scan->end) {
		char c = *scan->next, second = scan->end - scan->next > 1 ? scan->next[1] : '\0';

		if (c == '\n') {
			scan->line++;
			scan->next++;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			scan->next++;
		} else if (c == '#' || (c == '/' && second == '/')) {
			while (scan->next < scan->end && *scan->next != '\n')
				scan->next++;
		} else if (c == '/' && second == '*') {
			scan_skip_block_comment(scan);
		} else {
			return;
		}
	}
}

/* An escape in "..." that makes a zero byte would cut the value in silence. */
static bool scan_escape_is_zero(const char *text, const char *end)
{
	int digits = 0;

	if (end - text < 2)
		return false;
	if (text[1] == 'x') {
		for (text += 2; text < end && digits < 2 && *text == '0'; text++)
			digits++;
		return digits > 0 &&
		       (digits == 2 || text == end || !strchr("123456789abcdefABCDEF", *text));
	}
	for (text += 1; text < end && digits < 3 && *text == '0'; text++)
		digits++;
	return digits > 0 && (digits == 3 || text == end || *text < '1' || *text > '7');
}

static void scan_refuse_variable(struct scanner *scan)
{
	config_error(scan->context, scan->line,
		     "found '${': variables are not replaced, because a configuration must not "
		     "depend on the "
		     "environment; write the value, or in single quotes a text that really "
		     "contains '${'");
}

static struct token scan_string(struct scanner *scan)
{
	char quote = *scan->next;
	struct token token = {scan->next, 0, scan->line, TOKEN_STRING, 0, false, 0};

	for (scan->next++; scan->next < scan->end && *scan->next != quote && *scan->next != '\n';
	     scan->next++) {
		char second = scan->end - scan->next > 1 ? scan->next[1] : '\0';

		if (quote == '"' && *scan->next == '$' && second == '{')
			scan_refuse_variable(scan);
		if (*scan->next == '\0')
			config_error(scan->context, scan->line,
				     "found a zero byte in a text: no value can hold one");
		if (*scan->next != '\\' || scan->end - scan->next < 2)
			continue;
		if (quote == '"' && scan_escape_is_zero(scan->next, scan->end))
			config_error(scan->context, scan->line,
				     "found an escape for a zero byte: no value can hold one");
		scan->next++;
		if (second == '\n')
			scan->line++;
		if (second == '\0')
			config_error(scan->context, scan->line,
				     "found a zero byte in a text: no value can hold one");
	}
	/* libconfuse would take line after line up to the next quote, and blame that one. */
	if (scan->next >= scan->end || *scan->next == '\n') {
		config_error(scan->context, scan->line,
			     "text is not ended: expected a closing %c in the same line; nothing "
			     "after it was checked",
			     quote);
		scan->context->broken = true;
		token.kind = TOKEN_END;
		return token;
	}
	scan->next++;
	token.length = (size_t)(scan->next - token.text);
	return token;
}

/* Reports a character that has no meaning here and goes past it. */
static void scan_refuse_character(struct scanner *scan)
{
	unsigned char c = (unsigned char)*scan->next++;
	char shown[8] = {0};

	if (c > ' ' && c < 0x7f)
		snprintf(shown, sizeof(shown), "'%c', ", c);
	config_error(scan->context, scan->line,
		     "found the character %s%02xh: expected a name, a value (in quotes if in "
		     "doubt), or one of "
		     "= { } ,",
		     shown, c);
}

static struct token scan_word(struct scanner *scan)
{
	struct token token = {scan->next, 0, scan->line, TOKEN_WORD, 0, false, 0};

	while (scan->next < scan->end && scan_is_word(*scan->next)) {
		const char *close = NULL;

		if (*scan->next++ != '$' || scan->next >= scan->end || *scan->next != '{')
			continue;
		scan_refuse_variable(scan);
		close = memchr(scan->next, '}', (size_t)(scan->end - scan->next));
		if (close && !memchr(scan->next, '\n', (size_t)(close - scan->next)) &&
		    !memchr(scan->next, '\'', (size_t)(close - scan->next)))
			scan->next = close + 1;
	}
	token.length = (size_t)(scan->next - token.text);
	return token;
}

static struct token scan_token(struct scanner *scan)
{
	for (scan_skip(scan); scan->next < scan->end; scan_skip(scan)) {
		struct token mark = {scan->next, 1, scan->line, TOKEN_MARK, *scan->next, false, 0};

		if (mark.mark == '"' || mark.mark == '\'')
			return scan_string(scan);
		if (scan_is_word(mark.mark))
			return scan_word(scan);
		if (mark.mark == '+' && scan->end - scan->next > 1 && scan->next[1] == '=')
			mark.length = 2;
		if (mark.length == 2 || (mark.mark != '\0' && strchr("{}=,()", mark.mark))) {
			scan->next += mark.length;
			return mark;
		}
		scan_refuse_character(scan);
	}
	return (struct token){scan->end, 0, scan->line, TOKEN_END, 0, false, 0};
}

static void scan_all(struct config_context *context, const char *text, size_t length,
		     struct tokens *tokens)
{
	struct scanner scan = {context, text, text + length, 1};

	do {
		token_add(tokens, scan_token(&scan));
	} while (tokens->list[tokens->count - 1].kind != TOKEN_END);
}

/* ---- outline ---- */

struct outline {
	struct config_context *context;
	struct tokens *tokens;
	size_t at, depth;
	/* What is there has no form that could be gone past: only tokens before `cut` count, and
	 * cut_depth blocks are open there. */
	bool stop;
	size_t cut, cut_depth;
};

struct title {
	const struct config_key *keys; /* of the kind of section */
	const char *text;
	size_t length;
	int line;
};

/* One block: the file, or a section. */
struct block {
	const struct config_key *keys;
	const char *kind; /* "service", or "" for the file */
	char name[CONFIG_SHOWN_SIZE];
	int line;
	int seen[CONFIG_SEEN_MAX]; /* line where keys[i] was first set */
	struct title *titles;
	size_t title_count, title_size;
};

static struct token *outline_token(struct outline *outline, size_t ahead)
{
	size_t last = outline->tokens->count - 1, at = outline->at + ahead;

	return &outline->tokens->list[at < last ? at : last];
}

/* "service "mail"", or "the file". */
static const char *block_name(const struct block *block, char *buffer, size_t size)
{
	if (block->kind[0])
		snprintf(buffer, size, "%s \"%s\"", block->kind, block->name);
	else
		snprintf(buffer, size, "the file");
	return buffer;
}

static void outline_break(struct outline *outline, const struct token *found, const char *expected)
{
	char shown[CONFIG_SHOWN_SIZE];

	if (!outline->context->broken)
		config_error(outline->context, found->line,
			     "found %s%s%s: expected %s; nothing after it was checked",
			     found->kind == TOKEN_END ? "" : "'", token_shown(found, shown),
			     found->kind == TOKEN_END ? "" : "'", expected);
	outline->context->broken = true;
	outline->stop = true;
}

static void outline_drop(struct outline *outline, size_t first)
{
	for (size_t i = first; i < outline->at; i++)
		outline->tokens->list[i].dropped = true;
}

static int outline_find(const struct config_key *keys, const struct token *token)
{
	size_t length;
	const char *text = token_inner(token, &length);

	for (int i = 0; keys[i].name; i++)
		if (strlen(keys[i].name) == length && memcmp(keys[i].name, text, length) == 0)
			return i;
	return -1;
}

/* Past `= value` or `= { value, ... }`. Returns the number of values, or -1 when it broke off. */
static int outline_values(struct outline *outline, const struct block *block, bool *braces)
{
	struct token *token = outline_token(outline, 1);
	int count = 0;

	*braces = token_is(token, '{');
	if (!*braces) {
		/* `cluster =` and then a new line that begins something else */
		struct token *next = outline_token(outline, 2);
		bool forgotten =
			token->kind == TOKEN_WORD && outline_find(block->keys, token) >= 0 &&
			(token_is(next, '=') || token_is(next, '{') || next->kind == TOKEN_STRING);

		if (!token_is_text(token) || forgotten) {
			outline_break(outline, token, "a value after '='");
			return -1;
		}
		outline->at += 2;
		return 1;
	}
	for (outline->at += 2;; outline->at++) {
		token = outline_token(outline, 0);
		if (token_is(token, '}'))
			break;
		if (!token_is_text(token)) {
			outline_break(outline, token, "a value in the list, or '}' at its end");
			return -1;
		}
		count++;
		outline->at++;
		token = outline_token(outline, 0);
		if (token_is(token, '}'))
			break;
		if (!token_is(token, ',')) {
			outline_break(outline, token, "',' or '}' after a value of a list");
			return -1;
		}
	}
	outline->at++;
	return count;
}

/* Past a balanced { ... }; at its opening brace. */
static void outline_skip_braces(struct outline *outline)
{
	const struct token *open = outline_token(outline, 0);
	size_t depth = 0;

	do {
		const struct token *token = outline_token(outline, 0);

		if (token->kind == TOKEN_END) {
			outline_break(outline, open, "a '}' for this '{'");
			return;
		}
		if (token_is(token, '{'))
			depth++;
		else if (token_is(token, '}'))
			depth--;
		outline->at++;
	} while (depth > 0);
}

static void outline_unknown(struct outline *outline, const struct block *block,
			    const struct token *token)
{
	char shown[CONFIG_SHOWN_SIZE], where[2 * CONFIG_SHOWN_SIZE], known[400] = "";
	size_t used = 0, length;
	const char *text = token_inner(token, &length);

	if (length == 7 && memcmp(text, "include", 7) == 0) {
		config_error(outline->context, token->line,
			     "found 'include': a configuration is one file, the same on every "
			     "node; there is no include");
		return;
	}
	for (int i = 0; block->keys[i].name; i++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
					 block->keys[i].name);
	config_error(outline->context, token->line, "unknown key '%s' in %s: expected one of %s",
		     token_shown(token, shown), block_name(block, where, sizeof(where)), known);
}

/* A setting: name = value. `key` is NULL when it is not known. */
static void outline_setting(struct outline *outline, struct block *block, int index)
{
	const struct config_key *key = index >= 0 ? &block->keys[index] : NULL;
	struct token *name = outline_token(outline, 0), *sign = outline_token(outline, 1);
	size_t first = outline->at;
	bool braces, drop = true;
	int count;

	outline->at++;
	count = outline_values(outline, block, &braces);
	/* outline_values() stands on the sign; what it went past belongs to this setting */
	if (count < 0)
		outline->at = first;
	else if (!key)
		outline_unknown(outline, block, name);
	else if (key->section)
		config_error(outline->context, name->line,
			     "'%s' is a block: expected %s \"name\" { ... }", key->name, key->name);
	else if (block->seen[index])
		config_error(outline->context, name->line,
			     "'%s' is set twice: expected it once, it is set in line %d", key->name,
			     block->seen[index]);
	else if (sign->mark == '+')
		config_error(outline->context, name->line,
			     "found '+=': expected all values in one list, %s = { ... }",
			     key->name);
	else if (braces && !key->list)
		config_error(outline->context, name->line, "'%s' has one value: found a list",
			     key->name);
	else if (count == 0)
		config_error(outline->context, name->line,
			     "'%s' is an empty list: expected at least one value", key->name);
	else
		drop = false;
	if (key && !key->section && !block->seen[index])
		block->seen[index] = name->line;
	if (drop)
		outline_drop(outline, first);
}

static bool outline_title_known(struct outline *outline, struct block *block,
				const struct config_key *key, const struct token *token)
{
	struct title title = {.keys = key->section, .line = token->line};
	char shown[CONFIG_SHOWN_SIZE];

	title.text = token_inner(token, &title.length);
	for (size_t i = 0; i < block->title_count; i++) {
		const struct title *other = &block->titles[i];

		if (other->keys != title.keys || other->length != title.length ||
		    memcmp(other->text, title.text, title.length) != 0)
			continue;
		config_error(outline->context, token->line,
			     "%s \"%s\" is there twice: the first is in line %d", key->name,
			     token_shown(token, shown), other->line);
		return true;
	}
	if (block->title_count == block->title_size) {
		block->title_size = block->title_size ? 2 * block->title_size : 16;
		block->titles = realloc(block->titles, block->title_size * sizeof(*block->titles));
		if (!block->titles)
			abort();
	}
	block->titles[block->title_count++] = title;
	return false;
}

static void outline_block(struct outline *outline, struct block *block);

/* A section that is known, on its name. */
static void outline_section(struct outline *outline, struct block *block, int index)
{
	const struct config_key *key = &block->keys[index];
	const struct token *name = outline_token(outline, 0), *title = outline_token(outline, 1);
	struct block inner = {.keys = key->section, .kind = key->name, .line = name->line};
	size_t first = outline->at;
	bool drop = false;

	if (!block->seen[index])
		block->seen[index] = name->line;
	if (token_is(title, '{')) {
		config_error(outline->context, name->line,
			     "'%s' has no name: expected %s \"name\" { ... }", key->name,
			     key->name);
		outline->at++;
		drop = true;
	} else if (!token_is(outline_token(outline, 2), '{')) {
		outline_break(outline, outline_token(outline, 2), "'{' after the name of a block");
		return;
	} else {
		drop = outline_title_known(outline, block, key, title);
		snprintf(inner.name, sizeof(inner.name), "%s",
			 token_shown(title, (char[CONFIG_SHOWN_SIZE]){0}));
		outline->at += 2;
	}
	if (drop) {
		outline_skip_braces(outline);
		outline_drop(outline, first);
		return;
	}
	outline_token(outline, 0)->opens = name->line;
	outline->at++;
	outline->depth++;
	outline_block(outline, &inner);
	outline->depth--;
	free(inner.titles);
}

/* A name of a section or something else that is not known, with braces or a parenthesis. False: no
 * such form. */
static bool outline_foreign(struct outline *outline, const struct block *block, int index)
{
	struct token *name = outline_token(outline, 0);
	size_t first = outline->at;
	bool titled = token_is_text(outline_token(outline, 1)) &&
		      token_is(outline_token(outline, 2), '{');

	if (token_is(outline_token(outline, 1), '(')) {
		while (!token_is(outline_token(outline, 0), ')')) {
			if (outline_token(outline, 0)->kind == TOKEN_END)
				return false;
			outline->at++;
		}
		outline->at++;
	} else if (titled || token_is(outline_token(outline, 1), '{')) {
		outline->at += titled ? 2 : 1;
		outline_skip_braces(outline);
	} else {
		return false;
	}
	if (index >= 0)
		config_error(outline->context, name->line, "'%s' is a value: expected %s = ...",
			     block->keys[index].name, block->keys[index].name);
	else
		outline_unknown(outline, block, name);
	outline_drop(outline, first);
	return true;
}

/* The first to call it after a break is the innermost. */
static void outline_cut(struct outline *outline, size_t at)
{
	if (!outline->stop || outline->cut != SIZE_MAX)
		return;
	outline->cut = at;
	outline->cut_depth = outline->depth;
}

static void outline_statement(struct outline *outline, struct block *block)
{
	struct token *name = outline_token(outline, 0), *next = outline_token(outline, 1);
	size_t first = outline->at;
	int index = token_is_text(name) ? outline_find(block->keys, name) : -1;
	int outer = token_is_text(name) ? outline_find(config_keys_top, name) : -1;
	char shown[CONFIG_SHOWN_SIZE], expected[CONFIG_SHOWN_SIZE + 40];

	if (index < 0 && outer >= 0 && config_keys_top[outer].section && token_is_text(next) &&
	    token_is(outline_token(outline, 2), '{')) {
		snprintf(expected, sizeof(expected), "'}' for the block that begins in line %d",
			 block->line);
		outline_break(outline, name, expected);
	} else if (!token_is_text(name)) {
		outline_break(outline, name,
			      block->kind[0] ? "a key of the block, or '}' at its end"
					     : "a key, or the beginning of a block");
	} else if (token_is(next, '=') || token_is(next, '+')) {
		outline_setting(outline, block, index);
	} else if (index >= 0 && block->keys[index].section &&
		   (token_is_text(next) || token_is(next, '{'))) {
		outline_section(outline, block, index);
	} else if (!outline_foreign(outline, block, index)) {
		snprintf(expected, sizeof(expected), "'=' or a block after '%s'",
			 token_shown(name, shown));
		outline_break(outline, next, expected);
	}
	outline_cut(outline, first);
}

/* Up to and past the block's closing brace, or to the end of the file. */
static void outline_block(struct outline *outline, struct block *block)
{
	char where[2 * CONFIG_SHOWN_SIZE];

	while (!outline->stop) {
		struct token *token = outline_token(outline, 0);

		if (token->kind == TOKEN_END && block->kind[0]) {
			snprintf(where, sizeof(where), "'}' for the block that begins in line %d",
				 block->line);
			outline_break(outline, token, where);
			outline_cut(outline, outline->at);
		} else if (token->kind == TOKEN_END) {
			break;
		} else if (token_is(token, '}') && block->kind[0]) {
			outline->at++;
			break;
		} else {
			outline_statement(outline, block);
		}
	}
	if (outline->context->broken)
		return;
	for (int i = 0; block->keys[i].name; i++)
		if (block->keys[i].required && !block->seen[i])
			config_error(outline->context, block->line, "%s has no '%s': expected %s",
				     block_name(block, where, sizeof(where)), block->keys[i].name,
				     block->keys[i].section ? "at least one" : "it to be set");
}

/* ---- what is handed on ---- */

/* A word is quoted, so that libconfuse's lexer finds no comment and no variable in it. */
static void outline_emit(FILE *out, const struct token *token, int *line)
{
	bool plain = token->kind == TOKEN_WORD, escaped = false;

	for (; *line < token->line; ++*line)
		fputc('\n', out);
	fputs(plain ? " '" : " ", out);
	for (size_t i = 0; i < token->length; i++) {
		char c = token->text[i];

		/* a variable was refused, and what it stands for must not show up in the next
		 * message */
		if ((plain && c == '\\') ||
		    (!plain && c == '$' && !escaped && token->text[0] == '"'))
			fputc('\\', out);
		fputc(c ? c : '?', out); /* libconfuse would stop at a zero byte */
		escaped = c == '\\' && !escaped;
		*line += c == '\n';
	}
	if (plain)
		fputc('\'', out);
	/* libconfuse remembers where a section ends, but not where it begins. */
	if (token->opens)
		fprintf(out, " '" CONFIG_LINE_KEY "' = '%d'", token->opens);
}

char *config_outline(struct config_context *context, const char *text, size_t length)
{
	struct tokens tokens = {0};
	struct outline outline = {.context = context, .tokens = &tokens, .cut = SIZE_MAX};
	struct block file = {.keys = config_keys_top, .kind = ""};
	char *clean = NULL;
	size_t clean_length;
	int line = 1;
	FILE *out;

	scan_all(context, text, length, &tokens);
	outline_block(&outline, &file);
	free(file.titles);
	out = open_memstream(&clean, &clean_length);
	if (!out)
		abort();
	for (size_t i = 0; i < tokens.count && i < outline.cut && tokens.list[i].kind != TOKEN_END;
	     i++)
		if (!tokens.list[i].dropped)
			outline_emit(out, &tokens.list[i], &line);
	for (size_t i = 0; outline.stop && i < outline.cut_depth; i++)
		fputs(" }", out);
	fputs("\n", out);
	fclose(out);
	free(tokens.list);
	return clean;
}
