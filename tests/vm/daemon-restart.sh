#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon restarts, and is killed, under a running service on kernel devices: the next one adopts gate and service, and the
# writer notices nothing.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER
writes_go_on
writer=$(epoch)
fault restart-daemon "$first"
await_owner 20 mail "$first"
writes_go_on
fault kill-daemon "$first"
sleep 0.5
fault start-daemon "$first"
await_owner 20 mail "$first"
writes_go_on
equal "writers" "$(epoch)" "$writer"
equal "owners" "$(owner mail)" "$first"
# Behind it a fault is still a fault.
second=$(other "$first")
fault kill "$first"
await_owner 30 mail "$second"
writes_go_on
verified
