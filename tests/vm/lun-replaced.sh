#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The target maps another logical unit under the number of a LUN, to its owner alone, while its sessions live and its service
# writes. The owner's gate fails, nothing is registered on the stranger, nothing that was acknowledged is lost, and the
# other node serves on. With the right one mapped again the node is ready again.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

maps() {
	{
		echo "$ACL delete 1"
		echo "$ACL create 1 $1"
		echo exit
	} >"$SCRATCH/acl"
	shell san targetcli <"$SCRATCH/acl" >/dev/null
}
stranger() {
	shell san "cat \$(cat /sys/kernel/config/target/iscsi/$TARGET/tpgt_1/lun/lun_2/*/udev_path) | sha256sum"
}
alarmed() {
	view "$1" mail '[.alarms[].name] | join(" ")' | grep -q other-unit
}

up --luns 2 --service builtin
spoils
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
ACL=/iscsi/$TARGET/tpg1/acls/$(shell "$first" 'sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi')
before=$(stranger)
writes_go_on
maps 2
wait_for 30 "$first says that it is another one" alarmed "$first"
await_owner 60 mail "$second"
writes_go_on 30
equal "the stranger" "$(stranger)" "$before"
cli "$first" status | grep -qi "another logical unit" || fail "status does not say what is wrong"
verified

maps 1
ready() {
	[ "$(view "$first" mail '.state + " " + (.fit | tostring)')" = "standby true" ]
}
wait_for 60 "$first is ready again" ready
verified
