/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See size_policy.h.
 */
#include "cluster/core/size_policy.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Of what is known. */
static uint64_t kernel_least(const struct size_seen *seen)
{
	return seen->map ? least(seen->map, seen->disk_least) : seen->disk_least;
}

static uint64_t kernel_most(const struct size_seen *seen)
{
	return seen->map > seen->disk_most ? seen->map : seen->disk_most;
}

bool size_policy_is_due(struct size_policy *policy, uint64_t now_ms, uint64_t stagger_ms)
{
	if (!policy->begun) {
		policy->begun = true;
		policy->ask_ms = now_ms + stagger_ms;
	}
	return !policy->asking && !policy->working && now_ms >= policy->ask_ms;
}

void size_policy_asked(struct size_policy *policy)
{
	policy->asking = true;
}

static enum size_verdict smaller(struct size_policy *policy, uint64_t size, uint64_t now_ms)
{
	if (policy->told_smaller == size)
		return SIZE_VERDICT_NONE;
	if (policy->smaller != size) {
		policy->smaller = size;
		policy->ask_ms = now_ms + SIZE_CONFIRM_MS;
		return SIZE_VERDICT_NONE;
	}
	policy->told_smaller = size;
	return SIZE_VERDICT_SMALLER;
}

static enum size_verdict equal(struct size_policy *policy)
{
	bool was_stuck = policy->told_stuck != 0;

	policy->told_stuck = policy->rescan_ms = 0;
	return was_stuck ? SIZE_VERDICT_SETTLED : SIZE_VERDICT_NONE;
}

enum size_verdict size_policy_answered(struct size_policy *policy, const struct size_seen *seen,
				       uint64_t now_ms)
{
	policy->asking = false;
	policy->failures = 0;
	policy->ask_ms = now_ms + SIZE_ASK_MS;
	if (seen->lun == 0 || seen->disk_least == 0)
		return SIZE_VERDICT_NONE;
	if (kernel_most(seen) > seen->lun)
		return smaller(policy, seen->lun, now_ms);
	policy->smaller = policy->told_smaller = 0;
	if (kernel_least(seen) == seen->lun)
		return equal(policy);
	if (seen->lun != policy->to)
		policy->rescan_ms = 0; /* it has grown once more */
	if (now_ms < policy->rescan_ms)
		return SIZE_VERDICT_NONE;
	policy->working = true;
	policy->from = kernel_least(seen);
	policy->to = seen->lun;
	return SIZE_VERDICT_RESCAN;
}

void size_policy_unanswered(struct size_policy *policy, uint64_t now_ms)
{
	uint64_t wait_ms = SIZE_ASK_MS;

	policy->asking = false;
	for (unsigned i = 0; i < policy->failures && wait_ms < SIZE_ASK_MOST_MS; i++)
		wait_ms *= 2;
	policy->failures++;
	policy->ask_ms = now_ms + least(wait_ms, SIZE_ASK_MOST_MS);
}

enum size_verdict size_policy_rescanned(struct size_policy *policy, const struct size_seen *seen,
					uint64_t now_ms)
{
	policy->working = false;
	policy->rescanned_ms = now_ms;
	policy->rescan_ms = now_ms + SIZE_AGAIN_MS;
	policy->ask_ms = now_ms + SIZE_ASK_MS;
	if (seen->disk_least == 0)
		return SIZE_VERDICT_NONE; /* no path is up any more; one that comes is news */
	if (kernel_least(seen) >= policy->to) {
		policy->told_stuck = policy->rescan_ms = 0;
		return SIZE_VERDICT_GREW;
	}
	if (policy->told_stuck == policy->to)
		return SIZE_VERDICT_NONE;
	policy->told_stuck = policy->to;
	return SIZE_VERDICT_STUCK;
}

void size_policy_news(struct size_policy *policy, uint64_t now_ms)
{
	if (!policy->begun)
		return;
	policy->ask_ms = least(policy->ask_ms, now_ms);
	policy->rescan_ms = least(policy->rescan_ms, policy->rescanned_ms + SIZE_NEWS_MS);
}
