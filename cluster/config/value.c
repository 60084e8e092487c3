/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Single values of a configuration, checked: names, durations, sizes, devices, identities, agents.
 * Pure.
 */
#include "cluster/config/private.h"
#include "iscsi/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_MAX_MS (30ull * 24 * 60 * 60 * 1000)

static bool value_is_letter_or_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool config_name_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > CONFIG_NAME_MAX || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!value_is_letter_or_digit(name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

/* Digits and what follows them; -EINVAL without digits or with more than 15. */
static int value_split(const char *text, uint64_t *number, const char **unit)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 15)
		return -EINVAL;
	*number = strtoull(text, NULL, 10);
	*unit = text + digits;
	return 0;
}

int config_duration_parse(const char *text, uint64_t *ms)
{
	const char *unit;
	uint64_t number, factor;

	if (value_split(text, &number, &unit) != 0)
		return -EINVAL;
	if (strcmp(unit, "ms") == 0)
		factor = 1;
	else if (strcmp(unit, "s") == 0)
		factor = 1000;
	else if (strcmp(unit, "m") == 0)
		factor = 60000;
	else
		return -EINVAL;
	if (number > DURATION_MAX_MS / factor)
		return -ERANGE;
	*ms = number * factor;
	return 0;
}

int config_size_parse(const char *text, uint64_t *bytes)
{
	const char *unit;
	uint64_t number;
	unsigned shift;

	if (value_split(text, &number, &unit) != 0)
		return -EINVAL;
	if (strcmp(unit, "K") == 0)
		shift = 10;
	else if (strcmp(unit, "M") == 0)
		shift = 20;
	else if (strcmp(unit, "G") == 0)
		shift = 30;
	else
		return -EINVAL;
	if (number > (64ull << 30) >> shift || number << shift < 1u << 20)
		return -ERANGE;
	*bytes = number << shift;
	return 0;
}

void config_check_device(struct config_context *context, const char *device, int line)
{
	char shown[CONFIG_SHOWN_SIZE];
	const char *problem;
	struct lun_url url;

	config_shown(device, strlen(device), shown);
	if (strlen(device) > 350 || strpbrk(device, "\n\r\t \"'\\")) {
		config_error(context, line,
			     "device: found '%s', expected at most 350 characters without blanks "
			     "and quotes",
			     shown);
	} else if (strncmp(device, "iscsi://", 8) == 0) {
		/* the daemon's own parser; a password is not repeated in the message */
		if (lun_url_parse(&url, device, &problem) == 0)
			return;
		config_error(context, line,
			     "device: %s%s%s%s; expected iscsi://HOST[:PORT]/iqn.YYYY-MM.NAME/LUN",
			     strchr(device, '@') ? "" : "found '", strchr(device, '@') ? "" : shown,
			     strchr(device, '@') ? "" : "': ", problem);
	} else if (device[0] != '/') {
		config_error(context, line,
			     "device: found '%s', expected an absolute path such as "
			     "/dev/disk/by-id/wwn-0x... or an "
			     "iscsi:// URL",
			     shown);
	}
}

void config_check_wwid(struct config_context *context, const char *wwid, int line)
{
	static const char *const prefixes[] = {"naa.", "eui.", "wwn-0x", "0x"};
	char shown[CONFIG_SHOWN_SIZE];
	size_t digits;

	if ((strncmp(wwid, "t10.", 4) == 0 || strncmp(wwid, "iqn.", 4) == 0 ||
	     strncmp(wwid, "vendor.", 7) == 0) &&
	    strlen(wwid) < 256)
		return;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(wwid, prefixes[i], length) != 0)
			continue;
		digits = strlen(wwid + length);
		if (digits == strspn(wwid + length, "0123456789abcdefABCDEF") &&
		    (digits == 16 || digits == 24 || digits == 32))
			return;
		config_error(context, line,
			     "wwid: found '%s' with %zu characters after '%s', expected 16 or 32 "
			     "hex digits",
			     config_shown(wwid, strlen(wwid), shown), digits, prefixes[i]);
		return;
	}
	config_error(
		context, line,
		"wwid: found '%s', expected what the LUN says of itself (VPD page 83h), such as "
		"naa.6001405a1b2c3d4e5f60718293a4b5c6; 'lunkeeper lun show DEVICE' prints it",
		config_shown(wwid, strlen(wwid), shown));
}

const char *config_parse_agent(struct config_context *context, const char *agent, int line)
{
	char shown[CONFIG_SHOWN_SIZE];

	config_shown(agent, strlen(agent), shown);
	if (strncmp(agent, "exec:/", 6) == 0)
		return config_tree_text(context->tree, agent + 5);
	if (strncmp(agent, "exec:", 5) == 0)
		config_error(context, line,
			     "agent: found '%s', expected an absolute path after 'exec:'", shown);
	else if (strncmp(agent, "ocf:", 4) == 0 || strncmp(agent, "systemd:", 8) == 0)
		config_error(context, line,
			     "agent: found '%s': 'ocf:' and 'systemd:' agents are not supported in "
			     "this version yet; expected "
			     "exec:/PATH, a program that takes start, stop and monitor",
			     shown);
	else
		config_error(context, line, "agent: found '%s', expected exec:/PATH", shown);
	return NULL;
}
