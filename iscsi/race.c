/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See race.h.
 */
#include "iscsi/race.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct racer {
	uv_tcp_t tcp;
	uv_connect_t request;
	struct race *race;
	int error;
	bool begun, ended;
};

struct race {
	struct race_addresses addresses;
	struct racer racers[RACE_ADDRESSES_MAX];
	uv_timer_t timer;
	size_t begun;
	unsigned handles;
	race_over *over; /* NULL: called, or not wanted any more */
	void *user;
};

static bool address_add(struct race_addresses *addresses, const struct addrinfo *entry,
			uint16_t port)
{
	size_t n = addresses->count;
	struct sockaddr_storage *address;

	if (n == RACE_ADDRESSES_MAX)
		return false;
	address = &addresses->items[n].address;
	if (entry->ai_addrlen > sizeof(*address) ||
	    getnameinfo(entry->ai_addr, entry->ai_addrlen, addresses->items[n].text,
			RACE_ADDRESS_SIZE, NULL, 0, NI_NUMERICHOST) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(addresses->items[i].text, addresses->items[n].text) == 0)
			return false;
	}
	memset(address, 0, sizeof(*address));
	memcpy(address, entry->ai_addr, entry->ai_addrlen);
	if (entry->ai_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
	addresses->count++;
	return true;
}

void race_addresses_take(struct race_addresses *addresses, const struct addrinfo *answer,
			 uint16_t port)
{
	const struct addrinfo *next[2] = {answer, answer};
	int families[2] = {AF_UNSPEC, AF_UNSPEC};
	bool more = true;

	addresses->count = 0;
	for (const struct addrinfo *entry = answer; entry; entry = entry->ai_next) {
		if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6)
			continue;
		families[0] = entry->ai_family;
		families[1] = entry->ai_family == AF_INET ? AF_INET6 : AF_INET;
		break;
	}
	while (more) {
		more = false;
		for (unsigned turn = 0; turn < 2; turn++) {
			bool taken = false;

			for (; next[turn] && !taken; next[turn] = next[turn]->ai_next)
				taken = next[turn]->ai_family == families[turn] &&
					address_add(addresses, next[turn], port);
			more = more || taken;
		}
	}
}

static void closed(uv_handle_t *handle)
{
	struct race *race = handle->data;

	if (--race->handles == 0)
		free(race);
}

static void race_end(struct race *race)
{
	if (uv_is_closing((uv_handle_t *)&race->timer))
		return;
	uv_close((uv_handle_t *)&race->timer, closed);
	for (size_t i = 0; i < race->addresses.count; i++) {
		if (race->racers[i].begun && !uv_is_closing((uv_handle_t *)&race->racers[i].tcp))
			uv_close((uv_handle_t *)&race->racers[i].tcp, closed);
	}
}

static void race_tell(struct race *race, const char *text)
{
	race_over *over = race->over;
	char reason[RACE_REASON_SIZE] = "";
	size_t used = 0;

	race->over = NULL;
	for (size_t i = 0; !text && i < race->addresses.count && used < sizeof(reason); i++)
		used += (size_t)snprintf(reason + used, sizeof(reason) - used, "%s%s: %s",
					 i ? ", " : "", race->addresses.items[i].text,
					 strerror(-race->racers[i].error));
	race_end(race);
	if (over)
		over(race->user, text, reason);
}

static void race_go_on(struct race *race);

static void connected(uv_connect_t *request, int status)
{
	struct racer *racer = request->data;
	struct race *race = racer->race;

	racer->error = status;
	racer->ended = true;
	if (!race->over)
		return;
	if (status == 0)
		race_tell(race, race->addresses.items[racer - race->racers].text);
	else
		race_go_on(race);
}

static void delayed(uv_timer_t *timer)
{
	race_go_on(timer->data);
}

/* The next one, at once: the one before has failed, or has had its time. */
static void race_go_on(struct race *race)
{
	while (race->begun < race->addresses.count) {
		size_t i = race->begun++;
		struct racer *racer = &race->racers[i];

		racer->race = race;
		racer->request.data = racer;
		racer->begun = true;
		uv_tcp_init(race->timer.loop, &racer->tcp);
		racer->tcp.data = race;
		race->handles++;
		racer->error = uv_tcp_connect(
			&racer->request, &racer->tcp,
			(const struct sockaddr *)&race->addresses.items[i].address, connected);
		if (racer->error == 0) {
			uv_timer_start(&race->timer, delayed, RACE_DELAY_MS, 0);
			return;
		}
		racer->ended = true;
	}
	for (size_t i = 0; i < race->addresses.count; i++) {
		if (!race->racers[i].ended)
			return;
	}
	race_tell(race, NULL);
}

struct race *race_start(uv_loop_t *loop, const struct race_addresses *addresses, race_over *over,
			void *user)
{
	struct race *race = calloc(1, sizeof(*race));

	if (!race)
		return NULL;
	race->addresses = *addresses;
	race->over = over;
	race->user = user;
	uv_timer_init(loop, &race->timer);
	race->timer.data = race;
	race->handles = 1;
	uv_timer_start(&race->timer, delayed, 0, 0); /* a fault is told later, too */
	return race;
}

void race_cancel(struct race *race)
{
	race->over = NULL;
	race_end(race);
}
