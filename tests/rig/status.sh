#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What status says of owner and standby is so: the cause of each change of owner, kept over a restart of the daemon; who is
# ready, who is silent; what will happen when the storage does not answer; alarms that end when what they say has ended.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")

cause_is() {
	[ "$(view "$1" mail .cause)" = "$2" ]
}

# peer NODE OTHER STATE: what the one knows of the other
peer() {
	[ "$(view "$1" mail ".peers[] | select(.node == \"$2\") | .state")" = "$3" ]
}

alarmed() {
	view "$1" mail ".alarms[] | select(.name == \"$2\") | .text" | grep -q "${3:-.}"
}

quiet() {
	[ "$(view "$1" mail '.alarms | length')" = 0 ]
}

echo "--- the first owner, and who is ready"
cause_is "$first" "the LUN was free: nobody held it" || fail "cause: $(view "$first" mail .cause)"
wait_for 10 "$first knows that $second is ready" peer "$first" "$second" ready
wait_for 10 "$second knows that $first lives" peer "$second" "$first" answers
cli "$second" status | grep -q "owner, alive .* ago" || fail "the standby's screen: $(cli "$second" status)"
cli "$second" status | grep -q "closed" || fail "the standby's gate: $(cli "$second" status)"
! cli "$second" status | grep -q "failed\|challenging" || fail "the standby's screen: $(cli "$second" status)"
cli "$first" status | grep -q "256 MiB (512 B)" || fail "no sizes: $(cli "$first" status)"

echo "--- handed over"
cli "$first" move mail "$second" --wait >"$SCRATCH/said"
equal "what move says" "$(cat "$SCRATCH/said")" "mail: handed over to $second"
wait_for 5 "$second says why" cause_is "$second" "handed over by $first, as ordered"
wait_for 5 "$first says why" cause_is "$first" "handed over by $first, as ordered"
refuses "$second does: on $second, lunkeeper move mail; to have it here: lunkeeper lun take mail" cli "$first" move mail
cli "$second" restart
wait_for 10 "$second says why after a restart of its daemon" cause_is "$second" "handed over by $first, as ordered"

echo "--- storage that does not answer"
await_owner 10 mail "$second"
fault stall-target
wait_for 8 "$second says what will happen" alarmed "$second" storage-silent "the service is stopped in"
cli "$second" status | grep -q "! mailstore: no answer for .* s: the service is stopped in .* s" ||
	fail "the screen: $(cli "$second" status)"
fault resume-target
wait_for 10 "the alarm has ended" quiet "$second"

echo "--- a dead owner"
await_owner 10 mail "$second"
fault kill "$second"
await_owner 20 mail "$first"
view "$first" mail .cause | grep -Eq "^$second did not answer for [23]\.[0-9] s\$" || fail "cause: $(view "$first" mail .cause)"
peer "$first" "$second" silent || fail "$second is not silent: $(view "$first" mail .peers)"
cli "$first" explain mail | grep -q "Why it is there: $second did not answer" || fail "explain: $(cli "$first" explain mail)"
cli "$first" events --json --kind owner --node "$first" | jq -s -e 'length >= 2' >/dev/null || fail "no events of owners"
