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

# How many PERSISTENT RESERVE OUT the daemon has sent.
sent() {
	"$LUNKEEPER" status --json --run "$dir/run" </dev/null | tr -d ' \n' | sed 's/.*"pr_out":{\([^}]*\)}.*/\1/' | tr ',' '\n' |
		sed 's/.*://' | awk '{ n += $1 } END { print n + 0 }'
}

# quiet SECONDS N: in that time the daemon sends no more than N PERSISTENT RESERVE OUT.
quiet() {
	before=$(sent)
	sleep "$1"
	after=$(sent)
	[ $((after - before)) -le "$2" ] || fail "$((after - before)) PERSISTENT RESERVE OUT in $1 s"
	passed=$((passed + 1))
}

# shellcheck disable=SC2086,SC3045 # $jerry and $tom are two words each; ulimit -n is there in dash
{
if odd "a disk without any oddity"; then
	expect 0 "FAKE ODD DISK" "64 MiB, blocks of 512 bytes" "nobody" -- lun show $jerry "$U"
	expect 0 "registered 0x1" "holds it (WE-RO)" "released" "unregistered" -- lun "do" $jerry \
		'register --key 1; reserve; keys; release; unregister' "$U"
	expect 0 "fit for LunKeeper" "as it was found" -- lun probe $jerry --looks 5 "$U"
	expect 0 "$U " "64 MiB" -- lun list $jerry --portal "127.0.0.1:$port"
fi

if odd "READ FULL STATUS answered by RESERVATION CONFLICT" full-status-conflict foreign-holder; then
	expect 0 "0xf00d000000000001" "WE-RO" -- lun show $jerry "$U"
fi

if odd "PR OUT answered GOOD that changes nothing" pr-out-ignored foreign-holder; then
	expect 1 "register: answered GOOD, but no look shows 0x1 registered" -- lun register $jerry --key 1 "$U"
	lacks "registered 0x1 "
	expect 1 "0xf00d000000000001 is still registered" -- lun preempt $jerry --key 1 --victim f00d000000000001 --force "$U"
	expect 1 "1 registration is there, and 0xf00d000000000001 holds it" -- lun clear $jerry --key 1 --force "$U"
	expect 1 "reserve: answered GOOD, but 0xf00d000000000001 holds it" -- lun reserve $jerry --key 1 "$U"
	expect 1 "answered GOOD, but no look shows 0x1 registered" -- lun "do" $jerry 'register --key 1; reserve' "$U"
	lacks "reserve"
fi

if odd "a reservation of all registrants" all-registrants; then
	expect 0 "all registrants  WE-AR" "every registrant holds it" -- lun show $jerry "$U"
	expect 1 "all registrants hold it" -- lun "do" $jerry 'register --key 1; reserve' "$U"
	expect 0 "0xf00d000000000001" "holds" -- lun "do" $jerry 'unregister --key 1; keys' "$U"
	expect 0 "all registrants  WE-AR" -- lun list $jerry "$U"
	start_daemon
	expect 1 "held by all who are registered (WE-AR)" -- check --node --as jerry --state "$dir/state" "$dir/conf"
	expect 1 "all who are registered hold it together" "0xf00d000000000001  holds WE-AR" -- lun probe $jerry "$U"
fi

if odd "300 registrations" foreign-300; then
	expect 0 "300 keys" "44 more are not shown" -- lun show $jerry "$U"
	expect 0 "300 registrations" "44 more are not shown" -- lun keys $jerry "$U"
	expect 0 "registered 0x1" "0x1 holds it" -- lun "do" $jerry 'register --key 1; reserve; release; unregister' "$U"
fi

if odd "READ KEYS filled up with zeroes" zero-keys no-full-status; then
	expect 0 "0 registrations" -- lun keys $jerry "$U"
	expect 0 "1 key," "0x1" -- lun "do" $jerry 'register --key 1; show; unregister' "$U"
	expect 0 "as it was found" -- lun probe $jerry --looks 5 "$U"
fi

if odd "no room for a registration" no-resources; then
	expect 1 "55/04 insufficient registration resources" "remove registrations that nobody needs" -- \
		lun register $jerry --key 1 "$U"
fi

for how in silent closes; do
	if odd "READ FULL STATUS: $how" full-status-$how; then
		expect 0 "nobody" "0 keys" -- lun show $jerry "$U"
		expect 0 "0x1 holds it" -- lun "do" $jerry 'register --key 1; reserve; release; unregister' "$U"
	fi
done

if odd "a holder that stays in READ RESERVATION" stale-holder no-full-status; then
	expect 0 "registered by nobody: the target's answers do not agree" -- lun "do" $jerry \
		'register --key 1; reserve; register --key 1 --new-key 2; show; release; unregister' "$U"
fi

if odd "without a registration"; then
	for step in clear reserve release; do
		expect 1 "$step: not registered by this nexus: register first" -- lun $step $jerry "$U"
	done
	expect 0 "unregistered 0x5" "key 0 is no key" -- lun "do" $jerry 'register --key 5; register --key 0' "$U"
	expect 0 "0 registrations" -- lun keys $jerry "$U"
	expect 0 "0x5 did not hold it: nobody holds it" -- lun "do" $jerry 'register --key 5; release; unregister' "$U"
fi

for why in read-only thin-full; do
	if odd "write protected: $why" $why; then
		expect 0 "access      write protected: mapped read-only to this initiator, or its thin pool is full" -- \
			lun show $jerry "$U"
		expect 0 '"write_protected": true' -- lun show --json $jerry "$U"
		expect 0 "not fit for LunKeeper" "it is write protected" -- lun probe $jerry --looks 5 "$U"
		start_daemon
		becomes 10 "LUN store is write protected: mapped read-only" -- explain odd
		becomes 5 "write protected: mapped read-only" -- status
		expect 0 "write protected: mapped read-only" -- events --run "$dir/run"
		expect 0 '"fit": false' '"state": "standby"' -- status --json --run "$dir/run"
		expect 1 "error    store" "write protected" "could own it and not serve" -- \
			check --node --as jerry --state "$dir/state" "$dir/conf"
	fi
done

if odd "a name with capital letters" capital-name; then
	expect 0 "iqn.2024-01.test.LunKeeper:Fake/1" "nobody" -- lun show $jerry "$U"
	expect 0 "$U " -- lun list $jerry --portal "127.0.0.1:$port"
	start_daemon
	becomes 10 '"state": "owner"' -- status --json
fi

if odd "a redirect to where nothing listens" redirect-dead; then
	expect 1 "redirected to 127.0.0.2:1: Connection refused" -- lun show $jerry "$U"
	start_daemon
	becomes 10 "redirected to 127.0.0.2:1: Connection refused" -- explain odd
fi

if odd "names and addresses that are none"; then
	expect 1 "the target's name has '_': an iSCSI name has letters, digits" -- \
		lun show $jerry "iscsi://127.0.0.1/iqn.2024-01.test:my_san/1"
	expect 1 "a link-local address is one of an interface" -- lun show $jerry "iscsi://[fe80::1]/iqn.2024-01.test:san/1"
	expect 1 "expected HOST, HOST:PORT or [IPV6-ADDRESS]:PORT" -- lun list $jerry --portal "fd00::1"
fi

if odd "200 portals, and 48 descriptors"; then
	many="iscsi://127.0.0.{1-200}:$port/$name/1"
	status=0
	(ulimit -n 48 && exec "$LUNKEEPER" lun show $jerry "$many") >"$out" 2>&1 || status=$?
	[ $status = 0 ] || fail "exit status $status"
	grep -q "200 devices: 200 ok" "$out" || fail "not all have answered"
	status=0
	(ulimit -n 48 && exec "$LUNKEEPER" lun "do" --hold-for 1ms $jerry keys "$many") >"$out" 2>&1 || status=$?
	[ $status = 1 ] || fail "exit status $status where the sessions are kept"
	grep -q 'raise `ulimit -n`' "$out" || fail "it is not said what to do"
	passed=$((passed + 2))
fi

if odd "blocks of 4 KiB" 4kn; then
	expect 0 "64 MiB, 4Kn (blocks of 4096 bytes)" -- lun show $jerry "$U"
	lacks "access"
fi

if odd "no capacity" no-capacity; then
	expect 0 "FAKE ODD DISK 1, size not known" -- lun show $jerry "$U"
	expect 0 "size not known" -- lun probe $jerry --looks 5 "$U"
	lacks "0 B"
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

if odd "a daemon, orders without an effect" pr-out-ignored; then
	start_daemon
	becomes 30 "REGISTER is answered with GOOD, and no look shows the key" -- status
	becomes 5 "times in a row" -- events
	quiet 10 12
fi

if odd "a daemon, READ FULL STATUS in another byte order" full-status-swapped; then
	start_daemon
	becomes 15 '"state": "owner"' -- status --json
	becomes 5 "READ FULL STATUS shows other keys than READ KEYS" -- status
fi

if odd "a daemon, 24 foreign registrations" foreign-24; then
	start_daemon
	becomes 15 '"state": "owner"' -- status --json
fi

if odd "a daemon, 300 foreign registrations" foreign-300; then
	start_daemon
	becomes 15 '"state": "owner"' -- status --json
fi

if odd "a daemon, all registrants hold it" all-registrants; then
	start_daemon
	becomes 10 "held by all registrants" -- status
	becomes 5 "reserved for all registrants" -- events
	quiet 5 0
fi

if odd "a daemon, a reservation that goes by its first key" no-full-status stale-holder; then
	start_daemon
	becomes 15 '"state": "owner"' -- status --json
	expect 0 "begun" -- lun yield --run "$dir/run" store
	becomes 10 '"state": "offering"' -- status --json
	for _ in 1 2 3 4 5 6 7 8; do # there is nobody to take it: it is kept
		expect 0 "WE-RO" -- lun show $tom "$U"
		sleep 0.3
	done
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
