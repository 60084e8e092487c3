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

# A session ends, another takes its number, and so the next login has an ISID that the target has never seen.
shell "$O" "iscsiadm -m node -T $TARGET -p $(portal 0) --logout >/dev/null"
wait_for 60 "the path is gone" has_paths_up "$O" mail 1
writes_go_on 30
shell "$O" "iscsiadm -m iface -I spare -o new >/dev/null &&
	iscsiadm -m discovery -t st -p $(portal 0) -I spare >/dev/null && iscsiadm -m node -T $TARGET -p $(portal 0) -I spare --login >/dev/null"
shell "$O" "iscsiadm -m node -T $TARGET -p $(portal 0) -I default --login >/dev/null"
wait_for 90 "three paths are registered" all_registered "$O" mail 3
shell "$O" "iscsiadm -m node -T $TARGET -p $(portal 0) -I spare --logout >/dev/null"
wait_for 60 "two paths are registered" all_registered "$O" mail 2
other_sg=$(generics "$O" 1 | tail -n 1)
shell "$O" "sg_persist -n -s /dev/$other_sg" | grep -qi '00023d000003' || fail "the new session's ISID is not registered"
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
