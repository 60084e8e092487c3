#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 19: the target loses its power right behind the takeover and comes back with an older state (LIO writes its APTPL file
# without fsync), perhaps with the old owner as the holder. The new owner takes it again; the old one, which was frozen
# meanwhile, writes nothing.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin --aptpl-lazy
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
sleep 6 # the state with the first owner is on the target's disk
fault stop "$first"
holds() {
	[ "$(view "$1" mail .holder.node)" = "$1" ]
}
wait_for 30 "$second holds it" holds "$second"
fault kill-target
fault start-target
await_owner 60 mail "$second"
writes_go_on 30
alone() {
	[ "$(view "$second" mail '[.luns[0].keys[].node] | unique | join(" ")')" = "$second" ]
}
wait_for 20 "only $second is registered" alone
if happened "$second" '.text | contains("a preempted key came back as the holder")'; then
	echo "the old state came back, and was taken again"
elif happened "$second" '.text | contains("a leftover or returned key is preempted")'; then
	echo "the old key came back, and was preempted"
else
	echo "the target came back as it was"
fi
fault cont "$first"
wait_for 60 "$first stands by" stands_by "$first" mail
equal "owners" "$(owner mail)" "$second"
writes_go_on
verified
