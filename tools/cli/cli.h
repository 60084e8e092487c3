/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the commands of `lunkeeper` share: the table of commands, the exit statuses, the parser of
 * options with its help texts, and the output: aligned tables, colours on terminals, JSON,
 * progress. A command is int cmd_NAME(int argc, char **argv) with argv[0] its own name; it prints
 * what it has to say and returns an exit status.
 */
#ifndef TOOLS_CLI_CLI_H
#define TOOLS_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILED = 1,
	CLI_EXIT_USAGE = 2,
	CLI_EXIT_UNREACHABLE = 3, /* the daemon does not answer */
};

struct cli_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char
		*group; /* the heading it stands under in the help; NULL: that of the one before */
	const char *arguments; /* "DEVICE..." */
	const char *summary;   /* one line without a full stop; NULL: hidden */
};

/* Runs the command that argv[1] names; "help", --help, -h and --version are answered here; an
 * unknown name is refused with the nearest one suggested. program: "lunkeeper", "lunkeeper lun",
 * for messages. The table ends with a NULL name. */
int cli_dispatch(const char *program, const char *intro, const struct cli_command *commands,
		 const char *outro, int argc, char **argv);

/* Options: a table of them, ended by {0}. */
enum cli_option_kind {
	CLI_OPTION_HEADING,  /* no option: help is a heading in the help text */
	CLI_OPTION_FLAG,     /* bool *: true when given */
	CLI_OPTION_STRING,   /* const char ** */
	CLI_OPTION_UNSIGNED, /* struct cli_number *: decimal, or hex with 0x */
	CLI_OPTION_DURATION, /* uint32_t *, milliseconds: "500ms", "2s", "3m"; a bare number is
				refused */
	CLI_OPTION_KEY,      /* struct cli_number *: a reservation key, hex with or without 0x */
	CLI_OPTION_LIST,     /* struct cli_list *: may be given again and again */
};

struct cli_number {
	bool given;
	uint64_t value;
};

#define CLI_LIST_MAX 64
struct cli_list {
	size_t count;
	const char *items[CLI_LIST_MAX];
};

struct cli_option {
	const char *name; /* without the dashes; NULL: has a letter only */
	char letter;      /* 0: none */
	enum cli_option_kind kind;
	void *value;
	const char *argument; /* "NAME" in the help */
	const char *help;     /* NULL: hidden (an alias) */
};

struct cli_usage {
	const char *command;   /* "lunkeeper lun show" */
	const char *arguments; /* "[OPTION...] DEVICE..." */
	const char *summary;   /* what it does, a paragraph */
	const char *text;      /* shown below the options; may be NULL */
	const struct cli_option *options;
	size_t arguments_min, arguments_max; /* of what is no option */
};

/* Parses argv[1..]; what is no option is moved to the front of argv, in order, from argv[1] on, and
 * counted in *count. "--" ends the options. Returns -1 to go on, else the exit status to end with
 * (help was printed, or the usage was wrong and has been said). */
int cli_parse(const struct cli_usage *usage, int argc, char **argv, int *count);
/* The same, silent: instead of printing it writes one line to message. Returns -1, CLI_EXIT_OK
 * (help was asked for) or CLI_EXIT_USAGE. */
int cli_parse_quiet(const struct cli_usage *usage, int argc, char **argv, int *count, char *message,
		    size_t size);
void cli_print_help(FILE *out, const struct cli_usage *usage);
/* "500ms", "2s", "1.5s", "3m", "1h" to milliseconds. Returns 0 or -EINVAL (-ERANGE beyond 2^32). */
int cli_parse_duration(const char *text, uint32_t *milliseconds);
/* A point of time: so long before now ("10m", "2h", "1d", "1h30m"), "today", "yesterday", a date
 * ("2026-11-27"), a time of day ("14:30", "14:30:05": the last one that was), or a day and a time
 * ("yesterday 14:30", "2026-11-27T14:30"). Local time. *ms and now_ms: wall clock. Returns 0,
 * -EINVAL or -ERANGE. */
int cli_parse_since(const char *text, int64_t now_ms, int64_t *ms);
/* "512", "64K", "256M", "2G", "1T" to bytes; 0: no size, or beyond 2^64. */
uint64_t cli_parse_size(const char *text);
/* The name in the NULL-ended list that is most like `word`, or NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *names);
/* The same among commands. One that changes something is named only when the word is all but the
 * same, and a word that asks for something to be shown ("show", "why", "log") finds what shows it. */
const char *cli_nearest_command(const char *word, const char *const *names);

/* Splits a line into words as a shell does: blanks, '...', "...", \x. Words are malloc()ed in one
 * block with the NULL-ended array. *argc may be NULL. Returns NULL with errno EINVAL (open quote)
 * or ENOMEM. */
char **cli_split(const char *line, int *argc);

/* Messages to stderr: "lunkeeper: ..."; hints stand below what they belong to. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Colours: escape sequences, or "" when `out` is no terminal, NO_COLOR is set, or TERM is dumb. */
enum cli_colour {
	CLI_PLAIN,
	CLI_BOLD,
	CLI_DIM,
	CLI_GOOD,
	CLI_BAD,
	CLI_WARNING,
	CLI_NOTE,
	CLI_COLOURS,
};
const char *cli_colour(FILE *out, enum cli_colour colour);
/* True when the locale is UTF-8: line-drawing and dashes may be used. */
bool cli_utf8(void);
unsigned cli_width(void);  /* columns of stdout's terminal; 0: none */
unsigned cli_height(void); /* its lines; 0: none */
/* It is a terminal on which something can be written over. */
bool cli_redraws(FILE *out);
/* So much of the text as fits into so many columns (0: all); colours are ended in any case. */
void cli_print_clipped(FILE *out, const char *text, size_t length, size_t width);
/* Columns that a text takes, escape sequences not counted. */
size_t cli_text_width(const char *text);

/* A table: rows of cells, columns as wide as their widest cell, two blanks apart. */
struct cli_table;
#define CLI_TABLE_COLUMNS_MAX 16
/* headings: NULL-ended; a heading that begins with '>' is flushed right. NULL headings: no head
 * line, `columns` many. */
struct cli_table *cli_table_new(const char *const *headings, size_t columns);
void cli_table_row(struct cli_table *table);
/* The next cell of the row. */
void cli_table_cell(struct cli_table *table, enum cli_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A line below the row, of no column's width. */
void cli_table_note(struct cli_table *table, enum cli_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Columns are at least so wide, and widths becomes what they are: the next table has no narrower
 * ones. widths: CLI_TABLE_COLUMNS_MAX many, 0 at first; must stay. */
void cli_table_keep(struct cli_table *table, size_t *widths);
void cli_table_indent(struct cli_table *table, unsigned columns);
void cli_table_print(const struct cli_table *table, FILE *out);
void cli_table_free(struct cli_table *table);
size_t cli_table_rows(const struct cli_table *table);

/* Texts of values; each writes to buffer and returns it. */
const char *cli_size_text(uint64_t bytes, char *buffer, size_t size); /* "1.5 GiB" */
const char *cli_duration_text(uint64_t milliseconds, char *buffer,
			      size_t size); /* "120 ms", "3.2 s", "5 min" */
const char *cli_micros_text(uint64_t microseconds, char *buffer,
			    size_t size); /* "85 us", "1.20 ms", "2.1 s" */

/* Prints and frees a JSON document: indented on a terminal and not, one line for streams. */
void cli_json_print(json_t *document);
void cli_json_line(const json_t *document);

/* Progress of long work, on stderr, only when it is a terminal: "probing  12 of 64". */
void cli_progress(const char *what, size_t done, size_t total);
/* The same without numbers: "probing  REGISTER". */
void cli_progress_text(const char *what, const char *stage);
void cli_progress_end(void);

/* The commands. */
int cmd_lun(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_ledger(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_order(int argc,
	      char **argv); /* move, start, stop, standby, online, maintenance, by argv[0] */
int cmd_daemon(int argc, char **argv); /* ping, reload, restart, shutdown, by argv[0] */
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_lun_order(int argc, char **argv); /* of `lunkeeper lun`: claim, take, yield, release */
int cmd_check(int argc, char **argv);
int cmd_rig(int argc, char **argv);

#endif
