#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The LUN grows while it is in use: the gate's device grows with it, and so does the file system, mounted; also behind a
# hand-over.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin --size 96M
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
writer=$(epoch)
fault resize-lun 1 192M
has_size() {
	[ "$(on "$1" blockdev --getsize64 /run/lunkeeper/dev/mailstore)" = $((192 * 1024 * 1024)) ]
}
wait_for 30 "the gate's device has grown" has_size "$first"
on "$first" sh -c 'resize2fs $(readlink -f /run/lunkeeper/dev/mailstore) 2>&1'
[ "$(on "$first" df --output=size -m /run/mail | tail -n 1)" -gt 140 ] || fail "the file system has not grown"
writes_go_on
equal "writers" "$(epoch)" "$writer"
cli "$first" move mail "$second"
await_owner 30 mail "$second"
has_size "$second" || fail "the gate's device on $second has the old size"
writes_go_on
verified
