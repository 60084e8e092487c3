/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The words in which the steps of PR cases are written. For the table's own files only.
 */
#ifndef TESTS_TABLE_PR_STEPS_H
#define TESTS_TABLE_PR_STEPS_H

#include "tests/table/pr_cases.h"

/* Keys, readable in a trace. */
#define K1 0xa1u
#define K2 0xb2u
#define K3 0xc3u
#define K4 0xd4u

#define WE PR_TYPE_WRITE_EXCLUSIVE
#define EA PR_TYPE_EXCLUSIVE_ACCESS
#define WE_RO PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY
#define EA_RO PR_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY
#define WE_AR PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS
#define EA_AR PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS

#define ALL_TYPES (1u << WE | 1u << EA | 1u << WE_RO | 1u << EA_RO | 1u << WE_AR | 1u << EA_AR)

#define OK SCSI_OUTCOME_OK
#define CONFLICT SCSI_OUTCOME_CONFLICT
#define FAILED SCSI_OUTCOME_FAILED
#define UNKNOWN SCSI_OUTCOME_UNKNOWN

/* Sense, 0xKKAACC. */
#define NOTHING 0
#define COMMUNICATION_FAILURE 0x020800
#define ATTENTION_RESET 0x062900
#define ATTENTION_RESERVATIONS_PREEMPTED 0x062a03
#define ATTENTION_RESERVATIONS_RELEASED 0x062a04
#define ATTENTION_REGISTRATIONS_PREEMPTED 0x062a05
#define INVALID_FIELD_IN_CDB 0x052400
#define INVALID_FIELD_IN_LIST 0x052600
#define INVALID_RELEASE 0x052604

/* Whose the next step is: STANDARD also LIO's, SPC the standard's alone. */
#define STANDARD {.kind = PR_STEP_ONLY, .targets = PR_CASE_STANDARD | PR_CASE_LIO}
#define SPC {.kind = PR_STEP_ONLY, .targets = PR_CASE_STANDARD}
#define NOT_LIO {.kind = PR_STEP_ONLY, .targets = PR_CASE_STANDARD | PR_CASE_TGT}
#define LIO(reason) {.kind = PR_STEP_ONLY, .targets = PR_CASE_LIO, .why = (reason)}
#define TGT(reason) {.kind = PR_STEP_ONLY, .targets = PR_CASE_TGT, .why = (reason)}

#define OUT_SENSE(n, what, t, own, other, expected, sense)                                         \
	{.kind = PR_STEP_OUT,                                                                      \
	 .nexus = PR_CASE_##n,                                                                     \
	 .out = {.action = PR_OUT_##what, .type = (t), .key = (own), .service_key = (other)},      \
	 .outcome = (expected),                                                                    \
	 .key_asc_ascq = (sense)}
#define OUT(n, what, t, own, other, expected) OUT_SENSE(n, what, t, own, other, expected, 0)
#define REGISTER(n, old, new, expected) OUT(n, REGISTER, PR_TYPE_NONE, old, new, expected)
#define REGISTER_PERSISTENT(n, old, new, expected)                                                 \
	{.kind = PR_STEP_OUT,                                                                      \
	 .nexus = PR_CASE_##n,                                                                     \
	 .out = {.action = PR_OUT_REGISTER, .key = (old), .service_key = (new), .aptpl = true},    \
	 .outcome = (expected)}
#define IGNORE(n, old, new, expected) OUT(n, REGISTER_AND_IGNORE, PR_TYPE_NONE, old, new, expected)
#define RESERVE(n, own, t, expected) OUT(n, RESERVE, t, own, 0, expected)
#define RELEASE(n, own, t, expected) OUT(n, RELEASE, t, own, 0, expected)
#define CLEAR(n, own, expected) OUT(n, CLEAR, PR_TYPE_NONE, own, 0, expected)
#define PREEMPT(n, own, victim, t, expected) OUT(n, PREEMPT, t, own, victim, expected)
#define PREEMPT_AND_ABORT(n, own, victim, t, expected)                                             \
	OUT(n, PREEMPT_AND_ABORT, t, own, victim, expected)
#define MOVE(n, own, new, to, leave, expected)                                                     \
	{.kind = PR_STEP_OUT,                                                                      \
	 .nexus = PR_CASE_##n,                                                                     \
	 .out = {.action = PR_OUT_REGISTER_AND_MOVE,                                               \
		 .key = (own),                                                                     \
		 .service_key = (new),                                                             \
		 .unregister = (leave)},                                                           \
	 .move_to_nexus = true,                                                                    \
	 .destination = PR_CASE_##to,                                                              \
	 .outcome = (expected)}

#define KEYS(...)                                                                                  \
	.keys = {__VA_ARGS__}, .key_count = sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)
#define SHOWS_HELD(n, t, by, ...)                                                                  \
	{.kind = PR_STEP_SHOWS,                                                                    \
	 .nexus = PR_CASE_##n,                                                                     \
	 .held = true,                                                                             \
	 .type = (t),                                                                              \
	 .holder = (by),                                                                           \
	 KEYS(__VA_ARGS__)}
#define SHOWS_FREE(n, ...) {.kind = PR_STEP_SHOWS, .nexus = PR_CASE_##n, KEYS(__VA_ARGS__)}
#define SHOWS_EMPTY(n) {.kind = PR_STEP_SHOWS, .nexus = PR_CASE_##n}
#define STATUS_HELD(n, t, by, ...)                                                                 \
	{.kind = PR_STEP_STATUS,                                                                   \
	 .nexus = PR_CASE_##n,                                                                     \
	 .held = true,                                                                             \
	 .type = (t),                                                                              \
	 .holder = (by),                                                                           \
	 KEYS(__VA_ARGS__)}
#define STATUS_FREE(n, ...) {.kind = PR_STEP_STATUS, .nexus = PR_CASE_##n, KEYS(__VA_ARGS__)}

#define ACCESS(n, what, expected)                                                                  \
	{.kind = PR_STEP_ACCESS,                                                                   \
	 .nexus = PR_CASE_##n,                                                                     \
	 .access = PR_CASE_##what,                                                                 \
	 .outcome = (expected)}
#define READS(n, expected) ACCESS(n, READ, expected)
#define WRITES(n, expected) ACCESS(n, WRITE, expected)
#define MARK(n) {.kind = PR_STEP_MARK, .nexus = PR_CASE_##n}
#define GENERATION(n, by) {.kind = PR_STEP_GENERATION, .nexus = PR_CASE_##n, .grown = (by)}
#define ATTENTION(n, sense)                                                                        \
	{.kind = PR_STEP_ATTENTION, .nexus = PR_CASE_##n, .key_asc_ascq = (sense)}
#define DROP(n) {.kind = PR_STEP_DROP, .nexus = PR_CASE_##n}
#define LOGIN(n) {.kind = PR_STEP_LOGIN, .nexus = PR_CASE_##n}
#define POWER_CYCLE {.kind = PR_STEP_POWER_CYCLE}
#define RESET(n) {.kind = PR_STEP_RESET, .nexus = PR_CASE_##n}
#define CAPABILITIES(n, types, active)                                                             \
	{.kind = PR_STEP_CAPABILITIES,                                                             \
	 .nexus = PR_CASE_##n,                                                                     \
	 .type_mask = (types),                                                                     \
	 .ptpl_active = (active)}

#define STEPS(name) static const struct pr_step name[]

#define CASE_FOR(text, target, ability, list)                                                      \
	{.name = (text),                                                                           \
	 .needs = (ability),                                                                       \
	 .targets = (target),                                                                      \
	 .steps = (list),                                                                          \
	 .step_count = sizeof(list) / sizeof((list)[0])}
#define CASE(text, ability, list) CASE_FOR(text, 0, ability, list)

#endif
