/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text from outside is made so that JSON takes it and a terminal does nothing but show it.
 */
#include <stdlib.h>
#include <string.h>

#include "cluster/base/text.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text, *clean;
} cases[] = {
	{"", ""},
	{"plain text, 100 % of it", "plain text, 100 % of it"},
	{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x92", NULL}, /* two, three, four bytes */
	{"\xf4\x8f\xbf\xbf", NULL},                                 /* the last character */
	{"red \033[31m", "red ?[31m"},
	{"a\tb\nc\rd\177", "a?b?c?d?"},
	{"\xc2\x9b"
	 "31m",
	 "??31m"}, /* CSI as C1 control */
	{"\xff\xfe", "??"},
	{"lone \xc3", "lone ?"},
	{"lone \x80 and \xbf", "lone ? and ?"},
	{"\xc0\xaf\xe0\x9f\xbf\xf0\x8f\xbf\xbf", "?????????"}, /* overlong */
	{"\xed\xa0\x80", "???"},                               /* a surrogate */
	{"\xf4\x90\x80\x80\xf5", "?????"},                     /* above U+10FFFF */
	{"cut \xe2\x82", "cut ??"},
	{"cut \xe2\x82x", "cut ??x"},
};

static void bad_bytes_become_question_marks(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *clean = cases[i].clean ? cases[i].clean : cases[i].text;
		char text[64];
		json_t *json = text_json(cases[i].text);

		strcpy(text, cases[i].text);
		CU_ASSERT_EQUAL(text_is_clean(text), strcmp(clean, text) == 0);
		CU_ASSERT_STRING_EQUAL(text_clean(text), clean);
		CU_ASSERT_TRUE(text_is_clean(text));
		CU_ASSERT_STRING_EQUAL(json_string_value(json), clean);
		json_decref(json);
	}
	CU_ASSERT_TRUE(json_is_null(text_json(NULL)));
}

static void a_whole_answer_is_cleaned(void)
{
	json_t *json = json_loads("{\"a\":\"\\u001b[2J\",\"b\":[1,{\"c\":\"x\\u0007\"},\"two\\n"
				  "lines\"],\"d\":null}",
				  0, NULL);
	char *text;

	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	text_clean_json(json);
	text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	CU_ASSERT_STRING_EQUAL(text, "{\"a\":\"?[2J\",\"b\":[1,{\"c\":\"x?\"},\"two\\nlines\"],"
				     "\"d\":null}");
	free(text);
	json_decref(json);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"bad bytes become question marks", bad_bytes_become_question_marks},
		{"a whole answer is cleaned", a_whole_answer_is_cleaned},
		CU_TEST_INFO_NULL,
	};

	return unit_run("text", tests);
}
