/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper help TASK`: what people do first, a short page each. Lines that begin with a node's
 * name and "# " are commands as they are typed there, with a service `mail` on a LUN `mailstore`
 * and the nodes jerry and tom; tests/rig/help.sh types them.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tools/cluster/help.h"

static const struct help_page {
	const char *name, *title, *words, *text;
} help_pages[] = {
	{"own", "Own a LUN", "own claim get lun take reserve first start",
	 "Is it the right LUN, and can it do what is needed? (Nothing is changed by this.)\n\n"
	 "    jerry# lunkeeper lun show mailstore\n"
	 "    jerry# lunkeeper check --node\n\n"
	 "A daemon claims a free LUN by itself. If that is switched off (claim = manual), or "
	 "after\n"
	 "`lunkeeper stop`, by order; a healthy owner keeps it:\n\n"
	 "    jerry# lunkeeper start mail --wait\n"
	 "    jerry# lunkeeper status mail\n\n"
	 "It is owned here when this node's column says `owner`, and `holds, gate open` for each "
	 "LUN.\n"},
	{"who", "See who holds a LUN", "who holds holder held see owner key registered reservation",
	 "Which node, since when, and why:\n\n"
	 "    jerry# lunkeeper status mail\n"
	 "    jerry# lunkeeper explain mail\n\n"
	 "Every registration, what it ought to be against what it is:\n\n"
	 "    jerry# lunkeeper ledger mailstore\n\n"
	 "What the LUN itself says, without a daemon, from anywhere that reaches it:\n\n"
	 "    jerry# lunkeeper lun keys mailstore\n"},
	{"stale-key", "Remove a stale key",
	 "stale key remove foreign clear left old registration preempt",
	 "LunKeeper removes the keys of its own cluster by itself, and never touches a foreign "
	 "one. Find\n"
	 "out first whose it is; who has it may write:\n\n"
	 "    tom# lunkeeper lun keys mailstore\n\n"
	 "If it is dead for certain, take it away by its value, here 0xbad. Only who is registered "
	 "may do\n"
	 "that, so a key for a moment; the owner and its reservation are not touched:\n\n"
	 "    tom# lunkeeper lun do 'register --key 0x7e57; preempt --victim 0xbad --force; "
	 "unregister' "
	 "mailstore\n"
	 "    tom# lunkeeper lun keys mailstore\n"},
	{"move", "Move a service to another node", "move hand over switch migrate relocate service",
	 "On the node that owns it; the service is stopped, its LUNs are handed over, never "
	 "free:\n\n"
	 "    jerry# lunkeeper move mail tom --wait\n\n"
	 "Or on the node that shall have it:\n\n"
	 "    jerry# lunkeeper lun take mailstore --wait\n"
	 "    jerry# lunkeeper status mail\n"},
	{"maintenance", "Maintenance", "maintenance upgrade reboot update work shut down standby",
	 "Of a node: everything goes to others, and nothing comes until `online`:\n\n"
	 "    jerry# lunkeeper standby --wait\n"
	 "    jerry# lunkeeper status\n"
	 "    jerry# lunkeeper online\n\n"
	 "Of a service, where it is: its LUNs are defended, but it is neither started, stopped, "
	 "recovered\n"
	 "nor handed over:\n\n"
	 "    tom# lunkeeper maintenance mail on\n"
	 "    tom# lunkeeper maintenance mail off\n"},
	{"failback", "Fail back to the first node", "failback fail back return home prefer",
	 "A service stays where it is when its first node comes back: nothing moves without need. "
	 "When it\n"
	 "suits, and the first node says `ready` in tom's status:\n\n"
	 "    tom# lunkeeper status mail\n"
	 "    tom# lunkeeper move mail jerry --wait\n"},
	{"replace-node", "Replace a node", "replace node new machine hardware dead server exchange",
	 "The new machine takes the dead one's name and id, and so its place in every list. If "
	 "its\n"
	 "initiator name is another, put that into the configuration, on every node, and into the "
	 "array's\n"
	 "access list. Keep the dead machine off the SAN. On each node that is there:\n\n"
	 "    jerry# lunkeeper check\n"
	 "    jerry# lunkeeper reload\n\n"
	 "On the new one, before its daemon is started (systemctl enable --now lunkeeperd):\n\n"
	 "    tom# lunkeeper check --node\n"
	 "    tom# lunkeeper status\n\n"
	 "It is ready when the owner's status says `ready` in its column.\n"},
	{"grow", "Grow a LUN", "grow resize size bigger larger extend capacity",
	 "Make it larger on the array. The owner notices, has the kernel's disks and its own "
	 "device follow,\n"
	 "and says so; nothing is stopped:\n\n"
	 "    jerry# lunkeeper status mail\n"
	 "    jerry# lunkeeper events --since 10m mail\n\n"
	 "Then grow the file system on the service's device, on the owner, with what belongs to "
	 "it:\n"
	 "resize2fs, xfs_growfs. LunKeeper does not do that by itself.\n"},
	{"add-path", "Add a path", "add path second portal multipath another redundant",
	 "Of an iscsi:// LUN: write its further portal into the LUN's `device` list, on every node "
	 "alike. Of\n"
	 "kernel devices: log in to the portal; multipath gathers the path, and the owner "
	 "registers it. Then\n"
	 "on every node:\n\n"
	 "    jerry# lunkeeper check\n"
	 "    jerry# lunkeeper reload\n"
	 "    jerry# lunkeeper status --verbose mail\n"
	 "    jerry# lunkeeper ledger mailstore\n\n"
	 "Each path is a row; on the owner it must be `up`, and its key as expected.\n"},
	{"alarm", "Read an alarm", "alarm alarms warning error wrong trouble problem read red",
	 "Alarms stand below the table, each with what it is about, for how long, and what to do; "
	 "they are\n"
	 "gone when what they say is so no more:\n\n"
	 "    jerry# lunkeeper status\n\n"
	 "Those of yesterday and today, with their ends; and what else happened then:\n\n"
	 "    jerry# lunkeeper events --alarms --since yesterday\n"
	 "    jerry# lunkeeper events --since 1h mail\n"
	 "    jerry# lunkeeper explain mail\n\n"
	 "`no answer for 6.5 s: the service is stopped in 13.5 s` is about the storage: look at "
	 "paths and\n"
	 "array. `held by a key that is not of this cluster`: see `lunkeeper help stale-key`.\n"},
};

#define HELP_PAGES (sizeof(help_pages) / sizeof(help_pages[0]))

static bool help_has_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = words; (at = strcasestr(at, word)); at += length)
		if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
			return true;
	return false;
}

bool help_is_task(const char *name)
{
	for (size_t p = 0; p < HELP_PAGES; p++)
		if (strcmp(help_pages[p].name, name) == 0)
			return true;
	return false;
}

/* The page that knows most of the words, if one does so alone. */
static const struct help_page *help_find(int count, char *const *words)
{
	const struct help_page *best = NULL;
	unsigned most = 0;

	for (size_t p = 0; p < HELP_PAGES; p++) {
		const struct help_page *page = &help_pages[p];
		unsigned known = 0;

		if (count == 1 && strcasecmp(words[0], page->name) == 0)
			return page;
		for (int w = 0; w < count; w++)
			known += help_has_word(page->words, words[w]);
		if (known == most)
			best = NULL;
		if (known <= most)
			continue;
		most = known;
		best = page;
	}
	return best;
}

static void help_list(FILE *out)
{
	for (size_t p = 0; p < HELP_PAGES; p++)
		fprintf(out, "  %-14s%s\n", help_pages[p].name, help_pages[p].title);
}

int help_task(int count, char *const *words)
{
	const struct help_page *page = count ? help_find(count, words) : NULL;
	const char *names[HELP_PAGES + 1], *nearest;

	if (page) {
		printf("%s%s%s\n\n%s", cli_colour(stdout, CLI_BOLD), page->title,
		       cli_colour(stdout, CLI_PLAIN), page->text);
		return CLI_EXIT_OK;
	}
	for (size_t p = 0; p < HELP_PAGES; p++)
		names[p] = help_pages[p].name;
	names[HELP_PAGES] = NULL;
	nearest = count ? cli_nearest(words[0], names) : NULL;
	cli_error("no command and no task \"%s\"", count ? words[0] : "");
	if (nearest)
		cli_hint("did you mean `lunkeeper help %s`?", nearest);
	fprintf(stderr, "Tasks with a page:\n");
	help_list(stderr);
	return CLI_EXIT_USAGE;
}

int cmd_help(int argc, char **argv)
{
	bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

	if (argc > 1 && !asked)
		return help_task(argc - 1, argv + 1);
	printf("usage: lunkeeper help TASK|COMMAND\n\nTasks with a page:\n");
	help_list(stdout);
	printf("\n`lunkeeper --help` lists the commands.\n");
	return CLI_EXIT_OK;
}
