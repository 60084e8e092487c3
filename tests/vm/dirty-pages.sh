#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Cases 8, 20 and 23: the owner is frozen with dirty pages queued, and goes on when its successor already writes. None of them
# reaches the LUN, neither then nor when it registers again; it stops everything by itself and owns again without a reboot.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
for round in 1 2; do
	first=$OWNER second=$(other "$OWNER")
	booted=$(on "$first" cat /proc/sys/kernel/random/boot_id)
	writes_go_on
	# A file whose old pages are on the LUN, and its new ones in the owner's memory only.
	on "$first" sh -c 'head -c 8M /dev/zero | tr "\0" o >/run/mail/pages; sync /run/mail/pages
		head -c 8M /dev/zero | tr "\0" n | dd of=/run/mail/pages conv=notrunc bs=1M status=none'
	fault stop "$first"
	await_owner 30 mail "$second"
	writes_go_on
	written=$(on "$second" sh -c 'tr -d o </run/mail/pages | wc -c')
	fault cont "$first"
	wait_for 45 "$first stands by (round $round)" stands_by "$first" mail
	if has_mounted "$first" /run/mail; then fail "$first still has it mounted"; fi
	equal "boots" "$(on "$first" cat /proc/sys/kernel/random/boot_id)" "$booted"
	equal "its registrations" "$(view "$first" mail '[.luns[].paths[] | select(.registered)] | length')" 0
	on "$first" sync
	writes_go_on
	# Handing over makes it register again, with whatever it may still have in memory.
	cli "$second" move mail "$first"
	await_owner 30 mail "$first"
	equal "new bytes on the LUN" "$(on "$first" sh -c 'tr -d o </run/mail/pages | wc -c')" "$written"
	writes_go_on
	verified
done
