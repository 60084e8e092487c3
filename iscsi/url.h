/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The URL of a logical unit, iscsi://HOST[:PORT]/TARGET/LUN, as text and as its parts. Pure code.
 */
#ifndef ISCSI_URL_H
#define ISCSI_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LUN_URL_HOST_MAX 254   /* a DNS name's 253, or an address, and the 0 */
#define LUN_URL_TARGET_MAX 224 /* RFC 7143 4.2.7.1: 223 bytes, and the 0 */
#define LUN_URL_PORT 3260      /* RFC 7143 14 */
#define LUN_URL_LUN_MAX 16383  /* flat space addressing, SAM-5 4.7.7.4 */

struct lun_url {
	char host[LUN_URL_HOST_MAX]; /* without the brackets of an IPv6 address */
	uint16_t port;
	/* As it was written: RFC 7143 4.2.7.2 compares names in lower case, but there are targets
	 * that know themselves by their very letters only. */
	char target[LUN_URL_TARGET_MAX];
	uint16_t lun;
	char problem[120]; /* lun_url_parse()'s */
};

/* True when the text begins like one, in whatever case: the rest may still be wrong. */
bool lun_url_claims(const char *text);

/* Parses. The target's name may have %XX escapes (RFC 3986 2.1), a link-local address has its zone
 * behind a % or, as RFC 6874 has it, %25. Returns 0, or -EINVAL with *problem set to text for people,
 * static or in *url; a user name or password in it is refused, because command
 * lines and configurations can be read by others. */
int lun_url_parse(struct lun_url *url, const char *text, const char **problem);

/* "iscsi://10.0.0.1:3260/iqn.2024-01.x:san/3". Returns buffer. */
const char *lun_url_text(const struct lun_url *url, char *buffer, size_t size);

/* Whether two names are one name. */
bool iscsi_name_equal(const char *a, const char *b);
/* What is wrong with it, for people: "has '_', which no iSCSI name has ..."; NULL: nothing. */
const char *iscsi_name_problem(const char *name, char *buffer, size_t size);
/* True for an iSCSI name: iqn., eui. or naa. and the characters that RFC 7143 4.2.7 allows. */
bool iscsi_name_valid(const char *name);

/* The first two bytes of the eight-byte LUN field: peripheral device addressing up to 255, flat
 * space addressing above (SAM-5 4.7.7.2, 4.7.7.4). */
uint16_t lun_url_field(uint16_t lun);

#endif
