/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs the table of PR cases against a driver, step by step, and compares.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tests/table/pr_cases.h"

#define ATTENTIONS_MAX 20
#define READ_KEYS_MAX 64

struct run {
	const struct pr_case_driver *driver;
	const struct pr_case *current;
	FILE *out;
	bool verbose;
	uint32_t generation;
	unsigned departures; /* steps of this case that are written for this target alone */
	char fault[400];
};

static char nexus_letter(enum pr_case_nexus nexus)
{
	return (char)('A' + (int)nexus);
}

static bool is_attention(const struct scsi_result *result)
{
	return result->has_status && result->status == SCSI_STATUS_CHECK_CONDITION &&
	       result->sense_key == SCSI_SENSE_UNIT_ATTENTION;
}

static uint32_t sense_of(const struct scsi_result *result)
{
	return (uint32_t)result->sense_key << 16 | (uint32_t)result->asc << 8 | result->ascq;
}

static void take_attentions(const struct pr_case_driver *driver, enum pr_case_nexus nexus)
{
	struct scsi_result result;

	for (unsigned i = 0; i < ATTENTIONS_MAX; i++) {
		memset(&result, 0, sizeof(result));
		driver->access(driver->self, nexus, PR_CASE_TEST_UNIT_READY, &result);
		if (!is_attention(&result))
			return;
	}
}

/* The look of one nexus at the logical unit. Each command is repeated while a unit
 * attention comes. */
struct look {
	struct pr_keys keys;
	uint64_t values[READ_KEYS_MAX];
	struct pr_reservation reservation;
};

static bool look(struct run *run, enum pr_case_nexus nexus, struct look *seen)
{
	const struct pr_case_driver *driver = run->driver;
	struct scsi_result result;
	char text[200];

	memset(seen, 0, sizeof(*seen));
	seen->keys.keys = seen->values;
	take_attentions(driver, nexus);
	memset(&result, 0, sizeof(result));
	driver->read_keys(driver->self, nexus, &seen->keys, READ_KEYS_MAX, &result);
	if (result.outcome == SCSI_OUTCOME_OK)
		driver->read_reservation(driver->self, nexus, &seen->reservation, &result);
	if (result.outcome == SCSI_OUTCOME_OK)
		return true;
	snprintf(run->fault, sizeof(run->fault), "%c cannot read keys and reservation: %s",
		 nexus_letter(nexus), scsi_result_text(&result, text, sizeof(text)));
	return false;
}

static bool keys_same(const uint64_t *wanted, unsigned wanted_count, const uint64_t *seen,
		      unsigned seen_count)
{
	bool used[READ_KEYS_MAX] = {false};

	if (wanted_count != seen_count)
		return false;
	for (unsigned i = 0; i < wanted_count; i++) {
		unsigned j = 0;

		while (j < seen_count && (used[j] || seen[j] != wanted[i]))
			j++;
		if (j == seen_count)
			return false;
		used[j] = true;
	}
	return true;
}

static void print_keys(char *text, size_t size, const uint64_t *keys, unsigned count)
{
	size_t length = 0;

	text[0] = 0;
	for (unsigned i = 0; i < count && length + 20 < size; i++)
		length += (size_t)snprintf(text + length, size - length, "%s%" PRIx64, i ? "," : "",
					   keys[i]);
}

static bool step_shows(struct run *run, const struct pr_step *step)
{
	char wanted[120], found[120];
	struct look seen;

	if (!look(run, step->nexus, &seen))
		return false;
	print_keys(wanted, sizeof(wanted), step->keys, step->key_count);
	print_keys(found, sizeof(found), seen.values, seen.keys.count);
	if (!keys_same(step->keys, step->key_count, seen.values, seen.keys.count)) {
		snprintf(run->fault, sizeof(run->fault), "keys {%s}, expected {%s}", found, wanted);
		return false;
	}
	if (seen.reservation.held != step->held ||
	    (step->held &&
	     (seen.reservation.type != step->type || seen.reservation.key != step->holder))) {
		snprintf(run->fault, sizeof(run->fault),
			 "%s key %" PRIx64 " type %s, expected %s key %" PRIx64 " type %s",
			 seen.reservation.held ? "held by" : "free", seen.reservation.key,
			 pr_type_short_name(seen.reservation.type), step->held ? "held by" : "free",
			 step->holder, pr_type_short_name(step->type));
		return false;
	}
	return true;
}

static bool check_result(struct run *run, const struct pr_step *step,
			 const struct scsi_result *result)
{
	char text[200];

	if (result->outcome == step->outcome &&
	    (!step->key_asc_ascq || sense_of(result) == step->key_asc_ascq))
		return true;
	snprintf(run->fault, sizeof(run->fault), "%s (%s), expected %s",
		 scsi_outcome_name(result->outcome), scsi_result_text(result, text, sizeof(text)),
		 scsi_outcome_name(step->outcome));
	if (step->key_asc_ascq) {
		size_t length = strlen(run->fault);

		snprintf(run->fault + length, sizeof(run->fault) - length, " with sense %06x",
			 step->key_asc_ascq);
	}
	return false;
}

static bool step_out(struct run *run, const struct pr_step *step)
{
	const struct pr_case_driver *driver = run->driver;
	uint8_t transport_id[PR_TRANSPORT_ID_MAX];
	struct pr_out out = step->out;
	struct scsi_result result;

	if (step->move_to_nexus) {
		out.transport_id = transport_id;
		out.transport_id_length = driver->transport_id(driver->self, step->destination,
							       transport_id, sizeof(transport_id));
		out.relative_target_port = driver->relative_target_port(driver->self);
	}
	take_attentions(driver, step->nexus);
	memset(&result, 0, sizeof(result));
	driver->out(driver->self, step->nexus, &out, &result);
	return check_result(run, step, &result);
}

static bool step_access(struct run *run, const struct pr_step *step)
{
	struct scsi_result result;

	take_attentions(run->driver, step->nexus);
	memset(&result, 0, sizeof(result));
	run->driver->access(run->driver->self, step->nexus, step->access, &result);
	return check_result(run, step, &result);
}

static bool step_generation(struct run *run, const struct pr_step *step)
{
	struct look seen;
	uint32_t grown;

	if (!look(run, step->nexus, &seen))
		return false;
	grown = seen.keys.generation - run->generation;
	run->generation = seen.keys.generation;
	if (step->kind == PR_STEP_MARK || grown == step->grown)
		return true;
	snprintf(run->fault, sizeof(run->fault),
		 "generation grew by %" PRIu32 ", expected %" PRIu32, grown, step->grown);
	return false;
}

static bool step_attention(struct run *run, const struct pr_step *step)
{
	const struct pr_case_driver *driver = run->driver;
	struct scsi_result result, second;

	if (!(driver->abilities & PR_CASE_CAN_UNIT_ATTENTION))
		return true;
	memset(&result, 0, sizeof(result));
	memset(&second, 0, sizeof(second));
	driver->access(driver->self, step->nexus, PR_CASE_TEST_UNIT_READY, &result);
	if (is_attention(&result))
		driver->access(driver->self, step->nexus, PR_CASE_TEST_UNIT_READY, &second);
	if (is_attention(&result) != (step->key_asc_ascq != 0) ||
	    (step->key_asc_ascq && sense_of(&result) != step->key_asc_ascq)) {
		snprintf(run->fault, sizeof(run->fault),
			 "%c has unit attention %06x, expected %06x", nexus_letter(step->nexus),
			 is_attention(&result) ? sense_of(&result) : 0, step->key_asc_ascq);
		return false;
	}
	if (is_attention(&second)) {
		snprintf(run->fault, sizeof(run->fault), "%c has a second unit attention %06x",
			 nexus_letter(step->nexus), sense_of(&second));
		return false;
	}
	return true;
}

static bool step_capabilities(struct run *run, const struct pr_step *step)
{
	struct pr_capabilities capabilities;
	struct scsi_result result;

	take_attentions(run->driver, step->nexus);
	memset(&capabilities, 0, sizeof(capabilities));
	memset(&result, 0, sizeof(result));
	run->driver->report_capabilities(run->driver->self, step->nexus, &capabilities, &result);
	if (result.outcome != SCSI_OUTCOME_OK)
		return check_result(run, step, &result);
	if (capabilities.type_mask_valid &&
	    (capabilities.type_mask & step->type_mask) == step->type_mask &&
	    capabilities.persist_through_power_loss_activated == step->ptpl_active)
		return true;
	snprintf(run->fault, sizeof(run->fault),
		 "types %04x (valid %d), PTPL_A %d; expected types %04x, PTPL_A %d",
		 capabilities.type_mask, capabilities.type_mask_valid,
		 capabilities.persist_through_power_loss_activated, step->type_mask,
		 step->ptpl_active);
	return false;
}

static bool step_status(struct run *run, const struct pr_step *step)
{
	struct pr_full_status_entry entries[PR_CASE_KEYS_MAX];
	struct pr_full_status status = {.entries = entries};
	uint64_t keys[PR_CASE_KEYS_MAX];
	struct scsi_result result;

	take_attentions(run->driver, step->nexus);
	memset(&result, 0, sizeof(result));
	run->driver->read_full_status(run->driver->self, step->nexus, &status, PR_CASE_KEYS_MAX,
				      &result);
	if (result.outcome != SCSI_OUTCOME_OK)
		return check_result(run, step, &result);
	for (unsigned i = 0; i < status.count; i++) {
		bool should_hold =
			step->held && (entries[i].key == step->holder || step->holder == 0);

		keys[i] = entries[i].key;
		if (entries[i].holder == should_hold &&
		    (!should_hold || entries[i].type == step->type))
			continue;
		snprintf(run->fault, sizeof(run->fault), "full status: key %" PRIx64 " %s, type %s",
			 entries[i].key, entries[i].holder ? "holds" : "does not hold",
			 pr_type_short_name(entries[i].type));
		return false;
	}
	if (status.complete && keys_same(step->keys, step->key_count, keys, status.count))
		return true;
	snprintf(run->fault, sizeof(run->fault),
		 "full status: %u entries, complete %d, expected %u", status.count, status.complete,
		 step->key_count);
	return false;
}

static bool step_event(struct run *run, const struct pr_step *step)
{
	const struct pr_case_driver *driver = run->driver;
	struct scsi_result result;
	int error = 0;

	switch (step->kind) {
	case PR_STEP_DROP:
		error = driver->drop(driver->self, step->nexus);
		break;
	case PR_STEP_LOGIN:
		error = driver->login(driver->self, step->nexus);
		break;
	case PR_STEP_POWER_CYCLE:
		error = driver->power_cycle(driver->self);
		break;
	case PR_STEP_RESET:
		memset(&result, 0, sizeof(result));
		driver->reset(driver->self, step->nexus, &result);
		error = result.outcome == SCSI_OUTCOME_OK ? 0 : -EIO;
		break;
	case PR_STEP_ONLY:
	case PR_STEP_OUT:
	case PR_STEP_SHOWS:
	case PR_STEP_ACCESS:
	case PR_STEP_MARK:
	case PR_STEP_GENERATION:
	case PR_STEP_ATTENTION:
	case PR_STEP_CAPABILITIES:
	case PR_STEP_STATUS:
		error = -EINVAL;
		break;
	}
	if (error)
		snprintf(run->fault, sizeof(run->fault), "could not be carried out: %s",
			 strerror(-error));
	return error == 0;
}

static bool run_step(struct run *run, const struct pr_step *step)
{
	switch (step->kind) {
	case PR_STEP_ONLY:
		return true;
	case PR_STEP_OUT:
		return step_out(run, step);
	case PR_STEP_SHOWS:
		return step_shows(run, step);
	case PR_STEP_ACCESS:
		return step_access(run, step);
	case PR_STEP_MARK:
	case PR_STEP_GENERATION:
		return step_generation(run, step);
	case PR_STEP_ATTENTION:
		return step_attention(run, step);
	case PR_STEP_CAPABILITIES:
		return step_capabilities(run, step);
	case PR_STEP_STATUS:
		return step_status(run, step);
	case PR_STEP_DROP:
	case PR_STEP_LOGIN:
	case PR_STEP_POWER_CYCLE:
	case PR_STEP_RESET:
		return step_event(run, step);
	}
	return false;
}

static void describe(const struct pr_step *step, char *text, size_t size)
{
	static const char *const accesses[] = {"TEST UNIT READY", "READ",  "WRITE",
					       "WRITE SAME",      "UNMAP", "SYNCHRONIZE CACHE"};
	static const char *const kinds[] = {"only",
					    "out",
					    "shows",
					    "access",
					    "mark generation",
					    "generation",
					    "unit attention",
					    "drop session",
					    "log in",
					    "power cycle",
					    "reset",
					    "report capabilities",
					    "read full status"};

	if (step->kind == PR_STEP_OUT)
		snprintf(text, size, "%c %s type %s key %" PRIx64 " service action key %" PRIx64,
			 nexus_letter(step->nexus), pr_out_action_name(step->out.action),
			 pr_type_short_name(step->out.type), step->out.key, step->out.service_key);
	else
		snprintf(text, size, "%c %s", nexus_letter(step->nexus),
			 step->kind == PR_STEP_ACCESS ? accesses[step->access] : kinds[step->kind]);
}

static bool run_steps(struct run *run)
{
	const struct pr_case *current = run->current;
	unsigned targets = PR_CASE_ANY;
	char text[200];

	for (unsigned i = 0; i < current->step_count; i++) {
		const struct pr_step *step = &current->steps[i];
		bool mine = targets & run->driver->target, good;

		if (step->kind == PR_STEP_ONLY) {
			targets = step->targets;
			if (targets == run->driver->target && targets != PR_CASE_STANDARD)
				run->departures++;
			continue;
		}
		targets = PR_CASE_ANY;
		if (!mine)
			continue;
		describe(step, text, sizeof(text));
		run->fault[0] = 0;
		good = run_step(run, step);
		if (run->verbose)
			fprintf(run->out, "    %2u %s: %s\n", i + 1, text,
				good ? "as expected" : run->fault);
		if (!good) {
			fprintf(run->out, "FAILED  %s\n        step %u, %s: %s\n", current->name,
				i + 1, text, run->fault);
			return false;
		}
	}
	return true;
}

static const char *missing_ability(unsigned missing)
{
	static const char *const names[] = {"PREEMPT AND ABORT",
					    "READ FULL STATUS",
					    "APTPL",
					    "REGISTER AND MOVE",
					    "a power cycle",
					    "unit attentions",
					    "a session that can be dropped",
					    "registrations that outlive a session",
					    "LOGICAL UNIT RESET",
					    "REPORT CAPABILITIES",
					    "WRITE SAME and UNMAP"};

	for (unsigned bit = 0; bit < sizeof(names) / sizeof(names[0]); bit++) {
		if (missing & 1u << bit)
			return names[bit];
	}
	return "something";
}

static void run_case(struct run *run, struct pr_case_report *report)
{
	const struct pr_case_driver *driver = run->driver;
	const struct pr_case *current = run->current;
	unsigned missing = current->needs & ~driver->abilities;
	int error;

	if (missing || (current->targets && !(current->targets & driver->target))) {
		report->skipped++;
		fprintf(run->out, "skipped %s: %s %s\n", current->name,
			missing ? "needs" : "describes another target than",
			missing ? missing_ability(missing) : driver->name);
		return;
	}
	run->departures = 0;
	error = driver->fresh(driver->self);
	if (error) {
		fprintf(run->out, "FAILED  %s\n        %s cannot be made fresh: %s\n",
			current->name, driver->name, strerror(-error));
		report->failed++;
		return;
	}
	for (enum pr_case_nexus nexus = PR_CASE_A; nexus < PR_CASE_NEXUSES; nexus++)
		take_attentions(driver, nexus);
	if (!run_steps(run)) {
		report->failed++;
		return;
	}
	report->passed++;
	fprintf(run->out, "passed  %s", current->name);
	if (run->departures)
		fprintf(run->out, " (%u known departure%s from the standard)", run->departures,
			run->departures > 1 ? "s" : "");
	fputc('\n', run->out);
}

bool pr_cases_run(const struct pr_case_driver *driver, const char *only, bool verbose, FILE *out,
		  struct pr_case_report *report)
{
	struct run run = {.driver = driver, .out = out, .verbose = verbose};

	memset(report, 0, sizeof(*report));
	fprintf(out, "PR cases on %s\n", driver->name);
	for (unsigned i = 0; i < pr_case_count; i++) {
		if (only && !strstr(pr_cases[i].name, only))
			continue;
		run.current = &pr_cases[i];
		run_case(&run, report);
		fflush(out);
	}
	fprintf(out, "%u passed, %u failed, %u skipped\n", report->passed, report->failed,
		report->skipped);
	return report->failed == 0 && report->passed > 0;
}
