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
# On tgt each takeover has a reset; here it comes from outside, by the baseline of the benchmark, which is refused
# otherwise.
for _ in 1 2 3; do
	on "$first" "$LUNKEEPER" rig takeover sequence --luns 1 --key 0x1 --dead 0x2 >/dev/null 2>&1 || true
	writes_go_on
done
wait_for 10 "$first serves" serves "$first" mail
equal "owners" "$(owner mail)" "$first"
equal "writers" "$(epoch)" "$writer"
counted=$(cli "$first" status --json | jq .counters.unit_attentions)
[ "$counted" -gt 0 ] || fail "no unit attention was recorded"
verified
