#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The pages of `lunkeeper help TASK` work as they are written: every command in them is typed on the node that it names.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail

# The pages tell the story of a service that jerry owns, or tom.
owned_by() {
	[ "$(owner mail)" = "$1" ] || cli "$(owner mail)" move mail "$1" --wait
	await_owner 20 mail "$1"
	wait_for 20 "$(other "$1") stands by" stands_by "$(other "$1")" mail
}

# page TASK: types it.
page() {
	echo "--- $1"
	"$LUNKEEPER" help "$1" >"$SCRATCH/page"
	sed -n 's/^    \(jerry\|tom\)# \(lunkeeper .*\)/\1 \2/p' "$SCRATCH/page" >"$SCRATCH/typed"
	[ -s "$SCRATCH/typed" ] || fail "the page $1 has no command"
	while read -r node line <&3; do
		echo "$node# $line"
		on "$node" sh -c "PATH=${LUNKEEPER%/*}:\$PATH; $line" >"$SCRATCH/said" 2>&1 3<&- ||
			fail "$1: $node# $line: $(cat "$SCRATCH/said")"
		# what must stand in what the last command of a page says
		case $line in
		"lunkeeper status mail") grep -q "owner\|standby" "$SCRATCH/said" ;;
		"lunkeeper explain mail") grep -q "Why it is there" "$SCRATCH/said" ;;
		*" --wait") wait_for 10 "writes go on" writes_go_on ;;
		esac || fail "$1: $node# $line says: $(cat "$SCRATCH/said")"
	done 3<"$SCRATCH/typed"
}

owned_by jerry
page own
page who
cli tom lun "do" 'register --key 0xbad' mailstore
page stale-key
! grep -q "bad" "$SCRATCH/said" || fail "the stale key is still there: $(cat "$SCRATCH/said")"
equal "owner" "$(owner mail)" jerry
page move
owned_by jerry
page maintenance
owned_by tom
page failback
equal "owner" "$(owner mail)" jerry
for task in replace-node grow add-path alarm; do
	page $task
done
equal "owner" "$(owner mail)" jerry

echo "--- other words"
"$LUNKEEPER" help remove a stale key | grep -q "^Remove a stale key" || fail "help remove a stale key"
status=0
"$LUNKEEPER" help nonsense >"$SCRATCH/said" 2>&1 || status=$?
equal "exit status of a task that is none" $status 2
grep -q "stale-key" "$SCRATCH/said" || fail "the tasks are not listed: $(cat "$SCRATCH/said")"
verified
