/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Running an agent. posix_spawn() begins it without copying the daemon's locked pages, closes every
 * descriptor that is not its own, and gives it ordinary scheduling; a pidfd on the loop tells its
 * end, so that no signal handler is shared with anybody. What hangs beyond SIGKILL (in a system
 * call on a lost LUN) is reported as timed out and reaped whenever it ends.
 */
#include "cluster/agents/agent.h"

#include "cluster/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENT_UNKILLABLE_MS 2000 /* after SIGKILL */
#define AGENT_REAP_MS 20         /* between looks where there is no pidfd */
#define AGENT_ARGUMENTS_MAX 15
#define AGENT_LINE_MAX 200 /* of the output, in the sentence for people */

enum agent_phase { AGENT_RUNNING, AGENT_TERMINATED, AGENT_KILLED, AGENT_REPORTED };

struct agent {
	uv_loop_t *loop;
	uv_timer_t timer;
	uv_poll_t exited;
	uv_timer_t reaper; /* in place of it */
	uv_pipe_t output;
	unsigned handles; /* not yet closed */
	bool has_exited, has_reaper, has_output, timed_out, ended;
	enum agent_phase phase;
	enum service_operation operation;
	pid_t pid; /* 0: could not be begun */
	int pid_fd;
	int spawn_error;
	uint64_t begun_ms;
	uint32_t timeout_ms;
	void (*done)(const struct agent_result *result, void *user);
	void *user;
	char path[256];
	size_t written; /* bytes so far; the last AGENT_OUTPUT_MAX are kept, the next goes to
			   written % AGENT_OUTPUT_MAX */
	char kept[AGENT_OUTPUT_MAX];
	char chunk[1024];
};

/* ---- output ---- */

static void agent_keep(struct agent *agent, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		agent->kept[agent->written++ % AGENT_OUTPUT_MAX] = data[i];
}

/* Bytes of a UTF-8 character at text, or 0 when there is none (RFC 3629). */
static size_t agent_utf8(const unsigned char *text, size_t length)
{
	size_t count = text[0] >= 0xc2 && text[0] <= 0xdf   ? 2
		       : (text[0] & 0xf0) == 0xe0           ? 3
		       : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
							    : 0;

	if (count == 0 || count > length)
		return 0;
	for (size_t i = 1; i < count; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return count;
}

/* What was written last, as text that can be shown and put into JSON. buffer: AGENT_OUTPUT_MAX + 1
 * bytes. */
static void agent_output(const struct agent *agent, char *buffer)
{
	size_t length = agent->written < AGENT_OUTPUT_MAX ? agent->written : AGENT_OUTPUT_MAX;
	size_t begin = agent->written - length, at = 0;

	for (size_t i = 0; i < length; i++)
		buffer[i] = agent->kept[(begin + i) % AGENT_OUTPUT_MAX];
	while (at < length) {
		unsigned char c = (unsigned char)buffer[at];
		size_t count = agent_utf8((unsigned char *)buffer + at, length - at);

		if (count == 0 && (c >= 0x7f || (c < ' ' && c != '\n' && c != '\t')))
			buffer[at] = '?';
		at += count ? count : 1;
	}
	while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == ' '))
		length--;
	buffer[length] = '\0';
}

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

/* ---- the end ---- */

static void agent_handle_closed(uv_handle_t *handle)
{
	struct agent *agent = handle->data;

	if (--agent->handles > 0)
		return;
	if (agent->pid_fd >= 0)
		close(agent->pid_fd);
	free(agent);
}

static void agent_close(struct agent *agent)
{
	uv_close((uv_handle_t *)&agent->timer, agent_handle_closed);
	if (agent->has_exited)
		uv_close((uv_handle_t *)&agent->exited, agent_handle_closed);
	if (agent->has_reaper)
		uv_close((uv_handle_t *)&agent->reaper, agent_handle_closed);
	if (agent->has_output)
		uv_close((uv_handle_t *)&agent->output, agent_handle_closed);
}

static enum service_result agent_judge(const struct agent *agent, const siginfo_t *ended)
{
	if (agent->timed_out)
		return SERVICE_RESULT_TIMED_OUT;
	if (!agent->ended || ended->si_code != CLD_EXITED)
		return SERVICE_RESULT_FAILED;
	if (ended->si_status == 0)
		return SERVICE_RESULT_OK;
	/* LSB: 3, program is not running; OCF: 7 */
	if (agent->operation == SERVICE_OPERATION_MONITOR &&
	    (ended->si_status == 3 || ended->si_status == 7))
		return SERVICE_RESULT_NOT_RUNNING;
	return SERVICE_RESULT_FAILED;
}

/* ended: what the kernel says of its end, if agent->ended. */
static void agent_report(struct agent *agent, const siginfo_t *ended)
{
	struct agent_result result = {.operation = agent->operation, .exit_status = -1};
	const char *name = service_operation_name(agent->operation), *last;
	char output[AGENT_OUTPUT_MAX + 1], error[600] = "";
	int used = 0;

	if (agent->phase == AGENT_REPORTED)
		return;
	agent_output(agent, output);
	last = agent_last_line(output);
	result.result = agent_judge(agent, ended);
	result.duration_ms = clock_now_ms() - agent->begun_ms;
	result.output = output;
	if (agent->ended && ended->si_code == CLD_EXITED)
		result.exit_status = ended->si_status;
	else if (agent->ended)
		result.signal = ended->si_status;
	if (agent->spawn_error)
		used = snprintf(error, sizeof(error), "%s cannot be run: %s", agent->path,
				strerror(agent->spawn_error));
	else if (agent->timed_out)
		used = snprintf(error, sizeof(error), "%s did not end within %u ms%s", name,
				agent->timeout_ms,
				agent->ended ? " and was killed" : ", and cannot be killed");
	else if (!agent->ended)
		used = snprintf(error, sizeof(error), "%s cannot be killed", name);
	else if (result.signal && agent->phase != AGENT_RUNNING)
		used = snprintf(error, sizeof(error), "%s was ended", name);
	else if (result.signal)
		used = snprintf(error, sizeof(error), "%s was killed by signal %d (%s)", name,
				result.signal, strsignal(result.signal));
	else if (result.result == SERVICE_RESULT_FAILED)
		used = snprintf(error, sizeof(error), "%s exited with status %d", name,
				result.exit_status);
	if (used > 0 && (size_t)used < sizeof(error) && *last)
		snprintf(error + used, sizeof(error) - (size_t)used, ": %.*s", AGENT_LINE_MAX,
			 last);
	result.error = *error ? error : NULL;
	agent->phase = AGENT_REPORTED;
	agent->done(&result, agent->user);
}

/* What is in the pipe; its other end may stay open in a daemon that was begun. */
static void agent_drain(struct agent *agent)
{
	uv_os_fd_t fd;
	ssize_t got;

	if (!agent->has_output || uv_fileno((uv_handle_t *)&agent->output, &fd) != 0)
		return;
	for (size_t total = 0; total < (1u << 20); total += (size_t)got) {
		got = read(fd, agent->chunk, sizeof(agent->chunk));
		if (got <= 0)
			break;
		agent_keep(agent, agent->chunk, (size_t)got);
	}
}

static void agent_look(struct agent *agent)
{
	siginfo_t ended = {0};

	if (waitid(P_PID, (id_t)agent->pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	    ended.si_pid == 0)
		return;
	/* Of one that had to be killed nothing may stay; now, because its number is its own until
	 * it is reaped. */
	if (agent->phase != AGENT_RUNNING)
		kill(-agent->pid, SIGKILL);
	waitid(P_PID, (id_t)agent->pid, &ended, WEXITED | WNOHANG);
	agent->ended = true;
	agent_drain(agent);
	agent_report(agent, &ended);
	agent_close(agent);
}

static void agent_exited(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	agent_look(poll->data);
}

static void agent_reaper(uv_timer_t *timer)
{
	agent_look(timer->data);
}

static void agent_timer(uv_timer_t *timer);

static void agent_signal(struct agent *agent, bool at_once)
{
	kill(-agent->pid, at_once ? SIGKILL : SIGTERM);
	agent->phase = at_once ? AGENT_KILLED : AGENT_TERMINATED;
	uv_timer_start(&agent->timer, agent_timer,
		       at_once ? AGENT_UNKILLABLE_MS : AGENT_KILL_GRACE_MS, 0);
}

/* The loop need not stay for its end. */
static void agent_unref(struct agent *agent)
{
	if (agent->has_exited)
		uv_unref((uv_handle_t *)&agent->exited);
	if (agent->has_reaper)
		uv_unref((uv_handle_t *)&agent->reaper);
	if (agent->has_output)
		uv_unref((uv_handle_t *)&agent->output);
}

void agent_leave(struct agent *agent)
{
	if (agent->pid == 0) /* could not be begun: its end is due */
		return;
	uv_unref((uv_handle_t *)&agent->timer);
	agent_unref(agent);
}

static void agent_timer(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	if (agent->pid == 0) { /* could not be begun */
		agent_report(agent, NULL);
		agent_close(agent);
		return;
	}
	switch (agent->phase) {
	case AGENT_RUNNING:
		agent->timed_out = true;
		agent_signal(agent, false);
		break;
	case AGENT_TERMINATED:
		agent_signal(agent, true);
		break;
	case AGENT_KILLED:
		agent_report(agent, NULL);
		agent_unref(agent); /* it may hang for ever */
		break;
	case AGENT_REPORTED:
		break;
	}
}

void agent_kill(struct agent *agent, bool at_once)
{
	if (agent->pid == 0 || agent->phase == AGENT_REPORTED || agent->phase == AGENT_KILLED)
		return;
	if (agent->phase == AGENT_RUNNING || at_once)
		agent_signal(agent, at_once);
}

/* ---- the beginning ---- */

static void agent_allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	struct agent *agent = handle->data;

	(void)size;
	*buffer = uv_buf_init(agent->chunk, sizeof(agent->chunk));
}

static void agent_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct agent *agent = stream->data;

	if (got > 0)
		agent_keep(agent, buffer->base, (size_t)got);
	else if (got < 0)
		uv_read_stop(stream);
}

/* In a session of its own, with default signals and ordinary scheduling; returns 0 or an errno. */
static int agent_spawn(struct agent *agent, int output, const struct agent_options *options)
{
	const char *arguments[AGENT_ARGUMENTS_MAX + 2] = {
		agent->path, service_operation_name(agent->operation), NULL};
	const struct sched_param ordinary = {0};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	int error;

	for (size_t i = 0; i < AGENT_ARGUMENTS_MAX && options->arguments; i++) {
		arguments[i + 1] = options->arguments[i];
		if (!arguments[i + 1])
			break;
	}
	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSCHEDULER);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setschedpolicy(&attributes, SCHED_OTHER);
	posix_spawnattr_setschedparam(&attributes, &ordinary);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, output, 1);
	posix_spawn_file_actions_adddup2(&files, output, 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	posix_spawn_file_actions_addchdir_np(&files, "/");
	error = posix_spawn(&agent->pid, agent->path, &files, &attributes, (char *const *)arguments,
			    (char *const *)options->environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	if (error)
		agent->pid = 0;
	return error;
}

/* Watches the child's end and its output. */
static void agent_watch(struct agent *agent, int *output)
{
	agent->pid_fd = (int)syscall(SYS_pidfd_open, agent->pid, 0);
	if (agent->pid_fd >= 0 && uv_poll_init(agent->loop, &agent->exited, agent->pid_fd) == 0) {
		agent->exited.data = agent;
		agent->has_exited = true;
		uv_poll_start(&agent->exited, UV_READABLE, agent_exited);
	} else { /* forbidden in some containers, unknown to valgrind */
		uv_timer_init(agent->loop, &agent->reaper);
		agent->reaper.data = agent;
		agent->has_reaper = true;
		uv_timer_start(&agent->reaper, agent_reaper, AGENT_REAP_MS, AGENT_REAP_MS);
	}
	agent->handles++;
	uv_pipe_init(agent->loop, &agent->output, 0);
	agent->output.data = agent;
	agent->has_output = true;
	agent->handles++;
	if (uv_pipe_open(&agent->output, *output) != 0)
		return; /* then without its output */
	*output = -1;
	uv_read_start((uv_stream_t *)&agent->output, agent_allocate, agent_read);
}

struct agent *agent_run(uv_loop_t *loop, const struct agent_options *options)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int ends[2] = {-1, -1};
	uint64_t timer_ms = options->timeout_ms;

	if (!agent)
		return NULL;
	agent->loop = loop;
	agent->operation = options->operation;
	agent->timeout_ms = options->timeout_ms;
	agent->done = options->done;
	agent->user = options->user;
	agent->pid_fd = -1;
	agent->begun_ms = clock_now_ms();
	snprintf(agent->path, sizeof(agent->path), "%s", options->path);
	uv_timer_init(loop, &agent->timer);
	agent->timer.data = agent;
	agent->handles = 1;
	if (strlen(options->path) >= sizeof(agent->path))
		agent->spawn_error = ENAMETOOLONG;
	else if (pipe2(ends, O_CLOEXEC) != 0)
		agent->spawn_error = errno;
	else
		agent->spawn_error = agent_spawn(agent, ends[1], options);
	if (agent->pid != 0)
		agent_watch(agent, &ends[0]);
	if (ends[0] >= 0)
		close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	if (agent->pid == 0 || timer_ms > 0)
		uv_timer_start(&agent->timer, agent_timer, agent->pid == 0 ? 0 : timer_ms, 0);
	return agent;
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
