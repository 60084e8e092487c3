/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An operator's flags outlive the daemon, one by one.
 */
#include <CUnit/Basic.h>
#include <stdlib.h>
#include <unistd.h>

#include "cluster/store/flags.h"

static char folder[] = "/tmp/lunkeeper-flags.XXXXXX";

static void test_flags(void)
{
	CU_ASSERT_FALSE(flag_is_set(folder, "standby", NULL));
	flag_set(folder, "standby", NULL, true);
	flag_set(folder, "maintenance", "mail", true);
	flag_set(folder, "maintenance", "mail", true);
	CU_ASSERT(flag_is_set(folder, "standby", NULL));
	CU_ASSERT(flag_is_set(folder, "maintenance", "mail"));
	CU_ASSERT_FALSE(flag_is_set(folder, "maintenance", "mai"));
	CU_ASSERT_FALSE(flag_is_set(folder, "maintenance", NULL));
	flag_set(folder, "standby", NULL, false);
	flag_set(folder, "standby", NULL, false);
	CU_ASSERT_FALSE(flag_is_set(folder, "standby", NULL));
	CU_ASSERT(flag_is_set(folder, "maintenance", "mail"));
	flag_set(folder, "maintenance", "mail", false);
	CU_ASSERT_FALSE(flag_is_set(folder, "maintenance", "mail"));
	CU_ASSERT_EQUAL(rmdir(folder), 0); /* nothing else was left in it */
	flag_set(folder, "standby", NULL, true);
	CU_ASSERT_FALSE(flag_is_set(folder, "standby", NULL));
}

int main(void)
{
	CU_pSuite suite;
	unsigned failures;

	if (!mkdtemp(folder) || CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite("flags", NULL, NULL);
	CU_add_test(suite, "flags", test_flags);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures ? 1 : 0;
}
