/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reservation key's fields, packed into and out of 64 bits. Pure.
 */
#include "cluster/core/key.h"

#include <errno.h>
#include <stdio.h>

#define KEY_MAGIC_SHIFT 56
#define KEY_CLUSTER_SHIFT 36
#define KEY_KIND_SHIFT 32
#define KEY_NODE_SHIFT 24
#define KEY_INTERVAL_SHIFT 16
#define KEY_CLUSTER_MASK 0xfffffu

/* FNV-1a, 64 bits, folded to 20. Part of the protocol: nodes of different versions must agree on
 * it. */
uint32_t key_cluster_hash(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3u;
	return (uint32_t)(hash ^ hash >> 20 ^ hash >> 40 ^ hash >> 60) & KEY_CLUSTER_MASK;
}

uint64_t key_encode(const struct key *key)
{
	return (uint64_t)KEY_MAGIC << KEY_MAGIC_SHIFT |
	       (uint64_t)(key->cluster & KEY_CLUSTER_MASK) << KEY_CLUSTER_SHIFT |
	       (uint64_t)((unsigned)key->kind & 0xfu) << KEY_KIND_SHIFT |
	       (uint64_t)key->node << KEY_NODE_SHIFT |
	       (uint64_t)key->interval << KEY_INTERVAL_SHIFT | key->incarnation;
}

bool key_decode(struct key *key, uint64_t value)
{
	unsigned kind = (unsigned)(value >> KEY_KIND_SHIFT) & 0xfu;

	key->cluster = (uint32_t)(value >> KEY_CLUSTER_SHIFT) & KEY_CLUSTER_MASK;
	key->kind = (enum key_kind)kind;
	key->node = (uint8_t)(value >> KEY_NODE_SHIFT);
	key->interval = (uint8_t)(value >> KEY_INTERVAL_SHIFT);
	key->incarnation = (uint16_t)value;
	return value >> KEY_MAGIC_SHIFT == KEY_MAGIC && kind >= KEY_KIND_CLAIM &&
	       kind <= KEY_KIND_OFFER && key->node >= 1 && key->node <= KEY_NODE_MAX &&
	       key->interval != 0 && key->incarnation != 0;
}

bool key_is_ours(uint64_t value, uint32_t cluster)
{
	struct key key;

	return key_decode(&key, value) && key.cluster == cluster;
}

const char *key_text(uint64_t value, char buffer[KEY_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++)
		buffer[i] = digits[value >> (60 - 4 * i) & 0xf];
	buffer[16] = '\0';
	return buffer;
}

static int key_digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int key_parse(const char *text, uint64_t *value)
{
	uint64_t parsed = 0;
	unsigned count = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; *text; text++, count++) {
		int digit = key_digit_value(*text);

		if (digit < 0 || count == 16)
			return -EINVAL;
		parsed = parsed << 4 | (unsigned)digit;
	}
	if (count == 0)
		return -EINVAL;
	*value = parsed;
	return 0;
}

const char *key_kind_name(enum key_kind kind)
{
	switch (kind) {
	case KEY_KIND_CLAIM:
		return "claim";
	case KEY_KIND_MEMBER:
		return "member";
	case KEY_KIND_REQUEST:
		return "request";
	case KEY_KIND_OFFER:
		return "offer";
	}
	return "unknown";
}

const char *key_describe(uint64_t value, uint32_t cluster,
			 const char *(*node_name)(uint8_t node, const void *user), const void *user,
			 char *buffer, size_t size)
{
	char text[KEY_TEXT_SIZE];
	const char *name;
	struct key key;

	if (value == 0) {
		snprintf(buffer, size, "nobody");
	} else if (!key_is_ours(value, cluster) || !key_decode(&key, value)) {
		snprintf(buffer, size, "foreign %s", key_text(value, text));
	} else {
		name = node_name(key.node, user);
		if (name)
			snprintf(buffer, size, "%s (%s %u)", name, key_kind_name(key.kind),
				 key.incarnation);
		else
			snprintf(buffer, size, "node %u (%s %u)", key.node, key_kind_name(key.kind),
				 key.incarnation);
	}
	return buffer;
}
