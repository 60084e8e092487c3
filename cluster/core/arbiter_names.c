/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names and explanations of the arbiter's states, rules and alarms, for people and programs.
 */
#include "cluster/core/arbiter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *pick(const char *const *names, size_t count, unsigned which)
{
	return which < count && names[which] ? names[which] : "unknown";
}

const char *arbiter_state_name(enum arbiter_state state)
{
	static const char *const names[] = {
		[ARBITER_STATE_STANDBY] = "standby",
		[ARBITER_STATE_CHALLENGING] = "challenging",
		[ARBITER_STATE_SEIZING] = "seizing",
		[ARBITER_STATE_TAKING] = "taking",
		[ARBITER_STATE_OWNER] = "owner",
		[ARBITER_STATE_REASSERTING] = "reasserting",
		[ARBITER_STATE_YIELDING] = "yielding",
		[ARBITER_STATE_OFFERING] = "offering",
		[ARBITER_STATE_REQUESTING] = "requesting",
		[ARBITER_STATE_CUT_OFF] = "cut-off",
		[ARBITER_STATE_DEPOSED] = "deposed",
		[ARBITER_STATE_RELEASED] = "released",
	};

	return pick(names, COUNT(names), state);
}

const char *arbiter_rule_name(enum arbiter_rule rule)
{
	static const char *const names[] = {
		[ARBITER_RULE_OWNER_TURN_AWAY] = "owner-turn-away",
		[ARBITER_RULE_OWNER_GRANT_REQUEST] = "owner-grant-request",
		[ARBITER_RULE_OWNER_CLEAN_LEFTOVER] = "owner-clean-leftover",
		[ARBITER_RULE_OWNER_RETAKE_RETURNED] = "owner-retake-returned",
		[ARBITER_RULE_OWNER_RESERVE_AGAIN] = "owner-reserve-again",
		[ARBITER_RULE_OWNER_REASSERT] = "owner-reassert",
		[ARBITER_RULE_OWNER_DEPOSED] = "owner-deposed",
		[ARBITER_RULE_OWNER_CUT_OFF] = "owner-cut-off",
		[ARBITER_RULE_OWNER_ASK_AGAIN] = "owner-ask-again",
		[ARBITER_RULE_OWNER_HOLD_FOR_NEXUS] = "owner-hold-for-nexus",
		[ARBITER_RULE_OWNER_SWAP_ORPHAN] = "owner-swap-orphan",
		[ARBITER_RULE_OWNER_UNFIT_OFFERS] = "owner-unfit-offers",
		[ARBITER_RULE_OWNER_OFFER_EXPIRED] = "owner-offer-expired",
		[ARBITER_RULE_OWNER_MEMBER_LOST] = "owner-member-lost",
		[ARBITER_RULE_OWNER_LOOK_AFTER_OUTCOME] = "owner-look-after-outcome",
		[ARBITER_RULE_OWNER_OUT_OF_TURN] = "owner-out-of-turn",
		[ARBITER_RULE_ORDER_RATE] = "order-rate",
		[ARBITER_RULE_ORDER_FUTILE] = "order-futile",
		[ARBITER_RULE_ORDER_REFUSED] = "order-refused",
		[ARBITER_RULE_LOOK_CHECK] = "look-check",
		[ARBITER_RULE_LOOKS_CONTRADICT] = "looks-contradict",
		[ARBITER_RULE_LOOK_STALE_HOLDER] = "look-stale-holder",
		[ARBITER_RULE_CHALLENGE_PROBE] = "challenge-probe",
		[ARBITER_RULE_CHALLENGE_SUSPECT] = "challenge-suspect",
		[ARBITER_RULE_CHALLENGE_FREE] = "challenge-free",
		[ARBITER_RULE_CHALLENGE_OPERATOR] = "challenge-operator",
		[ARBITER_RULE_CHALLENGE_OFFER] = "challenge-offer",
		[ARBITER_RULE_CHALLENGE_OWN_KEY] = "challenge-own-key",
		[ARBITER_RULE_CHALLENGE_NOT_FOREIGN] = "challenge-not-foreign",
		[ARBITER_RULE_CHALLENGE_TURNED_AWAY] = "challenge-turned-away",
		[ARBITER_RULE_CHALLENGE_HOLDER_CHANGED] = "challenge-holder-changed",
		[ARBITER_RULE_OWNER_OTHER_UNIT] = "owner-other-unit",
		[ARBITER_RULE_CHALLENGE_WAIT_WINDOW] = "challenge-wait-window",
		[ARBITER_RULE_CHALLENGE_WINDOW_RESTART] = "challenge-window-restart",
		[ARBITER_RULE_CHALLENGE_WINDOW_GROWS] = "challenge-window-grows",
		[ARBITER_RULE_CHALLENGE_STAND_BACK] = "challenge-stand-back",
		[ARBITER_RULE_CHALLENGE_STAND_BACK_OVER] = "challenge-stand-back-over",
		[ARBITER_RULE_CHALLENGE_RANK_DELAY] = "challenge-rank-delay",
		[ARBITER_RULE_CHALLENGE_RECORD_FIRST] = "challenge-record-first",
		[ARBITER_RULE_CHALLENGE_QUIET_FIRST] = "challenge-quiet-first",
		[ARBITER_RULE_CHALLENGE_LOOK_DECIDES] = "challenge-look-decides",
		[ARBITER_RULE_CHALLENGE_LOSER_UNREGISTERS] = "challenge-loser-unregisters",
		[ARBITER_RULE_CHALLENGE_RESET_UNIT] = "challenge-reset-unit",
		[ARBITER_RULE_CHALLENGE_CLEAN_OTHERS] = "challenge-clean-others",
		[ARBITER_RULE_CHALLENGE_TAKE_MEMBERS] = "challenge-take-members",
		[ARBITER_RULE_CHALLENGE_MEMBER_CONFLICT] = "challenge-member-conflict",
		[ARBITER_RULE_CHALLENGE_MEMBERS_MISSING] = "challenge-members-missing",
		[ARBITER_RULE_CHALLENGE_MEMBER_KEY] = "challenge-member-key",
		[ARBITER_RULE_CHALLENGE_SUCCEED_PROBER] = "challenge-succeed-prober",
		[ARBITER_RULE_REQUEST_SENT] = "request-sent",
		[ARBITER_RULE_REQUEST_EXPIRED] = "request-expired",
		[ARBITER_RULE_REQUEST_UNANSWERED] = "request-unanswered",
		[ARBITER_RULE_STANDBY_UNREGISTER] = "standby-unregister",
		[ARBITER_RULE_RESTART_ADOPT] = "restart-adopt",
		[ARBITER_RULE_CUT_OFF_RETURN] = "cut-off-return",
	};

	return pick(names, COUNT(names), rule);
}

const char *arbiter_rule_text(enum arbiter_rule rule)
{
#define TEXT(name, text) [ARBITER_RULE_##name] = text,
	static const char *const texts[] = {ARBITER_RULES(TEXT)};
#undef TEXT

	return rule == ARBITER_RULE_COUNT ? "as ordered" : pick(texts, COUNT(texts), rule);
}

const char *arbiter_alarm_name(enum arbiter_alarm alarm)
{
	static const char *const names[] = {
		[ARBITER_ALARM_FOREIGN_HOLDER] = "foreign-holder",
		[ARBITER_ALARM_FOREIGN_KEY] = "foreign-key",
		[ARBITER_ALARM_OWN_NUMBER] = "own-number",
		[ARBITER_ALARM_UNLISTED_NODE] = "unlisted-node",
		[ARBITER_ALARM_MEMBER_KEY] = "member-key",
		[ARBITER_ALARM_NOT_RECORDED] = "not-recorded",
		[ARBITER_ALARM_KEY_RETURNED] = "key-returned",
		[ARBITER_ALARM_RESERVATION_LOST] = "reservation-lost",
		[ARBITER_ALARM_CUT_OFF] = "cut-off",
		[ARBITER_ALARM_MEMBERS_MISSING] = "members-missing",
		[ARBITER_ALARM_OTHER_UNIT] = "other-unit",
		[ARBITER_ALARM_STOP_OVERDUE] = "stop-overdue",
		[ARBITER_ALARM_ALL_REGISTRANTS] = "all-registrants",
		[ARBITER_ALARM_REGISTER_FUTILE] = "register-futile",
		[ARBITER_ALARM_SEIZE_FUTILE] = "seize-futile",
		[ARBITER_ALARM_REMOVE_FUTILE] = "remove-futile",
		[ARBITER_ALARM_REFUSED] = "refused",
		[ARBITER_ALARM_ANSWERS_DIFFER] = "answers-differ",
		[ARBITER_ALARM_LOOKS_DIFFER] = "looks-differ",
		[ARBITER_ALARM_LISTS_DIFFER] = "lists-differ",
	};

	return pick(names, COUNT(names), alarm);
}

const char *arbiter_alarm_text(enum arbiter_alarm alarm)
{
	static const char *const texts[] = {
		[ARBITER_ALARM_FOREIGN_HOLDER] =
			"the LUN is held by a key that is not of this cluster; nothing is done "
			"against it. Find out whose it is "
			"(lunkeeper lun show); if it is stale, remove it with: lunkeeper lun "
			"preempt --force",
		[ARBITER_ALARM_FOREIGN_KEY] =
			"a key that is not of this cluster is registered, which may write; find "
			"out whose it is and unregister it",
		[ARBITER_ALARM_OWN_NUMBER] =
			"a key bears this node's number but was not made here: two nodes are "
			"configured with one number, or a disk "
			"was cloned. Give each node its own id",
		[ARBITER_ALARM_UNLISTED_NODE] = "a key of a node that is not listed for this LUN: "
						"the configurations of the nodes differ",
		[ARBITER_ALARM_MEMBER_KEY] =
			"a member's key on the leader, or the reverse: the configurations of the "
			"nodes differ in the order of LUNs",
		[ARBITER_ALARM_NOT_RECORDED] =
			"the claim cannot be written to the state folder (disk full, read-only?): "
			"this node cannot take the LUN",
		[ARBITER_ALARM_KEY_RETURNED] =
			"a preempted key came back: the target fell back to an older state of its "
			"reservations; check its APTPL",
		[ARBITER_ALARM_RESERVATION_LOST] = "the target lost its reservations (power cycle "
						   "without APTPL?); they are being made again",
		[ARBITER_ALARM_CUT_OFF] =
			"the LUN has not answered for the loss tolerance; check paths and array",
		[ARBITER_ALARM_MEMBERS_MISSING] =
			"the leader was won, but not all LUNs of the group could be taken; see "
			"which with: lunkeeper ledger",
		[ARBITER_ALARM_OTHER_UNIT] =
			"another logical unit stands where this LUN was: nothing is sent to it any "
			"more, but what was written just before it was found may be on it. Check "
			"what the target maps to this initiator under this number; with the right "
			"one there, this node is ready again by itself",
		[ARBITER_ALARM_STOP_OVERDUE] = "the service does not stop; see its resources, and "
					       "what keeps its file system busy",
		[ARBITER_ALARM_ALL_REGISTRANTS] =
			"the LUN is reserved for all registrants (type 7 or 8), which this cluster "
			"never does: it is another cluster's, and nothing is sent. Find out whose "
			"it is (lunkeeper lun show); if it is stale, remove it with: lunkeeper lun "
			"clear --force",
		[ARBITER_ALARM_REGISTER_FUTILE] =
			"REGISTER is answered with GOOD, and no look shows the key: the target "
			"does "
			"not keep registrations, or the paths lead to different devices. This node "
			"cannot take the LUN; it is tried again ever more rarely",
		[ARBITER_ALARM_SEIZE_FUTILE] =
			"RESERVE or PREEMPT is answered with GOOD, and no look shows the key as "
			"the "
			"holder's: the target does not do what it says. This node cannot take the "
			"LUN; it is tried again ever more rarely",
		[ARBITER_ALARM_REMOVE_FUTILE] =
			"a key that was preempted or unregistered stays registered: the target "
			"does "
			"not do what it says. Whoever bears the key may write; the gate does not "
			"open beside it",
		[ARBITER_ALARM_REFUSED] =
			"the target refuses PERSISTENT RESERVE OUT each time; it is tried again "
			"ever more rarely. See what it answers: lunkeeper ledger, lunkeeper lun "
			"probe",
		[ARBITER_ALARM_ANSWERS_DIFFER] =
			"READ FULL STATUS shows other keys than READ KEYS; READ KEYS and READ "
			"RESERVATION are used. Tell the vendor of the target",
		[ARBITER_ALARM_LISTS_DIFFER] = "a node challenges although the one that is listed "
					       "before it does, too: the "
					       "nodes' lists for this service differ in their "
					       "order, or probe intervals do. "
					       "Compare the configurations",
		[ARBITER_ALARM_LOOKS_DIFFER] =
			"looks at the LUN contradict each other: two devices take themselves for "
			"one, each with reservations of its own (two gateways with one WWID?). "
			"Nothing is taken while that lasts; leave paths to one of them only",
	};

	return pick(texts, COUNT(texts), alarm);
}

bool arbiter_alarm_ends_itself(enum arbiter_alarm alarm)
{
	return alarm == ARBITER_ALARM_NOT_RECORDED || alarm == ARBITER_ALARM_LISTS_DIFFER ||
	       alarm == ARBITER_ALARM_REGISTER_FUTILE || alarm == ARBITER_ALARM_SEIZE_FUTILE ||
	       alarm == ARBITER_ALARM_REFUSED;
}

const char *arbiter_gate_name(enum arbiter_gate gate)
{
	static const char *const names[] = {
		[ARBITER_GATE_FAILED] = "failed",
		[ARBITER_GATE_HELD] = "held",
		[ARBITER_GATE_OPEN] = "open",
	};

	return pick(names, COUNT(names), gate);
}

const char *arbiter_service_name(enum arbiter_service service)
{
	static const char *const names[] = {
		[ARBITER_SERVICE_STOPPED] = "stopped",
		[ARBITER_SERVICE_STARTING] = "starting",
		[ARBITER_SERVICE_RUNNING] = "running",
		[ARBITER_SERVICE_STOPPING] = "stopping",
	};

	return pick(names, COUNT(names), service);
}

const char *arbiter_answer_text(enum arbiter_command_answer answer)
{
	static const char *const texts[] = {
		[ARBITER_ANSWER_STARTED] = "started",
		[ARBITER_ANSWER_ALREADY] = "nothing to do",
		[ARBITER_ANSWER_NOT_OWNER] =
			"this node does not own it; give the command on the node that does",
		[ARBITER_ANSWER_UNFIT] =
			"this node is unfit, or still stopping; see lunkeeper status",
		[ARBITER_ANSWER_BUSY] =
			"something else is under way; see lunkeeper status, and try again",
		[ARBITER_ANSWER_FOREIGN] = "it is held by a key that is not of this cluster",
		[ARBITER_ANSWER_MAINTENANCE] = "it is in maintenance; end that first",
	};

	return pick(texts, COUNT(texts), answer);
}
