/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Drills: one arbiter, one exact situation, and what it must do there at once. They are for rules
 * whose absence other rules make good for after a while, so that random schedules hardly notice it:
 * each drill says what users see of the rule itself.
 */
#ifndef TESTS_SIM_DRILLS_H
#define TESTS_SIM_DRILLS_H

#include <stddef.h>

/* Runs all drills with one rule taken out (-1: none). Returns the name of the first that fails,
 * with why in `reason`; NULL when all pass. */
const char *drills_run(int disabled_rule, char *reason, size_t size);

#endif
