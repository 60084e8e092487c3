#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Cases 1 and 2: the target ends the owner's sessions. A new session is a new nexus, whose registration belongs to the lost
# one: the owner registers it before data uses it, swaps the orphaned key, and the writer sees a pause, not an error.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
writer=$(epoch)
for round in 1 2 3; do
	fault drop-session "$first"
	writes_go_on 15
	wait_for 10 "$first serves (round $round)" serves "$first" mail
done
equal "writers" "$(epoch)" "$writer"
equal "owners" "$(owner mail)" "$first"
wait_for 10 "every expected key is there" sh -c \
	"'$LUNKEEPER' rig exec --name $RIG $first '$LUNKEEPER' ledger --json | jq -e '[.rows[] | select(.agrees | not)] | length == 0'"
equal "keys on the LUN" "$(view "$first" mail '[.luns[0].keys[] | .node] | unique | join(" ")')" "$first"

# A standby's sessions are dropped: nobody else is disturbed.
fault drop-session "$second"
sleep 3
writes_go_on
equal "writers" "$(epoch)" "$writer"
wait_for 10 "$second stands by" stands_by "$second" mail
verified
