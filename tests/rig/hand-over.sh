#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A planned hand-over, and back, and by a clean stop of the daemon: the LUN is never free, and nothing is lost.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
cli "$first" move mail "$second"
await_owner 15 mail "$second"
writes_go_on
wait_for 10 "$first stands by" stands_by "$first" mail
cli "$second" move mail
await_owner 15 mail "$first"
wait_for 10 "$second stands by" stands_by "$second" mail
writes_go_on
verified

began=$(date +%s%N)
fault quit-daemon "$first"
await_owner 15 mail "$second"
took=$((($(date +%s%N) - began) / 1000000))
[ $took -lt 8000 ] || fail "the hand-over by a clean stop took $took ms"
equal "what is left registered" "$(view "$second" mail '[.luns[0].keys[] | .node] | join(" ")')" "$second"
fault start-daemon "$first"
wait_for 10 "$first stands by" stands_by "$first" mail

cli "$second" standby
await_owner 15 mail "$first"
cli "$second" online
wait_for 10 "$second stands by" stands_by "$second" mail
equal "owners" "$(owner mail)" "$first"
verified
