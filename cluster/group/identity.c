/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether a LUN is still the logical unit that is meant (scsi/lun_proof.h). Every path is asked when
 * it comes up, after each attention that may mean another one, and from time to time; every order is
 * preceded by the question on the nexus that it goes by (lun.c). Once another one was found where the
 * LUN had been, nothing it says is passed on, and this node gives the group up.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/group/private.h"

#define PROVE_EVERY_MS 5000 /* all paths of a LUN once */
#define PROVE_TIMEOUT_MS 5000

void group_identity_open(struct group_lun *lun)
{
	if (lun->config->wwid)
		snprintf(lun->identity.wanted, sizeof(lun->identity.wanted), "%s",
			 lun->config->wwid);
	lun->prove_ms = clock_now_ms() + PROVE_EVERY_MS;
}

static bool path_says_other(const struct group_path *path)
{
	return path->path && !path->leaving && path->other;
}

static const struct group_path *who_says_other(const struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++)
		if (path_says_other(&lun->paths[k]))
			return &lun->paths[k];
	return path_says_other(&lun->gate_path) ? &lun->gate_path : NULL;
}

static void post(struct group_lun *lun)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_IDENTITY};

	event.identity.lun = lun->number;
	event.identity.other = lun->other;
	group_post(lun->group, &event);
}

static void set_fitness(struct group *group)
{
	char reason[GROUP_REASON] = "";

	for (size_t i = 0; i < group->lun_count && !*reason; i++)
		if (group->luns[i].other)
			snprintf(reason, sizeof(reason),
				 "LUN %s: another logical unit stands there",
				 group->luns[i].config->name);
	group_set_unfit(group, GROUP_UNFIT_IDENTITY, *reason ? reason : NULL);
}

/* The gate first, then what follows from it. */
static void tell(struct group_lun *lun)
{
	const struct group_path *path = who_says_other(lun);
	struct group *group = lun->group;

	if (lun->other == (path != NULL))
		return;
	lun->other = path != NULL;
	post(lun);
	set_fitness(group);
	if (lun->other) {
		log_error("%s: LUN %s: %s: %s", group->config->name, lun->config->name,
			  path->path->name, lun->other_text);
		group_note(group, lun->config->name, "alarm", "%s: %s", path->path->name,
			   lun->other_text);
	} else {
		log_notice("%s: LUN %s: the right logical unit stands there again",
			   group->config->name, lun->config->name);
		group_note(group, lun->config->name, "path",
			   "the right logical unit stands there again");
	}
}

void group_identity_announce(struct group_lun *lun)
{
	if (lun->other)
		post(lun);
}

void group_identity_found(struct group_path *path, bool other, const char *text)
{
	if (other)
		snprintf(path->lun->other_text, sizeof(path->lun->other_text), "%s", text);
	path->other = other;
	tell(path->lun);
}

void group_identity_judged(struct group_path *path, enum lun_proof_verdict verdict,
			   const char *text)
{
	struct group_lun *lun = path->lun;
	bool known = path->ever_up || path == &lun->gate_path ||
		     (group_lun_is_kernel(lun) && !path->late);

	if (verdict == LUN_VERDICT_SAME || verdict == LUN_VERDICT_OTHER)
		group_identity_found(path, verdict == LUN_VERDICT_OTHER && known, text);
	if (verdict == LUN_VERDICT_SAME || !path->usable || path == &lun->gate_path)
		return; /* the gate's process sees to its own nexus */
	/* Nothing more by this one before it was asked again. */
	if (verdict != LUN_VERDICT_UNKNOWN)
		group_path_reason(path, text);
	if (group_path_good(path))
		group_path_post(path, false, false, false);
	path->usable = false;
	group_reconnect_soon(lun->group);
}

bool group_identity_in_doubt(const struct group *group)
{
	for (size_t i = 0; i < group->lun_count; i++)
		for (size_t k = 0; k < group->luns[i].path_count; k++) {
			const struct group_path *path = &group->luns[i].paths[k];

			if (path->path && !path->leaving && path->doubted)
				return true;
		}
	return false;
}

static void hold(struct group_lun *lun, const char *why, bool look)
{
	const struct group_gate *kind = lun->group->gate_kind;

	if (group_lun_is_kernel(lun) && kind && kind->hold)
		kind->hold(lun, why, look);
}

static void resume(struct group *group)
{
	if (group->gate_kind && group->gate_kind->resume && !group_identity_in_doubt(group))
		group->gate_kind->resume(group);
}

/* --- asking --- */

struct proof {
	struct lun_proof errand;
	struct group_path *path;
	uint32_t doubts; /* of the path, when it began */
};

static bool prove(struct group_path *path);

static void take_verdict(struct group_path *path, const struct lun_proof *errand)
{
	bool doubted = path->doubted;

	path->doubted = false;
	if (errand->verdict == LUN_VERDICT_GONE)
		hold(path->lun, "there is no such logical unit now", true);
	if (errand->verdict != LUN_VERDICT_UNKNOWN || doubted)
		group_identity_judged(path, errand->verdict, errand->text);
	resume(path->lun->group);
}

static void on_proven(struct lun_proof *errand)
{
	struct proof *proof = errand->user;
	struct group_path *path = proof->path;
	struct group_lun *lun = path->lun;
	const struct scsi_result *result = &errand->exec.request.result;
	bool gone = lun->group->closing || path->leaving;

	path->proving = false;
	lun->group->home->counters.unit_attentions += errand->exec.attentions.count;
	if (gone)
		path->doubted = false;
	else if (errand->verdict == LUN_VERDICT_UNKNOWN && !path->doubted &&
		 result->sense_key == SCSI_SENSE_UNIT_ATTENTION)
		group_path_attentions(path, &errand->exec); /* which asks again */
	else if (path->doubts == proof->doubts || !prove(path))
		take_verdict(path, errand);
	lun_proof_release(errand);
	free(proof);
}

/* False: no memory. */
static bool prove(struct group_path *path)
{
	struct proof *proof = calloc(1, sizeof(*proof));

	if (!proof)
		return false;
	path->proving = true;
	proof->path = path;
	proof->doubts = path->doubts;
	proof->errand.user = proof;
	proof->errand.exec.counters = &path->lun->group->home->counters.pr;
	/* Data goes on meanwhile: an attention ends it, and holds the gate first. */
	proof->errand.exec.stops_in_doubt = !path->doubted;
	lun_proof_start(&proof->errand, path->path, &path->lun->identity, PROVE_TIMEOUT_MS,
			on_proven);
	return true;
}

void group_identity_doubt(struct group_path *path)
{
	if (path == &path->lun->gate_path || !path->usable)
		return;
	path->doubted = true;
	path->doubts++;
	hold(path->lun, "another logical unit may stand there now", false);
	if (path->proving || prove(path))
		return;
	path->doubted = false;
	group_identity_judged(path, LUN_VERDICT_UNKNOWN, "");
	resume(path->lun->group);
}

/* --- unit attentions --- */

static void path_attention(struct group_path *path, uint8_t asc, uint8_t ascq)
{
	if (asc == 0x29) /* power on, reset, I_T nexus loss */
		group_path_check_session(path);
	if (asc == 0x2a && ascq == 0x01) /* mode parameters have changed */
		path->lun->writable_ms = 0;
	if (asc == 0x2a && ascq == 0x09) /* capacity data has changed */
		group_size_news(path->lun);
	if (scsi_attention_doubts_identity(asc, ascq) && path->usable)
		group_identity_doubt(path);
}

void group_path_attentions(struct group_path *path, const struct pr_exec *exec)
{
	for (uint32_t k = 0; k < exec->attentions.count && k < PR_ATTENTIONS_KEPT; k++)
		path_attention(path, exec->attentions.last[k].asc, exec->attentions.last[k].ascq);
}

/* --- from time to time --- */

void group_identity_check(struct group_lun *lun)
{
	uint64_t now = clock_now_ms();
	size_t good = 0;

	tell(lun); /* a path that said so may have gone */
	if (now < lun->prove_ms)
		return;
	for (size_t k = 0; k < lun->path_count; k++)
		good += group_path_good(&lun->paths[k]);
	lun->prove_ms = now + (good ? PROVE_EVERY_MS / good : PROVE_EVERY_MS);
	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[(lun->prove_next + k) % lun->path_count];

		if (!group_path_good(path) || path->proving || path->identifying)
			continue;
		lun->prove_next = (uint16_t)((lun->prove_next + k + 1) % lun->path_count);
		prove(path);
		return;
	}
}
