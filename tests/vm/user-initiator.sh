#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The sessions are LunKeeper's own (libiscsi) and the gate is nbdkit's, against LIO: power cut, freeze and a power cycle of the
# array.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --initiator user --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
fault kill "$first"
await_owner 30 mail "$second"
writes_go_on
fault revive "$first"
wait_for 60 "$first stands by" stands_by "$first" mail
verified
fault stop "$second"
await_owner 30 mail "$first"
writes_go_on
fault cont "$second"
wait_for 60 "$second stands by" stands_by "$second" mail
fault restart-target
writes_go_on 60
equal "number of owners" "$(owner mail | wc -w)" 1
verified
