#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The table of PR cases through /dev/sdX, /dev/sgN and a dm-multipath map of four paths. Four sessions with an initiator
# name each make one machine four initiators.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

TABLE=${LUNKEEPER%/*}/tests/table/run_lio
PORTAL=10.77.0.1
[ -x "$TABLE" ] || skip "needs $TABLE: make build/tests/table/run_lio"
up --no-daemons --nodes 1
four_initiators
on jerry sh -ec "multipath -F; killall multipathd; iscsiadm -m node -U all; iscsiadm -m node -o delete
for name in a b c d; do
	iscsiadm -m iface -I \$name -o new
	iscsiadm -m iface -I \$name -o update -n iface.initiatorname -v iqn.2024-01.test.lunkeeper:\$name
	iscsiadm -m discovery -t sendtargets -p $PORTAL -I \$name
	iscsiadm -m node -T $TARGET -p $PORTAL -I \$name --login
done
udevadm settle --timeout=60" >"$SCRATCH/login"

# table DEVICE...: its last line says how it went.
table() {
	on jerry "$TABLE" "$@" >"$SCRATCH/table" || {
		grep -vE '^(passed|skipped)' "$SCRATCH/table" || true
		fail "the table, through $1"
	}
	tail -n 1 "$SCRATCH/table"
}
disks() {
	on jerry lsscsi -g | awk "/LIO-ORG/ {print \$$1}"
}
four_paths() {
	on jerry sh -c "test -b $(map 1) && [ \$(ls /sys/block/\$(basename \$(readlink $(map 1)))/slaves | wc -l) = 4 ]"
}
equal "disks" "$(disks '(NF-1)' | wc -l)" 4
# shellcheck disable=SC2046
table $(disks '(NF-1)')
# shellcheck disable=SC2046
table $(disks NF)
on jerry multipathd
wait_for 60 "a map of four paths" four_paths
table "$(map 1)"
on jerry sh -c 'multipath -F; killall multipathd; iscsiadm -m node -U all' >/dev/null
