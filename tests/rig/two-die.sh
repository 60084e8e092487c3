#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 24: the owner and the first-ranked standby die together, perhaps with a challenge on the LUN. The third takes over
# within a bounded time.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --nodes 3 --names jerry,tom,spike --service builtin
await_owner 20 mail
[ "$OWNER" = jerry ] || cli "$OWNER" move mail jerry
await_owner 20 mail jerry
writes_go_on
# tom dies with its challenger's key registered: it is frozen until it is, at most for some probes.
fault stop jerry
sleep 3
fault kill tom
fault kill jerry
await_owner 30 mail spike
writes_go_on
verified
dead_are_gone() {
	[ "$(view spike mail '[.luns[0].keys[].node] | unique | join(" ")')" = spike ]
}
wait_for 10 "the dead nodes' keys are gone" dead_are_gone
fault revive tom
fault revive jerry
wait_for 15 "tom stands by" stands_by tom mail
wait_for 15 "jerry stands by" stands_by jerry mail
verified
