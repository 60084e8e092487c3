/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tells multipathd which key the paths of a map bear, so that it registers a path that comes back,
 * or that is new, before it lets data through it; and untells it when this node has lost the LUN.
 * multipathd keeps the key in a file of its own (`reservation_key file` in multipath.conf), so that
 * its restart forgets nothing. Programs are run with a time limit, one after the other for a map;
 * without multipathd nothing is told, and nothing is wrong.
 */
#ifndef CLUSTER_AGENTS_MULTIPATHD_H
#define CLUSTER_AGENTS_MULTIPATHD_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "cluster/agents/agent.h"

#define MULTIPATHD_MAP_MAX 128

struct multipathd_map;

/* What it says when it did not take an order; NULL: it does again. */
typedef void multipathd_problem(const char *problem, void *user);

/* What was asked for last has been told; or, with no key, it registers nothing any more. */
typedef void multipathd_settled(void *user);

/* program: NULL for the system's. map: its name, as `multipathd show maps` has it. Nothing is told
 * before the first multipathd_tell(). problem, settled: may be NULL. NULL: no memory. */
struct multipathd_map *multipathd_map_new(uv_loop_t *loop, const char *program, const char *map,
					  multipathd_problem *problem, multipathd_settled *settled,
					  void *user);
/* The key that its paths bear from now on; 0: none, and none may be registered by it. The last one
 * counts; what is told already is not told again. */
void multipathd_tell(struct multipathd_map *map, uint64_t key, bool aptpl);
/* What was asked for last is what it was told. */
bool multipathd_is_told(const struct multipathd_map *map);
/* It is still being told to register nothing: until that is over it may register the key that it
 * was told before, whatever the path bears by then. */
bool multipathd_is_untelling(const struct multipathd_map *map);
/* The last order is still carried out; then closed() is called. */
void multipathd_map_free(struct multipathd_map *map, void (*closed)(void *user), void *user);

/* `resize map`: the map takes the size that its paths have. As agent_run(): done() comes once,
 * later. program: NULL for the system's. NULL: there is none, or no memory; done() does not come.
 */
struct agent *multipathd_resize(uv_loop_t *loop, const char *program, const char *map,
				void (*done)(const struct agent_result *result, void *user),
				void *user);

#endif
