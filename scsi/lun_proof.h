/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Is this still the logical unit that is meant? A target may put another one under the same number
 * while a session lives, and nothing but the unit itself can tell: its designators (VPD 83h), its
 * block size and that it has not shrunk. Asked on the very nexus by which something is to be sent.
 */
#ifndef SCSI_LUN_PROOF_H
#define SCSI_LUN_PROOF_H

#include "scsi/identity.h"
#include "scsi/pr_exec.h"
#include "scsi/vpd.h"

#define LUN_PROOF_TEXT 360

/* Who is meant: what the configuration says, and what the unit said when it was proven first. The
 * caller's; zeroed at first. */
struct lun_identity {
	char wanted[SCSI_WWID_MAX]; /* a designator that must be there; "": any */
	uint8_t *page;              /* VPD 83h; NULL: not known yet, or the device has none */
	size_t page_length;
	uint64_t blocks; /* 0: not known yet */
	uint32_t block_size;
};

enum lun_proof_verdict {
	LUN_VERDICT_UNKNOWN, /* no answer, or none that says who it is: the result tells */
	LUN_VERDICT_GONE,    /* nothing stands under this number */
	LUN_VERDICT_OTHER,   /* another logical unit, or one of another size */
	LUN_VERDICT_SAME,
};

/* Is what is described by this page (length 0: it has none) and this capacity (blocks 0: not known)
 * who is meant? OTHER: with a text for people that names both. Pure. */
enum lun_proof_verdict lun_identity_judge(const struct lun_identity *identity, const uint8_t *page,
					  size_t length, const struct scsi_capacity *capacity,
					  char *text, size_t size);
/* Is a page that another path gave, or this one at another time (length 0: it has none), one of the
 * same logical unit? One without a page is only like another without one. Pure. */
bool lun_identity_is(const struct lun_identity *identity, const uint8_t *page, size_t length);
/* What was proven is remembered; one that grew has grown. 0 or -ENOMEM (what was known stays). */
int lun_identity_learn(struct lun_identity *identity, const uint8_t *page, size_t length,
		       const struct scsi_capacity *capacity);
void lun_identity_free(struct lun_identity *identity);

struct lun_proof;
typedef void lun_proof_done(struct lun_proof *proof);

/* Zeroed before its first use; lun_proof_release() after its last. See pr_exec.h for the rest. */
struct lun_proof {
	struct pr_exec exec; /* the last answer; attentions, counters */
	void *user;          /* the caller's */
	enum lun_proof_verdict verdict;
	char text[LUN_PROOF_TEXT]; /* of OTHER and GONE */
	struct scsi_capacity capacity;
	/* Its own: */
	struct lun_identity *identity;
	lun_proof_done *done;
	uint8_t step, rounds;
	uint32_t attentions;
	uint8_t buffer[32];
	struct vpd_reader page;
};

/* READ CAPACITY, which takes the unit attentions that are there, then VPD 83h; again when an
 * attention came in between. What is proven is learned. */
void lun_proof_start(struct lun_proof *proof, struct path *path, struct lun_identity *identity,
		     uint32_t timeout_ms, lun_proof_done *done);
void lun_proof_release(struct lun_proof *proof);

struct pr_order;
typedef void pr_order_done(struct pr_order *order);

/* One PERSISTENT RESERVE OUT to the logical unit that is meant, and to no other. A GOOD answer is no
 * ownership: look. */
struct pr_order {
	struct pr_exec exec; /* exec.request.result; attentions and counters of the whole errand.
				FAILED, -ESTALE: it was not sent, and proof.verdict and proof.text
				say why */
	void *user;          /* the caller's */
	struct lun_proof proof;
	/* Its own: */
	pr_order_done *done;
	uint32_t timeout_ms;
	uint8_t rounds;
	uint8_t parameters[PR_OUT_PARAMETER_LENGTH + PR_TRANSPORT_ID_MAX];
	struct pr_out out;
};

/* Proves who is there by the same path, and sends; proves again when the command met an attention
 * that may mean another one. identity NULL: nothing is proven. timeout_ms is that of the proof and
 * of the command, each. 0, or -EINVAL (see pr_out_encode()): nothing is started. */
int pr_order_start(struct pr_order *order, struct path *path, const struct pr_out *out,
		   struct lun_identity *identity, uint32_t timeout_ms, pr_order_done *done);
void pr_order_release(struct pr_order *order);

#endif
