/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of PR cases: what SPC-5 5.14 and 6.17 say, and, marked by TGT() and LIO(), where
 * tgt 1.0.85 and the kernel's target do otherwise.
 */
#include "tests/table/pr_steps.h"

/* One step a line. */
/* clang-format off */

/* --- registering --- */

STEPS(register_and_unregister) = {
	SHOWS_EMPTY(A),
	MARK(A),
	REGISTER(A, 0, K1, OK),
	GENERATION(A, 1),
	SHOWS_FREE(B, K1),
	REGISTER(B, 0, K2, OK),
	GENERATION(A, 1),
	SHOWS_FREE(A, K1, K2),
	REGISTER(A, K1, 0, OK),
	NOT_LIO,
	GENERATION(A, 1),
	LIO("does not count unregistering"),
	GENERATION(A, 0),
	SHOWS_FREE(A, K2),
	REGISTER(B, K2, 0, OK),
	SHOWS_EMPTY(A),
};

STEPS(register_expects) = {
	REGISTER(B, K1, K2, CONFLICT), /* not registered: the expected key must be 0 */
	SHOWS_EMPTY(A),
	REGISTER(A, 0, K1, OK),
	MARK(A),
	REGISTER(A, 0, K2, CONFLICT), /* a late first REGISTER cannot overwrite */
	REGISTER(A, K3, K2, CONFLICT),
	REGISTER(A, K3, 0, CONFLICT),
	GENERATION(A, 0),
	SHOWS_FREE(B, K1),
	REGISTER(A, K1, K2, OK),
	GENERATION(A, 1),
	SHOWS_FREE(B, K2),
};

STEPS(register_ignoring) = {
	IGNORE(A, 0, K1, OK),
	SHOWS_FREE(A, K1),
	IGNORE(A, K4, K2, OK), /* the own key's field is ignored */
	SHOWS_FREE(A, K2),
	RESERVE(A, K2, WE_RO, OK),
	IGNORE(A, 0, K3, OK),
	SHOWS_HELD(B, WE_RO, K3, K3),
	IGNORE(A, 0, 0, OK),
	SHOWS_EMPTY(B),
	IGNORE(B, 0, 0, OK), /* nothing to remove */
	SHOWS_EMPTY(B),
};

STEPS(register_same_key_twice) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	SHOWS_FREE(C, K1, K1),
	REGISTER(A, K1, 0, OK), /* takes only its own */
	SHOWS_FREE(C, K1),
};

STEPS(register_aptpl_refused) = {
	MARK(A),
	REGISTER_PERSISTENT(A, 0, K1, FAILED),
	GENERATION(A, 0),
	SHOWS_EMPTY(A),
};

/* --- reserving and releasing --- */

STEPS(reserve_unregistered) = {
	NOT_LIO,
	RESERVE(A, 0, WE_RO, CONFLICT),
	NOT_LIO,
	RESERVE(A, K1, WE_RO, CONFLICT),
	LIO("has a sense of its own for an unregistered nexus while nobody holds"),
	OUT_SENSE(A, RESERVE, WE_RO, K1, 0, UNKNOWN, COMMUNICATION_FAILURE),
	REGISTER(B, 0, K1, OK),
	NOT_LIO,
	RESERVE(A, K1, WE_RO, CONFLICT), /* another's key */
	LIO("..."),
	OUT_SENSE(A, RESERVE, WE_RO, K1, 0, UNKNOWN, COMMUNICATION_FAILURE),
	SHOWS_FREE(A, K1),
};

STEPS(reserve_wrong_key) = {
	REGISTER(A, 0, K1, OK),
	STANDARD,
	RESERVE(A, K2, WE_RO, CONFLICT),
	TGT("RESERVE does not look at the key"),
	RESERVE(A, K2, WE_RO, OK),
	STANDARD,
	SHOWS_FREE(A, K1),
	TGT("... and so holds"),
	SHOWS_HELD(A, WE_RO, K1, K1),
};

STEPS(reserve_twice) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	MARK(A),
	RESERVE(A, K1, WE_RO, OK),
	RESERVE(A, K1, WE_RO, OK), /* SPC-5 5.14.9: the same again is good */
	RESERVE(A, K1, EA_RO, CONFLICT),
	RESERVE(B, K2, WE_RO, CONFLICT),
	GENERATION(A, 0), /* RESERVE does not count */
	SHOWS_HELD(B, WE_RO, K1, K1, K2),
	RELEASE(A, K1, WE_RO, OK),
	GENERATION(A, 0), /* nor does RELEASE */
	SHOWS_FREE(B, K1, K2),
};

STEPS(reserve_unknown_type) = {
	REGISTER(A, 0, K1, OK),
	OUT_SENSE(A, RESERVE, (enum pr_type)2, K1, 0, FAILED, INVALID_FIELD_IN_CDB),
	OUT_SENSE(A, RESERVE, (enum pr_type)9, K1, 0, FAILED, INVALID_FIELD_IN_CDB),
	SHOWS_FREE(A, K1),
};

STEPS(release_wrong_type) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	NOT_LIO,
	OUT_SENSE(A, RELEASE, EA_RO, K1, 0, FAILED, INVALID_RELEASE),
	LIO("says conflict"),
	RELEASE(A, K1, EA_RO, CONFLICT),
	SHOWS_HELD(A, WE_RO, K1, K1),
};

STEPS(release_by_others) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RELEASE(A, K1, WE_RO, OK), /* nothing held: good, without effect */
	RESERVE(A, K1, WE_RO, OK),
	RELEASE(B, K2, WE_RO, OK), /* not the holder: the same */
	RELEASE(C, 0, WE_RO, CONFLICT),
	RELEASE(A, K2, WE_RO, CONFLICT),
	SPC,
	RELEASE(B, K1, WE_RO, CONFLICT),
	TGT("looks at the key of a RELEASE only when the holder sends it"),
	RELEASE(B, K1, WE_RO, OK),
	LIO("the same"),
	RELEASE(B, K1, WE_RO, OK),
	SHOWS_HELD(C, WE_RO, K1, K1, K2),
};

STEPS(release_tells_registrants) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	RELEASE(A, K1, WE_RO, OK),
	ATTENTION(A, NOTHING),
	STANDARD,
	ATTENTION(B, ATTENTION_RESERVATIONS_RELEASED),
	TGT("tells the others of a RELEASE for types 1 and 3 only, the standard for all but these"),
	ATTENTION(B, NOTHING),
	ATTENTION(C, NOTHING),
};

STEPS(release_of_holders_type) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE, OK),
	RELEASE(A, K1, WE, OK),
	STANDARD,
	ATTENTION(B, NOTHING),
	TGT("see above; and it tells every nexus but the one registrant, once for each registrant"),
	ATTENTION(B, NOTHING),
	STANDARD,
	ATTENTION(A, NOTHING),
	TGT("... the releasing nexus itself, too"),
	ATTENTION(A, ATTENTION_RESERVATIONS_RELEASED),
};

/* --- unregistering the holder --- */

STEPS(unregister_holder) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	MARK(B),
	REGISTER(A, K1, 0, OK),
	SPC,
	GENERATION(A, 1),
	TGT("counts twice"),
	GENERATION(A, 2),
	LIO("does not count it"),
	GENERATION(A, 0),
	SHOWS_FREE(C, K2),
};

STEPS(unregister_holder_tells) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	REGISTER(A, K1, 0, OK),
	STANDARD,
	ATTENTION(B, ATTENTION_RESERVATIONS_RELEASED),
	TGT("tells all nexuses but the one that should be told"),
	ATTENTION(B, NOTHING),
	STANDARD,
	ATTENTION(A, NOTHING),
	TGT("..."),
	ATTENTION(A, ATTENTION_RESERVATIONS_RELEASED),
};

STEPS(unregister_other) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	WRITES(B, OK),
	REGISTER(B, K2, 0, OK),
	SHOWS_HELD(A, WE_RO, K1, K1),
	WRITES(B, CONFLICT),
	WRITES(A, OK),
};

STEPS(rekey_holder) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	MARK(A),
	REGISTER(A, K1, K2, OK),
	GENERATION(A, 1),
	SHOWS_HELD(B, WE_RO, K2, K2),
	WRITES(A, OK),
	WRITES(B, CONFLICT),
	RELEASE(A, K1, WE_RO, CONFLICT),
	RELEASE(A, K2, WE_RO, OK),
	SHOWS_FREE(B, K2),
};

/* --- clearing --- */

STEPS(clear_all) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, EA_RO, OK),
	CLEAR(C, 0, CONFLICT),
	CLEAR(C, K1, CONFLICT),
	CLEAR(B, K1, CONFLICT),
	SHOWS_HELD(A, EA_RO, K1, K1, K2),
	MARK(A),
	CLEAR(B, K2, OK), /* any registrant may */
	ATTENTION(A, ATTENTION_RESERVATIONS_PREEMPTED),
	ATTENTION(B, NOTHING),
	ATTENTION(C, NOTHING),
	GENERATION(A, 1),
	SHOWS_EMPTY(C),
	WRITES(C, OK),
};

/* --- preempting --- */

STEPS(preempt_holder) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	REGISTER(B, 0, K2, OK),
	WRITES(B, OK), /* a registrant may write while it challenges: it must not */
	MARK(B),
	PREEMPT(B, K2, K1, WE_RO, OK),
	STANDARD,
	ATTENTION(A, ATTENTION_REGISTRATIONS_PREEMPTED),
	TGT("says RESERVATIONS PREEMPTED where the standard has REGISTRATIONS PREEMPTED"),
	ATTENTION(A, ATTENTION_RESERVATIONS_PREEMPTED),
	ATTENTION(B, NOTHING),
	ATTENTION(C, NOTHING),
	GENERATION(B, 1),
	SHOWS_HELD(C, WE_RO, K2, K2),
	WRITES(A, CONFLICT),
	READS(A, OK),
	WRITES(B, OK),
	WRITES(C, CONFLICT),
};

STEPS(preempt_challenger) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	REGISTER(B, 0, K2, OK),
	REGISTER(C, 0, K3, OK),
	MARK(A),
	PREEMPT(A, K1, K2, WE_RO, OK), /* the owner turns a challenger away */
	GENERATION(A, 1),
	SHOWS_HELD(A, WE_RO, K1, K1, K3),
	PREEMPT(B, K2, K1, WE_RO, CONFLICT), /* too late */
	REGISTER(B, K2, 0, CONFLICT),
	SHOWS_HELD(A, WE_RO, K1, K1, K3),
	WRITES(B, CONFLICT),
	WRITES(A, OK),
	ATTENTION(C, NOTHING),
};

STEPS(preempt_unknown_key) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	MARK(A),
	PREEMPT(A, K1, K3, WE_RO, CONFLICT),
	REGISTER(B, 0, K2, OK),
	REGISTER(B, K2, 0, OK),
	PREEMPT(A, K1, K2, WE_RO, CONFLICT), /* a challenger that has left */
	NOT_LIO,
	GENERATION(A, 2),
	LIO("does not count unregistering"),
	GENERATION(A, 1),
	SHOWS_HELD(A, WE_RO, K1, K1),
};

STEPS(preempt_unregistered) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	MARK(A),
	PREEMPT(B, 0, K1, WE_RO, CONFLICT),
	PREEMPT(B, K1, K1, WE_RO, CONFLICT),
	REGISTER(B, 0, K2, OK),
	PREEMPT(B, K3, K1, WE_RO, CONFLICT), /* wrong own key */
	GENERATION(A, 1),
	SHOWS_HELD(A, WE_RO, K1, K1, K2),
};

STEPS(preempt_nobody_holds) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	PREEMPT(A, K1, K2, WE_RO, OK), /* removes the registration, makes no reservation */
	SHOWS_FREE(A, K1),
};

STEPS(preempt_changes_type) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	REGISTER(C, 0, K3, OK),
	RESERVE(A, K1, WE_RO, OK),
	PREEMPT(B, K2, K1, EA_RO, OK),
	ATTENTION(C, ATTENTION_RESERVATIONS_RELEASED),
	SHOWS_HELD(C, EA_RO, K2, K2, K3),
	READS(A, CONFLICT),
	WRITES(C, OK),
};

/* GOOD is not ownership: the key was borne by a nexus that does not hold (any more). */
STEPS(preempt_key_borne_elsewhere) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	REGISTER(C, 0, K3, OK),
	REGISTER(A, K1, K2, OK), /* the holder re-keys one nexus, the other still bears the old key */
	PREEMPT(C, K3, K1, WE_RO, OK), /* the challenger preempts what it saw */
	SHOWS_HELD(C, WE_RO, K2, K2, K3),
	WRITES(A, OK),
	WRITES(B, CONFLICT),
};

STEPS(preempt_removes_all_nexuses) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	WRITES(B, OK), /* the node's second path */
	REGISTER(C, 0, K3, OK),
	PREEMPT(C, K3, K1, WE_RO, OK),
	SHOWS_HELD(C, WE_RO, K3, K3),
	WRITES(A, CONFLICT),
	WRITES(B, CONFLICT),
};

STEPS(preempt_self_holder) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	REGISTER(C, 0, K3, OK),
	RESERVE(A, K1, WE_RO, OK),
	MARK(A),
	PREEMPT(A, K1, K1, WE_RO, OK),
	GENERATION(A, 1),
	SHOWS_HELD(C, WE_RO, K1, K1, K3),
	STANDARD,
	ATTENTION(B, ATTENTION_REGISTRATIONS_PREEMPTED),
	TGT("RESERVATIONS PREEMPTED"),
	ATTENTION(B, ATTENTION_RESERVATIONS_PREEMPTED),
	WRITES(A, OK),
	WRITES(B, CONFLICT),
	REGISTER(B, K1, 0, CONFLICT), /* it is no longer registered */
};

STEPS(preempt_self_other_nexus) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	PREEMPT(B, K1, K1, WE_RO, OK), /* the new nexus of a node takes over from its old one */
	SHOWS_HELD(C, WE_RO, K1, K1),
	WRITES(A, CONFLICT),
	WRITES(B, OK),
	RELEASE(B, K1, WE_RO, OK),
	SHOWS_FREE(C, K1),
};

STEPS(preempt_self_free) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	PREEMPT(A, K1, K1, WE_RO, OK),
	STANDARD, /* every nexus of that key, the sender's too (SPC-5 5.14.11.4.5; so does LIO) */
	SHOWS_EMPTY(C),
	TGT("leaves the sender registered"),
	SHOWS_FREE(C, K1),
	NOT_LIO,
	RESERVE(B, K1, WE_RO, CONFLICT),
	LIO("has a sense of its own for an unregistered nexus while nobody holds"),
	OUT_SENSE(B, RESERVE, WE_RO, K1, 0, UNKNOWN, COMMUNICATION_FAILURE),
	TGT("... who may then reserve"),
	RESERVE(A, K1, WE_RO, OK),
};

STEPS(preempt_zero) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	STANDARD,
	OUT_SENSE(B, PREEMPT, WE_RO, K2, 0, FAILED, INVALID_FIELD_IN_LIST),
	TGT("blames the CDB"),
	OUT_SENSE(B, PREEMPT, WE_RO, K2, 0, FAILED, INVALID_FIELD_IN_CDB),
	SHOWS_HELD(B, WE_RO, K1, K1, K2),
};

STEPS(preempt_and_abort_refused) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	REGISTER(B, 0, K2, OK),
	MARK(A),
	OUT_SENSE(B, PREEMPT_AND_ABORT, WE_RO, K2, K1, FAILED, INVALID_FIELD_IN_CDB),
	GENERATION(A, 0),
	SHOWS_HELD(B, WE_RO, K1, K1, K2),
};

STEPS(preempt_and_abort_holder) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(C, 0, K3, OK),
	RESERVE(A, K1, WE_RO, OK),
	REGISTER(B, 0, K2, OK),
	MARK(B),
	PREEMPT_AND_ABORT(B, K2, K1, WE_RO, OK),
	ATTENTION(A, ATTENTION_REGISTRATIONS_PREEMPTED),
	GENERATION(B, 1),
	SHOWS_HELD(C, WE_RO, K2, K2, K3),
	WRITES(A, CONFLICT),
	WRITES(B, OK),
	PREEMPT_AND_ABORT(B, K2, K1, WE_RO, CONFLICT), /* gone */
	PREEMPT_AND_ABORT(B, K2, K3, WE_RO, OK),
	SHOWS_HELD(C, WE_RO, K2, K2),
};

/* --- all registrants --- */

STEPS(all_registrants_hold) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_AR, OK),
	SHOWS_HELD(C, WE_AR, 0, K1, K2),
	RESERVE(B, K2, WE_AR, OK), /* it holds, too */
	REGISTER(A, K1, 0, OK),
	SHOWS_HELD(C, WE_AR, 0, K2),
	WRITES(A, CONFLICT),
	WRITES(B, OK),
	REGISTER(B, K2, 0, OK), /* the last one */
	SHOWS_EMPTY(C),
};

STEPS(all_registrants_release) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, EA_AR, OK),
	RELEASE(B, K2, EA_AR, OK),
	SHOWS_FREE(C, K1, K2),
};

STEPS(all_registrants_preempt_one) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	REGISTER(C, 0, K3, OK),
	RESERVE(A, K1, WE_AR, OK),
	PREEMPT(B, K2, K3, WE_AR, OK),
	SHOWS_HELD(C, WE_AR, 0, K1, K2),
	WRITES(C, CONFLICT),
	WRITES(A, OK),
};

STEPS(all_registrants_preempt_all) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	REGISTER(C, 0, K3, OK),
	RESERVE(A, K1, WE_AR, OK),
	PREEMPT(B, K2, 0, WE_RO, OK),
	SHOWS_HELD(C, WE_RO, K2, K2),
	WRITES(A, CONFLICT),
	WRITES(B, OK),
};

/* --- who may do what (SPC-5 table 67, SBC-4 table 13) --- */

STEPS(access_free) = {
	REGISTER(A, 0, K1, OK),
	READS(A, OK),
	READS(C, OK),
	WRITES(A, OK),
	WRITES(C, OK),
};

#define ACCESS_STEPS(t, reading_registrant, writing_registrant, reading_other, writing_other)      \
	REGISTER(A, 0, K1, OK), REGISTER(B, 0, K2, OK), RESERVE(A, K1, t, OK), READS(A, OK),       \
		WRITES(A, OK), ACCESS(A, SYNCHRONIZE_CACHE, OK), READS(B, reading_registrant),     \
		WRITES(B, writing_registrant), ACCESS(B, SYNCHRONIZE_CACHE, writing_registrant),   \
		READS(C, reading_other), WRITES(C, writing_other),                                 \
		NOT_LIO, ACCESS(C, SYNCHRONIZE_CACHE, writing_other),                              \
		LIO("lets SYNCHRONIZE CACHE pass under the write exclusive types"),                \
		ACCESS(C, SYNCHRONIZE_CACHE, reading_other), ACCESS(C, TEST_UNIT_READY, OK)

STEPS(access_1) = {ACCESS_STEPS(WE, OK, CONFLICT, OK, CONFLICT)};
STEPS(access_3) = {ACCESS_STEPS(EA, CONFLICT, CONFLICT, CONFLICT, CONFLICT)};
STEPS(access_5) = {ACCESS_STEPS(WE_RO, OK, OK, OK, CONFLICT)};
STEPS(access_6) = {ACCESS_STEPS(EA_RO, OK, OK, CONFLICT, CONFLICT)};
STEPS(access_7) = {ACCESS_STEPS(WE_AR, OK, OK, OK, CONFLICT)};
STEPS(access_8) = {ACCESS_STEPS(EA_AR, OK, OK, CONFLICT, CONFLICT)};

STEPS(access_other_writes) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	ACCESS(A, WRITE_SAME, OK),
	STANDARD,
	ACCESS(C, WRITE_SAME, CONFLICT),
	TGT("no reservation keeps WRITE SAME out"),
	ACCESS(C, WRITE_SAME, OK),
	SPC,
	ACCESS(C, UNMAP, CONFLICT),
	TGT("... nor UNMAP"),
	ACCESS(C, UNMAP, OK),
	LIO("has no UNMAP unless emulate_tpu is set"),
	ACCESS(C, UNMAP, FAILED),
};

/* --- sessions, resets, power --- */

STEPS(session_holder_returns) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	DROP(A),
	SHOWS_HELD(B, WE_RO, K1, K1),
	WRITES(B, CONFLICT),
	LOGIN(A),
	WRITES(A, OK),
	REGISTER(A, K1, K2, OK),
	SHOWS_HELD(B, WE_RO, K2, K2),
};

/* tgt: a registration belongs to one session. When that ends, it stays as an orphan: listed,
 * holding, useful to nobody. */
STEPS(session_orphan) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	DROP(A),
	SHOWS_HELD(B, WE_RO, K1, K1),
	WRITES(B, CONFLICT),
	LOGIN(A),
	SHOWS_HELD(A, WE_RO, K1, K1),
	WRITES(A, CONFLICT), /* its key holds, and yet it may not write */
	REGISTER(A, K1, K2, CONFLICT),
	RELEASE(A, K1, WE_RO, CONFLICT),
	REGISTER(A, 0, K2, OK), /* the way back: register anew, preempt the orphan */
	WRITES(A, OK),
	PREEMPT(A, K2, K1, WE_RO, OK),
	SHOWS_HELD(B, WE_RO, K2, K2),
};

STEPS(session_orphan_same_key) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	DROP(A),
	LOGIN(A),
	REGISTER(A, 0, K1, OK),
	SHOWS_HELD(B, WE_RO, K1, K1, K1),
	PREEMPT(A, K1, K1, WE_RO, OK), /* swaps the orphan for the nexus */
	SHOWS_HELD(B, WE_RO, K1, K1),
	WRITES(A, OK),
	RELEASE(A, K1, WE_RO, OK),
	SHOWS_FREE(B, K1),
};

STEPS(session_second_nexus) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	DROP(A), /* the reservation stays with the lost nexus; it does not move to the other one */
	SHOWS_HELD(C, WE_RO, K1, K1, K1),
	WRITES(B, OK),
	RELEASE(B, K1, WE_RO, OK), /* not the holder: no effect */
	SHOWS_HELD(C, WE_RO, K1, K1, K1),
	PREEMPT(B, K1, K1, WE_RO, OK),
	SHOWS_HELD(C, WE_RO, K1, K1),
	LOGIN(A),
	WRITES(A, CONFLICT),
	WRITES(B, OK),
};

STEPS(reset_keeps) = {
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	RESET(B),
	SHOWS_HELD(A, WE_RO, K1, K1, K2),
	WRITES(A, OK),
	WRITES(C, CONFLICT),
};

STEPS(power_loses) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	POWER_CYCLE,
	SHOWS_EMPTY(A),
	WRITES(C, OK),
	REGISTER(A, 0, K1, OK), /* the owner asserts itself again */
	RESERVE(A, K1, WE_RO, OK),
	SHOWS_HELD(C, WE_RO, K1, K1),
};

STEPS(power_keeps) = {
	REGISTER_PERSISTENT(A, 0, K1, OK),
	REGISTER_PERSISTENT(B, 0, K2, OK),
	RESERVE(A, K1, WE_RO, OK),
	CAPABILITIES(A, 1u << WE_RO, true),
	POWER_CYCLE,
	SHOWS_HELD(C, WE_RO, K1, K1, K2),
	WRITES(A, OK),
	WRITES(B, OK),
	WRITES(C, CONFLICT),
	REGISTER_PERSISTENT(B, K2, 0, OK),
	SHOWS_HELD(C, WE_RO, K1, K1),
};

/* --- moving, reporting --- */

STEPS(move_reservation) = {
	REGISTER(A, 0, K1, OK),
	RESERVE(A, K1, WE_RO, OK),
	MARK(A),
	MOVE(A, K2, K3, B, false, CONFLICT), /* wrong own key */
	MOVE(A, K1, K3, B, true, OK),
	GENERATION(A, 1),
	SHOWS_HELD(C, WE_RO, K3, K3),
	WRITES(A, CONFLICT),
	WRITES(B, OK),
	MOVE(B, K3, K1, A, false, OK),
	SHOWS_HELD(C, WE_RO, K1, K1, K3),
	WRITES(A, OK),
	WRITES(B, OK),
};

STEPS(capabilities_types) = {
	CAPABILITIES(A, ALL_TYPES, false),
};

STEPS(full_status_lists) = {
	STATUS_FREE(C),
	REGISTER(A, 0, K1, OK),
	REGISTER(B, 0, K2, OK),
	STATUS_FREE(C, K1, K2),
	RESERVE(A, K1, WE_RO, OK),
	STATUS_HELD(C, WE_RO, K1, K1, K2),
};

/* clang-format on */

const struct pr_case pr_cases[] = {
	CASE("REGISTER: make and take away", 0, register_and_unregister),
	CASE("REGISTER: the expected key must be there", 0, register_expects),
	CASE("REGISTER AND IGNORE EXISTING KEY", 0, register_ignoring),
	CASE("REGISTER: two nexuses with one key", 0, register_same_key_twice),
	CASE_FOR("REGISTER: APTPL refused cleanly", PR_CASE_TGT, 0, register_aptpl_refused),
	CASE("RESERVE: not without a registration", 0, reserve_unregistered),
	CASE("RESERVE: wrong own key", 0, reserve_wrong_key),
	CASE("RESERVE: again, with another type, by another nexus", 0, reserve_twice),
	CASE("RESERVE: unknown type", 0, reserve_unknown_type),
	CASE("RELEASE: wrong type", 0, release_wrong_type),
	CASE("RELEASE: by others than the holder", 0, release_by_others),
	CASE("RELEASE: registrants are told (type 5)", PR_CASE_CAN_UNIT_ATTENTION,
	     release_tells_registrants),
	CASE("RELEASE: nobody is told (type 1)", PR_CASE_CAN_UNIT_ATTENTION,
	     release_of_holders_type),
	CASE("unregister the holder: the reservation goes", 0, unregister_holder),
	CASE("unregister the holder: registrants are told", PR_CASE_CAN_UNIT_ATTENTION,
	     unregister_holder_tells),
	CASE("unregister another: the reservation stays", 0, unregister_other),
	CASE("re-key the holder: the reservation stays", 0, rekey_holder),
	CASE("CLEAR", 0, clear_all),
	CASE("PREEMPT: the holder", 0, preempt_holder),
	CASE("PREEMPT: a challenger, by the holder", 0, preempt_challenger),
	CASE("PREEMPT: a key that nobody bears", 0, preempt_unknown_key),
	CASE("PREEMPT: not without a registration", 0, preempt_unregistered),
	CASE("PREEMPT: nobody holds", 0, preempt_nobody_holds),
	CASE("PREEMPT: with another type", 0, preempt_changes_type),
	CASE("PREEMPT: a key that only another nexus still bears", 0, preempt_key_borne_elsewhere),
	CASE("PREEMPT: removes every nexus of the key", 0, preempt_removes_all_nexuses),
	CASE("PREEMPT: own key, by the holder", 0, preempt_self_holder),
	CASE("PREEMPT: own key, by the other nexus", 0, preempt_self_other_nexus),
	CASE("PREEMPT: own key, nobody holds", 0, preempt_self_free),
	CASE("PREEMPT: key 0", 0, preempt_zero),
	CASE_FOR("PREEMPT AND ABORT: refused cleanly", PR_CASE_TGT, 0, preempt_and_abort_refused),
	CASE("PREEMPT AND ABORT", PR_CASE_CAN_PREEMPT_AND_ABORT, preempt_and_abort_holder),
	CASE("all registrants: each of them holds", 0, all_registrants_hold),
	CASE("all registrants: each of them may release", 0, all_registrants_release),
	CASE("all registrants: PREEMPT of one", 0, all_registrants_preempt_one),
	CASE("all registrants: PREEMPT of key 0", 0, all_registrants_preempt_all),
	CASE("access: nobody holds", 0, access_free),
	CASE("access: type 1, write exclusive", 0, access_1),
	CASE("access: type 3, exclusive access", 0, access_3),
	CASE("access: type 5, write exclusive, registrants only", 0, access_5),
	CASE("access: type 6, exclusive access, registrants only", 0, access_6),
	CASE("access: type 7, write exclusive, all registrants", 0, access_7),
	CASE("access: type 8, exclusive access, all registrants", 0, access_8),
	CASE("access: WRITE SAME and UNMAP", PR_CASE_CAN_OTHER_WRITES, access_other_writes),
	CASE("session: the holder's is lost, and returns",
	     PR_CASE_CAN_DROP_SESSION | PR_CASE_KEEPS_LOST_REGISTRATION, session_holder_returns),
	CASE_FOR("session: a lost one leaves an orphan", PR_CASE_TGT, PR_CASE_CAN_DROP_SESSION,
		 session_orphan),
	CASE_FOR("session: an orphan with the same key is swapped", PR_CASE_TGT,
		 PR_CASE_CAN_DROP_SESSION, session_orphan_same_key),
	CASE("session: the holder's is lost, another has the same key", PR_CASE_CAN_DROP_SESSION,
	     session_second_nexus),
	CASE("LOGICAL UNIT RESET keeps keys and reservation", PR_CASE_CAN_RESET, reset_keeps),
	CASE("power cycle: all is lost without APTPL", PR_CASE_CAN_POWER_CYCLE, power_loses),
	CASE("power cycle: all is kept with APTPL", PR_CASE_CAN_POWER_CYCLE | PR_CASE_CAN_APTPL,
	     power_keeps),
	CASE("REGISTER AND MOVE", PR_CASE_CAN_REGISTER_AND_MOVE, move_reservation),
	CASE("REPORT CAPABILITIES: the types", PR_CASE_CAN_REPORT_CAPABILITIES, capabilities_types),
	CASE("READ FULL STATUS", PR_CASE_CAN_READ_FULL_STATUS, full_status_lists),
};

const unsigned pr_case_count = sizeof(pr_cases) / sizeof(pr_cases[0]);
