#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input: two nodes with one number. The second does not own with the first one's key, and alarms.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

cat >"$SCRATCH/service" <<'S'
service "store" { luns = { "lun1" } nodes = { "jerry", "tom" } }
S
up --service "$SCRATCH/service"
await_owner 20 store jerry
fault quit-daemon tom
on tom sh -c 'rm -rf /var/lib/lunkeeper/*'
sed -i 's/\(node "jerry" { id = \)1/\13/; s/\(node "tom" { id = \)2/\11/' "$FOLDER/tom/etc/lunkeeper.conf"
fault start-daemon tom
alarmed() {
	view "$1" "$2" '[.alarms[].name] | join(" ")' | grep -q "$3"
}
wait_for 15 "tom alarms" alarmed tom store own-number
sleep 6
equal "owners" "$(owner store)" jerry
equal "jerry's service" "$(state jerry store)" owner
