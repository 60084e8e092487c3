#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 16: a path swallows everything. Looks and orders go by the other, in the usual times: the owner stays, and when it dies
# a node with a hung path takes over as fast as any.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

up --service builtin
await_owner 120 mail
O=$OWNER
S=$(other "$O")
wait_for 30 "both paths are registered" all_registered "$O" mail 2

# What the rig's earlier scenarios have left in the histories does not count.
before_o=$(last_event "$O") before_s=$(last_event "$S")
fault cut "$O" 0
fault cut "$S" 0
for turn in 1 2 3 4 5 6 7 8 9 10 11 12; do
	age=$(view "$O" mail .look_age_ms)
	[ "$age" -lt 4000 ] || fail "the owner's last look is $age ms old (turn $turn)"
	sleep 1
done
equal "the owner" "$(owner mail)" "$O"
happened "$O" '.kind == "path" and (.text | contains("no answer for"))' "$before_o" || fail "nobody was told of the silent path"
gave_path_up() {
	happened "$S" '.kind == "path" and (.text | contains("set the device offline"))' "$before_s"
}
wait_for 60 "the kernel of $S has given its path up" gave_path_up
writes_go_on 60

began=$(date +%s%N)
fault kill "$O"
owns() {
	[ "$(state "$S" mail)" = owner ]
}
wait_for 60 "$S owns it" owns
took=$((($(date +%s%N) - began) / 1000000))
echo "took over after $took ms, by one path"
# A probe, the window, and two looks; machines under emulation may need some seconds for a step.
[ $took -lt 20000 ] || fail "the takeover took too long"
await_owner 120 mail "$S"
# What it had given up on the silent path has ended with its session: nothing is left that a reset would have to drop.
! happened "$S" '.kind == "order" and .text == "LOGICAL UNIT RESET"' "$before_s" || fail "$S has reset the logical unit"
fault heal "$S" 0
wait_for 90 "both paths are registered" all_registered "$S" mail 2
writes_go_on 30
no_conflict "$S"
verified
