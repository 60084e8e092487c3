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
#define START_LIMIT_MS 5000
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MOST_MS 2000
#define INCARNATIONS_UNNOTED 256

static void on_timer(uv_timer_t *timer);

static bool waiter_add(struct group *group, const struct group_waiter *waiter)
{
	if (!group_waiter_add(group, waiter))
		return false;
	if (group_waiters_any(group)) /* the timer knows nothing of it yet */
		uv_timer_start(&group->timer, on_timer, 1, 0);
	return true;
}

/* A standby that is just probing, or tidying up behind a probe, would otherwise let an operator's
 * order get lost in that. */
static bool is_for_later(const struct group *group, enum arbiter_command command,
			 enum arbiter_command_answer answer)
{
	bool probing =
		group->state == ARBITER_STATE_CHALLENGING || group->state == ARBITER_STATE_SEIZING;

	if (answer == ARBITER_ANSWER_BUSY && group->state == ARBITER_STATE_STANDBY)
		return command == ARBITER_COMMAND_CLAIM || command == ARBITER_COMMAND_TAKE;
	return answer == ARBITER_ANSWER_ALREADY && probing && command == ARBITER_COMMAND_TAKE;
}

void group_obey(struct group *group, struct control_request *request, enum arbiter_command command,
		uint8_t node, bool on, uint32_t wait_ms)
{
	static const char *const codes[] = {
		[ARBITER_ANSWER_STARTED] = "started",
		[ARBITER_ANSWER_ALREADY] = "already",
		[ARBITER_ANSWER_NOT_OWNER] = "not-owner",
		[ARBITER_ANSWER_UNFIT] = "unfit",
		[ARBITER_ANSWER_BUSY] = "busy",
		[ARBITER_ANSWER_FOREIGN] = "foreign",
		[ARBITER_ANSWER_MAINTENANCE] = "maintenance",
	};
	const struct group_waiter waiter = {
		.request = request,
		.command = command,
		.until_ms = clock_now_ms() + wait_ms,
		.state_changes = group->state_changes,
		.requests_expired = group->rule_counts[ARBITER_RULE_REQUEST_EXPIRED],
	};
	enum arbiter_command_answer answer = group_command(group, command, node, on);

	group->later = is_for_later(group, command, answer);
	group->later_command = command;
	if (group->later)
		answer = ARBITER_ANSWER_STARTED;
	if (answer != ARBITER_ANSWER_STARTED && answer != ARBITER_ANSWER_ALREADY)
		control_fail(request, codes[answer], "%s: %s", group->config->name,
			     arbiter_answer_text(answer));
	else if (answer != ARBITER_ANSWER_STARTED || wait_ms == 0 || !waiter_add(group, &waiter))
		control_reply(request, json_pack("{s:s}", "result", codes[answer]));
}

/* --- effects --- */

static void enqueue(struct group *group, const struct arbiter_event *event)
{
	if (group->queue_count == group->queue_size) {
		size_t size = group->queue_size ? 2 * group->queue_size : 16;
		struct arbiter_event *queue = realloc(group->queue, size * sizeof(*queue));

		if (!queue) {
			log_error("%s: out of memory; an event is lost", group->config->name);
			return;
		}
		group->queue = queue;
		group->queue_size = size;
	}
	group->queue[group->queue_count++] = *event;
}

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
		enqueue(group, &event);
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
		enqueue(group, &event);
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
	enqueue(group, &event);
}

static void released(struct group *group)
{
	group->released = true;
	group->home->released(group->home->user);
}

static void effect_state(struct group *group, const struct arbiter_effect *effect)
{
	group->state = effect->state.new_state;
	group->reason = effect->state.rule;
	group->since_ms = clock_now_ms();
	group->state_changes++;
	if (group->state == ARBITER_STATE_SEIZING && group->gate_kind)
		group->gate_kind->prepare(group);
	if (group->state == ARBITER_STATE_STANDBY)
		group_check_ready(group);
	if (group->state == ARBITER_STATE_RELEASED)
		released(group);
}

static void effect_alarm(struct group *group, const struct arbiter_effect *effect)
{
	struct group_alarm *alarm = &group->alarms[effect->alarm.alarm];

	if (effect->alarm.over) {
		alarm->on = false;
		return;
	}
	*alarm = (struct group_alarm){true, effect->alarm.key, clock_now_ms(), effect->lun};
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

/* --- stepping --- */

static void on_timer(uv_timer_t *timer)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_TICK};

	group_post(timer->data, &event);
}

static uint64_t step(struct group *group, const struct arbiter_event *event,
		     enum arbiter_command_answer *answer)
{
	struct arbiter_effects *effects = &group->home->effects;
	uint64_t due;

	effects->count = 0;
	due = arbiter_step(group->arbiter, clock_now_ms(), event, effects);
	for (size_t k = 0; k < effects->count; k++)
		carry_out(group, &effects->items[k], answer);
	if (event->kind == ARBITER_EVENT_GATE && group->service)
		service_host_held(group->service, event->gate.state == ARBITER_GATE_HELD);
	return due;
}

static enum arbiter_command_answer post(struct group *group, const struct arbiter_event *event)
{
	enum arbiter_command_answer answer = ARBITER_ANSWER_BUSY;
	struct arbiter_view view;
	uint64_t due, now;

	if (group->closing || !group->started)
		return answer;
	if (group->stepping) {
		enqueue(group, event);
		return answer;
	}
	group->stepping = true;
	due = step(group, event, &answer);
	while (group->queue_head < group->queue_count) {
		struct arbiter_event next = group->queue[group->queue_head++];
		enum arbiter_command_answer ignored;

		due = step(group, &next, &ignored);
	}
	group->queue_head = group->queue_count = 0;
	group->stepping = false;
	arbiter_get_view(group->arbiter, &view);
	if ((uint16_t)(view.incarnation - group->noted_incarnation) >= INCARNATIONS_UNNOTED) {
		group->noted_incarnation = view.incarnation;
		claims_group_used_incarnation(group->claims, view.incarnation);
	}
	if (group->gate_kind)
		group->gate_kind->settle(group);
	group_multipathd_settle(group);
	group_progress_check(group);
	now = clock_now_ms();
	if (group_waiters_any(group)) {
		group_waiters_check(group);
		due = due < now + 250 ? due : now + 250;
	}
	uv_update_time(&group->home->loop);
	uv_timer_start(&group->timer, on_timer, due > now ? due - now : 0, 0);
	return answer;
}

/* What an earlier daemon left is not known, and somebody waits for the end. */
static void on_start_limit(uv_timer_t *timer)
{
	released(timer->data);
}

void group_post(struct group *group, const struct arbiter_event *event)
{
	struct arbiter_event again = {.kind = ARBITER_EVENT_COMMAND};

	post(group, event);
	if (!group->later || group->stepping)
		return;
	again.command.command = group->later_command;
	group->later = false;
	group->later = is_for_later(group, group->later_command, post(group, &again));
}

enum arbiter_command_answer group_command(struct group *group, enum arbiter_command command,
					  uint8_t node, bool on)
{
	struct arbiter_event event = {.kind = ARBITER_EVENT_COMMAND};

	event.command.command = command;
	event.command.node = node;
	event.command.on = on;
	group->later = false;
	if (command == ARBITER_COMMAND_SHUTDOWN && !group->started) {
		group->shutdown_wanted = true;
		uv_timer_start(&group->timer, on_start_limit, START_LIMIT_MS, 0);
		return ARBITER_ANSWER_STARTED;
	}
	return post(group, &event);
}

const char *group_unfit_reason(const struct group *group)
{
	for (size_t cause = 0; cause < GROUP_UNFIT_COUNT; cause++)
		if (*group->unfit[cause])
			return group->unfit[cause];
	return NULL;
}

void group_set_unfit(struct group *group, enum group_unfit cause, const char *reason)
{
	bool was_fit = !group_unfit_reason(group), fit;
	struct arbiter_event event = {.kind = ARBITER_EVENT_FITNESS};

	snprintf(group->unfit[cause], sizeof(group->unfit[cause]), "%s", reason ? reason : "");
	fit = !group_unfit_reason(group);
	if (fit == was_fit)
		return;
	group_note(group, NULL, "fitness", fit ? "fit again" : "unfit: %s", reason);
	event.fitness.fit = fit;
	group_post(group, &event);
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
	group_post(group, &event);
	arbiter_get_view(group->arbiter, &view);
	group->state = view.state;
	for (size_t i = 0; i < group->lun_count; i++)
		group_lun_announce(&group->luns[i]);
	if (flag_is_set(group->home->run_folder, "maintenance", group->config->name))
		group_command(group, ARBITER_COMMAND_MAINTENANCE, 0, true);
	if (group->shutdown_wanted)
		group_command(group, ARBITER_COMMAND_SHUTDOWN, 0, false);
}

void group_gate_connected(struct group *group)
{
	start_arbiter(group);
}

bool group_needs_no_devices(const struct group *group)
{
	struct arbiter_view view;

	arbiter_get_view(group->arbiter, &view);
	return view.gate_wanted == ARBITER_GATE_FAILED && view.service == ARBITER_SERVICE_STOPPED &&
	       view.state != ARBITER_STATE_SEIZING && view.state != ARBITER_STATE_TAKING &&
	       view.state != ARBITER_STATE_OWNER;
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

static void on_reconnect_timer(uv_timer_t *timer)
{
	struct group *group = timer->data;

	if (!group_reconnect_paths(group)) {
		group->reconnect_ms = RECONNECT_FIRST_MS;
		return;
	}
	group->reconnect_ms = group->reconnect_ms * 2 > RECONNECT_MOST_MS ? RECONNECT_MOST_MS
									  : group->reconnect_ms * 2;
	uv_timer_start(&group->reconnect_timer, on_reconnect_timer, group->reconnect_ms, 0);
}

void group_reconnect_soon(struct group *group)
{
	if (!group->closing && !uv_is_active((uv_handle_t *)&group->reconnect_timer))
		uv_timer_start(&group->reconnect_timer, on_reconnect_timer, group->reconnect_ms, 0);
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

int group_open(struct group_home *home, const struct config_group *config, struct group **result,
	       char *message, size_t message_size)
{
	struct group *group = calloc(1, sizeof(*group));
	int error;

	*result = NULL;
	if (group)
		group->luns = calloc(config->lun_count, sizeof(*group->luns));
	if (!group || !group->luns) {
		free(group);
		snprintf(message, message_size, "%s: out of memory", config->name);
		return -ENOMEM;
	}
	group->home = home;
	group->config = config;
	group->lun_count = config->lun_count;
	group->reconnect_ms = RECONNECT_FIRST_MS;
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

static void close_part_done(struct group *group)
{
	if (--group->closes > 0)
		return;
	if (group->closed)
		group->closed(group, group->closed_user);
	free(group->queue);
	free(group->arbiter);
	for (size_t i = 0; i < group->lun_count; i++) {
		free(group->luns[i].paths);
		lun_identity_free(&group->luns[i].identity);
	}
	free(group->luns);
	free(group);
}

void group_part_closed(void *user)
{
	close_part_done(user);
}

static void on_handle_closed(uv_handle_t *handle)
{
	close_part_done(handle->data);
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
	close_part_done(group);
}
