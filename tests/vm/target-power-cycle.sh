#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The array loses its power and comes back: sessions recover, the owner asserts itself again, exactly one node writes, and
# nothing acknowledged is lost. (What waits for the array longer than open-iscsi's replacement_timeout fails, and the
# service is started anew.)
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
writes_go_on
fault restart-target
await_owner 60 mail
writes_go_on 30
equal "number of owners" "$(owner mail | wc -w)" 1
for node in $NODES; do
	wait_for 30 "$node has two sessions" on "$node" sh -c '[ "$(grep -lx LOGGED_IN /sys/class/iscsi_session/*/state | wc -l)" = 2 ]'
done
verified
