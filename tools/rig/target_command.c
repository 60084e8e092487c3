/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper rig target-conf`: from options to a description of a target (tools/rig/target_conf.h),
 * and out. Passwords can come from files, so that they stand on no command line.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/cli/cli.h"
#include "tools/rig/commands.h"
#include "tools/rig/target_conf.h"

#define PATH_SIZE 4096

struct target_options {
	const char *target, *prefix, *size, *folder, *backstore, *lun_name, *nodes, *output;
	struct cli_number luns, first;
	struct cli_list portals, devices, initiators, chap, mutual, secrets;
	bool script;
};

/* What the description points into. */
struct target_work {
	struct rig_target_conf conf;
	char target[LUN_URL_TARGET_MAX];
	struct rig_target_portal portals[CLI_LIST_MAX];
	struct rig_target_lun luns[RIG_TARGET_LUN_MAX + 1];
	char names[RIG_TARGET_LUN_MAX + 1][RIG_TARGET_NAME_MAX + 8];
	char files[RIG_TARGET_LUN_MAX + 1][PATH_SIZE];
	struct rig_target_acl acls[2 * CLI_LIST_MAX];
	char initiators[2 * CLI_LIST_MAX][LUN_URL_TARGET_MAX];
	const char *nodes[2 * CLI_LIST_MAX]; /* NULL: given by its initiator name */
	char node_names[CLI_LIST_MAX][65];
};

static int work_portals(struct target_work *work, const struct target_options *options)
{
	const char *problem;

	for (size_t i = 0; i < options->portals.count; i++) {
		if (rig_target_portal_parse(&work->portals[i], options->portals.items[i],
					    &problem)) {
			cli_error("--portal %s: %s", options->portals.items[i], problem);
			return -EINVAL;
		}
	}
	work->conf.portals = work->portals;
	work->conf.portal_count = options->portals.count;
	return 0;
}

static int work_luns(struct target_work *work, const struct target_options *options)
{
	bool devices = options->devices.count > 0;
	size_t count = devices ? options->devices.count : (size_t)options->luns.value;
	uint64_t size = cli_parse_size(options->size);

	if (options->backstore && strcmp(options->backstore, devices ? "block" : "fileio") != 0) {
		cli_error(devices ? "--backstore %s: a --device is a block back store"
				  : "--backstore %s: block needs a --device for each LUN, fileio "
				    "none",
			  options->backstore);
		return -EINVAL;
	}
	if (devices && options->luns.given && options->luns.value != count) {
		cli_error("--luns %llu, but %zu devices", (unsigned long long)options->luns.value,
			  count);
		return -EINVAL;
	}
	if (!devices && !size) {
		cli_error("--size %s is no size; like 512M or 10G", options->size);
		return -EINVAL;
	}
	if (!count || options->first.value > RIG_TARGET_LUN_MAX ||
	    count + options->first.value > RIG_TARGET_LUN_MAX + 1) {
		cli_error(
			"%zu LUNs from number %llu on: targetcli maps LUN 0 to %d to an initiator",
			count, (unsigned long long)options->first.value, RIG_TARGET_LUN_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++) {
		struct rig_target_lun *lun = &work->luns[i];

		lun->number = (unsigned)(options->first.value + i);
		snprintf(work->names[i], sizeof(work->names[i]), "%.16s%u", options->lun_name,
			 lun->number);
		snprintf(work->files[i], sizeof(work->files[i]), "%s/%s.img", options->folder,
			 work->names[i]);
		lun->name = work->names[i];
		lun->device = devices ? options->devices.items[i] : NULL;
		lun->file = work->files[i];
		lun->size = size;
	}
	work->conf.luns = work->luns;
	work->conf.lun_count = count;
	return 0;
}

static void work_acl(struct target_work *work, const char *node, const char *prefix,
		     const char *name)
{
	size_t at = work->conf.acl_count++;

	snprintf(work->initiators[at], sizeof(work->initiators[at]), "%s%s%s", prefix,
		 *prefix ? ":" : "", name);
	work->acls[at].initiator = work->initiators[at];
	work->nodes[at] = node;
}

static int work_acls(struct target_work *work, const struct target_options *options)
{
	const char *at = options->nodes;

	for (size_t i = 0; at && *at; i++) {
		size_t length = strcspn(at, ",");

		if (i == CLI_LIST_MAX || !length || length >= sizeof(work->node_names[i])) {
			cli_error("--nodes %s: expected names like jerry,tom, at most %d",
				  options->nodes, CLI_LIST_MAX);
			return -EINVAL;
		}
		memcpy(work->node_names[i], at, length);
		work_acl(work, work->node_names[i], options->prefix, work->node_names[i]);
		at += length + (at[length] == ',');
	}
	for (size_t i = 0; i < options->initiators.count; i++)
		work_acl(work, NULL, "", options->initiators.items[i]);
	work->conf.acls = work->acls;
	return 0;
}

/* "jerry=rest" or "iqn...=rest", for one of the nodes, or "rest" for all of them. Returns the rest,
 * and in *only which one (-1: all). */
static const char *option_node(const struct target_work *work, const char *text, int *only)
{
	*only = -1;
	for (size_t i = 0; i < work->conf.acl_count; i++) {
		const char *const names[] = {work->nodes[i], work->acls[i].initiator};

		for (size_t j = 0; j < 2; j++) {
			size_t length = names[j] ? strlen(names[j]) : 0;

			if (length && strncmp(text, names[j], length) == 0 && text[length] == '=') {
				*only = (int)i;
				return text + length + 1;
			}
		}
	}
	return text;
}

/* Passwords are in no message. */
static int set_pair(const struct secrets *read, struct secrets *chap, bool mutual)
{
	if (mutual && !chap->found) {
		cli_error("--mutual without --chap: the node has to log in first");
		return -EINVAL;
	}
	if (!mutual) {
		*chap = *read;
		return 0;
	}
	chap->mutual = true;
	memcpy(chap->target_user, read->user, sizeof(chap->target_user));
	memcpy(chap->target_secret, read->secret, sizeof(chap->target_secret));
	return 0;
}

static int parse_pair(struct secrets *read, const char *option, const char *text)
{
	const char *colon = strchr(text, ':');

	memset(read, 0, sizeof(*read));
	if (!colon || colon == text || colon - text >= SECRETS_FIELD_MAX ||
	    strlen(colon + 1) >= SECRETS_FIELD_MAX) {
		cli_error("--%s wants [NODE=]USER:PASSWORD", option);
		return -EINVAL;
	}
	read->found = true;
	memcpy(read->user, text, (size_t)(colon - text));
	memcpy(read->secret, colon + 1, strlen(colon + 1));
	return 0;
}

/* General ones first, then those for one node, so that these count whatever the order was. */
static int work_chap(struct target_work *work, const struct cli_list *list, const char *option,
		     bool mutual, bool file)
{
	char message[500];
	struct secrets read;

	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < list->count; i++) {
			int only, error;
			const char *text = option_node(work, list->items[i], &only);

			if ((only >= 0) != (pass == 1))
				continue;
			error = file ? secrets_load(&read, work->conf.target, text, message,
						    sizeof(message))
				     : parse_pair(&read, option, text);
			if (error && file)
				cli_error("%s", message);
			if (!error && file && !read.found) {
				cli_error("secrets file %s has no line for %s", text,
					  work->conf.target);
				error = -ENOENT;
			}
			for (size_t a = 0; !error && a < work->conf.acl_count; a++) {
				if (only < 0 || a == (size_t)only)
					error = set_pair(&read, &work->acls[a].chap, mutual);
			}
			secrets_forget(&read);
			if (error)
				return error;
		}
	}
	return 0;
}

/* CHAP_N=, the name, a zero, CHAP_R=0x, 32 digits, a zero: LIO fills up to a multiple of four with
 * whatever is there, and libiscsi 1.19 reads it as text without an end. */
static void warn_mutual(const struct rig_target_conf *conf)
{
	for (size_t i = 0; i < conf->acl_count; i++) {
		const struct secrets *chap = &conf->acls[i].chap;

		if (!chap->mutual || strlen(chap->target_user) % 4 == 2)
			continue;
		cli_warn("mutual user \"%s\": iscsi:// (libiscsi) cannot log in to LIO unless that "
			 "name "
			 "has 2, 6, 10, ... characters; open-iscsi can",
			 chap->target_user);
		return;
	}
}

static int work_fill(struct target_work *work, const struct target_options *options)
{
	char message[500];

	snprintf(work->target, sizeof(work->target), "%s%s",
		 options->target ? options->target : options->prefix,
		 options->target ? "" : ":san");
	work->conf.target = work->target;
	if (work_portals(work, options) || work_luns(work, options) || work_acls(work, options) ||
	    work_chap(work, &options->secrets, "secrets", false, true) ||
	    work_chap(work, &options->chap, "chap", false, false) ||
	    work_chap(work, &options->mutual, "mutual", true, false))
		return -EINVAL;
	if (rig_target_conf_check(&work->conf, message, sizeof(message))) {
		cli_error("%s", message);
		return -EINVAL;
	}
	warn_mutual(&work->conf);
	return 0;
}

static int work_write(const struct target_work *work, const struct target_options *options)
{
	FILE *out = stdout;
	bool failed;

	if (options->output) {
		/* It may hold passwords. */
		int fd = open(options->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			      options->script ? 0700 : 0600);

		if (fd >= 0 && fchmod(fd, options->script ? 0700 : 0600) == 0)
			out = fdopen(fd, "w");
		if (fd < 0 || !out || out == stdout) {
			cli_error("%s: %s", options->output, strerror(errno));
			return CLI_EXIT_FAILED;
		}
	}
	if (options->script)
		rig_target_conf_write_script(&work->conf, out);
	else
		rig_target_conf_write_batch(&work->conf, out);
	failed = fflush(out) != 0 || ferror(out);
	if (out != stdout)
		failed |= fclose(out) != 0;
	if (failed)
		cli_error("cannot write%s%s: %s", options->output ? " " : "",
			  options->output ? options->output : "", strerror(errno));
	return failed ? CLI_EXIT_FAILED : CLI_EXIT_OK;
}

static const char target_text[] =
	"Without --script it prints what targetcli reads on its standard input:\n"
	"  lunkeeper rig target-conf --nodes jerry,tom | targetcli\n"
	"With --script a shell script that also checks for what is needed, makes the folder for\n"
	"reservations that outlive a power cut, looks whether all of it came to be, and shows it:\n"
	"  lunkeeper rig target-conf --nodes jerry,tom --portal 10.0.1.10 --portal 10.0.2.10 \\\n"
	"      --device /dev/disk/by-id/ata-X --secrets chap --script --output make-san\n"
	"Nothing is changed on this machine. A secrets file is as in lunkeeper.conf(5): \"TARGET "
	"USER\n"
	"PASSWORD [TARGET'S-USER TARGET'S-PASSWORD]\", for its owner alone.";

static int target_parse(struct target_options *options, int argc, char **argv)
{
	const struct cli_option table[] = {
		{"target", 0, CLI_OPTION_STRING, &options->target, "IQN",
		 "the target's name (PREFIX:san)"},
		{"portal", 0, CLI_OPTION_LIST, &options->portals, "ADDRESS[:PORT]",
		 "listen there only; once for each network, usually two (every address, 3260)"},
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "LUNs"},
		{"device", 0, CLI_OPTION_LIST, &options->devices, "PATH",
		 "a block device, for one LUN; by /dev/disk/by-id"},
		{"luns", 0, CLI_OPTION_UNSIGNED, &options->luns, "N",
		 "so many, on sparse files (1)"},
		{"size", 0, CLI_OPTION_STRING, &options->size, "SIZE", "of each file (1G)"},
		{"folder", 0, CLI_OPTION_STRING, &options->folder, "DIRECTORY",
		 "where the files are (" RIG_TARGET_FOLDER ")"},
		{"backstore", 0, CLI_OPTION_STRING, &options->backstore, "KIND",
		 "block or fileio; --device says it, too"},
		{"lun-name", 0, CLI_OPTION_STRING, &options->lun_name, "NAME",
		 "of back stores, in front of their numbers (lun)"},
		{"first", 0, CLI_OPTION_UNSIGNED, &options->first, "N",
		 "the first LUN's number (1)"},
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "Nodes"},
		{"nodes", 0, CLI_OPTION_STRING, &options->nodes, "A,B,...",
		 "whose initiator names are PREFIX:A, PREFIX:B"},
		{"prefix", 0, CLI_OPTION_STRING, &options->prefix, "IQN",
		 "of names that are made (" RIG_TARGET_PREFIX ")"},
		{"initiator", 0, CLI_OPTION_LIST, &options->initiators, "IQN",
		 "a node by its initiator name"},
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "CHAP, for all nodes or (NODE=) for one"},
		{"secrets", 0, CLI_OPTION_LIST, &options->secrets, "[NODE=]FILE",
		 "users and passwords, one way or mutual"},
		{"chap", 0, CLI_OPTION_LIST, &options->chap, "[NODE=]USER:PASSWORD",
		 "the same here, where others on this machine can see it"},
		{"mutual", 0, CLI_OPTION_LIST, &options->mutual, "[NODE=]USER:PASSWORD",
		 "what the target answers with"},
		{NULL, 0, CLI_OPTION_HEADING, NULL, NULL, "Output"},
		{"script", 0, CLI_OPTION_FLAG, &options->script, NULL,
		 "a shell script that does it all"},
		{"output", 'o', CLI_OPTION_STRING, &options->output, "FILE",
		 "write it there, for its owner alone"},
		{NULL, 0, CLI_OPTION_FLAG, NULL, NULL, NULL},
	};
	const struct cli_usage usage = {
		.command = "lunkeeper rig target-conf",
		.arguments = "[OPTION...]",
		.summary = "Writes how to set up LIO, the kernel's iSCSI target, with targetcli on "
			   "a machine that shall be the SAN of a test rig.",
		.text = target_text,
		.options = table,
	};
	int count;

	return cli_parse(&usage, argc, argv, &count);
}

int cmd_rig_target_conf(int argc, char **argv)
{
	struct target_options options = {.prefix = RIG_TARGET_PREFIX,
					 .size = "1G",
					 .folder = RIG_TARGET_FOLDER,
					 .lun_name = "lun",
					 .luns = {.value = 1},
					 .first = {.value = 1}};
	struct target_work *work;
	int status = target_parse(&options, argc, argv);

	if (status >= 0)
		return status;
	work = calloc(1, sizeof(*work));
	if (!work) {
		cli_error("out of memory");
		return CLI_EXIT_FAILED;
	}
	status = work_fill(work, &options) ? CLI_EXIT_USAGE : work_write(work, &options);
	explicit_bzero(work, sizeof(*work));
	free(work);
	return status;
}
