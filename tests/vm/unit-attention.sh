#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 9: LOGICAL UNIT RESETs, which leave unit attentions on every session, disturb nobody.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
writer=$(epoch)
for _ in 1 2 3; do
	cli "$second" lun reset --force "$(map 1)"
	writes_go_on
done
wait_for 10 "$first serves" serves "$first" mail
equal "owners" "$(owner mail)" "$first"
equal "writers" "$(epoch)" "$writer"
[ "$(cli "$first" status --json | jq .counters.unit_attentions)" -gt 0 ] || fail "no unit attention was recorded"
verified
