/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ioctl.h, and the kernel's include/uapi/linux/dm-ioctl.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "cluster/gate/dm/gate.h"
#include "cluster/gate/dm/ioctl.h"

#define CONTROL "/dev/" DM_DIR "/" DM_CONTROL_NODE
#define BUFFER_SIZE 16384
#define LIST_MOST (4u << 20)

/* Told to udev's rules with every event (upper half of the "cookie"): no scanning for file systems,
 * LVM or RAID, no links by content, nothing for others; links by name are welcome. The last one has
 * udev remember them. Nobody waits for udev: the lower half is 0. libdevmapper.h:
 * DM_UDEV_DISABLE_..._FLAG. */
#define UDEV_FLAGS ((0x0002u | 0x0004u | 0x0008u | 0x0010u | 0x0040u) << 16)

union buffer {
	struct dm_ioctl head;
	char bytes[BUFFER_SIZE];
};

static void prepare(struct dm_ioctl *head, size_t size, const char *name, uint32_t flags)
{
	memset(head, 0, sizeof(*head));
	head->version[0] = DM_VERSION_MAJOR;
	head->data_size = (uint32_t)size;
	head->data_start = sizeof(*head);
	head->flags = flags;
	if (name)
		snprintf(head->name, sizeof(head->name), "%s", name);
}

static int issue(int control, unsigned long command, void *buffer)
{
	return ioctl(control, command, buffer) < 0 ? -errno : 0;
}

int gate_dm_control_open(char *message, size_t message_size)
{
	struct dm_ioctl head;
	int control = open(CONTROL, O_RDWR | O_CLOEXEC), error;

	if (control < 0) {
		error = -errno;
		snprintf(message, message_size,
			 "device-mapper cannot be used: %s: %s; try: modprobe dm_mod", CONTROL,
			 strerror(-error));
		return error;
	}
	prepare(&head, sizeof(head), NULL, 0);
	error = issue(control, DM_VERSION, &head);
	/* Events by poll() came with 4.37, Linux 4.14. */
	if (error == 0 && head.version[1] < 37)
		error = -EOPNOTSUPP;
	if (error) {
		snprintf(message, message_size, "device-mapper cannot be used: %s",
			 error == -EOPNOTSUPP ? "the kernel is older than 4.14" : strerror(-error));
		close(control);
		return error;
	}
	return control;
}

int gate_dm_possible(char *text, size_t size)
{
	union buffer buffer;
	struct dm_target_versions found;
	int control = gate_dm_control_open(text, size), error;

	if (control < 0)
		return control;
	prepare(&buffer.head, sizeof(buffer), GATE_DM_TARGET, 0);
	error = issue(control, DM_GET_TARGET_VERSION, &buffer);
	close(control);
	if (error) {
		snprintf(text, size,
			 "the kernel has no device-mapper target \"%s\" (%s): the "
			 "module dm_multipath is missing",
			 GATE_DM_TARGET, strerror(-error));
		return error;
	}
	memcpy(&found, buffer.bytes + sizeof(buffer.head), sizeof(found));
	snprintf(text, size, "device-mapper, target %s %u.%u.%u", GATE_DM_TARGET, found.version[0],
		 found.version[1], found.version[2]);
	return 0;
}

static void take_info(const struct dm_ioctl *head, struct gate_dm_info *info)
{
	dev_t device = (dev_t)head->dev; /* the kernel's encoding is glibc's for its 32 bits */

	memset(info, 0, sizeof(*info));
	info->major = major(device);
	info->minor = minor(device);
	memcpy(info->uuid, head->uuid, sizeof(info->uuid) - 1);
	info->open_count = head->open_count;
	info->suspended = head->flags & DM_SUSPEND_FLAG;
	info->has_table = head->flags & DM_ACTIVE_PRESENT_FLAG;
	info->inactive_table = head->flags & DM_INACTIVE_PRESENT_FLAG;
}

int gate_dm_create(int control, const char *name, const char *uuid, struct gate_dm_info *info)
{
	struct dm_ioctl head;
	int error;

	prepare(&head, sizeof(head), name, 0);
	snprintf(head.uuid, sizeof(head.uuid), "%s", uuid);
	error = issue(control, DM_DEV_CREATE, &head);
	if (error == 0)
		take_info(&head, info);
	return error;
}

int gate_dm_load(int control, const char *name, uint64_t sectors, const char *target,
		 const char *parameters)
{
	union buffer buffer;
	struct dm_target_spec spec = {.length = sectors};
	size_t room = sizeof(buffer) - sizeof(buffer.head) - sizeof(spec);

	if (strlen(parameters) >= room)
		return -E2BIG;
	prepare(&buffer.head, sizeof(buffer), name, 0);
	buffer.head.target_count = 1;
	snprintf(spec.target_type, sizeof(spec.target_type), "%s", target);
	memcpy(buffer.bytes + sizeof(buffer.head), &spec, sizeof(spec));
	snprintf(buffer.bytes + sizeof(buffer.head) + sizeof(spec), room, "%s", parameters);
	return issue(control, DM_TABLE_LOAD, &buffer);
}

int gate_dm_clear(int control, const char *name)
{
	struct dm_ioctl head;

	prepare(&head, sizeof(head), name, 0);
	return issue(control, DM_TABLE_CLEAR, &head);
}

static int suspend_or_resume(int control, const char *name, uint32_t flags)
{
	struct dm_ioctl head;

	prepare(&head, sizeof(head), name, flags | DM_NOFLUSH_FLAG | DM_SKIP_LOCKFS_FLAG);
	head.event_nr = UDEV_FLAGS;
	return issue(control, DM_DEV_SUSPEND, &head);
}

int gate_dm_suspend(int control, const char *name)
{
	return suspend_or_resume(control, name, DM_SUSPEND_FLAG);
}

int gate_dm_resume(int control, const char *name)
{
	return suspend_or_resume(control, name, 0);
}

int gate_dm_message(int control, const char *name, const char *text)
{
	union buffer buffer;
	struct dm_target_msg message = {.sector = 0};
	size_t offset = sizeof(buffer.head) + sizeof(message);

	if (strlen(text) >= sizeof(buffer) - offset)
		return -E2BIG;
	prepare(&buffer.head, sizeof(buffer), name, 0);
	memcpy(buffer.bytes + sizeof(buffer.head), &message, sizeof(message));
	snprintf(buffer.bytes + offset, sizeof(buffer) - offset, "%s", text);
	return issue(control, DM_TARGET_MSG, &buffer);
}

int gate_dm_info(int control, const char *name, struct gate_dm_info *info)
{
	struct dm_ioctl head;
	int error;

	prepare(&head, sizeof(head), name, 0);
	error = issue(control, DM_DEV_STATUS, &head);
	if (error == 0)
		take_info(&head, info);
	return error;
}

int gate_dm_status(int control, const char *name, bool table, char *target, char *text,
		   size_t text_size)
{
	union buffer buffer;
	struct dm_target_spec spec;
	size_t start, end;
	int error;

	prepare(&buffer.head, sizeof(buffer), name,
		DM_NOFLUSH_FLAG | (table ? DM_STATUS_TABLE_FLAG : 0));
	error = issue(control, DM_TABLE_STATUS, &buffer);
	if (error)
		return error;
	if (buffer.head.target_count == 0)
		return -ENODATA;
	start = buffer.head.data_start;
	end = buffer.head.data_size;
	if ((buffer.head.flags & DM_BUFFER_FULL_FLAG) || end > sizeof(buffer) || start > end ||
	    end - start <= sizeof(spec))
		return -EMSGSIZE;
	memcpy(&spec, buffer.bytes + start, sizeof(spec));
	snprintf(target, DM_MAX_TYPE_NAME, "%.*s", (int)sizeof(spec.target_type) - 1,
		 spec.target_type);
	start += sizeof(spec);
	snprintf(text, text_size, "%.*s", (int)(end - start), buffer.bytes + start);
	return 0;
}

int gate_dm_remove(int control, const char *name, bool deferred)
{
	struct dm_ioctl head;

	prepare(&head, sizeof(head), name, deferred ? DM_DEFERRED_REMOVE : 0);
	head.event_nr = UDEV_FLAGS;
	return issue(control, DM_DEV_REMOVE, &head);
}

/* struct dm_name_list: device, offset of the next, the name; behind that, aligned, its events. */
static void walk_list(const char *bytes, size_t size,
		      void (*each)(const char *name, uint32_t events, void *user), void *user)
{
	const size_t name_at = offsetof(struct dm_name_list, name);
	struct dm_name_list entry;
	size_t at = 0;

	while (at < size && size - at > name_at) {
		const char *name = bytes + at + name_at;
		size_t length = strnlen(name, size - at - name_at), events_at;
		uint32_t events = 0;

		memcpy(&entry, bytes + at, name_at);
		events_at = (at + name_at + length + 1 + 7) & ~(size_t)7;
		if (entry.dev == 0 || length == size - at - name_at)
			return;
		if (events_at + sizeof(events) <= size)
			memcpy(&events, bytes + events_at, sizeof(events));
		if (strncmp(name, "lunkeeper-", 10) == 0)
			each(name, events, user);
		if (entry.next == 0)
			return;
		at += entry.next;
	}
}

int gate_dm_list(int control, void (*each)(const char *name, uint32_t events, void *user),
		 void *user)
{
	int error = -ENOMEM;

	for (size_t size = BUFFER_SIZE; size <= LIST_MOST; size *= 4) {
		char *bytes = malloc(size);
		struct dm_ioctl head;
		bool full;

		if (!bytes)
			return -ENOMEM;
		prepare(&head, size, NULL, 0);
		memcpy(bytes, &head, sizeof(head));
		error = issue(control, DM_LIST_DEVICES, bytes);
		memcpy(&head, bytes, sizeof(head));
		full = error == 0 && (head.flags & DM_BUFFER_FULL_FLAG);
		if (error == 0 && !full && head.data_start < head.data_size &&
		    head.data_size <= size)
			walk_list(bytes + head.data_start, head.data_size - head.data_start, each,
				  user);
		free(bytes);
		if (!full)
			return error;
		error = -EMSGSIZE;
	}
	return error;
}

int gate_dm_arm(int control)
{
	struct dm_ioctl head;

	prepare(&head, sizeof(head), NULL, 0);
	return issue(control, DM_DEV_ARM_POLL, &head);
}
