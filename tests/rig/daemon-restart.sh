#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The daemon restarts, and is killed, under a running service: the next one adopts it, and the writer notices nothing.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER
writes_go_on
writer=$(epoch)
fault restart-daemon "$first"
await_owner 10 mail "$first"
writes_go_on
equal "writers" "$(epoch)" "$writer"

fault kill-daemon "$first"
sleep 0.3
writes_go_on
fault start-daemon "$first"
await_owner 10 mail "$first"
writes_go_on
equal "writers" "$(epoch)" "$writer"
equal "owners" "$(owner mail)" "$first"
for resource in store writer; do
	equal "$resource" "$(view "$first" mail ".resources[] | select(.name == \"$resource\") | .state")" running
done

# A changed configuration is taken while it runs.
sed -i 's/^cluster.*/&\nprobe = 1s/' "$FOLDER/$first/etc/lunkeeper.conf"
cli "$first" reload
writes_go_on
equal "writers after a reload" "$(epoch)" "$writer"
echo 'nonsense = 1' >>"$FOLDER/$first/etc/lunkeeper.conf"
LINES_MAX=4 refuses 'nonsense' cli "$first" reload
writes_go_on
equal "writers after a bad reload" "$(epoch)" "$writer"
verified
if fault restart-daemon "$first"; then fail "it was restarted with a configuration that has faults"; fi
writes_go_on
equal "writers after a restart that was refused" "$(epoch)" "$writer"
sed -i '/^nonsense/d' "$FOLDER/$first/etc/lunkeeper.conf"

# What an operator has set is remembered: a service that he has stopped by hand is left alone.
cli "$first" maintenance mail on
on "$first" pkill -9 -f 'run/mail/records'
fault restart-daemon "$first"
sleep 3
equal "the state in maintenance" "$(view "$first" mail '"\(.state) \(.maintenance)"')" "owner true"
equal "the writer in maintenance" "$(view "$first" mail '.resources[] | select(.name == "writer") | .state')" stopped
cli "$first" maintenance mail off
await_owner 20 mail
writes_go_on
second=$(other "$OWNER")
cli "$second" standby
fault restart-daemon "$second"
wait_for 10 "$second is known to stand by" stands_by "$second" mail
equal "fitness of a node set to standby" "$(view "$second" mail .fit)" false
cli "$second" online
equal "fitness of a node set to online" "$(view "$second" mail .fit)" true
verified
