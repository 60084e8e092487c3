#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The rig itself, without daemons: faults do what they say, and nothing is left behind, also when `up` dies half-way.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --no-daemons --luns 3 --nodes 3 --mkfs ext4
equal "nodes" "$(rig status --json | jq -c '[.nodes[] | .name + " " + .state]')" \
	'["jerry running","tom running","spike running"]'
equal "hostname" "$(on tom hostname)" tom
equal "exit status" "$(on tom sh -c 'exit 7' || echo $?)" 7
equal "initiator" "$(on tom cat /etc/iscsi/initiatorname.iscsi)" "InitiatorName=iqn.2026-01.test.rig.$RIG:tom"

attempt() {
	on "$1" timeout 10 "$LUNKEEPER" rig attempt --json "$(url "${2:-1}" "${3:-0}")"
}
equal "an attempt" "$(attempt jerry 2 | jq -r .outcome)" OK
equal "the other network" "$(attempt jerry 3 1 | jq -r .outcome)" OK

fault cut jerry 0
if attempt jerry 1 0; then fail "a cut node reaches the SAN"; fi
equal "beside the cut" "$(attempt jerry 1 1 | jq -r .outcome)" OK
fault heal jerry
equal "healed" "$(attempt jerry | jq -r .outcome)" OK

fault stop jerry
equal "frozen" "$(rig status --json | jq -r '.nodes[0].state')" frozen
refuses "jerry is frozen" on jerry true
fault cont jerry
on jerry true

on jerry sh -c 'echo kept >/var/lib/lunkeeper/x; echo lost >/run/x; sleep 1000 & echo'
fault kill jerry
equal "off" "$(rig status --json | jq -r '.nodes[0].state')" off
refuses "jerry is off" on jerry true
refuses "jerry is off" fault kill jerry
fault revive jerry
equal "its disk" "$(on jerry cat /var/lib/lunkeeper/x)" kept
if on jerry test -e /run/x; then fail "/run survived a power cut"; fi

fault restart-target
equal "after a power cycle" "$(attempt spike | jq -r .outcome)" OK
fault slow-target 200ms
began=$(date +%s%N)
attempt spike >/dev/null
[ $((($(date +%s%N) - began) / 1000000)) -ge 60 ] || fail "the slow target is prompt"
fault slow-target 0
fault stall-target
if on spike timeout 1 "$LUNKEEPER" rig attempt "$(url 1)"; then fail "a stalled target answers"; fi
fault resume-target
equal "resumed" "$(attempt spike | jq -r .outcome)" OK

refuses "there is a rig" "$LUNKEEPER" rig up --name "$RIG" --no-daemons
refuses "'kill' perhaps" fault kil jerry
refuses "no node nobody" fault kill nobody
refuses "'A!' cannot name" "$LUNKEEPER" rig up --name 'A!' --no-daemons
refuses "two nodes are named" "$LUNKEEPER" rig up --name "${RIG}x" --names a,a --no-daemons
refuses "cannot read /nowhere" "$LUNKEEPER" rig up --name "${RIG}x" --service /nowhere --no-daemons
[ ! -e "/run/lunkeeper-rig/${RIG}x" ] || fail "a failed up left its folder"

# Loop devices, mounts and processes of a node go with it.
# (One that stands on this machine's own file system is not the rig's: it is not touched.)
inits=$(rig status --json | jq -r '.nodes[].init, .target.pid')
rig down
for pid in $inits; do
	if kill -0 "$pid" 2>/dev/null && [ "$(cut -d ' ' -f 3 "/proc/$pid/stat")" != Z ]; then fail "process $pid is left"; fi
done
[ ! -e "$FOLDER" ] || fail "$FOLDER is left"
[ ! -e "/sys/fs/cgroup/freezer/lunkeeper-rig/$RIG" ] || fail "its control group is left"
# shellcheck disable=SC2034 # lib.sh reads it
NODES=

# `up` killed at some moment: down takes away whatever there is.
for moment in 0.01 0.02 0.03 0.05; do
	"$LUNKEEPER" rig up --name "$RIG" --no-daemons --luns 50 >/dev/null 2>&1 &
	sleep $moment
	kill -KILL $! 2>/dev/null || true
	wait $! || true
	"$LUNKEEPER" rig down --name "$RIG" || true
	[ ! -e "/run/lunkeeper-rig/$RIG" ] || fail "killed after $moment s, its folder is left"
	if pgrep -f "rig up --name $RIG" >/dev/null; then fail "killed after $moment s, processes are left"; fi
done
