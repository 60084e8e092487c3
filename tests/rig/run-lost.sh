#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole run folder of the owner is removed under it: the daemon listens again, links and records are made anew, and the
# writer notices nothing. An alarm says what cannot be put back, until it is no more.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER
second=$(other "$first")
writes_go_on
writer=$(epoch)
cli "$second" standby

link=$(on "$first" sh -c 'for l in /run/lunkeeper/dev/*; do echo "$l $(readlink "$l")"; done')
on "$first" sh -c 'rm -rf --one-file-system /run/lunkeeper 2>/dev/null || true'
on "$second" sh -c 'rm -rf --one-file-system /run/lunkeeper 2>/dev/null || true'
answers() {
	cli "$1" status >/dev/null 2>&1
}
wait_for 5 "$first answers again" answers "$first"
wait_for 5 "$second answers again" answers "$second"
writes_go_on
equal "writers" "$(epoch)" "$writer"
equal "owners" "$(owner mail)" "$first"
equal "links" "$(on "$first" sh -c 'for l in /run/lunkeeper/dev/*; do echo "$l $(readlink "$l")"; done')" "$link"
cli "$first" status | grep -q 'run-folder.*could not find it' || fail "status does not say what was lost for good"
on "$first" test -s /run/lunkeeper/claims/mail.claims || fail "no copy of its keys"

# What an operator had set is known to the next daemon, too.
fault restart-daemon "$second"
wait_for 10 "$second stands by" stands_by "$second" mail
equal "fitness of a node set to standby" "$(view "$second" mail .fit)" false
cli "$second" online

cli "$first" move --wait mail "$second"
await_owner 20 mail "$second"
writes_go_on
quiet() {
	cli "$first" status --json | jq -e '.alarms | length == 0' >/dev/null
}
wait_for 10 "the alarm ends" quiet
fault restart-daemon "$first"
wait_for 10 "$first stands by" stands_by "$first" mail
verified
