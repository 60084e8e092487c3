/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `multipathd setprkey`, `setprstatus` and their opposites, and `resize map`. multipathd registers
 * by REGISTER AND IGNORE EXISTING KEY, and only while the key is among those that READ KEYS lists;
 * the APTPL bit is the key's flag. After `unsetprstatus` it registers nothing, and nothing of its
 * is on the way: its checker and its commands exclude each other.
 */
#include "cluster/agents/multipathd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MULTIPATHD_LIMIT_MS 10000
/* For what it did not take; the administrator may have seen to it. */
#define MULTIPATHD_AGAIN_MS 30000
#define MULTIPATHD_WORDS 6
#define MULTIPATHD_AT_ONCE 8 /* it takes them one by one anyway */
#define MULTIPATHD_TURN_MS 20

static unsigned multipathd_running; /* of all maps; the loop's thread only */

struct multipathd_map {
	uv_loop_t *loop;
	uv_timer_t again;
	char program[128]; /* "": there is none */
	char name[MULTIPATHD_MAP_MAX];
	multipathd_problem *problem;
	multipathd_settled *settled;
	void *user;
	bool asked;   /* `key` is wanted */
	uint64_t key; /* 0: none */
	bool aptpl;
	bool told; /* ... and that was taken */
	bool had_problem;
	uint64_t sending; /* the key of the orders that are being carried out */
	bool sending_aptpl;
	unsigned step;
	struct agent *agent; /* NULL: none is running */
	bool closing;
	void (*closed)(void *user);
	void *closed_user;
};

static const char *multipathd_find(void)
{
	static const char *const places[] = {"/usr/sbin/multipathd", "/sbin/multipathd"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return "";
}

struct multipathd_map *multipathd_map_new(uv_loop_t *loop, const char *program, const char *name,
					  multipathd_problem *problem, multipathd_settled *settled,
					  void *user)
{
	struct multipathd_map *map = calloc(1, sizeof(*map));

	if (!map)
		return NULL;
	map->loop = loop;
	map->problem = problem;
	map->settled = settled;
	map->user = user;
	snprintf(map->program, sizeof(map->program), "%s", program ? program : multipathd_find());
	snprintf(map->name, sizeof(map->name), "%s", name);
	uv_timer_init(loop, &map->again);
	map->again.data = map;
	return map;
}

/* The words of a step; 0: there is no such step. */
static size_t multipathd_words(const struct multipathd_map *map, char key[32],
			       const char *words[MULTIPATHD_WORDS + 1])
{
	static const char *const verbs[2][2] = {{"unsetprstatus", "unsetprkey"},
						{"setprkey", "setprstatus"}};
	bool on = map->sending != 0;

	memset(words, 0, (MULTIPATHD_WORDS + 1) * sizeof(*words));
	if (map->step > 1)
		return 0;
	words[0] = verbs[on][map->step];
	words[1] = "map";
	words[2] = map->name;
	if (!on || map->step != 0)
		return 3;
	snprintf(key, 32, "0x%016" PRIx64 "%s", map->sending, map->sending_aptpl ? ":aptpl" : "");
	words[3] = "key";
	words[4] = key;
	return 5;
}

static void multipathd_go_on(struct multipathd_map *map);

static void multipathd_on_again(uv_timer_t *timer)
{
	multipathd_go_on(timer->data);
}

static void multipathd_failed(struct multipathd_map *map, const char *error)
{
	char text[400];

	/* An unset that fails where nothing was ever set is no fault. */
	if (!map->had_problem && map->sending != 0 && !map->closing && map->problem) {
		snprintf(text, sizeof(text),
			 "multipathd does not take the key of %s (%s): a path that comes back may "
			 "be used before it is registered. It must run, and multipath.conf needs "
			 "`reservation_key file` in its defaults",
			 map->name, error ? error : "refused");
		map->had_problem = true;
		map->problem(text, map->user);
	}
	uv_timer_start(&map->again, multipathd_on_again, MULTIPATHD_AGAIN_MS, 0);
}

static void multipathd_on_done(const struct agent_result *result, void *user)
{
	struct multipathd_map *map = user;
	bool wanted = map->sending == map->key && map->sending_aptpl == map->aptpl;

	map->agent = NULL;
	multipathd_running--;
	if (result->result != SERVICE_RESULT_OK && map->sending != 0) {
		map->told = false;
		if (wanted && !map->closing) {
			multipathd_failed(map, result->output[0] ? result->output : result->error);
			return;
		}
	}
	if (wanted && ++map->step > 1) {
		map->told = true;
		if (map->had_problem && map->key != 0 && !map->closing) {
			map->had_problem = false;
			map->problem(NULL, map->user);
		}
	}
	if (!map->closing && map->settled &&
	    (map->told || (map->key == 0 && !multipathd_is_untelling(map))))
		map->settled(map->user);
	multipathd_go_on(map);
}

static void multipathd_on_timer_closed(uv_handle_t *handle)
{
	struct multipathd_map *map = handle->data;

	if (map->closed)
		map->closed(map->closed_user);
	free(map);
}

static const char *const multipathd_environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
						     "LANG=C.UTF-8", NULL};

static void multipathd_start(struct multipathd_map *map)
{
	const char *words[MULTIPATHD_WORDS + 1];
	char key[32];
	struct agent_options options = {.path = map->program,
					.operation = SERVICE_OPERATION_START,
					.arguments = words,
					.environment = multipathd_environment,
					.timeout_ms = MULTIPATHD_LIMIT_MS,
					.done = multipathd_on_done,
					.user = map};

	if (multipathd_running >= MULTIPATHD_AT_ONCE) {
		uv_timer_start(&map->again, multipathd_on_again, MULTIPATHD_TURN_MS, 0);
		return;
	}
	multipathd_words(map, key, words);
	multipathd_running++;
	map->agent = agent_run(map->loop, &options);
	if (map->agent)
		return;
	multipathd_running--;
	multipathd_failed(map, strerrordesc_np(ENOMEM)); /* and again later */
}

static void multipathd_go_on(struct multipathd_map *map)
{
	if (map->agent)
		return;
	uv_timer_stop(&map->again);
	if (map->asked && !map->told && map->program[0]) {
		if (map->sending != map->key || map->sending_aptpl != map->aptpl || map->step > 1) {
			map->sending = map->key;
			map->sending_aptpl = map->aptpl;
			map->step = 0;
		}
		multipathd_start(map);
	}
	if (map->closing && !map->agent && !uv_is_active((uv_handle_t *)&map->again))
		uv_close((uv_handle_t *)&map->again, multipathd_on_timer_closed);
}

void multipathd_tell(struct multipathd_map *map, uint64_t key, bool aptpl)
{
	if (map->closing || (map->asked && map->key == key && map->aptpl == aptpl))
		return;
	map->asked = true;
	map->told = false;
	map->key = key;
	map->aptpl = aptpl;
	map->had_problem = false;
	if (!map->agent)
		map->step = 0;
	multipathd_go_on(map);
}

bool multipathd_is_told(const struct multipathd_map *map)
{
	return map->asked && map->told;
}

bool multipathd_is_untelling(const struct multipathd_map *map)
{
	bool let_go = map->told || (map->sending == 0 && map->step > 0);

	return map->program[0] && map->asked && map->key == 0 && !let_go;
}

void multipathd_map_free(struct multipathd_map *map, void (*closed)(void *user), void *user)
{
	map->closing = true;
	map->closed = closed;
	map->closed_user = user;
	if (!map->agent) {
		/* What it did not take before, it is not asked again; but what nobody has told yet
		 * is. */
		map->asked = map->asked && map->step == 0 && !map->had_problem;
		multipathd_go_on(map);
	}
}

struct agent *multipathd_resize(uv_loop_t *loop, const char *program, const char *map,
				void (*done)(const struct agent_result *result, void *user),
				void *user)
{
	const char *const words[] = {"resize", "map", map, NULL};
	struct agent_options options = {.path = program ? program : multipathd_find(),
					.operation = SERVICE_OPERATION_START,
					.arguments = words,
					.environment = multipathd_environment,
					.timeout_ms = MULTIPATHD_LIMIT_MS,
					.done = done,
					.user = user};

	return options.path[0] ? agent_run(loop, &options) : NULL;
}
