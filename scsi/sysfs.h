/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small readers for sysfs, shared by those who walk it: links, attributes, whether something is
 * there. What cannot be read is empty; nothing here opens a device.
 */
#ifndef SCSI_SYSFS_H
#define SCSI_SYSFS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* FOLDER/NAME. False: too long for any file. */
bool sysfs_join(char path[PATH_MAX], const char *folder, const char *name);
/* The last part of what a link points to; "" if there is no such link, or it does not fit. */
void sysfs_link_name(const char *folder, const char *name, char *target, size_t size);
/* The first line of an attribute; "" if there is none. */
void sysfs_attribute(const char *folder, const char *name, char *value, size_t size);
/* The bytes of an attribute, such as a VPD page; returns how many, 0 if there is none. */
size_t sysfs_bytes(const char *folder, const char *name, void *data, size_t size);
bool sysfs_exists(const char *folder, const char *name);

#endif
