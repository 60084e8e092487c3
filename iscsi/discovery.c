/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A discovery session by libiscsi: connect, log in, SendTargets=All, gone. It is one short question
 * of a command line, so it waits in poll() here; the daemon has no use for it.
 */
#include "iscsi/discovery.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iscsi/iscsi.h>

#include "iscsi/secrets.h"

struct talk {
	struct iscsi_context *context;
	struct discovery *discovery;
	bool connected, ended;
	int error;
};

static void talk_end(struct talk *talk, int error)
{
	talk->ended = true;
	talk->error = error;
}

static int discovery_add(struct discovery *discovery, const struct iscsi_discovery_address *found)
{
	struct discovery_target *targets =
		reallocarray(discovery->targets, discovery->count + 1, sizeof(*discovery->targets));
	struct discovery_target *target;

	if (!targets)
		return -ENOMEM;
	discovery->targets = targets;
	target = &targets[discovery->count];
	memset(target, 0, sizeof(*target));
	target->name = strdup(found->target_name);
	if (!target->name)
		return -ENOMEM;
	discovery->count++;
	for (const struct iscsi_target_portal *p = found->portals;
	     p && target->portal_count < DISCOVERY_PORTALS_MAX; p = p->next) {
		char *portal = target->portals[target->portal_count++];

		snprintf(portal, DISCOVERY_ADDRESS_MAX, "%s", p->portal);
		portal[strcspn(portal, ",")] = '\0';
	}
	return 0;
}

static void talk_discovered(struct iscsi_context *context, int status, void *data, void *user)
{
	struct talk *talk = user;
	int error = 0;

	(void)context;
	if (status != 0) {
		talk_end(talk, -EPROTO);
		return;
	}
	for (const struct iscsi_discovery_address *found = data; found && !error;
	     found = found->next)
		error = discovery_add(talk->discovery, found);
	talk_end(talk, error);
}

static void talk_logged_in(struct iscsi_context *context, int status, void *data, void *user)
{
	struct talk *talk = user;

	(void)data;
	if (status != 0)
		talk_end(talk, -EACCES);
	else if (iscsi_discovery_async(context, talk_discovered, talk))
		talk_end(talk, -ENOMEM);
}

static void talk_connected(struct iscsi_context *context, int status, void *data, void *user)
{
	struct talk *talk = user;

	(void)data;
	talk->connected = status == 0;
	if (status != 0)
		talk_end(talk, -ECONNREFUSED);
	else if (iscsi_login_async(context, talk_logged_in, talk))
		talk_end(talk, -ENOMEM);
}

static int64_t talk_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int talk_run(struct talk *talk, uint32_t timeout_ms)
{
	int64_t until = talk_now_ms() + timeout_ms;

	while (!talk->ended) {
		struct pollfd poll_fd = {
			.fd = iscsi_get_fd(talk->context),
			.events = (short)iscsi_which_events(talk->context),
		};
		int64_t left = until - talk_now_ms();

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&poll_fd, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
		if (iscsi_service(talk->context, poll_fd.revents) < 0 && !talk->ended)
			return -ECONNRESET;
	}
	return talk->error;
}

static void talk_explain(const struct talk *talk, const struct discovery_options *options,
			 int error, char *message, size_t size)
{
	const char *text = iscsi_get_error(talk->context);
	size_t used;

	if (error == -ETIMEDOUT)
		snprintf(message, size, "%s: no answer in %u ms; is a target up there?",
			 options->portal, options->timeout_ms);
	else if (!talk->connected)
		snprintf(message, size, "%s: cannot connect; does a target listen there?",
			 options->portal);
	else
		snprintf(message, size, "%s: discovery failed: %s", options->portal,
			 text && *text ? text : strerror(-error));
	used = strlen(message);
	while (used > 0 && (message[used - 1] == '\n' || message[used - 1] == ' '))
		message[--used] = '\0';
}

static int talk_secrets(const struct talk *talk, const struct discovery_options *options,
			char *message, size_t size)
{
	struct secrets secrets = {0};
	int error;

	if (!options->secrets_file)
		return 0;
	error = secrets_load(&secrets, "discovery", options->secrets_file, message, size);
	if (!error && secrets.found)
		iscsi_set_initiator_username_pwd(talk->context, secrets.user, secrets.secret);
	secrets_forget(&secrets);
	return error;
}

/* libiscsi resolves names with getaddrinfo() itself. */
int discovery_read(struct discovery *discovery, const struct discovery_options *options,
		   char *message, size_t message_size)
{
	struct talk talk = {.discovery = discovery};
	int error;

	memset(discovery, 0, sizeof(*discovery));
	talk.context = iscsi_create_context(options->initiator_name);
	if (!talk.context) {
		snprintf(message, message_size, "out of memory");
		return -ENOMEM;
	}
	iscsi_set_noautoreconnect(talk.context, 1);
	iscsi_set_session_type(talk.context, ISCSI_SESSION_DISCOVERY);
	error = talk_secrets(&talk, options, message, message_size);
	if (!error) {
		error = iscsi_connect_async(talk.context, options->portal, talk_connected, &talk)
				? -EHOSTUNREACH
				: talk_run(&talk, options->timeout_ms);
		if (error)
			talk_explain(&talk, options, error, message, message_size);
	}
	/* What ends with the context must not count any more. */
	talk.ended = true;
	talk.discovery = &(struct discovery){0};
	iscsi_destroy_context(talk.context);
	if (error)
		discovery_free(discovery);
	return error;
}

void discovery_free(struct discovery *discovery)
{
	for (size_t i = 0; i < discovery->count; i++)
		free(discovery->targets[i].name);
	free(discovery->targets);
	memset(discovery, 0, sizeof(*discovery));
}
