#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The owner's daemon ends, and when it begins anew its state folder is full, read-only or empty: it adopts what it owns and goes
# on defending it, says what is wrong as long as it is, and the writer notices nothing.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

STATE=/var/lib/lunkeeper

begin_anew() {
	fault kill-daemon "$first"
	"$@"
	fault start-daemon "$first"
}
full() {
	on "$first" sh -c "cp -a $STATE /tmp/kept.$RIG && mount -t tmpfs -o size=2m,mode=700 none $STATE &&
		cp -a /tmp/kept.$RIG/. $STATE && rm -rf /tmp/kept.$RIG && rm -f $STATE/history.db*"
	on "$first" sh -c "dd if=/dev/zero of=$STATE/fill bs=1k status=none 2>/dev/null || true"
}
read_only() {
	on "$first" mount -o remount,ro $STATE
}
removed() {
	on "$first" umount $STATE
	on "$first" sh -c "rm -rf $STATE/* || true"
}
alarm() {
	cli "$first" status --json 2>/dev/null |
		jq -e --arg t "$1" '[.alarms[] | select(.name == "state-folder" and (.text | test($t)))] | length > 0' >/dev/null
}
no_alarm() {
	cli "$first" status --json 2>/dev/null | jq -e '[.alarms[] | select(.name == "state-folder")] | length == 0' >/dev/null
}
unharmed() {
	wait_for 10 "$first has it still" serves "$first" mail
	writes_go_on
	equal "writers" "$(epoch)" "$writer"
	equal "owners" "$(owner mail)" "$first"
}

up --service builtin
await_owner 20 mail
first=$OWNER
writes_go_on
writer=$(epoch)

echo "--- full"
begin_anew full
wait_for 10 "an alarm says that it is full" alarm 'No space left.*free space'
unharmed
cli "$first" status | grep -q 'state-folder.*free space' || fail "status does not show it"
on "$first" rm $STATE/fill
wait_for 10 "the alarm ends" no_alarm

echo "--- read-only"
begin_anew read_only
wait_for 10 "an alarm says that it is read-only" alarm 'Read-only.*mount its file system writable'
unharmed
# it gives away what it cannot write down, and does not take it back
second=$(other "$first")
cli "$first" move --wait mail "$second"
await_owner 20 mail "$second"
writes_go_on
fault kill-daemon "$second"
on "$second" pkill -9 nbdkit || true
sleep 6
equal "owners" "$(owner mail)" ""
on "$first" mount -o remount,rw $STATE
await_owner 20 mail "$first"
wait_for 10 "the alarm ends" no_alarm
writes_go_on
writer=$(epoch)

echo "--- removed"
begin_anew removed
wait_for 10 "it says where it has its keys from" happened "$first" '.kind == "alarm" and (.text | test("copy of its keys"))'
unharmed
wait_for 10 "they are written down again" on "$first" test -s $STATE/mail.claims
wait_for 5 "nothing is wrong any more" no_alarm
verified
