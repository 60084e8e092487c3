#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What people get wrong: each gets one clear message that names the thing and says what to do.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

up --no-daemons --luns 2
tgt() {
	on san tgtadm --lld iscsi "$@"
}

echo "--- a device that is no SCSI disk"
refuses '/dev/null' cli jerry lun keys /dev/null
refuses '/dev/nothing' cli jerry lun keys /dev/nothing

echo "--- a logical unit that is no disk, and one that is not there"
refuses 'san/0' cli jerry lun keys "$(url 0)"
refuses 'san/99' cli jerry lun keys "$(url 99)"
truncate -s 8M "$FOLDER/san/cd"
tgt --mode logicalunit --op new --tid 1 --lun 5 --device-type cd --backing-store "$FOLDER/san/cd"
refuses 'san/5: no disk' cli jerry lun keys "$(url 5)"

echo "--- a target, a portal and a host that are not there"
refuses 'nowhere' cli jerry lun keys iscsi://10.77.0.1:3260/iqn.2026-01.test:nowhere/1
refuses '10.77.0.1:3999' cli jerry lun keys iscsi://10.77.0.1:3999/iqn.2026-01.test.rig:san/1
refuses 'iscsi://' cli jerry lun keys iscsi://10.77.0.1

echo "--- a target that is down"
fault kill-target
refuses '10.77.0.1' cli jerry lun keys "$(url 1)"
fault start-target

echo "--- a wrong password"
tgt --mode account --op new --user jerry --password right-secret-1
tgt --mode account --op bind --tid 1 --user jerry
printf '%s jerry wrong-secret-1\n' iqn.2026-01.test.rig:san >"$FOLDER/jerry/etc/secrets"
chmod 600 "$FOLDER/jerry/etc/secrets"
refuses '[Aa]uth|login' cli jerry lun keys --secrets /etc/lunkeeper/secrets "$(url 1)"
if grep -q wrong-secret "$SCRATCH/said"; then fail "the message shows the secret"; fi
printf '%s jerry right-secret-1\n' iqn.2026-01.test.rig:san >"$FOLDER/jerry/etc/secrets"
cli jerry lun keys --secrets /etc/lunkeeper/secrets "$(url 1)"
chmod 644 "$FOLDER/jerry/etc/secrets"
refuses 'secrets' cli jerry lun keys --secrets /etc/lunkeeper/secrets "$(url 1)"
tgt --mode account --op unbind --tid 1 --user jerry

echo "--- a foreign holder"
on tom sh -c "'$LUNKEEPER' rig takeover hold --luns 1 --key 0xdeadbeef >/dev/null 2>&1 &"
sleep 1
refuses 'deadbeef' cli jerry lun reserve --key 0x1 "$(url 1)"

daemon() {
	on jerry timeout 10 lunkeeperd "$@"
}
echo "--- a configuration that is not there, or wrong"
refuses '/etc/lunkeeper/nothing.conf' daemon --config /etc/lunkeeper/nothing.conf
echo 'clutter = 5' >"$FOLDER/jerry/etc/bad.conf"
LINES_MAX=6 refuses 'bad.conf:1' daemon --config /etc/lunkeeper/bad.conf
refuses 'no node|not.*configur|stranger' daemon --node stranger

# It starts all the same, so that it can defend what it owns; says at once what is wrong, and takes nothing.
complains() {
	on jerry timeout 4 lunkeeperd --state "$1" >"$SCRATCH/said" 2>&1 || true
	grep -q "^<3>.*state folder $1: .*\(expected\|free space\)" "$SCRATCH/said" || fail "nothing is said of $1: $(cat "$SCRATCH/said")"
	if grep -q 'standby -> challenging\|-> owner' "$SCRATCH/said"; then fail "it challenges without a state folder"; fi
	grep "^<3>.*state folder" "$SCRATCH/said"
}
echo "--- a state folder that cannot be used"
echo file >"$FOLDER/jerry/file"
complains "$FOLDER/jerry/file"
mkdir "$FOLDER/jerry/open"
chmod 777 "$FOLDER/jerry/open"
complains "$FOLDER/jerry/open"

echo "--- a full disk"
on jerry sh -c 'mkdir /run/full && mount -t tmpfs -o size=4k none /run/full && mkdir /run/full/state && chmod 700 /run/full/state && dd if=/dev/zero of=/run/full/fill bs=1k status=none' || true
complains /run/full/state

echo "--- CLI without a daemon"
refuses 'lunkeeperd' cli jerry status
