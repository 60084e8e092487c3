/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads class/iscsi_session and class/iscsi_connection, and the SCSI devices below each session's
 * own device:
 *
 *     class/iscsi_session/session1/{targetname,state,...}    class/iscsi_session/session1/device/
 *     class/iscsi_connection/connection1:0/{address,port}
 * target2:0:0/2:0:0:1/{block/sdb,scsi_generic/sg2,state}
 */
#include "iscsi/sessions.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 65536 /* of one kind; more is no sysfs */

static bool join(char path[PATH_MAX], const char *folder, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);

	return length > 0 && length < PATH_MAX;
}

/* The first line of a file, printable, cut to size; empty if there is none. */
static void read_word(const char *folder, const char *name, char *word, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	word[0] = 0;
	if (!join(path, folder, name))
		return;
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(word, (int)size, file))
		word[0] = 0;
	fclose(file);
	word[strcspn(word, "\r\n")] = 0;
	/* The kernel prints what it has not got as "<NULL>". */
	if (!strcmp(word, "<NULL>") || !strcmp(word, "(null)"))
		word[0] = 0;
	for (char *c = word; *c; c++) {
		if (!isprint((unsigned char)*c))
			*c = '?';
	}
}

static void *grow(void *list, size_t count, size_t size)
{
	if (count >= ENTRIES_MAX)
		return NULL;
	if (count & (count - 1)) /* room up to the next power of two */
		return list;
	return realloc(list, (count ? 2 * count : 1) * size);
}

/* The name of the only entry of a folder, like block/sdb. */
static void read_only_entry(const char *folder, const char *name, char *word, size_t size)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *stream;

	word[0] = 0;
	if (!join(path, folder, name))
		return;
	stream = opendir(path);
	if (!stream)
		return;
	while ((entry = readdir(stream))) {
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < size) {
			strcpy(word, entry->d_name);
			break;
		}
	}
	closedir(stream);
}

static int add_disk(struct kernel_session *session, const char *folder,
		    const struct kernel_disk *address)
{
	struct kernel_disk *disks = grow(session->disks, session->disk_count, sizeof(*disks)),
			   *disk;

	if (!disks)
		return -ENOMEM;
	session->disks = disks;
	disk = &disks[session->disk_count++];
	*disk = *address;
	read_only_entry(folder, "block", disk->block, sizeof(disk->block));
	read_only_entry(folder, "scsi_generic", disk->generic, sizeof(disk->generic));
	read_word(folder, "state", disk->state, sizeof(disk->state));
	return 0;
}

/* Calls visit for each entry of the folder; a folder that is not there has none. */
static int each_entry(const char *folder,
		      int (*visit)(const char *folder, const char *name, void *user), void *user)
{
	DIR *stream = opendir(folder);
	struct dirent *entry;
	int error = 0;

	if (!stream)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	while (!error && (entry = readdir(stream))) {
		if (entry->d_name[0] != '.')
			error = visit(folder, entry->d_name, user);
	}
	closedir(stream);
	return error;
}

static int visit_device(const char *folder, const char *name, void *user)
{
	struct kernel_disk address = {.block = ""};
	char path[PATH_MAX];
	int end = 0;

	if (sscanf(name, "%u:%u:%u:%" SCNu64 "%n", &address.host, &address.channel, &address.target,
		   &address.lun, &end) != 4 ||
	    name[end])
		return 0;
	if (!join(path, folder, name))
		return 0;
	return add_disk(user, path, &address);
}

static int visit_target(const char *folder, const char *name, void *user)
{
	unsigned host, channel, target;
	char path[PATH_MAX];
	int end = 0;

	if (sscanf(name, "target%u:%u:%u%n", &host, &channel, &target, &end) != 3 || name[end])
		return 0;
	if (!join(path, folder, name))
		return 0;
	return each_entry(path, visit_device, user);
}

static int compare_disks(const void *a, const void *b)
{
	const struct kernel_disk *left = a, *right = b;

	return left->lun < right->lun ? -1 : left->lun > right->lun;
}

static int compare_sessions(const void *a, const void *b)
{
	const struct kernel_session *left = a, *right = b;

	return left->number < right->number ? -1 : left->number > right->number;
}

/* Connection 0 is the only one that open-iscsi makes. */
static void read_connection(struct kernel_session *session, const char *sysfs)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/class/iscsi_connection/connection%u:0", sysfs,
		     session->number) >= (int)sizeof(path))
		return;
	read_word(path, "persistent_address", session->address, sizeof(session->address));
	read_word(path, "persistent_port", session->port, sizeof(session->port));
	/* These two are empty while it is not connected, and another's after a redirection. */
	if (!session->address[0])
		read_word(path, "address", session->address, sizeof(session->address));
	if (!session->port[0])
		read_word(path, "port", session->port, sizeof(session->port));
}

struct reading {
	struct kernel_sessions *sessions;
	const char *sysfs;
};

static int visit_session(const char *folder, const char *name, void *user)
{
	struct reading *reading = user;
	struct kernel_sessions *list = reading->sessions;
	struct kernel_session *sessions, *session;
	char path[PATH_MAX], device[PATH_MAX], word[KERNEL_WORD_MAX];
	unsigned number;
	int end = 0, error;

	if (sscanf(name, "session%u%n", &number, &end) != 1 || name[end])
		return 0;
	sessions = grow(list->sessions, list->count, sizeof(*sessions));
	if (!sessions)
		return -ENOMEM;
	list->sessions = sessions;
	session = &sessions[list->count++];
	memset(session, 0, sizeof(*session));
	session->number = number;
	if (!join(path, folder, name))
		return 0;
	read_word(path, "targetname", session->target, sizeof(session->target));
	read_word(path, "initiatorname", session->initiator, sizeof(session->initiator));
	read_word(path, "state", session->state, sizeof(session->state));
	read_word(path, "isid", session->isid, sizeof(session->isid));
	read_word(path, "ifacename", session->interface, sizeof(session->interface));
	read_word(path, "tpgt", word, sizeof(word));
	session->portal_group = (unsigned)strtoul(word, NULL, 10);
	read_connection(session, reading->sysfs);
	if (!join(device, path, "device"))
		return 0;
	error = each_entry(device, visit_target, session);
	if (session->disk_count)
		qsort(session->disks, session->disk_count, sizeof(*session->disks), compare_disks);
	return error;
}

int kernel_sessions_read(struct kernel_sessions *sessions, const char *sysfs)
{
	struct reading reading = {.sessions = sessions, .sysfs = sysfs};
	char path[PATH_MAX];
	int error;

	memset(sessions, 0, sizeof(*sessions));
	if (snprintf(path, sizeof(path), "%s/class/iscsi_session", sysfs) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	error = each_entry(path, visit_session, &reading);
	if (error) {
		kernel_sessions_free(sessions);
		return error;
	}
	if (sessions->count)
		qsort(sessions->sessions, sessions->count, sizeof(*sessions->sessions),
		      compare_sessions);
	return 0;
}

void kernel_sessions_free(struct kernel_sessions *sessions)
{
	for (size_t i = 0; i < sessions->count; i++)
		free(sessions->sessions[i].disks);
	free(sessions->sessions);
	memset(sessions, 0, sizeof(*sessions));
}

const struct kernel_session *kernel_sessions_find(const struct kernel_sessions *sessions,
						  const char *name, const struct kernel_disk **disk)
{
	if (!strncmp(name, "/dev/", 5))
		name += 5;
	for (size_t i = 0; i < sessions->count && *name; i++) {
		const struct kernel_session *session = &sessions->sessions[i];

		for (size_t j = 0; j < session->disk_count; j++) {
			*disk = &session->disks[j];
			if (!strcmp(name, (*disk)->block) || !strcmp(name, (*disk)->generic))
				return session;
		}
	}
	*disk = NULL;
	return NULL;
}

const char *kernel_disk_url(const struct kernel_session *session, const struct kernel_disk *disk,
			    char *buffer, size_t size)
{
	bool v6 = strchr(session->address, ':') && session->address[0] != '[';
	/* The kernel shows the LUN field as a number; flat space addressing (SAM-5 4.7.7.4) is
	 * 4000h + LUN. */
	uint64_t lun = disk->lun >> 14 == 1 ? disk->lun & 0x3fff : disk->lun;

	snprintf(buffer, size, "iscsi://%s%s%s:%s/%s/%" PRIu64, v6 ? "[" : "", session->address,
		 v6 ? "]" : "", session->port[0] ? session->port : "3260", session->target, lun);
	return buffer;
}
