/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Would LVM activate what is on a LUN, by udev or at boot? See tools/check/host.h. lvm.conf is read
 * as far as that question goes: the last setting of a key counts, wherever it stands.
 */
#include <ctype.h>
#include <limits.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "tools/check/host.h"

#define VALUES_MAX 64
#define CONF_MAX (1u << 20)

struct values {
	bool set;
	size_t count;
	char *list[VALUES_MAX]; /* in text */
};

/* Comments become blanks; strings stay. */
static void drop_comments(char *text)
{
	bool quoted = false;

	for (char *at = text; *at; at++) {
		if (*at == '\\' && quoted && at[1])
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (*at == '#' && !quoted)
			while (*at && *at != '\n')
				*at++ = ' ';
		if (!*at)
			break;
	}
}

static char *read_conf(const struct check_host *host, const char *name)
{
	char path[PATH_MAX], *text = calloc(1, CONF_MAX);
	FILE *stream = fopen(check_host_path(host, name, path), "re");
	size_t length = 0;

	if (stream && text)
		length = fread(text, 1, CONF_MAX - 1, stream);
	if (stream)
		fclose(stream);
	if (!text)
		return NULL;
	text[length] = '\0';
	drop_comments(text);
	return text;
}

/* The strings (or the bare word) behind `key =`. Cuts the text up, so one key of one copy. */
static void parse_key(char *text, const char *key, struct values *values)
{
	size_t length = strlen(key);
	char *found = NULL, *end;

	for (char *at = text; (at = strstr(at, key)) != NULL; at += length) {
		const char *after = at + length + strspn(at + length, " \t");
		char before = at == text ? '\n' : at[-1];

		if ((isspace((unsigned char)before) || before == '{' || before == '/') &&
		    *after == '=')
			found = at + (after - at) + 1;
	}
	if (!found)
		return;
	values->set = true;
	values->count = 0;
	found += strspn(found, " \t\n");
	end = *found == '[' ? strchr(found, ']') : strchr(found, '\n');
	if (*found == '[') /* a ']' may stand in a pattern */
		while (end && strchr(end, '"') &&
		       memchr(end, '\n', (size_t)(strchr(end, '"') - end)) == NULL)
			end = strchr(end + 1, ']');
	if (end)
		*end = '\0';
	if (*found != '[' && *found != '"') {
		found[strcspn(found, " \t\r}")] = '\0';
		values->list[values->count++] = found;
		return;
	}
	while (values->count < VALUES_MAX && (found = strchr(found, '"')) != NULL) {
		char *close = strchr(found + 1, '"');

		if (!close)
			break;
		*close = '\0';
		values->list[values->count++] = found + 1;
		found = close + 1;
	}
}

struct lvm_conf {
	char *texts[8];
	size_t text_count;
	struct values filter, global_filter, volumes, devices_file;
};

static void conf_key(struct lvm_conf *conf, const struct check_host *host, const char *key,
		     struct values *values)
{
	static const char *const files[] = {"/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf"};

	for (size_t i = 0; i < 2; i++) {
		char *text = read_conf(host, files[i]);

		if (!text)
			continue;
		conf->texts[conf->text_count++] = text;
		parse_key(text, key, values);
	}
}

static void conf_free(struct lvm_conf *conf)
{
	for (size_t i = 0; i < conf->text_count; i++)
		free(conf->texts[i]);
}

bool check_lvm_filter(const char *const *patterns, size_t pattern_count,
		      const char (*names)[SG_NODE_MAX], size_t name_count)
{
	bool rejected = false;

	for (size_t n = 0; n < name_count; n++) {
		for (size_t p = 0; p < pattern_count; p++) {
			const char *pattern = patterns[p];
			char expression[512];
			size_t length = strlen(pattern);
			regex_t regex;
			bool matches;

			if (length < 3 || length >= sizeof(expression) ||
			    (pattern[0] != 'a' && pattern[0] != 'r'))
				continue;
			snprintf(expression, sizeof(expression), "%s", pattern + 2);
			if (expression[length - 3] == pattern[1] ||
			    (pattern[1] == '{' && expression[length - 3] == '}') ||
			    (pattern[1] == '[' && expression[length - 3] == ']') ||
			    (pattern[1] == '(' && expression[length - 3] == ')'))
				expression[length - 3] = '\0';
			if (regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB) != 0)
				continue;
			matches = regexec(&regex, names[n], 0, NULL, 0) == 0;
			regfree(&regex);
			if (!matches)
				continue;
			if (pattern[0] == 'a') /* one accepted name is enough */
				return true;
			rejected = true;
			break;
		}
	}
	return !rejected;
}

static bool filtered(const struct values *filter, const struct check_disk *disk)
{
	return filter->set && !check_lvm_filter((const char *const *)filter->list, filter->count,
						disk->names, disk->name_count);
}

/* A list that has no entry for this volume group: "vg", "vg/lv"; tags are taken to mean it. */
static bool not_listed(const struct values *volumes, const char *group)
{
	size_t length = strlen(group);

	if (!volumes->set || !length)
		return volumes->set && volumes->count == 0;
	for (size_t i = 0; i < volumes->count; i++) {
		const char *entry = volumes->list[i];

		if (*entry == '@' || (strncmp(entry, group, length) == 0 &&
				      (entry[length] == '\0' || entry[length] == '/')))
			return false;
	}
	return true;
}

/* With use_devicesfile = 1, LVM sees the devices of that file alone. */
static bool not_in_devices_file(const struct check_host *host, const struct values *use,
				const struct check_disk *disk)
{
	char path[PATH_MAX], line[CHECK_LINE_MAX], uuid[SIGNATURE_TEXT_MAX];
	bool listed = false;
	FILE *stream;

	if (!use->set || use->count != 1 || strcmp(use->list[0], "1") != 0)
		return false;
	stream = fopen(check_host_path(host, "/etc/lvm/devices/system.devices", path), "re");
	if (!stream)
		return false;
	snprintf(uuid, sizeof(uuid), "PVID=%.100s", disk->signature.uuid);
	while (fgets(line, sizeof(line), stream))
		listed = listed ||
			 (line[0] != '#' && (strstr(line, uuid) != NULL ||
					     (disk->lun->wwid && strlen(disk->lun->wwid) > 4 &&
					      strstr(line, disk->lun->wwid + 4) != NULL)));
	fclose(stream);
	return !listed;
}

void check_lvm(const struct check_host *host, const struct check_disk *disk)
{
	const char *group = disk->signature.volume_group, *why = NULL;
	struct lvm_conf conf = {.text_count = 0};
	char remedy[CHECK_LINE_MAX];

	conf_key(&conf, host, "filter", &conf.filter);
	conf_key(&conf, host, "global_filter", &conf.global_filter);
	conf_key(&conf, host, "auto_activation_volume_list", &conf.volumes);
	conf_key(&conf, host, "use_devicesfile", &conf.devices_file);
	if (!check_host_has(host, "/sbin/lvm") && !check_host_has(host, "/usr/sbin/lvm"))
		why = "this machine has no LVM";
	else if (disk->signature.no_autoactivation)
		why = "the volume group says that nobody activates it by itself";
	else if (filtered(&conf.global_filter, disk))
		why = "global_filter keeps LVM away from it";
	else if (filtered(&conf.filter, disk))
		why = "filter keeps LVM away from it";
	else if (not_in_devices_file(host, &conf.devices_file, disk))
		why = "it is not in LVM's devices file";
	else if (not_listed(&conf.volumes, group))
		why = "auto_activation_volume_list leaves it out";
	if (why) {
		check_say(host->run, CHECK_GOOD, disk->lun->name, "holds a physical volume%s%s; %s",
			  *group ? " of the volume group " : "", group, why);
		conf_free(&conf);
		return;
	}
	if (*group)
		snprintf(remedy, sizeof(remedy),
			 "vgchange --setautoactivation n %s   (once, on the "
			 "node that owns it)",
			 group);
	else
		snprintf(
			remedy, sizeof(remedy),
			"/etc/lvm/lvm.conf: devices { global_filter = [ \"r|^%s$|\", \"a|.*|\" ] }",
			disk->place.block);
	check_remedy(
		host->run, CHECK_ERROR, disk->lun->name, remedy,
		"holds a physical volume%s%s, which LVM activates by itself when the disk appears: "
		"its volumes are then open here while another node writes to them, and every "
		"metadata command of LVM here could damage them",
		*group ? " of the volume group " : "", group);
	conf_free(&conf);
}
