#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 18: after a failover anybody can find out who holds which LUN, and why the service moved.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault kill "$first"
await_owner 30 mail "$second"
cli "$second" status | grep -q "$second" || fail "status does not name the owner"
cli "$second" explain mail | grep -q "owns it" || fail "explain does not say that it owns it"
cli "$second" events >"$SCRATCH/events"
grep -q "challenging" "$SCRATCH/events" || fail "no event tells of the challenge"
grep -qi "preempt.*$first" "$SCRATCH/events" || fail "no event tells whom the takeover preempted"
ledger_agrees() {
	cli "$second" ledger --json | jq -e '[.rows[] | select(.agrees | not)] | length == 0' >/dev/null
}
wait_for 10 "the ledger agrees" ledger_agrees
cli "$second" lun keys "$(map 1)" | grep -q "$second\|node 2\|4c" || fail "lun keys does not show the key"
