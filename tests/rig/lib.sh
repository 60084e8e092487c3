# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What scenarios share. A scenario is a shell script that begins with
#
#     . "${0%/*}/lib.sh"
#     up --nodes 2 --service builtin
#
# and ends with status 0 when everything it asserts was so. Its rig is taken away whatever happens; when it fails, the
# ends of the daemons' logs and their histories are shown first.

set -eu

LUNKEEPER=${LUNKEEPER:-$(readlink -f "${0%/*}/../../build/lunkeeper")}
SCENARIO=$(basename "$0" .sh)
# A name of a rig has at most 15 characters.
RIG=${RIG:-t-$(echo "$SCENARIO" | cut -c 1-6)-$(($$ % 100000))}
# tests/vm/lib.sh has other values for these.
NEEDS=${NEEDS:-tgtd tgtadm ip jq nbdkit}
SLOWER=${SLOWER:-1}
SCRATCH=$(mktemp -d)
NODES=

skip() {
	echo "$*"
	exit 77
}

fail() {
	echo "FAILED: $*"
	exit 1
}

rig() {
	command=$1
	shift
	"$LUNKEEPER" rig "$command" --name "$RIG" "$@"
}

show() {
	rig status || true
	for node in $NODES; do
		echo "--- $node: history"
		rig exec "$node" "$LUNKEEPER" events 2>&1 | tail -n 40 || true
		echo "--- $node: lunkeeperd"
		rig log "$node" 2>&1 | tail -n 30 || true
	done
}

finish() {
	status=$?
	trap - EXIT INT TERM
	if [ $status != 0 ] && [ $status != 77 ] && [ -n "$NODES" ]; then
		show
	fi
	[ -n "${RIG_STAYS:-}" ] || "$LUNKEEPER" rig down --name "$RIG" 2>/dev/null || true
	rm -rf "$SCRATCH"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

[ "$(id -u)" = 0 ] || skip "needs root"
for program in $NEEDS; do
	command -v $program >/dev/null || skip "needs $program"
done

# up OPTION...: boots the rig. FOLDER is its folder.
up() {
	rig up "$@"
	FOLDER=$(rig status --json | jq -r .folder)
	NODES=$(rig status --json | jq -r '.nodes[].name')
}

# on NODE COMMAND...
on() {
	rig exec "$@"
}

# has_mounted NODE FOLDER: as the node's kernel has it, which knows it also of a file system that answers nobody.
has_mounted() {
	on "$1" grep -qF " $2 " /proc/self/mountinfo
}

# A command of the CLI on a node: cli NODE status --json
cli() {
	cli_node=$1
	shift
	rig exec "$cli_node" "$LUNKEEPER" "$@"
}

fault() {
	rig fault "$@"
}

url() {
	echo "iscsi://10.77.${2:-0}.1:3260/iqn.2026-01.test.rig:san/$1"
}

# view NODE GROUP JQ: something of a group's status, "unknown" when the daemon does not answer.
view() {
	cli "$1" status --json 2>/dev/null | jq -r --arg g "$2" ".groups[] | select(.name == \$g) | $3" 2>/dev/null ||
		echo unknown
}

state() {
	view "$1" "$2" .state
}

# Is this node the owner, with the service (if there is one) running?
serves() {
	[ "$(view "$1" "$2" '.state + " " + (if .has_service then .service else "running" end)')" = "owner running" ]
}

stands_by() {
	[ "$(view "$1" "$2" '.state + " " + (if .has_service then .service else "stopped" end)')" = "standby stopped" ]
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds. Machines that are emulated get more time.
wait_for() {
	wait_end=$(($(date +%s%N) / 1000000 + $1 * 1000 * SLOWER))
	wait_what=$2
	shift 2
	until "$@"; do
		[ $(($(date +%s%N) / 1000000)) -lt $wait_end ] || fail "$wait_what: not within the time"
		sleep 0.1
	done
}

# owner GROUP: the node that says it owns it; "" nobody, two names if two do.
owner() {
	for owner_node in $NODES; do
		[ "$(state "$owner_node" "$1")" != owner ] || printf '%s ' "$owner_node"
	done | sed 's/ $//'
}

# await_owner SECONDS GROUP [NODE]: until it (or anybody) serves; OWNER is who.
await_owner() {
	await_group=$2
	await_node=${3:-}
	wait_for "$1" "$2 is served${3:+ by $3}" somebody_serves
}

somebody_serves() {
	for OWNER in ${await_node:-$NODES}; do
		if serves "$OWNER" "$await_group"; then
			return 0
		fi
	done
	return 1
}

# The other node of two.
other() {
	for other_node in $NODES; do
		[ "$other_node" = "$1" ] || echo "$other_node"
	done
}

# Number of the writer's records acknowledged up to now, and the number of writers so far.
acknowledged() {
	stat -c %s "$FOLDER/shared/acknowledged" 2>/dev/null | awk '{print int($1 / 148)}' || echo 0
}

epoch() {
	tail -c 148 "$FOLDER/shared/acknowledged" | sed -n 's/.* epoch=0*\([0-9]*\) .*/\1/p'
}

writes_go_on() {
	written_before=$(acknowledged)
	wait_for "${1:-10}" "writes are acknowledged" more_acknowledged "$written_before"
}

more_acknowledged() {
	[ "$(acknowledged)" -gt $(($1 + 3)) ]
}

# What was acknowledged is on the target's disk.
verified() {
	rig verify || fail "the records are not as they were acknowledged"
}

# equal WHAT IS EXPECTED
equal() {
	[ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}

# NODE CONDITION [ID]: does the history have an event (later than that one) whose JSON satisfies the condition?
happened() {
	cli "$1" events --json ${3:+--limit 1000 --since "$3"} 2>/dev/null | jq -s -e "[.[] | if type == \"array\" then .[] else . end | select($2)] | length > 0" >/dev/null
}

last_event() {
	cli "$1" events --json --limit 1 | jq .id
}

# FILE has so many lines at least.
test_lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}

# says TEXT COMMAND...: it must fail, and say this (a regular expression) in at most LINES (3) lines.
refuses() {
	refuses_text=$1
	shift
	if "$@" >"$SCRATCH/said" 2>&1; then
		fail "'$*' succeeded: $(cat "$SCRATCH/said")"
	fi
	grep -Eq "$refuses_text" "$SCRATCH/said" ||
		fail "'$*' does not say '$refuses_text', but: $(cat "$SCRATCH/said")"
	[ "$(wc -l <"$SCRATCH/said")" -le "${LINES_MAX:-3}" ] ||
		fail "'$*' says it in more than ${LINES_MAX:-3} lines: $(cat "$SCRATCH/said")"
	cat "$SCRATCH/said"
}
