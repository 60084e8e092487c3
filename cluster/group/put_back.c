/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a group has in the run folder, made anew when somebody has removed it.
 */
#include "cluster/group/private.h"
#include "cluster/store/flags.h"

bool group_put_back(struct group *group)
{
	struct arbiter_view view;

	if (group->started) {
		arbiter_get_view(group->arbiter, &view);
		if (view.maintenance)
			flag_set(group->home->run_folder, "maintenance", group->config->name, true);
	}
	return !group->gate_kind || group->gate_kind->put_back(group);
}
