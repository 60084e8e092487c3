/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CHAP users and secrets (RFC 7143 12.1, RFC 1994) from a file that only its owner can read. One
 * line for each target:
 *
 *     # target                     user    secret            target's user   target's secret
 *     iqn.2024-01.example:san      jerry   "twelve letters"  san             "another one"
 *     iqn.2024-01.example:tape*    jerry   0therSecret0
 *     *                            guest   last-resort-secret
 *
 * Fields are separated by blanks; a field with blanks or '#' stands in double quotes, in which \"
 * and \\ are what they mean. The last two fields, for mutual CHAP, come together or not at all, and
 * their secret must differ from the first one. The first line that fits a target counts; a target
 * may end in '*'. Secrets appear in no message.
 */
#ifndef ISCSI_SECRETS_H
#define ISCSI_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#define SECRETS_FIELD_MAX 256 /* with the 0: as much as libiscsi takes */
#define SECRETS_FILE_MAX 16384

struct secrets {
	bool found;  /* false: no line is for this target; it is logged in to without CHAP */
	bool mutual; /* target_user and target_secret are set */
	char user[SECRETS_FIELD_MAX], secret[SECRETS_FIELD_MAX];
	char target_user[SECRETS_FIELD_MAX], target_secret[SECRETS_FIELD_MAX];
};

/* Parses the whole text, so that a fault is found wherever it is, and keeps what is for `target`.
 * Pure. Returns 0, or -EINVAL with *line (from 1) and *problem (static text). */
int secrets_parse(struct secrets *secrets, const char *target, const char *text, size_t length,
		  unsigned *line, const char **problem);

/* Reads the file, which must be a regular file of this process's user or root, without any
 * permission for group and others. Returns 0, or -errno with a message that names the file and what
 * is wrong with it. */
int secrets_load(struct secrets *secrets, const char *target, const char *file, char *message,
		 size_t message_size);

/* Overwrites all of it. */
void secrets_forget(struct secrets *secrets);

#endif
