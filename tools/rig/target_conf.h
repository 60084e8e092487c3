/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What makes a Linux machine the SAN of a test rig: LIO, the kernel's target, as targetcli is told
 * to set it up. Pure: a description goes in, text comes out, either the lines that targetcli reads
 * on its standard input or a shell script around them.
 */
#ifndef TOOLS_RIG_TARGET_CONF_H
#define TOOLS_RIG_TARGET_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "iscsi/secrets.h"
#include "iscsi/url.h"

#define RIG_TARGET_PREFIX "iqn.2024-01.com.example" /* of names that nobody gave */
#define RIG_TARGET_FOLDER "/srv/lunkeeper"
#define RIG_TARGET_LUN_MAX 255   /* the highest number that targetcli maps to an initiator */
#define RIG_TARGET_NAME_MAX 16   /* of a back store: as much as INQUIRY's product field holds */
#define RIG_TARGET_SECRET_MIN 12 /* bytes; RFC 7143 12.1.3 asks for 96 bits */

struct rig_target_portal {
	char address[48]; /* numeric, IPv6 without brackets */
	uint16_t port;
};

struct rig_target_lun {
	unsigned number;
	const char *name;   /* of the back store */
	const char *device; /* a block device; NULL: a sparse file of `size` bytes */
	const char *file;
	const char *serial; /* of the unit, from which its designators come; NULL: LIO makes one */
	uint64_t size;
};

struct rig_target_acl {
	const char *initiator;
	struct secrets
		chap; /* found: this node logs in with CHAP; mutual: and so does the target */
};

struct rig_target_conf {
	const char *target;
	const struct rig_target_portal *portals; /* none: every address, port 3260 */
	size_t portal_count;
	const struct rig_target_lun *luns;
	size_t lun_count;
	const struct rig_target_acl *acls;
	size_t acl_count;
};

/* "10.0.1.10", "10.0.1.10:3261", "fd00::1", "[fd00::1]:3261". Returns 0, or -EINVAL with *problem
 * set to static text. */
int rig_target_portal_parse(struct rig_target_portal *portal, const char *text,
			    const char **problem);

/* True when targetcli takes the name: an iSCSI name in lower case without '_', and an iqn's naming
 * authority has a dot in it. */
bool rig_target_iqn_valid(const char *name);

/* Everything that targetcli would choke on, or take and make something else of. Returns 0, or
 * -EINVAL and a message that names what is wrong; it never has a secret in it. */
int rig_target_conf_check(const struct rig_target_conf *conf, char *message, size_t size);

/* The lines for targetcli's standard input, with comments, which it passes over. */
void rig_target_conf_write_batch(const struct rig_target_conf *conf, FILE *out);

/* A complete /bin/sh script: checks for what it needs, runs the batch, makes the folder for
 * reservations that shall outlive a power cut, and shows what there is now. It installs nothing,
 * and changes nothing when the target is there already. */
void rig_target_conf_write_script(const struct rig_target_conf *conf, FILE *out);

#endif
