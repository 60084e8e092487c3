/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gate's own nexus to each LUN: opened, identified before anything passes, lost, given up, made
 * again with growing delays. The LUNs of one target and portal share a session (see iscsi/), and so
 * they are given up together: a session's end is what makes the target forget the commands that it
 * still has from it (RFC 7143 6.3.5).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/gate/plugin/private.h"
#include "iscsi/path_iscsi.h"

#define DELAY_FIRST_MS 20u
#define DELAY_MAX_MS 2000u
#define UNUSABLE_DELAY_MS 5000u
#define LOGIN_TIMEOUT_MS 5000u

static const struct path_kind *const kinds[] = {&path_kind_iscsi, NULL};

void nexus_set(struct plugin_lun *lun, enum gate_nexus nexus, const char *reason)
{
	bool lost = lun->nexus == GATE_NEXUS_UP && nexus != GATE_NEXUS_UP;

	if (lun->nexus == nexus && strcmp(lun->reason, reason) == 0)
		return;
	plugin_log("LUN %s: nexus %s -> %s%s%s", lun->config.name, gate_nexus_name(lun->nexus),
		   gate_nexus_name(nexus), *reason ? ": " : "", reason);
	lun->nexus = nexus;
	snprintf(lun->reason, sizeof(lun->reason), "%s", reason);
	if (nexus == GATE_NEXUS_UP) {
		lun->serial = ++lun->plugin->next_serial;
		lun->delay_ms = DELAY_FIRST_MS;
	} else {
		lun->key = 0;
	}
	/* The state first: who is told that the nexus is gone shall know already that the gate is
	 * held. */
	if (lost)
		core_disturb(lun->plugin, GATE_CAUSE_NEXUS_LOST, lun->number);
	control_tell_lun(lun);
}

static void path_event(struct path *path, enum path_state state, const char *reason, void *user)
{
	struct plugin_lun *lun = user;
	if (path != lun->path || lun->closing)
		return;
	switch (state) {
	case PATH_STATE_CONNECTING:
		break;
	case PATH_STATE_UP:
		nexus_set(lun, GATE_NEXUS_CONNECTING, "");
		identify_start(lun);
		break;
	case PATH_STATE_DOWN:
		nexus_set(lun, GATE_NEXUS_DOWN, reason ? reason : "session lost");
		nexus_try_later(lun);
		break;
	}
}

static int path_make(struct plugin_lun *lun, char *message, size_t size)
{
	const struct gate_file *file = &lun->plugin->file;
	struct path_open_options options = {
		.initiator_name = file->initiator_name[0] ? file->initiator_name : NULL,
		.isid_qualifier = file->isid_qualifier,
		.secrets_file = file->secrets_file[0] ? file->secrets_file : NULL,
		.header_digest = lun->config.header_digest,
		.data_digest = lun->config.data_digest,
		.login_timeout_ms = LOGIN_TIMEOUT_MS,
		.changed = path_event,
		.user = lun,
	};
	struct path *paths[PATHS_MAX];
	size_t count = 0;
	int error = path_open_all(kinds, &lun->plugin->loop, lun->config.url, &options, paths,
				  &count, message, size);
	if (error == 0)
		lun->path = paths[0];
	return error;
}

static bool stopping(struct plugin *plugin)
{
	bool is;

	pthread_mutex_lock(&plugin->lock);
	is = plugin->stopping;
	pthread_mutex_unlock(&plugin->lock);
	return is;
}

static void nexus_try(struct plugin_lun *lun)
{
	char message[GATE_WIRE_TEXT_MAX] = "";

	if (lun->closing || lun->identify.busy || stopping(lun->plugin))
		return;
	if (lun->path && lun->path->state == PATH_STATE_UP) {
		identify_start(lun);
		return;
	}
	if (lun->path) {
		path_reconnect(lun->path);
		return;
	}
	if (path_make(lun, message, sizeof(message)) < 0) {
		nexus_set(lun, GATE_NEXUS_DOWN, message);
		nexus_try_later(lun);
	}
}

static void retry_due(uv_timer_t *timer)
{
	nexus_try(timer->data);
}

void nexus_try_later(struct plugin_lun *lun)
{
	uint32_t delay = lun->nexus == GATE_NEXUS_UNUSABLE ? UNUSABLE_DELAY_MS : lun->delay_ms;
	if (uv_is_closing((uv_handle_t *)&lun->retry))
		return;
	uv_timer_start(&lun->retry, retry_due, delay, 0);
	lun->delay_ms = lun->delay_ms * 2 < DELAY_MAX_MS ? lun->delay_ms * 2 : DELAY_MAX_MS;
}

void nexus_retry_now(struct plugin_lun *lun)
{
	if (lun->nexus == GATE_NEXUS_UP)
		return;
	uv_timer_stop(&lun->retry);
	nexus_try(lun);
}

/* "iscsi://host:port/target/" */
static bool session_shared(const struct plugin_lun *one, const struct plugin_lun *other)
{
	const char *end = strrchr(one->config.url, '/');
	size_t length = end ? (size_t)(end - one->config.url) : strlen(one->config.url);
	return strncmp(one->config.url, other->config.url, length + 1) == 0;
}

static void nexus_doubt(struct plugin_lun *lun)
{
	lun->doubts++;
	lun->doubted = true;
	if (lun->nexus == GATE_NEXUS_UP)
		identify_start(lun);
}

/* 3F/0E is told once for all that the target has. */
static void nexus_doubt_others(struct plugin_lun *lun)
{
	struct plugin *plugin = lun->plugin;

	for (size_t i = 0; i < plugin->file.lun_count; i++)
		if (&plugin->luns[i] != lun && session_shared(lun, &plugin->luns[i]))
			nexus_doubt(&plugin->luns[i]);
}

void nexus_attentions(struct plugin_lun *lun, const struct pr_attentions *taken)
{
	bool all = false;

	for (uint32_t k = 0; k < taken->count && k < PR_ATTENTIONS_KEPT; k++)
		all = all || taken->last[k].asc == 0x3f;
	if (all)
		nexus_doubt_others(lun);
}

void nexus_attention(struct plugin_lun *lun, const struct scsi_result *result)
{
	bool attention = result->sense_key == SCSI_SENSE_UNIT_ATTENTION &&
			 scsi_attention_doubts_identity(result->asc, result->ascq);
	bool absent = result->sense_key == SCSI_SENSE_ILLEGAL_REQUEST && result->asc == 0x25;

	if (!result->has_status || result->status != SCSI_STATUS_CHECK_CONDITION ||
	    (!attention && !absent))
		return;
	nexus_doubt(lun);
	if (attention && result->asc == 0x3f)
		nexus_doubt_others(lun);
}

/* Whether or not the gate was open: what waits must not reach it either. */
void nexus_other(struct plugin_lun *lun, const char *reason)
{
	struct plugin *plugin = lun->plugin;

	if (plugin->state != GATE_STATE_FAILED) {
		plugin->spontaneous++;
		core_set(plugin, GATE_STATE_FAILED, GATE_CAUSE_OTHER_UNIT, lun->number);
	}
	nexus_set(lun, GATE_NEXUS_UNUSABLE, reason);
	nexus_try_later(lun);
}

static void prove_due(uv_timer_t *timer)
{
	struct plugin_lun *lun = timer->data;

	if (lun->nexus == GATE_NEXUS_UP)
		identify_start(lun);
}

static bool session_closing(const struct plugin_lun *lun)
{
	const struct plugin *plugin = lun->plugin;
	for (size_t i = 0; i < plugin->file.lun_count; i++)
		if (plugin->luns[i].closing && session_shared(lun, &plugin->luns[i]))
			return true;
	return false;
}

static void path_closed(void *user)
{
	struct plugin_lun *lun = user;
	struct plugin *plugin = lun->plugin;

	lun->closing = false;
	plugin->closing_count--;
	core_settle(plugin);
	if (stopping(plugin)) {
		uv_async_send(&plugin->wake);
		return;
	}
	if (session_closing(lun))
		return; /* whoever is last opens them all, so that the new ones meet in a new
			   session */
	for (size_t i = 0; i < plugin->file.lun_count; i++)
		if (!plugin->luns[i].path && session_shared(lun, &plugin->luns[i]))
			nexus_try_later(&plugin->luns[i]);
}

static void nexus_close(struct plugin_lun *lun, const char *reason)
{
	struct path *path = lun->path;
	if (!path || lun->closing)
		return;
	uv_timer_stop(&lun->retry);
	lun->closing = true;
	lun->path = NULL;
	lun->plugin->closing_count++;
	nexus_set(lun, GATE_NEXUS_DOWN, reason);
	path_close(path, path_closed, lun);
}

void nexus_drop(struct plugin_lun *lun, const char *reason)
{
	struct plugin *plugin = lun->plugin;
	for (size_t i = 0; i < plugin->file.lun_count; i++)
		if (session_shared(lun, &plugin->luns[i]))
			nexus_close(&plugin->luns[i], reason);
}

int nexus_start(struct plugin_lun *lun)
{
	lun->delay_ms = DELAY_FIRST_MS;
	lun->has_sync16 = true;
	uv_timer_init(&lun->plugin->loop, &lun->retry);
	lun->retry.data = lun->prove.data = lun;
	uv_timer_init(&lun->plugin->loop, &lun->prove);
	uv_timer_start(&lun->prove, prove_due, GATE_PROVE_MS + lun->number % GATE_PROVE_MS,
		       GATE_PROVE_MS);
	snprintf(lun->identity.wanted, sizeof(lun->identity.wanted), "%s", lun->config.wwid);
	return uv_timer_start(&lun->retry, retry_due, 0, 0);
}

void nexus_stop(struct plugin_lun *lun)
{
	uv_timer_stop(&lun->retry);
	uv_timer_stop(&lun->prove);
	nexus_close(lun, "the gate process ends");
}
