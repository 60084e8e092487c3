#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 7: a standby that is cut off, frozen, and asks again and again does not disturb a healthy owner, which turns every
# challenge away.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
writer=$(epoch)
pushed=$(cli "$first" status --json | jq '[.counters.pr_out[]] | add')
fault stop "$second"
sleep 6
fault cont "$second"
fault cut "$second"
sleep 20
fault heal "$second"
wait_for 60 "$second stands by" stands_by "$second" mail
for _ in 1 2 3; do
	LINES_MAX=5 refuses 'turned away|owner lives' cli "$second" lun claim mailstore --wait
done
equal "owners" "$(owner mail)" "$first"
equal "writers" "$(epoch)" "$writer"
[ $(($(cli "$first" status --json | jq '[.counters.pr_out[]] | add') - pushed)) -ge 3 ] || fail "nobody challenged"
verified
