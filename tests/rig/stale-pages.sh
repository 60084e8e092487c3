#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Case 26: pages of an earlier ownership, kept in the cache by an open descriptor, are not served when the LUN comes back.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 20 mail
first=$OWNER second=$(other "$OWNER")
on "$first" sh -c 'echo old >/run/mail/note; sync /run/mail/note; cat /run/mail/note >/dev/null'
# Somebody keeps the block device open, and its pages with it.
device=$(on "$first" readlink -f /run/lunkeeper/dev/mailstore)
on "$first" sh -c "dd if=$device of=/dev/null bs=1M status=none; (exec 3<$device; exec sleep 600) >/dev/null 2>&1 &"
cli "$first" move mail "$second"
await_owner 20 mail "$second"
on "$second" sh -c 'cat /run/mail/note; echo new >/run/mail/note; sync /run/mail/note'
cli "$second" move mail "$first"
await_owner 20 mail "$first"
equal "what is read" "$(on "$first" cat /run/mail/note)" new
writes_go_on
verified
