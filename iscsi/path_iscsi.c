/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The path kind `iscsi`: options and URL are checked here, the session does the rest.
 */
#include "iscsi/path_iscsi.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "iscsi/initiator.h"
#include "iscsi/secrets.h"
#include "iscsi/url.h"

static const char initiator_name_file[] = "/etc/iscsi/initiatorname.iscsi";

int iscsi_initiator_name_read(const char *file, char *name, size_t size, char *message,
			      size_t message_size)
{
	static const char key[] = "InitiatorName=";
	FILE *stream = fopen(file, "re");
	char line[512];
	int error = -ENOENT;

	if (!stream) {
		error = -errno;
		snprintf(message, message_size, "initiator name: %s: %s", file, strerror(-error));
		return error;
	}
	snprintf(message, message_size, "initiator name: %s has no line InitiatorName=iqn.…", file);
	while (error == -ENOENT && fgets(line, sizeof(line), stream)) {
		char *value = line + strspn(line, " \t");

		if (strncmp(value, key, sizeof(key) - 1))
			continue;
		value += sizeof(key) - 1;
		value[strcspn(value, " \t\r\n")] = 0;
		error = 0;
		if (!iscsi_name_valid(value) || strlen(value) >= size) {
			snprintf(message, message_size,
				 "initiator name: %s: InitiatorName is no iSCSI name", file);
			error = -EINVAL;
		} else {
			snprintf(name, size, "%s", value);
		}
	}
	fclose(stream);
	return error;
}

static bool claims(const char *specification)
{
	return lun_url_claims(specification);
}

static int choose_initiator(struct session_config *config, const struct path_open_options *options,
			    const char *specification, char *message, size_t message_size)
{
	char problem[300];
	int error;

	if (!options->initiator_name) {
		error = iscsi_initiator_name_read(initiator_name_file, config->initiator_name,
						  sizeof(config->initiator_name), problem,
						  sizeof(problem));
		if (error)
			snprintf(message, message_size, "%s: %s; name one, or install open-iscsi",
				 specification, problem);
		return error;
	}
	if (iscsi_name_problem(options->initiator_name, problem, sizeof(problem))) {
		snprintf(message, message_size, "%s: initiator name '%s' %s", specification,
			 options->initiator_name, problem);
		return -EINVAL;
	}
	snprintf(config->initiator_name, sizeof(config->initiator_name), "%s",
		 options->initiator_name);
	return 0;
}

/* The secrets are read at each login; this is to say at once what is wrong with the file. */
static int check_secrets(struct session_config *config, const struct path_open_options *options,
			 const char *specification, char *message, size_t message_size)
{
	struct secrets secrets;
	char problem[400];
	int error;

	if (!options->secrets_file)
		return 0;
	if (strlen(options->secrets_file) >= sizeof(config->secrets_file)) {
		snprintf(message, message_size, "%s: the secrets file's name is too long",
			 specification);
		return -ENAMETOOLONG;
	}
	snprintf(config->secrets_file, sizeof(config->secrets_file), "%s", options->secrets_file);
	error = secrets_load(&secrets, config->url.target, config->secrets_file, problem,
			     sizeof(problem));
	secrets_forget(&secrets);
	if (error)
		snprintf(message, message_size, "%s: %s", specification, problem);
	return error;
}

static const struct path_ops operations;

static int open_paths(uv_loop_t *loop, const char *specification,
		      const struct path_open_options *options, struct path **paths, size_t *count,
		      char *message, size_t message_size)
{
	struct session_config config;
	struct path_iscsi *path;
	const char *problem;
	int error;

	*count = 0;
	memset(&config, 0, sizeof(config));
	error = lun_url_parse(&config.url, specification, &problem);
	if (error) {
		/* What is refused may hold a password: it is not repeated. */
		const char *at = strchr(specification, '@');

		snprintf(message, message_size, "%s: %s", at ? "iscsi://" : specification, problem);
		return error;
	}
	if (options->data_digest) {
		snprintf(message, message_size,
			 "%s: data digests are not supported by this libiscsi (1.19); header "
			 "digests are",
			 specification);
		return -EOPNOTSUPP;
	}
	error = choose_initiator(&config, options, specification, message, message_size);
	if (!error)
		error = check_secrets(&config, options, specification, message, message_size);
	if (error)
		return error;
	config.isid_qualifier = options->isid_qualifier;
	config.header_digest = options->header_digest;
	config.login_timeout_ms = options->login_timeout_ms;
	path = calloc(1, sizeof(*path));
	if (path) {
		path->base.ops = &operations;
		path->base.loop = loop;
		path->base.changed = options->changed;
		path->base.user = options->user;
		path->lun_field = lun_url_field(config.url.lun);
		lun_url_text(&config.url, path->base.name, sizeof(path->base.name));
	}
	if (!path || session_join(loop, &config, path) < 0) {
		free(path);
		snprintf(message, message_size, "%s: out of memory", specification);
		return -ENOMEM;
	}
	paths[0] = &path->base;
	*count = 1;
	return 0;
}

/* struct path is the first member. */
static struct path_iscsi *path_iscsi_of(struct path *path)
{
	return (struct path_iscsi *)path;
}

static void submit(struct path *path, struct scsi_request *request)
{
	session_submit(path_iscsi_of(path), request, false);
}

static void reset(struct path *path, struct scsi_request *request)
{
	session_submit(path_iscsi_of(path), request, true);
}

static void reconnect(struct path *path)
{
	session_reconnect(path_iscsi_of(path)->session);
}

static void close_path(struct path *path, void (*closed)(void *user), void *user)
{
	struct path_iscsi *iscsi = path_iscsi_of(path);

	iscsi->closed = closed;
	iscsi->closed_user = user;
	session_leave(iscsi);
}

static const struct path_ops operations = {
	.kind = "iscsi",
	.submit = submit,
	.reset = reset,
	.reconnect = reconnect,
	.close = close_path,
};

const struct path_kind path_kind_iscsi = {
	.name = "iscsi",
	.claims = claims,
	.open = open_paths,
};
