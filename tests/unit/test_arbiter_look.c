/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is kept of a look when there are more keys than room, and who holds when the target names a
 * key that nobody bears.
 */
#include <string.h>

#include "cluster/core/arbiter.h"
#include "cluster/core/key.h"
#include "tests/unit/unit.h"

#define NODE 3

static uint32_t cluster;

static uint64_t key_of(uint8_t node, enum key_kind kind, uint16_t incarnation)
{
	const struct key key = {cluster, kind, node, 10, incarnation};

	return key_encode(&key);
}

static bool kept(const struct arbiter_look *look, uint64_t key)
{
	for (uint8_t k = 0; k < look->key_count; k++)
		if (look->keys[k] == key)
			return true;
	return false;
}

static void test_crowd(void)
{
	uint64_t own, other;
	struct arbiter_look look = {0};

	cluster = key_cluster_hash("crowd");
	own = key_of(NODE, KEY_KIND_CLAIM, 1);
	other = key_of(4, KEY_KIND_CLAIM, 2);
	for (uint64_t k = 0; k < 200; k++) {
		arbiter_look_add(&look, 0x5eed0000 + k, cluster, NODE);
		arbiter_look_add(&look, 0x5eed0000 + k, cluster, NODE); /* another nexus of it */
	}
	arbiter_look_add(&look, other, cluster, NODE);
	arbiter_look_add(&look, own, cluster, NODE);
	CU_ASSERT_EQUAL(look.key_count, ARBITER_LOOK_KEYS_MAX);
	CU_ASSERT_TRUE(kept(&look, own) && kept(&look, other));
	CU_ASSERT_FALSE(look.truncated); /* of the cluster's, all are there */
	CU_ASSERT_TRUE(look.left_out > 0);
	for (uint16_t k = 0; k < 30; k++)
		arbiter_look_add(&look, key_of(5, KEY_KIND_CLAIM, (uint16_t)(100 + k)), cluster,
				 NODE);
	CU_ASSERT_TRUE(kept(&look, own) && look.truncated);
}

static void test_weight(void)
{
	cluster = key_cluster_hash("crowd");
	CU_ASSERT_EQUAL(arbiter_key_weight(key_of(NODE, KEY_KIND_MEMBER, 1), cluster, NODE), 2);
	CU_ASSERT_EQUAL(arbiter_key_weight(key_of(4, KEY_KIND_MEMBER, 1), cluster, NODE), 1);
	CU_ASSERT_EQUAL(arbiter_key_weight(0x5eed, cluster, NODE), 0);
}

static void test_borne(void)
{
	struct arbiter_look look = {.held = true};

	cluster = key_cluster_hash("crowd");
	look.holder = key_of(NODE, KEY_KIND_CLAIM, 1);
	look.keys[look.key_count++] = key_of(4, KEY_KIND_CLAIM, 9);
	CU_ASSERT_EQUAL(arbiter_look_borne(&look, 0), look.holder); /* nobody else can be meant */
	look.keys[look.key_count++] = key_of(NODE, KEY_KIND_OFFER, 1);
	CU_ASSERT_EQUAL(arbiter_look_borne(&look, 0), key_of(NODE, KEY_KIND_OFFER, 1));
	look.truncated = true; /* it may only have been left out */
	CU_ASSERT_EQUAL(arbiter_look_borne(&look, 0), look.holder);
	look.truncated = false;
	look.keys[look.key_count++] = look.holder;
	CU_ASSERT_EQUAL(arbiter_look_borne(&look, 0), look.holder);
}

static void test_same_keys(void)
{
	struct arbiter_look one = {.key_count = 2, .keys = {1, 2}};
	struct arbiter_look other = {.key_count = 2, .keys = {2, 1}};

	CU_ASSERT_TRUE(arbiter_look_same_keys(&one, &other));
	other.keys[0] = 3;
	CU_ASSERT_FALSE(arbiter_look_same_keys(&one, &other));
	other.key_count = 0;
	CU_ASSERT_FALSE(arbiter_look_same_keys(&one, &other));
}

static CU_TestInfo tests[] = {
	{"a crowd of keys", test_crowd},
	{"weights", test_weight},
	{"the key that is borne", test_borne},
	{"the same keys", test_same_keys},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("arbiter look", tests);
}
