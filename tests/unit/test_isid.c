/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ISID qualifiers: one for each portal, the same for all LUNs behind it, and never a gate's.
 */
#include "cluster/config/isid.h"
#include "tests/unit/unit.h"

static uint16_t qualifier(const char *first, const char *second, bool digest, size_t device)
{
	const char *devices[] = {first, second};
	struct config_lun lun = {
		.devices = devices, .device_count = second ? 2 : 1, .header_digest = digest};

	return isid_look_qualifier(&lun, device);
}

static void test_one_portal_one_session(void)
{
	CU_ASSERT_EQUAL(qualifier("iscsi://10.0.1.1/iqn.2024-01.x:y/1", NULL, false, 0),
			qualifier("iscsi://10.0.1.1:3260/iqn.2024-01.x:y/900", NULL, false, 0));
	CU_ASSERT_NOT_EQUAL(qualifier("iscsi://10.0.1.1/iqn.2024-01.x:y/1", NULL, false, 0),
			    qualifier("iscsi://10.0.1.1/iqn.2024-01.x:y/2", NULL, true, 0));
}

/* Also where the hash is the same for both: with 4,096 numbers that happens among these. */
static void test_portals_differ(void)
{
	unsigned equal = 0;

	for (unsigned a = 1; a < 255; a++)
		for (unsigned b = 1; b < 255; b++) {
			char one[80], two[80];
			uint16_t p, q;

			snprintf(one, sizeof(one), "iscsi://10.0.1.%u/iqn.2024-01.x:y/1", a);
			snprintf(two, sizeof(two), "iscsi://10.0.2.%u/iqn.2024-01.x:y/1", b);
			p = qualifier(one, two, false, 0);
			q = qualifier(one, two, false, 1);
			CU_ASSERT_NOT_EQUAL(p, q);
			/* Their order in the configuration is of no account. */
			CU_ASSERT_EQUAL(p, qualifier(two, one, false, 1));
			CU_ASSERT_TRUE(p >= ISID_LOOK_FIRST && p <= ISID_LOOK_LAST);
			equal += qualifier(one, NULL, false, 0) == qualifier(two, NULL, false, 0);
		}
	CU_ASSERT_TRUE(equal > 0);
}

static CU_TestInfo tests[] = {
	{"one portal, one session", test_one_portal_one_session},
	{"portals differ", test_portals_differ},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return unit_run("isid", tests);
}
