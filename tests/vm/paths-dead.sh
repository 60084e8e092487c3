#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every path of the owner swallows everything, in the middle of writes. The other takes over; what waits on the old owner ends
# with the loss tolerance, its file system goes, nothing stays in state D, and it stands by when the paths are back.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault cut "$first"
await_owner 30 mail "$second"
writes_go_on
unmounted() {
	! has_mounted "$1" /run/mail
}
began=$(date +%s)
wait_for 60 "$first has unmounted it" unmounted "$first"
echo "unmounted at the latest $(($(date +%s) - began)) s after the other served"
nothing_waits() {
	! on "$1" sh -c 'ps -eo state= | grep -q ^D'
}
wait_for 30 "nothing waits for a disk on $first" nothing_waits "$first"
fault heal "$first"
wait_for 60 "$first stands by" stands_by "$first" mail
equal "owners" "$(owner mail)" "$second"
writes_go_on
verified
