#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 3: three LUNs are one group. Whatever is cut or frozen, one node owns all of them, never a part.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

cat >"$SCRATCH/service" <<'S'
service "store" { luns = { "lun1", "lun2", "lun3" } nodes = { "jerry", "tom" } }
S
up --luns 3 --service "$SCRATCH/service"
holders() {
	view "$1" store '[.luns[].holder.node] | unique | join(" ")'
}
all_by() {
	[ "$(holders "$1")" = "$1" ]
}
await_owner 20 store
for round in 1 2; do
	first=$OWNER second=$(other "$OWNER")
	wait_for 10 "$first holds all three" all_by "$first"
	if [ $round = 1 ]; then fault cut "$first"; else fault stop "$first"; fi
	await_owner 20 store "$second"
	wait_for 10 "$second holds all three" all_by "$second"
	if [ $round = 1 ]; then fault heal "$first"; else fault cont "$first"; fi
	wait_for 45 "$first stands by" stands_by "$first" store
	equal "holders" "$(holders "$second")" "$second"
	OWNER=$second
done
cli "$OWNER" move store
await_owner 20 store "$(other "$OWNER")"
wait_for 10 "$OWNER holds all three" all_by "$OWNER"
