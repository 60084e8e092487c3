/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Parser of iscsi:// URLs. Text comes from command lines and configurations: every length is
 * checked, nothing allocated.
 */
#include "iscsi/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char scheme[] = "iscsi://";

bool lun_url_claims(const char *text)
{
	return strncasecmp(text, scheme, sizeof(scheme) - 1) == 0;
}

const char *iscsi_name_problem(const char *name, char *buffer, size_t size)
{
	size_t length = strlen(name);

	if (length == 0) {
		snprintf(buffer, size, "is missing");
		return buffer;
	}
	if (length >= LUN_URL_TARGET_MAX) {
		snprintf(buffer, size, "is longer than 223 bytes");
		return buffer;
	}
	if (length < 5 || (strncasecmp(name, "iqn.", 4) && strncasecmp(name, "eui.", 4) &&
			   strncasecmp(name, "naa.", 4))) {
		snprintf(buffer, size, "is no iSCSI name (iqn.…, eui.…, naa.…)");
		return buffer;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];

		/* Beyond ASCII, names are UTF-8 that stringprep has passed; left to the target to
		 * judge. */
		if (c >= 0x80 || isalnum(c) || c == '-' || c == '.' || c == ':')
			continue;
		snprintf(buffer, size, isprint(c) ? "has '%c'" : "has the byte %02xh", c);
		length = strlen(buffer);
		snprintf(buffer + length, size - length,
			 ": an iSCSI name has letters, digits, '-', '.' and ':' only");
		return buffer;
	}
	return NULL;
}

bool iscsi_name_valid(const char *name)
{
	char problem[100];

	return iscsi_name_problem(name, problem, sizeof(problem)) == NULL;
}

bool iscsi_name_equal(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

/* *length of the bytes at text that are an IPv6 address, perhaps with its zone: into url->host. */
static int parse_ipv6(struct lun_url *url, const char *text, size_t length, const char **problem)
{
	const char *zone = memchr(text, '%', length);
	size_t address = zone ? (size_t)(zone - text) : length;
	bool link_local =
		address > 3 && strncasecmp(text, "fe", 2) == 0 && strchr("89abAB", text[2]) != NULL;

	*problem = "what stands in brackets is no IPv6 address";
	if (address == 0 || strspn(text, "0123456789abcdefABCDEF:.") < address ||
	    !memchr(text, ':', address))
		return -EINVAL;
	*problem = "a link-local address is one of an interface, and needs its name: "
		   "[fe80::1%eth0]";
	if (link_local != (zone != NULL)) {
		if (zone)
			*problem = "only a link-local address has an interface behind a '%'";
		return -EINVAL;
	}
	if (zone && strncmp(zone, "%25", 3) == 0 && address + 3 < length)
		zone += 2; /* RFC 6874 */
	*problem = "the host's name is too long";
	if (length >= LUN_URL_HOST_MAX)
		return -EINVAL;
	memcpy(url->host, text, address);
	url->host[address] = '\0';
	if (!zone)
		return 0;
	length -= (size_t)(zone + 1 - text);
	*problem = "the interface behind '%' has a character that no interface's name has";
	if (length == 0 || length > 15 || (length > 2 && strncmp(zone + 1, "25", 2) == 0))
		return -EINVAL; /* "25..." would read as an escaped '%' the next time */
	for (size_t i = 1; i <= length; i++) {
		if (!isalnum((unsigned char)zone[i]) && !strchr("-._", zone[i]))
			return -EINVAL;
	}
	url->host[address] = '%';
	memcpy(url->host + address + 1, zone + 1, length);
	url->host[address + 1 + length] = '\0';
	return 0;
}

/* *cursor: behind "iscsi://"; moved behind the port. */
static int parse_host(struct lun_url *url, const char **cursor, const char **problem)
{
	const char *text = *cursor, *end;
	size_t length;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (!end) {
			*problem = "the IPv6 address has no closing ']'";
			return -EINVAL;
		}
		*cursor = end + 1;
		return parse_ipv6(url, text, (size_t)(end - text), problem);
	} else {
		length = strcspn(text, ":/");
		for (size_t i = 0; i < length; i++) {
			unsigned char c = (unsigned char)text[i];

			if (!isalnum(c) && c != '-' && c != '.' && c != '_') {
				snprintf(url->problem, sizeof(url->problem),
					 isprint(c) ? "the host has the character '%c', which no "
						      "host name or address has"
						    : "the host has the byte %02xh, which no host "
						      "name or address has",
					 c);
				*problem = url->problem;
				return -EINVAL;
			}
		}
		*cursor = text + length;
	}
	if (length == 0 || length >= LUN_URL_HOST_MAX) {
		*problem = length ? "the host's name is too long" : "the host is missing";
		return -EINVAL;
	}
	memcpy(url->host, text, length);
	url->host[length] = 0;
	return 0;
}

/* Decimal digits only, at least one; *cursor is moved behind them. */
static int parse_number(const char **cursor, unsigned maximum, unsigned *value)
{
	const char *text = *cursor;

	*value = 0;
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		*value = *value * 10 + (unsigned)(*text - '0');
		if (*value > maximum)
			return -EINVAL;
	}
	*cursor = text;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int parse_target(struct lun_url *url, const char **cursor, const char **problem)
{
	const char *text = *cursor;
	size_t length = 0;
	char fault[100];

	while (*text && *text != '/') {
		char c = *text++;

		if (c == '%') {
			int high = hex_digit(*text);
			int low = high < 0 ? -1 : hex_digit(text[1]);

			if (low < 0 || (high == 0 && low == 0)) {
				*problem = "'%' in the target's name must be followed by two hex "
					   "digits";
				return -EINVAL;
			}
			c = (char)(high * 16 + low);
			text += 2;
		}
		if (length + 1 >= sizeof(url->target)) {
			*problem = "the target's name is longer than 223 bytes";
			return -EINVAL;
		}
		url->target[length++] = c;
	}
	url->target[length] = 0;
	if (iscsi_name_problem(url->target, fault, sizeof(fault))) {
		snprintf(url->problem, sizeof(url->problem), "the target's name %s", fault);
		*problem = url->problem;
		return -EINVAL;
	}
	*cursor = text;
	return 0;
}

int lun_url_parse(struct lun_url *url, const char *text, const char **problem)
{
	const char *cursor, *slash;
	unsigned number;
	int error;

	memset(url, 0, sizeof(*url));
	*problem = "it does not begin with iscsi://";
	if (!lun_url_claims(text))
		return -EINVAL;
	cursor = text + sizeof(scheme) - 1;
	slash = strchr(cursor, '/');
	if (memchr(cursor, '@', slash ? (size_t)(slash - cursor) : strlen(cursor))) {
		*problem = "it has a user name; put user and secret into the secrets file, where "
			   "others cannot "
			   "read them";
		return -EINVAL;
	}
	error = parse_host(url, &cursor, problem);
	if (error)
		return error;
	url->port = LUN_URL_PORT;
	if (*cursor == ':') {
		cursor++;
		if (parse_number(&cursor, 65535, &number) < 0 || number == 0) {
			*problem = "the port is no number from 1 to 65535";
			return -EINVAL;
		}
		url->port = (uint16_t)number;
	}
	if (*cursor != '/') {
		*problem = *cursor ? "'/' and the target's name are expected behind the host"
				   : "the target's name is missing";
		return -EINVAL;
	}
	cursor++;
	error = parse_target(url, &cursor, problem);
	if (error)
		return error;
	if (*cursor != '/' || !cursor[1]) {
		*problem = "the LUN is missing: /NUMBER at the end";
		return -EINVAL;
	}
	cursor++;
	if (parse_number(&cursor, LUN_URL_LUN_MAX, &number) < 0 || *cursor) {
		*problem = "the LUN is no number from 0 to 16383";
		return -EINVAL;
	}
	url->lun = (uint16_t)number;
	return 0;
}

const char *lun_url_text(const struct lun_url *url, char *buffer, size_t size)
{
	bool v6 = strchr(url->host, ':') != NULL;

	snprintf(buffer, size, "%s%s%s%s:%u/%s/%u", scheme, v6 ? "[" : "", url->host, v6 ? "]" : "",
		 url->port, url->target, url->lun);
	return buffer;
}

uint16_t lun_url_field(uint16_t lun)
{
	return lun < 256 ? lun : (uint16_t)(0x4000u | lun);
}
