/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The disk behind a fake target: INQUIRY and its pages, capacity, mode page, REPORT LUNS, and the
 * simulated logical unit's persistent reservations (tests/sim/lun.h). By itself it answers as the
 * standard says; each oddity, called by its name, makes it answer as some target in the field does.
 */
#ifndef TESTS_TABLE_FAKE_DISK_H
#define TESTS_TABLE_FAKE_DISK_H

#include "tests/sim/lun.h"

/* X(enumerator, name, what it does) */
#define FAKE_ODDITIES(X)                                                                           \
	X(PR_OUT_IGNORED, "pr-out-ignored", "PR OUT is answered GOOD and changes nothing")         \
	X(NO_PR, "no-pr", "PERSISTENT RESERVE IN and OUT are unknown")                             \
	X(NO_FULL_STATUS, "no-full-status", "READ FULL STATUS is unknown")                         \
	X(FULL_STATUS_CONFLICT, "full-status-conflict",                                            \
	  "READ FULL STATUS is answered by RESERVATION CONFLICT")                                  \
	X(FULL_STATUS_SILENT, "full-status-silent", "READ FULL STATUS is not answered")            \
	X(FULL_STATUS_CLOSES, "full-status-closes", "READ FULL STATUS ends the connection")        \
	X(FULL_STATUS_SWAPPED, "full-status-swapped",                                              \
	  "READ FULL STATUS has its keys in the other byte order")                                 \
	X(ZERO_KEYS, "zero-keys", "READ KEYS is filled up with keys of zeroes")                    \
	X(NO_RESOURCES, "no-resources", "REGISTER is refused: no room for another")                \
	X(STALE_HOLDER, "stale-holder",                                                            \
	  "READ RESERVATION shows the key by which it was reserved, also after a re-key")          \
	X(FOREIGN_HOLDER, "foreign-holder", "another initiator holds it, WE-RO")                   \
	X(FOREIGN_24, "foreign-24", "24 foreign registrations")                                    \
	X(FOREIGN_300, "foreign-300", "300 foreign registrations")                                 \
	X(ALL_REGISTRANTS, "all-registrants", "two foreign registrants hold it, WE-AR")            \
	X(TWO_GATEWAYS, "two-gateways", "two gateways, by turns, each with its own reservations")  \
	X(LONG_PAGE, "long-page", "VPD 83h is 6,000 bytes, the identity at its end")               \
	X(REVERSED_PAGE, "reversed-page", "VPD 83h is in another order on every other session")    \
	X(ZERO_IDENTITY, "zero-identity", "the identity is zeroes")                                \
	X(NO_CAPACITY, "no-capacity", "READ CAPACITY is refused")                                  \
	X(BLOCKS_4K, "4kn", "blocks of 4 KiB")                                                     \
	X(READ_ONLY, "read-only", "mapped read-only: WP in its mode page, 07/27/00 to writes")     \
	X(THIN_FULL, "thin-full", "its pool is full: WP in its mode page, 07/27/07 to writes")     \
	X(CAPITAL_NAME, "capital-name", "the target's name has capital letters, and they count")   \
	X(REDIRECT_DEAD, "redirect-dead", "logins are sent on to where nothing listens")

enum fake_oddity {
#define FAKE_ODDITY(enumerator, name, says) FAKE_##enumerator,
	FAKE_ODDITIES(FAKE_ODDITY)
#undef FAKE_ODDITY
		FAKE_ODDITY_COUNT,
};

const char *fake_oddity_name(enum fake_oddity oddity);
const char *fake_oddity_says(enum fake_oddity oddity);
/* By its name; FAKE_ODDITY_COUNT: there is none of it. */
enum fake_oddity fake_oddity_find(const char *name);

struct fake_reply {
	enum { FAKE_REPLY_ANSWER, FAKE_REPLY_SILENCE, FAKE_REPLY_CLOSE } kind;
	uint8_t status, sense_length, sense[18];
	uint32_t length; /* of data that there is, whatever was asked for */
	uint8_t data[32768];
};

struct fake_disk {
	struct lun gateways[2]; /* the second for two-gateways only */
	bool odd[FAKE_ODDITY_COUNT];
	unsigned sessions;
	uint64_t shown_holder; /* stale-holder */
	unsigned orders;       /* PR OUT that came */
};

void fake_disk_init(struct fake_disk *disk, const bool odd[FAKE_ODDITY_COUNT]);
/* A session of that initiator: returns what to call it by in fake_disk_command(). */
unsigned fake_disk_login(struct fake_disk *disk, const char *initiator, const uint8_t isid[6]);
void fake_disk_command(struct fake_disk *disk, unsigned session, const uint8_t *cdb,
		       const uint8_t *data, uint32_t length, struct fake_reply *reply);

#endif
