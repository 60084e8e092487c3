#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Cases 8, 20 and 23: the owner is paused with writes under way, and goes on when its successor already writes. Nothing of
# it reaches the LUN, it stops everything by itself, and stands by without a reboot. Then the same once more, with dirty
# pages.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
for round in 1 2 3; do
	first=$OWNER second=$(other "$OWNER")
	writes_go_on
	if [ $round -gt 1 ]; then
		on "$first" dd if=/dev/urandom of=/run/mail/dirty bs=1M count=24 conv=notrunc status=none
	fi
	fault stop "$first"
	await_owner 20 mail "$second"
	writes_go_on
	fault cont "$first"
	wait_for 30 "$first stands by (round $round)" stands_by "$first" mail
	if has_mounted "$first" /run/mail; then fail "$first still has it mounted"; fi
	equal "its registrations" "$(view "$first" mail '[.luns[].paths[] | select(.registered)] | length')" 0
	writes_go_on
	verified
done
