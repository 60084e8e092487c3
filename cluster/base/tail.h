/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The last of what a program wrote, as text that can be shown.
 */
#ifndef CLUSTER_BASE_TAIL_H
#define CLUSTER_BASE_TAIL_H

#include <stddef.h>

#define TAIL_MAX 4096

struct tail {
	size_t written; /* bytes so far; the next goes to written % TAIL_MAX */
	char kept[TAIL_MAX];
};

void tail_keep(struct tail *tail, const char *data, size_t length);
/* As text that can be shown and put into JSON: UTF-8, control characters and what is no UTF-8
 * replaced by '?', without newlines at its end, with '\0'. buffer: TAIL_MAX + 1 bytes. */
void tail_text(const struct tail *tail, char *buffer);

#endif
