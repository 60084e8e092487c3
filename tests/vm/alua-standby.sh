#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Each portal is a target port group of its own. In ALUA's standby a path carries no data, but is looked at and registered;
# when it is unavailable (02/04/0C), everything goes by the other; and when it becomes the active one, it can be written to.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

up --service builtin --no-daemons

# The second portal in a target portal group of its own, and LUN 1 there in an ALUA group of its own.
{
	echo "/iscsi/$TARGET/tpg1/portals delete $(portal 1) 3260"
	echo "/iscsi/$TARGET create 2"
	echo "/iscsi/$TARGET/tpg2/luns create /backstores/block/lun1 lun=1"
	for node in $NODES; do
		echo "/iscsi/$TARGET/tpg2/acls create $(shell "$node" 'sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi')"
	done
	echo "/iscsi/$TARGET/tpg2/portals create $(portal 1) 3260"
	echo "/iscsi/$TARGET/tpg2 enable"
	echo exit
} >"$SCRATCH/second"
shell san "targetcli" <"$SCRATCH/second" >/dev/null
CORE=$(rig exec san sh -c 'echo /sys/kernel/config/target/core/*/lun1')
shell san "mkdir $CORE/alua/second && echo 2 >$CORE/alua/second/tg_pt_gp_id &&
	echo second >/sys/kernel/config/target/iscsi/$TARGET/tpgt_2/lun/lun_1/alua_tg_pt_gp"
for node in $NODES; do
	shell "$node" "iscsiadm -m node -T $TARGET -p $(portal 1) --logout >/dev/null 2>&1; iscsiadm -m node -T $TARGET -p $(portal 1) -o delete >/dev/null 2>&1
		iscsiadm -m discovery -t st -p $(portal 1) >/dev/null; iscsiadm -m node -T $TARGET -p $(portal 1) --login >/dev/null"
done

# state GROUP NUMBER: 0 active/optimized, 2 standby, 3 unavailable
alua() {
	shell san "echo $2 >$CORE/alua/$1/alua_access_state"
}

alua second 2
for node in $NODES; do
	fault start-daemon "$node"
done
await_owner 120 mail
O=$OWNER
S=$(other "$O")
wait_for 60 "the standby path is registered, too" all_registered "$O" mail 2
writes_go_on 60

alua second 3
wait_for 60 "the unavailable path is set aside" has_paths_up "$O" mail 1
equal "the owner" "$(owner mail)" "$O"
writes_go_on 30
cli "$O" move mail "$S"
await_owner 60 mail "$S"
writes_go_on 30
cli "$S" move mail "$O"
await_owner 60 mail "$O"

# The array fails over: the path that was away is now the only one that takes data.
alua second 0
wait_for 60 "the path is there again" all_registered "$O" mail 2
alua default_tg_pt_gp 2
writes_go_on 60
no_conflict "$O"
equal "the owner" "$(owner mail)" "$O"
alua default_tg_pt_gp 0
verified
