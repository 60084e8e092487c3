#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Cases 1 and 4: what is registered is an old session's, or one path's registration is gone while the key is still there: the
# owner looks healthy and cannot write by that path. It is seen, said, and repaired.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

up --service builtin
await_owner 120 mail
O=$OWNER
wait_for 30 "both paths are registered" all_registered "$O" mail 2

# Somebody takes one path's registration away.
key=$(cli "$O" status --json | jq -r '.groups[] | select(.name == "mail") | .luns[0].holder.key')
sg=$(no_holder "$O" 1)
[ -n "$sg" ] || fail "no path but the holder's"
shell "$O" "sg_persist -n --out --register --param-rk=0x${key#0x} --param-sark=0 /dev/$sg"
wait_for 30 "that is seen" happened "$O" '.kind == "path" and (.text | contains("was not registered for this session"))'
wait_for 30 "both paths are registered again" all_registered "$O" mail 2
writes_go_on 30

# A session ends. What it leaves behind is registered for nobody, and is swept out; the next login has an ISID that the target
# has never seen.
isids() {
	shell "$O" "sg_persist -n -s /dev/$(generics "$O" 1 | tail -n 1)" | sed -n 's/.*:'"$O"',i,0x//p' | sort | tr '\n' ' '
}
registered_are() {
	[ "$(isids)" = "$1" ]
}
old=$(isids)
shell "$O" "iscsiadm -m node -T $TARGET -p $(portal 0) --logout >/dev/null"
wait_for 60 "the path is gone" has_paths_up "$O" mail 1
wait_for 60 "its registration is swept out" registered_are "00023d000002 "
writes_go_on 30
shell "$O" "iscsiadm -m node -T $TARGET -p $(portal 0) --login >/dev/null"
wait_for 90 "two paths are registered" all_registered "$O" mail 2
new=$(isids)
[ "$new" != "$old" ] || fail "the new session has the old ISID: $new"
writes_go_on 30
no_conflict "$O"
# Nothing of the old sessions is left when another node has taken it.
S=$(other "$O")
cli "$O" move mail "$S"
await_owner 60 mail "$S"
wait_for 30 "both paths are registered" all_registered "$S" mail 2
sg=$(generics "$S" 1 | head -n 1)
equal "registrations of the first owner" "$(shell "$S" "sg_persist -n -s /dev/$sg" | grep -c "rig.*:$O," || true)" 0
verified
