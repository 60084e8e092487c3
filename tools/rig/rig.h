/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The embedded rig: a cluster on one machine. A *machine* of the rig is an init process with
 * network, mount, PID, UTS and IPC namespaces of its own; the SAN is one (it runs tgtd), each node
 * is one (it runs lunkeeperd). Everything that a rig has lives in its folder below RIG_ROOT or dies
 * with its machines' inits, so that `rig down` can always take all of it away, whatever happened
 * before. Functions return 0 or -errno and leave a sentence for people in rig->message.
 */
#ifndef TOOLS_RIG_RIG_H
#define TOOLS_RIG_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <jansson.h>

#define RIG_ROOT "/run/lunkeeper-rig"
#define RIG_NAME_MAX 32
#define RIG_NAME_DEFAULT "rig"
#define RIG_PATH_MAX 256
#define RIG_NODES_MAX 32
#define RIG_NETWORKS 2 /* every node reaches the SAN by two networks */
#define RIG_LUNS_MAX 4096
#define RIG_LOOPS_MAX 2048
#define RIG_TARGET_IQN "iqn.2026-01.test.rig:san"
#define RIG_PORT 3260

/* A process, which may have gone and whose number may be somebody else's by now. */
struct rig_process {
	pid_t pid;           /* 0: none */
	uint64_t start_time; /* field 22 of /proc/PID/stat */
};

struct rig_machine {
	char name[RIG_NAME_MAX];
	unsigned number; /* 0: the SAN; a node's number in the cluster otherwise */
	struct rig_process init;
	bool frozen;
	bool cut[RIG_NETWORKS];
	bool unlinked[RIG_NETWORKS]; /* vm */
};

struct rig_node {
	struct rig_machine machine;
	struct rig_process daemon;
};

/* A loop device that a node made; sequence tells one attachment from the next. */
struct rig_loop {
	unsigned number;
	uint64_t sequence;
};

struct rig_kind; /* tools/rig/kind.h */
struct control_client;

struct rig {
	const struct rig_kind *kind;
	char name[RIG_NAME_MAX];
	char folder[RIG_PATH_MAX];
	int lock;                     /* file descriptor, or -1 */
	bool complete;                /* `rig up` came to its end */
	bool daemons;                 /* nodes run lunkeeperd */
	char first_lun[RIG_NAME_MAX]; /* its name */
	uint64_t created_ms;          /* wall clock */
	char cluster[RIG_NAME_MAX];
	uint64_t lun_size;
	unsigned lun_count, io_threads;
	struct rig_machine san;
	struct rig_process target;
	bool target_stalled;
	struct rig_process slow;    /* makes the target slow */
	struct rig_process witness; /* notes when a record is acknowledged (vm) */
	unsigned memory_mb;         /* of a virtual machine */
	bool user_initiator;        /* nodes of a vm rig have no sessions of their kernel */
	struct rig_node nodes[RIG_NODES_MAX];
	size_t node_count;
	struct rig_loop loops[RIG_LOOPS_MAX];
	size_t loop_count;
	uint64_t fault_ms; /* CLOCK_BOOTTIME at which the last fault took effect */
	bool talks;        /* rig_say() says something */
	char message[512];
};

/* state.c: the folder, its lock and rig.json. */
int rig_fail(struct rig *rig, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* How far it is, for a person who waits: to the error stream, with the time since the rig was
 * begun. */
void rig_say(const struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool rig_name_is_good(const char *name);
/* "NAME"; NULL: RIG_NAME_DEFAULT, or the only rig there is. Takes the lock; waits for it. */
int rig_open(struct rig *rig, const char *name);
/* Opens for looking only: no lock, nothing may be changed or saved. */
int rig_open_reading(struct rig *rig, const char *name);
int rig_create(struct rig *rig, const char *name, const struct rig_kind *kind);
void rig_close(struct rig *rig);
int rig_save(struct rig *rig);
/* Names of all rigs, complete or not; returns how many, at most max. */
size_t rig_list(char names[][RIG_NAME_MAX], size_t max);
struct rig_node *rig_find_node(struct rig *rig, const char *name);
/* folder + "/" + formatted. Returns buffer. */
const char *rig_path(const struct rig *rig, char buffer[RIG_PATH_MAX], const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int rig_write_file(struct rig *rig, const char *path, const char *text);
/* malloc()ed, 0-ended; NULL with errno. */
char *rig_read_file(const char *path, size_t *length);
int rig_remove_tree(const char *path);

/* process.c: processes and what they say. */
uint64_t rig_now_ms(void);  /* CLOCK_BOOTTIME, as the daemon's */
uint64_t rig_wall_ms(void); /* CLOCK_REALTIME */
void rig_sleep_ms(unsigned milliseconds);
bool rig_process_lives(const struct rig_process *process);
/* 'R', 'S', 'T', 'D', ...; 0: gone. */
char rig_process_state(const struct rig_process *process);
int rig_process_note(struct rig_process *process, pid_t pid);
int rig_process_signal(const struct rig_process *process, int signal_number);
bool rig_process_wait_gone(const struct rig_process *process, unsigned timeout_ms);
/* Runs a program here, with `input` (may be NULL); what it says (both streams) goes to output.
 * Returns its exit status, 128 + signal, or -errno. */
int rig_run(const char *const argv[], const char *input, char *output, size_t size);
/* The folder of our own programs, and one of them. */
const char *rig_programs(void);
const char *rig_self(void);

/* kind.c, and tools/rig/netns/machine.c for machines that are namespaces. */
enum rig_enter {
	RIG_ENTER_NETWORK = 1,
	RIG_ENTER_ALL = 2,
};
typedef int rig_machine_setup(struct rig *rig, struct rig_machine *machine, char *message,
			      size_t size);
/* Boots it: makes the namespaces, runs setup() inside as its init, and comes back when that is
 * done. */
int rig_machine_boot(struct rig *rig, struct rig_machine *machine, rig_machine_setup *setup);
bool rig_machine_runs(const struct rig_machine *machine);
/* Every process of it dies at once, as in a power cut (cut the network first). */
int rig_machine_kill(struct rig *rig, struct rig_machine *machine);
/* In a forked child: this process moves into the machine's namespaces. 0 or -errno. */
int rig_machine_enter(const struct rig *rig, const struct rig_machine *machine,
		      enum rig_enter enter);
/* Runs fn in a child inside the machine and returns what it returns (0..255), or -errno. With
 * RIG_ENTER_ALL the child is in the PID namespace, too. */
int rig_machine_call(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
		     int (*fn)(void *user), void *user);
/* Runs a program inside with the caller's streams; exit status or -errno. */
int rig_machine_exec(struct rig *rig, const struct rig_machine *machine, char *const argv[]);
/* The same with what it says in output. */
int rig_machine_run(struct rig *rig, const struct rig_machine *machine, enum rig_enter enter,
		    const char *const argv[], const char *input, char *output, size_t size);
/* Starts a program that stays, child of the machine's init; both streams are appended to log. */
int rig_machine_spawn(struct rig *rig, const struct rig_machine *machine, const char *const argv[],
		      const char *log, struct rig_process *process);
/* This machine's CLOCK_BOOTTIME minus the machine's, now, in ms: what its daemon calls N ms was
 * N + this here, if it has not been frozen since. */
int64_t rig_clock_ahead(struct rig *rig, const struct rig_machine *machine);
/* Freezes and thaws all processes. */
int rig_machine_freeze(struct rig *rig, struct rig_machine *machine);
int rig_machine_thaw(struct rig *rig, struct rig_machine *machine);

/* cgroup.c: a control group for each machine: freezes it, and finds what is left of it. */
int rig_cgroup_make(const struct rig *rig, const char *machine);
int rig_cgroup_join(const struct rig *rig, const char *machine);
/* -ENOTSUP without a freezer. */
int rig_cgroup_freeze(const struct rig *rig, const char *machine, bool frozen);
/* Kills whatever is in the groups of this rig, and removes them. Returns how many processes it had
 * to kill, or -errno. */
int rig_cgroup_sweep(const char *rig_name);
/* Rigs that have groups. */
size_t rig_cgroup_list(char names[][RIG_NAME_MAX], size_t max);

/* tools/rig/netns/net.c: a bridge a network inside the SAN, a veth pair a node and network. */
int rig_net_make(struct rig *rig);
int rig_net_plug(struct rig *rig, struct rig_machine *machine);
/* Takes the cable out: nothing gets out any more, not even a reset. */
int rig_net_unplug(struct rig *rig, struct rig_machine *machine);
/* Packets are dropped, both ways, while the link stays up. network: RIG_NETWORKS is all. */
int rig_net_cut(struct rig *rig, struct rig_machine *machine, unsigned network, bool cut);
/* Its packets to the SAN are that much late (needs netem in the kernel: -ENOTSUP). */
int rig_net_delay(struct rig *rig, struct rig_machine *machine, unsigned milliseconds);
const char *rig_net_address(unsigned number, unsigned network, char buffer[16]);

/* tools/rig/netns/target.c: tgtd. */
int rig_target_start(struct rig *rig);
int rig_target_kill(struct rig *rig);
int rig_target_stall(struct rig *rig, bool stalled);
/* Every answer takes at least this long; 0: prompt again. */
int rig_target_slow(struct rig *rig, unsigned milliseconds);
/* Ends a node's iSCSI sessions at the target; returns how many, or -errno. */
int rig_target_drop(struct rig *rig, const struct rig_machine *machine);
const char *rig_target_url(unsigned lun, unsigned network, char buffer[RIG_PATH_MAX]);
/* What VPD 83h of the LUN says. */
const char *rig_target_wwid(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX]);
const char *rig_target_file(const struct rig *rig, unsigned lun, char buffer[RIG_PATH_MAX]);
const char *rig_initiator(const struct rig *rig, const char *node, char buffer[RIG_PATH_MAX]);

/* tools/rig/netns/node.c */
/* What every machine's init does first (rig_machine_boot()). */
int rig_node_setup(struct rig *rig, struct rig_machine *machine, char *message, size_t size);
int rig_node_boot(struct rig *rig, struct rig_node *node);
/* A power cut: the cable first, then every process. */
int rig_node_kill(struct rig *rig, struct rig_node *node);
/* What dead nodes have left in this kernel; to be called when nobody waits. */
int rig_node_clean(struct rig *rig);
/* daemon.c; state: as in /proc/PID/stat, 0: it does not run; pid may be NULL. */
int rig_node_start_daemon(struct rig *rig, struct rig_node *node);
/* Until it answers. */
int rig_node_await_daemon(struct rig *rig, struct rig_node *node, unsigned timeout_ms);
int rig_daemon_start(struct rig *rig, struct rig_node *node);
int rig_daemon_signal(struct rig *rig, struct rig_node *node, int number);
char rig_daemon_state(struct rig *rig, struct rig_node *node, pid_t *pid);
bool rig_daemon_lives(struct rig *rig, struct rig_node *node);
/* To its control socket. */
int rig_node_connect(struct rig *rig, struct rig_node *node, unsigned timeout_ms,
		     struct control_client **client);
/* A request to the node's daemon; the answer is the caller's. NULL: rig->message says why. */
json_t *rig_node_request(struct rig *rig, struct rig_node *node, const json_t *request,
			 unsigned timeout_ms);
json_t *rig_node_ask(struct rig *rig, struct rig_node *node, const char *command,
		     unsigned timeout_ms);
const char *rig_node_log(const struct rig *rig, const struct rig_node *node,
			 char buffer[RIG_PATH_MAX]);

/* loop.c: loop devices outlive the namespaces they were made in. */
void rig_loops_note(struct rig *rig);
/* By a machine's init: writes new ones down in the machine's folder. */
void rig_loops_watch(const struct rig *rig, const char *machine);
/* Detaches those noted whose node is gone; returns how many of these are still attached. */
size_t rig_loops_clear(struct rig *rig);
/* How many that the machine's daemons ever made are attached now. */
size_t rig_loops_attached(const struct rig *rig, const char *machine);

/* fuse.c: the FUSE connections that a node's devices stand on. */
struct rig_fuse {
	unsigned connection; /* its number below /sys/fs/fuse/connections */
};
/* As the machine's daemon wrote them down; returns how many, at most max. */
size_t rig_fuse_list(const struct rig *rig, const char *machine, struct rig_fuse *list, size_t max);
void rig_fuse_abort(const struct rig_fuse *list, size_t count);
/* Those of all nodes. */
void rig_fuse_abort_all(const struct rig *rig);

/* config.c */
struct rig_options {
	const char *name, *cluster;
	unsigned nodes, luns, portals, io_threads;
	uint64_t size;
	const char *names;         /* "jerry,tom", or NULL */
	const char *service;       /* a file with more configuration, "builtin", or NULL */
	const char *configuration; /* a file that replaces all of lunkeeper.conf, or NULL */
	const char *file_system;   /* of the first LUN; NULL: none */
	uint32_t defend_ms, window_ms, probe_ms, loss_ms; /* UINT32_MAX: the daemon's own */
	bool no_daemons, keep;
	const struct rig_kind *kind; /* NULL: netns */
	/* vm: */
	bool user_initiator, aptpl_lazy;
	bool quiet;               /* does not tell how far it is */
	uint32_t path_timeout_ms; /* 0: the rig's own */
	unsigned memory_mb;       /* of each machine; 0: the rig's own */
};
/* lunkeeper.conf for every node. */
int rig_write_configuration(struct rig *rig, const struct rig_options *options);
/* A folder that came with us: environment names it, or it is at one of these places (below the
 * folder of our programs; the last is NULL). NULL: not found. buffer has RIG_PATH_MAX * 2. */
const char *rig_find_folder(const char *environment, const char *const places[], char *buffer);
/* The folder of the agents that come with us; NULL: not found. */
const char *rig_services(void);
const char *rig_lun_name(const struct rig *rig, unsigned lun, char buffer[RIG_NAME_MAX]);

/* up.c */
int rig_up(struct rig *rig, const struct rig_options *options);
/* The LUNs' files, and the file system on the first. */
int rig_make_disks(struct rig *rig, const struct rig_options *options);
/* Takes away everything of the rig, in whatever state it is. */
int rig_down(const char *name, char *message, size_t size);

/* fault.c: argv[0] names the fault. */
int rig_fault(struct rig *rig, int argc, char **argv, char *told, size_t size);
void rig_fault_help(FILE *out);

#endif
