#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What stands between the service and the LUN dies under it: the gate's process, the device's helper, the device itself.
# The service goes on, here or on the other node, and nothing that was acknowledged is lost.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin --defend 100ms --window 400ms --probe 400ms

# pid NODE PROGRAM
pid() {
	on "$1" pgrep -o -x "$2"
}

served_anew() {
	somebody_serves && [ "$(epoch)" != "$writer" ]
}

# strike SIGNAL PROGRAM: of the owner's; another writer runs then, wherever.
strike() {
	await_owner 40 mail
	writes_go_on
	writer=$(epoch)
	echo "--- $2 on $OWNER: SIG$1"
	on "$OWNER" kill "-$1" "$(pid "$OWNER" "$2")"
	wait_for 60 "mail is served anew" served_anew
	writes_go_on 20
}

strike KILL nbdkit
strike KILL nbdfuse
strike STOP nbdkit

await_owner 20 mail
echo "--- the gate's process is killed on $OWNER while its daemon is dead"
first=$OWNER
fault kill-daemon "$first"
on "$first" kill -9 "$(pid "$first" nbdkit)"
await_owner 40 mail "$(other "$first")"
writes_go_on 20
fault start-daemon "$first"
wait_for 30 "$first stands by" stands_by "$first" mail
writes_go_on
verified
