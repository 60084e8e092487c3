/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether an order that was answered GOOD did what it says, from the looks before and behind it. A
 * target may answer GOOD and change nothing; what a command says is what a look shows. Pure.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "tools/lun/lun.h"

bool lun_type_is_all_registrants(enum pr_type type)
{
	return type == PR_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS ||
	       type == PR_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS;
}

bool lun_look_holds(const struct lun_look *look, uint64_t key)
{
	if (!look->held || key == 0)
		return false;
	/* SPC-5 5.14.10: with these types every registrant is a holder. */
	if (lun_type_is_all_registrants(look->type))
		return lun_look_has_key(look, key);
	return look->holder == key;
}

static unsigned proof_count(const struct lun_look *look, uint64_t key)
{
	unsigned count = 0;

	for (unsigned i = 0; i < look->count; i++)
		count += look->registrations[i].key == key;
	return count;
}

/* Whether the key stands in the list; one that is cut says nothing of what it lacks. */
static bool proof_lacks(const struct lun_look *look, uint64_t key)
{
	return look->available <= look->count && !lun_look_has_key(look, key);
}

/* The key of this nexus. False: this look cannot tell. */
static bool proof_own(const struct lun_look *look, const char *own, uint64_t *key)
{
	*key = 0;
	if (!look->full || !own[0] || look->available > look->count)
		return false;
	for (unsigned i = 0; i < look->count; i++) {
		if (strcasecmp(look->registrations[i].transport_id, own) == 0)
			*key = look->registrations[i].key;
	}
	return true;
}

static void proof_registered(const struct pr_out *order, const struct lun_look *after,
			     const char *own, char *text, size_t size)
{
	uint64_t key;

	if (proof_lacks(after, order->service_key))
		snprintf(text, size, "no look shows 0x%" PRIx64 " registered", order->service_key);
	else if (proof_own(after, own, &key) && key != order->service_key && key)
		snprintf(text, size, "this nexus is registered with 0x%" PRIx64 ", not 0x%" PRIx64,
			 key, order->service_key);
	else if (proof_own(after, own, &key) && !key)
		snprintf(text, size, "0x%" PRIx64 " is registered, but not by this nexus",
			 order->service_key);
}

static void proof_unregistered(const struct pr_out *order, const struct lun_look *before,
			       const struct lun_look *after, const char *own, char *text,
			       size_t size)
{
	uint64_t key;

	if (proof_own(after, own, &key)) {
		if (key)
			snprintf(text, size, "this nexus is still registered with 0x%" PRIx64, key);
	} else if (order->key && proof_count(before, order->key) &&
		   proof_count(after, order->key) >= proof_count(before, order->key)) {
		snprintf(text, size, "0x%" PRIx64 " is registered as before", order->key);
	}
}

/* "nobody holds it", "0x5 holds it (WE-RO)" */
static const char *proof_holder(const struct lun_look *look, char *text, size_t size)
{
	if (!look->held)
		snprintf(text, size, "nobody holds it");
	else if (lun_type_is_all_registrants(look->type))
		snprintf(text, size, "all registrants hold it (%s)",
			 pr_type_short_name(look->type));
	else
		snprintf(text, size, "0x%" PRIx64 " holds it (%s)", look->holder,
			 pr_type_short_name(look->type));
	return text;
}

static void proof_preempted(const struct pr_out *order, const struct lun_look *before,
			    const struct lun_look *after, char *text, size_t size)
{
	uint64_t victim = order->service_key;
	bool taken =
		lun_type_is_all_registrants(before->type) ? victim == 0 : before->holder == victim;
	char holder[80];

	if (victim && victim != order->key && lun_look_has_key(after, victim))
		snprintf(text, size, "0x%" PRIx64 " is still registered", victim);
	else if (before->held && taken && !lun_look_holds(after, order->key))
		snprintf(text, size, "0x%" PRIx64 " has not got the reservation: %s", order->key,
			 proof_holder(after, holder, sizeof(holder)));
}

const char *lun_plan_prove(const struct pr_out *order, const struct lun_look *before,
			   const struct lun_look *after, const char *own, char *text, size_t size)
{
	char holder[80];

	text[0] = '\0';
	switch (order->action) {
	case PR_OUT_REGISTER:
	case PR_OUT_REGISTER_AND_IGNORE:
		if (order->service_key)
			proof_registered(order, after, own, text, size);
		else
			proof_unregistered(order, before, after, own, text, size);
		break;
	case PR_OUT_RESERVE:
		if (!lun_look_holds(after, order->key) || after->type != order->type)
			snprintf(text, size, "%s", proof_holder(after, holder, sizeof(holder)));
		break;
	case PR_OUT_RELEASE:
		if (lun_look_holds(before, order->key) && lun_look_holds(after, order->key))
			snprintf(text, size, "%s", proof_holder(after, holder, sizeof(holder)));
		break;
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		proof_preempted(order, before, after, text, size);
		break;
	case PR_OUT_CLEAR:
		if (after->held || after->available)
			snprintf(text, size, "%u registration%s there, and %s", after->available,
				 after->available == 1 ? " is" : "s are",
				 proof_holder(after, holder, sizeof(holder)));
		break;
	case PR_OUT_REGISTER_AND_MOVE:
		if (proof_lacks(after, order->service_key) ||
		    !lun_look_holds(after, order->service_key))
			snprintf(text, size, "0x%" PRIx64 " has not got it: %s", order->service_key,
				 proof_holder(after, holder, sizeof(holder)));
		break;
	}
	return text;
}
