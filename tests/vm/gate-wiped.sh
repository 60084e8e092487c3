#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Somebody wipes the table of the gate under a running service, and then removes the gate by force. All of its I/O fails then, and
# the owner knows it: the service begins anew on another gate, on the same node, and what was acknowledged is there.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER
other=$(other "$first")
before=$(last_event "$other")

served_anew() {
	serves "$first" mail && [ "$(epoch)" != "$writer" ]
}

gate() {
	on "$first" sh -c 'dmsetup ls | sed -n "s/^\(lunkeeper-[^ \t]*\).*/\1/p" | tail -n 1'
}

for deed in "wipe_table" "remove --force"; do
	writes_go_on
	writer=$(epoch)
	echo "--- dmsetup $deed $(gate) on $first"
	# shellcheck disable=SC2086
	on "$first" timeout 20 dmsetup $deed --noudevsync "$(gate)" || true
	wait_for 15 "mail is served anew on $first" served_anew
	writes_go_on 20
done
if happened "$other" '.kind == "state"' "$before"; then fail "it was handed over, or lost"; fi
verified
