/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper-rig agent ADDRESS`: does in a virtual machine what the rig outside asks for, see
 * tools/rig/vm/agent.h. A process for each job, so that one that hangs keeps nobody else waiting.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/vm/agent.h"
#include "tools/rig/commands.h"

#define JOB_MS 10000 /* for the line that says what to do */
#define ARGUMENTS_MAX 1024
#define RELAY_MAX 65536

static void agent_answer(int link, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	if (text && agent_write_all(link, text, strlen(text)) == 0)
		agent_write_all(link, "\n", 1);
	free(text);
	json_decref(answer);
}

static void agent_refuse(int link, const char *what, int error)
{
	char text[300];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	agent_answer(link, json_pack("{ss}", "error", text));
}

/* The state of the first process of this name; pid 0: none. */
static json_t *agent_process(const char *name)
{
	struct dirent *entry;
	DIR *folder = opendir("/proc");
	json_t *found = NULL;

	while (folder && !found && (entry = readdir(folder))) {
		char path[300], text[256] = "", comm[64] = "", state = 0;
		int pid = atoi(entry->d_name), fd;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text) - 1) > 0 &&
		    sscanf(text, "%*d (%63[^)]) %c", comm, &state) == 2 && !strcmp(comm, name) &&
		    state != 'Z')
			found = json_pack("{siss#}", "pid", pid, "state", &state, 1);
		close(fd);
	}
	if (folder)
		closedir(folder);
	return found ? found : json_pack("{siss}", "pid", 0, "state", "");
}

static void agent_state(int link)
{
	agent_answer(link, json_pack("{sosI}", "daemon", agent_process("lunkeeperd"), "boottime_ms",
				     (json_int_t)rig_now_ms()));
}

/* Both ways, until both have ended. */
static void agent_relay(int a, int b)
{
	struct pollfd sides[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
	static char data[RELAY_MAX];
	int open_sides = 2;

	while (open_sides) {
		if (poll(sides, 2, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++) {
			ssize_t got;

			if (sides[i].fd < 0 || !sides[i].revents)
				continue;
			got = read(sides[i].fd, data, sizeof(data));
			if (got > 0 && agent_write_all(i ? a : b, data, (size_t)got) == 0)
				continue;
			shutdown(i ? a : b, SHUT_WR);
			sides[i].fd = -1;
			open_sides--;
		}
	}
}

static void agent_connect(int link, const json_t *job)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = json_string_value(json_object_get(job, "path"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!path || strlen(path) >= sizeof(address.sun_path)) {
		agent_refuse(link, "path", EINVAL);
		return;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		agent_refuse(link, path, errno);
		return;
	}
	agent_answer(link, json_object());
	agent_relay(link, fd);
	close(fd);
}

struct agent_run {
	char *argv[ARGUMENTS_MAX + 1];
	struct winsize size;
	bool terminal;
	pid_t pid;
	int in, out, errors;        /* a terminal is the first two */
	char data[AGENT_FRAME_MAX]; /* input that it has not taken yet */
	size_t length, taken;
};

static void __attribute__((noreturn)) run_program(struct agent_run *run)
{
	for (int number = 1; number < 32; number++)
		if (number != SIGKILL && number != SIGSTOP)
			signal(number, SIG_DFL);
	close_range(3, ~0u, 0);
	if (chdir("/root") < 0 && chdir("/") < 0)
		_exit(126);
	if (run->terminal)
		setenv("TERM", "xterm-256color", 1);
	execvp(run->argv[0], run->argv);
	dprintf(STDERR_FILENO, "%s: %s\n", run->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int run_start_terminal(struct agent_run *run)
{
	run->pid = forkpty(&run->in, NULL, NULL, &run->size);
	if (run->pid == 0)
		run_program(run);
	run->out = run->in;
	run->errors = -1;
	return run->pid < 0 ? -errno : 0;
}

static int run_start_pipes(struct agent_run *run)
{
	int in[2], out[2], errors[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
		return -errno;
	run->pid = fork();
	if (run->pid == 0) {
		setsid();
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(errors[1], STDERR_FILENO);
		run_program(run);
	}
	close(in[0]);
	close(out[1]);
	close(errors[1]);
	run->in = in[1];
	run->out = out[0];
	run->errors = errors[0];
	fcntl(run->in, F_SETFL, O_NONBLOCK);
	fcntl(run->out, F_SETFL, O_NONBLOCK);
	fcntl(run->errors, F_SETFL, O_NONBLOCK);
	return run->pid < 0 ? -errno : 0;
}

/* What the program has said by now. False: it says no more. */
static bool run_pass(int link, int fd, char letter)
{
	static char data[AGENT_FRAME_MAX];
	ssize_t got = read(fd, data, sizeof(data));

	if (got > 0)
		return agent_write_frame(link, letter, data, (size_t)got) == 0;
	return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Input for the program. False: whoever asked has gone. */
static bool run_feed(int link, struct agent_run *run)
{
	char letter;
	ssize_t got = agent_read_frame(link, &letter, run->data);

	if (got < 0)
		return false;
	if (letter != AGENT_INPUT || run->in < 0)
		return true;
	run->length = (size_t)got;
	run->taken = 0;
	if (got == 0 && run->terminal)
		return write(run->in, "\x04", 1) == 1;
	if (got == 0) {
		close(run->in);
		run->in = -1;
	}
	return true;
}

/* As much of it as the program takes now. */
static void run_push(struct agent_run *run)
{
	ssize_t done = write(run->in, run->data + run->taken, run->length - run->taken);

	if (done > 0)
		run->taken += (size_t)done;
	else if (done < 0 && errno != EAGAIN && errno != EINTR)
		run->length = run->taken = 0; /* it has closed its input */
}

/* What has come since; the program itself has ended. */
static void run_drain(int link, int fd, char letter)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};

	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (poll(&one, 1, 0) > 0 && one.revents & POLLIN && run_pass(link, fd, letter))
		;
}

/* Until the program has ended; what it left in the background may keep its streams. */
static void run_serve(int link, struct agent_run *run)
{
	enum { LINK, OUT, ERRORS, PROCESS, IN };
	struct pollfd list[] = {
		[LINK] = {.fd = link},
		[OUT] = {.fd = run->out, .events = POLLIN},
		[ERRORS] = {.fd = run->errors, .events = POLLIN},
		[PROCESS] = {.fd = (int)syscall(SYS_pidfd_open, run->pid, 0), .events = POLLIN},
		[IN] = {.events = POLLOUT},
	};
	int status;
	char code;

	do {
		bool more = run->in >= 0 && run->taken < run->length;

		list[LINK].events = more ? 0 : POLLIN;
		list[IN].fd = more ? run->in : -1;
		if (poll(list, sizeof(list) / sizeof(list[0]), -1) < 0)
			continue;
		if (list[OUT].revents && !run_pass(link, run->out, AGENT_OUTPUT))
			list[OUT].fd = -1;
		if (list[ERRORS].revents && !run_pass(link, run->errors, AGENT_ERRORS))
			list[ERRORS].fd = -1;
		if (more && list[IN].revents)
			run_push(run);
		if (list[LINK].revents && (more || !run_feed(link, run))) {
			kill(-run->pid, SIGHUP);
			kill(-run->pid, SIGTERM);
			return;
		}
	} while (!list[PROCESS].revents);
	while (waitpid(run->pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	run_drain(link, list[OUT].fd, AGENT_OUTPUT);
	run_drain(link, list[ERRORS].fd, AGENT_ERRORS);
	code = (char)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	agent_write_frame(link, AGENT_EXIT, &code, 1);
}

static void agent_run(int link, const json_t *job)
{
	const json_t *list = json_object_get(job, "argv"), *item;
	const json_t *terminal = json_object_get(job, "terminal");
	static struct agent_run run;
	size_t i;
	int error;

	if (!json_array_size(list) || json_array_size(list) > ARGUMENTS_MAX) {
		agent_refuse(link, "argv", EINVAL);
		return;
	}
	json_array_foreach(list, i, item)
	{
		run.argv[i] = (char *)json_string_value(item);
		if (!run.argv[i]) {
			agent_refuse(link, "argv", EINVAL);
			return;
		}
	}
	run.terminal = json_array_size(terminal) == 2;
	run.size.ws_row = (unsigned short)json_integer_value(json_array_get(terminal, 0));
	run.size.ws_col = (unsigned short)json_integer_value(json_array_get(terminal, 1));
	error = run.terminal ? run_start_terminal(&run) : run_start_pipes(&run);
	if (error) {
		agent_refuse(link, run.argv[0], -error);
		return;
	}
	agent_answer(link, json_object());
	run_serve(link, &run);
}

void agent_serve(int link)
{
	static char line[AGENT_LINE_MAX];
	const char *what;
	json_t *job;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	if (agent_read_line(link, line, sizeof(line), JOB_MS) <= 0)
		return;
	job = json_loads(line, 0, NULL);
	what = json_string_value(json_object_get(job, "do"));
	if (what && !strcmp(what, "state"))
		agent_state(link);
	else if (what && !strcmp(what, "connect"))
		agent_connect(link, job);
	else if (what && !strcmp(what, "run"))
		agent_run(link, job);
	else
		agent_refuse(link, what ? what : "do", EINVAL);
	json_decref(job);
}

/* Whoever reaches the port commands this machine as root: it is open in the agents' network alone,
 * never on every address. */
static int agent_listen(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(AGENT_PORT)};
	int yes = 1, port;

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1 ||
	    address.sin_addr.s_addr == htonl(INADDR_ANY))
		return -EADDRNOTAVAIL;
	port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (port < 0)
		return -errno;
	setsockopt(port, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(port, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(port, 64) < 0) {
		int error = -errno;

		close(port);
		return error;
	}
	return port;
}

int cmd_rig_agent(int argc, char **argv)
{
	int yes = 1, port;

	if (argc != 2) {
		cli_error("usage: lunkeeper-rig agent ADDRESS");
		return CLI_EXIT_USAGE;
	}
	port = agent_listen(argv[1]);
	if (port < 0) {
		cli_error("rig agent: %s, port %d: %s", argv[1], AGENT_PORT, strerror(-port));
		return CLI_EXIT_FAILED;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int link = accept4(port, NULL, NULL, SOCK_CLOEXEC);

		if (link < 0) {
			/* No memory, no descriptor: both pass. */
			rig_sleep_ms(errno == EINTR ? 0 : 20);
			continue;
		}
		setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		if (fork() == 0) {
			close(port);
			agent_serve(link);
			_exit(0);
		}
		close(link);
	}
}
