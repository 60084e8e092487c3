#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A daemon that stays away does not defend: the other node takes over, and the gate keeps the old node's writes out.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault kill-daemon "$first"
await_owner 20 mail "$second"
writes_go_on
sleep 1
verified
fault start-daemon "$first"
wait_for 30 "$first stands by" stands_by "$first" mail
if has_mounted "$first" /run/mail; then fail "$first still has it mounted"; fi
writes_go_on
verified
