/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loading a configuration.
 */
#include "cluster/config/config.h"
#include "cluster/config/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void config_free(struct config *config)
{
	struct config_tree *tree = (struct config_tree *)config;

	if (!tree)
		return;
	while (tree->chunks) {
		struct config_chunk *chunk = tree->chunks;

		tree->chunks = chunk->next;
		free(chunk);
	}
	free(tree);
}

/* ---- faults ---- */

void config_faults_free(struct config_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		free(faults->list[i].file);
		free(faults->list[i].text);
	}
	free(faults->list);
	memset(faults, 0, sizeof(*faults));
}

const char *config_fault_text(const struct config_fault *fault, char *buffer, size_t size)
{
	const char *severity = fault->severity == CONFIG_ERROR ? "error" : "warning";

	if (fault->line > 0)
		snprintf(buffer, size, "%s:%d: %s: %s", fault->file, fault->line, severity,
			 fault->text);
	else
		snprintf(buffer, size, "%s: %s: %s", fault->file, severity, fault->text);
	return buffer;
}

/* ---- loading ---- */

int config_load_text(const char *path, const char *text, size_t length, struct config **config,
		     struct config_faults *faults)
{
	struct config_context context = {path, faults, calloc(1, sizeof(struct config_tree)),
					 false};
	size_t errors = faults->errors;
	char *copy = malloc(length + 1);
	int unclosed;

	if (!context.tree || !copy)
		abort();
	*config = NULL;
	context.tree->config.path = config_tree_text(context.tree, path);
	memcpy(copy, text, length);
	copy[length] = '\0';
	unclosed = config_text_check(&context, copy, length);
	/* libconfuse would put the environment into the messages, or not come back from a text */
	if (!context.broken)
		config_parse(&context, config_read(&context, copy));
	free(copy);
	if (!context.broken && unclosed) {
		config_error(&context, unclosed, "'{' is not closed: expected a '}' for it");
		context.broken = true;
	}
	if (!context.broken)
		config_check(&context);
	if (faults->errors != errors) {
		config_free(&context.tree->config);
		return -EINVAL;
	}
	*config = &context.tree->config;
	return 0;
}

/* It names programs that are run as root. Returns 0, or -EPERM with a fault. */
static int load_check_owner(struct config_context *context, const struct stat *status)
{
	if (status->st_uid != 0 && status->st_uid != geteuid()) {
		config_error(context, 0,
			     "belongs to user %u: expected root, because it names programs that "
			     "are run as root (chown root %s)",
			     (unsigned)status->st_uid, context->path);
		return -EPERM;
	}
	if (status->st_mode & 022) {
		config_error(context, 0,
			     "mode %04o lets others than its owner write it: expected 0644, "
			     "because it names programs that are run as root (chmod go-w %s)",
			     (unsigned)status->st_mode & 07777, context->path);
		return -EPERM;
	}
	return 0;
}

/* Returns the length, or -errno with a fault. */
static ssize_t load_file(struct config_context *context, char **text)
{
	int fd = open(context->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	ssize_t length = 0, got = 1;

	if (fd < 0 || fstat(fd, &status) != 0) {
		length = -errno;
		config_error(context, 0, "cannot be read: %s%s", strerror(errno),
			     errno == ENOENT ? "; expected the cluster's configuration there, or "
					       "name it by --config"
			     : errno == EACCES
				     ? "; expected to be root, or a file that this user may read"
				     : "");
	} else if (!S_ISREG(status.st_mode)) {
		length = -EINVAL;
		config_error(context, 0, "is no file");
	} else if (load_check_owner(context, &status) != 0) {
		length = -EPERM;
	} else if (status.st_size > CONFIG_FILE_MAX) {
		length = -EFBIG;
		config_error(context, 0, "has %lld bytes: expected at most %d",
			     (long long)status.st_size, CONFIG_FILE_MAX);
	} else {
		*text = malloc(CONFIG_FILE_MAX + 1);
		while (*text && got > 0 && length <= CONFIG_FILE_MAX) {
			got = read(fd, *text + length, (size_t)(CONFIG_FILE_MAX + 1 - length));
			length += got > 0 ? got : 0;
		}
		if (!*text || got < 0) {
			length = -errno;
			config_error(context, 0, "cannot be read: %s", strerror(errno));
		} else if (length > CONFIG_FILE_MAX) {
			length = -EFBIG;
			config_error(context, 0, "grew while it was read, beyond %d bytes",
				     CONFIG_FILE_MAX);
		}
	}
	if (fd >= 0)
		close(fd);
	return length;
}

int config_load(const char *path, struct config **config, struct config_faults *faults)
{
	struct config_context context = {path, faults, NULL, false};
	char *text = NULL;
	ssize_t length = load_file(&context, &text);
	int error = -EINVAL;

	*config = NULL;
	if (length >= 0)
		error = config_load_text(path, text, (size_t)length, config, faults);
	free(text);
	return error;
}
