/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SendTargets discovery (RFC 7143 4.3, appendix C): which targets a portal offers to an initiator,
 * and where.
 */
#ifndef ISCSI_DISCOVERY_H
#define ISCSI_DISCOVERY_H

#include <stddef.h>
#include <stdint.h>

#define DISCOVERY_PORTALS_MAX 16
#define DISCOVERY_ADDRESS_MAX 128

struct discovery_target {
	char *name;
	size_t portal_count;
	/* "10.0.0.1:3260", without the portal group */
	char portals[DISCOVERY_PORTALS_MAX][DISCOVERY_ADDRESS_MAX];
};

struct discovery {
	struct discovery_target *targets;
	size_t count;
};

struct discovery_options {
	const char *portal; /* "host", "host:port", "[fe80::1]:3260" */
	const char *initiator_name;
	const char *secrets_file; /* CHAP of the discovery session: its line for the target
				     "discovery"; NULL: none */
	uint32_t timeout_ms;
};

/* Blocks for timeout_ms at most. Returns 0, or -errno with a message for people. */
int discovery_read(struct discovery *discovery, const struct discovery_options *options,
		   char *message, size_t message_size);
void discovery_free(struct discovery *discovery);

#endif
