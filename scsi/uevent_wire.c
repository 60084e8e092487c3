/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The text of a uevent, taken apart.
 */
#include "scsi/uevent.h"

#include <errno.h>
#include <string.h>

struct uevent_variable {
	const char *name;
	size_t field; /* of struct uevent */
};

static const struct uevent_variable uevent_variables[] = {
	{"ACTION=", offsetof(struct uevent, action)},
	{"DEVPATH=", offsetof(struct uevent, path)},
	{"SUBSYSTEM=", offsetof(struct uevent, subsystem)},
	{"DEVTYPE=", offsetof(struct uevent, type)},
	{"DEVNAME=", offsetof(struct uevent, name)},
};

static const char **uevent_field(struct uevent *event, size_t field)
{
	return (const char **)(void *)((char *)event + field);
}

static void uevent_take(struct uevent *event, const char *text)
{
	for (size_t i = 0; i < sizeof(uevent_variables) / sizeof(uevent_variables[0]); i++) {
		const struct uevent_variable *variable = &uevent_variables[i];
		size_t length = strlen(variable->name);

		if (strncmp(text, variable->name, length) == 0)
			*uevent_field(event, variable->field) = text + length;
	}
}

int uevent_parse(struct uevent *event, const char *data, size_t length)
{
	const char *at = memchr(data, '\0', length), *end = data + length;
	const char *sign;

	for (size_t i = 0; i < sizeof(uevent_variables) / sizeof(uevent_variables[0]); i++)
		*uevent_field(event, uevent_variables[i].field) = "";
	if (length == 0 || length > UEVENT_SIZE_MAX || data[length - 1] != '\0')
		return -EBADMSG;
	sign = memchr(data, '@', (size_t)(at - data));
	if (!sign || sign == data || sign[1] != '/')
		return -EBADMSG;
	while (++at < end) {
		uevent_take(event, at);
		at += strlen(at);
	}
	/* The heading and the variables say the same, or somebody else made this up. */
	if (strlen(event->action) != (size_t)(sign - data) ||
	    strncmp(event->action, data, (size_t)(sign - data)) != 0 ||
	    strcmp(event->path, sign + 1) != 0 || event->subsystem[0] == '\0')
		return -EBADMSG;
	return 0;
}

static bool uevent_is_one_of(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

bool uevent_is_of_paths(const struct uevent *event)
{
	static const char *const subsystems[] = {
		"scsi",         "scsi_generic",    "iscsi_session", "iscsi_connection",
		"fc_transport", "fc_remote_ports", "sas_device"};

	if (uevent_is_one_of(event->subsystem, subsystems,
			     sizeof(subsystems) / sizeof(subsystems[0])))
		return true;
	/* Disks and multipath maps; the rest of what is a block device changes all the time. */
	return strcmp(event->subsystem, "block") == 0 && strcmp(event->type, "partition") != 0 &&
	       (strncmp(event->name, "sd", 2) == 0 || strncmp(event->name, "dm-", 3) == 0);
}
