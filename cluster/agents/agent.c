/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an agent is told and what its exit status means. Running it is cluster/base/run.c.
 */
#include "cluster/agents/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_ARGUMENTS_MAX 15
/* A starter that is merely kept waiting by others on this machine is not given up. */
#define AGENT_START_LEAST_MS 2000
#define AGENT_LINE_MAX 200 /* of the output, in the sentence for people */

struct agent {
	struct run *run;
	enum service_operation operation;
	uint32_t timeout_ms, start_limit_ms;
	void (*done)(const struct agent_result *result, void *user);
	void *user;
	char path[256];
};

static const char *agent_last_line(const char *output)
{
	const char *line = strrchr(output, '\n');
	size_t length;

	line = line ? line + 1 : output;
	length = strlen(line);
	if (length > AGENT_LINE_MAX)
		line += length - AGENT_LINE_MAX;
	while (((unsigned char)*line & 0xc0) == 0x80) /* not in the middle of a character */
		line++;
	return line;
}

static enum service_result agent_judge(const struct agent *agent, const struct run_result *run)
{
	if (run->timed_out || run->start_error == ETIMEDOUT)
		return SERVICE_RESULT_TIMED_OUT;
	if (run->start_error || !run->exited)
		return SERVICE_RESULT_FAILED;
	if (run->status == 0)
		return SERVICE_RESULT_OK;
	/* LSB: 3, program is not running; OCF: 7 */
	if (agent->operation == SERVICE_OPERATION_MONITOR && (run->status == 3 || run->status == 7))
		return SERVICE_RESULT_NOT_RUNNING;
	return SERVICE_RESULT_FAILED;
}

/* In one sentence; returns its length, 0 when it went well. */
static int agent_sentence(const struct agent *agent, const struct run_result *run, char *text,
			  size_t size)
{
	const char *name = service_operation_name(agent->operation);

	if (run->start_error == ETIMEDOUT && run->starter_silent)
		return snprintf(text, size,
				"%s was not begun within %u ms: the process that starts programs "
				"did not answer",
				name, agent->start_limit_ms);
	if (run->start_error == ETIMEDOUT)
		return snprintf(text, size,
				"%s was not begun within %u ms: the execve() of %s hangs", name,
				agent->start_limit_ms, agent->path);
	if (run->start_error == EPIPE)
		return snprintf(text, size,
				"%s was not begun: the process that starts programs has ended",
				name);
	if (run->start_error)
		return snprintf(text, size, "%s cannot be run: %s", agent->path,
				strerror(run->start_error));
	if (run->timed_out)
		return snprintf(text, size, "%s did not end within %u ms%s", name,
				agent->timeout_ms,
				run->ended ? " and was killed" : ", and cannot be killed");
	if (!run->ended)
		return snprintf(text, size, "%s cannot be killed", name);
	if (run->status_unknown)
		return snprintf(text, size,
				"%s ended, but how is not known: the process that starts programs "
				"had ended before it",
				name);
	if (run->signal && run->killed)
		return snprintf(text, size, "%s was ended", name);
	if (run->signal)
		return snprintf(text, size, "%s was killed by signal %d (%s)", name, run->signal,
				strsignal(run->signal));
	if (agent_judge(agent, run) == SERVICE_RESULT_FAILED)
		return snprintf(text, size, "%s exited with status %d", name, run->status);
	return 0;
}

static void agent_done(const struct run_result *run, void *user)
{
	struct agent *agent = user;
	struct agent_result result = {.operation = agent->operation,
				      .exit_status = run->exited ? run->status : -1,
				      .signal = run->signal,
				      .duration_ms = run->duration_ms,
				      .output = run->output};
	const char *last = agent_last_line(run->output);
	char error[700];
	int used = agent_sentence(agent, run, error, sizeof(error));

	if (used > 0 && (size_t)used < sizeof(error) && *last)
		snprintf(error + used, sizeof(error) - (size_t)used, ": %.*s", AGENT_LINE_MAX,
			 last);
	result.result = agent_judge(agent, run);
	result.error = used > 0 ? error : NULL;
	agent->done(&result, agent->user);
	free(agent);
}

struct agent *agent_run(uv_loop_t *loop, const struct agent_options *options)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	const char *arguments[AGENT_ARGUMENTS_MAX + 2] = {
		options->path, service_operation_name(options->operation), NULL};
	struct run_options run = {.path = options->path,
				  .arguments = arguments,
				  .environment = options->environment,
				  .cgroup = options->cgroup,
				  .timeout_ms = options->timeout_ms,
				  .done = agent_done,
				  .user_data = agent};

	if (!agent)
		return NULL;
	for (size_t i = 0; i < AGENT_ARGUMENTS_MAX && options->arguments; i++) {
		arguments[i + 1] = options->arguments[i];
		if (!arguments[i + 1])
			break;
	}
	agent->operation = options->operation;
	agent->timeout_ms = options->timeout_ms;
	agent->start_limit_ms = RUN_START_LIMIT_MS;
	if (options->timeout_ms && options->timeout_ms < agent->start_limit_ms)
		agent->start_limit_ms = options->timeout_ms > AGENT_START_LEAST_MS
						? options->timeout_ms
						: AGENT_START_LEAST_MS;
	run.start_limit_ms = agent->start_limit_ms;
	agent->done = options->done;
	agent->user = options->user;
	snprintf(agent->path, sizeof(agent->path), "%s", options->path);
	agent->run = run_start(loop, &run);
	if (!agent->run) {
		free(agent);
		return NULL;
	}
	return agent;
}

void agent_kill(struct agent *agent, bool at_once)
{
	run_kill(agent->run, at_once);
}

void agent_leave(struct agent *agent)
{
	run_leave(agent->run);
}

/* ---- environment ---- */

struct environment {
	char **list;
	size_t count, size;
	bool failed;
};

static void environment_add(struct environment *environment, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void environment_add(struct environment *environment, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	if (environment->count + 1 >= environment->size) {
		size_t size = environment->size ? 2 * environment->size : 32;
		char **larger = realloc(environment->list, size * sizeof(*larger));

		if (!larger) {
			environment->failed = true;
			return;
		}
		environment->list = larger;
		environment->size = size;
	}
	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	environment->failed = environment->failed || !text;
	environment->list[environment->count] = text;
	if (text)
		environment->count++;
	environment->list[environment->count] = NULL;
}

/* NAME of LUNKEEPER_DEVICE_NAME. */
static void environment_device(struct environment *environment, const char *lun,
			       const char *run_folder)
{
	char name[CONFIG_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < CONFIG_NAME_MAX && lun[i]; i++) {
		char c = lun[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
			c = '_';
		name[i] = c;
	}
	name[i] = '\0';
	environment_add(environment, "LUNKEEPER_DEVICE_%s=%s/dev/%s", name, run_folder, lun);
}

char **agent_environment(const struct agent_environment_options *options)
{
	struct environment environment = {0};

	environment_add(&environment,
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	environment_add(&environment, "LANG=C.UTF-8");
	environment_add(&environment, "LUNKEEPER_GROUP=%s", options->group->name);
	environment_add(&environment, "LUNKEEPER_NODE=%s", options->node);
	environment_add(&environment, "LUNKEEPER_RESOURCE=%s", options->resource->name);
	environment_add(&environment, "OCF_RESOURCE_INSTANCE=%s", options->resource->name);
	if (options->deposed)
		environment_add(&environment, "LUNKEEPER_DEPOSED=1");
	for (size_t i = 0; i < options->group->lun_count; i++)
		environment_device(&environment, options->group->luns[i]->name,
				   options->run_folder);
	for (size_t i = 0; i < options->resource->param_count; i++) {
		const struct config_param *param = &options->resource->params[i];
		char value[4096];

		if (config_param_text(param, options->run_folder, value, sizeof(value)) != 0) {
			environment.failed = true;
			break;
		}
		environment_add(&environment, "LUNKEEPER_PARAM_%s=%s", param->key, value);
		environment_add(&environment, "OCF_RESKEY_%s=%s", param->key, value);
	}
	if (!environment.failed)
		return environment.list;
	agent_environment_free(environment.list);
	return NULL;
}

void agent_environment_free(char **environment)
{
	for (char **text = environment; text && *text; text++)
		free(*text);
	free(environment);
}
