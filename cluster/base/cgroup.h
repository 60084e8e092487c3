/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Control groups of services, in the unified hierarchy (on hybrid systems, that one), below the
 * group in which the starter itself is. With them it can be proven that nothing of a service is
 * left. Names are as configured (letters, digits, '.', '_', '-', '/' between parts). All calls are
 * files of the kernel's own: none waits for a disk.
 */
#ifndef CLUSTER_BASE_CGROUP_H
#define CLUSTER_BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where this process may make groups; false: there is no unified hierarchy here, or it is
 * read-only. */
bool cgroup_root(char *root, size_t size);
/* Puts this process into root/name, which is made. Returns 0 or -errno. */
int cgroup_join(const char *root, const char *name);
/* The processes in root/name; -1 when that is not known. Up to `max` numbers are filled in. */
int cgroup_processes(const char *root, const char *name, pid_t *pids, int max);
/* SIGKILL for everybody in it, whatever forks meanwhile. */
void cgroup_kill(const char *root, const char *name);
/* Removes it if it is empty, and the folder above if that is. */
void cgroup_remove(const char *root, const char *name);
/* Removes what daemons that are gone have left where this process may make groups:
 * lunkeeper-.../service-..., if they are empty. */
void cgroup_sweep(void);

#endif
