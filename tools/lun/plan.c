/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a step will send, and what that does to whom, from what a look showed. Pure. A plan is
 * dangerous when somebody else loses something: a registration that is not known to be ours, a
 * reservation by which a node owns the LUN.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cluster/core/key.h"
#include "tools/lun/lun.h"

static void lun_plan_effect(struct lun_plan *plan, uint64_t key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void lun_plan_effect(struct lun_plan *plan, uint64_t key, const char *format, ...)
{
	struct lun_effect *effect;
	va_list arguments;

	if (plan->effect_count == LUN_KEYS_MAX)
		return;
	effect = &plan->effects[plan->effect_count++];
	effect->key = key;
	va_start(arguments, format);
	vsnprintf(effect->text, sizeof(effect->text), format, arguments);
	va_end(arguments);
}

static bool lun_plan_has_effect(const struct lun_plan *plan, uint64_t key)
{
	for (unsigned i = 0; i < plan->effect_count; i++) {
		if (plan->effects[i].key == key)
			return true;
	}
	return false;
}

static void lun_plan_danger(struct lun_plan *plan, const char *why)
{
	plan->dangerous = true;
	if (!plan->why[0])
		snprintf(plan->why, sizeof(plan->why), "%s", why);
}

static void lun_plan_refuse(struct lun_plan *plan, const char *why)
{
	plan->refused = true;
	snprintf(plan->why, sizeof(plan->why), "%s", why);
}

/* The key that this nexus is registered with; 0: none, or it cannot be told. */
static uint64_t lun_plan_own_key(const struct lun_look *look, const char *own)
{
	for (unsigned i = 0; look->full && own[0] && i < look->count; i++) {
		if (strcasecmp(look->registrations[i].transport_id, own) == 0)
			return look->registrations[i].key;
	}
	return look->full && own[0] ? 0 : look->own_key;
}

static bool lun_plan_is_ours(uint64_t key, const struct lun_context *context)
{
	return context->has_cluster && key_is_ours(key, context->cluster);
}

/* What keys and types are sent. */

static void lun_plan_key(struct lun_plan *plan, const struct lun_step *step,
			 const struct lun_look *look, const char *own)
{
	bool told = (look->full && own[0]) || look->available == 0;

	plan->order.key = step->key.value;
	if (step->key.given || step->raw_key.given || step->ignore)
		return;
	plan->order.key = lun_plan_own_key(look, own);
	if (plan->order.key)
		return;
	if (told)
		lun_plan_refuse(plan,
				"not registered by this nexus: register first (`lunkeeper lun "
				"register`, or in the same session by `lunkeeper lun do`)");
	else
		lun_plan_refuse(plan, "by which key? This target does not tell what this nexus is "
				      "registered with; give --key");
}

/* Key 0 is no key: to register it is to unregister (SPC-5 5.14.7). */
static void lun_plan_register_zero(struct lun_plan *plan, const struct lun_step *step,
				   const struct lun_look *look, const char *own)
{
	struct lun_step unregister = {.verb = LUN_VERB_UNREGISTER, .ignore = step->ignore};

	snprintf(plan->hint, sizeof(plan->hint),
		 "key 0 is no key: to register it is to unregister this nexus");
	lun_plan_key(plan, &unregister, look, own);
}

static void lun_plan_register(struct lun_plan *plan, const struct lun_step *step,
			      const struct lun_look *look, const char *own)
{
	struct pr_out *order = &plan->order;

	order->action = step->move     ? PR_OUT_REGISTER_AND_MOVE
			: step->ignore ? PR_OUT_REGISTER_AND_IGNORE
				       : PR_OUT_REGISTER;
	order->aptpl = step->aptpl;
	order->all_target_ports = step->all_ports;
	if (step->new_key.given) {
		order->key = step->ignore ? 0 : step->key.value;
		order->service_key = step->new_key.value;
	} else {
		order->key = 0;
		order->service_key = step->key.value;
		if (step->key.given && step->key.value == 0)
			lun_plan_register_zero(plan, step, look, own);
	}
	if (step->move) {
		order->unregister = step->unregister_after_move;
		order->relative_target_port = (uint16_t)step->target_port.value;
		order->transport_id = step->transport_id;
		order->transport_id_length = step->transport_id_length;
	}
}

static enum pr_type lun_plan_type(const struct lun_step *step, const struct lun_look *look)
{
	if (step->type != PR_TYPE_NONE)
		return step->type;
	if (step->verb != LUN_VERB_RESERVE && look->held)
		return look->type;
	return PR_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
}

static void lun_plan_order(struct lun_plan *plan, const struct lun_step *step,
			   const struct lun_look *look, const char *own)
{
	struct pr_out *order = &plan->order;

	switch (step->verb) {
	case LUN_VERB_REGISTER:
		lun_plan_register(plan, step, look, own);
		break;
	case LUN_VERB_UNREGISTER:
		order->action = step->ignore ? PR_OUT_REGISTER_AND_IGNORE : PR_OUT_REGISTER;
		lun_plan_key(plan, step, look, own);
		break;
	case LUN_VERB_RESERVE:
		order->action = PR_OUT_RESERVE;
		lun_plan_key(plan, step, look, own);
		break;
	case LUN_VERB_RELEASE:
		order->action = PR_OUT_RELEASE;
		lun_plan_key(plan, step, look, own);
		break;
	case LUN_VERB_PREEMPT:
		order->action = step->abort ? PR_OUT_PREEMPT_AND_ABORT : PR_OUT_PREEMPT;
		lun_plan_key(plan, step, look, own);
		order->service_key = step->victim.value;
		break;
	case LUN_VERB_CLEAR:
		order->action = PR_OUT_CLEAR;
		lun_plan_key(plan, step, look, own);
		break;
	case LUN_VERB_SHOW:
	case LUN_VERB_KEYS:
	case LUN_VERB_CAPABILITIES:
	case LUN_VERB_TEST:
	case LUN_VERB_RESET:
	case LUN_VERB_SLEEP:
	case LUN_VERBS:
		return;
	}
	order->type = lun_plan_type(step, look);
	if (step->raw_key.given)
		order->key = step->raw_key.value;
	if (step->raw_service_key.given)
		order->service_key = step->raw_service_key.value;
	else if (step->raw_key.given && !step->new_key.given && !step->victim.given)
		order->service_key = 0;
}

/* What it does to whom. */

static void lun_plan_judge_clear(struct lun_plan *plan, const struct lun_look *look)
{
	for (unsigned i = 0; i < look->count; i++) {
		const struct lun_registration *registration = &look->registrations[i];
		bool holder = lun_look_holds(look, registration->key);

		if (lun_plan_has_effect(plan, registration->key))
			continue;
		lun_plan_effect(plan, registration->key, "loses its registration%s",
				holder ? " and the reservation" : "");
		if (registration->key != plan->order.key)
			lun_plan_danger(plan, "CLEAR removes the reservation and every "
					      "registration, whoever made it");
	}
	if (look->held && lun_key_is_lunkeeper(look->holder))
		lun_plan_danger(plan, "CLEAR takes the LUN from the node that owns it");
}

static void lun_plan_judge_preempt(struct lun_plan *plan, const struct lun_look *look,
				   const struct lun_context *context)
{
	uint64_t victim = plan->order.service_key;
	bool holder = look->held && (victim == 0 || lun_look_holds(look, victim));
	unsigned nexuses = 0;

	for (unsigned i = 0; i < look->count; i++)
		nexuses += look->registrations[i].key == victim || victim == 0;
	if (nexuses == 0) {
		snprintf(plan->hint, sizeof(plan->hint),
			 "nobody is registered with the victim's key");
		return;
	}
	if (victim == 0)
		lun_plan_effect(plan, victim,
				"everybody else loses the registration and the "
				"reservation");
	else
		lun_plan_effect(plan, victim, "loses its registration%s%s", nexuses > 1 ? "s" : "",
				holder ? " and the reservation" : "");
	if (victim == plan->order.key)
		return;
	if (holder)
		lun_plan_danger(plan,
				lun_key_is_lunkeeper(victim)
					? "the victim owns the LUN; a node that lives loses its "
					  "service by this"
					: "the victim holds the reservation");
	else if (context->has_cluster && !lun_plan_is_ours(victim, context))
		lun_plan_danger(plan, "the victim's key is foreign to this cluster");
	else if (!context->has_cluster)
		lun_plan_danger(plan, "the victim's key may be in use; without a configuration "
				      "nobody can tell");
}

/* A nexus gives up, or exchanges, what may be a node's claim. */
static void lun_plan_judge_giving_up(struct lun_plan *plan, const struct lun_look *look)
{
	uint64_t key = plan->order.key;
	bool holder = lun_look_holds(look, key);
	bool release = plan->order.action == PR_OUT_RELEASE;
	const char *exchanged = plan->order.action == PR_OUT_REGISTER_AND_MOVE
					? "hands the reservation to another nexus"
					: "is exchanged for another key";

	if (key == 0 || !lun_look_has_key(look, key))
		return;
	if (release && !holder)
		return;
	if (release)
		lun_plan_effect(plan, key, "loses the reservation");
	else if (plan->order.service_key)
		lun_plan_effect(plan, key, "%s", exchanged);
	else
		lun_plan_effect(plan, key, "loses this nexus' registration%s",
				holder ? " and the reservation" : "");
	if (lun_key_is_lunkeeper(key))
		lun_plan_danger(plan, holder ? "a node owns the LUN by this key"
					     : "a node of LunKeeper uses this key");
}

static void lun_plan_judge_ignoring(struct lun_plan *plan, const struct lun_look *look,
				    const char *own)
{
	uint64_t own_key = lun_plan_own_key(look, own);
	unsigned others = 0;

	if (own_key && own_key != plan->order.service_key) {
		lun_plan_effect(plan, own_key, "is overwritten on this nexus%s",
				lun_look_holds(look, own_key) ? ", with the reservation" : "");
		lun_plan_danger(plan, "this nexus is registered with another key already");
		return;
	}
	if (look->full && own[0])
		return; /* it is seen that this nexus is not registered */
	for (unsigned i = 0; i < look->count; i++)
		others += look->registrations[i].key != plan->order.service_key;
	if (others == 0)
		return;
	for (unsigned i = 0; i < look->count; i++) {
		if (look->registrations[i].key != plan->order.service_key &&
		    !lun_plan_has_effect(plan, look->registrations[i].key))
			lun_plan_effect(plan, look->registrations[i].key,
					"is overwritten if it is this nexus' key");
	}
	lun_plan_danger(plan,
			"which of the registered keys is this nexus' cannot be told here, and "
			"REGISTER AND IGNORE overwrites it; `register` without --ignore "
			"refuses instead");
}

static void lun_plan_hint_register(struct lun_plan *plan, const struct lun_context *context)
{
	if (!plan->hint[0] && lun_plan_is_ours(plan->order.service_key, context))
		snprintf(plan->hint, sizeof(plan->hint),
			 "this is a key of the running cluster: its owner will preempt it");
}

void lun_plan_make(struct lun_plan *plan, const struct lun_step *step, const struct lun_look *look,
		   const struct lun_context *context, const char *own)
{
	memset(plan, 0, offsetof(struct lun_plan, effects));
	plan->effect_count = 0;
	plan->hint[0] = '\0';
	if (step->verb == LUN_VERB_RESET) {
		lun_plan_danger(plan, "LOGICAL UNIT RESET ends the commands of everybody who uses "
				      "the LUN");
		return;
	}
	lun_plan_order(plan, step, look, own);
	if (plan->refused)
		return;
	switch (plan->order.action) {
	case PR_OUT_CLEAR:
		lun_plan_judge_clear(plan, look);
		break;
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		lun_plan_judge_preempt(plan, look, context);
		break;
	case PR_OUT_REGISTER:
	case PR_OUT_RELEASE:
	case PR_OUT_REGISTER_AND_MOVE:
		lun_plan_judge_giving_up(plan, look);
		break;
	case PR_OUT_REGISTER_AND_IGNORE:
		lun_plan_judge_ignoring(plan, look, own);
		break;
	case PR_OUT_RESERVE:
		break;
	}
	if (plan->order.service_key && step->verb == LUN_VERB_REGISTER)
		lun_plan_hint_register(plan, context);
}

/* Why it was not done. */

static void lun_explain_holder(const struct lun_look *look, const struct lun_context *context,
			       char *buffer, size_t size)
{
	char who[LUN_MESSAGE_MAX / 2];
	const char *type = pr_type_short_name(look->type);

	if (lun_type_is_all_registrants(look->type)) {
		snprintf(buffer, size, "all registrants hold it, %s", type);
		return;
	}
	lun_key_who(look->holder, context, who, sizeof(who));
	if (who[0])
		snprintf(buffer, size, "0x%" PRIx64 " (%s) holds it, %s", look->holder, who, type);
	else
		snprintf(buffer, size, "0x%" PRIx64 " holds it, %s", look->holder, type);
}

static void lun_explain_conflict(const struct lun_step *step, const struct pr_out *order,
				 const struct lun_look *look, const struct lun_context *context,
				 char *buffer, size_t size)
{
	switch (order->action) {
	case PR_OUT_REGISTER:
		if (order->key == 0)
			snprintf(buffer, size,
				 "this nexus is registered already, with another key; give it by "
				 "--key with --new-key, or --ignore");
		else
			snprintf(buffer, size, "this nexus is not registered with 0x%" PRIx64,
				 order->key);
		return;
	case PR_OUT_RESERVE:
		if (look->ok && look->held &&
		    (lun_type_is_all_registrants(look->type) ||
		     !lun_look_holds(look, order->key))) {
			lun_explain_holder(look, context, buffer, size);
			return;
		}
		if (look->ok && look->held) {
			snprintf(buffer, size,
				 "0x%" PRIx64 " holds it already, by another session or with "
				 "another type",
				 order->key);
			return;
		}
		break;
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		if (look->ok && !lun_look_has_key(look, step->victim.given ? step->victim.value
									   : order->service_key)) {
			snprintf(buffer, size, "nobody is registered with 0x%" PRIx64,
				 order->service_key);
			return;
		}
		break;
	case PR_OUT_RELEASE:
	case PR_OUT_CLEAR:
	case PR_OUT_REGISTER_AND_IGNORE:
	case PR_OUT_REGISTER_AND_MOVE:
		break;
	}
	snprintf(buffer, size,
		 "this nexus is not registered with 0x%" PRIx64
		 "; `register` comes first, in the same session (`lun do`)",
		 order->key);
}

const char *lun_plan_explain(const struct lun_step *step, const struct pr_out *order,
			     const struct scsi_result *result, const struct lun_look *look,
			     const struct lun_context *context, char *buffer, size_t size)
{
	buffer[0] = '\0';
	switch (result->outcome) {
	case SCSI_OUTCOME_OK:
		break;
	case SCSI_OUTCOME_CONFLICT:
		lun_explain_conflict(step, order, look, context, buffer, size);
		break;
	case SCSI_OUTCOME_FAILED:
		if (result->asc == 0x27) {
			snprintf(buffer, size,
				 result->ascq == 0x07 ? "its pool is full, and it is write "
							"protected until there is "
							"room"
						      : "it is mapped read-only to this initiator");
			break;
		}
		if (result->sense_key != SCSI_SENSE_ILLEGAL_REQUEST)
			break;
		if (result->asc == 0x55 && result->ascq >= 0x02)
			snprintf(buffer, size,
				 "the target has no room for another registration; "
				 "remove registrations that nobody needs, or raise its limit");
		else if (result->asc == 0x20)
			snprintf(buffer, size, "the target does not know PERSISTENT RESERVE OUT");
		else if (result->asc == 0x26 && result->ascq == 0x04)
			snprintf(buffer, size, "the reservation has another type; see --type");
		else if (order->aptpl)
			snprintf(buffer, size, "the target may not know APTPL; `lun probe` tells");
		else if (order->action == PR_OUT_PREEMPT_AND_ABORT)
			snprintf(buffer, size,
				 "the target may not know PREEMPT AND ABORT; without --abort, "
				 "and `reset` behind it, the effect is the same");
		else
			snprintf(buffer, size, "the target does not know %s like this",
				 pr_out_action_name(order->action));
		break;
	case SCSI_OUTCOME_UNKNOWN:
		snprintf(buffer, size,
			 "it may have taken effect, or may yet; look before you go on");
		break;
	}
	return buffer;
}
