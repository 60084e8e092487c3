/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rigs of virtual machines, tools/rig/kind.h: QEMU without KVM, each machine with Debian's kernel.
 * All machines are in one network namespace, each with a tap on a bridge for each of the two
 * networks and one more on which only the rig's agents talk. A rig's folder is shared with its
 * machines by virtiofs, and so is what holds LunKeeper, read by them in place. Disks are in a
 * folder of their own, VM_DISKS.
 */
#ifndef TOOLS_RIG_VM_VM_H
#define TOOLS_RIG_VM_VM_H

#include <jansson.h>

#include "tools/rig/kind.h"

#define VM_DISKS "/var/lib/lunkeeper-rig"
#define VM_LINKS (RIG_NETWORKS + 1) /* the last is the agents' */
#define VM_MEMORY_MB 384            /* enough for LunKeeper and what storage needs */
#define VM_BOOT_MS 600000           /* software emulation on a busy machine */

/* files.c: folders, images, and what machines find in the rig's folder. */
const char *vm_disk(const struct rig *rig, char buffer[RIG_PATH_MAX], const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int vm_check(struct rig *rig, const struct rig_options *options);
int vm_make_files(struct rig *rig, const struct rig_options *options);
/* The folder of vmlinux, initrd and root.img; made if it is not there yet. */
int vm_make_image(struct rig *rig, char image[RIG_PATH_MAX]);
/* What holds LunKeeper: the tree it is built in, or the prefix below which it is installed. */
const char *vm_tree(void);
const char *vm_lun_file(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX]);
const char *vm_lun_wwid(unsigned lun, char buffer[RIG_PATH_MAX]);
const char *vm_lun_serial(unsigned lun, char buffer[RIG_PATH_MAX]);

/* net.c */
const char *vm_net_name(const struct rig *rig, char buffer[64]);
int vm_net_make(struct rig *rig);
int vm_net_plug(struct rig *rig, const struct rig_machine *machine);
void vm_net_remove(const struct rig *rig);
/* This thread moves into the rig's network namespace; returns a descriptor of the one it leaves,
 * for vm_net_leave(), or -errno. */
int vm_net_enter(const struct rig *rig);
void vm_net_leave(int before);
int vm_cut(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut);
int vm_delay(struct rig *rig, struct rig_machine *machine, unsigned milliseconds);

/* qemu.c */
int vm_qemu_start(struct rig *rig, struct rig_machine *machine);
int vm_qemu_kill(struct rig *rig, struct rig_machine *machine);
/* Executes a QMP command; arguments are taken (may be NULL). */
int vm_qmp(struct rig *rig, const struct rig_machine *machine, const char *command,
	   json_t *arguments);
int vm_freeze(struct rig *rig, struct rig_machine *machine, bool frozen);
int vm_link(struct rig *rig, struct rig_machine *machine, unsigned network, bool up);

/* agent.c: what goes on inside, by the agent there. */
/* A new connection, or -errno. */
int vm_agent_connect(struct rig *rig, const struct rig_machine *machine, unsigned timeout_ms);
/* Sends a job (taken) and takes the line of its answer. NULL with rig->message. The connection is
 * closed, or returned in *link if that is not NULL. */
json_t *vm_agent_ask(struct rig *rig, const struct rig_machine *machine, json_t *job,
		     unsigned timeout_ms, int *link);
int vm_exec(struct rig *rig, const struct rig_machine *machine, char *const argv[]);
int vm_run(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
	   const char *const argv[], const char *input, char *output, size_t size);
/* A line of shell; what it says in output (may be NULL). 0, or -errno with rig->message when it
 * does not end with 0. */
int vm_shell(struct rig *rig, const struct rig_machine *machine, char *output, size_t size,
	     const char *format, ...) __attribute__((format(printf, 5, 6)));
int vm_clock(struct rig *rig, const struct rig_machine *machine, int64_t *ahead_ms);
char vm_daemon_state(struct rig *rig, struct rig_node *node, pid_t *pid);
int vm_control_open(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
		    struct control_client **client);
/* Until every one of these machines says that it is ready. */
int vm_await(struct rig *rig, struct rig_machine *const machines[], size_t count);

/* target.c: LIO. */
int vm_target_start(struct rig *rig);
int vm_target_kill(struct rig *rig);
int vm_target_stall(struct rig *rig, bool stalled);
int vm_target_drop(struct rig *rig, const struct rig_machine *machine);
int vm_portal(struct rig *rig, unsigned network, bool on);
int vm_replace(struct rig *rig, unsigned lun, bool back);
int vm_resize(struct rig *rig, unsigned lun, uint64_t size);

/* session.c: sessions of a node's kernel. */
int vm_relogin(struct rig *rig, struct rig_machine *machine, unsigned network, char *told,
	       size_t size);
int vm_new_session(struct rig *rig, struct rig_machine *machine, unsigned network, char *told,
		   size_t size);

/* witness.c: notes, by this machine's clock, when a record of the writer's is
 * acknowledged. */
int vm_witness_start(struct rig *rig);

#endif
