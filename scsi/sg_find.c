/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Looks through block/ of sysfs for a designator: a multipath map by its uuid or by its members,
 * else the disks themselves.
 */
#include "scsi/sg_find.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "scsi/identity.h"
#include "scsi/sysfs.h"

#define SG_PAGE_MAX 512 /* of VPD 83h; designators beyond are not looked at */
#define SG_BLOCK_NAME_MAX 64

struct sg_identity {
	char text[SCSI_WWID_MAX]; /* as the kernel writes it; "" if it does not */
	uint8_t page[SG_PAGE_MAX];
	size_t length;
};

struct sg_entry {
	char name[SG_BLOCK_NAME_MAX]; /* "sdb", "dm-3" */
	char uuid[160];               /* of a multipath map, else "" */
	struct sg_identity identity;  /* of a disk */
};

struct sg_index {
	size_t count;
	struct sg_entry *entries; /* in the order of their names */
};

/* folder: a disk's or a generic device's, with the link `device`. */
static void sg_identity_read(struct sg_identity *identity, const char *folder)
{
	sysfs_attribute(folder, "device/wwid", identity->text, sizeof(identity->text));
	identity->length =
		sysfs_bytes(folder, "device/vpd_pg83", identity->page, sizeof(identity->page));
}

static int sg_identity_is(const struct sg_identity *identity, const char *wwid)
{
	if (identity->length > 0)
		return scsi_wwid_present(wwid, identity->page, identity->length);
	if (identity->text[0] == '\0')
		return -ENOENT;
	if (strncmp(wwid, "wwn-", 4) == 0)
		wwid += 4;
	if (strncmp(wwid, "0x", 2) == 0)
		return strncmp(identity->text, "naa.", 4) == 0 &&
		       strcasecmp(identity->text + 4, wwid + 2) == 0;
	return strcasecmp(identity->text, wwid) == 0;
}

/* multipathd's name for it: the designator type as a digit, then its hex digits (udev's
 * scsi_id). */
static bool sg_uuid_is(const char *uuid, const char *wwid)
{
	static const struct {
		const char *prefix;
		char digit;
	} kinds[] = {{"naa.", '3'}, {"wwn-0x", '3'}, {"0x", '3'}, {"eui.", '2'}, {"t10.", '1'}};

	if (strncmp(uuid, "mpath-", 6) != 0)
		return false;
	uuid += 6;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t length = strlen(kinds[i].prefix);

		if (strncmp(wwid, kinds[i].prefix, length) == 0)
			return uuid[0] == kinds[i].digit &&
			       strcasecmp(uuid + 1, wwid + length) == 0;
	}
	return false;
}

static int sg_select_disk(const struct dirent *entry)
{
	return strncmp(entry->d_name, "sd", 2) == 0 || strncmp(entry->d_name, "dm-", 3) == 0;
}

static void sg_index_add(struct sg_index *index, const char *folder, const char *name)
{
	struct sg_entry *entry = &index->entries[index->count];
	char path[PATH_MAX];

	if (!sysfs_join(path, folder, name) || strlen(name) >= sizeof(entry->name))
		return;
	strcpy(entry->name, name);
	if (name[0] == 'd') {
		sysfs_attribute(path, "dm/uuid", entry->uuid, sizeof(entry->uuid));
		if (strncmp(entry->uuid, "mpath-", 6) != 0) {
			entry->uuid[0] = '\0'; /* the entry is the next one's */
			return;
		}
	} else {
		sg_identity_read(&entry->identity, path);
	}
	index->count++;
}

struct sg_index *sg_index_read(const struct sg_roots *roots)
{
	struct sg_index *index = calloc(1, sizeof(*index));
	struct dirent **names = NULL;
	char folder[PATH_MAX];
	int found;

	if (!index)
		return NULL;
	found = sysfs_join(folder, roots->sysfs, "block")
			? scandir(folder, &names, sg_select_disk, versionsort)
			: 0;
	if (found > 0)
		index->entries = calloc((size_t)found, sizeof(*index->entries));
	for (int i = 0; i < found; i++) {
		if (index->entries)
			sg_index_add(index, folder, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	if (found > 0 && !index->entries) {
		free(index);
		return NULL;
	}
	return index;
}

void sg_index_free(struct sg_index *index)
{
	if (index)
		free(index->entries);
	free(index);
}

int sg_device_is(const struct sg_roots *roots, const struct sg_device *device, const char *wwid,
		 char *seen, size_t size)
{
	struct sg_identity identity;
	const char *name = strrchr(device->node, '/');
	char classes[PATH_MAX], folder[PATH_MAX];

	seen[0] = '\0';
	if (!sysfs_join(classes, roots->sysfs, "class/scsi_generic") ||
	    !sysfs_join(folder, classes, name ? name + 1 : device->node))
		return -ENOENT;
	sg_identity_read(&identity, folder);
	if (scsi_wwid_decode(seen, size, identity.page, identity.length) < 0)
		snprintf(seen, size, "%s", identity.text);
	return sg_identity_is(&identity, wwid);
}

/* ---- a place ---- */

struct sg_seeking {
	const struct sg_roots *roots;
	const struct sg_wanted *wanted;
	struct sg_place *place;
	int error;        /* the first */
	unsigned claimed; /* disks of the LUN that wait for their map */
};

static void sg_say(struct sg_place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void sg_say(struct sg_place *place, const char *format, ...)
{
	size_t used = strlen(place->message);
	va_list arguments;

	if (used > 0 && used + 2 < sizeof(place->message)) {
		strcpy(place->message + used, "; ");
		used += 2;
	}
	va_start(arguments, format);
	vsnprintf(place->message + used, sizeof(place->message) - used, format, arguments);
	va_end(arguments);
}

static void sg_place_add(struct sg_place *place, const struct sg_device *devices, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool there = false;

		for (size_t k = 0; k < place->count; k++)
			there = there || strcmp(place->devices[k].node, devices[i].node) == 0;
		if (!there && place->count < SG_PLACE_DEVICES_MAX)
			place->devices[place->count++] = devices[i];
	}
}

static bool sg_is_block(const struct sg_roots *roots, const char *path)
{
	struct stat node;

	return roots->stat(path, &node) == 0 && S_ISBLK(node.st_mode);
}

static bool sg_is_map(const struct sg_roots *roots, const char *path)
{
	struct stat node;
	char folder[PATH_MAX], uuid[16];

	if (roots->stat(path, &node) < 0)
		return false;
	snprintf(folder, sizeof(folder), "%s/dev/block/%u:%u", roots->sysfs, major(node.st_rdev),
		 minor(node.st_rdev));
	sysfs_attribute(folder, "dm/uuid", uuid, sizeof(uuid));
	return strncmp(uuid, "mpath-", 6) == 0;
}

/* Takes the specification, unless it is another logical unit than wanted. */
static void sg_place_specified(struct sg_seeking *seeking, const char *specification)
{
	struct sg_place *place = seeking->place;
	struct sg_device devices[SG_PLACE_DEVICES_MAX];
	char message[SG_PLACE_MESSAGE_MAX / 2], seen[SCSI_WWID_MAX];
	size_t count;
	int rc = sg_resolve(seeking->roots, specification, devices, SG_PLACE_DEVICES_MAX, &count,
			    message, sizeof(message));

	if (rc < 0) {
		sg_say(place, "%s", message);
		seeking->error = seeking->error ? seeking->error : rc;
		return;
	}
	for (size_t i = 0; i < count && seeking->wanted->wwid; i++) {
		if (sg_device_is(seeking->roots, &devices[i], seeking->wanted->wwid, seen,
				 sizeof(seen)) != 0)
			continue;
		sg_say(place, "%s is another logical unit: %s; nothing is sent to it",
		       specification, seen[0] ? seen : "one without a name");
		seeking->error = seeking->error ? seeking->error : -ESTALE;
		return;
	}
	if (place->block[0] == '\0' && sg_is_block(seeking->roots, specification)) {
		snprintf(place->block, sizeof(place->block), "%s", specification);
		place->map = sg_is_map(seeking->roots, specification);
	}
	sg_place_add(place, devices, count);
}

/* The name that people know a map by, if udev has made it. */
static void sg_map_node(const struct sg_roots *roots, const char *name, char node[SG_NODE_MAX])
{
	char folder[PATH_MAX], map[128], plain[SG_NODE_MAX];
	struct stat named, numbered;

	snprintf(folder, sizeof(folder), "%s/block/%s", roots->sysfs, name);
	sysfs_attribute(folder, "dm/name", map, sizeof(map));
	snprintf(plain, sizeof(plain), "%s/%.64s", roots->dev, name);
	if (map[0] && snprintf(node, SG_NODE_MAX, "%s/mapper/%s", roots->dev, map) < SG_NODE_MAX &&
	    roots->stat(node, &named) == 0 && roots->stat(plain, &numbered) == 0 &&
	    S_ISBLK(named.st_mode) && named.st_rdev == numbered.st_rdev)
		return;
	strcpy(node, plain);
}

static bool sg_take_map(struct sg_seeking *seeking, const struct sg_entry *entry)
{
	struct sg_place *place = seeking->place;
	struct sg_device devices[SG_PLACE_DEVICES_MAX];
	char message[SG_PLACE_MESSAGE_MAX / 2];
	size_t count;

	sg_map_node(seeking->roots, entry->name, place->block);
	place->map = true;
	if (sg_resolve(seeking->roots, place->block, devices, SG_PLACE_DEVICES_MAX, &count, message,
		       sizeof(message)) < 0)
		sg_say(place, "%s", message);
	else
		sg_place_add(place, devices, count);
	return true;
}

/* Whether multipathd is to have the disk: udev's rules have asked it, or are yet to ask. Who takes
 * the disk for himself then keeps the map from ever being made. */
static bool sg_is_multipaths(const struct sg_roots *roots, const char *name)
{
	char folder[PATH_MAX], numbers[32], path[PATH_MAX], line[256];
	bool is = false;
	FILE *file;

	if (!roots->udev || access(roots->udev, F_OK) < 0)
		return false;
	snprintf(folder, sizeof(folder), "%s/block/%s", roots->sysfs, name);
	sysfs_attribute(folder, "dev", numbers, sizeof(numbers));
	snprintf(path, sizeof(path), "%s/b%s", roots->udev, numbers);
	file = fopen(path, "re");
	if (!file)
		return true; /* its rules are still being run */
	while (!is && fgets(line, sizeof(line), file))
		is = strncmp(line, "E:DM_MULTIPATH_DEVICE_PATH=1", 28) == 0;
	fclose(file);
	return is;
}

static bool sg_take_disk(struct sg_seeking *seeking, const struct sg_entry *entry)
{
	struct sg_place *place = seeking->place;
	struct sg_device device;
	char node[SG_NODE_MAX], message[SG_PLACE_MESSAGE_MAX / 2];
	size_t count;

	snprintf(node, sizeof(node), "%s/%.64s", seeking->roots->dev, entry->name);
	if (sg_resolve(seeking->roots, node, &device, 1, &count, message, sizeof(message)) < 0) {
		sg_say(place, "%s", message);
		return false;
	}
	if (sg_is_multipaths(seeking->roots, entry->name)) {
		seeking->claimed++;
		return false;
	}
	if (place->block[0] == '\0')
		snprintf(place->block, sizeof(place->block), "%s", node);
	sg_place_add(place, &device, 1);
	return true;
}

/* Members that a map is yet to take in are paths already: whoever registers them now does so before
 * data uses them. */
static void sg_place_members(struct sg_seeking *seeking, const struct sg_index *index)
{
	struct sg_place *place = seeking->place;
	char wwid[SCSI_WWID_MAX], node[SG_NODE_MAX], message[SG_PLACE_MESSAGE_MAX / 2];
	struct sg_device device;
	size_t count;

	if (!place->map || place->count == 0)
		return;
	if (seeking->wanted->wwid)
		snprintf(wwid, sizeof(wwid), "%s", seeking->wanted->wwid);
	else
		sg_device_is(seeking->roots, &place->devices[0], "", wwid, sizeof(wwid));
	for (size_t i = 0; i < index->count && wwid[0]; i++) {
		if (index->entries[i].uuid[0] ||
		    sg_identity_is(&index->entries[i].identity, wwid) != 1)
			continue;
		snprintf(node, sizeof(node), "%s/%.64s", seeking->roots->dev,
			 index->entries[i].name);
		if (sg_resolve(seeking->roots, node, &device, 1, &count, message,
			       sizeof(message)) == 0)
			sg_place_add(place, &device, 1);
	}
}

static void sg_place_by_wwid(struct sg_seeking *seeking, const struct sg_index *index)
{
	size_t disks = 0;

	for (size_t i = 0; i < index->count; i++) {
		const struct sg_entry *entry = &index->entries[i];

		if (entry->uuid[0] && sg_uuid_is(entry->uuid, seeking->wanted->wwid) &&
		    sg_take_map(seeking, entry))
			return;
	}
	for (size_t i = 0; i < index->count; i++) {
		const struct sg_entry *entry = &index->entries[i];

		if (!entry->uuid[0] && sg_identity_is(&entry->identity, seeking->wanted->wwid) == 1)
			disks += sg_take_disk(seeking, entry);
	}
	if (disks > 1)
		sg_say(seeking->place,
		       "%zu disks are this LUN, but there is no multipath map of them: data goes "
		       "through %s alone; see `multipath -ll`",
		       disks, seeking->place->block);
}

int sg_place_find(const struct sg_roots *roots, const struct sg_index *index,
		  const struct sg_wanted *wanted, struct sg_place *place)
{
	struct sg_seeking seeking = {.roots = roots, .wanted = wanted, .place = place};
	struct sg_index *own = NULL;

	memset(place, 0, sizeof(*place));
	for (size_t i = 0; i < wanted->count; i++)
		sg_place_specified(&seeking, wanted->specifications[i]);
	if (place->count == 0 && !wanted->wwid)
		return seeking.error ? seeking.error : -ENOENT;
	if (place->count > 0 && !place->map)
		return 0;
	if (!index) {
		own = sg_index_read(roots);
		if (!own)
			return -ENOMEM;
		index = own;
	}
	if (place->count == 0) {
		sg_place_by_wwid(&seeking, index);
		place->elsewhere = place->count > 0 && wanted->count > 0;
	}
	sg_place_members(&seeking, index);
	sg_index_free(own);
	if (place->count > 0) {
		if (place->elsewhere)
			sg_say(place, "%s is %s", wanted->wwid, place->block);
		return 0;
	}
	if (seeking.claimed > 0)
		sg_say(place,
		       "%u disks of %s are there, but no multipath map of them yet; see `multipath "
		       "-ll`",
		       seeking.claimed, wanted->wwid);
	else if (place->block[0] == '\0')
		sg_say(place,
		       "no disk says that it is %s; log in to the target or rescan the bus, and "
		       "see `lsscsi -i` or /dev/disk/by-id",
		       wanted->wwid);
	return seeking.error ? seeking.error : -ENODEV;
}
