#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The gate on kernel devices by itself: states, what is proven when storage hangs below, adoption, growth.
# shellcheck source=tests/vm/lib.sh
. "${0%/*}/lib.sh"

DRIVER=${LUNKEEPER%/*}/tests/table/run_gate_dm
[ -x "$DRIVER" ] || skip "needs $DRIVER: make build/tests/table/run_gate_dm"
up --no-daemons --nodes 1
on jerry sh -ec 'modprobe loop; truncate -s 32M /root/gate.img; losetup /dev/loop7 /root/gate.img'
on jerry "$DRIVER" /dev/loop7 >"$SCRATCH/gate" || {
	grep -v '^passed' "$SCRATCH/gate" || true
	fail "the gate"
}
tail -n 1 "$SCRATCH/gate"
on jerry losetup -d /dev/loop7
