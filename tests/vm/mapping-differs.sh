#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 27: the target maps another LUN to tom under the same number. With `wwid`, tom takes the right one where there is one,
# and none where there is none; the wrong one gets no command that changes it.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

BY_PATH=/dev/disk/by-path/ip-$(portal 0):3260-iscsi-$TARGET-lun
cat >"$SCRATCH/conf" <<S
cluster = "mapping"
defend = 1s
window = 4s
node "jerry" { id = 1 }
node "tom" { id = 2 }
lun "store" { device = "$BY_PATH-1" wwid = "$(wwid 1)" }
S
up --luns 2 --configuration "$SCRATCH/conf" --no-daemons
tom=$(shell tom 'sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi')
ACL=/iscsi/$TARGET/tpg1/acls/$tom

# tom_sees LUN-OF-1 LUN-OF-2: under which numbers; 0: not at all
tom_sees() {
	shell tom "iscsiadm -m node -U all >/dev/null; multipath -F; sleep 1"
	{
		echo "$ACL delete 1"
		echo "$ACL delete 2"
		[ "$1" = 0 ] || echo "$ACL create $1 1"
		[ "$2" = 0 ] || echo "$ACL create $2 2"
		echo exit
	} >"$SCRATCH/acl"
	shell san targetcli <"$SCRATCH/acl" >/dev/null
	shell tom "iscsiadm -m node -L all >/dev/null; udevadm settle"
}

sees_jerry() {
	[ "$(view tom store '.luns[0].holder.node')" = jerry ]
}

says_wrong() {
	cli tom explain store | grep -q "nothing is sent to it"
}

tom_sees 2 1
fault start-daemon jerry
fault start-daemon tom
wait_for 60 "tom has found LUN 1 under its other number" has_paths_up tom store 2
cli jerry lun claim store
await_owner 60 store jerry
wait_for 30 "tom sees jerry's key" sees_jerry
cli tom explain store | grep -q "is another logical unit: $(wwid 2)" || fail "explain does not say that the name is another LUN's"

fault quit-daemon tom
tom_sees 0 1
fault start-daemon tom
wait_for 60 "tom says that it is not there" says_wrong
cli tom lun claim store >/dev/null 2>&1 || true
sleep 10
sg=$(generics tom 2 | head -n 1)
equal "keys on the wrong LUN" "$(shell tom "sg_persist -n -k /dev/$sg" | grep -c 0x4c || true)" 0
equal "the owner" "$(owner store)" jerry
