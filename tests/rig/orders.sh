#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An operator's orders while the standby probes: a claim is judged by its own challenge, an order to take is not lost in a
# probe, and a configuration that changes again while the last change is under way is the one that is in force at the end.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin --luns 2
await_owner 20 mail
first=$OWNER
second=$(other "$first")
wait_for 20 "$second stands by" stands_by "$second" mail

# Challenges of this node that were turned away.
turned_away() {
	cli "$second" explain mail --json | jq '[.rules[] | select(.rule == "challenge-turned-away") | .count] | add // 0'
}

# reached STATE [GROUP]; "" when there is no such group
reached() {
	[ "$(state "$second" "${2:-mail}")" = "$1" ]
}

was_turned_away() {
	[ "$(turned_away)" -gt 0 ]
}

echo "--- claims with --wait"
wait_for 20 "a probe is turned away" was_turned_away
for try in 1 2 3; do
	wait_for 10 "$second stands by" reached standby
	before=$(turned_away)
	refuses 'turned away' cli "$second" lun claim mailstore --wait
	[ "$(turned_away)" -gt "$before" ] || fail "claim $try was not challenged for"
done
equal "owner" "$(owner mail)" "$first"

echo "--- an order to take in the middle of a probe"
wait_for 20 "$second probes" reached challenging
cli "$second" lun take mailstore --wait
await_owner 5 mail "$second"
writes_go_on

echo "--- LUNs that change their groups, and change back, while a change is under way"
file=$FOLDER/$second/etc/lunkeeper.conf
cp "$file" "$SCRATCH/as-it-was"
sed 's/luns = { "mailstore" }/luns = { "mailstore", "lun2" }/' "$file" >"$SCRATCH/both"
sed '/^service/,$d' "$file" >"$SCRATCH/without"
sed 's/nodes = {.*}$/nodes = { "'"$first"'" }/' "$file" >"$SCRATCH/elsewhere"
grep -q 'lun2" }' "$SCRATCH/both" || fail "the configuration is not as expected"
for configuration in both as-it-was without elsewhere both without as-it-was; do
	cp "$SCRATCH/$configuration" "$file"
	cli "$second" reload
done
wait_for 30 "$second stands by" stands_by "$second" mail
wait_for 10 "lun2 is a group again" reached standby lun2
await_owner 30 mail "$first"
writes_go_on

echo "--- a node that is taken off a service's list gives it up, and has it again when it is back"
cp "$SCRATCH/elsewhere" "$file"
cli "$second" reload
wait_for 20 "$second has no mail any more" reached ""
cp "$SCRATCH/as-it-was" "$file"
cli "$second" reload
wait_for 20 "$second stands by" stands_by "$second" mail
cli "$second" lun take mailstore --wait
await_owner 5 mail "$second"
writes_go_on
verified
