#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What stands between the service and the LUN dies or hangs under it: the gate's process, the device's helper. The device
# is made anew and the service begins on it, on the same node, also when that happens twice within seconds; nothing that
# was acknowledged is lost, and no loop device stays behind.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin --defend 100ms --window 400ms --probe 400ms

# pid NODE PROGRAM
pid() {
	on "$1" pgrep -o -x "$2"
}

served_anew() {
	serves "$OWNER" mail && [ "$(epoch)" != "$writer" ]
}

# Loop devices that the node's daemon ever made, and that are attached still.
loops() {
	while read -r number sequence; do
		[ ! -e "/sys/block/loop$number/loop" ] || [ "$(cat "/sys/block/loop$number/diskseq" 2>/dev/null)" != "$sequence" ] || echo "$number"
	done <"$FOLDER/$1/loops" | sort -u | wc -l
}

one_loop() {
	[ "$(loops "$OWNER")" = 1 ]
}

# strike SIGNAL PROGRAM SECONDS: of the owner's; the service begins anew, here.
strike() {
	writes_go_on 20
	writer=$(epoch)
	echo "--- $2 on $OWNER: SIG$1"
	on "$OWNER" kill "-$1" "$(pid "$OWNER" "$2")"
	wait_for "$3" "mail is served anew on $OWNER" served_anew
	writes_go_on 20
}

await_owner 40 mail
before=$(last_event "$OWNER")
before_other=$(last_event "$(other "$OWNER")")
strike KILL nbdfuse 10
strike KILL nbdfuse 10
strike KILL nbdkit 10
strike STOP nbdfuse 15
happened "$OWNER" '.kind == "alarm" and (.text | test("has not answered"))' "$before" || fail "no alarm of the helper that hung"
if happened "$(other "$OWNER")" '.kind == "state"' "$before_other"; then fail "it was handed over, or lost"; fi
wait_for 10 "one loop device is left" one_loop

echo "--- nbdkit on $OWNER: SIGSTOP: it cannot answer a challenge any more"
first=$OWNER
on "$first" kill -STOP "$(pid "$first" nbdkit)"
await_owner 30 mail "$(other "$first")"
writes_go_on 20
wait_for 30 "$first stands by" stands_by "$first" mail

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
