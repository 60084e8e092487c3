/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which kind of rig does it, see tools/rig/kind.h.
 */
#include "tools/rig/kind.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct rig_kind *const kinds[] = {&rig_kind_netns, &rig_kind_vm};

const struct rig_kind *rig_kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

int rig_kind_choose(struct rig_options *options, const char *name)
{
	options->kind = rig_kind_find(name);
	if (!options->kind)
		return -EINVAL;
	if (options->kind != &rig_kind_vm)
		return 0;
	options->portals = RIG_NETWORKS;
	if (options->defend_ms == UINT32_MAX)
		options->defend_ms = 1000;
	if (options->window_ms == UINT32_MAX)
		options->window_ms = 4 * options->defend_ms;
	return 0;
}

int rig_kind_cannot(struct rig *rig, const char *what)
{
	return rig_fail(rig, ENOTSUP, "a rig of kind %s cannot %s", rig->kind->name, what);
}

int rig_machine_exec(struct rig *rig, const struct rig_machine *machine, char *const argv[])
{
	return rig->kind->exec(rig, machine, argv);
}

int rig_machine_run(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
		    const char *const argv[], const char *input, char *output, size_t size)
{
	return rig->kind->run(rig, machine, enter, argv, input, output, size);
}

int rig_machine_freeze(struct rig *rig, struct rig_machine *machine)
{
	return rig->kind->freeze(rig, machine, true);
}

int rig_machine_thaw(struct rig *rig, struct rig_machine *machine)
{
	return rig->kind->freeze(rig, machine, false);
}

int64_t rig_clock_ahead(struct rig *rig, const struct rig_machine *machine)
{
	int64_t ahead_ms = 0;

	if (!rig->kind->clock || rig->kind->clock(rig, machine, &ahead_ms))
		return 0;
	return ahead_ms;
}

int rig_node_boot(struct rig *rig, struct rig_node *node)
{
	return rig->kind->node_boot(rig, node);
}

int rig_node_kill(struct rig *rig, struct rig_node *node)
{
	return rig->kind->node_kill(rig, node);
}

int rig_node_clean(struct rig *rig)
{
	return rig->kind->node_clean ? rig->kind->node_clean(rig) : 0;
}

int rig_daemon_start(struct rig *rig, struct rig_node *node)
{
	return rig->kind->daemon_start(rig, node);
}

int rig_daemon_signal(struct rig *rig, struct rig_node *node, int number)
{
	return rig->kind->daemon_signal(rig, node, number);
}

char rig_daemon_state(struct rig *rig, struct rig_node *node, pid_t *pid)
{
	pid_t ignored;

	return rig->kind->daemon_state(rig, node, pid ? pid : &ignored);
}

bool rig_daemon_lives(struct rig *rig, struct rig_node *node)
{
	char state = rig_daemon_state(rig, node, NULL);

	return state && state != 'Z' && state != 'X';
}

int rig_net_cut(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut)
{
	return rig->kind->cut(rig, machine, network, cut);
}

int rig_net_delay(struct rig *rig, struct rig_machine *machine, unsigned milliseconds)
{
	return rig->kind->delay(rig, machine, milliseconds);
}

int rig_target_start(struct rig *rig)
{
	return rig->kind->target_start(rig);
}

int rig_target_kill(struct rig *rig)
{
	return rig->kind->target_kill(rig);
}

int rig_target_stall(struct rig *rig, bool stalled)
{
	return rig->kind->target_stall(rig, stalled);
}

int rig_target_slow(struct rig *rig, unsigned milliseconds)
{
	return rig->kind->target_slow ? rig->kind->target_slow(rig, milliseconds)
				      : rig_kind_cannot(rig, "make its target slow");
}

int rig_target_drop(struct rig *rig, const struct rig_machine *machine)
{
	return rig->kind->target_drop(rig, machine);
}

const char *rig_target_wwid(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX])
{
	return rig->kind->wwid(lun, buffer);
}

const char *rig_target_file(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX])
{
	return rig->kind->file(rig, lun, buffer);
}
