#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 10: looking at a LUN opens no block device: udev hears of nothing, and who wants a disk for himself alone gets it.
# shellcheck source=tests/vm/paths.sh
. "${0%/*}/paths.sh"

up --luns 2
first=$(rig ask jerry status | jq -r '.groups[0].name')
wait_for 120 "jerry has its paths" has_paths_up jerry "$first" 2
cli jerry lun claim "$first"
await_owner 60 "$first" jerry
shell jerry "udevadm settle; sleep 3"
looks=$(cli jerry status --json | jq .counters.looks)
shell jerry "timeout 30 udevadm monitor --kernel --udev >/run/monitor 2>&1 || true"
looks=$(($(cli jerry status --json | jq .counters.looks) - looks))
[ "$looks" -gt 20 ] || fail "there were only $looks looks meanwhile"
events=$(shell jerry "grep -E '^(KERNEL|UDEV) *\[' /run/monitor || true")
equal "events within 30 s and $looks looks" "$events" ""

# Exclusive users of a LUN that is being looked at: mke2fs and mount open it with O_EXCL.
shell jerry "for turn in 1 2 3 4 5; do
	mke2fs -q -F -t ext4 /dev/mapper/$(map 2) && mount /dev/mapper/$(map 2) /mnt && umount /mnt || exit 1; done" ||
	fail "an exclusive user was disturbed"
