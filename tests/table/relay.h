/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A TCP relay on the test's own loop, that can stall, swallow what the client sends, and cut.
 */
#ifndef TESTS_TABLE_RELAY_H
#define TESTS_TABLE_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct relay;

enum relay_mode {
	RELAY_PASS,
	RELAY_STALL,   /* nothing goes on in either direction until RELAY_PASS */
	RELAY_SWALLOW, /* what the client sends is lost for ever */
};

/* Listens on every address, on a port of the system's choice, and connects each client to `port` on
 * 127.0.0.1. NULL on failure. */
struct relay *relay_start(uv_loop_t *loop, uint16_t port);
uint16_t relay_port(const struct relay *relay);
void relay_set(struct relay *relay, enum relay_mode mode);
/* Cuts all connections. */
void relay_cut(struct relay *relay);
/* Cuts them with a TCP reset. */
void relay_reset(struct relay *relay);
/* Connections made so far. */
unsigned relay_connections(const struct relay *relay);
/* Closes everything; run the loop to its end afterwards. */
void relay_stop(struct relay *relay);

#endif
