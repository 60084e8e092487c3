/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket's server: a Unix stream socket on the daemon's loop, one JSON object a line
 * each way. Who connects is asked of the kernel before a byte is read: root, the daemon's own user,
 * and the members of one group if one is named. Everything is bounded: clients, line length, what
 * waits for a slow reader.
 */
#ifndef CLUSTER_CONTROL_CONTROL_H
#define CLUSTER_CONTROL_CONTROL_H

#include <jansson.h>
#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_LINE_MAX 65536 /* of a request, without its newline */
#define CONTROL_CLIENTS_MAX 64
#define CONTROL_CLIENTS_ROOT 8           /* of them for root and the daemon's own user alone */
#define CONTROL_PAUSE_QUEUE (256u << 10) /* who lets this much wait is not read from */
#define CONTROL_STREAM_QUEUE_MAX                                                                   \
	(2u << 20) /* a stream whose reader lets more wait ends: room for one long answer */
#define CONTROL_STALL_MS 10000 /* a reader that takes nothing for this long is dropped */
#define CONTROL_DEPTH_MAX 16   /* of a request's JSON */

/* One line of a request, parsed (cluster/control/wire.c, pure but for jansson's memory). Returns 0
 * with *request (an object with a text member "command" of 1..63 characters; new reference), or
 * -EBADMSG with a sentence for the sender. */
int control_request_parse(const char *line, size_t length, json_t **request, char *reason,
			  size_t reason_size);

/* What arrives, cut into lines, bounded. */
struct control_lines {
	char *data;
	size_t used, size, scanned;
};
/* Appends. 0, -EMSGSIZE when a line becomes longer than CONTROL_LINE_MAX, or -ENOMEM. */
int control_lines_append(struct control_lines *lines, const char *data, size_t length);
/* The next complete line without its newline (and without a '\r' before that), valid until the next
 * call; false: none. */
bool control_lines_next(struct control_lines *lines, const char **line, size_t *length);
void control_lines_free(struct control_lines *lines);

struct control;
struct control_request;

/* Carries out one command. It must end the request exactly once, now or later, by control_reply()
 * or control_fail(); a request whose client has gone must be ended too (nothing is sent then).
 * arguments: the request's object, valid until it is ended. Requests of one client are carried out
 * one after the other. */
typedef void control_handler(struct control_request *request, const json_t *arguments, void *user);

struct control_command {
	const char *name;
	control_handler *handler;
};

struct control_options {
	const char *path;                       /* RUN/control; at most 107 bytes */
	const char *group;                      /* Unix group that may connect; NULL: none */
	const struct control_command *commands; /* ends with a NULL name; must stay */
	void *user;                             /* for the handlers */
	uint32_t stall_ms;                      /* 0: CONTROL_STALL_MS */
};

/* Listens. A stale socket file is replaced; one that somebody answers on is not (-EADDRINUSE). Mode
 * 0600, or 0660 with a group. Ignores SIGPIPE for the process. Returns 0, or -errno with a message
 * that names the socket. */
int control_open(struct control **control, uv_loop_t *loop, const struct control_options *options,
		 char *message, size_t message_size);
/* Sends what waits if the readers take it at once, closes everything, removes the socket. Open
 * requests stay valid until they are ended. Needs turns of the loop before uv_loop_close(). */
void control_close(struct control *control);
size_t control_clients(const struct control *control);

/* Ends the request. answer: an object (reference taken over); "ok": true is set in it; NULL:
 * {"ok":true}. */
void control_reply(struct control_request *request, json_t *answer);
/* Ends the request with {"ok":false,"error":text,"code":code}. */
void control_fail(struct control_request *request, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Sends one object more and leaves the request open (reference taken over). A reader that is too
 * slow is dropped, so gone() may be called before this returns. Returns 0, or -EPIPE: the client
 * has gone. */
int control_stream(struct control_request *request, json_t *object);
/* Calls gone() once when the client closes or is dropped while the request is open. */
void control_on_gone(struct control_request *request,
		     void (*gone)(struct control_request *request, void *user), void *user);
bool control_is_gone(const struct control_request *request);
/* Who asks, for the history. */
uid_t control_peer_uid(const struct control_request *request);
pid_t control_peer_pid(const struct control_request *request);

/* Members of a request, with their type checked. Each returns false after having ended the request
 * with a clear refusal (code "usage"). text: a required member; NULL-able ones pass optional = true
 * and may come back NULL. */
bool control_take_text(struct control_request *request, const char *name, bool optional,
		       const char **text);
bool control_take_number(struct control_request *request, const char *name, int64_t minimum,
			 int64_t maximum, int64_t otherwise, int64_t *number);
bool control_take_flag(struct control_request *request, const char *name, bool otherwise,
		       bool *flag);

#endif
