#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 26: pages of an earlier ownership, kept in the cache by an open descriptor, are not served when the LUN comes back.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
on "$first" sh -c 'echo old >/run/mail/note; sync /run/mail/note; cat /run/mail/note >/dev/null'
# Somebody keeps the block device open, and its pages with it.
on "$first" sh -c 'device=$(readlink -f /run/lunkeeper/dev/mailstore); dd if=$device of=/dev/null bs=1M status=none
	(exec 3<$device; exec sleep 600) >/dev/null 2>&1 & echo $! >/run/keeper'
cli "$first" move mail "$second"
await_owner 30 mail "$second"
on "$second" sh -c 'cat /run/mail/note >/dev/null; echo new >/run/mail/note; sync /run/mail/note'
cli "$second" move mail "$first"
await_owner 30 mail "$first"
equal "what is read" "$(on "$first" cat /run/mail/note)" new
on "$first" sh -c 'kill $(cat /run/keeper)'
writes_go_on
verified
