#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A power cut: the other node owns, nothing acknowledged is lost, and the dead node comes back as a standby that is
# registered nowhere and whose writes the target refuses.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
before=$(epoch)
fault kill "$first"
await_owner 30 mail "$second"
writes_go_on
equal "writers" "$(epoch)" $((before + 1))
verified

fault revive "$first"
wait_for 30 "$first stands by" stands_by "$first" mail
equal "the holder it sees" "$(view "$first" mail .holder.node)" "$second"
equal "owners" "$(owner mail)" "$second"
if on "$first" dd if=/dev/zero of="$(map 1)" bs=4096 count=1 seek=100 oflag=direct conv=notrunc 2>"$SCRATCH/dd"; then
	fail "$first could write"
fi
equal "its registrations" "$(view "$first" mail '[.luns[].paths[] | select(.registered)] | length')" 0
writes_go_on
verified
