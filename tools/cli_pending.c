/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands that are being written.
 */
#include "tools/check.h"
#include "tools/lun.h"

size_t check_node(const struct check *check, json_t *findings)
{
	(void)check;
	(void)findings;
	return 0;
}
