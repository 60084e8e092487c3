#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The LUN grows while it is in use, and the target tells nobody: both nodes notice it by themselves, so the gate's device
# grows, and the standby can mount the file system that was grown on the owner.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

SIZE=$((192 * 1024 * 1024))

has_size() {
	[ "$(on "$1" blockdev --getsize64 "$2")" = $SIZE ]
}
# Every disk of the LUN, and its map.
kernel_has_size() {
	has_size "$1" "$(map 1)" &&
		on "$1" sh -c "for d in /sys/block/dm-*; do
			[ \"/dev/mapper/\$(cat \$d/dm/name)\" = $(map 1) ] || continue
			set -- \$d/slaves/*
			[ \$# = 2 ] || exit 1
			for s; do [ \$(cat \$s/size) = $((SIZE / 512)) ] || exit 1; done
			exit 0
		done; exit 1"
}
told() {
	happened "$1" '.kind == "size" and (.text | startswith("grew from 96 MiB to 192 MiB"))'
}

up --service builtin --size 96M
# Another scenario would find a LUN of another size.
spoils
await_owner 60 mail
first=$OWNER second=$(other "$OWNER")
writes_go_on
writer=$(epoch)
fault resize-lun 1 192M
wait_for 45 "the kernel of $first has the new size" kernel_has_size "$first"
wait_for 45 "the kernel of $second has the new size" kernel_has_size "$second"
wait_for 10 "the gate's device has grown" has_size "$first" /run/lunkeeper/dev/mailstore
for node in $NODES; do
	wait_for 5 "$node tells that the LUN has grown" told "$node"
	equal "the size that $node shows" "$(view "$node" mail '.luns[0].size')" $SIZE
done
on "$first" sh -c 'resize2fs $(readlink -f /run/lunkeeper/dev/mailstore) 2>&1'
[ "$(on "$first" df --output=size -m /run/mail | tail -n 1)" -gt 140 ] || fail "the file system has not grown"
writes_go_on
equal "writers" "$(epoch)" "$writer"
cli "$first" move mail "$second"
await_owner 30 mail "$second"
has_size "$second" /run/lunkeeper/dev/mailstore || fail "the gate's device on $second has the old size"
[ "$(on "$second" df --output=size -m /run/mail | tail -n 1)" -gt 140 ] || fail "$second has mounted less than there is"
writes_go_on
verified
for node in $NODES; do
	equal "times that $node told it" "$(cli "$node" events --json 2>/dev/null |
		jq -s '[.[] | if type == "array" then .[] else . end | select(.kind == "size")] | length')" 1
done
