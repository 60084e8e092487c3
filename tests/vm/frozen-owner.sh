#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The owner is frozen in the middle of writing, the other takes over, and the old owner goes on: not one of its writes
# lands, it stops its service and stands by, without a reboot.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
before=$(epoch)
booted=$(on "$first" cat /proc/sys/kernel/random/boot_id)
fault stop "$first"
await_owner 30 mail "$second"
writes_go_on
equal "writers" "$(epoch)" $((before + 1))
fault cont "$first"
wait_for 45 "$first stands by" stands_by "$first" mail
if has_mounted "$first" /run/mail; then fail "$first still has it mounted"; fi
equal "boots" "$(on "$first" cat /proc/sys/kernel/random/boot_id)" "$booted"
if on "$first" sh -c 'ps -eo state= | grep -q ^D'; then
	on "$first" ps -eo pid,state,wchan,args
	fail "$first has processes that wait for a disk"
fi
equal "owners" "$(owner mail)" "$second"
writes_go_on
equal "writers after all" "$(epoch)" $((before + 1))
verified
