#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A power cut: the other node owns within seconds, nothing acknowledged is lost, and the dead node comes back as a standby
# whose writes the target refuses.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault kill "$first"
await_owner 15 mail "$second"
writes_go_on
verified
equal "owners" "$(owner mail)" "$second"

fault revive "$first"
wait_for 15 "$first stands by" stands_by "$first" mail
equal "the holder it sees" "$(view "$first" mail .holder.node)" "$second"
refused=$(on "$first" "$LUNKEEPER" rig attempt --json "$(url 1)" || true)
equal "its WRITE" "$(echo "$refused" | jq -r .outcome)" CONFLICT
equal "its registrations" "$(view "$first" mail '[.luns[].paths[] | select(.registered)] | length')" 0
sleep 5
equal "owners after a while" "$(owner mail)" "$second"
writes_go_on
verified
