#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 9: a LOGICAL UNIT RESET, which leaves unit attentions on every session, disturbs nobody: they are taken, recorded
# and the command is repeated.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --nodes 3 --service builtin
await_owner 20 mail
first=$OWNER
writes_go_on
writer=$(epoch)
attentions() {
	cli "$first" status --json | jq .counters.unit_attentions
}
more_attentions() {
	[ "$(attentions)" -gt "$1" ]
}
for round in 1 2 3; do
	counted=$(attentions)
	cli "$(other "$first" | tail -n 1)" lun reset --force "$(url 1)"
	writes_go_on
	wait_for 5 "a unit attention is recorded (round $round)" more_attentions "$counted"
done
wait_for 10 "$first serves" serves "$first" mail
equal "owners" "$(owner mail)" "$first"
equal "writers" "$(epoch)" "$writer"
verified
