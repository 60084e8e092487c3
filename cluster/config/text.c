/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What libconfuse would take without a word, or badly: it replaces `${NAME}` from the environment,
 * goes past characters that it has no use for, takes the end of the file for the end of a block,
 * and stays within a text or comment that was never ended when it reads the next file. So the
 * characters are looked at first. This is no parser: it knows texts, comments and braces, and
 * nothing of keys. Pure.
 */
#include "cluster/config/private.h"

#include <stdio.h>
#include <string.h>

#define TEXT_DEPTH_MAX 16 /* braces within braces; a list in a resource of a service is 3 */

struct text_scan {
	struct config_context *context;
	char *next, *end;
	int line;
	int open[TEXT_DEPTH_MAX]; /* lines of the braces that are not closed yet */
	size_t depth;
};

#define text_fault(scan, at, ...)                                                                  \
	do {                                                                                       \
		config_error((scan)->context, at, __VA_ARGS__);                                    \
		(scan)->context->broken = true;                                                    \
	} while (0)

static char text_second(const struct text_scan *scan)
{
	return scan->end - scan->next > 1 ? scan->next[1] : '\0';
}

/* Comments become blanks: libconfuse 3.3 counts their lines twice, and takes none in a list. */
static void text_comment(struct text_scan *scan)
{
	bool block = text_second(scan) == '*';
	int line = scan->line;

	if (block)
		memset(scan->next, ' ', 2);
	for (; scan->next < scan->end; scan->next++) {
		if (block && *scan->next == '*' && text_second(scan) == '/') {
			memset(scan->next, ' ', 2);
			return;
		}
		if (*scan->next == '\n' && !block)
			return;
		if (*scan->next == '\n')
			scan->line++;
		else
			*scan->next = ' ';
	}
	if (block)
		text_fault(scan, line,
			   "comment is not ended: expected '*/'; nothing after it was checked");
}

static void text_refuse_variable(struct text_scan *scan)
{
	text_fault(scan, scan->line,
		   "found '${': variables are not replaced, because a configuration must not "
		   "depend on the environment; write the value, or in single quotes a text that "
		   "really contains '${'");
}

static void text_refuse_character(struct text_scan *scan)
{
	unsigned char c = (unsigned char)*scan->next;
	char shown[8] = "";

	if (c > ' ' && c < 0x7f)
		snprintf(shown, sizeof(shown), "'%c', ", c);
	text_fault(scan, scan->line,
		   "found the character %s%02xh: expected a name, a value (in quotes if in "
		   "doubt), or one of = { } ,",
		   shown, c);
}

/* `\...` in "...": a zero byte would cut the value in silence, and a number that is none leaves
 * libconfuse within the text. Digits as libconfuse takes them. */
static void text_escape(struct text_scan *scan)
{
	char digits[4] = "", hex = text_second(scan) == 'x';
	const char *from = scan->next + (hex ? 2 : 1);
	unsigned value = 1;
	size_t count = 0;

	while (count < (hex ? 2 : 3) && from + count < scan->end && from[count] &&
	       strchr(hex ? "0123456789abcdefABCDEF" : "01234567", from[count]))
		count++;
	memcpy(digits, from, count);
	if (count)
		sscanf(digits, hex ? "%x" : "%o", &value);
	if (!hex && from + count < scan->end && (from[count] == '8' || from[count] == '9'))
		value = 256; /* "\18": libconfuse takes all digits together */
	if (count && value == 0)
		text_fault(scan, scan->line,
			   "found an escape for a zero byte: no value can hold one");
	else if (value > 255)
		text_fault(scan, scan->line,
			   "found '\\%.3s': expected '\\' and an octal number up to 377, or in "
			   "single quotes a text that really contains '\\'",
			   from);
}

static void text_string(struct text_scan *scan)
{
	char quote = *scan->next;

	for (scan->next++; scan->next < scan->end && *scan->next != quote && *scan->next != '\n';
	     scan->next++) {
		if (quote == '"' && *scan->next == '$' && text_second(scan) == '{')
			text_refuse_variable(scan);
		if (*scan->next == '\0')
			text_fault(scan, scan->line,
				   "found a zero byte in a text: no value can hold one");
		if (*scan->next != '\\' || scan->end - scan->next < 2)
			continue;
		if (quote == '"')
			text_escape(scan);
		scan->next++;
		if (*scan->next == '\n')
			scan->line++;
		if (*scan->next == '\0')
			text_fault(scan, scan->line,
				   "found a zero byte in a text: no value can hold one");
	}
	/* libconfuse would take line after line up to the next quote, and blame that one. */
	if (scan->next >= scan->end || *scan->next == '\n')
		text_fault(scan, scan->line,
			   "text is not ended: expected a closing %c in the same line; nothing "
			   "after it was checked",
			   quote);
}

static void text_brace(struct text_scan *scan)
{
	if (*scan->next == '{') {
		if (scan->depth < TEXT_DEPTH_MAX)
			scan->open[scan->depth] = scan->line;
		scan->depth++;
	} else if (scan->depth > 0) {
		scan->depth--;
	}
}

/* What stands outside of texts and comments. */
static void text_plain(struct text_scan *scan)
{
	char c = *scan->next;

	if (c == '\n')
		scan->line++;
	else if (c == '{' || c == '}')
		text_brace(scan);
	else if (c == '$' && text_second(scan) == '{')
		text_refuse_variable(scan);
	else if (c == '+' && text_second(scan) == '=')
		text_fault(scan, scan->line,
			   "found '+=': expected all values in one list, key = { ..., ... }");
	else if (c == '+' || c == '*' || c == 0x7f ||
		 ((unsigned char)c < ' ' && c != '\t' && c != '\r'))
		text_refuse_character(scan);
}

/* Editors of other systems put it there, and nobody sees it. */
static void text_byte_order_mark(struct text_scan *scan)
{
	size_t length = (size_t)(scan->end - scan->next);

	if (length >= 2 &&
	    (memcmp(scan->next, "\xff\xfe", 2) == 0 || memcmp(scan->next, "\xfe\xff", 2) == 0)) {
		text_fault(scan, 1,
			   "found a byte order mark of UTF-16: expected the file in UTF-8; 'iconv "
			   "-f UTF-16 -t UTF-8' makes it so");
		scan->next = scan->end;
	} else if (length >= 3 && memcmp(scan->next, "\xef\xbb\xbf", 3) == 0) {
		text_fault(scan, 1,
			   "found a byte order mark (EF BB BF) before the first character: "
			   "expected UTF-8 without one; LC_ALL=C sed -i '1s/^...//' takes it away");
		scan->next += 3;
	}
}

int config_text_check(struct config_context *context, char *text, size_t length)
{
	struct text_scan scan = {context, text, text + length, 1, {0}, 0};

	for (text_byte_order_mark(&scan); scan.next < scan.end; scan.next++) {
		char c = *scan.next, before = scan.next > text ? scan.next[-1] : ' ';
		bool word = (unsigned char)before > ' ' && !strchr("\"'={}(),", before);

		/* as for libconfuse, `//` within a word, as in a URL, begins no comment */
		if (c == '#' ||
		    (c == '/' && !word && strchr("/*", text_second(&scan)) && text_second(&scan)))
			text_comment(&scan);
		else if (c == '"' || c == '\'')
			text_string(&scan);
		if (scan.next < scan.end && *scan.next != '"' && *scan.next != '\'')
			text_plain(&scan);
	}
	if (scan.depth == 0)
		return 0;
	return scan.open[scan.depth < TEXT_DEPTH_MAX ? scan.depth - 1 : TEXT_DEPTH_MAX - 1];
}
