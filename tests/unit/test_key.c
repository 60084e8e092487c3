/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reservation keys: the digits are part of the protocol between nodes, so they are compared with
 * written-out values.
 */
#include <errno.h>

#include "cluster/core/key.h"
#include "tests/unit/unit.h"

static const struct key sample = {.cluster = 0x1a2b3,
				  .kind = KEY_KIND_CLAIM,
				  .node = 2,
				  .interval = 10,
				  .incarnation = 0x0a01};

static void test_digits(void)
{
	char text[KEY_TEXT_SIZE];

	CU_ASSERT_STRING_EQUAL(key_text(key_encode(&sample), text), "4c1a2b31020a0a01");
	CU_ASSERT_STRING_EQUAL(key_text(0, text), "0000000000000000");
	CU_ASSERT_STRING_EQUAL(key_text(0xfedcba9876543210u, text), "fedcba9876543210");
}

static void test_round_trip(void)
{
	static const enum key_kind kinds[] = {KEY_KIND_CLAIM, KEY_KIND_MEMBER, KEY_KIND_REQUEST,
					      KEY_KIND_OFFER};
	struct key in = {.cluster = 0xfffff,
			 .node = KEY_NODE_MAX,
			 .interval = KEY_NODE_ANY,
			 .incarnation = 0xffff},
		   out;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		in.kind = kinds[i];
		CU_ASSERT_TRUE(key_decode(&out, key_encode(&in)));
		CU_ASSERT_EQUAL(out.cluster, in.cluster);
		CU_ASSERT_EQUAL(out.kind, in.kind);
		CU_ASSERT_EQUAL(out.node, in.node);
		CU_ASSERT_EQUAL(out.interval, in.interval);
		CU_ASSERT_EQUAL(out.incarnation, in.incarnation);
	}
}

static void test_cluster_of_more_than_20_bits_stays_out_of_the_magic(void)
{
	struct key in = sample, out;

	in.cluster = 0xfff1a2b3;
	CU_ASSERT_EQUAL(key_encode(&in), key_encode(&sample));
	CU_ASSERT_TRUE(key_decode(&out, key_encode(&in)));
}

static void test_no_key_of_ours(void)
{
	struct key key;
	uint64_t value = key_encode(&sample);

	CU_ASSERT_FALSE(key_decode(&key, 0));
	CU_ASSERT_FALSE(key_decode(&key, value ^ 1ull << 56)); /* magic */
	CU_ASSERT_FALSE(key_decode(&key, value & ~(0xfull << 32)));
	CU_ASSERT_FALSE(key_decode(&key, (value & ~(0xfull << 32)) | 5ull << 32));
	CU_ASSERT_FALSE(key_decode(&key, value & ~(0xffull << 24)));
	CU_ASSERT_FALSE(key_decode(&key, value | 0xffull << 24));
	CU_ASSERT_FALSE(key_decode(&key, value & ~(0xffull << 16)));
	CU_ASSERT_FALSE(key_decode(&key, value & ~0xffffull));
}

static void test_ours_is_of_this_cluster(void)
{
	uint64_t value = key_encode(&sample);

	CU_ASSERT_TRUE(key_is_ours(value, 0x1a2b3));
	CU_ASSERT_FALSE(key_is_ours(value, 0x1a2b4));
	CU_ASSERT_FALSE(key_is_ours(value & ~0xffffull, 0x1a2b3));
}

/* All nodes must compute the same, whatever their version: never change these. */
static void test_hash_is_for_ever(void)
{
	CU_ASSERT_EQUAL(key_cluster_hash(""), 0x799f7);
	CU_ASSERT_EQUAL(key_cluster_hash("mailfarm"), 0xa0e91);
	CU_ASSERT_NOT_EQUAL(key_cluster_hash("mailfarm"), key_cluster_hash("mailfarn"));
	CU_ASSERT_TRUE(key_cluster_hash("mailfarm") <= 0xfffff);
}

static void test_parse(void)
{
	uint64_t value = 7;

	CU_ASSERT_EQUAL(key_parse("4c1a2b31020a0a01", &value), 0);
	CU_ASSERT_EQUAL(value, 0x4c1a2b31020a0a01u);
	CU_ASSERT_EQUAL(key_parse("0xABC", &value), 0);
	CU_ASSERT_EQUAL(value, 0xabc);
	CU_ASSERT_EQUAL(key_parse("0", &value), 0);
	CU_ASSERT_EQUAL(value, 0);
	CU_ASSERT_EQUAL(key_parse("", &value), -EINVAL);
	CU_ASSERT_EQUAL(key_parse("0x", &value), -EINVAL);
	CU_ASSERT_EQUAL(key_parse("12 ", &value), -EINVAL);
	CU_ASSERT_EQUAL(key_parse("-1", &value), -EINVAL);
	CU_ASSERT_EQUAL(key_parse("0x12345678123456781", &value), -EINVAL);
	CU_ASSERT_EQUAL(value, 0);
}

static void test_kind_names(void)
{
	CU_ASSERT_STRING_EQUAL(key_kind_name(KEY_KIND_CLAIM), "claim");
	CU_ASSERT_STRING_EQUAL(key_kind_name(KEY_KIND_OFFER), "offer");
	CU_ASSERT_STRING_EQUAL(key_kind_name((enum key_kind)9), "unknown");
}

static const char *node_name(uint8_t node, const void *user)
{
	return node == 2 ? user : NULL;
}

static const char *describe(uint64_t value, uint32_t cluster)
{
	static char text[64];

	return key_describe(value, cluster, node_name, "jerry", text, sizeof(text));
}

static void test_describe(void)
{
	struct key key = sample;

	CU_ASSERT_STRING_EQUAL(describe(key_encode(&key), key.cluster), "jerry (claim 2561)");
	CU_ASSERT_STRING_EQUAL(describe(key_encode(&key), 7), "foreign 4c1a2b31020a0a01");
	CU_ASSERT_STRING_EQUAL(describe(0, key.cluster), "nobody");
	CU_ASSERT_STRING_EQUAL(describe(0xbad, key.cluster), "foreign 0000000000000bad");
	key.node = 7;
	key.kind = KEY_KIND_OFFER;
	CU_ASSERT_STRING_EQUAL(describe(key_encode(&key), key.cluster), "node 7 (offer 2561)");
}

static CU_TestInfo tests[] = {
	{"digits", test_digits},
	{"round trip", test_round_trip},
	{"cluster of more than 20 bits", test_cluster_of_more_than_20_bits_stays_out_of_the_magic},
	{"no key of ours", test_no_key_of_ours},
	{"ours is of this cluster", test_ours_is_of_this_cluster},
	{"hash is for ever", test_hash_is_for_ever},
	{"parse", test_parse},
	{"kind names", test_kind_names},
	{"for people", test_describe},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("key", tests);
}
