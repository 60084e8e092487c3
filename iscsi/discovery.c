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

#include "iscsi/race.h"
#include "iscsi/secrets.h"

#define DISCOVERY_PORT 3260

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

/* --- where --- */

struct place {
	uv_loop_t loop;
	uv_timer_t limit;
	struct race *race;
	char host[256], text[RACE_ADDRESS_SIZE];
	char reason[RACE_REASON_SIZE];
	uint16_t port;
	bool over;
};

/* "host", "host:port", "[address]", "[address]:port" */
static bool place_parse(struct place *place, const char *portal)
{
	bool bracket = portal[0] == '[';
	const char *host = portal + bracket;
	size_t length = bracket ? strcspn(host, "]") : strcspn(host, ":");
	const char *behind = host + length + (bracket && host[length] == ']');
	char *end = NULL;
	unsigned long port = DISCOVERY_PORT;

	if (length == 0 || length >= sizeof(place->host) || (bracket && host[length] != ']'))
		return false;
	if (*behind == ':' && behind[1])
		port = strtoul(behind + 1, &end, 10);
	if ((*behind && !end) || (end && *end) || port == 0 || port > UINT16_MAX)
		return false;
	memcpy(place->host, host, length);
	place->host[length] = '\0';
	place->port = (uint16_t)port;
	return true;
}

static void place_found(void *user, const char *text, const char *reason)
{
	struct place *place = user;

	place->over = true;
	place->race = NULL;
	snprintf(place->text, sizeof(place->text), "%s", text ? text : "");
	snprintf(place->reason, sizeof(place->reason), "%s", reason);
}

static void place_late(uv_timer_t *timer)
{
	struct place *place = timer->data;

	place->over = true;
	snprintf(place->reason, sizeof(place->reason), "no address answers");
}

/* Which of several addresses takes a connection, on a loop of its own. */
static void place_race(struct place *place, const struct race_addresses *addresses,
		       uint32_t timeout_ms)
{
	if (uv_loop_init(&place->loop))
		return;
	uv_timer_init(&place->loop, &place->limit);
	place->limit.data = place;
	uv_timer_start(&place->limit, place_late, timeout_ms, 0);
	place->race = race_start(&place->loop, addresses, place_found, place);
	while (place->race && !place->over)
		uv_run(&place->loop, UV_RUN_ONCE);
	if (place->race)
		race_cancel(place->race);
	uv_close((uv_handle_t *)&place->limit, NULL);
	uv_run(&place->loop, UV_RUN_DEFAULT);
	uv_loop_close(&place->loop);
}

/* The address to ask at, "10.0.0.1:3260". Returns 0, or -errno with a message. */
static int place_find(const struct discovery_options *options, char *address, size_t address_size,
		      char *message, size_t size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *answer;
	struct race_addresses addresses;
	struct place place;
	int error;

	memset(&place, 0, sizeof(place));
	if (!place_parse(&place, options->portal)) {
		snprintf(message, size,
			 "%s: expected HOST, HOST:PORT or [IPV6-ADDRESS]:PORT as the portal",
			 options->portal);
		return -EINVAL;
	}
	if (strchr(place.host, ':'))
		hints.ai_flags = AI_NUMERICHOST;
	error = getaddrinfo(place.host, NULL, &hints, &answer);
	if (error) {
		snprintf(message, size, "%s: host name %s: %s", options->portal, place.host,
			 gai_strerror(error));
		return -EHOSTUNREACH;
	}
	race_addresses_take(&addresses, answer, place.port);
	freeaddrinfo(answer);
	if (addresses.count == 1)
		snprintf(place.text, sizeof(place.text), "%s", addresses.items[0].text);
	else if (addresses.count > 1)
		place_race(&place, &addresses, options->timeout_ms);
	if (!place.text[0]) {
		snprintf(message, size, "%s: cannot connect: %s", options->portal,
			 addresses.count ? place.reason : "it has no address");
		return -ECONNREFUSED;
	}
	snprintf(address, address_size, strchr(place.text, ':') ? "[%s]:%u" : "%s:%u", place.text,
		 place.port);
	return 0;
}

int discovery_read(struct discovery *discovery, const struct discovery_options *options,
		   char *message, size_t message_size)
{
	struct talk talk = {.discovery = discovery};
	char address[RACE_ADDRESS_SIZE + 10];
	int error;

	memset(discovery, 0, sizeof(*discovery));
	error = place_find(options, address, sizeof(address), message, message_size);
	if (error)
		return error;
	talk.context = iscsi_create_context(options->initiator_name);
	if (!talk.context) {
		snprintf(message, message_size, "out of memory");
		return -ENOMEM;
	}
	iscsi_set_noautoreconnect(talk.context, 1);
	iscsi_set_session_type(talk.context, ISCSI_SESSION_DISCOVERY);
	error = talk_secrets(&talk, options, message, message_size);
	if (!error) {
		error = iscsi_connect_async(talk.context, address, talk_connected, &talk)
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
