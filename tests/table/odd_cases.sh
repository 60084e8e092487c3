#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lunkeeper command against a disk that answers as some target in the field does: each case begins with the names of
# its oddities (tests/table/fake_disk.h has the list). Needs no root.

set -eu

here=$(dirname "$(readlink -f "$0")")
BUILD=${BUILD:-$here/../../build}
LUNKEEPER=${LUNKEEPER:-$BUILD/lunkeeper}
only=${1:-}

export NO_COLOR=1 LC_ALL=C.UTF-8
unset LUNKEEPER_RUN || true
dir=$(mktemp -d)
out=$dir/out
server=
daemon=
passed=0
jerry="--initiator iqn.2024-01.test:jerry"
tom="--initiator iqn.2024-01.test:tom"

end_server() {
	[ -z "$daemon" ] || { kill -KILL "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; }
	daemon=
	[ -z "$server" ] || { exec 3>&-; wait "$server"; }
	server=
}
trap 'end_server; rm -rf "$dir"' EXIT

fail() {
	echo "FAILED: $case: $1"
	echo "--- its output"
	cat "$out"
	exit 1
}

# odd TEXT ODDITY...: a new disk; U is its URL. False: this case was not asked for.
odd() {
	case=$1
	shift
	case $case in *"$only"*) ;; *) return 1 ;; esac
	end_server
	rm -f "$dir/fifo" "$dir/port"
	mkfifo "$dir/fifo"
	"$BUILD/tests/table/run_fake" --serve "$@" <"$dir/fifo" >"$dir/port" &
	server=$!
	exec 3>"$dir/fifo"
	for _ in $(seq 100); do
		! grep -q . "$dir/port" || break
		sleep 0.02
	done
	read -r port name <"$dir/port"
	U=iscsi://127.0.0.1:$port/$name/1
	echo "$case"
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
	timeout 60 "$LUNKEEPER" "$@" >"$out" 2>&1 </dev/null || status=$?
	[ "$status" = "$expected" ] || fail "lunkeeper $*: exit status $status, not $expected"
	printf %s "$words" | while read -r word; do
		grep -qF -e "$word" "$out" || fail "lunkeeper $*: \"$word\" is missing"
	done
	passed=$((passed + 1))
}

lacks() {
	! grep -qF -e "$1" "$out" || fail "\"$1\" should not be there"
}

# A daemon that owns the disk as "store", without a service. Its words are in $dir/log.
start_daemon() {
	rm -rf "$dir/run" "$dir/state"
	cat >"$dir/conf" <<-CONF
		cluster = "odd"
		node "jerry" { id = 1  initiator = "iqn.2024-01.test:jerry" }
		lun "store"  { device = "$U" }
		service "odd" { luns = { "store" } nodes = { "jerry" } }
	CONF
	"$BUILD/lunkeeperd" --no-realtime --config "$dir/conf" --node jerry --run "$dir/run" --state "$dir/state" \
		>"$dir/log" 2>&1 3>&- &
	daemon=$!
}

# becomes SECONDS WORD -- ARGUMENTS...: what lunkeeper says to the daemon has the word before that time is over.
becomes() {
	limit=$(($1 * 10))
	word=$2
	shift 3
	for _ in $(seq $limit); do
		"$LUNKEEPER" "$@" --run "$dir/run" >"$out" 2>&1 </dev/null || true
		! grep -qF -e "$word" "$out" || { passed=$((passed + 1)); return; }
		sleep 0.1
	done
	cat "$dir/log" >>"$out"
	fail "lunkeeper $*: \"$word\" never came"
}

# shellcheck disable=SC2086 # $jerry and $tom are two words each
{
if odd "a disk without any oddity"; then
	expect 0 "FAKE ODD DISK" "64 MiB" "nobody" -- lun show $jerry "$U"
	expect 0 "registered 0x1" "holds it (WE-RO)" "released" "unregistered" -- lun "do" $jerry \
		'register --key 1; reserve; keys; release; unregister' "$U"
	expect 0 "fit for LunKeeper" "as it was found" -- lun probe $jerry --looks 5 "$U"
	expect 0 "$U " "64 MiB" -- lun list $jerry --portal "127.0.0.1:$port"
fi

if odd "READ FULL STATUS answered by RESERVATION CONFLICT" full-status-conflict foreign-holder; then
	expect 0 "0xf00d000000000001" "WE-RO" -- lun show $jerry "$U"
fi

for how in conflict silent closes; do
	if odd "a daemon, READ FULL STATUS: $how" full-status-$how; then
		start_daemon
		becomes 20 '"state": "owner"' -- status --json
		becomes 20 "READ KEYS and READ RESERVATION are used instead" -- events
	fi
done

if odd "a daemon, READ KEYS filled up with zeroes" zero-keys no-full-status; then
	start_daemon
	becomes 10 '"state": "owner"' -- status --json
	lacks '0000000000000000'
fi

if odd "a daemon, no room for a registration" no-resources; then
	start_daemon
	becomes 10 "no room for another registration (55/04" -- status
	becomes 10 "no room for another registration (55/04" -- explain odd
	becomes 10 "no room for another registration (55/04" -- events
fi

if odd "a foreign holder" foreign-holder; then
	expect 0 "0xf00d000000000001" "holds" -- lun keys $tom "$U"
	expect 1 "0xf00d000000000001 holds it" -- lun "do" $jerry 'register --key 1; reserve' "$U"
	expect 1 "somebody holds it" -- lun probe $jerry "$U"
fi
}

end_server
[ $passed -gt 0 ] || { echo "no case is called *$only*"; exit 1; }
echo "$passed commands passed, 0 failed"
