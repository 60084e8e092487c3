/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * lunkeeper.conf of a rig: made from the options of `rig up`, the same for every node.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rig/kind.h"

const char *rig_find_folder(const char *environment, const char *const places[], char *buffer)
{
	const char *given = getenv(environment);

	if (given)
		return given;
	for (; *places && !buffer[0]; places++) {
		char path[RIG_PATH_MAX * 2], *real;

		snprintf(path, sizeof(path), "%s/%s", rig_programs(), *places);
		real = access(path, X_OK) == 0 ? realpath(path, NULL) : NULL;
		if (real)
			snprintf(buffer, RIG_PATH_MAX * 2, "%s", real);
		free(real);
	}
	return buffer[0] ? buffer : NULL;
}

const char *rig_services(void)
{
	static const char *const places[] = {"../etc/services", "../share/lunkeeper/services",
					     "../lib/lunkeeper/services", NULL};
	static char folder[RIG_PATH_MAX * 2];

	return rig_find_folder("LUNKEEPER_SERVICES", places, folder);
}

const char *rig_lun_name(const struct rig *rig, unsigned lun, char buffer[RIG_NAME_MAX])
{
	if (lun == 1 && rig->first_lun[0])
		snprintf(buffer, RIG_NAME_MAX, "%s", rig->first_lun);
	else
		snprintf(buffer, RIG_NAME_MAX, "lun%u", lun);
	return buffer;
}

static void __attribute__((format(printf, 2, 3))) add(FILE *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(out, format, arguments);
	va_end(arguments);
}

static void config_times(FILE *out, const struct rig_options *options)
{
	const struct {
		const char *name;
		uint32_t ms;
	} times[] = {{"defend", options->defend_ms},
		     {"window", options->window_ms},
		     {"probe", options->probe_ms},
		     {"loss", options->loss_ms}};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i].ms != UINT32_MAX)
			add(out, "%s = %ums\n", times[i].name, times[i].ms);
}

/* A map of multipath is named "3" and the NAA that VPD 83h says. */
static void config_device(FILE *out, const struct rig *rig, unsigned lun, unsigned portals)
{
	char text[RIG_PATH_MAX];

	if (rig->kind == &rig_kind_vm && !rig->user_initiator) {
		add(out, "\"/dev/mapper/3%s\"", rig_target_wwid(rig, lun, text) + strlen("naa."));
		return;
	}
	add(out, "{ ");
	for (unsigned i = 0; i < portals; i++)
		add(out, "%s\"%s\"", i ? ", " : "", rig_target_url(lun, i, text));
	add(out, " }");
}

static void config_luns(FILE *out, const struct rig *rig, const struct rig_options *options)
{
	char name[RIG_NAME_MAX], url[RIG_PATH_MAX];

	for (unsigned lun = 1; lun <= rig->lun_count; lun++) {
		add(out, "lun \"%s\" { device = ", rig_lun_name(rig, lun, name));
		config_device(out, rig, lun, options->portals);
		add(out, " wwid = \"%s\" }\n", rig_target_wwid(rig, lun, url));
	}
}

/* The demo's service: a file system on the LUN, and a writer on the file system. */
static void config_builtin(FILE *out, const struct rig *rig)
{
	const char *services = rig_services();

	add(out, "\nservice \"mail\" {\n  luns = { \"%s\" }\n  nodes = { ", rig->first_lun);
	for (size_t i = 0; i < rig->node_count; i++)
		add(out, "%s\"%s\"", i ? ", " : "", rig->nodes[i].machine.name);
	add(out,
	    " }\n  failback = manual\n"
	    "  resource \"store\" {\n    agent = \"exec:%s/filesystem\"\n"
	    "    params = { \"device=@%s\", \"directory=/run/mail\", \"fstype=ext4\" }\n"
	    "    monitor = 5s\n  }\n"
	    "  resource \"writer\" {\n    agent = \"exec:%s/writer\"\n"
	    "    params = { \"file=/run/mail/records\", \"log=%s/shared/%s\", "
	    "\"program=%s\" }\n"
	    "    requires = { \"store\" }\n    monitor = 2s\n  }\n}\n",
	    services, rig->first_lun, services, rig->folder,
	    rig->kind == &rig_kind_vm ? "written" : "acknowledged", rig_self());
}

static char *config_generate(struct rig *rig, const struct rig_options *options)
{
	char *text = NULL, *service = NULL, initiator[RIG_PATH_MAX];
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	add(out, "cluster = \"%s\"\n", rig->cluster);
	config_times(out, options);
	for (size_t i = 0; i < rig->node_count; i++)
		add(out, "node \"%s\" { id = %u initiator = \"%s\" }\n", rig->nodes[i].machine.name,
		    rig->nodes[i].machine.number,
		    rig_initiator(rig, rig->nodes[i].machine.name, initiator));
	config_luns(out, rig, options);
	if (options->service && !strcmp(options->service, "builtin")) {
		config_builtin(out, rig);
	} else if (options->service) {
		service = rig_read_file(options->service, NULL);
		add(out, "\n%s", service ? service : "");
		free(service);
	}
	fclose(out);
	return text;
}

int rig_write_configuration(struct rig *rig, const struct rig_options *options)
{
	const char *file = options->configuration ? options->configuration : options->service;
	char path[RIG_PATH_MAX], *text;
	int error = 0;

	if (file && strcmp(file, "builtin") && access(file, R_OK) < 0)
		return rig_fail(rig, errno, "cannot read %s: %s", file, strerror(errno));
	if (file && !strcmp(file, "builtin") && !rig_services())
		return rig_fail(rig, ENOENT,
				"the agents of etc/services are not found beside %s; set "
				"LUNKEEPER_SERVICES to their folder",
				rig_self());
	text = options->configuration ? rig_read_file(options->configuration, NULL)
				      : config_generate(rig, options);
	if (!text)
		return rig_fail(rig, ENOMEM, "cannot make the configuration");
	for (size_t i = 0; i < rig->node_count && !error; i++)
		error = rig_write_file(
			rig,
			rig_path(rig, path, "%s/etc/lunkeeper.conf", rig->nodes[i].machine.name),
			text);
	free(text);
	return error;
}
