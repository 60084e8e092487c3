#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 13: the target loses all reservations in a power cycle. The owner registers and reserves again, gate held, before
# anybody else owns; the writer sees a pause.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER
for round in 1 2 3; do
	writes_go_on
	writer=$(epoch)
	fault restart-target
	writes_go_on 20
	wait_for 10 "$first serves (round $round)" serves "$first" mail
	equal "writers" "$(epoch)" "$writer"
	equal "owners" "$(owner mail)" "$first"
done
verified
