#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tgt.sh LUNS COMMAND...: runs COMMAND beside a tgtd of its own with LUNS logical units (numbers 1 to LUNS, 8 MiB each),
# and leaves nothing behind, whatever happens: all of it lives in new network, mount and process namespaces.
# COMMAND finds in its environment
#   TGT_PORTAL TGT_TARGET   the plain target
#   TGT_CHAP_TARGET         the same first LUN behind mutual CHAP: TGT_CHAP_USER TGT_CHAP_SECRET, TGT_CHAP_BACK_USER
#                           TGT_CHAP_BACK_SECRET
#   TGT_PID, TGT_START      tgtd's process, and a command that starts it again (for power cycles); TGT_DIR: a scratch folder
set -eu

if [ "${TGT_INSIDE:-}" != yes ]; then
	[ "$(id -u)" = 0 ] || { echo "tgt.sh: needs root (namespaces)" >&2; exit 77; }
	command -v tgtd >/dev/null || { echo "tgt.sh: no tgtd (Debian package tgt)" >&2; exit 77; }
	[ $# -ge 2 ] || { echo "usage: tgt.sh LUNS COMMAND..." >&2; exit 2; }
	TGT_DIR=$(mktemp -d /tmp/lunkeeper-tgt.XXXXXX)
	export TGT_DIR TGT_INSIDE=yes
	trap 'rm -rf "$TGT_DIR"' EXIT
	trap 'kill "$inside" 2>/dev/null; exit 130' INT TERM HUP
	status=0
	unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@" &
	inside=$!
	wait "$inside" || status=$?
	exit $status
fi

luns=$1
shift
ip link set lo up
mkdir -p /var/run/tgtd
mount -t tmpfs none /var/run/tgtd

export TGT_PORTAL=127.0.0.1:3260
export TGT_TARGET=iqn.2024-01.test.lunkeeper:table
export TGT_CHAP_TARGET=iqn.2024-01.test.lunkeeper:chap
export TGT_CHAP_USER=jerry TGT_CHAP_SECRET=twelve-letters
export TGT_CHAP_BACK_USER=san TGT_CHAP_BACK_SECRET=thirteen-chars
export TGT_START="$TGT_DIR/start"

# The first 64 MiB, or what is needed, in one sparse file a LUN; configuration in one file of tgtadm commands, so that a
# restart is quick.
cat >"$TGT_START" <<-EOF
	#!/bin/sh
	set -e
	tgtd -f -t 1 --iscsi portal=$TGT_PORTAL >"$TGT_DIR/tgtd.log" 2>&1 &
	echo \$! >"$TGT_DIR/pid"
	for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		tgtadm --op show --mode sys >/dev/null 2>&1 && break
		sleep 0.05
	done
	. "$TGT_DIR/setup"
EOF
chmod +x "$TGT_START"

{
	echo "tgtadm --lld iscsi --op new --mode target --tid 1 -T $TGT_TARGET"
	echo "tgtadm --lld iscsi --op new --mode target --tid 2 -T $TGT_CHAP_TARGET"
	n=1
	while [ "$n" -le "$luns" ]; do
		truncate -s 8M "$TGT_DIR/lun$n"
		echo "tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun $n -b $TGT_DIR/lun$n"
		n=$((n + 1))
	done
	# Only then UNMAP is known.
	echo "tgtadm --lld iscsi --op update --mode logicalunit --tid 1 --lun 1 --params thin_provisioning=1"
	echo "tgtadm --lld iscsi --op new --mode logicalunit --tid 2 --lun 1 -b $TGT_DIR/lun1"
	echo "tgtadm --lld iscsi --op bind --mode target --tid 1 -I ALL"
	echo "tgtadm --lld iscsi --op bind --mode target --tid 2 -I ALL"
	echo "tgtadm --lld iscsi --op new --mode account --user $TGT_CHAP_USER --password $TGT_CHAP_SECRET"
	echo "tgtadm --lld iscsi --op new --mode account --user $TGT_CHAP_BACK_USER --password $TGT_CHAP_BACK_SECRET"
	echo "tgtadm --lld iscsi --op bind --mode account --tid 2 --user $TGT_CHAP_USER"
	echo "tgtadm --lld iscsi --op bind --mode account --tid 2 --user $TGT_CHAP_BACK_USER --outgoing"
} >"$TGT_DIR/setup"

"$TGT_START"
TGT_PID=$(cat "$TGT_DIR/pid")
export TGT_PID
"$@"
