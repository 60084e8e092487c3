#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 27: what stands under the number is another LUN than the configuration means. No PR OUT is sent to it.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --luns 2 --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
wwid=$(view "$first" mail '.luns[0].wwid')
sed -i 's|\(lun "mailstore".*san/\)1"|\12"|; s|\(lun "lun2".*san/\)2"|\11"|' "$FOLDER/$second/etc/lunkeeper.conf"
fault quit-daemon "$second"
fault start-daemon "$second"
fault kill "$first"
sleep 8
[ "$(state "$second" mail)" != owner ] || fail "$second owns another LUN than is meant"
equal "registered on the other LUN" "$(cli "$second" lun keys --json "$(url 2)" | grep -c 4c || true)" 0
cli "$second" status >"$SCRATCH/status"
grep -qi "another logical unit" "$SCRATCH/status" || fail "status does not say what is wrong: $(cat "$SCRATCH/status")"
grep -q "$wwid" "$SCRATCH/status" || fail "status does not name the identity that is expected: $(cat "$SCRATCH/status")"
