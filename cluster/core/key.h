/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reservation key, 64 bits, readable as hex in any tool: 4c ccccc k nn dd iiii.
 */
#ifndef CLUSTER_CORE_KEY_H
#define CLUSTER_CORE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_MAGIC 0x4cu
#define KEY_INTERVAL_UNIT_MS 50u
#define KEY_NODE_ANY 0xffu
#define KEY_NODE_MAX 254u
#define KEY_TEXT_SIZE 17

enum key_kind {
	KEY_KIND_CLAIM = 1,   /* an owner if it holds, a challenger if not */
	KEY_KIND_MEMBER = 2,  /* the same on a group's member LUN */
	KEY_KIND_REQUEST = 3, /* please hand over to me */
	KEY_KIND_OFFER = 4,   /* take it: the node in `target`, or any */
};

struct key {
	uint32_t cluster; /* 20 bits: key_cluster_hash() of the cluster's name */
	enum key_kind kind;
	uint8_t node;     /* 1..254, whose key it is */
	uint8_t interval; /* claim, member, request: the sender's defend interval in units of 50 ms,
			     at least 1. offer: the node that it is meant for, KEY_NODE_ANY for any
			   */
	uint16_t incarnation; /* not zero */
};

/* Pure, all of them. */
uint32_t key_cluster_hash(const char *name);
uint64_t key_encode(const struct key *key);
/* False, with *key unspecified: no key of this protocol (other magic, unknown kind, node 0 or 255,
 * incarnation 0, interval 0). Says nothing about the cluster. */
bool key_decode(struct key *key, uint64_t value);
/* Decodes, and is of this cluster. What is not is foreign. */
bool key_is_ours(uint64_t value, uint32_t cluster);
/* "4c1a2b3101000a01" */
const char *key_text(uint64_t value, char buffer[KEY_TEXT_SIZE]);
/* Hex with or without 0x, 1..16 digits. Returns 0 or -EINVAL. */
int key_parse(const char *text, uint64_t *value);
const char *key_kind_name(enum key_kind kind);
/* For people: "jerry (claim 3)", "node 7 (claim 3)" when node_name() knows none, "foreign 4c..." of
 * another cluster, "nobody" for 0. Returns buffer. */
const char *key_describe(uint64_t value, uint32_t cluster,
			 const char *(*node_name)(uint8_t node, const void *user), const void *user,
			 char *buffer, size_t size);

#endif
