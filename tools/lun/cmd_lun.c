/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `lunkeeper lun`: looking at logical units and ordering by PERSISTENT RESERVE OUT, without a
 * daemon, on many devices at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/lun/lun.h"

#define LUN_TEXT_DEVICES                                                                           \
	"DEVICE is iscsi://HOST[:PORT]/TARGET/LUN, /dev/sdX, /dev/sgN, /dev/mapper/NAME (every "   \
	"path of it),\nor the name of a LUN in the configuration. {1-64} and {a,b} stand for "     \
	"several. Keys are hex, with or\nwithout 0x."

static const char *const lun_summaries[LUN_VERBS] = {
	[LUN_VERB_SHOW] =
		"Shows what a LUN is, who holds it, and every registration with what its key "
		"says.",
	[LUN_VERB_KEYS] = "Shows every registration.",
	[LUN_VERB_CAPABILITIES] =
		"Shows what REPORT CAPABILITIES answers. What is really there, `lun "
		"probe` finds.",
	[LUN_VERB_REGISTER] = "Registers a key for this nexus, or exchanges it.",
	[LUN_VERB_UNREGISTER] = "Takes this nexus' registration back.",
	[LUN_VERB_RESERVE] = "Reserves the LUN for the nexus that is registered with the key.",
	[LUN_VERB_RELEASE] = "Gives the reservation back; the registration stays.",
	[LUN_VERB_PREEMPT] = "Removes all registrations with the victim's key; if it held the "
			     "reservation, this nexus holds it from then on.",
	[LUN_VERB_CLEAR] = "Removes the reservation and every registration.",
	[LUN_VERB_TEST] = "Sends TEST UNIT READY.",
	[LUN_VERB_RESET] = "Sends LOGICAL UNIT RESET: ends every command at the LUN, of whomever.",
};

/* Fleet and output, for all that is a script on devices. */
static int lun_carry_out(const struct lun_context *context, const struct lun_devices *devices,
			 const struct lun_script *script, bool hold, uint32_t hold_ms,
			 const char *doing)
{
	struct lun_fleet_options options = {.context = context, .keep = hold, .doing = doing};
	struct lun_fleet *fleet = lun_fleet_new(devices, &options);
	json_t *results;
	int verdict;

	lun_fleet_run(fleet, script);
	results = lun_fleet_results(fleet);
	verdict = lun_results_exit(results);
	lun_print_results(results, context);
	json_decref(results);
	if (hold && !lun_fleet_interrupted(fleet)) {
		if (isatty(STDERR_FILENO))
			cli_hint("the sessions are kept; Ctrl-C ends them");
		lun_fleet_hold(fleet, hold_ms);
	}
	lun_fleet_free(fleet);
	return verdict;
}

static int lun_run(struct lun_context *context, const struct lun_script *script, char **words,
		   size_t count, bool hold, uint32_t hold_ms, const char *doing)
{
	struct lun_devices devices = {0};
	bool looks_only = !hold;
	int verdict;

	for (size_t i = 0; i < script->count; i++)
		looks_only &= !lun_verb_orders(script->steps[i].verb);
	verdict = lun_context_begin(context, looks_only);
	if (verdict < 0)
		verdict = lun_devices_make(&devices, context, words, count);
	if (verdict < 0)
		verdict = lun_carry_out(context, &devices, script, hold, hold_ms, doing);
	lun_devices_free(&devices);
	lun_context_end(context);
	return verdict;
}

static size_t lun_append_options(struct cli_option *all, size_t used, const struct cli_option *more)
{
	for (; more->name || more->letter || more->help; more++)
		all[used++] = *more;
	memset(&all[used], 0, sizeof(all[used]));
	return used;
}

/* `lun show`, `lun register`, ...: one step. */
static int cmd_lun_verb(enum lun_verb verb, int argc, char **argv)
{
	struct lun_context context = {0};
	struct lun_script script = {.count = 1};
	struct lun_step *step = &script.steps[0];
	bool hold = false;
	uint32_t hold_ms = 0;
	struct cli_option options[LUN_STEP_OPTIONS_MAX + 24];
	struct cli_option ordering[] = {
		{"dry-run", 0, CLI_OPTION_FLAG, &context.dry_run, NULL,
		 "look and say what would be sent and what it would do; send nothing"},
		{"hold", 0, CLI_OPTION_FLAG, &hold, NULL,
		 "keep the sessions afterwards until Ctrl-C (some targets, like tgt, drop a "
		 "registration with its session)"},
		{"hold-for", 0, CLI_OPTION_DURATION, &hold_ms, "TIME", "the same for so long"},
		{0},
	};
	struct cli_option showing[] = {
		{"long", 'l', CLI_OPTION_FLAG, &context.verbose, NULL,
		 "everything of each device, also of many"},
		{0},
	};
	struct cli_option common[] = {LUN_CONTEXT_OPTIONS(&context), {0}};
	char command[64], message[LUN_MESSAGE_MAX];
	struct cli_usage usage = {
		.command = command,
		.arguments = "[OPTION...] DEVICE...",
		.summary = lun_summaries[verb],
		.text = LUN_TEXT_DEVICES,
		.options = options,
		.arguments_max = SIZE_MAX,
	};
	size_t used;
	int count = 0, verdict;

	step->verb = verb;
	snprintf(command, sizeof(command), "lunkeeper lun %s", lun_verb_name(verb));
	used = lun_step_options(step, options);
	if (lun_verb_orders(verb))
		used = lun_append_options(options, used, ordering);
	if (verb == LUN_VERB_SHOW)
		used = lun_append_options(options, used, showing);
	lun_append_options(options, used, common);
	verdict = cli_parse(&usage, argc, argv, &count);
	if (verdict >= 0)
		return verdict;
	if (lun_step_check(step, message, sizeof(message))) {
		cli_error("%s", message);
		cli_hint("`%s --help` tells more", command);
		return CLI_EXIT_USAGE;
	}
	return lun_run(&context, &script, argv + 1, (size_t)count, hold || hold_ms, hold_ms,
		       lun_verb_name(verb));
}

#define LUN_COMMAND(function, verb)                                                                \
	static int function(int argc, char **argv)                                                 \
	{                                                                                          \
		return cmd_lun_verb(verb, argc, argv);                                             \
	}

LUN_COMMAND(cmd_lun_show, LUN_VERB_SHOW)
LUN_COMMAND(cmd_lun_keys, LUN_VERB_KEYS)
LUN_COMMAND(cmd_lun_capabilities, LUN_VERB_CAPABILITIES)
LUN_COMMAND(cmd_lun_register, LUN_VERB_REGISTER)
LUN_COMMAND(cmd_lun_unregister, LUN_VERB_UNREGISTER)
LUN_COMMAND(cmd_lun_reserve, LUN_VERB_RESERVE)
LUN_COMMAND(cmd_lun_preempt, LUN_VERB_PREEMPT)
LUN_COMMAND(cmd_lun_clear, LUN_VERB_CLEAR)
LUN_COMMAND(cmd_lun_test, LUN_VERB_TEST)
LUN_COMMAND(cmd_lun_reset, LUN_VERB_RESET)

/* `lun release mailstore` is said to the daemon, `lun release --key 1 DEVICE` to the device. */
static int cmd_lun_release(int argc, char **argv)
{
	bool names = argc > 1;

	for (int i = 1; i < argc; i++) {
		bool ours = strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--wait") == 0 ||
			    strncmp(argv[i], "--run", 5) == 0;

		names &= ours || (argv[i][0] != '-' && config_name_valid(argv[i]));
	}
	return names ? cmd_lun_order(argc, argv) : cmd_lun_verb(LUN_VERB_RELEASE, argc, argv);
}

/* `lun do 'STEP; STEP' DEVICE...` */
static int cmd_lun_do(int argc, char **argv)
{
	struct lun_context context = {0};
	struct lun_script script;
	bool hold = false;
	uint32_t hold_ms = 0;
	struct cli_option options[] = {
		{"force", 'f', CLI_OPTION_FLAG, &context.force, NULL,
		 "do it although somebody loses something by it"},
		{"dry-run", 0, CLI_OPTION_FLAG, &context.dry_run, NULL,
		 "look and say what would be sent and what it would do; send nothing"},
		{"hold", 0, CLI_OPTION_FLAG, &hold, NULL,
		 "keep the sessions afterwards until Ctrl-C"},
		{"hold-for", 0, CLI_OPTION_DURATION, &hold_ms, "TIME", "the same for so long"},
		LUN_CONTEXT_OPTIONS(&context),
		{0},
	};
	struct cli_usage usage = {
		.command = "lunkeeper lun do",
		.arguments = "[OPTION...] 'STEP [; STEP...]' DEVICE...",
		.summary =
			"Carries out several steps on each device in one session, so that what one "
			"registers is there for the next on targets, like tgt, that drop a "
			"registration with its session. The first step that fails is the last.",
		.text = "STEP is show, keys, capabilities, register, unregister, reserve, release, "
			"preempt, clear, test, reset\nwith their options, or `sleep 500ms`. "
			"Example:\n\n"
			"  lunkeeper lun do 'register --key 1; reserve --key 1 --type we-ro; keys' "
			"iscsi://san/iqn.x:y/{1-8}\n\n" LUN_TEXT_DEVICES,
		.options = options,
		.arguments_min = 1,
		.arguments_max = SIZE_MAX,
	};
	char message[LUN_MESSAGE_MAX];
	int count = 0, verdict = cli_parse(&usage, argc, argv, &count);

	if (verdict >= 0)
		return verdict;
	if (lun_script_parse(&script, argv[1], message, sizeof(message))) {
		cli_error("%s", message);
		return CLI_EXIT_USAGE;
	}
	verdict = lun_run(&context, &script, argv + 2, (size_t)count - 1, hold || hold_ms, hold_ms,
			  "steps");
	lun_script_free(&script);
	return verdict;
}

static const struct cli_command lun_commands[] = {
	{"list", cmd_lun_list, "Looking", "[--target URL]",
	 "the LUNs this machine sees, and what a target or portal has"},
	{"show", cmd_lun_show, NULL, "DEVICE...", "what a LUN is, who holds it, who is registered"},
	{"keys", cmd_lun_keys, NULL, "DEVICE...", "every registration"},
	{"capabilities", cmd_lun_capabilities, NULL, "DEVICE...", "REPORT CAPABILITIES"},
	{"probe", cmd_lun_probe, NULL, "DEVICE...",
	 "what a LUN can really do; leaves it as it found it"},
	{"test", cmd_lun_test, NULL, "DEVICE...", "TEST UNIT READY"},
	{"register", cmd_lun_register, "Ordering, as sg_persist does", "--key KEY DEVICE...",
	 "register or exchange a key"},
	{"unregister", cmd_lun_unregister, NULL, "--key KEY DEVICE...",
	 "take the registration back"},
	{"reserve", cmd_lun_reserve, NULL, "--key KEY DEVICE...", "take the reservation"},
	{"release", cmd_lun_release, NULL, "--key KEY DEVICE...", "give the reservation back"},
	{"preempt", cmd_lun_preempt, NULL, "--key K --victim V DEVICE...",
	 "remove another's registration, take its reservation"},
	{"clear", cmd_lun_clear, NULL, "--key KEY DEVICE...", "remove everything"},
	{"reset", cmd_lun_reset, NULL, "DEVICE...", "LOGICAL UNIT RESET"},
	{"do", cmd_lun_do, NULL, "'STEP; STEP...' DEVICE...", "several steps in one session"},
	{"shell", cmd_lun_shell, NULL, "DEVICE...", "steps from the terminal or a file"},
	{"claim", cmd_lun_order, "Owning, through the daemon", "LUN",
	 "challenge for a LUN (a healthy owner keeps it)"},
	{"take", cmd_lun_order, NULL, "LUN", "ask the owner to hand it over to this node"},
	{"yield", cmd_lun_order, NULL, "LUN [NODE]", "hand it over"},
	{"release", cmd_lun_release, NULL, "LUN",
	 "stop its service and own it no more, offering it to nobody"},
	{NULL, NULL, NULL, NULL, NULL},
};

int cmd_lun(int argc, char **argv)
{
	return cli_dispatch("lunkeeper lun",
			    "Logical units: look at them, order reservations, probe, own.",
			    lun_commands, "`lunkeeper lun COMMAND --help` tells more.", argc, argv);
}
