/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of the configuration share: collecting faults, the tree's memory, and the steps
 * from a file to a tree: characters (text.c), libconfuse (read.c), values
 * (parse.c, value.c), cross-checks (check.c).
 */
#ifndef CLUSTER_CONFIG_PRIVATE_H
#define CLUSTER_CONFIG_PRIVATE_H

#include "cluster/config/config.h"

/* One key of a block: of the file itself, or of a section. */
struct config_key {
	const char *name;
	const struct config_key
		*section; /* keys of the section that it opens; NULL: it has a value */
	bool list;
	bool required;
};

/* The file as it was read, before any value is looked at; lives as long as the tree. */
struct config_value {
	struct config_value *next;
	const char *text;
	int line;
};

struct config_setting {
	struct config_value *first, *last;
	size_t count, seen;
	bool twice;
};

#define CONFIG_KEYS_MAX 24 /* of one block; more than any table has */

struct config_block {
	const struct config_key *keys; /* of this kind of block */
	const char *kind, *title;
	int line;
	bool twice; /* one of its kind and title is there already; not in the list of the outer */
	struct config_block *parent, *first, *next;
	struct config_setting settings[CONFIG_KEYS_MAX]; /* in the order of the keys */
};

extern const struct config_key config_keys_top[], config_keys_node[], config_keys_lun[],
	config_keys_service[], config_keys_resource[];

/* The tree as config_parse() leaves it, with names not yet resolved, and as config_check()
 * completes it. */
struct config_names {
	const char **list;
	const int *lines;
	size_t count;
	bool given;
};

struct config_raw_lun {
	struct config_names nodes;
	int type_line, automatic_line, attach_line, wwid_line;
	bool automatic;
};

struct config_raw_resource {
	struct config_names
		requires;
	const int *param_lines;
};

struct config_raw_service {
	struct config_names luns, nodes;
	int window_line, loss_line; /* for checks of times against each other */
	const struct config_raw_resource *resources;
};

struct config_chunk {
	struct config_chunk *next;
	char data[] __attribute__((aligned(16)));
};

struct config_tree {
	struct config config; /* first: config_free() comes back from it */
	struct config_chunk *chunks;
	struct config_node *nodes;
	struct config_lun *luns;
	struct config_group *groups; /* services; config_check() adds the LUNs without one */
	const struct config_raw_lun *raw_luns;
	const struct config_raw_service *raw_services;
	size_t service_count;
	int window_line, loss_line;
};

/* Zeroed memory that lives as long as the tree. A tree is small and read by a person's order;
 * without memory the process ends, as it would at the next fault of the page. */
void *config_tree_alloc(struct config_tree *tree, size_t count, size_t size);
const char *config_tree_text(struct config_tree *tree, const char *text);

struct config_context {
	const char *path;
	struct config_faults *faults;
	struct config_tree *tree;
	/* the reading broke off: what comes after it is not known, so no cross-checks */
	bool broken;
};

void config_fault(struct config_context *context, enum config_severity severity, int line,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));
#define config_error(context, line, ...) config_fault(context, CONFIG_ERROR, line, __VA_ARGS__)
#define config_warn(context, line, ...) config_fault(context, CONFIG_WARNING, line, __VA_ARGS__)
/* Text of the file for a message: control characters as '?', long ones cut. */
#define CONFIG_SHOWN_SIZE 68
const char *config_shown(const char *text, size_t length, char buffer[CONFIG_SHOWN_SIZE]);

/* Pure. Reports the characters that libconfuse would misread, and blanks comments. Returns the line
 * of the last '{' that is never closed, or 0. */
int config_text_check(struct config_context *context, char *text, size_t length);
/* Lets libconfuse read text, and reports what does not have the form of a configuration, what is
 * unknown, set twice or missing (read.c). Returns the file as one block. */
const struct config_block *config_read(struct config_context *context, const char *text);
/* Fills the tree from the file, reporting every value that is not what it must be. */
void config_parse(struct config_context *context, const struct config_block *file);
/* Checks what belongs together, resolves names and completes the tree. */
void config_check(struct config_context *context);
/* exec: paths, devices, wwid: one value each (value.c). */
void config_check_device(struct config_context *context, const char *device, int line);
void config_check_wwid(struct config_context *context, const char *wwid, int line);
const char *config_parse_agent(struct config_context *context, const char *agent, int line);
int config_size_parse(const char *text, uint64_t *bytes);

#endif
