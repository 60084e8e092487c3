/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which of a host's addresses to log in at: all of them are tried, in the order and with the delays
 * of RFC 8305 (Happy Eyeballs), by connections that are closed again at once. libiscsi knows of one
 * address only, and makes the connection that is used.
 */
#ifndef ISCSI_RACE_H
#define ISCSI_RACE_H

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define RACE_ADDRESSES_MAX 8
#define RACE_ADDRESS_SIZE 80 /* numeric, with the zone of a link-local address */
#define RACE_DELAY_MS 250    /* RFC 8305 8: Connection Attempt Delay */
#define RACE_REASON_SIZE 320

struct race_addresses {
	size_t count;
	struct {
		struct sockaddr_storage address; /* with the port */
		char text[RACE_ADDRESS_SIZE];    /* without it: "10.0.0.1", "fe80::1%eth0" */
	} items[RACE_ADDRESSES_MAX];
};

/* The addresses of an answer of getaddrinfo(), each once, the families by turns beginning with that
 * of the first (RFC 8305 4). */
void race_addresses_take(struct race_addresses *addresses, const struct addrinfo *answer,
			 uint16_t port);

struct race;
/* text: the first that took a connection; NULL: none did, and reason says of each why. Called once,
 * from the loop. */
typedef void race_over(void *user, const char *text, const char *reason);

/* NULL: out of memory. addresses is copied; it has at least one. There is no limit of time but the
 * system's: who waits no longer cancels. */
struct race *race_start(uv_loop_t *loop, const struct race_addresses *addresses, race_over *over,
			void *user);
/* over() is not called any more. Its handles are closed by the loop's next turns. */
void race_cancel(struct race *race);

#endif
