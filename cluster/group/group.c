/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A group's life: it is opened, its arbiter started when all is known that it must know, fed with
 * events, and closed. Effects are carried out here or handed to the file that does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/base/clock.h"
#include "cluster/group/private.h"
#include "cluster/core/key.h"
#include "cluster/base/log.h"
#include "cluster/store/flags.h"

#define COOLDOWN_MS 30000

/* --- effects --- */

struct group_record {
	struct group_record *next;
	struct group *group; /* NULL: closed meanwhile */
	uint32_t id;
};

static void record_unlink(struct group_record *record)
{
	struct group_record **link = &record->group->records;

	while (*link != record)
		link = &(*link)->next;
	*link = record->next;
}

static void on_recorded(int error, const char *message, void *user)
{
	struct group_record *record = user;
	struct arbiter_event event = {.kind = ARBITER_EVENT_RECORDED};

	if (record->group) {
		record_unlink(record);
		event.recorded.id = record->id;
		event.recorded.ok = error == 0;
		if (error)
			log_error("%s: %s", record->group->config->name, message);
		group_post(record->group, &event);
	}
	free(record);
}

static void effect_record(struct group *group, const struct arbiter_effect *effect)
{
	struct group_record *record = malloc(sizeof(*record));
	struct arbiter_event event = {.kind = ARBITER_EVENT_RECORDED,
				      .recorded = {.id = effect->id}};

	if (!record) {
		group_enqueue(group, &event);
		return;
	}
	*record = (struct group_record){group->records, group, effect->id};
	group->records = record;
	claims_group_record(group->claims, effect->record.key, on_recorded, record);
}

/* The disk may answer after the group has gone. */
static void forget_records(struct group *group)
{
	for (struct group_record *record = group->records; record; record = record->next)
		record->group = NULL;
	group->records = NULL;
}

static void effect_service(struct group *group, const struct arbiter_effect *effect)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_SERVICE};

	if (!group->service) {
		event.service.state =
			effect->service.start ? ARBITER_SERVICE_RUNNING : ARBITER_SERVICE_STOPPED;
		group->service_state = event.service.state;
		group_enqueue(group, &event);
	} else if (effect->service.start) {
		service_host_start(group->service);
	} else {
		service_host_stop(group->service, effect->service.deposed);
	}
}

static void effect_gate(struct group *group, const struct arbiter_effect *effect)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_GATE};

	if (effect->gate.gate == ARBITER_GATE_FAILED)
		group_multipathd_untell(group);
	if (group->gate_kind) {
		group->gate_kind->order(group, effect->gate.gate);
		return;
	}
	event.gate.state = effect->gate.gate;
	event.gate.quiet = effect->gate.gate != ARBITER_GATE_OPEN;
	group_enqueue(group, &event);
}

static void effect_state(struct group *group, const struct arbiter_effect *effect)
{
	group->state = effect->state.new_state;
	group->reason = effect->state.rule;
	group->since_ms = clock_now_ms();
	group->state_changes++;
	if (group->state == ARBITER_STATE_OWNER && !group->told.owner_ms)
		group->told.owner_ms = group->since_ms;
	if (group->state == ARBITER_STATE_STANDBY || group->state == ARBITER_STATE_DEPOSED)
		group->told.owner_ms = 0;
	if (group->state == ARBITER_STATE_STANDBY &&
	    effect->state.old_state != ARBITER_STATE_CHALLENGING)
		group->told.standby_ms = group->since_ms;
	if (group->state == ARBITER_STATE_SEIZING && group->gate_kind)
		group->gate_kind->prepare(group);
	if (group->state == ARBITER_STATE_STANDBY)
		group_check_ready(group);
	if (group->state == ARBITER_STATE_RELEASED)
		group_set_released(group);
}

static void effect_alarm(struct group *group, const struct arbiter_effect *effect)
{
	struct group_alarm *alarm = &group->alarms[effect->alarm.alarm];

	if (effect->alarm.over) {
		alarm->on = false;
		return;
	}
	alarm->on = true;
	alarm->key = effect->alarm.key;
	alarm->lun = effect->lun;
	alarm->noted = true; /* by what follows */
}

static void carry_out(struct group *group, const struct arbiter_effect *effect,
		      enum arbiter_command_answer *answer)
{
	struct group_lun *lun = &group->luns[effect->lun];

	switch (effect->kind) {
	case ARBITER_EFFECT_LOOK:
		group_lun_look(lun, effect);
		break;
	case ARBITER_EFFECT_ORDER:
	case ARBITER_EFFECT_RESET:
		group_lun_order(lun, effect);
		break;
	case ARBITER_EFFECT_RECORD:
		effect_record(group, effect);
		break;
	case ARBITER_EFFECT_STRIKE:
		claims_group_strike(group->claims, effect->record.key, NULL, NULL);
		break;
	case ARBITER_EFFECT_GATE:
		effect_gate(group, effect);
		break;
	case ARBITER_EFFECT_SERVICE:
		effect_service(group, effect);
		break;
	case ARBITER_EFFECT_ANSWER:
		*answer = effect->answer;
		break;
	case ARBITER_EFFECT_STATE:
		effect_state(group, effect);
		break;
	case ARBITER_EFFECT_RULE:
		group->rule_counts[effect->rule.rule]++;
		group->rule_last_ms[effect->rule.rule] = clock_now_ms();
		break;
	case ARBITER_EFFECT_ALARM:
		effect_alarm(group, effect);
		break;
	}
	group_note_effect(group, effect);
}

/* --- starting --- */

static void start_arbiter(struct group *group)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_START};
	struct arbiter_view view;

	if (group->started || group->closing || group->released ||
	    (group->gate_kind && !group->gate_seen) || (group->service && !group->service_known))
		return;
	event.start.claims = claims_group_keys(group->claims, &event.start.claim_count);
	event.start.incarnation = group->noted_incarnation =
		claims_group_next_incarnation(group->claims);
	event.start.service = group->service_state;
	event.start.fit = !group_unfit_reason(group);
	event.start.quiet = true;
	if (group->gate_kind)
		group->gate_kind->start_state(group, &event);
	else if (group->service_state != ARBITER_SERVICE_STOPPED)
		event.start.gate = ARBITER_GATE_OPEN;
	group->started = true;
	group->told.standby_ms = clock_now_ms();
	group_cause_recall(group);
	group_post(group, &event);
	arbiter_get_view(group->arbiter, &view);
	group->state = view.state;
	if (group->state == ARBITER_STATE_OWNER)
		group->told.owner_ms = clock_now_ms();
	for (size_t i = 0; i < group->lun_count; i++)
		group_lun_announce(&group->luns[i]);
	if (flag_is_set(group->home->run_folder, "maintenance", group->config->name))
		group_command(group, ARBITER_COMMAND_MAINTENANCE, 0, true);
	if (group->shutdown_wanted)
		group_command(group, ARBITER_COMMAND_SHUTDOWN, 0, false);
}

static void on_service_changed(enum arbiter_service state, bool failed, void *user)
{
	struct group *group = user;
	struct arbiter_event event = {.kind = ARBITER_EVENT_SERVICE,
				      .service = {.state = state, .failed = failed}};

	group->service_state = state;
	if (!group->service_known) {
		group->service_known = true;
		start_arbiter(group);
		return;
	}
	group_post(group, &event);
}

static void fill_arbiter_config(const struct group *group, struct arbiter_config *config)
{
	const struct config_group *g = group->config;
	size_t nexuses = 1;

	memset(config, 0, sizeof(*config));
	config->cluster = key_cluster_hash(group->home->config->cluster);
	config->node = group->home->self->id;
	memset(config->rank_of, 255, sizeof(config->rank_of));
	for (size_t n = 0; n < g->node_count; n++)
		config->rank_of[g->nodes[n]->id] = (uint8_t)n;
	config->defend_ms = g->times.defend_ms;
	config->window_ms = g->times.window_ms;
	config->probe_ms = g->times.probe_ms;
	config->loss_ms = g->times.loss_ms;
	config->request_ms = g->times.request_ms;
	config->member_factor = (uint16_t)g->times.member_factor;
	config->cooldown_ms = COOLDOWN_MS;
	config->lun_count = (uint16_t)g->lun_count;
	config->automatic = g->automatic;
	config->grant_requests = true;
	for (size_t i = 0; i < group->lun_count && !group->gate; i++)
		if (group_lun_is_kernel(&group->luns[i])) /* paths come and go */
			nexuses = ARBITER_NEXUSES_MAX;
		else if (group->luns[i].path_count > nexuses)
			nexuses = group->luns[i].path_count;
	config->nexus_count =
		(uint8_t)(nexuses > ARBITER_NEXUSES_MAX ? ARBITER_NEXUSES_MAX : nexuses);
#ifdef ARBITER_MUTATION
	config->disabled_rule = -1;
#endif
}

static int make_arbiter(struct group *group, char *message, size_t message_size)
{
	struct arbiter_config config;
	void *memory;

	fill_arbiter_config(group, &config);
	memory = malloc(arbiter_size(&config));
	group->arbiter = memory ? arbiter_init(memory, &config) : NULL;
	if (!group->arbiter) {
		free(memory);
		snprintf(message, message_size, "%s: its times or LUNs are impossible",
			 group->config->name);
		return -EINVAL;
	}
	return 0;
}

static const struct group_gate *const gate_kinds[] = {
	[CONFIG_GATE_NONE] = NULL,
	[CONFIG_GATE_NBDKIT] = &group_gate_nbdkit,
	[CONFIG_GATE_DM] = &group_gate_dm,
};

static int open_parts(struct group *group, char *message, size_t message_size)
{
	struct group_home *home = group->home;
	struct service_host_options service = {
		&home->loop,        group->config, home->node_name, home->run_folder, home->history,
		on_service_changed, group};
	enum claims_found found;
	char text[CLAIMS_MESSAGE_SIZE];
	int error;

	group->claims =
		claims_group_open(home->claims, group->config->name, &found, text, sizeof(text));
	if (!group->claims)
		return -ENOMEM;
	if (found == CLAIMS_FOUND_UNUSABLE || found == CLAIMS_FOUND_COPY) {
		log_error("%s", text);
		group_note(group, NULL, "alarm", "%s", text);
	}
	for (size_t i = 0; i < group->lun_count; i++) {
		error = group_lun_open(&group->luns[i], message, message_size);
		if (error)
			return error;
	}
	group->gate_kind = gate_kinds[group->config->gate];
	if (group->gate_kind) {
		error = group->gate_kind->open(group, message, message_size);
		if (error)
			return error;
	}
	if (group->config->has_service) {
		group->service = service_host_open(&service);
		if (!group->service)
			return -ENOMEM;
	}
	return make_arbiter(group, message, message_size);
}

static void settle(struct group *group)
{
	if (group->gate_kind)
		group->gate_kind->settle(group);
	group_multipathd_settle(group);
	group_progress_check(group);
	group_peers_settle(group);
	group_cause_settle(group);
	group_alarms_settle(group);
}

/* What one step's effects can answer at once, and what the paths say meanwhile. */
static size_t queue_room(const struct config_group *config)
{
	return arbiter_effects_max((uint16_t)config->lun_count) +
	       2 * GROUP_PATHS_MAX * config->lun_count;
}

static const struct group_top top = {carry_out, settle, start_arbiter};

int group_open(struct group_home *home, const struct config_group *config, struct group **result,
	       char *message, size_t message_size)
{
	struct group *group = calloc(1, sizeof(*group));
	int error;

	*result = NULL;
	if (group)
		group->luns = calloc(config->lun_count, sizeof(*group->luns));
	if (!group || !group->luns || group_queue_reserve(&group->queue, queue_room(config))) {
		if (group)
			free(group->luns);
		free(group);
		snprintf(message, message_size, "%s: out of memory", config->name);
		return -ENOMEM;
	}
	group->home = home;
	group->top = &top;
	group->config = config;
	group->lun_count = config->lun_count;
	group->reconnect_ms = GROUP_RECONNECT_FIRST_MS;
	group->since_ms = clock_now_ms();
	group->reason = ARBITER_RULE_COUNT;
	if (home->standby)
		snprintf(group->unfit[GROUP_UNFIT_STANDBY],
			 sizeof(group->unfit[GROUP_UNFIT_STANDBY]), GROUP_STANDBY_REASON);
	uv_timer_init(&home->loop, &group->timer);
	uv_timer_init(&home->loop, &group->reconnect_timer);
	uv_timer_init(&home->loop, &group->attach_timer);
	group->timer.data = group->reconnect_timer.data = group->attach_timer.data = group;
	for (size_t i = 0; i < group->lun_count; i++) {
		group->luns[i].group = group;
		group->luns[i].number = (uint16_t)i;
		group->luns[i].config = config->luns[i];
	}
	error = open_parts(group, message, message_size);
	if (error) {
		group_close(group, true, NULL, NULL);
		return error;
	}
	*result = group;
	group_check_ready(group);
	if (group->service) {
		service_host_adopt(group->service);
		if (flag_is_set(home->run_folder, "maintenance", config->name))
			service_host_maintenance(group->service, true);
	}
	start_arbiter(group);
	return 0;
}

int group_reconfigure(struct group *group, const struct config_group *config,
		      enum config_change change)
{
	struct arbiter_config arbiter;
	int error = 0;

	if (change == CONFIG_CHANGE_SERVICE && group->service)
		error = service_host_reconfigure(group->service, config);
	if (error)
		return error;
	group_rebase(group, config);
	fill_arbiter_config(group, &arbiter);
	error = arbiter_reconfigure(group->arbiter, &arbiter);
	group_note(group, NULL, "config", "the configuration of its %s was changed",
		   change == CONFIG_CHANGE_SERVICE ? "resources" : "times or policy");
	return error;
}

void group_rebase(struct group *group, const struct config_group *config)
{
	if (group->service && group->config != config)
		service_host_reconfigure(group->service, config);
	group->config = config;
	for (size_t i = 0; i < group->lun_count; i++)
		group->luns[i].config = config->luns[i];
}

/* --- closing --- */

static void on_handle_closed(uv_handle_t *handle)
{
	group_part_closed(handle->data);
}

static bool service_is_stopped(const struct group *group)
{
	return group->service_known && group->service_state == ARBITER_SERVICE_STOPPED;
}

void group_close(struct group *group, bool leave, void (*closed)(struct group *group, void *user),
		 void *user)
{
	if (group->closing)
		return;
	group->closing = true;
	group->closed = closed;
	group->closed_user = user;
	if (!group->started && group->service && !service_is_stopped(group))
		leave = true; /* it may run, and nobody has stopped it */
	group_waiters_close(group);
	forget_records(group);
	group_cause_forget(group);
	group->closes = 4;
	if (group->service)
		service_host_close(group->service);
	group->service = NULL;
	if (group->gate_kind)
		group->gate_kind->close(group, leave);
	for (size_t i = 0; i < group->lun_count; i++)
		group_lun_close(&group->luns[i]);
	if (group->claims)
		claims_group_close(group->claims);
	uv_close((uv_handle_t *)&group->timer, on_handle_closed);
	uv_close((uv_handle_t *)&group->reconnect_timer, on_handle_closed);
	uv_close((uv_handle_t *)&group->attach_timer, on_handle_closed);
	group_part_closed(group);
}
