/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The steps of a script on one device. A step that orders looks first, plans, refuses what is
 * dangerous without --force, orders by one path after the other, and looks again. What happened is
 * left as one JSON object a step.
 */
#include <inttypes.h>
#include <string.h>

#include "cluster/core/key.h"
#include "tools/lun/job.h"

static const struct lun_step *lun_exec_now(const struct lun_job *job)
{
	return &job->script->steps[job->step];
}

static const struct lun_context *lun_exec_context(const struct lun_job *job)
{
	return job->fleet->options.context;
}

static void lun_exec_error(struct lun_job *job, const char *text)
{
	job->step_failed = true;
	if (!json_object_get(job->result, "error"))
		json_object_set_new(job->result, "error", json_string(text));
}

static void lun_exec_next(struct lun_job *job)
{
	json_object_set_new(job->result, "ok", json_boolean(!job->step_failed));
	json_array_append_new(job->steps, job->result);
	job->result = NULL;
	if (job->step_failed) {
		job->step = job->script->count;
		lun_job_steps_done(job);
		return;
	}
	job->step++;
	lun_exec_step(job);
}

/* Steps that only look. */

static void lun_exec_add_paths(struct lun_job *job)
{
	json_t *paths = json_array();

	for (size_t i = 0; i < job->path_count; i++) {
		const struct path *path = job->paths[i].path;
		json_t *object = json_object();

		json_object_set_new(object, "name", json_string(path->name));
		json_object_set_new(object, "kind", json_string(path->ops->kind));
		json_object_set_new(object, "state",
				    json_string(path->state == PATH_STATE_UP ? "up" : "down"));
		if (path->state != PATH_STATE_UP)
			json_object_set_new(object, "reason", json_string(job->paths[i].reason));
		json_array_append_new(paths, object);
	}
	json_object_set_new(job->result, "paths", paths);
}

static void lun_exec_add_identity(struct lun_job *job)
{
	json_object_set_new(job->result, "vendor", json_string(job->inquiry.vendor));
	json_object_set_new(job->result, "product", json_string(job->inquiry.product));
	json_object_set_new(job->result, "revision", json_string(job->inquiry.revision));
	json_object_set_new(job->result, "wwid", json_string(job->wwid));
	json_object_set_new(job->result, "serial", json_string(job->serial));
	json_object_set_new(
		job->result, "size",
		json_integer((json_int_t)(job->capacity.blocks * job->capacity.block_size)));
	json_object_set_new(job->result, "block_size", json_integer(job->capacity.block_size));
	json_object_set_new(job->result, "write_protected",
			    job->mode_known ? json_boolean(job->write_protected) : json_null());
}

static void lun_exec_looked(struct lun_job *job)
{
	if (job->look.ok) {
		json_t *look = lun_look_json(&job->look, lun_exec_context(job));

		json_object_update(job->result, look);
		json_decref(look);
	} else {
		lun_exec_error(job, job->look.failure);
	}
	if (lun_exec_now(job)->verb == LUN_VERB_SHOW) {
		lun_exec_add_identity(job);
		lun_exec_add_paths(job);
	}
	lun_exec_next(job);
}

static void lun_exec_show(struct lun_job *job)
{
	lun_job_look(job, lun_exec_looked);
}

static void lun_exec_got_capabilities(struct lun_job *job)
{
	struct pr_capabilities c;
	json_t *types = json_array();

	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK ||
	    pr_capabilities_decode(&c, job->buffer, job->exec.request.result.transferred)) {
		char text[LUN_MESSAGE_MAX];

		snprintf(text, sizeof(text), "REPORT CAPABILITIES: %s", lun_job_result_text(job));
		json_decref(types);
		lun_exec_error(job, text);
		lun_exec_next(job);
		return;
	}
	for (unsigned type = 1; c.type_mask_valid && type <= 8; type++) {
		if (c.type_mask & (1u << type))
			json_array_append_new(types,
					      json_string(pr_type_short_name((enum pr_type)type)));
	}
	json_object_set_new(job->result, "types", c.type_mask_valid ? types : json_null());
	if (!c.type_mask_valid)
		json_decref(types);
	json_object_set_new(job->result, "aptpl_capable",
			    json_boolean(c.persist_through_power_loss_capable));
	json_object_set_new(job->result, "aptpl_active",
			    json_boolean(c.persist_through_power_loss_activated));
	json_object_set_new(job->result, "specify_initiator_ports",
			    json_boolean(c.specify_initiator_ports));
	json_object_set_new(job->result, "all_target_ports", json_boolean(c.all_target_ports));
	json_object_set_new(job->result, "compatible_reservation_handling",
			    json_boolean(c.compatible_reservation_handling));
	json_object_set_new(job->result, "replace_lost_reservation",
			    json_boolean(c.replace_lost_reservation_capable));
	json_object_set_new(job->result, "allow_commands", json_integer(c.allow_commands));
	lun_exec_next(job);
}

/* Which path? A number, a name, or the first that is up. NULL: said. */
static struct path *lun_exec_path(struct lun_job *job)
{
	const char *wanted = lun_exec_now(job)->path;
	char text[LUN_MESSAGE_MAX];
	size_t index;
	struct path *path;

	if (!wanted) {
		path = lun_job_up_path(job, 0, &index);
		if (!path)
			lun_exec_error(job, "no path is up");
		return path;
	}
	for (size_t i = 0; i < job->path_count; i++) {
		char number[24];

		path = job->paths[i].path;
		snprintf(number, sizeof(number), "%zu", i);
		if (strcmp(wanted, number) != 0 && strcmp(wanted, path->name) != 0)
			continue;
		if (path->state == PATH_STATE_UP)
			return path;
		snprintf(text, sizeof(text), "path %s is down: %s", path->name,
			 job->paths[i].reason);
		lun_exec_error(job, text);
		return NULL;
	}
	snprintf(text, sizeof(text), "no path \"%s\"; it has %zu, numbered from 0", wanted,
		 job->path_count);
	lun_exec_error(job, text);
	return NULL;
}

static void lun_exec_tested(struct lun_job *job)
{
	json_object_set_new(job->result, "answer", json_string(lun_job_result_text(job)));
	json_object_set_new(job->result, "answer_us",
			    json_integer(job->exec.request.result.duration_us));
	if (job->exec.request.result.outcome != SCSI_OUTCOME_OK)
		lun_exec_error(job, lun_job_result_text(job));
	lun_exec_next(job);
}

static void lun_exec_slept(struct lun_job *job)
{
	uv_timer_start(&job->deadline, job->deadline.timer_cb, lun_exec_context(job)->timeout_ms,
		       0);
	lun_exec_next(job);
}

/* Steps that order. */

/* GOOD is what was answered; what is so, the look says. */
static void lun_exec_prove(struct lun_job *job)
{
	char shown[LUN_MESSAGE_MAX / 2], text[LUN_MESSAGE_MAX + 64];

	if (job->step_failed || lun_exec_now(job)->verb == LUN_VERB_RESET)
		return;
	if (!job->look.ok)
		snprintf(text, sizeof(text), "answered GOOD, but what came of it is not known: %s",
			 job->look.failure);
	else if (lun_plan_prove(&job->plan.order, &job->before, &job->look, job->own, shown,
				sizeof(shown))[0])
		snprintf(text, sizeof(text), "answered GOOD, but %s", shown);
	else
		return;
	lun_exec_error(job, text);
}

static void lun_exec_looked_after(struct lun_job *job)
{
	if (job->look.ok)
		json_object_set_new(job->result, "after",
				    lun_look_json(&job->look, lun_exec_context(job)));
	lun_exec_prove(job);
	json_decref(job->orders);
	job->orders = NULL;
	lun_exec_next(job);
}

static void lun_exec_order_next(struct lun_job *job);

static void lun_exec_note_order(struct lun_job *job)
{
	const struct scsi_result *result = &job->exec.request.result;
	json_t *order = json_object();
	char key[KEY_TEXT_SIZE];

	json_object_set_new(order, "path", json_string(job->sent_to->name));
	if (lun_exec_now(job)->verb != LUN_VERB_RESET) {
		json_object_set_new(order, "action",
				    json_string(pr_out_action_name(job->plan.order.action)));
		json_object_set_new(order, "reservation_key",
				    json_string(key_text(job->plan.order.key, key)));
		json_object_set_new(order, "service_action_key",
				    json_string(key_text(job->plan.order.service_key, key)));
	}
	json_object_set_new(order, "outcome", json_string(scsi_outcome_name(result->outcome)));
	json_object_set_new(order, "answer", json_string(lun_job_result_text(job)));
	json_object_set_new(order, "answer_us", json_integer(result->duration_us));
	if (result->has_status)
		json_object_set_new(order, "status", json_integer(result->status));
	if (result->sense_length)
		json_object_set_new(
			order, "sense",
			json_pack("[iii]", result->sense_key, result->asc, result->ascq));
	json_array_append_new(job->orders, order);
}

/* What this session is registered with, for later steps on targets that do not tell. */
static void lun_exec_learn_key(struct lun_job *job)
{
	switch (job->plan.order.action) {
	case PR_OUT_REGISTER:
	case PR_OUT_REGISTER_AND_IGNORE:
		job->own_key = job->plan.order.service_key;
		break;
	case PR_OUT_CLEAR:
		job->own_key = 0;
		break;
	case PR_OUT_REGISTER_AND_MOVE:
		if (job->plan.order.unregister)
			job->own_key = 0;
		break;
	case PR_OUT_RESERVE:
	case PR_OUT_RELEASE:
	case PR_OUT_PREEMPT:
	case PR_OUT_PREEMPT_AND_ABORT:
		break;
	}
}

static void lun_exec_ordered(struct lun_job *job)
{
	struct scsi_result result = job->exec.request.result;
	char text[LUN_MESSAGE_MAX];

	lun_exec_note_order(job);
	if (result.outcome != SCSI_OUTCOME_OK) {
		lun_exec_error(job, lun_job_result_text(job));
		lun_plan_explain(lun_exec_now(job), &job->plan.order, &result, &job->look,
				 lun_exec_context(job), text, sizeof(text));
		if (text[0])
			json_object_set_new(job->result, "explanation", json_string(text));
	}
	if (result.outcome == SCSI_OUTCOME_OK && lun_exec_now(job)->verb != LUN_VERB_RESET)
		lun_exec_learn_key(job);
	lun_exec_order_next(job);
}

static bool lun_exec_all_paths(const struct lun_step *step)
{
	return !step->path && !step->move &&
	       (step->all_paths || step->verb == LUN_VERB_REGISTER ||
		step->verb == LUN_VERB_UNREGISTER);
}

static void lun_exec_order_next(struct lun_job *job)
{
	const struct lun_step *step = lun_exec_now(job);
	bool begun = json_array_size(job->orders) > 0;
	struct path *path;

	if (step->path || !lun_exec_all_paths(step))
		path = begun ? NULL : lun_exec_path(job);
	else
		path = lun_job_up_path(job, begun ? job->order_path + 1 : 0, &job->order_path);
	if (!path) {
		lun_job_look(job, lun_exec_looked_after);
		return;
	}
	job->doing = lun_verb_doing(step->verb);
	pr_out_encode(&job->exec.request, &job->plan.order, job->parameter, sizeof(job->parameter));
	lun_job_send(job, path, lun_exec_ordered);
}

static void lun_exec_reset(struct lun_job *job)
{
	struct path *path = lun_exec_path(job);

	if (!path) {
		lun_exec_next(job);
		return;
	}
	job->doing = lun_verb_doing(LUN_VERB_RESET);
	lun_job_reset(job, path, lun_exec_ordered);
}

static void lun_exec_note_plan(struct lun_job *job)
{
	const struct lun_plan *plan = &job->plan;
	const struct lun_context *context = lun_exec_context(job);
	json_t *effects = json_array();
	char key[KEY_TEXT_SIZE];

	for (unsigned i = 0; i < plan->effect_count; i++) {
		json_t *effect = lun_key_json(plan->effects[i].key, context);

		json_object_set_new(effect, "effect", json_string(plan->effects[i].text));
		json_array_append_new(effects, effect);
	}
	json_object_set_new(job->result, "effects", effects);
	if (plan->hint[0])
		json_object_set_new(job->result, "hint", json_string(plan->hint));
	if (lun_exec_now(job)->verb == LUN_VERB_RESET)
		return;
	json_object_set_new(job->result, "action",
			    json_string(pr_out_action_name(plan->order.action)));
	json_object_set_new(job->result, "reservation_key",
			    json_string(key_text(plan->order.key, key)));
	json_object_set_new(job->result, "service_action_key",
			    json_string(key_text(plan->order.service_key, key)));
	json_object_set_new(job->result, "type", json_string(pr_type_short_name(plan->order.type)));
}

/* On tgt a registration is worth nothing without its session. */
static void lun_exec_hint_session(struct lun_job *job)
{
	const struct lun_step *step = lun_exec_now(job);
	size_t index;
	struct path *path = lun_job_up_path(job, 0, &index);

	if (step->verb != LUN_VERB_REGISTER || !path || strcmp(path->ops->kind, "iscsi") != 0 ||
	    job->fleet->options.keep || job->step + 1 < job->script->count ||
	    strncmp(job->inquiry.vendor, "IET", 3) != 0 || json_object_get(job->result, "hint"))
		return;
	json_object_set_new(
		job->result, "hint",
		json_string("tgt ties a registration to its session: when this command ends, "
			    "the key stays listed, but nobody bears it any more; `lun do`, "
			    "`lun shell` and --hold do more in one session"));
}

static void lun_exec_planned(struct lun_job *job)
{
	const struct lun_step *step = lun_exec_now(job);
	const struct lun_context *context = lun_exec_context(job);

	lun_exec_note_plan(job);
	if (job->plan.refused) {
		lun_exec_error(job, job->plan.why);
		lun_exec_next(job);
		return;
	}
	if (job->plan.dangerous)
		json_object_set_new(job->result, "danger", json_string(job->plan.why));
	if (context->dry_run) {
		json_object_set_new(job->result, "dry_run", json_true());
		lun_exec_next(job);
		return;
	}
	if (job->plan.dangerous && !step->force && !context->force) {
		lun_exec_error(job, "not done without --force");
		lun_exec_next(job);
		return;
	}
	lun_exec_hint_session(job);
	job->orders = json_array();
	json_object_set(job->result, "orders", job->orders);
	if (step->verb == LUN_VERB_RESET)
		lun_exec_reset(job);
	else
		lun_exec_order_next(job);
}

static void lun_exec_looked_before(struct lun_job *job)
{
	if (!job->look.ok) {
		lun_exec_error(job, job->look.failure);
		lun_exec_next(job);
		return;
	}
	json_object_set_new(job->result, "before",
			    lun_look_json(&job->look, lun_exec_context(job)));
	job->look.own_key = lun_look_has_key(&job->look, job->own_key) ? job->own_key : 0;
	job->before = job->look;
	lun_plan_make(&job->plan, lun_exec_now(job), &job->look, lun_exec_context(job), job->own);
	lun_exec_planned(job);
}

void lun_exec_step(struct lun_job *job)
{
	struct path *path;

	if (job->step == job->script->count) {
		lun_job_steps_done(job);
		return;
	}
	job->step_failed = false;
	job->doing = lun_verb_doing(lun_exec_now(job)->verb);
	job->result = json_object();
	json_object_set_new(job->result, "step",
			    json_string(lun_verb_name(lun_exec_now(job)->verb)));
	switch (lun_exec_now(job)->verb) {
	case LUN_VERB_SHOW:
		lun_job_size(job, lun_exec_show);
		break;
	case LUN_VERB_KEYS:
		lun_job_look(job, lun_exec_looked);
		break;
	case LUN_VERB_CAPABILITIES:
	case LUN_VERB_TEST:
		path = lun_exec_path(job);
		if (!path) {
			lun_exec_next(job);
		} else if (lun_exec_now(job)->verb == LUN_VERB_TEST) {
			scsi_test_unit_ready_encode(&job->exec.request);
			lun_job_send(job, path, lun_exec_tested);
		} else {
			memset(job->buffer, 0, sizeof(job->buffer));
			pr_in_encode(&job->exec.request, PR_IN_REPORT_CAPABILITIES, job->buffer,
				     sizeof(job->buffer));
			lun_job_send(job, path, lun_exec_got_capabilities);
		}
		break;
	case LUN_VERB_SLEEP:
		uv_timer_stop(&job->deadline);
		lun_job_wait(job, lun_exec_now(job)->sleep_ms, lun_exec_slept);
		break;
	case LUN_VERB_REGISTER:
	case LUN_VERB_UNREGISTER:
	case LUN_VERB_RESERVE:
	case LUN_VERB_RELEASE:
	case LUN_VERB_PREEMPT:
	case LUN_VERB_CLEAR:
	case LUN_VERB_RESET:
		lun_job_look(job, lun_exec_looked_before);
		break;
	case LUN_VERBS:
		break;
	}
}
