/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Logging in: secrets, name resolution, connecting, redirection. Each login has a transport of its
 * own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "iscsi/initiator_session.h"
#include "iscsi/secrets.h"

#define REDIRECTS_MAX 4

static void login_ended(void *user, int error)
{
	struct session *session = user;

	session->login_ended = true;
	session->login_error = error;
}

static int make_transport(struct session *session)
{
	const struct session_config *config = &session->config;
	struct transport_config wanted = {
		.initiator_name = config->initiator_name,
		.target = config->url.target,
		.isid_qualifier = config->isid_qualifier,
		.header_digest = config->header_digest,
	};
	struct secrets secrets;
	int error;

	memset(&secrets, 0, sizeof(secrets));
	if (config->secrets_file[0]) {
		error = secrets_load(&secrets, config->url.target, config->secrets_file,
				     session->reason, REASON_MAX);
		if (error)
			return error;
	}
	if (secrets.found) {
		wanted.user = secrets.user;
		wanted.secret = secrets.secret;
	}
	if (secrets.mutual) {
		wanted.target_user = secrets.target_user;
		wanted.target_secret = secrets.target_secret;
	}
	session->transport = transport_new(&wanted);
	secrets_forget(&secrets);
	if (session->transport)
		return 0;
	snprintf(session->reason, REASON_MAX, "out of memory");
	return -ENOMEM;
}

static void start_connecting(struct session *session)
{
	int error = make_transport(session);

	session->login_ended = false;
	if (!error) {
		error = transport_connect(session->transport, session->address, login_ended,
					  session);
		if (error)
			login_explain(session, transport_message(session->transport));
		else
			error = session_start_poll(session);
	}
	if (error)
		session_down(session);
}

/* Brackets an IPv6 address. */
static void set_address(struct session *session, const char *numeric, uint16_t port)
{
	bool v6 = strchr(numeric, ':') != NULL;

	snprintf(session->address, ADDRESS_MAX, "%s%s%s:%u", v6 ? "[" : "", numeric, v6 ? "]" : "",
		 port);
}

void login_explain(struct session *session, const char *text)
{
	char said[REASON_MAX];

	snprintf(said, sizeof(said), "%s", text);
	if (session->redirects)
		snprintf(session->reason, REASON_MAX, "redirected to %.120s: %.240s",
			 session->address, said);
	else if (session->several)
		snprintf(session->reason, REASON_MAX, "%.120s: %.240s", session->address, said);
	else
		snprintf(session->reason, REASON_MAX, "%s", said);
}

void login_cancel_race(struct session *session)
{
	if (session->race)
		race_cancel(session->race);
	session->race = NULL;
}

static void race_is_over(void *user, const char *text, const char *reason)
{
	struct session *session = user;

	session->race = NULL;
	if (session->state != SESSION_CONNECTING)
		return;
	if (text) {
		set_address(session, text, session->port);
		start_connecting(session);
		return;
	}
	snprintf(session->reason, REASON_MAX, "no address of %.60s takes a connection: %s",
		 session->host, reason);
	session_down(session);
}

static void resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *answer)
{
	struct session *session = request->data;
	struct race_addresses addresses;

	session->resolving = false;
	race_addresses_take(&addresses, answer, session->port);
	uv_freeaddrinfo(answer);
	if (session->state == SESSION_GONE) {
		session_free_if_unused(session);
		return;
	}
	if (session->state != SESSION_CONNECTING)
		return; /* timed out meanwhile */
	if (session->resolve_again) {
		login_resolve(session);
		return;
	}
	if (addresses.count == 0) {
		snprintf(session->reason, REASON_MAX, "host name %s: %s", session->host,
			 status < 0 ? uv_strerror(status) : "has no address");
		session_down(session);
		return;
	}
	session->several = addresses.count > 1;
	if (addresses.count > 1) {
		session->race = race_start(session->loop, &addresses, race_is_over, session);
		if (session->race)
			return;
	}
	set_address(session, addresses.items[0].text, session->port);
	start_connecting(session);
}

/* Names are resolved by libuv's workers, because a name server that does not answer must not stop
 * the loop. */
void login_resolve(struct session *session)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	unsigned char binary[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, session->host, binary) == 1 ||
	    inet_pton(AF_INET6, session->host, binary) == 1) {
		set_address(session, session->host, session->port);
		start_connecting(session);
		return;
	}
	session->several = false;
	session->resolve_again = session->resolving;
	if (session->resolving)
		return; /* the question of a login that timed out is still out */
	session->resolver.data = session;
	if (uv_getaddrinfo(session->loop, &session->resolver, resolved, session->host, NULL,
			   &hints) < 0) {
		snprintf(session->reason, REASON_MAX, "host name %s: cannot be resolved now",
			 session->host);
		session_down(session);
		return;
	}
	session->resolving = true;
}

void login_start(struct session *session)
{
	uint32_t timeout_ms = session->config.login_timeout_ms;

	session->state = SESSION_CONNECTING;
	session->redirects = 0;
	session->several = false;
	snprintf(session->host, sizeof(session->host), "%s", session->config.url.host);
	session->port = session->config.url.port;
	session->login_deadline_us = session_now_us() + (uint64_t)timeout_ms * 1000;
	session_want_timer(session, session->login_deadline_us);
	session->start = true; /* from run_work(): a fault is then reported later, as promised */
	session_want_work(session);
}

/* "10.0.0.2:3260,1": the portal group tag is cut off, the rest is the beginning of a URL. */
int login_follow_redirect(struct session *session)
{
	char text[LUN_URL_HOST_MAX + LUN_URL_TARGET_MAX + 40];
	const char *address = transport_redirect(session->transport);
	int length = (int)strcspn(address, ",");
	struct lun_url url;
	const char *problem;

	snprintf(text, sizeof(text), "iscsi://%.*s/%s/0", length < LUN_URL_HOST_MAX ? length : 0,
		 address, session->config.url.target);
	if (++session->redirects > REDIRECTS_MAX || lun_url_parse(&url, text, &problem) < 0)
		return -EPROTO;
	snprintf(session->host, sizeof(session->host), "%s", url.host);
	session->port = url.port;
	return 0;
}
