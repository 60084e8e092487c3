/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the answers on a LUN's paths say of the paths. One that stays silent while another answers,
 * or that the target does not let through (ALUA), is left alone but for a question now and then; to
 * the arbiter its nexus is gone until it answers, and new then, so that it is registered again
 * before the gate lets anything through. And what the LUN itself lists for a nexus is believed
 * before what was answered to a REGISTER long ago.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/base/log.h"

#define PROBE_EVERY_MS 1000
#define PROBE_TIMEOUT_MS 5000
#define SILENT_DEFENDS 2 /* x D without an answer, while one that was asked later answers */
#define REPAIR_EVERY_MS 5000
#define ORPHANS_FOR_MS 10000 /* a session that is just coming may be one of ours */
#define ORPHANS_EVERY_MS 60000
#define REPAIRS_UNPROVEN 2 /* of a nexus that no look has ever listed under the name we know */

/* --- errands --- */

void group_errand_begin(struct group_errand *errand, struct group_path *path)
{
	errand->path = path;
	errand->began_ms = clock_now_ms();
	errand->next = path->lun->errands;
	path->lun->errands = errand;
}

static void path_worse(struct group_path *path, enum group_path_health health, const char *reason)
{
	bool was_good = group_path_good(path);

	path->health = health;
	path->probed_ms = clock_now_ms();
	group_path_reason(path, reason);
	if (was_good)
		group_path_post(path, false, false, false);
}

static void path_better(struct group_path *path)
{
	bool was_good = group_path_good(path);

	path->health = GROUP_PATH_GOOD;
	if (was_good || !group_path_good(path))
		return;
	group_note(path->lun->group, path->lun->config->name, "path", "%s: answers again",
		   path->path->name);
	group_path_reason(path, NULL);
	group_path_post(path, true, !group_path_is_listed(path), false);
}

static bool is_answer(const struct scsi_result *result)
{
	return result->outcome == SCSI_OUTCOME_OK || result->outcome == SCSI_OUTCOME_FAILED ||
	       result->outcome == SCSI_OUTCOME_CONFLICT;
}

/* While a nexus is registered the gate is held: a slow path would be felt by all. */
static bool is_prompt(const struct group_path *path, const struct scsi_result *result)
{
	return path->health != GROUP_PATH_SILENT ||
	       result->duration_us / 1000 < path->lun->group->config->times.defend_ms;
}

static void path_judge(struct group_path *path, const struct pr_exec *exec)
{
	const struct scsi_result *result = &exec->request.result;
	char text[200];

	group_path_attentions(path, exec);
	if (exec->verdict == SCSI_RETRY_OTHER_PATH)
		path_worse(path, GROUP_PATH_INACCESSIBLE,
			   scsi_result_text(result, text, sizeof(text)));
	else if (is_answer(result) && path->health != GROUP_PATH_GOOD && is_prompt(path, result))
		path_better(path);
}

void group_errand_end(struct group_errand *errand, const struct pr_exec *exec)
{
	struct group_path *path = errand->path;
	struct group_errand **link = &path->lun->errands;

	while (*link != errand)
		link = &(*link)->next;
	*link = errand->next;
	errand->path = NULL;
	if (is_answer(&exec->request.result) && errand->began_ms > path->answered_ms)
		path->answered_ms = errand->began_ms;
	if (!path->lun->group->closing && !path->leaving && group_lun_is_kernel(path->lun))
		path_judge(path, exec);
}

/* --- probes --- */

struct probe {
	struct pr_exec exec;
	struct group_path *path;
	uint8_t buffer[8];
};

static void on_probed(struct pr_exec *exec)
{
	struct probe *probe = exec->user;
	struct group_path *path = probe->path;

	path->probing = false;
	if (!path->lun->group->closing && !path->leaving)
		path_judge(path, exec);
	free(probe);
}

static void path_probe(struct group_path *path, uint64_t now_ms)
{
	struct probe *probe;

	if (path->probing || path->looking > 0 || path->probed_ms + PROBE_EVERY_MS > now_ms)
		return;
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return;
	path->probing = true;
	path->probed_ms = now_ms;
	probe->path = path;
	probe->exec.user = probe;
	probe->exec.counters = &path->lun->group->home->counters.pr;
	pr_in_encode(&probe->exec.request, PR_IN_READ_KEYS, probe->buffer, sizeof(probe->buffer));
	pr_exec_start(&probe->exec, path->path, PROBE_TIMEOUT_MS, on_probed);
}

/* --- silence --- */

static const struct group_path *answered_since(const struct group_lun *lun,
					       const struct group_path *but, uint64_t since_ms)
{
	for (size_t k = 0; k < lun->path_count; k++)
		if (&lun->paths[k] != but && group_path_good(&lun->paths[k]) &&
		    lun->paths[k].answered_ms > since_ms)
			return &lun->paths[k];
	return NULL;
}

void group_health_check(struct group_lun *lun)
{
	uint64_t now = clock_now_ms();
	uint32_t defend_ms = lun->group->config->times.defend_ms;

	if (!group_lun_is_kernel(lun))
		return;
	for (struct group_errand *errand = lun->errands, *next; errand; errand = next) {
		struct group_path *path = errand->path;
		const struct group_path *other;
		char text[PATH_NAME_MAX + 100];

		next = errand->next;
		if (!group_path_good(path) ||
		    now - errand->began_ms < SILENT_DEFENDS * (uint64_t)defend_ms)
			continue;
		other = answered_since(lun, path, errand->began_ms);
		if (!other)
			continue;
		snprintf(text, sizeof(text), "no answer for %" PRIu64 " ms, while %s answers",
			 now - errand->began_ms, other->path->name);
		path_worse(path, GROUP_PATH_SILENT, text);
	}
	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[k];

		if (!path->path || path->leaving)
			continue;
		if (path->gave_up && group_path_has_ended(path))
			group_path_post(path, group_path_good(path), false, true);
		if (path->usable && path->health != GROUP_PATH_GOOD)
			path_probe(path, now);
	}
}

/* --- the truth --- */

static void path_repair(struct group_path *path, uint64_t now_ms)
{
	path->repairs++;
	path->repaired_ms = now_ms;
	log_warning("%s: LUN %s: %s: our key is registered, but not for this session (%s): "
		    "registered anew",
		    path->lun->group->config->name, path->lun->config->name, path->path->name,
		    path->transport);
	group_note(path->lun->group, path->lun->config->name, "path",
		   "%s: our key was not registered for this session (%s)", path->path->name,
		   path->transport);
	group_path_post(path, false, false, false);
	group_path_post(path, true, true, false);
}

static bool must_repair(const struct group_path *path, const struct arbiter_lun_view *view,
			uint64_t now_ms)
{
	return path->transport[0] && group_path_good(path) && path->nexus != NO_GROUP_NEXUS &&
	       view->owned && view->nexus[path->nexus].registered &&
	       view->nexus[path->nexus].key == view->key && path->actual != view->key &&
	       now_ms >= path->repaired_ms + REPAIR_EVERY_MS &&
	       (path->listed_once || path->repairs < REPAIRS_UNPROVEN);
}

/* Of every path we know how the LUN names its nexus: what else it lists is none of ours. */
static bool knows_nexuses(const struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].path && !lun->paths[k].leaving && !lun->paths[k].transport[0])
			return false;
	return true;
}

/* Our key on nexuses that are none of ours: sessions that are no more. */
static void note_orphans(struct group_lun *lun, const struct group_listed *listed,
			 const struct arbiter_lun_view *view, uint64_t now_ms)
{
	char text[GROUP_OTHERS_MAX * (GROUP_TRANSPORT_MAX + 2)] = "";
	size_t used = 0;

	for (size_t k = 0; k < listed->other_count && view->owned && knows_nexuses(lun); k++)
		if (listed->others[k].key == view->key)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? " " : "", listed->others[k].transport);
	if (used > 0 && !lun->orphans)
		lun->orphans_since_ms = now_ms;
	if (used > 0 && lun->orphans && strcmp(lun->orphans, text) == 0)
		return;
	free(lun->orphans);
	lun->orphans = used > 0 ? strdup(text) : NULL;
}

/* Everything else is as it should be, for some time, and whatever is in flight may be aborted: all
 * our nexuses are new to the arbiter then, which takes a fresh key and preempts the old one. */
static bool must_swap(const struct group_lun *lun, const struct arbiter_lun_view *view,
		      uint64_t now_ms)
{
	unsigned good = 0;

	if (!lun->orphans || !view->owned || lun->group->config->gate == CONFIG_GATE_NONE ||
	    now_ms < lun->orphans_since_ms + ORPHANS_FOR_MS ||
	    (lun->orphans_swapped_ms && now_ms < lun->orphans_swapped_ms + ORPHANS_EVERY_MS))
		return false;
	for (size_t k = 0; k < lun->path_count; k++) {
		const struct group_path *path = &lun->paths[k];

		if (!path->path || path->leaving)
			continue;
		if (!path->transport[0] || !group_path_good(path) || path->actual != view->key)
			return false;
		good++;
	}
	return good > 0;
}

static void swap_orphans(struct group_lun *lun, uint64_t now_ms)
{
	lun->orphans_swapped_ms = now_ms;
	log_notice("%s: LUN %s: our key is registered for sessions that are no more (%s)",
		   lun->group->config->name, lun->config->name, lun->orphans);
	group_note(lun->group, lun->config->name, "path",
		   "our key is registered for sessions that are no more: %s", lun->orphans);
	for (size_t k = 0; k < lun->path_count; k++)
		if (group_path_good(&lun->paths[k]))
			group_path_post(&lun->paths[k], false, false, false);
	for (size_t k = 0; k < lun->path_count; k++)
		if (group_path_good(&lun->paths[k]))
			group_path_post(&lun->paths[k], true, true, false);
}

void group_lun_compare(struct group_lun *lun, const struct group_listed *listed)
{
	uint64_t now = clock_now_ms();
	struct arbiter_lun_view view;

	for (size_t k = 0; k < lun->path_count; k++) {
		struct group_path *path = &lun->paths[k];

		path->actual_known = path->transport[0] && path->path && !path->leaving;
		path->actual = listed->path[k].key;
		if (path->actual_known && listed->path[k].there) {
			path->listed_once = true;
			path->repairs = 0;
		}
	}
	arbiter_get_lun_view(lun->group->arbiter, lun->number, &view);
	note_orphans(lun, listed, &view, now);
	for (size_t k = 0; k < lun->path_count; k++)
		if (must_repair(&lun->paths[k], &view, now)) {
			path_repair(&lun->paths[k], now);
			return; /* what follows from it comes first */
		}
	if (must_swap(lun, &view, now))
		swap_orphans(lun, now);
}
