#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 25: an array whose every answer takes longer than the defend interval. Somebody owns nevertheless, keeps it, and is
# replaced when he dies: the window grows with the answers.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --luns 1 --service "$(service="$SCRATCH/service"; cat >"$service" <<'S'
service "store" { luns = { "lun1" } nodes = { "jerry", "tom" } }
S
echo "$service")"
fault slow-target 520ms
await_owner 60 store
first=$OWNER second=$(other "$OWNER")
sleep 10
equal "owners" "$(owner store)" "$first"
fault kill "$first"
await_owner 60 store "$second"
fault revive "$first"
sleep 10
equal "owners" "$(owner store)" "$second"
fault slow-target 0
sleep 3
equal "owners" "$(owner store)" "$second"
