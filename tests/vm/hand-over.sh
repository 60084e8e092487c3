#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A planned hand-over on kernel devices, and back: one writer at a time, nothing lost, the file system unmounted before
# the other mounts it.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

up --service builtin
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
for to in "$second" "$first"; do
	from=$(other "$to")
	writes_go_on
	before=$(epoch)
	cli "$from" move mail "$to"
	await_owner 30 mail "$to"
	writes_go_on
	equal "writers" "$(epoch)" $((before + 1))
	equal "owners" "$(owner mail)" "$to"
	wait_for 10 "$from stands by" stands_by "$from" mail
	if has_mounted "$from" /run/mail; then fail "$from still has it mounted"; fi
done
verified
