/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether a LUN may be written to from here: the target's word (WP, scsi/mode.h), asked when a path
 * comes up, now and then, and when the target says that its mode parameters have changed. A node
 * whose mapping is read-only could own and not serve, so it is not fit.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cluster/base/clock.h"
#include "cluster/base/log.h"
#include "cluster/group/private.h"
#include "scsi/mode.h"

#define ASK_EVERY_MS 30000
#define ASK_TIMEOUT_MS 5000

struct ask {
	struct pr_exec exec;
	struct group_path *path;
	void (*then)(struct group_path *path); /* NULL: nobody waits */
	uint8_t buffer[SCSI_MODE_HEADER_SIZE];
};

bool group_lun_write_protected(const struct group_lun *lun)
{
	for (size_t k = 0; k < lun->path_count; k++)
		if (lun->paths[k].path && !lun->paths[k].leaving && lun->paths[k].write_protected)
			return true;
	return false;
}

static void settle(struct group *group)
{
	char text[GROUP_REASON];

	for (size_t i = 0; i < group->lun_count; i++) {
		if (!group_lun_write_protected(&group->luns[i]))
			continue;
		snprintf(text, sizeof(text), "LUN %s is " SCSI_WRITE_PROTECTED_TEXT,
			 group->luns[i].config->name);
		group_set_unfit(group, GROUP_UNFIT_READ_ONLY, text);
		return;
	}
	group_set_unfit(group, GROUP_UNFIT_READ_ONLY, NULL);
}

static void take(struct group_path *path, bool write_protected)
{
	struct group_lun *lun = path->lun;

	if (path->write_protected == write_protected)
		return;
	path->write_protected = write_protected;
	if (write_protected)
		log_error("%s: LUN %s: %s: " SCSI_WRITE_PROTECTED_TEXT, lun->group->config->name,
			  lun->config->name, path->path->name);
	group_note(lun->group, lun->config->name, write_protected ? "alarm" : "path", "%s: %s",
		   path->path->name,
		   write_protected ? SCSI_WRITE_PROTECTED_TEXT : "may be written to again");
	settle(lun->group);
}

static void on_asked(struct pr_exec *exec)
{
	struct ask *ask = exec->user;
	struct group_path *path = ask->path;
	void (*then)(struct group_path *path) = ask->then;
	bool over = path->lun->group->closing || path->leaving, write_protected;

	/* A reservation of somebody else may refuse the question (SPC-5 table 66), and a device may
	 * not know it: what was known is still what is known. */
	if (!over && exec->request.result.outcome == SCSI_OUTCOME_OK &&
	    scsi_mode_protected_decode(&write_protected, ask->buffer,
				       exec->request.result.transferred) == 0)
		take(path, write_protected);
	if (!over)
		group_path_attentions(path, exec);
	free(ask);
	if (!then)
		return;
	path->identifying = false;
	if (!over && path->path->state == PATH_STATE_UP)
		then(path);
}

void group_writable_ask(struct group_path *path, void (*then)(struct group_path *path))
{
	struct ask *ask = calloc(1, sizeof(*ask));

	path->lun->writable_ms = clock_now_ms();
	if (!ask) {
		if (then)
			then(path);
		return;
	}
	path->identifying = path->identifying || then;
	ask->path = path;
	ask->then = then;
	ask->exec.user = ask;
	scsi_mode_sense6_encode(&ask->exec.request, ask->buffer);
	pr_exec_start(&ask->exec, path->path, ASK_TIMEOUT_MS, on_asked);
}

void group_writable_check(struct group_lun *lun)
{
	uint64_t now = clock_now_ms();

	if (lun->writable_ms && now - lun->writable_ms < ASK_EVERY_MS)
		return;
	for (size_t k = 0; k < lun->path_count; k++)
		if (group_path_good(&lun->paths[k]) && lun->paths[k].looking == 0)
			group_writable_ask(&lun->paths[k], NULL);
}
