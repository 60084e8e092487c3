#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon starts before there is any disk; the disks come in whatever order; a configured name that is another LUN's is not
# touched, and the LUN is found by its wwid.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

says_missing() {
	happened jerry '.kind == "path" and (.text | contains("no disk says that it is"))'
}

cat >"$SCRATCH/conf" <<S
cluster = "names"
defend = 1s
window = 4s
node "jerry" { id = 1 }
node "tom" { id = 2 }
lun "one" { wwid = "$(wwid 1)" }
lun "two" { device = "/dev/disk/by-path/ip-$(portal 0):3260-iscsi-$TARGET-lun-1" wwid = "$(wwid 2)" }
S
up --luns 2 --configuration "$SCRATCH/conf" --no-daemons

shell jerry "iscsiadm -m node -U all >/dev/null; multipath -F; sleep 1"
fault start-daemon jerry
wait_for 30 "the daemon waits for its disks" says_missing
cli jerry explain one | grep -q "no disk says that it is" || fail "explain does not say what is missing"

shell jerry "iscsiadm -m node -T $TARGET -p $(portal 1) --login >/dev/null; iscsiadm -m node -T $TARGET -p $(portal 0) --login >/dev/null"
wait_for 90 "the disks are noticed" has_paths_up jerry one 2
wait_for 60 "and those of the other LUN" has_paths_up jerry two 2
cli jerry lun claim one
await_owner 60 one jerry
wait_for 30 "both paths are registered" all_registered jerry one 2
device=$(view jerry one '.luns[0].device')
equal "where it is" "$device" "/dev/mapper/$(map 1)"

# The name of `two` leads to LUN 1, which is said, and LUN 2 is found.
equal "where LUN two is" "$(view jerry two '.luns[0].device')" "/dev/mapper/$(map 2)"
cli jerry explain two | grep -q "is another logical unit: $(wwid 1)" || fail "explain does not say that the name is another LUN's"
cli jerry lun claim two
await_owner 60 two jerry
wait_for 30 "both paths are registered" all_registered jerry two 2
sg=$(generics jerry 1 | head -n 1)
keys=$(shell jerry "sg_persist -n -k /dev/$sg" | grep -c 0x4c)
equal "keys on LUN 1" "$keys" 2

# The names change as a reboot changes them.
fault kill jerry
fault revive jerry
fault start-daemon jerry
wait_for 120 "it owns both again, or stands by" has_paths_up jerry two 2
equal "where LUN two is" "$(view jerry two '.luns[0].device')" "/dev/mapper/$(map 2)"
