#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 14: the whole array answers nobody for eight seconds. Nobody deposes anybody, no service stops.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
writer=$(epoch)
fault stall-target
sleep 8
fault resume-target
writes_go_on 15
sleep 5
wait_for 10 "$first serves" serves "$first" mail
equal "owners" "$(owner mail)" "$first"
equal "writers" "$(epoch)" "$writer"
wait_for 3 "$second stands by" stands_by "$second" mail
verified
