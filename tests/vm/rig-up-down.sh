#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The rig of virtual machines itself, without daemons: faults do what they say on both sides, and nothing is left behind,
# also when `up` dies half-way.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --no-daemons --nodes 1
equal "hostname" "$(on jerry hostname)" jerry
equal "exit status" "$(on jerry sh -c 'exit 7' || echo $?)" 7
equal "streams" "$(echo abc | on jerry tr a-c x-z)" xyz
equal "a megabyte both ways" "$(dd if=/dev/zero bs=64k count=16 2>/dev/null | on jerry cat | wc -c)" 1048576
equal "a program in the background" "$(on jerry sh -c 'sleep 1000 & echo gone on')" "gone on"
equal "initiator" "$(on jerry cat /etc/iscsi/initiatorname.iscsi)" "InitiatorName=iqn.2026-01.test.rig.$RIG:jerry"
paths() {
	on jerry multipath -ll | grep -c 'active ready'
}
has_paths() {
	[ "$(paths)" = "$1" ]
}
can_read() {
	on jerry dd if="$(map 1)" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null
}
wait_for 30 "two paths" has_paths 2

fault cut jerry 0
wait_for 30 "one path is dead" has_paths 1
can_read || fail "the map cannot be read through the other path"
fault heal jerry
wait_for 30 "it is back" has_paths 2
fault link-down jerry 1
equal "its carrier" "$(on jerry cat /sys/class/net/eth1/carrier)" 0
fault link-up jerry
wait_for 30 "it is back" has_paths 2

fault relogin jerry 1
fault new-session jerry 0
wait_for 30 "two paths" has_paths 2
fault portal-off 0
wait_for 30 "one path is dead" has_paths 1
fault portal-on 0
wait_for 60 "it is back" has_paths 2
fault resize-lun 1 300M
on jerry sh -c 'for d in /sys/block/sd*; do echo 1 >$d/device/rescan; cat $d/size; done' >"$SCRATCH/sizes"
equal "blocks" "$(sort -u "$SCRATCH/sizes")" 614400

fault stop jerry
refuses "jerry is frozen" on jerry true
fault cont jerry
before=$(on jerry cat /proc/sys/kernel/random/boot_id)
on jerry sh -c 'echo kept >/var/lib/lunkeeper/x; sync; echo lost >/run/x'
fault kill jerry
refuses "jerry is off" on jerry true
refuses "jerry is off" fault kill jerry
fault revive jerry
equal "its disk" "$(on jerry cat /var/lib/lunkeeper/x)" kept
if on jerry test -e /run/x; then fail "/run survived a power cut"; fi
wait_for 30 "two paths" has_paths 2

# A machine that resets itself boots again.
between=$(on jerry cat /proc/sys/kernel/random/boot_id)
[ "$between" != "$before" ] || fail "it is the same boot"
on jerry sh -c '(sleep 1; echo b >/proc/sysrq-trigger) >/dev/null 2>&1 &'
another_boot() {
	now=$(on jerry cat /proc/sys/kernel/random/boot_id 2>/dev/null) && [ -n "$now" ] && [ "$now" != "$between" ]
}
wait_for 60 "it boots again" another_boot
wait_for 60 "two paths" has_paths 2

fault slow-target 300ms
began=$(date +%s%N)
can_read
[ $((($(date +%s%N) - began) / 1000000)) -ge 150 ] || fail "the slow target is prompt"
fault slow-target 0
refuses "which LUN" fault resize-lun 9 1G
spoils
pids=$(rig status --json | jq -r '.nodes[].init, .target.pid')
rig down
for pid in $pids; do
	if kill -0 "$pid" 2>/dev/null && [ "$(cut -d ' ' -f 3 "/proc/$pid/stat")" != Z ]; then fail "process $pid is left"; fi
done
nothing_left() {
	for left in "$FOLDER" "/var/lib/lunkeeper-rig/$RIG" "/run/netns/lunkeeper-$RIG" "/sys/fs/cgroup/freezer/lunkeeper-rig/$RIG"; do
		[ ! -e "$left" ] || fail "$left is left"
	done
	if pgrep -f "lunkeeper-rig/$RIG/" >/dev/null; then fail "processes are left"; fi
}
nothing_left
# shellcheck disable=SC2034 # lib.sh reads it
NODES=
for moment in 0.1 0.5 2 5; do
	"$LUNKEEPER" rig up --kind vm --name "$RIG" --no-daemons >/dev/null 2>&1 &
	sleep $moment
	kill -KILL $! 2>/dev/null || true
	wait $! || true
	rig down || true
	nothing_left
done
