#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 11: 256 LUNs of a dead node, LUNs above 255 among them, are taken over in well under two seconds after the decision.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

{
	echo 'service "store" { nodes = { "jerry", "tom" } luns = {'
	seq 21 276 | sed 's/.*/"lun&",/; $ s/,//'
	echo '} }'
} >"$SCRATCH/service"
up --luns 280 --size 1M --io-threads 1 --service "$SCRATCH/service"
await_owner 30 store
first=$OWNER second=$(other "$OWNER")
wait_for 10 "$second stands by" stands_by "$second" store
sleep 2
fault kill "$first"
await_owner 30 store "$second"
equal "LUNs owned" "$(view "$second" store '[.luns[] | select(.owned and .holder.self)] | length')" 256
took=$(cli "$second" events --json | jq -s 'flatten | [.[] | select(.group == "store" and .kind == "state")] |
	([.[] | select(.text | test("-> owner"))] | last | .mono_ms) - ([.[] | select(.text | test("-> seizing"))] | last | .mono_ms)')
echo "256 LUNs taken over in $took ms after the decision"
[ "$took" -lt 2000 ] || fail "the takeover took $took ms"
