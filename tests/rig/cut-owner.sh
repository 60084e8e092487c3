#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The owner's network is cut: the other takes over; healed, the old owner finds out, stops everything and stands by.
# Then the network of both is cut: nobody takes over, and when the owner's comes back first, it serves on.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault cut "$first"
await_owner 15 mail "$second"
writes_go_on
fault heal "$first"
wait_for 45 "$first stands by" stands_by "$first" mail
if has_mounted "$first" /run/mail; then fail "$first still has it mounted"; fi
verified

writer=$(epoch)
fault cut "$first"
fault cut "$second"
sleep 6
fault heal "$second"
writes_go_on 30
fault heal "$first"
sleep 5
equal "owners" "$(owner mail)" "$second"
equal "writers" "$(epoch)" "$writer"
verified
