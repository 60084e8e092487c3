#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 16: one path answers nothing any more. What goes by another path is not delayed.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

cat >"$SCRATCH/conf" <<S
cluster = "paths"
node "jerry" { id = 1 }
node "tom" { id = 2 }
lun "by0" { device = "$(url 1 0)" }
lun "by1" { device = "$(url 2 1)" }
service "first" { luns = { "by0" } nodes = { "jerry", "tom" } }
service "second" { luns = { "by1" } nodes = { "jerry", "tom" } }
S
up --luns 2 --configuration "$SCRATCH/conf"
await_owner 20 first jerry
await_owner 20 second jerry
fault cut jerry 0
await_owner 20 first tom
# Meanwhile the other group was looked at in time, all the time.
for turn in 1 2 3 4 5 6 7 8 9 10; do
	age=$(view jerry second .look_age_ms)
	[ "$age" -lt 1500 ] || fail "the last look of the group on the good path is $age ms old (turn $turn)"
	sleep 0.3
done
equal "owner of the group on the good path" "$(owner second)" jerry
fault heal jerry 0
wait_for 45 "jerry stands by for the first group" stands_by jerry first
equal "owner of the group on the good path" "$(owner second)" jerry
