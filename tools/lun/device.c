/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which devices a `lun` command is about: words of the command line with their ranges, LUN names
 * from the configuration; and who this machine is towards iSCSI targets.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cluster/core/key.h"
#include "iscsi/path_iscsi.h"
#include "iscsi/url.h"
#include "scsi/sg_find.h"
#include "tools/lun/lun.h"

#define LUN_INITIATOR_FILE "/etc/iscsi/initiatorname.iscsi"
#define LUN_TIMEOUT_DEFAULT_MS 15000u
#define LUN_ALTERNATIVES_DIGITS 9

const struct path_kind *const lun_path_kinds[] = {&path_kind_iscsi, &path_kind_sg, NULL};

/* Ranges. */

struct lun_words {
	char **items;
	size_t count, capacity;
	char *message;
	size_t message_size;
};

static int lun_words_add(struct lun_words *words, char *word)
{
	if (!word)
		return -ENOMEM;
	if (words->count == LUN_DEVICES_MAX) {
		snprintf(words->message, words->message_size, "more than %d devices",
			 LUN_DEVICES_MAX);
		free(word);
		return -E2BIG;
	}
	if (words->count + 1 >= words->capacity) {
		size_t capacity = words->capacity ? 2 * words->capacity : 16;
		char **items = reallocarray(words->items, capacity, sizeof(*items));

		if (!items) {
			free(word);
			return -ENOMEM;
		}
		words->items = items;
		words->capacity = capacity;
	}
	words->items[words->count++] = word;
	words->items[words->count] = NULL;
	return 0;
}

/* "8-64" or "8..64" with its digits; false: it is no range. */
static bool lun_range_parse(const char *text, size_t length, unsigned *first, unsigned *last,
			    int *digits)
{
	char buffer[2 * LUN_ALTERNATIVES_DIGITS + 4];
	char *end;

	if (length == 0 || length >= sizeof(buffer) || !isdigit((unsigned char)text[0]))
		return false;
	memcpy(buffer, text, length);
	buffer[length] = '\0';
	*digits = (int)strspn(buffer, "0123456789");
	if (*digits > LUN_ALTERNATIVES_DIGITS)
		return false;
	*first = (unsigned)strtoul(buffer, &end, 10);
	if (*end == '-')
		end++;
	else if (end[0] == '.' && end[1] == '.')
		end += 2;
	else
		return false;
	if (!isdigit((unsigned char)*end) || strspn(end, "0123456789") > LUN_ALTERNATIVES_DIGITS)
		return false;
	*last = (unsigned)strtoul(end, &end, 10);
	if (buffer[0] != '0')
		*digits = 1;
	return *end == '\0' && *first <= *last;
}

static int lun_expand_into(struct lun_words *words, const char *pattern);

static int lun_expand_with(struct lun_words *words, const char *pattern, size_t before,
			   const char *middle, size_t middle_length, const char *after)
{
	char *word;
	int error;

	if (asprintf(&word, "%.*s%.*s%s", (int)before, pattern, (int)middle_length, middle, after) <
	    0)
		return -ENOMEM;
	error = lun_expand_into(words, word);
	free(word);
	return error;
}

static int lun_expand_item(struct lun_words *words, const char *pattern, size_t before,
			   const char *item, size_t length, const char *after)
{
	unsigned first, last;
	int digits, error = 0;

	if (!lun_range_parse(item, length, &first, &last, &digits))
		return lun_expand_with(words, pattern, before, item, length, after);
	if (last - first >= LUN_DEVICES_MAX) {
		snprintf(words->message, words->message_size, "more than %d devices",
			 LUN_DEVICES_MAX);
		return -E2BIG;
	}
	for (unsigned number = first; !error && number <= last; number++) {
		char text[16];
		int used = snprintf(text, sizeof(text), "%0*u", digits, number);

		error = lun_expand_with(words, pattern, before, text, (size_t)used, after);
	}
	return error;
}

/* Expands the first pair of braces; what it makes is expanded again. */
static int lun_expand_into(struct lun_words *words, const char *pattern)
{
	const char *open = strchr(pattern, '{');
	const char *close = open ? strchr(open, '}') : NULL;
	const char *item;

	if (!open)
		return lun_words_add(words, strdup(pattern));
	if (!close || close == open + 1) {
		snprintf(words->message, words->message_size, "\"%s\": %s", pattern,
			 close ? "nothing between { and }" : "{ without }");
		return -EINVAL;
	}
	for (item = open + 1; item <= close;) {
		size_t length = strcspn(item, ",}");
		int error = lun_expand_item(words, pattern, (size_t)(open - pattern), item, length,
					    close + 1);

		if (error)
			return error;
		item += length + 1;
	}
	return 0;
}

void lun_expand_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

char **lun_expand(const char *pattern, size_t *count, char *message, size_t size)
{
	struct lun_words words = {.message = message, .message_size = size};
	int error;

	snprintf(message, size, "out of memory");
	error = lun_expand_into(&words, pattern);
	if (error) {
		lun_expand_free(words.items);
		return NULL;
	}
	*count = words.count;
	return words.items;
}

/* The context. */

static int lun_context_load(struct lun_context *context)
{
	bool asked = context->config_path != NULL;
	const char *path = asked ? context->config_path : CONFIG_PATH_DEFAULT;
	struct config_faults faults = {0};
	char text[LUN_MESSAGE_MAX];

	if (!asked && access(path, R_OK) != 0)
		return -1;
	if (config_load(path, &context->config, &faults)) {
		for (size_t i = 0; asked && i < faults.count; i++)
			cli_error("%s", config_fault_text(&faults.list[i], text, sizeof(text)));
		if (!asked) {
			cli_warn("%s has errors and is not used", path);
			cli_hint("`lunkeeper check` lists them");
		}
	}
	config_faults_free(&faults);
	return context->config || !asked ? -1 : CLI_EXIT_FAILED;
}

static void lun_context_name_node(struct lun_context *context)
{
	char host[256] = "";

	if (!context->config)
		return;
	context->has_cluster = true;
	context->cluster = key_cluster_hash(context->config->cluster);
	if (context->node_name) {
		context->node = config_find_node(context->config, context->node_name);
		return;
	}
	if (gethostname(host, sizeof(host) - 1) != 0)
		return;
	context->node = config_find_host(context->config, host);
}

static void lun_context_name_initiator(struct lun_context *context)
{
	char name[LUN_URL_TARGET_MAX], message[LUN_MESSAGE_MAX];

	if (context->initiator)
		context->own_initiator = strdup(context->initiator);
	else if (context->node && context->node->initiator)
		context->own_initiator = strdup(context->node->initiator);
	else if (iscsi_initiator_name_read(LUN_INITIATOR_FILE, name, sizeof(name), message,
					   sizeof(message)) == 0)
		context->own_initiator = strdup(name);
}

/* One descriptor for each session, and some. */
static void lun_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int lun_context_begin(struct lun_context *context, bool looks_only)
{
	int verdict = lun_context_load(context);

	if (verdict >= 0)
		return verdict;
	lun_context_name_node(context);
	if (context->node_name && context->config && !context->node) {
		cli_error("%s has no node \"%s\"", context->config->path, context->node_name);
		return CLI_EXIT_USAGE;
	}
	if (context->initiator && !iscsi_name_valid(context->initiator)) {
		cli_error("--initiator: \"%s\" is no iSCSI name", context->initiator);
		cli_hint("it begins with iqn., eui. or naa., like iqn.2024-01.org.example:jerry");
		return CLI_EXIT_USAGE;
	}
	if (context->isid.given && context->isid.value > UINT16_MAX) {
		cli_error("--isid: the qualifier has 16 bits, 0 to 0xffff");
		return CLI_EXIT_USAGE;
	}
	lun_context_name_initiator(context);
	if (context->isid.given)
		context->qualifier = (uint16_t)context->isid.value;
	else if (looks_only)
		context->qualifier =
			(uint16_t)(LUN_ISID_LOOK_FIRST + (unsigned)getpid() % LUN_ISID_LOOK_COUNT);
	else
		context->qualifier = LUN_ISID_DEFAULT;
	if (!context->secrets && context->config)
		context->secrets = context->config->secrets;
	if (!context->timeout_ms)
		context->timeout_ms = LUN_TIMEOUT_DEFAULT_MS;
	lun_raise_descriptors();
	return -1;
}

void lun_context_end(struct lun_context *context)
{
	config_free(context->config);
	free(context->own_initiator);
	context->config = NULL;
	context->own_initiator = NULL;
}

/* Devices. */

static int lun_devices_add(struct lun_devices *devices, const char *name,
			   const char *const *specifications, size_t count,
			   const struct config_lun *lun)
{
	struct lun_device *items = reallocarray(devices->items, devices->count + 1, sizeof(*items));
	struct lun_device *device;

	if (!items)
		return -ENOMEM;
	devices->items = items;
	device = &items[devices->count];
	memset(device, 0, sizeof(*device));
	device->name = strdup(name);
	device->specifications = calloc(count, sizeof(*device->specifications));
	if (!device->name || !device->specifications)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		device->specifications[i] = specifications ? specifications[i] : device->name;
	device->specification_count = count;
	device->lun = lun;
	device->wwid = lun ? lun->wwid : NULL;
	devices->count++;
	return 0;
}

static bool lun_devices_have(const struct lun_devices *devices, const char *name)
{
	for (size_t i = 0; devices->count < 1024 && i < devices->count; i++) {
		if (strcmp(devices->items[i].name, name) == 0)
			return true;
	}
	return false;
}

static int lun_unknown_name(const struct lun_context *context, const char *word)
{
	const char *names[256];
	const char *nearest;
	char node[64];
	size_t count = 0;

	snprintf(node, sizeof(node), "/dev/%.50s", word);
	if (!context->config)
		cli_error("%s: no device (no \"/\" in it), and no configuration that could name "
			  "a LUN so",
			  word);
	else
		cli_error("%s: %s has no LUN of this name", word, context->config->path);
	for (size_t i = 0; context->config && i < context->config->lun_count && count < 255; i++)
		names[count++] = context->config->luns[i].name;
	names[count] = NULL;
	nearest = cli_nearest(word, names);
	if (access(node, F_OK) == 0)
		cli_hint("did you mean %s?", node);
	else if (nearest)
		cli_hint("did you mean %s?", nearest);
	else
		cli_hint("devices are iscsi://HOST/TARGET/LUN, /dev/sdX, /dev/sgN, "
			 "/dev/mapper/NAME, or LUN names with --config");
	return CLI_EXIT_USAGE;
}

/* A kernel device is where its wwid is, whatever its name says today. What is nowhere keeps a name
 * under which nothing is. */
static char *lun_device_by_wwid(const struct config_lun *lun)
{
	const struct sg_wanted wanted = {lun->devices, lun->device_count, lun->wwid};
	struct sg_place place = {.count = 0};
	char *name = NULL;

	sg_place_find(&sg_roots_system, NULL, &wanted, &place);
	if (place.block[0] && (place.elsewhere || lun->device_count == 0))
		return strdup(place.block);
	if (lun->device_count == 0 &&
	    asprintf(&name, "/dev/disk/by-id/%s%s",
		     strncmp(lun->wwid, "naa.", 4) == 0 ? "wwn-0x" : "",
		     strncmp(lun->wwid, "naa.", 4) == 0 ? lun->wwid + 4 : lun->wwid) < 0)
		return NULL;
	return name;
}

static int lun_devices_add_lun(struct lun_devices *devices, const struct config_lun *lun)
{
	char *found = !lun->iscsi && lun->wwid ? lun_device_by_wwid(lun) : NULL;
	const char *only[] = {found};
	int rc = found ? lun_devices_add(devices, lun->name, only, 1, lun)
		       : lun_devices_add(devices, lun->name, lun->devices, lun->device_count, lun);

	if (rc == 0)
		devices->items[devices->count - 1].found = found;
	else
		free(found);
	return rc;
}

static int lun_devices_add_word(struct lun_devices *devices, const struct lun_context *context,
				const char *word)
{
	const struct config_lun *lun;

	if (lun_devices_have(devices, word))
		return -1;
	if (lun_url_claims(word) || strchr(word, '/'))
		return lun_devices_add(devices, word, NULL, 1, NULL) ? CLI_EXIT_FAILED : -1;
	lun = context->config ? config_find_lun(context->config, word) : NULL;
	if (!lun)
		return lun_unknown_name(context, word);
	return lun_devices_add_lun(devices, lun) ? CLI_EXIT_FAILED : -1;
}

int lun_devices_make(struct lun_devices *devices, const struct lun_context *context, char **words,
		     size_t count)
{
	char message[LUN_MESSAGE_MAX];
	int verdict = -1;

	for (size_t i = 0; context->all && context->config && i < context->config->lun_count; i++) {
		if (lun_devices_add_lun(devices, &context->config->luns[i]))
			return CLI_EXIT_FAILED;
	}
	for (size_t i = 0; verdict < 0 && i < count; i++) {
		size_t expanded_count = 0;
		char **expanded = lun_expand(words[i], &expanded_count, message, sizeof(message));

		if (!expanded) {
			cli_error("%s", message);
			return CLI_EXIT_USAGE;
		}
		for (size_t j = 0; verdict < 0 && j < expanded_count; j++)
			verdict = lun_devices_add_word(devices, context, expanded[j]);
		lun_expand_free(expanded);
	}
	if (verdict < 0 && devices->count == 0) {
		cli_error("no device named");
		cli_hint("give devices, or LUN names from a configuration, or --all");
		return CLI_EXIT_USAGE;
	}
	return verdict;
}

void lun_devices_free(struct lun_devices *devices)
{
	for (size_t i = 0; i < devices->count; i++) {
		free(devices->items[i].name);
		free(devices->items[i].specifications);
		free(devices->items[i].found);
	}
	free(devices->items);
	devices->items = NULL;
	devices->count = 0;
}
