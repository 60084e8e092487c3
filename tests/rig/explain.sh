#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 18: after a failover anybody can find out who holds which LUN, and why the service moved.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
fault kill "$first"
await_owner 20 mail "$second"
cli "$second" status | grep -q "$second" || fail "status does not name the owner"
cli "$second" explain mail | grep -q "owns it" || fail "explain does not say that it owns it"
cli "$second" events >"$SCRATCH/events"
grep -q "challenging" "$SCRATCH/events" || fail "no event tells of the challenge"
grep -qi "preempt.*$first" "$SCRATCH/events" || fail "no event tells whom the takeover preempted"
grep -q "owner" "$SCRATCH/events" || fail "no event tells of the ownership"
cli "$second" ledger --json | jq -e '[.rows[] | select(.agrees | not)] | length == 0' >/dev/null ||
	fail "the ledger has rows that do not agree: $(cli "$second" ledger)"
cli "$second" lun keys "$(url 1)" | grep -q "$second\|node 2\|4c" || fail "lun keys does not show the key"
