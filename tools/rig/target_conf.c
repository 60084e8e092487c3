/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The set-up of LIO for targetcli, see tools/rig/target_conf.h. Pure.
 */
#include "tools/rig/target_conf.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What a value may consist of in targetcli's grammar (configshell). There is no quoting. */
#define VALUE_OTHERS "?;&*$!#,=_\\+/.<>()~@:-%[]"

int rig_target_portal_parse(struct rig_target_portal *portal, const char *text,
			    const char **problem)
{
	const char *colon = strrchr(text, ':'), *end = text + strlen(text);
	bool bracket = *text == '[', bare6 = !bracket && colon && strchr(text, ':') != colon;
	unsigned char binary[16];

	portal->port = LUN_URL_PORT;
	if (bracket) {
		end = strchr(++text, ']');
		colon = end && end[1] == ':' ? end + 1 : NULL;
		if (!end || (end[1] && !colon)) {
			*problem = "expected [ADDRESS]:PORT";
			return -EINVAL;
		}
	}
	if (colon && !bare6) {
		char *rest;
		unsigned long port = strtoul(colon + 1, &rest, 10);

		if (!isdigit((unsigned char)colon[1]) || *rest || port < 1 || port > 65535) {
			*problem = "the port must be 1 to 65535";
			return -EINVAL;
		}
		portal->port = (uint16_t)port;
		end = bracket ? end : colon;
	}
	if ((size_t)(end - text) >= sizeof(portal->address)) {
		*problem = "no address is that long";
		return -EINVAL;
	}
	memcpy(portal->address, text, (size_t)(end - text));
	portal->address[end - text] = '\0';
	if (!(bracket || bare6 ? inet_pton(AF_INET6, portal->address, binary)
			       : inet_pton(AF_INET, portal->address, binary))) {
		*problem = "expected a numeric address, like 10.0.1.10 or fd00::10: targetcli "
			   "takes no "
			   "host names";
		return -EINVAL;
	}
	return 0;
}

/* rtslib wants a date, a '.', and one more '.' behind it (utils.py, normalize_wwn); it makes small
 * letters of capitals, so that a name with capitals would not be the one that was given. */
bool rig_target_iqn_valid(const char *name)
{
	if (!iscsi_name_valid(name) || strchr(name, '_'))
		return false;
	for (const char *at = name; *at; at++) {
		if (isupper((unsigned char)*at))
			return false;
	}
	if (strncmp(name, "iqn.", 4) != 0)
		return true;
	for (size_t i = 4; i < 11; i++) {
		if (i == 8 ? name[i] != '-' : !isdigit((unsigned char)name[i]))
			return false;
	}
	return (name[9] == '0' || name[9] == '1') && name[11] == '.' && strchr(name + 12, '.');
}

static int wrong(char *message, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(char *message, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static bool value_valid(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++) {
		if (!isascii((unsigned char)*text) ||
		    (!isalnum((unsigned char)*text) && !strchr(VALUE_OTHERS, *text)))
			return false;
	}
	return true;
}

/* Paths stand in the script, too: nothing there that a shell would make something else of. */
static bool path_valid(const char *path)
{
	return path[0] == '/' &&
	       strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			    "/_.+:@=,%-") == strlen(path);
}

static bool store_name_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= RIG_TARGET_NAME_MAX && isalnum((unsigned char)*name) &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
		       length;
}

static int check_name(const char *what, const char *name, char *message, size_t size)
{
	if (rig_target_iqn_valid(name))
		return 0;
	return wrong(message, size,
		     "%s \"%s\": targetcli takes names like %s:%s: iqn., year-month, a domain "
		     "turned round that has a dot in it; small letters, digits, '.', '-' and ':'",
		     what, name, RIG_TARGET_PREFIX, "san");
}

static int check_lun(const struct rig_target_conf *conf, size_t at, char *message, size_t size)
{
	const struct rig_target_lun *lun = &conf->luns[at];
	const char *source = lun->device ? lun->device : lun->file;

	if (!store_name_valid(lun->name))
		return wrong(message, size,
			     "LUN %u: \"%s\" is no name for a back store: 1 to %d letters, digits, "
			     "'.', '_' and '-'",
			     lun->number, lun->name, RIG_TARGET_NAME_MAX);
	if (lun->number > RIG_TARGET_LUN_MAX)
		return wrong(message, size, "LUN %u: targetcli maps LUN 0 to %d to an initiator",
			     lun->number, RIG_TARGET_LUN_MAX);
	if (!path_valid(source))
		return wrong(message, size,
			     "\"%s\": targetcli needs an absolute path of letters, digits and "
			     "/_.+:@=,%%-",
			     source);
	if (!lun->device && (lun->size < 1 << 20 || lun->size % 512))
		return wrong(message, size, "%s: a LUN has at least 1M, in whole blocks of 512",
			     source);
	for (size_t i = 0; i < at; i++) {
		const struct rig_target_lun *other = &conf->luns[i];

		if (other->number == lun->number || strcmp(other->name, lun->name) == 0 ||
		    strcmp(other->device ? other->device : other->file, source) == 0)
			return wrong(message, size, "LUN %u and LUN %u: the same %s twice",
				     other->number, lun->number,
				     other->number == lun->number          ? "number"
				     : strcmp(other->name, lun->name) == 0 ? "name"
									   : "back store");
	}
	return 0;
}

/* LIO takes a value that begins with NULL for the wish to have none. */
static int check_credential(const char *initiator, const char *what, const char *text,
			    char *message, size_t size)
{
	if (value_valid(text) && strncmp(text, "NULL", 4) != 0)
		return 0;
	return wrong(message, size,
		     "%s: its %s cannot be given to targetcli: letters, digits and "
		     "?;&*$!#,=_\\+/.<>()~@:-%%[] only, and not beginning with NULL",
		     initiator, what);
}

static int check_acl(const struct rig_target_conf *conf, size_t at, char *message, size_t size)
{
	const struct rig_target_acl *acl = &conf->acls[at];
	const struct secrets *chap = &acl->chap;

	if (check_name("initiator", acl->initiator, message, size))
		return -EINVAL;
	if (strcmp(acl->initiator, conf->target) == 0)
		return wrong(message, size, "%s is the target's name and an initiator's",
			     acl->initiator);
	for (size_t i = 0; i < at; i++) {
		if (strcmp(conf->acls[i].initiator, acl->initiator) == 0)
			return wrong(message, size, "initiator %s is given twice", acl->initiator);
	}
	if (!chap->found)
		return 0;
	if (check_credential(acl->initiator, "CHAP user", chap->user, message, size) ||
	    check_credential(acl->initiator, "CHAP password", chap->secret, message, size))
		return -EINVAL;
	if (chap->mutual &&
	    (check_credential(acl->initiator, "mutual user", chap->target_user, message, size) ||
	     check_credential(acl->initiator, "mutual password", chap->target_secret, message,
			      size)))
		return -EINVAL;
	if (strlen(chap->secret) < RIG_TARGET_SECRET_MIN ||
	    (chap->mutual && strlen(chap->target_secret) < RIG_TARGET_SECRET_MIN))
		return wrong(message, size,
			     "%s: a CHAP password has at least %d characters (RFC 7143 12.1.3)",
			     acl->initiator, RIG_TARGET_SECRET_MIN);
	if (chap->mutual && strcmp(chap->secret, chap->target_secret) == 0)
		return wrong(message, size,
			     "%s: the two passwords of mutual CHAP must differ (RFC 7143 12.1.3)",
			     acl->initiator);
	return 0;
}

int rig_target_conf_check(const struct rig_target_conf *conf, char *message, size_t size)
{
	bool chap = conf->acl_count && conf->acls[0].chap.found;

	if (check_name("target", conf->target, message, size))
		return -EINVAL;
	if (!conf->lun_count)
		return wrong(message, size, "no LUN: name block devices, or say how many files");
	if (!conf->acl_count)
		return wrong(message, size,
			     "no node: name initiators, so that nobody else gets in");
	for (size_t i = 0; i < conf->lun_count; i++) {
		if (check_lun(conf, i, message, size))
			return -EINVAL;
	}
	for (size_t i = 0; i < conf->acl_count; i++) {
		if (check_acl(conf, i, message, size))
			return -EINVAL;
		if (conf->acls[i].chap.found != chap)
			return wrong(
				message, size,
				"%s has %s CHAP password, %s has %s: a target asks all nodes for "
				"CHAP, or none",
				conf->acls[0].initiator, chap ? "a" : "no", conf->acls[i].initiator,
				chap ? "none" : "one");
	}
	for (size_t i = 0; i < conf->portal_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (conf->portals[i].port == conf->portals[j].port &&
			    strcmp(conf->portals[i].address, conf->portals[j].address) == 0)
				return wrong(message, size, "portal %s:%u is given twice",
					     conf->portals[i].address, conf->portals[i].port);
		}
	}
	return 0;
}

static void write_stores(const struct rig_target_conf *conf, FILE *out)
{
	unsigned files = 0;

	for (size_t i = 0; i < conf->lun_count; i++) {
		const struct rig_target_lun *lun = &conf->luns[i];

		if (lun->device)
			fprintf(out, "/backstores/block create name=%s dev=%s%s%s\n", lun->name,
				lun->device, lun->serial ? " wwn=" : "",
				lun->serial ? lun->serial : "");
		else if (!files++)
			fprintf(out, "# write_back=false: a write is on the disk before it is "
				     "acknowledged\n");
		if (!lun->device)
			fprintf(out,
				"/backstores/fileio create name=%s file_or_dev=%s size=%" PRIu64
				" write_back=false sparse=true%s%s\n",
				lun->name, lun->file, lun->size, lun->serial ? " wwn=" : "",
				lun->serial ? lun->serial : "");
	}
}

static void write_acls(const struct rig_target_conf *conf, FILE *out)
{
	for (size_t i = 0; i < conf->acl_count; i++) {
		const struct rig_target_acl *acl = &conf->acls[i];

		fprintf(out, "/iscsi/%s/tpg1/acls create %s add_mapped_luns=true\n", conf->target,
			acl->initiator);
		if (!acl->chap.found)
			continue;
		fprintf(out, "/iscsi/%s/tpg1/acls/%s set auth userid=%s password=%s", conf->target,
			acl->initiator, acl->chap.user, acl->chap.secret);
		if (acl->chap.mutual)
			fprintf(out, " mutual_userid=%s mutual_password=%s", acl->chap.target_user,
				acl->chap.target_secret);
		fputc('\n', out);
	}
}

void rig_target_conf_write_batch(const struct rig_target_conf *conf, FILE *out)
{
	bool chap = conf->acl_count && conf->acls[0].chap.found;

	fprintf(out, "# Back stores: what the LUNs are kept on\n");
	write_stores(conf, out);
	fprintf(out, "# The target, and where it listens\n/iscsi create %s\n", conf->target);
	if (conf->portal_count)
		fprintf(out, "/iscsi/%s/tpg1/portals delete 0.0.0.0 %d\n", conf->target,
			LUN_URL_PORT);
	for (size_t i = 0; i < conf->portal_count; i++)
		fprintf(out, "/iscsi/%s/tpg1/portals create %s %u\n", conf->target,
			conf->portals[i].address, conf->portals[i].port);
	fprintf(out,
		"# Nobody without an ACL; authentication=1 asks for CHAP\n"
		"/iscsi/%s/tpg1 set attribute generate_node_acls=0 authentication=%d\n",
		conf->target, chap);
	fprintf(out, "# LUNs\n");
	for (size_t i = 0; i < conf->lun_count; i++)
		fprintf(out, "/iscsi/%s/tpg1/luns create /backstores/%s/%s lun=%u\n", conf->target,
			conf->luns[i].device ? "block" : "fileio", conf->luns[i].name,
			conf->luns[i].number);
	fprintf(out, "# The nodes: each sees all LUNs under their numbers\n");
	write_acls(conf, out);
	fprintf(out, "# For the next boot\nsaveconfig\nexit\n");
}
