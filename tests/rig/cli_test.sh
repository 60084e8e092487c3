#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lunkeeper command against a tgtd of its own (tests/table/tgt.sh): what users of `lun ...` and `check` see, and what is
# left on the LUNs afterwards. Needs root, for namespaces.

set -eu

here=$(dirname "$(readlink -f "$0")")
LUNKEEPER=${LUNKEEPER:-$here/../../build/lunkeeper}
if [ "${TGT_INSIDE:-}" != yes ]; then
	[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
	exec "$here/../table/tgt.sh" 70 "$0" "$@"
fi

export NO_COLOR=1 LC_ALL=C.UTF-8
unset LUNKEEPER_RUN || true
T=iscsi://$TGT_PORTAL/$TGT_TARGET
jerry="--initiator iqn.2024-01.test:jerry"
tom="--initiator iqn.2024-01.test:tom"
out=$TGT_DIR/out
passed=0

fail() {
	echo "FAILED: $1"
	echo "--- its output"
	cat "$out"
	exit 1
}

# expect STATUS WORDS... -- ARGUMENTS...: runs lunkeeper; each of WORDS must stand in what it writes.
expect() {
	expected=$1
	shift
	words=
	while [ "$1" != -- ]; do
		words="$words$1
"
		shift
	done
	shift
	status=0
	"$LUNKEEPER" "$@" >"$out" 2>&1 </dev/null || status=$?
	[ "$status" = "$expected" ] || fail "lunkeeper $*: exit status $status, not $expected"
	printf %s "$words" | while read -r word; do
		grep -qF -e "$word" "$out" || fail "lunkeeper $*: \"$word\" is missing"
	done
	passed=$((passed + 1))
}

lacks() {
	! grep -qF -e "$1" "$out" || fail "\"$1\" should not be there"
}

wait_for() {
	for _ in $(seq 100); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.05
	done
	echo "FAILED: never came true: $*"
	exit 1
}

# shellcheck disable=SC2086
keys() {
	"$LUNKEEPER" lun keys $tom "$T/$1"
}

echo "usage and help"
expect 2 'did you mean `lunkeeper status`?' -- statsu
expect 2 'did you mean `lunkeeper status`?' -- show
expect 2 'did you mean `lunkeeper events`?' -- log
expect 2 "SERVICE is missing" -- move
expect 2 "on|off is missing" -- maintenance mail
expect 0 "lunkeeper 0." "cannot" -- version --run "$TGT_DIR/no-run"
expect 0 "lunkeeper 0." -- --version
expect 2 'did you mean `lunkeeper lun register`?' -- lun regsiter
expect 2 "did you mean --key?" -- lun register --kye 1 "$T/1"
expect 2 "--key wants a reservation key" -- lun register --key xyz "$T/1"
expect 2 "--timeout wants a time with its unit" -- lun show --timeout 5 "$T/1"
expect 2 "no device named" -- lun show
expect 2 "--key is given twice" -- lun register --key 1 --key 2 "$T/1"
expect 2 "--key is given twice" -- lun "do" 'register -k1 --key 1' "$T/1"
expect 2 "--timeout is given twice" -- lun show -t1s -t 2s "$T/1"
expect 2 "--json is given twice" -- status --json --json
expect 2 "mailstore: no device" -- lun show mailstore
expect 2 "without }" -- lun show "$T/{1-3"
for command in list show keys capabilities probe test register unregister reserve release preempt clear reset "do" shell \
	claim take yield; do
	expect 0 "usage: lunkeeper lun $command" -- lun $command --help
done
for command in status ledger explain events move start stop standby online maintenance ping reload restart shutdown check; do
	expect 0 "usage: lunkeeper $command" -- $command --help
done
for command in status ledger ping events reload standby; do
	expect 3 "$TGT_DIR/no-run/control" -- $command --run "$TGT_DIR/no-run"
done

echo "looking"
# shellcheck disable=SC2086
{
	expect 0 "IET VIRTUAL-DISK" "naa.60000000000000000e00000000010001" "nobody" "8 MiB" -- lun show $jerry "$T/1"
	expect 0 "64 devices: 64 ok" -- lun show $jerry "$T/{1-64}"
	[ "$(grep -c nobody "$out")" = 64 ] || fail "not 64 rows"
	expect 0 '"ok": true' '"generation": 0' -- lun keys --json $jerry "$T/1"
	expect 0 "WE-RO" -- lun capabilities $jerry "$T/1"
	expect 0 "GOOD" -- lun test $jerry "$T/1"
	expect 1 "2 devices: 1 ok, 1 failed" "$T/99: no such LUN" -- lun show $jerry "$T/{1,99}"
	expect 1 "no disk" -- lun show $jerry "$T/0"
	expect 1 "Connection refused" "is the target running" -- lun show $jerry "iscsi://127.0.0.1:3999/$TGT_TARGET/1"
	expect 1 "target not found" -- lun show $jerry "iscsi://$TGT_PORTAL/iqn.2024-01.test:none/1"
	expect 1 "user name" -- lun show $jerry "iscsi://me%secret@$TGT_PORTAL/$TGT_TARGET/1"
	expect 1 "/dev/null: " -- lun show /dev/null
	expect 1 "/dev/nosuch" -- lun show /dev/nosuch
	tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 257 -b "$TGT_DIR/lun1"
	expect 0 "$T/0 " "no disk" "$T/70 " "$T/257 " -- lun list --target "$T" $jerry
	expect 0 "$T/1 " "$T/70 " -- lun list --target "$T/5" $jerry
	expect 0 "$T/1 " "$T/70 " -- lun list "$T" $jerry
	expect 2 'lun list --portal 10.0.0.1` asks the portal' -- lun list 10.0.0.1 $jerry
	expect 2 'lun show /dev/sdb` shows a device' -- lun list /dev/sdb
	expect 1 "the LUN is missing" 'lun list --target URL` lists the LUNs' -- lun show $jerry "$T"
	expect 1 "cannot connect" -- lun list --portal 127.0.0.1:3999 $jerry
	tgtadm --lld iscsi --op delete --mode logicalunit --tid 1 --lun 257
}

echo "a name with two addresses, of which one listens"
cp /etc/hosts "$TGT_DIR/hosts"
printf 'fd00:1::1 both-san\n127.0.0.1 both-san\nfd00:1::1 none-san\n127.0.0.9 none-san\n' >>"$TGT_DIR/hosts"
mount --bind "$TGT_DIR/hosts" /etc/hosts
ip address add 10.99.0.1/24 dev lo
ip address add fd00:1::1/64 dev lo nodad
# shellcheck disable=SC2086
{
	getent ahosts both-san | grep -q fd00:1::1 || fail "both-san has no two addresses here"
	expect 0 "nobody" -- lun show $jerry "iscsi://both-san:${TGT_PORTAL##*:}/$TGT_TARGET/1"
	# the other target there wants a password
	expect 1 "iscsi://both-san:${TGT_PORTAL##*:}/$TGT_TARGET/1 " -- lun list --portal "both-san:${TGT_PORTAL##*:}" $jerry
	cat >"$TGT_DIR/both.conf" <<-CONF
		cluster = "both"
		node "jerry" { id = 1  initiator = "iqn.2024-01.test:jerry" }
		lun "store"  { device = "iscsi://both-san:${TGT_PORTAL##*:}/$TGT_TARGET/8" }
		service "both" { luns = { "store" } nodes = { "jerry" } }
	CONF
	"${LUNKEEPER}d" --no-realtime --config "$TGT_DIR/both.conf" --node jerry --run "$TGT_DIR/both-run" \
		--state "$TGT_DIR/both-state" >"$TGT_DIR/both.log" 2>&1 &
	daemon=$!
	wait_for sh -c "'$LUNKEEPER' status --json --run '$TGT_DIR/both-run' | grep -q '\"state\": \"owner\"'"
	kill -TERM $daemon
	wait $daemon || true
	expect 1 "no address of none-san takes a connection" "fd00:1::1: " "127.0.0.9: " -- \
		lun show $jerry "iscsi://none-san/$TGT_TARGET/1"
	expect 1 "cannot connect: " "fd00:1::1: " "127.0.0.9: " -- lun list --portal none-san $jerry
}

echo "passwords"
C=iscsi://$TGT_PORTAL/$TGT_CHAP_TARGET/1
printf '%s %s "%s" %s "%s"\n' "$TGT_CHAP_TARGET" "$TGT_CHAP_USER" "$TGT_CHAP_SECRET" "$TGT_CHAP_BACK_USER" \
	"$TGT_CHAP_BACK_SECRET" >"$TGT_DIR/good-secrets"
printf '%s %s "%s"\n' "$TGT_CHAP_TARGET" "$TGT_CHAP_USER" "not-the-password" >"$TGT_DIR/bad-secrets"
chmod 600 "$TGT_DIR/good-secrets" "$TGT_DIR/bad-secrets"
# shellcheck disable=SC2086
{
	expect 0 "nobody" -- lun show $jerry --secrets "$TGT_DIR/good-secrets" "$C"
	expect 0 "$T/1 " "$C " -- lun list --portal "$TGT_PORTAL" $jerry --secrets "$TGT_DIR/good-secrets"
	expect 1 "$C: login rejected: authentication failure" -- lun show $jerry --secrets "$TGT_DIR/bad-secrets" "$C"
	lacks "not-the-password"
	expect 1 "authentication failure" -- lun show $jerry "$C"
	chmod 644 "$TGT_DIR/good-secrets"
	expect 1 "$TGT_DIR/good-secrets" -- lun show $jerry --secrets "$TGT_DIR/good-secrets" "$C"
}

echo "ordering"
# shellcheck disable=SC2086
{
	expect 0 "registered 0x1" "holds it (WE-RO)" "released" "unregistered" -- lun "do" $jerry \
		'register --key 1; reserve; keys; release; unregister' "$T/1"
	expect 0 "0 registrations" -- lun keys $jerry "$T/1"
	expect 0 "64 devices: 64 ok" -- lun "do" $jerry 'register --key 1; reserve --key 1 --type ea-ro; release; unregister' \
		"$T/{1-64}"
	expect 0 "64 devices: 64 ok" -- lun "do" --parallel 3 $jerry 'register --key 1; unregister' "$T/{1-64}"
	expect 1 "not registered with 0x1" -- lun reserve $jerry --key 1 "$T/1"
	expect 0 "would send REGISTER" -- lun register --dry-run $jerry --key 1 "$T/2"
	expect 0 "tgt ties a registration to its session" -- lun register $jerry --key 1 "$T/2"
	expect 0 "0x1" -- lun keys $jerry "$T/2"
	# what an ended session left there goes by another's PREEMPT
	expect 1 "preempt: not done without --force" "0x1" "loses its registration" -- lun "do" $jerry \
		'register --key 2; preempt --key 2 --victim 1' "$T/2"
	expect 0 "preempted 0x1" "preempted 0x2" -- lun "do" $jerry \
		'register --key 3; preempt --key 3 --victim 1 --force; preempt --victim 2 --force; unregister' "$T/2"
	expect 0 "0 registrations" -- lun keys $jerry "$T/2"
	expect 1 "LOGICAL UNIT RESET ends the commands of everybody" -- lun reset $jerry "$T/1"
	expect 0 "logical unit reset" -- lun reset --force $jerry "$T/1"
}

echo "a holder"
# shellcheck disable=SC2086
"$LUNKEEPER" lun "do" --hold $jerry 'register --key 51; reserve --key 51' "$T/3" >"$TGT_DIR/holder" 2>&1 &
holder=$!
wait_for grep -q "holds it" "$TGT_DIR/holder"
# shellcheck disable=SC2086
{
	expect 0 "0x51" "holds" -- lun keys $tom "$T/3"
	expect 1 "0x51 holds it" -- lun "do" $tom 'register --key 52; reserve; unregister' "$T/3"
	expect 1 "not done without --force" "loses its registration and the reservation" -- \
		lun "do" $tom 'register --key 53; clear' "$T/3"
	expect 0 "needs --force" "0x51" -- lun "do" --dry-run $tom 'clear --key 53' "$T/3"
	expect 1 "which of the registered keys is this nexus'" -- lun register --ignore --key 54 $tom "$T/3"
	expect 1 "not probed: somebody holds it" "0x51  holds WE-RO" -- lun probe $tom "$T/3"
	expect 1 "PREEMPT AND ABORT" "without --abort" -- lun "do" $tom \
		'register --key 55; preempt --victim 51 --abort --force' "$T/3"
	expect 0 "0x56 holds it" -- lun "do" $tom 'register --key 56; preempt --victim 51 --force; clear --force' "$T/3"
	expect 0 "0 registrations" -- lun keys $tom "$T/3"
}
kill -INT $holder
wait $holder

echo "a shell"
# shellcheck disable=SC2086
printf 'register --key 7\n\n# a comment\nreserve\nkeys\nrelease; unregister\n' | "$LUNKEEPER" lun shell $jerry "$T/{4-5}" >"$out" 2>&1 ||
	fail "lun shell"
grep -q "0x7 holds it" "$out" || fail "lun shell: no reservation"
status=0
# shellcheck disable=SC2086
printf 'register --key 7\nbogus\nunregister\n' | "$LUNKEEPER" lun shell $jerry "$T/4" >"$out" 2>&1 || status=$?
[ $status = 2 ] || fail "lun shell: a wrong step gave $status"
# shellcheck disable=SC2086
printf 'preempt --key 8 --victim 7 --force\n' >"$TGT_DIR/script"
# shellcheck disable=SC2086
{ printf 'register --key 8\n'; cat "$TGT_DIR/script"; printf 'clear --force\n'; } >"$TGT_DIR/script2"
# shellcheck disable=SC2086
"$LUNKEEPER" lun shell $jerry "$T/4" <"$TGT_DIR/script2" >"$out" 2>&1 || fail "lun shell from a file"

echo "probing"
head -c 8388608 /dev/urandom >"$TGT_DIR/lun6"
cp "$TGT_DIR/lun6" "$TGT_DIR/before"
# shellcheck disable=SC2086
{
	expect 0 "fit for LunKeeper" "no PREEMPT AND ABORT" "as it was found" -- lun probe $jerry "$T/6"
	expect 0 "0 registrations" -- lun keys $jerry "$T/6"
	expect 0 "WRITE of others is refused         yes" "as it was found" -- \
		lun probe $jerry --destructive-range 8+64 --state "$TGT_DIR/state" --save "$T/6"
	cmp "$TGT_DIR/lun6" "$TGT_DIR/before" || fail "the probe changed blocks"
	expect 0 "0 registrations" -- lun keys $jerry "$T/6"
	[ -z "$(find "$TGT_DIR/state" -name '*.blocks')" ] || fail "kept blocks were not removed"
	expect 1 "ends behind its last block" -- lun probe $jerry --destructive-range 16383+2 --state "$TGT_DIR/state" "$T/6"
	expect 0 "0 registrations" -- lun keys $jerry "$T/6"
	expect 2 "FIRST+COUNT" -- lun probe $jerry --destructive-range 8 "$T/6"
	expect 0 "only asked, not tried" -- lun probe --dry-run $jerry "$T/7"
	expect 0 "64 devices: 64 probed, 0 failed" -- lun probe $jerry --looks 20 "$T/{1-64}"
	expect 1 "cannot make the folder" -- lun probe $jerry --destructive-range 8+8 --state /proc/none "$T/7"
	expect 0 "0 registrations" -- lun keys $jerry "$T/7"
}

# Interrupted at many moments, by every signal that can be caught: nothing is left.
for signal in INT TERM; do
	for delay in 0.01 0.02 0.03 0.04 0.05 0.06; do
		# shellcheck disable=SC2086
		"$LUNKEEPER" lun probe $jerry --looks 30 --destructive-range 8+64 --state "$TGT_DIR/state" "$T/6" \
			>"$out" 2>&1 &
		probe=$!
		sleep $delay
		kill -$signal $probe 2>/dev/null || true
		wait $probe || true
		keys 6 | grep -q "0 registrations" || fail "left by a probe interrupted after $delay s"
		cmp "$TGT_DIR/lun6" "$TGT_DIR/before" || fail "blocks changed by a probe interrupted after $delay s"
	done
done

# Killed: the next one recognises what is left, and --restore has the blocks.
killed=0
for delay in 0.012 0.016 0.020 0.024 0.028; do
	# shellcheck disable=SC2086
	"$LUNKEEPER" lun probe $jerry --looks 1 --destructive-range 8+2048 --state "$TGT_DIR/state" "$T/6" >"$out" 2>&1 &
	probe=$!
	sleep $delay
	kill -KILL $probe 2>/dev/null || true
	wait $probe 2>/dev/null || true
	if [ -n "$(find "$TGT_DIR/state" -name '*.blocks')" ]; then
		# shellcheck disable=SC2086
		{
			expect 1 "an earlier probe was killed" "--restore" -- \
				lun probe $jerry --destructive-range 8+8 --state "$TGT_DIR/state" "$T/6"
			# the killed one's reservation shuts out who is not registered
			"$LUNKEEPER" lun probe $jerry --looks 1 --state "$TGT_DIR/state" "$T/6" >"$out" 2>&1 ||
				fail "a probe after a killed one"
			expect 0 "blocks written back" -- lun probe --restore $jerry --state "$TGT_DIR/state" "$T/6"
		}
		killed=$((killed + 1))
	elif keys 6 | grep -q "a .lun probe."; then
		# shellcheck disable=SC2086
		expect 0 "of an earlier, killed probe" -- lun probe $jerry --looks 1 --state "$TGT_DIR/state" "$T/6"
		killed=$((killed + 1))
	fi
	cmp "$TGT_DIR/lun6" "$TGT_DIR/before" || fail "blocks changed by a probe killed after $delay s"
	keys 6 | grep -q "0 registrations" || fail "left by a probe killed after $delay s"
done
[ $killed -gt 0 ] || echo "  (no probe was killed at a bad moment)"

echo "a target that hangs"
kill -STOP "$(cat "$TGT_DIR/pid")"
began=$(date +%s)
# shellcheck disable=SC2086
expect 1 "given up after 1.0 s while logging in" -- lun show --timeout 1s $jerry "$T/1"
[ $(($(date +%s) - began)) -lt 5 ] || fail "a hung target held it too long"
kill -CONT "$(cat "$TGT_DIR/pid")"

echo "the configuration"
cat >"$TGT_DIR/good.conf" <<-CONF
	cluster = "demo"
	node "jerry" { id = 1  initiator = "iqn.2024-01.test:jerry" }
	node "tom"   { id = 2  initiator = "iqn.2024-01.test:tom" }
	lun "store"  { device = "$T/6"  wwid = "naa.60000000000000000e00000000010006" }
CONF
sed 's/10006"/10009"/' "$TGT_DIR/good.conf" >"$TGT_DIR/wrong.conf"
sed 's/id = 2/id = 1/' "$TGT_DIR/good.conf" >"$TGT_DIR/twice.conf"
expect 0 "good: cluster demo, 2 nodes, 1 LUN" -- check "$TGT_DIR/good.conf"
expect 1 "$TGT_DIR/twice.conf:3: error" -- check "$TGT_DIR/twice.conf"
expect 1 '"line": 3' -- check --json "$TGT_DIR/twice.conf"
expect 1 "$TGT_DIR/none.conf" -- check "$TGT_DIR/none.conf"
expect 0 "jerry, number 1" "answers in" -- check --node --as jerry --state "$TGT_DIR/state" "$TGT_DIR/good.conf"
expect 1 "another logical unit" "naa.60000000000000000e00000000010009" -- \
	check --node --as jerry --state "$TGT_DIR/state" "$TGT_DIR/wrong.conf"
sed -i 's/"p99_us": [0-9]*/"p99_us": 200000/' "$TGT_DIR"/state/probe/*10006.json
expect 1 "less than 4 times its answer time" "at least 800ms" -- \
	check --node --as jerry --state "$TGT_DIR/state" "$TGT_DIR/good.conf"
expect 1 "no node" -- check --node --as spike --state "$TGT_DIR/state" "$TGT_DIR/good.conf"
expect 2 "did you mean store?" -- lun show -c "$TGT_DIR/good.conf" stor
# A key of this cluster is one of its nodes'; anything else is foreign.
"$LUNKEEPER" lun "do" -c "$TGT_DIR/good.conf" --node jerry 'register --key abc; show; unregister' store >"$out" 2>&1 || fail "do"
grep -q "foreign" "$out" || fail "a foreign key is not called so"
expect 1 "another logical unit" -- lun "do" -c "$TGT_DIR/wrong.conf" --node jerry 'register --key abc' store
expect 0 "0 registrations" -- lun keys -c "$TGT_DIR/good.conf" --node jerry --all

echo "completion"
cat >"$TGT_DIR/complete" <<'BASH'
PATH=$1:$PATH
. "$2"
COMP_WORDS=(lunkeeper lun reserve --t) COMP_CWORD=3 && _lunkeeper && echo "${COMPREPLY[@]}"
COMP_WORDS=(lunkeeper st) COMP_CWORD=1 && _lunkeeper && echo "${COMPREPLY[@]}"
BASH
bash "$TGT_DIR/complete" "$(dirname "$LUNKEEPER")" "$here/../../etc/lunkeeper.bash-completion" >"$out"
printf '%s\n' "--type --timeout" "standby start status stop" | cmp - "$out" || fail "completion"

echo "$passed commands passed, 0 failed"
