/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rig's side of the agents in virtual machines, see tools/rig/vm/agent.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "tools/rig/vm/agent.h"
#include "tools/rig/vm/vm.h"

#define CONNECT_MS 10000
#define STATE_MS 10000
#define LOOK_MS 500 /* how often one looks whether the machine is still there */
#define SHELL_MAX 8192
#define AWAIT_PAUSE_MS 50
#define SAID_MAX 120

int vm_agent_connect(struct rig *rig, const struct rig_machine *machine, unsigned timeout_ms)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(AGENT_PORT)};
	int before, fd, yes = 1, error = 0;
	socklen_t length = sizeof(error);
	struct pollfd ready;
	char text[16];

	if (!rig_machine_runs(machine))
		return rig_fail(rig, ESRCH, "%s is off", machine->name);
	if (machine->frozen)
		return rig_fail(rig, EBUSY, "%s is frozen", machine->name);
	before = vm_net_enter(rig);
	if (before < 0)
		return rig_fail(rig, -before, "no network namespace of rig %s: %s", rig->name,
				strerror(-before));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	vm_net_leave(before);
	if (fd < 0)
		return rig_fail(rig, errno, "no socket: %s", strerror(errno));
	inet_pton(AF_INET, rig_net_address(machine->number, RIG_NETWORKS, text), &address.sin_addr);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
		error = errno;
	ready = (struct pollfd){.fd = fd, .events = POLLOUT};
	if (!error && poll(&ready, 1, (int)timeout_ms) <= 0)
		error = ETIMEDOUT;
	if (!error)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (!error)
		return fd;
	close(fd);
	return rig_fail(rig, error, "%s does not answer: %s", machine->name, strerror(error));
}

json_t *vm_agent_ask(struct rig *rig, const struct rig_machine *machine, json_t *job,
		     unsigned timeout_ms, int *link)
{
	char *line = malloc(AGENT_LINE_MAX), *text = json_dumps(job, JSON_COMPACT);
	int fd = vm_agent_connect(rig, machine, timeout_ms);
	const char *wrong;
	json_t *answer = NULL;
	ssize_t got = fd;

	json_decref(job);
	if (fd >= 0 && line && text) {
		got = agent_write_all(fd, text, strlen(text));
		if (!got)
			got = agent_write_all(fd, "\n", 1);
		if (!got)
			got = agent_read_line(fd, line, AGENT_LINE_MAX, timeout_ms);
		answer = got > 0 ? json_loads(line, 0, NULL) : NULL;
		if (!answer)
			rig_fail(rig, EIO, "the agent of %s does not answer%s%s", machine->name,
				 got < 0 ? ": " : "", got < 0 ? strerror((int)-got) : "");
	}
	wrong = json_string_value(json_object_get(answer, "error"));
	if (wrong) {
		rig_fail(rig, EIO, "%s: %s", machine->name, wrong);
		json_decref(answer);
		answer = NULL;
	}
	if (link && answer)
		*link = fd;
	else if (fd >= 0)
		close(fd);
	free(line);
	free(text);
	return answer;
}

/* --- programs -------------------------------------------------------------------------------- */

struct vm_job {
	const struct rig_machine *machine;
	int link;
	int input;    /* descriptor it is read from; -1: none (any more) */
	char *output; /* NULL: to this program's own streams */
	size_t size, used;
};

static json_t *job_json(const char *const argv[], bool terminal)
{
	json_t *list = json_array(), *job = json_pack("{ssso}", "do", "run", "argv", list);
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	for (; *argv; argv++)
		json_array_append_new(list, json_string_nocheck(*argv));
	if (!terminal)
		return job;
	ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	json_object_set_new(job, "terminal", json_pack("[ii]", size.ws_row, size.ws_col));
	return job;
}

static void job_said(struct vm_job *job, char letter, const char *data, size_t length)
{
	if (!job->output) {
		agent_write_all(letter == AGENT_ERRORS ? STDERR_FILENO : STDOUT_FILENO, data,
				length);
		return;
	}
	if (length > job->size - 1 - job->used)
		length = job->size - 1 - job->used;
	memcpy(job->output + job->used, data, length);
	job->used += length;
}

static void job_feed(struct vm_job *job)
{
	char data[4096];
	ssize_t got = read(job->input, data, sizeof(data));

	if (got < 0 && errno == EINTR)
		return;
	if (agent_write_frame(job->link, AGENT_INPUT, data, got > 0 ? (size_t)got : 0) || got <= 0)
		job->input = -1;
}

/* Its exit status; 137 when the machine dies under it. */
static int job_wait(struct rig *rig, struct vm_job *job)
{
	char *data = malloc(AGENT_FRAME_MAX), letter = 0;
	int status = -1;

	while (status < 0 && data) {
		struct pollfd list[] = {{.fd = job->link, .events = POLLIN},
					{.fd = job->input, .events = POLLIN}};
		int count = poll(list, 2, LOOK_MS);
		ssize_t got;

		if (count <= 0) {
			if (!rig_machine_runs(job->machine))
				status = 137;
			continue;
		}
		if (job->input >= 0 && list[1].revents)
			job_feed(job);
		if (!list[0].revents)
			continue;
		got = agent_read_frame(job->link, &letter, data);
		if (got < 0)
			status = 137;
		else if (letter == AGENT_EXIT)
			status = got == 1 ? (unsigned char)data[0] : 125;
		else
			job_said(job, letter, data, (size_t)got);
	}
	if (status == 137 && letter != AGENT_EXIT)
		rig_fail(rig, ECONNRESET, "%s went away", job->machine->name);
	free(data);
	return status < 0 ? 125 : status;
}

int vm_exec(struct rig *rig, const struct rig_machine *machine, char *const argv[])
{
	struct vm_job job = {.machine = machine, .input = STDIN_FILENO};
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct termios before, raw;
	json_t *answer;
	int status;

	fflush(NULL);
	answer = vm_agent_ask(rig, machine, job_json((const char *const *)argv, terminal),
			      CONNECT_MS, &job.link);
	if (!answer)
		return -EIO;
	json_decref(answer);
	signal(SIGPIPE, SIG_IGN);
	if (terminal && tcgetattr(STDIN_FILENO, &before) == 0) {
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	status = job_wait(rig, &job);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	close(job.link);
	return status;
}

int vm_run(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
	   const char *const argv[], const char *input, char *output, size_t size)
{
	struct vm_job job = {.machine = machine, .input = -1, .output = output, .size = size};
	json_t *answer = vm_agent_ask(rig, machine, job_json(argv, false), CONNECT_MS, &job.link);
	int error = 0, status;

	(void)enter;
	output[0] = 0;
	if (!answer)
		return -EIO;
	json_decref(answer);
	for (size_t left = input ? strlen(input) : 0; left && !error;) {
		size_t part = left < 4096 ? left : 4096;

		error = agent_write_frame(job.link, AGENT_INPUT, input, part);
		input += part;
		left -= part;
	}
	if (!error)
		error = agent_write_frame(job.link, AGENT_INPUT, "", 0);
	status = error ? error : job_wait(rig, &job);
	output[job.used] = 0;
	close(job.link);
	return status;
}

int vm_shell(struct rig *rig, const struct rig_machine *machine, char *output, size_t size,
	     const char *format, ...)
{
	char command[SHELL_MAX], said[2048];
	const char *argv[] = {"sh", "-c", command, NULL};
	va_list arguments;
	int status;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	if (!output) {
		output = said;
		size = sizeof(said);
	}
	status = vm_run(rig, machine, RIG_ENTER_ALL, argv, NULL, output, size);
	for (size_t end = strlen(output); end && output[end - 1] == '\n';)
		output[--end] = 0;
	if (status > 0)
		return rig_fail(rig, EIO, "%s: '%.120s' ended with status %d: %.200s",
				machine->name, command, status, output);
	return status;
}

/* --- what it knows --------------------------------------------------------------------------- */

static json_t *vm_state(struct rig *rig, const struct rig_machine *machine, unsigned timeout_ms)
{
	return vm_agent_ask(rig, machine, json_pack("{ss}", "do", "state"), timeout_ms, NULL);
}

/* The answer was made at some moment between question and answer; of several, the fastest is the
 * most exact. */
int vm_clock(struct rig *rig, const struct rig_machine *machine, int64_t *ahead_ms)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 3; i++) {
		uint64_t asked = rig_now_ms(), took;
		json_t *answer = vm_state(rig, machine, STATE_MS);

		if (!answer)
			return -EIO;
		took = rig_now_ms() - asked;
		if (took < best) {
			best = took;
			*ahead_ms = (int64_t)(asked + took / 2) -
				    json_integer_value(json_object_get(answer, "boottime_ms"));
		}
		json_decref(answer);
	}
	return 0;
}

char vm_daemon_state(struct rig *rig, struct rig_node *node, pid_t *pid)
{
	char message[sizeof(rig->message)], state;
	json_t *answer, *daemon;
	const char *text;

	*pid = 0;
	if (node->machine.frozen || !rig_machine_runs(&node->machine))
		return 0;
	/* Whoever only wants to know does not lose what went wrong before. */
	memcpy(message, rig->message, sizeof(message));
	answer = vm_state(rig, &node->machine, STATE_MS);
	memcpy(rig->message, message, sizeof(message));
	daemon = json_object_get(answer, "daemon");
	text = json_string_value(json_object_get(daemon, "state"));
	/* A machine that has no time to answer tells nothing about its daemon. */
	state = text ? text[0] : '?';
	*pid = (pid_t)json_integer_value(json_object_get(daemon, "pid"));
	json_decref(answer);
	return state;
}

int vm_control_open(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
		    struct control_client **client)
{
	json_t *job = json_pack("{ssss}", "do", "connect", "path", CONTROL_PATH_DEFAULT);
	int link, error;
	json_t *answer = vm_agent_ask(rig, &node->machine, job, timeout_ms, &link);

	if (!answer)
		return -EIO;
	json_decref(answer);
	error = control_client_adopt(client, link, node->machine.name);
	return error ? rig_fail(rig, -error, "out of memory") : 0;
}

/* How far a machine's boot is, as its init writes it down in the rig's folder: to look there costs
 * the machine nothing. */
static void await_look(const struct rig *rig, const struct rig_machine *machine,
		       char said[SAID_MAX])
{
	char path[RIG_PATH_MAX],
		*text = rig_read_file(rig_path(rig, path, "%s/boot", machine->name), NULL);

	if (text && *text) {
		text[strcspn(text, "\n")] = 0;
		if (strcmp(said, text))
			rig_say(rig, "%s: %s", machine->name, text);
		snprintf(said, SAID_MAX, "%s", text);
	}
	free(text);
}

int vm_await(struct rig *rig, struct rig_machine *const machines[], size_t count)
{
	char said[RIG_NODES_MAX + 1][SAID_MAX] = {""};
	uint64_t end = rig_now_ms() + VM_BOOT_MS;
	size_t ready = 0;

	while (ready < count) {
		ready = 0;
		for (size_t i = 0; i < count; i++) {
			const char *name = machines[i]->name;

			if (!rig_machine_runs(machines[i]))
				return rig_fail(
					rig, EIO,
					"%s does not boot: QEMU has ended; see qemu.log and "
					"console in %s/%s",
					name, rig->folder, name);
			if (strcmp(said[i], "ready"))
				await_look(rig, machines[i], said[i]);
			if (!strncmp(said[i], "failed", 6))
				return rig_fail(rig, EIO, "%s: %s; see %s/%s/boot.log", name,
						said[i], rig->folder, name);
			ready += !strcmp(said[i], "ready");
		}
		if (ready < count && rig_now_ms() > end)
			return rig_fail(rig, ETIMEDOUT,
					"machines are not ready after %d s; see boot.log and "
					"console in the folders below %s",
					VM_BOOT_MS / 1000, rig->folder);
		if (ready < count)
			rig_sleep_ms(AWAIT_PAUSE_MS);
	}
	rig->message[0] = 0;
	return 0;
}
