/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which ISID qualifier which of our iSCSI sessions has. A target takes two sessions of one
 * initiator name and ISID to one of its portal groups for one session that was begun anew, and ends
 * the first (RFC 7143 6.3.5); so whatever may be logged in at the same time must differ.
 *
 *     0002-6fff  gates, one each (cluster/gate/nbdkit/process.c)
 *     7000-7fff  the daemon's sessions that look: one for each portal
 *     8000-ffff  the command line's (tools/lun/lun.h)
 */
#ifndef CLUSTER_CONFIG_ISID_H
#define CLUSTER_CONFIG_ISID_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/config/config.h"

#define ISID_GATE_FIRST 0x0002u
#define ISID_GATE_LAST 0x6fffu
#define ISID_LOOK_FIRST 0x7000u
#define ISID_LOOK_LAST 0x7fffu

/* For the daemon's session by lun->devices[device], an iscsi:// URL: made from portal and digest,
 * so that all LUNs behind a portal share one session, and different for any two portals of this
 * LUN. */
uint16_t isid_look_qualifier(const struct config_lun *lun, size_t device);

#endif
