/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket: a server on a loop in a thread of its own, asked by the blocking client and
 * by rude ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster/base/clock.h"
#include "cluster/control/control.h"
#include "cluster/control/client.h"
#include "tests/unit/unit.h"

#define STALL_MS 1500

static char folder[64], path[96];
static char message[400];

/* ---- the server ---- */

static struct {
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t quit;
	uv_timer_t pump;
	uv_sem_t ready;
	struct control *control;
	struct control_request *following;
	int gone; /* read after the thread has ended, or while nothing changes it */
	int error;
} server;

static void on_ping(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	(void)user;
	control_reply(request, NULL);
}

static void on_echo(struct control_request *request, const json_t *arguments, void *user)
{
	const char *text;
	int64_t number;
	bool flag;

	(void)arguments;
	(void)user;
	if (!control_take_text(request, "text", false, &text) ||
	    !control_take_number(request, "number", 1, 10, 5, &number) ||
	    !control_take_flag(request, "flag", true, &flag))
		return;
	control_reply(request, json_pack("{s:s, s:I, s:b, s:i, s:b}", "text", text, "number",
					 (json_int_t)number, "flag", flag, "uid",
					 (int)control_peer_uid(request), "ok", 0));
}

static void on_fail(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	(void)user;
	control_fail(request, "not-owner", "node %s does not own %s", "jerry", "mail");
}

static void later_closed(uv_handle_t *handle)
{
	free(handle);
}

static void later_reply(uv_timer_t *timer)
{
	control_reply(timer->data, json_pack("{s:s}", "when", "later"));
	uv_close((uv_handle_t *)timer, later_closed);
}

static void on_later(struct control_request *request, const json_t *arguments, void *user)
{
	uv_timer_t *timer = malloc(sizeof(*timer));

	(void)arguments;
	(void)user;
	timer->data = request;
	uv_timer_init(&server.loop, timer);
	uv_timer_start(timer, later_reply, 50, 0);
}

static void on_count(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	(void)user;
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(control_stream(request, json_pack("{s:i}", "number", i)), 0);
	control_reply(request, json_pack("{s:b}", "end", 1));
}

static void follow_gone(struct control_request *request, void *user)
{
	(void)user;
	server.gone++;
	server.following = NULL;
	uv_timer_stop(&server.pump);
	control_reply(request, NULL);
}

/* As fast as it can be made, a stream that ends only with its reader. */
static void follow_pump(uv_timer_t *timer)
{
	(void)timer;
	for (int i = 0; i < 50 && server.following; i++)
		control_stream(
			server.following,
			json_pack("{s:s}", "text",
				  "0123456789012345678901234567890123456789012345678901234"));
}

static void on_follow(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	(void)user;
	server.following = request;
	control_on_gone(request, follow_gone, NULL);
	uv_timer_start(&server.pump, follow_pump, 0, 1);
}

static void on_gone_count(struct control_request *request, const json_t *arguments, void *user)
{
	(void)arguments;
	(void)user;
	control_reply(request, json_pack("{s:i, s:I}", "gone", server.gone, "clients",
					 (json_int_t)control_clients(server.control)));
}

static void server_quit(uv_async_t *async)
{
	control_close(server.control);
	uv_close((uv_handle_t *)async, NULL);
	uv_close((uv_handle_t *)&server.pump, NULL);
}

static const char *server_group; /* NULL: none */

static void server_run(void *user)
{
	static const struct control_command commands[] = {
		{"ping", on_ping},       {"echo", on_echo},   {"fail", on_fail},
		{"later", on_later},     {"count", on_count}, {"follow", on_follow},
		{"gone", on_gone_count}, {NULL, NULL},
	};
	struct control_options options = {path, server_group, commands, NULL, STALL_MS};

	(void)user;
	uv_loop_init(&server.loop);
	uv_async_init(&server.loop, &server.quit, server_quit);
	uv_timer_init(&server.loop, &server.pump);
	server.error =
		control_open(&server.control, &server.loop, &options, message, sizeof(message));
	uv_sem_post(&server.ready);
	uv_run(&server.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&server.loop), 0);
}

static void begin(void)
{
	memset(&server, 0, sizeof(server));
	snprintf(folder, sizeof(folder), "/tmp/test_control.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/control", folder);
	uv_sem_init(&server.ready, 0);
	uv_thread_create(&server.thread, server_run, NULL);
	uv_sem_wait(&server.ready);
	CU_ASSERT_EQUAL_FATAL(server.error, 0);
}

static void end(void)
{
	uv_async_send(&server.quit);
	uv_thread_join(&server.thread);
	uv_sem_destroy(&server.ready);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0); /* removed */
	rmdir(folder);
}

/* ---- clients ---- */

/* Sends the text of a request and returns the text of the answer, in static memory. */
static const char *ask(const char *request)
{
	static char text[2000];
	json_t *object = json_loads(request, 0, NULL), *answer = NULL;
	char *line;

	if (control_client_ask(path, object, 5000, &answer, message, sizeof(message)) != 0) {
		snprintf(text, sizeof(text), "FAILED %s", message);
	} else {
		line = json_dumps(answer, JSON_COMPACT);
		snprintf(text, sizeof(text), "%s", line);
		free(line);
	}
	json_decref(object);
	json_decref(answer);
	return text;
}

static int raw_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One line, in static memory; "" at the end, "TIMEOUT" after 5 s. */
static const char *raw_line(int fd)
{
	static char text[4000];
	struct pollfd ready = {fd, POLLIN, 0};
	size_t used = 0;

	while (used < sizeof(text) - 1) {
		if (poll(&ready, 1, 5000) != 1)
			return "TIMEOUT";
		if (recv(fd, text + used, 1, 0) != 1 || text[used] == '\n')
			break;
		used++;
	}
	text[used] = '\0';
	return text;
}

static void raw_send(int fd, const char *text)
{
	CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* ---- tests ---- */

static void commands_are_answered(void)
{
	char expected[200];

	begin();
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"ping\"}"), "{\"ok\":true}");
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"ping\",\"id\":[7]}"),
			       "{\"ok\":true,\"id\":[7]}");
	snprintf(expected, sizeof(expected),
		 "{\"ok\":true,\"text\":\"x\",\"number\":5,\"flag\":true,\"uid\":%d}",
		 (int)getuid());
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"echo\",\"text\":\"x\"}"), expected);
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"later\"}"), "{\"ok\":true,\"when\":\"later\"}");
	CU_ASSERT_STRING_EQUAL(
		ask("{\"command\":\"fail\"}"),
		"{\"ok\":false,\"error\":\"node jerry does not own mail\",\"code\":\"not-owner\"}");
	end();
}

static void wrong_members_are_refused_in_words(void)
{
	begin();
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("{\"command\":\"echo\"}"),
				      "\\\"text\\\" is missing\",\"code\":\"usage\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(ask("{\"command\":\"echo\",\"text\":3}"), "must be a text"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(ask("{\"command\":\"echo\",\"text\":\"\",\"number\":11}"), "from 1 to 10"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(ask("{\"command\":\"echo\",\"text\":\"\",\"flag\":1}"), "true or false"));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(ask("{\"command\":\"dance\"}"), "unknown command \\\"dance\\\""));
	end();
}

static void garbage_is_refused_and_the_connection_lives_on(void)
{
	static const char *const garbage[] = {
		"hello\n",
		"{\"command\":\n",
		"[]\n",
		"{}\n",
		"{\"command\":7}\n",
		"\xff\xfe\x01\n",
		"{\"command\":\"ping\"}x\n",
		"{\"command\":\"\"}\n",
		"{\"command\":\"ping\",\"x\":[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]}\n",
	};
	int fd;

	begin();
	fd = raw_connect();
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		raw_send(fd, garbage[i]);
		CU_ASSERT_PTR_NOT_NULL(strstr(raw_line(fd), "\"ok\":false"));
	}
	raw_send(fd, "\n\r\n{\"command\":\"ping\"}\r\n");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"ok\":true}");
	close(fd);
	end();
}

static void requests_of_one_client_are_answered_in_order(void)
{
	int fd;

	begin();
	fd = raw_connect();
	raw_send(fd, "{\"command\":\"later\",\"id\":1}\n{\"command\":\"ping\",\"id\":2}\n{"
		     "\"command\":\"count\"}\n"
		     "{\"command\":\"pi");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"ok\":true,\"when\":\"later\",\"id\":1}");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"ok\":true,\"id\":2}");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"number\":0}");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"number\":1}");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"number\":2}");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"ok\":true,\"end\":true}");
	raw_send(fd, "ng\"}\n");
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"ok\":true}");
	close(fd);
	end();
}

static void a_line_without_end_is_refused_and_closed(void)
{
	static char long_line[CONTROL_LINE_MAX + 100];
	int fd;

	begin();
	fd = raw_connect();
	memset(long_line, 'x', sizeof(long_line) - 1);
	raw_send(fd, long_line);
	CU_ASSERT_PTR_NOT_NULL(strstr(raw_line(fd), "longer than 65536"));
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "");
	close(fd);
	/* the longest that is allowed */
	fd = raw_connect();
	memset(long_line, ' ', CONTROL_LINE_MAX);
	memcpy(long_line, "{\"command\":\"ping\"}", 18);
	long_line[CONTROL_LINE_MAX] = '\n';
	long_line[CONTROL_LINE_MAX + 1] = '\0';
	raw_send(fd, long_line);
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "{\"ok\":true}");
	close(fd);
	end();
}

static void a_flood_is_answered_as_it_is_read(void)
{
	static const char ping[] = "{\"command\":\"ping\"}\n";
	const int count = 60000; /* answers fill every buffer before the first is read */
	int fd, got = 0;
	pid_t child;

	begin();
	fd = raw_connect();
	child = fork();
	if (child == 0) {
		for (int i = 0; i < count; i++)
			if (send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) !=
			    (ssize_t)sizeof(ping) - 1)
				_exit(1);
		_exit(0);
	}
	usleep(300000);
	while (got < count && strcmp(raw_line(fd), "{\"ok\":true}") == 0)
		got++;
	CU_ASSERT_EQUAL(got, count);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	close(fd);
	end();
}

/* Slow, but never at rest: longer than STALL_MS with answers waiting all the time. */
static void a_slow_reader_is_not_dropped(void)
{
	static char flood[64 * 1024];
	char piece[512];
	uint64_t until_ms;
	size_t used = 0, taken = 0;
	int fd;
	pid_t child;

	begin();
	while (used + 64 < sizeof(flood))
		used += (size_t)sprintf(flood + used,
					"{\"command\":\"ping\",\"id\":\"0123456789012345\"}\n");
	fd = raw_connect();
	child = fork();
	if (child == 0) {
		while (send(fd, flood, used, MSG_NOSIGNAL) > 0)
			continue;
		_exit(0);
	}
	until_ms = clock_now_ms() + STALL_MS + 1000;
	while (clock_now_ms() < until_ms && recv(fd, piece, sizeof(piece), 0) > 0) {
		taken += sizeof(piece);
		usleep(10000);
	}
	CU_ASSERT_TRUE(clock_now_ms() >= until_ms);
	CU_ASSERT_TRUE(taken > 20000);
	kill(child, SIGKILL);
	CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
	close(fd);
	end();
}

/* One that takes nothing at all is dropped after STALL_MS, whatever the answer's length. */
static void one_at_rest_is_dropped(void)
{
	static const char ping[] = "{\"command\":\"ping\"}\n";
	uint64_t begun_ms = clock_now_ms();
	int fd, flags;

	begin();
	fd = raw_connect();
	flags = fcntl(fd, F_GETFL);
	CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (clock_now_ms() - begun_ms < 10 * STALL_MS) {
		if (send(fd, ping, sizeof(ping) - 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		if (errno == EAGAIN)
			usleep(20000);
	}
	CU_ASSERT_TRUE(clock_now_ms() - begun_ms >= STALL_MS);
	CU_ASSERT_TRUE(clock_now_ms() - begun_ms < 3 * STALL_MS);
	close(fd);
	end();
}

static void a_stream_ends_with_its_reader(void)
{
	struct control_client *client;
	json_t *request = json_pack("{s:s}", "command", "follow"), *answer;

	begin();
	CU_ASSERT_EQUAL_FATAL(control_client_open(&client, path, 1000, message, sizeof(message)),
			      0);
	CU_ASSERT_EQUAL(control_client_send(client, request, 1000, message, sizeof(message)), 0);
	for (int i = 0; i < 200; i++) {
		CU_ASSERT_EQUAL(
			control_client_receive(client, &answer, 1000, message, sizeof(message)), 0);
		json_decref(answer);
	}
	control_client_close(client);
	for (int i = 0; i < 100 && strcmp(ask("{\"command\":\"gone\"}"),
					  "{\"ok\":true,\"gone\":1,\"clients\":1}") != 0;
	     i++)
		usleep(10000);
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"gone\"}"),
			       "{\"ok\":true,\"gone\":1,\"clients\":1}");
	json_decref(request);
	end();
}

static void a_reader_that_does_not_read_is_dropped(void)
{
	int fd;

	begin();
	fd = raw_connect();
	raw_send(fd, "{\"command\":\"follow\"}\n");
	for (int i = 0; i < 300 && strcmp(ask("{\"command\":\"gone\"}"),
					  "{\"ok\":true,\"gone\":1,\"clients\":1}") != 0;
	     i++)
		usleep(10000);
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"gone\"}"),
			       "{\"ok\":true,\"gone\":1,\"clients\":1}");
	close(fd);
	end();
}

static void clients_are_counted(void)
{
	int fds[CONTROL_CLIENTS_MAX], more;

	begin();
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fds[i] = raw_connect();
	raw_send(fds[0], "{\"command\":\"ping\"}\n");
	CU_ASSERT_STRING_EQUAL(raw_line(fds[0]), "{\"ok\":true}");
	raw_send(fds[CONTROL_CLIENTS_MAX - 1], "{\"command\":\"ping\"}\n");
	CU_ASSERT_STRING_EQUAL(raw_line(fds[CONTROL_CLIENTS_MAX - 1]), "{\"ok\":true}");
	more = raw_connect();
	CU_ASSERT_PTR_NOT_NULL(strstr(raw_line(more), "too many clients"));
	CU_ASSERT_STRING_EQUAL(raw_line(more), "");
	close(more);
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	for (int i = 0; i < 100 && strncmp(ask("{\"command\":\"ping\"}"), "{\"ok\":true", 10) != 0;
	     i++)
		usleep(10000);
	CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"ping\"}"), "{\"ok\":true}");
	end();
}

/* As one who is not root: a child that holds connections until it is told to end. */
static pid_t fill_as_another(int *until)
{
	int ends[2], ready[2];
	char byte;
	pid_t child;

	CU_ASSERT_EQUAL_FATAL(pipe(ends) | pipe(ready), 0);
	child = fork();
	if (child == 0) {
		close(ends[1]);
		if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
			_exit(2);
		for (int i = 0; i < CONTROL_CLIENTS_MAX + 2; i++)
			raw_connect();
		if (write(ready[1], "", 1) != 1)
			_exit(3);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(ends[0]);
	close(ready[1]);
	CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*until = ends[1];
	return child;
}

static void the_group_does_not_keep_root_out(void)
{
	int until, status = 0;
	pid_t child;

	if (getuid() != 0) {
		fprintf(stderr, "\nnot root: another user was not tried\n");
		return;
	}
	server_group = "nogroup";
	begin();
	CU_ASSERT_EQUAL(chmod(folder, 0755), 0);
	child = fill_as_another(&until);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_STRING_EQUAL(ask("{\"command\":\"ping\"}"), "{\"ok\":true}");
	close(until);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	server_group = NULL;
	end();
}

static void others_are_refused_before_they_are_read(void)
{
	struct stat status;
	int exit_status = 0;
	pid_t child;

	begin();
	CU_ASSERT_EQUAL(stat(path, &status), 0);
	CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
	if (getuid() != 0) {
		fprintf(stderr, "\nnot root: another user was not tried\n");
		end();
		return;
	}
	/* even where the file's mode would let them */
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	CU_ASSERT_EQUAL(chmod(folder, 0755), 0);
	child = fork();
	if (child == 0) {
		const char *answer;

		if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
			_exit(2);
		answer = ask("{\"command\":\"ping\"}");
		_exit(strstr(answer, "permission denied") && strstr(answer, "\"denied\"") ? 0 : 1);
	}
	CU_ASSERT_EQUAL(waitpid(child, &exit_status, 0), child);
	CU_ASSERT_EQUAL(exit_status, 0);
	end();
}

static void open_error(const char *where, const char *group, int error, const char *says)
{
	static const struct control_command none = {NULL, NULL};
	struct control_options options = {where, group, &none, NULL, 0};
	struct control *control;
	uv_loop_t loop;

	uv_loop_init(&loop);
	CU_ASSERT_EQUAL(control_open(&control, &loop, &options, message, sizeof(message)), error);
	CU_ASSERT_PTR_NULL(control);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, says));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, where));
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static void a_socket_in_use_is_not_taken_a_stale_one_is(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char long_name[200];
	int fd;
	FILE *file;

	begin();
	open_error(path, NULL, -EADDRINUSE, "another lunkeeperd");
	end();
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	open_error(long_name, NULL, -ENAMETOOLONG, "at most 107");
	open_error("/nowhere/control", NULL, -ENOENT, "--run");
	open_error("/tmp/test_control.group", "no-such-group", -EINVAL, "no group 'no-such-group'");
	snprintf(path, sizeof(path), "/tmp/test_control.%d", (int)getpid());
	file = fopen(path, "w");
	fclose(file);
	open_error(path, NULL, -EEXIST, "move it away");
	unlink(path);
	/* stale: bound once, nobody listens; begin() has its own folder, so made here by hand */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	{
		static const struct control_command none = {NULL, NULL};
		struct control_options options = {path, NULL, &none, NULL, 0};
		struct control *control = NULL;
		uv_loop_t loop;

		uv_loop_init(&loop);
		CU_ASSERT_EQUAL(control_open(&control, &loop, &options, message, sizeof(message)),
				0);
		control_close(control);
		uv_run(&loop, UV_RUN_DEFAULT);
		uv_loop_close(&loop);
	}
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

static void the_client_says_what_to_do(void)
{
	json_t *request = json_pack("{s:s}", "command", "ping"), *answer;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint64_t before_ms;
	int fd;

	CU_ASSERT_EQUAL(control_client_ask("/nowhere/control", request, 500, &answer, message,
					   sizeof(message)),
			-ENOENT);
	CU_ASSERT_STRING_EQUAL(
		message,
		"cannot reach lunkeeperd at /nowhere/control: No such file or directory: is "
		"lunkeeperd running?");
	/* one who listens and never answers */
	snprintf(path, sizeof(path), "/tmp/test_control.%d", (int)getpid());
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL(listen(fd, 0), 0);
	before_ms = clock_now_ms();
	CU_ASSERT_EQUAL(control_client_ask(path, request, 200, &answer, message, sizeof(message)),
			-ETIMEDOUT);
	CU_ASSERT_TRUE(clock_now_ms() - before_ms < 1500);
	CU_ASSERT_PTR_NOT_NULL(strstr(message, "hung"));
	CU_ASSERT_PTR_NOT_NULL(strstr(message, path));
	close(fd);
	CU_ASSERT_EQUAL(control_client_ask(path, request, 200, &answer, message, sizeof(message)),
			-ECONNREFUSED);
	unlink(path);
	json_decref(request);
}

static void open_requests_survive_the_close(void)
{
	int fd;

	begin();
	fd = raw_connect();
	raw_send(fd, "{\"command\":\"later\"}\n"); /* its answer comes when the server has gone */
	usleep(20000);
	end();
	CU_ASSERT_STRING_EQUAL(raw_line(fd), "");
	close(fd);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{"commands are answered", commands_are_answered},
		{"wrong members are refused in words", wrong_members_are_refused_in_words},
		{"garbage is refused and the connection lives on",
		 garbage_is_refused_and_the_connection_lives_on},
		{"requests of one client are answered in order",
		 requests_of_one_client_are_answered_in_order},
		{"a line without end is refused and closed",
		 a_line_without_end_is_refused_and_closed},
		{"a flood is answered as it is read", a_flood_is_answered_as_it_is_read},
		{"a slow reader is not dropped", a_slow_reader_is_not_dropped},
		{"one at rest is dropped", one_at_rest_is_dropped},
		{"a stream ends with its reader", a_stream_ends_with_its_reader},
		{"a reader that does not read is dropped", a_reader_that_does_not_read_is_dropped},
		{"clients are counted", clients_are_counted},
		{"the group does not keep root out", the_group_does_not_keep_root_out},
		{"others are refused before they are read",
		 others_are_refused_before_they_are_read},
		{"a socket in use is not taken, a stale one is",
		 a_socket_in_use_is_not_taken_a_stale_one_is},
		{"the client says what to do", the_client_says_what_to_do},
		{"open requests survive the close", open_requests_survive_the_close},
		CU_TEST_INFO_NULL,
	};

	return unit_run("control socket", tests);
}
