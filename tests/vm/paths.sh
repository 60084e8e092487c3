# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What scenarios about the kernel's paths share: names of the rig's disks, sessions and maps as a node sees them.

# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"


# LUN: what VPD 83h says of it.
wwid() {
	printf 'naa.6001405%08x6c756e6b656570657' "$1"
}

# LUN: the multipath map's name.
map() {
	echo "3$(wwid "$1" | cut -c 5-)"
}

portal() {
	echo "10.77.$1.1"
}

# NODE COMMAND: a line for the shell there.
shell() {
	shell_node=$1
	shift
	rig exec "$shell_node" sh -c "$*"
}

# NODE LUN: its generic devices, "sg0 sg2".
generics() {
	shell "$1" "for d in /sys/class/scsi_generic/sg*; do
		[ \"\$(cat \$d/device/wwid 2>/dev/null)\" != $(wwid "$2") ] || echo \${d##*/}; done"
}

# NODE GROUP: rows of the ledger that are about this node's paths.
ledger() {
	cli "$1" ledger --json "$2" | jq -c --arg n "$1" '.rows[] | select(.node == $n)'
}

# NODE GROUP COUNT: so many paths, and on each the LUN lists the key that is expected there, which is one.
all_registered() {
	ledger "$1" "$2" | jq -s -e --argjson c "$3" \
		'length == $c and all(.agrees and .actual != null and .actual.key == .holder.key)' >/dev/null
}

# NODE GROUP: how many paths are there, and up.
paths_up() {
	view "$1" "$2" '[.luns[].paths[] | select(.state == "up")] | length'
}

has_paths_up() {
	[ "$(paths_up "$1" "$2")" = "$3" ]
}

# No write was refused by the target's reservation: the block layer logs each. (The SCSI layer logs PR commands, too.)
no_conflict() {
	equal "writes that were refused on $1" "$(shell "$1" 'dmesg | sed "/scenario begins/{s/.*//;h;d};H;\$!d;x" | grep -ciE "(reservation conflict|nexus) error, dev" || true')" 0
}

# NODE LUN: one of its generic devices that does not hold the reservation.
no_holder() {
	shell "$1" "holder=\$(for d in /sys/class/scsi_generic/sg*; do
			[ \"\$(cat \$d/device/wwid 2>/dev/null)\" != $(wwid "$2") ] || { sg_persist -n -s /dev/\${d##*/}; break; }; done |
			grep -A 6 '<< Reservation holder' | sed -n 's/.*,i,0x00023d0*//p' | head -n 1)
		for d in /sys/class/scsi_generic/sg*; do
			[ \"\$(cat \$d/device/wwid 2>/dev/null)\" = $(wwid "$2") ] || continue
			session=\$(readlink -f \$d/device | sed -n 's|.*/session\([0-9]*\)/.*|\1|p')
			[ \"\$(printf %x \$session)\" = \"\$holder\" ] || { echo \${d##*/}; break; }
		done"
}

# NODE LUN: what multipathd bears for it.
told() {
	shell "$1" "multipathd getprkey map $(map "$2"); multipathd getprstatus map $(map "$2")" | tr '\n' ' ' | sed 's/ok//g; s/  */ /g; s/^ //; s/ $//'
}
