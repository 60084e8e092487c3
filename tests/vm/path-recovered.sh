#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Cases 2 and 5: a path comes back that has never borne the owner's present key. It is registered before data goes through
# it, with APTPL, and multipathd knows the key while this node owns, and not a moment longer.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

up --service builtin
await_owner 120 mail
O=$OWNER
S=$(other "$O")
wait_for 30 "both paths are registered" all_registered "$O" mail 2

fault cut "$O" 0
wait_for 60 "the path is seen as dead" has_paths_up "$O" mail 1
wait_for 60 "writes go on by the other path" writes_go_on 60
# A new term of ownership, while it is away: its key is one that the path does not bear.
cli "$O" move mail "$S"
await_owner 60 mail "$S"
equal "what multipathd is told where the LUN is not owned" "$(told "$O" 1)" "none 0"
cli "$S" move mail "$O"
await_owner 60 mail "$O"
writes_go_on 30

fault heal "$O" 0
wait_for 90 "both paths are up" has_paths_up "$O" mail 2
wait_for 30 "both paths are registered" all_registered "$O" mail 2
writes_go_on 30
no_conflict "$O"
key=$(cli "$O" status --json | jq -r '.groups[] | select(.name == "mail") | .luns[0].holder.key')
equal "what multipathd is told" "$(told "$O" 1)" "0x${key#0x}:aptpl 1"
equal "APTPL on the target" "$(rig exec san sh -c 'cat /sys/kernel/config/target/core/*/lun1/pr/res_aptpl_active')" "APTPL Bit Status: Activated"
durable() {
	[ "$(rig exec san sh -c 'cat /etc/rtslib-fb-target/pr/* | grep -c "^sa_res_key='"$(printf %u "0x${key#0x}")"'\$"')" = 2 ]
}
wait_for 30 "both registrations are in the target's file" durable
verified
