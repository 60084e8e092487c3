/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done when a LUN has another size than the kernel believes. Pure. An array tells nobody,
 * or only those who ask, that a LUN has grown; the kernel asks when a disk appears and never again.
 * So the LUN is asked now and then, on owner and standby alike: a standby whose kernel has the old
 * size could not mount a file system that has grown on the owner.
 */
#ifndef CLUSTER_CORE_SIZE_POLICY_H
#define CLUSTER_CORE_SIZE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define SIZE_ASK_MS 30000 /* the LUN is asked this often */
#define SIZE_ASK_MOST_MS                                                                           \
	600000               /* while it does not answer, twice as seldom each time, up to this */
#define SIZE_CONFIRM_MS 1000 /* a smaller one is believed when it was said twice */
#define SIZE_AGAIN_MS 300000 /* a rescan that did not help is repeated */
#define SIZE_NEWS_MS 10000   /* ... but not before this, also when a path has come back */

/* Of one LUN; zeroed at first. */
struct size_policy {
	bool begun;
	bool asking;  /* a question is on its way */
	bool working; /* a rescan is */
	uint64_t ask_ms;
	unsigned failures;     /* questions in a row that were not answered */
	uint64_t smaller;      /* what was said once, and is not believed yet; 0 none */
	uint64_t told_smaller; /* 0: nothing was told */
	uint64_t told_stuck;
	uint64_t rescan_ms, rescanned_ms; /* not before; and when it was last */
	uint64_t from, to;                /* of the last rescan */
};

/* Sizes in bytes; 0: not known. */
struct size_seen {
	uint64_t lun; /* READ CAPACITY */
	/* The kernel's, of those disks whose path is up. */
	uint64_t disk_least, disk_most;
	uint64_t map; /* and of their multipath map */
};

enum size_verdict {
	SIZE_VERDICT_NONE,
	SIZE_VERDICT_RESCAN,  /* from, to; size_policy_rescanned() follows */
	SIZE_VERDICT_GREW,    /* the kernel has it now */
	SIZE_VERDICT_STUCK,   /* the rescan did not help; told once for a size */
	SIZE_VERDICT_SETTLED, /* after STUCK: it has it after all */
	SIZE_VERDICT_SMALLER, /* the kernel believes more than there is: told once for a size */
};

/* Whether the LUN is to be asked now. The first time: after stagger_ms. */
bool size_policy_is_due(struct size_policy *policy, uint64_t now_ms, uint64_t stagger_ms);
/* It is: one of the next two follows. */
void size_policy_asked(struct size_policy *policy);
enum size_verdict size_policy_answered(struct size_policy *policy, const struct size_seen *seen,
				       uint64_t now_ms);
void size_policy_unanswered(struct size_policy *policy, uint64_t now_ms);
/* The rescan has ended, well or not; what the kernel believes now (`lun` is not looked at). */
enum size_verdict size_policy_rescanned(struct size_policy *policy, const struct size_seen *seen,
					uint64_t now_ms);
/* The LUN has said that its capacity has changed, or a path has come up: it is asked at once. */
void size_policy_news(struct size_policy *policy, uint64_t now_ms);

#endif
