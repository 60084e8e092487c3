/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's end of the starter's socket, and the programs that it watches.
 *
 *    run_start()    sent      FORKED      BEGUN                  ENDED
 *       QUEUED ------> SENT ------> FORKED ------> RUNNING -----------------> reported, RELEASE
 *          \            |              \              | time is over, run_kill()
 *           \           | FAILED, or    \ too late    v
 *            \          v the starter     \        TERMINATED --> KILLED --> reported: cannot be
 *             +----> reported is lost <----+                                 killed
 */
#include "cluster/base/run_private.h"

#include "cluster/base/clock.h"
#include "cluster/base/starter.h"
#include "cluster/base/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNKILLABLE_MS 2000 /* after SIGKILL */
#define WATCH_MS 20        /* between looks where there is no pidfd */

enum run_phase {
	RUN_QUEUED,
	RUN_SENT,
	RUN_FORKED,
	RUN_RUNNING,
	RUN_TERMINATED,
	RUN_KILLED,
	RUN_REPORTED
};

struct run {
	struct run *next;
	uv_loop_t *loop;
	uint64_t id;
	enum run_phase phase;
	pid_t pid;
	int pid_fd, output_fd; /* output_fd: what goes with the request */
	char *request;
	size_t request_length;
	uv_timer_t timer;
	uv_pipe_t output;
	uv_poll_t orphan; /* without its starter: on the pidfd */
	uv_timer_t orphan_timer;
	unsigned handles;
	bool has_output, has_orphan, has_orphan_timer, closing, left;
	struct run_result result;
	uint64_t begun_ms;
	uint32_t timeout_ms;
	void (*begun)(struct run *run, void *user);
	void (*done)(const struct run_result *result, void *user);
	void *user;
	struct tail tail;
	char chunk[1024];
};

/* What is watched. */
static struct {
	uv_poll_t *poll;  /* of the link, while there are runs */
	struct run *runs; /* the oldest first */
	uint64_t last_id;
} starter;

static void link_lost(const char *why);
static void link_watch(void);
static void run_report(struct run *run);

/* --- the end of a run --- */

static void unlink_run(struct run *run)
{
	struct run **link = &starter.runs;

	while (*link && *link != run)
		link = &(*link)->next;
	if (*link)
		*link = run->next;
}

static void run_closed(uv_handle_t *handle)
{
	struct run *run = handle->data;

	if (--run->handles > 0)
		return;
	if (run->pid_fd >= 0)
		close(run->pid_fd);
	free(run);
}

static void drop_request(struct run *run)
{
	if (run->output_fd >= 0)
		close(run->output_fd);
	run->output_fd = -1;
	free(run->request);
	run->request = NULL;
}

/* It is over; the starter may reap it. */
static void run_close(struct run *run)
{
	struct starter_start release = {
		.magic = STARTER_MAGIC, .kind = STARTER_RELEASE, .id = run->id};

	if (run->closing)
		return;
	run->closing = true;
	unlink_run(run);
	if (!run->request && !run->has_orphan && !run->has_orphan_timer)
		link_send(&release, sizeof(release), -1);
	drop_request(run);
	uv_close((uv_handle_t *)&run->timer, run_closed);
	if (run->has_output)
		uv_close((uv_handle_t *)&run->output, run_closed);
	if (run->has_orphan)
		uv_close((uv_handle_t *)&run->orphan, run_closed);
	if (run->has_orphan_timer)
		uv_close((uv_handle_t *)&run->orphan_timer, run_closed);
	link_watch();
}

/* What is in the pipe; its other end may stay open in a daemon that was begun. */
static void drain(struct run *run)
{
	uv_os_fd_t fd;
	ssize_t got;

	if (!run->has_output || uv_fileno((uv_handle_t *)&run->output, &fd) != 0)
		return;
	for (size_t total = 0; total < (1u << 20); total += (size_t)got) {
		got = read(fd, run->chunk, sizeof(run->chunk));
		if (got <= 0)
			break;
		tail_keep(&run->tail, run->chunk, (size_t)got);
	}
}

static void run_report(struct run *run)
{
	char output[TAIL_MAX + 1];

	if (run->phase == RUN_REPORTED)
		return;
	drain(run);
	tail_text(&run->tail, output);
	run->result.output = output;
	run->result.duration_ms = clock_now_ms() - run->begun_ms;
	run->phase = RUN_REPORTED;
	uv_timer_stop(&run->timer);
	run->done(&run->result, run->user);
	run->result.output = "";
}

static void run_ended(struct run *run, int code, int value)
{
	run->result.ended = true;
	run->result.exited = code == CLD_EXITED;
	if (run->result.exited)
		run->result.status = value;
	else
		run->result.signal = value;
	run_report(run);
	run_close(run);
}

static void run_failed(struct run *run, int error)
{
	run->result.start_error = error;
	run->result.ended = true;
	run_report(run);
	run_close(run);
}

/* --- signals and time --- */

static void signal_group(struct run *run, int number)
{
	/* Its number is not reaped before RELEASE; without the starter the pidfd alone is sure. */
	if (run->has_orphan || run->has_orphan_timer) {
		if (run->pid_fd >= 0 &&
		    syscall(SYS_pidfd_send_signal, run->pid_fd, 0, NULL, 0) != 0)
			return;
	}
	if (run->pid > 1 && kill(-run->pid, number) != 0)
		kill(run->pid, number); /* it has no session yet */
}

static void unref_all(struct run *run)
{
	if (run->has_output)
		uv_unref((uv_handle_t *)&run->output);
	if (run->has_orphan)
		uv_unref((uv_handle_t *)&run->orphan);
	if (run->has_orphan_timer)
		uv_unref((uv_handle_t *)&run->orphan_timer);
	run->left = true;
	link_watch();
}

static void on_timer(uv_timer_t *timer);

static void end_it(struct run *run, bool at_once)
{
	signal_group(run, at_once ? SIGKILL : SIGTERM);
	run->phase = at_once ? RUN_KILLED : RUN_TERMINATED;
	uv_timer_start(&run->timer, on_timer, at_once ? UNKILLABLE_MS : RUN_KILL_GRACE_MS, 0);
}

/* Too late begun: by the program's own fault, or because the starter stands still. */
static void too_late(struct run *run)
{
	bool silent = run->phase == RUN_QUEUED || run->phase == RUN_SENT;

	run->result.starter_silent = silent;
	run->result.start_error = ETIMEDOUT;
	if (silent) { /* it must not be carried out later: with the starter's end it will not */
		link_lost("did not answer");
		return; /* which has ended this run, too */
	}
	signal_group(run, SIGKILL);
	run_report(run);
	unref_all(run); /* until it has ended; who knows when */
}

static void on_timer(uv_timer_t *timer)
{
	struct run *run = timer->data;

	switch (run->phase) {
	case RUN_QUEUED:
	case RUN_SENT:
	case RUN_FORKED:
		too_late(run);
		break;
	case RUN_RUNNING:
		run->result.timed_out = true;
		end_it(run, false);
		break;
	case RUN_TERMINATED:
		end_it(run, true);
		break;
	case RUN_KILLED:
		run_report(run);
		unref_all(run); /* it may hang for ever */
		break;
	case RUN_REPORTED:
		break;
	}
}

void run_kill(struct run *run, bool at_once)
{
	if (run->phase == RUN_REPORTED || run->phase == RUN_KILLED)
		return;
	run->result.killed = true;
	if (run->phase == RUN_QUEUED || run->phase == RUN_SENT)
		return; /* as soon as it is there */
	if (run->phase == RUN_FORKED)
		at_once = true; /* nothing of the program runs that could make use of SIGTERM */
	if (run->phase != RUN_TERMINATED || at_once)
		end_it(run, at_once);
}

void run_leave(struct run *run)
{
	uv_unref((uv_handle_t *)&run->timer);
	unref_all(run);
}

static void ignore(const struct run_result *result, void *user)
{
	(void)result;
	(void)user;
}

void run_forget(struct run *run)
{
	/* One that was killed before it was there is killed when it is. */
	if (run->result.killed && (run->phase == RUN_QUEUED || run->phase == RUN_SENT)) {
		run->begun = NULL;
		run->done = ignore;
		run_leave(run);
		return;
	}
	run->phase = RUN_REPORTED;
	run_close(run);
}

pid_t run_pid(const struct run *run)
{
	return run->pid;
}

/* --- a run without its starter --- */

static void orphan_ended(struct run *run)
{
	run->result.ended = run->result.status_unknown = true;
	run_report(run);
	run_close(run);
}

static void on_orphan(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	orphan_ended(poll->data);
}

static void on_orphan_timer(uv_timer_t *timer)
{
	struct run *run = timer->data;

	if (kill(run->pid, 0) != 0 && errno == ESRCH)
		orphan_ended(run);
}

static void watch_orphan(struct run *run)
{
	if (run->pid_fd >= 0 && uv_poll_init(run->loop, &run->orphan, run->pid_fd) == 0) {
		run->orphan.data = run;
		run->has_orphan = true;
		uv_poll_start(&run->orphan, UV_READABLE, on_orphan);
	} else {
		uv_timer_init(run->loop, &run->orphan_timer);
		run->orphan_timer.data = run;
		run->has_orphan_timer = true;
		uv_timer_start(&run->orphan_timer, on_orphan_timer, WATCH_MS, WATCH_MS);
	}
	run->handles++;
	if (run->left)
		unref_all(run);
}

/* --- the link --- */

static void poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void unwatch(void)
{
	if (!starter.poll)
		return;
	uv_poll_stop(starter.poll);
	uv_close((uv_handle_t *)starter.poll, poll_closed);
	starter.poll = NULL;
}

static struct run *find_run(uint64_t id)
{
	struct run *run = starter.runs;

	while (run && run->id != id)
		run = run->next;
	return run;
}

/* --- what the starter says --- */

static void run_is_there(struct run *run, pid_t pid, int pid_fd)
{
	run->pid = pid;
	run->pid_fd = pid_fd;
	run->phase = RUN_FORKED;
	if (run->result.killed)
		end_it(run, true);
}

static void run_is_begun(struct run *run)
{
	if (run->phase != RUN_FORKED)
		return;
	run->phase = RUN_RUNNING;
	run->begun_ms = clock_now_ms();
	uv_timer_stop(&run->timer);
	if (run->timeout_ms)
		uv_timer_start(&run->timer, on_timer, run->timeout_ms, 0);
	if (run->begun)
		run->begun(run, run->user);
}

static void take_message(const struct starter_message *message, int fd)
{
	struct run *run = find_run(message->id);

	if (run && message->kind == STARTER_FORKED) {
		run_is_there(run, message->pid, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (!run)
		return;
	switch (message->kind) {
	case STARTER_BEGUN:
		run_is_begun(run);
		break;
	case STARTER_FAILED:
		/* One that has been forked ends, too, and is to be reaped then. */
		if (run->phase == RUN_SENT)
			run_failed(run, message->value);
		else if (run->phase == RUN_FORKED && !run->result.start_error)
			run->result.start_error = message->value;
		break;
	case STARTER_ENDED:
		if (run->result.start_error)
			run_failed(run, run->result.start_error);
		else
			run_ended(run, message->code, message->value);
		break;
	default:
		break;
	}
}

/* 0; -EAGAIN: later; else the link is broken. */
static int send_request(struct run *run)
{
	int error = link_send(run->request, run->request_length, run->output_fd);

	if (error)
		return error;
	run->phase = RUN_SENT;
	drop_request(run);
	return 0;
}

static bool flush(void)
{
	for (struct run *run = starter.runs; run; run = run->next)
		if (run->phase == RUN_QUEUED && run->request) {
			int error = send_request(run);

			if (error)
				return error == -EAGAIN;
		}
	return true;
}

static void on_link(uv_poll_t *poll, int status, int events)
{
	struct starter_message message;
	int got = 1, fd;

	(void)status;
	(void)events;
	while (starter.poll == poll && got > 0) {
		got = link_receive(&message, &fd);
		if (got > 0)
			take_message(&message, fd);
	}
	if (starter.poll != poll)
		return; /* the last run has ended, or the link was lost */
	if (got < 0 || !flush()) {
		link_lost("has ended");
		return;
	}
	link_watch();
}

/* The socket is watched while there are runs; the loop stays for those that were not left. */
static void link_watch(void)
{
	bool wanted = false, queued = false;

	for (const struct run *run = starter.runs; run; run = run->next) {
		wanted = wanted || !run->left;
		queued = queued || (run->phase == RUN_QUEUED && run->request);
	}
	if (!starter.runs || link_fd() <= 0) {
		unwatch();
		return;
	}
	if (!starter.poll) {
		starter.poll = calloc(1, sizeof(*starter.poll));
		if (!starter.poll ||
		    uv_poll_init(starter.runs->loop, starter.poll, link_fd()) != 0) {
			free(starter.poll);
			starter.poll = NULL;
			return; /* each run's time limit tells */
		}
	}
	uv_poll_start(starter.poll, UV_READABLE | (queued ? UV_WRITABLE : 0), on_link);
	if (wanted)
		uv_ref((uv_handle_t *)starter.poll);
	else
		uv_unref((uv_handle_t *)starter.poll);
}

/* What was asked of it and not answered is not known; what runs is watched from here; what was not
 * yet sent is asked of the next one. */
static void link_lost(const char *why)
{
	char message[200];
	struct run *run, *next;
	uint64_t last_id = starter.last_id; /* what is started below has the next starter */
	int error;

	snprintf(message, sizeof(message),
		 "the process that starts programs (%d) %s; it is made anew", (int)link_pid(), why);
	unwatch();
	link_close();
	link_say(message);
	for (run = starter.runs; run && run->id <= last_id; run = next) {
		next = run->next;
		if (run->phase == RUN_SENT || (run->phase == RUN_QUEUED && run->result.start_error))
			run_failed(run, run->result.start_error ? run->result.start_error : EPIPE);
		else if (run->phase != RUN_QUEUED && !run->has_orphan && !run->has_orphan_timer)
			watch_orphan(run);
	}
	error = run_prepare();
	if (error) {
		snprintf(message, sizeof(message),
			 "the process that starts programs cannot be made anew: %s",
			 strerror(-error));
		link_say(message);
		while ((run = starter.runs) && run->phase == RUN_QUEUED)
			run_failed(run, -error);
	}
	link_watch();
}

/* --- the beginning --- */

static bool put(char *message, size_t *used, const char *text)
{
	size_t length = strlen(text) + 1;

	if (length > STARTER_MESSAGE_MAX - *used)
		return false;
	memcpy(message + *used, text, length);
	*used += length;
	return true;
}

static bool put_list(char *message, size_t *used, const char *const *list, uint16_t *count)
{
	for (*count = 0; list && list[*count]; (*count)++)
		if (*count == STARTER_WORDS_MAX || !put(message, used, list[*count]))
			return false;
	return true;
}

/* 0 or errno. */
static int make_request(struct run *run, const struct run_options *options)
{
	static char message[STARTER_MESSAGE_MAX];
	struct starter_start head = {.magic = STARTER_MAGIC,
				     .kind = STARTER_START,
				     .id = run->id,
				     .flags = (options->io_flusher ? STARTER_FLAG_IO_FLUSHER : 0) |
					      (options->spare ? STARTER_FLAG_SPARE : 0)};
	size_t used = sizeof(head);

	if (!put(message, &used, options->path) ||
	    !put(message, &used, options->cgroup ? options->cgroup : "") ||
	    !put(message, &used, options->user ? options->user : "") ||
	    !put_list(message, &used, options->arguments, &head.argument_count) ||
	    !put_list(message, &used, options->environment, &head.variable_count))
		return E2BIG;
	memcpy(message, &head, sizeof(head));
	run->request = malloc(used);
	if (!run->request)
		return ENOMEM;
	memcpy(run->request, message, used);
	run->request_length = used;
	return 0;
}

static void allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	struct run *run = handle->data;

	(void)size;
	*buffer = uv_buf_init(run->chunk, sizeof(run->chunk));
}

static void on_output(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
	struct run *run = stream->data;

	if (got > 0)
		tail_keep(&run->tail, buffer->base, (size_t)got);
	else if (got < 0)
		uv_read_stop(stream);
}

/* 0 or errno. */
static int open_output(struct run *run, const struct run_options *options)
{
	int ends[2];

	if (options->output_kind == RUN_OUTPUT_FILE) {
		run->output_fd = fcntl(options->output, F_DUPFD_CLOEXEC, 3);
		return run->output_fd < 0 ? errno : 0;
	}
	if (pipe2(ends, O_CLOEXEC) != 0)
		return errno;
	run->output_fd = ends[1];
	uv_pipe_init(run->loop, &run->output, 0);
	run->output.data = run;
	run->has_output = true;
	run->handles++;
	if (uv_pipe_open(&run->output, ends[0]) != 0)
		close(ends[0]); /* then without its output */
	else
		uv_read_start((uv_stream_t *)&run->output, allocate, on_output);
	return 0;
}

static void on_refused(uv_timer_t *timer)
{
	struct run *run = timer->data;

	run_failed(run, run->result.start_error);
}

struct run *run_start(uv_loop_t *loop, const struct run_options *options)
{
	struct run *run = calloc(1, sizeof(*run)), **last = &starter.runs;
	uint32_t limit_ms = options->start_limit_ms ? options->start_limit_ms : RUN_START_LIMIT_MS;
	int error;

	if (!run)
		return NULL;
	run->id = ++starter.last_id;
	error = -make_request(run, options);
	if (error == -ENOMEM) {
		free(run);
		return NULL;
	}
	run->loop = loop;
	run->pid_fd = run->output_fd = -1;
	run->timeout_ms = options->timeout_ms;
	run->begun = options->begun;
	run->done = options->done;
	run->user = options->user_data;
	run->begun_ms = clock_now_ms();
	run->result.output = "";
	uv_timer_init(loop, &run->timer);
	run->timer.data = run;
	run->handles = 1;
	while (*last)
		last = &(*last)->next;
	*last = run;
	if (error == 0)
		error = run_prepare();
	if (error == 0)
		error = -open_output(run, options);
	if (error == 0) {
		uv_update_time(loop);
		uv_timer_start(&run->timer, on_timer, limit_ms, 0);
		link_watch(); /* sends, too, as soon as the loop comes to it */
		if (starter.poll && (error = send_request(run)) == -EAGAIN)
			error = 0;
		link_watch();
	}
	if (error) {
		run->result.start_error = -error;
		drop_request(run);
		uv_timer_start(&run->timer, on_refused, 0, 0);
	}
	return run;
}
