/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text from outside: of LUNs, targets, agents, configurations. It may be no UTF-8, which JSON has no
 * place for, and hold control characters, which move a terminal's cursor. It is made clean where it
 * comes in, so that nothing behind that border has to think of it.
 */
#ifndef CLUSTER_BASE_TEXT_H
#define CLUSTER_BASE_TEXT_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>

/* Well-formed UTF-8 (RFC 3629) without control characters (Unicode's Cc: C0, DEL, C1). */
bool text_is_clean(const char *text);
/* Each byte that is no part of that becomes '?'; the length stays. Returns text. */
char *text_clean(char *text);
/* A copy that is clean, for JSON; NULL becomes null. New reference. */
json_t *text_json(const char *text);
/* Every text within, but line feed and tab stay. Names of members are left alone. */
void text_clean_json(json_t *json);

#endif
