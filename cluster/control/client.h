/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control protocol's client, blocking, for the command line.
 */
#ifndef CLUSTER_CONTROL_CLIENT_H
#define CLUSTER_CONTROL_CLIENT_H

#include <jansson.h>

#include <stddef.h>
#include <stdint.h>

#include "cluster/config/config.h"

#define CONTROL_PATH_DEFAULT CONFIG_RUN_DEFAULT "/control"
#define CONTROL_ANSWER_MAX (16u << 20) /* bytes of one answer's line */

struct control_client;

/* Connects within timeout_ms. Returns 0; or -errno with a message that names the socket and says
 * what to do ("is lunkeeperd running?"): exit status 3. */
int control_client_open(struct control_client **client, const char *path, uint32_t timeout_ms,
			char *message, size_t message_size);
/* Uses a descriptor that is connected to a daemon already, by whatever way; it is the client's from
 * now on, also when this fails. name: for messages. 0, -ENOMEM. */
int control_client_adopt(struct control_client **client, int fd, const char *name);
void control_client_close(struct control_client *client);
/* Sends one object (borrowed) as a line. 0 or -errno with a message. */
int control_client_send(struct control_client *client, const json_t *request, uint32_t timeout_ms,
			char *message, size_t message_size);
/* The next line. timeout_ms 0: waits for ever. Returns 0 with *answer (new reference, an object);
 * -ETIMEDOUT, -EPIPE (the daemon closed), -EBADMSG, -errno with a message. */
int control_client_receive(struct control_client *client, json_t **answer, uint32_t timeout_ms,
			   char *message, size_t message_size);
/* Connects, sends, takes one answer, closes. Returns 0 with *answer whatever it says (see "ok"), or
 * -errno with a message (exit status 3). */
int control_client_ask(const char *path, const json_t *request, uint32_t timeout_ms,
		       json_t **answer, char *message, size_t message_size);

#endif
