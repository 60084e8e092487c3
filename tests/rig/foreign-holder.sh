#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 12 and bad input: another cluster, with nodes of the same numbers, holds the LUN. It is never preempted; there is an
# alarm that names its key.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

cat >"$SCRATCH/service" <<'S'
service "store" { luns = { "lun1" } nodes = { "jerry", "tom" } }
S
up --service "$SCRATCH/service"
await_owner 20 store jerry
fault quit-daemon tom
sed -i 's/^cluster.*/cluster = "another"/; s/"store"/"theirs"/' "$FOLDER/tom/etc/lunkeeper.conf"
on tom sh -c 'rm -rf /var/lib/lunkeeper/*'
fault start-daemon tom
alarmed() {
	[ "$(view "$1" "$2" '[.alarms[].name] | join(" ")')" = "$3" ]
}
wait_for 15 "tom alarms" alarmed tom theirs foreign-holder
sleep 5
equal "owners" "$(owner store)" jerry
equal "the state of tom's" "$(state tom theirs)" standby
equal "the holder that tom sees" "$(view tom theirs .holder.ours)" false
cli tom explain theirs | grep -qi foreign || fail "explain does not say that the holder is foreign"
# Not by a dead jerry either.
fault kill jerry
sleep 6
equal "the state of tom's" "$(state tom theirs)" standby
equal "the holder that tom sees" "$(view tom theirs .holder.ours)" false
