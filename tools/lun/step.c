/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Steps: what one `lun` command or one part of a `lun do` script asks for. Every service action of
 * PERSISTENT RESERVE OUT can be said, with sg_persist's names for options beside ours.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/url.h"
#include "scsi/bytes.h"
#include "tools/lun/lun.h"

static const struct {
	const char *name;
	bool orders;
	const char *doing;
} lun_verbs[LUN_VERBS] = {
	[LUN_VERB_SHOW] = {"show", false, "asking for its size"},
	[LUN_VERB_KEYS] = {"keys", false, "looking at it"},
	[LUN_VERB_CAPABILITIES] = {"capabilities", false, "sending REPORT CAPABILITIES"},
	[LUN_VERB_REGISTER] = {"register", true, "sending REGISTER"},
	[LUN_VERB_UNREGISTER] = {"unregister", true, "sending REGISTER"},
	[LUN_VERB_RESERVE] = {"reserve", true, "sending RESERVE"},
	[LUN_VERB_RELEASE] = {"release", true, "sending RELEASE"},
	[LUN_VERB_PREEMPT] = {"preempt", true, "sending PREEMPT"},
	[LUN_VERB_CLEAR] = {"clear", true, "sending CLEAR"},
	[LUN_VERB_TEST] = {"test", false, "sending TEST UNIT READY"},
	[LUN_VERB_RESET] = {"reset", true, "sending LOGICAL UNIT RESET"},
	[LUN_VERB_SLEEP] = {"sleep", false, "sleeping"},
};

const char *lun_verb_doing(enum lun_verb verb)
{
	return lun_verbs[verb].doing;
}

const char *lun_verb_name(enum lun_verb verb)
{
	return lun_verbs[verb].name;
}

bool lun_verb_orders(enum lun_verb verb)
{
	return lun_verbs[verb].orders;
}

/* Options. */

struct lun_options {
	struct cli_option *items;
	size_t count;
};

static void lun_option(struct lun_options *options, const char *name, char letter,
		       enum cli_option_kind kind, void *value, const char *argument,
		       const char *help)
{
	if (options->count + 1 == LUN_STEP_OPTIONS_MAX)
		abort();
	options->items[options->count++] = (struct cli_option){
		.name = name,
		.letter = letter,
		.kind = kind,
		.value = value,
		.argument = argument,
		.help = help,
	};
}

static const char *lun_key_help(enum lun_verb verb)
{
	switch (verb) {
	case LUN_VERB_REGISTER:
		return "the key to register, 0 to unregister; with --new-key the one that is "
		       "registered now";
	case LUN_VERB_UNREGISTER:
		return "the key that this nexus is registered with";
	default:
		return "the key that this nexus is registered with (RESERVATION KEY)";
	}
}

static void lun_register_options(struct lun_step *step, struct lun_options *options)
{
	lun_option(options, "new-key", 'n', CLI_OPTION_KEY, &step->new_key, "KEY",
		   "exchange the registered key for this one");
	lun_option(options, "ignore", 'i', CLI_OPTION_FLAG, &step->ignore, NULL,
		   "REGISTER AND IGNORE EXISTING KEY: whatever this nexus is registered with");
	lun_option(options, "aptpl", 'Z', CLI_OPTION_FLAG, &step->aptpl, NULL,
		   "keep it through a loss of power (APTPL)");
	lun_option(options, "param-aptpl", 0, CLI_OPTION_FLAG, &step->aptpl, NULL, NULL);
	lun_option(options, "all-ports", 'Y', CLI_OPTION_FLAG, &step->all_ports, NULL,
		   "on all ports of the target (ALL_TG_PT)");
	lun_option(options, "param-alltgpt", 0, CLI_OPTION_FLAG, &step->all_ports, NULL, NULL);
	lun_option(options, "move", 0, CLI_OPTION_FLAG, &step->move, NULL,
		   "REGISTER AND MOVE: register --new-key for another nexus and hand it the "
		   "reservation; it is named by --to-...");
	lun_option(options, "to-initiator", 0, CLI_OPTION_STRING, &step->to_initiator, "IQN",
		   "the other nexus' initiator name");
	lun_option(options, "to-isid", 0, CLI_OPTION_UNSIGNED, &step->to_isid, "NUMBER",
		   "its ISID, six bytes");
	lun_option(options, "to-transport-id", 'X', CLI_OPTION_STRING, &step->to_transport_id,
		   "HEX", "or its TransportID, in hex");
	lun_option(options, "transport-id", 0, CLI_OPTION_STRING, &step->to_transport_id, NULL,
		   NULL);
	lun_option(options, "target-port", 'Q', CLI_OPTION_UNSIGNED, &step->target_port, "NUMBER",
		   "the relative target port that it uses");
	lun_option(options, "relative-target-port", 0, CLI_OPTION_UNSIGNED, &step->target_port,
		   NULL, NULL);
	lun_option(options, "unreg", 'U', CLI_OPTION_FLAG, &step->unregister_after_move, NULL,
		   "and unregister this nexus");
	lun_option(options, "param-unreg", 0, CLI_OPTION_FLAG, &step->unregister_after_move, NULL,
		   NULL);
}

static void lun_order_options(struct lun_step *step, struct lun_options *options)
{
	enum lun_verb verb = step->verb;
	bool typed =
		verb == LUN_VERB_RESERVE || verb == LUN_VERB_RELEASE || verb == LUN_VERB_PREEMPT;

	lun_option(options, "key", 'k', CLI_OPTION_KEY, &step->key, "KEY", lun_key_help(verb));
	if (verb == LUN_VERB_REGISTER)
		lun_register_options(step, options);
	if (verb == LUN_VERB_UNREGISTER)
		lun_option(options, "ignore", 'i', CLI_OPTION_FLAG, &step->ignore, NULL,
			   "whatever this nexus is registered with");
	if (verb == LUN_VERB_PREEMPT) {
		lun_option(options, "victim", 'v', CLI_OPTION_KEY, &step->victim, "KEY",
			   "the key whose registrations go (SERVICE ACTION RESERVATION KEY)");
		lun_option(options, "abort", 'A', CLI_OPTION_FLAG, &step->abort, NULL,
			   "PREEMPT AND ABORT: abort its commands too");
	}
	if (typed) {
		lun_option(options, "type", 'T', CLI_OPTION_STRING, &step->type_text, "TYPE",
			   verb == LUN_VERB_RESERVE
				   ? "we-ro (5, the default), ea-ro (6), we (1), ea (3), "
				     "we-ar (7), ea-ar (8)"
				   : "as --type of reserve; without it that of the reservation");
		lun_option(options, "prout-type", 0, CLI_OPTION_STRING, &step->type_text, NULL,
			   NULL);
	}
	lun_option(options, "param-rk", 'K', CLI_OPTION_KEY, &step->raw_key, "KEY",
		   "RESERVATION KEY as it is sent (sg_persist)");
	lun_option(options, "param-sark", 'S', CLI_OPTION_KEY, &step->raw_service_key, "KEY",
		   "SERVICE ACTION RESERVATION KEY as it is sent (sg_persist)");
	lun_option(options, "path", 'p', CLI_OPTION_STRING, &step->path, "PATH",
		   "only by this path: its number from 0, or its name");
	lun_option(options, "all-paths", 0, CLI_OPTION_FLAG, &step->all_paths, NULL,
		   "by every path, one after the other (register and unregister do)");
}

size_t lun_step_options(struct lun_step *step, struct cli_option *items)
{
	struct lun_options options = {.items = items};

	switch (step->verb) {
	case LUN_VERB_REGISTER:
	case LUN_VERB_UNREGISTER:
	case LUN_VERB_RESERVE:
	case LUN_VERB_RELEASE:
	case LUN_VERB_PREEMPT:
	case LUN_VERB_CLEAR:
		lun_order_options(step, &options);
		break;
	case LUN_VERB_TEST:
	case LUN_VERB_RESET:
	case LUN_VERB_CAPABILITIES:
		lun_option(&options, "path", 'p', CLI_OPTION_STRING, &step->path, "PATH",
			   "by this path: its number from 0, or its name");
		break;
	case LUN_VERB_SHOW:
	case LUN_VERB_KEYS:
	case LUN_VERB_SLEEP:
	case LUN_VERBS:
		break;
	}
	if (lun_verb_orders(step->verb))
		lun_option(&options, "force", 'f', CLI_OPTION_FLAG, &step->force, NULL,
			   "do it although somebody loses something by it");
	items[options.count] = (struct cli_option){0};
	return options.count;
}

/* TransportIDs (SPC-5 7.6.4): iSCSI by name and ISID, anything by hex. */

static int lun_transport_id_from_hex(struct lun_step *step, char *message, size_t size)
{
	const char *text = step->to_transport_id;
	uint32_t length = 0;

	for (; text[0] && text[1] && length < sizeof(step->transport_id); length++) {
		unsigned value;

		if (text[0] == ' ' || text[0] == ',') {
			text++;
			length--;
			continue;
		}
		if (strspn(text, "0123456789abcdefABCDEF") < 2 || sscanf(text, "%2x", &value) != 1)
			break;
		step->transport_id[length] = (uint8_t)value;
		text += 2;
	}
	step->transport_id_length = length;
	if (!*text && length >= 24 && length % 4 == 0)
		return 0;
	snprintf(message, size,
		 "--to-transport-id wants a TransportID in hex, at least 24 bytes and a "
		 "multiple of 4");
	return -EINVAL;
}

static int lun_transport_id_from_name(struct lun_step *step, char *message, size_t size)
{
	uint8_t *id = step->transport_id;
	size_t room = sizeof(step->transport_id) - 4;
	char *name = (char *)id + 4;
	int used;

	if (!iscsi_name_valid(step->to_initiator)) {
		snprintf(message, size, "--to-initiator: \"%s\" is no iSCSI name",
			 step->to_initiator);
		return -EINVAL;
	}
	if (step->to_isid.given && step->to_isid.value >> 48) {
		snprintf(message, size, "--to-isid: an ISID has six bytes");
		return -EINVAL;
	}
	memset(id, 0, sizeof(step->transport_id));
	if (step->to_isid.given)
		used = snprintf(name, room, "%s,i,0x%012llx", step->to_initiator,
				(unsigned long long)step->to_isid.value);
	else
		used = snprintf(name, room, "%s", step->to_initiator);
	if (used < 0 || (size_t)used >= room) {
		snprintf(message, size, "--to-initiator: the name is too long");
		return -EINVAL;
	}
	id[0] = (uint8_t)(0x05 | (step->to_isid.given ? 0x40 : 0));
	used = (used + 1 + 3) & ~3; /* with its 0, padded; at least 20 bytes */
	if (used < 20)
		used = 20;
	bytes_put_be16(id + 2, (uint16_t)used);
	step->transport_id_length = (uint32_t)used + 4;
	return 0;
}

static int lun_step_check_register(struct lun_step *step, char *message, size_t size)
{
	bool raw = step->raw_key.given || step->raw_service_key.given;

	if (!raw && !step->key.given && !step->new_key.given) {
		snprintf(message, size, "register: --key is missing");
		return -EINVAL;
	}
	if (!step->move) {
		if (!step->to_initiator && !step->to_transport_id && !step->unregister_after_move)
			return 0;
		snprintf(message, size, "register: --to-... and --unreg belong to --move");
		return -EINVAL;
	}
	if (!raw && (!step->key.given || !step->new_key.given)) {
		snprintf(message, size,
			 "register --move: --key (this nexus') and --new-key (the other's)");
		return -EINVAL;
	}
	if (step->ignore || (!step->to_initiator && !step->to_transport_id)) {
		snprintf(message, size,
			 step->ignore ? "register: --move or --ignore, not both"
				      : "register --move: --to-initiator is missing");
		return -EINVAL;
	}
	return step->to_transport_id ? lun_transport_id_from_hex(step, message, size)
				     : lun_transport_id_from_name(step, message, size);
}

int lun_step_check(struct lun_step *step, char *message, size_t size)
{
	const char *name = lun_verb_name(step->verb);

	if (step->type_text && pr_type_parse(step->type_text, &step->type)) {
		snprintf(message, size,
			 "%s: --type wants we-ro, ea-ro, we, ea, we-ar, ea-ar or the number, not "
			 "\"%s\"",
			 name, step->type_text);
		return -EINVAL;
	}
	if (step->path && step->all_paths) {
		snprintf(message, size, "%s: --path or --all-paths, not both", name);
		return -EINVAL;
	}
	if (step->target_port.value > UINT16_MAX) {
		snprintf(message, size, "%s: --target-port has 16 bits", name);
		return -EINVAL;
	}
	if (step->verb == LUN_VERB_REGISTER)
		return lun_step_check_register(step, message, size);
	if (step->verb == LUN_VERB_PREEMPT && !step->victim.given && !step->raw_service_key.given) {
		snprintf(message, size, "preempt: --victim is missing");
		return -EINVAL;
	}
	if (step->verb == LUN_VERB_UNREGISTER && step->key.given && step->ignore) {
		snprintf(message, size, "unregister: --key or --ignore, not both");
		return -EINVAL;
	}
	return 0;
}

/* Scripts. */

static int lun_script_verb(const char *word, enum lun_verb *verb, char *message, size_t size)
{
	const char *names[LUN_VERBS + 1];
	const char *nearest;

	for (unsigned i = 0; i < LUN_VERBS; i++) {
		names[i] = lun_verbs[i].name;
		if (strcmp(names[i], word) == 0) {
			*verb = (enum lun_verb)i;
			return 0;
		}
	}
	names[LUN_VERBS] = NULL;
	nearest = cli_nearest(word, names);
	snprintf(message, size,
		 nearest ? "unknown step \"%s\"; did you mean %s?" : "unknown step \"%s\"", word,
		 nearest);
	return -EINVAL;
}

static int lun_script_add(struct lun_script *script, const char *text, char *message, size_t size)
{
	struct cli_option options[LUN_STEP_OPTIONS_MAX];
	struct lun_step *step = &script->steps[script->count];
	char what[LUN_MESSAGE_MAX / 2];
	struct cli_usage usage = {.options = options};
	int argc, count = 0;
	char **words = cli_split(text, &argc);

	if (!words) {
		snprintf(message, size, "\"%s\": a quote is not closed", text);
		return -EINVAL;
	}
	if (argc == 0 || words[0][0] == '#') {
		free(words);
		return 0;
	}
	if (script->count == LUN_STEPS_MAX) {
		free(words);
		snprintf(message, size, "more than %d steps", LUN_STEPS_MAX);
		return -E2BIG;
	}
	script->words[script->count++] = words;
	memset(step, 0, sizeof(*step));
	if (lun_script_verb(words[0], &step->verb, message, size))
		return -EINVAL;
	lun_step_options(step, options);
	usage.arguments = step->verb == LUN_VERB_SLEEP ? "a time" : "";
	usage.arguments_min = usage.arguments_max = step->verb == LUN_VERB_SLEEP;
	if (cli_parse_quiet(&usage, argc, words, &count, what, sizeof(what)) >= 0) {
		snprintf(message, size, "%s: %s", words[0], what);
		return -EINVAL;
	}
	if (step->verb == LUN_VERB_SLEEP && cli_parse_duration(words[1], &step->sleep_ms)) {
		snprintf(message, size, "sleep wants a time with its unit, like 500ms or 2s");
		return -EINVAL;
	}
	return lun_step_check(step, message, size);
}

int lun_script_parse(struct lun_script *script, const char *text, char *message, size_t size)
{
	int error = 0;

	memset(script, 0, sizeof(*script));
	while (!error && *text) {
		size_t length = strcspn(text, ";\n");
		char *part = strndup(text, length);

		error = part ? lun_script_add(script, part, message, size) : -ENOMEM;
		free(part);
		text += length + (text[length] != '\0');
	}
	if (error)
		lun_script_free(script);
	return error;
}

void lun_script_free(struct lun_script *script)
{
	for (size_t i = 0; i < script->count; i++)
		free(script->words[i]);
	script->count = 0;
}
