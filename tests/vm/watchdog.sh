#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# An owner that cannot stop (its writer waits in a frozen file system, and nothing kills it) is deposed while it is paused.
# When it goes on, it is announced and then reset by its watchdog, and comes back as a standby; the history tells why.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

# A rig of its own: its configuration is changed. On a busy host an agent takes 15 s here, and a daemon as long to be back;
# with shorter times machines are reset that only are slow.
up --service builtin --cluster watchdog

for node in $NODES; do
	on "$node" sh -c "modprobe softdog
		sed -i 's/^  resource .*/&\\n    stop_timeout = 30s/' /etc/lunkeeper/lunkeeper.conf
		printf 'watchdog = \"/dev/watchdog\"\\nwatchdog_timeout = 60s\\nstop_limit = 30s\\n' >>/etc/lunkeeper/lunkeeper.conf"
	cli "$node" restart
done
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on

# Armed where the LUN is owned, and nowhere else.
watchdog() {
	rig ask "$1" status 2>/dev/null | jq -r ".watchdog.$2"
}
is_armed() {
	[ "$(watchdog "$1" armed)" = "$2" ]
}
wait_for 20 "$first's watchdog is armed" is_armed "$first" true
wait_for 20 "$second's watchdog is disarmed" is_armed "$second" false

# A daemon that dies is there again in time: nobody is reset.
booted=$(on "$first" cat /proc/sys/kernel/random/boot_id)
fault kill-daemon "$first"
fault start-daemon "$first"
wait_for 20 "$first's watchdog is fed again" is_armed "$first" true
writes_go_on
equal "boots" "$(on "$first" cat /proc/sys/kernel/random/boot_id)" "$booted"

on "$first" fsfreeze -f /run/mail
fault stop "$first"
await_owner 30 mail "$second"
fault cont "$first"
# A machine that is reset boots again by itself.
was_reset() {
	id=$(on "$first" cat /proc/sys/kernel/random/boot_id 2>/dev/null) && [ "$id" != "$booted" ]
}
wait_for 60 "$first is reset" was_reset
writes_go_on
wait_for 60 "$first stands by" stands_by "$first" mail
cli "$first" events | grep -q 'watchdog no longer fed, because mail: it lost its LUN' ||
	fail "$first's history does not say why it was reset"
wait_for 20 "$first's watchdog is disarmed" is_armed "$first" false
equal "the owner" "$(owner mail)" "$second"
verified
