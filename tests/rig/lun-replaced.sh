#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The target puts another logical unit under the number of a LUN, while its session lives and its service writes. No
# record that was acknowledged is lost, nothing is written to the stranger and no key is registered on it, the owner gives
# the LUN up and says which it found. When the right one is there again, it is served again.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

# replace FILE ID: LUN 1 of the target is that file from now on.
replace() {
	on san sh -c "
		until tgtadm --lld iscsi --op delete --mode logicalunit --tid 1 --lun 1; do sleep 0.01; done
		tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 --backing-store '$1'
		tgtadm --lld iscsi --op update --mode logicalunit --tid 1 --lun 1 --params scsi_id='$2'" 2>/dev/null
}

alarmed() {
	view "$1" mail '[.alarms[].name] | join(" ")' | grep -q other-unit
}

given_up() {
	[ "$(view "$1" mail '.state + " " + .gate')" = "standby failed" ]
}

up --service builtin
await_owner 20 mail
first=$OWNER
wwid=$(view "$first" mail '.luns[0].wwid')
writes_go_on
# A copy, such as a snapshot: the service would not notice.
cp --sparse=always "$FOLDER/san/lun1" "$FOLDER/san/stranger"
cp --sparse=always "$FOLDER/san/stranger" "$SCRATCH/stranger"
replace "$FOLDER/san/stranger" stranger-1
wait_for 10 "$first alarms" alarmed "$first"
wait_for 15 "$first gives it up" given_up "$first"
sleep 3
cmp "$FOLDER/san/stranger" "$SCRATCH/stranger" || fail "something was written to the stranger"
for node in $NODES; do
	[ "$(state "$node" mail)" != owner ] || fail "$node owns the stranger"
done
equal "keys on the stranger" "$(cli "$first" lun keys --json "$(url 1)" | grep -c 4c || true)" 0
cli "$first" status >"$SCRATCH/status"
grep -qi "another logical unit" "$SCRATCH/status" || fail "status does not say what is wrong: $(cat "$SCRATCH/status")"
happened "$first" ".kind == \"alarm\" and (.text | test(\"another logical unit.*$wwid\"))" ||
	fail "the history does not name the identity that is expected"
verified

replace "$FOLDER/san/lun1" "IET     00010001"
await_owner 40 mail
writes_go_on 20
verified
