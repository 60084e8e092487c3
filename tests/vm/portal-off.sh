#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The target's first portal is taken away: the service goes on by the other, a failover works by it, and when the portal is
# back both paths are registered.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
registered() {
	[ "$(view "$1" mail '[.luns[].paths[] | select(.registered)] | length')" = "$2" ]
}
wait_for 30 "both paths are registered" registered "$first" 2
writes_go_on
writer=$(epoch)
fault portal-off 0
wait_for 20 "writes go on by the other" writes_go_on 60
equal "writers" "$(epoch)" "$writer"
fault kill "$first"
await_owner 30 mail "$second"
writes_go_on
fault portal-on 0
wait_for 60 "both paths are registered" registered "$second" 2
writes_go_on
verified
