#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The history is read to its end, whatever its length: by number, by time, and by who follows; it is filtered by service, node,
# kind and alarms; and a name that nobody has is wrong usage, with the nearest one.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin --nodes 2
await_owner 20 mail
first=$OWNER

echo "--- more events than one answer holds"
before=$(last_event "$first")
on "$first" python3 - <<'PYTHON'
import os, socket
daemon = socket.socket(socket.AF_UNIX)
daemon.connect(os.environ.get("LUNKEEPER_RUN", "/run/lunkeeper") + "/control")
answers = daemon.makefile()
for i in range(1040):
    on = "true" if i % 2 == 0 else "false"
    daemon.sendall(b'{"command":"maintenance","group":"mail","on":%s}\n' % on.encode())
    answers.readline()
PYTHON
count=$(cli "$first" events --json --since "$before" --kind command | wc -l)
[ "$count" -ge 1040 ] || fail "--since a number shows $count of 1040 commands"
equal "events since a time" "$(cli "$first" events --json --since 1h --kind command | wc -l)" "$count"
equal "events of a limit" "$(cli "$first" events --json --since "$before" --limit 1020 | wc -l)" 1020
timeout 5 "$LUNKEEPER" rig exec --name "$RIG" "$first" "$LUNKEEPER" events --json --follow --since "$before" --kind command \
	>"$SCRATCH/followed" &
wait_for 5 "who follows gets what was there" test_lines "$SCRATCH/followed" "$count"
cli "$first" maintenance mail on
wait_for 5 "and what is added" test_lines "$SCRATCH/followed" $((count + 1))
cli "$first" maintenance mail off
equal "the newest" "$(cli "$first" events --json | wc -l)" 50

echo "--- filters"
cli "$first" events --json --since yesterday mail | jq -s -e 'length > 1000 and all(.group == "mail")' >/dev/null ||
	fail "events of a service"
cli "$first" events --json --since 1d --alarms | jq -s -e 'all(.kind == "alarm")' >/dev/null || fail "alarms only"
equal "events of the future" "$(cli "$first" events --json --since "$(date -d '+1 day' +%F)" | wc -l)" 0
refuses 'wants a time \(10m' cli "$first" events --since soon

echo "--- names that nobody has"
for command in "status" "events" "ledger" "explain" "start" "lun claim"; do
	status=0
	# shellcheck disable=SC2086
	cli "$first" $command mial >"$SCRATCH/said" 2>&1 || status=$?
	equal "exit status of '$command mial'" $status 2
	grep -q 'mial: no service, group or LUN of this name' "$SCRATCH/said" || fail "$command: $(cat "$SCRATCH/said")"
	grep -q 'did you mean mail?' "$SCRATCH/said" || fail "$command names nothing near: $(cat "$SCRATCH/said")"
done
status=0
cli "$first" move mail jery >"$SCRATCH/said" 2>&1 || status=$?
equal "exit status of a move to nobody" $status 2
grep -q 'did you mean jerry?' "$SCRATCH/said" || fail "move names nothing near: $(cat "$SCRATCH/said")"
