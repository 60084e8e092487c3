/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Single values of a configuration, checked: names, durations, sizes, devices, identities, agents.
 * Pure.
 */
#include "cluster/config/private.h"

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

/* What is wrong with an iscsi:// URL, or NULL. RFC 3986 host, optional port, target name, number of
 * the LUN. */
static const char *value_url_fault(const char *url)
{
	const char *host = url + strlen("iscsi://"), *target = strchr(host, '/'), *lun, *port;
	size_t host_length = target ? (size_t)(target - host) : strlen(host);

	if (memchr(host, '@', host_length) || memchr(host, '%', host_length))
		return "a user or password in the URL, which others can read: expected them in the "
		       "file that 'secrets' names";
	if (!target || host_length == 0)
		return "no host or no target: expected iscsi://HOST[:PORT]/TARGET/LUN";
	if (host[0] == '[') {
		port = memchr(host, ']', host_length);
		if (!port)
			return "'[' without ']': expected iscsi://[ADDRESS]:PORT/TARGET/LUN";
		port = port[1] == ':' ? port + 1 : NULL;
	} else {
		port = memchr(host, ':', host_length);
	}
	if (port) {
		size_t digits = strspn(port + 1, "0123456789");

		if (digits == 0 || digits > 5 || port + 1 + digits != target ||
		    atoi(port + 1) > 65535 || atoi(port + 1) == 0)
			return "a port that is no number from 1 to 65535";
	}
	target++;
	lun = strrchr(target, '/');
	if ((strncmp(target, "iqn.", 4) != 0 && strncmp(target, "eui.", 4) != 0 &&
	     strncmp(target, "naa.", 4) != 0) ||
	    !lun || lun - target > 223)
		return "no iSCSI name after the host: expected "
		       "iscsi://HOST[:PORT]/iqn.YYYY-MM.NAME/LUN";
	if (lun[1] == '\0' || strlen(lun + 1) > 5 ||
	    strspn(lun + 1, "0123456789") != strlen(lun + 1) || atoi(lun + 1) > 16383)
		return "a LUN that is no number from 0 to 16383 at its end";
	return NULL;
}

void config_check_device(struct config_context *context, const char *device, int line)
{
	char shown[CONFIG_SHOWN_SIZE];
	const char *fault;

	config_shown(device, strlen(device), shown);
	if (strlen(device) > 350 || strpbrk(device, "\n\r\t \"'\\")) {
		config_error(context, line,
			     "device: found '%s', expected at most 350 characters without blanks "
			     "and quotes",
			     shown);
	} else if (strncmp(device, "iscsi://", 8) == 0) {
		/* the password is not repeated in the message */
		fault = value_url_fault(device);
		if (fault && strchr(device, '@'))
			config_error(context, line, "device: found %s", fault);
		else if (fault)
			config_error(context, line, "device: found '%s' with %s", shown, fault);
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
