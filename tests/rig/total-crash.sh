#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 6: both nodes lose their power, with their keys on the LUN. Either of them alone owns again soon, without a person
# who clears keys.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault kill "$second"
fault kill "$first"
fault revive "$first"
await_owner 15 mail "$first"
writes_go_on
verified

# And the one that was not the owner.
fault kill "$first"
fault revive "$second"
await_owner 20 mail "$second"
writes_go_on
fault revive "$first"
wait_for 15 "$first stands by" stands_by "$first" mail
verified
equal "keys on the LUN" "$(view "$second" mail '[.luns[0].keys[] | .node] | unique | join(" ")')" "$second"
