#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 21: LUN 257 needs flat addressing; addressed wrongly it is LUN 1. What is reserved, read and written is LUN 257.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

cat >"$SCRATCH/conf" <<S
cluster = "far"
node "jerry" { id = 1 }
node "tom" { id = 2 }
lun "far" { device = "$(url 257)" automatic = true attach = true }
S
up --luns 260 --size 1M --io-threads 1 --no-daemons --configuration "$SCRATCH/conf"
printf 'one' | dd of="$FOLDER/san/lun1" conv=notrunc status=none
printf 'two-five-seven' | dd of="$FOLDER/san/lun257" conv=notrunc status=none
keys() {
	cli "$1" lun keys --json "$(url "$2")" | jq '[.devices[0].steps[0].keys[]] | length'
}
equal "identities of LUN 1 and LUN 257" \
	"$(cli jerry lun show --json "$(url 1)" "$(url 257)" | jq -r '[.. | .wwid? // empty] | unique | length')" 2
cli jerry lun register --key 0x257 "$(url 257)" >/dev/null
equal "keys on LUN 1" "$(keys tom 1)" 0
equal "keys on LUN 257" "$(keys tom 257)" 1

fault restart-target
fault start-daemon jerry
wait_for 20 "jerry owns it" serves jerry far
wait_for 10 "it is attached" on jerry test -e /run/lunkeeper/dev/far
equal "what is read" "$(on jerry head -c 14 /run/lunkeeper/dev/far)" two-five-seven
on jerry sh -c 'printf 2-5-7 | dd of=/run/lunkeeper/dev/far oflag=dsync status=none'
equal "what is on LUN 257" "$(head -c 5 "$FOLDER/san/lun257")" 2-5-7
equal "what is on LUN 1" "$(head -c 3 "$FOLDER/san/lun1")" one
equal "keys on LUN 1" "$(keys tom 1)" 0
equal "keys on LUN 257" "$(keys tom 257)" 1
