/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The texts of a gate on a kernel device: the device-mapper table that makes it, the messages that
 * switch it, what its status says, and the names by which it is found again. Pure code: what the
 * kernel says is parsed with bounds checked, whatever it is.
 *
 * The table is one path of the `multipath` target in its bio mode (see docs/architecture.md, "The
 * gate on kernel devices").
 */
#ifndef CLUSTER_GATE_DM_TABLE_H
#define CLUSTER_GATE_DM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/gate/wire.h"

#define GATE_DM_TARGET "multipath"
#define GATE_DM_TABLE_SIZE 256 /* bytes of a table's or message's text, at most */
#define GATE_DM_NAME_SIZE 128  /* the kernel's limit, with the 0 */
#define GATE_DM_UUID_SIZE 129
#define GATE_DM_SERIAL_MAX 9999999u

/* The target's parameters for one path, major:minor: all I/O ends with an error as soon as that
 * path is failed. queue: it waits instead. Returns buffer. */
const char *gate_dm_table_text(uint32_t major, uint32_t minor, bool queue, char *buffer,
			       size_t size);
/* "fail_path 253:0". Returns buffer. */
const char *gate_dm_message_text(const char *verb, uint32_t major, uint32_t minor, char *buffer,
				 size_t size);

struct gate_dm_status {
	uint32_t major, minor; /* of the path */
	bool active;           /* I/O passes to it */
	uint32_t failures;     /* how often it was failed, by I/O or by a message */
};

/* What the target says of itself, STATUSTYPE_INFO. 0 or -EBADMSG: it is no table of ours. */
int gate_dm_status_parse(const char *text, struct gate_dm_status *status);
/* From its table: whether I/O waits while the path is failed. 0 or -EBADMSG. */
int gate_dm_queues_parse(const char *text, bool *queues);

enum gate_state gate_dm_state(bool active, bool queues);

/* Each device has a name and a UUID of its own, made of the LUN's name and a serial number; the
 * UUID tells also which run folder it belongs to, for device-mapper is one for the whole machine.
 * Return buffer. */
const char *gate_dm_name(const char *lun, uint32_t serial, char buffer[GATE_DM_NAME_SIZE]);
const char *gate_dm_uuid(uint32_t owner, const char *lun, uint32_t serial,
			 char buffer[GATE_DM_UUID_SIZE]);
/* lun points into uuid. -ENOENT: not one of ours. */
int gate_dm_uuid_parse(const char *uuid, uint32_t *owner, uint32_t *serial, const char **lun);
/* Of a run folder. */
uint32_t gate_dm_owner(const char *run_folder);

#endif
