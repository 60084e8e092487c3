#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 11: a hundred LUNs of a dead node, each with two paths, are taken over within seconds of the decision.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

{
	echo 'service "store" { nodes = { "jerry", "tom" } luns = {'
	seq 1 100 | sed 's/.*/"lun&",/; $ s/,//'
	echo '} }'
} >"$SCRATCH/service"
up --luns 100 --size 4M --service "$SCRATCH/service"
await_owner 120 store
first=$OWNER second=$(other "$OWNER")
wait_for 30 "$second stands by" stands_by "$second" store
sleep 2
fault kill "$first"
await_owner 60 store "$second"
equal "LUNs owned" "$(view "$second" store '[.luns[] | select(.owned and .holder.self)] | length')" 100
took=$(cli "$second" events --json | jq -s 'flatten | [.[] | select(.group == "store" and .kind == "state")] |
	([.[] | select(.text | test("-> owner"))] | last | .mono_ms) - ([.[] | select(.text | test("-> seizing"))] | last | .mono_ms)')
echo "100 LUNs taken over in $took ms after the decision"
[ "$took" -lt 30000 ] || fail "the takeover took $took ms"
