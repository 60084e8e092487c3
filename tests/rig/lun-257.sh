#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 21: LUN 257 needs flat addressing; addressed wrongly it is LUN 1. What is reserved and written is LUN 257.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --luns 260 --size 1M --io-threads 1 --no-daemons
printf 'one' | dd of="$FOLDER/san/lun1" conv=notrunc status=none
printf 'two-five-seven' | dd of="$FOLDER/san/lun257" conv=notrunc status=none
equal "identity of LUN 1 and of LUN 257" \
	"$(cli jerry lun show --json "$(url 1)" "$(url 257)" | jq -r '[.. | .wwid? // empty] | unique | length')" 2
on jerry "$LUNKEEPER" rig takeover sequence --luns 1 --key 0x1 --dead 0x2 >/dev/null 2>&1 || true
cli jerry lun register --key 0x257 "$(url 257)" >/dev/null
equal "keys on LUN 1" "$(cli tom lun keys --json "$(url 1)" | grep -c '0*257"' || true)" 0
