#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 7: four nodes that challenge all the time. The healthy owner turns every challenge away and keeps what it has; and a
# standby whose network is cut, or that is paused, does not change that either.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --nodes 4 --service builtin --defend 100ms --window 400ms --probe 100ms
await_owner 20 mail
first=$OWNER
writes_go_on
writer=$(epoch)
pushed=$(cli "$first" status --json | jq '[.counters.pr_out[]] | add')
standby=$(other "$first" | head -n 1)
sleep 4
fault stop "$standby"
sleep 3
fault cont "$standby"
fault cut "$standby"
sleep 3
fault heal "$standby"
sleep 3
equal "owners" "$(owner mail)" "$first"
equal "writers" "$(epoch)" "$writer"
answered=$(($(cli "$first" status --json | jq '[.counters.pr_out[]] | add') - pushed))
[ $answered -gt 10 ] || fail "only $answered PR OUT of the owner: nobody challenged"
wait_for 5 "only the owner's key and a challenger's are there" sh -c \
	"[ \$('$LUNKEEPER' rig exec --name $RIG $first '$LUNKEEPER' status --json | jq '.groups[0].luns[0].keys | length') -le 2 ]"
verified
