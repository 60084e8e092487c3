# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What scenarios on virtual machines share: the functions of tests/rig/lib.sh, on rigs of another kind. A scenario is a
# shell script that begins with
#
#     . "${0%/*}/lib.sh"
#     up --service builtin
#
# Booting costs much under emulation. When tests/vm/run runs several scenarios, a rig that was made with the same options
# goes on from one to the next: `up` only makes sure that all of it is well. So a scenario need not clean up behind itself
# what `up` mends (machines that are off, frozen or cut, links, portals, daemons); whoever changes anything else calls `spoils`.

NEEDS="qemu-system-x86_64 qemu-img mmdebstrap ip jq"
SLOWER=${SLOWER:-4}
RIG=${SHARED:+$SHARED_RIG}
# shellcheck disable=SC2034 # for tests/rig/lib.sh
RIG_STAYS=${SHARED:-}
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/../rig/lib.sh"

# Commands answer some 50 ms later than on iron, processes start slowly.
TIMES=${TIMES:---defend 1s --window 4s --probe 2s}

up() {
	up_options="$* $TIMES"
	# shellcheck disable=SC2086
	if [ -z "${SHARED:-}" ]; then
		rig up --kind vm "$@" $TIMES
	elif [ "$(cat "$SHARED/options" 2>/dev/null)" != "$up_options" ] || ! well; then
		rig down 2>/dev/null || true
		rm -f "$SHARED/options"
		rig up --kind vm "$@" $TIMES
		echo "$up_options" >"$SHARED/options"
	fi
	FOLDER=$(rig status --json | jq -r .folder)
	NODES=$(rig status --json | jq -r '.nodes[].name')
	# What the kernel says from here on is about this scenario.
	for up_node in $NODES; do
		on "$up_node" sh -c 'echo scenario begins >/dev/kmsg'
	done
}

# Whoever changes what `up` does not mend says so: the next scenario gets a new rig.
spoils() {
	[ -z "${SHARED:-}" ] || rm -f "$SHARED/options"
}

# Mends what faults have broken, and says whether it is whole.
well() {
	if ! rig status --json >"$SCRATCH/rig" 2>/dev/null; then
		return 1
	fi
	case $(jq -r .target.state "$SCRATCH/rig") in
	off) fault start-target || return 1 ;;
	stopped) fault resume-target || return 1 ;;
	esac
	fault portal-on >/dev/null || return 1
	for well_node in $(jq -r '.nodes[].name' "$SCRATCH/rig"); do
		case $(jq -r --arg n "$well_node" '.nodes[] | select(.name == $n) | .state' "$SCRATCH/rig") in
		off) fault revive "$well_node" || return 1 ;;
		frozen) fault cont "$well_node" || return 1 ;;
		esac
		fault heal "$well_node" >/dev/null && fault link-up "$well_node" >/dev/null || return 1
		case $(jq -r --arg n "$well_node" '.nodes[] | select(.name == $n) | .daemon.state' "$SCRATCH/rig") in
		stopped) fault cont-daemon "$well_node" || return 1 ;;
		esac
		if jq -e .daemons "$SCRATCH/rig" >/dev/null && [ "$(daemon_state "$well_node")" = off ]; then
			fault start-daemon "$well_node" || return 1
		fi
	done
	jq -e .daemons "$SCRATCH/rig" >/dev/null || return 0
	well_end=$(($(date +%s) + 60 * SLOWER))
	until everybody_well; do
		[ "$(date +%s)" -lt $well_end ] || return 1
		sleep 1
	done
}

daemon_state() {
	rig status --json | jq -r --arg n "$1" '.nodes[] | select(.name == $n) | .daemon.state'
}

# Every group has an owner, and the others stand by.
everybody_well() {
	well_nodes=0 well_states=
	for well_node in $(jq -r '.nodes[].name' "$SCRATCH/rig"); do
		well_nodes=$((well_nodes + 1))
		well_states="$well_states $(rig ask "$well_node" status 2>/dev/null |
			jq -r '[.groups[] | .state + "-" + (if .has_service then .service else "" end)] | join(" ")' || echo none)"
	done
	well_owners=$(echo "$well_states" | tr ' ' '\n' | grep -cE '^owner-(running)?$')
	well_standbys=$(echo "$well_states" | tr ' ' '\n' | grep -cE '^standby-(stopped)?$')
	well_all=$(echo "$well_states" | wc -w)
	[ "$well_all" -gt 0 ] && [ $((well_owners * well_nodes)) = "$well_all" ] &&
		[ $((well_owners + well_standbys)) = "$well_all" ]
}

# As tests/rig/lib.sh has it, without a process on the node.
view() {
	rig ask "$1" status 2>/dev/null | jq -r --arg g "$2" ".groups[] | select(.name == \$g) | $3" 2>/dev/null ||
		echo unknown
}

TARGET=iqn.2026-01.test.rig:san

# The target lets the four initiators of the table of PR cases in.
four_initiators() {
	on san test -e "/sys/kernel/config/target/iscsi/$TARGET/tpgt_1/acls/iqn.2024-01.test.lunkeeper:d" ||
		for name in a b c d; do
			echo "/iscsi/$TARGET/tpg1/acls create iqn.2024-01.test.lunkeeper:$name"
		done | on san targetcli >"$SCRATCH/targetcli"
}

# The map of a LUN.
map() {
	printf '/dev/mapper/36001405%08x6c756e6b656570657\n' "$1"
}
