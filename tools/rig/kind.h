/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a kind of rig is made of. `netns` makes machines of namespaces and a tgtd (tools/rig/netns/machine.c,
 * tools/rig/netns/net.c, tools/rig/netns/node.c, tools/rig/netns/target.c); `vm` makes virtual machines with a kernel of their own,
 * LIO, open-iscsi and dm-multipath (rig_vm*.c). Everything else of the rig (its commands, faults,
 * demo, campaign) calls the functions of tools/rig/rig.h, which come here.
 *
 * Functions return 0 or -errno and leave a sentence in rig->message, unless they say something
 * else. One that is NULL is something which this kind cannot do.
 */
#ifndef TOOLS_RIG_KIND_H
#define TOOLS_RIG_KIND_H

#include "cluster/control/client.h"
#include "tools/rig/rig.h"

struct rig_kind {
	const char *name;     /* --kind, rig.json */
	const char *target;   /* what the SAN runs */
	const char *machines; /* what its machines are, for people */
	unsigned patience;    /* things take so many times as long as between namespaces */
	unsigned poll_ms;     /* how often one may ask a daemon without being in its way */

	/* Is everything here that it needs? Before anything is made. */
	int (*check)(struct rig *rig, const struct rig_options *options);
	/* Everything behind the rig's folders: LUNs, networks, SAN, nodes, daemons. */
	int (*up)(struct rig *rig, const struct rig_options *options);
	/* Ends what rig.json knows of; it may know little. Nothing here may fail for good. */
	void (*down)(struct rig *rig);
	/* Takes away what may be left of a rig of this name, whatever is known of it, when all of
	 * its processes are gone. */
	int (*sweep)(struct rig *rig); /* vm alone needs it */

	int (*node_boot)(struct rig *rig, struct rig_node *node);
	int (*node_kill)(struct rig *rig, struct rig_node *node);
	int (*node_clean)(struct rig *rig);
	int (*freeze)(struct rig *rig, struct rig_machine *machine, bool frozen);
	/* Exit status, or -errno. */
	int (*exec)(struct rig *rig, const struct rig_machine *machine, char *const argv[]);
	int (*run)(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
		   const char *const argv[], const char *input, char *output, size_t size);
	/* This machine's CLOCK_BOOTTIME minus that of the machine, now, in ms. NULL: the same. */
	int (*clock)(struct rig *rig, const struct rig_machine *machine, int64_t *ahead_ms);

	int (*daemon_start)(struct rig *rig, struct rig_node *node);
	int (*daemon_signal)(struct rig *rig, struct rig_node *node, int number);
	/* Letter of its state as in /proc/PID/stat; 0: none runs, '?': nobody can say. */
	char (*daemon_state)(struct rig *rig, struct rig_node *node, pid_t *pid);
	int (*control_open)(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
			    struct control_client **client);

	/* Faults; network: RIG_NETWORKS is all. */
	int (*cut)(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut);
	int (*delay)(struct rig *rig, struct rig_machine *machine, unsigned milliseconds);
	int (*link)(struct rig *rig, struct rig_machine *machine, unsigned network, bool up);
	int (*relogin)(struct rig *rig, struct rig_machine *machine, unsigned network, char *told,
		       size_t size);
	int (*new_session)(struct rig *rig, struct rig_machine *machine, unsigned network,
			   char *told, size_t size);
	int (*target_start)(struct rig *rig);
	int (*target_kill)(struct rig *rig);
	int (*target_stall)(struct rig *rig, bool stalled);
	int (*target_slow)(struct rig *rig, unsigned milliseconds);
	/* Returns how many sessions, or -errno. */
	int (*target_drop)(struct rig *rig, const struct rig_machine *machine);
	int (*portal)(struct rig *rig, unsigned network, bool on);
	int (*resize)(struct rig *rig, unsigned lun, uint64_t size);
	/* Another, empty logical unit under the number; back: the first again. */
	int (*replace)(struct rig *rig, unsigned lun, bool back);

	/* What VPD 83h of the LUN says. Returns buffer. */
	const char *(*wwid)(unsigned lun, char buffer[RIG_PATH_MAX]);
	/* The path of a LUN's back store on this machine. */
	const char *(*file)(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX]);
};

extern const struct rig_kind rig_kind_netns, rig_kind_vm;

/* Sets the kind, and what it does best with where nothing else was asked for: paths and, for
 * machines that are emulated, times. -EINVAL: there is no kind of this name. */
int rig_kind_choose(struct rig_options *options, const char *name);
/* NULL: there is none of this name. */
const struct rig_kind *rig_kind_find(const char *name);
/* Says that the kind cannot do it; returns -ENOTSUP. */
int rig_kind_cannot(struct rig *rig, const char *what);

#endif
