/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper check --node`: can this machine do what the configuration asks of it? Programs,
 * folders, initiator name, secrets, what the daemon may do, and every LUN: reachable, the right
 * one, not somebody else's, and fast enough for the defend interval.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/gate/nbdkit/attach.h"
#include "cluster/gate/dm/gate.h"
#include "iscsi/secrets.h"
#include "scsi/mode.h"
#include "tools/check/check.h"
#include "tools/check/host.h"
#include "tools/lun/lun.h"
#include "tools/lun/probe.h"

#define CHECK_SPACE_MIN (64ull << 20)
#define CHECK_PRIORITY 10
#define CHECK_READ_TIMEOUT_MS 15000

/* What this file adds to a run: LUNs are looked at through `lunkeeper lun`'s own parts. */
struct node_run {
	struct check_run run; /* first: findings are the run's */
	struct lun_context context;
	bool *owned; /* by the number of a LUN: this node's key holds it */
};

static void say(struct check_run *run, enum check_verdict verdict, const char *what,
		const char *remedy, const char *format, va_list arguments)
	__attribute__((format(printf, 5, 0)));

static void say(struct check_run *run, enum check_verdict verdict, const char *what,
		const char *remedy, const char *format, va_list arguments)
{
	static const char *const names[] = {"good", "warning", "error"};
	static const enum cli_colour colours[] = {CLI_GOOD, CLI_WARNING, CLI_BAD};
	json_t *finding;
	char text[1400];

	vsnprintf(text, sizeof(text), format, arguments);
	run->errors += verdict == CHECK_ERROR;
	run->warnings += verdict == CHECK_WARNING;
	finding =
		json_pack("{s:s, s:s, s:s}", "verdict", names[verdict], "what", what, "text", text);
	if (remedy)
		json_object_set_new(finding, "remedy", json_string(remedy));
	json_array_append_new(run->findings, finding);
	if (run->check->json)
		return;
	printf("  %s%-8s%s %-16s %s\n", cli_colour(stdout, colours[verdict]), names[verdict],
	       cli_colour(stdout, CLI_PLAIN), what, text);
	if (remedy)
		printf("  %-8s %-16s %s%s%s\n", "", "", cli_colour(stdout, CLI_NOTE), remedy,
		       cli_colour(stdout, CLI_PLAIN));
}

void check_say(struct check_run *run, enum check_verdict verdict, const char *what,
	       const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(run, verdict, what, NULL, format, arguments);
	va_end(arguments);
}

void check_remedy(struct check_run *run, enum check_verdict verdict, const char *what,
		  const char *remedy, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(run, verdict, what, remedy, format, arguments);
	va_end(arguments);
}

/* Programs. */

static bool check_find_program(const char *name, char *path, size_t size)
{
	const char *folders = getenv("PATH");
	char *copy, *rest, *folder;
	bool found = false;

	copy = strdup(folders ? folders : "/usr/sbin:/usr/bin:/sbin:/bin");
	for (rest = copy; !found && (folder = strsep(&rest, ":")) != NULL;) {
		snprintf(path, size, "%s/%s", folder, name);
		found = access(path, X_OK) == 0;
	}
	free(copy);
	return found;
}

static void check_program(struct check_run *run, const char *name, const char *package)
{
	char path[512];

	if (check_find_program(name, path, sizeof(path)))
		check_say(run, CHECK_GOOD, name, "%s", path);
	else
		check_say(run, CHECK_ERROR, name, "not found in PATH; install the package %s",
			  package);
}

/* As lunkeeperd looks for it: beside the program, or as installed. */
static void check_plugin(struct check_run *run)
{
	const char *named = getenv("LUNKEEPER_GATE");
	char program[512] = "", path[600];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash = length > 0 ? strrchr(program, '/') : NULL;

	if (slash)
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/lunkeeper-gate.so", program);
	if (named)
		snprintf(path, sizeof(path), "%s", named);
	else if (access(path, R_OK) != 0)
		snprintf(path, sizeof(path), LUNKEEPER_LIBDIR "/lunkeeper-gate.so");
	if (access(path, R_OK) == 0)
		check_say(run, CHECK_GOOD, "gate", "%s", path);
	else
		check_say(run, CHECK_ERROR, "gate", "%s: %s; `make install` puts it there", path,
			  strerror(errno));
}

static bool check_needs_gate(const struct config *config, enum config_gate gate)
{
	for (size_t i = 0; i < config->group_count; i++) {
		if (config->groups[i].gate == gate)
			return true;
	}
	return false;
}

static void check_programs(struct check_run *run)
{
	const struct config *config = run->check->config;

	if (check_needs_gate(config, CONFIG_GATE_DM)) {
		char text[300];
		int error = gate_dm_possible(text, sizeof(text));

		check_say(run, error ? CHECK_ERROR : CHECK_GOOD, "gate", "%s", text);
	}
	if (check_needs_gate(config, CONFIG_GATE_NBDKIT)) {
		check_program(run, "nbdkit", "nbdkit");
		check_plugin(run);
		if (attach_kind_possible(ATTACH_KIND_NBD))
			check_say(run, CHECK_GOOD, "devices", "/dev/nbdN");
		else if (attach_kind_possible(ATTACH_KIND_LOOP))
			check_program(run, "nbdfuse", "nbdfuse");
		else
			check_say(
				run, CHECK_ERROR, "devices",
				"neither /dev/nbd0 nor /dev/fuse with /dev/loop-control: no device "
				"can be made for a LUN; load the modules nbd, or fuse and loop");
	}
	for (size_t g = 0; g < config->group_count; g++) {
		for (size_t r = 0; r < config->groups[g].resource_count; r++) {
			const struct config_resource *resource = &config->groups[g].resources[r];

			if (access(resource->agent_path, X_OK) == 0)
				check_say(run, CHECK_GOOD, resource->name, "%s",
					  resource->agent_path);
			else
				check_say(run, CHECK_ERROR, resource->name,
					  "its agent %s cannot be executed: %s",
					  resource->agent_path, strerror(errno));
		}
	}
}

/* Folders. */

static void check_folder(struct check_run *run, const char *what, const char *folder)
{
	struct stat status;
	struct statvfs space;

	if (stat(folder, &status) != 0) {
		if (errno == ENOENT)
			check_say(run, CHECK_WARNING, what,
				  "%s is not there yet; the daemon makes it", folder);
		else
			check_say(run, CHECK_ERROR, what, "%s: %s", folder, strerror(errno));
		return;
	}
	if (!S_ISDIR(status.st_mode))
		check_say(run, CHECK_ERROR, what, "%s is no folder", folder);
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		check_say(run, CHECK_ERROR, what, "%s can be written by others; chmod 0700 %s",
			  folder, folder);
	else if (access(folder, W_OK) != 0)
		check_say(run, CHECK_ERROR, what, "%s: %s", folder, strerror(errno));
	else if (statvfs(folder, &space) == 0 &&
		 (uint64_t)space.f_bavail * space.f_frsize < CHECK_SPACE_MIN)
		check_say(run, CHECK_WARNING, what, "%s has less than 64 MiB left", folder);
	else
		check_say(run, CHECK_GOOD, what, "%s", folder);
}

/* Who this machine is. */

static bool check_uses_iscsi(const struct config *config)
{
	for (size_t i = 0; i < config->lun_count; i++) {
		if (config->luns[i].iscsi)
			return true;
	}
	return false;
}

static void check_identity(struct check_run *run, const struct lun_context *context)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	if (context->node)
		check_say(run, CHECK_GOOD, "node", "%s, number %u", context->node->name,
			  context->node->id);
	else
		check_say(run, CHECK_ERROR, "node",
			  "the configuration has no node \"%s\"; add it, or start lunkeeperd with "
			  "--node (and check with --as)",
			  host);
	if (!check_uses_iscsi(run->check->config))
		return;
	if (context->own_initiator)
		check_say(run, CHECK_GOOD, "initiator", "%s", context->own_initiator);
	else
		check_say(run, CHECK_ERROR, "initiator",
			  "no iSCSI initiator name: neither in the node's block nor in "
			  "/etc/iscsi/initiatorname.iscsi");
}

static void check_secrets(struct check_run *run)
{
	const char *file = run->check->config->secrets;
	char message[LUN_MESSAGE_MAX];
	struct secrets secrets;

	if (!file)
		return;
	if (secrets_load(&secrets, "", file, message, sizeof(message)))
		check_say(run, access(file, F_OK) == 0 ? CHECK_ERROR : CHECK_WARNING, "secrets",
			  "%s", message);
	else
		check_say(run, CHECK_GOOD, "secrets", "%s", file);
	secrets_forget(&secrets);
}

/* What the daemon may do, tried in a child. */

static void check_privileges(struct check_run *run)
{
	struct sched_param parameters = {.sched_priority = CHECK_PRIORITY};
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		bool locked = mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
		bool realtime =
			sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) == 0;

		_exit((locked ? 1 : 0) | (realtime ? 2 : 0));
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		return;
	if (WEXITSTATUS(status) & 1)
		check_say(run, CHECK_GOOD, "memory", "can be locked");
	else
		check_say(run, CHECK_WARNING, "memory",
			  "cannot be locked: under memory pressure the daemon may be paged out and "
			  "defend too late; LimitMEMLOCK=infinity");
	if (WEXITSTATUS(status) & 2)
		check_say(run, CHECK_GOOD, "priority", "real-time is granted");
	else
		check_say(run, CHECK_WARNING, "priority",
			  "no real-time priority: under load the daemon may defend too late; "
			  "LimitRTPRIO=%d, and a kernel that grants it to this control group",
			  CHECK_PRIORITY);
	if (geteuid() != 0)
		check_say(run, CHECK_WARNING, "user",
			  "checked as uid %u; the daemon runs as root, and sees more",
			  (unsigned)geteuid());
}

/* LUNs. */

const struct config_group *check_group_of(const struct config *config, const struct config_lun *lun)
{
	for (size_t g = 0; g < config->group_count; g++) {
		for (size_t i = 0; i < config->groups[g].lun_count; i++) {
			if (config->groups[g].luns[i] == lun)
				return &config->groups[g];
		}
	}
	return NULL;
}

static const char *check_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The defend interval against what `lun probe --save` measured. */
static void check_times(struct check_run *run, const struct config_lun *lun, const char *wwid)
{
	const struct config_group *group = check_group_of(run->check->config, lun);
	uint32_t defend_ms = group ? group->times.defend_ms : run->check->config->times.defend_ms;
	const char *state = run->check->state ? run->check->state : CONFIG_STATE_DEFAULT;
	json_t *probe = wwid[0] ? lun_probe_load(state, wwid) : NULL;
	const json_t *looks = json_object_get(probe, "looks"), *verdict;
	json_int_t p99 = json_integer_value(json_object_get(looks, "p99_us"));
	char time[32];

	cli_micros_text((uint64_t)p99, time, sizeof(time));
	verdict = json_object_get(probe, "verdict");
	if (!probe)
		check_say(run, CHECK_WARNING, lun->name,
			  "never probed; `lunkeeper lun probe --save %s` finds out whether it is "
			  "fit, "
			  "and how fast",
			  lun->name);
	else if (strcmp(check_text(verdict, "fit"), "no") == 0)
		check_say(run, CHECK_ERROR, lun->name, "not fit: %s",
			  json_string_value(json_array_get(json_object_get(verdict, "lines"), 0)));
	else if ((json_int_t)defend_ms * 1000 < p99 * LUN_PROBE_DEFEND_FACTOR)
		check_say(run, CHECK_ERROR, lun->name,
			  "defend = %" PRIu32 "ms is less than 4 times its answer time (p99 %s); "
			  "at least %lldms",
			  defend_ms, time,
			  (long long)((p99 * LUN_PROBE_DEFEND_FACTOR + 49999) / 50000 * 50));
	else
		check_say(run, CHECK_GOOD, lun->name, "answers in %s (p99), defend = %" PRIu32 "ms",
			  time, defend_ms);
	json_decref(probe);
}

/* Returns whether this node holds it. */
static bool check_lun(struct check_run *run, const struct lun_context *context,
		      const struct config_lun *lun, const json_t *device)
{
	const json_t *step = json_array_get(json_object_get(device, "steps"), 0);
	const json_t *holder = json_object_get(step, "holder");
	const char *wwid = check_text(step, "wwid");

	if (!json_is_true(json_object_get(device, "ok"))) {
		check_say(run, CHECK_ERROR, lun->name, "%s",
			  check_text(device, "error")[0] ? check_text(device, "error")
							 : check_text(step, "error"));
		return false;
	}
	if (json_is_true(json_object_get(holder, "all_registrants")))
		check_say(
			run, CHECK_ERROR, lun->name,
			"held by all who are registered (%s), which no node of this cluster does; "
			"it will not be taken from them",
			check_text(holder, "type"));
	else if (json_is_object(holder) && !json_is_true(json_object_get(holder, "ours")))
		check_say(
			run, CHECK_ERROR, lun->name,
			"held by 0x%s, which is not of this cluster; it will not be taken from it",
			check_text(holder, "key"));
	else if (json_is_object(holder))
		check_say(run, CHECK_GOOD, lun->name, "%s; held by %s", wwid,
			  check_text(holder, "who"));
	else
		check_say(run, CHECK_GOOD, lun->name, "%s; nobody holds it", wwid);
	if (json_is_true(json_object_get(step, "write_protected")))
		check_say(run, CHECK_ERROR, lun->name,
			  SCSI_WRITE_PROTECTED_TEXT "; this node could own it and not serve");
	check_times(run, lun, wwid);
	return json_is_true(json_object_get(holder, "ours")) && context->node &&
	       strcmp(check_text(holder, "node"), context->node->name) == 0;
}

static void check_luns(struct node_run *node)
{
	const struct config *config = node->run.check->config;
	struct lun_fleet_options options = {.context = &node->context, .doing = "checking LUNs"};
	struct lun_script script = {.count = 1, .steps = {{.verb = LUN_VERB_SHOW}}};
	struct lun_devices devices = {0};
	struct lun_fleet *fleet;
	json_t *results;

	node->context.all = true;
	if (config->lun_count == 0 || lun_devices_make(&devices, &node->context, NULL, 0) >= 0) {
		lun_devices_free(&devices);
		return;
	}
	fleet = lun_fleet_new(&devices, &options);
	lun_fleet_run(fleet, &script);
	results = lun_fleet_results(fleet);
	for (size_t i = 0; i < config->lun_count; i++)
		node->owned[i] = check_lun(&node->run, &node->context, &config->luns[i],
					   json_array_get(json_object_get(results, "devices"), i));
	json_decref(results);
	lun_fleet_free(fleet);
	lun_devices_free(&devices);
}

size_t check_node(const struct check *check, json_t *findings)
{
	struct node_run node = {
		.run = {.check = check, .findings = findings},
		.context = {.config_path = check->path,
			    .node_name = check->name,
			    .timeout_ms = check->timeout_ms},
		.owned = calloc(check->config->lun_count + 1, sizeof(bool)),
	};
	struct check_run *run = &node.run;
	struct check_host host = {.run = run,
				  .root = "",
				  .sg = &sg_roots_system,
				  .timeout_ms = check->timeout_ms ? check->timeout_ms
								  : CHECK_READ_TIMEOUT_MS};

	if (!check->json)
		printf("\nThis machine:\n");
	if (!node.owned || lun_context_begin(&node.context, true) >= 0) {
		lun_context_end(&node.context);
		free(node.owned);
		return 1;
	}
	check_identity(run, &node.context);
	check_programs(run);
	check_folder(run, "state folder", check->state ? check->state : CONFIG_STATE_DEFAULT);
	check_folder(run, "run folder", check->run ? check->run : CONFIG_RUN_DEFAULT);
	check_secrets(run);
	check_privileges(run);
	check_luns(&node);
	lun_context_end(&node.context);
	check_host_all(&host, check->config, node.owned);
	free(node.owned);
	if (!check->json)
		printf("%s%zu error%s%s, %zu warning%s\n",
		       cli_colour(stdout, run->errors ? CLI_BAD : CLI_PLAIN), run->errors,
		       run->errors == 1 ? "" : "s", cli_colour(stdout, CLI_PLAIN), run->warnings,
		       run->warnings == 1 ? "" : "s");
	return run->errors;
}
