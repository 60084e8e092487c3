/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parser of options and arguments, the help that is made from the same tables, and the dispatch
 * from a table of commands. Values are checked here, so that commands see good ones only.
 */
#include "tools/cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/core/key.h"

#define CLI_MESSAGE_MAX 300
#define CLI_WORD_MAX 64
#define CLI_HELP_INDENT 24
#define CLI_GIVEN_MAX 128 /* options of one command line */

/* Words in a line, with the quoting of a shell. */

static char *cli_split_word(const char **line, char *out, bool *open_quote)
{
	const char *at = *line;
	char quote = '\0';

	for (; *at && (quote || !isspace((unsigned char)*at)); at++) {
		if (quote && *at == quote)
			quote = '\0';
		else if (!quote && (*at == '\'' || *at == '"'))
			quote = *at;
		else if (*at == '\\' && quote != '\'' && at[1])
			*out++ = *++at;
		else
			*out++ = *at;
	}
	*out++ = '\0';
	*open_quote = quote != '\0';
	*line = at;
	return out;
}

char **cli_split(const char *line, int *argc)
{
	size_t length = strlen(line);
	size_t slots = length / 2 + 2;
	char **words = malloc(slots * sizeof(*words) + length + 2);
	char *text = words ? (char *)(words + slots) : NULL;
	bool open_quote = false;
	int count = 0;

	if (!words)
		return NULL;
	for (;;) {
		while (isspace((unsigned char)*line))
			line++;
		if (!*line)
			break;
		words[count++] = text;
		text = cli_split_word(&line, text, &open_quote);
	}
	if (open_quote) {
		free(words);
		errno = EINVAL;
		return NULL;
	}
	words[count] = NULL;
	if (argc)
		*argc = count;
	return words;
}

/* Values. */

int cli_parse_duration(const char *text, uint32_t *milliseconds)
{
	static const struct {
		const char *unit;
		double factor;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}};
	char *end;
	double value;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	value = strtod(text, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		value *= units[i].factor;
		if (!(value <= 4294967295.0))
			return -ERANGE;
		*milliseconds = (uint32_t)(value + 0.5);
		return 0;
	}
	return -EINVAL;
}

uint64_t cli_parse_size(const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	uint64_t value;
	const char *unit;
	unsigned shift;

	if (!isdigit((unsigned char)*text))
		return 0;
	value = strtoull(text, &end, 10);
	if (!*end)
		return value;
	unit = strchr(units, toupper((unsigned char)*end));
	if (!unit || end[1])
		return 0;
	shift = 10 * (unsigned)(unit - units + 1);
	return value > UINT64_MAX >> shift ? 0 : value << shift;
}

static int cli_parse_unsigned(const char *text, struct cli_number *number)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number->value = strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end)
		return -EINVAL;
	number->given = true;
	return 0;
}

static int cli_store(const struct cli_option *option, const char *value, char *message, size_t size)
{
	const char *wanted = NULL;

	switch (option->kind) {
	case CLI_OPTION_HEADING:
	case CLI_OPTION_FLAG:
		*(bool *)option->value = true;
		return 0;
	case CLI_OPTION_STRING:
		*(const char **)option->value = value;
		return 0;
	case CLI_OPTION_UNSIGNED:
		if (cli_parse_unsigned(value, option->value))
			wanted = "a number";
		break;
	case CLI_OPTION_DURATION:
		if (cli_parse_duration(value, option->value))
			wanted = "a time with its unit, like 500ms, 2s or 3m";
		break;
	case CLI_OPTION_KEY: {
		struct cli_number *key = option->value;

		if (key_parse(value, &key->value))
			wanted = "a reservation key, 1 to 16 hex digits";
		else
			key->given = true;
		break;
	}
	case CLI_OPTION_LIST: {
		struct cli_list *list = option->value;

		if (list->count == CLI_LIST_MAX) {
			snprintf(message, size, "--%s can be given %d times at most", option->name,
				 CLI_LIST_MAX);
			return -EINVAL;
		}
		list->items[list->count++] = value;
		return 0;
	}
	}
	if (!wanted)
		return 0;
	snprintf(message, size, "--%s wants %s, not \"%s\"", option->name, wanted, value);
	return -EINVAL;
}

/* Parsing. */

struct cli_parser {
	const struct cli_usage *usage;
	int argc;
	char **argv;
	int next;  /* the word to look at */
	int count; /* arguments found */
	bool help;
	const void *given[CLI_GIVEN_MAX]; /* the options' values */
	size_t given_count;
	char *message;
	size_t size;
};

static bool cli_option_ends(const struct cli_option *option)
{
	return !option->name && !option->letter &&
	       !(option->kind == CLI_OPTION_HEADING && option->help);
}

static void cli_unknown_option(struct cli_parser *parser, const char *name, size_t length)
{
	const char *names[128];
	char word[CLI_WORD_MAX];
	const char *nearest;
	size_t count = 0;

	for (const struct cli_option *o = parser->usage->options; o && !cli_option_ends(o); o++) {
		if (o->name && o->help && count < 127)
			names[count++] = o->name;
	}
	names[count] = NULL;
	snprintf(word, sizeof(word), "%.*s", (int)length, name);
	nearest = cli_nearest(word, names);
	if (nearest)
		snprintf(parser->message, parser->size, "unknown option --%s; did you mean --%s?",
			 word, nearest);
	else
		snprintf(parser->message, parser->size, "unknown option --%s", word);
}

/* Stores it, once: of two values for one thing it is not known which is meant. */
static int cli_take(struct cli_parser *parser, const struct cli_option *o, const char *value)
{
	for (size_t i = 0; o->kind != CLI_OPTION_LIST && i < parser->given_count; i++) {
		if (parser->given[i] != o->value)
			continue;
		if (o->name)
			snprintf(parser->message, parser->size, "--%s is given twice", o->name);
		else
			snprintf(parser->message, parser->size, "-%c is given twice", o->letter);
		return -EINVAL;
	}
	if (parser->given_count < CLI_GIVEN_MAX)
		parser->given[parser->given_count++] = o->value;
	return cli_store(o, value, parser->message, parser->size);
}

static int cli_parse_long(struct cli_parser *parser, const char *text)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : strlen(text);
	const struct cli_option *o;

	if (length == 4 && strncmp(text, "help", 4) == 0) {
		parser->help = true;
		return 0;
	}
	for (o = parser->usage->options; o && !cli_option_ends(o); o++) {
		if (o->name && strlen(o->name) == length && strncmp(o->name, text, length) == 0)
			break;
	}
	if (!o || cli_option_ends(o)) {
		cli_unknown_option(parser, text, length);
		return -EINVAL;
	}
	if (o->kind == CLI_OPTION_FLAG) {
		if (equals) {
			snprintf(parser->message, parser->size, "--%s takes no value", o->name);
			return -EINVAL;
		}
		return cli_take(parser, o, NULL);
	}
	if (equals)
		return cli_take(parser, o, equals + 1);
	if (parser->next >= parser->argc) {
		snprintf(parser->message, parser->size, "--%s needs %s", o->name,
			 o->argument ? o->argument : "a value");
		return -EINVAL;
	}
	return cli_take(parser, o, parser->argv[parser->next++]);
}

static int cli_parse_letters(struct cli_parser *parser, const char *text)
{
	for (; *text; text++) {
		const struct cli_option *o;

		if (*text == 'h') {
			parser->help = true;
			continue;
		}
		for (o = parser->usage->options; o && !cli_option_ends(o); o++) {
			if (o->letter == *text)
				break;
		}
		if (!o || cli_option_ends(o)) {
			snprintf(parser->message, parser->size, "unknown option -%c", *text);
			return -EINVAL;
		}
		if (o->kind == CLI_OPTION_FLAG) {
			if (cli_take(parser, o, NULL))
				return -EINVAL;
			continue;
		}
		if (text[1])
			return cli_take(parser, o, text + 1 + (text[1] == '='));
		if (parser->next >= parser->argc) {
			snprintf(parser->message, parser->size, "-%c needs %s", *text,
				 o->argument ? o->argument : "a value");
			return -EINVAL;
		}
		return cli_take(parser, o, parser->argv[parser->next++]);
	}
	return 0;
}

static int cli_parse_words(struct cli_parser *parser)
{
	bool options_ended = false;

	while (parser->next < parser->argc) {
		char *word = parser->argv[parser->next++];
		int error = 0;

		if (options_ended || word[0] != '-' || !word[1])
			parser->argv[1 + parser->count++] = word;
		else if (strcmp(word, "--") == 0)
			options_ended = true;
		else if (word[1] == '-')
			error = cli_parse_long(parser, word + 2);
		else
			error = cli_parse_letters(parser, word + 1);
		if (error)
			return error;
	}
	return 0;
}

/* Names the argument that comes after `given` ones: of "[OPTION...] SERVICE [NODE]" the words that
 * stand in no brackets. */
static void cli_missing(const struct cli_usage *usage, size_t given, char *message, size_t size)
{
	const char *at = usage->arguments ? usage->arguments : "";
	int depth = 0;

	while (*at) {
		size_t length = strcspn(at, " ");

		if (depth == 0 && *at != '[' && *at != ' ' && given-- == 0) {
			if (length > 3 && strncmp(at + length - 3, "...", 3) == 0)
				length -= 3;
			snprintf(message, size, "%.*s is missing", (int)length, at);
			return;
		}
		for (; length > 0; length--, at++)
			depth += (*at == '[') - (*at == ']');
		at += *at == ' ';
	}
	snprintf(message, size, "an argument is missing");
}

int cli_parse_quiet(const struct cli_usage *usage, int argc, char **argv, int *count, char *message,
		    size_t size)
{
	struct cli_parser parser = {
		.usage = usage,
		.argc = argc,
		.argv = argv,
		.next = 1,
		.message = message,
		.size = size,
	};

	if (cli_parse_words(&parser))
		return CLI_EXIT_USAGE;
	*count = parser.count;
	if (parser.help)
		return CLI_EXIT_OK;
	if ((size_t)parser.count < usage->arguments_min) {
		cli_missing(usage, (size_t)parser.count, message, size);
		return CLI_EXIT_USAGE;
	}
	if ((size_t)parser.count > usage->arguments_max) {
		snprintf(message, size, "\"%s\" is one argument too many",
			 argv[1 + usage->arguments_max]);
		return CLI_EXIT_USAGE;
	}
	return -1;
}

int cli_parse(const struct cli_usage *usage, int argc, char **argv, int *count)
{
	char message[CLI_MESSAGE_MAX];
	int verdict = cli_parse_quiet(usage, argc, argv, count, message, sizeof(message));

	if (verdict == CLI_EXIT_OK) {
		cli_print_help(stdout, usage);
	} else if (verdict == CLI_EXIT_USAGE) {
		cli_error("%s", message);
		fprintf(stderr, "usage: %s %s\n`%s --help` tells more.\n", usage->command,
			usage->arguments ? usage->arguments : "", usage->command);
	}
	return verdict;
}

/* Help. */

/* Prints text from column `indent` on, broken before column 96; the cursor stands at `column`. */
static void cli_print_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
	while (*text) {
		size_t word = strcspn(text, " \n");

		if (column > indent && column + 1 + word > 96) {
			fputc('\n', out);
			column = 0;
		}
		if (column < indent) {
			fprintf(out, "%*s", (int)(indent - column), "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)word, text);
		column += word;
		text += word;
		if (*text == '\n') {
			fputc('\n', out);
			column = 0;
			text++;
		}
		while (*text == ' ')
			text++;
	}
	fputc('\n', out);
}

static void cli_print_option(FILE *out, const struct cli_option *o)
{
	char left[80];
	int used;

	if (o->kind == CLI_OPTION_HEADING) {
		fprintf(out, "\n%s%s%s\n", cli_colour(out, CLI_BOLD), o->help,
			cli_colour(out, CLI_PLAIN));
		return;
	}
	if (!o->help)
		return;
	used = snprintf(left, sizeof(left), "  %c%c%s%s%s%s%s", o->letter ? '-' : ' ',
			o->letter ? o->letter : ' ', o->letter && o->name ? ", " : "  ",
			o->name ? "--" : "", o->name ? o->name : "", o->argument ? " " : "",
			o->argument ? o->argument : "");
	fputs(left, out);
	if (used > CLI_HELP_INDENT + 2) {
		fputc('\n', out);
		used = 0;
	}
	cli_print_wrapped(out, o->help, (size_t)used, CLI_HELP_INDENT + 4);
}

void cli_print_help(FILE *out, const struct cli_usage *usage)
{
	bool headed = usage->options && !cli_option_ends(usage->options) &&
		      usage->options->kind == CLI_OPTION_HEADING;

	fprintf(out, "%susage:%s %s %s\n\n", cli_colour(out, CLI_BOLD), cli_colour(out, CLI_PLAIN),
		usage->command, usage->arguments ? usage->arguments : "");
	if (usage->summary)
		cli_print_wrapped(out, usage->summary, 0, 0);
	if (!headed)
		fprintf(out, "\n%sOptions%s\n", cli_colour(out, CLI_BOLD),
			cli_colour(out, CLI_PLAIN));
	for (const struct cli_option *o = usage->options; o && !cli_option_ends(o); o++)
		cli_print_option(out, o);
	fprintf(out, "  -h, --help");
	cli_print_wrapped(out, "this text", 12, CLI_HELP_INDENT + 4);
	if (usage->text)
		fprintf(out, "\n%s\n", usage->text);
}

/* Dispatch. */

static void cli_print_commands(FILE *out, const char *program, const char *intro,
			       const struct cli_command *commands, const char *outro)
{
	size_t width = 0;

	fprintf(out, "%s\n\n%susage:%s %s COMMAND [OPTION...] [ARGUMENT...]\n", intro,
		cli_colour(out, CLI_BOLD), cli_colour(out, CLI_PLAIN), program);
	for (const struct cli_command *c = commands; c->name; c++) {
		size_t length = strlen(c->name) + 1 + (c->arguments ? strlen(c->arguments) : 0);

		if (c->summary && length > width && length < 28)
			width = length;
	}
	for (const struct cli_command *c = commands; c->name; c++) {
		int used;

		if (!c->summary)
			continue;
		if (c->group)
			fprintf(out, "\n%s%s%s\n", cli_colour(out, CLI_BOLD), c->group,
				cli_colour(out, CLI_PLAIN));
		used = fprintf(out, "  %s %s", c->name, c->arguments ? c->arguments : "");
		if ((size_t)used + 1 > width + 4) {
			fputc('\n', out);
			used = 0;
		}
		cli_print_wrapped(out, c->summary, (size_t)used, width + 4);
	}
	if (outro)
		fprintf(out, "\n%s\n", outro);
}

static const struct cli_command *cli_find_command(const struct cli_command *commands,
						  const char *name)
{
	for (; commands->name; commands++) {
		if (strcmp(commands->name, name) == 0)
			return commands;
	}
	return NULL;
}

static int cli_unknown_command(const char *program, const struct cli_command *commands,
			       const char *name)
{
	const char *names[64];
	const char *nearest;
	size_t count = 0;

	for (; commands->name && count < 63; commands++) {
		if (commands->summary)
			names[count++] = commands->name;
	}
	names[count] = NULL;
	nearest = cli_nearest_command(name, names);
	cli_error("unknown command \"%s\"", name);
	if (nearest)
		cli_hint("did you mean `%s %s`?", program, nearest);
	else
		cli_hint("`%s --help` lists the commands", program);
	return CLI_EXIT_USAGE;
}

int cli_dispatch(const char *program, const char *intro, const struct cli_command *commands,
		 const char *outro, int argc, char **argv)
{
	static char help[] = "--help";
	const struct cli_command *command;
	char *help_argv[4] = {NULL, help, NULL, NULL};

	if (argc < 2) {
		cli_print_commands(stderr, program, intro, commands, outro);
		return CLI_EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("lunkeeper %s\n", LUNKEEPER_VERSION);
		return CLI_EXIT_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    (strcmp(argv[1], "help") == 0 && argc == 2)) {
		cli_print_commands(stdout, program, intro, commands, outro);
		return CLI_EXIT_OK;
	}
	if (strcmp(argv[1], "help") == 0) {
		command = cli_find_command(commands, argv[2]);
		if (!command)
			return cli_unknown_command(program, commands, argv[2]);
		help_argv[0] = argv[2];
		if (argc > 3) { /* help lun register */
			help_argv[1] = argv[3];
			help_argv[2] = help;
		}
		return command->run(argc > 3 ? 3 : 2, help_argv);
	}
	command = cli_find_command(commands, argv[1]);
	if (!command)
		return cli_unknown_command(program, commands, argv[1]);
	return command->run(argc - 1, argv + 1);
}
