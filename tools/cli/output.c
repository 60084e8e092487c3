/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What people and programs read: messages, colours, aligned tables, texts of values, JSON,
 * progress.
 */
#include "tools/cli/cli.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* Colours and the terminal. */

bool cli_redraws(FILE *out)
{
	const char *term = getenv("TERM");

	return isatty(fileno(out)) && term && *term && strcmp(term, "dumb") != 0;
}

/* What is in memory goes to stdout in the end. */
static bool cli_coloured(FILE *out)
{
	const char *no_color = getenv("NO_COLOR");

	return !(no_color && *no_color) && cli_redraws(fileno(out) < 0 ? stdout : out);
}

const char *cli_colour(FILE *out, enum cli_colour colour)
{
	static const char *const sequences[CLI_COLOURS] = {
		[CLI_PLAIN] = "\033[0m", [CLI_BOLD] = "\033[1m",   [CLI_DIM] = "\033[2m",
		[CLI_GOOD] = "\033[32m", [CLI_BAD] = "\033[1;31m", [CLI_WARNING] = "\033[33m",
		[CLI_NOTE] = "\033[36m",
	};

	return cli_coloured(out) ? sequences[colour] : "";
}

bool cli_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

unsigned cli_width(void)
{
	struct winsize window;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window))
		return 0;
	return window.ws_col;
}

unsigned cli_height(void)
{
	struct winsize window;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window))
		return 0;
	return window.ws_row;
}

/* The next character, or escape sequence, of at least one byte; *columns: what it takes. */
static size_t cli_character(const char *text, size_t length, size_t *columns)
{
	mbstate_t state = {0};
	wchar_t wide;
	size_t bytes;
	int width;

	*columns = 0;
	if (text[0] == '\033') {
		const char *end = memchr(text, 'm', length);

		return end ? (size_t)(end - text) + 1 : length;
	}
	bytes = mbrtowc(&wide, text, length, &state);
	if (bytes == (size_t)-1 || bytes == (size_t)-2 || bytes == 0) {
		*columns = 1;
		return 1;
	}
	width = wcwidth(wide);
	*columns = width > 0 ? (size_t)width : 0;
	return bytes;
}

void cli_print_clipped(FILE *out, const char *text, size_t length, size_t width)
{
	size_t used = 0;

	while (length > 0) {
		size_t columns, bytes = cli_character(text, length, &columns);

		/* escape sequences that come behind the edge are put all the same: they end colours */
		if (!width || used + columns <= width)
			fwrite(text, 1, bytes, out);
		used += columns;
		text += bytes;
		length -= bytes;
	}
}

size_t cli_text_width(const char *text)
{
	size_t width = 0, length = strlen(text);

	while (length > 0) {
		size_t columns, bytes = cli_character(text, length, &columns);

		width += columns;
		text += bytes;
		length -= bytes;
	}
	return width;
}

/* Messages. */

static void cli_message(enum cli_colour colour, const char *prefix, const char *format,
			va_list arguments)
{
	cli_progress_end();
	fflush(stdout);
	fprintf(stderr, "%s%s%s", cli_colour(stderr, colour), prefix,
		cli_colour(stderr, CLI_PLAIN));
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

void cli_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	cli_message(CLI_BAD, "lunkeeper: ", format, arguments);
	va_end(arguments);
}

void cli_warn(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	cli_message(CLI_WARNING, "lunkeeper: warning: ", format, arguments);
	va_end(arguments);
}

void cli_hint(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	cli_message(CLI_NOTE, "  hint: ", format, arguments);
	va_end(arguments);
}

/* Tables. */

struct cli_cell {
	char *text;
	enum cli_colour colour;
};

struct cli_row {
	struct cli_cell cells[CLI_TABLE_COLUMNS_MAX];
	struct cli_cell note; /* a line below it */
};

struct cli_table {
	const char *headings[CLI_TABLE_COLUMNS_MAX];
	bool headed, right[CLI_TABLE_COLUMNS_MAX];
	size_t columns, rows, capacity, filled;
	unsigned indent;
	size_t *kept; /* widths from table to table; NULL: none */
	struct cli_row *row;
};

struct cli_table *cli_table_new(const char *const *headings, size_t columns)
{
	struct cli_table *table = calloc(1, sizeof(*table));

	if (!table)
		abort();
	table->columns = columns;
	table->headed = headings != NULL;
	for (size_t i = 0; headings && headings[i] && i < CLI_TABLE_COLUMNS_MAX; i++) {
		table->right[i] = headings[i][0] == '>';
		table->headings[i] = headings[i] + table->right[i];
		table->columns = i + 1;
	}
	return table;
}

void cli_table_indent(struct cli_table *table, unsigned columns)
{
	table->indent = columns;
}

void cli_table_row(struct cli_table *table)
{
	if (table->rows == table->capacity) {
		table->capacity = table->capacity ? 2 * table->capacity : 16;
		table->row = reallocarray(table->row, table->capacity, sizeof(*table->row));
		if (!table->row)
			abort();
	}
	memset(&table->row[table->rows++], 0, sizeof(*table->row));
	table->filled = 0;
}

void cli_table_cell(struct cli_table *table, enum cli_colour colour, const char *format, ...)
{
	struct cli_cell *cell;
	va_list arguments;

	if (table->rows == 0 || table->filled == table->columns)
		abort();
	cell = &table->row[table->rows - 1].cells[table->filled++];
	cell->colour = colour;
	va_start(arguments, format);
	if (vasprintf(&cell->text, format, arguments) < 0)
		abort();
	va_end(arguments);
}

void cli_table_note(struct cli_table *table, enum cli_colour colour, const char *format, ...)
{
	struct cli_cell *note = &table->row[table->rows - 1].note;
	va_list arguments;

	free(note->text);
	note->colour = colour;
	va_start(arguments, format);
	if (vasprintf(&note->text, format, arguments) < 0)
		abort();
	va_end(arguments);
}

void cli_table_keep(struct cli_table *table, size_t *widths)
{
	table->kept = widths;
}

size_t cli_table_rows(const struct cli_table *table)
{
	return table->rows;
}

/* The last column that is not empty ends a line, so that no line ends in blanks. */
static void cli_table_print_row(const struct cli_table *table, FILE *out, const size_t *widths,
				const struct cli_row *row)
{
	size_t last = 0;

	for (size_t i = 0; i < table->columns; i++) {
		const char *text = row ? row->cells[i].text : table->headings[i];

		if (text && *text)
			last = i;
	}
	fprintf(out, "%*s", (int)table->indent, "");
	for (size_t i = 0; i <= last; i++) {
		const char *text = row ? row->cells[i].text : table->headings[i];
		enum cli_colour colour = row ? row->cells[i].colour : CLI_DIM;
		size_t width = cli_text_width(text ? text : "");
		int pad = (int)(widths[i] - width);

		if (table->right[i])
			fprintf(out, "%*s", pad, "");
		if (colour != CLI_PLAIN && width)
			fprintf(out, "%s%s%s", cli_colour(out, colour), text,
				cli_colour(out, CLI_PLAIN));
		else
			fputs(text ? text : "", out);
		if (i < last)
			fprintf(out, "%*s", (table->right[i] ? 0 : pad) + 2, "");
	}
	fputc('\n', out);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
	size_t widths[CLI_TABLE_COLUMNS_MAX] = {0};

	for (size_t i = 0; i < table->columns; i++) {
		if (table->headed)
			widths[i] = cli_text_width(table->headings[i]);
		for (size_t r = 0; r < table->rows; r++) {
			const char *text = table->row[r].cells[i].text;
			size_t width = text ? cli_text_width(text) : 0;

			if (width > widths[i])
				widths[i] = width;
		}
		if (table->kept && table->kept[i] > widths[i])
			widths[i] = table->kept[i];
		if (table->kept)
			table->kept[i] = widths[i];
	}
	if (table->headed)
		cli_table_print_row(table, out, widths, NULL);
	for (size_t r = 0; r < table->rows; r++) {
		const struct cli_cell *note = &table->row[r].note;

		cli_table_print_row(table, out, widths, &table->row[r]);
		if (note->text)
			fprintf(out, "%*s%s%s%s\n", (int)table->indent + 6, "",
				cli_colour(out, note->colour), note->text,
				cli_colour(out, CLI_PLAIN));
	}
}

void cli_table_free(struct cli_table *table)
{
	if (!table)
		return;
	for (size_t r = 0; r < table->rows; r++) {
		for (size_t i = 0; i < table->columns; i++)
			free(table->row[r].cells[i].text);
		free(table->row[r].note.text);
	}
	free(table->row);
	free(table);
}

/* Texts of values. */

const char *cli_size_text(uint64_t bytes, char *buffer, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, size,
		 value >= 100 || value == (double)(uint64_t)value ? "%.0f %s" : "%.1f %s", value,
		 units[unit]);
	return buffer;
}

const char *cli_duration_text(uint64_t milliseconds, char *buffer, size_t size)
{
	if (milliseconds < 1000)
		snprintf(buffer, size, "%u ms", (unsigned)milliseconds);
	else if (milliseconds < 60000)
		snprintf(buffer, size, "%.1f s", (double)milliseconds / 1000);
	else if (milliseconds < 3600000)
		snprintf(buffer, size, "%u min", (unsigned)(milliseconds / 60000));
	else if (milliseconds < 48u * 3600000)
		snprintf(buffer, size, "%u h %u min", (unsigned)(milliseconds / 3600000),
			 (unsigned)(milliseconds / 60000 % 60));
	else
		snprintf(buffer, size, "%u days", (unsigned)(milliseconds / 86400000));
	return buffer;
}

const char *cli_micros_text(uint64_t microseconds, char *buffer, size_t size)
{
	if (microseconds < 1000)
		snprintf(buffer, size, "%u us", (unsigned)microseconds);
	else if (microseconds < 1000000)
		snprintf(buffer, size, "%.2f ms", (double)microseconds / 1e3);
	else
		snprintf(buffer, size, "%.2f s", (double)microseconds / 1e6);
	return buffer;
}

/* JSON. */

void cli_json_print(json_t *document)
{
	cli_progress_end();
	json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	fputc('\n', stdout);
	json_decref(document);
}

void cli_json_line(const json_t *document)
{
	json_dumpf(document, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	fputc('\n', stdout);
	fflush(stdout);
}

/* Progress: one line that is written over, and wiped before anything else is said. */

static bool cli_progress_shown;

void cli_progress(const char *what, size_t done, size_t total)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%s  %zu of %zu", what, done, total);
	fflush(stderr);
	cli_progress_shown = true;
}

void cli_progress_text(const char *what, const char *stage)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%s  %s", what, stage);
	fflush(stderr);
	cli_progress_shown = true;
}

void cli_progress_end(void)
{
	if (cli_progress_shown)
		fputs("\r\033[K", stderr);
	cli_progress_shown = false;
}
