/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ISID qualifiers of the daemon's sessions. Pure.
 */
#include "cluster/config/isid.h"

#include <string.h>

#include "iscsi/url.h"

#define ISID_LOOK_COUNT (ISID_LOOK_LAST - ISID_LOOK_FIRST + 1)

static bool isid_portal(const char *device, struct lun_url *url)
{
	const char *problem;

	return lun_url_parse(url, device, &problem) == 0;
}

static int isid_portal_compare(const struct lun_url *a, const struct lun_url *b)
{
	int difference = strcmp(a->host, b->host);

	return difference ? difference : (int)a->port - (int)b->port;
}

/* FNV-1a. */
static uint32_t isid_portal_hash(const struct lun_url *url, bool digest)
{
	uint32_t hash = 2166136261u;

	for (const char *at = url->host; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	hash = (hash ^ (url->port & 0xff)) * 16777619u;
	hash = (hash ^ (url->port >> 8)) * 16777619u;
	hash = (hash ^ digest) * 16777619u;
	return (hash ^ hash >> 16) % ISID_LOOK_COUNT;
}

uint16_t isid_look_qualifier(const struct config_lun *lun, size_t device)
{
	struct lun_url url, other;
	uint32_t place;

	if (!isid_portal(lun->devices[device], &url))
		return ISID_LOOK_FIRST;
	place = isid_portal_hash(&url, lun->header_digest);
	/* Of two portals with one number the later in the order of their names takes the next. */
	for (size_t i = 0; i < lun->device_count; i++) {
		if (!isid_portal(lun->devices[i], &other) || isid_portal_compare(&other, &url) >= 0)
			continue;
		if (isid_portal_hash(&other, lun->header_digest) ==
		    isid_portal_hash(&url, lun->header_digest))
			place++;
	}
	return (uint16_t)(ISID_LOOK_FIRST + place % ISID_LOOK_COUNT);
}
