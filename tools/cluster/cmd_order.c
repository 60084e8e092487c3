/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Orders to the daemon about services and LUNs: claim, take, yield, release; move, start, stop,
 * standby, online, maintenance. Each is answered when it was accepted, with --wait when it is done.
 */
#include <string.h>
#include <time.h>

#include "tools/cli/daemon.h"

#define ORDER_WAIT_DEFAULT_MS 60000u
#define ORDER_POLL_MS 200

struct order {
	struct cli_daemon daemon;
	bool wait;
	uint32_t wait_ms;
	char command[64]; /* "lunkeeper move" */
};

struct order_kind {
	const char *name, *arguments, *summary;
	size_t arguments_min, arguments_max;
	const char *request; /* control command */
	const char *accepted, *done;
};

static const struct order_kind order_kinds[] = {
	{"claim", "[OPTION...] LUN",
	 "Challenges for a LUN (or a service's LUNs). A healthy owner keeps it and turns the "
	 "challenge away; to have it handed over, `lun take`.",
	 1, 1, "claim", "challenge begun", "owned by this node"},
	{"take", "[OPTION...] LUN",
	 "Asks the owner to stop its service and hand the LUN over to this node.", 1, 1, "take",
	 "asked for", "owned by this node"},
	{"yield", "[OPTION...] LUN [NODE]",
	 "Stops the service and hands the LUN over, to a node or to any.", 1, 2, "yield",
	 "hand-over begun", "handed over"},
	{"release", "[OPTION...] LUN",
	 "Stops the service, gives the reservation back and offers it to nobody; this node does "
	 "not "
	 "claim it by itself again.",
	 1, 1, "release", "release begun", "released"},
	{"move", "[OPTION...] SERVICE [NODE]",
	 "Stops a service here and hands it over, to a node or to any. On the node that owns it.",
	 1, 2, "yield", "hand-over begun", "handed over"},
	{"start", "[OPTION...] SERVICE",
	 "Claims a service's LUNs for this node and starts it. A healthy owner keeps them.", 1, 1,
	 "start", "start begun", "started"},
	{"stop", "[OPTION...] SERVICE",
	 "Stops a service and gives its LUNs back. On the node that owns it.", 1, 1, "stop",
	 "stop begun", "stopped"},
	{"standby", "[OPTION...]",
	 "Hands over everything that this node owns; it owns nothing until `online`.", 0, 0,
	 "standby", "handing over", "nothing is owned here"},
	{"online", "[OPTION...]", "Ends `standby`.", 0, 0, "online", "taking part again",
	 "taking part again"},
	{"maintenance", "[OPTION...] SERVICE on|off",
	 "on: the LUNs are defended, but nothing is started, stopped, recovered or handed over.", 2,
	 2, "maintenance", "set", "set"},
	{NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};

static const struct order_kind *order_find(const char *name)
{
	const struct order_kind *kind = order_kinds;

	while (kind->name && strcmp(kind->name, name) != 0)
		kind++;
	return kind;
}

/* NULL: wrong usage, said. */
static json_t *order_request(const struct order_kind *kind, char **arguments, int count)
{
	json_t *request = json_pack("{s:s}", "command", kind->request);

	if (count > 0)
		json_object_set_new(request, "group", json_string(arguments[0]));
	if (strcmp(kind->name, "maintenance") == 0) {
		bool on = strcmp(arguments[1], "on") == 0;

		if (!on && strcmp(arguments[1], "off") != 0) {
			cli_error("maintenance: on or off, not \"%s\"", arguments[1]);
			json_decref(request);
			return NULL;
		}
		json_object_set_new(request, "on", json_boolean(on));
	} else if (count > 1) {
		json_object_set_new(request, "node", json_string(arguments[1]));
	}
	return request;
}

/* The daemon answers standby at once: wait until no group is owned. */
static bool order_still_owns(const json_t *status)
{
	const json_t *group;
	size_t i;

	json_array_foreach(json_object_get(status, "groups"), i, group)
	{
		const char *state = cli_json_text(group, "state");

		if (strcmp(state, "standby") != 0 && strcmp(state, "released") != 0)
			return true;
	}
	return false;
}

static int order_await_standby(const struct order *order)
{
	static const struct timespec pause = {.tv_nsec = ORDER_POLL_MS * 1000000L};
	uint32_t waited = 0;

	for (;;) {
		json_t *status;
		bool owns;
		int verdict =
			cli_daemon_ask(&order->daemon, json_pack("{s:s}", "command", "status"),
				       CLI_ANSWER_TIMEOUT_MS, &status);

		if (verdict >= 0)
			return verdict;
		owns = order_still_owns(status);
		json_decref(status);
		if (!owns)
			return -1;
		if (waited >= order->wait_ms) {
			cli_error("standby: something is still owned after the time given; it goes "
				  "on");
			cli_hint("`lunkeeper status` shows what");
			return CLI_EXIT_FAILED;
		}
		nanosleep(&pause, NULL);
		waited += ORDER_POLL_MS;
	}
}

static void order_say(const struct order *order, const struct order_kind *kind,
		      const json_t *answer, const char *subject)
{
	bool already = strcmp(cli_json_text(answer, "result"), "already") == 0;
	const char *owner = cli_json_text(answer, "owner");

	printf("%s%s%s", subject, subject[0] ? ": " : "",
	       already       ? "nothing to do"
	       : order->wait ? kind->done
			     : kind->accepted);
	if (!already && order->wait && owner[0] && strcmp(kind->request, "yield") == 0)
		printf(" to %s", owner);
	putchar('\n');
}

static int order_send(const struct order *order, const struct order_kind *kind, json_t *request,
		      const char *subject)
{
	bool waits = order->wait && kind->arguments_max > 0;
	json_t *answer;
	int verdict;

	if (waits)
		json_object_set_new(request, "wait_ms", json_integer(order->wait_ms));
	verdict = cli_daemon_ask(&order->daemon, request,
				 CLI_ANSWER_TIMEOUT_MS + (waits ? order->wait_ms : 0), &answer);
	if (verdict >= 0)
		return verdict;
	if (order->wait && strcmp(kind->name, "standby") == 0) {
		verdict = order_await_standby(order);
		if (verdict >= 0) {
			json_decref(answer);
			return verdict;
		}
	}
	if (order->daemon.json)
		cli_json_print(json_incref(answer));
	else
		order_say(order, kind, answer, subject);
	json_decref(answer);
	return CLI_EXIT_OK;
}

static int order_run(const char *program, int argc, char **argv)
{
	const struct order_kind *kind = order_find(argv[0]);
	struct order order = {.wait_ms = ORDER_WAIT_DEFAULT_MS};
	struct cli_option options[] = {
		{"wait", 'w', CLI_OPTION_FLAG, &order.wait, NULL,
		 "return when it is done or has failed, not when it was accepted"},
		{"wait-for", 0, CLI_OPTION_DURATION, &order.wait_ms, "TIME",
		 "with --wait, so long at most (60s)"},
		CLI_DAEMON_OPTIONS(&order.daemon),
		{0},
	};
	struct cli_usage usage = {
		.command = order.command,
		.arguments = kind->arguments,
		.summary = kind->summary,
		.options = options,
		.arguments_min = kind->arguments_min,
		.arguments_max = kind->arguments_max,
	};
	json_t *request;
	int count = 0, verdict;

	snprintf(order.command, sizeof(order.command), "%s %s", program, kind->name);
	verdict = cli_parse(&usage, argc, argv, &count);
	if (verdict >= 0)
		return verdict;
	request = order_request(kind, argv + 1, count);
	if (!request)
		return CLI_EXIT_USAGE;
	return order_send(&order, kind, request, count > 0 ? argv[1] : "");
}

int cmd_order(int argc, char **argv)
{
	return order_run("lunkeeper", argc, argv);
}

int cmd_lun_order(int argc, char **argv)
{
	return order_run("lunkeeper lun", argc, argv);
}
