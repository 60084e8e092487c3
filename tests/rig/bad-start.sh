#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A daemon that finds things wrong when it starts, or later: the target is down, the password is wrong, the disk with its
# state folder is full. It says what and where on one screen, and goes on by itself when that is mended.
# shellcheck source=tests/rig/lib.sh
. "${0%/*}/lib.sh"

cat >"$SCRATCH/conf" <<S
cluster = "start"
secrets = "/etc/lunkeeper/secrets"
node "jerry" { id = 1 }
node "tom" { id = 2 }
lun "disk" { device = "$(url 1)" }
service "store" { luns = { "disk" } nodes = { "jerry", "tom" } }
S
up --no-daemons --configuration "$SCRATCH/conf"
for node in $NODES; do
	printf 'iqn.2026-01.test.rig:san jerry right-secret-1\n' >"$FOLDER/$node/etc/secrets"
	chmod 600 "$FOLDER/$node/etc/secrets"
done
shows() {
	cli "$1" status >"$SCRATCH/status" 2>&1 && grep -Eqi "$2" "$SCRATCH/status"
}
says() {
	wait_for "$1" "status on $2 says '$3'" shows "$2" "$3"
	grep -Ei "$3" "$SCRATCH/status" | head -n 2
}

echo "--- the target is down when the daemon starts"
fault kill-target
fault start-daemon jerry
says 15 jerry 'refused|nothing listens|no route|timed out|no answer'
fault start-target
await_owner 30 store jerry

echo "--- the password is wrong"
on san tgtadm --lld iscsi --mode account --op new --user jerry --password right-secret-1
on san tgtadm --lld iscsi --mode account --op bind --tid 1 --user jerry
sed -i 's/right/wrong/' "$FOLDER/tom/etc/secrets"
fault start-daemon tom
says 15 tom 'authentication'
if grep -rq 'wrong-secret' "$FOLDER/tom/lunkeeperd.log" "$SCRATCH/status"; then fail "the secret is shown"; fi
sed -i 's/wrong/right/' "$FOLDER/tom/etc/secrets"
wait_for 30 "tom stands by when the password is right" shows tom 'standby'
wait_for 30 "tom sees the owner" sh -c \
	"[ \"\$('$LUNKEEPER' rig exec --name $RIG tom '$LUNKEEPER' status --json | jq -r '.groups[0].holder.node')\" = jerry ]"

echo "--- the disk with the state folder is full"
fault quit-daemon tom
on tom sh -c 'mount -t tmpfs -o size=2m,mode=700 none /var/lib/lunkeeper'
fault start-daemon tom
wait_for 15 "tom stands by" stands_by tom store
on tom sh -c 'dd if=/dev/zero of=/var/lib/lunkeeper/fill bs=1k status=none || true'
fault kill jerry
says 20 tom 'space|claims|full|written'
[ "$(state tom store)" != owner ] || fail "tom owns without having written its claim down"
on tom rm /var/lib/lunkeeper/fill
await_owner 30 store tom
